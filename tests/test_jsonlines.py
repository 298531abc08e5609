"""JSON lines over a stream: TCP, TLS over TCP, or a Unix socket."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any
from weakref import ref

from twisted.internet import reactor as running
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_chat.framing import Frame, Framer
from twisted_chat.limits import FULL_TURN, QUANTUM, WORK_A_TURN, Limits, SessionBucket
from twisted_chat.messages import MAX_OBJECT, Asked
from twisted_chat.newcomer import GRACE_SECONDS, Newcomer
from twisted_chat.wire.jsonlines import JSONLinesFactory
from twisted_chat.wire.stream import BRACKET, CLOSE_SECONDS, FRAMES, LINES, PIECE, Stream

from .helpers import Server

reactor: Any = running
ADDRESS = IPv4Address("TCP", "192.0.2.1", 49474)


@implementer(ITCPTransport)
class TCPTransport(StringTransport):
    """A `StringTransport` that remembers what it is told of its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.options: dict[str, bool] = {}

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.options["no delay"] = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.options["keep alive"] = enabled

    def getTcpNoDelay(self) -> bool:
        return self.options["no delay"]

    def getTcpKeepAlive(self) -> bool:
        return self.options["keep alive"]

    def loseWriteConnection(self) -> None:
        self.disconnecting = True


class ProtocolTests(SynchronousTestCase):
    """Objects go in, lines come out."""

    def setUp(self) -> None:
        self.server = Server()
        self.factory = JSONLinesFactory(self.server.chat)
        self.protocol, self.transport = self.connect()

    def connect(self, address: Any = ADDRESS) -> tuple[Stream, StringTransport]:
        protocol = self.factory.buildProtocol(address)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def got(self) -> list[dict[str, Any]]:
        self.server.settle()
        data: bytes = self.transport.value()
        self.transport.clear()
        self.assertTrue(not data or data.endswith(b"\n"))
        return [json.loads(line) for line in data.splitlines()]

    def hello(self) -> None:
        self.protocol.dataReceived(b'{"type":"hello","nick":"alice"}\n')
        self.assertEqual([obj["type"] for obj in self.got()], ["welcome"])

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def test_it_is_a_line_receiver_that_may_be_half_closed(self) -> None:
        self.assertIsInstance(self.protocol, LineReceiver)
        verifyObject(IHalfCloseableProtocol, self.protocol)
        self.assertIs(self.protocol.factory, self.factory)

    def test_an_object_may_come_in_any_pieces(self) -> None:
        self.hello()
        for data in (
            b'{"type":"ping"}\n',
            b'{"type":"ping"}\r\n',
            b'\n\r\n{"type":"ping"}',
            b'{"type":"ping"}{"type":"ping"}',
        ):
            count = data.count(b"{")
            self.protocol.dataReceived(data)
            self.assertEqual(self.got(), [{"type": "pong"}] * count)
            for i in range(len(data)):
                self.protocol.dataReceived(data[i : i + 1])
            self.assertEqual(self.got(), [{"type": "pong"}] * count)

    def test_an_answer_is_one_line_of_json(self) -> None:
        self.hello()
        self.protocol.dataReceived(b'{"type":"ping","id":"\\n"}')
        self.server.settle()
        self.assertEqual(self.transport.value(), b'{"type":"pong","id":"\\n"}\n')

    def test_who_takes_no_more_is_not_written_to(self) -> None:
        self.hello()
        other = self.server.welcome("bob", "lobby")
        self.protocol.dataReceived(b'{"type":"join","room":"lobby"}')
        self.got()
        self.assertIs(self.transport.producer, self.protocol.participant)
        self.assertTrue(self.transport.streaming)
        self.protocol.participant.pauseProducing()
        other.say("hi")
        self.assertEqual(self.got(), [])
        self.protocol.participant.resumeProducing()
        self.assertEqual([obj["msg"] for obj in self.got()], ["hi"])

    def test_who_asks_too_much_is_not_read_from(self) -> None:
        self.hello()
        self.protocol.stop_reading()
        self.assertEqual(self.transport.producerState, "producing")
        for _ in range(2):
            self.protocol.dataReceived(b'{"type":"ping"}')
            self.assertEqual((self.transport.producerState, self.got()), ("paused", []))
        self.protocol.go_on_reading()
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.got(), [{"type": "pong"}] * 2)

    def test_what_it_does_not_take_of_one_read_is_not_cut_into_objects(self) -> None:
        for obj, cut in (
            (b'{"type":"ping"}\n', LINES * 16),
            (b'{"type":"ping"}', PIECE + MAX_OBJECT),
        ):
            self.check_how_much_is_cut(obj * 4_000, cut)

    def test_a_whole_line_is_cut_as_one_piece(self) -> None:
        self.hello()
        line = b'{"type":"ping","x":[' + b"{}," * 4_000 + b"{}]}\n"
        matched: list[int] = []
        self.patch(Framer, "_begin", lambda *_: matched.append(1))
        self.protocol.dataReceived(line * 5)
        self.assertEqual((self.got(), matched), ([{"type": "pong"}] * 5, []))

    def check_how_much_is_cut(self, data: bytes, cut: int) -> None:
        self.server = Server(limits=Limits(burst=10, rate=10))
        self.factory = JSONLinesFactory(self.server.chat)
        self.protocol, self.transport = self.connect()
        self.hello()
        pieces: list[int] = []
        feed = Framer.feed

        def counted(framer: Framer, data: bytes) -> list[Frame]:
            pieces.append(len(data))
            return feed(framer, data)

        patched = self.patch(Framer, "feed", counted)
        self.protocol.dataReceived(data)
        patched.restore()
        answers = self.got()
        self.assertEqual([obj["type"] for obj in answers], ["pong"] * 9 + ["error"])
        self.assertEqual((answers[-1]["code"], self.transport.producerState), ("rate-limited", "paused"))
        self.assertEqual(pieces, [cut])

    def test_a_participant_that_takes_more_while_it_is_handed_something_gets_it_in_order(self) -> None:
        received: list[str | None] = []
        protocol = self.protocol

        class Taking(Newcomer):
            def received(self, request: Asked, size: int = 0) -> None:
                protocol.stop_reading()
                protocol.go_on_reading()
                received.append(request.id)

        lobby = self.server.room("lobby")
        bucket = SessionBucket(Limits(), 0)
        protocol.participant = Taking(self.server.chat, protocol, bucket, lobby, may_be_bare=True, refusal=None)
        self.protocol.dataReceived(b'{"type":"ping","id":"1"}{"type":"ping","id":"2"}')
        self.assertEqual(received, ["1", "2"])

    def test_what_is_left_of_a_read_at_the_end_is_thrown_away(self) -> None:
        self.hello()
        self.protocol.dataReceived(b'{"type":"ping"}{"type":"quit"}' + b'{"type":"ping"}' * 1_000)
        self.assertEqual([obj["type"] for obj in self.got()], ["pong", "stop"])
        self.protocol.dataReceived(b'{"type":"ping"}')
        self.assertEqual(self.got(), [])

    def test_at_the_end_the_connection_is_ended_when_what_was_written_has_gone(self) -> None:
        self.hello()
        self.protocol.dataReceived(b'{"type":"quit"}')
        self.assertEqual([obj["type"] for obj in self.got()], ["stop"])
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)
        self.lose()
        self.server.clock.advance(CLOSE_SECONDS)
        self.assertEqual(self.server.clock.calls, [])

    def test_an_end_that_is_not_read_is_cut(self) -> None:
        self.hello()
        self.protocol.dataReceived(b'{"type":"quit"}')
        aborted: list[None] = []
        self.patch(self.transport, "abortConnection", lambda: aborted.append(None))
        self.server.clock.advance(CLOSE_SECONDS - 0.1)
        self.assertEqual(aborted, [])
        self.server.clock.advance(0.1)
        self.assertEqual(aborted, [None])
        self.lose()

    def test_a_lost_connection_leaves_the_chat_and_no_call_behind(self) -> None:
        self.hello()
        self.lose()
        self.assertEqual(list(self.server.chat.nicks), [])
        self.server.clock.advance(60)
        self.assertEqual(self.server.clock.calls, [])

    def test_a_newcomer_that_is_lost_leaves_no_call_behind(self) -> None:
        self.lose()
        self.server.clock.advance(60)
        self.assertEqual(self.server.clock.calls, [])

    def check_freed(self, *sent: bytes, silent: float = 0.0) -> None:
        """Send something on a new connection and lose it: it is freed before anything looks for cycles."""
        protocol, transport = self.connect(IPv4Address("TCP", "192.0.2.1", 40000))
        for data in sent:
            protocol.dataReceived(data)
            self.server.settle()
        self.server.clock.advance(silent)
        wire = ref(protocol)  # its participant refers to it
        gc.disable()
        self.addCleanup(gc.enable)
        protocol.connectionLost(Failure(ConnectionDone()))
        del protocol, transport
        self.server.settle()
        self.server.clock.advance(60)
        self.assertIsNone(wire())

    def test_a_session_that_is_lost_is_freed_at_once(self) -> None:
        self.check_freed(b'{"type":"hello","nick":"bob"}', b'{"type":"join","room":"lobby"}', b'{"type":')

    def test_a_bare_client_that_is_lost_is_freed_at_once(self) -> None:
        self.check_freed(b'{"type":"","msg":"hi"}', b'{"type":')

    def test_a_silent_client_that_is_lost_is_freed_at_once(self) -> None:
        self.check_freed(b'{"type":', silent=GRACE_SECONDS)

    def test_a_session_that_was_silent_first_is_freed_at_once(self) -> None:
        self.check_freed(b'{"type":}', b'{"type":"hello","nick":"bob"}', silent=GRACE_SECONDS)

    def test_the_end_of_what_the_other_side_says_is_a_quit(self) -> None:
        self.hello()
        self.protocol.dataReceived(b'{"type":"rooms"}')
        self.protocol.readConnectionLost()
        self.assertEqual([obj["type"] for obj in self.got()], ["rooms", "stop"])
        self.protocol.writeConnectionLost()
        self.assertTrue(self.transport.disconnecting)

    def test_the_end_of_what_it_says_before_a_welcome_is_the_end(self) -> None:
        self.protocol.dataReceived(b'{"type":"hello"}')
        self.protocol.readConnectionLost()
        self.assertEqual([obj["type"] for obj in self.got()], ["error", "stop"])
        self.assertTrue(self.transport.disconnecting)

    def test_a_bare_client_is_called_by_its_port_or_its_turn(self) -> None:
        addresses = [ADDRESS, IPv4Address("TCP", "192.0.2.1", 80), UNIXAddress(b"/run/chat"), None]
        protocols = [self.connect(address)[0] for address in addresses]
        names = [(protocol.address, protocol.label) for protocol in protocols]
        self.assertEqual(names, [("192.0.2.1", "49474"), ("192.0.2.1", "80"), ("", "u4"), ("", "u5")])

    def test_a_program_of_this_machine_counts_as_one(self) -> None:
        local = [IPv4Address("TCP", "127.0.0.2", 80), IPv6Address("TCP", "::1", 80), UNIXAddress(b"/run/chat")]
        others = [ADDRESS, IPv6Address("TCP", "::ffff:192.0.2.1", 80), None]
        self.assertEqual([self.factory.buildProtocol(one).is_local for one in local + others], [True] * 3 + [False] * 3)
        self.factory.is_proxied = True
        self.assertEqual([self.factory.buildProtocol(one).is_local for one in local], [False] * 3)

    def test_small_segments_are_sent_at_once_and_a_dead_peer_is_found(self) -> None:
        transport = TCPTransport()
        self.factory.buildProtocol(ADDRESS).makeConnection(transport)
        self.assertEqual(transport.options, {"no delay": True, "keep alive": True})


class BadInputTests(SynchronousTestCase):
    """Nothing that is read ends the connection, and the next good line works."""

    def setUp(self) -> None:
        self.server = Server()
        self.protocol = JSONLinesFactory(self.server.chat).buildProtocol(ADDRESS)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.exchange(b'{"type":"hello","nick":"alice"}\n{"type":"join","room":"lobby"}\n')

    def exchange(self, data: bytes) -> list[dict[str, Any]]:
        self.transport.clear()
        self.protocol.dataReceived(data)
        self.server.settle()
        return [json.loads(line) for line in self.transport.value().splitlines()]

    def check(self, data: bytes, *codes: str) -> None:
        answers = self.exchange(data)
        self.assertEqual([obj.get("code", obj["type"]) for obj in answers], list(codes), data[:80])
        for obj in answers:
            if obj["type"] == "error":
                self.assertTrue(obj["author"] == "server" and obj["msg"])
        self.assertEqual(self.exchange(b'\n{"type":"ping","id":"next"}\n'), [{"type": "pong", "id": "next"}])

    def test_no_json(self) -> None:
        for data in b"hello", b"GET / HTTP/1.1\r", b"[]", b'[{"type":"ping"}]', b"5", b"null", b"true", b'"ping"', b"}":
            self.check(data + b"\n", "bad-json")
        for data in b'{"type":}', b"{5}", b'{"type":"ping",}', b"{'type':'ping'}", b'{"type" "ping"}', b"{nonsense}":
            self.check(data + b"\n", "bad-json")

    def test_half_a_json(self) -> None:
        whole = b'{"type":"ping"}'
        for end in range(1, len(whole)):
            self.check(whole[:end] + b"\n", "bad-json")

    def test_what_stood_before_and_after_is_handled(self) -> None:
        ping = b'{"type":"ping"}'
        self.check(ping + b"?" + ping + b"\n" + ping, "pong", "bad-json", "pong")

    def test_ten_thousand_brackets(self) -> None:
        self.check(b'{"a":' + b"[" * 10_000 + b"\n", "bad-json")
        self.check(b'{"a":' + b'{"a":' * 3_000 + b"\n", "bad-json")
        self.check(b'{"type":"ping","a":' + b"[" * 7_000 + b"]" * 7_000 + b"}\n", "bad-json")
        self.check(b"[" * 10_000 + b"\n", "bad-json")
        self.check(b"{" * 10_000 + b"\n", "bad-json")

    def test_duplicate_keys(self) -> None:
        answers = self.exchange(b'{"type":"ping","type":"ping","id":"1","id":"2"}\n')
        self.assertEqual(answers, [{"type": "pong", "id": "2"}])

    def test_surrogates_and_bytes_that_are_no_text(self) -> None:
        for text in rb"\ud800", rb"\udc00", rb"\ud800\ud800", b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xc0\xaf":
            self.check(b'{"type":"","room":"lobby","msg":"' + text + b'"}\n', "bad-json")

    def test_nul_and_other_control_characters(self) -> None:
        for character in range(32):
            if character != 10:
                self.check(b'{"type":"","room":"lobby","msg":"' + bytes([character]) + b'"}\n', "bad-json")
        self.check(b'{"type":"","room":"lobby","msg":"a\\u0000b","id":"1"}\n', "ack")
        self.check(b"\x00\n", "bad-json")

    def test_a_byte_order_mark(self) -> None:
        self.check(b'\xef\xbb\xbf{"type":"ping"}\n', "bad-json")

    def test_numbers_too_large(self) -> None:
        for number in b"9" * 400, b"-1", b"1.5", b"1e300", b"1e400", b"18446744073709551616", b"9223372036854775808":
            self.check(b'{"type":"join","room":"lobby","since":' + number + b"}\n", "bad-message")
        self.check(b'{"type":"join","room":"lobby","since":9223372036854775807}\n', "joined")

    def test_an_object_of_16384_bytes_and_one_of_16385(self) -> None:
        for size, code in (MAX_OBJECT, "ack"), (MAX_OBJECT + 1, "too-long"):
            obj = b'{"type":"","room":"lobby","id":"1","msg":""}'
            for end in b"\n", b"\r\n":
                self.check(obj[:-2] + b"x" * (size - len(obj)) + b'"}' + end, code)

    def test_ten_megabytes_without_a_line_end(self) -> None:
        chunk = b'{"a":"' + b"x" * 65_530
        tracemalloc.start()
        try:
            self.assertEqual([obj["code"] for obj in self.exchange(chunk)], ["too-long"])
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(160):
                self.assertEqual(self.exchange(chunk), [])
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(after - before, 100_000)
        self.assertLess(peak - before, 500_000)
        self.check(b"\n")

    def test_ten_thousand_empty_lines(self) -> None:
        for blank in b"\n", b"\r\n", b" \n":
            self.check(blank * 10_000)

    def test_wrong_types_in_every_field_of_every_request(self) -> None:
        fields: dict[str, dict[str, Any]] = {
            "": {"room": "lobby", "msg": "hi", "to": "bob", "id": "1"},
            "hello": {"nick": "alice", "password": "x", "cookie": "x", "id": "1"},
            "join": {"room": "lobby", "since": 1, "id": "1"},
            "leave": {"room": "lobby", "id": "1"},
            "history": {"room": "lobby", "before": 1, "after": 1, "limit": 1, "id": "1"},
            "who": {"room": "lobby", "after": "alice", "id": "1"},
            "rooms": {"id": "1"},
            "nick": {"nick": "alice", "id": "1"},
            "topic": {"room": "lobby", "msg": "all", "id": "1"},
            "ping": {"id": "1"},
            "pong": {"id": "1"},
            "quit": {"msg": "bye", "id": "1"},
        }
        for type, good in fields.items():
            for field, value in good.items():
                wrong: list[Any] = [True, [], {}, [value], {"a": value}, 1.5, 5 if isinstance(value, str) else "5"]
                for bad in wrong:
                    obj = {"type": type, **good, field: bad}
                    self.check(json.dumps(obj).encode() + b"\n", "bad-message")

    def test_wrong_types_of_type(self) -> None:
        for bad in b"5", b"null", b"[]", b"{}", b"true":
            self.check(b'{"type":' + bad + b"}\n", "bad-message")

    def test_fields_that_are_missing(self) -> None:
        for type in "join", "leave", "history", "who", "nick", "topic":
            self.check(b'{"type":"%s"}\n' % type.encode(), "bad-message")

    def test_types_that_there_are_not(self) -> None:
        for type in "nonsense", "welcome", "ack", "PING", "x" * 10_000, "привет", "\x00":
            (answer,) = self.exchange(json.dumps({"type": type, "id": "1"}).encode())
            self.assertEqual((answer["code"], answer["id"]), ("unknown-type", "1"))

    def test_an_id_that_is_too_long_is_not_carried_back(self) -> None:
        (answer,) = self.exchange(json.dumps({"type": "ping", "id": "x" * 65}).encode())
        self.assertEqual((answer["code"], answer.get("id")), ("bad-message", None))
        self.assertEqual(self.exchange(json.dumps({"type": "ping", "id": "я" * 64}).encode())[0]["id"], "я" * 64)

    def test_names_of_ten_thousand_characters(self) -> None:
        name = "x" * 10_000
        self.check(json.dumps({"type": "nick", "nick": name}).encode(), "bad-nick")
        self.check(json.dumps({"type": "join", "room": name}).encode(), "bad-room")
        self.check(json.dumps({"type": "", "to": name}).encode(), "bad-nick")
        self.check(json.dumps({"type": "", "room": name}).encode(), "bad-room")

    def test_unknown_fields(self) -> None:
        self.check(b'{"type":"ping","colour":["red",{"a":1e999}],"author":"bob"}\n', "pong")

    def test_a_hundred_errors_in_a_row_are_borne(self) -> None:
        for _ in range(2):
            answers = self.exchange(b"?\n" * 100)
            self.assertEqual([obj["code"] for obj in answers], ["bad-json"] * 100)
            self.assertEqual(self.exchange(b'{"type":"ping"}\n'), [{"type": "pong"}])

    def test_more_end_the_connection(self) -> None:
        answers = self.exchange(b"?\n" * 200 + b'{"type":"ping"}\n')
        self.assertEqual([obj["type"] for obj in answers], ["error"] * 101 + ["stop"])
        self.assertTrue(self.transport.disconnecting)


class PartTests(SynchronousTestCase):
    """Input that completes no object costs tokens, too."""

    def connect(self, hello: bool = True, **limits: Any) -> tuple[Server, Stream, StringTransport]:
        server = Server(limits=Limits(rate=10, **limits))
        protocol = JSONLinesFactory(server.chat).buildProtocol(ADDRESS)
        transport = StringTransport()
        protocol.makeConnection(transport)
        if hello:
            protocol.dataReceived(b'{"type":"hello","nick":"alice"}\n')
            server.settle()
            transport.clear()
        return server, protocol, transport

    def reads(self, server: Server, protocol: Stream, transport: StringTransport, data: bytes, seconds: int) -> int:
        """Send the same again and again while it is read; returns how often, in so many seconds."""
        count = 0
        for _ in range(seconds * 100):
            server.clock.advance(0.01)
            while transport.producerState == "producing" and count < 10_000:
                protocol.dataReceived(data)
                count += 1
        return count

    def test_a_line_that_never_ends_is_read_as_fast_as_it_is_paid_for(self) -> None:
        server, protocol, transport = self.connect(burst=100)
        protocol.dataReceived(b"x")
        reads = self.reads(server, protocol, transport, b"x" * 2**16, 20)
        self.assertLess(reads, 25, "a read of 64 kB takes 16 tokens: 6 at once, and two in 3 s")
        self.assertGreater(reads, 10)

    def test_blank_lines_and_single_bytes_are_read_as_fast_as_they_are_paid_for(self) -> None:
        for data in b"\n", b" ":
            server, protocol, transport = self.connect(burst=100)
            reads = self.reads(server, protocol, transport, data, 10)
            self.assertLess(abs(reads - 4 * (99 + 10 * 10)), 50, data)

    def test_what_comes_without_a_hello_is_paid_for_as_well(self) -> None:
        for bare in True, False:
            server, protocol, transport = self.connect(hello=False, burst=10, bare=bare)
            self.assertLess(self.reads(server, protocol, transport, b" ", 1), 4 * (10 + 10) + 50)
            protocol.dataReceived(b'{"type":"hello","nick":"alice"}\n')
            server.clock.advance(1)
            server.clock.advance(1)
            self.assertIn(b"welcome", transport.value())

    def test_what_comes_in_a_rest_does_not_begin_another_one(self) -> None:
        server, protocol, _ = self.connect(burst=1)
        for _ in range(10):
            protocol.participant.received_part(1)
        self.assertEqual(len(server.clock.getDelayedCalls()), 2, "the end of the rest, and the next tick")
        protocol.participant.lost()
        protocol.participant.received_part(1)
        self.assertEqual(len(server.clock.getDelayedCalls()), 1)

    def test_a_share_of_a_turn_is_all_that_is_looked_at(self) -> None:
        server, protocol, transport = self.connect(burst=10_000)
        protocol.dataReceived(b"\n" * 2**19)
        fed: list[int] = []
        feed = Framer.feed

        def counted(framer: Framer, data: bytes) -> list[Frame]:
            fed.append(len(data))
            return feed(framer, data)

        self.patch(Framer, "feed", counted)
        turns = []
        while transport.producerState == "paused":
            server.clock.turn()
            turns.append(sum(fed))
            fed.clear()
        self.assertGreater(len(turns), 1)
        self.assertLessEqual(max(turns), (WORK_A_TURN + 2 * QUANTUM) * 1024)

    def test_an_object_of_many_brackets_costs_more(self) -> None:
        text = json.dumps({"type": "ping", "pad": "x" * 16_000}).encode()
        brackets = json.dumps({"type": "ping", "pad": [{}] * 2_000 + [[]] * 2_000}).encode()
        served = []
        for obj in text, brackets:
            server, protocol, transport = self.connect(burst=100)
            protocol.dataReceived(obj * 40)
            server.settle()
            served.append(transport.value().count(b"\n"))
        self.assertEqual(served, [25 + 1, 4 + 1], "the last one is refused")

    def test_a_part_of_an_object_of_many_brackets_costs_more(self) -> None:
        for size in 400, 4_000:  # bytes that are cut at once, and in pieces
            work = []
            for filling in b'"', b"{", b"[":
                server, protocol, _ = self.connect()
                before = server.chat.rooms.turn.work
                protocol.dataReceived(b'{"type":"ping","pad":[' + filling * size)
                work.append(server.chat.rooms.turn.work - before)
            self.assertEqual(work[1:], [work[0] + round(BRACKET * size / 1024)] * 2)

    def test_a_long_object_is_work_of_the_turn_in_which_it_is_read(self) -> None:
        server, protocol, _ = self.connect()
        turn = server.chat.rooms.turn
        protocol.dataReceived(b'{"type":"ping"}' * QUANTUM)
        before = turn.work
        protocol.dataReceived(b'{"type":"ping","pad":["' + b"[" * 5_000 + b'"]}\n')
        self.assertEqual(turn.work - before, (5_000 + 2 * BRACKET + 5_000 * BRACKET) // 1024)
        before = turn.work
        protocol.dataReceived(b'{"type":"ping","pad":"' + b"x" * 800 + b'"}\n')
        self.assertEqual(turn.work - before, 0, "a short one is read in no time")

    def test_an_object_in_small_pieces_costs_little_more(self) -> None:
        server, protocol, transport = self.connect(burst=14)
        data = json.dumps({"type": "ping", "pad": "x" * 16_000}).encode()
        for at in range(0, len(data), 1448):
            protocol.dataReceived(data[at : at + 1448])
        server.settle()
        self.assertEqual(transport.value(), b'{"type":"pong"}\n')

    def test_the_rest_of_a_connection_that_is_gone_ends_with_it(self) -> None:
        server, protocol, transport = self.connect(burst=1)
        self.reads(server, protocol, transport, b" ", 1)
        protocol.connectionLost(Failure(ConnectionDone()))
        server.clock.advance(60)
        self.assertEqual(server.clock.getDelayedCalls(), [])

    def test_an_unfinished_object_is_known_to_the_participant(self) -> None:
        _, protocol, _ = self.connect()
        protocol.dataReceived(b'{"type":')
        self.assertTrue(protocol.is_unfinished)
        protocol.dataReceived(b'"ping"}')
        self.assertFalse(protocol.is_unfinished)


class FullTurnTests(SynchronousTestCase):
    """When there was much work in a turn, what comes then is not even looked at."""

    def setUp(self) -> None:
        self.server = Server()
        self.turn = self.server.chat.rooms.turn
        self.fed: list[bytes] = []
        feed = Framer.feed

        def recorded(framer: Framer, data: bytes) -> list[Frame]:
            self.fed.append(data)
            return feed(framer, data)

        self.patch(Framer, "feed", recorded)

    def connect(self, nick: str | None = None) -> tuple[Stream, StringTransport]:
        protocol = JSONLinesFactory(self.server.chat).buildProtocol(ADDRESS)
        transport = StringTransport()
        protocol.makeConnection(transport)
        if nick is not None:
            protocol.dataReceived(b'{"type":"hello","nick":"%b"}\n' % nick.encode())
            self.server.settle()
            transport.clear()
            self.fed.clear()
        return protocol, transport

    def test_what_comes_then_waits_for_the_end_of_the_turn(self) -> None:
        protocol, transport = self.connect("alice")
        self.turn.spend(FULL_TURN - 1)
        protocol.dataReceived(b'{"type":"ping","id":"1"}')
        self.assertEqual(len(self.fed), 1)
        self.turn.spend(1)
        for number in b"2", b"3":
            protocol.dataReceived(b'{"type":"ping","id":"%b"}' % number)
        self.assertEqual((len(self.fed), transport.producerState), (1, "paused"))
        self.server.settle()
        self.assertEqual([json.loads(line)["id"] for line in transport.value().splitlines()], ["1", "2", "3"])
        self.assertEqual(transport.producerState, "producing")

    def test_who_had_nothing_to_do_before_goes_before_those_that_had(self) -> None:
        flood, flooded = self.connect("alice")
        person, answered = self.connect("bob")
        flood.dataReceived(b'{"type":"ping"}' * 200)
        self.turn.spend(FULL_TURN)
        person.dataReceived(b'{"type":"ping"}')
        self.server.clock.turn()
        self.assertEqual((answered.value().count(b"pong"), flooded.value().count(b"pong")), (0, 2 * QUANTUM))
        self.server.clock.turn()
        self.assertEqual(answered.value().count(b"pong"), 1)
        self.server.settle()
        self.assertEqual(flooded.value().count(b"pong"), 200)

    def test_those_that_rest_until_the_same_moment_go_on_in_turns(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=1))
        crowd = [self.connect(f"n{number}")[0] for number in range(WORK_A_TURN + 1)]
        for protocol in crowd:
            protocol.dataReceived(b'{"type":"ping"}' * 80)
        self.fed.clear()
        self.server.clock.rightNow += 1
        self.server.clock.turn()
        self.assertEqual(self.fed, [])
        self.server.clock.turn()
        self.assertTrue(0 < len(self.fed) < WORK_A_TURN // 2, len(self.fed))

    def test_a_new_connection_waits_as_well(self) -> None:
        protocol, transport = self.connect()
        self.turn.spend(FULL_TURN)
        protocol.dataReceived(b'{"type":"hello","nick":"alice"}\n')
        self.assertEqual(len(self.fed), 0)
        self.server.settle()
        self.assertIn(b"welcome", transport.value())

    def test_what_a_connection_that_is_gone_has_sent_is_not_looked_at(self) -> None:
        protocol, transport = self.connect()
        self.turn.spend(FULL_TURN)
        protocol.dataReceived(b'{"type":"hello","nick":"alice"}\n')
        protocol.connectionLost()
        self.server.settle()
        self.assertEqual((self.fed, transport.value(), len(self.server.chat.nicks)), ([], b"", 0))

    def test_one_that_has_lined_up_does_so_once(self) -> None:
        protocol, transport = self.connect("alice")
        protocol.dataReceived(b'{"type":"ping"}' * (QUANTUM + 1))
        self.turn.spend(FULL_TURN)
        protocol.dataReceived(b'{"type":"ping"}')
        self.assertEqual(transport.producerState, "paused")
        self.server.settle()
        self.assertEqual(transport.value().count(b"pong"), QUANTUM + 2)

    def test_many_short_objects_are_work_before_they_are_handled(self) -> None:
        protocol, _ = self.connect("alice")
        protocol.stop_reading()
        protocol.dataReceived(b"{}\n" * LINES)
        before = self.turn.work
        protocol.go_on_reading()
        self.assertEqual(self.turn.work - before, LINES // FRAMES + LINES)

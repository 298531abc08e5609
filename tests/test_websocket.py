"""The WebSocket as a wire. The classes are named after the sections of RFC 6455."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.internet import reactor as running
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import ClientFactory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat import web
from twisted_chat.chat import Chat
from twisted_chat.encoding import LINES
from twisted_chat.limits import FULL_TURN, Limits
from twisted_chat.log import DELETE, Record
from twisted_chat.messages import MAX_OBJECT, Ack
from twisted_chat.newcomer import HELLO_SECONDS
from twisted_chat.places import WIRES, read_places
from twisted_chat.session import PING_TICKS, SILENT_TICKS, TICK_SECONDS
from twisted_chat.web import WebFactory
from twisted_chat.web.visit import Visit
from twisted_chat.wire.frames import (
    MAX_FRAGMENTS,
)
from twisted_chat.wire.frames import (
    frame as server_frame,
)
from twisted_chat.wire.stream import CLOSE_SECONDS
from twisted_chat.wire.websocket import PIECE, TEXT_MESSAGES, WebSocket

from .certificates import certificate
from .helpers import UNLIMITED, Counted, FakeLog, FakeWire, Server
from .logins import make_login
from .test_jsonlines import TCPTransport
from .test_stream import Recorder
from .websockets import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Received,
    bytewise,
    close,
    frame,
    frames,
    objects,
    request,
    text,
)

reactor: Any = running
ADDRESS = IPv4Address("TCP", "192.0.2.1", 49474)


class EncodingTests(SynchronousTestCase):
    """An object is a text message, made once for all who read this encoding."""

    def test_a_record_is_the_object_of_a_line(self) -> None:
        for record in Record(7, 0, "alice", "привет"), Record(8, 0, "alice", "", DELETE, 7):
            (received,) = frames(TEXT_MESSAGES.message("lobby", record))
            self.assertEqual(received, (TEXT, LINES.message("lobby", record).removesuffix(b"\n")))

    def test_an_entry_of_an_unknown_kind_is_nothing(self) -> None:
        self.assertEqual(TEXT_MESSAGES.message("lobby", Record(7, 0, "alice", "", "poll", 1)), b"")

    def test_a_reply_is_the_object_of_a_line(self) -> None:
        reply = Ack(id="1", room="lobby", seq=7)
        self.assertEqual(frames(TEXT_MESSAGES.reply(reply)), [(TEXT, LINES.reply(reply).removesuffix(b"\n"))])

    def test_several_are_joined_and_measured(self) -> None:
        parts = [server_frame(TEXT, b"{}"), server_frame(TEXT, b"[]")]
        self.assertEqual([payload for _, payload in frames(TEXT_MESSAGES.join(parts))], [b"{}", b"[]"])
        self.assertEqual(TEXT_MESSAGES.size(parts[0]), 4)


class WireTestCase(SynchronousTestCase):
    """Connections to a server with a fake clock."""

    def setUp(self) -> None:
        self.make_server()

    def make_server(self, **limits: Any) -> None:
        self.server = Server(limits=Limits(**limits)) if limits else Server()
        self.factory = WebFactory(self.server.chat)

    def connect(self, *, upgraded: bool = True) -> tuple[WebSocket, TCPTransport]:
        wire, transport = self.factory.buildProtocol(ADDRESS), TCPTransport()
        wire.makeConnection(transport)
        if upgraded:
            wire.dataReceived(request())
            head, _, rest = transport.value().partition(b"\r\n\r\n")
            self.assertEqual((head.partition(b"\r\n")[0], rest), (b"HTTP/1.1 101 Switching Protocols", b""))
            transport.clear()
        return wire, transport

    def welcome(self, nick: str, *rooms: str) -> tuple[WebSocket, TCPTransport]:
        wire, transport = self.connect()
        wire.dataReceived(text({"type": "hello", "nick": nick}))
        for room in rooms:
            wire.dataReceived(text({"type": "join", "room": room}))
        self.server.settle()
        self.assertEqual([obj["type"] for obj in self.objects(transport)], ["welcome", *(["joined"] * len(rooms))])
        return wire, transport

    def got(self, transport: StringTransport) -> list[Received]:
        self.server.settle()
        data = transport.value()
        transport.clear()
        return frames(data)

    def objects(self, transport: StringTransport) -> list[dict[str, Any]]:
        return objects(self.got(transport))


class ConversationTests(WireTestCase):
    """Objects go in and come out, as over TCP."""

    def test_what_is_said_comes_to_the_others_and_is_acked(self) -> None:
        alice, to_alice = self.welcome("alice", "lobby")
        _, to_bob = self.welcome("bob", "lobby")
        self.got(to_alice)
        alice.dataReceived(text({"type": "", "room": "lobby", "msg": "привет", "id": "1"}))
        (ack,), (message,) = self.objects(to_alice), self.objects(to_bob)
        self.assertEqual((ack["type"], ack["id"], ack["seq"]), ("ack", "1", 1))
        self.assertEqual((message["msg"], message["author"], message["seq"]), ("привет", "alice", 1))

    def test_a_client_over_tcp_is_in_the_same_room(self) -> None:
        alice, to_alice = self.welcome("alice", "lobby")
        bob = self.server.welcome("bob", "lobby")
        self.got(to_alice)
        bob.say("over TCP")
        alice.dataReceived(text({"type": "", "room": "lobby", "msg": "over a WebSocket"}))
        self.assertEqual([obj["msg"] for obj in self.objects(to_alice)], ["over TCP"])
        self.assertEqual(bob.texts(), ["over a WebSocket"])

    def test_what_is_no_object_is_answered_with_an_error(self) -> None:
        wire, transport = self.welcome("alice")
        for bad in b"", b"[]", b"5", b"{} {}", b"{", b"{]", b"[" * 1000, b'{"type":"ping"}x':
            wire.dataReceived(frame(TEXT, bad))
            (error,) = self.objects(transport)
            self.assertEqual((error["type"], error["code"]), ("error", "bad-json"))
        wire.dataReceived(frame(TEXT, b' {"type":"ping"}\n'))
        self.assertEqual(self.objects(transport), [{"type": "pong"}])

    def test_a_client_has_to_say_hello(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(text({"type": "", "msg": "hi"}))
        self.assertEqual([obj["code"] for obj in self.objects(transport)], ["not-welcome"])

    def test_one_that_says_nothing_is_ended(self) -> None:
        _, transport = self.connect()
        self.server.clock.advance(HELLO_SECONDS)
        received = self.got(transport)
        self.assertEqual([obj["type"] for obj in objects(received)], ["error", "stop"])
        self.assertEqual(received[-1], (CLOSE, b"\x03\xe8"))
        self.assertTrue(transport.disconnecting)

    def test_all_bytes_are_counted(self) -> None:
        wire, _ = self.connect()
        self.assertEqual(self.server.chat.counters.traffic["http"].received, len(request()))
        hello = text({"type": "hello", "nick": "alice"})
        for byte in bytewise(hello):
            wire.dataReceived(byte)
        self.assertEqual(wire.traffic.received, len(hello))

    def test_requests_may_come_with_the_handshake(self) -> None:
        wire, transport = self.connect(upgraded=False)
        wire.dataReceived(request() + text({"type": "hello", "nick": "alice"}))
        self.server.settle()
        self.assertEqual(objects(frames(transport.value().partition(b"\r\n\r\n")[2]))[0]["type"], "welcome")

    def test_many_frames_of_a_turn_are_one_write_and_are_encoded_once(self) -> None:
        encoding = Counted(TEXT_MESSAGES)
        self.patch(WebSocket, "encoding", encoding)
        listeners = [self.welcome(f"n{number}", "lobby") for number in range(10)]
        for _, transport in listeners:
            self.got(transport)
        writes: list[bytes] = []
        for wire, _ in listeners:
            self.patch(wire.participant, "write", writes.append)
        bob = self.server.welcome("bob", "lobby")
        self.server.settle()
        writes.clear()
        encoding.counts.clear()
        for number in range(20):
            bob.say(str(number))
        self.server.settle()
        self.assertEqual(encoding.counts, {"message": 20})
        self.assertEqual(len(writes), 10)
        self.assertEqual([obj["msg"] for obj in objects(frames(writes[0]))], [str(number) for number in range(20)])

    def test_a_page_of_history_is_one_frame(self) -> None:
        wire, transport = self.welcome("alice", "lobby")
        for _ in range(100):
            wire.dataReceived(text({"type": "", "room": "lobby", "msg": "x" * 1000}))
        self.got(transport)
        wire.dataReceived(text({"type": "history", "room": "lobby", "limit": 100}))
        (page,) = self.objects(transport)
        self.assertEqual(len(page["messages"]), 100)


class BackpressureTests(WireTestCase):
    """A slow reader is waited for, and the server does not remember what it has not read."""

    def test_one_that_does_not_read_is_caught_up_later(self) -> None:
        slow, to_slow = self.welcome("slow", "lobby")
        bob = self.server.welcome("bob", "lobby")
        self.got(to_slow)
        self.assertIs(to_slow.producer, slow.participant)
        slow.participant.pauseProducing()
        for number in range(50):
            bob.say(str(number))
            self.server.settle()
        self.assertEqual(self.got(to_slow), [])
        slow.participant.resumeProducing()
        self.assertEqual([obj["msg"] for obj in self.objects(to_slow)], [str(number) for number in range(50)])

    def test_pongs_to_one_that_does_not_read_are_bounded(self) -> None:
        wire, transport = self.welcome("alice")
        wire.participant.pauseProducing()
        sent = 0
        while transport.producerState == "producing":
            wire.dataReceived(frame(PING, b"x" * 125))
            self.server.settle()
            sent += 1
            self.assertLess(sent, 1000)
        self.assertGreater(sent, 400)


class PingTests(WireTestCase):
    """Section 5.5.2: a ping is answered with a pong, and is not free."""

    def test_a_pong_has_what_the_ping_had(self) -> None:
        wire, transport = self.welcome("alice")
        for payload in b"", b"abc", b"x" * 125:
            wire.dataReceived(frame(PING, payload))
            self.assertEqual(self.got(transport), [(PONG, payload)])
            self.assertEqual(wire._cutter.extra, 0)

    def test_the_last_one_of_a_read_is_answered(self) -> None:
        wire, transport = self.welcome("alice")
        wire.dataReceived(frame(PING, b"one") + frame(PING, b"two"))
        self.assertEqual(self.got(transport), [(PONG, b"two")])

    def test_one_before_the_hello_is_answered(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(frame(PING, b"abc"))
        self.assertEqual(self.got(transport), [(PONG, b"abc")])

    def test_a_connection_that_is_lost_while_it_waits_for_its_turn_is_not_answered(self) -> None:
        wire, transport = self.welcome("alice")
        self.server.chat.rooms.turn.spend(FULL_TURN)
        wire.dataReceived(frame(PING, b"abc") + close(1000))
        wire.connectionLost()
        self.server.settle()
        self.assertEqual(self.got(transport), [])

    def test_a_pong_that_nobody_asked_for_is_ignored(self) -> None:
        wire, transport = self.welcome("alice")
        wire.dataReceived(frame(PONG, b"abc"))
        self.assertEqual(self.got(transport), [])

    def test_a_flood_is_read_as_fast_as_requests_are(self) -> None:
        for control in frame(PING), frame(PONG, b"x" * 125):
            self.make_server(rate=10, burst=100)
            wire, transport = self.welcome("alice")
            count = 0
            for _ in range(1000):
                self.server.clock.advance(0.01)
                while transport.producerState == "producing":
                    wire.dataReceived(control)
                    count += 1
            self.assertLessEqual(count, 100 + 10 * 10 + 20)
            self.assertGreaterEqual(count, 150)

    def test_those_that_come_with_a_message_cost_the_same(self) -> None:
        self.make_server(rate=10, burst=100)
        wire, transport = self.welcome("alice")
        count = 0
        while transport.producerState == "producing":
            wire.dataReceived(frame(PING) * 10 + text({"type": "pong"}))
            count += 1
            self.assertLess(count, 12)

    def test_a_flood_of_one_read_is_cut_in_pieces(self) -> None:
        self.make_server(rate=10, burst=100)
        wire, transport = self.welcome("alice")
        wire.dataReceived(frame(PING) * 2700)
        self.assertEqual(len(wire._data), 2700 * 6 - PIECE)
        self.assertEqual(transport.producerState, "paused")

    def test_control_frames_are_signs_of_life(self) -> None:
        for control in frame(PING), frame(PONG):
            wire, transport = self.welcome("alice")
            for _ in range(2 * SILENT_TICKS):
                self.server.clock.advance(TICK_SECONDS)
                wire.dataReceived(control)
            self.assertNotIn("ping", [obj["type"] for obj in self.objects(transport)])
            self.assertFalse(transport.disconnecting)
            wire.dataReceived(text({"type": "quit"}))
            self.server.settle()


class SilenceTests(WireTestCase):
    """A silent client is asked, and one that is gone is ended, as over TCP."""

    def test_a_half_open_connection_is_pinged_and_then_ended(self) -> None:
        _, transport = self.welcome("alice")
        self.server.clock.pump([TICK_SECONDS] * PING_TICKS)
        self.assertEqual(self.objects(transport), [{"type": "ping"}])
        self.server.clock.pump([TICK_SECONDS] * (SILENT_TICKS - PING_TICKS))
        received = self.got(transport)
        self.assertEqual([obj["type"] for obj in objects(received)], ["stop"])
        self.assertEqual(received[-1].opcode, CLOSE)
        self.server.clock.advance(CLOSE_SECONDS)
        self.assertTrue(transport.disconnected)

    def test_one_that_answers_stays(self) -> None:
        wire, transport = self.welcome("alice")
        for _ in range(3 * SILENT_TICKS):
            self.server.clock.advance(TICK_SECONDS)
            if self.objects(transport):
                wire.dataReceived(text({"type": "ping"}))
        self.assertFalse(transport.disconnecting)


class Section7ClosingTests(WireTestCase):
    """Section 7: how a connection is closed."""

    def test_a_close_frame_is_answered_after_what_came_before_it(self) -> None:
        alice, to_alice = self.welcome("alice", "lobby")
        say = text({"type": "", "room": "lobby", "msg": "bye", "id": "1"})
        alice.dataReceived(say + close(1000) + text({"type": "ping"}))
        received = self.got(to_alice)
        self.assertEqual([obj["type"] for obj in objects(received)], ["ack", "stop"])
        self.assertEqual(received[-1], (CLOSE, b"\x03\xe8"))
        self.assertTrue(to_alice.disconnecting)

    def test_the_answer_has_the_same_code(self) -> None:
        for code in None, 1001, 4999:
            wire, transport = self.welcome("alice")
            wire.dataReceived(close(code))
            self.assertEqual(self.got(transport)[-1], (CLOSE, b"" if code is None else code.to_bytes(2)))

    def test_the_others_hear_of_it(self) -> None:
        alice, _ = self.welcome("alice", "lobby")
        bob = self.server.welcome("bob", "lobby")
        bob.got()
        alice.dataReceived(close())
        self.server.settle()
        self.assertEqual([obj["type"] for obj in bob.got()], ["leave"])

    def test_one_before_the_hello_is_answered(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(close(1000))
        self.assertEqual(self.got(transport)[-1], (CLOSE, b"\x03\xe8"))
        self.assertTrue(transport.disconnecting)

    def test_a_client_that_does_not_answer_the_close_frame_is_cut(self) -> None:
        wire, transport = self.welcome("alice")
        wire.dataReceived(text({"type": "quit"}))
        self.assertEqual(self.got(transport)[-1], (CLOSE, b"\x03\xe8"))
        self.assertFalse(transport.disconnected)
        self.server.clock.advance(CLOSE_SECONDS)
        self.assertTrue(transport.disconnected)

    def test_the_end_of_the_stream_without_a_close_frame_is_one_too(self) -> None:
        wire, transport = self.welcome("alice")
        wire.readConnectionLost()
        self.assertEqual(self.got(transport)[-1], (CLOSE, b"\x03\xe8"))

    def test_a_server_that_stops_goes_away(self) -> None:
        wire, transport = self.welcome("alice")
        self.server.chat.stop("the server is shutting down")
        received = self.got(transport)
        self.assertEqual(
            objects(received), [{"type": "stop", "msg": "the server is shutting down", "author": "server"}]
        )
        self.assertEqual(received[-1], (CLOSE, b"\x03\xe9"))
        wire.connectionLost()

    def test_each_fault_is_answered_with_its_code_and_ends_the_connection(self) -> None:
        faults = {
            1002: frame(TEXT, b"{}", mask=None),
            1003: frame(BINARY, b"{}"),
            1007: frame(TEXT, b"\xff"),
            1008: frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * MAX_FRAGMENTS,
            1009: frame(TEXT, length=40_000_000),
        }
        for code, fault in faults.items():
            for wire, transport in self.welcome("alice", "lobby"), self.connect():
                wire.dataReceived(fault)
                wire.dataReceived(text({"type": "ping"}))
                received = self.got(transport)
                (stop,) = objects(received)
                self.assertEqual((stop["type"], stop["author"]), ("stop", "server"))
                self.assertEqual(received[-1], (CLOSE, code.to_bytes(2) + stop["msg"].encode()))
                self.assertTrue(transport.disconnecting)
                wire.connectionLost()

    def test_what_came_before_a_fault_is_handled(self) -> None:
        wire, transport = self.welcome("alice")
        wire.dataReceived(text({"type": "ping", "id": "1"}) + frame(BINARY, b"{}"))
        self.assertEqual([obj["type"] for obj in self.objects(transport)], ["pong", "stop"])

    def test_a_close_frame_waits_for_requests_that_wait(self) -> None:
        self.server.fake.held.add("append")
        wire, transport = self.welcome("alice", "lobby")
        pings = [text({"type": "ping", "id": str(number)}) for number in range(100)]
        wire.dataReceived(text({"type": "", "room": "lobby", "msg": "hi", "id": "0"}) + b"".join(pings) + close())
        self.assertEqual(self.got(transport), [])
        self.server.fake.release()
        received = self.got(transport)
        self.assertEqual([obj["type"] for obj in objects(received)], ["ack", *(["pong"] * 100), "stop"])
        self.assertEqual(received[-1], (CLOSE, b""))


class SizeTests(WireTestCase):
    """An object of the maximum size is served, and no byte more."""

    def test_the_largest_message(self) -> None:
        wire, transport = self.welcome("alice", "lobby")
        obj = {"type": "", "room": "lobby", "msg": "", "id": "1"}
        obj["msg"] = "x" * (MAX_OBJECT - len(json.dumps(obj)))
        data = text(obj)
        for at in range(0, len(data), 4000):
            wire.dataReceived(data[at : at + 4000])
        self.assertEqual([answer["type"] for answer in self.objects(transport)], ["ack"])
        obj["msg"] += "x"
        wire.dataReceived(text(obj))
        self.assertEqual(self.got(transport)[-1].payload[:2], (1009).to_bytes(2))

    def test_a_frame_that_never_ends_is_read_as_fast_as_it_is_paid_for(self) -> None:
        self.make_server(rate=10, burst=100)
        wire, transport = self.welcome("alice")
        data = frame(TEXT, b"x" * 16_000)
        wire.dataReceived(data[:8])
        count = 0
        for _ in range(1000):
            self.server.clock.advance(0.01)
            while transport.producerState == "producing":
                wire.dataReceived(b"x")
                count += 1
        self.assertLess(count, 5 * (100 + 10 * 10))

    def test_a_connection_takes_little_memory(self) -> None:
        def measure(count: int) -> int:
            kept = []
            for number in range(count):
                wire, transport = self.connect()
                wire.dataReceived(text({"type": "hello", "nick": f"n{number}"}))
                self.server.settle()
                kept.append((wire, transport))
            return len(kept)

        measure(10)
        self.make_server()
        tracemalloc.start()
        try:
            count = measure(100)
            taken = tracemalloc.get_traced_memory()[0] / count
        finally:
            tracemalloc.stop()
        self.assertLess(taken, 8_000)


class PlaceTests(TestCase):
    """Places of `--web` of each kind, over real sockets: a page, and then a conversation on the same connection."""

    def setUp(self) -> None:
        self.chat = Chat(reactor, FakeLog(), make_login(), UNLIMITED)
        self.successResultOf(self.chat.start())
        self.factory = ClientFactory()
        self.client = Recorder()
        self.patch(self.factory, "buildProtocol", lambda addr: self.client)

    @inlineCallbacks
    def tearDown(self) -> Generator[Deferred[Any], Any, None]:  # type: ignore[override]  # trial waits for a Deferred
        yield self.chat.stop("the test is over")

    @inlineCallbacks
    def listen(self, text: str) -> Generator[Deferred[Any], Any, int]:
        """Open a place. Returns its port."""
        (place,) = read_places(reactor, [("--web", WIRES["web"], text)], None)
        port = yield place.listen(self.chat)
        self.addCleanup(port.stopListening)
        return getattr(port.getHost(), "port", 0)

    @inlineCallbacks
    def converse(self, before: bytes = b"", **given: str) -> Generator[Deferred[Any], Any, None]:
        """Read a page, open a WebSocket, read nothing while much is said, then read all of it, and close."""
        client = self.client
        transport: Any = client.transport
        page = Path(web.__file__).with_name("page").joinpath("index.html").read_bytes()
        transport.write(before + request("/", Upgrade=None, Connection=None))
        yield client.until(lambda data: data.endswith(page))
        self.assertTrue(client.received.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.negotiated = getattr(transport, "negotiatedProtocol", None)
        client.received = b""
        transport.write(request(**given))
        transport.write(text({"type": "hello", "nick": "alice"}) + text({"type": "join", "room": "lobby"}))
        yield client.until(lambda data: b'"joined"' in data)
        self.assertTrue(client.received.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"))
        client.received = b""
        transport.pauseProducing()
        (session,) = self.chat.nicks.bearers("alice")
        guest = FakeWire()
        self.chat.connected(guest)
        guest.hear(b'{"type":"hello","nick":"bob"}')
        guest.hear(b'{"type":"join","room":"lobby"}')
        line = json.dumps({"type": "", "room": "lobby", "msg": "x" * 16_000}).encode()
        count = 0
        while not session.paused:
            guest.hear(line)
            count += 1
            yield deferLater(reactor, 0)
        transport.resumeProducing()
        yield client.until(lambda data: data.count(b'"seq"') == count and data.endswith(b"}"))
        received = [obj for obj in objects(frames(client.received)) if obj["type"] == ""]
        self.assertEqual([obj["seq"] for obj in received], list(range(1, count + 1)))
        client.received = b""
        transport.write(close(1000))
        yield client.end()
        self.assertEqual([received.opcode for received in frames(client.received)], [TEXT, CLOSE])
        self.chat.disconnected(guest)

    @inlineCallbacks
    def test_over_tcp(self) -> Generator[Deferred[Any], Any, None]:
        port = yield self.listen("0")
        reactor.connectTCP("127.0.0.1", port, self.factory)
        yield self.client.made
        yield self.converse()

    @inlineCallbacks
    def test_over_tls(self) -> Generator[Deferred[Any], Any, None]:
        home = Path(self.mktemp())
        home.mkdir()
        certificate(home)
        port = yield self.listen(f"ssl:0:privateKey={home}/localhost.pem:interface=127.0.0.1")
        options = CertificateOptions(acceptableProtocols=[b"h2", b"http/1.1"])  # as browsers have it
        reactor.connectSSL("127.0.0.1", port, self.factory, options)
        yield self.client.made
        yield self.converse()
        self.assertEqual(self.negotiated, b"http/1.1")

    @inlineCallbacks
    def test_over_a_unix_socket(self) -> Generator[Deferred[Any], Any, None]:
        path = self.mktemp()[-90:]
        yield self.listen(f"unix:{path}")
        reactor.connectUNIX(path, self.factory)
        yield self.client.made
        yield self.converse(X_Forwarded_For="192.0.2.1")

    @inlineCallbacks
    def test_behind_a_proxy_that_sends_a_header(self) -> Generator[Deferred[Any], Any, None]:
        port = yield self.listen("haproxy:tcp:0:interface=127.0.0.1")
        reactor.connectTCP("127.0.0.1", port, self.factory)
        yield self.client.made
        yield self.converse(b"PROXY TCP4 192.0.2.1 192.0.2.2 49474 14980\r\n")

    @inlineCallbacks
    def test_the_time_for_a_request_runs_from_the_end_of_the_tls_handshake(self) -> Generator[Deferred[Any], Any, None]:
        begun: list[WebSocket] = []
        self.patch(Visit, "begin", lambda visit: begun.append(visit))
        home = Path(self.mktemp())
        home.mkdir()
        certificate(home)
        port = yield self.listen(f"ssl:0:privateKey={home}/localhost.pem:interface=127.0.0.1")
        reactor.connectTCP("127.0.0.1", port, self.factory)
        yield self.client.made
        while not self.chat.wires:
            yield deferLater(reactor, 0)
        (wire,) = self.chat.wires
        self.assertEqual(begun, [])
        with mock.patch.object(wire, "_closing", True):
            cast(WebSocket, wire).handshakeCompleted()
        self.assertEqual(begun, [])
        cast(WebSocket, wire).handshakeCompleted()
        self.assertEqual(begun, [wire.participant])
        self.assertIsNone(cast(WebSocket, wire)._deadline)
        cast(Any, self.client.transport).loseConnection()
        yield self.client.end()
        while self.chat.wires:
            yield deferLater(reactor, 0)
        cast(WebSocket, wire).handshakeCompleted()  # too late
        self.assertEqual(len(begun), 1)

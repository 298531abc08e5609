"""The WebSocket as a wire. The classes are named after the sections of RFC 6455."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as running
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import ClientFactory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

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
from twisted_chat.wire.stream import CLOSE_SECONDS
from twisted_chat.wire.websocket import (
    CONTROL_BYTES,
    FRAGMENT_BYTES,
    MAX_FRAGMENTS,
    NO_CODE,
    PIECE,
    TEXT_MESSAGES,
    Ending,
    FrameCutter,
    WebSocket,
    close_frame,
)
from twisted_chat.wire.websocket import (
    frame as server_frame,
)

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
    close,
    frame,
    frames,
    objects,
    request,
    text,
)

reactor: Any = running
ADDRESS = IPv4Address("TCP", "192.0.2.1", 49474)


def cut(*pieces: bytes) -> tuple[list[bytes], Ending | None]:
    """Cut what arrives in pieces. Returns the messages, and the end if there is one."""
    cutter = FrameCutter()
    messages = [message for piece in pieces for message in cutter.feed(piece)]
    return messages, cutter.ending


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


class CutterTestCase(SynchronousTestCase):
    """Frames are cut out of a stream, the same ones however the stream is cut."""

    def check(self, data: bytes, *messages: bytes, code: int | None = None) -> None:
        for pieces in [data], bytewise(data):
            got, ending = cut(*pieces)
            self.assertEqual(got, list(messages))
            self.assertEqual(None if ending is None else ending.code, code)
            self.assertEqual(
                ending is None or bool(ending.fault), code is None or code in (1002, 1003, 1007, 1008, 1009)
            )


class Section51MaskingTests(CutterTestCase):
    """Section 5.1: a client masks all its frames, and a server none."""

    def test_a_frame_that_is_not_masked_is_an_error(self) -> None:
        for opcode in TEXT, PING, CLOSE:
            self.check(frame(opcode, b"{}", mask=None), code=1002)

    def test_it_is_one_before_its_payload_arrives(self) -> None:
        self.assertEqual(cut(frame(TEXT, b"{}", mask=None)[:2])[1], Ending(1002, "a client has to mask its frames"))

    def test_any_key_unmasks(self) -> None:
        for mask in b"\0\0\0\0", b"\xff\0\x80\x01":
            for size in 0, 1, 3, 4, 5, 125, 126, 16_384:
                self.check(frame(TEXT, b"x" * size, mask=mask), b"x" * size)

    def test_what_the_server_sends_is_not_masked(self) -> None:
        self.assertEqual(server_frame(TEXT, b"Hello"), bytes.fromhex("81 05 48 65 6c 6c 6f"))


class Section52HeaderTests(CutterTestCase):
    """Section 5.2: the header of a frame."""

    def test_the_bits_of_extensions_are_errors(self) -> None:
        for rsv in 1, 2, 4, 7:
            self.check(frame(TEXT, b"{}", rsv=rsv), code=1002)
            self.check(frame(PING, rsv=rsv), code=1002)

    def test_reserved_opcodes_are_errors(self) -> None:
        for opcode in 3, 4, 5, 6, 7, 11, 12, 13, 14, 15:
            self.check(frame(opcode, b"{}"), code=1002)

    def test_the_three_forms_of_a_length_are_read(self) -> None:
        for size in 0, 125, 126, 127, 255, 256, MAX_OBJECT:
            self.check(frame(TEXT, b"x" * size) + frame(TEXT, b"{}"), b"x" * size, b"{}")

    def test_a_length_that_is_not_in_its_shortest_form_is_an_error(self) -> None:
        for size in 0, 2, 125:
            self.check(frame(TEXT, b"x" * size, form=16), code=1002)

    def test_an_object_of_more_than_the_maximum_is_too_big_once_its_header_is_there(self) -> None:
        for size in MAX_OBJECT + 1, 2**16 - 1, 2**16, 40_000_000, 2**63 - 1:
            head = frame(TEXT, length=size, form=64 if size >= 2**16 else 16)
            (messages, ending) = cut(head[:4])
            self.assertEqual((messages, ending), ([], Ending(1009, "an object has at most 16384 bytes")))

    def test_nothing_of_a_frame_that_is_too_big_is_kept(self) -> None:
        cutter = FrameCutter()
        cutter.feed(frame(TEXT, length=40_000_000))
        tracemalloc.start()
        try:
            for _ in range(1000):
                self.assertEqual(cutter.feed(b"x" * 40_000), [])
            self.assertLess(tracemalloc.get_traced_memory()[0], 10_000)
        finally:
            tracemalloc.stop()

    def test_the_server_writes_each_length_in_its_shortest_form(self) -> None:
        for size in 0, 125, 126, 2**16 - 1, 2**16, 2**18:
            self.assertEqual(frames(server_frame(TEXT, b"x" * size)), [Received(TEXT, b"x" * size)])


class Section54FragmentTests(CutterTestCase):
    """Section 5.4: a message may come in fragments."""

    def test_fragments_are_put_together(self) -> None:
        first, middle, last = frame(TEXT, b'{"a', fin=False), frame(CONTINUATION, b"", fin=False), frame(0, b'":1}')
        self.check(first + middle + last, b'{"a":1}')

    def test_a_character_may_be_divided(self) -> None:
        data = "привет".encode()
        self.check(frame(TEXT, data[:3], fin=False) + frame(CONTINUATION, data[3:]), data)

    def test_control_frames_may_come_between_them(self) -> None:
        self.check(frame(TEXT, b"{", fin=False) + frame(PING) + frame(PONG) + frame(CONTINUATION, b"}"), b"{}")

    def test_other_messages_may_not(self) -> None:
        self.check(frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), code=1002)

    def test_a_continuation_of_nothing_is_an_error(self) -> None:
        for fin in True, False:
            self.check(frame(TEXT, b"{}") + frame(CONTINUATION, b"{}", fin=fin), b"{}", code=1002)

    def test_a_message_is_too_big_once_the_header_of_a_fragment_says_so(self) -> None:
        half = MAX_OBJECT // 2
        self.check(frame(TEXT, b"x" * half, fin=False) + frame(CONTINUATION, b"x" * half), b"x" * MAX_OBJECT)
        self.check(frame(TEXT, b"x" * half, fin=False) + frame(CONTINUATION, length=half + 1)[:4], code=1009)

    def test_each_message_has_the_maximum_size_anew(self) -> None:
        half = b"x" * (MAX_OBJECT // 2)
        message = frame(TEXT, half, fin=False) + frame(CONTINUATION, half)
        self.check(message * 2 + frame(TEXT, half * 2), half * 2, half * 2, half * 2)

    def test_fragments_are_bounded_in_number(self) -> None:
        def in_fragments(count: int) -> bytes:
            return frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * (count - 2) + frame(CONTINUATION, b"{}")

        self.check(in_fragments(MAX_FRAGMENTS), b"{}")
        self.check(in_fragments(MAX_FRAGMENTS + 1), code=1008)

    def test_a_hundred_thousand_fragments_are_not_even_cut(self) -> None:
        flood = frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"x", fin=False) * 100_000
        cutter = FrameCutter()
        with mock.patch("twisted_chat.wire.websocket._unmask", side_effect=lambda data, key: data) as unmask:
            cutter.feed(flood)
        self.assertEqual(unmask.call_count, MAX_FRAGMENTS)

    def test_fragments_are_counted(self) -> None:
        cutter = FrameCutter()
        cutter.feed(frame(TEXT, b"{", fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION, b"}"))
        self.assertEqual(cutter.extra, 3 * FRAGMENT_BYTES)


class Section55ControlTests(CutterTestCase):
    """Section 5.5: control frames."""

    def test_they_have_at_most_125_bytes(self) -> None:
        self.check(frame(PING, b"x" * 125) + frame(PONG, b"x" * 125))
        for size in 126, 2**16:
            self.check(frame(PING, b"x" * size), code=1002)

    def test_they_have_no_fragments(self) -> None:
        for opcode in PING, PONG, CLOSE:
            self.check(frame(opcode, fin=False), code=1002)

    def test_the_last_ping_is_kept(self) -> None:
        cutter = FrameCutter()
        cutter.feed(frame(PING, b"one") + frame(PING, b"two") + frame(PONG, b"three"))
        self.assertEqual((cutter.ping, cutter.extra), (b"two", 3 * CONTROL_BYTES))

    def test_nothing_is_read_after_a_close_frame(self) -> None:
        for end in close(), close(1000), close(1001, b"gone"), close(4999, "прощай".encode()):
            self.check(end + frame(TEXT, b"{}"), code=1005 if end == close() else int.from_bytes(cut_close(end)))


def cut_close(end: bytes) -> bytes:
    """Return the code in a close frame, as it was before the mask."""
    return bytes(byte ^ key for byte, key in zip(end[6:8], end[2:4], strict=True))


class Section56DataTests(CutterTestCase):
    """Section 5.6: a text message is in UTF-8; here there are no binary ones."""

    def test_a_binary_message_is_refused_before_its_payload(self) -> None:
        for fin in True, False:
            self.check(frame(BINARY, b"{}", fin=fin)[:2], code=1003)

    def test_what_is_no_utf_8_is_an_error(self) -> None:
        for bad in b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "я".encode()[:1]:
            self.check(frame(TEXT, b'{"msg":"' + bad + b'"}'), code=1007)
            self.check(frame(TEXT, bad[:1], fin=False) + frame(CONTINUATION, bad[1:]), code=1007)

    def test_all_of_unicode_is_read(self) -> None:
        for good in "я", "漢", "\U0001f9d1‍\U0001f680", "\x7f", "\ufffe":
            self.check(frame(TEXT, good.encode()), good.encode())

    def test_an_empty_message_is_one(self) -> None:
        self.check(frame(TEXT) + frame(TEXT, fin=False) + frame(CONTINUATION), b"", b"")


class Section57ExampleTests(CutterTestCase):
    """Section 5.7: the examples of the standard."""

    def test_a_masked_text_message(self) -> None:
        self.check(bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58"), b"Hello")

    def test_a_masked_pong(self) -> None:
        self.check(bytes.fromhex("8a 85 37 fa 21 3d 7f 9f 4d 51 58"))


class Section74CodeTests(CutterTestCase):
    """Section 7.4: the codes of close frames."""

    def test_codes_that_are_for_the_wire_are_taken(self) -> None:
        for code in 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999:
            self.assertEqual(cut(close(code)), ([], Ending(code)))

    def test_others_are_errors(self) -> None:
        for code in 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535:
            self.assertEqual(
                cut(close(code))[1], Ending(1002, "a close frame has no code, or one that is not for the wire")
            )

    def test_half_a_code_is_an_error(self) -> None:
        self.check(frame(CLOSE, b"\x03"), code=1002)

    def test_a_reason_is_in_utf_8(self) -> None:
        self.assertEqual(cut(close(1000, b"\xff"))[1], Ending(1007, "the reason in a close frame is in UTF-8"))

    def test_a_close_frame_of_the_server_may_have_no_code(self) -> None:
        self.assertEqual(frames(close_frame(NO_CODE)), [Received(CLOSE, b"")])
        self.assertEqual(frames(close_frame(1000, "ä")), [Received(CLOSE, b"\x03\xe8" + "ä".encode())])


class CutterTests(SynchronousTestCase):
    """What a cutter remembers."""

    def test_it_says_whether_something_is_unfinished(self) -> None:
        cutter = FrameCutter()
        self.assertFalse(cutter.is_unfinished)
        data = frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b"}")
        for byte in bytewise(data)[:-1]:
            cutter.feed(byte)
            self.assertTrue(cutter.is_unfinished)
        self.assertEqual(cutter.feed(data[-1:]), [b"{}"])
        self.assertFalse(cutter.is_unfinished)

    def test_it_says_how_much_is_missing_of_a_frame(self) -> None:
        data = frame(TEXT, b"x" * 1000)
        for at, missing in (0, 0), (1, 0), (4, 1004), (8, 1000), (1007, 1):
            cutter = FrameCutter()
            cutter.feed(data[:at])
            self.assertEqual(cutter.missing, missing)

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_it_agrees_with_another_reader(self, data: st.DataObject) -> None:
        """Wsproto reads the same messages out of what it writes itself, in fragments and with pings between them."""
        client, server = Connection(ConnectionType.CLIENT), Connection(ConnectionType.SERVER)
        texts = st.text(max_size=300)
        events = data.draw(
            st.lists(
                st.one_of(
                    st.builds(TextMessage, texts, message_finished=st.booleans()),
                    st.builds(Ping, st.binary(max_size=125)),
                    st.builds(Pong, st.binary(max_size=125)),
                ),
                max_size=20,
            )
        )
        stream = b"".join(client.send(event) for event in events)
        size = data.draw(st.integers(1, 400))
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        expected: list[bytes] = []
        unfinished = ""
        server.receive_data(stream)
        for event in server.events():
            assert not isinstance(event, BytesMessage | CloseConnection)
            if isinstance(event, Message):
                unfinished += event.data
                if event.message_finished:
                    expected.append(unfinished.encode())
                    unfinished = ""
        self.assertEqual(cut(*pieces), (expected, None))


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

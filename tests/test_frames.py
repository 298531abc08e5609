"""The frames of a WebSocket. The classes are named after the sections of RFC 6455."""

from __future__ import annotations

import tracemalloc
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

from twisted_chat.messages import MAX_OBJECT
from twisted_chat.wire.frames import (
    CONTROL_BYTES,
    FRAGMENT_BYTES,
    MAX_FRAGMENTS,
    NO_CODE,
    Ending,
    FrameCutter,
    close_frame,
)
from twisted_chat.wire.frames import (
    frame as server_frame,
)

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
)


def cut(*pieces: bytes) -> tuple[list[bytes], Ending | None]:
    """Cut what arrives in pieces. Returns the messages, and the end if there is one."""
    cutter = FrameCutter()
    messages = [message for piece in pieces for message in cutter.feed(piece)]
    return messages, cutter.ending


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
        with mock.patch("twisted_chat.wire.frames._unmask", side_effect=lambda data, key: data) as unmask:
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

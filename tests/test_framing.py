"""Where one object of a stream ends and the next one begins."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from twisted_chat import framing
from twisted_chat.framing import Frame, Framer
from twisted_chat.messages import MAX_NESTING, MAX_OBJECT, OUTLINE, WireError, decode_request

from .helpers import Calls


def frames(*pieces: bytes) -> list[Frame]:
    """Feed pieces of a stream, one after the other."""
    framer = Framer()
    return [frame for piece in pieces for frame in framer.feed(piece)]


def seen(stream: list[Frame]) -> list[bytes | str]:
    """Write frames so that they compare: an object as it is, what was wrong as its code."""
    return [_seen(frame) for frame in stream]


def _seen(frame: Frame) -> bytes | str:
    if isinstance(frame, bytes):
        try:
            decode_request(frame)
        except WireError as error:
            if error.code == "bad-json":
                return error.code
        return frame
    return frame.code


def sized(size: int) -> bytes:
    """Make an object of so many bytes."""
    return b'{"msg":"' + b"x" * (size - 10) + b'"}'


class Lines(TestCase):
    def test_one_object_a_line(self) -> None:
        self.assertEqual(frames(b'{"a":1}\n{"b":2}\n'), [b'{"a":1}', b'{"b":2}'])

    def test_carriage_returns_and_spaces_around_an_object_are_left_out(self) -> None:
        self.assertEqual(frames(b'{"a":1}\r\n  {"b":2}\t\r\n'), [b'{"a":1}', b'{"b":2}'])

    def test_a_line_after_an_unfinished_object_is_no_object_of_its_own(self) -> None:
        self.assertEqual(seen(frames(b'{"a":', b'{"b":1}\n')), ["bad-json"])
        self.assertEqual(seen(frames(b"xx", b'{"b":1}\n', b'{"c":1}\n')), ["bad-json", b'{"c":1}'])
        self.assertEqual(seen(frames(b"{\n}x")), ["bad-json", "bad-json"])
        self.assertEqual(seen(frames(b"[1]}\n", b'{"c":1}\n')), ["bad-json", b'{"c":1}'])

    def test_blank_lines_are_nothing(self) -> None:
        self.assertEqual(frames(b'\n\r\n  \n{"a":1}\n\n'), [b'{"a":1}'])

    def test_ten_thousand_blank_lines_are_nothing(self) -> None:
        self.assertEqual(frames(b"\n" * 10_000), [])

    def test_braces_and_quotes_inside_a_text_end_nothing(self) -> None:
        line = rb'{"msg":"} { \" \\","x":{"y":"}"}}'
        self.assertEqual(frames(line + b"\n"), [line])
        self.assertEqual(frames(line), [line])


class NoLineEnd(TestCase):
    def test_an_object_is_unfinished_until_its_last_byte(self) -> None:
        framer = Framer()
        states = []
        for piece in b"", b'{"a"', b":1", b"}", b" ", b"nonsense", b"\n{", b"\n":
            framer.feed(piece)
            states.append(framer.is_unfinished)
        self.assertEqual(states, [False, True, True, False, False, False, True, False])

    def test_an_object_is_there_with_its_last_byte(self) -> None:
        self.assertEqual(frames(b'{"a":1'), [])
        self.assertEqual(frames(b'{"a":1', b"}"), [b'{"a":1}'])

    def test_objects_back_to_back(self) -> None:
        self.assertEqual(frames(b'{"a":1}{"b":{}} {"c":3}'), [b'{"a":1}', b'{"b":{}}', b'{"c":3}'])

    def test_an_object_in_one_byte_pieces(self) -> None:
        line = rb'{"msg":"a\\\"}{","n":{"o":1}}'
        self.assertEqual(frames(*(line[i : i + 1] for i in range(len(line)))), [line])

    def test_a_backslash_and_what_it_escapes_may_come_apart(self) -> None:
        for text in (rb"\\}", rb"\"}", rb"\"{", rb"x\\\\}", rb"\n\\]", rb"\\"):
            obj = b'{"a":"' + text + b'"}'
            for at in range(1, len(obj)):
                for then in range(at + 1, len(obj) + 1):
                    self.assertEqual(frames(obj[:at], obj[at:then], obj[then:]), [obj], (at, then))

    def test_after_an_object_in_pieces_comes_the_next(self) -> None:
        self.assertEqual(frames(b'{"a":1', b"}", b'{"b":2}', b'{"c":', b"3}"), [b'{"a":1}', b'{"b":2}', b'{"c":3}'])

    def test_the_line_end_that_follows_later_is_nothing(self) -> None:
        self.assertEqual(frames(b'{"a":1}', b"\r\n", b'{"b":2}', b"\n"), [b'{"a":1}', b'{"b":2}'])


class Bad(TestCase):
    def test_what_begins_with_no_brace_is_one_error_and_costs_its_line(self) -> None:
        for line in b'GET / {"a":1} HTTP/1.1', b'GET {"a":1}', b'GET {"a":{}}':
            self.assertEqual(seen(frames(line + b'\n{"b":2}\n')), ["bad-json", b'{"b":2}'])

    def test_it_is_told_how_an_object_begins(self) -> None:
        for line in b"hello", b"]}", b'"type":""}', b"[]":
            (error,) = frames(line + b"\n")
            assert isinstance(error, WireError), line
            self.assertEqual(error.text, "an object is expected: it begins with {")

    def test_it_is_told_at_once_and_thrown_away_however_it_comes(self) -> None:
        self.assertEqual(seen(frames(b"x")), ["bad-json"])
        self.assertEqual(seen(frames(b"x", b'y {"a":1}', b'{"b":2}\n{"c":3}')), ["bad-json", b'{"c":3}'])

    def test_what_stands_behind_an_object_on_its_line_is_an_error_of_its_own(self) -> None:
        self.assertEqual(seen(frames(b'{"a":1} x\n{"b":2}\n')), [b'{"a":1}', "bad-json", b'{"b":2}'])
        self.assertEqual(seen(frames(b'{"a":1}}\n{"b":2}\n')), [b'{"a":1}', "bad-json", b'{"b":2}'])

    def test_a_line_end_inside_an_object_ends_it(self) -> None:
        self.assertEqual(seen(frames(b'{"a":\n{"b":2}\n')), ["bad-json", b'{"b":2}'])
        self.assertEqual(seen(frames(b'{"a":"', b'x\n{"b":2}\n')), ["bad-json", b'{"b":2}'])

    def test_what_follows_an_object_that_is_no_json_is_not_trusted(self) -> None:
        self.assertEqual(seen(frames(b'{"a" 1}{"b":2}\n{"c":3}')), ["bad-json", b'{"c":3}'])
        self.assertEqual(seen(frames(b'{"a" 1', b'}{"b":2}\n{"c":3}')), ["bad-json", b'{"c":3}'])

    def test_it_is_said_what_is_wrong_with_it(self) -> None:
        (error,) = frames(b'{"secret" 1} ')
        assert isinstance(error, WireError)
        self.assertEqual(error.text, "this is no JSON object: JSON is malformed: expected ':' (byte 10)")

    def test_a_line_that_goes_on_with_an_object_is_not_that_object(self) -> None:
        self.assertEqual(seen(frames(b'{"a":', b'{}\n{"b":2}')), ["bad-json", b'{"b":2}'])
        self.assertEqual(seen(frames(b"x", b'{"a":1}\n{"b":2}')), ["bad-json", b'{"b":2}'])

    def test_an_open_text_does_not_swallow_the_next_line(self) -> None:
        self.assertEqual(seen(frames(b'{"a":"x}\n{"b":2}\n')), ["bad-json", b'{"b":2}'])


class TooLong(TestCase):
    def test_the_longest_object_is_taken(self) -> None:
        for pieces in ([sized(MAX_OBJECT) + b"\n"], [sized(MAX_OBJECT)], [sized(MAX_OBJECT)[:-1], b"}"]):
            self.assertEqual(frames(*pieces), [sized(MAX_OBJECT)])

    def test_a_byte_more_is_too_much_and_costs_its_line(self) -> None:
        long = sized(MAX_OBJECT + 1)
        for pieces in ([long + b"\n"], [long, b"\n"], [long[:-1], b"}\n"], [long[:20], long[20:] + b"\n"]):
            self.assertEqual(seen(frames(*pieces, b'{"a":1}\n')), ["too-long", b'{"a":1}'])

    def test_it_is_told_once_the_last_byte_cannot_come_any_more(self) -> None:
        self.assertEqual(seen(frames(sized(MAX_OBJECT + 1)[:MAX_OBJECT])), ["too-long"])
        self.assertEqual(seen(frames(sized(MAX_OBJECT)[:-1])), [])

    def test_an_object_after_a_text_that_was_too_long_begins_anew(self) -> None:
        got = frames(b'{"msg":"' + b"x" * 10_000, b"x" * 10_000, b'\n{"a":[', b"1,2]", b"}")
        self.assertEqual(seen(got), ["too-long", b'{"a":[1,2]}'])

    def test_a_long_line_of_short_objects_is_not_too_long(self) -> None:
        self.assertEqual(len(frames(b'{"a":1}' * 5_000)), 5_000)

    def test_ten_megabytes_without_a_line_end_are_one_error_and_are_not_kept(self) -> None:
        framer = Framer()
        got = [frame for _ in range(640) for frame in framer.feed(b'{"msg":"' + b"x" * 16_384)]
        self.assertEqual(seen(got), ["too-long"])
        self.assertEqual(framer.feed(b'\n{"a":1}'), [b'{"a":1}'])

    def test_no_more_than_one_object_is_kept(self) -> None:
        framer = Framer()
        framer.feed(sized(MAX_OBJECT)[:-1])
        self.assertEqual(len(framer._rest), MAX_OBJECT - 1)
        framer.feed(b"xx")
        self.assertEqual(framer._rest, b"")


def arrivals(obj: bytes) -> dict[str, list[bytes]]:
    """List the ways in which an object can arrive."""
    half = len(obj) // 2
    return {
        "as a line": [obj + b"\n"],
        "with a carriage return": [obj + b"\r\n"],
        "without a line end": [obj],
        "twice": [obj + obj],
        "in halves": [obj[:half], obj[half:]],
        "cut off": [obj[:-1] + b"\n"],
    }


LARGE = {
    "braces": b'{"type":"pong","a":[' + b"{}," * 5400 + b"{}]}",
    "arrays": b'{"type":"pong","a":[' + b"[]," * 5400 + b"[]]}",
    "strings": b'{"type":"pong","a":[' + b'"",' * 5400 + b'""]}',
    "escapes": b'{"type":"pong","a":[' + rb'"\"\\",' * 2300 + b'""]}',
    "nested": b'{"a":[' + b'{"b":{"c":["}"]}},' * 860 + b"{}]}",
    "deep": b'{"a":' * 60 + b"1" + b"}" * 60,
    "far too deep": b'{"a":' * 2500 + b"1" + b"}" * 2500,
    "open": b"{" * 16_000,
    "bad in the end": b'{"type":"pong","a":[' + b"{}," * 5400 + b"x]}",
    "text": b'{"msg":"' + b"x" * 16_000 + b'"}',
    "escaped text": b'{"msg":"' + rb"\"" * 8_000 + b'"}',
}


class CountingPattern:
    """A pattern that counts the bytes it may have looked at."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.bytes = 0

    def match(self, data: bytes, start: int, stop: int = sys.maxsize) -> re.Match[bytes] | None:
        match = self._pattern.match(data, start, stop)
        self.bytes += (match.end() if match else min(stop, len(data))) - start
        return match

    def sub(self, by: bytes, data: bytes) -> bytes:
        self.bytes += len(data)
        return self._pattern.sub(by, data)


PATTERNS = ("OUTLINE", "_TEXTS", "_IN_TEXT", "_SPACE")


class Cost(TestCase):
    """The cost of an object depends on the number of its bytes, not on their values or on how they are split."""

    def test_no_object_takes_a_step_for_each_of_its_brackets_or_strings(self) -> None:
        for name, obj in LARGE.items():
            for way, pieces in arrivals(obj).items():
                framer = Framer()
                with Calls() as calls:
                    for piece in pieces:
                        framer.feed(piece)
                self.assertLess(calls.count, 75, f"{name} {way}")

    def test_blank_lines_take_no_step_each(self) -> None:
        for blank in b"\n", b"\r\n", b" \n", b"\t \r\n":
            framer = Framer()
            with Calls() as calls:
                found = framer.feed(b'{"a":1}\n' + blank * 10_000 + b'{"a":2}\n' + blank * 10_000 + b"{")
            self.assertEqual(found, [b'{"a":1}', b'{"a":2}'])
            self.assertLess(calls.count, 50)

    def test_byte_for_byte_no_byte_is_looked_at_again_and_again(self) -> None:
        for name, obj in LARGE.items():
            patterns = {pattern: CountingPattern(getattr(framing, pattern)) for pattern in PATTERNS}
            for pattern, counting in patterns.items():
                self.patch(framing, pattern, counting)
            framer = Framer()
            for at in range(len(obj)):
                framer.feed(obj[at : at + 1])
            self.assertLess(sum(pattern.bytes for pattern in patterns.values()), 4 * len(obj), name)

    def test_the_usual_line_is_not_even_decoded(self) -> None:
        decoded: list[bytes] = []
        self.patch(framing, "_check", decoded.append)
        self.assertEqual(len(frames(b'{"msg":"hi","id":"1"}\n' * 10)), 10)
        self.assertEqual(decoded, [])

    def test_many_small_objects_are_found_in_one_pass(self) -> None:
        for obj in (b"{}", b'{"a":{"b":[]}}', b'{"a":"}"} '):
            counting = CountingPattern(OUTLINE)
            self.patch(framing, "OUTLINE", counting)
            self.assertEqual(len(frames(obj * 5_000)), 5_000)
            self.assertEqual(counting.bytes, len(obj.rstrip()) * 5_000)


class Nesting(TestCase):
    """An object that is nested too deeply is found out wherever it stands."""

    DEEPEST = b'{"a":' * MAX_NESTING + b"1" + b"}" * MAX_NESTING
    TOO_DEEP = b'{"a":' * (MAX_NESTING + 1) + b"1" + b"}" * (MAX_NESTING + 1)

    def test_the_deepest_is_taken(self) -> None:
        for way in ("as a line", "with a carriage return", "without a line end", "in halves"):
            self.assertEqual(frames(*arrivals(self.DEEPEST)[way]), [self.DEEPEST], way)

    def test_a_level_more_is_bad_json(self) -> None:
        for way in ("as a line", "with a carriage return", "without a line end", "in halves"):
            self.assertEqual(seen(frames(*arrivals(self.TOO_DEEP)[way])), ["bad-json"], way)

    def test_what_follows_on_its_line_is_thrown_away(self) -> None:
        self.assertEqual(seen(frames(self.TOO_DEEP + b'{"a":1}\n{"b":2}')), ["bad-json", b'{"b":2}'])

    def test_arrays_count_as_objects_do(self) -> None:
        inner = MAX_NESTING - 1
        for levels, expected in ((inner, 1), (inner + 1, 0)):
            obj = b'{"a":' + b"[" * levels + b"]" * levels + b"}"
            for way in ("without a line end", "in halves"):
                got = frames(*arrivals(obj)[way])
                self.assertEqual([frame == obj for frame in got], [bool(expected)], way)


alphabet = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\",
        b"\n",
        b"\r",
        b" ",
        b"x",
        b":",
        b"1",
        b'{"a":1}',
        b'{"msg":"}{"}',
        b"{}\n",
        b'"a":',
    ]
)
streams = st.lists(alphabet, max_size=40).map(b"".join)
objects = st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.dictionaries(st.text(), st.none()))


class Anything(TestCase):
    @given(streams, st.lists(st.integers(0, 200), max_size=8))
    @example(b'{"a":"x}\n{}', [3])
    @example(rb'{"\\"}{"\"}"}', [3, 4])
    def test_wherever_a_stream_is_split_its_frames_are_the_same(self, stream: bytes, places: list[int]) -> None:
        cuts = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
        pieces = [stream[a:b] for a, b in pairwise(cuts)]
        self.assertEqual(seen(frames(*pieces)), seen(frames(stream)))

    @given(streams)
    @example(b'{"a":"x')
    def test_an_object_ends_where_its_first_bracket_is_closed(self, stream: bytes) -> None:
        """The same with a step for each byte, of a stream without a line end."""
        stream = b"{" + stream.replace(b"\n", b"")
        depth, in_text, escaped, end = 0, False, False, 0
        for at, byte in enumerate(stream):
            char = chr(byte)
            if in_text:
                in_text = escaped or char != '"'
                escaped = char == "\\" and not escaped
            else:
                in_text = char == '"'
                depth += (char in "{[") - (char in "}]")
            if not depth:
                end = at + 1
                break
        got = seen(frames(stream))
        if not end:
            self.assertEqual(got, [])
        elif got[0] != "bad-json":
            self.assertEqual(got[0], stream[:end])
        else:
            self.assertRaises(ValueError, json.loads, stream[:end])

    @given(streams)
    def test_a_line_end_makes_a_new_start(self, stream: bytes) -> None:
        self.assertEqual(seen(frames(stream + b'\n{"b":2}\n'))[-1], b'{"b":2}')

    @given(st.lists(st.tuples(objects, st.sampled_from([b"", b"\n", b"\r\n", b" \n\n"]))))
    def test_every_object_written_is_read(self, written: list[tuple[dict[str, object], bytes]]) -> None:
        texts = [(json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace"), end) for fields, end in written]
        self.assertEqual(frames(b"".join(text + end for text, end in texts)), [text for text, _ in texts])

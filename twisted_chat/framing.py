"""Framing: cuts a stream of bytes into JSON objects.

A peer writes one object on each line. Line ends may be missing: an object ends with its last bracket, and is handed on
as soon as that has arrived. A line end always ends an object, so that a bad object costs the peer no more than the rest
of its line.

Each byte is scanned a fixed number of times, by the decoder, by regular expressions and by methods of `bytes`, all of
them in C. No bracket or string takes a step in Python: 16 kB of `{},` in one object would take milliseconds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import accumulate
from typing import Final

import msgspec

from .messages import MAX_OBJECT, OUTLINE, TEXT, WireError, bad_json

_SPACE: Final = re.compile(rb"[ \t\r]*")
_TEXTS: Final = re.compile(rb"(?:" + TEXT + rb'[^\[\]{}"]*+)++', re.DOTALL)
"""Strings of JSON, and anything between them that is not a bracket."""
_IN_TEXT: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""The rest of a string: up to its closing quote, to the end, or to a backslash whose second half has not arrived."""
_UP, _DOWN = b"\1", b"\xff"
_BRACKETS: Final = b"{[}]"
_STEPS: Final = bytes.maketrans(_BRACKETS, _UP * 2 + _DOWN * 2)
"""The table of the step in depth of each bracket, as a signed byte."""
_OTHERS: Final = bytes(set(range(256)) - set(_BRACKETS))
_BLANK: Final = (b"", b"\r")
_BLANK_LINES: Final = re.compile(rb"\n(?:[ \t\r]*+\n)++")
_OPEN, _QUOTE = b'{"'
_LINE_END: Final = 10
_check: Final = msgspec.json.Decoder(msgspec.Raw).decode

MANY_LINES: Final = 64
"""Lines in a read above which blank ones are removed at once. One by one, 64 kB of them took 6 to 11 ms."""

Frame = bytes | WireError
"""A whole object, or the error in its place (`bad-json` or `too-long`)."""


class Framer:
    """Cuts a stream into frames. It holds at most one unfinished object, of at most `limit` bytes."""

    __slots__ = ("_depth", "_in_text", "_limit", "_rest", "_scanned", "_throwing")

    _scanned: int
    """Bytes of the unfinished object that were scanned; after them, `_depth` brackets are open, and maybe a string."""
    _depth: int
    _in_text: bool

    def __init__(self, limit: int = MAX_OBJECT) -> None:
        self._limit = limit
        self._rest = b""
        """The unfinished object, from its first bracket on; empty between objects."""
        self._throwing = False
        """True while the rest of a line is thrown away."""

    @property
    def is_unfinished(self) -> bool:
        """True while an object has arrived in part."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """Take received bytes, and return the frames that they complete."""
        ends = data.count(b"\n")
        if (
            ends == 1
            and data[0] == _OPEN
            and data.find(b"}") == len(data) - 2 < self._limit
            and data[-1] == _LINE_END
            and not (self._rest or self._throwing)
        ):
            return [data[:-1]]  # one simple line, as nearly always: the same as below, in 270 ns instead of 440
        frames: list[Frame] = []
        if ends > MANY_LINES:
            data = _BLANK_LINES.sub(b"\n", data)
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._rest or self._throwing:
                self._cut(line, frames)
                self._end_line(frames)
            elif line and line[0] == _OPEN and line.find(b"}") == len(line) - 1 < self._limit:
                frames.append(line)  # an object, or a bad one: no bracket in it could end another object
            elif self._is_one_object(line):
                frames.append(line)
            elif line not in _BLANK:
                self._cut(line, frames)
                self._end_line(frames)
        if rest:
            self._cut(rest, frames)
        return frames

    def _is_one_object(self, line: bytes) -> bool:
        """True for a line that is one object and nothing else. False means nothing."""
        return line.endswith(b"}") and len(line) <= self._limit and _fault(line) is None

    def _cut(self, data: bytes, frames: list[Frame]) -> None:
        """Take a piece of the stream without a line end in it."""
        if self._throwing:
            return
        start = 0
        if self._rest:
            data = self._rest + data
            if not self._closes(data):
                self._start_object(data, frames)
                return
        while (start := _end_of(_SPACE, data, start)) < len(data):
            if data[start] != _OPEN:
                self._throw(_NO_OBJECT, frames)
                return
            ends = data.find(b"}", start) >= 0
            outline = OUTLINE.match(data, start, start + self._limit) if ends else None
            if outline is None:
                self._begin(data[start:], frames)
                return
            frame = outline[0]
            fault = _fault(frame)
            if fault is not None:  # the rest of the line cannot be trusted
                self._throw(_error(bad_json(fault).text), frames)
                return
            frames.append(frame)
            start = outline.end()
        self._rest = b""

    def _begin(self, data: bytes, frames: list[Frame]) -> None:
        """Start to scan an object that is not whole yet, or that is too long or nested too deeply."""
        self._scanned = self._depth = 1
        self._in_text = False
        if self._closes(data[: self._limit]):
            self._throw(_TOO_DEEP, frames)
        else:
            self._start_object(data, frames)

    def _start_object(self, data: bytes, frames: list[Frame]) -> None:
        if len(data) >= self._limit:  # its last byte is still to come
            self._throw(WireError("too-long", f"an object has at most {self._limit} bytes"), frames)
        else:
            self._rest = data

    def _closes(self, data: bytes) -> bool:
        """Scan the new part of the unfinished object. True if its last bracket is in it."""
        if self._in_text:
            self._scanned = at = _end_of(_IN_TEXT, data, self._scanned)
            if at == len(data) or data[at] != _QUOTE:
                return False
            self._scanned += 1
        quoted = max(data.rfind(b'"') + 1, self._scanned)  # no string ends after it, so the rest is not searched
        beside, quote, text = (_TEXTS.sub(b"", data[self._scanned : quoted]) + data[quoted:]).partition(b'"')
        steps = beside.translate(_STEPS, _OTHERS)
        down = steps.count(_DOWN)
        if down >= self._depth and 0 in accumulate(memoryview(steps).cast("b"), initial=self._depth):
            return True
        self._depth += steps.count(_UP) - down
        self._in_text = bool(quote)
        self._scanned = _end_of(_IN_TEXT, data, len(data) - len(text))
        return False

    def _end_line(self, frames: list[Frame]) -> None:
        if self._rest:
            frames.append(_CUT_OFF)
        self._rest = b""
        self._throwing = False

    def _throw(self, error: WireError, frames: list[Frame]) -> None:
        frames.append(error)
        self._rest = b""
        self._throwing = True


@lru_cache(maxsize=64)
def _error(text: str) -> WireError:
    """Return an error; all of one text are one object, since 4 kB of `{]` lines would make a thousand of 500 bytes."""
    return WireError("bad-json", text)


_NO_OBJECT: Final = _error("an object is expected: it begins with {")
_TOO_DEEP: Final = _error(bad_json(RecursionError()).text)
_CUT_OFF: Final = _error("the line ends inside an object")


def _fault(frame: bytes) -> Exception | None:
    """The reason why a frame is not one JSON value; None if it is."""
    try:
        _check(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        return error.with_traceback(None)  # whose frames refer to the error, and to all that was received
    return None


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return the end of the match that begins at `at`. The pattern always matches."""
    match = pattern.match(data, at)
    assert match
    return match.end()

"""Bytes in, objects out: where one JSON object of a stream ends and the next one begins.

The other side writes one object a line. It is also read if it leaves out the line end: an object ends itself, and is
handed out as soon as its last byte is there. A line end ends whatever stands in front of it, so that one bad line
costs no more than itself.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from .messages import MAX_OBJECT, WireError

_SPACE: Final = re.compile(rb"[ \t\r]*")
_OUTSIDE: Final = re.compile(rb'[^{}"]*')
_STRING: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_BLANK: Final = (b"", b"\r")
_check: Final = msgspec.json.Decoder(msgspec.Raw).decode
_OPEN, _QUOTE = b'{"'

Frame = bytes | WireError
"""A whole object, or what was wrong in the place of one (`bad-json` or `too-long`)."""


class Framer:
    """Cuts a stream into frames. It keeps at most one unfinished object, of at most `limit` bytes."""

    __slots__ = ("_depth", "_in_string", "_limit", "_rest", "_scanned", "_throwing")

    def __init__(self, limit: int = MAX_OBJECT) -> None:
        self._limit = limit
        self._rest = b""
        """The unfinished object, from its brace on; empty between two objects."""
        self._scanned = 0
        """Bytes of it that were looked at, in which `_depth` braces are open, and maybe a string."""
        self._depth = 0
        self._in_string = False
        self._throwing = False
        """What comes up to the next line end belongs to something bad."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take what has arrived; return the frames that it completes."""
        frames: list[Frame] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            if (
                line.find(b"}") == len(line) - 1
                and line.startswith(b"{")
                and len(line) <= self._limit
                and not (self._rest or self._throwing)
            ):
                frames.append(line)  # one object and nothing else: no brace in it could end another
            elif self._rest or self._throwing or line not in _BLANK:
                self._cut(line, frames)
                self._end_line(frames)
        if rest:
            self._cut(rest, frames)
        return frames

    def _cut(self, data: bytes, frames: list[Frame]) -> None:
        """Take a piece of the stream that has no line end in it."""
        data = self._rest + data
        start = 0
        while not self._throwing:
            if not self._depth:
                start = _end_of(_SPACE, data, start, len(data))
                if start == len(data):
                    break
                if data[start] != _OPEN:
                    self._throw(WireError("bad-json", "an object is expected: it begins with {"), frames)
                    break
                self._scanned = 0
            end = self._scan(data, start)
            if (end or len(data)) - start > self._limit:
                self._throw(WireError("too-long", f"an object has at most {self._limit} bytes"), frames)
            elif not end:
                break
            else:
                self._take(data[start:end], frames)
                start = end
        self._rest = b"" if self._throwing else data[start:]

    def _take(self, frame: bytes, frames: list[Frame]) -> None:
        """Take what has the outline of an object. If it is none, what follows on its line is not to be trusted."""
        try:
            _check(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._throw(WireError("bad-json", "this is no JSON object"), frames)
        else:
            frames.append(frame)

    def _scan(self, data: bytes, start: int) -> int:
        """Look for the end of the object that begins at `start`: the place behind its last brace, or 0."""
        at = start + self._scanned
        stop = min(len(data), start + self._limit)
        while at < stop:
            if self._in_string:
                at = _end_of(_STRING, data, at, stop)
                if at == stop or data[at] != _QUOTE:
                    break  # at the end, or in front of a backslash whose other half is still to come
                self._in_string = False
            else:
                at = _end_of(_OUTSIDE, data, at, stop)
                if at == stop:
                    break
                if data[at] == _QUOTE:
                    self._in_string = True
                else:
                    self._depth += 1 if data[at] == _OPEN else -1
                    if not self._depth:
                        return at + 1
            at += 1
        self._scanned = at - start
        return 0

    def _end_line(self, frames: list[Frame]) -> None:
        if self._depth:
            frames.append(WireError("bad-json", "the line ends inside an object"))
        self._forget()
        self._throwing = False

    def _throw(self, error: WireError, frames: list[Frame]) -> None:
        frames.append(error)
        self._forget()
        self._throwing = True

    def _forget(self) -> None:
        self._rest = b""
        self._depth = 0
        self._in_string = False


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int, stop: int) -> int:
    """Say where a match ends that begins at `at`; the pattern always matches."""
    match = pattern.match(data, at, stop)
    assert match
    return match.end()

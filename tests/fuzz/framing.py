"""The framer: however a stream is cut into reads, its frames are the same, and little of it is held."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from twisted_chat.framing import Frame, Framer
from twisted_chat.messages import WireError, read_request

from .objects import Bytes, spoil

LIMIT: Final = 64
"""Bytes of an object: the borders of a small limit are met more often than those of the real one."""

BLANKS: Final = b" \t\r"

SEEDS: Final = (
    b'\0\0{"a":1}\n{"b":2}{"c":3}\r\n\n{}',
    b'\1\1{"a":"\\"}{"}[1]\n{"a":[{}]}\n',
    b"\2\2" + b'{"a":"' + b"x" * 80 + b'"}\n{}\n',
    b"\3\3" + b"[" * 70 + b"\n{}\n",
)


def run(data: bytes) -> None:
    """Cut a stream in several ways."""
    source = Bytes(data)
    limit = (LIMIT, 1024)[source.below(2)]
    spoiled = source.below(2)
    stream = source.take(4096)
    if spoiled:
        stream = spoil(source, stream)
    whole = frames(limit, [stream])
    cuts = [source.below(len(stream) + 1) for _ in range(source.below(4))]
    places = [0, *sorted(cuts), len(stream)]
    assert frames(limit, [stream[a:b] for a, b in pairwise(places)]) == whole, "cut elsewhere"
    assert frames(limit, [bytes([byte]) for byte in stream[:300]]) == frames(limit, [stream[:300]]), "cut everywhere"
    assert frames(limit, [stream, b'\n{"b":2}\n'])[-1] == b'{"b":2}', "a line end makes no new start"


def frames(limit: int, pieces: list[bytes]) -> list[bytes | str]:
    """Return the frames of a stream; a code stands for an error."""
    framer = Framer(limit)
    found: list[Frame] = []
    for piece in pieces:
        found += framer.feed(piece)
        assert len(framer._rest) < limit, "more is held than an object may have"
    for frame in found:
        if not isinstance(frame, WireError):
            assert len(frame) <= limit
            assert frame.lstrip(BLANKS).startswith(b"{") and frame.endswith(b"}"), frame
    return [_seen(frame) for frame in found]


def _seen(frame: Frame) -> bytes | str:
    """Return an object, or that it is bad: the framer or the decoder finds that, and either of two errors fits."""
    error = read_request(frame)
    if isinstance(error, WireError) and error.code in ("bad-json", "too-long"):
        return "bad"
    assert not isinstance(frame, WireError)
    return frame.lstrip(BLANKS)

"""The frames of WebSockets: however a stream is cut into reads, its messages and its end are the same, and bounded."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from tests.websockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame
from twisted_chat.messages import MAX_OBJECT
from twisted_chat.wire.frames import MAX_FRAGMENTS, FrameCutter

from .objects import Bytes, pick, spoil

MOST_REST: Final = MAX_OBJECT + 14
"""Bytes of an unfinished frame: an object, and the longest header."""

CODES: Final = frozenset((1002, 1003, 1007, 1008, 1009))
"""The codes for what a peer has done wrong."""

SIZES: Final = (0, 1, 2, 125, 126, 127, 128, 1000, MAX_OBJECT - 1, MAX_OBJECT, MAX_OBJECT + 1, 65535, 65536)

OPCODES: Final = (TEXT, TEXT, TEXT, CONTINUATION, CONTINUATION, PING, PONG, CLOSE, BINARY, 3, 11)

SEEDS: Final = (
    bytes([0, *b"a few messages of a few sizes, one after the other, all of them whole"]),
    bytes([1, *(number * 7 % 256 for number in range(200))]),
    bytes([2, *(number * 13 % 256 for number in range(300))]),
    bytes([1, 79, *[1, 0, 0, 0, 0, 0, 5], *[1, 3, 0, 0, 0, 0, 5] * 79]),  # too many fragments
)


def run(data: bytes) -> None:
    """Cut a stream of frames in several ways."""
    source = Bytes(data)
    spoiled = source.below(3) == 0
    stream = b"".join(_make(source) for _ in range(1 + source.below(80)))
    if spoiled:
        stream = spoil(source, stream)
    whole = read([stream])
    cuts = [source.below(len(stream) + 1) for _ in range(source.below(5))]
    assert read([stream[a:b] for a, b in pairwise([0, *sorted(cuts), len(stream)])]) == whole, "cut elsewhere"
    begin = stream[:300]
    assert read([bytes([byte]) for byte in begin]) == read([begin]), "cut everywhere"


def _make(source: Bytes) -> bytes:
    """Make a frame: mostly one that may come."""
    if source.below(8) == 0:
        return close((1000, 1001, 1005, 3000, 65535)[source.below(5)], (b"", b"gone", b"\xff")[source.below(3)])
    opcode = pick(source, OPCODES)
    payload = source.take(30) if source.below(4) else b"x" * pick(source, SIZES)
    odd = source.below(24)
    return frame(
        opcode,
        payload,
        fin=bool(source.below(4)) or opcode > CONTINUATION + 2,
        rsv=odd == 1,
        mask=None if odd == 2 else bytes([source.below(256)] * 3 + [0]),
        length=2**40 if odd == 3 else None,
        form=64 if odd in (3, 4) else None,
    )


def read(pieces: list[bytes]) -> tuple[list[bytes], int | None, int]:
    """Return the messages of a stream, the code of its end, and the bytes that all else counts for."""
    cutter = FrameCutter()
    messages: list[bytes] = []
    for piece in pieces:
        had_ended = cutter.ending is not None
        found = cutter.feed(piece)
        assert not (found and had_ended), "something is read after the end"
        messages += found
        assert len(cutter._rest) <= MOST_REST, "more is held than a frame may have"
        assert cutter._size <= MAX_OBJECT and len(cutter._parts or ()) < MAX_FRAGMENTS, "a message has no bound"
        assert 0 <= cutter.missing <= MAX_OBJECT + 8, "more is awaited than a frame may have"
    for message in messages:
        assert len(message) <= MAX_OBJECT
        message.decode()
    ending = cutter.ending
    if ending is not None and ending.fault:
        assert ending.code in CODES and len(ending.fault) < 124, ending
    return messages, None if ending is None else ending.code, cutter.extra

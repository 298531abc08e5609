"""The decoder of requests: any frame is a request or an error, and the error repeats nothing of the frame."""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from twisted_chat.messages import MAX_OBJECT, AnyRequest, Envelope, WireError, decode_request, encode, read_request
from twisted_chat.messages.errors import Code
from twisted_chat.wire.udp.requests import read_envelope

from .objects import Bytes, Words, make_request, spoil
from .objects import encode as write

SECRET: Final = "hunter2-hunter2-hunter2"

WORDS: Final = Words(
    nicks=("ann", "bob", SECRET),
    rooms=("lobby", "den", SECRET),
    passwords=(SECRET,),
    tokens=(SECRET,),
    texts=("", "hi", SECRET, "{" * 70),
    who=("bob", "192.0.2.0/24"),
)

CODES: Final = frozenset(get_args(Code)) - {"internal"}

SEEDS: Final = (
    b'\0{"type":"hello","nick":"ann","id":"1"}',
    b'\0{"msg":"hi","room":"lobby"}',
    b'\0{"type":"","msg":"\\ud83d\\ude00"}',
    *(bytes([1, number, 1, 1, 1, 1, 1, 1, 1, 1]) for number in range(40)),
)


def run(data: bytes) -> None:
    """Read a frame: the bytes as they are, or a request made of them, whole or spoiled."""
    source = Bytes(data)
    kind = source.below(3)
    if kind == 0:
        frame = source.take(MAX_OBJECT)
    else:
        frame = write(source, make_request(source, WORDS))
        if kind == 2:
            frame = spoil(source, frame)
    check(frame)


def check(frame: bytes) -> None:
    asked = read_request(frame)
    if isinstance(asked, WireError):
        assert asked.code in CODES, asked.code
        assert SECRET not in asked.text, "an error says what was in the request"
        assert len(asked.text) < 300, "an error has no bound"
    else:
        assert isinstance(asked, get_args(AnyRequest))
        assert decode_request(frame) == asked, "the two ways to decode differ"
        assert decode_request(encode(asked)) == asked, "a request is not read as it is written"
    try:
        envelope = read_envelope(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    assert isinstance(envelope, Envelope)

"""Objects that fit into a datagram, and what becomes of those that do not."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import Final

import msgspec

from ...messages import (
    SERVER,
    Error,
    HistoryPage,
    Joined,
    MemberLeft,
    Message,
    Reply,
    RoomList,
    Stop,
    TopicChanged,
    decode_reply,
    encode,
)

MAX_DATAGRAM: Final = 1200
"""Bytes of an object: what every path carries in one piece (RFC 8085, section 3.2, and RFC 9000, section 14)."""

_NUMBER: Final = len(',"n":') + 10
"""Bytes that the number of a datagram takes at most."""

LONGEST: Final = MAX_DATAGRAM - _NUMBER
"""Bytes of an object that is sent."""


@lru_cache(maxsize=64)  # one cutting for all sessions, which get the same lines at about the same time
def objects(data: bytes) -> tuple[bytes, ...]:
    """Cut lines into objects that fit into a datagram, with its number."""
    fitting: list[bytes] = []
    for line in data.splitlines():
        if len(line) <= LONGEST:
            fitting.append(line)
        else:
            fitting += _fitting(line)
    return tuple(fitting)


def _fitting(line: bytes) -> list[bytes]:
    """Make of an object that does not fit one that does, or several.

    A message for one nick is in no log: it is handed on in several pieces. All else loses the end of its text; what has
    no text, or is too long without it, is an error of that code.
    """
    reply = decode_reply(line)
    if isinstance(reply, Message) and reply.seq is None:
        pieces = _split(reply)
    else:
        _shorten(reply)
        pieces = [encode(reply)]
    return [piece if len(piece) <= LONGEST else _too_long(reply) for piece in pieces]


def _too_long(reply: Reply) -> bytes:
    """Make the answer in the place of one with the longest of names and of ids, all of it escaped."""
    text = "the answer does not fit into a datagram: ask for it with a shorter id"
    return encode(Error(code="too-long", msg=text, author=SERVER, id=getattr(reply, "id", None)))


def _shorten(reply: Reply) -> None:
    """Let a reply lose so much of its text that it fits, if that helps.

    A message out of a log says how much is missing, and `history` gives the rest. All other texts are titles, farewells
    and reasons.
    """
    match reply:
        case Message():
            _cut_message(reply, LONGEST)
        case HistoryPage(messages=[message]):
            reply.messages = []
            reply.messages = [_cut_message(message, LONGEST - len(encode(reply)))]
        case RoomList(rooms=[info]):
            _cut(reply, info, "topic")
        case Joined():
            _cut(reply, reply, "topic")
        case TopicChanged() | MemberLeft() | Stop() | Error():
            _cut(reply, reply, "msg")


def _cut_message(message: Message, most: int) -> Message:
    text = message.msg
    message.rest = len(text)  # which has as many digits as what it will be, or more
    _cut(message, message, "msg", most)
    message.rest -= len(message.msg)
    return message


def _split(message: Message) -> list[bytes]:
    pieces: list[bytes] = []
    text = message.msg
    while text and (not pieces or message.msg):
        message.msg = text
        _cut(message, message, "msg")
        pieces.append(encode(message))
        text = text[len(message.msg) :]
    return pieces


def _cut(whole: msgspec.Struct, part: msgspec.Struct, field: str, most: int = LONGEST) -> None:
    """Shorten a text within an object until the object fits."""
    text: str = getattr(part, field)

    def size(count: int) -> int:
        setattr(part, field, text[:count])
        return len(encode(whole))

    setattr(part, field, text[: max(0, bisect_right(range(len(text) + 1), most, key=size) - 1)])

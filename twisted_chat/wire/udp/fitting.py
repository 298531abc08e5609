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
    RoomList,
    TopicChanged,
    decode_message,
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
    """Make of an object that does not fit one that does.

    A message out of a log says how much of its text is missing, and `history` gives the rest. A message for one nick
    is in no log: it is handed on in several. All other texts are titles and farewells, which lose their end.
    """
    match decode_reply(line):
        case Message(seq=None) as message:
            return _split(message)
        case Message() as message:
            return [encode(_cut_message(message, LONGEST))]
        case HistoryPage(messages=[raw]) as page:
            page.messages = []
            room = LONGEST - len(encode(page))
            page.messages = [msgspec.Raw(encode(_cut_message(decode_message(raw), room)))]
            answer = encode(page)
            if len(answer) > LONGEST:  # the longest of names, all of it escaped
                text = "this page does not fit into a datagram: ask for it with a shorter id"
                answer = encode(Error(code="too-long", msg=text, author=SERVER, id=page.id))
            return [answer]
        case RoomList(rooms=[info]) as rooms:
            _cut(rooms, info, "topic")
            return [encode(rooms)]
        case Joined() as joined:
            _cut(joined, joined, "topic")
            return [encode(joined)]
        case TopicChanged() | MemberLeft() as notice:
            _cut(notice, notice, "msg")
            return [encode(notice)]
        case other:
            raise AssertionError(f"an object of {len(line)} bytes: {type(other)}")


def _cut_message(message: Message, most: int) -> Message:
    text = message.msg
    message.rest = len(text)  # which has as many digits as what it will be, or more
    _cut(message, message, "msg", most)
    message.rest -= len(message.msg)
    return message


def _split(message: Message) -> list[bytes]:
    pieces: list[bytes] = []
    text = message.msg
    while text:
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

"""Replies that fit into a datagram, and shorter versions of those that do not."""

from __future__ import annotations

from bisect import bisect_right
from copy import copy

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
    encode,
)
from .datagram import LONGEST, Datagram


def fit(reply: Reply) -> tuple[Datagram, ...]:
    """Make one or more datagrams of a reply.

    A direct message is in no log, so a long one is sent in several pieces. Any other reply loses the end of its text. A
    reply that has no text, or is too long without it, is replaced by the error `too-long`.
    """
    size = len(encode(reply))
    if size <= LONGEST:
        return (Datagram(copy(reply), size),)
    return tuple(_datagram(piece, reply) for piece in _pieces(reply))


def _pieces(reply: Reply) -> list[Reply]:
    if isinstance(reply, Message) and reply.seq is None:
        return _split(reply)
    return [_shortened(reply)]


def _datagram(piece: Reply, reply: Reply) -> Datagram:
    """Make a datagram of a piece of a reply, or of an error if the piece is still too long."""
    size = len(encode(piece))
    if size > LONGEST:
        piece = _too_long(reply)
        size = len(encode(piece))
    return Datagram(piece, size)


def _too_long(reply: Reply) -> Error:
    """Return the error for a reply whose names and id are the longest possible, with every character escaped."""
    text = "the answer does not fit into a datagram: ask for it with a shorter id"
    return Error(code="too-long", msg=text, author=SERVER, id=getattr(reply, "id", None))


def _shortened(reply: Reply) -> Reply:
    """Return a copy of a reply with a text that is cut so that the reply fits, if that is enough.

    A message of a room says how much of its text is missing (`rest`), and `history` returns that. All other texts are
    topics, farewells and reasons.
    """
    reply = copy(reply)
    match reply:
        case Message():
            _cut_message(reply, LONGEST)
        case HistoryPage(messages=[message]):
            reply.messages = []
            reply.messages = [_cut_message(copy(message), LONGEST - len(encode(reply)))]
        case RoomList(rooms=[info]):
            reply.rooms = [copy(info)]
            _cut(reply, reply.rooms[0], "topic")
        case Joined():
            _cut(reply, reply, "topic")
        case TopicChanged() | MemberLeft() | Stop() | Error():
            _cut(reply, reply, "msg")
    return reply


def _cut_message(message: Message, most: int) -> Message:
    text = message.msg
    message.rest = len(text)  # a number with as many digits as the final one, or more
    _cut(message, message, "msg", most)
    message.rest -= len(message.msg)
    return message


def _split(message: Message) -> list[Reply]:
    pieces: list[Reply] = []
    text = message.msg
    while text:
        piece = copy(message)
        piece.msg = text
        _cut(piece, piece, "msg")
        pieces.append(piece)
        if not piece.msg:
            break  # the names leave no space for a single character
        text = text[len(piece.msg) :]
    return pieces


def _cut(whole: msgspec.Struct, part: msgspec.Struct, field: str, most: int = LONGEST) -> None:
    """Cut the text of an object, or of a part of it, to the length at which the whole object fits."""
    text: str = getattr(part, field)

    def size(count: int) -> int:
        setattr(part, field, text[:count])
        return len(encode(whole))

    setattr(part, field, text[: max(0, bisect_right(range(len(text) + 1), most, key=size) - 1)])

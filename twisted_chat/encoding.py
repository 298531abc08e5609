"""Encodings: how a kind of wire writes records, answers and notices.

A room holds records. They are written once for each encoding that a member reads, and the result is sent to all members
that read this encoding. The result for one message is a *part*, a sequence that can be sliced and joined: bytes for a
stream, a tuple of segments or datagrams for other wires.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, Protocol, TypeVar

from .log import DELETE, Record
from .messages import MAX_OBJECT, SERVER, BareMessage, Deleted, Error, Message, Reply, Stop, encode_line, time_text
from .names import DIRECT, address_of

Part = TypeVar("Part", bound=Sequence[Any])


class Encoding(Protocol[Part]):
    """The way in which one kind of wire writes records and replies."""

    def message(self, room: str, record: Record) -> Part:
        """Write a record of a room's log. The part is empty if the wire has no object for its kind."""

    def reply(self, reply: Reply) -> Part:
        """Write a reply or notice. The part is empty if the wire has no object for it."""

    def join(self, parts: Sequence[Part]) -> Part:
        """Join several parts to one."""

    def size(self, part: Part) -> int:
        """Return the size of a part in bytes."""


def message_of(room: str, record: Record) -> Message | None:
    """Return the message for a record; None for an entry of another kind."""
    if record.kind:
        return None
    message = Message(record.msg, record.author, room, None, record.seq, time_text(record.time), record.deleted or None)
    if room[0] == DIRECT:
        message.room, message.to = address_of(room, record.author)
    return message


def object_of(room: str, record: Record) -> Message | Deleted | None:
    """Return the object for a record; None if the protocol has none for its kind."""
    if record.kind != DELETE:
        return message_of(room, record)
    in_room, to = address_of(room, record.author)
    author, seq, time = record.author, record.seq, time_text(record.time)
    return Deleted(author=author, room=in_room, to=to, of=record.of, seq=seq, time=time)


class _Lines:
    """JSON lines, for clients that say hello: one object on each line."""

    def message(self, room: str, record: Record) -> bytes:
        if record.kind or record.deleted or room[0] == DIRECT:
            obj = object_of(room, record)
            return b"" if obj is None else encode_line(obj)
        # as `object_of` makes it for nearly all records, without three calls
        return encode_line(Message(record.msg, record.author, room, None, record.seq, time_text(record.time)))

    reply = staticmethod(encode_line)
    join = staticmethod(b"".join)
    size = staticmethod(len)


class _ThreeFields:
    """Segments of three fields, for bare clients: messages, errors and the stop, and nothing else."""

    def message(self, room: str, record: Record) -> tuple[bytes, ...]:
        return () if record.kind or record.deleted else _fitting(record.msg, record.author)

    def reply(self, reply: Reply) -> tuple[bytes, ...]:
        match reply:
            case Message():
                return _fitting(reply.msg, reply.author)
            case Error():
                return (encode_line(BareMessage("error", reply.msg, SERVER)),)
            case Stop():
                return (encode_line(BareMessage("stop", "", SERVER)),)
            case _:
                return ()

    def join(self, parts: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...]:
        return tuple(chain.from_iterable(parts))

    def size(self, part: tuple[bytes, ...]) -> int:
        return sum(map(len, part))


LINES: Final[Encoding[bytes]] = _Lines()
THREE_FIELDS: Final[Encoding[tuple[bytes, ...]]] = _ThreeFields()


def _fitting(text: str, author: str) -> tuple[bytes, ...]:
    """Write a message as one segment, or as several if a bare client would not get all of it by one read."""
    whole = encode_line(BareMessage("", text, author))
    if len(whole) <= MAX_OBJECT:
        return (whole,)
    half = len(text) // 2
    return _fitting(text[:half], author) + _fitting(text[half:], author)

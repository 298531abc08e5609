"""Encodings: how a kind of wire writes records, answers and notices.

A room holds records. They are written once for each encoding that a member reads, and the result is sent to all members
that read this encoding. The result for one message is a *part*, a sequence that can be sliced and joined: bytes for a
stream, a tuple of segments or datagrams for other wires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, Protocol, TypeVar

from .log import DELETE, Record
from .messages import (
    MAX_OBJECT,
    SERVER,
    BareMessage,
    Deleted,
    Error,
    Message,
    Reply,
    Stop,
    encode_line,
    encode_lines,
    time_text,
)
from .names import DIRECT, address_of

Part = TypeVar("Part", bound=Sequence[Any])


class Encoding(Protocol[Part]):
    """The way in which one kind of wire writes records and replies."""

    def message(self, room: str, record: Record) -> Part:
        """Write a record of a room's log. The part is empty if the wire has no object for its kind."""

    def messages(self, room: str, records: Sequence[Record]) -> tuple[Part, Callable[[], Sequence[Part]]]:
        """Write records one after the other. Returns them in one part, and a function that returns the part of each."""
        parts = [self.message(room, record) for record in records]
        return parts[0] if len(parts) == 1 else self.join(parts), lambda: parts

    def reply(self, reply: Reply, /) -> Part:
        """Write a reply or notice. The part is empty if the wire has no object for it."""

    def replies(self, replies: Sequence[Reply], /) -> Part:
        """Write replies one after the other, in one part."""
        return self.join([self.reply(reply) for reply in replies])

    def join(self, parts: Sequence[Part], /) -> Part:
        """Join several parts to one."""

    def size(self, part: Part, /) -> int:
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


class _Lines(Encoding[bytes]):
    """JSON lines, for clients that say hello: one object on each line."""

    def message(self, room: str, record: Record) -> bytes:
        obj = object_of(room, record)
        return b"" if obj is None else encode_line(obj)

    def messages(self, room: str, records: Sequence[Record]) -> tuple[bytes, Callable[[], Sequence[bytes]]]:
        """Write all records by one call of the encoder, which takes half the time of one call for each.

        Nearly all are messages to a room, and are made here as `object_of` makes them, without three calls.
        """
        if room[0] == DIRECT:
            return super().messages(room, records)
        lines = []
        for record in records:
            if record.kind or record.deleted:
                return super().messages(room, records)
            lines.append(Message(record.msg, record.author, room, None, record.seq, time_text(record.time)))
        whole = encode_lines(lines)
        return whole, partial(whole.splitlines, True)

    reply = staticmethod(encode_line)
    replies = staticmethod(encode_lines)
    join = staticmethod(b"".join)
    size = staticmethod(len)


class _ThreeFields(Encoding[tuple[bytes, ...]]):
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

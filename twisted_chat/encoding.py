"""How a kind of wire writes what the rooms hold: records, answers and notices.

A room holds records. What it hands out is written once for each encoding that somebody reads, and what was written goes
to all who read that encoding. The part of a wire that one message takes is a sequence that can be cut and joined: bytes
where a wire is a stream, a tuple of segments or datagrams where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, Protocol, TypeVar

from .log import Record
from .messages import MAX_OBJECT, SERVER, BareMessage, Error, Message, Reply, Stop, encode_line, time_text

Part = TypeVar("Part", bound=Sequence[Any])


class Encoding(Protocol[Part]):
    """What one kind of wire makes of records and replies."""

    def message(self, room: str, record: Record) -> Part:
        """Write a record of a room's log; it is empty where the wire has no word for its kind."""

    def reply(self, reply: Reply) -> Part:
        """Write anything else that is sent; it is empty where the wire has no word for it."""

    def join(self, parts: Sequence[Part]) -> Part:
        """Write several parts as one."""

    def size(self, part: Part) -> int:
        """Count the bytes that a part takes."""


def message_of(room: str, record: Record) -> Message | None:
    """Make the message that others get of a record; None for a kind that the protocol has no word for."""
    if record.kind:
        return None
    return Message(record.msg, record.author, room, None, record.seq, time_text(record.time))


class _Lines:
    """JSON lines, as clients read them that say hello: an object a line."""

    def message(self, room: str, record: Record) -> bytes:
        message = message_of(room, record)
        return b"" if message is None else encode_line(message)

    reply = staticmethod(encode_line)
    join = staticmethod(b"".join)
    size = staticmethod(len)


class _ThreeFields:
    """Segments of three fields, as the oldest clients read them: messages, errors and the end, and nothing else."""

    def message(self, room: str, record: Record) -> tuple[bytes, ...]:
        return () if record.kind else _fitting(record.msg, record.author)

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
    """Write a message as one segment or, where its reader's one read would not return all of that, as several."""
    whole = encode_line(BareMessage("", text, author))
    if len(whole) <= MAX_OBJECT:
        return (whole,)
    half = len(text) // 2
    return _fitting(text[:half], author) + _fitting(text[half:], author)

"""What the client answers with and tells of, as it is read from the objects of the wire.

The library has the same from `twisted_chat.messages`, which needs a package that is not Python's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

Object = dict[str, Any]
"""An object of the wire."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said."""

    msg: str
    author: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class DirectMessage(Message):
    """A message for this client's nick alone (`to`)."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a room's history."""

    messages: list[Message]
    more: bool
    """There is more beyond them, on the side that was asked for."""


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a room: `count` in all, and some of them, sorted."""

    room: str
    members: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A room that there is."""

    room: str
    count: int
    topic: str


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Somebody else joined a room one is in."""

    author: str
    room: str


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Somebody else left a room one is in; `msg` is what they said of it."""

    author: str
    room: str
    msg: str = ""


@dataclass(frozen=True, slots=True)
class NickChanged:
    """`author` is `nick` from now on, in a room one is in."""

    author: str
    nick: str
    room: str | None = None


@dataclass(frozen=True, slots=True)
class TopicChanged:
    """`author` set the topic of `room` to `msg`."""

    author: str
    room: str
    msg: str


@dataclass(frozen=True, slots=True)
class Presence:
    """A large room has `count` members now."""

    room: str
    count: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The server ends the connection; `msg` says why."""

    msg: str = ""
    author: str = "server"


@dataclass(frozen=True, slots=True)
class Error:
    """Something was wrong that answers no request: `code` for a program, `msg` for a person."""

    code: str
    msg: str
    author: str


NOTICES: Final[dict[str, type]] = {
    "join": MemberJoined,
    "leave": MemberLeft,
    "nick": NickChanged,
    "topic": TopicChanged,
    "presence": Presence,
    "stop": Stop,
    "error": Error,
}
"""What the server tells without being asked, by its type on the wire."""


def read(kind: type[T], obj: Object) -> T:
    """Read an object. Raises `TypeError` where a field is missing or is of the wrong type."""
    given = {}
    for field in fields(kind):  # type: ignore[arg-type]
        value = obj.get(field.name)
        if value is not None:
            if type(value).__name__ != str(field.type).partition(" ")[0]:
                raise TypeError(f"{field.name} is no {field.type}")
            given[field.name] = value
    return kind(**given)


def read_message(obj: Object) -> Message:
    """Read what somebody said, in a room or to this client alone."""
    return read(DirectMessage if "to" in obj else Message, obj)


def read_page(page: Object) -> Page:
    """Read a part of a room's history."""
    return Page([read_message(message) for message in page["messages"]], bool(page["more"]))

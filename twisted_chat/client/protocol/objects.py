"""The objects of the wire, and the dataclasses that programs get: messages, notices and answers.

An object is a dict. One that cannot be read raises `KeyError`, `TypeError` or `ValueError` (`UNSOUND`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, TypeVar

Object = dict[str, Any]
"""An object of the wire."""

GAP: Final[Object] = {"type": "gap"}
"""Stands for objects that got lost on the way, or that cannot be read."""

UNSOUND: Final = (KeyError, TypeError, ValueError)
"""The exceptions raised for an object that cannot be read."""

T = TypeVar("T")


def encode(obj: Object) -> bytes:
    """Return an object as JSON. Raises `UnicodeEncodeError` for a lone surrogate."""
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode()


def decode(data: bytes) -> Object | None:
    """Read an object. Returns None for what is not a JSON object, or contains a lone surrogate."""
    try:
        obj = json.loads(str(data, "utf-8"))
        if b"\\u" in data:
            encode(obj)
    except (ValueError, RecursionError):
        return None
    return obj if isinstance(obj, dict) else None


def field(obj: Object, name: str, kind: type[T]) -> T:
    """Return a field that must be there, and have this type."""
    value = obj[name]
    if type(value) is not kind:
        raise TypeError(f"{name} is not of the type {kind.__name__}")
    return value


def optional(obj: Object, name: str, kind: type[T]) -> T | None:
    """Return a field that must have this type if it is there, or None."""
    return None if obj.get(name) is None else field(obj, name, kind)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a room."""

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
    """In the order of their numbers."""
    more: bool
    """True if there are more on the side that was asked for: older ones or, with `after`, newer ones."""


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a room: `count` in all, and some of them, sorted."""

    room: str
    members: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A room, with its number of members and its topic."""

    room: str
    count: int
    topic: str


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token of an account, without its secret. The times are as on the wire."""

    label: str
    created: str
    used: str | None = None
    """When it was last used to log in."""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Somebody else joined a room that the client is in."""

    author: str
    room: str


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Somebody else left a room that the client is in. `msg` is the farewell."""

    author: str
    room: str
    msg: str = ""


@dataclass(frozen=True, slots=True)
class NickChanged:
    """`author` is `nick` from now on, in a room that the client is in."""

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
    """An error that answers no request: `code` is for programs, `msg` for people."""

    code: str
    msg: str
    author: str = "server"


def read_message(obj: Object) -> Message:
    """Read a message to a room, or to this client alone."""
    return (Message if obj.get("to") is None else DirectMessage)(
        field(obj, "msg", str),
        field(obj, "author", str),
        optional(obj, "room", str),
        optional(obj, "to", str),
        optional(obj, "seq", int),
        optional(obj, "time", str),
    )


def read_page(obj: Object) -> Page:
    """Read a part of a room's history."""
    return Page([read_message(message) for message in obj["messages"]], field(obj, "more", bool))


def read_members(obj: Object) -> Members:
    """Read the members of a room."""
    members: list[str] = field(obj, "members", list)
    if not all(type(nick) is str for nick in members):
        raise TypeError("a nick is not a string")
    return Members(field(obj, "room", str), members, field(obj, "count", int))


def read_rooms(obj: Object) -> list[RoomInfo]:
    """Read the list of rooms."""
    return [
        RoomInfo(field(room, "room", str), field(room, "count", int), field(room, "topic", str))
        for room in field(obj, "rooms", list)
    ]


def read_tokens(obj: Object) -> list[TokenInfo]:
    """Read the tokens of an account."""
    return [
        TokenInfo(field(token, "label", str), field(token, "created", str), optional(token, "used", str))
        for token in field(obj, "tokens", list)
    ]


Notice = MemberJoined | MemberLeft | NickChanged | TopicChanged | Presence | Stop | Error
"""The objects that the server sends without a request."""


def read_notice(obj: Object) -> Notice | None:
    """Read an object that the server sends without a request. Returns None if its type is not known here."""

    def text(name: str) -> str:
        return field(obj, name, str)

    match obj["type"]:
        case "join":
            return MemberJoined(text("author"), text("room"))
        case "leave":
            return MemberLeft(text("author"), text("room"), optional(obj, "msg", str) or "")
        case "nick":
            return NickChanged(text("author"), text("nick"), optional(obj, "room", str))
        case "topic":
            return TopicChanged(text("author"), text("room"), text("msg"))
        case "presence":
            return Presence(text("room"), field(obj, "count", int))
        case "stop":
            return Stop(optional(obj, "msg", str) or "", optional(obj, "author", str) or "server")
        case "error":
            return Error(text("code"), text("msg"), optional(obj, "author", str) or "server")
    return None

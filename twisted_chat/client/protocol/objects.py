"""The objects of the wire, and the dataclasses that programs get: messages, notices and answers.

An object is a dict. One that cannot be read raises `KeyError`, `TypeError` or `ValueError` (`UNSOUND`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, TypeVar, cast

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


def listed(obj: Object, name: str) -> list[Object]:
    """Return a field that must be there, and be a list of objects."""
    objects: list[Object] = field(obj, name, list)
    if not all(type(one) is dict for one in objects):
        raise TypeError(f"{name} has parts that are no objects")
    return objects


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
    deleted: int | None = None
    """The number of the entry that deleted it, if it was deleted. Its text is empty then."""


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
class DirectInfo:
    """A partner of direct messages, with the newest number of their log."""

    nick: str
    seq: int


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token of an account, without its secret. The times are as on the wire."""

    label: str
    created: str
    used: str | None = None
    """When it was last used to log in."""


@dataclass(frozen=True, slots=True)
class BanInfo:
    """A ban that is in force. The times are as on the wire."""

    who: str
    author: str
    time: str
    until: str | None = None
    """When it ends, if it does."""
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Bans:
    """The bans from a room or from the server: `count` in all, and some of them, sorted."""

    bans: list[BanInfo]
    count: int


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """An entry of the audit log: who did what to whom, when and why."""

    seq: int
    time: str
    type: str
    """The type of the request, such as `kick`."""
    author: str
    account: str | None = None
    """The account of the author, if there is one."""
    room: str | None = None
    target: str | None = None
    """The nick, account or address that it was done to."""
    value: str | None = None
    """What else the type needs: a role, a number of seconds, `on`."""
    until: str | None = None
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """A part of the audit log."""

    actions: list[ActionInfo]
    """The newest first."""
    more: bool
    """True if there are older ones."""


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
class Kicked:
    """`author` put `nick` out of a room. The author is `server` if a ban or a lock did. One's own room is lost then."""

    author: str
    room: str
    nick: str
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Banned:
    """`author` banned `who` from a room, or from the server."""

    author: str
    who: str
    room: str | None = None
    until: str | None = None
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Unbanned:
    """`author` ended the ban of `who`."""

    author: str
    who: str
    room: str | None = None
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Muted:
    """`author` muted `nick` in a room."""

    author: str
    room: str
    nick: str
    until: str | None = None
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Unmuted:
    """`author` let `nick` speak again in a room."""

    author: str
    room: str
    nick: str
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """`author` gave `nick` a role in a room: `owner`, `moderator`, `member` or `none`."""

    author: str
    nick: str
    role: str
    room: str | None = None
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Locked:
    """`author` locked a room or, with `on` false, unlocked it."""

    author: str
    room: str
    on: bool
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Slowed:
    """`author` let each member of a room send one message in so many seconds; 0 ends that."""

    author: str
    room: str
    seconds: int
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Invited:
    """`author` invited `nick`, which is this client, to a room."""

    author: str
    room: str
    nick: str
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """`author` reported the message `of` in a room to the operators, of which this client is one."""

    author: str
    room: str
    of: int
    time: str
    msg: str = ""


@dataclass(frozen=True, slots=True)
class Deleted:
    """`author` deleted the text of the message `of` in a room, or among direct messages (`to`)."""

    author: str
    of: int
    seq: int
    room: str | None = None
    to: str | None = None
    time: str | None = None


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
    return _read_message(obj) if obj.get("to") is None else _read_direct(obj)


def read_page(obj: Object) -> Page:
    """Read a part of a room's history. Entries that are no messages are not in it."""
    messages = [read_message(entry) for entry in listed(obj, "messages") if entry.get("type", "") == ""]
    return Page(messages, field(obj, "more", bool))


def read_members(obj: Object) -> Members:
    """Read the members of a room."""
    members: list[str] = field(obj, "members", list)
    if not all(type(nick) is str for nick in members):
        raise TypeError("a nick is not a string")
    return Members(field(obj, "room", str), members, field(obj, "count", int))


_TYPES: Final[dict[str, type]] = {"str": str, "int": int, "bool": bool}
"""The types of the fields, by their annotations."""


def _reader(kind: type[T]) -> Callable[[Object], T]:
    """Return the function that reads a dataclass from an object. Fields with a default may be missing."""
    readers: list[tuple[str, type, Any]] = [
        (one.name, _TYPES[str(one.type).removesuffix(" | None")], one.default) for one in fields(cast(Any, kind))
    ]

    def read(obj: Object) -> T:
        values: dict[str, Any] = {}
        for name, type, default in readers:
            if default is MISSING or obj.get(name) is not None:
                values[name] = field(obj, name, type)
        return kind(**values)

    return read


def _list_reader(name: str, kind: type[T]) -> Callable[[Object], list[T]]:
    """Return the function that reads a field with a list of objects as one of dataclasses."""
    read = _reader(kind)
    return lambda obj: [read(one) for one in listed(obj, name)]


read_rooms: Final = _list_reader("rooms", RoomInfo)
read_directs: Final = _list_reader("directs", DirectInfo)
read_tokens: Final = _list_reader("tokens", TokenInfo)
_read_bans: Final = _list_reader("bans", BanInfo)
_read_actions: Final = _list_reader("actions", ActionInfo)
_read_message: Final = _reader(Message)
_read_direct: Final = _reader(DirectMessage)


read_deleted: Final = _reader(Deleted)


def entry_seq(obj: Object) -> int:
    """Return the number of an entry of a log, whose fields must all have their types."""
    if obj.get("type") == "delete":
        field(obj, "of", int)
    else:
        field(obj, "msg", str)
        optional(obj, "deleted", int)
    field(obj, "author", str)
    optional(obj, "time", str)
    return field(obj, "seq", int)


def blank(message: Object | None, deletion: Object) -> None:
    """Take the text from a message that is deleted before it was passed on."""
    if message is not None:
        message.update(msg="", deleted=deletion["seq"])
        message.pop("rest", None)


def read_bans(obj: Object) -> Bans:
    """Read the bans from a room or from the server."""
    return Bans(_read_bans(obj), field(obj, "count", int))


def read_audit(obj: Object) -> Audit:
    """Read a part of the audit log."""
    return Audit(_read_actions(obj), field(obj, "more", bool))


Notice = (
    MemberJoined
    | MemberLeft
    | NickChanged
    | TopicChanged
    | Presence
    | Kicked
    | Banned
    | Unbanned
    | Muted
    | Unmuted
    | Granted
    | Locked
    | Slowed
    | Invited
    | Reported
    | Stop
    | Error
)
"""The objects that the server sends without a request."""

_NOTICES: Final[dict[str, Callable[[Object], Notice]]] = {
    "join": _reader(MemberJoined),
    "leave": _reader(MemberLeft),
    "nick": _reader(NickChanged),
    "topic": _reader(TopicChanged),
    "presence": _reader(Presence),
    "kick": _reader(Kicked),
    "ban": _reader(Banned),
    "unban": _reader(Unbanned),
    "mute": _reader(Muted),
    "unmute": _reader(Unmuted),
    "grant": _reader(Granted),
    "lock": _reader(Locked),
    "slow": _reader(Slowed),
    "invite": _reader(Invited),
    "report": _reader(Reported),
    "stop": _reader(Stop),
    "error": _reader(Error),
}


def read_notice(obj: Object) -> Notice | None:
    """Read an object that the server sends without a request. Returns None if its type is not known here."""
    read = _NOTICES.get(obj["type"])
    return None if read is None else read(obj)

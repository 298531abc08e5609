"""The vocabulary of the wire: every object as a typed struct, and how it is read and written.

A client sends one of `Request`; a server answers with one of `Reply`, and tells others with `Message` and `Notice`.
Servers and clients share this module. It knows nothing of sockets and nothing of Twisted.

An object that cannot be read raises `WireError`, whose code is one of `Code`. That is the other side's fault and is
answered; it is never a fault of the program.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

PROTOCOL: Final = 1

MAX_OBJECT: Final = 16_384
"""Bytes of one object, from its brace to its brace: four pages of memory, and far more than a person types."""

MAX_ID: Final = 64
"""Characters of a request's `id`: a UUID with a prefix fits, a text does not."""

MAX_PAGE: Final = 500
"""Messages in one `history`, members in one `members`, rooms in one `rooms`: a page that is read in one go."""

MAX_NESTING: Final = 64
"""Arrays and objects in each other: no request has more than one, and Pythons differ in how many they bear."""

MAX_SEQ: Final = 2**63 - 1
"""The largest number a store has to hold: a signed 64-bit integer."""

Code = Literal[
    "bad-json",
    "bad-message",
    "too-long",
    "unknown-type",
    "not-welcome",
    "bad-nick",
    "nick-taken",
    "auth-failed",
    "bad-room",
    "not-joined",
    "no-such-nick",
    "denied",
    "banned",
    "rate-limited",
    "full",
    "unavailable",
    "internal",
]
"""What can be wrong, for a program."""


class WireError(Exception):
    """What the other side sent cannot be served. It is told `code` and `text`; the connection stays."""

    def __init__(
        self, code: Code, text: str, id: str | None = None, retry: float | None = None, type: str = ""
    ) -> None:
        super().__init__(text)
        self.code: Code = code
        self.text = text
        """What is wrong and what to do, for a person."""
        self.id = id
        """The `id` of the request that failed, where it had one."""
        self.retry = retry
        """Seconds after which the same request would be served, where that is known."""
        self.type = type
        """What the object wanted to be, where it said so."""

    def __len__(self) -> int:
        """Count its bytes as none, where it stands in the place of an object."""
        return 0

    def __bool__(self) -> bool:
        return True


Seq = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
"""A message's number in its room. 0 stands before the first."""

RequestId = Annotated[str, msgspec.Meta(max_length=MAX_ID)]
"""What the client made up to know the answer to a request by."""

Limit = Annotated[int, msgspec.Meta(ge=1)]
"""How many at most; more than `MAX_PAGE` is taken for `MAX_PAGE`."""


Skip = Annotated[int, msgspec.Meta(ge=0, le=MAX_OBJECT)]
"""How many characters of the first message's text are known already."""

Token = Annotated[str, msgspec.Meta(min_length=16, max_length=64)]
"""A secret that a client makes up, long enough that nobody guesses it."""


class _Object(msgspec.Struct, omit_defaults=True, gc=False, tag_field="type"):
    """An object of the wire. Its `type` is the tag of its class; a field with a default is left out where it has it."""


class Request(_Object):
    """What a client asks for."""

    id: RequestId | None = None


class Say(Request, tag=""):
    """A message to a room or, with `to`, to one nick. From a bare client it has neither: it is for the lobby."""

    msg: str = ""
    room: str | None = None
    to: str | None = None


class Hello(Request, tag="hello"):
    """The first object of a client that knows more than three fields."""

    nick: str = ""
    password: str | None = None
    cookie: str | None = None
    """Over UDP: the proof that the address is the client's own."""
    token: Token | None = None
    """The session's secret: a later hello with the same nick and token takes its place."""


class Join(Request, tag="join", kw_only=True):
    """Enter a room; with `since`, hear first what was said after that number."""

    room: str
    since: Seq | None = None


class Leave(Request, tag="leave", kw_only=True):
    """Leave a room."""

    room: str


class History(Request, tag="history", kw_only=True):
    """A page of a room's log: before a number, after one or, with neither, the newest."""

    room: str
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50
    skip: Skip = 0


class Who(Request, tag="who", kw_only=True):
    """The members of a room, those behind `after` in the sorted list."""

    room: str
    after: str = ""


class Rooms(Request, tag="rooms"):
    """The rooms there are."""


class Nick(Request, tag="nick", kw_only=True):
    """Take another nick."""

    nick: str


class Topic(Request, tag="topic", kw_only=True):
    """Set a room's topic; an empty one takes it away."""

    room: str
    msg: str = ""


class Ping(Request, tag="ping"):
    """Is the other side there? Both sides may ask."""


class Pong(Request, tag="pong"):
    """Yes, it is."""


class Quit(Request, tag="quit"):
    """The client goes; `msg` says why."""

    msg: str = ""


AnyRequest = Say | Hello | Join | Leave | History | Who | Rooms | Nick | Topic | Ping | Pong | Quit

Asked = AnyRequest | WireError
"""A request, or what was wrong in the place of one."""


class Envelope(msgspec.Struct, gc=False):
    """What of a datagram is the wire's own affair. No request has fields of these names for anything else."""

    type: str = ""
    id: RequestId | None = None
    n: Seq | None = None
    """A request's number, counted from 1: those that have one are taken in their order, each of them once."""
    token: Token | None = None
    """The session's secret: where its hello has one, each of its datagrams has."""
    nick: str = ""
    cookie: str | None = None


class _Sent(_Object, kw_only=True):
    """What a server sends."""

    n: int | None = None
    """Over UDP, the number of its datagram, counted from 1."""


class Message(_Sent, tag=""):
    """A chat message as others get it. `room`, `seq` and `time` are there unless it was for one nick (`to`)."""

    msg: str
    author: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None
    rest: int | None = None
    """How many characters of the text are missing, since they did not fit into a datagram."""


class BareMessage(msgspec.Struct, gc=False):
    """The three fields of the oldest client, in their order, always all of them."""

    type: str = ""
    msg: str = ""
    author: str = "self"


class Welcome(_Sent, tag="welcome", kw_only=True):
    """The answer to `Hello`."""

    nick: str
    server: str
    protocol: int
    limits: dict[str, int]
    id: str | None = None


class Cookie(_Sent, tag="cookie", kw_only=True):
    """Over UDP, the answer to a hello without one: it is to be said again with this."""

    cookie: str


class Ack(_Sent, tag="ack"):
    """A message is kept (with `seq`), or has reached the one it was for (with `to`)."""

    id: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None


class Joined(_Sent, tag="joined", kw_only=True):
    """The answer to `Join`. `seq` is the newest number, `oldest` the oldest still kept.

    Where nothing was ever said, both are 0; where nothing is kept any more, `oldest` is the number after `seq`.
    """

    room: str
    topic: str
    seq: int
    oldest: int
    count: int
    id: str | None = None


class Left(_Sent, tag="left", kw_only=True):
    """The answer to `Leave`."""

    room: str
    id: str | None = None


class HistoryPage(_Sent, tag="history", kw_only=True):
    """The answer to `History`: messages in the order of their numbers. `more` says that the log goes on beyond them."""

    room: str
    messages: list[Message]
    more: bool
    id: str | None = None


class Members(_Sent, tag="members", kw_only=True):
    """The answer to `Who`: at most `MAX_PAGE` nicks, sorted; `count` is of all members."""

    room: str
    members: list[str]
    count: int
    id: str | None = None


class RoomInfo(msgspec.Struct, gc=False):
    """One line of `RoomList`."""

    room: str
    count: int
    topic: str


class RoomList(_Sent, tag="rooms", kw_only=True):
    """The answer to `Rooms`."""

    rooms: list[RoomInfo]
    id: str | None = None


class MemberJoined(_Sent, tag="join", kw_only=True):
    """Somebody else joined a room one is in."""

    author: str
    room: str


class MemberLeft(_Sent, tag="leave", kw_only=True):
    """Somebody else left a room one is in; `msg` is what they said of it."""

    author: str
    room: str
    msg: str = ""


class NickChanged(_Sent, tag="nick", kw_only=True):
    """`author` is `nick` from now on. To others it comes for each room (`room`); to the one who asked, once."""

    author: str
    nick: str
    room: str | None = None
    id: str | None = None


class TopicChanged(_Sent, tag="topic", kw_only=True):
    """`author` set the topic of `room` to `msg`."""

    author: str
    room: str
    msg: str
    id: str | None = None


class Presence(_Sent, tag="presence", kw_only=True):
    """A large room has `count` members now."""

    room: str
    count: int


class PingSent(_Sent, tag="ping"):
    """The server asks a silent client whether it is there."""


class PongSent(_Sent, tag="pong"):
    """The answer to `Ping`."""

    id: str | None = None


class Stop(_Sent, tag="stop", kw_only=True):
    """The server ends the connection; `msg` says why."""

    msg: str
    author: str
    id: str | None = None


class Error(_Sent, tag="error", kw_only=True):
    """Something was wrong: `code` for a program, `msg` for a person.

    `room`, `to` and `nick` are those of the request, where it had any that can be a name.
    """

    code: Code
    msg: str
    author: str
    id: str | None = None
    retry: float | None = None
    room: str | None = None
    to: str | None = None
    nick: str | None = None


Reply = (
    Welcome
    | Ack
    | Joined
    | Left
    | HistoryPage
    | Members
    | RoomList
    | MemberJoined
    | MemberLeft
    | NickChanged
    | TopicChanged
    | Presence
    | PingSent
    | PongSent
    | Stop
    | Error
    | Message
)
"""Everything that a server sends to a client that said hello."""

SERVER: Final = "server"
"""The author of what no member said."""

_encoder = msgspec.json.Encoder()
_decode_request: Callable[[bytes], AnyRequest] = msgspec.json.Decoder(AnyRequest).decode
_decode_say = msgspec.json.Decoder(Say).decode
_decode_reply: Callable[[bytes], Reply] = msgspec.json.Decoder(Reply).decode
_decode_bare = msgspec.json.Decoder(BareMessage).decode


class _Envelope(msgspec.Struct, gc=False):
    """What is looked at when an object does not fit: what it wanted to be, and whom to tell."""

    type: Any = ""
    id: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_types = frozenset(str(cls.__struct_config__.tag) for cls in get_args(AnyRequest))


TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""A string of JSON, as a pattern: an escaped quote does not end it. Nothing in it is tried twice."""


def _outline() -> bytes:
    inside, other = TEXT, rb'[^\[\]{}"]*+'
    for _ in range(MAX_NESTING):
        container = rb"[\[{]" + other + rb"(?:" + inside + other + rb")*+[\]}]"
        inside = rb"(?:" + TEXT + rb"|" + container + rb")"
    return container


OUTLINE: Final = re.compile(_outline(), re.DOTALL)
"""An object or array from its first bracket to its last one, with at most `MAX_NESTING` levels.

It tells where an object ends, in one pass over its bytes (7 ns for each at worst), not whether it is JSON.
"""


def encode(obj: Any) -> bytes:
    """Write an object, or a part of one, as JSON, in UTF-8, without a line end."""
    return _encoder.encode(obj)


def encode_line(obj: msgspec.Struct) -> bytes:
    """Write an object as a line of the wire."""
    return _encoder.encode(obj) + b"\n"


def decode_request(frame: bytes) -> AnyRequest:
    """Read one object of a client.

    Raises `WireError`: `bad-json` for what is no JSON object, `unknown-type` for a type that no request has,
    `bad-message` for a field of the wrong type or one that is missing.
    """
    try:
        if frame.count(b"[") + frame.count(b"{") > MAX_NESTING and not OUTLINE.match(frame):
            raise RecursionError
        return _decode_request(frame)
    except msgspec.ValidationError as error:
        misfit = error
    except _MALFORMED as error:
        raise bad_json(error) from None
    try:
        return _decode_misfit(frame, misfit)
    except _MALFORMED as error:
        raise bad_json(error) from None


def read_request(frame: bytes | WireError) -> Asked:
    """Read one object of a client, if it is one; what is wrong with it is returned, for its turn to come."""
    if isinstance(frame, WireError):
        return frame
    try:
        return decode_request(frame)
    except WireError as error:
        return error


_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def bad_json(error: Exception) -> WireError:
    """Make the answer to what a decoder could not read as a JSON object."""
    return WireError("bad-json", f"this is no JSON object: {_plain(error)}")


def _decode_misfit(frame: bytes, misfit: msgspec.ValidationError) -> Say:
    """Read an object that names no type, which is a message; raise what is wrong with any other."""
    envelope = _decode_envelope(frame)
    id = envelope.id if isinstance(envelope.id, str) and len(envelope.id) <= MAX_ID else None
    if isinstance(envelope.type, str) and envelope.type not in _types:
        raise WireError("unknown-type", "there is no request of this type", id, type=envelope.type)
    if envelope.type == "" and "`type`" in str(misfit):
        try:
            return _decode_say(_with_type(frame))
        except msgspec.ValidationError as other:
            misfit = other
    type = envelope.type if isinstance(envelope.type, str) else ""
    raise WireError("bad-message", f"a field does not fit: {_plain(misfit)}", id, type=type)


def _with_type(frame: bytes) -> bytes:
    """Name the type of a message that leaves it out, since the decoder goes by it."""
    rest = frame[frame.index(b"{") + 1 :]
    return b'{"type":""' + (b"" if rest.lstrip().startswith(b"}") else b",") + rest


def _plain(error: Exception) -> str:
    """Say what a decoder found, without a character of what it read: that may be a secret."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = str(error)
    return "a value that is not allowed" if text.startswith("Invalid value") else text


def decode_reply(frame: bytes) -> Reply:
    """Read one object of a server; raises `msgspec.DecodeError`, also for a type that this version does not know."""
    return _decode_reply(frame)


def decode_bare(frame: bytes) -> BareMessage:
    """Read one three-field object; raises `msgspec.DecodeError`."""
    return _decode_bare(frame)


@lru_cache(maxsize=1024)  # all of a turn have one
def time_text(milliseconds: int) -> str:
    """Write a time, in milliseconds since 1970, as the wire has it: UTC, RFC 3339, with milliseconds."""
    return f"{_second_text(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=1024)  # of this second and those that are read together: an hour fits
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def time_milliseconds(text: str) -> int:
    """Read a time as `time_text` wrote it, or in another form of RFC 3339, UTC where it names no zone.

    Raises `ValueError`.
    """
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)

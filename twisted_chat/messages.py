"""The objects of the protocol as typed structs, and how they are decoded and encoded.

A client sends one of `AnyRequest`, and the server one of `Reply`. This module knows neither sockets nor Twisted.

An object that cannot be read raises `WireError`, whose code is one of `Code`. This is an error of the peer, which gets
it as an answer, and never one of this program.
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
"""Bytes of an object, from brace to brace: four pages of memory, and far more than a person types."""

MAX_ID: Final = 64
"""Characters of a request's `id`: a UUID with a prefix fits, a text does not."""

MAX_PAGE: Final = 500
"""Messages of a `history`, members of a `members`, rooms of a `rooms`: a page that can be read at once."""

MAX_NESTING: Final = 64
"""Levels of nested arrays and objects. No request has more than one, and Pythons differ in how many they can read."""

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
"""The codes of errors, for programs."""


class WireError(Exception):
    """An error of the peer, which gets `code` and `text` as an answer. The connection stays open."""

    def __init__(
        self, code: Code, text: str, id: str | None = None, retry: float | None = None, type: str = ""
    ) -> None:
        super().__init__(text)
        self.code: Code = code
        self.text = text
        """What is wrong and what to do, for a person."""
        self.id = id
        """The `id` of the request that failed, if it had one."""
        self.retry = retry
        """Seconds after which the same request would be served, if that is known."""
        self.type = type
        """The `type` of the object, if it had one."""

    def __len__(self) -> int:
        """Its size in bytes in place of an object: none."""
        return 0

    def __bool__(self) -> bool:
        return True


Seq = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
"""The number of a message in its room. 0 is before the first message."""

RequestId = Annotated[str, msgspec.Meta(max_length=MAX_ID)]
"""The name that a client gives to a request, and that the answer repeats."""

Limit = Annotated[int, msgspec.Meta(ge=1)]
"""The maximum number of messages; a number above `MAX_PAGE` counts as `MAX_PAGE`."""


Skip = Annotated[int, msgspec.Meta(ge=0, le=MAX_OBJECT)]
"""The number of characters of the first message's text that the client already has."""

Token = Annotated[str, msgspec.Meta(min_length=16, max_length=64)]
"""A secret that a client makes up, and that is too long to be guessed."""


class _Object(msgspec.Struct, omit_defaults=True, gc=False, tag_field="type"):
    """An object of the protocol. Its `type` is the tag of its class. Fields with their default values are left out."""


class Request(_Object):
    """A request of a client."""

    id: RequestId | None = None


class Say(Request, tag=""):
    """A message to a room or, with `to`, to one nick. From a bare client it has neither, and goes to the lobby."""

    msg: str = ""
    room: str | None = None
    to: str | None = None


class Hello(Request, tag="hello"):
    """The first object of a client that is not bare."""

    nick: str = ""
    password: str | None = None
    cookie: str | None = None
    """Over UDP, the proof that the client receives datagrams at its address."""
    token: Token | None = None
    """The session's secret: a later hello with the same nick and token takes its place."""


class Join(Request, tag="join", kw_only=True):
    """Join a room. With `since`, the messages after that number come first."""

    room: str
    since: Seq | None = None


class Leave(Request, tag="leave", kw_only=True):
    """Leave a room."""

    room: str


class History(Request, tag="history", kw_only=True):
    """Read a page of a room's log: before a number, after one or, with neither, the newest."""

    room: str
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50
    skip: Skip = 0


class Who(Request, tag="who", kw_only=True):
    """List the members of a room, from the one behind `after` in the sorted list on."""

    room: str
    after: str = ""


class Rooms(Request, tag="rooms"):
    """List the rooms."""


class Nick(Request, tag="nick", kw_only=True):
    """Change the nick."""

    nick: str


class Topic(Request, tag="topic", kw_only=True):
    """Set the topic of a room; an empty one removes it."""

    room: str
    msg: str = ""


class Ping(Request, tag="ping"):
    """Ask whether the peer is there. Both sides may do so."""


class Pong(Request, tag="pong"):
    """Answer a ping."""


class Quit(Request, tag="quit"):
    """End the connection; `msg` is a farewell."""

    msg: str = ""


AnyRequest = Say | Hello | Join | Leave | History | Who | Rooms | Nick | Topic | Ping | Pong | Quit

Asked = AnyRequest | WireError
"""A request, or the error in place of one."""


class Envelope(msgspec.Struct, gc=False):
    """The fields of a datagram that concern the wire. No request uses these names for anything else."""

    type: str = ""
    id: RequestId | None = None
    n: Seq | None = None
    """The number of a request, from 1 on. Numbered requests are handled in order, and each of them once."""
    token: Token | None = None
    """The session's secret. If its hello has one, each of its datagrams has to have it."""
    nick: str = ""
    cookie: str | None = None


class _Sent(_Object, kw_only=True):
    """An object from the server."""

    n: int | None = None
    """Over UDP, the number of its datagram, counted from 1."""


class Message(_Sent, tag=""):
    """A chat message as others receive it. A direct message has `to` in place of `room` and `seq`."""

    msg: str
    author: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None
    rest: int | None = None
    """The number of characters that are missing from the text because they did not fit into a datagram."""


class BareMessage(msgspec.Struct, gc=False):
    """The three fields of the oldest clients, in this order, and always all of them."""

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
    """Over UDP, the answer to a hello without a cookie: the client repeats it with this one."""

    cookie: str


class Ack(_Sent, tag="ack"):
    """A message is in the log (with `seq`), or has reached its recipient (with `to`)."""

    id: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None


class Joined(_Sent, tag="joined", kw_only=True):
    """The answer to `Join`. `seq` is the newest number, `oldest` the oldest still kept.

    Both are 0 in a room without any message so far. If no message is kept any more, `oldest` is the number after `seq`.
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
    """The answer to `History`: messages in order. `more` is true if the log continues beyond them."""

    room: str
    messages: list[Message]
    more: bool
    id: str | None = None


class Members(_Sent, tag="members", kw_only=True):
    """The answer to `Who`: at most `MAX_PAGE` nicks, sorted. `count` is the number of all members."""

    room: str
    members: list[str]
    count: int
    id: str | None = None


class RoomInfo(msgspec.Struct, gc=False):
    """An entry of `RoomList`."""

    room: str
    count: int
    topic: str


class RoomList(_Sent, tag="rooms", kw_only=True):
    """The answer to `Rooms`."""

    rooms: list[RoomInfo]
    id: str | None = None


class MemberJoined(_Sent, tag="join", kw_only=True):
    """Another member joined the room."""

    author: str
    room: str


class MemberLeft(_Sent, tag="leave", kw_only=True):
    """Another member left the room; `msg` is the farewell."""

    author: str
    room: str
    msg: str = ""


class NickChanged(_Sent, tag="nick", kw_only=True):
    """`author` is now called `nick`. Others receive it for each common room (`room`), the asker once."""

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
    """The number of members of a large room."""

    room: str
    count: int


class PingSent(_Sent, tag="ping"):
    """A question to a silent client whether it is there."""


class PongSent(_Sent, tag="pong"):
    """The answer to `Ping`."""

    id: str | None = None


class Stop(_Sent, tag="stop", kw_only=True):
    """The end of the connection; `msg` says why."""

    msg: str
    author: str
    id: str | None = None


class Error(_Sent, tag="error", kw_only=True):
    """An error: `code` is for programs, `msg` for people.

    `room`, `to` and `nick` are those of the request, if it had any that are valid names.
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
"""All objects that a server sends to a client that has said hello."""

SERVER: Final = "server"
"""The author of objects from the server itself."""

_encoder = msgspec.json.Encoder()
_decode_request: Callable[[bytes], AnyRequest] = msgspec.json.Decoder(AnyRequest).decode
_decode_say = msgspec.json.Decoder(Say).decode
_decode_reply: Callable[[bytes], Reply] = msgspec.json.Decoder(Reply).decode
_decode_bare = msgspec.json.Decoder(BareMessage).decode


class _Envelope(msgspec.Struct, gc=False):
    """The fields that are read from an object that is not valid, for the error."""

    type: Any = ""
    id: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_types = frozenset(str(cls.__struct_config__.tag) for cls in get_args(AnyRequest))


TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""The pattern of a string in JSON, which an escaped quote does not end. It never backtracks."""


def _outline() -> bytes:
    inside, other = TEXT, rb'[^\[\]{}"]*+'
    for _ in range(MAX_NESTING):
        container = rb"[\[{]" + other + rb"(?:" + inside + other + rb")*+[\]}]"
        inside = rb"(?:" + TEXT + rb"|" + container + rb")"
    return container


OUTLINE: Final = re.compile(_outline(), re.DOTALL)
"""The pattern of an object or array from its first bracket to its last, with at most `MAX_NESTING` levels.

It finds the end of an object in one pass over its bytes (7 ns each at worst), and not whether it is JSON.
"""


def encode(obj: Any) -> bytes:
    """Encode an object, or a part of one, as JSON in UTF-8, without a line end."""
    return _encoder.encode(obj)


def encode_line(obj: msgspec.Struct) -> bytes:
    """Encode an object as a line of JSON."""
    return _encoder.encode(obj) + b"\n"


def decode_request(frame: bytes) -> AnyRequest:
    """Decode an object from a client.

    Raises `WireError`: `bad-json` if it is not a JSON object, `unknown-type` if no request has its type, and
    `bad-message` if a field is missing or has the wrong type.
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
    """Decode an object from a client; return the error instead of raising it, so that it is handled in its turn."""
    if isinstance(frame, WireError):
        return frame
    try:
        if frame.count(b"[") + frame.count(b"{") <= MAX_NESTING:
            return _decode_request(frame)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # it is read once more, to find out what is wrong
    try:
        return decode_request(frame)
    except WireError as error:
        return error


_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def bad_json(error: Exception) -> WireError:
    """Return the error for something that is not a JSON object."""
    return WireError("bad-json", f"this is no JSON object: {_plain(error)}")


def _decode_misfit(frame: bytes, misfit: msgspec.ValidationError) -> Say:
    """Decode an object without a type, which is a message; raise the error for any other object."""
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
    """Add the type to a message that leaves it out, since the decoder needs it."""
    rest = frame[frame.index(b"{") + 1 :]
    return b'{"type":""' + (b"" if rest.lstrip().startswith(b"}") else b",") + rest


def _plain(error: Exception) -> str:
    """Return the reason of a decoder's error, without any of its input, which may be a secret."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = str(error)
    return "a value that is not allowed" if text.startswith("Invalid value") else text


def decode_reply(frame: bytes) -> Reply:
    """Decode an object from a server; raises `msgspec.DecodeError`, also for a type that this version does not know."""
    return _decode_reply(frame)


def decode_bare(frame: bytes) -> BareMessage:
    """Decode an object of three fields; raises `msgspec.DecodeError`."""
    return _decode_bare(frame)


@lru_cache(maxsize=1024)  # all messages of a turn have the same time
def time_text(milliseconds: int) -> str:
    """Format a time, in milliseconds since 1970, as RFC 3339 in UTC with milliseconds."""
    return f"{_second_text(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=1024)  # the seconds of messages that are sent or read together
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def time_milliseconds(text: str) -> int:
    """Parse a time in the format of `time_text` or another form of RFC 3339, which is UTC if it has no zone.

    Raises `ValueError`.
    """
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)

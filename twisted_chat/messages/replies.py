"""The objects that the server sends: answers, messages, notices."""

from __future__ import annotations

from typing import Final

import msgspec

from .errors import Code
from .fields import Object


class Sent(Object, kw_only=True):
    """An object from the server."""

    n: int | None = None
    """Over UDP, the number of its datagram, counted from 1."""


class Message(Sent, tag=""):
    """A chat message as others receive it. A direct message has `to` in place of `room`, and a `seq` if it is kept."""

    msg: str
    author: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None
    deleted: int | None = None
    """The number of the entry that took its text away."""
    rest: int | None = None
    """The number of characters that are missing from the text because they did not fit into a datagram."""


class Deleted(Sent, tag="delete", kw_only=True):
    """The text of the message `of` was taken away, in an entry with the number `seq`.

    As the answer to a request about all that somebody said, it has `by` and `count` in place of these.
    """

    author: str
    room: str | None = None
    to: str | None = None
    of: int | None = None
    seq: int | None = None
    time: str | None = None
    by: str | None = None
    count: int | None = None
    id: str | None = None


class BareMessage(msgspec.Struct, gc=False):
    """The three fields of the oldest clients, in this order, and always all of them."""

    type: str = ""
    msg: str = ""
    author: str = "self"


class Welcome(Sent, tag="welcome", kw_only=True):
    """The answer to `Hello`."""

    nick: str
    server: str
    protocol: int
    limits: dict[str, int]
    account: bool = False
    """True where the nick is an account, and its owner has logged in."""
    guests: bool = True
    """False for a nick that has to be registered first, since the server has no guests."""
    id: str | None = None


class Cookie(Sent, tag="cookie", kw_only=True):
    """Over UDP, the answer to a hello without a cookie: the client repeats it with this one."""

    cookie: str


class Ack(Sent, tag="ack"):
    """A message is in the log (with `seq`), or has reached its recipient (with `to`)."""

    id: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None


class Joined(Sent, tag="joined", kw_only=True):
    """The answer to `Join`. `seq` is the newest number, `oldest` the oldest still kept.

    Both are 0 in a room without any message so far. If no message is kept any more, `oldest` is the number after `seq`.
    """

    room: str
    topic: str
    seq: int
    oldest: int
    count: int
    role: str = ""
    """What the account may do in the room: `member`, `moderator`, `owner` or `operator`; empty for everybody else."""
    id: str | None = None


class Left(Sent, tag="left", kw_only=True):
    """The answer to `Leave`."""

    room: str
    id: str | None = None


class HistoryPage(Sent, tag="history", kw_only=True):
    """The answer to `History`: messages in order. `more` is true if the log continues beyond them."""

    room: str | None = None
    to: str | None = None
    messages: list[Message]
    more: bool
    id: str | None = None


class DirectInfo(msgspec.Struct, gc=False):
    """An entry of `DirectList`: a partner, and the newest number."""

    nick: str
    seq: int


class DirectList(Sent, tag="directs", kw_only=True):
    """The answer to `ListDirects`."""

    directs: list[DirectInfo]
    id: str | None = None


class Members(Sent, tag="members", kw_only=True):
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


class RoomList(Sent, tag="rooms", kw_only=True):
    """The answer to `ListRooms`."""

    rooms: list[RoomInfo]
    id: str | None = None


class MemberJoined(Sent, tag="join", kw_only=True):
    """Another member joined the room."""

    author: str
    room: str


class MemberLeft(Sent, tag="leave", kw_only=True):
    """Another member left the room; `msg` is the farewell."""

    author: str
    room: str
    msg: str = ""


class NickChanged(Sent, tag="nick", kw_only=True):
    """`author` is now called `nick`. Others receive it for each common room (`room`), the asker once."""

    author: str
    nick: str
    room: str | None = None
    id: str | None = None


class TopicChanged(Sent, tag="topic", kw_only=True):
    """`author` set the topic of `room` to `msg`."""

    author: str
    room: str
    msg: str
    id: str | None = None


class Presence(Sent, tag="presence", kw_only=True):
    """The number of members of a large room."""

    room: str
    count: int


class PingSent(Sent, tag="ping"):
    """A question to a silent client whether it is there."""


class PongSent(Sent, tag="pong"):
    """The answer to `Ping`."""

    id: str | None = None


class Stop(Sent, tag="stop", kw_only=True):
    """The end of the connection; `msg` says why."""

    msg: str
    author: str
    id: str | None = None
    code: str | None = None
    """Why, for a program that should not connect again by itself."""


class Error(Sent, tag="error", kw_only=True):
    """An error: `code` is for programs, `msg` for people.

    `room`, `to` and `nick` are those of the request, if it had any that are valid names.
    """

    code: Code
    msg: str
    author: str
    id: str | None = None
    retry: float | None = None
    until: str | None = None
    """When a ban ends, if it does."""
    room: str | None = None
    to: str | None = None
    nick: str | None = None


class Registered(Sent, tag="registered", kw_only=True):
    """The answer to `Register`. With `pending`, an operator has to let the account in first."""

    nick: str
    pending: bool = False
    id: str | None = None


class PasswordChanged(Sent, tag="password", kw_only=True):
    """The answer to `ChangePassword`."""

    id: str | None = None


class TokenMade(Sent, tag="token", kw_only=True):
    """The answer to `MakeToken`: the secret, which is shown this once."""

    token: str
    label: str
    id: str | None = None


class TokenInfo(msgspec.Struct, gc=False, omit_defaults=True):
    """An entry of `TokenList`."""

    label: str
    created: str
    used: str | None = None


class TokenList(Sent, tag="tokens", kw_only=True):
    """The answer to `ListTokens`."""

    tokens: list[TokenInfo]
    id: str | None = None


class TokenRevoked(Sent, tag="token-revoked", kw_only=True):
    """The answer to `RevokeToken`."""

    label: str
    id: str | None = None


class Kicked(Sent, tag="kick", kw_only=True):
    """`author` put `nick` out of `room`."""

    author: str
    room: str
    nick: str
    msg: str = ""
    id: str | None = None


class Banned(Sent, tag="ban", kw_only=True):
    """`author` banned `who` from `room`, or from the server."""

    author: str
    who: str
    room: str | None = None
    until: str | None = None
    msg: str = ""
    id: str | None = None


class Unbanned(Sent, tag="unban", kw_only=True):
    """`author` ended the ban of `who`."""

    author: str
    who: str
    room: str | None = None
    msg: str = ""
    id: str | None = None


class BanInfo(msgspec.Struct, gc=False, omit_defaults=True):
    """An entry of `BanList`."""

    who: str
    author: str
    time: str
    until: str | None = None
    msg: str = ""


class BanList(Sent, tag="bans", kw_only=True):
    """The answer to `ListBans`: at most `MAX_PAGE` bans, sorted. `count` is the number of all."""

    bans: list[BanInfo]
    count: int
    room: str | None = None
    id: str | None = None


class Muted(Sent, tag="mute", kw_only=True):
    """`author` muted `nick` in `room`."""

    author: str
    room: str
    nick: str
    until: str | None = None
    msg: str = ""
    id: str | None = None


class Unmuted(Sent, tag="unmute", kw_only=True):
    """`author` ended the mute of `nick` in `room`."""

    author: str
    room: str
    nick: str
    msg: str = ""
    id: str | None = None


class Granted(Sent, tag="grant", kw_only=True):
    """`author` gave `nick` a role in `room`, or on the server."""

    author: str
    nick: str
    role: str
    room: str | None = None
    msg: str = ""
    id: str | None = None


class Locked(Sent, tag="lock", kw_only=True):
    """`author` locked `room`, or with `on` false unlocked it."""

    author: str
    room: str
    on: bool
    msg: str = ""
    id: str | None = None


class Invited(Sent, tag="invite", kw_only=True):
    """`author` invited `nick` to `room`."""

    author: str
    room: str
    nick: str
    msg: str = ""
    id: str | None = None


class Slowed(Sent, tag="slow", kw_only=True):
    """`author` let each member of `room` say one message in so many seconds; 0 ends that."""

    author: str
    room: str
    seconds: int
    msg: str = ""
    id: str | None = None


class Reported(Sent, tag="report", kw_only=True):
    """`author` reported a message to the operators; the answer to `SendReport`, too."""

    author: str
    room: str
    of: int
    time: str
    msg: str = ""
    id: str | None = None


class ActionInfo(msgspec.Struct, gc=False, omit_defaults=True):
    """An entry of `AuditPage`: who did what to whom, when and why."""

    seq: int
    time: str
    type: str
    """The type of the request."""
    author: str
    account: str | None = None
    """The author's account, if it has one."""
    room: str | None = None
    target: str | None = None
    value: str | None = None
    """The role, the seconds, the number of a message: what the type needs."""
    until: str | None = None
    msg: str = ""


class AuditPage(Sent, tag="audit", kw_only=True):
    """The answer to `ReadAudit`: newest first. `more` is true if there are older ones."""

    actions: list[ActionInfo]
    more: bool
    room: str | None = None
    id: str | None = None


Reply = (
    Welcome
    | Ack
    | Joined
    | Left
    | HistoryPage
    | Members
    | RoomList
    | DirectList
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
    | Deleted
    | Registered
    | PasswordChanged
    | TokenMade
    | TokenList
    | TokenRevoked
    | Kicked
    | Banned
    | Unbanned
    | BanList
    | Muted
    | Unmuted
    | Granted
    | Locked
    | Invited
    | Slowed
    | Reported
    | AuditPage
)
"""All objects that a server sends to a client that has said hello."""

SERVER: Final = "server"
"""The author of objects from the server itself."""

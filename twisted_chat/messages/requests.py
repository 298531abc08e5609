"""The requests of a client."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .errors import WireError
from .fields import MAX_PAGE, Label, Limit, Object, Password, RequestId, Seconds, Seq, Skip, Token


class Request(Object):
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
    password: Password | None = None
    cookie: str | None = None
    """Over UDP, the proof that the client receives datagrams at its address."""
    token: Token | None = None
    """The session's secret: a later hello with the same nick and token takes its place."""
    direct: Annotated[dict[str, Seq], msgspec.Meta(max_length=MAX_PAGE)] | None = None
    """The newest number of the direct messages with each partner that the client has: what came later is replayed."""


class Join(Request, tag="join", kw_only=True):
    """Join a room. With `since`, the messages after that number come first."""

    room: str
    since: Seq | None = None


class Leave(Request, tag="leave", kw_only=True):
    """Leave a room."""

    room: str


class History(Request, tag="history", kw_only=True):
    """Read a page of a room's log, or of the direct messages with an account: the newest, or from a number on."""

    room: str | None = None
    to: str | None = None
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50
    skip: Skip = 0


class Who(Request, tag="who", kw_only=True):
    """List the members of a room, sorted, from the first one after `after` on."""

    room: str
    after: str = ""


class ListRooms(Request, tag="rooms"):
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


class ListDirects(Request, tag="directs"):
    """List the accounts with which one has exchanged direct messages."""


class Register(Request, tag="register", kw_only=True):
    """Make the nick an account."""

    password: Password


class ChangePassword(Request, tag="password", kw_only=True):
    """Change the password of an account. With `revoke`, all its tokens end, and so do its other connections."""

    old: Password
    new: Password
    revoke: bool = False


class MakeToken(Request, tag="token", kw_only=True):
    """Make a token, which logs in like the password; an older one with the same label ends."""

    label: Label


class ListTokens(Request, tag="tokens"):
    """List the tokens of an account."""


class RevokeToken(Request, tag="revoke-token", kw_only=True):
    """End a token."""

    label: str


class Kick(Request, tag="kick", kw_only=True):
    """Put somebody out of a room. They may come back."""

    room: str
    nick: str
    msg: str = ""


class Ban(Request, tag="ban", kw_only=True):
    """Ban a nick, an account, an address or a network from a room or, without `room`, from the server."""

    who: str
    room: str | None = None
    seconds: Seconds | None = None
    msg: str = ""


class Unban(Request, tag="unban", kw_only=True):
    """End a ban."""

    who: str
    room: str | None = None
    msg: str = ""


class ListBans(Request, tag="bans", kw_only=True):
    """List the bans of a room or of the server, sorted, from the first one after `after` on."""

    room: str | None = None
    after: str = ""


class Mute(Request, tag="mute", kw_only=True):
    """Forbid somebody to speak in a room."""

    room: str
    nick: str
    seconds: Seconds | None = None
    msg: str = ""


class Unmute(Request, tag="unmute", kw_only=True):
    """End a mute."""

    room: str
    nick: str
    msg: str = ""


class Grant(Request, tag="grant", kw_only=True):
    """Give an account a role in a room or, without `room`, let it in (`member`) or shut it out (`none`)."""

    nick: str
    role: Literal["owner", "moderator", "member", "none"]
    room: str | None = None
    msg: str = ""


class Lock(Request, tag="lock", kw_only=True):
    """Lock a room for everybody but its members and invited guests; with `on` false, open it."""

    room: str
    on: bool
    msg: str = ""


class Invite(Request, tag="invite", kw_only=True):
    """Invite somebody to a locked room."""

    room: str
    nick: str
    msg: str = ""


class Slow(Request, tag="slow", kw_only=True):
    """Set the seconds between two messages of a member of a room; 0 ends that."""

    room: str
    seconds: Annotated[int, msgspec.Meta(ge=0, le=24 * 60 * 60)]
    msg: str = ""


class Delete(Request, tag="delete", kw_only=True):
    """Take away the text of a message, or of all that somebody said in a room or, without `room`, everywhere."""

    room: str | None = None
    to: str | None = None
    of: Seq | None = None
    by: str | None = None
    msg: str = ""


class SendReport(Request, tag="report", kw_only=True):
    """Report a message to the operators."""

    room: str
    of: Seq
    msg: str = ""


class ReadAudit(Request, tag="audit", kw_only=True):
    """Read who did what to whom in a room or, without `room`, everywhere: the newest before `before`."""

    room: str | None = None
    before: Seq | None = None
    limit: Limit = 50


AnyRequest = (
    Say
    | Hello
    | Join
    | Leave
    | History
    | Who
    | ListRooms
    | Nick
    | Topic
    | Ping
    | Pong
    | Quit
    | ListDirects
    | Register
    | ChangePassword
    | MakeToken
    | ListTokens
    | RevokeToken
    | Kick
    | Ban
    | Unban
    | ListBans
    | Mute
    | Unmute
    | Grant
    | Lock
    | Invite
    | Slow
    | Delete
    | SendReport
    | ReadAudit
)


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

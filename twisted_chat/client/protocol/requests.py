"""The requests of a client, and the functions that read their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from . import objects
from .objects import Object

Kind = Literal[
    "message",
    "topic",
    "nick",
    "members",
    "rooms",
    "history",
    "register",
    "login",
    "password",
    "token",
    "tokens",
    "revoke-token",
    "kick",
    "ban",
    "unban",
    "bans",
    "mute",
    "unmute",
    "grant",
    "lock",
    "invite",
    "slow",
    "delete",
    "delete-all",
    "report",
    "audit",
    "directs",
    "join",
    "leave",
    "hello",
    "ping",
    "quit",
]
"""The kinds of requests. Those from `join` on are the engine's own."""


@dataclass(eq=False, slots=True)
class Request:
    """A request or message: what it is and about whom, and the server's number and time of an acked message."""

    kind: Kind
    room: str | None = None
    """The room that it is about, if any."""
    nick: str | None = None
    """The recipient of a direct message, the new nick, or the nick that it is about."""
    text: str | None = field(default=None, repr=False)
    """The text of the message, or the new topic. It is not in the `repr`, which may be logged."""
    seq: int | None = None
    """The number of a message in its log, once it is acked. A message that is not kept has none."""
    time: str | None = None
    """The server's time of a message, as on the wire, once it is acked."""
    id: str = ""
    """The id that its answer carries on the wire."""

    @property
    def changes(self) -> bool:
        """True if something is lost without an answer, as with a message or a topic. The others are questions."""
        return ROWS[self.kind].changes

    @property
    def refusal(self) -> str:
        """The words for a person when it is refused, before the server's reason. They never contain the text."""
        where = self.room if self.room is not None else "the server"
        return ROWS[self.kind].refusal.format(room=where, nick=self.nick, to=self.nick or self.room)


class Row(NamedTuple):
    """The properties of a kind of request."""

    answer: str
    """The type of the answer."""
    read: Callable[[Object], Any]
    """The function that reads the answer. The engine reads those that are passed on whole."""
    refusal: str = ""
    """The words for a person when it is refused; empty if the client itself is, or if nobody waits for an answer."""
    changes: bool = False
    """True if something is lost without an answer."""


def _whole(obj: Object) -> Object:
    return obj


def _nothing(_: Object) -> None:
    return None


ROWS: Final[dict[Kind, Row]] = {
    "message": Row("ack", _whole, "a message to {to} was refused", changes=True),
    "topic": Row("topic", _nothing, "the topic of {room} was not changed", changes=True),
    "nick": Row(
        "nick", lambda obj: objects.field(obj, "nick", str), "the nick was not changed to {nick}", changes=True
    ),
    "members": Row("members", objects.read_members, "the members of {room} cannot be listed"),
    "rooms": Row("rooms", objects.read_rooms, "the rooms cannot be listed"),
    "history": Row("history", _whole, "the history of {to} cannot be read"),
    "register": Row(
        "registered",
        lambda obj: not objects.optional(obj, "pending", bool),
        "the nick was not registered",
        changes=True,
    ),
    "login": Row("stop", _nothing, "you are not logged in as {nick}", changes=True),
    "password": Row("password", _nothing, "the password was not changed", changes=True),
    "token": Row("token", lambda obj: objects.field(obj, "token", str), "no token was made", changes=True),
    "tokens": Row("tokens", objects.read_tokens, "the tokens cannot be listed"),
    "revoke-token": Row("token-revoked", _nothing, "the token was not revoked", changes=True),
    "kick": Row("kick", _nothing, "{nick} was not put out of {room}", changes=True),
    "ban": Row("ban", _nothing, "{nick} was not banned from {room}", changes=True),
    "unban": Row("unban", _nothing, "the ban of {nick} from {room} was not ended", changes=True),
    "bans": Row("bans", objects.read_bans, "the bans from {room} cannot be listed"),
    "mute": Row("mute", _nothing, "{nick} was not muted in {room}", changes=True),
    "unmute": Row("unmute", _nothing, "the mute of {nick} in {room} was not ended", changes=True),
    "grant": Row("grant", _nothing, "the role of {nick} in {room} was not changed", changes=True),
    "lock": Row("lock", _nothing, "{room} was neither locked nor unlocked", changes=True),
    "invite": Row("invite", _nothing, "{nick} was not invited to {room}", changes=True),
    "slow": Row("slow", _nothing, "the slow mode of {room} was not changed", changes=True),
    "delete": Row("ack", _whole, "the message to {to} was not deleted", changes=True),
    "delete-all": Row(
        "delete", lambda obj: objects.field(obj, "count", int), "nothing of {nick} was deleted in {room}", changes=True
    ),
    "report": Row("report", _nothing, "the message in {room} was not reported", changes=True),
    "audit": Row("audit", objects.read_audit, "what was done in {room} cannot be listed"),
    "directs": Row("directs", _whole, "the direct conversations cannot be listed"),
    "join": Row("joined", _whole, "{room} cannot be joined"),
    "leave": Row("left", _nothing, "{room} cannot be left"),
    "hello": Row("welcome", _whole),
    "ping": Row("pong", _nothing),
    "quit": Row("stop", _nothing),
}
"""All kinds of requests."""

"""The requests about accounts and about order, as values.

Each function here is one method of a client or of a room, in both libraries (`shell.asking`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from .objects import Audit, Bans, Object, TokenInfo
from .requests import Kind

T = TypeVar("T")

Role = Literal["owner", "moderator", "member", "none"]
"""The role of an account in a room."""


@dataclass(frozen=True, slots=True)
class Action(Generic[T]):
    """A request before it is made. `T` is the type of its answer, for those who check types."""

    kind: Kind
    obj: Object = field(repr=False)
    """The request on the wire, without an id. It may contain a secret."""
    room: str | None = None
    nick: str | None = None
    text: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    """The password with which the client says hello from the answer on."""


def register(password: str) -> Action[bool]:
    """Make the nick an account with this password. False if an operator has to let it in first."""
    return Action("register", {"type": "register", "password": password}, password=password)


def log_in(nick: str, password: str) -> Action[str]:
    """Log in to an account with its password or a token: connect anew under its nick. Rooms are joined again.

    The answer is the nick in the server's spelling. If the server refuses, everything stays as it was.
    """
    return Action("login", {"type": "quit"}, nick=nick, password=password)


def change_password(old: str, new: str, revoke: bool = False) -> Action[None]:
    """Change the password of the account. With `revoke`, its tokens and its other connections end."""
    obj = {"type": "password", "old": old, "new": new} | ({"revoke": True} if revoke else {})
    return Action("password", obj, password=new)


def make_token(label: str) -> Action[str]:
    """Make a token, a secret that logs in like the password. An older one with the same label ends."""
    return Action("token", {"type": "token", "label": label})


def tokens() -> Action[list[TokenInfo]]:
    """List the tokens of the account: their labels, and when each was made and last used."""
    return Action("tokens", {"type": "tokens"})


def revoke_token(label: str) -> Action[None]:
    """End a token."""
    return Action("revoke-token", {"type": "revoke-token", "label": label})


# In a room. Where a room may be None, the request is about the whole server, and for its operators.


def kick(room: str, nick: str, reason: str = "") -> Action[None]:
    """Put somebody out of a room. They may come back."""
    return _about(room, "kick", nick=nick, msg=reason)


def ban(room: str | None, who: str, seconds: int | None = None, reason: str = "") -> Action[None]:
    """Keep a nick or an account out, for so many seconds or until `unban`. Operators may name an address or a network.

    The ban of a guest is also one of the other guests from the same address.
    """
    return _about(room, "ban", who=who, seconds=seconds, msg=reason)


def unban(room: str | None, who: str, reason: str = "") -> Action[None]:
    """End a ban."""
    return _about(room, "unban", who=who, msg=reason)


def bans(room: str | None, after: str = "") -> Action[Bans]:
    """List the bans: their `count`, and up to 500 of them after the one of `after`, sorted."""
    return _about(room, "bans", after=after)


def mute(room: str, nick: str, seconds: int | None = None, reason: str = "") -> Action[None]:
    """Let somebody read but not speak, for so many seconds or until `unmute`."""
    return _about(room, "mute", nick=nick, seconds=seconds, msg=reason)


def unmute(room: str, nick: str, reason: str = "") -> Action[None]:
    """Let somebody speak again."""
    return _about(room, "unmute", nick=nick, msg=reason)


def grant(room: str | None, nick: str, role: Role, reason: str = "") -> Action[None]:
    """Give an account a role in a room: owner, moderator, member or none.

    On the server, `member` lets in an account that waits for approval, and `none` shuts one out.
    """
    return _about(room, "grant", nick=nick, role=role, msg=reason)


def lock(room: str, on: bool = True, reason: str = "") -> Action[None]:
    """Let only members and invited nicks enter; with `on` false, everybody."""
    return _about(room, "lock", on=on, msg=reason)


def invite(room: str, nick: str, reason: str = "") -> Action[None]:
    """Let somebody enter a room that is locked, and tell them."""
    return _about(room, "invite", nick=nick, msg=reason)


def slow(room: str, seconds: int, reason: str = "") -> Action[None]:
    """Let each member send one message in so many seconds; 0 ends that."""
    return _about(room, "slow", seconds=seconds, msg=reason)


def delete(room: str, of: int, reason: str = "") -> Action[int]:
    """Delete the text of a message: one's own or, for moderators, anybody's. The answer is the entry's number."""
    return _about(room, "delete", of=of, msg=reason)


def delete_direct(nick: str, of: int) -> Action[int]:
    """Delete the text of one's own message among the direct messages with an account, as `Room.delete` does."""
    return Action("delete", {"type": "delete", "to": nick, "of": of}, nick=nick)


def delete_all(room: str | None, by: str, reason: str = "") -> Action[int]:
    """Delete the texts of all messages of somebody. The answer is their number, once all of them are deleted."""
    fields = {"room": room, "by": by, "msg": reason}
    obj = {"type": "delete", **{name: value for name, value in fields.items() if value}}
    return Action("delete-all", obj, room, by)


def report(room: str, of: int, reason: str = "") -> Action[None]:
    """Report a message to the operators."""
    return _about(room, "report", of=of, msg=reason)


def audit(room: str | None, before: int | None = None, limit: int = 50) -> Action[Audit]:
    """Read who did what to whom, and why: up to `limit` actions before a number, newest first."""
    return _about(room, "audit", before=before, limit=limit)


def _about(room: str | None, kind: Kind, **fields: Any) -> Action[Any]:
    """Make an action from the fields of its request. Those that are empty are left out."""
    given = {name: value for name, value in {"room": room, **fields}.items() if value is not None and value != ""}
    return Action(kind, {"type": kind, **given}, room, fields.get("nick", fields.get("who")))

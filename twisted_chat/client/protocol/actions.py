"""The requests about accounts, as values: what a client asks with one of them, and of which kind the answer is.

Each function here is one method of a client or of a room, in both libraries (`shell.asking`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from .objects import Object, TokenInfo
from .requests import Kind

T = TypeVar("T")


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

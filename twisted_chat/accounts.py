"""The words of a registry of accounts: who somebody is, and what they may do where.

What `log.py` is for logs, this is for accounts: a store that has accounts offers `Accounts`. `Anybody` is the registry
that has none: everybody is a guest.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

import msgspec
from twisted.internet.defer import Deferred, fail, succeed

from .limits import Limits
from .messages import WireError
from .names import Name


class Role(IntEnum):
    """What somebody may do. Each role may do what those before it may, and more."""

    STRANGER = 0
    """Has not said hello, and may do nothing else."""
    GUEST = 1
    """Has a nick."""
    MEMBER = 2
    """Is known in a room: may enter it when it is locked."""
    MODERATOR = 3
    """Keeps the peace in a room."""
    OWNER = 4
    """Says who the moderators are."""


class Account(msgspec.Struct, frozen=True):
    """A nick that belongs to somebody, who has a password for it."""

    name: Name


class Accounts(Protocol):
    """A registry of accounts."""

    def log_in(self, nick: Name, password: str | None) -> Deferred[Account | None]:
        """Find out who says hello; None is a guest. Fails with `WireError` (`auth-failed`) or with `Unavailable`."""

    def role(self, account: Account | None, room: Name | None) -> Role:
        """Tell what somebody may do in a room, or where none is meant: at once, since every request asks."""

    def limits(self, account: Account | None, limits: Limits) -> Limits:
        """Tell the limits of somebody, given those of everybody."""


class Anybody:
    """The registry without accounts: a nick is taken by whoever says hello with it first."""

    def log_in(self, nick: Name, password: str | None) -> Deferred[Account | None]:
        if password is None:
            return succeed(None)
        return fail(WireError("auth-failed", "there are no accounts here: say hello without a password"))

    def role(self, account: Account | None, room: Name | None) -> Role:
        return Role.GUEST

    def limits(self, account: Account | None, limits: Limits) -> Limits:
        return limits

"""Who somebody is: what the chat needs of a registry of accounts.

`Anybody` has no accounts: everybody is a guest, and there is nobody who may moderate.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed

from .limits import Limits
from .messages import WireError
from .names import Name
from .rules import Account, Rules


class Accounts(Protocol):
    """The accounts, as the chat sees them."""

    rules: Rules
    """The rules that are in force."""

    def log_in(self, nick: Name, password: str | None, address: str) -> Deferred[Account | None]:
        """Find out who says hello, from which address; None is a guest.

        Fails with `WireError` (`auth-failed`, `nick-taken`, `denied`, `rate-limited`) or with `Unavailable`.
        """

    def limits(self, account: Account | None, limits: Limits) -> Limits:
        """Tell the limits of somebody, given those of everybody."""


class Anybody:
    """The registry without accounts: a nick is taken by whoever says hello with it first."""

    def __init__(self) -> None:
        self.rules = Rules()

    def log_in(self, nick: Name, password: str | None, address: str) -> Deferred[Account | None]:
        if password is None:
            return succeed(None)
        return fail(WireError("auth-failed", "there are no accounts here: say hello without a password"))

    def limits(self, account: Account | None, limits: Limits) -> Limits:
        return limits

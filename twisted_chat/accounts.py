"""Identity: the interface of accounts for the chat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from .limits import Limits
from .names import Name
from .registry import Registry, StoredToken
from .rules import Account, Rules


class Accounts(Protocol):
    """The accounts, as the chat knows them."""

    registry: Registry
    """The store of accounts, and of the actions of moderators."""
    rules: Rules
    """The rules that are in force."""
    guests: bool
    """True if a nick without an account may do more than register."""
    logins: Counter[str]
    """The attempts to log in, by their result: `succeeded`, `failed`, or `limited` without a look at the secret."""

    def log_in(self, nick: Name, password: str | None, address: str) -> Deferred[Account | None]:
        """Find out who says hello, from which address; None is a guest.

        Fails with `WireError` (`auth-failed`, `nick-taken`, `denied`, `rate-limited`) or with `Unavailable`.
        """

    def check_guest(self, nick: Name) -> Deferred[None]:
        """Fire if somebody may have a nick without logging in. Fails as `log_in` does."""

    def follow(self, heard: Callable[[str], object]) -> None:
        """Call `heard` with the key of each account whose sessions have to end."""

    def limits(self, account: Account | None, limits: Limits) -> Limits:
        """Return the limits of an account, given those of everybody."""

    def register(self, nick: Name, password: str, address: str, is_local: bool = False) -> Deferred[Account | None]:
        """Make a nick an account. Fires with None if an operator has to let it in first. Fails with `WireError`.

        `is_local` is true for somebody on this machine, who may register the account of an operator.
        """

    def change_password(self, account: Account, old: str, new: str, revoke: bool) -> Deferred[None]:
        """Change a password. With `revoke`, all tokens end. Fails with `WireError`."""

    def make_token(self, account: Account, label: str) -> Deferred[str]:
        """Make a token. Fires with its secret. Fails with `WireError` (`full`)."""

    def tokens(self, account: Account) -> Deferred[list[StoredToken]]:
        """List the tokens of an account, by label."""

    def revoke_token(self, account: Account, label: str) -> Deferred[int]:
        """End a token. Fires with the number of tokens with this label."""

"""The interface to the limits that the servers of a cluster share.

Most limits protect one server: each counts by itself, and a cluster of three takes three times as much. The limits here
are about an attacker, who must not gain by using all servers: wrong passwords, and what an address or an account may do
a few times an hour.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred


class Growth(NamedTuple):
    """The growth of the pauses after wrong passwords."""

    free: int
    """The number of wrong passwords without a pause: people mistype them."""
    first: float
    """Seconds of the first pause; each later one takes twice as long."""
    longest: float
    """Seconds of the longest one."""


ACCOUNT: Final = Growth(free=5, first=1.0, longest=60.0)
"""A minute for each guess leaves half a million a year, and an owner at a new address waits no longer than that."""

ADDRESS: Final = Growth(free=10, first=1.0, longest=900.0)
"""An office may mistype ten in a row; a quarter of an hour for each guess leaves a hundred a day."""

FORGET_SECONDS: Final = 3600.0
"""The time without a wrong password after which none counts any more."""


class Permission(NamedTuple):
    """The answer to a log-in that wants its password compared."""

    wait: float = 0.0
    """Seconds of the pause that is left; 0 if there is none."""
    is_busy: bool = False
    """True if another password, at some server, is being compared in its place."""


class SharedLimits(Protocol):
    """The limits that the servers share. Networks are those of `limits.network_of`. All fail with `Unavailable`."""

    def begin_login(self, account: str, network: str) -> Deferred[Permission]:
        """Ask whether a password may be compared, given the key of the account.

        After `free` wrong ones, one password is compared at a time at all servers together.
        """

    def login_failed(self, account: str, network: str) -> Deferred[None]:
        """Count a wrong password."""

    def login_succeeded(self, account: str, network: str) -> Deferred[None]:
        """Forget the wrong passwords of an account, and remember that its owner was there."""

    def note_owner(self, account: str, network: str) -> Deferred[None]:
        """Remember that the owner of an account was in a network: the account's pauses are not for people there."""

    def take(self, key: str, rate: float, burst: float) -> Deferred[float]:
        """Take a token from the bucket of a key (see `limits.Bucket`).

        Fires with the seconds until there is one, and 0 if there was.
        """

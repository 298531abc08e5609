"""Pauses after wrong passwords, which grow: by account, and by address.

The pause of an account is short, or somebody who guesses its password would lock its owner out. It does not apply to
addresses from which its owner has logged in. The pause of an address is long. Sessions that are logged in already do
not notice any pause.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from .limits import duration, network_of
from .messages import WireError

_K = TypeVar("_K")
_V = TypeVar("_V")


class _Failures(NamedTuple):
    """The wrong passwords of an account or an address."""

    number: int
    last: float
    until: float
    """The end of the pause."""


class Growth(NamedTuple):
    """The growth of the pauses after wrong passwords."""

    free: int
    """The number of wrong passwords without a pause: people mistype them."""
    first: float
    """Seconds of the first pause; each later one takes twice as long."""
    longest: float
    """Seconds of the longest one."""

    def after(self, number: int, last: float) -> _Failures:
        """Return the pause after so many wrong passwords, the last of which came at a time in seconds."""
        beyond = number - self.free
        pause = 0.0 if beyond < 0 else min(self.longest, self.first * 2.0 ** min(beyond, 30))
        return _Failures(number, last, last + pause)


ACCOUNT: Final = Growth(free=5, first=1.0, longest=60.0)
"""A minute for each guess leaves half a million a year, and an owner at a new address waits no longer than that."""

ADDRESS: Final = Growth(free=10, first=1.0, longest=900.0)
"""An office may mistype ten in a row; a quarter of an hour for each guess leaves a hundred a day."""

FORGET_SECONDS: Final = 3600.0
"""The time without a wrong password after which none counts any more."""

MOST: Final = 10_000
"""Entries of each kind, a megabyte in all. The one used least recently is forgotten first."""


class Pauses:
    """The pauses after wrong passwords. `now` returns seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._accounts: OrderedDict[str, _Failures] = OrderedDict()
        self._addresses: OrderedDict[str, _Failures] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        """The accounts and the networks from which they have logged in."""

    def check(self, account: str, address: str) -> None:
        """Raise `WireError` (`rate-limited`) during a pause."""
        network = network_of(address)
        now = self._now()
        until = _until(self._addresses, network)
        if (account, network) not in self._known:
            until = max(until, _until(self._accounts, account))
        if until > now:
            left = until - now
            text = f"there were too many wrong passwords: try again in {duration(left)}"
            raise WireError("rate-limited", text, retry=round(left + 0.001, 3))

    def attempted(self, account: str, address: str) -> None:
        """Count a password as wrong until it turns out to be right: many may be compared at the same time."""
        self._grow(self._accounts, account, ACCOUNT)
        network = network_of(address)
        if network:
            self._grow(self._addresses, network, ADDRESS)

    def succeeded(self, account: str, address: str) -> None:
        """Forget the wrong passwords of an account and this one of the address; remember that its owner was there."""
        self._accounts.pop(account, None)
        network = network_of(address)
        failures = self._addresses.get(network)
        if failures is not None:
            self._addresses[network] = ADDRESS.after(failures.number - 1, failures.last)
        self.note_owner(account, address)

    def note_owner(self, account: str, address: str) -> None:
        """Remember that the owner of an account was at an address: the account's pauses are not for people there."""
        _remember(self._known, (account, network_of(address)), None)

    def _grow(self, table: OrderedDict[str, _Failures], key: str, growth: Growth) -> None:
        now = self._now()
        old = table.get(key)
        number = 1 if old is None or now - old.last > FORGET_SECONDS else old.number + 1
        _remember(table, key, growth.after(number, now))


def _until(table: OrderedDict[str, _Failures], key: str) -> float:
    failures = table.get(key)
    return 0.0 if failures is None else failures.until


def _remember(table: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > MOST:
        table.popitem(last=False)

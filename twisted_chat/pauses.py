"""Pauses after wrong passwords, which grow: by account, and by address.

The pause of an account is short, or somebody who guesses its password would lock its owner out. It does not apply to
addresses from which its owner has logged in. The pause of an address is long. Sessions that are logged in already do
not notice any pause.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred

from .limits import duration, network_of
from .messages import WireError
from .shared_limits import ACCOUNT, ADDRESS, FORGET_SECONDS, Growth, SharedLimits

_K = TypeVar("_K")
_V = TypeVar("_V")


class _Failures(NamedTuple):
    """The wrong passwords of an account or an address."""

    number: int
    last: float
    until: float
    """The end of the pause."""


def _after(growth: Growth, number: int, last: float) -> _Failures:
    """Return the pause after so many wrong passwords, the last of which came at a time in seconds."""
    beyond = number - growth.free
    pause = 0.0 if beyond < 0 else min(growth.longest, growth.first * 2.0 ** min(beyond, 30))
    return _Failures(number, last, last + pause)


MOST: Final = 10_000
"""Entries of each kind, a megabyte in all. The one used least recently is forgotten first."""


MAX_WAITING: Final = 64
"""The log-ins of an account or an address that wait until fewer passwords are compared: two seconds' worth."""


class _Side:
    """The wrong passwords of all accounts, or of all addresses, and their passwords that are being compared."""

    def __init__(self, growth: Growth, now: Callable[[], float]) -> None:
        self.failures: OrderedDict[str, _Failures] = OrderedDict()
        self._growth = growth
        self._now = now
        self._compared: Counter[str] = Counter()
        """The number of passwords that are being compared."""
        self._waiting: dict[str, list[Deferred[None]]] = {}
        """The log-ins that wait until fewer are."""

    def until(self, key: str) -> float:
        """Return the end of the present pause."""
        failures = self.failures.get(key)
        return 0.0 if failures is None else failures.until

    def _number(self, key: str) -> int:
        failures = self.failures.get(key)
        return 0 if failures is None or self._now() - failures.last > FORGET_SECONDS else failures.number

    def is_full(self, key: str) -> bool:
        """True while so many passwords are being compared that one more, if all are wrong, would come in a pause."""
        return 0 < self._compared[key] >= self._growth.free - self._number(key)

    async def wait(self, key: str) -> None:
        """Wait until the next comparison has ended. Raises `WireError` if too many wait."""
        waiting = self._waiting.setdefault(key, [])
        if len(waiting) >= MAX_WAITING:
            raise _too_many_at_once()
        woken: Deferred[None] = Deferred()
        waiting.append(woken)
        await woken

    def begin(self, key: str) -> None:
        self._compared[key] += 1

    def failed(self, key: str) -> None:
        _remember(self.failures, key, _after(self._growth, self._number(key) + 1, self._now()))

    def end(self, key: str) -> None:
        self._compared[key] -= 1
        if not self._compared[key]:
            del self._compared[key]
        for woken in self._waiting.pop(key, ()):
            woken.callback(None)


class Pauses:
    """The pauses after wrong passwords. `now` returns seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._accounts = _Side(ACCOUNT, now)
        self._addresses = _Side(ADDRESS, now)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        """The accounts and the networks from which they have logged in."""

    def _sides(self, account: str, address: str, is_concerned: bool = True) -> Iterator[tuple[_Side, str]]:
        """Yield what a log-in belongs to. The account's pauses may not concern it."""
        network = network_of(address)
        if is_concerned:
            yield self._accounts, account
        if network:
            yield self._addresses, network

    def _is_concerned(self, account: str, address: str) -> bool:
        return (account, network_of(address)) not in self._known

    def check(self, account: str, address: str) -> None:
        """Raise `WireError` (`rate-limited`) during a pause."""
        until = max(
            (side.until(key) for side, key in self._sides(account, address, self._is_concerned(account, address))),
            default=0.0,
        )
        left = until - self._now()
        if left > 0:
            raise _too_many_wrong(left)

    async def begin(self, account: str, address: str) -> None:
        """Wait until a password may be compared; call `end` afterwards. Raises `WireError` during a pause.

        No more are compared at the same time than could be wrong one after the other without a pause, so that many at
        once gain nothing. The others wait: an office that comes back at the same moment has right passwords.
        """
        while True:
            self.check(account, address)
            for side, key in self._sides(account, address, self._is_concerned(account, address)):
                if side.is_full(key):
                    await side.wait(key)
                    break
            else:
                break
        for side, key in self._sides(account, address):
            side.begin(key)

    def failed(self, account: str, address: str) -> Deferred[None] | None:
        """Count a wrong password."""
        for side, key in self._sides(account, address):
            side.failed(key)
        return None

    def end(self, account: str, address: str) -> None:
        """Called when a password has been compared, and counted if it was wrong, or could not be compared."""
        for side, key in self._sides(account, address):
            side.end(key)

    def succeeded(self, account: str, address: str) -> Deferred[None] | None:
        """Forget the wrong passwords of an account, and remember that its owner was there."""
        self._accounts.failures.pop(account, None)
        return self.note_owner(account, address)

    def note_owner(self, account: str, address: str) -> Deferred[None] | None:
        """Remember that the owner of an account was at an address: the account's pauses are not for people there."""
        _remember(self._known, (account, network_of(address)), None)
        return None


class SharedPauses(Pauses):
    """The pauses of all servers of a cluster. Each server bounds the passwords that it compares at the same time."""

    def __init__(self, now: Callable[[], float], shared: SharedLimits) -> None:
        super().__init__(now)
        self._shared = shared

    async def begin(self, account: str, address: str) -> None:
        await super().begin(account, address)
        try:
            permission = await self._shared.begin_login(account, network_of(address))
            if permission.wait > 0:
                raise _too_many_wrong(permission.wait)
            if permission.is_busy:
                raise _too_many_at_once()
        except BaseException:
            self.end(account, address)
            raise

    def failed(self, account: str, address: str) -> Deferred[None]:
        return self._shared.login_failed(account, network_of(address))

    def succeeded(self, account: str, address: str) -> Deferred[None]:
        return self._shared.login_succeeded(account, network_of(address))

    def note_owner(self, account: str, address: str) -> Deferred[None]:
        return self._shared.note_owner(account, network_of(address))


def _too_many_wrong(left: float) -> WireError:
    text = f"there were too many wrong passwords: try again in {duration(left)}"
    return WireError("rate-limited", text, retry=round(left + 0.001, 3))


def _too_many_at_once() -> WireError:
    return WireError("rate-limited", "there are too many log-ins at the same moment: try again in 2 s", retry=2.0)


def _remember(table: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > MOST:
        table.popitem(last=False)

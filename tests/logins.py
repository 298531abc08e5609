"""Accounts for tests: a registry in memory, and passwords that are hashed at once."""

from __future__ import annotations

from typing import Any

from argon2 import PasswordHasher
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from twisted_chat.login import EVERYBODY, Login, Policy
from twisted_chat.passwords import Passwords
from twisted_chat.shared_limits import Permission, SharedLimits

from .memory_registry import MemoryRegistry

HORSE = "correct horse"
"""A password."""


class Reactor(Clock):
    """A reactor in which what runs in a thread is done at once."""

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)


class Pool:
    """A pool of threads that needs none."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def callInThreadWithCallback(self, done: Any, function: Any, *arguments: Any) -> None:
        done(True, function(*arguments))


class CountingHasher(PasswordHasher):
    """Makes hashes that cost little, and counts what it does."""

    def __init__(self, memory: int = 64) -> None:
        super().__init__(time_cost=1, memory_cost=memory, parallelism=1)
        self.checked = 0

    def verify(self, *arguments: Any) -> Any:
        self.checked += 1
        return super().verify(*arguments)


class FakeSharedLimits:
    """The limits of all servers, as a test wants them to be."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        """What was counted, in order."""
        self.permission: Deferred[Permission] = succeed(Permission())
        self.wait = 0.0

    def begin_login(self, account: str, network: str) -> Deferred[Permission]:
        self.told.append(("begin", account, network))
        return self.permission

    def login_failed(self, account: str, network: str) -> Deferred[None]:
        self.told.append(("failed", account, network))
        return succeed(None)

    def login_succeeded(self, account: str, network: str) -> Deferred[None]:
        self.told.append(("succeeded", account, network))
        return succeed(None)

    def note_owner(self, account: str, network: str) -> Deferred[None]:
        self.told.append(("owner", account, network))
        return succeed(None)

    def take(self, key: str, rate: float, burst: float) -> Deferred[float]:
        self.told.append(("take", key, rate, burst))
        return succeed(self.wait)


def make_login(
    registry: MemoryRegistry | None = None,
    policy: Policy = EVERYBODY,
    reactor: Any = None,
    hasher: PasswordHasher | None = None,
    shared: SharedLimits | None = None,
) -> Login:
    """Make the accounts of a registry, an empty one if none is given."""
    reactor = reactor or Reactor()
    pool: Any = Pool()
    passwords = Passwords(reactor, pool, hasher or CountingHasher())
    return Login(registry or MemoryRegistry(), passwords, reactor, policy, shared)

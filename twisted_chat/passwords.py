"""Passwords: hashed with argon2id, in threads of their own, and never written anywhere.

A hash takes 19 MiB of memory and some 30 ms of one core: OWASP's least for argon2id with one lane (Password Storage
Cheat Sheet). The library's default of four lanes takes all cores from the chat for 160 ms.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

import precis_i18n
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from .messages import WireError

HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""The parameters of the hash. `memory_cost` is in KiB."""

THREADS: Final = 2
"""The number of hashes at a time: on two cores, the chat keeps half a core, and the threads are nice."""

MAX_WAITING: Final = 64
"""The maximum number of waiting hashes: two seconds' worth. A client that waits for longer has often left."""

MIN_PASSWORD: Final = 8
"""Characters of a password: the least that NIST SP 800-63B, section 5.1.1, allows."""

MAX_PASSWORD: Final = 256
"""Characters of a password: a sentence, and a bound on what is hashed."""

NICENESS: Final = 10
"""The niceness of the threads, so that the chat goes first."""

_T = TypeVar("_T")


class Verdict(NamedTuple):
    """The result of a check."""

    is_right: bool
    new_hash: str | None = None
    """The hash of the same password with today's parameters, where the stored one has weaker ones."""


class Passwords:
    """Hashes passwords, and checks them. `pool` is started and stopped with the server."""

    def __init__(self, reactor: Any, pool: ThreadPool | None = None, hasher: PasswordHasher = HASHER) -> None:
        self.pool = pool or ThreadPool(0, THREADS, "passwords")
        self._reactor = reactor
        self._hasher = hasher
        self._nobodys: str | None = None
        """The hash of a password that nobody knows; made when it is needed first."""
        self._waiting = 0
        self._stopping = False

    def hash(self, password: str) -> Deferred[str]:
        """Hash a password. Fails with `WireError` (`rate-limited`) if too many wait."""
        return self._run(self._hasher.hash, _prepared(password))

    def check(self, stored: str | None, password: str) -> Deferred[Verdict]:
        """Compare a password with a stored hash. None takes the same time, and is never right. Fails as `hash` does."""
        return self._run(self._check, stored, _prepared(password))

    def _check(self, stored: str | None, password: str) -> Verdict:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(os.urandom(16))
        try:
            self._hasher.verify(stored or self._nobodys, password)
        except (VerifyMismatchError, InvalidHashError):
            return Verdict(False)
        weak = self._hasher.check_needs_rehash(stored or self._nobodys)
        return Verdict(True, self._hasher.hash(password) if weak else None)

    def _run(self, function: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        if self._waiting >= MAX_WAITING:
            return fail(WireError("rate-limited", "too many people log in just now: try again in 2 s", retry=2.0))
        self._waiting += 1
        return deferToThreadPool(self._reactor, self.pool, self._nicely, function, *arguments).addBoth(self._done)

    def _done(self, result: _T) -> _T:
        self._waiting -= 1
        return result

    def stop(self) -> None:
        """Stop the threads, once the hashes that they make now are done. Those that wait are not made."""
        self._stopping = True
        self.pool.stop()

    def _nicely(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call a function with less priority than the chat has: on Linux, niceness belongs to a thread."""
        if self._stopping:
            raise WireError("unavailable", "the server is shutting down")
        if sys.platform == "linux" and not getattr(_this_thread, "is_nice", False):
            with suppress(PermissionError):  # the server is nicer still, or in a sandbox that forbids the call
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
            _this_thread.is_nice = True
        return function(*arguments)


def hash_now(password: str, hasher: PasswordHasher = HASHER) -> str:
    """Hash a password in this thread: for a command, which keeps nobody waiting."""
    return hasher.hash(_prepared(password))


def check_password(password: str) -> None:
    """Raise `WireError` (`bad-message`) if a password may not be chosen."""
    try:
        _opaque.enforce(password)
    except ValueError:
        raise WireError("bad-message", "a password consists of characters that are seen, and spaces") from None
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise WireError(
            "bad-message", f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters: choose another one"
        )


_opaque = precis_i18n.get_profile("OpaqueString")


def _prepared(password: str) -> str:
    """Return a password in the form that is hashed, the same for any composition of its characters (RFC 8265, 4.2)."""
    try:
        prepared: str = _opaque.enforce(password)
    except ValueError:  # nobody has chosen it
        return password
    return prepared


_this_thread = threading.local()

"""Passwords: how they are hashed and checked, and in which threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal
from unittest import mock

from argon2 import PasswordHasher
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat import passwords
from twisted_chat.messages import WireError
from twisted_chat.passwords import MAX_WAITING, NICENESS, Passwords, check_password

WEAK = 64
"""KiB of memory that a hash takes here: a test need not be safe."""


class Held:
    """A pool of threads in which nothing runs until it is told to."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], Any]] = []

    def callInThreadWithCallback(self, done: Any, function: Any, *arguments: Any) -> None:
        def job() -> None:
            try:
                result = function(*arguments)
            except Exception:
                done(False, Failure())
            else:
                done(True, result)

        self.jobs.append(job)


class Reactor(Clock):
    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)


class PasswordsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.held = Held()
        self.passwords = self.make(WEAK)

    def make(self, memory: int, kind: type[PasswordHasher] = PasswordHasher) -> Passwords:
        pool: Any = self.held
        return Passwords(Reactor(), pool, kind(time_cost=2, memory_cost=memory, parallelism=1))

    def run_all(self) -> None:
        while self.held.jobs:
            self.held.jobs.pop(0)()

    def hash(self, password: str) -> str:
        hashed = self.passwords.hash(password)
        self.run_all()
        return self.successResultOf(hashed)

    def check(self, stored: str | None, password: str) -> passwords.Verdict:
        verdict = self.passwords.check(stored, password)
        self.run_all()
        return self.successResultOf(verdict)

    def test_a_password_is_right_or_wrong(self) -> None:
        stored = self.hash("correct horse")
        self.assertEqual(self.check(stored, "correct horse"), (True, None))
        self.assertEqual(self.check(stored, "correct house"), (False, None))

    def test_the_same_password_has_another_hash_each_time(self) -> None:
        self.assertNotEqual(self.hash("correct horse"), self.hash("correct horse"))

    def test_where_there_is_no_account_a_hash_is_checked_all_the_same(self) -> None:
        verified: list[str] = []

        class Watched(PasswordHasher):
            def verify(self, stored: str | bytes, password: str | bytes) -> Literal[True]:
                verified.append(str(stored))
                return super().verify(stored, password)

        self.passwords = self.make(WEAK, Watched)
        self.assertEqual(self.check(None, "correct horse"), (False, None))
        self.assertEqual(self.check(None, "correct horse"), (False, None))
        self.assertEqual(len(verified), 2)
        self.assertTrue(verified[0].startswith(f"$argon2id$v=19$m={WEAK},t=2,p=1$"), verified[0])

    def test_what_is_no_hash_is_never_right(self) -> None:
        self.assertEqual(self.check("!", "!"), (False, None))

    def test_a_hash_with_weaker_parameters_is_made_again(self) -> None:
        stored = self.hash("correct horse")
        self.passwords = self.make(2 * WEAK)
        is_right, new = self.check(stored, "correct horse")
        assert is_right and new
        self.assertIn(f"$m={2 * WEAK},", new)
        self.assertEqual(self.check(new, "correct horse"), (True, None))
        self.assertEqual(self.check(stored, "wrong"), (False, None))

    def test_too_many_at_once_are_refused(self) -> None:
        hashed = [self.passwords.hash("correct horse") for _ in range(MAX_WAITING)]
        for refused in self.passwords.hash("one more"), self.passwords.check(None, "one more"):
            error = self.failureResultOf(refused, WireError).value
            self.assertEqual((error.code, error.retry), ("rate-limited", 2.0))
        self.run_all()
        self.assertEqual(len({self.successResultOf(one) for one in hashed}), MAX_WAITING)
        again = [self.passwords.hash("there is room again") for _ in range(MAX_WAITING)]
        self.failureResultOf(self.passwords.hash("one more"), WireError)
        self.run_all()
        self.assertEqual(len({self.successResultOf(one) for one in again}), MAX_WAITING)

    def test_the_parameters_are_those_that_owasp_recommends(self) -> None:
        pool: Any = self.held
        self.passwords = Passwords(Reactor(), pool)
        self.assertTrue(self.hash("correct horse").startswith("$argon2id$v=19$m=19456,t=2,p=1$"))

    def test_a_password_has_a_length(self) -> None:
        check_password("a" * 8)
        check_password("a" * 256)
        for password in "a" * 7, "a" * 257:
            error = self.assertRaises(WireError, check_password, password)
            self.assertEqual((error.code, "8 to 256" in error.text), ("bad-message", True))

    def test_a_password_can_be_typed(self) -> None:
        check_password("a word and an é")
        for password in "with\ta tab", "with a \N{ZERO WIDTH SPACE}", "with a \0":
            error = self.assertRaises(WireError, check_password, password)
            self.assertEqual((error.code, "characters that are seen" in error.text), ("bad-message", True))

    def test_two_are_hashed_at_a_time(self) -> None:
        pool = Passwords(Reactor()).pool
        self.assertEqual((pool.min, pool.max, pool.name), (0, 2, "passwords"))


class StopTests(TestCase):
    async def test_what_waits_when_the_server_stops_is_not_hashed(self) -> None:
        pool = ThreadPool(0, 1, "passwords")
        pool.start()
        begun, go_on = threading.Event(), threading.Event()
        hashed: list[str] = []

        def wait(password: str) -> str:
            begun.set()
            go_on.wait()
            hashed.append(password)
            return password

        hasher: Any = type("Hasher", (), {"hash": staticmethod(wait)})
        made = Passwords(reactor, pool, hasher)
        first, second = made.hash("first one"), made.hash("second one")
        await deferToThread(begun.wait)
        threading.Timer(0.05, go_on.set).start()
        made.stop()
        self.assertTrue(pool.joined)
        self.assertEqual((await first, hashed), ("first one", ["first one"]))
        with self.assertRaises(WireError) as caught:
            await second
        self.assertEqual(caught.exception.code, "unavailable")


class ThreadTests(TestCase):
    async def test_a_hash_is_made_in_a_thread_that_is_nice(self) -> None:
        pool = ThreadPool(0, 1, "passwords")
        pool.start()
        self.addCleanup(pool.stop)
        here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

        def look(_: str) -> tuple[int, int]:
            thread = threading.get_native_id()
            return thread, os.getpriority(os.PRIO_PROCESS, thread)

        looker: Any = type("Looker", (), {"hash": staticmethod(look)})
        hasher = Passwords(reactor, pool, looker)
        seen: list[Any] = [await hasher.hash("1"), await hasher.hash("2")]
        self.assertEqual({priority for _, priority in seen}, {NICENESS})
        self.assertNotIn(threading.get_native_id(), {thread for thread, _ in seen})
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), here)

    def make(self) -> Passwords:
        hasher: Any = type("Hasher", (), {"hash": staticmethod(str)})
        pool = ThreadPool(0, 1, "passwords")
        pool.start()
        self.addCleanup(pool.stop)
        return Passwords(reactor, pool, hasher)

    async def test_a_thread_is_made_nice_once(self) -> None:
        calls: list[tuple[int, int, int]] = []
        self.patch(os, "setpriority", lambda *call: calls.append(call))
        made = self.make()
        self.assertEqual([await made.hash("1"), await made.hash("2")], ["1", "2"])
        ((which, thread, niceness),) = calls
        self.assertEqual((which, niceness), (os.PRIO_PROCESS, NICENESS))
        self.assertNotEqual(thread, threading.get_native_id())

    async def test_only_linux_has_threads_that_are_nice(self) -> None:
        self.patch(os, "setpriority", lambda *call: self.fail("it would slow the whole server down"))
        self.patch(sys, "platform", "darwin")
        self.assertEqual(await self.make().hash("1"), "1")

    async def test_a_hash_is_made_where_niceness_cannot_be_changed(self) -> None:
        """A sandbox may forbid the call, and a server that was started with `nice -n 15` is nicer than asked for."""
        self.patch(os, "setpriority", mock.Mock(side_effect=PermissionError(1, "Operation not permitted")))
        self.assertEqual(await self.make().hash("secret"), "secret")

"""Pauses after wrong passwords."""

from __future__ import annotations

import weakref

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import pauses
from twisted_chat.messages import WireError
from twisted_chat.pauses import MAX_WAITING, Pauses, SharedPauses
from twisted_chat.shared_limits import ACCOUNT, ADDRESS, FORGET_SECONDS, Permission

from .logins import FakeSharedLimits

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.1"


class _Key(str):
    """A key of which one can find out whether it is still in memory."""


class PausesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(2 * FORGET_SECONDS)
        self.pauses = Pauses(self.clock.seconds)

    def pause(self, account: str, address: str) -> float:
        """Seconds that a log-in has to wait."""
        try:
            self.pauses.check(account, address)
        except WireError as error:
            self.assertEqual(error.code, "rate-limited")
            assert error.retry is not None
            return round(error.retry, 2)
        return 0.0

    def fail_logins(self, count: int, account: str, address: str) -> None:
        for _ in range(count):
            self.pauses.failed(account, address)

    def test_the_pause_of_an_account_grows_up_to_a_minute(self) -> None:
        grown = []
        for number in range(ACCOUNT.free + 9):
            self.pauses.failed("al", f"192.0.{number}.1")
            grown.append(self.pause("al", ELSEWHERE))
        self.assertEqual(grown, [0.0] * (ACCOUNT.free - 1) + [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0])
        self.assertEqual(self.pause("bo", ELSEWHERE), 0)
        self.clock.advance(59)
        self.assertEqual(self.pause("al", ELSEWHERE), 1.0)
        self.clock.advance(1)
        self.assertEqual(self.pause("al", ELSEWHERE), 0)

    def test_the_pause_of_an_address_is_for_all_accounts(self) -> None:
        for number in range(ADDRESS.free - 1):
            self.pauses.failed(f"al{number}", HOME)
        self.assertEqual(self.pause("bo", HOME), 0)
        self.pauses.failed("bo", HOME)
        self.assertEqual([self.pause("cy", HOME), self.pause("cy", ELSEWHERE)], [1.0, 0])
        self.fail_logins(100, "bo", HOME)
        self.assertEqual(self.pause("cy", HOME), ADDRESS.longest)

    def test_a_network_of_ipv6_is_one_address(self) -> None:
        self.fail_logins(ADDRESS.free, "al", "2001:db8::1")
        self.assertEqual(self.pause("bo", "2001:db8::ffff"), 1.0)
        self.assertEqual(self.pause("bo", "2001:db8:0:1::1"), 0)

    def test_where_there_is_no_address_only_the_account_counts(self) -> None:
        self.fail_logins(100, "al", "")
        self.assertEqual([self.pause("al", ""), self.pause("bo", "")], [60.0, 0])

    def test_a_guesser_does_not_lock_the_owner_out(self) -> None:
        self.pauses.succeeded("al", HOME)
        self.fail_logins(100, "al", ELSEWHERE)
        self.assertEqual([self.pause("al", HOME), self.pause("al", "203.0.113.1")], [0, 60.0])

    def test_a_right_password_ends_the_pauses_of_an_account(self) -> None:
        self.fail_logins(ACCOUNT.free - 1, "al", HOME)
        self.pauses.succeeded("al", HOME)
        self.pauses.failed("al", HOME)
        self.assertEqual(self.pause("al", ELSEWHERE), 0)

    def begin(self, account: str, address: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self.pauses.begin(account, address))

    def test_so_many_passwords_are_compared_at_the_same_time_as_may_be_wrong_without_a_pause(self) -> None:
        self.fail_logins(2, "al", "")
        begun = [self.begin("al", "") for _ in range(ACCOUNT.free)]
        self.assertEqual([one.called for one in begun], [True] * (ACCOUNT.free - 2) + [False] * 2)
        self.pauses.end("al", "")
        self.assertEqual([one.called for one in begun], [True] * (ACCOUNT.free - 1) + [False])
        for _ in range(ACCOUNT.free - 2):
            self.pauses.failed("al", "")
            self.pauses.end("al", "")
        error = self.failureResultOf(begun[-1], WireError).value
        self.assertEqual((error.code, error.retry), ("rate-limited", 1.001))
        self.clock.advance(1.001)
        last = [self.begin("al", "") for _ in range(2)]
        self.assertEqual([one.called for one in last], [True, False], "one at a time, even after many wrong ones")

    def test_those_of_an_address_wait_for_each_other_in_order(self) -> None:
        begun = [self.begin(f"al{number}", HOME) for number in range(ADDRESS.free + 3)]
        self.assertEqual([one.called for one in begun], [True] * ADDRESS.free + [False] * 3)
        self.assertTrue(self.begin("bo", ELSEWHERE).called)
        for number in range(2):
            self.pauses.end(f"al{number}", HOME)
        self.assertEqual([one.called for one in begun], [True] * (ADDRESS.free + 2) + [False])

    def test_one_that_waits_for_its_account_may_then_wait_for_its_address(self) -> None:
        for _ in range(ACCOUNT.free):
            self.begin("al", ELSEWHERE)
        for number in range(ADDRESS.free):
            self.begin(f"al{number}", HOME)
        both = self.begin("al", HOME)
        self.pauses.end("al", ELSEWHERE)
        self.assertFalse(both.called)
        self.pauses.end("al0", HOME)
        self.assertTrue(both.called)

    def test_what_was_compared_is_forgotten(self) -> None:
        account = _Key("al")
        living = weakref.ref(account)
        self.assertTrue(self.begin(account, HOME).called)
        self.pauses.end(account, HOME)
        del account
        self.assertIsNone(living())

    def test_an_owner_does_not_wait_for_those_who_guess_elsewhere(self) -> None:
        self.pauses.note_owner("al", HOME)
        for _ in range(ACCOUNT.free):
            self.begin("al", ELSEWHERE)
        self.assertFalse(self.begin("al", "203.0.113.1").called)
        self.assertTrue(self.begin("al", HOME).called)

    def test_those_that_wait_are_bounded(self) -> None:
        waiting = [self.begin("al", "") for _ in range(ACCOUNT.free + MAX_WAITING)][ACCOUNT.free :]
        error = self.failureResultOf(self.begin("al", ""), WireError).value
        self.assertEqual((error.code, error.retry), ("rate-limited", 2.0))
        for _ in range(ACCOUNT.free + MAX_WAITING):
            self.pauses.end("al", "")
        self.assertEqual([self.successResultOf(one) for one in waiting], [None] * MAX_WAITING)

    def test_a_right_password_ends_all_pauses_of_its_account(self) -> None:
        self.fail_logins(ADDRESS.free, "al", HOME)
        self.assertEqual([self.pause("al", ELSEWHERE), self.pause("bo", HOME)], [32.0, 1.0])
        self.pauses.succeeded("al", HOME)
        self.assertEqual([self.pause("al", ELSEWHERE), self.pause("bo", HOME)], [0, 1.0])

    def test_it_does_not_end_those_of_an_address(self) -> None:
        """Whoever guesses has an account of its own, too."""
        self.fail_logins(ADDRESS.free, "al", HOME)
        self.pauses.succeeded("eve", HOME)
        self.assertEqual(self.pause("bo", HOME), 1.0)

    def test_after_an_hour_without_a_wrong_password_none_counts(self) -> None:
        self.fail_logins(ACCOUNT.free - 1, "al", HOME)
        self.clock.advance(FORGET_SECONDS)
        self.pauses.failed("al", HOME)
        self.assertEqual(self.pause("al", HOME), 1.0)
        self.clock.advance(FORGET_SECONDS + 1)
        self.pauses.failed("al", HOME)
        self.assertEqual(self.pause("al", HOME), 0)

    def test_one_who_waits_as_long_as_told_is_let_through(self) -> None:
        self.fail_logins(ACCOUNT.free, "al", HOME)
        error = self.assertRaises(WireError, self.pauses.check, "al", HOME)
        self.assertEqual(error.retry, 1.001)
        self.clock.advance(0.5004)
        error = self.assertRaises(WireError, self.pauses.check, "al", HOME)
        self.assertEqual(error.retry, 0.501)
        self.clock.advance(0.4996)
        self.pauses.check("al", HOME)

    def test_what_is_remembered_is_bounded(self) -> None:
        self.patch(pauses, "MOST", 2)
        for account in "abc":
            self.fail_logins(ACCOUNT.free, account, "")
        self.assertEqual([self.pause(account, "") for account in "abc"], [0, 1.0, 1.0])
        for address in HOME, ELSEWHERE, "203.0.113.1":
            self.pauses.succeeded("al", address)
        self.fail_logins(100, "al", "203.0.113.9")
        self.assertEqual([self.pause("al", address) for address in (HOME, ELSEWHERE)], [60.0, 0])

    def test_the_one_used_least_recently_is_forgotten_first(self) -> None:
        self.patch(pauses, "MOST", 2)
        for account in "abac":
            self.fail_logins(ACCOUNT.free, account, "")
        self.assertEqual([self.pause(account, "") > 0 for account in "abc"], [True, False, True])


class SharedTests(SynchronousTestCase):
    """The pauses of a server that counts wrong passwords together with others."""

    def setUp(self) -> None:
        self.shared = FakeSharedLimits()
        self.pauses = SharedPauses(Clock().seconds, self.shared)

    def begin(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.pauses.begin("al", "2001:db8::1"))

    def test_wrong_and_right_passwords_are_counted_by_network_at_all_servers(self) -> None:
        self.successResultOf(self.begin())
        for tell in self.pauses.failed, self.pauses.succeeded, self.pauses.note_owner:
            self.successResultOf(tell("al", "2001:db8::1"))
        network = "2001:db8::/64"
        self.assertEqual(
            self.shared.told, [(kind, "al", network) for kind in ("begin", "failed", "succeeded", "owner")]
        )

    def test_a_pause_of_all_servers_holds_here(self) -> None:
        self.shared.permission = succeed(Permission(wait=8.5))
        error = self.failureResultOf(self.begin(), WireError).value
        self.assertEqual((error.code, error.retry), ("rate-limited", 8.501))
        self.assertIn("there were too many wrong passwords: try again in", error.text)

    def test_a_password_that_is_compared_elsewhere_is_a_reason_to_wait(self) -> None:
        self.shared.permission = succeed(Permission(is_busy=True))
        error = self.failureResultOf(self.begin(), WireError).value
        self.assertEqual((error.code, error.retry), ("rate-limited", 2.0))
        self.assertIn("too many log-ins at the same moment", error.text)

    def test_passwords_that_were_refused_are_not_compared_any_more(self) -> None:
        self.shared.permission = succeed(Permission(wait=1))
        for _ in range(ADDRESS.free + 1):
            self.failureResultOf(self.begin(), WireError)
        self.shared.permission = succeed(Permission())
        begun = [self.begin() for _ in range(ACCOUNT.free + 1)]
        self.assertEqual([one.called for one in begun], [True] * ACCOUNT.free + [False], "the last one waits here")

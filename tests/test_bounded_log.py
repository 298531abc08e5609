"""The server's own log is bounded, whatever others do."""

from __future__ import annotations

from typing import Any, cast

from twisted.logger import ILogObserver, Logger, LogPublisher, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from twisted_chat.logs.bounded import MOST, SECONDS, bound

from .ports import Reactor


class BoundedLogTests(TestCase):
    """A few entries of each kind are written, and then how many more there were."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.written: list[Any] = []
        self.publisher = LogPublisher(cast(ILogObserver, self.written.append))
        self.log = Logger("server", observer=self.publisher)
        self.unbound = bound(self.publisher, self.reactor)

    def texts(self) -> list[str]:
        return [formatEvent(event) for event in self.written]

    def pass_a_period(self) -> None:
        self.reactor.advance(0)
        self.reactor.advance(SECONDS)

    def fails(self, error: Exception) -> None:
        try:
            raise error
        except Exception:
            self.log.failure("It failed")

    def test_the_first_entries_of_a_kind_are_written_and_the_others_counted(self) -> None:
        for number in range(1_000):
            self.log.info("number {number}", number=number)
        self.assertEqual(self.texts(), [f"number {number}" for number in range(MOST)])
        self.pass_a_period()
        self.assertEqual(
            self.texts()[MOST:], [f"… and {1_000 - MOST} more in the last minute: [server] number {{number}}"]
        )

    def test_a_new_period_begins_with_the_next_entry(self) -> None:
        for _ in range(3):
            for _ in range(MOST + 1):
                self.log.info("again")
            self.pass_a_period()
        self.assertEqual(len(self.written), 3 * (MOST + 1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_where_nothing_was_left_out_nothing_is_added(self) -> None:
        self.log.info("once")
        self.pass_a_period()
        self.assertEqual(self.texts(), ["once"])

    def test_kinds_are_counted_apart(self) -> None:
        for number in range(MOST):
            self.log.info("one {number}", number=number)
            self.log.warn("another {number}", number=number)
        self.assertEqual(len(self.written), 2 * MOST)

    def test_an_entry_can_have_a_bound_of_its_own(self) -> None:
        for number in range(5):
            self.log.info("number {number}", number=number, most=2)
        self.pass_a_period()
        others = "… and 3 more in the last minute: [server] number {number}"
        self.assertEqual(self.texts(), ["number 0", "number 1", others])

    def test_errors_are_told_apart_by_where_they_were_raised(self) -> None:
        for _ in range(2 * MOST):
            self.fails(ValueError("secret"))
        self.log.failure("It failed", Failure(ValueError("never raised")))
        self.assertEqual(len(self.written), MOST + 1)
        self.pass_a_period()
        last = self.texts()[-1]
        self.assertEqual(last, f"… and {MOST} more in the last minute: [server] ValueError")

    def test_what_was_left_out_is_told_when_the_bound_is_taken_back(self) -> None:
        for _ in range(MOST + 2):
            self.log.info("again")
        self.reactor.advance(0)
        self.unbound()
        self.assertEqual(self.texts()[MOST:], ["… and 2 more in the last minute: [server] again"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        for _ in range(2 * MOST):
            self.log.info("unbound")
        self.assertEqual(len(self.written), MOST + 1 + 2 * MOST)

    def test_entries_that_are_no_text_are_passed_on(self) -> None:
        self.publisher(cast(Any, {"log_level": None}))
        self.assertEqual(len(self.written), 1)

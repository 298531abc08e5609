"""The time of day may be set; timers go on."""

from __future__ import annotations

import time

from twisted.internet.base import ReactorBase
from twisted.trial.unittest import TestCase

from twisted_chat.clock import keep_steady, milliseconds, steady


class Reactor(ReactorBase):
    """One that runs nothing, with a clock that can be set."""

    def __init__(self) -> None:
        self.day = 1_000_000.0
        self.seconds = lambda: self.day
        super().__init__()

    def installWaker(self) -> None:
        """Nobody has to be woken."""


class ClockTests(TestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.now = 5.0
        self.patch(time, "monotonic", lambda: self.now)
        self.called: list[str] = []

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.reactor.day += seconds
        self.reactor.runUntilCurrent()

    def test_what_is_due_comes_when_the_clock_was_set_back(self) -> None:
        keep_steady(self.reactor)
        self.reactor.callLater(2, self.called.append, "due")
        self.reactor.day -= 3600
        self.advance(1.9)
        self.assertEqual(self.called, [])
        self.advance(0.1)
        self.assertEqual(self.called, ["due"])

    def test_what_was_due_already_stays_due(self) -> None:
        self.reactor.callLater(2, self.called.append, "due")
        keep_steady(self.reactor)
        self.reactor.day -= 3600
        self.advance(2)
        self.assertEqual(self.called, ["due"])

    def test_the_time_of_day_is_what_it_was_set_to(self) -> None:
        self.assertEqual(milliseconds(self.reactor), 1_000_000_000)
        keep_steady(self.reactor)
        keep_steady(self.reactor)
        self.reactor.day -= 3600
        self.assertEqual(milliseconds(self.reactor), 996_400_000)

    def test_the_clock_for_durations_is_the_steady_one(self) -> None:
        self.assertEqual(steady(self.reactor)(), self.reactor.day)
        keep_steady(self.reactor)
        self.assertEqual(steady(self.reactor)(), 5.0)

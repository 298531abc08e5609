"""Rates and counts."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from twisted_chat.limits import Bucket, Limits
from twisted_chat.messages import MAX_OBJECT, WireError


def at(now: float) -> Callable[[], float]:
    """Make a clock that stands still."""
    return lambda: now


def taken(bucket: Bucket, now: float, most: int = 1_000) -> int:
    """Take tokens at one moment until there is none; returns how many there were."""
    for count in range(most):
        try:
            bucket.take(at(now))
        except WireError:
            return count
    return most


class Rate(TestCase):
    def test_a_burst_is_served_at_once_and_no_more(self) -> None:
        self.assertEqual(taken(Bucket(Limits(rate=10, burst=30), 0), 0), 30)

    def test_then_it_is_the_rate(self) -> None:
        bucket = Bucket(Limits(rate=10, burst=30), 0)
        taken(bucket, 0)
        self.assertEqual(taken(bucket, 0.5), 5)
        self.assertEqual(taken(bucket, 1.5), 10)

    def test_silence_fills_up_a_burst_and_no_more(self) -> None:
        bucket = Bucket(Limits(rate=10, burst=30), 0)
        taken(bucket, 0)
        self.assertEqual(taken(bucket, 1_000), 30)

    def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing(self) -> None:
        bucket = Bucket(Limits(rate=10, burst=30), 1_000)
        taken(bucket, 1_000)
        self.assertEqual(taken(bucket, 10), 0)
        self.assertEqual(taken(bucket, 11), 10)

    def test_a_rate_of_0_is_no_limit(self) -> None:
        self.assertEqual(taken(Bucket(Limits(rate=0, burst=3), 0), 0), 1_000)

    def test_who_is_too_fast_is_told_the_rate_and_when_to_come_again(self) -> None:
        bucket = Bucket(Limits(rate=2.5, burst=1), 0)
        bucket.take(at(0))
        error = self.assertRaises(WireError, bucket.take, at(0))
        self.assertEqual(
            (error.code, error.text),
            ("rate-limited", "that is too fast: 2.5 requests a second are served; try again in 0.401 s"),
        )
        self.assertEqual(error.retry, 0.401)
        error = self.assertRaises(WireError, bucket.take, at(0.1))
        self.assertEqual(error.retry, 0.301, "a quarter of a token is there already")

    def test_when_to_come_again_is_said_in_milliseconds(self) -> None:
        bucket = Bucket(Limits(rate=3, burst=1), 0)
        bucket.take(at(0))
        self.assertEqual(self.assertRaises(WireError, bucket.take, at(0)).retry, 0.334)

    @given(st.floats(0.1, 10_000), st.integers(1, 100), st.floats(1, 2e9), st.lists(st.floats(0, 1), max_size=20))
    def test_who_comes_again_then_is_served(self, rate: float, burst: int, now: float, pauses: list[float]) -> None:
        bucket = Bucket(Limits(rate=rate, burst=burst), now)
        for pause in [*pauses, 0.0]:
            now += pause
            taken(bucket, now)
            error = self.assertRaises(WireError, bucket.take, at(now))
            now += error.retry
            bucket.take(at(now))


class Told(TestCase):
    def test_a_client_is_told_the_limits_it_can_keep_to(self) -> None:
        told = Limits(rate=7.0, burst=9, rooms_per_session=3).for_clients()
        self.assertEqual((told["rate"], told["burst"], told["rooms"]), (7, 9, 3))
        self.assertEqual((told["object"], told["nick"], told["room"]), (MAX_OBJECT, 32, 64))
        self.assertEqual((told["id"], told["topic"], told["page"]), (64, 256, 500))

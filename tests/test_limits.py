"""Rates and counts."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.limits import (
    CALM_SECONDS,
    OWN_BURST,
    OWN_RATE,
    PART,
    REFUSALS,
    REST_SECONDS,
    TAKEN_AHEAD,
    TOKEN_BYTES,
    TOLD,
    AddressBuckets,
    Bucket,
    Buckets,
    Limits,
    RateLimited,
    SessionBucket,
    duration,
    is_loopback,
    network_of,
    price_of_part,
    price_of_telling,
)
from twisted_chat.messages import MAX_OBJECT, WireError


def at(now: float) -> Callable[[], float]:
    """Make a clock that stands still."""
    return lambda: now


def taken(bucket: SessionBucket, now: float, most: int = 1_000) -> int:
    """Take tokens at one moment until there is none; returns how many there were."""
    for count in range(most):
        try:
            bucket.take_for_request(now)
        except WireError:
            return count
    return most


def limited(bucket: SessionBucket, now: float) -> RateLimited:
    """Take a token where there is none; returns the error."""
    try:
        bucket.take_for_request(now)
    except RateLimited as error:
        return error
    raise AssertionError("there was a token")


class Rate(TestCase):
    """A session may send a burst, and then as fast as its tokens come back."""

    def bucket(self, rate: float = 10, burst: int = 30, now: float = 0) -> SessionBucket:
        return SessionBucket(Limits(rate=rate, burst=burst), now)

    def test_a_burst_is_served_at_once_and_no_more(self) -> None:
        self.assertEqual(taken(self.bucket(), 0), 30)

    def test_then_it_is_the_rate(self) -> None:
        bucket = self.bucket()
        taken(bucket, 0)
        self.assertEqual(taken(bucket, 0.5), 5)
        self.assertEqual(taken(bucket, 1.5), 10)

    def test_silence_fills_up_a_burst_and_no_more(self) -> None:
        bucket = self.bucket()
        taken(bucket, 0)
        self.assertEqual(taken(bucket, 1_000), 30)

    def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing(self) -> None:
        bucket = self.bucket(now=1_000)
        taken(bucket, 1_000)
        self.assertEqual(taken(bucket, 10), 0)
        self.assertEqual(taken(bucket, 11), 10)

    def test_a_rate_of_0_is_no_limit(self) -> None:
        self.assertEqual(taken(self.bucket(rate=0, burst=3), 0), 1_000)

    def test_who_is_too_fast_is_told_the_rate_and_when_to_come_again(self) -> None:
        bucket = self.bucket(rate=2.5, burst=1)
        bucket.take_for_request(0)
        error = limited(bucket, 0)
        self.assertEqual(
            (error.code, error.text),
            ("rate-limited", "that is too fast: 2.5 requests a second are served; try again in 0.401 s"),
        )
        self.assertEqual(error.retry, 0.401)
        self.assertEqual(limited(bucket, 0.1).retry, 0.301, "a quarter of a token is there already")

    def test_when_to_come_again_is_said_in_milliseconds(self) -> None:
        bucket = self.bucket(rate=3, burst=1)
        bucket.take_for_request(0)
        self.assertEqual(limited(bucket, 0).retry, 0.334)

    def test_a_few_are_told_and_the_others_wait(self) -> None:
        bucket = self.bucket(rate=0.001, burst=1)
        bucket.take_for_request(0)
        told = [limited(bucket, second).is_told for second in range(REFUSALS + 2)]
        self.assertEqual(told, [True] * REFUSALS + [False] * 2)
        last = REFUSALS + 1
        self.assertFalse(limited(bucket, last + CALM_SECONDS).is_told)
        self.assertTrue(limited(bucket, last + 2 * CALM_SECONDS + 1).is_told, "it was calm for long enough")

    def test_other_limits_leave_what_was_spent_as_it_was(self) -> None:
        bucket = self.bucket()
        for _ in range(10):
            bucket.take_for_request(0)
        bucket.change(Limits(rate=5, burst=12))
        self.assertEqual((taken(bucket, 0), taken(bucket, 1)), (2, 5))
        bucket.change(Limits(rate=0))
        self.assertEqual(taken(bucket, 1), 1_000)
        bucket.change(Limits(rate=1, burst=7))
        self.assertEqual(taken(bucket, 1), 7)

    @given(st.floats(0.1, 10_000), st.integers(1, 100), st.floats(1, 2e9), st.lists(st.floats(0, 1), max_size=20))
    def test_who_comes_again_then_is_served(self, rate: float, burst: int, now: float, pauses: list[float]) -> None:
        bucket = self.bucket(rate, burst, now)
        for pause in [*pauses, 0.0]:
            now += pause
            taken(bucket, now)
            error = limited(bucket, now)
            assert error.retry is not None
            now += error.retry
            bucket.take_for_request(now)


class OfAnAddress(SynchronousTestCase):
    """The sessions of an address share a bucket, and none of them is starved by the others."""

    def setUp(self) -> None:
        self.shared = Bucket(100, 50, 0)

    def session(self) -> SessionBucket:
        return SessionBucket(Limits(), 0, self.shared)

    def test_they_have_the_tokens_of_the_address_together(self) -> None:
        first, second = self.session(), self.session()
        for _ in range(25):
            first.take_for_request(0)
            second.take_for_request(0)
        self.assertEqual((taken(first, 0), taken(second, 0)), (OWN_BURST, OWN_BURST))
        self.assertEqual(
            limited(second, 0).text,
            "that is too fast: 100 requests a second are served from your address; try again in 0.161 s",
        )

    def test_each_has_some_of_its_own(self) -> None:
        flood = [self.session() for _ in range(5)]
        for bucket in flood:
            taken(bucket, 0)
        person = self.session()
        self.assertEqual(taken(person, 0), OWN_BURST)
        for second in range(1, 10):
            for bucket in flood:
                taken(bucket, second)
            self.assertGreaterEqual(taken(person, second), OWN_RATE)

    def test_those_that_have_to_wait_get_theirs_in_the_order_in_which_they_asked(self) -> None:
        buckets = [self.session() for _ in range(3)]
        for bucket in buckets:
            taken(bucket, 0)
        waits = [limited(bucket, 0).seconds for bucket in buckets]
        for wait, number in zip(waits, (1, 2, 3), strict=True):
            self.assertAlmostEqual(wait, max(REST_SECONDS, number * TAKEN_AHEAD / 100) + 0.001)
        for wait, bucket in zip(waits, buckets, strict=True):
            self.assertGreaterEqual(taken(bucket, wait), TAKEN_AHEAD)

    def test_all_together_are_served_at_the_rate_of_the_address(self) -> None:
        buckets = [self.session() for _ in range(20)]
        served = 0
        wake = [0.0] * 20
        for tick in range(1_000):
            now = tick / 100
            for number, bucket in enumerate(buckets):
                if wake[number] <= now:
                    served += taken(bucket, now)
                    wake[number] = now + limited(bucket, now).seconds
        own = 20 * (OWN_BURST + 10 * OWN_RATE)
        self.assertLess(abs(served - (50 + 10 * 100 + own)), 20 * TAKEN_AHEAD)

    def test_what_is_charged_is_owed_by_the_address_too_but_no_more_than_its_burst(self) -> None:
        bucket = self.session()
        bucket.charge(40)
        self.assertEqual((bucket.tokens, self.shared.tokens), (1_960, 10))
        bucket.charge(1_000)
        self.assertEqual((bucket.tokens, self.shared.tokens), (960, -50))

    def test_a_read_without_a_request_is_paid_for(self) -> None:
        self.assertEqual([price_of_part(size) for size in (0, TOKEN_BYTES)], [PART, PART + 1])
        bucket = self.session()
        self.assertEqual(bucket.take_for_part(50, at(0)), 0)
        self.assertEqual(bucket.take_for_part(10, at(0)), 0, "it has tokens of its own")
        taken(bucket, 0)
        self.assertAlmostEqual(bucket.take_for_part(10, at(0)), (10 + 10 + TAKEN_AHEAD) / 100)
        self.assertEqual(bucket.take_for_part(1, at(10)), 0)
        alone = SessionBucket(Limits(rate=10, burst=10), 0)
        self.assertEqual(alone.take_for_part(15, at(0)), 0.5)

    def test_a_read_waits_for_the_address_where_it_has_nothing_of_its_own_left_and_owes_nothing(self) -> None:
        bucket = self.session()
        taken(bucket, 0)
        bucket.charge(bucket.tokens - 1.5)
        self.assertAlmostEqual(bucket.take_for_part(1, at(0)), 0.5)

    def test_a_request_is_paid_for_by_the_address_also_by_one_that_had_to_wait(self) -> None:
        bucket = SessionBucket(Limits(rate=1, burst=1), 0, self.shared)
        for second in range(3):
            bucket.take_for_request(second)
            self.assertEqual(self.shared.tokens, 49)

    def test_so_many_are_told_for_one_token(self) -> None:
        self.assertEqual([price_of_telling(told) for told in (0, 1, TOLD, TOLD + 1)], [0, 1, 1, 2])


class Addresses(SynchronousTestCase):
    """Each address has a bucket for each kind of thing, and the number of buckets is bounded."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.buckets = AddressBuckets(self.clock.seconds, 1 / 60, 2, "registrations", most=3)

    def test_an_address_is_refused_once_its_tokens_are_used_up(self) -> None:
        for _ in range(2):
            self.assertIsNone(self.buckets.refusal("192.0.2.1"))
            self.buckets.take("192.0.2.1")
        told = self.buckets.refusal("192.0.2.1")
        error = self.assertRaises(WireError, self.buckets.take, "192.0.2.1")
        assert told
        self.assertEqual((told.code, told.text, told.retry), (error.code, error.text, error.retry))
        self.assertEqual(
            (error.code, error.text, error.retry),
            ("rate-limited", "there were too many registrations from your address: try again in 60 s", 60.001),
        )
        self.buckets.take("192.0.2.2")
        self.clock.advance(error.retry)
        self.buckets.take("192.0.2.1")

    def test_a_key_that_is_no_address_is_counted_as_it_is(self) -> None:
        buckets = Buckets(self.clock.seconds, 1 / 60, 1, "new tokens", whose="your account")
        for key in "2001:db8::1", "2001:db8::2":
            buckets.take(key)
        error = self.assertRaises(WireError, buckets.take, "2001:db8::1")
        self.assertEqual(error.text, "there were too many new tokens from your account: try again in 60 s")
        self.buckets.take("2001:db8::1")
        self.buckets.take("2001:db8::2")
        self.assertRaises(WireError, self.buckets.take, "2001:db8::3")

    def test_no_address_and_a_rate_of_0_are_no_limit(self) -> None:
        unlimited = AddressBuckets(self.clock.seconds, 0, 1)
        for _ in range(100):
            self.buckets.take("")
            unlimited.take("192.0.2.1")
        self.assertEqual((len(self.buckets), len(unlimited)), (0, 0))
        self.assertIsNone(self.buckets.refusal(""))

    def test_those_that_are_full_again_are_forgotten(self) -> None:
        for number in range(3):
            self.buckets.take(f"192.0.2.{number}")
        self.clock.advance(60)
        self.buckets.take("192.0.2.9")
        self.assertEqual(len(self.buckets), 2)
        self.buckets.take("192.0.2.9")
        self.assertEqual(len(self.buckets), 1)
        self.clock.advance(1_000)
        self.buckets.take("192.0.2.9")
        self.assertEqual(len(self.buckets), 1)

    def test_where_there_are_too_many_the_one_that_was_used_least_recently_is_forgotten(self) -> None:
        for number in range(3):
            for _ in range(2):
                self.buckets.take(f"192.0.2.{number}")
        self.assertRaises(WireError, self.buckets.take, "192.0.2.0")
        self.buckets.take("192.0.2.3")
        self.assertEqual(len(self.buckets), 3)
        self.assertIsNone(self.buckets.refusal("192.0.2.1"))
        self.assertIsNotNone(self.buckets.refusal("192.0.2.0"))

    def test_one_that_somebody_holds_is_the_same_for_all_of_its_address(self) -> None:
        held = self.buckets.find("2001:db8::1")
        for number in range(9):
            self.buckets.take(f"192.0.2.{number}")
        self.assertIs(self.buckets.find("2001:db8::ffff"), held)

    def test_a_table_that_is_full_holds_no_more_than_it_may(self) -> None:
        for number in range(256):
            self.buckets.take(f"192.0.2.{number}")
        self.assertEqual(len(self.buckets), 3)

    def test_ipv6_is_counted_by_64_bits_and_what_stands_for_ipv4_as_ipv4(self) -> None:
        for address, network in {
            "": "",
            "192.0.2.1": "192.0.2.1",
            "::ffff:192.0.2.1": "192.0.2.1",
            "64:ff9b::192.0.2.1": "192.0.2.1",
            "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
            "2001:db8:1:2::": "2001:db8:1:2::/64",
            "2001:db8:1:3::": "2001:db8:1:3::/64",
            "fe80::1%eth0": "fe80::/64",
            "::1": "::/64",
            "a host": "a host",
        }.items():
            self.assertEqual(network_of(address), network)

    def test_only_programs_of_this_machine_have_loopback_addresses(self) -> None:
        for address in "127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1":
            self.assertTrue(is_loopback(address), address)
        for address in "192.0.2.1", "::2", "::ffff:192.0.2.1", "64:ff9b::7f00:1", "fe80::1%lo", "localhost", "":
            self.assertFalse(is_loopback(address), address)

    def test_a_time_to_wait_is_written_for_people(self) -> None:
        for seconds, text in {
            0.2: "1 s",
            1.5: "2 s",
            120: "120 s",
            121: "3 min",
            7_200: "120 min",
            7_201: "3 h",
        }.items():
            self.assertEqual(duration(seconds), text)


class Told(TestCase):
    def test_a_client_is_told_the_limits_it_can_keep_to(self) -> None:
        told = Limits(rate=7.0, burst=9, rooms_per_session=3).for_clients()
        self.assertEqual((told["rate"], told["burst"], told["rooms"]), (7, 9, 3))
        self.assertEqual((told["object"], told["nick"], told["room"]), (MAX_OBJECT, 32, 64))
        self.assertEqual((told["id"], told["topic"], told["page"]), (64, 256, 500))

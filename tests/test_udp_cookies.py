"""Cookies: good for one address, for a minute or two, and made by nobody else."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.wire.udp.cookies import KEY_SECONDS, Cookies, Hellos

HERE = ("192.0.2.7", 50000)


class CookiesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100 * KEY_SECONDS + 31.5)
        self.cookies = Cookies(self.clock.seconds)

    def test_one_says_when_it_was_made(self) -> None:
        cookie = self.cookies.make(HERE)
        self.clock.advance(KEY_SECONDS)
        self.assertEqual(self.cookies.time(cookie, HERE), int((100 * KEY_SECONDS + 31.5) * 100))

    def test_one_of_another_address_is_none(self) -> None:
        cookie = self.cookies.make(HERE)
        for address in ((HERE[0], HERE[1] + 1), ("192.0.2.8", HERE[1])):
            self.assertEqual(self.cookies.time(cookie, address), 0)

    def test_one_that_was_not_made_here_is_none(self) -> None:
        cookie = self.cookies.make(HERE)
        other = Cookies(self.clock.seconds)
        other.make(HERE)
        self.assertEqual(other.time(cookie, HERE), 0, "with another key")
        self.assertEqual(Cookies(self.clock.seconds).time(cookie, HERE), 0, "with none")
        for wrong in ("", "x", "ä" * 28, "!" * 28, "A" * 28, "_" * 28, cookie[:-4], cookie + "AAAA"):
            self.assertEqual(self.cookies.time(wrong, HERE), 0, wrong)

    def test_it_is_good_until_the_next_key_but_one_is_used(self) -> None:
        cookie = self.cookies.make(HERE)
        self.clock.advance(KEY_SECONDS)
        self.cookies.make(HERE)
        self.assertNotEqual(self.cookies.time(cookie, HERE), 0)
        self.clock.advance(KEY_SECONDS)
        self.assertEqual(self.cookies.time(cookie, HERE), 0)

    def test_however_many_are_made_two_keys_are_kept(self) -> None:
        for _ in range(10):
            self.clock.advance(KEY_SECONDS / 2)
            for port in range(100):
                self.cookies.make((HERE[0], port))
            self.assertLessEqual(len(self.cookies._keys), 2)


class HellosTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100 * KEY_SECONDS)
        self.hellos = Hellos(self.clock.seconds)

    def test_one_that_was_let_in_is_late_and_so_is_an_older_one_of_the_same_client(self) -> None:
        self.hellos.let_in("al", 7, "c7")
        late = [self.hellos.is_late("al", time, cookie) for time, cookie in ((7, "c7"), (6, "c6"), (7, "x"), (8, "c8"))]
        self.assertEqual((late, self.hellos.is_late("bo", 6, "c6")), ([True, True, False, False], False))

    def test_a_late_one_does_not_take_the_place_of_the_newest(self) -> None:
        self.hellos.let_in("al", 7, "c7")
        self.hellos.let_in("al", 6, "c6")
        self.assertTrue(self.hellos.is_late("al", 7, "c7"))

    def test_it_is_remembered_until_its_cookie_is_no_good(self) -> None:
        self.clock.advance(KEY_SECONDS - 1)
        self.hellos.let_in("al", 7, "c7")
        self.clock.advance(KEY_SECONDS)
        self.assertTrue(self.hellos.is_late("al", 7, "c7"))
        self.clock.advance(1)
        self.assertFalse(self.hellos.is_late("al", 7, "c7"))

    def test_nothing_is_left_of_those_of_long_ago(self) -> None:
        for seconds in (KEY_SECONDS, 3 * KEY_SECONDS):
            self.hellos.let_in("al", 7, "c7")
            self.clock.advance(seconds)
        self.assertFalse(self.hellos.is_late("al", 7, "c7"))

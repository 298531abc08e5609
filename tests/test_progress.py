"""How far long work has come."""

from __future__ import annotations

import io
import os
import shutil
from unittest import mock

from twisted.trial.unittest import TestCase

from twisted_chat.commands.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Shown(TestCase):
    def setUp(self) -> None:
        self.now = 100.0
        self.width = 80
        self.patch(shutil, "get_terminal_size", lambda: os.terminal_size((self.width, 24)))

    def progress(self, total: int, stream: io.StringIO) -> Progress:
        return Progress("messages", total, stream, lambda: self.now)

    def last(self, stream: io.StringIO) -> str:
        return stream.getvalue().rpartition("\r\x1b[K")[2]

    def test_part_rate_and_what_is_left(self) -> None:
        stream = Terminal()
        with self.progress(10_000, stream) as progress:
            self.now += 2
            progress.add(2_500)
            self.assertEqual(self.last(stream), " 25% [#####...............] 2,500 messages, 1,250/s, 6 s left")

    def test_a_total_that_is_not_known_or_was_too_low(self) -> None:
        stream = Terminal()
        self.now += 2
        with self.progress(0, stream) as progress:
            self.now += 2
            progress.add(10)
            self.assertEqual(self.last(stream), "10 messages, 5/s")
        with self.progress(5, stream) as progress:
            self.now += 2
            progress.add(10)
            self.assertEqual(self.last(stream), "100% [####################] 10 messages, 5/s, 0 s left")
        with self.progress(5, stream) as progress:
            self.now += 2
            progress.add(0)
            self.assertEqual(self.last(stream), "  0% [....................] 0 messages, 0/s, 0 s left")

    def test_not_more_often_than_a_person_can_see(self) -> None:
        stream = Terminal()
        with self.progress(1_000, stream) as progress:
            for _ in range(1_000):
                self.now += 0.001
                progress.add(1)
        self.assertIn(stream.getvalue().count("\r"), (10, 11))
        self.assertEqual(progress.done, 1_000)

    def test_it_fits_on_a_narrow_terminal(self) -> None:
        self.width = 20
        stream = Terminal()
        with self.progress(10, stream) as progress:
            self.now += 2
            progress.add(5)
            self.assertEqual(self.last(stream), " 50% [##########...")

    def test_nothing_is_left_of_it(self) -> None:
        stream = Terminal()
        with self.progress(10, stream) as progress:
            self.now += 2
            progress.add(5)
        self.assertEqual(self.last(stream), "")

    def test_where_nobody_looks_on_nothing_is_written(self) -> None:
        stream = io.StringIO()
        with self.progress(10, stream) as progress:
            self.now += 2
            progress.add(5)
        self.assertEqual((stream.getvalue(), progress.done), ("", 5))

    def test_it_is_written_to_standard_error(self) -> None:
        stream = Terminal()
        with mock.patch("sys.stderr", stream), Progress("messages", 1, clock=lambda: self.now) as progress:
            self.now += 1
            progress.add(1)
        self.assertIn("1 messages", stream.getvalue())

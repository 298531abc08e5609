"""The measurements of the soak test. The test itself is a command: `python -m tests.soak`."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from .faults.history import History
from .soak.trend import MB_AN_HOUR, MOST_THREADS, MOST_WAL, NOISE, Sample, complaints, fit, take_sample
from .soak.users import LibraryUser


def sample(time: float, **values: float) -> Sample:
    usual = {"memory": 100.0, "descriptors": 300, "files": 20, "threads": 6, "wal": 4.0}
    return Sample(time=time, **(usual | values))  # type: ignore[arg-type]  # counts are written as such


class TrendTests(SynchronousTestCase):
    def test_the_slope_of_a_line_is_exact(self) -> None:
        slope, error = fit([0, 1800, 3600], [1, 2, 3])
        self.assertAlmostEqual(slope, 2)
        self.assertAlmostEqual(error, 0)

    def test_the_error_says_how_far_samples_lie_from_the_line(self) -> None:
        slope, error = fit([0, 1200, 2400, 3600], [1, 3, 1, 3])
        self.assertAlmostEqual(slope, 1.2)
        self.assertAlmostEqual(error, 1.6971, 3)

    def test_few_samples_have_no_slope(self) -> None:
        self.assertEqual(fit([0, 1], [1, 2]), (0, 0))

    def test_a_steady_server_is_fine(self) -> None:
        self.assertEqual(complaints([sample(time, memory=100 + time % 7) for time in range(0, 3600, 2)]), [])

    def test_no_samples_are_no_measurement(self) -> None:
        self.assertEqual(complaints([]), ["nothing was measured"])

    def test_memory_may_grow_by_the_noise_and_a_little_in_each_hour(self) -> None:
        def grown(by: float) -> list[str]:
            return complaints([sample(hour * 3600, memory=by * hour) for hour in (0, 1, 2)])

        most = NOISE / 2 + MB_AN_HOUR
        self.assertEqual(grown(most - 0.1), [])
        self.assertEqual(grown(most + 0.1), [f"the memory grew by {2 * most + 0.2:.1f} MB in 2.00 hours"])

    def test_memory_is_not_judged_by_a_few_minutes(self) -> None:
        self.assertEqual(complaints([sample(time, memory=time) for time in (0, 100, 200)]), [])

    def test_files_threads_and_the_write_ahead_log_are_bounded(self) -> None:
        leaking = [sample(hour * 3600, files=20 + 4 * hour) for hour in (0, 1, 2)]
        self.assertEqual(complaints(leaking), ["the number of open files grew by 8.0"])
        self.assertEqual(complaints([sample(0, threads=MOST_THREADS + 1)]), [f"there were {MOST_THREADS + 1} threads"])
        wal = MOST_WAL + 1
        self.assertEqual(complaints([sample(0, wal=wal)]), [f"the write-ahead log had {wal:.1f} MB"])

    def test_a_sample_of_this_process(self) -> None:
        before = take_sample(os.getpid(), Path("none.sqlite"), 1.0)
        with open(os.devnull):
            after = take_sample(os.getpid(), Path("none.sqlite"), 2.0)
        self.assertEqual((after.files - before.files, after.time, after.wal), (1, 2.0, 0.0))
        self.assertGreater(before.memory, 1)
        self.assertGreaterEqual(before.descriptors, before.files)
        self.assertGreaterEqual(before.threads, 1)

    def test_a_process_that_has_ended_has_no_sample(self) -> None:
        self.assertRaises(OSError, take_sample, 2**22 + 1, Path("none.sqlite"), 0.0)


class UserTests(SynchronousTestCase):
    def test_a_user_has_all_once_it_has_what_others_said(self) -> None:
        history = History("room")
        user = LibraryUser("al", history, Random(1))
        self.assertTrue(user.has_all())
        history.head = 1
        self.assertFalse(user.has_all())
        user.heard("b-1 hi", "bob", 1)
        self.assertTrue(user.has_all())
        user.waiting = 1
        self.assertFalse(user.has_all())

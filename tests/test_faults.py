"""Every promise is kept under every fault: one round of each, as `python -m tests.faults` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from twisted.trial.unittest import TestCase

from .deadlines import TEST_SECONDS
from .faults.__main__ import FAULTS
from .faults.cluster.one import FAULTS as CLUSTER_FAULTS
from .faults.history import History, Reading, Said
from .faults.sabotage import BUGS
from .faults.server import ROOT
from .faults.wire import Line
from .postgresql_programs import find_programs
from .programs import run_script

ENDED = """
import asyncio, os, signal, sys
from tests.faults import __main__ as faults

async def end(scene):
    await scene.server.start()
    print(scene.server.pid, scene.folder, flush=True)
    os.kill(os.getpid(), NUMBER)
    await asyncio.Event().wait()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what is in the background
faults.FAULTS["crash"] = end
sys.argv = ["faults", "--only", "crash"]
sys.exit(faults.main())
"""
"""A round that ends itself by a signal while its server runs."""


class RoundTestCase(TestCase):
    """Rounds of faults, each in a process of its own."""

    def survives(self, fault: str, program: str = "tests.faults") -> None:
        with subprocess.Popen(
            [sys.executable, "-m", program, "--only", fault],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as run:
            try:
                output, _ = run.communicate(timeout=TEST_SECONDS)
            except subprocess.TimeoutExpired as late:
                run.terminate()  # and not `kill`: it ends its server
                output, _ = run.communicate()
                self.fail(f"{late}. It had said: {output!r}")  # the seed, above all
        self.assertEqual(run.returncode, 0, output)

    def check_all_are_tried(self, faults: Iterable[str]) -> None:
        tried = {name.removeprefix("test_").replace("_", "-") for name in dir(self) if name.startswith("test_")}
        self.assertEqual(set(faults) - tried, set())


class FaultTests(RoundTestCase):
    """The promises of docs/protocol.md, judged by all that was said, acked and received."""

    async def test_a_round_that_is_ended_leaves_nothing_behind(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            run = await run_script(ENDED.replace("NUMBER", str(int(number))))
            self.assertEqual((run.returncode, run.stderr), (128 + number, ""), run.stdout)
            pid, folder = run.stdout.split()[-2:]
            self.assertRaises(ProcessLookupError, os.kill, int(pid), 0)
            self.assertNotIn(Path(folder).name, os.listdir(Path(folder).parent))

    def test_each_deliberate_bug_still_fits_the_code(self) -> None:
        code = "from tests.faults.sabotage import BUGS\nfor bug in BUGS.values():\n    bug()\nprint(len(BUGS))"
        applied = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual((applied.stdout, applied.stderr), (f"{len(BUGS)}\n", ""))

    def test_all_faults_are_tried(self) -> None:
        self.check_all_are_tried(FAULTS)

    def test_crash(self) -> None:
        self.survives("crash")

    def test_cut(self) -> None:
        self.survives("cut")

    def test_disk_full(self) -> None:
        self.survives("disk-full")

    def test_file_locked(self) -> None:
        self.survives("file-locked")

    def test_file_replaced(self) -> None:
        self.survives("file-replaced")

    def test_file_damaged(self) -> None:
        self.survives("file-damaged")

    def test_file_read_only(self) -> None:
        self.survives("file-read-only")

    def test_second_server(self) -> None:
        self.survives("second-server")

    def test_clock(self) -> None:
        self.survives("clock")

    def test_slow(self) -> None:
        self.survives("slow")

    def test_slow_all(self) -> None:
        self.survives("slow-all")

    def test_replay(self) -> None:
        self.survives("replay")


class ClusterTests(RoundTestCase):
    """The same promises where three servers share a PostgreSQL."""

    def survives(self, fault: str, program: str = "tests.faults.cluster") -> None:
        find_programs()
        super().survives(fault, program)

    def test_all_faults_are_tried(self) -> None:
        self.check_all_are_tried(CLUSTER_FAULTS)

    def test_a_fault_that_there_is_not_is_refused(self) -> None:
        command = [sys.executable, "-m", "tests.faults.cluster", "--only", "primary-killed"]
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn("--only takes server-killed, ", refused.stderr)

    def test_server_killed(self) -> None:
        self.survives("server-killed")

    def test_server_stopped(self) -> None:
        self.survives("server-stopped")

    def test_server_cut(self) -> None:
        self.survives("server-cut")

    def test_database_killed(self) -> None:
        self.survives("database-killed")

    def test_database_stopped(self) -> None:
        self.survives("database-stopped")


class JudgeTests(TestCase):
    """The judge of it all finds each way in which a promise can be broken."""

    def setUp(self) -> None:
        self.history = History("room")
        self.audit = Reading(self.history, "auditor", begin=0)
        self.reader = Reading(self.history, "reader", begin=0)

    def says(self, *ids: str) -> None:
        for id in ids:
            self.history.says(Said("alice", id), id)

    def shows(self, reading: Reading, seq: int, id: str) -> None:
        reading.got(Line(author="alice", msg=id, seq=seq))

    def shows_both(self, seq: int, id: str) -> None:
        self.shows(self.audit, seq, id)
        self.shows(self.reader, seq, id)

    def finds(self, evidence: str) -> None:
        self.history.check(self.audit)
        self.assertEqual(len(self.history.broken), 1, self.history.broken)
        self.assertIn(evidence, self.history.broken[0])

    def test_finds_nothing_where_all_is_well(self) -> None:
        self.says("a", "b", "c")
        self.history.acks(Said("alice", "a"), 1)
        self.history.acks(Said("alice", "a"), 1)
        self.shows_both(1, "a")
        self.shows_both(3, "b")  # numbers may be skipped
        self.history.check(self.audit)
        self.assertEqual(self.history.broken, [])

    def test_acked_and_lost(self) -> None:
        self.says("a", "b")
        self.shows_both(1, "a")
        self.history.acks(Said("alice", "b"), 2)
        self.finds("b was acked as 2, and 2 is not in the log")

    def test_acked_as_what_is_another_message(self) -> None:
        self.says("a", "b")
        self.shows_both(1, "a")
        self.history.acks(Said("alice", "b"), 1)
        self.finds("b was acked as 1, where the log has a")

    def test_acked_twice_with_two_numbers(self) -> None:
        self.says("a")
        self.history.acks(Said("alice", "a"), 1)
        self.shows_both(1, "a")
        self.history.acks(Said("alice", "a"), 2)
        self.finds("a was acked as 1, and then as 2")

    def test_acked_and_never_said(self) -> None:
        self.history.acks(Said("alice", "a"), 1)
        self.finds("an ack for a, which alice has not sent")

    def test_refused_and_kept(self) -> None:
        self.says("a")
        self.history.refused.add(Said("alice", "a"))
        self.shows_both(1, "a")
        self.finds("a was refused, but it is in the log as 1")

    def test_kept_twice(self) -> None:
        self.says("a")
        self.shows_both(1, "a")
        self.shows_both(2, "a")
        self.finds("a is in the log as 1 and as 2")

    def test_kept_and_never_said(self) -> None:
        self.shows_both(1, "a")
        self.finds("1 is a in the log, but alice has not sent that")

    def test_another_order_for_somebody(self) -> None:
        self.says("a", "b")
        self.shows(self.audit, 1, "a")
        self.shows(self.reader, 1, "b")
        self.finds("1 is a for others, and b for reader")

    def test_shown_and_not_kept(self) -> None:
        self.says("a", "b")
        self.shows_both(1, "a")
        self.shows(Reading(self.history, "alice", is_author=True, begin=1), 2, "b")
        self.finds("2 was delivered and is not in the log: b")

    def test_missed(self) -> None:
        self.says("a", "b")
        self.shows_both(1, "a")
        self.shows(self.audit, 2, "b")
        self.finds("reader, who joined at 0, missed 1 of 2: [2]")

    def test_doubled(self) -> None:
        self.says("a")
        self.shows_both(1, "a")
        self.shows(self.reader, 1, "a")
        self.finds("reader had everything up to 1 and then received 1")

    def test_an_author_may_have_an_ack_in_place_of_a_message(self) -> None:
        author = Reading(self.history, "alice", is_author=True, begin=0)
        self.says("a", "b")
        self.shows_both(1, "a")
        self.shows_both(2, "b")
        self.shows(author, 2, "b")
        self.history.check(self.audit)
        self.assertEqual(self.history.broken, [])

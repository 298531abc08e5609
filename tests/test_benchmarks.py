"""The benchmark measures what it says. No time is asserted: what is counted is."""

from __future__ import annotations

import contextlib  # trial takes a module's `suppress` for something else
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from benchmarks import __main__ as program
from benchmarks import attack, cases, load, logs, report, server
from benchmarks.cases import CASES, Bench, Sizes, Step
from benchmarks.load import Crowd, Failed, Load, Talk
from benchmarks.model import Example, Model, fit, model
from benchmarks.results import Results, load_results
from benchmarks.server import Server, TimedSelector
from twisted_chat import room
from twisted_chat.wire.frames import FrameCutter

from .deadlines import TEST_SECONDS
from .programs import ROOT, folder

TINY = Sizes(
    members=(2, 5),
    all_talking=2,
    deliveries=40,
    most_messages=30,
    rooms=2,
    per_room=3,
    connections=6,
    tls_members=3,
    web_members=3,
    logs=(0, 600),
    replay=600,
    idle=(0, 2),
    idle_seconds=0.1,
    joiners=1,
)


def run(*arguments: str, sizes: Sizes = TINY) -> tuple[int, str, str]:
    """Run the program; returns its exit status, and what it said on standard output and on standard error."""
    output, errors = StringIO(), StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            status = program.main(arguments, sizes)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            errors.write(str(end.code))
    return status, output.getvalue(), errors.getvalue()


class LogSizeTests(SynchronousTestCase):
    """`benchmarks/log_size.py`, with a small log."""

    def test_it_measures_everything_and_leaves_nothing_behind(self) -> None:
        home = folder(self)
        command = [sys.executable, str(ROOT / "benchmarks" / "log_size.py"), "--sizes", "600", "--folder", str(home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TEST_SECONDS)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"\nmessages in the room +600\n")
        for figure in ("start", "append one", "trim 500", "memory, MB"):
            self.assertRegex(done.stdout, rf"\n{figure} +[0-9.-]+")
        self.assertEqual(os.listdir(home), [])


class WholeTests(SynchronousTestCase):
    """`python -m benchmarks`, with as little of everything as can be."""

    def test_all_cases(self) -> None:
        home = folder(self)
        saved, picture = str(home / "results.json"), str(home / "results.png")
        status, output, errors = run("--save", saved, "--plot", picture, "--folder", str(home))
        self.assertEqual((status, errors), (0, ""))
        self.check_counts(results := load_results(saved))
        self.check_text(output)
        self.check_markdown(saved)
        self.assertTrue(Path(picture).read_bytes().startswith(b"\x89PNG\r\n\x1a\n"))
        self.assertEqual(results.command, f"python -m benchmarks --save {saved} --plot {picture} --folder {home}")
        self.assertEqual(sorted(os.listdir(home)), ["results.json", "results.png"], "it leaves nothing behind")

    def check_counts(self, results: Results) -> None:
        """See that each message reached each member exactly once, by the rows' own counts."""
        self.assertEqual([name for name in CASES if results.of(name)], list(CASES))
        spoken = [row for row in results.rows if "deliveries" in row]
        self.assertEqual(len(spoken), 16)
        for row in spoken:
            self.assertGreater(row["messages"], 0)
            self.assertEqual(row["complete"], row["messages"])
            self.assertEqual(row["deliveries"], row["messages"] * (row["members"] // row["rooms"] - 1))
            self.assertEqual((row["surplus"], row["whole"]), (0, True))
            self.assertGreaterEqual(row["p99_ms"], row["p50_ms"])
            self.assertGreater(row["p50_ms"], 0)
        self.assertEqual([row["members"] for row in results.of("single")], [2, 5])
        self.assertEqual([row["talkers"] for row in results.of("everyone")], [2])
        self.assertEqual([row["log"] for row in results.of("log")], [0, 600])
        self.assertEqual([row["members"] for row in results.of("idle")], [0, 2])
        phases = [(row["load"], row["phase"]) for row in results.of("turns")]
        talks = [(name, phase) for name in ("rooms", "everyone") for phase in ("joining", "talking", "leaving")]
        self.assertEqual(phases, [*talks, ("replay", "replaying"), ("replay", "leaving")])
        for row in results.of("turns"):
            self.assertEqual(sum(row["microseconds"].values()), row["turns"])
        self.assertGreater(min(row["turns"] for row in results.of("turns") if row["phase"] == "talking"), 1)
        self.assertEqual(set(results.machine), {"processor", "cores", "memory", "kernel"})
        self.assertEqual(results.versions["SQLite"], sqlite3.sqlite_version)

    def check_text(self, output: str) -> None:
        lines = output.splitlines()
        self.assertEqual([line for line in lines if len(line) > 80], [])
        self.assertNotIn("\x1b", output)
        for name in CASES:
            self.assertIn(f"\n{name}: ", output)
        self.assertIn("single, TLS: ", output)
        self.assertIn("per connection in a room", output)

    def check_markdown(self, saved: str) -> None:
        status, output, errors = run("--from", saved, "--markdown")
        self.assertEqual((status, errors), (0, ""))
        for name in CASES:
            self.assertIn(f"\n### {name}\n", output)
        for line in output.splitlines():
            self.assertEqual(line.startswith("|"), line.endswith("|"), line)
        self.assertIn("| an event of 10,000 in one room", output)

    def test_a_part(self) -> None:
        home = folder(self)
        saved = str(home / "part.json")
        status, output, _ = run("--only", "crowd", "--connections", "3", "--processes", "2", "--save", saved)
        self.assertEqual(status, 0)
        (row,) = load_results(saved).rows
        self.assertEqual((row["case"], row["members"], row["whole"]), ("crowd", 3, True))
        self.assertNotIn("what one machine carries", output)
        _, shown, _ = run("--from", saved, "--markdown", "--plot", str(home / "empty.png"))
        self.assertNotIn("What one machine carries", shown)
        self.assertTrue((home / "empty.png").exists())


class ProgramTests(SynchronousTestCase):
    """The options, and their errors."""

    def test_a_case_that_there_is_not(self) -> None:
        status, _, errors = run("--only", "singel")
        self.assertEqual(status, 2)
        self.assertIn("there is no case 'singel'; there are single, burst, ", errors)

    def test_what_is_not_installed_is_said_first(self) -> None:
        with self.assertRaises(SystemExit) as raised:
            program.need("no_such_module", "--plot")
        self.assertIn("--plot needs no_such_module: pip install", str(raised.exception.code))

    def test_a_step_that_fails_does_not_lose_the_others(self) -> None:
        def fails() -> list[cases.Row]:
            raise Failed("nobody listens")

        row = {"case": "memory", "rooms": 400, "memory_per_room": 1_000.0, "memory": 2}
        steps = [Step("first", fails), Step("second", lambda: [row])]
        self.patch(program, "CASES", {"memory": ("", lambda bench: steps)})
        status, output, errors = run("--only", "memory")
        self.assertEqual((status, errors), (1, "first: nobody listens\n"))
        self.assertRegex(output, r"\n400 +1,000\n")

    def test_a_file_that_is_something_else(self) -> None:
        path = folder(self) / "other.json"
        for text in ("[]", "{}", "nonsense"):
            path.write_text(text)
            status, _, errors = run("--from", str(path))
            self.assertEqual(status, 2)
            self.assertIn("was not written by --save", errors)
        status, _, errors = run("--from", str(path) + ".none")
        self.assertEqual(status, 2)
        self.assertIn("No such file", errors)

    def test_what_is_missing_is_shown(self) -> None:
        row = dict.fromkeys(("messages_per_s", "deliveries_per_s", "p50_ms", "p99_ms", "cpu_s", "load_cpu_s"), 1.0)
        counts = {"members": 2, "messages": 10, "complete": 8, "surplus": 3, "whole": False}
        rows = [{**row, **counts, "case": "single", "seconds": 0.0, "cpu_us_per_delivery": 12.3}]
        path = folder(self) / "results.json"
        machine = dict.fromkeys(("processor", "cores", "memory", "kernel"), "some")
        Results("2026-11-22", "", machine, {}, rows).save(str(path))
        status, output, _ = run("--from", str(path))
        self.assertEqual(status, 1)
        self.assertIn(" 12.3  100% 100%  -2 +3\n", output)

    def test_limits_of_the_machine(self) -> None:
        self.assertEqual(Bench().most(2), 2)
        self.assertLess(Bench().most(2**40), 2**40)
        self.patch(os, "sched_getaffinity", lambda pid: {3})
        self.assertEqual(cases.divided_processors(), ([], []))
        self.assertEqual(Bench().processes, 1)
        self.patch(os, "sched_getaffinity", lambda pid: {3, 5, 4})
        self.assertEqual(cases.divided_processors(), ([3], [4, 5]))
        self.assertEqual(Bench().processes, 2)


class ModelTests(SynchronousTestCase):
    """The costs come out that went in."""

    def test_fit(self) -> None:
        rows = [
            {"messages": m, "deliveries": m * (n - 1), "cpu_s": m * (2e-4 + 3e-6 * (n - 1))}
            for m, n in ((1_000, 2), (500, 10), (300, 100), (20, 5_000))
        ]
        message, delivery = fit(rows)
        self.assertAlmostEqual(message, 2e-4)
        self.assertAlmostEqual(delivery, 3e-6)

    def test_what_a_use_takes(self) -> None:
        costs = Model(1e-4, 1e-6, 5e-7, 50e6, 4_000.0, 1_000.0)
        use = Example("", members=200, rooms=3, per_room=101, messages=10.0)
        self.assertAlmostEqual(costs.processor(use), 0.002)
        self.assertAlmostEqual(costs.memory(use), 50e6 + 800e3 + 3e3)
        self.assertAlmostEqual(costs.messages(101) * 2e-4, 0.7)

    def test_it_needs_its_cases(self) -> None:
        self.assertIs(model(Results("", "", {}, {}, [])), None)

    def test_quantiles_of_turns(self) -> None:
        counts = {"3": 990, "10": 9, "12": 1}
        self.assertEqual(cases.quantile(counts, 0.5), 8.0)
        self.assertEqual(cases.quantile(counts, 0.999), 1024.0)
        self.assertEqual(cases.quantile(counts, 1.0), 4096.0)
        self.assertEqual(cases.quantile({}, 0.5), 0.0)

    def test_numbers(self) -> None:
        shown = [report.number_text(value) for value in (0, 0.123, 1.234, 12.34, 1_234.5)]
        self.assertEqual(shown, ["0", "0.12", "1.23", "12.3", "1,234"])


class Relay:
    """A server that is wrong: it hands each message on as often as it is told, with a ping in front."""

    def __init__(self, test: SynchronousTestCase, copies: int) -> None:
        self.copies = copies
        self.clients: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        test.addCleanup(self._listening.close)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # it may be gone before it has heard all
            for line in client.makefile("rb"):
                request = json.loads(line)
                with self._lock:
                    self.answer(client, request)

    def answer(self, client: socket.socket, request: dict[str, str]) -> None:
        if request["type"]:
            client.sendall(b'{"type":"%s"}\n' % {"hello": b"welcome", "join": b"joined"}[request["type"]])
            return
        client.sendall(b'{"type":"ack"}\n')
        for other in self.clients:
            if other is not client:
                other.sendall(b'{"type":"ping"}\n' + b'{"type":""}\n' * self.copies)


class Silent(Relay):
    def answer(self, client: socket.socket, request: dict[str, str]) -> None:
        """Say nothing."""


class Refusing(Relay):
    def answer(self, client: socket.socket, request: dict[str, str]) -> None:
        client.sendall(b'{"type":"error","msg":"no"}\n')


class Cutting(Relay):
    def answer(self, client: socket.socket, request: dict[str, str]) -> None:
        client.shutdown(socket.SHUT_RDWR)


class LoadTests(SynchronousTestCase):
    """The load finds out what a server does wrong."""

    def talk(self, relay: Relay, patience: float = 30.0) -> load.Heard:
        with Load(Crowd(relay.port, 3)) as crowd:
            return crowd.talk(Talk(1, 10, patience=patience))

    def test_once(self) -> None:
        heard = self.talk(Relay(self, 1))
        self.assertEqual((heard.whole, heard.complete, heard.deliveries, heard.surplus), (True, 10, 20, 0))
        self.assertEqual(len(heard.latencies), 10)

    def test_lost(self) -> None:
        heard = self.talk(Relay(self, 0), patience=0.5)
        self.assertEqual((heard.whole, heard.complete, heard.deliveries, heard.surplus), (False, 0, 0, 0))
        self.assertEqual((heard.latencies, heard.latency(0.5)), ([], 0.0))

    def test_twice(self) -> None:
        heard = self.talk(Relay(self, 2))
        self.assertFalse(heard.whole)
        self.assertEqual(heard.surplus, 20)

    def test_nobody_gets_in(self) -> None:
        with self.assertRaisesRegex(Failed, "3 of 3 clients did not join within 0.5 s"):
            Load(Crowd(Silent(self, 0).port, 3, patience=0.5)).__enter__()

    def test_refused(self) -> None:
        with self.assertRaisesRegex(Failed, r'the server refused a client: \{"type":"error","msg":"no"\}'):
            self.talk(Refusing(self, 0))

    def test_cut_off(self) -> None:
        with self.assertRaisesRegex(Failed, r"the server closed connection \d"):  # whichever is looked at first
            self.talk(Cutting(self, 0))

    def test_several_processes(self) -> None:
        relay = Relay(self, 1)
        with Load(Crowd(relay.port, 5), processes=3) as crowd:
            heard = crowd.talk(Talk(2, 6, 2))
            self.assertGreater(crowd.cpu(), 0)
        self.assertEqual((heard.whole, heard.complete, heard.deliveries), (True, 12, 48))

    def test_it_waits_as_long_as_a_room_gathers(self) -> None:
        self.assertEqual(load.GATHER_FROM, room.GATHER_FROM)
        self.assertGreater(load.QUIET_IF_GATHERED, room.GATHER_SECONDS)

    def test_more_than_are_let_in_at_a_time(self) -> None:
        with Load(Crowd(Relay(self, 1).port, 70)) as crowd:
            heard = crowd.talk(Talk(1, 2))
        self.assertEqual((heard.whole, heard.complete, heard.deliveries), (True, 2, 138))

    def test_a_process_that_is_gone(self) -> None:
        with Load(Crowd(Relay(self, 1).port, 1)) as crowd:
            pid = crowd.processes[0].pid
            assert pid
            os.kill(pid, signal.SIGSTOP)  # so that it is asked before it is gone
            killed = threading.Timer(0.1, crowd.processes[0].kill)
            killed.start()
            with self.assertRaisesRegex(Failed, "a process of the load has ended"):
                crowd.cpu()
            killed.join()

    def test_more_addresses_than_one(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            crowd = Crowd(listening.getsockname()[1], 1)
            for index, address in ((0, "127.0.0.1"), (20_000, "127.0.0.2"), (40_001, "127.0.0.3")):
                with load.connect(crowd, index, None):
                    accepted, peer = listening.accept()
                    accepted.close()
                    self.assertEqual(peer[0], address)


class AttackTests(SynchronousTestCase):
    """`python -m benchmarks.attack`, with a few connections."""

    def attack(self, *arguments: str) -> tuple[int, str]:
        output = StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            try:
                return attack.main(arguments), output.getvalue()
            except SystemExit as end:
                return int(str(end.code)), output.getvalue()

    def test_honest_users_lose_nothing_while_others_send_all_kinds_of_floods(self) -> None:
        status, output = self.attack("everything", "--connections", "4", "--addresses", "2", "--seconds", "1")
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"\neverything( +\d+\.\d+){9}\n$")

    def test_browsers_can_attack_too(self) -> None:
        status, output = self.attack("web-say", "web-page", "--connections", "4", "--seconds", "1")
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"\nweb-say( +\d+\.\d+){9}\nweb-page( +\d+\.\d+){9}\n$")

    def test_floods_over_websockets_break_no_rule(self) -> None:
        for kind in attack.KINDS.values():
            if kind.is_web and kind.hello:
                cutter = FrameCutter()
                self.assertTrue(cutter.feed(kind.make(1)) or cutter.ping is not None)
                self.assertIsNone(cutter.ending)

    def test_what_was_lost_is_counted(self) -> None:
        measured = attack.Heard(
            said={"before": 0.0, "1": 2.0, "2": 2.5},
            acked={"1": 2.1},
            heard=[("before", 0.5)] * 19 + [("1", 2.1)] * 19 + [("2", 2.9)] * 18,
            came=[(1.5, 0.1), (2.5, None)],
            refused=["no", "no"],
        )
        row = attack.summarize(measured, begin=1.0, until=3.0)
        self.assertEqual([row[name] for name in ("lost", "unacked", "new_failed", "refused")], [1, 1, 1, ["no"]])
        self.assertAlmostEqual(row["median"], 0.1)
        self.assertAlmostEqual(row["max"], 0.4)
        self.assertFalse(attack.is_whole(row))

    def test_nothing_measured_is_no_number(self) -> None:
        self.assertNotEqual(value := attack.percentile([], 0.5), value)

    def test_an_unknown_kind_is_refused(self) -> None:
        status, output = self.attack("nothing")
        self.assertEqual(status, 2)
        self.assertIn("there is no kind 'nothing'; there are ping, say,", output)


class ServerTests(SynchronousTestCase):
    """The server that is measured, and the clock on its reactor."""

    def test_one_that_does_not_start(self) -> None:
        with self.assertRaisesRegex(OSError, r"(?s)does not listen; it said:.*--durability takes process or power"):
            Server("--durability", "maybe")

    def test_one_that_does_not_stop(self) -> None:
        with Server() as stuck:
            self.assertGreater(stuck.memory(), 2**20)
            self.assertGreater(stuck.cpu(), 0)
            os.kill(stuck.process.pid, signal.SIGSTOP)
            self.patch(server, "PATIENCE", 0.1)
        self.assertEqual(stuck.process.returncode, -signal.SIGKILL)
        self.assertEqual(stuck.turns, [])

    def test_turns_are_what_lies_between_two_waits(self) -> None:
        times = iter((1.0, 1.5, 2.0, 2.001, 7.0, 7.25, 8.0))
        self.patch(time, "perf_counter", lambda: next(times))
        with closing(TimedSelector()) as selector:
            selector.select(0)
            selector.select(0)
            selector.next_phase()
            selector.select(0)
            first, second = selector.phases
        self.assertEqual(first["turns"], 2)
        self.assertEqual(first["max"], 0.5)
        self.assertEqual(first["microseconds"], {19: 1, 10: 1})
        self.assertEqual((second["turns"], second["max"]), (1, 0.25))


class LogsTests(TestCase):
    """Logs that are made in bulk."""

    def test_what_is_made(self) -> None:
        self.patch(logs, "STEP", 100)
        path = str(folder(self) / "chat.sqlite")
        told: list[int] = []
        logs.make(path, 250, "b0", told.append)
        self.assertEqual(told, [100, 100, 50])
        with closing(sqlite3.connect(path)) as connection:
            sql = "SELECT count(*), min(seq), max(seq), count(DISTINCT message.id), min(length(msg)) FROM message"
            self.assertEqual(connection.execute(sql).fetchone(), (250, 1, 250, 250, logs.TEXT))


class RepliesTests(SynchronousTestCase):
    """Requests without a load."""

    def test_an_answer_that_is_another(self) -> None:
        relay = Relay(self, 0)
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            cases.ask(client, {"type": "hello"}, b'"welcome"')
            with self.assertRaisesRegex(ConnectionError, "the server answered"):
                cases.ask(client, {"type": "hello"}, b'"joined"')

    def test_a_replay_that_ends_early(self) -> None:
        with self.assertRaisesRegex(ConnectionError, "the server closed the connection during a replay"):
            cases.replay(Cutting(self, 0).port, "b0", 10)

    def test_sizes(self) -> None:
        sizes = replace(TINY, deliveries=1_000, most_messages=100)
        self.assertEqual([sizes.messages(members) for members in (2, 20, 1_000)], [100, 50, 20])

"""The benchmarks of several servers: what they start is whole, and the estimates are those of a pencil."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import cluster, scaling, shares
from benchmarks.load import Crowd, Talk
from benchmarks.postgresql import PostgreSQL
from benchmarks.scaling import Cell, Costs, Fleet, Path, Stage, Use

from .programs import ROOT, TIMEOUT, folder

ROUND = Costs(
    message=1e-3,
    send=1e-3,
    more=1e-4,
    turn=0.01,
    read_turn=0.02,
    read_message=2e-3,
    told=5e-3,
    database_turn=0.03,
    database_message=4e-3,
    database_read=6e-3,
    database_told=1e-3,
    join=0.01,
    join_told=1e-3,
    database_join=2e-3,
    commit=0.5,
    at_once=2,
    wal=500,
    row=200,
    relay=0.005,
    connections=100,
    memory=1e6,
    line=100,
)
"""Costs that are easy to calculate with."""

HERE = Use(
    users=1_000,
    members=11,
    a_minute=1.2,
    busy_hours=1,
    far=0.5,
    regions=(("Here", 0.8), ("There", 0.2)),
    processors=10,
    network=1e6,
    memory=8e8,
)


class StageTests(SynchronousTestCase):
    """A stage takes what has arrived as one turn."""

    def test_what_arrives_during_a_turn_is_the_next_one(self) -> None:
        leaving, busy = Stage("", turn=1.0, message=0.5, away=0.25).run([0, 0.1, 0.2, 5], ROUND)
        self.assertEqual(leaving, [1.75, 3.75, 3.75, 6.75])
        self.assertEqual(busy, 1.5 + 2.0 + 1.5)

    def test_the_first_message_of_a_turn_to_a_member_costs_most(self) -> None:
        self.assertAlmostEqual(Stage("", turn=0.0, members=10).seconds(3, ROUND), 10 * (1e-3 + 2e-4))

    def test_a_turn_has_so_many_messages_at_most(self) -> None:
        leaving, _ = Stage("", turn=1.0).run([0.0] * 300, ROUND)
        self.assertEqual((leaving.count(1.0), leaving.count(2.0)), (256, 44))


class RoomTests(SynchronousTestCase):
    """The ways of a message in a large room."""

    def test_one_database(self) -> None:
        path = scaling.one_database(1_000, ROUND)
        self.assertEqual((path.servers, path.stages[1].members), (10, 100))
        self.assertAlmostEqual(path.database, 0.03 + 10 * (6e-3 + 1e-3))
        self.assertAlmostEqual(scaling.database_busy(path, 2, ROUND), 2 * (0.1 + 4e-3))
        outcome = scaling.simulate(path, 0.5, ROUND, 10)
        append = 0.01 + 0.5 + 0.03 + 1e-3 + 4e-3
        fan_out = 0.02 + 2 * scaling.HOP + 2e-3 + 100 * 1e-3
        self.assertAlmostEqual(outcome.p50, append + fan_out)
        self.assertAlmostEqual(outcome.p99, append + fan_out)
        self.assertTrue(outcome.keeps_up)

    def test_rooms_of_rooms(self) -> None:
        path = scaling.rooms_of_rooms(1_000, ROUND, leaf=300)
        self.assertEqual((path.servers, [stage.members for stage in path.stages]), (5, [4, 0, 250]))
        self.assertEqual(scaling.database_busy(path, 2, ROUND), 0.0)
        outcome = scaling.simulate(path, 0.5, ROUND, 10)
        there = 0.01 + 1e-3 + 4 * 1e-3 + scaling.FAR
        relayed = 0.005 + scaling.HOP
        self.assertAlmostEqual(outcome.p50, there + relayed + 0.01 + 1e-3 + 0.25)
        self.assertEqual(scaling.rooms_of_rooms(1_000, ROUND).servers, 11)

    def test_all_join(self) -> None:
        server, database = scaling.joining(1_000, 100, ROUND)  # ten a second, at ten servers
        self.assertAlmostEqual(server, 1 * 0.01 + 9 * 1e-3)
        self.assertAlmostEqual(database, 10 * 2e-3)

    def test_a_stage_that_is_too_slow(self) -> None:
        path = Path("", (Stage("", turn=0.0, message=0.02),), 1)
        outcome = scaling.simulate(path, 100, ROUND)
        self.assertFalse(outcome.keeps_up)
        self.assertAlmostEqual(outcome.busiest, 1.0)
        self.assertTrue(scaling.simulate(path, 40, ROUND).keeps_up)


class UserTests(SynchronousTestCase):
    """Cells of servers, and how many of them are needed."""

    def test_a_cell_with_members_anywhere(self) -> None:
        cell = Cell(2, HERE, ROUND)
        self.assertEqual((cell.users, cell.messages, cell.a_turn, cell.turns, cell.deliveries), (200, 4, 1, 4, 40))
        self.assertAlmostEqual(cell.readers, 1 - 0.5**10)
        reads = 4 * (1 - 0.5**10)
        self.assertAlmostEqual(cell.reads, reads)
        self.assertEqual(cell.told, 4)
        self.assertAlmostEqual(cell.database, 4 * 0.03 + 4 * 4e-3 + reads * 6e-3 + 4 * 1e-3)
        server = 4 * 0.01 + 4 * 1e-3 + reads * 0.02 + reads * 2e-3 + 4 * 5e-3 + 40 * 1e-3
        self.assertAlmostEqual(cell.server, server / 2)

    def test_a_cell_with_each_room_at_one_server(self) -> None:
        cell = Cell(2, replace(HERE, a_minute=24), ROUND, together=True)
        self.assertEqual((cell.messages, cell.a_turn, cell.turns), (80, 10, 8))
        self.assertEqual((cell.readers, cell.reads, cell.told), (0, 0, 8))
        self.assertAlmostEqual(cell.database, 8 * 0.03 + 80 * 4e-3 + 8 * 1e-3)

    def test_the_largest_cell_has_a_reserve_and_a_larger_one_has_not(self) -> None:
        for together in (False, True):
            cell = scaling.largest_cell(scaling.ASSUMED, together)
            self.assertTrue(cell.fits)
            self.assertFalse(replace(cell, servers=cell.servers + 1).fits)

    def test_a_fleet(self) -> None:
        fleet = Fleet(Cell(3, HERE, ROUND))  # 300 users, 6 messages/s
        self.assertEqual(fleet.cells, {"Here": 3, "There": 1})
        self.assertEqual(fleet.database_machines, 12)
        self.assertEqual(fleet.server_machines, 2, "12 servers, eight of which fit into the memory of a machine")
        self.assertEqual(Fleet(Cell(3, replace(HERE, memory=1e12), ROUND)).server_machines, 2, "ten processors")
        slow = replace(HERE, memory=1e12, network=1e4)
        self.assertEqual(Fleet(Cell(3, slow, ROUND)).server_machines, 4, "2,000 bytes/s each, and 70 % of 10,000")
        self.assertEqual(fleet.messages, 20)
        self.assertEqual(fleet.to_users, 20 * 10 * 100)
        self.assertEqual(fleet.far_bytes, 20 * 0.5 * 1 * 100)
        self.assertEqual(fleet.disk, 6 * 200 * 3_600)

    def test_the_program(self) -> None:
        output = StringIO()
        with redirect_stdout(output):
            scaling.main(["--members", "100000", "--users", "1000000"])
        self.assertIn("A room of 100,000\n", output.getvalue())
        self.assertIn("\nrooms of 5,000 ", output.getvalue())
        self.assertIn("\n1,000,000 users\n", output.getvalue())
        self.assertIn("\nmachines for servers ", output.getvalue())


class ClusterTests(SynchronousTestCase):
    """`python -m benchmarks.cluster`, with as little of everything as can be."""

    timeout = 300

    def test_one_server_and_two_deliver_everything(self) -> None:
        loads = {"rooms": (Crowd(0, 12, 3), Talk(2, 5, 2))}
        rows = list(cluster.measure_servers(0, loads))
        self.assertEqual([row["servers"] for row in rows], [1, 2])
        for row in rows:
            self.assertEqual((row["whole"], row["messages"], row["deliveries"]), (True, 30, 90))
        self.assertEqual(len(cluster.shown(cluster._SERVERS, rows)), 3)

    def test_turns(self) -> None:
        command = [sys.executable, "-m", "benchmarks.cluster", "--only", "turns", "--seconds", "0.01", "--rounds", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT * 3, cwd=ROOT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for beside in cluster.BESIDE:
            for size in cluster.TURNS:
                self.assertRegex(done.stdout, rf"\n{beside} +{size:,} +[0-9]")
            self.assertRegex(done.stdout, rf"\nPostgreSQL, beside {beside}: .* µs for a turn, and ")

    def test_the_members_of_each_room_are_divided_among_the_servers(self) -> None:
        crowd = Crowd(1, 12, 3, more_ports=(2,))
        self.assertEqual([crowd.port_of(index) for index in range(9)], [1, 2, 1, 2, 1, 2, 1, 2, 1])
        self.assertEqual([Crowd(1, 4, more_ports=(2,)).port_of(index) for index in range(4)], [1, 2, 1, 2])
        self.assertEqual(Crowd(1, 4).port_of(3), 1)

    def test_the_costs_that_went_in_come_out(self) -> None:
        rows = [{"size": size, "us": 600 / size + 14} for size in cluster.TURNS]
        turn, message = cluster.fit(rows, "us")
        self.assertAlmostEqual(turn, 600)
        self.assertAlmostEqual(message, 14)

    def test_medians_of_rounds(self) -> None:
        rounds = [[{"load": "a", "whole": True, "rate": rate}] for rate in (3.0, 1.0, 2.0)]
        self.assertEqual(cluster.median_rows(rounds), [{"load": "a", "whole": True, "rate": 2.0}])


class DatabaseSizeTests(SynchronousTestCase):
    """`python -m benchmarks.database_size`, with a small database."""

    timeout = 300

    def test_it_measures_everything_and_leaves_nothing_behind(self) -> None:
        home = folder(self)
        home.chmod(0o755)  # PostgreSQL runs as nobody if this is root
        arguments = ["--sizes", "30:3000,60:6000", "--folder", str(home)]
        command = [sys.executable, "-m", "benchmarks.database_size", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT * 3, cwd=ROOT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for figure in ("open the store", "read its last 50", "append one", "retention: look for what is over"):
            cell = r" +[0-9.]+ \([0-9.]+\) [0-9.]+"
            self.assertRegex(done.stdout, rf"\n{figure}{cell}{cell}\n")
        self.assertEqual(os.listdir(home), [])


class PostgreSQLTests(SynchronousTestCase):
    """The database that is measured."""

    def test_a_commit_is_on_the_disk(self) -> None:
        with PostgreSQL() as database:
            self.assertEqual(database.execute("SHOW fsync"), "on")
            database.execute("SELECT count(*) FROM generate_series(1, 1000000)")
            self.assertGreater(database.cpu(), 0)
            database.execute("CREATE TABLE kept AS SELECT 7 AS number")
            database.forget()
            self.assertEqual(database.execute("SELECT number FROM kept"), "7")


class ShareTests(SynchronousTestCase):
    """The groups of Linux that give a server a part of a processor."""

    def test_both_versions(self) -> None:
        for is_old in (True, False):
            groups = folder(self)
            self.patch(shares, "GROUPS", groups)
            if is_old:
                (groups / "cpu").mkdir()
            group = (groups / "cpu" if is_old else groups) / f"benchmarks-{os.getpid()}-a"
            share = shares.Share("a", 0.25)
            share.add(123)
            files = {path.name: path.read_text() for path in group.iterdir()}
            limits = (
                {"cpu.cfs_period_us": "10000", "cpu.cfs_quota_us": "2500", "cpu.shares": "10240"}
                if is_old
                else {"cpu.max": "2500 10000", "cpu.weight": "1000"}
            )
            self.assertEqual(files, {**limits, "cgroup.procs": "123"})
            for path in group.iterdir():
                path.unlink()  # those of the kernel go with their folder
            with share:
                pass
            self.assertFalse(group.exists())

    def test_a_group_that_cannot_be_limited_is_removed(self) -> None:
        groups = folder(self)
        self.patch(shares, "GROUPS", groups)
        seen: list[list[str]] = []

        def refuse(*_: object) -> int:
            seen.append(os.listdir(groups))
            raise PermissionError("the group cannot be limited")

        self.patch(pathlib.Path, "write_text", refuse)
        self.assertRaises(PermissionError, shares.Share, "a", 0.25)
        self.assertEqual(seen, [[f"benchmarks-{os.getpid()}-a"]])
        self.assertEqual(os.listdir(groups), [])

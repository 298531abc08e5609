"""The rooms, their sizes, and how fast they grow."""

from __future__ import annotations

import os
import shutil
from functools import partial
from unittest import mock

from twisted_chat.commands import stats
from twisted_chat.commands.stats import STATS, output_width, run
from twisted_chat.names import direct, nick

from .commands import CommandTestCase
from .stores import entry, room


class Stats(CommandTestCase):
    def table(self) -> list[list[str]]:
        outcome = self.here("stats")
        self.assertEqual((outcome.status, outcome.errors), (0, ""))
        return [line.split("  ") for line in outcome.output.splitlines()]

    def cells(self) -> list[list[str]]:
        return [[cell.strip() for cell in row if cell] for row in self.table()[1:]]

    def test_rooms_with_the_most_messages_first_and_all_together(self) -> None:
        self.clock.running = False
        log = self.open_store()
        for name, count in (("a", 1), ("b", 3), ("c", 1)):
            opened = self.successResultOf(room(log, name))
            for number in range(count):
                self.successResultOf(log.append([entry(opened, "я" * 10)], 1_000 + number * 60_000))
            if name == "b":
                self.successResultOf(log.flush())
        self.successResultOf(self.successResultOf(room(log, "d")).set_topic("t"))
        with mock.patch("time.time", return_value=3_600 + 30):
            cells = self.cells()
        self.assertEqual(
            cells,
            [
                ["room", "messages", "text", "last hour", "last day", "newest (UTC)"],
                ["b", "3", "60 B", "2", "3", "1970-01-01 00:02"],
                ["a", "1", "20 B", "0", "1", "1970-01-01 00:00"],
                ["c", "1", "20 B", "0", "1", "1970-01-01 00:00"],
                ["d", "0", "0 B", "0", "0", "-"],
                ["all", "5", "100 B", "2", "5", "1970-01-01 00:02"],
            ],
        )

    def test_direct_messages_are_one_row_and_name_nobody(self) -> None:
        self.clock.running = False
        log = self.open_store()
        logs = [direct(nick("al"), nick("bo")), direct(nick("al"), nick("cy")), nick("lobby")]
        for count, name in enumerate(logs, 1):
            opened = self.successResultOf(log.open(name))
            for _ in range(count):
                self.successResultOf(log.append([entry(opened, "psst")], 1_000))
        self.successResultOf(log.flush())
        rows = [row[:2] for row in self.cells()[1:]]
        self.assertEqual(rows, [["lobby", "3"], ["(direct messages)", "3"], ["all", "6"]])

    def test_sums_are_the_same_page_by_page(self) -> None:
        self.filled()
        whole = self.cells()
        self.patch(stats, "PAGE", 2)
        self.assertEqual(self.cells(), whole)

    def test_one_room_needs_no_sum(self) -> None:
        self.filled(names=("lobby",))
        self.assertEqual([row[0] for row in self.cells()], ["room", "lobby"])

    def test_the_size_of_the_file_and_of_what_is_to_be_copied_into_it(self) -> None:
        self.filled(close=False)
        first = self.table()[0][0]
        self.assertRegex(first, rf"^{self.path}: .* kB, and .* kB in its write-ahead log \(-wal\)$")

    def test_on_a_narrow_terminal(self) -> None:
        self.filled(names=("愛麗絲的房間的房間", "lobby"))
        self.commands = [STATS._replace(run=partial(run, width=lambda: 20))]
        lines = self.here("stats").output.splitlines()[1:]
        self.assertEqual(
            lines, ["room        messages", "lobby              6", "愛麗絲的…          6", "all               12"]
        )

    def test_the_width_is_that_of_a_terminal_and_of_nothing_else(self) -> None:
        self.patch(shutil, "get_terminal_size", lambda: os.terminal_size((33, 24)))
        with mock.patch("sys.stdout") as output:
            for on_terminal, width in ((True, 33), (False, None)):
                output.isatty.return_value = on_terminal
                self.assertEqual(output_width(), width)

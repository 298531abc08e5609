"""The logs as JSON lines."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest import mock

from twisted.internet.defer import Deferred

from twisted_chat.commands import exporting
from twisted_chat.commands.exporting import EXPORT, Row, line_of, run
from twisted_chat.messages import time_milliseconds

from .commands import CommandTestCase
from .stores import entry, room


class Export(CommandTestCase):
    def write_lines_with(self, line: Callable[[str, Row], bytes]) -> None:
        """Make the command write its lines with another function."""
        self.commands = [EXPORT._replace(run=partial(run, line=line))]

    def messages(self, *arguments: str) -> list[tuple[str, int]]:
        return [(line["room"], line["seq"]) for line in self.here("export", *arguments).lines if "seq" in line]

    def test_topics_and_messages_room_by_room_in_the_order_of_numbers(self) -> None:
        self.filled()
        lines = self.here("export").lines
        self.assertEqual(lines[0], {"room": "lobby", "topic": "über\nalles"})
        self.assertEqual(
            lines[1:3],
            [
                {
                    "room": "lobby",
                    "seq": 1,
                    "time": "1970-01-01T00:00:01.000Z",
                    "author": "Алиса",
                    "id": "id1",
                    "msg": "1 \x00",
                },
                {"room": "lobby", "seq": 2, "time": "1970-01-01T00:00:01.000Z", "author": "alice", "msg": "и 1"},
            ],
        )
        self.assertEqual(self.messages(), [(name, number) for name in ("lobby", "Кухня") for number in range(1, 7)])

    def test_a_server_that_runs_does_not_mind(self) -> None:
        self.filled(close=False)
        self.assertEqual(len(self.messages()), 12)

    def test_a_journal_that_is_moved_on_meanwhile_is_there_once(self) -> None:
        self.patch(exporting, "PAGE", 2)
        self.clock.running = False
        log = self.open_store()
        lobby = self.successResultOf(room(log))
        for number in range(1, 12):
            self.successResultOf(log.append([entry(lobby, "\x00" if number == 8 else "a")], 1))
            if number == 5:
                self.successResultOf(log.flush())
        moved: list[Deferred[None]] = []

        def moving(room: str, row: Row) -> bytes:
            if len(moved) < 4:
                moved.append(log.flush())
                self.successResultOf(log.append([entry(lobby, "more")], 1))
            return line_of(room, row)

        self.write_lines_with(moving)
        self.assertEqual(self.messages(), [("lobby", number) for number in range(1, 16)])
        self.assertEqual(len(moved), 4)

    def test_one_room_in_upper_or_lower_case(self) -> None:
        self.filled()
        self.assertEqual({name for name, _ in self.messages("--room", "КУХНЯ")}, {"Кухня"})

    def test_what_was_said_since_a_time(self) -> None:
        self.filled()
        since = "1970-01-01T01:00:02+01:00"
        self.assertEqual(self.messages("--room", "lobby", "--since", since), [("lobby", n) for n in (3, 4, 5, 6)])

    def test_what_was_said_some_time_ago(self) -> None:
        self.filled()
        now = time_milliseconds("1970-01-08") / 1000 + 2.5
        for ago, count in (("7d", 4), ("1w", 4), ("168h", 4), ("200h", 12), ("0h", 0)):
            with mock.patch("time.time", return_value=now):
                self.assertEqual(len(self.messages("--since", ago)), count, ago)

    def test_an_export_into_a_file(self) -> None:
        self.filled()
        path = self.folder / "out.jsonl"
        outcome = self.here("export", str(path))
        self.assertEqual(outcome, (0, "", ""))
        self.assertEqual(path.read_text(), self.here("export").output)

    def test_a_file_gets_its_name_when_it_is_whole(self) -> None:
        self.filled()
        path = self.folder / "out.jsonl"
        path.write_text("the last one")
        before = set(os.listdir(self.folder))
        self.write_lines_with(mock.Mock(side_effect=OSError(5, "Input/output error")))
        self.assertEqual(self.here("export", str(path)).status, 1)
        self.assertEqual(path.read_text(), "the last one")
        self.assertEqual(set(os.listdir(self.folder)), before)
        self.write_lines_with(mock.Mock(side_effect=KeyboardInterrupt))
        self.assertEqual(self.here("export", str(path)).status, 130)
        self.assertEqual(set(os.listdir(self.folder)), before)

    def test_nothing_is_left_when_it_is_ended(self) -> None:
        self.filled()
        before = set(os.listdir(self.folder))
        self.handle_as_a_new_process(signal.SIGTERM, signal.SIGHUP)
        for number in (signal.SIGTERM, signal.SIGHUP):

            def end(room: str, row: Row, number: int = number) -> bytes:
                os.kill(os.getpid(), number)
                return line_of(room, row)

            self.write_lines_with(end)
            self.assertEqual(self.here("export", str(self.folder / "out")).status, 128 + number)
            self.assertEqual(set(os.listdir(self.folder)), before)
            self.assertIs(signal.getsignal(number), signal.SIG_DFL)

    def test_a_file_that_may_not_be_read_may_not_be_replaced_either(self) -> None:
        self.filled()
        theirs = self.folder / "theirs"
        theirs.mkdir()
        (theirs / "out").touch(mode=0)
        theirs.chmod(0o555)
        self.folder.chmod(0o777)
        os.chmod(self.path, 0o644)
        self.as_somebody()
        outcome = self.here("export", str(theirs / "out"))
        self.assertEqual(outcome.errors, f"twisted-chat: cannot write {theirs}/out: Permission denied\n")

    def test_a_pipe_is_written_to(self) -> None:
        self.filled()
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.assertEqual(self.here("export", str(pipe)).status, 0)
        self.assertEqual(os.read(reader, 2**16).decode(), self.here("export").output)

    def test_a_file_that_cannot_be_made(self) -> None:
        self.filled()
        path = Path(self.folder) / "no" / "out"
        outcome = self.here("export", str(path))
        self.assertEqual(outcome, (1, "", f"twisted-chat: cannot write {path}: No such file or directory\n"))

    def test_a_database_is_not_replaced(self) -> None:
        self.filled(close=False)
        other = os.path.join(self.folder, "other.sqlite")
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        for path in (self.path, f"{self.path}-wal", f"{self.path}-shm", f"{self.path}-lock", other):
            before = Path(path).read_bytes()
            outcome = self.here("export", path)
            self.assertEqual((outcome.status, outcome.output), (1, ""))
            self.assertIn(f"{path} is a database, which the export would replace", outcome.errors)
            self.assertEqual(Path(path).read_bytes(), before)

    def test_a_room_that_is_not_there(self) -> None:
        self.filled()
        self.assertEqual(self.here("export", "--room", "x"), (1, "", "twisted-chat: there is no room 'x'\n"))

    def test_what_is_no_room_and_no_time(self) -> None:
        self.filled()
        self.assertIn("--room takes the name of a room: a room consists", self.here("export", "--room", "a b").errors)
        self.assertIn(
            "--since takes a time such as 2026-11-22T11:00Z, or 12h, 7d or 4w ago, not 'yesterday'",
            self.here("export", "--since", "yesterday").errors,
        )

    def test_nothing_to_export(self) -> None:
        self.filled(names=("lobby",))
        self.assertEqual(self.messages("--since", "2020-01-01"), [])

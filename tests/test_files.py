"""How a command opens the file of a server, with whatever rights its user has."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from twisted_chat.stores.sqlite import database

from .commands import CommandTestCase, Outcome


class ReadersTests(CommandTestCase):
    """A user who may read everything and write nothing."""

    @contextmanager
    def who_may_only_read(self) -> Iterator[None]:
        for path in self.folder.iterdir():
            path.chmod(0o644)
        self.folder.chmod(0o555)
        self.as_somebody()
        try:
            yield
        finally:
            os.seteuid(os.getuid())
            self.folder.chmod(0o755)

    def counted(self) -> list[Outcome]:
        """Read the file in both ways; the user leaves no trace."""
        before = sorted(os.listdir(self.folder))
        with self.who_may_only_read():
            outcomes = [self.here("stats"), self.here("export", "--room", "lobby")]
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        return outcomes

    def assert_read(self) -> None:
        stats, export = self.counted()
        self.assertEqual((stats.status, export.status, len(export.lines)), (0, 0, 7), stats.errors + export.errors)

    def test_a_reader_beside_a_server(self) -> None:
        self.filled(close=False)
        self.assert_read()

    def test_a_reader_of_the_file_of_a_stopped_server(self) -> None:
        self.filled()
        self.assert_read()

    def test_a_reader_who_may_write_to_the_file_and_not_to_its_folder(self) -> None:
        self.filled()
        os.chmod(self.path, 0o666)
        self.folder.chmod(0o555)
        self.as_somebody()
        self.assertEqual(self.here("stats").status, 0)

    def test_a_reader_of_a_backup(self) -> None:
        self.filled()
        backup = self.folder / "backup"
        self.beside().execute("VACUUM INTO ?", (str(backup),))
        os.replace(backup, self.path)
        self.assert_read()

    def test_a_name_that_means_something_in_a_uri(self) -> None:
        self.filled()
        name = self.folder / "100% of it?#.sqlite"
        os.rename(self.path, name)
        self.path = str(name)
        self.assert_read()

    def test_what_a_server_left_that_was_killed_says_who_can_read_it(self) -> None:
        self.filled(close=False)
        copy = self.folder / "copy"
        copy.mkdir()
        for end in ("", "-wal"):
            shutil.copy(self.path + end, copy)
        self.folder, self.path = copy, str(copy / "chat.sqlite")
        os.chmod(copy.parent, 0o755)
        for outcome in self.counted():
            self.assertEqual(outcome.status, 1)
            self.assertIn(
                f"are still in {self.path}-wal, which only a user who may write to its folder", outcome.errors
            )

    def test_what_is_no_database_for_a_reader_either(self) -> None:
        (self.folder / "chat.sqlite").write_text("no database " * 100)
        with self.who_may_only_read():
            self.assertIn("it is not an SQLite database", self.here("stats").errors)

    def test_what_may_not_even_be_read(self) -> None:
        self.filled()
        os.chmod(self.path, 0)
        self.folder.chmod(0o755)
        self.as_somebody()
        outcome = self.here("stats")
        self.assertEqual((outcome.status, outcome.errors), (1, f"twisted-chat: {self.path}: it cannot be opened\n"))

    def test_what_another_program_keeps_for_itself(self) -> None:
        self.filled()
        self.patch(database, "PATIENCE", 0)
        other = self.beside()
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("UPDATE room SET topic = 'theirs'")
        self.assertIn("another program has been writing to it for too long", self.here("stats").errors)


class WritersTests(CommandTestCase):
    def test_an_import_that_cannot_begin_a_file_leaves_nothing(self) -> None:
        self.patch(database, "prepare", self.fail_to_prepare)
        self.assertEqual(self.here("import").status, 1)
        self.assertEqual(os.listdir(self.folder), [])

    def fail_to_prepare(self, *_: object) -> None:
        error = sqlite3.OperationalError("full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    def test_an_import_leaves_one_file(self) -> None:
        self.assertEqual(self.here("import").status, 0)
        self.assertEqual(os.listdir(self.folder), ["chat.sqlite"])


class URLTests(CommandTestCase):
    def test_a_database_in_postgresql_is_backed_up_by_its_own_programs(self) -> None:
        self.filled()
        outcome = self.run_command("backup", "b.sqlite", "--database", "postgresql://chat@localhost/chat")
        self.assertEqual(outcome.status, 2)
        self.assertIn("for PostgreSQL, use its own programs, such as pg_dump: see docs/operations.md", outcome.errors)

"""`twisted-chat check` finds damage and contradictions in a database, and what to do about them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest import mock

from twisted_chat import names
from twisted_chat.commands import check
from twisted_chat.commands.check import CHECK, run
from twisted_chat.log import DELETE, Entry
from twisted_chat.rules import Role
from twisted_chat.stores.sqlite import database

from .commands import CommandTestCase, Outcome
from .stores import entry, read_bytes, room, write_bytes
from .test_sqlite_database import SCHEMAS

RESTORE = "Stop the server and put a backup in its place."
NEW_FILE = "Export the room, and import it into a new database."


class CheckTestCase(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(os, "fsync", lambda descriptor: None)

    def filled_with_everything(self, close: bool = True) -> None:
        """Fill the test's database with messages, deletions, accounts and roles."""
        rooms = self.filled(close=False)
        for of in (1, 2, rooms[0].seq):
            self.successResultOf(
                self.log.append([Entry(rooms[0], names.nick("mo"), "", kind=DELETE, of=of)], 4_000 + of)
            )
        if close:
            self.successResultOf(self.log.close())
        with closing(sqlite3.connect(self.path)) as connection:
            ids = dict(connection.execute("SELECT key, id FROM room").fetchall())
        self.lobby, self.kitchen = ids["lobby"], ids["кухня"]
        self.change(
            "INSERT INTO account VALUES ('olga', 'Olga', ?, '$argon2id$', 1, 'active', 0)", names.skeleton("Olga")
        )
        self.change("INSERT INTO account VALUES ('gone', 'gone', ?, '', 1, 'removed', 0)", names.skeleton("gone"))
        self.change("INSERT INTO token VALUES (x'00', 'olga', 'phone', 1, NULL)")
        self.change("INSERT INTO rule VALUES ('lobby', 'role', 'olga', 'Olga', '', ?, NULL, '', 'olga', 1)", Role.OWNER)

    def change(self, sql: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(sql, values)

    def check(self) -> Outcome:
        outcome = self.here("check")
        self.assertEqual(outcome.errors, "")
        return outcome

    def check_reports(self, *lines: str) -> None:
        """Check the lines before the last one, and that the last one and the status fit them."""
        outcome = self.check()
        *found, last = outcome.output.splitlines()
        self.assertEqual(found, list(lines))
        problems = sum(line.startswith("problem: ") for line in lines)
        self.assertEqual(outcome.status, 1 if problems else 0)
        said = {0: "no problem found", 1: "1 problem found"}.get(problems, f"{problems} problems found")
        self.assertTrue(last.startswith(f"{self.path}: ") and last.endswith(said), last)


class SoundTests(CheckTestCase):
    """Nothing is wrong with what a server writes."""

    def check_finds_nothing(self) -> None:
        outcome = self.check()
        self.assertEqual(outcome.output, f"{self.path}: 2 rooms, 15 messages, 2 accounts: no problem found\n")
        self.assertEqual(outcome.status, 0)

    def test_after_a_server_has_stopped(self) -> None:
        self.filled_with_everything()
        self.check_finds_nothing()

    def test_beside_a_running_server_with_a_journal(self) -> None:
        self.filled_with_everything(close=False)
        self.check_finds_nothing()

    def test_an_empty_store(self) -> None:
        self.filled_with_everything()
        for table in ("message", "token", "rule", "account", "room"):
            self.change(f"DELETE FROM {table}")
        self.assertEqual(self.check().output, f"{self.path}: 0 rooms, 0 messages, 0 accounts: no problem found\n")

    def test_a_backup(self) -> None:
        self.filled_with_everything(close=False)
        backup = str(self.folder / "backup.sqlite")
        self.here("backup", backup)
        outcome = self.run_command("check", "--database", backup)
        self.assertEqual((outcome.status, outcome.errors), (0, ""))
        self.assertIn("15 messages", outcome.output)

    def test_a_room_whose_numbers_have_gaps(self) -> None:
        self.filled_with_everything()
        self.here("export", str(self.folder / "all.jsonl"))
        lines = (self.folder / "all.jsonl").read_text().splitlines(keepends=True)
        (self.folder / "some.jsonl").write_text("".join(lines[::2]))
        self.path = str(self.folder / "other.sqlite")
        self.assertEqual(self.here("import", str(self.folder / "some.jsonl")).status, 0)
        self.check_reports()

    def test_a_room_that_retention_has_emptied_and_forgotten(self) -> None:
        self.filled_with_everything()
        self.change("DELETE FROM message WHERE room = ?", self.kitchen)
        self.change("UPDATE room SET name = '', trimmed = 6, skipped = 0 WHERE id = ?", self.kitchen)
        self.assertIn("1 room, 9 messages", self.check().output)

    def test_direct_messages(self) -> None:
        self.clock.running = False
        log = self.open_store()
        direct = self.successResultOf(log.open(names.log("@Alice@bob")))
        self.successResultOf(log.append([entry(direct, "psst")], 1_000))
        self.check_reports()
        self.change("UPDATE journal SET deleted = 1")
        self.check_reports(
            "problem: messages were deleted, and still have their text: 1 in direct messages. Delete them again."
        )

    def test_it_goes_on_page_by_page(self) -> None:
        self.filled_with_everything()
        self.patch(check, "PAGE", 2)
        self.check_finds_nothing()


class DamageTests(CheckTestCase):
    """Damage that SQLite finds."""

    def test_a_page_that_was_written_over(self) -> None:
        self.filled_with_everything()
        data = bytearray(read_bytes(self.path))
        at = data.index("и 1".encode())
        data[at - at % 4096 : at - at % 4096 + 2] = b"\xff\xff"
        write_bytes(self.path, bytes(data))
        outcome = self.here("check")
        self.assertEqual((outcome.status, outcome.output), (1, ""))
        self.assertIn("it is damaged; stop the server and put a backup in its place", outcome.errors)

    def test_an_index_that_does_not_fit_its_table(self) -> None:
        self.filled_with_everything()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA writable_schema = ON")
            sql = "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', 'NULL') WHERE name = 'said_once'"
            connection.execute(sql)
        outcome = self.check()
        pattern = rf"^problem: {self.path} is damaged: .* missing from index said_once, .* more\. {RESTORE}\n"
        self.assertRegex(outcome.output, pattern)
        self.assertEqual((outcome.output.count("\n"), outcome.status), (2, 1))

    def test_a_text_that_is_not_valid(self) -> None:
        self.filled_with_everything()
        self.change("UPDATE message SET msg = CAST(x'ff' AS TEXT) WHERE room = ? AND seq IN (1, 3)", self.kitchen)
        self.check_reports(f"problem: texts are damaged: 1 in Кухня, 3 in Кухня. {RESTORE}")

    def test_what_is_no_store(self) -> None:
        write_bytes(self.path, b"a letter to my grandmother" * 100)
        outcome = self.here("check")
        self.assertEqual((outcome.status, outcome.output), (1, ""))
        self.assertIn("it is not an SQLite database", outcome.errors)
        os.unlink(self.path)
        self.assertIn("there is no file", self.here("check").errors)

    def test_a_file_of_an_earlier_version(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript((SCHEMAS / "version-1.sql").read_text())
        os.chmod(self.path, 0o600)
        self.check_reports(
            "note: it was written by an older version (its tables are of version 1), and only SQLite's own check was "
            "made. Start the server once, which brings it up to date."
        )


class LogTests(CheckTestCase):
    """Contradictions in the logs."""

    def setUp(self) -> None:
        super().setUp()
        self.filled_with_everything()

    def journal(self, room: int, *seqs: int) -> None:
        for seq in seqs:
            self.change(
                "INSERT INTO journal (room, seq, time, author, author_key, msg) VALUES (?, ?, 1, 'a', 'a', 'hi')",
                room,
                seq,
            )

    def test_a_message_of_no_room(self) -> None:
        self.journal(99, 1)
        self.check_reports(
            "problem: rows belong to a room or an account that is not there, so nobody can read them: journal 1. "
            + RESTORE
        )

    def test_a_number_that_is_given_twice(self) -> None:
        self.journal(self.kitchen, 6, 7, 7)
        self.check_reports(
            "problem: numbers in the journal are not larger than those before them: 6 in Кухня, 7 in Кухня. "
            "The next start gives these messages new numbers, and logs how many."
        )
        with closing(database.connect(self.path)) as connection:
            self.assertEqual(database.prepare(connection, self.path), 2)
        self.check_reports()

    def test_a_number_of_messages_that_is_not_right(self) -> None:
        self.change("UPDATE room SET skipped = 3 WHERE key = 'lobby'")
        self.check_reports(
            "problem: a room has another number of messages than it says, so that --keep would delete too many or too "
            f"few: lobby. {NEW_FILE}"
        )

    def test_a_deletion_after_which_the_text_is_still_there(self) -> None:
        self.change("UPDATE message SET msg = 'secret' WHERE room = ? AND seq = 1", self.lobby)
        self.change("UPDATE message SET msg = 'secret', deleted = NULL WHERE room = ? AND seq = 2", self.lobby)
        self.journal(self.lobby, 10)
        self.change("INSERT INTO journal SELECT NULL, ?, 11, 1, 'mo', 'mo', NULL, '', 'delete', 10, NULL", self.lobby)
        self.check_reports(
            "problem: messages were deleted, and still have their text: 1 in lobby, 2 in lobby, 10 in lobby. "
            "Delete them again."
        )

    def test_only_some_places_are_named(self) -> None:
        self.change("UPDATE message SET msg = 'secret', deleted = 9 WHERE room = ?", self.kitchen)
        self.check_reports(
            "problem: messages were deleted, and still have their text: 1 in Кухня, 2 in Кухня, 3 in Кухня and 3 more. "
            "Delete them again."
        )

    def test_keys(self) -> None:
        self.change("UPDATE room SET key = 'Lobby' WHERE id = ?", self.lobby)
        self.change("UPDATE room SET name = 'two words' WHERE id = ?", self.kitchen)
        self.change("UPDATE message SET author_key = 'eve' WHERE room = ? AND seq = 1", self.kitchen)
        self.change("UPDATE message SET author = 'a b' WHERE room = ? AND seq = 2", self.kitchen)
        outcome = self.check()
        first, second, last = outcome.output.splitlines()
        self.assertEqual(first, f"problem: the key of a room is not that of its name: lobby, two words. {RESTORE}")
        self.assertRegex(
            second, "^problem: the key of an author is not that of the name, .* in two words, .* in two words"
        )
        self.assertTrue(last.endswith("2 problems found"))

    def test_messages_from_the_future(self) -> None:
        self.change(
            "UPDATE message SET time = ? WHERE room = ? AND seq = 1",
            int(time.time() * 1000) + 2 * check._DAY,
            self.kitchen,
        )
        self.check_reports(
            "note: messages are from the future, since the clock was set ahead when they were sent: 1 in Кухня. "
            "With --keep, they stay until that time."
        )

    def test_the_row_of_the_store(self) -> None:
        self.change("INSERT INTO store (epoch) VALUES (7)")
        self.check_reports(f"problem: the table store has 2 rows instead of one. {RESTORE}")


class AccountTests(CheckTestCase):
    """Contradictions in the registry."""

    def setUp(self) -> None:
        super().setUp()
        self.filled_with_everything()

    def test_a_skeleton_that_another_table_of_characters_gave(self) -> None:
        self.change("UPDATE account SET skeleton = 'o1ga' WHERE key = 'olga'")
        self.check_reports(
            "problem: an account's key or skeleton is not that of its name, so that somebody else could take a name "
            "like it: Olga. Export everything with --accounts, and import it into a new database."
        )

    def test_a_state_or_a_password_that_there_is_not(self) -> None:
        for change in ("state = 'asleep'", "password = 'secret', state = 'active'"):
            self.change(f"UPDATE account SET {change} WHERE key = 'olga'")
            self.check_reports(f"problem: an account's state or password is damaged: Olga. {RESTORE}")

    def test_a_removed_account_that_has_something(self) -> None:
        self.change("INSERT INTO token VALUES (x'01', 'gone', 'phone', 1, NULL)")
        self.check_reports(f"problem: a removed account has tokens or roles: gone. {RESTORE}")

    def test_roles(self) -> None:
        for place, key, role in (
            ("lobby", "nobody", Role.MEMBER),
            ("кухня", "olga", Role.MODERATOR),
            ("lobby", "olga", 7),
        ):
            self.change(
                "INSERT OR REPLACE INTO rule VALUES (?, 'role', ?, ?, '', ?, NULL, '', 'olga', 1)",
                place,
                key,
                key,
                role,
            )
        self.check_reports(
            "problem: a role is none that there is: olga in lobby. Grant it again.",
            "note: roles are those of names without an account, which whoever registers such a name gets: nobody in "
            "lobby. Take them back with /grant, unless the accounts come from --auth.",
            "note: rooms have moderators or members, and no owner: lobby, кухня. An operator can /grant one.",
        )


class FilesTests(CheckTestCase):
    """What is told about the files themselves."""

    def setUp(self) -> None:
        super().setUp()
        self.filled_with_everything()

    def test_a_file_that_everybody_may_read(self) -> None:
        os.chmod(self.path, 0o644)
        self.folder.chmod(0o755)
        path = os.path.realpath(self.path)
        self.check_reports(
            f"note: every user of this machine can read {path}, which has all messages and the hashes of passwords. "
            f"chmod o= {path} while the server is stopped."
        )

    def test_files_beside_it_that_belong_to_somebody_else(self) -> None:
        path = os.path.realpath(self.path)
        Path(f"{path}-lock").touch()
        owner = pwd.getpwuid(os.getuid()).pw_name
        stat = os.stat

        def with_root(name: str, *args: object, **options: object) -> os.stat_result:
            found = stat(name)
            return os.stat_result((*found[:4], found.st_uid + 1, *found[5:])) if str(name).endswith("-lock") else found

        with mock.patch.object(os, "stat", with_root):
            lines = (
                f"problem: {path} belongs to {owner}, and files beside it belong to somebody else, so that the server "
                f"may not be able to write: {path}-lock. Give them to {owner} with chown."
            )
            self.check_reports(lines)

    def test_a_user_without_a_name(self) -> None:
        self.assertEqual(check._user(2**31 - 7), f"the user with the number {2**31 - 7}")

    def test_what_a_killed_server_has_left(self) -> None:
        self.successResultOf(self.open_store().close())
        log = self.open_store()
        lobby = self.successResultOf(room(log))
        self.successResultOf(log.append([entry(lobby, "hi")], 9_000))
        copy = str(self.folder / "copy.sqlite")
        for end in ("", "-wal"):
            shutil.copy(self.path + end, copy + end)
        self.path = copy
        killed = (
            "note: no server runs, and the newest messages are in -wal, as after a server was killed. "
            "Copy both files together; the next start moves them on."
        )
        self.check_reports(killed)

    def test_a_large_write_ahead_log(self) -> None:
        log = self.open_store()
        self.successResultOf(log.append([entry(self.successResultOf(room(log)), "hi")], 9_000))
        self.patch(check, "PINNED_BYTES", 1_000)
        (line, _) = self.check().output.splitlines()
        self.assertRegex(line, r"^note: .*-wal has [\d.]+ kB, since another program .* End that program\.$")

    def test_little_space(self) -> None:
        self.patch(shutil, "disk_usage", lambda folder: mock.Mock(free=5 * 10**8))
        self.check_reports(
            "note: the disk has 500 MB left. Make space, or the server has to refuse messages; see --keep."
        )


class PauseTests(CheckTestCase):
    """The server gets half of the time, and a signal ends the command."""

    def setUp(self) -> None:
        super().setUp()
        self.filled_with_everything()
        self.patch(check, "STEPS", 100)

    def test_it_pauses_for_as_long_as_it_has_worked(self) -> None:
        pauses: list[float] = []
        self.commands = [CHECK._replace(run=partial(run, sleep=pauses.append))]
        now = 0.0

        def tick() -> float:
            nonlocal now
            now += 0.25
            return now

        with mock.patch("time.monotonic", tick):
            self.assertEqual(self.check().status, 0)
        self.assertGreater(len(pauses), 3)
        self.assertEqual(set(pauses), {0.25})

    def test_a_signal_ends_it(self) -> None:
        self.handle_as_a_new_process(signal.SIGINT)
        self.commands = [CHECK._replace(run=partial(run, sleep=lambda seconds: os.kill(os.getpid(), signal.SIGINT)))]
        self.assertEqual(self.here("check"), (128 + signal.SIGINT, "", ""))

    def test_an_error_of_the_file_is_reported(self) -> None:
        self.patch(check, "_check_contents", mock.Mock(side_effect=sqlite3.OperationalError("disk I/O error")))
        self.assertEqual(self.here("check"), (1, "", f"twisted-chat: {self.path}: disk I/O error\n"))

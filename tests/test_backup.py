"""`twisted-chat backup` copies the database of a server that goes on, as of one moment."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import stat
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from twisted.trial.unittest import TestCase

from twisted_chat import names
from twisted_chat.commands import backup
from twisted_chat.commands.backup import BACKUP, run
from twisted_chat.log import DELETE, Entry
from twisted_chat.status import units
from twisted_chat.stores.sqlite import lock
from twisted_chat.stores.sqlite.lock import FileLock, is_in_use

from .commands import CommandTestCase, Outcome
from .programs import Program, Server
from .stores import StoreTestCase, entry, room
from .test_sqlite_database import SCHEMAS


class BackupTestCase(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.copy = self.folder / "backup.sqlite"
        self.commands = [BACKUP._replace(run=partial(run, sleep=self.sleep))]
        self.patch(backup, "STEP_BYTES", 4096)
        self.steps = 0

    def sleep(self, seconds: float) -> None:
        """Called after each step."""
        self.steps += 1

    def backup(self, *arguments: str, file: str | None = None) -> Outcome:
        return self.here("backup", *arguments, str(self.copy) if file is None else file)

    def check_refuses(self, why: str, *arguments: str, file: str | None = None) -> None:
        before = self.contents()
        outcome = self.backup(*arguments, file=file)
        self.assertEqual((outcome.status, outcome.output), (1, ""))
        self.assertEqual(outcome.errors, f"twisted-chat: {why}\n")
        self.assertEqual(self.contents(), before, "everything is as before")

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}

    def said(self, path: Path | None = None) -> list[Any]:
        with closing(sqlite3.connect(path or self.copy)) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            return connection.execute("SELECT room, seq, author, id, msg FROM said ORDER BY room, seq").fetchall()


class CopyTests(BackupTestCase):
    def test_it_has_all_that_was_acked_whatever_table_it_is_in(self) -> None:
        self.filled(close=False)
        with closing(sqlite3.connect(self.path)) as connection:
            counts = [
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("message", "journal")
            ]
        self.assertEqual(counts, [8, 4])
        outcome = self.backup()
        self.assertEqual((outcome.status, outcome.errors), (0, ""))
        self.assertRegex(outcome.output, rf"^{self.copy}: [\d.]+ kB\n$")
        self.assertEqual(len(self.said()), 12)
        self.assertEqual(self.said(), self.said(Path(self.path)))

    def test_it_is_one_file_that_only_its_owner_may_read(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.filled()
        self.backup()
        self.assertEqual(sorted(os.listdir(self.folder)), ["backup.sqlite", "chat.sqlite"])
        self.assertEqual(stat.S_IMODE(self.copy.stat().st_mode), 0o600)

    def test_the_server_goes_on_and_the_copy_is_of_the_moment_when_it_began(self) -> None:
        rooms = self.filled(close=False)
        before = self.said(Path(self.path))
        pages = -(-os.path.getsize(self.path) // 4096)

        def talk(seconds: float) -> None:
            self.sleep(seconds)
            self.assertTrue(self.log.append_now([entry(rooms[0], "x" * 5_000)], 9_000), "nobody waits for the backup")

        self.commands = [BACKUP._replace(run=partial(run, sleep=talk))]
        self.assertEqual(self.backup().status, 0)
        self.assertGreaterEqual(self.steps, 10)
        self.assertLessEqual(self.steps, pages + 1, "it does not begin again when something is said")
        self.assertEqual(self.said(), before)

    def test_the_server_gets_half_of_the_time(self) -> None:
        self.filled()
        slept: list[float] = []
        now = 0.0

        def tick() -> float:
            nonlocal now
            now += 0.25
            return now

        self.commands = [BACKUP._replace(run=partial(run, sleep=slept.append))]
        with mock.patch("time.monotonic", tick):
            self.backup()
        self.assertEqual(set(slept), {0.25}, "as long as the step took")

    def test_it_is_written_to_the_disk_on_the_way_and_at_the_end(self) -> None:
        self.filled()
        self.patch(backup, "SYNC_BYTES", 10 * 4096)
        synced: list[int] = []
        self.patch(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
        self.backup()
        size = self.copy.stat().st_size
        self.assertEqual(len(synced), size // (10 * 4096) + 1)
        self.assertEqual(synced[-1], size)

    def test_a_text_that_was_deleted_is_in_no_later_backup(self) -> None:
        self.clock.running = False
        log = self.open_store()
        lobby = self.successResultOf(room(log))
        for moved_first in (True, False):
            self.successResultOf(log.append([entry(lobby, "kept secret")], 1_000))
            if moved_first:
                self.successResultOf(log.flush())
            self.assertEqual(self.backup("--replace").status, 0)
            self.assertIn(b"kept secret", self.copy.read_bytes())
            self.successResultOf(log.append([Entry(lobby, names.nick("mo"), "", kind=DELETE, of=lobby.seq)], 2_000))
            self.backup("--replace")
            self.assertNotIn(b"kept secret", self.copy.read_bytes())

    def test_a_file_of_an_earlier_version_is_copied_as_it_is(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript((SCHEMAS / "version-1.sql").read_text())
        self.assertEqual(self.backup().status, 0)
        with closing(sqlite3.connect(self.copy)) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (1,))


class PlaceTests(BackupTestCase):
    """A backup takes the place of nothing but an earlier backup, and of that only if asked to."""

    def setUp(self) -> None:
        super().setUp()
        self.filled()

    def test_an_earlier_backup(self) -> None:
        self.backup()
        self.copy.chmod(0o644)
        self.check_refuses(f"{self.copy} is there already: name another file, or use --replace")
        first = self.copy.stat().st_ino
        outcome = self.backup("--replace")
        self.assertEqual((outcome.status, outcome.errors), (0, ""))
        self.assertNotEqual(self.copy.stat().st_ino, first)
        self.assertEqual(stat.S_IMODE(self.copy.stat().st_mode), 0o600)

    def test_the_standard_output(self) -> None:
        expected = "a backup is not written to the standard output: name a file, or ./- for one that is called -"
        for options in ((), ("--replace",)):
            self.check_refuses(expected, *options, file="-")
        self.assertFalse(os.path.lexists("-"))

    def test_what_belongs_to_the_database(self) -> None:
        link = self.folder / "link"
        link.symlink_to("chat.sqlite")
        for file in (self.path, f"{self.path}-wal", f"{self.path}-lock", str(link)):
            self.check_refuses(
                f"{file} belongs to the server's database: name another file to write to", "--replace", file=file
            )

    def test_what_is_no_backup(self) -> None:
        why = f"{self.copy} is no backup, and --replace replaces nothing else: name another file"
        self.copy.write_text("a letter to my grandmother, longer than a page of zeros" * 100)
        self.check_refuses(why, "--replace")
        self.copy.unlink()
        with closing(sqlite3.connect(self.copy)) as connection:
            connection.execute("CREATE TABLE mine (a)")
        self.check_refuses(why, "--replace")
        self.copy.unlink()
        os.mkfifo(self.copy)
        self.check_refuses(why, "--replace")

    def test_what_sqlite_would_take_for_a_part_of_it(self) -> None:
        self.backup()
        wal = Path(f"{self.copy}-wal")
        wal.write_bytes(b"of a program that was killed")
        why = f"{wal} is there, of a program that uses {self.copy} or was killed: name another file"
        self.check_refuses(why, "--replace")
        self.copy.unlink()
        self.check_refuses(why)

    def test_a_database_on_which_another_server_runs(self) -> None:
        shutil.copy(self.path, self.copy)
        lock = FileLock.acquire(str(self.copy))
        self.addCleanup(lock.release)
        self.check_refuses(f"a server runs on {self.copy}: name another file", "--replace")

    def test_a_device_is_refused(self) -> None:
        self.check_refuses(
            "/dev/null is no backup, and --replace replaces nothing else: name another file",
            "--replace",
            file="/dev/null",
        )
        self.check_refuses("cannot write /proc/self/fd/99: not a regular file", file="/proc/self/fd/99")

    def test_a_folder_that_is_not_there(self) -> None:
        file = str(self.folder / "no" / "backup.sqlite")
        self.check_refuses(f"cannot write {file}: No such file or directory", file=file)

    def test_a_disk_without_space(self) -> None:
        self.patch(shutil, "disk_usage", lambda folder: mock.Mock(free=1_000))
        size = units.size(os.path.getsize(self.path))
        self.check_refuses(f"{self.folder} has no space for the backup of {size}: 1 kB are free")

    def test_a_disk_that_is_full_on_the_way(self) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, limits[1]))
        self.check_refuses(f"cannot write {self.copy}: the disk is full")

    def test_a_database_that_cannot_be_read_on(self) -> None:
        def fail(seconds: float) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        self.commands = [BACKUP._replace(run=partial(run, sleep=fail))]
        self.check_refuses(f"{self.path}: database disk image is malformed")

    def test_an_earlier_backup_outlives_an_interruption(self) -> None:
        self.handle_as_a_new_process(signal.SIGTERM)
        self.backup()

        def interrupt(seconds: float) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        self.commands = [BACKUP._replace(run=partial(run, sleep=interrupt))]
        before = self.contents()
        self.assertEqual(self.backup("--replace").status, 128 + signal.SIGTERM)
        self.assertEqual(self.contents(), before)


class InUseTests(StoreTestCase):
    """Whether a server has a database can be seen without a change."""

    def check_sees_a_server(self) -> None:
        Path(self.path).touch()
        self.assertFalse(is_in_use(self.path))
        held = FileLock.acquire(self.path)
        self.assertTrue(is_in_use(self.path))
        held.release()
        self.assertFalse(is_in_use(self.path))
        self.assertEqual(os.listdir(self.folder), ["chat.sqlite"])

    def test_by_its_lock_on_the_database(self) -> None:
        self.check_sees_a_server()

    def test_by_the_file_beside_it_where_there_are_no_such_locks(self) -> None:
        self.patch(lock, "_SET_LOCK", None)
        self.patch(lock, "_GET_LOCK", None)
        self.check_sees_a_server()
        (self.folder / "chat.sqlite-lock").touch()  # left behind by a server that was killed
        self.assertFalse(is_in_use(self.path))


class Restored(NamedTuple):
    server: Server
    cursor: int
    """The number of the last message that a client has seen, which the backup does not have."""


class RestoringTests(TestCase):
    """A server is killed, and its backup takes the place of its database."""

    async def start(self, *after_copying: str) -> Restored:
        server = await Server.start(self)
        alice = await server.hello(self, "alice", "lobby")
        for number in range(1, 6):
            alice.says(type="", room="lobby", msg=f"message {number}", id=str(number))
            ack = await alice.hears()
            if number == 3:
                await self.run_command(server, "backup", "backup.sqlite")
        self.assertEqual(await server.stop(signal.SIGKILL), -signal.SIGKILL)
        await self.run_command(server, "export", "later.jsonl")
        for path in server.home.glob("chat.sqlite*"):
            path.unlink()
        shutil.copy(server.home / "backup.sqlite", server.home / "chat.sqlite")
        if after_copying:
            await self.run_command(server, *after_copying)
        return Restored(await Server.start(self, home=server.home), ack["seq"])

    async def run_command(self, server: Server, *words: str) -> None:
        program = Program(self, sys.executable, "-m", "twisted_chat", *words, home=server.home)
        self.assertEqual(await program.ends(), 0, program.output)

    async def test_what_was_acked_before_it_is_there_and_the_numbers_go_on(self) -> None:
        server, _ = await self.start()
        bob = await server.hello(self, "bob")
        joined = await bob.asks(type="join", room="lobby", since=0)
        self.assertEqual((joined["seq"], joined["oldest"]), (3, 1))
        self.assertEqual([m["msg"] for m in await bob.hears_all(3)], ["message 1", "message 2", "message 3"])
        bob.says(type="", room="lobby", msg="again", id="4")
        self.assertEqual((await bob.hears())["seq"], 4)

    async def test_a_client_that_has_seen_more_learns_of_it(self) -> None:
        server, cursor = await self.start()
        alice = await server.hello(self, "alice")
        joined = await alice.asks(type="join", room="lobby", since=cursor)
        self.assertLess(joined["seq"], cursor)

    async def test_a_message_that_the_backup_does_not_have_can_be_sent_again(self) -> None:
        server, _ = await self.start()
        alice = await server.hello(self, "alice", "lobby")
        for number in (3, 5):
            alice.says(type="", room="lobby", msg=f"message {number}", id=str(number))
        self.assertEqual([ack["seq"] for ack in await alice.hears_all(2)], [3, 4], "what it has is stored once")

    async def test_what_was_sent_after_it_can_be_imported(self) -> None:
        server, cursor = await self.start("import", "later.jsonl")
        alice = await server.hello(self, "alice")
        joined = await alice.asks(type="join", room="lobby", since=cursor - 1)
        self.assertEqual((joined["seq"], (await alice.hears())["msg"]), (cursor, "message 5"))

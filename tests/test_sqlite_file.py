"""The file of the embedded store and its threads: what survives what, what can go wrong with it, and the end."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from unittest import mock, skipUnless

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.task import deferLater

from twisted_chat.log import RoomLog, Unavailable, Unusable
from twisted_chat.stores.sqlite import database
from twisted_chat.stores.sqlite import file as database_file
from twisted_chat.stores.sqlite.file import FairLock
from twisted_chat.stores.sqlite.log import SQLiteLog
from twisted_chat.stores.sqlite.store import is_open_to_all, open_store

from .stores import MOST, PLENTY, FileTestCase, entry, keep, read_bytes, room, size_of, texts, write_bytes


class Power(FileTestCase):
    async def test_an_append_waits_for_the_disk_in_a_thread(self) -> None:
        log = self.open_store(durability="power")
        lobby = await room(log)
        said = [entry(lobby, "a", "1"), entry(lobby, "b")]
        kept = log.append(said, 1)
        self.assertNoResult(kept)
        self.assertEqual(lobby.seq, 0)
        await kept
        self.assertEqual([e.seq for e in said], [1, 2])
        self.assertEqual(lobby.seq, 2)

    async def test_power_keeps_the_same_as_process(self) -> None:
        log = self.open_store(durability="power")
        lobby = await room(log)
        await lobby.set_topic("t")
        for text in ("a", "\x00", "b", "b"):
            await keep(log, [entry(lobby, text, text)], 1)
            await log.flush()
        await log.close()
        again = await room(self.open_store())
        self.assertEqual((again.topic, texts(await again.after(0, 5, PLENTY))), ("t", ["a", "\x00", "b"]))

    async def test_only_power_writes_every_commit_to_the_disk(self) -> None:
        def level_of(connection: sqlite3.Connection) -> Any:
            return connection.execute("PRAGMA synchronous").fetchone()[0]

        levels: dict[database.Durability, int] = {"process": 1, "power": 2}
        for durability, level in levels.items():
            self.open_store(f"{self.path}-{durability}", durability)
            self.assertEqual(await self.file.write(level_of), level)


class Files(FileTestCase):
    """A file that is not as it should be."""

    async def test_the_file_alone_is_a_database_from_the_start(self) -> None:
        self.open_store()
        copy = sqlite3.connect(shutil.copy(self.path, self.folder / "copy.sqlite"))
        self.addCleanup(copy.close)
        self.assertEqual(copy.execute("SELECT count(*) FROM room").fetchone(), (0,))

    def refusal(self) -> str:
        before = set(threading.enumerate())
        text = str(self.assertRaises(Unusable, open_store, self.path, reactor))
        self.assertEqual(set(threading.enumerate()) - before, set())
        self.assertFalse(os.path.exists(f"{self.path}-lock"))
        return text

    def test_a_text_file_is_refused(self) -> None:
        Path(self.path).write_text("no database " * 100)
        self.assertIn(f"{self.path} cannot be used: it is not an SQLite database; name another", self.refusal())
        self.assertEqual(Path(self.path).read_text(), "no database " * 100)

    def test_a_folder_is_refused(self) -> None:
        os.mkdir(self.path)
        self.assertEqual(self.refusal(), f"{self.path} cannot be used: it is a folder")

    def test_the_database_of_another_program_is_refused(self) -> None:
        self.beside().execute("CREATE TABLE theirs (x)")
        self.assertIn("another program", self.refusal())

    async def test_the_file_of_a_newer_version_is_refused(self) -> None:
        await self.begin_file()
        self.beside().execute("PRAGMA user_version = 1000")
        self.assertIn("newer version", self.refusal())

    async def test_a_file_without_a_table_is_refused(self) -> None:
        for table in ("store", "journal"):
            await self.begin_file()
            self.beside().execute(f"ALTER TABLE {table} RENAME TO {table}_away")
            self.assertEqual(self.refusal(), f"{self.path} cannot be used: no such table: {table}")
            self.beside().execute(f"ALTER TABLE {table}_away RENAME TO {table}")

    async def test_a_read_only_file_is_refused(self) -> None:
        await self.begin_file()
        os.chmod(self.path, 0o444)
        self.folder.chmod(0o777)
        self.as_somebody()
        self.assertEqual(self.refusal(), f"{self.path} cannot be used: it may not be written to")

    async def test_a_file_that_becomes_read_only_refuses_messages(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        self.file.writer.execute("PRAGMA query_only = ON")
        self.assertEqual(await self.unavailable(keep(log, [entry(lobby, "a")], 1)), "it may not be written to")
        self.file.writer.execute("PRAGMA query_only = OFF")
        await keep(log, [entry(lobby, "a")], 1)
        self.assertEqual(lobby.seq, 1)

    async def test_a_damaged_file_says_so_when_it_is_read(self) -> None:
        log = self.open_store()
        intact = 4096 * self.file.writer.execute("PRAGMA page_count").fetchone()[0]
        lobby = await room(log)
        for _ in range(20):
            await keep(log, [entry(lobby, "x" * 1_000) for _ in range(50)], 1)
        await log.close()
        data = bytearray(read_bytes(self.path))
        data[intact:] = b"\xa5" * (len(data) - intact)
        write_bytes(self.path, bytes(data))
        log = self.open_store()
        damaged = "it is damaged; stop the server and put a backup in its place"
        lobby = await room(log, "another")
        self.assertEqual(await self.unavailable((await self.opened(log)).after(0, MOST, PLENTY)), damaged)
        self.assertIn(f"{self.path} does not work now: {damaged}", self.logged())

    async def test_a_file_whose_first_pages_are_damaged_is_refused(self) -> None:
        await self.begin_file()
        (page,) = self.beside().execute("SELECT rootpage FROM sqlite_schema WHERE name = 'room'").fetchone()
        data = bytearray(read_bytes(self.path))
        data[4096 * (page - 1) : 4096 * page] = b"\xa5" * 4096
        write_bytes(self.path, bytes(data))
        damaged = "it is damaged; stop the server and put a backup in its place"
        self.assertEqual(self.refusal(), f"{self.path} cannot be used: {damaged}")

    async def opened(self, log: SQLiteLog) -> RoomLog:
        """Open the lobby of a file of which only the first pages can be read."""
        lobby = await room(log, "lobby2")
        cast(Any, lobby).id = 1
        return lobby

    async def test_the_file_of_a_running_server_is_refused(self) -> None:
        self.open_store()
        error = self.assertRaises(Unusable, open_store, self.path, reactor)
        self.assertIn("in use by another server", str(error))

    async def test_the_file_of_a_running_server_is_refused_by_every_link(self) -> None:
        self.open_store()
        os.symlink(self.path, self.folder / "link.sqlite")
        os.symlink(self.folder, self.folder / "folder")
        for other in (self.folder / "link.sqlite", self.folder / "folder" / "chat.sqlite"):
            error = self.assertRaises(Unusable, open_store, str(other), reactor)
            self.assertIn("in use by another server", str(error))

    async def test_the_files_are_looked_at_once_in_each_millisecond_in_which_something_is_appended(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        looks = mock.Mock(wraps=self.file.check_in_place)
        self.patch(self.file, "check_in_place", looks)
        for time, count in ((1, 1), (1, 1), (2, 2), (2, 2), (1, 3)):
            self.assertTrue(log.append_now([entry(lobby, "a")], time))
            self.assertEqual(looks.call_count, count)

    async def test_a_file_in_another_one_s_place_gets_nothing(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        away = self.folder / "away"
        os.rename(self.path, away)
        gone = "it is gone, or another file is in its place: put it back, or restart the server"
        self.assertEqual(await self.unavailable(keep(log, [entry(lobby, "b")], 2)), gone)
        self.assertEqual(texts(await lobby.after(0, 5, PLENTY)), ["a"], "it can be read")
        write_bytes(self.path, b"")
        self.assertEqual(await self.unavailable(keep(log, [entry(lobby, "b")], 3)), gone)
        self.assertEqual(self.logged(), [f"{self.path} does not work now: {gone}"])
        os.rename(away, self.path)
        await keep(log, [entry(lobby, "b")], 4)
        self.assertEqual(texts(await lobby.after(0, 5, PLENTY)), ["a", "b"])

    async def test_a_write_ahead_log_that_is_taken_away_is_saved_and_nothing_more_is_acked(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        os.unlink(f"{self.path}-wal")
        trouble = "its write-ahead log (-wal) was taken away; what is kept is safe: restart the server"
        self.assertEqual(await self.unavailable(keep(log, [entry(lobby, "b")], 5)), trouble)
        self.assertEqual(await self.unavailable(lobby.set_topic("t")), trouble)
        copy = self.folder / "copy"
        shutil.copy(self.path, copy)
        with closing(sqlite3.connect(copy)) as file:
            self.assertEqual(file.execute("SELECT msg FROM said").fetchall(), [("a",)])

    async def test_a_write_ahead_log_that_cannot_be_saved(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        os.unlink(f"{self.path}-wal")
        broken = mock.Mock(wraps=self.file.writer)
        broken.execute.side_effect = sqlite3.OperationalError("disk I/O error")
        self.patch(self.file, "writer", broken)
        self.assertEqual(await self.unavailable(keep(log, [entry(lobby, "b")], 1)), "disk I/O error")

    async def test_a_file_that_is_truncated_gets_nothing_more(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        await log.flush()
        os.truncate(self.path, 0)
        for _ in range(2):
            for done in (keep(log, [entry(lobby, "b")], 1), lobby.set_topic("t"), log.flush()):
                self.assertIn("truncated it or written over it", await self.unavailable(done))
        self.assertEqual((lobby.seq, len(self.logged())), (1, 1))

    async def test_a_program_that_reads_for_long_is_told_of_once(self) -> None:
        self.patch(database_file, "WAL_BYTES", 2**17)
        self.patch(database_file, "PINNED_BYTES", 2**18)
        log = self.open_store()
        lobby = await room(log)
        for _ in range(2):
            reader = self.beside()
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM said").fetchone()
            for _ in range(6):
                await keep(log, [entry(lobby, "x" * 10_000) for _ in range(20)], 1)
                await log.flush()
            reader.execute("COMMIT")
            for _ in range(3):
                await keep(log, [entry(lobby, "x" * 10_000) for _ in range(20)], 1)
                await log.flush()
        told = self.logged()
        self.assertEqual(len(told), 2, told)
        self.assertRegex(told[0], rf"^{self.path}-wal has grown to \d+ MB, since another program has been reading")

    async def test_it_is_told_of_again_once_the_log_could_be_copied(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a")], 1)
        size = size_of(f"{self.path}-wal")
        self.patch(database_file, "WAL_BYTES", size)
        for pinned_bytes, whole, told in (
            (size + 1, False, 0),
            (size, False, 1),
            (size, False, 1),
            (size, True, 1),
            (size, False, 2),
        ):
            self.patch(database_file, "PINNED_BYTES", pinned_bytes)
            self.patch(database, "copy_wal", mock.Mock(return_value=whole))
            self.file.copy_wal()
            await self.file.wal_copied()
            await deferLater(reactor, 0)
            self.assertEqual(len(self.logged()), told)

    async def test_the_log_is_copied_by_one_at_a_time(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a")], 1)
        self.patch(database_file, "WAL_BYTES", size_of(f"{self.path}-wal"))
        copy = mock.Mock(return_value=True)
        self.patch(database, "copy_wal", copy)
        for _ in range(3):
            self.file.copy_wal()
        await self.file.wal_copied()
        self.assertEqual(copy.call_count, 2, "once for the most of it, and once for the rest")

    async def test_a_write_waits_for_another_program_so_long_and_no_longer(self) -> None:
        lobby = await room(self.open_store())
        with self.written_to():
            topic = lobby.set_topic("t")
            self.clock.advance(database.PATIENCE - database_file.BUSY_PAUSE)
            self.assertNoResult(topic)
            self.clock.advance(database_file.BUSY_PAUSE)
            self.assertIn("another program", await self.unavailable(topic))

    async def test_a_file_whose_folder_is_gone_refuses_messages(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        os.rename(self.folder, f"{self.folder}-away")
        self.assertIn("it is gone", await self.unavailable(keep(log, [entry(lobby, "b")], 1)))
        os.rename(f"{self.folder}-away", self.folder)
        await keep(log, [entry(lobby, "b")], 1)

    def test_an_old_sqlite_is_refused(self) -> None:
        self.patch(sqlite3, "sqlite_version_info", (3, 36, 0))
        self.assertIn("too old", self.refusal())
        self.patch(sqlite3, "sqlite_version_info", database.OLDEST_SQLITE)
        self.open_store()

    async def test_what_is_to_be_kept_waits_for_whoever_writes(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        written: Deferred[None] = Deferred()
        job = self.file.in_turn(lambda until: written)
        self.assertFalse(log.append_now([entry(lobby, "a")], 1))
        written.callback(None)
        await job
        self.assertTrue(log.append_now([entry(lobby, "a")], 1))

    def test_a_start_that_fails_otherwise_lets_go_of_everything(self) -> None:
        with mock.patch.object(database, "prepare", side_effect=MemoryError):
            self.assertRaises(MemoryError, open_store, self.path, reactor)
        self.open_store()


class LookUps(FileTestCase):
    """Reading what an index finds."""

    def test_it_is_done_at_once(self) -> None:
        self.open_store()
        self.assertEqual(self.successResultOf(self.file.look_up(database.count_rooms)), 0)

    async def test_one_that_fails_is_done_in_a_thread(self) -> None:
        self.open_store()
        threads: list[threading.Thread] = []

        def look(connection: sqlite3.Connection) -> str:
            threads.append(threading.current_thread())
            if len(threads) == 1:
                raise sqlite3.OperationalError("disk I/O error")
            return "found"

        self.assertEqual(await self.file.look_up(look), "found")
        self.assertIs(threads[0], threading.main_thread())

    async def test_a_store_that_is_closed_is_unavailable(self) -> None:
        log = self.open_store()
        await log.close()
        self.failureResultOf(self.file.look_up(database.count_rooms), Unavailable)


class Turns(FileTestCase):
    """Writers that wait for each other get their turns in order, however many they are."""

    def test_a_thousand_that_are_done_at_once_leave_the_lock_free(self) -> None:
        lock = FairLock()
        first: Deferred[None] = Deferred()
        order: list[int] = []
        lock.run(lambda: first)
        for number in range(1_000):
            lock.run(succeed, number).addCallback(order.append)
        first.callback(None)
        self.assertEqual((order, lock.locked), (list(range(1_000)), False))

    def test_one_that_takes_a_while_keeps_the_others_waiting(self) -> None:
        lock = FairLock()
        jobs: list[Deferred[int]] = [Deferred() for _ in range(3)]
        writers = [lock.run(iter([job]).__next__) for job in jobs]
        for number, (job, writer) in enumerate(zip(jobs, writers, strict=True)):
            self.assertTrue(lock.locked)
            self.assertNoResult(writer)
            job.callback(number)
            self.assertEqual(self.successResultOf(writer), number)
        self.assertFalse(lock.locked)

    def test_one_that_fails_lets_the_next_have_its_turn(self) -> None:
        lock = FairLock()
        first: Deferred[None] = Deferred()
        running = lock.run(lambda: first)
        failing = lock.run(lambda: fail(KeyError()))
        last = lock.run(lambda: succeed(None))
        first.callback(None)
        self.failureResultOf(failing, KeyError)
        self.assertEqual((self.successResultOf(running), self.successResultOf(last), lock.locked), (None, None, False))

    async def test_topics_that_a_thousand_set_while_the_journal_is_moved_stop_nothing(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        flushed = log.flush()
        topics = [lobby.set_topic(str(number)) for number in range(1_000)]
        await flushed
        await gatherResults(topics)
        await keep(log, [entry(lobby, "b")], 1)
        self.assertEqual((lobby.topic, lobby.seq), ("999", 2))


class Permissions(FileTestCase):
    """Who may read the messages and the hashes of passwords."""

    def open_here(self) -> list[str]:
        """Open the file as the server does; returns what the log says."""
        self.clock.running = False
        opened = open_store(self.path, self.clock)
        self.successResultOf(opened.log.append([entry(self.successResultOf(room(opened.log)), "a")], 1))
        self.successResultOf(opened.registry.close())
        self.successResultOf(opened.log.close())
        return self.logged()

    def test_a_new_file_is_the_server_s(self) -> None:
        self.folder.chmod(0o755)
        self.assertEqual(self.open_here(), [])
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_a_file_that_all_may_read_is_named(self) -> None:
        self.open_here()
        os.chmod(self.path, 0o644)
        self.assertEqual(self.open_here(), [], "its folder keeps the others away")
        self.folder.chmod(0o755)
        why = "which has all messages and the hashes of passwords"
        self.assertEqual(
            self.open_here(), [f"every user of this machine can read {self.path}, {why}: chmod o= {self.path}"]
        )

    def test_a_file_that_is_not_there_is_not_open_to_all(self) -> None:
        self.assertFalse(is_open_to_all(self.path))

    def test_what_is_only_in_memory_has_no_permissions(self) -> None:
        self.clock.running = False
        opened = open_store(":memory:", self.clock)
        self.successResultOf(opened.log.close())
        self.assertEqual(self.logged(), [])


class TheEnd(FileTestCase):
    async def test_before_the_reactor_runs_everything_is_at_once(self) -> None:
        self.clock.running = False
        log = self.open_store()
        lobby = self.successResultOf(room(log))
        self.successResultOf(log.append([entry(lobby, "a")], 1))
        self.assertEqual(texts(self.successResultOf(lobby.after(0, 5, PLENTY))), ["a"])
        self.successResultOf(log.close())

    async def test_no_thread_is_left(self) -> None:
        before = set(threading.enumerate())
        log = self.open_store()
        await keep(log, [entry(await room(log), "a")], 1)
        await log.flush()
        self.assertNotEqual(set(threading.enumerate()) - before, set())
        await log.close()
        self.assertEqual(set(threading.enumerate()) - before, set())

    @skipUnless(os.path.exists("/proc/self/fd"), "this machine does not tell which files are open")
    async def test_no_file_is_left_open(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a")], 1)
        self.assertIn(self.path, self.open_files())
        await log.close()
        self.assertEqual(self.open_files(), [])

    @skipUnless(os.path.exists("/proc/self/fd"), "this machine does not tell which files are open")
    def test_no_file_is_left_open_where_the_start_fails(self) -> None:
        with closing(sqlite3.connect(self.path)) as theirs:
            theirs.execute("CREATE TABLE theirs (x)")
        error = self.assertRaises(Unusable, open_store, self.path, reactor)
        self.assertEqual(self.open_files(), [], error)
        Path(self.path).write_text("no database " * 100)
        error = self.assertRaises(Unusable, open_store, self.path, reactor)
        self.assertEqual(self.open_files(), [], error)

    async def test_closing_waits_for_what_is_under_way_and_is_done_once(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        moved = log.flush()
        kept = log.append([entry(lobby, "b")], 1)
        page = lobby.after(0, 5, PLENTY)
        await gatherResults([log.close(), log.close()])
        self.successResultOf(moved)
        self.successResultOf(kept)
        self.assertEqual(texts(await page)[:1], ["a"])
        self.assertEqual((await room(self.open_store())).seq, 2)

    async def test_a_closed_store_refuses_everything(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await log.close()
        for done in (
            log.append([entry(lobby, "a")], 1),
            lobby.after(0, 5, PLENTY),
            lobby.set_topic("t"),
            room(log, "other"),
            log.rooms(5),
        ):
            self.assertIn("closed", await self.unavailable(done))

    async def test_a_file_that_is_written_to_is_closed_and_nothing_is_lost(self) -> None:
        self.patch(database_file, "PATIENCE", 0.01)
        log = self.open_store()
        await keep(log, [entry(await room(log), "a")], 1)
        with self.written_to():
            await log.close()
        self.assertIn(f"The journal of {self.path} could not be moved; the next start does it", self.logged())
        self.assertEqual((await room(self.open_store())).seq, 1)

    async def test_closing_gives_up_what_waits_for_another_program(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        with self.written_to():
            topic = lobby.set_topic("t")
            self.clock.advance(0.1)
            self.assertNoResult(topic)
            closed = log.close()
            self.clock.advance(0.1)
            self.assertIn("another program", await self.unavailable(topic))
            await closed

    async def test_a_fault_of_our_own_leaves_no_lock(self) -> None:
        log = self.open_store()
        self.file.broken[database.move] = ZeroDivisionError()
        with self.assertRaises(ZeroDivisionError):
            await log.close()
        self.open_store()

    async def test_a_fault_of_our_own_where_nobody_waits_is_logged(self) -> None:
        log = self.open_store(journal_bytes=1)
        self.file.broken[database.move] = ZeroDivisionError()
        await keep(log, [entry(await room(log), "a")], 1)
        await self.file.in_turn(lambda until: succeed(None))
        await deferLater(reactor, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.file.broken.clear()
        await log.flush()
        self.assertEqual(self.in_journal(), 0)

"""A watch on the files of a database: what somebody does to them is noticed before the next message is kept."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted_chat.stores.sqlite import database, watch
from twisted_chat.stores.sqlite.watch import FileWatch

from .stores import StoreTestCase


class WatchTests(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.connection = database.connect(self.path)
        self.addCleanup(self.connection.close)
        database.prepare(self.connection, self.path)
        self.fill()
        database.copy_wal(self.connection)
        descriptor = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        self.descriptor = descriptor
        self.watch = FileWatch(self.path, descriptor, self.connection)
        self.addCleanup(self.watch.close)

    def fill(self, count: int = 100) -> None:
        sql = "INSERT INTO journal (room, seq, time, author, author_key, msg) VALUES (1, 1, 0, '', '', ?)"
        self.connection.executemany(sql, [("x" * 2_000,)] * count)

    def test_nothing_is_wrong_with_what_sqlite_does(self) -> None:
        for _ in range(3):
            self.fill()
            self.assertEqual(self.watch.trouble(), "")
            database.copy_wal(self.connection)
            self.assertEqual(self.watch.trouble(), "")

    def test_nothing_is_wrong_with_the_checkpoint_of_another_program(self) -> None:
        for mode in ("PASSIVE", "TRUNCATE"):
            self.fill()
            self.assertEqual(self.watch.trouble(), "")
            self.beside().execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            self.assertEqual(self.watch.trouble(), "")
            self.fill()
            self.assertEqual(self.watch.trouble(), "")

    def test_nothing_is_wrong_with_what_was_written_before_it_is_copied(self) -> None:
        path = str(self.folder / "other")
        with closing(database.connect(path)) as connection:
            database.prepare(connection, path)
            descriptor = os.open(path, os.O_RDONLY)
            watching = FileWatch(path, descriptor, connection)
            database.copy_wal(connection)
            self.assertEqual(watching.trouble(), "")
        watching.close()
        os.close(descriptor)

    def test_a_truncated_database(self) -> None:
        for size in (0, os.path.getsize(self.path) // 2):
            with open(self.path, "r+b") as file:
                data = file.read()
                os.truncate(self.path, size)
                self.assertEqual(self.watch.trouble(), watch.OVERWRITTEN)
                file.seek(0)
                file.write(data)
                file.flush()
                self.assertEqual(self.watch.trouble(), "")

    def test_a_database_that_has_grown_and_is_truncated_to_its_old_size(self) -> None:
        size = os.path.getsize(self.path)
        self.fill(1_000)
        database.copy_wal(self.connection)
        self.assertEqual(self.watch.trouble(), "")
        os.truncate(self.path, size + 4096)
        self.assertEqual(self.watch.trouble(), watch.OVERWRITTEN)

    def test_what_is_fixed_in_the_header(self) -> None:
        fixed = {*range(18), *range(40, 44), *range(60, 64), *range(68, 72)}
        for at in range(100):
            with open(self.path, "r+b", buffering=0) as file:
                byte = os.pread(file.fileno(), 1, at)
                os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), at)
                os.utime(self.path, (0, 10 * at))
                self.assertEqual(self.watch.trouble(), watch.OVERWRITTEN if at in fixed else "", str(at))
                os.pwrite(file.fileno(), byte, at)
                os.utime(self.path, (0, 10 * at + 5))
                self.assertEqual(self.watch.trouble(), "")

    def test_a_database_that_was_written_over(self) -> None:
        before = Path(self.path).read_bytes()
        other = self.folder / "other"
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE theirs AS SELECT hex(zeroblob(1000000))")
        for content in (b"x" * len(before), other.read_bytes()):
            Path(self.path).write_bytes(content)
            self.assertEqual(self.watch.trouble(), watch.OVERWRITTEN)
            self.assertEqual(self.watch.trouble(), watch.OVERWRITTEN, "it is so until somebody mends it")

    def test_an_older_copy_of_the_same_file(self) -> None:
        self.beside().execute("VACUUM INTO ?", (str(self.folder / "backup"),))
        self.fill(1_000)
        database.copy_wal(self.connection)
        self.assertEqual(self.watch.trouble(), "")
        Path(self.path).write_bytes((self.folder / "backup").read_bytes())
        self.assertEqual(self.watch.trouble(), watch.OVERWRITTEN)

    def test_a_database_that_is_gone_or_another_one(self) -> None:
        os.rename(self.path, f"{self.path}.away")
        self.assertEqual(self.watch.trouble(), watch.GONE)
        Path(self.path).touch()
        self.assertEqual(self.watch.trouble(), watch.GONE)
        os.rename(f"{self.path}.away", self.path)
        self.assertEqual(self.watch.trouble(), "")

    def test_a_write_ahead_log_that_is_gone_or_another_one(self) -> None:
        os.rename(f"{self.path}-wal", f"{self.path}.away")
        self.assertEqual(self.watch.trouble(), watch.WAL_GONE)
        Path(f"{self.path}-wal").touch()
        self.assertEqual(self.watch.trouble(), watch.WAL_GONE)

    def test_a_truncated_write_ahead_log(self) -> None:
        self.fill(1_000)
        self.assertEqual(self.watch.trouble(), "")
        os.truncate(f"{self.path}-wal", os.path.getsize(f"{self.path}-wal") - 1)
        self.assertEqual(self.watch.trouble(), watch.WAL_TRUNCATED)
        os.truncate(f"{self.path}-wal", 0)
        self.assertEqual(self.watch.trouble(), watch.WAL_TRUNCATED)

    def test_a_write_ahead_log_needs_only_the_frames_in_use(self) -> None:
        self.fill(1_000)
        database.copy_wal(self.connection)
        self.fill(20)  # which begins it anew, in a file that is as large as before
        wal = f"{self.path}-wal"
        frame = 24 + 4096
        frames = (os.path.getsize(wal) - 32) // frame
        self.assertEqual(self.watch.trouble(), "")
        while True:
            os.truncate(wal, 32 + frames * frame - 1)
            if self.watch.trouble():
                break
            frames -= 1
        self.assertEqual(self.watch.trouble(), watch.WAL_TRUNCATED)
        os.truncate(wal, 32 + frames * frame)
        self.assertEqual(self.watch.trouble(), "")
        self.assertGreater(frames, 5)
        self.assertLess(frames, 50)

    def test_nothing_stays_open(self) -> None:
        before = self.open_files()
        FileWatch(self.path, self.descriptor, self.connection).close()
        self.assertEqual(self.open_files(), before)

    def test_a_copied_write_ahead_log_is_not_missed(self) -> None:
        os.truncate(f"{self.path}-wal", 0)
        self.assertEqual(self.watch.trouble(), "")

    def test_pages_of_the_largest_size(self) -> None:
        path = str(self.folder / "large")
        with closing(database.connect(path)) as connection:
            connection.execute("PRAGMA page_size = 65536")
            database.prepare(connection, path)
            descriptor = os.open(path, os.O_RDONLY)
            watching = FileWatch(path, descriptor, connection)
            connection.execute("INSERT INTO room (key, name) VALUES ('a', 'a')")
            database.copy_wal(connection)
            self.assertEqual(watching.trouble(), "")
        watching.close()
        os.close(descriptor)

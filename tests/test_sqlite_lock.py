"""The lock that keeps a second server away from a database."""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from twisted_chat.log import Unusable
from twisted_chat.stores.sqlite import lock
from twisted_chat.stores.sqlite.lock import FileLock

from .stores import StoreTestCase


class LockTests(StoreTestCase):
    def acquire(self) -> FileLock:
        held = FileLock.acquire(self.path)
        self.addCleanup(held.release)
        return held

    def refusal(self) -> str:
        before = self.open_files()
        text = str(self.assertRaises(Unusable, FileLock.acquire, self.path))
        self.assertEqual(self.open_files(), before)
        return text

    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def test_one_server_at_a_time(self) -> None:
        held = FileLock.acquire(self.path)
        self.assertIn("in use by another server", self.refusal())
        self.assertEqual(self.left(), ["chat.sqlite", "chat.sqlite-lock"], "what is another server's stays")
        held.release()
        self.assertEqual(self.left(), ["chat.sqlite"])
        self.acquire()

    def test_nothing_stays_open(self) -> None:
        before = self.open_files()
        FileLock.acquire(self.path).release()
        self.assertEqual(self.open_files(), before)

    def test_the_modes_of_the_files(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.acquire()
        modes = [os.stat(self.path + end).st_mode & 0o777 for end in ("", "-lock")]
        self.assertEqual(modes, [0o600, 0o600])

    def test_another_process_is_kept_away_whatever_files_are_removed(self) -> None:
        self.acquire()
        os.unlink(f"{self.path}-lock")
        code = f"from twisted_chat.stores.sqlite.lock import FileLock; FileLock.acquire({self.path!r})"
        root = Path(__file__).parent.parent
        ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
        self.assertIn("in use by another server", ended.stderr)
        self.assertEqual(self.left(), ["chat.sqlite"])

    def test_a_database_that_was_removed_meanwhile_is_locked_anew(self) -> None:
        locking = FileLock._lock
        removed: list[str] = []

        def remove_and_lock(held: FileLock) -> None:
            if not removed:
                removed.append(self.path)
                os.unlink(self.path)
            locking(held)

        self.patch(FileLock, "_lock", remove_and_lock)
        held = self.acquire()
        self.assertTrue(os.path.samestat(os.fstat(held.descriptor), os.stat(self.path)))

    def test_a_database_that_another_server_has_locked_first_is_left_alone(self) -> None:
        locking = FileLock._lock
        others: list[FileLock] = []

        def lock_as_second(held: FileLock) -> None:
            if not others:
                others.append(held)
                others.append(self.acquire())
            locking(held)

        self.patch(FileLock, "_lock", lock_as_second)
        self.assertRaises(Unusable, FileLock.acquire, self.path)
        self.assertTrue(os.path.samestat(os.fstat(others[1].descriptor), os.stat(self.path)))

    def test_the_lock_does_not_touch_that_of_sqlite(self) -> None:
        self.acquire()
        one, other = (sqlite3.connect(self.path, timeout=0, isolation_level=None) for _ in range(2))
        self.addCleanup(other.close)
        self.addCleanup(one.close)
        one.execute("CREATE TABLE t (x)")
        one.execute("BEGIN IMMEDIATE")
        error = self.assertRaises(sqlite3.OperationalError, other.execute, "BEGIN IMMEDIATE")
        self.assertIn("locked", str(error))

    def test_a_server_of_an_earlier_version_is_seen(self) -> None:
        with open(f"{self.path}-lock", "w") as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX)
            self.assertIn("in use by another server", self.refusal())
            self.assertEqual(self.left(), ["chat.sqlite-lock"])

    def test_the_file_beside_it_alone_does_where_there_is_no_better_lock(self) -> None:
        for command in (None, 9_999):  # the system has none, or the file system
            with mock.patch.object(lock, "_SET_LOCK", command):
                held = FileLock.acquire(self.path)
                self.assertIn("in use by another server", self.refusal())
                held.release()

    def test_without_a_better_lock_the_file_beside_it_has_to_be_locked(self) -> None:
        self.patch(lock, "_SET_LOCK", None)
        os.symlink("elsewhere", f"{self.path}-lock")
        self.assertIn("-lock)", self.refusal())

    def test_with_a_better_lock_the_file_beside_it_does_not_matter(self) -> None:
        os.symlink("elsewhere", f"{self.path}-lock")
        self.acquire()
        self.assertIn("in use by another server", self.refusal())

    def test_a_lock_file_that_was_removed_meanwhile_is_made_anew(self) -> None:
        opened: list[int | None] = []
        opening = lock._open_beside

        def open_and_remove(path: str, *args: Any) -> int | None:
            opened.append(opening(path, *args))
            if len(opened) == 1:
                os.unlink(f"{path}-lock")
            return opened[-1]

        self.patch(lock, "_open_beside", open_and_remove)
        before = len(self.open_files())
        self.acquire()
        self.assertEqual(len(self.open_files()), before + 2)
        self.assertEqual(len(opened), 2)
        self.assertTrue(os.path.exists(f"{self.path}-lock"))

    def test_the_file_beside_it_has_the_owner_of_the_database(self) -> None:
        Path(self.path).touch()
        owner = (1234, 5678) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        os.chown(self.path, *owner)
        self.acquire()
        status = os.stat(f"{self.path}-lock")
        self.assertEqual((status.st_uid, status.st_gid), owner)

    def test_a_database_that_was_made_can_be_removed(self) -> None:
        for _ in range(2):
            held = FileLock.acquire(self.path)
            self.assertTrue(held.made)
            held.release(remove=True)
            self.assertEqual(self.left(), [])

    def test_another_file_in_the_place_of_the_database_is_not_removed(self) -> None:
        held = FileLock.acquire(self.path)
        os.unlink(self.path)
        Path(self.path).write_text("theirs")
        held.release(remove=True)
        self.assertEqual(self.left(), ["chat.sqlite"])

    def test_what_cannot_be_locked(self) -> None:
        os.mkdir(self.path)
        self.assertEqual(self.refusal(), f"{self.path} cannot be used: it is a folder")
        self.path = str(self.folder / "pipe")
        os.mkfifo(self.path)
        self.assertEqual(self.refusal(), f"{self.path} cannot be used: it is not a regular file")
        self.path = str(self.folder / "socket")
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(self.path)
        self.assertEqual(self.refusal(), f"{self.path} cannot be used: No such device or address")
        self.path = str(self.folder / "no" / "chat.sqlite")
        self.assertIn(f"there is no folder {self.folder}/no", self.refusal())

    def test_a_folder_that_may_not_be_written_to(self) -> None:
        self.folder.chmod(0o555)
        self.as_somebody()
        self.assertEqual(self.refusal(), f"{self.path} cannot be used: Permission denied")

"""`twisted-chat backup`: copies the file of a server while the server goes on.

All that is copied is of one moment: a transaction that reads holds it, and everything that was acked before is in it.
A writer does not wait for a reader in SQLite's WAL mode. The write-ahead log grows meanwhile, since it cannot begin
anew behind the oldest reader.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import closing
from typing import Final

from ..atomic_write import atomic_path
from ..status import units
from ..stores.sqlite.database import APPLICATION_ID
from ..stores.sqlite.lock import is_in_use
from . import Command, Problem
from .files import own_files, reading, takes_database
from .progress import Progress

STEP_BYTES: Final = 2**20
"""Bytes that are copied at once, in 1 to 2 ms."""

SYNC_BYTES: Final = 2**24
"""Bytes after which the copy is written to the disk. If the system wrote 1 GB of it at the end, a server with
`--durability power` would wait for that with each of its commits."""


def _arguments(parser: ArgumentParser) -> None:
    takes_database(parser)
    parser.add_argument("--replace", action="store_true", help="replace FILE, once the new backup is whole")
    parser.add_argument("file", metavar="FILE", help="the file to write, which only you may read then")


def run(options: Namespace, sleep: Callable[[float], object] = time.sleep) -> int:
    """Run the command. It `sleep`s after each step, for as long as that took: half of the time is the server's."""
    _check_place(options.file, options.database, options.replace)
    with reading(options.database, of_any_version=True) as connection:
        try:
            with atomic_path(options.file) as unfinished:
                _copy(connection, unfinished, sleep)
        except OSError as error:
            raise Problem(f"cannot write {options.file}: {error.strerror}") from None
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) not in _WRITE_ERRORS:
                raise
            raise Problem(f"cannot write {options.file}: the disk is full") from None
    print(f"{options.file}: {units.size(os.path.getsize(options.file))}")
    return 0


def _check_place(path: str, source: str, may_replace: bool) -> None:
    """Check that a backup can take its place, and takes that of nothing but an earlier backup. Raises `Problem`."""
    if path == "-":
        raise Problem("a backup is not written to the standard output: name a file, or ./- for one that is called -")
    if os.path.realpath(path) in own_files(source):
        raise Problem(f"{path} belongs to the server's database: name another file to write to")
    if os.path.exists(f"{path}-wal"):  # SQLite would take it for a part of the backup
        raise Problem(f"{path}-wal is there, of a program that uses {path} or was killed: name another file")
    if not os.path.exists(path):
        return
    if not may_replace:
        raise Problem(f"{path} is there already: name another file, or use --replace")
    if not os.path.isfile(path) or not _is_store(path):
        raise Problem(f"{path} is no backup, and --replace replaces nothing else: name another file")
    if is_in_use(path):
        raise Problem(f"a server runs on {path}: name another file")


def _is_store(path: str) -> bool:
    """True if a file is the database of a server, or empty. SQLite would leave files beside it."""
    with open(path, "rb") as file:
        header = file.read(72)
    # SQLite's file format, section 1.3
    return not header or (header.startswith(b"SQLite format 3\0") and header[68:] == APPLICATION_ID.to_bytes(4))


def _copy(source: sqlite3.Connection, path: str, sleep: Callable[[float], object]) -> None:
    """Copy a database to an empty file. Raises `Problem` and `OSError`."""
    source.execute("BEGIN")
    source.execute("SELECT 1 FROM sqlite_master").fetchone()  # what is read from now on is of this moment
    pages, page_size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    _check_space(os.path.dirname(path), pages * page_size)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with closing(sqlite3.connect(path)) as target, Progress("bytes", pages * page_size) as progress:
            # Nobody reads an unfinished copy: it needs neither a journal nor the disk before its end.
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            steps = _Steps(progress, page_size, descriptor, sleep)
            source.backup(target, pages=max(1, STEP_BYTES // page_size), progress=steps.after_step)
    finally:
        os.close(descriptor)


class _Steps:
    """What is done after each step of copying."""

    def __init__(self, progress: Progress, page_size: int, descriptor: int, sleep: Callable[[float], object]) -> None:
        self._progress = progress
        self._page_size = page_size
        self._descriptor = descriptor
        self._sleep = sleep
        self._copied = 0
        self._synced = 0
        self._start = time.monotonic()

    def after_step(self, _: int, remaining: int, total: int) -> None:
        """Count what was copied, write it to the disk now and then, and leave the server some time."""
        copied = (total - remaining) * self._page_size
        self._progress.add(copied - self._copied)
        self._copied = copied
        if copied - self._synced >= SYNC_BYTES:
            os.fsync(self._descriptor)
            self._synced = copied
        self._sleep(time.monotonic() - self._start)
        self._start = time.monotonic()


def _check_space(folder: str, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Problem(f"{folder} has no space for the backup of {units.size(needed)}: {units.size(free)} are free")


_WRITE_ERRORS: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)

BACKUP: Final = Command("backup", "Copy the database to a file, also while the server runs.", _arguments, run)

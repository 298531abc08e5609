"""One SQLite file as a running server has it: the threads that read and write it, and what can go wrong with it.

There is one connection in the reactor's thread, which writes what takes no time, one in the thread that writes what
does, and one in each thread that reads. Who writes holds `lock` meanwhile; who reads waits for nobody.

`journal_mode=WAL` with `synchronous=NORMAL` survives `kill -9`: what was written is in the operating system's hands.
With `durability="power"` (`synchronous=FULL`) each transaction waits for the disk, in a thread, and survives a power
cut. Checkpoints, which wait for the disk, happen in a thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ...log import Unavailable, Unusable
from . import database
from .database import PATIENCE, WAL_BYTES, Durability

READERS: Final = 2
"""Threads that read."""

THREAD_PATIENCE: Final = 1.0
"""Seconds that a thread waits for another program that writes to the file. What it wanted to move is moved later; and
who stops the server waits for the thread."""

BUSY_PAUSE: Final = 0.02
"""Seconds between two attempts to write to a file that another program writes to."""

IN_MEMORY: Final = ":memory:"
"""The path of a database that is in no file; everything happens in the reactor's thread then."""

_log = Logger("twisted_chat.stores.sqlite.file")
_T = TypeVar("_T")


class DatabaseFile:
    """An open file; `open` opens it."""

    def __init__(
        self, path: str, reactor: Any, writer: sqlite3.Connection, lock_file: int | None, durability: Durability
    ) -> None:
        self.path = path
        self.writer = writer
        """The reactor's own connection."""
        self.lock = DeferredLock()
        """Held by whoever writes to the file, for as long as that takes."""
        self._reactor = reactor
        self._lock_file = lock_file
        self._durability: Durability = durability
        self._writing: ThreadPool | None = None
        self._reading: ThreadPool | None = None
        """The threads: none for what is in memory only. Who reads does not stand in the way of who writes."""
        self._identity = self._wal_identity = (0, 0)
        self._spare: list[sqlite3.Connection] = []
        """Connections that no thread has taken yet."""
        if path != IN_MEMORY:
            self._writing = _threads(1, "writing")
            self._reading = _threads(READERS, "reading")
            self._identity = _identity(path)
            self._wal_identity = _identity(f"{path}-wal")
            # Now, and not when a thread first needs one: a crowd of connections may have taken all descriptors by then.
            self._spare = [database.connect(path, durability, THREAD_PATIENCE) for _ in range(1 + READERS)]
        self._of_thread = threading.local()
        self._connections = [writer, *self._spare]
        self._copying = False
        self._closing = False
        self._closed = False
        self._trouble = ""
        """What is wrong with the file, while something is."""

    @classmethod
    def open(cls, path: str, reactor: Any, durability: Durability) -> DatabaseFile:
        """Open a file, or begin one; `:memory:` is nothing on disk. Raises `Unusable`."""
        if sqlite3.sqlite_version_info < database.OLDEST_SQLITE:
            raise Unusable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        lock_file = None
        if path != IN_MEMORY:
            path = os.path.realpath(path)  # by whatever link it is named, its lock is the same
            lock_file = database.lock_alone(path)
        try:
            return cls(path, reactor, _open_writer(path, durability), lock_file, durability)
        except BaseException as error:
            database.unlock(lock_file)
            if isinstance(error, sqlite3.Error):
                raise Unusable(f"{path} cannot be used: {database.explain(error)}") from None
            raise

    # Reading and writing: each calls `function(connection, *args)`, and fails with `Unavailable`.

    @property
    def must_wait(self) -> bool:
        """Whether a write cannot be done at once in the reactor's thread."""
        return self._durability == "power" or self.lock.locked

    def write(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Write, as the holder of the lock, what takes no time: in a thread only if each commit waits for the disk."""
        if self._durability == "power":
            return self.write_in_thread(function, *args)
        return self._patiently(function, *args)

    def write_in_thread(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Write, as the holder of the lock, what takes a while."""
        return self._in_thread(self._writing, function, *args)

    def read(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        return self._in_thread(self._reading, function, *args)

    @inlineCallbacks
    def _patiently(self, function: Callable[..., _T], *args: object) -> Generator[Deferred[None], None, _T]:
        """Write in the reactor's thread; where another program writes to the file just now, try again for a while."""
        until = self._reactor.seconds() + PATIENCE
        while True:
            try:
                return function(self.writer, *args)
            except sqlite3.Error as error:
                if not database.is_busy(error) or self._closing or self._reactor.seconds() >= until:
                    raise self._unavailable(error) from None
            yield deferLater(self._reactor, BUSY_PAUSE)

    @inlineCallbacks
    def _in_thread(
        self, threads: ThreadPool | None, function: Callable[..., _T], *args: object
    ) -> Generator[Deferred[_T], _T, _T]:
        """Do it in a thread, with a connection of its own.

        What is in memory is read here, and so is everything before the reactor runs: nobody waits yet.
        """
        if self._closed:
            raise Unavailable("the store is closed")
        try:
            if threads is None or not self._reactor.running:
                return function(self.writer, *args)
            result = yield deferToThreadPool(self._reactor, threads, self._with_connection, function, *args)
        except sqlite3.Error as error:
            raise self._unavailable(error) from None
        return result

    def _with_connection(self, function: Callable[..., _T], *args: object) -> _T:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._spare.pop()
        return function(connection, *args)

    # The write-ahead log

    def copy_wal(self) -> None:
        """Copy the write-ahead log into the file, where it has grown: most of it while appends go on, then the rest."""
        if self._copying or self._closed or _size(f"{self.path}-wal") < WAL_BYTES:
            return
        self._copying = True
        done = self.read(database.copy_wal)
        done.addCallback(lambda _: self.lock.run(self.write_in_thread, database.copy_wal))
        done.addErrback(report, "The write-ahead log could not be copied").addBoth(self._copied)

    def _copied(self, _: object) -> None:
        self._copying = False

    # What can go wrong

    def check_in_place(self) -> None:
        """See that the file is where it was, so that nothing goes into one that nobody will find; or `Unavailable`."""
        if self._closed:
            raise Unavailable("the store is closed")
        if self._writing is not None and _identity(self.path) != self._identity:
            raise self._trouble_with("it is gone, or another file is in its place: put it back, or restart the server")
        if self._writing is not None and _identity(f"{self.path}-wal") != self._wal_identity:
            raise self._save_wal()

    def _save_wal(self) -> Unavailable:
        """Somebody took the write-ahead log away. Copy what we still hold of it; no other connection can find it."""
        try:
            self.writer.execute("PRAGMA wal_checkpoint(FULL)")
        except sqlite3.Error as error:
            return self._unavailable(error)
        return self._trouble_with("its write-ahead log (-wal) was taken away; what is kept is safe: restart the server")

    def _unavailable(self, error: sqlite3.Error) -> Unavailable:
        return self._trouble_with(database.explain(error))

    def _trouble_with(self, trouble: str) -> Unavailable:
        if trouble != self._trouble:  # once, not for each message
            self._trouble = trouble
            _log.error("{path} does not work now: {trouble}", path=self.path, trouble=trouble)
        return Unavailable(trouble)

    def has_worked(self) -> None:
        """Hear that something was written: whatever was wrong is over."""
        if self._trouble:
            self._trouble = ""
            _log.info("{path} works again", path=self.path)

    # The end

    def close(self, function: Callable[[sqlite3.Connection], None]) -> Deferred[None]:
        """Wait for what is under way, write a last time in the thread, and let go of everything, come what may.

        Fails with `Unavailable` where that could not be written.
        """
        self._closing = True
        return self.lock.run(self._close, function)

    @inlineCallbacks
    def _close(self, function: Callable[[sqlite3.Connection], None]) -> Generator[Deferred[None], None, None]:
        if self._closed:
            return
        try:
            yield self.write_in_thread(function)
        finally:
            self._closed = True
            for threads in (self._writing, self._reading):
                if threads is not None:
                    threads.stop()
            for connection in self._connections:
                connection.close()  # the last one copies the write-ahead log, and removes it
            database.unlock(self._lock_file)


def report(failure: Failure, what: str) -> None:
    """Log what went wrong where nobody waits; what an `Unavailable` says was logged already."""
    if not failure.check(Unavailable):
        _log.failure(what, failure)


def _open_writer(path: str, durability: Durability) -> sqlite3.Connection:
    writer = database.connect(path, durability, PATIENCE)
    try:
        database.prepare(writer, path)
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")  # so that the file alone is a database from the start
        writer.execute("PRAGMA busy_timeout = 0")  # from now on it is the reactor that waits
    except BaseException:
        writer.close()
        raise
    return writer


def _threads(most: int, name: str) -> ThreadPool:
    threads = ThreadPool(0, most, f"twisted_chat.stores.sqlite.file, {name}")
    threads.start()
    return threads


def _identity(path: str) -> tuple[int, int]:
    """Tell a file from one that was put in its place."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0

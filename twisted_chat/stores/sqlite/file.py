"""The open file of the embedded store: the threads that read and write it, and its errors.

The connection in the reactor's thread does quick writes, a second one in a thread does slow writes, and each reading
thread has one of its own. A writer holds `lock` meanwhile. A reader does not wait.

`journal_mode=WAL` with `synchronous=NORMAL` survives `kill -9`, since the operating system has what was written. With
`durability="power"` (`synchronous=FULL`), each transaction waits for the disk in a thread, and survives a power cut.
Checkpoints, which wait for the disk, run in a thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final, Self, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, fail, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ...log import Unavailable, Unusable
from . import database, watch
from .database import PATIENCE, WAL_BYTES, Durability
from .lock import FileLock
from .trouble import Trouble
from .watch import FileWatch

READERS: Final = 2
"""The number of reading threads."""

BUSY_PAUSE: Final = 0.02
"""Seconds between two attempts to use a file that another program writes to."""

CHECK_SECONDS: Final = 1.0
"""How often a server looks for what another program (`twisted-chat import`) has written: one row that such a program
changes, read in some 5 µs. `PRAGMA data_version` is no cheaper and changes with each move of our own; a watch on the
file's time would need one more dependency or a thread."""

PINNED_BYTES: Final = 4 * WAL_BYTES
"""Size of the write-ahead log that can only come from a program that reads the file and does not end its transaction:
as long as that is open, nothing behind it can be copied and used again."""

IN_MEMORY: Final = ":memory:"
"""The path of a database in memory. Everything then happens in the reactor's thread."""

_log = Logger("twisted_chat.stores.sqlite")
_T = TypeVar("_T")


class DatabaseFile:
    """An open file. `open` makes one."""

    def __init__(
        self, path: str, reactor: Any, writer: sqlite3.Connection, file_lock: FileLock | None, durability: Durability
    ) -> None:
        self.path = path
        self.writer = writer
        """The reactor's own connection."""
        self._lock = FairLock()
        """The lock that a writer holds."""
        self._reactor = reactor
        self._file_lock = file_lock
        self._durability: Durability = durability
        self._writing: ThreadPool | None = None
        self._reading: ThreadPool | None = None
        """The threads. There are none for a database in memory. Readers do not hold up the writer."""
        self._watch: FileWatch | None = None
        self._spare: list[sqlite3.Connection] = []
        """Connections that no thread has taken yet."""
        if file_lock is not None:
            self._writing = _threads(1, "writing")
            self._reading = _threads(READERS, "reading")
            # Now, and not when a thread first needs one: a crowd of connections may have taken all descriptors by then.
            self._spare = [database.connect(path, durability) for _ in range(1 + READERS)]
            self._watch = FileWatch(path, file_lock.descriptor, writer)
        self._of_thread = threading.local()
        self._connections = [writer, *self._spare]
        self._copying = FairLock()
        """Held while the write-ahead log is copied."""
        self._pinned = False
        """True once the log has said that another program keeps the write-ahead log from being copied."""
        self._closing = False
        self._closed = False
        self._trouble = Trouble(path, lambda: float(self._reactor.seconds()))

    @classmethod
    def open(cls, path: str, reactor: Any, durability: Durability) -> Self:
        """Open a file, or make one. `:memory:` is a database in memory. Raises `Unusable`."""
        if sqlite3.sqlite_version_info < database.OLDEST_SQLITE:
            raise Unusable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        if path == IN_MEMORY:
            return cls(path, reactor, _open_writer(path, durability), None, durability)
        path = os.path.realpath(path)  # the lock is the same, through whatever link the file is named
        file_lock = FileLock.acquire(path)
        try:
            return cls(path, reactor, _open_writer(path, durability), file_lock, durability)
        except BaseException as error:
            file_lock.release(remove=file_lock.made)
            if isinstance(error, sqlite3.Error):
                raise Unusable(f"{path} cannot be used: {database.explain(error)}") from None
            raise

    # Reading and writing: each of these calls `function(connection, *args)`, and fails with `Unavailable`. It waits for
    # `PATIENCE` in all, from the call on, no matter what for.

    @property
    def must_wait(self) -> bool:
        """True while a write cannot be done at once in the reactor's thread."""
        return self._durability == "power" or self._lock.locked

    def in_turn(self, job: Callable[..., Deferred[_T]], *args: object) -> Deferred[_T]:
        """Call `job(until, *args)` once nobody else writes. Nobody does before its result is there.

        A job has several steps, each of which is an `attempt`. `until` is the reactor's time in seconds up to which
        they wait for other programs.
        """
        return self._lock.run(job, self._deadline(), *args)

    def write(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Do a quick write, once nobody else writes."""
        return self.in_turn(self.attempt, function, *args)

    def write_in_thread(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Do a slow write, once nobody else writes."""
        return self.in_turn(self.attempt_in_thread, function, *args)

    def read(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Read in a thread."""
        return self._patiently(self._reading, self._deadline(), function, args)

    def look_up(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Read in this thread what an index finds: some 10 µs, where a thread takes 150 of the processor's.

        A row that is not in memory yet takes a read of the disk; if that fails, it is read in a thread.
        """
        if self._closed:
            return fail(Unavailable("the store is closed"))
        try:
            return succeed(function(self.writer, *args))
        except sqlite3.Error:
            return self.read(function, *args)

    def attempt(self, until: float, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Do a quick write as a step of a job, in a thread only if each commit waits for the disk."""
        threads = self._writing if self._durability == "power" else None
        return self._patiently(threads, until, function, args, writes=True)

    def attempt_in_thread(self, until: float, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Do a slow write as a step of a job."""
        return self._patiently(self._writing, until, function, args, writes=True)

    def _deadline(self) -> float:
        return float(self._reactor.seconds()) + PATIENCE

    @inlineCallbacks
    def _patiently(
        self,
        threads: ThreadPool | None,
        until: float,
        function: Callable[..., _T],
        args: tuple[object, ...],
        writes: bool = False,
    ) -> Generator[Deferred[Any], Any, _T]:
        """Use the file, in a thread or here. While another program uses it, try again until a time.

        A database in memory is read here, and so is every one before the reactor runs, when nobody waits yet.
        """
        while True:
            if writes:
                self.check_in_place()
            elif self._closed:
                raise Unavailable("the store is closed")
            try:
                if threads is None or not self._reactor.running:
                    return function(self.writer, *args)
                result: _T = yield deferToThreadPool(self._reactor, threads, self._with_connection, function, *args)
                return result
            except sqlite3.Error as error:
                if not database.is_busy(error) or self._closing or self._reactor.seconds() >= until:
                    raise self._unavailable(database.explain(error)) from None
            yield deferLater(self._reactor, BUSY_PAUSE)

    def _with_connection(self, function: Callable[..., _T], *args: object) -> _T:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._spare.pop()
        return function(connection, *args)

    @property
    def is_in_memory(self) -> bool:
        return self._watch is None

    def was_written_by_others(self, epoch: int) -> bool:
        """True if another program has changed the file's epoch. False, too, if that cannot be read now."""
        with suppress(sqlite3.Error):
            return not self._closed and database.epoch(self.writer) != epoch
        return False

    # The write-ahead log

    def copy_wal(self) -> None:
        """Copy the write-ahead log into the file if it has grown: most of it while appends go on, then the rest."""
        if not self._copying.locked and _size(f"{self.path}-wal") >= WAL_BYTES:
            copied = self._copying.run(self._copy_wal)
            copied.addCallbacks(self._tell_of_reader, report, errbackArgs=("The write-ahead log could not be copied",))

    @inlineCallbacks
    def _copy_wal(self) -> Generator[Deferred[bool], bool, bool]:
        yield self.read(database.copy_wal)
        return (yield self.write_in_thread(database.copy_wal))

    def wal_copied(self) -> Deferred[None]:
        """Return a Deferred that fires when the write-ahead log is not being copied any more."""
        return self._copying.run(lambda: None)

    def _tell_of_reader(self, whole: bool) -> None:
        """Log, once each time, that the write-ahead log cannot start anew because another program reads for so long."""
        size = _size(f"{self.path}-wal")
        if whole:
            self._pinned = False
        elif size >= PINNED_BYTES and not self._pinned:
            self._pinned = True
            _log.warn(
                "{path}-wal has grown to {size} MB, since another program has been reading {path} in one transaction "
                "for long: end that program, or the disk will be full",
                path=self.path,
                size=size // 10**6,
            )

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the files in bytes: the database, and its write-ahead log."""
        return {} if self.is_in_memory else {"database": _size(self.path), "wal": _size(f"{self.path}-wal")}

    # Errors

    def trouble(self) -> str:
        """Return what keeps the next write from being found again; empty if nothing does."""
        if self._closed:
            return "the store is closed"
        return "" if self._watch is None else self._watch.trouble()

    def check_in_place(self) -> None:
        """Check that the next program that opens the file will find what is written. Raises `Unavailable`."""
        if self._closed:
            raise Unavailable("the store is closed")
        if self._watch is not None and (trouble := self._watch.trouble()):
            if trouble == watch.WAL_GONE:
                self._save_wal()
            raise self._unavailable(trouble)

    def _save_wal(self) -> None:
        """Copy the write-ahead log if it was removed: only this process still has it."""
        try:
            self.writer.execute("PRAGMA wal_checkpoint(FULL)")
        except sqlite3.Error as error:
            raise self._unavailable(database.explain(error)) from None

    def _unavailable(self, trouble: str) -> Unavailable:
        self._trouble.tell(trouble)
        return Unavailable(trouble)

    def has_worked(self) -> None:
        """Note that something was written, so that trouble may be over."""
        self._trouble.has_worked()

    # The end

    def close(self, function: Callable[[sqlite3.Connection], object]) -> Deferred[None]:
        """Wait for the work under way, write a last time in the thread, and close everything, whatever fails.

        Fails with `Unavailable` if `function` could not write.
        """
        self._closing = True
        return self._lock.run(self._close, function)

    @inlineCallbacks
    def _close(self, function: Callable[[sqlite3.Connection], object]) -> Generator[Deferred[Any], Any, None]:
        if self._closed:
            return
        try:
            yield self.attempt_in_thread(0, function)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Close everything as it is."""
        self._closed = True
        for threads in (self._writing, self._reading):
            if threads is not None:
                threads.stop()
        for connection in self._connections:
            connection.close()  # the last connection copies the write-ahead log and removes it
        if self._watch is not None and self._file_lock is not None:
            self._watch.close()
            self._file_lock.release()


class ChangeCheck:
    """Checks now and then whether other programs have written to a file."""

    def __init__(
        self, file: DatabaseFile, reactor: Any, seen: Callable[[], int], read_changes: Callable[[float], Deferred[None]]
    ) -> None:
        """Prepare to check, from `start` on.

        `seen` tells the epoch of the file as of which everything is known. Where it is another one, `read_changes` is
        called as a job (`DatabaseFile.in_turn`) to learn what is new.
        """
        self._file = file
        self._reactor = reactor
        self._seen = seen
        self._read_changes = read_changes
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        """Check every `CHECK_SECONDS` from now on; nobody else writes to what is only in memory."""
        if self._next is None and not self._file.is_in_memory:
            self._next = self._reactor.callLater(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        self._next = None
        if self._file.was_written_by_others(self._seen()):
            self._file.in_turn(self._read_changes).addErrback(report, "What another program wrote could not be read")
        self.start()

    def stop(self) -> None:
        """Check no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None


class FairLock(DeferredLock):
    """A lock that is handed to those that wait for it in a loop.

    Twisted's hands it on from within `release`. Where jobs are done at once, each of them is a few frames deeper in the
    stack: after 124, Python raised a `RecursionError`, and the lock was never free again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._handing_on = False
        self._released = False

    def release(self) -> None:
        self._released = True
        if self._handing_on:
            return  # the loop goes on
        self._handing_on = True
        waiting: list[Deferred[Any]] = self.waiting
        while self._released and waiting:
            self._released = False
            waiting.pop(0).callback(self)
        self._handing_on = False
        if self._released:
            self.locked = False


def report(failure: Failure, what: str) -> None:
    """Log an error if nobody waits for the result. An `Unavailable` was logged already."""
    if not failure.check(Unavailable):
        _log.failure(what, failure)


def _open_writer(path: str, durability: Durability) -> sqlite3.Connection:
    writer = database.connect(path, durability, PATIENCE)
    try:
        renumbered = database.prepare(writer, path)
        # The file alone is a database from the start, and a log that a killed server has left keeps no deleted text.
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute("PRAGMA busy_timeout = 0")  # from now on the reactor does the waiting
    except BaseException:
        writer.close()
        raise
    tell_renumbered(path, renumbered)
    return writer


def tell_renumbered(path: str, count: int) -> None:
    """Log the number of messages that were given new numbers, if there are any."""
    if count:
        _log.warn(
            "{count} messages in {path} had numbers that others have too, since two servers wrote to it at once: they "
            "were given new numbers at the end of their rooms",
            count=count,
            path=path,
        )


def _threads(most: int, name: str) -> ThreadPool:
    threads = ThreadPool(0, most, f"twisted_chat.stores.sqlite, {name}")
    threads.start()
    return threads


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0

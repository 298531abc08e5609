"""The base of the tests of the store: files, clocks, and short functions to append and to read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from twisted_chat import names
from twisted_chat.log import Entry, Log, Record, RoomLog, Unavailable
from twisted_chat.stores.sqlite.database import Durability
from twisted_chat.stores.sqlite.file import DatabaseFile
from twisted_chat.stores.sqlite.log import SQLiteLog
from twisted_chat.stores.sqlite.registry import SQLiteRegistry

MOST = 1_000
PLENTY = 2**20


class FakeTime(Clock):
    """A reactor whose time is ours, and whose threads are the real one's."""

    running = True

    def callFromThread(self, function: Any, *args: object) -> None:
        cast(Any, reactor).callFromThread(function, *args)


class BreakableFile(DatabaseFile):
    """A file of which a test decides how slow it is, and what fails."""

    def setUp(self) -> None:
        self.results_after: Deferred[None] = succeed(None)
        """Reads return once this has fired."""
        self.reads_after: Deferred[None] = succeed(None)
        """Reading begins once this has fired."""
        self.broken: dict[Callable[..., Any], Exception] = {}
        """Functions of `database` that fail, with their errors."""
        self.failures = 0

    def read(self, function: Callable[..., Any], *args: object) -> Deferred[Any]:
        begin, end = self.reads_after, self.results_after
        done = _after(begin, lambda _: super(BreakableFile, self).read(function, *args))
        return done.addCallback(lambda result: _after(end, lambda _: result))

    def attempt(self, until: float, function: Callable[..., Any], *args: object) -> Deferred[Any]:
        return super().attempt(until, self._or_broken(function), *args)

    def attempt_in_thread(self, until: float, function: Callable[..., Any], *args: object) -> Deferred[Any]:
        return super().attempt_in_thread(until, self._or_broken(function), *args)

    def _or_broken(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if function not in self.broken:
            return function

        error = self.broken[function]

        def fail(*_: object) -> None:
            self.failures += 1
            raise error

        return fail


def _after(first: Deferred[None], then: Callable[[None], Any]) -> Deferred[Any]:
    """Do something once a deferred has fired, which others wait for too."""
    done: Deferred[Any] = Deferred()
    first.addCallback(lambda _: done.callback(None))
    return done.addCallback(then)


class StoreTestCase(TestCase):
    """A folder, and stores that are closed at the end."""

    file: BreakableFile
    """That of the store that was opened last."""

    def setUp(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.folder = Path(folder)
        self.path = str(self.folder / "chat.sqlite")
        self.clock = FakeTime()

    def open_store(self, path: str | None = None, durability: Durability = "process", **options: Any) -> SQLiteLog:
        self.file = BreakableFile.open(path or self.path, self.clock, durability)
        self.file.setUp()
        log = SQLiteLog(self.file, self.clock, **options)
        self.addCleanup(log.close)
        return log

    def open_sqlite_registry(self, path: str | None = None, durability: Durability = "process") -> SQLiteRegistry:
        """Open the registry in a file, which has logs as well."""
        self.open_store(path, durability)
        registry = SQLiteRegistry(self.file, self.clock)
        self.addCleanup(registry.close)
        return registry

    async def begin_file(self) -> None:
        """Leave a file in which something was said; one in which nothing was is removed."""
        log = self.open_store()
        await keep(log, [entry(await room(log), "a")], 1)
        await log.close()

    async def until(self, done: Deferred[Any]) -> Any:
        """Advance the clock, and let threads work, until a Deferred has fired.

        The clock has to be slow beside the threads: a store gives up after some seconds.
        """
        results: list[Any] = []
        done.addBoth(results.append)
        while not results:
            self.clock.advance(0.02)
            await deferLater(reactor, 0.001)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def beside(self) -> sqlite3.Connection:
        """Open the file as another program does."""
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        self.addCleanup(connection.close)
        return connection

    @contextmanager
    def written_to(self) -> Iterator[sqlite3.Connection]:
        """Hold the file's lock as a program does that writes to it."""
        other = self.beside()
        other.execute("BEGIN IMMEDIATE")
        try:
            yield other
        finally:
            other.execute("COMMIT")

    def open_files(self) -> list[str]:
        """List the files of the test's folder that this process has open (Linux)."""
        links = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
        return [path for path in links if path.startswith(os.path.realpath(self.folder))]

    def as_somebody(self) -> None:
        """Go on without the rights of the superuser, whom no permissions stop."""
        if os.geteuid() == 0:
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)


class FileTestCase(StoreTestCase):
    """Tests with files and threads."""

    async def have_read(self) -> None:
        """Wait until what is being read was read; it is not handed out yet, if the test holds it back."""
        self.file.results_after = succeed(None)
        await self.file.read(lambda connection: None)

    def in_journal(self) -> int:
        """Count the messages that are still in the journal of the file."""
        count: int = self.beside().execute("SELECT count(*) FROM journal").fetchone()[0]
        return count

    def setUp(self) -> None:
        super().setUp()
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def logged(self) -> list[str]:
        """List what the store told the person who runs the server."""
        formats = [event for event in self.events if str(event.get("log_namespace", "")).startswith("twisted_chat")]
        return [str(event["log_format"]).format(**event) for event in formats]

    async def unavailable(self, done: Awaitable[Any]) -> str:
        """Wait for an `Unavailable`; returns what it says."""
        try:
            await done
        except Unavailable as error:
            return str(error)
        raise AssertionError("it worked")


def size_of(path: str) -> int:
    return os.stat(path).st_size


def read_bytes(path: str) -> bytes:
    return Path(path).read_bytes()


def write_bytes(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


def entry(room: RoomLog, msg: str, id: str | None = None, author: str = "alice") -> Entry:
    return Entry(room, names.nick(author), msg, id)


async def keep(log: Log, entries: list[Entry], time: int) -> None:
    """Keep what was said in a turn, as a room does it: at once, or after some waiting."""
    if not log.append_now(entries, time):
        await log.append(entries, time)


def room(log: Log, name: str = "lobby") -> Deferred[RoomLog]:
    return log.open(names.room(name))


def row_of(room: RoomLog) -> int | None:
    """The row that the store has for a room, if it has one."""
    id: int | None = cast(Any, room).id
    return id


def texts(records: list[Record]) -> list[str]:
    return [record.msg for record in records]


def numbers(records: list[Record]) -> list[int]:
    return [record.seq for record in records]

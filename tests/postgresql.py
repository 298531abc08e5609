"""A PostgreSQL for the tests: its programs are started here, on files of their own, and ended with the tests."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import asyncpg
from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import SkipTest

from twisted_chat.stores.opened import Opened
from twisted_chat.stores.postgresql.database import Connection, Database
from twisted_chat.stores.postgresql.store import open_store

from .stores import StoreTestCase

START_SECONDS: Final = 60.0
"""Seconds in which PostgreSQL starts, even on a machine that has much else to do."""

_T = TypeVar("_T")


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs. Skips the test where there is none, except in CI."""
    on_path = shutil.which("postgres")
    found = [Path(on_path).resolve()] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    why = "PostgreSQL's programs are not on this machine: install them, on Debian with 'apt-get install postgresql'"
    if "CI" in os.environ:
        raise AssertionError(why)
    raise SkipTest(why)


class Cluster:
    """One PostgreSQL, which listens on a Unix socket in its folder."""

    def __init__(self, *options: str) -> None:
        """Make its files, and start it. `options` are settings such as `max_connections=9`."""
        self._programs = find_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="chat-pg"))
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to be root
            shutil.chown(self.folder, "nobody")
            self._user = {"user": "nobody"}
        # What the tests store may be lost in a power cut.
        self._options = ["fsync=off", "listen_addresses=", f"unix_socket_directories={self.folder}", *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self.url_of("postgres")
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        self.start()

    def url_of(self, name: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}/{name}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments], capture_output=True, cwd=self.folder, **self._user
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [part for option in self._options for part in ("-c", option)]
        command = [str(self._programs / "postgres"), "-D", str(self._data), *options]
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._user)
        self._process = process
        until = time.monotonic() + START_SECONDS
        ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        while subprocess.run(ready).returncode:
            assert process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()

    def signal_all(self, number: int) -> None:
        """Send a signal to all of its processes."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (*map(int, children), self._process.pid):
            os.kill(pid, number)

    def kill(self) -> None:
        """End it as a crash does, with all of its processes."""
        self.stop(signal.SIGQUIT)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it."""
        if self._process is not None:
            self.signal_all(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it, and remove its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@lru_cache(maxsize=1)
def shared_cluster() -> Cluster:
    """Return the PostgreSQL that all tests of this process share."""
    cluster = Cluster()
    atexit.register(cluster.remove)
    return cluster


class PostgreSQLTestCase(StoreTestCase):
    """Tests with an empty database, and with asyncio in whatever reactor runs them."""

    timeout = 60
    loop: asyncio.AbstractEventLoop
    make_cluster: Callable[[], Cluster] = staticmethod(shared_cluster)

    def setUp(self) -> Any:
        self.cluster = self.make_cluster()
        self._start_loop()
        asyncio_reactor = isinstance(reactor, AsyncioSelectorReactor)
        assert not asyncio_reactor or self.loop.is_running()
        emptied = self.on_loop(self.execute("DROP SCHEMA IF EXISTS twisted_chat CASCADE"))
        return emptied.addCallback(lambda _: super(PostgreSQLTestCase, self).setUp())

    def _start_loop(self) -> None:
        if isinstance(reactor, AsyncioSelectorReactor):
            self.loop = asyncio.get_running_loop()
            return
        self.loop = asyncio.new_event_loop()
        turning = LoopingCall(self._turn_loop)
        turning.start(0.001)
        self.addCleanup(self._stop_loop, turning)

    def _stop_loop(self, turning: LoopingCall) -> Deferred[None]:
        turning.stop()
        return deferLater(reactor, 0, self.loop.close)  # this may be called by the loop

    def _turn_loop(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def on_loop(self, work: Coroutine[Any, Any, _T]) -> Deferred[_T]:
        """Run a coroutine of asyncio."""
        return Deferred.fromFuture(self.loop.create_task(work))

    async def execute(self, sql: str, *args: object) -> list[Any]:
        """Execute a statement beside the store."""
        connection = await asyncpg.connect(self.cluster.url, server_settings={"search_path": "twisted_chat"})
        try:
            return await connection.fetch(sql, *args)
        finally:
            await connection.close()

    def sql(self, sql: str, *args: object) -> Deferred[list[Any]]:
        """Execute a statement beside the store."""
        return self.on_loop(self.execute(sql, *args))

    def open_postgresql(self, url: str | None = None, **options: Any) -> Deferred[Opened]:
        """Open the database as one more server does; it is closed at the end."""
        opening = self.on_loop(open_store(url or self.cluster.url, self.clock, self.loop, **options))

        def opened(opened: Opened) -> Opened:
            self.addCleanup(opened.log.close)
            self.addCleanup(opened.registry.close)
            return opened

        return opening.addCallback(opened)

    async def deafen(self, database: Database) -> None:
        """Have a server hear of nothing by itself, once the check that it may be at is done."""
        checked: list[Connection] = []

        async def check(connection: Connection) -> None:
            checked.append(connection)

        database._heard.clear()
        database._checks[:] = [check]
        await self.until_true(lambda: checked)

    async def until(self, done: Deferred[Any]) -> Any:
        """Advance the clock as fast as the real one, and let PostgreSQL work, until a Deferred has fired."""
        results: list[Any] = []
        done.addBoth(results.append)
        await self.until_true(lambda: results)
        return results[0]

    async def until_true(self, condition: Callable[[], object]) -> None:
        """Advance the clock as fast as the real one, and let PostgreSQL work, until something is so."""
        while not condition():
            self.clock.advance(0.001)
            await deferLater(reactor, 0.001)

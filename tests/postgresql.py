"""The base of the tests with PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncpg
from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from twisted_chat.stores.opened import Opened
from twisted_chat.stores.postgresql.database import Connection, Database
from twisted_chat.stores.postgresql.store import open_store

from .postgresql_programs import Cluster, shared_cluster
from .stores import StoreTestCase

_T = TypeVar("_T")


class PostgreSQLTestCase(StoreTestCase):
    """Tests with an empty database, and with asyncio in whatever reactor runs them."""

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
        connection = await self.connect()
        try:
            return await connection.fetch(sql, *args)
        finally:
            await connection.close()

    async def connect(self) -> Connection:
        """Connect to the database beside the store."""
        return await asyncpg.connect(self.cluster.url, server_settings={"search_path": "twisted_chat"})

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

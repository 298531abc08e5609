"""One PostgreSQL, to which each server has a link of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import asyncpg

from tests.postgresql_programs import Cluster

from ..wire import reset
from . import faults
from .scene import SERVERS, ClusterScene

END_SECONDS: Final = 10.0
"""Seconds in which the processes of PostgreSQL are gone that were killed."""


class Link:
    """The way from a server to the database. It can be cut: then no byte arrives, and nobody hears of it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()
        self._reset()

    def cut(self) -> None:
        self._is_whole.clear()

    def mend(self) -> None:
        """Let new connections through; the old ones are gone."""
        self._reset()
        self._is_whole.set()

    def _reset(self) -> None:
        for writer in tuple(self._writers):
            reset(cast(asyncio.Transport, writer.transport))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        database = None
        with suppress(OSError):
            await self._is_whole.wait()
            from_database, database = await asyncio.open_unix_connection(self._path)
            self._writers.add(database)
            ways = [asyncio.create_task(self._hand_on(reader, database))]
            ways.append(asyncio.create_task(self._hand_on(from_database, writer)))
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, database):
            if end is not None:
                reset(cast(asyncio.Transport, end.transport))
                self._writers.discard(end)

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            await self._is_whole.wait()
            writer.write(data)
            await writer.drain()


class One:
    """One PostgreSQL, and the links of the servers to it."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self._links = [Link(f"{self.cluster.folder}/.s.PGSQL.5432") for _ in range(SERVERS)]

    async def open(self) -> None:
        for link in self._links:
            await link.open()

    async def close(self) -> None:
        for link in self._links:
            link.close()
        self.cluster.remove()

    def url(self, server: int, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._links[server].port}/{database}"

    def wrapper(self, server: int) -> Sequence[str]:
        return ()

    def options(self, server: int) -> Sequence[str]:
        return ()

    async def ready(self) -> None:
        pass

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.cluster.url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def cut(self, server: int) -> None:
        self._links[server].cut()

    async def mend(self, server: int) -> None:
        self._links[server].mend()

    def last_lines(self) -> list[str]:
        """Return the last lines of its log."""
        return (self.cluster.folder / "log").read_text(errors="replace").splitlines()[-20:]

    def kill(self) -> None:
        """Kill all its processes with `kill -9`."""
        pids = self.cluster.pids()
        os.kill(pids[0], signal.SIGSTOP)  # it starts no other process meanwhile
        for pid in self.cluster.pids():
            os.kill(pid, signal.SIGKILL)
        self.cluster.stop(signal.SIGKILL)
        until = time.monotonic() + END_SECONDS
        while any(Path(f"/proc/{pid}/exe").exists() for pid in pids):
            assert time.monotonic() < until, "the processes of PostgreSQL do not end"


async def database_killed(scene: ClusterScene, one: One) -> str:
    """Kill PostgreSQL with `kill -9`, or end it in one of its own two fast ways, and start it again."""
    way = scene.random.choice((signal.SIGKILL, signal.SIGQUIT, signal.SIGINT))
    await scene.load()
    outage = scene.begin_outage()
    if way == signal.SIGKILL:
        one.kill()
    else:
        one.cluster.stop(way)
    await asyncio.sleep(scene.random.random())
    await asyncio.to_thread(one.cluster.start)
    await scene.until_over(outage)
    await scene.finish()
    return f"with {way.name}"


async def database_stopped(scene: ClusterScene, one: One) -> str:
    """Stop PostgreSQL with SIGSTOP, for less or for more than the patience of the servers, and let it go on."""
    seconds = scene.random.uniform(1, 16 if scene.is_long else 4)
    signal_all = one.cluster.signal_all
    await scene.break_for(seconds, lambda: signal_all(signal.SIGSTOP), lambda: signal_all(signal.SIGCONT))
    return f"for {seconds:.1f} s"


FAULTS: Final[dict[str, Callable[[ClusterScene, One], Awaitable[str]]]] = {
    "server-killed": lambda scene, _: faults.server_killed(scene),
    "server-stopped": lambda scene, _: faults.server_stopped(scene),
    "server-cut": lambda scene, _: faults.server_cut(scene),
    "database-killed": database_killed,
    "database-stopped": database_stopped,
}

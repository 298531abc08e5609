"""A PostgreSQL that is measured. It has files of its own, and the kernel tells what it costs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from twisted.internet.defer import Deferred

from tests.deadlines import WAIT_SECONDS
from tests.postgresql_programs import Cluster

_T = TypeVar("_T")
_TICK: Final = os.sysconf("SC_CLK_TCK")

SETTINGS: Final = ("fsync=on", "shared_buffers=1GB", "max_wal_size=4GB", "max_connections=60")
"""As somebody would run it who has read its manual: a commit is on the disk."""


class PostgreSQL(Cluster):
    """One PostgreSQL, in a folder of its own (`TMPDIR` says where)."""

    def __init__(self, *settings: str) -> None:
        """Start it with `SETTINGS`, and with further settings, such as `wal_level=minimal`."""
        super().__init__(*SETTINGS, *settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def execute(self, sql: str) -> str:
        """Execute a statement, and return what it returns as text."""
        command = [str(self._programs / "psql"), "-h", str(self.folder), "-U", "postgres", "-Atqc", sql, "postgres"]
        result: str = subprocess.run(command, capture_output=True, text=True, check=True, **self._user).stdout
        return result.strip()

    def cpu(self) -> float:
        """Return the processor time that all its processes have used (seconds)."""
        assert self._process
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]  # children, in ticks
        return sum(map(cpu_of, [pid, *map(int, children)])) + sum(map(int, ended)) / _TICK

    def forget(self) -> None:
        """Start it again with nothing of its files in memory."""
        self.stop()
        os.sync()
        for path in self._data.rglob("*"):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
        self.start()


class Standby(PostgreSQL):
    """A second PostgreSQL, which has to have each commit of the first one on its disk, too."""

    def __init__(self, primary: PostgreSQL) -> None:
        self._primary = primary
        super().__init__()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        is_synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        until = time.monotonic() + WAIT_SECONDS
        while not primary.execute(is_synchronous):
            if time.monotonic() > until:
                raise TimeoutError(f"the standby did not connect to the primary within {WAIT_SECONDS:g} seconds")
            time.sleep(0.05)

    def _make_files(self) -> None:
        of = ("-h", str(self._primary.folder), "-U", "postgres", "--checkpoint=fast", "--write-recovery-conf")
        self._run("pg_basebackup", "-D", str(self._data), *of)

    def __exit__(self, *error: object) -> None:
        self._primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self._primary.execute("SELECT pg_reload_conf()")
        super().__exit__(*error)


def cpu_of(pid: int) -> float:
    """Return the processor time of a process (seconds); 0 if it has ended."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # as in `server.Server.cpu`
    except OSError:
        return 0.0


def done(deferred: Deferred[_T]) -> Awaitable[_T]:
    """Return what asyncio waits for in place of a Deferred."""
    return deferred.asFuture(asyncio.get_running_loop())


def run(main: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine of asyncio with the reactor of the server, which is its argument, and exit."""
    from twisted_chat.reactor import install

    loop = asyncio.new_event_loop()
    install(loop)

    from twisted.internet import reactor
    from twisted.internet.task import react

    react(lambda _: Deferred.fromFuture(loop.create_task(main(reactor))))

"""The server, `twistd chat`, with its database in the folder of the round, or in PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..deadlines import WAIT_SECONDS
from .wire import Address

ROOT: Final = Path(__file__).parents[2]

TWISTD: Final = "from twisted.scripts.twistd import run; run()"
"""The code of the command `twistd`."""

SABOTAGE: Final = "FAULTS_SABOTAGE"
"""The variable of the environment that names a deliberate bug of `sabotage.py`, which the server has then."""

OPTIONS: Final = ("--rate", "0", "--connections-per-address", "10000")
"""Options without the limits that one address for all clients would reach."""


class Refused(Exception):
    """The server exited instead of listening; the text is its output."""


class Server:
    """A server that runs as one process after the other, with the same database."""

    address: Address
    """Where it listens for connections over TCP."""
    web: Address
    """Where it listens for browsers."""

    def __init__(
        self,
        folder: Path,
        program: str = TWISTD,
        url: str | None = None,
        wrapper: Sequence[str] = (),
        options: Sequence[str] = OPTIONS,
    ) -> None:
        """Prepare a server with the file `chat.sqlite` in `folder`, or with the database of `url`.

        A `wrapper` is a command that runs another one, such as `nsenter`.
        """
        self.database = folder / "chat.sqlite"
        self.url = url
        self.program = program
        """Python code that starts the server."""
        self._wrapper = wrapper
        self._options = options
        self.output: list[str] = []
        """The lines of output of all its processes."""
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._listening: asyncio.Future[list[Address]] | None = None

    async def start(self, *options: str, before: Sequence[str] = ()) -> None:
        """Start it and wait until it listens; `before` are options of `twistd` itself. Raise `Refused` if it exits."""
        loop = asyncio.get_running_loop()
        self._listening = loop.create_future()
        first = len(self.output)
        self._process = await asyncio.create_subprocess_exec(
            *(*self._wrapper, sys.executable, "-c", f"{_sabotage()}{self.program}"),
            *("-n", "--pidfile=", *before, "chat"),
            *("--port", "0", "--web", "0", "--database", self.url or str(self.database), *self._options, *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.database.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )
        count = 2 + options.count("--tls")  # the place of `--port` comes first, and that of `--web` last
        self._reading = loop.create_task(self._read(self._process, self._listening, count))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                self.address, *_, self.web = await self._listening
        except Refused:
            await self._process.wait()
            raise Refused("\n".join(self.output[first:])) from None

    async def _read(
        self, process: asyncio.subprocess.Process, listening: asyncio.Future[list[Address]], count: int
    ) -> None:
        assert process.stdout
        places: list[Address] = []
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.output.append(text)
            match = re.search(r"listening on (\S+):(\d+)$", text)
            if match:
                places.append(Address(match[1], int(match[2])))
            if len(places) == count and not listening.done():
                listening.set_result(places)
        if not listening.done():
            listening.set_exception(Refused())

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def send_signal(self, number: int) -> None:
        """Send it a signal, such as SIGSTOP."""
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """Kill it."""
        await self.end(signal.SIGKILL)

    async def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal and wait until it has exited."""
        if self._process is not None and self._reading is not None:
            if self._process.returncode is None:
                self._process.send_signal(number)
            await self._process.wait()
            await self._reading

    def memory(self) -> int:
        """Return its resident memory (bytes)."""
        match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert match
        return int(match[1]) * 1024

    def said(self, pattern: str) -> bool:
        """True if a line of its output matches."""
        return any(re.search(pattern, line) for line in self.output)


def _sabotage() -> str:
    """Write the Python code that puts the deliberate bug into the server, if one is asked for."""
    bug = os.environ.get(SABOTAGE)
    return f"from tests.faults.sabotage import BUGS; BUGS[{bug!r}]()\n" if bug else ""

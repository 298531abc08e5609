"""The server that is measured. It is started as users start it, and the kernel tells what it costs.

    python -m benchmarks.server TURNS.json -n chat --port 14900

runs `twistd` with a clock on the reactor, and writes the lengths of the turns into a file when it exits.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 60.0
"""Seconds for a start, with a log of ten million messages and an empty disk cache."""

_TWISTD: Final = ("-c", "from twisted.scripts.twistd import run; run()")
_OPTIONS: Final = ("-n", "--pidfile=", "chat", "--database", "chat.sqlite")
_RAISED: Final = ("--rate", "0", "--connections-per-address", "1000000")
"""The limits per connection and per address, which a load from one machine would reach."""


class Server:
    """A server in a folder of its own, with default options except `_RAISED`."""

    def __init__(
        self,
        *options: str,
        port: str = "0",
        places: int = 1,
        folder: Path | None = None,
        processors: list[int] | None = None,
        turns: bool = False,
        raised: bool = True,
    ) -> None:
        """Start it; the options may name further places, so that there are so many.

        With `turns`, the lengths of its turns are measured. Without `raised`, it has the usual limits.
        """
        self._own = tempfile.TemporaryDirectory() if folder is None else None
        self.folder = Path(self._own.name) if self._own else Path(str(folder))
        self._turns = self.folder / "turns.json"
        run = ("-m", "benchmarks.server", str(self._turns)) if turns else _TWISTD
        self._said = self.folder / "twistd.log"
        self._output = self._said.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, *run, *_OPTIONS, "--port", port, *(_RAISED if raised else ()), *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        if processors:
            os.sched_setaffinity(self.process.pid, processors)
        try:
            self.ports = self._wait_for_ports(places)
        except BaseException:
            self.__exit__()
            raise

    @property
    def port(self) -> int:
        """The port of its first place."""
        return self.ports[0]

    def _wait_for_ports(self, count: int) -> list[int]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            found = re.findall(r"listening on (?:udp )?\S*?:(\d+)\s", self._said.read_text(errors="replace"))
            if len(found) == count:
                return [int(port) for port in found]
            time.sleep(0.01)
        raise OSError(f"the server does not listen; it said:\n{self._said.read_text(errors='replace')[-2000:]}")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server, by force if that takes too long."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._output.close()
        self.turns: list[dict[str, Any]] = json.loads(self._turns.read_text()) if self._turns.exists() else []
        """The lengths of the turns in each phase; see `TimedSelector`."""
        if self._own:
            self._own.cleanup()

    def cpu(self) -> float:
        """Return its processor time (seconds), of all its threads and in the kernel."""
        # The clock of another process, as clock_getcpuclockid(3) makes its number: it has no ticks of 10 ms like /proc.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def memory(self) -> int:
        """Return its resident memory (bytes)."""
        status = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def next_phase(self) -> None:
        """Begin a new phase in its record of turns."""
        self.process.send_signal(signal.SIGUSR1)


class TimedSelector(selectors.DefaultSelector):
    """A selector that measures how long the loop works between two waits, which is one turn of the reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.phases: list[dict[str, Any]] = []
        self._back = time.perf_counter(), time.thread_time()
        self.next_phase()

    def next_phase(self, *_: object) -> None:
        self.counts: dict[int, int] = {}
        self.phase: dict[str, Any] = {"turns": 0, "max": 0.0, "max_cpu": 0.0, "microseconds": self.counts}
        """The current phase: the number of turns, the longest turn and the most processor time of a turn (seconds; if
        the first is much longer, the machine did something else), and the turns of up to 2^n microseconds, by n."""
        self.phases.append(self.phase)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        back, back_cpu = self._back
        seconds = time.perf_counter() - back
        phase = self.phase
        phase["turns"] += 1
        bits = int(seconds * 1e6).bit_length()
        self.counts[bits] = self.counts.get(bits, 0) + 1
        phase["max"] = max(phase["max"], seconds)
        phase["max_cpu"] = max(phase["max_cpu"], time.thread_time() - back_cpu)
        found = super().select(timeout)
        self._back = time.perf_counter(), time.thread_time()
        return found


def main() -> None:
    """Run `twistd` with a timed selector."""
    import asyncio

    from twisted.scripts.twistd import run

    from twisted_chat import reactor

    selector = TimedSelector()
    path = Path(sys.argv.pop(1)).absolute()
    reactor.install(asyncio.SelectorEventLoop(selector))
    signal.signal(signal.SIGUSR1, selector.next_phase)
    atexit.register(lambda: path.write_text(json.dumps(selector.phases)))
    run()


if __name__ == "__main__":
    main()

"""The server that is measured: started as users start it, and asked by the kernel what it costs.

    python -m benchmarks.server TURNS.json -n chat --port 14900

is `twistd` with a clock on the reactor: it writes how long the turns took into a file when it ends.
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
"""Seconds for a start: of a server whose log has ten million messages on a disk that is cold."""

_TWISTD: Final = ("-c", "from twisted.scripts.twistd import run; run()")
_OPTIONS: Final = ("-n", "--pidfile=", "chat", "--database", "chat.sqlite")
_RAISED: Final = ("--rate", "0", "--connections-per-address", "1000000")
"""Limits on one connection and on one address, which a load from one machine meets."""


class Server:
    """A server in a folder of its own, with default options but for `_RAISED`."""

    def __init__(
        self,
        *options: str,
        port: str = "0",
        folder: Path | None = None,
        processors: list[int] | None = None,
        turns: bool = False,
    ) -> None:
        self._own = tempfile.TemporaryDirectory() if folder is None else None
        self.folder = Path(self._own.name) if self._own else Path(str(folder))
        self._turns = self.folder / "turns.json"
        run = ("-m", "benchmarks.server", str(self._turns)) if turns else _TWISTD
        self._said = self.folder / "twistd.log"
        self._output = self._said.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, *run, *_OPTIONS, "--port", port, *_RAISED, *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        if processors:
            os.sched_setaffinity(self._process.pid, processors)
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.__exit__()
            raise

    def _wait_for_port(self) -> int:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            if found := re.search(r"listening on \S*?:(\d+)\s", self._said.read_text(errors="replace")):
                return int(found[1])
            time.sleep(0.01)
        raise OSError(f"the server does not listen; it said:\n{self._said.read_text(errors='replace')[-2000:]}")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it in order, or by force where that takes too long."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self.turns: list[dict[str, Any]] = json.loads(self._turns.read_text()) if self._turns.exists() else []
        """How long the turns of each phase took; see `TimedSelector`."""
        if self._own:
            self._own.cleanup()

    def cpu(self) -> float:
        """Say how much processor time it has used (seconds), of all its threads, in the kernel too."""
        # The clock of another process, as clock_getcpuclockid(3) makes its number: no ticks of 10 ms as in /proc.
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def memory(self) -> int:
        """Say how much memory it has resident (bytes)."""
        status = Path(f"/proc/{self._process.pid}/statm").read_text()
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def next_phase(self) -> None:
        """Let a new phase begin in what it writes of its turns."""
        self._process.send_signal(signal.SIGUSR1)


class TimedSelector(selectors.DefaultSelector):
    """Waits for the loop, and notes how long the loop was at work between two waits: one turn of the reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.phases: list[dict[str, Any]] = []
        self._back = time.perf_counter(), time.thread_time()
        self.next_phase()

    def next_phase(self, *_: object) -> None:
        self.counts: dict[int, int] = {}
        self.phase: dict[str, Any] = {"turns": 0, "max": 0.0, "max_cpu": 0.0, "microseconds": self.counts}
        """Of one phase: how many turns; the longest, and the most processor time of one (seconds: where the first is
        much more, the machine did something else); and how many turns took up to 2^n microseconds, by n."""
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
    """Run `twistd` on a timed selector."""
    import asyncio

    from twisted.internet import asyncioreactor
    from twisted.scripts.twistd import run

    selector = TimedSelector()
    path = Path(sys.argv.pop(1)).absolute()
    asyncioreactor.install(asyncio.SelectorEventLoop(selector))
    signal.signal(signal.SIGUSR1, selector.next_phase)
    atexit.register(lambda: path.write_text(json.dumps(selector.phases)))
    run()


if __name__ == "__main__":
    main()

"""A PostgreSQL of one's own: its programs are started here, on files in a temporary folder."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import SkipTest
from urllib.parse import quote

from .deadlines import WAIT_SECONDS


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
        self._make_files()
        self.start()

    def _make_files(self) -> None:
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        # Only its superuser may connect, as it has to be for a chat: otherwise each server warns.
        command = [str(self._programs / "postgres"), "--single", "-D", str(self._data), "postgres"]
        revoke = b"REVOKE CONNECT ON DATABASE postgres FROM PUBLIC\n"
        subprocess.run(command, input=revoke, capture_output=True, check=True, cwd=self.folder, **self._user)

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
        until = time.monotonic() + WAIT_SECONDS
        ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder)]
        while subprocess.run(ready).returncode:
            assert process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()

    def pids(self) -> list[int]:
        """Return its processes; the first one has started the others."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def signal_all(self, number: int) -> None:
        """Send a signal to all of its processes."""
        for pid in reversed(self.pids()):
            with suppress(ProcessLookupError):  # one that ends meanwhile
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

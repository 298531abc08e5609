"""Shares of a processor: with less than a whole one each, several servers can be compared on a machine with few."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

GROUPS: Final = Path("/sys/fs/cgroup")
PERIOD: Final = 10_000
"""Microseconds in which a process gets its share: it waits for less than this when it has used it up."""

PRIORITY: Final = 10
"""How much more of a busy processor a group gets than other work: inside of a group, `nice` has no effect on others."""


class Share:
    """A group of processes that get no more than a part of one processor together (control groups of Linux)."""

    def __init__(self, name: str, part: float) -> None:
        """Make the group, as root. Raises `OSError` where that is not possible."""
        quota = int(part * PERIOD)
        is_old = (GROUPS / "cpu").is_dir()  # version 1 has a folder for each kind of limit
        self._folder = (GROUPS / "cpu" if is_old else GROUPS) / f"benchmarks-{os.getpid()}-{name}"
        self._folder.mkdir()
        try:
            if is_old:
                (self._folder / "cpu.cfs_period_us").write_text(f"{PERIOD}")
                (self._folder / "cpu.cfs_quota_us").write_text(f"{quota}")
                (self._folder / "cpu.shares").write_text(f"{PRIORITY * 1024}")
            else:
                (self._folder / "cpu.max").write_text(f"{quota} {PERIOD}")
                (self._folder / "cpu.weight").write_text(f"{PRIORITY * 100}")
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, pid: int) -> None:
        """Move a process, with all its threads, to the group."""
        (self._folder / "cgroup.procs").write_text(f"{pid}")

    def close(self) -> None:
        """Remove the group. Its processes have to have ended."""
        self._folder.rmdir()

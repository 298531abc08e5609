"""Samples of a process, and the line that fits them best."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Final, NamedTuple

HOUR: Final = 3600.0
MB: Final = 2**20

NOISE: Final = 12.0
"""MB by which the memory may grow while it is measured, however short that is. The allocator takes memory in steps: in
a run it grew by nothing for minutes, and then by 3 MB at once."""

MB_AN_HOUR: Final = 4.0
"""MB an hour by which it may grow beside that: a server that grows by 100 MB in a day runs for weeks."""

LEAST_HOURS: Final = 0.1
"""Hours of measurement below which the memory is not judged: in the first minutes of a process, caches fill."""

MOST_THREADS: Final = 16
"""Threads that the server may have: its own, three of the store, two for passwords, and ten of Twisted's pool at most.
In a run it had six."""

MOST_WAL: Final = 64.0
"""MB of the write-ahead log, which the server copies back whenever it has 16. In a run it had 17.2 at most; a slow
reader of the file can hold the copying up."""


class Sample(NamedTuple):
    """What a process uses at one moment."""

    time: float
    """Seconds since the start of the run."""
    memory: float
    """MB of resident memory."""
    descriptors: int
    files: int
    """Descriptors that are no sockets, whose number does not depend on the connections."""
    threads: int
    wal: float
    """MB of the write-ahead log of its database."""


class Trend(NamedTuple):
    """A line through samples."""

    slope: float
    """Units an hour."""
    error: float
    """The standard error of the slope."""

    def __str__(self) -> str:
        return f"{self.slope:+.1f} ± {self.error:.1f} an hour"


def take_sample(pid: int, database: Path, time: float) -> Sample:
    """Look at a process. Raises `OSError` if it has ended."""
    folder = Path(f"/proc/{pid}")
    status = (folder / "status").read_text()
    targets = [_target(folder / "fd" / name) for name in os.listdir(folder / "fd")]
    wal = Path(f"{database}-wal")
    return Sample(
        time=time,
        memory=_field(status, "VmRSS") * 1024 / MB,
        descriptors=len(targets),
        files=sum(not target.startswith("socket:") for target in targets),
        threads=_field(status, "Threads"),
        wal=wal.stat().st_size / MB if wal.exists() else 0.0,
    )


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return "socket:"  # closed while this looks at it


def _field(status: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    if match is None:
        raise ProcessLookupError(f"the process has ended: its status has no {name}")
    return int(match[1])


def fit(times: Sequence[float], values: Sequence[float]) -> Trend:
    """Return the slope of the line with the least squares; with fewer than three samples, it is 0."""
    count = len(times)
    if count < 3:
        return Trend(0.0, 0.0)
    middle, mean = sum(times) / count, sum(values) / count
    spread = sum((time - middle) ** 2 for time in times)
    slope = sum((time - middle) * (value - mean) for time, value in zip(times, values, strict=True)) / spread
    rest = sum((value - mean - slope * (time - middle)) ** 2 for time, value in zip(times, values, strict=True))
    return Trend(slope * HOUR, sqrt(rest / (count - 2) / spread) * HOUR)


def complaints(samples: Sequence[Sample]) -> list[str]:
    """Say which of the bounds these samples exceed."""
    if not samples:
        return ["nothing was measured"]
    hours = (samples[-1].time - samples[0].time) / HOUR
    times = [sample.time for sample in samples]
    found = []
    growth = fit(times, [sample.memory for sample in samples]).slope * hours
    if hours >= LEAST_HOURS and growth > NOISE + MB_AN_HOUR * hours:
        found.append(f"the memory grew by {growth:.1f} MB in {hours:.2f} hours")
    files = fit(times, [sample.files for sample in samples]).slope * hours
    if files > 3:
        found.append(f"the number of open files grew by {files:.1f}")
    if (threads := max(sample.threads for sample in samples)) > MOST_THREADS:
        found.append(f"there were {threads} threads")
    if (wal := max(sample.wal for sample in samples)) > MOST_WAL:
        found.append(f"the write-ahead log had {wal:.1f} MB")
    return found

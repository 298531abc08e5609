"""The store's speed by the size of a room's log: the figures of docs/performance.md.

    python benchmarks/log_size.py [--sizes 10000,1000000,10000000] [--folder FOLDER]

It writes a database of each size with one room, and measures the operations of a server on it. Ten million messages
take some 3 GB of disk and some minutes.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.logs import AUTHORS, TEXT, make
from twisted_chat import names
from twisted_chat.commands.progress import Progress
from twisted_chat.commands.table import table
from twisted_chat.log import Entry
from twisted_chat.stores.retention import Keep
from twisted_chat.stores.sqlite.file import DatabaseFile
from twisted_chat.stores.sqlite.log import SQLiteLog

TIMES = 50
"""The number of measurements of each operation. The median and the largest are shown."""

PAGE = 512
PAGE_BYTES = 2**16


def forget(path: str) -> None:
    """Drop the file from the disk cache, as after a restart of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def resident() -> int:
    """Return the resident memory of this process (bytes)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def size_of(path: str) -> int:
    return os.path.getsize(path)


def milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.2f} ({max(seconds) * 1000:.2f})"


async def timed(times: int, function: Callable[[int], Awaitable[Any]]) -> str:
    seconds = []
    for number in range(times):
        start = time.perf_counter()
        await function(number)
        seconds.append(time.perf_counter() - start)
    return milliseconds(seconds)


async def measure(path: str, size: int) -> list[str]:
    """Measure the operations of a server; each result is the median and the largest, in milliseconds."""
    cold: list[float] = []
    warm: list[float] = []
    for times, drop in ((cold, True), (warm, False)):
        for _ in range(5):
            if drop:
                forget(path)
            start = time.perf_counter()
            log = SQLiteLog(DatabaseFile.open(path, reactor, "process"), reactor)
            times.append(time.perf_counter() - start)
            await log.close()
    before = resident()
    log = SQLiteLog(DatabaseFile.open(path, reactor, "process"), reactor, journal_bytes=2**60)  # moved below, once full

    opened: list[float] = []
    for _ in range(TIMES):
        gc.collect()  # the store forgets a room that nobody holds
        start = time.perf_counter()
        await log.open(names.room("lobby"))
        opened.append(time.perf_counter() - start)
    lobby = await log.open(names.room("lobby"))

    async def append(number: int) -> None:
        author = names.nick(f"author{number % AUTHORS}")
        await log.append([Entry(lobby, author, "x" * TEXT, os.urandom(16).hex())], 1_800_000_000_000)

    async def fill_and_move(times: int) -> tuple[str, str]:
        appends, moves = [], []
        for _ in range(times):
            for number in range(2_000):
                start = time.perf_counter()
                await append(number)
                appends.append(time.perf_counter() - start)
            start = time.perf_counter()
            await log.flush()
            moves.append(time.perf_counter() - start)
            await log.flush()
        return milliseconds(appends), milliseconds(moves)

    figures = [
        milliseconds(cold),
        milliseconds(warm),
        milliseconds(opened),
        await timed(TIMES, lambda number: lobby.after(size - 100 - number, PAGE, PAGE_BYTES)),
        await timed(TIMES, lambda number: lobby.before(size - number, PAGE, PAGE_BYTES)),
        await timed(TIMES, lambda number: lobby.after(size * number // TIMES, PAGE, PAGE_BYTES)),
    ]
    figures += await fill_and_move(10)
    after = resident()
    await log.close()
    trimmed = SQLiteLog(DatabaseFile.open(path, reactor, "process"), reactor, Keep(None, 1))
    figures.append(await timed(TIMES, lambda number: trimmed.trim(1, 1_800_000_000_000)))
    await trimmed.close()
    return [f"{size:,}", f"{size_of(path) / 1e6:,.0f}", *figures, f"{(after - before) / 1e6:.1f}"]


HEADS = [
    "messages in the room",
    "file, MB",
    "start, cold",
    "start",
    "open the room",
    "read 100 at the end",
    f"read {PAGE} before the end",
    f"read {PAGE} anywhere",
    "append one",
    "move 2,000 on",
    "trim 500",
    "memory, MB",
]


async def main(sizes: list[int], folder: str) -> None:
    columns = []
    for size in sizes:
        path = os.path.join(folder, f"{size}.sqlite")
        with Progress(f"of {size:,} messages written", size) as progress:
            make(path, size, done=progress.add)
        columns.append(await measure(path, size))
        os.unlink(path)
    print(f"milliseconds, median (largest); SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}")
    print("\n".join(table([HEADS[0], *(column[0] for column in columns)], rows(columns))))


def rows(columns: list[list[str]]) -> list[list[str]]:
    return [[head, *(column[at] for column in columns)] for at, head in enumerate(HEADS) if at]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", default="10000,1000000,10000000", help="numbers of messages, separated by commas [%(default)s]"
    )
    parser.add_argument("--folder", help="folder for the files [a temporary folder]")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(dir=options.folder)
    sizes = [int(size) for size in options.sizes.split(",")]
    try:
        react(lambda _: deferLater(reactor, 0).addCallback(lambda _: Deferred.fromCoroutine(main(sizes, folder))))
    finally:
        shutil.rmtree(folder)

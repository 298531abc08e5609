"""`twisted-chat stats`: shows the rooms, their sizes, and how fast they grow.

The direct messages of all accounts are one row: who talks to whom is not what somebody asks who looks after a disk.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Final, NamedTuple

from ..messages import time_text
from ..names import is_direct
from ..status import units
from ..stores.postgresql.urls import is_url, without_password
from . import Command
from .files import Readable, RoomRow, reading, rooms, takes_database
from .postgresql import reading_postgresql
from .progress import Progress
from .table import table

PAGE: Final = 50_000
"""Messages that are counted in one statement, which takes some 20 ms."""

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR


class _Sums(NamedTuple):
    messages: int
    text: int
    last_hour: int
    last_day: int
    newest: int
    """The time of the newest message in milliseconds since 1970; 0 if there is none."""


_HEADS: Final = ("room", "messages", "text", "last hour", "last day", "newest (UTC)")


def _arguments(parser: ArgumentParser) -> None:
    takes_database(parser, of_any_kind=True)


def output_width() -> int | None:
    """Return the width of the output in columns, if it is a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def run(options: Namespace, width: Callable[[], int | None] = output_width) -> int:
    """Run the command. `width` returns the columns that a table may take, or None for any number."""
    now = int(time.time() * 1000)
    path: str = options.database
    with reading_postgresql(path) if is_url(path) else reading(path) as connection:
        kept = rooms(connection)
        with Progress("messages", sum(room.messages for room in kept)) as progress:
            sums = [(room, _sum(connection, room, now, progress)) for room in kept]
        size = _size_of(path, connection)
    sums.sort(key=lambda pair: (-pair[1].messages, pair[0].key))
    print(size)
    rows = [(room.name, *_cells(s)) for room, s in sums if not is_direct(room.key)]
    direct = [s for room, s in sums if is_direct(room.key)]
    if direct:
        rows.append(("(direct messages)", *_cells(_all(direct))))  # no room has a name with brackets
    if len(rows) > 1:
        rows.append(("all", *_cells(_all([s for _, s in sums]))))
    print("\n".join(table(_HEADS, rows, width())))
    return 0


def _size_of(path: str, connection: Readable) -> str:
    if is_url(path):
        (size,) = connection.execute(_TABLES_SIZE).fetchone()
        return f"{without_password(path)}: {units.size(int(size))} in its tables and their indexes"
    return f"{path}: {_size(path)}, and {_size(f'{path}-wal')} in its write-ahead log (-wal)"


_TABLES_SIZE: Final = """
SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'twisted_chat' AND c.relkind = 'r'"""


def _sum(connection: Readable, room: RoomRow, now: int, progress: Progress) -> _Sums:
    size = getattr(connection, "bytes_of", "length(CAST({} AS BLOB))").format("msg")
    since = "count(*) FILTER (WHERE time >= ?)"
    sql = f"""
        SELECT count(*), sum({size}), {since}, {since}, max(time), max(seq)
        FROM (SELECT seq, time, msg FROM said WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?) AS page"""
    messages, text, last_hour, last_day, newest, last = 0, 0, 0, 0, 0, 0
    while True:
        row = connection.execute(sql, (now - HOUR, now - DAY, room.id, last, PAGE)).fetchone()
        if not row[0]:
            return _Sums(messages, int(text), int(last_hour), int(last_day), newest)
        progress.add(row[0])
        messages, text, last_hour, last_day = messages + row[0], text + row[1], last_hour + row[2], last_day + row[3]
        newest, last = max(newest, row[4]), row[5]


def _all(sums: list[_Sums]) -> _Sums:
    return _Sums(
        sum(s.messages for s in sums),
        sum(s.text for s in sums),
        sum(s.last_hour for s in sums),
        sum(s.last_day for s in sums),
        max(s.newest for s in sums),
    )


def _cells(sums: _Sums) -> tuple[str, ...]:
    newest = time_text(sums.newest)[:16].replace("T", " ") if sums.messages else "-"
    return (f"{sums.messages:,}", units.size(sums.text), f"{sums.last_hour:,}", f"{sums.last_day:,}", newest)


def _size(path: str) -> str:
    return units.size(os.path.getsize(path) if os.path.exists(path) else 0)


STATS: Final = Command("stats", "Show each room with its size and how fast it grows.", _arguments, run)

"""The speed of the store of several servers by the size of its database: the figures of docs/scaling.md.

    python -m benchmarks.database_size [--sizes 1000:100000,100000:10000000,1000000:100000000]

It starts a PostgreSQL of its own, fills its tables with so many rooms and messages, and measures the operations of a
server on it. A hundred million messages take some 21 GB of disk, 26 GB while the indexes are being made, and a quarter
of an hour to fill; all of it takes half an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from twisted.internet.defer import Deferred

from twisted_chat import names
from twisted_chat.commands.progress import Progress
from twisted_chat.commands.table import table
from twisted_chat.log import Entry, Unavailable
from twisted_chat.stores.postgresql import log as statements
from twisted_chat.stores.postgresql.log import PostgreSQLLog
from twisted_chat.stores.postgresql.store import open_store
from twisted_chat.stores.retention import EVERYTHING, Keep

from .postgresql import PostgreSQL, done, run

TIMES: Final = 50
"""Measurements of each operation. The median and the largest are shown."""

STEP: Final = 1_000_000
"""Messages that one statement writes."""

AUTHORS: Final = 50
PAGE: Final = 50
"""Messages of a page, as clients ask for them."""

PAGE_BYTES: Final = 2**16
TIME: Final = 1_700_000_000_000
"""The time of the first message (milliseconds since 1970)."""

BIG: Final = 1
"""The id of the room with a tenth of all messages. The other rooms share the rest."""


@dataclass(frozen=True)
class Size:
    """The size of a database."""

    rooms: int
    messages: int

    def head(self, room: int) -> int:
        """Return the newest number of a room. See `_FILL`."""
        if room == BIG:
            return self.messages // 10
        small = self.messages - self.messages // 10
        return (small + self.rooms - room) // (self.rooms - 1)

    def key(self, room: int) -> str:
        """Return the key of a room. Every tenth is a log of direct messages, and an account has a hundred of these."""
        return f"@u{room // 1000}@v{room}" if room % 10 == 0 else f"r{room}"


_FILL: Final = """
INSERT INTO message (room, seq, time, author, author_key, id, msg)
SELECT CASE WHEN n % 10 = 9 THEN 1 ELSE 2 + (n - n / 10) % ($1 - 1) END,
    CASE WHEN n % 10 = 9 THEN n / 10 + 1 ELSE 1 + (n - n / 10) / ($1 - 1) END,
    $4 + n, 'author' || n % 50, 'author' || n % 50, left(md5(n::text), 16), 'This is what people say to all.'
FROM generate_series($2::bigint, $3::bigint - 1) AS n"""
"""Writes messages in the order of their time: those that follow each other in a room are far apart in the table."""

_ROOMS: Final = """
INSERT INTO room (id, key, name, head, oldest, oldest_time)
SELECT n, name, name, 0, 1, 0 FROM (
    SELECT n, CASE WHEN n % 10 = 0 THEN '@u' || n / 1000 || '@v' || n ELSE 'r' || n END AS name
    FROM generate_series(1, $1::bigint) AS n
) AS named"""

_HEADS: Final = """
UPDATE room SET oldest_time = $3,
    head = CASE WHEN id = 1 THEN $2 / 10 ELSE ($2 - $2 / 10 + $1 - id) / ($1 - 1) END"""

_OWNERS: Final = """
INSERT INTO rule (room, kind, subject, shown, address, value, msg, author, time)
SELECT key, 'role', 'author' || id % 1000, 'author' || id % 1000, '', 40, '', 'server', 0 FROM room"""


async def fill(connection: asyncpg.Connection[Any], size: Size, added: Callable[[int], object]) -> None:
    """Write rooms and messages in place of those that are there; `added` is called with their numbers."""
    index = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = 'said_once'")
    async with connection.transaction():  # a table that is emptied in the same transaction needs no write-ahead log
        await connection.execute("TRUNCATE room, message, server, rule")
        await connection.execute("ALTER TABLE message DROP CONSTRAINT message_pkey")
        await connection.execute("DROP INDEX said_once")
        await connection.execute(_ROOMS, size.rooms)
        await connection.execute(_HEADS, size.rooms, size.messages, TIME)
        await connection.execute("UPDATE store SET rooms = $1, time = $2", size.rooms, TIME)
        await connection.execute("SELECT setval(pg_get_serial_sequence('room', 'id'), $1)", size.rooms)
        for start in range(0, size.messages, STEP):
            end = min(start + STEP, size.messages)
            await connection.execute(_FILL, size.rooms, start, end, TIME)
            added(end - start)
        await connection.execute("ALTER TABLE message ADD PRIMARY KEY (room, seq)")
        await connection.execute(index)
    await connection.execute("VACUUM (ANALYZE, FREEZE) message, room")


@dataclass
class Figures:
    """What was measured on a database of one size, as rows of the table."""

    used: Callable[[], float]
    """Returns the processor time of PostgreSQL and of the server (seconds)."""
    rows: dict[str, str] = field(default_factory=dict)

    async def time(
        self, what: str, operation: Callable[[int], Deferred[Any] | Awaitable[Any]], times: int = TIMES
    ) -> None:
        """Measure an operation, which is called with numbers from 0 on."""
        milliseconds = []
        used = self.used()
        for number in range(times):
            start = time.perf_counter()
            under_way = operation(number)
            try:
                await (done(under_way) if isinstance(under_way, Deferred) else under_way)
            except Unavailable as error:
                self.rows[what] = str(error)
                return
            milliseconds.append((time.perf_counter() - start) * 1e3)
        processor = (self.used() - used) / times * 1e3
        self.rows[what] = f"{statistics.median(milliseconds):.2f} ({max(milliseconds):.2f}) {processor:.2f}"


async def _server(reactor: Any, database: PostgreSQL, keep: Keep = EVERYTHING) -> PostgreSQLLog:
    log = (await open_store(database.url, reactor, asyncio.get_running_loop(), keep)).log
    assert isinstance(log, PostgreSQLLog)
    return log


def _some(size: Size, count: int, salt: int) -> Iterator[int]:
    """Yield the ids of rooms all over the table, which are not logs of direct messages and not the big one."""
    for number in range(count):
        room = 2 + (number * 7_919 + salt * 104_729) % (size.rooms - 1)
        yield room + 1 if room % 10 == 0 else room


async def measure(reactor: Any, database: PostgreSQL, size: Size) -> dict[str, str]:
    """Measure the operations of a server (milliseconds)."""
    figures = Figures(lambda: database.cpu() + time.process_time())
    run_id = time.monotonic_ns()  # the messages of another measurement may be there
    database.forget()
    cold = await _server(reactor, database)
    await _pages(figures, "with nothing in memory: ", cold, size, 3)
    await done(cold.close())

    async def start(number: int) -> None:
        await done((await _server(reactor, database)).close())

    await figures.time("open the store", start, 10)
    log = await _server(reactor, database)
    await _pages(figures, "", log, size, 5)
    big = await done(log.open(names.room(size.key(BIG))))
    head = size.head(BIG)

    await figures.time("the large room: read the last 50", lambda _: big.before(head + 1, PAGE, PAGE_BYTES))
    await figures.time(
        "the large room: read 50 before any number", lambda n: big.before(head * (n + 1) // TIMES, PAGE, PAGE_BYTES)
    )
    await figures.time(
        "the large room: read 50 after any number", lambda n: big.after(head * n // TIMES, PAGE, PAGE_BYTES)
    )

    async def say(number: int) -> bool:
        entry = Entry(big, names.nick(f"author{number % AUTHORS}"), "x" * 30, f"{run_id}-{number}")
        await done(log.append([entry], TIME))
        return entry.fresh

    async def say_new(number: int) -> None:
        assert await say(number)

    async def say_again(number: int) -> None:
        assert not await say(number)

    # Messages that are in the log for long: `_FILL` has given them these ids.
    old = await _fetch(database, "SELECT seq, author, id FROM message WHERE room = 1 AND seq % 97 = 1 LIMIT $1", TIMES)

    async def say_old(number: int) -> None:
        entry = Entry(big, names.nick(old[number]["author"]), "x", old[number]["id"])
        await done(log.append([entry], TIME))
        assert not entry.fresh and entry.seq == old[number]["seq"]

    await figures.time("append one", say_new)
    await figures.time("append it again", say_again)
    await figures.time("append one of the first again", say_old, len(old))
    for first in range(2):  # each of its connections has made its plans by then
        rooms = [await done(log.open(names.room(size.key(room)))) for room in _some(size, 100, 7 + first)]
        entries = [Entry(room, names.nick("author1"), "x" * 30, f"many-{run_id}-{first}") for room in rooms]
        await done(log.append(entries, TIME))

    async def say_in_many(number: int) -> None:
        entries = [Entry(room, names.nick("author2"), "x" * 30, f"many-{run_id}-{number}") for room in rooms]
        await done(log.append(entries, TIME))

    async def say_in_a_new_room(number: int) -> None:
        room = await done(log.open(names.room(f"new{run_id}-{number}")))
        await done(log.append([Entry(room, names.nick("author2"), "x" * 30, "1")], TIME))

    await figures.time("append one to each of 100 rooms", say_in_many)
    await figures.time("make a room, and append one", say_in_a_new_room)
    await figures.time("list 100 rooms", lambda _: log.rooms(100))
    await figures.time("list the direct messages of an account", lambda _: log.directs(names.nick("u0"), 500))
    await done(log.close())

    trimmed = await _server(reactor, database, Keep(None, size.messages))
    await figures.time("retention: look for what is over", lambda _: trimmed.overdue(TIME), 5)
    await done(trimmed.close())
    await _fetch(database, "TRUNCATE rule")
    await _fetch(database, _OWNERS)
    await figures.time("open the store, with an owner of each room", start, 3)
    (row,) = await _fetch(database, "SELECT pg_database_size(current_database()) AS bytes")
    return {"database, MB": f"{row['bytes'] / 1e6:,.0f}", **await blocks(database, size), **figures.rows}


async def _pages(figures: Figures, prefix: str, log: PostgreSQLLog, size: Size, salt: int) -> None:
    """Measure what a `join` and a `history` read, of a room that nobody has read before."""
    rooms = list(_some(size, TIMES, salt))
    opened = []

    async def open_room(number: int) -> None:
        opened.append(await done(log.open(names.room(size.key(rooms[number])))))

    await figures.time(f"{prefix}open a room", open_room)
    await figures.time(
        f"{prefix}read its last 50", lambda n: opened[n].before(size.head(rooms[n]) + 1, PAGE, PAGE_BYTES)
    )
    await figures.time(
        f"{prefix}read the last 20", lambda n: opened[n].after(size.head(rooms[n]) - 20, PAGE, PAGE_BYTES)
    )


async def blocks(database: PostgreSQL, size: Size) -> dict[str, str]:
    """Count the blocks of 8 kB that statements touch, with the plans for unknown values."""
    small, head = next(_some(size, 1, 1)), size.head(BIG)
    some = size.head(small)
    read: dict[str, tuple[str, tuple[object, ...]]] = {
        "the last 50 of a room": (statements._BEFORE, (small, some + 1, some, PAGE, PAGE_BYTES)),
        "the last 20 of a room": (statements._AFTER, (small, some - 20, some, PAGE, PAGE_BYTES)),
        "the large room: 50 before a number": (statements._BEFORE, (BIG, head // 2, head, PAGE, PAGE_BYTES)),
        "the large room: 50 after a number": (statements._AFTER, (BIG, head // 2, head, PAGE, PAGE_BYTES)),
        "new messages of two rooms": (statements._NEW, ([BIG, small], [head - 20, some - 20], [head, some], PAGE)),
    }
    connection = await _connect(database)
    try:
        return {f"blocks: {what}": await _blocks(connection, sql, values) for what, (sql, values) in read.items()}
    finally:
        await connection.close()


async def _blocks(connection: asyncpg.Connection[Any], sql: str, values: tuple[object, ...]) -> str:
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE measured AS {sql}")
    quoted = ", ".join(f"'{{{','.join(map(str, v))}}}'" if isinstance(v, list) else str(v) for v in values)
    for _ in range(2):  # the first time also reads the catalogues
        row = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE measured ({quoted})")
    await connection.execute("DEALLOCATE measured")
    plan = json.loads(row)[0]["Plan"]
    return str(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _connect(database: PostgreSQL) -> Coroutine[Any, Any, asyncpg.Connection[Any]]:
    return asyncpg.connect(database.url, server_settings={"search_path": "twisted_chat"}, statement_cache_size=0)


async def _fetch(database: PostgreSQL, sql: str, *values: object) -> list[Any]:
    connection = await _connect(database)
    try:
        return await connection.fetch(sql, *values, timeout=600)
    finally:
        await connection.close()


async def main(reactor: Any, sizes: list[Size], stays: bool = False) -> None:
    columns: list[dict[str, str]] = []
    settings = ("wal_level=minimal", "max_wal_senders=0", "maintenance_work_mem=1GB", "autovacuum=off")
    with PostgreSQL(*settings) as database:
        await done((await _server(reactor, database)).close())  # makes the tables
        for size in sizes:
            connection = await _connect(database)
            with Progress(f"of {size.messages:,} messages written", size.messages) as progress:
                await fill(connection, size, progress.add)
            await connection.close()
            columns.append(await measure(reactor, database, size))
            print("\n".join(_table(sizes, columns)), flush=True)
        if stays:
            print(f"PostgreSQL runs on, as {database.url}: interrupt this program to end it", flush=True)
            await asyncio.Event().wait()


def _table(sizes: Sequence[Size], columns: Sequence[dict[str, str]]) -> list[str]:
    heads = [
        "milliseconds, processor",
        *(f"{size.rooms:,} : {size.messages:,}" for size, _ in zip(sizes, columns, strict=False)),
    ]
    return table(heads, [[what, *(column[what] for column in columns)] for what in columns[0]])


def _size(text: str) -> Size:
    rooms, _, messages = text.partition(":")
    return Size(int(rooms), int(messages))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.database_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--sizes", default="1000:100000,100000:10000000,1000000:100000000", help="rooms:messages [%(default)s]"
    )
    parser.add_argument("--folder", help="folder for the database [a temporary folder]")
    parser.add_argument("--stay", action="store_true", help="let PostgreSQL run on, to look at its plans")
    options = parser.parse_args()
    if options.folder:
        tempfile.tempdir = options.folder
    sizes = [_size(text) for text in options.sizes.split(",")]
    run(lambda reactor: main(reactor, sizes, options.stay))

"""Measure several servers on one PostgreSQL, which is started for that: figures of docs/scaling.md.

    nice -n -10 python -m benchmarks.cluster
    nice -n -10 python -m benchmarks.cluster --only turns --rounds 1

Servers, PostgreSQL and the load share the processors of this machine. So that two servers can be compared with one
where there are few processors, each server gets the same part of one (`--part`), and everything else gets what is left.
That needs root, as does a higher priority than that of other work on the machine (`nice`).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from textwrap import wrap
from typing import Any, Final

from twisted_chat import names
from twisted_chat.commands.table import table
from twisted_chat.log import Entry, RoomLog
from twisted_chat.stores.opened import Opened
from twisted_chat.stores.postgresql.store import open_store

from .cases import WARM_UP
from .load import TEXT, Crowd, Load, Talk
from .postgresql import PostgreSQL, Standby, done, run
from .report import WIDTH, number_text
from .server import Server
from .shares import Share

Row = dict[str, Any]
"""The figures of one measurement."""

PART: Final = 0.25
"""The part of a processor that each server gets: two of them, PostgreSQL and the load then fit on two processors."""

ROOMS: Final = 100
_NAMES: Final = [names.room(f"b{number}") for number in range(ROOMS)]

LOADS: Final = {
    "100 rooms of 10": (Crowd(0, 10 * ROOMS, ROOMS), Talk(1, 150, 8)),
    "a room of 4,000": (Crowd(0, 4_000), Talk(16, 30, 8)),
}
"""The members of all servers together, and what they send."""

TURNS: Final = (1, 20, 200, 1_000)
"""Messages in one turn of the store. A server appends up to 256 in one."""

ALONE: Final = "nothing"
LISTENS: Final = "a server that listens"
FOLLOWS: Final = "a server that follows"
STANDBY: Final = "a standby"
BESIDE: Final = (ALONE, LISTENS, FOLLOWS, STANDBY)

TURN_SECONDS: Final = 3.0

WARM_UP_TURNS: Final = 10
"""Turns before the measurement: PostgreSQL keeps the plan of a statement from the sixth time on."""

# Servers


def measure_servers(part: float, loads: dict[str, tuple[Crowd, Talk]]) -> Iterator[Row]:
    """Measure one server and two under each load, one after the other."""
    for name, (crowd, talk) in loads.items():
        for count in (1, 2):
            with PostgreSQL() as database, _servers(count, database, part) as servers:
                yield {"load": name, "servers": count, **_talk(servers, database, crowd, talk)}


@contextmanager
def _servers(count: int, database: PostgreSQL, part: float) -> Iterator[list[Server]]:
    """Start servers, each with its part of a processor."""
    with ExitStack() as stack:
        servers = []
        for number in range(count):
            share = stack.enter_context(Share(f"server{number}", part)) if part else None
            server = stack.enter_context(Server("--database", database.url))
            if share is not None:
                share.add(server.process.pid)
            servers.append(server)
        yield servers


def _talk(servers: Sequence[Server], database: PostgreSQL, crowd: Crowd, talk: Talk) -> Row:
    first, *others = [server.port for server in servers]
    before_joins = sum(server.cpu() for server in servers), database.cpu()
    with Load(replace(crowd, port=first, more_ports=tuple(others))) as load:
        joins = sum(server.cpu() for server in servers) - before_joins[0], database.cpu() - before_joins[1]

        def used() -> tuple[float, float, float]:
            return sum(server.cpu() for server in servers), database.cpu(), load.cpu()

        load.talk(WARM_UP)
        before: list[float] = []
        heard = load.talk(talk, lambda: before.extend(used()))
        by_servers, by_database, by_load = (now - then for now, then in zip(used(), before, strict=True))
    return {
        "whole": heard.whole,
        "messages": heard.messages,
        "deliveries": heard.deliveries,
        "messages_per_s": heard.complete / heard.seconds,
        "carried_per_s": len(servers) * heard.messages / by_servers,
        "p50_ms": heard.latency(0.5) * 1e3,
        "servers_us": by_servers / heard.messages * 1e6,
        "database_us": by_database / heard.messages * 1e6,
        "servers_busy": by_servers / heard.seconds,
        "database_busy": by_database / heard.seconds,
        "load_busy": by_load / heard.seconds,
        "servers_join_us": joins[0] / crowd.members * 1e6,
        "database_join_us": joins[1] / crowd.members * 1e6,
    }


# Turns of the store


async def measure_turns(reactor: Any, sizes: Sequence[int], seconds: float) -> list[Row]:
    """Measure turns of each size, with something beside the server that appends.

    A server that listens hears of each turn, and has none of the rooms open; one that follows reads the turns.
    """
    rows = []
    with PostgreSQL() as database:
        for beside in BESIDE:
            with ExitStack() as stack:
                standby = stack.enter_context(Standby(database)) if beside == STANDBY else None
                stores, follower = [await _open(reactor, database)], None
                if beside in (LISTENS, FOLLOWS):
                    stores.append(await _open(reactor, database))
                if beside == FOLLOWS:
                    follower = _Follower(stores[1])
                    await follower.follow()
                for size in sizes:
                    figures = await _turns(stores[0], follower, database, standby, size, seconds)
                    rows.append({"beside": beside, **figures})
                for store in stores:
                    await done(store.log.close())
    return rows


async def _open(reactor: Any, database: PostgreSQL) -> Opened:
    return await open_store(database.url, reactor, asyncio.get_running_loop())


class _Follower:
    """A server that follows the same rooms as the one that appends to them."""

    def __init__(self, store: Opened) -> None:
        self._store = store
        self._rooms: list[RoomLog] = []
        self._has_heard = asyncio.Event()

    async def follow(self) -> None:
        self._rooms = [await done(self._store.log.open(name)) for name in _NAMES]
        for room in self._rooms:
            room.follow(lambda records: self._has_heard.set())

    async def catch_up(self, rooms: Sequence[RoomLog]) -> None:
        """Wait until it has heard all that was appended to the rooms."""
        while any(ours.seq < room.seq for ours, room in zip(self._rooms, rooms, strict=True)):
            self._has_heard.clear()
            await self._has_heard.wait()


async def _turns(
    store: Opened, follower: _Follower | None, database: PostgreSQL, standby: Standby | None, size: int, seconds: float
) -> Row:
    """Append turns of so many messages, divided among all rooms, one turn after the other."""
    rooms = [await done(store.log.open(name)) for name in _NAMES]
    author, count = names.nick("alice"), 0
    milliseconds: list[float] = []

    async def turn() -> None:
        nonlocal count
        ids = range(count, count + size)
        count += size
        start = time.perf_counter()
        await done(store.log.append([Entry(rooms[n % ROOMS], author, TEXT, f"{size}-{run_id}-{n}") for n in ids], 1))
        milliseconds.append((time.perf_counter() - start) * 1e3)

    def used() -> tuple[float, float, float, float]:
        written = float(database.execute("SELECT pg_current_wal_lsn() - '0/0'"))
        return database.cpu(), time.process_time(), standby.cpu() if standby else 0.0, written

    run_id = time.monotonic_ns()
    for _ in range(WARM_UP_TURNS):
        await turn()
    if follower is not None:
        await follower.catch_up(rooms)
    milliseconds.clear()
    first, before, begin = count, used(), time.perf_counter()
    while time.perf_counter() < begin + seconds:
        await turn()
    took, messages = time.perf_counter() - begin, count - first
    if follower is not None:
        await follower.catch_up(rooms)
    by_database, by_servers, by_standby, written = (now - then for now, then in zip(used(), before, strict=True))
    return {
        "size": size,
        "messages_per_s": messages / took,
        "turn_ms": statistics.median(milliseconds),
        "database_us": by_database / messages * 1e6,
        "database_busy": by_database / took,
        "servers_us": by_servers / messages * 1e6,
        "standby_us": by_standby / messages * 1e6,
        "bytes": written / messages,
    }


def fit(rows: Sequence[Row], key: str) -> tuple[float, float]:
    """Fit the cost of a turn and of each of its messages to the costs per message, with the least relative error.

    Least squares of (turn + size * message) / (size * cost) = 1.
    """
    x = [1 / (row["size"] * row[key]) for row in rows]
    y = [1 / row[key] for row in rows]
    xx, yy, xy = sum(v * v for v in x), sum(v * v for v in y), sum(v * w for v, w in zip(x, y, strict=True))
    determinant = xx * yy - xy * xy
    return (sum(x) * yy - sum(y) * xy) / determinant, (sum(y) * xx - sum(x) * xy) / determinant


def costs(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the costs of a turn and of a message, of which `benchmarks.scaling` makes use."""
    of = {beside: [row for row in rows if row["beside"] == beside] for beside in BESIDE}
    for beside in BESIDE:
        for key, who in (("database_us", "PostgreSQL"), ("servers_us", "servers")):
            turn, message = fit(of[beside], key)
            yield f"{who}, beside {beside}: {number_text(turn)} µs for a turn, and {number_text(message)} for a message"


# The program

_SERVERS: Final = {
    "load": "",
    "servers": "",
    "messages_per_s": "messages/s",
    "carried_per_s": "with whole processors",
    "p50_ms": "p50, ms",
    "servers_us": "servers, µs",
    "database_us": "PostgreSQL, µs",
    "servers_busy": "servers busy",
    "database_busy": "PostgreSQL busy",
    "load_busy": "load busy",
    "servers_join_us": "join, µs",
    "database_join_us": "PostgreSQL",
}
_TURNS: Final = {
    "beside": "beside it",
    "size": "messages in a turn",
    "messages_per_s": "messages/s",
    "turn_ms": "a turn, ms",
    "database_us": "PostgreSQL, µs",
    "database_busy": "PostgreSQL busy",
    "servers_us": "servers, µs",
    "standby_us": "standby, µs",
    "bytes": "WAL, bytes",
}

LEGEND: Final = (
    "with whole processors: the messages/s that the servers would carry if each of them had a processor for itself, by "
    "their processor time. Processor time is per message. busy: 100 % is one processor. WAL: what PostgreSQL writes to "
    "its log for a message, and sends to a standby."
)


def median_rows(rounds: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the medians of each row over all rounds."""
    return [
        {
            key: statistics.median(row[key] for row in rows) if isinstance(value, float) else value
            for key, value in rows[0].items()
        }
        for rows in zip(*rounds, strict=True)
    ]


def shown(columns: dict[str, str], rows: Sequence[Row]) -> list[str]:
    """Return rows as a table."""

    def cell(key: str, value: Any) -> str:
        if key.endswith("busy"):
            return f"{value:.0%}"
        return number_text(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value

    heads = [head or key for key, head in columns.items()]
    return table(heads, [[cell(key, row[key]) for key in columns] for row in rows])


def main(arguments: Sequence[str]) -> None:
    options = _options().parse_args(arguments)
    if options.folder:
        tempfile.tempdir = options.folder
    if "servers" in options.only:
        rounds = [list(measure_servers(options.part, LOADS)) for _ in range(options.rounds)]
        rows = median_rows(rounds)
        print("\n".join(shown(_SERVERS, rows)))
        for one, two in zip(rows[::2], rows[1::2], strict=True):
            print(
                f"{one['load']}: two servers carry {two['messages_per_s'] / one['messages_per_s']:.2f} times as much."
            )
        missing = [row for rows in rounds for row in rows if not row["whole"]]
        if missing:
            sys.exit(f"messages were lost or doubled: {missing}")
    if "turns" in options.only:

        async def measure(reactor: Any) -> None:
            rounds = [await measure_turns(reactor, TURNS, options.seconds) for _ in range(options.rounds)]
            rows = median_rows(rounds)
            print("\n".join(["", *shown(_TURNS, rows), "", *costs(rows), "", *wrap(LEGEND, WIDTH)]))

        run(measure)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=("servers", "turns"), nargs="+", default=("servers", "turns"))
    parser.add_argument(
        "--part", type=float, default=PART, help="of a processor for each server; 0 for no limit [%(default)s]"
    )
    parser.add_argument(
        "--seconds", type=float, default=TURN_SECONDS, help="for which turns of one size are measured [%(default)s]"
    )
    parser.add_argument("--rounds", type=int, default=3, help="the medians of so many are shown [%(default)s]")
    parser.add_argument("--folder", help="folder for the databases [a temporary folder]")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])

"""Deliberate bugs in the server, to see whether the faults find them, and in which round.

python -m tests.faults.sabotage [--rounds N] [--only NAME] [--seed S]

A bug is a function that patches the server's process before it starts; see `server.py`.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from .server import ROOT, SABOTAGE

BUGS: Final[dict[str, Callable[[], None]]] = {}
"""The functions by the bugs that they cause."""

FAULTS: Final[dict[str, tuple[str, ...]]] = {}
"""The faults under which each bug is looked for."""


def _bug(what: str, *faults: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def add(function: Callable[[], None]) -> Callable[[], None]:
        BUGS[what] = function
        FAULTS[what] = faults
        return function

    return add


def _replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute; raises `AttributeError` if the server has changed."""
    setattr(owner, name, make(getattr(owner, name)))


@_bug("one delivery in 10,000 is skipped", "crash", "cut")
def leave_out_deliveries() -> None:
    from twisted_chat.room.turn import Turn

    def lossy(hand: Any) -> Any:
        return lambda turn, listeners, part: hand(turn, [one for one in listeners if random.random() > 1e-4], part)

    _replace(Turn, "hand", lossy)


@_bug("a message is acked before it is stored", "crash", "disk-full")
def ack_too_early() -> None:
    from twisted_chat.messages import Ack
    from twisted_chat.room.appending import Appending

    def early(start: Any) -> Any:
        def ack_and_start(appending: Any) -> None:
            before: Counter[Any] = Counter()
            for entry in appending._entries:
                before[entry.room] += 1
                if entry.id is not None and entry.room.seq:
                    guess = entry.room.seq + before[entry.room]
                    ack = Ack(entry.id, entry.room.name.shown, None, guess, "")
                    listener = entry.origin.listener
                    listener.write(listener.encoding.reply(ack))
            start(appending)

        return ack_and_start

    _replace(Appending, "_start", early)


@_bug("a replay starts one message too late", "crash", "cut")
def begin_too_late() -> None:
    from twisted_chat.room.rooms import Rooms

    def late(enter: Any) -> Any:
        return lambda rooms, room, listener, since: enter(rooms, room, listener, None if since is None else since + 1)

    _replace(Rooms, "enter", late)


@_bug("a replay starts one message too early", "crash", "cut")
def begin_too_early() -> None:
    from twisted_chat.room.rooms import Rooms

    def early(enter: Any) -> Any:
        def enter_early(rooms: Any, room: Any, listener: Any, since: int | None) -> Any:
            return enter(rooms, room, listener, None if since is None else max(0, min(since, room.head) - 1))

        return enter_early

    _replace(Rooms, "enter", early)


@_bug(
    "a message is sent twice from a page that was read for another member",
    *("crash", "cut", "slow-all", "replay"),
)
def read_pages_of_others_twice() -> None:
    from twisted_chat.room.page import Written

    _replace(Written, "after", lambda after: lambda written, seq, own: after(written, seq - 1, own))


@_bug(
    "a message is sent twice at the border between the tables message and journal",
    *("crash", "cut", "slow-all", "replay"),
)
def double_the_border_of_the_journal() -> None:
    from twisted_chat.stores.sqlite.log import SQLiteLog

    def doubled(after: Any) -> Any:
        def read(store: Any, room: Any, *args: Any) -> Any:
            journal = store._journal.get(room, ())
            first = journal[0].seq if journal else 0

            def double(records: list[Any]) -> list[Any]:
                return [record for record in records for _ in range(1 + (record.seq == first - 1))]

            return after(store, room, *args).addCallback(double)

        return read

    _replace(SQLiteLog, "_after", doubled)


@_bug("a member that has caught up misses a message", "crash", "cut")
def go_live_too_early() -> None:
    from twisted_chat.room.catching_up import CatchingUp

    def early(hand_page: Any) -> Any:
        def skip_the_last(catching_up: Any, member: Any) -> None:
            if member.place == member.room.head - 1:
                member.place += 1
            hand_page(catching_up, member)

        return skip_the_last

    _replace(CatchingUp, "_hand_page", early)


@_bug("the id of a stored message is forgotten", "crash", "cut")
def forget_ids_in_memory() -> None:
    from twisted_chat.stores.sqlite.log import SQLiteLog

    def forgetful(kept: Any) -> Any:
        def keep_and_forget(store: Any, turn: Any) -> None:
            kept(store, turn)
            store._journaled.clear()

        return keep_and_forget

    _replace(SQLiteLog, "_appended", forgetful)


@_bug("the id of a stored message is forgotten once it is not in memory", "crash", "cut")
def forget_ids_in_the_file() -> None:
    from twisted_chat.stores.sqlite import database

    _replace(database, "_REPEATED", lambda sql: f"{sql} AND 0")


@_bug("timers use the clock that can be set", "clock")
def let_timers_go_by_the_clock() -> None:
    from twisted_chat import clock

    _replace(clock, "keep_steady", lambda _: lambda reactor: None)


@_bug("messages that a slow member does not read are kept for it in memory", "slow")
def ignore_backpressure() -> None:
    from twisted_chat.session import Session

    _replace(Session, "pauseProducing", lambda _: lambda session: None)


@_bug("an ack does not wait until its commit is on disk", "database-killed")
def commit_later() -> None:
    _set_commit("off")


@_bug("an ack does not wait for the standbys", "primary-stale")
def commit_here() -> None:
    _set_commit("local")


def _set_commit(how: str) -> None:
    """Set `synchronous_commit` for all connections to PostgreSQL."""
    import asyncpg

    def lax(connect: Any) -> Any:
        return lambda host, server_settings: connect(
            host, server_settings={**server_settings, "synchronous_commit": how}
        )

    _replace(asyncpg, "connect", lax)


@_bug("a lost notification is not found by the numbers", "server-killed", "server-stopped")
def trust_notifications() -> None:
    from twisted_chat.stores.postgresql.database import Database
    from twisted_chat.stores.postgresql.log import PostgreSQLLog

    async def look_at_nothing(log: Any, connection: Any) -> None:
        log._listens_on = connection

    _replace(PostgreSQLLog, "_check", lambda _: look_at_nothing)
    _replace(Database, "_notified", lambda hear: lambda *args: random.random() < 0.2 or hear(*args))


@_bug("a turn that is attempted again has other ids", "server-cut", "database-killed")
def attempt_with_other_ids() -> None:
    from twisted_chat.stores.postgresql import log

    lane_at, ids_at = 0, 8  # among the arguments of `append`

    def forgetful(fetch: Any) -> Any:
        def make_work(sql: str, *args: Any) -> Any:
            attempts: list[None] = []

            async def work(connection: Any) -> Any:
                changed = list(args)
                if sql is log._APPEND:
                    if attempts:
                        changed[lane_at] = str(uuid.uuid4())
                        changed[ids_at] = [id and id + "x" * len(attempts) for id in args[ids_at]]
                    attempts.append(None)
                return await fetch(sql, *changed)(connection)

            return work

        return make_work

    _replace(log, "fetch", forgetful)


def main() -> int:
    """Try all bugs; returns 1 where one was not found."""
    options = _options().parse_args()
    missed = 0
    for what in BUGS:
        found = [_look(what, fault, options) for fault in options.only or FAULTS[what]]
        missed += not any(found)
        print(f"{what}: {'; '.join(filter(None, found)) or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.sabotage", description="Are deliberate bugs found?")
    parser.add_argument(
        "--rounds", type=int, default=10, metavar="N", help="rounds in which a bug has to be found [10]"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="look with these faults alone")
    parser.add_argument("--seed", default="1", help="that of the rounds [1]")
    return parser


def _look(what: str, fault: str, options: argparse.Namespace) -> str:
    """Run a fault with a bug until it finds something; returns what, or an empty text."""
    from .cluster import failover, one  # the servers need none of this

    program = ["tests.faults"]
    if fault in one.FAULTS:
        program = ["tests.faults.cluster"]
    elif fault in failover.FAULTS:
        program = ["tests.faults.cluster", "--patroni"]
    command = [sys.executable, "-m", *program, "--only", fault]
    command += ["--rounds", str(options.rounds), "--seed", options.seed]
    environment = {**os.environ, SABOTAGE: what}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout
        lines = iter(runner.stdout)
        for line in lines:
            if " BROKEN " in line:
                evidence = next(lines).strip()
                runner.terminate() if "--patroni" not in program else runner.kill()  # its sandbox ends with it
                runner.communicate()
                return f"{fault}, round {line.split()[0]}: {evidence}"
    return ""


if __name__ == "__main__":
    sys.exit(main())

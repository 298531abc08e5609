"""Estimate what many machines carry, from what was measured on one: the figures on paper of docs/scaling.md.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --members 100000 --users 1000000

Nothing is measured here. `Costs` has all that was measured, with its source, and `Use` what is assumed of people. A
room is simulated message by message; the rest is arithmetic.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from twisted_chat.commands.table import table
from twisted_chat.room.appending import MESSAGES_A_TURN

from .model import BUSY
from .report import number_text

MICRO: Final = 1e-6


@dataclass(frozen=True)
class Costs:
    """What was measured. Processor time is in seconds of one processor."""

    message: float = 30 * MICRO
    """Of a server, for each message that arrives among others: to read, check and ack it (docs/performance.md, *Where
    it is slow*, many rooms)."""
    send: float = 6.69 * MICRO
    """Of a server, for each member to which a turn is written (docs/performance.md, B)."""
    more: float = 0.12 * MICRO
    """For each further message of the same turn to the same member (docs/performance.md, G)."""
    turn: float = 340 * MICRO
    """Of a server, for each turn that it appends (`benchmarks.cluster`, turns)."""
    read_turn: float = 280 * MICRO
    """Of a server, for each turn of another server that it reads (the same, a server that follows)."""
    read_message: float = 2 * MICRO
    """Of a server, for each message of such a turn."""
    told: float = 20 * MICRO
    """Of a server, for each turn that it hears of and does not read: so little that it is within the noise of the same
    (a server that listens)."""
    database_turn: float = 600 * MICRO
    """Of PostgreSQL, for each turn (the same, beside nothing)."""
    database_message: float = 12 * MICRO
    """Of PostgreSQL, for each message of a turn."""
    database_read: float = 250 * MICRO
    """Of PostgreSQL, for each turn and each other server that reads it (the same, a server that follows)."""
    database_told: float = 20 * MICRO
    """Of PostgreSQL, for each turn and each other server that hears of it: within the noise, too."""
    join: float = 600 * MICRO
    """Of a server, for each member that connects and joins (the same, servers)."""
    join_told: float = 50 * MICRO
    """Of each other server, which counts the members (the same: two servers against one)."""
    database_join: float = 200 * MICRO
    """Of PostgreSQL, for each member that connects and joins (the same)."""
    commit: float = 5e-3
    """Seconds of a turn until its commit is on two disks, apart from the work (the same, a standby)."""
    at_once: int = 4
    """Turns of a server that are on their way at the same time (`APPENDERS` in stores/postgresql/database.py)."""
    wal: float = 540.0
    """Bytes of a message in PostgreSQL's log, which each standby receives (the same)."""
    row: float = 350.0
    """Bytes of a message in PostgreSQL's tables and indexes (`benchmarks.database_size`: 230 with a text of 31
    characters and an id of 16; here they have 100 and 36)."""
    relay: float = 216 * MICRO
    """Of a relay, for each message that it passes on. Not measured: it is a client in Python, which does about as much
    as a server with a message that arrives alone (docs/performance.md, A)."""
    connections: int = 15_000
    """Connections of one server (docs/performance.md, crowd)."""
    memory: float = 3_451.0 + 8_000.0
    """Bytes of a connection: those of the server (docs/performance.md, C), and 8 kB that are assumed for the kernel."""
    line: float = 160.0 + 66.0
    """Bytes of a message on the wire: a text of 100 characters as JSON, and the headers of TCP, IP and Ethernet."""


MEASURED: Final = Costs()


# A room of a million


@dataclass(frozen=True)
class Stage:
    """Something that takes all messages that have arrived, up to a number, as one turn, and then the next ones."""

    name: str
    turn: float
    """Seconds of a turn, apart from the rest."""
    message: float = 0.0
    """Further seconds for each message of the turn."""
    members: int = 0
    """Members to which the turn is written."""
    away: float = 0.0
    """Seconds until the result is at the next stage, while others can begin."""

    def seconds(self, messages: int, costs: Costs) -> float:
        """Return the time of a turn of so many messages."""
        writing = self.members * (costs.send + costs.more * (messages - 1))
        return self.turn + self.message * messages + writing

    def run(self, arrivals: Sequence[float], costs: Costs) -> tuple[list[float], float]:
        """Return when each message leaves, and the time that was spent in turns."""
        leaving: list[float] = []
        free = busy = 0.0
        while len(leaving) < len(arrivals):
            first = len(leaving)
            start = max(free, arrivals[first])
            last = first
            while last < len(arrivals) and arrivals[last] <= start and last - first < MESSAGES_A_TURN:
                last += 1
            took = self.seconds(last - first, costs)
            free, busy = start + took, busy + took
            leaving += [free + self.away] * (last - first)
        return leaving, busy


@dataclass(frozen=True)
class Path:
    """The way of a message to all members of a large room."""

    name: str
    stages: tuple[Stage, ...]
    servers: int
    """Processes with members, each with a processor."""
    database: float = 0.0
    """Seconds of PostgreSQL for each turn of the first stage, beside its messages."""


@dataclass(frozen=True)
class Outcome:
    """What a path does with so many messages/s."""

    rate: float
    p50: float
    p99: float
    """Seconds from a message until the last member has it."""
    busiest: float
    """The part of the time that the busiest stage is in a turn."""
    keeps_up: bool


JOINING: Final = 600.0
"""Seconds in which all members of a large room join, as for an event that begins at a certain time."""

HOP: Final = 0.5e-3
"""Seconds from one machine to another one in the same place."""

FAR: Final = 50e-3
"""Seconds from one region to another one."""


def one_database(members: int, costs: Costs = MEASURED) -> Path:
    """Return the path in a room whose servers share one database: each of them reads every turn."""
    servers = ceil(members / costs.connections)
    database = costs.database_turn + servers * (costs.database_read + costs.database_told)
    stages = (
        Stage("append", costs.turn + costs.commit + costs.database_turn, costs.message + costs.database_message),
        Stage("read and fan out", costs.read_turn + 2 * HOP, costs.read_message, members=ceil(members / servers)),
    )
    return Path("one database", stages, servers, database)


def rooms_of_rooms(members: int, costs: Costs = MEASURED, leaf: int | None = None) -> Path:
    """Return the path through a room of relays: each of these is a member of it, and speaks in a room of its own.

    Each room of people is on a server of its own, with its log in a file.
    """
    leaf = leaf or costs.connections
    leaves = ceil(members / leaf)
    stages = (
        Stage("append to the room of relays", costs.turn, costs.message, leaves, away=FAR),
        Stage("relay", 0.0, costs.relay, away=HOP),
        Stage("append to a room of people and fan out", costs.turn, costs.message, ceil(members / leaves)),
    )
    return Path(f"rooms of {leaf:,}", stages, leaves + 1)


def simulate(path: Path, rate: float, costs: Costs = MEASURED, messages: int = 1_000) -> Outcome:
    """Send messages at even distances along a path."""
    said = [number / rate for number in range(messages)]
    arrivals, busiest = said, 0.0
    for stage in path.stages:
        leaving, busy = stage.run(arrivals, costs)
        elapsed = leaving[-1] - stage.away - arrivals[0]
        busiest = max(busiest, busy / elapsed)
        arrivals = leaving
    waits = sorted(heard - at for heard, at in zip(arrivals, said, strict=True))
    # What keeps up is as late at the end as in the middle; of what does not, the end is twice as late.
    keeps_up = arrivals[-1] - said[-1] <= 1.5 * (arrivals[messages // 2] - said[messages // 2]) + 1 / rate
    return Outcome(rate, waits[messages // 2], waits[messages * 99 // 100], busiest, keeps_up)


def database_busy(path: Path, rate: float, costs: Costs = MEASURED) -> float:
    """Return the processors of PostgreSQL that a room needs, if each message is a turn of its own."""
    return rate * (path.database + costs.database_message) if path.database else 0.0


# Ten million users


@dataclass(frozen=True)
class Use:
    """What people do at the busiest time. All of it is assumed."""

    users: int = 10_000_000
    """All are connected at the same time."""
    rooms: int = 10
    """Rooms that each is in."""
    members: int = 20
    """Members of a room."""
    a_minute: float = 0.5
    """Messages of each in a minute."""
    busy_hours: float = 4.0
    """Hours of a day in which so much is said; at other times, nothing is."""
    far: float = 0.02
    """The part of the rooms with members in other regions, which relays connect."""
    regions: tuple[tuple[str, float], ...] = (("Americas", 0.35), ("Europe", 0.3), ("Asia", 0.35))
    """The regions, with the part of the users that each has."""
    processors: int = 16
    """Of a machine."""
    network: float = 10e9 / 8
    """Bytes/s of a machine."""
    memory: float = 64e9
    """Bytes of memory of a machine."""


ASSUMED: Final = Use()


@dataclass(frozen=True)
class Cell:
    """A database with its servers, and the users of these. Whole organisations are in one, so that rooms are, too."""

    servers: int
    use: Use
    costs: Costs = MEASURED
    together: bool = False
    """True if all members of a room are at one server; otherwise they are anywhere."""

    @property
    def users(self) -> int:
        return self.servers * self.costs.connections

    @property
    def messages(self) -> float:
        """Messages/s."""
        return self.users * self.use.a_minute / 60

    @property
    def a_turn(self) -> float:
        """Messages that a server appends in one turn: what arrives until one of those under way is committed."""
        return max(1.0, self.messages / self.servers * self.costs.commit / self.costs.at_once)

    @property
    def turns(self) -> float:
        """Turns/s of all servers together."""
        return self.messages / self.a_turn

    @property
    def readers(self) -> float:
        """The number of other servers with members of a room."""
        if self.together:
            return 0.0
        others = self.servers - 1
        return others * (1 - (1 - 1 / self.servers) ** (self.use.members - 1))

    @property
    def reads(self) -> float:
        """Turns/s that are read, of all servers together. A server that has no member in their rooms is only told."""
        return self.turns * min(self.servers - 1, self.readers * self.a_turn)

    @property
    def told(self) -> float:
        """Turns/s that servers are told, all together."""
        return self.turns * (self.servers - 1)

    @property
    def database(self) -> float:
        """Processors that PostgreSQL needs."""
        costs = self.costs
        appended = self.turns * costs.database_turn + self.messages * costs.database_message
        return appended + self.reads * costs.database_read + self.told * costs.database_told

    @property
    def server(self) -> float:
        """The part of its processor that each server needs."""
        costs = self.costs
        appended = self.turns * costs.turn + self.messages * costs.message
        heard = self.reads * costs.read_turn + self.messages * self.readers * costs.read_message
        return (appended + heard + self.told * costs.told + self.deliveries * costs.send) / self.servers

    @property
    def deliveries(self) -> float:
        """Deliveries/s."""
        return self.messages * (self.use.members - 1)

    @property
    def fits(self) -> bool:
        """True if its database and its servers have a reserve."""
        return self.database <= BUSY * self.use.processors and self.server <= BUSY


def largest_cell(use: Use, together: bool, costs: Costs = MEASURED) -> Cell:
    """Return the cell with the most servers."""
    cell = Cell(1, use, costs, together)
    while (larger := replace(cell, servers=cell.servers + 1)).fits:
        cell = larger
    return cell


@dataclass(frozen=True)
class Fleet:
    """All cells of all regions."""

    cell: Cell

    @property
    def cells(self) -> dict[str, int]:
        """The number of cells of each region."""
        use = self.cell.use
        return {region: ceil(use.users * part / self.cell.users) for region, part in use.regions}

    @property
    def server_machines(self) -> int:
        """Machines for servers, by what they need most of: processors, memory, or the network."""
        use, cell = self.cell.use, self.cell
        servers = cell.servers * sum(self.cells.values())
        a_machine = min(
            use.processors,
            int(use.memory / (cell.costs.connections * cell.costs.memory)),
            int(BUSY * use.network / (cell.deliveries * cell.costs.line / cell.servers)),
        )
        return ceil(servers / a_machine)

    @property
    def database_machines(self) -> int:
        """Machines for PostgreSQL: one that takes writes and two standbys for each cell."""
        return 3 * sum(self.cells.values())

    @property
    def messages(self) -> float:
        """Messages/s of all users."""
        return self.cell.use.users * self.cell.use.a_minute / 60

    @property
    def to_users(self) -> float:
        """Bytes/s to all users."""
        return self.messages * (self.cell.use.members - 1) * self.cell.costs.line

    @property
    def far_bytes(self) -> float:
        """Bytes/s that relays send between regions: each message of such a room goes to all others."""
        use = self.cell.use
        return self.messages * use.far * (len(use.regions) - 1) * self.cell.costs.line

    @property
    def disk(self) -> float:
        """Bytes of a day on each disk of a cell."""
        return self.cell.messages * self.cell.costs.row * self.cell.use.busy_hours * 3_600


# The program


def room_lines(members: int, rates: Sequence[float], costs: Costs = MEASURED) -> Iterator[str]:
    """Yield the tables about a large room."""
    yield f"A room of {members:,}"
    rows = []
    paths = one_database(members, costs), *(rooms_of_rooms(members, costs, leaf) for leaf in (15_000, 5_000, 1_000))
    for path in paths:
        for rate in rates:
            outcome = simulate(path, rate, costs)
            rows.append(
                [
                    path.name,
                    f"{rate:g}",
                    f"{path.servers:,}",
                    _milliseconds(outcome.p50, outcome.keeps_up),
                    _milliseconds(outcome.p99, outcome.keeps_up),
                    f"{outcome.busiest:.0%}",
                    f"{database_busy(path, rate, costs):.2f}" if path.database else "",
                    number_text(members * rate * costs.line * 8 / 1e9),
                ]
            )
    heads = ["way", "messages/s", "processors", "p50, ms", "p99, ms", "busiest", "PostgreSQL", "Gbit/s"]
    yield from table(heads, rows)
    server, database = joining(members, JOINING, costs)
    yield (
        f"If all join one database within {JOINING / 60:g} minutes, each server is {server:.0%} busy with that, and "
        f"PostgreSQL needs {database:.2f} processors."
    )


def joining(members: int, seconds: float, costs: Costs = MEASURED) -> tuple[float, float]:
    """Return the part of each server's processor, and the processors of PostgreSQL, while all members join."""
    servers = one_database(members, costs).servers
    rate = members / seconds
    own = costs.join / servers + costs.join_told * (servers - 1) / servers
    return rate * own, rate * costs.database_join


def _milliseconds(seconds: float, keeps_up: bool) -> str:
    return number_text(seconds * 1e3) if keeps_up else "grows"


def user_lines(use: Use, costs: Costs = MEASURED) -> Iterator[str]:
    """Yield the table about many users."""
    yield f"{use.users:,} users"
    fleets = [Fleet(largest_cell(use, together, costs)) for together in (False, True)]
    yield from table(
        ["", "members anywhere", "a room at one server"],
        [[what, *(show(fleet) for fleet in fleets)] for what, show in _USERS],
    )


_USERS: Final[tuple[tuple[str, Callable[[Fleet], str]], ...]] = (
    ("messages/s", lambda fleet: number_text(fleet.messages)),
    ("deliveries/s", lambda fleet: number_text(fleet.messages * (fleet.cell.use.members - 1))),
    ("servers of a cell", lambda fleet: f"{fleet.cell.servers:,}"),
    ("users of a cell", lambda fleet: f"{fleet.cell.users:,}"),
    ("messages/s of a cell", lambda fleet: number_text(fleet.cell.messages)),
    ("turns/s that are read", lambda fleet: number_text(fleet.cell.reads)),
    ("turns/s that are told", lambda fleet: number_text(fleet.cell.told)),
    ("PostgreSQL, processors", lambda fleet: number_text(fleet.cell.database)),
    ("a server, busy", lambda fleet: f"{fleet.cell.server:.0%}"),
    ("cells", lambda fleet: ", ".join(f"{count} {region}" for region, count in fleet.cells.items())),
    ("machines for servers", lambda fleet: f"{fleet.server_machines:,}"),
    ("machines for PostgreSQL", lambda fleet: f"{fleet.database_machines:,}"),
    ("to users, Gbit/s", lambda fleet: number_text(fleet.to_users * 8 / 1e9)),
    ("to each standby, MB/s", lambda fleet: number_text(fleet.cell.messages * fleet.cell.costs.wal / 1e6)),
    ("between regions, Mbit/s", lambda fleet: number_text(fleet.far_bytes * 8 / 1e6)),
    ("disk of a cell, GB/day", lambda fleet: number_text(fleet.disk / 1e9)),
)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=1_000_000, help="of one room [%(default)s]")
    parser.add_argument("--users", type=int, default=ASSUMED.users, help="in all regions [%(default)s]")
    options = parser.parse_args(arguments)
    use = replace(ASSUMED, users=options.users)
    print("\n".join([*room_lines(options.members, (1, 5, 20, 100)), "", *user_lines(use)]))


if __name__ == "__main__":
    main(sys.argv[1:])

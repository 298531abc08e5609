"""One round: several servers, their people, and the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from ..history import History
from ..people import Person
from ..scene import Scene
from ..server import OPTIONS, Server
from ..wire import Address

SERVERS: Final = 3
ROOMS: Final = 3

TALKERS: Final = 3
READERS: Final = 3
"""People at each server. One of its readers is in all rooms."""

WINDOW: Final = 20
"""Messages that a person has in flight at most."""

PAUSE: Final = 0.05
"""The longest pause (seconds) between two messages of a person: without pauses, the processor would be the limit."""

LOAD_SECONDS: Final = 2.0
"""Seconds of load before a fault, at most."""

PATIENCE: Final = 4.0
"""Seconds of silence after which a person goes on at another server."""

RECOVERY_SECONDS: Final = 120.0
"""Seconds within which everybody has an ack again after a fault."""

AFTER: Final = 200
"""Messages that are acked when a fault is over."""

SERVER_OPTIONS: Final = (*OPTIONS, "--new-connections", "0")
"""Options without the limit that everybody would reach who changes the server at the same moment."""


class System(Protocol):
    """The database and the links to it."""

    def url(self, server: int, database: str) -> str:
        """Return the URL of a database, as the server with this number names it."""

    def wrapper(self, server: int) -> Sequence[str]:
        """Return the command that runs another one on the machine of a server."""

    def options(self, server: int) -> Sequence[str]:
        """Return further options of a server."""

    async def ready(self) -> None:
        """Wait until the database is whole."""

    async def execute(self, sql: str) -> None:
        """Execute a statement."""

    async def cut(self, server: int) -> None:
        """Cut a server off from the database: no byte arrives any more, and nobody hears of it."""

    async def mend(self, server: int) -> None:
        """Restore its link."""


class Route:
    """The servers that a person knows, as the function that says where to connect next."""

    def __init__(self, servers: Sequence[Server], first: int, is_browser: bool) -> None:
        self._servers = servers
        self._is_browser = is_browser
        self._next = first
        self.at = first
        """The number of the server to which it connected last."""

    def __call__(self) -> Address:
        self.at = self._next
        self._next = (self._next + 1) % len(self._servers)
        server = self._servers[self.at]
        return server.web if self._is_browser else server.address


class Outage:
    """The longest time without an ack, from its beginning on, of each of some people."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._now = asyncio.get_running_loop().time
        begin = self._now()
        self._last = dict.fromkeys(people, begin)
        self._longest = dict.fromkeys(self._last, 0.0)
        self._late = {person: person.count for person in self._last}
        """The people without an ack for what they have said since, with the number of messages that they had said."""
        for person in self._last:
            person.on_ack = self._note(person)

    def _note(self, person: Person) -> Any:
        def acked(count: int) -> None:
            now = self._now()
            self._longest[person] = max(self._longest[person], now - self._last[person])
            self._last[person] = now
            if count > self._late.get(person, count):
                del self._late[person]

        return acked

    def is_over(self) -> bool:
        """True if everybody has an ack for a message that was said after the beginning."""
        return not self._late

    def is_over_for(self, person: Person) -> bool:
        """True if this person has such an ack."""
        return person not in self._late

    def seconds(self) -> list[float]:
        return list(self._longest.values())


class ClusterScene(Scene):
    """The servers and the people of a round."""

    def __init__(self, folder: Path, random: Random, system: System, database: str, is_long: bool) -> None:
        super().__init__(folder, random)
        self.system = system
        self.database = database
        self.is_long = is_long
        """True if a fault may take longer than the servers' patience, which is ten seconds."""
        self.servers = [self._make_server(number) for number in range(SERVERS)]
        self.outages: list[Outage] = []
        self._routes: dict[Person, Route] = {}

    def _make_server(self, number: int) -> Server:
        folder = self.folder / f"server{number}"
        folder.mkdir()
        system = self.system
        options = *SERVER_OPTIONS, *system.options(number)
        return Server(folder, url=system.url(number, self.database), wrapper=system.wrapper(number), options=options)

    async def open(self) -> None:
        """Make the database, start the servers, and connect the people."""
        await self.system.ready()
        await self.system.execute(f"CREATE DATABASE {self.database} ENCODING 'UTF8' TEMPLATE template0")
        await self.system.execute(f"REVOKE CONNECT ON DATABASE {self.database} FROM PUBLIC")
        await asyncio.gather(*(server.start() for server in self.servers))
        rooms = self.rooms(ROOMS)
        for at in range(SERVERS):
            for number in range(TALKERS):
                self.arrive(f"sender{at}-{number}", self._some(rooms), at, window=self.random.randint(1, WINDOW))
            for number in range(READERS):
                since = self.random.choice((None, 0))
                self.arrive(f"reader{at}-{number}", self._some(rooms) if number else rooms, at, since=since)
        await self.until_all_are_in()

    def _some(self, rooms: list[History]) -> list[History]:
        return self.random.sample(rooms, self.random.randint(1, len(rooms)))

    def arrive(self, nick: str, rooms: list[History], at: int, stays: bool = False, **how: Any) -> Person:
        """Connect a person to a server. It goes on at the next one when this does not answer, unless it `stays`."""
        browser = self.chooses_browser()
        route = Route([self.servers[at]], 0, browser) if stays else Route(self.servers, at, browser)
        how |= {"browser": browser, "pause": PAUSE, "patience": PATIENCE, "token": f"the token of {nick}"}
        person = self.come(nick, rooms, route, **how)
        self._routes[person] = route
        return person

    def talkers(self, at: int | None = None) -> list[Person]:
        """Return the people that talk: all, or those at a server."""
        return [person for person in self.people if person.window and (at is None or self.is_at(person, at))]

    def is_at(self, person: Person, at: int) -> bool:
        """True if the last connection of a person was to this server."""
        return self._routes[person].at == at

    async def load(self) -> None:
        """Let everybody talk for a random time."""
        self.talk()
        await self.until_said(AFTER)
        await asyncio.sleep(self.random.random() * LOAD_SECONDS)

    def begin_outage(self, people: Iterable[Person] | None = None) -> Outage:
        """Begin to measure how long people have no ack: some, or all that talk."""
        outage = Outage(self.talkers() if people is None else people)
        self.outages.append(outage)
        return outage

    async def until_over(self, outage: Outage) -> None:
        """Wait until everybody has an ack again."""
        await self.until(outage.is_over, "everybody has an ack again", RECOVERY_SECONDS)

    async def break_for(self, seconds: float, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Break something under load, mend it after some time, and check everything. Both functions may block."""
        await self.load()
        outage = self.begin_outage()
        await asyncio.to_thread(begin)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(end)
        await self.until_over(outage)
        await self.finish()

    async def finish(self) -> None:
        """Let everybody talk after a fault, and check everything against the log, as each server shows it."""
        await self.until(self.all_are_in, "everybody is in the rooms", RECOVERY_SECONDS)
        await self.until_said(AFTER)
        await self.judge()

    async def judge(self) -> None:
        auditors = {
            (name, at): self.arrive(f"auditor{at}-of-{name}", [history], at, stays=True, since=0)
            for name, history in self.histories.items()
            for at in range(SERVERS)
        }
        await self.settle()
        for name, history in self.histories.items():
            history.check(auditors[name, 0].readings[name])

    def seconds(self) -> list[float]:
        """Return the longest times without an ack of all people in all outages."""
        return [seconds for outage in self.outages for seconds in outage.seconds()]

    async def close(self) -> None:
        """Disconnect all people, stop the servers, and drop the database."""
        await super().close()
        for server in self.servers:
            await server.kill()
        with suppress(Exception):
            async with asyncio.timeout(RECOVERY_SECONDS):
                await self.system.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")

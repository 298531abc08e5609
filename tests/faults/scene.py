"""One round: a server, its clients, what happens to them, and the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

from ..deadlines import WAIT_SECONDS
from .history import History
from .people import Person
from .server import Server
from .wire import Address

SETTLE_SECONDS: Final = 30.0
"""Seconds after which a message that has not arrived counts as lost."""

POLL_SECONDS: Final = 0.01


_Where = Callable[[], Address]


class Stuck(Exception):
    """Something did not happen in time. The text says what."""


class Scene:
    """The server and the people of a round, with a folder and a random generator of its own."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.folder = folder
        self.random = random
        self.server = Server(folder)
        self.histories: dict[str, History] = {}
        self.people: list[Person] = []
        self.broken: list[str] = []
        """Broken promises that no history finds."""
        self._lives: set[asyncio.Task[None]] = set()

    def where(self) -> Address:
        return self.server.address

    def where_web(self) -> Address:
        return self.server.web

    def chooses_browser(self) -> bool:
        """Draw whether a person speaks over a WebSocket: one in two does."""
        return self.random.random() < 0.5

    def rooms(self, count: int) -> list[History]:
        """Return this number of rooms."""
        names = [f"room{number}" for number in range(1, count + 1)]
        return [self.histories.setdefault(name, History(name)) for name in names]

    def come(self, nick: str, rooms: Iterable[History], where: _Where | None = None, **how: Any) -> Person:
        """Connect a person; see `Person` for `how`."""
        where = where or (self.where_web if how.get("browser") else self.where)
        person = Person(nick, list(rooms), where, Random(self.random.random()), **how)
        self.people.append(person)
        life = asyncio.get_running_loop().create_task(person.live())
        self._lives.add(life)
        life.add_done_callback(self._ended)
        return person

    def _ended(self, life: asyncio.Task[None]) -> None:
        self._lives.discard(life)
        if not life.cancelled() and (error := life.exception()) is not None:
            self.broken.append(f"the test itself failed: {error!r}")

    def crowd(self, senders: int, readers: int, rooms: int, where: _Where | None = None, **how: Any) -> None:
        """Connect a crowd, over TCP and from browsers.

        Each person joins some of the rooms, and each room has a person who only listens.
        """
        all_rooms = self.rooms(rooms)
        for number in range(senders):
            some = self.random.sample(all_rooms, self.random.randint(1, rooms))
            self.come(
                f"sender{number}", some, where, window=self.random.randint(1, 20), browser=self.chooses_browser(), **how
            )
        for number in range(readers):
            some = all_rooms if number == 0 else self.random.sample(all_rooms, self.random.randint(1, rooms))
            self.come(
                f"reader{number}",
                some,
                where,
                since=self.random.choice((None, 0)),
                browser=self.chooses_browser(),
                **how,
            )

    def talk(self) -> None:
        """Start the talk of all people with a window."""
        for person in self.people:
            person.is_talking = True
            person.talk()

    def be_quiet(self) -> None:
        for person in self.people:
            person.is_talking = False

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait for a condition; raise `Stuck` if it does not come true in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not condition():
            if loop.time() > end:
                raise Stuck(f"within {seconds:g} seconds this did not happen: {what}")
            await asyncio.sleep(POLL_SECONDS)

    async def until_said(self, count: int) -> None:
        """Wait until this number of further messages has been acked."""
        before = self.acked()
        await self.until(lambda: self.acked() >= before + count, f"{count} more messages were acked")

    def all_are_in(self) -> bool:
        return all(person.is_in() for person in self.people)

    async def until_all_are_in(self) -> None:
        await self.until(self.all_are_in, "everybody is in the rooms")

    def said(self) -> int:
        return sum(len(history.said) for history in self.histories.values())

    def refusals(self) -> int:
        """Return the number of `unavailable` errors that people received."""
        return sum(person.refusals for person in self.people)

    def acked(self) -> int:
        return sum(len(history.acked) for history in self.histories.values())

    async def settle(self) -> None:
        """Stop all talk, and wait until everything is acked and delivered, or until there is no more progress."""
        self.be_quiet()
        done = -1
        while done < (done := self._progress()) and not self._all_have_all():
            with suppress(Stuck):
                await self.until(self._all_have_all, "everybody has everything", SETTLE_SECONDS)
        if not self._all_have_all():
            self.broken.append(
                f"there was no progress for {SETTLE_SECONDS:g} seconds, and not everybody has everything"
            )
            self.broken += [_unfinished(person) for person in self.people if not person.has_all()]

    def _progress(self) -> int:
        return self.acked() + sum(len(reading.seqs) for person in self.people for reading in person.readings.values())

    def _all_have_all(self) -> bool:
        return all(person.has_all() for person in self.people)

    async def judge(self) -> None:
        """Wait until everybody has caught up, and check everything against the log."""
        auditors = {
            name: self.come(f"auditor-of-{name}", [history], since=0) for name, history in self.histories.items()
        }
        await self.settle()
        for name, auditor in auditors.items():
            self.histories[name].check(auditor.readings[name])

    def evidence(self) -> list[str]:
        """Return the evidence of all broken promises."""
        return [*self.broken, *(line for history in self.histories.values() for line in history.broken)]

    async def close(self) -> None:
        """Disconnect all people, and stop the server."""
        for life in self._lives:
            life.cancel()
        if self._lives:
            _, alive = await asyncio.wait(self._lives, timeout=SETTLE_SECONDS)
            self.broken += [f"the test itself failed: a person did not end: {life!r}" for life in alive]
        await self.server.kill()


def _unfinished(person: Person) -> str:
    places = {name: (reading.place, reading.history.head) for name, reading in person.readings.items()}
    return (
        f"{person.nick}: cursor and newest {places}, in all rooms: {person.is_in()}, "
        f"{len(person.unacked)} not acked: {sorted(person.unacked)[:5]}"
    )

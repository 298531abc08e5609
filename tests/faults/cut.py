"""Connections break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .people import Person
from .relay import Cut, Relay
from .scene import Scene

_Place = tuple[str, bool, bytes, int]

OF_ANYBODY: Final[tuple[_Place, ...]] = (
    ("before the hello", True, b"{", 1),
    ("inside the hello", True, b'"nick"', 1),
    ("before the welcome", False, b"{", 1),
    ("inside the welcome", False, b'"limits"', 1),
    ("inside the join", True, b'"room"', 1),
    ("before the joined", False, b'"joined"', 1),
    ("at the beginning of a replay", False, b'"seq":', 2),
    ("inside a replay", False, b'"seq":', 30),
    ("among live messages of others", False, b'"author"', 100),
)
"""The point in the life of a connection, the direction in which it breaks, and the bytes that mark this point."""

OF_WHO_TALKS: Final[tuple[_Place, ...]] = (
    ("inside a message", True, b'"msg"', 5),
    ("between a message and its line end", True, b"\n", 12),
    ("before a message is kept", True, b'"msg"', 1),
    ("between an append and its ack", False, b'"ack"', 1),
    ("between two acks", False, b'"ack"', 5),
    ("inside an ack", False, b'"room":', 20),
)

WHEN_IT_IS_QUIET: Final[tuple[_Place, ...]] = (("during silence", True, b'"ping"', 1),)

AT_THE_END: Final[tuple[_Place, ...]] = (
    ("before the farewell", True, b'"quit"', 1),
    ("before the stop", False, b'"stop"', 1),
)

PATIENCE: Final = 1.0
"""Seconds of silence after which these clients give a connection up."""


class Cutter:
    """Breaks connections: those of some people at the same time, then those of others."""

    def __init__(self, scene: Scene, relay: Relay) -> None:
        self._scene = scene
        self._relay = relay

    async def cut(self, places: tuple[_Place, ...], who: list[Person], then: Callable[[Person], None]) -> None:
        """Break a new connection at each point, once by a reset and once by silence."""
        cuts = [Cut(*place, by_reset) for place in places for by_reset in (True, False)]
        self._scene.random.shuffle(cuts)
        while cuts:
            some, cuts = cuts[: len(who)], cuts[len(who) :]
            await self._cut(some, self._scene.random.sample(who, len(some)), then)

    async def _cut(self, cuts: list[Cut], people: list[Person], then: Callable[[Person], None]) -> None:
        done = len(self._relay.done) + len(cuts)

        def all_broke() -> bool:
            return len(self._relay.done) >= done

        self._relay.cuts = {person.nick: cut for person, cut in zip(people, cuts, strict=True)}
        for person in people:
            person.hang_up()
        await self._scene.until(lambda: all_broke() or self._scene.all_are_in(), "everybody is back")
        for person in people:
            then(person)
        await self._scene.until(all_broke, f"all connections broke, of {', '.join(cut.name for cut in cuts)}")
        await self._scene.until_all_are_in()


async def cut(scene: Scene) -> str:
    """Cut connections in every state, by a reset and by silence, while 8 clients talk and 20 listen in three rooms."""
    await scene.server.start("--memory", scene.random.choice("01"))
    relay = Relay(scene.where, scene.where_web)
    await relay.open()
    try:
        scene.crowd(8, 20, 3, lambda: relay.address, patience=PATIENCE)
        await scene.until_all_are_in()
        cutter = Cutter(scene, relay)
        everybody, talkers = scene.people[:], [person for person in scene.people if person.window]
        scene.talk()
        await cutter.cut(OF_ANYBODY, everybody, _go_on)
        await cutter.cut(OF_WHO_TALKS, talkers, _go_on)
        await cutter.cut(AT_THE_END, talkers, Person.quit)
        scene.be_quiet()
        await cutter.cut(WHEN_IT_IS_QUIET, everybody, _go_on)
        await scene.judge()
    finally:
        await relay.close()
    return f"{len(relay.done)} connections cut"


def _go_on(person: Person) -> None:
    """Do nothing, because the connection reaches this point by itself."""

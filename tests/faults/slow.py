"""Members that do not read, or hardly, and one that reads all there is: nobody else notices, and they get it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, NamedTuple

from .people import Person
from .scene import Scene
from .wire import Line

SIZE: Final = 1000
"""Bytes of a message."""

TICK_SECONDS: Final = 0.01

TAKEN: Final = 0.05
"""The part of the load that goes by before memory is looked at."""

GROWTH: Final = 2 * 2**20
"""Bytes by which the memory of the server may grow for a member that does not read."""

RECEIVE_BUFFER: Final = 2**14
"""Bytes that the kernel keeps for a slow member: what it does not read is the server's business soon."""

SIP: Final = 1000
"""Bytes/s that a member reads that hardly reads."""

EVERY: Final = 10
"""Of so many messages, the delay of one is looked at."""

CATCH_UP_SECONDS: Final = 300.0


class Delays:
    """How long messages took from one who said them to those who were shown them (s)."""

    def __init__(self) -> None:
        self._all: list[float] = []

    def note(self, line: Line) -> None:
        if line.seq % EVERY == 0:
            self._all.append(time.monotonic() - float(line.msg.split(" ", 2)[1]))

    def __str__(self) -> str:
        ordered = sorted(self._all)
        middle, high = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
        return f"p50 {middle:.1f} ms, p99 {high:.1f} ms"


class Load(NamedTuple):
    """What goes by."""

    messages: int
    """Messages."""
    rate: float
    """Messages/s."""
    members: int
    """Without the one who says it all."""


SMALL: Final = Load(6_000, 2000, 20)
LARGE: Final = Load(200_000, 1000, 50)


class Outcome(NamedTuple):
    """What a load has shown."""

    delays: Delays
    """Of those who read."""
    memory: int
    """The most that the server had, in bytes, after the beginning."""


def timed_text(random: Random, id: str, size: int = SIZE) -> str:
    """Make a text that tells when it was said."""
    return f"{id} {time.monotonic():.6f} ".ljust(size, "x")


async def say(person: Person, count: int, rate: float) -> None:
    """Let somebody say so many messages at an even pace (messages/s), whether they are acked in time or not."""
    begin, said = time.monotonic(), 0
    while said < count:
        due = min(count, int((time.monotonic() - begin) * rate))
        for _ in range(due - said):
            person.say()
        said = max(due, said)
        await asyncio.sleep(TICK_SECONDS)


async def _one_slow(scene: Scene, load: Load, be_slow: Callable[[Person], Awaitable[None]]) -> str:
    """Run a load with a member that is slow in some way, and the same load without it, and compare."""
    plain, _ = await _run(scene, "without", load, None)
    slow, took = await _run(scene, "with", load, be_slow)
    growth = slow.memory - plain.memory
    if growth >= GROWTH:
        scene.broken.append(f"the slow member took {growth / 2**20:.1f} MB of the server's memory")
    return (
        f"the others: {slow.delays}; without it: {plain.delays}; memory {slow.memory / 2**20:.1f} MB, "
        f"{growth / 2**20:+.1f} MB for it; it caught up in {took:.1f} s"
    )


async def _run(
    outer: Scene, name: str, load: Load, be_slow: Callable[[Person], Awaitable[None]] | None
) -> tuple[Outcome, float]:
    """Let a load go by with or without a slow member; returns what it shows, and how long that one took to catch up."""
    folder = outer.folder / name
    folder.mkdir()
    scene = Scene(folder, outer.random)
    try:
        await scene.server.start()
        (room,) = scene.rooms(1)
        outer.histories[name] = room
        delays = Delays()
        speaker = scene.come("speaker", [room], window=1, make_text=timed_text)
        slow = scene.come("slow", [room], receive_buffer=RECEIVE_BUFFER) if be_slow is not None else None
        for number in range(load.members - 1):
            scene.come(f"reader{number}", [room]).on_message = delays.note
        await scene.until_all_are_in()
        slowness = asyncio.ensure_future(be_slow(slow)) if be_slow is not None and slow is not None else None
        first = int(load.messages * TAKEN)
        await say(speaker, first, load.rate)
        memory = await _most_memory(scene, say(speaker, load.messages - first, load.rate))
        begin = time.monotonic()
        if slowness is not None and slow is not None:
            slowness.cancel()
            slow.go_on_reading()
            await scene.settle(CATCH_UP_SECONDS)
        took = time.monotonic() - begin
        await say(speaker, 10, load.rate)  # to see that all are live
        await scene.judge()
        outer.broken += scene.broken
        return Outcome(delays, memory), took
    finally:
        await scene.close()


async def _most_memory(scene: Scene, work: Awaitable[None]) -> int:
    """Look at the server's memory while something goes on; returns the most of it."""
    most = 0
    task = asyncio.ensure_future(work)
    while not task.done():
        most = max(most, scene.server.memory())
        await asyncio.wait([task], timeout=10 * TICK_SECONDS)
    await task
    return most


async def reads_nothing(person: Person) -> None:
    person.stop_reading()


async def sips(person: Person) -> None:
    """Read a little each second."""
    person.is_reading = False
    while True:
        person.sip(SIP)
        await asyncio.sleep(1)


async def slow(scene: Scene) -> str:
    """Let 6 MB go by while one of 20 members reads nothing."""
    return await _one_slow(scene, SMALL, reads_nothing)


async def slow_200k(scene: Scene) -> str:
    """Let 200 MB go by while one of 50 members reads nothing."""
    return await _one_slow(scene, LARGE, reads_nothing)


async def slow_1kb(scene: Scene) -> str:
    """Let 200 MB go by while one of 50 members reads 1 kB/s."""
    return await _one_slow(scene, LARGE, sips)

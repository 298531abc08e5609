"""Members that read slowly or not at all, and one that replays a room: they miss nothing and delay nobody."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from random import Random
from typing import Final, NamedTuple

from .people import Person
from .scene import Scene
from .wire import Address, Line, read

SIZE: Final = 1000
"""Bytes of a message."""

TICK_SECONDS: Final = 0.01

TAKEN: Final = 0.05
"""The share of the load after which the memory is measured."""

GROWTH: Final = 2 * 2**20
"""Bytes by which the memory of the server may grow for a member that does not read."""

GROWTH_OF_ONE_IN_A_CROWD: Final = 2**17
"""Bytes by which it may grow for each of many such members: the buffer of a transport, and a session."""

RECEIVE_BUFFER: Final = 2**17
"""Bytes that the kernel buffers for a slow member: little, but two segments of the loopback, which would else stall."""

SIP: Final = 1000
"""Bytes/s that a very slow member reads."""

EVERY: Final = 10
"""The delay of one in this number of messages is measured."""

FILL_SECONDS: Final = 600.0

CROWD_SAYS: Final = 5000
"""Messages that pass while half of each room is slow: more in each than the kernel buffers for a connection."""

REPLAY_RATE: Final = 200
"""Messages/s that others send during a replay."""

FILLERS: Final = 4

FILLERS_WINDOW: Final = 400
"""The clients that fill a room, and the messages that each has in flight."""

HICCUP_SECONDS: Final = 6.0
"""Seconds for which nobody reads: more than the kernel can buffer."""

_Slowness = Callable[[Person], Awaitable[None]]


class Load(NamedTuple):
    """The messages that pass, and the members."""

    messages: int
    rate: float
    """Messages/s."""
    members: int
    """Members that listen, including the slow ones."""
    slow: int = 1


SMALL: Final = Load(12_000, 4000, 12)
LARGE: Final = Load(200_000, 1000, 50)
HICCUP: Final = Load(60_000, 1000, 49)
CROWD: Final = Load(6_000, 50, 1000, 500)


class Delays:
    """The delays of messages, from their author to their readers (seconds)."""

    def __init__(self, every: int = EVERY) -> None:
        self._every = every
        self._all: list[float] = []

    def note(self, line: Line) -> None:
        if line.seq % self._every == 0:
            self._all.append(time.monotonic() - float(line.msg.split(" ", 2)[1]))

    def __str__(self) -> str:
        ordered = sorted(self._all)
        if not ordered:
            return "none measured"
        middle, high = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
        return f"p50 {middle:.1f} ms, p99 {high:.1f} ms"


class Outcome(NamedTuple):
    """The result of a load."""

    delays: Delays
    """The delays of the members that read."""
    memory: int
    """The maximum of the server's memory, after the beginning (bytes)."""


def timed_text(random: Random, id: str, size: int = SIZE) -> str:
    """Make a text that contains the time at which it is sent."""
    return f"{id} {time.monotonic():.6f} ".ljust(size, "x")


async def say(person: Person, count: int, rate: float) -> None:
    """Send messages at an even rate (messages/s), whether they are acked in time or not."""
    begin, said = time.monotonic(), 0
    while said < count:
        due = min(count, int((time.monotonic() - begin) * rate))
        for _ in range(due - said):
            person.say()
        said = max(due, said)
        await asyncio.sleep(TICK_SECONDS)


async def _compare(scene: Scene, load: Load, be_slow: _Slowness) -> str:
    """Compare a load that has slow members with the same load without them."""
    plain, _ = await _run(scene, "without", load, None)
    slow, took = await _run(scene, "with", load, be_slow)
    growth = slow.memory - plain.memory
    bound = GROWTH if load.slow == 1 else load.slow * GROWTH_OF_ONE_IN_A_CROWD
    if growth >= bound:
        scene.broken.append(f"the slow members took {growth / 2**20:.1f} MB of the server's memory")
    return (
        f"the others: {slow.delays}; without: {plain.delays}; memory: {slow.memory / 2**20:.1f} MB, "
        f"{growth / 2**20:+.1f} MB for the slow members; all caught up in {took:.1f} s"
    )


async def _run(outer: Scene, name: str, load: Load, be_slow: _Slowness | None) -> tuple[Outcome, float]:
    """Run a load with or without slow members; return its outcome, and the seconds that they took to catch up."""
    folder = outer.folder / name
    folder.mkdir()
    scene = Scene(folder, outer.random)
    try:
        await scene.server.start()
        (room,) = scene.rooms(1)
        outer.histories[name] = room
        speaker = scene.come("speaker", [room], window=1, make_text=timed_text)
        delays = Delays()
        for number in range(load.members - load.slow):
            scene.come(f"reader{number}", [room], browser=scene.chooses_browser()).on_message = delays.note
        slow = [
            scene.come(f"slow{number}", [room], receive_buffer=RECEIVE_BUFFER, browser=scene.chooses_browser())
            for number in range(load.slow if be_slow is not None else 0)
        ]
        await scene.until_all_are_in()
        slowness = [asyncio.ensure_future(be_slow(person)) for person in slow if be_slow is not None]
        first = int(load.messages * TAKEN)
        await say(speaker, first, load.rate)
        memory = await _most_memory(scene, say(speaker, load.messages - first, load.rate))
        begin = time.monotonic()
        for person, life in zip(slow, slowness, strict=True):
            life.cancel()
            person.go_on_reading()
        await scene.settle()
        took = time.monotonic() - begin
        await say(speaker, 10, load.rate)  # all members have to be live
        await scene.judge()
        return Outcome(delays, memory), took
    finally:
        await scene.close()
        outer.broken += scene.broken


async def _most_memory(scene: Scene, work: Awaitable[None]) -> int:
    """Measure the server's memory until some work is done; return the maximum."""
    most = 0
    task = asyncio.ensure_future(work)
    while not task.done():
        most = max(most, scene.server.memory())
        await asyncio.wait([task], timeout=10 * TICK_SECONDS)
    await task
    return most


async def _reads_nothing(person: Person) -> None:
    person.stop_reading()


async def _sips(person: Person) -> None:
    """Read a little every second."""
    person.is_reading = False
    while True:
        person.sip(SIP)
        await asyncio.sleep(1)


async def _goes_away(person: Person) -> None:
    """Stop reading, and leave with or without a `quit`; reconnect, and repeat that."""
    while True:
        if person.is_in():
            person.stop_reading()
        await asyncio.sleep(person.random.random())
        if person.random.random() < 0.5:
            person.quit()
            await asyncio.sleep(TICK_SECONDS)
        person.hang_up()
        await asyncio.sleep(0.5 + person.random.random())


async def slow(scene: Scene) -> str:
    """Send 12 MB while one of 12 members reads nothing."""
    return await _compare(scene, SMALL, _reads_nothing)


async def slow_200k(scene: Scene) -> str:
    """Send 200 MB while one of 50 members reads nothing."""
    return await _compare(scene, LARGE, _reads_nothing)


async def slow_1kb(scene: Scene) -> str:
    """Send 200 MB while one of 50 members reads 1 kB/s."""
    return await _compare(scene, LARGE, _sips)


async def slow_500(scene: Scene) -> str:
    """Send 6 MB while 500 of 1,000 members read nothing."""
    return await _compare(scene, CROWD, _reads_nothing)


async def hiccup(scene: Scene) -> str:
    """All members of a room fall behind while messages keep coming; then they have to become live again."""
    await scene.server.start()
    (room,) = scene.rooms(1)
    speaker = scene.come("speaker", [room], window=1, make_text=timed_text)
    readers = [
        scene.come(f"reader{number}", [room], receive_buffer=RECEIVE_BUFFER, browser=scene.chooses_browser())
        for number in range(HICCUP.members)
    ]
    await scene.until_all_are_in()
    for reader in readers:
        reader.stop_reading()
    talking = asyncio.ensure_future(say(speaker, HICCUP.messages, HICCUP.rate))
    await asyncio.sleep(HICCUP_SECONDS)
    begin = time.monotonic()
    for reader in readers:
        reader.go_on_reading()
    try:
        await scene.until(
            lambda: all(len(reader.readings[room.room].seqs) > room.head - HICCUP.rate / 4 for reader in readers),
            "all are live again",
        )
        took = time.monotonic() - begin
    finally:
        talking.cancel()
    await scene.judge()
    return f"all {HICCUP.members} were live again after {took:.1f} s"


async def slow_all(scene: Scene) -> str:
    """Make half of the members of a room slow, each in its own way, while the others talk."""
    await scene.server.start()
    scene.crowd(4, 20, 2, make_text=timed_text)
    slow = [
        scene.come(
            f"slow{number}",
            scene.rooms(2),
            receive_buffer=RECEIVE_BUFFER,
            make_text=timed_text,
            window=talks,
            browser=scene.chooses_browser(),
        )
        for number, talks in enumerate([0] * 15 + [1] * 5)
    ]
    await scene.until_all_are_in()
    ways: list[_Slowness] = [_reads_nothing, _sips, _goes_away]
    slowness = [asyncio.ensure_future(scene.random.choice(ways)(person)) for person in slow]
    scene.talk()
    await scene.until_said(CROWD_SAYS)
    for person, life in zip(slow, slowness, strict=True):
        life.cancel()
        person.go_on_reading()
    await scene.judge()
    return f"{len(slow)} slow members"


async def replay(scene: Scene, count: int = 10_000) -> str:
    """A member replays a room from the beginning, while others talk."""
    await scene.server.start()
    (room,) = scene.rooms(1)
    for number in range(FILLERS):
        scene.come(f"filler{number}", [room], window=FILLERS_WINDOW, make_text=partial(timed_text, size=60))
    reader = scene.come("reader", [room])
    await scene.until_all_are_in()
    scene.talk()
    await scene.until(lambda: scene.acked() >= count, f"{count} messages are kept", FILL_SECONDS)
    await scene.settle()
    speaker = scene.come("speaker", [room], window=1, make_text=timed_text)
    await scene.until_all_are_in()
    before, meanwhile = Delays(1), Delays(1)
    reader.on_message = before.note
    await say(speaker, REPLAY_RATE * 3, REPLAY_RATE)
    await scene.settle()
    reader.on_message = meanwhile.note
    begin = time.monotonic()
    with ProcessPoolExecutor(
        1, get_context("spawn")
    ) as processes:  # a process of its own, since reading takes processor time too
        replaying = asyncio.get_running_loop().run_in_executor(processes, read_all, scene.where(), room.room)
        while not replaying.done():
            await say(speaker, REPLAY_RATE // 10, REPLAY_RATE)
        seqs, took = await replaying
    if seqs != sorted(room.log)[: len(seqs)] or len(seqs) < count:
        scene.broken.append(f"a replay of {len(seqs)} messages left some out")
    await scene.judge()
    return f"the others: {meanwhile}; before: {before}; the replay took {took:.1f} of {time.monotonic() - begin:.1f} s"


def read_all(address: Address, room: str) -> tuple[list[int], float]:
    """Replay a room up to its end at the time of the join; return the numbers, and the seconds that it took."""
    begin = time.monotonic()
    seqs: list[int] = []
    with socket.create_connection(address) as sock, sock.makefile("rb") as file:
        sock.sendall(b'{"type":"hello","nick":"newcomer"}\n')
        sock.sendall(json.dumps({"type": "join", "room": room, "since": 0}).encode() + b"\n")
        end = -1
        while not seqs or seqs[-1] < end:
            line = read(file.readline())
            if line.type == "joined":
                end = line.seq
            elif not line.type:
                seqs.append(line.seq)
    return seqs, time.monotonic() - begin


async def replay_1m(scene: Scene) -> str:
    """A member replays a room of a million messages from the beginning, while others talk."""
    return await replay(scene, 1_000_000)

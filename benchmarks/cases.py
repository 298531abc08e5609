"""The cases that are measured. A case has steps; a step is a fresh server, a load, and rows of figures.

To add a case: a function with `@case` that returns its steps, and its columns in `report`.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from .load import Crowd, Load, Talk
from .logs import make
from .server import Server

Row = dict[str, Any]
"""One row of the results. `report` explains its keys."""


@dataclass(frozen=True)
class Step:
    """A part of a case, which takes some seconds."""

    label: str
    run: Callable[[], list[Row]]


@dataclass(frozen=True)
class Sizes:
    """The sizes of what is measured."""

    members: tuple[int, ...] = (2, 10, 100, 1_000, 5_000, 15_000)
    """Of one room."""
    all_talking: int = 5_000
    """Members of the largest room in which all send: each of N receives N lines per round."""
    deliveries: int = 400_000
    """Approximate number in one measurement."""
    most_messages: int = 10_000
    rooms: int = 100
    per_room: int = 10
    """Members of each of the rooms."""
    connections: int = 15_000
    """Members of the crowd in one room."""
    tls_members: int = 200
    web_members: int = 2_000
    logs: tuple[int, ...] = (0, 1_000_000, 10_000_000)
    """Messages in the room."""
    replay: int = 1_000_000
    idle: tuple[int, ...] = (0, 1_000)
    """Connections."""
    idle_seconds: float = 10.0
    joiners: int = 10
    """Clients that join many rooms each, to measure the memory of a room."""

    def messages(self, members: int, least: int = 20) -> int:
        """Return how many messages to a room of this size make a measurement."""
        return max(least, min(self.most_messages, self.deliveries // members))


FULL: Final = Sizes()
QUICK: Final = Sizes(
    members=(2, 10, 100, 1_000),
    all_talking=100,
    deliveries=100_000,
    most_messages=2_000,
    connections=2_000,
    web_members=500,
    logs=(0, 100_000),
    replay=100_000,
    idle=(0, 100),
    idle_seconds=2.0,
    joiners=2,
)

ROOMS_OF_ONE: Final = 400
"""Rooms that one client joins: fewer than the limit of a session."""

WARM_UP: Final = Talk(1, 3)
"""Messages that are sent before the measurement begins."""

FILES: Final = 100
"""Files that a server opens apart from its connections."""


@dataclass(frozen=True)
class Bench:
    """The settings of a run: sizes, folder, and processes of the load."""

    sizes: Sizes = FULL
    folder: str | None = None
    """The folder for the logs; None for a temporary one."""
    processes: int = field(default_factory=lambda: max(1, min(4, len(os.sched_getaffinity(0)) - 1)))
    """Processes of the load."""

    def most(self, members: int) -> int:
        """Return how many of these connections the limit on open files allows."""
        return min(members, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - FILES)

    @contextmanager
    def server(self, *options: str, **more: Any) -> Iterator[Server]:
        """Start a server, on a processor of its own if there are several."""
        server_on, _ = divided_processors()
        with (
            TemporaryDirectory(dir=self.folder) as folder,
            Server(*options, folder=more.pop("folder", Path(folder)), processors=server_on, **more) as server,
        ):
            yield server

    def load(self, crowd: Crowd) -> Load:
        return Load(crowd, self.processes, divided_processors()[1])

    def speak(self, case: str, members: int, talk: Talk, *options: str, rooms: int = 1, **more: Any) -> list[Row]:
        """Measure a crowd that sends messages on a fresh server. `more` is for the server, and for the `Crowd`."""
        crowd = {name: more.pop(name) for name in ("trusted", "websocket", "deaf") if name in more}
        with self.server(*options, **more) as server:
            empty = server.memory()
            with self.load(Crowd(server.ports[-1], members, rooms, **crowd)) as load:
                memory = server.memory() - empty
                load.talk(WARM_UP)
                return [{**self._figures(case, server, load, talk), "memory_per_member": memory / members}]

    @staticmethod
    def _figures(case: str, server: Server, load: Load, talk: Talk) -> Row:
        starts: list[float] = []
        heard = load.talk(talk, lambda: starts.extend((server.cpu(), load.cpu())))
        cpu, load_cpu = server.cpu() - starts[0], load.cpu() - starts[1]
        seconds = heard.seconds or 1.0
        return {
            "case": case,
            "members": load.crowd.members,
            "rooms": load.crowd.rooms,
            "talkers": talk.talkers * load.crowd.rooms,
            "window": talk.window,
            "messages": heard.messages,
            "complete": heard.complete,
            "deliveries": heard.deliveries,
            "surplus": heard.surplus,
            "whole": heard.whole,
            "seconds": heard.seconds,
            "messages_per_s": heard.complete / seconds,
            "deliveries_per_s": heard.deliveries / seconds,
            "p50_ms": heard.latency(0.5) * 1e3,
            "p99_ms": heard.latency(0.99) * 1e3,
            "max_ms": heard.latency(1) * 1e3,
            "cpu_s": cpu,
            "load_cpu_s": load_cpu,
            "cpu_us_per_delivery": cpu * 1e6 / max(1, heard.deliveries),
            "all_in_s": load.entered,
        }


def divided_processors() -> tuple[list[int], list[int]]:
    """Assign one processor to the server and the others to the load; return empty lists if there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return ([first], others) if others else ([], [])


_Case = Callable[[Bench], list[Step]]
CASES: Final[dict[str, tuple[str, _Case]]] = {}
"""For each name of a case: what it shows, and the function that returns its steps."""


def case(what: str) -> Callable[[_Case], _Case]:
    """Register a case."""

    def register(steps: _Case) -> _Case:
        CASES[steps.__name__] = what, steps
        return steps

    return register


@case("one sender, one message at a time: latency, and the cost of a message and of a delivery")
def single(bench: Bench) -> list[Step]:
    return [_one_talker(bench, "single", members, 1) for members in bench.sizes.members]


@case("one sender, eight messages in flight: the cost of a delivery by number of members")
def burst(bench: Bench) -> list[Step]:
    return [_one_talker(bench, "burst", members, 8) for members in bench.sizes.members]


def _one_talker(bench: Bench, name: str, members: int, window: int) -> Step:
    members = bench.most(members)
    talk = Talk(1, bench.sizes.messages(members), window)
    return Step(f"{name}, {members:,} members", lambda: bench.speak(name, members, talk))


@case("all members send, each one message at a time: throughput")
def everyone(bench: Bench) -> list[Step]:
    sizes = [bench.most(members) for members in bench.sizes.members if members <= bench.sizes.all_talking]
    return [_all_talk(bench, "everyone", members) for members in sizes]


def _all_talk(bench: Bench, name: str, members: int, *options: str, **more: Any) -> Step:
    each = max(1, bench.sizes.messages(members, 1) * 10 // members)
    talk = Talk(members, min(each, bench.sizes.most_messages // 2))
    return Step(f"{name}, {members:,} members", lambda: bench.speak(name, members, talk, *options, **more))


@case("many rooms, one sender in each, eight messages in flight: throughput")
def rooms(bench: Bench) -> list[Step]:
    count, members = bench.sizes.rooms, bench.sizes.rooms * bench.sizes.per_room
    return [Step(f"{count} rooms", lambda: bench.speak("rooms", members, _room_talk(bench), rooms=count))]


def _room_talk(bench: Bench) -> Talk:
    return Talk(1, bench.sizes.messages(bench.sizes.rooms * bench.sizes.per_room), 8)


@case("many connections in one room: the time until all have joined, memory, and a message to all")
def crowd(bench: Bench) -> list[Step]:
    members = bench.most(bench.sizes.connections)
    return [Step(f"{members:,} connections", lambda: bench.speak("crowd", members, Talk(1, 10)))]


@case("a large log: the cost of a delivery does not grow with it")
def log(bench: Bench) -> list[Step]:
    def run(size: int) -> list[Row]:
        with TemporaryDirectory(dir=bench.folder) as folder:
            if size:
                make(os.path.join(folder, "chat.sqlite"), size, Crowd(0, 0).room(0))
            members = min(100, max(bench.sizes.members))
            talk = Talk(1, bench.sizes.messages(members), 8)
            return [{**row, "log": size} for row in bench.speak("log", members, talk, folder=Path(folder))]

    return [Step(f"a log of {size:,}", partial(run, size)) for size in bench.sizes.logs]


@case("no messages: the processor time of an idle server")
def idle(bench: Bench) -> list[Step]:
    def run(members: int) -> list[Row]:
        with bench.server() as server:
            if not members:
                time.sleep(min(1.0, bench.sizes.idle_seconds))
                return [_idle(bench, server, 0)]
            with bench.load(Crowd(server.port, members)):
                return [_idle(bench, server, members)]

    return [Step(f"{members:,} idle", partial(run, members)) for members in bench.sizes.idle]


def _idle(bench: Bench, server: Server, members: int) -> Row:
    start, cpu = time.monotonic(), server.cpu()
    time.sleep(bench.sizes.idle_seconds)
    return {
        "case": "idle",
        "members": members,
        "cpu_s": server.cpu() - cpu,
        "seconds": time.monotonic() - start,
        "memory": server.memory(),
    }


@case("the longest turn of the reactor, which is the longest time that anybody waits")
def turns(bench: Bench) -> list[Step]:
    count, members = bench.sizes.rooms, bench.sizes.rooms * bench.sizes.per_room
    everyone = min(200, max(bench.sizes.members))
    each = max(1, bench.sizes.messages(everyone) * 10 // everyone)
    return [
        Step("turns, rooms", lambda: _turns_talking(bench, "rooms", members, _room_talk(bench), count)),
        Step("turns, everyone", lambda: _turns_talking(bench, "everyone", everyone, Talk(everyone, each), 1)),
        Step("turns, replay", lambda: _turns_replaying(bench)),
    ]


def _turns_talking(bench: Bench, name: str, members: int, talk: Talk, rooms: int) -> list[Row]:
    with bench.server(turns=True) as server:
        server.next_phase()
        with bench.load(Crowd(server.port, members, rooms)) as load:
            load.talk(talk, server.next_phase)
            server.next_phase()
    return _turn_rows(server, name, ("start", "joining", "talking", "leaving"))


def _turns_replaying(bench: Bench) -> list[Row]:
    size = bench.sizes.replay
    with TemporaryDirectory(dir=bench.folder) as folder:
        make(os.path.join(folder, "chat.sqlite"), size, Crowd(0, 0).room(0))
        with bench.server(turns=True, folder=Path(folder)) as server:
            server.next_phase()
            seconds = replay(server.port, Crowd(0, 0).room(0), size)
            server.next_phase()
    rows = _turn_rows(server, "replay", ("start", "replaying", "leaving"))
    return [{**row, "replayed": size, "seconds": seconds} for row in rows]


def replay(port: int, room: str, size: int) -> float:
    """Replay a whole room; return the seconds that it took."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(f'{{"type":"hello","nick":"reader"}}\n{{"type":"join","room":"{room}","since":0}}\n'.encode())
        start, lines = time.monotonic(), 0
        while lines < size + 2:  # welcome and joined
            data = client.recv(2**20)
            lines += data.count(b"\n")
            if not data:
                raise ConnectionError("the server closed the connection during a replay")
        return time.monotonic() - start


def _turn_rows(server: Server, load: str, names: tuple[str, ...]) -> list[Row]:
    """Return a row for each phase except the start, when no client is connected yet."""
    return [
        {
            "case": "turns",
            "load": load,
            "phase": name,
            "turns": phase["turns"],
            "max_ms": phase["max"] * 1e3,
            "max_cpu_ms": phase["max_cpu"] * 1e3,
            "p999_ms": quantile(phase["microseconds"], 0.999) / 1e3,
            "microseconds": phase["microseconds"],
        }
        for name, phase in zip(names, server.turns, strict=True)
        if name != "start"
    ]


def quantile(counts: dict[str, int], part: float) -> float:
    """Return the microseconds that this share of the turns did not exceed, as a power of two."""
    left = sum(counts.values()) * part
    for bits in sorted(int(key) for key in counts):
        left -= counts[str(bits)]
        if left <= 0:
            return float(2**bits)
    return 0.0


@case("TLS compared with TCP")
def tls(bench: Bench) -> list[Step]:
    members = min(bench.sizes.tls_members, max(bench.sizes.members))
    alone = Talk(1, bench.sizes.messages(members))
    each = max(1, bench.sizes.messages(members) * 10 // members)
    talks = {"single": alone, "everyone": Talk(members, each)}

    def run(load: str, wire: str) -> list[Row]:
        if wire == "TCP":
            rows = bench.speak("tls", members, talks[load])
        else:
            from tests.certificates import certificate

            with TemporaryDirectory(dir=bench.folder) as folder:
                certificate(Path(folder))
                place, trusted = f"tls:{folder}:0:interface=127.0.0.1", f"{folder}/trusted.crt"
                rows = bench.speak("tls", members, talks[load], port=place, trusted=trusted)
        return [{**row, "load": load, "wire": wire} for row in rows]

    pairs = [(load, wire) for load in talks for wire in ("TCP", "TLS")]
    return [Step(f"{load}, {wire}", partial(run, load, wire)) for load, wire in pairs]


@case("browsers, over WebSockets, compared with TCP: one sender, eight messages in flight")
def web(bench: Bench) -> list[Step]:
    members = bench.most(bench.sizes.web_members)
    talk = Talk(1, 5 * bench.sizes.messages(members), 8)

    def run(wire: str, *options: str, **how: Any) -> list[Row]:
        rows = bench.speak("web", members, talk, *options, **how)
        return [{**row, "load": "one room", "wire": wire} for row in rows]

    browsers = partial(run, websocket=True, places=2)
    return [
        Step("one room, TCP", partial(run, "TCP")),
        Step("one room, WebSockets", partial(browsers, "WebSockets", "--web", "0")),
        Step(
            "one room, WebSockets, one more reads nothing",
            partial(browsers, "WebSockets, one more reads nothing", "--web", "0", deaf=1),
        ),
    ]


@case("the memory that a room takes")
def memory(bench: Bench) -> list[Step]:
    def run() -> list[Row]:
        with bench.server() as server:
            clients = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(bench.sizes.joiners)]
            for number, client in enumerate(clients):
                ask(client, {"type": "hello", "nick": f"m{number}"}, b'"welcome"')
            before = server.memory()
            for number, client in enumerate(clients):
                for room in range(ROOMS_OF_ONE):
                    ask(client, {"type": "join", "room": f"m{number}-{room}"}, b'"joined"')
            taken = server.memory() - before
            for client in clients:
                client.close()
        count = ROOMS_OF_ONE * bench.sizes.joiners
        return [{"case": "memory", "rooms": count, "memory_per_room": taken / count, "memory": before}]

    return [Step("rooms of one", run)]


def ask(client: socket.socket, request: dict[str, str], answer: bytes) -> None:
    client.sendall(json.dumps(request).encode() + b"\n")
    heard = b""
    while not heard.endswith(b"\n"):
        heard += client.recv(2**16)
    if answer not in heard:
        raise ConnectionError(f"the server answered {heard!r}")

"""The whole run: who is there, what happens when, and what is looked at in the end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final

from ..faults.history import History
from ..faults.people import Person
from ..faults.scene import Scene
from ..faults.server import ROOT
from ..faults.slow import Delays, timed_text
from ..faults.wire import Address, Line, connect
from .attacks import NETWORK, Target, attack
from .trend import Sample, complaints, fit, take_sample
from .users import PASSWORD, BlockingUser, LibraryUser, TwistedUser

CROWD: Final = 280
"""Members of the largest room who only listen."""

TEAMS: Final = 6
TEAM: Final = 8
PAIRS: Final = 6
"""The other rooms, and the members of a team. Half of them talk."""

BROWSERS: Final = 4
"""One in so many of these speaks over a WebSocket."""

PAUSE_SECONDS: Final = 2.0
"""The mean of the seconds between two messages of one who talks."""

ATTACKERS: Final = 3
"""Attacks at the same time."""

ATTACK_SECONDS: Final = (3.0, 15.0)

ENDS: Final = ((0.04, signal.SIGKILL), (0.08, signal.SIGKILL), (0.16, signal.SIGKILL), (0.24, signal.SIGTERM))
"""When the server is ended and started again, as a share of the time. What is measured is the life after the last."""

WARM_UP: Final = 0.25
"""The share of that life that is not measured: caches and the allocator fill."""

START_SECONDS: Final = 120.0
"""Seconds within which everybody has to be in their rooms at the beginning; other tests may run beside this one."""

SAMPLE_SECONDS: Final = 2.0

LOGGED: Final = re.compile(r"Traceback|Unhandled|CRITICAL|internal|has a fault", re.IGNORECASE)
"""What stands in a line of the server's log only if it has a fault."""

LIMITS: Final = ("--rate", "200", "--connections-per-address", "1000")
"""The usual limits, in place of those of the other tests under faults."""

_print: Final = partial(print, flush=True)


class Course:
    """A run of some minutes."""

    def __init__(self, folder: Path, minutes: float, random: Random) -> None:
        self.seconds = minutes * 60
        self.random = random
        self.scene = Scene(folder, random)
        self.users: list[LibraryUser] = []
        self.delays = Delays()
        self.samples: list[Sample] = []
        self.attacks: dict[str, int] = {}
        self.hangups = 0
        self.actions = 0
        kinds = (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)
        self.target = Target(*(Address("127.0.0.1", free_port(kind)) for kind in kinds))
        self.certificate = folder / "chat.pem"
        self._tasks: list[asyncio.Task[Any]] = []
        self._begin = monotonic()
        self._life = 0.0
        """When the last process of the server was started."""

    @property
    def time(self) -> float:
        return monotonic() - self._begin

    async def run(self) -> list[str]:
        """Run it all; returns the promises that were broken."""
        scene = self.scene
        self._make_certificate()
        await self._start()
        await self._register("boss", "victim")
        self._people()
        await scene.until(scene.all_are_in, "everybody is in the rooms", START_SECONDS)
        quiet = take_sample(scene.server.pid, scene.server.database, self.time)
        count = len(scene.people) + len(self.users)
        _print(f"{count} honest users are there: {quiet.memory:.0f} MB, {quiet.descriptors} descriptors")
        self._begin = monotonic()
        jobs = [self._watch(), self._hang_up(), self._reload(), self._moderate()]
        jobs += [self._attack() for _ in range(ATTACKERS)]
        self._tasks += [asyncio.create_task(job) for job in (*jobs, *map(self._talk, scene.people))]
        for part, number in ENDS:
            await self._until(part * self.seconds)
            await scene.server.end(number)
            await self._start()
        await self._until(self.seconds)
        while not self._measured():  # a short run on a slow machine has hardly begun
            await self._until(self.time + SAMPLE_SECONDS)
        return await self._judge()

    async def _until(self, time: float) -> None:
        """Wait for a moment. A task that fails fails the run."""
        while self.time < time:
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(min(1.0, max(0.0, time - self.time)))

    async def _judge(self) -> list[str]:
        """End the attacks, let everybody catch up, and check all promises."""
        broken = complaints(self._measured())
        for user in self.users:
            user.is_talking = False
        others = self._tasks[len(self.users) :]
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=10)
        await self.scene.until(lambda: all(user.has_all() for user in self.users), "the libraries have everything", 120)
        await self.scene.judge()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=30)
        broken += self.scene.evidence()
        broken += [f"the log says: {line}" for line in self.scene.server.output if LOGGED.search(line)][:20]
        return broken

    # The server

    def _make_certificate(self) -> None:
        command = [sys.executable, "-m", "twisted_chat", "certificate", "127.0.0.1"]
        key = self.certificate.with_name("key.pem")
        subprocess.run(
            [*command, "--certificate", str(self.certificate), "--key", str(key)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def _start(self) -> None:
        places = ("--port", str(self.target.tcp.port), "--udp", str(self.target.udp.port))
        key = str(self.certificate.with_name("key.pem"))
        tls = ("--tls", str(self.target.tls.port), "--certificate", str(self.certificate), "--key", key)
        self._life = inf  # a signal that comes before it listens may end it
        await self.scene.server.start(*places, *tls, *LIMITS, "--operator", "boss")
        self.target.web = self.scene.server.web
        self._life = self.time

    async def _register(self, *nicks: str) -> None:
        for nick in nicks:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def heard(line: Line, done: asyncio.Future[None] = done) -> None:
                if line.type == "registered":
                    done.set_result(None)
                elif line.type == "error":
                    done.set_exception(RuntimeError(line.msg))

            connection = await connect(self.target.tcp, heard)
            connection.send(type="hello", nick=nick)
            connection.send(type="register", password=PASSWORD)
            await done
            connection.reset()

    async def _watch(self) -> None:
        """Take samples; print one line a minute."""
        printed = self.time
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            if self.scene.server.is_running():
                try:
                    sample = take_sample(self.scene.server.pid, self.scene.server.database, self.time)
                except OSError:
                    continue
                self.samples.append(sample)
                if self.time - printed > 60:
                    printed = self.time
                    _print(
                        f"{sample.time / 60:5.1f} min {sample.memory:6.1f} MB {sample.descriptors:5} descriptors "
                        f"({sample.files} files) {sample.threads:3} threads, WAL {sample.wal:.1f} MB, "
                        f"{self.scene.acked():,} acked, {len(self.scene.evidence())} broken"
                    )

    def _measured(self) -> list[Sample]:
        begin = self._life + WARM_UP * max(0.0, self.seconds - self._life)
        return [sample for sample in self.samples if sample.time >= begin]

    # Honest users

    def _people(self) -> None:
        scene, random = self.scene, self.random

        def room(name: str) -> History:
            history = scene.histories.setdefault(name, History(name))
            history.is_open = True
            return history

        crowd, lobby = room("crowd"), room("lobby")
        for number in range(CROWD):
            browser = number % BROWSERS == 0
            scene.come(f"listener{number}", [crowd], browser=browser).on_message = self._note
        make_text = partial(timed_text, size=120)
        for number in range(TEAMS):
            team = room(f"team{number}")
            for member in range(TEAM):
                rooms = [team, crowd] if member == 0 else [team, lobby] if member == 1 else [team]
                talks = member < TEAM // 2
                person = scene.come(
                    f"member{number}-{member}",
                    rooms,
                    window=int(talks),
                    make_text=make_text,
                    browser=member % BROWSERS == 0,
                )
                person.on_message = self._note
        for number in range(PAIRS):
            for member in range(2):
                scene.come(f"one{number}-{member}", [room(f"pair{number}")], window=1, make_text=make_text)
        tcp, tls, udp = (place.port for place in (self.target.tcp, self.target.tls, self.target.udp))
        ca = str(self.certificate)
        libraries = room("libraries")
        self.users = [
            TwistedUser("library-tcp", libraries, Random(random.random()), f"tcp:127.0.0.1:{tcp}"),
            TwistedUser("library-tls", libraries, Random(random.random()), f"tls:127.0.0.1:{tls}:ca={ca}"),
            TwistedUser("library-udp", libraries, Random(random.random()), f"udp:127.0.0.1:{udp}"),
            BlockingUser("script-tcp", libraries, Random(random.random()), tcp),
            BlockingUser("script-tls", libraries, Random(random.random()), tls, tls=True, ca=ca),
            BlockingUser("script-udp", libraries, Random(random.random()), udp, udp=True),
        ]
        self._tasks += [asyncio.create_task(user.live()) for user in self.users]

    def _note(self, line: Line) -> None:
        if line.author.startswith("member"):
            self.delays.note(line)

    async def _talk(self, person: Person) -> None:
        """Let a person say something now and then, unless the last message is not acked yet."""
        while person.window:
            await asyncio.sleep(person.random.expovariate(1 / PAUSE_SECONDS))
            if person.is_in() and not person.unacked:
                person.say()

    async def _hang_up(self) -> None:
        """Break the connection of somebody now and then, who comes back."""
        while True:
            await asyncio.sleep(self.random.expovariate(1.0))
            self.random.choice(self.scene.people).hang_up()
            self.hangups += 1

    # What else happens

    async def _attack(self) -> None:
        while True:
            name = await attack(self.target, Random(self.random.random()), self.random.uniform(*ATTACK_SECONDS))
            self.attacks[name] = self.attacks.get(name, 0) + 1

    async def _reload(self) -> None:
        """Let the server read its files again, twice a minute."""
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 30))
            if self.scene.server.is_running() and self.time - self._life > 1:
                with suppress(ProcessLookupError):  # it has just been ended
                    os.kill(self.scene.server.pid, signal.SIGHUP)

    async def _moderate(self) -> None:
        """An operator kicks, mutes and bans the trolls, and lets them in again."""
        while True:
            try:
                connection = await connect(self.target.tcp, lambda line: None)
                connection.send(type="hello", nick="boss", password=PASSWORD)
                connection.send(type="join", room="cave")
                while not connection.lost.is_set():
                    await asyncio.sleep(self.random.expovariate(0.5))
                    connection.send(**self._decide())
                    self.actions += 1
            except OSError:
                pass
            await asyncio.sleep(1)

    def _decide(self) -> dict[str, Any]:
        random = self.random
        troll = random.choice(("troll", "troll-2", f"troll-{random.randrange(10**6)}", "victim", "*troll*"))
        seconds = random.choice((1, 5, 60))
        room = random.choice(("crowd", "lobby", "cave", "cave-2"))
        return random.choice(
            (
                {"type": "kick", "room": room, "nick": troll, "msg": "enough"},
                {"type": "mute", "room": room, "nick": troll, "seconds": seconds},
                {"type": "unmute", "room": room, "nick": troll},
                {"type": "ban", "room": room, "who": troll, "seconds": seconds},
                {"type": "ban", "who": f"127.6.{random.randrange(4)}.0/24", "seconds": 5},
                {"type": "ban", "who": NETWORK, "room": "cave", "seconds": 5},
                {"type": "unban", "who": NETWORK, "room": "cave"},
                {"type": "bans", "room": room},
                {"type": "lock", "room": "cave-2", "on": random.random() < 0.5},
                {"type": "slow", "room": "cave", "seconds": random.choice((0, 1, 10))},
                {"type": "grant", "room": "cave", "nick": "victim", "role": random.choice(("moderator", "none"))},
                {"type": "audit", "limit": 500},
                {"type": "rooms"},
                {"type": "who", "room": "crowd"},
            )
        )

    def report(self) -> str:
        """Describe what happened, and the slopes."""
        measured = self._measured()
        times = [sample.time for sample in measured]
        memory = fit(times, [sample.memory for sample in measured])
        lines = [
            f"{self.seconds / 60:g} minutes; {self.scene.acked():,} messages acked, {len(self.scene.histories)} rooms",
            f"{sum(self.attacks.values())} attacks: "
            + ", ".join(f"{count} {name}" for name, count in sorted(self.attacks.items())),
            f"{self.hangups} lost connections, {self.actions} actions of moderators",
            f"delays of honest users: {self.delays}",
        ]
        if measured:
            hours = (times[-1] - times[0]) / 3600
            lines += [
                f"measured for {hours * 60:.1f} minutes after a warm-up, from {measured[0].memory:.1f} MB to "
                f"{measured[-1].memory:.1f} MB (at most {max(sample.memory for sample in measured):.1f} MB)",
                f"memory: {memory} (MB)",
                f"descriptors: {fit(times, [sample.descriptors for sample in measured])}; "
                f"without sockets: {fit(times, [sample.files for sample in measured])}",
                f"threads: at most {max(sample.threads for sample in measured)}; "
                f"write-ahead log: at most {max(sample.wal for sample in measured):.1f} MB",
            ]
        return "\n".join(lines)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=30)
        await self.scene.close()


def free_port(kind: socket.SocketKind) -> int:
    """Find a port that nobody listens on now. A server that is started again has to have the one of before."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port

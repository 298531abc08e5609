"""The load: many clients in a few processes, which say messages and count what arrives.

A client is a socket that does not block and a count of the lines that it was sent. Nothing is parsed: all members of a
room are sent its messages in one order, and whoever said one gets the ack in its place, so the k-th line of each member
is the room's k-th message. A message is complete when every member has had its line. The load is closed: a talker has
at most `window` messages under way, and says the next one when the oldest is complete.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import socket
import ssl
import time
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray
from typing import Any, Final

TEXT: Final = "x" * 100
"""What is said."""

GATHER_FROM: Final = 100
"""That of `twisted_chat.room`, from which it is not imported: without Twisted, a process of the load begins sooner."""

QUIET: Final = 0.3
QUIET_IF_GATHERED: Final = 1.3
"""Seconds without a line after which nothing more comes: a room of more than `GATHER_FROM` is told of who came once a
second."""

SURPLUS: Final = 0.2
"""Seconds in which a line too many would still come."""

PER_ADDRESS: Final = 20_000
"""Connections from one of the addresses 127.0.0.1, 127.0.0.2, ...: each has 28,000 ports."""

NO_PORT: Final = 24
"""IP_BIND_ADDRESS_NO_PORT of <linux/in.h>: the port is chosen with the connection, not with the address."""

_ACK: Final = b'{"type":"ack"'
_PING: Final = b'{"type":"ping"'
_JOINED: Final = b'{"type":"joined"'
_READ: Final = 2**18
_WAIT: Final = 0.05


class Failed(Exception):
    """The load could not do what it was asked for; the text says why."""


@dataclass(frozen=True)
class Crowd:
    """Who connects, and where to."""

    port: int
    members: int
    rooms: int = 1
    """Member i is in room i modulo `rooms`."""
    prefix: str = "b"
    """What the names of the rooms begin with."""
    trusted: str | None = None
    """The certificate that is trusted, in a file; None for TCP without TLS."""
    patience: float = 120.0
    """Seconds after which what is not there yet is given up."""

    def room(self, number: int) -> str:
        return f"{self.prefix}{number}"


@dataclass(frozen=True)
class Talk:
    """What is said."""

    talkers: int
    """Members of each room that talk."""
    each: int
    """Messages of each of them."""
    window: int = 1
    """Messages of each that are under way at most."""
    patience: float = 120.0
    """Seconds after which what is not there yet is given up."""


@dataclass
class Heard:
    """What came of it."""

    messages: int
    """Messages that were to be said."""
    complete: int
    """Those that reached every other member."""
    deliveries: int
    """Lines that were received, but the acks."""
    surplus: int
    """Lines too many."""
    seconds: float
    """From the first message said to the last one received."""
    latencies: list[float] = field(repr=False)
    """Seconds from the saying of each message to its receipt by the last member, in order of length."""

    @property
    def whole(self) -> bool:
        """Whether each message reached each member exactly once."""
        return self.complete == self.messages and not self.surplus

    def latency(self, part: float) -> float:
        """Say which latency a part of all messages did not exceed (seconds)."""
        return self.latencies[int((len(self.latencies) - 1) * part)] if self.latencies else 0.0


# One process of the load


class _Room:
    """A room, as one process has it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.begin(0, 0)

    def begin(self, members: int, total: int) -> None:
        """Expect `total` lines for each of `members` of this process."""
        self.total = total
        self.at = [members, *(0 for _ in range(total))]
        """How many members have had so many lines."""
        self.low = 0 if members else total
        """Lines that all members of this process have had."""
        self.done = 0
        """Lines that all members of all processes have had."""
        self.surplus = 0
        self.stamps = array("d")
        """When each line was there for all of this process."""
        self.said: dict[int, float] = {}
        """When the messages of this process were said, by their place in the room."""
        self.waiting: dict[int, _Member] = {}
        """Who says the next message once the one at this place is complete."""

    def move(self, before: int, lines: int) -> bool:
        """Note that a member has had more lines; say whether that was the last one who had so few."""
        after = before + lines
        if after > self.total:
            self.surplus += after - max(before, self.total)
            after, before = self.total, min(before, self.total)
        self.at[before] -= 1
        self.at[after] += 1
        if before != self.low or self.at[before] or self.low == self.total:
            return False
        now = time.monotonic()
        while self.low < self.total and not self.at[self.low]:
            self.low += 1
            self.stamps.append(now)
        return True


class _Member:
    __slots__ = ("carry", "count", "index", "left", "number", "room", "said", "socket")

    def __init__(self, index: int, room: _Room, connected: socket.socket) -> None:
        self.index = index
        self.room = room
        self.socket = connected
        self.number = 0
        """Messages that it has said: each has an `id` of its own."""
        self.begin(0)

    def begin(self, left: int) -> None:
        self.count = 0
        """Lines that it has had."""
        self.left = left
        """Messages that it still has to say."""
        self.said: deque[float] = deque()
        """When those were said that have no ack yet."""
        self.carry = b""
        """Of one that waits for an ack: the line that is not whole yet."""


class _Worker:
    """One process: every `of`-th member from `index` on."""

    def __init__(self, index: int, of: int, crowd: Crowd, lows: Any, bell: socket.socket) -> None:
        self.crowd = crowd
        self.index = index
        self.of = of
        self.lows = lows
        """Of each process and room: the lines that all of its members have had. All processes share it."""
        self.bell = bell
        self.others: list[int] = []
        """The ports of the others' bells, which say that `lows` has changed."""
        self.rooms = [_Room(number) for number in range(crowd.rooms)]
        self.members: dict[int, _Member] = {}
        self.buffer = bytearray(_READ)
        self.poll = select.epoll()
        self.moved: set[_Room] = set()

    def enter(self) -> None:
        """Connect all, and wait until they are in their rooms."""
        context = None
        if self.crowd.trusted is not None:
            context = ssl.create_default_context(cafile=self.crowd.trusted)
        outside: set[int] = set()
        for index in range(self.index, self.crowd.members, self.of):
            connected = _connect(self.crowd, index, context)
            member = _Member(index, self.rooms[index % self.crowd.rooms], connected)
            self.members[connected.fileno()] = member
            outside.add(connected.fileno())
            room = self.crowd.room(member.room.number)
            connected.sendall(f'{{"type":"hello","nick":"n{index}"}}\n{{"type":"join","room":"{room}"}}\n'.encode())
            connected.setblocking(False)
            self.poll.register(connected, select.EPOLLIN)
            if len(outside) % 64 == 0:
                self._admit(outside, 0)
        until = time.monotonic() + self.crowd.patience
        while outside and time.monotonic() < until:
            self._admit(outside, _WAIT)
        if outside:
            patience = f"{self.crowd.patience:g} s"
            raise Failed(f"{len(outside):,} of {self.crowd.members:,} clients did not get in within {patience}")

    def _admit(self, outside: set[int], wait: float) -> None:
        for fd, _ in self.poll.poll(wait):
            member = self.members[fd]
            while size := self._read(member):
                if fd not in outside:
                    continue
                heard = member.carry + self.buffer[:size]
                member.carry = heard[-len(_JOINED) :]
                if _JOINED in heard:
                    outside.discard(fd)
                elif b'{"type":"error"' in heard:
                    raise Failed(f"the server refused a client: {heard[:300].decode(errors='replace')}")

    def _read(self, member: _Member) -> int:
        """Read what is there into the buffer; returns how much."""
        try:
            size = member.socket.recv_into(self.buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0
        except ConnectionError:
            size = 0
        if not size:
            raise Failed(f"the server ended connection {member.index}")
        return size

    def hush(self, seconds: float) -> None:
        """Read until nothing comes for so long; from then on the others' bells are heard."""
        quiet = time.monotonic() + seconds
        while (left := quiet - time.monotonic()) > 0:
            for fd, _ in self.poll.poll(left):
                while self._read(self.members[fd]):
                    quiet = time.monotonic() + seconds
        self.poll.register(self.bell, select.EPOLLIN)

    def prepare(self, talk: Talk) -> None:
        """Be ready to count; nobody says anything before all processes are."""
        total = talk.talkers * talk.each
        inside = [0] * self.crowd.rooms
        for member in self.members.values():
            rank = member.index // self.crowd.rooms
            member.begin(talk.each if rank < talk.talkers else 0)
            inside[member.room.number] += 1
        for room in self.rooms:
            room.begin(inside[room.number], total)
            self.lows[self.index * len(self.rooms) + room.number] = room.low

    def talk(self, window: int, patience: float) -> None:
        """Say and count until all is complete."""
        until = time.monotonic() + patience
        for _ in range(window):
            for member in self.members.values():
                if member.left:
                    self._say(member)
        while any(room.done < room.total for room in self.rooms) and time.monotonic() < until:
            self._turn(_WAIT)
        until = time.monotonic() + SURPLUS
        while (left := until - time.monotonic()) > 0:
            self._turn(left)

    def _turn(self, wait: float) -> None:
        members, bell = self.members, self.bell.fileno()
        for fd, _ in self.poll.poll(wait):
            if fd == bell:
                self._hear_bell()
            else:
                self._take(members[fd])
        for room in self.moved:
            self.lows[self.index * len(self.rooms) + room.number] = room.low
        if self.moved:
            self._ring()
            self.moved.clear()
        for room in self.rooms:
            if room.done < room.total:
                self._go_on(room)

    def _take(self, member: _Member) -> None:
        """Count the lines that have arrived."""
        buffer, room = self.buffer, member.room
        while size := self._read(member):
            lines = buffer.count(b"\n", 0, size)
            if buffer.find(_PING, 0, size) >= 0:
                lines -= buffer.count(_PING, 0, size)
            if member.said:
                self._find_acks(member, member.carry + buffer[:size])
            if lines:
                before = member.count
                member.count = before + lines
                if room.move(before, lines):
                    self.moved.add(room)
            if self.crowd.trusted is None:
                break  # TLS may have more that the poller does not know of

    @staticmethod
    def _find_acks(member: _Member, data: bytes) -> None:
        """Find the places in the room of what a member has said."""
        at, place = data.find(_ACK), member.count + 1
        counted = 0
        while at >= 0 and data.find(b"\n", at) >= 0:
            place += data.count(b"\n", counted, at) - data.count(_PING, counted, at)
            counted = at
            member.room.said[place] = member.said.popleft()
            member.room.waiting[place] = member
            at = data.find(_ACK, at + 1)
        member.carry = data[data.rfind(b"\n") + 1 :] if member.said else b""

    def _go_on(self, room: _Room) -> None:
        """Let those talk whose messages are complete."""
        done = min(self.lows[room.number :: len(self.rooms)])
        while room.done < done:
            room.done += 1
            member = room.waiting.pop(room.done, None)
            if member is not None and member.left:
                self._say(member)

    def _say(self, member: _Member) -> None:
        """Say the next message: what a window has fits into the socket's buffer, so it is taken at once."""
        member.left -= 1
        member.number += 1
        room = self.crowd.room(member.room.number)
        line = f'{{"type":"","msg":"{TEXT}","room":"{room}","id":"{os.getpid()}-{member.number}"}}\n'.encode()
        member.said.append(time.monotonic())
        with suppress(ConnectionError):  # it is over, which is found when it is read from
            member.socket.sendall(line)

    def _ring(self) -> None:
        for port in self.others:
            with suppress(BlockingIOError):
                self.bell.sendto(b"!", ("127.0.0.1", port))

    def _hear_bell(self) -> None:
        with suppress(BlockingIOError):
            while self.bell.recv(1):
                pass

    def heard(self) -> list[tuple[int, int, array[float], dict[int, float]]]:
        """Say of each room: lines of all members, lines too many, when each was there, when each was said."""
        lines = [0] * len(self.rooms)
        for member in self.members.values():
            lines[member.room.number] += member.count
        return [(lines[room.number], room.surplus, room.stamps, room.said) for room in self.rooms]

    @staticmethod
    def cpu() -> float:
        return time.process_time()


def _connect(crowd: Crowd, index: int, context: ssl.SSLContext | None) -> socket.socket:
    connected = socket.socket()
    if index >= PER_ADDRESS:
        connected.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)
        connected.bind((f"127.0.0.{1 + index // PER_ADDRESS}", 0))
    connected.settimeout(crowd.patience)
    connected.connect(("127.0.0.1", crowd.port))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(connected, server_hostname="localhost") if context else connected


def _work(index: int, of: int, crowd: Crowd, lows: Any, pipe: Connection, processors: list[int]) -> None:
    """Do in a process of its own what is asked for, until nothing more is."""
    if processors:
        os.sched_setaffinity(0, processors)
    with socket.socket(type=socket.SOCK_DGRAM) as bell:
        bell.bind(("127.0.0.1", 0))
        bell.setblocking(False)
        worker = _Worker(index, of, crowd, lows, bell)
        pipe.send(bell.getsockname()[1])
        with suppress(EOFError):
            worker.others = [port for port in pipe.recv() if port != bell.getsockname()[1]]
            while True:
                name, arguments = pipe.recv()
                try:
                    pipe.send(getattr(worker, name)(*arguments))
                except (Failed, OSError) as error:
                    pipe.send(Failed(str(error)))


# All processes of the load


class Load:
    """A crowd of clients: `with Load(Crowd(port, 200), processes=2) as load: load.talk(Talk(1, 100))`."""

    def __init__(self, crowd: Crowd, processes: int = 1, processors: list[int] | None = None) -> None:
        self.crowd = crowd
        self.entered = 0.0
        """Seconds until all were in."""
        processes = max(1, min(processes, crowd.members))
        context = multiprocessing.get_context("spawn")
        lows = RawArray("q", processes * crowd.rooms)
        self._pipes: list[Connection] = []
        self._processes = []
        for index in range(processes):
            ours, theirs = context.Pipe()
            arguments = (index, processes, crowd, lows, theirs, processors or [])
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        bells = [self._answer(pipe) for pipe in self._pipes]
        for pipe in self._pipes:
            pipe.send(bells)

    def __enter__(self) -> Load:
        try:
            start = time.monotonic()
            self._all("enter")
            self.entered = time.monotonic() - start
            self._all("hush", QUIET if self.crowd.members <= GATHER_FROM * self.crowd.rooms else QUIET_IF_GATHERED)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()

    def _all(self, name: str, *arguments: object) -> list[Any]:
        for pipe in self._pipes:
            pipe.send((name, arguments))
        return [self._answer(pipe) for pipe in self._pipes]

    @staticmethod
    def _answer(pipe: Connection) -> Any:
        try:
            answer = pipe.recv()
        except (EOFError, ConnectionError):
            raise Failed("a process of the load has ended") from None
        if isinstance(answer, Failed):
            raise answer
        return answer

    def talk(self, talk: Talk, before: Callable[[], object] = lambda: None) -> Heard:
        """Let them talk; `before` is called when all are ready."""
        self._all("prepare", talk)
        before()
        self._all("talk", talk.window, talk.patience)
        return self._merge(talk, self._all("heard"))

    def cpu(self) -> float:
        """Say how much processor time the load has used (seconds)."""
        return float(sum(self._all("cpu")))

    def _merge(self, talk: Talk, heard: list[list[tuple[int, int, array[float], dict[int, float]]]]) -> Heard:
        total = talk.talkers * talk.each
        latencies: list[float] = []
        said_at: list[float] = []
        ends: list[float] = []
        lines = surplus = 0
        for parts in zip(*heard, strict=True):  # of one room, by process
            lines += sum(part[0] for part in parts)
            surplus += sum(part[1] for part in parts)
            stamps = [part[2] for part in parts if part[0] or part[2]]
            said = {place: at for part in parts for place, at in part[3].items()}
            complete = min((len(stamp) for stamp in stamps), default=0)
            ends += [max(stamp[place] for stamp in stamps) for place in range(complete)]
            said_at += said.values()
            latencies += [ends[place - 1 - complete] - at for place, at in said.items() if place <= complete]
        messages = total * self.crowd.rooms
        seconds = max(ends, default=0.0) - min(said_at, default=0.0)
        return Heard(messages, len(ends), lines - len(said_at), surplus, seconds, sorted(latencies))

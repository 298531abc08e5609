"""The load: many clients in a few processes, which send messages and count what they receive.

A client is a non-blocking socket and a count of the lines that it has received; over a WebSocket, of the objects.
Nothing is parsed: all members of a room receive its messages in one order, and an author gets the ack in place of its
message, so the k-th line of each member is the room's k-th message. A message is complete when every member has
received its line. The load is closed: a talker has at most `window` messages in flight, and sends the next one when the
oldest is complete.
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
"""The text of each message."""

GATHER_FROM: Final = 100
"""The constant of `twisted_chat.room`. It is not imported from there: without Twisted, the processes start sooner."""

QUIET: Final = 0.3
QUIET_IF_GATHERED: Final = 1.3
"""Seconds without a line after which nothing more is expected. A room with more than `GATHER_FROM` members gets the
number of its members once a second."""

SURPLUS: Final = 0.2
"""Seconds within which a surplus line would still arrive."""

PER_ADDRESS: Final = 20_000
"""Connections from one of the addresses 127.0.0.1, 127.0.0.2, ...: each has 28,000 ports."""

NO_PORT: Final = 24
"""IP_BIND_ADDRESS_NO_PORT of <linux/in.h>: the port is chosen with the connection, not with the address."""

UPGRADE: Final = (
    b"GET /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""The beginning of a WebSocket (RFC 6455, section 4.1)."""

SMALL_SEGMENT: Final = 536
SMALL_BUFFER: Final = 4096
"""Bytes of the segments and of the receive buffer of a client that does not read, with which the kernels at both ends
take some 100 kB for it. With the segments of the loopback it would be 3 MB, and the server would not notice."""

_ACK: Final = b'{"type":"ack"'
_NOTICE: Final = b'{"type":"p'
"""The beginning of a ping, and of the number of members (`presence`): another server may tell it late."""

_JOINED: Final = b'{"type":"joined"'
_READ: Final = 2**18
_WAIT: Final = 0.05


class Failed(Exception):
    """The load failed; the text says why."""


@dataclass(frozen=True)
class Crowd:
    """The clients that connect, and the port that they connect to."""

    port: int
    members: int
    rooms: int = 1
    """Member i is in room i modulo `rooms`."""
    prefix: str = "b"
    """The beginning of the rooms' names."""
    trusted: str | None = None
    """The file with the trusted certificate; None for TCP without TLS."""
    websocket: bool = False
    """True if they are browsers, which speak over WebSockets."""
    deaf: int = 0
    """Further members of the first room, which read nothing."""
    more_ports: tuple[int, ...] = ()
    """The ports of further servers: the members of each room, and the first members of all, are divided among them."""
    patience: float = 120.0
    """Seconds after which the load gives up what has not arrived."""

    def room(self, number: int) -> str:
        return f"{self.prefix}{number}"

    def port_of(self, index: int) -> int:
        """Return the port to which a member connects."""
        ports = self.port, *self.more_ports
        rank, room = divmod(index, self.rooms)
        return ports[(rank + room) % len(ports)]

    @property
    def end(self) -> bytes:
        """The last byte of each object that is received, which is not in the text of the messages.

        A frame has no line end. The objects of this load have no others inside, and no frame of theirs has 125 bytes,
        a length that would be written like a brace.
        """
        return b"}" if self.websocket else b"\n"

    def written(self, text: str) -> bytes:
        """Return an object as it is sent: a line, or a frame that is masked with zeros."""
        if not self.websocket:
            return f"{text}\n".encode()
        size = len(text)
        return (b"\x81%c" % (0x80 | size) if size < 126 else b"\x81\xfe" + size.to_bytes(2)) + bytes(4) + text.encode()


@dataclass(frozen=True)
class Talk:
    """The messages that are sent."""

    talkers: int
    """Members of each room that send messages."""
    each: int
    """Messages that each of them sends."""
    window: int = 1
    """Messages of each that are in flight at most."""
    patience: float = 120.0
    """Seconds after which the load gives up what has not arrived."""


@dataclass
class Heard:
    """The received bytes."""

    messages: int
    """Messages that were to be sent."""
    complete: int
    """Messages that reached every other member."""
    deliveries: int
    """Lines that were received, without the acks."""
    surplus: int
    """Surplus lines."""
    seconds: float
    """From the first message sent to the last one received."""
    latencies: list[float] = field(repr=False)
    """For each message the seconds from sending it until the last member has received it, sorted."""

    @property
    def whole(self) -> bool:
        """True if each message reached each member exactly once."""
        return self.complete == self.messages and not self.surplus

    def latency(self, part: float) -> float:
        """Return the latency that this share of the messages did not exceed (seconds)."""
        return self.latencies[int((len(self.latencies) - 1) * part)] if self.latencies else 0.0


# One process of the load


class _Room:
    """A room, as one process sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.begin(0, 0)

    def begin(self, members: int, total: int) -> None:
        """Expect `total` lines for each of `members` of this process."""
        self.total = total
        self.at = [members, *(0 for _ in range(total))]
        """The number of members by the number of lines that they have received."""
        self.low = 0 if members else total
        """Lines that all members in this process have received."""
        self.done = 0
        """Lines that all members in all processes have received."""
        self.surplus = 0
        self.stamps = array("d")
        """The time at which each line had reached all members in this process."""
        self.said: dict[int, float] = {}
        """The times at which messages of this process were sent, by their place in the room."""
        self.waiting: dict[int, _Member] = {}
        """The members that send their next message once the one at this place is complete."""

    def move(self, before: int, lines: int) -> bool:
        """Count lines that a member has received; return whether it was the last one with so few."""
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
        """Messages that it has sent: each has an `id` of its own."""
        self.begin(0)

    def begin(self, left: int) -> None:
        self.count = 0
        """Lines that it has received."""
        self.left = left
        """Messages that it has not sent yet."""
        self.said: deque[float] = deque()
        """The times at which its unacked messages were sent."""
        self.carry = b""
        """The incomplete line of a member that waits for an ack."""


class _Worker:
    """One process: every `of`-th member from `index` on."""

    def __init__(self, index: int, of: int, crowd: Crowd, lows: Any, bell: socket.socket) -> None:
        self.crowd = crowd
        self.end = crowd.end
        self.index = index
        self.of = of
        self.lows = lows
        """For each process and room, the lines that all its members have received. All processes share it."""
        self.bell = bell
        self.others: list[int] = []
        """The ports of the other processes' bells, which ring when `lows` has changed."""
        self.rooms = [_Room(number) for number in range(crowd.rooms)]
        self.members: dict[int, _Member] = {}
        self.deaf: list[socket.socket] = []
        """The clients that read nothing."""
        self.buffer = bytearray(_READ)
        self.poll = select.epoll()
        self.moved: set[_Room] = set()

    def enter(self) -> None:
        """Connect all clients, and wait until they are in their rooms."""
        context = None
        if self.crowd.trusted is not None:
            context = ssl.create_default_context(cafile=self.crowd.trusted)
        outside: set[int] = set()
        for index in range(self.index, self.crowd.members, self.of):
            connected = connect(self.crowd, index, context)
            member = _Member(index, self.rooms[index % self.crowd.rooms], connected)
            self.members[connected.fileno()] = member
            outside.add(connected.fileno())
            self._greet(connected, f"n{index}", member.room.number)
            connected.setblocking(False)
            self.poll.register(connected, select.EPOLLIN)
            if len(outside) % 64 == 0:
                self._admit(outside, 0)
        until = time.monotonic() + self.crowd.patience
        while outside and time.monotonic() < until:
            self._admit(outside, _WAIT)
        if outside:
            patience = f"{self.crowd.patience:g} s"
            raise Failed(f"{len(outside):,} of {self.crowd.members:,} clients did not join within {patience}")

        for number in range(self.crowd.deaf if self.index == 0 else 0):
            self.deaf.append(connect(self.crowd, number, context, reads=False))
            self._greet(self.deaf[-1], f"deaf{number}", 0)

    def _greet(self, connected: socket.socket, nick: str, room: int) -> None:
        hello, join = f'{{"type":"hello","nick":"{nick}"}}', f'{{"type":"join","room":"{self.crowd.room(room)}"}}'
        connected.sendall(UPGRADE * self.crowd.websocket + self.crowd.written(hello) + self.crowd.written(join))

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
        """Read what has arrived into the buffer; return the number of bytes."""
        try:
            size = member.socket.recv_into(self.buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0
        except ConnectionError:
            size = 0
        if not size:
            raise Failed(f"the server closed connection {member.index}")
        return size

    def hush(self, seconds: float) -> None:
        """Read until nothing has arrived for so long; from then on, listen to the other processes' bells."""
        quiet = time.monotonic() + seconds
        while (left := quiet - time.monotonic()) > 0:
            for fd, _ in self.poll.poll(left):
                while self._read(self.members[fd]):
                    quiet = time.monotonic() + seconds
        self.poll.register(self.bell, select.EPOLLIN)

    def prepare(self, talk: Talk) -> None:
        """Prepare to count. No message is sent before all processes are prepared."""
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
        """Send and count until all messages are complete."""
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
        buffer, room, end = self.buffer, member.room, self.end
        while size := self._read(member):
            lines = buffer.count(end, 0, size)
            if buffer.find(_NOTICE, 0, size) >= 0:
                lines -= buffer.count(_NOTICE, 0, size)
            if member.said:
                self._find_acks(member, member.carry + buffer[:size])
            if lines:
                before = member.count
                member.count = before + lines
                if room.move(before, lines):
                    self.moved.add(room)
            if self.crowd.trusted is None:
                break  # TLS may have buffered more, which the poller does not know

    def _find_acks(self, member: _Member, data: bytes) -> None:
        """Find the places in the room of the messages that a member has sent."""
        at, place, end = data.find(_ACK), member.count + 1, self.end
        counted = 0
        while at >= 0 and data.find(end, at) >= 0:
            place += data.count(end, counted, at) - data.count(_NOTICE, counted, at)
            counted = at
            member.room.said[place] = member.said.popleft()
            member.room.waiting[place] = member
            at = data.find(_ACK, at + 1)
        member.carry = data[data.rfind(end) + 1 :] if member.said else b""

    def _go_on(self, room: _Room) -> None:
        """Continue with the members whose messages are complete."""
        done = min(self.lows[room.number :: len(self.rooms)])
        while room.done < done:
            room.done += 1
            member = room.waiting.pop(room.done, None)
            if member is not None and member.left:
                self._say(member)

    def _say(self, member: _Member) -> None:
        """Send the next message. All messages of a window fit into the socket's buffer, so it accepts them at once."""
        member.left -= 1
        member.number += 1
        room = self.crowd.room(member.room.number)
        line = self.crowd.written(f'{{"type":"","msg":"{TEXT}","room":"{room}","id":"{os.getpid()}-{member.number}"}}')
        member.said.append(time.monotonic())
        with suppress(ConnectionError):  # the connection is closed, which the next read finds
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
        """Return for each room the lines of all members, the surplus, and when each message was complete and sent."""
        lines = [0] * len(self.rooms)
        for member in self.members.values():
            lines[member.room.number] += member.count
        return [(lines[room.number], room.surplus, room.stamps, room.said) for room in self.rooms]

    @staticmethod
    def cpu() -> float:
        return time.process_time()


def connect(crowd: Crowd, index: int, context: ssl.SSLContext | None, reads: bool = True) -> socket.socket:
    connected = socket.socket()
    if not reads:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    if index >= PER_ADDRESS:
        connected.setsockopt(socket.IPPROTO_IP, NO_PORT, 1)
        connected.bind((f"127.0.0.{1 + index // PER_ADDRESS}", 0))
    connected.settimeout(crowd.patience)
    connected.connect(("127.0.0.1", crowd.port_of(index)))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(connected, server_hostname="localhost") if context else connected


def _work(index: int, of: int, crowd: Crowd, lows: Any, pipe: Connection, processors: list[int]) -> None:
    """Run a process of the load: do what the pipe requests, until it is closed."""
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
        """Seconds until all clients had joined."""
        processes = max(1, min(processes, crowd.members))
        context = multiprocessing.get_context("spawn")
        lows = RawArray("q", processes * crowd.rooms)
        self._pipes: list[Connection] = []
        self.processes = []
        for index in range(processes):
            ours, theirs = context.Pipe()
            arguments = (index, processes, crowd, lows, theirs, processors or [])
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self.processes.append(process)
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
        for process in self.processes:
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
        """Send the messages; `before` is called when all processes are prepared."""
        self._all("prepare", talk)
        before()
        self._all("talk", talk.window, talk.patience)
        return self._merge(talk, self._all("heard"))

    def cpu(self) -> float:
        """Return the processor time that the load has used (seconds)."""
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

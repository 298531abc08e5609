"""What floods cost the users of a server: attackers send all that they can, and the messages of others are timed.

    python -m benchmarks.attack                             # a thousand connections of one address, each kind of flood
    python -m benchmarks.attack ping history --seconds 20
    python -m benchmarks.attack --connections 10000 --addresses 1000 --pause 1 say

The server runs with its default options, on this machine. Honest users have addresses from 127.0.0.1 on, and attackers
from 127.7.0.1 on, so that they do not share the limits of an address. As root, `--priority` puts the honest
users before the server and the server before everything else, if the machine has other work. The exit status is 1 if a
message of an honest user was lost or refused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from .load import UPGRADE
from .server import Server

USERS: Final = 20
PAUSE_SECONDS: Final = 0.5
"""The honest users, who are all in one room, and the time between two messages of each."""

QUIET_SECONDS: Final = 2.0
"""Seconds before the flood in which the honest users are alone."""

END_SECONDS: Final = 20.0
"""Seconds after the flood in which the last messages of honest users have to arrive."""

CHUNK: Final = 2**16
"""Bytes that an attacker offers to a socket at once."""

_processes = multiprocessing.get_context("fork")


def _line(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


# Attackers


class Kind(NamedTuple):
    """A kind of flood."""

    make: Callable[[int], bytes]
    """Makes a piece of what is sent, from a number that differs between the pieces."""
    setup: tuple[bytes, ...] = ()
    """The lines of each connection after its hello."""
    reads: bool = True
    """False if the attackers read nothing."""
    hello: bool = True
    """False if the connections say no hello."""
    is_web: bool = False
    """True if the connections are those of browsers: WebSockets if they say hello, HTTP otherwise."""
    is_udp: bool = False
    """True if the pieces are datagrams. Each process sends them from one socket, without waiting for anything."""


def _frame(opcode: int, payload: bytes, *, is_last: bool = True) -> bytes:
    """Write a frame that is masked with zeros."""
    size = len(payload)
    length = b"%c" % (0x80 | size) if size < 126 else b"\xfe" + size.to_bytes(2)
    return b"%c%b%b%b" % (is_last << 7 | opcode, length, bytes(4), payload)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n".encode()


_CONTINUATION, _TEXT, _PING = 0, 1, 9
"""The opcodes of frames (RFC 6455, section 5.2)."""

_IN: Final = (_line(type="join", room="flood"),)
_VALID: Final = _line(type="pong")
"""A request that is no error, so that the connection is not ended for too many errors in a row."""


def _say(size: int) -> bytes:
    return _line(type="", room="flood", msg="x" * size)


KINDS: Final[dict[str, Kind]] = {
    "ping": Kind(lambda n: _line(type="ping")),
    "say": Kind(lambda n: _say(50), _IN),
    "say-long": Kind(lambda n: _say(16_000), _IN),
    "wrong-json": Kind(lambda n: b'{"x"}\n' if n % 90 else _VALID),
    "brackets": Kind(lambda n: b'{"type":"pong","a":[' + b"{}," * 5400 + b"{}]}\n"),
    "brackets-wrong": Kind(lambda n: b"{" * 16_000 + b"\n" if n % 90 else _VALID),
    "blank": Kind(lambda n: b"\n" * 1000),
    "endless": Kind(lambda n: b"x" * 1000),
    "new-rooms": Kind(lambda n: _line(type="join", room=f"r{os.getpid()}-{n}") + _line(type="leave", room=f"r{n - 1}")),
    "nick": Kind(lambda n: _line(type="nick", nick=f"n{time.monotonic_ns() % 10**12}"), _IN),
    "join-leave": Kind(lambda n: _line(type="join", room="flood") + _line(type="leave", room="flood")),
    "topic": Kind(lambda n: _line(type="topic", room="flood", msg=f"topic {n}"), _IN),
    "history": Kind(lambda n: _line(type="history", room="talk", limit=500)),
    "who": Kind(lambda n: _line(type="who", room="flood"), _IN),
    "rooms": Kind(lambda n: _line(type="rooms")),
    "replay": Kind(lambda n: _line(type="join", room="talk", since=0), reads=False),
    "direct": Kind(lambda n: _line(type="", to="attacker-0-0", msg="x" * 50)),
    "login": Kind(lambda n: _line(type="hello", nick="somebody", password=f"guess {n}"), hello=False),
    "register": Kind(lambda n: _line(type="register", password="correct horse battery staple")),
    "report": Kind(lambda n: _line(type="report", room="flood", of=1, msg="spam"), _IN),
    "moderate": Kind(
        lambda n: _line(type="mute", room="flood", nick=f"nobody{n}") + _line(type="invite", room="flood", nick="al"),
        _IN,
    ),
    "bare": Kind(lambda n: _line(type="", msg="x" * 50), hello=False),
    "everything": Kind(lambda n: list(KINDS.values())[n % _EVERYTHING].make(n), _IN),
    "web-ping": Kind(lambda n: _frame(_PING, b""), is_web=True),
    "web-fragments": Kind(lambda n: _in_fragments(_VALID), is_web=True),
    "web-endless": Kind(lambda n: _frame(_TEXT, _line(type="pong", a="x" * 16_000)), is_web=True),
    "web-say": Kind(lambda n: _frame(_TEXT, _say(50)), _IN, is_web=True),
    "web-page": Kind(lambda n: _get("/"), hello=False, is_web=True),
    "web-head": Kind(lambda n: b"A: b\r\n", hello=False, is_web=True),
    "datagrams": Kind(lambda n: _line(type="hello", nick=f"n{n}", token="t" * 20, pad="x" * 200), is_udp=True),
    "datagrams-short": Kind(lambda n: b"x", is_udp=True),
    "datagrams-empty": Kind(lambda n: b"", is_udp=True),
}
"""The kinds of floods. With `everything`, each connection sends pieces of all kinds before it in the list."""

_EVERYTHING: Final[int] = list(KINDS).index("everything")


def _in_fragments(message: bytes) -> bytes:
    """Write a message in fragments of one byte, with an empty one after each."""
    pieces = [piece for at in range(len(message)) for piece in (message[at : at + 1], b"")]
    opcodes = [_TEXT] + [_CONTINUATION] * (len(pieces) - 1)
    last = len(pieces) - 1
    return b"".join(
        _frame(opcode, piece, is_last=at == last)
        for at, (opcode, piece) in enumerate(zip(opcodes, pieces, strict=True))
    )


class _Connection:
    """A connection of an attacker."""

    def __init__(self, port: int, address: str) -> None:
        self.socket = socket.socket()
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self.first = b""
        """What is sent before the flood."""
        self.at = 0
        """The place in the flood at which it goes on."""


def addresses(count: int) -> Iterator[str]:
    """Yield so many addresses of this machine, again and again."""
    return cycle([f"127.7.{number // 250}.{number % 250 + 1}" for number in range(count)])


class Attack:
    """The connections of one process."""

    def __init__(self, kind: Kind, port: int, index: int, connections: Sequence[str], pause: float) -> None:
        self._kind = kind
        self._pause = pause
        self._data = b"".join(kind.make(number) for number in range(max(1, 2**18 // len(kind.make(1)))))
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self.sent = self.ended = 0
        for number, address in enumerate(connections):
            with suppress(OSError):
                self._connect(port, address, f"attacker-{index}-{number}")

    def _connect(self, port: int, address: str, nick: str) -> None:
        connection = _Connection(port, address)
        if self._kind.hello:
            lines = _line(type="hello", nick=nick), *self._kind.setup
            if self._kind.is_web:
                lines = UPGRADE, *(_frame(_TEXT, line) for line in lines)
            connection.first = b"".join(lines)
        self._connections[connection.socket.fileno()] = connection
        reads = select.EPOLLIN if self._kind.reads else 0
        self._poll.register(connection.socket, select.EPOLLOUT | reads)

    def run(self, until: float) -> None:
        """Say hello everywhere, and then send until a time of the steady clock."""
        while any(connection.first for connection in self._connections.values()) and time.monotonic() < until:
            self._step(self._send_first)
        time.sleep(self._pause)
        while self._connections and time.monotonic() < until:
            self._step(self._send)

    def _step(self, send: Callable[[_Connection], None]) -> None:
        for number, event in self._poll.poll(0.1):
            connection = self._connections[number]
            try:
                if event & select.EPOLLIN and not connection.socket.recv(2**18):
                    raise OSError
                if event & select.EPOLLOUT:
                    send(connection)
                if event & (select.EPOLLERR | select.EPOLLHUP):
                    raise OSError
            except BlockingIOError:
                pass
            except OSError:
                self._poll.unregister(connection.socket)
                connection.socket.close()
                del self._connections[number]
                self.ended += 1

    def _send_first(self, connection: _Connection) -> None:
        if connection.first:
            connection.first = connection.first[connection.socket.send(connection.first) :]

    def _send(self, connection: _Connection) -> None:
        if connection.first:
            self._send_first(connection)
            return
        sent = connection.socket.send(self._data[connection.at : connection.at + CHUNK])
        connection.at = (connection.at + sent) % len(self._data)
        self.sent += sent


def _attack(
    kind: Kind, port: int, index: int, connections: Sequence[str], pause: float, until: float, priority: bool
) -> None:
    if priority:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    if kind.is_udp:
        _send_datagrams(kind, port, connections[0], until)
    else:
        Attack(kind, port, index, connections, pause).run(until)


def _send_datagrams(kind: Kind, port: int, address: str, until: float) -> None:
    pieces = [kind.make(number) for number in range(1000)]
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.bind((address, 0))
        while time.monotonic() < until:
            for piece in pieces:
                sender.sendto(piece, ("127.0.0.1", port))


# Honest users


class Heard(NamedTuple):
    """What the honest users have measured, in seconds of the steady clock."""

    said: dict[str, float]
    acked: dict[str, float]
    heard: list[tuple[str, float]]
    """The messages that somebody got, one entry for each who did."""
    came: list[tuple[float, float | None]]
    """When somebody came in anew, and how long that took; None if it failed."""
    refused: list[str]


async def _talk(port: int, addresses: int, until: float, measured: Heard) -> None:
    """Let users talk until a time of the steady clock, and somebody come in again and again."""
    complete = asyncio.Event()
    users = [
        _user(port, f"127.0.0.{number % addresses + 1}", until, number, measured, complete) for number in range(USERS)
    ]
    await asyncio.gather(_come_in(port, until, measured), *users)


async def _user(port: int, address: str, until: float, number: int, measured: Heard, complete: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    writer.write(_line(type="hello", nick=f"honest-{number}") + _line(type="join", room="talk"))
    reading = asyncio.ensure_future(_read(reader, writer, measured, complete))
    await asyncio.sleep(0.5 + PAUSE_SECONDS * number / USERS)
    count = 0
    while (now := time.monotonic()) < until:
        count += 1
        id = f"{number}-{count}"
        measured.said[id] = now
        complete.clear()
        writer.write(_line(type="", room="talk", id=id, msg=id))
        await asyncio.sleep(PAUSE_SECONDS)
    with suppress(TimeoutError):
        await asyncio.wait_for(complete.wait(), END_SECONDS)
    reading.cancel()
    writer.close()


def _has_all(measured: Heard) -> bool:
    return len(measured.acked) == len(measured.said) and len(measured.heard) >= len(measured.said) * (USERS - 1)


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, measured: Heard, complete: asyncio.Event
) -> None:
    while line := await reader.readline():
        now = time.monotonic()
        received = json.loads(line)
        match received["type"]:
            case "ack":
                measured.acked[received["id"]] = now
            case "":
                measured.heard.append((received["msg"], now))
            case "ping":
                writer.write(_VALID)
            case "error" | "stop":
                measured.refused.append(received["msg"])
        if _has_all(measured):
            complete.set()
    measured.refused.append("a connection was ended")


async def _come_in(port: int, until: float, measured: Heard) -> None:
    count = 0
    while (begin := time.monotonic()) < until:
        count += 1
        took = None
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(_line(type="hello", nick=f"new-{count}") + _line(type="join", room=f"new-{count}"))
                await reader.readuntil(b'"joined"')
                took = time.monotonic() - begin
                writer.close()
        measured.came.append((begin, took))
        await asyncio.sleep(0.3)


def _be_honest(port: int, addresses: int, until: float, priority: bool, results: Connection) -> None:
    if priority:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))
    measured = Heard({}, {}, [], [], [])
    asyncio.run(_talk(port, addresses, until, measured))
    results.send(measured)


# A run


class Peak(threading.Thread):
    """Looks at the memory of a server all the time."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._done = threading.Event()
        self.bytes = server.memory()

    def run(self) -> None:
        while not self._done.wait(0.05):
            self.bytes = max(self.bytes, self._server.memory())

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.bytes


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one kind of flood against a new server."""
    source = addresses(options.addresses)
    of_each = [
        [next(source) for _ in range(options.connections // options.processes)] for _ in range(options.processes)
    ]
    kind = KINDS[name]
    with Server("--web", "0", "--udp", "127.0.0.1:0", *options.option, turns=True, raised=False, places=3) as server:
        if options.priority:
            for thread in os.listdir(f"/proc/{server.process.pid}/task"):
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(10))
        before = server.memory()
        begin = time.monotonic() + QUIET_SECONDS
        until = begin + options.pause + options.seconds
        here, there = _processes.Pipe(duplex=False)
        tcp, udp, web = server.ports
        port = web if kind.is_web else udp if kind.is_udp else tcp
        honest = _processes.Process(
            target=_be_honest, args=(tcp, options.users_from, until + 1, options.priority, there)
        )
        honest.start()
        time.sleep(begin - time.monotonic())
        peak = Peak(server)
        peak.start()
        server.next_phase()
        attacks = [
            _processes.Process(target=_attack, args=(kind, port, index, chosen, options.pause, until, options.priority))
            for index, chosen in enumerate(of_each)
        ]
        cpu = server.cpu()
        for attack in attacks:
            attack.start()
        for attack in attacks:
            attack.join()
        cpu = (server.cpu() - cpu) / (time.monotonic() - begin)
        server.next_phase()
        measured: Heard = here.recv()
        honest.join()
        grown, left = peak.stop() - before, server.memory() - before
    return {
        "flood": name,
        **summarize(measured, begin, until),
        "memory": grown / 1e6,
        "memory_left": left / 1e6,
        "processor": cpu,
        "turn": server.turns[1]["max"],
        "turn_cpu": server.turns[1]["max_cpu"],
    }


def summarize(measured: Heard, begin: float, until: float) -> dict[str, Any]:
    """Sum up the messages that were said during the flood. Delays are in seconds."""
    said = {id: at for id, at in measured.said.items() if begin <= at < until}
    delays = [at - said[id] for id, at in measured.heard if id in said]
    came = [took for at, took in measured.came if begin <= at < until]
    return {
        "median": percentile(delays, 0.5),
        "p99": percentile(delays, 0.99),
        "max": percentile(delays, 1.0),
        "lost": len(said) * (USERS - 1) - len(delays),
        "unacked": len(said.keys() - measured.acked.keys()),
        "new": percentile([took for took in came if took is not None], 1.0),
        "new_failed": came.count(None),
        "refused": sorted(set(measured.refused)),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which so many of the values lie."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def is_whole(row: dict[str, Any]) -> bool:
    """True if nothing of the honest users was lost or refused."""
    return not (row["lost"] or row["unacked"] or row["new_failed"] or row["refused"])


HEAD: Final = (
    f"{'':14} {'delay, ms: median':>18} {'p99':>8} {'max':>8} {'new, ms':>8} {'memory, MB':>11} {'left':>6} "
    f"{'turn, ms':>9} {'its CPU':>8} {'load':>5}"
)


def text(row: dict[str, Any]) -> str:
    """Write the row of a flood for people."""
    trouble = "" if is_whole(row) else f"  LOST {row['lost']}, unacked {row['unacked']}, not let in {row['new_failed']}"
    return (
        f"{row['flood']:14} {row['median'] * 1e3:18.1f} {row['p99'] * 1e3:8.1f} {row['max'] * 1e3:8.1f} "
        f"{row['new'] * 1e3:8.1f} {row['memory']:11.1f} {row['memory_left']:6.1f} {row['turn'] * 1e3:9.1f} "
        f"{row['turn_cpu'] * 1e3:8.1f} {row['processor']:5.2f}{trouble} {'; '.join(row['refused'])}".rstrip()
    )


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments request; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attack",
        description=__doc__,
        epilog=f"kinds: {', '.join(KINDS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="kinds of floods [all]")
    parser.add_argument(
        "--connections", type=int, default=1000, metavar="N", help="connections of the attackers [1000]"
    )
    parser.add_argument("--addresses", type=int, default=1, metavar="N", help="their addresses [1]")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="their processes [1]")
    parser.add_argument("--seconds", type=float, default=8.0, metavar="N", help="seconds of each flood [8]")
    parser.add_argument("--pause", type=float, default=0.0, metavar="N", help="seconds between the hellos and it [0]")
    parser.add_argument("--users-from", type=int, default=1, metavar="N", help="addresses of the honest users [1]")
    parser.add_argument("--option", action="append", default=[], metavar="TEXT", help="an option of the server")
    parser.add_argument("--priority", action="store_true", help="put the server before other work of the machine")
    options = parser.parse_args(arguments)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"there is no kind '{min(unknown)}'; there are {', '.join(KINDS)}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(HEAD, flush=True)
    rows = []
    for name in options.kinds or KINDS:
        rows.append(measure(name, options))
        print(text(rows[-1]), flush=True)
    return 0 if all(map(is_whole, rows)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

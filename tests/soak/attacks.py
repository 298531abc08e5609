"""The attackers: each does one hostile thing over and over, from addresses of its own, until it is told to end.

All addresses are of this machine: 127.6.0.0/16, so that the limits of one address apply to them, and not to the honest
users at 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, Final, cast

from twisted_chat.messages import Quit
from twisted_chat.wire.frames import MAX_CONTROL

from ..faults.wire import Address, reset
from ..fuzz.objects import TYPES, Chances, Words, encode, make_request, spoil
from ..websockets import CONTINUATION, PING, PONG, TEXT, frame, request, text

STEP_SECONDS: Final = 0.05
"""Seconds between two steps of an attack: two cores have the attackers, the honest users and the server."""

MANY: Final = 40
"""Connections of an attack that has many."""

NETWORK: Final = "127.6.0.0/16"
"""The addresses of the attackers."""

WORDS: Final = Words(
    nicks=("troll", "troll-2", "tr0ll", "trоll", "Troll", "victim", "boss", "nobody", "server", "x" * 33),
    rooms=("crowd", "team1", "team2", "pair1", "lobby", "cave", "cave-2", "cave-3", "..", "@boss@victim"),
    passwords=("wrong", "", "correct horse", "x" * 1024),
    tokens=("0123456789abcdef", "fedcba9876543210"),
    texts=("", "spam", "\x1b[2J\u202e", "ж" * 5000, "{" * 100, " " * 3000),
    who=("troll", "victim", "127.6.0.0/16", "127.0.0.1", "0.0.0.0/0", "::/0"),
)

KINDS: Final = [cls for cls in TYPES if cls is not Quit]


class Target:
    """The places of the server."""

    def __init__(self, tcp: Address, tls: Address, udp: Address) -> None:
        self.tcp = tcp
        self.tls = tls
        self.udp = udp
        self.web = tcp
        """Set with each start: this port is another one each time."""


class Attacker:
    """Has what attacks need: connections from hostile addresses, and choices."""

    def __init__(self, target: Target, random: Random) -> None:
        self.target = target
        self.random = random
        self.source = Chances(random)
        self.address = f"127.6.{random.randrange(4)}.{random.randrange(1, 9)}"
        self.nick = f"troll-{random.randrange(10**6)}"

    @asynccontextmanager
    async def connected(self, receive_buffer: int | None = None, place: Address | None = None) -> AsyncIterator[_Link]:
        """Connect over TCP; whatever happens, the connection is closed at the end."""
        link = await self.connect(receive_buffer, place)
        try:
            yield link
        finally:
            link.close()

    async def connect(self, receive_buffer: int | None = None, place: Address | None = None) -> _Link:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        try:
            sock.bind((self.address, 0))
            await loop.sock_connect(sock, place or self.target.tcp)
            _, link = await loop.create_connection(_Link, sock=sock)
        except BaseException:
            sock.close()
            raise
        return link

    async def crowd(self, count: int, place: Address | None = None) -> list[_Link]:
        links: list[_Link] = []
        with suppress(OSError):
            for _ in range(count):
                links.append(await self.connect(4096, place))
        return links

    def request(self, *kinds: Any) -> bytes:
        return encode(self.source, make_request(self.source, WORDS, kinds or KINDS)) + b"\n"

    async def step(self) -> None:
        await asyncio.sleep(STEP_SECONDS * self.random.random())


class _Link(asyncio.Protocol):
    """A connection that throws away what it reads."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True

    def send(self, data: bytes) -> None:
        """Send bytes, unless too many wait to be taken already."""
        if not self.transport.is_closing() and self.transport.get_write_buffer_size() < 2**20:
            self.transport.write(data)

    def say(self, **fields: Any) -> None:
        self.send(json.dumps(fields).encode() + b"\n")

    def close(self) -> None:
        reset(self.transport)


Attack = Callable[[Attacker], Awaitable[None]]


def close(links: Iterable[_Link]) -> None:
    for link in links:
        link.close()


async def flood(attacker: Attacker) -> None:
    """Send requests of all kinds as fast as they are taken."""
    async with attacker.connected() as link:
        link.say(type="hello", nick=attacker.nick)
        link.say(type="join", room="cave")
        while not link.is_lost:
            link.send(b"".join(attacker.request() for _ in range(50)))
            await attacker.step()


async def flood_one_kind(attacker: Attacker) -> None:
    """Send requests of one kind."""
    kind = attacker.random.choice(KINDS)
    async with attacker.connected() as link:
        link.say(type="hello", nick=attacker.nick)
        link.say(type="join", room="cave")
        while not link.is_lost:
            link.send(b"".join(attacker.request(kind) for _ in range(100)))
            await attacker.step()


async def talk(attacker: Attacker) -> None:
    """Say long texts in a room where nobody else is, which have to be kept."""
    async with attacker.connected() as link:
        link.say(type="hello", nick=attacker.nick)
        room = f"cave-{attacker.random.randrange(20)}"
        link.say(type="join", room=room)
        while not link.is_lost:
            for _ in range(5):
                link.say(
                    type="", room=room, msg="x" * attacker.random.randrange(8000), id=str(attacker.random.random())
                )
            await asyncio.sleep(4 * STEP_SECONDS)


async def shout(attacker: Attacker) -> None:
    """Say something in the lobby, where honest users are, without a hello."""
    async with attacker.connected() as link:
        while not link.is_lost:
            link.say(type="", msg="spam")
            await asyncio.sleep(10 * STEP_SECONDS)


async def read_nothing(attacker: Attacker) -> None:
    """Replay all rooms on many connections, and read nothing."""
    links = await attacker.crowd(MANY)
    try:
        for number, link in enumerate(links):
            link.transport.pause_reading()
            link.say(type="hello", nick=f"{attacker.nick}-{number}")
            for room in ("crowd", "team1", "lobby", "cave"):
                link.say(type="join", room=room, since=0)
        while True:
            for link in links:
                link.say(type="history", room="crowd", limit=500, id="h")
            await asyncio.sleep(1)
    finally:
        close(links)


async def half_objects(attacker: Attacker) -> None:
    """Send the first half of an object, and then a byte now and then."""
    links = await attacker.crowd(MANY)
    try:
        for link in links:
            link.send(b'{"type":"hello","nick":"' + b"a" * 16_000)
        while True:
            for link in links:
                link.send(b"a")
            await asyncio.sleep(1)
    finally:
        close(links)


async def silence(attacker: Attacker) -> None:
    """Connect, and say nothing."""
    links = await attacker.crowd(MANY)
    try:
        await asyncio.sleep(3600)
    finally:
        close(links)


async def connect_and_go(attacker: Attacker) -> None:
    """Connect, say hello or not, join or not, and break the connection."""
    while True:
        async with attacker.connected() as link:
            if attacker.random.random() < 0.5:
                link.say(type="hello", nick=f"troll-{attacker.random.randrange(10**6)}")
                link.say(type="join", room="crowd", **({"since": 0} if attacker.random.random() < 0.3 else {}))
                await attacker.step()
        await attacker.step()


async def guess_passwords(attacker: Attacker) -> None:
    """Log in to accounts with wrong passwords."""
    while True:
        async with attacker.connected() as link:
            while not link.is_lost and attacker.random.random() < 0.95:
                nick = attacker.random.choice(("victim", "boss", "nobody", attacker.nick))
                link.say(type="hello", nick=nick, password=f"guess {attacker.random.random()}")
                await attacker.step()


async def register(attacker: Attacker) -> None:
    """Register accounts, one after the other."""
    while True:
        async with attacker.connected() as link:
            link.say(type="hello", nick=f"troll-{attacker.random.randrange(10**6)}")
            link.say(type="register", password="correct horse battery staple")
            link.say(type="token", label="phone")
            await asyncio.sleep(4 * STEP_SECONDS)


async def begin_rooms(attacker: Attacker) -> None:
    """Begin rooms, set their topics, and leave them."""
    async with attacker.connected() as link:
        link.say(type="hello", nick=attacker.nick)
        while not link.is_lost:
            room = f"waste-{attacker.random.randrange(10**9)}"
            link.say(type="join", room=room)
            if attacker.random.random() < 0.2:
                link.say(type="topic", room=room, msg="a room for nothing")
            link.say(type="leave", room=room)
            await attacker.step()


async def come_and_go(attacker: Attacker) -> None:
    """Join and leave large rooms, and change the nick in them."""
    async with attacker.connected() as link:
        link.say(type="hello", nick=attacker.nick)
        while not link.is_lost:
            link.say(type="join", room=attacker.random.choice(("crowd", "team1", "lobby")))
            link.say(type="nick", nick=f"troll-{attacker.random.randrange(10**6)}")
            link.say(type="leave", room=attacker.random.choice(("crowd", "team1", "lobby")))
            await attacker.step()


async def send_garbage(attacker: Attacker) -> None:
    """Send spoiled objects."""
    while True:
        async with attacker.connected() as link:
            link.say(type="hello", nick=attacker.nick)
            while not link.is_lost:
                link.send(spoil(attacker.source, attacker.request()))
                await attacker.step()
        await attacker.step()


async def send_datagrams(attacker: Attacker) -> None:
    """Send spoiled and whole datagrams, with and without the cookie."""
    loop = asyncio.get_running_loop()
    port: _Port
    _, port = await loop.create_datagram_endpoint(
        _Port, local_addr=(attacker.address, 0), remote_addr=attacker.target.udp
    )
    try:
        while True:
            port.say(type="hello", nick=attacker.nick, pad="x" * 256, cookie=port.cookie)
            for _ in range(20):
                data = attacker.request()
                port.transport.sendto(data if attacker.random.random() < 0.7 else spoil(attacker.source, data)[:1400])
                await attacker.step()
    finally:
        port.transport.abort()


class _Port(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.cookie = "x"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.cookie = json.loads(data).get("cookie", self.cookie)

    def say(self, **fields: Any) -> None:
        self.transport.sendto(json.dumps(fields).encode())


async def begin_handshakes(attacker: Attacker) -> None:
    """Begin TLS handshakes, and break them off or send something else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while True:
        encrypted = attacker.random.random() < 0.5
        with suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection(
                    *attacker.target.tls, local_addr=(attacker.address, 0), ssl=context if encrypted else None
                )
                writer.write(b"\x16\x03\x01" + attacker.random.randbytes(100))
                await attacker.step()
                writer.transport.abort()
        await attacker.step()


async def fetch_pages(attacker: Attacker) -> None:
    """Ask for files over HTTP, many at a time, and read what comes or not."""
    paths = ("/", "/client.js", "/style.css", "/nothing", "/chat", "/../setup.cfg")
    while True:
        async with attacker.connected(4096, attacker.target.web) as link:
            if attacker.random.random() < 0.5:
                link.transport.pause_reading()
            while not link.is_lost and attacker.random.random() < 0.9:
                heads = [request(attacker.random.choice(paths), Upgrade=None) for _ in range(10)]
                data = b"".join(heads)
                link.send(data if attacker.random.random() < 0.7 else spoil(attacker.source, data))
                await attacker.step()


async def half_heads(attacker: Attacker) -> None:
    """Send the first half of a request over HTTP, and then a byte now and then."""
    links = await attacker.crowd(MANY, attacker.target.web)
    try:
        for link in links:
            link.send(request()[:-2])
        while True:
            for link in links:
                link.send(b"a")
            await asyncio.sleep(1)
    finally:
        close(links)


async def flood_frames(attacker: Attacker) -> None:
    """Send frames of all kinds over a WebSocket: requests, pings, fragments without an end, and spoiled ones."""
    opcodes = (TEXT, TEXT, TEXT, TEXT, TEXT, CONTINUATION, PING, PONG)
    while True:
        async with attacker.connected(None, attacker.target.web) as link:
            link.send(request() + text({"type": "hello", "nick": attacker.nick}))
            while not link.is_lost:
                kind, is_last = attacker.random.choice(opcodes), attacker.random.random() < 0.98
                longest = MAX_CONTROL if kind in (PING, PONG) else None
                data = b"".join(frame(kind, attacker.request()[:longest], fin=is_last) for _ in range(50))
                link.send(data if attacker.random.random() < 0.9 else spoil(attacker.source, data))
                await attacker.step()
        await attacker.step()


async def open_and_go(attacker: Attacker) -> None:
    """Open a WebSocket, say hello or not, and break the connection."""
    while True:
        async with attacker.connected(None, attacker.target.web) as link:
            link.send(request())
            if attacker.random.random() < 0.5:
                link.send(text({"type": "hello", "nick": f"troll-{attacker.random.randrange(10**6)}"}))
                link.send(text({"type": "join", "room": "crowd"}))
                await attacker.step()
        await attacker.step()


ATTACKS: Final[tuple[Attack, ...]] = (
    flood,
    flood,
    flood_one_kind,
    flood_one_kind,
    talk,
    shout,
    read_nothing,
    half_objects,
    silence,
    connect_and_go,
    guess_passwords,
    register,
    begin_rooms,
    come_and_go,
    send_garbage,
    send_datagrams,
    begin_handshakes,
    fetch_pages,
    half_heads,
    flood_frames,
    open_and_go,
)
"""The attacks; those that stand here twice are tried twice as often."""


async def attack(target: Target, random: Random, seconds: float) -> str:
    """Make one attack for some time; returns its name."""
    chosen = random.choice(ATTACKS)
    attacker = Attacker(target, random)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:  # a server that ends a connection, refuses it or is being started meets the same again
                with suppress(OSError, AttributeError):  # the latter from asyncio, if what is closing is aborted
                    await chosen(attacker)
                await asyncio.sleep(STEP_SECONDS)
    return chosen.__name__

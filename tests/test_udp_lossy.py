"""UDP on a bad network: real sockets, and a relay that loses, doubles and delays datagrams in both directions.

With TWISTED_CHAT_MESSAGES=10000 in the environment they say five times as many messages as usual.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twisted_chat.client import blocking, library
from twisted_chat.client.protocol import datagrams, pace

from .deadlines import TEST_SECONDS
from .programs import TIMEOUT, Server

MESSAGES = int(os.environ.get("TWISTED_CHAT_MESSAGES", "2000"))
"""How many are said, by four clients together."""

LOST = DOUBLED = 0.2
"""Parts of the datagrams, in each direction."""

PATIENCE = TEST_SECONDS * max(1, MESSAGES / 2000)
"""Seconds to wait for a message: so many are said first."""

DELAY = 0.005
"""Seconds that a datagram is held up at most; some overtake others."""


class Relay(DatagramProtocol):
    """A bad network in front of a server: clients send to it, and it has a socket for each of them."""

    def __init__(self, test: TestCase, server: int) -> None:
        self.sent = self.lost = self.doubled = 0
        self.cut = False
        """True while nothing goes through."""
        self.under_way: set[IDelayedCall] = set()
        """Datagrams that have not arrived yet."""
        self._server = server
        self._random = random.Random(4)
        self._ways: dict[tuple[str, int], _Way] = {}
        self._port: Any = cast(Any, reactor).listenUDP(0, self, "127.0.0.1")
        self._ports = [self._port]
        test.addCleanup(self.stop)

    @property
    def port(self) -> int:
        number: int = self._port.getHost().port
        return number

    def move(self) -> None:
        """Give each client another address, as a router does that has forgotten them."""
        self._ways.clear()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if addr not in self._ways:
            self._ways[addr] = _Way(self, addr)
            self._ports.append(cast(Any, reactor).listenUDP(0, self._ways[addr], "127.0.0.1"))
        self.deliver(self._ways[addr], datagram, ("127.0.0.1", self._server))

    def deliver(self, way: DatagramProtocol, datagram: bytes, address: tuple[str, int]) -> None:
        """Send a datagram once, twice or never, sooner or later."""
        self.sent += 1
        if self.cut or self._random.random() < LOST:
            self.lost += 1
            return
        self._send_later(way, datagram, address)
        if self._random.random() < DOUBLED:
            self.doubled += 1
            self._send_later(way, datagram, address)

    def _send_later(self, way: DatagramProtocol, datagram: bytes, address: tuple[str, int]) -> None:
        def send() -> None:
            self.under_way.remove(call)
            way.transport.write(datagram, address)  # type: ignore[union-attr] # it listens until the relay stops

        call: IDelayedCall = reactor.callLater(self._random.random() * DELAY, send)
        self.under_way.add(call)

    def stop(self) -> Deferred[Any]:
        """Stop as a whole: nothing arrives from now on, and what is under way is lost."""
        for call in self.under_way:
            call.cancel()
        self.under_way.clear()
        return gatherResults([maybeDeferred(port.stopListening) for port in self._ports])


class _Way(DatagramProtocol):
    """The relay's socket for one client."""

    def __init__(self, relay: Relay, client: tuple[str, int]) -> None:
        self._relay = relay
        self._client = client

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._relay.deliver(self._relay, datagram, self._client)


async def start(test: TestCase, *options: str) -> tuple[Server, int]:
    """Start a server; returns it and its port for datagrams."""
    server = await Server.start(test, "--udp", "0", "--rate", "0", *options)
    (match,) = await server.says(r"listening on udp 127.0.0.1:(\d+)\n")
    return server, int(match[1])


Said = list[tuple[str, str, int | None]]
"""Messages, each with its author and number."""


class Threaded:
    """A member that needs no Twisted."""

    def __init__(self, client: blocking.Client) -> None:
        self._client = client

    @classmethod
    async def enter(cls, test: TestCase, port: int, nick: str, udp: bool = True) -> Threaded:
        client = blocking.Client("127.0.0.1", port, nick, udp=udp)
        test.addCleanup(deferToThread, client.close, False)
        await deferToThread(client.start)
        return cls(client)

    def talk(self, nick: str, count: int, others: int) -> Deferred[Said]:
        """Say so many messages, and hear so many."""
        return deferToThread(self._talk, nick, count, others)

    def _talk(self, nick: str, count: int, others: int) -> Said:
        for number in range(count):
            self._client.say(f"{nick} {number}", wait=False)
        heard = [self._client.receive(PATIENCE) for _ in range(others)]
        return [(message.author, message.msg, message.seq) for message in heard]

    async def close(self) -> None:
        await deferToThread(self._client.close)


class Twisted:
    """A member that uses the library."""

    def __init__(self, client: library.Client, room: library.Room) -> None:
        self._client = client
        self._room = room

    @classmethod
    async def enter(cls, test: TestCase, port: int, nick: str, udp: bool = True) -> Twisted:
        place = f"{'udp' if udp else 'tcp'}:127.0.0.1:{port}"
        client = await library.connect(place, nick, retry=lambda _: 0.2)
        test.addCleanup(client.close, flush=False)
        return cls(client, await client.join("lobby"))

    def talk(self, nick: str, count: int, others: int) -> Deferred[Said]:
        """Say so many messages, and hear so many."""
        return Deferred.fromCoroutine(self._talk(nick, count, others))

    async def _talk(self, nick: str, count: int, others: int) -> Said:
        answers = [self._room.say(f"{nick} {number}") for number in range(count)]
        heard = [await self._room.receive().addTimeout(PATIENCE, reactor) for _ in range(others)]
        numbers = [await answer for answer in answers]
        assert sorted(numbers) == numbers
        return [(message.author, message.msg, message.seq) for message in heard]

    async def close(self) -> None:
        await self._client.close()


Member = Threaded | Twisted


class LossyTests(TestCase):
    timeout = 2 * PATIENCE

    async def check(self, watcher: Any, members: dict[str, Member], each: int, meanwhile: Any = None) -> None:
        """Let members talk, and check that each has received all messages of the others, once and in order."""
        others = each * (len(members) - 1)
        talks = gatherResults([member.talk(nick, each, others) for nick, member in members.items()])
        if meanwhile is not None:
            await meanwhile()
        heard = await talks
        said: Said = []
        history = await watcher() if meanwhile is not None else watcher
        while len(said) < each * len(members):
            obj = await history.hears()
            if obj["type"] == "":
                said.append((obj["author"], obj["msg"], obj["seq"]))
        for nick, messages in zip(members, heard, strict=True):
            self.assertEqual([msg for author, msg, _ in said if author == nick], [f"{nick} {i}" for i in range(each)])
            self.assertEqual(messages, [message for message in said if message[0] != nick])
        for member in members.values():
            await member.close()

    async def test_all_messages_arrive_once_and_in_order(self) -> None:
        self.patch(datagrams, "DEAD_SECONDS", TIMEOUT)  # a busy machine may be silent for longer than a network
        server, port = await start(self)
        relay = Relay(self, port)
        watcher = await server.hello(self, "watcher", "lobby")
        members: dict[str, Member] = {
            "ada": await Threaded.enter(self, relay.port, "ada"),
            "bob": await Twisted.enter(self, relay.port, "bob"),
            "cyd": await Threaded.enter(self, relay.port, "cyd"),
            "dan": await Twisted.enter(self, relay.port, "dan"),
        }
        await self.check(watcher, members, MESSAGES // 4)
        self.assertGreater(relay.lost, relay.sent * LOST / 2)
        self.assertGreater(relay.doubled, relay.sent * DOUBLED / 4)

    async def test_members_over_tcp_hear_the_same(self) -> None:
        self.patch(datagrams, "DEAD_SECONDS", TIMEOUT)
        server, port = await start(self)
        relay = Relay(self, port)
        watcher = await server.hello(self, "watcher", "lobby")
        members: dict[str, Member] = {
            "ada": await Threaded.enter(self, relay.port, "ada"),
            "bob": await Twisted.enter(self, relay.port, "bob"),
            "cyd": await Threaded.enter(self, server.port, "cyd", udp=False),
            "dan": await Twisted.enter(self, server.port, "dan", udp=False),
        }
        await self.check(watcher, members, MESSAGES // 16)

    async def test_the_server_may_be_killed_and_stopped_in_the_middle(self) -> None:
        self.patch(datagrams, "DEAD_SECONDS", 2.0)
        self.patch(pace, "LONGEST_PAUSE", 0.5)
        server, port = await start(self)
        relay = Relay(self, port)
        watcher = await server.hello(self, "watcher", "lobby")
        members: dict[str, Member] = {
            "ada": await Threaded.enter(self, relay.port, "ada"),
            "bob": await Twisted.enter(self, relay.port, "bob"),
        }

        async def stop() -> None:
            nonlocal server, watcher
            for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                for _ in range(20):
                    while (await watcher.hears())["type"] != "":
                        pass
                await server.stop(number)
                options = ("--port", "0", "--udp", str(port), "--rate", "0")
                server = await Server.start(self, *options, home=server.home)
                watcher = await server.hello(self, "watcher", "lobby")

        async def read_all() -> Any:
            reader = await server.hello(self, "reader")
            reader.says(type="join", room="lobby", since=0)
            return reader

        await self.check(read_all, members, MESSAGES // 4, stop)

    async def test_a_session_goes_on_from_another_address(self) -> None:
        self.patch(datagrams, "ASK_SECONDS", 0.3)
        self.patch(datagrams, "DEAD_SECONDS", 1.0)
        server, port = await start(self)
        relay = Relay(self, port)
        bob = await server.hello(self, "bob", "lobby")
        ada = blocking.Client("127.0.0.1", relay.port, "ada", udp=True)
        await deferToThread(ada.start)
        for number in range(50):
            bob.says(type="", room="lobby", msg=str(number))
        relay.move()
        for number in range(50, 100):
            bob.says(type="", room="lobby", msg=str(number))
        heard = await deferToThread(lambda: [ada.receive(TIMEOUT).msg for _ in range(100)])
        self.assertEqual(heard, [str(number) for number in range(100)])
        await deferToThread(ada.close)


class RelayTests(TestCase):
    """The relay itself."""

    async def test_a_relay_that_stops_leaves_no_datagram_under_way(self) -> None:
        relay = Relay(self, 9)
        for _ in range(100):
            relay.datagramReceived(b"{}", ("127.0.0.1", 9))
        calls = tuple(relay.under_way)
        self.assertGreater(len(calls), 50)
        await relay.stop()
        self.assertFalse(any(call.active() for call in calls))


class PlainTests(TestCase):
    """A client of a few lines, as the protocol has it."""

    async def test_a_server_that_shuts_down_says_stop_over_udp_too(self) -> None:
        server, port = await start(self)
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.connect(("127.0.0.1", port))
        client.settimeout(TIMEOUT)

        def ask(**request: str) -> Any:
            client.send(json.dumps(request).encode())
            return json.loads(client.recv(2000))

        hello = {"type": "hello", "nick": "ada", "pad": "." * 200}
        cookie = (await deferToThread(ask, **hello))["cookie"]
        welcome = await deferToThread(ask, **hello, cookie=cookie)
        self.assertEqual((welcome["type"], welcome["n"]), ("welcome", 1))
        self.assertEqual(await server.stop(), 0)
        stop = json.loads(client.recv(2000))
        self.assertEqual((stop["type"], stop["msg"], stop["n"]), ("stop", "the server is shutting down", 2))

"""UDP on a bad network: real sockets, and a relay that loses, doubles and delays datagrams in both directions.

With TWISTED_CHAT_MESSAGES=10000 in the environment they say five times as many messages as usual.
"""

from __future__ import annotations

import json
import os
import random
import socket
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from twisted_chat.client import blocking, datagrams

from .programs import TIMEOUT, Server

MESSAGES = int(os.environ.get("TWISTED_CHAT_MESSAGES", "2000"))
"""How many are said, by four clients together."""

LOST = DOUBLED = 0.2
"""Parts of the datagrams, in each direction."""

DELAY = 0.005
"""Seconds that a datagram is held up at most; some overtake others."""


class Relay(DatagramProtocol):
    """A bad network in front of a server: clients send to it, and it has a socket for each of them."""

    def __init__(self, test: TestCase, server: int) -> None:
        self.sent = self.lost = self.doubled = 0
        self.cut = False
        """Nothing goes through."""
        self._test = test
        self._server = server
        self._random = random.Random(4)
        self._ways: dict[tuple[str, int], _Way] = {}
        self._port: Any = cast(Any, reactor).listenUDP(0, self, "127.0.0.1")
        test.addCleanup(self._port.stopListening)
        test.addCleanup(setattr, self, "cut", True)

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
            port: Any = cast(Any, reactor).listenUDP(0, self._ways[addr], "127.0.0.1")
            self._test.addCleanup(port.stopListening)
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
            if not self.cut:
                way.transport.write(datagram, address)  # type: ignore[union-attr]

        reactor.callLater(self._random.random() * DELAY, send)


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


def talk(client: blocking.Client, nick: str, count: int, others: int) -> list[tuple[str, str, int | None]]:
    """Say so many messages and hear so many; returns those, each with its author and number."""
    for number in range(count):
        client.say(f"{nick} {number}", wait=False)
    heard = [client.receive(TIMEOUT) for _ in range(others)]
    return [(message.author, message.msg, message.seq) for message in heard]


class LossyTests(TestCase):
    timeout = 300

    async def test_all_arrive_once_and_in_order(self) -> None:
        self.patch(datagrams, "DEAD_SECONDS", TIMEOUT)  # a busy machine may be silent for longer than a network
        server, port = await start(self)
        relay = Relay(self, port)
        watcher = await server.hello(self, "watcher", "lobby")
        nicks = ["ada", "bob", "cyd", "dan"]
        clients = [blocking.Client("127.0.0.1", relay.port, nick, udp=True) for nick in nicks]
        each = MESSAGES // len(nicks)
        await gatherResults([deferToThread(client.start) for client in clients])
        talks = [
            deferToThread(talk, client, nick, each, each * (len(nicks) - 1))
            for client, nick in zip(clients, nicks, strict=True)
        ]
        heard = await gatherResults(talks)
        said: list[tuple[str, str, int]] = []
        while len(said) < each * len(nicks):
            obj = await watcher.hears()
            if obj["type"] == "":
                said.append((obj["author"], obj["msg"], obj["seq"]))
        await gatherResults([deferToThread(client.close) for client in clients])
        for nick, messages in zip(nicks, heard, strict=True):
            self.assertEqual([msg for author, msg, _ in said if author == nick], [f"{nick} {i}" for i in range(each)])
            self.assertEqual(messages, [message for message in said if message[0] != nick])
        self.assertGreater(relay.lost, relay.sent * LOST / 2)
        self.assertGreater(relay.doubled, relay.sent * DOUBLED / 4)

    async def test_from_another_address_it_goes_on(self) -> None:
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


class PlainTests(TestCase):
    """A client of a few lines, as the protocol has it."""

    async def test_goodbye_is_said_over_udp_too(self) -> None:
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

"""The library over UDP: the endpoint, with real sockets. What gets lost is the matter of `test_udp_lossy`."""

from __future__ import annotations

import signal
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import CannotListenError, ConnectionAborted, ConnectionDone, DNSLookupError, NoProtocol
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.client import RequestError, State, StateChanged, UnreachableError, connect
from twisted_chat.client.protocol import datagrams
from twisted_chat.client.udp import UDPEndpoint

from .programs import TIMEOUT, Server
from .test_udp_lossy import Relay, start


class Objects(Protocol):
    """Reads the objects of a connection."""

    transport: Any

    def __init__(self) -> None:
        self.lost: Deferred[BaseException] = Deferred()
        self.unread: list[dict[str, Any]] = []
        self._listening: Deferred[None] | None = None

    def says(self, **request: Any) -> None:
        self.transport.send([{"token": "0123456789abcdef", **request}])

    async def hears(self) -> dict[str, Any]:
        if not self.unread:
            self._listening = Deferred()
            await self._listening.addTimeout(TIMEOUT, reactor)
        return self.unread.pop(0)

    def objects_received(self, objects: list[dict[str, Any]]) -> None:
        self.unread += objects
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert reason.value
        self.lost.callback(reason.value)


class DescriptionTests(SynchronousTestCase):
    def test_it_may_have_names_and_an_escaped_address(self) -> None:
        for description, shown in (
            ("udp:chat.example:14900", "<UDP to chat.example, port 14900>"),
            ("udp:host=chat.example:port=1:timeout=0.5", "<UDP to chat.example, port 1>"),
            (r"udp:\:\:1:14900", "<UDP to ::1, port 14900>"),
        ):
            self.assertEqual(repr(clientFromString(reactor, description)), shown)

    def test_one_that_lacks_something_is_an_error(self) -> None:
        for description in ("udp:chat.example", "udp:chat.example:http"):
            self.assertRaises((TypeError, ValueError), clientFromString, reactor, description)


class EndpointTests(TestCase):
    async def fails(self, endpoint: UDPEndpoint, kind: type[BaseException]) -> str:
        with self.assertRaises(kind) as caught:
            await connectProtocol(endpoint, Objects())
        return str(caught.exception)

    def free_port(self) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
            return port

    def silent_port(self) -> int:
        """Make a port that takes everything and says nothing."""
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(("127.0.0.1", 0))
        port: int = silent.getsockname()[1]
        return port

    async def test_where_nobody_is_it_is_refused(self) -> None:
        await self.fails(UDPEndpoint(reactor, "127.0.0.1", self.free_port()), Refused)

    async def test_where_nobody_answers_it_says_so(self) -> None:
        text = await self.fails(UDPEndpoint(reactor, "127.0.0.1", self.silent_port(), 0.3), TimeoutError)
        self.assertEqual(text, "the server did not answer within 0.3 seconds")

    async def test_where_there_is_no_way_it_says_so(self) -> None:
        await self.fails(UDPEndpoint(reactor, "255.255.255.255", 1), OSError)

    async def test_a_host_that_nobody_knows_is_an_error(self) -> None:
        await self.fails(UDPEndpoint(reactor, "a" * 70, 1), DNSLookupError)

    async def test_a_host_may_have_several_addresses(self) -> None:
        _, port = await start(self)
        addresses = [("127.0.0.1", self.free_port()), ("127.0.0.1", port)]
        infos = [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", address) for address in addresses]
        self.patch(socket, "getaddrinfo", lambda *_, **__: infos)
        peer = await connectProtocol(UDPEndpoint(reactor, "chat.example", 1), Objects())
        self.assertEqual(peer.transport.getPeer(), IPv4Address("UDP", "127.0.0.1", port))
        peer.transport.loseConnection()
        await peer.lost

    async def test_without_ipv6_the_next_address_is_taken(self) -> None:
        _, port = await start(self)
        udp: Any = reactor
        listen = udp.listenUDP

        def listen_without_ipv6(port: int, protocol: Any, interface: str) -> Any:
            if interface == "::":
                raise CannotListenError(interface, 0, OSError("Address family not supported by protocol"))
            return listen(port, protocol, interface=interface)

        self.patch(reactor, "listenUDP", listen_without_ipv6)
        infos: list[tuple[Any, ...]] = [(socket.AF_INET6, socket.SOCK_DGRAM, 0, "", ("::1", port, 0, 0))]
        self.patch(socket, "getaddrinfo", lambda *_, **__: infos)
        text = await self.fails(UDPEndpoint(reactor, "chat.example", 1), OSError)
        self.assertEqual(text, "Address family not supported by protocol")
        infos.append((socket.AF_INET, socket.SOCK_DGRAM, 0, "", ("127.0.0.1", port)))
        peer = await connectProtocol(UDPEndpoint(reactor, "chat.example", 1), Objects())
        self.assertEqual(peer.transport.getPeer(), IPv4Address("UDP", "127.0.0.1", port))
        peer.transport.loseConnection()
        await peer.lost

    async def test_it_can_be_given_up(self) -> None:
        connecting = connectProtocol(UDPEndpoint(reactor, "127.0.0.1", self.silent_port()), Objects())
        reactor.callLater(0.05, connecting.cancel)
        with self.assertRaises(CancelledError):
            await connecting

    async def test_a_factory_may_want_no_connection(self) -> None:
        _, port = await start(self)

        class Nothing(Factory):
            def buildProtocol(self, addr: object) -> None:
                return None

        with self.assertRaises(NoProtocol):
            await UDPEndpoint(reactor, "127.0.0.1", port).connect(Nothing())

    async def connect(self, port: int, host: str = "127.0.0.1") -> Objects:
        peer: Objects = await connectProtocol(UDPEndpoint(reactor, host, port), Objects())
        self.addCleanup(peer.transport.abortConnection)
        return peer

    async def test_it_carries_objects(self) -> None:
        _, port = await start(self)
        peer = await self.connect(port)
        peer.transport.send([{"type": "hello", "nick": "al", "token": 16 * "t"}, {"type": "ping", "id": "p"}])
        self.assertEqual({(await peer.hears())["type"] for _ in range(2)}, {"welcome", "pong"})
        self.assertEqual(peer.transport.getHost().type, "UDP")

    async def test_after_the_end_nothing_comes(self) -> None:
        _, port = await start(self)
        peer = await self.connect(port)
        peer.transport.loseConnection()
        peer.transport._session.received(b'{"type":"ping","n":1}', 0.0)
        peer.transport._turn()
        self.assertIsInstance(await peer.lost, ConnectionDone)
        self.assertEqual(peer.unread, [])

    async def test_it_ends_when_the_server_is_gone(self) -> None:
        server, port = await start(self)
        peer = await self.connect(port)
        peer.says(type="hello", nick="al")
        await peer.hears()
        await server.stop(signal.SIGKILL)
        peer.says(type="rooms", id="r")
        self.assertIsInstance(await peer.lost, Refused)

    async def test_it_ends_when_the_server_says_nothing(self) -> None:
        self.patch(datagrams, "ASK_SECONDS", 0.2)
        self.patch(datagrams, "DEAD_SECONDS", 1.0)
        _, port = await start(self)
        relay = Relay(self, port)
        peer = await self.connect(relay.port)
        relay.cut = True
        self.assertIsInstance(await peer.lost, TimeoutError)

    async def test_it_can_be_ended_from_here(self) -> None:
        _, port = await start(self)
        peer = await self.connect(port)
        peer.transport.abortConnection()
        peer.transport.loseConnection()
        peer.says(type="hello", nick="al")
        self.assertIsInstance(await peer.lost, ConnectionAborted)

    async def test_what_cannot_be_sent_now_is_sent_later(self) -> None:
        _, port = await start(self)
        peer = await self.connect(port)
        send = peer.transport._socket.write

        def fail(datagram: bytes) -> None:
            peer.transport._socket.write = send
            raise BlockingIOError

        peer.transport._socket.write = fail
        peer.says(type="hello", nick="al")
        self.assertEqual((await peer.hears())["type"], "welcome")

    async def test_a_refusal_may_come_when_something_is_sent(self) -> None:
        _, port = await start(self)
        peer = await self.connect(port)
        sent: list[bytes] = []

        def refuse(datagram: bytes) -> None:
            sent.append(datagram)
            peer.transport.connectionRefused()

        peer.transport._socket.write = refuse
        peer.transport.send([{"type": "pong"}, {"type": "pong"}])
        self.assertIsInstance(await peer.lost, Refused)
        self.assertEqual(len(sent), 1)

    async def test_over_ipv6(self) -> None:
        server = await Server.start(self, "--udp", "[::1]:0")
        (match,) = await server.says(r"listening on udp \[::1\]:(\d+)\n")
        peer = await self.connect(int(match[1]), "::1")
        self.assertEqual(peer.transport.getPeer(), IPv6Address("UDP", "::1", int(match[1])))


class LibraryTests(TestCase):
    async def test_a_conversation(self) -> None:
        server, port = await start(self)
        bob = await server.hello(self, "bob", "lobby")
        async with await connect(f"udp:127.0.0.1:{port}", nick="ada") as ada:
            room = await ada.join("lobby")
            self.assertEqual(await room.say("hi"), 1)
            await bob.hears_all(2)
            text = "".join(f"{number:05}," for number in range(1500))
            bob.says(type="", room="lobby", msg=text)
            self.assertEqual((await room.receive()).msg, text)
            with self.assertRaises(RequestError) as caught:
                await room.say("x" * 1200)
            self.assertEqual(caught.exception.code, "too-long")
            self.assertRegex(str(caught.exception), "this has 1,2.. bytes on the wire; at most 1,1.. are allowed")
            self.assertEqual((await room.history()).messages[-1].msg, text)
            self.assertEqual((await room.who()).members, ["ada", "bob"])
        self.assertEqual((await bob.hears())["type"], "leave")

    async def test_a_place_beyond_the_log_is_one_of_another_log(self) -> None:
        server, port = await start(self)
        bob = await server.hello(self, "bob", "lobby")
        await bob.asks(type="", room="lobby", msg="first", id="1")
        for nick, description in (("ada", f"udp:127.0.0.1:{port}"), ("cyd", f"tcp:127.0.0.1:{server.port}")):
            async with await connect(description, nick=nick) as client:
                room = await client.join("lobby", since=1000)
                self.assertEqual((await room.receive()).msg, "first")

    async def test_without_a_server_it_says_so(self) -> None:
        server, port = await start(self)
        await server.stop()
        with self.assertRaises(UnreachableError) as caught:
            await connect(f"udp:127.0.0.1:{port}", nick="ada")
        self.assertIsInstance(caught.exception.__cause__, Refused)

    async def test_a_nick_that_is_taken_is_an_exception(self) -> None:
        server, port = await start(self)
        await server.hello(self, "bob")
        with self.assertRaises(RequestError) as caught:
            await connect(f"udp:127.0.0.1:{port}", nick="bob")
        self.assertEqual(caught.exception.code, "nick-taken")

    async def test_a_server_that_is_killed_and_comes_back(self) -> None:
        self.patch(datagrams, "ASK_SECONDS", 0.5)
        self.patch(datagrams, "DEAD_SECONDS", 1.0)
        server, port = await start(self)
        ada = await connect(f"udp:127.0.0.1:{port}", nick="ada", retry=lambda _: 0.1)
        self.addCleanup(ada.close, flush=False)
        room = await ada.join("lobby")
        await room.say("before")
        back: Deferred[None] = Deferred()

        def changed(change: StateChanged) -> None:
            if change.state is State.CONNECTED and not back.called:  # a slow server is lost, and found, once more
                back.callback(None)

        ada.on(StateChanged, changed)
        await server.stop(signal.SIGKILL)
        said = room.say("meanwhile")
        server = await Server.start(self, "--port", "0", "--udp", str(port), home=server.home)
        await back.addTimeout(TIMEOUT, reactor)
        self.assertEqual(await said, 2)
        bob = await server.hello(self, "bob", "lobby")
        bob.says(type="", room="lobby", msg="welcome back")
        self.assertEqual((await room.receive()).msg, "welcome back")

"""Connections over TCP, TLS and Unix sockets: how they begin and end, and what happens to what is written."""

from __future__ import annotations

import gc
import json
import select
import socket
import struct
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast
from weakref import ref

from twisted.internet import reactor as running
from twisted.internet import ssl
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat import chat, newcomer
from twisted_chat.chat import Chat
from twisted_chat.limits import MAX_REFUSED, Limits
from twisted_chat.log import Log
from twisted_chat.wire import stream
from twisted_chat.wire.jsonlines import JSONLinesFactory
from twisted_chat.wire.stream import Stream, writer

from .certificates import certificate
from .deadlines import WAIT_SECONDS
from .helpers import UNLIMITED, FakeLog, FakeWire, Server
from .logins import make_login

reactor: Any = running
ADDRESS = IPv4Address("TCP", "192.0.2.1", 49474)


class CrowdTests(SynchronousTestCase):
    """Above the limit of connections, a few are told so, and more are cut."""

    def test_a_connection_beyond_those_that_are_told_is_cut(self) -> None:
        server = Server(limits=Limits(connections=1))
        factory = JSONLinesFactory(server.chat)
        made = []
        for number in range(1 + MAX_REFUSED + 1):
            address = IPv4Address("TCP", f"192.0.2.{number}", 49474)
            protocol, transport = factory.buildProtocol(address), StringTransport()
            protocol.makeConnection(transport)
            made.append((protocol, transport))
        self.assertEqual([transport.disconnecting for _, transport in made].count(True), 1)
        last, transport = made[-1]
        self.assertTrue(transport.disconnecting)
        last.dataReceived(b'{"type":"ping"}')
        last.connectionLost()
        self.assertEqual((transport.value(), server.chat.admits("192.0.2.99")), (b"", False))
        made[0][0].connectionLost()
        self.assertTrue(server.chat.admits("192.0.2.99"))


class Recorder(Protocol):
    """One end of a real connection, which remembers what becomes of it."""

    def __init__(self) -> None:
        self.made: Deferred[None] = Deferred()
        self.is_lost = False
        self._ending: list[Deferred[None]] = []
        self.received = b""
        self.paused: list[bool] = []
        self._until: tuple[Callable[[bytes], bool], Deferred[None]] | None = None

    def connectionMade(self) -> None:
        self.made.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._look()

    def until(self, enough: Callable[[bytes], bool]) -> Deferred[None]:
        """Fire when enough was received."""
        done: Deferred[None] = Deferred()
        self._until = enough, done
        self._look()
        return done

    def _look(self) -> None:
        if self._until is not None and self._until[0](self.received):
            _, done = self._until
            self._until = None
            done.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        ending, self._ending = self._ending, []
        for done in ending:
            done.callback(None)

    def end(self) -> Deferred[None]:
        """Fire when the connection is lost."""
        done: Deferred[None] = Deferred()
        if self.is_lost:
            done.callback(None)
        else:
            self._ending.append(done)
        return done

    def pauseProducing(self) -> None:
        self.paused.append(True)

    def resumeProducing(self) -> None:
        self.paused.append(False)

    def stopProducing(self) -> None:
        """Called when the connection is lost."""


class WriterTests(TestCase):
    """Bytes that the kernel takes are written at once; the rest goes to the transport, and nothing is lost."""

    @inlineCallbacks
    def setUp(self) -> Generator[Deferred[Any], Any, None]:  # type: ignore[override]  # trial waits for a Deferred
        self.end = Recorder()
        factory = Factory()
        self.patch(factory, "buildProtocol", lambda addr: self.end)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.socket = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.addCleanup(self.socket.close)
        self.socket.settimeout(WAIT_SECONDS)
        yield self.end.made
        transport: Any = self.end.transport
        self.transport = transport
        self.write, self.traffic = writer(transport)

    @inlineCallbacks
    def tearDown(self) -> Generator[Deferred[Any], Any, None]:  # type: ignore[override]  # trial waits for a Deferred
        self.transport.abortConnection()
        yield self.end.end()

    @inlineCallbacks
    def read(self, size: int) -> Generator[Deferred[Any], Any, bytes]:
        """Read so much at the other end, while the reactor runs."""
        self.socket.setblocking(False)
        data = b""
        while len(data) < size:
            try:
                data += self.socket.recv(2**20)
            except BlockingIOError:
                yield deferLater(reactor, 0)
        return data

    def test_it_is_there_before_the_reactor_turns(self) -> None:
        self.write(b"one\n")
        self.write(b"two\n")
        data = b""
        while len(data) < 8:
            data += self.socket.recv(100)
        self.assertEqual(data, b"one\ntwo\n")

    @inlineCallbacks
    def test_what_the_kernel_does_not_take_follows_in_order(self) -> Generator[Deferred[Any], Any, None]:
        self.transport.registerProducer(self.end, True)
        lines = [b"%07d%s\n" % (i, b"x" * 100_000) for i in range(200)]
        for line in lines:
            self.write(line)
        self.assertTrue(self.transport.dataBuffer or self.transport._tempDataBuffer)
        self.assertEqual(self.end.paused[:1], [True])
        expected = b"".join(lines)
        data = yield self.read(len(expected))
        self.assertTrue(data == expected)
        self.assertEqual(self.end.paused[-1:], [False])
        self.write(b"and on\n")
        data = yield self.read(7)
        self.assertEqual(data, b"and on\n")

    @inlineCallbacks
    def test_the_queue_is_looked_at_only_until_it_is_empty(self) -> Generator[Deferred[Any], Any, None]:
        looked: list[None] = []
        transport = self.transport

        class Looked(type(transport)):  # type: ignore[misc]  # the class of a transport is found out here
            def __getattribute__(self, name: str) -> Any:
                if name == "_tempDataBuffer":
                    looked.append(None)
                return super().__getattribute__(name)

        transport.__class__ = Looked
        self.write(b"one\n")
        self.assertEqual(len(looked), 1, "something may have been queued before")
        for _ in range(3):
            self.write(b"two\n")
        self.assertEqual(len(looked), 1)
        yield self.read(16)

    @inlineCallbacks
    def test_what_is_queued_already_comes_first(self) -> Generator[Deferred[Any], Any, None]:
        self.transport.write(b"one\n")
        self.write(b"two\n")
        data = yield self.read(8)
        self.assertEqual(data, b"one\ntwo\n")

    @inlineCallbacks
    def test_a_connection_that_was_reset_is_lost_in_its_own_time(self) -> Generator[Deferred[Any], Any, None]:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        for _ in range(3):
            self.write(b"into the void\n")
        self.assertFalse(self.end.is_lost)
        yield self.end.end()
        self.write(b"and after the end\n")

    def test_where_there_is_no_plain_socket_it_is_the_transport_that_writes(self) -> None:
        transport = StringTransport()
        writer(cast(Any, transport))[0](b"hi\n")
        self.assertEqual(transport.value(), b"hi\n")

    def test_where_there_is_tls_it_is_the_transport_that_writes(self) -> None:
        self.transport.TLS = True
        written: list[bytes] = []
        self.patch(self.transport, "write", written.append)
        write, traffic = writer(self.transport)
        write(b"hi\n")
        self.transport.TLS = False
        self.assertEqual((written, traffic.sent), ([b"hi\n"], 3))

    @inlineCallbacks
    def test_the_bytes_are_counted_whether_the_kernel_takes_them_or_not(self) -> Generator[Deferred[Any], Any, None]:
        for _ in range(100):
            self.write(b"x" * 100_000)
        self.assertEqual(self.traffic.sent, 10_000_000)
        self.assertTrue(self.transport.dataBuffer or self.transport._tempDataBuffer)
        yield self.read(10_000_000)


class TLSWriterTests(TestCase):
    """Encrypted bytes go the same short way, and nothing is lost."""

    @inlineCallbacks
    def setUp(self) -> Generator[Deferred[Any], Any, None]:  # type: ignore[override]  # trial waits for a Deferred
        home = Path(self.mktemp())
        home.mkdir()
        trusted = certificate(home)
        self.end, self.other = Recorder(), Recorder()
        factory = Factory()
        self.patch(factory, "buildProtocol", lambda addr: self.end)
        private = ssl.PrivateCertificate.loadPEM((home / "localhost.pem").read_bytes())
        port = reactor.listenSSL(0, factory, private.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
        options = ssl.optionsForClientTLS("localhost", trusted)
        yield connectProtocol(wrapClientTLS(options, client), self.other)
        yield self.end.made
        self.write, _ = writer(cast(Any, self.end.transport))
        self.write(b"hello\n")
        yield self.other.until(lambda data: data == b"hello\n")
        self.other.received = b""

    @inlineCallbacks
    def tearDown(self) -> Generator[Deferred[Any], Any, None]:  # type: ignore[override]  # trial waits for a Deferred
        cast(Any, self.end.transport).abortConnection()
        yield self.end.end()
        yield self.other.end()
        self.write(b"after the end\n")

    def test_it_is_there_before_the_reactor_turns(self) -> None:
        self.write(b"one\n")
        handle = cast(Any, self.other.transport).transport.getHandle()
        self.assertEqual(select.select([handle], [], [], WAIT_SECONDS)[0], [handle])

    @inlineCallbacks
    def test_what_the_kernel_does_not_take_follows_in_order(self) -> Generator[Deferred[Any], Any, None]:
        transport: Any = self.end.transport
        transport.registerProducer(self.end, True)
        lines = [b"%07d%s\n" % (i, b"x" * 100_000) for i in range(200)]
        for line in lines:
            self.write(line)
        self.assertEqual(self.end.paused[:1], [True])
        expected = b"".join(lines)
        yield self.other.until(lambda data: len(data) >= len(expected))
        self.assertTrue(self.other.received == expected)
        self.assertEqual(self.end.paused[-1:], [False])
        transport.unregisterProducer()

    def test_over_what_is_no_plain_socket_it_is_the_transport_that_writes(self) -> None:
        tls: Any = self.end.transport
        written: list[bytes] = []
        self.patch(tls, "transport", StringTransport())
        self.patch(tls, "write", written.append)
        writer(tls)[0](b"hi\n")
        self.assertEqual(written, [b"hi\n"])


class ConnectionTests(TestCase):
    """Whole connections, over real sockets."""

    def setUp(self) -> None:
        log: Log = FakeLog()
        self.chat = Chat(reactor, log, make_login(), UNLIMITED)
        self.successResultOf(self.chat.start())
        self.factory = JSONLinesFactory(self.chat)

    @inlineCallbacks
    def tearDown(self) -> Generator[Deferred[Any], Any, None]:  # type: ignore[override]  # trial waits for a Deferred
        yield self.chat.stop("the test is over")

    def dial(self, connect: Callable[[Any], Any]) -> Deferred[Recorder]:
        client = Recorder()
        factory = ClientFactory()
        self.patch(factory, "buildProtocol", lambda addr: client)
        connect(factory)
        return client.made.addCallback(lambda _: client)

    def tcp(self) -> Deferred[Recorder]:
        port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return self.dial(lambda factory: reactor.connectTCP("127.0.0.1", port.getHost().port, factory))

    def unix(self) -> Deferred[Recorder]:
        path = self.mktemp()[-90:]
        port = reactor.listenUNIX(path, self.factory)
        self.addCleanup(port.stopListening)
        return self.dial(lambda factory: reactor.connectUNIX(path, factory))

    def tls(self) -> Deferred[Recorder]:
        certificate = ssl.KeyPair.generate(size=2048).selfSignedCert(1, commonName="localhost")
        port = reactor.listenSSL(0, self.factory, certificate.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        context = ssl.CertificateOptions()
        return self.dial(lambda factory: reactor.connectSSL("127.0.0.1", port.getHost().port, factory, context))

    def guest(self) -> FakeWire:
        """Connect somebody to the lobby who talks."""
        wire = FakeWire()
        self.chat.connected(wire)
        wire.hear(b'{"type":"hello","nick":"bob"}')
        wire.hear(b'{"type":"join","room":"lobby"}')
        return wire

    @inlineCallbacks
    def converse(self, dialled: Deferred[Recorder]) -> Generator[Deferred[Any], Any, None]:
        """Say hello, enter, read nothing while much is said, then read all of it, and quit."""
        client = yield dialled
        transport = client.transport
        transport.write(b'{"type":"hello","nick":"alice"}\n{"type":"join","room":"lobby"}\n')
        yield client.until(lambda data: data.count(b"\n") == 2)
        client.received = b""
        transport.pauseProducing()
        (session,) = self.chat.nicks.bearers("alice")
        guest = self.guest()
        line = json.dumps({"type": "", "room": "lobby", "msg": "x" * 16_000}).encode()
        count = 0
        while not session.paused:
            guest.hear(line)
            count += 1
            yield deferLater(reactor, 0)
        for _ in range(50):
            guest.hear(line)
            count += 1
            yield deferLater(reactor, 0)
        (member,) = session.members.values()
        self.assertNotIn(session, member.room.live)
        transport.resumeProducing()
        yield client.until(lambda data: data.count(b'"seq"') == count and data.endswith(b"\n"))
        objects = [json.loads(line) for line in client.received.splitlines()]
        self.assertEqual([obj["seq"] for obj in objects if obj["type"] == ""], list(range(1, count + 1)))
        client.received = b""
        guest.hear(line)
        yield client.until(lambda data: data.endswith(b"\n"))
        client.received = b""
        transport.write(b'{"type":"quit"}\n')
        yield client.end()
        self.assertEqual(json.loads(client.received)["type"], "stop")
        self.chat.disconnected(guest)

    def test_over_tcp(self) -> Deferred[None]:
        return self.converse(self.tcp())

    def test_over_a_unix_socket(self) -> Deferred[None]:
        return self.converse(self.unix())

    def test_over_tls(self) -> Deferred[None]:
        return self.converse(self.tls())

    @inlineCallbacks
    def free(self, dialled: Deferred[Recorder]) -> Generator[Deferred[Any], Any, None]:
        """Say hello and go: the connection is freed before anything looks for cycles."""
        client = yield dialled
        client.transport.write(b'{"type":"hello","nick":"alice"}\n')
        yield client.until(lambda data: b"welcome" in data)
        wire, transport = self.refer_to_the_wire()
        gc.disable()
        self.addCleanup(gc.enable)
        client.transport.loseConnection()
        while self.chat.wires:
            yield deferLater(reactor, 0)
        for _ in range(3):
            yield deferLater(reactor, 0)
        self.assertEqual((wire(), transport()), (None, None))

    def refer_to_the_wire(self) -> tuple[ref[Any], ref[Any]]:
        """Return references to the only wire and to the transport that has its socket, which keep neither."""
        (wire,) = (cast(Any, wire) for wire in self.chat.wires)
        return ref(wire), ref(getattr(wire.transport, "transport", wire.transport))

    def test_a_lost_connection_over_tcp_is_freed_at_once(self) -> Deferred[None]:
        return self.free(self.tcp())

    def test_a_lost_connection_over_a_unix_socket_is_freed_at_once(self) -> Deferred[None]:
        return self.free(self.unix())

    def test_a_lost_connection_over_tls_is_freed_at_once(self) -> Deferred[None]:
        return self.free(self.tls())

    def before_handshake(self) -> Deferred[Recorder]:
        """Connect to a place with TLS, and say nothing of it."""
        certificate = ssl.KeyPair.generate(size=2048).selfSignedCert(1, commonName="localhost")
        port = reactor.listenSSL(0, self.factory, certificate.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.made: Deferred[Stream] = Deferred()
        build = self.factory.buildProtocol

        def built(addr: Any) -> Stream:
            protocol = build(addr)
            reactor.callLater(0, self.made.callback, protocol)
            return protocol

        self.patch(self.factory, "buildProtocol", built)
        return self.dial(lambda factory: reactor.connectTCP("127.0.0.1", port.getHost().port, factory))

    @inlineCallbacks
    def test_without_a_handshake_there_is_nobody(self) -> Generator[Deferred[Any], Any, None]:
        self.patch(newcomer, "GRACE_SECONDS", 0.0)
        lobby = self.chat.rooms.get("lobby")
        assert lobby
        client = yield self.before_handshake()
        protocol = yield self.made
        for _ in range(3):
            yield deferLater(reactor, 0)
        self.assertEqual((len(self.chat.wires), len(self.chat.nicks)), (1, 0))
        protocol.handshakeCompleted()
        while not lobby.paced:
            yield deferLater(reactor, 0)
        client.transport.loseConnection()
        yield client.end()

    @inlineCallbacks
    def test_a_handshake_that_takes_too_long_is_cut(self) -> Generator[Deferred[Any], Any, None]:
        self.patch(stream, "HANDSHAKE_SECONDS", 0.05)
        client = yield self.before_handshake()
        yield client.end()
        self.assertEqual(client.received, b"")

    @inlineCallbacks
    def test_one_that_is_done_is_not(self) -> Generator[Deferred[Any], Any, None]:
        client = yield self.tls()
        while not self.chat.wires or any(cast(Stream, wire)._deadline for wire in self.chat.wires):
            yield deferLater(reactor, 0)
        client.transport.write(b'{"type":"hello","nick":"alice"}\n')
        yield client.until(lambda data: b"welcome" in data)

    @inlineCallbacks
    def test_a_server_that_stops_waits_for_no_handshake(self) -> Generator[Deferred[Any], Any, None]:
        self.patch(chat, "STOP_SECONDS", 0.1)
        client = yield self.before_handshake()
        protocol = yield self.made
        stopped = self.chat.stop("maintenance")
        protocol.handshakeCompleted()
        while not protocol._closing:
            yield deferLater(reactor, 0)
        protocol.handshakeCompleted()
        yield stopped
        yield client.end()
        self.assertEqual(list(self.chat.nicks), [])

    @inlineCallbacks
    def test_a_client_that_only_closes_its_own_side_reads_what_it_asked_for(
        self,
    ) -> Generator[Deferred[Any], Any, None]:
        client = yield self.tcp()
        client.transport.write(b'{"type":"hello","nick":"alice"}{"type":"rooms"}')
        client.transport.loseWriteConnection()
        yield client.end()
        types = [json.loads(line)["type"] for line in client.received.splitlines()]
        self.assertEqual(types, ["welcome", "rooms", "stop"])

    @inlineCallbacks
    def test_a_server_that_stops_waits_for_nobody_who_reads_nothing(self) -> Generator[Deferred[Any], Any, None]:
        self.patch(chat, "STOP_SECONDS", 0.1)
        client = yield self.tcp()
        client.transport.write(b'{"type":"hello","nick":"alice"}\n{"type":"join","room":"lobby"}\n')
        yield client.until(lambda data: data.count(b"\n") == 2)
        client.transport.pauseProducing()
        guest = self.guest()
        line = json.dumps({"type": "", "room": "lobby", "msg": "x" * 16_000}).encode()
        while not self.chat.nicks.bearers("alice")[0].paused:
            guest.hear(line)
            yield deferLater(reactor, 0)
        self.chat.disconnected(guest)
        yield self.chat.stop("maintenance")
        client.transport.resumeProducing()
        yield client.end()

    @inlineCallbacks
    def test_what_was_written_arrives_though_the_client_goes_on_talking(self) -> Generator[Deferred[Any], Any, None]:
        client = yield self.tcp()
        client.transport.write(b'{"type":"hello","nick":"alice"}\n')
        yield client.until(lambda data: b"welcome" in data)
        client.transport.write(b'{"type":"quit"}\n' + b'{"type":"ping"}\n' * 100_000)
        client.transport.pauseProducing()
        while self.chat.nicks:
            yield deferLater(reactor, 0)
        client.transport.write(b'{"type":"ping"}\n' * 1000)
        yield deferLater(reactor, 0)
        client.transport.resumeProducing()
        yield client.end()
        self.assertEqual([json.loads(line)["type"] for line in client.received.splitlines()], ["welcome", "stop"])

    @inlineCallbacks
    def test_who_does_not_close_its_own_side_is_let_go(self) -> Generator[Deferred[Any], Any, None]:
        self.patch(stream, "LINGER_SECONDS", 0)
        port = reactor.listenTCP(0, JSONLinesFactory(self.chat), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        half = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.addCleanup(half.close)
        half.sendall(b'{"type":"hello","nick":"alice"}\n{"type":"quit"}\n')
        while not self.chat.wires:
            yield deferLater(reactor, 0)
        while self.chat.wires:
            yield deferLater(reactor, 0)
        half.settimeout(WAIT_SECONDS)
        data = b"".join(iter(lambda: half.recv(100), b""))
        self.assertEqual([json.loads(line)["type"] for line in data.splitlines()], ["welcome", "stop"])

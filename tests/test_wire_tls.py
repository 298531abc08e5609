"""TLS handshakes take turns, and hold up nobody else."""

from __future__ import annotations

import contextlib  # not `suppress` by name, which trial reads in a module of tests
from typing import Any

from OpenSSL.SSL import TLS_CLIENT_METHOD, Connection, Context, WantReadError
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.certificates import Certificates
from twisted_chat.wire.tls import MAX_FLIGHT, TURN_SECONDS, HandshakeQueue, TLSFactory, TLSLayer

from .helpers import TurnClock
from .programs import folder
from .test_certificates import Identity


class QueueTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TurnClock()
        self.queue = HandshakeQueue(self.clock)
        self.done: list[str] = []

    def add(self, network: str, name: str, seconds: float = 0.0) -> None:
        """Add a step that takes some time."""

        def step() -> None:
            self.clock.rightNow += seconds
            self.done.append(name)

        self.queue.add(network, step)

    def test_a_turn_ends_after_its_time_and_the_others_wait_for_the_next(self) -> None:
        for number in range(10):
            self.add("192.0.2.1", str(number), TURN_SECONDS / 3.5)
        self.assertEqual((self.done, len(self.clock.getDelayedCalls())), ([], 1), "not before those who came first")
        counts = []
        while self.clock.getDelayedCalls():
            self.clock.turn()
            counts.append(len(self.done))
        self.assertEqual(counts, [4, 8, 10])
        self.assertEqual(self.done, [str(number) for number in range(10)])

    def test_one_that_takes_longer_than_a_turn_is_done_nevertheless(self) -> None:
        self.clock.rightNow = 0.0
        for name, seconds in (("a", TURN_SECONDS), ("b", TURN_SECONDS * 2), ("c", 0.0)):
            self.add("192.0.2.1", name, seconds)
        for number in (1, 2):
            self.clock.turn()
            self.assertEqual(len(self.done), number)

    def test_each_network_has_one_in_turn(self) -> None:
        for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
            self.add(name[0], name)
        self.clock.turn()
        self.assertEqual(self.done, ["a1", "b1", "c1", "a2", "b2", "a3"])

    def test_a_step_may_add_another_one(self) -> None:
        self.queue.add("a", lambda: self.add("b", "second"))
        while self.clock.getDelayedCalls():
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.turn()
        self.assertEqual(self.done, ["second"])


class Wire(Protocol):
    """Remembers what it is told; raises an error for `fail`."""

    def __init__(self) -> None:
        self.heard = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if self.heard.endswith(b"fail"):
            raise ValueError("it is late")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


class LayerTests(SynchronousTestCase):
    """The TLS of a connection."""

    def setUp(self) -> None:
        path = folder(self) / "both.pem"
        path.write_bytes(Identity("localhost").both)
        self.clock = TurnClock()
        self.certificates = Certificates.in_files([path], self.clock.seconds)
        self.factory = TLSFactory(self.certificates, Factory.forProtocol(Wire), HandshakeQueue(self.clock), self.clock)
        self.layer, self.transport = self.connect()
        self.wire: Any = self.layer.wrappedProtocol
        self.client = Connection(Context(TLS_CLIENT_METHOD))
        self.client.set_connect_state()

    def connect(self) -> tuple[TLSLayer, StringTransport]:
        layer = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        transport = StringTransport()
        layer.makeConnection(transport)
        return layer, transport

    def flight(self) -> bytes:
        """What the client sends next."""
        if answer := self.transport.value():
            self.client.bio_write(answer)
            self.transport.clear()
        with contextlib.suppress(WantReadError):
            self.client.do_handshake()
        with contextlib.suppress(WantReadError):
            return bytes(self.client.bio_read(2**16))
        return b""

    def shake_hands(self) -> None:
        for _ in range(2):
            self.layer.dataReceived(self.flight())
            self.clock.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_handshake_waits_for_its_turn(self) -> None:
        hello = self.flight()
        self.layer.dataReceived(hello[:9])
        self.layer.dataReceived(hello[9:])
        self.assertEqual((self.transport.value(), len(self.clock.getDelayedCalls())), (b"", 1))
        self.clock.turn()
        self.assertEqual(self.transport.value()[:1], b"\x16", "the server's own hello")
        self.layer.dataReceived(self.flight())
        self.assertEqual(self.transport.value(), b"", "the second part of a handshake waits as well")
        self.clock.turn()
        self.assertNotEqual(self.transport.value(), b"", "the tickets of a complete handshake")

    def test_after_the_handshake_nothing_waits(self) -> None:
        self.shake_hands()
        self.client.send(b"hi")
        self.layer.dataReceived(self.client.bio_read(2**16))
        self.assertEqual((self.wire.heard, self.clock.getDelayedCalls()), (b"hi", []))

    def test_what_comes_with_the_end_of_the_handshake_is_heard(self) -> None:
        self.layer.dataReceived(self.flight())
        self.clock.turn()
        end = self.flight()
        self.client.send(b"hi")
        self.layer.dataReceived(end + self.client.bio_read(2**16))
        self.clock.turn()
        self.assertEqual(self.wire.heard, b"hi")

    def test_a_connection_that_is_lost_has_no_turn(self) -> None:
        self.layer.dataReceived(self.flight())
        self.layer.connectionLost(Failure(connectionDone.value))
        self.transport.clear()
        self.clock.turn()
        self.assertEqual(self.transport.value(), b"")
        self.assertIsNotNone(self.wire.reason)

    def test_what_waits_has_a_bound(self) -> None:
        for size, expected in ((MAX_FLIGHT, "producing"), (1, "paused"), (1, "paused")):
            self.layer.dataReceived(b"x" * size)
            self.assertEqual(self.transport.producerState, expected)
        self.clock.turn()
        self.assertEqual(self.transport.producerState, "producing")

    def test_a_fault_of_the_wire_ends_the_connection(self) -> None:
        self.layer.dataReceived(self.flight())
        self.clock.turn()
        end = self.flight()
        self.client.send(b"fail")
        self.layer.dataReceived(end + self.client.bio_read(2**16))
        self.clock.turn()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertTrue(self.transport.disconnecting or self.transport.disconnected)

    def test_connections_are_counted_by_network(self) -> None:
        for address, network in (
            (IPv4Address("TCP", "192.0.2.1", 1), "192.0.2.1"),
            (IPv6Address("TCP", "2001:db8::1:2:3:4", 1), "2001:db8::/64"),
            (UNIXAddress("/run/chat.sock"), ""),
        ):
            self.assertEqual(self.factory.buildProtocol(address).network, network)

"""A proxy says whose connection it is, and is invisible then."""

from __future__ import annotations

import struct
from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.wire.proxy import HEADER_SECONDS, MAX_BINARY, MAX_TEXT, Header, ProxyHeaderFactory, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ALICE = IPv4Address("TCP", "192.0.2.1", 49474)
ALICE6 = IPv6Address("TCP", "2001:db8::1", 49474)


def binary(body: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


TCP4 = struct.pack("!4s4sHH", bytes([192, 0, 2, 1]), bytes(4), 49474, 14900)
TCP6 = struct.pack("!16s16sHH", bytes.fromhex("20010db8" + "0" * 23 + "1"), bytes(16), 49474, 14900)

MAPPED = struct.pack("!16s16sHH", bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1]), bytes(16), 49474, 14900)

HEADERS: list[tuple[bytes, IAddress | None]] = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 49474 14900\r\n", ALICE),
    (b"PROXY TCP6 2001:db8::1 ::1 49474 14900\r\n", ALICE6),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 49474 14900\r\n", ALICE),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (binary(TCP4), ALICE),
    (binary(TCP6, family=0x21), ALICE6),
    (binary(MAPPED, family=0x21), ALICE),
    (binary(TCP4 + b"\x05\x00\x02id"), ALICE),
    (binary(b"", command=0x20, family=0), None),
    (binary(TCP4, command=0x20), None),
    (binary(bytes(216), family=0x31), None),
]
"""Headers, each with the client's address."""

WRONG = [
    b"GET / HTTP/1.0\r\n\r\n",
    b'{"type":"hello","nick":"alice"}\n',
    b"PROXY\r\n",
    b"PROXY TCP4 192.0.2.1\r\n",
    b"PROXY TCP4 nobody 192.0.2.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 x 2\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
    b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    b"PROXY TCP4 ::ffff:192.0.2.1 192.0.2.2 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    b"PROXY TCP4 \xff 192.0.2.2 1 2\r\n",
    b"PROXY TCP4 1 2 3 4 5\r\n",
    b"PROXY " + b"x" * MAX_TEXT,
    binary(b"", command=0x31),
    binary(b"", command=0x22),
    binary(TCP4[:-1]),
    binary(TCP6[:-1], family=0x21),
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_BINARY),
]


class HeaderTests(SynchronousTestCase):
    """Both versions of the header are read, in whatever pieces they come."""

    def test_each_header_has_its_address_and_its_length(self) -> None:
        for header, source in HEADERS:
            self.assertEqual(read_header(header + b"PROXY"), Header(source, len(header)), header)

    def test_a_header_that_is_not_whole_is_waited_for(self) -> None:
        for header, _ in HEADERS:
            for end in range(len(header)):
                self.assertIsNone(read_header(header[:end]), header[:end])

    def test_what_is_no_header_is_an_error(self) -> None:
        for data in WRONG:
            self.assertRaises(ValueError, read_header, data)


class Wire(Protocol):
    """Records what it gets."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.received: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)


class WireFactory(Factory):
    """Makes `Wire`s."""

    def buildProtocol(self, addr: IAddress | None) -> Wire:
        return Wire(addr)


class ConnectionTests(SynchronousTestCase):
    """After its header, a connection is the wire's own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.transport: Any = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 1))
        factory = ProxyHeaderFactory(WireFactory(), self.clock)
        protocol = factory.buildProtocol(self.transport.getPeer())
        assert protocol
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)

    def test_it_is_handed_to_the_wire_with_the_address_of_the_client(self) -> None:
        self.protocol.dataReceived(b"PROXY TCP4 192.0.2.1 192.0.2.2 ")
        self.protocol.dataReceived(b"49474 14900\r\nhello")
        wire: Any = self.transport.protocol
        self.assertEqual((wire.address, wire.received), (ALICE, [b"hello"]))
        self.assertIs(wire.transport, self.transport)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_an_address_it_is_the_proxys_own(self) -> None:
        self.protocol.dataReceived(b"PROXY UNKNOWN\r\n")
        wire: Any = self.transport.protocol
        self.assertEqual((wire.address, wire.received), (self.transport.getPeer(), []))

    def test_one_without_a_header_is_cut(self) -> None:
        self.protocol.dataReceived(b'{"type":"hello"}')
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_whose_header_does_not_come_is_cut(self) -> None:
        self.protocol.dataReceived(b"PROXY ")
        self.clock.advance(HEADER_SECONDS - 0.1)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(0.1)
        self.assertTrue(self.transport.disconnected)
        self.protocol.connectionLost()

    def test_one_that_ends_before_its_header_leaves_nothing(self) -> None:
        self.protocol.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TrustTests(SynchronousTestCase):
    """A header is taken from known proxies only."""

    def setUp(self) -> None:
        self.logged = observer = EventLoggingObserver()
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def takes(self, host: str, *trusted: str) -> bool:
        """True if a connection from an address may send a header."""
        networks = [ip_network(text) for text in trusted]
        factory = ProxyHeaderFactory(WireFactory(), Clock(), *([networks] if networks else []))
        kind = IPv6Address if ":" in host else IPv4Address
        return factory.buildProtocol(kind("TCP", host, 49474)) is not None

    def test_those_of_this_machine_are_trusted_if_none_is_named(self) -> None:
        for host in "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1":
            self.assertTrue(self.takes(host), host)
        for host in "192.0.2.1", "2001:db8::1", "::2", "::ffff:192.0.2.1", "fe80::1%eth0":
            self.assertFalse(self.takes(host), host)

    def test_one_that_is_named_is_trusted_and_no_other(self) -> None:
        trusted = ("192.0.2.0/28", "2001:db8::7")
        for host in "192.0.2.15", "::ffff:192.0.2.3", "2001:db8::7":
            self.assertTrue(self.takes(host, *trusted), host)
        for host in "192.0.2.16", "2001:db8::8", "127.0.0.1", "::1":
            self.assertFalse(self.takes(host, *trusted), host)

    def test_one_at_a_unix_socket_is_trusted(self) -> None:
        factory = ProxyHeaderFactory(WireFactory(), Clock(), [ip_network("192.0.2.1")])
        self.assertIsNotNone(factory.buildProtocol(UNIXAddress(None)))

    def test_the_log_says_what_to_do_if_it_is_the_proxy(self) -> None:
        self.takes("192.0.2.1")
        line = formatEvent(next(iter(self.logged)))
        self.assertIn("a connection from 192.0.2.1 to a place with haproxy: was closed", line)
        self.assertIn("name it with --trust-proxy 192.0.2.1", line)


def outcome(data: bytes) -> Header | str | None:
    try:
        return read_header(data)
    except ValueError:
        return "wrong"


NUMBERS = (b"\x20", b"\x21", b"\x11", b"\x00\x0c", b"\xff\xff")
WORDS = (b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"192.0.2.1 ", b"::1 ", b"80 ", b"80", b"\r\n", b" ")
pieces = st.sampled_from([*WORDS, *NUMBERS, SIGNATURE, TCP4, TCP6]) | st.binary(max_size=3)


class AnyHeaderTests(SynchronousTestCase):
    @given(
        st.lists(pieces, max_size=9).map(b"".join)
        | st.sampled_from([header for header, _ in HEADERS] + WRONG).flatmap(
            lambda header: st.tuples(st.integers(0, len(header)), pieces, st.integers(0, 3)).map(
                lambda change: header[: change[0]] + change[1] + header[change[0] + change[2] :]
            )
        )
    )
    def test_wherever_it_is_cut_a_header_is_the_same(self, data: bytes) -> None:
        seen = [outcome(data[:size]) for size in range(len(data) + 1)]
        final = seen[-1]
        self.assertLessEqual({*seen}, {None, final})
        if final is not None:
            self.assertEqual(seen, sorted(seen, key=lambda one: one is not None))
        if isinstance(final, Header):
            self.assertEqual(seen.index(final), final.size)

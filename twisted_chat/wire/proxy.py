"""The PROXY protocol: a proxy in front of the server sends the client's address in a header, and is then invisible.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt describes both versions of the header. It comes before
everything else, TLS included. Twisted's `haproxy:` leaves a layer of its own over the connection, through which
neither the client's address nor a half-close is seen, and reads the header within TLS. Here another protocol takes the
connection over: after the header it is like any other.

A header can claim any address, so it is taken from known proxies only, and connections of others are closed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address as IPv4
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from ipaddress import IPv6Address as IPv6
from typing import Any, Final, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

Network = IPv4Network | IPv6Network

THIS_MACHINE: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1"))
"""The proxies that may send headers unless others are named: only programs of this machine come from these addresses.
A proxy at a Unix socket has no address; the permissions of the socket decide who may connect to it."""

HEADER_SECONDS: Final = 10.0
"""Seconds within which the header has to arrive. A proxy sends it at once, in the first segment."""

MAX_TEXT: Final = 107
"""Maximum bytes of a header in text (section 2.1)."""

MAX_BINARY: Final = 4096
"""Maximum bytes of a binary header. Addresses take at most 232 (section 2.2), and a proxy adds little, such as the name
of a certificate."""

_TEXT: Final = b"PROXY "
_BINARY: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21

_log = Logger("twisted_chat.wire.proxy")


class Header(NamedTuple):
    """The header of a connection."""

    source: IAddress | None
    """The client's address; None if the connection is the proxy's own, such as a health check, or does not use IP."""
    size: int
    """The header's length in bytes."""


def read_header(data: bytes) -> Header | None:
    """Read the header of a connection. Returns None while it is incomplete, and raises `ValueError` if it is wrong."""
    if data[: len(_BINARY)] == _BINARY[: len(data)]:
        return _read_binary(data)
    if data[: len(_TEXT)] == _TEXT[: len(data)]:
        return _read_text(data)
    raise ValueError("no PROXY header")


def _read_text(data: bytes) -> Header | None:
    line, end, _ = data[:MAX_TEXT].partition(b"\r\n")
    if not end:
        if len(data) >= MAX_TEXT:
            raise ValueError("a header in text has no end")
        return None
    _, family, *fields = line.decode("ascii").split(" ")
    size = len(line) + len(end)
    if family == "UNKNOWN":
        return Header(None, size)
    source, _, port, _ = fields
    address = client_address(source)
    if family != f"TCP{6 if ':' in source else 4}" or not 0 <= int(port) <= 65535:
        raise ValueError("the address does not fit its family")
    return Header(_with_port(address, int(port)), size)


def _read_binary(data: bytes) -> Header | None:
    start = len(_BINARY)
    if len(data) < start + 4:
        return None
    command, family, length = struct.unpack_from("!BBH", data, start)
    size = start + 4 + length
    if command not in (_LOCAL, _PROXY) or size > MAX_BINARY:
        raise ValueError("an unknown version or command, or too long a header")
    if len(data) < size:
        return None
    body = data[start + 4 : size]
    if command == _PROXY and family in (_TCP4, _TCP6):
        layout = "!4s4sHH" if family == _TCP4 else "!16s16sHH"
        if len(body) < struct.calcsize(layout):
            raise ValueError("a header without its addresses")
        source, _, port, _ = struct.unpack_from(layout, body)
        return Header(_with_port(_unmapped(ip_address(source)), port), size)
    return Header(None, size)


def client_address(text: str) -> IPv4 | IPv6:
    """Read the address of a client that a proxy names. IPv4 within IPv6 is IPv4. Raises `ValueError`.

    A zone (`fe80::1%eth0`) is an error: it says something on the proxy's machine only, and may have any characters.
    """
    if "%" in text:
        raise ValueError("the address has a zone")
    return _unmapped(ip_address(text))


def _unmapped(address: IPv4 | IPv6) -> IPv4 | IPv6:
    """Return an address, as IPv4 if it is written as IPv6 (`::ffff:192.0.2.1`; RFC 4291, section 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6) else None
    return address if mapped is None else mapped


def _with_port(address: IPv4 | IPv6, port: int) -> IAddress:
    return (IPv4Address if address.version == 4 else IPv6Address)("TCP", str(address), port)


class ProxyHeader(Protocol):
    """A connection whose header has not arrived yet. After that, another protocol takes it over."""

    transport: Any

    def __init__(self, factory: IProtocolFactory, peer: Any, reactor: Any) -> None:
        self._factory = factory
        self._peer = peer
        self._reactor = reactor
        self._data = b""
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._deadline = self._reactor.callLater(HEADER_SECONDS, self._give_up)

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        try:
            header = read_header(self._data)
        except ValueError:  # no error is sent, since the other end is a proxy, or should not connect here
            self._cancel_deadline()
            self.transport.abortConnection()
            return
        if header is not None:
            self._cancel_deadline()
            self._hand_on(header)

    def _hand_on(self, header: Header) -> None:
        protocol = self._factory.buildProtocol(header.source or self._peer)
        assert protocol is not None
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        if rest := self._data[header.size :]:
            protocol.dataReceived(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_deadline()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abortConnection()


class ProxyHeaderFactory(Factory):
    """Reads the header of each connection and has another factory make its protocol."""

    noisy = False

    def __init__(self, factory: IProtocolFactory, reactor: Any, trusted: Sequence[Network] = THIS_MACHINE) -> None:
        """`trusted` are the addresses of the proxies. Connections that have no address are always trusted."""
        self._factory = factory
        self._reactor = reactor
        self._trusted = trusted

    def buildProtocol(self, addr: IAddress | None) -> ProxyHeader | None:
        """Make a protocol, or close the connection of something that is no trusted proxy."""
        host = getattr(addr, "host", "")
        if host and not is_within(host, self._trusted):
            _log.warn(
                "a connection from {address} to a place with haproxy: was closed; if that is your proxy, name it with "
                "--trust-proxy {address}",
                address=host,
            )
            return None
        return ProxyHeader(self._factory, addr, self._reactor)


def is_within(host: str, networks: Sequence[Network]) -> bool:
    """True if an address is in one of these networks. An IPv4 address may be written as IPv6 (`::ffff:192.0.2.1`)."""
    address = _unmapped(ip_address(host))
    return any(address in network for network in networks)

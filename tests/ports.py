"""A reactor that opens ports in memory, shared by the tests of options, places and the service."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactorClock
from zope.interface import directlyProvides


class Port:
    """An open port."""

    def __init__(self, address: IAddress, closing: Deferred[None] | None = None) -> None:
        self.address = address
        self.closing = closing

    def getHost(self) -> IAddress:
        return self.address

    def stopListening(self) -> Deferred[None] | None:
        return self.closing


class Reactor(MemoryReactorClock):
    """Records what it is asked to open; the ports in `refused` cannot be opened."""

    _exitSignal: int | None = signal.SIGTERM

    def __init__(self, refused: dict[int, Exception] | None = None) -> None:
        super().__init__()
        self.refused = refused or {}
        self.udp_ports: list[tuple[str, int]] = []
        self.adopted: list[tuple[bool, int]] = []
        """For each adopted socket for datagrams, whether it blocks, and its family."""

    @property
    def as_base(self) -> ReactorBase:
        return cast(ReactorBase, self)

    @property
    def tcp_ports(self) -> list[tuple[int, str]]:
        """Each TCP port with the address that it listens on."""
        return [(port, interface) for port, _, _, interface in self.tcpServers]

    def listenTCP(self, port: int, *args: Any, **kwargs: Any) -> Any:
        if port in self.refused:
            raise self.refused[port]
        super().listenTCP(port, *args, **kwargs)
        kind = IPv6Address if ":" in kwargs["interface"] else IPv4Address
        return Port(kind("TCP", kwargs["interface"], port))

    def listenUDP(self, port: int, protocol: DatagramProtocol, interface: str) -> Port:
        if port in self.refused:
            raise self.refused[port]
        self.udp_ports.append((interface, port))
        opened = Port(IPv4Address("UDP", interface, port))
        directlyProvides(opened, IUDPTransport)
        return opened

    def adoptDatagramPort(self, fileno: int, addressFamily: int, protocol: object, maxPacketSize: int = 8192) -> Port:
        self.adopted.append((os.get_blocking(fileno), addressFamily))
        opened = Port(IPv4Address("UDP", "127.0.0.1", 1))
        directlyProvides(opened, IUDPTransport)
        return opened

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:
        self.callLater(0, function, *args)

    def iterate(self, delay: float = 0) -> None:
        self.advance(delay)

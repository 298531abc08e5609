"""TLS beneath a wire: handshakes take turns, so that a crowd of them does not hold up those who talk.

A handshake takes the server 0.1 ms with a key of P-256 and 0.7 ms with one of RSA and 3,072 bits, and costs the client
a few hundred bytes. When 900 connections began theirs at the same moment, the messages of others were late by
110 and 660 ms, at most. With turns they are late by 11 ms with either key.

This module needs the packages for TLS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IOpenSSLServerConnectionCreator, IProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

from ..limits import network_of

TURN_SECONDS: Final = 0.004
"""Seconds of each turn of the reactor for handshakes: 5 to 40 of them. Those who talk wait for little more."""

MAX_FLIGHT: Final = 2**14 + 2**8 + 5
"""Bytes of a connection that wait for a handshake, before the server stops reading from it: a record of TLS (RFC 8446,
section 5.2). A client's first message takes 300 to 2,000."""

_log = Logger()


class HandshakeQueue:
    """The handshakes that wait for their turn.

    Each network (`network_of`) has one after the other, so that a crowd of connections from one keeps no others out.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: dict[str, deque[Callable[[], object]]] = {}
        self._call: IDelayedCall | None = None

    def add(self, network: str, step: Callable[[], object]) -> None:
        """Add a step of a handshake, which is done in its turn."""
        self._waiting.setdefault(network, deque()).append(step)
        if self._call is None:
            self._call = self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        end = self._reactor.seconds() + TURN_SECONDS
        while self._waiting:
            network, steps = next(iter(self._waiting.items()))
            step = steps.popleft()
            del self._waiting[network]
            if steps:
                self._waiting[network] = steps  # as the last one
            step()
            if self._reactor.seconds() >= end:
                break
        self._call = self._reactor.callLater(0, self._turn) if self._waiting else None


class TLSFactory(TLSMemoryBIOFactory):
    """Makes the TLS layer of connections to a server."""

    def __init__(
        self, certificates: IOpenSSLServerConnectionCreator, wire: Any, queue: HandshakeQueue, reactor: Any
    ) -> None:
        """Make one for the connections of the factory `wire`."""
        TLSMemoryBIOFactory.__init__(self, certificates, False, wire, reactor)
        self.protocol = TLSLayer
        self.queue = queue

    def buildProtocol(self, addr: IAddress | None) -> TLSLayer:
        layer = TLSMemoryBIOFactory.buildProtocol(self, addr)
        assert isinstance(layer, TLSLayer)
        layer.network = network_of(getattr(addr, "host", ""))
        return layer


class TLSLayer(BufferingTLSTransport):
    """The TLS of a connection. What arrives before its handshake is complete waits for a turn."""

    transport: Any
    network = ""
    """The network of the client, or nothing for a Unix socket."""

    def __init__(self, factory: TLSFactory, wire: IProtocol) -> None:
        BufferingTLSTransport.__init__(self, factory, wire)
        self._queue = factory.queue
        self._flight = bytearray()
        """The bytes that wait."""
        self._is_waiting = False

    def dataReceived(self, data: bytes) -> None:
        if self._handshakeDone:  # there is no public way to see it from here
            BufferingTLSTransport.dataReceived(self, data)
            return
        self._flight += data
        if not self._is_waiting:
            self._is_waiting = True
            self._queue.add(self.network, self._shake_hands)
        if len(self._flight) > MAX_FLIGHT:
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._flight.clear()
        BufferingTLSTransport.connectionLost(self, reason)

    def _shake_hands(self) -> None:
        """Called when it is this connection's turn."""
        self._is_waiting = False
        if not self._flight:  # the connection is lost
            return
        flight = bytes(self._flight)
        self._flight.clear()
        if len(flight) > MAX_FLIGHT:
            self.transport.resumeProducing()
        try:
            BufferingTLSTransport.dataReceived(self, flight)
        except Exception:  # as the reactor does with what is raised in `dataReceived`
            _log.failure("A connection is aborted: the bytes of its TLS handshake could not be handled")
            self.transport.abortConnection()

"""The connections of a client: bytes and datagrams to objects, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from .protocol.lines import EndlessLineError, LineReader
from .protocol.objects import Object, encode
from .udp import DatagramConnection


class LinkEvents(NamedTuple):
    """What a client is called with."""

    connected: Callable[[Link], object]
    """A connection was made."""
    received: Callable[[Iterable[Object]], object]
    """Objects have arrived."""
    broken: Callable[[str], object]
    """What has arrived cannot be read; the text says why."""
    lost: Callable[[Failure], object]
    """The connection has ended."""
    failed: Callable[[Failure], Failure]
    """A connection was not made."""


class Link(Protocol):
    """One connection. A stream carries lines; over UDP, a `DatagramConnection` carries objects."""

    def __init__(self, events: LinkEvents) -> None:
        self._events = events
        self._lines = LineReader()
        self._is_over = False

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._events.connected(self)

    def dataReceived(self, data: bytes) -> None:
        try:
            objects = self._lines.received(data)
        except EndlessLineError as error:
            self._events.broken(str(error))
        else:
            self.objects_received(objects)

    def objects_received(self, objects: Iterable[Object]) -> None:
        """Called with objects that the server has sent."""
        self._events.received(objects)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_over = True
        self._events.lost(reason)

    def send(self, objects: list[Object]) -> None:
        """Send objects, unless the connection is about to end."""
        if self._is_over or not objects:
            return
        if isinstance(self.transport, DatagramConnection):
            self.transport.send(objects)
        else:
            cast(ITransport, self.transport).write(b"".join(encode(obj) + b"\n" for obj in objects))

    def hang_up(self) -> None:
        """End the connection now, without waiting for the other side."""
        if not self._is_over:
            self._is_over = True
            cast(Any, self.transport).abortConnection()


class Links(Factory):
    """Makes the connections of one client."""

    noisy = False

    def __init__(self, events: LinkEvents) -> None:
        self._events = events

    def buildProtocol(self, addr: IAddress | None) -> Link:
        return Link(self._events)


@implementer(IStreamClientEndpoint)
class WatchedEndpoint:
    """Wraps an endpoint, and tells the client why a connection was not made."""

    def __init__(self, endpoint: IStreamClientEndpoint, events: LinkEvents) -> None:
        self._endpoint = endpoint
        self._events = events

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(protocolFactory).addErrback(self._events.failed)

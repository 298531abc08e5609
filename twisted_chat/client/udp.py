"""UDP for the library: the endpoint `udp:chat.example:14900`, whose connections carry objects instead of bytes.

`protocol.datagrams` is the session, and the engine reads lost messages from the logs of the rooms. This module has the
sockets and the reactor.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import Any, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    DNSLookupError,
    NoProtocol,
)
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    ITransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.threads import deferToThreadPool
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer

from .protocol.datagrams import Datagrams
from .protocol.engine import OPEN_TIME
from .protocol.objects import Object


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class UDPParser:
    """Teaches `clientFromString` the description `udp:HOST:PORT`. Twisted finds it in its folder of plugins."""

    prefix = "udp"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamClientEndpoint:
        return _endpoint(reactor, *args, **kwargs)


@implementer(IStreamClientEndpoint)
class UDPEndpoint:
    """The UDP port of a server, for protocols that have `objects_received` instead of `dataReceived`."""

    def __init__(self, reactor: Any, host: str, port: int, timeout: float = OPEN_TIME) -> None:
        """`timeout` is the time in seconds within which the server must answer."""
        self._reactor = reactor
        self._host = host
        self._port = port
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<UDP to {self._host}, port {self._port}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect. The Deferred fires once the server has answered.

        It fails with `DNSLookupError`, with `ConnectionRefusedError` if the other machine has no such port, with
        `TimeoutError` if nothing answers, and with `OSError` if there is no route.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        addresses = await self._addresses()
        while True:
            connection = DatagramConnection(self._reactor)
            try:
                await connection.open(*addresses.pop(0), self._timeout)
                return connection.carry(factory)
            except (OSError, Refused):
                if not addresses:
                    raise

    async def _addresses(self) -> list[tuple[str, int]]:
        find = partial(socket.getaddrinfo, self._host, self._port, type=socket.SOCK_DGRAM)
        try:
            infos = await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), find)
        except (OSError, UnicodeError) as error:
            raise DNSLookupError(str(error)) from error
        return [(str(info[4][0]), int(info[4][1])) for info in infos]


def _endpoint(reactor: Any, host: str, port: str, timeout: float | str = OPEN_TIME) -> UDPEndpoint:
    return UDPEndpoint(reactor, host, int(port), float(timeout))


class DatagramConnection(DatagramProtocol):
    """One session with a server, and the transport of a protocol that sends and receives objects."""

    noisy = False

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._session = Datagrams(reactor.seconds())
        self._socket: Any = None
        self._is_open = True
        self._peer: tuple[str, int] = "", 0
        self._protocol: Any = None
        self._timers: list[IDelayedCall] = []
        """The timer of the next turn, and, until the server has answered, the one of its latest answer."""
        self._opening: Deferred[None] = Deferred(lambda _: self._end(Failure(CancelledError())))
        self._over = False

    # For the endpoint

    def open(self, host: str, port: int, timeout: float) -> Deferred[None]:
        """Wait until the server has answered. Raises `OSError` if there is no route."""
        self._peer = host, port
        try:
            self._socket = self._reactor.listenUDP(0, self, interface="::" if ":" in host else "")
        except CannotListenError as error:  # such as for IPv6 on a machine that has none
            raise OSError(str(error.socketError)) from error
        late = TimeoutError(f"the server did not answer within {timeout:g} seconds")
        self._timers = [
            self._reactor.callLater(0, self._turn),
            self._reactor.callLater(timeout, self._end, Failure(late)),
        ]
        try:
            self._socket.connect(host, port)
        except OSError as error:
            self._end(Failure(error))
        return self._opening

    def carry(self, factory: IProtocolFactory) -> IProtocol:
        """Connect a protocol to the server."""
        self._timers.pop().cancel()
        protocol = factory.buildProtocol(self.getPeer())
        if protocol is None:
            self.abortConnection()
            raise NoProtocol
        self._protocol = protocol
        protocol.makeConnection(cast(ITransport, self))
        return protocol

    # For the protocol

    def send(self, objects: list[Object]) -> None:
        """Send objects. Requests are sent again until they are answered."""
        for obj in objects:
            self._session.send(obj, self._reactor.seconds())
        self._transmit()

    def loseConnection(self) -> None:
        """End the session. Unanswered requests may be lost, and datagrams in flight are."""
        self._end(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        self._end(Failure(ConnectionAborted()))

    def getPeer(self) -> IAddress:
        return _address(*self._peer)

    def getHost(self) -> IAddress:
        host: IAddress = self._socket.getHost()
        return host

    # For the socket

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        self._session.received(datagram, self._reactor.seconds())
        self._turn()

    def connectionRefused(self) -> None:
        self._end(Failure(Refused()))

    def stopProtocol(self) -> None:
        """Called when the socket is closed. Some reactors close it instead of reporting a refusal."""
        self._is_open = False
        self._end(Failure(Refused()))

    # How

    def _turn(self) -> None:
        """Do what is due, and pass on the objects that have arrived."""
        try:
            self._session.tick(self._reactor.seconds())
        except TimeoutError as error:
            self._end(Failure(error))
        if self._session.proven and not self._opening.called:
            self._opening.callback(None)
        objects = self._session.take_objects()
        if objects and not self._over:
            self._protocol.objects_received(objects)
        self._transmit()

    def _transmit(self) -> None:
        """Send the datagrams, and set the timer of the next turn."""
        for datagram in self._session.take_datagrams():
            if not self._over:
                with suppress(OSError):  # it is lost then, as others are
                    self._socket.write(datagram)
        if not self._over:
            delay = max(0.0, self._session.due() - self._reactor.seconds())
            if self._timers[0].active():
                self._timers[0].reset(delay)
            else:
                self._timers[0] = self._reactor.callLater(delay, self._turn)

    def _end(self, reason: Failure) -> None:
        if self._over:
            return
        self._over = True
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        if self._is_open:
            self._socket.stopListening()
        if self._protocol is not None:  # later, since the protocol may be in the middle of something
            self._reactor.callLater(0, self._protocol.connectionLost, reason)
        elif not self._opening.called:
            self._opening.errback(reason)


def _address(host: str, port: int) -> IAddress:
    return IPv6Address("UDP", host, port) if ":" in host else IPv4Address("UDP", host, port)

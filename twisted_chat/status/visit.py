"""A visit to the place of the status, and what all of them together may cost the chat.

The place stays open while the chat is full, starts or stops, so its connections are none of the chat's. They have
limits of their own, since strangers may reach it: `/healthz` and `/readyz` need no token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.http import Request
from zope.interface import implementer

from .. import http_visit
from ..chat import Chat
from ..http_visit import PRICE, Answer
from ..limits import AddressBuckets, Bucket, Limits, SessionBucket, flow_of
from ..session import TICK_SECONDS
from .site import Site

MAX_CONNECTIONS: Final = 16
"""Connections to the site at a time: a few monitors and browsers. Each takes one of the files that the process may
open."""

CLOSE_SECONDS: Final = 30.0
"""Seconds that the peer of a closing connection may take to read its last answer, as those of the chat."""

ARRIVALS: Final = (5.0, 100)
"""New connections of one address, per second in the long run, and at once. A TLS handshake takes 1 to 2 ms, so that
this is 1 % of a processor. Monitors that keep no connection open ask every few seconds."""

REQUESTS: Final = (20.0, 100)
"""Requests of one address, per second in the long run, and at once: ten times what a few monitors and an open page
need. Each takes 0.2 ms."""

_LIMITS: Final = Limits(rate=REQUESTS[0] * PRICE, burst=REQUESTS[1] * PRICE)
"""The limits of one connection, in tokens: those of its address."""


class Visit(http_visit.Visit):
    """A connection to the site, as it speaks HTTP."""

    def __init__(
        self, connection: Connection, chat: Chat, site: Site, bucket: Bucket, used: Callable[[], None]
    ) -> None:
        """`bucket` is that of its address, and `used` is called at each request."""
        super().__init__(connection, chat.rooms.turn, chat.reactor)
        self._site = site
        self._bucket = SessionBucket(_LIMITS, chat.reactor.seconds(), bucket)
        self._used = used

    def charge(self, price: float) -> float:
        return self._bucket.take_for_part(price, self._reactor.seconds)

    def answer(self, request: Request) -> Answer:
        self._used()
        return self._site.answer(request)


@implementer(IHalfCloseableProtocol)
class Connection(Protocol):
    """A connection to the site."""

    transport: Any
    cause = ""

    def __init__(self, factory: StatusFactory, chat: Chat, address: str, label: str) -> None:
        self.address = address
        self.flow = flow_of(address, label)
        self._status = factory
        self._chat = chat
        self._visit: Visit | None = None
        """What serves the connection, until it closes."""
        self._deadline: IDelayedCall | None = None

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def connectionMade(self) -> None:
        visit = self._status.admit(self)
        if visit is None:
            self.abort()
            return
        self._visit = visit
        self.transport.registerProducer(visit, True)
        visit.begin()

    def dataReceived(self, data: bytes) -> None:
        if self._visit is not None and self._deadline is None:
            self._visit.data_received(data)

    def readConnectionLost(self) -> None:
        """Called when the peer has closed its sending side. It may still read."""
        if self._visit is not None:
            self._visit.finished()

    def writeConnectionLost(self) -> None:
        """Not called: this side is never closed alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._status.forget(self)
        if self._deadline is not None:
            self._deadline.cancel()
        if self._visit is not None:
            self._visit.lost()
            self._visit = None  # they refer to each other; without this cycle, all is freed at once

    def close(self) -> None:
        """Send what was written, and end the connection."""
        self._deadline = self._chat.reactor.callLater(CLOSE_SECONDS, self._give_up)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _give_up(self) -> None:
        self._deadline = None
        self.abort()

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abortConnection()


class StatusFactory(Factory):
    """Makes the connections of the place of the status."""

    noisy = False

    def __init__(self, chat: Chat, token: bytes = b"") -> None:
        """The site can be read with a token or, if that is empty, by everybody who can connect."""
        self.chat = chat
        self._site = Site(chat, token)
        self._visits: dict[Connection, Visit] = {}
        """The visits by their connections. The one that has been without a request for the longest time comes first."""
        self._count = 0
        seconds = chat.reactor.seconds
        self._arrivals = AddressBuckets(seconds, *ARRIVALS)
        self._requests = AddressBuckets(seconds, _LIMITS.rate, _LIMITS.burst)
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = chat.reactor

    def startFactory(self) -> None:
        self._site.history.start()
        self._ticking.start(TICK_SECONDS)

    def stopFactory(self) -> None:
        self._site.history.stop()
        self._ticking.stop()

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        self._count += 1
        label = str(getattr(addr, "port", f"u{self._count}"))  # a Unix socket has no port
        return Connection(self, self.chat, getattr(addr, "host", ""), label)

    def admit(self, connection: Connection) -> Visit | None:
        """Return what serves a new connection; None if too many have come from its address."""
        if self._arrivals.find(connection.address).take(self.chat.reactor.seconds()):
            return None
        if len(self._visits) >= MAX_CONNECTIONS:
            self._make_room(connection)
        bucket = self._requests.find(connection.address)
        visit = Visit(connection, self.chat, self._site, bucket, lambda: self._use(connection))
        self._visits[connection] = visit
        return visit

    def _make_room(self, connection: Connection) -> None:
        """End a connection in favour of a new one.

        It is one of the address that has the most, so that nobody shuts out a monitor by opening connections and
        leaving them open; and of these, the one that has been without a request for the longest time.
        """
        counts = Counter(other.flow for other in (*self._visits, connection))
        most = max(counts[other.flow] for other in self._visits)
        oldest = next(other for other in self._visits if counts[other.flow] == most)
        self._visits.pop(oldest).end("")
        oldest.abort()

    def _use(self, connection: Connection) -> None:
        """Called at each request."""
        self._visits[connection] = self._visits.pop(connection)

    def forget(self, connection: Connection) -> None:
        """Called when a connection is gone."""
        self._visits.pop(connection, None)

    def _tick(self) -> None:
        for visit in self._visits.values():
            visit.tick()

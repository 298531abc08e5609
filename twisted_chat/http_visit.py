"""A visit: a connection for as long as it speaks HTTP/1.1, to the page of the chat or to the status.

Twisted's `HTTPChannel` reads requests and writes answers. It is given one whole head of a request at a time, and none
while the socket takes no more or the visitor has no tokens: by itself, it would answer all requests of a read at once,
keep the body of a request on the disk, and start its time anew with each byte.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.http import Request as HTTPRequest

from .http_requests import BodilessChannel
from .limits import MAX_REST_SECONDS, price_of_part
from .room.turn import Turn

HEAD_SECONDS: Final = 10.0
"""Seconds within which the head of a request has to arrive, as long as a TLS handshake may take."""

MAX_HEAD: Final = 2**13
"""Maximum bytes of the head of a request. Browsers send 500 to 1,000, and a proxy adds little."""

IDLE_TICKS: Final = 2
"""Ticks (`session.TICK_SECONDS`) after which a visit without a request ends. A page is loaded within seconds, and a
monitor asks every 15 seconds or so."""

SLOW_TICKS: Final = 10
"""Ticks after which a visit ends that has not read its answer: 5 minutes for 100 kB."""

PRICE: Final = 4
"""The price of a request, in tokens, and its work: to read and answer it takes as long as four of the chat's."""

PLAIN: Final = b"text/plain; charset=utf-8"

_END: Final = b"\r\n\r\n"

TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close" + _END
"""The answer to a head that is too long to be read."""

Headers = Sequence[tuple[bytes, bytes]]


class State(Enum):
    """The life of a visit."""

    OPEN = auto()
    LAST = auto()
    """The peer has closed its sending side: what it has asked for is answered, and then the connection ends."""
    OVER = auto()
    """The connection has become a WebSocket, or ends: nothing more is read or answered."""


class Answer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: Headers
    body: bytes = b""


def text_answer(status: int, text: str, headers: Headers = ()) -> Answer:
    """Return an answer that a person reads."""
    plain = (b"Content-Type", PLAIN), (b"Cache-Control", b"no-store")
    return Answer(status, [*plain, *headers], f"{text}\n".encode())


class Connection(Protocol):
    """The part of a connection that a visit uses."""

    cause: str
    transport: Any

    @property
    def write(self) -> Callable[[bytes], None]:
        """A function that writes to the transport."""

    @property
    def flow(self) -> str:
        """The flow in which it waits for its turn: that of its address."""

    def close(self) -> None:
        """Send what was written, and end the connection."""


class Surface:
    """The transport of an `HTTPChannel`: it gathers an answer, which the visit then writes as a whole."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self.disconnecting = False
        """True once the connection is to end after the answer."""

    def write(self, data: bytes) -> None:
        self._pieces.append(data)

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        self._pieces.extend(pieces)

    def loseConnection(self) -> None:
        self.disconnecting = True

    def getPeer(self) -> Any:
        return self._connection.transport.getPeer()

    def getHost(self) -> Any:
        return self._connection.transport.getHost()

    def take(self) -> bytes:
        """Take what was written."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class Channel(BodilessChannel):
    """Reads requests, and has the visit answer them."""

    timeOut = None

    def __init__(self, visit: Visit) -> None:
        HTTPChannel.__init__(self)
        self.visit = visit
        self.requestFactory = _Request

    def read(self, head: bytes) -> None:
        """Read the head of a request, and answer it."""
        HTTPChannel.dataReceived(self, head)


class _Request(HTTPRequest):
    channel: Channel

    def process(self) -> None:
        """Answer the request, unless the answer is an upgrade."""
        has_body = self.channel.has_body
        answer = text_answer(413, "A request has no body here.") if has_body else self.channel.visit.answer(self)
        if answer is None:
            return
        self.setResponseCode(answer.status, HTTPStatus(answer.status).phrase.encode())
        headers = self.responseHeaders
        for name, value in ((b"Date", datetimeToString()), *answer.headers):
            headers.addRawHeader(name, value)
        if answer.status != 304:  # its length would be that of the file (RFC 9110, section 8.6)
            headers.addRawHeader(b"Content-Length", b"%d" % len(answer.body))
        if not self.channel.persistent:
            headers.setRawHeaders(b"Connection", [b"close"])
        HTTPRequest.write(self, answer.body)
        HTTPRequest.finish(self)


class Visit(ABC):
    """A connection that speaks HTTP. It is the producer of its transport."""

    def __init__(self, connection: Connection, turn: Turn, reactor: Any) -> None:
        self._connection = connection
        self._turn = turn
        self._reactor = reactor
        self._surface = Surface(connection)
        self._channel = Channel(self)
        self._data = b""
        """What has arrived and is not read yet."""
        self.paused = False
        """True while the socket takes no more."""
        self._is_lined_up = False
        """True while its next request waits for another turn."""
        self._rest: IDelayedCall | None = None
        """The call that ends its rest, while it has no tokens."""
        self._is_reading = True
        """False while its transport is paused."""
        self._state = State.OPEN
        self._call: IDelayedCall | None = None
        """The call that ends the visit if no head arrives in time."""
        self._idle = 0
        """The ticks since its last request."""

    @abstractmethod
    def answer(self, request: HTTPRequest) -> Answer | None:
        """Answer a request that has no body; None if the connection itself answers it once it is read."""

    @abstractmethod
    def charge(self, price: float) -> float:
        """Charge the visitor. Returns the seconds for which nothing more should be read."""

    def begin(self) -> None:
        """Called when the peer can send its first request."""
        HTTPChannel.makeConnection(self._channel, self._surface)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Called with received bytes."""
        self._data += data
        if _END not in data:  # a head that comes byte by byte is not free
            self._charge(price_of_part(len(data)))
        if self._turn.is_full and not self._is_lined_up:
            self._is_lined_up = True
            self._turn.line_up_new(self)
        self._serve()

    @property
    def flow(self) -> str:
        """The flow in which it waits for its turn: that of its address."""
        return self._connection.flow

    def take_turn(self) -> int:
        """Answer a request that has waited. Returns no work, since the request counts its own."""
        self._is_lined_up = False
        self._serve()
        return 0

    @property
    def _must_wait(self) -> bool:
        """True while no request is answered: for the socket, its turn or tokens."""
        return self.paused or self._is_lined_up or self._rest is not None

    def _serve(self) -> None:
        """Answer the next request, if its head has arrived. Another one waits for the next turn."""
        if not (self._must_wait or self._state is State.OVER):
            head, end, rest = self._data.partition(_END)
            if len(head) > MAX_HEAD:
                self._connection.write(TOO_LONG)
                self.end("", cause="errors")
            elif end:
                self._data = rest
                self._serve_one(head + end)
            elif self._state is State.LAST:
                self.end("", cause="closed")
            elif head and self._call is None:
                self._await_head()
        self._adjust_reading()

    def _serve_one(self, head: bytes) -> None:
        self._cancel()
        self._idle = 0
        self._turn.spend(PRICE)
        self._channel.read(head)
        self._send_answer()

    def _send_answer(self) -> None:
        """Write the answer to the request that was read."""
        self._connection.write(self._surface.take())
        if self._surface.disconnecting:
            self.end("", cause="closed")
            return
        self._charge(PRICE)
        if self._data or self._state is State.LAST:
            self._is_lined_up = True
            self._turn.line_up(self, next_turn=True)

    def _adjust_reading(self) -> None:
        """Read from the transport, unless a request waits to be answered."""
        if self._state is not State.OVER and self._is_reading == self._must_wait:
            self._is_reading = not self._must_wait
            transport = self._connection.transport
            (transport.resumeProducing if self._is_reading else transport.pauseProducing)()

    def _charge(self, price: float) -> None:
        wait = self.charge(price)
        if wait and self._rest is None:
            self._rest = self._reactor.callLater(min(wait, MAX_REST_SECONDS), self._rested)

    # Time

    def _await_head(self) -> None:
        self._call = self._reactor.callLater(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._call = None
        self.end("", cause="silent")

    def _rested(self) -> None:
        self._rest = None
        self._serve()

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def tick(self) -> None:
        """Called every `session.TICK_SECONDS`. A visit without requests ends."""
        self._idle += 1
        if self._idle >= (SLOW_TICKS if self.paused else IDLE_TICKS):
            self.end("", cause="silent")

    # The end

    def finished(self) -> None:
        """Called when the peer has closed its sending side. What it has asked for is answered."""
        if self._state is State.OPEN:
            self._state = State.LAST
        self._serve()

    def lost(self) -> None:
        """Called when the connection is gone."""
        self._leave()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._let_channel_go()

    def _let_channel_go(self) -> None:
        """Forget the channel. It refers to this visit, and its request to it; without cycles, all is freed at once."""
        self._channel.requests.clear()
        del self._channel

    def end(self, why: str, *, cause: str = "server") -> None:
        """End the connection. HTTP has no word for the reason."""
        if self._state is not State.OVER:
            self._connection.cause = self._connection.cause or cause
            self._leave()
            self._connection.close()

    def _leave(self) -> None:
        """Read and answer nothing more."""
        self._state = State.OVER
        self._cancel()

    # From the transport

    def pauseProducing(self) -> None:
        self.paused = True
        self._adjust_reading()

    def resumeProducing(self) -> None:
        self.paused = False
        self._serve()

    def stopProducing(self) -> None:
        """Called by the transport at its end, before `lost`: no head arrives any more."""
        self._cancel()

"""A visit: a connection to a place of the web, for as long as it speaks HTTP/1.1.

Twisted's `HTTPChannel` reads requests and writes answers. It is given one whole head of a request at a time, and none
while the socket takes no more or the visitor has no tokens: by itself, it would answer all requests of a read at once,
keep the body of a request on the disk, and start its time anew with each byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolNegotiationFactory
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.http import Request as HTTPRequest
from twisted.web.http_headers import Headers
from zope.interface import implementer

from ..chat import Chat
from ..http_requests import BodilessChannel
from ..limits import MAX_REST_SECONDS, price_of_part
from ..messages import Asked
from ..newcomer import Newcomer
from ..wire.proxy import THIS_MACHINE, Network, is_within
from ..wire.stream import Stream
from ..wire.websocket import WebSocket, WebSocketFactory
from .handshake import Origins, Refused
from .site import Answer, Request, Site, text_answer

HEAD_SECONDS: Final = 10.0
"""Seconds within which the head of a request has to arrive, as long as a TLS handshake may take."""

MAX_HEAD: Final = 2**13
"""Maximum bytes of the head of a request. Browsers send 500 to 1,000, and a proxy adds little."""

IDLE_TICKS: Final = 2
"""Ticks (`session.TICK_SECONDS`) after which a visit without a request ends. A page is loaded within seconds."""

SLOW_TICKS: Final = 10
"""Ticks after which a visit ends that has not read its answer: 5 minutes for 100 kB."""

PRICE: Final = 4
"""The price of a request, in tokens, and its work: to read and answer it takes as long as four of the chat's."""

_END: Final = b"\r\n\r\n"

TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close" + _END
"""The answer to a head that is too long to be read."""


class Surface:
    """The transport of an `HTTPChannel`: it gathers an answer, which the visit then writes as a whole."""

    def __init__(self, wire: Stream) -> None:
        self._wire = wire
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
        return self._wire.transport.getPeer()

    def getHost(self) -> Any:
        return self._wire.transport.getHost()

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
        answer = self.channel.visit.answer(self, self.channel.has_body)
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


class Visit:
    """A connection before its upgrade. It is a `websocket.Visitor`."""

    def __init__(self, wire: WebSocket, newcomer: Newcomer, chat: Chat, site: Site, proxies: Sequence[Network]) -> None:
        self._wire = wire
        self._newcomer = newcomer
        self._chat = chat
        self._site = site
        self._proxies = proxies
        self._surface = Surface(wire)
        self._channel = Channel(self)
        self._data = b""
        """What has arrived and is not read yet."""
        self._accepted: tuple[Answer, str] | None = None
        """The answer to a handshake and the client's address, in the moment before the upgrade."""
        self.paused = False
        """True while the socket takes no more."""
        self._is_lined_up = False
        """True while its next request waits for another turn."""
        self._rest: IDelayedCall | None = None
        """The call that ends its rest, while it has no tokens."""
        self._is_reading = True
        self._is_over = False
        """True after the upgrade, and once the connection ends."""
        self._call: IDelayedCall | None = None
        """The call that ends the visit if no head arrives in time."""
        self._is_last = False
        """True once the peer sends nothing more."""
        self._idle = 0
        """The ticks since its last request."""

    def begin(self) -> None:
        """Called when the peer can send its first request."""
        HTTPChannel.makeConnection(self._channel, self._surface)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Called with received bytes."""
        self._data += data
        if _END not in data:  # a head that comes byte by byte is not free
            self._charge(price_of_part(len(data)))
        if self._chat.rooms.turn.is_full and not self._is_lined_up:
            self._is_lined_up = True
            self._chat.rooms.turn.line_up_new(self)
        self._serve()

    @property
    def flow(self) -> str:
        """The flow in which it waits for its turn: that of its address."""
        return self._wire.flow

    def take_turn(self) -> int:
        """Answer a request that has waited. Returns no work, since the request counts its own."""
        self._is_lined_up = False
        self._serve()
        return 0

    def _serve(self) -> None:
        """Answer the next request, if its head has arrived. Another one waits for the next turn."""
        if not (self.paused or self._is_lined_up or self._rest is not None or self._is_over):
            head, end, rest = self._data.partition(_END)
            if len(head) > MAX_HEAD:
                self._wire.write(TOO_LONG)
                self.end("", cause="errors")
            elif end:
                self._data = rest
                self._serve_one(head + end)
            elif self._is_last:
                self.end("", cause="closed")
            elif head and self._call is None:
                self._await_head()
        self._adjust_reading()

    def _serve_one(self, head: bytes) -> None:
        self._cancel()
        self._idle = 0
        self._chat.rooms.turn.spend(PRICE)
        self._channel.read(head)
        if self._accepted is not None:
            self._be_websocket(*self._accepted)
            return
        self._wire.write(self._surface.take())
        if self._surface.disconnecting:
            self.end("", cause="closed")
            return
        self._charge(PRICE)
        if self._data or self._is_last:
            self._is_lined_up = True
            self._chat.rooms.turn.line_up(self, next_turn=True)

    def answer(self, request: HTTPRequest, has_body: bool) -> Answer | None:
        """Answer a request; None for a handshake that is accepted, which the connection answers."""
        if has_body:
            return text_answer(413, "A request has no body here.")
        wire, headers = self._wire, request.requestHeaders
        refusal = self._newcomer.refusal
        answer = self._site.answer(
            Request(
                request.method,
                request.uri,
                headers,
                version=request.clientproto,
                is_secure=wire.is_encrypted,
                is_forwarded=wire.proxy is not None,
            )
        )
        if answer.status != 101:
            if refusal is None:
                return answer
            self._channel.persistent = 0  # those that are told why are few at a time
            return text_answer(403 if refusal.code == "banned" else 503, refusal.text)
        try:
            address = self._client_address(headers)
        except Refused as refused:
            return text_answer(refused.status, str(refused))
        self._accepted = answer, address
        return None

    def _client_address(self, headers: Headers) -> str:
        """Return the address by which a client is counted. Raises `Refused` if it is not known, or has too many.

        Otherwise, all clients of a proxy would be taken for this machine, where operators register their accounts.
        """
        wire = self._wire
        forwarded = headers.getRawHeaders(b"X-Forwarded-For") or ()
        if wire.proxy is None:
            if forwarded and is_within(wire.address, THIS_MACHINE):
                raise Refused(
                    403,
                    "A proxy on the machine of this server has passed this on, and the server does not believe it who "
                    f"its clients are: start the server with --trust-proxy {wire.address}.",
                )
            return wire.address  # a WebSocket that is refused is told so by an object
        address = forwarded_for(forwarded, self._proxies)
        if not address:
            raise Refused(403, "The proxy in front has to say in X-Forwarded-For who its client is.")
        if not self._chat.admits(address):
            raise Refused(503, "There are too many connections from your address: end one first.")
        return address

    def _be_websocket(self, answer: Answer, address: str) -> None:
        self._adjust_reading()
        self._is_over = True
        self._let_channel_go()
        rest, self._data = self._data, b""
        head = [b"HTTP/1.1 101 Switching Protocols", *(b"%b: %b" % header for header in answer.headers)]
        self._wire.upgrade(b"\r\n".join(head) + _END, address)
        if rest:
            self._wire.dataReceived(rest)

    def _adjust_reading(self) -> None:
        """Read from the transport, unless a request waits to be answered."""
        if self._is_over:
            return
        wanted = not (self.paused or self._is_lined_up or self._rest is not None)
        if wanted != self._is_reading:
            self._is_reading = wanted
            (self._wire.transport.resumeProducing if wanted else self._wire.transport.pauseProducing)()

    def _charge(self, price: float) -> None:
        wait = self._newcomer.charge(price)
        if wait and self._rest is None:
            self._rest = self._chat.reactor.callLater(min(wait, MAX_REST_SECONDS), self._rested)

    # Time

    def _await_head(self) -> None:
        self._call = self._chat.reactor.callLater(HEAD_SECONDS, self._give_up)

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
        self._is_last = True
        self._serve()

    def lost(self) -> None:
        """Called when the connection is gone."""
        self._is_over = True
        self._cancel()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self._newcomer.lost()
        self._let_channel_go()

    def _let_channel_go(self) -> None:
        """Forget the channel. It refers to this visit, and its request to it; without cycles, all is freed at once."""
        self._channel.requests.clear()
        del self._channel

    def end(self, why: str, *, cause: str = "server") -> None:
        """End the connection. HTTP has no word for the reason."""
        if self._is_over:
            return
        self._wire.cause = self._wire.cause or cause
        self._is_over = True
        self._cancel()
        self._wire.close()

    # From the transport

    def pauseProducing(self) -> None:
        self.paused = True
        self._adjust_reading()

    def resumeProducing(self) -> None:
        self.paused = False
        self._serve()

    def stopProducing(self) -> None:
        """Called by the transport at its end. `lost` follows."""

    # Objects, of which there are none before the upgrade

    def received(self, request: Asked, size: int) -> None:
        """Not called: before the upgrade there are no objects."""

    def received_part(self, size: int) -> None:
        """Not called either."""


def forwarded_for(values: Sequence[bytes], proxies: Sequence[Network]) -> str:
    """Return the client's address from the values of X-Forwarded-For; empty if there is none.

    Each proxy adds the address that it sees at the end of the list, so that the last one that is no proxy's is the
    client's. What comes before it is the client's own words.
    """
    address = ""
    for text in reversed(b",".join(values).decode("latin-1").split(",")):
        try:
            address = str(ip_address(text.strip()))
        except ValueError:
            break
        if not is_within(address, proxies):
            break
    return address


@implementer(IProtocolNegotiationFactory)
class WebFactory(WebSocketFactory):
    """Makes the connections of a place of the web."""

    def __init__(self, chat: Chat, origins: Sequence[str] = (), proxies: Sequence[Network] = ()) -> None:
        """`origins` are the pages that may use the chat beside its own; `proxies` say whom they connect."""
        super().__init__(chat)
        self._site = Site(Origins(origins))
        self._proxies = proxies

    def buildProtocol(self, addr: IAddress | None) -> WebSocket:
        """Make a connection. One of a trusted proxy has no address until it says who its client is."""
        wire = super().buildProtocol(addr)
        assert isinstance(wire, WebSocket)
        if not wire.address or is_within(wire.address, self._proxies):
            wire.proxy, wire.address = wire.address, ""
        return wire

    def acceptableProtocols(self) -> list[bytes]:
        """Return what is spoken over TLS, in the words of ALPN. Browsers offer HTTP/2, too."""
        return [b"http/1.1"]

    def make_visitor(self, wire: WebSocket) -> Visit:
        """Make what serves a connection until its upgrade."""
        newcomer = wire.participant
        assert isinstance(newcomer, Newcomer)
        return Visit(wire, newcomer, self.chat, self._site, self._proxies)

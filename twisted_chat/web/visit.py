"""A visit to a place of the web: the page is served, until the upgrade of the connection to a WebSocket."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IAddress, IProtocolNegotiationFactory
from twisted.web.http import Request as HTTPRequest
from twisted.web.http_headers import Headers
from zope.interface import implementer

from .. import http_visit
from ..chat import Chat
from ..http_requests import header_of_proxy
from ..http_visit import Answer, text_answer
from ..messages import Asked
from ..newcomer import Newcomer
from ..wire.proxy import Network, client_address, is_within
from ..wire.websocket import WebSocket, WebSocketFactory
from .handshake import Origins, Refused
from .site import Request, Site


class Visit(http_visit.Visit):
    """A connection before its upgrade. It is a `websocket.Visitor`."""

    def __init__(self, wire: WebSocket, newcomer: Newcomer, chat: Chat, site: Site, proxies: Sequence[Network]) -> None:
        super().__init__(wire, chat.rooms.turn, chat.reactor)
        self._wire = wire
        self._newcomer = newcomer
        self._chat = chat
        self._site = site
        self._proxies = proxies
        self._accepted: tuple[Answer, str] | None = None
        """The answer to a handshake, and the client's address, in the moment before the upgrade."""

    def charge(self, price: float) -> float:
        return self._newcomer.charge(price)

    def answer(self, request: HTTPRequest) -> Answer | None:
        """Answer a request; None for a handshake that is accepted, which the connection answers."""
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
        wire.is_local = wire.is_local and not self._site.is_for_others
        self._accepted = answer, address
        return None

    def _client_address(self, headers: Headers) -> str:
        """Return the address by which a client is counted. Raises `Refused` if it is not known, or has too many.

        Otherwise, all clients of a proxy would count as one, and as a program of this machine, where operators register
        their accounts.
        """
        wire = self._wire
        if wire.proxy is None:
            header = header_of_proxy(headers) if wire.is_local else ""
            if header:
                raise Refused(
                    403,
                    f"A proxy on the machine of this server has passed this on, as {header} shows, and the server does "
                    f"not believe it who its clients are: start the server with --trust-proxy {wire.address}.",
                )
            return wire.address  # a WebSocket that is refused is told so by an object
        address = forwarded_for(headers.getRawHeaders(b"X-Forwarded-For") or (), self._proxies)
        if not address:
            raise Refused(
                403, "The proxy in front has to say in X-Forwarded-For who its client is, and to name no proxy as one."
            )
        if not self._chat.admits(address):
            raise Refused(503, "There are too many connections from your address: end one first.")
        return address

    def _send_answer(self) -> None:
        if self._accepted is None:
            super()._send_answer()
        else:
            self._be_websocket(*self._accepted)

    def _be_websocket(self, answer: Answer, address: str) -> None:
        self._adjust_reading()
        self._leave()
        self._let_channel_go()
        rest, self._data = self._data, b""
        head = [b"HTTP/1.1 101 Switching Protocols", *(b"%b: %b" % header for header in answer.headers)]
        self._wire.upgrade(b"\r\n".join(head) + b"\r\n\r\n", address)
        if rest:
            self._wire.dataReceived(rest)

    def lost(self) -> None:
        self._newcomer.lost()
        super().lost()

    # Objects, of which there are none before the upgrade

    def received(self, request: Asked, size: int) -> None:
        """Not called: before the upgrade there are no objects."""

    def received_part(self, size: int) -> None:
        """Not called either."""


def forwarded_for(values: Sequence[bytes], proxies: Sequence[Network]) -> str:
    """Return the client's address from the values of X-Forwarded-For; empty if there is none.

    Each proxy adds the address that it sees at the end of the list, so that the last one that is no proxy's is the
    client's. What comes before it is the client's own words. If there are only proxies, or something else than an
    address before them, nobody has named a client.
    """
    for text in reversed(b",".join(values).decode("latin-1").split(",")):
        try:
            address = str(client_address(text.strip()))
        except ValueError:
            break
        if not is_within(address, proxies):
            return address
    return ""


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
            wire.proxy, wire.address, wire.is_local = wire.address, "", False
        return wire

    def acceptableProtocols(self) -> list[bytes]:
        """Return what is spoken over TLS, in the words of ALPN. Browsers offer HTTP/2, too."""
        return [b"http/1.1"]

    def make_visitor(self, wire: WebSocket) -> Visit:
        """Make what serves a connection until its upgrade."""
        newcomer = wire.participant
        assert isinstance(newcomer, Newcomer)
        return Visit(wire, newcomer, self.chat, self._site, self._proxies)

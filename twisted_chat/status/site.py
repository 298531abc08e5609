"""The site on which the operator sees the status.

    /metrics   for Prometheus
    /healthz   200 as long as the process answers
    /readyz    200 while connections and messages are taken, otherwise 503
    /          a page with the last hour

The first and the last need the token, if there is one. Without a token the site can only be reached from this machine,
and is asked for as `127.0.0.1` or `localhost`: a page of somebody else could have its own name point to this machine,
and a browser would let it read the status (DNS rebinding).
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final, NamedTuple

from twisted.internet.address import UNIXAddress
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, HTTPFactory, Request

from .. import __version__
from ..chat import Chat
from ..http_requests import BodilessChannel, host_of, is_name, path_of
from .history import History
from .metrics import CONTENT_TYPE, Metrics
from .page import draw
from .snapshot import trouble

MAX_CONNECTIONS: Final = 16
"""Connections to the site at a time: a few monitors and browsers. Each takes one of the files that the process may
open."""

IDLE_SECONDS: Final = 30.0
"""Seconds after which a connection is closed on which nothing arrives. Prometheus asks every 15 by default."""

TEXT: Final = "text/plain; charset=utf-8"

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Server": f"twisted_chat/{__version__}",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every answer."""

CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="status of twisted_chat", charset="UTF-8"'}
"""The header that lets a browser ask for the token, as a password (RFC 7617)."""

_log = Logger("twisted_chat.status")


class Answer(NamedTuple):
    """An answer over HTTP."""

    status: HTTPStatus
    text: str | bytes
    type: str = TEXT
    headers: Mapping[str, str] = {}


class StatusFactory(HTTPFactory):
    """The site of a chat. It keeps the last hour while its port is open."""

    noisy = False

    def __init__(self, chat: Chat, token: bytes = b"") -> None:
        """Make a site that can be read with a token or, if that is empty, by everybody who can connect."""
        super().__init__(timeout=IDLE_SECONDS, reactor=chat.reactor)
        self._chat = chat
        self._token = token
        self._history = History(chat)
        self._metrics = Metrics(chat)
        self._style = files(__package__).joinpath("status.css").read_text("utf-8")
        self._paths: dict[bytes, Callable[[Request], Answer]] = {
            b"/": lambda _: Answer(HTTPStatus.OK, draw(self._chat, self._history), "text/html; charset=utf-8"),
            b"/metrics": lambda _: Answer(HTTPStatus.OK, self._metrics.text(), CONTENT_TYPE),
        }
        self._open_paths: dict[bytes, Callable[[Request], Answer]] = {
            b"/status.css": lambda _: Answer(HTTPStatus.OK, self._style, "text/css; charset=utf-8"),
            b"/healthz": lambda _: Answer(HTTPStatus.OK, "the server answers\n"),
            b"/readyz": self._readiness,
        }
        """The paths that need no token, since they say nothing that a stranger cannot find out by connecting."""
        self.connections = 0

    # `HTTPFactory` would write each request to the server's log, and format the time of day every second.

    def startFactory(self) -> None:
        self._history.start()

    def stopFactory(self) -> None:
        self._history.stop()

    def log(self, request: Request) -> None:
        """Do nothing: a monitor asks all day."""

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        if request.method not in (b"GET", b"HEAD"):
            allowed = {"Allow": "GET, HEAD"}
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, "the status can only be read: use GET\n", headers=allowed)
        path = path_of(request.uri)
        if path in self._open_paths:
            return self._open_paths[path](request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if path in self._paths:
            return self._paths[path](request)
        return Answer(HTTPStatus.NOT_FOUND, "there is only /, /metrics, /healthz and /readyz\n")

    def _refusal(self, request: Request) -> Answer | None:
        if self._token:
            if hmac.compare_digest(secret_of(request.getHeader(b"Authorization") or b""), self._token):
                return None
            text = "give the token of --status-token as the password, or as a bearer token\n"
            return Answer(HTTPStatus.UNAUTHORIZED, text, headers=CHALLENGE)
        if isinstance(request.getHost(), UNIXAddress) or is_this_machine(host_of(request.uri, request.requestHeaders)):
            return None
        text = "ask for 127.0.0.1 or localhost in place of this name, or give the server a --status-token\n"
        return Answer(HTTPStatus.MISDIRECTED_REQUEST, text)

    def _readiness(self, request: Request) -> Answer:
        why = trouble(self._chat, self._chat.log.condition())
        if not why:
            return Answer(HTTPStatus.OK, "the server is ready\n")
        if self._refusal(request) is not None:
            why = "its status page says why"
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"the server is not ready: {why}\n")


def secret_of(authorization: bytes) -> bytes:
    """Return the secret of a header: a bearer token (RFC 6750), or the password of a user with any name (RFC 7617)."""
    scheme, _, value = authorization.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            pass
    return b""


def is_this_machine(host: bytes) -> bool:
    """True for a host that is an address or `localhost`, and where there is none: a browser always names one."""
    return not (host and is_name(host))


class _Request(Request):
    channel: _Channel

    def process(self) -> None:
        """Answer the request."""
        answer = self.channel.answer(self)
        body = answer.text.encode() if isinstance(answer.text, str) else answer.text
        self.setResponseCode(answer.status.value, answer.status.phrase.encode())
        headers = {"Content-Type": answer.type, "Content-Length": str(len(body)), **HEADERS, **answer.headers}
        for name, value in headers.items():
            self.responseHeaders.setRawHeaders(name, [value])
        Request.write(self, body)
        Request.finish(self)


class _Channel(BodilessChannel):
    """A connection to the site."""

    factory: StatusFactory
    transport: Any
    requestFactory = _Request

    def connectionMade(self) -> None:
        self.factory.connections += 1
        HTTPChannel.connectionMade(self)
        if self.factory.connections > MAX_CONNECTIONS:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.connections -= 1
        HTTPChannel.connectionLost(self, reason)

    def answer(self, request: Request) -> Answer:
        """Answer a request, whatever happens."""
        if self.has_body:
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request has no body here\n")
        try:
            return self.factory.answer(request)
        except Exception:
            _log.failure("A request for the status could not be answered")
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "this failed: the log of the server says why\n")


StatusFactory.protocol = _Channel  # type: ignore[assignment]  # Twisted says a function that makes one

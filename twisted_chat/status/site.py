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
from collections.abc import Callable
from importlib.resources import files
from typing import Final

from twisted.internet.address import UNIXAddress
from twisted.logger import Logger
from twisted.web.http import Request

from .. import __version__
from ..chat import Chat
from ..http_requests import host_of, is_name, path_of
from ..http_visit import Answer, Headers, text_answer
from .history import History
from .metrics import CONTENT_TYPE, Metrics
from .page import draw
from .snapshot import trouble

FRESH_SECONDS: Final = 0.5
"""Seconds for which a text is served again that takes 12 ms to make. A monitor asks every two seconds or so, and a
flood for both texts takes 5 % of a processor at most."""

HEADERS: Final[Headers] = (
    (
        b"Content-Security-Policy",
        b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Server", b"twisted_chat/" + __version__.encode()),
    (b"X-Content-Type-Options", b"nosniff"),
)
"""The headers of every answer of the site."""

CHALLENGE: Final[Headers] = ((b"WWW-Authenticate", b'Basic realm="status of twisted_chat", charset="UTF-8"'),)
"""The header that lets a browser ask for the token, as a password (RFC 7617)."""

_log = Logger("twisted_chat.status")


class Site:
    """The site of a chat. It keeps the last hour while its port is open."""

    def __init__(self, chat: Chat, token: bytes = b"") -> None:
        """Make a site that can be read with a token or, if that is empty, by everybody who can connect."""
        self.history = History(chat)
        self._chat = chat
        self._token = token
        page = _Fresh(chat.reactor.seconds, lambda: draw(chat, self.history).encode())
        metrics = _Fresh(chat.reactor.seconds, Metrics(chat).text)
        style = files(__package__).joinpath("status.css").read_bytes()
        self._paths: dict[bytes, Callable[[Request], Answer]] = {
            b"/": lambda _: _found(page.read(), b"text/html; charset=utf-8"),
            b"/metrics": lambda _: _found(metrics.read(), CONTENT_TYPE.encode()),
        }
        self._open_paths: dict[bytes, Callable[[Request], Answer]] = {
            b"/status.css": lambda _: _found(style, b"text/css; charset=utf-8"),
            b"/healthz": lambda _: text_answer(200, "the server answers"),
            b"/readyz": self._readiness,
        }
        """The paths that need no token, since they say nothing that a stranger cannot find out by connecting."""

    def answer(self, request: Request) -> Answer:
        """Answer a request, whatever happens."""
        try:
            answer = self._answer(request)
        except Exception:
            _log.failure("A request for the status could not be answered")
            answer = text_answer(500, "this failed: the log of the server says why")
        return answer._replace(headers=[*answer.headers, *HEADERS])

    def _answer(self, request: Request) -> Answer:
        if request.method not in (b"GET", b"HEAD"):
            return text_answer(405, "the status can only be read: use GET", [(b"Allow", b"GET, HEAD")])
        path = path_of(request.uri)
        if path in self._open_paths:
            return self._open_paths[path](request)
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if path in self._paths:
            return self._paths[path](request)
        return text_answer(404, "there is only /, /metrics, /healthz and /readyz")

    def _refusal(self, request: Request) -> Answer | None:
        if self._token:
            if hmac.compare_digest(secret_of(request.getHeader(b"Authorization") or b""), self._token):
                return None
            text = "give the token of --status-token as the password, or as a bearer token"
            return text_answer(401, text, CHALLENGE)
        if isinstance(request.getHost(), UNIXAddress) or is_this_machine(host_of(request.uri, request.requestHeaders)):
            return None
        return text_answer(
            421, "ask for 127.0.0.1 or localhost in place of this name, or give the server a --status-token"
        )

    def _readiness(self, request: Request) -> Answer:
        why = trouble(self._chat, self._chat.log.condition())
        if not why:
            return text_answer(200, "the server is ready")
        if self._refusal(request) is not None:
            why = "its status page says why"
        return text_answer(503, f"the server is not ready: {why}")


class _Fresh:
    """A text that takes long to make, and is served for `FRESH_SECONDS`."""

    def __init__(self, seconds: Callable[[], float], make: Callable[[], bytes]) -> None:
        self._seconds = seconds
        self._make = make
        self._body = b""
        self._until = seconds()
        """The time until which it is served."""

    def read(self) -> bytes:
        """Return the text, made anew if it is too old."""
        now = self._seconds()
        if now >= self._until:
            self._body = self._make()
            self._until = now + FRESH_SECONDS
        return self._body


def _found(body: bytes, kind: bytes) -> Answer:
    return Answer(200, [(b"Content-Type", kind), (b"Cache-Control", b"no-store")], body)


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

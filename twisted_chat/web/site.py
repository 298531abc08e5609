"""The site: what is answered to a request over HTTP. It uses no socket, and is the same for all connections."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from twisted.web.http_headers import Headers as TwistedHeaders

from ..http_requests import host_of, is_name, path_of
from ..http_visit import PLAIN, Answer, Headers, text_answer
from .handshake import Origins, Refused, accept_key

CHAT: Final = b"/chat"
"""The path of the WebSocket."""

TYPES: Final = {
    "css": b"text/css; charset=utf-8",
    "html": b"text/html; charset=utf-8",
    "ico": b"image/x-icon",
    "js": b"text/javascript; charset=utf-8",
    "json": b"application/json",
    "png": b"image/png",
    "svg": b"image/svg+xml",
    "txt": PLAIN,
    "webmanifest": b"application/manifest+json",
    "woff2": b"font/woff2",
}
"""The types of files by the ends of their names. A file of another kind is not served."""

_COMPRESSED: Final = frozenset(("ico", "png", "woff2"))
"""The kinds of files that compressing makes no smaller."""

MIN_GZIP: Final = 1024
"""Bytes from which a file is also kept compressed: a shorter one fits into the segment that its headers take."""

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    b"manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'"
)
"""The Content-Security-Policy. Nothing is loaded from elsewhere, no script or style stands in a page or an attribute,
no page of others can frame this one, and no text becomes a script or HTML. `connect-src 'self'` includes the WebSocket
of the same host and port (CSP level 3, section 6.7.2.8)."""

SAFETY: Final[Headers] = (
    (b"Content-Security-Policy", POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),  # the address of a page names a room
    (b"Permissions-Policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)
"""The headers of every answer."""

HSTS: Final = (b"Strict-Transport-Security", b"max-age=31536000")
"""The header that has browsers use TLS only, for a year (RFC 6797). It is sent over TLS, and for names only: whoever
tries a server at `localhost` has other servers there."""


class Request(NamedTuple):
    """A request over HTTP, without a body."""

    method: bytes
    target: bytes
    """The path with its query, or the whole URL."""
    headers: TwistedHeaders
    version: bytes = b"HTTP/1.1"
    is_secure: bool = False
    """True over TLS."""
    is_forwarded: bool = False
    """True if a trusted proxy has passed it on, which knows the names that lead here."""

    @property
    def path(self) -> bytes:
        """The path, without the query."""
        return path_of(self.target)

    @property
    def host(self) -> bytes:
        """The host and port that the client asks for; no valid one if it names none, or several."""
        return host_of(self.target, self.headers)


class File(NamedTuple):
    """A file as it is sent: for each content coding, its entity tag and its bytes."""

    type: bytes
    codings: Mapping[bytes, tuple[bytes, bytes]]


class Site:
    """The files of the page, and the WebSocket."""

    def __init__(self, origins: Origins, folder: Traversable | None = None) -> None:
        """Read the files of the folder, which are few; by default, those of the package."""
        self._origins = origins
        root = files(__package__).joinpath("page") if folder is None else folder
        self._files = {name.encode(): _read(name, found) for name, found in _walk(root)}
        self._files[b"/"] = self._files[b"/index.html"]

    @property
    def paths(self) -> frozenset[bytes]:
        """The paths of all files."""
        return frozenset(self._files)

    @property
    def is_for_others(self) -> bool:
        """True if a proxy may be in front that says nothing of itself; see `Origins`."""
        return self._origins.is_for_others

    def answer(self, request: Request) -> Answer:
        """Answer a request. The status 101 is for the upgrade to a WebSocket."""
        try:
            self._origins.check_host(request.host, request.is_secure or request.is_forwarded)
            answer = self._upgrade(request) if request.path == CHAT else self._serve(request)
        except Refused as refused:
            answer = text_answer(refused.status, str(refused), refused.headers)
        if answer.status == 101:
            return answer
        headers = [*answer.headers, *SAFETY]
        if request.is_secure and is_name(request.host):
            headers.append(HSTS)
        return answer._replace(headers=headers)

    def _upgrade(self, request: Request) -> Answer:
        if request.method != b"GET":
            raise Refused(405, "The chat is a WebSocket: GET is the only method here.", [(b"Allow", b"GET")])
        if request.version != b"HTTP/1.1":
            raise Refused(426, "A WebSocket needs HTTP/1.1.", [(b"Upgrade", b"HTTP/1.1"), (b"Connection", b"Upgrade")])
        key = accept_key(request.headers)
        self._origins.check_origin(request.headers.getRawHeaders(b"Origin"), request.host, request.is_secure)
        upgrade = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", key)]
        return Answer(101, upgrade)

    def _serve(self, request: Request) -> Answer:
        found = self._files.get(request.path)
        if found is None:
            raise Refused(404, "There is nothing here. The chat is at / on this server.")
        if request.method not in (b"GET", b"HEAD"):
            raise Refused(405, "This can only be read: GET and HEAD are the methods here.", [(b"Allow", b"GET, HEAD")])
        coding = b"gzip" if b"gzip" in found.codings and _takes_gzip(request.headers) else b""
        tag, body = found.codings[coding]
        # Names do not change with their contents, so a browser asks each time whether what it has is still right.
        headers = [(b"ETag", tag), (b"Cache-Control", b"no-cache")]
        if len(found.codings) > 1:
            headers.append((b"Vary", b"Accept-Encoding"))
        if _is_known(tag, request.headers):
            return Answer(304, headers)
        if coding:
            headers.append((b"Content-Encoding", coding))
        return Answer(200, [(b"Content-Type", found.type), *headers], body)


def _walk(folder: Traversable, path: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield the paths of all files of a folder that have a type, with the files."""
    for entry in folder.iterdir():
        name = f"{path}/{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, name)
        elif _kind(name) in TYPES:
            yield name, entry


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _read(name: str, file: Traversable) -> File:
    body = file.read_bytes()
    digest = sha256(body).hexdigest()[:24].encode()
    codings = {b"": (b'"%b"' % digest, body)}
    if len(body) >= MIN_GZIP and _kind(name) not in _COMPRESSED:
        codings[b"gzip"] = b'"%b-gzip"' % digest, gzip.compress(body, mtime=0)
    return File(TYPES[_kind(name)], codings)


def _takes_gzip(headers: TwistedHeaders) -> bool:
    """True if a client takes answers in gzip (RFC 9110, section 12.5.3)."""
    for value in headers.getRawHeaders(b"Accept-Encoding") or ():
        for choice in value.lower().split(b","):
            coding, _, weight = choice.partition(b";")
            if coding.strip() in (b"gzip", b"*"):
                return weight.replace(b" ", b"").rstrip(b"0") not in (b"q=", b"q=0.")
    return False


def _is_known(tag: bytes, headers: TwistedHeaders) -> bool:
    """True if a client has what a tag stands for (RFC 9110, section 13.1.2)."""
    known = b",".join(headers.getRawHeaders(b"If-None-Match") or ()).split(b",")
    return any(other.strip().removeprefix(b"W/") in (tag, b"*") for other in known)

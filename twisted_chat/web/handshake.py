"""The opening handshake of a WebSocket (RFC 6455, section 4.2), and who may open one.

A browser opens a WebSocket for every page that asks for one, whoever wrote it, and says in `Origin` which page that is.
So only the server's own page may, and those that are named. That alone does not help where a name of the attacker's
leads to this server (DNS rebinding): the page's host and that of the request are then the same. So `Host` has to be an
address, `localhost`, the name of this machine, or a name that is known. Over TLS the certificate shows that it is.
"""

from __future__ import annotations

import socket
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Sequence
from hashlib import sha1
from typing import Final
from urllib.parse import urlsplit

from twisted.logger import Logger
from twisted.web.http_headers import Headers

from ..http_requests import is_name, name_of
from ..limits import is_loopback

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The text that shows that the answer is one of a WebSocket server (section 1.3)."""

VERSION: Final = b"13"


SHOWN: Final = 100
"""Maximum bytes that are shown of an origin or a host. Those of people are shorter, and anybody can send a long one."""

LINES: Final = 1
"""Maximum lines a minute in the log about refused origins, and about refused hosts. A page that is refused comes back
every few seconds, and so does what scans the network for servers; one line is enough to find a mistake."""


class Refused(Exception):
    """A request that is refused, with the reason for a person."""

    def __init__(self, status: int, why: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers


class Origins:
    """The names of this server, and the pages that may open a WebSocket.

    A page cannot see why it is refused: browsers do not tell it. So the log says that, for whoever has set up a proxy.
    """

    _log = Logger()

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """`allowed` are origins such as `https://chat.example.org`, beside the server's own page."""
        self._allowed = frozenset(origin.lower().encode() for origin in allowed)
        names = {"localhost", socket.gethostname().lower(), *(urlsplit(origin).hostname or "" for origin in allowed)}
        self._names = frozenset(name.encode() for name in names)
        self.is_for_others = any(map(_is_elsewhere, allowed))
        """True if the page is on other machines, too: then a proxy may be in front that says nothing of itself."""

    def check_host(self, host: bytes, is_proved: bool) -> None:
        """Raise `Refused` unless a request is for this server.

        `is_proved` is true over TLS, where a certificate shows it, and behind a proxy, which knows its names.
        """
        name = name_of(host)
        if not name:
            raise Refused(400, "The request has no Host header, or one that is no name, or several.")
        if not (is_proved or name in self._names or not is_name(host)):
            shown = _shown(host)
            self._log.warn(
                "a request for {host} was refused, since this server does not know that name: if it is one of its "
                "names, start it with --web-origin http://{host}",
                host=shown,
                most=LINES,
            )
            raise Refused(
                421,
                f"This server does not go by the name of '{shown}'. If it should, start it with "
                f"--web-origin http://{shown}.",
            )

    def check_origin(self, origins: Sequence[bytes] | None, host: bytes, is_secure: bool = False) -> None:
        """Raise `Refused` unless the page at an origin may open a WebSocket. What is no browser sends no origin.

        Over TLS, a page that has come without is not the server's own: anybody on the way can have written it. Without
        TLS here, a proxy in front may have it.
        """
        if origins is None:
            return
        if len(origins) != 1:
            raise Refused(400, "The request has several Origin headers.")
        origin = origins[0].lower()
        own = {b"https://" + host.lower()} if is_secure else {b"http://" + host.lower(), b"https://" + host.lower()}
        if origin in self._allowed | own:
            return
        shown = _shown(origin)
        self._log.warn(
            "the page at {origin} asked for the chat at {host} and was refused: if a proxy is in front, let it pass on "
            "the Host header with the port; if that page is another one that may use the chat, start the server with "
            "--web-origin {origin}",
            origin=shown,
            host=_shown(host),
            most=LINES,
        )
        raise Refused(
            403,
            f"The page at '{shown}' may not use this chat. If it should, start the server with --web-origin {shown}. "
            "A proxy in front has to pass on the Host header, with the port.",
        )


def _shown(value: bytes) -> str:
    """Return what a client has sent for a line of the log: in ASCII without control characters, and not too long."""
    text = value[:SHOWN].decode("latin-1").encode("unicode_escape").decode("ascii")
    return text if len(value) <= SHOWN else f"{text}..."


def _is_elsewhere(origin: str) -> bool:
    """True unless an origin is one of this machine."""
    host = urlsplit(origin).hostname or ""
    return not (is_loopback(host) or host == "localhost" or host.endswith(".localhost"))


def accept_key(headers: Headers) -> bytes:
    """Return the key that accepts a handshake (section 4.2.2). Raises `Refused` unless it is one (section 4.2.1)."""
    if b"websocket" not in _words(headers, b"Upgrade") or b"upgrade" not in _words(headers, b"Connection"):
        upgrade = (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")
        raise Refused(426, "The chat is a WebSocket: open this address with one.", upgrade)
    if headers.getRawHeaders(b"Sec-WebSocket-Version") != [VERSION]:
        raise Refused(426, "This server speaks version 13 of WebSockets.", [(b"Sec-WebSocket-Version", VERSION)])
    keys = headers.getRawHeaders(b"Sec-WebSocket-Key") or []
    if len(keys) != 1 or not _is_key(keys[0]):
        raise Refused(400, "Sec-WebSocket-Key is not 16 bytes in base64.")
    return b64encode(sha1(keys[0] + _GUID, usedforsecurity=False).digest())


def _is_key(key: bytes) -> bool:
    try:
        return len(b64decode(key, validate=True)) == 16
    except NoBase64:
        return False


def _words(headers: Headers, name: bytes) -> list[bytes]:
    """Return the words of a header that is a list, in lower case."""
    return [word.strip().lower() for value in headers.getRawHeaders(name) or () for word in value.split(b",")]

"""Requests over HTTP as the server reads them: their target, their host, and a channel that reads no bodies.

The page of the chat (`web`) and the site of the status (`status`) have these in common.
"""

from __future__ import annotations

import re
from typing import Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers

_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*)([^?#]*)")
"""A target that is a whole URL. Clients send it to proxies, and every server has to take it (RFC 9112, 3.2.2)."""

ADDED_BY_PROXIES: Final = frozenset(
    (
        b"cdn-loop",
        b"cf-connecting-ip",
        b"fastly-client-ip",
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-original-forwarded-for",
        b"x-real-ip",
    )
)
"""The headers, beside those that begin with `X-Forwarded-`, that proxies add to tell of themselves or of their clients:
the standards' own (RFC 7239; RFC 9110, section 7.6.3; RFC 8586) and those of widespread proxies."""

_HOST: Final = re.compile(rb"(?a:([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?)")


def path_of(target: bytes) -> bytes:
    """Return the path of a request's target, without the query."""
    absolute = _ABSOLUTE.match(target)
    return (absolute[2] or b"/") if absolute else target.partition(b"?")[0]


def host_of(target: bytes, headers: Headers) -> bytes:
    """Return the host and port that a client asks for; empty if it names none, and no valid one if it names several.

    A target that is a whole URL has it, and otherwise the header `Host`, which has to be there anyway (RFC 9112,
    sections 3.2 and 3.3).
    """
    hosts = headers.getRawHeaders(b"Host") or []
    absolute = _ABSOLUTE.match(target)
    return absolute[1] if absolute and len(hosts) == 1 else b", ".join(hosts)


def name_of(host: bytes) -> bytes:
    """Return the name or address in a host, without brackets and port and in lower case; empty if there is none."""
    found = _HOST.fullmatch(host)
    return found[1].strip(b"[]").lower() if found else b""


def is_name(host: bytes) -> bool:
    """True for a host that may be a name of the DNS, and is neither an address nor `localhost`.

    Anybody can have a name of theirs point to this machine, and browsers take a page of that name for this server's
    own (DNS rebinding).
    """
    name = name_of(host).decode()
    return not (isIPAddress(name) or isIPv6Address(name) or name == "localhost" or name.endswith(".localhost"))


def header_of_proxy(headers: Headers) -> str:
    """Return the name of a header that only proxies add; empty if a request has none."""
    for name, _ in headers.getAllRawHeaders():
        if name.lower() in ADDED_BY_PROXIES or name.lower().startswith(b"x-forwarded-"):
            return name.decode("ascii", "replace")
    return ""


class BodilessChannel(HTTPChannel):
    """A connection whose requests have no body. One that has a body is answered with an error, and the last one."""

    has_body = False

    def allHeadersReceived(self) -> None:
        """Called at the end of the head of a request. A body is not read, since Twisted would keep it on the disk."""
        self.has_body = self.length != 0
        self.length = 0
        self.requests[-1].requestHeaders.removeHeader(b"Expect")  # Twisted would ask for the body
        HTTPChannel.allHeadersReceived(self)
        self.persistent = self.persistent and not self.has_body

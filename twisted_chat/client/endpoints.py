"""The descriptions of servers that the library takes, such as `tcp:chat.example:14900`."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from ..needs_tls import NEEDS_TLS


def read_endpoint(reactor: Any, text: str) -> IStreamClientEndpoint:
    """Read a description; raises `ValueError` if it is wrong."""
    if not text.startswith("tls:"):
        endpoint: IStreamClientEndpoint = clientFromString(reactor, text)
        return endpoint
    if find_spec("OpenSSL") is None:
        raise ValueError(NEEDS_TLS)
    from .tls import CONNECT_SECONDS, tls_endpoint  # here, since it needs more packages

    named = _arguments(text)
    host, port = named.pop("host", ""), named.pop("port", "")
    ca = named.pop("ca", None) or named.pop("trustRoots", None)
    timeout, bind = float(named.pop("timeout", CONNECT_SECONDS)), named.pop("bindAddress", None)
    if named or not host or not port.isdecimal():
        raise ValueError(f"an endpoint with TLS is tls:HOST:PORT or tls:HOST:PORT:ca=FILE, not {text}")
    return tls_endpoint(reactor, host, int(port), ca, timeout, bind)


def _arguments(text: str) -> dict[str, str]:
    """Split a description into its arguments. The first two without a name are the host and the port."""
    arguments: dict[str, str] = {}
    names = iter(("host", "port"))
    for part in re.split(r"(?<!\\):", text)[1:]:
        name, equals, value = part.partition("=")
        if not equals:
            name, value = next(names, "too many"), part
        arguments[name] = re.sub(r"\\(.)", r"\1", value)
    return arguments

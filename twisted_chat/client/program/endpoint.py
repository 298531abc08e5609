"""The endpoint of the server that the options name."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from ..udp import UDPEndpoint
from .options import Options


def endpoint(reactor: Any, options: Options) -> IStreamClientEndpoint:
    """Make the endpoint of the server, for `Client`."""
    if options.transport == "udp":
        return UDPEndpoint(reactor, options.host, options.port)
    if options.transport == "tls":
        from ..tls import tls_endpoint  # here, since it needs more packages

        return tls_endpoint(reactor, options.host, options.port, options.ca)
    return HostnameEndpoint(reactor, options.host, options.port)

"""The endpoint of the server that the options name."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from ..udp import UDPEndpoint
from .options import Options


def endpoint(reactor: Any, options: Options) -> IStreamClientEndpoint:
    """Make the endpoint of the server, for `Client`."""
    if options.transport == "udp":
        return UDPEndpoint(reactor, options.host, options.port)
    stream = HostnameEndpoint(reactor, options.host, options.port)
    if options.transport == "tls":
        from twisted.internet.ssl import optionsForClientTLS  # here, since it needs more packages

        return wrapClientTLS(optionsForClientTLS(options.host), stream)
    return stream

"""What the tests of proxies have in common."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from .programs import TIMEOUT
from .websockets import request, text


def free_port() -> int:
    """Return a port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something that another program does is so; trial gives up in time."""
    while not is_so():
        await deferLater(cast(Any, reactor), 0.01)


def trust_everybody() -> ssl.SSLContext:
    """Return a context with which a client does not check whom it talks to."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class ProxyTestCase(TestCase):
    """Tests with clients that connect to a proxy from an address of this machine."""

    def connect(self, port: int, source: str, host: str, trusts: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """Connect over TLS, as a client of an address such as 127.0.0.2."""
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT, (source, 0))
        trusts = trusts or trust_everybody()
        connection = trusts.wrap_socket(plain, server_hostname=host.partition(":")[0])
        self.addCleanup(connection.close)
        return connection

    def hello(self, port: int, source: str, host: str, trusts: ssl.SSLContext | None = None) -> str:
        """Say hello as a browser does, and pretend another address. Returns the type of the answer."""
        connection = self.connect(port, source, host, trusts)
        headers = {"Host": host, "Origin": f"https://{host}", "X-Forwarded-For": "192.0.2.7"}
        connection.sendall(request(**headers))
        self.read_until(connection, rb"\r\n\r\n")  # Caddy loses what comes before the upgrade
        connection.sendall(text({"type": "hello", "nick": f"from-{source}"}))
        return self.read_until(connection, rb'"type":"(\w+)"')[1].decode()

    def read_until(self, connection: socket.socket, pattern: bytes) -> re.Match[bytes]:
        """Read until a pattern has arrived."""
        data = b""
        while not (found := re.search(pattern, data)):
            received = connection.recv(1000)
            assert received, data
            data += received
        return found

    async def wait_for_tls(self, port: int, host: str) -> None:
        """Wait until a handshake succeeds: a proxy that makes its certificate itself may listen before it has one."""

        def has_certificate() -> bool:
            try:
                self.connect(port, "127.0.0.1", host).close()
            except OSError:  # as those of TLS are
                return False
            return True

        await until(has_certificate)

    async def wait_for(self, port: int) -> None:
        """Wait until somebody listens on a port."""

        def listens() -> bool:
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0

        await until(listens)

"""Sockets: objects to and from a server, over TCP, TLS and UDP."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ..datagrams import FIRST_PATIENCE, Object, decode, encode
from ..lossless import Lossless

OPEN_TIME: Final = 10.0
"""Seconds in which a connection must be made."""

MAX_LINE: Final = 2**20
"""Bytes of a line of a server, about. Ours writes a quarter of that at most: a page of history."""


class LostError(Exception):
    """The connection is lost, and why, for a person."""


class StreamLink:
    """Objects over TCP or TLS, one a line."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        with _naming(host):
            opened = socket.create_connection((host, port), timeout=OPEN_TIME)
            try:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket = tls.wrap_socket(opened, server_hostname=host) if tls else opened
            except BaseException:
                opened.close()
                raise
        self.socket.setblocking(False)
        self._in = bytearray()
        """The line that has no end yet."""
        self._out = b""

    @property
    def unsent(self) -> bool:
        """Whether something waits for the socket to take it."""
        return bool(self._out)

    def send(self, obj: Object) -> None:
        self._out += encode(obj) + b"\n"

    def flush(self) -> None:
        """Hand on what the socket takes."""
        try:
            while self._out:
                self._out = self._out[self.socket.send(self._out) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass

    def receive(self) -> list[Object]:
        """Read what has come. Raises `LostError` at the end, or where a line has none."""
        try:
            data = self.socket.recv(65536)  # more than a record of TLS, so that nothing is left where no one looks
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return []
        if not data:
            raise LostError("the server ended it")
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._in) + lines[0]
            self._in.clear()
        self._in += rest
        if len(self._in) > MAX_LINE:
            raise LostError(f"the server sent a line of more than {MAX_LINE:,} bytes")
        return list(filter(None, map(decode, lines)))

    def due(self) -> float | None:
        """Say when `tick` has something to do."""
        return None

    def tick(self) -> list[Object]:
        return []

    def close(self) -> None:
        self.socket.close()


class DatagramLink:
    """Objects over UDP: what gets lost is said again and read again within `Lossless`."""

    unsent = False

    def __init__(self, host: str, port: int, token: str) -> None:
        with _naming(host):
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        while True:
            family, kind, protocol, _, address = addresses.pop(0)
            self.socket = socket.socket(family, kind, protocol)
            self._session = Lossless(token, time.monotonic())
            try:
                self.socket.connect(address)
                self._handshake()
                return
            except OSError:
                self.socket.close()
                if not addresses:
                    raise

    def _handshake(self) -> None:
        """Wait until somebody answers at this address."""
        latest = time.monotonic() + OPEN_TIME
        self.socket.settimeout(FIRST_PATIENCE)
        while not self._session.proven:
            if time.monotonic() >= latest:
                raise TimeoutError(f"the server did not answer within {OPEN_TIME:g} seconds")
            self._session.tick(time.monotonic())
            self.flush()
            with suppress(TimeoutError):
                self._session.received(self.socket.recv(65536), time.monotonic())
        self.socket.setblocking(False)

    def send(self, obj: Object) -> None:
        self._session.send(obj, time.monotonic())

    def flush(self) -> None:
        for datagram in self._session.take_datagrams():
            try:
                self.socket.send(datagram)
            except ConnectionRefusedError:  # the other machine says that nobody is there
                raise
            except OSError:  # it is lost then, as others are: there is no space, or no network for a moment
                pass

    def receive(self) -> list[Object]:
        now = time.monotonic()
        with suppress(BlockingIOError):
            for _ in range(100):  # then it is the turn of what has to be said
                self._session.received(self.socket.recv(65536), now)
        return self._session.take_objects()

    def due(self) -> float | None:
        return self._session.due()

    def tick(self) -> list[Object]:
        self._session.tick(time.monotonic())
        return self._session.take_objects()

    def close(self) -> None:
        self.socket.close()


@contextmanager
def _naming(host: str) -> Iterator[None]:
    """Make an `OSError` of what Python says of a host that cannot be one, such as a name with 70 letters and no dot."""
    try:
        yield
    except ValueError as error:  # UnicodeError is one, and what TLS raises
        raise OSError(f"{host!r} is not the name of a host") from error


Link = StreamLink | DatagramLink

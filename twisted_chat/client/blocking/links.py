"""Connections that carry objects over TCP, TLS and UDP, and the reasons for their end, for a person."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ..protocol.datagrams import FIRST_PATIENCE, Datagrams
from ..protocol.engine import OPEN_TIME
from ..protocol.errors import ENDED, NO_ANSWER, REFUSED
from ..protocol.lines import EndlessLineError, LineReader
from ..protocol.objects import Object, encode
from ..trust import UNTRUSTED, certificate_problem

NO_TLS_HINT: Final = "if its port is one for TLS, use tls=True"
"""The hint if something answers over TCP that does not speak the protocol."""

CA_HINT: Final = "ca=FILE trusts the certificates in that file"
"""The hint if nobody vouches for the certificate of a server."""

NO_UDP_HINT: Final = "if its port is not one for UDP, leave out udp=True"
"""The hint if nothing answers over UDP."""


class LostError(Exception):
    """The connection is lost. The text says why, for a person."""


def reason_text(error: Exception) -> str:
    """Return why a connection was not made or has ended, and what to try, for a person."""
    match error:
        case ssl.SSLCertVerificationError():
            problem = certificate_problem(error.verify_code)
            return f"{problem}; {CA_HINT}" if problem.startswith(UNTRUSTED) else problem
        case ssl.SSLError() if error.reason in _NO_TLS:
            return "it does not speak TLS there: leave out tls=True"
        case ssl.SSLError():
            return f"TLS failed: {error.reason}"
        case ConnectionRefusedError():
            return REFUSED
        case socket.gaierror():
            return "there is no host with this name"
        case TimeoutError():
            return NO_ANSWER
        case OSError() if error.strerror:
            return error.strerror
    return str(error)


_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING"})
"""The errors of OpenSSL's versions for a server that answers a handshake with something else, or ends it."""

_TLS_ALERT: Final = b"\x15\x03"
"""The first bytes of a TLS server's answer to what is not TLS: an alert record (RFC 8446, section 5.1)."""


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
        self._lines = LineReader()
        self._out = bytearray()

    @property
    def unsent(self) -> bool:
        """True while bytes wait for the socket to take them."""
        return bool(self._out)

    def send(self, obj: Object) -> None:
        self._out += encode(obj) + b"\n"

    def flush(self) -> None:
        """Write as much as the socket takes."""
        try:
            while self._out:
                del self._out[: self.socket.send(self._out)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass

    def receive(self) -> list[Object]:
        """Read what has arrived. Raises `LostError` at the end of the connection, or for an endless line."""
        try:
            data = self.socket.recv(65536)  # more than a record of TLS, so that nothing stays behind in TLS
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return []
        if not data:
            raise LostError(ENDED)
        if data.startswith(_TLS_ALERT):
            raise LostError("it speaks TLS there: use tls=True")
        try:
            return self._lines.received(data)
        except EndlessLineError as error:
            raise LostError(str(error)) from None

    def due(self) -> float | None:
        """Return the time of the next `tick`; None if there is nothing to wait for."""
        return None

    def tick(self) -> list[Object]:
        return []

    def close(self) -> None:
        self.socket.close()


class DatagramLink:
    """Objects over UDP, with a `GAP` where something got lost."""

    unsent = False

    def __init__(self, host: str, port: int) -> None:
        with _naming(host):
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        while True:
            family, kind, protocol, _, address = addresses.pop(0)
            self.socket = socket.socket(family, kind, protocol)
            self._session = Datagrams(time.monotonic())
            try:
                self.socket.connect(address)
                self._handshake()
                return
            except (LostError, OSError) as error:
                self.socket.close()
                if addresses:
                    continue
                if isinstance(error, ConnectionRefusedError):
                    raise LostError(f"{REFUSED}; {NO_UDP_HINT}") from error
                raise

    def _handshake(self) -> None:
        """Wait until a server answers at this address."""
        latest = time.monotonic() + OPEN_TIME
        self.socket.settimeout(FIRST_PATIENCE)
        while not self._session.proven:
            if time.monotonic() >= latest:
                raise LostError(f"the server did not answer within {OPEN_TIME:g} seconds; {NO_UDP_HINT}")
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
            except OSError:  # the datagram is lost, as others are: there is no space, or no network for a moment
                pass

    def receive(self) -> list[Object]:
        now = time.monotonic()
        with suppress(BlockingIOError):
            for _ in range(100):  # then requests have their turn
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
    """Turn Python's error for an impossible host name, such as one of 70 letters without a dot, into a `LostError`."""
    try:
        yield
    except OSError:  # errors of TLS may be a ValueError, too
        raise
    except ValueError as error:  # UnicodeError is one
        raise LostError(f"{host!r} is not the name of a host") from error


Link = StreamLink | DatagramLink

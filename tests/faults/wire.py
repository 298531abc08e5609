"""A connection to the server, written from the protocol's documentation alone."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which closing a socket sends a reset."""


READ_BYTES: Final = 2**16
"""Bytes that are read at once."""

UPGRADE: Final = (
    b"GET /chat HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""The beginning of a WebSocket (RFC 6455, section 4.1)."""

TEXT: Final = 1
"""The opcode of text messages."""


class Line(msgspec.Struct, gc=False):
    """An object from the server, with the fields that matter here."""

    type: str = ""
    msg: str = ""
    author: str = ""
    room: str = ""
    seq: int = 0
    oldest: int = 0
    id: str | None = None
    code: str = ""
    retry: float = 0
    head: str = ""
    """The first word of the text, which is the id of the message."""
    digest: int = 0
    """A hash of the text, to be kept instead of it."""

    def __post_init__(self) -> None:
        self.head = self.msg.partition(" ")[0]
        self.digest = hash(self.msg)


class Address(NamedTuple):
    """The address of the server, or of the relay in front of it."""

    host: str
    port: int


_decode: Final = msgspec.json.Decoder(Line).decode


@lru_cache(maxsize=4096)
def read(data: bytes) -> Line:
    """Decode one line. The lines of a broadcast are equal for all members, and are decoded once."""
    return _decode(data)


class Connection(asyncio.BufferedProtocol):
    """A connection that sends objects and passes on the lines that it receives."""

    transport: asyncio.Transport

    def __init__(self, heard: Callable[[Line], None]) -> None:
        self.sip: int | None = None
        """Bytes to read before it pauses again; None if it does not pause."""
        self._heard = heard
        self._buffer = bytearray(READ_BYTES)
        self._rest = b""
        self.lost = asyncio.Event()
        self.bytes = 0
        """The number of bytes received."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[: self.sip]

    def buffer_updated(self, nbytes: int) -> None:
        self.bytes += nbytes
        if self.sip is not None:
            self.transport.pause_reading()
        self._rest += self._buffer[:nbytes]
        for line in self._objects():
            if self.lost.is_set():
                return
            self._heard(read(line))

    def _objects(self) -> Sequence[bytes]:
        """Take the objects that have arrived as a whole."""
        *lines, self._rest = self._rest.split(b"\n")
        return lines

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def send(self, **fields: Any) -> None:
        """Send an object as a line, without the fields that are None, unless the connection is closed."""
        if not self.transport.is_closing():
            fields = {name: value for name, value in fields.items() if value is not None}
            self.transport.write(self._written(json.dumps(fields).encode() + b"\n"))

    @staticmethod
    def _written(line: bytes) -> bytes:
        return line

    def reset(self) -> None:
        """Close the connection with a reset."""
        self.lost.set()
        reset(self.transport)


class Browser(Connection):
    """A WebSocket. It masks with zeros, and ends objects with a line end, so that a relay finds its marks."""

    def __init__(self, heard: Callable[[Line], None]) -> None:
        super().__init__(heard)
        self._is_upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(UPGRADE)

    def _objects(self) -> Sequence[bytes]:
        if not self._is_upgraded:
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return ()
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._is_upgraded, self._rest = True, rest
        found, at, data = [], 0, self._rest
        while len(data) - at > 1:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start])
            if start + size > len(data) or len(data) < start:
                break
            if data[at] & 0xF == TEXT:
                found.append(data[start : start + size])
            at = start + size
        self._rest = data[at:]
        return found

    @staticmethod
    def _written(line: bytes) -> bytes:
        size = len(line)
        return (b"\x81%c" % (0x80 | size) if size < 126 else b"\x81\xfe" + size.to_bytes(2)) + bytes(4) + line


def reset(transport: asyncio.Transport) -> None:
    """Close a connection with a reset, so that the other side gets an error."""
    if (sock := transport.get_extra_info("socket")) is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    transport.abort()


async def connect(
    address: Address, heard: Callable[[Line], None], receive_buffer: int | None = None, browser: bool = False
) -> Connection:
    """Connect; a small `receive_buffer` (bytes) fills up soon if nothing is read. Raises `OSError`."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, address)
        _, connection = await loop.create_connection(lambda: (Browser if browser else Connection)(heard), sock=sock)
    except BaseException:
        sock.close()
        raise
    return connection

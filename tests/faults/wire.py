"""One connection to the server, as anybody could write it who has read the protocol."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""Of SO_LINGER: an end without a farewell, by a reset."""


READ_BYTES: Final = 2**16
"""How much is read in one go."""


class Line(msgspec.Struct, gc=False):
    """Whatever the server writes, with the fields that matter here."""

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
    """The text's first word: the id that it was said with."""
    digest: int = 0
    """Of the text: texts are many and long."""

    def __post_init__(self) -> None:
        self.head = self.msg.partition(" ")[0]
        self.digest = hash(self.msg)


class Address(NamedTuple):
    """Where the server listens, or what stands in front of it."""

    host: str
    port: int


_decode: Final = msgspec.json.Decoder(Line).decode


@lru_cache(maxsize=4096)
def read(data: bytes) -> Line:
    """Read one line. Those of a broadcast are the same for all, and are read once."""
    return _decode(data)


class Connection(asyncio.BufferedProtocol):
    """Writes objects, and hands over the lines that come back."""

    transport: asyncio.Transport

    def __init__(self, heard: Callable[[Line], None]) -> None:
        self.sip: int | None = None
        """How many bytes it takes before it stops reading again; None for one that reads on."""
        self._heard = heard
        self._buffer = bytearray(READ_BYTES)
        self._rest = b""
        self.lost = asyncio.Event()
        self.bytes = 0
        """How much has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[: self.sip]

    def buffer_updated(self, nbytes: int) -> None:
        self.bytes += nbytes
        if self.sip is not None:
            self.transport.pause_reading()
        *lines, self._rest = (self._rest + self._buffer[:nbytes]).split(b"\n")
        for line in lines:
            if self.lost.is_set():
                return
            self._heard(read(line))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def send(self, **fields: Any) -> None:
        """Write an object, as a line, where there is still a connection; what is None is left out."""
        if not self.transport.is_closing():
            fields = {name: value for name, value in fields.items() if value is not None}
            self.transport.write(json.dumps(fields).encode() + b"\n")

    def reset(self) -> None:
        """End the connection without a farewell."""
        self.lost.set()
        reset(self.transport)


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other side is told that it is broken."""
    if (sock := transport.get_extra_info("socket")) is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    transport.abort()


async def connect(address: Address, heard: Callable[[Line], None], receive_buffer: int | None = None) -> Connection:
    """Connect; with `receive_buffer` (bytes), who does not read is full soon. Raises `OSError`."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, address)
        _, connection = await loop.create_connection(lambda: Connection(heard), sock=sock)
    except BaseException:
        sock.close()
        raise
    return connection

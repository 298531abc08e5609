"""The client's side of a WebSocket, for tests. It is written from RFC 6455 alone, and can break each of its rules."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

MASK: Final = b"\x37\xfa\x21\x3d"
"""The key of the examples in section 5.7."""

KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The key of the example in section 1.3, and the answer to it."""


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: int | None = None,
    form: int | None = None,
) -> bytes:
    """Return a frame of a client.

    `mask` None leaves it unmasked, `length` announces another length, and `form` writes it in 7, 16 or 64 bits.
    """
    size = len(payload) if length is None else length
    form = form or (7 if size < 126 else 16 if size < 2**16 else 64)
    masked = 0 if mask is None else 0x80
    head = bytes([fin << 7 | rsv << 4 | opcode, masked | {7: size & 0x7F, 16: 126, 64: 127}[form]])
    head += {7: b"", 16: (size & 0xFFFF).to_bytes(2), 64: size.to_bytes(8)}[form]
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def bytewise(data: bytes) -> list[bytes]:
    """Return data in pieces of one byte."""
    return [data[at : at + 1] for at in range(len(data))]


def text(obj: dict[str, Any]) -> bytes:
    """Return an object in a text message."""
    return frame(TEXT, json.dumps(obj).encode())


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    """Return a close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2) + reason)


def request(path: str = "/chat", *, method: str = "GET", version: str = "HTTP/1.1", **headers: str | None) -> bytes:
    """Return the head of a request for a WebSocket. A header is changed by its name, and left out with None."""
    given = {
        "Host": "127.0.0.1:14980",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY.decode(),
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in given.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


class Received(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes


def frames(data: bytes) -> list[Received]:
    """Read frames of a server, which are whole and in the shortest form, and not masked."""
    found = []
    while data:
        assert data[0] & 0xF0 == 0x80, "fragmented, or with an extension"
        size, start = data[1], 2
        assert size < 128, "masked"
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start])
            assert size >= (126 if start == 4 else 2**16), "not the shortest form"
        assert len(data) >= start + size, "unfinished"
        found.append(Received(data[0] & 0xF, data[start : start + size]))
        data = data[start + size :]
    return found


def objects(received: list[Received]) -> list[dict[str, Any]]:
    """Return the objects of text messages."""
    return [json.loads(payload) for opcode, payload in received if opcode == TEXT]

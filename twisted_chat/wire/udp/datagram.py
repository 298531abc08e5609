"""A datagram of the server: a reply that fits, and that gets its number when it is sent."""

from __future__ import annotations

from typing import Final

from ...messages import Reply, encode

MAX_DATAGRAM: Final = 1200
"""The maximum size of a datagram in bytes: every path carries it in one piece (RFC 8085, 3.2, and RFC 9000, 14)."""

_NUMBER: Final = len(',"n":') + 10
"""The maximum number of bytes that the number of a datagram takes."""

LONGEST: Final = MAX_DATAGRAM - _NUMBER
"""The maximum size in bytes of a reply without its number."""


class Datagram:
    """A reply that fits. Many sessions may send it, each with a number of its own."""

    __slots__ = ("reply", "size")

    def __init__(self, reply: Reply, size: int) -> None:
        self.reply = reply
        """A struct that only this datagram has: its number changes each time it is sent."""
        self.size = size
        """The size of the reply without its number, in bytes."""

    def numbered(self, number: int) -> bytes:
        """Return the bytes of this datagram with a number."""
        self.reply.n = number
        return encode(self.reply)

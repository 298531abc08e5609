"""A datagram that is to be sent: an object that fits, and gets a number."""

from __future__ import annotations

from typing import Final

from ...messages import Reply, encode

MAX_DATAGRAM: Final = 1200
"""Bytes of an object: what every path carries in one piece (RFC 8085, section 3.2, and RFC 9000, section 14)."""

_NUMBER: Final = len(',"n":') + 10
"""Bytes that the number of a datagram takes at most."""

LONGEST: Final = MAX_DATAGRAM - _NUMBER
"""Bytes of an object that is sent."""


class Datagram:
    """An object that fits. Many sessions may send it, each with a number of its own."""

    __slots__ = ("reply", "size")

    def __init__(self, reply: Reply, size: int) -> None:
        self.reply = reply
        """An object that nobody else has: its number changes with each sending."""
        self.size = size
        """Bytes that it takes without its number."""

    def numbered(self, number: int) -> bytes:
        """Write it with a number, as it is sent."""
        self.reply.n = number
        return encode(self.reply)

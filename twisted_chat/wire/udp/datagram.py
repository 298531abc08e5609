"""A datagram of the server: a reply that fits, and gets its number when it is sent."""

from __future__ import annotations

from typing import Final

from ...messages import Reply, encode

MAX_DATAGRAM: Final = 1200
"""Bytes of a datagram: every path carries so many in one piece (RFC 8085, section 3.2, and RFC 9000, section 14)."""

_NUMBER: Final = len(',"n":') + 10
"""Bytes that the number of a datagram takes at most."""

LONGEST: Final = MAX_DATAGRAM - _NUMBER
"""Bytes of a reply without its number."""


class Datagram:
    """A reply that fits. Many sessions may send it, each with a number of its own."""

    __slots__ = ("reply", "size")

    def __init__(self, reply: Reply, size: int) -> None:
        self.reply = reply
        """A struct that only this datagram has: its number changes each time it is sent."""
        self.size = size
        """Bytes of the reply without its number."""

    def numbered(self, number: int) -> bytes:
        """The bytes of this datagram with a number."""
        self.reply.n = number
        return encode(self.reply)

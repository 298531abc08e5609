"""The ids of requests, which no other session on any machine ever uses.

The server stores a message once for each author and id, so an id that comes twice would lose a message. They are UUIDs
of version 7 (RFC 9562, section 5.7): milliseconds since 1970, so that they sort by time, a counter, and 62 random bits.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

COUNTER_BITS = 12
"""The bits of the counter within one millisecond (RFC 9562, section 6.2, method 1)."""


class Ids:
    """A source of ids, each greater than the last."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._last = 0

    def __call__(self) -> str:
        """Return a new id of 36 characters."""
        # Time and counter are one number, so that a full counter, or a clock set back, goes on with the next one.
        self._last = max(int(self._now() * 1000) << COUNTER_BITS, self._last + 1)
        milliseconds, count = self._last >> COUNTER_BITS, self._last & ((1 << COUNTER_BITS) - 1)
        digits = f"{milliseconds:012x}7{count:03x}{(0b10 << 62) | secrets.randbits(62):016x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

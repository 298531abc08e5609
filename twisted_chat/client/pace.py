"""Keep what is sent below what the server serves.

A server refuses what comes too fast, message by message: of several under way, a later one may be taken and come before
an earlier one, and many refusals in a row end the connection. `welcome` tells the limits, so a client stays below them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

BURST_SHARE: Final = 0.8
"""Of what the server takes at once. The rest is for a network that holds back what was sent in a second and brings it
all together."""

RATE_SHARE: Final = 0.95
"""Of what the server takes in the long run. The rest is for clocks that differ."""

SHORTEST_PAUSE: Final = 0.05
"""Seconds. One message after each shortest pause would cost more than a few together."""


class Pace:
    """A token bucket, as the server has one. Requests may overdraw it; messages wait until there is something in it."""

    def __init__(self, limits: Mapping[str, int], now: Callable[[], float]) -> None:
        self._rate = limits.get("rate", 0) * RATE_SHARE
        self._burst = max(1.0, limits.get("burst", 0) * BURST_SHARE)
        self._tokens = self._burst
        self._now = now
        self._at = now()

    def spend(self) -> None:
        """Note that something is sent."""
        self._tokens -= 1

    def pause(self) -> float:
        """Say how many seconds to wait before the next message; 0 where it may go now."""
        if self._tokens >= 1 or not self._rate:
            return 0.0
        now = self._now()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._tokens >= 1 else SHORTEST_PAUSE + (1 - self._tokens) / self._rate

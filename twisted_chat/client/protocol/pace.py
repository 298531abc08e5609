"""How fast a client may be: the rate at which it sends, and the pauses before it tries again."""

from __future__ import annotations

from collections.abc import Mapping
from random import random
from typing import Final

BURST_SHARE: Final = 0.8
"""Of what the server takes at once. The rest is for a network that holds back what was sent in a second and brings it
all together."""

RATE_SHARE: Final = 0.95
"""Of what the server takes in the long run. The rest is for clocks that differ."""

SHORTEST_PAUSE: Final = 0.05
"""Seconds. One message after each shortest pause would cost more than a few together."""

LEAST_PAUSE: Final = 0.01
"""Seconds before the same is asked again, whatever the server says: a `retry` of 0 must not keep both of them busy."""

LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries, without the jitter: a server that was away for an hour is found within half a minute."""


class Pace:
    """A token bucket, as the server has one, which keeps messages below the server's rate limit.

    A server refuses what comes too fast, message by message: of several under way, a later one may be taken and come
    before an earlier one, and many refusals in a row end the connection. `welcome` tells the limits, so a client stays
    below them. Requests may overdraw the bucket; messages wait until there is something in it.
    """

    def __init__(self, limits: Mapping[str, int], now: float) -> None:
        self._rate = limits.get("rate", 0) * RATE_SHARE
        self._burst = max(1.0, limits.get("burst", 0) * BURST_SHARE)
        self._tokens = self._burst
        self._at = now

    def spend(self) -> None:
        """Pay for something that is sent."""
        self._tokens -= 1

    def pause(self, now: float) -> float:
        """Give the seconds to wait before the next message; 0 where it may go now."""
        if self._tokens >= 1 or not self._rate:
            return 0.0
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._tokens >= 1 else SHORTEST_PAUSE + (1 - self._tokens) / self._rate


def backoff(tries: int) -> float:
    """Seconds before the next try: 0.5, 1, 2, … 30, each made up to half as long again by chance (jitter).

    So a server that was started again does not get all of its clients at once.
    """
    return min(0.25 * 2.0 ** min(tries, 20), LONGEST_PAUSE) * (1 + random() / 2)


def pause_before_retry(tries: int, retry: float | None) -> float:
    """Seconds before a refused request is sent again: as long as the server says, or else as `backoff` has it."""
    return backoff(tries) if retry is None else max(LEAST_PAUSE, retry)

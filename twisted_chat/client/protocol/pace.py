"""The rate limit of a client, and its backoff."""

from __future__ import annotations

from collections.abc import Mapping
from random import random
from typing import Final

BURST_SHARE: Final = 0.8
"""The share of the server's burst that is used. The rest is for a network that delays what was sent within a second and
delivers it all at once."""

RATE_SHARE: Final = 0.95
"""The share of the server's rate that is used. The rest is for clocks that differ."""

TOKEN_BYTES: Final = 4096
"""Bytes of a request that take one more token at the server."""

SHORTEST_PAUSE: Final = 0.05
"""The shortest pause in seconds. One message after each pause would cost more than a few together."""

LEAST_PAUSE: Final = 0.01
"""The shortest time in seconds before a retry, whatever the server says: a `retry` of 0 must not keep both busy."""

LONGEST_PAUSE: Final = 30.0
"""The longest backoff in seconds, without the jitter: a server that comes back is found within half a minute."""


class Pace:
    """A token bucket like the server's, which keeps messages below the server's rate limit.

    A server refuses messages that come too fast, one by one: of several in flight, a later one may be accepted and come
    before an earlier one, and many refusals in a row end the connection. So a client stays below the limits of the
    `welcome`. Requests may overdraw the bucket; messages wait for a token.
    """

    def __init__(self, limits: Mapping[str, int], now: float) -> None:
        self._rate = limits.get("rate", 0) * RATE_SHARE
        self._burst = max(1.0, limits.get("burst", 0) * BURST_SHARE)
        self._tokens = self._burst
        self._at = now

    def spend(self, size: int = 0) -> None:
        """Take the tokens for something of so many bytes that is sent."""
        self._tokens -= 1 + size // TOKEN_BYTES

    def pause(self, now: float) -> float:
        """Return the seconds before the next message may be sent; 0 if it may be sent now."""
        if self._tokens >= 1 or not self._rate:
            return 0.0
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._tokens >= 1 else SHORTEST_PAUSE + (1 - self._tokens) / self._rate


def backoff(tries: int) -> float:
    """Return the seconds before the n-th try: 0.5, 1, 2, … 30, each with up to half as much again as jitter.

    So a restarted server does not get all of its clients back at once.
    """
    return min(0.25 * 2.0 ** min(tries, 20), LONGEST_PAUSE) * (1 + random() / 2)


def pause_before_retry(tries: int, retry: float | None) -> float:
    """Return the seconds before a refused request is sent again: the server's `retry`, or else the backoff."""
    return backoff(tries) if retry is None else max(LEAST_PAUSE, retry)

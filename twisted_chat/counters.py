"""Counters of what the server does, as plain numbers that are read when somebody asks for them (`status/`).

To count is an addition on an attribute, once for each turn or write where that is possible. The time of a turn and of a
commit costs two looks at the clock and a search among a dozen bounds: some 0.4 microseconds.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

TURN_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Bounds of the lengths of turns, in seconds. One with few messages takes less than the first, a full one 5 to 25 ms.
From 50 ms on, people who type notice, and from 0.25 s on, something is wrong."""

COMMIT_BOUNDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Bounds of the times of commits, in seconds. SQLite takes 20 to 500 microseconds without waiting for a disk, a fast
disk 0.2 to 2 ms, a slow one 10 to 50. PostgreSQL takes 0.5 ms, and seconds during a failover. When the patience of the
store is over (`log.Condition`: 5 s, and 10 s with PostgreSQL), the messages are refused."""


class Histogram:
    """The number of observations up to each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """The observations in each range, the last one beyond all bounds. They are added up when they are read."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count an observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float:
    """Return the value that a share of the observations does not exceed, as PromQL's `histogram_quantile` does.

    `counts` are those of each range, the last one beyond all bounds. Within a range, the observations are taken to be
    spread evenly; beyond the last bound, that bound is returned; and without any observation, 0.
    """
    rank = share * sum(counts)
    if not rank:
        return 0.0
    lower = 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and rank <= count:
            return lower + (bound - lower) * rank / count
        rank -= count
        lower = bound
    return lower


class Traffic:
    """The bytes of a connection.

    It is an object of its own, since what writes to the socket counts in it, and would keep the wire alive if it
    referred to that.
    """

    __slots__ = ("began", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.began = 0.0
        """When the connection began, by the reactor's clock."""


class Counters:
    """The counters of a server, since its start."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        """`seconds` is a steady clock."""
        self.seconds = seconds
        self.started = seconds()
        self.messages = 0
        """The messages and other entries that the rooms have heard from their logs."""
        self.deliveries = 0
        """How often one of these was handed to a live member; its author gets an ack instead."""
        self.paged = 0
        """How often one was handed to a member that catches up, or to a bare client, in a page of the log."""
        self.turns = Histogram(TURN_BOUNDS)
        self.commits = Histogram(COMMIT_BOUNDS)
        self._commits_began: list[float] = []
        """When the appends that are under way began, the oldest first."""
        self.failed_at: float | None = None
        """When an append failed last, unless one has succeeded since."""
        self.refused: Counter[str] = Counter()
        """The refused requests and messages, by the code of the error."""
        self.connected: Counter[str] = Counter()
        """The connections so far, by their kind (`participant.Wire.kind`)."""
        self.turned_away: Counter[str] = Counter()
        """The connections that could not stay, by the code of the error; `silently` for those closed without a word."""
        self.traffic: dict[str, Traffic] = {}
        """The bytes of the connections that have ended, by their kind."""

    @property
    def commit_began(self) -> float | None:
        """When the oldest append that is under way began; None if none is."""
        return self._commits_began[0] if self._commits_began else None

    def commit_started(self) -> float:
        """Called when an append begins. Returns when that was, which is handed over when it ends."""
        began = self.seconds()
        self._commits_began.append(began)
        return began

    def commit_ended(self, began: float) -> None:
        """Called when an append has stored its messages."""
        self._commits_began.remove(began)
        self.commits.observe(self.seconds() - began)
        self.failed_at = None

    def commit_failed(self, began: float) -> None:
        """Called when an append has failed."""
        self._commits_began.remove(began)
        self.failed_at = self.seconds()

    def connection_ended(self, kind: str, traffic: Traffic) -> None:
        """Move the bytes of a connection that has ended, or goes on as one of another kind, to those of its kind."""
        total = self.traffic.setdefault(kind, Traffic())
        total.received += traffic.received
        total.sent += traffic.sent
        traffic.received = traffic.sent = 0

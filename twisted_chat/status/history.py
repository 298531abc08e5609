"""The last hour of a server: a point every ten seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from resource import RUSAGE_SELF, getpagesize, getrusage
from typing import Final, NamedTuple

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..chat import Chat
from ..counters import Histogram, quantile
from .snapshot import take

POINT_SECONDS: Final = 10.0
"""Seconds between two points: on a screen, a point takes a pixel or two. To make one takes 3 ms with 2,000 connections
and 10,000 rooms."""

POINTS: Final = 360
"""The points of an hour."""

MEMORY_PAGE: Final = getpagesize()
"""Bytes of a page of memory, in which Linux counts that of a process."""

SLOWEST: Final = 0.99
"""The share of turns and commits that took no longer than what is shown. Averages hide the turns that people notice."""

_log = Logger("twisted_chat.status")


class Point(NamedTuple):
    """The figures of `POINT_SECONDS`, or at their end."""

    messages: float
    """Messages/s that were appended."""
    deliveries: float
    """Deliveries/s: a message to 200 members is 200."""
    refused: float
    """Refused requests/s."""
    traffic: float
    """Bytes/s in both directions."""
    processor: float
    """The share of one core, from 0 to more than 1, since some work is done in threads."""
    memory: int
    """The memory of the process in bytes; 0 where the system does not tell."""
    turn: float
    commit: float
    """The seconds that nearly all turns and commits took at most (`SLOWEST`)."""
    connections: int
    paused: int
    members: int
    journal: int
    """The entries in the journal."""


class _Totals(NamedTuple):
    """The counters at a time, from which those before are taken away."""

    time: float
    messages: int
    deliveries: int
    refused: int
    traffic: int
    processor: float
    turns: list[int]
    commits: list[int]


class History:
    """The points of the last hour, oldest first."""

    def __init__(self, chat: Chat) -> None:
        self.points: deque[Point] = deque(maxlen=POINTS)
        self._chat = chat
        self._last: _Totals | None = None
        self._loop = LoopingCall(self._try_to_add)
        self._loop.clock = chat.reactor

    def start(self) -> None:
        """Add a point every `POINT_SECONDS` from now on."""
        self._loop.start(POINT_SECONDS)

    def stop(self) -> None:
        """Add no more."""
        if self._loop.running:
            self._loop.stop()

    def _try_to_add(self) -> None:
        try:
            self._add()
        except Exception:
            _log.failure("A point of the last hour could not be made; the next one follows")

    def _add(self) -> None:
        counters = self._chat.counters
        snapshot = take(self._chat)
        used = getrusage(RUSAGE_SELF)
        now = _Totals(
            time=counters.seconds(),
            messages=counters.messages,
            deliveries=counters.deliveries + counters.paged,
            refused=counters.refused.total(),
            traffic=sum(snapshot.received.values()) + sum(snapshot.sent.values()),
            processor=used.ru_utime + used.ru_stime,
            turns=[*counters.turns.counts],
            commits=[*counters.commits.counts],
        )
        before, self._last = self._last, now
        if before is None:
            return
        seconds = max(now.time - before.time, 0.001)
        self.points.append(
            Point(
                messages=(now.messages - before.messages) / seconds,
                deliveries=(now.deliveries - before.deliveries) / seconds,
                refused=(now.refused - before.refused) / seconds,
                traffic=(now.traffic - before.traffic) / seconds,
                processor=(now.processor - before.processor) / seconds,
                memory=memory(),
                turn=_slowest(counters.turns, before.turns),
                commit=_slowest(counters.commits, before.commits),
                connections=sum(snapshot.connections.values()),
                paused=snapshot.paused,
                members=snapshot.members,
                journal=snapshot.store.journal_entries,
            )
        )


def memory(path: str = "/proc/self/statm") -> int:
    """Return the memory that the process uses, in bytes; see proc(5)."""
    try:
        with open(path) as sizes:
            return int(sizes.read().split()[1]) * MEMORY_PAGE
    except OSError:
        return 0


def _slowest(histogram: Histogram, before: Sequence[int]) -> float:
    counts = [count - earlier for count, earlier in zip(histogram.counts, before, strict=True)]
    return quantile(histogram.bounds, counts, SLOWEST)

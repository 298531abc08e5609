"""How a client reads a room's log: what is handed out now, what waits, and which pages are asked for.

The engine hands out what is `ready`, asks for a page behind each of the `gaps`, after the `pause`, and hands in what
comes (`log`, `release`, `read`). A gap is what got lost, over UDP, or what a slow consumer had no space for.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final, Generic, TypeVar

from .partial_log import PartialLog

M = TypeVar("M")

PAGE: Final = 500
"""Messages of the log that are asked for at once; the server hands out as many as fit."""

GAPS_AT_ONCE: Final = 8
"""Gaps in a room's log that are filled at once: over UDP 64 requests may be under way, for several rooms."""

LOW: Final = 250
"""Messages that are known and not yet taken, at which more are read: enough to go on with for a round trip."""

FREE_READS: Final = 4
"""So often in a row a log is read at once though that brings nothing new; then there are growing pauses."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
"""Seconds of the first pause, and of the longest."""


class RoomReader(Generic[M]):
    """A reader of one room's log, over any number of connections."""

    def __init__(self, log: PartialLog[M], author: Callable[[M], str]) -> None:
        """Begin to read; `author` gives the nick of a message's author."""
        self.log = log
        self._author = author
        self._held: tuple[int, frozenset[str]] = 0, frozenset()
        """Of the next message, if it bears the client's nick: its number, and the unacked messages that it may be."""
        self._reading: set[int] = set()
        """Behind which messages a page is asked for."""
        self._fruitless = 0
        """How many of the last answers brought nothing new."""

    def ready(self, nick: str, unacked: Set[str]) -> M | None:
        """Give the next message, if it is known and not the client's own; `log.advance` then moves on behind it.

        `unacked` are the ids of what the client has said here and of which it is not known yet whether it is in the
        log. Under the client's own nick (`nick`) a message may be one of those, until they are known: an ack may come
        after what it is for.
        """
        entry = self.log.peek()
        if entry is None:
            return None
        seq, message = entry
        return None if self._author(message) == nick and self._is_held(seq, unacked) else message

    def _is_held(self, seq: int, unacked: Set[str]) -> bool:
        if self._held[0] != seq:  # what is said from now on comes behind it
            self._held = seq, frozenset(unacked)
        return not self._held[1].isdisjoint(unacked)

    @property
    def is_hungry(self) -> bool:
        """True while the consumer has taken nearly all there is to take: then more is read."""
        return len(self.log) <= LOW or self.log.peek() is None

    def lost(self) -> None:
        """Called when the connection is lost, and the pages that were asked for with it."""
        self._reading.clear()

    def gaps(self) -> list[int]:
        """Take the gaps to be filled now, by the messages in front of them: each once, until it is answered."""
        if self.log.is_complete or not self.is_hungry:
            return []
        gaps = [seq for seq in self.log.missing() if seq not in self._reading][: GAPS_AT_ONCE - len(self._reading)]
        self._reading.update(gaps)
        return gaps

    @property
    def pause(self) -> float:
        """Seconds after which a page is to be asked for: a log that brings nothing new is not asked all the time."""
        pauses = self._fruitless - FREE_READS
        return 0.0 if pauses < 0 else min(FIRST_PAUSE * 2.0 ** min(pauses, 10), LONGEST_PAUSE)

    def release(self, after: int) -> None:
        """Called when the request for a page was answered, by whatever; what is still missing is asked for again."""
        self._reading.discard(after)
        self._fruitless += 1

    def read(self, after: int, messages: dict[int, M], more: bool) -> None:
        """Take the page behind a message, as `PartialLog.read` does, after `release`: what came may make no sense."""
        if any(seq > after for seq in messages):
            self._fruitless = 0
        self.log.read(after, messages, more)

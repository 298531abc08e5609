"""The reader of a room's log: which message is handed out, which one waits, and which pages are requested.

The engine hands out the message that is `ready`, requests a page for each of the `gaps`, after the `pause`, and passes
in what arrives (`log`, `release`, `read`). A gap stands for messages that got lost over UDP, or for which a slow
consumer had no space.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final, Generic, TypeVar

from .partial_log import PartialLog

M = TypeVar("M")

PAGE: Final = 500
"""The number of messages that is requested at once. The server sends as many as fit."""

GAPS_AT_ONCE: Final = 8
"""The number of gaps of a room that are filled at once: over UDP 64 requests may be in flight, for several rooms."""

LOW: Final = 250
"""The number of untaken messages at which more are read: enough for a round trip."""

FREE_READS: Final = 4
"""The number of fruitless reads in a row that are repeated at once; after that the pauses grow."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
"""The first and the longest of these pauses, in seconds."""


class RoomReader(Generic[M]):
    """A reader of one room's log, over any number of connections."""

    def __init__(self, log: PartialLog[M], author: Callable[[M], str]) -> None:
        """Begin to read. `author` returns the nick of a message's author."""
        self.log = log
        self._author = author
        self._held: tuple[int, frozenset[str]] = 0, frozenset()
        """If the next message bears the client's nick: its number, and the ids of the messages that it may be."""
        self._reading: set[int] = set()
        """The numbers after which a page is requested."""
        self._fruitless = 0
        """The number of answers in a row that brought nothing new."""

    def ready(self, nick: str, unacked: Set[str]) -> M | None:
        """Return the next message, if it is known and not the client's own. `log.advance` then moves the cursor.

        `unacked` are the ids of the client's messages that may be in the log already. A message under the client's own
        `nick` may be one of them, so it waits until they are acked: an ack may arrive after its message.
        """
        entry = self.log.peek()
        if entry is None:
            return None
        seq, message = entry
        return None if self._author(message) == nick and self._is_held(seq, unacked) else message

    def _is_held(self, seq: int, unacked: Set[str]) -> bool:
        if self._held[0] != seq:  # messages that the client sends from now on come after it in the log
            self._held = seq, frozenset(unacked)
        return not self._held[1].isdisjoint(unacked)

    @property
    def is_hungry(self) -> bool:
        """True while the consumer has taken nearly everything: then more is read."""
        return len(self.log) <= LOW or self.log.peek() is None

    def lost(self) -> None:
        """Called when the connection is lost, and the pages that were asked for with it."""
        self._reading.clear()

    def gaps(self) -> list[int]:
        """Return the gaps to be filled now, as the numbers before them. Each is returned once, until it is answered."""
        if self.log.is_complete or not self.is_hungry:
            return []
        gaps = [seq for seq in self.log.missing() if seq not in self._reading][: GAPS_AT_ONCE - len(self._reading)]
        self._reading.update(gaps)
        return gaps

    @property
    def pause(self) -> float:
        """Seconds before the next page is requested: a log that brings nothing new is not read without a break."""
        pauses = self._fruitless - FREE_READS
        return 0.0 if pauses < 0 else min(FIRST_PAUSE * 2.0 ** min(pauses, 10), LONGEST_PAUSE)

    def release(self, after: int) -> None:
        """Called when the request for a page was answered, in whatever way. What is missing is requested again."""
        self._reading.discard(after)
        self._fruitless += 1

    def read(self, after: int, messages: dict[int, M], more: bool) -> None:
        """Take a page, as `PartialLog.read` does. `release` comes first, since an answer may be unreadable."""
        if any(seq > after for seq in messages):
            self._fruitless = 0
        self.log.read(after, messages, more)

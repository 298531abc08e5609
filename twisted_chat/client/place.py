"""A place in a room's log: what of it has been seen.

The author of a message gets its `ack` and not the message, so a reader's own messages are gaps in what it sees. When
it joins again from its place, the log has them all, and those that were acked must not come out as another's.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush


class Place:
    """The last number seen, and the numbers behind it that are one's own."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        """All up to here has been seen. One's own messages do not move it: an ack may come before older messages."""
        self._own: list[int] = []

    def acked(self, seq: int) -> None:
        """Remember a message of one's own."""
        if seq > self.seq:
            heappush(self._own, seq)

    def is_news(self, seq: int) -> bool:
        """Say whether this message was neither seen before nor said by oneself."""
        # The first of one's own is the lowest, and mostly beyond this one: then there is nothing to look through.
        return seq > self.seq and not (self._own and self._own[0] <= seq and seq in self._own)

    def advance(self, seq: int) -> None:
        """Move on: everything up to this message has been seen."""
        self.seq = max(self.seq, seq)
        while self._own and self._own[0] <= self.seq:
            heappop(self._own)

    @property
    def own(self) -> int:
        """How many of one's own messages are remembered."""
        return len(self._own)

    def confirm(self, seqs: Iterable[int]) -> None:
        """Take what the log has after this place, and move over what is one's own; stop before another's message."""
        for seq in seqs:
            if not self._own or self._own[0] != seq:
                break
            self.advance(seq)

"""The pieces of a room's log that a client knows, and the order in which they are handed out."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

M = TypeVar("M")

MOST: Final = 1000
"""The maximum number of messages in memory, some 100 kB of usual ones. Further ones are read from the log later."""

MAX_OWN: Final = 500
"""The number of the client's own messages after which a page is read to move the cursor over them: a reconnect would
replay them all. It is as many as fit into a page."""


class PartialLog(Generic[M]):
    """A cursor in a room's log, and the messages that are known beyond it.

    It is known which message follows another if nothing got lost between the two, or if a page of the log says so.
    From the cursor on, messages are handed out along these links. Where a link is missing, a page is asked for.

    The author of a message gets its ack and not the message, so the client's own messages are passed over.
    """

    def __init__(self, seq: int) -> None:
        self.seq = seq
        """The cursor: all messages up to this one were handed out."""
        self.own: set[int] = set()
        """The numbers of the client's own acked messages after the cursor."""
        self._unseen = 0
        """The number of those that the end of the log did not show: they were trimmed, or not appended yet."""
        self.edge = seq
        """The number of the newest message that was heard, or read with a page."""
        self.is_broken = False
        """True if something may be missing after the edge."""
        self._ends: set[int] = set()
        """The numbers of all other messages after which something is missing."""
        self._next: dict[int, int] = {}
        self._known: dict[int, M] = {}

    def __len__(self) -> int:
        """Return the number of messages that are known and not handed out."""
        return len(self._known)

    @property
    def newest(self) -> int:
        """The highest number that is known: of the newest message that was heard, or of one's own that was acked."""
        return max((self.edge, *self.own))

    @property
    def is_complete(self) -> bool:
        """True while nothing is known to be missing, and the cursor need not be moved over one's own messages."""
        return not (self.is_broken or self._ends or len(self.own) - self._unseen > MAX_OWN)

    @property
    def has_gap(self) -> bool:
        """True while something is missing between messages that are known."""
        return bool(self._ends)

    def resume(self) -> None:
        """Called when the server replays everything after the edge, as after a join with it as `since`."""
        self.is_broken = False

    def skip(self, edge: int) -> None:
        """Called when the server sends what is said after `edge`: the messages between the two edges are missing."""
        self.is_broken = False
        if edge > self.edge:
            self._ends.add(self.edge)
            self.edge = edge

    def broken(self) -> None:
        """Called when something got lost: a gap."""
        self.is_broken = True

    def heard(self, seq: int, message: M) -> None:
        """Take a message that was just said, or that is replayed, in order."""
        if seq <= self.edge:
            return
        if len(self._known) >= MOST:
            self.is_broken = True
            return
        if self.is_broken:
            self._ends.add(self.edge)
            self.is_broken = False
        else:
            self._next[self.edge] = seq
        self._known[seq] = message
        self.edge = seq

    def acked(self, seq: int) -> None:
        """Note the number of one of the client's own messages."""
        if seq > self.seq:
            self.own.add(seq)

    def read(self, after: int, messages: dict[int, M], more: bool) -> None:
        """Take a page of the log: all messages after `after`, by number, up to the last of the page.

        A page without a new message is the end of the log, whatever its `more` says.
        """
        messages = {seq: messages[seq] for seq in sorted(messages) if seq > after}
        more = more and bool(messages)
        at = after
        for seq, message in messages.items():
            if seq > self.seq:
                self._next[max(at, self.seq)] = seq
                self._known.setdefault(seq, message)
            at = seq
        at = max(at, self.seq)
        if at >= self.edge:
            self.edge = at
            self.is_broken = more
            self._unseen = 0 if more else sum(seq > at for seq in self.own)
        elif more:
            self._ends.add(at)
        elif beyond := [seq for seq in self._known if seq > at]:  # what was between them is in the log no more
            self._next.setdefault(at, min(beyond))
        else:
            self.edge = at
        self._ends = {end for end in self._ends if end not in self._next and self.seq <= end < self.edge}

    def find(self, seq: int) -> M | None:
        """Return a message that is known and not handed out, by its number."""
        return self._known.get(seq)

    def peek(self) -> tuple[int, M] | None:
        """Return the number of the next message and the message, if it is known."""
        while (seq := self._next.get(self.seq)) is not None:
            if seq not in self.own:
                return seq, self._known[seq]
            self.advance()
        return None

    def advance(self) -> None:
        """Move the cursor over the next message."""
        self.seq = self._next.pop(self.seq)
        self._known.pop(self.seq, None)
        if self.own:  # between two messages of others there may be many of one's own
            self.own = {seq for seq in self.own if seq > self.seq}
            self._unseen = min(self._unseen, len(self.own))

    def missing(self) -> list[int]:
        """Return the numbers after which the log has to be read, oldest first."""
        missing = sorted(self._ends)
        if self.is_broken:
            missing.append(self.edge)
        elif len(self.own) - self._unseen > MAX_OWN and not self._next and not missing:
            missing.append(self.seq)
        return missing if len(self._known) < MOST else missing[:1]

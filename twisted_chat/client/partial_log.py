"""What a reader knows of a room's log, in pieces, and in which order it comes out."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

M = TypeVar("M")

MOST: Final = 1000
"""Messages that are kept. What comes then is read from the log later."""

MAX_OWN: Final = 500
"""One's own messages, behind which the place in a room's log is moved: they would be read again otherwise."""


class PartialLog(Generic[M]):
    """A place in a room's log, and what is known beyond it.

    Of a message one knows which one comes next if nothing got lost between the two, or if a page of the log says so.
    From the place on, messages are handed out along these links. Where there is none, a page is asked for.

    The author of a message gets its ack and not the message: what is one's own is passed over.
    """

    def __init__(self, seq: int) -> None:
        self.seq = seq
        """All up to here was handed out."""
        self.own: set[int] = set()
        """The numbers of one's own messages behind the place, as far as they were acked."""
        self._unseen = 0
        """How many of them the end of the log did not show: they are in the log no more, or were not yet."""
        self.start(seq)

    def start(self, edge: int) -> None:
        """Begin to hear what is said from `edge` on."""
        self._edge = edge
        """The newest message that was heard, or up to which pages were read."""
        self._broken = False
        """Something may be missing behind the edge."""
        self._ends: set[int] = {self.seq} if edge > self.seq else set()
        """All other messages behind which something is missing."""
        self._next: dict[int, int] = {}
        self._known: dict[int, M] = {}

    def broken(self) -> None:
        """Hear that something got lost."""
        self._broken = True

    def heard(self, seq: int, message: M) -> None:
        """Take a message that was just said, or that is replayed in order."""
        if seq <= self._edge:
            return
        if len(self._known) >= MOST:
            self._broken = True
            return
        if self._broken:
            self._ends.add(self._edge)
            self._broken = False
        else:
            self._next[self._edge] = seq
        self._known[seq] = message
        self._edge = seq

    def acked(self, seq: int) -> None:
        """Take the number of a message of one's own."""
        if seq > self.seq:
            self.own.add(seq)

    def read(self, after: int, messages: dict[int, M], more: bool) -> None:
        """Take a page of the log: all there is behind `after`, by its numbers, up to the last of them.

        One that brings nothing new is the end of what there is, whatever it says of `more`.
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
        if at >= self._edge:
            self._edge = at
            self._broken = more
            self._unseen = 0 if more else sum(seq > at for seq in self.own)
        elif more:
            self._ends.add(at)
        elif beyond := [seq for seq in self._known if seq > at]:  # what was between them is in the log no more
            self._next.setdefault(at, min(beyond))
        else:
            self._edge = at
        self._ends = {end for end in self._ends if end not in self._next and self.seq <= end < self._edge}

    def peek(self) -> tuple[int, M] | None:
        """Say what comes next, if that is known."""
        while (seq := self._next.get(self.seq)) is not None:
            if seq not in self.own:
                return seq, self._known[seq]
            self.advance()
        return None

    def advance(self) -> None:
        """Go on behind the next message."""
        self.seq = self._next.pop(self.seq)
        self._known.pop(self.seq, None)
        if self.own:  # between two messages of others there may be many of one's own
            self.own = {seq for seq in self.own if seq > self.seq}
            self._unseen = min(self._unseen, len(self.own))

    def missing(self) -> list[int]:
        """List the messages behind which the log has to be read, oldest first."""
        missing = sorted(self._ends)
        if self._broken:
            missing.append(self._edge)
        elif len(self.own) - self._unseen > MAX_OWN and not self._next and not missing:
            missing.append(self.seq)
        return missing if len(self._known) < MOST else missing[:1]

"""The judge: the history of what was sent, acked and received in a round, checked against the protocol's promises.

Some violations show at once (a number that does not rise, two messages with the same number). `check` finds those that
need the whole history.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from .wire import Line


class Said(NamedTuple):
    """A message, identified by its author and `id`."""

    author: str
    id: str


class Shown(NamedTuple):
    """A message as a member received it."""

    said: Said
    digest: int


class History:
    """The history of one room."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.is_open = False
        """True if strangers talk in it too, who do not record what they say."""
        self.said: dict[Said, int] = {}
        """All messages that were sent at least once, with the digests of their texts."""
        self.acked: dict[Said, int] = {}
        self.refused: set[Said] = set()
        """Messages that the server refused and that were not sent again."""
        self.log: dict[int, Shown] = {}
        """The message at each number, as the first reader received it."""
        self.head = 0
        """The newest number that any client knows."""
        self.readings: list[Reading] = []
        self.broken: list[str] = []
        """Evidence of broken promises."""

    def says(self, said: Said, text: str) -> None:
        """Record that a message is sent, for the first time or again."""
        self.said[said] = hash(text)
        self.refused.discard(said)

    def acks(self, said: Said, seq: int) -> None:
        """Record an ack."""
        if said not in self.said:
            self.breaks(f"an ack for {said.id}, which {said.author} has not sent")
        elif self.acked.setdefault(said, seq) != seq:
            self.breaks(f"{said.id} was acked as {self.acked[said]}, and then as {seq}")
        self.head = max(self.head, seq)

    def breaks(self, evidence: str) -> None:
        """Record a broken promise."""
        self.broken.append(f"{self.room}: {evidence}")

    def check(self, audit: Reading) -> None:
        """Check everything against the log as `audit` received it, from the beginning to the end."""
        log = audit.seqs
        whole = set(log)
        for seq in sorted(self.log.keys() - whole):
            self.breaks(f"{seq} was delivered and is not in the log: {self.log[seq].said.id}")
        for said, seq in self.acked.items():
            if seq not in whole:
                self.breaks(f"{said.id} was acked as {seq}, and {seq} is not in the log")
            elif self.log[seq] != (said, self.said[said]):
                self.breaks(f"{said.id} was acked as {seq}, where the log has {self.log[seq].said.id}")
        self._check_each_once(log)
        for reading in self.readings:
            self._check_reading(reading, log)

    def _check_each_once(self, log: Iterable[int]) -> None:
        first: dict[Said, int] = {}
        authors = {said.author for said in self.said}
        for seq in log:
            said, digest = self.log[seq]
            if self.is_open and said.author not in authors:
                continue
            if self.said.get(said) != digest:
                self.breaks(f"{seq} is {said.id} in the log, but {said.author} has not sent that")
            elif said in self.refused:
                self.breaks(f"{said.id} was refused, but it is in the log as {seq}")
            elif first.setdefault(said, seq) != seq:
                self.breaks(f"{said.id} is in the log as {first[said]} and as {seq}")

    def _check_reading(self, reading: Reading, log: array[int]) -> None:
        if reading.begin is None:
            return
        if reading.is_author:  # it gets an ack in place of its message, or the message if the ack was lost
            due = array("q", (seq for seq in log if self.log[seq].said.author != reading.who))
            got = array("q", (seq for seq in reading.seqs if self.log[seq].said.author != reading.who))
        else:
            due, got = log, reading.seqs
        due = array("q", (seq for seq in due if seq > reading.begin)) if reading.begin else due
        if due == got:
            return
        missed = sorted(set(due) - set(got))
        self.breaks(f"{reading.who}, who joined at {reading.begin}, missed {len(missed)} of {len(due)}: {missed[:10]}")


class Reading:
    """The messages of a room that one participant received, over all its connections."""

    def __init__(self, history: History, who: str, is_author: bool = False, begin: int | None = None) -> None:
        self.history = history
        self.who = who
        self.is_author = is_author
        self.begin = begin
        """The number at which it joined; None before it has joined at the end of the log."""
        self.seqs = array("q")
        history.readings.append(self)

    @property
    def place(self) -> int | None:
        """Its cursor: the number of the last message received, with which it joins again."""
        return self.seqs[-1] if self.seqs else self.begin

    def joined(self, line: Line) -> None:
        """Record the answer to a join: without `since`, it begins at the end of the log."""
        if self.begin is None:
            self.begin = line.seq

    def got(self, line: Line) -> None:
        """Record a message."""
        place = self.place
        if place is None or line.seq <= place:
            self.history.breaks(f"{self.who} had everything up to {place} and then received {line.seq}")
            return
        self.seqs.append(line.seq)
        history = self.history
        first = history.log.get(line.seq)
        if first is None:
            history.log[line.seq] = Shown(Said(line.author, line.head), line.digest)
            history.head = max(history.head, line.seq)
        elif first.digest != line.digest or first.said.author != line.author:
            history.breaks(f"{line.seq} is {first.said.id} for others, and {line.head} for {self.who}")

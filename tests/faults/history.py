"""The judge: what was said, acked and received in a round, and whether the promises of the protocol were kept.

What can be seen at once is noted at once (a number that does not rise, two messages with one number); what takes the
whole history is in `check`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from .wire import Line


class Said(NamedTuple):
    """A message, by who said it and with which id."""

    author: str
    id: str


class Shown(NamedTuple):
    """A message as a member was shown it."""

    said: Said
    digest: int


class History:
    """All that happened in one room."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.said: dict[Said, int] = {}
        """What was said at least once, with its text's digest."""
        self.acked: dict[Said, int] = {}
        self.refused: set[Said] = set()
        """What the server said that it did not keep, and nobody has said again."""
        self.log: dict[int, Shown] = {}
        """What stands at each number, as the first one saw it who was shown it."""
        self.head = 0
        """The newest number that anybody knows of."""
        self.readings: list[Reading] = []
        self.broken: list[str] = []
        """The evidence."""

    def says(self, said: Said, text: str) -> None:
        """Note that a message goes out, for the first time or again."""
        self.said[said] = hash(text)
        self.refused.discard(said)

    def acks(self, said: Said, seq: int) -> None:
        """Note an ack."""
        if said not in self.said:
            self.breaks(f"an ack for {said.id}, which {said.author} has not said")
        elif self.acked.setdefault(said, seq) != seq:
            self.breaks(f"{said.id} was acked as {self.acked[said]}, and then as {seq}")
        self.head = max(self.head, seq)

    def breaks(self, evidence: str) -> None:
        """Note that a promise was broken."""
        self.broken.append(f"{self.room}: {evidence}")

    def check(self, audit: Reading) -> None:
        """Hold everything against the log as `audit` was shown it, from its beginning to its end."""
        log = audit.seqs
        whole = set(log)
        for seq in sorted(self.log.keys() - whole):
            self.breaks(f"{seq} was shown to somebody and is not in the log: {self.log[seq].said.id}")
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
        for seq in log:
            said, digest = self.log[seq]
            if self.said.get(said) != digest:
                self.breaks(f"{seq} is {said.id} in the log, and {said.author} has not said that")
            elif said in self.refused:
                self.breaks(f"{said.id} was refused, and it is in the log as {seq}")
            elif first.setdefault(said, seq) != seq:
                self.breaks(f"{said.id} is in the log as {first[said]} and as {seq}")

    def _check_reading(self, reading: Reading, log: array[int]) -> None:
        if reading.begin is None:
            return
        if reading.is_author:  # gets an ack in the place of a message, or the message where the ack was lost
            due = array("q", (seq for seq in log if self.log[seq].said.author != reading.who))
            got = array("q", (seq for seq in reading.seqs if self.log[seq].said.author != reading.who))
        else:
            due, got = log, reading.seqs
        due = array("q", (seq for seq in due if seq > reading.begin)) if reading.begin else due
        if due == got:
            return
        missed = sorted(set(due) - set(got))
        self.breaks(f"{reading.who}, who came at {reading.begin}, missed {len(missed)} of {len(due)}: {missed[:10]}")


class Reading:
    """What one participant was shown of a room, through all its connections."""

    def __init__(self, history: History, who: str, is_author: bool = False, begin: int | None = None) -> None:
        self.history = history
        self.who = who
        self.is_author = is_author
        self.begin = begin
        """The number that it came at; None before it was in the room, where it comes at the end."""
        self.seqs = array("q")
        history.readings.append(self)

    @property
    def place(self) -> int | None:
        """The number of the last message seen: what it joins again with."""
        return self.seqs[-1] if self.seqs else self.begin

    def joined(self, line: Line) -> None:
        """Note the answer to a join: who did not say where to begin begins at the end."""
        if self.begin is None:
            self.begin = line.seq

    def got(self, line: Line) -> None:
        """Note a message."""
        place = self.place
        if place is None or line.seq <= place:
            self.history.breaks(f"{self.who} had everything up to {place} and was then shown {line.seq}")
            return
        self.seqs.append(line.seq)
        history = self.history
        first = history.log.get(line.seq)
        if first is None:
            history.log[line.seq] = Shown(Said(line.author, line.head), line.digest)
            history.head = max(history.head, line.seq)
        elif first.digest != line.digest or first.said.author != line.author:
            history.breaks(f"{line.seq} is {first.said.id} to others, and {line.head} to {self.who}")

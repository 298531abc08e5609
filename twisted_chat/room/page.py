"""A page of a room's log, which writes itself once for each encoding that somebody reads."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

from ..encoding import Encoding
from ..log import Record

seq_of = attrgetter("seq")


class Page:
    """Records of one room, in the order of their numbers."""

    __slots__ = ("_written", "records", "room", "start")

    def __init__(self, room: str, records: Sequence[Record], start: int) -> None:
        self.room = room
        """The room's name, as it is shown."""
        self.records = records
        self.start = start
        """The number behind which it begins: there is nothing between that and its first record."""
        self._written: dict[Encoding[Any], Written] = {}

    @property
    def end(self) -> int:
        """The number of its last record, or where it begins if it has none."""
        return self.records[-1].seq if self.records else self.start

    def written(self, encoding: Encoding[Any]) -> Written:
        """Write it, if it is not written yet."""
        written = self._written.get(encoding)
        if written is None:
            written = self._written[encoding] = Written(self.room, self.records, encoding)
        return written

    def has_after(self, seq: int) -> bool:
        """True where it has what comes behind a number."""
        return self.start <= seq < self.end


class Written:
    """A page in one encoding."""

    __slots__ = ("_encoding", "_ends", "_parts", "_records", "whole")

    def __init__(self, room: str, records: Sequence[Record], encoding: Encoding[Any]) -> None:
        self._parts = parts = [encoding.message(room, record) for record in records]
        self._records = records
        self._encoding = encoding
        self._ends: list[int] | None = None
        """Where each record's part ends in the whole, once that is asked for."""
        self.whole: Any = parts[0] if len(parts) == 1 else encoding.join(parts)

    def part(self, first: int, last: int) -> Any:
        """Cut out what the records from `first` on to the one before `last` take."""
        if last - first == 1:
            return self._parts[first]
        if self._ends is None:
            self._ends = [0, *accumulate(map(len, self._parts))]
        return self.whole[self._ends[first] : self._ends[last]]

    def after(self, seq: int, own: array[int]) -> Any:
        """Cut out what comes behind a number, but for those numbers that are the reader's own."""
        records = self._records
        first = bisect_right(records, seq, key=seq_of)
        if not own:
            return self.part(first, len(records)) if first else self.whole
        skipped = set(own)
        parts = [self.part(at, at + 1) for at in range(first, len(records)) if records[at].seq not in skipped]
        return self._encoding.join(parts)

    def with_answers(self, answers: Sequence[tuple[int, int, Any]]) -> Any:
        """Write it with answers in the place of records: each from one of them on to the one before another."""
        pieces: list[Any] = []
        at = 0
        for first, last, answer in answers:
            if at < first:
                pieces.append(self.part(at, first))
            pieces.append(answer)
            at = last
        if at < len(self._parts):
            pieces.append(self.part(at, len(self._parts)))
        return pieces[0] if len(pieces) == 1 else self._encoding.join(pieces)

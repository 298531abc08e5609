"""A page of a room's log, which is written once for each encoding that somebody reads."""

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
    """Records of a room, in the order of their numbers, and the same in each encoding."""

    __slots__ = ("_written", "records", "room", "start")

    def __init__(self, room: str, records: Sequence[Record], start: int) -> None:
        self.room = room
        """The name of the room, as it is shown."""
        self.records = records
        self.start = start
        """The number after which the page begins: there is no record between this and its first one."""
        self._written: dict[Encoding[Any], Written] = {}

    @property
    def end(self) -> int:
        """The number of its last record, or `start` if it has none."""
        return self.records[-1].seq if self.records else self.start

    def written(self, encoding: Encoding[Any]) -> Written:
        """Return the page in an encoding. It is written once."""
        written = self._written.get(encoding)
        if written is None:
            written = self._written[encoding] = Written(self.room, self.records, encoding)
        return written

    def has_after(self, seq: int) -> bool:
        """True if it has the record that comes after a number."""
        return self.start <= seq < self.end


class Written:
    """A page in one encoding."""

    __slots__ = ("_encoding", "_ends", "_parts", "_records", "whole")

    def __init__(self, room: str, records: Sequence[Record], encoding: Encoding[Any]) -> None:
        self._parts = parts = [encoding.message(room, record) for record in records]
        self._records = records
        self._encoding = encoding
        self._ends: list[int] | None = None
        """The end of each record's part in `whole`; None until it is needed."""
        self.whole: Any = parts[0] if len(parts) == 1 else encoding.join(parts)

    def part(self, first: int, last: int) -> Any:
        """Return the part of the records from the index `first` to the one before `last`."""
        if last - first == 1:
            return self._parts[first]
        if self._ends is None:
            self._ends = [0, *accumulate(map(len, self._parts))]
        return self.whole[self._ends[first] : self._ends[last]]

    def after(self, seq: int, own: array[int]) -> Any:
        """Return the part of all records after a number, without the reader's own."""
        records = self._records
        first = bisect_right(records, seq, key=seq_of)
        if not own:
            return self.part(first, len(records)) if first else self.whole
        skipped = set(own)
        parts = [self.part(at, at + 1) for at in range(first, len(records)) if records[at].seq not in skipped]
        return self._encoding.join(parts)

    def with_answers(self, answers: Sequence[tuple[int, int, Any]]) -> Any:
        """Return the whole with answers in place of records, each from the index `first` to the one before `last`."""
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

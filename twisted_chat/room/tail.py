"""The newest part of a room's log, in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import Final

from ..log import Record
from .page import seq_of

RECORD_BYTES: Final = 96
"""Of the bytes of a message, what it takes beside its text."""


def size_of(record: Record) -> int:
    """Count the bytes that a message takes, more or less."""
    return RECORD_BYTES + len(record.msg)


class Tail:
    """The newest messages of one room, all that came after `floor`."""

    __slots__ = ("_records", "_start", "floor")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._records: list[Record] = []
        self._start = 0
        """The first message that is still kept. Those in front of it go together now and then, not one by one."""

    def append(self, records: Iterable[Record]) -> None:
        """Keep messages that were said now."""
        self._records.extend(records)

    def drop(self, count: int) -> None:
        """Forget the oldest messages."""
        start = self._start + count
        self.floor = self._records[start - 1].seq
        if start * 2 >= len(self._records):
            del self._records[:start]
            start = 0
        else:
            self._records[self._start : start] = [_NONE] * count
        self._start = start

    def __len__(self) -> int:
        return len(self._records) - self._start

    def after(self, seq: int, most: int, most_bytes: int) -> list[Record]:
        """Read on behind `seq`, which is not in front of `floor`."""
        first = bisect_right(self._records, seq, self._start, key=seq_of)
        last = _fit(islice(self._records, first, first + most), first, most_bytes, 1)
        return self._records[first:last]

    def before(self, seq: int, most: int, most_bytes: int) -> list[Record]:
        """Read the newest in front of `seq`, as far back as there are any."""
        last = bisect_left(self._records, seq, self._start, key=seq_of)
        newest_first = (self._records[i] for i in range(last - 1, max(self._start, last - most) - 1, -1))
        first = _fit(newest_first, last, most_bytes, -1)
        return self._records[first:last]


_NONE: Final = Record(0, 0, "", "")


def _fit(records: Iterable[Record], at: int, most_bytes: int, step: int) -> int:
    """Go on from a place by as many messages as fit, and by one at least."""
    for record in records:
        if most_bytes <= 0:
            break
        most_bytes -= size_of(record)
        at += step
    return at

"""The newest part of a room's log, in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final

from ..log import Record
from .page import seq_of

RECORD_BYTES: Final = 96
"""The bytes of memory that a message takes beside its text."""

_text_of = attrgetter("msg")


def size_of(records: Sequence[Record]) -> int:
    """Return about how many bytes of memory messages take."""
    return RECORD_BYTES * len(records) + sum(map(len, map(_text_of, records)))


class Tail:
    """The newest messages of one room: all after the number `floor`."""

    __slots__ = ("_records", "_start", "floor")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._records: list[Record] = []
        self._start = 0
        """The index of the oldest message. Those before it are forgotten, and are removed together now and then."""

    def append(self, records: Iterable[Record]) -> None:
        """Add new messages."""
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

    def take_text(self, seq: int, deleted: int) -> None:
        """Forget the text of a message, which an entry with the number `deleted` has taken away."""
        at = bisect_left(self._records, seq, self._start, key=seq_of)
        if at < len(self._records) and self._records[at].seq == seq and not self._records[at].kind:
            self._records[at] = self._records[at].without_text(deleted)

    def after(self, seq: int, most: int, most_bytes: int) -> list[Record]:
        """Return the messages after `seq`, which is not before `floor`."""
        first = bisect_right(self._records, seq, self._start, key=seq_of)
        last = _fit(islice(self._records, first, first + most), first, most_bytes, 1)
        return self._records[first:last]

    def before(self, seq: int, most: int, most_bytes: int) -> list[Record]:
        """Return the newest messages before `seq`, as far back as there are any."""
        last = bisect_left(self._records, seq, self._start, key=seq_of)
        newest_first = (self._records[i] for i in range(last - 1, max(self._start, last - most) - 1, -1))
        first = _fit(newest_first, last, most_bytes, -1)
        return self._records[first:last]


_NONE: Final = Record(0, 0, "", "")


def _fit(records: Iterable[Record], at: int, most_bytes: int, step: int) -> int:
    """Return the index after the last message that fits, going on from `at`. At least one does."""
    for record in records:
        if most_bytes <= 0:
            break
        most_bytes -= RECORD_BYTES + len(record.msg)
        at += step
    return at

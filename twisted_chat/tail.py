"""The newest part of a room's log, as lines of the wire, in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple


class Page(NamedTuple):
    """Messages in the order of their numbers: the numbers, and each one's line."""

    seqs: list[int]
    lines: list[bytes]


class Tail:
    """The newest lines of one room, all that came after `floor`."""

    __slots__ = ("_lines", "_seqs", "_start", "floor")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self._seqs: list[int] = []
        self._lines: list[bytes] = []
        self._start = 0
        """The first line that is still kept. Those in front of it go together now and then, not one by one."""

    def append(self, seqs: Iterable[int], lines: Iterable[bytes]) -> None:
        self._seqs.extend(seqs)
        self._lines.extend(lines)

    def drop(self, count: int) -> None:
        """Forget the oldest lines."""
        start = self._start + count
        self.floor = self._seqs[start - 1]
        if start * 2 >= len(self._seqs):
            del self._seqs[:start], self._lines[:start]
            start = 0
        else:
            for i in range(self._start, start):
                self._lines[i] = b""
        self._start = start

    def __len__(self) -> int:
        return len(self._seqs) - self._start

    def after(self, seq: int, most: int, most_bytes: int) -> Page:
        """Read on behind `seq`, which is not in front of `floor`."""
        first = bisect_right(self._seqs, seq, self._start)
        last = self._fit(islice(self._lines, first, first + most), first, most_bytes, 1)
        return Page(self._seqs[first:last], self._lines[first:last])

    def before(self, seq: int, most: int, most_bytes: int) -> Page:
        """Read the newest in front of `seq`, as far back as there are any."""
        last = bisect_left(self._seqs, seq, self._start)
        newest_first = (self._lines[i] for i in range(last - 1, max(self._start, last - most) - 1, -1))
        first = self._fit(newest_first, last, most_bytes, -1)
        return Page(self._seqs[first:last], self._lines[first:last])

    @staticmethod
    def _fit(lines: Iterable[bytes], at: int, most_bytes: int, step: int) -> int:
        """Go on from a place by as many lines as fit, and by one at least."""
        for line in lines:
            if most_bytes <= 0:
                break
            most_bytes -= len(line)
            at += step
        return at

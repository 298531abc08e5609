"""A page of a room's log, which is written once for each encoding that somebody reads."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any

import msgspec

from ..encoding import Encoding
from ..log import Entry, Record

seq_of = attrgetter("seq")


class Page(msgspec.Struct, eq=False):
    """Records of a room, in the order of their numbers, and the same in each encoding."""

    room: str
    """The name of the room, as it is shown."""
    records: Sequence[Record]
    start: int
    """The number after which the page begins: there is no record between this and its first one."""
    in_encodings: dict[Encoding[Any], Written] = {}

    @property
    def end(self) -> int:
        """The number of its last record, or `start` if it has none."""
        return self.records[-1].seq if self.records else self.start

    def written(self, encoding: Encoding[Any]) -> Written:
        """Return the page in an encoding. It is written once."""
        written = self.in_encodings.get(encoding)
        if written is None:
            whole, parts = encoding.messages(self.room, self.records)
            written = self.in_encodings[encoding] = Written(encoding, self.records, whole, parts)
        return written

    def count_after(self, seq: int) -> int:
        """Return the number of its records after a number."""
        return len(self.records) - bisect_right(self.records, seq, key=seq_of)

    def has_after(self, seq: int) -> bool:
        """True if it has the record that comes after a number."""
        return self.start <= seq < self.end


class Written(msgspec.Struct, eq=False):
    """A page in one encoding."""

    encoding: Encoding[Any]
    records: Sequence[Record]
    whole: Any
    """All records."""
    parts: Callable[[], Sequence[Any]]
    """Returns the part of each record."""
    ends: list[int] | None = None
    """The end of each record's part in `whole`, and the beginning of the first one; None until it is needed."""
    places: dict[int, tuple[int, int]] | None = None
    """Where the part of each record begins and ends, by its number; None until it is needed."""

    def part(self, first: int, last: int) -> Any:
        """Return the part of the records from the index `first` to the one before `last`."""
        ends = self._find_ends()
        return self.whole[ends[first] : ends[last]]

    def _find_ends(self) -> list[int]:
        if self.ends is None:
            self.ends = [0, *accumulate(map(len, self.parts()))]
        return self.ends

    def _find_places(self) -> dict[int, tuple[int, int]]:
        self.places = dict(zip(map(seq_of, self.records), pairwise(self._find_ends()), strict=True))
        return self.places

    def after(self, seq: int, own: array[int]) -> Any:
        """Return the part of all records after a number, without the reader's own."""
        records = self.records
        first = bisect_right(records, seq, key=seq_of)
        if not own:
            return self.part(first, len(records)) if first else self.whole
        skipped = set(own)
        parts = [self.part(at, at + 1) for at in range(first, len(records)) if records[at].seq not in skipped]
        return self.encoding.join(parts)

    def with_answers(self, own: Sequence[Entry], answers: Iterator[Any]) -> Any:
        """Return the whole for an author, with answers in place of its own messages: one for each that has an `id`.

        An entry that is not fresh is in no record; its answer follows the one before it.
        """
        whole, places = self.whole, self.places or self._find_places()
        pieces: list[Any] = []
        at = 0
        for entry in own:
            if entry.fresh:
                begin, end = places[entry.seq]
                pieces.append(whole[at:begin])
                at = end
            if entry.id is not None:
                pieces.append(next(answers))
        pieces.append(whole[at:])
        return self.encoding.join(pieces)

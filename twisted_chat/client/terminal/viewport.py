"""The window on a pane: the rows that are shown, and how the window moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..program.columns import cut
from .layout import Row, rows_of
from .pane import KEPT, Pane


class Viewport:
    """The part of a pane that fits into a number of columns and rows."""

    def __init__(self, pane: Pane, columns: int, rows: int) -> None:
        self.pane = pane
        self.columns = max(1, columns)
        self.rows = max(1, rows)

    def window(self) -> list[Row]:
        """Return the visible rows from top to bottom; fewer if there are no more."""
        shown: list[Row] = []
        index, row = self._bottom()
        for entry_rows in self._upwards(index):
            part = entry_rows[: row + 1] if row is not None else entry_rows
            row = None
            shown.extend(reversed(part))
            if len(shown) >= self.rows:
                break
        else:
            shown.append([("class:note", cut(self._top(), self.columns))])
        return shown[: self.rows][::-1]

    def wants_older(self) -> bool:
        """True if older messages should be requested: there is less than another window of rows above this one."""
        pane = self.pane
        if pane.whole or pane.loading or len(pane.entries) >= KEPT:
            return False
        index, row = self._bottom()
        above = (row or 0) + 1 - 2 * self.rows
        for entry_rows in self._upwards(index - 1 if row is not None else index):
            above += len(entry_rows)
            if above >= 0:
                return False
        return True

    def scroll(self, rows: int) -> None:
        """Move the window by a number of rows, down or (below zero) up, as far as there are rows."""
        if not self.pane.entries:
            return
        index, row = self._bottom()
        last = len(self.pane.entries) - 1
        at = row if row is not None else self._count(index) - 1
        at += rows
        while at < 0 and index > 0:
            index -= 1
            at += self._count(index)
        while index < last and at >= self._count(index):
            at -= self._count(index)
            index += 1
        index, at = max((index, at), self._highest())
        if index > last or (index == last and at >= self._count(last) - 1):
            self.pane.bottom = None
        else:
            self.pane.bottom = self.pane.entries[index], at

    def show(self, index: int) -> None:
        """Show the newest rows. If this entry is then not visible, move the window so that the entry is at its top."""
        self.pane.bottom = None
        below = sum(self._count(i) for i in range(index, len(self.pane.entries)))
        if below > self.rows:
            self.scroll(self.rows - below)

    def _highest(self) -> tuple[int, int]:
        """Return the lowest row of the window whose highest row is the first one of all."""
        left = self.rows - 1  # the row about what is above
        for index in range(len(self.pane.entries)):
            count = self._count(index)
            if count >= left:
                return index, max(0, left - 1)
            left -= count
        return len(self.pane.entries), 0

    def _bottom(self) -> tuple[int, int | None]:
        """Return the lowest visible row: an entry's index and the row in it, None for its last one."""
        pane = self.pane
        if pane.bottom is None or pane.bottom[0] not in pane.entries:
            return len(pane.entries) - 1, None
        index = pane.entries.index(pane.bottom[0])
        return index, min(pane.bottom[1], self._count(index) - 1)

    def _upwards(self, index: int) -> Iterator[Sequence[Row]]:
        """Return the rows of the entries, from a given one up to the first."""
        return (self._rows(i) for i in range(index, -1, -1))

    def _rows(self, index: int) -> Sequence[Row]:
        entries = self.pane.entries
        entry = entries[index]
        before = entries[index - 1].time.astimezone().date() if index else None
        return rows_of(entry, self.columns, entry.time.astimezone().date() != before, entry is self.pane.marker)

    def _count(self, index: int) -> int:
        return len(self._rows(index))

    def _top(self) -> str:
        """Return the words above the first entry."""
        pane = self.pane
        if pane.loading:
            return "older messages are on their way ..."
        if not pane.whole:
            return "older messages are in the history"
        return pane.beginning

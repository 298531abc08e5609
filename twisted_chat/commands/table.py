"""Tables for a terminal of any width, with names in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

GAP: Final = "  "

NARROWEST: Final = 6
"""Columns of the terminal that the first column of a table keeps, however narrow the terminal is."""


def width_of(text: str) -> int:
    """Return the number of columns that a name takes: two for a wide character, none for a mark or a joiner."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Shorten a name to some columns; an ellipsis stands for what is cut off."""
    if width_of(text) <= width:
        return text
    kept = ""
    while width_of(longer := text[: len(kept) + 1]) < width:
        kept = longer
    return f"{kept}…"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Format rows as lines, with the first column aligned to the left and the others to the right.

    If the `width` of the terminal is too small, the last columns are left out, and names in the first one are cut.
    """
    columns = [max(width_of(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    if width is not None:
        while len(columns) > 1 and _taken(columns[1:]) + min(columns[0], NARROWEST) > width:
            columns.pop()
        columns[0] = min(columns[0], max(NARROWEST, width - _taken(columns[1:])))
    return [_line(row, columns) for row in (heads, *rows)]


def _taken(columns: Sequence[int]) -> int:
    return sum(len(GAP) + column for column in columns)


def _line(row: Sequence[str], columns: Sequence[int]) -> str:
    first = cut(row[0], columns[0])
    rest = [" " * (column - width_of(cell)) + cell for cell, column in zip(row[1:], columns[1:], strict=False)]
    return GAP.join([first + " " * (columns[0] - width_of(first)), *rest]).rstrip()

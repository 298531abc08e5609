"""The rows of an entry: styled text for a number of columns.

This module does not know a terminal. A row is a list of fragments, each a style and a text; styles are named in
`view.py`. Only words of the program stand at the beginning of an entry's first row. Its further rows are indented, and
each line of a message but the first has a bar in front. So no text can look like somebody else's message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

from ..program.columns import Fragment, cut, steady, wrap
from .colours import colour
from .entry import Entry, Fate, Kind
from .hyperlinks import HyperlinkStyle, find_hyperlinks

Row = Sequence[Fragment]

NARROW: Final = 30
"""The number of columns below which there are no times and no deep indent, which would take a third of each row."""

MAX_LINES: Final = 500
"""The maximum number of lines of a message that are shown: 20 screens. With its up to 8,000 lines, it would bury all
earlier ones."""

_MARKS: Final = {Fate.PENDING: "~", Fate.REFUSED: "x", Fate.KEPT: " ", Fate.DELETED: "-"}
"""The signs before a message. They are signs because not everybody sees colours. A mention has `!` there."""


def rows_of(entry: Entry, columns: int, day: bool, new: bool) -> Sequence[Row]:
    """Lay out an entry. With `day`, its date stands above it; with `new`, the line above all that is new."""
    asked = (columns, day, new)
    if entry.laid is None or entry.laid[0] != asked:
        rows: list[Row] = []
        if day:
            rows.append([("class:day", cut(f"-- {entry.time.astimezone():%Y-%m-%d} --", columns))])
        if new:
            rows.append([("class:new", cut("-- new --", columns))])
        rows.extend(_text_rows(entry, columns))
        entry.laid = asked, rows
    return cast(Sequence[Row], entry.laid[1])


def _text_rows(entry: Entry, columns: int) -> Iterator[Row]:
    wide = columns >= NARROW
    indent, bar = (6, "      | ") if wide else (2, "| ")
    most = max(0, columns - 2)
    first, *others = entry.text.split("\n")
    yield from wrap([*_head(entry, wide), *_fragments(entry, first)], max(2, columns), min(indent, most))
    more = len(others) + 1 - MAX_LINES
    for line in others[: MAX_LINES - 1]:
        fragments = [("class:bar", bar[:most]), *_fragments(entry, line)]
        yield from wrap(fragments, max(2, columns), min(len(bar), most))
    if more > 0:
        yield [("class:bar", cut(f"{bar}... {more:,} more lines", columns))]


def _head(entry: Entry, wide: bool) -> Iterator[Fragment]:
    """Return the words of the program before the text of an entry."""
    mark = "!" if entry.mention else _MARKS[entry.fate]
    style = f"class:{entry.kind.value}"
    if wide:
        yield "class:time", f"{entry.time.astimezone():%H:%M}"
        yield "class:mark", mark
    elif mark != " ":
        yield "class:mark", mark
    if entry.kind is Kind.MESSAGE:
        yield f"class:nick {colour(entry.author)}", steady(entry.author)
        yield style, ": "
    else:
        yield style, f"{'!' if entry.kind is Kind.ERROR else '*'} "


def _fragments(entry: Entry, line: str) -> Iterator[Fragment]:
    """Return the fragments of a line of text, with the hyperlinks in it."""
    style = f"class:{entry.kind.value}"
    if entry.mention:
        style += " class:mention"
    elif entry.fate is not Fate.KEPT:
        style += f" class:{entry.fate.value}"
    for text, is_link in find_hyperlinks(line):
        if text:
            yield (HyperlinkStyle.of(style, text) if is_link else style), steady(text)

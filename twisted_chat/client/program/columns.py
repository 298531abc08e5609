"""Columns of a terminal: how many of them a text takes, and how it is broken into rows.

Terminals agree on letters, on wide characters and on marks. They do not agree on sequences that are shown as one
character: joined emoji, skin tones, flags, emoji made from signs. If program and terminal count differently, a line
falls apart, above all the one being typed. So these sequences are shown as their parts (`steady`), which all terminals
show alike. Texts are sent as they were typed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Final

from wcwidth import iter_graphemes, wcwidth

Fragment = tuple[str, str]
"""A style and a text, as prompt_toolkit has them."""

_JOINERS: Final = "\u200c\u200d"
_SELECTORS: Final = "\ufe0e\ufe0f"
_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_TAGS = range(0xE0020, 0xE0080)


def steady(text: str) -> str:
    """Return a text in a form that takes the same columns on every terminal."""
    return text if text.isascii() else "".join(steady_parts(text))


def steady_parts(text: str) -> list[str]:
    """Return the characters that are shown for each character of a text; empty for some."""
    return [_shown(character, text[i - 1] if i else "") for i, character in enumerate(text)]


@lru_cache(maxsize=4096)
def _shown(character: str, before: str) -> str:
    code = ord(character)
    if character in _SELECTORS or code in _TAGS:
        return ""
    if character in _JOINERS:
        # Between letters they shape the word, and take no columns.
        return character if before not in _SELECTORS and unicodedata.category(before)[0] in "LM" else ""
    if code in _TONES:
        return "" if before and unicodedata.category(before) == "So" else character
    if code in _FLAG_LETTERS:
        return chr(ord("A") + code - _FLAG_LETTERS.start)
    return character


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    return max(0, wcwidth(character))


def width(text: str) -> int:
    """Return the number of columns that a steady text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def cut(text: str, columns: int) -> str:
    """Cut a steady text so that it fits, with two dots at the end if something is missing."""
    if width(text) <= columns:
        return text
    cells = list(_cells(text))
    ends = accumulate(cell_width for _, cell_width in cells)
    kept = sum(end <= columns - 2 for end in ends)
    return "".join(cell for cell, _ in cells[:kept]) + ".."[: max(0, columns)]


def wrap(fragments: Iterable[Fragment], columns: int, indent: int) -> list[list[Fragment]]:
    """Break steady text into rows, at spaces and between wide characters if possible.

    Rows after the first begin with `indent` spaces. Spaces at a break are dropped.
    """
    rows: list[list[tuple[str, str, int]]] = []
    row: list[tuple[str, str, int]] = []
    used = breakable = 0  # the columns of the row, and the cells that stay if it is broken
    limit = columns
    for style, text in fragments:
        for cell, cell_width in _cells(text):
            while used + cell_width > limit and row:
                if cell == " ":
                    break
                keep = breakable or _fitting(row, limit)
                rows.append(row[:keep])
                row = row[keep:]
                used, breakable, limit = sum(entry[2] for entry in row), 0, max(2, columns - indent)
            if used + cell_width <= limit or not row:
                row.append((style, cell, cell_width))
                used += cell_width
            if cell == " " or cell_width == 2:
                breakable = len(row)
    rows.append(row)
    return [_merged(row, indent if i else 0) for i, row in enumerate(rows)]


def _fitting(row: list[tuple[str, str, int]], limit: int) -> int:
    """Return the number of cells that fit into a row; at least one."""
    ends = accumulate(cell_width for _, _, cell_width in row)
    return max(1, sum(end <= limit for end in ends))


def graphemes(text: str) -> Iterator[str]:
    """Divide a text into the characters as a person sees them."""
    return iter_graphemes(text)


def _cells(text: str) -> Iterator[tuple[str, int]]:
    """Return the characters with the marks on them, and the columns of each."""
    cell, columns = "", 0
    for character in text:
        more = _width(character)
        if more and cell:
            yield cell, columns
            cell, columns = "", 0
        cell += character
        columns += more
    if cell:
        yield cell, columns


def _merged(row: list[tuple[str, str, int]], indent: int) -> list[Fragment]:
    """Join cells of one style, without the spaces at the end."""
    while row and row[-1][1] == " ":
        row = row[:-1]
    merged: list[Fragment] = [("", " " * indent)] if indent else []
    for style, cell, _ in row:
        if merged and merged[-1][0] == style:
            merged[-1] = (style, merged[-1][1] + cell)
        else:
            merged.append((style, cell))
    return merged

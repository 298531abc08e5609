"""Cleaning of text from others, so that it can be shown.

Clean text cannot move the cursor, set titles, ring the bell, hide something, turn the direction of writing, or lay out
a line that looks like another person's. Every interface uses these functions. They remove:

- control characters, C0, DEL and C1 (a terminal obeys them), except tabs and line ends;
- bidirectional overrides, embeddings, isolates and marks (UAX #9, section 2; CVE-2021-42574 shows what they do);
- invisible characters: zero-width spaces, invisible operators, tags, fillers, variation selectors that select nothing;
- piles of combining marks, which grow over the lines above and below, and marks on a blank, which would divide a run of
  blanks without taking a column;
- long runs of blanks, which push what follows to the edge of the screen and into the next row, as if it began there.

What writing needs stays: joiners inside emoji and inside words of scripts that have them, one variation selector after
a character, the tags that make a flag, marks as Vietnamese, Hebrew or Thai stack them, and the indentation of code.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_MARKS: Final = 8
"""The maximum number of combining marks on a character. Pointed and cantillated Hebrew and Tibetan have fewer."""

MAX_BLANKS: Final = 8
"""The maximum number of blanks in a row within a line: enough for a table, too few to reach the edge of a screen."""

MAX_INDENT: Final = 32
"""The maximum number of blanks at the beginning of a line: eight levels of code."""

TAB: Final = 4
"""Columns between two tab stops."""

_line_end = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""All line ends that `str.splitlines` knows."""

_blanks = re.compile(f"[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]{{{MAX_BLANKS + 1},}}")
"""A run of blanks that is too long. All of category Zs are blanks, narrow or wide."""

_MARKS: Final = ("Mn", "Me")
"""The categories of marks that take no column of their own."""

_JOINERS = "\u200c\u200d"
"""ZERO WIDTH NON-JOINER and JOINER."""

_FIRST_THAT_JOINS = "\u0590"
"""Latin, Greek, Cyrillic and Armenian letters come before it; they have no use for joiners."""

_SELECTORS = "\ufe0e\ufe0f"
"""The variation selectors that choose between text and emoji."""

_BLACK_FLAG = "\U0001f3f4"
_flag_tags = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
"""The tags that make the flag of a region of a black flag (UTS #51, annex C)."""

_unseen = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0d\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff\u2800\U00016fe4\U0001d159]"
)
"""Invisible, though their category is one of letters, marks, symbols or unassigned characters: those with
Default_Ignorable_Code_Point, an empty Braille cell, the Khitan filler and the null notehead."""

_seen_formats = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
"""Visible, though their category is the one of formats: Prepended_Concatenation_Mark."""


def clean(text: str, line_end: str = " ") -> str:
    """Return text from others as it can be shown. Line ends become `line_end`, tabs a space."""
    if text.isascii() and text.isprintable() and " " * (MAX_BLANKS + 1) not in text:
        return text
    return _without_runs(line_end.join(map(_without_unseen, _line_end.split(text))))


def clean_lines(text: str) -> list[str]:
    """Return text from others as lines that can be shown: at least one, each indented and without blanks at its end.

    Blank lines at the beginning and at the end are left out, and of several in a row there is one.
    """
    lines: list[str] = []
    for line in _line_end.split(text):
        line = _without_runs(_without_unseen(line.expandtabs(TAB)), MAX_INDENT).rstrip()
        if line or (lines and lines[-1]):
            lines.append(line)
    if lines and not lines[-1]:
        lines.pop()
    return lines or [""]


def _without_runs(line: str, indent: int = MAX_BLANKS) -> str:
    """Shorten long runs of blanks. `indent` is the maximum at the beginning."""

    def shortened(run: re.Match[str]) -> str:
        return " " * (MAX_BLANKS if run.start() else min(len(run[0]), indent))

    return _blanks.sub(shortened, line)


def _without_unseen(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line  # most lines; one by one, 16 kB of characters take 12 ms
    kept: list[str] = []
    marks = 0
    at = 0
    while at < len(line):
        character = line[at]
        tags = _flag_tags.match(line, at) if kept and kept[-1] == _BLACK_FLAG else None
        if tags is not None:
            kept.append(tags[0])
            at = tags.end()
            continue
        at += 1
        is_mark = unicodedata.category(character) in _MARKS
        if (is_mark and marks == MAX_MARKS) or not _is_shown(character, kept[-1] if kept else "", line[at : at + 1]):
            continue
        if is_mark:
            marks += 1
        elif character not in _JOINERS:  # nothing invisible begins a pile anew
            marks = 0
        kept.append(" " if character == "\t" else character)
    return "".join(kept)


def _is_shown(character: str, before: str, after: str) -> bool:
    """True if this character is visible where it stands."""
    if character in _JOINERS:
        return _joins(before) and _joins(after)
    if character in _SELECTORS:
        return _is_seen(before) and before != " "
    if unicodedata.category(character) in _MARKS and (not before or unicodedata.category(before) == "Zs"):
        return False  # at the beginning of a line, it stands on the blank that takes the place of the line end
    return character == "\t" or _is_seen(character)


def _joins(neighbour: str) -> bool:
    """True for a character that can stand beside a joiner: an emoji, or a letter or mark of a script that may join."""
    return neighbour >= _FIRST_THAT_JOINS and (neighbour in _SELECTORS or _is_seen(neighbour))


def _is_seen(character: str) -> bool:
    if not character or character in _JOINERS or character in _SELECTORS or _unseen.match(character):
        return False
    category = unicodedata.category(character[0])
    return category not in ("Cc", "Cf", "Cs") or _seen_formats.match(character) is not None

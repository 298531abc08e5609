"""Make text from others fit to be shown: it cannot move the cursor, set titles, ring, hide text or turn its direction.

One function, for every interface. What it takes away:

- control characters, C0, DEL and C1 (a terminal obeys them), but for tab and line ends;
- bidirectional overrides, embeddings, isolates and marks (UAX #9, section 2; CVE-2021-42574 shows what they do);
- what is not seen: zero-width spaces, invisible operators, tags, fillers, variation selectors that select nothing;
- heaps of combining marks, which grow over the lines above and below.

What writing needs stays: joiners inside emoji and inside words of scripts that have them, one variation selector after
a character, the tags that make a flag, marks as Vietnamese, Hebrew or Thai stack them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_MARKS: Final = 8
"""Combining marks on one character. Pointed and cantillated Hebrew and Tibetan stay below it."""

_line_end = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""All that `str.splitlines` takes for a line end."""

_JOINERS = "\u200c\u200d"
"""ZERO WIDTH NON-JOINER and JOINER."""

_FIRST_THAT_JOINS = "\u0590"
"""Latin, Greek, Cyrillic and Armenian letters are in front of it, and have no use for joiners."""

_SELECTORS = "\ufe0e\ufe0f"
"""The variation selectors that choose between text and emoji."""

_BLACK_FLAG = "\U0001f3f4"
_flag_tags = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
"""What makes a flag of a region after a black flag (UTS #51, annex C)."""

_unseen = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef\u2800]"
)
"""Not seen, though their category is one of letters, marks or symbols: Default_Ignorable_Code_Point, and an empty
Braille cell."""

_seen_formats = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
"""Seen, though their category is that of formats: Prepended_Concatenation_Mark."""


def clean(text: str, line_end: str = " ") -> str:
    """Make text from others fit to be shown. Line ends become `line_end`; tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    lines = _line_end.split(text)
    return line_end.join(_clean_line(line) for line in lines)


def _clean_line(line: str) -> str:
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
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MAX_MARKS and _is_shown(character, kept[-1] if kept else "", line[at : at + 1]):
            kept.append(" " if character == "\t" else character)
    return "".join(kept)


def _is_shown(character: str, before: str, after: str) -> bool:
    """Say whether this character is seen, where it stands."""
    if character in _JOINERS:
        return _joins(before) and _joins(after)
    if character in _SELECTORS:
        return _is_seen(before) and before != " "
    return character == "\t" or _is_seen(character)


def _joins(neighbour: str) -> bool:
    """Say whether this can stand beside a joiner: emoji, and letters and marks of scripts that may join."""
    return neighbour >= _FIRST_THAT_JOINS and (neighbour in _SELECTORS or _is_seen(neighbour))


def _is_seen(character: str) -> bool:
    if not character or character in _JOINERS or character in _SELECTORS or _unseen.match(character):
        return False
    category = unicodedata.category(character[0])
    return category not in ("Cc", "Cf", "Cs") or _seen_formats.match(character) is not None

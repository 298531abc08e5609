"""Mentions of a nick in a text."""

from __future__ import annotations

import re
from functools import lru_cache


def mentions(text: str, nick: str) -> bool:
    """True if a text contains this nick as a word of its own, in any case."""
    return _pattern(nick.casefold()).search(text.casefold()) is not None


@lru_cache(maxsize=16)
def _pattern(nick: str) -> re.Pattern[str]:
    # A nick may contain `-`, `_` and `.`, but a dot also ends a sentence.
    return re.compile(rf"(?<![\w.-]){re.escape(nick)}(?![\w-]|\.\w)")

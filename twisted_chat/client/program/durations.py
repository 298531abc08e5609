"""Durations as people type and read them: `90s`, `30m`, `1h`, `7d`, `2w`."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"w": 7 * 24 * 60 * 60, "d": 24 * 60 * 60, "h": 60 * 60, "m": 60, "s": 1}
"""Seconds of each unit, the longest first."""

_NAMES: Final = {"w": "week", "d": "day", "h": "hour", "m": "minute", "s": "second"}

_duration = re.compile(r"(\d{1,9})([smhdw]?)", re.ASCII)


def read_duration(text: str) -> int:
    """Return the seconds of a duration. A number alone is one of seconds. Raises `ValueError`."""
    found = _duration.fullmatch(text.lower())
    if found is None:
        raise ValueError(f"a time is a number with a unit, such as 90s, 30m, 1h, 7d or 2w, not {text!r}")
    return int(found[1]) * _UNITS[found[2] or "s"]


def duration_text(seconds: int) -> str:
    """Return a duration in words, in the longest unit in which it is a whole number."""
    whole = [unit for unit, length in _UNITS.items() if seconds and seconds % length == 0]
    unit = whole[0] if whole else "s"
    count = seconds // _UNITS[unit]
    return f"{count:,} {_NAMES[unit]}" + ("" if count == 1 else "s")

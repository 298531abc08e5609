"""Times of the wire as people read them."""

from __future__ import annotations

from datetime import datetime

from .clean import clean


def local_time(text: str) -> str:
    """Return a time of the wire in this machine's time zone, to the minute; clean, as it is, if it is not one."""
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return clean(text)

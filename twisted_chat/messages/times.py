"""Times as the wire writes them: RFC 3339, in UTC, with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1024)  # all messages of a turn have the same time
def time_text(milliseconds: int) -> str:
    """Format a time, in milliseconds since 1970, as RFC 3339 in UTC with milliseconds."""
    return f"{_second_text(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=1024)  # the seconds of messages that are sent or read together
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def time_milliseconds(text: str) -> int:
    """Parse a time in the format of `time_text` or another form of RFC 3339, which is UTC if it has no zone.

    Raises `ValueError`.
    """
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)

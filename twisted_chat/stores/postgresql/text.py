"""Texts as PostgreSQL takes them: it stores every character but U+0000, which a message may have.

U+0000 becomes U+001A and `0`, and U+001A becomes U+001A and `1`. Other texts are stored as they are, so that SQL and
its search see them.
"""

from __future__ import annotations


def to_sql(text: str) -> str:
    """Return a text without U+0000."""
    if "\0" in text or "\x1a" in text:
        return text.replace("\x1a", "\x1a1").replace("\0", "\x1a0")
    return text


def from_sql(text: str) -> str:
    """Return the text that `to_sql` was given."""
    if "\x1a" in text:
        return text.replace("\x1a0", "\0").replace("\x1a1", "\x1a")
    return text

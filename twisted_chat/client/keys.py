"""The key of a name, by the standard library alone."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=1024)  # a client is in 500 rooms at most, and asks for the same names with each message
def key(name: str) -> str:
    """Return the same key for two names that are one for the server.

    The server's own rules (`twisted_chat.names`) say besides what is no name. They lower, and do not fold: `ß` and `ss`
    are two (RFC 8265, section 3.3.2).
    """
    return unicodedata.normalize("NFKC", name).lower()

"""A colour for each nick, the same in every session and on every machine.

The colours have a contrast of at least 3.8 with black and with white (WCAG 2, relative luminance), so that they can be
read on a dark and on a light terminal. 4.6 is the most that both can have. They belong to the palette of 256 colours,
which terminals show alike.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final

from .entry import key_of

PALETTE: Final = (
    *("#af5f5f", "#d70000", "#d75f00", "#878700", "#5f8700", "#008700", "#008787"),
    *("#0087d7", "#5f5fff", "#875fd7", "#af5fd7", "#d700d7", "#d70087", "#af5f87"),
)
"""The colours, from red over green and blue back to red."""


@lru_cache(maxsize=4096)
def colour(nick: str) -> str:
    """Return the colour of a nick, as `#rrggbb`. Nicks that are the same for the server have the same colour."""
    digest = sha256(key_of(nick).encode("utf-8", "surrogatepass")).digest()
    return PALETTE[int.from_bytes(digest[:4]) % len(PALETTE)]

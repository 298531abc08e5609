"""Hyperlinks in messages, so that a terminal can open one that is longer than a row.

A terminal finds the address of a link by itself only if it stands in one piece. For other links, most terminals know
OSC 8, an escape sequence that gives a row's text an address (E. Koblinger, "Hyperlinks in Terminal Emulators").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote
from zlib import crc32

_link = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)

_AFTER: Final = ".,;:!?'*_"
"""Signs that end a sentence, but not a link."""

OPEN: Final = "\x1b]8;id="
"""The beginning of the escape sequence before a link's text."""

CLOSE: Final = "\x1b]8;;\x1b\\"
"""The escape sequence after the text of a link."""


class HyperlinkStyle(str):
    """The style of a hyperlink's text, which knows the address.

    The name of the style has a checksum of the address. If one link is drawn over another, a character that is the same
    in both has another style, so it is drawn anew.
    """

    address: str

    @classmethod
    def of(cls, style: str, address: str) -> HyperlinkStyle:
        """Make a style from another one and an address."""
        made = cls(f"{style} class:link class:link-{crc32(address.encode('utf-8', 'replace')):08x}")
        made.address = address
        return made

    @property
    def open(self) -> str:
        """Return the escape sequence before the text of the link. Rows with the same `id` are parts of one link."""
        target = quote(self.address, safe="%/:?#[]@!$&'()*+,;=~")
        return f"{OPEN}{crc32(target.encode()):08x};{target}\x1b\\"


def find_hyperlinks(text: str) -> Iterator[tuple[str, bool]]:
    """Return the parts of a text, each with true if it is a hyperlink."""
    at = 0
    for match in _link.finditer(text):
        link = _trimmed(match[0])
        yield text[at : match.start()], False
        yield link, not link.endswith("//")
        at = match.start() + len(link)
    yield text[at:], False


def _trimmed(link: str) -> str:
    """Leave out the punctuation after a link in a sentence, such as a full stop or a closing parenthesis."""
    unopened = {closing: link.count(closing) - link.count(opening) for opening, closing in ("()", "[]")}
    end = len(link)
    while link[end - 1] in _AFTER or unopened.get(link[end - 1], 0) > 0:
        end -= 1
        if link[end] in unopened:
            unopened[link[end]] -= 1
    return link[:end]

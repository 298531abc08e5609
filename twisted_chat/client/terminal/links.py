"""Links in what is said, so that a terminal can open one that is longer than a row.

A terminal finds the address of a link by itself only where it stands in one piece. Most of them take OSC 8 for the
others: an escape sequence that gives a row's text an address (E. Koblinger, "Hyperlinks in Terminal Emulators").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote
from zlib import crc32

_link = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)

_AFTER: Final = ".,;:!?'*_"
"""Signs that end a sentence, and not a link."""

OPEN: Final = "\x1b]8;id="
"""Begins the escape sequence in front of a link's text."""

CLOSE: Final = "\x1b]8;;\x1b\\"
"""Ends the text of a link."""


class LinkStyle(str):
    """The style of a link's text, which knows the address.

    The name of the style has a checksum of the address: where one link is drawn over another, a character that is the
    same in both has another style, and so it is drawn anew.
    """

    address: str

    @classmethod
    def of(cls, style: str, address: str) -> LinkStyle:
        """Make a style of another one and an address."""
        made = cls(f"{style} class:link class:link-{crc32(address.encode('utf-8', 'replace')):08x}")
        made.address = address
        return made

    @property
    def open(self) -> str:
        """Begins the text of the link. With the same `id`, rows are parts of one link."""
        target = quote(self.address, safe="%/:?#[]@!$&'()*+,;=~")
        return f"{OPEN}{crc32(target.encode()):08x};{target}\x1b\\"


def find_links(text: str) -> Iterator[tuple[str, bool]]:
    """Divide a text into parts, and say of each whether it is a link."""
    at = 0
    for match in _link.finditer(text):
        link = _trimmed(match[0])
        yield text[at : match.start()], False
        yield link, True
        at = match.start() + len(link)
    yield text[at:], False


def _trimmed(link: str) -> str:
    """Leave out what stands behind a link in a sentence, such as a full stop or a closing parenthesis."""
    while True:
        shorter = link.rstrip(_AFTER)
        for opening, closing in ("()", "[]"):
            if shorter.endswith(closing) and shorter.count(opening) < shorter.count(closing):
                shorter = shorter[:-1]
        if shorter == link:
            return link
        link = shorter

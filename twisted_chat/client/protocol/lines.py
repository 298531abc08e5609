"""The lines of a stream, and the objects in them."""

from __future__ import annotations

from typing import Final

from .objects import Object, decode

MAX_LINE: Final = 2**20
"""The maximum length of a line in bytes. This project's server writes at most a quarter of that, a page of history."""


class EndlessLineError(Exception):
    """A line is longer than `MAX_LINE`, so the server is not one of chat. The text is for a person."""


class LineReader:
    """Cuts one stream into lines, and reads an object from each. Lines that are not objects are ignored."""

    def __init__(self) -> None:
        self._rest = bytearray()
        """The beginning of a line whose end has not arrived."""

    def received(self, data: bytes) -> list[Object]:
        """Take bytes, and return the objects whose lines they complete. Raises `EndlessLineError`."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > MAX_LINE:
            raise EndlessLineError(f"the server sent a line of more than {MAX_LINE:,} bytes")
        return list(filter(None, map(decode, lines)))

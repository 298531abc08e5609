"""What the log says of trouble with the file: a bounded number of lines, however often it comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

CALM_SECONDS: Final = 10.0
"""How long everything has to work until trouble is over. On a disk that is full, short messages find a place and long
ones do not: without this, the log had several lines a second."""

MOST_TOLD: Final = 5
"""Kinds of trouble that the log names until it is over."""

_log = Logger("twisted_chat.stores.sqlite")


class Trouble:
    """Tells of what is wrong with a file, once, and of the end of it."""

    def __init__(self, path: str, seconds: Callable[[], float]) -> None:
        """`seconds` tells the time of a reactor."""
        self._path = path
        self._seconds = seconds
        self._told: list[str] = []
        self._works_since: float | None = None

    def tell(self, what: str) -> None:
        """Log what is wrong, unless the log has it already."""
        self._works_since = None
        if what not in self._told and len(self._told) < MOST_TOLD:
            self._told.append(what)
            _log.error("{path} does not work now: {trouble}", path=self._path, trouble=what)

    def has_worked(self) -> None:
        """Note that something was written; log the end of the trouble once that is so for a while."""
        if not self._told:
            return
        now = self._seconds()
        if self._works_since is None:
            self._works_since = now
        elif now - self._works_since >= CALM_SECONDS:
            self._told = []
            _log.info("{path} works again", path=self._path)

"""Trouble with the file, as the server's log describes it: in few lines, however often it comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

CALM_SECONDS: Final = 10.0
"""Seconds for which everything has to work until trouble is over. On a full disk, short messages find space and long
ones do not: without this pause, the log got several lines a second."""

MOST_TOLD: Final = 5
"""The number of kinds of trouble that the log names before it is over."""

_log = Logger("twisted_chat.stores.sqlite")


class Trouble:
    """Logs what is wrong with a file once, and when that is over."""

    def __init__(self, path: str, seconds: Callable[[], float]) -> None:
        """`seconds` returns the time of a reactor."""
        self._path = path
        self._seconds = seconds
        self._told: list[str] = []
        self._works_since: float | None = None

    def tell(self, what: str) -> None:
        """Log what is wrong, unless that was logged already."""
        self._works_since = None
        if what not in self._told and len(self._told) < MOST_TOLD:
            self._told.append(what)
            _log.error("{path} does not work now: {trouble}", path=self._path, trouble=what)

    def has_worked(self) -> None:
        """Note that something was written. Once that has been so for a while, log the end of the trouble."""
        if not self._told:
            return
        now = self._seconds()
        if self._works_since is None:
            self._works_since = now
        elif now - self._works_since >= CALM_SECONDS:
            self._told = []
            _log.info("{path} works again", path=self._path)

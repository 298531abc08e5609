"""How much of the logs is kept: all of it, or what is young enough, or so many messages a room.

What goes is taken away in the background, the oldest first, in steps that hold the file's lock for a few milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from .. import clock
from ..log import Unavailable

LOOK_SECONDS: Final = 60.0
"""How often it is looked what is to go: for so long a message may stay that is too old."""

STEP_PAUSE: Final = 0.01
"""Seconds between two steps: half of the time, or more, the disk is there for others."""

_UNITS: Final = {"h": 3_600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}

_log = Logger("twisted_chat.stores.retention")


class Keep(NamedTuple):
    """What is kept; a message goes as soon as one of these does not cover it. None is no limit."""

    seconds: int | None = None
    messages: int | None = None
    """Messages a room."""


EVERYTHING: Final = Keep()


def read_keep(texts: Iterable[str]) -> Keep:
    """Read limits such as `90d` and `1000000`, the narrowest of each kind; raises `ValueError`."""
    seconds: list[int] = []
    messages: list[int] = []
    for text in texts:
        match = re.fullmatch(r"([1-9][0-9]{0,11})([hdwy]?)", text, re.ASCII)
        if match is None:
            raise ValueError(f"a time such as 12h, 90d, 8w or 2y, or a number of messages a room, not '{text}'")
        if match[2]:
            seconds.append(int(match[1]) * _UNITS[match[2]])
        else:
            messages.append(int(match[1]))
    return Keep(min(seconds, default=None), min(messages, default=None))


class Store(NamedTuple):
    """What a `Trimmer` needs of a store."""

    overdue: Callable[[int], Deferred[list[int]]]
    """List the rooms that hold too much at a time (milliseconds since 1970)."""
    trim: Callable[[int, int], Deferred[bool]]
    """Take one step in a room, at a time; tells whether there may be more to take away."""


class Trimmer:
    """Takes away what is not to be kept, now and then, for as long as it is not stopped."""

    def __init__(self, reactor: Any, store: Store) -> None:
        self._reactor = reactor
        self._store = store
        self._next: IDelayedCall | None = None
        self._stopped = False
        self._wait()

    def stop(self) -> None:
        """Begin no more steps."""
        self._stopped = True
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _wait(self) -> None:
        if not self._stopped:
            self._next = self._reactor.callLater(LOOK_SECONDS, self._look)

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        self._next = None
        try:
            now = clock.milliseconds(self._reactor)
            for room in (yield self._store.overdue(now)):
                while not self._stopped and (yield self._store.trim(room, now)):
                    yield deferLater(self._reactor, STEP_PAUSE)
        except Unavailable:
            pass  # the store told of it
        except Exception:
            _log.failure("What is not to be kept could not be taken away; it is tried again")
        self._wait()

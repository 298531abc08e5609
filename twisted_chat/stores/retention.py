"""How much of the logs is kept: everything, or messages up to an age, or up to a number in each room.

The others are deleted in the background, the oldest first, in steps that hold the file's lock for a few milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from .. import clock
from ..log import Unavailable

CHECK_SECONDS: Final = 60.0
"""How often the store looks for messages to delete: a message may outlive its time by so much."""

STEP_PAUSE: Final = 0.01
"""Seconds between two steps: half of the time, or more, the disk is free for others."""

AHEAD_SECONDS: Final = 300.0
"""How far the clock may run ahead of the timers between two looks; a clock that is kept right never does."""

TRUST_SECONDS: Final = 86_400.0
"""How long a clock that was set ahead has to stay so until messages are deleted by it. After a bad answer of a time
server, or with a flat battery, everything would be deleted within a minute; a day is time to see the log and to mend
the clock."""

_UNITS: Final = {"h": 3_600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}

_log = Logger("twisted_chat.stores.retention")


class Keep(NamedTuple):
    """The limits of what is kept. A message is deleted as soon as it is beyond one of them. None is no limit."""

    seconds: int | None = None
    """The age of a message."""
    messages: int | None = None
    """The number of messages in each room."""


EVERYTHING: Final = Keep()


def read_keep(texts: Iterable[str]) -> Keep:
    """Read limits such as `90d` and `1000000`; of each kind, the narrowest counts. Raises `ValueError`."""
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


class Trimmable(Protocol):
    """A store, as far as a `Trimmer` knows it. Times are milliseconds since 1970."""

    def overdue(self, now: int) -> Deferred[list[int]]:
        """List the rooms that have something to delete."""

    def trim(self, room: int, now: int) -> Deferred[bool]:
        """Take one step in a room. True if there may be more to delete."""

    def newest(self) -> Deferred[int]:
        """Return the time of the newest message of all rooms, 0 if there is none."""


class TrustedTime:
    """The time of day by which messages are deleted: it follows a clock that was set ahead only after a day."""

    def __init__(self, reactor: Any, newest: int) -> None:
        """`newest` is the time of the newest message: a clock that is a day ahead of it may be wrong from the start."""
        self._reactor = reactor
        now = clock.milliseconds(reactor)
        self._time = newest if newest and now - newest > TRUST_SECONDS * 1000 else now
        self._seconds: float = reactor.seconds()
        self._ahead_since: float | None = None
        """When the clock was found to be ahead, in the reactor's time."""
        self._is_ahead = "is ahead of the newest message"

    def now(self) -> int:
        """The time in milliseconds since 1970. Logs once that the clock is ahead."""
        seconds, now = self._reactor.seconds(), clock.milliseconds(self._reactor)
        expected = self._time + int((seconds - self._seconds) * 1000)
        if now - expected <= AHEAD_SECONDS * 1000:
            self._ahead_since = None
        elif self._ahead_since is None:
            self._ahead_since = seconds
            _log.warn(
                "The clock {is_ahead} by {hours:,} hours: messages are deleted by the new time only once it has "
                "stayed so for a day. If the clock is wrong, set it right until then",
                is_ahead=self._is_ahead,
                hours=round((now - expected) / 3_600_000),
            )
        if self._ahead_since is not None and seconds - self._ahead_since < TRUST_SECONDS:
            now = expected
        self._time, self._seconds, self._is_ahead = now, seconds, "was set ahead"
        return now


class Trimmer:
    """Deletes what is not to be kept, now and then, until it is stopped."""

    def __init__(self, reactor: Any, store: Trimmable) -> None:
        self._reactor = reactor
        self._time: TrustedTime | None = None
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
            self._next = self._reactor.callLater(CHECK_SECONDS, self._trim_overdue)

    @inlineCallbacks
    def _trim_overdue(self) -> Generator[Deferred[Any], Any, None]:
        self._next = None
        try:
            if self._time is None:
                self._time = TrustedTime(self._reactor, (yield self._store.newest()))
            now = self._time.now()
            for room in (yield self._store.overdue(now)):
                while not self._stopped and (yield self._store.trim(room, now)):
                    yield deferLater(self._reactor, STEP_PAUSE)
        except Unavailable:
            pass  # the store has logged it
        except Exception:
            _log.failure("Messages that are not to be kept could not be deleted; the next attempt is in a minute")
        self._wait()

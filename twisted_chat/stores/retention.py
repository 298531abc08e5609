"""Retention: all messages are kept, or those up to an age, or up to a number in each room.

The others are deleted in the background, the oldest first, in steps that hold the file's lock for a few milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from .. import clock
from ..log import Unavailable

CHECK_SECONDS: Final = 60.0
"""Seconds between two checks for messages to delete: a message may outlive its time by so much."""

FORGET_ROWS: Final = 500
"""Rooms that are forgotten in one step: it holds the file's lock for some milliseconds."""

STEP_PAUSE: Final = 0.01
"""Seconds between two steps: at least half of the time, the disk is free for others."""

AHEAD_SECONDS: Final = 300.0
"""Seconds by which the clock may run ahead of the timers between two checks. A clock that is kept right never does."""

TRUST_SECONDS: Final = 86_400.0
"""How long the server has to run with a clock that was set ahead until messages are deleted by it. After a bad answer
of a time server, or with a flat battery, everything would be deleted within a minute; a day is time to see the log and
to mend the clock. Several runs count together: a server that is restarted each day would never delete anything."""

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
    """Read limits such as `90d` and `1000000`. The narrowest of each kind counts. Raises `ValueError`."""
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


class Trusted(NamedTuple):
    """The time by which messages were deleted last. A store keeps it for the next run."""

    time: int
    """Milliseconds since 1970; 0 if it is not known."""
    ahead: float = 0.0
    """Seconds for which the server has run, in this run and earlier ones, with a clock that is ahead of it."""


class Trimmable(Protocol):
    """A store, as far as a `Trimmer` knows it. Times are milliseconds since 1970."""

    def overdue(self, now: int) -> Deferred[list[int]]:
        """List the rooms that have something to delete."""

    def trim(self, room: int, now: int) -> Deferred[bool]:
        """Take one step in a room. True if there may be more to delete."""

    def empty_rooms(self, now: int) -> Deferred[list[int]]:
        """List the rooms in which nothing is kept and nobody is, and whose topics are old enough."""

    def forget_rooms(self, rooms: Sequence[int]) -> Deferred[None]:
        """Forget the topics and names of rooms, unless something was said in them meanwhile."""

    def trusted(self) -> Deferred[Trusted]:
        """Return the time that was kept last, or else that of the newest message of all rooms."""

    def keep_trusted(self, trusted: Trusted) -> Deferred[None]:
        """Keep a time for the next run."""


class TrustedTime:
    """The time of day by which messages are deleted: it follows a clock that was set ahead only after a day."""

    def __init__(self, reactor: Any, last: Trusted) -> None:
        """Begin with the time that was kept last. A clock that is a day ahead of it may be wrong from the start."""
        self._reactor = reactor
        now = clock.milliseconds(reactor)
        is_ahead = bool(last.time) and now - last.time > TRUST_SECONDS * 1000
        self._time = last.time if is_ahead else now
        self._seconds: float = reactor.seconds()
        self._ahead: float | None = last.ahead if is_ahead and last.ahead else None
        """Seconds for which the server has run with a clock that is ahead; None while it is not."""
        self._is_logged = False
        """True once the log says that the clock is ahead."""
        self._how = "is ahead of the last time that the database knows"

    def now(self) -> Trusted:
        """Return the time now. Logs once that the clock is ahead."""
        seconds, now = self._reactor.seconds(), clock.milliseconds(self._reactor)
        passed = seconds - self._seconds
        expected = self._time + int(passed * 1000)
        if now - expected <= AHEAD_SECONDS * 1000:
            self._ahead, self._is_logged = None, False
        else:
            self._ahead = 0.0 if self._ahead is None else self._ahead + passed
            self._log_once(now - expected, TRUST_SECONDS - self._ahead)
            if self._ahead < TRUST_SECONDS:
                now = expected
            else:
                self._ahead, self._is_logged = None, False
        self._time, self._seconds, self._how = now, seconds, "was set ahead"
        return Trusted(now, self._ahead or 0.0)

    def _log_once(self, ahead: int, left: float) -> None:
        if not self._is_logged:
            self._is_logged = True
            _log.warn(
                "The clock {how} by {hours:,} hours: messages are deleted by the new time only once the server has run "
                "with it for another {left} h. If the clock is wrong, set it right until then",
                how=self._how,
                hours=round(ahead / 3_600_000),
                left=max(1, round(left / 3_600)),
            )


class Trimmer:
    """Deletes messages beyond the limits now and then, until it is stopped."""

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
                self._time = TrustedTime(self._reactor, (yield self._store.trusted()))
            trusted = self._time.now()
            yield self._store.keep_trusted(trusted)
            now = trusted.time
            for room in (yield self._store.overdue(now)):
                while not self._stopped and (yield self._store.trim(room, now)):
                    yield deferLater(self._reactor, STEP_PAUSE)
            empty = yield self._store.empty_rooms(now)
            while empty and not self._stopped:
                yield self._store.forget_rooms(empty[:FORGET_ROWS])
                del empty[:FORGET_ROWS]
                yield deferLater(self._reactor, STEP_PAUSE)
        except Unavailable:
            pass  # the store has logged it
        except Exception:
            _log.failure("Messages that are not to be kept could not be deleted; the next attempt is in a minute")
        self._wait()

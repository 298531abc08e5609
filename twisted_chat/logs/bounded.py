"""A bound on the server's own log, which is not the log of a room.

A stranger can cause some entries a thousand times a second: a connection for which no file descriptor is left, a failed
handshake, a bug of the server. So each kind of entry, including those of Twisted, is written at most a few times a
minute, and then the log has the number of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import ILogObserver, LogEvent, Logger, LogPublisher
from zope.interface import implementer

MOST: Final = 10
"""The number of entries of one kind per period. Ten show if it goes on, and from how many addresses. An entry can have
its own number as `most`."""

SECONDS: Final = 60.0
"""The period in seconds: long enough that a day under attack logs less than 20 MB, with tracebacks."""


def bound(publisher: LogPublisher, reactor: Any) -> Callable[[], None]:
    """Bound the entries that a publisher passes to its present observers. Returns a function that removes the bound."""
    observers = list(publisher._observers)  # there is no public way to find the observers that `twistd` has added
    bounded = BoundedLog(LogPublisher(*observers), reactor)
    for observer in observers:
        publisher.removeObserver(observer)
    publisher.addObserver(bounded)

    def unbound() -> None:
        bounded.flush()
        publisher.removeObserver(bounded)
        for observer in observers:
            publisher.addObserver(observer)

    return unbound


@implementer(ILogObserver)
class BoundedLog:
    """Passes on the first entries of a kind in each period, and at its end the number of the others."""

    def __init__(self, pass_on: ILogObserver, reactor: Any) -> None:
        self._pass_on = pass_on
        self._reactor = reactor
        self._log = Logger("twisted_chat", observer=pass_on)
        self._seen: Counter[object] = Counter()
        self._left_out: Counter[str] = Counter()
        self._lock = Lock()
        """A lock, since threads log, too."""
        self._period: IDelayedCall | None = None

    def __call__(self, event: LogEvent) -> None:
        kind = _kind(event)
        with self._lock:
            is_first = not self._seen
            self._seen[kind] += 1
            passes = self._seen[kind] <= event.get("most", MOST)
            if not passes:
                self._left_out[_name(event)] += 1
        if is_first:
            self._reactor.callFromThread(self._begin_period)
        if passes:
            self._pass_on(event)

    def _begin_period(self) -> None:
        self._period = self._reactor.callLater(SECONDS, self._end_period)

    def _end_period(self) -> None:
        self._period = None
        self.flush()

    def flush(self) -> None:
        """End the period now."""
        if self._period is not None:
            self._period.cancel()
            self._period = None
        with self._lock:
            left_out, self._left_out = self._left_out, Counter()
            self._seen.clear()
        for name, count in left_out.items():
            self._log.warn("… and {count} more in the last minute: {name}", count=count, name=name)


def _kind(event: LogEvent) -> object:
    """Return the key of an entry, which entries from the same place in the code have in common."""
    failure = event.get("log_failure")
    raised = (failure.type, *failure.frames[-1][:3]) if failure is not None and failure.frames else None
    return event.get("log_namespace"), event.get("log_format"), raised


def _name(event: LogEvent) -> str:
    """Return a name for a kind of entry, without anything that a peer has sent."""
    failure = event.get("log_failure")
    what = event.get("log_format") if failure is None else f"{failure.type.__name__}"
    return f"[{event.get('log_namespace', '-')}] {what}"

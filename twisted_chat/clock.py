"""Two clocks: the time of day, which can be set, and a steady one for timers.

Twisted takes both from `time.time`. When the time of day is set back by an hour, every timer would wait an hour longer:
for the next message to a bare client, the next page of a member, the next request under a rate limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def keep_steady(reactor: Any) -> None:
    """Give a reactor's timers a steady clock, so that they are not affected when the time of day is set."""
    if not hasattr(reactor, "time_of_day"):
        begin = reactor.seconds() - time.monotonic()  # so that the timers that exist already stay due at the same time
        reactor.time_of_day = reactor.seconds
        reactor.seconds = lambda: begin + time.monotonic()


def steady(reactor: Any) -> Callable[[], float]:
    """Return a steady clock in seconds, from any time on: the cheapest one for a reactor that was made steady."""
    return time.monotonic if hasattr(reactor, "time_of_day") else reactor.seconds


def milliseconds(reactor: Any) -> int:
    """Return the time of day, in milliseconds since 1970. A reactor without a steady clock has one clock for both."""
    return int(getattr(reactor, "time_of_day", reactor.seconds)() * 1000)

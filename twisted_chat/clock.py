"""Two times: that of day, which somebody may set, and that by which timers go, which nobody may.

Twisted takes both from `time.time`. Where the clock is set back by an hour, whatever waits for its time would wait an
hour longer: a bare client for its next message, a member for its next page, a rate for its next request.
"""

from __future__ import annotations

import time
from typing import Any


def keep_steady(reactor: Any) -> None:
    """Let a reactor's timers go on at their pace when the clock is set."""
    if not hasattr(reactor, "time_of_day"):
        begin = reactor.seconds() - time.monotonic()  # so that what is due already stays due when it was
        reactor.time_of_day = reactor.seconds
        reactor.seconds = lambda: begin + time.monotonic()


def milliseconds(reactor: Any) -> int:
    """Tell the time of day, in milliseconds since 1970. A reactor that is not kept steady has one time for both."""
    return int(getattr(reactor, "time_of_day", reactor.seconds)() * 1000)

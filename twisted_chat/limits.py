"""Rates and counts, of a session and of an address.

Each limit is a number with a name, its reason beside it, and what a client may know of them is in `for_clients`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from . import messages, names
from .messages import WireError

MAX_ERRORS: Final = 100
"""Errors in a row after which a connection is ended: it is not speaking this protocol."""

NOT_ITS_FAULT: Final = frozenset(("rate-limited", "unavailable", "full"))
"""Codes of errors that do not count: the same request will be right later."""

MAX_WAITING: Final = 256
"""Requests of one session that wait for the one in front of them; then nothing more is read from it for a while."""

MAX_UNSETTLED: Final = 512
"""Messages of one session on their way into the log; then nothing more is read from it. A log that is slow for once
must not fill the memory: these are 8 MB at most."""

MAX_OWED: Final = 2**16
"""Bytes of answers that one session has asked for and does not read, or has not been written in this turn; then the
next request waits."""

MAX_OWN: Final = 2**14
"""Messages that one session says in a room while it reads nothing of it; 8 bytes each are remembered."""


MAX_TOPIC: Final = 256
"""Characters of a topic, and of a farewell: a long line of a terminal, and a list of rooms stays readable."""


TOLD: Final = 20
"""Others who are told of a coming, a going, a nick or a topic for the price of one more request. What one client makes
the server write at once is then bounded: by `burst` times as many, some 20 ms."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the one who runs the server may set."""

    rate: float = 200.0
    """Requests/s of one session, in the long run: a hundred times what a person does, and a busy bridge's."""
    burst: int = 2_000
    """Requests that one session may send at once: a paste, or what gathered while its connection was away."""
    connections: int = 100_000
    """Connections in all; the process's limit of open files may be lower."""
    connections_per_address: int = 1_000
    """Connections from one address: a school or an office behind one."""
    rooms_per_session: int = 500
    """Rooms that one session may be in: each costs memory while it is."""

    def for_clients(self) -> dict[str, int]:
        """List what `welcome` tells."""
        return {
            "object": messages.MAX_OBJECT,
            "id": messages.MAX_ID,
            "topic": MAX_TOPIC,
            "page": messages.MAX_PAGE,
            "nick": names.MAX_NICK,
            "room": names.MAX_ROOM,
            "rooms": self.rooms_per_session,
            "burst": self.burst,
            "rate": int(self.rate),
        }


class Bucket:
    """A token bucket: `burst` at once, `rate`/s in the long run. A rate of 0 is no limit."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, limits: Limits, now: float) -> None:
        self._rate = limits.rate
        self._burst = self._tokens = float(limits.burst)
        self._at = now

    def take(self, clock: Callable[[], float]) -> None:
        """Take one token; raises `WireError` (`rate-limited`) where there is none. The clock tells seconds."""
        if self._tokens < 1:
            if not self._rate:
                return
            now = clock()
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                raise self._refusal()
        self._tokens -= 1

    def charge(self, told: int) -> None:
        """Pay for what a request made the server tell others: one token for `TOLD` of them, be it on credit."""
        self._tokens -= told // TOLD

    def _refusal(self) -> WireError:
        retry = round((1 - self._tokens) / self._rate + 0.001, 3)  # half a millisecond too late at least
        return WireError("rate-limited", f"that is too fast: {self._rate:g} a second are served", retry=retry)

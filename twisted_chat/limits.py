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

MAX_WAITING: Final = 64
"""Requests of one participant that wait for their turn; at this number, reading from it stops. A client over UDP may
have as many under way."""

MAX_WAITING_BYTES: Final = 2**16
"""Bytes of requests that wait for their turn, as they came: what one read of a socket brings."""

MAX_UNSETTLED: Final = 512
MAX_UNSETTLED_BYTES: Final = 2**18
"""Messages of one participant, and characters in them, on their way into the log; at these numbers, reading from it
stops. A log that is slow for once must not fill the memory: this is 1 MB at most."""

QUANTUM: Final = 64
"""Work of one participant in one turn of the reactor, in requests of some 10 microseconds; then others have their turn.
A client over UDP may have as many requests under way. A kilobyte of a request counts as one more, and so do two
kilobytes of an answer, and 20 others who are told."""

WORK_A_TURN: Final = 256
"""Work of one turn, in requests, before those who want more have to line up: 3 ms, for which everybody else waits."""

LEAST_QUANTUM: Final = 8
"""The work that everybody may make in any turn: a person, or a hello with a join, never waits behind a flood."""

MAX_OWED: Final = 2**16
"""Bytes of answers that one session has not read, or was not written in this turn; at this number, its next request
waits."""

MAX_OWN: Final = 2**14
"""Messages that one session may say in a room without reading from it; 8 bytes are remembered for each."""


MAX_TOPIC: Final = 256
"""Characters of a topic, and of a farewell: a long line of a terminal, and a list of rooms stays readable."""


TOLD: Final = 20
"""Others who are told of a coming, a going, a nick or a topic for the price of one more request, which is as much work.
The others are counted over all rooms, and the price is rounded up."""

REST_SECONDS: Final = 0.1
"""The least time for which nothing is read from whoever has used up its tokens: at the usual rate it then has 20 of
them, so that few of a flood's requests are refused, and reading is seldom stopped for one token."""

MAX_REST_SECONDS: Final = 1.0
"""The longest time for which nothing is read from it, even if it owes more tokens: the end of a connection has to be
noticed."""


MAX_REFUSED: Final = 32
"""Connections above the limit that are told `full`. More are closed without a word: each takes one of the files that
the process may open, and the store and the log need some too."""


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
    bare: bool = True
    """True where the oldest clients are served, which do not say hello."""
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

    def change(self, limits: Limits) -> None:
        """Go by other limits from now on, since it is known whose tokens these are."""
        self._rate = limits.rate
        self._tokens += limits.burst - self._burst
        self._burst = float(limits.burst)

    def take(self, clock: Callable[[], float]) -> None:
        """Take one token; raises `RateLimited` where there is none. The clock tells seconds."""
        if self._tokens < 1:
            if not self._rate:
                return
            now = clock()
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                raise RateLimited(self._rate, (1 - self._tokens) / self._rate)
        self._tokens -= 1

    def charge(self, told: int) -> int:
        """Pay for what a request made the server tell others, be it on credit; returns the price in tokens."""
        price = -(-told // TOLD)
        self._tokens -= price
        return price


class RateLimited(WireError):
    """A request met an empty bucket. `seconds` later it is served."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.seconds = round(max(REST_SECONDS, seconds) + 0.001, 3)  # half a millisecond too late at least
        text = f"that is too fast: {rate:g} requests a second are served; try again in {self.seconds:g} s"
        super().__init__("rate-limited", text, retry=self.seconds)

"""Sending to a client: datagrams are numbered, paced, and kept within a window.

A datagram of 40 bytes may ask for megabytes, and its sender may be gone. So there is a window: the number of datagrams
that are sent before something is heard from the client. The server pings within each window, and every client answers
a ping.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from ...messages import Message, PingSent
from .datagram import Datagram

RATE: Final = 1000.0
"""Datagrams/s to one session: 10 Mbit/s at most. A client that is behind reads the rest from the log later."""

BURST: Final = 64
"""Datagrams sent at once: a quarter of what the default receive buffer of a socket holds."""

FIRST_WINDOW: Final = 16
"""The first window, in datagrams: 19 kB, about what TCP sends first (RFC 6928). A sign of life doubles the window if at
least half of it was used."""

WINDOW: Final = 256
"""The largest window, in datagrams: 300 kB. At the full rate, 200 datagrams are in flight over 200 ms."""

QUESTIONS: Final = 4
"""Pings in each window. While the answer to the first one is on its way, three quarters of the window are left."""


class Sender:
    """Sends datagrams at a pace, within a window. Times are in seconds on any clock."""

    def __init__(self, send: Callable[[bytes], bool], now: float) -> None:
        """`send` returns False if a datagram cannot be sent now."""
        self.waiting: deque[Datagram] = deque()
        """The datagrams that wait to be sent, in order."""
        self._send = send
        self._count = 0
        """The number of datagrams sent so far."""
        self._allowed = float(BURST)
        """The number of datagrams that the pace allows now."""
        self._refilled = now
        self._window = FIRST_WINDOW
        self._unheard = 0
        """The number of datagrams since the client was last heard, without pings."""
        self._last: Datagram | None = None
        """The datagram that was sent last, without pings."""

    @property
    def blocked(self) -> bool:
        """True while the window is used up: nothing is sent before the client is heard."""
        return self._unheard >= self._window

    def heard(self) -> None:
        """Called when something was received from the client. The window opens again."""
        if self._unheard * 2 >= self._window:
            self._window = min(WINDOW, self._window * 2)
        self._unheard = 0

    def send(self, now: float) -> bool:
        """Send as many datagrams as pace and window allow now.

        Returns True if the client has to be pinged in case nothing else follows: a message was sent, which may get
        lost, or the window has been used up.
        """
        self._refill(now)
        doubtful = False
        waiting = self.waiting
        while waiting and not self.blocked and self._allowed >= 1 and self._send_now(waiting[0]):
            self._last = datagram = waiting.popleft()
            self._allowed -= 1
            self._unheard += 1
            if self._unheard % (self._window // QUESTIONS) == 0:
                self.ask()
            doubtful = doubtful or self.blocked or isinstance(datagram.reply, Message)
        return doubtful

    def ask(self) -> None:
        """Ping the client, before all waiting datagrams."""
        self._send_now(Datagram(PingSent(), 0))

    def send_again(self, now: float) -> None:
        """Send the last datagram again, if the pace allows it: it may have got lost, and no other one follows."""
        self._refill(now)
        if self._last and self._allowed >= 1 and self._send_now(self._last):
            self._allowed -= 1

    def _refill(self, now: float) -> None:
        self._allowed = min(float(BURST), self._allowed + (now - self._refilled) * RATE)
        self._refilled = now

    def _send_now(self, datagram: Datagram) -> bool:
        sent = self._send(datagram.numbered(self._count + 1))
        self._count += sent
        return sent

"""What goes to a client: one datagram after another, each with its number, at a pace, within a window.

A datagram of 40 bytes may ask for megabytes, and who asked may be gone. So the client is sent so many datagrams and no
more, the window, until something is heard from it. While it takes what it is sent, the server asks it for a sign of
life now and then, which every client answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from ...messages import Message, PingSent
from .datagram import Datagram

RATE: Final = 1000.0
"""Datagrams/s to one session: 10 Mbit/s at most. What is said faster than this is read from the log later."""

BURST: Final = 64
"""Datagrams at once: a quarter of what the receive buffer of a socket takes if nobody sets it."""

FIRST_WINDOW: Final = 16
"""Datagrams to a client that was not heard yet: 19 kB, about what TCP sends first (RFC 6928). A sign of life doubles
the window where half of it was needed."""

WINDOW: Final = 256
"""Datagrams to a client that is silent, at most: 300 kB. A round trip of 200 ms takes 200 of them at the full rate."""

QUESTIONS: Final = 4
"""How often the client is asked within a window: with the first answer under way, three quarters are left to send."""


class Sender:
    """Sends what waits. Times are in seconds; only differences count."""

    def __init__(self, send: Callable[[bytes], bool], now: float) -> None:
        """Begin with number 1. `send` says whether a datagram could be sent now."""
        self.waiting: deque[Datagram] = deque()
        """What is to be sent, in order."""
        self._send = send
        self._count = 0
        """How many datagrams were sent."""
        self._allowed = float(BURST)
        """How many may be sent now."""
        self._refilled = now
        self._window = FIRST_WINDOW
        self._unheard = 0
        """How many were sent, questions apart, since the client was heard."""
        self._last: Datagram | None = None
        """The datagram that was sent last, questions apart."""

    @property
    def blocked(self) -> bool:
        """True while nothing more is sent before a sign of life."""
        return self._unheard >= self._window

    def heard(self) -> None:
        """Take a sign of life: open the window again."""
        if self._unheard * 2 >= self._window:
            self._window = min(WINDOW, self._window * 2)
        self._unheard = 0

    def send(self, now: float) -> bool:
        """Send as much as is allowed now.

        Returns whether the client is to be asked for a sign of life if nothing follows: a message was sent, which may
        have got lost, or the window is used up.
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
        """Ask the client for a sign of life, whatever waits."""
        self._send_now(Datagram(PingSent(), 0))

    def send_again(self, now: float) -> None:
        """Send once more what was sent last, as far as the pace allows: it may have got lost, and nothing follows."""
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

"""What goes to a client: one datagram after another, each with its number, at a pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

RATE: Final = 1000.0
"""Datagrams/s to one session: 10 Mbit/s at most. What is said faster than this is read from the log later."""

BURST: Final = 64
"""Datagrams at once: a quarter of what the receive buffer of a socket takes if nobody sets it."""


class Sender:
    """Sends what waits. Times are in seconds; only differences count."""

    def __init__(self, send: Callable[[bytes], bool], now: float) -> None:
        """Begin with number 1. `send` says whether a datagram could be sent now."""
        self.waiting: deque[bytes] = deque()
        """Objects that are to be sent, in order."""
        self._send = send
        self._count = 0
        """How many datagrams were sent."""
        self._allowed = float(BURST)
        """How many may be sent now."""
        self._refilled = now
        self._last = b""
        """What was sent last."""

    def send(self, now: float) -> bool:
        """Send as much as is allowed now; say whether a message was among it."""
        self._allowed = min(float(BURST), self._allowed + (now - self._refilled) * RATE)
        self._refilled = now
        message = False
        waiting = self.waiting
        while waiting and self._allowed >= 1 and self._send_now(waiting[0]):
            self._last = obj = waiting.popleft()
            self._allowed -= 1
            message = message or obj.startswith(b'{"type":"",')
        return message

    def send_again(self) -> None:
        """Send once more what was sent last, at once: it may have got lost, and nothing comes after it."""
        if self._last:
            self._send_now(self._last)

    def _send_now(self, obj: bytes) -> bool:
        sent = self._send(b'%s,"n":%d}' % (obj[:-1], self._count + 1))
        self._count += sent
        return sent

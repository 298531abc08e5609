"""Heartbeat and probes: a silent client may be gone, or the last message to it may have got lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

PING_SECONDS: Final = 20.0
"""Seconds of silence after which the client is pinged, and the time until the next ping: a ping may get lost."""

PROBES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds between the last message of a room and its first probe, and between probes: pings that stop once the client
is heard. The number of a ping tells the client if a message before it got lost; otherwise only the next one would."""


class Silence:
    """Measures how long a client has been silent, and times the probes after a message."""

    def __init__(self, clock: Any, silent: Callable[[float], None], probe: Callable[[], bool]) -> None:
        """Start the timers.

        `silent` is called every `PING_SECONDS` with the seconds of silence, if these are at least as many. `probe`
        pings the client and returns True; it returns False, and is called again, if something else is about to be sent.
        """
        self._clock = clock
        self._silent = silent
        self._probe = probe
        self._heard: float = clock.seconds()
        self._next_check: IDelayedCall = clock.callLater(PING_SECONDS, self._check)
        self._probed = 0
        """The number of probes since the last message."""
        self._probe_call: IDelayedCall | None = None

    def heard(self) -> None:
        """Called when something was received from the client."""
        self._heard = self._clock.seconds()
        if self._probed:
            self._probed = len(PROBES)

    def said(self) -> None:
        """Called when a message was sent: the probes start again."""
        self._probed = 0
        self._probe_later()

    def end(self) -> None:
        """Stop the timers."""
        for call in (self._next_check, self._probe_call):
            if call is not None and call.active():
                call.cancel()

    def _check(self) -> None:
        self._next_check = self._clock.callLater(PING_SECONDS, self._check)
        silence = self._clock.seconds() - self._heard
        if silence >= PING_SECONDS:
            self._silent(silence)

    def _probe_later(self) -> None:
        if self._probed < len(PROBES):
            seconds = PROBES[self._probed]
            if self._probe_call is not None and self._probe_call.active():
                self._probe_call.reset(seconds)
            else:
                self._probe_call = self._clock.callLater(seconds, self._probe_now)

    def _probe_now(self) -> None:
        if self._probed < len(PROBES):
            self._probed += self._probe()
        self._probe_later()

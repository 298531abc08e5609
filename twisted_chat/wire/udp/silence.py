"""Watching over a client's silence: it may be gone, or the last thing that was sent to it may have got lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

PING_SECONDS: Final = 20.0
"""After so much silence the server asks, twice, since a datagram may get lost."""

PROBES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds after the last message of a room after which the client is asked whether it is there, until it is heard: it
learns from the number of the question whether a message has got lost. Otherwise only the next one would tell."""


class Silence:
    """Says when a client has been silent for long, and when it is to be asked after a message."""

    def __init__(self, clock: Any, silent: Callable[[float], None], probe: Callable[[], bool]) -> None:
        """Begin to watch.

        `silent` hears each `PING_SECONDS` for how many seconds nothing was heard, if that is more. `probe` asks the
        client for a sign of life, and says whether it did: not where something else is about to be sent.
        """
        self._clock = clock
        self._silent = silent
        self._probe = probe
        self._heard: float = clock.seconds()
        self._look_call: IDelayedCall = clock.callLater(PING_SECONDS, self._look)
        self._probed = 0
        """How often the client was asked since the last message."""
        self._probe_call: IDelayedCall | None = None

    def heard(self) -> None:
        """Hear that something came from the client."""
        self._heard = self._clock.seconds()
        if self._probed:
            self._probed = len(PROBES)

    def said(self) -> None:
        """Hear that a message was sent to it."""
        self._probed = 0
        self._probe_later()

    def end(self) -> None:
        """Watch no more."""
        for call in (self._look_call, self._probe_call):
            if call is not None and call.active():
                call.cancel()

    def _look(self) -> None:
        self._look_call = self._clock.callLater(PING_SECONDS, self._look)
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

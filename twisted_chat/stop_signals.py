"""The signals that stop the server, from the first line of its code on: SIGINT, SIGTERM and SIGHUP.

Twisted handles the first two once its reactor runs. Before that Python shows a traceback, or the process is killed and
leaves its files behind; and a terminal that is closed (SIGHUP) kills it at any time, with nobody told. SIGHUP stays
ignored where it is, as under `nohup`.

This module imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class StopSignals:
    """Stops the server as far as it has come: nothing is open, or it starts, or it runs."""

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        """Make one that ends the process with `leave` while nothing is open.

        `os._exit` it is, since the modules that are loaded then catch exceptions, and one of those would be theirs.
        """
        self.received = 0
        """The signal that was received after `start`, or 0."""
        self._leave: Callable[[int], object] | None = leave
        self._wake: Callable[[], object] | None = None

    def catch(self) -> None:
        """Handle the signals from now on, where nobody else does."""
        for number, default in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        ):
            if signal.getsignal(number) == default:
                signal.signal(number, self.receive)

    def start(self) -> None:
        """Keep in mind what is received from now on: there will be something to close again."""
        self._leave = None

    def run(self, reactor: Any, stop: Callable[[int], object]) -> None:
        """Have the reactor call `stop` with the signal, soon, if one was received or is."""
        self._wake = lambda: reactor.callFromThread(stop, self.received)
        if self.received:
            self._wake()

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Called for each signal."""
        if self._leave is not None:
            self._leave(0)
        elif not self.received:
            self.received = number
            if self._wake is not None:
                self._wake()


STOP_SIGNALS = StopSignals()
"""Those of this process."""

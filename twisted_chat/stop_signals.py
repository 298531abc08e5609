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
    """The handler of signals that stops the server in the way that fits its state: loading, starting or running."""

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        """Make one that ends the process with `leave` while nothing is open.

        `leave` is `os._exit`, since the modules that are being loaded catch exceptions, and would catch this one too.
        """
        self.received = 0
        """The signal that was received after `start`, or 0."""
        self._leave: Callable[[int], object] | None = leave
        self._wake: Callable[[], object] | None = None

    def catch(self) -> None:
        """Handle the signals from now on, unless somebody else does."""
        for number, default in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        ):
            if signal.getsignal(number) == default:
                signal.signal(number, self.receive)

    def start(self) -> None:
        """Remember the signals that are received from now on, since there will be something to close."""
        self._leave = None

    def run(self, reactor: Any, stop: Callable[[int], object]) -> None:
        """Let the reactor call `stop` with a signal that was or will be received."""
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
"""The signals of this process."""

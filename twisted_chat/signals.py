"""The signals of the server, from the first line of its code on.

SIGINT and SIGTERM stop it. SIGHUP lets it read its files again: certificates are renewed and the log file is opened
anew, and nobody is disconnected. A kernel sends SIGHUP too when a terminal is closed; then there is nobody left to read
the log, and the server stops. SIGHUP stays ignored where it is, as under `nohup`.

Twisted handles SIGINT and SIGTERM once its reactor runs. Before that Python shows a traceback, or the process is killed
and leaves its files behind. SIGHUP would kill it at any time, without telling anybody.

This module imports nothing that takes time.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class Signals:
    """The handler of signals, which does what fits the state of the server: loading, starting or running."""

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        """Make one that ends the process with `leave` while nothing is open.

        `leave` is `os._exit`, since the modules that are being loaded catch exceptions, and would catch this one too.
        """
        self.received = 0
        """The signal that stops the server, if it was received after `start`, or 0."""
        self._leave: Callable[[int], object] | None = leave
        self._terminals: list[int] = []
        """The standard streams that were a terminal at first."""
        self._reload_asked = False
        """True if SIGHUP was received before the reactor ran."""
        self._wake_to_stop: Callable[[], object] | None = None
        self._wake_to_reload: Callable[[], object] | None = None

    def catch(self) -> None:
        """Handle the signals from now on, unless somebody else does."""
        self._terminals = [descriptor for descriptor in range(3) if os.isatty(descriptor)]
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

    def run(self, reactor: Any, stop: Callable[[int], object], reload: Callable[[], object]) -> None:
        """Let the reactor call `stop` with a signal, and `reload` for SIGHUP, also for what was received before."""
        self._wake_to_stop = lambda: reactor.callFromThread(stop, self.received)
        self._wake_to_reload = lambda: reactor.callFromThread(reload)
        if self._reload_asked:
            self._wake_to_reload()
        if self.received:
            self._wake_to_stop()

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Called for each signal."""
        if number == signal.SIGHUP and not any(map(has_hung_up, self._terminals)):
            self._reload_asked = True
            if self._wake_to_reload is not None:
                self._wake_to_reload()
        elif self._leave is not None:
            self._leave(0)
        elif not self.received:
            self.received = number
            if self._wake_to_stop is not None:
                self._wake_to_stop()


def has_hung_up(descriptor: int) -> bool:
    """True if the other end of a terminal is closed, such as its window or the connection of `ssh`."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is always told
    return any(event & select.POLLHUP for _, event in poll.poll(0))


SIGNALS = Signals()
"""The signals of this process."""

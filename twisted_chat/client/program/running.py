"""One run of the program: the signals that end it, and its exit status."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure

from ...command_line import FAILED, ended_by
from .stdio import can_watch, is_gone
from .trouble import complain

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals on which it leaves: without waiting for acks, but with a goodbye, and with the terminal restored."""

INPUT: Final = 0


class Run:
    """A run, from the first turn of the reactor to the last."""

    def __init__(self, reactor: Any, start: Callable[[], Deferred[int]]) -> None:
        """`start` returns a Deferred with the exit status. Cancelling it leaves."""
        self._reactor = reactor
        self._start = start
        self._talking: Deferred[int] = Deferred()
        self._status = FAILED
        self._signal = 0
        """The signal that has ended the run."""
        self._on_terminal = os.isatty(INPUT)

    def run(self) -> int:
        """Run the reactor, and return the exit status."""
        handlers = {number: signal.getsignal(number) for number in ENDING}
        self._reactor.callWhenRunning(self._begin)
        try:
            self._reactor.run()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if self._reactor.threadpool is not None:
            self._reactor.threadpool.stop()  # `crash` leaves its threads, and Python would wait for them for ever
        return self._status

    def end(self, number: int) -> None:
        """Leave as on this signal. The second time, end at once, without waiting for anything."""
        if not self._signal:
            self._signal = number
            self._status = ended_by(number)
            self._talking.cancel()
        elif number != signal.SIGHUP:  # the kernel may send it, and `watch_terminal` call it
            self._reactor.crash()

    def _begin(self) -> None:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: self._reactor.callFromThread(self.end, number))
        watch_terminal(INPUT, lambda: self._reactor.callFromThread(self.end, signal.SIGHUP))
        self._talking = maybeDeferred(self._start)
        self._talking.addErrback(self._show).addCallback(self._done)

    def _show(self, failure: Failure) -> int:
        if not failure.check(CancelledError):
            complain(failure.getTraceback())
        return FAILED

    def _done(self, status: int) -> None:
        if not self._signal:
            # The end of input may be seen before the hang-up that causes it.
            hung_up = self._on_terminal and is_gone(INPUT)
            self._status = ended_by(signal.SIGHUP) if hung_up else status
        self._reactor.stop()


def watch_terminal(descriptor: int, is_gone: Callable[[], object]) -> None:
    """Call a function, from a thread, if this is a terminal and its window is closed or its line breaks.

    The kernel sends SIGHUP then. A program that ignores it (`nohup`) would stay a member for ever.
    """

    def wait() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # reports a hang-up, and no typed key
        poll.poll()
        is_gone()

    if os.isatty(descriptor) and can_watch(descriptor):
        Thread(target=wait, name="watch the terminal", daemon=True).start()


def open_standard_streams() -> None:
    """Open standard input, output and error to the null device if the program was started with one of them closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)

"""Talk: `python -m twisted_chat.client`. The reactor is asyncio's, so that interfaces made for asyncio can be used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet import asyncioreactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure

from ..messages import WireError
from .program import lines
from .program.config import BadConfig
from .program.options import Options, read_options
from .program.trouble import complain

INTERRUPTED: Final = 130
"""The exit status of a program that was interrupted, as shells have it."""


def main(arguments: Sequence[str]) -> int:
    """Run the program; gives the exit status."""
    try:
        options = read_options(arguments)
    except WireError as error:
        complain(str(error))
        return 1
    except BadConfig as error:
        complain(str(error))
        return 2
    _open_all()
    asyncioreactor.install()
    from twisted.internet import reactor

    blocking = [os.get_blocking(descriptor) for descriptor in (0, 1, 2)]
    try:
        return _run(reactor, lambda: _interface(options, os.environ)(reactor, options))
    finally:
        # A terminal is shared with the shell, which reads and writes it as it was.
        for descriptor, was in enumerate(blocking):
            os.set_blocking(descriptor, was)


def _interface(options: Options, environment: Mapping[str, str]) -> Callable[[Any, Options], Deferred[int]]:
    """Choose the whole screen, where there is one that can be written to at any place, or else lines."""
    dumb = environment.get("TERM", "") in ("", "dumb", "unknown")
    if options.plain or options.bare or dumb or not (os.isatty(0) and os.isatty(1)):
        return lines.start
    from . import terminal  # only who looks at it loads it

    return terminal.start


def _run(reactor: Any, start: Callable[[], Deferred[int]]) -> int:
    status = INTERRUPTED
    talking: Deferred[int] = Deferred()

    def begin() -> None:
        nonlocal talking
        talking = maybeDeferred(start)
        talking.addErrback(show).addCallback(done)

    def show(failure: Failure) -> int:
        if not failure.check(CancelledError):
            complain(failure.getTraceback())
        return 1

    def done(result: int) -> None:
        nonlocal status
        if not interrupted:
            status = result
            reactor.stop()

    interrupted = False

    def interrupt() -> Deferred[int]:
        """Leave, without waiting for acks, before the reactor closes what is open."""
        nonlocal interrupted
        interrupted = True
        talking.cancel()
        return talking

    reactor.addSystemEventTrigger("before", "shutdown", interrupt)
    reactor.callWhenRunning(begin)
    reactor.run()
    return status


def _open_all() -> None:
    """Have standard input, output and error, even where whoever started this closed them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

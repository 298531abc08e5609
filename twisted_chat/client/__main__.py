"""`python -m twisted_chat.client`, or `twisted-chat talk`: the program that a person runs.

Its modules are imported once it runs. That takes a quarter of a second, in which an interrupt has to be quiet, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..interrupts import end_quietly

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from .program.options import Options

COMMAND: Final = "python -m twisted_chat.client"


def main(arguments: Sequence[str] | None = None, command: str = COMMAND) -> int:
    """Run the program with the arguments, by default those of the process, and return the exit status.

    `command` is the typed command before them, for the help.
    """
    end_quietly()
    from ..command_line import MISUSED, prepare_streams
    from .program.config import BadConfig
    from .program.options import read_options
    from .program.running import Run, open_standard_streams
    from .program.trouble import complain

    open_standard_streams()
    prepare_streams()
    try:
        options = read_options(sys.argv[1:] if arguments is None else arguments, command)
    except BadConfig as error:
        complain(f"{command}: {error}")
        return MISUSED
    # The reactor is asyncio's, so that interfaces made for asyncio can be used.
    from twisted.internet import asyncioreactor

    asyncioreactor.install()
    from twisted.internet import reactor

    start = interface(options, os.environ)
    return Run(reactor, lambda: start(reactor, options)).run()


def interface(options: Options, environment: Mapping[str, str]) -> Callable[[Any, Options], Deferred[int]]:
    """Return the whole screen for a terminal that can be written to at any place, or else the lines."""
    dumb = environment.get("TERM", "") in ("", "dumb", "unknown")
    if options.plain or options.bare or dumb or not (os.isatty(0) and os.isatty(1)):
        from .program import plain

        return plain.start
    from . import terminal

    return terminal.start


if __name__ == "__main__":
    sys.exit(main())

"""`twisted-chat top`: shows what a running server does, and goes on showing it.

On a terminal it uses the whole screen. In a pipe, and with `--once`, it prints the figures once.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Final

from . import Command, Problem

SECONDS: Final = 2.0
"""Seconds between two readings: a person reads no faster, and a server spends a thousandth of its time on them."""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--status",
        metavar="PLACE",
        default="14990",
        help="place of the server's own option --status: a port, HOST:PORT, a URL, or the path of a Unix socket "
        "[default: 14990]",
    )
    parser.add_argument("--status-token", metavar="FILE", help="file with the secret for it, as the server has it")
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust for https, in PEM [default: the system's]")
    parser.add_argument(
        "--interval", metavar="SECONDS", type=_seconds, default=SECONDS, help="time between two readings [default: 2]"
    )
    parser.add_argument("--once", action="store_true", help="print the figures of one interval, and end")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 3600:
        raise ArgumentTypeError(f"takes a number of seconds from 0.1 to 3600, not {text!r}")
    return value


def run(options: Namespace, sleep: Callable[[float], object] = time.sleep) -> int:
    """Run the command."""
    from .display import Monitor, Screen  # here, since the other commands need none of what they import
    from .monitor import Status, read_token

    try:
        token = read_token(options.status_token)
    except OSError as error:
        raise Problem(f"--status-token: {options.status_token} cannot be read: {error.strerror}") from None
    monitor = Monitor(Status(options.status, token, options.ca))
    monitor.read()
    if options.once or not sys.stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        sleep(options.interval)
        monitor.read()
        print("\n".join("".join(text for _, text in line).rstrip() for line in monitor.lines()))
    else:
        Screen(monitor, options.interval).run()
    return 0


TOP: Final = Command("top", "Show what a running server does, from its --status.", _arguments, run)

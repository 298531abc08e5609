"""Interrupts of a program that is starting. A command imports this module first, so it is small."""

from __future__ import annotations

import signal


def end_quietly() -> None:
    """End the program at once and without a traceback on an interrupt, until it handles interrupts itself."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

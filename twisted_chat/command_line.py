"""The parts that all commands share: how they report a wrong option, and their exit statuses."""

from __future__ import annotations

import codecs
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Final, NoReturn

FAILED: Final = 1
"""The exit status of a command that could not do what was asked."""

MISUSED: Final = 2
"""The exit status if the command line or a configuration file is wrong."""

PIPE_CLOSED: Final = 128 + signal.SIGPIPE
"""The exit status if nobody reads the output any more, as a shell reports it."""


def ended_by(number: int) -> int:
    """The exit status of a program that a signal has ended, as a shell reports it."""
    return 128 + number


def prepare_streams() -> None:
    """Let the standard streams take any text, whatever the locale or `PYTHONIOENCODING` is.

    A locale such as `C` means ASCII, where the terminal nearly always means UTF-8, of which ASCII is a part. Characters
    that another encoding does not have are escaped: names of rooms and of files may have them.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # it is None if the program was started with it closed
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if is_ascii else stream.encoding, errors="backslashreplace")


@contextmanager
def interrupts() -> Iterator[None]:
    """A context in which an interrupt raises `KeyboardInterrupt`, so that the program can clean up."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Terminated(BaseException):
    """A signal asks the program to end: SIGTERM, or SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def terminations() -> Iterator[None]:
    """A context in which a signal that would end the program raises `Terminated`, so that no unfinished file stays."""
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, _: object) -> NoReturn:
    raise Terminated(number)


class Parser(ArgumentParser):
    """An `ArgumentParser` that reports an error in one line, with how to get help, and does not print the usage."""

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").replace(": takes ", " takes ", 1)
        self.exit(MISUSED, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")

"""Programs in a real terminal: a pseudo-terminal of the kernel, and behind it pyte, which shows what a person sees."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
from collections.abc import Sequence
from typing import Any

import pyte
from twisted.internet import defer, reactor
from twisted.trial.unittest import TestCase

from .programs import Program


class Terminal(Program):
    """A program in a terminal. What it `says` is what is on the screen."""

    def __init__(
        self,
        test: TestCase,
        *command: str,
        columns: int = 80,
        rows: int = 24,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.raw = b""
        """All bytes that the program has written."""
        self._stream = pyte.ByteStream(self.screen)
        self._more = {"TERM": "xterm-256color", "NO_COLOR": "", **(environment or {})}
        master, self._slave = os.openpty()
        self._terminal = os.dup(master)  # what is asked of a terminal can be asked of this side of it, too
        test.addCleanup(os.close, self._terminal)
        self._master = master
        self.resize(columns, rows)
        self.modes = self.current_modes()
        """The terminal's modes before the program."""
        super().__init__(test, *command)

    def _spawn(self, command: Sequence[str], environment: dict[str, str], hand_over: dict[int, int]) -> None:
        pty: Any = (self._master, self._slave, os.ttyname(self._slave))
        reactor.spawnProcess(self, command[0], command, {**environment, **self._more}, str(self.home), usePTY=pty)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal; the program is told."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def current_modes(self) -> list[Any]:
        """The terminal's modes: echo, line editing, signals."""
        return termios.tcgetattr(self._terminal)

    async def says(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Wait until the screen matches so many times; returns the matches."""
        try:
            return await super().says(pattern, count)
        except defer.TimeoutError:
            raise AssertionError(f"there was no {pattern} on the screen:\n{self.output}") from None

    def types(self, text: str) -> None:
        """Press keys."""
        self.transport.write(text.encode())

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.raw += data
        self._stream.feed(data)
        self.output = "".join(f"{line.rstrip()}\n" for line in self.screen.display)
        self._look()

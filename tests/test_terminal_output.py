"""The terminal as it is written to, when it is gone."""

from __future__ import annotations

import os
from typing import TextIO

from prompt_toolkit.data_structures import Size
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.terminal.output import TerminalOutput


class FlushTests(SynchronousTestCase):
    def output(self, descriptor: int) -> tuple[TerminalOutput, TextIO]:
        stream = os.fdopen(descriptor, "w", encoding="utf-8")
        self.addCleanup(stream.close)
        return TerminalOutput(stream, lambda: Size(24, 80), term="xterm"), stream

    def test_a_terminal_that_is_gone_is_written_to_without_an_error(self) -> None:
        window, terminal = os.openpty()
        output, stream = self.output(terminal)
        os.close(window)
        for _ in range(2):
            output.write("hello")
            output.flush()
        stream.flush()

    def test_any_other_error_is_raised(self) -> None:
        output, stream = self.output(os.open("/dev/full", os.O_WRONLY))
        output.write("hello")
        self.assertRaises(OSError, output.flush)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        self.addCleanup(os.close, nowhere)
        os.dup2(nowhere, stream.fileno())  # so that it can be closed

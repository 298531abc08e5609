"""Lines from standard input, and to standard output and error. Reading and writing wait for the other side."""

from __future__ import annotations

import sys
from collections import deque
from typing import Any, Final

from ...messages import MAX_OBJECT
from ..answers import Answer, Waiters
from .stdio import Input, Output

MAX_LINE: Final = 4 * MAX_OBJECT
"""The number of bytes of a typed line that are kept: more than a message can have, so a longer line is refused."""

MAX_LINES: Final = 1000
"""The number of untaken lines above which standard input is not read."""

END: Final = None
"""The end of input, among lines."""


class Lines:
    """The lines that a program reads from its input and writes to its output and error."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self.output_ended: Answer[OSError | None] = Answer()
        """Fires when nothing can be printed any more: with the reason, or with None after `close`."""
        self.input_error: OSError | None = None
        """The error of the input, if it has not ended by itself."""
        self._buffer = b""
        self._lines: deque[str | None] = deque()
        self._reader: Answer[str | None] | None = None
        self._paused = False
        self._writers = Waiters()
        self._errors_ended: Answer[None] = Answer()
        self._input: Input
        self._outputs: tuple[Output, Output]

    @classmethod
    def standard(cls, reactor: Any) -> Lines:
        """Open the standard streams, with the encoding of the locale."""
        encodings = [stream.encoding for stream in (sys.stdin, sys.stdout, sys.stderr) if stream is not None]
        lines = cls(*encodings[:1])
        lines.open(
            Input(reactor, 0, lines.received, lines.input_has_ended),
            Output(reactor, 1, lines.has_space, lines.output_has_ended),
            Output(reactor, 2, lines.has_space, lines.errors_have_ended),
        )
        return lines

    def open(self, source: Input, output: Output, errors: Output) -> None:
        """Use these streams, which call the methods below."""
        self._input = source
        self._outputs = output, errors

    # Input

    def read(self) -> Answer[str | None]:
        """Read a line without its end. `END` is the end of input, and is read again and again."""
        if not self._lines:
            self._reader = Answer()
            return self._reader
        line = self._lines[0] if self._lines[0] is END else self._lines.popleft()
        if self._paused and not self._lines:
            self._paused = False
            self._input.resume()
        return Answer.given(line)

    @property
    def unread(self) -> int:
        """The number of lines that were received and not taken."""
        return sum(bool(line) for line in self._lines)

    def received(self, data: bytes) -> None:
        """Called with each chunk of input."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._put((self._buffer + line)[:MAX_LINE].decode(self._encoding, "replace").removesuffix("\r"))
            self._buffer = b""
        self._buffer = (self._buffer + rest)[:MAX_LINE]
        if len(self._lines) >= MAX_LINES and not self._paused:
            self._paused = True
            self._input.pause()

    def input_has_ended(self, error: OSError | None) -> None:
        """Called at the end of input."""
        self.input_error = error
        if self._buffer:
            self._put(self._buffer.decode(self._encoding, "replace"))
        self._put(END)

    def _put(self, line: str | None) -> None:
        if self._reader is None or line is END:
            self._lines.append(line)
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.callback(line)

    # Output

    def write(self, text: str) -> None:
        """Print a line."""
        self._outputs[0].write(self._encoded(text))

    def complain(self, text: str) -> None:
        """Print a line to standard error."""
        self._outputs[1].write(self._encoded(text))

    async def writable(self) -> None:
        """Wait until there is space to print more."""
        if any(output.full for output in self._outputs):
            await self._writers.add()

    async def close_output(self) -> None:
        """Close standard output once everything printed is written."""
        self._outputs[0].close()
        await self.output_ended

    async def close(self) -> None:
        """Close all three once everything is written."""
        self._input.close()
        await self.close_output()
        self._outputs[1].close()
        await self._errors_ended

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._encoding, "backslashreplace") + b"\n"

    def abandon(self) -> None:
        """Close now."""
        self._input.close()
        for output in self._outputs:
            output.abandon()

    def has_space(self) -> None:
        """Called when an output is no longer full."""
        self._writers.fire()

    def output_has_ended(self, error: OSError | None) -> None:
        """Called when standard output cannot be written to any more."""
        self._writers.fire()
        self.output_ended.callback(error)

    def errors_have_ended(self, error: OSError | None) -> None:
        """Called when standard error cannot be written to any more, which cannot be reported anywhere."""
        self._writers.fire()
        self._errors_ended.callback(None)

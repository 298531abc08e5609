"""Standard streams that a test holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted_chat.client.program.lines import Lines


class FakeOutput:
    """An output of `Lines` that takes everything at once, unless it is `full` or `stuck`."""

    def __init__(self, ended: Callable[[OSError | None], object]) -> None:
        self.data = b""
        self.full = False
        self.stuck = False
        """Its end waits for `flush`."""
        self.closed = False
        self.over = False
        self._ended = ended

    def write(self, line: bytes) -> None:
        if not self.closed:
            self.data += line

    def close(self) -> None:
        self.closed = True
        if not self.stuck:
            self.flush()

    def flush(self) -> None:
        self.end(None)

    def abandon(self) -> None:
        self.closed = True
        self.end(None)

    def end(self, error: OSError | None) -> None:
        """End, with the reason why nothing can be written any more."""
        if not self.over:
            self.closed = self.over = True
            self._ended(error)

    @property
    def printed(self) -> list[str]:
        return self.data.decode().splitlines()


class FakeStreams:
    """Standard input, output and error of `Lines`."""

    def __init__(self, lines: Lines) -> None:
        self.paused = self.closed = False
        self.output = FakeOutput(lines.output_has_ended)
        self.errors = FakeOutput(lines.errors_have_ended)
        lines.open(cast(Any, self), cast(Any, self.output), cast(Any, self.errors))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True

"""A line on the terminal that shows the progress of long work.

These forty lines spare everybody a dependency.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

PAUSE: Final = 0.1
"""Seconds between two updates of the line."""

BAR: Final = 20
"""The length of the bar, in characters."""


class Progress:
    """Counts what is done, and shows it on a terminal: `with Progress("messages", total) as progress`."""

    def __init__(
        self, what: str, total: int, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.what = what
        self.total = total
        """The number to be done; 0 if it is not known."""
        self.done = 0
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._shown = self._stream.isatty()
        self._start = self._last = clock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def add(self, count: int) -> None:
        """Count what was done, and update the line now and then."""
        self.done += count
        now = self._clock()
        if self._shown and now - self._last >= PAUSE:
            self._last = now
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{self._text(now - self._start)[:width]}")
            self._stream.flush()

    def _text(self, seconds: float) -> str:
        rate = self.done / seconds
        text = f"{self.done:,} {self.what}, {rate:,.0f}/s"
        if not self.total:
            return text
        part = min(1.0, self.done / self.total)
        left = (self.total - self.done) / rate if 0 < self.done < self.total else 0
        bar = "#" * round(part * BAR)
        return f"{part:4.0%} [{bar:.<{BAR}}] {text}, {left:,.0f} s left"

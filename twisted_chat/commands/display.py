"""What `twisted-chat top` shows of a server: lines of figures and plots, and the whole screen of a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from threading import Event, Thread
from typing import Final

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.styles import Style

from ..status import units
from . import Problem
from .monitor import Figures, Reading, Row, Status
from .table import cut, width_of

BARS: Final = "▁▂▃▄▅▆▇█"
"""The steps of a plot, eight to a line of text."""

WIDEST_PLOT: Final = 60
"""Columns of a plot, each of which is a reading: two minutes."""

LABEL: Final = 12
VALUE: Final = 10
"""Columns of the first two columns, where there is room for them."""

GAP: Final = 2
LEAST_DETAIL: Final = 8
"""Columns below which the rest of a line is left out."""

STYLE: Final = Style.from_dict({"good": "ansigreen bold", "bad": "ansired bold", "value": "bold", "plot": "ansicyan"})

Part = tuple[str, str]
"""A piece of a line: the name of its style, and its text."""


class Monitor:
    """What is shown of a server: its last figures, and those before as plots."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._last: Reading | None = None
        self._rows: Sequence[Row] = ()
        self._plots: dict[str, deque[float]] = {}
        self._error = ""

    def read(self) -> None:
        """Read the status once more. Raises `Problem`."""
        now = self._status.read()
        self._rows = Figures(self._last, now).rows()
        self._last = now
        for row in self._rows:
            if row.value is not None:
                self._plots.setdefault(row.label, deque(maxlen=WIDEST_PLOT)).append(row.value)

    def try_to_read(self) -> None:
        """Read the status once more; if there is no answer, show that, and the last figures."""
        try:
            self.read()
        except Problem as problem:
            self._error = str(problem)
        else:
            self._error = ""

    def lines(self, width: int | None = None) -> list[list[Part]]:
        """Return the lines to show, in at most `width` columns."""
        return [_cut(line, width) for line in (self._head(), [], *(self._line(row, width) for row in self._rows))]

    def _head(self) -> list[Part]:
        last = self._last
        assert last is not None
        if self._error:
            state = ("class:bad", self._error)
        elif last.trouble:
            state = ("class:bad", f"not ready: {last.trouble}")
        else:
            state = ("class:good", "ready")
        since = f", started {units.age(max(0.0, time.time() - last.started))} ago" if last.started else ""
        return [state, ("", f"{since}, twisted_chat {last.version} at {self._status.place}")]

    def _line(self, row: Row, width: int | None) -> list[Part]:
        label, value = LABEL, VALUE
        if width is not None and width < LABEL + VALUE:
            value = max(width - LABEL, width_of(row.text))  # all names fit into 20 columns
            label = max(1, width - value)
        name = cut(row.label, label - 1)
        line = [("", name + " " * (label - width_of(name))), ("class:value", f"{row.text:>{value}}")]
        left = None if width is None else width - LABEL - VALUE - 2 * GAP
        plot = self._plot(row, left)
        detail = row.detail
        if left is not None:
            detail = cut(detail, left - len(plot)) if left - len(plot) >= LEAST_DETAIL else ""
        line.append(("", " " * GAP + detail))
        if plot and left is not None:
            line += [("", " " * (GAP + left - len(plot) - width_of(detail))), ("class:plot", plot)]
        return line

    def _plot(self, row: Row, left: int | None) -> str:
        """Return the plot of a row, in a third of the columns that are left; none where there are few."""
        columns = 0 if left is None else min(WIDEST_PLOT, left // 3)
        if columns < LEAST_DETAIL:
            return ""
        values = [*self._plots.get(row.label, ())][-columns:]
        most = max(values, default=0.0)
        steps = [min(len(BARS) - 1, int(value / most * len(BARS))) if most > 0 else 0 for value in values]
        return "".join(BARS[step] for step in steps)


def _cut(line: list[Part], width: int | None) -> list[Part]:
    """Cut a line at a width; an ellipsis stands for what is left out."""
    if width is None:
        return line
    kept: list[Part] = []
    for style, text in line:
        short = cut(text.rstrip() if (style, text) == line[-1] else text, width)
        kept.append((style, short))
        width -= width_of(short)
        if short != text or width <= 0:
            break
    return kept


class Screen:
    """The whole screen of a terminal."""

    def __init__(self, monitor: Monitor, interval: float) -> None:
        self._monitor = monitor
        self._interval = interval
        self._wake = Event()
        """Set when the next reading is wanted at once."""
        keys = KeyBindings()
        keys.add("q")(self._quit)
        keys.add("c-c")(self._quit)
        keys.add(" ")(self._read_now)
        control = FormattedTextControl(self._text, show_cursor=False)
        self._application: Application[None] = Application(
            Layout(Window(control, always_hide_cursor=True)), key_bindings=keys, style=STYLE, full_screen=True
        )

    def run(self) -> None:
        """Show the figures until somebody presses `q`."""
        self._application.run(pre_run=Thread(target=self._read_on, daemon=True).start)

    def _read_on(self) -> None:
        # In a thread, since a server that hangs must not keep the keys from being read.
        while True:
            self._wake.wait(self._interval)
            self._wake.clear()
            self._monitor.try_to_read()
            self._application.invalidate()

    def _text(self) -> StyleAndTextTuples:
        size = self._application.output.get_size()
        text: StyleAndTextTuples = []
        lines = self._monitor.lines(size.columns)
        if len(lines) > size.rows > 1:
            hidden = len(lines) - size.rows + 1
            lines[size.rows - 1 :] = [_cut([("", f"... {hidden} more rows")], size.columns)]
        for line in lines[: size.rows]:
            text += [*line, ("", "\n")]
        return text[:-1]

    def _quit(self, event: KeyPressEvent) -> None:
        event.app.exit()

    def _read_now(self, event: KeyPressEvent) -> None:
        self._wake.set()

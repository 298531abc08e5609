"""The whole screen: a title, a conversation, a status line and the line being typed, on prompt_toolkit.

What is shown where is decided in `layout.py` and `statusline.py`, what a key does in `keys.py`, and what comes of it in
`talk.py`: a `Doer`. Here is what joins them to a terminal.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import Completion, get_common_complete_suffix
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput, Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.styles import Style

from ..program.clean import clean
from .columns import cut, steady, steady_parts, wrap
from .completing import Known, endings, word_before
from .layout import Look
from .model import Pane, Panes
from .statusline import Link, status, title

REDRAW: Final = 0.05
"""Seconds between two redraws: 20 a second, however many messages come."""

SMALL: Final = 6
"""Rows below which there is no title."""

LONG: Final = 2_000
"""Characters of one line that are pasted without a question: a whole screen of 80 columns and 24 rows."""

STYLE: Final = Style.from_dict(
    {
        "title": "reverse",
        "status": "reverse",
        "current": "bold",
        "unread": "bold",
        "trouble": "bold",
        "time": "#808080",
        "day": "#808080",
        "notice": "#808080",
        "error": "bold #d70000",
        "mark": "bold",
        "mention": "bold",
        "pending": "#808080",
        "refused": "#d70000",
        "question": "bold",
    }
)
"""On the terminal's own colours, dark or light. Everything that has a colour can be told without it."""


class Doer(Protocol):
    """Who does what the keys ask for."""

    def entered(self, line: str) -> None:
        """Do what a line says."""

    def pasted(self, lines: Sequence[str]) -> None:
        """Say these lines as they are."""

    def turned_to(self, pane: Pane) -> None:
        """Talk in this conversation from now on."""

    def scrolled_to(self, pane: Pane) -> None:
        """Get older messages of this conversation."""

    def leave(self) -> None:
        """Leave; asked again, at once."""

    def members(self, pane: Pane) -> int | None:
        """Say how many members a room has."""

    def topic(self, pane: Pane) -> str:
        """Say a room's topic, clean."""

    def link(self) -> Link:
        """Say how it stands with the server."""

    def known(self) -> Known:
        """Say what there is to complete."""


@dataclass(frozen=True, slots=True)
class Question:
    """Lines that were pasted, and nobody has said yet what to do with them."""

    lines: Sequence[str]

    def wordings(self, pane: Pane) -> tuple[str, str]:
        """Ask, at length and briefly."""
        where = steady(pane.name)
        near = cut(where, 10)
        if len(self.lines) == 1:
            return (
                f"{len(self.lines[0]):,} characters were pasted. y: say them in {where}; j: put them in the line that "
                "is typed; n: drop them",
                f"y: say it in {near}; j: type it; n: drop it",
            )
        return (
            f"{len(self.lines):,} lines were pasted. y: say them in {where}, one by one; j: join them in the line that "
            "is typed; n: drop them",
            f"y: say {len(self.lines):,} lines in {near}; j: join; n: drop",
        )


class View:
    """The screen of one person."""

    def __init__(
        self,
        panes: Panes,
        doer: Doer,
        keys: Callable[[View], KeyBindings],
        color: bool | None,
        source: Input | None = None,
        screen: Output | None = None,
    ) -> None:
        """`color` is None where the environment decides; `source` and `screen` are for tests, else the terminal."""
        self.panes = panes
        self.doer = doer
        self.question: Question | None = None
        self.look = Look(panes.current, 80, 24)
        self.buffer = Buffer(history=InMemoryHistory(), multiline=False)
        self.app: Application[None] = Application(
            layout=Layout(self._layout(), focused_element=self.buffer),
            key_bindings=keys(self),
            style=STYLE,
            full_screen=True,
            color_depth={None: None, True: ColorDepth.DEPTH_8_BIT, False: ColorDepth.DEPTH_1_BIT}[color],
            min_redraw_interval=REDRAW,
            input=source,
            output=screen,
        )
        self.app.after_render += lambda _: self._rendered()

    def turn(self, pane: Pane) -> None:
        """Show a conversation, with what was being typed there."""
        if pane is not self.panes.current:
            self.panes.current.draft = self.buffer.text
            self.buffer.document = Document(pane.draft)
        self.panes.turn(pane)
        self.refresh()

    def paste(self, text: str) -> None:
        """Put what was pasted into the line; of several lines, ask what to do with them."""
        lines = [line for line in clean(text, "\n").split("\n") if line.strip()]
        if len(lines) > 1 or any(len(line) > LONG for line in lines):
            self.question = Question(lines)
        else:
            self.buffer.insert_text("".join(lines))

    def complete(self) -> None:
        """Complete the word before the cursor: as far as there is one way, or else show the ways there are."""
        document = self.buffer.document
        word = word_before(document.text_before_cursor)
        ways = [
            Completion(
                ending.text, start_position=-len(word), display=steady(ending.shown), display_meta=steady(ending.help)
            )
            for ending in endings(document.text_before_cursor, self.doer.known())
        ]
        common = get_common_complete_suffix(document, ways)
        if len(ways) == 1:
            self.buffer.apply_completion(ways[0])
        elif common:
            self.buffer.insert_text(common)
        elif ways:
            self.buffer.complete_state = CompletionState(document, ways)

    def refresh(self) -> None:
        """Show what has changed, soon."""
        self.app.invalidate()

    def _rendered(self) -> None:
        if self.look.wants_older():
            self.doer.scrolled_to(self.look.pane)

    def _layout(self) -> FloatContainer:
        asking = Condition(lambda: self.question is not None)
        tall = Condition(lambda: self._rows >= SMALL)
        typing = Window(
            BufferControl(self.buffer, input_processors=[_Steady(), BeforeInput("> ")]),
            height=lambda: Dimension(min=1, max=max(1, self._rows // 3)),
            wrap_lines=True,
            dont_extend_height=True,
        )
        question = Window(
            FormattedTextControl(self._question),
            height=lambda: Dimension(min=1, max=max(1, self._rows - 1)),
            dont_extend_height=True,
            style="class:question",
        )
        rows = [
            ConditionalContainer(Window(FormattedTextControl(self._title), height=1, style="class:title"), tall),
            Window(_PaneControl(self), height=Dimension(min=1), always_hide_cursor=True),
            Window(FormattedTextControl(self._status), height=1, style="class:status"),
            ConditionalContainer(typing, ~asking),
            ConditionalContainer(question, asking),
        ]
        menu = Float(CompletionsMenu(max_height=8, scroll_offset=1), xcursor=True, ycursor=True)
        return FloatContainer(HSplit(rows), floats=[menu])

    @property
    def _rows(self) -> int:
        return self.app.output.get_size().rows

    @property
    def _columns(self) -> int:
        return self.app.output.get_size().columns

    def _title(self) -> StyleAndTextTuples:
        pane = self.panes.current
        return [("", title(pane, self.doer.topic(pane), self._columns))]

    def _status(self) -> StyleAndTextTuples:
        pane = self.panes.current
        return [*status(self.panes, self.doer.members(pane), self.doer.link(), self._columns)]

    def _question(self) -> str:
        """Ask, in rows that are broken at spaces: prompt_toolkit would break them where they are full."""
        if self.question is None:
            return ""
        others = 3 if self._rows >= SMALL else 2  # the title, where there is one, a row of what was said, the status
        for text in self.question.wordings(self.panes.current):
            rows = wrap([("", text)], max(2, self._columns), 0)
            if len(rows) <= self._rows - others:
                break
        return "\n".join("".join(part for _, part in row) for row in rows)


class _PaneControl(UIControl):
    """Shows the current conversation, its newest rows at the bottom."""

    def __init__(self, view: View) -> None:
        self._view = view

    def create_content(self, width: int, height: int) -> UIContent:
        look = self._view.look = Look(self._view.panes.current, width, height)
        rows = look.window()
        above = look.rows - len(rows)
        # The space at the end: a mark on the last character would be shown a second time behind it.
        return UIContent(
            lambda i: [*rows[i - above], ("", " ")] if i >= above else [], line_count=look.rows, show_cursor=False
        )


class _Steady(Processor):
    """Shows the line being typed so that the cursor is where every terminal takes it to be."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        text = fragment_list_to_text(transformation_input.fragments)
        parts = steady_parts(text)
        starts = [0]
        for part in parts:
            starts.append(starts[-1] + len(part))
        exploded = explode_text_fragments(transformation_input.fragments)
        shown: Any = [(fragment[0], part) for fragment, part in zip(exploded, parts, strict=True)]
        return Transformation(
            shown,
            source_to_display=lambda i: starts[min(i, len(parts))] + max(0, i - len(parts)),
            display_to_source=lambda i: bisect_left(starts, i),
        )

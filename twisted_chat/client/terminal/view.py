"""The whole screen: a title, a conversation, a status line and the text being typed, on prompt_toolkit.

`layout.py`, `viewport.py`, `statusline.py` and `menu.py` decide what is shown where, `keys.py` has the keys, and
`controller.py` the `Actions` that they call. This module joins them to a terminal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import Completion, get_common_complete_suffix
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.styles import Style

from ..program.columns import steady, wrap
from .asking import Asking
from .completing import Known, endings, word_before
from .controls import PaneControl, Prompt, Steady
from .layout import Row
from .menu import ROWS as MENU_ROWS
from .menu import menu_rows
from .output import TerminalOutput
from .pane import Pane
from .panes import Panes
from .paste import Question, typable
from .statusline import Connection, Standing, status, title
from .viewport import Viewport

REDRAW: Final = 0.05
"""Seconds between two redraws: at most 20 redraws a second, with any number of messages."""

SMALL: Final = 6
"""The number of rows below which there is no title."""

ESCAPE: Final = 0.2
"""Seconds after which an Escape is a key of its own. A terminal sends it in front of other keys, too: Alt-A is two
bytes, and an arrow three, which a slow line may bring apart."""

STYLE: Final = Style.from_dict(
    {
        "title": "reverse",
        "status": "reverse",
        "current": "bold",
        "unread": "bold",
        "trouble": "bold",
        "time": "#808080",
        "day": "#808080",
        "new": "bold #d70000",
        "bar": "#808080",
        "link": "underline",
        "menu.chosen": "reverse",
        "menu.more": "#808080",
        "notice": "#808080",
        "error": "bold #d70000",
        "mark": "bold",
        "mention": "bold",
        "pending": "#808080",
        "refused": "#d70000",
        "deleted": "#808080",
        "question": "bold",
    }
)
"""The styles, for a dark or a light terminal. Everything with a colour can be recognised without it."""


class Actions(Protocol):
    """The functions that the keys call, and those that the screen needs."""

    def entered(self, text: str) -> None:
        """Carry out a typed line: send it, or run a command."""

    def pasted(self, text: str) -> None:
        """Send this text as it is."""

    def turned_to(self, pane: Pane) -> None:
        """Turn to this conversation."""

    def scrolled_to(self, pane: Pane) -> None:
        """Request older messages of this conversation."""

    def leave(self) -> None:
        """Leave. The second call leaves at once."""

    def has_secret(self, text: str) -> bool:
        """Return true for a typed line that must not be remembered."""

    def accept(self) -> None:
        """Go where the person was invited, or where something was reported."""

    def note(self, text: str) -> None:
        """Show a line of the program itself."""

    def standing(self, pane: Pane) -> Standing:
        """Return the state for the status line."""

    def topic(self, pane: Pane) -> str:
        """Return a room's topic, clean."""

    def limit(self) -> int:
        """Return the maximum size of an object for the server, in bytes."""

    def known(self) -> Known:
        """Return the names to complete."""


class View:
    """The screen of one person."""

    def __init__(
        self,
        panes: Panes,
        actions: Actions,
        keys: Callable[[View], KeyBindings],
        color: bool | None,
        mouse: bool = True,
        source: Input | None = None,
        screen: Output | None = None,
    ) -> None:
        """`color` is None if the environment decides. `source` and `screen` are for tests, in place of the terminal."""
        self.panes = panes
        self.actions = actions
        self.question: Question | None = None
        """What is to be done with a pasted text."""
        self.askings: deque[Asking] = deque()
        """The questions to the person. The first one is shown."""
        self.viewport = Viewport(panes.current, 80, 24)
        self.mouse = mouse
        """True if the wheel scrolls. The terminal then selects text only while Shift is held down."""
        self.strokes = 0
        """The number of keys that were pressed."""
        self._asked_to_leave = -1
        """The number of the key that asked to leave."""
        self._buffers: WeakKeyDictionary[Pane, Buffer] = WeakKeyDictionary()
        self._typing = BufferControl(self._buffer_of(panes.current), input_processors=[Steady(), Prompt()])
        output = screen or TerminalOutput.open()
        self.hyperlinks = isinstance(output, TerminalOutput) and output.hyperlinks
        """True if the terminal gets the addresses of hyperlinks."""
        self.app: Application[None] = Application(
            layout=Layout(self._layout(), focused_element=self._typing),
            key_bindings=keys(self),
            style=STYLE,
            full_screen=True,
            color_depth={None: None, True: ColorDepth.DEPTH_8_BIT, False: ColorDepth.DEPTH_1_BIT}[color],
            mouse_support=Condition(lambda: self.mouse),
            min_redraw_interval=REDRAW,
            input=source,
            output=output,
        )
        self.app.ttimeoutlen = self.app.timeoutlen = ESCAPE
        self.app.after_render += lambda _: self._rendered()
        self.app.key_processor.before_key_press += lambda _: self._pressed()

    @property
    def buffer(self) -> Buffer:
        """The text that is being typed in the current conversation, with those that were typed before."""
        return self._typing.buffer

    @property
    def asks_to_leave(self) -> bool:
        """True if the last key asked to leave."""
        return self._asked_to_leave == self.strokes

    def turn(self, pane: Pane) -> None:
        """Show a conversation, with the text that was being typed there. A text typed in no room moves there."""
        document = self.buffer.document
        from_nowhere = self.buffer is self._buffers.get(self.panes.nowhere)
        self.panes.current.draft = document.text
        self.panes.turn(pane)
        self._typing.buffer = self._buffer_of(pane)
        if from_nowhere and document.text and not self.buffer.text:
            self._buffer_of(self.panes.nowhere).reset()
            self.buffer.document = document
        self.refresh()

    def scroll(self, rows: int) -> None:
        """Move the view by a number of rows, down or (below zero) up."""
        self.viewport.scroll(rows)
        self.panes.seen()
        self.refresh()

    def show_newest(self) -> None:
        """Go back to the newest messages."""
        self.panes.current.bottom = None
        self.panes.seen()

    def show_new(self) -> None:
        """Go to the first new message."""
        index = self.panes.current.marked()
        if index is None:
            self.actions.note("nothing is new here")
            return
        self.viewport.show(index)
        self.panes.seen()

    def toggle_mouse(self) -> None:
        """Let the wheel scroll, or leave the mouse to the terminal."""
        self.mouse = not self.mouse
        self.actions.note(
            "the mouse wheel scrolls; hold Shift to select text (on a Mac, Option)"
            if self.mouse
            else "the mouse is the terminal's: text can be selected as everywhere; Alt-M takes it back"
        )

    def ask_to_leave(self) -> None:
        """Leave if asked twice in a row. While leaving is under way, once is enough, and it happens at once."""
        is_leaving = self.actions.standing(self.panes.current).connection is Connection.LEAVING
        if is_leaving or self._asked_to_leave == self.strokes - 1:
            self.actions.leave()
        else:
            self._asked_to_leave = self.strokes
            self.refresh()

    def paste(self, text: str) -> None:
        """Put a pasted text into the one being typed. If it is long, ask what to do with it."""
        text = typable(text)
        if Question.is_needed(text):
            self.question = Question(text)
        else:
            self.buffer.insert_text(text)

    def answer(self, answer: str) -> None:
        """Carry out the answer to the question: `y`, `e`, or anything else for no."""
        question, self.question = self.question, None
        assert question is not None
        if answer == "e":
            self.buffer.insert_text(question.text)
            return
        self.remember(question.text)
        if answer == "y":
            self.actions.pasted(question.text)

    def ask(self, asking: Asking) -> None:
        """Ask the person a question, after those that were asked before."""
        self.askings.append(asking)
        self.refresh()

    @property
    def is_asking(self) -> bool:
        """True while a question has to be answered before anything else is typed."""
        return self.question is not None or bool(self.askings)

    def key_typed(self, key: str) -> None:
        """Pass a key to the question that is shown."""
        if self.askings:
            asking = self.askings[0]
            if asking.typed(key):
                self.askings.remove(asking)
        elif key.lower() in ("y", "e", "n", "\x03", "\x1b"):
            self.answer(key.lower())

    def remember(self, text: str) -> None:
        """Add a text to the history, so that Up brings it back."""
        self.buffer.history.append_string(text)
        self.buffer.reset(self.buffer.document)

    def complete(self) -> None:
        """Complete the word before the cursor as far as it is unambiguous, or else show the completions."""
        document = self.buffer.document
        word = word_before(document.text_before_cursor)
        ways = [
            Completion(
                ending.text, start_position=-len(word), display=steady(ending.shown), display_meta=steady(ending.help)
            )
            for ending in endings(document.text_before_cursor, self.actions.known())
        ]
        common = get_common_complete_suffix(document, ways)
        if len(ways) == 1:
            self.buffer.apply_completion(ways[0])
        elif common:
            self.buffer.insert_text(common)
        elif ways:
            self.buffer.complete_state = CompletionState(document, ways)

    def refresh(self) -> None:
        """Draw the changes soon."""
        self.app.invalidate()

    def _rendered(self) -> None:
        if self.viewport.wants_older():
            self.actions.scrolled_to(self.viewport.pane)

    def _pressed(self) -> None:
        self.strokes += 1

    def _buffer_of(self, pane: Pane) -> Buffer:
        """Return the buffer of a conversation. Each has its own, so Up brings back only texts of this conversation."""
        return self._buffers.setdefault(pane, Buffer(history=InMemoryHistory()))

    def _layout(self) -> HSplit:
        asking = Condition(lambda: self.is_asking)
        tall = Condition(lambda: self._rows >= SMALL)
        typing = Window(
            self._typing,
            height=lambda: Dimension(min=1, max=max(1, self._rows // 3)),
            wrap_lines=True,
            dont_extend_height=True,
        )
        question = Window(
            FormattedTextControl(self.question_text),
            height=lambda: Dimension(min=1, max=max(1, self._rows - 1)),
            dont_extend_height=True,
            style="class:question",
        )
        conversation = PaneControl(self._rows_of, self.scroll, lambda: self.hyperlinks)
        menu = Window(FormattedTextControl(self.menu_text), dont_extend_height=True, height=Dimension(max=MENU_ROWS))
        return HSplit(
            [
                ConditionalContainer(
                    Window(FormattedTextControl(self.title_line), height=1, style="class:title"), tall
                ),
                Window(conversation, height=Dimension(min=1), always_hide_cursor=True),
                ConditionalContainer(menu, has_completions),
                Window(FormattedTextControl(self.status_line), height=1, style="class:status"),
                ConditionalContainer(typing, ~asking),
                ConditionalContainer(question, asking),
            ]
        )

    def _rows_of(self, columns: int, rows: int) -> tuple[list[Row], int]:
        """Return the visible rows of the current conversation, and the number of rows that fit."""
        self.viewport = Viewport(self.panes.current, columns, rows)
        return self.viewport.window(), self.viewport.rows

    @property
    def _rows(self) -> int:
        return self.app.output.get_size().rows

    @property
    def _columns(self) -> int:
        return self.app.output.get_size().columns

    def title_line(self) -> StyleAndTextTuples:
        pane = self.panes.current
        return [("", title(pane, self.actions.topic(pane), self._columns))]

    def status_line(self) -> StyleAndTextTuples:
        return [*status(self.panes, self.actions.standing(self.panes.current), self._columns)]

    def menu_text(self) -> StyleAndTextTuples:
        state = self.buffer.complete_state
        if state is None:
            return []
        choices = [(completion.display_text, completion.display_meta_text) for completion in state.completions]
        others = 4 if self._rows >= SMALL else 3  # the title, if there is one, a row of messages, the last two
        lines = menu_rows(choices, state.complete_index, self._columns, self._rows - others)
        shown: StyleAndTextTuples = []
        for i, line in enumerate(lines):
            shown += [("", "\n"), *line] if i else line
        return shown

    def question_text(self) -> str:
        """Return the question in rows that are broken at spaces. prompt_toolkit would break words."""
        if self.askings:
            wordings = self.askings[0].wordings
        elif self.question is not None:
            wordings = self.question.wordings(self.panes.current, self.actions.limit())
        else:
            return ""
        others = 3 if self._rows >= SMALL else 2  # the title, if there is one, a row of messages, the status
        for text in wordings:
            rows = wrap([("", steady(text))], max(2, self._columns), 0)
            if len(rows) <= self._rows - others:
                break
        return "\n".join("".join(part for _, part in row) for row in rows)

"""The parts of the screen for prompt_toolkit: the conversation, and the text being typed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final

from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.layout import UIContent, UIControl
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.mouse_events import MouseEvent, MouseEventType

from ..program.columns import steady_parts
from .hyperlinks import HyperlinkStyle
from .layout import Row

WHEEL: Final = 3
"""The number of rows that one step of the mouse wheel scrolls."""


class PaneControl(UIControl):
    """Shows the current conversation, its newest rows at the bottom."""

    def __init__(
        self,
        rows_of: Callable[[int, int], tuple[list[Row], int]],
        scroll: Callable[[int], None],
        hyperlinks: Callable[[], bool],
    ) -> None:
        """`rows_of` returns the rows for a number of columns and rows, and the number of rows that fit.

        `scroll` moves the view by a number of rows. `hyperlinks` is true if the terminal knows them.
        """
        self._rows_of = rows_of
        self._scroll = scroll
        self._hyperlinks = hyperlinks

    def create_content(self, width: int, height: int) -> UIContent:
        shown, space = self._rows_of(width, height)
        rows = [self._linked(row) for row in shown]
        above = space - len(rows)
        # The space at the end, since a mark on the last character would otherwise be shown twice.
        return UIContent(
            lambda i: [*rows[i - above], ("", " ")] if i >= above else [], line_count=space, show_cursor=False
        )

    def mouse_handler(self, mouse_event: MouseEvent) -> None:
        """Scroll if the wheel was turned."""
        if mouse_event.event_type is MouseEventType.SCROLL_UP:
            self._scroll(-WHEEL)
        elif mouse_event.event_type is MouseEventType.SCROLL_DOWN:
            self._scroll(WHEEL)

    def _linked(self, row: Row) -> Sequence[tuple[str, str]]:
        """Send the address of a hyperlink before each of its characters, since each may be drawn without the others.

        A hyperlink ends with its style; see `TerminalOutput.set_attributes`.
        """
        if not self._hyperlinks() or not any(isinstance(style, HyperlinkStyle) for style, _ in row):
            return row
        shown: list[tuple[str, str]] = []
        for style, text in row:
            if isinstance(style, HyperlinkStyle):
                for character in text:
                    shown += [("[ZeroWidthEscape]", style.open), (style, character)]
            else:
                shown.append((style, text))
        return shown


class Prompt(Processor):
    """Puts a sign in front of the text being typed, and a space of that width in front of its further lines."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        prompt = "> " if transformation_input.lineno == 0 else "  "
        return Transformation(
            [("", prompt), *transformation_input.fragments],
            source_to_display=lambda i: i + len(prompt),
            display_to_source=lambda i: max(0, i - len(prompt)),
        )


class Steady(Processor):
    """Shows the text being typed so that the cursor is where every terminal takes it to be."""

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

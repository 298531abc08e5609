"""The menu of completions: rows above the status line, of which a part is shown at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..program.columns import Fragment, cut, width

ROWS: Final = 8
"""The maximum number of rows of the menu."""


def menu_rows(
    choices: Sequence[tuple[str, str]], chosen: int | None, columns: int, rows: int
) -> list[Sequence[Fragment]]:
    """Return the rows of a menu: the choices with their help, the chosen one marked, and the number of the others.

    `rows` is the available space. If not all choices fit, the last row says how many are not shown.
    """
    rows = max(1, min(rows, ROWS))
    if len(choices) <= rows:
        return [_row(choice, choices, i == chosen, columns) for i, choice in enumerate(choices)]
    shown = max(1, rows - 1)
    first = (chosen or 0) // shown * shown
    page = choices[first : first + shown]
    lines = [_row(choice, page, first + i == chosen, columns) for i, choice in enumerate(page)]
    if rows > 1:
        more = len(choices) - len(page)
        lines += [[("class:menu.more", "")]] * (shown - len(page))
        lines.append([("class:menu.more", cut(f"  {more:,} more: Tab goes on, Escape closes", columns))])
    return lines


def _row(
    choice: tuple[str, str], choices: Sequence[tuple[str, str]], is_chosen: bool, columns: int
) -> Sequence[Fragment]:
    text, explanation = choice
    space = max(width(other) for other, _ in choices) - width(text)
    line = f"{'> ' if is_chosen else '  '}{text}{' ' * space}  {explanation}".rstrip()
    return [("class:menu.chosen" if is_chosen else "class:menu", cut(line, columns))]

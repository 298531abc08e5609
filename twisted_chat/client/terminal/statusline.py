"""The lines that say where one is: the title, and the status line with rooms, members and connection.

In few columns each part is said more briefly, and the less important are left out.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Final

from .columns import Fragment, cut, steady, width
from .model import Pane, Panes

Variants = Sequence[Sequence[Fragment]]
"""What a part says, from the longest way to say it to the shortest."""

_BETWEEN: Final[Fragment] = ("class:status", " | ")


class Link(enum.Enum):
    """How it stands with the server."""

    UP = "online"
    DOWN = "offline"
    LEAVING = "leaving"


def title(pane: Pane, topic: str, columns: int) -> str:
    """Name what is shown, and its topic."""
    name = steady(pane.name) or "no room"
    return cut(f"{name}: {steady(topic)}" if topic else name, columns)


def status(panes: Panes, members: int | None, link: Link, columns: int) -> list[Fragment]:
    """Tell of rooms and what is unread in them, the nick, the members, the connection."""
    parts = [_rooms(panes), _text(steady(panes.nick)), _below(panes.current), _members(members), _link(link, panes)]
    chosen = [0] * len(parts)
    # The nick goes first, the connection last.
    for part in (1, 0, 4, 3, 2, 0, 4, 0, 3):
        if _columns(parts, chosen) <= columns:
            break
        chosen[part] = min(chosen[part] + 1, len(parts[part]) - 1)
    line: list[Fragment] = []
    for variants, choice in zip(parts, chosen, strict=True):
        if variants[choice]:
            line.extend([_BETWEEN, *variants[choice]] if line else variants[choice])
    return line


def _columns(parts: Sequence[Variants], chosen: Sequence[int]) -> int:
    shown = [variants[choice] for variants, choice in zip(parts, chosen, strict=True) if variants[choice]]
    return sum(width(text) for part in shown for _, text in part) + width(_BETWEEN[1]) * (len(shown) - 1)


def _text(*variants: str, style: str = "class:status") -> Variants:
    return [*([(style, text)] if text else [] for text in variants), []]


def _rooms(panes: Panes) -> Variants:
    """All rooms; the current one and the unread ones; the numbers of those; nothing."""
    numbered = list(enumerate(panes, 1))
    waiting = [(number, pane) for number, pane in numbered if pane.unread or pane is panes.current]
    unread = [(number, pane) for number, pane in waiting if pane is not panes.current]
    alone = len(numbered) < 2  # the title has its name
    return [
        _list(numbered, panes.current, lambda pane: f":{steady(pane.name)}"),
        [] if alone else _list(waiting, panes.current, lambda pane: f":{cut(steady(pane.name), 10)}"),
        [] if alone else _list(unread, panes.current, lambda pane: ""),
        [],
    ]


def _list(panes: Sequence[tuple[int, Pane]], current: Pane, name: Callable[[Pane], str]) -> Sequence[Fragment]:
    line: list[Fragment] = []
    for number, pane in panes:
        unread = f"({pane.unread}{'!' if pane.mentioned else ''})" if pane.unread else ""
        style = "class:status class:current" if pane is current else "class:status"
        style += " class:unread" if unread else ""
        line.extend([("class:status", " ")] if line else [])
        line.append((style, f"{number}{name(pane)}{unread}"))
    return line


def _below(pane: Pane) -> Variants:
    """Say that newer messages are below the window."""
    if pane.bottom is None:
        return [[]]
    return _text(f"scrolled back, {pane.unread} new below" if pane.unread else "scrolled back", "back")


def _members(count: int | None) -> Variants:
    if count is None:
        return [[]]
    return _text("1 member" if count == 1 else f"{count:,} members", f"{count:,}")


def _link(link: Link, panes: Panes) -> Variants:
    # While all is well, acks come in milliseconds: a count would only flicker.
    unsent = f", {panes.pending:,} unsent" if panes.pending and link is not Link.UP else ""
    style = "class:status" if link is Link.UP else "class:status class:trouble"
    long = {Link.UP: "", Link.DOWN: ", trying again", Link.LEAVING: ", Ctrl-C leaves at once"}[link]
    return [[(style, f"{link.value}{unsent}{long}")], [(style, link.value + unsent)], [(style, link.value)]]

"""The title, and the status line with rooms, members and connection.

In few columns each part is shorter, and the less important ones are left out.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from ..program.columns import Fragment, cut, steady, width
from .pane import Pane
from .panes import Panes

Variants = Sequence[Sequence[Fragment]]
"""The versions of a part, from the longest to the shortest."""

_BETWEEN: Final[Fragment] = ("class:status", " | ")

LEAVE: Final = "Ctrl-C again leaves"
"""The text after a first Ctrl-C with nothing typed."""


class Connection(enum.Enum):
    """The state of the connection to the server, as a person sees it."""

    CONNECTING = "connecting"
    UP = "online"
    DOWN = "offline"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of the connection and of the room, for the status line."""

    connection: Connection
    why: str = ""
    """The reason why there is no connection; before the first one, the server's address."""
    members: int | None = None
    """The number of members of the current room."""
    asked: int = 0
    """The commands that wait for an answer."""
    asks_to_leave: bool = False
    """True if Ctrl-C was pressed once."""


def title(pane: Pane, topic: str, columns: int) -> str:
    """Return the title: the name of the current conversation, and its topic."""
    name = steady(pane.name) or "no room"
    return cut(f"{name}: {steady(topic)}" if topic else name, columns)


def status(panes: Panes, standing: Standing, columns: int) -> list[Fragment]:
    """Return the status line: rooms with their unread messages, the nick, the members, the connection."""
    if standing.asks_to_leave:
        return [("class:status class:trouble", cut(LEAVE, columns))]
    items = _items(panes)
    connection = _connection(standing, panes.pending)
    parts = [_briefly(items), _text(steady(panes.nick)), _below(panes.current), _members(standing.members), connection]
    chosen = [0] * len(parts)
    for part in _order(standing.connection):
        if _columns(parts, chosen) <= columns:
            break
        chosen[part] = min(chosen[part] + 1, len(parts[part]) - 1)
    shown = [variants[choice] for variants, choice in zip(parts, chosen, strict=True)]
    if shown[0]:
        shown[0] = _fill(items, columns - _columns(parts, chosen) + _width(shown[0]), shown[0])
    line: list[Fragment] = []
    for part_shown in shown:
        if part_shown:
            line.extend([_BETWEEN, *part_shown] if line else part_shown)
    return line


def _order(connection: Connection) -> Sequence[int]:
    """The order in which parts become shorter: rooms are 0, the nick 1, scrolling 2, members 3, the connection 4."""
    match connection:
        case Connection.LEAVING:  # a person needs to know now how to leave at once
            return (2, 2, 3, 3, 1, 0, 0, 0, 4, 4)
        case Connection.UP:  # a mention in another room stays longer than the nick and `online`
            return (2, 3, 3, 0, 1, 4, 0, 0, 2)
        case _:
            return (4, 4, 2, 3, 3, 0, 1, 0, 0, 4, 2)


def _columns(parts: Sequence[Variants], chosen: Sequence[int]) -> int:
    shown = [variants[choice] for variants, choice in zip(parts, chosen, strict=True) if variants[choice]]
    return sum(map(_width, shown)) + width(_BETWEEN[1]) * (len(shown) - 1)


def _width(part: Sequence[Fragment]) -> int:
    return sum(width(text) for _, text in part)


def _text(*variants: str, style: str = "class:status") -> Variants:
    return [*([(style, text)] if text else [] for text in variants), []]


class _Size(enum.IntEnum):
    """The size of a conversation in the list."""

    NOTHING = 0
    NUMBER = 1
    SHORT = 2
    """The number, and ten columns of the name."""
    FULL = 3


@dataclass(slots=True)
class _Item:
    """A conversation in the list."""

    number: int
    pane: Pane
    current: bool
    size: _Size

    def fragment(self) -> Fragment:
        """Return as much of its name as its size allows, and the number of unread messages."""
        pane = self.pane
        name = steady(pane.name)
        names = {_Size.SHORT: f":{cut(name, 10)}", _Size.FULL: f":{name}"}
        more, mention = "+" if pane.more_unread else "", "!" if pane.mentioned else ""
        unread = f"({pane.unread}{more}{mention})" if pane.unread else ""
        style = "class:status class:current" if self.current else "class:status"
        style += " class:unread" if unread else ""
        return style, f"{self.number}{names.get(self.size, '')}{unread}"


def _items(panes: Panes) -> list[_Item]:
    """Return all conversations, in less and less space."""
    return [
        _Item(number, pane, pane is panes.current, _Size.SHORT if pane is panes.current else _Size.NOTHING)
        for number, pane in enumerate(panes, 1)
    ]


def _briefly(items: Sequence[_Item]) -> Variants:
    """Return shorter and shorter lists: the current and unread ones, those with a mention, the current one, none."""

    def numbered(those: Sequence[_Item]) -> Sequence[Fragment]:
        return _list([replace(item, size=max(item.size, _Size.NUMBER)) if item in those else item for item in items])

    unread = [item for item in items if item.pane.unread]
    mentioned = [item for item in unread if item.pane.mentioned]
    current = [item for item in items if item.current] or items[:1]
    return [numbered(unread), numbered(mentioned), _list(current), []]


def _fill(items: Sequence[_Item], columns: int, least: Sequence[Fragment]) -> Sequence[Fragment]:
    """Show the names of as many as fit: the current one, those with a mention, the unread ones, then the others."""
    first = sorted(items, key=lambda item: (not item.current, not item.pane.mentioned, not item.pane.unread))
    unread = [item for item in first if item.pane.unread]
    for size, more in ((_Size.NUMBER, unread), (_Size.SHORT, first)):
        for item in more:
            was, item.size = item.size, max(item.size, size)
            if _width(_list(items)) > columns:
                item.size = was
                break  # with a hundred rooms, not each number is tried
    for item in [item for item in first if item.size is _Size.SHORT]:
        item.size = _Size.FULL
        if _width(_list(items)) > columns:
            item.size = _Size.SHORT
    line = _list(items)
    return line if _width(line) <= columns else least


def _list(items: Sequence[_Item]) -> Sequence[Fragment]:
    """Join conversations, with two dots in place of those that are left out."""
    line: list[Fragment] = []
    for left_out, group in groupby(items, lambda item: item.size is _Size.NOTHING):
        for fragment in [("class:status", "..")] if left_out else [item.fragment() for item in group]:
            line.extend([("class:status", " "), fragment] if line else [fragment])
    return line


def _below(pane: Pane) -> Variants:
    """Return the part that says that newer messages are below the window."""
    if pane.bottom is None:
        return [[]]
    return _text(f"scrolled back, {pane.unread} new below" if pane.unread else "scrolled back", "back")


def _members(count: int | None) -> Variants:
    if count is None:
        return [[]]
    return _text("1 member" if count == 1 else f"{count:,} members", f"{count:,}")


def _connection(standing: Standing, pending: int) -> Variants:
    connection, word = standing.connection, standing.connection.value
    if connection is Connection.UP:
        return _text(word)
    trouble = "class:status class:trouble"
    # While all is well, acks come in milliseconds: a count would only flicker.
    waits = (f", {pending:,} unsent" if pending else "") + (f", {standing.asked:,} to ask" if standing.asked else "")
    if connection is Connection.CONNECTING:
        return _text(f"{word} to {standing.why}{waits}", word + waits, word, style=trouble)
    if connection is Connection.LEAVING:
        return _text(
            f"{word}{waits}, Ctrl-C leaves at once", f"{word}, Ctrl-C: at once", "Ctrl-C leaves now", style=trouble
        )
    why = f" ({standing.why})" if standing.why else ""
    return _text(f"{word}{waits}, trying again{why}", f"{word}{waits}, trying again", word + waits, word, style=trouble)

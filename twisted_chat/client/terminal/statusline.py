"""The lines that say where one is: the title, and the status line with rooms, members and connection.

In few columns each part is said more briefly, and the less important are left out.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
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
    rooms = _rooms(panes)
    nick = _text(steady(panes.nick))
    parts = [_briefly(rooms), nick, _below(panes.current), _members(members), _link(link, panes)]
    chosen = [0] * len(parts)
    # The current room is the last but the connection to go: names of others have what is left.
    for part in (4, 2, 3, 3, 0, 1, 0, 4, 2):
        if _columns(parts, chosen) <= columns:
            break
        chosen[part] = min(chosen[part] + 1, len(parts[part]) - 1)
    shown = [variants[choice] for variants, choice in zip(parts, chosen, strict=True)]
    if shown[0]:
        shown[0] = _fill(rooms, columns - _columns(parts, chosen) + _width(shown[0]), shown[0])
    line: list[Fragment] = []
    for part_shown in shown:
        if part_shown:
            line.extend([_BETWEEN, *part_shown] if line else part_shown)
    return line


def _columns(parts: Sequence[Variants], chosen: Sequence[int]) -> int:
    shown = [variants[choice] for variants, choice in zip(parts, chosen, strict=True) if variants[choice]]
    return sum(map(_width, shown)) + width(_BETWEEN[1]) * (len(shown) - 1)


def _width(part: Sequence[Fragment]) -> int:
    return sum(width(text) for _, text in part)


def _text(*variants: str, style: str = "class:status") -> Variants:
    return [*([(style, text)] if text else [] for text in variants), []]


class _Size(enum.IntEnum):
    """How much is said of a room."""

    NOTHING = 0
    NUMBER = 1
    SHORT = 2
    """The number, and ten columns of the name."""
    FULL = 3


@dataclass(slots=True)
class _Room:
    """A room, or the talk with one nick, in the list."""

    number: int
    pane: Pane
    current: bool
    size: _Size

    def fragment(self) -> Fragment:
        """Say as much of it as its size allows, and what is unread in it."""
        pane = self.pane
        name = steady(pane.name)
        names = {_Size.SHORT: f":{cut(name, 10)}", _Size.FULL: f":{name}"}
        unread = f"({pane.unread}{'!' if pane.mentioned else ''})" if pane.unread else ""
        style = "class:status class:current" if self.current else "class:status"
        style += " class:unread" if unread else ""
        return style, f"{self.number}{names.get(self.size, '')}{unread}"


def _rooms(panes: Panes) -> list[_Room]:
    """Give all rooms, each as briefly as it is said where there is little space."""
    return [
        _Room(number, pane, pane is panes.current, _Size.SHORT if pane is panes.current else _Size.NOTHING)
        for number, pane in enumerate(panes, 1)
    ]


def _briefly(rooms: Sequence[_Room]) -> Variants:
    """Give the current room's name and the numbers of the unread ones; the current one alone; nothing."""
    unread = [replace(room, size=max(room.size, _Size.NUMBER)) if room.pane.unread else room for room in rooms]
    return [_list(unread), _list([room for room in rooms if room.current] or rooms[:1]), []]


def _fill(rooms: Sequence[_Room], columns: int, least: Sequence[Fragment]) -> Sequence[Fragment]:
    """Name as many rooms as fit: the current one before all, then those with a mention, the unread ones, the others."""
    first = sorted(rooms, key=lambda room: (not room.current, not room.pane.mentioned, not room.pane.unread))
    unread = [room for room in first if room.pane.unread]
    for size, more in ((_Size.NUMBER, unread), (_Size.SHORT, first)):
        for room in more:
            was, room.size = room.size, max(room.size, size)
            if _width(_list(rooms)) > columns:
                room.size = was
                break  # of a hundred rooms not each is tried
    for room in [room for room in first if room.size is _Size.SHORT]:
        room.size = _Size.FULL
        if _width(_list(rooms)) > columns:
            room.size = _Size.SHORT
    line = _list(rooms)
    return line if _width(line) <= columns else least


def _list(rooms: Sequence[_Room]) -> Sequence[Fragment]:
    """Write rooms one after the other, with two dots where some are left out."""
    line: list[Fragment] = []
    for left_out, group in groupby(rooms, lambda room: room.size is _Size.NOTHING):
        for fragment in [("class:status", "..")] if left_out else [room.fragment() for room in group]:
            line.extend([("class:status", " "), fragment] if line else [fragment])
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

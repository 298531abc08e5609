"""All conversations of one person, in the order of the list at the bottom, and the one that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ..library import Room
from ..program.person import NO_ROOM, Direct
from .entry import Entry, key_of
from .pane import NOT_SHOWN, Pane

DIRECTS: Final = 50
"""The maximum number of direct conversations that stay open. Anybody can begin one, under any number of nicks."""


class Panes:
    """The conversations of one person."""

    def __init__(self, nick: str, read_seq: Callable[[str], int | None] = lambda room: None) -> None:
        """`read_seq` returns the number of the last message that was seen in a room in an earlier run."""
        self._nick = nick
        self._read_seq = read_seq
        self.all: list[Pane] = []
        self.nowhere = Pane(None, nick)
        """The pane that is shown while there is no room."""
        self.current = self.nowhere

    def __iter__(self) -> Iterator[Pane]:
        return iter(self.all)

    @property
    def nick(self) -> str:
        """The nick of this person."""
        return self._nick

    @nick.setter
    def nick(self, nick: str) -> None:
        self._nick = nick
        for pane in (*self.all, self.nowhere):
            pane.nick = nick

    @property
    def pending(self) -> int:
        """The number of one's own messages without an ack so far."""
        return sum(pane.pending for pane in (*self.all, self.nowhere))

    def of(self, where: Room | Direct) -> Pane:
        """Find the pane of a conversation, or make one.

        If there are too many direct conversations, the one that was silent for longest is closed, if possible one that
        is read. The one that is shown stays, and so do those with unacked messages or an unsent text.
        """
        found = self.find(where)
        if found is None:
            if isinstance(where, Direct):
                self._make_space()
                found = Pane(where, self._nick, whole=not where.is_kept)
            else:
                found = Pane(where, self._nick, self._read_seq(where.name), whole=False)
            self.all.append(found)
        return found

    def _make_space(self) -> None:
        """Close a direct conversation, if there are too many."""
        directs = [pane for pane in self.all if isinstance(pane.where, Direct)]
        spare = [pane for pane in directs if pane is not self.current and not (pane.pending or pane.draft)]
        if len(directs) >= DIRECTS and spare:
            self.all.remove(min(spare, key=lambda pane: (pane.unread > 0, pane.last)))

    def find(self, where: Room | Direct) -> Pane | None:
        """Return the pane of a conversation, if there is one."""
        return next((pane for pane in self.all if _same(pane.where, where)), None)

    def rename(self, nick: str, direct: Direct) -> Pane | None:
        """Give the direct conversation with a nick the new nick of the other person.

        Somebody else may have had that nick before. Their conversation and this one are then one pane, which the notice
        of the change divides. Returns the pane of the new nick; None if there is none.
        """
        pane, other = self.direct_with(nick), self.direct_with(direct.name)
        if pane is None:
            return other
        if other is not None and other is not pane:
            if other is self.current or (other.draft and pane is not self.current):
                pane, other = other, pane
            pane.absorb(other)
            self.all.remove(other)
        pane.where = direct
        return pane

    def direct_with(self, nick: str) -> Pane | None:
        """Find the direct conversation with a nick."""
        return next(
            (pane for pane in self.all if isinstance(pane.where, Direct) and key_of(pane.where.name) == key_of(nick)),
            None,
        )

    def named(self, room: str) -> Pane | None:
        """Return the pane of a room by the name in a server's notice."""
        return next((pane for pane in self.all if isinstance(pane.where, Room) and pane.where.name == room), None)

    def put_rooms_first(self) -> None:
        """Put the rooms in front of the direct conversations, which may have had news before the rooms were joined."""
        self.all.sort(key=lambda pane: isinstance(pane.where, Direct))

    def lose_connection(self) -> None:
        """Called when the connection is lost. Messages of that time are new in every room."""
        for pane in self.all:
            pane.away = True

    def begin_log(self, room: str) -> None:
        """Called when a room has a new log."""
        pane = self.named(room)
        if pane is not None:
            pane.begin_log()

    def turn(self, pane: Pane) -> None:
        """Show a pane."""
        if pane is not self.current:
            self.current.forget_marker()
        self.current = pane
        self.seen()

    def seen(self) -> None:
        """Note that the newest entry of the current pane has been seen, if it is on the screen."""
        if self.current.bottom is None:
            self.current.read()

    def close(self, where: Room | Direct) -> None:
        """Forget a conversation. If it was shown, none is shown until the person turns to one."""
        pane = self.find(where)
        if pane is not None:
            self.all.remove(pane)
            self.nowhere.beginning = NOT_SHOWN if self.all else NO_ROOM
            if pane is self.current:
                self.turn(self.nowhere)

    def heard(self, pane: Pane, entry: Entry | None) -> None:
        """Count a new message as unread, unless it is on the screen."""
        if entry is None or entry.own:
            return
        if pane.away and not pane.unread:
            pane.marker = entry
        pane.away = False
        if pane is not self.current or pane.bottom is not None:
            pane.count(entry, isinstance(pane.where, Direct))
        self.seen()

    def step(self, by: int) -> Pane:
        """Return the pane so many places to the right of the current one, starting over at the end."""
        if self.current not in self.all:
            return self.all[0 if by > 0 else -1] if self.all else self.nowhere
        return self.all[(self.all.index(self.current) + by) % len(self.all)]

    def waiting(self) -> Pane:
        """Return the next pane with unread messages, those with a mention first; the current one if there is none."""
        start = self.all.index(self.current) + 1 if self.current in self.all else 0
        around = self.all[start:] + self.all[:start]
        unread = [pane for pane in around if pane.unread]
        return next((pane for pane in unread if pane.mentioned), unread[0] if unread else self.current)


def _same(one: Room | Direct | None, other: Room | Direct) -> bool:
    if isinstance(one, Direct) and isinstance(other, Direct):
        return key_of(one.name) == key_of(other.name)
    return one is other

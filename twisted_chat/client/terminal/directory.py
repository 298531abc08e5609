"""The names that can be completed: nicks of members, and rooms of the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..events import Kicked, MemberJoined, MemberLeft, Members, NickChanged, RoomInfo
from ..library import Client, Room
from ..program.clean import clean
from ..program.command import Command
from ..protocol.errors import ChatError
from .completing import Known
from .pane import Pane
from .panes import Panes


class Directory:
    """Keeps the names of the members of each room, and of the rooms."""

    def __init__(self, client: Client, panes: Panes) -> None:
        self._client = client
        self._panes = panes
        self._rooms: list[str] = []
        """The rooms of the server, as of the last answer."""
        self._asking = False
        client.on(MemberJoined, lambda event: self._in(event.room, lambda pane: pane.comes(event.author)))
        client.on(MemberLeft, lambda event: self._in(event.room, lambda pane: pane.goes(event.author)))
        client.on(Kicked, lambda event: self._in(event.room, lambda pane: pane.goes(event.nick)))
        client.on(NickChanged, self._renamed)

    def known(self, commands: Sequence[Command]) -> Known:
        """Return the names to complete now, and request the rooms for the next time."""
        self.ask_for_rooms()
        rooms = dict.fromkeys([*(pane.name for pane in self._panes if isinstance(pane.where, Room)), *self._rooms])
        return Known(commands, list(reversed(self._panes.current.nicks.values())), list(rooms))

    def ask_for_members(self, pane: Pane) -> None:
        """Request the nicks of a room's members."""
        if isinstance(pane.where, Room):

            def told(members: Members) -> None:
                pane.present(members.members)

            pane.where.who().addCallback(told).addErrback(lambda failure: failure.trap(ChatError))

    def ask_for_rooms(self) -> None:
        """Request the names of the rooms, unless that is under way."""
        if self._asking:
            return
        self._asking = True

        def told(rooms: list[RoomInfo]) -> None:
            self._rooms = [clean(room.room) for room in rooms]

        def done(_: object) -> None:
            self._asking = False

        self._client.rooms().addCallback(told).addErrback(lambda failure: failure.trap(ChatError)).addCallback(done)

    def _in(self, room: str, do: Callable[[Pane], None]) -> None:
        pane = self._panes.named(room)
        if pane is not None:
            do(pane)

    def _renamed(self, event: NickChanged) -> None:
        def rename(pane: Pane) -> None:
            pane.goes(event.author)
            pane.comes(event.nick)

        self._in(event.room or "", rename)

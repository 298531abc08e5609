"""Departures: the notices about members whose connections have ended.

A connection that ends leaves up to 500 rooms at once, and there is no participant left to charge for the notices. So
those that do not fit into a turn wait for later ones, like the work of everybody else.
"""

from __future__ import annotations

from collections.abc import Callable

from ..limits import QUANTUM, TOLD, WORK_A_TURN
from ..messages import MemberLeft
from .members import Listener, Room
from .turn import Turn


class Departures:
    """The notices of departures that wait to be sent, in order."""

    flow = ""

    def __init__(self, turn: Turn, announce: Callable[[Room, MemberLeft, Listener], int]) -> None:
        self._turn = turn
        self._announce = announce
        """Sends a notice to the other members of a room. Returns how many got it."""
        self._waiting: dict[Room, list[tuple[MemberLeft, Listener]]] = {}
        """The notices by room, in the order in which the rooms were left. No list is empty."""
        self._lined_up = False

    def add(self, room: Room, notice: MemberLeft, gone: Listener) -> None:
        """Send a notice to the other members of a room: at once, unless that is too much for this turn."""
        if room not in self._waiting:
            if self._turn.work < WORK_A_TURN:
                self._turn.spend(_work(self._announce(room, notice, gone)))
                return
            self._waiting[room] = []
        self._waiting[room].append((notice, gone))
        self._line_up()

    def tell_all(self, room: Room) -> None:
        """Send all notices of a room now, since what happens next in it comes after them."""
        while room in self._waiting:
            self._turn.spend(self._tell_next(room))

    def take_turn(self) -> int:
        """Send as many notices as fit into a quantum. Returns the work, in requests."""
        self._lined_up = False
        work = 0
        while self._waiting and work < QUANTUM:
            work += self._tell_next(next(iter(self._waiting)))
        if self._waiting:
            self._line_up()
        return work

    def _tell_next(self, room: Room) -> int:
        """Send the first notice of a room. Returns the work, in requests."""
        waiting = self._waiting[room]
        notice, gone = waiting.pop(0)
        if not waiting:
            del self._waiting[room]
        return _work(self._announce(room, notice, gone))

    def _line_up(self) -> None:
        if not self._lined_up:
            self._lined_up = True
            self._turn.line_up(self)


def _work(told: int) -> int:
    """Return the work of a notice for so many members, in requests."""
    return 1 + told // TOLD

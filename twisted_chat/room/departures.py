"""Departures: what the others are told of those that are gone.

A connection that ends leaves up to 500 rooms at once, and nobody is there any more to pay for what is told of it. So
what does not fit into a turn lines up with all others that have work to do.
"""

from __future__ import annotations

from collections.abc import Callable

from ..limits import QUANTUM, TOLD, WORK_A_TURN
from ..messages import MemberLeft
from .members import Listener, Room
from .turn import Turn


class Departures:
    """The notices of departures that are still to be told, in their order."""

    def __init__(self, turn: Turn, announce: Callable[[Room, MemberLeft, Listener], int]) -> None:
        self._turn = turn
        self._announce = announce
        """Tells the others in a room of a departure; returns how many were told."""
        self._waiting: dict[Room, list[tuple[MemberLeft, Listener]]] = {}
        """By the room, in the order in which they were left. None of them is empty."""
        self._lined_up = False

    def add(self, room: Room, notice: MemberLeft, gone: Listener) -> None:
        """Tell the others in a room of a departure: at once, unless that is too much for this turn."""
        if room not in self._waiting:
            if self._turn.work < WORK_A_TURN:
                self._turn.spend(_work(self._announce(room, notice, gone)))
                return
            self._waiting[room] = []
        self._waiting[room].append((notice, gone))
        self._line_up()

    def tell_all(self, room: Room) -> None:
        """Tell of all departures from a room now, since something is to happen in it that comes behind them."""
        while room in self._waiting:
            self._turn.spend(self._tell_next(room))

    def take_turn(self) -> int:
        """Tell of as many departures as one quantum has room for."""
        self._lined_up = False
        work = 0
        while self._waiting and work < QUANTUM:
            work += self._tell_next(next(iter(self._waiting)))
        if self._waiting:
            self._line_up()
        return work

    def _tell_next(self, room: Room) -> int:
        """Tell of the first departure that waits in a room; returns how much work that was."""
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
    """Count the work of a notice, in requests."""
    return 1 + told // TOLD

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
        self._waiting: dict[tuple[Room, str], tuple[MemberLeft, Listener]] = {}
        """By the room, and the key of the nick that is gone."""

    def add(self, room: Room, notice: MemberLeft, gone: Listener) -> None:
        """Tell the others in a room of a departure: at once, unless that is too much for this turn."""
        self.tell(room, gone.nick.key)
        if not self._waiting:
            if self._turn.work < WORK_A_TURN:
                self._turn.spend(_work(self._announce(room, notice, gone)))
                return
            self._turn.line_up(self)
        self._waiting[room, gone.nick.key] = notice, gone

    def tell(self, room: Room, key: str) -> int:
        """Tell of the departure of a nick from a room now, if that is still to come; returns how many were told.

        Whoever bears the nick next, and is announced in the room, comes behind it.
        """
        waiting = self._waiting.pop((room, key), None)
        return 0 if waiting is None else self._announce(room, *waiting)

    def take_turn(self) -> int:
        """Tell of as many departures as one quantum has room for."""
        work = 0
        while self._waiting and work < QUANTUM:
            room, key = next(iter(self._waiting))
            work += _work(self.tell(room, key))
        if self._waiting:
            self._turn.line_up(self)
        return work


def _work(told: int) -> int:
    """Count the work of a notice, in requests."""
    return 1 + told // TOLD

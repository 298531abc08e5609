"""The turn of the reactor that is under way.

All that happens in one turn is kept at once, written once for each encoding, and handed once to each member: whoever
has something to do in a turn adds a step, and what is to be sent is gathered until its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.logger import Logger

from ..limits import LEAST_QUANTUM, QUANTUM, WORK_A_TURN
from .members import Listener

Soon = Callable[[Callable[[], None]], object]
"""Calls a function once what is under way in this turn of the reactor is done."""

_log = Logger("twisted_chat.room")


class Busy(Protocol):
    """Somebody who has more to do than fits into one turn."""

    def take_turn(self) -> int:
        """Do some of it; returns how much work that was, in requests."""


class Step(Protocol):
    """Somebody who has something to do at the end of a turn."""

    def do(self) -> None:
        """Do it, as much as one turn takes."""

    def has_more(self) -> bool:
        """True where there is something to do in the next turn."""


class Turn:
    """What is done at the end of the turn, and what is written then."""

    def __init__(self, soon: Soon) -> None:
        self.number = 0
        """Counts the turns in which something happened."""
        self.work = 0
        """The work that was made in it so far, in requests."""
        self.quantum = QUANTUM
        """The work that one participant may make in it: less, once there was much work."""
        self.steps: list[Step] = []
        """What is done in each of them, in this order."""
        self.last_steps: list[Callable[[], None]] = []
        """What is done once all is written."""
        self._soon = soon
        self._scheduled = False
        self.out: dict[Listener, list[Any]] = {}
        """What is to be written to each listener."""
        self._busy: deque[Busy] = deque()
        """Those who have more to do, in the order in which they are served."""
        self._busy_next: list[Busy] = []
        """Those among them who have made enough in this turn."""

    def schedule(self) -> None:
        """Let there be an end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._end)

    # What is written

    def send(self, listener: Listener, part: Any) -> None:
        """Write to one listener at the end of this turn, behind what it is to get already."""
        if listener in self.out:
            self.out[listener].append(part)
        elif part:
            self.out[listener] = [part]
            self.schedule()

    def hand(self, listeners: Iterable[Listener], part: Any) -> None:
        """Write to many listeners now, to whom nothing else is to be written in this turn."""
        for listener in listeners:
            try:
                listener.write(part)
            except Exception:
                _log.failure("A connection could not be written to")

    def take(self, listener: Listener) -> list[Any]:
        """Return what is to be written to a listener, which is not written then."""
        return self.out.pop(listener, [])

    def _write_out(self) -> None:
        out, self.out = self.out, {}
        for listener, parts in out.items():
            if not listener.closed:
                try:
                    listener.write(parts[0] if len(parts) == 1 else listener.encoding.join(parts))
                except Exception:
                    _log.failure("A connection could not be written to")

    # Who is served

    def line_up(self, busy: Busy, next_turn: bool = False) -> None:
        """Let somebody who has more to do go on after those who lined up before, or in the next turn.

        That is fair queueing: a round gives each one its quantum, and there are as many as fit into the turn.
        """
        (self._busy_next if next_turn else self._busy).append(busy)
        self.schedule()

    def spend(self, work: int) -> None:
        """Count work; where there is much of it, everybody has a smaller quantum for the rest of the turn."""
        self.work += work
        if self.work >= WORK_A_TURN:
            self.quantum = LEAST_QUANTUM

    def _serve_busy(self) -> None:
        left = max(QUANTUM, WORK_A_TURN - self.work)
        while self._busy and left > 0:
            self.quantum = QUANTUM
            try:
                left -= self._busy.popleft().take_turn()
            except Exception:
                _log.failure("A share of the turn has failed; the others go on")

    def _end(self) -> None:
        try:
            if self._busy:
                self._serve_busy()
            for step in self.steps:
                step.do()
            if self.out:
                self._write_out()
        finally:
            self._scheduled = False  # not before: what is sent in here is written in here
        for last_step in self.last_steps:
            last_step()
        self.number += 1
        self.work = 0
        self.quantum = QUANTUM
        if self._busy_next:
            self._busy.extend(self._busy_next)
            self._busy_next.clear()
        if self._busy or self.out:
            self.schedule()
        else:
            for step in self.steps:
                if step.has_more():
                    self.schedule()

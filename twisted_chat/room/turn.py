"""The present turn of the reactor, and the work at its end.

The messages of one turn are appended together, written once for each encoding, and sent once to each member. So parts
of the server add steps, which run at the end of the turn, and everything to be sent is gathered until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Protocol

from twisted.logger import Logger

from ..counters import Counters
from ..limits import FULL_TURN, LEAST_QUANTUM, QUANTUM, WORK_A_TURN
from .fair_queue import FairQueue
from .members import Listener

Soon = Callable[[Callable[[], None]], object]
"""A function that calls another one at the end of this turn of the reactor."""

_log = Logger("twisted_chat.room")


class Busy(Protocol):
    """A part with more work than fits into one turn."""

    @property
    def flow(self) -> str:
        """The flow in which it waits for its turn. All connections of an address are one flow."""

    def take_turn(self) -> int:
        """Do some of the work. Returns how much that was, in requests."""


class Step(Protocol):
    """A part with work to do at the end of a turn."""

    def do(self) -> None:
        """Do as much of the work as fits into a turn."""

    def has_more(self) -> bool:
        """True if there is work for the next turn."""


class Turn:
    """The steps at the end of the turn, and the bytes that are written then."""

    def __init__(self, soon: Soon, counters: Counters | None = None) -> None:
        self.counters = counters or Counters()
        self.number = 0
        """The number of turns so far in which something happened."""
        self.work = 0
        """The work in this turn so far, in requests."""
        self.quantum = QUANTUM
        """The work that one participant may cause in this turn. It is smaller once there was much work."""
        self.tightens_at: float = WORK_A_TURN
        """The work in this turn at which it is tightened next."""
        self.steps: list[Step] = []
        """The steps of each turn, in order."""
        self.last_steps: list[Callable[[], None]] = []
        """The functions that are called once everything is written."""
        self._soon = soon
        self._scheduled = False
        self._began = 0.0
        """When the first thing happened in this turn."""
        self.out: dict[Listener, list[Any]] = {}
        """The parts that are written to each listener at the end of the turn."""
        self.in_several: set[Listener] = set()
        """The listeners that are in several rooms: what they get from these in one turn is gathered in `out`."""
        self.is_full = False
        """True once there was so much work in this turn that parts with new work have to line up, and while any are
        lined up: one that comes later must not overtake them."""
        self._new: FairQueue[Busy] = FairQueue()
        """Those that came when the turn was full, and had no work before. They are served before the others."""
        self._busy: FairQueue[Busy] = FairQueue()
        """Those with more work."""
        self._busy_next: list[Busy] = []
        """Those with more work that are not served again in this turn."""

    def schedule(self) -> None:
        """Schedule the end of this turn, unless that is done."""
        if not self._scheduled:
            self._scheduled = True
            self._began = self.counters.seconds()
            self._soon(self._end)

    # Writing

    def send(self, listener: Listener, part: Any) -> None:
        """Write to one listener at the end of this turn, after all that it is sent before."""
        if listener in self.out:
            self.out[listener].append(part)
        elif part:
            self.out[listener] = [part]
            if not self._scheduled:
                self.schedule()

    def hand(self, listeners: Iterable[Listener], part: Any) -> None:
        """Write to many listeners now. Nothing else is written to them in this turn."""
        for listener in listeners:
            try:
                write = listener.write  # an attribute, which as a method would be looked for in the class: a tenth more
                write(part)
            except Exception:
                _log.failure("A connection could not be written to")

    def take(self, listener: Listener) -> list[Any]:
        """Take back what would be written to a listener at the end of this turn, and return it."""
        return self.out.pop(listener, [])

    def _write_out(self) -> None:
        out, self.out = self.out, {}
        for listener, parts in out.items():
            if not listener.closed:
                try:
                    listener.write(parts[0] if len(parts) == 1 else listener.encoding.join(parts))
                except Exception:
                    _log.failure("A connection could not be written to")

    # Fair queueing

    def line_up(self, busy: Busy, next_turn: bool = False) -> None:
        """Line up a part with more work, for this turn or for the next one.

        Each one gets a quantum at a time, and a turn has as many as fit into it.
        """
        if next_turn:
            self._busy_next.append(busy)
        else:
            self._busy.add(busy.flow, busy)
        self.schedule()

    def line_up_new(self, busy: Busy) -> None:
        """Line up a part that had nothing to do before, and has come when the turn was full."""
        self._new.add(busy.flow, busy)
        self.schedule()

    def spend(self, work: int) -> None:
        """Count work."""
        self.work += work
        if self.work >= self.tightens_at:
            self.tighten()

    def tighten(self) -> None:
        """Give everybody a smaller quantum for the rest of the turn, since there was much work."""
        self.quantum = LEAST_QUANTUM
        if self.work >= FULL_TURN:
            self.is_full = True
            self.tightens_at = inf
        else:
            self.tightens_at = FULL_TURN

    def _serve_busy(self) -> None:
        while self._new.length and self.work < FULL_TURN:
            self.quantum = LEAST_QUANTUM
            self._new.serve(self._serve)
        left = max(QUANTUM, WORK_A_TURN - self.work)
        while self._busy.length and left > 0:
            self.quantum = QUANTUM
            left -= self._busy.serve(self._serve)

    def _serve(self, busy: Busy) -> int:
        before = self.work
        try:
            return busy.take_turn() or self.work - before
        except Exception:
            _log.failure("One participant's share of a turn has failed; the others go on")
            return 0

    def _end(self) -> None:
        try:
            if self._busy.length or self._new.length:
                self._serve_busy()
            for step in self.steps:
                step.do()
            if self.out:
                self._write_out()
        finally:
            self._scheduled = False  # not earlier: what is sent in this function is also written in it
        for last_step in self.last_steps:
            last_step()
        self.counters.turns.observe(self.counters.seconds() - self._began)
        self.number += 1
        self.work = 0
        self.quantum = QUANTUM
        self.tightens_at = WORK_A_TURN
        self.is_full = self._new.length > 0
        for busy in self._busy_next:
            self._busy.add(busy.flow, busy)
        self._busy_next.clear()
        if self._busy.length or self._new.length or self.out:
            self.schedule()
        else:
            for step in self.steps:
                if step.has_more():
                    self.schedule()

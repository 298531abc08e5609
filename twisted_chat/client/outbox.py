"""What has been said and is not acked yet: to one room, or to all single nicks.

Messages go out in the order in which they were said, some at a time. One that the server refuses for now goes back to
its place in that order. One whose connection was lost before its ack may be in the log or not (it is unsettled): it is
said again with the same id, and the server stores it once.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any, Final

from ..messages import AnyRequest
from .answers import Answer

WINDOW: Final = 256
"""Messages under way at once. Enough to fill a long line (5,000 messages/s at a round trip of 50 ms), and so few that
what has to be said again after a lost connection is soon said."""


@dataclass(slots=True, eq=False)
class Pending:
    """A request that waits for its answer."""

    id: str
    request: AnyRequest
    number: int
    """Its place in the order in which requests were made."""
    answer: Answer[Any] = field(default_factory=Answer)
    outbox: Outbox | None = None
    """Where it waits, if it is a message."""
    kept: bool = True
    """Ask again on the next connection. (What belongs to one connection is asked anew there, or not at all.)"""
    patient: bool = False
    """Ask again also when the server cannot serve it now (`unavailable`)."""
    unsettled: bool = False
    """A connection was lost while this was under way."""
    tries: int = 0
    """How often the server has put it off."""

    def succeed(self, result: Any) -> None:
        """Answer, unless whoever asked does not want to know any more."""
        if not self.answer.called:
            self.answer.callback(result)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless whoever asked does not want to know any more."""
        if not self.answer.called:
            self.answer.errback(error)


class Outbox:
    """Messages that wait to be sent, in order, and those that are under way."""

    def __init__(self) -> None:
        self.resting = False
        """The server has asked for a pause."""
        self._window = WINDOW
        self._waiting: list[tuple[int, Pending]] = []
        self._flight: dict[str, Pending] = {}
        self._unsettled = 0
        """How many of those that wait are unsettled."""

    @property
    def empty(self) -> bool:
        """Say whether everything is acked."""
        return not self._waiting and not self._flight

    @property
    def unsettled(self) -> bool:
        """Say whether there is a message that may be in the log already."""
        return self._unsettled > 0 or any(pending.unsettled for pending in self._flight.values())

    @property
    def quiet(self) -> bool:
        """Say whether it is known of every message sent so far what became of it."""
        return not self._flight and not self._unsettled

    def add(self, pending: Pending) -> None:
        """Put a message where it belongs in the order."""
        heapq.heappush(self._waiting, (pending.number, pending))
        self._unsettled += pending.unsettled

    def take(self, settling: bool) -> Pending | None:
        """Give the next message to send, if one may be sent now; `settling`: only up to the last unsettled one."""
        if self.resting or not self._waiting or len(self._flight) >= self._window:
            return None
        if settling and not self._unsettled:
            return None
        pending = heapq.heappop(self._waiting)[1]
        self._flight[pending.id] = pending
        self._unsettled -= pending.unsettled
        return pending

    def answered(self, pending: Pending) -> None:
        """Let go of a message that is acked, or refused for good."""
        del self._flight[pending.id]

    def put_off(self, pending: Pending) -> None:
        """Take back a message that the server cannot take now, to say it again after a rest.

        From now on messages go one at a time: of several under way, those behind a refused one could be taken, and
        come before it.
        """
        del self._flight[pending.id]
        self.add(pending)
        self.resting = True
        self._window = 1

    def lost(self) -> None:
        """Hear that the connection is lost. What was under way is unsettled; the next server may have other limits."""
        for pending in self._flight.values():
            pending.unsettled = True
            self.add(pending)
        self._flight.clear()
        self.resting = False
        self._window = WINDOW

    def withdraw(self, pending: Pending) -> bool:
        """Take back a message that has not been sent; say whether that was possible."""
        entry = (pending.number, pending)
        if entry not in self._waiting or pending.unsettled or pending.tries:
            return False
        self._waiting.remove(entry)
        heapq.heapify(self._waiting)
        return True

    def give_up(self) -> list[Pending]:
        """Empty it, and give what was in it, in order."""
        given = sorted([*(entry[1] for entry in self._waiting), *self._flight.values()], key=lambda one: one.number)
        self._waiting.clear()
        self._flight.clear()
        self._unsettled = 0
        return given

"""The unacked messages to one room or to one nick.

Messages are sent in their order, a window at a time. One that the server refuses for now goes back to its place in that
order. One whose connection was lost before its ack is unsettled, since it may be in the log: it is sent again with the
same id, and the server deduplicates.
"""

from __future__ import annotations

import heapq
import math
from typing import Final, Generic, Protocol, TypeVar

WINDOW: Final = 256
"""The maximum number of messages in flight. It fills a long line (5,000 messages/s at a round trip of 50 ms), and what
has to be sent again after a reconnect is soon sent."""


class Outgoing(Protocol):
    """A message, as far as an outbox knows it."""

    id: str
    """The name by which its ack is known."""
    number: int
    """Its place in the order in which requests were made."""
    tries: int
    """The number of times that the server has refused it for now."""
    unsettled: bool
    """True if a connection was lost while it was in flight."""


M = TypeVar("M", bound=Outgoing)


class Outbox(Generic[M]):
    """Messages that wait to be sent, in order, and those in flight."""

    def __init__(self) -> None:
        self.resting = False
        """True while the server has asked for a pause."""
        self.unacked: set[str] = set()
        """The ids of the messages that may be in the log: in flight, or sent on a connection that was lost."""
        self._window = WINDOW
        self._waiting: list[tuple[int, M]] = []
        self._flight: dict[str, M] = {}

    @property
    def is_empty(self) -> bool:
        """True while everything is acked, or refused for good."""
        return not self._waiting and not self._flight

    @property
    def has_waiting(self) -> bool:
        """True while a message waits to be sent."""
        return bool(self._waiting)

    @property
    def first(self) -> float:
        """The number of the next message that may be sent now; infinity if there is none."""
        if self.resting or not self._waiting or len(self._flight) >= self._window:
            return math.inf
        return self._waiting[0][0]

    def has_before(self, number: int) -> bool:
        """True while a message waits to be sent that was said before the request `number`."""
        return bool(self._waiting) and self._waiting[0][0] < number

    def holds_up(self, number: int, is_open: bool) -> bool:
        """True while a change of nick that was asked for as `number` has to wait.

        The server deduplicates by author and id, so every message that may be in the log has to be acked first. Earlier
        messages that were not sent yet go first, too, if they can be sent now (`is_open`).
        """
        return bool(self.unacked) or (is_open and not self.resting and self.has_before(number))

    def add(self, message: M) -> None:
        """Put a message in its place in the order."""
        heapq.heappush(self._waiting, (message.number, message))

    def take(self) -> M:
        """Take the `first` message, to send it."""
        message = heapq.heappop(self._waiting)[1]
        self._flight[message.id] = message
        self.unacked.add(message.id)
        return message

    def answered(self, message: M) -> None:
        """Forget a message that was acked, or refused for good."""
        del self._flight[message.id]
        self.unacked.discard(message.id)
        if self.is_empty:
            self._window = WINDOW

    def put_off(self, message: M) -> None:
        """Take back a message that the server cannot take now, to send it again after a rest.

        Until all are acked, messages then go one at a time: of several in flight, those after a refused one could be
        taken, and come before it.
        """
        del self._flight[message.id]
        if not message.unsettled:
            self.unacked.discard(message.id)
        self.add(message)
        self.resting = True
        self._window = 1

    def rested(self) -> None:
        """Called when the rest is over."""
        self.resting = False

    def lost(self) -> None:
        """Called when the connection is lost. The messages in flight are unsettled then."""
        for message in self._flight.values():
            message.unsettled = True
            self.add(message)
        self._flight.clear()
        self.resting = False
        self._window = WINDOW

    def withdraw(self, message: M) -> bool:
        """Take back a message that was never sent. False if the server may have it."""
        entry = (message.number, message)
        if entry not in self._waiting or message.unsettled or message.tries:
            return False
        self._waiting.remove(entry)
        heapq.heapify(self._waiting)
        return True

    def empty(self) -> list[M]:
        """Take all messages out, in order. The ids of those that may be in the log stay in `unacked`."""
        messages = [*(message for _, message in self._waiting), *self._flight.values()]
        self._waiting.clear()
        self._flight.clear()
        return sorted(messages, key=lambda message: message.number)

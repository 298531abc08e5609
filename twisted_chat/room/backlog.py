"""The messages that did not fit into a turn, and wait for a later one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..log import Entry
from .members import Listener


class Backlog:
    """Messages in fair queueing: each author has a queue of its own, and every turn takes an equal share of each.

    With one queue for all, the messages of 30 authors who flood the server held up those of everybody else for 60
    turns, which is 200 ms.
    """

    def __init__(self) -> None:
        self.count = 0
        """The number of messages."""
        self._first: deque[Entry] = deque()
        """Messages that go before those of the queues."""
        self._queues: dict[Listener, deque[Entry]] = {}
        """The messages of each author, in their order. The author whose turn it is comes first."""

    def add(self, entries: Iterable[Entry]) -> None:
        """Add messages, each of which has a `Member` as its origin."""
        for entry in entries:
            self._queues.setdefault(entry.origin.listener, deque()).append(entry)
            self.count += 1

    def take(self, most: int) -> list[Entry]:
        """Take so many messages out, or all of them if there are fewer."""
        taken = [self._first.popleft() for _ in range(min(most, len(self._first)))]
        share = 0
        while self._queues and len(taken) < most:
            share = share or max(1, (most - len(taken)) // len(self._queues))
            author = next(iter(self._queues))
            queue = self._queues.pop(author)
            for _ in range(min(share, most - len(taken), len(queue))):
                taken.append(queue.popleft())
            if queue:
                self._queues[author] = queue
        self.count -= len(taken)
        return taken

    def let_others_wait(self) -> None:
        """Put all messages before those that are added from now on."""
        entries = self.take(self.count)
        self._first.extend(entries)
        self.count = len(entries)

"""The messages that did not fit into a turn, and wait for a later one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from math import inf
from typing import Final, NamedTuple

from ..limits import BESIDE_TEXT, FAN_OUT
from ..log import Entry
from .fair_queue import FairQueue
from .members import Listener, Member

AUTHORS_A_TURN: Final = 32
"""Authors that share a turn if there are more: each then has 8 messages of 256. What an author says in a room in one
turn is one write for each member. With shares of 2, a hundred busy rooms had three times as many writes, and half of
the messages per second."""


def size_to_send(entry: Entry) -> int:
    """Return about how many bytes a message is, for all members of its room together."""
    return (len(entry.msg) + BESIDE_TEXT) * len(entry.origin.room.members)


class _Author(NamedTuple):
    """An author, and its messages that wait, in order."""

    flow: str
    entries: list[Entry]


class Backlog:
    """Messages in fair queueing: each author has a queue of its own, and those of one address are one flow.

    With one queue for all, the messages of 30 authors who flood the server held up those of everybody else for 60
    turns, which is 200 ms. With a flow for each author, those of a thousand at one address did for a second.
    """

    def __init__(self) -> None:
        self.count = 0
        """The number of messages."""
        self.to_send = 0
        """The most that the `size_to_send` of those in the queues can be in all."""
        self._first: deque[Entry] = deque()
        """Messages that go before those of the queues."""
        self._authors: dict[Listener, _Author] = {}
        """The authors of all other messages."""
        self._queue: FairQueue[Listener] = FairQueue()
        """These authors. Those that had no messages here need not wait for others of their flow that had."""

    def add(self, entries: Sequence[Entry], to_send: int) -> None:
        """Add messages, each of which has a `Member` as its origin; `to_send` is their `size_to_send` in all."""
        member: Member | None = None
        for entry in entries:
            if entry.origin is not member:
                member = entry.origin
                queue = self._queue_of(member.listener)
            queue.append(entry)
        self.count += len(entries)
        self.to_send += to_send

    def _queue_of(self, listener: Listener) -> list[Entry]:
        author = self._authors.get(listener)
        if author is None:
            author = self._authors[listener] = _Author(listener.flow, [])
            self._queue.add(author.flow, listener, first=True)
        return author.entries

    def has_from(self, listener: Listener) -> bool:
        """True if messages of an author wait in the queues."""
        return listener in self._authors

    def take(self, most: int, most_bytes: float = inf, is_free: Callable[[Entry], bool] | None = None) -> list[Entry]:
        """Take so many messages out, or all of them if there are fewer: until they are `most_bytes` to send.

        With `is_free`, only those of the queues that are free, and none behind another one of its author.
        """
        taken: list[Entry] = []
        blocked: list[Listener] = []
        while self._first and len(taken) < most and most_bytes > 0:
            taken.append(self._first.popleft())
            most_bytes -= size_to_send(taken[-1])
        share = max(1, (most - len(taken)) // max(1, min(AUTHORS_A_TURN, len(self._authors))))

        def take_share(listener: Listener) -> int:
            """Take the next messages of an author out. Returns the work of sending them."""
            nonlocal most_bytes
            author = self._authors[listener]
            part = author.entries[: min(share, most - len(taken))]
            if is_free is not None:
                part = list(takewhile(is_free, part))
                if not part:
                    blocked.append(listener)
                    return 0
            work = 0.0
            if self.to_send > most_bytes:
                left = _cut(part, most_bytes)
                work, most_bytes = (most_bytes - left) // FAN_OUT, left
            taken.extend(part)
            del author.entries[: len(part)]
            if author.entries:
                self._queue.add(author.flow, listener)
            else:
                del self._authors[listener]
            return len(part) + int(work)

        while self._queue.length and len(taken) < most and most_bytes > 0:
            self._queue.serve(take_share)
        for listener in reversed(blocked):
            self._queue.put_back(self._authors[listener].flow, listener)
        self.count -= len(taken)
        if not self.count:
            self.to_send = 0
        return taken

    def let_others_wait(self) -> None:
        """Put all messages before those that are added from now on."""
        entries = self.take(self.count)
        self._first.extend(entries)
        self.count = len(entries)


def _cut(entries: list[Entry], most_bytes: float) -> float:
    """Leave only those entries that are sent until there are `most_bytes` to send; return what is left of these."""
    for count, entry in enumerate(entries, 1):
        most_bytes -= size_to_send(entry)
        if most_bytes <= 0:
            del entries[count:]
            break
    return most_bytes

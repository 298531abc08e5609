"""A fair queue: things to do, in flows that get equal shares of the work.

Start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996): virtual time is the work that
each flow with something to do has been given so far. Next is the flow that has been given least. A flow that had
nothing to do starts at the present virtual time: it comes before all that have used up a share since, however many
things these have in the queue, and it has saved up nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LEAST_FORGOTTEN: Final = 64
"""Flows without anything to do that are looked through at least at a time."""

MOST_REMEMBERED: Final = 2**14
"""The number of flows above which those that have had more than others, and nothing to do now, are forgotten, too: with
new addresses all the time, virtual time stands still. Somebody with so many addresses gains nothing by that."""

MOST_PASSES: Final = 256
"""The number of items that go before the oldest of the others in their flow. If there were new ones all the time, the
others would wait for ever."""


class _Flow(Generic[T]):
    """The things of one flow, in order."""

    __slots__ = ("_passed", "first", "items", "start", "waits")

    def __init__(self) -> None:
        self.first: deque[T] = deque()
        """The items that go before the others."""
        self.items: deque[T] = deque()
        self._passed: set[T] = set()
        """The items that have gone before the oldest of the others so far."""
        self.start = 0
        """The virtual time at which its next item starts."""
        self.waits = False
        """True while it is in the heap."""

    def add(self, item: T, first: bool) -> None:
        """Add an item; with `first`, before the others, unless it has gone before their oldest already."""
        (self.first if first and item not in self._passed else self.items).append(item)

    def take(self) -> T:
        """Take the next item out."""
        if self.first and len(self._passed) < MOST_PASSES:
            item = self.first.popleft()
            if self.items:
                self._passed.add(item)
            return item
        self._passed.clear()
        return self.items.popleft()


class FairQueue(Generic[T]):
    """A queue that serves flows in turn, by the work that they cause, and the items of each flow in order."""

    def __init__(self) -> None:
        self._flows: dict[str, _Flow[T]] = {}
        self._heap: list[tuple[int, bool, int, _Flow[T]]] = []
        """The flows that have items and are not being served: by their starts, those that have just got their first
        item before others, and in the order of arrival."""
        self._arrivals = count()
        self._now = 0
        """The virtual time: the start of the last item that was served."""
        self._most = LEAST_FORGOTTEN
        """The number of flows at which those that are up to date are forgotten."""
        self.length = 0
        """The number of items. It is an attribute, since each turn looks at it several times."""

    def add(self, name: str, item: T, first: bool = False) -> None:
        """Add an item to the flow of a name; with `first`, before all items of this flow that are not.

        It goes before the oldest of these once. If it comes again before that one is served, it waits behind them.
        """
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _Flow()
        flow.add(item, first)
        self.length += 1
        if not flow.waits:
            self._wait(flow, False)

    def put_back(self, name: str, item: T) -> None:
        """Put an item that was not served after all back to the front of its flow."""
        self.add(name, item)
        flow = self._flows[name]
        flow.first.appendleft(flow.items.pop())

    def _wait(self, flow: _Flow[T], goes_on: bool) -> None:
        flow.waits = True
        flow.start = max(flow.start, self._now)
        heappush(self._heap, (flow.start, goes_on, next(self._arrivals), flow))

    def serve(self, serve: Callable[[T], int]) -> int:
        """Take the next item out and call a function with it, which returns the work of that. Returns the work."""
        self._now, _, _, flow = heappop(self._heap)
        item = flow.take()
        self.length -= 1
        work = 1
        try:
            work = max(1, serve(item))
        finally:
            flow.start = self._now + work
            flow.waits = False
            if flow.first or flow.items:
                self._wait(flow, True)
            elif len(self._flows) >= self._most:
                self._forget()
        return work

    def _forget(self) -> None:
        """Forget the flows that would be served as if they were new."""
        if not self._heap:
            self._flows.clear()
        else:
            now = self._now if len(self._flows) < MOST_REMEMBERED else inf
            self._flows = {name: flow for name, flow in self._flows.items() if flow.waits or flow.start > now}
        self._most = max(LEAST_FORGOTTEN, 2 * len(self._flows))

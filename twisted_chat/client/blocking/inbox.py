"""The queue of messages that the program takes, and the queue of events for its callbacks."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..protocol.errors import ChatError
from ..protocol.objects import Message

E = TypeVar("E")

HIGH: Final = 1000
"""The maximum number of queued messages of a room, some 200 kB. Further ones wait in the engine, or in the log."""

LOW: Final = 250
"""The number of queued messages of a room at which the queue is filled again."""

_log = logging.getLogger("twisted_chat.client.blocking")


class Slot:
    """The part of an inbox that belongs to one room."""

    def __init__(self) -> None:
        self.queued = 0
        """The number of messages that wait to be taken, or to be passed to callbacks."""
        self.listeners = Listeners()
        self.error: ChatError | None = None
        """Why nothing more arrives."""


class Listeners:
    """Callbacks by the kind of event."""

    def __init__(self) -> None:
        self._callbacks: dict[type, list[Callable[[Any], object]]] = {}

    def add(self, kind: type[E], callback: Callable[[E], object]) -> None:
        self._callbacks.setdefault(kind, []).append(callback)

    def remove(self, kind: type[E], callback: Callable[[E], object]) -> None:
        self._callbacks[kind].remove(callback)

    def of(self, kind: type) -> list[Callable[[Any], object]]:
        """Return the callbacks for a kind of event."""
        return list(self._callbacks.get(kind, ()))


class Inbox:
    """The messages of all rooms that wait to be taken, and the events that wait for callbacks.

    The thread with the sockets puts them in. Threads of the program take messages. A thread of its own calls the
    callbacks, one after another, so that a callback can ask the server something and wait for the answer.
    """

    def __init__(self, taken: Callable[[Slot], None]) -> None:
        """`taken` is called for each message of a room that was taken, or passed to callbacks."""
        self.listeners = Listeners()
        self.error: ChatError | None = None
        """Why nothing more arrives."""
        self._taken = taken
        self._changed = threading.Condition()
        self._messages: deque[tuple[Slot | None, Message]] = deque()
        self._events: deque[tuple[Slot | None, object]] = deque()
        self._caller: threading.Thread | None = None

    # Input

    def put(self, slot: Slot | None, message: Message) -> None:
        """Put in a message of a room, or a direct one."""
        with self._changed:
            if slot is not None:
                slot.queued += 1
            queue: deque[Any] = self._events if self._has_callback(slot, message) else self._messages
            queue.append((slot, message))
            self._changed.notify_all()

    def put_event(self, slot: Slot | None, event: object) -> None:
        """Put in an event, of a room or of the client."""
        with self._changed:
            if self._has_callback(slot, event):
                self._events.append((slot, event))
                self._changed.notify_all()

    def end(self, slot: Slot | None, error: ChatError) -> None:
        """Note that nothing more arrives, in a room or at all."""
        with self._changed:
            (self if slot is None else slot).error = error
            self._changed.notify_all()

    # Callbacks

    def on(self, slot: Slot | None, kind: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Register a callback for a kind of event, of one room or of all. Returns a function that removes it."""
        listeners = (self if slot is None else slot).listeners

        def forget() -> None:
            with self._changed:
                listeners.remove(kind, callback)
                self._sort()

        with self._changed:
            listeners.add(kind, callback)
            self._sort()
            if self._caller is None:
                self._caller = threading.Thread(target=self._call_callbacks, name="chat callbacks", daemon=True)
                self._caller.start()
        return forget

    def wait_for_callbacks(self, timeout: float) -> None:
        """At the end, wait for the last callback; but not in a callback, which would wait for itself."""
        caller = self._caller
        if caller is not None and caller is not threading.current_thread():
            caller.join(timeout)

    def _sort(self) -> None:
        """Move messages between the two queues, after a callback was added or removed."""
        to_messages = [
            (slot, event)
            for slot, event in self._events
            if isinstance(event, Message) and not self._has_callback(slot, event)
        ]
        to_events = [entry for entry in self._messages if self._has_callback(*entry)]
        rest = [entry for entry in self._messages if not self._has_callback(*entry)]
        self._events = deque([*(entry for entry in self._events if self._has_callback(*entry)), *to_events])
        self._messages = deque([*to_messages, *rest])
        self._changed.notify_all()

    def _has_callback(self, slot: Slot | None, event: object) -> bool:
        return bool(self._callbacks(slot, type(event)))

    def _callbacks(self, slot: Slot | None, kind: type) -> list[Callable[[Any], object]]:
        return [*([] if slot is None else slot.listeners.of(kind)), *self.listeners.of(kind)]

    def _call_callbacks(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self.error is not None)
                if not self._events:
                    self._caller = None
                    return
                slot, event = self._events.popleft()
                callbacks = self._callbacks(slot, type(event))
            for callback in callbacks:
                try:
                    callback(event)
                except Exception:
                    _log.exception("a callback for %s failed", type(event).__name__)
            self._count(slot, event)

    # Output

    def take(self, wanted: Slot | None, timeout: float | None) -> Message:
        """Take the next message, of one room or of all. Raises `ChatError` at the end, and `TimeoutError`."""
        with self._changed:
            if self._callbacks(wanted, Message):
                raise RuntimeError("these messages go to a callback")
            if not self._changed.wait_for(lambda: self._ready(wanted), timeout):
                raise TimeoutError("no message came")
            for at, entry in enumerate(self._messages):
                if wanted in (None, entry[0]):
                    del self._messages[at]
                    break
            else:
                error = self._end(wanted)
                assert error
                raise error
        self._count(*entry)
        return entry[1]

    def _ready(self, wanted: Slot | None) -> bool:
        if self._end(wanted) is not None:
            return True
        if wanted is None:
            return bool(self._messages)
        return wanted.queued > 0 and any(slot is wanted for slot, _ in self._messages)

    def _end(self, wanted: Slot | None) -> ChatError | None:
        return (wanted and wanted.error) or self.error

    def _count(self, slot: Slot | None, event: object) -> None:
        if slot is not None and isinstance(event, Message):
            with self._changed:
                slot.queued -= 1
            self._taken(slot)

"""What was asked for, and its answer."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import ChatError, RequestError
from .objects import Object

if TYPE_CHECKING:
    from .talk import RoomState


class Call:
    """Something that was asked for, and its answer."""

    def __init__(
        self,
        request: Object,
        read: Callable[[Object], Any] | None = None,
        refused: Callable[[RequestError], None] | None = None,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.request = request | {"id": self.id}
        self.room: RoomState | None = None
        """The room in which it is said, if it is a message."""
        self.sent = False
        """It was said at least once: the server may have it."""
        self.tries = 0
        self.belongs = refused is not None
        """It belongs to one connection, and is not asked again on the next one."""
        self._read = read
        self._refused = refused
        self._answer: Any = None
        self._error: ChatError | None = None
        self._done = threading.Event()
        self.forget: Callable[[Call], object] = lambda _: None
        """Hears when there is an answer."""

    def succeed(self, answer: Any) -> None:
        self._answer = self._read(answer) if self._read is not None else answer
        self._end()

    def fail(self, error: ChatError) -> None:
        self._error = error
        self._end()
        if self._refused is not None and isinstance(error, RequestError):
            self._refused(error)

    def _end(self) -> None:
        self._done.set()
        self.forget(self)

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None) -> Any:
        if not self._done.wait(timeout):
            raise TimeoutError("no answer yet: it is asked again until there is one, or the client is closed")
        if self._error is not None:
            raise self._error
        return self._answer

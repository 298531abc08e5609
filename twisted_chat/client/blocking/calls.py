"""Answers that threads wait for."""

from __future__ import annotations

import threading
from typing import Any

from ..protocol.errors import ChatError


class Call:
    """An answer that one thread waits for and another thread gives."""

    def __init__(self) -> None:
        self._answer: Any = None
        self._error: ChatError | None = None
        self._done = threading.Event()

    @property
    def done(self) -> bool:
        """True once there is an answer, or an error."""
        return self._done.is_set()

    def succeed(self, answer: Any = None) -> None:
        """Give the answer. A second one changes nothing."""
        if not self.done:
            self._answer = answer
            self._done.set()

    def fail(self, error: ChatError) -> None:
        """Give an error in place of an answer."""
        if not self.done:
            self._error = error
            self._done.set()

    def wait(self, timeout: float | None) -> Any:
        """Wait for the answer and return it. Raises its error, and `TimeoutError`."""
        if not self._done.wait(timeout):
            raise TimeoutError("no answer yet: it is asked again until there is one, or the client is closed")
        if self._error is not None:
            raise self._error
        return self._answer

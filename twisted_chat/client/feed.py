"""Between a room, which speaks when it likes, and a consumer that takes a message at a time: a bounded queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from ..messages import Message
from .answers import Answer
from .errors import ChatError

HIGH: Final = 1000
"""Messages that are kept for a consumer. What comes then it gets from the log: `conversation.py` says how."""

LOW: Final = 250
"""Messages left when more are asked for: enough to go on with for the time of a round trip."""


class Feed:
    """Messages that nobody has taken yet, or takers that have none yet."""

    def __init__(self, more: Callable[[], None]) -> None:
        self._more = more
        self._messages: deque[Message] = deque()
        self._takers: deque[Answer[Message]] = deque()
        self._error: ChatError | None = None

    def ready(self) -> bool:
        """Say whether there is space for one more."""
        return len(self._messages) < HIGH

    def hungry(self) -> bool:
        """Say whether there is space for many."""
        return len(self._messages) <= LOW

    def put(self, message: Message) -> None:
        """Give a message to the next taker."""
        if self._takers:
            self._takers.popleft().callback(message)
        else:
            self._messages.append(message)

    def end(self, error: ChatError) -> None:
        """Hear that nothing comes any more. What is here can still be taken; then takers get the error."""
        self._error = error
        takers, self._takers = self._takers, deque()
        for taker in takers:
            taker.errback(error)

    def take(self) -> Answer[Message]:
        """Take the next message. Cancelling takes none, and loses none."""
        if self._messages:
            message = self._messages.popleft()
            if len(self._messages) == LOW:
                self._more()
            return Answer.given(message)
        if self._error is not None:
            return Answer.failed(self._error)
        taker: Answer[Message] = Answer(lambda _: self._takers.remove(taker))
        self._takers.append(taker)
        return taker

    def empty(self) -> list[Message]:
        """Take all there is."""
        messages, self._messages = list(self._messages), deque()
        return messages

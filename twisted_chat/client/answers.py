"""The answers of the library: Deferreds that code for asyncio can await as well.

A `Deferred` is awaitable, but only for a coroutine that Twisted drives. In an asyncio task, it causes the error "Task
got bad yield". Both accept an `Answer`, so one library serves `Deferred.fromCoroutine`, callbacks and, under the
asyncio reactor, `asyncio.run_coroutine_threadsafe`, `asyncio.TaskGroup` and the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Self, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from .protocol.requests import Request

T = TypeVar("T")


class Answer(Deferred[T]):
    """A Deferred that an asyncio task may await too.

    A task takes an object for a future if it has `_asyncio_future_blocking`, `get_loop`, `add_done_callback` and
    `cancel` (asyncio's source: "any object with `_asyncio_future_blocking` is a duck-typed Future"). The mark is on the
    object and not on the class, so that `asyncio.gather` and the like, which need the rest of a future, too, see an
    awaitable and wrap it.
    """

    request: Request | None = None
    """The request. That of a message has the server's number and time, once it is acked."""
    _wakes_task = False

    @classmethod
    def of(cls, coroutine: Coroutine[Deferred[Any], Any, T]) -> Answer[T]:
        """Run a coroutine now, and return an answer with its result. Cancelling the answer cancels the coroutine."""
        return cls.following(Deferred.fromCoroutine(coroutine))

    @classmethod
    def following(cls, deferred: Deferred[T]) -> Answer[T]:
        """Return an answer with the result of another Deferred. Cancelling the answer cancels the other, too."""
        answer: Answer[T] = cls(lambda _: deferred.cancel())
        deferred.addBoth(answer._follow)
        return answer

    def _follow(self, result: T | Failure) -> None:
        if not self.called:
            self.callback(result)
        elif isinstance(result, Failure):
            result.trap(CancelledError)

    @classmethod
    def given(cls, value: T) -> Answer[T]:
        """Return an answer that has its result already."""
        answer: Answer[T] = cls()
        answer.callback(value)
        return answer

    @classmethod
    def failed(cls, error: BaseException) -> Self:
        """Return an answer that has failed already."""
        answer = cls()
        answer.errback(error)
        return answer

    def __await__(self) -> Generator[Deferred[T], None, T]:
        self._asyncio_future_blocking = True
        return super().__await__()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, which an asyncio task compares with its own. There is only one, the reactor's."""
        return asyncio.get_running_loop()

    def add_done_callback(self, wake: Callable[[object], object], *, context: Context | None = None) -> None:
        """Wake an asyncio task once there is a result, in the next turn of the loop, as futures do."""
        self._wakes_task = True
        done = self.get_loop().create_future()
        done.add_done_callback(wake, context=context)

        def fired(result: object) -> object:
            done.set_result(None)
            return result

        self.addBoth(fired)

    def cancel(self, msg: object = None) -> None:
        """Cancel as a Deferred does. An asyncio task passes a reason, for which a Deferred has no place."""
        super().cancel()
        if self._wakes_task:
            # The task gets asyncio's own error, and nobody looks at this one.
            self.addErrback(lambda failure: failure.trap(CancelledError) and None)


class Waiters:
    """Answers that wait for one event."""

    def __init__(self) -> None:
        self._answers: list[Answer[None]] = []

    def __bool__(self) -> bool:
        return bool(self._answers)

    def add(self) -> Answer[None]:
        """Return an answer that waits for the event. A cancelled one is forgotten."""
        answer: Answer[None] = Answer(lambda _: self._answers.remove(answer))
        self._answers.append(answer)
        return answer

    def fire(self, error: BaseException | None = None) -> None:
        """Fire all of them: the event has happened or, with an error, never will."""
        answers, self._answers = self._answers, []
        for answer in answers:
            answer.callback(None) if error is None else answer.errback(error)

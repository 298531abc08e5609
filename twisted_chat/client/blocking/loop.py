"""The thread that has the sockets."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ..errors import ClosedError
from .links import Link, LostError
from .talk import Talk


class Loop(threading.Thread):
    """Connects, and hands to and fro between a link and the conversation."""

    def __init__(self, connect: Callable[[], Link], talk: Talk) -> None:
        super().__init__(name="chat", daemon=True)
        self._connect = connect
        self._talk = talk
        self._tasks: deque[Callable[[], None]] = deque()
        self._ending = threading.Lock()
        self._ended = False
        """There is nothing more to do here."""
        self._connecting = False
        self._selector = selectors.DefaultSelector()
        self._asleep, self._waker = socket.socketpair()
        for end in (self._asleep, self._waker):
            end.setblocking(False)
        self._selector.register(self._asleep, selectors.EVENT_READ)

    def do(self, task: Callable[[], None]) -> None:
        """Have something done in this thread or, when it has ended, now: then there is nobody to disturb."""
        with self._ending:
            if not self._ended:
                self._tasks.append(task)
                with suppress(BlockingIOError):  # it is awake already
                    self._waker.send(b"!")
                return
        task()

    def close(self) -> None:
        """End the conversation, and wait for that; but not for a connection that is being made, which takes long."""
        self.do(self._talk.quit)
        with self._ending:
            if self._connecting and not self._ended:
                self._ended = True
                try:
                    self._do_tasks()
                except LostError as error:
                    self._talk.ended(str(error))
                self._do_tasks()
            over = self._ended
        if not over:
            self.join()

    def run(self) -> None:
        try:
            while self._talk.error is None:
                reason = self._converse()
                pause = self._talk.ended(reason) if self._talk.error is None else None
                if pause is not None:
                    self._wait(time.monotonic() + pause)
        except BaseException as error:
            self._talk.end(ClosedError(f"this client has a fault: {error!r}"))
            raise
        finally:
            with self._ending:
                self._ended = True
                for end in (self._asleep, self._waker, self._selector):
                    end.close()
            self._do_tasks()

    def _wait(self, until: float) -> None:
        """Have no connection for a while."""
        try:
            while time.monotonic() < until:
                self._turn(None, until)
        except LostError as error:  # the program closes the client
            self._talk.ended(str(error))

    def _converse(self) -> str:
        """Talk over one connection; return why it ended."""
        try:
            link = self._open()
        except (LostError, OSError) as error:
            return str(error)
        try:
            self._selector.register(link.socket, selectors.EVENT_READ)
            self._talk.connected(link)
            while True:
                self._turn(link, link.due())
        except (LostError, OSError) as error:
            return str(error)
        finally:
            self._selector.unregister(link.socket)
            link.close()

    def _open(self) -> Link:
        """Make a connection. Meanwhile another thread may `close`."""
        with self._ending:
            self._do_tasks()
            self._connecting = True
        try:
            link = self._connect()
        finally:
            with self._ending:
                self._connecting = False
        if self._ended:
            link.close()
            raise LostError("the client is closed")
        return link

    def _turn(self, link: Link | None, until: float | None) -> None:
        """Wait until there is something to do, and do it."""
        if link is not None:
            link.flush()
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.unsent else 0)
            self._selector.modify(link.socket, events)
        times = [when for when in (until, self._talk.due()) if when is not None]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        ready = {key.fileobj for key, _ in self._selector.select(timeout)}
        if self._asleep in ready:
            self._asleep.recv(4096)
        self._do_tasks()
        if link is not None:
            for obj in (*(link.receive() if link.socket in ready else ()), *link.tick()):
                self._talk.received(obj)
        self._talk.tick()

    def _do_tasks(self) -> None:
        while self._tasks:
            self._tasks.popleft()()

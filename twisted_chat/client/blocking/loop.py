"""The thread with the sockets."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..protocol.engine import Engine
from ..protocol.errors import ClosedError
from .links import Link, LostError, reason_text


class Loop(threading.Thread):
    """Connects, and carries objects between a link and the engine.

    Other threads may use the engine while they hold the `lock`. `handle_events` is called with it.
    """

    def __init__(self, connect: Callable[[], Link], engine: Engine, handle_events: Callable[[], None]) -> None:
        super().__init__(name="chat", daemon=True)
        self.lock = threading.RLock()
        self.is_connecting = False
        """True while a connection is being made, which may take long."""
        self._connect = connect
        self._engine = engine
        self._handle_events = handle_events
        self._selector = selectors.DefaultSelector()
        self._asleep, self._waker = socket.socketpair()
        for end in (self._asleep, self._waker):
            end.setblocking(False)
        self._selector.register(self._asleep, selectors.EVENT_READ)

    def wake(self) -> None:
        """Wake the thread, so that it finds new work."""
        with suppress(OSError):  # the thread is awake already, or has ended
            self._waker.send(b"!")

    def run(self) -> None:
        try:
            while self._begin_to_connect():
                self._converse()
                self._wait(time.monotonic() + self._engine.pause)
        except BaseException as error:
            with self.lock:
                self._engine.end(ClosedError(f"this client has a fault: {error!r}"))
                self._handle_events()
            raise
        finally:
            for end in (self._asleep, self._waker, self._selector):
                end.close()

    def _wait(self, until: float) -> None:
        """Wait without a connection."""
        while self._engine.error is None and time.monotonic() < until:
            self._turn(None, until)

    def _converse(self) -> None:
        """Make a connection and use it until its end."""
        link = self._open()
        if link is None:
            return
        self._selector.register(link.socket, selectors.EVENT_READ)
        reason = ""
        try:
            with self.lock:
                self._engine.connected(time.monotonic())
            while self._engine.hang_up is None:
                self._turn(link)
        except (LostError, OSError) as error:
            reason = reason_text(error)
        finally:
            self._selector.unregister(link.socket)
            link.close()
        with self.lock:
            self._engine.lost(reason, time.monotonic())
            self._handle_events()

    def _begin_to_connect(self) -> bool:
        with self.lock:
            self.is_connecting = self._engine.error is None
        return self.is_connecting

    def _open(self) -> Link | None:
        """Make a connection. Returns None if there is none, or another thread has closed the client meanwhile."""
        problem: Exception | None = None
        link: Link | None = None
        try:
            link = self._connect()
        except (LostError, OSError) as error:
            problem = error
        with self.lock:
            self.is_connecting = False
            if self._engine.error is not None and link is not None:
                link.close()
                link = None
            elif problem is not None:
                self._engine.failed(reason_text(problem), time.monotonic(), problem)
                self._handle_events()
        return link

    def _turn(self, link: Link | None, until: float | None = None) -> None:
        """Send the objects and handle the events that there are. Then wait for input or a timer, and take it."""
        with self.lock:
            self._work(link)
            link_due = link.due() if link is not None else None
            times = [when for when in (until, link_due, self._engine.due()) if when is not None]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        ready = {key.fileobj for key, _ in self._selector.select(timeout)}
        if self._asleep in ready:
            self._asleep.recv(4096)
        with self.lock:
            now = time.monotonic()
            if link is not None:
                for obj in (*(link.receive() if link.socket in ready else ()), *link.tick()):
                    self._engine.received(obj, now)
            self._engine.tick(now)

    def _work(self, link: Link | None) -> None:
        while self._engine.has_work:
            for obj in self._engine.take_objects(time.monotonic()):
                assert link is not None  # without a connection there is nothing to send
                link.send(obj)
            self._handle_events()
        if link is not None:
            link.flush()
            self._selector.modify(link.socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if link.unsent else 0))

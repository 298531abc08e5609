"""Standard input, output and error, without a change of flags that other programs share with this one.

`O_NONBLOCK` belongs to an open file description (open(2), fcntl(2)), and a shell hands one description to all commands
of a pipeline, to both sides of `2>&1` and to itself. A program that sets it there, as `twisted.internet.stdio` does,
sets it for all of them: `cat` ends with "Resource temporarily unavailable", others lose what they write, and after
`kill -9` nothing takes it back. So threads read and write here, and block. They work with every kind of descriptor: a
terminal, a pipe, a socket, a regular file, a device.
"""

from __future__ import annotations

import errno
import os
import select
import termios
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Semaphore, Thread
from typing import Any, Final

READ: Final = 2**16
"""The bytes that are read at once: as many as a pipe of Linux holds."""

WRITE: Final = 4096
"""Bytes that are written at once, as far as whole lines fit: `PIPE_BUF` of Linux. Lines within it are not mixed with
those that another program writes to the same pipe."""

HIGH: Final = 2**16
"""The number of waiting bytes above which an output is full."""

Ended = Callable[[OSError | None], object]
"""Called with the reason why nothing can be read or written any more; None at the end of input or after `close`."""


def can_watch(descriptor: int) -> bool:
    """True if `poll` can report that the other side of a descriptor is gone. Some systems cannot poll a device."""
    return not _events(descriptor) & select.POLLNVAL


def is_gone(descriptor: int) -> bool:
    """True if the other side of a descriptor is gone, such as the window of a terminal."""
    return bool(_events(descriptor) & (select.POLLHUP | select.POLLERR))


def terminal_columns(descriptor: int) -> int:
    """The width of a terminal in columns; 0 if the descriptor is not a terminal, or its width is not known."""
    try:
        return os.get_terminal_size(descriptor).columns
    except OSError:
        return 0


def _events(descriptor: int) -> int:
    poll = select.poll()
    poll.register(descriptor, 0)  # these three are always reported
    return next((event for _, event in poll.poll(0)), 0)


@contextmanager
def without_echo(descriptor: int) -> Iterator[None]:
    """Let a terminal not show what is typed, as for a password."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    hidden = [*before]
    hidden[3] &= ~termios.ECHO
    hidden[3] |= termios.ECHONL  # the line end is shown, so that what follows begins a line
    termios.tcsetattr(descriptor, termios.TCSADRAIN, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class _WakeUp:
    """A pipe that wakes a thread which waits for a descriptor."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def set(self) -> None:
        with suppress(BlockingIOError):  # so full a pipe wakes, too
            os.write(self._writer, b"\0")

    def clear(self) -> None:
        os.read(self.reader, READ)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)


class Input:
    """Reads a descriptor chunk by chunk. The next chunk is read when the last one was taken."""

    def __init__(
        self,
        reactor: Any,
        descriptor: int,
        received: Callable[[bytes], object],
        ended: Ended,
        read: Callable[[int, int], bytes] = os.read,
    ) -> None:
        """Start to read. `received` and `ended` are called in the reactor's thread."""
        self._os_read = read
        self._call = reactor.callFromThread
        self._descriptor = descriptor
        self._received = received
        self._ended = ended
        self._wake_up = _WakeUp()
        self._turns = Semaphore(1)
        """A semaphore of which the thread takes one for each chunk."""
        self._paused = False
        self._owed = False
        """The thread gets a turn when the input is no longer paused."""
        self._over = False
        # A daemon: if another program takes the data that it waits for, it may still be blocked at the end.
        Thread(target=self._run, name=f"read {descriptor}", daemon=True).start()

    def pause(self) -> None:
        """Stop reading for now. The chunk that is being read may still arrive."""
        self._paused = True

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._owed:
            self._owed = False
            self._turns.release()

    def close(self) -> None:
        """Stop reading for good. The descriptor stays open for other programs that have it."""
        if not self._over:
            self._over = True
            self._wake_up.set()
            self._turns.release()

    def _run(self) -> None:
        error: OSError | None = None
        try:
            while data := self._read():
                self._call(self._take, data)
        except OSError as problem:
            error = None if problem.errno == errno.EIO else problem  # EIO: the terminal is gone
        self._call(self._end, error)

    def _read(self) -> bytes:
        """Wait for a turn and for data. Returns nothing at the end, or once it is closed."""
        self._turns.acquire()
        while True:
            select.select([self._descriptor, self._wake_up.reader], [], [])
            if self._over:
                return b""
            try:
                return self._os_read(self._descriptor, READ)
            except BlockingIOError:
                pass  # another program has set O_NONBLOCK, and has taken the data

    def _take(self, data: bytes) -> None:
        if not self._over:
            self._received(data)
        if self._paused:
            self._owed = True
        else:
            self._turns.release()

    def _end(self, error: OSError | None) -> None:
        self._wake_up.close()
        if not self._over:
            self._over = True
            self._ended(error)


class Output:
    """Writes lines to a descriptor, in order."""

    def __init__(self, reactor: Any, descriptor: int, has_space: Callable[[], object], ended: Ended) -> None:
        """Start to write. `has_space` and `ended` are called in the reactor's thread.

        `ended` is called when everything is written after `close`, and also when nobody can read it any more, as when
        the reader of a pipe is gone. `has_space` is called when the output is no longer full.
        """
        self._call = reactor.callFromThread
        self._descriptor = descriptor
        self._has_space = has_space
        self._ended = ended
        self._wake_up = _WakeUp()
        self._lock = Lock()
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        """The number of bytes that are not written yet."""
        self._closing = False
        self._over = False
        self.full = False
        """True while too many bytes wait to be written."""
        Thread(target=self._run, name=f"write {descriptor}", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Write a line with its end; after `close`, nothing."""
        if self._closing:
            return
        with self._lock:
            self._lines.append(line)
            self._waiting += len(line)
            self.full = self._waiting >= HIGH
        self._wake_up.set()

    def close(self) -> None:
        """End once everything is written."""
        if not self._closing:
            self._closing = True
            self._wake_up.set()

    def abandon(self) -> None:
        """End now. Waiting lines are lost, and a write that blocks does so until the program ends."""
        with self._lock:
            self._lines.clear()
        self.close()
        self._finish(None)

    def _run(self) -> None:
        error: OSError | None = None
        try:
            while data := self._next():
                self._write(data)
                self._has_written(len(data))
        except OSError as problem:
            error = problem
        self._call(self._end, error)

    def _next(self) -> bytes:
        """Wait for lines to write. Returns nothing at the end. Raises `BrokenPipeError` if the reader is gone."""
        poll = select.poll()
        poll.register(self._wake_up.reader, select.POLLIN)
        if can_watch(self._descriptor):
            poll.register(self._descriptor, 0)
        while True:
            if data := self._take_lines():
                return data
            if self._closing:
                return b""
            for descriptor, _ in poll.poll():
                if descriptor == self._descriptor:
                    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                self._wake_up.clear()

    def _take_lines(self) -> bytes:
        lines: list[bytes] = []
        size = 0
        with self._lock:
            while self._lines and (not lines or size + len(self._lines[0]) <= WRITE):
                lines.append(self._lines.popleft())
                size += len(lines[-1])
        return b"".join(lines)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another program has set O_NONBLOCK
                select.select([], [self._descriptor], [])

    def _has_written(self, size: int) -> None:
        with self._lock:
            self._waiting -= size
            freed = self.full and self._waiting < HIGH // 2
            self.full = self.full and not freed
        if freed:
            self._call(self._has_space)

    def _end(self, error: OSError | None) -> None:
        self._closing = True
        self._wake_up.close()
        self._finish(error)

    def _finish(self, error: OSError | None) -> None:
        self.full = False
        if not self._over:
            self._over = True
            self._ended(error)

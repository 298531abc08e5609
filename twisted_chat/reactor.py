"""The reactor of the server: asyncio's, without a log context for each read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.main import installReactor
from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReadDescriptor

_log = Logger("twisted_chat.reactor")


class Reactor(AsyncioSelectorReactor):
    """Asyncio's reactor, which hands what can be read straight to its connection.

    Twisted's calls each connection in a log context of its own, which names the connection in lines of the old
    `twisted.python.log`. To make one takes seven calls of Python functions and three dictionaries for each read, a
    tenth of the processor time of a message to a single other member. Nothing here logs in the old way.
    """

    def addReader(self, reader: IReadDescriptor) -> None:
        readers: dict[Any, int] = self._readers  # as it is; Twisted says something else
        if reader in readers:
            return
        AsyncioSelectorReactor.addReader(self, reader)
        fd = readers.get(reader)
        if fd is not None:  # a file, which no selector takes, is polled
            self._asyncioEventloop.add_reader(fd, self._read, reader)  # in place of the reader that is there

    def _read(self, reader: IReadDescriptor) -> None:
        try:
            AsyncioSelectorReactor._readOrWrite(self, reader, True)
        except Exception:
            _log.failure("A connection could not be read from or ended; the others go on")


def install(loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Make this the reactor of the process, on an event loop or on asyncio's own."""
    installReactor(cast(Any, Reactor(loop)))


def event_loop(reactor: Any) -> asyncio.AbstractEventLoop | None:
    """Return the event loop of a reactor, for libraries of asyncio; None if it is not asyncio's reactor."""
    return reactor._asyncioEventloop if isinstance(reactor, AsyncioSelectorReactor) else None

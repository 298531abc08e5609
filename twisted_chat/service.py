"""Start and stop: the service that `twistd` runs."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from twisted.application.service import Service
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from . import __version__
from .chat import Chat
from .limits import Limits
from .log import Log, Unavailable, Unusable
from .places import Place, address_text, refusal
from .room import TAIL_BYTES, Soon
from .stores.retention import EVERYTHING, Keep
from .stores.sqlite.database import Durability
from .stores.sqlite.log import SQLiteLog

FAREWELL: Final = 3.0
"""Seconds that clients have to take what was written to them when the server stops. A supervisor that waits five
before it kills still sees the log closed."""

YOUNG_OBJECTS: Final = 10_000
"""New objects after which Python looks for cycles among them. The server makes none for a message; looking after 700
objects, as Python does by default, took 4 % of a busy server's time."""

_log = Logger()


class CannotStart(SystemExit, Exception):
    """The server cannot start; the text says why and what to do.

    `twistd` cleans up after an `Exception`: it removes its pid file and tells a parent that waits for its daemon. Of a
    `SystemExit` the interpreter prints the text alone, and ends with status 1. It takes both to have both.
    """


class Store(NamedTuple):
    """How the rooms' logs are kept."""

    database: str
    durability: Durability = "process"
    keep: Keep = EVERYTHING
    memory: int = TAIL_BYTES
    """Bytes of the newest messages that stay in memory."""

    def open(self, reactor: ReactorBase) -> Log:
        """Open the log; raises `Unusable`."""
        return SQLiteLog.open_file(self.database, reactor, self.durability, self.keep)


class ChatService(Service):
    """The server: a log, a chat on it, and its ports.

    It listens in `startService`, when `twistd --uid` has already changed the user: the files are that user's, and a
    port below 1024 has to come from systemd.
    """

    def __init__(
        self,
        reactor: ReactorBase,
        places: Sequence[Place],
        store: Store,
        limits: Limits | None = None,
        make_chat: Callable[..., Chat] = Chat,
    ) -> None:
        self._reactor = reactor
        self._places = places
        self._store = store
        self._limits = limits
        self._make_chat = make_chat
        self._ports: list[IListeningPort] = []

    def startService(self) -> None:
        """Open the log and listen everywhere; raises `CannotStart`, with all closed again.

        It returns when that is done, since only from here does an error reach `twistd`, its exit status, and whoever
        waits for its daemon.
        """
        self._log = self._open()
        self._chat = self._make_chat(self._reactor, self._log, self._limits, soon(self._reactor), self._store.memory)
        failures: list[Failure] = []
        self._turn_until(Deferred.fromCoroutine(self._start()).addErrback(failures.append))
        if failures:
            self._turn_until(self.stopService())
            failures[0].raiseException()
        gc.collect()
        gc.freeze()  # what lives as long as the server is not looked through again and again
        gc.set_threshold(YOUNG_OBJECTS)
        Service.startService(self)

    def _turn_until(self, done: Deferred[Any]) -> None:
        """Turn the reactor, which `twistd` does not run yet, until something is done."""
        while not done.called:
            self._reactor.iterate(0.01)

    def _open(self) -> Log:
        try:
            log = self._store.open(self._reactor)
        except Unusable as error:
            raise CannotStart(str(error)) from None
        _log.info("twisted_chat {version}, database {database}", version=__version__, database=self._store.database)
        return log

    async def _start(self) -> None:
        try:
            await self._chat.start()
        except Unavailable as error:
            raise CannotStart(f"{self._store.database} cannot be read: {error}") from None
        for place in self._places:
            try:
                port = await place.listen(self._chat)
            except Exception as error:  # each type of endpoint has its own ways to fail
                raise CannotStart(refusal(place, error)) from None
            self._ports.append(port)
            # Logged when the reactor runs: before that, a signal would kill, and a client get no answer.
            self._reactor.callWhenRunning(_log.info, "listening on {address}", address=address_text(port.getHost()))

    def stopService(self) -> Deferred[None]:
        """Tell everybody and close everything; fires when the log is closed, soon after `FAREWELL` at the latest."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # A port for datagrams is how its clients are told; all others only let new ones in.
        carriers = [port for port in self._ports if IUDPTransport.providedBy(port)]
        await _close([port for port in self._ports if port not in carriers])
        goodbye = maybeDeferred(self._chat.stop, "the server is shutting down")
        await _settled("telling all clients", goodbye.addTimeout(FAREWELL, self._reactor))
        await _close(carriers)
        await _settled("closing the log", maybeDeferred(self._log.close))
        # twistd would end itself with the signal that stopped it, and there is no public way to say that all is well.
        self._reactor._exitSignal = None


async def _close(ports: Sequence[IListeningPort]) -> None:
    for closed in [maybeDeferred(port.stopListening) for port in ports]:
        await _settled("closing a port", closed)


async def _settled(step: str, done: Deferred[Any]) -> None:
    """Wait for a step of stopping; where it fails, the others are taken all the same."""
    try:
        await done
    except TookTooLong:
        _log.warn("{step} took too long: some clients do not read", step=step)
    except Exception:
        _log.failure("{step} failed", step=step)


def soon(reactor: ReactorBase) -> Soon:
    """Make the cheapest function that has another called at the end of this turn: asyncio's own, where it runs."""
    call_soon: Callable[[Callable[[], None]], object] | None = None

    def call(function: Callable[[], None]) -> None:
        nonlocal call_soon
        if call_soon is None:
            try:
                call_soon = asyncio.get_running_loop().call_soon
            except RuntimeError:  # it is another reactor, or does not run yet
                reactor.callLater(0, function)
                return
        call_soon(function)

    return call

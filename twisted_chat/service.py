"""The service that `twistd` runs: how the server starts and stops."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TextIO, cast

from twisted.application.service import Service
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.logger import ILogObserver, Logger, LogPublisher, globalLogPublisher
from twisted.python.failure import Failure
from twisted.python.logfile import BaseLogFile

from . import __version__
from .allocator import give_back_freed_memory
from .chat import Chat
from .limits import Limits
from .log import Unavailable, Unusable
from .login import EVERYBODY, Login, Policy
from .logs.access import AccessLog
from .logs.bounded import bound
from .logs.files import log_files, reopen
from .passwords import Passwords
from .places import Place, TooPublic, address_text, is_public, page_address, refusal
from .reactor import event_loop
from .room import TAIL_BYTES, Soon
from .signals import SIGNALS, Signals
from .stores.opened import Opened
from .stores.postgresql.urls import is_url, without_password
from .stores.retention import EVERYTHING, Keep
from .stores.sqlite.database import Durability, discard
from .stores.sqlite.file import IN_MEMORY
from .stores.sqlite.store import open_store
from .supervisor import Supervisor

FAREWELL: Final = 3.0
"""Seconds that clients have to read everything written to them when the server stops. A supervisor that waits for five
seconds before it kills still sees the log closed."""

YOUNG_OBJECTS: Final = 10_000
"""New objects after which Python looks for cycles among them. The server makes none for a message; looking after 700
objects, as Python does by default, took 4 % of a busy server's time."""

SOME_OBJECTS: Final = 4
ALL_OBJECTS: Final = 40
"""The looks at new objects after which Python looks at all since the last such look, and the number of these after
which it looks at all objects. With its default of 10 for both, the former were 100,000 objects, which took 10 ms, and
the latter, which take 25 ms with a thousand busy connections, came nearly twice as often."""

IN_CLEAR: Final = (
    "traffic to {addresses} is not encrypted: others on its way can read and change everything, passwords, too; "
    "use --tls, or listen on 127.0.0.1 behind a proxy that has TLS"
)
"""The warning at the start of a server that is open to other machines without TLS."""

_log = Logger()


class CannotStart(SystemExit, Exception):
    """The server cannot start; the text says why and what to do.

    `twistd` cleans up after an `Exception`: it removes its pid file and tells a parent that waits for its daemon. Of a
    `SystemExit` the interpreter prints the text alone, and ends with status 1. It takes both to have both.
    """


class Stopped(CannotStart):
    """A signal stopped the server before it had started. This is not a failure, and the exit status is 0."""


class StoreSettings(NamedTuple):
    """The settings of the store."""

    database: str
    durability: Durability = "process"
    keep: Keep = EVERYTHING
    memory: int = TAIL_BYTES
    """The bytes of the newest messages that stay in memory."""

    @property
    def shown(self) -> str:
        """Its name, as a log may have it."""
        return without_password(self.database) if is_url(self.database) else self.database

    def open(self, reactor: ReactorBase) -> Opened | Deferred[Opened]:
        """Open the store. Raises `Unusable`, or fails with it."""
        if is_url(self.database):
            return self._open_postgresql(reactor)
        return open_store(self.database, reactor, self.durability, self.keep)

    def _open_postgresql(self, reactor: ReactorBase) -> Deferred[Opened]:
        loop = event_loop(reactor)
        if loop is None:
            raise Unusable("a database in PostgreSQL needs asyncio's reactor: leave out twistd's option --reactor")
        from .stores.postgresql.store import open_store  # here, since most servers do not have its packages

        return Deferred.fromFuture(loop.create_task(open_store(self.database, reactor, loop, self.keep)))

    def is_new(self) -> bool:
        """True if opening it creates a file."""
        return not (is_url(self.database) or os.path.lexists(self.database))

    def discard(self) -> None:
        """Remove a file that was created for a failed start, unless it contains messages."""
        if self.database != IN_MEMORY:
            discard(self.database)


class ChatService(Service):
    """The server: a log, a chat on it, and its ports.

    It listens in `startService`, when `twistd --uid` has already changed the user: the files are that user's, and a
    port below 1024 has to come from systemd.
    """

    def __init__(
        self,
        reactor: ReactorBase,
        places: Sequence[Place],
        store: StoreSettings,
        limits: Limits | None = None,
        policy: Policy = EVERYBODY,
        make_chat: Callable[..., Chat] = Chat,
        publisher: LogPublisher = globalLogPublisher,
        signals: Signals = SIGNALS,
        terminal: TextIO | None = None,
        reloads: Sequence[Callable[[], object]] = (),
        status: Sequence[Place] = (),
        supervisor: Supervisor | None = None,
        access_log: AccessLog | None = None,
        make_log_observer: Callable[[], ILogObserver] | None = None,
    ) -> None:
        """Make a service.

        `terminal` is the output for people while the server starts, if that is not standard error, as for a daemon. It
        is closed then. `reloads` are functions that read files again; they are called for SIGHUP, after the log file
        was opened anew and the certificates of the places were read. `status` are the places that are not for users:
        they are open before the others and after them. `access_log` is opened and closed by the service, and opened
        anew for SIGHUP. `make_log_observer` makes what writes the server's log in place of `twistd`.
        """
        self._reactor = reactor
        self._places = places
        self._store = store
        self._limits = limits
        self._policy = policy
        self._make_chat = make_chat
        self._publisher = publisher
        self._terminal = terminal
        self._signals = signals
        self._unbound: Callable[[], None] | None = None
        """The function that removes the bound on the entries of the server's log."""
        self._ports: list[IListeningPort] = []
        self._status = status
        self._status_ports: list[IListeningPort] = []
        self._reloads = [*dict.fromkeys(place.reload for place in (*places, *status)), *reloads]
        self._make_log_observer = make_log_observer
        self._access_log = access_log
        if access_log is not None:
            self._reloads.append(access_log.reopen)
        self._log_files: Sequence[BaseLogFile] = ()
        """The files of the server's log."""
        self._supervisor = supervisor or Supervisor(reactor, {})

    def setServiceParent(self, parent: Any) -> None:
        """Become a part of an application, whose component `ILogObserver` is what `twistd` logs to, if it has one."""
        if self._make_log_observer is not None:
            parent.setComponent(ILogObserver, self._make_log_observer())
        Service.setServiceParent(self, parent)

    def startService(self) -> None:
        """Open the log and listen everywhere; raises `CannotStart`, with all closed again and no new file left.

        It returns when that is done, since only errors from here reach `twistd`, its exit status, and the parent that
        waits for its daemon.
        """
        is_new = self._store.is_new()
        try:
            self._open_everything()
        except CannotStart as error:
            if is_new:
                self._store.discard()
            raise self._report(error) from None
        if self._terminal is not None:
            self._terminal.close()
        give_back_freed_memory()
        gc.collect()
        gc.freeze()  # objects that live as long as the server are not examined again
        gc.set_threshold(YOUNG_OBJECTS, SOME_OBJECTS, ALL_OBJECTS)
        Service.startService(self)

    def _report(self, error: CannotStart) -> CannotStart:
        """Write the reason to the terminal of a daemon, if it is one. Returns the error for `twistd` and the log."""
        if self._terminal is None or isinstance(error, Stopped):
            return error
        _log.critical("{reason}", reason=str(error))
        with suppress(OSError), self._terminal:  # the terminal may have gone
            self._terminal.write(f"twistd chat: {error}\n")
        return CannotStart("the reason is above, and in the log")

    def _open_everything(self) -> None:
        self._signals.start()
        self._log, self._registry, self._cluster, shared = self._open()
        self._login = Login(self._registry, Passwords(self._reactor), self._reactor, self._policy, shared)
        self._login.start()
        self._chat = self._make_chat(
            self._reactor,
            self._log,
            self._login,
            self._limits,
            soon(self._reactor),
            self._store.memory,
            cluster=self._cluster,
        )
        failures: list[Failure] = []
        self._turn_until(Deferred.fromCoroutine(self._start()).addErrback(failures.append))
        if failures:
            self._turn_until(self.stopService())
            failures[0].raiseException()
        self._signals.run(self._reactor, self._received, self._reload)

    def _open_access_log(self, access_log: AccessLog) -> None:
        try:
            access_log.open()
        except OSError as error:
            raise CannotStart(f"--access-log: {access_log.path} cannot be opened: {error.strerror}") from None
        self._chat.access_log = access_log.ended

    def _received(self, number: int) -> None:
        """Called for a signal that is to stop the server, in the reactor's thread."""
        _log.info("received {signal}, shutting down", signal=signal.Signals(number).name)
        with suppress(ReactorNotRunning):  # it stops already
            self._reactor.stop()

    def _reload(self) -> None:
        """Called for SIGHUP, in the reactor's thread. If one file cannot be read, the others follow nevertheless."""
        self._supervisor.reloading()
        self._reopen_log()
        _log.info("received SIGHUP, reading files again")
        for reload in self._reloads:
            try:
                reload()
            except Exception:
                _log.failure("reading a file again failed, and what was read before stays in use")
        self._supervisor.reloaded()

    def _reopen_log(self) -> None:
        try:
            reopen(self._log_files)
        except OSError as error:
            _log.error(
                "{path} cannot be opened anew, and the old log file stays in use: {why}",
                path=error.filename,
                why=error.strerror,
            )

    def _turn_until(self, done: Deferred[Any]) -> None:
        """Turn the reactor, which `twistd` does not run yet, until something is done."""
        while not done.called:
            self._reactor.iterate(0.01)

    def _open(self) -> Opened:
        results: list[Any] = []
        opening: Deferred[Any] = maybeDeferred(self._store.open, self._reactor)
        self._turn_until(opening.addBoth(results.append))
        opened = results[0]
        if isinstance(opened, Failure):
            if opened.check(Unusable):
                raise CannotStart(str(opened.value)) from None
            opened.raiseException()
        _log.info("twisted_chat {version}, database {database}", version=__version__, database=self._store.shown)
        return cast(Opened, opened)

    async def _start(self) -> None:
        if self._access_log is not None:
            self._open_access_log(self._access_log)
        in_clear: list[str] = []
        for place in self._status:
            await self._listen(place, self._status_ports, in_clear, "the status is served on {address}")
        try:
            await self._chat.start()
        except Unavailable as error:
            raise CannotStart(f"{self._store.shown} cannot be read: {error}") from None
        for place in self._places:
            self._check_signals()
            await self._listen(place, self._ports, in_clear, "listening on {address}")
        if in_clear:
            self._reactor.callWhenRunning(_log.warn, IN_CLEAR, addresses=", ".join(in_clear))
        self._check_signals()
        self._chat.is_open = True
        listening = ", ".join(address_text(port.getHost()) for port in self._ports)
        self._reactor.callWhenRunning(self._supervisor.ready, f"listening on {listening}")
        self._reactor.callWhenRunning(self._bound_log)

    async def _listen(self, place: Place, ports: list[IListeningPort], in_clear: list[str], text: str) -> None:
        """Listen on a place, and log that. Adds the port to `ports`, and to `in_clear` if others can read its bytes."""
        try:
            port = await place.listen(self._chat)
            ports.append(port)
            address = port.getHost()
            if place.for_this_machine and is_public(address):
                raise TooPublic
        except Exception as error:  # each type of endpoint has its own ways to fail
            raise CannotStart(refusal(place, error)) from None
        # Logged once the reactor runs: before that, a signal kills the server, and a client gets no answer.
        self._reactor.callWhenRunning(_log.info, text, address=address_text(address))
        if page := page_address(place.scheme, address):
            self._reactor.callWhenRunning(_log.info, "the chat is a web page at {page}", page=page)
        if place.in_clear and is_public(address):
            in_clear.append(address_text(address))

    def _check_signals(self) -> None:
        if self._signals.received:
            raise Stopped(0)

    def _bound_log(self) -> None:
        self._log_files = log_files(self._publisher)
        self._unbound = bound(self._publisher, self._reactor)

    def stopService(self) -> Deferred[None]:
        """Say goodbye to all clients and close everything. Fires once the log is closed, soon after `FAREWELL`."""
        Service.stopService(self)
        self._supervisor.stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # Clients over UDP get their goodbye through its port. The other ports only accept new clients.
        carriers = [port for port in self._ports if IUDPTransport.providedBy(port)]
        await _close([port for port in self._ports if port not in carriers])
        goodbye = maybeDeferred(self._chat.stop, "the server is shutting down")
        await _settled("telling all clients", goodbye.addTimeout(FAREWELL, self._reactor))
        await _close(carriers)
        self._login.stop()
        await _settled("taking leave of other servers", maybeDeferred(self._cluster.close))
        await _settled("closing the registry", maybeDeferred(self._registry.close))
        await _settled("closing the log", maybeDeferred(self._log.close))
        await _close(self._status_ports)
        if self._access_log is not None:
            self._access_log.close()
        if self._unbound is not None:
            self._unbound()
        # twistd would end itself with the signal that stopped it, and there is no public way to say that all is well.
        self._reactor._exitSignal = None


async def _close(ports: Sequence[IListeningPort]) -> None:
    for closed in [maybeDeferred(port.stopListening) for port in ports]:
        await _settled("closing a port", closed)


async def _settled(step: str, done: Deferred[Any]) -> None:
    """Wait for a step of stopping. If it fails, the other steps follow nevertheless."""
    try:
        await done
    except TookTooLong:
        _log.warn("{step} took too long: some clients do not read", step=step)
    except Exception:
        _log.failure("{step} failed", step=step)


def soon(reactor: ReactorBase) -> Soon:
    """Return the cheapest function that calls another one at the end of this turn: asyncio's own, if it runs."""
    call_soon: Callable[[Callable[[], None]], object] | None = None

    def call(function: Callable[[], None]) -> None:
        nonlocal call_soon
        if call_soon is None:
            try:
                call_soon = asyncio.get_running_loop().call_soon
            except RuntimeError:  # the reactor is another one, or does not run yet
                reactor.callLater(0, function)
                return
        call_soon(function)

    return call

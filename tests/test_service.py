"""How the server starts and stops."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, cast
from unittest import mock

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import ILogObserver, Logger, LogPublisher, globalLogPublisher, textFileLogObserver
from twisted.python.logfile import LogFile
from twisted.trial.unittest import TestCase

from twisted_chat import __version__, service
from twisted_chat.cluster import Cluster
from twisted_chat.limits import Limits
from twisted_chat.log import Log, Unavailable, Unusable
from twisted_chat.login import EVERYBODY
from twisted_chat.logs.access import AccessLog
from twisted_chat.logs.bounded import MOST
from twisted_chat.places import LINES, WIRES, Place, read_places
from twisted_chat.room import Soon
from twisted_chat.service import CannotStart, ChatService, StoreSettings, soon
from twisted_chat.signals import Signals
from twisted_chat.stores.opened import Opened
from twisted_chat.stores.sqlite.file import IN_MEMORY
from twisted_chat.supervisor import Supervisor

from .memory_registry import MemoryRegistry
from .ports import Port, Reactor
from .programs import folder


class SoonTests(TestCase):
    """Functions that are called soon run at the end of the turn."""

    def test_any_reactor_has_timers(self) -> None:
        clock = Clock()
        called: list[int] = []
        soon(cast(Any, clock))(lambda: called.append(1))
        self.assertEqual(called, [])
        clock.advance(0)
        self.assertEqual(called, [1])

    def test_asyncio_has_a_queue(self) -> None:
        clock = Clock()
        called: list[int] = []

        async def turn() -> None:
            call = soon(cast(Any, clock))
            for number in (1, 2):
                call(partial(called.append, number))
                self.assertEqual(len(called), number - 1)
                await asyncio.sleep(0)

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        thread = threading.Thread(target=loop.run_until_complete, args=[turn()])
        thread.start()  # of its own, since this one may run a loop already
        thread.join()
        self.assertEqual((called, clock.getDelayedCalls()), ([1, 2], []))


class FakeLog:
    """A log that can only be closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> Deferred[None]:
        self.is_closed = True
        return succeed(None)


class FakeStore(StoreSettings):
    """A store whose log is `log`; one named `unusable` cannot be opened."""

    log: FakeLog | None = None
    new = True
    is_discarded = False
    registry = MemoryRegistry()

    @property
    def is_closed(self) -> bool:
        assert self.log
        return self.log.is_closed and self.registry.is_closed

    def is_new(self) -> bool:
        return self.new

    def discard(self) -> None:
        assert self.log is None or self.log.is_closed
        self.is_discarded = True

    def open(self, reactor: object) -> Opened:
        if self.database == "unusable":
            raise Unusable("this disk is no disk")
        if self.database == "broken":
            raise ZeroDivisionError
        self.log = FakeLog()
        self.registry = MemoryRegistry()
        return Opened(cast(Log, self.log), self.registry)


class FakeChat:
    """A chat that starts and stops when it is told to."""

    def __init__(self) -> None:
        self.starting: Deferred[None] = succeed(None)
        self.goodbye: Deferred[None] = succeed(None)
        self.during_start: Callable[[], None] = lambda: None
        self.stopped_for = ""
        self.is_open = False
        self.access_log: object = None
        self.limits: Limits | None = None
        self.memory = 0

    def make(
        self,
        reactor: object,
        log: object,
        accounts: object,
        limits: Limits | None,
        soon: Soon,
        memory: int,
        cluster: Cluster,
    ) -> FakeChat:
        self.reactor = reactor
        self.limits = limits
        self.memory = memory
        return self

    def start(self) -> Deferred[None]:
        self.during_start()
        return self.starting

    def stop(self, why: str) -> Deferred[None]:
        self.stopped_for = why
        return self.goodbye


class Terminal(StringIO):
    """A terminal; with an error, one that has gone."""

    def __init__(self, error: OSError | None = None) -> None:
        super().__init__()
        self.said = ""
        self._error = error

    def write(self, text: str) -> int:
        if self._error is not None:
            raise self._error
        self.said += text
        return len(text)


def slow_place(listening: Deferred[Port]) -> Place:
    """Make a place that is open when the Deferred fires."""
    return Place("slow:", lambda chat: None, lambda _: cast(Any, listening))


class ServiceTests(TestCase):
    """The service opens everything, and closes everything."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.store = FakeStore(":memory:")
        self.chat = FakeChat()
        self.signals = Signals()
        self.reloads: list[Callable[[], object]] = []
        self.status: list[Place] = []
        self.access_log: AccessLog | None = None
        self.terminal: StringIO | None = None
        self.supervisor: Supervisor | None = None
        self.written: list[Any] = []
        self.publisher = LogPublisher(cast(ILogObserver, self.written.append))
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def service(self, *places: Place | str, limits: Limits | None = None) -> ChatService:
        """Make a service that listens at places: objects, ports of TCP, or such as `udp:1`."""
        made = []
        for place in places:
            if isinstance(place, str):
                option, _, port = place.rpartition(":")
                (place,) = read_places(self.reactor.as_base, [("--port", WIRES.get(option, LINES), port)], None)
            made.append(place)
        make_chat = cast(Any, self.chat.make)
        return ChatService(
            self.reactor.as_base,
            made,
            self.store,
            limits,
            EVERYBODY,
            make_chat,
            self.publisher,
            self.signals,
            self.terminal,
            self.reloads,
            self.status,
            self.supervisor,
            self.access_log,
        )

    def started(self, *places: Place | str) -> ChatService:
        made = self.service(*places)
        made.startService()
        return made

    def said(self) -> list[str]:
        return [
            event["log_format"].format(**event)
            for event in self.events
            if event.get("log_namespace") == service.__name__
        ]

    def cannot_start(self, *places: Place | str) -> str:
        """Start in vain; returns the reason."""
        ended = self.assertRaises(CannotStart, self.service(*places).startService)
        self.assertIsInstance(ended, SystemExit)
        return str(ended.code)

    def test_the_log_says_where_it_listens_once_it_serves(self) -> None:
        self.started("1", Place("there", LINES.make, lambda _: succeed(cast(Any, Port(UNIXAddress("/run/c.sock"))))))
        started = [f"twisted_chat {__version__}, database :memory:"]
        self.assertEqual(self.said(), started, "while the reactor does not run, nobody is served")
        self.reactor.run()
        self.assertEqual(self.said(), [*started, "listening on 127.0.0.1:1", "listening on /run/c.sock"])

    def test_the_log_says_where_the_page_is(self) -> None:
        port = cast(Any, Port(IPv4Address("TCP", "127.0.0.1", 14980)))
        self.started(Place("there", WIRES["web"].make, lambda _: succeed(port), scheme="http"))
        self.reactor.run()
        expected = ["listening on 127.0.0.1:14980", "the chat is a web page at http://127.0.0.1:14980/"]
        self.assertEqual(self.said()[1:], expected)

    def test_the_log_warns_once_of_what_other_machines_can_reach_without_tls(self) -> None:
        public, local = IPv4Address("TCP", "0.0.0.0", 2), IPv4Address("TCP", "127.0.0.1", 3)
        places = [slow_place(succeed(Port(address))) for address in (public, local, UNIXAddress("/run/chat.sock"))]
        encrypted = replace(slow_place(succeed(Port(IPv4Address("TCP", "0.0.0.0", 4)))), in_clear=False)
        self.started(*places, encrypted, slow_place(succeed(Port(IPv6Address("UDP", "::", 5)))))
        self.assertEqual(len(self.said()), 1, "while the reactor does not run, there is nothing to reach")
        self.reactor.run()
        (warning,) = [said for said in self.said() if "not encrypted" in said]
        self.assertTrue(warning.startswith("traffic to 0.0.0.0:2, udp [::]:5 is not encrypted: "), warning)

    def test_the_log_does_not_warn_of_what_only_this_machine_reaches(self) -> None:
        self.started("1", "udp:2")
        self.reactor.run()
        self.assertEqual(len(self.said()), 3, self.said())

    def test_the_status_is_open_before_everything_and_after_it(self) -> None:
        address = IPv4Address("TCP", "127.0.0.1", 9)
        closing: Deferred[None] = Deferred()
        listening: Deferred[Port] = Deferred()
        self.status = [slow_place(succeed(Port(address, closing)))]
        self.chat.during_start = lambda: self.said_at_start.append(*self.reactor.whenRunningHooks)
        self.said_at_start: list[object] = []
        self.reactor.callLater(0, listening.callback, Port(IPv4Address("TCP", "127.0.0.1", 1)))
        self.assertFalse(self.chat.is_open)
        made = self.started(slow_place(listening))
        self.assertEqual(len(self.said_at_start), 1)
        self.assertTrue(self.chat.is_open)
        self.reactor.run()
        served = ["the status is served on 127.0.0.1:9", "listening on 127.0.0.1:1"]
        self.assertEqual(self.said()[1:], served)
        stopped = made.stopService()
        self.assertTrue(self.store.is_closed)
        self.assertNoResult(stopped)
        closing.callback(None)
        self.successResultOf(stopped)

    def test_a_status_without_a_token_that_others_can_reach_ends_the_start(self) -> None:
        public = slow_place(succeed(Port(IPv4Address("TCP", "0.0.0.0", 9))))
        self.status = [replace(public, for_this_machine=True)]
        expected = "--status slow: can be reached from other machines: give it a --status-token FILE, or 127.0.0.1"
        self.assertEqual(self.cannot_start(), expected)
        self.status = [public]
        self.started()
        self.reactor.run()
        self.assertIn("traffic to 0.0.0.0:9 is not encrypted", self.said()[-1])

    def test_the_access_log_is_open_until_the_last_connection_has_ended(self) -> None:
        path = folder(self) / "access.log"
        self.access_log = AccessLog(str(path), self.reactor)
        made = self.service()
        self.assertFalse(path.exists(), "the user of the server is not known yet")
        made.startService()
        self.assertEqual(path.read_text(), "")
        self.assertEqual(self.chat.access_log, self.access_log.ended)
        self.successResultOf(made.stopService())
        self.assertRaises(AssertionError, self.access_log._add, {"time": ""})

    def test_an_access_log_that_cannot_be_opened_ends_the_start(self) -> None:
        self.access_log = AccessLog("/nowhere/access.log", self.reactor)
        expected = "--access-log: /nowhere/access.log cannot be opened: No such file or directory"
        self.assertEqual(self.cannot_start(), expected)
        self.assertTrue(self.store.is_closed)

    def test_the_chat_gets_its_limits_and_its_memory(self) -> None:
        self.store = FakeStore(":memory:", memory=7)
        self.service(limits=Limits(burst=7)).startService()
        self.assertEqual((self.chat.limits, self.chat.memory), (Limits(burst=7), 7))

    def test_python_seldom_looks_for_cycles(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(700, 10, 10)
        self.started()
        self.assertEqual(gc.get_threshold(), (service.YOUNG_OBJECTS, service.SOME_OBJECTS, service.ALL_OBJECTS))

    def test_a_log_that_cannot_be_opened_ends_the_start(self) -> None:
        self.store = FakeStore("unusable")
        self.assertEqual(self.cannot_start(), "this disk is no disk")
        self.store = FakeStore("broken")
        self.assertRaises(ZeroDivisionError, self.service().startService)

    def test_a_port_that_cannot_be_had_ends_the_start(self) -> None:
        in_use = CannotListenError("127.0.0.1", 1, OSError(errno.EADDRINUSE, "Address already in use"))
        self.reactor.refused = {1: in_use}
        expected = "something listens there already; stop it, or choose another place"
        self.assertEqual(self.cannot_start("1"), f"cannot listen on 127.0.0.1:1: {expected}")
        self.assertTrue(self.store.is_closed)
        self.assertEqual(self.cannot_start("udp:1"), f"cannot listen on udp 127.0.0.1:1: {expected}")

    def test_a_start_in_vain_leaves_no_new_database(self) -> None:
        self.reactor.refused = {1: OSError(errno.EACCES, "no")}
        self.cannot_start("1")
        self.assertTrue(self.store.is_discarded)
        self.store = FakeStore(":memory:")
        self.store.new = False
        self.cannot_start("1")
        self.assertFalse(self.store.is_discarded, "one that was there before stays")

    def test_a_daemon_says_on_its_terminal_why_it_cannot_start(self) -> None:
        self.terminal = Terminal()
        self.reactor.refused = {1: ValueError("it is late")}
        self.assertEqual(self.cannot_start("1"), "the reason is above, and in the log")
        self.assertEqual(self.terminal.said, "twistd chat: cannot listen on 127.0.0.1:1: it is late\n")
        self.assertEqual(self.said()[-1], "cannot listen on 127.0.0.1:1: it is late")

    def test_a_daemon_whose_terminal_has_gone_says_it_in_the_log(self) -> None:
        self.terminal = Terminal(OSError(errno.EIO, "it is gone"))
        self.reactor.refused = {1: ValueError("it is late")}
        self.cannot_start("1")
        self.assertEqual(self.said()[-1], "cannot listen on 127.0.0.1:1: it is late")

    def test_a_daemon_that_has_started_gives_its_terminal_up(self) -> None:
        self.terminal = Terminal()
        self.started()
        self.assertEqual((self.terminal.said, self.terminal.closed), ("", True))

    def test_a_signal_during_the_start_ends_it_with_status_0(self) -> None:
        self.terminal = Terminal()
        for places in (("1",), ()):
            self.signals = Signals()
            self.chat.during_start = partial(self.signals.receive, signal.SIGINT)
            self.assertEqual(self.cannot_start(*places), "0")
        self.assertEqual((self.terminal.said, self.reactor.tcpServers), ("", []))
        self.assertTrue(self.store.is_discarded)

    def test_a_signal_stops_the_reactor_once_it_runs(self) -> None:
        stopped: list[str] = []
        self.patch(self.reactor, "stop", lambda: stopped.append("stopped"))
        self.started()
        self.signals.receive(signal.SIGTERM)
        self.reactor.advance(0)
        self.assertEqual((stopped, self.said()[-1]), (["stopped"], "received SIGTERM, shutting down"))

    def test_sighup_reads_the_files_of_all_places_again_and_stops_nothing(self) -> None:
        read: list[str] = []

        def fail_to_read() -> None:
            read.append("first")
            raise ValueError("it is late")

        self.reloads = [lambda: read.append("other")]
        first, second = slow_place(succeed(Port(UNIXAddress("a")))), slow_place(succeed(Port(UNIXAddress("b"))))

        def read_second() -> None:
            read.append("second")

        third = replace(second, reload=read_second)
        self.started(replace(first, reload=fail_to_read), replace(second, reload=read_second), third)
        self.signals.receive(signal.SIGHUP)
        self.assertEqual(read, [], "not before the reactor takes its turn")
        self.reactor.advance(0)
        self.assertEqual(read, ["first", "second", "other"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.chat.stopped_for, "")

    def test_systemd_is_told_when_the_server_is_ready_reads_its_files_again_and_stops(self) -> None:
        told = mock.create_autospec(Supervisor, instance=True)
        self.supervisor = told
        self.reloads = [lambda: told.is_told("reads")]
        told.is_told = mock.Mock()
        made = self.started("1", "udp:2")
        self.assertEqual(told.mock_calls, [], "while the reactor does not run, nobody is served")
        self.reactor.run()
        self.assertEqual(told.mock_calls, [mock.call.ready("listening on 127.0.0.1:1, udp 127.0.0.1:2")])
        told.reset_mock()
        self.signals.receive(signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual(told.mock_calls, [mock.call.reloading(), mock.call.is_told("reads"), mock.call.reloaded()])
        told.reset_mock()
        self.chat.goodbye = Deferred()
        made.stopService()
        self.assertEqual(told.mock_calls, [mock.call.stopping()])

    def test_sighup_opens_the_log_file_anew(self) -> None:
        file = LogFile.fromFullPath(str(folder(self) / "chat.log"))
        self.publisher.addObserver(textFileLogObserver(file))
        self.started()
        self.reactor.run()
        log, moved = Logger(observer=self.publisher), f"{file.path}.old"
        log.info("one")
        os.rename(file.path, moved)
        log.info("two")
        self.signals.receive(signal.SIGHUP)
        self.reactor.advance(0)
        log.info("three")
        self.addCleanup(file.close)
        entries = [[line.split()[-1] for line in Path(path).read_text().splitlines()] for path in (moved, file.path)]
        self.assertEqual(entries, [["one", "two"], ["three"]])

    def test_a_log_file_that_cannot_be_opened_anew_stays_in_use(self) -> None:
        home = folder(self)
        file = LogFile.fromFullPath(str(home / "chat.log"))
        self.addCleanup(file.close)
        self.publisher.addObserver(textFileLogObserver(file))
        self.started()
        self.reactor.run()
        moved = home.with_name(f"{home.name}.old")
        home.rename(moved)
        self.addCleanup(shutil.rmtree, moved)
        self.signals.receive(signal.SIGHUP)
        self.reactor.advance(0)
        Logger(observer=self.publisher).info("kept")
        expected = f"{file.path} cannot be opened anew, and the old log file stays in use: No such file or directory"
        self.assertIn(expected, self.said())
        self.assertIn("kept", (moved / "chat.log").read_text())

    def test_a_signal_while_the_reactor_stops_changes_nothing(self) -> None:
        def stop() -> None:
            raise ReactorNotRunning

        self.patch(self.reactor, "stop", stop)
        self.started()
        self.signals.receive(signal.SIGINT)
        self.reactor.advance(0)

    def test_a_log_that_cannot_be_read_ends_the_start(self) -> None:
        self.chat.starting = Deferred()
        self.reactor.callLater(1, self.chat.starting.errback, Unavailable("a page is gone"))
        self.assertEqual(self.cannot_start("1"), ":memory: cannot be read: a page is gone")
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertTrue(self.store.is_closed)

    def test_nobody_is_let_in_before_the_chat_is_ready(self) -> None:
        self.chat.starting = Deferred()
        self.chat.starting.addCallback(lambda _: self.assertEqual(self.reactor.tcpServers, []))
        self.reactor.callLater(1, self.chat.starting.callback, None)
        self.started("1")
        self.assertEqual(len(self.reactor.tcpServers), 1)

    def test_an_endpoint_may_take_its_time(self) -> None:
        listening: Deferred[Port] = Deferred()
        self.reactor.callLater(1, listening.callback, Port(UNIXAddress("/run/chat.sock")))
        self.started(slow_place(listening))
        self.reactor.run()
        self.assertEqual(self.said()[-1], "listening on /run/chat.sock")

    def test_a_port_is_closed_again_when_the_next_cannot_be_had(self) -> None:
        closing: Deferred[None] = Deferred()
        self.reactor.callLater(1, closing.callback, None)
        self.cannot_start(
            slow_place(succeed(Port(UNIXAddress("/run/chat.sock"), closing))), slow_place(fail(OSError(errno.EACCES)))
        )
        self.assertTrue(closing.called)
        self.assertTrue(self.store.is_closed)

    def test_stopping_tells_everybody_and_closes_the_log(self) -> None:
        started = self.started()
        self.chat.goodbye = Deferred()
        stopped = started.stopService()
        self.assertEqual(self.chat.stopped_for, "the server is shutting down")
        self.assertNoResult(stopped)
        self.assertFalse(self.store.is_closed)
        self.chat.goodbye.callback(None)
        self.successResultOf(stopped)
        self.assertTrue(self.store.is_closed)

    def test_a_stop_by_a_signal_is_status_0(self) -> None:
        self.successResultOf(self.started().stopService())
        self.assertIsNone(self.reactor._exitSignal)

    def test_the_entries_of_the_log_are_bounded_from_when_it_serves_until_it_stops(self) -> None:
        log = Logger(observer=self.publisher)

        def writes() -> int:
            self.written.clear()
            for _ in range(10 * MOST):
                log.info("again")
            return len(self.written)

        started = self.started()
        self.assertEqual(writes(), 10 * MOST)
        self.reactor.run()
        self.assertEqual(writes(), MOST)
        self.successResultOf(started.stopService())
        self.assertEqual(writes(), 10 * MOST)

    def test_stopping_waits_a_while_for_slow_clients(self) -> None:
        started = self.started()
        self.chat.goodbye = Deferred()
        stopped = started.stopService()
        self.reactor.advance(service.FAREWELL - 0.1)
        self.assertNoResult(stopped)
        self.reactor.advance(0.1)
        self.successResultOf(stopped)
        self.assertTrue(self.store.is_closed)
        self.assertIn("some clients do not read", self.said()[-1])

    def test_stopping_waits_for_the_ports(self) -> None:
        closing: Deferred[None] = Deferred()
        stopped = self.started(slow_place(succeed(Port(UNIXAddress("chat.sock"), closing)))).stopService()
        self.assertEqual(self.chat.stopped_for, "")
        closing.callback(None)
        self.successResultOf(stopped)
        self.assertNotEqual(self.chat.stopped_for, "")

    def test_a_port_for_datagrams_is_closed_when_everybody_is_told(self) -> None:
        closing: list[str] = []
        self.patch(Port, "stopListening", lambda _: closing.append(self.chat.stopped_for))
        started = self.started("udp:14900")
        self.reactor.run()
        self.assertEqual(self.said()[-1], "listening on udp 127.0.0.1:14900")
        self.successResultOf(started.stopService())
        self.assertEqual(closing, ["the server is shutting down"])

    def test_stopping_goes_on_where_a_step_fails(self) -> None:
        closing: Deferred[None] = fail(OSError(errno.ENOENT, "the socket is gone"))
        started = self.started(slow_place(succeed(Port(UNIXAddress("chat.sock"), closing))))
        self.chat.goodbye = fail(RuntimeError("no voice"))
        self.successResultOf(started.stopService())
        self.assertTrue(self.store.is_closed)
        self.assertEqual(self.said()[-2:], ["closing a port failed", "telling all clients failed"])
        self.assertEqual(len(self.flushLoggedErrors(OSError, RuntimeError)), 2)


class StoreTests(TestCase):
    """The store of the options is SQLite's, or PostgreSQL's where the database is a URL."""

    def open(self, store: StoreSettings) -> Opened:
        opened = store.open(Reactor().as_base)
        assert isinstance(opened, Opened)
        return opened

    def test_the_password_of_a_url_is_not_shown(self) -> None:
        store = StoreSettings("postgresql://chat:secret@one,two:5433/chat?password=secret")
        self.assertEqual(store.shown, "postgresql://chat@one,two:5433/chat")
        self.assertFalse(store.is_new())

    def test_a_url_needs_the_reactor_of_asyncio(self) -> None:
        store = StoreSettings("postgresql://chat@one/chat")
        error = self.assertRaises(Unusable, store.open, Reactor().as_base)
        self.assertIn("leave out twistd's option --reactor", str(error))

    def test_it_is_opened_in_memory(self) -> None:
        store = StoreSettings(IN_MEMORY)
        log = self.open(store).log
        self.assertEqual(self.successResultOf(log.rooms(9)), [])
        self.successResultOf(log.close())
        store.discard()

    def test_a_file_that_was_made_in_vain_is_removed(self) -> None:
        home = folder(self)
        store = StoreSettings(str(home / "chat.sqlite"))
        self.assertTrue(store.is_new())
        log = self.open(store).log
        self.assertFalse(store.is_new())
        store.discard()
        self.assertIn("chat.sqlite", os.listdir(home), "while it is in use, it stays")
        self.successResultOf(log.close())
        store.discard()
        self.assertEqual(os.listdir(home), [])
        store.discard()
        self.assertEqual(os.listdir(home), [])

    def test_a_file_in_which_something_was_said_stays(self) -> None:
        path = str(folder(self) / "chat.sqlite")
        for content in ("CREATE TABLE room (id INTEGER); INSERT INTO room VALUES (1)", "CREATE TABLE other (id)"):
            with closing(sqlite3.connect(path)) as database:
                database.executescript(content)
            StoreSettings(path).discard()
            self.assertTrue(os.path.exists(path))
            os.unlink(path)

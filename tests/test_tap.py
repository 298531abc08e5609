"""What `twistd chat` takes, where it listens, and how it starts and ends."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, cast
from unittest import mock

import msgspec
from twisted.application.service import IService
from twisted.internet import asyncioreactor, reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError, ProcessTerminated
from twisted.internet.interfaces import IAddress, IUDPTransport
from twisted.internet.protocol import DatagramProtocol, Factory, ProcessProtocol, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import TestCase
from zope.interface import directlyProvides

from twisted_chat import __version__, tap
from twisted_chat.limits import Limits
from twisted_chat.log import Unavailable, Unusable
from twisted_chat.room import Soon
from twisted_chat.stores.retention import Keep

from .certificates import certificate

TIMEOUT = 30.0
"""Seconds after which a real server that does not do what it should is given up."""


def folder(test: TestCase) -> Path:
    """Make a folder that is gone after the test."""
    path = tempfile.mkdtemp()
    test.addCleanup(shutil.rmtree, path)
    return Path(path)


class Port:
    """Stands for a port that is open."""

    def __init__(self, address: IAddress, closing: Deferred[None] | None = None) -> None:
        self.address = address
        self.closing = closing

    def getHost(self) -> IAddress:
        return self.address

    def stopListening(self) -> Deferred[None] | None:
        return self.closing


class Reactor(MemoryReactorClock):
    """Keeps what was asked of it; some ports cannot be had."""

    _exitSignal: int | None = signal.SIGTERM

    def __init__(self, refused: dict[int, Exception] | None = None) -> None:
        super().__init__()
        self.refused = refused or {}

    def listenTCP(self, port: int, *args: Any, **kwargs: Any) -> Any:
        if port in self.refused:
            raise self.refused[port]
        super().listenTCP(port, *args, **kwargs)
        kind = IPv6Address if ":" in kwargs["interface"] else IPv4Address
        return Port(kind("TCP", kwargs["interface"], port))

    def listenUDP(self, port: int, protocol: DatagramProtocol, interface: str) -> Port:
        if port in self.refused:
            raise self.refused[port]
        opened = Port(IPv4Address("UDP", interface, port))
        directlyProvides(opened, IUDPTransport)
        return opened

    def iterate(self, delay: float = 0) -> None:
        self.advance(delay)


class OptionsTests(TestCase):
    """Each option is checked when it is read."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.patch(tap, "_reactor", lambda: self.reactor)

    def parse(self, *arguments: str) -> tap.Options:
        options = tap.Options()
        options.parseOptions([*arguments])
        return options

    def listens(self, *arguments: str) -> list[tuple[int, str]]:
        """Listen where the options say; returns each TCP port with its interface."""
        for place in self.parse(*arguments)["places"]:
            self.successResultOf(place.endpoint.listen(Factory()))
        return [(port, interface) for port, _, _, interface in self.reactor.tcpServers]

    def refuses(self, *arguments: str) -> str:
        """Return what is said about options that do not go."""
        return str(self.assertRaises(UsageError, self.parse, *arguments))

    def test_a_limit_is_a_number(self) -> None:
        for option, least in (
            ("--rate", 0),
            ("--memory", 0),
            ("--burst", 1),
            ("--connections", 1),
            ("--connections-per-address", 1),
        ):
            for text in ("many", str(least - 1), "1.5", ""):
                expected = f"{option} takes a whole number from {least} on, not '{text}'"
                self.assertEqual(self.refuses(option, text), expected)

    def test_listens_on_the_loopback_by_default(self) -> None:
        self.assertEqual(self.listens(), [(14900, "127.0.0.1")])

    def test_takes_a_number_and_an_interface(self) -> None:
        self.assertEqual(self.listens("--port", "0", "--interface", "0.0.0.0"), [(0, "0.0.0.0")])

    def test_takes_an_address_of_ipv6_with_brackets_and_without(self) -> None:
        self.assertEqual(self.listens("--interface", "::1"), [(14900, "::1")])
        self.assertEqual(self.listens("--interface", "[fe80::1%lo]")[1:], [(14900, "fe80::1%lo")])

    def test_resolves_a_host_name_and_prefers_ipv4(self) -> None:
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
        ]
        self.patch(socket, "getaddrinfo", lambda *_, **__: found)
        self.assertEqual(self.listens("--interface", "chat.example"), [(14900, "192.0.2.1")])
        found.pop()
        self.assertEqual(self.listens("--interface", "chat.example")[1:], [(14900, "2001:db8::1")])

    def test_takes_any_endpoint_and_any_number_of_them(self) -> None:
        listens = self.listens("--port", "tcp:1:interface=192.0.2.1", "--listen", "tcp6:2", "--listen", "3")
        self.assertEqual(listens, [(1, "192.0.2.1"), (2, "::"), (3, "127.0.0.1")])

    def test_takes_an_endpoint_within_an_endpoint(self) -> None:
        self.assertEqual(self.listens("--port", "haproxy:tcp:port=5"), [(5, "")])

    def test_takes_ports_for_datagrams(self) -> None:
        self.patch(
            socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]
        )
        for arguments, host, port in (
            (["14900"], "127.0.0.1", 14900),
            (["14900", "--interface", "::1"], "::1", 14900),
            (["14900", "--interface", "::1", "--port", "unix:chat.sock"], "::1", 14900),
            (["0.0.0.0:0"], "0.0.0.0", 0),
            (["[::1]:14900"], "::1", 14900),
            (["chat.example:14900"], "192.0.2.1", 14900),
        ):
            *_, place = self.parse("--udp", *arguments)["places"]
            self.assertEqual((place.host, place.port), (host, port))
        _, first, second = self.parse("--udp", "1", "--udp", "[::1]:2")["places"]
        self.assertEqual((first.text, second.text), ("udp 127.0.0.1:1", "udp [::1]:2"))

    def test_refuses_what_is_no_port_for_datagrams(self) -> None:
        start = "--udp takes a port, or an address and a port such as 127.0.0.1:14900 or [::1]:14900, not "
        for text in ("abc", "", ":14900", "::1:14900", "127.0.0.1:", "[::1]", "udp:14900:x"):
            self.assertEqual(self.refuses("--udp", text), f"{start}'{text}'")
        for port in ("65536", "-1"):
            self.assertEqual(self.refuses("--udp", f"[::1]:{port}"), f"--udp takes a port from 0 to 65535, not {port}")
        self.patch(socket, "getaddrinfo", mock.Mock(side_effect=socket.gaierror(-2, "Name or service not known")))
        self.assertIn("--udp takes an address or a name of this machine", self.refuses("--udp", "nowhere:1"))

    def test_takes_a_unix_socket(self) -> None:
        (place,) = self.parse("--port", "unix:/run/chat.sock")["places"]
        self.successResultOf(place.endpoint.listen(Factory()))
        self.assertEqual([address for address, *_ in self.reactor.unixServers], ["/run/chat.sock"])

    def test_takes_a_folder_of_certificates(self) -> None:
        home = folder(self)
        certificate(home)
        everywhere, one = f"tls:{home}:14943", f"tls:{home}:14944:interface=127.0.0.1"
        self.assertEqual(self.listens("--port", everywhere, "--listen", one), [(14943, "::"), (14944, "127.0.0.1")])

    def test_refuses_a_port_that_is_none(self) -> None:
        for port in ("-1", "65536"):
            self.assertEqual(self.refuses("--port", port), f"--port takes a port from 0 to 65535, not {port}")
            self.assertEqual(self.refuses("--listen", port), f"--listen takes a port from 0 to 65535, not {port}")
        for description in ("tcp:65536", "tcp6:port=65536", "ssl:65536", "haproxy:tcp:65536", "tls:/:65536"):
            self.assertIn("a port is a number from 0 to 65535, not '65536'", self.refuses("--port", description))
        self.assertIn("not 'http'", self.refuses("--port", "tcp:http"))

    def test_refuses_what_is_no_endpoint(self) -> None:
        start = "--port takes a number or an endpoint such as tcp:14900:interface=0.0.0.0, not "
        self.assertEqual(self.refuses("--port", "abc"), start + "'abc': Unknown endpoint type: 'abc'")
        self.assertEqual(self.refuses("--port", "tcp:1:backlog=many"), start + "'tcp:1:backlog=many'")
        for text, address in (
            ("tcp:0:interface=::1", r"\:\:1"),
            ("ssl:1:interface=fe80::1:backlog=1", r"fe80\:\:1"),
        ):
            refusal = f"{start}'{text}': the colons of an address are escaped, interface={address}"
            self.assertEqual(self.refuses("--port", text), refusal)
        self.assertEqual(self.refuses("--port", "stdio:"), start + "'stdio:': nobody can connect to stdio")

    def test_refuses_arguments(self) -> None:
        self.assertIn("no arguments, not 'extra'", self.refuses("extra", "more"))

    def test_refuses_tls_without_pyopenssl(self) -> None:
        with mock.patch.dict(sys.modules, {"OpenSSL": None}):
            for description in ("tls:/:1", "ssl:1"):
                self.assertIn("pip install 'twisted[tls]'", self.refuses("--port", description))

    def test_refuses_tls_without_certificates(self) -> None:
        self.assertIn("takes a folder of certificates, and '14943' is none", self.refuses("--port", "tls:14943"))
        home = folder(self)
        place = f"tls:{home}:14943"
        self.assertTrue(self.refuses("--port", place).endswith(f": no file *.pem in '{home}' has a certificate"))
        (home / "chain.pem").write_text("-----BEGIN CERTIFICATE-----\n")
        self.assertTrue(self.refuses("--port", place).endswith(f": no file *.pem in '{home}' has a private key"))
        self.assertIn("No such file or directory: /no.pem", self.refuses("--port", "ssl:1:privateKey=/no.pem"))

    def test_refuses_a_socket_that_systemd_did_not_hand_over(self) -> None:
        for which in ("index=0", "name=chat"):
            refusal = self.refuses("--port", f"systemd:domain=INET:{which}")
            self.assertIn("systemd has handed over no such socket", refusal)

    def test_refuses_an_interface_that_is_unknown(self) -> None:
        self.patch(socket, "getaddrinfo", mock.Mock(side_effect=socket.gaierror(-2, "Name or service not known")))
        start = "--interface takes an address or a name of this machine, and 'nowhere' is no name that is known"
        self.assertEqual(self.refuses("--interface", "nowhere"), f"{start}: Name or service not known")

    def test_refuses_an_interface_that_is_no_name(self) -> None:
        self.assertIn("and 'a..b' is no name that is known", self.refuses("--interface", "a..b"))

    def test_refuses_an_interface_that_would_not_be_used(self) -> None:
        refusal = self.refuses("--interface", "::1", "--port", "unix:chat.sock")
        self.assertEqual(refusal, "--interface goes with a port's number; in an endpoint, write interface=… instead")

    def test_refuses_what_says_nothing_of_what_is_kept(self) -> None:
        self.assertEqual(self.refuses("--durability", "full"), "--durability takes process or power, not 'full'")
        self.assertIn("--keep takes a time such as 12h, 90d, 8w or 2y, or a n", self.refuses("--keep", "ever"))

    def test_finds_the_database_in_the_current_folder(self) -> None:
        self.assertEqual(self.parse()["database"], os.path.abspath("chat.sqlite"))

    def test_takes_a_database_in_memory(self) -> None:
        self.assertEqual(self.parse("--database", ":memory:")["database"], ":memory:")

    def test_finds_the_database_where_twistd_goes_first(self) -> None:
        options, home = tap.Options(), folder(self)
        options.parent = cast(Any, {"rundir": str(home)})
        options.parseOptions(["--database", "a.sqlite"])
        self.assertEqual(options["database"], str(home / "a.sqlite"))

    def test_refuses_a_database_that_can_be_no_file(self) -> None:
        home = folder(self)
        for name in ("", str(home)):
            expected = f"--database takes the name of a file, such as chat.sqlite, and '{name}' is none"
            self.assertEqual(self.refuses("--database", name), expected)
        missing = f"--database needs a folder that is there: make '{home}/no' first, or name another"
        self.assertEqual(self.refuses("--database", f"{home}/no/a.sqlite"), missing)

    def test_refuses_a_database_that_cannot_be_written(self) -> None:
        home = folder(self)
        (home / "a.sqlite").touch()
        may = {str(home)}
        self.patch(os, "access", lambda path, mode: path in may)
        start = "--database needs a place to write to, and this user may not write to "
        self.assertEqual(self.refuses("--database", str(home / "a.sqlite")), f"{start}'{home}/a.sqlite'")
        may.clear()
        self.assertEqual(self.refuses("--database", str(home / "a.sqlite")), f"{start}'{home}'")

    def test_says_its_version(self) -> None:
        with redirect_stdout(StringIO()) as said:
            self.assertEqual(self.assertRaises(SystemExit, self.parse, "--version").code, 0)
        self.assertEqual(said.getvalue(), f"twisted_chat {__version__}\n")


class ReactorTests(TestCase):
    """The reactor is that of asyncio where nobody has chosen."""

    def test_takes_the_one_that_is_installed(self) -> None:
        self.patch(asyncioreactor, "install", self.fail)
        self.assertIs(tap._reactor(), reactor)

    def test_installs_one_where_none_is(self) -> None:
        ours = object()

        def install() -> None:
            sys.modules["twisted.internet.reactor"] = cast(Any, ours)

        import twisted.internet

        self.patch(asyncioreactor, "install", install)
        self.patch(twisted.internet, "reactor", ours)
        with mock.patch.dict(sys.modules):
            del sys.modules["twisted.internet.reactor"]
            self.assertIs(tap._reactor(), ours)


class BacklogTests(TestCase):
    """Many may ask to be let in at once."""

    def test_an_endpoint_gets_a_long_queue(self) -> None:
        for kind in ("tcp:1", "tcp6:1", "ssl:1", "tls:keys:1", "unix:chat.sock"):
            self.assertEqual(tap._with_backlog(kind), f"{kind}:backlog=4096")

    def test_whoever_says_a_number_gets_that(self) -> None:
        self.assertEqual(tap._with_backlog("tcp:1:backlog=7"), "tcp:1:backlog=7")

    def test_what_knows_no_queue_gets_none(self) -> None:
        self.assertEqual(tap._with_backlog("systemd:domain=INET:index=0"), "systemd:domain=INET:index=0")


class SoonTests(TestCase):
    """What is to happen soon happens at the end of the turn."""

    def test_another_reactor_has_a_timer(self) -> None:
        clock = Clock()
        called: list[int] = []
        tap._soon(cast(Any, clock))(lambda: called.append(1))
        self.assertEqual(called, [])
        clock.advance(0)
        self.assertEqual(called, [1])

    def test_asyncio_has_a_queue(self) -> None:
        clock = Clock()
        called: list[int] = []

        async def turn() -> None:
            soon = tap._soon(cast(Any, clock))
            for number in (1, 2):
                soon(partial(called.append, number))
                self.assertEqual(len(called), number - 1)
                await asyncio.sleep(0)

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        thread = threading.Thread(target=loop.run_until_complete, args=[turn()])
        thread.start()  # of its own, since this one may run a loop already
        thread.join()
        self.assertEqual((called, clock.getDelayedCalls()), ([1, 2], []))


class Log:
    """Stands for a store; `Log.opened` is the last one."""

    opened: Log
    kept: tuple[str, Keep]
    is_closed = False

    @classmethod
    def open_file(cls, path: str, reactor: object, durability: str, keep: Keep) -> Log:
        if path == "unusable":
            raise Unusable("this disk is no disk")
        cls.kept = durability, keep
        Log.opened = cls()
        return Log.opened

    def close(self) -> Deferred[None]:
        self.is_closed = True
        return succeed(None)


class Chat:
    """Stands for the chat; `Chat.made` is the last one."""

    made: Chat
    starting: Deferred[None] | None = None
    stopped_for = ""
    goodbye: Deferred[None]

    def __init__(self, reactor: Clock, log: Log, limits: Limits | None, soon: Soon, memory: int) -> None:
        Chat.made = self
        self.reactor = reactor
        self.limits = limits
        self.memory = memory
        self.goodbye = succeed(None)

    def start(self) -> Deferred[None]:
        return self.starting or succeed(None)

    def stop(self, why: str) -> Deferred[None]:
        self.stopped_for = why
        return self.goodbye


class Endpoint:
    """Listens when one likes."""

    def __init__(self) -> None:
        self.listening: Deferred[Port] = Deferred()

    def listen(self, factory: object) -> Deferred[Port]:
        return self.listening


class ServiceTests(TestCase):
    """The service opens everything, and closes everything."""

    def setUp(self) -> None:
        self.steady: list[object] = []
        self.patch(tap, "keep_steady", self.steady.append)
        self.patch(tap, "SQLiteLog", Log)
        self.patch(tap, "Chat", Chat)
        self.patch(tap, "JSONLinesFactory", lambda chat: Factory())
        self.reactor = Reactor()
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def service(self, *arguments: str, refused: dict[int, Exception] | None = None) -> IService:
        self.reactor = Reactor(refused)
        self.patch(tap, "_reactor", lambda: self.reactor)
        options = tap.Options()
        options.parseOptions(["--database", ":memory:", *arguments])
        return tap.makeService(options)

    def with_endpoint(self, *endpoints: Endpoint) -> tap.ChatService:
        places = [tap.Place("slow:", cast(Any, endpoint)) for endpoint in endpoints]
        return tap.ChatService(cast(Any, self.reactor), places, tap.Store(":memory:"))

    def said(self) -> list[str]:
        return [
            event["log_format"].format(**event) for event in self.events if event.get("log_namespace") == tap.__name__
        ]

    def refusal(self, error: Exception, *arguments: str) -> str:
        """Start with a port that fails so; returns what is said when the server ends."""
        service = self.service("--listen", "1", *arguments, refused={1: error})
        ended = self.assertRaises(tap.CannotStart, service.startService)
        self.assertIsInstance(ended, SystemExit)
        return str(ended.code)

    def test_says_where_it_listens_and_what_it_keeps(self) -> None:
        self.service("--port", "1", "--listen", "tcp6:2:interface=\\:\\:1").startService()
        self.assertEqual(len(self.said()), 1, "while the reactor does not run, nobody is served")
        self.reactor.run()
        self.assertEqual(
            self.said(),
            [
                f"twisted_chat {__version__}, database :memory:",
                "listening on 127.0.0.1:1",
                "listening on [::1]:2",
            ],
        )

    def test_timers_go_on_whoever_sets_the_clock(self) -> None:
        self.service()
        self.assertEqual(self.steady, [self.reactor])

    def test_limits_are_as_asked_for(self) -> None:
        self.service(
            "--rate", "0", "--burst", "7", "--connections", "8", "--connections-per-address", "9"
        ).startService()
        self.assertEqual(Chat.made.limits, Limits(rate=0, burst=7, connections=8, connections_per_address=9))

    def test_it_is_seldom_looked_for_cycles(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(700, 10, 10)
        self.service().startService()
        self.assertEqual(gc.get_threshold(), (tap.YOUNG_OBJECTS, 10, 10))

    def test_messages_are_kept_as_asked_for(self) -> None:
        self.service("--durability", "power", "--keep", "90d", "--keep", "1000").startService()
        self.assertEqual(Log.kept, ("power", Keep(90 * 86_400, 1_000)))

    def test_messages_are_kept_for_ever_by_default_and_survive_the_process(self) -> None:
        self.service().startService()
        self.assertEqual(Log.kept, ("process", Keep()))

    def test_no_more_connections_than_files(self) -> None:
        self.patch(resource, "getrlimit", lambda what: (256, 1024))
        raised: list[tuple[int, int]] = []
        self.patch(resource, "setrlimit", lambda what, limits: raised.append(limits))
        self.service().startService()
        assert Chat.made.limits
        self.assertEqual(Chat.made.limits.connections, 1024 - tap.FILES)
        self.assertEqual(raised, [(1024, 1024)], "as many as this process may have")

    def test_memory_is_in_mebibytes(self) -> None:
        self.service("--memory", "3").startService()
        self.assertEqual(Chat.made.memory, 3 * 2**20)

    def test_limits_by_default_are_those_of_the_library(self) -> None:
        self.service().startService()
        assert Chat.made.limits
        self.assertEqual(msgspec.structs.replace(Chat.made.limits, connections=Limits().connections), Limits())

    def test_says_where_a_socket_is(self) -> None:
        self.assertEqual(tap._address(UNIXAddress("/run/chat.sock")), "/run/chat.sock")
        self.assertEqual(tap._address(UNIXAddress("chat.sock")), os.path.abspath("chat.sock"))
        self.assertEqual(tap._address(UNIXAddress(None)), str(UNIXAddress(None)))

    def test_ends_when_the_log_cannot_be_opened(self) -> None:
        service = tap.ChatService(cast(Any, self.reactor), [], tap.Store("unusable"))
        self.assertEqual(self.assertRaises(tap.CannotStart, service.startService).code, "this disk is no disk")

    def test_ends_when_a_port_cannot_be_had_and_closes_the_others(self) -> None:
        in_use = CannotListenError("127.0.0.1", 1, OSError(errno.EADDRINUSE, "Address already in use"))
        refusal = self.refusal(in_use)
        expected = "cannot listen on 127.0.0.1:1: something listens there already; stop it, or choose another port"
        self.assertEqual(refusal, expected)
        self.assertTrue(Log.opened.is_closed)

    def test_says_what_to_do_about_a_port(self) -> None:
        for number, words in (
            (errno.EADDRNOTAVAIL, "this machine has no such address"),
            (errno.EACCES, "choose a port above 1023"),
            (errno.ENOENT, "make it first"),
            (errno.ENFILE, os.strerror(errno.ENFILE)),
        ):
            error = OSError(number, os.strerror(number))
            self.assertIn(words, self.refusal(error))
            self.assertIn(words, self.refusal(CannotListenError("127.0.0.1", 1, error)))
        self.assertIn("listens there already", self.refusal(CannotListenError(None, b"/run/a", "Cannot acquire lock")))
        self.assertEqual(self.refusal(ValueError("it is late")), "cannot listen on 127.0.0.1:1: it is late")

    def test_ends_when_the_log_cannot_be_read(self) -> None:
        service = self.service()
        starting: Deferred[None] = Deferred()
        self.patch(Chat, "starting", starting)
        self.reactor.callLater(1, starting.errback, Unavailable("a page is gone"))
        ended = self.assertRaises(tap.CannotStart, service.startService)
        self.assertEqual(str(ended), ":memory: cannot be read: a page is gone")
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertTrue(Log.opened.is_closed)

    def test_nobody_is_let_in_before_the_chat_is_ready(self) -> None:
        service = self.service()
        starting: Deferred[None] = Deferred()
        self.patch(Chat, "starting", starting)
        starting.addCallback(lambda _: self.assertEqual(self.reactor.tcpServers, []))
        self.reactor.callLater(1, starting.callback, None)
        service.startService()
        self.assertEqual(len(self.reactor.tcpServers), 1)

    def test_waits_for_an_endpoint_that_takes_its_time(self) -> None:
        endpoint = Endpoint()
        service = self.with_endpoint(endpoint)
        self.reactor.callLater(1, endpoint.listening.callback, Port(UNIXAddress("/run/chat.sock")))
        service.startService()
        self.reactor.run()
        self.assertEqual(self.said()[-1], "listening on /run/chat.sock")

    def test_closes_a_port_when_the_next_cannot_be_had(self) -> None:
        first, second = Endpoint(), Endpoint()
        closing: Deferred[None] = Deferred()
        first.listening.callback(Port(UNIXAddress("/run/chat.sock"), closing))
        second.listening.errback(OSError(errno.EACCES, ""))
        self.reactor.callLater(1, closing.callback, None)
        self.assertRaises(tap.CannotStart, self.with_endpoint(first, second).startService)
        self.assertTrue(closing.called)
        self.assertTrue(Log.opened.is_closed)

    def test_stopping_says_goodbye_and_closes_the_log(self) -> None:
        service = self.service()
        service.startService()
        chat = Chat.made
        chat.goodbye = Deferred()
        stopped = service.stopService()
        self.assertEqual(chat.stopped_for, "the server is shutting down")
        self.assertNoResult(stopped)
        self.assertFalse(Log.opened.is_closed)
        chat.goodbye.callback(None)
        self.successResultOf(stopped)
        self.assertTrue(Log.opened.is_closed)

    def test_stopping_ends_with_status_0(self) -> None:
        service = self.service()
        service.startService()
        self.successResultOf(service.stopService())
        self.assertIsNone(self.reactor._exitSignal)

    def test_stopping_waits_a_while_for_slow_clients(self) -> None:
        service = self.service()
        service.startService()
        Chat.made.goodbye = Deferred()
        stopped = service.stopService()
        self.reactor.advance(tap.FAREWELL - 0.1)
        self.assertNoResult(stopped)
        self.reactor.advance(0.1)
        self.successResultOf(stopped)
        self.assertTrue(Log.opened.is_closed)
        self.assertIn("some do not read", self.said()[-1])

    def test_stopping_waits_for_the_ports(self) -> None:
        endpoint, closing = Endpoint(), Deferred[None]()
        endpoint.listening = succeed(Port(UNIXAddress("chat.sock"), closing))
        service = self.with_endpoint(endpoint)
        service.startService()
        stopped = service.stopService()
        self.assertEqual(Chat.made.stopped_for, "")
        closing.callback(None)
        self.successResultOf(stopped)
        self.assertNotEqual(Chat.made.stopped_for, "")

    def test_a_port_for_datagrams_is_closed_when_all_are_told(self) -> None:
        closing: list[str] = []
        self.patch(Port, "stopListening", lambda _: closing.append(Chat.made.stopped_for))
        place = tap.UDPPlace("udp 127.0.0.1:14900", self.reactor, "127.0.0.1", 14900)
        service = tap.ChatService(cast(Any, self.reactor), [place], tap.Store(":memory:"))
        service.startService()
        self.reactor.run()
        self.assertEqual(self.said()[-1], "listening on udp 127.0.0.1:14900")
        self.successResultOf(service.stopService())
        self.assertEqual(closing, ["the server is shutting down"])

    def test_a_port_for_datagrams_that_cannot_be_had_is_told(self) -> None:
        self.reactor.refused[14900] = CannotListenError("127.0.0.1", 14900, OSError(errno.EADDRINUSE, "in use"))
        place = tap.UDPPlace("udp 127.0.0.1:14900", self.reactor, "127.0.0.1", 14900)
        service = tap.ChatService(cast(Any, self.reactor), [place], tap.Store(":memory:"))
        refusal = str(self.assertRaises(tap.CannotStart, service.startService))
        self.assertIn("cannot listen on udp 127.0.0.1:14900: something listens there already", refusal)

    def test_stopping_goes_on_where_a_step_fails(self) -> None:
        endpoint = Endpoint()
        closing: Deferred[None] = fail(OSError(errno.ENOENT, "the socket is gone"))
        endpoint.listening = succeed(Port(UNIXAddress("chat.sock"), closing))
        service = self.with_endpoint(endpoint)
        service.startService()
        Chat.made.goodbye = fail(RuntimeError("no voice"))
        self.successResultOf(service.stopService())
        self.assertTrue(Log.opened.is_closed)
        self.assertEqual(self.said()[-2:], ["closing a port failed", "telling all clients failed"])
        self.assertEqual(len(self.flushLoggedErrors(OSError, RuntimeError)), 2)


class Twistd(ProcessProtocol):
    """A real server in a folder of its own."""

    def __init__(self, test: TestCase, *arguments: str) -> None:
        self.output = ""
        self.ended: Deferred[int] = Deferred()
        """Fires with the exit status, or with a signal's number below zero."""
        self.home = folder(test)
        self._waiting: list[tuple[str, Deferred[re.Match[str]]]] = []
        root = str(Path(tap.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *arguments]
        self._process = reactor.spawnProcess(self, command[0], command, environment, str(self.home))
        test.addCleanup(self.kill)

    def kill(self) -> None:
        if not self.ended.called:
            self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        self._process.signalProcess(number)

    def says(self, pattern: str) -> Deferred[re.Match[str]]:
        """Wait until a line of the log matches."""
        said: Deferred[re.Match[str]] = Deferred()
        self._waiting.append((pattern, said))
        self._look()
        return said.addTimeout(TIMEOUT, reactor)

    def _look(self) -> None:
        for entry in self._waiting[:]:
            pattern, said = entry
            match = re.search(pattern, self.output)
            if match is not None:
                self._waiting.remove(entry)
                said.callback(match)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.output += data.decode()
        self._look()

    def processEnded(self, reason: Failure) -> None:
        end = cast(ProcessTerminated, reason.value)  # or `ProcessDone`, which has the same fields
        self.ended.callback(end.exitCode if end.signal is None else -end.signal)
        for _, said in self._waiting:
            said.errback(AssertionError(f"ended with {end}; said {self.output}"))


class ProcessTests(TestCase):
    """`twistd` itself, as people start it."""

    async def check_stops(self, number: int, *arguments: str) -> Twistd:
        """Start, connect somebody who does not read, stop; returns the server that has ended."""
        server = Twistd(self, *arguments)
        port = int((await server.says(r"listening on 127\.0\.0\.1:([1-9][0-9]*)\n"))[1])
        client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Protocol())
        client.transport.pauseProducing()
        self.addCleanup(client.transport.abortConnection)
        asked = reactor.seconds()
        server.signal(number)
        self.assertEqual(await server.ended, 0, server.output)
        self.assertLess(reactor.seconds() - asked, 5)
        return server

    async def test_ends_well_on_sigterm(self) -> None:
        server = await self.check_stops(signal.SIGTERM, "-n", "chat", "--port", "0")
        self.assertIn("asyncioreactor", server.output)
        self.assertIn(f"database {server.home}/chat.sqlite\n", server.output)
        self.assertTrue((server.home / "chat.sqlite").exists())

    async def test_ends_well_on_sigint_with_a_reactor_of_ones_choice(self) -> None:
        server = await self.check_stops(signal.SIGINT, "-r", "poll", "-n", "chat", "-p", "0", "-d", ":memory:")
        self.assertIn("pollreactor", server.output)
        self.assertEqual(os.listdir(server.home), [])

    async def test_says_what_is_wrong_with_an_option(self) -> None:
        server = Twistd(self, "-n", "chat", "--port", "abc")
        self.assertEqual(await server.ended, 1)
        self.assertIn("--port takes a number or an endpoint such as", server.output)
        self.assertNotIn("Traceback", server.output)

    async def check_cannot_start(self, *before: str) -> None:
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        server = Twistd(self, *before, "-n", "chat", "-p", "unix:chat.sock", "--listen", str(port))
        self.assertEqual(await server.ended, 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}: something listens there already", server.output)
        self.assertNotIn("Traceback", server.output)
        left = [name for name in os.listdir(server.home) if not name.startswith("chat.sqlite")]
        self.assertEqual(left, [], "neither a socket nor a pid file stays")

    async def test_says_that_a_port_is_in_use(self) -> None:
        await self.check_cannot_start()

    async def test_says_that_a_port_is_in_use_with_another_reactor(self) -> None:
        await self.check_cannot_start("-r", "epoll" if sys.platform == "linux" else "select")


class PluginTests(TestCase):
    """`twistd` finds the server."""

    async def test_twistd_lists_the_chat(self) -> None:
        server = Twistd(self, "--help")
        self.assertEqual(await server.ended, 0)
        self.assertRegex(server.output, r"\n +chat +A chat server")

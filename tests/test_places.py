"""Where the server listens, and what is said where it cannot."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import succeed
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from twisted_chat import places
from twisted_chat.certificates import Certificates
from twisted_chat.chat import Chat
from twisted_chat.descriptions import BACKLOG, MAX_PATH, with_backlog
from twisted_chat.places import (
    LINES,
    WIRES,
    Place,
    WrongPlace,
    address_text,
    is_public,
    page_address,
    read_places,
    refusal,
)
from twisted_chat.wire.jsonlines import JSONLines

from .certificates import certificate
from .ports import Reactor
from .programs import folder

CHAT = cast(Chat, SimpleNamespace(reactor=Clock(), rooms=SimpleNamespace(turn=None)))


class PlacesTests(TestCase):
    """Places are read, and opened."""

    def setUp(self) -> None:
        self.reactor = Reactor()

    def read(self, *texts: str, udp: str = "", interface: str | None = None) -> Reactor:
        """Open the first place as `--port`, others as `--listen`, one as `--udp`; returns the reactor with all."""
        self.reactor = Reactor()
        for place in self.places(*texts, udp=udp, interface=interface):
            self.successResultOf(place.listen(CHAT))
        return self.reactor

    def places(
        self,
        *texts: str,
        udp: str = "",
        interface: str | None = None,
        tls: Sequence[str] = (),
        files: Sequence[str] = (),
        home: Path | None = None,
    ) -> Sequence[Place]:
        options = ["--port", *["--listen"] * len(texts)]
        places = [(option, LINES, text) for option, text in zip(options, texts, strict=False)]
        places += [("--udp", WIRES["udp"], udp)] if udp else []
        places += [("--tls", WIRES["tls"], text) for text in tls]
        named: dict[str, Any] = dict(zip(("certificate", "key"), files, strict=False))
        return read_places(self.reactor.as_base, places, interface, folder=str(home or ""), **named)

    def refuses(self, *texts: str, **more: Any) -> str:
        """Return the error for wrong places."""
        return str(self.assertRaises(WrongPlace, self.places, *texts, **more))

    def resolve(self, *addresses: str) -> None:
        """Give every name these addresses."""
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        found = [
            (family, socket.SOCK_STREAM, 6, "", (address, 0))
            for family, address in zip(families, addresses, strict=True)
        ]
        self.patch(socket, "getaddrinfo", lambda *_, **__: found)

    def test_a_number_is_a_port_of_the_interface(self) -> None:
        self.assertEqual(self.read("0", "14900").tcp_ports, [(0, "127.0.0.1"), (14900, "127.0.0.1")])
        self.assertEqual(self.read("0", interface="0.0.0.0").tcp_ports, [(0, "0.0.0.0")])

    def test_an_address_of_ipv6_has_brackets_or_none(self) -> None:
        self.assertEqual(self.read("1", interface="::1").tcp_ports, [(1, "::1")])
        self.assertEqual(self.read("1", interface="[fe80::1%lo]").tcp_ports, [(1, "fe80::1%lo")])

    def test_a_host_name_is_resolved_and_ipv4_preferred(self) -> None:
        self.resolve("2001:db8::1", "192.0.2.1")
        self.assertEqual(self.read("1", interface="chat.example").tcp_ports, [(1, "192.0.2.1")])
        self.resolve("2001:db8::1")
        self.assertEqual(self.read("1", interface="chat.example").tcp_ports, [(1, "2001:db8::1")])

    def test_any_endpoint_may_be_named(self) -> None:
        reactor = self.read("tcp:1:interface=192.0.2.1", "tcp6:2", "3", "haproxy:tcp:port=4")
        self.assertEqual(reactor.tcp_ports, [(1, "192.0.2.1"), (2, "::"), (3, "127.0.0.1"), (4, "")])

    def test_a_port_for_datagrams_may_have_an_address(self) -> None:
        self.resolve("192.0.2.1")
        for text, interface, expected in (
            ("14900", None, ("127.0.0.1", 14900)),
            ("14900", "::1", ("::1", 14900)),
            ("0.0.0.0:0", None, ("0.0.0.0", 0)),
            ("[::1]:14900", None, ("::1", 14900)),
            ("chat.example:14900", None, ("192.0.2.1", 14900)),
        ):
            streams = ["unix:chat.sock"] if interface else ["1"]
            self.assertEqual(self.read(*streams, udp=text, interface=interface).udp_ports, [expected])

    def test_what_is_no_port_for_datagrams_is_refused(self) -> None:
        start = "--udp takes a port, or an address and a port such as 127.0.0.1:14900 or [::1]:14900, not "
        for text in ("abc", " ", ":14900", "::1:14900", "127.0.0.1:", "[::1]", "udp:14900:x"):
            self.assertEqual(self.refuses(udp=text), f"{start}'{text}'")
        for port in ("65536", "-1"):
            self.assertEqual(self.refuses(udp=f"[::1]:{port}"), f"--udp takes a port from 0 to 65535, not {port}")
        self.patch(socket, "getaddrinfo", mock.Mock(side_effect=socket.gaierror(-2, "Name or service not known")))
        self.assertIn("--udp takes an address or a host name", self.refuses(udp="nowhere:1"))

    def test_a_unix_socket_has_a_path(self) -> None:
        self.assertEqual([address for address, *_ in self.read("unix:/run/chat.sock").unixServers], ["/run/chat.sock"])

    def test_a_path_that_can_be_no_socket_is_refused(self) -> None:
        path = folder(self) / "notes"
        path.touch()
        start = f"--port 'unix:{path}' cannot be used: "
        expected = f"{start}'{path}' is there already, and is no socket: name another path"
        self.assertEqual(self.refuses(f"unix:{path}"), expected)
        self.assertIn(f"at most {MAX_PATH} bytes", self.refuses(f"unix:{'x' * (MAX_PATH + 1)}"))

    def test_a_unix_socket_that_cannot_be_opened_leaves_no_lock(self) -> None:
        path = folder(self) / "chat.sock"

        def refuse(*_: object, **__: object) -> None:
            (path.parent / "chat.sock.lock").symlink_to(str(os.getpid()))
            raise CannotListenError(None, str(path), OSError(errno.EACCES, "no"))

        reactor = Reactor()
        self.patch(reactor, "listenUNIX", refuse)
        (place,) = read_places(reactor.as_base, [("--port", LINES, f"unix:{path}")], None)
        self.failureResultOf(place.listen(CHAT), CannotListenError)
        self.assertEqual(os.listdir(path.parent), [])

    def test_a_port_may_have_an_address(self) -> None:
        for text, address in (
            ("0.0.0.0:1", ("0.0.0.0", 1)),
            ("[::]:1", ("::", 1)),
            ("localhost:1", ("127.0.0.1", 1)),
        ):
            (place,) = self.places(text)
            host, port = address
            self.assertEqual(self.read(text).tcp_ports, [(port, host)])
            self.assertEqual(place.text, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        self.assertEqual(self.refuses("127.0.0.1:65536"), "--port takes a port from 0 to 65535, not 65536")
        for text in ("::1:1", "[127.0.0.1]:1", "127.0.0.1:http", "[]:1", ":1"):
            self.assertIn(f"not '{text}'", self.refuses(text))

    def test_tls_has_a_folder_of_certificates(self) -> None:
        home = folder(self)
        certificate(home)
        reactor = self.read(f"tls:{home}:14943", f"tls:{home}:14944:interface=127.0.0.1")
        self.assertEqual(reactor.tcp_ports, [(14943, "::"), (14944, "127.0.0.1")])

    def test_a_wrong_port_is_refused(self) -> None:
        for port in ("-1", "65536"):
            self.assertEqual(self.refuses(port), f"--port takes a port from 0 to 65535, not {port}")
            self.assertEqual(self.refuses("1", port), f"--listen takes a port from 0 to 65535, not {port}")
        for description in ("tcp:65536", "tcp6:port=65536", "ssl:65536", "haproxy:tcp:65536", "tls:/:65536"):
            self.assertIn("a port is a number from 0 to 65535, not '65536'", self.refuses(description))
        self.assertIn("not 'http'", self.refuses("tcp:http"))

    def test_what_is_no_endpoint_is_refused(self) -> None:
        start = "--port takes a port or an endpoint such as tcp:14900:interface=0.0.0.0, not "
        self.assertEqual(self.refuses("abc"), start + "'abc'")
        self.assertEqual(self.refuses("tcp:1:backlog=many"), start + "'tcp:1:backlog=many'")
        for text, address in (
            ("tcp:0:interface=::1", r"\:\:1"),
            ("ssl:1:interface=fe80::1:backlog=1", r"fe80\:\:1"),
        ):
            expected = f"--port '{text}' cannot be used: escape the colons of the address, interface={address}"
            self.assertEqual(self.refuses(text), expected)
        self.assertEqual(self.refuses("stdio:"), "--port 'stdio:' cannot be used: nobody can connect to stdio")

    def test_tls_without_pyopenssl_is_refused(self) -> None:
        with mock.patch.dict(sys.modules, {"OpenSSL": None}):
            advice = f"TLS needs more packages: {sys.executable} -m pip install 'twisted[tls]'"
            for description in ("tls:/:1", "ssl:1"):
                expected = f"--port '{description}' cannot be used: {advice}"
                self.assertEqual(self.refuses(description), expected)
            self.assertEqual(self.refuses(tls=["1"], files=["chat.pem"]), advice)

    def test_tls_without_certificates_is_refused(self) -> None:
        self.assertIn(
            f"takes a folder of certificates, and '{os.path.abspath('14943')}' is not a folder",
            self.refuses("tls:14943"),
        )
        home = folder(self)
        start = f"--port 'tls:{home}:1' cannot be used: no certificate is in the files *.pem in '{home}': put "
        self.assertTrue(self.refuses(f"tls:{home}:1").startswith(start))

    def test_ssl_has_one_certificate(self) -> None:
        start = "--port 'ssl:1:privateKey=/no.pem' cannot be used: "
        expected = f"{start}'/no.pem' cannot be read: No such file or directory"
        self.assertEqual(self.refuses("ssl:1:privateKey=/no.pem"), expected)
        home = folder(self)
        certificate(home)
        path = home / "localhost.pem"
        apart = f"{path}:{home / 'trusted.crt'}"
        for files in (path, apart, f"privateKey={path}:certKey={path}"):
            self.assertEqual(self.read(f"ssl:1:{files}").tcp_ports, [(1, "")])
        address = f"ssl:port=1:privateKey={path}:interface=\\:\\:1:backlog=7"
        ((port, _, backlog, interface),) = self.read(address).tcpServers
        self.assertEqual((port, backlog, interface), (1, 7, "::1"))
        chain = f"ssl:1:{path}:extraCertChain=/no.pem"
        self.assertTrue(self.refuses(chain).endswith("'/no.pem' cannot be read: No such file or directory"))

    def test_what_ssl_no_longer_takes_is_refused(self) -> None:
        for argument in ("sslmethod=TLSv1_METHOD", "dhParameters=dh.pem"):
            name = argument.partition("=")[0]
            self.assertIn(f"leave out {name}: the server speaks TLS 1.2 and 1.3", self.refuses(f"ssl:1:{argument}"))
        self.assertIn("ssl: has no argument colour", self.refuses("ssl:1:colour=red"))

    def test_any_stream_may_have_tls_with_a_certificate_that_is_named(self) -> None:
        home = folder(self)
        certificate(home)
        for files in (["localhost.pem"], ["trusted.crt", "localhost.pem"]):
            self.reactor = Reactor()
            places = self.places(
                tls=["1", "0.0.0.0:2", "tcp6:3", "unix:chat.sock", "haproxy:tcp:4"], files=files, home=home
            )
            for place in places:
                self.successResultOf(place.listen(CHAT))
            ports = [(1, "127.0.0.1"), (2, "0.0.0.0"), (3, "::"), (4, "")]
            self.assertEqual(self.reactor.tcp_ports, ports)
            factories = [factory for _, factory, *_ in self.reactor.tcpServers]
            factories += [factory for _, factory, *_ in self.reactor.unixServers]
            names = [type(factory).__name__ for factory in factories]
            self.assertEqual(names, [*["TLSFactory"] * 3, "ProxyHeaderFactory", "TLSFactory"])
        self.assertEqual([place.text for place in places[:3]], ["127.0.0.1:1", "0.0.0.0:2", "tcp6:3"])

    def test_a_certificate_that_is_missing_or_wrong_is_told_with_its_option(self) -> None:
        home = folder(self)
        certificate(home)
        trusted = home / "trusted.crt"
        for files, expected in (
            ([], "--tls needs --certificate FILE, and --key FILE unless the same file has the key; 'twisted-chat "),
            (["no.pem"], f"--certificate cannot be used: '{home}/no.pem' cannot be read: No such file or directory"),
            (["trusted.crt"], f"--certificate cannot be used: no private key is in '{trusted}': "),
            ([""], f"--certificate takes a file, and '{home}' is a folder; for a folder, use --port tls:FOLDER:PORT"),
            (["trusted.crt", "."], f"--key takes a file, and '{home}' is a folder"),
        ):
            said = self.refuses(tls=["1"], files=files, home=home)
            self.assertTrue(said.startswith(expected), said)
        self.assertTrue(self.refuses(tls=["1"], files=[str(trusted)]).endswith("too, or name its file with --key"))
        self.assertTrue(
            self.refuses(tls=["1"], files=[str(trusted)] * 2).endswith("put the key of the certificate there too")
        )

    def test_what_has_certificates_of_its_own_gets_no_other(self) -> None:
        home = folder(self)
        certificate(home)
        for text in (f"tls:{home}:1", "ssl:1"):
            expected = f"--tls '{text}' cannot be used: it has certificates of its own: use --listen for it"
            self.assertEqual(self.refuses(tls=[text], files=[str(home / "localhost.pem")]), expected)

    def test_certificates_are_read_again_by_each_place_that_has_some(self) -> None:
        home = folder(self)
        certificate(home)
        path = str(home / "localhost.pem")
        read: list[Certificates] = []
        self.patch(Certificates, "reload", lambda certificates: read.append(certificates))
        for place in self.places("1", f"tls:{home}:2", f"ssl:3:{path}", tls=["4"], files=[path], udp="5"):
            place.reload()
        self.assertEqual(len(set(read)), 3)

    def test_places_with_the_same_certificate_read_it_once(self) -> None:
        home = folder(self)
        certificate(home)
        found = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        reloads = {place.reload for place in self.places(tls=["1", "2"], files=[str(home / "localhost.pem")])}
        for reload in reloads:
            reload()
        self.assertEqual([formatEvent(event)[:12] for event in found], ["certificates"])

    def test_what_is_neither_encrypted_nor_behind_a_proxy_is_in_clear(self) -> None:
        home = folder(self)
        certificate(home)
        path = str(home / "localhost.pem")
        texts = ("1", "tcp:1", f"tls:{home}:2", f"ssl:3:{path}", "haproxy:tcp:4")
        places = self.places(*texts, udp="5", tls=["6"], files=[path])
        self.assertEqual([place.in_clear for place in places], [True, True, False, False, False, True, False])

    def test_tls_listens_on_443_unless_a_port_is_named(self) -> None:
        home = folder(self)
        certificate(home)
        self.assertEqual(self.read(f"tls:path={home}", f"tls:{home}:port=1").tcp_ports, [(443, "::"), (1, "::")])

    def test_a_proxy_writes_its_header_before_tls_begins(self) -> None:
        home = folder(self)
        certificate(home)
        for place, wire in (("tcp:1", "JSONLines"), (f"tls:{home}:1", "TLSLayer")):
            ((_, factory, *_),) = self.read(f"haproxy:{place}").tcpServers
            transport: Any = StringTransport()
            protocol = cast(Any, factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)))
            protocol.makeConnection(transport)
            with mock.patch.object(JSONLines, "connectionMade"):
                protocol.dataReceived(b"PROXY TCP4 192.0.2.1 192.0.2.2 49474 14900\r\n")
            self.assertEqual(type(transport.protocol).__name__, wire)

    def test_the_clients_of_a_proxy_are_not_of_this_machine(self) -> None:
        """Whatever address the header has, and also without one."""
        home = folder(self)
        certificate(home)
        for text, is_local in (("haproxy:tcp:1", False), (f"haproxy:tls:{home}:1", False), ("tcp:1", True)):
            found: list[bool] = []
            for option in "listen", "web":
                self.reactor = Reactor()
                (place,) = read_places(self.reactor.as_base, [(f"--{option}", WIRES[option], text)], None)
                self.successResultOf(place.listen(CHAT))
                ((_, factory, *_),) = self.reactor.tcpServers
                if not is_local:
                    factory = cast(Any, factory)._factory
                built = cast(Any, factory).buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
                found.append(getattr(built, "wrappedProtocol", built).is_local)
            self.assertEqual(found, [is_local] * 2)

    def test_a_socket_that_systemd_did_not_hand_over_is_refused(self) -> None:
        for which in ("index=0", "name=chat"):
            for refused in (
                self.refuses(f"systemd:domain=INET:{which}"),
                self.refuses(udp=f"systemd:domain=INET:{which}"),
            ):
                self.assertIn("systemd has handed over no such socket", refused)

    def hand_over(self, kind: socket.SocketKind, family: socket.AddressFamily) -> int:
        """Make a socket that systemd hands over, whatever name is asked for. Returns the file descriptor."""
        with socket.socket(family, kind) as opened:
            if (family, kind) == (socket.AF_INET, socket.SOCK_STREAM):
                opened.listen()
            descriptor = os.dup(opened.fileno())

        def find(reactor: Any, description: str) -> AdoptedStreamServerEndpoint:
            domain = description.partition("domain=")[2].partition(":")[0]
            return AdoptedStreamServerEndpoint(reactor, descriptor, getattr(socket, f"AF_{domain}"))

        self.patch(places, "serverFromString", find)
        return descriptor

    def test_systemd_hands_over_a_socket_for_streams(self) -> None:
        self.addCleanup(os.close, self.hand_over(socket.SOCK_STREAM, socket.AF_INET))
        with mock.patch.object(places, "listen_handed_over", return_value=succeed(None)) as listen:
            self.read("systemd:domain=INET:name=chat")
        ((_, handed_over, _, backlog),) = [call.args for call in listen.mock_calls]
        self.assertEqual((handed_over.addressFamily, backlog), (socket.AF_INET, BACKLOG))

    def test_systemd_hands_over_a_socket_for_datagrams(self) -> None:
        descriptor = self.hand_over(socket.SOCK_DGRAM, socket.AF_INET)
        reactor = self.read(udp="systemd:domain=INET:name=chat-udp")
        self.assertEqual((reactor.adopted, reactor.udp_ports), ([(False, socket.AF_INET)], []))
        self.assertRaises(OSError, os.fstat, descriptor)

    def test_a_socket_of_another_type_is_refused(self) -> None:
        self.addCleanup(os.close, self.hand_over(socket.SOCK_DGRAM, socket.AF_INET))
        expected = "this socket is of another type: in its unit, write ListenStream= (systemd.socket(5))"
        place = "systemd:domain=INET:name=chat"
        self.assertEqual(self.refuses(place), f"--port '{place}' cannot be used: {expected}")
        self.addCleanup(os.close, self.hand_over(socket.SOCK_STREAM, socket.AF_INET))
        self.assertIn("in its unit, write ListenDatagram=", self.refuses(udp=place))

    def test_a_socket_of_another_domain_is_refused(self) -> None:
        for kind, option in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "listen")):
            self.addCleanup(os.close, self.hand_over(kind, socket.AF_UNIX))
            wrong = WIRES[option]
            error = self.assertRaises(
                WrongPlace,
                read_places,
                self.reactor.as_base,
                [(f"--{option}", wrong, "systemd:domain=INET:index=0")],
                None,
            )
            self.assertIn("this socket has another domain: write domain=UNIX", str(error))

    def test_a_wrong_description_of_a_socket_for_datagrams_is_explained(self) -> None:
        for wrong in ("systemd:", "systemd:domain=INET:index=x"):
            error = self.refuses(udp=wrong)
            self.assertEqual(
                error, f"--udp '{wrong}' cannot be used: write it as systemd:domain=INET:name=chat-udp.socket"
            )

    def test_an_unknown_interface_is_refused(self) -> None:
        self.assertIn("and 'a..b' is neither", self.refuses("1", interface="a..b"))
        self.patch(socket, "getaddrinfo", mock.Mock(side_effect=socket.gaierror(-2, "Name or service not known")))
        start = "--interface takes an address or a host name of this machine, and 'nowhere' is neither"
        self.assertEqual(self.refuses("1", interface="nowhere"), f"{start}: Name or service not known")

    def test_an_interface_that_would_not_be_used_is_refused(self) -> None:
        expected = "--interface is for a port number; in an endpoint, write interface=ADDRESS instead"
        self.assertEqual(self.refuses("unix:chat.sock", interface="::1"), expected)


class BacklogTests(TestCase):
    """Many clients may connect at once."""

    def test_an_endpoint_gets_a_long_queue(self) -> None:
        for kind in ("tcp:1", "tcp6:1", "unix:chat.sock"):
            self.assertEqual(with_backlog(kind), f"{kind}:backlog=4096")

    def test_a_queue_that_is_named_stays(self) -> None:
        self.assertEqual(with_backlog("tcp:1:backlog=7"), "tcp:1:backlog=7")

    def test_an_endpoint_without_a_queue_gets_none(self) -> None:
        self.assertEqual(with_backlog("systemd:domain=INET:index=0"), "systemd:domain=INET:index=0")


class TextTests(TestCase):
    """Places are told in a form that people can use."""

    def refusal(self, error: Exception) -> str:
        return refusal(Place("127.0.0.1:1", cast(Any, None), cast(Any, None)), error)

    def test_an_address_can_be_pasted_into_a_client(self) -> None:
        for address, text in (
            (IPv4Address("TCP", "127.0.0.1", 1), "127.0.0.1:1"),
            (IPv6Address("TCP", "::1", 1), "[::1]:1"),
            (IPv4Address("UDP", "127.0.0.1", 1), "udp 127.0.0.1:1"),
        ):
            self.assertEqual(address_text(address), text)

    def test_other_machines_may_reach_what_is_neither_the_loopback_nor_a_unix_socket(self) -> None:
        for kind, host, expected in (
            (IPv4Address, "0.0.0.0", True),
            (IPv4Address, "192.168.1.5", True),
            (IPv4Address, "127.0.0.1", False),
            (IPv4Address, "127.8.0.1", False),
            (IPv6Address, "::", True),
            (IPv6Address, "fe80::1%eth0", True),
            (IPv6Address, "::ffff:192.0.2.1", True),
            (IPv6Address, "::1", False),
            (IPv6Address, "::ffff:127.0.0.1", False),
        ):
            self.assertIs(is_public(kind("TCP", host, 1)), expected, host)
        self.assertFalse(is_public(UNIXAddress("/run/chat.sock")))

    def test_a_unix_socket_is_shown_with_its_whole_path(self) -> None:
        self.assertEqual(address_text(UNIXAddress("/run/chat.sock")), "/run/chat.sock")
        self.assertEqual(address_text(UNIXAddress("chat.sock")), os.path.abspath("chat.sock"))
        self.assertEqual(address_text(UNIXAddress(None)), str(UNIXAddress(None)))

    def test_the_address_of_a_page_is_one_for_a_browser(self) -> None:
        for address, expected in (
            (IPv4Address("TCP", "127.0.0.1", 14980), "https://127.0.0.1:14980/"),
            (IPv6Address("TCP", "::1", 443), "https://[::1]:443/"),
            (IPv4Address("TCP", "0.0.0.0", 14980), ""),
            (IPv6Address("TCP", "::", 14980), ""),
            (UNIXAddress("/run/chat.sock"), ""),
        ):
            self.assertEqual(page_address("https", address), expected)
        self.assertEqual(page_address("", IPv4Address("TCP", "127.0.0.1", 14980)), "")

    def test_a_page_has_a_scheme_unless_a_proxy_is_in_front(self) -> None:
        home = folder(self)
        certificate(home)
        texts = "14980", f"ssl:0:privateKey={home}/localhost.pem", "haproxy:tcp:14980", "unix:/run/web.sock"
        places = read_places(Reactor().as_base, [("--web", WIRES["web"], text) for text in texts], None)
        self.assertEqual([place.scheme for place in places], ["http", "https", "", "http"])

    def test_a_refusal_says_what_to_do(self) -> None:
        for number, words in (
            (errno.EADDRINUSE, "something listens there already; stop it, or choose another place"),
            (errno.EADDRNOTAVAIL, "this machine has no such address"),
            (errno.EACCES, "choose a port above 1023"),
            (errno.ENOENT, "make it first"),
            (errno.ENFILE, os.strerror(errno.ENFILE)),
        ):
            error = OSError(number, os.strerror(number))
            for refused in (error, CannotListenError("127.0.0.1", 1, error)):
                self.assertTrue(self.refusal(refused).startswith("cannot listen on 127.0.0.1:1: "))
                self.assertIn(words, self.refusal(refused))
        taken = CannotListenError(None, b"/run/a", "Cannot acquire lock")
        self.assertIn("listens there already", self.refusal(taken))
        self.assertEqual(self.refusal(ValueError("it is late")), "cannot listen on 127.0.0.1:1: it is late")

"""Places of the web over HTTP: what is answered, who may open a WebSocket, and what a connection may cost."""

from __future__ import annotations

import gc
import gzip
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, cast
from weakref import ref

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, Logger, LogPublisher, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from twisted_chat import web
from twisted_chat.http_visit import HEAD_SECONDS, IDLE_TICKS, MAX_HEAD, PRICE, SLOW_TICKS, Answer
from twisted_chat.limits import FULL_TURN, MAX_REFUSED, MAX_REFUSED_OF_ADDRESS, MAX_REST_SECONDS, Limits
from twisted_chat.logs.bounded import SECONDS, bound
from twisted_chat.messages import WireError
from twisted_chat.session import TICK_SECONDS
from twisted_chat.web.handshake import SHOWN, Origins, Refused, accept_key
from twisted_chat.web.site import CHAT, HSTS, MIN_GZIP, SAFETY, TYPES, Request, Site
from twisted_chat.web.visit import Visit, WebFactory, forwarded_for
from twisted_chat.wire.proxy import THIS_MACHINE, Network
from twisted_chat.wire.stream import CLOSE_SECONDS
from twisted_chat.wire.websocket import WebSocket

from .helpers import Server
from .ports import Reactor
from .test_jsonlines import TCPTransport
from .websockets import ACCEPT, KEY, PING, frame, frames, objects, request, text

ADDRESS = IPv4Address("TCP", "192.0.2.1", 49474)
PAGE = Path(web.__file__).with_name("page")


def headers(**given: str | Sequence[str]) -> Headers:
    found = Headers()
    for name, value in given.items():
        for one in [value] if isinstance(value, str) else value:
            found.addRawHeader(name.replace("_", "-"), one)
    return found


UPGRADE: Final[dict[str, Any]] = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": KEY.decode(),
}


class Section42HandshakeTests(SynchronousTestCase):
    """RFC 6455, section 4.2: the opening handshake."""

    def refused(self, **changed: Any) -> tuple[int, dict[bytes, bytes]]:
        error = self.assertRaises(Refused, accept_key, headers(**{**UPGRADE, **changed}))
        return error.status, dict(error.headers)

    def test_the_key_of_the_standard_gets_its_answer(self) -> None:
        self.assertEqual(accept_key(headers(**UPGRADE)), ACCEPT)

    def test_the_words_of_headers_are_lists_without_case(self) -> None:
        changed = {"Connection": ["keep-alive", "foo,  UPGRADE"], "Upgrade": "h2c, WebSocket"}
        self.assertEqual(accept_key(headers(**(UPGRADE | changed))), ACCEPT)

    def test_what_asks_for_no_websocket_is_told_to(self) -> None:
        expected = 426, {b"Upgrade": b"websocket", b"Connection": b"Upgrade"}
        for name, value in ("Upgrade", "h2c"), ("Connection", "close"), ("Upgrade", []), ("Connection", []):
            self.assertEqual(self.refused(**{name: value}), expected)

    def test_other_versions_are_told_which_one_there_is(self) -> None:
        for version in "8", "14", "013", "", ["13", "8"], []:
            expected = 426, {b"Sec-WebSocket-Version": b"13"}
            self.assertEqual(self.refused(Sec_WebSocket_Version=version), expected)

    def test_a_key_is_16_bytes(self) -> None:
        for key in "", "AAAA", "A" * 22, "A" * 24, "dGhlIHNhbXBsZSBub25jZQ", KEY.decode() * 2, [], [KEY.decode()] * 2:
            self.assertEqual(self.refused(Sec_WebSocket_Key=key), (400, {}))


class OriginTests(SynchronousTestCase):
    """Only this server's own page may use the chat, and pages that are named."""

    def test_what_is_no_browser_has_no_origin(self) -> None:
        Origins().check_origin(None, b"chat.example.org")

    def test_the_page_of_the_same_host_and_port_is_let_in(self) -> None:
        Origins().check_origin([b"http://127.0.0.1:14980"], b"127.0.0.1:14980")
        Origins().check_origin([b"https://Chat.example.org"], b"chat.example.ORG")

    def test_a_request_with_several_origins_is_refused(self) -> None:
        own = b"http://127.0.0.1:14980"
        for origins in [own, own], [b"http://evil.example", own], []:
            error = self.assertRaises(Refused, Origins().check_origin, origins, b"127.0.0.1:14980")
            self.assertEqual(error.status, 400)

    def test_other_pages_are_refused(self) -> None:
        for origin in (
            b"http://evil.example",
            b"http://127.0.0.1:14981",
            b"http://127.0.0.1",
            b"http://127.0.0.1:14980.evil.example",
            b"ftp://127.0.0.1:14980",
            b"null",
            b"",
            b"\xff",
        ):
            error = self.assertRaises(Refused, Origins().check_origin, [origin], b"127.0.0.1:14980")
            self.assertEqual(error.status, 403)
        self.assertIn("start the server with --web-origin", str(error))

    def test_over_tls_the_page_has_to_come_over_tls_too(self) -> None:
        Origins().check_origin([b"https://chat.example.org"], b"chat.example.org", is_secure=True)
        check = Origins(["http://localhost:8080"]).check_origin
        check([b"http://localhost:8080"], b"chat.example.org", is_secure=True)
        self.assertRaises(Refused, check, [b"http://chat.example.org"], b"chat.example.org", is_secure=True)

    def test_pages_that_are_named_are_let_in(self) -> None:
        origins = Origins(["https://Chat.example.org", "http://10.1.2.3:8080"])
        origins.check_origin([b"https://chat.example.org"], b"127.0.0.1:14980")
        origins.check_origin([b"http://10.1.2.3:8080"], b"127.0.0.1:14980")
        for origin in b"http://chat.example.org", b"https://chat.example.org:444":
            self.assertRaises(Refused, origins.check_origin, [origin], b"127.0.0.1:14980")

    def test_the_log_says_what_was_refused_and_what_to_do(self) -> None:
        refusals = logged(self)
        check = Origins().check_origin
        self.assertRaises(Refused, check, [b"https://chat.example.org:8443"], b"chat.example.org")
        self.assertEqual(
            refusals(),
            [
                "the page at https://chat.example.org:8443 asked for the chat at chat.example.org and was refused: if "
                "a proxy is in front, let it pass on the Host header with the port; if that page is another one that "
                "may use the chat, start the server with --web-origin https://chat.example.org:8443"
            ],
        )

    def test_the_log_has_no_more_than_the_beginning_of_what_a_stranger_sends_and_no_control_characters(self) -> None:
        refusals = logged(self)
        origin = b"\x1b[2J\xe4{x}" + b"x" * 8000
        error = self.assertRaises(Refused, Origins().check_origin, [origin], b"chat.example.org")
        (line,) = refusals()
        shown = "\\x1b[2j\\xe4{x}" + "x" * (SHOWN - 8) + "..."
        self.assertTrue(line.startswith(f"the page at {shown} asked for"), line)
        self.assertTrue(line.endswith(f" --web-origin {shown}"), line)
        self.assertIn(f"The page at '{shown}' ", str(error))

    def test_there_is_a_line_a_minute(self) -> None:
        clock = Reactor()
        written: list[Any] = []
        publisher = LogPublisher(cast(ILogObserver, written.append))
        bound(publisher, clock)
        self.patch(Origins, "_log", Logger("web", observer=publisher))
        for minute in range(3):
            for port in range(50):
                origin = b"http://evil.example:%d" % port
                self.assertRaises(Refused, Origins().check_origin, [origin], b"chat.example.org")
                self.assertRaises(Refused, Origins().check_host, b"evil%d.example" % port, False)
            self.assertEqual(len(written), 4 * minute + 2)
            clock.advance(0)
            clock.advance(SECONDS)
            self.assertEqual(len(written), 4 * minute + 4, "two lines with the number of the others")
            self.assertIn("… and 49 more in the last minute: ", formatEvent(written[-1]))


def logged(test: SynchronousTestCase) -> Callable[[], list[str]]:
    """Return a function that returns the lines about refusals that were logged since now."""
    events: list[Any] = []
    test.patch(Origins, "_log", Logger("web", observer=cast(ILogObserver, events.append)))
    return lambda: [formatEvent(event) for event in events]


class HostTests(SynchronousTestCase):
    """A name that somebody else has made lead here is not this server's (DNS rebinding)."""

    def status(self, host: bytes, is_proved: bool = False, origins: Origins | None = None) -> int:
        try:
            (origins or Origins()).check_host(host, is_proved)
        except Refused as refused:
            return refused.status
        return 200

    def test_addresses_and_names_of_this_machine_are_right(self) -> None:
        hosts = b"127.0.0.1:14980", b"192.0.2.7", b"[::1]:14980", b"[2001:db8::1]", b"localhost:1", b"chat.localhost"
        for host in *hosts, b"LOCALHOST", socket.gethostname().encode():
            self.assertEqual(self.status(host), 200)

    def test_other_names_are_refused_with_what_to_do(self) -> None:
        for host in b"evil.example:14980", b"localhost.evil.example", b"127.0.0.1.evil.example", b"0x7f000001", b"1":
            self.assertEqual(self.status(host), 421)
        error = self.assertRaises(Refused, Origins().check_host, b"chat.example.org:14980", False)
        self.assertIn("start it with --web-origin http://chat.example.org:14980", str(error))

    def test_the_log_says_which_name_is_unknown(self) -> None:
        refusals = logged(self)
        self.assertEqual((self.status(b"chat.example.org:14980"), self.status(b"127.0.0.1:14980")), (421, 200))
        (line,) = refusals()
        self.assertTrue(line.startswith("a request for chat.example.org:14980 was refused, since "), line)
        self.assertTrue(line.endswith(" start it with --web-origin http://chat.example.org:14980"), line)

    def test_names_that_are_given_are_right(self) -> None:
        origins = Origins(["https://chat.example.org"])
        self.assertEqual(self.status(b"Chat.Example.org:14980", origins=origins), 200)
        self.assertEqual(self.status(b"evil.example", origins=origins), 421)

    def test_a_name_is_proved_by_a_certificate_or_by_a_proxy(self) -> None:
        self.assertEqual(self.status(b"chat.example.org", is_proved=True), 200)

    def test_what_is_no_name_is_refused(self) -> None:
        for host in b"", b"a b", b"a:b", b"a/b", b"[::1", b"a:1:2", b"\xff", b"user@host":
            self.assertEqual(self.status(host, is_proved=True), 400)


class SiteTests(SynchronousTestCase):
    """The answers to requests."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "icons").mkdir(parents=True)
        (self.folder / "index.html").write_text("<!doctype html>")
        (self.folder / "chat.js").write_text("// привет\n" * MIN_GZIP)
        (self.folder / "icons" / "192.png").write_bytes(b"\x89PNG" + bytes(MIN_GZIP))
        (self.folder / "style.css").write_text(" " * MIN_GZIP)
        (self.folder / "notes.org").write_text("not served")
        self.site = Site(Origins(), self.folder)

    def ask(
        self, path: str, method: str = "GET", *, version: str = "HTTP/1.1", is_secure: bool = False, **given: Any
    ) -> Answer:
        found = headers(**{"Host": "127.0.0.1:14980", **given})
        return self.site.answer(Request(method.encode(), path.encode(), found, version.encode(), is_secure=is_secure))

    def test_a_file_is_served_with_its_type_and_its_tag(self) -> None:
        answer = self.ask("/")
        found = dict(answer.headers)
        self.assertEqual((answer.status, answer.body), (200, b"<!doctype html>"))
        self.assertEqual(found[b"Content-Type"], b"text/html; charset=utf-8")
        self.assertEqual(found[b"Cache-Control"], b"no-cache")
        self.assertRegex(found[b"ETag"], rb'"[0-9a-f]{24}"')
        self.assertEqual(self.ask("/index.html").body, answer.body)
        self.assertEqual(dict(self.ask("/icons/192.png").headers)[b"Content-Type"], b"image/png")

    def test_one_that_is_known_is_not_sent_again(self) -> None:
        tag = dict(self.ask("/").headers)[b"ETag"].decode()
        for known in tag, f"W/{tag}", f'"other", {tag}', "*", ['"other"', tag]:
            answer = self.ask("/", If_None_Match=known)
            self.assertEqual((answer.status, answer.body, dict(answer.headers)[b"ETag"]), (304, b"", tag.encode()))
        self.assertEqual(self.ask("/", If_None_Match='"other"').status, 200)

    def test_the_tag_changes_with_the_file(self) -> None:
        before = dict(self.ask("/").headers)[b"ETag"]
        (self.folder / "index.html").write_text("<!doctype html>\n")
        self.site = Site(Origins(), self.folder)
        self.assertNotEqual(dict(self.ask("/").headers)[b"ETag"], before)

    def test_a_long_text_is_compressed_for_those_that_take_it(self) -> None:
        plain = self.ask("/chat.js")
        self.assertEqual(dict(plain.headers)[b"Vary"], b"Accept-Encoding")
        for choice in "gzip", "deflate, GZIP;q=0.5, br", "*", ["br", "gzip"], "gzip; q=1.0":
            answer = self.ask("/chat.js", Accept_Encoding=choice)
            found = dict(answer.headers)
            self.assertEqual(found[b"Content-Encoding"], b"gzip")
            self.assertEqual(gzip.decompress(answer.body), plain.body)
            self.assertNotEqual(found[b"ETag"], dict(plain.headers)[b"ETag"])
            self.assertEqual(
                self.ask("/chat.js", Accept_Encoding=choice, If_None_Match=found[b"ETag"].decode()).status, 304
            )
        self.assertIn((b"Content-Encoding", b"gzip"), self.ask("/style.css", Accept_Encoding="gzip").headers)
        for choice in "", "br", "gzip;q=0", "gzip; q=0.000, br", "identity":
            self.assertEqual(self.ask("/chat.js", Accept_Encoding=choice).body, plain.body)

    def test_short_files_and_pictures_are_not_compressed(self) -> None:
        for path in "/", "/icons/192.png":
            found = dict(self.ask(path, Accept_Encoding="gzip").headers)
            self.assertNotIn(b"Content-Encoding", found)
            self.assertNotIn(b"Vary", found)

    def test_what_is_not_there_is_said_to_a_person(self) -> None:
        for path in "/nothing", "/icons", "/icons/", "//", "", "/../setup.cfg", "/notes.org", "/%2e%2e/x", "*":
            answer = self.ask(path)
            self.assertEqual((answer.status, dict(answer.headers)[b"Content-Type"]), (404, TYPES["txt"]))
        self.assertEqual(answer.body, b"There is nothing here. The chat is at / on this server.\n")

    def test_a_whole_url_is_its_path(self) -> None:
        self.assertEqual(self.ask("http://localhost:14980/chat.js?a=/").body, self.ask("/chat.js").body)
        own = "http://127.0.0.1:14980"
        self.assertEqual(self.ask(f"{own}/chat", **UPGRADE, Origin=own).status, 101)
        self.assertEqual(self.ask("http://evil.example/chat", **UPGRADE).status, 421)

    def test_files_can_only_be_read(self) -> None:
        self.assertEqual(self.ask("/", "HEAD").status, 200)
        for method in "POST", "PUT", "DELETE", "OPTIONS", "get":
            answer = self.ask("/", method)
            self.assertEqual((answer.status, dict(answer.headers)[b"Allow"]), (405, b"GET, HEAD"))

    def test_every_answer_but_an_upgrade_has_the_headers_for_safety(self) -> None:
        for answer in self.ask("/"), self.ask("/nothing"), self.ask("/", Host="evil.example"), self.ask("/chat"):
            self.assertLessEqual(set(SAFETY), set(answer.headers))
        policy = dict(SAFETY)[b"Content-Security-Policy"]
        self.assertIn(b"default-src 'none'", policy)
        self.assertIn(b"require-trusted-types-for 'script'", policy)
        self.assertIn(b"frame-ancestors 'none'", policy)
        self.assertNotIn(b"unsafe", policy)

    def test_browsers_are_held_to_tls_only_where_they_came_by_a_name_over_tls(self) -> None:
        answer = self.ask("/", Host="chat.example.org", is_secure=True)
        self.assertEqual(answer.status, 200)
        self.assertIn(HSTS, answer.headers)
        for host in "localhost", "127.0.0.1", "[::1]:443":
            self.assertNotIn(HSTS, self.ask("/", Host=host, is_secure=True).headers)
        self.site = Site(Origins(["http://chat.example.org"]), self.folder)
        answer = self.ask("/", Host="chat.example.org")
        self.assertEqual(answer.status, 200)
        self.assertNotIn(HSTS, answer.headers)

    def test_a_name_that_is_not_this_servers_is_served_nothing(self) -> None:
        for path in "/", "/chat":
            self.assertEqual(self.ask(path, Host="evil.example", **UPGRADE).status, 421)
        self.assertEqual(self.ask("/", Host=["127.0.0.1", "localhost"]).status, 400)
        self.assertEqual(self.ask("/", Host=[]).status, 400)

    def test_a_websocket_is_accepted(self) -> None:
        answer = self.ask("/chat", **UPGRADE, Origin="http://127.0.0.1:14980")
        self.assertEqual((answer.status, answer.body), (101, b""))
        self.assertEqual(dict(answer.headers)[b"Sec-WebSocket-Accept"], ACCEPT)

    def test_a_websocket_of_another_page_is_refused(self) -> None:
        self.assertEqual(self.ask("/chat", **UPGRADE, Origin="http://evil.example").status, 403)
        self.assertEqual(self.ask("/chat", **UPGRADE, Origin="http://127.0.0.1:14980", is_secure=True).status, 403)

    def test_a_websocket_begins_with_get_and_http_1_1(self) -> None:
        answer = self.ask("/chat", "POST", **UPGRADE)
        self.assertEqual((answer.status, dict(answer.headers)[b"Allow"]), (405, b"GET"))
        self.assertEqual(self.ask("/chat", version="HTTP/1.0", **UPGRADE).status, 426)
        self.assertEqual(self.ask("/chat").status, 426)

    def test_the_page_of_the_package_is_whole(self) -> None:
        site = Site(Origins())
        there = {f"/{path.relative_to(PAGE)}".encode() for path in PAGE.rglob("*") if path.is_file()}
        self.assertEqual(site.paths, there | {b"/"})
        self.assertNotIn(CHAT, site.paths)


class ForwardedTests(SynchronousTestCase):
    """The last address of X-Forwarded-For that is no proxy's is the client's."""

    def test_the_client_is_the_last_one_that_is_no_proxy(self) -> None:
        for values, expected in (
            ([], ""),
            ([b"192.0.2.1"], "192.0.2.1"),
            ([b"198.51.100.1, 192.0.2.1"], "192.0.2.1"),
            ([b"198.51.100.1", b"192.0.2.1, 127.0.0.1"], "192.0.2.1"),
            ([b" 2001:DB8::0:1 "], "2001:db8::1"),
            ([b"127.0.0.2,127.0.0.1"], ""),
            ([b"::ffff:127.0.0.1"], ""),
            ([b"::ffff:192.0.2.1"], "192.0.2.1"),
            ([b'fe80::1%x nick=root cause="quit"\x1b[31m'], ""),
            ([b"192.0.2.1, unknown"], ""),
            ([b"192.0.2.1, unknown, 127.0.0.1"], ""),
            ([b"\xff"], ""),
            ([b""], ""),
        ):
            self.assertEqual(forwarded_for(values, THIS_MACHINE), expected)


class VisitTestCase(SynchronousTestCase):
    """Connections with a fake clock."""

    def setUp(self) -> None:
        self.make_server()

    def make_server(self, proxies: tuple[Network, ...] = (), **limits: Any) -> None:
        self.server = Server(limits=Limits(**limits)) if limits else Server()
        self.factory = WebFactory(self.server.chat, proxies=proxies)

    def connect(self, address: Any = ADDRESS) -> tuple[WebSocket, TCPTransport]:
        wire, transport = self.factory.buildProtocol(address), TCPTransport()
        wire.makeConnection(transport)
        return wire, transport

    def get(self, wire: WebSocket, transport: StringTransport, path: str = "/", **given: Any) -> tuple[int, bytes]:
        """Ask for a file. Returns the status and the head of the answer, without its body."""
        (answer,) = self.exchange(wire, transport, request(path, Upgrade=None, Connection=None, **given))
        return answer

    def exchange(self, wire: WebSocket, transport: StringTransport, data: bytes) -> list[tuple[int, bytes]]:
        wire.dataReceived(data)
        self.server.settle()
        return self.answers(transport)

    def answers(self, transport: StringTransport) -> list[tuple[int, bytes]]:
        data = transport.value()
        transport.clear()
        found = []
        while data:
            head, _, data = data.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1."))
            length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
            status = int(head.split()[1])
            found.append((status, head))
            data = data[0 if status in (101, 304) else length[0] :]
        return found


class FreedTests(VisitTestCase):
    """A connection that is lost is freed before anything looks for cycles."""

    def check_freed(self, *sent: bytes, silent: float = 0.0) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        wire, transport = self.connect()
        visit = wire.participant
        assert isinstance(visit, Visit)
        left: list[ref[Any]] = [ref(wire), ref(visit), ref(visit._channel)]
        for data in sent:
            wire.dataReceived(data)
            self.server.settle()
        self.server.clock.advance(silent)
        wire.connectionLost()
        del wire, transport, visit
        self.server.settle()
        self.assertEqual([found() for found in left], [None] * 3)

    def test_a_visit(self) -> None:
        plain = request("/", Upgrade=None, Connection=None)
        self.check_freed()
        self.check_freed(plain, b"GET /")
        self.check_freed(plain + plain)
        self.check_freed(request("/nothing", method="POST", Content_Length="3"))
        self.check_freed(b"garbage\r\n\r\n")

    def test_a_visit_that_was_silent(self) -> None:
        self.check_freed(silent=HEAD_SECONDS)

    def test_a_websocket(self) -> None:
        self.check_freed(request())
        self.check_freed(request(), text({"type": "hello", "nick": "bob"}), frame(PING))
        self.check_freed(request(), text({"type": "hello", "nick": "bob"}), frame(3))


class VisitTests(VisitTestCase):
    """A connection that speaks HTTP."""

    def test_a_page_is_one_write(self) -> None:
        wire, _ = self.connect()
        writes: list[bytes] = []
        wire.write = writes.append
        wire.dataReceived(request("/", Upgrade=None, Connection=None))
        self.assertEqual(len(writes), 1)
        head, _, body = writes[0].partition(b"\r\n\r\n")
        self.assertEqual(head.split(b"\r\n")[0], b"HTTP/1.1 200 OK")
        self.assertIn(b"\r\nDate: ", head)
        self.assertIn(b"Content-Length: %d\r\n" % len(body), head + b"\r\n")
        self.assertEqual(body, (PAGE / "index.html").read_bytes())

    def test_a_connection_serves_one_request_after_the_other(self) -> None:
        wire, transport = self.connect()
        for _ in range(3):
            self.assertEqual(self.get(wire, transport)[0], 200)
        self.assertFalse(transport.disconnecting)

    def test_requests_in_one_read_are_answered_in_order_one_a_turn(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(b"".join(request(path, Connection=None) for path in ("/", "/nothing", "/", "/no")))
        self.assertEqual([status for status, _ in self.answers(transport)], [200])
        self.assertEqual(transport.producerState, "paused")
        self.server.clock.turn()
        self.server.clock.turn()
        self.assertEqual([status for status, _ in self.answers(transport)], [404])
        self.server.settle()
        self.assertEqual([status for status, _ in self.answers(transport)], [200, 404])

    def test_a_request_that_comes_later_in_the_turn_waits_for_the_next_one(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(request("/", Connection=None) * 2)
        wire.dataReceived(request("/", Connection=None))
        self.assertEqual([status for status, _ in self.answers(transport)], [200])
        self.server.settle()
        self.assertEqual([status for status, _ in self.answers(transport)], [200, 200])

    def test_a_handshake_is_answered_with_one_write(self) -> None:
        wire, _ = self.connect()
        writes: list[bytes] = []
        wire.write = writes.append
        wire.dataReceived(request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
        (answer,) = writes
        self.assertTrue(answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"))
        self.assertNotIn(b"Extensions", answer)

    def test_one_that_does_not_read_is_answered_no_more(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(request("/", Connection=None) * 3)
        wire.participant.pauseProducing()
        transport.clear()
        self.server.settle()
        self.assertEqual((self.answers(transport), transport.producerState), ([], "paused"))
        wire.participant.resumeProducing()
        self.server.settle()
        self.assertEqual([status for status, _ in self.answers(transport)], [200, 200])
        self.assertEqual(transport.producerState, "producing")

    def test_in_a_full_turn_requests_line_up(self) -> None:
        wire, transport = self.connect()
        self.server.chat.rooms.turn.spend(FULL_TURN)
        wire.dataReceived(request("/", Connection=None))
        self.assertEqual(self.answers(transport), [])
        wire.dataReceived(request("/", Connection=None))
        self.server.settle()
        self.assertEqual([status for status, _ in self.answers(transport)], [200, 200])

    def test_a_request_costs_tokens(self) -> None:
        self.make_server(rate=10, burst=10 * PRICE)
        wire, transport = self.connect()
        count = 0
        for _ in range(1000):
            self.server.clock.advance(0.01)
            while transport.producerState == "producing":
                wire.dataReceived(request("/nothing", Connection=None))
                count += 1
        self.assertLessEqual(count, 10 + 10 * 10 // PRICE + 3)
        self.assertGreaterEqual(count, 20)

    def test_a_body_is_refused_unread(self) -> None:
        for given in {"Content_Length": "5"}, {"Transfer_Encoding": "chunked"}, {"Content_Length": "1" * 18}:
            wire, transport = self.connect()
            given["Expect"] = "100-continue"
            data = request("/", method="POST", Upgrade=None, Connection=None, **given) + b"hello"
            ((status, head),) = self.exchange(wire, transport, data)
            self.assertEqual(status, 413)
            self.assertIn(b"\r\nConnection: close", head)
            self.assertTrue(transport.disconnecting)

    def test_what_is_no_http_is_refused(self) -> None:
        for bad in (
            b'{"type":"hello"}\r\n\r\n',
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\nno header\r\n\r\n",
            b"\r\n\r\n\r\n",
        ):
            wire, transport = self.connect()
            wire.dataReceived(bad)
            self.server.settle()
            self.assertIn(transport.value()[:12], (b"HTTP/1.1 400", b""))
            if transport.value():
                self.assertTrue(transport.disconnecting)

    def test_close_and_old_versions_end_the_connection_after_the_answer(self) -> None:
        for data in request("/", Connection="close"), request("/", version="HTTP/1.0", Connection=None):
            wire, transport = self.connect()
            ((status, _),) = self.exchange(wire, transport, data + request("/"))
            self.assertEqual((status, transport.disconnecting), (200, True))

    def test_one_that_ends_does_not_rest(self) -> None:
        self.make_server(rate=1, burst=1)
        wire, _ = self.connect()
        visit = wire.participant
        wire.dataReceived(request("/", Connection="close"))
        self.assertIsNone(cast(Visit, visit)._rest)

    def test_head_is_an_answer_without_a_body(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(request("/", method="HEAD", Connection=None))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: %d" % (PAGE / "index.html").stat().st_size, head)
        self.assertEqual(body, b"")

    def test_a_known_file_has_no_length(self) -> None:
        wire, transport = self.connect()
        status, head = self.get(wire, transport, If_None_Match="*")
        self.assertEqual(status, 304)
        self.assertNotIn(b"Content-Length", head)

    def test_a_peer_that_has_closed_its_side_gets_its_answers(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(request("/", Connection=None) * 2 + b"GET")
        wire.readConnectionLost()
        self.server.settle()
        self.assertEqual([status for status, _ in self.answers(transport)], [200, 200])
        self.assertTrue(transport.disconnecting)
        wire, transport = self.connect()
        wire.readConnectionLost()
        self.assertTrue(transport.disconnecting)
        wire, transport = self.connect()
        wire.dataReceived(request("/", Connection=None) * 2)
        wire.readConnectionLost()
        self.server.settle()
        self.assertEqual([status for status, _ in self.answers(transport)], [200, 200])
        self.assertTrue(transport.disconnecting)

    def test_a_server_that_stops_ends_it(self) -> None:
        wire, transport = self.connect()
        self.server.chat.stop("the server is shutting down")
        self.server.settle()
        self.assertTrue(transport.disconnecting)
        wire.participant.end("again")
        self.assertEqual(transport.value(), b"")
        wire.dataReceived(request("/"))
        wire.connectionLost()
        self.server.settle()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class TimeTests(VisitTestCase):
    """A connection that sends no whole request ends."""

    def test_a_head_has_to_arrive_in_time(self) -> None:
        for head in b"", b"GET / HTTP/1.1\r\nHost: x\r\nA: b":
            _, transport = self.connect()
            wire, transport = self.connect()
            for byte in head:
                wire.dataReceived(bytes([byte]))
                self.server.clock.advance(HEAD_SECONDS / 40)
            self.assertFalse(transport.disconnecting)
            self.server.clock.advance(HEAD_SECONDS)
            self.assertTrue(transport.disconnecting)

    def test_a_tick_before_the_first_request_ends_nothing(self) -> None:
        self.connect()
        self.server.clock.advance(TICK_SECONDS - 1)
        _, transport = self.connect()
        self.server.clock.advance(1)
        self.assertFalse(transport.disconnecting)

    def test_one_that_waits_for_the_next_request_has_more_time(self) -> None:
        wire, transport = self.connect()
        self.get(wire, transport)
        wire.participant.pauseProducing()
        wire.participant.resumeProducing()
        self.server.clock.advance(HEAD_SECONDS)
        self.assertFalse(transport.disconnecting)

    def test_its_time_runs_from_its_first_byte(self) -> None:
        wire, transport = self.connect()
        self.get(wire, transport)
        self.server.clock.advance(HEAD_SECONDS)
        self.assertFalse(transport.disconnecting)
        wire.dataReceived(b"GET / HTTP/1.1\r\n")
        self.server.clock.advance(HEAD_SECONDS / 2)
        wire.dataReceived(b"Host: 127.0.0.1\r\n")
        self.server.clock.advance(HEAD_SECONDS / 2)
        self.assertTrue(transport.disconnecting)

    def test_a_head_has_a_maximum_size(self) -> None:
        wire, transport = self.connect()
        wire.dataReceived(b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD)
        ((status, _),) = self.answers(transport)
        self.assertEqual((status, transport.disconnecting, wire.cause), (431, True, "errors"))
        self.assertIsNone(cast(Visit, wire.participant)._call)
        wire, transport = self.connect()
        filler = "x" * (MAX_HEAD - len(request("/", Upgrade=None, A="")) + 4)
        self.assertEqual(self.get(wire, transport, A=filler)[0], 200)

    def test_bytes_of_a_head_are_not_free(self) -> None:
        self.make_server(rate=10, burst=100)
        wire, transport = self.connect()
        count = 0
        while transport.producerState == "producing":
            wire.dataReceived(b"G")
            count += 1
            self.assertLess(count, 450)

    def test_a_rest_has_a_maximum_and_is_one(self) -> None:
        self.make_server(rate=0.001, burst=1)
        wire, transport = self.connect()
        wire.dataReceived(b"G" * 5000)
        self.assertEqual(transport.producerState, "paused")
        calls = len(self.server.clock.getDelayedCalls())
        wire.dataReceived(b"G")  # as TLS may still have some
        self.assertEqual(len(self.server.clock.getDelayedCalls()), calls)
        self.server.clock.advance(MAX_REST_SECONDS)
        self.assertEqual(transport.producerState, "producing")

    def test_an_idle_connection_ends(self) -> None:
        wire, transport = self.connect()
        self.get(wire, transport)
        self.server.clock.pump([TICK_SECONDS] * (IDLE_TICKS - 1))
        self.get(wire, transport)
        self.server.clock.pump([TICK_SECONDS] * (IDLE_TICKS - 1))
        self.assertFalse(transport.disconnecting)
        self.server.clock.advance(TICK_SECONDS)
        self.assertEqual((transport.disconnecting, wire.cause), (True, "silent"))
        self.server.clock.advance(CLOSE_SECONDS)
        self.assertTrue(transport.disconnected)

    def test_one_that_reads_slowly_has_more_time(self) -> None:
        wire, transport = self.connect()
        self.get(wire, transport)
        wire.participant.pauseProducing()
        self.server.clock.pump([TICK_SECONDS] * (SLOW_TICKS - 1))
        self.assertFalse(transport.disconnecting)
        self.server.clock.advance(TICK_SECONDS)
        self.assertTrue(transport.disconnecting)

    def test_nothing_is_left_of_a_connection_that_is_lost(self) -> None:
        self.make_server(rate=1, burst=PRICE)
        wire, transport = self.connect()
        self.get(wire, transport)
        wire.dataReceived(request("/") * 2 + b"GET")
        wire.connectionLost()
        wire, transport = self.connect()
        wire.dataReceived(b"GET")
        wire.connectionLost()
        self.server.chat.stop("")
        self.server.settle()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class LimitTests(VisitTestCase):
    """The limits of addresses hold for connections that speak HTTP, as for all others."""

    def test_a_visit_is_a_connection_of_its_address(self) -> None:
        self.make_server(connections_per_address=2)
        wires = [self.connect() for _ in range(3)]
        statuses = [self.get(*connection)[0] for connection in wires]
        self.assertEqual(statuses, [200, 200, 503])
        self.assertTrue(wires[2][1].disconnecting)
        wires[0][0].connectionLost()
        wires[2][0].connectionLost()
        self.assertEqual(self.get(*self.connect())[0], 200)

    def test_a_websocket_beyond_the_limit_is_told_so_by_an_object(self) -> None:
        self.make_server(connections_per_address=1)
        self.connect()
        wire, transport = self.connect()
        wire.dataReceived(request() + text({"type": "hello", "nick": "alice"}))
        self.server.settle()
        received = objects(frames(transport.value().partition(b"\r\n\r\n")[2]))
        self.assertEqual([(obj["type"], obj.get("code")) for obj in received[:1]], [("error", "full")])
        self.assertTrue(transport.disconnecting)

    def test_a_crowd_is_cut(self) -> None:
        self.make_server(connections=1)
        for number in range(MAX_REFUSED + 2):
            _, transport = self.connect(IPv4Address("TCP", f"192.0.2.{number}", 49474))
        self.assertTrue(transport.disconnecting)
        self.assertEqual(transport.value(), b"")

    def test_a_banned_address_is_told_so(self) -> None:
        self.server.chat.accounts.rules.check_address = self.banned  # type: ignore[method-assign]  # as if it were
        status, head = self.get(*self.connect())
        self.assertEqual(status, 403)
        self.assertIn(b"Connection: close", head)

    def banned(self, address: str, now: int) -> None:
        raise WireError("banned", "your address is banned")


class ProxyTests(VisitTestCase):
    """Behind a proxy that is trusted, a client has the address that it names."""

    def upgrade(self, address: Any, **given: Any) -> WebSocket:
        wire, _ = self.open(address, **given)
        return wire

    def open(self, address: Any, **given: Any) -> tuple[WebSocket, TCPTransport]:
        wire, transport = self.connect(address)
        wire.dataReceived(request(**given))
        self.assertEqual(transport.value()[:12], b"HTTP/1.1 101")
        return wire, transport

    def test_the_address_of_a_trusted_proxy_is_replaced(self) -> None:
        self.make_server(THIS_MACHINE, connections_per_address=1)
        proxy = IPv4Address("TCP", "127.0.0.1", 1)
        first = self.upgrade(proxy, X_Forwarded_For="198.51.100.9, 192.0.2.1")
        second = self.upgrade(proxy, X_Forwarded_For="2001:db8::1")
        self.assertEqual((first.address, second.address), ("192.0.2.1", "2001:db8::1"))
        third, to_third = self.open(proxy, X_Forwarded_For="192.0.2.1")
        third.dataReceived(text({"type": "hello", "nick": "alice"}))
        self.assertTrue(to_third.disconnecting)
        first.connectionLost()
        third.connectionLost()
        fourth, to_fourth = self.open(proxy, X_Forwarded_For="192.0.2.1")
        fourth.dataReceived(text({"type": "hello", "nick": "alice"}))
        self.server.settle()
        self.assertFalse(to_fourth.disconnecting)

    def refused(self, address: Any, **given: Any) -> tuple[int, bytes]:
        wire, transport = self.connect(address)
        wire.dataReceived(request(**given))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def test_a_proxy_has_to_name_its_client(self) -> None:
        """Otherwise, everybody would be taken for somebody on this machine."""
        self.make_server(THIS_MACHINE)
        for address in IPv6Address("TCP", "::1", 1), UNIXAddress(b"/run/chat.sock"):
            for forwarded in None, "unknown":
                status, body = self.refused(address, X_Forwarded_For=forwarded)
                self.assertEqual(status, 403)
                self.assertIn(b"has to say in X-Forwarded-For", body)

    def test_a_proxy_on_this_machine_that_is_not_trusted_is_noticed(self) -> None:
        for address in "127.0.0.1", "127.8.8.8":
            status, body = self.refused(IPv4Address("TCP", address, 1), X_Forwarded_For="192.0.2.1")
            self.assertEqual(status, 403)
            self.assertIn(f"--trust-proxy {address}.".encode(), body)

    def test_and_by_whatever_else_proxies_add(self) -> None:
        local = IPv4Address("TCP", "127.0.0.1", 1)
        for name, value in (
            ("Forwarded", "for=192.0.2.1"),
            ("Via", "1.1 proxy"),
            ("X_Real_IP", "192.0.2.1"),
            ("x_forwarded_proto", "https"),
            ("CF_Connecting_IP", "192.0.2.1"),
        ):
            status, body = self.refused(local, **{name: value})
            self.assertEqual(status, 403)
            self.assertIn(f"as {name.replace('_', '-')} shows".lower().encode(), body.lower())
            self.assertEqual(self.upgrade(ADDRESS, **{name: value}).address, "192.0.2.1")

    def test_only_a_program_of_this_machine_counts_as_one(self) -> None:
        local = IPv4Address("TCP", "127.0.0.1", 1)
        for host in "127.0.0.1:14980", "localhost:14980", "[::1]", "chat.localhost":
            self.assertTrue(self.upgrade(local, Host=host).is_local)
        self.assertFalse(self.upgrade(ADDRESS, Host="127.0.0.1").is_local)

    def test_the_client_of_a_proxy_never_does(self) -> None:
        unix = UNIXAddress(b"/run/chat.sock")
        wire = self.upgrade(unix, X_Forwarded_For="127.0.0.1")
        self.assertEqual((wire.address, wire.is_local), ("127.0.0.1", False))
        self.make_server((ip_network("192.0.2.7"),))
        wire = self.upgrade(IPv4Address("TCP", "192.0.2.7", 1), X_Forwarded_For="127.0.0.1")
        self.assertEqual((wire.address, wire.is_local), ("127.0.0.1", False))

    def test_nor_where_a_proxy_may_say_nothing_of_itself(self) -> None:
        """Browsers that come through it need an origin with its name."""
        local = IPv4Address("TCP", "127.0.0.1", 1)
        self.factory = WebFactory(self.server.chat, ["https://chat.example.org"])
        self.assertFalse(self.upgrade(local, Host="127.0.0.1:14980").is_local)
        self.factory = WebFactory(self.server.chat, ["http://localhost:8080", "http://127.0.0.1:80", "http://[::1]"])
        self.assertTrue(self.upgrade(local, Host="127.0.0.1:14980").is_local)

    def test_behind_proxy_headers_what_the_proxy_adds_is_right(self) -> None:
        self.factory.is_proxied = True
        wire = self.upgrade(IPv4Address("TCP", "127.0.0.1", 1), X_Forwarded_Proto="https")
        self.assertFalse(wire.is_local)

    def test_a_proxy_at_a_unix_socket_is_trusted(self) -> None:
        wire = self.upgrade(UNIXAddress(b"/run/chat.sock"), X_Forwarded_For="192.0.2.1", Host="chat.example.org")
        self.assertEqual(wire.address, "192.0.2.1")

    def test_others_cannot_choose_their_address(self) -> None:
        self.make_server(THIS_MACHINE)
        self.assertEqual(self.upgrade(ADDRESS, X_Forwarded_For="198.51.100.9").address, "192.0.2.1")
        self.assertEqual(self.upgrade(ADDRESS).address, "192.0.2.1")

    def test_a_client_of_a_crowd_is_refused_with_a_status(self) -> None:
        self.make_server(THIS_MACHINE, connections_per_address=1)
        proxy = IPv4Address("TCP", "127.0.0.1", 1)
        for _ in range(1 + MAX_REFUSED_OF_ADDRESS):
            self.upgrade(proxy, X_Forwarded_For="192.0.2.1")
        wire, transport = self.connect(proxy)
        ((status, _),) = self.exchange(wire, transport, request(X_Forwarded_For="192.0.2.1"))
        self.assertEqual(status, 503)

    def test_the_connections_of_a_proxy_are_not_counted(self) -> None:
        self.make_server(THIS_MACHINE, connections_per_address=1)
        for _ in range(3):
            self.assertEqual(self.get(*self.connect(IPv4Address("TCP", "127.0.0.1", 1)))[0], 200)

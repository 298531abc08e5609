"""The site of the status: what is answered, and to whom."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.cluster import ClusterCondition
from twisted_chat.status import page
from twisted_chat.status.history import POINT_SECONDS
from twisted_chat.status.page import PLOTS, ceiling
from twisted_chat.status.site import is_this_machine, secret_of
from twisted_chat.status.visit import StatusFactory

from .helpers import Server as FakeServer
from .programs import TIMEOUT, Server
from .test_docs import read, table
from .test_status import open_server

TOKEN = b"0123456789abcdef"
HERE = IPv4Address("TCP", "127.0.0.1", 14990)


class Heard(NamedTuple):
    """An answer as a client reads it."""

    status: int
    headers: dict[str, str]
    text: str


class Browser:
    """A connection to the site."""

    def __init__(self, factory: StatusFactory, host: Any = HERE, address: str = "127.0.0.1") -> None:
        self.connection = factory.buildProtocol(IPv4Address("TCP", address, 40000))
        self.transport = StringTransport(hostAddress=host)
        self.connection.makeConnection(self.transport)

    @property
    def is_open(self) -> bool:
        return not self.transport.disconnecting

    @property
    def count(self) -> int:
        """The answers so far."""
        sent: bytes = self.transport.value()
        return sent.count(b"HTTP/1.1 ")

    def ask(
        self, path: str, *headers: str, method: str = "GET", host: str = "127.0.0.1:14990", body: str = ""
    ) -> Heard:
        """Send a request, and read the answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", body]
        self.send("\r\n".join(lines).encode())
        return self.read()

    def send(self, data: bytes) -> None:
        self.connection.dataReceived(data)

    def read(self) -> Heard:
        head, _, text = self.transport.value().decode().partition("\r\n\r\n")
        self.transport.clear()
        first, *lines = head.split("\r\n")
        return Heard(int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), text)

    def hang_up(self) -> None:
        self.connection.connectionLost(Failure(ConnectionDone()))


class SiteTestCase(SynchronousTestCase):
    """A site of a server that is ready."""

    def setUp(self) -> None:
        self.server = open_server()

    def site(self, token: bytes = b"") -> StatusFactory:
        site = StatusFactory(self.server.chat, token)
        site.startFactory()
        self.addCleanup(site.stopFactory)
        return site

    def ask(self, path: str, *headers: str, **more: str) -> Heard:
        """Ask a site without a token."""
        return Browser(self.site()).ask(path, *headers, **more)


class HealthTests(SiteTestCase):
    """Whether it answers, and whether it is ready."""

    def test_a_server_that_is_ready(self) -> None:
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.ask(path).status, 200)

    def test_a_server_that_stops_still_answers(self) -> None:
        self.server.chat.stop("the server is shutting down")
        self.assertEqual([self.ask(path).status for path in ("/healthz", "/readyz")], [200, 503])

    def test_strangers_are_not_told_why_it_is_not_ready(self) -> None:
        self.server.fake.trouble = "/var/lib/chat.sqlite is gone"
        heard = Browser(self.site(TOKEN)).ask("/readyz")
        self.assertEqual((heard.status, "sqlite" in heard.text), (503, False))
        heard = Browser(self.site(TOKEN)).ask("/readyz", f"Authorization: Bearer {TOKEN.decode()}")
        self.assertEqual((heard.status, "chat.sqlite is gone" in heard.text), (503, True))
        self.assertIn("/var/lib/chat.sqlite is gone", self.ask("/").text)

    def test_everything_is_answered_while_the_store_hangs(self) -> None:
        alice = self.server.welcome("alice", "lobby")
        self.server.fake.held |= {"append", "after", "open"}
        alice.say("hello")
        self.server.settle()
        self.server.clock.advance(60)
        self.assertEqual([self.ask(path).status for path in ("/healthz", "/readyz")], [200, 503])
        self.assertIn("\ntwisted_chat_ready 0.0\n", self.ask("/metrics").text)
        self.assertIn("has not stored a message for 60 s", self.ask("/").text)
        self.assertNotIn("append", self.server.fake.failing)


class AccessTests(SiteTestCase):
    """Who may see it."""

    def test_without_a_token_only_names_of_this_machine(self) -> None:
        for path in ("/", "/metrics"):
            self.assertEqual(self.ask(path, host="localhost:14990").status, 200)
            self.assertEqual(self.ask(path, host="[::1]:14990").status, 200)
            self.assertEqual(self.ask(path, host="evil.example").status, 421)
        self.assertEqual(self.ask("/readyz", host="chat.example.org").status, 200)

    def test_a_whole_url_is_its_path_and_its_host(self) -> None:
        for path in ("/", "/metrics", "/readyz"):
            self.assertEqual(self.ask(f"http://127.0.0.1:14990{path}?a=/").status, 200)
        self.assertEqual(self.ask("http://evil.example/metrics").status, 421)

    def test_who_names_two_hosts_is_not_believed(self) -> None:
        self.assertEqual(self.ask("/metrics", "Host: localhost", host="evil.example").status, 421)

    def test_over_a_unix_socket_any_name_will_do(self) -> None:
        browser = Browser(self.site(), UNIXAddress("/run/status.sock"))
        self.assertEqual(browser.ask("/metrics", host="status.example.org").status, 200)

    def test_which_hosts_are_this_machine(self) -> None:
        names = (b"", b"localhost", b"LOCALHOST:80", b"127.0.0.1", b"192.0.2.1:14990", b"[::1]:14990", b"\xff")
        self.assertEqual([is_this_machine(name) for name in names], [True] * 6 + [False])
        for name in (b"localhost.evil.example", b"127.0.0.1.nip.io:80", b"[evil.example]"):
            self.assertFalse(is_this_machine(name))

    def test_with_a_token(self) -> None:
        basic = b64encode(b"anybody:" + TOKEN).decode()
        site = self.site(TOKEN)
        for path in ("/", "/metrics"):
            browser = Browser(site)
            refused = browser.ask(path, host="chat.example.org")
            self.assertEqual(refused.status, 401)
            self.assertRegex(refused.headers["WWW-Authenticate"], "^Basic realm=")
            self.assertNotIn("twisted_chat_", refused.text)
            for secret in (f"Bearer {TOKEN.decode()}", f"Basic {basic}", f"bearer  {TOKEN.decode()} "):
                heard = browser.ask(path, f"Authorization: {secret}", host="chat.example.org")
                self.assertEqual(heard.status, 200, secret)
            for wrong in ("Bearer 0123456789abcdeF", "Basic ???", "Digest x", "Bearer", "Basic"):
                self.assertEqual(browser.ask(path, f"Authorization: {wrong}").status, 401, wrong)
        self.assertEqual(Browser(site).ask("/healthz").status, 200)

    def test_secrets_may_have_colons(self) -> None:
        self.assertEqual(secret_of(b"Basic " + b64encode(b"me:a:b")), b"a:b")

    def test_a_body_is_not_read(self) -> None:
        for header in ("Content-Length: 1000000000", "Transfer-Encoding: chunked"):
            browser = Browser(self.site())
            heard = browser.ask("/", header, method="POST")
            self.assertEqual((heard.status, browser.transport.disconnecting), (413, True))

    def test_it_can_only_be_read(self) -> None:
        heard = self.ask("/metrics", method="DELETE")
        self.assertEqual((heard.status, heard.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.ask("/nothing").status, 404)

    def test_a_head_has_no_body(self) -> None:
        heard = self.ask("/metrics", method="HEAD")
        self.assertEqual((heard.status, heard.text), (200, ""))
        self.assertGreater(int(heard.headers["Content-Length"]), 1000)

    def test_requests_on_one_connection(self) -> None:
        browser = Browser(self.site())
        for _ in range(3):
            self.assertEqual(browser.ask("/healthz").text, "the server answers\n")
        self.assertFalse(browser.transport.disconnecting)

    def test_every_answer_has_the_headers_that_protect_a_browser(self) -> None:
        for path in ("/", "/metrics", "/status.css", "/nothing"):
            headers = self.ask(path).headers
            self.assertRegex(headers["Content-Security-Policy"], "^default-src 'none'; style-src 'self';")
            self.assertEqual((headers["X-Content-Type-Options"], headers["Cache-Control"]), ("nosniff", "no-store"))

    def test_an_answer_that_fails_is_an_answer(self) -> None:
        self.patch(page, "PLOTS", [None])
        heard = self.ask("/")
        self.assertEqual((heard.status, len(self.flushLoggedErrors(AttributeError))), (500, 1))
        self.assertEqual(self.ask("/metrics").status, 200)


class MetricsTests(SiteTestCase):
    """The metrics, as Prometheus reads them."""

    def families(self) -> dict[str, Any]:
        heard = self.ask("/metrics")
        self.assertEqual(heard.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        return {family.name: family for family in text_string_to_metric_families(heard.text)}

    def values(self) -> dict[tuple[str, ...], float]:
        """The values by name and labels."""
        families = self.families().values()
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    def test_they_move(self) -> None:
        alice, bob = self.server.welcome("alice", "lobby"), self.server.welcome("bob", "lobby")
        before = self.values()
        bob.pause()
        alice.say("hello")
        alice.ask(type="history", room="nowhere!")
        self.server.clock.advance(1)
        after = self.values()
        moved = {key: after[key] - before[key] for key in after if key[0].startswith("twisted_chat_")}
        moved = {key: by for key, by in moved.items() if by and "duration" not in key[0]}
        self.assertEqual(
            moved,
            {
                ("twisted_chat_messages_total",): 1,
                ("twisted_chat_rooms",): 1,
                ("twisted_chat_refused_requests_total", "bad-room"): 1,
                ("twisted_chat_paused_readers",): 1,
                ("twisted_chat_members_behind",): 1,
            },
        )
        self.assertEqual(after["twisted_chat_connections", "fake"], 2)
        self.assertEqual(after["twisted_chat_ready",], 1)

    def test_a_histogram_adds_up(self) -> None:
        for value in (0.0001, 0.003, 2.0):
            self.server.chat.counters.turns.observe(value)
        values = self.values()
        name = "twisted_chat_turn_duration_seconds"
        count = values[f"{name}_count",]
        self.assertEqual(values[f"{name}_bucket", "+Inf"], count)
        self.assertEqual(
            [values[f"{name}_bucket", le] for le in ("0.0025", "0.005", "1.0")], [count - 2, count - 1, count - 1]
        )
        self.assertAlmostEqual(values[f"{name}_sum",], 2.0031)

    def test_names_and_help_follow_the_conventions(self) -> None:
        for name, family in self.families().items():
            self.assertRegex(name, "^(twisted_chat|process)_[a-z_]+$")
            self.assertNotEqual(family.documentation, "")
            for sample in family.samples:
                self.assertEqual(sample.name.endswith("_total"), family.type == "counter", sample.name)
            self.assertNotRegex(name, "_(ms|milliseconds|kb|kilobytes|mb)$")

    def test_the_reference_has_all_of_them(self) -> None:
        shown = {row[0].strip("`").partition("{")[0]: row[1] for row in table(read("docs/reference.md"), "metric")}
        kinds = {
            f"{name}_total" if family.type == "counter" else name: family.type
            for name, family in self.families().items()
            if name.startswith("twisted_chat_")
        }
        self.assertEqual(shown, kinds)

    def test_labels_have_few_values(self) -> None:
        """Nothing that users choose is a label: each value is a series that Prometheus keeps."""
        for number in range(30):
            self.server.welcome(f"n{number}", f"r{number}")
        series = {key for key in self.values() if key[0].startswith("twisted_chat_")}
        self.assertLess(len(series), 120)


class RunningTests(TestCase):
    """The status of a server that runs."""

    async def test_it_is_served(self) -> None:
        server = await Server.start(self, "--status", "0")
        (served,) = await server.says(r"the status is served on (\S+)\n")
        await server.hello(self, "alice", "lobby")
        base = f"http://{served[1]}"

        def ask(path: str) -> str:
            with urlopen(base + path, timeout=TIMEOUT) as answer:
                return str(answer.read().decode())

        self.assertEqual(await deferToThread(ask, "/readyz"), "the server is ready\n")
        self.assertIn('twisted_chat_connections{wire="tcp"} 1.0\n', await deferToThread(ask, "/metrics"))
        self.assertIn("<h1>twisted_chat ", await deferToThread(ask, "/"))


class PageTests(SiteTestCase):
    """The page with the last hour."""

    def page(self, points: int = 0) -> str:
        site = self.site()
        self.server.clock.pump([POINT_SECONDS] * points)
        return Browser(site).ask("/").text

    def svgs(self, text: str) -> Iterator[ElementTree.Element]:
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            yield ElementTree.fromstring(svg)

    def test_it_has_a_plot_of_everything(self) -> None:
        text = self.page(points=5)
        svgs = list(self.svgs(text))
        self.assertEqual(len(svgs), len(PLOTS))
        for plot, svg in zip(PLOTS, svgs, strict=True):
            self.assertEqual(svg.get("aria-label", "").partition(" in ")[0], plot.title)
            line = svg.find("polyline")
            assert line is not None
            points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
            self.assertEqual([x for x, _ in points], [355, 356, 357, 358, 359])
            self.assertTrue(all(0 <= y <= 100 for _, y in points))

    def test_a_server_that_has_just_started_has_empty_plots(self) -> None:
        for svg in self.svgs(self.page()):
            self.assertEqual(len(svg), 0)

    def test_a_plot_rises_with_its_value(self) -> None:
        alice = self.server.welcome("alice", "lobby")
        site = self.site()
        for number in range(10):
            alice.say(str(number))
        self.server.clock.advance(POINT_SECONDS)
        self.server.clock.advance(POINT_SECONDS)
        svg = next(self.svgs(Browser(site).ask("/").text))
        self.assertEqual(svg.get("aria-label"), "Messages in the last hour: 0/s now, 1/s at most")
        line = svg.find("polyline")
        assert line is not None
        self.assertEqual(line.get("points"), "358,0.0 359,100.0")

    def test_tables(self) -> None:
        alice = self.server.welcome("alice", "lobby")
        alice.ask(type="history", room="nowhere!")
        self.server.chat.counters.turned_away["full"] = 7
        text = self.page()
        self.assertIn('<th scope="row">fake</th><td>1</td><td>1</td>', text)
        self.assertIn('<th scope="row">bad-room</th><td>1</td>', text)
        self.assertIn('<th scope="row">connection: full</th><td>7</td>', text)
        self.assertIn('<td colspan="9">none</td>', Browser(StatusFactory(FakeServer().chat)).ask("/").text)

    def test_the_cluster_of_a_server(self) -> None:
        self.assertNotIn("heartbeat", self.page())
        condition = ClusterCondition(servers=3, heartbeat_age=0.7, clock_ahead=-2.0)
        self.patch(self.server.chat.cluster, "condition", lambda: condition)
        text = self.page()
        for name, value in (
            ("servers of the cluster", "3"),
            ("last heartbeat", "1 s ago"),
            ("clock ahead of the database&#x27;s", "-2.0 s"),
        ):
            self.assertIn(f'<th scope="row">{name}</th><td>{value}</td>', text)

    def test_no_script_and_no_style_within_it(self) -> None:
        text = self.page(points=3)
        for forbidden in ("<script", "style=", "<style", "http://", "https://", "onload"):
            self.assertNotIn(forbidden, text)

    def test_what_is_wrong_is_text(self) -> None:
        self.server.fake.trouble = "<b>&"
        self.assertIn("&lt;b&gt;&amp;", self.page())
        self.assertNotIn("<b>&", self.page())

    def test_scales_end_at_round_numbers(self) -> None:
        values = {0: 1, 0.7: 1, 1: 1, 1.1: 2, 3: 5, 5: 5, 6: 10, 99: 100, 1234: 2000, 0.004: 0.005}
        for value, end in values.items():
            self.assertAlmostEqual(ceiling(value), end)

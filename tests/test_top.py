"""`twisted-chat top`: what it reads, what it makes of it, and how it shows that on a terminal and in a pipe."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.commands import Problem
from twisted_chat.commands.display import BARS, Monitor
from twisted_chat.commands.monitor import Figures, Reading, Row, Status, Unanswered
from twisted_chat.commands.top import run
from twisted_chat.log import Condition
from twisted_chat.status.site import FRESH_SECONDS
from twisted_chat.status.visit import StatusFactory

from .certificates import certificate
from .commands import CommandTestCase
from .programs import Program, Server, folder
from .terminals import Terminal
from .test_status import open_server
from .test_status_site import TOKEN, Browser

TOP = (sys.executable, "-m", "twisted_chat", "top")

RATES = (
    "messages",
    "deliveries",
    "turn",
    "commit",
    "refused",
    "turned away",
    "processor",
    "received",
    "sent",
    "log-ins",
)


class StatusOf(Status):
    """The status of a server in this process, which is read without a socket."""

    def __init__(self, site: StatusFactory, token: bytes = b"") -> None:
        super().__init__("14990", token.decode())
        self.site = site
        self.answers: dict[str, tuple[int, str]] = {}
        """Answers in place of those of the site."""
        self.error = ""

    def get(self, path: str) -> tuple[int, str]:
        if self.error:
            raise Unanswered(self.error)
        headers = [f"{name}: {value}" for name, value in self._headers.items()]
        self.site.chat.reactor.advance(FRESH_SECONDS)
        browser = Browser(self.site)
        heard = browser.ask(path, *headers)
        browser.hang_up()
        return self.answers.get(path, (heard.status, heard.text))


class MonitorTestCase(SynchronousTestCase):
    """A server in this process, and what is shown of it."""

    def setUp(self) -> None:
        self.server = open_server()
        self.now = 100.0
        self.patch(sys.modules["twisted_chat.commands.monitor"].time, "monotonic", lambda: self.now)
        self.status = StatusOf(StatusFactory(self.server.chat))
        self.monitor = Monitor(self.status)

    def read(self, later: float = 2.0) -> dict[str, Row]:
        """Read the figures, some seconds later."""
        self.now += later
        self.monitor.read()
        return {row.label: row for row in self.monitor._rows}

    def shown(self, width: int | None = None) -> list[str]:
        return ["".join(text for _, text in line).rstrip() for line in self.monitor.lines(width)]


class FiguresTests(MonitorTestCase):
    """Gauges are what is there now, and counters are shown as rates between two readings."""

    def test_rates_need_two_readings(self) -> None:
        rows = self.read()
        self.assertEqual([label for label, row in rows.items() if row.text == "-"], [*RATES])
        rows = self.read()
        self.assertEqual([label for label, row in rows.items() if row.text == "-"], ["turn", "commit"])
        self.assertEqual((rows["messages"].text, rows["messages"].value), ("0/s", 0.0))
        self.assertEqual((rows["turn"].detail, rows["turn"].value), ("none", 0.0))

    def test_what_happens_in_between(self) -> None:
        alice, bob = self.server.welcome("alice", "lobby"), self.server.welcome("bob", "lobby")
        self.read()
        for number in range(10):
            alice.say(str(number))
        self.server.settle()
        alice.ask(type="history", room="nowhere!")
        alice.wire.traffic.received += 3000
        bob.wire.kind = "tcp"
        rows = self.read()
        self.assertEqual([rows[label].text for label in ("messages", "deliveries", "refused")], ["5/s", "5/s", "0.5/s"])
        self.assertEqual(rows["deliveries"].detail, "live 5/s")
        self.assertEqual(rows["refused"].detail, "bad-room 0.5/s")
        self.assertEqual(rows["received"].text, "1.5 kB/s")
        self.assertEqual((rows["connections"].text, rows["connections"].detail), ("2", "tcp 1, fake 1"))
        self.assertEqual((rows["members"].text, rows["members"].detail), ("2", "0 behind"))
        rows = self.read()
        self.assertEqual(rows["messages"].text, "0/s")

    def test_the_slowest_turns_of_the_interval(self) -> None:
        turns = self.server.chat.counters.turns
        for _ in range(100):
            turns.observe(3.0)
        self.read()
        for _ in range(100):
            turns.observe(0.0004)
        row = self.read()["turn"]
        self.assertEqual((row.text, row.detail), ("495 µs", "for 99 %, 250 µs for half"))
        turns.observe(9.0)
        self.assertEqual(self.read()["turn"].text, "1 s", "the last bound, beyond which nothing is known")

    def test_a_store_in_a_file_has_more_figures(self) -> None:
        self.assertNotIn("database", self.read())
        self.patch(self.server.fake, "condition", lambda: Condition("", 7, 900, {"database": 4096, "wal": 1_000_000}))
        rows = self.read()
        self.assertEqual((rows["database"].text, rows["database"].detail), ("4.1 kB", "1 MB in its write-ahead log"))
        self.assertEqual(rows["journal"].text, "7")

    def test_a_server_that_was_started_anew(self) -> None:
        def reading(started: float, messages: float) -> Reading:
            self.now += 1
            values = {"process_start_time_seconds": {"": started}, "messages": {"": messages}}
            return Reading(self.now, values)

        first, second, anew = reading(1.0, 100.0), reading(1.0, 104.0), reading(2.0, 3.0)
        self.assertEqual([Figures(first, now).rows()[0].text for now in (second, anew)], ["4/s", "-"])


class ReadingTests(MonitorTestCase):
    """What can be wrong with the place that is read."""

    def check_problem(self, pattern: str) -> None:
        problem = self.assertRaises(Problem, self.status.read)
        self.assertRegex(str(problem), pattern)

    def test_a_token(self) -> None:
        self.status.site = StatusFactory(self.server.chat, TOKEN)
        self.check_problem("^14990 wants a token: give the server's file with --status-token FILE$")
        self.assertEqual(StatusOf(self.status.site, TOKEN).read().total("ready"), 1)

    def test_another_server(self) -> None:
        for answer in ((200, "<html>"), (404, ""), (200, "up 1\n"), (200, "x{ 1\n")):
            self.status.answers["/metrics"] = answer
            self.check_problem("^14990 is not the status of a chat server: give the place of its option --status$")

    def test_why_it_is_not_ready(self) -> None:
        self.server.fake.trouble = "chat.sqlite is gone"
        self.assertEqual(self.status.read().trouble, "the database takes no messages: chat.sqlite is gone")
        self.read()
        self.assertRegex(self.shown()[0], "^not ready: the database takes no messages: chat.sqlite is gone, started ")

    def test_what_a_terminal_would_obey_is_replaced(self) -> None:
        connection = mock.Mock()
        connection.getresponse.return_value.status = 200
        connection.getresponse.return_value.read.return_value = "\x1b[2J\x9bJ\r ä\n".encode()
        status = Status("14990")
        self.patch(status, "_connect", lambda: connection)
        self.assertEqual(status.get("/readyz"), (200, "�[2J�J� ä\n"))

    def test_places(self) -> None:
        for place in ("14990", "127.0.0.1:14990", "[::1]:14990", "http://b:1", "https://a.example", "/run/s"):
            Status(place)
        for place in (
            "",
            "localhost",
            "http://localhost",
            "ftp://a:1",
            "a:b",
            "[::1:1",
            "[::1",
            "http://a:1/metrics",
            "-1",
        ):
            problem = self.assertRaises(Problem, Status, place)
            self.assertRegex(str(problem), r"^--status takes a port, or a place such as 127\.0\.0\.1:14990, https")
            self.assertTrue(str(problem).endswith(f", not '{place}'"))

    def test_certificates_that_cannot_be_read(self) -> None:
        empty = folder(self) / "empty.pem"
        empty.write_text("")
        for path, why in (("/nowhere.pem", "No such file or directory"), (str(empty), ".+")):
            problem = self.assertRaises(Problem, Status, "https://a.example", "", path)
            self.assertRegex(str(problem), f"^--ca: {path} cannot be used: {why}$")


class LineTests(MonitorTestCase):
    """Figures as lines of any width."""

    def test_in_a_pipe(self) -> None:
        self.read()
        self.read()
        lines = self.shown()
        self.assertRegex(lines[0], r"^ready, started [\w ]+ ago, twisted_chat \S+ at 14990$")
        self.assertEqual(lines[1:3], ["", "messages           0/s"])
        self.assertIn("paused               0  connections do not read", lines)
        self.assertFalse(set("".join(lines)) & set(BARS))

    def test_no_line_is_wider_than_the_terminal(self) -> None:
        self.server.welcome("alice", "lobby")
        for _ in range(100):
            self.read()
        for width in range(1, 200):
            self.assertLessEqual(max(map(len, self.shown(width))), width)

    def test_a_narrow_terminal_has_names_and_values(self) -> None:
        self.read()
        self.read()
        lines = self.shown(20)
        self.assertEqual(
            lines[2:6], ["messages         0/s", "deliveries       0/s", "connections        0", "turn               -"]
        )

    def test_a_wide_terminal_has_plots(self) -> None:
        alice = self.server.welcome("alice", "lobby")
        for count in (0, 1, 2, 4, 8, 8):
            for number in range(count):
                alice.say(str(number))
            self.server.settle()
            self.read()
        line = self.shown(80)[2]
        self.assertTrue(line.endswith("  ▂▃▅██"), line)
        self.assertEqual(len(line), 80)
        self.assertTrue(self.shown(80)[7].endswith("▁▁▁▁▁"), "a plot of nothing")

    def test_without_an_answer_the_last_figures_stay(self) -> None:
        self.read()
        figures = self.shown()[1:]
        self.status.error = "no answer from 14990: Connection refused"
        self.monitor.try_to_read()
        self.assertRegex(self.shown()[0], "^no answer from 14990: Connection refused, started ")
        self.assertEqual(self.shown()[1:], figures)
        self.status.error = ""
        self.monitor.try_to_read()
        self.assertRegex(self.shown()[0], "^ready, ")

    def test_where_the_system_does_not_tell_the_start(self) -> None:
        read, text = self.status.get("/metrics")
        lines = [line for line in text.splitlines() if "process_" not in line]
        self.status.answers["/metrics"] = (read, "\n".join(lines) + "\n")
        self.read()
        self.assertRegex(self.shown()[0], "^ready, twisted_chat ")


class OptionTests(CommandTestCase):
    """The options of the command."""

    def test_an_interval_is_a_number_of_seconds(self) -> None:
        for text in ("soon", "0", "3601", "nan"):
            outcome = self.run_command("top", "--interval", text)
            self.assertEqual(outcome.status, 2)
            self.assertIn(f"--interval takes a number of seconds from 0.1 to 3600, not '{text}'", outcome.errors)

    def test_a_token_that_cannot_be_read(self) -> None:
        outcome = self.run_command("top", "--status-token", "/nowhere")
        expected = "twisted-chat: --status-token: /nowhere cannot be read: No such file or directory\n"
        self.assertEqual((outcome.status, outcome.errors), (1, expected))

    def test_nobody_answers(self) -> None:
        outcome = self.run_command("top", "--status", "/nowhere.sock")
        expected = "twisted-chat: no answer from /nowhere.sock: No such file or directory\n"
        self.assertEqual((outcome.status, outcome.errors), (1, expected))


class RunningTests(TestCase):
    """The program beside a running server, in a pipe and in a terminal."""

    async def start(self, *arguments: str, home: Path | None = None) -> tuple[Server, str]:
        """Start a server, and return it with the place of its status."""
        server = await Server.start(self, *arguments, home=home)
        (served,) = await server.says(r"the status is served on (\S+)\n")
        return server, served[1]

    async def test_in_a_pipe(self) -> None:
        server, place = await self.start("--status", "0")
        await server.hello(self, "alice", "lobby")
        program = Program(self, *TOP, "--status", place, "--interval", "0.1")
        self.assertEqual(await program.ends(), 0)
        self.assertRegex(program.output, r"(?s)^ready, .*\nconnections +1  tcp 1\n.*\nnicks +1\n")

    async def test_through_a_unix_socket(self) -> None:
        home = folder(self)
        await self.start("--status", f"unix:{home}/status.sock", home=home)
        values = (await deferToThread(Status(f"{home}/status.sock").read)).values
        self.assertEqual(values["ready"], {"": 1.0})

    async def test_over_tls_with_a_token(self) -> None:
        home = folder(self)
        certificate(home)
        (home / "token").write_text(f"{TOKEN.decode()}\n")
        _, place = await self.start(
            "--status", f"tls:{home}:0:interface=127.0.0.1", "--status-token", "token", home=home
        )
        url = place.replace("127.0.0.1", "https://localhost")
        options: Any = mock.Mock(
            status=url, status_token=str(home / "token"), ca=str(home / "trusted.crt"), interval=0, once=True
        )
        with mock.patch("builtins.print") as printed:
            self.assertEqual(await deferToThread(run, options, lambda _: None), 0)
        self.assertRegex(printed.call_args[0][0], f"^ready, .* at {url}\n")
        untrusted = Status(url, TOKEN.decode())
        problem = await self.assertFailure(deferToThread(untrusted.read), Unanswered)
        self.assertRegex(str(problem), f"^no answer from {url}: .*certificate")

    async def test_on_a_terminal(self) -> None:
        server, place = await self.start("--status", "0", "--port", "unix:chat.sock")
        command = shlex.join((*TOP, "--status", place, "--interval", "0.1"))
        terminal = Terminal(self, "/bin/sh", "-c", command, columns=100, rows=24)
        await terminal.says(r"^ready, started .* at 127\.0\.0\.1:\d+\n")
        await terminal.says(r"\nconnections +0 ")
        await server.hello(self, "alice", "lobby", address=str(server.home / "chat.sock"))
        await terminal.says(r"\nconnections +1  unix 1 ")
        terminal.resize(20, 5)
        await terminal.says(r"\nmessages +\S+/s\ndeliveries +\S+/s\n\.\.\. \d+ more rows\n$")
        terminal.resize(20, 1)
        await terminal.says(r"^ready, ")
        terminal.resize(100, 24)
        await server.stop()
        await terminal.says("^no answer from 127.0.0.1:")
        terminal.types(" q")
        self.assertEqual(await terminal.ends(), 0)
        self.assertEqual(terminal.current_modes(), terminal.modes)

    async def test_an_interrupt_ends_it(self) -> None:
        _, place = await self.start("--status", "0")
        terminal = Terminal(self, *TOP, "--status", place)
        await terminal.says("^ready, ")
        terminal.types("\x03")
        self.assertEqual(await terminal.ends(), 0)

"""The access log: what it has of each connection, and what happens to its file."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher
from twisted.python.usage import UsageError
from twisted.trial.unittest import TestCase

from twisted_chat.limits import Limits
from twisted_chat.logs.access import FORMATS, LINES_AT_ONCE, AccessLog, as_text
from twisted_chat.tap import makeService

from .helpers import UNLIMITED
from .helpers import Server as FakeServer
from .programs import Server, folder
from .test_tap import parse

PASSWORD = "correct horse battery"


class AccessLogTestCase(TestCase):
    """A server with an access log in JSON."""

    def setUp(self) -> None:
        self.path = folder(self) / "access.log"
        self.start()

    def start(self, limits: Limits = UNLIMITED, log_format: str = "json") -> None:
        """Start a server with an empty access log."""
        self.server = FakeServer(limits=limits)
        self.log = AccessLog(str(self.path), self.server.clock, FORMATS[log_format])
        self.log.open()
        self.addCleanup(self.log.close)
        self.server.chat.access_log = self.log.ended

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


class LineTests(AccessLogTestCase):
    """Each connection is a line, with who it was and why it ended."""

    def test_a_session(self) -> None:
        alice = self.server.welcome("alice", "lobby")
        alice.wire.traffic.received, alice.wire.traffic.sent = 1234, 5678
        self.server.clock.advance(2.5)
        alice.send({"type": "quit", "msg": "a farewell"})
        alice.cut()
        (line,) = self.lines()
        self.assertEqual(
            line,
            {
                "time": "2026-11-22T11:06:38.625Z",
                "wire": "fake",
                "address": "192.0.2.1",
                "port": "49474",
                "nick": "alice",
                "account": False,
                "seconds": 2.5,
                "received": 1234,
                "sent": 5678,
                "cause": "quit",
            },
        )

    def test_an_account(self) -> None:
        alice = self.server.welcome("alice")
        alice.ask(type="register", password=PASSWORD)
        alice.ask(type="nick", nick="alice")
        alice.cut()
        self.assertEqual(
            [(line["nick"], line["account"], line["cause"]) for line in self.lines()], [("alice", True, "lost")]
        )

    def test_a_bare_client(self) -> None:
        bare = self.server.connect()
        bare.send({"msg": "hello"})
        self.server.clock.advance(1)
        bare.cut()
        self.assertEqual([(line["nick"], line["account"]) for line in self.lines()], [("49474", False)])

    def test_a_connection_that_has_said_nothing(self) -> None:
        self.server.connect().cut()
        self.assertEqual([(line["nick"], line["cause"]) for line in self.lines()], [("", "lost")])

    def test_a_refused_connection(self) -> None:
        self.start(Limits(connections=1))
        self.server.connect()
        second = self.server.connect("192.0.2.2")
        second.send({"type": "hello", "nick": "alice"})
        second.cut()
        self.assertEqual(
            [(line["address"], line["nick"], line["cause"]) for line in self.lines()], [("192.0.2.2", "", "full")]
        )

    def test_an_upgrade_is_no_end(self) -> None:
        peer = self.server.connect()
        self.server.clock.advance(2)
        self.server.chat.upgraded(peer.wire, "websocket", "198.51.100.7")
        self.assertEqual(self.lines(), [])
        self.server.clock.advance(3)
        peer.cut()
        (line,) = self.lines()
        self.assertEqual((line["wire"], line["address"], line["seconds"]), ("websocket", "198.51.100.7", 5.0))

    def test_no_texts_and_no_secrets(self) -> None:
        secret, token = "a secret text", "a secret of a client"
        alice = self.server.connect()
        alice.ask(type="hello", nick="alice", token=token)
        alice.ask(type="register", password=PASSWORD)
        alice.ask(type="join", room="hideout")
        alice.say(secret, room="hideout")
        alice.send({"type": "quit", "msg": secret})
        alice.cut()
        text = self.path.read_text()
        self.assertEqual(text.count("\n"), 1)
        for hidden in ("secret", PASSWORD, "hideout"):
            self.assertNotIn(hidden, text)

    def test_as_text(self) -> None:
        self.start(log_format="text")
        alice = self.server.welcome("Алиса")
        alice.wire.address = ""
        alice.wire.traffic.sent = 7
        self.server.clock.advance(0.25)
        alice.cut()
        expected = (
            "2026-11-22T11:06:36.375Z wire=fake address=- port=49474 nick=Алиса account=false seconds=0.25 received=0 "
            "sent=7 cause=lost\n"
        )
        self.assertEqual(self.path.read_text(encoding="utf-8"), expected)

    def test_a_text_has_no_fields_and_no_colours_of_its_own(self) -> None:
        fields = {"time": "now", "address": 'fe80::1%x nick=root cause="quit"\x1b[31m\x85\u2028\n', "port": "1"}
        expected = 'now address=fe80::1%x\\u0020nick=root\\u0020cause="quit"\\u001b[31m\\u0085\\u2028\\u000a port=1'
        self.assertEqual(as_text(fields), expected)


class FileTests(AccessLogTestCase):
    """The file is the owner's, and others may rename it."""

    def setUp(self) -> None:
        super().setUp()
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def end_one(self) -> None:
        self.server.connect().cut()

    def said(self) -> list[str]:
        return [event["log_format"].format(**event) for event in self.events]

    def test_only_its_owner_can_read_it(self) -> None:
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_permissions_that_were_given_stay(self) -> None:
        self.path.chmod(0o640)
        self.end_one()
        self.log.reopen()
        self.end_one()
        self.assertEqual((stat.S_IMODE(self.path.stat().st_mode), len(self.lines())), (0o640, 2))

    def test_a_file_that_was_renamed_is_opened_anew(self) -> None:
        moved = self.path.with_suffix(".1")
        self.end_one()
        self.path.rename(moved)
        self.end_one()
        self.log.reopen()
        self.end_one()
        self.assertEqual((len(moved.read_text().splitlines()), len(self.lines())), (2, 1))

    def test_a_file_that_cannot_be_opened_anew_stays_in_use(self) -> None:
        moved = self.path.with_suffix(".1")
        self.path.rename(moved)
        self.path.mkdir()
        self.log.reopen()
        self.end_one()
        self.assertEqual(len(moved.read_text().splitlines()), 1)
        expected = f"{self.path} cannot be opened anew, and the old access log stays in use: Is a directory"
        self.assertEqual(self.said(), [expected])

    def test_a_full_disk_ends_nothing(self) -> None:
        full = AccessLog("/dev/full", self.server.clock)
        full.open()
        self.server.chat.access_log = full.ended
        self.end_one()
        self.assertEqual(self.said(), ["/dev/full cannot be written, and lines are lost: No space left on device"])
        self.assertEqual(self.server.chat.wires, set())
        full.close()

    def test_a_crowd_does_not_fill_the_disk(self) -> None:
        self.log._bucket.tokens = 2.0
        for _ in range(5):
            self.end_one()
        self.assertEqual(len(self.lines()), 2)
        self.server.clock.advance(1)
        self.end_one()
        self.assertEqual([line.get("left_out") for line in self.lines()], [None, None, 3, None])
        self.end_one()
        self.assertEqual(len(self.lines()), 5)
        self.assertGreaterEqual(LINES_AT_ONCE, Limits().connections, "all of them end when the server stops")


class OptionTests(TestCase):
    """The option `--access-log`."""

    def test_it_takes_a_file(self) -> None:
        home = folder(self)
        self.assertIsNone(parse()["access-log"])
        expected = f"--access-log takes the name of a file, and '{home}' is a folder"
        self.assertEqual(str(self.assertRaises(UsageError, parse, f"--access-log={home}")), expected)
        expected = "--access-log takes the name of a file: write ./- for one that is called -"
        self.assertEqual(str(self.assertRaises(UsageError, parse, "--access-log=-")), expected)
        options = parse("--access-log=access.log")
        self.assertEqual(options["access-log"].path, os.path.abspath("access.log"))
        self.assertIn(options["access-log"].reopen, makeService(options)._reloads)

    async def test_a_running_server_writes_it_until_its_end(self) -> None:
        server = await Server.start(self, "--access-log", "access.log")
        alice = await server.hello(self, "alice", "lobby")
        bob = await server.hello(self, "bob")
        alice.says(type="quit")
        await alice.hears_the_end()
        self.assertEqual(await server.stop(), 0)
        await bob.hears_the_end()
        ends = [line.split() for line in read(server.home / "access.log").splitlines()]
        self.assertEqual(
            [(end[4], end[-1]) for end in ends], [("nick=alice", "cause=quit"), ("nick=bob", "cause=stopping")]
        )


def read(path: Path) -> str:
    return path.read_text()

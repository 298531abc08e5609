"""The server's log as JSON: each entry is one object on one line, and as `twistd` would write it otherwise."""

from __future__ import annotations

import json
import signal
import sys
from io import StringIO
from typing import Any, cast
from unittest import mock

from twisted.application.service import Application
from twisted.logger import ILogObserver, Logger, LogPublisher
from twisted.python import log as old_log
from twisted.python.components import Componentized
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.logs.files import log_files
from twisted_chat.logs.json_format import as_json, json_observer
from twisted_chat.tap import Options, makeService

from .ports import Reactor
from .programs import Server, folder
from .test_tap import parse

IN_FOREGROUND: dict[str, Any] = {"nodaemon": 1, "logfile": None, "syslog": 0, "logger": None}


class EntryTests(SynchronousTestCase):
    """An entry is an object, with the same few fields."""

    def setUp(self) -> None:
        self.output = StringIO()
        self.patch(sys, "stdout", self.output)
        self.observer = json_observer(IN_FOREGROUND)
        self.log = Logger("twisted_chat.test", observer=self.observer)

    def entry(self) -> Any:
        (line,) = self.output.getvalue().splitlines(keepends=True)
        self.assertTrue(line.endswith("\n"))
        return json.loads(line)

    def test_an_entry(self) -> None:
        with mock.patch("twisted.logger._logger.time", return_value=1_795_345_596.125):
            self.log.warn("{count} of {what}", count=3, what="Чат\n\u2028")
        self.assertEqual(
            self.entry(),
            {
                "time": "2026-11-22T11:06:36.125Z",
                "level": "warn",
                "logger": "twisted_chat.test",
                "message": "3 of Чат\n\u2028",
                "format": "{count} of {what}",
            },
        )
        self.assertTrue(self.output.getvalue().isascii(), "any encoding has it, and no character of it ends a line")

    def test_an_exception(self) -> None:
        try:
            raise ValueError("what was wrong")
        except ValueError:
            self.log.failure("A request failed")
        entry = self.entry()
        self.assertEqual((entry["level"], entry["message"]), ("critical", "A request failed"))
        self.assertRegex(
            entry["traceback"], r"(?s)^Traceback .*test_an_exception.*builtins\.ValueError: what was wrong$"
        )

    def test_only_what_the_text_has_is_in_it(self) -> None:
        """A logger is handed objects that have secrets in them."""
        self.log.info("a log-in failed", password="a secret", request={"msg": "a secret"})
        self.assertNotIn("secret", self.output.getvalue())

    def test_an_entry_of_the_old_kind(self) -> None:
        self.patch(old_log.theLogPublisher, "_publishPublisher", LogPublisher(self.observer))
        old_log.msg("Port 1 Closed")
        entry = self.entry()
        self.assertEqual((entry["level"], entry["message"]), ("info", "Port 1 Closed"))

    def test_an_entry_that_says_nothing_is_left_out(self) -> None:
        self.assertIsNone(as_json({"log_time": 1.0, "log_format": ""}))

    def test_its_file_is_that_of_twistd(self) -> None:
        path = folder(self) / "chat.log"
        before = signal.getsignal(signal.SIGUSR1)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        observer = json_observer({**IN_FOREGROUND, "logfile": str(path)})
        (file,) = log_files(LogPublisher(observer))
        self.addCleanup(file.close)
        Logger("x", observer=observer).info("hello")
        self.assertEqual(json.loads(path.read_text())["message"], "hello")


class OptionTests(TestCase):
    """The option `--log-format`."""

    def options(self, *arguments: str, **twistd: Any) -> Options:
        options = Options(Reactor().as_base)
        options.parent = cast(Any, {**IN_FOREGROUND, "rundir": ".", "pidfile": "", **twistd})
        options.parseOptions([*arguments])
        return options

    def observer(self, *arguments: str) -> object:
        """Return the component that `twistd` would find."""
        application = Application("chat")
        makeService(self.options(*arguments)).setServiceParent(application)
        assert isinstance(application, Componentized)
        return application.getComponent(ILogObserver, None)

    def test_text_is_written_by_twistd(self) -> None:
        self.assertIsNone(self.observer())
        self.assertIsNone(self.observer("--log-format=text"))

    def test_json_is_written_in_its_place(self) -> None:
        observer: Any = self.observer("--log-format=json")
        self.assertIs(observer.formatEvent, as_json)

    def test_another_word_is_refused(self) -> None:
        error = self.assertRaises(UsageError, parse, "--log-format=xml")
        self.assertEqual(str(error), "--log-format takes text or json, not 'xml'")

    def test_another_kind_of_log_is_not_in_a_file(self) -> None:
        for option, value in (("logger", "my.logger"), ("syslog", 1)):
            error = self.assertRaises(SystemExit, self.options, "--log-format=json", **{option: value})
            self.assertIn(f"--log-format is for a log in a file: leave out --{option} of twistd", str(error))
            self.options(**{option: value})

    async def test_a_running_server(self) -> None:
        code = (
            "import sys\n"
            "from twisted.logger import globalLogPublisher, textFileLogObserver\n"
            "from twisted.scripts.twistd import run\n"
            "globalLogPublisher.addObserver(textFileLogObserver(sys.stdout))\n"  # which tells this test what happens
            "run()"
        )
        options = ("-n", "--pidfile=", "--logfile=chat.log", "chat", "--port", "0", "--log-format", "json")
        server = Server(self, sys.executable, "-c", code, *options)
        await server.says("listening on ")
        path, moved = server.home / "chat.log", server.home / "chat.1"
        path.rename(moved)
        server.signal(signal.SIGHUP)
        await server.says("received SIGHUP, reading files again\n")
        self.assertEqual(await server.stop(), 0, server.output)
        before, after = ([json.loads(line) for line in file.read_text().splitlines()] for file in (moved, path))
        self.assertIn("listening on {address}", [entry["format"] for entry in before])
        self.assertIn("received SIGHUP, reading files again", [entry["message"] for entry in after])
        self.assertEqual(after[-1]["message"], "Server Shut Down.")

"""`twisted-chat COMMAND`: what it says, and with which status it ends."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import __version__
from twisted_chat.__main__ import main
from twisted_chat.command_line import interrupts, prepare_streams
from twisted_chat.commands.main import COMMANDS
from twisted_chat.interrupts import end_quietly
from twisted_chat.stores.sqlite import database

from .commands import CommandTestCase


class ProgramTests(CommandTestCase):
    def test_help_lists_the_commands(self) -> None:
        outcome = self.run_command("--help")
        self.assertEqual(outcome.status, 0)
        for command in COMMANDS:
            self.assertIn(command.name, outcome.output)
            self.assertIn(command.help, " ".join(outcome.output.split()))
            self.assertEqual(self.run_command(command.name, "--help").status, 0)

    def test_version_shows_the_version(self) -> None:
        self.assertEqual(self.run_command("--version").output, f"twisted_chat {__version__}\n")

    def test_a_wrong_word_or_option_is_reported_with_status_2(self) -> None:
        for arguments in (("dance",), ("stats", "--dance")):
            outcome = self.run_command(*arguments)
            self.assertEqual((outcome.status, outcome.output), (2, ""))
            said, hint = outcome.errors.splitlines()
            self.assertRegex(said, "^twisted-chat: .*dance")
            self.assertEqual(hint, "Try 'twisted-chat --help'.")

    def test_without_a_command_it_says_what_there_is(self) -> None:
        outcome = self.run_command()
        self.assertEqual((outcome.status, outcome.output), (2, ""))
        for name in ("talk", *(command.name for command in COMMANDS)):
            self.assertRegex(outcome.errors, rf"\n +{name}\s+\S")

    def test_it_runs_as_a_module(self) -> None:
        command = [sys.executable, "-m", "twisted_chat", "stats", "-d", self.path]
        ended = subprocess.run(command, capture_output=True, cwd=Path(__file__).parent.parent, check=False)
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(
            ended.stderr.decode(),
            f"twisted-chat: there is no file {self.path}: give the server's file with --database\n",
        )

    def test_any_text_can_be_printed_whatever_the_locale_is(self) -> None:
        for encoding, shown in (
            ("ascii", "gärtén 👋".encode()),
            ("utf-8", "gärtén 👋".encode()),
            ("latin-1", "gärtén \\U0001f44b".encode("latin-1")),
        ):
            written = io.BytesIO()
            stream = io.TextIOWrapper(written, encoding=encoding)
            for name, value in (("stdin", None), ("stdout", stream), ("stderr", io.StringIO())):
                self.patch(sys, name, value)
            prepare_streams()
            print("gärtén 👋", end="", flush=True)
            self.assertEqual(written.getvalue(), shown)

    def test_statistics_name_any_room_whatever_the_locale_is(self) -> None:
        self.filled(("gärtén",))
        command = [sys.executable, "-m", "twisted_chat", "stats", "-d", self.path]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
        root = Path(__file__).parent.parent
        ended = subprocess.run(command, capture_output=True, cwd=root, env=environment, check=False)
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))
        self.assertIn("gärtén".encode(), ended.stdout)

    def test_the_first_word_decides_what_runs(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        talk, command = mock.Mock(return_value=3), mock.Mock(return_value=4)
        with (
            mock.patch("twisted_chat.client.__main__.main", talk),
            mock.patch("twisted_chat.commands.main.main", command),
        ):
            self.assertEqual(main(["talk", "--nick", "al"]), 3)
            self.assertEqual(main(["stats", "talk"]), 4)
            with mock.patch.object(sys, "argv", ["twisted-chat", "talk"]):
                self.assertEqual(main(), 3)
        name = "twisted-chat talk"
        self.assertEqual(talk.call_args_list, [mock.call(["--nick", "al"], name), mock.call([], name)])
        command.assert_called_once_with(["stats", "talk"])


class InterruptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))

    def test_until_a_program_runs_an_interrupt_ends_it_quietly(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end_quietly()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_DFL)

    def test_an_interrupt_that_is_ignored_or_handled_stays_so(self) -> None:
        for handler in (signal.SIG_IGN, lambda number, frame: None):
            signal.signal(signal.SIGINT, handler)
            end_quietly()
            with interrupts():
                self.assertIs(signal.getsignal(signal.SIGINT), handler)

    def test_a_command_can_put_things_in_order(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with self.assertRaises(KeyboardInterrupt), interrupts():
            os.kill(os.getpid(), signal.SIGINT)
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_DFL)


class FaultTests(CommandTestCase):
    def test_a_missing_database_is_reported(self) -> None:
        self.assertEqual(
            self.here("stats"),
            (1, "", f"twisted-chat: there is no file {self.path}: give the server's file with --database\n"),
        )

    def test_a_file_that_is_not_a_database_is_reported(self) -> None:
        Path(self.path).write_text("no database " * 100)
        for command in ("export", "import", "stats"):
            outcome = self.here(command)
            self.assertEqual(outcome.status, 1)
            self.assertIn(
                f"twisted-chat: {self.path}: it is not an SQLite database; name another file",
                outcome.errors,
            )

    def test_the_database_of_another_program_is_reported(self) -> None:
        self.beside().execute("CREATE TABLE theirs (x)")
        for command in ("export", "import", "stats"):
            self.assertIn("another program", self.here(command).errors)

    def test_an_empty_file_is_reported(self) -> None:
        Path(self.path).touch()
        for command in ("export", "stats"):
            outcome = self.here(command)
            self.assertEqual(
                outcome, (1, "", f"twisted-chat: {self.path} is empty: give the server's file with --database\n")
            )

    def test_a_database_of_an_older_version_is_reported(self) -> None:
        self.filled()
        with mock.patch("twisted_chat.stores.sqlite.database.version_of", return_value=database.version_of() + 1):
            outcome = self.here("stats")
        self.assertEqual(outcome.status, 1)
        self.assertIn("was written by an older version: start the server once", outcome.errors)

    def test_an_output_file_that_may_not_be_written_is_reported(self) -> None:
        self.filled()
        folder = self.folder / "theirs"
        folder.mkdir(mode=0o555)
        self.folder.chmod(0o777)
        os.chmod(self.path, 0o644)
        self.as_somebody()
        outcome = self.here("export", str(folder / "out"))
        self.assertEqual(
            (outcome.status, outcome.errors), (1, f"twisted-chat: cannot write {folder}/out: Permission denied\n")
        )

    def test_a_full_disk_is_reported(self) -> None:
        self.filled()
        with open("/dev/full", "wb") as full:
            self.assertEqual(
                self.exports_to(full.fileno()), (1, b"twisted-chat: the output: No space left on device\n")
            )

    def test_a_reader_that_goes_away_ends_it_quietly_with_status_141(self) -> None:
        self.filled()
        reader, writer = os.pipe()
        os.close(reader)
        self.assertEqual(self.exports_to(writer), (141, b""))
        os.close(writer)

    def exports_to(self, output: int) -> tuple[int, bytes]:
        """Export in a process of its own; returns its status, and what it says."""
        command = [sys.executable, "-m", "twisted_chat", "export", "-d", self.path]
        ended = subprocess.run(
            command, stdout=output, stderr=subprocess.PIPE, cwd=Path(__file__).parent.parent, check=False
        )
        return ended.returncode, ended.stderr

    def test_an_interrupt_ends_it_quietly_with_status_130(self) -> None:
        self.filled()
        with mock.patch.object(sqlite3, "connect", side_effect=KeyboardInterrupt):
            self.assertEqual(self.here("stats"), (130, "", ""))

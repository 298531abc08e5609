"""`twistd chat` as people start it, and how it ends."""

from __future__ import annotations

import os
import pty
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase

from .programs import Program, Server


class Twistd(Program):
    """The command `twistd` with any options, in a folder of its own."""

    def __init__(
        self, test: TestCase, *arguments: str, home: Path | None = None, hand_over: dict[int, int] | None = None
    ) -> None:
        command = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
        super().__init__(test, *command, *arguments, home=home, hand_over=hand_over)


class StopTests(TestCase):
    """A signal ends it well."""

    async def check_stops(self, number: int, *arguments: str) -> Twistd:
        """Start it, connect somebody who does not read, stop it; returns the server that has ended."""
        server = Twistd(self, *arguments)
        (listening,) = await server.says(r"listening on 127\.0\.0\.1:([1-9][0-9]*)\n")
        client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", int(listening[1])), Protocol())
        client.transport.pauseProducing()
        self.addCleanup(client.transport.abortConnection)
        server.signal(number)
        self.assertEqual(await server.ends(), 0, server.output)
        return server

    async def test_sighup_of_a_terminal_that_is_closed(self) -> None:
        window, terminal = pty.openpty()
        server = Twistd(self, "-n", "chat", "--port", "0", hand_over={0: terminal})
        os.close(terminal)
        await server.says("listening on ")
        os.close(window)
        server.signal(signal.SIGHUP)
        self.assertEqual(await server.ends(), 0, server.output)
        self.assertIn("received SIGHUP, shutting down", server.output)

    async def test_sigterm(self) -> None:
        server = await self.check_stops(signal.SIGTERM, "-n", "chat", "--port", "0")
        self.assertIn("twisted_chat.reactor.Reactor", server.output)
        self.assertIn(f"database {server.home}/chat.sqlite\n", server.output)
        self.assertTrue((server.home / "chat.sqlite").exists())

    async def test_sigint_with_another_reactor(self) -> None:
        server = await self.check_stops(signal.SIGINT, "-r", "poll", "-n", "chat", "-p", "0", "-d", ":memory:")
        self.assertIn("pollreactor", server.output)
        self.assertEqual(os.listdir(server.home), [])


class EarlyStopTests(TestCase):
    """A signal ends it well at any time after Twisted has handed over to it."""

    def start(self, module: str, number: int) -> Program:
        """Start it, and send a signal when a module is loaded."""
        code = (
            "import os, sys\n"
            "class Hook:\n"
            "    def find_spec(self, name, path, target=None):\n"
            f"        if name == {module!r}: os.kill(os.getpid(), {int(number)})\n"
            "sys.meta_path.insert(0, Hook())\n"
            "from twisted.scripts.twistd import run\n"
            "run()"
        )
        return Program(self, sys.executable, "-c", code, "-n", "chat", "--port", "0")

    async def check_stops(self, module: str, number: int) -> None:
        """Send a signal when a module is loaded; nothing is said, and nothing left."""
        server = self.start(module, number)
        self.assertEqual(await server.ends(), 0, server.output)
        self.assertEqual((server.output, os.listdir(server.home)), ("", []))

    async def test_while_its_modules_are_loaded(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            await self.check_stops("twisted_chat.tap", number)

    async def test_sighup_while_its_modules_are_loaded_is_remembered(self) -> None:
        server = self.start("twisted_chat.tap", signal.SIGHUP)
        await server.says("received SIGHUP, reading files again\n")
        server.signal(signal.SIGTERM)
        self.assertEqual(await server.ends(), 0, server.output)

    async def test_while_the_reactor_is_loaded(self) -> None:
        await self.check_stops("twisted.internet.asyncioreactor", signal.SIGINT)

    async def test_sighup_stays_ignored_below_nohup(self) -> None:
        ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        run = "from twisted.scripts.twistd import run; run()"
        server = Program(self, sys.executable, "-c", ignore + run, "-n", "chat", "--port", "0")
        await server.says("listening on ")
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGTERM)
        self.assertEqual(await server.ends(), 0)
        self.assertNotIn("SIGHUP", server.output)


class ReloadTests(TestCase):
    """SIGHUP lets it read its files again, and disconnects nobody."""

    async def test_a_log_file_that_was_renamed_is_opened_anew(self) -> None:
        code = (
            "import sys\n"
            "from twisted.logger import globalLogPublisher, textFileLogObserver\n"
            "from twisted.scripts.twistd import run\n"
            "globalLogPublisher.addObserver(textFileLogObserver(sys.stdout))\n"  # which tells this test what happens
            "run()"
        )
        options = ("-n", "--pidfile=", "--logfile=chat.log", "chat", "--port", "unix:chat.sock")
        server = Server(self, sys.executable, "-c", code, *options)
        await server.says("listening on ")
        client = await server.client(self, str(server.home / "chat.sock"))
        self.assertEqual((await client.asks(type="hello", nick="alice"))["type"], "welcome")
        path, moved = server.home / "chat.log", server.home / "chat.log-20261126"
        path.rename(moved)
        server.signal(signal.SIGHUP)
        await server.says("received SIGHUP, reading files again\n")
        self.assertEqual((await client.asks(type="ping"))["type"], "pong")
        self.assertEqual(await server.stop(), 0, server.output)
        self.assertIn("Server Shut Down", path.read_text())
        self.assertIn("listening on ", moved.read_text())
        self.assertNotIn("SIG", moved.read_text())


class RestartTests(TestCase):
    """A server that was killed can be started again where it was."""

    async def test_its_own_number_in_the_pid_file_and_in_the_lock_of_its_socket_is_no_other_server(self) -> None:
        # As pid 1 of a container that starts again: the files have the number of the process that reads them.
        code = (
            "import os, socket\n"
            "open('twistd.pid', 'w').write(str(os.getpid()))\n"
            "os.symlink(str(os.getpid()), 'chat.sock.lock')\n"
            "socket.socket(socket.AF_UNIX).bind('chat.sock')\n"
            "from twisted.scripts.twistd import run\n"
            "run()"
        )
        server = Program(self, sys.executable, "-c", code, "-n", "chat", "--port", "unix:chat.sock")
        await server.says("listening on .*chat.sock")
        self.assertIn("removed ", server.output)
        server.signal(signal.SIGTERM)
        self.assertEqual(await server.ends(), 0)

    async def test_a_server_that_runs_keeps_its_pid_file_and_its_socket(self) -> None:
        first = Twistd(self, "-n", "chat", "--port", "unix:chat.sock")
        await first.says("listening on ")
        for options, reason in (
            (("--pidfile", "twistd.pid"), f"Another twistd server is running, PID {first.pid}"),
            (("--pidfile=",), "chat.sock: something listens there already"),
        ):
            second = Twistd(self, *options, "-n", "chat", "--port", "unix:chat.sock", "-d", ":memory:", home=first.home)
            self.assertEqual(await second.ends(), 1)
            self.assertIn(reason, second.output)
        first.signal(signal.SIGTERM)
        self.assertEqual(await first.ends(), 0)


class CannotStartTests(TestCase):
    """It says why it cannot start, and leaves nothing behind."""

    async def test_a_wrong_option_is_told_in_one_line_with_where_to_find_help(self) -> None:
        server = Twistd(self, "-n", "chat", "--port", "abc")
        self.assertEqual(await server.ends(), 1)
        error, advice = server.errors.splitlines()
        self.assertIn("twistd chat: --port takes a port or an endpoint such as", error)
        self.assertEqual((advice, server.output), ("'twistd chat --help' lists all options.", server.errors))

    async def check_cannot_start(self, *before: str, left: Sequence[str] = ()) -> Twistd:
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        server = Twistd(self, *before, "chat", "-p", "unix:chat.sock", "--listen", str(port))
        self.assertEqual(await server.ends(), 1)
        reason = f"cannot listen on 127.0.0.1:{port}: something listens there already; stop it, or choose another place"
        self.assertIn(reason, server.output)
        self.assertNotIn("Traceback", server.output)
        self.assertEqual(os.listdir(server.home), [*left], "neither a database nor a socket nor a pid file stays")
        return server

    async def test_a_port_in_use_is_told(self) -> None:
        await self.check_cannot_start("-n")

    async def test_a_port_in_use_is_told_with_another_reactor(self) -> None:
        await self.check_cannot_start("-r", "epoll" if sys.platform == "linux" else "select", "-n")

    async def test_a_port_in_use_is_told_on_the_terminal_of_a_daemon_and_in_its_log(self) -> None:
        server = await self.check_cannot_start(left=["twistd.log"])
        self.assertTrue(server.errors.startswith("twistd chat: cannot listen on "), server.errors)
        self.assertIn("something listens there already", (server.home / "twistd.log").read_text())


class PluginTests(TestCase):
    """`twistd` finds the server."""

    async def test_twistd_lists_the_chat(self) -> None:
        server = Twistd(self, "--help")
        self.assertEqual(await server.ends(), 0)
        self.assertRegex(server.output, r"\n +chat +A chat server")

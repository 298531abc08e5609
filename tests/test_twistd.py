"""`twistd chat` as people start it, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import sys

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase

from .programs import Program


class Twistd(Program):
    """The command `twistd` with any options, in a folder of its own."""

    def __init__(self, test: TestCase, *arguments: str) -> None:
        super().__init__(test, sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *arguments)


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

    async def test_sigterm(self) -> None:
        server = await self.check_stops(signal.SIGTERM, "-n", "chat", "--port", "0")
        self.assertIn("asyncioreactor", server.output)
        self.assertIn(f"database {server.home}/chat.sqlite\n", server.output)
        self.assertTrue((server.home / "chat.sqlite").exists())

    async def test_sigint_with_another_reactor(self) -> None:
        server = await self.check_stops(signal.SIGINT, "-r", "poll", "-n", "chat", "-p", "0", "-d", ":memory:")
        self.assertIn("pollreactor", server.output)
        self.assertEqual(os.listdir(server.home), [])


class CannotStartTests(TestCase):
    """It says why it cannot start, and leaves nothing behind."""

    async def test_a_wrong_option_is_told(self) -> None:
        server = Twistd(self, "-n", "chat", "--port", "abc")
        self.assertEqual(await server.ends(), 1)
        self.assertIn("--port takes a port or an endpoint such as", server.output)
        self.assertNotIn("Traceback", server.output)

    async def check_cannot_start(self, *before: str) -> None:
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        server = Twistd(self, *before, "-n", "chat", "-p", "unix:chat.sock", "--listen", str(port))
        self.assertEqual(await server.ends(), 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}: something listens there already", server.output)
        self.assertNotIn("Traceback", server.output)
        left = [name for name in os.listdir(server.home) if not name.startswith("chat.sqlite")]
        self.assertEqual(left, [], "neither a socket nor a pid file stays")

    async def test_a_port_in_use_is_told(self) -> None:
        await self.check_cannot_start()

    async def test_a_port_in_use_is_told_with_another_reactor(self) -> None:
        await self.check_cannot_start("-r", "epoll" if sys.platform == "linux" else "select")


class PluginTests(TestCase):
    """`twistd` finds the server."""

    async def test_twistd_lists_the_chat(self) -> None:
        server = Twistd(self, "--help")
        self.assertEqual(await server.ends(), 0)
        self.assertRegex(server.output, r"\n +chat +A chat server")

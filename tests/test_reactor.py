"""The reactor: reads go straight to the connections, and everything else is as in asyncio's reactor of Twisted."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from twisted.internet import main
from twisted.internet.error import ConnectionDone
from twisted.python import context
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from twisted.trial.unittest import TestCase

from twisted_chat import reactor
from twisted_chat.reactor import Reactor


class Reader:
    """A reader of a socket or a file, with what it does when it is called."""

    def __init__(self, file: Any, read: Callable[[], BaseException | None]) -> None:
        self.file = file
        self.doRead = read
        self.lost: list[Failure] = []

    def fileno(self) -> int:
        return cast(int, self.file.fileno())

    def logPrefix(self) -> str:
        raise AssertionError("there is no log context")

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)


class ReactorTests(TestCase):
    def setUp(self) -> None:
        loop = asyncio.SelectorEventLoop()
        self.reactor: Any = Reactor(loop)
        self.addCleanup(loop.close)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Make two connected sockets."""
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return near, far

    def readable(self, read: Callable[[], BaseException | None]) -> Reader:
        """Add a reader of a socket in which there is something to read."""
        near, far = self.pair()
        far.send(b"x")
        reader = Reader(near, read)
        self.reactor.addReader(reader)
        return reader

    def turn(self) -> None:
        """Run one turn of the event loop."""
        loop = self.reactor._asyncioEventloop
        loop.call_soon(loop.stop)
        loop.run_forever()

    def test_a_reader_is_called_while_there_is_something_to_read_without_a_log_context(self) -> None:
        contexts = []
        self.readable(lambda: contexts.append(context.get(ILogContext)))
        outside = context.get(ILogContext)
        self.turn()
        self.turn()
        self.assertEqual([inside is outside for inside in contexts], [True, True])

    def test_one_that_is_added_twice_is_called_once_in_a_turn(self) -> None:
        calls: list[None] = []
        reader = self.readable(lambda: calls.append(None))
        self.reactor.addReader(reader)
        self.turn()
        self.assertEqual(len(calls), 1)

    def test_one_that_is_removed_is_not_called_until_it_is_added_again(self) -> None:
        calls: list[None] = []
        reader = self.readable(lambda: calls.append(None))
        self.reactor.removeReader(reader)
        self.turn()
        self.assertEqual(calls, [])
        self.assertNotIn(reader, self.reactor.getReaders())
        self.reactor.addReader(reader)
        self.turn()
        self.assertEqual(len(calls), 1)

    def test_a_writer_beside_it_is_called_too(self) -> None:
        calls: list[str] = []
        reader = self.readable(lambda: calls.append("read"))
        writer: Any = mock.Mock(fileno=reader.fileno, doWrite=lambda: calls.append("written"))
        self.reactor.addWriter(writer)
        self.turn()
        self.assertEqual(sorted(calls), ["read", "written"])

    def test_a_connection_that_is_at_its_end_is_told(self) -> None:
        reader = self.readable(lambda: main.CONNECTION_DONE)
        self.turn()
        self.assertEqual([reason.type for reason in reader.lost], [ConnectionDone])
        self.assertNotIn(reader, self.reactor.getReaders())

    def test_a_connection_whose_reading_fails_is_ended(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        reader = self.readable(fail)
        self.turn()
        self.assertEqual([reason.type for reason in reader.lost], [ZeroDivisionError])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_whose_end_fails_leaves_the_others_alone(self) -> None:
        calls: list[None] = []
        reader = self.readable(lambda: main.CONNECTION_DONE)
        cast(Any, reader).connectionLost = mock.Mock(side_effect=ZeroDivisionError)
        self.readable(lambda: calls.append(None))
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(calls), 1)

    def test_a_file_which_no_selector_takes_is_polled(self) -> None:
        with tempfile.TemporaryFile() as file:
            reader = Reader(file, lambda: None)
            self.reactor.addReader(reader)
            self.reactor.addReader(reader)
            self.assertEqual(self.reactor.getReaders().count(reader), 1)
            self.reactor.removeReader(reader)
            self.assertNotIn(reader, self.reactor.getReaders())

    def test_it_is_installed_on_a_loop(self) -> None:
        installed: list[Any] = []
        self.patch(reactor, "installReactor", installed.append)
        loop = asyncio.SelectorEventLoop()
        self.addCleanup(loop.close)
        reactor.install(loop)
        self.assertIsInstance(installed[0], Reactor)
        self.assertIs(installed[0]._asyncioEventloop, loop)

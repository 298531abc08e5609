"""The client of lines, from what is typed to what is printed and the exit status."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from typing import Any

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.internet.error import TimeoutError as TimedOut
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat.client import __main__ as program
from twisted_chat.client.program import lines as lines_module
from twisted_chat.client.program.lines import MAX_LINE, MAX_LINES, Lines, Talk, start
from twisted_chat.client.program.options import Options
from twisted_chat.client.protocol.engine import WELCOME_TIME
from twisted_chat.messages import WireError

from .client_fakes import FakeServer, Network, result

OPTIONS = Options("127.0.0.1", 14900, "alice", ("lobby",), False)


class Pipes:
    """Standard input and output, as `StandardIO` gives them."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.output = b""
        self.reading = True
        self.producer: Any = None
        self.closed = False
        lines.makeConnection(self)

    def write(self, data: bytes) -> None:
        self.output += data

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        if not self.closed:
            self.closed = True
            self.lines.connectionLost()

    @property
    def printed(self) -> list[str]:
        return self.output.decode().splitlines()


class LinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines = Lines()
        self.pipes = Pipes(self.lines)

    def read(self, count: int) -> list[str | None]:
        return [result(self.lines.read()) for _ in range(count)]

    def test_lines_come_whole_in_order_and_then_the_end(self) -> None:
        self.lines.dataReceived("а\r\n\nb".encode())
        self.lines.dataReceived(b"c\nd")
        IHalfCloseableProtocol(self.lines).readConnectionLost()
        self.assertEqual(self.read(5), ["а", "", "bc", "d", None])

    def test_the_end_may_come_with_the_last_line_end(self) -> None:
        waiting = self.lines.read()
        self.lines.dataReceived(b"a\n")
        self.lines.readConnectionLost()
        self.assertEqual([result(waiting), *self.read(1)], ["a", None])

    def test_what_is_no_utf_8_is_shown_as_such(self) -> None:
        self.lines.dataReceived(b"a\xffb\n")
        self.assertEqual(self.read(1), ["a\ufffdb"])

    def test_a_line_without_an_end_takes_no_memory(self) -> None:
        for _ in range(100):
            self.lines.dataReceived(b"x" * 10_000)
        self.assertEqual(len(self.lines._buffer), MAX_LINE)
        self.lines.dataReceived(b"x\ny\n")
        self.assertEqual([len(line or "") for line in self.read(2)], [MAX_LINE, 1])

    def test_input_waits_for_who_takes_it(self) -> None:
        self.lines.dataReceived(b"x\n" * MAX_LINES)
        self.assertFalse(self.pipes.reading)
        self.lines.dataReceived(b"y\n")
        self.read(MAX_LINES)
        self.assertFalse(self.pipes.reading)
        self.read(1)
        self.assertTrue(self.pipes.reading)

    def test_output_waits_for_who_reads_it(self) -> None:
        self.assertIsNone(result(self.lines.writable()))
        self.pipes.producer.pauseProducing()
        waiting = self.lines.writable()
        self.assertNoResult(waiting)
        self.pipes.producer.resumeProducing()
        self.assertIsNone(result(waiting))

    def test_nobody_waits_for_an_output_that_is_closed(self) -> None:
        self.pipes.producer.pauseProducing()
        waiting = self.lines.writable()
        self.pipes.producer.stopProducing()
        self.assertIsNone(result(waiting))
        self.lines.writeConnectionLost()
        self.lines.connectionLost()
        self.assertIsNone(result(self.lines.closed))


class TalkTestCase(SynchronousTestCase):
    options = OPTIONS

    def setUp(self) -> None:
        self.errors = io.StringIO()
        self.patch(sys, "stderr", self.errors)
        self.server = FakeServer()
        self.network = Network(self.server, Clock())
        self.lines = Lines()
        self.pipes = Pipes(self.lines)
        self.running: Deferred[int] = Deferred()

    def start(self) -> None:
        talk = Talk(self.network.clock, self.options, self.lines, self.network)
        self.running = Deferred.fromCoroutine(talk.run())
        self.network.flush()

    def type(self, text: str) -> None:
        self.lines.dataReceived(text.encode())
        self.network.flush()

    def status(self) -> int:
        """Give the exit status, and look that nothing is left behind."""
        self.network.flush()
        self.assertEqual((self.network.connections, self.network.clock.getDelayedCalls()), ([], []))
        self.assertTrue(self.pipes.closed)
        status: int = result(self.running)
        return status

    @property
    def complaints(self) -> list[str]:
        return self.errors.getvalue().splitlines()

    @property
    def said(self) -> list[str]:
        return [message.msg for message in self.server.room("lobby").log]


class TalkTests(TalkTestCase):
    def test_lines_are_said_and_exit_leaves(self) -> None:
        self.start()
        self.type("hi\n\nhow are you?\n//me\nexit\nnot this\n")
        self.assertEqual((self.status(), self.said), (0, ["hi", "how are you?", "/me"]))
        self.assertEqual((self.pipes.output, self.complaints), (b"", []))

    def test_the_end_of_input_leaves_after_all_is_acked(self) -> None:
        self.start()
        self.lines.dataReceived(b"hi")
        self.lines.readConnectionLost()
        self.assertNoResult(self.running)
        self.assertEqual((self.status(), self.said), (0, ["hi"]))

    def test_history_is_printed_like_everything_else(self) -> None:
        self.server.say("before")
        self.start()
        self.type("/history\nexit\n")
        self.assertEqual(self.status(), 0)
        self.assertIn("bob: before", self.pipes.output.decode())

    def test_quit_leaves(self) -> None:
        self.start()
        self.type("hi\n/quit\n")
        self.assertEqual((self.status(), self.said), (0, ["hi"]))

    def test_ten_thousand_lines_arrive_in_order(self) -> None:
        self.start()
        self.lines.dataReceived(b"".join(b"%d\n" % i for i in range(10_000)))
        self.assertFalse(self.pipes.reading)
        self.lines.readConnectionLost()
        self.assertEqual((self.status(), self.said), (0, [str(i) for i in range(10_000)]))

    def test_messages_are_printed_without_what_a_terminal_obeys(self) -> None:
        self.start()
        self.server.say("hi\x1b[2J\nbob: no", author="b\x07ob")
        self.network.connections[0].reply(wire.Message(msg="psst", author="bob", to="alice"))
        self.network.flush()
        self.assertEqual(self.pipes.printed, ["bob: hi[2J bob: no", "bob (to you): psst"])

    def test_other_rooms_are_named(self) -> None:
        self.start()
        self.type("/join other\n")
        self.server.say("hi")
        self.server.say("yo", room="other")
        self.network.flush()
        self.assertEqual(self.pipes.printed, ["* you are in other (1 member)", "[lobby] bob: hi", "bob: yo"])

    def test_a_terminal_shows_who_comes(self) -> None:
        self.patch(os, "isatty", lambda descriptor: True)
        self.start()
        self.network.connections[0].reply(wire.MemberJoined(author="bob", room="lobby"))
        self.network.flush()
        self.assertEqual(
            self.pipes.printed, ["* you are alice in lobby; /help shows what you can do", "* bob joined lobby"]
        )

    def test_a_pipe_does_not(self) -> None:
        self.patch(os, "isatty", lambda descriptor: False)
        self.start()
        self.network.connections[0].reply(wire.MemberJoined(author="bob", room="lobby"))
        self.network.flush()
        self.assertEqual(self.pipes.printed, [])

    def test_several_rooms_are_entered_and_the_first_is_talked_in(self) -> None:
        self.options = replace(OPTIONS, rooms=("lobby", "garden"))
        self.start()
        self.type("hi\nexit\n")
        self.assertEqual((self.status(), self.said), (0, ["hi"]))
        self.assertEqual(list(self.server.rooms), ["lobby", "garden"])

    def test_what_is_meant_literally_is_said(self) -> None:
        self.options = replace(OPTIONS, literal=True)
        self.start()
        self.type("/quit\n\nexit\nhi\n")
        self.lines.readConnectionLost()
        self.assertEqual((self.status(), self.said), (0, ["/quit", "exit", "hi"]))

    def test_mistakes_are_shown_and_the_status_says_so_at_the_end(self) -> None:
        self.start()
        self.type("/what\nhi\nexit\n")
        self.assertEqual((self.status(), self.said), (1, ["hi"]))
        self.assertEqual(self.complaints, ["* there is no command /what; /help shows those there are"])

    def test_what_is_refused_is_shown_and_the_status_says_so(self) -> None:
        self.start()
        self.type("x" * 20_000 + "\nhi\nexit\n")
        self.assertEqual((self.status(), self.said), (1, ["hi"]))
        self.assertIn("16,384", self.complaints[0])

    def test_a_server_that_goes_away_ends_it_with_a_line(self) -> None:
        self.start()
        self.lines.dataReceived(b"hi\n")
        self.network.cut()
        self.assertEqual(self.status(), 1)
        (line,) = self.complaints
        self.assertIn("127.0.0.1:14900 is lost", line)
        self.assertIn("1 of what you said may be lost", line)

    def test_a_server_that_stops_ends_it_with_what_it_says(self) -> None:
        self.start()
        self.network.connections[0].reply(wire.Stop(msg="back in\ta minute", author="server"))
        self.assertEqual(self.status(), 1)
        self.assertEqual(self.complaints, ["the connection to 127.0.0.1:14900 is lost: back in a minute"])

    def test_a_server_that_goes_away_before_the_room_is_entered_ends_it(self) -> None:
        self.server.refuse = lambda request: self.network.cut() if isinstance(request, wire.Join) else None
        self.start()
        self.assertEqual((self.status(), len(self.complaints)), (1, 1))

    def test_a_server_that_goes_away_while_it_leaves_is_told_too(self) -> None:
        self.start()
        self.lines.dataReceived(b"hi\nexit\n")
        self.network.cut()
        self.assertEqual(self.status(), 1)
        self.assertEqual(len(self.complaints), 1)

    def test_an_output_that_nobody_reads_ends_it_quietly(self) -> None:
        self.start()
        self.lines.writeConnectionLost()
        self.pipes.closed = True
        self.assertEqual((self.status(), self.complaints), (1, []))

    def test_a_room_that_does_not_let_it_in_ends_it(self) -> None:
        self.server.refuse = lambda request: WireError("denied", "not you") if isinstance(request, wire.Join) else None
        self.start()
        self.assertEqual(
            (self.status(), self.complaints),
            (1, ["127.0.0.1:14900 does not let you in: lobby cannot be joined: not you"]),
        )

    def test_a_nick_that_is_taken_ends_it_with_a_line(self) -> None:
        self.server.refuse = lambda request: WireError("nick-taken", "somebody has this nick")
        self.start()
        self.assertEqual(self.status(), 1)
        self.assertIn("--nick", self.complaints[0])

    def test_a_server_that_ends_the_connection_before_the_welcome_may_be_an_old_one(self) -> None:
        self.server.refuse = lambda request: WireError("full", "full")
        talk = Talk(self.network.clock, self.options, self.lines, self.network)
        self.running = Deferred.fromCoroutine(talk.run())
        self.network.cut()
        self.assertEqual(self.status(), 1)
        self.assertRegex(self.complaints[0], r"^127\.0\.0\.1:14900 did not let you in: .*; .* add --bare$")

    def test_a_server_that_says_why_it_stops_before_the_welcome_is_none_of_the_old_ones(self) -> None:
        talk = Talk(self.network.clock, self.options, self.lines, self.network)
        self.running = Deferred.fromCoroutine(talk.run())
        self.network.connections[0].protocol.dataReceived(wire.encode_line(wire.Stop(msg="closing", author="server")))
        self.network.cut()
        self.assertEqual(self.status(), 1)
        self.assertEqual(self.complaints, ["127.0.0.1:14900 did not let you in: closing"])

    def test_a_server_that_does_not_answer_is_told_with_its_address(self) -> None:
        talk = Talk(self.network.clock, self.options, self.lines, self.network)
        self.running = Deferred.fromCoroutine(talk.run())
        self.network.connections[0].clear()
        self.network.clock.advance(WELCOME_TIME)
        self.assertEqual(self.status(), 1)
        self.assertRegex(
            self.complaints[0],
            r"^127\.0\.0\.1:14900 did not let you in: the server did not answer within 30 seconds; .*--bare$",
        )

    def test_without_a_server_it_says_why_in_a_line(self) -> None:
        for error, text in (
            (Refused(), "there is no server at 127.0.0.1:14900; --host and --port say where to look"),
            (DNSLookupError(), "there is no host with the name 127.0.0.1; --host says where to look"),
            (TimedOut(), "cannot reach 127.0.0.1:14900: there was no answer in time"),
        ):
            self.network.error = error
            self.start()
            self.network.clock.advance(0)
            self.pipes.closed = True
            self.assertEqual(result(self.running), 1)
            self.assertTrue(self.complaints[-1].startswith(text), self.complaints)
            self.lines = Lines()
            self.pipes = Pipes(self.lines)


class BareTalkTests(TalkTestCase):
    options = Options("127.0.0.1", 14900, "alice", ("lobby",), True)

    def start(self) -> None:
        super().start()
        (self.connection,) = self.network.connections

    def segments(self) -> list[bytes]:
        data = self.connection.value()
        self.connection.clear()
        return [data] if data else []

    def test_a_conversation_of_three_fields(self) -> None:
        self.network.flush = lambda: None  # type: ignore[method-assign]
        self.start()
        self.type("hi\n/join x\nexit\n")
        self.assertEqual(self.segments(), [b'{"type":"","msg":"hi","author":"self"}'])
        self.connection.protocol.dataReceived(
            b'{"type": "", "msg": "yo\\u001b", "author": 49474}{"type":"error","msg":"no"}'
        )
        self.network.clock.pump([0.02] * 3)
        self.assertEqual(self.segments(), [b'{"type":"quit","msg":"","author":"self"}'])
        self.connection.protocol.dataReceived(b'{"type": "stop", "msg": "", "author": "server"}')
        self.connection.cut()
        self.assertEqual(self.status(), 1, "a command was refused")
        self.assertEqual(self.pipes.printed, ["49474: yo"])
        self.assertEqual(self.complaints[1:], ["* no"])
        self.assertIn("--bare", self.complaints[0])

    def test_a_server_that_goes_away_ends_it_with_a_line(self) -> None:
        self.network.flush = lambda: None  # type: ignore[method-assign]
        self.start()
        self.connection.cut()
        self.assertEqual(self.status(), 1)
        self.assertEqual(len(self.complaints), 1)


class StartTests(SynchronousTestCase):
    def test_it_talks_on_standard_input_and_output_with_the_server_of_the_options(self) -> None:
        reactor = MemoryReactorClock()
        made: list[tuple[Lines, Any]] = []
        self.patch(lines_module, "StandardIO", lambda lines, reactor: made.append((lines, reactor)))
        running = start(reactor, OPTIONS)
        self.assertIs(made[0][1], reactor)
        self.assertNoResult(running)
        reactor.advance(0)
        self.assertEqual(reactor.tcpClients[0][:2], ("127.0.0.1", 14900))


class FakeReactor:
    """A reactor that is interrupted when it has nothing to do and was not stopped."""

    def __init__(self) -> None:
        self.stopped = False
        self.calls: list[Any] = []
        self.before_shutdown: list[Any] = []

    def addSystemEventTrigger(self, phase: str, event: str, function: Any) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.before_shutdown.append(function)

    def callWhenRunning(self, function: Any) -> None:
        self.calls.append(function)

    def run(self) -> None:
        for call in self.calls + self.before_shutdown:
            call()

    def stop(self) -> None:
        self.stopped = True


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.errors = io.StringIO()
        self.patch(sys, "stderr", self.errors)
        self.patch(os, "environ", {**os.environ, "XDG_CONFIG_HOME": "/nowhere"})

    def run_with(self, result: Deferred[int]) -> int:
        reactor = FakeReactor()
        ends = result.called
        status = program._run(reactor, lambda: result)
        self.assertEqual(reactor.stopped, ends)
        return status

    def test_its_status_is_what_the_talk_gave(self) -> None:
        self.assertEqual([self.run_with(succeed(status)) for status in (0, 1)], [0, 1])

    def test_an_error_at_its_start_is_shown(self) -> None:
        def broken() -> Deferred[int]:
            raise ZeroDivisionError

        self.assertEqual(program._run(FakeReactor(), broken), 1)
        self.assertIn("ZeroDivisionError", self.errors.getvalue())

    def test_an_error_of_its_own_is_shown(self) -> None:
        self.assertEqual(self.run_with(fail(ZeroDivisionError())), 1)
        self.assertIn("ZeroDivisionError", self.errors.getvalue())

    def test_it_may_be_interrupted(self) -> None:
        self.assertEqual(self.run_with(Deferred()), 130)
        self.assertEqual(self.run_with(Deferred(lambda running: running.callback(1))), 130)
        self.assertEqual(self.errors.getvalue(), "")

    def test_a_bad_nick_ends_it_with_a_line(self) -> None:
        self.assertEqual(program.main(["--nick", "a b"]), 1)
        self.assertEqual(len(self.errors.getvalue().splitlines()), 1)

    def test_it_leaves_the_terminal_as_it_was(self) -> None:
        installed: list[None] = []
        self.patch(asyncioreactor, "install", lambda: installed.append(None))
        self.patch(lines_module, "start", lambda reactor, options: succeed(0))
        blocking = [os.get_blocking(descriptor) for descriptor in range(3)]

        def run(reactor: Any, start: Any) -> int:
            os.set_blocking(0, not blocking[0])
            status: int = result(start())
            return status

        self.patch(program, "_run", run)
        self.assertEqual(program.main(["--nick", "alice"]), 0)
        self.assertEqual([os.get_blocking(descriptor) for descriptor in range(3)], blocking)
        self.assertEqual(len(installed), 1)

    def test_a_bad_configuration_ends_it_with_a_line(self) -> None:
        self.assertEqual(program.main(["--config", "/nowhere"]), 2)
        self.assertEqual(self.errors.getvalue(), "there is no file /nowhere\n")

    def test_a_terminal_is_used_whole_where_it_can_be(self) -> None:
        from twisted_chat.client import terminal

        xterm = {"TERM": "xterm"}
        self.patch(os, "isatty", lambda descriptor: True)
        self.assertIs(program._interface(OPTIONS, xterm), terminal.start)
        for term in ({}, {"TERM": ""}, {"TERM": "dumb"}, {"TERM": "unknown"}):
            self.assertIs(program._interface(OPTIONS, term), lines_module.start)
        for options in (replace(OPTIONS, plain=True), replace(OPTIONS, bare=True)):
            self.assertIs(program._interface(options, xterm), lines_module.start)
        for pipe in (0, 1):
            self.patch(os, "isatty", lambda descriptor, pipe=pipe: descriptor != pipe)
            self.assertIs(program._interface(OPTIONS, xterm), lines_module.start)

    def test_what_was_closed_is_opened(self) -> None:
        opened = iter([1, 2, 3])
        closed: list[int] = []
        self.patch(os, "open", lambda path, flags: next(opened))
        self.patch(os, "close", closed.append)
        program._open_all()
        self.assertEqual(closed, [3])

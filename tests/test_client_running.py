"""One run of the program: what ends it from outside, and its exit status."""

from __future__ import annotations

import io
import os
import pty
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from twisted.internet import asyncioreactor, reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.client import __main__ as program
from twisted_chat.client import terminal
from twisted_chat.client.program import plain, running
from twisted_chat.client.program.options import Options
from twisted_chat.client.program.running import ENDING, Run, open_standard_streams, watch_terminal

from .client_fakes import result
from .programs import TIMEOUT

OPTIONS = Options("127.0.0.1", 14900, "alice", ("lobby",), False)


class FakeReactor:
    """A reactor that has only a few things to do, and ends then."""

    def __init__(self, *doing: Callable[[], object]) -> None:
        self.stopped = self.crashed = False
        self.threadpool: ThreadPool | None = None
        self._doing = list(doing)

    def callWhenRunning(self, function: Callable[[], object]) -> None:
        self._doing.insert(0, function)

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)

    def run(self) -> None:
        for do in self._doing:
            do()

    def stop(self) -> None:
        self.stopped = True

    def crash(self) -> None:
        self.crashed = True


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.errors = io.StringIO()
        self.patch(sys, "stderr", self.errors)
        self.patch(os, "isatty", lambda descriptor: False)
        for number in ENDING:  # below `nohup`, and in the background of a shell, some are ignored
            self.addCleanup(signal.signal, number, signal.signal(number, signal.SIG_DFL))

    def signal(self, number: int) -> Callable[[], object]:
        """Send this process a signal."""
        return lambda: os.kill(os.getpid(), number)

    def status_of(self, reactor: FakeReactor, talking: Deferred[int]) -> int:
        """The exit status of a run whose interface talks until this fires."""
        return Run(reactor, lambda: talking).run()

    def test_its_status_is_what_the_interface_gave(self) -> None:
        for status in (0, 1):
            reactor = FakeReactor()
            self.assertEqual(self.status_of(reactor, succeed(status)), status)
            self.assertTrue(reactor.stopped)

    def test_an_error_at_its_start_is_shown(self) -> None:
        def broken() -> Deferred[int]:
            raise ZeroDivisionError

        self.assertEqual(Run(FakeReactor(), broken).run(), 1)
        self.assertIn("ZeroDivisionError", self.errors.getvalue())

    def test_an_error_of_its_own_is_shown(self) -> None:
        self.assertEqual(Run(FakeReactor(), lambda: fail(ZeroDivisionError())).run(), 1)
        self.assertIn("ZeroDivisionError", self.errors.getvalue())

    def test_a_signal_lets_it_leave(self) -> None:
        for number in ENDING:
            cancelled: list[Deferred[int]] = []
            reactor = FakeReactor(self.signal(number))
            talking: Deferred[int] = Deferred(cancelled.append)
            self.assertEqual(self.status_of(reactor, talking), 128 + number)
            self.assertEqual((cancelled, reactor.stopped), ([talking], True))
        self.assertEqual(self.errors.getvalue(), "")

    def test_what_a_signal_interrupts_may_give_a_status_in_vain(self) -> None:
        talking: Deferred[int] = Deferred(lambda talking: talking.callback(0))
        self.assertEqual(Run(FakeReactor(self.signal(signal.SIGINT)), lambda: talking).run(), 130)

    def test_a_second_signal_ends_it_at_once(self) -> None:
        for second, crashes in ((signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGHUP, False)):
            reactor = FakeReactor(self.signal(signal.SIGHUP), self.signal(second))
            talking: Deferred[int] = Deferred(lambda _: None)
            talking.pause()  # it says goodbye, and nobody answers
            self.assertEqual(self.status_of(reactor, talking), 129)
            self.assertEqual((reactor.stopped, reactor.crashed), (False, crashes))

    def test_an_end_at_once_leaves_no_thread_that_python_waits_for(self) -> None:
        reactor = FakeReactor(self.signal(signal.SIGHUP), self.signal(signal.SIGTERM))
        pool = reactor.threadpool = ThreadPool(1, 1)
        pool.start()
        (worker,) = pool.threads
        Run(reactor, lambda: Deferred(lambda _: None)).run()
        self.assertTrue(reactor.crashed)
        alive = worker.is_alive()
        if alive:
            pool.stop()  # nothing of a test outlives it
        self.assertFalse(alive)

    def test_a_signal_that_is_ignored_stays_so(self) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        reactor = FakeReactor(self.signal(signal.SIGHUP))
        self.assertEqual(Run(reactor, Deferred).run(), 1)
        self.assertEqual((reactor.stopped, reactor.crashed), (False, False))

    def test_handlers_are_what_they_were_afterwards(self) -> None:
        before = [signal.getsignal(number) for number in ENDING]
        Run(FakeReactor(), lambda: succeed(0)).run()
        self.assertEqual([signal.getsignal(number) for number in ENDING], before)


class TerminalTests(TestCase):
    def test_a_hang_up_is_told_though_the_end_of_input_was_seen_first(self) -> None:
        before = {number: signal.getsignal(number) for number in ENDING}
        window, terminal_of_program = pty.openpty()
        self.addCleanup(os.close, terminal_of_program)
        self.patch(running, "INPUT", terminal_of_program)
        self.patch(running, "watch_terminal", lambda descriptor, is_gone: None)
        self.assertEqual(Run(FakeReactor(), lambda: succeed(0)).run(), 0)
        run = Run(FakeReactor(), lambda: succeed(0))
        os.close(window)
        self.assertEqual(run.run(), 129)
        self.assertEqual({number: signal.getsignal(number) for number in ENDING}, before)

    async def test_a_window_that_is_closed_is_told(self) -> None:
        window, terminal_of_program = pty.openpty()
        self.addCleanup(os.close, terminal_of_program)
        gone: Deferred[None] = Deferred()
        watch_terminal(terminal_of_program, lambda: cast(Any, reactor).callFromThread(gone.callback, None))
        os.write(window, b"typed\n")
        os.close(window)
        await gone.addTimeout(TIMEOUT, reactor)

    def test_what_is_no_terminal_is_not_watched(self) -> None:
        reader, writer = os.pipe()
        os.close(writer)
        watch_terminal(reader, lambda: self.fail("it is not a terminal"))
        os.close(reader)


class StandardStreamsTests(SynchronousTestCase):
    def test_those_that_are_closed_are_opened_to_nothing(self) -> None:
        opened = iter([1, 2, 3])
        closed: list[int] = []
        self.patch(os, "open", lambda path, flags: next(opened))
        self.patch(os, "close", closed.append)
        open_standard_streams()
        self.assertEqual(closed, [3])


class StartedRun:
    """A `Run` without a reactor."""

    def __init__(self, reactor: object, start: Callable[[], Deferred[int]]) -> None:
        self._start = start

    def run(self) -> int:
        status: int = result(self._start())
        return status


class MainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.errors = io.StringIO()
        self.patch(sys, "stderr", self.errors)
        self.patch(os, "environ", {**os.environ, "XDG_CONFIG_HOME": "/nowhere"})
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))

    def test_a_bad_nick_ends_it_as_a_wrong_option_does(self) -> None:
        error = self.assertRaises(SystemExit, program.main, ["--nick", "a b"], "talk")
        self.assertEqual(error.code, 2)
        self.assertRegex(self.errors.getvalue(), r"^talk: --nick cannot be 'a b': [^\n]+\nTry 'talk --help'.\n$")

    def test_a_bad_configuration_ends_it_with_a_line(self) -> None:
        self.assertEqual(program.main(["--config", "/nowhere"], "talk"), 2)
        self.assertEqual(self.errors.getvalue(), "talk: there is no file /nowhere\n")

    def test_the_arguments_are_those_of_the_process_by_default(self) -> None:
        self.patch(sys, "argv", ["twisted_chat/client/__main__.py", "--nick", "a b"])
        self.assertRaises(SystemExit, program.main)
        self.assertIn("python -m twisted_chat.client: --nick", self.errors.getvalue())

    def test_it_runs_under_asyncio(self) -> None:
        installed: list[None] = []
        self.patch(asyncioreactor, "install", lambda: installed.append(None))
        self.patch(plain, "start", lambda reactor, options: succeed(0))
        self.patch(running, "Run", StartedRun)
        self.assertEqual(program.main(["--nick", "alice", "--plain"]), 0)
        self.assertEqual(len(installed), 1)

    def test_a_terminal_is_used_whole_where_it_can_be(self) -> None:
        xterm = {"TERM": "xterm"}
        self.patch(os, "isatty", lambda descriptor: True)
        self.assertIs(program.interface(OPTIONS, xterm), terminal.start)
        for term in ({}, {"TERM": ""}, {"TERM": "dumb"}, {"TERM": "unknown"}):
            self.assertIs(program.interface(OPTIONS, term), plain.start)
        for options in (replace(OPTIONS, plain=True), replace(OPTIONS, bare=True)):
            self.assertIs(program.interface(options, xterm), plain.start)
        for pipe in (0, 1):
            self.patch(os, "isatty", lambda descriptor, pipe=pipe: descriptor != pipe)
            self.assertIs(program.interface(OPTIONS, xterm), plain.start)

"""Signals stop the server as far as it has come, and SIGHUP lets it read its files again."""

from __future__ import annotations

import os
import pty
import signal

from twisted.trial.unittest import TestCase

from twisted_chat.signals import Signals

from .ports import Reactor


class SignalsTests(TestCase):
    """A signal ends the process while nothing is open, is remembered while it starts, and stops it when it runs."""

    def setUp(self) -> None:
        self.left: list[int] = []
        self.stopped: list[int] = []
        self.reloads = 0
        self.signals = Signals(self.left.append)
        self.reactor = Reactor()

    def run_reactor(self) -> None:
        self.signals.run(self.reactor, self.stopped.append, self.reload)
        self.assertEqual((self.stopped, self.reloads), ([], 0), "not before the reactor takes its turn")
        self.reactor.advance(0)

    def reload(self) -> None:
        self.reloads += 1

    def use_terminal(self) -> int:
        """Give the process a terminal as its standard input. Returns the other end of the terminal."""
        window, terminal = pty.openpty()
        before = os.dup(0)
        os.dup2(terminal, 0)
        os.close(terminal)
        self.addCleanup(os.close, before)
        self.addCleanup(os.dup2, before, 0)
        self.patch(signal, "getsignal", lambda number: self)
        self.signals.catch()
        return window

    def test_while_nothing_is_open_the_process_ends_with_status_0(self) -> None:
        self.signals.receive(signal.SIGTERM)
        self.assertEqual((self.left, self.signals.received), ([0], 0))

    def test_a_signal_during_the_start_stops_the_reactor_once_it_runs(self) -> None:
        self.signals.start()
        self.signals.receive(signal.SIGTERM)
        self.assertEqual((self.left, self.signals.received), ([], signal.SIGTERM))
        self.run_reactor()
        self.assertEqual((self.stopped, self.reloads), ([signal.SIGTERM], 0))

    def test_a_signal_stops_the_reactor_once(self) -> None:
        self.signals.start()
        self.run_reactor()
        for number in (signal.SIGINT, signal.SIGTERM):
            self.signals.receive(number)
        self.reactor.advance(0)
        self.assertEqual(self.stopped, [signal.SIGINT])

    def test_sighup_stops_nothing_and_lets_files_be_read_again_each_time(self) -> None:
        self.signals.start()
        self.run_reactor()
        for _ in range(2):
            self.signals.receive(signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual((self.stopped, self.signals.received, self.reloads), ([], 0, 2))

    def test_after_sighup_during_the_start_files_are_read_again_once_the_server_runs(self) -> None:
        self.signals.receive(signal.SIGHUP)
        self.signals.start()
        self.signals.receive(signal.SIGHUP)
        self.run_reactor()
        self.assertEqual((self.left, self.stopped, self.reloads), ([], [], 1))

    def test_sighup_of_a_terminal_that_is_closed_stops_the_server(self) -> None:
        window = self.use_terminal()
        self.signals.start()
        self.run_reactor()
        self.signals.receive(signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual((self.stopped, self.reloads), ([], 1), "while the terminal is open, somebody else has sent it")
        os.close(window)
        self.signals.receive(signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual((self.stopped, self.reloads), ([signal.SIGHUP], 1))

    def test_while_nothing_is_open_a_closed_terminal_ends_the_process(self) -> None:
        os.close(self.use_terminal())
        self.signals.receive(signal.SIGHUP)
        self.assertEqual(self.left, [0])

    def test_a_daemon_has_given_its_terminal_up(self) -> None:
        window = self.use_terminal()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.close(null)
        os.close(window)
        self.signals.start()
        self.run_reactor()
        self.signals.receive(signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual((self.stopped, self.reloads), ([], 1))

    def test_only_the_standard_streams_may_be_the_terminal(self) -> None:
        asked: list[int] = []
        self.patch(os, "isatty", asked.append)
        self.patch(signal, "getsignal", lambda number: self)
        self.signals.catch()
        self.assertEqual(asked, [0, 1, 2])

    def test_a_signal_that_is_ignored_or_handled_stays_so(self) -> None:
        handlers = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: signal.Handlers.SIG_DFL,
            signal.SIGHUP: signal.Handlers.SIG_IGN,
        }
        self.patch(signal, "getsignal", handlers.get)
        self.patch(signal, "signal", handlers.__setitem__)
        self.signals.catch()
        self.assertEqual([*handlers.values()], [self.signals.receive, self.signals.receive, signal.SIG_IGN])

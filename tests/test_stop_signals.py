"""Signals stop the server as far as it has come."""

from __future__ import annotations

import signal

from twisted.trial.unittest import TestCase

from twisted_chat.stop_signals import StopSignals

from .ports import Reactor


class StopSignalsTests(TestCase):
    """A signal ends the process while nothing is open, is kept in mind while it starts, and stops it when it runs."""

    def setUp(self) -> None:
        self.left: list[int] = []
        self.stopped: list[int] = []
        self.signals = StopSignals(self.left.append)
        self.reactor = Reactor()

    def test_while_nothing_is_open_the_process_ends_with_status_0(self) -> None:
        self.signals.receive(signal.SIGTERM)
        self.assertEqual((self.left, self.signals.received), ([0], 0))

    def test_a_signal_during_the_start_stops_the_reactor_once_it_runs(self) -> None:
        self.signals.start()
        self.signals.receive(signal.SIGHUP)
        self.assertEqual((self.left, self.signals.received), ([], signal.SIGHUP))
        self.signals.run(self.reactor, self.stopped.append)
        self.assertEqual(self.stopped, [], "not before the reactor takes its turn")
        self.reactor.advance(0)
        self.assertEqual(self.stopped, [signal.SIGHUP])

    def test_a_signal_stops_the_reactor_once(self) -> None:
        self.signals.start()
        self.signals.run(self.reactor, self.stopped.append)
        for number in (signal.SIGINT, signal.SIGTERM):
            self.signals.receive(number)
        self.reactor.advance(0)
        self.assertEqual(self.stopped, [signal.SIGINT])

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

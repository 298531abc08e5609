"""Silence: when a client is asked whether it is there, and how often."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.wire.udp.silence import PING_SECONDS, PROBES, Silence


class SilenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.silent: list[float] = []
        self.probes: list[float] = []
        self.busy = False
        self.silence = Silence(self.clock, self.silent.append, self.probe)

    def probe(self) -> bool:
        if not self.busy:
            self.probes.append(self.clock.seconds())
        return not self.busy

    def test_it_is_told_as_long_as_it_lasts(self) -> None:
        self.clock.pump([PING_SECONDS] * 3)
        self.assertEqual(self.silent, [PING_SECONDS, 2 * PING_SECONDS, 3 * PING_SECONDS])

    def test_what_is_heard_ends_it(self) -> None:
        self.clock.advance(PING_SECONDS - 1)
        self.silence.heard()
        self.clock.advance(1)
        self.assertEqual(self.silent, [])
        self.clock.advance(PING_SECONDS)
        self.assertEqual(self.silent, [PING_SECONDS + 1])

    def test_without_a_message_nobody_is_asked(self) -> None:
        self.clock.pump([0.25] * 80)
        self.assertEqual(self.probes, [])

    def test_after_the_last_message_it_is_asked_some_times(self) -> None:
        self.silence.said()
        self.clock.advance(0.125)
        self.silence.said()
        self.clock.pump([0.125] * 80)
        due = [0.125 + sum(PROBES[: count + 1]) for count in range(len(PROBES))]
        self.assertEqual(self.probes, due)

    def test_until_it_is_heard_behind_a_question(self) -> None:
        self.silence.said()
        self.silence.heard()
        self.clock.advance(PROBES[0])
        self.assertEqual(len(self.probes), 1, "what was heard may have been said before")
        self.silence.heard()
        self.clock.pump([0.25] * 40)
        self.assertEqual(len(self.probes), 1)

    def test_the_next_message_begins_anew(self) -> None:
        self.silence.said()
        self.clock.advance(PROBES[0])
        self.silence.heard()
        self.silence.said()
        self.clock.advance(PROBES[0])
        self.assertEqual(len(self.probes), 2)

    def test_where_something_else_is_sent_the_question_comes_later(self) -> None:
        self.silence.said()
        self.busy = True
        self.clock.pump([PROBES[0]] * 20)
        self.busy = False
        self.clock.pump([0.25] * 80)
        self.assertEqual(len(self.probes), len(PROBES))

    def test_at_the_end_nothing_is_watched(self) -> None:
        self.silence.end()
        self.silence.end()
        self.assertEqual(self.clock.calls, [])
        silence = Silence(self.clock, self.silent.append, self.probe)
        silence.said()
        silence.end()
        self.assertEqual((self.clock.calls, self.silent), ([], []))

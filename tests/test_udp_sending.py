"""Datagrams to a client: in order, numbered, at a pace, in a window, and none lost if the socket is full."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.messages import Left, Message, PongSent, Reply, Stop
from twisted_chat.wire.udp.datagram import Datagram
from twisted_chat.wire.udp.sending import BURST, FIRST_WINDOW, QUESTIONS, RATE, WINDOW, Sender


class SenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.full = False
        self.answering = False
        """The client is heard after each datagram."""
        self.sender = Sender(self.send, 1000.0)

    def send(self, datagram: bytes) -> bool:
        if not self.full:
            obj = json.loads(datagram)
            self.sent.append((obj.get("room", obj["type"]), obj["n"]))
            if self.answering:
                self.sender.heard()
        return not self.full

    def put(self, *types: str) -> None:
        kinds: dict[str, Reply] = {"": Message("hi", "bob"), "pong": PongSent(), "stop": Stop(msg="", author="server")}
        self.sender.waiting += [Datagram(kinds.get(type, Left(room=type)), 0) for type in types]

    def test_each_has_the_next_number(self) -> None:
        self.put("a", "b")
        self.sender.send(1000.0)
        self.put("c")
        self.sender.send(1000.0)
        self.assertEqual(self.sent, [("a", 1), ("b", 2), ("c", 3)])

    def test_so_many_at_once_and_then_at_a_rate(self) -> None:
        self.answering = True
        self.put(*"x" * 10 * BURST)
        self.sender.send(1000.0)
        self.assertEqual(len(self.sent), BURST)
        self.sender.send(1000.0 + 10.5 / RATE)
        self.assertEqual(len(self.sent), BURST + 10)
        self.sender.send(1000.0 + 11.5 / RATE)
        self.assertEqual(len(self.sent), BURST + 11)
        self.assertEqual(len(self.sender.waiting), 9 * BURST - 11)

    def test_a_long_rest_allows_no_more_than_that(self) -> None:
        self.answering = True
        self.put(*"x" * 3 * BURST)
        self.sender.send(2000.0)
        self.sender.send(3000.0)
        self.assertEqual(len(self.sent), 2 * BURST)

    def test_one_that_is_silent_gets_a_window_with_questions_in_it(self) -> None:
        self.put(*"x" * 2 * BURST)
        self.sender.send(1000.0)
        self.sender.send(2000.0)
        part = ["x"] * (FIRST_WINDOW // QUESTIONS) + ["ping"]
        self.assertEqual([type for type, _ in self.sent], part * QUESTIONS)
        self.assertEqual([number for _, number in self.sent], list(range(1, len(part) * QUESTIONS + 1)))
        self.assertTrue(self.sender.blocked)

    def test_signs_of_life_double_the_window_up_to_a_bound(self) -> None:
        now, windows = 1000.0, []
        for _ in range(7):
            self.put(*"x" * WINDOW * 2)
            for _ in range(10):
                now += 1.0
                self.sender.send(now)
            windows.append(len([type for type, _ in self.sent if type == "x"]))
            self.sent.clear()
            self.sender.heard()
        self.assertEqual(windows, [16, 32, 64, 128, 256, 256, 256])
        self.assertEqual(WINDOW, 256)

    def test_the_window_doubles_where_half_of_it_was_used(self) -> None:
        for used, window in ((FIRST_WINDOW // 2 - 1, FIRST_WINDOW), (FIRST_WINDOW // 2, 2 * FIRST_WINDOW)):
            self.sender = Sender(self.send, 1000.0)
            self.put(*"x" * used)
            self.sender.send(1000.0)
            self.sender.heard()
            self.sent.clear()
            self.put(*"x" * BURST)
            self.sender.send(1000.0)
            self.assertEqual(len([type for type, _ in self.sent if type == "x"]), window)

    def test_one_that_needs_little_keeps_a_small_window(self) -> None:
        for number in range(100):
            self.put("x")
            self.sender.send(1000.0 + number)
            self.sender.heard()
        self.put(*"x" * 2 * BURST)
        self.sender.send(2000.0)
        self.assertEqual(len(self.sender.waiting), 2 * BURST - FIRST_WINDOW)

    def test_it_is_asked_whatever_waits(self) -> None:
        self.put(*"x" * 2 * BURST)
        self.sender.send(1000.0)
        self.sent.clear()
        self.sender.ask()
        self.assertEqual([type for type, _ in self.sent], ["ping"])

    def test_what_cannot_be_sent_waits_and_takes_no_number(self) -> None:
        self.put("a")
        self.full = True
        self.sender.send(1000.0)
        self.assertEqual(len(self.sender.waiting), 1)
        self.full = False
        self.sender.send(1000.0)
        self.assertEqual(self.sent, [("a", 1)])

    def test_after_a_message_or_a_whole_window_the_client_is_to_be_asked(self) -> None:
        self.put("")
        self.put("pong")
        self.full = True
        self.assertFalse(self.sender.send(1000.0))
        self.full = False
        self.assertTrue(self.sender.send(1000.0))
        self.put("pong")
        self.assertFalse(self.sender.send(1000.0))
        self.put(*["pong"] * FIRST_WINDOW)
        self.assertTrue(self.sender.send(1000.0))
        self.assertFalse(self.sender.send(1001.0), "nothing was sent")

    def test_the_last_is_sent_again_with_a_number_of_its_own(self) -> None:
        self.sender.send_again(1000.0)
        self.assertEqual(self.sent, [], "there is none yet")
        self.put("a", "stop")
        self.sender.send(1000.0)
        self.sender.send_again(1000.0)
        self.assertEqual(self.sent[1:], [("stop", 2), ("stop", 3)])

    def test_the_last_is_sent_again_no_faster_than_all_else(self) -> None:
        self.put("stop")
        for _ in range(3 * BURST):
            self.sender.send(1000.0)
            self.sender.send_again(1000.0)
        self.assertEqual(len(self.sent), BURST)
        self.full = True
        self.sender.send_again(1001.0)
        self.full = False
        for _ in range(3 * BURST):
            self.sender.send_again(1001.0)
        self.assertEqual(len(self.sent), 2 * BURST)

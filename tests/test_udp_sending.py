"""What goes to a client: in order, numbered, at a pace, and nothing of it lost where the socket takes nothing."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.wire.udp.sending import BURST, RATE, Sender


class SenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.full = False
        self.sender = Sender(self.send, 1000.0)

    def send(self, datagram: bytes) -> bool:
        if not self.full:
            obj = json.loads(datagram)
            self.sent.append((obj["type"], obj["n"]))
        return not self.full

    def put(self, *types: str) -> None:
        self.sender.waiting += [json.dumps({"type": type}, separators=(",", ":")).encode() for type in types]

    def test_each_has_the_next_number(self) -> None:
        self.put("a", "b")
        self.sender.send(1000.0)
        self.put("c")
        self.sender.send(1000.0)
        self.assertEqual(self.sent, [("a", 1), ("b", 2), ("c", 3)])

    def test_so_many_at_once_and_then_at_a_rate(self) -> None:
        self.put(*"x" * 10 * BURST)
        self.sender.send(1000.0)
        self.assertEqual(len(self.sent), BURST)
        self.sender.send(1000.0 + 10.5 / RATE)
        self.assertEqual(len(self.sent), BURST + 10)
        self.sender.send(1000.0 + 11.5 / RATE)
        self.assertEqual(len(self.sent), BURST + 11)
        self.assertEqual(len(self.sender.waiting), 9 * BURST - 11)

    def test_a_long_rest_allows_no_more_than_that(self) -> None:
        self.put(*"x" * 3 * BURST)
        self.sender.send(2000.0)
        self.sender.send(3000.0)
        self.assertEqual(len(self.sent), 2 * BURST)

    def test_what_cannot_be_sent_waits_and_takes_no_number(self) -> None:
        self.put("a")
        self.full = True
        self.sender.send(1000.0)
        self.assertEqual(len(self.sender.waiting), 1)
        self.full = False
        self.sender.send(1000.0)
        self.assertEqual(self.sent, [("a", 1)])

    def test_it_says_whether_a_message_was_sent(self) -> None:
        self.sender.waiting.append(b'{"type":"","msg":"hi"}')
        self.put("pong")
        self.full = True
        self.assertFalse(self.sender.send(1000.0))
        self.full = False
        self.assertTrue(self.sender.send(1000.0))
        self.put("pong")
        self.assertFalse(self.sender.send(1000.0))

    def test_the_last_is_sent_again_with_a_number_of_its_own(self) -> None:
        self.sender.send_again()
        self.assertEqual(self.sent, [], "there is none yet")
        self.put("a", "stop")
        self.sender.send(1000.0)
        self.sender.send_again()
        self.assertEqual(self.sent[1:], [("stop", 2), ("stop", 3)])

"""The newest lines of a room."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.tail import Tail


class TailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tail = Tail(10)
        self.tail.append(range(11, 21), [b"%d..." % number for number in range(11, 21)])

    def test_pages_behind_a_number_are_bounded_in_messages_and_bytes(self) -> None:
        for seq, most, most_bytes, expected in (
            (10, 3, 100, [11, 12, 13]),
            (15, 100, 11, [16, 17, 18]),
            (15, 100, 1, [16]),
            (20, 100, 100, []),
        ):
            self.assertEqual(self.tail.after(seq, most, most_bytes).seqs, expected)

    def test_so_are_pages_in_front_of_one(self) -> None:
        for seq, most, most_bytes, expected in (
            (18, 3, 100, [15, 16, 17]),
            (18, 100, 6, [16, 17]),
            (11, 100, 100, []),
        ):
            self.assertEqual(self.tail.before(seq, most, most_bytes).seqs, expected)

    def test_the_oldest_are_forgotten(self) -> None:
        for count, floor in ((3, 13), (1, 14), (4, 18)):
            self.tail.drop(count)
            self.assertEqual((self.tail.floor, len(self.tail)), (floor, 20 - floor))
            page = self.tail.before(100, 100, 100)
            self.assertEqual(page.seqs, list(range(floor + 1, 21)))
            self.assertEqual(page.lines, [b"%d..." % number for number in page.seqs])
            self.assertEqual(self.tail.after(floor, 1, 100).lines, page.lines[:1])

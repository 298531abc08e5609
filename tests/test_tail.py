"""The newest messages of a room."""

from __future__ import annotations

import gc
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.log import Record
from twisted_chat.room.tail import RECORD_BYTES, Tail, size_of


def numbers(records: list[Record]) -> list[int]:
    return [record.seq for record in records]


class TailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tail = Tail(10)
        self.tail.append(Record(number, 0, "al", "") for number in range(11, 21))

    def test_pages_behind_a_number_are_bounded_in_messages_and_bytes(self) -> None:
        for seq, most, most_bytes, expected in (
            (10, 3, 10**6, [11, 12, 13]),
            (15, 100, 2 * RECORD_BYTES + 1, [16, 17, 18]),
            (15, 100, 2 * RECORD_BYTES, [16, 17]),
            (15, 100, 1, [16]),
            (20, 100, 10**6, []),
        ):
            self.assertEqual(numbers(self.tail.after(seq, most, most_bytes)), expected)

    def test_so_are_pages_in_front_of_one(self) -> None:
        for seq, most, most_bytes, expected in (
            (18, 3, 10**6, [15, 16, 17]),
            (18, 100, RECORD_BYTES + 1, [16, 17]),
            (11, 100, 10**6, []),
        ):
            self.assertEqual(numbers(self.tail.before(seq, most, most_bytes)), expected)

    def test_what_is_forgotten_takes_no_memory(self) -> None:
        records = [Record(number, 0, "al", "x" * 999) for number in range(21, 41)]
        self.tail.append(records)
        held = [sys.getrefcount(records[at]) for at in range(len(records))]
        self.tail.drop(14)  # four of them; those behind are not moved to the front yet
        freed = [held[at] - sys.getrefcount(records[at]) for at in range(len(records))]
        self.assertEqual(freed[:5], [1] * 4 + [0])

    def test_what_is_forgotten_leaves_no_growing_list_behind(self) -> None:
        self.tail.append(Record(number, 0, "al", "") for number in range(21, 41))
        self.tail.drop(25)
        for number in range(41, 541):
            self.tail.append([Record(number, 0, "al", "")])
            self.tail.drop(1)
        self.assertEqual(len(self.tail), 5)
        (held,) = [held for held in gc.get_referents(self.tail) if isinstance(held, list)]
        self.assertLess(len(held), 50)

    def test_a_longer_text_takes_more(self) -> None:
        short, long = Record(1, 0, "al", ""), Record(2, 0, "al", "x" * 1_000)
        self.assertEqual(size_of([short]), RECORD_BYTES)
        self.assertEqual(size_of([short, long]), 2 * RECORD_BYTES + 1_000)

    def test_the_oldest_are_forgotten(self) -> None:
        for count, floor in ((3, 13), (1, 14), (4, 18)):
            self.tail.drop(count)
            self.assertEqual((self.tail.floor, len(self.tail)), (floor, 20 - floor))
            self.assertEqual(numbers(self.tail.before(100, 100, 10**6)), list(range(floor + 1, 21)))
            self.assertEqual(numbers(self.tail.after(floor, 1, 10**6)), [floor + 1])


class AnyTailTests(SynchronousTestCase):
    @given(
        st.lists(
            st.tuples(st.sampled_from(["append", "skip", "drop", "delete", "delete"]), st.integers(0, 60)), max_size=60
        ),
        st.integers(0, 60),
        st.integers(1, 20),
        st.integers(1, 10 * RECORD_BYTES),
    )
    def test_it_is_the_end_of_a_list_whatever_is_appended_forgotten_or_deleted(
        self, steps: list[tuple[str, int]], seq: int, most: int, most_bytes: int
    ) -> None:
        tail, model, newest, floor = Tail(0), list[Record](), 0, 0
        for step, number in steps:
            match step:
                case "append" | "skip":
                    newest += 1 if step == "append" else 1 + number % 3
                    model.append(Record(newest, 0, "al", "x" * number))
                    tail.append(model[-1:])
                case "drop" if model:
                    count = 1 + number % len(model)
                    floor = model[count - 1].seq
                    tail.drop(count)
                    del model[:count]
                case "delete":
                    tail.take_text(number, 99)
                    model = [record.without_text(99) if record.seq == number else record for record in model]
        self.assertEqual((tail.floor, len(tail)), (floor, len(model)))
        after = [record for record in model if record.seq > max(seq, floor)][:most]
        self.assertEqual(tail.after(max(seq, floor), most, most_bytes), fitting(after, most_bytes))
        before = [record for record in model if record.seq < seq][-most:]
        self.assertEqual(tail.before(seq, most, most_bytes), fitting(before[::-1], most_bytes)[::-1])


def fitting(records: list[Record], most_bytes: int) -> list[Record]:
    """Take records until they have so many bytes, but at least one."""
    taken: list[Record] = []
    for record in records:
        if size_of(taken) >= most_bytes:
            break
        taken.append(record)
    return taken

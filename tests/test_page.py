"""Tests for pages: what an author gets of one in place of its own messages, and what a reader that is behind gets."""

from __future__ import annotations

from array import array
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import names
from twisted_chat.encoding import LINES, THREE_FIELDS
from twisted_chat.log import Entry, Record
from twisted_chat.room.page import Page

from .helpers import Counted


class PageTests(SynchronousTestCase):
    """A page of four records, whose numbers have gaps."""

    def setUp(self) -> None:
        self.records = [Record(seq, 0, "al", str(seq)) for seq in (11, 13, 15, 16)]
        self.page = Page("lobby", self.records, 10)
        self.lines = [LINES.message("lobby", record) for record in self.records]

    def with_answers(self, *own: int, stored_before: tuple[int, ...] = ()) -> list[bytes]:
        """Return the page for the author of some of it, line by line. The answer to a message is its number."""
        entries: list[Entry] = []
        for seq in own:
            room: Any = None
            entries.append(Entry(room, names.nick("al"), str(seq), f"id{seq}", seq=seq, fresh=seq not in stored_before))
        answers = (b"%d\n" % seq for seq in own)
        whole: bytes = self.page.written(LINES).with_answers(entries, answers)
        return whole.splitlines(keepends=True)

    def test_answers_stand_in_place_of_the_authors_own_messages(self) -> None:
        first, second, third, fourth = self.lines
        self.assertEqual(self.with_answers(11), [b"11\n", second, third, fourth])
        self.assertEqual(self.with_answers(13), [first, b"13\n", third, fourth])
        self.assertEqual(self.with_answers(15), [first, second, b"15\n", fourth])
        self.assertEqual(self.with_answers(16), [first, second, third, b"16\n"])
        self.assertEqual(self.with_answers(13, 16), [first, b"13\n", third, b"16\n"])
        self.assertEqual(self.with_answers(11, 13, 15, 16), [b"11\n", b"13\n", b"15\n", b"16\n"])

    def test_the_answer_to_a_message_that_was_stored_before_takes_no_place(self) -> None:
        first, _, third, fourth = self.lines
        self.assertEqual(self.with_answers(3, 13, stored_before=(3,)), [b"3\n", first, b"13\n", third, fourth])

    def test_a_message_without_an_id_has_no_answer(self) -> None:
        first, _, third, _ = self.lines
        room: Any = None
        author = names.nick("al")
        entries = [Entry(room, author, "13", seq=13, fresh=True), Entry(room, author, "16", "16", seq=16, fresh=True)]
        whole = self.page.written(LINES).with_answers(entries, iter([b"16\n"]))
        self.assertEqual(whole, first + third + b"16\n")

    def test_what_comes_after_a_number_leaves_out_the_readers_own(self) -> None:
        first, second, third, fourth = self.lines
        written = self.page.written(LINES)
        for seq, own, expected in (
            (10, (), [first, second, third, fourth]),
            (13, (), [third, fourth]),
            (14, (), [third, fourth]),
            (15, (), [fourth]),
            (11, (15,), [second, fourth]),
            (10, (11, 13, 15, 16), []),
        ):
            self.assertEqual(written.after(seq, array("q", own)), b"".join(expected))

    def test_it_is_written_once_for_each_encoding(self) -> None:
        lines, fields = Counted(), Counted(THREE_FIELDS)
        for _ in range(3):
            for encoding in lines, fields:
                self.assertIs(self.page.written(encoding), self.page.written(encoding))
        self.assertEqual((lines.counts["message"], fields.counts["message"]), (4, 4))

    def test_it_counts_what_comes_after_a_number(self) -> None:
        self.assertEqual([self.page.count_after(seq) for seq in (10, 11, 14, 16)], [4, 3, 2, 0])

    def test_it_has_what_comes_behind_the_numbers_from_its_start_on(self) -> None:
        self.assertEqual([self.page.has_after(seq) for seq in (9, 10, 14, 15, 16)], [False, True, True, True, False])
        empty = Page("lobby", [], 10)
        self.assertEqual((empty.end, empty.has_after(10)), (10, False))

"""Messages that wait for a turn: equal shares of all authors, each in order."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import names
from twisted_chat.limits import BESIDE_TEXT, FAN_OUT
from twisted_chat.log import Entry
from twisted_chat.room.backlog import AUTHORS_A_TURN, Backlog, size_to_send

SIZE = 10 * (2 + BESIDE_TEXT)
"""The `size_to_send` of a message."""


class Author:
    def __init__(self, flow: str) -> None:
        self.flow = flow


class BacklogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.backlog = Backlog()
        self.authors: dict[str, object] = {}
        self.flows: dict[str, str] = {}
        """The flows of those authors that share one."""

    def add(self, *texts: str) -> None:
        """Add messages; the first letter is the author."""
        entries = [self.entry(text) for text in texts]
        self.backlog.add(entries, sum(map(size_to_send, entries)))

    def entry(self, text: str) -> Entry:
        room: Any = None
        members = range(10)
        member = SimpleNamespace(
            listener=self.authors.setdefault(text[0], Author(self.flows.get(text[0], text[0]))),
            room=SimpleNamespace(members=members),
        )
        return Entry(room, names.nick("al"), text, None, member)

    def take(self, most: int, most_bytes: float = inf) -> list[str]:
        return [entry.msg for entry in self.backlog.take(most, most_bytes)]

    def flood(self, author: str, numbers: Iterable[int]) -> list[str]:
        return [f"{author}{number}" for number in numbers]

    def test_authors_that_are_not_free_wait_at_the_front(self) -> None:
        self.flows = {"a": "x", "b": "x", "c": "x", "d": "x"}
        self.add("a0", "a1", "b0", "c0", "d0")
        self.assertEqual(self.take_free(9, "ab"), ["c0", "d0"])
        self.assertEqual([self.backlog.has_from(cast(Any, self.authors[name])) for name in "abcd"], [1, 1, 0, 0])
        self.add("c1")
        self.assertEqual((self.take_free(9, "abc"), self.backlog.count), ([], 4))
        self.assertEqual(self.take(9), ["a0", "a1", "b0", "c1"])
        self.assertEqual((self.backlog.count, self.take(9)), (0, []))

    def test_no_message_overtakes_one_of_its_author_that_is_not_free(self) -> None:
        self.add("a0", "a1", "a2")
        self.assertEqual(self.take_free(9, "1"), ["a0"])
        self.assertEqual(self.take_free(9, "1"), [])
        self.assertEqual(self.take_free(9, "2"), ["a1"])
        self.assertEqual(self.take(9), ["a2"])

    def take_free(self, most: int, letters: str) -> list[str]:
        """Take messages, but none whose text has one of these letters."""
        taken = self.backlog.take(most, inf, lambda entry: not set(letters) & set(entry.msg))
        return [entry.msg for entry in taken]

    def test_one_author_gets_all_of_a_turn(self) -> None:
        self.add(*self.flood("a", range(5)))
        self.assertEqual(self.backlog.count, 5)
        self.assertEqual((self.take(3), self.backlog.count), (["a0", "a1", "a2"], 2))
        self.assertEqual((self.take(3), self.backlog.count), (["a3", "a4"], 0))
        self.assertEqual(self.take(3), [])

    def test_each_author_gets_an_equal_share_and_the_rest_goes_to_who_has_more(self) -> None:
        self.add(*self.flood("a", range(9)), *self.flood("b", range(9)), "c0")
        self.assertEqual(self.take(7), ["a0", "a1", "b0", "b1", "c0", "a2", "a3"])
        self.assertEqual(self.take(5), ["b2", "b3", "a4", "a5", "b4"])

    def test_of_more_authors_than_a_turn_takes_all_have_their_turn(self) -> None:
        self.add(*(f"{author}{number}" for author in "abcde" for number in range(2)))
        self.assertEqual([self.take(2) for _ in range(3)], [["a0", "b0"], ["c0", "d0"], ["e0", "a1"]])
        self.assertEqual([self.take(2) for _ in range(2)], [["b1", "c1"], ["d1", "e1"]])

    def test_a_turn_ends_with_the_message_that_makes_it_too_much_to_send(self) -> None:
        self.add(*self.flood("a", range(4)), *self.flood("b", range(3)))
        self.assertEqual(self.take(9, 2 * SIZE + 1), ["a0", "a1", "a2"])
        self.add("c0")
        self.assertEqual(self.take(9, 2 * SIZE), ["b0", "b1"])
        self.assertEqual(self.take(9, 1), ["c0"], "it had nothing here, and goes before the rest of the others")
        self.assertEqual((self.take(9, 0), self.backlog.count), ([], 2))
        self.backlog.let_others_wait()
        self.add("d0")
        self.assertEqual([self.take(9, most) for most in (0, 1, SIZE, 1)], [[], ["b2"], ["a3"], ["d0"]])

    def test_how_much_there_is_to_send_is_counted_anew_once_all_was_taken(self) -> None:
        self.add(*self.flood("a", range(4)))
        self.take(9)
        self.assertEqual(self.backlog.to_send, 0)
        self.add("b0")
        self.assertEqual(self.backlog.to_send, SIZE)

    def test_an_author_that_had_nothing_here_goes_before_those_that_had(self) -> None:
        self.add(*(f"{author}{number}" for author in "ab" for number in range(3)))
        self.assertEqual(self.take(2), ["a0", "b0"])
        self.add("c0", "c1", "a3")
        self.assertEqual([self.take(2) for _ in range(4)], [["c0", "a1"], ["b1", "c1"], ["a2", "b2"], ["a3"]])

    def test_of_many_authors_some_share_a_turn_and_the_others_share_the_next_ones(self) -> None:
        authors = [chr(ord("a") + number) for number in range(2 * AUTHORS_A_TURN)]
        for author in authors:
            self.add(*self.flood(author, range(3)))
        half = [f"{author}{number}" for author in authors[:AUTHORS_A_TURN] for number in range(2)]
        self.assertEqual(self.take(2 * AUTHORS_A_TURN), half)
        self.assertEqual(self.take(1), [f"{authors[AUTHORS_A_TURN]}0"])

    def test_the_authors_of_an_address_have_the_share_of_one_together(self) -> None:
        self.flows.update(a="office", b="office", c="office")
        self.add(*(f"{author}{number}" for author in "abcd" for number in range(3)))
        self.assertEqual(self.take(6), ["a0", "d0", "b0", "d1", "c0", "d2"])
        self.assertEqual(self.take(6), ["a1", "a2", "b1", "b2", "c1", "c2"])

    def test_one_that_had_nothing_here_goes_before_others_of_its_address(self) -> None:
        self.flows.update(a="office", b="office", c="office")
        self.add(*self.flood("a", range(3)), *self.flood("b", range(3)))
        self.assertEqual(self.take(2), ["a0", "b0"])
        self.add("c0")
        self.assertEqual(self.take(2), ["c0", "a1"])

    def test_an_author_with_more_messages_is_served_while_others_of_its_address_go_on(self) -> None:
        """In a load of a hundred authors from one machine, one of 40,000 messages waited until all others were sent."""
        self.flows.update(a="office", b="office", c="office", d="office")
        self.add("a0", "a1", "a2", "a3")
        self.assertEqual(self.take(2), ["a0", "a1"])
        taken = []
        for turn in range(4):
            self.add(*(f"{author}{turn}" for author in "bcd"))
            taken.append(self.take(3))
        self.assertEqual(taken[:3], [["b0", "c0", "d0"], ["a2", "b1", "c1"], ["b2", "c2", "d1"]])
        self.assertIn("a3", taken[3])

    def test_authors_are_served_by_what_there_is_to_send(self) -> None:
        self.add("a0" + "x" * (FAN_OUT // 5), "a1", *self.flood("b", range(3)))
        self.assertEqual([text[:2] for text in self.take(1, 1)], ["a0"])
        self.assertEqual(self.take(1), ["b0"])
        self.assertEqual(self.take(3), ["b1", "b2", "a1"])

    def test_those_that_let_others_wait_go_first(self) -> None:
        self.add(*self.flood("a", range(3)), "b0")
        self.backlog.let_others_wait()
        self.add("c0", "c1", "c2", "d0")
        self.assertEqual(self.backlog.count, 8)
        self.assertEqual(self.take(3), ["a0", "a1", "b0"])
        self.assertEqual(self.take(4), ["a2", "c0", "d0", "c1"])
        self.backlog.let_others_wait()
        self.assertEqual((self.take(9), self.backlog.count), (["c2"], 0))

"""Numbered requests: taken in order and once, and answered again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.messages import Ack, Error, Message
from twisted_chat.wire.udp.datagram import Datagram
from twisted_chat.wire.udp.requests import WINDOW, NumberedRequests


class NumberedRequestsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.requests = NumberedRequests()

    def take(self) -> list[str]:
        """Take all whose turn it is."""
        taken = []
        while (datagram := self.requests.take()) is not None:
            taken.append(datagram.decode())
        return taken

    def comes(self, number: int, id: str | None = None) -> str:
        """Receive a request with a number. Returns the answer to one that was received before."""
        answer = self.requests.received(number, id, str(number).encode())
        if answer is None:
            return ""
        assert isinstance(answer.reply, Ack) and answer.reply.room
        return answer.reply.room

    def answers(self, id: str, text: str) -> None:
        """Answer a request, with an ack whose room is a text."""
        self.requests.answered(Datagram(Ack(id, text), 0))

    @given(st.permutations(range(1, 9)), st.lists(st.integers(1, 8)))
    def test_they_are_taken_in_order_and_once(self, order: list[int], again: list[int]) -> None:
        self.requests = NumberedRequests()
        taken = []
        for number in [*order, *again]:
            self.comes(number)
            taken += self.take()
        self.assertEqual(taken, [str(number) for number in range(1, 9)])

    def test_one_that_is_too_far_ahead_is_let_go(self) -> None:
        for number in range(1 + WINDOW, 0, -1):
            self.comes(number)
        self.assertEqual(self.take(), [str(number) for number in range(1, WINDOW + 1)])

    def test_one_that_was_taken_gets_its_answer_again(self) -> None:
        self.assertEqual(self.comes(1, "a"), "")
        self.take()
        self.assertEqual(self.comes(1, "a"), "", "there is none yet")
        self.answers("a", "yes")
        self.assertIn("yes", self.comes(1, "a"))
        self.assertEqual(self.take(), [])

    def test_one_without_an_id_gets_none(self) -> None:
        self.comes(1)
        self.comes(2, "a")
        self.take()
        self.requests.answered(Datagram(Error(code="internal", msg="", author="server"), 0))
        self.assertEqual((self.comes(1), self.comes(2, "a")), ("", ""))

    def test_what_answers_something_else_is_no_answer(self) -> None:
        self.answers("a", "before anything was taken")
        self.comes(1, "a")
        self.take()
        self.answers("b", "of a request without a number")
        self.requests.answered(Datagram(Message('with "id":"a" in its text', "bob"), 0))
        self.assertEqual((self.comes(1, "a"), self.comes(1, "b")), ("", ""))

    def test_under_the_same_id_the_newest_has_the_answer(self) -> None:
        self.comes(1, "a")
        self.take()
        self.answers("a", "no")
        self.comes(2, "a")
        self.take()
        self.assertEqual(self.comes(1, "a"), "")
        self.answers("a", "yes")
        self.assertIn("yes", self.comes(1, "a"))

    def test_so_many_answers_are_remembered(self) -> None:
        for number in range(1, WINDOW + 2):
            self.comes(number, str(number))
            self.take()
            self.answers(str(number), "yes")
        self.assertEqual(self.comes(1, "1"), "")
        self.assertIn("yes", self.comes(2, "2"))

    def test_an_id_that_comes_again_is_remembered_as_long_as_a_new_one(self) -> None:
        for number in range(1, WINDOW + 3):
            id = "1" if number == WINDOW + 1 else str(number)
            self.comes(number, id)
            self.take()
            self.answers(id, "yes")
        self.assertEqual((self.comes(1, "1"), self.comes(2, "2")), ("yes", ""))

    def test_at_the_end_nothing_is(self) -> None:
        self.comes(1, "a")
        self.take()
        self.answers("a", "yes")
        self.comes(2)
        self.requests.clear()
        self.assertEqual((self.comes(1, "a"), self.take()), ("", []))

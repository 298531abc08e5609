"""What several requests have in common."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.messages import Members, encode
from twisted_chat.requests.common import fitting

from .helpers import FakeWire


class FittingTests(SynchronousTestCase):
    def test_an_answer_has_as_many_items_as_its_wire_carries_and_one_at_least(self) -> None:
        answer = Members(room="lobby", members=[], count=3)
        empty = len(encode(answer))
        wire: Any = FakeWire()
        for space, count in ((12, 3), (11, 2), (8, 2), (7, 1), (4, 1), (0, 1)):
            wire.longest_answer = empty + space
            answer.members = fitting(["a", "b", "c"], answer, wire)
            self.assertEqual(answer.members, ["a", "b", "c"][:count], space)
            if space >= 4:
                self.assertLessEqual(len(encode(answer)), wire.longest_answer)
            answer.members = []
        self.assertEqual(fitting([], answer, wire), [])

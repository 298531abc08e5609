"""The fair queue: whose turn it is."""

from __future__ import annotations

import weakref

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.room import fair_queue
from twisted_chat.room.fair_queue import LEAST_FORGOTTEN, MOST_PASSES, FairQueue


class _Name(str):
    """A name of which one can find out whether it is still in memory."""


class FairQueueTests(SynchronousTestCase):
    """The items are texts, and the first letter is the flow."""

    def setUp(self) -> None:
        self.queue: FairQueue[str] = FairQueue()

    def add(self, *items: str, first: bool = False) -> None:
        for item in items:
            self.queue.add(item[0], item, first)

    def serve(self, count: int = 1, work: int = 1) -> list[str]:
        """Serve so many items, each of which is so much work."""
        served: list[str] = []

        def serve(item: str) -> int:
            served.append(item)
            return work

        for _ in range(count):
            self.queue.serve(serve)
        return served

    def test_flows_take_turns_and_each_has_its_items_in_order(self) -> None:
        self.add("a1", "a2", "a3", "b1", "b2", "c1")
        self.assertEqual(self.queue.length, 6)
        self.assertEqual(self.serve(6), ["a1", "b1", "c1", "a2", "b2", "a3"])
        self.assertEqual(self.queue.length, 0)

    def test_a_flow_waits_for_as_much_work_of_others_as_it_has_caused(self) -> None:
        self.add("a1", "a2", "b1", "b2", "b3", "b4")
        self.assertEqual(self.serve(work=3), ["a1"])
        self.assertEqual(self.serve(5), ["b1", "b2", "b3", "a2", "b4"])

    def test_what_is_no_work_counts_as_a_little(self) -> None:
        self.add("a1", "a2", "b1", "b2")
        self.assertEqual(self.queue.serve(lambda item: 0), 1)
        self.assertEqual(self.serve(3), ["b1", "a2", "b2"])

    def test_one_that_had_nothing_goes_before_those_that_have_had_their_share(self) -> None:
        self.add("a1", "a2", "a3", "b1", "b2")
        self.serve(2)
        self.add("c1", "c2")
        self.assertEqual(self.serve(5), ["c1", "a2", "b2", "c2", "a3"])

    def test_one_that_had_nothing_goes_before_those_that_have_had_as_much(self) -> None:
        self.add("a1", "a2", "a3", "b1", "b2")
        self.assertEqual(self.serve(3), ["a1", "b1", "a2"])
        self.add("c1")
        self.assertEqual(self.serve(3), ["c1", "b2", "a3"])

    def test_one_that_had_nothing_has_saved_up_nothing(self) -> None:
        self.add("b1")
        self.serve()
        self.add(*(f"a{number}" for number in range(9)))
        self.serve(5)
        self.add("b2", "b3", "b4")
        self.assertEqual(self.serve(4), ["b2", "a5", "b3", "a6"])

    def test_one_that_comes_back_at_once_has_gained_nothing(self) -> None:
        self.add("a1", "b1", "b2", "b3")
        self.assertEqual(self.serve(work=2), ["a1"])
        self.add("a2")
        self.assertEqual(self.serve(3), ["b1", "b2", "a2"])

    def test_some_items_go_before_the_others_of_their_flow_only(self) -> None:
        self.add("a1", "b1", "b2")
        self.add("b3", "b4", first=True)
        self.assertEqual(self.serve(5), ["a1", "b3", "b4", "b1", "b2"])
        self.add("a2", "a3", first=True)
        self.assertEqual(self.serve(2), ["a2", "a3"])

    def test_items_do_not_wait_for_ever_for_those_that_go_before_them(self) -> None:
        self.add("b1", "b2")
        served = []
        for _ in range(2):
            self.add("b3", "b4", first=True)
            served += self.serve(2)
        self.assertEqual(served, ["b3", "b4", "b1", "b2"])
        self.add("b5", first=True)
        self.assertEqual(self.serve(3), ["b5", "b3", "b4"])

    def test_only_so_many_go_before_the_oldest_of_the_others(self) -> None:
        self.add("b1", "b2")
        for number in range(2 * MOST_PASSES):
            self.add(f"b-{number}", first=True)
        served = self.serve(2 * MOST_PASSES + 2)
        self.assertEqual((served.index("b1"), served.index("b2")), (MOST_PASSES, 2 * MOST_PASSES + 1))

    def test_an_item_that_is_added_again_while_it_is_served_waits_for_the_others(self) -> None:
        def serve(item: str) -> int:
            self.add(item)
            return 1

        self.add("a1", "a2", "b1")
        self.queue.serve(serve)
        self.assertEqual(self.serve(3), ["b1", "a2", "a1"])

    def test_an_item_that_fails_stops_nothing(self) -> None:
        self.add("a1", "a2", "b1", "b2")
        self.assertRaises(ZeroDivisionError, self.queue.serve, lambda item: 1 // 0)
        self.assertEqual(self.serve(3), ["b1", "a2", "b2"])

    def test_flows_that_have_nothing_are_forgotten_once_there_are_many(self) -> None:
        self.patch(fair_queue, "MOST_REMEMBERED", 2 * LEAST_FORGOTTEN)
        for waiting in 0, 10:
            for number in range(waiting):
                self.queue.add(f"waits {number}", "b1")
            living: weakref.WeakSet[_Name] = weakref.WeakSet()
            for number in range(10 * LEAST_FORGOTTEN):
                name = _Name(number)
                living.add(name)
                self.queue.add(name, "a1")
                self.serve()
            self.assertLessEqual(len(living), 2 * LEAST_FORGOTTEN + waiting)

    def test_a_flow_that_has_had_more_than_its_share_is_not_forgotten(self) -> None:
        self.add("a1", "b1", "b2", "b3")
        self.serve(work=3)
        for number in range(LEAST_FORGOTTEN):
            self.queue.add(str(number), "c1")
        self.serve(LEAST_FORGOTTEN + 1)
        self.add("a2")
        self.assertEqual(self.serve(3), ["b2", "b3", "a2"])

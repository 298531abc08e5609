"""The part of a room's log that a reader knows: all messages are handed out, once and in order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.protocol.partial_log import MAX_OWN, MOST, PartialLog


class PartialLogTests(SynchronousTestCase):
    def out(self, place: PartialLog[str]) -> list[int]:
        handed = []
        while (entry := place.peek()) is not None:
            place.advance()
            handed.append(entry[0])
        return handed

    def hear(self, place: PartialLog[str], *seqs: int) -> None:
        for seq in seqs:
            place.heard(seq, "x")

    def test_what_is_heard_without_a_gap_is_handed_out(self) -> None:
        place = PartialLog[str](4)
        self.hear(place, 5, 7, 8)
        self.assertEqual((self.out(place), place.missing()), ([5, 7, 8], []))

    def test_what_is_heard_again_is_not_handed_out_again(self) -> None:
        place = PartialLog[str](4)
        self.hear(place, 3, 4, 5, 5)
        self.assertEqual(self.out(place), [5])

    def test_behind_a_gap_the_log_is_read(self) -> None:
        place = PartialLog[str](4)
        self.hear(place, 5)
        place.broken()
        self.assertEqual(place.missing(), [5])
        self.hear(place, 8, 9)
        self.assertEqual((self.out(place), place.missing()), ([5], [5]))
        place.read(5, {6: "x", 7: "x", 8: "x"}, True)
        self.assertEqual((self.out(place), place.missing()), ([6, 7, 8, 9], []))

    def test_a_page_may_end_before_what_is_known(self) -> None:
        place = PartialLog[str](0)
        place.broken()
        self.hear(place, 9)
        place.read(0, {1: "x", 2: "x"}, True)
        self.assertEqual((self.out(place), place.missing()), ([1, 2], [2]))

    def test_a_page_may_go_beyond_what_is_known(self) -> None:
        place = PartialLog[str](0)
        place.broken()
        place.read(0, {1: "x", 2: "x"}, True)
        self.assertEqual((self.out(place), place.missing()), ([1, 2], [2]))
        place.read(2, {}, False)
        self.hear(place, 3)
        self.assertEqual((self.out(place), place.missing()), ([3], []))

    def test_several_gaps_are_filled_in_any_order(self) -> None:
        place = PartialLog[str](0)
        for seq in (1, 3, 5):
            self.hear(place, seq)
            place.broken()
        self.assertEqual(place.missing(), [1, 3, 5])
        place.read(5, {}, False)
        place.read(3, {4: "x", 5: "x"}, False)
        place.read(1, {2: "x", 3: "x"}, True)
        self.assertEqual((self.out(place), place.missing()), ([1, 2, 3, 4, 5], []))

    def test_what_is_gone_from_the_log_is_passed_over(self) -> None:
        place = PartialLog[str](0)
        self.hear(place, 1)
        place.broken()
        self.hear(place, 9)
        place.read(1, {}, False)
        self.assertEqual((self.out(place), place.missing()), ([1, 9], []))

    def test_what_was_handed_out_meanwhile_is_not_again(self) -> None:
        place = PartialLog[str](0)
        place.broken()
        self.hear(place, 3)
        place.read(0, {1: "x", 2: "x", 3: "x"}, True)
        self.assertEqual(self.out(place), [1, 2, 3])
        place.read(0, {1: "x", 2: "x", 3: "x", 4: "x"}, False)
        self.assertEqual(self.out(place), [4])

    def test_a_page_that_brings_nothing_new_is_the_end(self) -> None:
        for page in ({}, {3: "x", 7: "x"}):
            place = PartialLog[str](4)
            self.hear(place, 7)
            place.broken()
            self.hear(place, 9)
            place.read(7, page, True)
            self.assertEqual((self.out(place), place.missing()), ([7, 9], []))

    def test_a_page_is_put_in_order(self) -> None:
        place = PartialLog[str](0)
        place.broken()
        place.read(0, {2: "x", 1: "x", 3: "x"}, False)
        self.assertEqual((self.out(place), place.missing()), ([1, 2, 3], []))

    def test_own_messages_are_passed_over(self) -> None:
        place = PartialLog[str](0)
        place.own |= {1, 3}
        self.hear(place, 2)
        place.read(0, {1: "x", 2: "x", 3: "x", 4: "x"}, False)
        self.assertEqual((self.out(place), place.own), ([2, 4], {3}) if 3 in place.own else ([2, 4], set()))

    def test_an_ack_of_what_is_behind_the_place_is_nothing(self) -> None:
        place = PartialLog[str](4)
        for seq in (4, 5):
            place.acked(seq)
        self.assertEqual(place.own, {5})

    def test_many_own_messages_move_the_place(self) -> None:
        place = PartialLog[str](0)
        place.own |= set(range(1, MAX_OWN + 2))
        self.assertEqual(place.missing(), [0])
        place.read(0, dict.fromkeys(range(1, MAX_OWN + 2), "x"), False)
        self.assertEqual((self.out(place), place.own, place.missing()), ([], set(), []))

    def test_own_messages_between_those_of_others_are_passed_over(self) -> None:
        place = PartialLog[str](0)
        for seq in range(1, 2 * MAX_OWN + 5, 2):
            place.acked(seq)
            self.hear(place, seq + 1)
            self.assertEqual((self.out(place), place.own, place.missing()), ([seq + 1], set(), []))

    def test_own_messages_that_are_in_the_log_no_more_are_looked_for_once(self) -> None:
        place = PartialLog[str](0)
        place.own |= set(range(1, MAX_OWN + 2))
        place.read(0, {}, False)
        self.assertEqual((place.missing(), place.is_complete), ([], True))
        for seq in range(MAX_OWN + 2, 2 * MAX_OWN + 3):
            place.acked(seq)
        self.assertEqual(place.missing(), [0])
        self.hear(place, 5000)
        self.assertEqual((self.out(place), place.own, place.missing()), ([5000], set(), []))
        place.own |= set(range(5001, 5002 + MAX_OWN))
        self.assertEqual(place.missing(), [5000])

    def test_own_messages_that_a_page_does_not_reach_are_looked_for_later(self) -> None:
        place = PartialLog[str](0)
        place.own |= set(range(10, 11 + MAX_OWN))
        place.broken()
        place.read(0, {1: "x"}, True)
        self.out(place)
        place.resume()
        self.assertEqual((place.missing(), place.is_complete), ([1], False))

    def test_where_nothing_is_kept_of_what_there_was_it_goes_on_with_what_comes(self) -> None:
        place = PartialLog[str](0)
        place.skip(7)
        self.assertEqual(place.missing(), [0])
        place.read(0, {}, False)
        self.hear(place, 8)
        self.assertEqual((self.out(place), place.missing()), ([8], []))

    def test_on_a_new_connection_what_is_known_is_kept_and_the_rest_is_replayed(self) -> None:
        place = PartialLog[str](0)
        self.hear(place, 1, 2)
        place.broken()
        self.assertEqual((place.edge, place.missing()), (2, [2]))
        place.resume()
        self.hear(place, 3)
        self.assertEqual((self.out(place), place.missing()), ([1, 2, 3], []))

    def test_on_a_new_connection_what_was_missed_may_be_read_from_the_log(self) -> None:
        place = PartialLog[str](0)
        self.hear(place, 1, 2)
        place.broken()
        place.skip(5)
        self.hear(place, 6)
        self.assertEqual((self.out(place), place.missing()), ([1, 2], [2]))
        place.read(2, {4: "x", 5: "x"}, False)
        self.assertEqual((self.out(place), place.missing()), ([4, 5, 6], []))

    def test_where_nothing_was_said_meanwhile_nothing_is_missing(self) -> None:
        place = PartialLog[str](0)
        self.hear(place, 1)
        place.broken()
        place.skip(1)
        self.assertEqual((self.out(place), place.missing(), place.is_complete), ([1], [], True))

    def test_memory_has_a_bound(self) -> None:
        place = PartialLog[str](0)
        place.broken()
        self.hear(place, *range(10, 10 + 2 * MOST))
        self.assertEqual((len(place), place.missing()), (MOST, [0]))

    @given(st.integers(0, 2**32), st.integers(1, 60))
    def test_whatever_gets_lost_all_are_handed_out(self, seed: int, count: int) -> None:
        chance = random.Random(seed)
        log = sorted(chance.sample(range(1, 500), count))
        own = {seq for seq in log if chance.random() < 0.2}
        place = PartialLog[str](0)
        handed: list[int] = []
        head = 0
        while head < count or place.missing():
            missing = place.missing()
            if head < count and not (missing and chance.random() < 0.4):
                seq = log[head]
                head += 1
                if seq in own:
                    place.own |= {seq} if seq > place.seq else set()
                elif chance.random() < 0.3:
                    place.broken()
                else:
                    place.heard(seq, "x")
            else:
                after = chance.choice(missing)
                behind = [seq for seq in log[:head] if seq > after]
                page = behind[: chance.randint(1, 5)]
                place.read(after, dict.fromkeys(page, "x"), len(page) < len(behind))
            handed += self.out(place)
        self.assertEqual(handed, [seq for seq in log if seq not in own])

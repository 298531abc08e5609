"""How a room's log is read: what is handed out, what waits for an ack, and how often the log is asked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.protocol.partial_log import PartialLog
from twisted_chat.client.protocol.room_reader import (
    FIRST_PAUSE,
    FREE_READS,
    GAPS_AT_ONCE,
    LONGEST_PAUSE,
    LOW,
    RoomReader,
)


class RoomReaderTests(SynchronousTestCase):
    """Messages are texts here: the nick of the author, and a number."""

    def setUp(self) -> None:
        self.reader = RoomReader[str](PartialLog(0), author=lambda message: message.split()[0])

    def hears(self, *messages: str) -> None:
        for message in messages:
            self.reader.log.heard(int(message.split()[1]), message)

    def page(self, after: int, messages: dict[int, str], more: bool) -> None:
        self.reader.release(after)
        self.reader.read(after, messages, more)

    def ready(self, *unacked: str) -> list[str]:
        """Take all that is ready for `ada`."""
        messages = []
        while (message := self.reader.ready("ada", {*unacked})) is not None:
            messages.append(message)
            self.reader.log.advance()
        return messages


class ReadyTests(RoomReaderTests):
    def test_what_is_known_is_handed_out_in_order(self) -> None:
        self.hears("bob 1", "cyd 3")
        self.reader.log.broken()
        self.hears("bob 7")
        self.assertEqual((self.ready("x"), self.ready("x")), (["bob 1", "cyd 3"], []))
        self.page(3, {4: "cyd 4", 7: "bob 7"}, more=False)
        self.assertEqual(self.ready("x"), ["cyd 4", "bob 7"])

    def test_under_ones_own_nick_it_waits_for_what_is_not_acked(self) -> None:
        self.hears("ada 1", "bob 2")
        self.assertEqual(self.ready("x", "y"), [])
        self.assertEqual(self.ready("y"), [])
        self.assertEqual(self.ready(), ["ada 1", "bob 2"])

    def test_a_message_of_ones_own_is_passed_over_once_it_is_acked(self) -> None:
        self.hears("ada 1", "bob 2")
        self.assertEqual(self.ready("x"), [])
        self.reader.log.acked(1)
        self.assertEqual(self.ready(), ["bob 2"])

    def test_what_is_said_later_comes_behind_it(self) -> None:
        self.hears("ada 1")
        self.assertEqual(self.ready("x"), [])
        self.assertEqual(self.ready("x", "later"), [])
        self.assertEqual(self.ready("later"), ["ada 1"])

    def test_each_message_waits_for_what_was_said_before_it_came(self) -> None:
        self.hears("ada 1", "ada 2")
        self.assertEqual(self.ready("x"), [])
        self.assertEqual(self.ready("y"), ["ada 1"])
        self.assertEqual(self.ready("z"), ["ada 2"])


class GapsTests(RoomReaderTests):
    def lose(self, count: int) -> None:
        """Receive messages with a gap before each."""
        edge = self.reader.log.seq
        for seq in range(edge + 10, edge + 10 * count + 10, 10):
            self.reader.log.broken()
            self.hears(f"bob {seq}")

    def test_where_nothing_is_missing_there_is_no_gap(self) -> None:
        self.hears("bob 1", "bob 2")
        self.assertEqual(self.reader.gaps(), [])

    def test_each_gap_is_given_out_once(self) -> None:
        self.lose(2)
        self.assertEqual((self.reader.gaps(), self.reader.gaps()), ([0, 10], []))

    def test_eight_gaps_are_filled_at_once_and_the_others_as_pages_come(self) -> None:
        self.lose(GAPS_AT_ONCE + 3)
        first = self.reader.gaps()
        self.assertEqual((first, self.reader.gaps()), ([10 * number for number in range(GAPS_AT_ONCE)], []))
        self.page(0, {10: "bob 10"}, more=True)
        self.page(20, {30: "bob 30"}, more=True)
        self.assertEqual(self.reader.gaps(), [10 * GAPS_AT_ONCE, 10 * GAPS_AT_ONCE + 10])

    def test_a_gap_whose_page_does_not_come_is_given_out_again(self) -> None:
        self.lose(2)
        self.reader.gaps()
        self.reader.release(10)
        self.assertEqual(self.reader.gaps(), [10])

    def test_no_gap_is_given_out_while_there_is_enough_to_take(self) -> None:
        self.hears(*(f"bob {seq}" for seq in range(1, LOW + 2)))
        self.reader.log.broken()
        self.assertEqual((self.reader.is_hungry, self.reader.gaps()), (False, []))
        self.reader.log.peek()
        self.reader.log.advance()
        self.assertEqual((self.reader.is_hungry, self.reader.gaps()), (True, [LOW + 1]))

    def test_after_a_lost_connection_all_gaps_are_given_out_again(self) -> None:
        self.lose(2)
        self.reader.gaps()
        self.reader.lost()
        self.assertEqual(self.reader.gaps(), [0, 10])

    def test_behind_a_page_that_does_not_fill_it_the_rest_is_one(self) -> None:
        self.lose(1)
        self.reader.gaps()
        self.page(0, {4: "bob 4"}, more=True)
        self.assertEqual((self.ready(), self.reader.gaps()), (["bob 4"], [4]))


class PauseTests(RoomReaderTests):
    def pauses(self, count: int) -> list[float]:
        """Read pages that bring nothing new; return the pause behind each."""
        pauses = []
        for _ in range(count):
            self.page(0, {0: "bob 0"}, more=True)
            pauses.append(self.reader.pause)
        return pauses

    def test_the_first_fruitless_reads_have_no_pause(self) -> None:
        self.assertEqual(self.reader.pause, 0)
        self.assertEqual(self.pauses(FREE_READS - 1), [0] * (FREE_READS - 1))

    def test_pauses_grow_up_to_the_longest(self) -> None:
        pauses = self.pauses(FREE_READS + 100)[FREE_READS - 1 :]
        self.assertEqual(pauses[:3], [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE])
        self.assertEqual((pauses, pauses[-1]), (sorted(pauses), LONGEST_PAUSE))

    def test_an_answer_without_a_page_is_fruitless(self) -> None:
        for _ in range(FREE_READS):
            self.reader.release(0)
        self.assertEqual(self.reader.pause, FIRST_PAUSE)

    def test_something_new_ends_the_pauses(self) -> None:
        self.pauses(FREE_READS + 3)
        self.page(0, {1: "bob 1"}, more=True)
        self.assertEqual(self.reader.pause, 0)

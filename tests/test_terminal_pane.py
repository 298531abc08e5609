"""One conversation: the order of what was said in it, what is unread and what is new."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client import Message
from twisted_chat.client.terminal import pane as pane_module
from twisted_chat.client.terminal.entry import Fate, Kind, time_of
from twisted_chat.client.terminal.pane import Pane

from .client_fakes import fake_direct, fake_room

TIME = "2026-11-22T11:06:36.123Z"


def message(seq: int, text: str = "", author: str = "bob") -> Message:
    return Message(msg=text or str(seq), author=author, room="lobby", seq=seq, time=TIME)


class PaneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pane = Pane(fake_room("lobby"), "alice", whole=False)

    @property
    def texts(self) -> list[str]:
        return [entry.text for entry in self.pane.entries]

    def hear(self, *seqs: int) -> None:
        for seq in seqs:
            self.pane.hear(message(seq))

    def test_messages_stand_in_the_order_of_their_numbers(self) -> None:
        self.hear(3, 7, 5)
        self.assertEqual(self.texts, ["3", "5", "7"])

    def test_a_message_is_shown_once(self) -> None:
        self.hear(3, 5, 3, 5)
        self.assertEqual(self.texts, ["3", "5"])
        self.assertIsNone(self.pane.hear(message(5)))

    def test_entries_are_clean(self) -> None:
        entry = self.pane.hear(message(1, "hi\x1b[2J\nthere\u202e", author="bo\x07b"))
        assert entry is not None
        self.assertEqual((entry.text, entry.author), ("hi[2J\nthere", "bob"))

    def test_several_lines_stay_several_lines(self) -> None:
        code = "def f(x):\n    return x"
        entry = self.pane.hear(message(1, code))
        assert entry is not None
        self.assertEqual((entry.text, self.pane.say(code).text), (code, code))

    def test_a_message_has_its_time(self) -> None:
        entry = self.pane.hear(message(1))
        assert entry is not None
        self.assertEqual(entry.time, datetime(2026, 11, 22, 11, 6, 36, 123000, UTC))

    def test_a_time_without_a_zone_or_that_cannot_be_read_is_taken_as_well_as_it_can_be(self) -> None:
        for text in (None, "yesterday", "2026-11-22T11:06:36"):
            self.assertIsNotNone(time_of(text).tzinfo)

    def test_ones_own_message_is_shown_at_once_and_moves_to_its_place_when_it_is_acked(self) -> None:
        self.hear(1)
        first, second = self.pane.say("first"), self.pane.say("second")
        self.hear(2, 4)
        self.assertEqual(self.texts, ["1", "2", "4", "first", "second"])
        self.assertEqual((first.fate, first.own, first.author, self.pane.pending), (Fate.PENDING, True, "alice", 2))
        self.pane.acked(first, 3)
        self.assertEqual(self.texts, ["1", "2", "first", "4", "second"])
        self.pane.acked(second, 5)
        self.hear(3, 5)
        self.assertEqual(self.texts, ["1", "2", "first", "4", "second"])
        self.assertEqual((first.fate, self.pane.pending), (Fate.KEPT, 0))

    def test_a_refused_message_stays_where_it_is(self) -> None:
        entry = self.pane.say("no")
        self.pane.refused(entry)
        self.hear(1)
        self.assertEqual((self.texts, entry.fate, self.pane.pending), (["no", "1"], Fate.REFUSED, 0))
        self.hear(3, 2)
        self.assertEqual(self.texts, ["no", "1", "2", "3"])

    def test_a_message_acked_without_a_number_stays_where_it_is(self) -> None:
        pane = Pane(fake_direct(), "alice")
        entry = pane.say("psst")
        pane.hear(Message(msg="yes?", author="bob", to="alice"))
        pane.acked(entry, None)
        self.assertEqual([entry.text for entry in pane.entries], ["yes?", "psst"])

    def test_notices_stay_where_they_were_shown(self) -> None:
        self.hear(1)
        self.pane.show(Kind.NOTICE, "bob left")
        self.hear(2)
        self.assertEqual(self.texts, ["1", "bob left", "2"])
        self.hear(4)
        self.pane.show(Kind.NOTICE, "carol left")
        self.hear(3)
        self.assertEqual(self.texts, ["1", "bob left", "2", "3", "4", "carol left"])

    def test_history_comes_before_what_is_there(self) -> None:
        self.pane.show(Kind.NOTE, "hello")
        self.hear(5)
        self.assertEqual(self.pane.oldest, 5)
        self.pane.load([message(3), message(4), message(5)], more=True, log=0)
        self.assertEqual((self.texts, self.pane.whole), (["3", "4", "hello", "5"], False))
        self.pane.load([message(1), message(2)], more=False, log=0)
        self.assertEqual((self.texts, self.pane.whole), (["1", "2", "3", "4", "hello", "5"], True))

    def test_the_newest_history_may_come_first(self) -> None:
        self.assertIsNone(self.pane.oldest)
        self.pane.load([message(1), message(2)], more=False, log=0)
        self.hear(2, 3)
        self.assertEqual(self.texts, ["1", "2", "3"])

    def test_a_history_with_nothing_in_it_is_not_asked_for_again(self) -> None:
        self.pane.load([], more=True, log=0)
        self.assertTrue(self.pane.whole)

    def test_a_new_log_comes_after_the_old_one(self) -> None:
        self.hear(100, 101)
        self.pane.begin_log()
        entry = self.pane.say("hi")
        self.hear(1, 2)
        self.pane.acked(entry, 3)
        self.assertEqual(self.texts, ["100", "101", "1", "2", "hi"])
        self.assertTrue(self.pane.whole)
        self.hear(5, 4)
        self.assertEqual(self.texts[-2:], ["4", "5"])

    def test_a_page_of_a_log_that_is_gone_is_passed_over(self) -> None:
        self.hear(100)
        self.pane.loading = True
        self.pane.begin_log()
        self.pane.load([message(99)], more=True, log=0)
        self.assertEqual((self.texts, self.pane.loading), (["100"], False))

    def test_a_message_that_is_kept_has_the_time_of_the_server(self) -> None:
        entry = self.pane.say("hi")
        self.pane.acked(entry, 1, TIME)
        self.assertEqual(entry.time, datetime(2026, 11, 22, 11, 6, 36, 123000, UTC))

    def test_older_messages_that_are_refused_are_not_asked_for_again(self) -> None:
        self.pane.whole, self.pane.loading = False, True
        self.pane.fail_to_load()
        self.assertEqual((self.pane.whole, self.pane.loading), (True, False))

    def test_mentions_are_marked_but_not_ones_own(self) -> None:
        entries = [self.pane.hear(message(1, "hi ALICE")), self.pane.hear(message(2, "alice", author="Alice"))]
        self.assertEqual([(entry.mention, entry.own) for entry in entries if entry], [(True, False), (False, True)])

    def test_memory_is_bounded_and_what_is_dropped_can_be_loaded_again(self) -> None:
        self.patch(pane_module, "KEPT", 10)
        self.patch(pane_module, "SPARE", 5)
        self.pane.whole = True
        self.hear(*range(1, 15))
        self.pane.bottom = self.pane.entries[2], 0
        self.hear(15)
        self.assertEqual((self.texts[0], len(self.texts), self.pane.whole), ("6", 10, False))
        self.assertEqual(self.pane.bottom, (self.pane.entries[0], 0))
        self.pane.bottom = self.pane.entries[8], 0
        self.hear(*range(16, 21))
        self.assertEqual((self.texts[0], self.pane.bottom[0].text), ("11", "14"))

    def test_of_unread_messages_it_knows_the_last_one_before_them(self) -> None:
        with_guest, pane = Pane(fake_direct(), "alice"), Pane(fake_direct(), "alice")
        entry = with_guest.hear(Message(msg="hi", author="bob", to="alice"))
        assert entry
        with_guest.count(entry, True)
        self.assertIsNone(with_guest.seen(), "it has no number")
        self.assertIsNone(pane.seen())
        for seq in 4, 6:
            entry = pane.hear(message(seq))
            assert entry
            pane.count(entry, True)
        self.assertEqual(pane.seen(), 3)
        pane.load([message(2)], False, pane.log)
        self.assertEqual(pane.seen(), 3)
        pane.read()
        self.assertIsNone(pane.seen())

    def test_what_is_dropped_of_a_direct_conversation_can_be_loaded_again_if_it_is_kept(self) -> None:
        self.patch(pane_module, "KEPT", 10)
        self.patch(pane_module, "SPARE", 5)
        for is_kept in (False, True):
            self.pane = Pane(fake_direct(is_kept=is_kept), "alice")
            self.hear(*range(1, 16))
            self.assertEqual(self.pane.whole, not is_kept)
        nowhere = Pane(None, "alice")
        for _ in range(15):
            nowhere.show(Kind.NOTE, "a line")
        self.assertTrue(nowhere.whole)

    def test_a_message_acked_after_it_was_dropped_stays_away(self) -> None:
        entry = self.pane.say("hi")
        self.pane.entries.clear()
        self.pane.acked(entry, 1)
        self.assertEqual((self.texts, self.pane.pending), ([], 0))

    def test_nicks_are_remembered_with_the_last_speaker_last(self) -> None:
        self.pane.present(["bob", "carol", "dave"])
        self.pane.hear(message(1, author="Bob"))
        self.assertEqual(list(self.pane.nicks.values()), ["carol", "dave", "Bob"])
        self.pane.comes("erin")
        self.pane.goes("DAVE")
        self.pane.goes("nobody")
        self.assertEqual(list(self.pane.nicks.values()), ["erin", "carol", "Bob"])
        self.pane.present(["bob", "frank"])
        self.assertEqual(list(self.pane.nicks), ["bob", "frank", "erin", "carol"])

    def test_the_number_of_remembered_nicks_is_bounded(self) -> None:
        self.patch(pane_module, "NICKS", 2)
        for nick in ("a", "b", "a", "c"):
            self.pane.speaks(nick)
        self.assertEqual(list(self.pane.nicks), ["a", "c"])

    @given(st.lists(st.integers(1, 12)), st.integers(0, 12))
    def test_messages_in_any_order_stand_in_order_and_once(self, seqs: list[int], page: int) -> None:
        pane = Pane(fake_room("lobby"), "alice", whole=False)
        for seq in seqs:
            if seq % 3:
                pane.hear(message(seq))
            else:
                pane.acked(pane.say(str(seq)), seq)
        oldest = pane.oldest or page + 1
        pane.load([message(seq) for seq in range(1, oldest)], more=False, log=0)
        shown = [entry.seq or 0 for entry in pane.entries]
        unique = [seq for seq in shown if seq % 3]
        self.assertEqual(unique, sorted(set(unique)))
        self.assertEqual(shown, sorted(shown))


class UnreadTests(SynchronousTestCase):
    """Unread and new messages, in one run and over several."""

    def pane(self, read_seq: int | None) -> Pane:
        return Pane(fake_room("lobby"), "alice", read_seq, whole=False)

    def load(self, pane: Pane, *seqs: int, more: bool = False, **message_fields: str) -> None:
        pane.load([message(seq, **message_fields) for seq in seqs], more, log=0)

    def test_what_was_read_in_an_earlier_run_is_not_unread(self) -> None:
        pane = self.pane(2)
        self.load(pane, 1, 2, 3, 4)
        self.assertEqual((pane.unread, pane.mentioned, pane.more_unread), (2, False, False))
        self.assertEqual(pane.marked(), 2)
        pane.read()
        self.assertEqual((pane.unread, pane.read_seq), (0, 4))
        self.assertEqual(pane.marked(), 2, "the line stays until this person turns away or answers")
        pane.say("hi")
        self.assertIsNone(pane.marked())

    def test_a_history_that_was_read_has_no_marker(self) -> None:
        pane = self.pane(4)
        self.load(pane, 3, 4)
        self.assertEqual((pane.unread, pane.marked()), (0, None))

    def test_an_unread_mention_of_an_earlier_run_is_a_mention(self) -> None:
        pane = self.pane(2)
        self.load(pane, 3, text="alice?")
        self.assertTrue(pane.mentioned)

    def test_what_this_person_said_elsewhere_is_not_unread(self) -> None:
        pane = self.pane(2)
        self.load(pane, 3, author="alice")
        self.assertEqual((pane.unread, pane.marked()), (0, None))

    def test_more_unread_messages_than_were_fetched_are_told_and_found(self) -> None:
        pane = self.pane(2)
        self.load(pane, 5, 6, more=True)
        self.assertEqual((pane.unread, pane.more_unread, pane.marked()), (2, True, 0))
        self.load(pane, 2, 3, 4)
        self.assertEqual((pane.unread, pane.more_unread, pane.marked()), (4, False, 1))

    def test_in_a_room_that_is_new_only_what_comes_is_unread(self) -> None:
        pane = self.pane(None)
        self.load(pane, 1, 2)
        self.assertEqual((pane.unread, pane.marked(), pane.read_seq), (0, None, 2))
        pane = self.pane(None)
        live = pane.hear(message(3))
        assert live is not None
        pane.count(live, direct=False)
        self.load(pane, 1, 2, 3)
        self.assertEqual((pane.unread, pane.marked(), pane.read_seq), (1, 2, 2))

    def test_a_log_that_began_anew_is_unread(self) -> None:
        pane = self.pane(900)
        self.load(pane, 1, 2)
        self.assertEqual((pane.unread, pane.marked(), pane.read_seq), (2, 0, 0))

    def test_a_new_log_in_this_run_begins_at_its_first_number(self) -> None:
        pane = self.pane(900)
        self.load(pane, 900)
        pane.begin_log()
        pane.hear(message(1))
        pane.read()
        self.assertEqual(pane.read_seq, 1)

    def test_a_message_of_ones_own_is_read_with_what_was_said_before_it(self) -> None:
        pane = self.pane(2)
        self.load(pane, 2)
        pane.acked(pane.say("hi"), 5)
        self.assertEqual(pane.read_seq, 5)
        entry = pane.say("hi")
        live = pane.hear(message(6))
        assert live is not None
        pane.count(live, direct=False)
        pane.acked(entry, 7)
        self.assertEqual(pane.read_seq, 5, "what is unread is before it")

    def test_speaking_marks_everything_as_read(self) -> None:
        pane = self.pane(2)
        live = pane.hear(message(3))
        assert live is not None
        pane.count(live, direct=False)
        pane.bottom = live, 0
        pane.say("hi")
        self.assertEqual((pane.unread, pane.bottom), (0, None))

"""Conversations, the order of what was said in them, and what is unread."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client import Message
from twisted_chat.client.program.commands import Direct
from twisted_chat.client.terminal import model
from twisted_chat.client.terminal.mentions import mentions
from twisted_chat.client.terminal.model import Fate, Kind, Pane, Panes, key_of

from .client_fakes import fake_room

TIME = "2026-11-22T11:06:36.123Z"


def message(seq: int, text: str = "", author: str = "bob") -> Message:
    return Message(msg=text or str(seq), author=author, room="lobby", seq=seq, time=TIME)


def direct(nick: str = "bob") -> Direct:
    return Direct(cast(Any, None), nick)


class MentionTests(SynchronousTestCase):
    def test_a_nick_is_found_as_a_word(self) -> None:
        for text in ("alice", "ALICE: hi", "hi @alice!", "hi, alice.", "(alice)", "привет alice"):
            self.assertTrue(mentions(text, "Alice"), text)
        self.assertTrue(mentions("Эй, ЮРА", "юра"))

    def test_a_part_of_a_word_or_of_another_nick_is_none(self) -> None:
        for text in ("", "malice", "alices", "alice-bob", "al-alice", "alice.x", "alice_", "x.alice"):
            self.assertFalse(mentions(text, "alice"), text)

    def test_a_nick_is_no_pattern(self) -> None:
        self.assertFalse(mentions("axc", "a.c"))


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

    def test_what_is_shown_is_clean(self) -> None:
        entry = self.pane.hear(message(1, "hi\x1b[2J\nthere\u202e", author="bo\x07b"))
        assert entry is not None
        self.assertEqual((entry.text, entry.author), ("hi[2J there", "bob"))

    def test_a_message_has_its_time(self) -> None:
        entry = self.pane.hear(message(1))
        assert entry is not None
        self.assertEqual(entry.time, datetime(2026, 11, 22, 11, 6, 36, 123000, UTC))

    def test_a_time_that_is_none_or_has_no_zone_is_taken_as_well_as_it_can_be(self) -> None:
        for text in (None, "yesterday", "2026-11-22T11:06:36"):
            entry = self.pane._entry(Message(msg="", author="bob", time=text))
            self.assertIsNotNone(entry.time.tzinfo)

    def test_what_is_said_is_shown_at_once_and_takes_its_place_when_it_is_kept(self) -> None:
        self.hear(1)
        first, second = self.pane.say("first"), self.pane.say("second")
        self.hear(2, 4)
        self.assertEqual(self.texts, ["1", "2", "4", "first", "second"])
        self.assertEqual((first.fate, first.own, first.author, self.pane.pending), (Fate.PENDING, True, "alice", 2))
        self.pane.kept(first, 3)
        self.assertEqual(self.texts, ["1", "2", "first", "4", "second"])
        self.pane.kept(second, 5)
        self.hear(3, 5)
        self.assertEqual(self.texts, ["1", "2", "first", "4", "second"])
        self.assertEqual((first.fate, self.pane.pending), (Fate.KEPT, 0))

    def test_what_is_refused_stays_where_it_is(self) -> None:
        entry = self.pane.say("no")
        self.pane.refused(entry)
        self.hear(1)
        self.assertEqual((self.texts, entry.fate, self.pane.pending), (["no", "1"], Fate.REFUSED, 0))
        self.hear(3, 2)
        self.assertEqual(self.texts, ["no", "1", "2", "3"])

    def test_what_is_kept_without_a_number_stays_where_it_is(self) -> None:
        pane = Pane(direct(), "alice")
        entry = pane.say("psst")
        pane.hear(Message(msg="yes?", author="bob", to="alice"))
        pane.kept(entry, None)
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
        self.pane.kept(entry, 3)
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

    def test_mentions_are_marked_but_not_ones_own(self) -> None:
        entries = [self.pane.hear(message(1, "hi ALICE")), self.pane.hear(message(2, "alice", author="Alice"))]
        self.assertEqual([(entry.mention, entry.own) for entry in entries if entry], [(True, False), (False, True)])

    def test_memory_is_bounded_and_what_is_dropped_can_be_loaded_again(self) -> None:
        self.patch(model, "KEPT", 10)
        self.patch(model, "SPARE", 5)
        self.pane.whole = True
        self.hear(*range(1, 15))
        self.pane.bottom = self.pane.entries[2], 0
        self.hear(15)
        self.assertEqual((self.texts[0], len(self.texts), self.pane.whole), ("6", 10, False))
        self.assertEqual(self.pane.bottom, (self.pane.entries[0], 0))
        self.pane.bottom = self.pane.entries[8], 0
        self.hear(*range(16, 21))
        self.assertEqual((self.texts[0], self.pane.bottom[0].text), ("11", "14"))

    def test_what_is_kept_after_it_was_dropped_stays_away(self) -> None:
        entry = self.pane.say("hi")
        self.pane.entries.clear()
        self.pane.kept(entry, 1)
        self.assertEqual((self.texts, self.pane.pending), ([], 0))

    def test_who_spoke_last_is_last(self) -> None:
        self.pane.present(["bob", "carol", "dave"])
        self.pane.hear(message(1, author="Bob"))
        self.assertEqual(list(self.pane.nicks.values()), ["carol", "dave", "Bob"])
        self.pane.comes("erin")
        self.pane.goes("DAVE")
        self.pane.goes("nobody")
        self.assertEqual(list(self.pane.nicks.values()), ["erin", "carol", "Bob"])
        self.pane.present(["bob", "frank"])
        self.assertEqual(list(self.pane.nicks), ["bob", "frank", "erin", "carol"])

    def test_not_all_who_ever_spoke_are_remembered(self) -> None:
        self.patch(model, "NICKS", 2)
        for nick in ("a", "b", "a", "c"):
            self.pane.speaks(nick)
        self.assertEqual(list(self.pane.nicks), ["a", "c"])

    @given(st.lists(st.integers(1, 12)), st.integers(0, 12))
    def test_in_whatever_order_they_come_they_stand_in_order_and_once(self, seqs: list[int], page: int) -> None:
        pane = Pane(fake_room("lobby"), "alice", whole=False)
        for seq in seqs:
            if seq % 3:
                pane.hear(message(seq))
            else:
                pane.kept(pane.say(str(seq)), seq)
        oldest = pane.oldest or page + 1
        pane.load([message(seq) for seq in range(1, oldest)], more=False, log=0)
        shown = [entry.seq or 0 for entry in pane.entries]
        unique = [seq for seq in shown if seq % 3]
        self.assertEqual(unique, sorted(set(unique)))
        self.assertEqual(shown, sorted(shown))


class PanesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.panes = Panes("alice")
        self.rooms = [fake_room(name) for name in ("lobby", "garden", "кухня")]
        self.lobby, self.garden, self.kitchen = (self.panes.of(room) for room in self.rooms)

    def hear(self, pane: Pane, seq: int, text: str = "hi", author: str = "bob") -> None:
        self.panes.heard(pane, pane.hear(message(seq, text, author)))

    def test_a_conversation_has_one_pane(self) -> None:
        self.assertIs(self.panes.of(self.rooms[0]), self.lobby)
        self.assertIs(self.panes.of(direct("bob")), self.panes.of(direct("BOB")))
        self.assertEqual([pane.name for pane in self.panes], ["lobby", "garden", "кухня", "@bob"])
        self.assertIs(self.panes.named("garden"), self.garden)
        self.assertIsNone(self.panes.named("bob"))

    def talks(self, *nicks: str) -> list[Pane]:
        """Hear something of each of these, an hour apart; what they said is not read."""
        panes = []
        for hour, nick in enumerate(nicks):
            panes.append(pane := self.panes.of(direct(nick)))
            said = Message(msg="psst", author=nick, to="alice", time=f"2026-11-22T{hour:02}:00:00Z")
            self.panes.heard(pane, pane.hear(said))
        return panes

    def open_talks(self) -> list[str]:
        return [pane.name for pane in self.panes if isinstance(pane.where, Direct)]

    def test_of_too_many_talks_the_oldest_that_is_read_goes(self) -> None:
        self.patch(model, "DIRECTS", 4)
        bob, cyd, dan, _ = self.talks("bob", "cyd", "dan", "eve")
        for pane in (dan, cyd):
            self.panes.turn(pane)
        self.panes.turn(bob)
        for came, stay in (("fay", "@bob @dan @eve @fay"), ("gus", "@bob @eve @fay @gus")):
            self.talks(came)
            self.assertEqual(" ".join(self.open_talks()), stay)
        self.assertEqual([pane.name for pane in self.panes][:3], ["lobby", "garden", "кухня"])

    def test_and_without_any_the_oldest(self) -> None:
        self.patch(model, "DIRECTS", 3)
        first, *_ = self.talks("bob", "cyd", "dan")
        first.hear(Message(msg="again", author="bob", to="alice", time="2026-11-22T23:00:00Z"))
        self.talks("eve")
        self.assertEqual(self.open_talks(), ["@bob", "@dan", "@eve"])

    def test_what_is_not_known_to_be_kept_or_not_sent_stays(self) -> None:
        self.patch(model, "DIRECTS", 3)
        said, typed, _ = self.panes.of(direct("bob")), self.panes.of(direct("cyd")), self.panes.of(direct("dan"))
        entry = said.say("hi")
        typed.draft = "hel"
        self.talks("eve", "fay")
        self.assertEqual(self.open_talks(), ["@bob", "@cyd", "@fay"])
        self.patch(model, "DIRECTS", 1)
        self.panes.close(typed.where or self.rooms[0])
        for nick in ("fay", "gus"):
            pane = self.panes.of(direct(nick))
            pane.say("hi")
        self.assertEqual(self.open_talks(), ["@bob", "@fay", "@gus"])
        said.kept(entry, None)
        self.panes.of(direct("hal"))
        self.assertEqual(self.open_talks(), ["@fay", "@gus", "@hal"])

    def test_what_is_not_seen_is_counted(self) -> None:
        self.panes.turn(self.lobby)
        self.hear(self.lobby, 1)
        self.hear(self.garden, 1)
        self.hear(self.garden, 2, "alice!")
        self.hear(self.garden, 2, "alice!")
        self.hear(self.garden, 3, "from elsewhere", author="alice")
        self.assertEqual([(pane.unread, pane.mentioned) for pane in self.panes], [(0, False), (2, True), (0, False)])
        self.panes.turn(self.garden)
        self.assertEqual((self.garden.unread, self.garden.mentioned), (0, False))

    def test_what_is_below_the_window_is_counted(self) -> None:
        self.panes.turn(self.lobby)
        self.hear(self.lobby, 1)
        self.lobby.bottom = self.lobby.entries[0], 0
        self.hear(self.lobby, 2)
        self.assertEqual(self.lobby.unread, 1)
        self.lobby.bottom = None
        self.panes.seen()
        self.assertEqual(self.lobby.unread, 0)

    def test_what_is_said_to_one_alone_is_a_mention(self) -> None:
        pane = self.panes.of(direct())
        self.panes.heard(pane, pane.hear(Message(msg="psst", author="bob", to="alice")))
        self.assertEqual((pane.unread, pane.mentioned), (1, True))

    def test_keys_go_around(self) -> None:
        self.assertIs(self.panes.step(1), self.lobby)
        self.assertIs(self.panes.step(-1), self.kitchen)
        self.panes.turn(self.kitchen)
        self.assertIs(self.panes.step(1), self.lobby)
        self.assertIs(self.panes.step(-1), self.garden)
        self.assertIs(Panes("alice").step(1).where, None)

    def test_the_next_with_something_unread_is_found_mentions_first(self) -> None:
        self.assertIs(self.panes.waiting(), self.panes.nowhere)
        self.panes.turn(self.garden)
        self.assertIs(self.panes.waiting(), self.garden)
        self.hear(self.lobby, 1)
        self.assertIs(self.panes.waiting(), self.lobby)
        self.hear(self.kitchen, 1)
        self.assertIs(self.panes.waiting(), self.kitchen)
        self.hear(self.lobby, 2, "alice")
        self.assertIs(self.panes.waiting(), self.lobby)

    def test_a_conversation_can_be_closed(self) -> None:
        self.panes.turn(self.garden)
        self.panes.close(self.rooms[0])
        self.assertIs(self.panes.current, self.garden)
        self.panes.close(self.rooms[1])
        self.panes.close(self.rooms[1])
        self.assertIs(self.panes.current, self.panes.nowhere)
        self.assertEqual(([pane.name for pane in self.panes], self.panes.current.name), (["кухня"], ""))

    def test_what_is_unsent_anywhere_is_counted(self) -> None:
        self.lobby.say("a")
        self.garden.say("b")
        self.assertEqual(self.panes.pending, 2)

    def test_a_new_nick_is_known_everywhere(self) -> None:
        self.panes.nick = "al"
        self.hear(self.garden, 1, "al?")
        self.assertTrue(self.garden.mentioned)
        self.assertEqual((self.panes.nick, self.panes.of(direct()).nick, self.panes.nowhere.nick), ("al", "al", "al"))

    def test_what_can_be_no_nick_has_a_key_too(self) -> None:
        self.assertEqual([key_of("Bob"), key_of("A B")], ["bob", "a b"])

"""All conversations of one person, and which of them have something unread."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client import Message
from twisted_chat.client.program.person import Direct
from twisted_chat.client.terminal import panes as panes_module
from twisted_chat.client.terminal.entry import key_of
from twisted_chat.client.terminal.pane import Pane
from twisted_chat.client.terminal.panes import Panes

from .client_fakes import fake_direct, fake_room

TIME = "2026-11-22T11:06:36.123Z"


def message(seq: int, text: str = "", author: str = "bob") -> Message:
    return Message(msg=text or str(seq), author=author, room="lobby", seq=seq, time=TIME)


class PanesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.panes = Panes("alice")
        self.rooms = [fake_room(name) for name in ("lobby", "garden", "кухня")]
        self.lobby, self.garden, self.kitchen = (self.panes.of(room) for room in self.rooms)

    def hear(self, pane: Pane, seq: int, text: str = "hi", author: str = "bob") -> None:
        self.panes.heard(pane, pane.hear(message(seq, text, author)))

    def test_a_conversation_has_one_pane(self) -> None:
        self.assertIs(self.panes.of(self.rooms[0]), self.lobby)
        self.assertIs(self.panes.of(fake_direct("bob")), self.panes.of(fake_direct("BOB")))
        self.assertEqual([pane.name for pane in self.panes], ["lobby", "garden", "кухня", "@bob"])
        self.assertIs(self.panes.named("garden"), self.garden)
        self.assertIsNone(self.panes.named("bob"))

    def hear_directs(self, *nicks: str) -> list[Pane]:
        """Receive an unread message of each of these, an hour apart."""
        panes = []
        for hour, nick in enumerate(nicks):
            panes.append(pane := self.panes.of(fake_direct(nick)))
            said = Message(msg="psst", author=nick, to="alice", time=f"2026-11-22T{hour:02}:00:00Z")
            self.panes.heard(pane, pane.hear(said))
        return panes

    def open_directs(self) -> list[str]:
        return [pane.name for pane in self.panes if isinstance(pane.where, Direct)]

    def test_of_too_many_direct_conversations_the_oldest_that_is_read_goes(self) -> None:
        self.patch(panes_module, "DIRECTS", 4)
        bob, cyd, dan, _ = self.hear_directs("bob", "cyd", "dan", "eve")
        for pane in (dan, cyd):
            self.panes.turn(pane)
        self.panes.turn(bob)
        for came, stay in (("fay", "@bob @dan @eve @fay"), ("gus", "@bob @eve @fay @gus")):
            self.hear_directs(came)
            self.assertEqual(" ".join(self.open_directs()), stay)
        self.assertEqual([pane.name for pane in self.panes][:3], ["lobby", "garden", "кухня"])

    def test_of_too_many_unread_direct_conversations_the_oldest_goes(self) -> None:
        self.patch(panes_module, "DIRECTS", 3)
        first, *_ = self.hear_directs("bob", "cyd", "dan")
        first.hear(Message(msg="again", author="bob", to="alice", time="2026-11-22T23:00:00Z"))
        self.hear_directs("eve")
        self.assertEqual(self.open_directs(), ["@bob", "@dan", "@eve"])

    def test_a_direct_conversation_with_something_unsent_stays(self) -> None:
        self.patch(panes_module, "DIRECTS", 3)
        said, typed, _ = (self.panes.of(fake_direct(nick)) for nick in ("bob", "cyd", "dan"))
        entry = said.say("hi")
        typed.draft = "hel"
        self.hear_directs("eve", "fay")
        self.assertEqual(self.open_directs(), ["@bob", "@cyd", "@fay"])
        self.patch(panes_module, "DIRECTS", 1)
        self.panes.close(typed.where or self.rooms[0])
        for nick in ("fay", "gus"):
            pane = self.panes.of(fake_direct(nick))
            pane.say("hi")
        self.assertEqual(self.open_directs(), ["@bob", "@fay", "@gus"])
        said.acked(entry, None)
        self.panes.of(fake_direct("hal"))
        self.assertEqual(self.open_directs(), ["@fay", "@gus", "@hal"])

    def test_a_direct_conversation_follows_its_other_side(self) -> None:
        bob = self.panes.of(fake_direct("bob"))
        self.assertIs(self.panes.rename("BOB", fake_direct("Rob")), bob)
        self.assertEqual(self.open_directs(), ["@Rob"])
        self.assertIs(self.panes.rename("rob", fake_direct("ROB")), bob)
        self.assertEqual(self.open_directs(), ["@ROB"])
        self.assertIs(self.panes.rename("bob", fake_direct("rob")), bob, "told again, in another room")
        self.assertIsNone(self.panes.rename("dan", fake_direct("den")))
        self.assertIsNot(self.panes.of(fake_direct("bob")), bob)

    def merge(self, current: str | None, draft: str = "") -> Pane:
        """Eve, with whom the person has talked, takes the nick of dan, who has said something later."""
        eve, dan = self.hear_directs("eve", "dan")
        for pane in eve, dan:
            pane.draft = "typed" if pane.name == draft else ""
            if pane.name == current:
                self.panes.turn(pane)
        merged = self.panes.rename("eve", fake_direct("dan"))
        assert merged is not None
        self.assertEqual([entry.author for entry in merged.entries], ["eve", "dan"])
        self.assertEqual(self.open_directs(), ["@dan"])
        self.assertIs(self.panes.find(fake_direct("dan")), merged)
        self.assertEqual((merged.unread, merged.mentioned), (2 - (current is not None), True))
        return merged

    def test_where_somebody_else_had_the_new_nick_both_conversations_are_one(self) -> None:
        self.merge(None)

    def test_the_one_that_is_shown_stays(self) -> None:
        for current in "@eve", "@dan":
            self.setUp()
            self.assertIs(self.merge(current, draft="@dan"), self.panes.current)

    def test_what_was_being_typed_stays(self) -> None:
        for draft in "@eve", "@dan":
            self.setUp()
            self.assertEqual(self.merge(None, draft).draft, "typed")

    def test_messages_in_other_panes_are_counted_as_unread(self) -> None:
        self.panes.turn(self.lobby)
        self.hear(self.lobby, 1)
        self.hear(self.garden, 1)
        self.hear(self.garden, 2, "alice!")
        self.hear(self.garden, 2, "alice!")
        self.hear(self.garden, 3, "from elsewhere", author="alice")
        self.assertEqual([(pane.unread, pane.mentioned) for pane in self.panes], [(0, False), (2, True), (0, False)])
        self.panes.turn(self.garden)
        self.assertEqual((self.garden.unread, self.garden.mentioned), (0, False))

    def test_messages_below_the_window_are_counted_as_unread(self) -> None:
        self.panes.turn(self.lobby)
        self.hear(self.lobby, 1)
        self.lobby.bottom = self.lobby.entries[0], 0
        self.hear(self.lobby, 2)
        self.assertEqual(self.lobby.unread, 1)
        self.lobby.bottom = None
        self.panes.seen()
        self.assertEqual(self.lobby.unread, 0)

    def test_a_direct_message_is_a_mention(self) -> None:
        pane = self.panes.of(fake_direct())
        self.panes.heard(pane, pane.hear(Message(msg="psst", author="bob", to="alice")))
        self.assertEqual((pane.unread, pane.mentioned), (1, True))

    def test_stepping_goes_around_the_ends(self) -> None:
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

    def test_messages_without_an_ack_are_counted_over_all_panes(self) -> None:
        self.lobby.say("a")
        self.garden.say("b")
        self.assertEqual(self.panes.pending, 2)

    def test_a_new_nick_is_known_everywhere(self) -> None:
        self.panes.nick = "al"
        self.hear(self.garden, 1, "al?")
        self.assertTrue(self.garden.mentioned)
        panes = (self.panes, self.panes.of(fake_direct()), self.panes.nowhere)
        self.assertEqual([pane.nick for pane in panes], ["al", "al", "al"])

    def test_a_name_that_cannot_be_a_nick_has_a_key_too(self) -> None:
        self.assertEqual([key_of("Bob"), key_of("A B")], ["bob", "a b"])

    def test_a_line_stands_above_what_is_new_until_one_turns_away(self) -> None:
        self.panes.turn(self.lobby)
        self.hear(self.garden, 1)
        self.hear(self.garden, 2)
        self.panes.turn(self.garden)
        self.assertEqual((self.garden.unread, self.garden.marked()), (0, 0))
        self.hear(self.garden, 3)
        self.assertEqual(self.garden.marked(), 0)
        self.panes.turn(self.garden)
        self.assertEqual(self.garden.marked(), 0)
        self.panes.turn(self.lobby)
        self.assertIsNone(self.garden.marked())
        self.assertIsNone(self.lobby.marked(), "what comes while one looks is not new")

    def test_what_was_said_without_a_connection_is_new_also_in_the_pane_that_is_shown(self) -> None:
        self.panes.turn(self.lobby)
        self.hear(self.lobby, 1)
        self.hear(self.garden, 1)
        self.panes.lose_connection()
        for seq in (2, 3):
            self.hear(self.lobby, seq)
            self.hear(self.garden, seq)
        self.assertEqual((self.lobby.marked(), self.lobby.unread), (1, 0))
        self.assertEqual((self.garden.marked(), self.garden.unread), (0, 3), "what was unread before is new, too")
        self.lobby.say("hi")
        self.hear(self.lobby, 4)
        self.assertIsNone(self.lobby.marked())

    def test_how_far_rooms_were_read_in_an_earlier_run_is_asked_for(self) -> None:
        panes = Panes("alice", {"lobby": 7}.get)
        self.assertEqual([panes.of(fake_room(name)).read_seq for name in ("lobby", "garden")], [7, None])
        self.assertIsNone(panes.of(fake_direct()).read_seq)

    def test_a_new_log_of_a_room_begins_in_its_pane(self) -> None:
        self.hear(self.lobby, 7)
        for room in ("lobby", "elsewhere"):
            self.panes.begin_log(room)
        self.assertEqual([(pane.log, pane.newest) for pane in self.panes], [(1, 0), (0, 0), (0, 0)])

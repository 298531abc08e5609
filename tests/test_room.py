"""Members and their places; fan-out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import execute
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import room, session
from twisted_chat.bare import Bare
from twisted_chat.encoding import THREE_FIELDS
from twisted_chat.limits import BESIDE_TEXT, FULL_TURN, LEAST_QUANTUM, QUANTUM, WORK_A_TURN
from twisted_chat.log import Entry, Record, Unavailable
from twisted_chat.messages import MemberJoined
from twisted_chat.room import Room, appending, catching_up
from twisted_chat.room.appending import Appending
from twisted_chat.room.tail import size_of
from twisted_chat.room.turn import Turn

from .helpers import Counted, FakeLog, Peer, Server


def kinds(objects: list[dict[str, Any]]) -> list[str]:
    return [obj["type"] for obj in objects]


class OpenRoomTests(SynchronousTestCase):
    """Which rooms are open, and for how long."""

    def setUp(self) -> None:
        self.server = Server()

    def open_rooms(self) -> set[str]:
        return {name for name in ("lobby", "den") if self.server.chat.rooms.get(name)}

    def test_a_room_that_is_open_is_not_opened_again(self) -> None:
        lobby = self.server.room("lobby")
        self.assertIs(self.successResultOf(self.server.chat.rooms.open(lobby.name)), lobby)
        self.assertIs(self.successResultOf(self.server.chat.rooms.peek(lobby.name)), lobby)
        self.assertEqual(self.server.fake.calls["open"], 1)

    def test_a_room_that_nobody_is_in_and_nothing_was_said_in_is_let_go(self) -> None:
        alice = self.server.welcome("alice", "den")
        self.assertEqual(self.open_rooms(), {"lobby", "den"})
        alice.ask(type="leave", room="den")
        self.assertEqual(self.open_rooms(), {"lobby"})

    def test_what_was_said_last_in_an_empty_room_reaches_who_enters_it_in_that_turn(self) -> None:
        alice = self.server.welcome("alice", "den")
        bob = self.server.welcome("bob")
        alice.say("bye", room="den")
        alice.cut()
        bob.send({"type": "join", "room": "den"})
        self.server.settle()
        self.assertEqual(bob.texts(), ["bye"])

    def test_what_was_said_last_in_an_empty_room_reaches_who_enters_it_while_it_is_being_kept(self) -> None:
        alice = self.server.welcome("alice", "den")
        bob = self.server.welcome("bob")
        self.server.fake.held.add("append")
        alice.say("bye", room="den")
        self.server.settle()
        alice.cut()
        self.server.settle()
        bob.send({"type": "join", "room": "den"})
        self.server.settle()
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(bob.texts(), ["bye"])

    def test_a_room_stays_open_while_something_said_in_it_waits_for_a_later_turn(self) -> None:
        self.server = Server(tail_bytes=0)
        self.patch(appending, "MESSAGES_A_TURN", 1)
        append: Any = self.server.fake.store_entries
        self.patch(self.server.fake, "append_now", lambda *turn: append(*turn) is None)
        alice = self.server.welcome("alice", "den")
        for text in "12":
            alice.say(text, room="den")
        alice.cut()
        for rooms in {"lobby", "den"}, {"lobby"}:
            self.server.clock.turn()
            self.assertEqual(self.open_rooms(), rooms)

    def test_a_room_is_let_go_when_what_was_said_in_it_was_refused(self) -> None:
        alice = self.server.welcome("alice", "den")
        self.server.fake.held.add("append")
        alice.say("bye", room="den")
        self.server.settle()
        alice.cut()
        self.server.settle()
        self.assertEqual(self.open_rooms(), {"lobby", "den"})
        self.server.fake.refuse()
        self.server.settle()
        self.assertEqual(self.open_rooms(), {"lobby"})

    def test_an_author_is_acked_with_its_own_record_where_rooms_hear_at_different_times(self) -> None:
        alice, bob = self.server.welcome("alice", "den"), self.server.welcome("bob", "attic")
        carol = self.server.welcome("carol", "attic")
        attic = self.server.fake.logs["attic"]
        late: list[Any] = []

        def tell_later(records: list[Record]) -> None:
            attic.seq -= 1
            late.append(records)

        self.patch(attic, "tell", tell_later)
        self.server.fake.held.add("append")
        alice.say("1", room="den", id="a")
        bob.say("2", room="attic", id="b")
        self.server.settle()
        for peer in (alice, bob, carol):
            peer.got()
        self.server.fake.begin()
        self.server.settle()
        self.assertEqual(kinds([*alice.got(), *bob.got(), *carol.got()]), ["ack"])
        attic.seq += 1
        assert attic.heard is not None
        attic.heard(late[0])
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(kinds(bob.got()), ["ack"])
        self.assertEqual(carol.texts(), ["2"])

    def test_two_who_open_a_room_are_in_the_same_one(self) -> None:
        alice, bob = self.server.welcome("alice"), self.server.welcome("bob")
        self.server.fake.held.add("open")
        alice.send({"type": "join", "room": "den"})
        bob.send({"type": "join", "room": "DEN"})
        self.server.fake.release()
        self.server.settle()
        alice.say("hi", room="den")
        self.server.settle()
        self.assertEqual(bob.texts(), ["hi"])
        self.assertEqual(self.server.fake.calls["open"], 2)  # the lobby, and this one

    def test_a_member_that_waited_with_one_that_is_gone_is_in_the_room_that_others_find(self) -> None:
        alice, bob = self.server.welcome("alice"), self.server.welcome("bob")
        self.server.fake.held.add("open")
        alice.send({"type": "join", "room": "den"})
        bob.send({"type": "join", "room": "den"})
        alice.cut()
        self.server.fake.release()
        self.server.settle()
        carol = self.server.connect()
        carol.send({"type": "hello", "nick": "carol"}, {"type": "join", "room": "den"})
        self.server.settle()
        carol.say("hi", room="den")
        self.server.settle()
        self.assertEqual(bob.texts(), ["hi"])

    def test_a_room_whose_only_visitor_is_gone_before_it_opened_is_let_go(self) -> None:
        alice = self.server.welcome("alice")
        self.server.fake.held.add("open")
        alice.send({"type": "join", "room": "den"})
        alice.cut()
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(self.open_rooms(), {"lobby"})

    def test_a_room_that_cannot_be_opened_is_unavailable_to_all_who_wait_and_opens_later(self) -> None:
        alice, bob = self.server.welcome("alice"), self.server.welcome("bob")
        self.server.fake.held.add("open")
        alice.send({"type": "join", "room": "den", "id": "1"})
        bob.send({"type": "join", "room": "den"})
        self.server.fake.refuse()
        self.server.settle()
        self.assertEqual([(obj["code"], obj["id"]) for obj in alice.got()], [("unavailable", "1")])
        self.assertEqual([obj["code"] for obj in bob.got()], ["unavailable"])
        self.server.fake.held.clear()
        self.assertEqual(kinds(alice.ask(type="join", room="den")), ["joined"])


class ReadingOnTests(SynchronousTestCase):
    """Members that are behind: each message reaches them once and in order."""

    def setUp(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice, self.bob = self.server.crowd(2, "lobby")

    def said(self, *texts: str) -> None:
        for text in texts:
            self.alice.say(text)
        self.server.settle()
        self.server.hush(self.alice)

    def test_a_page_with_what_is_kept_and_not_yet_handed_out_gives_nothing_twice(self) -> None:
        self.bob.pause()
        self.said("1", "2")
        self.server.fake.held |= {"append", "after"}
        self.alice.say("3")
        self.server.settle()
        self.server.fake.begin()  # 3 is kept, and the room has not heard of it
        self.bob.resume()
        self.server.settle()
        self.server.fake.waiting.rotate(-1)
        self.server.fake.release()  # the page, with 3 in it
        self.server.settle()
        self.server.fake.release()
        self.server.fake.held.clear()
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["1", "2", "3"])

    def test_history_shows_nothing_that_was_not_handed_out(self) -> None:
        self.said("1", "2")
        self.server.fake.held.add("append")
        self.alice.say("3")
        self.server.settle()
        self.server.hush(self.bob)
        self.server.fake.begin()  # 3 is kept, and is handed out at the end of this turn
        self.bob.send({"type": "history", "room": "lobby", "after": 0}, {"type": "history", "room": "lobby"})
        self.server.settle()
        *pages, live = self.bob.got()
        for page in pages:
            self.assertEqual([obj["msg"] for obj in page["messages"]], ["1", "2"])
        self.assertEqual((len(pages), live["msg"]), (2, "3"))
        self.server.fake.release()

    def test_own_messages_that_the_log_has_no_more_are_not_waited_for(self) -> None:
        self.patch(session, "MAX_OWN", 2)
        self.alice.pause()
        for text in "1", "2", "3":
            self.alice.say(text)
        self.server.settle()
        self.assertFalse(self.alice.wire.reading)
        self.server.fake.logs["lobby"].trim(3)
        self.alice.resume()
        self.server.settle()
        self.assertTrue(self.alice.wire.reading)

    def test_a_member_that_has_passed_enough_of_its_own_messages_is_read_from_before_it_is_live(self) -> None:
        self.patch(session, "MAX_OWN", 2)
        self.patch(catching_up, "PAGE", 2)
        self.alice.pause()
        for text in "1", "2", "3":
            self.assertTrue(self.alice.wire.reading)
            self.alice.say(text)
            self.server.settle()
        self.bob.say("4")
        self.server.settle()
        self.server.fake.held.add("after")
        self.alice.resume()
        self.server.settle()
        self.assertFalse(self.alice.wire.reading)
        self.server.fake.release()
        self.assertTrue(self.alice.wire.reading)

    def test_nothing_is_read_for_one_that_leaves_in_the_turn_of_its_next_page(self) -> None:
        self.bob.pause()
        self.said("1")
        self.bob.resume()
        self.bob.send({"type": "leave", "room": "lobby"})
        self.server.settle()
        self.assertEqual(self.server.fake.calls["after"], 0)

    def test_one_that_leaves_in_the_turn_in_which_it_is_live_again_is_told_no_more(self) -> None:
        self.bob.pause()
        self.bob.resume()
        self.bob.send({"type": "leave", "room": "lobby"})
        self.said("1")
        self.assertEqual(kinds(self.bob.got()), ["left"])


class FollowingTests(SynchronousTestCase):
    """A room sends what it hears from its log, and acks authors when their own records come by."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")
        self.log = self.server.fake.logs["lobby"]

    def test_what_another_server_appends_is_handed_out_at_once(self) -> None:
        self.log.append_elsewhere(("carol", "1"))
        self.log.append_elsewhere(("dave", "2"))
        self.server.settle()
        got = [(obj["author"], obj["msg"], obj["seq"]) for obj in self.bob.got()]
        self.assertEqual(got, [("carol", "1", 1), ("dave", "2", 2)])
        late = self.server.welcome("erin").ask(type="join", room="lobby", since=1)
        self.assertEqual([obj["msg"] for obj in late[1:]], ["2"])
        self.assertEqual(self.server.fake.calls["after"], 0)

    def test_what_it_appends_while_the_log_is_busy_comes_in_order(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("2", id="7")
        self.server.settle()
        self.log.append_elsewhere(("carol", "1"))
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["1"])
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["2"])
        self.assertEqual([(obj["type"], obj["seq"]) for obj in self.alice.got()], [("", 1), ("ack", 2)])

    def test_an_ack_stands_in_the_place_of_the_own_message_among_those_of_others(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("2", id="7")
        self.server.settle()
        self.log.append_elsewhere(("carol", "1"))
        self.server.fake.release()
        self.log.append_elsewhere(("carol", "3"))
        self.server.settle()
        got = [(obj["type"], obj["seq"]) for obj in self.alice.got()]
        self.assertEqual(got, [("", 1), ("ack", 2), ("", 3)])
        self.assertEqual(self.bob.texts(), ["1", "2", "3"])

    def test_an_author_is_acked_when_its_record_comes_by_and_not_twice(self) -> None:
        self.alice.say("0", id="6")
        self.server.hush(self.alice, self.bob)
        self.server.fake.held.add("append")
        self.alice.say("0", id="6")  # it is in the log, and comes by no more
        self.alice.say("1", id="7")
        self.server.settle()
        self.server.fake.begin()
        self.server.settle()
        self.assertEqual([(obj["type"], obj["seq"]) for obj in self.alice.got()], [("ack", 1), ("ack", 2)])
        self.assertEqual(self.bob.texts(), ["1"])
        self.bob.say("2")
        self.server.settle()
        self.assertEqual(self.server.fake.calls["append"], 2, "the log is busy")
        self.server.fake.release()
        self.server.settle()
        self.assertEqual((self.alice.got(), self.bob.texts()), ([], []))
        self.assertEqual(self.server.fake.calls["append"], 3)

    def test_what_was_acked_is_not_refused_when_the_append_fails_afterwards(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("1", id="7")
        self.server.settle()
        self.server.fake.begin()
        self.server.settle()
        self.server.fake.refuse()
        self.server.settle()
        self.assertEqual([(obj["type"], obj["id"]) for obj in self.alice.got()], [("ack", "7")])
        self.assertEqual((self.bob.texts(), sum(self.server.chat.counters.refused.values())), (["1"], 0))

    def test_a_log_that_has_changed_otherwise_is_read(self) -> None:
        self.log.records.append(Record(1, 0, "carol", "1"))
        self.log.seq = 1
        self.log.epoch += 1
        assert self.log.heard
        self.log.heard([])
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["1"])
        joined, late = self.server.welcome("carol").ask(type="join", room="lobby", since=0)
        self.assertEqual((joined["seq"], late["msg"]), (1, "1"))

    def test_a_client_that_has_heard_more_at_another_server_gets_the_rest_once(self) -> None:
        self.log.unheard = [("carol", "1"), ("carol", "2")]
        erin, frank = self.server.welcome("erin"), self.server.welcome("frank")
        erin.send({"type": "join", "room": "lobby", "since": 1})
        frank.send({"type": "join", "room": "lobby", "since": 2})
        self.server.settle()
        self.alice.say("3")
        self.server.settle()
        for peer, seen, texts in (erin, 1, ["2", "3"]), (frank, 2, ["3"]):
            joined, *messages = [obj for obj in peer.got() if obj["type"] in ("joined", "")]
            self.assertEqual((joined["seq"], [obj["msg"] for obj in messages]), (seen, texts))
        self.assertEqual(self.bob.texts(), ["1", "2", "3"])
        self.assertEqual(self.server.fake.calls["catch_up_to"], 1)

    def test_a_number_that_the_log_does_not_have_is_looked_for_once(self) -> None:
        joined = self.server.welcome("erin").ask(type="join", room="lobby", since=9)[0]
        self.assertEqual((joined["type"], joined["seq"]), ("joined", 0))
        self.assertEqual(self.server.fake.calls["catch_up_to"], 1)

    def test_a_client_that_has_heard_more_joins_again_when_the_log_can_be_read(self) -> None:
        self.server.fake.failing["catch_up_to"] = Unavailable("the database is away")
        refused = self.server.welcome("erin").ask(type="join", room="lobby", since=9)
        self.assertEqual([obj["code"] for obj in refused], ["unavailable"])

    def test_a_room_that_is_let_go_is_followed_no_more(self) -> None:
        self.alice.ask(type="join", room="den")
        den = self.server.fake.logs["den"]
        self.assertIsNotNone(den.heard)
        self.alice.ask(type="leave", room="den")
        self.assertIsNone(den.heard)

    def test_a_room_that_was_let_go_takes_nothing_from_its_successor(self) -> None:
        self.server = Server(tail_bytes=1_000)
        alice = self.server.welcome("alice", "den")
        den = self.server.fake.logs["den"]
        for _ in range(3):
            alice.say("hi", room="den")
        self.server.settle()
        den.epoch += 1
        assert den.heard
        den.heard([])
        self.server.settle()
        alice.ask(type="leave", room="den")
        bob, carol = self.server.welcome("bob", "den"), self.server.welcome("carol", "den", "lobby")
        carol.say("x" * 1_000)  # takes the place of what memory had of the first den
        self.server.hush(bob, carol)
        bob.say("hi", room="den")
        self.server.settle()
        self.assertEqual(carol.texts(), ["hi"])


class OtherWaysTests(SynchronousTestCase):
    """Messages also come into the log, and go out of it, by other ways than the server's own."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.welcome("alice", "lobby"), self.server.welcome("bob", "lobby")
        self.server.hush(self.alice, self.bob)
        self.log = self.server.fake.logs["lobby"]

    def bring_in(self, *texts: str) -> None:
        """Do what an import does."""
        for one in texts:
            self.log.seq += 1
            self.log.records.append(Record(self.log.seq, 0, "carol", one))
        self.log.epoch += 1

    def test_what_is_brought_in_is_read_by_all_with_the_next_message(self) -> None:
        self.alice.say("1")
        self.server.settle()
        self.bring_in("2", "3")
        self.alice.say("4", id="7")
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["1", "2", "3", "4"])
        self.assertEqual([(obj["type"], obj["seq"]) for obj in self.alice.got()], [("ack", 4), ("", 2), ("", 3)])
        late = self.server.welcome("dave").ask(type="join", room="lobby", since=0)
        self.assertEqual([obj["msg"] for obj in late[1:]], ["1", "2", "3", "4"])

    def test_what_is_brought_in_is_read_also_where_the_next_message_was_said_before(self) -> None:
        self.alice.say("1", id="7")
        self.server.settle()
        self.bring_in("2", "3")
        self.alice.say("1", id="7")
        self.bob.say("4")
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["1", "2", "3"])
        late = self.server.welcome("dave").ask(type="join", room="lobby", since=0)
        self.assertEqual([obj["msg"] for obj in late[1:]], ["1", "2", "3", "4"])

    def test_what_is_brought_in_is_read_where_nothing_new_is_said(self) -> None:
        self.alice.say("1", id="7")
        self.server.settle()
        self.bring_in("2")
        self.alice.say("1", id="7")
        self.server.settle()
        self.bob.say("3")
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["1", "2"])
        self.assertEqual([obj["msg"] for obj in self.alice.got() if obj["type"] == ""], ["2", "3"])

    def test_what_is_brought_in_between_others_is_read_by_who_comes_later(self) -> None:
        self.alice.say("1")
        self.server.settle()
        self.log.seq = 5
        self.alice.say("6", id="7")
        self.server.settle()
        self.log.records.insert(1, Record(3, 0, "carol", "3"))
        self.log.epoch += 1
        self.alice.say("6", id="7")  # it is in the log already: nothing new is heard
        self.server.settle()
        late = self.server.welcome("dave").ask(type="join", room="lobby", since=1)
        self.assertEqual([obj["msg"] for obj in late[1:]], ["3", "6"])

    def test_once_it_was_read_memory_serves_again(self) -> None:
        self.alice.say("1")
        self.server.settle()
        self.bring_in("2")
        self.alice.say("3")
        self.server.settle()
        calls = self.server.fake.calls["after"]
        for number in range(4, 8):
            self.alice.say(str(number))
            self.server.settle()
        self.assertEqual(self.server.fake.calls["after"], calls)
        self.assertEqual(self.bob.texts(), list("1234567"))

    def test_memory_keeps_what_is_said_after_it(self) -> None:
        self.bring_in("1")
        for text in "234":
            self.alice.say(text)
            self.server.settle()
        calls = self.server.fake.calls["after"]
        late = self.server.welcome("dave").ask(type="join", room="lobby", since=1)
        self.assertEqual([obj["msg"] for obj in late[1:]], list("234"))
        self.assertEqual(self.server.fake.calls["after"], calls)

    def test_memory_forgets_what_it_had_when_its_time_comes(self) -> None:
        self.server = Server(tail_bytes=250)
        alice = self.server.welcome("alice", "lobby")
        for one in "12":
            alice.say(one)
            self.server.settle()
        self.log = self.server.fake.logs["lobby"]
        self.bring_in("3")
        for one in "456":
            alice.say(one)
            self.server.settle()
        late = self.server.welcome("dave").ask(type="join", room="lobby", since=0)
        self.assertEqual([obj["msg"] for obj in late[1:]], list("123456"))

    def test_what_retention_took_away_is_not_read_from_memory(self) -> None:
        for one in "123":
            self.alice.say(one)
        self.server.settle()
        del self.log.records[:2]
        self.log.oldest = 3
        late = self.server.welcome("dave")
        self.assertEqual([obj["msg"] for obj in late.ask(type="join", room="lobby", since=0)[1:]], ["3"])
        (page,) = late.ask(type="history", room="lobby")
        self.assertEqual(([obj["msg"] for obj in page["messages"]], page["more"]), (["3"], False))

    def test_a_quit_waits_for_the_replay_that_was_asked_for(self) -> None:
        self.patch(catching_up, "PAGE", 2)
        for one in "12345":
            self.alice.say(one)
        self.server.settle()
        late = self.server.connect()
        late.send({"type": "hello", "nick": "dave"}, {"type": "join", "room": "lobby", "since": 0}, {"type": "quit"})
        self.server.settle()
        kinds_and_texts = [obj.get("msg") or obj["type"] for obj in late.got()]
        self.assertEqual(kinds_and_texts, ["welcome", "joined", "1", "2", "3", "4", "5", "stop"])


class KeepingTests(SynchronousTestCase):
    """One turn after the other goes into the log."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")

    def test_nothing_is_written_where_there_is_nothing_to_say(self) -> None:
        self.alice.say("no ack for this one")
        self.server.settle()
        self.alice.pause()
        self.alice.say("nor for this one")
        self.server.settle()
        self.assertEqual((self.alice.wire.written, len(self.bob.wire.written)), ([], 2))

    def test_what_is_said_while_a_turn_is_being_kept_is_kept_together_after_it(self) -> None:
        self.server.fake.held.add("append")
        for text in "1", "2", "3":
            self.alice.say(text, id=text)
            self.server.settle()
        self.assertEqual(self.server.fake.calls["append"], 1)
        self.assertEqual((self.alice.got(), self.bob.got()), ([], []))
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(([obj["id"] for obj in self.alice.got()], self.bob.texts()), (["1"], ["1"]))
        self.assertEqual(self.server.fake.calls["append"], 2)
        self.server.fake.release()
        self.server.settle()
        self.assertEqual([obj["id"] for obj in self.alice.got()], ["2", "3"])
        self.assertEqual(self.bob.texts(), ["2", "3"])

    def test_a_refused_turn_is_told_to_those_who_said_something_in_it_and_to_nobody_else(self) -> None:
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        self.alice.say("1", id="1")
        self.alice.say("2")
        self.server.settle()
        errors = [(obj["type"], obj["code"], obj.get("id")) for obj in self.alice.got()]
        self.assertEqual(errors, [("error", "unavailable", "1"), ("error", "unavailable", None)])
        self.assertEqual(self.bob.got(), [])
        self.server.fake.failing.clear()
        self.alice.say("1", id="1")
        self.server.settle()
        self.assertEqual((kinds(self.alice.got()), self.bob.texts()), (["ack"], ["1"]))

    def test_a_fault_of_the_store_is_logged_and_told(self) -> None:
        self.server.fake.failing["append"] = ZeroDivisionError("a bug")
        self.alice.say("1", id="1")
        self.server.settle()
        self.assertEqual([(obj["code"], obj["id"]) for obj in self.alice.got()], [("internal", "1")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_fault_of_the_store_at_once_stops_nothing(self) -> None:
        self.patch(self.server.fake, "append_now", lambda entries, time: 1 / 0)
        self.alice.say("1", id="1")
        self.server.settle()
        self.assertEqual([obj["code"] for obj in self.alice.got()], ["internal"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_share_of_the_turn_that_fails_stops_nothing(self) -> None:
        broken: Any = SimpleNamespace(flow="", take_turn=lambda: 1 // 0)
        self.server.chat.rooms.turn.line_up(broken)
        self.alice.say("1", id="1")
        self.server.settle()
        self.assertEqual((kinds(self.alice.got()), self.bob.texts()), (["ack"], ["1"]))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_is_kept_at_once_waits_for_nothing(self) -> None:
        def append_now(entries: Sequence[Entry], time: int) -> bool:
            self.server.fake.store_entries(entries, time)
            return True

        self.patch(self.server.fake, "append_now", append_now)
        self.patch(self.server.fake, "append", lambda entries, time: 1 / 0)
        self.alice.say("1", id="1")
        self.server.clock.turn()
        self.assertEqual((kinds(self.alice.got()), self.bob.texts()), (["ack"], ["1"]))

    def test_a_turn_keeps_only_so_many_and_the_next_one_goes_on(self) -> None:
        self.patch(appending, "MESSAGES_A_TURN", 2)
        turns: list[int] = []

        def append_now(entries: Sequence[Entry], time: int) -> bool:
            self.server.fake.store_entries(entries, time)
            turns.append(len(entries))
            return True

        self.patch(self.server.fake, "append_now", append_now)
        for number in range(5):
            self.alice.say(str(number))
        fired = self.settled()
        for count in (1, 2):
            self.server.clock.turn()
            self.assertEqual((len(turns), fired), (count, []))
        self.server.settle()
        self.assertEqual((turns, fired), ([2, 2, 1], [None]))
        self.assertEqual(self.bob.texts(), ["0", "1", "2", "3", "4"])

    def test_a_turn_sends_only_so_much(self) -> None:
        self.patch(appending, "BYTES_A_TURN", 2 * 2 * (10 + BESIDE_TEXT))  # two of ten characters, for two members
        turns: list[int] = []

        def append_now(entries: Sequence[Entry], time: int) -> bool:
            self.server.fake.store_entries(entries, time)
            turns.append(len(entries))
            return True

        self.patch(self.server.fake, "append_now", append_now)
        for size in (9, 9, 3, 9, 2 * BESIDE_TEXT, 1):
            self.alice.say("x" * size)
        self.server.settle()
        self.assertEqual(turns, [3, 2, 1])
        self.assertEqual([len(text) for text in self.bob.texts()], [9, 9, 3, 9, 2 * BESIDE_TEXT, 1])

    def test_nobody_waits_behind_the_flood_of_another(self) -> None:
        self.patch(appending, "MESSAGES_A_TURN", 4)
        carol = self.server.welcome("carol", "lobby")
        self.server.hush(self.alice, self.bob, carol)
        for number in range(20):
            self.alice.say(f"a{number}")
        self.server.clock.turn()
        for number in range(2):
            self.bob.say(f"b{number}")
        carol.say("c0")
        self.server.clock.turn()
        texts = [record.msg for record in self.server.fake.logs["lobby"].records]
        self.assertEqual((texts[:4], set(texts[4:])), (["a0", "a1", "a2", "a3"], {"a4", "b0", "c0", "b1"}))
        self.server.settle()
        texts = [record.msg for record in self.server.fake.logs["lobby"].records]
        for author, count in ("a", 20), ("b", 2), ("c", 1):
            own = [text for text in texts if text[0] == author]
            self.assertEqual(own, [f"{author}{number}" for number in range(count)])

    def test_a_store_that_raises_stops_nothing(self) -> None:
        append = self.server.fake.store_entries
        self.patch(self.server.fake, "append", lambda entries, time: 1 / 0)
        self.alice.say("1", id="1")
        self.server.settle()
        self.assertEqual([obj["code"] for obj in self.alice.got()], ["internal"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.patch(self.server.fake, "append", lambda entries, time: execute(append, entries, time))
        self.alice.say("2", id="2")
        self.server.settle()
        self.assertEqual((kinds(self.alice.got()), self.bob.texts()), (["ack"], ["2"]))

    def test_a_fault_in_the_fan_out_is_logged_and_the_next_turn_goes_on(self) -> None:
        patched = self.patch(Appending, "_fan_out_all", lambda *args: 1 / 0)
        self.alice.say("1")
        self.server.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        patched.restore()
        self.assertEqual(kinds(self.alice.ask(type="ping")), ["pong"])
        self.bob.say("2")
        self.server.settle()
        self.assertEqual(self.alice.texts(), ["2"])

    def test_what_a_fault_kept_from_a_room_is_read_from_the_log(self) -> None:
        class Broken(Counted):
            def messages(self, room: str, records: Sequence[Record]) -> Any:
                assert room != "den" or mended
                return super().messages(room, records)

        mended: list[None] = []
        self.server.encoding = Broken()
        carol, dave = self.server.welcome("carol", "den"), self.server.welcome("dave", "den")
        self.server.hush(carol, dave, self.alice, self.bob)
        carol.say("1", room="den")
        self.alice.say("2")
        self.server.clock.turn()
        mended.append(None)
        self.assertEqual(self.bob.texts(), ["2"], "another room does not hear of it")
        self.server.settle()
        self.assertEqual(len(self.flushLoggedErrors(AssertionError)), 1)
        self.assertEqual(dave.texts(), ["1"])
        self.assertEqual(self.server.welcome("erin").ask(type="join", room="den", since=0)[-1]["msg"], "1")

    def test_what_a_fault_kept_from_a_room_late_is_read_from_the_log_too(self) -> None:
        patched = self.patch(Appending, "_answer_author", lambda *args: 1 / 0)
        self.alice.say("1")
        self.server.clock.turn()
        patched.restore()
        self.server.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.bob.texts(), ["1"])

    def test_what_was_written_for_one_room_is_sent_even_if_another_one_cannot_begin_anew(self) -> None:
        carol, dave = (self.server.welcome(name, "den") for name in ("carol", "dave"))
        fan_out = Appending._fan_out

        def failing(self: Appending, room: Room, *args: Any) -> Any:
            return fan_out(self, room, *args) if room.name.key == "lobby" else 1 / 0

        self.patch(Appending, "_fan_out", failing)
        self.patch(Appending, "_begin_anew", lambda *args: 1 / 0)
        self.alice.say("1")
        carol.say("2", room="den")
        self.server.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual((self.bob.texts(), dave.texts()), (["1"], []))

    def test_a_connection_that_cannot_be_written_to_disturbs_no_other(self) -> None:
        def broken(data: bytes) -> None:
            raise ZeroDivisionError

        carol = self.server.welcome("carol", "lobby")
        self.server.hush(carol, self.bob)
        cast(Any, self.alice.wire.participant).write = broken
        self.bob.say("1")
        self.alice.send({"type": "ping"})
        carol.say("2")
        self.server.settle()
        self.alice.say("3")
        self.server.settle()
        carol.say("4")
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["2", "3", "4"])
        self.assertEqual(carol.texts(), ["1", "3"])
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def settled(self) -> list[None]:
        fired: list[None] = []
        self.server.chat.rooms.settled().addCallback(fired.append)
        return fired

    def test_nothing_under_way_is_settled_in_this_turn(self) -> None:
        fired = self.settled()
        self.server.clock.turn()
        self.assertEqual(fired, [None])

    def test_what_was_said_is_settled_when_it_is_kept_and_acked(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("1", id="1")
        fired = self.settled()
        self.server.settle()
        self.assertEqual(fired, [])
        self.server.fake.release()
        self.server.settle()
        self.assertEqual((fired, kinds(self.alice.got())), ([None], ["ack"]))

    def test_what_was_said_is_settled_while_others_go_on_talking(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("1")
        self.server.settle()
        fired = self.settled()
        self.bob.say("on and on")
        self.server.settle()
        self.assertEqual(fired, [])
        self.server.fake.release()
        self.bob.say("and on")
        self.server.settle()
        self.assertEqual(fired, [None])

    def test_what_waits_for_the_log_is_kept_in_the_next_turn_though_nobody_is_told_of_the_last_one(self) -> None:
        self.bob.cut()
        self.server.fake.held.add("append")
        for text in "12":
            self.alice.say(text)
            fired = self.settled()
            self.server.settle()
        self.server.hush(self.alice)
        self.server.fake.release()
        self.server.settle()
        self.assertEqual((self.server.fake.calls["append"], fired), (2, []))
        self.server.fake.release()
        self.server.settle()
        self.assertEqual((self.alice.got(), fired), ([], [None]))

    def test_a_member_that_floods_puts_it_off_for_nobody(self) -> None:
        self.patch(appending, "MESSAGES_A_TURN", 2)
        append: Any = self.server.fake.store_entries
        self.patch(self.server.fake, "append_now", lambda *turn: append(*turn) is None)
        for number in range(4):
            self.alice.say(str(number))
        fired = self.settled()
        for expected in ([], [None]):
            for number in range(4):
                self.bob.say(str(number))
            self.server.clock.turn()
            self.assertEqual(fired, expected)


class OverlapTests(SynchronousTestCase):
    """A log may take several appends at the same time, if no author and no room is in two of them."""

    def setUp(self) -> None:
        self.server = Server()
        self.server.fake.most_appends = 3
        self.alice, self.bob, self.carol = (self.server.welcome(nick) for nick in ("alice", "bob", "carol"))
        for peer in (self.alice, self.bob, self.carol):
            for name in ("den", "attic", "zoo"):
                peer.send({"type": "join", "room": name})
        self.server.settle()
        self.server.hush(self.alice, self.bob, self.carol)
        self.server.fake.held.add("append")

    @property
    def appends(self) -> int:
        return self.server.fake.calls["append"]

    def say(self, peer: Any, room: str, text: str) -> None:
        peer.say(text, room=room, id=text)
        self.server.settle()

    def release(self, append: int = 0) -> None:
        """End one of the appends that are under way, counted from the oldest."""
        self.server.fake.waiting.rotate(-append)
        self.server.fake.release()
        self.server.fake.waiting.rotate(append)
        self.server.settle()

    def texts(self, room: str) -> list[str]:
        return [record.msg for record in self.server.fake.logs[room].records]

    def acks(self, peer: Any) -> list[str]:
        return [obj["id"] for obj in peer.got() if obj["type"] == "ack"]

    def test_other_rooms_do_not_wait(self) -> None:
        self.say(self.alice, "den", "a")
        self.say(self.bob, "attic", "b")
        self.assertEqual(self.appends, 2)
        self.release(1)
        self.assertEqual((self.acks(self.alice), self.acks(self.bob)), ([], ["b"]))
        self.release()
        self.assertEqual((self.acks(self.alice), self.carol.texts()), (["a"], ["b", "a"]))

    def test_there_are_no_more_than_the_log_takes(self) -> None:
        self.server.fake.most_appends = 2
        for peer, name in (self.alice, "den"), (self.bob, "attic"), (self.carol, "zoo"):
            self.say(peer, name, name)
        self.assertEqual(self.appends, 2)
        self.release()
        self.assertEqual(self.appends, 3)
        for _ in range(2):
            self.release()
        self.assertEqual(self.acks(self.carol), ["zoo"])

    def test_a_room_that_is_under_way_waits_and_keeps_its_order(self) -> None:
        self.say(self.alice, "den", "a1")
        self.say(self.bob, "den", "b1")
        self.say(self.bob, "den", "b2")
        self.assertEqual(self.appends, 1)
        self.say(self.carol, "attic", "c1")
        self.assertEqual(self.appends, 2)
        self.say(self.alice, "den", "a2")
        self.release()
        self.assertEqual(self.appends, 3)
        self.release(1)
        self.assertEqual(self.texts("den"), ["a1", "b1", "b2", "a2"])
        self.assertEqual((self.acks(self.alice), self.acks(self.bob)), (["a1", "a2"], ["b1", "b2"]))
        self.assertEqual(self.acks(self.carol), [])

    def test_an_author_in_other_rooms_waits_only_behind_its_messages_that_wait(self) -> None:
        self.say(self.bob, "den", "b1")
        self.say(self.alice, "den", "a1")
        self.say(self.alice, "attic", "a2")
        self.assertEqual(self.appends, 1, "the second one waits behind the first, which waits for its room")
        self.release()
        self.assertEqual(self.appends, 2)
        self.say(self.alice, "zoo", "a3")
        self.assertEqual(self.appends, 3)
        self.release(1)
        self.assertEqual(self.acks(self.alice), ["a3"])
        self.release()
        self.assertEqual(self.acks(self.alice), ["a1", "a2"])

    def test_what_waits_goes_on_where_its_room_is_free_though_there_is_much(self) -> None:
        self.patch(appending, "MESSAGES_A_TURN", 2)
        self.say(self.alice, "den", "a0")
        for number in range(3):
            self.bob.say(f"b{number}", room="den")
            self.carol.say(f"c{number}", room="attic")
        self.server.settle()
        self.assertEqual(self.appends, 2)
        self.release(1)
        self.assertEqual((self.appends, self.texts("attic")), (3, ["c0", "c1"]))
        self.release(1)
        self.assertEqual((self.appends, self.texts("attic"), self.texts("den")), (3, ["c0", "c1", "c2"], []))
        for _ in range(3):
            self.release()
        self.assertEqual(self.texts("den"), ["a0", "b0", "b1", "b2"])
        self.assertFalse(self.server.chat.rooms._appending.is_busy)

    def test_what_is_said_in_free_rooms_while_others_wait_is_no_more_than_a_turn(self) -> None:
        self.patch(appending, "MESSAGES_A_TURN", 2)
        self.say(self.alice, "den", "a0")
        self.say(self.bob, "den", "b0")
        for number in range(3):
            self.carol.say(f"c{number}", room="attic")
        self.server.settle()
        self.release(1)
        self.assertEqual(self.texts("attic"), ["c0", "c1"])

    def test_what_is_waited_for_is_not_overtaken(self) -> None:
        self.say(self.alice, "den", "a1")
        self.say(self.bob, "den", "b1")
        fired: list[None] = []
        self.server.chat.rooms.settled().addCallback(fired.append)
        self.say(self.carol, "attic", "c1")
        self.assertEqual(self.appends, 1)
        self.release()
        self.assertEqual((self.appends, fired), (2, []))
        self.release()
        self.assertEqual((fired, self.texts("den")), ([None], ["a1", "b1"]))
        while self.server.fake.waiting:
            self.release()
        self.assertEqual(self.texts("attic"), ["c1"])

    def test_one_that_fails_is_refused_and_the_others_go_on(self) -> None:
        self.say(self.alice, "den", "a1")
        self.say(self.bob, "attic", "b1")
        self.say(self.alice, "den", "a2")
        self.server.fake.refuse()
        self.server.settle()
        self.assertEqual([(obj["id"], obj["code"]) for obj in self.alice.got()], [("a1", "unavailable")])
        self.assertEqual((self.acks(self.bob), self.appends), ([], 3))
        for _ in range(2):
            self.release()
        self.assertEqual((self.acks(self.alice), self.acks(self.bob)), (["a2"], ["b1"]))

    def test_what_a_room_has_heard_before_its_append_ends_is_acked_with_what_another_one_stores(self) -> None:
        self.say(self.alice, "den", "a1")
        self.say(self.bob, "attic", "b1")
        self.server.fake.begin()
        self.release(1)
        got = [(obj["type"], obj.get("id")) for obj in self.alice.got()]
        self.assertEqual(sorted(got, key=str), [("", None), ("ack", "a1")])
        self.release()
        self.assertEqual(self.alice.got(), [])
        self.assertEqual((self.acks(self.bob), sorted(self.carol.texts())), (["b1"], ["a1", "b1"]))

    def test_a_turn_without_anything_to_append_is_not_repeated(self) -> None:
        self.say(self.alice, "den", "a1")
        self.say(self.bob, "den", "b1")
        number = self.server.chat.rooms.turn.number
        self.server.settle()
        self.assertEqual(self.server.chat.rooms.turn.number, number)

    def test_the_oldest_of_several_appends_shows_how_long_the_log_takes(self) -> None:
        counters = self.server.chat.rooms.turn.counters
        began = self.server.clock.seconds()
        self.say(self.alice, "den", "a1")
        self.server.clock.advance(1)
        self.say(self.bob, "attic", "b1")
        self.assertEqual(counters.commit_began, began)
        before = counters.commits.sum
        self.server.clock.advance(2)
        self.release(1)
        self.assertEqual((counters.commit_began, counters.commits.sum - before), (began, 2))
        self.server.fake.refuse()
        self.assertIsNone(counters.commit_began)


class CountTests(SynchronousTestCase):
    """The cost of a turn, counted: it makes the server fast."""

    def setUp(self) -> None:
        self.server = Server()

    def test_a_burst_is_one_append_and_one_write_for_each_member(self) -> None:
        peers = self.server.crowd(10, "lobby")
        for author in peers[:3]:
            for i in range(20):  # more than a quantum
                author.say(str(i), id=str(i))
        self.server.clock.turn()
        self.assertEqual(self.server.fake.calls["append"], 1)
        self.assertEqual({len(peer.wire.written) for peer in peers}, {1})
        self.assertEqual({len(peer.got()) for peer in peers}, {60})

    def test_the_answers_to_authors_that_hear_each_other_do_not_gather_in_memory(self) -> None:
        gathered = []
        for author in self.server.crowd(3, "lobby"):
            write = author.wire.write

            def written(data: bytes, write: Callable[[bytes], None] = write) -> None:
                gathered.append(len(self.server.chat.rooms.turn.out))
                write(data)

            cast(Any, author.wire.participant).write = written
            author.say("1", id="1")
        self.server.clock.turn()
        self.assertEqual(gathered, [0, 0, 0])

    def test_what_several_rooms_have_heard_is_handed_out_once_all_of_it_is_written(self) -> None:
        self.server.encoding = lines = Counted()
        counts = []
        pairs = [self.server.crowd(2, "lobby"), [self.server.welcome(name, "den") for name in ("carol", "dave")]]
        for _, other in pairs:
            cast(Any, other.wire.participant).write = lambda data: counts.append(lines.counts["message"])
        lines.counts.clear()
        for room_name, (author, _) in zip(("lobby", "den"), pairs, strict=True):
            author.say("1", room=room_name)
        self.server.clock.turn()
        self.assertEqual(counts, [2, 2])

    def test_all_that_happens_in_a_turn_is_one_write(self) -> None:
        alice, bob, carol = self.server.crowd(3, "lobby", "den")
        for room_name in "lobby", "den":
            bob.say(f"in {room_name}", room=room_name)
        carol.send({"type": "", "to": "n0", "msg": "psst"}, {"type": "nick", "nick": "carol"})
        alice.send({"type": "ping"}, {"type": "who", "room": "den"}, {"type": "nonsense"})
        alice.say("mine", id="1")
        self.server.clock.turn()
        self.assertEqual(len(alice.wire.written), 1)
        self.assertEqual(self.server.fake.calls["append"], 1)
        got = [obj["type"] for obj in alice.got()]
        self.assertEqual(sorted(got), sorted(["", "nick", "nick", "pong", "members", "error", "", "", "ack"]))

    def test_a_message_is_written_once_for_each_encoding_whatever_the_number_of_members(self) -> None:
        lines, others, fields = Counted(), Counted(), Counted(THREE_FIELDS)
        self.patch(Bare, "encoding", fields)
        crowds: list[list[Peer]] = []
        for number, self.server.encoding in enumerate((lines, others)):
            crowds.append([self.server.welcome(f"m{number}-{member}", "lobby") for member in range(25)])
        bares = [self.server.connect(label=str(40_000 + number)) for number in range(25)]
        self.server.clock.advance(1)
        for peer in crowds[0] + crowds[1] + bares:
            peer.got()
        for encoding in lines, others, fields:
            encoding.counts.clear()
        alice = crowds[0][0]
        alice.say("1", id="1")
        alice.say("2")
        self.server.clock.advance(1)
        self.assertEqual(lines.counts, {"message": 2, "Ack": 1})
        self.assertEqual((others.counts, fields.counts), ({"message": 2}, {"message": 2}))
        for crowd in crowds[0][1:], crowds[1]:
            self.assertEqual({len(peer.wire.written) for peer in crowd}, {1})
            self.assertEqual(len({id(peer.wire.written[0]) for peer in crowd}), 1)
        for peer in bares:
            self.server.clock.pump([0.02] * 2)
            self.assertEqual([obj["msg"] for obj in peer.got_segments()], ["1", "2"])
        self.assertEqual(fields.counts, {"message": 2})

    def test_a_notice_is_written_once_for_each_encoding(self) -> None:
        lines = self.server.encoding = Counted()
        peers = [self.server.welcome(f"m{number}", "lobby") for number in range(20)]
        lines.counts.clear()
        peers[0].send({"type": "topic", "room": "lobby", "msg": "all"})
        peers[0].cut()
        self.server.settle()
        self.assertEqual(lines.counts, {"TopicChanged": 2, "MemberLeft": 1})

    def test_a_crowd_that_is_a_little_behind_is_written_one_page(self) -> None:
        lines = self.server.encoding = Counted()
        alice, *others = [self.server.welcome(f"m{number}", "lobby") for number in range(20)]
        for peer in others:
            peer.pause()
        for number in range(100):
            alice.say(str(number))
            self.server.settle()
        lines.counts.clear()
        self.server.hush(*others)
        for peer in others:
            peer.resume()
        self.server.settle()
        self.assertEqual({len(peer.texts()) for peer in others}, {100})
        self.assertEqual(lines.counts["message"], 100)

    def test_a_live_member_costs_no_read_from_the_store(self) -> None:
        alice, bob = self.server.crowd(2, "lobby")
        for i in range(100):
            alice.say(str(i))
            self.server.settle()
        self.assertEqual(len(bob.got()), 100)
        self.assertEqual((self.server.fake.calls["after"], self.server.fake.calls["before"]), (0, 0))

    def test_a_member_a_little_behind_costs_no_read_from_the_store(self) -> None:
        alice, bob = self.server.crowd(2, "lobby")
        bob.pause()
        for i in range(1_000):
            alice.say(str(i))
        self.server.settle()
        bob.resume()
        self.server.settle()
        self.assertEqual(bob.texts(), [str(i) for i in range(1_000)])
        self.assertEqual(self.server.fake.calls["after"], 0)

    def test_nor_does_one_that_enters_a_room_that_everybody_has_left(self) -> None:
        (alice,) = self.server.crowd(1, "den")
        alice.say("1", room="den")
        self.server.settle()
        alice.ask(type="leave", room="den")
        self.server.settle()
        heard = self.server.welcome("bob").ask(type="join", room="den", since=0)
        self.assertEqual(([obj["msg"] for obj in heard[1:]], self.server.fake.calls["after"]), (["1"], 0))

    def test_nor_where_they_left_it_in_the_turn_of_what_they_said(self) -> None:
        (alice,) = self.server.crowd(1, "den")
        alice.say("1", room="den")
        alice.cut()
        self.server.settle()
        heard = self.server.welcome("bob").ask(type="join", room="den", since=0)
        self.assertEqual(([obj["msg"] for obj in heard[1:]], self.server.fake.calls["after"]), (["1"], 0))

    def test_nor_does_one_that_reads_all_there_is_in_memory(self) -> None:
        (alice,) = self.server.crowd(1, "lobby")
        for i in range(3):
            alice.say(str(i))
            self.server.settle()
        heard = self.server.welcome("bob").ask(type="join", room="lobby", since=0)
        self.assertEqual(([obj["msg"] for obj in heard[1:]], self.server.fake.calls["after"]), (list("012"), 0))

    def test_they_are_one_write_for_a_member_of_three_that_has_left_one(self) -> None:
        alice, bob = self.server.crowd(2, "lobby", "den", "attic")
        for left, writes in (("attic", 1), ("den", 1), ("lobby", 0)):
            bob.send({"type": "leave", "room": left})
            self.server.hush(bob)
            for room_name in "lobby", "den", "attic":
                alice.say("hi", room=room_name)
            self.server.settle()
            self.assertEqual(len(bob.wire.written), writes)

    def test_the_messages_of_several_rooms_are_one_write_for_a_member_of_two(self) -> None:
        reader, author = self.server.crowd(2, "lobby", "den")
        others = [self.server.welcome(f"only{i}", name) for i, name in enumerate(("lobby", "den"))]
        self.server.hush(reader, author, *others)
        for name in ("lobby", "den"):
            author.say("hi", room=name)
        self.server.clock.turn()
        self.assertEqual([len(peer.wire.written) for peer in (reader, *others)], [1, 1, 1])
        self.assertEqual([len(peer.texts()) for peer in (reader, *others)], [2, 1, 1])

    def test_the_page_of_a_turn_is_written_once_also_for_who_joins_behind_it(self) -> None:
        lines = self.server.encoding = Counted()
        alice = self.server.welcome("alice", "lobby")
        alice.say("old")
        self.server.settle()
        alice.say("1")
        alice.say("2")
        self.server.settle()
        lines.counts.clear()
        for number in range(5):
            bob = self.server.connect()
            bob.send({"type": "hello", "nick": f"bob{number}"}, {"type": "join", "room": "lobby", "since": 1})
            self.server.settle()
            self.assertEqual(bob.texts(), ["1", "2"])
        self.assertEqual(lines.counts["message"], 0, "they get what was written for alice")

    def test_nothing_is_written_in_an_encoding_that_nobody_live_reads(self) -> None:
        others = self.server.encoding = Counted()
        bob = self.server.welcome("bob", "lobby")
        self.server.encoding = Counted()
        alice = self.server.welcome("alice", "lobby")
        bob.pause()
        others.counts.clear()
        alice.say("hi")
        self.server.settle()
        self.assertEqual(others.counts, {})
        bob.resume()
        self.server.settle()
        self.assertEqual(bob.texts(), ["hi"])


class MemoryTests(SynchronousTestCase):
    """Messages in memory are not read from the store."""

    def setUp(self) -> None:
        self.server = Server()
        self.store = self.server.fake
        self.alice = self.server.welcome("alice", "lobby")
        for number in range(1, 6):
            self.alice.say(str(number))
            self.server.settle()

    def history(self, **request: Any) -> tuple[list[str], int]:
        """Read a page; returns its texts, and how often the store was read for it."""
        calls = self.store.calls
        before = calls["after"] + calls["before"]
        (page,) = self.alice.ask(type="history", room="lobby", **request)
        return [obj["msg"] for obj in page["messages"]], calls["after"] + calls["before"] - before

    def test_a_page_of_it_costs_nothing(self) -> None:
        self.assertEqual(self.history(after=0), (list("12345"), 0))
        self.assertEqual(self.history(after=3), (list("45"), 0))
        self.assertEqual(self.history(after=5), ([], 0))

    def test_nor_does_a_full_page_of_the_newest(self) -> None:
        self.assertEqual(self.history(limit=2), (list("45"), 0))
        self.assertEqual(self.history(limit=2, before=4), (list("23"), 0))

    def test_nor_one_that_begins_with_the_oldest(self) -> None:
        self.assertEqual(self.history(), (list("12345"), 0))
        self.assertEqual(self.history(before=3), (list("12"), 0))

    def test_what_retention_took_away_is_not_read_from_it(self) -> None:
        self.store.logs["lobby"].trim(3)
        self.assertEqual(self.history(after=0), (list("45"), 0))
        self.assertEqual(self.history(), (list("45"), 0))
        self.assertEqual(self.history(after=2, limit=1), (["4"], 0))

    def test_what_is_older_is_read_from_the_store(self) -> None:
        self.server = Server(self.store)
        self.alice = self.server.welcome("alice", "lobby")
        self.assertEqual(self.history(), (list("12345"), 1))
        self.assertEqual(self.history(after=1), (list("2345"), 1))
        self.alice.say("6")
        self.server.settle()
        self.alice.got()
        self.assertEqual(self.history(after=5), (["6"], 0))
        self.assertEqual(self.history(limit=2), (list("56"), 1))


class SettledTests(SynchronousTestCase):
    def test_what_follows_messages_waits_for_them_though_several_were_kept_before(self) -> None:
        server = Server()
        (alice,) = server.crowd(1, "lobby")
        alice.say("1", id="1")
        alice.say("2", id="2")
        server.settle()
        alice.got()
        server.fake.held.add("append")
        alice.say("3", id="3")
        alice.send({"type": "ping", "id": "4"})
        server.settle()
        self.assertEqual(alice.got(), [])
        server.fake.release()
        server.settle()
        self.assertEqual([obj["id"] for obj in alice.got()], ["3", "4"])

    def test_the_end_of_a_turn_comes_as_the_service_says(self) -> None:
        ends: list[Callable[[], None]] = []
        rooms = room.Rooms(Server().clock, FakeLog(), soon=ends.append)
        rooms.turn.schedule()
        self.assertEqual(len(ends), 1)


class TopicTests(SynchronousTestCase):
    def test_one_that_is_paused_and_resumed_again_and_again_is_told_of_it_once(self) -> None:
        server = Server()
        alice, bob = server.crowd(2, "lobby")
        bob.pause()
        alice.ask(type="topic", room="lobby", msg="all")
        for _ in range(3):
            bob.resume()
            bob.pause()
        bob.resume()
        server.settle()
        self.assertEqual(kinds(bob.got()), ["topic"])

    def test_one_that_was_told_of_it_is_not_told_again_when_it_reads_on(self) -> None:
        server = Server()
        alice, bob = server.crowd(2, "lobby")
        alice.ask(type="topic", room="lobby", msg="all")
        bob.pause()
        bob.resume()
        server.settle()
        self.assertEqual(kinds(bob.got()), ["topic"])


class OwnTests(SynchronousTestCase):
    """Numbers of one's own messages are remembered as long as they are behind one's cursor."""

    def test_they_are_forgotten_up_to_a_number(self) -> None:
        server = Server()
        server.welcome("alice", "lobby")
        (member,) = server.room("lobby").members.values()
        member.own.extend([2, 5, 9])
        self.assertTrue(member.forget_own(2), "one alone")
        member.own.insert(0, 2)
        self.assertTrue(member.forget_own(5))
        self.assertEqual(list(member.own), [9])
        self.assertFalse(member.forget_own(8))
        self.assertEqual(list(member.own), [9])

    def test_all_who_said_something_in_a_turn_go_on(self) -> None:
        server = Server()
        for count in (1, 2, 3):
            peers = server.crowd(count, f"room{count}")
            for number, peer in enumerate(peers):
                peer.say("hi", id="1", room=f"room{count}")
                peer.send({"type": "ping", "id": str(number)})
            server.settle()
            for peer in peers:
                self.assertIn("pong", kinds(peer.got()))
                peer.cut()


class Worker:
    """Somebody who has something to do, and does it all when served."""

    def __init__(self, work: int = 1, flow: str = "192.0.2.1", spends: Turn | None = None) -> None:
        self.work = work
        self.flow = flow
        self.spends = spends
        """The turn that counts the work, if `take_turn` does not return it."""
        self.served = 0

    def take_turn(self) -> int:
        self.served += 1
        if self.spends is None:
            return self.work
        self.spends.spend(self.work)
        return 0


class TurnTests(SynchronousTestCase):
    """Parts that line up are served in this turn, as far as possible, and else in the next one."""

    def setUp(self) -> None:
        self.ends: list[Callable[[], None]] = []
        self.turn = Turn(self.ends.append)

    def end(self) -> None:
        """End the turn."""
        self.ends.pop(0)()

    def test_all_are_served_in_one_turn_while_there_is_work_left(self) -> None:
        workers = [Worker(WORK_A_TURN - 1), Worker(), Worker()]
        for worker in workers:
            self.turn.line_up(worker)
        self.end()
        self.assertEqual([worker.served for worker in workers], [1, 1, 0])
        self.end()
        self.assertEqual([worker.served for worker in workers], [1, 1, 1])
        self.assertEqual(self.ends, [])

    def test_the_connections_of_an_address_have_the_share_of_one(self) -> None:
        crowd, alone = [Worker(WORK_A_TURN // 2) for _ in range(4)], Worker(1, flow="192.0.2.2")
        for worker in (*crowd, alone):
            self.turn.line_up(worker)
        self.end()
        self.assertEqual(([worker.served for worker in crowd], alone.served), ([1, 1, 0, 0], 1))

    def test_those_that_came_when_the_turn_was_full_take_turns_by_address(self) -> None:
        crowd, alone = [Worker(FULL_TURN // 2, spends=self.turn) for _ in range(4)], Worker(1, "192.0.2.2", self.turn)
        for worker in (*crowd, alone):
            self.turn.line_up_new(worker)
        self.end()
        self.assertEqual(([worker.served for worker in crowd], alone.served), ([1, 1, 0, 0], 1))

    def test_while_some_are_lined_up_the_next_turn_is_full_from_its_beginning(self) -> None:
        for worker in [Worker(FULL_TURN, spends=self.turn) for _ in range(2)]:
            self.turn.line_up_new(worker)
        self.end()
        self.assertTrue(self.turn.is_full)
        self.turn.spend(1)
        self.turn.tighten()
        self.assertTrue(self.turn.is_full)
        self.end()
        self.assertFalse(self.turn.is_full)

    def test_one_that_has_made_enough_waits_for_the_next_turn(self) -> None:
        first, second = Worker(), Worker()
        self.turn.line_up(first, next_turn=True)
        self.turn.line_up(second)
        self.end()
        self.assertEqual((first.served, second.served), (0, 1))
        self.end()
        self.assertEqual((first.served, second.served), (1, 1))

    def test_after_much_work_a_quantum_is_small_until_the_next_round_or_turn(self) -> None:
        seen: list[int] = []

        def take_turn() -> int:
            seen.append(self.turn.quantum)
            return 1

        self.turn.spend(WORK_A_TURN - 1)
        seen.append(self.turn.quantum)
        self.turn.spend(1)
        seen.append(self.turn.quantum)
        self.turn.line_up(cast(Any, SimpleNamespace(flow="", take_turn=take_turn)))
        self.turn.last_steps.append(lambda: self.turn.spend(WORK_A_TURN))
        self.end()
        seen.append(self.turn.quantum)
        self.assertEqual(seen, [QUANTUM, LEAST_QUANTUM, QUANTUM, QUANTUM])

    def test_a_turn_has_one_end(self) -> None:
        for _ in range(3):
            self.turn.schedule()
        self.assertEqual(len(self.ends), 1)


class OrderTests(SynchronousTestCase):
    """A member gets everything in the order in which it happened."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")

    def test_acks_stand_in_the_place_of_the_own_messages(self) -> None:
        for author, text in (self.alice, "1"), (self.bob, "2"), (self.alice, "3"), (self.alice, "4"), (self.bob, "5"):
            author.say(text, id=text)
        self.server.settle()
        self.assertEqual([obj["seq"] for obj in self.alice.got()], [1, 2, 3, 4, 5])
        got = [(obj["type"], obj["seq"]) for obj in self.bob.got()]
        self.assertEqual(got, [("", 1), ("ack", 2), ("", 3), ("", 4), ("ack", 5)])

    def test_two_connections_of_one_author_hear_each_other(self) -> None:
        other = self.server.welcome("n0-too", "lobby")
        self.alice.say("hi", id="1")
        self.server.settle()
        self.assertEqual(other.texts(), ["hi"])

    def test_an_answer_and_what_follows_it_are_in_order(self) -> None:
        self.bob.say("before")
        self.server.settle()
        carol = self.server.welcome("carol")
        carol.send({"type": "join", "room": "lobby", "since": 0})
        self.alice.say("after")
        self.server.settle()
        self.assertEqual([obj.get("msg") for obj in carol.got()], [None, "before", "after"])

    def test_a_member_that_enters_in_the_turn_of_a_message_gets_it_once(self) -> None:
        carol, dave = self.server.welcome("carol"), self.server.welcome("dave")
        self.alice.say("1")
        carol.send({"type": "join", "room": "lobby"})
        dave.send({"type": "join", "room": "lobby", "since": 0})
        self.alice.say("2")
        self.server.settle()
        self.assertEqual((carol.texts(), dave.texts()), (["1", "2"], ["1", "2"]))

    def test_comings_and_goings_stand_in_front_of_the_messages_of_their_turn(self) -> None:
        carol = self.server.welcome("carol")
        carol.send({"type": "join", "room": "lobby"}, {"type": "", "room": "lobby", "msg": "hi"})
        self.server.settle()
        self.assertEqual(kinds(self.bob.got()), ["join", ""])

    def test_nobody_is_told_of_its_own_comings_and_goings(self) -> None:
        carol = self.server.welcome("carol", "lobby")
        self.server.hush(self.alice, self.bob)
        self.alice.send({"type": "nick", "nick": "alice"})
        self.bob.send({"type": "nick", "nick": "bob"})
        self.server.settle()
        self.assertEqual([obj["author"] for obj in self.alice.got()], ["n0", "n1"])
        self.assertEqual([obj["author"] for obj in carol.got()], ["n0", "n1"])


class PageSizeTests(SynchronousTestCase):
    def test_where_many_are_paused_pages_are_smaller(self) -> None:
        self.patch(catching_up, "PAUSED_BYTES", 6_000)
        self.patch(catching_up, "LEAST_PAGE_BYTES", 1)
        server = Server()
        alice, bob, carol = server.crowd(3, "lobby")
        dave = server.welcome("dave", "lobby")

        def read_four() -> list[int]:
            """Let bob read four messages; return the number of those in each page."""
            bob.pause()
            for _ in range(4):
                alice.say("x" * 3_000)
                server.settle()
            bob.wire.written.clear()
            bob.resume()
            server.settle()
            return [part.count(b"\n") for part in bob.wire.written]

        self.assertEqual(read_four(), [2, 2])
        carol.pause()
        dave.pause()
        self.assertEqual(read_four(), [1, 1, 1, 1])
        dave.cut()
        self.assertEqual(read_four(), [2, 2])
        carol.resume()
        dave = server.welcome("dave", "lobby")
        dave.pause()
        self.assertEqual(read_four(), [2, 2])


class SlowReaderTests(SynchronousTestCase):
    """A slow reader is waited for: it misses nothing, gets nothing twice, and nobody else waits."""

    tail_bytes = room.TAIL_BYTES

    def setUp(self) -> None:
        self.server = Server(tail_bytes=self.tail_bytes)
        self.alice, self.bob, self.carol = self.server.crowd(3, "lobby")
        self.count = 0

    def said(self, count: int = 1) -> None:
        """Say the next numbers, each in a turn of its own."""
        for _ in range(count):
            self.count += 1
            self.alice.say(str(self.count))
            self.server.settle()

    def check(self) -> None:
        self.server.settle()
        self.said()
        for peer in self.bob, self.carol:
            self.assertEqual(peer.texts(), [str(i + 1) for i in range(self.count)])

    def test_paused_before_a_turn(self) -> None:
        self.said()
        self.bob.pause()
        self.said(5)
        self.bob.resume()
        self.check()

    def test_paused_between_what_is_said_and_its_turn(self) -> None:
        self.alice.say("1")
        self.bob.pause()
        self.server.settle()
        self.bob.resume()
        self.count = 1
        self.check()

    def test_paused_and_resumed_in_one_turn(self) -> None:
        self.alice.say("1")
        self.bob.pause()
        self.bob.resume()
        self.server.settle()
        self.count = 1
        self.check()

    def test_paused_twice_and_resumed_twice(self) -> None:
        self.bob.pause()
        self.said()
        self.bob.pause()
        self.said()
        self.bob.resume()
        self.bob.resume()
        self.check()

    def test_paused_in_a_write(self) -> None:
        self.bob.wire.full = True
        self.said(3)
        self.bob.wire.full = False
        self.bob.resume()
        self.check()

    def test_paused_in_the_write_of_each_page(self) -> None:
        self.patch(catching_up, "PAGE", 2)
        self.bob.wire.full = True
        self.said(7)
        for _ in range(3):
            self.bob.resume()
            self.server.settle()
        self.bob.wire.full = False
        self.bob.resume()
        self.check()

    def test_paused_while_messages_of_two_rooms_wait_to_be_written(self) -> None:
        for peer in self.alice, self.bob:
            peer.ask(type="join", room="den")
        self.server.hush(self.alice, self.bob, self.carol)
        self.bob.wire.full = True
        self.alice.say("1")
        self.alice.say("in the den", room="den")
        self.server.settle()
        self.alice.say("again", room="den")
        self.count = 1
        self.said()
        self.bob.wire.full = False
        self.bob.resume()
        self.server.settle()
        self.said()
        got = [(obj["room"], obj["msg"]) for obj in self.bob.got()]
        self.assertEqual([msg for where, msg in got if where == "lobby"], ["1", "2", "3"])
        self.assertEqual([msg for where, msg in got if where == "den"], ["in the den", "again"])

    def test_paused_while_the_log_is_slow(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("1")
        self.server.settle()
        self.bob.pause()
        self.server.fake.release()
        self.alice.say("2")
        self.server.settle()
        self.bob.resume()
        self.server.settle()
        self.server.fake.release()
        self.server.fake.held.clear()
        self.count = 2
        self.check()

    def test_what_it_says_meanwhile_is_acked_and_not_handed_back(self) -> None:
        self.said()
        self.bob.pause()
        self.said()
        self.bob.say("own", id="7")
        self.server.settle()
        self.said()
        self.bob.resume()
        self.server.settle()
        self.said()
        got = [obj.get("msg", obj["type"]) for obj in self.bob.got()]
        self.assertEqual(sorted(got), ["1", "2", "3", "4", "ack"])
        self.assertEqual(self.carol.texts(), ["1", "2", "own", "3", "4"])

    def test_what_it_said_twice_meanwhile_is_not_handed_back(self) -> None:
        self.bob.say("own", id="7")
        self.server.settle()
        self.bob.pause()
        self.bob.say("own", id="7")
        self.bob.say("another", id="8")
        self.said()
        self.bob.resume()
        self.server.settle()
        self.said()
        self.assertEqual([obj.get("msg", obj["type"]) for obj in self.bob.got()], ["ack", "ack", "ack", "1", "2"])

    def test_a_member_that_enters_while_it_reads_nothing_reads_on_later(self) -> None:
        self.said(2)
        dave = self.server.welcome("dave")
        dave.pause()
        dave.send({"type": "join", "room": "lobby"})
        self.said()
        self.assertEqual(kinds(dave.got()), ["joined"])
        dave.resume()
        self.server.settle()
        self.said()
        self.assertEqual(dave.texts(), ["3", "4"])

    def test_one_that_goes_away_meanwhile_is_forgotten(self) -> None:
        self.bob.pause()
        self.said()
        self.bob.resume()
        self.bob.cut()
        self.server.settle()
        self.assertEqual((self.bob.got(), self.server.room("lobby").members.keys()), ([], self.rest()))

    def rest(self) -> set[Any]:
        return {peer.wire.participant for peer in (self.alice, self.carol)}

    def test_one_that_leaves_meanwhile_is_told_no_more(self) -> None:
        self.bob.pause()
        self.said(3)
        self.bob.resume()
        self.bob.send({"type": "leave", "room": "lobby"})
        self.server.settle()
        self.assertEqual(kinds(self.bob.got()), ["left"])

    def test_one_that_joins_again_meanwhile_starts_from_there(self) -> None:
        self.bob.pause()
        self.said(3)
        self.bob.resume()
        self.bob.send({"type": "join", "room": "lobby", "since": 2})
        self.server.settle()
        self.assertEqual([obj.get("msg") for obj in self.bob.got()], [None, "3"])
        self.bob.pause()
        self.said()
        self.bob.send({"type": "join", "room": "lobby"})
        self.bob.resume()
        self.said()
        self.assertEqual([obj.get("msg") for obj in self.bob.got()], [None, "5"])

    def test_a_crowd_that_reads_on_does_not_hold_up_who_is_live(self) -> None:
        crowd = [self.server.welcome(f"late-{i}") for i in range(40)]
        self.said(3)
        for peer in crowd:
            peer.send({"type": "join", "room": "lobby", "since": 0})
        self.alice.say("live")
        self.server.hush(self.bob)
        for peer in crowd:
            self.assertEqual(peer.texts(), ["1", "2", "3", "live"])

    def test_a_live_member_is_written_to_in_the_turn_in_which_a_crowd_reads_on(self) -> None:
        self.said(3)
        crowd = [self.server.welcome(f"late-{i}") for i in range(40)]
        self.server.hush(self.bob)
        for peer in crowd:
            peer.send({"type": "join", "room": "lobby", "since": 0})
        self.alice.say("live")
        self.server.clock.turn()
        self.assertIn("live", self.bob.texts())
        served = sum(len(peer.texts()) > 0 for peer in crowd)
        self.assertEqual(served, room.PAGES_A_TURN)


class SlowReaderOfAShortTailTests(SlowReaderTests):
    """The same where only the last few messages are in memory."""

    tail_bytes = 250

    def test_most_of_it_was_read_from_the_store(self) -> None:
        self.test_paused_before_a_turn()
        self.assertGreater(self.server.fake.calls["after"], 0)


class SlowReaderOfNoTailTests(SlowReaderTests):
    """The same where nothing is in memory."""

    tail_bytes = 0


class SlowStoreTests(SynchronousTestCase):
    """Pages that come late, or not at all."""

    def setUp(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice, self.bob = self.server.crowd(2, "lobby")
        self.bob.pause()
        self.said("1", "2")
        self.server.fake.held.add("after")
        self.bob.resume()
        self.server.settle()
        self.assertEqual(self.server.fake.calls["after"], 1)

    def said(self, *texts: str) -> None:
        for text in texts:
            self.alice.say(text)
            self.server.settle()

    def release(self) -> None:
        while self.server.fake.waiting:
            self.server.fake.release()
            self.server.settle()

    def test_what_is_said_until_a_page_comes_follows_it(self) -> None:
        self.said("3")
        self.release()
        self.said("4")
        self.assertEqual(self.bob.texts(), ["1", "2", "3", "4"])

    def test_paused_and_resumed_until_a_page_comes(self) -> None:
        self.bob.pause()
        self.bob.resume()
        self.server.settle()
        self.assertEqual(self.server.fake.calls["after"], 1)
        self.release()
        self.assertEqual(self.bob.texts(), ["1", "2"])

    def test_paused_until_a_page_comes(self) -> None:
        self.bob.pause()
        self.release()
        self.said("3")
        self.assertEqual(self.bob.texts(), [])  # a transport takes what it is given, and has no bound
        self.bob.resume()
        self.server.settle()
        self.release()
        self.assertEqual(self.bob.texts(), ["1", "2", "3"])

    def test_gone_until_a_page_comes(self) -> None:
        self.bob.cut()
        self.release()
        self.assertEqual(self.bob.got(), [])

    def test_left_until_a_page_comes(self) -> None:
        self.bob.send({"type": "leave", "room": "lobby"})
        self.release()
        self.assertEqual(kinds(self.bob.got()), ["left"])

    def test_joined_again_until_a_page_comes(self) -> None:
        self.bob.send({"type": "join", "room": "lobby", "since": 1})
        self.server.settle()
        self.release()
        self.said("3")
        self.assertEqual([obj.get("msg") for obj in self.bob.got()], [None, "2", "3"])

    def test_a_page_that_cannot_be_read_is_read_again_after_a_while(self) -> None:
        self.server.fake.refuse()
        self.said("3")
        self.assertEqual(self.server.fake.calls["after"], 1)
        self.server.clock.advance(room.READ_AGAIN_SECONDS)
        self.release()
        self.assertEqual(self.bob.texts(), ["1", "2", "3"])

    def test_a_page_is_read_again_when_who_wants_it_takes_it(self) -> None:
        self.server.fake.refuse()
        self.bob.pause()
        self.server.clock.advance(room.READ_AGAIN_SECONDS)
        self.assertEqual(self.server.fake.calls["after"], 1)
        self.bob.resume()
        self.server.settle()
        self.release()
        self.assertEqual(self.bob.texts(), ["1", "2"])

    def test_a_page_is_not_read_again_for_one_that_is_gone(self) -> None:
        self.server.fake.refuse()
        self.bob.cut()
        self.server.clock.advance(room.READ_AGAIN_SECONDS)
        self.assertEqual(self.server.fake.calls["after"], 1)

    def test_a_fault_of_the_store_is_logged_and_the_page_read_again(self) -> None:
        self.server.fake.refuse(ZeroDivisionError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.server.clock.advance(room.READ_AGAIN_SECONDS)
        self.release()
        self.assertEqual(self.bob.texts(), ["1", "2"])

    def test_what_was_trimmed_until_it_is_read_is_skipped(self) -> None:
        self.server.fake.logs["lobby"].trim(2)
        self.release()
        self.said("3")
        self.assertEqual(self.bob.texts(), ["3"])

    def test_reading_is_paused_while_much_of_its_own_waits(self) -> None:
        self.patch(session, "MAX_OWN", 2)
        self.bob.pause()
        for _ in range(3):
            self.bob.say("own")
        self.server.settle()
        self.assertFalse(self.bob.wire.reading)
        self.bob.resume()
        self.assertFalse(self.bob.wire.reading)
        self.release()
        self.assertTrue(self.bob.wire.reading)
        self.assertEqual(self.bob.texts(), ["1", "2"])


class ManyRoomsTests(SynchronousTestCase):
    """A listener that is behind in many rooms gets one page at a time, and no more of them than it takes."""

    def setUp(self) -> None:
        self.server = Server(tail_bytes=0)
        self.rooms = [f"r{number}" for number in range(20)]
        self.alice = self.server.welcome("alice", *self.rooms)
        for name in self.rooms:
            for text in "1", "2":
                self.alice.say(f"{name}: {text}", room=name)
        self.server.settle()
        self.bob = self.server.welcome("bob")
        self.server.fake.calls.clear()

    def join_all(self, peer: Peer) -> None:
        peer.send(*[{"type": "join", "room": name, "since": 0} for name in self.rooms])
        self.server.settle()

    def release(self) -> None:
        self.server.fake.release()
        self.server.settle()

    def check(self, peer: Peer) -> None:
        self.assertEqual(sorted(peer.texts()), sorted(f"{name}: {text}" for name in self.rooms for text in "12"))

    def test_one_page_at_a_time_is_on_its_way_to_one_listener(self) -> None:
        self.server.fake.held.add("after")
        self.join_all(self.bob)
        for count in range(1, 1 + len(self.rooms)):
            self.assertEqual((len(self.server.fake.waiting), self.server.fake.calls["after"]), (1, count))
            self.release()
        self.check(self.bob)

    def test_another_one_does_not_wait_for_it(self) -> None:
        self.server.fake.held.add("after")
        self.join_all(self.bob)
        carol = self.server.connect()
        carol.send({"type": "hello", "nick": "carol"}, {"type": "join", "room": "r7", "since": 0})
        self.server.settle()
        self.assertEqual(len(self.server.fake.waiting), 2)
        self.server.fake.waiting.rotate(1)
        self.release()
        self.assertEqual(carol.texts(), ["r7: 1", "r7: 2"])

    def test_nothing_more_is_read_for_a_member_that_takes_no_more(self) -> None:
        self.bob.wire.full = True
        self.join_all(self.bob)
        for count in 1, 2, 3:
            self.assertEqual(self.server.fake.calls["after"], count)
            self.bob.resume()
            self.server.settle()
        self.bob.wire.full = False
        self.bob.resume()
        self.server.settle()
        self.check(self.bob)

    def test_its_rooms_take_turns(self) -> None:
        self.patch(catching_up, "PAGE", 1)
        self.bob.pause()
        self.join_all(self.bob)
        self.bob.resume()
        self.server.settle()
        first, second = ([f"{name}: {text}" for name in self.rooms] for text in "12")
        self.assertEqual(self.bob.texts(), first + second)

    def test_a_room_that_cannot_be_read_does_not_hold_up_the_others(self) -> None:
        self.server.fake.held.add("after")
        self.join_all(self.bob)
        self.server.fake.refuse()
        self.server.fake.held.clear()
        self.server.clock.advance(room.READ_AGAIN_SECONDS)
        expected = [f"{name}: {text}" for name in [*self.rooms[1:], self.rooms[0]] for text in "12"]
        self.assertEqual(self.bob.texts(), expected)

    def test_pages_in_memory_come_one_a_turn(self) -> None:
        self.server.chat.rooms = type(self.server.chat.rooms)(self.server.clock, self.server.log)
        self.alice = self.server.welcome("anna", *self.rooms)
        for name in self.rooms:
            for text in "1", "2":
                self.alice.say(f"{name}: {text}", room=name)
        self.server.settle()
        bob = self.server.welcome("ben")
        bob.send(*[{"type": "join", "room": name, "since": 2} for name in self.rooms])
        bob.wire.full = True
        self.server.settle()
        self.assertEqual(len(bob.texts()), 2)
        bob.wire.full = False
        bob.resume()
        for _ in range(3):
            self.server.clock.turn()
            self.assertEqual(len(bob.texts()), 2)
        self.server.settle()
        self.assertEqual(len(bob.texts()), 2 * (len(self.rooms) - 4))

    def test_a_member_that_waits_for_a_page_that_another_one_reads_waits_once(self) -> None:
        self.server.fake.held.add("after")
        self.join_all(self.bob)
        carol = self.server.welcome("carol")
        self.join_all(carol)
        carol.pause()
        carol.resume()
        self.server.settle()
        while self.server.fake.waiting:
            self.release()
        self.check(self.bob)
        self.check(carol)
        self.assertEqual(self.server.fake.calls["after"], len(self.rooms))


class SharedPageTests(SynchronousTestCase):
    """A room that has fallen behind reads each page once."""

    def setUp(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice, self.bob, self.carol = self.server.crowd(3, "lobby")
        self.bob.pause()
        self.said("1")
        self.carol.pause()
        self.said("2", "3")
        self.server.hush(self.carol)
        self.server.fake.held.add("after")
        for peer in (self.bob, self.carol):
            peer.resume()
            self.server.settle()

    def said(self, *texts: str) -> None:
        for text in texts:
            self.alice.say(text)
            self.server.settle()

    def release(self) -> None:
        self.server.fake.release()
        self.server.settle()

    def test_one_reads_and_the_others_get_what_is_left_of_it(self) -> None:
        self.assertEqual(self.server.fake.calls["after"], 1)
        self.release()
        self.assertEqual(self.bob.texts(), ["1", "2", "3"])
        self.assertEqual(self.carol.texts(), ["2", "3"])
        self.assertEqual(self.server.fake.calls["after"], 1)
        self.said("4")
        self.assertEqual((self.bob.texts(), self.carol.texts()), (["4"], ["4"]))

    def test_another_one_reads_where_it_failed(self) -> None:
        self.server.fake.refuse()
        self.server.settle()
        self.assertEqual(self.server.fake.calls["after"], 2)
        self.release()
        self.assertEqual(self.carol.texts(), ["2", "3"])

    def test_a_member_that_is_gone_or_paused_by_then_is_not_waited_for(self) -> None:
        self.carol.pause()
        self.release()
        self.assertEqual((self.bob.texts(), self.carol.texts()), (["1", "2", "3"], []))
        self.carol.resume()
        self.server.settle()
        self.assertEqual(self.carol.texts(), ["2", "3"])

    def test_a_page_from_before_another_program_wrote_to_the_room_is_read_anew(self) -> None:
        self.carol.pause()
        self.release()
        self.server.room("lobby").epoch += 1
        self.carol.resume()
        self.server.settle()
        self.assertEqual(self.server.fake.calls["after"], 2)

    def test_what_memory_has_does_not_wait_for_what_another_one_reads(self) -> None:
        server = Server(tail_bytes=250)
        alice, bob, carol = server.crowd(3, "lobby")
        for text in "1234":
            alice.say(text)
            server.settle()
        server.hush(bob, carol)
        server.fake.held.add("after")
        bob.send({"type": "join", "room": "lobby", "since": 0})
        server.settle()
        carol.send({"type": "join", "room": "lobby", "since": 3})
        server.settle()
        self.assertEqual((len(server.fake.waiting), bob.texts(), carol.texts()), (1, [], ["4"]))

    def test_what_retention_took_away_is_in_no_page(self) -> None:
        self.carol.pause()
        self.release()
        self.server.fake.logs["lobby"].trim(2)
        self.carol.resume()
        self.server.settle()
        self.assertEqual(self.carol.texts(), ["3"])


class TailTests(SynchronousTestCase):
    """The newest messages of all rooms stay in memory, within a bound."""

    def setUp(self) -> None:
        self.server = Server(tail_bytes=1_000)
        self.alice, self.bob = self.server.crowd(2, "lobby", "den")

    def test_the_lobby_stays_open_when_everybody_has_left_it_and_memory_has_nothing_of_it(self) -> None:
        self.alice.say("in the lobby")
        self.server.settle()
        lobby = self.server.room("lobby")
        for peer in (self.alice, self.bob):
            peer.ask(type="leave", room="lobby")
        for i in range(20):
            self.alice.say(str(i), room="den")
            self.server.settle()
        self.assertEqual(len(lobby.tail), 0)
        self.assertIs(self.server.room("lobby"), lobby)

    def held(self) -> dict[str, int]:
        return {name: len(self.server.room(name).tail) for name in ("lobby", "den")}

    def test_the_oldest_of_all_rooms_go_first(self) -> None:
        for i in range(5):
            self.alice.say(str(i), room="den")
            self.server.settle()
        for i in range(6):
            self.alice.say(str(i))
            self.server.settle()
        self.assertEqual(self.held(), {"lobby": 6, "den": 4})

    def test_a_message_larger_than_all_is_not_held_and_arrives(self) -> None:
        self.alice.say("x" * 2_000)
        self.server.settle()
        self.assertEqual(self.held(), {"lobby": 0, "den": 0})
        self.assertEqual(self.bob.texts(), ["x" * 2_000])

    def test_it_takes_no_more_than_its_bound(self) -> None:
        for i in range(500):
            self.alice.say(f"message {i}")
            self.server.settle()
            tail = self.server.room("lobby").tail
            records = tail.after(tail.floor, 1_000, 10_000)
            self.assertEqual(len(records), len(tail))
            self.assertLessEqual(size_of(records), 1_000)

    def test_a_room_that_everybody_left_is_let_go_when_its_messages_are(self) -> None:
        self.alice.say("last", room="den")
        for peer in self.alice, self.bob:
            peer.ask(type="leave", room="den")
        self.assertIsNotNone(self.server.chat.rooms.get("den"))
        self.alice.say("x" * 2_000)
        self.server.settle()
        self.assertIsNone(self.server.chat.rooms.get("den"))


class PresenceTests(SynchronousTestCase):
    """In a room of more than 100, comings and goings are counted: N members cost N, not N²."""

    def setUp(self) -> None:
        self.server = Server()
        self.peers = self.server.crowd(room.GATHER_FROM, "lobby")

    def test_up_to_100_each_one_is_told(self) -> None:
        self.peers[1].cut()
        self.server.settle()
        self.assertEqual(kinds(self.peers[0].got()), ["leave"])
        self.server.welcome("new", "lobby")
        self.assertEqual(kinds(self.peers[0].got()), ["join"])

    def test_above_they_are_told_how_many_there_are_at_most_once_a_second(self) -> None:
        for i in range(50):
            self.server.welcome(f"new-{i}", "lobby")
        self.assertEqual(self.peers[0].got(), [])
        self.server.clock.advance(room.GATHER_SECONDS)
        self.assertEqual(self.peers[0].got(), [{"type": "presence", "room": "lobby", "count": 150}])
        self.server.clock.advance(10)
        self.assertEqual(self.peers[0].got(), [])
        self.peers[1].cut()
        self.server.clock.advance(room.GATHER_SECONDS)
        self.assertEqual([obj["count"] for obj in self.peers[0].got()], [149])

    def test_one_whose_coming_was_counted_is_counted_when_it_goes(self) -> None:
        new = self.server.welcome("new", "lobby")
        self.server.clock.advance(room.GATHER_SECONDS)
        self.peers[0].got()
        new.cut()
        self.server.clock.advance(room.GATHER_SECONDS)
        self.assertEqual(self.peers[0].got(), [{"type": "presence", "room": "lobby", "count": room.GATHER_FROM}])

    def test_a_coming_that_is_counted_is_told_to_nobody_and_costs_nothing(self) -> None:
        new = self.server.welcome("new", "lobby")
        rooms, lobby = self.server.chat.rooms, self.server.room("lobby")
        notice = MemberJoined(author="new", room="lobby")
        self.assertEqual(rooms.announce(lobby, notice, cast(Any, new.wire.participant)), 0)

    def test_a_member_that_reads_nothing_is_not_told(self) -> None:
        self.peers[0].pause()
        self.server.welcome("new", "lobby")
        self.server.clock.advance(room.GATHER_SECONDS)
        self.assertEqual(self.peers[0].got(), [])

    def test_nobody_is_left_to_be_told(self) -> None:
        self.server.welcome("new", "lobby").cut()
        for peer in self.peers:
            peer.cut()
        self.server.clock.advance(room.GATHER_SECONDS)

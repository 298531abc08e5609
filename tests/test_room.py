"""Members and their places; fan-out."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import execute
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import room, session
from twisted_chat.log import Unavailable

from .helpers import Server


def kinds(objects: list[dict[str, Any]]) -> list[str]:
    return [obj["type"] for obj in objects]


class OpenRoomTests(SynchronousTestCase):
    """Which rooms are open, and for how long."""

    def setUp(self) -> None:
        self.server = Server()

    def open_rooms(self) -> set[str]:
        return {name for name in ("lobby", "den") if self.server.chat.rooms.get(name)}

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

    def test_who_waited_with_one_that_is_gone_is_in_the_room_that_others_find(self) -> None:
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
        self.server.fake.begin()
        self.server.hush(self.bob)
        (page,) = self.bob.ask(type="history", room="lobby", after=0)
        self.assertEqual([obj["msg"] for obj in page["messages"]], ["1", "2"])
        (page,) = self.bob.ask(type="history", room="lobby")
        self.assertEqual([obj["msg"] for obj in page["messages"]], ["1", "2"])
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

    def test_a_store_that_raises_stops_nothing(self) -> None:
        append = self.server.fake._append
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
        self.patch(room, "time_text", lambda time: 1 / 0)
        self.alice.say("1")
        self.server.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.patch(room, "time_text", str)
        self.assertEqual(kinds(self.alice.ask(type="ping")), ["pong"])
        self.bob.say("2")
        self.server.settle()
        self.assertEqual(self.alice.texts(), ["2"])

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
        for _ in range(2):  # the turn that is being kept, and the one that gathers meanwhile
            self.assertEqual(fired, [])
            self.bob.say("on and on")
            self.server.settle()
            self.server.fake.release()
            self.bob.say("and on")
            self.server.settle()
        self.assertEqual(fired, [None])

"""One participant: its requests, its errors, and how much it may ask for."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, execute, fail
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import chat, messages, session
from twisted_chat.log import Unavailable

from .helpers import Server


def kinds(objects: list[dict[str, Any]]) -> list[str]:
    return [obj["type"] for obj in objects]


class RequestTests(SynchronousTestCase):
    """Requests are handled in their order, each when those before it have been answered."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")

    def test_answers_come_in_the_order_of_the_requests(self) -> None:
        self.server.fake.held |= {"append", "after", "before", "rooms", "open", "set_topic"}
        self.alice.say("hi", id="1")
        self.alice.send(
            {"type": "ping", "id": "2"},
            {"type": "history", "room": "elsewhere", "id": "3"},
            {"type": "rooms", "id": "4"},
            {"type": "", "room": "lobby", "msg": "on", "id": "5"},
            {"type": "topic", "room": "lobby", "msg": "all", "id": "6"},
            {"type": "join", "room": "den", "id": "7"},
            {"type": "who", "room": "den", "id": "8"},
            {"type": "quit", "id": "9"},
        )
        self.server.settle()
        while self.server.fake.waiting:
            self.assertEqual(len(self.server.fake.waiting), 1)
            self.server.fake.release()
            self.server.settle()
        self.assertEqual([obj["id"] for obj in self.alice.got()], list("123456789"))
        self.assertTrue(self.alice.wire.closed)

    def test_messages_do_not_wait_for_each_other(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("1")
        self.alice.say("2")
        self.server.settle()
        self.server.fake.release()
        self.assertEqual(self.bob.texts(), ["1", "2"])

    def test_thousands_of_requests_may_wait_and_be_answered_at_once(self) -> None:
        self.alice.say("hi", id="first")
        self.alice.send(*[{"type": "rooms", "id": str(i)} for i in range(3_000)])
        self.server.settle()
        self.assertEqual([obj["id"] for obj in self.alice.got()], ["first", *map(str, range(3_000))])

    def test_a_request_may_be_refused_later(self) -> None:
        self.patch(chat, "_handlers", {**chat._handlers, messages.Ping: _refuse})
        (error,) = self.alice.ask(type="ping", id="7")
        self.assertEqual((error["type"], error["code"], error["id"]), ("error", "denied", "7"))
        self.assertEqual(kinds(self.alice.ask(type="who", room="lobby")), ["members"])

    def test_a_request_that_fails_in_the_server_is_told_and_the_next_one_works(self) -> None:
        for handler in (_raise, _fail):
            self.patch(chat, "_handlers", {**chat._handlers, messages.Ping: handler})
            (error,) = self.alice.ask(type="ping", id="7")
            self.assertEqual((error["type"], error["code"], error["id"]), ("error", "internal", "7"))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(kinds(self.alice.ask(type="who", room="lobby")), ["members"])


class OwedTests(SynchronousTestCase):
    """Who asks for much and reads nothing is not read from; the server's memory does not grow with it."""

    def setUp(self) -> None:
        self.patch(session, "MAX_OWED", 1_000)
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")

    def test_what_is_asked_for_at_once_is_answered_over_several_turns(self) -> None:
        self.alice.send(*[{"type": "rooms", "id": str(i)} for i in range(100)])
        self.server.clock.turn()
        first = self.alice.wire.written[-1]
        self.assertLess(len(first), 1_200)
        self.assertTrue(self.alice.wire.reading)
        self.server.settle()
        self.assertLess(max(map(len, self.alice.wire.written)), 1_200)
        self.assertEqual([obj["id"] for obj in self.alice.got()], list(map(str, range(100))))

    def test_answers_that_are_not_read_stop_the_reading(self) -> None:
        self.alice.wire.full = True
        self.alice.send(*[{"type": "rooms", "id": str(i)} for i in range(200)])
        for _ in range(100):
            self.server.clock.turn()
        self.assertLess(sum(map(len, self.alice.wire.written)), 2_200)
        self.assertFalse(self.alice.wire.reading)
        self.alice.wire.full = False
        self.alice.resume()
        self.server.settle()
        self.assertTrue(self.alice.wire.reading)
        self.assertEqual([obj["id"] for obj in self.alice.got()], list(map(str, range(200))))

    def test_acks_that_are_not_read_stop_the_reading(self) -> None:
        self.alice.pause()
        for _ in range(12):
            self.assertTrue(self.alice.wire.reading)
            self.alice.say("again", id="the same")  # it is kept once, and acked each time
            self.server.settle()
        self.assertFalse(self.alice.wire.reading)
        self.alice.resume()
        self.assertTrue(self.alice.wire.reading)
        self.server.settle()
        self.assertEqual(kinds(self.alice.got()), ["ack"] * 12)
        self.assertEqual(self.bob.texts(), ["again"])

    def test_refusals_that_are_not_read_stop_the_reading(self) -> None:
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        self.alice.pause()
        for _ in range(20):
            self.alice.say("no")
            self.server.settle()
        self.assertFalse(self.alice.wire.reading)

    def test_what_waits_for_much_that_was_asked_is_forgotten_with_the_connection(self) -> None:
        self.alice.send(*[{"type": "rooms"} for _ in range(100)])
        self.server.clock.turn()
        self.alice.cut()
        self.alice.got()
        self.server.settle()
        self.assertEqual(self.alice.got(), [])


def _refuse(*_: object) -> Deferred[None]:
    return fail(messages.WireError("denied", "this may not be asked for"))


def _raise(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def _fail(*_: object) -> Deferred[None]:
    return execute(_raise)

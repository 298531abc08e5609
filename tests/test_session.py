"""One participant: its requests, its errors, and how much it may ask for."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, execute, fail
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import gate, messages, participant, session
from twisted_chat.limits import (
    ENTRY_CHARACTERS,
    FULL_TURN,
    LEAST_QUANTUM,
    LOOK_UP,
    MAX_REST_SECONDS,
    MAX_UNSETTLED,
    MAX_WAITING,
    QUANTUM,
    REFUSALS,
    TOKEN_BYTES,
    TOLD,
    WORK_A_TURN,
    Limits,
)
from twisted_chat.log import Unavailable
from twisted_chat.messages import Say
from twisted_chat.rules import Role
from twisted_chat.session import PING_TICKS, SILENT_TICKS, TICK_SECONDS

from .helpers import Peer, Server


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
        self.patch(gate, "table", {**gate.table, messages.Ping: gate.Row(_refuse, Role.GUEST)})
        (error,) = self.alice.ask(type="ping", id="7")
        self.assertEqual((error["type"], error["code"], error["id"]), ("error", "denied", "7"))
        self.assertEqual(kinds(self.alice.ask(type="who", room="lobby")), ["members"])

    def test_what_waits_for_one_that_fails_is_handled_then(self) -> None:
        self.server.fake.held.add("rooms")
        self.alice.send({"type": "rooms", "id": "1"}, {"type": "ping", "id": "2"})
        self.server.settle()
        self.assertEqual(self.alice.got(), [])
        self.server.fake.refuse()
        self.server.settle()
        self.assertEqual([(obj["type"], obj["id"]) for obj in self.alice.got()], [("error", "1"), ("pong", "2")])

    def test_a_request_that_fails_in_the_server_is_told_and_the_next_one_works(self) -> None:
        for handler in (_raise, _fail):
            self.patch(gate, "table", {**gate.table, messages.Ping: gate.Row(handler, Role.GUEST)})
            (error,) = self.alice.ask(type="ping", id="7")
            self.assertEqual((error["type"], error["code"], error["id"]), ("error", "internal", "7"))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(kinds(self.alice.ask(type="who", room="lobby")), ["members"])


class ShareTests(SynchronousTestCase):
    """A participant with many requests has its share of each turn, and the others have theirs."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")

    def flood(self, peer: Peer, count: int = 1_000) -> None:
        peer.send(*[{"type": "ping", "id": str(number)} for number in range(count)])

    def test_what_one_read_brings_is_handled_over_several_turns(self) -> None:
        self.flood(self.alice)
        self.server.clock.turn()
        self.assertEqual(len(self.alice.got()), WORK_A_TURN)
        self.bob.send({"type": "ping"})
        self.server.clock.turn()
        self.assertEqual((len(self.alice.got()), len(self.bob.got())), (WORK_A_TURN - 1, 1))
        self.server.settle()
        self.assertEqual(self.alice.got()[-1]["id"], "999")

    def test_notices_to_many_are_work_of_the_turn(self) -> None:
        for number in range(2 * TOLD):
            self.server.welcome(f"d{number}", "den")
        self.alice.send({"type": "join", "room": "den"})
        self.server.settle()
        turn = self.server.chat.rooms.turn
        before = turn.work
        self.alice.send({"type": "topic", "room": "den", "msg": "bees"})
        self.assertEqual(turn.work - before, 1 + LOOK_UP + 2)

    def test_all_who_flood_have_a_bounded_share_together_one_after_the_other(self) -> None:
        crowd = [self.server.welcome(f"f{number}") for number in range(40)]
        for peer in crowd:
            self.flood(peer)
        served: list[list[int]] = []
        for turn in range(6):
            self.server.clock.turn()
            served.append([len(peer.got()) for peer in crowd])
            if turn == 0:
                self.assertLessEqual(sum(served[0]), WORK_A_TURN + 40 * LEAST_QUANTUM + QUANTUM)
                self.assertGreaterEqual(min(served[0]), LEAST_QUANTUM)
            else:
                self.assertEqual(sum(served[-1]), WORK_A_TURN)
        counts = {sum(counts) for counts in zip(*served[1:], strict=True)}
        self.assertEqual(counts, {0, QUANTUM}, "nobody is a round ahead of the others")

    def test_a_session_that_asks_for_little_is_served_in_the_turn_in_which_others_flood(self) -> None:
        crowd = [self.server.welcome(f"f{number}") for number in range(40)]
        for peer in crowd:
            self.flood(peer)
        self.bob.send(*[{"type": "ping"}] * LEAST_QUANTUM)
        self.server.clock.turn()
        self.assertEqual(len(self.bob.got()), LEAST_QUANTUM)

    def test_large_answers_are_more_work_than_small_ones(self) -> None:
        """A kilobyte of an answer counts as half a request."""
        served: list[int] = []
        for size in (10, 8_000):
            self.server = Server()
            self.server.welcome("author", "lobby").say("x" * size)
            crowd = [self.server.welcome(f"f{number}") for number in range(40)]
            for peer in crowd:
                peer.send(*[{"type": "history", "room": "lobby", "limit": 1}] * 100)
            self.server.clock.turn()
            for peer in crowd:
                peer.got()
            self.server.clock.turn()
            served.append(sum(len(peer.got()) for peer in crowd))
        self.assertEqual(served[0], -(-WORK_A_TURN // (1 + LOOK_UP)))
        self.assertTrue(WORK_A_TURN // 12 < served[1] < WORK_A_TURN // 6, served)

    def test_one_that_asks_slowly_without_tokens_is_told_so_a_few_times_and_then_waits(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=0.01))
        alice = self.server.connect()
        alice.ask(type="hello", nick="alice")
        for _ in range(REFUSALS):
            self.assertEqual(alice.ask(type="ping")[0]["code"], "rate-limited")
            self.server.clock.advance(MAX_REST_SECONDS)
            self.server.chat.rooms.turn.schedule()
            self.server.settle()
        self.assertEqual(alice.ask(type="ping"), [])
        self.server.clock.pump([1] * 100)
        self.assertIn("pong", kinds(alice.got()))

    def test_a_large_request_that_is_refused_costs_as_much_as_one_that_is_not(self) -> None:
        for code in None, "not-joined":
            self.server = Server(limits=Limits(burst=20, rate=0.01))
            alice = self.server.connect()
            alice.send({"type": "hello", "nick": "alice"})
            if code is None:
                alice.send({"type": "join", "room": "lobby"})
            else:
                alice.send({"type": "ping"})
            self.server.settle()
            tokens = alice.wire.participant.bucket.tokens  # type: ignore[attr-defined]  # a session has one
            alice.say("x" * 10_000)
            self.server.settle()
            self.assertEqual(alice.got()[-1].get("code"), code)
            self.assertEqual(tokens - alice.wire.participant.bucket.tokens, 1 + 10_000 // TOKEN_BYTES)  # type: ignore[attr-defined]  # the same

    def test_each_kilobyte_that_arrives_is_work(self) -> None:
        turn = self.server.chat.rooms.turn
        for size in 50, 1_023, 1_024, 16_000:
            before = turn.work
            self.bob.send_bytes(b'{"type":"ping"' + b" " * (size - 15) + b"}")
            self.bob.wire.participant.received_part(size)
            self.assertEqual(turn.work - before, 2 * (1 + size // 1_024))
            self.server.settle()

    def test_what_waits_is_bounded_in_requests_and_in_bytes(self) -> None:
        self.server.fake.held.add("rooms")
        self.alice.send({"type": "rooms"}, *[{"type": "ping"}] * 1_000)
        self.assertEqual((self.alice.wire.reading, len(self.alice.wire.kept)), (False, 1_000 - MAX_WAITING))
        text = "x" * 16_000
        self.bob.send({"type": "rooms"}, *[{"type": "", "room": "lobby", "msg": text}] * 50)
        self.assertEqual((self.bob.wire.reading, len(self.bob.wire.kept)), (False, 50 - 5))
        self.server.fake.release()
        self.server.fake.release()
        self.server.settle()
        self.assertEqual([kind for kind in kinds(self.alice.got()) if kind], ["rooms", *["pong"] * 1_000])
        self.assertTrue(self.alice.wire.reading and self.bob.wire.reading)

    def test_messages_on_their_way_into_the_log_are_bounded_in_bytes(self) -> None:
        self.server.fake.held.add("append")
        for _ in range(MAX_UNSETTLED // (16_000 + ENTRY_CHARACTERS) + 1):
            self.assertTrue(self.alice.wire.reading)
            self.alice.say("x" * 16_000)
            self.server.settle()
        self.assertFalse(self.alice.wire.reading)
        while self.server.fake.waiting:
            self.server.fake.release()
            self.server.settle()
        self.assertTrue(self.alice.wire.reading)

    def test_messages_that_are_kept_do_not_count_any_more(self) -> None:
        self.patch(participant, "MAX_UNSETTLED", 2 * ENTRY_CHARACTERS + 10)
        for _ in range(20):
            self.alice.say("xx")
            self.alice.say("xx")
            self.server.settle()
        self.server.fake.held.add("append")
        self.alice.say("x" * 9)
        self.assertTrue(self.alice.wire.reading)
        self.alice.say("x")
        self.assertFalse(self.alice.wire.reading)

    def test_messages_on_their_way_into_the_log_are_bounded_in_number(self) -> None:
        self.server.fake.held.add("append")
        for _ in range(MAX_UNSETTLED // (ENTRY_CHARACTERS + 1) + 1):
            self.assertTrue(self.alice.wire.reading)
            self.alice.say("x")
            self.server.settle()
        self.assertFalse(self.alice.wire.reading)
        while self.server.fake.waiting:
            self.server.fake.release()
            self.server.settle()
        self.assertTrue(self.alice.wire.reading)

    def test_one_that_is_not_read_from_is_not_ended_for_its_silence(self) -> None:
        self.server.fake.held.add("rooms")
        self.alice.send({"type": "rooms"}, *[{"type": "ping"}] * MAX_WAITING)
        self.assertFalse(self.alice.wire.reading)
        self.server.clock.pump([TICK_SECONDS] * 2 * SILENT_TICKS)
        self.assertFalse(self.alice.wire.closed)
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(kinds(self.alice.got()).count("pong"), MAX_WAITING)

    def test_silence_is_not_counted_while_a_client_is_waited_for(self) -> None:
        self.bob.cut()
        self.alice.ask(type="ping")
        self.alice.pause()
        self.server.clock.pump([TICK_SECONDS] * 10)
        self.alice.resume()
        self.server.hush(self.alice)
        for tick in range(1, PING_TICKS + 1):
            self.server.clock.advance(TICK_SECONDS)
            self.assertEqual(kinds(self.alice.got()), ["ping"] * (tick == PING_TICKS))

    def test_a_hello_that_waits_for_its_turn_is_answered_after_a_half_close(self) -> None:
        peer = self.server.connect()
        peer.send(*[{"type": "ping"}] * (QUANTUM + 1), {"type": "hello", "nick": "carol"})
        peer.wire.participant.finished()
        self.assertFalse(peer.wire.closed)
        self.server.settle()
        self.assertEqual(kinds(peer.got())[QUANTUM + 1 :], ["welcome", "stop"])

    def test_it_is_counted_also_where_nobody_was_there_for_a_while(self) -> None:
        self.alice.cut()
        self.bob.cut()
        self.server.clock.pump([TICK_SECONDS] * 2)
        carol = self.server.welcome("carol")
        self.server.clock.pump([TICK_SECONDS] * PING_TICKS)
        self.assertEqual(kinds(carol.got()), ["ping"])

    def test_a_session_without_tokens_is_not_read_from_though_nothing_waits(self) -> None:
        self.server = Server(limits=Limits(burst=3, rate=1))
        alice = self.server.welcome("alice")
        for _ in range(2):
            self.assertEqual(kinds(alice.ask(type="ping")), ["pong"])
        self.assertTrue(alice.wire.reading)
        (error,) = alice.ask(type="ping")
        self.assertEqual((error["code"], alice.wire.reading), ("rate-limited", False))
        self.server.clock.advance(error["retry"])
        self.assertTrue(alice.wire.reading)
        self.assertEqual(kinds(alice.ask(type="ping")), ["pong"])

    def test_a_session_without_tokens_is_told_once_and_not_read_from(self) -> None:
        self.server = Server(limits=Limits(burst=20, rate=100))
        alice = self.server.welcome("alice")
        self.flood(alice, 100)
        self.server.settle()
        first = alice.got()
        self.assertEqual(kinds(first), ["pong"] * 19 + ["error"])
        self.assertEqual((first[-1]["id"], alice.wire.reading), ("19", False))
        self.server.clock.advance(first[-1]["retry"])
        then = alice.got()
        self.assertEqual(kinds(then), ["pong"] * 10 + ["error"])
        self.assertFalse(alice.wire.reading)
        alice.cut()
        self.assertEqual([call for call in self.server.clock.calls if "rest" in str(call.func)], [])

    def test_what_waited_when_the_tokens_were_used_up_goes_on_with_new_ones(self) -> None:
        self.server = Server(limits=Limits(burst=20, rate=100))
        alice = self.server.welcome("alice")
        self.server.fake.held.add("rooms")
        alice.send({"type": "rooms"})
        self.flood(alice, 30)
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(kinds(alice.got()), ["rooms", *["pong"] * (18 - LOOK_UP), "error"])
        self.server.clock.advance(1)
        self.assertEqual(kinds(alice.got()), ["pong"] * (11 + LOOK_UP))

    def test_a_long_answer_costs_more(self) -> None:
        self.server = Server(limits=Limits(burst=50, rate=1))
        alice, bob = self.server.welcome("alice"), self.server.welcome("bob", "lobby")
        for size in 14_000, 14_000, 14_000:
            bob.say("x" * size)
        self.server.settle()
        self.assertEqual(kinds(alice.ask(type="history", room="lobby")), ["history"])
        self.flood(alice, 50)
        self.server.settle()
        self.assertEqual(kinds(alice.got()).count("pong"), 50 - 1 - 1 - 2)

    def test_a_session_that_owes_many_tokens_is_heard_once_a_second(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=0.01))
        alice = self.server.welcome("alice")
        alice.send({"type": "ping"}, {"type": "ping"}, {"type": "quit"})
        self.server.settle()
        self.assertEqual(kinds(alice.got()), ["error"])
        for kind in "error", "stop":
            self.server.clock.advance(MAX_REST_SECONDS)
            self.assertEqual(kinds(alice.got()), [kind])


class QuitTests(SynchronousTestCase):
    """A session that says `quit` while it is behind may read on before the end, but not for ever."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")
        self.alice.pause()
        self.bob.say("1")
        self.server.settle()

    def test_what_follows_it_is_not_heard_and_not_even_read(self) -> None:
        self.alice.send({"type": "quit"}, *[{"type": "", "room": "lobby", "msg": "x"}] * 10)
        self.assertEqual((self.alice.wire.reading, len(self.alice.wire.kept)), (False, 10))
        self.alice.resume()
        self.server.settle()
        self.assertEqual(kinds(self.alice.got()), ["", "stop"])
        self.assertEqual(self.bob.texts(), [])

    def test_what_follows_it_in_a_wire_that_hands_it_on_is_not_heard_either(self) -> None:
        self.alice.send({"type": "quit"})
        self.alice.wire.participant.received(Say(msg="x", room="lobby"), 40)
        self.alice.resume()
        self.server.settle()
        self.assertEqual((kinds(self.alice.got()), self.bob.texts()), (["", "stop"], []))

    def test_the_end_of_what_the_other_side_says_is_the_same(self) -> None:
        self.alice.wire.participant.finished()
        self.assertFalse(self.alice.wire.reading)
        self.alice.resume()
        self.server.settle()
        self.assertEqual(kinds(self.alice.got()), ["", "stop"])

    def test_it_has_two_minutes(self) -> None:
        self.alice.send({"type": "quit"})
        for tick in range(session.LEAVING_TICKS):
            self.assertFalse(self.alice.wire.closed)
            refusal = self.server.connect().ask(type="hello", nick="n0")[0]["msg"]
            self.assertIn(f"free in about {120 - 30 * tick} s", refusal)
            self.server.clock.advance(session.TICK_SECONDS)
        self.assertTrue(self.alice.wire.closed)
        (stop,) = self.alice.got()
        self.assertIn("two minutes after your quit", stop["msg"])

    def test_one_that_is_not_welcome_may_be_followed_by_a_hello(self) -> None:
        peer = self.server.connect()
        peer.send({"type": "ping"}, {"type": "quit"}, {"type": "hello", "nick": "carol"})
        self.server.settle()
        self.assertEqual(kinds(peer.got()), ["error", "error", "welcome"])


class OwedTests(SynchronousTestCase):
    """A session with many requests that reads nothing is not read from, and takes no more memory."""

    def setUp(self) -> None:
        self.patch(session, "MAX_OWED", 1_000)
        self.server = Server()
        self.alice, self.bob = self.server.crowd(2, "lobby")

    def test_what_is_asked_for_at_once_is_answered_over_several_turns(self) -> None:
        self.alice.send(*[{"type": "rooms", "id": str(i)} for i in range(100)])
        self.server.clock.turn()
        self.server.settle()
        self.assertLess(max(map(len, self.alice.wire.written)), 1_200)
        self.assertEqual([obj["id"] for obj in self.alice.got()], list(map(str, range(100))))

    def test_one_that_reads_again_in_a_full_turn_waits_for_the_end_of_the_turn(self) -> None:
        turn = self.server.chat.rooms.turn
        for is_full in False, True:
            self.alice.wire.full = True
            self.alice.send(*[{"type": "rooms", "id": str(i)} for i in range(60)])
            self.server.settle()
            served = len(self.alice.got())
            self.alice.wire.full = False
            turn.spend(FULL_TURN if is_full else 0)
            before = turn.work
            self.alice.resume()
            self.assertEqual(turn.work == before, is_full)
            self.server.settle()
            self.assertEqual(served + len(self.alice.got()), 60)

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

    def test_what_was_read_is_not_owed_any_more_in_the_same_turn(self) -> None:
        self.alice.pause()
        for _ in range(11):
            self.alice.say("again", id="the same")
            self.server.settle()
        self.alice.say("again", id="the same")
        self.alice.resume()
        self.alice.pause()
        self.server.settle()
        self.assertTrue(self.alice.wire.reading)

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


class NamedTests(SynchronousTestCase):
    """An error names what it is about, so that a client that sent no `id` knows too."""

    def setUp(self) -> None:
        self.server = Server()
        self.alice = self.server.welcome("alice", "lobby")
        self.server.welcome("bob")

    def check(self, request: dict[str, Any], **named: str) -> None:
        (answer,) = self.alice.ask(**request)
        self.assertEqual({key: answer.get(key) for key in ("room", "to", "nick") if key in answer}, named)

    def test_a_room(self) -> None:
        self.check({"type": "", "room": "Den", "msg": "hi"}, room="Den")
        for type in "leave", "topic":
            self.check({"type": type, "room": "den"}, room="den")

    def test_a_message_that_cannot_be_kept(self) -> None:
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        (answer,) = self.alice.ask(type="", room="lobby", msg="hi")
        self.assertEqual((answer["code"], answer["room"]), ("unavailable", "lobby"))

    def test_a_nick(self) -> None:
        self.check({"type": "", "to": "carol", "msg": "hi"}, to="carol")
        self.check({"type": "nick", "nick": "bob"}, nick="bob")

    def test_one_that_is_too_fast(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=0.1))
        carol = self.server.connect()
        carol.ask(type="hello", nick="carol")
        (answer,) = carol.ask(type="", room="den", msg="hi")
        self.assertEqual((answer["code"], answer["room"]), ("rate-limited", "den"))

    def test_what_is_no_name_is_not_repeated(self) -> None:
        (answer,) = self.alice.ask(type="join", room="x" * 10_000)
        self.assertEqual((answer["code"], "room" in answer), ("bad-room", False))

"""Each request: every row of the protocol's table, and every error that it names."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import __version__, chat, messages, names
from twisted_chat.limits import (
    FAN_OUT,
    LEAST_ARRIVALS,
    MAX_ERRORS,
    MAX_REFUSED_OF_ADDRESS,
    MAX_REST_SECONDS,
    MAX_TOPIC,
    MAX_WAITING,
    OWN_BURST,
    REFUSALS,
    ROOMS_OF_ADDRESS,
    TOKEN_BYTES,
    TOLD,
    WORK_A_TURN,
    Limits,
)
from twisted_chat.log import Unavailable

from .helpers import FakeWire, Peer, Server, message

TIME = "2026-11-22T11:06:36.125Z"


class ChatTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.alice, self.bob = self.server.welcome("alice", "lobby"), self.server.welcome("bob", "lobby")
        self.server.hush(self.alice, self.bob)

    def error(self, peer: Peer, **request: Any) -> str:
        """Send a request that is answered by an error, and return its code."""
        (answer,) = peer.ask(**request, id="of the request")
        self.assertEqual((answer["type"], answer["id"], answer["author"]), ("error", "of the request", "server"))
        self.assertTrue(answer["msg"])
        self.assertEqual(peer.ask(type="ping", id="next"), [{"type": "pong", "id": "next"}])
        code: str = answer["code"]
        return code


class HelloTests(ChatTestCase):
    def test_is_answered_by_welcome_with_the_limits(self) -> None:
        peer = self.server.connect()
        (welcome,) = peer.ask(type="hello", nick="Carol", id="1")
        limits = welcome.pop("limits")
        server = f"twisted_chat {__version__}"
        self.assertEqual(welcome, {"type": "welcome", "nick": "Carol", "server": server, "protocol": 1, "id": "1"})
        self.assertEqual((limits["object"], limits["nick"], limits["room"], limits["page"]), (16_384, 32, 64, 500))

    def test_puts_nobody_into_a_room(self) -> None:
        carol = self.server.welcome("carol")
        self.alice.say("hi")
        self.server.settle()
        self.assertEqual((carol.got(), self.bob.texts()), ([], ["hi"]))

    def test_a_second_one_is_a_bad_message(self) -> None:
        self.assertEqual(self.error(self.alice, type="hello", nick="al"), "bad-message")

    def test_after_an_error_it_may_be_said_again(self) -> None:
        peer = self.server.connect()
        tries = [("", "bad-nick"), ("a" * 33, "bad-nick"), ("a b", "bad-nick"), ("x" * 10_000, "bad-nick")]
        tries += [("alice", "nick-taken"), ("ALICE", "nick-taken"), ("ａｌｉｃｅ", "nick-taken")]
        for nick, code in tries:
            self.assertEqual(peer.ask(type="hello", nick=nick)[0]["code"], code)
        self.assertEqual(peer.ask(type="hello")[0]["code"], "bad-nick")
        self.assertEqual(peer.ask(type="hello", nick="carol", password="s3cret")[0]["code"], "auth-failed")
        self.assertLessEqual(
            {"type": "welcome", "nick": "Кэрол"}.items(), peer.ask(type="hello", nick="Кэрол")[0].items()
        )

    def test_before_it_nothing_else_is_welcome(self) -> None:
        peer = self.server.connect()
        peer.ask(type="hello", nick="")
        requests: list[dict[str, Any]] = [
            {"type": "", "msg": "hi"},
            {"type": "", "msg": "hi", "room": "lobby"},
            {"type": "", "msg": "hi", "to": "alice"},
            {"type": "join", "room": "lobby"},
            {"type": "leave", "room": "lobby"},
            {"type": "history", "room": "lobby"},
            {"type": "who", "room": "lobby"},
            {"type": "rooms"},
            {"type": "nick", "nick": "carol"},
            {"type": "topic", "room": "lobby"},
            {"type": "ping"},
            {"type": "pong"},
            {"type": "quit"},
        ]
        for request in requests:
            (answer,) = peer.ask(**request, id="1")
            self.assertEqual((answer["code"], answer["id"]), ("not-welcome", "1"))
        self.assertEqual(self.alice.got(), [])
        self.assertEqual(peer.ask(type="hello", nick="carol")[0]["type"], "welcome")

    def test_one_that_failed_leaves_nothing_behind(self) -> None:
        peer = self.server.connect()
        peer.ask(type="hello", nick="alice")
        peer.cut()
        self.server.settle()
        self.assertEqual(self.alice.got(), [])
        self.assertEqual(self.error(self.bob, type="nick", nick="alice"), "nick-taken")

    def test_the_nick_of_one_that_is_gone_is_free(self) -> None:
        self.alice.cut()
        self.assertEqual(self.server.connect().ask(type="hello", nick="alice")[0]["type"], "welcome")


class LookalikeTests(ChatTestCase):
    """Nobody takes a nick that looks like one that is there now, or like the server."""

    LIKE_ALICE = ("аlice", "alісе", "АLIСЕ", "ａӏice")

    def hello(self, nick: str) -> Any:
        return self.server.connect().ask(type="hello", nick=nick)[0]

    def test_a_hello_with_one_is_refused(self) -> None:
        text = "this nick looks like that of somebody else: take one that differs more"
        for nick in self.LIKE_ALICE:
            answer = self.hello(nick)
            self.assertEqual((answer["code"], answer["msg"], answer["nick"]), ("nick-taken", text, nick))
        self.assertLessEqual({"type": "welcome", "nick": "Алиса"}.items(), self.hello("Алиса").items())

    def test_a_change_to_one_is_refused_and_keeps_the_old_one(self) -> None:
        for nick in self.LIKE_ALICE:
            self.assertEqual(self.error(self.bob, type="nick", nick=nick), "nick-taken")
        self.assertEqual(self.hello("bоb")["code"], "nick-taken")
        self.assertLessEqual(
            {"type": "nick", "nick": "robert"}.items(), self.bob.ask(type="nick", nick="robert")[0].items()
        )
        self.assertLessEqual({"type": "welcome", "nick": "bоb"}.items(), self.hello("bоb").items())
        self.assertEqual(self.hello("rоbert")["code"], "nick-taken")

    def test_it_is_free_when_the_other_one_has_left(self) -> None:
        self.alice.cut()
        self.assertLessEqual({"type": "welcome", "nick": "аlice"}.items(), self.hello("аlice").items())
        self.assertEqual(self.hello("alice")["code"], "nick-taken")

    def test_it_is_kept_from_others_by_a_connection_that_has_taken_the_place_of_another(self) -> None:
        for _ in range(2):
            carol = self.server.connect()
            carol.ask(type="hello", nick="carol", token="0123456789abcdef")
            self.assertEqual(self.hello("саrol")["code"], "nick-taken")
        carol.cut()
        self.assertLessEqual({"type": "welcome", "nick": "саrol"}.items(), self.hello("саrol").items())

    def test_one_may_change_ones_own_to_one(self) -> None:
        self.assertLessEqual(
            {"type": "nick", "nick": "Аlice"}.items(), self.alice.ask(type="nick", nick="Аlice")[0].items()
        )
        self.assertEqual(self.hello("alice")["code"], "nick-taken")
        self.assertLessEqual(
            {"type": "nick", "nick": "alice"}.items(), self.alice.ask(type="nick", nick="alice")[0].items()
        )

    def test_a_spelling_is_looked_at_as_it_is_written(self) -> None:
        """A small Cyrillic в does not look like b, its capital looks like B."""
        self.assertLessEqual({"type": "welcome", "nick": "вob"}.items(), self.hello("вob").items())
        self.assertEqual(self.hello("ВOB")["code"], "nick-taken")

    def test_who_looks_like_the_server(self) -> None:
        for nick in ("ѕеrvеr", "SЕRVЕR", "ｓerver", "sеlf", "Sеӏf"):
            answer = self.hello(nick)
            text = "this nick is reserved for the server: take another one"
            self.assertEqual((answer["code"], answer["msg"]), ("nick-taken", text))


class ForbiddenNickTests(ChatTestCase):
    """Nicks that the one who runs the server forbids."""

    def setUp(self) -> None:
        super().setUp()
        self.server.chat.forbidden_nicks = {names.nick("admin")}

    def test_a_hello_or_a_change_to_one_is_refused(self) -> None:
        (answer,) = self.server.connect().ask(type="hello", nick="admin")
        text = "this nick is not allowed on this server: take another one"
        self.assertEqual((answer["code"], answer["msg"], answer["nick"]), ("bad-nick", text, "admin"))
        self.assertEqual(self.error(self.alice, type="nick", nick="admin"), "bad-nick")
        self.assertLessEqual({"type": "nick", "nick": "al"}.items(), self.alice.ask(type="nick", nick="al")[0].items())

    def test_who_has_one_already_keeps_it(self) -> None:
        self.server.chat.forbidden_nicks = {names.nick("alice")}
        self.assertEqual(self.alice.ask(type="ping")[0]["type"], "pong")
        self.assertEqual(self.error(self.alice, type="nick", nick="alice"), "bad-nick")


class DepartureTests(ChatTestCase):
    """Notices about members that have left many rooms at once."""

    ROOMS = tuple(f"r{i}" for i in range(300))

    def setUp(self) -> None:
        super().setUp()
        self.others = self.server.crowd(20, *self.ROOMS)
        self.carol = self.server.welcome("carol", *self.ROOMS)
        self.server.clock.advance(2)
        self.server.hush(self.alice, self.bob, *self.others)

    def left(self, peer: Peer) -> list[str]:
        return [obj["room"] for obj in peer.got() if (obj["type"], obj["author"]) == ("leave", "carol")]

    def test_a_turn_tells_of_as_many_as_it_has_room_for(self) -> None:
        self.carol.cut()
        self.server.clock.turn()
        now = len(self.left(self.others[0]))
        self.assertGreater(now, 0)
        self.assertLess(now, WORK_A_TURN)
        self.server.settle()
        self.assertEqual(now + len(self.left(self.others[0])), len(self.ROOMS))
        self.assertEqual(len(self.left(self.others[1])), len(self.ROOMS))

    def test_many_that_go_at_once_wait_for_their_turn_and_others_do_not(self) -> None:
        for peer in self.others[1:]:
            peer.cut()
        self.carol.cut()
        self.alice.say("hi", id="1")
        self.server.clock.turn()
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["ack"])
        now = self.left(self.others[0])
        self.assertLess(len(now), WORK_A_TURN // len(self.others))
        self.server.settle()
        self.assertEqual(sorted(now + self.left(self.others[0])), sorted(self.ROOMS))

    def test_whoever_comes_meanwhile_finds_them_gone(self) -> None:
        self.carol.cut()
        room = self.ROOMS[-1]
        late = self.server.connect()
        late.send({"type": "hello", "nick": "late"}, {"type": "join", "room": room})
        self.server.settle()
        _, joined, *more = late.got()
        self.assertEqual((joined["count"], more), (21, []))
        told = [(obj["type"], obj["author"]) for obj in self.others[0].got() if obj.get("room") == room]
        self.assertEqual(told, [("leave", "carol"), ("join", "late")])

    def test_a_nick_that_is_taken_anew_comes_behind_the_departure(self) -> None:
        room = self.ROOMS[-1]
        self.carol.cut()
        self.others[1].send({"type": "nick", "nick": "carol"})
        self.server.settle()
        told = [obj["type"] for obj in self.others[0].got() if obj.get("room") == room]
        self.assertEqual(told, ["leave", "nick"])

    def test_those_who_go_under_the_same_nick_one_after_another_line_up_once(self) -> None:
        room = self.ROOMS[-1]
        self.carol.cut()
        for _ in range(10):
            again = self.server.connect()
            again.send({"type": "hello", "nick": "carol"}, {"type": "join", "room": room})
            again.cut()
        turns = 0
        while self.server.clock.getDelayedCalls() and turns < 100:
            self.server.clock.turn()
            turns += 1
        told = [obj["type"] for obj in self.others[0].got() if obj.get("room") == room]
        self.assertEqual(told, ["leave", *["join", "leave"] * 10])


TOKEN = "0123456789abcdef"


class TokenTests(ChatTestCase):
    """A hello with the nick and the token of another session takes its place."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.server.connect()
        self.new = self.server.connect()
        self.old.ask(type="hello", nick="carol", token=TOKEN)
        self.old.ask(type="join", room="lobby")
        self.server.hush(self.alice, self.bob)

    def take_over(self, **fields: Any) -> dict[str, Any]:
        (answer,) = self.new.ask(**{"type": "hello", "nick": "carol", "token": TOKEN, **fields})
        return answer

    def test_the_old_connection_is_told_why_and_ended(self) -> None:
        self.assertEqual(self.take_over()["type"], "welcome")
        (stop,) = self.old.got()
        self.assertEqual((stop["type"], stop["author"], stop["code"]), ("stop", "server", "replaced"))
        self.assertIn("new connection of yours", stop["msg"])
        self.assertTrue(self.old.wire.closed)
        self.assertFalse(self.new.wire.closed)

    def test_one_that_takes_nothing_more_is_ended_too(self) -> None:
        self.old.pause()
        self.assertEqual(self.take_over()["type"], "welcome")
        self.assertTrue(self.old.wire.closed)

    def test_its_rooms_are_left_and_nobody_is_there_twice(self) -> None:
        self.take_over()
        (left,) = self.alice.got()
        expected = {"type": "leave", "author": "carol", "room": "lobby", "msg": "connecting again"}
        self.assertEqual(left, expected)
        self.new.ask(type="join", room="lobby")
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["join"])
        (members,) = self.alice.ask(type="who", room="lobby")
        self.assertEqual(members["members"], ["alice", "bob", "carol"])

    def test_the_end_of_the_old_connection_disturbs_nothing(self) -> None:
        self.take_over()
        self.old.cut()
        self.server.settle()
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["leave"])
        self.server.hush(self.bob)
        self.assertEqual(self.error(self.bob, type="nick", nick="carol"), "nick-taken")

    def test_what_was_on_its_way_is_kept_once_and_acked_when_said_again(self) -> None:
        self.server.fake.held.add("append")
        self.old.say("hi", id="1")
        self.server.settle()
        self.take_over()
        self.new.ask(type="join", room="lobby", since=0)
        self.new.say("hi", id="1")
        self.server.fake.held.clear()
        self.server.fake.release()
        self.server.settle()
        answers = self.new.got()
        self.assertEqual([(obj["type"], obj.get("seq")) for obj in answers], [("", 1), ("ack", 1)])
        self.assertEqual(self.alice.texts(), ["hi"])
        self.assertEqual([obj["type"] for obj in self.old.got()], ["stop"])

    def test_what_waits_behind_a_request_of_the_old_connection_is_not_done(self) -> None:
        self.server.fake.held.add("rooms")
        self.old.send({"type": "rooms"}, {"type": "", "room": "lobby", "msg": "unacked", "id": "1"})
        self.take_over()
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(([obj["type"] for obj in self.old.got()], self.alice.texts()), (["stop"], []))

    def test_a_join_that_is_under_way_puts_nobody_into_a_room(self) -> None:
        self.server.fake.held.add("open")
        self.old.send({"type": "join", "room": "den"})
        self.take_over()
        self.server.fake.release()
        self.server.settle()
        self.server.hush(self.alice)
        (members,) = self.alice.ask(type="who", room="den")
        self.assertEqual(members["count"], 0)

    def test_another_token_or_none_does_not_help(self) -> None:
        for fields in ({"token": TOKEN[::-1]}, {"token": None}, {"token": TOKEN + "x"}, {"token": "ä" * 16}):
            self.assertEqual(self.take_over(**fields)["code"], "nick-taken")
        self.assertFalse(self.old.wire.closed)

    def test_two_without_a_token_do_not_have_the_same(self) -> None:
        self.assertEqual(self.take_over(nick="alice", token=None)["code"], "nick-taken")
        self.assertEqual(self.take_over(nick="alice")["code"], "nick-taken")

    def test_with_another_nick_both_stay(self) -> None:
        self.assertEqual(self.take_over(nick="carol2")["type"], "welcome")
        self.assertFalse(self.old.wire.closed)

    def test_it_goes_with_the_session_when_the_nick_changes(self) -> None:
        self.old.ask(type="nick", nick="caro")
        self.assertEqual(self.take_over(nick="Caro")["nick"], "Caro")
        self.assertTrue(self.old.wire.closed)

    def test_a_change_of_nick_takes_no_place(self) -> None:
        self.take_over(nick="carol2")
        self.assertEqual(self.error(self.new, type="nick", nick="carol"), "nick-taken")

    def test_one_of_another_length_is_a_bad_message(self) -> None:
        for token in ("x" * 15, "x" * 65, 7):
            self.assertEqual(self.take_over(token=token)["code"], "bad-message")
        self.assertEqual(self.take_over(nick="dave", token="x" * 64)["type"], "welcome")

    def test_a_bare_client_has_none(self) -> None:
        bare = self.server.connect(label="40000")
        bare.ask(type="", msg="hi")
        self.assertEqual(self.take_over(nick="40000"), self.take_over(nick="40000", token=None))
        self.assertFalse(bare.wire.closed)

    def test_a_refusal_says_when_a_silent_connection_is_over(self) -> None:
        for seconds, left in ((0, 180), (30, 150), (90, 60), (30, 30)):
            self.server.clock.pump([30] * (seconds // 30))
            self.server.hush(self.new)
            text = self.take_over(token=None)["msg"]
            self.assertTrue(text.endswith(f"the nick will be free in about {left} s"), text)
        self.server.clock.advance(30)
        self.server.hush(self.new)
        self.assertEqual(self.take_over(token=None)["type"], "welcome")

    def test_it_does_not_promise_that_of_one_that_is_waited_for(self) -> None:
        self.old.pause()
        self.assertEqual(self.take_over(token=None)["msg"], "somebody else has this nick: take another one")

    def test_nor_that_of_one_that_is_not_read_from(self) -> None:
        self.server.fake.held.add("rooms")
        self.old.send({"type": "rooms"}, *[{"type": "ping"}] * MAX_WAITING)
        self.assertFalse(self.old.wire.reading)
        self.assertEqual(self.take_over(token=None)["msg"], "somebody else has this nick: take another one")

    def test_a_refusal_does_not_tell_the_token(self) -> None:
        self.assertNotIn(TOKEN, str(self.take_over(token=None)) + str(self.take_over(token=TOKEN * 8)))


class SayTests(ChatTestCase):
    def test_in_a_room_it_is_acked_and_the_others_get_it(self) -> None:
        ack = {"type": "ack", "id": "7", "room": "lobby", "seq": 1, "time": TIME}
        self.assertEqual(self.alice.ask(type="", room="LOBBY", msg="hi", id="7", author="bob"), [ack])
        self.assertEqual(self.bob.got(), [message("hi", "alice", 1)])

    def test_without_an_id_there_is_no_ack(self) -> None:
        self.assertEqual(self.alice.ask(type="", room="lobby", msg="hi"), [])
        self.assertEqual(self.bob.texts(), ["hi"])

    def test_saying_twice_is_saying_once(self) -> None:
        first = self.alice.ask(type="", room="lobby", msg="hi", id="7")
        self.server.clock.advance(1)
        self.assertEqual(self.alice.ask(type="", room="lobby", msg="hi", id="7"), first)
        self.assertEqual(self.bob.texts(), ["hi"])

    def test_saying_twice_in_one_turn_is_saying_once(self) -> None:
        self.alice.say("hi", id="7")
        first, second = self.alice.ask(type="", room="lobby", msg="hi", id="7")
        self.assertEqual(first, second)
        self.assertEqual(self.bob.texts(), ["hi"])

    def test_the_same_id_of_two_authors_is_two_messages(self) -> None:
        self.alice.say("hi", id="1")
        self.bob.say("ho", id="1")
        self.server.settle()
        self.assertEqual([obj.get("msg") for obj in self.alice.got()], [None, "ho"])
        self.assertEqual([obj.get("msg") for obj in self.bob.got()], ["hi", None])

    def test_where_one_is_not_is_refused(self) -> None:
        self.assertEqual(self.error(self.alice, type="", room="den", msg="hi"), "not-joined")
        self.assertEqual(self.error(self.alice, type="", room="a b", msg="hi"), "bad-room")

    def test_to_nobody_or_to_two_is_a_bad_message(self) -> None:
        self.assertEqual(self.error(self.alice, type="", msg="hi"), "bad-message")
        self.assertEqual(self.error(self.alice, type="", msg="hi", room="lobby", to="bob"), "bad-message")

    def test_to_a_nick_it_goes_to_that_one_alone_and_is_not_kept(self) -> None:
        carol = self.server.welcome("carol", "lobby")
        self.server.hush(self.alice, self.bob)
        self.assertEqual(
            self.alice.ask(type="", to="BOB", msg="psst", id="7"),
            [{"type": "ack", "id": "7", "to": "bob", "time": TIME}],
        )
        direct = {"type": "", "msg": "psst", "author": "alice", "to": "bob", "time": TIME}
        self.assertEqual((self.bob.got(), carol.got()), ([direct], []))
        self.assertEqual(self.server.fake.calls["append"], 0)

    def test_to_a_nick_without_an_id_there_is_no_ack(self) -> None:
        self.assertEqual(self.alice.ask(type="", to="bob", msg="psst"), [])
        self.assertEqual(self.bob.texts(), ["psst"])

    def test_to_oneself_is_heard(self) -> None:
        self.assertEqual([obj["type"] for obj in self.alice.ask(type="", to="alice", msg="note", id="1")], ["", "ack"])

    def test_to_a_nick_that_nobody_has_is_refused(self) -> None:
        self.assertEqual(self.error(self.alice, type="", to="carol", msg="hi"), "no-such-nick")
        self.assertEqual(self.error(self.alice, type="", to="a b", msg="hi"), "bad-nick")

    def test_to_one_that_reads_nothing_is_refused(self) -> None:
        self.bob.pause()
        self.assertEqual(self.error(self.alice, type="", to="bob", msg="hi"), "unavailable")
        self.bob.resume()
        self.assertEqual(self.alice.ask(type="", to="bob", msg="hi", id="1")[0]["type"], "ack")


class JoinTests(ChatTestCase):
    def test_is_answered_and_the_others_hear_of_it(self) -> None:
        carol = self.server.welcome("carol")
        self.alice.say("1")
        self.alice.ask(type="topic", room="lobby", msg="all")
        self.server.hush(self.alice, self.bob)
        joined = {"type": "joined", "room": "lobby", "topic": "all", "seq": 1, "oldest": 1, "count": 3, "id": "7"}
        self.assertEqual(carol.ask(type="join", room="Lobby", id="7"), [joined])
        self.assertEqual(self.bob.got(), [{"type": "join", "author": "carol", "room": "lobby"}])

    def test_an_empty_room_says_so(self) -> None:
        joined = {"type": "joined", "room": "den", "topic": "", "seq": 0, "oldest": 0, "count": 1}
        self.assertEqual(self.alice.ask(type="join", room="den"), [joined])

    def test_a_room_is_shown_as_it_was_first_written(self) -> None:
        self.alice.ask(type="join", room="Кухня")
        self.assertLessEqual(
            {"type": "joined", "room": "Кухня"}.items(), self.bob.ask(type="join", room="КУХНЯ")[0].items()
        )

    def test_since_a_number_it_replays_what_came_after(self) -> None:
        for text in "1", "2", "3":
            self.alice.say(text)
        self.server.settle()
        for since, texts in (None, []), (0, ["1", "2", "3"]), (2, ["3"]), (3, []), (messages.MAX_SEQ, []):
            peer = self.server.welcome(f"since-{since}")
            joined, *replayed = peer.ask(type="join", room="lobby", **({} if since is None else {"since": since}))
            self.assertEqual((joined["seq"], [obj["msg"] for obj in replayed]), (3, texts))
            peer.cut()

    def test_again_starts_from_there_and_the_others_hear_nothing(self) -> None:
        self.bob.say("1")
        self.server.hush(self.alice, self.bob)
        answers = self.alice.ask(type="join", room="lobby", since=0)
        self.assertEqual([obj["type"] for obj in answers], ["joined", ""])
        self.assertEqual((answers[0]["count"], self.bob.got()), (2, []))
        self.bob.say("2")
        self.server.settle()
        self.assertEqual(self.alice.texts(), ["2"])

    def test_a_room_with_a_bad_name_is_refused(self) -> None:
        for name in "", "a b", "x" * 65, "x" * 10_000, "a\x00b", "a/b", "\u202e":
            self.assertEqual(self.error(self.alice, type="join", room=name), "bad-room")

    def test_more_rooms_than_allowed_are_refused(self) -> None:
        self.server = Server(limits=Limits(rate=0, rooms_per_session=2))
        alice = self.server.welcome("alice", "lobby", "den")
        self.assertEqual(self.error(alice, type="join", room="attic"), "full")
        self.assertEqual(alice.ask(type="join", room="den")[0]["type"], "joined")
        alice.ask(type="leave", room="den")
        self.assertEqual(alice.ask(type="join", room="attic")[0]["type"], "joined")

    def test_a_room_takes_so_many_members_and_no_more(self) -> None:
        self.server = Server(limits=Limits(members=2))
        alice, bob, carol = (self.server.welcome(nick) for nick in ("alice", "bob", "carol"))
        for peer in alice, bob, alice:
            self.assertIn("joined", [obj["type"] for obj in peer.ask(type="join", room="den")])
        (error,) = carol.ask(type="join", room="den", id="7")
        self.assertEqual((error["code"], error["room"], error["id"]), ("full", "den", "7"))
        self.assertEqual(error["msg"], "den has 2 members and takes no more: try again later")
        bob.ask(type="leave", room="den")
        self.assertEqual(carol.ask(type="join", room="den")[0]["count"], 2)

    def test_a_client_without_hello_is_not_taken_into_a_full_lobby(self) -> None:
        self.server = Server(limits=Limits(members=1))
        alice = self.server.welcome("alice", "lobby")
        bare = self.server.connect()
        bare.send({"msg": "hi"})
        self.server.clock.advance(0.1)
        self.assertIn("lobby has 1 members and takes no more", bare.got()[0]["msg"])
        self.assertEqual((alice.got(), self.server.log.room_count), ([], 0))
        alice.cut()
        bare.send({"msg": "hi"})
        self.server.settle()
        self.assertEqual(self.server.log.room_count, 1)

    def test_the_server_takes_so_many_rooms_and_no_more(self) -> None:
        self.server = Server(limits=Limits(rooms=2))
        alice = self.server.welcome("alice", "lobby", "den")
        (error,) = alice.ask(type="join", room="attic")
        self.assertEqual(error["code"], "full")
        self.assertEqual(error["msg"], "the server has 2 rooms and takes no more: use one that it has")
        alice.say("hi", room="den")
        alice.ask(type="leave", room="den")
        self.assertEqual(self.error(alice, type="join", room="attic"), "full", "den is kept")
        self.assertEqual(alice.ask(type="join", room="den")[0]["type"], "joined")

    def test_a_room_in_which_nothing_was_kept_is_none_once_all_have_left(self) -> None:
        self.server = Server(limits=Limits(rooms=2))
        alice = self.server.welcome("alice", "den")
        for _ in range(3):
            self.assertEqual(self.error(alice, type="join", room="attic"), "full")
        alice.ask(type="leave", room="den")
        self.assertEqual(alice.ask(type="join", room="attic")[0]["type"], "joined")

    def test_rooms_that_are_open_and_kept_count_once(self) -> None:
        self.server = Server(limits=Limits(rooms=3))
        alice = self.server.welcome("alice", "lobby", "den")
        for room in "lobby", "den":
            alice.say("hi", room=room)
        self.server.settle()
        self.server.hush(alice)
        self.assertEqual(alice.ask(type="join", room="attic")[0]["type"], "joined")
        self.assertEqual(self.error(alice, type="join", room="hall"), "full")

    def test_a_session_begins_so_many_rooms_and_no_more(self) -> None:
        self.server = Server(limits=Limits(rooms_per_session=3, new_rooms=60))
        alice = self.server.welcome("alice")
        for number in range(3):
            self.assertEqual(alice.ask(type="join", room=f"r{number}")[0]["type"], "joined")
            alice.ask(type="leave", room=f"r{number}")
        (error,) = alice.ask(type="join", room="r3")
        self.assertEqual((error["code"], error["retry"], error["room"]), ("rate-limited", 60.001, "r3"))
        self.assertEqual(error["msg"], "you have begun too many rooms: try again in 60 s")
        self.assertTrue(alice.wire.reading, "its other requests do not wait for that")
        bob = self.server.welcome("bob", "r3")
        self.assertEqual(alice.ask(type="join", room="r3")[0]["type"], "joined", "it is there now")
        alice.ask(type="leave", room="r3")
        bob.say("hi", room="r3")
        bob.ask(type="leave", room="r3")
        self.assertEqual(alice.ask(type="join", room="r3")[0]["type"], "joined", "it is kept now")
        self.server.clock.advance(error["retry"])
        self.assertEqual(alice.ask(type="join", room="r4")[0]["type"], "joined")

    def test_an_address_begins_as_many_as_four_of_its_sessions_may(self) -> None:
        self.server = Server(limits=Limits(rooms_per_session=1, new_rooms=60))
        peers = [self.server.welcome(f"n{number}") for number in range(ROOMS_OF_ADDRESS + 1)]
        answers = [peer.ask(type="join", room=f"r{number}")[-1] for number, peer in enumerate(peers)]
        self.assertEqual([obj["type"] for obj in answers], ["joined"] * ROOMS_OF_ADDRESS + ["error"])
        self.assertEqual(answers[-1]["msg"], "there were too many new rooms from your address: try again in 15 s")
        stranger = self.server.connect("192.0.2.2")
        stranger.ask(type="hello", nick="stranger")
        self.assertEqual(stranger.ask(type="join", room="other")[0]["type"], "joined")


class LeaveTests(ChatTestCase):
    def test_is_answered_and_the_others_hear_of_it(self) -> None:
        self.assertEqual(
            self.alice.ask(type="leave", room="LOBBY", id="7"), [{"type": "left", "room": "lobby", "id": "7"}]
        )
        self.assertEqual(self.bob.got(), [{"type": "leave", "author": "alice", "room": "lobby"}])
        self.bob.say("hi")
        self.server.settle()
        self.assertEqual(self.alice.got(), [])

    def test_where_one_is_not_is_refused(self) -> None:
        self.assertEqual(self.error(self.alice, type="leave", room="den"), "not-joined")


class HistoryTests(ChatTestCase):
    def setUp(self) -> None:
        super().setUp()
        for i in range(1, 8):
            self.alice.say(str(i))
        self.server.settle()
        self.server.hush(self.bob)

    def page(self, **request: Any) -> tuple[str, bool]:
        (answer,) = self.bob.ask(type="history", **{"room": "lobby", **request}, id="7")
        self.assertEqual((answer["type"], answer["room"], answer["id"]), ("history", "lobby", "7"))
        return "".join(obj["msg"] for obj in answer["messages"]), answer["more"]

    def check_all(self) -> None:
        self.assertEqual(self.page(), ("1234567", False))
        self.assertEqual(self.page(limit=3), ("567", True))
        self.assertEqual(self.page(limit=10_000), ("1234567", False))
        self.assertEqual(self.page(before=5, limit=3), ("234", True))
        self.assertEqual(self.page(before=4, limit=3), ("123", False))
        self.assertEqual(self.page(before=1), ("", False))
        self.assertEqual(self.page(before=0), ("", False))
        self.assertEqual(self.page(after=0, limit=3), ("123", True))
        self.assertEqual(self.page(after=0, limit=1), ("1", True))
        self.assertEqual(self.page(after=6, limit=1), ("7", False))
        self.assertEqual(self.page(limit=1), ("7", True))
        self.assertEqual(self.page(after=4, limit=3), ("567", False))
        self.assertEqual(self.page(after=7), ("", False))
        self.assertEqual(self.page(after=100), ("", False))

    def test_out_of_memory(self) -> None:
        calls = self.server.fake.calls.copy()
        self.assertEqual(self.page(limit=3), ("567", True))
        self.assertEqual(self.page(after=0), ("1234567", False))
        self.assertEqual(self.server.fake.calls, calls)
        self.check_all()

    def test_out_of_the_store(self) -> None:
        self.server.chat.rooms = type(self.server.chat.rooms)(self.server.clock, self.server.log)
        self.check_all()

    def test_messages_are_whole(self) -> None:
        (answer,) = self.bob.ask(type="history", room="lobby", limit=1)
        self.assertEqual(answer["messages"], [message("7", "alice", 7)])

    def test_of_what_was_trimmed_there_is_no_more(self) -> None:
        self.server.chat.rooms = type(self.server.chat.rooms)(self.server.clock, self.server.log)
        self.server.fake.logs["lobby"].trim(5)
        self.assertEqual(self.page(), ("67", False))
        self.assertEqual(self.page(after=0), ("67", False))

    def test_a_long_page_ends_earlier(self) -> None:
        self.patch(FakeWire, "longest_answer", 350)
        text, more = self.page(after=0)
        self.assertTrue(0 < len(text) < 7 and more)

    def test_a_page_ends_where_the_wire_carries_no_more(self) -> None:
        for most in range(100, 900, 25):
            self.patch(FakeWire, "longest_answer", most)
            for request in ({}, {"after": 2}, {"before": 6}):
                (answer,) = self.bob.ask(type="history", room="lobby", id="7", **request)
                self.assertTrue(len(json.dumps(answer, separators=(",", ":"))) <= most or len(answer["messages"]) == 1)
        self.assertEqual(self.page(), ("1234567", False))

    def test_each_direction_keeps_the_end_that_was_asked_for(self) -> None:
        self.patch(FakeWire, "longest_answer", 300)
        self.assertEqual(self.page(), ("67", True))
        self.assertEqual(self.page(before=4), ("23", True))
        self.assertEqual(self.page(before=3), ("12", False))
        self.assertEqual(self.page(after=2), ("34", True))
        self.assertEqual(self.page(after=5), ("67", False))

    def test_what_is_known_of_a_text_is_skipped(self) -> None:
        self.alice.say("0123456789")
        self.server.hush(self.bob)
        for skip, text in ((0, "0123456789"), (4, "456789"), (10, ""), (11, "")):
            self.assertEqual(self.page(after=7, skip=skip), (text, False))
        self.assertEqual(self.page(after=8, skip=3), ("", False))
        self.assertEqual(self.error(self.bob, type="history", room="lobby", after=7, skip=-1), "bad-message")

    def test_at_most_500(self) -> None:
        for _ in range(600):
            self.alice.say("x")
        self.server.hush(self.bob)
        self.assertEqual(len(self.page(limit=501)[0]), 500)

    def test_before_and_after_is_a_bad_message(self) -> None:
        self.assertEqual(self.error(self.bob, type="history", room="lobby", before=1, after=1), "bad-message")
        self.assertEqual(self.error(self.bob, type="history", room="lobby", limit=0), "bad-message")
        self.assertEqual(self.error(self.bob, type="history", room="a b"), "bad-room")

    def check_passing_over(self) -> None:
        self.assertEqual(self.page(), ("12345678", False))
        self.assertEqual(self.page(after=6, limit=3), ("7", True))
        self.assertEqual(self.page(after=7, limit=3), ("8", True))
        self.assertEqual(self.page(after=27), ("8", True))
        self.assertEqual(self.page(after=28, limit=3), ("", False))
        self.assertEqual(self.page(before=28, limit=3), ("7", True))
        self.assertEqual(self.page(before=7, limit=3), ("456", True))
        self.assertEqual(self.page(before=29, limit=3), ("8", True))
        self.assertEqual(self.page(limit=1), ("8", True))

    def test_entries_of_kinds_that_clients_do_not_know_are_passed_over(self) -> None:
        log = self.server.fake.logs["lobby"]
        log.append_kind("later", 20)
        self.alice.say("8")
        self.server.settle()
        log.append_kind("later")
        self.server.settle()
        self.assertEqual(self.bob.texts(), ["8"])
        self.check_passing_over()
        self.server.chat.rooms = type(self.server.chat.rooms)(self.server.clock, self.server.log)
        self.check_passing_over()

    def test_a_log_that_begins_with_what_is_passed_over_has_no_more(self) -> None:
        log = self.server.fake.room(names.room("den"))
        log.append_kind("later", 5)
        for request in ({}, {"after": 0}, {"before": 3}):
            self.assertEqual(
                self.bob.ask(type="history", room="den", limit=2, **request),
                [{"type": "history", "room": "den", "messages": [], "more": False}],
            )

    def test_that_cannot_be_read_now_is_unavailable(self) -> None:
        self.server.chat.rooms = type(self.server.chat.rooms)(self.server.clock, self.server.log)
        self.server.fake.failing["before"] = Unavailable("the disk is away")
        self.assertEqual(self.error(self.bob, type="history", room="lobby"), "unavailable")


class WhoTests(ChatTestCase):
    def test_members_are_sorted(self) -> None:
        self.server.welcome("Aaron", "lobby")
        members = {"type": "members", "room": "lobby", "members": ["Aaron", "alice", "bob"], "count": 3, "id": "7"}
        self.assertEqual(self.alice.ask(type="who", room="LOBBY", id="7")[-1], members)

    def test_at_most_500_from_a_nick_on(self) -> None:
        for i in range(600):
            self.server.welcome(f"m{i:03}", "den")
        (first,) = self.alice.ask(type="who", room="den")
        self.assertEqual((len(first["members"]), first["count"]), (500, 600))
        (second,) = self.alice.ask(type="who", room="den", after=first["members"][-1])
        self.assertEqual(first["members"] + second["members"], [f"m{i:03}" for i in range(600)])

    def test_a_room_that_nobody_is_in_has_no_members(self) -> None:
        members = {"type": "members", "room": "Den", "members": [], "count": 0}
        self.assertEqual(self.alice.ask(type="who", room="Den"), [members])

    def test_names_are_checked(self) -> None:
        self.assertEqual(self.error(self.alice, type="who", room="a b"), "bad-room")
        self.assertEqual(self.error(self.alice, type="who", room="lobby", after="a b"), "bad-nick")


class RoomsTests(ChatTestCase):
    def test_rooms_are_those_with_members_and_those_with_messages_or_a_topic(self) -> None:
        self.alice.ask(type="join", room="quiet")
        self.alice.ask(type="topic", room="quiet", msg="sh")
        self.alice.ask(type="leave", room="quiet")
        self.alice.ask(type="join", room="empty")
        self.alice.ask(type="leave", room="empty")
        self.alice.ask(type="join", room="den")
        rooms = [("lobby", 2, ""), ("den", 1, ""), ("quiet", 0, "sh")]
        infos = [{"room": room, "count": count, "topic": topic} for room, count, topic in rooms]
        self.assertEqual(self.alice.ask(type="rooms", id="7"), [{"type": "rooms", "rooms": infos, "id": "7"}])

    def test_that_cannot_be_read_now_are_unavailable(self) -> None:
        self.server.fake.failing["rooms"] = Unavailable("the disk is away")
        self.assertEqual(self.error(self.alice, type="rooms"), "unavailable")


class NickTests(ChatTestCase):
    def test_is_answered_once_and_the_others_hear_of_it_in_each_room(self) -> None:
        for peer in self.alice, self.bob:
            peer.ask(type="join", room="den")
        self.server.hush(self.alice, self.bob)
        change = {"type": "nick", "author": "alice", "nick": "Al"}
        self.assertEqual(self.alice.ask(type="nick", nick="Al", id="7"), [{**change, "id": "7"}])
        self.assertEqual(self.bob.got(), [{**change, "room": "lobby"}, {**change, "room": "den"}])
        self.alice.say("hi")
        self.server.settle()
        self.assertEqual(self.bob.got()[0]["author"], "Al")

    def test_gives_up_the_old_one(self) -> None:
        self.alice.ask(type="nick", nick="al")
        self.server.hush(self.bob)
        self.assertEqual(self.error(self.bob, type="nick", nick="AL"), "nick-taken")
        self.assertLessEqual(
            {"type": "nick", "nick": "alice"}.items(), self.bob.ask(type="nick", nick="alice")[0].items()
        )

    def test_is_not_taken_by_one_that_is_gone_before_it_is_known_to_be_nobody_s(self) -> None:
        checked: Deferred[None] = Deferred()
        self.patch(self.server.chat.accounts, "check_guest", lambda nick: checked)
        self.alice.send({"type": "nick", "nick": "al"})
        self.alice.cut()
        checked.callback(None)
        self.assertNotIn("al", self.server.chat.nicks)

    def test_may_change_its_case_alone_and_stays_taken(self) -> None:
        self.assertLessEqual(
            {"type": "nick", "nick": "ALICE"}.items(), self.alice.ask(type="nick", nick="ALICE")[0].items()
        )
        self.server.hush(self.bob)
        self.assertEqual(self.error(self.bob, type="nick", nick="alice"), "nick-taken")
        self.alice.cut()
        left, changed = self.bob.ask(type="nick", nick="alice")
        self.assertEqual((left["type"], left["author"]), ("leave", "ALICE"), "in the order in which it happened")
        self.assertEqual((changed["type"], changed["nick"]), ("nick", "alice"))

    def test_that_stands_for_the_server_is_nobody_s(self) -> None:
        for nick in "server", "Self":
            self.assertEqual(self.error(self.alice, type="nick", nick=nick), "nick-taken")

    def test_that_many_are_told_of_costs_more(self) -> None:
        self.server = Server(limits=Limits(burst=10, rate=0.001))
        alice = self.server.welcome("alice", "lobby")
        self.server.crowd(TOLD, "lobby")
        codes = [alice.ask(type="nick", nick=f"a{i}")[-1].get("code") for i in range(5)]
        self.assertEqual(codes, [None] * 4 + ["rate-limited"])

    def test_it_is_paid_for_over_all_rooms_and_what_is_begun_is_paid_for(self) -> None:
        self.server = Server(limits=Limits(burst=6, rate=0.001))
        rooms = [f"r{number}" for number in range(3)]
        alice = self.server.connect()
        alice.ask(type="hello", nick="alice")
        for name in rooms:
            alice.ask(type="join", room=name)
        for number in range(7):
            self.server.welcome(f"n{number}", *rooms[:2], *(["r2"] if number else []))  # 7 + 7 + 6 are told
        self.server.hush(alice)
        self.assertLessEqual(
            {"type": "nick", "nick": "al"}.items(), alice.ask(type="nick", nick="al")[-1].items()
        )  # 1 for the request, and 1 for all
        self.assertEqual(alice.ask(type="ping")[0]["code"], "rate-limited")

    def test_what_others_are_told_of_ends_the_turn_of_who_asked(self) -> None:
        for peer in self.alice, self.bob:
            peer.ask(type="join", room="den")
        requests: list[dict[str, Any]] = [
            {"type": "nick", "nick": "al"},
            {"type": "leave", "room": "den"},
            {"type": "join", "room": "den"},
            {"type": "topic", "room": "lobby", "msg": "all"},
        ]
        self.server.hush(self.alice, self.bob)
        self.alice.send(*requests, {"type": "ping"})
        self.bob.send({"type": "ping"})
        for kinds in ["nick", "nick", "pong"], ["leave"], ["join"], ["topic"], []:
            self.server.clock.turn()
            self.assertEqual([obj["type"] for obj in self.bob.got()], kinds)
        self.server.settle()
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["nick", "left", "joined", "topic", "pong"])

    def test_that_is_bad_or_taken_changes_nothing(self) -> None:
        self.assertEqual(self.error(self.alice, type="nick", nick="a b"), "bad-nick")
        self.assertEqual(self.error(self.alice, type="nick", nick="bob"), "nick-taken")
        self.assertEqual(self.alice.ask(type="", to="alice", msg="still me")[0]["author"], "alice")


class TopicTests(ChatTestCase):
    def test_is_answered_and_the_others_hear_of_it(self) -> None:
        topic = {"type": "topic", "author": "alice", "room": "lobby", "msg": "all"}
        self.assertEqual(self.alice.ask(type="topic", room="LOBBY", msg="all", id="7"), [{**topic, "id": "7"}])
        self.assertEqual(self.bob.got(), [topic])

    def test_one_who_is_told_of_it_on_entering_is_not_told_again(self) -> None:
        self.alice.ask(type="topic", room="lobby", msg="all")
        self.alice.say("1")
        carol = self.server.connect()
        carol.ask(type="hello", nick="carol")
        joined, said = carol.ask(type="join", room="lobby", since=0)
        self.assertEqual((joined["topic"], said["msg"], carol.got()), ("all", "1", []))

    def test_an_empty_one_takes_it_away(self) -> None:
        self.alice.ask(type="topic", room="lobby", msg="all")
        self.alice.ask(type="topic", room="lobby")
        self.assertEqual(self.server.fake.logs["lobby"].topic, "")

    def test_has_a_length(self) -> None:
        self.assertEqual(self.alice.ask(type="topic", room="lobby", msg="x" * MAX_TOPIC)[0]["type"], "topic")
        self.assertEqual(self.error(self.alice, type="topic", room="lobby", msg="x" * (MAX_TOPIC + 1)), "bad-message")

    def test_where_one_is_not_is_refused(self) -> None:
        self.assertEqual(self.error(self.alice, type="topic", room="den", msg="all"), "not-joined")

    def test_that_cannot_be_kept_is_unavailable_and_nobody_hears_of_it(self) -> None:
        self.server.fake.failing["set_topic"] = Unavailable("the disk is full")
        self.assertEqual(self.error(self.alice, type="topic", room="lobby", msg="all"), "unavailable")
        self.assertEqual(self.bob.got(), [])

    def test_who_reads_nothing_hears_of_the_latest_one_later(self) -> None:
        self.bob.pause()
        for text in "1", "2":
            self.alice.ask(type="topic", room="lobby", msg=text)
        self.bob.resume()
        self.server.settle()
        self.assertEqual([obj["msg"] for obj in self.bob.got()], ["2"])


class EndTests(ChatTestCase):
    def test_quit_is_answered_by_stop_and_the_others_hear_why(self) -> None:
        stop = {"type": "stop", "msg": "", "author": "server", "id": "7"}
        self.assertEqual(self.alice.ask(type="quit", msg="bye" * 1_000, id="7"), [stop])
        self.assertTrue(self.alice.wire.closed)
        (leave,) = self.bob.got()
        self.assertEqual(
            (leave["type"], leave["author"], leave["msg"]), ("leave", "alice", ("bye" * 1_000)[:MAX_TOPIC])
        )

    def test_what_came_before_quit_is_answered_before_the_end(self) -> None:
        self.alice.send(
            {"type": "", "room": "lobby", "msg": "hi", "id": "1"}, {"type": "rooms", "id": "2"}, {"type": "quit"}
        )
        self.server.settle()
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["ack", "rooms", "stop"])

    def test_what_comes_after_quit_is_not_heard(self) -> None:
        self.alice.send({"type": "quit"}, {"type": "ping"}, {"type": "nonsense"})
        self.server.settle()
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["stop"])

    def test_a_connection_that_is_lost_leaves_all_rooms(self) -> None:
        self.alice.ask(type="join", room="den")
        self.bob.ask(type="join", room="den")
        self.server.hush(self.alice, self.bob)
        self.alice.cut()
        self.server.settle()
        rooms = [(obj["type"], obj["author"], obj["room"]) for obj in self.bob.got()]
        self.assertEqual(rooms, [("leave", "alice", "lobby"), ("leave", "alice", "den")])
        self.assertEqual(self.bob.ask(type="who", room="den")[0]["members"], ["bob"])

    def test_a_join_that_is_under_way_when_the_connection_is_lost_comes_to_nothing(self) -> None:
        self.server.fake.held.add("open")
        self.alice.send({"type": "join", "room": "den"})
        self.alice.cut()
        self.server.fake.release()
        self.server.hush(self.bob)
        self.assertEqual(self.bob.ask(type="who", room="den")[0]["count"], 0)

    def test_pong_needs_no_answer(self) -> None:
        self.assertEqual(self.alice.ask(type="pong"), [])


class ManyRoomsTests(ChatTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(chat, "LIST_MANY", 0)

    def counts(self) -> list[int]:
        (answer,) = self.alice.ask(type="rooms")
        return [info["count"] for info in answer["rooms"]]

    def test_are_listed_once_a_second(self) -> None:
        before = self.counts()
        self.server.welcome("carol", "attic")
        self.assertEqual(self.counts(), before)
        self.server.clock.advance(chat.LIST_SECONDS)
        self.assertEqual(len(self.counts()), len(before) + 1)


class LimitTests(ChatTestCase):
    def test_too_many_requests_are_told_when_to_come_again(self) -> None:
        self.server = Server(limits=Limits(burst=3, rate=2))
        alice = self.server.welcome("alice", "lobby")
        self.assertEqual(alice.ask(type="ping")[0]["type"], "pong")
        (answer,) = alice.ask(type="ping", id="7")
        self.assertEqual((answer["code"], answer["id"]), ("rate-limited", "7"))
        self.server.clock.advance(answer["retry"])
        self.assertEqual(alice.ask(type="ping")[0]["type"], "pong")

    def test_who_is_too_fast_for_long_stays_all_the_same(self) -> None:
        self.server = Server(limits=Limits(burst=2, rate=0.001))
        alice = self.server.welcome("alice")
        alice.ask(type="ping")
        answers = []
        for _ in range(2 * MAX_ERRORS):
            answers += [obj["code"] for obj in alice.ask(type="ping")]
            self.server.clock.advance(MAX_REST_SECONDS)
        self.assertEqual((answers, alice.wire.closed), (["rate-limited"] * REFUSALS, False))

    def test_what_is_no_object_costs_as_much_as_a_request(self) -> None:
        self.server = Server(limits=Limits(burst=3, rate=2))
        alice = self.server.welcome("alice")
        alice.send_bytes(b"?\n{}\n")
        self.server.settle()
        self.assertEqual([obj["code"] for obj in alice.got()], ["bad-json", "bad-message"])
        self.assertEqual(alice.ask(type="ping")[0]["code"], "rate-limited")

    def test_a_full_server_refuses(self) -> None:
        self.server = Server(limits=Limits(connections=1))
        alice, bob = self.server.connect(), self.server.connect()
        self.assertEqual(alice.ask(type="hello", nick="alice")[0]["type"], "welcome")
        refusal, stop = bob.ask(type="hello", nick="bob")
        self.assertEqual((refusal["code"], stop["type"], bob.wire.closed), ("full", "stop", True))
        bob.cut()
        alice.cut()
        self.assertEqual(self.server.connect().ask(type="hello", nick="bob")[0]["type"], "welcome")

    def test_an_address_has_its_own_limit(self) -> None:
        self.server = Server(limits=Limits(connections_per_address=1))
        first, second = self.server.connect("192.0.2.1"), self.server.connect("192.0.2.1")
        self.assertEqual(second.ask(type="hello", nick="bob")[0]["code"], "full")
        second.cut()
        self.assertEqual(self.server.connect("192.0.2.2").ask(type="hello", nick="bob")[0]["type"], "welcome")
        first.cut()
        self.assertEqual(self.server.connect("192.0.2.1").ask(type="hello", nick="al")[0]["type"], "welcome")

    def test_the_connections_of_an_address_are_counted_as_they_come_and_go(self) -> None:
        self.server = Server(limits=Limits(connections_per_address=2))
        first, second = self.server.connect(), self.server.connect()
        first.cut()
        third, fourth = self.server.connect(), self.server.connect()
        self.assertEqual(third.ask(type="hello", nick="third")[0]["type"], "welcome")
        self.assertEqual(fourth.ask(type="hello", nick="fourth")[0]["code"], "full")
        for peer in (second, third, fourth):
            peer.cut()
        self.assertEqual(
            (self.server.chat._networks, self.server.chat._refused),
            ({}, {}),
            "nothing is remembered of an address that has none",
        )

    def test_the_connections_of_a_network_are_counted_together(self) -> None:
        self.server = Server(limits=Limits(connections_per_address=1))
        for first, second in ("2001:db8::1", "2001:db8::2"), ("192.0.2.1", "::ffff:192.0.2.1"):
            self.server.connect(first)
            self.assertEqual(self.server.connect(second).ask(type="hello", nick="al")[0]["code"], "full")

    def test_an_address_that_connects_too_often_is_told_when_to_come_again(self) -> None:
        self.server = Server(limits=Limits(connections_per_address=1, new_connections=4))
        for _ in range(LEAST_ARRIVALS):
            self.server.connect().cut()
        refused = self.server.connect()
        error, stop = refused.ask(type="hello", nick="alice")
        self.assertEqual((error["code"], error["retry"], stop["type"]), ("rate-limited", 0.251, "stop"))
        self.assertEqual(error["msg"], "there were too many new connections from your address: try again in 1 s")
        refused.cut()
        self.assertEqual(self.server.connect("192.0.2.2").ask(type="hello", nick="bob")[0]["type"], "welcome")
        self.server.clock.advance(error["retry"])
        self.assertEqual(self.server.connect().ask(type="hello", nick="alice")[0]["type"], "welcome")

    def test_few_connections_of_an_address_are_told_why_and_others_are_not_let_in(self) -> None:
        self.server = Server(limits=Limits(connections_per_address=1))
        address = "192.0.2.1"
        peers = [self.server.connect(address) for _ in range(1 + MAX_REFUSED_OF_ADDRESS)]
        self.assertFalse(self.server.chat.admits(address))
        self.assertTrue(self.server.chat.admits("192.0.2.2"))
        peers[0].cut()
        self.assertTrue(self.server.chat.admits(address), "there is space for it")
        self.server.connect(address)
        self.assertFalse(self.server.chat.admits(address))
        peers[1].cut()
        self.assertTrue(self.server.chat.admits(address), "it can be told why it is refused")

    def test_connections_without_an_address_are_not_taken_for_those_of_one(self) -> None:
        self.server = Server(limits=Limits(connections=1))
        for _ in range(1 + MAX_REFUSED_OF_ADDRESS):
            self.server.connect("")
        self.assertTrue(self.server.chat.admits(""))

    def test_a_refused_connection_takes_nobody_s_place(self) -> None:
        self.server = Server(limits=Limits(connections=2))
        self.server.connect("192.0.2.1")
        first = self.server.connect("192.0.2.2")
        self.server.connect("192.0.2.3")
        first.cut()
        self.assertEqual(self.server.connect("192.0.2.4").ask(type="hello", nick="al")[0]["type"], "welcome")

    def test_the_requests_of_an_address_are_counted_together(self) -> None:
        self.server = Server(limits=Limits(address_rate=10, address_burst=40))
        flood, person, stranger = (self.server.connect(address) for address in ["192.0.2.1"] * 2 + ["192.0.2.2"])
        flood.send(*[{"type": "ping"}] * 100)
        self.server.settle()
        codes = [obj.get("code") for obj in flood.got()]
        self.assertEqual(codes.count("not-welcome"), 40 + OWN_BURST)
        self.assertEqual(codes[-1], "rate-limited")
        self.assertFalse(flood.wire.reading)
        for number, peer in enumerate((person, stranger)):
            self.assertEqual(peer.ask(type="hello", nick=f"n{number}")[0]["type"], "welcome")

    def test_requests_that_wait_for_the_tokens_of_an_address_are_answered_in_their_order(self) -> None:
        self.server = Server(limits=Limits(address_rate=10, address_burst=1))
        alice = self.server.connect()
        alice.send({"type": "hello", "nick": "al"}, *({"type": "ping", "id": str(number)} for number in range(100)))
        self.server.settle()
        answers = alice.got()
        for _ in range(20):
            self.server.clock.advance(1)
            answers += alice.got()
        refused = [obj["id"] for obj in answers if obj["type"] == "error"]
        self.assertEqual(len(refused), REFUSALS)
        served = [str(number) for number in range(100) if str(number) not in refused]
        self.assertEqual([obj["id"] for obj in answers if obj["type"] == "pong"], served)

    def test_a_long_request_costs_more(self) -> None:
        self.server = Server(limits=Limits(burst=10, rate=1))
        alice = self.server.welcome("alice", "lobby")
        for number in range(2):
            self.assertEqual(alice.ask(type="", room="lobby", msg="x" * 3 * TOKEN_BYTES, id="1")[0]["seq"], 1, number)
        self.assertEqual(alice.ask(type="ping")[0]["code"], "rate-limited")

    def test_a_message_costs_more_the_more_is_sent_for_it(self) -> None:
        self.server = Server(limits=Limits(burst=9, rate=0.001))
        alice = self.server.welcome("alice", "lobby")
        self.server.crowd(FAN_OUT // 4000 - 1, "lobby")
        self.server.hush(alice)
        alice.say("x" * 4000, id="1")
        alice.say("x" * 4000, id="2")
        alice.say("x" * 4000, id="3")
        alice.say("x" * 3900, id="4")
        self.server.settle()
        answers = [obj for obj in alice.got() if "id" in obj]
        self.assertEqual([obj["type"] for obj in answers], ["ack"] * 4)
        self.assertEqual(alice.ask(type="ping")[0]["code"], "rate-limited", "2, and 2, 2, 2 and 1")

    def test_a_long_request_that_waits_is_paid_for_once(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=0.25))
        alice = self.server.connect()
        alice.ask(type="hello", nick="alice")
        for _ in range(REFUSALS):
            self.assertEqual(alice.ask(type="ping")[0]["code"], "rate-limited")
            self.server.clock.advance(MAX_REST_SECONDS)
        alice.send({"type": "ping", "pad": "x" * 3 * TOKEN_BYTES}, {"type": "ping"})
        seconds = []
        for second in range(18):
            seconds += [second] * len(alice.got())
            self.server.clock.advance(MAX_REST_SECONDS)
        alice.send({"type": "ping"})
        self.server.settle()
        self.assertEqual(alice.got(), [], "one that comes alone waits as well")
        for _ in range(4):
            self.server.clock.advance(MAX_REST_SECONDS)
        self.assertEqual([obj["type"] for obj in alice.got()], ["pong"])
        self.assertEqual(seconds, [1, 17], "a token comes each 4 s, and one more is taken for each kilobyte")

    def test_those_of_a_unix_socket_have_no_address(self) -> None:
        self.server = Server(
            limits=Limits(connections_per_address=1, new_connections=0.001, address_rate=0.001, address_burst=1)
        )
        for nick in [f"n{number}" for number in range(2 * LEAST_ARRIVALS)]:
            self.assertEqual(self.server.connect("").ask(type="hello", nick=nick)[0]["type"], "welcome")


class StopTests(ChatTestCase):
    def stop(self) -> list[None]:
        stopped: list[None] = []
        self.server.chat.stop("maintenance").addCallback(stopped.append)
        return stopped

    def test_with_nobody_there_it_is_over_at_once(self) -> None:
        self.server = Server()
        stopped = self.stop()
        self.server.settle()
        self.assertEqual((stopped, self.server.clock.calls), ([None], []))

    def test_everyone_is_told_why(self) -> None:
        stopped = self.stop()
        self.server.settle()
        for peer in self.alice, self.bob:
            self.assertEqual(peer.got()[-1], {"type": "stop", "msg": "maintenance", "author": "server"})
            self.assertTrue(peer.wire.closed)
            self.assertEqual(stopped, [])
            peer.cut()
        self.assertEqual(stopped, [None])
        self.assertEqual(self.server.clock.calls, [])

    def test_what_is_under_way_is_kept_and_acked_first(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("hi", id="1")
        self.stop()
        self.server.settle()
        self.assertFalse(self.alice.wire.closed)
        self.server.fake.release()
        self.server.settle()
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["ack", "stop"])
        self.assertEqual([obj["type"] for obj in self.bob.got()], ["", "stop"])

    def test_what_waits_for_its_turn_is_neither_kept_nor_acked(self) -> None:
        first, second, late = [{"type": "", "room": "lobby", "msg": i, "id": i} for i in "123"]
        self.server.fake.held.add("append")
        self.alice.send(first, {"type": "ping"}, second)
        self.server.settle()
        self.stop()
        self.alice.send(late)
        self.server.fake.release()
        self.server.settle()
        self.assertEqual([(obj["type"], obj.get("id")) for obj in self.alice.got()], [("ack", "1"), ("stop", None)])
        self.assertEqual([obj["type"] for obj in self.bob.got()], ["", "stop"])
        self.assertEqual(self.server.room("lobby").head, 1)

    def test_without_connections_it_has_stopped_at_once(self) -> None:
        for peer in self.alice, self.bob:
            peer.cut()
        stopped = self.stop()
        self.server.settle()
        self.assertEqual(stopped, [None])

    def test_who_reads_nothing_is_cut(self) -> None:
        self.alice.pause()
        stopped = self.stop()
        self.server.settle()
        self.bob.cut()
        self.server.clock.advance(chat.STOP_SECONDS)
        self.assertTrue(self.alice.wire.aborted)
        self.assertFalse(self.bob.wire.aborted)
        self.alice.cut()
        self.assertEqual(stopped, [None])

    def test_a_store_that_does_not_answer_is_not_waited_for(self) -> None:
        self.server.fake.held.add("append")
        self.alice.say("hi")
        stopped = self.stop()
        self.server.clock.advance(chat.STOP_SECONDS)
        for peer in self.alice, self.bob:
            self.assertTrue(peer.wire.aborted)
            peer.cut()
        self.assertEqual(stopped, [None])
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(stopped, [None])


class SilenceTests(ChatTestCase):
    def minutes(self, count: float) -> None:
        for _ in range(round(count * 2)):
            self.server.clock.advance(30)

    def test_a_silent_client_is_asked_after_a_while_and_ended_two_minutes_later(self) -> None:
        self.minutes(1)
        self.assertEqual(self.alice.got(), [{"type": "ping"}])
        self.minutes(1.5)
        self.assertFalse(self.alice.wire.closed)
        self.minutes(0.5)
        self.assertEqual(self.alice.got()[-1]["type"], "stop")
        self.assertTrue(self.alice.wire.closed)

    def test_any_object_is_a_sign_of_life(self) -> None:
        for obj in {"type": "pong"}, {"type": "nonsense"}, {"type": "pong"}:
            self.minutes(2.5)
            self.alice.send(obj)
        self.assertFalse(self.alice.wire.closed)

    def test_who_takes_nothing_is_waited_for(self) -> None:
        self.alice.pause()
        self.minutes(60)
        self.assertFalse(self.alice.wire.closed)

    def test_nothing_ticks_when_nobody_is_there(self) -> None:
        for peer in self.alice, self.bob:
            peer.cut()
        self.minutes(0.5)
        self.assertEqual(self.server.clock.calls, [])

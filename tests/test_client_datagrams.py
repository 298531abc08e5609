"""Objects over UDP: said again until they are answered, and put in order."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.protocol.datagrams import ASK_SECONDS, FIRST_PATIENCE, MAX_DATAGRAM, Datagrams
from twisted_chat.client.protocol.objects import GAP, encode


class DatagramsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 1000.0
        self.session = Datagrams(self.now)

    def prove(self) -> None:
        """Come so far that the server has answered."""
        self.passes(0)
        self.comes({"type": "cookie", "cookie": "c"})
        self.sent()

    def sent(self) -> list[dict[str, Any]]:
        """Take what was sent."""
        datagrams = self.session.take_datagrams()
        for datagram in datagrams:
            self.assertLessEqual(len(datagram), MAX_DATAGRAM)
        return [json.loads(datagram) for datagram in datagrams]

    def comes(self, *objects: dict[str, Any] | bytes) -> list[dict[str, Any]]:
        """Receive datagrams, and return the objects that are passed on."""
        for obj in objects:
            self.session.received(obj if isinstance(obj, bytes) else json.dumps(obj).encode(), self.now)
        return self.taken()

    def taken(self) -> list[dict[str, Any]]:
        return self.session.take_objects()

    def passes(self, seconds: float) -> list[dict[str, Any]]:
        self.now += seconds
        self.session.tick(self.now)
        return self.taken()

    def ask(self, type: str = "join", id: str = "1", **fields: Any) -> None:
        self.session.send({"type": type, "id": id, **fields}, self.now)

    @property
    def due(self) -> float:
        """In how many seconds something is due."""
        return self.session.due() - self.now


class OpeningTests(DatagramsTestCase):
    def test_the_first_hello_is_said_until_there_is_an_answer(self) -> None:
        self.assertEqual(self.due, 0)
        self.passes(0)
        (hello,) = self.sent()
        self.assertEqual((hello["type"], self.session.proven), ("hello", False))
        self.assertGreaterEqual(len(encode(hello)), 240)
        self.passes(self.due - 0.001)
        self.assertEqual(self.sent(), [])
        self.passes(0.001)
        self.assertEqual(self.sent(), [hello])
        self.comes({"type": "cookie", "cookie": "c"})
        self.assertTrue(self.session.proven)

    def test_a_hello_waits_for_the_cookie(self) -> None:
        self.ask("hello", "h", nick="al", token="secret")
        self.assertEqual(self.sent(), [])
        self.passes(0)
        self.sent()
        self.comes({"type": "cookie", "cookie": "c"}, {"type": "cookie", "cookie": "d"})
        self.passes(0)
        hello = {"type": "hello", "id": "h", "nick": "al", "token": "secret", "cookie": "c"}
        self.assertEqual(self.sent(), [hello])
        welcome = {"type": "welcome", "id": "h"}
        self.assertEqual(self.comes(welcome | {"n": 1}), [welcome])
        self.assertEqual(self.comes(welcome | {"n": 2}), [], "it is answered already")

    def test_a_hello_is_said_again_at_a_steady_pace(self) -> None:
        self.prove()
        self.ask("hello")
        for _ in range(60):
            self.passes(FIRST_PATIENCE)
        self.assertEqual(len(self.sent()), 61)

    def test_a_server_that_was_started_again_gives_another_cookie(self) -> None:
        self.prove()
        self.ask("hello")
        self.assertEqual(self.sent()[0]["cookie"], "c")
        self.passes(FIRST_PATIENCE)
        self.sent()
        self.comes({"type": "cookie", "cookie": "new"})
        self.passes(FIRST_PATIENCE)
        self.assertEqual(self.sent()[0]["cookie"], "new")


class AskingTests(DatagramsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.prove()

    def test_what_is_not_answered_is_said_again(self) -> None:
        self.ask()
        (first,) = self.sent()
        self.assertEqual(first["n"], 1)
        for _ in range(8):
            self.passes(self.due - 0.001)
            self.assertEqual(self.sent(), [])
            self.passes(0.001)
            self.assertEqual(self.sent(), [first])
            self.comes({"type": "ping", "n": 99})
        answer = {"type": "joined", "id": "1"}
        self.passes(1)
        self.assertIn(answer, self.comes(answer | {"n": 100}))
        self.assertGreater(self.due, 10)

    def test_each_has_the_token_of_the_hello(self) -> None:
        self.ask("hello", "h", token="secret")
        self.ask()
        self.session.send({"type": "pong"}, self.now)
        self.assertEqual([obj["token"] for obj in self.sent()], ["secret"] * 3)

    def test_pauses_grow_but_not_for_ever(self) -> None:
        self.ask()
        pauses = []
        for _ in range(12):
            pauses.append(self.due)
            self.passes(self.due)
            self.comes({"type": "ping", "n": 1})
        self.assertEqual(pauses[:4], [FIRST_PATIENCE] * 4)
        self.assertEqual(sorted(pauses), pauses)
        self.assertEqual(pauses[-1], 1.0)

    def test_how_long_it_waits_is_learned(self) -> None:
        for number in range(50):
            self.ask(id=str(number))
            self.now += 0.02
            self.comes({"type": "joined", "id": str(number), "n": number + 1})
        self.ask()
        self.assertTrue(0.039 < self.due < 0.045)

    def test_that_the_way_is_long_is_learned_too(self) -> None:
        tries = []
        for number in range(30):
            self.ask(id=str(number))
            for _ in range(80):
                self.passes(0.01)
            tries.append(len(self.sent()))
            self.comes({"type": "joined", "id": str(number), "n": number + 1})
        self.assertGreater(tries[0], 2)
        self.assertEqual(tries[-10:], [1] * 10)

    def test_a_server_that_answers_nothing_is_lost(self) -> None:
        self.ask()
        self.assertRaises(TimeoutError, lambda: [self.passes(1) for _ in range(10)])

    def test_one_that_was_long_not_looked_at_is_not(self) -> None:
        self.ask()
        self.passes(60)
        self.assertEqual(len(self.sent()), 2)

    def test_a_silent_server_is_asked(self) -> None:
        self.passes(self.due)
        (ping,) = self.sent()
        self.assertEqual(ping["type"], "ping")
        self.passes(1)
        self.assertEqual(self.sent(), [ping])
        self.assertEqual(self.comes({"type": "pong", "id": ping["id"], "n": 1}), [{"type": "pong"}])
        self.assertEqual(self.due, ASK_SECONDS)

    def test_what_changes_nothing_has_no_number(self) -> None:
        self.ask("history", "1")
        self.ask("join", "2")
        self.session.send({"type": "pong"}, self.now)
        numbers = [(obj["type"], obj.get("n")) for obj in self.sent()]
        self.assertEqual(numbers, [("history", None), ("join", 1), ("pong", None)])

    def test_no_more_are_under_way_than_the_server_remembers(self) -> None:
        for number in range(200):
            self.ask("", str(number))
        self.assertEqual([obj["n"] for obj in self.sent()], list(range(1, 65)))
        self.comes({"type": "ack", "id": "5", "n": 1})
        self.assertEqual(self.sent(), [])
        self.comes({"type": "ack", "id": "0", "n": 2})
        self.passes(0)
        self.assertEqual([obj["n"] for obj in self.sent()], [65])

    def test_questions_do_not_wait_for_what_is_said(self) -> None:
        for number in range(100):
            self.ask("", f"said {number}")
        for number in range(100):
            self.ask("history", f"asked {number}")
        self.assertEqual(sum(obj["type"] == "history" for obj in self.sent()), 64)

    def test_what_is_too_long_is_refused_here(self) -> None:
        self.ask("hello", "h", token="secret")
        (welcome,) = self.comes({"type": "welcome", "id": "h", "limits": {"object": MAX_DATAGRAM}, "n": 1})
        self.sent()
        most = welcome["limits"]["object"] - len(encode({"type": "", "id": "1", "msg": ""}))
        self.ask("", msg="x" * most)
        self.assertEqual(len(self.session.take_datagrams()[0]), MAX_DATAGRAM - len(str(10**9)) + 1)
        self.ask("", "2", msg="x" * (most + 1))
        self.assertEqual(self.due, -self.now)
        (error,) = self.taken()
        self.assertEqual((error["type"], error["code"], error["id"]), ("error", "too-long", "2"))
        self.assertEqual(self.sent(), [])

    @given(st.dictionaries(st.text(), st.text()))
    def test_both_clients_count_the_same_bytes(self, obj: dict[str, str]) -> None:
        self.assertEqual(len(encode(obj)), len(msgspec.json.encode(obj)))


class OrderTests(DatagramsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.prove()

    def test_what_comes_is_put_in_order(self) -> None:
        self.comes({"type": "a", "n": 1})
        self.assertEqual(self.comes({"type": "c", "n": 3}, {"type": "c", "n": 3}), [])
        self.assertLess(self.due, 1)
        self.assertEqual(self.comes({"type": "b", "n": 2}), [{"type": "b"}, {"type": "c"}])
        self.assertEqual(self.comes({"type": "b", "n": 2}), [])

    def test_what_does_not_come_is_given_up(self) -> None:
        self.comes({"type": "a", "n": 1}, {"type": "c", "n": 3}, {"type": "e", "n": 5})
        self.assertEqual(self.passes(self.due), [GAP, {"type": "c"}, GAP, {"type": "e"}])
        self.assertEqual(self.comes({"type": "b", "n": 2}), [])
        self.assertEqual(self.comes({"type": "f", "n": 6}), [{"type": "f"}])

    def test_what_is_too_far_ahead_is_not_waited_for(self) -> None:
        self.comes({"type": "a", "n": 1})
        handed = []
        for number in range(3, 300):
            handed += self.comes({"type": "x", "n": number})
        self.assertEqual(handed[0], GAP)
        self.assertEqual(len(handed), 298)

    def test_an_answer_that_comes_late_is_one(self) -> None:
        self.ask("nick")
        self.comes({"type": "a", "n": 1}, {"type": "c", "n": 3})
        self.passes(1)
        self.assertEqual(self.comes({"type": "nick", "id": "1", "n": 2}), [{"type": "nick", "id": "1"}, GAP])

    def test_a_late_page_that_says_where_a_log_ends_is_requested_again(self) -> None:
        self.ask("history")
        self.comes({"type": "a", "n": 1}, {"type": "c", "n": 3})
        self.passes(1)
        self.sent()
        page = {"type": "history", "id": "1", "messages": [], "more": False}
        self.assertEqual(self.comes(page | {"n": 2}), [])
        self.passes(1)
        self.assertEqual([obj["type"] for obj in self.sent()], ["history"])
        self.assertEqual(self.comes(page | {"n": 4}), [page])

    def test_what_followed_an_answer_that_was_given_before_may_have_gone_by(self) -> None:
        self.comes({"type": "a", "n": 1})
        self.ask("join")
        self.comes({"type": "b", "n": 3})
        self.passes(1)
        joined = {"type": "joined", "id": "1"}
        self.assertEqual(self.comes(joined | {"n": 4}), [joined, GAP])

    def test_of_two_answers_the_first_in_order_counts(self) -> None:
        self.comes({"type": "a", "n": 1})
        self.ask("join")
        joined = {"type": "joined", "id": "1"}
        self.assertEqual(self.comes(joined | {"n": 4}, {"type": "b", "n": 3}), [])
        self.assertEqual(self.comes(joined | {"n": 2}), [joined, {"type": "b"}])

    def test_what_has_no_id_answers_nothing_whatever_the_ids_are(self) -> None:
        self.ask("ping", "None")
        others: list[dict[str, Any]] = [{"type": "a"}, {"type": "b", "id": None}, {"type": "c", "id": []}]
        for number, obj in enumerate(others, 1):
            self.assertEqual(self.comes(obj | {"n": number}), [obj if "id" not in obj else {"type": "gap"}])
        pong = {"type": "pong", "id": "None"}
        self.assertEqual(self.comes(pong | {"n": 4}), [pong])

    def test_what_is_no_object_is_passed_over(self) -> None:
        nothing = (b"", b"x", b"[]", b"{}", b"\xff", b'"\xed\xa0\x80"', b"[" * 1100)
        unread: list[dict[str, Any]] = [{"type": "x"}, {"type": "x", "n": "1"}, {"type": "x", "n": True}]
        self.assertEqual(self.comes(*nothing, b'{"n":1,"type":"\\ud800"}', *unread), [])
        self.assertEqual(self.comes({"type": "\U0001f600", "n": 1}), [{"type": "\U0001f600"}])

    def test_what_cannot_be_read_is_a_gap(self) -> None:
        said: dict[str, Any] = {"type": "", "author": "bob", "msg": "hi", "room": "lobby", "seq": 1}
        page: dict[str, Any] = {"type": "history", "messages": [said], "more": False}
        deletion: dict[str, Any] = {"type": "delete", "author": "bob", "room": "lobby", "of": 1, "seq": 2}
        unsound: list[dict[str, Any]] = [
            {"author": "bob"},
            *({key: value for key, value in deletion.items() if key != left_out} for left_out in deletion),
            deletion | {"of": "1"},
            page | {"messages": [{"type": "delete", "author": "bob", "room": "lobby", "seq": 2}]},
            {"type": None},
            *({key: value for key, value in said.items() if key != left_out} for left_out in said),
            *(said | {key: []} for key in said),
            said | {"seq": True},
            said | {"rest": "5"},
            {"type": "", "to": "al", "msg": "hi"},
            {"type": "history", "messages": [said]},
            page | {"messages": [5]},
            page | {"messages": [said | {"msg": 5}]},
            page | {"messages": [{"type": "", "to": "al", "author": "bob", "msg": "hi"}]},
            {"type": "welcome", "limits": {"object": "many"}},
            {"type": "error", "retry": -1},
            {"type": "error", "retry": 1e999},
            {"type": "error", "retry": "soon"},
        ]
        for number, obj in enumerate(unsound, 1):
            self.assertEqual(self.comes(obj | {"n": number}), [GAP], obj)
        direct = {"type": "", "to": "al", "author": "bob", "msg": "hi"}
        sound: list[dict[str, Any]] = [said, page, direct, deletion, {"type": "error", "retry": 0.5}]
        sound.append(page | {"messages": [said, deletion]})
        for number, obj in enumerate(sound, len(unsound) + 1):
            self.assertEqual(self.comes(obj | {"n": number}), [obj])

    def test_an_answer_that_cannot_be_read_is_asked_for_again(self) -> None:
        self.ask("history")
        (asked,) = self.sent()
        self.comes({"type": "history", "id": "1", "messages": {}, "more": False, "n": 1})
        self.passes(1)
        self.assertEqual(self.sent(), [asked])

    def test_a_cookie_that_cannot_be_read_is_none(self) -> None:
        self.session = Datagrams(self.now)
        self.comes({"type": "cookie"}, {"type": "cookie", "cookie": 5}, b'{"type":"cookie","cookie":"\\ud800"}')
        self.assertFalse(self.session.proven)

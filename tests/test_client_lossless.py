"""Over UDP, what comes out is what would over TCP: whatever gets lost, each message once, in order and whole."""

from __future__ import annotations

import heapq
import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client import datagrams
from twisted_chat.client.datagrams import MAX_DATAGRAM, encode
from twisted_chat.client.lossless import MAX_TEXT, REST_SECONDS, Lossless
from twisted_chat.limits import Limits
from twisted_chat.log import Unavailable

from .helpers import UNLIMITED
from .test_udp import UDPServer

STEP = 0.002
"""Seconds that pass at once."""

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 1, 2, 10**30, 1.5, "", "x", "lobby", "ada", "\ud800", [], {}]
)
SAID = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["", "history"]) | ODD,
        "room": st.just("lobby") | ODD,
        "author": st.sampled_from(["bob", "ada"]) | ODD,
        "msg": st.just("hi") | ODD,
        "seq": st.integers(-1, 9) | ODD,
        "rest": ODD,
        "more": st.booleans() | ODD,
    },
)
NONSENSE = SAID | st.builds(lambda said, messages: {**said, "messages": messages}, SAID, st.lists(SAID) | ODD)
"""What a bad server may say."""


class Network:
    """A server, its clients over UDP, and a network between them that is as bad as one likes."""

    def __init__(self, seed: int = 0, loss: float = 0.0, limits: Limits = UNLIMITED) -> None:
        self.server = UDPServer(limits)
        self.loss = loss
        self.lost = 0
        self.chance = random.Random(seed)
        self.clients: dict[tuple[str, int], Client] = {}
        self._under_way: list[tuple[float, int, tuple[str, int], bool, bytes]] = []
        self._count = 0

    @property
    def now(self) -> float:
        return self.server.clock.seconds()

    def client(self, nick: str) -> Client:
        client = Client(self, nick, ("192.0.2.7", 50000 + len(self.clients)))
        self.clients[client.address] = client
        return client

    def passes(self, seconds: float, step: float = STEP) -> None:
        """Let time pass, and datagrams arrive."""
        for _ in range(round(seconds / step)):
            self.step(step)

    def step(self, seconds: float = STEP) -> None:
        self.server.clock.advance(seconds)
        while self._under_way and self._under_way[0][0] <= self.now:
            _, _, address, to_server, datagram = heapq.heappop(self._under_way)
            if to_server:
                self.server.send(address, datagram)
            elif address in self.clients:
                self.clients[address].session.received(datagram, self.now)
        self.server.settle()
        for address, client in self.clients.items():
            client.turn()
            for datagram in client.session.take_datagrams():
                self._send(address, True, datagram)
            for datagram in self.server.sent_to(address):
                self._send(address, False, datagram)

    def _send(self, address: tuple[str, int], to_server: bool, datagram: bytes) -> None:
        """Send a datagram once, twice or never."""
        assert len(datagram) <= MAX_DATAGRAM, len(datagram)
        for chance in (1.0, self.loss):
            if self.chance.random() >= chance:
                continue
            if self.chance.random() < self.loss:
                self.lost += 1
                continue
            self._count += 1
            arrives = self.now + (self.chance.random() * 0.01 if self.loss else 0.001)
            heapq.heappush(self._under_way, (arrives, self._count, address, to_server, datagram))


class Client:
    """One who talks to the server through `Lossless`."""

    def __init__(self, network: Network, nick: str, address: tuple[str, int]) -> None:
        self.network = network
        self.nick = nick
        self.address = address
        self.session = Lossless(f"token of {nick:>16}", network.now)
        self.objects: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.count = 0
        self.ask(type="hello", nick=nick)

    def turn(self) -> None:
        if self.session.due() <= self.network.now:
            self.session.tick(self.network.now)
        for obj in self.session.take_objects():
            if "id" in obj:
                assert obj["id"] not in self.answers, "answered twice"
                self.answers[obj["id"]] = obj
            elif obj["type"] == "ping":
                self.session.send({"type": "pong"}, self.network.now)
            self.objects.append(obj)

    def ask(self, **request: Any) -> str:
        """Ask something; returns its id."""
        self.count += 1
        id = f"{self.nick}-{self.count}"
        self.session.send({**request, "id": id}, self.network.now)
        return id

    def answer(self, **request: Any) -> dict[str, Any]:
        """Ask something, and wait for the answer."""
        id = self.ask(**request)
        while id not in self.answers:
            self.network.step()
        return self.answers[id]

    def say(self, msg: str, room: str = "lobby") -> str:
        return self.ask(type="", room=room, msg=msg)

    def heard(self, room: str = "lobby") -> list[dict[str, Any]]:
        return [obj for obj in self.objects if obj["type"] == "" and obj.get("room") == room]

    def texts(self) -> list[str]:
        return [message["msg"] for message in self.heard()]


class LosslessTestCase(SynchronousTestCase):
    def network(self, *args: Any, **kwargs: Any) -> Network:
        network = Network(*args, **kwargs)
        self.addCleanup(network.server.port.stopProtocol)
        return network


class BadNetworkTests(LosslessTestCase):
    @settings(max_examples=10)
    @given(st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.2, 0.4]))
    def test_each_message_comes_once_and_in_order(self, seed: int, loss: float) -> None:
        self.patch(datagrams, "DEAD_SECONDS", 60.0)
        network = Network(seed, loss)
        chance = network.chance
        bob = network.server.welcome("bob", "lobby")
        clients = [network.client(nick) for nick in ("ada", "cyd", "dan")]
        for client in clients:
            while not any(obj["type"] == "welcome" for obj in client.objects):
                network.step()
        joins: dict[str, str] = {}
        said: dict[str, list[str]] = {client.nick: [] for client in clients}
        for number in range(60):
            bob.say(f"bob {number}")
            for client in clients:
                if client.nick in joins:
                    said[client.nick].append(client.say(f"{client.nick} {number}"))
                elif chance.random() < 0.2:
                    since = chance.choice([{}, {"since": 0}])
                    joins[client.nick] = client.ask(type="join", room="lobby", **since)
            network.passes(chance.choice([0.0, 0.0, STEP, 0.02]))
        for client in clients:
            while not client.answers.keys() >= {*said[client.nick]}:
                network.step()
        network.passes(40.0, 0.05)
        log = list(network.server.fake.logs["lobby"].records)
        self.assertEqual(len(log), 60 + sum(map(len, said.values())))
        for client in clients:
            if client.nick in joins:
                joined = client.answers[joins[client.nick]]
                self.check(client, joined["seq"], log, said[client.nick])
        network.server.port.stopProtocol()

    def check(self, client: Client, seq: int, log: list[Any], said: list[str]) -> None:
        acked = {client.answers[id]["seq"] for id in said}
        heard = [message["seq"] for message in client.heard()]
        since = min([seq, *(number - 1 for number in heard)])
        self.assertIn(since, (0, seq))
        self.assertEqual(heard, [record.seq for record in log if record.seq > since and record.seq not in acked])


class AckTests(LosslessTestCase):
    def test_an_ack_counts_in_its_room_and_in_one_that_is_being_entered(self) -> None:
        client = self.network().client("ada").session
        client._joining = {"1": ("lobby", set()), "2": ("garden", set())}
        client._acked("Lobby", 7)
        self.assertEqual(client._joining, {"1": ("lobby", {7}), "2": ("garden", set())})


class GoodNetworkTests(LosslessTestCase):
    """One client on a network that loses what it is told to."""

    def setUp(self) -> None:
        self.net = self.network()
        self.bob = self.net.server.welcome("bob", "lobby")
        self.ada = self.net.client("ada")
        self.assertFalse(self.ada.session.proven)
        self.net.passes(0.1)
        self.assertTrue(self.ada.session.proven)

    def join(self, **since: int) -> dict[str, Any]:
        return self.ada.answer(type="join", room="lobby", **since)

    def lose(self, say: Any) -> None:
        """Do something of which nothing arrives."""
        self.net.loss = 1.0
        say()
        self.net.passes(0.05)
        self.net.loss = 0.0

    def forget(self) -> None:
        """Have nothing of the log in the server's memory."""
        tail = self.net.server.room("lobby").tail
        tail.drop(len(tail))

    def test_the_limit_leaves_space_for_what_is_added(self) -> None:
        limit = self.ada.objects[0]["limits"]["object"]
        self.join()
        empty = len(encode({"type": "", "room": "lobby", "msg": "", "id": "ada-3"}))
        answer = self.ada.answer(type="", room="lobby", msg="x" * (limit - empty))
        self.assertEqual(answer["type"], "ack")
        answer = self.ada.answer(type="", room="lobby", msg="x" * (limit - empty + 1))
        self.assertEqual((answer["type"], answer["code"]), ("error", "too-long"))

    def test_a_last_message_that_gets_lost_comes(self) -> None:
        self.join()
        self.lose(lambda: self.bob.say("psst"))
        self.assertEqual(self.ada.texts(), [])
        self.net.passes(1.0)
        self.assertEqual(self.ada.texts(), ["psst"])

    def test_a_long_text_comes_whole(self) -> None:
        self.join()
        text = "".join(f"{number:05}," for number in range(1500))
        self.bob.say("before")
        self.bob.say(text)
        self.bob.say("after")
        self.net.passes(1.0)
        self.assertEqual(self.ada.texts(), ["before", text, "after"])
        self.assertNotIn("rest", self.ada.heard()[1])

    def test_and_in_a_page(self) -> None:
        text = "ж" * 2000
        self.bob.send_bytes(encode({"type": "", "room": "lobby", "msg": text}) + b"\n")
        self.bob.say("short")
        self.net.passes(0.1)
        page = self.ada.answer(type="history", room="lobby", after=0)
        self.assertEqual([(message["msg"], "rest" in message) for message in page["messages"]], [(text, False)])
        page = self.ada.answer(type="history", room="lobby", after=1)
        self.assertEqual([message["msg"] for message in page["messages"]], ["short"])

    def test_of_a_text_that_is_gone_the_beginning_is_all(self) -> None:
        self.join()
        text = "x" * 1500
        self.bob.say(text)
        while not any("skip" in read.where for read in self.ada.session._reads.values()):
            self.net.step()
        self.net.server.fake.logs["lobby"].trim(1)
        self.forget()
        self.net.passes(1.0)
        (message,) = self.ada.heard()
        self.assertTrue(text.startswith(message["msg"]))
        self.assertNotIn("rest", message)

    def test_own_messages_are_known_by_their_acks_though_they_are_late(self) -> None:
        self.join()
        for number in range(5):
            self.ada.say(f"mine {number}")
        self.lose(lambda: self.bob.say("his"))
        self.bob.say("his again")
        self.net.passes(2.0)
        self.assertEqual(self.ada.texts(), ["his", "his again"])

    def test_what_another_says_under_the_same_nick_comes(self) -> None:
        self.join()
        said = {"type": "", "msg": "me too", "author": "ada", "room": "lobby", "seq": 1, "n": 3}
        self.ada.session.received(encode(said), self.net.now)
        self.ada.turn()
        self.assertEqual(self.ada.texts(), ["me too"])

    def test_a_new_nick_is_ones_own(self) -> None:
        self.join()
        self.assertEqual(self.ada.answer(type="nick", nick="eve")["nick"], "eve")
        self.lose(lambda: self.ada.say("mine"))
        self.bob.say("his")
        self.net.passes(2.0)
        self.assertEqual(self.ada.texts(), ["his"])

    def miss(self) -> None:
        """Lose a message while the log cannot be read."""
        self.join()
        self.net.server.fake.failing["after"] = Unavailable("the disk is busy")
        self.lose(lambda: self.bob.say("lost"))
        self.forget()
        self.bob.say("known")
        self.net.passes(1.0)

    def test_a_part_of_the_log_that_is_refused_is_asked_for_again(self) -> None:
        self.miss()
        self.assertEqual(self.ada.texts(), [])
        self.net.server.fake.failing.clear()
        self.net.passes(REST_SECONDS + 1.0)
        self.assertEqual(self.ada.texts(), ["lost", "known"])

    def test_where_it_cannot_be_read_it_is_not_once_the_room_was_left(self) -> None:
        self.miss()
        self.ada.answer(type="leave", room="lobby")
        self.join()
        self.net.passes(REST_SECONDS + 1.0)
        self.assertEqual((self.ada.session._reads, self.ada.session._put_off), ({}, []))

    def test_after_leaving_nothing_comes(self) -> None:
        self.join()
        self.ada.answer(type="leave", room="lobby")
        late = {"type": "", "msg": "late", "author": "bob", "room": "lobby", "seq": 1, "n": 4}
        self.ada.session.received(encode(late), self.net.now)
        self.ada.turn()
        self.assertEqual(self.ada.texts(), [])

    def test_a_place_behind_the_end_of_a_log_is_its_end(self) -> None:
        self.join(since=1000)
        self.bob.say("first")
        self.net.passes(0.5)
        self.assertEqual(self.ada.texts(), ["first"])

    def test_each_room_has_its_own(self) -> None:
        self.join()
        said = self.ada.say("in the lobby")
        joining = self.ada.ask(type="join", room="garden", since=0)
        self.net.passes(0.1)
        self.assertEqual((self.ada.answers[joining]["seq"], self.ada.answers[said]["seq"]), (0, 1))
        self.net.server.welcome("cyd", "garden").say("in the garden", room="garden")
        self.net.passes(0.5)
        self.assertEqual([message["msg"] for message in self.ada.heard("garden")], ["in the garden"])
        self.assertEqual(self.ada.texts(), [])

    def test_two_rooms_for_the_server_are_two(self) -> None:
        self.ada.answer(type="join", room="straße")
        said = self.ada.say("in the one", room="STRAßE")
        joining = self.ada.ask(type="join", room="strasse", since=0)
        self.net.passes(0.1)
        self.assertEqual((self.ada.answers[joining]["seq"], self.ada.answers[said]["seq"]), (0, 1))
        self.net.server.welcome("cyd", "strasse").say("in the other", room="strasse")
        self.net.passes(0.5)
        self.assertEqual([message["msg"] for message in self.ada.heard("strasse")], ["in the other"])

    def test_a_room_that_cannot_be_entered_is_none(self) -> None:
        self.assertEqual(self.ada.answer(type="join", room="a b")["code"], "bad-room")

    def test_a_message_for_one_nick_and_other_notices_come(self) -> None:
        self.join()
        self.bob.send({"type": "", "to": "ada", "msg": "psst"}, {"type": "topic", "room": "lobby", "msg": "tea"})
        self.net.passes(0.5)
        self.assertEqual([obj["msg"] for obj in self.ada.objects if obj["type"] in ("", "topic")], ["psst", "tea"])
        self.assertEqual(self.ada.answer(type="", to="bob", msg="yes")["to"], "bob")

    def test_what_makes_no_sense_here_is_handed_on(self) -> None:
        joining = self.ada.ask(type="join", room="lobby")
        nonsense: list[dict[str, Any]] = [{"type": "welcome"}, {"type": "joined", "id": joining}, {"type": "new"}]
        for number, obj in enumerate(nonsense, 2):
            self.ada.session.received(encode({**obj, "n": number}), self.net.now)
        self.assertEqual(self.ada.session.take_objects(), nonsense)

    def test_a_message_that_cannot_be_read_is_looked_for_in_the_log(self) -> None:
        self.join()
        self.lose(lambda: self.bob.say("hi"))
        said = {"type": "", "msg": "hi", "room": "lobby", "seq": 1, "n": 3}
        self.ada.session.received(encode(said), self.net.now)
        self.net.passes(0.5)
        self.assertEqual(self.ada.texts(), ["hi"])

    @given(st.lists(NONSENSE))
    def test_no_server_can_break_it(self, objs: list[dict[str, Any]]) -> None:
        now = 1000.0
        session = Lossless("secret", now)
        session.received(b'{"type":"cookie","cookie":"c"}', now)
        session.send({"type": "hello", "nick": "ada", "id": "h"}, now)
        session.send({"type": "join", "room": "lobby", "id": "j", "since": 0}, now)
        welcome = {"type": "welcome", "nick": "ada", "limits": {"object": 16384}, "id": "h"}
        joined = {"type": "joined", "room": "lobby", "seq": 0, "id": "j"}
        said: list[dict[str, Any]] = [welcome, joined, *objs]
        for number, obj in enumerate(said, 1):
            asked = [json.loads(datagram) for datagram in session.take_datagrams()]
            reads = [request["id"] for request in asked if request["type"] == "history"]
            answer = {"id": reads[0]} if reads and obj.get("type") == "history" else {}
            session.received(json.dumps(obj | {"n": number} | answer).encode(), now)
            now += 0.01
            session.tick(now)
            for handed in session.take_objects():
                self.assertIsInstance(handed["type"], str)
                encode(handed)

    def reads(self, page: dict[str, Any]) -> int:
        """Answer each read of the log with this and lose something behind it; return how many come in ten seconds."""
        session = self.ada.session
        count = 0
        end = self.net.now + 10.0
        while self.net.now < end:
            for request in map(json.loads, session.take_datagrams()):
                if request["type"] == "history":
                    answer = {"type": "history", "id": request["id"], "n": self.number + 1, **page}
                    self.number += 3
                    for obj in (answer, {"type": "new", "n": self.number}):
                        session.received(encode(obj), self.net.now)
                    count += 1
            self.net.server.clock.advance(0.01)
            session.tick(self.net.now)
        return count

    def test_a_log_that_brings_nothing_is_read_more_and_more_slowly(self) -> None:
        self.join()
        self.number = 10
        self.ada.session.received(encode({"type": "new", "n": self.number}), self.net.now)
        nothing: dict[str, Any] = {"messages": [], "more": True}
        self.assertIn(self.reads(nothing), range(10, 20))
        self.assertIn(self.reads(nothing), range(4, 7))
        said = {"type": "", "msg": "x", "author": "bob", "room": "lobby", "seq": 1}
        self.assertIn(self.reads({"messages": [said], "more": True}), range(10, 20))

    def test_a_text_that_never_ends_is_cut_off(self) -> None:
        self.join()
        said = {"type": "", "msg": "x", "author": "bob", "room": "lobby", "seq": 1, "rest": 10**9}
        self.ada.session.received(encode(said | {"n": 3}), self.net.now)
        session = self.ada.session
        for number in range(4, 4 + 2 * MAX_TEXT // 900):
            for request in map(json.loads, session.take_datagrams()):
                page = {"type": "history", "messages": [said | {"msg": "x" * 900}], "more": True}
                session.received(encode(page | {"id": request["id"], "n": number}), self.net.now)
        (message,) = session.take_objects()
        self.assertTrue(MAX_TEXT <= len(message["msg"]) < MAX_TEXT + 900)

    def test_a_rest_that_brings_nothing_is_the_end_of_a_text(self) -> None:
        self.join()
        said = {"type": "", "msg": "x", "author": "bob", "room": "lobby", "seq": 1, "rest": 10**9}
        self.ada.session.received(encode(said | {"n": 3}), self.net.now)
        (request,) = map(json.loads, self.ada.session.take_datagrams())
        page = {"type": "history", "messages": [said | {"msg": ""}], "more": True, "id": request["id"], "n": 4}
        self.ada.session.received(encode(page), self.net.now)
        self.assertEqual([message["msg"] for message in self.ada.session.take_objects()], ["x"])

    def test_after_a_long_silence_it_is_still_there(self) -> None:
        self.net.passes(70)
        self.assertEqual(self.ada.answer(type="rooms")["type"], "rooms")

    def test_a_server_that_is_gone_is_noticed(self) -> None:
        self.net.loss = 1.0
        self.assertRaises(TimeoutError, self.net.passes, 30)

"""The engine over UDP: whatever the network loses, doubles and delays, each message comes once, in order and whole."""

from __future__ import annotations

import heapq
import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.protocol import datagrams
from twisted_chat.client.protocol.datagrams import MAX_DATAGRAM, Datagrams
from twisted_chat.client.protocol.engine import Engine
from twisted_chat.client.protocol.events import Answered, Failed
from twisted_chat.client.protocol.membership import Membership
from twisted_chat.client.protocol.objects import DirectMessage, Message, TopicChanged, encode
from twisted_chat.client.protocol.requests import Request
from twisted_chat.client.protocol.rooms import MAX_TEXT
from twisted_chat.client.protocol.states import State, StateChanged
from twisted_chat.limits import Limits
from twisted_chat.log import Unavailable

from .client_fakes import ids
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
"""Objects of a bad server."""


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
        """Advance the clock, and deliver datagrams."""
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
    """A client's engine with its session over UDP, in rooms that it reads as fast as it can."""

    def __init__(self, network: Network, nick: str, address: tuple[str, int]) -> None:
        self.network = network
        self.address = address
        self.session = Datagrams(network.now)
        new_id = ids()
        self.engine = Engine(nick, "the server", lambda: f"{nick}-{new_id()}")
        self.engine.connected(network.now)
        self.rooms: list[Membership] = []
        self.heard: list[Message] = []
        self.events: list[Any] = []
        self.answers: dict[Request, Any] = {}

    def turn(self) -> None:
        now = self.network.now
        if self.session.due() <= now:
            self.session.tick(now)
        for obj in self.session.take_objects():
            self.engine.received(obj, now)
        self.engine.tick(now)
        while self.engine.has_work:
            for obj in self.engine.take_objects(now):
                self.session.send(obj, now)
            for event in self.engine.take_events():
                self.events.append(event)
                if isinstance(event, Answered | Failed):
                    assert event.request not in self.answers, "answered twice"
                    self.answers[event.request] = event.result if isinstance(event, Answered) else event.error
            for room in self.rooms:
                while (message := self.engine.take(room)) is not None:
                    self.heard.append(message)

    def enter(self, name: str = "lobby", since: int | None = None) -> Membership:
        room = self.engine.join(name, since)
        self.rooms.append(room)
        return room

    def join(self, name: str = "lobby", since: int | None = None) -> Membership:
        """Enter a room, and wait until the server has answered."""
        room = self.enter(name, since)
        while not (room.entered or room.error):
            self.network.step()
        return room

    def answer(self, request: Request) -> Any:
        """Wait for the answer to a request."""
        while request not in self.answers:
            self.network.step()
        return self.answers[request]

    def texts(self, room: str = "lobby") -> list[str]:
        return [message.msg for message in self.heard if message.room == room]


class OverUDPTestCase(SynchronousTestCase):
    def network(self, *args: Any, **kwargs: Any) -> Network:
        network = Network(*args, **kwargs)
        self.addCleanup(network.server.port.stopProtocol)
        return network


class BadNetworkTests(OverUDPTestCase):
    @settings(max_examples=10)
    @given(st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.2, 0.4]))
    def test_each_message_comes_once_and_in_order(self, seed: int, loss: float) -> None:
        self.patch(datagrams, "DEAD_SECONDS", 60.0)
        network = Network(seed, loss)
        chance = network.chance
        bob = network.server.welcome("bob", "lobby")
        clients = [network.client(nick) for nick in ("ada", "cyd", "dan")]
        for client in clients:
            while client.engine.state is not State.CONNECTED:
                network.step()
        said: dict[Client, list[Request]] = {client: [] for client in clients}
        for number in range(60):
            bob.say(f"bob {number}")
            for client in clients:
                if client.rooms:
                    said[client].append(client.engine.say(client.rooms[0], f"{client.engine.nick} {number}"))
                elif chance.random() < 0.2:
                    client.enter(since=chance.choice([None, 0]))
            network.passes(chance.choice([0.0, 0.0, STEP, 0.02]))
        for client in clients:
            while client.engine.owed:
                network.step()
        network.passes(20.0, 0.05)
        log = list(network.server.fake.logs["lobby"].records)
        self.assertEqual(len(log), 60 + sum(map(len, said.values())))
        for client in clients:
            own = [client.answers[request] for request in said[client]]
            self.assertEqual(own, sorted(own))
            heard = [message.seq for message in client.heard]
            if heard:
                first = heard[0] or 0
                self.assertEqual(heard, [one.seq for one in log if one.seq >= first and one.seq not in own])
        network.server.port.stopProtocol()


class GoodNetworkTests(OverUDPTestCase):
    """One client on a network that loses what it is told to."""

    def setUp(self) -> None:
        self.net = self.network()
        self.bob = self.net.server.welcome("bob", "lobby")
        self.ada = self.net.client("ada")
        self.assertFalse(self.ada.session.proven)
        self.net.passes(0.1)
        self.assertIs(self.ada.engine.state, State.CONNECTED)

    def lose(self, say: Any) -> None:
        """Do something of which nothing arrives."""
        self.net.loss = 1.0
        say()
        self.net.passes(0.05)
        self.net.loss = 0.0

    def forget(self) -> None:
        """Have nothing of the log in the server's memory, once something was said."""
        tail = self.net.server.room("lobby").tail
        while not len(tail):
            self.net.step()
        tail.drop(len(tail))

    def test_the_limit_leaves_space_for_what_is_added(self) -> None:
        limit = self.ada.engine.limits["object"]
        room = self.ada.join()
        empty = len(encode({"type": "", "room": "lobby", "msg": "", "id": "ada-4"}))
        self.assertEqual(self.ada.answer(self.ada.engine.say(room, "x" * (limit - empty))), 1)
        self.assertEqual(self.ada.answer(self.ada.engine.say(room, "x" * (limit - empty + 1))).code, "too-long")

    def test_a_last_message_that_gets_lost_comes(self) -> None:
        self.ada.join()
        self.lose(lambda: self.bob.say("psst"))
        self.assertEqual(self.ada.texts(), [])
        self.net.passes(1.0)
        self.assertEqual(self.ada.texts(), ["psst"])

    def test_a_long_text_comes_whole(self) -> None:
        self.ada.join()
        text = "".join(f"{number:05}," for number in range(1500))
        for said in ("before", text, "after"):
            self.bob.say(said)
        self.net.passes(1.0)
        self.assertEqual(self.ada.texts(), ["before", text, "after"])

    def test_a_long_text_in_a_page_is_whole(self) -> None:
        text = "ж" * 2000
        self.bob.send_bytes(encode({"type": "", "room": "lobby", "msg": text}) + b"\n")
        self.bob.say("short")
        self.net.passes(0.1)
        page = self.ada.answer(self.ada.engine.history("lobby", None, 0, 50))
        self.assertEqual(([message.msg for message in page.messages], page.more), ([text], True))
        page = self.ada.answer(self.ada.engine.history("lobby", None, 1, 50))
        self.assertEqual([message.msg for message in page.messages], ["short"])

    def test_of_a_text_that_is_gone_the_beginning_is_all(self) -> None:
        self.ada.join()
        text = "x" * 1500
        self.bob.say(text)
        while not self.ada.rooms[0].completing:
            self.net.step()
        self.net.server.fake.logs["lobby"].trim(1)
        self.forget()
        self.net.passes(1.0)
        (said,) = self.ada.texts()
        self.assertTrue(said and text.startswith(said))

    def test_a_rest_that_cannot_be_read_for_now_is_read_later(self) -> None:
        self.ada.join()
        self.net.server.fake.failing["after"] = Unavailable("the disk is busy")
        self.bob.say("x" * 1500)
        self.forget()
        self.net.passes(1.0)
        self.assertEqual(self.ada.texts(), [])
        self.net.server.fake.failing.clear()
        self.net.passes(10.0, 0.02)
        self.assertEqual(self.ada.texts(), ["x" * 1500])

    def test_own_messages_are_known_by_their_acks_though_they_are_late(self) -> None:
        room = self.ada.join()
        for number in range(5):
            self.ada.engine.say(room, f"mine {number}")
        self.lose(lambda: self.bob.say("his"))
        self.bob.say("his again")
        self.net.passes(2.0)
        self.assertEqual(self.ada.texts(), ["his", "his again"])

    def test_what_another_says_under_the_same_nick_comes(self) -> None:
        self.ada.join()
        said = {"type": "", "msg": "me too", "author": "ada", "room": "lobby", "seq": 1, "n": 3}
        self.ada.session.received(encode(said), self.net.now)
        self.ada.turn()
        self.assertEqual(self.ada.texts(), ["me too"])

    def test_what_is_said_under_a_new_nick_is_ones_own(self) -> None:
        room = self.ada.join()
        self.assertEqual(self.ada.answer(self.ada.engine.rename("eve")), "eve")
        self.lose(lambda: self.ada.engine.say(room, "mine"))
        self.bob.say("his")
        self.net.passes(2.0)
        self.assertEqual(self.ada.texts(), ["his"])

    def miss(self) -> None:
        """Lose a message while the log cannot be read."""
        self.ada.join()
        self.net.server.fake.failing["after"] = Unavailable("the disk is busy")
        self.lose(lambda: self.bob.say("lost"))
        self.forget()
        self.bob.say("known")
        self.net.passes(1.0)

    def test_a_part_of_the_log_that_is_refused_is_asked_for_again(self) -> None:
        self.miss()
        self.assertEqual(self.ada.texts(), [])
        self.net.server.fake.failing.clear()
        self.net.passes(10.0, 0.02)
        self.assertEqual(self.ada.texts(), ["lost", "known"])

    def test_a_room_that_was_left_is_read_no_more(self) -> None:
        self.miss()
        self.ada.engine.leave(self.ada.rooms[0])
        self.net.passes(0.1)
        self.ada.join()
        self.net.server.fake.failing.clear()
        self.net.passes(10.0, 0.02)
        self.assertEqual(self.ada.texts(), [])

    def test_after_leaving_nothing_comes(self) -> None:
        room = self.ada.join()
        self.ada.engine.leave(room)
        self.net.passes(0.1)
        late = {"type": "", "msg": "late", "author": "bob", "room": "lobby", "seq": 1, "n": 4}
        self.ada.session.received(encode(late), self.net.now)
        self.ada.turn()
        self.assertEqual(self.ada.texts(), [])

    def test_a_place_behind_the_end_of_a_log_is_one_of_another_log(self) -> None:
        self.ada.join(since=1000)
        self.bob.say("first")
        self.net.passes(0.5)
        self.assertEqual(self.ada.texts(), ["first"])

    def test_each_room_has_its_own(self) -> None:
        self.ada.engine.say(self.ada.join(), "in the lobby")
        self.ada.join("garden", 0)
        self.net.server.welcome("cyd", "garden").say("in the garden", room="garden")
        self.net.passes(0.5)
        self.assertEqual((self.ada.texts("garden"), self.ada.texts()), (["in the garden"], []))

    def test_two_rooms_for_the_server_are_two(self) -> None:
        one, other = self.ada.join("STRAßE"), self.ada.join("strasse", 0)
        self.ada.engine.say(one, "in the one")
        self.net.server.welcome("cyd", "strasse").say("in the other", room="strasse")
        self.net.passes(0.5)
        self.assertEqual([message.msg for message in self.ada.heard], ["in the other"])
        self.assertIsNot(one, other)

    def test_a_room_that_cannot_be_entered_is_none(self) -> None:
        self.assertEqual(getattr(self.ada.join("a b").error, "code", ""), "bad-room")

    def test_a_message_for_one_nick_and_other_notices_come(self) -> None:
        self.ada.join()
        self.bob.send({"type": "", "to": "ada", "msg": "psst"}, {"type": "topic", "room": "lobby", "msg": "tea"})
        self.net.passes(0.5)
        told = [event.msg for event in self.ada.events if isinstance(event, DirectMessage | TopicChanged)]
        self.assertEqual(told, ["psst", "tea"])
        self.assertIsNone(self.ada.answer(self.ada.engine.tell("bob", "yes")))

    def test_a_message_that_cannot_be_read_is_looked_for_in_the_log(self) -> None:
        self.ada.join()
        self.lose(lambda: self.bob.say("hi"))
        said = {"type": "", "msg": "hi", "room": "lobby", "seq": 1, "n": 3}
        self.ada.session.received(encode(said), self.net.now)
        self.net.passes(0.5)
        self.assertEqual(self.ada.texts(), ["hi"])

    @given(st.lists(NONSENSE))
    def test_no_server_can_break_it(self, objs: list[dict[str, Any]]) -> None:
        now = 1000.0
        session, engine = Datagrams(now), Engine("ada", "the server", ids())
        session.received(b'{"type":"cookie","cookie":"c"}', now)
        engine.connected(now)
        room = engine.join("lobby", 0)
        welcome = {"type": "welcome", "nick": "ada", "server": "s", "limits": {"object": 16384}, "id": "1"}
        joined = {"type": "joined", "room": "lobby", "topic": "", "seq": 0, "oldest": 0, "count": 1, "id": "2"}
        said: list[dict[str, Any]] = [welcome, joined, *objs]
        for number, obj in enumerate(said, 1):
            while engine.has_work:
                for sent in engine.take_objects(now):
                    session.send(sent, now)
                engine.take_events()
                while engine.take(room) is not None:
                    pass
            asked = [json.loads(datagram) for datagram in session.take_datagrams()]
            reads = [request["id"] for request in asked if request["type"] == "history"]
            answer = {"id": reads[0]} if reads and obj.get("type") == "history" else {}
            session.received(json.dumps(obj | {"n": number} | answer).encode(), now)
            now += 0.01
            session.tick(now)
            for handed in session.take_objects():
                engine.received(handed, now)
            engine.tick(now)
        self.assertIs(engine.state, State.CONNECTED)

    def reads(self, page: dict[str, Any]) -> int:
        """Answer each read of the log with this and lose something behind it; return how many come in ten seconds."""
        count = 0
        end = self.net.now + 10.0
        while self.net.now < end:
            self.ada.turn()
            for request in map(json.loads, self.ada.session.take_datagrams()):
                if request["type"] == "history":
                    answer = {"type": "history", "id": request["id"], "n": self.number + 1, **page}
                    self.number += 3
                    for obj in (answer, {"type": "new", "n": self.number}):
                        self.ada.session.received(encode(obj), self.net.now)
                    count += 1
            self.net.server.clock.advance(0.01)
        return count

    def test_a_log_that_brings_nothing_is_read_more_and_more_slowly(self) -> None:
        self.ada.join()
        self.number = 10
        self.ada.session.received(encode({"type": "new", "n": self.number}), self.net.now)
        nothing: dict[str, Any] = {"messages": [], "more": True}
        self.assertIn(self.reads(nothing), range(10, 20))
        self.assertIn(self.reads(nothing), range(4, 7))
        said = {"type": "", "msg": "x", "author": "bob", "room": "lobby", "seq": 1}
        self.assertIn(self.reads({"messages": [said], "more": True}), range(10, 20))

    def test_a_text_that_never_ends_is_cut_off(self) -> None:
        self.ada.join()
        said = {"type": "", "msg": "x", "author": "bob", "room": "lobby", "seq": 1, "rest": 10**9}
        self.ada.session.received(encode(said | {"n": 3}), self.net.now)
        for number in range(4, 4 + 2 * MAX_TEXT // 900):
            self.ada.turn()
            for request in map(json.loads, self.ada.session.take_datagrams()):
                page = {"type": "history", "messages": [said | {"msg": "x" * 900}], "more": True}
                self.ada.session.received(encode(page | {"id": request["id"], "n": number}), self.net.now)
        (text,) = self.ada.texts()
        self.assertTrue(MAX_TEXT <= len(text) < MAX_TEXT + 900)

    def test_a_rest_that_brings_nothing_is_the_end_of_a_text(self) -> None:
        self.ada.join()
        said = {"type": "", "msg": "x", "author": "bob", "room": "lobby", "seq": 1, "rest": 10**9}
        self.ada.session.received(encode(said | {"n": 3}), self.net.now)
        self.ada.turn()
        (request,) = map(json.loads, self.ada.session.take_datagrams())
        page = {"type": "history", "messages": [said | {"msg": ""}], "more": True, "id": request["id"], "n": 4}
        self.ada.session.received(encode(page), self.net.now)
        self.ada.turn()
        self.assertEqual(self.ada.texts(), ["x"])

    def test_after_a_long_silence_it_is_still_there(self) -> None:
        self.net.passes(70)
        self.assertEqual(self.ada.answer(self.ada.engine.rooms())[0].room, "lobby")
        self.assertEqual(
            [event.state for event in self.ada.events if isinstance(event, StateChanged)], [State.CONNECTED]
        )

    def test_a_server_that_is_gone_is_noticed(self) -> None:
        self.net.loss = 1.0
        self.assertRaises(TimeoutError, self.net.passes, 30)

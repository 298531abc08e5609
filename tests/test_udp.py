"""Datagrams: who is listened to, what is taken once and in order, and what is sent at which pace."""

from __future__ import annotations

import gc
import json
from typing import Any, cast
from weakref import ref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.udp import Port
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages, participant
from twisted_chat.limits import MAX_REFUSED, WORK_A_TURN, Limits
from twisted_chat.messages import PongSent, Reply
from twisted_chat.session import TICK_SECONDS, Session
from twisted_chat.wire.udp import UDPPort, encoding, requests, sending, silence, wire
from twisted_chat.wire.udp.datagram import MAX_DATAGRAM, Datagram
from twisted_chat.wire.udp.fitting import fit

from .helpers import UNLIMITED, Peer, Server

TOKEN = "0123456789abcdef"
HERE = ("192.0.2.7", 50000)
THERE = ("198.51.100.9", 40000)


class Network:
    """A transport that remembers what is sent, and can be full."""

    def __init__(self) -> None:
        self.sent: list[tuple[tuple[str, int], bytes]] = []
        self.full = False

    def write(self, datagram: bytes, address: tuple[str, int]) -> None:
        if self.full:
            raise BlockingIOError("no space")
        assert len(datagram) <= MAX_DATAGRAM, len(datagram)
        self.sent.append((address, datagram))


class OneAtATime(Network):
    """One that is full after each datagram."""

    def write(self, datagram: bytes, address: tuple[str, int]) -> None:
        super().write(datagram, address)
        self.full = True


class UDPServer(Server):
    """A chat with a port for datagrams."""

    def __init__(self, limits: Limits = UNLIMITED) -> None:
        super().__init__(limits=limits)
        self.network = Network()
        self.port = UDPPort(self.chat)
        cast(Any, self.port).transport = self.network

    def send(self, address: tuple[str, int], datagram: bytes) -> None:
        self.port.datagramReceived(datagram, address)

    def sent_to(self, address: tuple[str, int]) -> list[bytes]:
        """Take what was sent to an address since the last time."""
        sent = [datagram for at, datagram in self.network.sent if at == address]
        self.network.sent = [(at, datagram) for at, datagram in self.network.sent if at != address]
        return sent


class Guest:
    """Somebody at an address."""

    def __init__(self, server: UDPServer, address: tuple[str, int] = HERE) -> None:
        self.server = server
        self.address = address
        self.cookie = ""
        self.answers_pings = False
        """Each ping is answered and not shown."""
        self.numbers: list[int] = []

    def send(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            self.server.send(self.address, json.dumps(obj, ensure_ascii=False).encode())

    def got(self) -> list[dict[str, Any]]:
        """Read what came, without its number."""
        self.server.settle()
        objects = [json.loads(datagram) for datagram in self.server.sent_to(self.address)]
        self.numbers = [obj.pop("n") for obj in objects if obj["type"] != "cookie"]
        if self.answers_pings and {"type": "ping"} in objects:
            self.send(*[{"type": "pong"}] * objects.count({"type": "ping"}))
            objects = [obj for obj in objects if obj != {"type": "ping"}]
        return objects

    def ask(self, **fields: Any) -> list[dict[str, Any]]:
        self.send(fields)
        return self.got()

    def types(self, **fields: Any) -> list[str]:
        """Send an object, and return the types of what comes."""
        return [obj["type"] for obj in self.ask(**fields)]

    def prove(self) -> str:
        """Fetch a cookie."""
        (answer,) = self.ask(type="hello", nick="x", pad="x" * 256)
        self.cookie = answer["cookie"]
        return self.cookie

    def hello(self, nick: str = "al", **fields: Any) -> list[dict[str, Any]]:
        return self.ask(type="hello", nick=nick, cookie=self.cookie or self.prove(), **fields)

    def say(self, msg: str, **fields: Any) -> list[dict[str, Any]]:
        return self.ask(type="", room="lobby", msg=msg, **fields)


class UDPTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = UDPServer()
        self.guest = Guest(self.server)

    def tearDown(self) -> None:
        self.server.port.stopProtocol()

    def welcome(self, nick: str = "al", *rooms: str, address: tuple[str, int] = HERE, **fields: Any) -> Guest:
        """Bring somebody in who has said hello and is in rooms."""
        guest = Guest(self.server, address)
        self.assertEqual(guest.hello(nick, **fields)[0]["type"], "welcome")
        for room in rooms:
            guest.ask(type="join", room=room, **({"token": fields["token"]} if "token" in fields else {}))
        return guest

    def newcomer(self) -> Peer:
        """Bring in somebody by another wire."""
        return self.server.welcome("bob", "lobby")

    def members(self) -> list[str]:
        return sorted(nick for nick in self.server.chat.nicks)


class Endless:
    """A socket to which datagrams come faster than they are read, and what is read of it."""

    def __init__(self, datagram: bytes) -> None:
        self.datagram = datagram
        self.reads = 0

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        self.reads += 1
        assert self.reads < 100_000
        return self.datagram, ("192.0.2.1", 49474)


class ReadingTests(SynchronousTestCase):
    def test_a_turn_reads_a_bounded_number_of_datagrams_however_short_they_are(self) -> None:
        for datagram in b"", b"x", b"x" * 1_200:
            protocol = UDPPort(Server().chat)
            port = Port(0, protocol)
            protocol.makeConnection(port)
            endless = Endless(datagram)
            cast(Any, port).socket = endless
            for turn in 1, 2:
                port.doRead()
                self.assertLessEqual(endless.reads, turn * WORK_A_TURN)
            self.assertGreater(endless.reads, WORK_A_TURN)

    def test_another_transport_reads_as_it_does(self) -> None:
        protocol, network = UDPPort(Server().chat), Network()
        protocol.makeConnection(cast(Any, network))
        for _ in range(2 * WORK_A_TURN):
            protocol.datagramReceived(b'{"type":"hello","nick":"alice"}'.ljust(256), HERE)
        self.assertEqual(len(network.sent), 2 * WORK_A_TURN)


class StrangerTests(UDPTests):
    def test_hello_is_answered_by_a_cookie(self) -> None:
        (answer,) = self.guest.ask(type="hello", nick="alice", pad="x" * 256)
        self.assertEqual(list(answer), ["type", "cookie"])
        self.assertEqual(answer["type"], "cookie")

    def test_the_answer_is_not_longer_than_the_hello(self) -> None:
        hello = b'{"type":"hello","nick":"al"}'
        for length in range(len(hello), 80):
            self.server.send(HERE, hello.ljust(length))
            sent = self.server.sent_to(HERE)
            self.assertEqual([len(datagram) for datagram in sent], [57] if length >= 57 else [])

    @settings(max_examples=200)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=100),
                st.sampled_from(
                    [
                        b'{"type":"hello","nick":"alice"}',
                        b'{"type":"hello","nick":"alice","cookie":"' + b"A" * 28 + b'"}',
                        b'{"type":"hello","nick":"alice","cookie":"","token":"0123456789abcdef","pad":"xxxxxxxxxxxxxxxxxxx"}',
                        b'{"type":"ping"}',
                        b'{"type":"join","room":"lobby","n":1}',
                        b'{"type":"hello","nick":7}',
                        b"[" * 5000,
                    ]
                ),
            )
        )
    )
    def test_nobody_gets_more_bytes_than_came_from_there(self, datagrams: list[bytes]) -> None:
        server = UDPServer()
        for datagram in datagrams:
            server.send(HERE, datagram)
            sent = server.sent_to(HERE)
            self.assertLessEqual(sum(map(len, sent)), len(datagram))
            self.assertEqual([json.loads(answer)["type"] for answer in sent], ["cookie"] * len(sent))
        server.settle()
        self.assertEqual(server.network.sent, [])

    def test_nothing_is_remembered_of_it(self) -> None:
        for port in range(1000):
            Guest(self.server, ("192.0.2.7", 2000 + port)).prove()
        self.assertEqual((self.server.port.wires, self.server.clock.calls), ({}, []))

    def test_nothing_else_is_answered(self) -> None:
        for datagram in (b"", b"x", b"[]", b'{"type":"ping"}', b'{"type":"quit"}', b'{"msg":"hi"}', b'{"type":"hello"'):
            self.server.send(HERE, datagram.ljust(600))
        self.assertEqual(self.guest.got(), [])

    def test_a_cookie_lets_it_in(self) -> None:
        (answer,) = self.guest.hello("alice", id="h")
        self.assertEqual((answer["type"], answer["nick"], answer["id"]), ("welcome", "alice", "h"))
        self.assertEqual(answer["limits"]["object"], 1200)
        self.assertEqual(self.guest.numbers, [1])

    def test_a_cookie_of_another_address_does_not(self) -> None:
        self.guest.prove()
        other = Guest(self.server, THERE)
        self.assertEqual(other.types(type="hello", nick="al", cookie=self.guest.cookie, pad="x" * 99), ["cookie"])
        other = Guest(self.server, (HERE[0], HERE[1] + 1))
        self.assertEqual(other.types(type="hello", nick="al", cookie=self.guest.cookie, pad="x" * 99), ["cookie"])

    def test_a_cookie_that_was_changed_does_not(self) -> None:
        cookie = self.guest.prove()
        changed = [("B" if cookie[i] == "A" else "A").join((cookie[:i], cookie[i + 1 :])) for i in range(28)]
        for wrong in (*changed, "", "A", "ä" * 28, "!" * 28, "A" * 28, cookie + "AAAA"):
            self.assertEqual(self.guest.types(type="hello", nick="al", cookie=wrong, pad="x" * 99), ["cookie"], wrong)

    def test_a_cookie_is_good_for_a_minute_at_least_and_two_at_most(self) -> None:
        for at in (0, 31.5, 59.9):
            guest = Guest(self.server, (HERE[0], 1000 + int(at)))
            self.server.clock.advance(at - self.server.clock.seconds() % 60 + 60)
            guest.prove()
            self.server.clock.advance(60)
            Guest(self.server, THERE).prove()
            self.assertEqual(guest.hello()[0]["type"], "welcome")
            guest.ask(type="quit")
            self.server.clock.advance(11)
            self.server.clock.advance(60)
            Guest(self.server, THERE).prove()
            self.assertEqual(guest.types(type="hello", nick="al", cookie=guest.cookie, pad="x" * 99), ["cookie"])

    def test_a_full_server_refuses(self) -> None:
        self.server = UDPServer(Limits(connections_per_address=1))
        self.assertEqual(self.welcome().got(), [])
        other = Guest(self.server, (HERE[0], 1))
        answers = other.hello("bo")
        self.assertEqual([obj["type"] for obj in answers], ["error", "stop"])
        self.assertEqual(answers[0]["code"], "full")

    def test_a_crowded_server_does_not_even_refuse(self) -> None:
        self.server = UDPServer(Limits(connections=0))
        self.server.network.full = True  # those that are refused are not gone yet
        for port in range(MAX_REFUSED):
            guest = Guest(self.server, (f"198.51.100.{port}", 2000))
            self.server.network.full = False
            guest.prove()
            self.server.network.full = True
            guest.hello()
        self.server.network.full = False
        self.assertEqual(Guest(self.server, THERE).hello(), [])
        self.assertEqual(len(self.server.port.wires), MAX_REFUSED)

    def test_a_server_that_stops_takes_nobody(self) -> None:
        self.welcome()
        other = Guest(self.server, THERE)
        other.prove()
        stopped: list[None] = []
        self.server.chat.stop("maintenance").addCallback(stopped.append)
        self.assertEqual(other.hello("bo"), [])
        (stop,) = self.guest.got()
        self.assertEqual((stop["type"], stop["msg"], stopped), ("stop", "maintenance", [None]))


class SessionTests(UDPTests):
    def test_one_has_the_address_and_the_label_of_a_wire(self) -> None:
        self.welcome("al")
        udp = self.server.port.wires[HERE]
        self.assertEqual((udp.address, udp.label, udp.is_local), (HERE[0], str(HERE[1]), False))

    def test_talks_with_those_of_other_wires(self) -> None:
        bob = self.newcomer()
        guest = self.welcome("al", "lobby")
        self.assertEqual(guest.say("hi", id="1")[0]["type"], "ack")
        bob.say("ho")
        (message,) = guest.got()
        self.assertEqual((message["msg"], message["author"], message["seq"]), ("ho", "bob", 2))
        self.assertEqual([obj["msg"] for obj in bob.got() if obj["type"] == ""], ["hi"])

    def test_each_datagram_has_the_next_number(self) -> None:
        bob = self.newcomer()
        guest = self.welcome("al", "lobby", "garden")
        numbers = []
        for _ in range(3):
            bob.say("x")
            numbers += [(obj["type"], number) for obj, number in zip(guest.got(), guest.numbers, strict=True)]
        self.assertEqual(numbers, [("", 4), ("", 5), ("", 6), ("ping", 7)])

    def test_what_is_no_object_is_an_error(self) -> None:
        guest = self.welcome()
        for datagram, code in (
            (b"x", "bad-json"),
            (b"{}{}", "bad-json"),
            (b'{"type":7}', "bad-message"),
            (b'{"type":"x"}', "unknown-type"),
            (b"{" + b" " * 1199 + b"}", "too-long"),
        ):
            self.server.send(HERE, datagram)
            (error,) = guest.got()
            self.assertEqual((error["type"], error["code"]), ("error", code))
        self.server.send(HERE, b"")
        self.assertEqual(guest.got(), [])

    def test_the_longest_datagram_is_taken(self) -> None:
        guest = self.welcome()
        self.server.send(HERE, b'{"type":"ping"' + b" " * 1185 + b"}")
        self.assertEqual([obj["type"] for obj in guest.got()], ["pong"])

    def test_a_number_of_the_wrong_type_is_none(self) -> None:
        self.assertEqual(self.welcome().types(type="ping", n="x"), ["pong"])

    def test_a_hello_said_again_gets_the_same_answer(self) -> None:
        guest = self.welcome(id="h")
        for _ in range(2):
            (again,) = guest.hello(id="h")
            self.assertEqual((again["type"], again["id"]), ("welcome", "h"))
        self.assertEqual(guest.numbers, [3])
        self.assertEqual(self.members(), ["al"])

    def test_a_hello_that_came_twice_is_answered_once(self) -> None:
        self.guest.prove()
        hello = {"type": "hello", "nick": "al", "cookie": self.guest.cookie}
        self.guest.send(hello, hello)
        self.assertEqual([obj["type"] for obj in self.guest.got()], ["welcome"])

    def test_another_hello_with_the_same_cookie_is_a_bad_message(self) -> None:
        guest = self.welcome()
        self.assertEqual(guest.hello("bo")[0]["code"], "bad-message")
        self.assertEqual(self.members(), ["al"])

    def test_after_a_refusal_another_hello_can_be_said(self) -> None:
        self.server.welcome("bob")
        self.assertEqual(self.guest.hello("bob")[0]["code"], "nick-taken")
        self.assertEqual(self.guest.hello("bob")[0]["code"], "nick-taken")
        self.assertEqual(self.guest.hello("al")[0]["type"], "welcome")
        self.assertEqual(self.guest.numbers, [3])
        self.assertEqual(self.guest.hello("bob")[0]["code"], "bad-message", "it came late")
        self.assertEqual(self.guest.types(type="ping"), ["pong"])

    def test_a_hello_without_a_cookie_disturbs_nothing(self) -> None:
        guest = self.welcome()
        self.assertEqual(guest.types(type="hello", nick="al", pad="x" * 99), ["cookie"])
        self.assertEqual(guest.types(type="ping"), ["pong"])

    def test_a_hello_with_a_younger_cookie_begins_anew(self) -> None:
        bob = self.newcomer()
        guest = self.welcome("al", "lobby")
        late = guest.cookie
        self.server.clock.advance(1)
        guest.prove()
        bob.got()
        self.assertEqual(guest.hello("carol")[0]["type"], "welcome")
        self.assertEqual(guest.numbers, [1])
        self.assertEqual(self.members(), ["bob", "carol"])
        self.server.settle()
        self.assertEqual([(obj["type"], obj["author"]) for obj in bob.got()], [("leave", "al")])
        self.assertEqual(guest.ask(type="hello", nick="al", cookie=late)[0]["code"], "bad-message")

    def test_a_hello_said_again_with_a_younger_cookie_goes_on(self) -> None:
        guest = self.welcome("al", "lobby", id="h")
        self.server.clock.advance(1)
        guest.prove()
        self.assertEqual(guest.hello(id="h")[0]["type"], "welcome")
        self.assertEqual(guest.numbers, [3])
        self.assertEqual(guest.say("still here", id="1")[0]["type"], "ack")

    def test_quit_is_answered_by_stop_each_time(self) -> None:
        guest = self.welcome()
        self.assertEqual(guest.types(type="quit", id="q"), ["stop"])
        self.assertEqual(guest.types(type="quit", id="q"), ["stop"])
        self.assertEqual(guest.numbers, [3])
        self.assertEqual(guest.hello()[0]["type"], "stop", "the hello came late")
        self.server.clock.advance(wire.LINGER_SECONDS)
        self.assertEqual(guest.types(type="quit", id="q"), [])
        self.assertEqual((self.server.port.wires, self.members()), ({}, []))
        self.server.clock.advance(TICK_SECONDS)
        self.assertEqual(self.server.clock.getDelayedCalls(), [], "nothing of it goes on")

    def test_quit_that_came_twice_is_answered(self) -> None:
        guest = self.welcome()
        guest.send({"type": "quit", "id": "q"}, {"type": "quit", "id": "q"})
        self.assertEqual({obj["type"] for obj in guest.got()}, {"stop"})

    def test_after_quit_one_can_come_back_at_once(self) -> None:
        guest = self.welcome()
        guest.ask(type="quit")
        self.server.clock.advance(0.1)
        guest.prove()
        self.assertEqual(guest.hello()[0]["type"], "welcome")
        self.server.clock.advance(wire.LINGER_SECONDS)
        self.assertEqual(guest.types(type="ping"), ["pong"])

    def test_one_that_is_silent_is_asked_and_then_over(self) -> None:
        bob = self.newcomer()
        guest = self.welcome("al", "lobby")
        for expected in ([], ["ping"], [], ["ping"], []):
            self.server.clock.advance(10)
            self.assertEqual([obj["type"] for obj in guest.got()], expected)
        self.server.clock.advance(10)
        *_, stop = guest.got()
        self.assertEqual((stop["type"], stop["msg"]), ("stop", "nothing was heard of you for a minute"))
        self.assertEqual(self.members(), ["bob"])
        bob.cut()

    def test_one_that_is_heard_goes_on(self) -> None:
        guest = self.welcome()
        for _ in range(12):
            self.server.clock.advance(19)
            self.assertEqual(guest.types(type="pong"), [])

    def check_freed(self, *requests: dict[str, Any]) -> None:
        """Ask for something and wait for the end: the session is freed before anything looks for cycles."""
        guest = self.welcome("al", "lobby")
        session = ref(self.server.port.wires[HERE])
        gc.disable()
        self.addCleanup(gc.enable)
        for fields in requests:
            guest.ask(**fields)
        while self.server.port.wires:
            self.server.clock.advance(1)
        self.assertIsNone(session())

    def test_one_that_has_quit_is_freed_at_once(self) -> None:
        self.check_freed({"type": "", "room": "lobby", "msg": "hi"}, {"type": "x"}, {"type": "quit"})

    def test_one_that_is_silent_is_freed_at_once(self) -> None:
        self.check_freed()

    def test_one_that_was_never_welcome_is_over_too(self) -> None:
        self.server.welcome("bob")
        self.guest.hello("bob")
        self.server.clock.pump([20] * 3)
        self.assertEqual([obj["type"] for obj in self.guest.got()], ["stop"])

    def test_all_are_gone_when_the_port_is_closed(self) -> None:
        self.welcome("al", token=TOKEN)
        self.server.port.stopProtocol()
        self.assertEqual((self.server.port.wires, self.members()), ({}, []))


class ProbeTests(UDPTests):
    """Of the last message nobody would know that it got lost: no other number comes after it."""

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.newcomer()
        self.guest = self.welcome("al", "lobby")

    def types_after(self, seconds: float) -> list[str]:
        self.server.clock.pump([0.05] * round(seconds / 0.05))
        return [obj["type"] for obj in self.guest.got()]

    def test_after_the_last_message_it_is_asked_until_it_is_heard(self) -> None:
        self.bob.say("one")
        self.bob.say("two")
        self.assertEqual(self.types_after(0.2), ["", ""])
        self.assertEqual(self.types_after(0.2), ["ping"])
        self.bob.say("three")
        self.assertEqual(self.types_after(0.9), ["", "ping", "ping", "ping"], "one of them is the window's question")
        self.guest.send({"type": "pong"})
        self.assertEqual(self.types_after(15), [])

    def test_not_for_ever(self) -> None:
        self.bob.say("one")
        self.assertEqual(self.types_after(19), ["", *["ping"] * len(silence.PROBES)])

    def test_what_is_about_to_be_said_is_question_enough(self) -> None:
        self.bob.say("one")
        self.assertEqual(self.types_after(0.1), [""])
        self.server.network.full = True
        self.bob.say("two")
        self.assertEqual(self.types_after(8), [])
        self.server.network.full = False
        self.assertEqual(self.types_after(0.2), [""])
        self.assertEqual(self.types_after(9), ["ping"] * len(silence.PROBES))

    def test_what_could_not_be_said_is_asked_for_later(self) -> None:
        self.bob.say("one")
        self.assertEqual(self.types_after(0.1), [""])
        self.server.network.full = True
        self.assertEqual(self.guest.ask(type="ping"), [])
        self.assertEqual(self.types_after(8), [])
        self.server.network.full = False
        self.assertEqual(self.types_after(9), ["pong", *["ping"] * len(silence.PROBES)])

    def test_one_that_is_over_is_asked_nothing(self) -> None:
        self.bob.say("one")
        self.assertEqual(self.types_after(0), [""])
        self.guest.send({"type": "quit"})
        self.assertEqual(self.types_after(1), ["stop"])


class TokenTests(UDPTests):
    def test_who_does_not_have_it_cannot_speak(self) -> None:
        bob = self.newcomer()
        guest = self.welcome("al", "lobby", token=TOKEN)
        bob.got()
        for forged in ({}, {"token": TOKEN[::-1]}, {"token": "ä" * 16}, {"token": 7}):
            self.assertEqual(guest.say("I quit", **forged), [])
            self.assertEqual(guest.ask(type="quit", **forged), [])
        self.server.send(HERE, b"x")
        self.assertEqual((guest.got(), bob.got()), ([], []))
        self.assertEqual(guest.say("hi", id="1", token=TOKEN)[0]["type"], "ack")

    def test_who_does_not_have_it_does_not_keep_it_alive(self) -> None:
        guest = self.welcome("al", token=TOKEN)
        for _ in range(3):
            self.server.clock.advance(20)
            guest.send({"type": "pong"})
        self.assertEqual(guest.got()[-1]["type"], "stop")

    def test_who_does_not_have_it_is_not_welcomed_again(self) -> None:
        guest = self.welcome("al", token=TOKEN, id="h")
        for forged in ({}, {"token": TOKEN[::-1]}):
            self.assertEqual(guest.hello("al", id="h", **forged), [])
        self.assertEqual(guest.hello("al", id="h", token=TOKEN)[0]["type"], "welcome")

    def test_from_another_address_nothing_is_taken(self) -> None:
        self.welcome("al", "lobby", token=TOKEN)
        self.assertEqual(Guest(self.server, THERE).say("hi", token=TOKEN), [])

    def test_with_it_the_session_moves_to_another_address(self) -> None:
        self.welcome("al", "lobby", token=TOKEN)
        moved = Guest(self.server, THERE)
        self.assertEqual(moved.hello("al", token=TOKEN)[0]["type"], "welcome")
        old = Guest(self.server)
        self.assertEqual([obj["type"] for obj in old.got()], ["stop"])
        self.assertEqual(old.types(type="ping", token=TOKEN), ["stop"], "the answer to it may have got lost")
        self.assertEqual(moved.types(type="ping", token=TOKEN), ["pong"])
        self.server.clock.pump([wire.LINGER_SECONDS])
        self.assertEqual((list(self.server.port.wires), self.members()), ([THERE], ["al"]))

    def test_with_it_a_session_takes_the_place_of_one_by_another_wire(self) -> None:
        bob = self.newcomer()
        peer = self.server.connect()
        peer.ask(type="hello", nick="al", token=TOKEN)
        peer.ask(type="join", room="lobby")
        guest = self.welcome("al", "lobby", token=TOKEN)
        self.assertTrue(peer.wire.closed)
        again = self.server.connect()
        self.assertEqual(again.ask(type="hello", nick="al", token=TOKEN)[0]["type"], "welcome")
        self.assertEqual([obj["type"] for obj in guest.got()], ["stop"])
        self.assertEqual([obj["type"] for obj in bob.got()], ["join", "leave", "join", "leave"])

    def test_it_goes_with_the_session_when_the_nick_changes(self) -> None:
        self.welcome("al", token=TOKEN).ask(type="nick", nick="bo", token=TOKEN)
        self.assertEqual(Guest(self.server, THERE).hello("bo", token=TOKEN)[0]["type"], "welcome")

    def test_a_hello_with_it_that_is_refused_ends_nothing(self) -> None:
        guest = self.welcome("al", token=TOKEN)
        self.assertEqual(Guest(self.server, THERE).hello("a b", token=TOKEN)[0]["code"], "bad-nick")
        self.assertEqual(guest.types(type="ping", token=TOKEN), ["pong"])

    def test_with_it_a_new_session_takes_the_place_of_the_old_one(self) -> None:
        guest = self.welcome("al", "lobby", token=TOKEN, id="1")
        self.server.clock.advance(1)
        guest.prove()
        self.assertEqual(guest.hello("al", token=TOKEN, id="2")[0]["type"], "welcome")
        self.assertEqual(guest.numbers, [1])
        self.assertEqual(guest.types(type="ping", token=TOKEN), ["pong"])
        self.assertEqual(len(self.server.port.wires), 1)

    def test_it_is_that_of_the_hello_that_was_welcome(self) -> None:
        other = TOKEN[::-1]
        self.assertEqual(self.guest.hello("a b", token=other)[0]["code"], "bad-nick")
        self.assertEqual(self.guest.hello("al", token=TOKEN)[0]["type"], "welcome")
        self.assertEqual(Guest(self.server, THERE).hello("al", token=other)[0]["code"], "nick-taken")
        moved = Guest(self.server, THERE)
        self.assertEqual(moved.hello("al", token=TOKEN)[0]["type"], "welcome")
        self.assertEqual(moved.types(type="quit", token=TOKEN), ["stop"])
        self.server.clock.pump([wire.LINGER_SECONDS])
        self.assertEqual(self.server.port.wires, {})

    def test_a_hello_that_comes_again_after_its_session_takes_nothing_from_a_newer_one(self) -> None:
        old = self.welcome("al", token=TOKEN)
        old.ask(type="quit", token=TOKEN)
        self.server.clock.pump([wire.LINGER_SECONDS])
        new = self.welcome("al", token=TOKEN, address=THERE)
        for guest in old, new:
            guest.got()
        self.assertEqual([obj["type"] for obj in old.hello("al", token=TOKEN)], ["cookie"])
        self.assertEqual(new.types(type="ping", token=TOKEN), ["pong"])
        self.assertEqual(list(self.server.port.wires), [THERE])

    def test_a_hello_that_comes_after_a_newer_one_from_elsewhere_takes_nothing_from_it(self) -> None:
        self.guest.prove()
        self.server.clock.advance(1)
        new = self.welcome("al", token=TOKEN, address=THERE)
        self.assertEqual([obj["type"] for obj in self.guest.hello("al", token=TOKEN)], ["cookie"])
        self.assertEqual(new.types(type="ping", token=TOKEN), ["pong"])
        self.guest.prove()
        self.assertEqual([obj["type"] for obj in self.guest.hello("al", token=TOKEN)], ["welcome"])

    def test_a_second_hello_of_a_session_does_not_come_again_after_it_either(self) -> None:
        self.assertEqual(self.guest.hello("a b")[0]["code"], "bad-nick")
        self.assertEqual(self.guest.hello("al", token=TOKEN)[0]["type"], "welcome")
        self.guest.ask(type="quit", token=TOKEN)
        self.server.clock.pump([wire.LINGER_SECONDS])
        for fields in ({}, {"token": TOKEN}):
            self.assertEqual([obj["type"] for obj in self.guest.hello("al", **fields)], ["cookie"])

    def test_without_it_the_nick_is_taken(self) -> None:
        self.welcome("al", "lobby", token=TOKEN)
        (error,) = Guest(self.server, THERE).hello("al", token=TOKEN[::-1])
        self.assertEqual(error["code"], "nick-taken")
        self.assertTrue(error["msg"].endswith("free in about 60 s"), error)

    def test_one_that_is_too_short_to_be_a_secret_is_none(self) -> None:
        self.assertEqual(self.guest.hello(token="short"), [])


class OrderTests(UDPTests):
    def setUp(self) -> None:
        super().setUp()
        self.al = self.welcome("al", "lobby")
        self.heard = self.newcomer()
        self.al.got()

    def texts(self) -> list[str]:
        self.server.settle()
        return self.heard.texts()

    def test_numbered_requests_are_taken_in_their_order(self) -> None:
        for n in (3, 1, 4, 2, 5):
            self.al.say(str(n), n=n, id=f"m{n}")
        self.assertEqual(self.texts(), ["1", "2", "3", "4", "5"])

    def test_and_once(self) -> None:
        for n in (1, 1, 2, 1, 3, 3, 2):
            self.al.say(str(n), n=n)
        self.assertEqual(self.texts(), ["1", "2", "3"])

    def test_what_is_said_again_is_answered_again(self) -> None:
        (first,) = self.al.say("hi", n=1, id="1")
        (again,) = self.al.say("hi", n=1, id="1")
        self.assertEqual(first, again)

    def test_a_message_for_one_nick_arrives_once(self) -> None:
        for _ in range(3):
            self.assertEqual(self.al.types(type="", to="bob", msg="psst", n=1, id="1"), ["ack"])
        self.assertEqual(self.texts(), ["psst"])

    def test_what_has_no_answer_yet_is_not_done_twice(self) -> None:
        self.server.fake.held.add("append")
        self.assertEqual(self.al.say("hi", n=1, id="1"), [])
        self.assertEqual(self.al.say("hi", n=1, id="1"), [])
        self.server.fake.release()
        self.assertEqual([obj["type"] for obj in self.al.got()], ["ack"])

    def test_what_is_too_far_ahead_is_let_go(self) -> None:
        self.al.say("far", n=1 + requests.WINDOW)
        self.al.say("near", n=requests.WINDOW)
        for n in range(1, requests.WINDOW):
            self.al.say("x", n=n)
        self.assertEqual(self.texts()[-1], "near")

    def test_so_many_answers_are_remembered_as_may_be_under_way(self) -> None:
        for n in range(1, requests.WINDOW + 2):
            self.al.say(str(n), n=n, id=str(n))
        self.server.clock.advance(1)
        self.al.got()
        self.assertEqual(len(self.al.say("2", n=2, id="2")), 1)
        self.assertEqual(self.al.say("1", n=1, id="1"), [])

    def test_an_id_may_come_again_with_another_number(self) -> None:
        self.server.fake.held.add("append")
        self.al.say("hi", n=1, id="1")
        self.server.fake.refuse()
        self.assertEqual(self.al.got()[0]["code"], "unavailable")
        self.server.fake.held.clear()
        self.assertEqual(self.al.say("hi", n=2, id="1")[0]["type"], "ack")
        self.assertEqual(self.al.say("hi", n=1, id="1")[0]["type"], "ack")
        self.assertEqual(self.texts(), ["hi"])

    def test_those_without_a_number_do_not_wait(self) -> None:
        self.al.say("second", n=2)
        self.al.say("at once")
        self.assertEqual(self.texts(), ["at once"])
        self.al.say("first", n=1, id="1")
        self.assertEqual(self.texts(), ["first", "second"])
        self.assertEqual(self.al.say("and an answer", id="x")[0]["id"], "x")

    def test_what_comes_while_nothing_is_read_is_said_again(self) -> None:
        wire = self.server.port.wires[HERE]
        self.al.say("2", n=2)
        wire.stop_reading()
        self.al.say("1", n=1)
        self.al.say("0")
        self.assertEqual(self.texts(), [])
        wire.go_on_reading()
        self.al.say("1", n=1)
        self.assertEqual(self.texts(), ["1", "2"])

    def test_what_is_held_while_nothing_is_read_comes_later(self) -> None:
        self.patch(participant, "MAX_UNSETTLED", 1)
        self.server.fake.held.add("append")
        self.al.say("2", n=2)
        self.al.say("1", n=1)
        self.assertEqual(len(self.server.fake.waiting), 1)
        self.server.fake.release()
        self.server.settle()
        self.server.fake.release()
        self.assertEqual(self.texts(), ["1", "2"])


class PaceTests(UDPTests):
    """A replay does not flood, loses nothing, and takes no memory for who does not read it.

    The client does no more than answer each ping.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.server.welcome("bob", "lobby")
        for number in range(2000):
            self.bob.say(str(number))
        self.server.hush(self.bob)
        self.al = self.welcome("al")
        self.al.answers_pings = True
        self.wire = self.server.port.wires[HERE]

    def step(self) -> list[dict[str, Any]]:
        self.server.clock.advance(wire.PACE_SECONDS)
        return self.al.got()

    def test_a_replay_comes_at_a_pace_and_whole(self) -> None:
        heard = self.al.ask(type="join", room="lobby", since=0)
        self.assertEqual(len(heard), sending.FIRST_WINDOW)
        heard += self.step()
        self.assertLessEqual(len(heard), sending.BURST + sending.RATE * wire.PACE_SECONDS)
        while len(heard) < 2001:
            more = self.step()
            self.assertTrue(0 < len(more) <= sending.RATE * wire.PACE_SECONDS + 1)
            heard += more
            self.assertLess(len(self.wire._sender.waiting), 513 + wire.HIGH)
        self.assertEqual([obj["msg"] for obj in heard[1:]], [str(number) for number in range(2000)])
        self.bob.say("live")
        self.assertEqual([obj["msg"] for obj in self.step()], ["live"])

    def test_what_is_said_meanwhile_is_not_queued(self) -> None:
        self.al.ask(type="join", room="lobby", since=1900)
        self.assertTrue(self.wire._sender.waiting)
        for number in range(2000, 3000):
            self.bob.say(str(number))
            self.server.settle()
        self.assertLess(len(self.wire._sender.waiting), 513 + wire.HIGH)
        heard: list[str] = []
        while "2999" not in heard:
            heard += [obj["msg"] for obj in self.step()]
        self.assertEqual(heard, sorted(heard, key=int))
        self.assertEqual(len(self.step()), 0)

    def test_answers_come_meanwhile(self) -> None:
        heard = self.al.ask(type="join", room="lobby", since=0)
        self.al.send({"type": "ping", "id": "p"})
        while heard[-1]["type"] != "pong":
            heard += [obj for obj in self.step() if obj["type"] == "pong"]
        self.assertTrue(self.wire._paused or self.wire._sender.waiting)

    def test_where_nothing_can_be_sent_it_waits(self) -> None:
        self.server.network.full = True
        self.assertEqual(self.al.ask(type="ping"), [])
        self.assertEqual(self.step(), [])
        self.server.network.full = False
        self.assertEqual([obj["type"] for obj in self.step()], ["pong"])
        self.assertEqual(self.al.numbers, [2])

    def test_what_was_written_is_sent_before_the_end(self) -> None:
        heard = self.al.ask(type="join", room="lobby", since=0)
        self.al.send({"type": "quit"})
        while heard[-1]["type"] != "stop":
            heard += self.step()
        self.assertGreater(len(heard), wire.HIGH)
        self.assertEqual(self.members(), ["bob"])

    def test_a_quit_said_again_before_the_end_is_not_answered_earlier(self) -> None:
        self.al.ask(type="join", room="lobby", since=0)
        self.al.got()
        self.al.send({"type": "quit"})
        self.al.got()
        self.al.send({"type": "quit"}, {"type": "quit"}, {"type": "pong"})
        self.assertEqual(self.al.got(), [])

    def test_one_that_was_cut_and_asks_again_hears_the_last_that_was_sent(self) -> None:
        heard = self.al.ask(type="join", room="lobby", since=0) + self.al.got()
        self.wire.abort()
        self.server.clock.advance(1)
        (again,) = self.al.ask(type="pong")
        self.assertEqual(again, heard[-1])

    def test_an_end_that_comes_twice_is_one(self) -> None:
        limits = Limits(connections_per_address=1)
        self.server.port.stopProtocol()
        self.server = UDPServer(limits)
        self.welcome("al")
        first = self.server.port.wires[HERE]
        first.abort()
        first.abort()
        self.welcome("bo", address=(HERE[0], 1))
        other = Guest(self.server, (HERE[0], 2))
        self.assertEqual(other.hello("cy")[0]["code"], "full")

    def test_an_end_that_cannot_be_sent_does_not_last(self) -> None:
        self.server.network.full = True
        self.al.ask(type="quit")
        self.server.clock.pump([1] * 21)
        self.assertEqual(self.server.port.wires[HERE], self.wire)
        self.server.clock.pump([1] * 61)
        self.assertEqual(self.server.port.wires, {})

    def test_a_hello_or_a_request_said_again_waits_for_its_turn(self) -> None:
        self.al.ask(type="join", room="lobby", since=0, id="j", n=1)
        self.assertEqual(len(self.al.got()), sending.BURST - sending.FIRST_WINDOW - 1, "as much as the pace allows")
        self.assertEqual(self.al.hello("al"), [])
        self.assertEqual(self.al.ask(type="join", room="lobby", since=0, id="j", n=1), [])

    def test_however_often_it_is_said(self) -> None:
        self.assertEqual(self.al.types(type="ping", id="p", n=1), ["pong"])
        for _ in range(1000):
            self.al.send({"type": "ping", "id": "p", "n": 1})
        self.assertEqual(len(self.wire._sender.waiting), wire.HIGH)

    def test_rooms_stop_above_the_high_water_mark_and_go_on_at_the_low_one(self) -> None:
        network = self.server.network = cast(Any, self.server.port).transport = OneAtATime()
        session = cast(Session, self.wire.participant)
        (pong,) = fit(PongSent())
        self.wire.write((pong,) * (wire.HIGH + 1))
        self.assertEqual((len(self.wire._sender.waiting), session.paused), (wire.HIGH, False))
        self.wire.write((pong,))
        for waiting in range(wire.HIGH + 1, wire.LOW, -1):
            self.assertEqual((len(self.wire._sender.waiting), session.paused), (waiting, True))
            network.full = False
            self.wire.received(b"", None)
            self.server.clock.advance(wire.PACE_SECONDS)
        self.assertEqual((len(self.wire._sender.waiting), session.paused), (wire.LOW, False))

    def test_there_is_one_timer_however_much_is_written(self) -> None:
        self.al.ask(type="join", room="lobby", since=0)
        before = len(self.server.clock.getDelayedCalls())
        for number in range(100):
            self.bob.send({"type": "", "to": "al", "msg": str(number)})
            self.server.settle()
        self.assertLessEqual(len(self.server.clock.getDelayedCalls()), before)

    def test_a_server_that_stops_cuts_who_takes_too_long(self) -> None:
        self.server.network.full = True
        self.al.ask(type="ping")
        stopped: list[None] = []
        self.bob.cut()
        self.server.chat.stop("maintenance").addCallback(stopped.append)
        self.server.clock.advance(2)
        self.assertEqual(stopped, [])
        self.server.clock.advance(1)
        self.assertEqual(stopped, [None])
        self.wire.abort()


class CostTests(UDPTests):
    """A reply for many sessions is made to fit once, and no datagram is decoded to recognise it."""

    def test_a_message_is_made_to_fit_once_for_all_who_read_it(self) -> None:
        bob = self.newcomer()
        guests = [self.welcome(f"al{i}", "lobby", address=(HERE[0], 2000 + i)) for i in range(5)]
        for guest in guests:
            guest.got()
        fitted: list[Reply] = []

        def counted(reply: Reply) -> tuple[Datagram, ...]:
            fitted.append(reply)
            return fit(reply)

        self.patch(encoding, "fit", counted)
        for text in ("hi", "x" * 5000):
            bob.say(text)
            got = [guest.got() for guest in guests]
            self.assertEqual([objects[0]["type"] for objects in got], [""] * 5)
            self.assertEqual(len(fitted), 1)
            fitted.clear()

    def test_what_is_sent_is_not_decoded(self) -> None:
        guest = self.welcome("al", "lobby")
        self.patch(messages.codec, "_decode_reply", None)
        self.patch(requests, "read_envelope", None)
        self.assertEqual(guest.say("hi", id="1", n=1)[0]["type"], "ack")
        self.assertEqual(guest.say("hi", id="1", n=1)[0]["type"], "ack")


class WindowTests(UDPTests):
    """A client is sent so much and no more until it is heard."""

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.server.welcome("bob", "lobby")
        for number in range(3000):
            self.bob.say(f"{number} ".ljust(1000))
        self.server.hush(self.bob)
        self.al = self.welcome("al", token=TOKEN)

    def pong(self) -> None:
        self.al.send({"type": "pong", "token": TOKEN})

    def seconds_to_read_all(self, round_trip: float) -> float:
        """Replay everything to one that only answers pings, and return how long that took."""
        began = self.server.clock.seconds()
        self.al.send({"type": "join", "room": "lobby", "since": 0, "token": TOKEN})
        heard: list[int] = []
        while len(heard) < 3000:
            self.server.clock.advance(0.005)
            for obj in self.al.got():
                if obj["type"] == "":
                    heard.append(int(obj["msg"].split()[0]))
                elif obj["type"] == "ping":
                    self.server.clock.callLater(round_trip, self.pong)
        self.assertEqual(heard, list(range(3000)))
        return self.server.clock.seconds() - began

    def test_one_that_asks_for_everything_and_is_silent_gets_a_window_and_questions(self) -> None:
        sent = self.al.ask(type="join", room="lobby", since=0, token=TOKEN)
        self.server.clock.pump([0.1] * 950)
        sent += self.al.got()
        questions = sending.QUESTIONS + len(silence.PROBES) + 2
        self.assertEqual(
            [obj["type"] for obj in sent],
            ["joined", *[""] * 3, "ping", *([""] * 4 + ["ping"]) * 3] + ["ping"] * (questions - 4),
        )
        self.assertEqual((self.server.port.wires, self.members()), ({}, ["bob"]))

    def test_it_goes_on_with_a_sign_of_life_of_any_kind(self) -> None:
        self.al.ask(type="join", room="lobby", since=0, token=TOKEN)
        hello = {"type": "hello", "nick": "al", "cookie": self.al.cookie}
        for sign in ({"type": "pong"}, {"type": "who", "room": "lobby"}, {"type": "?"}, {"type": "", "msg": 7}, hello):
            self.server.clock.pump([0.1] * 100)
            self.al.got()
            self.server.clock.advance(0.1)
            self.assertEqual(self.al.got(), [])
            self.assertGreater(len(self.al.ask(**sign, token=TOKEN)), sending.FIRST_WINDOW)

    def test_one_that_quits_meanwhile_is_asked_and_gets_everything(self) -> None:
        heard = self.al.ask(type="join", room="lobby", since=2900, token=TOKEN)
        self.al.send({"type": "quit", "token": TOKEN})
        self.server.clock.pump([0.02] * 3)
        heard += self.al.got()
        self.server.clock.pump([0.02] * 100)
        heard += self.al.got()
        self.assertEqual(heard[-1]["type"], "ping", "it is asked again")
        while heard[-1]["type"] != "stop":
            self.pong()
            self.server.clock.pump([0.02] * 20)
            heard += self.al.got()
        texts = [int(obj["msg"].split()[0]) for obj in heard if obj["type"] == ""]
        self.assertEqual(texts, list(range(2900, 3000)))
        self.server.clock.pump([wire.LINGER_SECONDS])
        self.assertEqual(self.server.port.wires, {})

    def test_what_does_not_have_its_token_is_no_sign(self) -> None:
        self.al.ask(type="join", room="lobby", since=0, token=TOKEN)
        for datagram in (b'{"type":"pong"}', b"", b"x", b'{"type":"hello","nick":"al"}'):
            self.server.send(HERE, datagram)
            self.assertEqual(self.al.got(), [])

    def test_the_window_never_grows_beyond_a_bound(self) -> None:
        heard = self.al.ask(type="join", room="lobby", since=0, token=TOKEN)
        counts = []
        for _ in range(8):
            counts.append(len([obj for obj in heard if obj["type"] != "ping"]))
            self.pong()
            self.server.clock.pump([0.02] * 20)
            heard = self.al.got()
        self.assertEqual(counts, [16, 32, 64, 128, *[sending.WINDOW] * 4])

    def test_where_the_questions_got_lost_it_is_asked_again(self) -> None:
        self.al.ask(type="history", room="lobby", after=0, limit=1, token=TOKEN)
        for number in range(20):
            self.al.send({"type": "", "to": "al", "msg": f"{number}", "token": TOKEN})
        self.server.clock.advance(0)
        self.al.got()
        for _ in range(30):
            self.bob.send({"type": "", "to": "al", "msg": "x"})
        self.al.got()
        self.server.clock.advance(silence.PROBES[0])
        self.assertEqual([obj["type"] for obj in self.al.got()], ["ping"])
        self.pong()
        self.assertGreater(len(self.al.got()), 2)

    def test_answering_pings_is_enough_to_read_at_the_full_rate(self) -> None:
        self.assertLess(self.seconds_to_read_all(0.02), 1.1 * 3000 / sending.RATE)

    def test_a_long_way_makes_it_little_slower(self) -> None:
        self.assertLess(self.seconds_to_read_all(0.2), 1.4 * 3000 / sending.RATE)

    def test_one_that_answers_others_is_asked_nothing(self) -> None:
        self.al.ask(type="join", room="lobby", token=TOKEN)
        for number in range(50):
            self.server.clock.advance(0.01)
            self.bob.say("x")
            types = self.al.types(type="", room="lobby", msg="y", id=str(number), token=TOKEN)
            self.assertEqual(types, ["", "ack"])


class SizeTests(UDPTests):
    """Replies that do not fit into a datagram."""

    LONG = "".join(f"{number:05}," for number in range(2000))

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.server.welcome("bob", "lobby")
        self.al = self.welcome("al", "lobby")
        self.al.answers_pings = True

    def drain(self) -> None:
        """Read until nothing more comes."""
        while self.next():
            pass

    def next(self) -> list[dict[str, Any]]:
        self.server.settle()
        self.server.clock.advance(0.1)
        return self.al.got()

    def test_a_long_message_says_how_much_is_missing_and_history_has_it(self) -> None:
        self.bob.say(self.LONG)
        (message,) = self.al.got()
        text, rest = message["msg"], message["rest"]
        self.assertEqual(len(text) + rest, len(self.LONG))
        while rest:
            request = {"type": "history", "room": "lobby", "after": message["seq"] - 1, "limit": 1, "skip": len(text)}
            (page,) = self.al.ask(**request)
            (piece,) = page["messages"]
            text, rest = text + piece["msg"], piece.get("rest", 0)
            self.assertTrue(len(piece["msg"]) > 900 or not rest)
        self.assertEqual(text, self.LONG)

    def test_it_is_counted_in_characters_and_cut_between_them(self) -> None:
        for text in ("ж" * 2000, "👋" * 1000, "\x01" * 2000, '"' * 5000):
            self.bob.say(text)
            (message,) = self.next()
            self.assertEqual(len(message["msg"]) + message["rest"], len(text))
            self.assertTrue(text.startswith(message["msg"]))

    def test_one_that_just_fits_is_whole(self) -> None:
        fits = cut = 0
        for length in range(1050, 1120):
            self.bob.say("x" * length)
            (message,) = self.next()
            self.assertEqual(len(message["msg"]) + message.get("rest", 0), length)
            fits, cut = fits + ("rest" not in message), cut + ("rest" in message)
        self.assertTrue(fits and cut)

    def test_a_page_of_history_has_as_many_as_fit(self) -> None:
        for number in range(40):
            self.bob.say(str(number))
        self.drain()
        after, texts = 0, []
        while True:
            (page,) = self.al.ask(type="history", room="lobby", after=after, limit=500, id="x" * 64)
            texts += [message["msg"] for message in page["messages"]]
            after = page["messages"][-1]["seq"]
            self.next()
            if not page["more"]:
                break
            self.assertGreater(len(page["messages"]), 6)
        self.assertEqual(texts, [str(number) for number in range(40)])
        (page,) = self.al.ask(type="history", room="lobby", limit=500)
        self.assertEqual((page["messages"][-1]["msg"], page["more"]), ("39", True))

    def test_a_page_that_is_too_long_without_any_text_is_an_error(self) -> None:
        far = "\U00020000"
        carol = self.server.welcome(far * 32, far * 64)
        self.server.room(far * 64).log.seq = 10**12
        for text in ("x" * 12_000, "and more"):
            carol.say(text, room=far * 64)
        self.next()
        (answer,) = self.al.ask(type="history", room=far * 64, after=0, limit=2, id="\x01" * 64)
        self.assertEqual((answer["type"], answer["code"], answer["id"]), ("error", "too-long", "\x01" * 64))
        (page,) = self.al.ask(type="history", room=far * 64, after=0, limit=2, id="x")
        (message,) = page["messages"]
        self.assertEqual(len(message["msg"]) + message["rest"], 12_000)

    def test_a_long_message_for_one_nick_comes_in_pieces(self) -> None:
        self.bob.send({"type": "", "to": "al", "msg": self.LONG, "id": "1"})
        pieces = self.al.got()
        self.assertEqual("".join(piece["msg"] for piece in pieces), self.LONG)
        self.assertEqual({(piece["author"], piece["to"]) for piece in pieces}, {("bob", "al")})

    def test_lists_end_where_the_datagram_does(self) -> None:
        for number in range(40):
            self.server.welcome("ж" * 30 + f"{number:02}", "lobby")
        self.drain()
        after = ""
        nicks: list[str] = []
        while len(nicks) < 42:
            (page,) = self.al.ask(type="who", room="lobby", after=after)
            self.assertEqual(page["count"], 42)
            nicks += page["members"]
            after = nicks[-1]
        self.assertEqual(len(set(nicks)), 42)
        for number in range(40):
            self.bob.send({"type": "join", "room": f"{number}" * 10})
        (rooms,) = self.al.ask(type="rooms")
        self.assertEqual(rooms["rooms"][0]["room"], "lobby")

    def test_a_long_topic_loses_its_end(self) -> None:
        topic = "\x01" * 256
        self.bob.send({"type": "topic", "room": "lobby", "msg": topic})
        self.bob.send({"type": "join", "room": "garden"}, {"type": "quit", "msg": topic})
        changed, left = self.al.got()
        (joined,) = self.al.ask(type="join", room="lobby")
        (rooms,) = self.al.ask(type="rooms")
        for text in (changed["msg"], left["msg"], joined["topic"], rooms["rooms"][0]["topic"]):
            self.assertTrue(len(text) > 100 and topic.startswith(text))

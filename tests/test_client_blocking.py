"""The client that needs no Twisted: places in a log, datagrams, the protocol, and threads with real servers."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat import client as package
from twisted_chat.client import blocking
from twisted_chat.client.blocking import (
    ClosedError,
    DirectMessage,
    Error,
    MemberJoined,
    MemberLeft,
    Message,
    NewLog,
    NickChanged,
    Presence,
    RequestError,
    RoomLost,
    State,
    StateChanged,
    Stop,
    TopicChanged,
    UnreachableError,
    links,
    talk,
)
from twisted_chat.client.blocking.calls import Call
from twisted_chat.client.blocking.inbox import Inbox
from twisted_chat.client.blocking.links import MAX_LINE, DatagramLink, LostError, StreamLink
from twisted_chat.client.blocking.objects import NOTICES
from twisted_chat.client.blocking.talk import STEADY_TIME, RoomState, Talk
from twisted_chat.client.datagrams import encode
from twisted_chat.client.room_reader import FIRST_PAUSE, FREE_READS

from .certificates import certificate
from .programs import TIMEOUT, Server, folder
from .test_udp_lossy import start


class FakeTime:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class StreamLinkTests(SynchronousTestCase):
    """Objects over TCP."""

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.link = StreamLink("127.0.0.1", self.listener.getsockname()[1], None)
        self.addCleanup(self.link.close)
        self.server, _ = self.listener.accept()
        self.addCleanup(self.server.close)

    def test_what_the_socket_does_not_take_waits(self) -> None:
        text = "x" * 20_000_000
        self.link.send({"msg": text})
        self.link.flush()
        self.assertTrue(self.link.unsent)
        received = bytearray()
        while not received.endswith(b"\n"):
            received += self.server.recv(2**20)
            self.link.flush()
        self.assertEqual((json.loads(received), self.link.unsent), ({"msg": text}, False))

    def test_objects_may_come_in_pieces(self) -> None:
        self.assertEqual(self.link.receive(), [])
        self.server.sendall(b'{"type":"a"}\n{"ty')
        self.assertEqual(self.link.receive(), [{"type": "a"}])
        self.server.sendall(b'pe":"b"}\n\nx\n')
        self.assertEqual(self.link.receive(), [{"type": "b"}])

    def test_a_line_may_come_in_many_pieces(self) -> None:
        obj = {"msg": "x" * (MAX_LINE - 10)}
        sending = threading.Thread(target=self.server.sendall, args=(encode(obj) + b'\n{"type":"a"}\n',))
        sending.start()
        self.addCleanup(sending.join)
        received: list[dict[str, Any]] = []
        while len(received) < 2:
            received += self.link.receive()
        self.assertEqual(received, [obj, {"type": "a"}])

    def test_a_line_without_an_end_is_the_end(self) -> None:
        def send() -> None:
            self.server.sendall(b"x" * (MAX_LINE + 1))
            self.server.close()

        sending = threading.Thread(target=send)
        sending.start()
        self.addCleanup(sending.join)
        with self.assertRaisesRegex(LostError, "a line of more than 1,048,576 bytes"):
            while True:
                self.assertEqual(self.link.receive(), [])

    def test_its_end_is_one(self) -> None:
        self.server.close()
        self.assertRaises(LostError, self.link.receive)


class DatagramLinkTests(SynchronousTestCase):
    """Objects over UDP: only the socket, the rest is `Lossless`."""

    def setUp(self) -> None:
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.server.settimeout(TIMEOUT)
        self.addCleanup(self.server.close)
        answering = threading.Thread(target=self.answer)
        answering.start()
        self.link = self.open(self.server.getsockname())
        self.addCleanup(self.link.close)
        answering.join()

    def answer(self) -> None:
        """Let the first hello go by, and answer the second one."""
        self.server.recv(2000)
        _, address = self.server.recvfrom(2000)
        self.server.sendto(b'{"type":"cookie","cookie":"c"}', address)

    def open(self, *addresses: tuple[str, int]) -> DatagramLink:
        infos = [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", address) for address in addresses]
        patch = self.patch(socket, "getaddrinfo", lambda *_, **__: infos)
        try:
            return DatagramLink("chat.example", 1, "secret")
        finally:
            patch.restore()

    def test_a_host_may_have_several_addresses(self) -> None:
        answering = threading.Thread(target=self.answer)
        answering.start()
        link = self.open(("255.255.255.255", 1), self.server.getsockname())
        answering.join()
        self.assertEqual(link.socket.getpeername(), self.server.getsockname())
        link.close()

    def test_where_nobody_answers_it_says_so(self) -> None:
        self.patch(links, "OPEN_TIME", 0.3)
        error = self.assertRaises(TimeoutError, self.open, self.server.getsockname())
        self.assertEqual(str(error), "the server did not answer within 0.3 seconds")

    def test_many_at_once_are_read_in_several_turns(self) -> None:
        address = self.link.socket.getsockname()
        for number in range(1, 151):
            self.server.sendto(b'{"type":"x","n":%d}' % number, address)
        self.assertEqual((len(self.link.receive()), len(self.link.receive())), (100, 50))

    def test_a_full_socket_loses_datagrams(self) -> None:
        self.fails(BlockingIOError())
        self.assertIn(b"pong", self.server.recv(2000))

    def test_a_network_that_is_away_for_a_moment_loses_datagrams(self) -> None:
        self.fails(OSError(errno.ENETUNREACH, "Network is unreachable"))
        self.assertIn(b"pong", self.server.recv(2000))

    def test_a_server_that_is_gone_ends_it(self) -> None:
        self.assertRaises(ConnectionRefusedError, self.fails, ConnectionRefusedError())

    def fails(self, error: OSError) -> None:
        """Send what the socket does not take, and then something else."""

        class Failing:
            def send(self, _: bytes) -> int:
                raise error

        link = self.link.socket
        self.link.socket = Failing()  # type: ignore[assignment]
        self.addCleanup(setattr, self.link, "socket", link)
        self.link.send({"type": "pong"})
        self.link.flush()
        self.link.socket = link
        self.link.send({"type": "pong"})
        self.link.flush()

    def test_an_address_that_cannot_be_reached_is_an_error(self) -> None:
        self.assertRaises(OSError, DatagramLink, "255.255.255.255", 1, "secret")


class FakeLink:
    """A server that answers when one likes."""

    unsent = False
    socket = None

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []

    def send(self, obj: dict[str, Any]) -> None:
        self.objects.append(obj)

    def size(self, obj: dict[str, Any]) -> int:
        return len(json.dumps(obj))

    def sent(self) -> list[dict[str, Any]]:
        sent, self.objects = self.objects, []
        return sent


class TalkTests(SynchronousTestCase):
    """The protocol."""

    LIMITS = {"object": 1000, "rate": 10, "burst": 100}

    def setUp(self) -> None:
        self.clock = FakeTime()
        self.patch(talk, "time", self.clock)
        self.patch(talk, "WINDOW", 3)
        self.inbox = Inbox(lambda _: None)
        self.talk = Talk("al", self.inbox)
        self.connect()

    def connect(self) -> None:
        self.link = FakeLink()
        self.talk.connected(self.link)  # type: ignore[arg-type]
        (self.hello,) = self.link.sent()

    def welcome(self, **limits: int) -> None:
        self.gets(type="welcome", id=self.hello["id"], nick="al", server="s", limits=self.LIMITS | limits)

    def gets(self, **obj: Any) -> None:
        self.talk.received(obj)

    def passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.talk.tick()

    def answer(self, **fields: Any) -> dict[str, Any]:
        """Answer the one request that was sent; return it."""
        (request,) = self.link.sent()
        self.gets(id=request["id"], **fields)
        return request

    def join(self, since: int | None = None, seq: int = 0, name: str = "lobby") -> RoomState:
        room = RoomState(name, since)
        self.talk.enter(room)
        self.joined(seq, name)
        room.entered.wait(0)
        return room

    def joined(self, seq: int = 0, name: str = "lobby") -> dict[str, Any]:
        return self.answer(type="joined", room=name, topic="t", seq=seq, oldest=0, count=1)

    def say(self, room: RoomState, msg: str = "hi") -> Call:
        call = Call({"type": "", "room": room.name, "msg": msg})
        call.room = room
        self.talk.say(call)
        return call

    def hears(self, seq: int, author: str = "bob", **fields: Any) -> None:
        self.gets(type="", msg=str(seq), author=author, room="lobby", seq=seq, time="t", **fields)

    def miss(self) -> None:
        """Lose what comes, as where there is no space for it."""
        for room in self.talk.rooms.values():
            assert room.place
            room.place.broken()
            self.talk.step(room)

    def page(self, *seqs: int, more: bool = False, author: str = "bob") -> None:
        """Answer the one request for history."""
        messages = [{"type": "", "msg": str(seq), "author": author, "room": "lobby", "seq": seq} for seq in seqs]
        self.answer(type="history", room="lobby", messages=messages, more=more)

    def taken(self) -> list[str]:
        """Take all that waits in the queue."""
        return [self.inbox.take(None, 0).msg for _ in range(len(self.inbox._messages))]

    def error(self, id: str | None = None, code: str = "internal", **fields: Any) -> None:
        self.gets(type="error", code=code, msg="no", author="server", **({} if id is None else {"id": id}), **fields)

    def test_what_is_said_is_acked(self) -> None:
        self.welcome()
        room = self.join()
        call = self.say(room)
        self.assertRaises(TimeoutError, call.wait, 0)
        self.answer(type="ack", room="lobby", seq=1)
        self.assertEqual(call.wait(0), 1)

    def test_what_was_not_acked_is_said_again_with_the_same_id(self) -> None:
        self.welcome()
        room = self.join()
        first, second = self.say(room, "1"), self.say(room, "2")
        sent = self.link.sent()
        self.talk.ended("lost")
        third = self.say(room, "3")
        self.assertRaises(TimeoutError, third.wait, 0)
        self.connect()
        self.welcome()
        self.assertEqual(self.joined()["since"], 0)
        again = self.link.sent()
        self.assertEqual(again[:2], sent)
        for seq, obj in enumerate(again, 1):
            self.gets(type="ack", id=obj["id"], room="lobby", seq=seq)
        self.assertEqual([call.wait(0) for call in (first, second, third)], [1, 2, 3])

    def test_own_messages_that_come_back_are_told_by_their_acks(self) -> None:
        self.welcome()
        room = self.join()
        self.say(room, "mine")
        (mine,) = self.link.sent()
        self.talk.ended("lost")
        self.connect()
        self.welcome()
        self.joined(3)
        self.hears(1, "al")
        self.hears(2)
        self.hears(3, "al")
        self.assertEqual(self.taken(), [])
        self.gets(type="ack", id=mine["id"], room="lobby", seq=3)
        self.assertEqual(self.taken(), ["1", "2"], "the first is of an earlier session")

    def test_what_a_refused_message_held_up_goes_on(self) -> None:
        self.welcome()
        room = self.join()
        call = self.say(room)
        (sent,) = self.link.sent()
        self.hears(1, "al")
        self.error(sent["id"], "denied")
        self.assertRaises(RequestError, call.wait, 0)
        self.assertEqual(self.taken(), ["1"])

    def test_what_was_missed_is_read_from_the_log(self) -> None:
        self.welcome()
        self.join()
        self.hears(1)
        self.miss()
        self.hears(4)
        self.page(2, 3, more=True)
        self.assertEqual(self.taken(), ["1", "2", "3"])
        self.page(4)
        self.assertEqual(self.taken(), ["4"])

    def test_a_page_that_cannot_be_read_is_asked_for_again(self) -> None:
        self.welcome()
        self.join()
        self.miss()
        (request,) = self.link.sent()
        self.error(request["id"])
        self.assertEqual(self.link.sent(), [])
        self.passes(4)
        self.page(1)
        self.assertEqual(self.taken(), ["1"])

    def test_a_page_that_makes_no_sense_is_asked_for_again(self) -> None:
        self.welcome()
        self.join()
        self.miss()
        self.answer(type="history", room="lobby", messages=[{"seq": 1}], more=False)
        self.assertEqual(self.link.sent(), [])
        self.passes(4)
        self.page(1)
        self.assertEqual(self.taken(), ["1"])

    def test_a_log_that_brings_nothing_is_read_more_and_more_slowly(self) -> None:
        self.welcome(rate=0)
        self.join()
        for _ in range(FREE_READS):
            self.miss()
            self.page(more=True)
        for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
            self.miss()
            self.passes(0.9 * pause)
            self.assertEqual(self.link.sent(), [])
            self.passes(0.2 * pause)
            self.page(more=True)
        self.miss()
        self.passes(4 * FIRST_PAUSE)
        self.page(1, more=True)
        self.page(2)
        self.assertEqual(self.taken(), ["1", "2"])

    def test_a_slow_consumer_gets_the_rest_from_the_log(self) -> None:
        self.welcome(rate=0)
        room = self.join()
        many = 2 * talk.HIGH + 100
        for seq in range(1, many):
            self.hears(seq)
        self.assertEqual((len(self.inbox._messages), self.link.sent()), (talk.HIGH, []))
        heard: list[str] = []
        while len(heard) < many - 1:
            heard += self.taken()
            self.talk.step(room)
            for request in self.link.sent():
                seqs = range(request["after"] + 1, min(request["after"] + 500, many))
                messages = [{"type": "", "msg": str(seq), "author": "bob", "seq": seq} for seq in seqs]
                self.gets(type="history", id=request["id"], room="lobby", messages=messages, more=seqs[-1] < many - 1)
        self.assertEqual(heard, [str(seq) for seq in range(1, many)])

    def test_a_new_log_is_read_from_its_beginning(self) -> None:
        new = self.told(NewLog)
        self.welcome()
        self.join(seq=50)
        self.talk.ended("lost")
        self.connect()
        self.welcome()
        self.joined(2)
        self.page(1, 2)
        self.assertEqual(self.taken(), ["1", "2"])
        self.tell_all()
        self.assertEqual(new, [NewLog("lobby")])

    def test_messages_have_a_pace(self) -> None:
        self.welcome(burst=10, rate=10)
        room = self.join()
        self.talk._window = 100
        for _ in range(20):
            self.say(room)
        at_once = len(self.link.sent())
        self.assertLessEqual(at_once, 10)
        self.passes(1)
        self.assertTrue(1 <= len(self.link.sent()) <= 10)

    def test_a_server_cannot_keep_it_busy(self) -> None:
        self.welcome()
        room = self.join()
        self.say(room)
        self.error(self.link.sent()[0]["id"], "rate-limited", retry=0)
        self.passes(0.9 * talk.LEAST_PAUSE)
        self.assertEqual(self.link.sent(), [])
        self.passes(0.2 * talk.LEAST_PAUSE)
        self.answer(type="ack", room="lobby", seq=1)

    def test_a_server_that_takes_no_burst_still_takes_one_at_a_time(self) -> None:
        self.welcome(burst=0, rate=10)
        self.talk.enter(RoomState("lobby", None))
        self.joined()
        self.say(self.talk.rooms["lobby"])
        self.passes(1)
        self.assertEqual(len(self.link.sent()), 1)

    def test_an_answer_that_makes_no_sense_fails_its_request(self) -> None:
        self.welcome()
        room = self.join()
        said = self.say(room)
        self.answer(type="ack", room="lobby", seq="x")
        entering = RoomState("garden", None)
        self.talk.enter(entering)
        self.answer(type="joined")
        for call in (said, entering.entered):
            self.assertEqual(self.assertRaises(RequestError, call.wait, 0).code, "internal")

    def test_nor_is_a_nick_asked_for_again_then(self) -> None:
        self.welcome()
        rename = Call({"type": "nick", "nick": "alf"}, self.talk.renamed)
        self.talk.rename(rename)
        self.answer(type="nick")
        self.assertRaises(RequestError, rename.wait, 0)
        self.gets(type="ping")
        self.assertEqual([obj["type"] for obj in self.link.sent()], ["pong"])

    def test_what_is_refused_for_now_is_said_again_one_at_a_time(self) -> None:
        self.welcome()
        room = self.join()
        calls = [self.say(room, str(number)) for number in range(5)]
        first, second, third = self.link.sent()
        self.error(second["id"], "rate-limited", retry=2)
        self.gets(type="ack", id=first["id"], room="lobby", seq=1)
        self.gets(type="ack", id=third["id"], room="lobby", seq=2)
        self.assertEqual(self.link.sent(), [])
        self.passes(2)
        for seq in (3, 4, 5):
            self.answer(type="ack", room="lobby", seq=seq)
        self.assertEqual([call.wait(0) for call in calls], [1, 3, 2, 4, 5])

    def test_a_request_that_is_refused_for_now_is_asked_again(self) -> None:
        self.welcome()
        call = Call({"type": "rooms"})
        self.talk.ask(call)
        self.error(self.link.sent()[0]["id"], "unavailable")
        self.passes(1)
        self.answer(type="rooms", rooms=[])
        self.assertEqual(call.wait(0)["rooms"], [])

    def test_a_nick_is_changed_when_all_is_acked(self) -> None:
        self.welcome()
        room = self.join()
        self.say(room)
        rename = Call({"type": "nick", "nick": "alf"}, self.talk.renamed)
        self.talk.rename(rename)
        later = self.say(room, "later")
        (sent,) = self.link.sent()
        self.gets(type="ack", id=sent["id"], room="lobby", seq=1)
        self.answer(type="nick", author="al", nick="alf")
        self.assertEqual((rename.wait(0), self.talk.nick), ("alf", "alf"))
        self.answer(type="ack", room="lobby", seq=2)
        self.assertEqual(later.wait(0), 2)

    def test_a_nick_that_is_refused_lets_all_go_on(self) -> None:
        self.welcome()
        rename = Call({"type": "nick", "nick": "bob"}, self.talk.renamed)
        self.talk.rename(rename)
        self.error(self.link.sent()[0]["id"], "nick-taken")
        self.assertRaises(RequestError, rename.wait, 0)
        self.assertEqual(self.talk._renames, type(self.talk._renames)())

    def test_a_nick_waits_for_a_connection(self) -> None:
        self.welcome()
        room = self.join()
        self.say(room)
        self.talk.ended("lost")
        rename = Call({"type": "nick", "nick": "alf"}, self.talk.renamed)
        self.talk.rename(rename)
        self.connect()
        self.welcome()
        self.joined()
        self.answer(type="ack", room="lobby", seq=1)
        self.answer(type="nick", nick="alf")
        self.assertEqual(rename.wait(0), "alf")

    def test_leaving_waits_for_acks(self) -> None:
        self.welcome()
        room = self.join()
        self.say(room)
        left = Call({})
        self.talk.leave(room, left)
        self.answer(type="ack", room="lobby", seq=1)
        self.talk.step(room)
        self.answer(type="left", room="lobby")
        left.wait(0)
        self.assertRaises(ClosedError, self.inbox.take, room, 0)
        self.assertRaises(ClosedError, self.say(room).wait, 0)
        again = Call({})
        self.talk.leave(room, again)
        again.wait(0)

    def test_a_room_that_was_left_is_read_no_more(self) -> None:
        self.welcome()
        room = self.join()
        self.miss()
        (reading,) = self.link.sent()
        self.talk.leave(room, Call({}))
        self.answer(type="left", room="lobby")
        self.error(reading["id"])
        self.passes(4)
        self.assertEqual(self.link.sent(), [])

    def test_nor_after_a_pause(self) -> None:
        self.welcome(rate=0)
        room = self.join()
        for _ in range(FREE_READS):
            self.miss()
            self.page(more=True)
        self.miss()
        self.talk.leave(room, Call({}))
        self.answer(type="left", room="lobby")
        self.passes(4)
        self.assertEqual(self.link.sent(), [])

    def test_a_room_that_refuses_is_lost(self) -> None:
        self.welcome()
        room = RoomState("a b", None)
        self.talk.enter(room)
        self.error(self.link.sent()[0]["id"], "bad-room")
        self.assertRaises(RequestError, room.entered.wait, 0)

    def test_a_room_that_is_full_on_return_is_tried_again(self) -> None:
        self.welcome()
        room = self.join()
        waiting = self.say(room)
        other = Call({"type": "", "to": "bob", "msg": "psst"})
        self.talk.say(other)
        self.link.sent()
        self.talk.ended("lost")
        self.connect()
        self.welcome()
        self.error(self.link.sent()[0]["id"], "full")
        self.passes(14)
        self.error(self.link.sent()[0]["id"], "banned")
        self.assertRaises(RequestError, waiting.wait, 0)
        self.assertRaises(RequestError, self.inbox.take, room, 0)

    def test_what_is_asked_without_a_connection_waits_for_one(self) -> None:
        room = RoomState("lobby", None)
        self.talk.enter(room)
        call = Call({"type": "rooms"})
        self.talk.ask(call)
        self.assertEqual(self.link.sent(), [])
        self.welcome()
        rooms, join = self.link.sent()
        self.assertEqual((rooms["type"], join["type"]), ("rooms", "join"))

    def test_each_room_has_its_messages(self) -> None:
        self.welcome()
        self.join()
        garden = self.join(name="garden")
        self.hears(1)
        self.gets(type="", msg="there", author="bob", room="garden", seq=1)
        self.assertEqual(self.inbox.take(garden, 0).msg, "there")
        self.assertEqual(self.taken(), ["1"])

    def test_notices_are_counted(self) -> None:
        self.welcome()
        room = self.join()
        counts = []
        for notice in ({"type": "join"}, {"type": "join"}, {"type": "leave"}, {"type": "presence", "count": 40}):
            self.gets(**notice, author="x", room="LOBBY")
            counts.append(room.count)
        self.gets(type="topic", room="lobby", msg="new", author="x")
        self.assertEqual((counts, room.topic), ([2, 3, 2, 40], "new"))
        self.gets(type="join", room="elsewhere")

    def test_what_makes_no_sense_is_passed_over(self) -> None:
        self.welcome()
        self.join()
        nonsense: list[dict[str, Any]] = [
            {},
            {"type": 7},
            {"type": "", "msg": 7},
            {"type": "error"},
            {"type": "", "room": "x", "msg": "", "author": ""},
            {"type": "presence", "room": "lobby", "count": "many"},
            {"type": "ack", "id": "unknown"},
        ]
        for obj in nonsense:
            self.talk.received(obj)
        self.error("unknown")
        self.error()
        self.assertEqual(self.taken(), [])

    def test_a_direct_message_is_one(self) -> None:
        self.welcome()
        self.gets(type="", msg="psst", author="bob", to="al")
        self.assertEqual(self.inbox.take(None, 0), DirectMessage("psst", "bob", to="al"))

    def told(self, kind: type) -> list[Any]:
        """Collect the events of a kind."""
        events: list[Any] = []
        self.inbox.on(None, kind, events.append)
        return events

    def tell_all(self) -> None:
        """Let all be told, at the end."""
        self.talk.end(ClosedError("closed", wanted=True))
        self.inbox.wait_for_callbacks(TIMEOUT)

    def test_what_the_server_tells_is_told(self) -> None:
        told = [self.told(kind) for kind in NOTICES.values()]
        self.welcome()
        self.join()
        self.gets(type="join", author="bob", room="lobby")
        self.gets(type="leave", author="bob", room="lobby", msg="bye")
        self.gets(type="nick", author="cy", nick="cyd", room="lobby")
        self.gets(type="topic", author="cyd", room="lobby", msg="tea")
        self.gets(type="presence", room="lobby", count=200)
        self.assertRaises(LostError, self.gets, type="stop", msg="maintenance", author="server")
        self.error(code="bad-json")
        self.tell_all()
        self.assertEqual(
            [event for events in told for event in events],
            [
                MemberJoined("bob", "lobby"),
                MemberLeft("bob", "lobby", "bye"),
                NickChanged("cy", "cyd", "lobby"),
                TopicChanged("cyd", "lobby", "tea"),
                Presence("lobby", 200),
                Stop("maintenance", "server"),
                Error("bad-json", "no", "server"),
            ],
        )

    def test_the_connection_and_a_room_that_are_lost_are_told(self) -> None:
        states, rooms = self.told(StateChanged), self.told(RoomLost)
        self.welcome()
        self.join()
        self.talk.ended("the cable")
        self.talk.ended("no way")
        self.connect()
        self.welcome()
        self.error(self.link.sent()[0]["id"], "banned")
        self.tell_all()
        changes = [(change.state, change.reason) for change in states]
        connected = (State.CONNECTED, "")
        self.assertEqual(changes, [connected, (State.WAITING, "the cable"), connected, (State.CLOSED, "closed")])
        self.assertEqual([(event.room, event.error.code) for event in rooms], [("lobby", "banned")])

    def test_half_a_character_is_refused_here(self) -> None:
        self.welcome()
        room = self.join()
        self.assertEqual(self.assertRaises(RequestError, self.say(room, "\ud83d").wait, 0).code, "bad-message")

    def test_a_ping_is_answered(self) -> None:
        self.welcome()
        self.gets(type="ping")
        self.assertEqual(self.link.sent(), [{"type": "pong"}])

    def test_a_silent_server_is_asked_and_then_lost(self) -> None:
        self.passes(6)
        self.welcome()
        self.passes(6)
        self.passes(10)
        self.answer(type="pong")
        self.passes(16)
        self.passes(6)
        (ping, *_) = self.link.sent()
        self.error(ping["id"])
        self.passes(20)
        for _ in range(2):
            self.passes(6)
        self.assertRaises(LostError, self.passes, 9)

    def test_a_server_that_lets_nobody_in_is_lost(self) -> None:
        self.assertRaises(LostError, self.passes, 10)
        self.connect()
        self.welcome()
        self.passes(10)

    def test_a_stop_says_why(self) -> None:
        self.welcome()
        self.assertEqual(str(self.assertRaises(LostError, self.gets, type="stop", msg="maintenance")), "maintenance")
        self.assertEqual(str(self.assertRaises(LostError, self.gets, type="stop", msg="")), "the server ended it")

    def test_the_first_connection_has_to_be_made(self) -> None:
        self.talk.ended("no way")
        self.assertRaises(UnreachableError, self.talk.started.wait, 0)
        self.assertRaises(UnreachableError, self.inbox.take, None, 0)
        self.assertIs(self.talk.state, State.CLOSED)

    def test_the_first_hello_must_not_be_refused(self) -> None:
        self.assertRaises(LostError, self.error, self.hello["id"], "nick-taken")
        self.talk.ended("nick-taken")
        self.assertEqual(self.assertRaises(RequestError, self.talk.started.wait, 0).code, "nick-taken")

    def test_a_full_server_refuses_without_an_id(self) -> None:
        self.assertRaises(LostError, self.error, code="full")

    def test_a_later_hello_may_be_refused_for_now(self) -> None:
        self.welcome()
        self.talk.ended("lost")
        self.connect()
        self.assertRaises(LostError, self.error, self.hello["id"], "nick-taken")
        self.assertNotEqual(self.talk.ended("nick-taken"), None)
        self.connect()
        self.assertRaises(LostError, self.error, self.hello["id"], "banned")
        self.assertEqual(self.talk.ended("banned"), None)
        self.assertRaises(ClosedError, self.inbox.take, None, 0)

    def test_pauses_grow_until_a_connection_has_lasted(self) -> None:
        def pause(seconds: float) -> float:
            """Give the pause after a connection that broke so many seconds after its welcome."""
            self.welcome()
            self.passes(seconds)
            after = self.talk.ended("lost")
            self.connect()
            assert after is not None
            return after

        pauses = [pause(STEADY_TIME - 1) for _ in range(10)]
        self.assertLess(pauses[0], 1)
        self.assertTrue(all(30 <= after <= 45 for after in pauses[7:]), pauses)
        self.assertLess(pause(STEADY_TIME), 1)

    def test_at_the_end_all_who_wait_are_told(self) -> None:
        self.welcome()
        room = self.join()
        leaving = self.join(name="garden")
        calls = [Call({}), Call({"type": "rooms"}), self.say(room), self.say(leaving)]
        self.talk.leave(leaving, calls[0])
        self.talk.ask(calls[1])
        settled = Call({})
        self.talk.settle(settled)
        self.talk.quit()
        id = self.link.sent()[-1]["id"]
        self.assertRaises(LostError, self.gets, type="stop", id=id, msg="")
        self.talk.ended("")
        for call in (*calls, settled):
            self.assertRaises(ClosedError, call.wait, 0)
        late = Call({"type": "rooms"})
        self.talk.ask(late)
        self.assertRaises(ClosedError, late.wait, 0)
        self.talk.rename(late)
        self.talk.enter(room)
        self.talk.quit()
        self.talk.settle(settled := Call({}))
        settled.wait(0)

    def test_a_quit_that_is_not_answered_ends_all_the_same(self) -> None:
        self.welcome()
        self.talk.quit()
        self.assertRaises(LostError, self.passes, talk.QUIT_TIME)

    def test_a_quit_without_a_connection_is_one(self) -> None:
        self.assertRaises(LostError, self.talk.quit)

    def test_what_is_too_long_is_not_sent(self) -> None:
        self.welcome()
        room = self.join()
        self.assertEqual(self.assertRaises(RequestError, self.say(room, "x" * 1000).wait, 0).code, "too-long")

    def test_settled_is_when_nothing_waits(self) -> None:
        self.welcome()
        room = self.join()
        self.say(room)
        settled = Call({})
        self.talk.settle(settled)
        self.assertFalse(settled.done)
        self.answer(type="ack", room="lobby", seq=1)
        self.assertTrue(settled.done)


class RealTests(TestCase):
    """Threads and sockets."""

    timeout = 120

    async def client(self, port: int, nick: str, **options: Any) -> blocking.Client:
        client = blocking.Client("127.0.0.1", port, nick, timeout=TIMEOUT, **options)
        self.addCleanup(deferToThread, client.close, False)
        await deferToThread(client.start)
        return client

    def use(self, al: blocking.Client, bo: blocking.Client) -> None:
        """Do all that can be done."""
        garden = al.join("garden")
        assert al.join("GARDEN") is garden is al.room("Garden")
        assert (garden.name, sorted(al.joined), al.room("kitchen")) == ("garden", ["garden", "lobby"], None)
        assert garden.say("nobody here") == 1
        first = al.say("hi") or 0
        message = bo.receive(TIMEOUT)
        assert (message.msg, message.author, message.room, message.seq) == ("hi", "al", "lobby", first)
        for number in range(300):
            al.say(str(number), wait=False)
        lobby = bo.join("lobby")
        assert [lobby.receive(TIMEOUT).msg for _ in range(300)] == [str(number) for number in range(300)]
        assert al.tell("bo", "psst") is None
        assert isinstance(bo.receive(TIMEOUT), DirectMessage)
        assert al.set_nick("alf") == al.nick == "alf"
        lobby.set_topic("small talk")
        assert lobby.topic == "small talk"
        assert al.who("lobby").members == ["alf", "bo"] == lobby.who().members
        assert {room.room for room in al.rooms()} == {"lobby", "garden"}
        page = lobby.history(after=first, limit=3)
        assert ([message.msg for message in page.messages], page.more) == (["0", "1", "2"], True)
        assert lobby.history(before=first).messages == []
        assert (garden.count, garden.topic, garden.oldest) == (1, "", 0)
        assert repr(garden) == "<Room garden>"
        garden.leave()
        assert list(garden) == []
        assert (list(al.joined), al.unanswered) == (["lobby"], 0)
        for wrong in (lambda: al.join("a b"), lambda: al.join("lobby", since=0), lambda: al.say("x" * 20_000)):
            try:
                wrong()
            except RequestError as error:
                assert error.code in ("bad-room", "bad-message", "too-long")
            else:
                raise AssertionError("it was not refused")
        assert al.state is State.CONNECTED
        assert al.server.startswith("twisted_chat ")
        assert al.limits["nick"] == 32

    async def test_over_tcp(self) -> None:
        server = await Server.start(self)
        al, bo = await self.client(server.port, "al"), await self.client(server.port, "bo")
        await deferToThread(self.use, al, bo)
        await deferToThread(al.close)
        await deferToThread(al.close)
        self.assertIs(al.state, State.CLOSED)
        self.assertRaises(ClosedError, al.say, "too late")
        self.assertRaises(ClosedError, al.join, "lobby")
        self.assertEqual(list(al), [])

    async def test_over_tls(self) -> None:
        home = folder(self)
        certificate(home)
        server = await Server.start(self, "--port", f"tls:{home}:0:interface=127.0.0.1", home=home)
        trusts = ssl.create_default_context(cafile=str(home / "trusted.crt"))

        def use() -> list[str]:
            with (
                blocking.Client("localhost", server.port, "al", tls=trusts) as al,
                blocking.Client("localhost", server.port, "bo", tls=trusts) as bo,
            ):
                for number in range(500):
                    al.say("x" * 1000 + str(number), wait=False)
                return [bo.receive(TIMEOUT).msg[1000:] for _ in range(500)]

        self.assertEqual(await deferToThread(use), [str(number) for number in range(500)])
        with self.assertRaises(UnreachableError):
            await deferToThread(blocking.Client("localhost", server.port, "al", tls=True).start)

    async def test_who_takes_messages_slowly_misses_none(self) -> None:
        server = await Server.start(self, "--rate", "0")
        bob = await server.hello(self, "bob", "lobby")
        al = await self.client(server.port, "al")
        await bob.hears()
        count = 3 * talk.HIGH
        for number in range(count):
            bob.says(type="", room="lobby", msg=str(number))
        bob.says(type="", room="lobby", msg="end", id="end")
        await bob.hears()

        def take() -> list[str]:
            texts = []
            for message in al:
                if message.msg == "end":
                    break
                texts.append(message.msg)
            return texts

        self.assertEqual(await deferToThread(take), [str(number) for number in range(count)])

    async def test_over_udp(self) -> None:
        _, port = await start(self)
        al, bo = await self.client(port, "al", udp=True), await self.client(port, "bo", udp=True)
        await deferToThread(self.use, al, bo)

    async def test_a_place_beyond_the_log_is_one_of_another_log(self) -> None:
        server, port = await start(self)
        bob = await server.hello(self, "bob", "lobby")
        await bob.asks(type="", room="lobby", msg="first", id="1")
        for nick, udp in (("al", False), ("cy", True)):
            client = await self.client(port if udp else server.port, nick, udp=udp, since=1000)
            self.assertEqual((await deferToThread(client.receive, TIMEOUT)).msg, "first")

    async def test_a_long_message_is_whole_over_udp(self) -> None:
        server, port = await start(self)
        bob = await server.hello(self, "bob", "lobby")
        al = await self.client(port, "al", udp=True)
        text = "".join(f"{number:05}," for number in range(1500))
        bob.says(type="", room="lobby", msg=text)
        self.assertEqual((await deferToThread(al.receive, TIMEOUT)).msg, text)

    async def test_a_server_that_comes_back(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        await deferToThread(al.say, "before")
        self.assertEqual(await server.stop(), 0)
        al.say("meanwhile", wait=False)
        server = await Server.start(self, "--port", str(server.port), home=server.home)
        bo = await self.client(server.port, "bo", since=0)
        texts = await deferToThread(lambda: [bo.receive(TIMEOUT).msg for _ in range(2)])
        self.assertEqual(texts, ["before", "meanwhile"])

    async def test_closing_while_there_is_no_server(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        self.assertEqual(await server.stop(), 0)
        with self.assertRaises(TimeoutError):
            al.timeout = 0.1
            await deferToThread(al.say, "x")
        await deferToThread(al.close, False)

    async def test_closing_while_the_server_says_nothing(self) -> None:
        self.patch(talk, "QUIT_TIME", 0.1)
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        os.kill(server.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, server.pid, signal.SIGCONT)
        al.say("x", wait=False)
        al.timeout = 0.1
        with self.assertRaises(TimeoutError):
            await deferToThread(al.close)
        self.assertEqual((al.state, al._loop.is_alive()), (State.CLOSED, False))

    async def test_who_gives_up_does_not_wait_for_a_connection_that_is_being_made(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = blocking.Client("127.0.0.1", listener.getsockname()[1], "al", timeout=0.1)
            loop, connect, connecting = client._loop, client._loop._connect, threading.Event()
            self.addCleanup(connecting.set)

            def connect_late() -> links.Link:
                connecting.wait(TIMEOUT)
                return connect()

            loop._connect = connect_late
            with self.assertRaises(TimeoutError):
                await deferToThread(client.start)
            await deferToThread(client.close)
            self.assertEqual((client.state, loop.is_alive()), (State.CLOSED, True))
            self.assertRaises(ClosedError, client.rooms)
            connecting.set()
            await deferToThread(loop.join)
            with listener.accept()[0] as late:
                self.assertEqual(late.recv(1), b"", "it says nothing")

    def test_who_closes_before_a_connection_is_made_needs_none(self) -> None:
        client = blocking.Client("127.0.0.1", 1, "al")
        client._loop.do(client._talk.quit)
        client._loop._connect = lambda: self.fail("it connects")
        client._loop.run()
        self.assertIs(client.state, State.CLOSED)

    async def test_callbacks_may_ask_the_server(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        echo = blocking.Client("127.0.0.1", server.port, "echo", timeout=TIMEOUT)
        self.addCleanup(deferToThread, echo.close, False)
        heard: list[Any] = []
        over = threading.Event()

        def repeat(message: Message) -> None:
            heard.append(echo.say(f"{message.author} said {message.msg}"))
            if message.msg == "bye":
                echo.close()
                over.set()

        echo.on(Message, repeat)
        echo.on(StateChanged, lambda change: heard.append(change.state))
        await deferToThread(echo.start)
        (await bob.hears())["type"]
        bob.says(type="", room="lobby", msg="hi")
        bob.says(type="", room="lobby", msg="bye")
        self.assertEqual([(await bob.hears())["msg"] for _ in range(2)], ["bob said hi", "bob said bye"])
        await deferToThread(over.wait, TIMEOUT)
        await deferToThread(echo.close)
        self.assertEqual(heard, [State.CONNECTED, 3, 4, State.CLOSED])

    async def test_a_slow_callback_misses_nothing(self) -> None:
        server = await Server.start(self, "--rate", "0")
        bob = await server.hello(self, "bob", "lobby")
        al = await self.client(server.port, "al")
        await bob.hears()
        room = al.room("lobby")
        assert room
        held, over = threading.Event(), threading.Event()
        heard: list[str] = []

        def hear(message: Message) -> None:
            held.wait(TIMEOUT)
            heard.append(message.msg)
            if message.msg == "end":
                over.set()

        room.on(Message, hear)
        count = 3 * talk.HIGH
        for number in range(count):
            bob.says(type="", room="lobby", msg=str(number))
        bob.says(type="", room="lobby", msg="end", id="end")
        await bob.hears()
        held.set()
        await deferToThread(over.wait, TIMEOUT)
        self.assertEqual(heard, [*map(str, range(count)), "end"])

    async def test_a_room_that_is_being_left_is_entered_again_after_that(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        room = al.room("lobby")
        assert room
        al._loop.do(lambda: al._talk.leave(room._state, Call({})))
        while room._state.left is None:
            await deferToThread(room.who)
        again = await deferToThread(al.join, "lobby")
        self.assertIsNot(again, room)
        self.assertEqual(await deferToThread(again.say, "hi"), 1)

    async def test_what_has_no_answer_is_counted(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        await server.stop()
        for _ in range(3):
            al.say("x", wait=False)
        self.assertEqual(al.unanswered, 3)
        await deferToThread(al.close, False)
        self.assertEqual(al.unanswered, 0)

    async def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        for udp in (False, True):
            client = blocking.Client("127.0.0.1", port, "al", udp=udp)
            with self.assertRaises(UnreachableError):
                await deferToThread(client.start)

    async def test_a_host_that_cannot_be_one(self) -> None:
        for udp in (False, True):
            client = blocking.Client("x" * 70, 1, "al", udp=udp)
            with self.assertRaises(UnreachableError) as caught:
                await deferToThread(client.start)
            self.assertEqual(str(caught.exception), f"'{'x' * 70}' is not the name of a host")

    async def test_a_nick_that_is_taken(self) -> None:
        server = await Server.start(self)
        await self.client(server.port, "al")
        with self.assertRaises(RequestError) as caught:
            await self.client(server.port, "al")
        self.assertEqual(caught.exception.code, "nick-taken")

    async def test_without_a_room(self) -> None:
        server = await Server.start(self)
        al = await self.client(server.port, "al", room=None)
        with self.assertRaises(ClosedError):
            al.say("where?")
        with self.assertRaises(TimeoutError):
            al.receive(0)

    async def test_an_error_within_closes_at_once(self) -> None:
        server = await Server.start(self)

        def use() -> None:
            with blocking.Client("127.0.0.1", server.port, "al") as chat:
                raise ValueError(chat.nick)

        with self.assertRaises(ValueError):
            await deferToThread(use)

    async def test_a_fault_of_the_client_is_told(self) -> None:
        self.patch(threading, "excepthook", lambda _: None)
        server = await Server.start(self)
        al = await self.client(server.port, "al")
        al._loop.do(lambda: 1 // 0)  # type: ignore[arg-type]
        with self.assertRaises(ClosedError) as caught:
            await deferToThread(list, al)
        self.assertIn("ZeroDivisionError", str(caught.exception))

    async def test_connect_is_short_for_it(self) -> None:
        server = await Server.start(self)
        chat = await deferToThread(blocking.connect, "127.0.0.1", server.port, "al")
        await deferToThread(chat.close)

    def test_tls_and_udp_do_not_go_together(self) -> None:
        self.assertRaises(ValueError, blocking.Client, tls=True, udp=True)


class AloneTests(TestCase):
    """It needs Python and nothing else."""

    USE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("twisted", "msgspec", "zope"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
from {module} import Client
with Client("127.0.0.1", {port}, nick="cron") as chat:
    chat.say("done")
"""

    async def check(self, server: Server, module: str, path: Path) -> None:
        script = self.USE.format(module=module, port=server.port)
        command = [sys.executable, "-S", "-c", script]
        environment = {**os.environ, "PYTHONPATH": str(path)}
        done: Any = await deferToThread(subprocess.run, command, env=environment, capture_output=True, timeout=TIMEOUT)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    async def test_within_the_package(self) -> None:
        server = await Server.start(self)
        bob = await server.hello(self, "bob", "lobby")
        await self.check(server, "twisted_chat.client.blocking", Path(blocking.__file__).parents[3])
        self.assertEqual([(await bob.hears())["type"] for _ in range(3)], ["join", "", "leave"])

    def test_all_names_of_the_package_are_found(self) -> None:
        for name in package.__all__:
            self.assertEqual(getattr(package, name).__name__, name)
        self.assertRaises(AttributeError, getattr, package, "nothing")

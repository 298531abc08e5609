"""The promises of the library to a program. The server is in memory, and the test controls the clock."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from twisted_chat import messages as wire
from twisted_chat.client import (
    Banned,
    Client,
    ClosedError,
    Deleted,
    DirectMessage,
    Error,
    Invited,
    Kicked,
    Locked,
    MemberJoined,
    Message,
    Muted,
    RequestError,
    Room,
    RoomLost,
    Slowed,
    State,
    StateChanged,
    Stop,
    TokenInfo,
    TopicChanged,
    Unbanned,
    Unmuted,
    UnreachableError,
    connect,
)
from twisted_chat.client.protocol.engine import DEAD_TIME, QUIET_TIME, QUIT_TIME, STEADY_TIME, WELCOME_TIME
from twisted_chat.client.protocol.lines import MAX_LINE
from twisted_chat.client.protocol.partial_log import MOST
from twisted_chat.messages import AnyRequest, WireError

from .client_fakes import FakeServer, FakeTransport, Network, result


class LibraryTestCase(SynchronousTestCase):
    """A client, and a server in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = FakeServer()
        self.network = Network(self.server, self.clock)

    def connect(self, nick: str = "alice") -> Client:
        connecting = connect(self.network, nick, reactor=self.clock)
        self.network.flush()
        return cast(Client, result(connecting))

    def join(self, client: Client, room: str = "lobby", since: int | None = None) -> Room:
        joining = client.join(room, since)
        self.network.flush()
        return cast(Room, result(joining))

    def hears(self, room: Room, count: int) -> list[str]:
        """Take so many messages."""
        return [cast(Message, result(room.receive())).msg for _ in range(count)]

    def reconnect(self) -> None:
        """Lose the connection, with what is under way, and let it come back."""
        self.network.cut()
        self.network.pass_time(5)
        self.assertEqual(len(self.network.connections), 1)

    def closed(self, client: Client) -> None:
        """Close the client, and look that nothing is left behind."""
        closing = client.close()
        self.network.flush()
        result(closing)
        self.assertEqual(client.state, State.CLOSED)
        self.assertEqual(self.network.connections, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @property
    def transport(self) -> FakeTransport:
        return self.network.connections[0]


class ConnectTests(LibraryTestCase):
    def test_a_conversation_in_a_few_lines(self) -> None:
        async def bot() -> list[str]:
            heard = []
            async with await connect(self.network, "bot", reactor=self.clock) as client:
                room = await client.join("lobby")
                heard.append(str(await room.say("hello")))
                async for message in room:
                    heard.append(message.msg)
                    if message.msg == "bye":
                        break
            return heard

        running = Deferred.fromCoroutine(bot())
        self.network.flush()
        self.server.say("hi")
        self.server.say("bye")
        self.network.flush()
        self.assertEqual(result(running), ["3", "hi", "bye"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_knows_who_and_where_it_is(self) -> None:
        client = self.connect()
        self.assertEqual((client.nick, client.server[:13], client.state), ("alice", "twisted_chat ", State.CONNECTED))
        self.assertEqual(client.limits["object"], wire.MAX_OBJECT)
        room = self.join(client)
        self.assertEqual((room.name, room.topic, room.count, room.oldest), ("lobby", "", 1, 0))
        self.assertEqual(repr(room), "<Room lobby>")
        self.assertEqual((client.joined, client.room("LOBBY"), client.room("x")), ({"lobby": room}, room, None))
        self.closed(client)

    def test_without_a_server_it_says_so(self) -> None:
        self.network.error = Refused()
        connecting = connect(self.network, "alice", reactor=self.clock)
        self.clock.advance(0)
        error = self.failureResultOf(connecting, UnreachableError).value
        self.assertIsInstance(error.__cause__, Refused)
        self.assertIn("cannot reach", str(error))
        self.clock.advance(100)
        self.assertEqual((self.network.made, self.clock.getDelayedCalls()), (0, []))

    def test_a_nick_that_is_taken_is_an_exception_at_first(self) -> None:
        other = self.connect("alice")
        connecting = connect(self.network, "alice", reactor=self.clock)
        self.network.flush()
        self.assertEqual(self.failureResultOf(connecting, RequestError).value.code, "nick-taken")
        self.closed(other)

    def test_a_nick_that_is_none_is_an_exception(self) -> None:
        connecting = connect(self.network, "a b", reactor=self.clock)
        self.assertEqual(self.failureResultOf(connecting, RequestError).value.code, "bad-nick")

    def test_a_description_that_is_none_is_an_exception(self) -> None:
        self.failureResultOf(connect("nonsense:1", "alice", reactor=self.clock), ValueError)

    def test_a_description_of_an_endpoint_is_enough(self) -> None:
        reactor = MemoryReactorClock()
        connecting = connect("tcp:127.0.0.1:14900", "alice", reactor=reactor)
        host, port, factory = reactor.tcpClients[0][:3]
        self.assertEqual((host, port), ("127.0.0.1", 14900))
        connecting.cancel()
        factory.clientConnectionFailed(reactor.connectors[0], Failure(Refused()))
        self.failureResultOf(connecting, ClosedError, CancelledError)

    def test_without_a_reactor_it_takes_the_one_there_is(self) -> None:
        from twisted.internet import reactor

        self.assertIs(Client(self.network, "alice")._clock, reactor)

    def test_a_server_that_ends_the_connection_first_is_none(self) -> None:
        connecting = connect(self.network, "alice", reactor=self.clock)
        self.transport.reply(wire.Stop(msg="full", author="server"))
        self.network.flush()
        self.assertIn("full", str(self.failureResultOf(connecting, UnreachableError).value))

    def test_a_server_that_says_nothing_is_none(self) -> None:
        connecting = connect(self.network, "alice", reactor=self.clock)
        self.clock.advance(WELCOME_TIME)
        self.network.flush()
        self.assertIn("30 seconds", str(self.failureResultOf(connecting, UnreachableError).value))

    def test_it_can_be_given_up(self) -> None:
        connecting = connect(self.network, "alice", reactor=self.clock)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError, ClosedError)
        self.network.flush()
        self.assertEqual((self.network.connections, self.clock.getDelayedCalls()), ([], []))

    def test_a_real_connection_is_kept_alive_and_not_delayed(self) -> None:
        set_to: dict[str, bool] = {}
        client = Client(self.network, "alice", reactor=self.clock)
        build = self.network.connect

        def connect_tcp(factory: Any) -> Any:
            class Wrapped:
                def buildProtocol(self, address: Any) -> Any:
                    protocol = factory.buildProtocol(address)
                    make = protocol.makeConnection

                    def make_tcp(transport: Any) -> None:
                        alsoProvides(transport, ITCPTransport)
                        transport.setTcpNoDelay = lambda on: set_to.update(no_delay=on)
                        transport.setTcpKeepAlive = lambda on: set_to.update(keep_alive=on)
                        make(transport)

                    protocol.makeConnection = make_tcp
                    return protocol

            return build(cast(Any, Wrapped()))

        self.patch(self.network, "connect", connect_tcp)
        client.start()
        self.network.flush()
        self.assertEqual(set_to, {"no_delay": True, "keep_alive": True})
        self.closed(client)


class ReconnectTests(LibraryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.connect()
        self.room = self.join(self.client)
        self.states: list[tuple[State, str]] = []
        self.client.on(StateChanged, lambda event: self.states.append((event.state, event.reason)))

    def test_it_hears_what_was_said_meanwhile_once(self) -> None:
        self.server.say("1")
        self.network.flush()
        self.server.say("2")  # under way when the connection breaks
        self.network.cut()
        self.server.say("3")
        self.network.pass_time(5)
        self.server.say("4")
        self.network.flush()
        self.assertEqual(self.hears(self.room, 4), ["1", "2", "3", "4"])
        self.assertNoResult(self.room.receive())

    def test_it_says_again_what_was_not_acked(self) -> None:
        said = self.room.say("hi")
        self.reconnect()
        self.assertEqual(result(said), 3)
        self.assertEqual([message.msg for message in self.server.room("lobby").log], ["hi"])

    def test_what_was_kept_before_the_connection_broke_is_kept_once(self) -> None:
        said = self.room.say("hi")
        session, data = self.transport.session, self.transport.value()
        session.asked(data.splitlines()[-1])
        session.got()  # the server has it, and its ack is lost
        self.reconnect()
        self.assertEqual(result(said), 3)
        self.server.say("yo")
        self.network.flush()
        self.assertEqual(self.hears(self.room, 1), ["yo"])

    def test_it_tells_that_it_was_lost_and_came_back(self) -> None:
        self.reconnect()
        self.assertEqual([state for state, _ in self.states], [State.WAITING, State.CONNECTED])

    def test_it_tells_what_the_server_said_when_it_stopped(self) -> None:
        stops: list[Stop] = []
        self.client.on(Stop, stops.append)
        self.transport.reply(wire.Stop(msg="back in a minute", author="server"))
        self.network.flush()
        self.assertEqual(self.states, [(State.WAITING, "back in a minute")])
        self.assertEqual([stop.msg for stop in stops], ["back in a minute"])

    def test_pauses_grow_while_there_is_no_server(self) -> None:
        self.network.error = Refused()
        tries: list[float] = []
        refuse = self.network.connect

        def connect(factory: Any) -> Any:
            tries.append(self.clock.seconds())
            return refuse(factory)

        self.patch(self.network, "connect", connect)
        self.network.cut()
        self.network.pass_time(200)
        pauses = [later - earlier for earlier, later in pairwise(tries)]
        self.assertLess(pauses[0], 4)
        self.assertTrue(all(30 <= pause <= 46 for pause in pauses[5:]), pauses)
        self.network.error = None
        self.network.pass_time(46)
        self.assertEqual(self.client.state, State.CONNECTED)

    def pause(self) -> float:
        """Lose the connection; gives the seconds until the next one is made."""
        self.network.cut()
        lost = self.clock.seconds()
        while not self.network.connections and self.clock.seconds() < lost + 60:
            self.clock.advance(0.25)
        return self.clock.seconds() - lost

    def test_pauses_grow_while_connections_break_before_the_welcome(self) -> None:
        pauses = [self.pause() for _ in range(9)]
        self.assertTrue(all(30 <= pause <= 46 for pause in pauses[6:]), pauses)

    def test_pauses_grow_while_connections_break_soon_after_the_welcome(self) -> None:
        pauses = []
        for _ in range(9):
            pauses.append(self.pause())
            self.network.pass_time(STEADY_TIME - 1)
            self.assertEqual(self.client.state, State.CONNECTED)
        self.assertTrue(all(30 <= pause <= 46 for pause in pauses[6:]), pauses)
        self.network.pass_time(2)
        self.assertLess(self.pause(), 3)

    def test_its_own_last_connection_may_hold_its_nick_for_a_while(self) -> None:
        self.network.connections[0].cut()
        other = self.server.chat.welcome("alice")
        self.network.pass_time(30)
        self.assertEqual(self.client.state, State.WAITING)
        self.assertIn("the nick alice is still taken", self.states[-1][1])
        made = self.network.made
        self.network.pass_time(30)
        self.assertLessEqual(self.network.made - made, 2, "the pauses grow though each connection is made")
        other.cut()
        self.network.pass_time(46)
        self.assertEqual(self.client.state, State.CONNECTED)
        self.server.say("hi")
        self.network.flush()
        self.assertEqual(self.hears(self.room, 1), ["hi"])

    def test_a_connection_that_the_server_does_not_miss_does_not_keep_its_nick(self) -> None:
        silent = self.transport.session
        self.patch(silent, "gone", lambda: None)
        self.reconnect()
        self.assertEqual([state for state, _ in self.states], [State.WAITING, State.CONNECTED])
        self.assertTrue(silent.is_over)

    def test_a_client_that_is_not_let_in_again_says_so(self) -> None:
        self.server.refuse = lambda request: WireError("banned", "you are banned") if _is_hello(request) else None
        waiting = self.room.receive()
        self.reconnect_and_fail()
        error = self.failureResultOf(waiting, ClosedError).value
        self.assertIn("you are banned", str(error))
        self.assertEqual(cast(RequestError, error.__cause__).code, "banned")
        self.assertEqual(self.states[-1][0], State.CLOSED)
        self.failureResultOf(Deferred.fromCoroutine(self.room.__anext__()), ClosedError)
        self.failureResultOf(self.room.say("hi"), ClosedError)
        self.assertIsNone(result(self.client.close()))

    def reconnect_and_fail(self) -> None:
        self.network.cut()
        self.network.pass_time(5)
        self.assertEqual(self.network.connections, [])

    def test_a_room_that_does_not_let_it_in_again_says_so(self) -> None:
        lost: list[RoomLost] = []
        self.client.on(RoomLost, lost.append)
        self.server.refuse = lambda request: WireError("banned", "not here") if isinstance(request, wire.Join) else None
        waiting = self.room.receive()
        self.reconnect()
        self.assertEqual(self.failureResultOf(waiting, RequestError).value.code, "banned")
        self.assertEqual((lost[0].room, self.client.joined), ("lobby", {}))

    def test_a_silent_server_is_asked_and_a_dead_one_is_left(self) -> None:
        self.network.pass_time(QUIET_TIME * 4)
        self.assertEqual(self.states, [], "it answered")
        self.clock.pump([QUIET_TIME / 2] * int(DEAD_TIME / QUIET_TIME * 2 + 1))
        self.transport.clear()
        self.network.flush()
        self.assertEqual([state for state, _ in self.states], [State.WAITING])


def _is_hello(request: AnyRequest) -> bool:
    return isinstance(request, wire.Hello)


class RoomTests(LibraryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.connect()
        self.room = self.join(self.client)

    def flushed(self, answer: Deferred[Any]) -> Any:
        self.network.flush()
        return result(answer)

    def test_iterating_ends_when_the_room_is_left(self) -> None:
        async def read() -> list[str]:
            return [message.msg async for message in self.room]

        reading = Deferred.fromCoroutine(read())
        self.server.say("hi")
        self.network.flush()
        self.assertIsNone(self.flushed(self.room.leave()))
        self.assertEqual(result(reading), ["hi"])
        self.failureResultOf(self.room.say("hi"), ClosedError)
        self.assertEqual(self.client.joined, {})

    def test_leaving_twice_is_leaving_once(self) -> None:
        first, second = self.room.leave(), self.room.leave()
        self.assertIsNone(self.flushed(first))
        self.assertIsNone(result(second))
        self.assertIsNone(result(self.room.leave()))

    def test_a_message_has_the_time_and_the_number_that_the_server_gave_it(self) -> None:
        said = self.room.say("hi")
        assert said.request is not None
        self.assertEqual((said.request.seq, said.request.time), (None, None))
        self.flushed(said)
        self.assertEqual((said.request.seq, said.request.time), (3, "2026-11-22T11:06:36.125Z"))

    def test_what_waits_is_known_in_the_order_of_asking(self) -> None:
        self.network.cut()
        said, topic, asked = self.room.say("hi"), self.room.set_topic("tea"), self.room.who()
        self.assertEqual(self.client.waiting, [said.request, topic.request, asked.request])
        self.assertEqual([request.changes for request in self.client.waiting], [True, True, False])
        self.network.pass_time(2)
        self.assertEqual((result(said), result(topic), result(asked).members), (3, None, ["alice"]))
        self.assertEqual((self.room.topic, self.client.waiting), ("tea", []))

    def test_an_answer_that_nobody_waits_for_any_more_is_passed_over(self) -> None:
        for answer in (self.room.say("hi"), self.client.rooms()):
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
        self.network.flush()
        self.assertEqual((self.client.unanswered, [one.msg for one in self.server.room("lobby").log]), (0, ["hi"]))

    def test_a_message_that_is_cancelled_before_it_is_sent_is_not_sent(self) -> None:
        self.network.cut()
        said = self.room.say("hi")
        said.cancel()
        self.failureResultOf(said, CancelledError)
        self.network.pass_time(5)
        self.assertEqual((self.client.waiting, self.server.room("lobby").log), ([], []))

    def test_what_was_said_since_is_read_first(self) -> None:
        for text in ("1", "2", "3"):
            self.server.say(text, room="other")
        other = self.join(self.client, "other", since=3)
        self.assertEqual(self.hears(other, 2), ["2", "3"])

    def test_joining_twice_gives_the_same_room(self) -> None:
        joining, again = self.client.join("other"), self.client.join("OTHER")
        self.assertIs(self.flushed(joining), result(again))
        self.assertIs(result(self.client.join("lobby")), self.room)
        error = self.failureResultOf(self.client.join("lobby", since=1), RequestError).value
        self.assertEqual(error.code, "bad-message")

    def test_a_room_that_is_being_left_is_joined_again_after_that(self) -> None:
        leaving, joining = self.room.leave(), self.client.join("lobby")
        self.assertIsNone(self.flushed(leaving))
        again = result(joining)
        self.assertIsNot(again, self.room)
        self.server.say("hi")
        self.network.flush()
        self.assertEqual(self.hears(again, 1), ["hi"])

    def test_two_joins_while_a_room_is_being_left_give_the_same_room(self) -> None:
        self.room.leave()
        joining, again = self.client.join("lobby"), self.client.join("lobby")
        room = self.flushed(joining)
        self.assertIs(result(again), room)
        self.server.say("hi")
        self.network.flush()
        self.assertEqual(self.hears(room, 1), ["hi"])

    def test_a_bad_name_is_refused_at_once(self) -> None:
        self.assertEqual(self.failureResultOf(self.client.join("a b"), RequestError).value.code, "bad-room")

    def test_a_refused_join_is_an_exception(self) -> None:
        self.server.refuse = lambda request: WireError("denied", "not you") if isinstance(request, wire.Join) else None
        joining = self.client.join("other")
        self.network.flush()
        self.assertEqual(self.failureResultOf(joining, RequestError).value.code, "denied")
        self.assertEqual(list(self.client.joined), ["lobby"])

    def test_history_comes_in_pages(self) -> None:
        for i in range(5):
            self.server.say(str(i))
        page = self.flushed(self.room.history(limit=2))
        self.assertEqual(([message.msg for message in page.messages], page.more), (["3", "4"], True))
        page = self.flushed(self.room.history(before=6))
        self.assertEqual(([message.msg for message in page.messages], page.more), (["0"], False))
        page = self.flushed(self.room.history(after=6, limit=2))
        self.assertEqual(([message.msg for message in page.messages], page.more), (["2", "3"], True))

    def test_members_rooms_topics_and_nicks(self) -> None:
        self.assertEqual(self.flushed(self.room.who()).members, ["alice"])
        self.assertEqual(self.flushed(self.client.who("lobby")).count, 1)
        self.assertIsNone(self.flushed(self.room.set_topic("tea")))
        self.assertEqual([(info.room, info.topic) for info in self.flushed(self.client.rooms())], [("lobby", "tea")])
        self.assertEqual(self.room.topic, "tea")
        self.assertEqual(self.flushed(self.client.set_nick("al")), "al")
        self.assertEqual(self.client.nick, "al")
        self.server.chat.welcome("bob")
        self.assertIsNone(self.flushed(self.client.tell("bob", "psst")))
        self.assertEqual(self.client.unanswered, 0)

    def test_what_came_too_fast_is_said_again(self) -> None:
        self.server.refuse = lambda request: WireError("rate-limited", "slowly", retry=2)
        said = self.room.say("hi")
        self.network.flush()
        self.server.refuse = lambda request: None
        self.network.pass_time(2)
        self.assertEqual(result(said), 3)

    def test_callbacks_are_told_in_place_of_who_iterates(self) -> None:
        self.server.say("before")
        self.network.flush()
        heard: list[str] = []
        forget = self.room.on(Message, lambda message: heard.append(message.msg))
        self.server.say("then")
        self.network.flush()
        self.assertEqual(heard, ["before", "then"])
        self.failureResultOf(self.room.receive(), RuntimeError)
        forget()
        self.server.say("after")
        self.network.flush()
        self.assertEqual(self.hears(self.room, 1), ["after"])

    def test_a_callback_of_the_client_hears_all_rooms(self) -> None:
        self.server.say("before")
        self.network.flush()
        heard: list[tuple[str | None, str]] = []
        self.client.on(Message, lambda message: heard.append((message.room, message.msg)))
        self.join(self.client, "other")
        for i in range(2 * MOST):
            self.server.say(str(i), room="other")
        self.network.flush()
        self.assertEqual(heard[:2], [("lobby", "before"), ("other", "0")])
        self.assertEqual(len(heard), 1 + 2 * MOST)

    def test_presence_and_direct_messages_are_told(self) -> None:
        heard: list[object] = []
        for kind in (MemberJoined, TopicChanged, DirectMessage):
            self.client.on(kind, heard.append)
        in_room: list[object] = []
        self.room.on(MemberJoined, in_room.append)
        events = [
            MemberJoined(author="bob", room="lobby"),
            MemberJoined(author="bob", room="other"),
            TopicChanged(author="bob", room="lobby", msg="tea"),
            DirectMessage(msg="psst", author="bob", to="alice"),
        ]
        for said in (
            wire.MemberJoined(author="bob", room="lobby"),
            wire.MemberJoined(author="bob", room="other"),
            wire.TopicChanged(author="bob", room="lobby", msg="tea"),
            wire.Message(msg="psst", author="bob", to="alice"),
        ):
            self.transport.reply(said)
        self.network.flush()
        self.assertEqual(heard, events)
        self.assertEqual(in_room, events[:1])

    def test_a_slow_consumer_misses_nothing_and_holds_nothing_up(self) -> None:
        total = 3 * MOST
        for i in range(total):
            self.server.say(str(i))
        self.network.flush()
        said = self.flushed(self.room.say("still here"))
        self.assertEqual(said, 3 * (total + 1))
        heard = []
        for _ in range(total):
            receiving = self.room.receive()
            self.network.flush()
            heard.append(result(receiving).msg)
        self.assertEqual(heard, [str(i) for i in range(total)])
        self.server.say("live again")
        self.network.flush()
        self.assertEqual(self.hears(self.room, 1), ["live again"])

    def test_a_consumer_may_give_up_waiting_and_lose_nothing(self) -> None:
        waiting = self.room.receive()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.server.say("hi")
        self.network.flush()
        self.assertEqual(self.hears(self.room, 1), ["hi"])


class WireTests(LibraryTestCase):
    """Objects of a server that the protocol does not have."""

    def setUp(self) -> None:
        super().setUp()
        self.client = self.connect()
        self.room = self.join(self.client)

    def hear(self, data: bytes) -> None:
        self.transport.protocol.dataReceived(data)

    def test_what_it_does_not_know_is_passed_over(self) -> None:
        self.hear(b'{"type":"new"}\n[1]\n{]}\n{"type":"","msg":1}\n{"type":"join","id":"x","author":"\xff"}\n')
        self.hear(b'{"type":"","msg":"hi","author":"bob","room":"lobby","seq":3,"new":[{}]}\n')
        self.assertEqual(self.hears(self.room, 1), ["hi"])

    def test_a_line_without_an_end_ends_the_connection(self) -> None:
        states: list[StateChanged] = []
        self.client.on(StateChanged, states.append)
        self.hear(b'{"type":"","msg":"' + b"x" * (MAX_LINE - 18))
        self.assertEqual(states, [])
        self.hear(b"x")
        self.network.flush()
        self.assertEqual(states, [StateChanged(State.WAITING, "the server sent a line of more than 1,048,576 bytes")])

    def test_lines_may_come_in_pieces(self) -> None:
        lines = b"".join(
            b'{"type":"","msg":"%d","author":"bob","room":"lobby","seq":%d}\r\n' % (i, i) for i in range(1, 4)
        )
        for i in range(len(lines)):
            self.hear(lines[i : i + 1])
        self.assertEqual(self.hears(self.room, 3), ["1", "2", "3"])

    def test_an_error_of_a_newer_server_is_an_exception_all_the_same(self) -> None:
        answer = self.client.rooms()
        id = wire.decode_request(self.transport.value().splitlines()[-1]).id or ""
        self.hear(b'{"type":"error","code":"too-new","msg":"no","author":"server","id":"%s"}\n' % id.encode())
        error = self.failureResultOf(answer, RequestError).value
        self.assertEqual((error.code, error.text), ("too-new", "no"))

    def test_an_answer_of_a_newer_server_is_an_exception(self) -> None:
        answer = self.client.rooms()
        id = wire.decode_request(self.transport.value().splitlines()[-1]).id or ""
        self.hear(b'{"type":"rooms2","id":"%s"}\n' % id.encode())
        self.assertEqual(self.failureResultOf(answer, RequestError).value.code, "internal")

    def test_an_error_that_answers_nothing_is_told_or_logged(self) -> None:
        data = b'{"type":"error","code":"bad-json","msg":"no","author":"server"}\n'
        self.hear(data)
        errors: list[Error] = []
        self.client.on(Error, errors.append)
        self.hear(data)
        self.assertEqual([error.code for error in errors], ["bad-json"])


class CloseTests(LibraryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.connect()
        self.room = self.join(self.client)

    def test_it_closes_when_all_is_acked(self) -> None:
        said = self.room.say("bye")
        closing = self.client.close()
        self.assertNoResult(closing)
        self.failureResultOf(self.room.say("too late"), ClosedError)
        self.failureResultOf(self.client.join("other"), ClosedError)
        self.failureResultOf(self.room.leave(), ClosedError)
        self.network.flush()
        self.assertIsNone(result(closing))
        self.assertEqual(result(said), 3)
        self.assertEqual((self.client.state, self.network.connections), (State.CLOSED, []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_waits_for_a_connection_to_say_what_is_left(self) -> None:
        said = self.room.say("bye")
        closing = self.client.close()
        self.reconnect_then_nothing()
        self.assertEqual((result(said), result(closing)), (3, None))

    def reconnect_then_nothing(self) -> None:
        self.network.cut()
        self.network.pass_time(5)
        self.assertEqual(self.network.connections, [])

    def test_it_can_close_at_once(self) -> None:
        self.network.cut()
        said = self.room.say("bye")
        closing, hurry = self.client.close(), self.client.close(flush=False)
        self.assertEqual((result(closing), result(hurry)), (None, None))
        self.failureResultOf(said, ClosedError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_server_that_does_not_end_the_connection_is_left(self) -> None:
        closing = self.client.close()
        self.transport.clear()
        self.clock.advance(QUIT_TIME)
        self.network.flush()
        self.assertIsNone(result(closing))
        self.assertEqual(self.network.connections, [])

    def test_closing_twice_is_closing_once(self) -> None:
        self.closed(self.client)
        self.assertIsNone(result(self.client.close()))

    def test_who_closes_it_may_close_it_again(self) -> None:
        async def program() -> None:
            async with self.client:
                await self.client.close()

        running = Deferred.fromCoroutine(program())
        self.network.flush()
        self.assertIsNone(result(running))

    def test_an_iteration_ends_when_its_client_is_closed(self) -> None:
        async def read() -> str:
            async for message in self.room:
                return message.msg
            return "the end"

        reading = Deferred.fromCoroutine(read())
        self.closed(self.client)
        self.assertEqual(result(reading), "the end")

    def test_an_error_in_the_program_closes_without_waiting(self) -> None:
        async def program() -> None:
            async with self.client:
                raise ZeroDivisionError

        running = Deferred.fromCoroutine(program())
        self.network.flush()
        self.failureResultOf(running, ZeroDivisionError)
        self.assertEqual(self.client.state, State.CLOSED)


class AsyncioTests(LibraryTestCase):
    def test_a_task_of_asyncio_can_use_it(self) -> None:
        async def flush() -> None:
            while True:
                self.network.flush()
                await asyncio.sleep(0)

        async def main() -> list[str]:
            flushing = asyncio.create_task(flush())
            client = await connect(self.network, "bot", reactor=self.clock)
            room = await client.join("lobby")
            asyncio.get_running_loop().call_soon(self.server.say, "hi")
            async for message in room:
                await room.say(f"you said {message.msg}")
                break
            await client.close()
            flushing.cancel()
            return [message.msg for message in self.server.room("lobby").log]

        self.assertEqual(asyncio.run(main()), ["hi", "you said hi"])


class AccountTests(LibraryTestCase):
    """Accounts, with those of a real chat."""

    def answer(self, asking: Any) -> Any:
        self.network.flush()
        return result(asking)

    def test_a_guest_registers_and_comes_back_with_the_password(self) -> None:
        client = self.connect()
        self.assertFalse(client.account)
        self.assertIs(self.answer(client.register("correct horse")), True)
        self.assertTrue(client.account)
        room = self.join(client)
        self.reconnect()
        self.assertEqual((client.state, client.account), (State.CONNECTED, True))
        self.assertGreater(self.answer(room.say("hi")), 0)
        self.closed(client)
        failure = self.assertRaises(RequestError, self.connect)
        self.assertEqual(failure.code, "auth-failed")
        again = self.answer(connect(self.network, "alice", password="correct horse", reactor=self.clock))
        self.assertTrue(again.account)

    def test_tokens_log_in_until_they_are_revoked(self) -> None:
        client = self.connect()
        self.answer(client.register("correct horse"))
        secret = self.answer(client.make_token("phone"))
        (token,) = self.answer(client.tokens())
        self.assertEqual((type(token), token.label, token.used), (TokenInfo, "phone", None))
        self.closed(client)
        client = self.answer(connect(self.network, "alice", password=secret, reactor=self.clock))
        self.answer(client.change_password("correct horse", "battery staple"))
        self.assertIsNone(self.answer(client.revoke_token("phone")))
        self.assertEqual(self.answer(client.tokens()), [])
        self.closed(client)
        for password, code in ((secret, "auth-failed"), ("correct horse", "auth-failed")):
            asking = connect(self.network, "alice", password=password, reactor=self.clock)
            self.network.flush()
            self.assertEqual(self.failureResultOf(asking, RequestError).value.code, code)

    def test_a_guest_logs_in_without_leaving_its_rooms(self) -> None:
        client = self.connect()
        self.answer(client.register("correct horse"))
        self.closed(client)
        guest = self.connect("bob")
        states: list[State] = []
        guest.on(StateChanged, lambda change: states.append(change.state))
        room = self.join(guest)
        logging_in = guest.log_in("alice", "correct horse")
        self.network.pass_time(1)
        self.assertEqual((result(logging_in), guest.nick, guest.account), ("alice", "alice", True))
        self.server.say("hi")
        self.network.flush()
        self.assertEqual(self.hears(room, 1), ["hi"])
        self.assertEqual(states, [])

    def test_a_wrong_password_leaves_a_guest_where_it_is(self) -> None:
        client = self.connect()
        self.answer(client.register("correct horse"))
        self.closed(client)
        guest = self.connect("bob")
        logging_in = guest.log_in("alice", "wrong horse")
        self.network.pass_time(1)
        self.assertEqual(self.failureResultOf(logging_in, RequestError).value.code, "auth-failed")
        self.assertEqual((guest.nick, guest.state), ("bob", State.CONNECTED))


class OrderTests(LibraryTestCase):
    """Moderation, with that of a real chat."""

    def answer(self, asking: Any) -> Any:
        self.network.flush()
        return result(asking)

    def owner(self) -> tuple[Client, Room]:
        """Connect somebody who has an account and makes a room."""
        owner = self.connect("owner")
        self.answer(owner.register("correct horse"))
        return owner, self.join(owner, "garden")

    def test_a_room_is_moderated_and_others_are_told(self) -> None:
        _, room = self.owner()
        bob, carol = self.connect("bob"), self.connect("carol")
        for client in bob, carol:  # a ban is one of all guests from the same address, too
            self.answer(client.register("correct horse"))
        theirs = self.join(carol, "garden")
        self.join(bob, "garden")
        told: list[Any] = []
        for kind in (Muted, Unmuted, Slowed, Banned, Unbanned, Kicked, Locked):
            theirs.on(kind, lambda event: told.append(event))
        carol.on(Invited, lambda event: told.append(event))
        lost: list[RoomLost] = []
        bob.on(RoomLost, lost.append)
        for asking in (
            room.mute("bob", 60, "quiet"),
            room.unmute("bob"),
            room.slow(5),
            room.kick("bob", "spam"),
            room.ban("bob", reason="spam"),
            room.unban("bob"),
            room.invite("carol", "come"),
            room.lock(),
        ):
            self.assertIsNone(self.answer(asking))
        muted, unmuted, slowed, kicked, banned, unbanned, invited, locked = told
        self.assertEqual((muted.author, muted.nick, muted.msg, unmuted.nick), ("owner", "bob", "quiet", "bob"))
        self.assertEqual((slowed.seconds, kicked.nick, kicked.msg), (5, "bob", "spam"))
        self.assertEqual((banned.who, banned.until, unbanned.who), ("bob", None, "bob"))
        self.assertEqual((invited.room, invited.msg, locked.on), ("garden", "come", True))
        self.assertEqual([event.error.code for event in lost], ["kicked"])
        actions = self.answer(room.audit()).actions
        self.assertEqual(
            [(one.type, one.target) for one in actions][:3], [("lock", None), ("invite", "carol"), ("unban", "bob")]
        )
        self.answer(room.ban("bob", 60))
        (ban,) = self.answer(room.bans()).bans
        self.assertEqual((ban.who, ban.author), ("bob", "owner"))

    def test_what_is_not_theirs_to_do_is_denied(self) -> None:
        client = self.connect()
        room = self.join(client)
        for asking in (
            room.grant("alice", "owner"),
            client.ban("192.0.2.1"),
            client.unban("192.0.2.1"),
            client.bans(),
            client.grant("alice", "member"),
            client.audit(),
        ):
            self.network.flush()
            self.assertEqual(self.failureResultOf(asking, RequestError).value.code, "denied")
        seq = self.answer(room.say("hi"))
        self.assertIsNone(self.answer(room.report(seq, "it is mine")))


class DirectTests(LibraryTestCase):
    """The direct messages between accounts, with those of a real chat."""

    def answer(self, asking: Any) -> Any:
        self.network.flush()
        return result(asking)

    def account(self, nick: str) -> Client:
        client = self.connect(nick)
        self.answer(client.register("correct horse"))
        return client

    def log_in(self, nick: str, heard: list[str], **direct: int) -> Client:
        client = Client(self.network, nick, password="correct horse", direct=direct, reactor=self.clock)
        client.on(DirectMessage, lambda message: heard.append(f"{message.author} to {message.to}: {message.msg}"))
        self.answer(client.start())
        return client

    def test_messages_to_somebody_who_is_not_there_come_later_and_once(self) -> None:
        bob = self.account("bob")
        self.closed(bob)
        alice = self.account("alice")
        seq = self.answer(alice.tell("bob", "are you there?"))
        heard: list[str] = []
        bob = self.log_in("bob", heard, alice=0)
        self.network.flush()
        self.assertEqual(heard, ["alice to bob: are you there?"])
        self.answer(bob.tell("alice", "now I am"))
        self.answer(alice.tell("bob", "good"))
        self.assertEqual((heard[1:], (bob.direct or {})["alice"] > seq), (["alice to bob: good"], True))
        self.network.connections[-1].cut()
        self.answer(alice.tell("bob", "and now?"))
        self.network.pass_time(5)
        self.assertEqual(heard[2:], ["alice to bob: and now?"])
        page = self.answer(bob.direct_history("alice", limit=2))
        self.assertEqual([message.msg for message in page.messages], ["good", "and now?"])

    def test_all_connections_of_both_accounts_have_the_conversation(self) -> None:
        bob, alice = self.account("bob"), self.account("alice")
        heard: list[str] = []
        self.log_in("alice", heard)
        self.answer(alice.tell("bob", "from my phone"))
        self.answer(bob.tell("alice", "to both"))
        self.assertEqual(heard, ["alice to bob: from my phone", "bob to alice: to both"])

    def test_ones_own_are_deleted(self) -> None:
        bob, alice = self.account("bob"), self.account("alice")
        gone: list[Deleted] = []
        bob.on(Deleted, gone.append)
        seq = self.answer(alice.tell("bob", "oops"))
        number = self.answer(alice.delete_direct("bob", seq))
        self.network.flush()
        self.assertEqual([(event.of, event.seq, event.room) for event in gone], [(seq, number, None)])
        (message,) = self.answer(bob.direct_history("alice")).messages
        self.assertEqual((message.msg, message.deleted), ("", number))

    def test_a_message_of_a_room_is_deleted(self) -> None:
        bob, alice = self.connect("bob"), self.connect("alice")
        room, theirs = self.join(bob), self.join(alice)
        gone: list[Deleted] = []
        theirs.on(Deleted, gone.append)
        seq = self.answer(room.say("oops"))
        self.assertEqual(self.hears(theirs, 1), ["oops"])
        waiting = theirs.receive()
        number = self.answer(room.delete(seq))
        self.assertEqual([(event.of, event.seq, event.room) for event in gone], [(seq, number, "lobby")])
        self.assertNoResult(waiting)

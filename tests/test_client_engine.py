"""The promises of the client's engine, over any number of connections, without sockets, with a clock of the test."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat.client.protocol import actions, directs
from twisted_chat.client.protocol.actions import Action
from twisted_chat.client.protocol.directs import MAX_HELLO
from twisted_chat.client.protocol.engine import (
    DEAD_TIME,
    LONG_RETRY,
    QUIET_TIME,
    QUIT_TIME,
    STEADY_TIME,
    WELCOME_TIME,
    Engine,
)
from twisted_chat.client.protocol.errors import UNREADABLE, ClosedError, UnreachableError
from twisted_chat.client.protocol.events import Answered, Closed, Ended, Entered, Failed, Heard, Welcomed
from twisted_chat.client.protocol.exchange import MAX_OBJECT
from twisted_chat.client.protocol.membership import Membership
from twisted_chat.client.protocol.objects import (
    GAP,
    ActionInfo,
    Audit,
    BanInfo,
    Banned,
    Bans,
    Deleted,
    DirectMessage,
    Error,
    Granted,
    Invited,
    Kicked,
    Locked,
    MemberJoined,
    MemberLeft,
    Members,
    Message,
    Muted,
    NickChanged,
    Presence,
    Reported,
    RoomInfo,
    Slowed,
    Stop,
    TokenInfo,
    TopicChanged,
    Unbanned,
    Unmuted,
    encode,
)
from twisted_chat.client.protocol.outbox import WINDOW
from twisted_chat.client.protocol.pace import LEAST_PAUSE, LONGEST_PAUSE
from twisted_chat.client.protocol.partial_log import MAX_OWN, MOST
from twisted_chat.client.protocol.requests import Request
from twisted_chat.client.protocol.room_reader import FIRST_PAUSE, FREE_READS, LOW, PAGE
from twisted_chat.client.protocol.states import NewLog, RoomLost, State, StateChanged
from twisted_chat.messages import WireError

from .client_fakes import FakeServer, FakeSession, ids
from .helpers import Peer

Obj = dict[str, Any]


class EngineTestCase(SynchronousTestCase):
    """An engine whose server is the test."""

    LIMITS: Final = {"object": 1000, "rate": 0, "burst": 100}

    def setUp(self) -> None:
        self.now = 1000.0
        self.engine = Engine("alice", "the server", ids(), hint="try TLS")
        self.objects: list[Obj] = []
        self.events: list[Any] = []
        self.results: dict[Request, Any] = {}
        self.hello = ""

    def lists_partners(self, **seqs: int) -> None:
        """Answer the request for the direct conversations, and leave the others that were sent."""
        sent = self.sent()
        (asked,) = [obj for obj in sent if obj["type"] == "directs"]
        self.objects = [obj for obj in sent if obj is not asked]
        self.hears(id=asked["id"], type="directs", directs=[{"nick": nick, "seq": seq} for nick, seq in seqs.items()])

    # The connection

    def connect(self) -> None:
        self.engine.connected(self.now)
        (hello,) = self.sent()
        self.assertEqual((hello["type"], hello["nick"]), ("hello", self.engine.nick))
        self.hello = hello["id"]

    def welcome(self, **limits: int) -> None:
        self.connect()
        self.hears(type="welcome", id=self.hello, nick=self.engine.nick, server="s", limits=self.LIMITS | limits)

    def lose(self, reason: str = "the cable") -> None:
        self.engine.lost(reason, self.now)
        self.turn()

    def return_(self) -> None:
        """Lose the connection, and make another one."""
        self.lose()
        self.welcome()

    def turn(self) -> None:
        while self.engine.has_work:
            self.objects += self.engine.take_objects(self.now)
            for event in self.engine.take_events():
                self.events.append(event)
                if isinstance(event, Answered):
                    self.results[event.request] = event.result
                elif isinstance(event, Failed):
                    self.results[event.request] = event.error

    def sent(self) -> list[Obj]:
        """Take what was sent since the last time."""
        self.turn()
        sent, self.objects = self.objects, []
        return sent

    def sent_types(self) -> list[str]:
        return [obj["type"] for obj in self.sent()]

    def hears(self, **obj: Any) -> None:
        self.engine.received(obj, self.now)
        self.turn()

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.engine.tick(self.now)
        self.turn()

    def answers(self, **fields: Any) -> Obj:
        """Answer the one request that was sent; return it."""
        (request,) = self.sent()
        self.hears(id=request["id"], **fields)
        return request

    def refuses(self, code: str = "denied", **fields: Any) -> Obj:
        """Refuse the one request that was sent; return it."""
        return self.answers(type="error", code=code, msg="no", author="server", **fields)

    def told(self, *kinds: type) -> list[Any]:
        """Take the events of these kinds."""
        self.turn()
        told = [event for event in self.events if isinstance(event, kinds)]
        self.events = [event for event in self.events if not isinstance(event, kinds)]
        return told

    def result(self, request: Request) -> Any:
        """Give the answer to a request, or its error."""
        self.turn()
        self.assertIn(request, self.results, "there is no answer yet")
        return self.results[request]

    def waits(self, *requests: Request) -> None:
        self.turn()
        for request in requests:
            self.assertNotIn(request, self.results)
            self.assertIn(request, self.engine.waiting)

    # Rooms

    def joins(self, seq: int = 10, room: str = "lobby", **fields: Any) -> Obj:
        """Answer the one join that was sent; return it."""
        answer = {"type": "joined", "room": room, "topic": "t", "seq": seq, "oldest": 1, "count": 2}
        request = self.answers(**answer | fields)
        self.assertEqual(request["type"], "join")
        return request

    def join(self, name: str = "lobby", since: int | None = None, seq: int = 10) -> Membership:
        room = self.engine.join(name, since)
        self.joins(seq, name)
        return room

    def message(self, seq: int, author: str = "bob", room: str = "lobby", **fields: Any) -> None:
        self.hears(type="", msg=str(seq), author=author, room=room, seq=seq, **fields)

    def ack(self, id: str, seq: int | None, **fields: Any) -> None:
        self.hears(type="ack", id=id, room="lobby", seq=seq, **fields)

    def page(self, *seqs: int, more: bool = False, author: str = "bob") -> Obj:
        """Answer the one request for a page of the log; return it."""
        messages = [{"type": "", "msg": str(seq), "author": author, "room": "lobby", "seq": seq} for seq in seqs]
        return self.answers(type="history", room="lobby", messages=messages, more=more)

    def taken(self, room: Membership) -> list[int | None]:
        """Take all messages of a room that there are."""
        taken = []
        while (message := self.engine.take(room)) is not None:
            taken.append(message.seq)
        return taken


class HelloTests(EngineTestCase):
    def test_it_says_hello_first_and_is_told_of_the_welcome(self) -> None:
        self.engine.connected(self.now)
        (hello,) = self.sent()
        self.assertEqual((hello["type"], hello["nick"]), ("hello", "alice"))
        self.hears(type="welcome", id=hello["id"], nick="Alice", server="s", limits={"object": 100})
        self.assertEqual((self.engine.nick, self.engine.server, self.engine.limits), ("Alice", "s", {"object": 100}))
        self.assertEqual(self.told(StateChanged, Welcomed), [StateChanged(State.CONNECTED), Welcomed()])
        self.hears(type="welcome", id=hello["id"], nick="eve", server="s", limits={})
        self.assertEqual((self.engine.nick, self.told(Welcomed)), ("Alice", []))

    def test_every_hello_has_the_same_token_which_no_other_client_has(self) -> None:
        hellos = []
        for engine in (self.engine, Engine("alice", "the server", ids())):
            for _ in range(2):
                engine.connected(self.now)
                (hello,) = engine.take_objects(self.now)
                hellos.append(hello["token"])
                welcome = {"type": "welcome", "nick": "alice", "server": "s", "limits": {}, "id": hello["id"]}
                engine.received(welcome, self.now)
                engine.lost("the cable", self.now)
        self.assertEqual((hellos[0], hellos[2], len(hellos[0])), (hellos[1], hellos[3], 32))
        self.assertNotEqual(hellos[0], hellos[2])

    def test_a_first_hello_that_is_refused_is_the_end(self) -> None:
        self.connect()
        self.hears(type="error", id=self.hello, code="nick-taken", msg="somebody has it", author="server")
        self.assertEqual(self.engine.hang_up, "somebody has it")
        self.lose()
        (closed,) = self.told(Closed)
        self.assertEqual((closed.error.code, str(closed.error)), ("nick-taken", "somebody has it"))

    def test_a_full_server_refuses_without_an_id(self) -> None:
        self.connect()
        self.hears(type="error", code="full", msg="full", author="server")
        self.lose()
        self.assertEqual(self.told(Closed)[0].error.code, "full")

    def test_a_refusal_that_is_odd_is_one_all_the_same(self) -> None:
        for odd in (
            {},
            {"code": 5, "msg": [], "retry": "soon"},
            {"retry": -1.0},
            {"retry": math.inf},
            {"retry": 10**400},
        ):
            self.engine = Engine("alice", "the server", ids())
            self.connect()
            self.hears(type="error", id=self.hello, **odd)
            self.lose()
            (closed,) = self.told(Closed)
            self.assertEqual((closed.error.code, closed.error.text, closed.error.retry), ("internal", UNREADABLE, None))

    def test_a_welcome_that_makes_no_sense_is_a_refusal(self) -> None:
        odds: list[Obj] = [
            {"limits": {"object": "many"}, "server": "s"},
            {"limits": {}},
            {"limits": [], "server": "s"},
            {"limits": {"rate": 10**400}, "server": "s"},
            {"limits": {"rate": -1}, "server": "s"},
        ]
        for odd in odds:
            self.engine = Engine("alice", "the server", ids())
            self.connect()
            self.hears(type="welcome", id=self.hello, nick="alice", **odd)
            self.assertEqual(self.engine.hang_up, UNREADABLE)

    def test_it_says_when_it_is_to_be_looked_at_again(self) -> None:
        self.assertIsNone(self.engine.due())
        self.connect()
        self.assertEqual(self.engine.due(), self.now + QUIET_TIME / 2)
        self.lose()
        self.assertIsNone(self.engine.due())

    def test_nothing_is_asked_before_the_welcome(self) -> None:
        rooms, message = self.engine.rooms(), self.engine.tell("bob", "hi")
        self.assertEqual(self.sent(), [])
        self.welcome()
        asked, said = self.sent()
        self.assertEqual((asked["type"], said["msg"]), ("rooms", "hi"))
        self.hears(type="rooms", rooms=[{"room": "lobby", "count": 1, "topic": ""}], id=asked["id"])
        self.assertEqual(self.result(rooms), [RoomInfo("lobby", 1, "")])
        self.waits(message)

    def test_a_server_that_says_nothing_is_given_up(self) -> None:
        self.connect()
        self.passes(WELCOME_TIME - 1)
        self.assertIsNone(self.engine.hang_up)
        self.passes(1)
        self.assertEqual(self.engine.hang_up, "the server did not answer within 30 seconds")

    def test_a_connection_that_cannot_be_made_is_the_end_at_first(self) -> None:
        cause = OSError("no way")
        self.engine.failed("nobody listens there", self.now, cause)
        (closed,) = self.told(Closed)
        self.assertIsInstance(closed.error, UnreachableError)
        self.assertEqual(str(closed.error), "cannot reach the server: nobody listens there")
        self.assertEqual((closed.error.reason, closed.error.foreign), ("nobody listens there", False))
        self.assertIs(closed.error.__cause__, cause)

    def test_one_that_ends_before_the_welcome_says_what_to_try(self) -> None:
        for obj, foreign in ((None, True), ({"type": "new"}, True), ({"type": "stop", "msg": "full"}, False)):
            self.engine = Engine("alice", "the server", ids(), hint="try TLS")
            self.connect()
            if obj is not None:
                self.hears(**obj)
            self.lose("it ended")
            (closed,) = self.told(Closed)
            self.assertIsInstance(closed.error, UnreachableError)
            self.assertEqual((closed.error.foreign, "; try TLS" in str(closed.error)), (foreign, foreign))

    def test_the_shell_may_know_better_what_it_is(self) -> None:
        self.connect()
        self.engine.lost("its certificate is for another name", self.now, foreign=False)
        self.assertFalse(self.told(Closed)[0].error.foreign)


class FreshTests(EngineTestCase):
    """An engine without a connection."""

    def test_it_has_nothing_to_do(self) -> None:
        self.assertFalse(self.engine.has_work)
        self.engine.tick(self.now)
        self.assertEqual((self.sent(), self.events), ([], []))

    def test_once_it_is_closed_it_waits_for_nothing(self) -> None:
        self.welcome()
        self.assertIsNotNone(self.engine.due())
        self.engine.end(ClosedError("closed", wanted=True))
        self.assertIsNone(self.engine.due())


class ReturnTests(EngineTestCase):
    """Connections that come and go."""

    def test_an_object_that_was_not_sent_is_not_for_the_next_connection(self) -> None:
        self.engine.received({"type": "ping"}, self.now)
        self.engine.lost("the cable", self.now)
        self.connect()

    def test_an_answer_that_comes_over_the_next_connection_is_none(self) -> None:
        room = self.engine.join("lobby")
        (join,) = self.sent()
        self.return_()
        self.hears(type="joined", room="lobby", topic="", seq=1, oldest=1, count=1, id=join["id"])
        self.assertFalse(room.joined)
        self.joins()
        self.assertTrue(room.joined)

    def test_a_pause_for_the_rate_ends_with_the_connection(self) -> None:
        self.return_with_rate()
        room = self.join()
        for number in range(100):
            self.engine.say(room, str(number))
        self.assertLess(len(self.sent()), 100)
        self.lose()
        self.return_with_rate()
        self.joins()
        self.assertGreater(len(self.sent()), 50)

    def return_with_rate(self) -> None:
        self.engine.lost("the cable", self.now)
        self.welcome(burst=100, rate=10)

    def test_that_a_room_has_messages_is_told_once(self) -> None:
        room = self.join()
        self.told(Heard)
        self.engine.received({"type": "join", "author": "eve", "room": "lobby"}, self.now)
        for seq in 11, 12:
            message = {"type": "", "msg": "hi", "author": "bob", "room": "lobby", "seq": seq}
            self.engine.received(message, self.now)
        self.assertEqual(self.told(Heard), [Heard(room)])

    def setUp(self) -> None:
        super().setUp()
        self.welcome()

    def test_that_it_is_lost_and_comes_back_is_told(self) -> None:
        self.lose("the cable")
        self.engine.failed("nobody listens there", self.now)
        self.engine.failed("nobody listens there", self.now)
        self.welcome()
        self.assertEqual(
            self.told(StateChanged),
            [
                StateChanged(State.CONNECTED),
                StateChanged(State.WAITING, "the cable"),
                StateChanged(State.WAITING, "nobody listens there"),
                StateChanged(State.CONNECTED),
            ],
        )

    def test_pauses_grow_until_a_connection_has_lasted(self) -> None:
        def pause(seconds: float) -> float:
            """Give the pause after a connection that broke so many seconds after its welcome."""
            self.passes(seconds)
            self.lose()
            pause = self.engine.pause
            self.welcome()
            return pause

        pauses = [pause(STEADY_TIME - 1) for _ in range(10)]
        self.assertLess(pauses[0], 1)
        self.assertTrue(all(LONGEST_PAUSE <= pause <= 1.5 * LONGEST_PAUSE for pause in pauses[7:]), pauses)
        self.assertLess(pause(STEADY_TIME), 1)

    def test_a_nick_that_is_still_taken_is_told_and_tried_again(self) -> None:
        self.lose()
        self.connect()
        self.hears(type="error", id=self.hello, code="nick-taken", msg="somebody has this nick", author="server")
        self.lose()
        reason = self.told(StateChanged)[-1].reason
        self.assertIn("the nick alice is still taken by your last connection", reason)
        self.welcome()
        self.assertIs(self.engine.state, State.CONNECTED)

    def test_a_client_that_is_not_let_in_again_is_closed(self) -> None:
        self.lose()
        self.connect()
        self.hears(type="error", id=self.hello, code="banned", msg="you are banned", author="server")
        self.lose()
        (closed,) = self.told(Closed)
        self.assertIn("you are banned", str(closed.error))
        self.assertEqual((closed.error.wanted, closed.error.__cause__.code), (False, "banned"))

    def test_a_client_that_is_banned_does_not_try_to_come_back(self) -> None:
        for code in ("banned", "denied", "auth-failed"):
            self.engine = Engine("alice", "the server", ids())
            self.welcome()
            self.hears(type="error", code=code, msg="spam", author="server")
            self.hears(type="stop", msg="spam", author="server")
            self.lose()
            (closed,) = self.told(Closed)
            self.assertEqual((closed.error.wanted, closed.error.__cause__.code), (False, code))
            self.assertIs(self.engine.error, closed.error)

    def test_a_client_whose_place_another_one_has_taken_does_not_try_to_come_back(self) -> None:
        self.hears(type="stop", code="replaced", msg="a new connection of yours", author="server")
        self.lose()
        (closed,) = self.told(Closed)
        self.assertEqual((closed.error.wanted, closed.error.__cause__.code), (False, "replaced"))
        self.assertIn("a new connection of yours", str(closed.error))
        self.assertIs(self.engine.error, closed.error)

    def test_a_stop_with_another_code_does_not_close_the_client(self) -> None:
        for code in ("banned", "later", 7, ["replaced"]):
            self.hears(type="stop", code=code, msg="back in a minute", author="server")
            self.return_()
        self.lose()
        self.assertEqual((self.told(Closed), self.engine.state), ([], State.WAITING))

    def test_an_error_that_does_not_end_the_connection_does_not_close_the_client(self) -> None:
        self.hears(type="error", code="banned", msg="not there", author="server")
        self.hears(type="stop", msg="back in a minute", author="server")
        self.return_()
        self.hears(type="stop", msg="not there", author="server")
        self.lose()
        self.assertEqual((self.told(Closed), self.engine.state), ([], State.WAITING))

    def test_a_stop_may_say_when_to_come_back(self) -> None:
        self.hears(type="error", code="rate-limited", msg="too often", retry=400, author="server")
        self.hears(type="stop", msg="too often", author="server")
        self.lose()
        self.assertEqual((self.engine.state, self.engine.pause), (State.WAITING, 400))

    def test_a_stop_is_told_and_says_why_the_connection_ends(self) -> None:
        self.hears(type="stop", msg="back in a minute", author="server")
        self.hears(type="stop", msg="and nothing else", author="server")
        self.lose("it ended")
        self.assertEqual(self.told(Stop), [Stop("back in a minute")])
        self.assertEqual(self.told(StateChanged)[-1], StateChanged(State.WAITING, "back in a minute"))
        self.welcome()
        self.hears(type="stop")
        self.assertEqual(self.engine.hang_up, "the server ended the connection")

    def test_a_silent_server_is_asked_and_then_given_up(self) -> None:
        self.passes(QUIET_TIME / 2)
        self.assertEqual(self.sent(), [])
        self.passes(QUIET_TIME / 2)
        self.answers(type="pong")
        for _ in range(int(2 * DEAD_TIME / QUIET_TIME) - 1):
            self.passes(QUIET_TIME / 2)
            self.assertIsNone(self.engine.hang_up)
        self.assertIn("ping", self.sent_types())
        self.passes(QUIET_TIME / 2)
        self.assertEqual(self.engine.hang_up, "nothing was heard of the server for 60 seconds")

    def test_a_ping_that_is_refused_is_none(self) -> None:
        self.passes(QUIET_TIME)
        self.refuses("internal")
        self.assertEqual((self.sent(), self.told(Failed, Error)), ([], []))

    def test_pings_are_answered(self) -> None:
        self.hears(type="ping")
        self.assertEqual(self.sent(), [{"type": "pong"}])

    def test_it_says_goodbye(self) -> None:
        self.engine.quit()
        goodbye = self.answers(type="stop", msg="")
        self.assertEqual((goodbye["type"], self.engine.hang_up), ("quit", "the server ended the connection"))
        self.lose()
        self.assertEqual(self.told(StateChanged)[-1], StateChanged(State.CLOSED, "the client is closed"))
        self.assertTrue(self.told(Closed)[0].error.wanted)
        self.engine.quit()
        self.assertEqual(self.sent(), [])

    def test_a_server_that_does_not_answer_a_goodbye_is_left(self) -> None:
        self.engine.quit()
        self.passes(QUIT_TIME)
        self.assertEqual(self.engine.hang_up, "the client is closed")

    def test_without_a_connection_there_is_nobody_to_say_goodbye_to(self) -> None:
        self.lose()
        self.engine.quit()
        self.assertTrue(self.told(Closed)[0].error.wanted)

    def test_before_the_welcome_nobody_is_told_goodbye(self) -> None:
        self.lose()
        self.connect()
        self.engine.quit()
        self.assertEqual((self.sent(), self.engine.hang_up), ([], "the client is closed"))
        self.lose()
        self.assertTrue(self.told(Closed)[0].error.wanted)

    def test_a_connection_that_comes_after_the_end_is_ended(self) -> None:
        self.lose()
        self.engine.end(ClosedError("closed"))
        self.engine.connected(self.now)
        self.assertEqual((self.sent(), self.engine.hang_up), ([], "the client is closed"))
        self.hears(type="ping")
        self.assertEqual(self.sent(), [])

    def test_the_end_fails_all_that_waits_and_all_that_comes(self) -> None:
        room = self.join()
        asked = [self.engine.rooms(), self.engine.say(room, "hi"), self.engine.tell("bob", "hi")]
        asked.append(self.engine.rename("al"))
        self.engine.leave(room)
        self.engine.end(ClosedError("closed"))
        self.engine.end(ClosedError("again"))
        asked += [self.engine.rooms(), self.engine.say(room, "hi"), self.engine.rename("al")]
        late = self.engine.join("other")
        for request in asked:
            self.assertEqual(str(self.result(request)), "closed")
        self.assertEqual([ended.membership for ended in self.told(Ended)], [room, late])
        self.assertEqual((self.engine.owed, self.engine.hang_up), (0, "closed"))
        self.engine.leave(room)
        self.lose()
        self.assertEqual([change.state for change in self.told(StateChanged)], [State.CONNECTED, State.CLOSED])


class RequestTests(EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()

    def test_what_is_not_answered_is_asked_again_with_the_same_id(self) -> None:
        who = self.engine.who("lobby")
        (first,) = self.sent()
        self.lose()
        self.waits(who)
        self.welcome()
        self.assertEqual(self.sent(), [first])
        self.hears(type="members", room="lobby", members=["bob"], count=1, id=first["id"])
        self.assertEqual(self.result(who), Members("lobby", ["bob"], 1))
        self.return_()
        self.assertEqual(self.sent(), [])

    def test_a_refusal_names_what_was_refused_and_not_what_was_said(self) -> None:
        room = self.join()
        for request, text in (
            (self.engine.say(room, "secret"), "a message to lobby was refused: no"),
            (self.engine.tell("bob", "secret"), "a message to bob was refused: no"),
            (self.engine.set_topic("lobby", "secret"), "the topic of lobby was not changed: no"),
            (self.engine.rename("al"), "the nick was not changed to al: no"),
            (self.engine.who("garden"), "the members of garden cannot be listed: no"),
            (self.engine.rooms(), "the rooms cannot be listed: no"),
            (self.engine.history("garden", None, None, 50), "the history of garden cannot be read: no"),
        ):
            for sent in self.sent():
                self.hears(type="error", id=sent["id"], code="denied", msg="no", author="server")
            error = self.result(request)
            self.assertEqual((str(error), error.text, error.code), (text, "no", "denied"))
            self.assertIs(error.request, request)
            self.assertNotIn("secret", repr(error.request))

    def test_what_would_be_lost_is_known(self) -> None:
        self.lose()
        room = self.engine.join("lobby", 0)
        changes = [self.engine.say(room, "hi"), self.engine.tell("bob", "yo"), self.engine.set_topic("lobby", "tea")]
        changes.append(self.engine.rename("al"))
        questions = [self.engine.rooms(), self.engine.who("lobby"), self.engine.history("lobby", None, None, 1)]
        self.assertEqual([request for request in self.engine.waiting if request.changes], changes)
        self.assertEqual([request for request in self.engine.waiting if not request.changes], questions)
        self.assertEqual(
            [(one.kind, one.room, one.nick, one.text) for one in changes][1:3],
            [("message", None, "bob", "yo"), ("topic", "lobby", None, "tea")],
        )

    def test_what_came_too_fast_is_asked_again_when_the_server_says(self) -> None:
        rooms = self.engine.rooms()
        request = self.refuses("rate-limited", retry=3.0)
        self.passes(2.9)
        self.assertEqual(self.sent(), [])
        self.passes(0.2)
        self.assertEqual(self.sent(), [request])
        self.hears(type="error", id=request["id"], code="rate-limited", msg="no", author="server")
        self.hears(type="rooms", rooms=[{"room": "a", "count": 1, "topic": ""}], id=request["id"])
        self.waits(rooms)
        self.passes(10)
        self.assertEqual(self.answers(type="rooms", rooms=[]), request)
        self.assertEqual(self.result(rooms), [])

    def test_a_server_cannot_keep_it_busy(self) -> None:
        self.engine.rooms()
        request = self.refuses("rate-limited", retry=0)
        self.passes(0.9 * LEAST_PAUSE)
        self.assertEqual(self.sent(), [])
        self.passes(0.2 * LEAST_PAUSE)
        self.assertEqual(self.sent(), [request])

    def test_that_something_is_unavailable_is_told_to_who_asks(self) -> None:
        topic = self.engine.set_topic("lobby", "tea")
        self.refuses("unavailable")
        self.assertEqual(self.result(topic).code, "unavailable")

    def test_what_is_answered_by_something_else_fails(self) -> None:
        rooms = self.engine.rooms()
        self.answers(type="pong")
        renamed = self.engine.rename("al")
        self.answers(type="ack", seq=1)
        for request in (rooms, renamed):
            self.assertEqual(self.result(request).code, "internal")
            self.assertIn("something else", str(self.result(request)))

    def test_an_answer_that_makes_no_sense_fails_its_request(self) -> None:
        room = self.join()
        for ask, odd in (
            (self.engine.rooms, {"type": "rooms", "rooms": [{}]}),
            (self.engine.rooms, {"type": "rooms", "rooms": ["lobby"]}),
            (lambda: self.engine.do(actions.tokens()), {"type": "tokens", "tokens": ["phone"]}),
            (lambda: self.engine.who("lobby"), {"type": "members", "room": "lobby", "members": [5], "count": 1}),
            (lambda: self.engine.say(room, "hi"), {"type": "ack", "seq": "x"}),
            (lambda: self.engine.rename("al"), {"type": "nick"}),
            (lambda: self.engine.history("lobby", None, None, 5), {"type": "history", "messages": [{}], "more": True}),
            (
                lambda: self.engine.history("lobby", None, None, 5),
                {"type": "history", "messages": ["hi"], "more": True},
            ),
        ):
            request = ask()
            self.answers(**odd)
            self.assertEqual((self.result(request).code, self.result(request).text), ("internal", UNREADABLE))
        self.assertEqual((self.engine.owed, self.sent()), (0, []))

    def test_what_makes_no_sense_is_passed_over(self) -> None:
        room = self.join()
        nonsense: list[Obj] = [
            {},
            {"type": 7},
            {"type": "", "msg": 7},
            {"type": "", "room": "lobby", "msg": "", "author": "", "seq": True},
            {"type": "", "room": "lobby", "msg": "", "author": "bob", "seq": 11, "time": 5},
            {"type": "", "room": "x", "msg": "", "author": "bob", "seq": 1},
            {"type": "error", "code": 5},
            {"type": "presence", "room": "lobby", "count": "many"},
            {"type": "ack", "id": "unknown"},
            {"type": "new"},
            {"type": "pong", "id": None},
            {"type": "left", "room": 5, "id": []},
        ]
        before = self.events[:]
        for obj in nonsense:
            self.engine.received(obj, self.now)
        self.turn()
        self.assertEqual((self.taken(room), self.events, self.sent()), ([], before, []))

    def test_an_error_that_answers_nothing_is_told(self) -> None:
        self.hears(type="error", code="bad-json", msg="no", author="server")
        self.assertEqual(self.told(Error), [Error("bad-json", "no", "server")])

    def test_a_message_that_nobody_waits_for_is_not_sent_if_it_was_not_sent_yet(self) -> None:
        self.lose()
        first, second = self.engine.tell("bob", "psst"), self.engine.tell("bob", "psst")
        self.assertEqual((self.engine.withdraw(first), self.engine.withdraw(first)), (True, False))
        self.assertEqual(self.engine.waiting, [second])
        self.welcome()
        (sent,) = self.sent()
        self.engine.withdraw(second)
        self.assertEqual(self.engine.owed, 1, "it may arrive")
        self.ack(sent["id"], None)
        self.assertEqual(self.engine.owed, 0)
        who = self.engine.who("lobby")
        self.engine.withdraw(who)
        self.assertEqual(self.engine.waiting, [who])

    def test_direct_messages_are_acked_and_told(self) -> None:
        said = self.engine.tell("bob", "psst")
        (sent,) = self.sent()
        self.assertEqual((sent["to"], "room" in sent), ("bob", False))
        self.hears(type="ack", id=sent["id"], to="bob", time="2026-11-22T11:06:36.123Z")
        self.assertEqual((self.result(said), said.seq, said.time), (None, None, "2026-11-22T11:06:36.123Z"))
        self.hears(type="", msg="psst", author="bob", to="alice", time="t")
        self.assertEqual(self.told(Message), [DirectMessage("psst", "bob", to="alice", time="t")])

    def test_a_direct_message_that_cannot_be_kept_now_is_said_again(self) -> None:
        said = self.engine.tell("bob", "psst")
        request = self.refuses("unavailable")
        self.passes(1)
        self.assertEqual(self.sent(), [request])
        self.hears(type="error", id=request["id"], code="no-such-nick", msg="no", author="server")
        self.assertEqual(self.result(said).code, "no-such-nick")

    def test_a_nick_that_refuses_for_now_holds_up_no_other(self) -> None:
        self.engine.tell("bob", "1")
        self.refuses("unavailable", retry=100.0)
        self.engine.tell("bob", "2")
        self.engine.tell("cyd", "3")
        self.assertEqual([sent["msg"] for sent in self.sent()], ["3"])

    def test_what_is_too_long_or_no_text_is_refused_here(self) -> None:
        room = self.join()
        long, half = self.engine.say(room, "я" * 500), self.engine.say(room, "\ud83d")
        self.assertEqual((self.result(long).code, self.result(half).code), ("too-long", "bad-message"))
        self.assertIn("at most 1,000 are allowed", str(self.result(long)))
        self.engine.say(room, "я" * 400)
        self.assertEqual(len(self.sent()), 1)

    def test_a_request_of_just_the_limit_is_sent(self) -> None:
        text = "x" * (
            self.LIMITS["object"]
            - len(json.dumps({"type": "", "to": "bob", "msg": "", "id": "2"}, separators=(",", ":")))
        )
        self.engine.tell("bob", text)
        too_long = self.engine.tell("bob", text + "x")
        self.assertEqual([obj["msg"] for obj in self.sent()], [text])
        self.assertEqual(self.result(too_long).code, "too-long")

    def test_before_the_first_welcome_the_usual_limit_holds(self) -> None:
        self.engine = Engine("alice", "the server", ids())
        self.assertEqual(self.result(self.engine.tell("bob", "x" * MAX_OBJECT)).code, "too-long")

    def test_messages_do_not_come_faster_than_the_server_serves_them(self) -> None:
        self.lose()
        self.welcome(burst=100, rate=10)
        for i in range(200):
            self.engine.tell(f"bob{i}", str(i))
        sent = self.sent()
        self.assertEqual(len(sent), 80)
        for _ in range(20):
            self.passes(0.5)
            sent += self.sent()
        self.assertTrue(160 <= len(sent) < 200, len(sent))
        for _ in range(10):
            self.passes(0.5)
        sent += self.sent()
        self.assertEqual([obj["msg"] for obj in sent if obj["type"] == ""], [str(i) for i in range(200)])


class RoomTests(EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()

    def test_it_hears_what_is_said_after_it_joined(self) -> None:
        room = self.join(seq=10)
        self.assertIsNone(self.engine.take(room))
        for seq in (9, 11, 13, 13):
            self.message(seq)
        self.assertEqual(self.taken(room), [11, 13])
        self.assertEqual((room.topic, room.oldest, room.count), ("t", 1, 2))
        self.assertEqual(self.told(Entered), [Entered(room)])

    def test_a_message_has_what_the_server_says_of_it(self) -> None:
        room = self.join()
        self.message(11, room="LOBBY", time="t")
        self.assertEqual(self.engine.take(room), Message("11", "bob", "lobby", None, 11, "t"))

    def test_it_hears_what_was_said_since(self) -> None:
        room = self.engine.join("lobby", 5)
        self.assertEqual(self.joins(9)["since"], 5)
        self.message(7)
        self.message(9)
        self.assertEqual(self.taken(room), [7, 9])

    def test_before_it_is_in_a_room_it_hears_nothing_there(self) -> None:
        room = self.engine.join("lobby")
        self.assertIsNone(self.engine.take(room))
        self.message(9)
        self.joins(10)
        self.message(11, room="other")
        self.assertEqual(self.taken(room), [])

    def test_it_joins_again_with_the_newest_that_it_has_heard(self) -> None:
        room = self.join()
        self.message(12)
        self.message(13)
        self.assertEqual(self.engine.take(room), Message("12", "bob", "lobby", None, 12, None))
        self.lose()
        self.message(14)
        self.welcome()
        self.assertEqual(self.joins(16)["since"], 13)
        for seq in (14, 16, 17):
            self.message(seq)
        self.assertEqual(self.taken(room), [13, 14, 16, 17])

    def test_a_first_join_that_was_not_answered_is_asked_anew(self) -> None:
        self.engine.join("lobby")
        self.sent()
        self.return_()
        self.assertNotIn("since", self.joins())
        self.assertEqual(len(self.told(Entered)), 1)

    def test_a_new_log_is_heard_from_its_beginning(self) -> None:
        room = self.join(seq=100)
        self.return_()
        self.assertEqual(self.joins(2)["since"], 100)
        self.assertEqual(self.page(1, 2)["after"], 0)
        self.assertEqual((self.told(NewLog), self.taken(room)), ([NewLog("lobby")], [1, 2]))

    def test_a_new_log_is_one_although_nobody_else_said_anything(self) -> None:
        room = self.join(seq=0)
        for seq in (1, 2):
            self.engine.say(room, "x")
            (request,) = self.sent()
            self.ack(request["id"], seq)
        self.return_()
        self.joins(1)  # the server keeps nothing on disk, and bob was faster
        self.assertEqual(self.page(1)["after"], 0)
        self.assertEqual((self.told(NewLog), self.taken(room)), ([NewLog("lobby")], [1]))  # it is not one's own

    def test_a_first_join_may_be_refused(self) -> None:
        for code in ("bad-room", "full", "internal"):
            room = self.engine.join("lobby")
            self.refuses(code)
            (ended,) = self.told(Ended)
            self.assertEqual((ended.error.code, str(ended.error)), (code, "lobby cannot be joined: no"))
            self.assertIs(room.error, ended.error)
        self.assertEqual((self.engine.memberships, self.told(RoomLost)), ({}, []))

    def test_a_join_that_makes_no_sense_is_refused(self) -> None:
        self.engine.join("lobby")
        self.answers(type="joined", room="lobby")
        self.assertEqual(self.told(Ended)[0].error.code, "internal")

    def test_a_join_that_the_server_cannot_serve_now_is_asked_again(self) -> None:
        self.engine.join("lobby")
        request = self.refuses("unavailable")
        self.passes(1)
        self.assertEqual(self.joins(), request)
        self.assertEqual(len(self.told(Entered)), 1)

    def test_a_room_that_does_not_let_it_in_again_is_lost(self) -> None:
        room = self.join()
        self.message(11)
        said = self.engine.say(room, "hi")
        self.sent()
        self.return_()
        self.refuses("banned")
        (lost,) = self.told(RoomLost)
        self.assertEqual((lost.room, lost.error.code), ("lobby", "banned"))
        self.assertEqual(self.result(said).code, "banned")
        self.assertIsInstance(self.result(self.engine.say(room, "hi")), ClosedError)
        self.assertEqual(self.taken(room), [11], "what was heard can still be taken")

    def test_a_room_that_does_not_let_it_in_for_now_is_tried_again(self) -> None:
        room = self.join()
        self.return_()
        for seconds in (0.7, 1.4, 2.8):
            self.assertEqual(self.refuses("full")["since"], 10)
            self.assertEqual(self.sent(), [])
            self.passes(0.5 * seconds)
            self.assertEqual(self.sent(), [])
            self.passes(0.7 * seconds)
        self.joins(10)
        self.message(11)
        self.assertEqual(self.taken(room), [11])

    def test_a_room_that_refuses_for_now_holds_up_no_other(self) -> None:
        lobby, garden = self.join(), self.join("garden")
        self.return_()
        one, other = self.sent()
        self.hears(type="error", id=one["id"], code="full", msg="full", author="server", retry=100)
        self.assertEqual(self.sent(), [], "the other room is not answered yet")
        self.engine.say(lobby, "1")
        self.engine.say(garden, "2")
        self.engine.tell("bob", "3")
        who = self.engine.who("lobby")
        joined = {"type": "joined", "room": "garden", "topic": "", "seq": 10, "oldest": 1, "count": 1}
        self.hears(id=other["id"], **joined)
        self.assertEqual([sent.get("msg") for sent in self.sent()], ["2", "3"])
        self.waits(who)

    def test_a_message_that_is_put_off_holds_up_only_its_room(self) -> None:
        lobby, garden = self.join(), self.join("garden")
        self.engine.say(lobby, "1")
        self.refuses("rate-limited", retry=9)
        self.engine.say(lobby, "2")
        self.engine.say(garden, "3")
        self.assertEqual([sent["msg"] for sent in self.sent()], ["3"])

    def test_a_topic_that_is_put_off_keeps_its_place_in_its_room(self) -> None:
        lobby, garden = self.join(), self.join("garden")
        self.engine.set_topic("lobby", "tea")
        topic = self.refuses("rate-limited", retry=10)
        self.engine.set_topic("lobby", "coffee")
        self.engine.say(lobby, "1")
        self.engine.who("lobby")
        self.engine.say(garden, "2")
        self.engine.set_topic("garden", "milk")
        self.engine.rooms()
        self.assertEqual([sent.get("msg") for sent in self.sent()], ["2", "milk", None])
        self.passes(11)
        self.assertEqual(self.answers(type="topic", author="alice", room="lobby", msg="tea"), topic)
        self.assertEqual([sent.get("msg") for sent in self.sent()], ["coffee", "1", None])

    def test_a_topic_waits_for_the_messages_before_it(self) -> None:
        lobby = self.join()
        self.engine.say(lobby, "1")
        message = self.refuses("rate-limited", retry=10)
        self.engine.set_topic("lobby", "tea")
        self.engine.who("lobby")
        self.assertEqual(self.sent(), [])
        self.passes(11)
        sent = self.sent()
        self.assertEqual((sent[0], [obj["type"] for obj in sent]), (message, ["", "topic", "who"]))

    def test_a_topic_does_not_wait_for_a_question(self) -> None:
        self.join()
        self.engine.who("lobby")
        self.engine.set_topic("lobby", "tea")
        self.assertEqual(self.sent_types(), ["who", "topic"])

    def test_a_question_overtakes_messages_that_wait(self) -> None:
        lobby = self.join()
        self.engine.say(lobby, "1")
        self.refuses("rate-limited", retry=10)
        self.engine.who("lobby")
        self.assertEqual(self.sent_types(), ["who"])

    def test_the_last_topic_wins_even_if_the_first_one_is_put_off(self) -> None:
        self.join()
        self.engine.set_topic("lobby", "tea")
        self.engine.set_topic("lobby", "coffee")
        (first,) = self.sent()
        self.hears(type="error", id=first["id"], code="rate-limited", msg="no", author="server", retry=1)
        self.assertEqual(self.sent(), [])
        self.passes(2)
        self.answers(type="topic", author="alice", room="lobby", msg="tea")
        self.assertEqual(self.sent()[0]["msg"], "coffee")

    def test_what_is_put_off_is_sent_on_the_next_connection_at_once(self) -> None:
        self.join()
        self.engine.set_topic("lobby", "tea")
        self.engine.set_topic("lobby", "coffee")
        self.refuses("rate-limited", retry=10)
        self.return_()
        self.joins()
        self.answers(type="topic", author="alice", room="lobby", msg="tea")
        self.assertEqual(self.sent()[0]["msg"], "coffee")

    def test_a_page_that_is_put_off_is_read_again_unless_its_room_was_left(self) -> None:
        room = self.join()
        for is_left in (False, True):
            self.engine.received(GAP, self.now)
            self.turn()
            history = self.refuses("rate-limited", retry=10)
            if is_left:
                self.engine.leave(room)
                self.answers(type="left", room="lobby")
            self.passes(11)
            self.assertEqual([sent for sent in self.sent() if sent["type"] == "history"], [history] * (not is_left))
            self.hears(type="history", room="lobby", messages=[], more=False, id=history["id"])

    def test_it_leaves_when_all_is_acked(self) -> None:
        room = self.join()
        said, topic = self.engine.say(room, "bye"), self.engine.set_topic("lobby", "gone")
        who = self.engine.who("lobby")
        self.engine.leave(room)
        self.assertIsInstance(self.result(self.engine.say(room, "too late")), ClosedError)
        message, change, _ = self.sent()
        self.ack(message["id"], 11)
        self.assertEqual((self.result(said), self.sent()), (11, []))
        self.hears(type="topic", author="alice", room="lobby", msg="gone", id=change["id"])
        self.assertIsNone(self.result(topic))
        self.assertEqual(self.answers(type="left", room="lobby")["type"], "leave")
        (ended,) = self.told(Ended)
        self.assertTrue(ended.error.wanted)
        self.waits(who)

    def test_it_does_not_leave_before_a_topic_that_is_put_off(self) -> None:
        room = self.join()
        self.engine.set_topic("lobby", "gone")
        self.refuses("rate-limited", retry=10)
        self.engine.leave(room)
        self.assertEqual(self.sent(), [])
        self.passes(11)
        self.answers(type="topic", author="alice", room="lobby", msg="gone")
        self.assertEqual(self.sent_types(), ["leave"])

    def test_a_leave_that_is_refused_is_one(self) -> None:
        room = self.join()
        self.engine.leave(room)
        self.refuses("not-joined")
        self.assertTrue(self.told(Ended)[0].error.wanted)

    def test_without_a_connection_a_room_is_left_at_once(self) -> None:
        room = self.join()
        self.lose()
        self.engine.leave(room)
        self.assertEqual([ended.membership for ended in self.told(Ended)], [room])
        self.welcome()
        self.assertEqual(self.sent(), [])

    def test_a_room_that_is_being_entered_is_left_after_that(self) -> None:
        room = self.engine.join("lobby")
        (join,) = self.sent()
        self.engine.leave(room)
        self.assertEqual((self.sent(), self.told(Ended)), ([], []))
        self.hears(type="joined", room="lobby", topic="", seq=1, oldest=1, count=1, id=join["id"])
        self.assertEqual(self.sent_types(), ["leave"])

    def test_a_room_that_is_tried_again_is_left_once_it_has_answered(self) -> None:
        room = self.join()
        self.return_()
        self.refuses("rate-limited", retry=1)
        self.passes(2)
        self.engine.leave(room)
        self.assertEqual(self.told(Ended), [])
        self.joins()
        self.assertEqual(self.sent_types(), ["leave"])

    def test_a_room_that_refuses_for_now_can_be_left(self) -> None:
        room = self.join()
        self.return_()
        self.refuses("rate-limited", retry=100)
        self.engine.leave(room)
        self.assertEqual([ended.membership for ended in self.told(Ended)], [room])
        self.passes(101)
        self.assertNotIn("join", self.sent_types())

    def test_notices_are_counted_and_told(self) -> None:
        room = self.join()
        counts = []
        for notice in ({"type": "join"}, {"type": "join"}, {"type": "leave"}, {"type": "presence", "count": 40}):
            self.hears(**notice, author="x", room="LOBBY")
            counts.append(room.count)
        self.hears(type="topic", room="lobby", msg="new", author="x")
        self.hears(type="nick", author="x", nick="y", room="lobby")
        self.hears(type="join", author="x", room="elsewhere")
        self.assertEqual((counts, room.topic), ([3, 4, 3, 40], "new"))
        told = self.told(MemberJoined, MemberLeft, Presence, TopicChanged, NickChanged)
        self.assertEqual(told[2:4], [MemberLeft("x", "LOBBY"), Presence("LOBBY", 40)])
        self.assertEqual(
            told[4:],
            [TopicChanged("x", "lobby", "new"), NickChanged("x", "y", "lobby"), MemberJoined("x", "elsewhere")],
        )

    def test_ones_own_topic_is_an_answer(self) -> None:
        room = self.join()
        topic = self.engine.set_topic("lobby", "tea")
        self.answers(type="topic", author="alice", room="lobby", msg="tea")
        self.assertEqual((self.result(topic), room.topic, self.told(TopicChanged)), (None, "tea", []))


class WaitingTests(EngineTestCase):
    """Requests that are made without a connection are sent after those that they depend on."""

    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.room = self.join()
        self.lose()

    def test_everything_goes_out_after_the_rooms_are_joined_in_the_order_of_asking(self) -> None:
        self.engine.set_topic("lobby", "tea")
        self.engine.say(self.room, "1")
        self.engine.who("lobby")
        self.engine.say(self.room, "2")
        self.engine.rooms()
        self.engine.tell("bob", "3")
        self.engine.history("lobby", None, None, 10)
        self.welcome()
        self.joins()
        sent = [(obj["type"], obj.get("msg")) for obj in self.sent()]
        self.assertEqual(
            sent,
            [("topic", "tea"), ("", "1"), ("who", None), ("", "2"), ("rooms", None), ("", "3"), ("history", None)],
        )

    def test_a_room_that_is_entered_meanwhile_is_waited_for_too(self) -> None:
        garden = self.engine.join("garden")
        self.engine.say(garden, "hi")
        self.engine.who("garden")
        self.welcome()
        lobby, other = self.sent()
        joined = {"type": "joined", "topic": "", "seq": 10, "oldest": 1, "count": 1}
        self.hears(id=lobby["id"], room="lobby", **joined)
        self.assertEqual(self.sent(), [])
        self.hears(id=other["id"], room="garden", **joined)
        self.assertEqual(self.sent_types(), ["", "who"])

    def test_what_is_about_a_room_that_is_lost_is_asked_all_the_same(self) -> None:
        who = self.engine.who("lobby")
        self.welcome()
        self.refuses("banned")
        self.events.clear()
        self.refuses("denied")
        self.assertEqual((self.result(who).code, self.told(Heard)), ("denied", []))

    def test_a_nick_goes_out_after_what_was_said_before_it(self) -> None:
        first = self.engine.say(self.room, "as alice")
        renamed = self.engine.rename("al")
        self.engine.say(self.room, "as al")
        self.engine.set_topic("lobby", "by al")
        self.welcome()
        self.joins()
        self.answers(type="ack", room="lobby", seq=11)
        self.assertEqual(self.result(first), 11)
        self.answers(type="nick", author="alice", nick="al")
        self.assertEqual((self.result(renamed), self.engine.nick), ("al", "al"))
        self.assertEqual([obj["msg"] for obj in self.sent()], ["as al", "by al"])


class SayTests(EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.room = self.join()

    def test_the_answer_is_the_number_and_the_request_has_the_time(self) -> None:
        said = self.engine.say(self.room, "hi")
        request = self.answers(type="ack", room="lobby", seq=11, time="2026-11-22T11:06:36.123Z")
        self.assertEqual((request["type"], request["room"], request["msg"]), ("", "lobby", "hi"))
        self.assertEqual((self.result(said), said.seq, said.time), (11, 11, "2026-11-22T11:06:36.123Z"))

    def test_what_is_said_before_the_room_is_entered_waits(self) -> None:
        other = self.engine.join("other")
        self.engine.say(other, "hi")
        self.joins(room="other")
        self.assertEqual(self.sent()[0]["msg"], "hi")

    def test_no_more_are_under_way_than_are_soon_sent_again(self) -> None:
        for number in range(WINDOW + 5):
            self.engine.say(self.room, str(number))
        sent = self.sent()
        self.assertEqual(len(sent), WINDOW)
        self.ack(sent[0]["id"], 11)
        self.assertEqual([obj["msg"] for obj in self.sent()], [str(WINDOW)])

    def test_what_was_not_acked_is_said_again_with_the_same_id(self) -> None:
        first, second = self.engine.say(self.room, "1"), self.engine.say(self.room, "2")
        sent = self.sent()
        self.lose()
        third = self.engine.say(self.room, "3")
        self.welcome()
        self.joins(14)
        again = self.sent()
        self.assertEqual((again[:2], again[2]["msg"]), (sent, "3"))
        for seq, obj in enumerate(again, 15):
            self.ack(obj["id"], seq)
        self.assertEqual([self.result(said) for said in (first, second, third)], [15, 16, 17])

    def test_own_messages_that_come_back_are_told_by_their_acks(self) -> None:
        self.engine.say(self.room, "mine")
        (mine,) = self.sent()
        self.return_()
        self.joins(13)
        self.message(11, "alice")
        self.message(12)
        self.message(13, "alice")
        self.assertEqual(self.taken(self.room), [])
        self.ack(mine["id"], 13)
        self.assertEqual(self.taken(self.room), [11, 12], "the first is of an earlier session")

    def test_what_a_refused_message_held_up_goes_on(self) -> None:
        said = self.engine.say(self.room, "mine")
        (sent,) = self.sent()
        self.message(11, "alice")
        self.assertEqual(self.taken(self.room), [])
        self.events.clear()
        self.hears(type="error", id=sent["id"], code="denied", msg="no", author="server")
        self.assertEqual(self.result(said).code, "denied")
        self.assertIn(Heard(self.room), self.told(Heard))
        self.assertEqual(self.taken(self.room), [11])

    def test_ones_own_messages_do_not_come_out_of_the_log(self) -> None:
        self.engine.say(self.room, "hi")
        self.ack(self.sent()[0]["id"], 12)
        self.return_()
        self.assertEqual(self.joins(13)["since"], 10)
        for seq in (11, 12, 13):
            self.message(seq)
        self.assertEqual(self.taken(self.room), [11, 13])

    def test_what_the_server_cannot_keep_now_is_said_again_in_order(self) -> None:
        said = [self.engine.say(self.room, str(i)) for i in range(3)]
        requests = self.sent()
        for request in requests:
            self.hears(type="error", id=request["id"], code="unavailable", msg="no", author="server")
        for i, request in enumerate(requests):
            self.passes(1)
            self.assertEqual(self.sent(), [request])
            self.ack(request["id"], 11 + i)
        self.assertEqual([self.result(one) for one in said], [11, 12, 13])

    def test_an_answer_to_what_waits_to_be_sent_again_is_none(self) -> None:
        said = self.engine.say(self.room, "hi")
        request = self.refuses("rate-limited", retry=1)
        self.ack(request["id"], 11)
        self.waits(said)
        self.passes(1)
        self.answers(type="ack", room="lobby", seq=12)
        self.assertEqual(self.result(said), 12)

    def test_what_the_server_refuses_fails_and_the_next_goes_on(self) -> None:
        first, second = self.engine.say(self.room, "1"), self.engine.say(self.room, "2")
        one, other = self.sent()
        self.hears(type="error", id=one["id"], code="denied", msg="no", author="server")
        self.ack(other["id"], 11)
        self.assertEqual((self.result(first).code, self.result(second)), ("denied", 11))

    def test_where_nobody_else_speaks_the_place_moves_over_ones_own(self) -> None:
        for seq in range(11, 12 + MAX_OWN):
            self.engine.say(self.room, "hi")
            self.ack(self.sent()[-1]["id"], seq)
        self.assertIsNone(self.engine.take(self.room))
        self.engine.say(self.room, "one more")
        history, said = self.sent()
        self.assertEqual((history["type"], history["after"], history["limit"]), ("history", 10, PAGE))
        messages = [{"msg": "hi", "author": "alice", "seq": seq} for seq in range(11, 511)]
        self.hears(type="history", id=history["id"], messages=messages, more=True)
        self.ack(said["id"], 12 + MAX_OWN)
        self.taken(self.room)
        self.sent()
        self.return_()
        self.assertEqual(self.sent()[0]["since"], 510)


class RenameTests(EngineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.room = self.join()

    def test_the_answer_is_the_nick(self) -> None:
        renamed = self.engine.rename("al")
        request = self.answers(type="nick", author="alice", nick="Al")
        self.assertEqual((request["type"], request["nick"]), ("nick", "al"))
        self.assertEqual((self.result(renamed), self.told(NickChanged)), ("Al", []))
        self.lose()
        self.connect()
        self.assertEqual(self.engine.nick, "Al")

    def test_what_changes_the_account_goes_out_after_it(self) -> None:
        self.engine.rename("al")
        self.engine.do(actions.register("s3cret and more"))
        self.assertEqual(self.answers(type="nick", author="alice", nick="al")["type"], "nick")
        self.assertEqual(self.sent_types(), ["register"])

    def test_it_waits_for_what_was_said_under_the_old_one(self) -> None:
        """The server knows a message by author and id: under another name it would be another one."""
        self.engine.say(self.room, "as alice")
        self.engine.rename("al")
        self.engine.say(self.room, "as al")
        (message,) = self.sent()
        self.return_()
        self.joins()
        self.assertEqual(self.sent(), [message])
        self.ack(message["id"], 11)
        self.assertEqual(self.answers(type="nick", author="alice", nick="al")["nick"], "al")
        self.assertEqual(self.sent()[0]["msg"], "as al")

    def test_several_come_one_after_the_other(self) -> None:
        first, second = self.engine.rename("al"), self.engine.rename("ally")
        self.refuses("nick-taken")
        self.answers(type="nick", author="alice", nick="ally")
        self.assertEqual(
            (self.result(first).code, self.result(second), self.engine.nick), ("nick-taken", "ally", "ally")
        )

    def test_one_that_was_not_answered_is_asked_again(self) -> None:
        self.engine.rename("al")
        (request,) = self.sent()
        self.return_()
        self.joins()
        self.assertEqual(self.sent(), [request])

    def test_one_that_came_too_fast_is_asked_again_and_holds_up_the_next(self) -> None:
        self.engine.rename("al")
        request = self.refuses("rate-limited", retry=1)
        self.engine.rooms()
        self.assertEqual(self.sent(), [])
        self.passes(1)
        self.assertEqual(self.answers(type="nick", author="alice", nick="al"), request)
        self.assertEqual(self.sent_types(), ["rooms"])

    def test_where_a_room_refuses_for_now_it_waits_alone_for_what_may_be_in_the_log(self) -> None:
        self.engine.say(self.room, "1")
        self.sent()
        self.lose()
        renamed, rooms = self.engine.rename("al"), self.engine.rooms()
        self.welcome()
        self.refuses("full", retry=1)
        self.assertEqual(self.sent_types(), ["rooms"])
        self.waits(renamed, rooms)
        self.passes(1)
        self.joins()
        self.answers(type="ack", room="lobby", seq=11)
        self.assertEqual(self.sent_types(), ["nick"])

    def test_a_room_that_refuses_for_now_does_not_hold_it_up(self) -> None:
        self.engine.say(self.room, "1")
        self.refuses("rate-limited", retry=100)
        self.engine.rename("al")
        self.assertEqual(self.sent_types(), ["nick"])


class AccountTests(EngineTestCase):
    """An account: its password is said with each hello, and changes only when the server has taken the new one."""

    def hello_of(self, *, password: str | None, nick: str = "alice") -> str:
        """Take the hello that was sent, and compare what it says; return its id."""
        (hello,) = self.sent()
        self.assertEqual((hello["type"], hello["nick"], hello.get("password")), ("hello", nick, password))
        return str(hello["id"])

    def connects(self, *, password: str | None, nick: str = "alice") -> str:
        """Make a connection, and take its hello as above."""
        self.engine.connected(self.now)
        return self.hello_of(password=password, nick=nick)

    def lets_in(self, hello: str, nick: str = "alice", **fields: Any) -> None:
        self.hears(type="welcome", id=hello, nick=nick, server="s", limits=self.LIMITS, **fields)
        if fields.get("account"):
            self.lists_partners()

    def shuts_out(self, hello: str, code: str = "auth-failed", **fields: Any) -> None:
        self.hears(type="error", code=code, msg="no", author="server", id=hello, **fields)

    def test_the_password_is_said_with_each_hello(self) -> None:
        self.engine = Engine("alice", "the server", ids(), password="horse")
        self.assertFalse(self.engine.account)
        self.lets_in(self.connects(password="horse"), account=True)
        self.assertTrue(self.engine.account)
        self.lose()
        self.lets_in(self.connects(password="horse"))
        self.assertFalse(self.engine.account)

    def test_a_password_that_is_wrong_now_ends_trying(self) -> None:
        self.engine = Engine("alice", "the server", ids(), password="horse")
        self.lets_in(self.connects(password="horse"), account=True)
        self.lose()
        self.shuts_out(self.connects(password="horse"))
        self.lose()
        (closed,) = self.told(Closed)
        self.assertEqual(str(closed.error), "the server does not let this client in again: no")

    def test_a_server_that_says_when_to_come_again_is_not_asked_before(self) -> None:
        self.welcome()
        self.lose()
        self.shuts_out(self.connects(password=None), "rate-limited", retry=60)
        self.lose()
        self.assertEqual(self.engine.pause, 60)

    def test_a_client_that_registers_says_hello_with_the_password_from_then_on(self) -> None:
        self.welcome()
        registering = self.engine.do(actions.register("horse"))
        self.assertEqual(self.answers(type="registered", nick="alice")["password"], "horse")
        self.assertIs(self.result(registering), True)
        self.assertTrue(self.engine.account)
        self.lists_partners()
        self.lose()
        self.connects(password="horse")

    def test_a_client_that_has_to_be_let_in_is_a_guest_until_then(self) -> None:
        self.welcome()
        registering = self.engine.do(actions.register("horse"))
        self.answers(type="registered", nick="alice", pending=True)
        self.assertIs(self.result(registering), False)
        self.assertFalse(self.engine.account)

    def test_a_registration_whose_answer_was_lost_is_settled_by_the_next_hello(self) -> None:
        self.welcome()
        registering = self.engine.do(actions.register("horse"))
        self.sent()
        self.lose()
        self.lets_in(self.connects(password="horse"), account=True)
        self.assertIs(self.result(registering), True)
        self.assertEqual((self.sent(), self.engine.owed), ([], 0))

    def test_a_registration_that_was_not_served_is_asked_for_again(self) -> None:
        self.welcome()
        registering = self.engine.do(actions.register("horse"))
        self.sent()
        self.lose()
        self.shuts_out(self.connects(password="horse"))
        self.assertIsNone(self.engine.hang_up)
        self.lets_in(self.hello_of(password=None))
        self.answers(type="registered", nick="alice")
        self.assertIs(self.result(registering), True)

    def test_a_hello_with_unsettled_credentials_may_be_refused_for_another_reason(self) -> None:
        self.welcome()
        self.engine.do(actions.register("horse"))
        self.sent()
        self.lose()
        self.shuts_out(self.connects(password="horse"), "nick-taken")
        self.assertEqual(self.sent(), [])
        self.assertIsNotNone(self.engine.hang_up)

    def test_a_changed_password_is_said_from_then_on(self) -> None:
        self.engine = Engine("alice", "the server", ids(), password="horse")
        self.lets_in(self.connects(password="horse"), account=True)
        changing = self.engine.do(actions.change_password("horse", "staple", revoke=True))
        request = self.answers(type="password")
        self.assertEqual((request["old"], request["new"], request["revoke"]), ("horse", "staple", True))
        self.assertIsNone(self.result(changing))
        self.lose()
        self.lets_in(self.connects(password="staple"), account=True)

    def test_a_change_of_the_password_whose_answer_was_lost_is_settled_by_the_next_hello(self) -> None:
        for was_served in (True, False):
            self.engine = Engine("alice", "the server", ids(), password="horse")
            self.lets_in(self.connects(password="horse"), account=True)
            changing = self.engine.do(actions.change_password("horse", "staple"))
            self.sent()
            self.lose()
            hello = self.connects(password="staple")
            if was_served:
                self.lets_in(hello, account=True)
            else:
                self.shuts_out(hello)
                self.lets_in(self.hello_of(password="horse"), account=True)
                self.answers(type="password")
            self.assertIsNone(self.result(changing))
            self.assertEqual(self.engine.owed, 0)

    def test_tokens_are_made_listed_and_revoked(self) -> None:
        self.welcome()
        making = self.engine.do(actions.make_token("phone"))
        self.assertEqual(self.answers(type="token", token="tc_1", label="phone")["label"], "phone")
        self.assertEqual(self.result(making), "tc_1")
        listing = self.engine.do(actions.tokens())
        self.answers(
            type="tokens", tokens=[{"label": "phone", "created": "c", "used": "u"}, {"label": "x", "created": "d"}]
        )
        self.assertEqual(self.result(listing), [TokenInfo("phone", "c", "u"), TokenInfo("x", "d")])
        revoking = self.engine.do(actions.revoke_token("phone"))
        self.assertEqual(self.answers(type="token-revoked", label="phone")["label"], "phone")
        self.assertIsNone(self.result(revoking))

    def test_no_secret_is_in_what_may_be_logged(self) -> None:
        self.engine = Engine("alice", "the server", ids(), password="horse")
        self.lets_in(self.connects(password="horse"))
        for action in (
            actions.register("horse"),
            actions.log_in("bob", "horse"),
            actions.change_password("horse", "horse"),
        ):
            request = self.engine.do(action)
            self.assertTrue(request.changes)
            self.assertNotIn("horse", repr((action, request, self.engine.waiting)) + request.refusal)
            self.assertIsNone(request.text)

    def test_a_client_that_logs_in_quits_and_says_hello_as_the_other(self) -> None:
        self.welcome()
        self.engine.join("lobby")
        self.answers(type="joined", room="lobby", topic="", seq=7, oldest=1, count=1)
        self.told(StateChanged, Entered)
        logging_in = self.engine.do(actions.log_in("bob", "horse"))
        (goodbye,) = self.sent()
        self.assertEqual(goodbye["type"], "quit")
        asked_meanwhile = self.engine.rooms()
        self.hears(type="stop", msg="", author="server", id=goodbye["id"])
        self.assertEqual(self.engine.hang_up, "logging in")
        self.lose("hung up")
        self.assertEqual(self.engine.pause, 0)
        self.lets_in(self.connects(password="horse", nick="bob"), "Bob", account=True)
        self.assertEqual((self.result(logging_in), self.engine.nick), ("Bob", "Bob"))
        join = self.answers(type="joined", room="lobby", topic="", seq=7, oldest=1, count=1)
        self.assertEqual((join["type"], join["since"]), ("join", 7))
        self.assertEqual(self.sent_types(), ["rooms"])
        self.waits(asked_meanwhile)
        self.assertEqual(self.told(StateChanged, Stop), [], "a login is no lost connection")
        self.lose()
        self.connects(password="horse", nick="Bob")

    def test_a_login_that_is_refused_leaves_everything_as_it_was(self) -> None:
        for code in ("auth-failed", "rate-limited", "banned"):
            self.engine = Engine("alice", "the server", ids())
            self.lets_in(self.connects(password=None))
            logging_in = self.engine.do(actions.log_in("bob", "horse"))
            (goodbye,) = self.sent()
            self.hears(type="stop", id=goodbye["id"])
            self.lose()
            self.shuts_out(self.connects(password="horse", nick="bob"), code)
            self.lets_in(self.hello_of(password=None))
            error = self.result(logging_in)
            self.assertEqual((error.code, str(error)), (code, "you are not logged in as bob: no"))
            self.assertEqual((self.engine.nick, self.engine.account, self.sent()), ("alice", False, []))

    def test_a_login_waits_for_what_was_said_before_under_the_old_nick(self) -> None:
        self.welcome()
        saying = self.engine.tell("carol", "hi")
        self.engine.do(actions.log_in("bob", "horse"))
        self.engine.rooms()
        self.answers(type="ack", to="carol")
        self.result(saying)
        self.assertEqual(self.sent_types(), ["quit"])

    def test_a_login_survives_a_connection_that_cannot_be_made(self) -> None:
        self.welcome()
        logging_in = self.engine.do(actions.log_in("bob", "horse"))
        (goodbye,) = self.sent()
        self.hears(type="stop", id=goodbye["id"])
        self.lose()
        self.engine.failed("nobody is there", self.now)
        self.assertGreater(self.engine.pause, 0)
        self.lets_in(self.connects(password="horse", nick="bob"), "bob", account=True)
        self.assertEqual(self.result(logging_in), "bob")

    def test_a_login_that_was_not_sent_yet_is_sent_on_the_next_connection(self) -> None:
        self.welcome()
        self.lose()
        self.engine.do(actions.log_in("bob", "horse"))
        self.lets_in(self.connects(password=None))
        self.assertEqual(self.sent_types(), ["quit"])

    def test_a_long_pause_is_told_to_who_asked_and_a_short_one_is_not(self) -> None:
        self.welcome()
        for ask in (lambda: self.engine.tell("bob", "hi"), lambda: self.engine.do(actions.register("horse"))):
            waiting = ask()
            self.refuses("rate-limited", retry=LONG_RETRY)
            self.waits(waiting)
            self.passes(LONG_RETRY)
            self.refuses("rate-limited", retry=LONG_RETRY + 1)
            self.assertEqual((self.result(waiting).code, self.result(waiting).retry), ("rate-limited", 11))

    def test_a_room_that_is_closed_for_long_is_told_when_it_is_entered_first(self) -> None:
        self.welcome()
        membership = self.engine.join("lobby")
        self.refuses("rate-limited", retry=LONG_RETRY + 1)
        self.assertEqual([event.membership for event in self.told(Ended)], [membership])
        self.engine.join("garden")
        self.answers(type="joined", room="garden", topic="", seq=7, oldest=1, count=1)
        self.return_()
        self.refuses("rate-limited", retry=LONG_RETRY + 1)
        self.assertEqual(self.told(Ended), [])


class DirectTests(EngineTestCase):
    """The direct messages between accounts are logs, which are read like those of rooms."""

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self, **cursors: int) -> None:
        self.engine = Engine("alice", "the server", ids(), password="horse", direct=cursors or None)

    def log_in(self) -> dict[str, int] | None:
        """Make a connection, up to the welcome. Returns the numbers in the hello."""
        self.engine.connected(self.now)
        (hello,) = self.sent()
        self.hello = hello["id"]
        self.hears(
            type="welcome", id=self.hello, nick="alice", server="s", limits=self.LIMITS | {"rate": 0}, account=True
        )
        named: dict[str, int] | None = hello.get("direct")
        return named

    def connect_to(self, **seqs: int) -> dict[str, int] | None:
        """Make a connection to a server that has these logs. Returns the numbers in the hello."""
        named = self.log_in()
        self.lists_partners(**seqs)
        return named

    def said(self, seq: int, author: str = "bob", to: str = "alice", **fields: Any) -> Obj:
        return {"type": "", "msg": str(seq), "author": author, "to": to, "seq": seq, "time": "t", **fields}

    def pages(self, *messages: Obj, more: bool = False) -> Obj:
        """Answer the one request, which is for a page; return it."""
        return self.answers(type="history", to="bob", messages=list(messages), more=more)

    def heard(self) -> list[tuple[str, int | None]]:
        return [(message.author, message.seq) for message in self.told(DirectMessage)]

    def test_messages_come_once_and_in_order_over_lost_connections(self) -> None:
        self.assertIsNone(self.connect_to(bob=4))
        self.assertEqual(self.sent(), [], "what was said before is not read")
        self.hears(**self.said(6))
        self.lose()
        self.assertEqual(self.log_in(), {"bob": 6}, "the server replays what came after it")
        for seq in (8, 9):
            self.hears(**self.said(seq))
        self.lists_partners(bob=9)
        self.hears(**self.said(11))
        self.assertEqual(self.heard(), [("bob", 6), ("bob", 8), ("bob", 9), ("bob", 11)])
        self.assertEqual((self.sent(), self.engine.direct), ([], {"bob": 11}))
        self.lose()
        self.connect_to(bob=11)
        self.assertEqual(self.sent(), [], "nothing is new")

    def test_a_replay_may_come_after_the_list_of_partners(self) -> None:
        self.connect_to(bob=4)
        self.lose()
        self.connect_to(bob=8)
        self.hears(**self.said(6))
        self.hears(**self.said(8))
        self.assertEqual((self.sent(), self.heard()), ([], [("bob", 6), ("bob", 8)]))

    def test_what_the_hello_has_no_space_for_is_read_in_pages(self) -> None:
        self.patch(directs, "MAX_HELLO", 150)
        self.begin(**{f"nick{n}": n for n in range(10, 20)})
        named = self.log_in()
        assert named
        self.assertEqual(list(named), ["nick19", "nick18", "nick17"], "those used last")
        self.lists_partners(nick16=18, nick19=20, **{f"nick{n}": n for n in (10, 11, 12, 13, 14, 15, 17, 18)})
        request = self.answers(type="history", to="nick16", messages=[self.said(18, "nick16")], more=False)
        self.assertEqual((request["to"], request["after"]), ("nick16", 16))
        self.hears(**self.said(20, "nick19"))
        self.assertEqual(self.heard(), [("nick16", 18), ("nick19", 20)])

    def test_a_hello_with_numbers_fits_into_a_datagram(self) -> None:
        self.begin(**{f"nick{n}": 2**50 for n in range(100)})
        self.engine.connected(self.now)
        (hello,) = self.sent()
        self.assertTrue(MAX_HELLO - 50 < len(encode(hello)) <= MAX_HELLO + 50, len(encode(hello)))

    def test_a_live_message_waits_for_those_that_were_missed(self) -> None:
        self.connect_to(bob=4)
        self.lose()
        self.patch(directs, "MAX_HELLO", 0)
        self.assertIsNone(self.log_in())
        self.hears(**self.said(8))
        self.assertEqual(self.heard(), [])
        self.lists_partners(bob=8)
        self.assertEqual(self.pages(self.said(6), self.said(8))["after"], 4)
        self.assertEqual(self.heard(), [("bob", 6), ("bob", 8)])

    def test_what_got_lost_before_the_list_came_is_read(self) -> None:
        self.connect_to(bob=4)
        self.lose()
        self.log_in()
        self.engine.received(GAP, self.now)
        self.lists_partners(bob=4)
        self.lists_partners(bob=5)
        self.pages(self.said(5))
        self.assertEqual(self.heard(), [("bob", 5)])

    def test_what_the_server_cannot_replay_is_read_in_pages(self) -> None:
        self.connect_to(bob=4)
        self.lose()
        self.log_in()
        self.hears(type="error", id=self.hello, code="unavailable", msg="not now", author="server")
        self.lists_partners(bob=5)
        (page, asked_again) = self.sent()
        self.assertEqual((page["type"], page["after"], asked_again["type"]), ("history", 4, "directs"))
        self.hears(type="history", id=page["id"], to="bob", messages=[self.said(5)], more=False)
        self.assertEqual((self.heard(), self.told(Error)), ([("bob", 5)], []))

    def test_the_program_may_say_from_where_on(self) -> None:
        self.begin(Bob=2)
        self.assertEqual(self.log_in(), {"Bob": 2})
        self.hears(**self.said(3))
        self.hears(**self.said(5, author="alice", to="bob"))
        self.lists_partners(bob=5)
        self.assertEqual(self.heard(), [("bob", 3), ("alice", 5)])
        self.assertEqual((self.sent(), self.engine.direct), ([], {"Bob": 5}))

    def test_of_a_partner_that_the_program_does_not_know_it_has_nothing(self) -> None:
        self.begin(bob=2)
        self.connect_to(bob=2, carol=2)
        self.answers(type="history", to="carol", messages=[self.said(1, "carol"), self.said(2, "carol")], more=False)
        self.assertEqual(self.heard(), [("carol", 1), ("carol", 2)])

    def test_somebody_new_is_read_from_the_beginning(self) -> None:
        self.connect_to()
        self.hears(**self.said(1))
        self.lose()
        self.assertEqual(self.log_in(), {"bob": 1})
        self.hears(**self.said(2))
        self.lists_partners(bob=2)
        self.assertEqual(self.heard(), [("bob", 1), ("bob", 2)])

    def test_somebody_new_who_wrote_meanwhile_is_read_from_the_beginning(self) -> None:
        self.connect_to()
        self.lose()
        self.log_in()
        self.hears(**self.said(3, "carol"))
        self.engine.tell("dave", "hi")
        sent = self.sent()
        self.objects = [obj for obj in sent if obj["type"] == "directs"]
        (message,) = [obj for obj in sent if obj["type"] == ""]
        self.hears(type="ack", id=message["id"], to="dave", seq=2)
        self.lists_partners(bob=1, carol=3, dave=2)
        asked = {obj["to"]: obj for obj in (*sent, *self.sent()) if obj["type"] == "history"}
        self.assertEqual({nick: obj["after"] for nick, obj in asked.items()}, {"bob": 0, "carol": 0, "dave": 0})
        for nick, seqs in (("bob", [1]), ("carol", [1, 3]), ("dave", [1])):
            messages = [self.said(seq, nick) for seq in seqs]
            self.hears(type="history", id=asked[nick]["id"], to=nick, messages=messages, more=False)
        self.assertEqual(self.heard(), [("bob", 1), ("carol", 1), ("carol", 3), ("dave", 1)])

    def test_before_the_partners_are_known_a_message_is_one_all_the_same(self) -> None:
        self.connect()
        self.hears(type="welcome", id=self.hello, nick="alice", server="s", limits=self.LIMITS, account=True)
        self.hears(**self.said(5))
        self.assertEqual(self.heard(), [("bob", 5)])
        self.lists_partners(bob=5)
        self.assertEqual(self.sent(), [])

    def test_ones_own_messages_do_not_come_back(self) -> None:
        self.connect()
        self.hears(type="welcome", id=self.hello, nick="alice", server="s", limits=self.LIMITS, account=True)
        self.engine.tell("bob", "hi")
        sent = self.sent()
        self.objects = [obj for obj in sent if obj["type"] == "directs"]
        (message,) = [obj for obj in sent if obj["type"] == ""]
        self.hears(type="ack", id=message["id"], to="bob", seq=3)
        self.lists_partners()
        self.engine.tell("bob", "again")
        self.answers(type="ack", to="bob", seq=5)
        self.engine.tell("carol", "hi")
        self.answers(type="ack", to="carol", seq=1)
        self.lose()
        self.assertEqual(self.log_in(), {"carol": 0, "bob": 0})
        for seq, nick in ((3, "bob"), (5, "bob"), (1, "carol")):
            self.hears(**self.said(seq, author="alice", to=nick))
        self.hears(**self.said(6))
        self.lists_partners(bob=6, carol=1)
        self.assertEqual((self.sent(), self.heard()), ([], [("bob", 6)]))

    def test_an_ack_that_came_before_the_partners_were_known_is_remembered(self) -> None:
        self.connect()
        self.hears(type="welcome", id=self.hello, nick="alice", server="s", limits=self.LIMITS, account=True)
        self.engine.tell("bob", "hi")
        sent = self.sent()
        (message,) = [obj for obj in sent if obj["type"] == ""]
        self.hears(type="ack", id=message["id"], to="bob", seq=3)
        self.engine.received(GAP, self.now)
        self.assertIsNone(self.engine.direct)
        self.lose()
        self.connect_to()
        self.hears(**self.said(3, author="alice", to="bob"))
        self.hears(**self.said(4))
        self.assertEqual(self.heard(), [("bob", 4)])

    def test_a_connection_that_is_lost_before_the_partners_are_known_costs_nothing_of_those_met_on_it(self) -> None:
        self.log_in()
        for nick in ("bob", "dave"):
            self.engine.tell(nick, "hi")
        to_bob, to_dave = (obj for obj in self.sent() if obj["type"] == "")
        self.hears(type="ack", id=to_bob["id"], to="bob", seq=8)
        self.hears(type="ack", id=to_dave["id"], to="dave", seq=1)
        self.hears(**self.said(3, "carol"))
        self.lose()
        self.assertIsNone(self.engine.direct)
        self.assertEqual(self.log_in(), {"carol": 3, "dave": 1, "bob": 8}, "the server replays what came after them")
        for seq, nick in ((4, "carol"), (9, "bob"), (11, "bob")):
            self.hears(**self.said(seq, nick))
        self.lists_partners(bob=11, carol=4, dave=1, erin=9)
        self.hears(**self.said(10, "erin"))
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.heard(), [("carol", 3), ("carol", 4), ("bob", 9), ("bob", 11), ("erin", 10)])
        self.assertEqual(self.engine.direct, {"carol": 4, "dave": 1, "bob": 11, "erin": 10})

    def test_a_message_that_may_be_ones_own_waits_for_the_ack(self) -> None:
        self.connect_to()
        self.hears(**self.said(1))
        self.engine.tell("bob", "hi")
        self.sent()
        self.lose()
        self.connect_to(bob=2)
        (again,) = self.sent()
        self.hears(**self.said(2, author="alice", to="bob"))
        self.assertEqual(self.heard(), [("bob", 1)])
        self.hears(type="ack", id=again["id"], to="bob", seq=2)
        self.hears(**self.said(3))
        self.assertEqual(self.heard(), [("bob", 3)])

    def test_what_waits_for_an_ack_is_not_replayed_meanwhile(self) -> None:
        self.connect_to(bob=4)
        self.engine.tell("bob", "hi")
        self.sent()
        self.hears(**self.said(5, author="alice", to="bob"))
        for seq in range(6, 6 + LOW):
            self.hears(**self.said(seq))
        self.lose()
        self.assertIsNone(self.log_in(), "there is enough to be handed out")
        self.lists_partners(bob=5 + LOW)
        (again,) = self.sent()
        self.hears(type="ack", id=again["id"], to="bob", seq=5)
        self.assertEqual([seq for _, seq in self.heard()], list(range(6, 6 + LOW)))
        self.assertEqual(self.sent(), [])

    def test_what_another_connection_of_the_account_says_comes(self) -> None:
        self.connect_to()
        self.hears(**self.said(1, author="alice", to="bob"))
        self.engine.tell("bob", "hi")
        (message,) = self.sent()
        self.hears(**self.said(2, author="alice", to="bob"))
        self.assertEqual(self.heard(), [("alice", 1)])
        self.hears(type="error", code="denied", msg="no", author="server", id=message["id"])
        self.assertEqual(self.heard(), [("alice", 2)])

    def test_a_gap_is_filled(self) -> None:
        self.connect_to()
        self.hears(**self.said(1))
        self.engine.received(GAP, self.now)
        self.lists_partners(bob=3)
        self.assertEqual(self.pages(self.said(2), more=True)["after"], 1)
        self.assertEqual(self.pages(self.said(3))["after"], 2)
        self.assertEqual(self.heard(), [("bob", 1), ("bob", 2), ("bob", 3)])

    def test_a_gap_costs_no_page_of_a_log_in_which_nothing_is_missing(self) -> None:
        self.connect_to(bob=4, carol=7)
        self.engine.received(GAP, self.now)
        self.lists_partners(bob=4, carol=8)
        asked = self.answers(type="history", to="carol", messages=[self.said(8, "carol")], more=False)
        self.assertEqual((asked["to"], asked["after"], self.heard()), ("carol", 7, [("carol", 8)]))

    def test_many_gaps_at_once_cost_two_lists_of_partners(self) -> None:
        self.connect_to(bob=4)
        for _ in range(10):
            self.engine.received(GAP, self.now)
        self.lists_partners(bob=4)
        self.lists_partners(bob=4)
        self.assertEqual(self.sent(), [])

    def test_while_gaps_follow_each_other_what_is_known_to_be_missing_is_read(self) -> None:
        self.connect_to(bob=4)
        self.engine.received(GAP, self.now)
        self.engine.received(GAP, self.now)
        self.lists_partners(bob=5)
        (page, asked_again) = self.sent()
        self.assertEqual((page["type"], page["after"], asked_again["type"]), ("history", 4, "directs"))

    def test_the_first_message_of_somebody_new_may_get_lost(self) -> None:
        self.connect_to()
        self.engine.received(GAP, self.now)
        self.hears(**self.said(2))
        (asked, page) = self.sent()
        self.assertEqual((asked["type"], page["type"], page["after"]), ("directs", "history", 0))
        messages = [self.said(1), self.said(2)]
        self.hears(type="history", id=page["id"], to="bob", messages=messages, more=False)
        self.assertEqual(self.heard(), [("bob", 1), ("bob", 2)])

    def test_a_page_that_brings_nothing_is_not_asked_for_without_a_pause(self) -> None:
        self.connect_to()
        self.hears(**self.said(1))
        for _ in range(FREE_READS):
            self.engine.received(GAP, self.now)
            self.lists_partners(bob=2)
            self.pages()
        self.engine.received(GAP, self.now)
        self.lists_partners(bob=2)
        self.assertEqual(self.sent(), [])
        self.passes(FIRST_PAUSE * 2)
        self.pages()

    def test_a_page_that_is_refused_is_asked_for_again_unless_the_account_is_gone(self) -> None:
        self.connect_to()
        self.hears(**self.said(1))
        self.engine.received(GAP, self.now)
        self.lists_partners(bob=2)
        self.refuses("internal")
        self.passes(4)
        self.refuses("no-such-nick")
        self.passes(4)
        self.assertEqual((self.sent(), self.engine.direct), ([], {}))

    def test_a_log_whose_numbers_start_again_is_read_from_its_end(self) -> None:
        self.begin(bob=100)
        self.connect_to(bob=3)
        self.hears(**self.said(4))
        self.assertEqual((self.sent(), self.heard()), ([], [("bob", 4)]))

    def test_a_list_that_is_older_than_what_was_heard_is_no_new_log(self) -> None:
        self.connect_to(bob=4)
        self.lose()
        self.log_in()
        self.engine.tell("bob", "hi")
        (directs_asked, message) = self.sent()
        self.hears(**self.said(5, author="alice", to="bob"))  # may be one's own
        self.hears(type="directs", id=directs_asked["id"], directs=[{"nick": "bob", "seq": 4}])
        self.hears(type="ack", id=message["id"], to="bob", seq=6)
        self.assertEqual((self.heard(), self.sent()), ([("alice", 5)], []))

    def test_a_deletion_takes_the_text_also_of_what_was_not_passed_on(self) -> None:
        self.connect_to()
        self.hears(**self.said(1))
        self.engine.received(GAP, self.now)
        self.hears(**self.said(3))
        self.hears(type="delete", author="bob", to="alice", of=3, seq=4)
        self.lists_partners(bob=4)
        self.pages(self.said(2))
        self.assertEqual([message.msg for message in self.told(DirectMessage)], ["1", "2", ""])
        self.assertEqual(self.told(Deleted), [Deleted("bob", 3, 4, to="alice")])

    def test_ones_own_deletion_is_acked(self) -> None:
        self.connect_to(bob=4)
        deleting = self.engine.do(actions.delete_direct("bob", 4))
        sent = self.answers(type="ack", to="bob", seq=5)
        self.assertEqual((sent["type"], sent["to"], sent["of"]), ("delete", "bob", 4))
        self.assertEqual(self.result(deleting), 5)
        self.hears(**self.said(6))
        self.assertEqual(self.heard(), [("bob", 6)])
        refused = self.engine.do(actions.delete_direct("bob", 6))
        self.refuses("denied")
        self.assertEqual(str(self.result(refused)), "the message to bob was not deleted: no")

    def test_a_long_text_is_completed(self) -> None:
        self.connect_to()
        self.hears(**self.said(1, rest=2))
        self.assertEqual(self.heard(), [])
        request = self.pages(self.said(1) | {"msg": "xy"})
        self.assertEqual((request["to"], request["after"], request["skip"]), ("bob", 0, 1))
        self.assertEqual([message.msg for message in self.told(DirectMessage)], ["1xy"])

    def test_older_ones_can_be_read(self) -> None:
        self.connect_to(bob=4)
        reading = self.engine.history(None, 4, None, 10, "bob")
        request = self.pages(self.said(3) | {"rest": 1})
        self.assertEqual({**request, "id": ""}, {"type": "history", "to": "bob", "before": 4, "limit": 10, "id": ""})
        self.pages(self.said(3) | {"msg": "!"})
        self.assertEqual([message.msg for message in self.result(reading).messages], ["3!"])
        refused = self.engine.history(None, 4, None, 10, "bob")
        self.refuses("no-such-nick")
        self.assertEqual(str(self.result(refused)), "the history of bob cannot be read: no")

    def test_another_account_has_other_conversations(self) -> None:
        self.connect_to(bob=4)
        logging_in = self.engine.do(actions.log_in("carol", "staple"))
        (goodbye,) = self.sent()
        self.hears(type="stop", id=goodbye["id"])
        self.lose()
        self.engine.connected(self.now)
        (hello,) = self.sent()
        self.hears(type="welcome", id=hello["id"], nick="carol", server="s", limits=self.LIMITS, account=True)
        self.lists_partners(dave=1)
        self.assertEqual((self.result(logging_in), self.engine.direct), ("carol", {"dave": 1}))

    def test_where_the_partners_cannot_be_listed_now_they_are_asked_for_again(self) -> None:
        self.connect()
        self.hears(type="welcome", id=self.hello, nick="alice", server="s", limits=self.LIMITS, account=True)
        self.refuses("rate-limited", retry=1)
        self.passes(1)
        self.refuses("internal")
        self.passes(4)
        self.lists_partners(bob=3)
        self.assertEqual(self.engine.direct, {"bob": 3})

    def test_an_older_server_has_no_such_logs(self) -> None:
        self.connect()
        self.hears(type="welcome", id=self.hello, nick="alice", server="s", limits=self.LIMITS, account=True)
        self.refuses("unknown-type")
        self.hears(type="", msg="hi", author="bob", to="alice")
        self.assertEqual(self.heard(), [("bob", None)])
        self.assertIsNone(self.engine.direct)

    def test_the_conversations_used_last_are_kept(self) -> None:
        self.patch(directs, "MAX_PARTNERS", 2)
        self.connect_to(bob=1, carol=1)
        self.hears(**self.said(2))
        self.hears(**self.said(1, author="dave"))
        self.assertEqual(self.engine.direct, {"bob": 2, "dave": 1})


class OrderTests(EngineTestCase):
    """What moderators do, and what others are told of it."""

    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.lobby = self.engine.join("lobby")
        self.answers(type="joined", room="lobby", topic="", seq=7, oldest=1, count=3)
        self.told(StateChanged, Entered)

    def messages(self) -> list[tuple[int | None, str, int | None]]:
        taken = []
        while (message := self.engine.take(self.lobby)) is not None:
            taken.append((message.seq, message.msg, message.deleted))
        self.turn()
        return taken

    def test_each_action_is_a_request_and_has_its_answer(self) -> None:
        cases: list[tuple[Action[Any], Obj]] = [
            (actions.kick("lobby", "bob", "spam"), {"type": "kick", "room": "lobby", "nick": "bob", "msg": "spam"}),
            (actions.ban("lobby", "bob", 60), {"type": "ban", "room": "lobby", "who": "bob", "seconds": 60}),
            (actions.ban(None, "192.0.2.0/24"), {"type": "ban", "who": "192.0.2.0/24"}),
            (actions.unban("lobby", "bob"), {"type": "unban", "room": "lobby", "who": "bob"}),
            (actions.mute("lobby", "bob"), {"type": "mute", "room": "lobby", "nick": "bob"}),
            (actions.unmute("lobby", "bob"), {"type": "unmute", "room": "lobby", "nick": "bob"}),
            (actions.grant("lobby", "b", "owner"), {"type": "grant", "room": "lobby", "nick": "b", "role": "owner"}),
            (actions.lock("lobby"), {"type": "lock", "room": "lobby", "on": True}),
            (actions.lock("lobby", False), {"type": "lock", "room": "lobby", "on": False}),
            (actions.invite("lobby", "bob"), {"type": "invite", "room": "lobby", "nick": "bob"}),
            (actions.slow("lobby", 0), {"type": "slow", "room": "lobby", "seconds": 0}),
            (actions.report("lobby", 8, "spam"), {"type": "report", "room": "lobby", "of": 8, "msg": "spam"}),
        ]
        for action, obj in cases:
            request = self.engine.do(action)
            sent = self.answers(type=obj["type"], room="lobby")
            self.assertEqual(sent, obj | {"id": sent["id"]})
            self.assertIsNone(self.result(request))
            self.assertTrue(request.changes)

    def test_all_that_somebody_said_is_deleted_in_one_request(self) -> None:
        for action, where in (
            (actions.delete_all("lobby", "bob", "ads"), {"room": "lobby"}),
            (actions.delete_all(None, "bob", "ads"), {}),
        ):
            deleting = self.engine.do(action)
            sent = self.answers(type="delete", author="alice", by="bob", count=12, **where)
            self.assertEqual(sent, {"type": "delete", "by": "bob", "msg": "ads", "id": sent["id"], **where})
            self.assertEqual(self.result(deleting), 12)

    def test_lists_are_read(self) -> None:
        bans = self.engine.do(actions.bans("lobby"))
        self.assertEqual(
            self.answers(
                type="bans", count=2, bans=[{"who": "bob", "author": "al", "time": "t", "until": "u", "msg": "m"}]
            )["room"],
            "lobby",
        )
        self.assertEqual(self.result(bans), Bans([BanInfo("bob", "al", "t", "u", "m")], 2))
        audit = self.engine.do(actions.audit(None, before=9))
        self.answers(type="audit", more=True, actions=[{"seq": 3, "time": "t", "type": "kick", "author": "al"}])
        self.assertEqual(self.result(audit), Audit([ActionInfo(3, "t", "kick", "al")], True))
        self.assertFalse(bans.changes or audit.changes)

    def test_a_refusal_says_where(self) -> None:
        for action, words in (
            (actions.kick("lobby", "bob"), "bob was not put out of lobby: no"),
            (actions.ban(None, "bob"), "bob was not banned from the server: no"),
            (actions.audit(None), "what was done in the server cannot be listed: no"),
        ):
            request = self.engine.do(action)
            self.refuses("denied")
            self.assertEqual(str(self.result(request)), words)

    def test_what_is_done_in_a_room_is_asked_for_in_order_one_at_a_time(self) -> None:
        self.engine.do(actions.kick("lobby", "bob"))
        self.engine.do(actions.ban("lobby", "bob"))
        self.engine.do(actions.lock("garden"))
        (kick, lock) = self.sent()
        self.assertEqual((kick["type"], lock["type"]), ("kick", "lock"))
        self.hears(id=kick["id"], type="kick", room="lobby")
        self.assertEqual(self.sent_types(), ["ban"])

    def test_what_others_do_is_told(self) -> None:
        cases: dict[str, tuple[Obj, Any]] = {
            "kick": ({"nick": "bob", "msg": "m"}, Kicked("al", "lobby", "bob", "m")),
            "ban": ({"who": "bob", "until": "u"}, Banned("al", "bob", "lobby", "u")),
            "unban": ({"who": "bob"}, Unbanned("al", "bob", "lobby")),
            "mute": ({"nick": "bob"}, Muted("al", "lobby", "bob")),
            "unmute": ({"nick": "bob"}, Unmuted("al", "lobby", "bob")),
            "grant": ({"nick": "bob", "role": "owner"}, Granted("al", "bob", "owner", "lobby")),
            "lock": ({"on": False}, Locked("al", "lobby", False)),
            "slow": ({"seconds": 5}, Slowed("al", "lobby", 5)),
            "invite": ({"nick": "alice"}, Invited("al", "lobby", "alice")),
            "report": ({"of": 8, "time": "t"}, Reported("al", "lobby", 8, "t")),
        }
        for type, (fields, event) in cases.items():
            self.hears(type=type, author="al", room="lobby", **fields)
            self.assertEqual(self.told(event.__class__), [event])
            self.hears(type=type, author="al", room="lobby", **dict.fromkeys(fields))
            self.assertEqual(self.told(event.__class__), [], "it cannot be read")

    def test_somebody_who_is_put_out_is_a_member_no_more(self) -> None:
        self.hears(type="kick", author="al", room="lobby", nick="bob")
        self.assertEqual(self.lobby.count, 2)

    def test_a_client_that_is_put_out_of_a_room_stays_out(self) -> None:
        saying = self.engine.say(self.lobby, "hi")
        self.sent()
        self.hears(type="kick", author="al", room="Lobby", nick="ALICE", msg="go")
        kicked, lost, ended = self.told(Kicked, RoomLost, Ended)
        self.assertEqual((kicked.msg, lost.room, lost.error.code), ("go", "lobby", "kicked"))
        self.assertEqual(str(lost.error), "you were put out of the room by al: go")
        self.assertIs(ended.error, lost.error)
        self.assertIs(self.result(saying), lost.error)
        self.assertEqual((self.sent(), self.engine.memberships), ([], {}))
        self.return_()
        self.assertEqual(self.sent(), [])
        self.hears(type="kick", author="al", room="lobby", nick="alice")
        self.assertEqual(self.told(RoomLost), [])

    def test_a_ban_or_a_lock_puts_out_in_the_words_of_the_server(self) -> None:
        self.hears(type="kick", author="server", room="lobby", nick="alice", msg="you are banned")
        (lost,) = self.told(RoomLost)
        self.assertEqual(str(lost.error), "you are banned")
        self.engine.join("lobby")
        self.answers(type="joined", room="lobby", topic="", seq=7, oldest=1, count=3)
        self.hears(type="kick", author="al", room="lobby", nick="alice")
        (lost,) = self.told(RoomLost)
        self.assertEqual(str(lost.error), "you were put out of the room by al")

    def test_a_deletion_is_an_entry_of_the_log(self) -> None:
        self.hears(type="", msg="hi", author="bob", room="lobby", seq=8)
        self.assertEqual(self.messages(), [(8, "hi", None)])
        self.hears(type="delete", author="al", room="lobby", of=8, seq=9, time="t")
        self.assertEqual(self.told(Deleted), [], "it comes when it is taken")
        self.assertEqual(self.messages(), [])
        self.assertEqual(self.told(Deleted), [Deleted("al", 8, 9, "lobby", time="t")])
        self.lose()
        self.welcome()
        self.assertEqual(self.sent()[0]["since"], 9)

    def test_a_message_that_is_deleted_before_it_is_taken_has_no_text(self) -> None:
        self.hears(type="", msg="hi", author="bob", room="lobby", seq=8, rest=3)
        self.hears(type="delete", author="al", room="lobby", of=8, seq=9)
        self.hears(type="", msg="so", author="bob", room="lobby", seq=10)
        self.hears(type="", msg="", author="bob", room="lobby", seq=11, deleted=12)
        self.assertEqual(self.messages(), [(8, "", 9), (10, "so", None), (11, "", 12)])
        self.assertEqual([event.of for event in self.told(Deleted)], [8])

    def test_a_deletion_that_makes_no_sense_is_passed_over(self) -> None:
        for fields in ({}, {"of": "8"}, {"of": 8, "author": 1}, {"of": 8, "seq": None}):
            self.hears(**{"type": "delete", "author": "al", "room": "lobby", "seq": 9, **fields})
        self.assertEqual((self.messages(), self.told(Deleted)), ([], []))

    def test_ones_own_deletion_is_acked_and_does_not_come_out_of_the_log(self) -> None:
        deleting = self.engine.do(actions.delete("lobby", 7))
        self.assertEqual(self.answers(type="ack", room="lobby", seq=8)["of"], 7)
        self.assertEqual((self.result(deleting), deleting.seq), (8, 8))
        self.return_()
        self.answers(type="joined", room="lobby", topic="", seq=8, oldest=1, count=3)
        self.hears(type="delete", author="alice", room="lobby", of=7, seq=8)
        self.assertEqual((self.messages(), self.told(Deleted)), ([], []))

    def test_pages_have_messages_only(self) -> None:
        reading = self.engine.history("lobby", None, None, 50)
        deletion = {"type": "delete", "author": "al", "room": "lobby", "of": 7, "seq": 8}
        deleted = {"type": "", "msg": "", "author": "bob", "room": "lobby", "seq": 7, "deleted": 8}
        self.answers(type="history", room="lobby", messages=[deleted, deletion], more=False)
        (message,) = self.result(reading).messages
        self.assertEqual((message.seq, message.msg, message.deleted), (7, "", 8))


class SlowConsumerTests(EngineTestCase):
    """A consumer that takes nothing, and a room that does not wait for it."""

    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.room = self.join(seq=0)

    def hear(self, *seqs: int) -> None:
        for seq in seqs:
            self.message(seq)

    def take(self, count: int) -> list[int | None]:
        taken = [message.seq for _ in range(count) if (message := self.engine.take(self.room)) is not None]
        self.turn()
        return taken

    def test_it_gets_the_rest_from_the_log_and_misses_nothing(self) -> None:
        total = MOST + 2 * PAGE
        self.hear(*range(1, total + 1))
        self.assertEqual(self.sent(), [])
        taken = self.take(MOST - LOW - 1)
        self.assertEqual(self.sent(), [], "there is still enough")
        taken += self.take(1)
        self.assertEqual(self.page(*range(MOST + 1, MOST + PAGE + 1), more=True)["after"], MOST)
        self.assertEqual(self.sent(), [])
        taken += self.take(PAGE)
        self.assertEqual(self.page(*range(MOST + PAGE + 1, total + 1))["after"], MOST + PAGE)
        self.hear(total + 1)
        taken += self.take(total)
        self.assertEqual((taken, self.sent()), (list(range(1, total + 2)), []))

    def test_what_it_says_is_acked_meanwhile(self) -> None:
        self.hear(*range(1, MOST + 100))
        said = self.engine.say(self.room, "wait")
        self.answers(type="ack", room="lobby", seq=MOST + 100)
        self.assertEqual(self.result(said), MOST + 100)

    def test_it_joins_without_its_place_while_it_has_enough(self) -> None:
        self.hear(*range(1, LOW + 2))
        self.return_()
        self.assertNotIn("since", self.joins(LOW + 5))
        self.assertEqual(self.sent(), [])
        taken = self.take(1)
        self.assertEqual(self.page(LOW + 3, LOW + 5)["after"], LOW + 1)
        self.assertEqual(taken + self.take(LOW + 10), [*range(1, LOW + 2), LOW + 3, LOW + 5])

    def test_a_room_that_cannot_be_read_is_lost(self) -> None:
        self.miss()
        self.refuses("denied")
        self.assertEqual(self.told(RoomLost)[0].error.code, "denied")

    def miss(self) -> None:
        """Lose what comes."""
        self.engine.received(GAP, self.now)
        self.turn()

    def test_a_page_that_cannot_be_read_now_or_makes_no_sense_is_asked_for_again(self) -> None:
        self.miss()
        self.refuses("internal")
        self.passes(1)
        self.assertEqual(self.sent(), [])
        self.passes(3)
        self.answers(type="history", room="lobby", messages=[{"seq": 1}], more=False)
        self.passes(4)
        self.page(1)
        self.assertEqual(self.taken(self.room), [1])

    def test_a_room_that_was_left_is_read_no_more(self) -> None:
        self.miss()
        (reading,) = self.sent()
        self.engine.leave(self.room)
        (leave,) = self.sent()
        self.hears(type="error", id=reading["id"], code="internal", msg="no", author="server")
        self.hears(type="left", room="lobby", id=leave["id"])
        self.passes(4)
        self.assertEqual(self.sent(), [])

    def test_a_log_that_brings_nothing_is_read_more_and_more_slowly(self) -> None:
        """Its pages bring nothing new and say that there is more, as those of a server that has lost its end."""
        for _ in range(FREE_READS):
            self.miss()
            self.page(more=True)
        for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
            self.miss()
            self.passes(0.9 * pause)
            self.assertEqual(self.sent(), [])
            self.passes(0.2 * pause)
            self.page(0, more=True)
        self.miss()
        self.passes(4 * FIRST_PAUSE)
        self.page(1, more=True)
        self.page(2)
        self.assertEqual(self.taken(self.room), [1, 2])

    def test_one_that_is_left_during_the_pause_is_not_read_after_it(self) -> None:
        for _ in range(FREE_READS):
            self.miss()
            self.page(more=True)
        self.miss()
        self.engine.leave(self.room)
        self.answers(type="left", room="lobby")
        self.passes(4)
        self.assertEqual(self.sent(), [])

    def test_a_gap_is_none_in_a_room_that_is_not_entered_yet(self) -> None:
        self.engine.join("garden")
        self.miss()
        self.assertEqual(sorted(self.sent_types()), ["history", "join"])

    def test_a_text_whose_rest_may_not_be_read_is_what_came_of_it(self) -> None:
        self.message(1, rest=100)
        self.assertEqual(self.taken(self.room), [])
        self.refuses("internal")
        self.passes(1)
        self.assertEqual(self.sent(), [])
        self.passes(3)
        self.assertEqual(self.refuses("denied")["skip"], 1)
        self.assertEqual(self.taken(self.room), [1])

    def test_a_text_that_is_deleted_while_its_rest_is_read_has_no_rest(self) -> None:
        self.message(1, rest=2)
        self.taken(self.room)
        self.hears(type="delete", author="bob", room="lobby", of=1, seq=2)
        self.answers(type="history", messages=[{"msg": "23", "author": "bob", "seq": 1}], more=False)
        message = self.engine.take(self.room)
        assert message is not None
        self.assertEqual((message.msg, message.deleted), ("", 2))

    def test_a_text_is_completed_on_the_next_connection(self) -> None:
        self.message(1, rest=2)
        self.taken(self.room)
        self.sent()
        self.lose()
        self.assertEqual(self.taken(self.room), [])
        self.welcome()
        self.joins(1)
        self.taken(self.room)
        self.answers(type="history", messages=[{"msg": "23", "author": "bob", "seq": 1}], more=False)
        message = self.engine.take(self.room)
        assert message is not None
        self.assertEqual(message.msg, "123")


class AnyNetworkTests(SynchronousTestCase):
    """Whatever the network does, each message comes once and in order."""

    @settings(max_examples=100)
    @given(st.integers(), st.integers(2, 40), st.booleans())
    def test_each_message_comes_once_and_in_order(self, seed: int, space: int, lossy: bool) -> None:
        trial = self.run_trial(seed, space, refusing=0, lossy=lossy)
        own = [message.msg for message in trial.log if message.author == "alice"]
        self.assertEqual(own, [str(i) for i in range(trial.said)])

    @settings(max_examples=100)
    @given(st.integers(), st.integers(2, 40), st.booleans())
    def test_each_message_comes_once_where_the_server_refuses_some_for_now(
        self, seed: int, space: int, lossy: bool
    ) -> None:
        """Their order is kept when the server refuses all that follow, too; this one does not."""
        trial = self.run_trial(seed, space, refusing=0.1, lossy=lossy)
        own = [message.msg for message in trial.log if message.author == "alice"]
        self.assertEqual(sorted(own, key=int), [str(i) for i in range(trial.said)])

    @settings(max_examples=100)
    @given(st.integers(), st.booleans())
    def test_each_direct_message_comes_once_and_in_order(self, seed: int, lossy: bool) -> None:
        trial = DirectTrial(Random(seed), lossy)
        for _ in range(300):
            trial.step()
        trial.finish()
        for nick in trial.PARTNERS:
            self.assertEqual([one.msg for one in trial.told if one.author == nick], trial.said_by(nick))
        own = [message.seq for message in trial.told if message.author == "alice"]
        self.assertFalse(set(own) & set(trial.acked.values()) and trial.direct is None)

    def run_trial(self, seed: int, space: int, refusing: float, lossy: bool) -> Trial:
        trial = Trial(Random(seed), space, refusing, lossy)
        for _ in range(400):
            trial.step()
        trial.finish()
        heard = [message.seq for message in trial.heard]
        self.assertEqual(heard, [message.seq for message in trial.log if message.author == "bob"])
        self.assertEqual(trial.acked, {message.msg: message.seq for message in trial.log if message.author == "alice"})
        self.assertEqual(trial.engine.owed, 0)
        self.assertEqual(trial.server.room("lobby").topic, trial.topic)
        return trial


class Trial:
    """A client that talks in the lobby, a server that speaks there too, and a network that breaks at any place."""

    def __init__(self, random: Random, space: int, refusing: float, lossy: bool) -> None:
        self.random = random
        self.space = space
        self.refusing = refusing
        self.lossy = lossy
        self.now = 0.0
        self.server = FakeServer()
        self.server.refuse = self.refuse
        self.engine = self.make_engine()
        self.outgoing: list[Obj] = []
        self.incoming: list[Obj] = []
        self.session = FakeSession(self.server)
        self.heard: list[Message] = []
        self.told: list[DirectMessage] = []
        self.calm = False
        self.acked: dict[str, int] = {}
        self.connect()
        self.turn()
        self.serve()
        self.hear()  # the first connection has to be made
        self.room = self.engine.join("lobby", 0)
        self.said = 0
        self.topic = ""
        """The last topic that was set."""

    def make_engine(self) -> Engine:
        return Engine("alice", "the server", ids())

    @property
    def log(self) -> list[wire.Message]:
        return self.server.room("lobby").log

    def refuse(self, request: wire.AnyRequest) -> WireError | None:
        if self.calm or isinstance(request, wire.Hello | wire.Pong) or self.random.random() >= self.refusing:
            return None
        # A topic that is unavailable is passed on to the program, which does not set it again here.
        if isinstance(request, wire.Topic):
            return WireError("rate-limited", "not now")
        return WireError(self.random.choice(["rate-limited", "unavailable"]), "not now")

    def connect(self) -> None:
        self.session = FakeSession(self.server)
        self.engine.connected(self.now)

    def turn(self) -> None:
        while self.engine.has_work:
            self.outgoing += self.engine.take_objects(self.now)
            for event in self.engine.take_events():
                if isinstance(event, Answered) and event.request.kind == "message":
                    self.acked[event.request.text or ""] = event.result
                elif isinstance(event, DirectMessage):
                    self.told.append(event)

    def step(self) -> None:
        often = [self.hear, self.hear, self.serve, self.serve, self.speak, self.say, self.read]
        act = self.random.choice([*often, *self.rare])
        if act not in self.rare or self.random.random() < 0.2:
            act()
        self.pass_time(self.random.random() * 0.2)

    @property
    def rare(self) -> list[Callable[[], None]]:
        """What happens less often."""
        return [self.cut, self.set_topic]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.engine.tick(self.now)
        self.turn()

    def hear(self) -> None:
        self.incoming += map(json.loads, self.session.got())
        for obj in self.incoming[: self.random.randrange(1, 6)]:
            self.incoming.remove(obj)
            # Over UDP it is notices and messages that get lost for good; what answers a request is asked for again.
            is_lost = self.lossy and not self.calm and obj["type"] == "" and self.random.random() < 0.2
            self.engine.received(GAP if is_lost else obj, self.now)
            self.turn()

    def serve(self) -> None:
        for request in self.outgoing[: self.random.randrange(1, 6)]:
            self.outgoing.remove(request)
            self.session.asked(json.dumps(request).encode())

    def speak(self) -> None:
        self.server.say("hello")

    def say(self) -> None:
        self.engine.say(self.room, str(self.said))
        self.said += 1
        self.turn()

    def set_topic(self) -> None:
        self.topic = f"topic {self.said}"
        self.engine.set_topic("lobby", self.topic)
        self.turn()

    def read(self) -> None:
        for _ in range(self.random.randrange(1, self.space + 1)):
            message = self.engine.take(self.room)
            if message is not None:
                self.heard.append(message)
        self.turn()

    def cut(self) -> None:
        self.session.gone()
        self.outgoing.clear()
        self.incoming.clear()
        self.engine.lost("cut", self.now)
        self.connect()
        self.turn()

    def finish(self) -> None:
        """Deliver everything, until nothing has come for longer than any pause."""
        self.calm = True
        quiet = 0.0
        while quiet < 2 * LONGEST_PAUSE:
            before = self.arrived
            self.serve()
            self.hear()
            self.read()
            self.pass_time(0.2)
            quiet = quiet + 0.2 if self.arrived == before else 0.0

    @property
    def arrived(self) -> int:
        return len(self.heard) + len(self.acked) + len(self.told)


class DirectTrial(Trial):
    """A client with an account, which talks with two others, over several connections and several runs of its program.

    The others come and go, and the store takes its time to open a log.
    """

    PARTNERS: Final = ("bob", "carol")

    def __init__(self, random: Random, lossy: bool) -> None:
        self.new_id = ids()
        self.spoken = 0
        self.direct: dict[str, int] | None = None
        self.partners: dict[str, Peer | None] = {}
        super().__init__(random, 1, 0.0, lossy)
        while self.engine.direct is None:  # what comes after the first list of partners is not to be missed
            self.serve()
            self.hear()

    def make_engine(self) -> Engine:
        if not self.partners:
            for nick in ("alice", *self.PARTNERS):
                peer = self.partners[nick] = self.server.chat.welcome(nick)
                peer.send({"type": "register", "password": "correct horse"})
                self.server.chat.settle()
            self.go("alice")
        return Engine("alice", "the server", self.new_id, password="correct horse", direct=self.direct)

    @property
    def rare(self) -> list[Callable[[], None]]:
        return [self.cut, self.cut, self.run_again, lambda: self.go(self.partner()), self.slow_down, self.release]

    def partner(self) -> str:
        return self.random.choice(self.PARTNERS)

    def said_by(self, nick: str) -> list[str]:
        log = self.server.store.logs.get(f"@alice@{nick}")
        return [record.msg for record in log.records if record.author == nick] if log else []

    def speak(self) -> None:
        nick = self.partner()
        peer = self.partners[nick]
        if peer is None:
            peer = self.partners[nick] = self.server.chat.connect()
            peer.send({"type": "hello", "nick": nick, "password": "correct horse"})
        self.spoken += 1
        peer.send({"type": "", "to": "alice", "msg": f"{nick} {self.spoken}", "id": f"{nick} {self.spoken}"})
        self.server.chat.settle()

    def go(self, nick: str) -> None:
        peer, self.partners[nick] = self.partners[nick], None
        if peer is not None:
            self.server.chat.settle()
            peer.cut()

    def say(self) -> None:
        self.engine.tell(self.partner(), str(self.said))
        self.said += 1
        self.turn()

    def read(self) -> None:
        """Do nothing: direct messages do not wait to be taken."""

    def slow_down(self) -> None:
        self.server.store.held.add("open")

    def release(self) -> None:
        self.server.store.held.clear()
        while self.server.store.waiting:
            self.server.store.release()

    def cut(self) -> None:
        super().cut()
        if self.engine.state is State.CLOSED:  # the first connection of a run has to be made
            self.run_again()

    def run_again(self) -> None:
        """End the program, and start it again with the numbers that it has stored."""
        self.direct = self.engine.direct
        self.session.gone()
        self.outgoing.clear()
        self.incoming.clear()
        self.engine = self.make_engine()
        self.connect()
        self.turn()

    def finish(self) -> None:
        self.release()
        super().finish()

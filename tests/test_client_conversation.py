"""What a conversation promises, over any number of connections; no sockets, no time but a test's own."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat import names
from twisted_chat.client.conversation import LEAST_PAUSE, MAX_OWN, Conversation, RoomState, pause
from twisted_chat.client.errors import ClosedError, RequestError
from twisted_chat.client.events import DirectMessage, NewLog, RoomLost
from twisted_chat.messages import AnyRequest, Message, WireError

from .client_fakes import FakeServer, FakeSession, Reader, World, ids, result

LOBBY = names.room("lobby")


class ConversationTestCase(SynchronousTestCase):
    """A conversation whose server is the test."""

    def setUp(self) -> None:
        self.world = World()
        self.talk = Conversation(self.world, "alice", ids())

    def welcome(self, **limits: int) -> None:
        self.talk.connected()
        hello = self.world.take_sent()[-1]
        self.hear(wire.Welcome(nick="alice", server="test", protocol=1, limits=limits, id=hello.id))

    def lose(self) -> None:
        self.world.lose()
        self.talk.lost()

    def hear(self, *replies: Any) -> None:
        for reply in replies:
            self.talk.received(reply)

    def sent(self) -> list[dict[str, Any]]:
        """Give what was sent since the last time, as the wire has it."""
        return [msgspec.json.decode(wire.encode(request)) for request in self.world.take_sent()]

    def refuse(self, id: str, code: Any, retry: float | None = None) -> None:
        self.hear(wire.Error(code=code, msg="no", author="server", id=id, retry=retry))

    def joined(self, id: str, seq: int = 10, **fields: Any) -> None:
        self.hear(
            wire.Joined(**{"room": "lobby", "topic": "", "seq": seq, "oldest": 1, "count": 2, "id": id, **fields})
        )

    def join(self, since: int | None = None, reader: Reader | None = None, seq: int = 10) -> tuple[RoomState, Reader]:
        reader = reader or Reader()
        room = self.talk.join(LOBBY, since, reader)
        (request,) = self.sent()
        self.joined(request["id"], seq)
        return room, reader

    def message(self, seq: int, room: str = "lobby", author: str = "bob") -> None:
        self.hear(Message(msg=str(seq), author=author, room=room, seq=seq))

    def ack(self, id: str, seq: int | None, room: str | None = "lobby") -> None:
        self.hear(wire.Ack(id=id, room=room, seq=seq))


class HelloTests(ConversationTestCase):
    def test_it_says_hello_first_and_is_told_of_the_welcome(self) -> None:
        self.talk.connected()
        (hello,) = self.sent()
        self.assertEqual((hello["type"], hello["nick"]), ("hello", "alice"))
        self.hear(wire.Welcome(nick="Alice", server="test", protocol=1, limits={"object": 100}, id=hello["id"]))
        self.assertEqual((self.talk.nick, self.talk.limits), ("Alice", {"object": 100}))
        self.assertEqual(len(self.world.welcomes), 1)
        self.hear(self.world.welcomes[0])
        self.assertEqual(len(self.world.welcomes), 1)

    def test_a_refusal_says_whether_it_is_for_good(self) -> None:
        for code, for_good in (("nick-taken", False), ("full", False), ("banned", True), ("bad-nick", True)):
            self.talk.connected()
            (hello,) = self.sent()
            self.refuse(hello["id"], code)
            error, good = self.world.refusals.pop()
            self.assertEqual((error.code, good), (code, for_good))

    def test_a_refusal_without_an_id_is_of_the_hello(self) -> None:
        self.talk.connected()
        self.hear(wire.Error(code="full", msg="full", author="server"))
        self.assertEqual(self.world.refusals[0][0].code, "full")

    def test_a_refusal_that_cannot_be_read_is_one(self) -> None:
        self.talk.connected()
        (hello,) = self.sent()
        self.talk.unreadable(hello["id"], "too-new", "use a newer client")
        error, for_good = self.world.refusals[0]
        self.assertEqual((error.code, str(error), for_good), ("too-new", "use a newer client", False))

    def test_nothing_is_asked_before_the_welcome(self) -> None:
        answer = self.talk.ask(wire.Rooms())
        self.talk.tell("bob", "hi")
        self.assertEqual(self.sent(), [])
        self.welcome()
        rooms, message = self.sent()
        self.assertEqual((rooms["type"], message["msg"]), ("rooms", "hi"))
        self.hear(wire.RoomList(rooms=[], id=rooms["id"]))
        self.assertEqual(result(answer).rooms, [])


class RequestTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()

    def test_what_is_not_answered_is_asked_again_with_the_same_id(self) -> None:
        answer = self.talk.ask(wire.Who(room="lobby"))
        (first,) = self.sent()
        self.lose()
        self.assertNoResult(answer)
        self.welcome()
        self.assertEqual(self.sent(), [first])
        self.hear(wire.Members(room="lobby", members=["bob"], count=1, id=first["id"]))
        self.assertEqual(result(answer).members, ["bob"])
        self.lose()
        self.welcome()
        self.assertEqual(self.sent(), [])

    def test_an_error_of_the_server_is_an_exception_with_its_code(self) -> None:
        answer = self.talk.ask(wire.Who(room="lobby"))
        self.refuse(self.sent()[0]["id"], "bad-room")
        self.assertEqual(self.failureResultOf(answer, RequestError).value.code, "bad-room")

    def test_what_came_too_fast_is_asked_again_when_the_server_says(self) -> None:
        answer = self.talk.ask(wire.Rooms())
        (request,) = self.sent()
        self.refuse(request["id"], "rate-limited", retry=3.0)
        self.world.clock.advance(2.9)
        self.assertEqual(self.sent(), [])
        self.world.clock.advance(0.2)
        self.assertEqual(self.sent(), [request])
        self.refuse(request["id"], "rate-limited")
        self.hear(wire.RoomList(rooms=[], id=request["id"]))
        self.world.clock.advance(60)
        self.assertEqual(self.sent(), [], "it was answered meanwhile")
        self.assertEqual(result(answer).rooms, [])

    def test_a_server_cannot_keep_it_busy(self) -> None:
        self.talk.ask(wire.Rooms())
        (request,) = self.sent()
        self.refuse(request["id"], "rate-limited", retry=0.0)
        self.world.clock.advance(0.9 * LEAST_PAUSE)
        self.assertEqual(self.sent(), [])
        self.world.clock.advance(0.2 * LEAST_PAUSE)
        self.assertEqual(self.sent(), [request])

    def test_what_is_answered_by_something_else_fails(self) -> None:
        asked = self.talk.ask(wire.Rooms())
        self.hear(wire.PongSent(id=self.sent()[0]["id"]))
        renamed = self.talk.rename("al")
        self.ack(self.sent()[0]["id"], 1)
        for answer in (asked, renamed):
            self.assertEqual(self.failureResultOf(answer, RequestError).value.code, "internal")

    def test_an_answer_that_cannot_be_read_fails_its_request(self) -> None:
        answer = self.talk.ask(wire.Rooms())
        self.talk.unreadable(None, "internal", "")
        self.talk.unreadable("unknown", "internal", "")
        self.assertNoResult(answer)
        self.talk.unreadable(self.sent()[0]["id"], "new-code", "no")
        self.assertEqual(self.failureResultOf(answer, RequestError).value.code, "new-code")

    def test_answers_that_nobody_waits_for_are_passed_over(self) -> None:
        self.hear(wire.PongSent(), wire.PongSent(id="x"), wire.Left(room="lobby", id="x"))
        self.ack("x", 1)

    def test_an_error_that_answers_nothing_is_told(self) -> None:
        error = wire.Error(code="bad-json", msg="no", author="server")
        self.hear(error)
        self.assertEqual(self.world.told, [error])

    def test_pings_are_answered(self) -> None:
        self.hear(wire.PingSent())
        self.assertEqual(self.sent(), [{"type": "pong"}])

    def test_a_stop_is_told(self) -> None:
        self.hear(wire.Stop(msg="bye", author="server"))
        self.assertEqual(cast(wire.Stop, self.world.told[0]).msg, "bye")

    def test_direct_messages_are_acked_and_told(self) -> None:
        answer = self.talk.tell("bob", "psst")
        (request,) = self.sent()
        self.assertEqual((request["to"], request.get("room")), ("bob", None))
        self.ack(request["id"], None, room=None)
        self.assertIsNone(result(answer))
        self.hear(Message(msg="psst", author="bob", to="alice", time="now"))
        (told,) = self.world.told
        self.assertIsInstance(told, DirectMessage)
        self.assertEqual((cast(Message, told).msg, cast(Message, told).to), ("psst", "alice"))

    def test_a_direct_message_that_cannot_be_kept_now_is_said_again(self) -> None:
        answer = self.talk.tell("bob", "psst")
        (request,) = self.sent()
        self.refuse(request["id"], "unavailable")
        self.world.clock.advance(60)
        self.assertEqual(self.sent(), [request])
        self.refuse(request["id"], "no-such-nick")
        self.assertEqual(self.failureResultOf(answer, RequestError).value.code, "no-such-nick")

    def test_all_is_settled_when_all_is_answered(self) -> None:
        self.assertIsNone(result(self.talk.requests.settled()))
        self.talk.ask(wire.Rooms())
        told = self.talk.tell("bob", "psst")
        settled = self.talk.requests.settled()
        rooms, message = self.sent()
        self.hear(wire.RoomList(rooms=[], id=rooms["id"]))
        self.assertNoResult(settled)
        self.refuse(message["id"], "no-such-nick")
        self.assertIsNone(result(settled))
        self.failureResultOf(told, RequestError)

    def test_the_end_fails_all_that_waits_and_all_that_comes(self) -> None:
        room, reader = self.join()
        answers: list[Deferred[Any]] = [
            self.talk.ask(wire.Rooms()),
            self.talk.say(room, "hi"),
            self.talk.tell("bob", "hi"),
            self.talk.rename("al"),
            self.talk.requests.settled(),
        ]
        leaving = self.talk.leave(room)
        self.talk.finish(ClosedError("closed"))
        answers += [self.talk.ask(wire.Rooms()), self.talk.say(room, "hi"), self.talk.rename("al")]
        for answer in answers:
            self.assertEqual(str(self.failureResultOf(answer, ClosedError).value), "closed")
        self.assertIsInstance(reader.error, ClosedError)
        self.assertIsNone(result(leaving))
        self.assertIsNone(result(self.talk.leave(room)))
        self.assertEqual(self.talk.requests.owed, 0)
        self.hear(wire.PingSent())
        self.assertEqual([request["type"] for request in self.sent()][-1], "")

    def test_a_message_that_nobody_waits_for_is_not_sent_if_it_was_not_sent_yet(self) -> None:
        self.lose()
        answer = self.talk.tell("bob", "psst")
        settled = self.talk.requests.settled()
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertIsNone(result(settled))
        self.welcome()
        self.assertEqual(self.sent(), [])

    def test_a_request_that_nobody_waits_for_is_answered_all_the_same(self) -> None:
        answer = self.talk.tell("bob", "psst")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(self.talk.requests.owed, 1)
        self.ack(self.sent()[0]["id"], None)
        self.assertEqual(self.talk.requests.owed, 0)

    def test_messages_do_not_come_faster_than_the_server_serves_them(self) -> None:
        self.lose()
        self.welcome(burst=100, rate=10)
        for i in range(200):
            self.talk.tell("bob", str(i))
        sent = self.sent()
        self.assertEqual(len(sent), 80)
        self.world.clock.pump([1.0] * 10)
        for request in sent:
            self.ack(request["id"], None, room=None)
        self.world.clock.pump([0.5] * 4)
        sent += self.sent()
        self.assertTrue(160 <= len(sent) < 200, len(sent))
        self.world.clock.pump([0.5] * 20)
        sent += self.sent()
        self.assertEqual([request["msg"] for request in sent], [str(i) for i in range(200)])


class RoomTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()

    def test_it_hears_what_is_said_after_it_joined(self) -> None:
        room, reader = self.join(seq=10)
        self.message(9)
        self.message(11)
        self.message(13)
        self.message(13)
        self.assertEqual(reader.seqs, [11, 13])
        self.assertEqual((room.topic, room.oldest, room.count), ("", 1, 2))

    def test_it_hears_what_was_said_since(self) -> None:
        reader = Reader()
        room = self.talk.join(LOBBY, 5, reader)
        entered = room.entering.add()
        (request,) = self.sent()
        self.assertEqual((request["type"], request["room"], request["since"]), ("join", "lobby", 5))
        self.joined(request["id"], seq=9)
        self.assertIsNone(result(entered))
        self.message(7)
        self.message(9)
        self.assertEqual(reader.seqs, [7, 9])

    def test_it_is_not_in_rooms_that_it_did_not_join(self) -> None:
        _, reader = self.join()
        self.message(11, room="other")
        self.message(11, room="no room at all")
        self.assertEqual(reader.seqs, [])

    def test_a_room_may_be_spelt_otherwise(self) -> None:
        _, reader = self.join()
        self.message(11, room="LOBBY")
        self.assertEqual(reader.seqs, [11])

    def test_it_joins_again_with_its_place(self) -> None:
        _, reader = self.join()
        self.message(12)
        self.lose()
        self.message(13)
        self.welcome()
        (request,) = self.sent()
        self.assertEqual((request["type"], request["since"]), ("join", 12))
        self.joined(request["id"], 16)
        for seq in (14, 16, 17):
            self.message(seq)
        self.assertEqual(reader.seqs, [12, 14, 16, 17])

    def test_it_joins_again_where_it_was_when_nothing_was_heard(self) -> None:
        self.join(seq=10)
        self.lose()
        self.welcome()
        self.assertEqual(self.sent()[0]["since"], 10)

    def test_a_first_join_that_was_not_answered_is_asked_anew(self) -> None:
        room = self.talk.join(LOBBY, None, Reader())
        entered = room.entering.add()
        self.sent()
        self.lose()
        self.welcome()
        (request,) = self.sent()
        self.assertNotIn("since", request)
        self.joined(request["id"])
        self.assertIsNone(result(entered))

    def test_a_new_log_is_heard_from_its_beginning(self) -> None:
        _, reader = self.join(seq=100)
        self.lose()
        self.welcome()
        (request,) = self.sent()
        self.joined(request["id"], seq=2)
        (again,) = self.sent()
        self.assertEqual((again["type"], again["since"]), ("join", 0))
        self.assertEqual(self.world.told, [NewLog("lobby")])
        self.joined(again["id"], seq=2)
        self.message(1)
        self.message(2)
        self.assertEqual(reader.seqs, [1, 2])

    def test_a_first_join_may_be_refused(self) -> None:
        for code in ("bad-room", "full", "internal"):
            reader = Reader()
            room = self.talk.join(LOBBY, None, reader)
            entered = room.entering.add()
            self.refuse(self.sent()[0]["id"], code)
            self.assertEqual(self.failureResultOf(entered, RequestError).value.code, code)
            self.assertIsInstance(reader.error, RequestError)
            self.assertEqual(self.talk.rooms, {})

    def test_a_join_that_the_server_cannot_serve_now_is_asked_again(self) -> None:
        room = self.talk.join(LOBBY, None, Reader())
        entered = room.entering.add()
        (request,) = self.sent()
        self.refuse(request["id"], "unavailable")
        self.world.clock.advance(60)
        self.assertEqual(self.sent(), [request])
        self.joined(request["id"])
        self.assertIsNone(result(entered))

    def test_a_room_that_does_not_let_it_in_again_is_lost(self) -> None:
        room, reader = self.join()
        said = self.talk.say(room, "hi")
        self.lose()
        self.welcome()
        request = self.sent()[-1]
        self.refuse(request["id"], "banned")
        (told,) = self.world.told
        self.assertEqual(
            (cast(RoomLost, told).room, cast(RequestError, cast(RoomLost, told).error).code), ("lobby", "banned")
        )
        self.failureResultOf(said, RequestError)
        self.assertIsInstance(reader.error, RequestError)
        self.failureResultOf(self.talk.say(room, "hi"), ClosedError)

    def test_a_room_that_does_not_let_it_in_for_now_is_tried_again(self) -> None:
        _, reader = self.join()
        self.lose()
        self.welcome()
        for _ in range(3):
            (request,) = self.sent()
            self.refuse(request["id"], "full")
            self.assertEqual(self.sent(), [])
            self.world.clock.advance(60)
        (request,) = self.sent()
        self.assertEqual(request["since"], 10)
        self.joined(request["id"])
        self.message(11)
        self.assertEqual(reader.seqs, [11])

    def test_it_leaves_when_all_is_acked(self) -> None:
        room, reader = self.join()
        said = self.talk.say(room, "bye")
        left = self.talk.leave(room)
        self.failureResultOf(self.talk.say(room, "too late"), ClosedError)
        (message,) = self.sent()
        self.ack(message["id"], 11)
        self.assertEqual(result(said), 11)
        (request,) = self.sent()
        self.assertEqual((request["type"], request["room"]), ("leave", "lobby"))
        self.assertNoResult(left)
        self.hear(wire.Left(room="lobby", id=request["id"]))
        self.assertIsNone(result(left))
        self.assertTrue(cast(ClosedError, reader.error).wanted)
        self.message(12)
        self.assertEqual(reader.seqs, [])

    def test_a_room_is_left_by_not_joining_it_again(self) -> None:
        room, _ = self.join()
        left = self.talk.leave(room)
        self.sent()
        self.lose()
        self.assertIsNone(result(left))
        self.welcome()
        self.assertEqual(self.sent(), [])

    def test_leaving_waits_for_what_was_said_also_over_a_lost_connection(self) -> None:
        room, _ = self.join()
        self.talk.say(room, "bye")
        left = self.talk.leave(room)
        self.lose()
        self.assertNoResult(left)
        self.welcome()
        (join,) = self.sent()
        self.joined(join["id"])
        (message,) = self.sent()
        self.assertEqual(message["msg"], "bye")
        self.ack(message["id"], 11)
        self.hear(wire.Left(room="lobby", id=self.sent()[-1]["id"]))
        self.assertIsNone(result(left))

    def test_a_leave_that_is_refused_leaves_too(self) -> None:
        room, _ = self.join()
        left = self.talk.leave(room)
        self.refuse(self.sent()[0]["id"], "not-joined")
        self.assertIsNone(result(left))
        self.assertEqual(self.talk.rooms, {})

    def test_topics_and_members_are_told_and_counted(self) -> None:
        room, _ = self.join()
        events = [
            wire.MemberJoined(author="carol", room="lobby"),
            wire.MemberJoined(author="carol", room="other"),
            wire.MemberLeft(author="bob", room="lobby"),
            wire.MemberLeft(author="carol", room="lobby"),
            wire.TopicChanged(author="bob", room="lobby", msg="tea"),
            wire.TopicChanged(author="bob", room="other", msg="x"),
            wire.NickChanged(author="bob", nick="rob", room="lobby"),
        ]
        self.hear(*events)
        self.assertEqual(self.world.told, events)
        self.assertEqual((room.count, room.topic), (1, "tea"))
        self.hear(wire.Presence(room="lobby", count=2317))
        self.assertEqual(room.count, 2317)

    def test_ones_own_topic_is_an_answer(self) -> None:
        room, _ = self.join()
        answer = self.talk.ask(wire.Topic(room="lobby", msg="tea"))
        self.hear(wire.TopicChanged(author="alice", room="lobby", msg="tea", id=self.sent()[0]["id"]))
        self.assertEqual(result(answer).msg, "tea")
        self.assertEqual((room.topic, self.world.told), ("tea", []))


class SayTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.room, self.reader = self.join()

    def test_the_answer_is_the_number(self) -> None:
        said = self.talk.say(self.room, "hi")
        (request,) = self.sent()
        self.assertEqual((request["type"], request["room"], request["msg"]), ("", "lobby", "hi"))
        self.ack(request["id"], 11)
        self.assertEqual(result(said), 11)

    def test_what_is_said_before_the_room_is_entered_waits(self) -> None:
        other = self.talk.join(names.room("other"), None, Reader())
        self.talk.say(other, "hi")
        (join,) = self.sent()
        self.joined(join["id"], room="other")
        self.assertEqual(self.sent()[0]["msg"], "hi")

    def test_what_was_not_acked_is_settled_before_it_reads_on(self) -> None:
        """The log holds what was said and not acked; it must not come out as another's."""
        first, second = self.talk.say(self.room, "1"), self.talk.say(self.room, "2")
        before = self.sent()
        self.lose()
        waiting = self.talk.say(self.room, "3")
        self.welcome()
        (join,) = self.sent()
        self.assertNotIn("since", join)
        self.joined(join["id"], 14)
        self.assertEqual(self.sent(), before, "the same ids, in order, and nothing else yet")
        self.message(15)
        self.ack(before[0]["id"], 12)
        self.assertEqual(self.sent(), [])
        self.ack(before[1]["id"], 16)
        (again,) = self.sent()
        self.assertEqual((again["type"], again["since"]), ("join", 10))
        self.joined(again["id"], 16)
        self.assertEqual([request["msg"] for request in self.sent()], ["3"])
        for seq, author in ((11, "bob"), (12, "alice"), (15, "bob"), (16, "alice")):
            self.message(seq, author=author)
        self.assertEqual(self.reader.seqs, [11, 15])
        self.assertEqual([result(first), result(second)], [12, 16])
        self.assertNoResult(waiting)

    def test_ones_own_messages_do_not_come_out_of_the_log(self) -> None:
        self.talk.say(self.room, "hi")
        self.ack(self.sent()[0]["id"], 12)
        self.lose()
        self.welcome()
        (join,) = self.sent()
        self.assertEqual(join["since"], 10)
        self.joined(join["id"], 13)
        for seq in (11, 12, 13):
            self.message(seq)
        self.assertEqual(self.reader.seqs, [11, 13])

    def test_what_the_server_cannot_keep_now_is_said_again_in_order(self) -> None:
        said = [self.talk.say(self.room, str(i)) for i in range(3)]
        requests = self.sent()
        self.refuse(requests[0]["id"], "unavailable")
        self.refuse(requests[1]["id"], "unavailable")
        self.refuse(requests[2]["id"], "unavailable")
        for i, request in enumerate(requests):
            self.world.clock.pump([0.1] * 10)
            self.assertEqual(self.sent(), [request])
            self.ack(request["id"], 11 + i)
        self.assertEqual([result(answer) for answer in said], [11, 12, 13])

    def test_what_the_server_refuses_fails_and_the_next_goes_on(self) -> None:
        first, second = self.talk.say(self.room, "1"), self.talk.say(self.room, "2")
        requests = self.sent()
        self.refuse(requests[0]["id"], "denied")
        self.ack(requests[1]["id"], 11)
        self.assertEqual(self.failureResultOf(first, RequestError).value.code, "denied")
        self.assertEqual(result(second), 11)

    def test_where_nobody_else_speaks_the_place_moves_over_ones_own(self) -> None:
        for seq in range(11, 12 + MAX_OWN):
            self.talk.say(self.room, "hi")
            self.ack(self.sent()[-1]["id"], seq)
        (history,) = self.sent()
        self.assertEqual((history["type"], history["after"], history["limit"]), ("history", 10, wire.MAX_PAGE))
        own = [Message(msg="hi", author="alice", room="lobby", seq=seq) for seq in range(11, 511)]
        page = [msgspec.Raw(wire.encode(message)) for message in own]
        self.hear(wire.HistoryPage(room="lobby", messages=page, more=True, id=history["id"]))
        self.lose()
        self.welcome()
        self.assertEqual(self.sent()[0]["since"], 510)


class RenameTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.room, _ = self.join()

    def test_the_answer_is_the_nick(self) -> None:
        renamed = self.talk.rename("al")
        (request,) = self.sent()
        self.assertEqual((request["type"], request["nick"]), ("nick", "al"))
        self.hear(wire.NickChanged(author="alice", nick="Al", id=request["id"]))
        self.assertEqual(result(renamed), "Al")
        self.lose()
        self.talk.connected()
        self.assertEqual(self.sent()[-1]["nick"], "Al")

    def test_it_waits_for_what_was_said_under_the_old_one(self) -> None:
        """The server knows a message by author and id: under another name it would be another one."""
        self.talk.say(self.room, "as alice")
        self.talk.rename("al")
        self.talk.say(self.room, "as al")
        (message,) = self.sent()
        self.lose()
        self.welcome()
        (join,) = self.sent()
        self.joined(join["id"])
        self.assertEqual(self.sent(), [message])
        self.ack(message["id"], 11)
        join, nick = self.sent()
        self.joined(join["id"], 11)
        self.assertEqual(nick["nick"], "al")
        self.assertEqual(self.sent(), [])
        self.hear(wire.NickChanged(author="alice", nick="al", id=nick["id"]))
        self.assertEqual(self.sent()[0]["msg"], "as al")

    def test_several_come_one_after_the_other(self) -> None:
        first, second = self.talk.rename("al"), self.talk.rename("ally")
        (request,) = self.sent()
        self.refuse(request["id"], "nick-taken")
        self.failureResultOf(first, RequestError)
        (request,) = self.sent()
        self.hear(wire.NickChanged(author="alice", nick="ally", id=request["id"]))
        self.assertEqual((result(second), self.talk.nick), ("ally", "ally"))

    def test_one_that_was_not_answered_is_asked_again(self) -> None:
        self.talk.rename("al")
        (request,) = self.sent()
        self.lose()
        self.welcome()
        self.assertIn(request, self.sent())


class SlowConsumerTests(ConversationTestCase):
    """A consumer with space for three, and a room that does not wait for it."""

    def setUp(self) -> None:
        super().setUp()
        self.welcome()
        self.room, self.reader = self.join(reader=Reader(space=3, low=1))

    def page(self, *seqs: int, more: bool) -> None:
        (request,) = self.sent()
        self.assertEqual(request["type"], "history")
        raw = [msgspec.Raw(wire.encode(Message(msg="", author="bob", room="lobby", seq=seq))) for seq in seqs]
        self.hear(wire.HistoryPage(room="lobby", messages=raw, more=more, id=request["id"]))

    def take(self, count: int) -> None:
        del self.reader.waiting[:count]
        self.talk.more(self.room)

    def test_it_gets_the_rest_from_the_log_and_misses_nothing(self) -> None:
        for seq in range(11, 19):
            self.message(seq)
        self.assertEqual(self.reader.seqs, [11, 12, 13])
        self.take(1)
        self.assertEqual(self.sent(), [], "there is still enough")
        self.take(1)
        self.page(14, 15, 16, 17, 18, more=False)
        self.assertEqual(self.reader.seqs, [11, 12, 13, 14, 15])
        self.take(3)
        self.page(16, 17, more=True)
        self.take(3)
        self.page(18, more=False)
        (join,) = self.sent()
        self.assertEqual((join["type"], join["since"]), ("join", 18))
        self.joined(join["id"], 19)
        self.message(19)
        self.assertEqual(self.reader.seqs, list(range(11, 20)))

    def test_a_page_of_nothing_is_the_end_whatever_it_says(self) -> None:
        for seq in range(11, 19):
            self.message(seq)
        self.take(3)
        self.page(more=True)
        (request,) = self.sent()
        self.assertEqual(request["type"], "join")

    def test_what_it_says_is_acked_meanwhile(self) -> None:
        for seq in range(11, 19):
            self.message(seq)
        said = self.talk.say(self.room, "wait")
        (request,) = self.sent()
        self.ack(request["id"], 19)
        self.assertEqual(result(said), 19)

    def test_it_joins_without_its_place_while_it_has_enough(self) -> None:
        for seq in range(11, 19):
            self.message(seq)
        self.lose()
        self.welcome()
        (join,) = self.sent()
        self.assertNotIn("since", join)
        self.joined(join["id"], 18)
        self.assertEqual(self.sent(), [])
        self.take(3)
        self.page(14, 15, 16, more=True)
        self.assertEqual(self.reader.seqs, list(range(11, 17)))

    def test_a_room_that_cannot_be_read_is_lost(self) -> None:
        for seq in range(11, 19):
            self.message(seq)
        self.take(3)
        self.refuse(self.sent()[0]["id"], "denied")
        self.assertIsInstance(self.reader.error, RequestError)

    def test_a_page_that_cannot_be_read_is_logged(self) -> None:
        for seq in range(11, 19):
            self.message(seq)
        self.take(3)
        (request,) = self.sent()
        self.hear(wire.HistoryPage(room="lobby", messages=[msgspec.Raw(b'{"msg":1}')], more=False, id=request["id"]))
        self.assertEqual(len(self.flushLoggedErrors(msgspec.ValidationError)), 1)


class PauseTests(SynchronousTestCase):
    def test_pauses_grow_up_to_half_a_minute(self) -> None:
        pauses = [pause(tries) for tries in (1, 4, 1000)]
        self.assertEqual(pauses, sorted(pauses))
        self.assertLess(pauses[0], 1)
        self.assertTrue(20 < pauses[-1] < 40)


class AnyNetworkTests(SynchronousTestCase):
    """Whatever the network does, each message comes once and in order."""

    @settings(max_examples=100)
    @given(st.integers(), st.integers(2, 40))
    def test_each_message_comes_once_and_in_order(self, seed: int, space: int) -> None:
        trial = self.run_trial(seed, space, refusing=0)
        own = [message.msg for message in trial.log if message.author == "alice"]
        self.assertEqual(own, [str(i) for i in range(trial.said)])

    @settings(max_examples=100)
    @given(st.integers(), st.integers(2, 40))
    def test_each_message_comes_once_where_the_server_refuses_some_for_now(self, seed: int, space: int) -> None:
        """Their order is kept when the server refuses all that follow, too; this one does not."""
        trial = self.run_trial(seed, space, refusing=0.1)
        own = [message.msg for message in trial.log if message.author == "alice"]
        self.assertEqual(sorted(own, key=int), [str(i) for i in range(trial.said)])

    def run_trial(self, seed: int, space: int, refusing: float) -> Trial:
        trial = Trial(Random(seed), space, refusing)
        for _ in range(400):
            trial.step()
        trial.finish()
        heard = [message.seq for message in trial.reader.messages]
        self.assertEqual(heard, [message.seq for message in trial.log if message.author == "bob"])
        self.assertEqual(trial.acked, {message.msg: message.seq for message in trial.log if message.author == "alice"})
        return trial


class Trial:
    """A client that talks in the lobby, a server that speaks there too, and a network that breaks at any place."""

    def __init__(self, random: Random, space: int, refusing: float) -> None:
        self.random = random
        self.refusing = refusing
        self.server = FakeServer()
        self.server.refuse = self.refuse
        self.world = World()
        self.world.on_send = lambda request: self.outgoing.append(request)
        self.talk = Conversation(self.world, "alice", ids())
        self.outgoing: list[AnyRequest] = []
        self.incoming: list[Any] = []
        self.session: FakeSession | None = None
        self.connect()
        self.reader = Reader(space, low=space // 3)
        self.room = self.talk.join(LOBBY, 0, self.reader)
        self.said = 0
        self.acked: dict[str, int] = {}
        self.calm = False

    @property
    def log(self) -> list[Message]:
        return self.server.room("lobby").log

    def refuse(self, request: AnyRequest) -> WireError | None:
        if self.calm or isinstance(request, wire.Hello | wire.Pong) or self.random.random() >= self.refusing:
            return None
        return WireError(self.random.choice(["rate-limited", "unavailable"]), "not now")

    def connect(self) -> None:
        self.session = FakeSession(self.server, self.incoming.append)
        self.talk.connected()

    def step(self) -> None:
        act = self.random.choice(
            [self.hear, self.hear, self.serve, self.serve, self.speak, self.say, self.read, self.cut]
        )
        if act != self.cut or self.random.random() < 0.2:
            act()
        self.world.clock.advance(self.random.random() * 0.2)

    def hear(self) -> None:
        for reply in self.incoming[: self.random.randrange(1, 6)]:
            self.incoming.remove(reply)
            self.talk.received(wire.decode_reply(wire.encode(reply)))

    def serve(self) -> None:
        for request in self.outgoing[: self.random.randrange(1, 6)]:
            self.outgoing.remove(request)
            if self.session is not None:
                self.session.asked(wire.decode_request(wire.encode(request)))

    def speak(self) -> None:
        self.server.say("hello")

    def say(self) -> None:
        text = str(self.said)
        self.said += 1
        self.talk.say(self.room, text).addCallback(lambda seq: self.acked.__setitem__(text, seq))

    def read(self) -> None:
        if self.reader.waiting:
            del self.reader.waiting[: self.random.randrange(1, self.reader.space + 1)]
            self.talk.more(self.room)

    def cut(self) -> None:
        if self.session is not None:
            self.session.gone()
        self.outgoing.clear()
        self.incoming.clear()
        self.world.lose()
        self.talk.lost()
        self.connect()

    def finish(self) -> None:
        """Let everything arrive."""
        self.calm = True
        quiet = 0
        while quiet < 400:
            quiet = 0 if self.outgoing or self.incoming or self.reader.waiting else quiet + 1
            self.serve()
            self.hear()
            self.read()
            self.world.clock.advance(0.2)

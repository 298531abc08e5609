"""The oldest client there is: three fields, no hello, and what one read returns is one message."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import bare, participant
from twisted_chat.bare import UNFINISHED_TICKS
from twisted_chat.limits import ENTRY_CHARACTERS, MAX_ERRORS, MAX_REST_SECONDS, Limits
from twisted_chat.log import Record, Unavailable
from twisted_chat.messages import PingSent
from twisted_chat.newcomer import GRACE_SECONDS, HELLO_SECONDS
from twisted_chat.room import GATHER_FROM, catching_up
from twisted_chat.session import TICK_SECONDS

from .helpers import NOW, FakeWire, Peer, Server


def text(msg: str, author: str) -> dict[str, Any]:
    return {"type": "", "msg": msg, "author": author}


def error(msg: str) -> dict[str, Any]:
    return {"type": "error", "msg": msg, "author": "server"}


STOP = {"type": "stop", "msg": "", "author": "server"}


class BareTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.alice = self.server.welcome("alice", "lobby")

    def silent(self, label: str = "49474") -> Peer:
        """Connect a client that says nothing, and is taken for a bare one."""
        peer = self.server.connect(label=label)
        self.server.clock.advance(GRACE_SECONDS)
        self.server.hush(self.alice)
        return peer

    def bare(self, label: str = "49474") -> Peer:
        """Connect a bare client that has said something, and is a member of the lobby."""
        peer = self.silent(label)
        peer.send({"msg": "hello"})
        self.server.hush(self.alice)
        return peer

    def later(self, seconds: float = 5.0) -> None:
        """Advance the clock in small steps, as a reactor does."""
        for _ in range(round(seconds / 0.005)):
            self.server.clock.advance(0.005)

    def segments(self, peer: Peer) -> list[dict[str, Any]]:
        self.later()
        return peer.got_segments()

    def say(self, *texts: str) -> None:
        for one in texts:
            self.alice.say(one)
            self.server.settle()


class ComingTests(BareTestCase):
    """The first object of a new connection shows whether it is a bare client."""

    def test_what_is_wrong_in_front_of_a_hello_is_told(self) -> None:
        peer = self.server.connect()
        peer.send_bytes(b'nonsense\n{"type":"hello","nick":"bob"}\n')
        self.server.settle()
        error, welcome = peer.got()
        self.assertEqual((set(error), welcome["type"]), ({"type", "msg", "author"}, "welcome"))

    def test_however_much_was_wrong_in_front_of_a_hello_it_is_listened_to(self) -> None:
        peer = self.server.connect()
        peer.send_bytes(b"nonsense\n" * (bare.MAX_SEGMENTS + 1) + b'{"type":"hello","nick":"bob"}\n')
        self.assertFalse(peer.wire.reading)
        self.later(2)
        self.assertTrue(peer.wire.reading)
        self.assertEqual(peer.got()[-1]["type"], "welcome")

    def test_a_hello_to_a_server_that_stops_is_told_so(self) -> None:
        peer = self.server.connect()
        self.server.chat.stop("maintenance")
        self.server.clock.turn()
        peer.send({"type": "hello", "nick": "bob"})
        self.assertEqual(peer.got()[-1], {"type": "stop", "msg": "maintenance", "author": "server"})
        for one in peer, self.alice:
            one.cut()

    def test_a_client_that_says_nothing_reads_the_lobby_and_nobody_knows_of_it(self) -> None:
        peer = self.silent()
        self.say("hi")
        self.assertEqual(self.segments(peer), [text("hi", "alice")])
        self.assertEqual(self.alice.got(), [])
        self.assertEqual(self.alice.ask(type="who", room="lobby")[0]["members"], ["alice"])
        self.assertEqual(self.alice.ask(type="rooms")[0]["rooms"][0]["count"], 1)
        self.assertEqual(self.alice.ask(type="", to="49474", msg="hi")[0]["code"], "no-such-nick")
        self.assertEqual(self.alice.ask(type="nick", nick="49474")[0]["type"], "nick")
        self.assertEqual(self.server.welcome("bob").ask(type="join", room="lobby")[0]["count"], 2)
        self.server.hush(self.alice)
        peer.cut()
        self.server.settle()
        self.assertEqual((self.alice.got(), self.server.room("lobby").paced), ([], {}))

    def test_the_others_hear_of_it_with_its_first_word(self) -> None:
        peer = self.silent()
        peer.send({"msg": "hi"}, {"msg": "there"})
        self.server.settle()
        got = [(obj["type"], obj["author"]) for obj in self.alice.got()]
        self.assertEqual(got, [("join", "49474"), ("", "49474"), ("", "49474")])
        self.assertEqual(self.alice.ask(type="who", room="lobby")[0]["members"], ["49474", "alice"])

    def test_the_others_hear_nothing_of_one_whose_first_word_comes_too_fast(self) -> None:
        self.server = Server(limits=Limits(burst=3, rate=0.001))
        self.alice = self.server.welcome("alice", "lobby")
        peer = self.silent()
        peer.send_bytes(b"?\n" * 3 + b'{"msg": "hi"}\n')
        self.assertIn("too fast", self.segments(peer)[-1]["msg"])
        self.assertEqual((self.alice.got(), "49474" in self.server.chat.nicks), ([], False))

    def test_the_others_hear_nothing_of_one_whose_first_word_comes_while_the_server_stops(self) -> None:
        silent, new = self.silent(), self.server.connect()
        self.server.fake.held.add("append")
        self.alice.say("hi")
        self.server.clock.turn()
        self.server.chat.stop("maintenance")
        silent.send({"msg": "too late"})
        new.send({"msg": "too late"})
        self.server.clock.turn()
        self.assertEqual((self.alice.got(), set(self.server.chat.nicks)), ([], {"alice"}))
        for peer in silent, new, self.alice:
            peer.cut()

    def test_what_is_wrong_is_not_told_while_the_server_stops(self) -> None:
        peer = self.server.connect()
        self.server.fake.held.add("append")
        self.alice.say("hi")
        self.server.clock.turn()
        self.server.chat.stop("maintenance")
        peer.send_bytes(b"?\n")
        self.server.clock.advance(1)
        self.assertEqual(peer.got(), [])
        for one in peer, self.alice:
            one.cut()

    def test_a_client_that_takes_nothing_from_the_start_gets_it_later(self) -> None:
        peer = self.server.connect()
        peer.pause()
        peer.resume()
        peer.pause()
        self.server.clock.advance(GRACE_SECONDS)
        self.say("hi")
        self.assertEqual(self.segments(peer), [])
        peer.resume()
        self.assertEqual(self.segments(peer), [text("hi", "alice")])

    def test_what_is_wrong_after_its_end_is_not_heard(self) -> None:
        peer = self.server.connect()
        peer.wire.participant.finished()
        peer.send_bytes(b"?\n")
        self.assertEqual(self.segments(peer), [STOP])

    def test_a_hundred_who_say_nothing_do_not_make_the_lobby_a_large_room(self) -> None:
        for _ in range(GATHER_FROM):
            self.server.connect()
        self.server.clock.advance(GRACE_SECONDS)
        self.server.welcome("bob", "lobby")
        self.assertEqual(self.alice.got(), [{"type": "join", "author": "bob", "room": "lobby"}])

    def test_what_it_says_first_may_be_too_long_and_it_is_still_nobody(self) -> None:
        peer = self.silent()
        peer.send_bytes(b"?\n")
        self.later(1)
        peer.cut()
        self.assertEqual(self.alice.got(), [])

    def test_a_client_that_says_nothing_gets_what_was_said_since_it_connected(self) -> None:
        self.say("before")
        peer = self.server.connect()
        self.say("1", "2")
        self.assertEqual(self.segments(peer), [text("1", "alice"), text("2", "alice")])

    def test_a_message_is_from_a_bare_client_and_is_for_the_lobby(self) -> None:
        peer = self.server.connect()
        peer.send({"type": "", "msg": "hello", "author": "mallory"})
        self.server.settle()
        (join, message) = self.alice.got()
        self.assertEqual((join["type"], message["author"], message["msg"]), ("join", "49474", "hello"))
        self.assertEqual(self.segments(peer), [])

    def test_fields_may_be_left_out(self) -> None:
        peer = self.bare()
        peer.send({"msg": "no type"}, {})
        self.server.settle()
        self.assertEqual(self.alice.texts(), ["no type", ""])

    def test_a_message_with_a_room_or_a_nick_is_from_a_client_that_forgot_its_hello(self) -> None:
        for field in "room", "to":
            peer = self.server.connect()
            self.assertEqual(peer.ask(type="", msg="a secret", **{field: "lobby"})[0]["code"], "not-welcome")
        self.assertEqual(self.alice.got(), [])

    def test_a_bare_client_says_nothing_to_one_room_or_nick(self) -> None:
        peer = self.bare()
        for where in {"to": "alice"}, {"room": "den"}, {"room": "lobby", "to": "alice"}:
            peer.send({"msg": "hi"}, {"type": "", "msg": "a secret", **where})
            self.server.settle()
            self.assertEqual(self.alice.texts(), ["hi"])
            (answer,) = self.segments(peer)
            self.assertIn("say hello first", answer["msg"])

    def test_a_hello_makes_it_a_session_that_was_never_in_the_lobby(self) -> None:
        peer = self.server.connect()
        self.assertEqual(peer.ask(type="hello", nick="bob")[0]["type"], "welcome")
        self.server.clock.advance(1)
        self.assertEqual(self.alice.got(), [])
        self.say("hi")
        self.assertEqual(peer.got(), [])

    def test_a_late_hello_as_the_first_object_makes_it_a_session_of_which_nobody_heard_before(self) -> None:
        peer = self.silent()
        self.say("hi")
        self.assertEqual([obj["type"] for obj in peer.ask(type="hello", nick="bob")], ["", "welcome"])
        self.assertEqual(self.alice.got(), [])
        self.assertEqual(self.segments(peer), [])

    def test_a_connection_that_takes_nothing_stays_so_when_it_says_hello(self) -> None:
        peer = self.silent()
        peer.pause()
        peer.send({"type": "hello", "nick": "bob"}, {"type": "join", "room": "lobby"})
        self.server.hush(peer)
        self.say("1", "2")
        self.assertEqual(peer.got(), [])
        peer.resume()
        self.server.settle()
        self.assertEqual(peer.texts(), ["1", "2"])

    def test_a_connection_that_takes_more_again_before_its_hello_is_handed_everything(self) -> None:
        peer = self.server.connect()
        peer.pause()
        peer.resume()
        peer.send({"type": "hello", "nick": "bob"}, {"type": "join", "room": "lobby"})
        self.server.hush(peer)
        self.say("1")
        self.assertEqual(peer.texts(), ["1"])

    def test_a_request_in_the_place_of_a_hello_is_not_welcome(self) -> None:
        for type in "ping", "rooms", "pong":
            peer = self.server.connect()
            (answer,) = peer.ask(type=type, id="1")
            self.assertEqual((answer["code"], answer["id"]), ("not-welcome", "1"))
            self.assertEqual(peer.ask(type="hello", nick=type)[0]["type"], "welcome")

    def test_a_hello_that_cannot_be_read_is_answered_with_all_fields(self) -> None:
        peer = self.server.connect()
        self.assertEqual(peer.ask(type="hello", nick=5)[0]["code"], "bad-message")
        self.assertEqual(peer.ask(type="hello", nick="bob")[0]["type"], "welcome")

    def test_what_is_no_object_is_answered_in_three_fields(self) -> None:
        for bad in b"hello\n", b"[]\n", b'{"type": 5}\n', b'{"msg": 5}\n', b'{"a"\n', b'{"msg": "' + b"x" * 20_000:
            peer = self.server.connect()
            peer.send_bytes(bad)
            (answer,) = self.segments(peer)
            self.assertEqual(answer, error(answer["msg"]))
            peer.send_bytes(b"\n")
            peer.send({"msg": "the next one works"})
            self.server.settle()
            self.assertEqual(self.alice.texts(), ["the next one works"])
            peer.cut()

    def test_a_hello_after_something_that_is_no_object_is_a_hello(self) -> None:
        peer = self.server.connect()
        peer.send_bytes(b"?\n")
        self.later()
        self.assertEqual(peer.ask(type="hello", nick="bob")[-1]["type"], "welcome")

    def test_a_hello_after_a_message_comes_too_late(self) -> None:
        peer = self.server.connect()
        peer.send({"msg": "hi"}, {"type": "hello", "nick": "bob"}, {"type": "nonsense"})
        answers = self.segments(peer)
        self.assertEqual([answer["type"] for answer in answers], ["error", "error"])
        self.assertIn("say hello first", answers[0]["msg"])

    def test_a_name_that_is_taken_gets_a_number(self) -> None:
        self.alice.ask(type="nick", nick="49474")
        peers = [self.bare(), self.bare()]
        (members,) = self.alice.ask(type="who", room="lobby")
        self.assertEqual(members["members"], ["49474", "49474-2", "49474-3"])
        peers[0].cut()
        self.server.settle()
        self.assertEqual(self.alice.got()[-1]["author"], "49474-2")

    def test_a_name_of_a_bare_client_is_taken(self) -> None:
        self.bare()
        self.assertEqual(self.alice.ask(type="nick", nick="49474")[0]["code"], "nick-taken")

    def test_a_name_that_looks_like_another_one_gets_a_number(self) -> None:
        self.alice.ask(type="nick", nick="4947Ꮞ")
        self.bare()
        (members,) = self.alice.ask(type="who", room="lobby")
        self.assertEqual(members["members"], ["49474-2", "4947Ꮞ"])

    def test_a_name_that_looks_like_that_of_a_bare_client_is_taken(self) -> None:
        peer = self.bare()
        self.assertEqual(self.alice.ask(type="nick", nick="4947Ꮞ")[0]["code"], "nick-taken")
        peer.cut()
        self.server.settle()
        self.assertLessEqual(
            {"type": "nick", "nick": "4947Ꮞ"}.items(), self.alice.ask(type="nick", nick="4947Ꮞ")[-1].items()
        )


class BeginningTests(SynchronousTestCase):
    def test_one_that_cannot_send_anything_yet_is_waited_for(self) -> None:
        server = Server()
        wire = FakeWire()
        server.chat.connected(wire, ready=False)
        server.clock.pump([TICK_SECONDS] * 10)
        self.assertEqual((wire.written, wire.closed), ([], False))

    def test_one_that_is_ended_before_anything_can_come_stays_ended(self) -> None:
        server = Server()
        wire = FakeWire()
        server.chat.connected(wire, ready=False)
        wire.participant.end("why")
        timers = tuple(server.clock.getDelayedCalls())
        server.chat.begin(wire)
        self.assertEqual(tuple(server.clock.getDelayedCalls()), timers)

    def test_one_that_has_said_something_is_not_waited_for_any_more(self) -> None:
        server = Server()
        server.welcome("alice")
        timers = tuple(server.clock.getDelayedCalls())
        for said in {"msg": "hi"}, {"type": "hello", "nick": "bob"}:
            peer = server.connect()
            peer.send(said)
            peer.cut()
            server.settle()
            self.assertEqual(tuple(server.clock.getDelayedCalls()), timers)


class PaceTests(BareTestCase):
    """One read returns one message: segments are 10 ms apart, in order, none lost."""

    def times(self, peer: Peer, seconds: float = 5.0) -> list[tuple[float, str]]:
        written: list[tuple[float, str]] = []
        for _ in range(round(seconds / 0.001)):
            self.server.clock.advance(0.001)
            written += [(self.server.clock.seconds() - NOW, obj["msg"]) for obj in peer.got_segments()]
        return written

    def check(self, written: list[tuple[float, str]], texts: list[str]) -> None:
        self.assertEqual([msg for _, msg in written], texts)
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(written)]
        self.assertGreaterEqual(min(gaps), 0.0099)

    def test_a_burst_is_spread(self) -> None:
        peer = self.bare()
        texts = [str(i) for i in range(200)]  # more than one page
        self.say(*texts)
        self.check(self.times(peer), texts)

    def test_what_comes_while_it_is_spread_waits_for_its_turn(self) -> None:
        peer = self.bare()
        self.say("1", "2")
        written = self.times(peer, 0.010)
        self.say("3")
        peer.send({"msg": "own"}, {"type": "nonsense"})
        self.alice.send({"type": "", "to": "49474", "msg": "4"})
        written += self.times(peer)
        self.assertEqual(sorted(msg for _, msg in written), ["1", "2", "3", "4", "there is no request of this type"])
        self.check(written, [msg for _, msg in written])

    def test_a_burst_from_the_store_is_spread(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        self.test_a_burst_is_spread()

    def test_a_page_is_read_when_it_has_got_the_last_one(self) -> None:
        self.patch(catching_up, "PAGE", 2)
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        peer = self.server.connect()
        self.say("1", "2", "3", "4")
        self.server.clock.advance(GRACE_SECONDS)
        for number, calls in ((1, 1), (2, 1), (3, 2), (4, 2)):
            self.assertEqual(peer.got_segments(), [text(str(number), "alice")])
            self.assertEqual(self.server.fake.calls["after"], calls)
            self.server.clock.advance(bare.PACE_SECONDS)

    def test_what_is_said_while_a_page_is_being_read_follows_it(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        peer = self.silent()
        self.server.fake.held.add("after")
        for one in "12":
            self.say(one)
            self.later(0.1)
        self.assertEqual(len(self.server.fake.waiting), 1)
        self.server.fake.held.clear()
        self.server.fake.release()
        self.assertEqual(self.segments(peer), [text("1", "alice"), text("2", "alice")])

    def test_a_message_that_one_read_would_not_return_whole_comes_in_pieces(self) -> None:
        peer = self.bare()
        self.alice.ask(type="nick", nick="a" * 32)
        for msg in "x" * 16_340, "\x01" * 2_723:
            self.say(msg)
            pieces = self.times(peer, 1)
            self.check(pieces, [piece for _, piece in pieces])
            self.assertEqual("".join(piece for _, piece in pieces), msg)

    def test_own_messages_do_not_come_back(self) -> None:
        peer = self.bare()
        for i in range(100):
            peer.send({"msg": "own"})
            self.say(str(i))
        self.check(self.times(peer), [str(i) for i in range(100)])
        (member,) = self.server.room("lobby").paced.values()
        self.assertEqual(list(member.own), [], "their numbers are forgotten once they are behind it")

    def test_stop_keeps_its_distance(self) -> None:
        peer = self.bare()
        self.say("1", "2")
        peer.send({"type": "quit"})
        self.check(self.times(peer), ["1", "2", ""])
        peer = self.bare()
        texts = [str(i) for i in range(200)]
        self.say(*texts)
        peer.send({"type": "quit"})
        written = self.times(peer)
        self.check(written, [*texts[: len(written) - 1], ""])
        self.assertGreater(len(written), 90)

    def test_a_client_that_reads_nothing_is_waited_for(self) -> None:
        peer = self.bare()
        self.say("1", "2", "3")
        written = self.times(peer, 0.010)
        peer.pause()
        self.assertEqual(self.times(peer), [])
        self.say("4")
        peer.resume()
        self.check(written + self.times(peer), ["1", "2", "3", "4"])

    def test_a_page_that_cannot_be_read_is_read_later(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        peer = self.bare()
        self.server.fake.failing["after"] = Unavailable("the disk is away")
        self.say("1", "2")
        self.assertEqual(self.times(peer), [])
        self.assertLess(self.server.fake.calls["after"], 8)  # once a second
        self.server.fake.failing["after"] = ZeroDivisionError("a bug")
        self.assertEqual(self.times(peer), [])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 5)
        self.server.fake.failing.clear()
        self.check(self.times(peer), ["1", "2"])

    def test_a_page_that_cannot_be_read_while_something_else_is_to_be_written_leaves_one_timer(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        self.silent()
        self.server.fake.held.add("after")
        self.say("1")
        self.alice.say("2")
        self.server.clock.turn()
        timers = tuple(self.server.clock.getDelayedCalls())
        self.server.fake.refuse()
        self.assertEqual(tuple(self.server.clock.getDelayedCalls()), timers)

    def test_those_who_are_behind_by_the_same_are_read_one_page(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        peers = [self.silent(), self.silent(), self.silent()]
        for peer in peers:
            peer.pause()
        self.say("1", "2")
        self.server.fake.held.add("after")
        for peer in peers:
            peer.resume()
        self.server.settle()
        self.assertEqual((len(self.server.fake.waiting), self.server.fake.calls["after"]), (1, 1))
        self.server.fake.release()
        for peer in peers:
            self.assertEqual(self.segments(peer), [text("1", "alice"), text("2", "alice")])
        self.assertEqual(self.server.fake.calls["after"], 1)

    def test_what_was_trimmed_before_it_was_read_is_skipped(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        peer = self.silent()
        peer.pause()
        self.say("1", "2")
        self.server.fake.logs["lobby"].trim(2)
        peer.resume()
        self.assertEqual(self.times(peer), [])
        self.say("3")
        self.assertEqual([msg for _, msg in self.times(peer)], ["3"])

    def test_what_came_into_the_log_in_front_of_others_is_read_at_once(self) -> None:
        peer = self.bare()
        log = self.server.fake.logs["lobby"]
        self.segments(peer)
        log.records.append(Record(log.seq + 1, 0, "carol", "imported"))
        log.seq += 1
        log.epoch += 1
        assert log.heard
        log.heard([])
        self.assertEqual(self.segments(peer), [text("imported", "carol")])


class EndTests(BareTestCase):
    """How it ends: with `stop`, after what it still has to get, and with nothing left behind."""

    def tearDown(self) -> None:
        calls = [call for call in self.server.clock.calls if "_tick_all" not in str(call.func)]
        self.assertEqual(calls, [])

    def test_quit_is_answered_by_stop_and_the_others_hear_why(self) -> None:
        peer = self.bare()
        peer.send({"type": "quit", "msg": "bye"})
        self.assertEqual(self.segments(peer), [STOP])
        self.assertTrue(peer.wire.closed)
        self.assertEqual(self.alice.got(), [{"type": "leave", "author": "49474", "room": "lobby", "msg": "bye"}])
        peer.cut()

    def test_quit_may_be_the_first_object(self) -> None:
        peer = self.server.connect()
        peer.send({"type": "quit"})
        self.assertEqual(self.segments(peer), [STOP])

    def test_what_comes_after_quit_is_not_heard(self) -> None:
        peer = self.bare()
        peer.send({"type": "quit"}, {"msg": "more"}, {"type": "nonsense"})
        peer.send_bytes(b"?\n")
        self.assertEqual(self.segments(peer), [STOP])
        self.assertEqual(self.alice.texts(), [])

    def test_one_that_has_nothing_to_get_is_ended_at_once(self) -> None:
        peer = self.silent()
        self.server.clock.advance(1)
        peer.send({"type": "quit"})
        self.server.settle()
        self.assertEqual((peer.got_segments(), peer.wire.closed), ([STOP], True))

    def test_a_second_end_changes_nothing(self) -> None:
        peer = self.bare()
        peer.pause()
        peer.send({"type": "quit"})
        self.server.chat.stop("maintenance")
        self.later(bare.DRAIN_SECONDS + 0.1)
        self.assertEqual(peer.got_segments(), [STOP])
        for one in peer, self.alice:
            one.cut()

    def test_what_was_said_before_quit_is_kept_before_the_end(self) -> None:
        peer = self.bare()
        self.server.fake.held.add("append")
        peer.send({"msg": "last words"}, {"type": "quit"})
        self.later(1)
        self.assertFalse(peer.wire.closed)
        self.server.fake.release()
        self.assertEqual(self.segments(peer), [STOP])
        self.assertEqual(self.alice.texts(), ["last words"])

    def test_what_all_have_heard_before_its_append_ends_is_kept(self) -> None:
        peer = self.bare()
        self.server.fake.held.add("append")
        peer.send({"msg": "last words"}, {"type": "quit"})
        self.server.settle()
        self.server.fake.begin()
        self.later(0.1)
        self.assertEqual((self.alice.texts(), peer.got_segments(), peer.wire.closed), (["last words"], [STOP], True))
        self.server.fake.release()
        self.server.settle()
        self.assertFalse(self.server.chat.rooms._appending.is_busy)

    def test_what_is_being_read_for_it_comes_before_the_end(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        peer = self.bare()
        self.server.fake.held.add("after")
        self.say("1")
        peer.send({"type": "quit"})
        self.later(0.1)
        self.server.fake.release()
        self.assertEqual(self.segments(peer), [text("1", "alice"), STOP])

    def test_the_end_does_not_wait_for_the_store_for_ever(self) -> None:
        peer = self.bare()
        self.server.fake.held.add("append")
        peer.send({"msg": "last words"}, {"type": "quit"})
        self.assertEqual(self.segments(peer), [STOP])
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(self.alice.texts(), ["last words"])

    def test_a_page_that_comes_after_the_end_is_nothing(self) -> None:
        self.server = Server(tail_bytes=0)
        self.alice = self.server.welcome("alice", "lobby")
        for cannot in False, True:
            peer = self.bare()
            self.server.fake.held.add("after")
            self.say("1")
            self.later(0.1)
            peer.send({"type": "quit"})
            self.assertEqual(self.segments(peer), [STOP])
            if cannot:
                self.server.fake.refuse()
            else:
                self.server.fake.release()
            self.server.settle()
            self.assertEqual(peer.got_segments(), [])

    def test_a_client_that_reads_nothing_is_not_waited_for_at_the_end(self) -> None:
        peer = self.bare()
        peer.pause()
        self.say("1")
        peer.send({"type": "quit"})
        self.later(bare.DRAIN_SECONDS - 0.1)
        self.assertFalse(peer.wire.closed)
        self.assertEqual(self.segments(peer), [STOP])
        self.assertTrue(peer.wire.closed)

    def test_the_end_of_what_it_says_is_a_quit(self) -> None:
        peer = self.bare()
        self.say("1")
        peer.wire.participant.finished()
        self.assertEqual(self.segments(peer), [text("1", "alice"), STOP])
        silent = self.server.connect()
        silent.wire.participant.finished()
        self.assertEqual(self.segments(silent), [STOP])
        self.assertEqual([obj["type"] for obj in self.alice.got()], ["leave"], "one of them was a member")

    def test_quit_costs_nothing_of_its_rate(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=0.001))
        self.alice = self.server.welcome("alice")
        peer = self.silent()
        peer.send({"msg": "1"}, {"msg": "2"}, {"type": "quit"})
        refusal, stop = self.segments(peer)
        self.assertIn("too fast", refusal["msg"])
        self.assertEqual(stop, STOP)

    def test_one_that_is_too_fast_for_long_stays_all_the_same(self) -> None:
        self.server = Server(limits=Limits(burst=1, rate=0.001))
        peer = self.bare()
        for _ in range(2 * MAX_ERRORS):
            peer.send({"msg": "1"})
            self.later(MAX_REST_SECONDS)
        self.assertFalse(peer.wire.closed)
        peer.cut()

    def test_a_server_that_stops_tells_all_whoever_they_are(self) -> None:
        talking, silent = self.bare(), self.server.connect()
        self.say("1")
        self.server.chat.stop("maintenance")
        self.later(0.1)
        self.assertEqual(talking.got_segments(), [text("1", "alice"), STOP])
        self.assertEqual(silent.got_segments(), [text("1", "alice"), STOP])
        for peer in talking, silent, self.alice:
            peer.cut()

    def test_a_connection_that_is_gone_leaves_the_lobby(self) -> None:
        peer = self.bare()
        self.say("1")
        peer.cut()
        self.server.settle()
        self.assertEqual(self.alice.got(), [{"type": "leave", "author": "49474", "room": "lobby"}])

    def test_a_room_forgets_one_that_is_gone(self) -> None:
        for connect in self.silent, self.bare:
            peer = connect()
            self.assertEqual(len(self.server.room("lobby").paced), 1)
            peer.cut()
            self.server.settle()
            self.assertEqual(len(self.server.room("lobby").paced), 0)

    def test_a_connection_that_is_gone_before_it_said_anything_was_never_there(self) -> None:
        before = len(self.server.clock.getDelayedCalls())
        peer = self.server.connect()
        peer.cut()
        self.assertEqual(len(self.server.clock.getDelayedCalls()), before)
        self.server.clock.advance(1)
        self.assertEqual(self.alice.got(), [])

    def test_what_was_on_its_way_into_the_log_does_not_wake_one_that_is_gone(self) -> None:
        peer = self.bare()
        self.server.fake.held.add("append")
        peer.send({"msg": "last words"})
        self.server.settle()
        peer.cut()
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(self.alice.texts()[-1:], ["last words"])

    def test_more_than_100_errors_in_a_row_are_the_end(self) -> None:
        peer = self.bare()
        peer.send({"msg": "hi"})
        for _ in range(2):
            for _ in range(99):
                peer.send({"type": "nonsense", "msg": 1})
            peer.send({"msg": "a good one"})
            self.later(3)
        self.assertFalse(peer.wire.closed)
        for _ in range(101):
            peer.send_bytes(b"?\n")
        answers = self.segments(peer)
        self.assertEqual(answers[-1], STOP)
        self.assertTrue(peer.wire.closed)

    def test_a_full_server_says_so(self) -> None:
        self.server = Server(limits=Limits(connections=1))
        self.alice = self.server.welcome("alice", "lobby")
        peer = self.server.connect()
        refusal, stop = self.segments(peer)
        self.assertEqual((refusal["type"], stop), ("error", STOP))
        peer.cut()
        peer = self.server.connect()
        peer.send({"msg": "hi"}, {"msg": "hi"})
        self.assertEqual([obj["type"] for obj in self.segments(peer)], ["error", "stop"])
        peer.cut()
        peer = self.server.connect()
        peer.send({"type": "hello", "nick": "bob"}, {"type": "ping"})
        self.server.settle()
        self.assertEqual([(obj["type"], obj.get("code")) for obj in peer.got()], [("error", "full"), ("stop", None)])
        self.assertEqual(self.alice.got(), [])


class BoundTests(BareTestCase):
    """It is read from as fast as it can be answered."""

    def test_it_is_not_read_from_while_many_errors_wait_for_it(self) -> None:
        peer = self.bare()
        peer.pause()
        for _ in range(bare.MAX_SEGMENTS):
            self.assertTrue(peer.wire.reading)
            peer.send({"type": "nonsense"})
            self.server.settle()
        self.assertFalse(peer.wire.reading)
        peer.resume()
        self.server.clock.advance(0.001)
        self.assertTrue(peer.wire.reading)
        self.assertEqual(len(self.segments(peer)), bare.MAX_SEGMENTS)

    def test_it_is_read_from_again_when_what_it_said_is_kept(self) -> None:
        self.patch(participant, "MAX_UNSETTLED", 2 * (ENTRY_CHARACTERS + 1))
        peer = self.bare()
        self.server.fake.held.add("append")
        peer.send({"msg": "1"}, {"msg": "2"})
        self.server.settle()
        self.assertFalse(peer.wire.reading)
        self.server.fake.release()
        self.assertTrue(peer.wire.reading)

    def test_direct_messages_wait_for_no_connection_that_takes_nothing(self) -> None:
        peer = self.bare()
        for change, answer in (
            (peer.pause, "error"),
            (lambda: peer.send({"type": "nonsense"}), "error"),
            (peer.resume, "ack"),
            (peer.pause, "error"),
            (peer.resume, "ack"),
        ):
            change()
            self.assertEqual(self.alice.ask(type="", to="49474", msg="hi", id="1")[0]["type"], answer)

    def test_direct_messages_that_it_cannot_take_now_are_refused(self) -> None:
        peer = self.bare()
        for _ in range(bare.MAX_SEGMENTS + 1):  # one goes at once
            self.assertEqual(self.alice.ask(type="", to="49474", msg="hi", id="1")[0]["type"], "ack")
        self.assertEqual(self.alice.ask(type="", to="49474", msg="hi", id="1")[0]["code"], "unavailable")
        self.assertEqual(self.segments(peer), [text("hi", "alice")] * (bare.MAX_SEGMENTS + 1))
        self.assertEqual(self.alice.ask(type="", to="49474", msg="hi", id="1")[0]["type"], "ack")

    def test_it_is_never_pinged(self) -> None:
        peer = self.bare()
        for _ in range(20):
            self.server.clock.advance(30)
        self.assertEqual(peer.got_segments(), [])

    def test_it_is_ended_if_it_leaves_an_object_unfinished(self) -> None:
        for peer in self.silent("1"), self.bare("2"):
            peer.wire.is_unfinished = True
            self.server.clock.pump([TICK_SECONDS] * (UNFINISHED_TICKS - 1))
            peer.wire.is_unfinished = False
            self.server.clock.pump([TICK_SECONDS] * UNFINISHED_TICKS)
            peer.wire.is_unfinished = True
            self.server.clock.pump([TICK_SECONDS] * (UNFINISHED_TICKS - 1))
            self.assertFalse(peer.wire.closed)
            self.server.clock.pump([TICK_SECONDS] + [0.1] * 20)
            self.assertTrue(peer.wire.closed)
            self.assertEqual(peer.got_segments()[-1], STOP)
            peer.cut()

    def test_presence_and_topics_are_not_for_it(self) -> None:
        peer = self.bare()
        self.alice.ask(type="topic", room="lobby", msg="all")
        self.alice.ask(type="nick", nick="al")
        self.server.welcome("bob", "lobby").cut()
        self.assertEqual(self.segments(peer), [])
        assert isinstance(peer.wire.participant, bare.Bare)
        self.server.chat.rooms.send(peer.wire.participant, PingSent())
        self.assertEqual(self.segments(peer), [])

    def test_a_message_that_cannot_be_kept_is_told_in_three_fields(self) -> None:
        peer = self.bare()
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        peer.send({"msg": "hi"})
        self.assertEqual(self.segments(peer), [error("the message cannot be stored now: send it again later")])


class NotServedTests(BareTestCase):
    """Where `--bare no` is given, a client has to say hello."""

    def setUp(self) -> None:
        self.server = Server(limits=Limits(rate=0, bare=False))
        self.alice = self.server.welcome("alice", "lobby")

    def test_one_that_says_nothing_is_told_what_to_say_and_ended(self) -> None:
        peer = self.server.connect()
        self.server.clock.advance(HELLO_SECONDS - 0.1)
        self.say("a secret")
        self.assertEqual((peer.got(), peer.wire.closed), ([], False))
        self.server.clock.advance(0.1)
        refusal, stop = peer.got()
        self.assertEqual((refusal["code"], stop["type"], peer.wire.closed), ("not-welcome", "stop", True))
        peer.cut()

    def test_three_fields_are_not_welcome_and_a_hello_is(self) -> None:
        peer = self.server.connect()
        peer.send({"msg": "hi"}, {"type": "quit"})
        self.server.settle()
        self.assertEqual([obj["code"] for obj in peer.got()], ["not-welcome"] * 2)
        self.assertEqual(peer.ask(type="nonsense")[0]["code"], "unknown-type")
        self.assertEqual(peer.ask(type="hello", nick="bob")[0]["type"], "welcome")
        self.server.clock.advance(HELLO_SECONDS)
        self.assertEqual((self.alice.got(), peer.wire.closed), ([], False))

    def test_a_full_server_says_so_after_a_moment(self) -> None:
        self.server = Server(limits=Limits(connections=1, bare=False))
        self.server.connect()
        peer = self.server.connect()
        self.server.clock.advance(GRACE_SECONDS)
        self.assertEqual([(obj["type"], obj.get("code")) for obj in peer.got()], [("error", "full"), ("stop", None)])

    def test_a_server_that_stops_says_so(self) -> None:
        peer = self.server.connect()
        self.server.chat.stop("maintenance")
        self.server.settle()
        self.assertEqual(peer.got(), [{"type": "stop", "msg": "maintenance", "author": "server"}])
        self.server.chat.begin(peer.wire)
        self.assertEqual(peer.got(), [])
        peer.cut()

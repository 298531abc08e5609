"""Each counter moves by what it counts, and by nothing else."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.counters import Histogram
from twisted_chat.limits import Limits
from twisted_chat.log import Unavailable
from twisted_chat.status.snapshot import take
from twisted_chat.wire.jsonlines import JSONLines, JSONLinesFactory

from .helpers import Peer, Server


class HistogramTests(SynchronousTestCase):
    """An observation counts in the first range that has it."""

    def test_a_bound_belongs_to_the_range_below_it(self) -> None:
        histogram = Histogram((1.0, 2.0))
        for value in (0.0, 1.0, 1.5, 2.0, 2.5, 9.5):
            histogram.observe(value)
        self.assertEqual((histogram.counts, histogram.count, histogram.sum), ([2, 2, 2], 6, 16.5))


class MessageTests(SynchronousTestCase):
    """Messages, and how often they are delivered."""

    def setUp(self) -> None:
        self.server = Server()
        self.counters = self.server.chat.counters
        self.alice, self.bob, self.carol = (self.server.welcome(nick, "lobby") for nick in ("alice", "bob", "carol"))
        self.turns = self.counters.turns.count
        self.commits = self.counters.commits.count

    def figures(self) -> tuple[int, int, int]:
        """The messages, and how often they were handed to somebody live, and to others."""
        return self.counters.messages, self.counters.deliveries, self.counters.paged

    def test_a_message_is_delivered_to_each_other_member(self) -> None:
        self.alice.say("hello")
        self.server.settle()
        self.assertEqual(self.figures(), (1, 2, 0))

    def test_authors_get_those_of_the_others(self) -> None:
        self.alice.say("one")
        self.alice.say("two")
        self.bob.say("three")
        self.server.settle()
        self.assertEqual(self.figures(), (3, 1 + 2 + 3, 0))

    def test_a_member_that_does_not_read_gets_its_messages_in_a_page(self) -> None:
        self.carol.pause()
        self.alice.say("one")
        self.alice.say("two")
        self.server.settle()
        self.assertEqual(self.figures(), (2, 2, 0))
        self.carol.resume()
        self.server.settle()
        self.assertEqual(self.figures(), (2, 2, 2))

    def test_a_bare_client_gets_them_in_a_page(self) -> None:
        bare = self.server.connect()
        self.server.clock.advance(1)
        self.alice.say("hello")
        self.server.clock.advance(1)
        self.assertEqual(len(bare.got()), 1)
        self.assertEqual(self.figures(), (1, 2, 1))

    def test_a_message_that_is_said_again_is_no_other_one(self) -> None:
        for _ in range(2):
            self.alice.say("hello", id="1")
            self.server.settle()
        self.assertEqual(self.figures(), (1, 2, 0))

    def test_of_another_server(self) -> None:
        self.server.fake.logs["lobby"].append_elsewhere(("dave", "hello"))
        self.server.settle()
        self.assertEqual(self.figures(), (1, 3, 0))

    def test_a_turn_and_a_commit_take_time(self) -> None:
        self.alice.say("hello")
        self.server.fake.held.add("append")
        self.server.clock.turn()
        self.assertEqual(self.counters.commit_began, self.server.clock.seconds())
        self.assertEqual(self.counters.commits.count, self.commits)
        self.server.clock.advance(0.25)
        self.server.fake.release()
        self.server.settle()
        self.assertEqual((self.counters.commits.count, self.counters.commits.sum), (self.commits + 1, 0.25))
        self.assertIsNone(self.counters.commit_began)
        self.assertGreater(self.counters.turns.count, self.turns)

    def test_a_turn_is_counted_once(self) -> None:
        for peer in (self.alice, self.bob):
            peer.say("hello")
        self.server.clock.turn()
        self.assertEqual(self.counters.turns.count, self.turns + 1)

    def test_a_failed_append_is_remembered_until_one_succeeds(self) -> None:
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        self.alice.say("one", id="1")
        self.alice.say("two", id="2")
        self.server.settle()
        self.assertEqual(self.counters.refused, {"unavailable": 2})
        self.assertEqual(self.counters.failed_at, self.server.clock.seconds())
        self.assertEqual((self.counters.commits.count, self.counters.messages), (self.commits, 0))
        del self.server.fake.failing["append"]
        self.alice.say("one", id="1")
        self.server.settle()
        self.assertEqual((self.counters.failed_at, self.counters.messages), (None, 1))


class RefusalTests(SynchronousTestCase):
    """Requests that are refused, by the code of the error."""

    def test_of_a_session(self) -> None:
        server = Server()
        alice = server.welcome("alice")
        alice.ask(type="history", room="nowhere!")
        alice.send_bytes(b"{]\n{]\n")
        server.settle()
        self.assertEqual([answer["code"] for answer in alice.got()], ["bad-json", "bad-json"])
        self.assertEqual(server.chat.counters.refused, {"bad-room": 1, "bad-json": 2})

    def test_of_a_bare_client(self) -> None:
        server = Server()
        bare = server.connect()
        bare.send_bytes(b'{"msg": 1}\n')
        self.assertEqual(server.chat.counters.refused, {"bad-message": 1})

    def test_connections_that_cannot_stay(self) -> None:
        server = Server(limits=Limits(connections=1))
        factory = JSONLinesFactory(server.chat)
        for number in range(1, 35):
            protocol = factory.buildProtocol(IPv4Address("TCP", f"192.0.2.{number}", 49474))
            protocol.makeConnection(StringTransport())
        self.assertEqual(server.chat.counters.turned_away, {"full": 32, "silently": 1})
        self.assertEqual(server.chat.counters.connected, {"tcp": 33})


class TrafficTests(SynchronousTestCase):
    """The bytes of connections, also of those that have ended."""

    def test_what_comes_and_what_goes(self) -> None:
        server = Server()
        protocol = JSONLinesFactory(server.chat).buildProtocol(IPv4Address("TCP", "192.0.2.1", 49474))
        transport = StringTransport()
        protocol.makeConnection(transport)
        sent = b'{"type":"hello","nick":"alice"}\n'
        protocol.dataReceived(sent[:10])
        protocol.dataReceived(sent[10:])
        server.settle()
        self.assertEqual(protocol.traffic.received, len(sent))
        self.assertEqual(protocol.traffic.sent, len(transport.value()))
        self.assertGreater(protocol.traffic.sent, 0)
        self.assertEqual(server.chat.counters.traffic, {})
        written = protocol.traffic.sent
        protocol.connectionLost()
        ended = server.chat.counters.traffic["tcp"]
        self.assertEqual((ended.received, ended.sent), (len(sent), written))

    def test_of_a_connection_that_becomes_another_kind(self) -> None:
        server = Server(limits=Limits(connections_per_address=1))
        peer = server.connect("192.0.2.1")
        peer.wire.traffic.received = 100
        server.chat.upgraded(peer.wire, "websocket", "192.0.2.1")
        peer.wire.traffic.received += 7
        server.chat.upgraded(peer.wire, "other", "198.51.100.7")
        peer.wire.traffic.received += 1
        counters = server.chat.counters
        self.assertEqual(counters.connected, {"fake": 1, "websocket": 1, "other": 1})
        received = {kind: count for kind, count in take(server.chat).received.items() if count}
        self.assertEqual(received, {"fake": 100, "websocket": 7, "other": 1})
        peer.cut()
        self.assertEqual({kind: traffic.received for kind, traffic in counters.traffic.items()}, received)
        self.assertEqual(server.chat._networks, {}, "neither address has a connection any more")

    def test_the_kind_of_a_connection_without_an_address(self) -> None:
        protocol = JSONLinesFactory(Server().chat).buildProtocol(None)
        protocol.makeConnection(StringTransport())
        self.assertEqual(protocol.kind, "unix")


class CauseTests(SynchronousTestCase):
    """The cause of a connection's end, as the log of connections has it."""

    def setUp(self) -> None:
        self.server = Server()
        self.ended: list[str] = []
        self.server.chat.access_log = lambda wire: self.ended.append(wire.cause)

    def check_ends(self, peer: Peer, cause: str) -> None:
        """See that a connection has ended for a cause."""
        peer.cut()
        self.assertEqual(self.ended, [cause])

    def test_a_quit(self) -> None:
        alice = self.server.welcome("alice")
        alice.send({"type": "quit", "msg": "a text"})
        self.check_ends(alice, "quit")

    def test_a_quit_of_a_bare_client(self) -> None:
        bare = self.server.connect()
        bare.send({"type": "quit"})
        self.server.clock.advance(1)
        self.check_ends(bare, "quit")

    def test_its_side_was_closed(self) -> None:
        alice = self.server.welcome("alice")
        alice.wire.participant.finished()
        self.check_ends(alice, "closed")

    def test_its_side_was_closed_before_a_request(self) -> None:
        bare = self.server.connect()
        bare.wire.participant.finished()
        self.server.clock.advance(1)
        self.check_ends(bare, "closed")

    def test_the_side_of_a_bare_client_was_closed(self) -> None:
        bare = self.server.connect()
        bare.send({"msg": "hello"})
        bare.wire.participant.finished()
        self.server.clock.advance(1)
        self.check_ends(bare, "closed")

    def test_a_connection_that_is_lost_has_none(self) -> None:
        self.check_ends(self.server.welcome("alice"), "")

    def test_silence(self) -> None:
        alice = self.server.welcome("alice")
        self.server.clock.pump([30.0] * 6)
        self.check_ends(alice, "silent")

    def test_errors(self) -> None:
        alice = self.server.welcome("alice")
        alice.send_bytes(b"{]\n" * 200)
        self.server.settle()
        self.check_ends(alice, "errors")

    def test_another_connection_in_its_place(self) -> None:
        token = "a secret of a client"
        alice, again = self.server.connect(), self.server.connect()
        for peer in (alice, again):
            peer.ask(type="hello", nick="alice", token=token)
        self.check_ends(alice, "replaced")

    def test_the_end_of_the_server(self) -> None:
        alice = self.server.welcome("alice")
        self.server.chat.stop("the server is shutting down")
        self.server.settle()
        self.check_ends(alice, "stopping")

    def test_a_refusal(self) -> None:
        server = Server(limits=Limits(connections=1))
        server.chat.access_log = lambda wire: self.ended.append(wire.cause)
        server.connect("192.0.2.1")
        second = server.connect("192.0.2.2")
        second.send({"type": "hello", "nick": "alice"})
        self.check_ends(second, "full")

    def test_a_handshake_that_does_not_come(self) -> None:
        protocol = JSONLinesFactory(self.server.chat).buildProtocol(None)
        protocol.makeConnection(StringTransport())
        cast(JSONLines, protocol)._give_up()
        self.assertEqual(protocol.cause, "handshake")


class LoginTests(SynchronousTestCase):
    """Attempts to log in, by their result."""

    def test_right_wrong_and_too_many(self) -> None:
        server = Server()
        alice = server.welcome("alice")
        (registered,) = alice.ask(type="register", password="correct horse battery")
        self.assertEqual(registered["type"], "registered")
        (welcome,) = server.connect().ask(type="hello", nick="alice", password="correct horse battery")
        self.assertEqual(welcome["type"], "welcome")
        for _ in range(7):
            server.connect("192.0.2.2").ask(type="hello", nick="alice", password="a wrong password")
        server.connect("192.0.2.3").ask(type="hello", nick="bob")
        self.assertEqual(server.chat.accounts.logins, {"succeeded": 1, "failed": 5, "limited": 2})

"""The status of the server: what it is made of, and what an operator sees."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.log import Unavailable
from twisted_chat.status.snapshot import FAILED_SECONDS, KINDS, STUCK_SECONDS, Snapshot, take

from .helpers import Server


def open_server() -> Server:
    """Make a server that is ready."""
    server = Server()
    server.chat.is_open = True
    return server


class SnapshotTests(SynchronousTestCase):
    """A snapshot has what is there now, and everything so far."""

    def setUp(self) -> None:
        self.server = open_server()

    def take(self) -> Snapshot:
        return take(self.server.chat)

    def test_connections_and_their_bytes_by_kind(self) -> None:
        alice, bob = self.server.welcome("alice"), self.server.welcome("bob")
        alice.wire.traffic.received, alice.wire.traffic.sent = 5, 7
        bob.wire.traffic.received = 1
        bob.wire.kind = "udp"
        snapshot = self.take()
        self.assertEqual(snapshot.connections, dict.fromkeys(KINDS, 0) | {"fake": 1, "udp": 1})
        self.assertEqual((snapshot.received["fake"], snapshot.received["udp"]), (5, 1))
        self.assertEqual((snapshot.sent["fake"], snapshot.sent["tcp"]), (7, 0))
        alice.cut()
        snapshot = self.take()
        self.assertEqual((snapshot.connections["fake"], snapshot.received["fake"], snapshot.sent["fake"]), (0, 5, 7))

    def test_readers_that_are_slow(self) -> None:
        alice, bob = self.server.welcome("alice", "lobby", "other"), self.server.welcome("bob", "lobby")
        newcomer = self.server.connect()
        self.assertEqual((self.take().paused, self.take().behind), (0, 0))
        for peer in (bob, newcomer):
            peer.pause()
        alice.pause()
        snapshot = self.take()
        self.assertEqual((snapshot.paused, snapshot.behind, snapshot.members), (3, 3, 3))
        for peer in (alice, bob, newcomer):
            peer.resume()
        self.server.settle()
        self.assertEqual((self.take().paused, self.take().behind), (0, 0))

    def test_rooms_and_members(self) -> None:
        alice = self.server.welcome("alice", "lobby", "other")
        self.server.welcome("bob", "other")
        bare = self.server.connect()
        bare.send({"msg": "hello"})
        self.server.clock.advance(1)
        alice.say("hello", room="other")
        self.server.settle()
        snapshot = self.take()
        self.assertEqual((snapshot.open_rooms, snapshot.kept_rooms), (2, 2))
        self.assertEqual((snapshot.members, snapshot.behind, snapshot.nicks), (4, 0, 3))


class ReadinessTests(SynchronousTestCase):
    """The server is ready while it takes connections and messages."""

    def setUp(self) -> None:
        self.server = Server()

    def trouble(self) -> str:
        return take(self.server.chat).trouble

    def test_from_its_start_to_its_end(self) -> None:
        self.assertEqual(self.trouble(), "the server is starting")
        self.server.chat.is_open = True
        self.assertEqual(self.trouble(), "")
        self.server.chat.stop("the server is shutting down")
        self.assertEqual(self.trouble(), "the server is stopping")

    def test_not_without_its_file(self) -> None:
        self.server.chat.is_open = True
        self.server.fake.trouble = "it is gone"
        self.assertEqual(self.trouble(), "the database takes no messages: it is gone")

    def test_not_while_an_append_hangs(self) -> None:
        self.server.chat.is_open = True
        alice = self.server.welcome("alice", "lobby")
        self.server.fake.held.add("append")
        alice.say("hello")
        self.server.settle()
        self.server.clock.advance(STUCK_SECONDS)
        self.assertEqual(self.trouble(), "")
        self.server.clock.advance(2)
        self.assertEqual(self.trouble(), "the database has not stored a message for 7 s")
        self.server.fake.release()
        self.server.settle()
        self.assertEqual(self.trouble(), "")

    def test_not_right_after_an_append_has_failed(self) -> None:
        self.server.chat.is_open = True
        alice = self.server.welcome("alice", "lobby")
        self.server.fake.failing["append"] = Unavailable("the disk is full")
        alice.say("hello")
        self.server.settle()
        self.assertRegex(self.trouble(), "could not store the last messages")
        self.server.clock.advance(FAILED_SECONDS + 1)
        self.assertEqual(self.trouble(), "")
        alice.say("hello")
        self.server.settle()
        del self.server.fake.failing["append"]
        alice.say("hello")
        self.server.settle()
        self.assertEqual(self.trouble(), "")

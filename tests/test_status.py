"""The status of the server: what it is made of, and what an operator sees."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.cluster import ClusterCondition
from twisted_chat.counters import quantile
from twisted_chat.log import Condition, Unavailable
from twisted_chat.status import units
from twisted_chat.status.history import POINT_SECONDS, POINTS, History, memory
from twisted_chat.status.snapshot import FAILED_SECONDS, KINDS, Snapshot, take

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

    def test_the_condition_of_the_cluster(self) -> None:
        self.assertIsNone(self.take().cluster)
        condition = ClusterCondition(servers=3, heartbeat_age=0.5, clock_ahead=-2.0)
        self.patch(self.server.chat.cluster, "condition", lambda: condition)
        self.assertEqual(self.take().cluster, condition)

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

    def test_not_while_an_append_hangs_for_longer_than_the_patience_of_the_store(self) -> None:
        self.server.chat.is_open = True
        self.server.fake.patience = 10
        alice = self.server.welcome("alice", "lobby")
        self.server.fake.held.add("append")
        alice.say("hello")
        self.server.settle()
        self.server.clock.advance(10)
        self.assertEqual(self.trouble(), "")
        self.server.clock.advance(2)
        self.assertEqual(self.trouble(), "the database has not stored a message for 12 s")
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


class HistoryTests(SynchronousTestCase):
    """A point every ten seconds, and an hour of them."""

    def setUp(self) -> None:
        self.server = open_server()
        self.history = History(self.server.chat)
        self.alice = self.server.welcome("alice", "lobby")
        self.server.welcome("bob", "lobby")
        self.history.start()
        self.addCleanup(self.history.stop)

    def test_a_point_has_what_happened_since_the_last_one(self) -> None:
        for number in range(20):
            self.alice.say(str(number))
        self.alice.ask(type="history", room="nowhere!")
        self.alice.wire.traffic.sent += 300
        self.alice.wire.traffic.received += 200
        self.assertEqual(len(self.history.points), 0)
        self.server.clock.advance(POINT_SECONDS)
        (point,) = self.history.points
        self.assertEqual((point.messages, point.deliveries, point.refused, point.traffic), (2.0, 2.0, 0.1, 50.0))
        self.assertEqual((point.connections, point.members, point.paused, point.journal), (2, 2, 0, 0))
        self.assertGreater(point.memory, 10_000_000)
        self.assertGreaterEqual(point.processor, 0)
        self.server.clock.advance(POINT_SECONDS)
        self.assertEqual(self.history.points[-1].messages, 0.0)

    def test_it_has_the_slowest_turns_of_its_time(self) -> None:
        counters = self.server.chat.counters
        self.server.clock.advance(POINT_SECONDS)
        counters.turns.observe(0.2)
        counters.commits.observe(3.0)
        self.server.clock.advance(POINT_SECONDS)
        slow = self.history.points[-1]
        self.assertEqual((0.1 < slow.turn <= 0.25, 1.0 < slow.commit <= 5.0), (True, True))
        self.server.clock.advance(POINT_SECONDS)
        self.assertEqual(self.history.points[-1].commit, 0.0)

    def test_an_hour_is_kept(self) -> None:
        self.server.clock.pump([POINT_SECONDS] * (POINTS + 10))
        self.assertEqual(len(self.history.points), POINTS)
        self.assertEqual(POINTS * POINT_SECONDS, 3600)

    def test_it_ends(self) -> None:
        self.history.stop()
        self.history.stop()
        self.server.clock.advance(POINT_SECONDS)
        self.assertEqual(len(self.history.points), 0)

    def test_a_point_that_cannot_be_made_is_left_out(self) -> None:
        self.patch(self.server.fake, "condition", lambda: 1 / 0)
        self.server.clock.advance(POINT_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.patch(self.server.fake, "condition", Condition)
        self.server.clock.advance(POINT_SECONDS)
        self.assertEqual(len(self.history.points), 1)

    def test_where_the_system_does_not_tell_the_memory(self) -> None:
        self.assertEqual(memory("/nowhere/statm"), 0)


class QuantileTests(SynchronousTestCase):
    """The value that a share of the observations does not exceed."""

    def test_it_lies_within_its_range(self) -> None:
        bounds = (1.0, 2.0, 4.0)
        for counts, share, value in (
            ([0, 0, 0, 0], 0.99, 0.0),
            ([10, 0, 0, 0], 0.5, 0.5),
            ([0, 10, 0, 0], 1.0, 2.0),
            ([5, 0, 5, 0], 0.75, 3.0),
            ([0, 0, 0, 3], 0.99, 4.0),
            ([98, 0, 2, 0], 0.99, 3.0),
        ):
            self.assertAlmostEqual(quantile(bounds, counts, share), value)


class UnitsTests(SynchronousTestCase):
    """Figures as people read them."""

    def check_texts(self, function: Callable[[float], str], texts: dict[float, str]) -> None:
        self.assertEqual({value: function(value) for value in texts}, texts)

    def test_numbers(self) -> None:
        self.check_texts(
            units.number,
            {0: "0", 0.25: "0.25", 12.34: "12.3", 99.97: "100", 999.4: "999", 999.6: "1 k", 1.234e6: "1.23 M"}
            | {5e15: "5000 T"},
        )
        self.check_texts(units.rate, {12.34: "12.3/s", 12340: "12.3 k/s"})
        self.check_texts(
            units.size,
            {
                0: "0 B",
                12.34: "12.3 B",
                999: "999 B",
                1000: "1 kB",
                131_072: "131 kB",
                999_499: "999 kB",
                999_500: "1 MB",
            }
            | {12_345_678.0: "12.3 MB", 5 * 10**9: "5 GB", 3 * 10**13: "30 TB", 3 * 10**15: "3000 TB"},
        )
        self.check_texts(units.traffic, {0: "0 B/s", 12340: "12.3 kB/s"})

    def test_times(self) -> None:
        self.check_texts(
            units.seconds,
            {0: "0 s", 2.5e-5: "25 µs", 0.00025: "250 µs", 0.0125: "12.5 ms", 0.9997: "1 s", 1.25: "1.25 s"},
        )
        self.check_texts(
            units.age, {59.9: "59 s", 60: "1 min", 3599: "59 min", 11100: "3 h 5 min", 1_047_600: "12 d 3 h"}
        )

    def test_counts_and_shares(self) -> None:
        self.check_texts(units.count, {0: "0", 1234: "1,234"})
        self.check_texts(units.share, {0.123: "12 %", 1.5: "150 %"})

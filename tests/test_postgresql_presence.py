"""The memory of a server for who is at other servers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import names
from twisted_chat.messages import MemberLeft
from twisted_chat.stores.postgresql import presence as presence_module
from twisted_chat.stores.postgresql.presence import Presence, Whereabouts

DEN, ATTIC = names.room("Den"), names.room("attic")
LEFT = MemberLeft(author="Al", room="Den")


class PresenceTests(SynchronousTestCase):
    """The server b has servers with smaller and larger identities beside it."""

    def setUp(self) -> None:
        self.presence = Presence("b")

    def enter(self, nick: str, count: int) -> int:
        """Have somebody enter the den here. Returns how many count here then."""
        self.presence.moved_here(DEN, nick, nick.title())
        return self.presence.own_count(DEN, count)

    def place(self, server: str, is_there: bool = True, nick: str = "al", room: str = "den") -> None:
        self.presence.heard_move(Whereabouts(nick, room, server), is_there)

    def test_members_are_counted_at_all_other_servers(self) -> None:
        self.presence.heard_count(DEN, "a", 2)
        self.presence.heard_count(DEN, "c", 3)
        self.presence.heard_count(ATTIC, "c", 1)
        self.assertEqual(self.presence.count("den"), 5)
        self.assertEqual(list(self.presence.occupied()), [(DEN, 5), (ATTIC, 1)])
        self.presence.heard_count(DEN, "c", 0)
        self.assertEqual([self.presence.count(room) for room in ("den", "attic", "cellar")], [2, 1, 0])
        self.presence.heard_count(DEN, "a", 0)
        self.assertEqual(list(self.presence.occupied()), [(ATTIC, 1)])
        self.assertEqual(self.presence.servers(), {"a", "c"})

    def test_an_account_counts_at_the_server_with_the_smallest_identity(self) -> None:
        self.assertTrue(self.presence.follow("al"))
        self.assertFalse(self.presence.follow("al"))
        self.presence.heard_count(DEN, "a", 1)
        self.presence.heard_count(DEN, "c", 1)
        for server, counted in (("c", 2), ("a", 1)):
            self.place(server)
            self.assertTrue(self.presence.is_member("den", "al"))
            self.assertEqual(self.enter("al", 2), counted)
        self.assertEqual(self.presence.count("den"), 1, "two others, and al is one of them")
        self.presence.moved_here(DEN, "al", None)
        self.assertEqual((self.presence.own_count(DEN, 1), self.presence.count("den")), (1, 2))

    def test_a_count_that_changes_by_what_is_heard_is_told(self) -> None:
        self.presence.follow("al")
        self.enter("al", 2)
        self.assertEqual(self.presence.take_recounted(), [])
        self.place("c")
        self.assertEqual(self.presence.take_recounted(), [])
        self.place("a")
        self.assertEqual(self.presence.take_recounted(), [(DEN, 1)])
        self.assertEqual(self.presence.take_recounted(), [])
        self.place("a", False)
        self.assertEqual(self.presence.take_recounted(), [(DEN, 2)])
        self.place("a", False)
        self.place("a", False, room="attic")
        self.assertEqual(self.presence.take_recounted(), [])
        self.place("a")
        self.presence.unfollow("al")
        self.assertEqual(self.presence.take_recounted(), [(DEN, 2)])
        self.assertFalse(self.presence.is_member("den", "al"))

    def test_a_count_of_a_room_that_all_have_left_is_not_told(self) -> None:
        self.presence.follow("al")
        self.place("a")
        self.enter("al", 1)
        self.presence.moved_here(DEN, "al", None)
        self.assertEqual(self.presence.own_count(DEN, 0), 0)
        self.presence.moved_here(DEN, "al", "Al")
        self.assertEqual(self.presence.take_recounted(), [])

    def test_nobody_cares_where_accounts_are_that_are_not_here(self) -> None:
        self.place("a")
        self.assertFalse(self.presence.is_member("den", "al"))
        self.presence.follow("al")
        self.assertFalse(self.presence.is_member("den", "al"))
        self.presence.unfollow("bo")

    def test_a_server_that_is_dead_is_forgotten(self) -> None:
        self.presence.follow("al")
        self.presence.heard_count(DEN, "a", 1)
        self.presence.heard_count(DEN, "c", 1)
        for server in "ac":
            self.place(server)
        self.enter("al", 1)
        self.presence.forget_server("a")
        self.assertEqual(self.presence.take_recounted(), [(DEN, 1)])
        self.assertEqual((self.presence.count("den"), self.presence.servers()), (1, {"c"}))
        self.assertTrue(self.presence.is_member("den", "al"))
        self.presence.forget_server("c")
        self.assertFalse(self.presence.is_member("den", "al"))
        self.assertEqual((self.presence.count("den"), self.presence.servers()), (0, set()))

    def test_a_server_whose_members_all_count_elsewhere_is_known(self) -> None:
        self.presence.follow("al")
        self.place("c")
        self.assertEqual(self.presence.servers(), {"c"})

    def test_what_is_heard_while_the_database_is_read_holds(self) -> None:
        self.presence.follow("al")
        self.place("a")
        self.enter("al", 1)
        self.presence.heard_count(ATTIC, "a", 9)
        with self.presence.reading():
            self.presence.heard_count(DEN, "c", 4)
            self.place("a", False)
            places = [Whereabouts("al", "den", server) for server in "ac"]
            self.presence.found_all([(DEN, "c", 3)], places)
            self.assertEqual(list(self.presence.occupied()), [(DEN, 2)], "one of them is here, and counts at a")
        self.assertEqual(list(self.presence.occupied()), [(DEN, 4)])
        self.place("c", False)
        self.assertFalse(self.presence.is_member("den", "al"))

    def test_what_the_database_does_not_have_is_forgotten(self) -> None:
        self.presence.follow("al")
        self.presence.heard_count(DEN, "a", 2)
        self.place("a")
        self.enter("al", 1)
        with self.presence.reading():
            self.presence.found_all([], [])
        self.assertEqual((self.presence.count("den"), self.presence.servers()), (0, set()))
        self.assertFalse(self.presence.is_member("den", "al"))
        self.assertEqual(self.presence.take_recounted(), [(DEN, 1)], "it counts here again")

    def test_rooms_without_members_elsewhere_take_no_memory(self) -> None:
        self.presence.heard_count(DEN, "a", 2)
        self.presence.heard_count(DEN, "a", 0)
        self.assertEqual((self.presence._counts, self.presence._rooms), ({}, {}))

    def test_an_account_that_has_gone_while_the_database_was_read_is_not_followed(self) -> None:
        self.presence.follow("al")
        with self.presence.reading():
            self.place("a")
            self.presence.unfollow("al")
        self.assertFalse(self.presence.is_member("den", "al"))

    # Departures

    def depart(self, *servers: str) -> None:
        """Have al leave the den, which it is in at other servers, too."""
        self.presence.follow("al")
        for server in servers:
            self.place(server)
        self.presence.left_untold("den", "al", LEFT)
        self.presence.unfollow("al")

    def heard(self, server: str, is_told: bool = False) -> MemberLeft | None:
        return self.presence.heard_departure(Whereabouts("al", "den", server), is_told)

    def test_of_servers_that_an_account_has_left_at_the_same_moment_the_smallest_tells(self) -> None:
        self.depart("c")
        self.assertEqual(self.heard("c"), LEFT)
        self.assertIsNone(self.heard("c"))
        self.depart("a")
        self.assertIsNone(self.heard("a"))
        self.depart("c", "d")
        self.assertEqual([self.heard("d"), self.heard("c")], [None, LEFT])

    def test_a_departure_that_another_server_tells_is_not_told_again(self) -> None:
        self.depart("c", "d")
        self.assertIsNone(self.heard("c", is_told=True))
        self.assertIsNone(self.heard("d"))

    def test_departures_that_nobody_was_told_of_are_bounded(self) -> None:
        self.patch(presence_module, "MOST_UNTOLD", 1)
        self.depart("c")
        self.presence.left_untold("den", "bo", LEFT)
        self.assertIsNone(self.heard("c"))

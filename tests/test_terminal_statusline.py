"""The title and the status line, in so many columns."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.columns import width
from twisted_chat.client.terminal.entry import Kind
from twisted_chat.client.terminal.panes import Panes
from twisted_chat.client.terminal.statusline import Connection, Standing, status, title

from .client_fakes import fake_direct, fake_room


def text_of(row: Any) -> str:
    return "".join(text for _, text in row)


class StatusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.panes = Panes("alice")
        self.lobby = self.panes.of(fake_room("lobby"))
        self.panes.turn(self.lobby)

    def status(self, columns: int = 80, connection: Connection = Connection.UP, members: int | None = 12) -> str:
        line = text_of(status(self.panes, Standing(connection, members=members), columns))
        if columns >= 10:
            self.assertLessEqual(width(line), columns)
        return line

    def more(self) -> None:
        garden = self.panes.of(fake_room("a-garden-with-a-long-name"))
        garden.unread = 3
        bob = self.panes.of(fake_direct("bob"))
        bob.unread, bob.mentioned = 1, True
        self.panes.of(fake_room("quiet"))

    def test_it_tells_of_rooms_members_and_connection(self) -> None:
        self.assertEqual(self.status(), "1:lobby | alice | 12 members | online")
        self.more()
        self.assertEqual(
            self.status(120),
            "1:lobby 2:a-garden-with-a-long-name(3) 3:@bob(1!) 4:quiet | alice | 12 members | online",
        )

    def test_with_fewer_columns_it_says_less(self) -> None:
        self.assertEqual(self.status(30), "1:lobby | alice | 12 | online")
        self.assertEqual(self.status(20), "1:lobby | online")
        self.assertEqual(self.status(15), "1:lobby")
        self.assertEqual(self.status(3), "")
        self.more()
        self.assertEqual(self.status(60), "1:lobby 2(3) 3:@bob(1!) .. | alice | 12 members | online")
        self.assertEqual(self.status(40), "1:lobby 2(3) 3(1!) .. | alice | online")
        self.assertEqual(self.status(20), "1:lobby .. 3(1!) ..")

    def test_names_have_the_space_there_is(self) -> None:
        for name in ("garden", "kitchen", "attic", "cellar", "library", "workshop", "balcony", "hall", "a-long-named"):
            self.panes.of(fake_room(name))
        kitchen, cellar = self.panes.all[2], self.panes.all[4]
        kitchen.unread, cellar.unread = 40, 1
        self.assertEqual(
            self.status(80),
            "1:lobby 2:garden 3:kitchen(40) .. 5:cellar(1) .. | alice | 12 members | online",
        )
        self.assertTrue(self.status(200).startswith("1:lobby 2:garden 3:kitchen(40) 4:attic 5:cellar(1) 6:library"))
        self.assertIn(" 10:a-long-named | alice", self.status(200))
        self.panes.turn(self.panes.all[9])
        self.assertIn("10:a-long-named", self.status(70))
        self.assertIn("3(40) .. 5(1) .. 10:a-long-named", self.status(70))

    def test_of_many_rooms_with_something_unread_those_that_fit_are_shown(self) -> None:
        for i in range(100):
            self.panes.of(fake_room(f"room{i}")).unread = 1
        self.panes.all[90].mentioned = True
        self.assertEqual(self.status(60), "1:lobby 2(1) 3(1) 4(1) 5(1) .. 91(1!) .. | alice | online")
        self.panes.turn(self.panes.nowhere)
        self.assertTrue(self.status(60).startswith(".. 2(1) 3(1)"))

    def test_a_mention_elsewhere_is_seen_before_the_nick_and_online(self) -> None:
        self.more()
        self.assertEqual(self.status(30), "1:lobby 2(3) 3(1!) .. | online")
        self.assertEqual(self.status(20), "1:lobby .. 3(1!) ..")
        for columns in range(19, 120):
            self.assertTrue(self.status(columns).startswith("1:lobby"), columns)
            self.assertRegex(self.status(columns), r" 3(:@bob)?\(1!\)", columns)

    def test_unread_messages_that_were_not_fetched_are_told(self) -> None:
        self.more()
        self.panes.all[1].more_unread = True
        self.assertIn("2:a-garden-with-a-long-name(3+)", self.status(120))

    def test_where_it_connects_to_is_told(self) -> None:
        standing = Standing(Connection.CONNECTING, "chat.example:14900")
        for columns, line in ((60, "alice | connecting to chat.example:14900"), (20, "alice | connecting")):
            self.assertEqual(text_of(status(Panes("alice"), standing, columns)), line)

    def test_why_there_is_no_connection_is_told(self) -> None:
        standing = Standing(Connection.DOWN, "the nick alice is taken", asked=1)
        line = text_of(status(self.panes, standing, 120))
        self.assertIn("| offline, 1 to ask, trying again (the nick alice is taken)", line)
        self.assertEqual(text_of(status(self.panes, standing, 30)), "1:lobby | offline, 1 to ask")

    def test_a_first_ctrl_c_says_what_a_second_one_does(self) -> None:
        standing = Standing(Connection.UP, asks_to_leave=True)
        for columns in (80, 20):
            self.assertEqual(text_of(status(self.panes, standing, columns)), "Ctrl-C again leaves")

    def test_how_to_leave_at_once_is_told_at_any_width(self) -> None:
        self.more()
        self.lobby.say("hi")
        standing = Standing(Connection.LEAVING)
        for columns, end in (
            (80, "leaving, 1 unsent, Ctrl-C leaves at once"),
            (40, "leaving, 1 unsent, Ctrl-C leaves at once"),
            (30, "leaving, Ctrl-C: at once"),
            (20, "Ctrl-C leaves now"),
        ):
            line = text_of(status(self.panes, standing, columns))
            self.assertTrue(line.endswith(end), line)
            self.assertLessEqual(width(line), columns)

    def test_it_tells_of_a_connection_that_is_lost(self) -> None:
        self.assertEqual(
            self.status(connection=Connection.DOWN), "1:lobby | alice | 12 members | offline, trying again"
        )
        self.lobby.say("hi")
        self.assertEqual(
            self.status(connection=Connection.DOWN), "1:lobby | alice | 12 members | offline, 1 unsent, trying again"
        )
        self.assertEqual(self.status(25, Connection.DOWN), "offline, 1 unsent")
        self.assertEqual(self.status(), "1:lobby | alice | 12 members | online")
        self.assertIn("leaving, 1 unsent, Ctrl-C leaves at once", self.status(connection=Connection.LEAVING))

    def test_it_tells_that_one_looks_back(self) -> None:
        entry = self.lobby.show(Kind.NOTE, "")
        self.lobby.bottom = entry, 0
        self.assertIn("scrolled back |", self.status())
        self.lobby.unread = 2
        self.assertIn("| scrolled back, 2 new below |", self.status())
        self.assertEqual(self.status(26), "1:lobby(2) | back | online")

    def test_a_direct_conversation_has_no_members(self) -> None:
        self.assertEqual(self.status(members=None), "1:lobby | alice | online")
        self.assertIn("| 1 member |", self.status(members=1))

    def test_the_current_room_stands_out(self) -> None:
        self.more()
        styles = {text: style for style, text in status(self.panes, Standing(Connection.DOWN), 120)}
        self.assertIn("class:current", styles["1:lobby"])
        self.assertIn("class:unread", styles["3:@bob(1!)"])
        self.assertNotIn("class:unread", styles["4:quiet"])
        self.assertIn("class:trouble", styles["offline, trying again"])

    def test_the_title_has_the_topic(self) -> None:
        self.assertEqual(title(self.lobby, "", 80), "lobby")
        self.assertEqual(title(self.lobby, "tea and cake", 80), "lobby: tea and cake")
        self.assertEqual(title(self.lobby, "tea and cake", 12), "lobby: tea..")
        self.assertEqual(title(self.panes.nowhere, "", 80), "no room")

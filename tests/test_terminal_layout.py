"""What is shown of a conversation, in so many columns and rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.commands import Direct
from twisted_chat.client.terminal import layout, model
from twisted_chat.client.terminal.colours import PALETTE, colour
from twisted_chat.client.terminal.columns import width
from twisted_chat.client.terminal.layout import Look
from twisted_chat.client.terminal.model import Entry, Kind, Pane, Panes
from twisted_chat.client.terminal.statusline import Link, status, title

from .client_fakes import fake_room

NOON = datetime(2026, 11, 22, 12, 0).astimezone()


def text_of(row: Any) -> str:
    return "".join(text for _, text in row)


class LookTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(model, "now", lambda: NOON)
        self.pane = Pane(fake_room("lobby"), "alice")

    def add(self, text: str = "hi", author: str = "bob", kind: Kind = Kind.MESSAGE, **more: Any) -> Entry:
        entry = Entry(kind, text, more.pop("time", NOON), author, **more)
        self.pane.entries.append(entry)
        return entry

    def look(self, columns: int = 40, rows: int = 10) -> Look:
        return Look(self.pane, columns, rows)

    def shown(self, columns: int = 40, rows: int = 10) -> list[str]:
        return [text_of(row) for row in self.look(columns, rows).window()]


class RowTests(LookTestCase):
    def test_a_message_has_its_time_and_its_author(self) -> None:
        self.add("hello")
        self.assertEqual(self.shown(), ["this is the beginning of lobby", "-- 2026-11-22 --", "12:00 bob: hello"])

    def test_each_day_has_its_date(self) -> None:
        for day in (0, 0, 1):
            self.add(time=NOON + timedelta(days=day))
        self.assertEqual(
            [row[:16] for row in self.shown() if row.startswith("--")], ["-- 2026-11-22 --", "-- 2026-11-23 --"]
        )

    def test_a_time_is_shown_as_it_is_here(self) -> None:
        self.add(time=NOON.astimezone(UTC))
        self.assertIn("12:00 bob: hi", self.shown())

    def test_signs_tell_of_mentions_and_of_what_is_not_kept(self) -> None:
        self.add("hi alice", mention=True)
        entry = self.pane.say("hello")
        self.assertTrue(self.shown()[-2].endswith("!bob: hi alice"))
        self.assertTrue(self.shown()[-1].endswith("~alice: hello"))
        self.pane.kept(entry, 1)
        self.assertTrue(self.shown()[-1].endswith(" alice: hello"))
        self.pane.refused(self.pane.say("no"))
        self.assertTrue(self.shown()[-1].endswith("xalice: no"))

    def test_lines_of_the_program_are_told_from_messages(self) -> None:
        self.add("bob left", kind=Kind.NOTICE)
        self.add("no such nick", kind=Kind.ERROR)
        self.assertEqual(self.shown()[-2:], ["12:00 * bob left", "12:00 ! no such nick"])

    def test_a_nick_has_its_colour(self) -> None:
        self.add()
        ((style, _),) = [fragment for fragment in self.look().window()[-1] if fragment[1] == "bob"]
        self.assertIn(colour("bob"), style)

    def test_few_columns_have_no_times(self) -> None:
        self.add("hello to you all out there")
        self.add("alice?", mention=True)
        self.assertEqual(self.shown(20)[-3:], ["bob: hello to you", " all out there", "!bob: alice?"])

    def test_nothing_is_wider_than_the_columns(self) -> None:
        self.add("你好, hello! " * 10, author="名" * 32)
        self.add("hello", kind=Kind.ERROR)
        for columns in (2, 3, 5, 10, 20, 29, 30, 31, 80):
            for row in self.shown(columns, 200):
                self.assertLessEqual(width(row), columns)
        self.assertGreater(len(self.shown(1)), 1)

    def test_rows_are_laid_out_once(self) -> None:
        self.add()
        first = self.look().window()[-1]
        self.assertIs(self.look().window()[-1], first)
        self.assertIsNot(self.look(50).window()[-1], first)


class WindowTests(LookTestCase):
    def setUp(self) -> None:
        super().setUp()
        for i in range(50):
            self.add(str(i))

    def numbers(self, rows: int = 10, columns: int = 40) -> list[int]:
        return [int(row.rpartition(" ")[2]) for row in self.shown(columns, rows) if "bob" in row]

    def test_the_newest_is_at_the_bottom(self) -> None:
        self.assertEqual(self.numbers(), list(range(40, 50)))
        self.assertEqual(
            Look(Pane(None, "alice"), 60, 5).window(), [[("class:note", "you are in no room; /join ROOM enters one")]]
        )

    def test_one_scrolls_up_and_down(self) -> None:
        look = self.look()
        look.scroll(-8)
        self.assertEqual(self.numbers(), list(range(32, 42)))
        self.add("50")
        self.assertEqual(self.numbers(), list(range(32, 42)), "what is read does not move")
        look.scroll(4)
        self.assertEqual(self.numbers(), list(range(36, 46)))
        look.scroll(100)
        self.assertIsNone(self.pane.bottom)
        self.assertEqual(self.numbers()[-1], 50)

    def test_one_does_not_scroll_beyond_the_beginning(self) -> None:
        look = self.look()
        look.scroll(-1000)
        self.assertEqual(self.shown()[:3], ["this is the beginning of lobby", "-- 2026-11-22 --", "12:00 bob: 0"])
        self.assertEqual(self.numbers(), list(range(8)))
        look.scroll(-1)
        self.assertEqual(self.numbers(), list(range(8)))

    def test_what_fits_is_not_scrolled(self) -> None:
        self.look(rows=100).scroll(-10)
        self.assertIsNone(self.pane.bottom)
        self.pane.entries.clear()
        self.look().scroll(-10)
        self.assertIsNone(self.pane.bottom)
        self.assertEqual(self.shown(), ["this is the beginning of lobby"])

    def test_older_messages_that_are_loaded_do_not_move_what_is_read(self) -> None:
        self.look().scroll(-1000)
        self.pane.entries[:0] = [Entry(Kind.MESSAGE, f"-{i}", NOON, "bob") for i in range(3)]
        self.assertEqual(self.numbers(), [-1, -2, *range(8)])

    def test_a_terminal_that_is_resized_shows_the_same_place(self) -> None:
        self.pane.entries[20].text = "a long text of many words that are 20"
        self.look().scroll(-30)
        self.assertEqual(self.shown()[-1], "12:00 bob: a long text of many words")
        self.look().scroll(1)
        self.assertEqual(self.shown()[-1], "      that are 20")
        self.assertEqual(self.shown(20)[-1], " many words that are")
        self.assertEqual(self.shown(80)[-1], "12:00 bob: a long text of many words that are 20")

    def test_a_place_that_is_gone_is_the_newest(self) -> None:
        self.pane.bottom = Entry(Kind.MESSAGE, "", NOON), 0
        self.assertEqual(self.numbers()[-1], 49)

    def test_older_messages_are_asked_for_in_time(self) -> None:
        self.pane.whole = False
        self.assertFalse(self.look().wants_older())
        self.look().scroll(-25)
        self.assertFalse(self.look().wants_older())
        self.look().scroll(-10)
        self.assertTrue(self.look().wants_older())
        self.assertTrue(self.look(rows=60).wants_older())
        self.pane.loading = True
        self.assertFalse(self.look().wants_older())
        self.pane.loading, self.pane.whole = False, True
        self.assertFalse(self.look().wants_older())
        self.pane.whole = False
        self.patch(layout, "KEPT", 50)
        self.assertFalse(self.look().wants_older())

    def test_the_top_says_what_is_above(self) -> None:
        self.pane.whole = False
        self.look().scroll(-1000)
        self.assertEqual(self.shown()[0], "older messages are in the room's history")
        self.pane.loading = True
        self.assertEqual(self.shown()[0], "older messages are on their way ...")


class ColourTests(SynchronousTestCase):
    def test_a_nick_has_one_colour_in_every_session(self) -> None:
        self.assertEqual(colour("alice"), colour("ALICE"))
        self.assertEqual([PALETTE.index(colour(nick)) for nick in ("alice", "bob", "Юра", "a b")], [7, 12, 4, 8])

    def test_nicks_use_all_colours(self) -> None:
        self.assertEqual({colour(f"nick{i}") for i in range(300)}, set(PALETTE))

    def test_colours_can_be_read_on_black_and_on_white(self) -> None:
        for shade in PALETTE:
            luminance = sum(
                share * ((int(shade[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4
                for share, i in ((0.2126, 1), (0.7152, 3), (0.0722, 5))
                if shade[i : i + 2] != "00"
            )
            self.assertGreater(min((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)), 3.7, shade)


class StatusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.panes = Panes("alice")
        self.lobby = self.panes.of(fake_room("lobby"))
        self.panes.turn(self.lobby)

    def status(self, columns: int = 80, link: Link = Link.UP, members: int | None = 12) -> str:
        line = text_of(status(self.panes, members, link, columns))
        if columns >= 10:
            self.assertLessEqual(width(line), columns)
        return line

    def more(self) -> None:
        garden = self.panes.of(fake_room("a-garden-with-a-long-name"))
        garden.unread = 3
        bob = self.panes.of(Direct(cast(Any, None), "bob"))
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
        self.assertEqual(self.status(15), "online")
        self.assertEqual(self.status(3), "online")
        self.more()
        self.assertEqual(self.status(60), "1:lobby 2(3) 3:@bob(1!) .. | alice | 12 members | online")
        self.assertEqual(self.status(40), "1:lobby 2(3) 3(1!) .. | alice | online")
        self.assertEqual(self.status(20), "1:lobby .. | online")

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

    def test_every_width_has_the_current_room_before_other_names(self) -> None:
        self.more()
        for columns in range(18, 120):
            self.assertTrue(self.status(columns).startswith("1:lobby"), columns)
            if ":@bob" in self.status(columns):
                self.assertIn("| alice |", self.status(columns))

    def test_it_tells_of_a_connection_that_is_lost(self) -> None:
        self.assertEqual(self.status(link=Link.DOWN), "1:lobby | alice | 12 members | offline, trying again")
        self.lobby.say("hi")
        self.assertEqual(self.status(link=Link.DOWN), "1:lobby | alice | 12 members | offline, 1 unsent, trying again")
        self.assertEqual(self.status(25, Link.DOWN), "offline, 1 unsent")
        self.assertEqual(self.status(), "1:lobby | alice | 12 members | online")
        self.assertIn("leaving, 1 unsent, Ctrl-C leaves at once", self.status(link=Link.LEAVING))

    def test_it_tells_that_one_looks_back(self) -> None:
        entry = self.lobby.show(Kind.NOTE, "")
        self.lobby.bottom = entry, 0
        self.assertIn("scrolled back |", self.status())
        self.lobby.unread = 2
        self.assertIn("| scrolled back, 2 new below |", self.status())
        self.assertEqual(self.status(26), "1:lobby(2) | back | online")

    def test_a_talk_with_one_nick_has_no_members(self) -> None:
        self.assertEqual(self.status(members=None), "1:lobby | alice | online")
        self.assertIn("| 1 member |", self.status(members=1))

    def test_the_current_room_stands_out(self) -> None:
        self.more()
        styles = {text: style for style, text in status(self.panes, 1, Link.DOWN, 120)}
        self.assertIn("class:current", styles["1:lobby"])
        self.assertIn("class:unread", styles["3:@bob(1!)"])
        self.assertNotIn("class:unread", styles["4:quiet"])
        self.assertIn("class:trouble", styles["offline, trying again"])

    def test_the_title_has_the_topic(self) -> None:
        self.assertEqual(title(self.lobby, "", 80), "lobby")
        self.assertEqual(title(self.lobby, "tea and cake", 80), "lobby: tea and cake")
        self.assertEqual(title(self.lobby, "tea and cake", 12), "lobby: tea..")
        self.assertEqual(title(self.panes.nowhere, "", 80), "no room")

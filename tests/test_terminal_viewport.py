"""A conversation seen through so many columns and rows: how entries are laid out, and how the view moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client import Message
from twisted_chat.client.program.columns import width
from twisted_chat.client.program.person import NO_ROOM
from twisted_chat.client.terminal import pane as pane_module
from twisted_chat.client.terminal import viewport as viewport_module
from twisted_chat.client.terminal.colours import colour
from twisted_chat.client.terminal.entry import Entry, Kind
from twisted_chat.client.terminal.hyperlinks import HyperlinkStyle
from twisted_chat.client.terminal.layout import MAX_LINES
from twisted_chat.client.terminal.pane import Pane
from twisted_chat.client.terminal.viewport import Viewport

from .client_fakes import fake_room

NOON = datetime(2026, 11, 22, 12, 0).astimezone()


def text_of(row: Any) -> str:
    return "".join(text for _, text in row)


class ViewportTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(pane_module, "now", lambda: NOON)
        self.pane = Pane(fake_room("lobby"), "alice")

    def add(self, text: str = "hi", author: str = "bob", kind: Kind = Kind.MESSAGE, **more: Any) -> Entry:
        entry = Entry(kind, text, more.pop("time", NOON), author, **more)
        self.pane.entries.append(entry)
        return entry

    def viewport(self, columns: int = 40, rows: int = 10) -> Viewport:
        return Viewport(self.pane, columns, rows)

    def shown(self, columns: int = 40, rows: int = 10) -> list[str]:
        return [text_of(row) for row in self.viewport(columns, rows).window()]


class RowTests(ViewportTestCase):
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
        self.pane.acked(entry, 1)
        self.assertTrue(self.shown()[-1].endswith(" alice: hello"))
        self.pane.refused(self.pane.say("no"))
        self.assertTrue(self.shown()[-1].endswith("xalice: no"))

    def test_lines_of_the_program_are_told_from_messages(self) -> None:
        self.add("bob left", kind=Kind.NOTICE)
        self.add("no such nick", kind=Kind.ERROR)
        self.assertEqual(self.shown()[-2:], ["12:00 * bob left", "12:00 ! no such nick"])

    def test_a_nick_has_its_colour(self) -> None:
        self.add()
        ((style, _),) = [fragment for fragment in self.viewport().window()[-1] if fragment[1] == "bob"]
        self.assertIn(colour("bob"), style)

    def test_few_columns_have_no_times(self) -> None:
        self.add("hello to you all out there")
        self.add("alice?", mention=True)
        self.assertEqual(self.shown(20)[-3:], ["bob: hello to you", "  all out there", "!bob: alice?"])

    def test_a_message_of_several_lines_has_a_bar_in_front_of_each_but_the_first(self) -> None:
        self.add("def f(x):\n    return x\n\nok")
        self.assertEqual(self.shown()[-4:], ["12:00 bob: def f(x):", "      |     return x", "      |", "      | ok"])
        self.assertEqual(self.shown(20)[-4:], ["bob: def f(x):", "|     return x", "|", "| ok"])

    def test_a_message_of_very_many_lines_does_not_bury_the_others(self) -> None:
        self.add("\n".join(map(str, range(8000))))
        shown = self.shown(rows=9000)
        self.assertEqual(len(shown), 2 + MAX_LINES + 1)
        self.assertEqual(shown[-2:], ["      | 499", "      | ... 7,500 more lines"])
        self.pane.entries.clear()
        self.add("\n".join(map(str, range(MAX_LINES))))
        self.assertEqual(self.shown()[-1], "      | 499")

    def test_no_text_can_look_like_the_message_of_somebody_else(self) -> None:
        fakes = "09:01 alice: yes", "alice: yes", "!alice: yes", "* alice left", "-- new --"
        blanks = " ", "\t", "\u00a0", "\u2003", "\u3000", "\u2800", "\u200b ", "\n", "\r\n", "\u2028", "\x0b"
        for columns in (20, 29, 30, 40, 80):
            for fake in fakes:
                for blank in blanks:
                    for count in (1, 4, 30, columns - 14, columns - 8, columns):
                        pane = Pane(fake_room("lobby"), "carol")
                        pane.hear(Message(msg=f"ok{blank * count}{fake}", author="bob", room="lobby", seq=1))
                        first, *others = [text_of(row) for row in Viewport(pane, columns, 20).window()][2:]
                        self.assertIn("bob: ok", first)
                        for row in others:
                            self.assertTrue(row.startswith(("  ", "|")), (columns, blank, count, row))

    def test_a_line_stands_above_what_is_new(self) -> None:
        self.add("old")
        self.pane.marker = self.add("new")
        self.add("newer")
        self.assertEqual(self.shown()[-4:], ["12:00 bob: old", "-- new --", "12:00 bob: new", "12:00 bob: newer"])
        self.pane.forget_marker()
        self.assertNotIn("-- new --", self.shown())

    def test_a_link_knows_its_address_in_each_row(self) -> None:
        link = "https://chat.example/a/long/path/that/goes/on"
        self.add(f"see {link}, or not")
        styles = [style for row in self.viewport().window() for style, _ in row if isinstance(style, HyperlinkStyle)]
        self.assertEqual([style.address for style in styles], [link, link])

    def test_nothing_is_wider_than_the_columns(self) -> None:
        self.add("你好, hello! " * 10, author="名" * 32)
        self.add("hello", kind=Kind.ERROR)
        for columns in (2, 3, 5, 10, 20, 29, 30, 31, 80):
            for row in self.shown(columns, 200):
                self.assertLessEqual(width(row), columns)
        self.assertGreater(len(self.shown(1)), 1)

    def test_rows_are_laid_out_once(self) -> None:
        self.add()
        first = self.viewport().window()[-1]
        self.assertIs(self.viewport().window()[-1], first)
        self.assertIsNot(self.viewport(50).window()[-1], first)


class WindowTests(ViewportTestCase):
    def setUp(self) -> None:
        super().setUp()
        for i in range(50):
            self.add(str(i))

    def numbers(self, rows: int = 10, columns: int = 40) -> list[int]:
        return [int(row.rpartition(" ")[2]) for row in self.shown(columns, rows) if "bob" in row]

    def test_the_newest_is_at_the_bottom(self) -> None:
        self.assertEqual(self.numbers(), list(range(40, 50)))
        self.assertEqual(Viewport(Pane(None, "alice"), 60, 5).window(), [[("class:note", NO_ROOM)]])

    def test_one_scrolls_up_and_down(self) -> None:
        viewport = self.viewport()
        viewport.scroll(-8)
        self.assertEqual(self.numbers(), list(range(32, 42)))
        self.add("50")
        self.assertEqual(self.numbers(), list(range(32, 42)), "what is read does not move")
        viewport.scroll(4)
        self.assertEqual(self.numbers(), list(range(36, 46)))
        viewport.scroll(100)
        self.assertIsNone(self.pane.bottom)
        self.assertEqual(self.numbers()[-1], 50)

    def test_one_does_not_scroll_beyond_the_beginning(self) -> None:
        viewport = self.viewport()
        viewport.scroll(-1000)
        self.assertEqual(self.shown()[:3], ["this is the beginning of lobby", "-- 2026-11-22 --", "12:00 bob: 0"])
        self.assertEqual(self.numbers(), list(range(8)))
        viewport.scroll(-1)
        self.assertEqual(self.numbers(), list(range(8)))

    def test_what_fits_is_not_scrolled(self) -> None:
        self.viewport(rows=100).scroll(-10)
        self.assertIsNone(self.pane.bottom)
        self.pane.entries.clear()
        self.viewport().scroll(-10)
        self.assertIsNone(self.pane.bottom)
        self.assertEqual(self.shown(), ["this is the beginning of lobby"])

    def test_older_messages_that_are_loaded_do_not_move_what_is_read(self) -> None:
        self.viewport().scroll(-1000)
        self.pane.entries[:0] = [Entry(Kind.MESSAGE, f"-{i}", NOON, "bob") for i in range(3)]
        self.assertEqual(self.numbers(), [-1, -2, *range(8)])

    def test_a_terminal_that_is_resized_shows_the_same_place(self) -> None:
        self.pane.entries[20].text = "a long text of many words that are 20"
        self.viewport().scroll(-30)
        self.assertEqual(self.shown()[-1], "12:00 bob: a long text of many words")
        self.viewport().scroll(1)
        self.assertEqual(self.shown()[-1], "      that are 20")
        self.assertEqual(self.shown(20)[-1], "  many words that")
        self.assertEqual(self.shown(80)[-1], "12:00 bob: a long text of many words that are 20")

    def test_a_place_that_is_gone_is_the_newest(self) -> None:
        self.pane.bottom = Entry(Kind.MESSAGE, "", NOON), 0
        self.assertEqual(self.numbers()[-1], 49)

    def test_older_messages_are_asked_for_in_time(self) -> None:
        self.pane.whole = False
        self.assertFalse(self.viewport().wants_older())
        self.viewport().scroll(-25)
        self.assertFalse(self.viewport().wants_older())
        self.viewport().scroll(-10)
        self.assertTrue(self.viewport().wants_older())
        self.assertTrue(self.viewport(rows=60).wants_older())
        self.pane.loading = True
        self.assertFalse(self.viewport().wants_older())
        self.pane.loading, self.pane.whole = False, True
        self.assertFalse(self.viewport().wants_older())
        self.pane.whole = False
        self.patch(viewport_module, "KEPT", 50)
        self.assertFalse(self.viewport().wants_older())

    def test_the_top_says_what_is_above(self) -> None:
        self.pane.whole = False
        self.viewport().scroll(-1000)
        self.assertEqual(self.shown()[0], "older messages are in the history")
        self.pane.loading = True
        self.assertEqual(self.shown()[0], "older messages are on their way ...")

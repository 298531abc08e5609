"""Tables for any terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from twisted_chat.commands.table import cut, table, width_of

HEADS = ("room", "messages", "newest")
ROWS = [("lobby", "1,234", "now"), ("愛麗絲的房間", "5", "-"), ("a-room-with-a-very-long-name", "1,000,000", "never")]


class Widths(TestCase):
    def test_wide_characters_take_two_columns_and_marks_none(self) -> None:
        for text, width in (("lobby", 5), ("愛麗絲", 6), ("ﾊﾝ", 2), ("e\u0301", 1), ("क्षि", 2), ("кухня", 5)):
            self.assertEqual(width_of(text), width, text)

    def test_a_cut_name_ends_in_an_ellipsis_and_fits(self) -> None:
        self.assertEqual(cut("lobby", 5), "lobby")
        self.assertEqual(cut("lobby", 4), "lob…")
        self.assertEqual(cut("愛麗絲", 4), "愛…")
        self.assertEqual(cut("愛麗絲", 5), "愛麗…")

    @given(st.text(max_size=20), st.integers(1, 20))
    def test_any_name_fits_in_any_width(self, text: str, width: int) -> None:
        self.assertLessEqual(width_of(cut(text, width)), max(width, 1))


class Lines(TestCase):
    def test_columns_stand_under_each_other(self) -> None:
        self.assertEqual(
            table(HEADS, ROWS),
            [
                "room                           messages  newest",
                "lobby                             1,234     now",
                "愛麗絲的房間                          5       -",
                "a-room-with-a-very-long-name  1,000,000   never",
            ],
        )

    def test_on_a_narrow_terminal_the_name_is_cut_first(self) -> None:
        for line in table(HEADS, ROWS, 30):
            self.assertLessEqual(width_of(line), 30)
            self.assertEqual(len(line.split()), 3)

    def test_at_twenty_columns_the_last_columns_are_left_out(self) -> None:
        self.assertEqual(
            table(HEADS, ROWS, 20),
            ["room        messages", "lobby          1,234", "愛麗絲的…          5", "a-room-w…  1,000,000"],
        )

    def test_at_ten_the_names_are_left(self) -> None:
        self.assertEqual(table(HEADS, ROWS, 10), ["room", "lobby", "愛麗絲的…", "a-room-wi…"])

    def test_no_rows(self) -> None:
        self.assertEqual(table(HEADS, []), ["room  messages  newest"])

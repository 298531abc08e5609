"""Text from others: what it cannot do, and what it can."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.clean import MAX_BLANKS, MAX_INDENT, MAX_MARKS, clean, clean_lines

FAMILY = "👩‍❤️‍👨"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


class CleanTests(SynchronousTestCase):
    def assert_kept(self, *texts: str) -> None:
        for text in texts:
            self.assertEqual(clean(text), text)

    def test_plain_text_stays(self) -> None:
        self.assert_kept("", "hello, world!", "Привет", "你好", "שלום", "Zoë", "10 °C", "a\u00a0b")

    def test_control_characters_are_removed(self) -> None:
        self.assertEqual(clean("\x1b]0;title\x07\x1b[2Jhi\x9b1m\x7f\x08"), "]0;title[2Jhi1m")

    def test_nothing_changes_the_direction_of_writing(self) -> None:
        for character in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069":
            self.assertEqual(clean(f"a{character}b"), "ab")

    def test_invisible_characters_are_removed(self) -> None:
        hidden = "\u00ad\u034f\u115f\u1160\u17b4\u180e\u200b\u2060\u2061\u2064\u206a\u2800\u3164\ufeff\uffa0\ufff9"
        for character in (
            hidden + "\U000e0001\U000e0041\U000e0100\ufe00\U0001d173\U0001d159\u2065\ufff0\U000e0fff\U00016fe4"
        ):
            self.assertEqual(clean(f"я{character}я"), "яя", hex(ord(character)))

    def test_line_ends_become_what_is_asked_for_and_tabs_become_blanks(self) -> None:
        self.assertEqual(clean("a\nb\r\nc\rd\u2028e\x0bf\tg"), "a b c d e f g")
        self.assertEqual(clean("a\nb\n", "\n  "), "a\n  b\n  ")

    def test_emoji_stay_whole(self) -> None:
        self.assert_kept("👋🏽", FAMILY, "🏳️‍🌈", "☕️", "☎︎", "1️⃣", SCOTLAND, SCOTLAND + "!", "🇫🇮")

    def test_joiners_stay_where_writing_needs_them(self) -> None:
        self.assert_kept("می‌خواهم", "क्‍ष", "ශ්‍රී")

    def test_joiners_are_removed_where_they_hide(self) -> None:
        self.assertEqual(clean("ad\u200dmin \u200d x"), "admin  x")
        self.assertEqual(clean("\u200dя\u200d\u200dя\u200d"), "яя")

    def test_variation_selectors_stay_only_after_a_visible_character(self) -> None:
        self.assertEqual(clean("\ufe0fa \ufe0f☕\ufe0f\ufe0f\ufe0f"), "a ☕\ufe0f")

    def test_tags_stay_only_in_flags(self) -> None:
        self.assertEqual(clean("a\U000e0067\U000e0062\U000e007f"), "a")
        self.assertEqual(clean(SCOTLAND[:-1]), "\U0001f3f4")

    def test_piles_of_marks_do_not_grow_into_other_lines(self) -> None:
        self.assertEqual(clean("e" + "\u0301" * 100 + "f"), "e" + "\u0301" * MAX_MARKS + "f")

    def test_visible_format_characters_stay(self) -> None:
        self.assert_kept("\u0600١٢")

    def test_a_run_of_blanks_cannot_push_what_follows_into_another_row(self) -> None:
        wide = (
            " ",
            "\u00a0",
            "\u2003",
            "\u3000",
            "\t",
            " \u200b",
            "\u2800 ",
            "\u3164 ",
            "\U000e0fff ",
            " \u0301",
            "\u3000\u20dd",
            "\n",
        )
        for blank in wide:
            shown = clean(f"ok{blank * 70}09:01 alice: yes")
            self.assertEqual(shown, f"ok{' ' * MAX_BLANKS}09:01 alice: yes", repr(blank))
            self.assertEqual(clean(f"{blank * 70}x"), f"{' ' * MAX_BLANKS}x", repr(blank))
        self.assert_kept(f"a{' ' * MAX_BLANKS}b", "a\u3000b")

    def test_nothing_invisible_divides_a_pile_of_marks(self) -> None:
        for mark in ("\u0301", "\u064b"):
            for invisible in ("\0", "\u200b", "\u200d", "\u200c", "\ufe0f"):
                shown = clean("ש" + (mark * MAX_MARKS + invisible) * 9)
                self.assertLessEqual(shown.count(mark), MAX_MARKS, ascii(shown))

    def test_a_mark_at_the_beginning_of_a_line_is_on_a_blank_too(self) -> None:
        self.assertEqual(clean("a" + "\n\u0301" * 60 + "b"), "a" + " " * MAX_BLANKS + "b")
        self.assertEqual(clean("\u0301a"), "a")

    @given(st.text())
    def test_any_text_becomes_one_line_that_can_be_shown(self, text: str) -> None:
        shown = clean(text)
        self.assertEqual(len(shown.splitlines()), 1 if shown else 0)
        self.assertFalse({"Cc", "Cs"} & {unicodedata.category(character) for character in shown})
        self.assertEqual(clean(shown), shown)


class CleanLinesTests(SynchronousTestCase):
    def test_lines_stay_lines_with_their_indentation(self) -> None:
        self.assertEqual(
            clean_lines("def f(x):\n\treturn x\r\n\n    y = 1 \n"), ["def f(x):", "    return x", "", "    y = 1"]
        )
        self.assertEqual(clean_lines("hi"), ["hi"])

    def test_each_line_is_cleaned(self) -> None:
        self.assertEqual(clean_lines("a\x1b[2J\u2028\u202eb"), ["a[2J", "b"])

    def test_blank_lines_do_not_fill_the_screen(self) -> None:
        self.assertEqual(clean_lines("\n \n\u200b\na\n\n\u3000\n\nb\n\n"), ["a", "", "b"])
        for text in ("", "\n", " \n\t\n"):
            self.assertEqual(clean_lines(text), [""])

    def test_blanks_are_bounded_within_a_line_and_before_it(self) -> None:
        self.assertEqual(clean_lines(f"a\n{' ' * 70}b{' ' * 70}c"), ["a", f"{' ' * MAX_INDENT}b{' ' * MAX_BLANKS}c"])
        self.assertEqual(clean_lines(f"a\n{' ' * 12}b"), ["a", f"{' ' * 12}b"])

    @given(st.text())
    def test_no_line_of_any_text_has_a_line_end_or_a_control_character(self, text: str) -> None:
        for line in clean_lines(text):
            self.assertLessEqual(len(line.splitlines()), 1)
            self.assertFalse({"Cc", "Cs"} & {unicodedata.category(character) for character in line})

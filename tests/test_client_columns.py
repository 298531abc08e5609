"""The columns that a text takes on a terminal, and its rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.clean import clean
from twisted_chat.client.program.columns import cut, graphemes, steady, width, wrap


class SteadyTests(SynchronousTestCase):
    def test_what_terminals_agree_on_stays(self) -> None:
        for text in ("hi", "Привет", "你好", "é", "e\u0301", "👋", "שלום", "می\u200cخواهم", "क्\u200dष"):
            self.assertEqual(steady(text), text)

    def test_what_they_do_not_agree_on_is_shown_as_its_parts(self) -> None:
        for text, shown in (
            ("👩\u200d❤\ufe0f\u200d👨", "👩❤👨"),
            ("👋🏽", "👋"),
            ("☕\ufe0f", "☕"),
            ("1\ufe0f\u20e3", "1\u20e3"),
            ("🇫🇮", "FI"),
            ("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4"),
            ("🏳\ufe0f\u200d🌈", "🏳🌈"),
            ("\u200dя", "я"),
        ):
            self.assertEqual(steady(text), shown)

    def test_a_tone_on_nothing_is_seen(self) -> None:
        self.assertEqual(steady("🏽"), "🏽")

    @given(st.text())
    def test_it_is_steady_once(self, text: str) -> None:
        self.assertEqual(steady(steady(text)), steady(text))


class WidthTests(SynchronousTestCase):
    def test_wide_characters_take_two_columns_and_marks_none(self) -> None:
        for text, columns in (("", 0), ("abc", 3), ("Привет", 6), ("你好", 4), ("👋", 2), ("e\u0301", 1)):
            self.assertEqual(width(text), columns, text)

    def test_what_is_too_wide_is_cut(self) -> None:
        for text, columns, shown in (
            ("hello", 5, "hello"),
            ("hello", 4, "he.."),
            ("你好你好", 7, "你好.."),
            ("你好你好", 5, "你.."),
            ("hello", 1, "."),
            ("hello", 0, ""),
        ):
            self.assertEqual(cut(text, columns), shown)

    def test_what_a_person_takes_for_one_character_is_one(self) -> None:
        self.assertEqual(list(graphemes("a👩\u200d❤\ufe0f\u200d👨🇫🇮é")), ["a", "👩\u200d❤\ufe0f\u200d👨", "🇫🇮", "é"])


def texts(fragments: list[tuple[str, str]], columns: int, indent: int = 0) -> list[str]:
    return ["".join(text for _, text in row) for row in wrap(fragments, columns, indent)]


class WrapTests(SynchronousTestCase):
    def test_rows_break_at_spaces(self) -> None:
        self.assertEqual(texts([("", "one two three")], 7), ["one two", "three"])
        self.assertEqual(texts([("", "one two three")], 8), ["one two", "three"])
        self.assertEqual(texts([("", "one two three")], 9), ["one two", "three"])

    def test_rows_after_the_first_are_indented(self) -> None:
        self.assertEqual(texts([("", "one two three")], 7, 2), ["one two", "  three"])

    def test_a_long_word_is_broken_where_it_has_to_be(self) -> None:
        self.assertEqual(texts([("", "a abcdefghij")], 4, 1), ["a", " abc", " def", " ghi", " j"])

    def test_wide_characters_break_anywhere_and_are_whole(self) -> None:
        self.assertEqual(texts([("", "你好你好")], 5), ["你好", "你好"])

    def test_marks_stay_with_their_letters(self) -> None:
        self.assertEqual(texts([("", "e\u0301e\u0301e\u0301")], 2), ["e\u0301e\u0301", "e\u0301"])

    def test_styles_go_on_in_the_next_row(self) -> None:
        rows = wrap([("a", "one "), ("b", "two three")], 7, 1)
        self.assertEqual(rows, [[("a", "one "), ("b", "two")], [("", " "), ("b", "three")]])

    def test_nothing_is_one_row(self) -> None:
        self.assertEqual(texts([("", "")], 7), [""])

    @given(st.text(), st.integers(2, 40))
    def test_every_row_fits_and_nothing_but_spaces_is_lost(self, text: str, columns: int) -> None:
        shown = steady(clean(text))
        rows = texts([("", shown)], columns, min(6, columns - 2))
        self.assertLessEqual(max(map(width, rows)), columns)
        self.assertEqual("".join(rows).replace(" ", ""), shown.replace(" ", ""))

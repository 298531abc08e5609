"""Pasted texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.terminal.paste import LONG, MANY_LINES, Question, messages, typable
from twisted_chat.messages import MAX_OBJECT, Say, encode


class TypableTests(SynchronousTestCase):
    def test_lines_stay_lines_and_code_keeps_its_shape(self) -> None:
        self.assertEqual(
            typable("\r\n\ndef f(x):\r\n\treturn x\r\n\n  # 40 spaces" + " " * 40 + "x\n\n"),
            "def f(x):\n    return x\n\n  # 40 spaces" + " " * 40 + "x",
        )

    def test_what_a_terminal_would_obey_is_left_out(self) -> None:
        self.assertEqual(typable("a\x1b[2J\x07\x9bb\ud800"), "a[2Jb")
        self.assertEqual(typable("\n \n"), "")


class QuestionTests(SynchronousTestCase):
    def test_it_is_asked_about_many_lines_and_about_a_long_text(self) -> None:
        for text, asks in (
            ("\n".join("x" * MANY_LINES), False),
            ("\n".join("x" * (MANY_LINES + 1)), True),
            ("x" * LONG, False),
            ("x" * (LONG + 1), True),
        ):
            self.assertEqual(Question.is_needed(text), asks)


class MessagesTests(SynchronousTestCase):
    def test_what_fits_is_one_message(self) -> None:
        self.assertEqual(list(messages("a\n\nb", MAX_OBJECT)), ["a\n\nb"])

    def test_what_does_not_fit_is_divided_between_lines(self) -> None:
        self.assertEqual(list(messages("1234567\n\n123\n1234567890", 400 + 16)), ["1234567\n\n123", "1234567890"])
        self.assertEqual(list(messages(" \n" + "x" * 50, 400 + 16)), ["x" * 50], "an empty line is no message")

    @given(
        st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=40), max_size=40)
    )
    def test_every_message_fits_and_no_line_is_lost(self, lines: list[str]) -> None:
        text = "\n".join(lines)
        parts = list(messages(text, 400 + 400))
        for part in parts:
            self.assertLessEqual(len(encode(Say(msg=part, room="ж" * 64, id="i" * 64))), 400 + 400)
        kept = [line for part in parts for line in part.split("\n") if line.strip()]
        self.assertEqual(kept, [line for line in lines if line.strip()])

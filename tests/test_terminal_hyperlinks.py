"""Links in what is said, and how a terminal is told of them."""

from __future__ import annotations

import io
import os
from typing import Any

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import DEFAULT_ATTRS
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.terminal.hyperlinks import CLOSE, HyperlinkStyle, find_hyperlinks
from twisted_chat.client.terminal.output import TerminalOutput


class FindTests(SynchronousTestCase):
    def test_a_text_is_divided_at_its_links(self) -> None:
        for text, links in (
            ("", []),
            ("no link, http:// neither", []),
            ("see https://a.example/x?y=1#z now", ["https://a.example/x?y=1#z"]),
            ("HTTP://A.example, and http://b.example.", ["HTTP://A.example", "http://b.example"]),
            ("https:// and https://.", []),
            ("see https://a.example/x" + ".)]" * 9, ["https://a.example/x"]),
            ("(https://a.example/x)", ["https://a.example/x"]),
            ("https://a.example/x_(y)", ["https://a.example/x_(y)"]),
            ("<https://a.example/>", ["https://a.example/"]),
            ("https://пример.example/ё!", ["https://пример.example/ё"]),
            ("javascript:alert(1) file:///etc/passwd", []),
        ):
            parts = list(find_hyperlinks(text))
            self.assertEqual("".join(part for part, _ in parts), text)
            self.assertEqual([part for part, is_link in parts if is_link], links)


class StyleTests(SynchronousTestCase):
    def test_a_style_knows_the_address_in_a_form_that_ends_nothing(self) -> None:
        style = HyperlinkStyle.of("class:message", "https://a.example/ё;\x1b\\")
        self.assertRegex(style.open, r"\A\x1b\]8;id=[0-9a-f]{8};https://a\.example/%D1%91;%1B%5C\x1b\\\Z")

    def test_links_that_differ_have_styles_that_differ(self) -> None:
        one, other = (HyperlinkStyle.of("class:message", f"https://a.example/{i}") for i in "12")
        self.assertNotEqual(one, other)
        self.assertEqual(one, HyperlinkStyle.of("class:message", "https://a.example/1"))


class Screen(io.StringIO):
    """A terminal that is written to."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


class OutputTests(SynchronousTestCase):
    def output(self, term: str) -> tuple[TerminalOutput, Screen]:
        self.patch(os, "environ", {**os.environ, "TERM": term})
        screen = Screen()
        return TerminalOutput.open(screen), screen

    def written(self, term: str, write: Any) -> str:
        output, screen = self.output(term)
        write(output)
        output.flush()
        return screen.getvalue()

    def test_a_link_ends_where_the_style_does(self) -> None:
        style = HyperlinkStyle.of("", "https://a.example/")

        def write(output: TerminalOutput) -> None:
            output.write_raw(style.open)
            output.set_attributes(DEFAULT_ATTRS._replace(underline=True), ColorDepth.DEPTH_1_BIT)
            output.write("link")
            output.set_attributes(DEFAULT_ATTRS, ColorDepth.DEPTH_1_BIT)
            output.write("text")
            output.reset_attributes()

        self.assertEqual(self.written("xterm", write), f"{style.open}\x1b[0;4mlink{CLOSE}\x1b[0mtext\x1b[0m")

    def test_a_terminal_that_knows_no_links_is_not_told_of_them(self) -> None:
        self.assertEqual([self.output(term)[0].hyperlinks for term in ("xterm-256color", "linux")], [True, False])

    def test_the_mouse_tells_of_buttons_and_the_wheel_and_not_of_each_move(self) -> None:
        written = self.written("xterm", lambda output: (output.enable_mouse_support(), output.disable_mouse_support()))
        self.assertEqual(written, "\x1b[?1000h\x1b[?1006h\x1b[?1000l\x1b[?1006l")

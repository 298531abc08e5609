"""The completions of Tab."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.commands import COMMANDS
from twisted_chat.client.terminal.completing import Known, endings, word_before

KNOWN = Known(list(COMMANDS.values()), ["bob", "Барт", "alice"], ["lobby", "кухня"])


class CompletingTests(SynchronousTestCase):
    def ends(self, text: str) -> list[str]:
        """Complete a text; gives the texts that there may be then."""
        start = text[: len(text) - len(word_before(text))]
        return [start + ending.text for ending in endings(text, KNOWN)]

    def test_nicks(self) -> None:
        self.assertEqual(self.ends("b"), ["bob: "])
        self.assertEqual(self.ends("БА"), ["Барт: "])
        self.assertEqual(self.ends("ask al"), ["ask alice "])
        self.assertEqual(self.ends(""), ["bob: ", "Барт: ", "alice: "])
        self.assertEqual(self.ends("x"), [])
        self.assertEqual(self.ends("one\nal"), ["one\nalice "])
        self.assertEqual([self.ends("@b"), self.ends("/msg @b")], [["@bob: "], ["/msg @bob "]])

    def test_commands_with_what_they_do(self) -> None:
        self.assertEqual(self.ends("/j"), ["/join "])
        self.assertEqual(self.ends("/ro"), ["/rooms"])
        self.assertEqual(len(self.ends("/")), len(COMMANDS))
        (ending,) = endings("/ms", KNOWN)
        self.assertEqual((ending.shown, ending.help), ("/msg NICK [TEXT]", COMMANDS["msg"].help))

    def test_what_a_command_takes(self) -> None:
        self.assertEqual(self.ends("/join к"), ["/join кухня "])
        self.assertEqual(self.ends("/LEAVE "), ["/LEAVE lobby ", "/LEAVE кухня "])
        self.assertEqual(self.ends("/msg b"), ["/msg bob "])
        self.assertEqual(self.ends("/msg bob ask al"), ["/msg bob ask alice "])
        self.assertEqual(self.ends("/topic of b"), ["/topic of bob "])
        self.assertEqual(self.ends("/help hi"), ["/help history"])

    def test_options_come_before_what_a_command_takes(self) -> None:
        for options in ("", "-s ", "-t 1h ", "-s -t 1h "):
            self.assertEqual(self.ends(f"/ban {options}b"), [f"/ban {options}bob "])
        self.assertEqual(self.ends("/ban -t "), [])
        self.assertEqual(self.ends("/grant bob m"), ["/grant bob moderator ", "/grant bob member "])
        self.assertEqual(self.ends("/op bob ow"), ["/op bob owner "])

    def test_nothing_more_is_nothing(self) -> None:
        for text in ("/join lobby ", "/history 1", "/quit ", "/what "):
            self.assertEqual(self.ends(text), [])

    def test_a_text_that_begins_with_a_slash_is_a_text(self) -> None:
        self.assertEqual(self.ends("//path of b"), ["//path of bob "])

"""The patterns of nicks that the one who runs the server forbids."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import formatEvent, globalLogPublisher
from twisted.test.proto_helpers import EventLoggingObserver
from twisted.trial.unittest import TestCase

from twisted_chat import names
from twisted_chat.forbidden_nicks import FORM, ForbiddenNicks, explain

from .programs import folder


class ForbiddenNickTests(TestCase):
    path: Path

    def setUp(self) -> None:
        self.path = folder(self) / "nicks"
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)

    def forbid(self, *patterns: str) -> ForbiddenNicks:
        self.path.write_text("\n".join(patterns), "utf-8")
        return ForbiddenNicks(str(self.path))

    def forbidden(self, patterns: str, nicks: str) -> list[str]:
        """Return those of some nicks that some patterns forbid."""
        found = self.forbid(*patterns.split())
        return [nick for nick in nicks.split() if names.nick(nick) in found]

    def logged(self) -> list[str]:
        return [formatEvent(event) for event in self.events]

    def test_without_a_file_nothing_is_forbidden(self) -> None:
        nothing = ForbiddenNicks()
        nothing.reload()
        self.assertNotIn(names.nick("alice"), nothing)
        self.assertEqual(self.logged(), [])

    def test_an_empty_file_forbids_nothing(self) -> None:
        self.assertEqual(self.forbidden("", "alice"), [])

    def test_a_nick_without_wildcards(self) -> None:
        self.assertEqual(self.forbidden("bob a.b", "bob bobby rob a.b axb"), ["bob", "a.b"])

    def test_any_characters_and_one(self) -> None:
        self.assertEqual(self.forbidden("*admin*", "admin the-admin-1 adm1n admi"), ["admin", "the-admin-1"])
        self.assertEqual(self.forbidden("bot?", "bot bot1 bot12 robot1"), ["bot1"])
        self.assertEqual(self.forbidden("a*b*c", "abc axbxc acb ab"), ["abc", "axbxc"])
        self.assertEqual(self.forbidden("*", "alice я"), ["alice", "я"])

    def test_case_and_width_do_not_count(self) -> None:
        self.assertEqual(self.forbidden("Root ｏｐ* БОБ", "ROOT root Op1 бОб bоb"), ["ROOT", "root", "Op1", "бОб"])

    def test_what_looks_alike_is_forbidden_too(self) -> None:
        self.assertEqual(self.forbidden("*admin*", "аdmin ADМIN-1 аdmіn"), ["аdmin", "ADМIN-1", "аdmіn"])
        self.assertEqual(self.forbidden("сор*", "cop1 сор1 соp"), ["cop1", "сор1", "соp"])

    def test_right_to_left(self) -> None:
        self.assertEqual(self.forbidden("מנהל*", "מנהל מנהלת המנהל"), ["מנהל", "מנהלת"])
        self.assertEqual(self.forbidden("*מנהל", "מנהל מנהלת המנהל"), ["מנהל", "המנהל"])

    def test_blank_lines_and_comments_are_passed_over(self) -> None:
        self.path.write_bytes(b"\xef\xbb\xbf# Staff\r\n\r\n  *mod*  \r\n #al*\n")
        found = ForbiddenNicks(str(self.path))
        self.assertIn(names.nick("mod-1"), found)
        self.assertNotIn(names.nick("alice"), found)

    def test_many_wildcards_take_no_time(self) -> None:
        """Where each one were tried at each place, this would take minutes."""
        self.assertEqual(self.forbidden("*a" * 15 + "*b", "a" * 32), [])

    def test_a_line_that_matches_no_nick_is_reported(self) -> None:
        for pattern in ("admin[0-9]", "^a+$", "a b", "(a|b)"):
            error = self.assertRaises(ValueError, self.forbid, "bob", "", pattern)
            self.assertEqual(str(error), f"line 3: {pattern!r} matches no nick: {FORM}")
            self.assertEqual(explain("nicks", error), f"nicks, {error}")

    def test_a_file_that_cannot_be_read_is_reported(self) -> None:
        error = self.assertRaises(OSError, ForbiddenNicks, str(self.path))
        self.assertEqual(explain("nicks", error), "nicks cannot be read: No such file or directory")
        self.path.write_bytes(b"\xff\n")
        wrong = self.assertRaises(ValueError, ForbiddenNicks, str(self.path))
        self.assertEqual(explain("nicks", wrong), "nicks: it is not UTF-8")

    def test_it_can_be_read_again(self) -> None:
        found = self.forbid("al*")
        self.path.write_text("bob\n")
        found.reload()
        self.assertEqual([names.nick(nick) in found for nick in ("alice", "bob")], [False, True])
        self.assertEqual(self.logged(), [f"the forbidden nicks were read again from {self.path}"])

    def test_what_was_read_stays_if_it_cannot_be_read_again(self) -> None:
        found = self.forbid("al*")
        self.path.write_text("bob\n[a]\n")
        found.reload()
        self.path.unlink()
        found.reload()
        self.assertEqual([names.nick(nick) in found for nick in ("alice", "bob")], [True, False])
        self.assertEqual(
            self.logged(),
            [
                f"{self.path}, line 2: '[a]' matches no nick: {FORM}; the forbidden nicks stay as they were",
                f"{self.path} cannot be read: No such file or directory; the forbidden nicks stay as they were",
            ],
        )

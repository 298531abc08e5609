"""A nick in a text."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.terminal.mentions import mentions


class MentionTests(SynchronousTestCase):
    def test_a_nick_is_found_as_a_word(self) -> None:
        for text in ("alice", "ALICE: hi", "hi @alice!", "hi, alice.", "(alice)", "привет alice"):
            self.assertTrue(mentions(text, "Alice"), text)
        self.assertTrue(mentions("Эй, ЮРА", "юра"))

    def test_a_part_of_a_word_or_of_another_nick_is_none(self) -> None:
        for text in ("", "malice", "alices", "alice-bob", "al-alice", "alice.x", "alice_", "x.alice"):
            self.assertFalse(mentions(text, "alice"), text)

    def test_a_nick_is_no_pattern(self) -> None:
        self.assertFalse(mentions("axc", "a.c"))

"""The file of tokens with which a user stays logged in."""

from __future__ import annotations

import stat
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program import tokens as tokens_module
from twisted_chat.client.program.options import Options
from twisted_chat.client.program.tokens import Tokens, default_path

from .programs import folder

OPTIONS = Options("chat.example", 14943, "alice", ("lobby",), False, transport="tls")


class TokensTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = folder(self) / "folder" / "tokens.json"
        self.tokens = Tokens(self.path, OPTIONS)

    def test_a_token_is_that_of_a_nick_on_a_server(self) -> None:
        self.tokens.set("Alice", "tc_1")
        self.tokens.set("Юра", "tc_2")
        self.assertEqual([self.tokens.get(nick) for nick in ("ALICE", "юра", "bob")], ["tc_1", "tc_2", None])
        self.tokens.set("alice", None)
        self.assertEqual([self.tokens.get(nick) for nick in ("alice", "Юра")], [None, "tc_2"])

    def test_a_token_that_was_made_over_tls_is_never_sent_otherwise(self) -> None:
        self.tokens.set("alice", "tc_1")
        for change in ({"transport": "tcp"}, {"transport": "udp"}, {"host": "chat.invalid"}, {"port": 14900}):
            self.assertIsNone(Tokens(self.path, replace(OPTIONS, **change)).get("alice"))

    def test_nobody_else_can_read_the_file(self) -> None:
        self.tokens.set("alice", "tc_1")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)

    def test_a_file_that_others_can_read_is_neither_used_nor_changed(self) -> None:
        self.tokens.set("alice", "tc_1")
        self.path.chmod(0o604)
        self.assertIsNone(self.tokens.get("alice"))
        self.assertEqual(self.tokens.problem, f"{self.path} can be read by others: run chmod 600 on it, or remove it")
        self.tokens.set("alice", "tc_2")
        self.path.chmod(0o600)
        self.assertEqual((self.tokens.get("alice"), self.tokens.problem), ("tc_1", ""))

    def test_a_damaged_file_is_told_of(self) -> None:
        self.path.parent.mkdir()
        for content in (b"[]", b"{", b'{"a": 1}', b"\xff"):
            self.path.write_bytes(content)
            self.path.chmod(0o600)
            self.assertIsNone(self.tokens.get("alice"))
            self.assertEqual(self.tokens.problem, f"{self.path} is damaged: remove it")

    def test_without_a_path_nothing_is_remembered(self) -> None:
        self.tokens = Tokens(None, OPTIONS)
        self.tokens.set("alice", "tc_1")
        self.assertIsNone(self.tokens.get("alice"))

    def test_the_file_is_in_the_folder_of_the_configuration(self) -> None:
        self.assertEqual((default_path().parent.name, default_path().name), ("twisted_chat", tokens_module.FILE))

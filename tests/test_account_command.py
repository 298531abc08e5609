"""Accounts, as the person who runs the server sees and changes them."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest import mock

from argon2 import PasswordHasher

from twisted_chat.commands import accounts
from twisted_chat.commands.accounts import ACCOUNT, run
from twisted_chat.names import nick, skeleton
from twisted_chat.registry import Action, StoredAccount
from twisted_chat.rules import Change, Role, Rule
from twisted_chat.stores.sqlite.file import CHECK_SECONDS

from .commands import CommandTestCase, Outcome
from .registry_contract import WHOLE, account, action, token

NEW = "correct horse battery"


class AccountCommandTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock.running = False
        self.registry = self.open_sqlite_registry()
        for one in (account("Alice", created=60_000), account("bob", state="pending"), account("Ёж")):
            self.successResultOf(self.registry.add(one))
        self.successResultOf(self.registry.add_token(token(b"1"), 9))
        self.ended: list[str] = []
        self.registry.follow(self.ended.append)

    def act(self, act: str, *arguments: str, given: bytes = b"") -> Outcome:
        return self.run_command("account", act, "--database", self.path, *arguments, given=given)

    def stored(self, key: str) -> StoredAccount:
        stored = self.successResultOf(self.registry.find(key))
        assert stored
        return stored

    def states(self) -> list[str]:
        return [one.state for one in self.successResultOf(self.registry.accounts("", 9))]

    def done(self) -> list[Action]:
        return self.successResultOf(self.registry.actions(None, WHOLE, 9))

    def who_ended(self) -> list[str]:
        """List the accounts whose sessions the running server ends."""
        self.clock.advance(CHECK_SECONDS)
        return self.ended

    def test_all_accounts_are_listed(self) -> None:
        outcome = self.act("list")
        self.assertEqual((outcome.status, outcome.errors), (0, ""))
        self.assertEqual(
            outcome.output.splitlines(),
            [
                "nick     state  registered (UTC)  tokens",
                "Alice   active  1970-01-01 00:01       1",
                "bob    pending  1970-01-01 00:00       0",
                "Ёж      active  1970-01-01 00:00       0",
            ],
        )

    def test_those_of_one_state_are_listed_in_pages(self) -> None:
        self.patch(accounts, "PAGE", 1)
        self.assertEqual(
            [line[:5].strip() for line in self.act("list").output.splitlines()[1:]], ["Alice", "bob", "Ёж"]
        )
        pending = self.act("list", "--state", "pending").output
        self.assertEqual([line.split()[0] for line in pending.splitlines()[1:]], ["bob"])

    def test_an_account_is_made(self) -> None:
        with mock.patch("time.time", return_value=7.5):
            outcome = self.act("add", "Carol", given=f"{NEW}\n".encode())
        self.assertEqual(outcome, (0, "Carol has an account\n", ""))
        stored = self.stored("carol")
        self.assertEqual((stored.name.shown, stored.state, stored.created), ("Carol", "active", 7_500))
        self.assertEqual(self.successResultOf(self.registry.find_alike(skeleton("Carol"))), nick("Carol"))
        self.assertTrue(PasswordHasher().verify(stored.password, NEW))
        self.assertEqual([(done.kind, done.target) for done in self.done()], [("add", "Carol")])

    def test_no_account_is_made_that_another_one_looks_like(self) -> None:
        outcome = self.act("add", "bob", given=f"{NEW}\n".encode())
        why = "twisted-chat: the nick bob is that of another account, or looks like it: choose another one\n"
        self.assertEqual(outcome, (1, "", why))
        for name in "server", "self", "ѕerver":
            outcome = self.act("add", name, given=f"{NEW}\n".encode())
            why = f"twisted-chat: the nick {name} is reserved for the server: choose another one\n"
            self.assertEqual(outcome, (1, "", why))
        outcome = self.act("add", "49474", given=f"{NEW}\n".encode())
        why = "twisted-chat: 49474 is what a client without a hello is called: choose another one\n"
        self.assertEqual(outcome, (1, "", why))
        self.assertIn("a nick has at least one letter or digit", self.act("add", "...", given=NEW.encode()).errors)
        self.assertEqual((len(self.states()), self.done()), (3, []))

    def test_accounts_are_let_in(self) -> None:
        outcome = self.act("approve", "BOB", "alice")
        self.assertEqual(outcome, (0, "bob is let in\nAlice is let in\n", ""))
        self.assertEqual(self.states(), ["active"] * 3)
        self.assertEqual(self.who_ended(), [])

    def test_accounts_are_shut_out_and_their_sessions_end(self) -> None:
        outcome = self.act("suspend", "alice", "ёж", "--reason", "spam")
        self.assertEqual(outcome, (0, "Alice is suspended\nЁж is suspended\n", ""))
        self.assertEqual(self.states(), ["suspended", "pending", "suspended"])
        self.assertEqual(self.who_ended(), ["alice", "ёж"])
        self.assertEqual(len(self.successResultOf(self.registry.tokens("alice"))), 1, "they come back with approve")

    def test_what_was_done_is_in_the_audit_log(self) -> None:
        with mock.patch.object(accounts, "getuser", return_value="root"), mock.patch("time.time", return_value=7.5):
            self.act("suspend", "alice", "--reason", "spam")
        kept = Action(kind="suspend", author="server", target="Alice", value="root", msg="spam", time=7_500, seq=1)
        self.assertEqual(self.done(), [kept])

    def test_a_user_without_a_name_has_a_number(self) -> None:
        with mock.patch.object(accounts, "getuser", side_effect=KeyError), mock.patch("os.getuid", return_value=1234):
            self.act("suspend", "alice")
        self.assertEqual(self.done()[0].value, "1234")

    def test_all_that_are_named_are_changed_or_none(self) -> None:
        outcome = self.act("suspend", "alice", "carol")
        self.assertEqual(outcome.status, 1)
        self.assertEqual(outcome.errors, "twisted-chat: there is no account 'carol': see twisted-chat account list\n")
        self.assertEqual((self.states(), self.done()), (["active", "pending", "active"], []))
        self.assertIn("'no nick' is no nick: a nick consists of", self.act("remove", "no nick").errors)

    def test_a_removed_account_loses_all_but_its_name(self) -> None:
        rules = [
            Rule(room="den", kind="role", subject="alice", value=Role.OWNER),
            Rule(room="den", kind="invite", subject="alice"),
            Rule(room="den", kind="ban", subject="alice"),
            Rule(room="den", kind="role", subject="bob", value=Role.MEMBER),
        ]
        self.successResultOf(self.registry.act(action("x"), Change(made=tuple(rules))))
        outcome = self.act("remove", "--yes", "alice")
        self.assertEqual(outcome, (0, "Alice is removed, and the nick stays reserved for good\n", ""))
        self.assertEqual(self.who_ended(), ["alice"])
        self.assertEqual(set(self.registry.rules), set(rules[2:]))
        self.assertEqual(self.successResultOf(self.registry.tokens("alice")), [])
        self.assertEqual((self.stored("alice").state, self.stored("alice").password), ("removed", ""))
        self.assertEqual(self.successResultOf(self.registry.find_alike("like alice")), nick("Alice"))

    def confirming(self, answer: str) -> list[str]:
        """Let the commands have a terminal on which this is typed. Returns the questions, as they are asked."""
        asked: list[str] = []

        def confirm(question: str) -> str:
            asked.append(question)
            return answer

        self.commands = [ACCOUNT._replace(run=partial(run, confirm=confirm, is_terminal=lambda: True))]
        return asked

    def test_an_account_is_removed_only_after_yes(self) -> None:
        for answer in ("", "no", "y"):
            asked = self.confirming(answer)
            outcome = self.act("remove", "ALICE", "bob")
            self.assertEqual(asked, ["Remove Alice, bob for good? This cannot be undone. Type yes: "])
            self.assertEqual(outcome, (1, "", "twisted-chat: nothing was changed\n"))
        self.assertEqual((self.states(), self.done()), (["active", "pending", "active"], []))
        self.confirming("Yes ")
        self.assertEqual(self.act("remove", "alice").status, 0)
        self.assertEqual(self.states(), ["removed", "pending", "active"])

    def test_in_a_pipe_an_account_is_removed_only_with_an_option(self) -> None:
        outcome = self.act("remove", "alice", given=b"yes\n")
        why = "this cannot be undone: add --yes, as there is no terminal to ask on"
        self.assertEqual(outcome, (1, "", f"twisted-chat: {why}\n"))
        self.assertEqual((self.states(), self.done()), (["active", "pending", "active"], []))

    def test_an_end_of_input_changes_nothing(self) -> None:
        def closed(_: str) -> str:
            raise EOFError

        ends = partial(run, prompt=closed, confirm=closed, is_terminal=lambda: True)
        self.commands = [ACCOUNT._replace(run=ends)]
        for act in ("remove", "reset-password"):
            outcome = self.act(act, "alice")
            self.assertEqual(outcome, (1, "", "twisted-chat: there was no answer: nothing was changed\n"))
        self.assertEqual((self.states(), self.done()), (["active", "pending", "active"], []))

    def test_no_question_is_asked_about_an_account_that_is_not_there(self) -> None:
        asked = self.confirming("yes")
        outcome = self.act("remove", "carol")
        self.assertEqual(outcome.errors, "twisted-chat: there is no account 'carol': see twisted-chat account list\n")
        self.assertEqual(asked, [])

    def test_a_removed_account_does_not_come_back(self) -> None:
        self.act("remove", "alice", "--yes")
        for act in ("approve", "suspend", "remove", "reset-password"):
            outcome = self.act(act, "alice", given=NEW.encode())
            why = "twisted-chat: the account Alice was removed for good, and its nick stays reserved\n"
            self.assertEqual(outcome, (1, "", why))
        self.assertEqual((self.stored("alice").state, self.stored("alice").password), ("removed", ""))

    def test_a_password_is_read_from_the_standard_input(self) -> None:
        outcome = self.act("reset-password", "alice", given=f"{NEW}\r\nmore\n".encode())
        self.assertEqual(outcome, (0, "Alice has a new password, and no tokens\n", ""))
        self.assertTrue(PasswordHasher().verify(self.stored("alice").password, NEW))
        self.assertEqual(self.successResultOf(self.registry.tokens("alice")), [])
        self.assertEqual(self.who_ended(), ["alice"])
        self.assertEqual([(done.kind, done.msg) for done in self.done()], [("reset-password", "")])

    def test_an_account_that_is_not_let_in_is_named(self) -> None:
        outcome = self.act("reset-password", "bob", given=NEW.encode())
        self.assertEqual((outcome.status, outcome.errors), (0, "bob is pending: approve lets it in\n"))

    def test_a_password_that_nobody_may_have_is_refused(self) -> None:
        before = self.stored("alice")
        outcome = self.act("reset-password", "alice", given=b"short\n")
        self.assertEqual(outcome.status, 1)
        self.assertIn("a password has 8 to 256 characters", outcome.errors)
        self.assertEqual(self.stored("alice"), before)

    def test_a_password_is_asked_for_twice_on_a_terminal(self) -> None:
        for second in (NEW, "another one"):
            answers = iter([NEW, second])
            asked: list[str] = []

            def prompt(text: str, asked: list[str] = asked, answers: Any = answers) -> str:
                asked.append(text)
                return str(next(answers))

            self.commands = [ACCOUNT._replace(run=partial(run, prompt=prompt, is_terminal=lambda: True))]
            outcome = self.act("reset-password", "alice")
            self.assertEqual(asked, ["New password of alice: ", "The same again: "])
            self.assertEqual(outcome.status, 0 if second == NEW else 1)
        self.assertEqual(outcome.errors, "twisted-chat: these were two passwords: nothing was changed\n")
        self.assertTrue(PasswordHasher().verify(self.stored("alice").password, NEW))

    def test_an_account_that_is_not_there_is_noticed_before_the_password_is_asked_for(self) -> None:
        outcome = self.act("reset-password", "carol", given=b"")
        self.assertIn("there is no account 'carol'", outcome.errors)

    def test_no_file_is_made(self) -> None:
        path = str(self.folder / "no.sqlite")
        for act in ("list", "approve", "reset-password"):
            outcome = self.run_command("account", act, "-d", path, *(() if act == "list" else ("alice",)))
            why = f"twisted-chat: there is no file {path}: give the server's file with --database\n"
            self.assertEqual(outcome, (1, "", why))

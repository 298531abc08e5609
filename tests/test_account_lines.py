"""Accounts, rules and the audit log, exported and imported."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

from msgspec.structs import replace

from twisted_chat import names
from twisted_chat.commands import account_lines
from twisted_chat.commands.exporting import EXPORT
from twisted_chat.commands.importing import IMPORT, run
from twisted_chat.registry import Report
from twisted_chat.rules import Change, Role, Rule
from twisted_chat.stores.sqlite.file import CHECK_SECONDS
from twisted_chat.stores.sqlite.registry import SQLiteRegistry

from .commands import CommandTestCase, Outcome
from .registry_contract import WHOLE, account, action, token

HASH = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWRWJTmaaJObG"
TIME = "2026-01-01T00:00:00.000Z"
MILLISECONDS = 1_767_225_600_000


class AccountLinesTestCase(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock.running = False
        self.commands = [EXPORT, IMPORT._replace(run=partial(run, sleep=lambda _: None))]

    def full(self) -> SQLiteRegistry:
        """Open a registry with two rows, or more, of each kind."""
        registry = self.open_sqlite_registry()
        for nick, state in (("Alice", "active"), ("Ёж", "removed"), ("bob", "pending")):
            skeleton = names.skeleton(nick)
            password = "" if state == "removed" else HASH
            one = account(nick, skeleton, created=MILLISECONDS, state=state, password=password)
            self.successResultOf(registry.add(one))
        for secret, label in ((b"1" * 32, "phone"), (b"\xff" * 32, "tablet")):
            self.successResultOf(registry.add_token(token(secret, label), 9))
        self.successResultOf(registry.use_token(b"1" * 32, MILLISECONDS))
        until: Any = {"until": 2 * MILLISECONDS, "msg": "spam", "author": "Olga", "time": MILLISECONDS}
        rules = [
            Rule(room="den", kind="role", subject="alice", shown="Alice", value=Role.OWNER),
            Rule(room="den", kind="lock"),
            Rule(room="den", kind="slow", value=30),
            Rule(room="", kind="ban", subject="192.0.2.0/24", shown="192.0.2.0/24", **until),
            Rule(room="den", kind="ban", subject="carol", address="192.0.2.1", **until),
        ]
        for rule in rules:
            done = replace(action("x\u202ey", rule.room), until=rule.until, msg=rule.msg, time=MILLISECONDS)
            self.successResultOf(registry.act(done, Change(made=(rule,))))
        for of in (4, 5):
            self.successResultOf(registry.report(Report(room="den", of=of, author="bob", time=MILLISECONDS)))
        return registry

    def exported(self, *arguments: str) -> str:
        return self.here("export", "--accounts", *arguments).output

    def give(self, *lines: dict[str, Any]) -> Outcome:
        return self.here("import", "--accounts", given="".join(json.dumps(line) + "\n" for line in lines).encode())

    def imported(self, *lines: dict[str, Any]) -> str:
        """What an import says in its last line."""
        return self.give(*lines).errors.splitlines()[-1]


class RoundTrip(AccountLinesTestCase):
    def test_everything_comes_back_as_it_was(self) -> None:
        registry = self.full()
        exported = self.exported()
        lines = [json.loads(line) for line in exported.splitlines()]
        kinds = [kind for line in lines for kind in line]
        self.assertEqual(
            {kind: kinds.count(kind) for kind in kinds}, dict(zip(account_lines.KINDS, (3, 2, 5, 5, 2), strict=True))
        )
        given = self.path
        self.path = str(self.folder / "new.sqlite")
        outcome = self.here("import", "--accounts", given=exported.encode())
        counts = "0 messages, 0 topics, 3 accounts, 2 tokens, 5 rules, 5 actions and 2 reports"
        self.assertEqual(outcome, (0, "", f"imported {counts}; already there: 0; in conflict with what is there: 0\n"))
        self.assertEqual(self.exported(), exported)
        again = self.open_sqlite_registry()
        self.assertNotEqual(self.path, given)
        self.assertEqual(set(again.rules), set(registry.rules))
        for stored in (registry, again):
            self.assertEqual(self.successResultOf(stored.tokens("alice"))[0].used, MILLISECONDS)
        results = [
            (
                self.successResultOf(stored.accounts("", 9)),
                self.successResultOf(stored.tokens("alice")),
                self.successResultOf(stored.actions(None, WHOLE, 9)),
                self.successResultOf(stored.reports(0, 9)),
            )
            for stored in (registry, again)
        ]
        self.assertEqual(results[0], results[1])

    def test_a_second_import_changes_nothing(self) -> None:
        self.full()
        exported = self.exported()
        outcome = self.here("import", "--accounts", given=exported.encode())
        self.assertEqual(outcome.status, 0)
        self.assertIn("already there: 17; in conflict with what is there: 0", outcome.errors)
        self.assertEqual(self.exported(), exported)

    def test_pages_leave_nothing_out(self) -> None:
        self.full()
        whole = self.exported()
        for size in (1, 2):
            self.patch(account_lines, "PAGE", size)
            self.assertEqual(self.exported(), whole)

    def test_without_the_option_nothing_about_accounts_is_written(self) -> None:
        self.full()
        self.assertEqual(self.here("export").output, "")

    def test_without_the_option_nothing_about_accounts_is_read(self) -> None:
        self.full()
        exported = self.exported()
        self.path = str(self.folder / "new.sqlite")
        outcome = self.here("import", given=exported.encode())
        self.assertEqual(outcome.status, 0)
        self.assertEqual(
            outcome.errors.splitlines(),
            [
                "imported 0 messages and 0 topics; already there: 0; in conflict with what is there: 0",
                "passed over 17 lines about accounts: --accounts imports them",
            ],
        )
        self.assertEqual(self.exported(), "")

    def test_only_the_owner_may_read_the_file(self) -> None:
        self.full()
        self.addCleanup(os.umask, os.umask(0))
        for name in ("new", "old"):
            path = str(self.folder / name)
            if name == "old":
                self.here("export", path)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                os.chmod(path, 0o664)
                self.here("export", path)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o664, "it keeps its mode, since no accounts are in it")
            self.exported(path)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    def test_a_running_server_puts_rules_into_force(self) -> None:
        registry = self.open_sqlite_registry()
        self.give({"rule": {"room": "den", "kind": "mute", "subject": "alice", "time": TIME}})
        self.clock.advance(CHECK_SECONDS)
        self.assertEqual([rule.subject for rule in registry.rules], ["alice"])


ACCOUNT = {"name": "Alice", "password": HASH, "created": TIME}
ONES = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
TWOS = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI="
TOKEN = {"account": "alice", "label": "phone", "digest": ONES, "created": TIME}
RULE = {"room": "den", "kind": "mute", "subject": "alice", "time": TIME}
ACTION = {"seq": 3, "kind": "ban", "author": "Olga", "room": "den", "target": "x", "time": TIME}
REPORT = {"seq": 3, "room": "den", "of": 4, "author": "bob", "time": TIME}


class Conflicts(AccountLinesTestCase):
    """Something else is in the place of what is imported: it stays."""

    def conflict(self, *lines: dict[str, Any]) -> str:
        """Import lines of which the last one is in conflict; returns what is said about it."""
        outcome = self.give(*lines)
        self.assertEqual(outcome.status, 1)
        where, counts = outcome.errors.splitlines()
        self.assertIn("in conflict with what is there: 1", counts)
        return where.removeprefix(f"input, line {len(lines)}: ")

    def test_an_account(self) -> None:
        why = "there is another account of that nick, or one that looks like it"
        self.assertEqual(self.conflict({"account": ACCOUNT}, {"account": {**ACCOUNT, "state": "suspended"}}), why)
        self.assertEqual(self.conflict({"account": {**ACCOUNT, "name": "аlice"}}), why)

    def test_a_token(self) -> None:
        given = [{"account": ACCOUNT}, {"account": {**ACCOUNT, "name": "bob"}}, {"token": TOKEN}]
        why = "there is another token of that secret or label"
        self.assertEqual(self.conflict(*given, {"token": {**TOKEN, "account": "bob"}}), why)
        self.assertEqual(self.conflict({"token": {**TOKEN, "digest": TWOS}}), why)
        alone = {**TOKEN, "account": "carol", "digest": TWOS}
        self.assertEqual(self.conflict({"token": alone}), "there is no account carol")

    def test_a_rule(self) -> None:
        why = "there is another rule of that kind about the same"
        self.assertEqual(self.conflict({"rule": RULE}, {"rule": {**RULE, "msg": "spam"}}), why)

    def test_an_action_and_a_report(self) -> None:
        given = [{"action": ACTION}, {"report": REPORT}]
        self.assertEqual(
            self.conflict(*given, {"action": {**ACTION, "msg": "x"}}), "there is another action of that number"
        )
        self.assertEqual(self.conflict({"report": {**REPORT, "of": 9}}), "there is another report of that number")


class BadLines(AccountLinesTestCase):
    def test_a_line_that_no_export_has_written_is_reported(self) -> None:
        for line, why in (
            ({"account": {**ACCOUNT, "name": "no nick"}}, "a nick consists of"),
            ({"account": {**ACCOUNT, "password": "secret"}}, "a password is a hash of argon2"),
            ({"account": {**ACCOUNT, "created": "1969-01-01"}}, "a time is not before 1970"),
            ({"account": {**ACCOUNT, "created": "yesterday"}}, "Invalid isoformat string"),
            ({"account": {**ACCOUNT, "created": None}}, "Expected `int`, got `null`"),
            ({"account": {**ACCOUNT, "state": "happy"}}, "Invalid enum value 'happy'"),
            ({"account": {"name": "al"}}, "missing required field `created`"),
            ({"account": 7}, "Expected `object | null`"),
            ({"token": {**TOKEN, "account": "Alice"}}, "the account of a token is the key of a nick"),
            ({"token": {**TOKEN, "label": ""}}, "a label has 1 to 64 characters"),
            ({"token": {**TOKEN, "digest": "MTEx"}}, "a digest has 32 bytes, in base64"),
            ({"rule": {**RULE, "room": "Den"}}, "the room of a rule is the key of a room"),
            ({"rule": {**RULE, "kind": "curse"}}, "Invalid enum value 'curse'"),
            ({"rule": {**RULE, "subject": "192.0.2.1/24"}}, "a nick consists of"),
            (
                {"rule": {**RULE, "kind": "ban", "subject": "192.0.2.7/32"}},
                "the subject of a ban is not '192.0.2.7/32'",
            ),
            ({"rule": {**RULE, "kind": "ban", "subject": "::ffff:192.0.2.7"}}, "the subject of a ban is not '::ffff"),
            ({"rule": {**RULE, "subject": "Alice"}}, "the subject of a mute is not 'Alice'"),
            ({"rule": {**RULE, "kind": "lock"}}, "the subject of a lock is not 'alice'"),
            ({"rule": {**RULE, "kind": "role", "value": 50}}, "a role is one of the numbers [20, 30, 40]"),
            ({"rule": {**RULE, "kind": "slow", "subject": "", "value": -1}}, "a value is not negative"),
            ({"action": {**ACTION, "kind": "A"}}, "a kind consists of letters from a to z, and dashes"),
            ({"action": {**ACTION, "seq": 0}}, "a seq is a number from 1 to"),
            ({"action": {**ACTION, "msg": "x" * 16_385}}, "a msg has at most 16384 bytes"),
            ({"report": {**REPORT, "room": "Den"}}, "a room is the key of a room, or empty"),
        ):
            self.assertIn(why, self.give(line).errors)
            self.assertIn("input, line 1: ", self.give(line).errors)
        self.assertEqual(self.exported(), "")

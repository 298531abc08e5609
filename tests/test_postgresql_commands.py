"""`twisted-chat account`, `stats` and `check` for a database in PostgreSQL."""

from __future__ import annotations

import re
import time
from typing import Any

from argon2 import PasswordHasher
from twisted.internet import reactor
from twisted.internet.task import deferLater

from twisted_chat import names
from twisted_chat.log import DELETE, Entry
from twisted_chat.registry import Report
from twisted_chat.rules import Account, Change, Role, Rule
from twisted_chat.stores.postgresql.registry import PostgreSQLRegistry

from .commands import CommandTestCase, Outcome
from .postgresql import PostgreSQLTestCase
from .registry_contract import WHOLE, account, action, token
from .stores import entry, keep

NEW = "correct horse battery"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g"


class DatabaseTestCase(PostgreSQLTestCase, CommandTestCase):
    """A database of servers, and the commands for it."""

    async def here_(self, command: str, *arguments: str, given: bytes = b"") -> Outcome:
        """Run a command while the event loop of the tests does not run, since it has one of its own."""
        await deferLater(reactor, 0)
        return self.run_command(*command.split(), "--database", self.cluster.url, *arguments, given=given)


class AccountTests(DatabaseTestCase):
    """Accounts are listed and changed while servers run."""

    registry: PostgreSQLRegistry

    async def begin(self) -> None:
        opened: Any = await self.open_postgresql()
        self.registry = opened.registry
        for one in account("Alice", "al", created=60_000), account("bob", state="pending"), account("Ёж"):
            await self.registry.add(one)
        await self.registry.add_token(token(b"1"), 9)
        self.ended: list[str] = []
        self.registry.follow(self.ended.append)

    async def states(self) -> list[str]:
        return [one.state for one in await self.registry.accounts("", 9)]

    async def test_all_accounts_are_listed(self) -> None:
        await self.begin()
        self.assertEqual(
            (await self.here_("account list")).output.splitlines(),
            [
                "nick     state  registered (UTC)  tokens",
                "Alice   active  1970-01-01 00:01       1",
                "bob    pending  1970-01-01 00:00       0",
                "Ёж      active  1970-01-01 00:00       0",
            ],
        )
        pending = await self.here_("account list", "--state", "pending")
        self.assertEqual([line.split()[0] for line in pending.output.splitlines()], ["nick", "bob"])

    async def test_an_account_is_made(self) -> None:
        await self.begin()
        outcome = await self.here_("account add", "Cy", given=NEW.encode())
        self.assertEqual(outcome, (0, "Cy has an account\n", ""))
        stored = await self.registry.find("cy")
        assert stored
        self.assertTrue(PasswordHasher().verify(stored.password, NEW))
        self.assertEqual((await self.here_("account add", "cy", given=NEW.encode())).status, 1)
        self.assertEqual([one.kind for one in await self.registry.actions(None, WHOLE, 9)], ["add"])

    async def test_accounts_are_let_in_and_shut_out_all_or_none(self) -> None:
        await self.begin()
        outcome = await self.here_("account suspend", "Alice", "nobody", "--reason", "spam")
        self.assertEqual((outcome.status, await self.states()), (1, ["active", "pending", "active"]))
        await self.here_("account approve", "bob")
        await self.here_("account suspend", "Alice", "Ёж", "--reason", "spam")
        self.assertEqual(await self.states(), ["suspended", "active", "suspended"])
        await self.until_true(lambda: len(self.ended) == 2)
        self.assertEqual(sorted(self.ended), ["alice", "ёж"])
        done = await self.registry.actions(None, WHOLE, 9)
        self.assertEqual([(one.kind, one.target) for one in done[::-1]][:2], [("approve", "bob"), ("suspend", "Alice")])
        self.assertEqual((done[0].msg, done[0].author), ("spam", "server"))

    async def test_a_removed_account_loses_its_roles_at_running_servers(self) -> None:
        await self.begin()
        role = Rule(room="den", kind="role", subject="alice", value=Role.OWNER)
        ban = Rule(room="attic", kind="ban", subject="alice")
        await self.registry.act(action("alice"), Change((role, ban)))
        self.assertEqual((await self.here_("account remove", "alice", "--yes")).status, 0)
        await self.until_true(lambda: self.registry.rules.get(role.key) is None)
        self.assertIs(self.registry.rules.role(Account(names.nick("alice")), "den"), Role.GUEST)
        self.assertIsNotNone(self.registry.rules.get(ban.key))
        self.assertEqual((self.ended, await self.registry.tokens("alice")), (["alice"], []))
        stored = await self.registry.find("alice")
        assert stored
        self.assertEqual((stored.state, stored.password), ("removed", ""))
        self.assertEqual((await self.here_("account approve", "alice")).status, 1)

    async def test_a_password_is_reset(self) -> None:
        await self.begin()
        outcome = await self.here_("account reset-password", "alice", given=NEW.encode())
        self.assertEqual(outcome, (0, "Alice has a new password, and no tokens\n", ""))
        stored = await self.registry.find("alice")
        assert stored
        self.assertTrue(PasswordHasher().verify(stored.password, NEW))
        await self.until_true(lambda: self.ended)
        self.assertEqual((self.ended, await self.registry.tokens("alice")), (["alice"], []))

    async def test_a_database_without_a_chat_stays_empty(self) -> None:
        for command in "account list", "account approve al", "stats", "check", "export":
            outcome = await self.here_(command)
            self.assertEqual(outcome.status, 1)
            self.assertIn("has no chat: give the URL that the server has", outcome.errors)
        self.assertEqual(await self.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'twisted_chat'"), [])


class StatsTests(DatabaseTestCase):
    async def test_rooms_are_shown_with_their_sizes(self) -> None:
        log = (await self.open_postgresql()).log
        den, direct = await log.open(names.room("Den")), await log.open(names.direct(names.nick("a"), names.nick("b")))
        await keep(log, [entry(den, "я" * 10), entry(den, "a"), entry(direct, "psst")], int(time.time() * 1000))
        await (await log.open(names.room("attic"))).set_topic("t")
        outcome = await self.here_("stats")
        first, _, *rows = outcome.output.splitlines()
        self.assertRegex(first, "^postgresql://.*/postgres: [0-9.]+ .?B in its tables and their indexes$")
        self.assertEqual(
            [row.split()[:5] for row in rows],
            [
                ["Den", "2", "21", "B", "2"],
                ["attic", "0", "0", "B", "0"],
                ["(direct", "messages)", "1", "4", "B"],
                ["all", "3", "25", "B", "3"],
            ],
        )


RESTORE = "Stop all servers, restore a backup into a new database, and start them with that one."


class CheckTests(DatabaseTestCase):
    """Each test breaks one thing, and it is found."""

    async def begin(self) -> None:
        opened = await self.open_postgresql()
        den, attic = await opened.log.open(names.room("Den")), await opened.log.open(names.room("attic"))
        direct = await opened.log.open(names.direct(names.nick("al"), names.nick("bo")))
        await keep(opened.log, [entry(den, "a"), entry(den, "b"), entry(attic, "c"), entry(direct, "psst")], 5)
        await keep(opened.log, [Entry(den, names.nick("mo"), "", kind=DELETE, of=2)], 6)
        await opened.registry.add(account("al", names.skeleton("al"), password=HASH))
        await opened.registry.add_token(token(b"1", key="al"), 9)
        role = Rule(room="den", kind="role", subject="al", shown="al", value=Role.OWNER)
        await opened.registry.act(action("al"), Change((role,)))
        await opened.registry.report(Report(room="den", of=1, author="al"))

    async def check(self, sql: str = "") -> str:
        """Break something, and check it. Returns the first line of what is found."""
        await self.begin()
        if sql:
            await self.sql(sql)
        outcome = await self.here_("check")
        self.assertEqual((outcome.status, outcome.errors), (1 if "problem:" in outcome.output else 0, ""))
        return outcome.output.splitlines()[0]

    async def test_a_sound_database(self) -> None:
        line = await self.check()
        self.assertTrue(line.endswith("/postgres: 3 rooms, 5 messages, 1 account: no problem found"), line)

    async def test_a_database_that_is_empty(self) -> None:
        await self.open_postgresql()
        outcome = await self.here_("check")
        self.assertTrue(
            outcome.output.endswith(": 0 rooms, 0 messages, 0 accounts: no problem found\n"), outcome.output
        )

    async def test_a_room_from_which_retention_has_taken_all(self) -> None:
        line = await self.check(
            "WITH d AS (DELETE FROM message) UPDATE room SET oldest = head + 1, oldest_time = NULL, skipped = 0"
        )
        self.assertIn("3 rooms, 0 messages", line)

    async def test_messages_behind_the_newest_number(self) -> None:
        line = await self.check("UPDATE room SET head = 2 WHERE key = 'den'")
        self.assertIn("behind its newest number, and the next ones would get the same numbers: Den.", line)

    async def test_a_room_with_another_number_of_messages(self) -> None:
        for sql in (
            "DELETE FROM message WHERE msg = 'a'",
            "UPDATE room SET oldest_time = 4 WHERE key = 'den'",
            "UPDATE room SET skipped = 1 WHERE key = 'den'",
        ):
            self.assertIn("another number of messages, or another oldest one, than it says", await self.check(sql))
            await self.sql("DROP SCHEMA twisted_chat CASCADE")

    async def test_a_room_without_its_messages(self) -> None:
        line = await self.check("DELETE FROM message WHERE room = (SELECT id FROM room WHERE key LIKE '@%')")
        self.assertIn("a room says that it has messages, and has none: direct messages.", line)

    async def test_a_text_that_was_deleted(self) -> None:
        line = await self.check("UPDATE message SET msg = 'b' WHERE deleted IS NOT NULL")
        self.assertIn("messages were deleted, and still have their text: 2 in Den.", line)

    async def test_a_deletion_that_was_not_done(self) -> None:
        line = await self.check("UPDATE message SET msg = 'b', deleted = NULL WHERE deleted IS NOT NULL")
        self.assertIn("messages were deleted, and still have their text: 2 in Den.", line)

    async def test_names_and_keys_that_do_not_fit(self) -> None:
        for sql, found in (
            ("UPDATE room SET name = 'Cellar' WHERE key = 'den'", "the key of a room is not that of its name: Cellar."),
            ("UPDATE message SET author_key = 'x' WHERE msg = 'c'", "the key of an author is not that of the name"),
            ("UPDATE account SET skeleton = 'x'", "an account's key or skeleton is not that of its name"),
        ):
            self.assertIn(found, await self.check(sql))
            await self.sql("DROP SCHEMA twisted_chat CASCADE")

    async def test_messages_from_the_future(self) -> None:
        line = await self.check("UPDATE message SET time = 10::bigint ^ 15 WHERE msg = 'b' OR seq = 3")
        self.assertIn("note: messages are from the future", line)

    async def test_counters_and_numbers_that_do_not_fit(self) -> None:
        for sql, found in (
            ("UPDATE store SET rooms = 7", "counts 7 rooms, and there are 3, so that --rooms limits another number"),
            ("UPDATE rule SET changed = 99", "in an epoch that has not begun"),
            ("UPDATE rule SET ended = now(), changed = 99", "in an epoch that has not begun"),
            ("UPDATE account SET ended = 99", "in an epoch that has not begun"),
            ("UPDATE audit SET seq = 99", "the next number of the table audit is one that it has already"),
            ("UPDATE report SET seq = 99", "the next number of the table report is one that it has already"),
        ):
            line = await self.check(sql)
            self.assertIn(found, line)
            (remedy,) = re.findall(r"Correct it with: (.*?)(?:, and restart all servers)?\.$", line)
            await self.sql(remedy)
            self.assertTrue((await self.here_("check")).output.endswith(": no problem found\n"))
            await self.sql("DROP SCHEMA twisted_chat CASCADE")

    async def test_what_belongs_to_nothing(self) -> None:
        for sql, found in (
            ("DELETE FROM room WHERE key = 'attic'", f"messages belong to a room that is not there, .*{RESTORE}"),
            ("DELETE FROM account", f"tokens belong to an account that is not there: al. {RESTORE}"),
            ("UPDATE account SET state = 'x'", f"an account's state or password is damaged: al. {RESTORE}"),
        ):
            await self.check(sql)
            self.assertRegex((await self.here_("check")).output, found)
            await self.sql("DROP SCHEMA twisted_chat CASCADE")

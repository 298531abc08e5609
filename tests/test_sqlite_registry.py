"""The registry of the embedded store: what survives a restart, and what happens to a file that others write to."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.task import deferLater

from twisted_chat import names
from twisted_chat.log import Unusable
from twisted_chat.registry import Report
from twisted_chat.rules import FEW_RULES, Change, Role, Rule, RuleKey
from twisted_chat.stores.sqlite import database, registry_sql
from twisted_chat.stores.sqlite.file import CHECK_SECONDS
from twisted_chat.stores.sqlite.registry import SQLiteRegistry
from twisted_chat.stores.sqlite.store import open_store
from twisted_chat.stores.sqlite.trouble import CALM_SECONDS

from .registry_contract import WHOLE, account, action, token
from .stores import FileTestCase, size_of

NOW = 1_000
"""The time of the tests' clock in seconds."""

BUSY = "another program has been writing to it for too long"


def mute(subject: str, until: int | None = None, **fields: Any) -> Rule:
    return Rule(room="den", kind="mute", subject=subject, until=until, **fields)


def muted(registry: SQLiteRegistry) -> list[str]:
    """List who is muted in the den as far as the registry knows, be it over or not."""
    return sorted(rule.subject for rule in registry.rules)


class RegistryTestCase(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock.advance(NOW)

    async def make(self, registry: SQLiteRegistry, *rules: Rule) -> None:
        await registry.act(action("x"), Change(made=rules))

    def in_file(self, table: str) -> int:
        count: int = self.beside().execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return count

    async def check(self) -> None:
        """Let the time of the next check come, and wait for what comes of it."""
        self.clock.advance(CHECK_SECONDS)
        done: list[None] = []
        self.file.in_turn(lambda until: succeed(None)).addCallback(done.append)
        while not done:
            self.clock.advance(0)
            await deferLater(reactor, 0)


class Restarts(RegistryTestCase):
    async def test_everything_survives_a_restart(self) -> None:
        registry = self.open_sqlite_registry()
        full = mute(
            "al", 2_000_000, shown="Al", address="192.0.2.1", value=3, msg="why\x00\u202e", author="Olga", time=5
        )
        await self.make(registry, full, mute("bo"))
        await registry.add(account("Alice"))
        await registry.add_token(token(b"1"), 9)
        await registry.report(Report(room="den", of=4, author="bob"))
        kept = await registry.actions(None, WHOLE, 9)
        await self.close(registry)
        registry = self.open_sqlite_registry()
        self.assertEqual(list(registry.rules), [full, mute("bo")])
        self.assertEqual(await registry.find("alice"), account("Alice"))
        self.assertEqual(await registry.tokens("alice"), [token(b"1")])
        self.assertEqual(await registry.actions(None, WHOLE, 9), kept)
        self.assertEqual(len(await registry.reports(0, 9)), 1)

    async def close(self, registry: SQLiteRegistry) -> None:
        await registry.close()
        await self.file.close(database.move)

    async def test_rules_that_are_over_are_forgotten_at_the_start(self) -> None:
        registry = self.open_sqlite_registry()
        await self.make(registry, mute("al", NOW * 1000), mute("bo", NOW * 1000 + 1), mute("cy"))
        self.assertEqual(muted(registry), ["al", "bo", "cy"])
        await self.close(registry)
        registry = self.open_sqlite_registry()
        self.assertEqual(muted(registry), ["bo", "cy"])
        self.assertEqual(self.in_file("rule"), 2)

    async def test_a_file_whose_rules_cannot_be_read_is_not_used(self) -> None:
        await self.begin_file()
        self.beside().execute("ALTER TABLE rule RENAME TO rule_away")
        text = str(self.assertRaises(Unusable, open_store, self.path, reactor))
        self.assertEqual(text, f"{self.path} cannot be used: no such table: rule")
        self.beside().execute("ALTER TABLE rule_away RENAME TO rule")
        self.open_sqlite_registry()

    async def test_rules_that_cannot_be_forgotten_do_not_stop_the_start(self) -> None:
        self.open_store()
        with self.written_to():
            registry = SQLiteRegistry(self.file, self.clock)
            self.addCleanup(registry.close)
            self.assertEqual(list(registry.rules), [])
            self.clock.pump([0.1] * 60)
        self.assertIn(f"{self.path} does not work now: {BUSY}", self.logged())

    async def test_an_act_is_kept_with_its_change_or_neither_is_when_the_process_is_killed(self) -> None:
        for durability in ("process", "power"):
            path = f"{self.path}-{durability}"
            acked = killed_while_acting(path, durability)
            registry = self.open_sqlite_registry(path)
            self.assertGreaterEqual(acked, 500)
            done = [action.target for action in await registry.actions("den", WHOLE, 10 * acked)]
            self.assertGreaterEqual(len(done), acked)
            self.assertEqual(sorted(done, key=int), sorted((rule.subject for rule in registry.rules), key=int))


def killed_while_acting(path: str, durability: str) -> int:
    """Let another process act, and kill it; returns the last number that it was told is stored."""
    acked = 0
    command = [sys.executable, "-c", ACTS_FOR_EVER, path, durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as process:
        assert process.stdout
        for line in process.stdout:
            acked = int(line)
            if acked == 500:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return acked


ACTS_FOR_EVER = """
import sys
from itertools import count
from tests.registry_contract import action
from tests.stores import FakeTime
from twisted_chat.rules import FEW_RULES, Change, Rule
from twisted_chat.stores.sqlite.store import open_store
from twisted_chat.stores.sqlite.trouble import CALM_SECONDS

clock = FakeTime()
clock.running = False
registry = open_store(sys.argv[1], clock, sys.argv[2]).registry
for number in count(1):
    rule = Rule(room="den", kind="mute", subject=str(number))
    done = registry.act(action(str(number)), Change(made=(rule,)))
    print(done.result.seq, flush=True)
"""


class Beside(RegistryTestCase):
    """What another program writes is noticed while the server runs."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Change] = []
        self.ended: list[str] = []

    async def followed(self, *rules: Rule) -> SQLiteRegistry:
        registry = self.open_sqlite_registry()
        await self.make(registry, *rules)
        registry.rules.follow(self.heard.append)
        registry.follow(self.ended.append)
        return registry

    def write(self, change: Change, *ended: str) -> None:
        """Write as a command does."""
        beside = self.beside()
        with database.transaction(beside):
            registry_sql.write_change(beside, change)
            beside.execute("UPDATE store SET epoch = epoch + 1")
            sql = "UPDATE account SET ended = (SELECT epoch FROM store) WHERE key = ?"
            beside.executemany(sql, [(key,) for key in ended])

    async def test_the_differences_are_put_into_force(self) -> None:
        registry = await self.followed(mute("al"), mute("bo"), mute("cy"))
        self.write(Change(made=(mute("bo", value=2), mute("di")), ended=(RuleKey("den", "mute", "cy"),)))
        await self.check()
        (change,) = self.heard
        self.assertEqual(set(change.made), {mute("bo", value=2), mute("di")})
        self.assertEqual(change.ended, (RuleKey("den", "mute", "cy"),))
        self.assertEqual(muted(registry), ["al", "bo", "di"])
        await self.check()
        self.assertEqual(len(self.heard), 1)

    async def test_a_rule_that_is_over_by_then_is_no_difference(self) -> None:
        registry = await self.followed(mute("al", NOW * 1000 + 1))
        self.write(Change(made=(mute("bo", NOW * 1000 + 1),)))
        await self.check()
        self.assertEqual((self.heard, muted(registry)), ([], ["al"]))

    async def test_many_rules_are_put_into_force_in_several_turns(self) -> None:
        registry = await self.followed(*(mute(f"n{number}") for number in range(350)))
        ended = tuple(RuleKey("den", "mute", f"n{number}") for number in range(350))
        self.write(Change(tuple(mute(f"m{number}") for number in range(250)), ended))
        pauses = mock.Mock(side_effect=self.clock.callLater)
        self.patch(self.clock, "callLater", pauses)
        await self.check()
        self.assertEqual([call.args[0] for call in pauses.mock_calls].count(0), 4)
        self.assertEqual(
            [(len(c.made), len(c.ended)) for c in self.heard], [(100, 100), (100, 100), (50, 100), (0, 50)]
        )
        self.assertEqual(len(muted(registry)), 250)

    async def test_the_sessions_of_accounts_that_a_command_shut_out_end_once(self) -> None:
        registry = await self.followed()
        for nick in ("alice", "bob", "carol"):
            await registry.add(account(nick))
        self.write(Change(), "alice")
        await self.check()
        self.write(Change(), "carol")
        await self.check()
        await self.check()
        self.assertEqual(self.ended, ["alice", "carol"])

    async def test_an_act_does_not_come_between(self) -> None:
        registry = await self.followed(mute("al"))
        self.write(Change(made=(mute("bo"),), ended=(RuleKey("den", "mute", "al"),)))
        self.clock.advance(CHECK_SECONDS)  # the rules are being read now
        await self.until(registry.act(action("x"), Change(made=(mute("cy"),))))
        self.assertEqual(muted(registry), ["bo", "cy"])

    async def test_a_check_that_fails_is_made_again(self) -> None:
        registry = await self.followed()
        self.write(Change(made=(mute("al"),)))
        self.file.broken[registry_sql.read_changes] = sqlite3.OperationalError("the disk is on fire")
        await self.check()
        self.assertEqual(muted(registry), [])
        self.assertIn(f"{self.path} does not work now: the disk is on fire", self.logged())
        self.file.broken.clear()
        await self.check()
        self.assertEqual(muted(registry), ["al"])

    async def test_a_registry_that_is_closed_looks_no_more(self) -> None:
        registry = await self.followed()
        await registry.close()
        self.write(Change(made=(mute("al"),)))
        await self.check()
        self.assertEqual(self.heard, [])


class Trouble(RegistryTestCase):
    async def test_nothing_is_in_force_that_cannot_be_stored(self) -> None:
        registry = self.open_sqlite_registry()
        with self.written_to():
            done = registry.act(action("al"), Change(made=(mute("al"),)))
            self.clock.advance(1)
            self.assertNoResult(done)
            self.clock.pump([0.1] * 60)
            self.assertEqual(await self.unavailable(done), BUSY)
        self.assertEqual(muted(registry), [])
        self.assertEqual((self.in_file("rule"), self.in_file("audit")), (0, 0))
        await self.make(registry, mute("al"))
        self.assertEqual(muted(registry), ["al"])

    async def test_the_log_says_when_the_file_works_again(self) -> None:
        registry = self.open_sqlite_registry()
        with self.written_to():
            done = registry.act(action("al"))
            self.clock.pump([0.1] * 60)
            await self.unavailable(done)
        for _ in range(2):
            await registry.act(action("al"))
            self.clock.advance(CALM_SECONDS)
        self.assertEqual(self.logged(), [f"{self.path} does not work now: {BUSY}", f"{self.path} works again"])

    async def test_a_change_that_fails_leaves_no_action(self) -> None:
        registry = self.open_sqlite_registry()
        await self.make(registry, mute("al"))
        change = Change(made=(mute("bo"),), ended=(RuleKey("den", "mute", "al"),))
        with mock.patch.object(registry_sql, "write_action", side_effect=sqlite3.OperationalError("no room")):
            self.assertEqual(await self.unavailable(registry.act(action("bo"), change)), "no room")
        self.assertEqual(muted(registry), ["al"])
        self.assertEqual((self.in_file("rule"), self.in_file("audit")), (1, 1))

    async def test_a_file_that_is_gone_is_unavailable(self) -> None:
        registry = self.open_sqlite_registry()
        await registry.add(account("alice"))
        os.rename(self.path, f"{self.path}.away")
        text = await self.unavailable(registry.add(account("bob")))
        self.assertIn("it is gone", text)
        os.rename(f"{self.path}.away", self.path)
        self.assertTrue(await registry.add(account("bob")))

    async def test_changes_that_waited_are_put_into_force_in_their_order(self) -> None:
        for durability in ("process", "power"):
            registry = self.open_sqlite_registry(f"{self.path}-{durability}", durability)
            busy: Deferred[None] = Deferred()
            holding = self.file.in_turn(lambda until, busy=busy: busy)
            values = [Role.MEMBER, Role.MODERATOR, Role.OWNER]
            rules = [Rule(room="den", kind="role", subject="al", value=value) for value in values]
            order: list[Change] = []
            registry.rules.follow(order.append)
            done = [registry.act(action("al"), Change(made=(rule,))) for rule in rules]
            busy.callback(None)
            await holding
            await gatherResults(done)
            self.assertEqual([change.made[0].value for change in order], values)
            self.assertEqual(registry.rules.get(rules[0].key), rules[-1])

    async def test_rules_that_are_over_do_not_fill_the_memory_and_the_file(self) -> None:
        registry = self.open_sqlite_registry()
        await self.make(registry, *(mute(f"kept{number}") for number in range(50)))
        for number in range(500):
            await self.make(registry, mute(f"n{number}", NOW * 1000 + number))
            self.clock.advance(0.001)
        for kept in (len(list(registry.rules)), self.in_file("rule")):
            self.assertLessEqual(kept, 101)
        self.assertEqual(sum(subject.startswith("kept") for subject in muted(registry)), 50)

    async def test_a_rule_that_was_over_can_be_made_anew(self) -> None:
        registry = self.open_sqlite_registry()
        await self.make(registry, *(mute(f"n{number}", NOW * 1000) for number in range(FEW_RULES)))
        await self.make(registry, mute("n5"))
        self.assertEqual((muted(registry), self.in_file("rule")), (["n5"], 1))

    async def test_the_write_ahead_log_does_not_grow_by_acts(self) -> None:
        self.patch(database, "WAL_BYTES", 2**16)
        self.patch(sys.modules["twisted_chat.stores.sqlite.file"], "WAL_BYTES", 2**16)
        registry = self.open_sqlite_registry()
        for _ in range(200):
            await registry.act(action("x" * 1_000))
            await deferLater(reactor, 0)
        await self.file.wal_copied()
        await registry.act(action("x"))
        self.assertLess(size_of(f"{self.path}-wal"), 2**18)

    async def test_reading_does_not_wait_for_a_program_that_writes(self) -> None:
        registry = self.open_sqlite_registry()
        await registry.add(account("alice"))
        with self.written_to():
            self.assertEqual(await registry.find("alice"), account("alice"))
            self.assertEqual(await registry.find_alike("like alice"), names.nick("alice"))

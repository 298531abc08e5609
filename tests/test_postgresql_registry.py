"""The registry of several servers: a change on one is in force on all."""

from __future__ import annotations

import gc
from typing import Any, cast

import asyncpg
from twisted.internet import reactor
from twisted.internet.task import deferLater

from twisted_chat.log import Unavailable
from twisted_chat.registry import Report
from twisted_chat.rules import Change, Rule
from twisted_chat.stores.postgresql import registry as registry_module
from twisted_chat.stores.postgresql.database import ATTEMPT_SECONDS, fetch
from twisted_chat.stores.postgresql.registry import PostgreSQLRegistry

from .postgresql import PostgreSQLTestCase
from .registry_contract import WHOLE, account, action, token

LOCK = Rule(room="den", kind="lock", msg="full\0", time=5)
BAN = Rule(room="", kind="ban", subject="mallory", until=10**15)


class ServersTests(PostgreSQLTestCase):
    """Two servers on one database."""

    one: PostgreSQLRegistry
    other: PostgreSQLRegistry

    async def begin(self, **options: Any) -> None:
        self.one, self.other = [await self.open(**options) for _ in range(2)]
        self.heard: list[Change] = []
        self.ended: list[str] = []
        self.other.rules.follow(self.heard.append)
        self.other.follow(self.ended.append)

    async def open(self, **options: Any) -> PostgreSQLRegistry:
        opened: Any = await self.open_postgresql(**options)
        await self.until_true(lambda: opened.log._listens_on is not None)
        return opened.registry  # type: ignore[no-any-return]  # the store that a test opens is this one

    async def check(self, registry: PostgreSQLRegistry) -> None:
        await registry._database.run(registry._database.attempt(registry._check))

    async def test_a_rule_is_in_force_on_all_servers_and_on_new_ones(self) -> None:
        await self.begin()
        await self.one.act(action("den"), Change((LOCK, BAN)))
        await self.until_true(lambda: len(self.heard) == 1)
        self.assertEqual(self.other.rules.get(LOCK.key), LOCK)
        await self.one.act(action("den"), Change(ended=(LOCK.key,)))
        await self.until_true(lambda: len(self.heard) == 2)
        self.assertEqual(self.heard[1], Change(ended=(LOCK.key,)))
        await self.other.act(action("den"), Change((LOCK,)))
        await self.until_true(lambda: self.one.rules.get(LOCK.key))
        self.assertEqual(len(self.heard), 3, "its own change is heard once")
        third = await self.open()
        self.assertEqual(set(third.rules), {BAN, LOCK})

    async def test_rules_that_take_long_to_load_are_waited_for(self) -> None:
        first = await self.open()
        await first.act(action("den"), Change((LOCK,)))
        connection = await self.on_loop(asyncpg.connect(self.cluster.url))
        for statement in ("BEGIN", "LOCK TABLE twisted_chat.rule IN ACCESS EXCLUSIVE MODE"):
            await self.on_loop(connection.execute(statement))
        opening = self.open_postgresql(patience=0)
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not await self.sql(waiting):
            self.clock.advance(0.001)
        self.clock.advance(ATTEMPT_SECONDS + 1)
        await self.on_loop(connection.close())
        self.assertEqual(set((await self.until(opening)).registry.rules), {LOCK})

    def test_many_rules_are_loaded_without_a_search_for_garbage(self) -> None:
        registry = PostgreSQLRegistry(cast(Any, None), None)
        rows = [(f"den{n}", "role", "al", "al", "", 40, None, "".join(["a", "b"]), "", 0) for n in range(5_000)]
        before = gc.get_stats()
        registry._apply_all(rows)
        self.assertEqual(gc.get_stats(), before)
        self.assertTrue(gc.isenabled())
        rules = list(registry.rules)
        self.assertEqual((len(rules), rules[0].subject), (5_000, "al"))
        self.assertEqual(len({id(rule.msg) for rule in rules}), 1, "the same texts are in memory once")

    async def test_changes_of_two_servers_are_in_force_in_one_order(self) -> None:
        await self.begin()
        await self.deafen(self.other._database)
        slow = Rule(room="den", kind="slow", value=5)
        await self.one.act(action("den"), Change((slow, LOCK)))
        newer = Rule(room="den", kind="slow", value=9)
        await self.other.act(action("den"), Change((newer,)))
        self.assertEqual(self.other.rules.get(slow.key), newer)
        self.assertEqual(self.other.rules.get(LOCK.key), LOCK)
        self.assertEqual(len(self.heard), 1)

    async def test_a_change_is_checked_again_if_another_server_has_made_one(self) -> None:
        await self.begin()
        await self.deafen(self.other._database)
        await self.one.act(action("den"), Change((LOCK,)))
        await self.one.act(action("attic"), Change((BAN,)))
        seen: list[bool] = []
        done = await self.other.act(
            action("den"), Change(ended=(LOCK.key,)), lambda: seen.append(LOCK in self.other.rules)
        )
        self.assertEqual((seen, list(self.other.rules)), ([False, True], [BAN]))
        self.assertEqual(len(await self.other.actions("den", WHOLE, 9)), 3)
        self.assertEqual((await self.other.actions("den", WHOLE, 1))[0], done)

    async def test_changes_of_other_rooms_are_no_reason_to_check_again(self) -> None:
        await self.begin()
        await self.deafen(self.other._database)
        await self.one.act(action("den"), Change((LOCK,)))
        seen: list[bool] = []
        attic = Rule(room="attic", kind="lock")
        await self.other.act(action("x", "attic"), Change((attic,)), lambda: seen.append(True))
        self.assertEqual((seen, set(self.other.rules)), ([True], {LOCK, attic}))

    async def test_a_change_that_was_missed_is_found(self) -> None:
        await self.begin()
        await self.deafen(self.other._database)
        await self.one.act(action("den"), Change((LOCK,)))
        await self.check(self.other)
        self.assertEqual(self.other.rules.get(LOCK.key), LOCK)
        await self.check(self.other)
        self.assertEqual(len(self.heard), 1)

    async def test_a_change_that_was_read_already_is_not_put_into_force_twice(self) -> None:
        await self.begin()
        await self.one.act(action("den"), Change((LOCK,)))
        await self.until_true(lambda: self.heard)
        await self.other._begun(2, lambda: self.heard.append(Change()))
        self.assertEqual(len(self.heard), 1)

    async def test_the_sessions_of_a_suspended_account_end_on_all_servers(self) -> None:
        await self.begin()
        here: list[str] = []
        self.one.follow(here.append)
        await self.one.add(account("alice"))
        await self.one.set_state("alice", "suspended")
        await self.until_true(lambda: self.ended)
        await self.check(self.one)
        self.assertEqual((here, self.ended), (["alice"], ["alice"]))

    async def test_what_is_stored_again_since_an_answer_was_lost_is_stored_once(self) -> None:
        await self.begin()
        lost = self.lose_answers()
        change = Change((LOCK,))
        done = await self.until(self.one.act(action("den"), change))
        self.assertEqual(await self.one.actions(None, WHOLE, 9), [done])
        self.assertEqual(self.one.rules.get(LOCK.key), LOCK)
        made = await self.until(self.one.report(Report(room="den", of=1, author="al")))
        self.assertEqual(await self.one.reports(0, 9), [made])
        self.assertTrue(await self.until(self.one.add(account("alice"))))
        self.assertTrue(await self.until(self.one.set_password("alice", "$argon2id$1", "$argon2id$2")))
        self.assertTrue(await self.until(self.one.add_token(token(b"1"), 1)))
        self.assertEqual(len(lost), 5)

    def lose_answers(self) -> list[str]:
        """Lose the first answer to each statement, after it was committed."""
        lost: list[str] = []

        def lossy(sql: str, *args: object) -> Any:
            async def work(connection: Any) -> Any:
                rows = await connection.fetch(sql, *args)
                if sql not in lost and any(word in sql for word in ("act(", "report(", "INSERT", "UPDATE", "add_")):
                    lost.append(sql)
                    raise ConnectionResetError
                return rows

            return work

        self.patch(registry_module, "fetch", lossy)
        return lost

    async def test_a_change_is_stored_even_if_those_before_it_cannot_be_read(self) -> None:
        await self.begin()
        await self.deafen(self.other._database)
        await self.one.act(action("den"), Change((LOCK,)))

        def broken(sql: str, *args: object) -> Any:
            async def work(connection: Any) -> Any:
                raise Unavailable("no")

            return work if "SELECT epoch" in sql else fetch(sql, *args)

        self.patch(registry_module, "fetch", broken)
        await self.other.act(action("den"), Change((BAN,)))
        self.assertEqual(self.heard, [])
        self.patch(registry_module, "fetch", fetch)
        await self.check(self.other)
        self.assertEqual(set(self.other.rules), {BAN, LOCK})

    async def test_a_change_of_this_server_while_others_are_read_comes_first(self) -> None:
        await self.begin()
        await self.deafen(self.other._database)
        await self.one.act(action("den"), Change((LOCK,)))
        begun: list[str] = []

        def slow(sql: str, *args: object) -> Any:
            async def work(connection: Any) -> Any:
                if "changed >" in sql and not begun:
                    begun.append(sql)
                    await self.other._act(action("den"), Change((BAN,)))
                return await connection.fetch(sql, *args)

            return work

        self.patch(registry_module, "fetch", slow)
        await self.check(self.other)
        self.assertEqual(set(self.other.rules), {BAN, LOCK})

    async def test_trouble_while_changes_are_read_is_logged_unless_the_database_is_away(self) -> None:
        await self.begin()
        for error, logged in ((Unavailable("no"), 0), (ZeroDivisionError(), 1)):

            async def fail(error: Exception = error) -> None:
                self.heard.append(Change())
                raise error

            self.patch(self.other, "_read_changes", fail)
            await self.one.act(action("den"), Change((LOCK,)))
            await self.until_true(lambda: self.heard)
            self.heard.clear()
            await deferLater(reactor, 0.01)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)

    async def test_rules_that_are_long_over_are_forgotten_at_a_start(self) -> None:
        await self.begin()
        over = Rule(room="den", kind="mute", subject="al", until=1)
        await self.one.act(action("den"), Change((over, LOCK)))
        await self.sql("UPDATE rule SET ended = now() - interval '8 days' WHERE kind = 'lock'")
        self.clock.advance(8 * 86_400)
        third = await self.open()
        self.assertEqual(list(third.rules), [])
        self.assertEqual((await self.sql("SELECT count(*) FROM rule"))[0][0], 0)

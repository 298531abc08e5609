"""The limits of several servers on one database."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.defer import DeferredList

from twisted_chat.shared_limits import ACCOUNT, ADDRESS, FORGET_SECONDS, Permission
from twisted_chat.stores.postgresql.limits import PostgreSQLLimits

from .postgresql import PostgreSQLTestCase

HOME, AWAY = "192.0.2.1", "198.51.100.1"


class LimitsTests(PostgreSQLTestCase):
    """Two servers count together."""

    one: PostgreSQLLimits
    other: PostgreSQLLimits

    async def begin(self) -> None:
        opened: list[Any] = [await self.open_postgresql() for _ in range(2)]
        self.one, self.other = [one.limits for one in opened]

    async def failed(self, count: int, account: str, network: str) -> None:
        for number in range(count):
            await (self.one, self.other)[number % 2].login_failed(account, network)

    async def wait(self, account: str, network: str) -> float:
        permission = await self.one.begin_login(account, network)
        return math.ceil(permission.wait)  # a part of a second of it may be over

    async def later(self, seconds: int) -> None:
        """Let so much time pass, as far as the tables know."""
        past = f"- interval '{seconds} s'"
        await self.sql(f"UPDATE failure SET last = last {past}, until = until {past}, compared = compared {past}")
        await self.sql(f"UPDATE bucket SET time = time {past}, filled = filled {past}")
        await self.sql(f"UPDATE owner_place SET time = time {past}")

    async def test_the_pause_of_an_account_grows_with_wrong_passwords_at_all_servers(self) -> None:
        await self.begin()
        await self.failed(ACCOUNT.free - 1, "al", "")
        self.assertEqual(await self.one.begin_login("al", ""), Permission())
        grown = []
        for number in range(9):
            await self.failed(1, "al", f"192.0.2.{number}")
            grown.append(await self.wait("al", AWAY))
        self.assertEqual(grown, [1, 2, 4, 8, 16, 32, 60, 60, 60])
        self.assertEqual(await self.wait("bo", AWAY), 0)
        await self.later(60)
        self.assertEqual(await self.wait("al", AWAY), 0)

    async def test_the_pause_of_a_network_is_for_all_accounts(self) -> None:
        await self.begin()
        for number in range(ADDRESS.free + 2):
            await self.failed(1, f"al{number}", HOME)
        self.assertEqual([await self.wait("bo", HOME), await self.wait("bo", AWAY)], [4, 0])
        await self.failed(20, "cy", "")
        self.assertEqual([await self.wait("bo", ""), await self.wait("cy", "")], [0, 60])
        await self.failed(100, "bo", HOME)
        self.assertEqual(await self.wait("dee", HOME), ADDRESS.longest)

    async def test_after_wrong_passwords_one_is_compared_at_a_time_at_all_servers(self) -> None:
        await self.begin()
        await self.failed(ACCOUNT.free - 1, "al", "")
        both = [await server.begin_login("al", "") for server in (self.one, self.other)]
        self.assertEqual(both, [Permission(), Permission()], "both may be wrong without a pause")
        await self.failed(1, "al", "")
        await self.later(1)
        asked = [server.begin_login("al", "") for server in (self.one, self.other)]
        both = [permission for _, permission in await DeferredList(asked)]
        self.assertEqual(sorted(permission.is_busy for permission in both), [False, True])
        self.assertEqual([permission.wait for permission in both], [0, 0])
        await self.later(5)
        self.assertEqual(await self.other.begin_login("al", ""), Permission(), "its server may have died")
        await self.other.login_succeeded("al", "")
        for server in self.one, self.other:
            self.assertEqual(await server.begin_login("al", ""), Permission())

    async def test_a_right_password_lets_the_next_one_of_its_network_through(self) -> None:
        await self.begin()
        await self.failed(ADDRESS.free, "al", HOME)
        await self.later(60)
        self.assertEqual(await self.one.begin_login("bo", HOME), Permission())
        self.assertTrue((await self.other.begin_login("cy", HOME)).is_busy)
        await self.one.login_succeeded("bo", HOME)
        self.assertEqual(await self.other.begin_login("cy", HOME), Permission())
        await self.failed(1, "cy", HOME)
        self.assertEqual(await self.wait("bo", HOME), 2, "the wrong ones still count")

    async def test_a_guesser_does_not_lock_the_owner_out_at_any_server(self) -> None:
        await self.begin()
        await self.one.login_succeeded("al", HOME)
        await self.other.note_owner("al", AWAY)
        await self.other.note_owner("al", AWAY)
        await self.failed(20, "al", "203.0.113.1")
        waits = [round((await self.other.begin_login("al", place)).wait) for place in (HOME, AWAY, "203.0.113.2")]
        self.assertEqual(waits, [0, 0, 60])

    async def test_an_hour_without_wrong_passwords_ends_their_count(self) -> None:
        await self.begin()
        await self.failed(20, "al", HOME)
        await self.later(3601)
        self.assertEqual(await self.wait("al", HOME), 0)
        await self.failed(1, "al", HOME)
        rows = await self.sql("SELECT DISTINCT number FROM failure")
        self.assertEqual([number for (number,) in rows], [1])

    async def test_tokens_are_taken_from_one_bucket(self) -> None:
        await self.begin()
        waits = [await server.take("a", 0.001, 2) for server in (self.one, self.other)]
        self.assertEqual(waits, [0, 0])
        self.assertEqual(round(await self.one.take("a", 0.001, 2), -2), 1000)
        self.assertEqual(await self.other.take("b", 0.001, 2), 0)
        await self.later(1_000)
        self.assertEqual(await self.other.take("a", 0.001, 2), 0)
        self.assertEqual(round(await self.one.take("a", 0.001, 2), -2), 1000)
        await self.later(1_000_000)
        self.assertEqual([await self.one.take("a", 0.001, 2) for _ in range(2)], [0, 0])
        self.assertEqual(round(await self.one.take("a", 0.001, 2), -2), 1000, "it holds no more than its burst")

    async def test_what_does_not_count_any_more_is_forgotten(self) -> None:
        await self.begin()
        for minute in 0, 1:
            await self.failed(1, f"al{minute}", HOME)
            await self.one.note_owner(f"al{minute}", HOME)
            await self.one.take(f"a{minute}", 0.1, 2)
            if not minute:
                await self.later(31 * 86_400)
        count = (
            "SELECT (SELECT count(*) FROM failure) + (SELECT count(*) FROM owner_place) + (SELECT count(*) FROM bucket)"
        )
        await self.sql("SELECT clean_up($1)", FORGET_SECONDS)
        self.assertEqual((await self.sql(count))[0][0], 4)

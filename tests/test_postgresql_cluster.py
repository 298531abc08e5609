"""Several chats on one database: who is at which server, and what members are told."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher

from twisted_chat import names
from twisted_chat.cluster import ClusterListener, Elsewhere, digest_of
from twisted_chat.log import Unavailable
from twisted_chat.messages import (
    Banned,
    Invited,
    Kicked,
    MemberJoined,
    MemberLeft,
    Message,
    NickChanged,
    Reply,
    Reported,
    TopicChanged,
    WireError,
)
from twisted_chat.names import Name
from twisted_chat.stores.postgresql import cluster as cluster_module
from twisted_chat.stores.postgresql.cluster import PostgreSQLCluster
from twisted_chat.stores.postgresql.database import Connection, fetch
from twisted_chat.stores.postgresql.news import News

from .postgresql import PostgreSQLTestCase

DEN = names.room("Den")
AL, BO = names.nick("al"), names.nick("Bo")


def joined(nick: Name) -> MemberJoined:
    return MemberJoined(author=nick.shown, room=DEN.shown)


def left(nick: Name) -> MemberLeft:
    return MemberLeft(author=nick.shown, room=DEN.shown)


class Chat(ClusterListener):
    """What a chat hears of other servers."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def notice_heard(self, room: str, notice: Reply) -> None:
        self.heard.append((room, notice))

    def reply_heard(self, nick: str, reply: Reply) -> None:
        self.heard.append((nick, reply))

    def report_heard(self, notice: Reply, seq: int) -> None:
        self.heard.append(("report", notice, seq))

    def direct_heard(self, log: Name, first: int) -> None:
        self.heard.append(("direct", log.key, first))

    def kick_heard(self, room: str, nick: str, author: str, reason: str) -> None:
        self.heard.append(("kick", room, nick, author, reason))

    def nick_taken(self, nick: str, digest: bytes) -> None:
        self.heard.append(("taken", nick, digest))

    def nick_lost(self, nick: str) -> None:
        self.heard.append(("lost", nick))


class ClusterTests(PostgreSQLTestCase):
    """Two servers."""

    one: PostgreSQLCluster
    other: PostgreSQLCluster

    async def begin(self) -> None:
        self.all_opened: list[Any] = []
        self.patch(cluster_module, "LEASE_SECONDS", 600)  # a test, whose clock moves slowly, ends no lease
        self.one, self.here = await self.open()
        self.other, self.there = await self.open()

    async def open(self, **options: Any) -> tuple[PostgreSQLCluster, Chat]:
        opened: Any = await self.open_postgresql(**options)
        self.opened = opened
        self.all_opened.append(opened)
        await self.until_true(lambda: opened.cluster._listens_on is not None)
        chat = Chat()
        opened.cluster.follow(chat)
        return opened.cluster, chat

    async def check(self, server: PostgreSQLCluster) -> None:
        """Let a server look who is there."""

        async def work(connection: Any) -> None:
            if server._listens_on is not None:
                server._listens_on = connection
            await server._check(connection)

        await server._database.run(server._database.attempt(work))

    async def hears(self, chat: Chat, count: int = 1) -> list[Any]:
        await self.until_true(lambda: len(chat.heard) >= count)
        heard, chat.heard = chat.heard, []
        return heard

    async def refused(self, claimed: Deferred[int]) -> str:
        error: Any = await self.assertFailure(claimed, WireError)
        self.assertEqual(error.code, "nick-taken")
        return str(error.text)

    # Nicks

    async def test_a_nick_is_one_guests_until_it_is_released(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        self.assertIn(
            "somebody else has this nick", await self.refused(self.other.claim(names.nick("AL"), False, "t", ""))
        )
        self.assertIn(
            "looks like that of somebody", await self.refused(self.other.claim(names.nick("аl"), False, "t", ""))
        )
        self.assertEqual(await self.other.find("al"), Elsewhere(AL, "", False))
        self.assertIsNone(await self.one.find("al"), "it is here")
        self.one.release(AL)
        await self.until_free(AL)
        await self.other.claim(AL, False, None, "")
        self.one.release(BO)
        self.assertEqual(self.there.heard, [])

    async def until_free(self, nick: Name) -> None:
        while (await self.sql("SELECT count(*) FROM nick WHERE key = $1", nick.key))[0][0]:
            pass

    async def test_a_nick_that_is_claimed_twice_here_is_released_twice(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, "t", "")
        await self.one.claim(AL, False, "t", "")
        self.one.release(AL)
        await self.check(self.one)
        self.assertEqual(await self.other.find("al"), Elsewhere(AL, "", False))
        self.one.release(AL)
        await self.until_free(AL)

    async def test_a_nick_that_is_claimed_while_it_is_released_is_announced(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        claimed, deleted = asyncio.Event(), asyncio.Event()

        async def work(connection: Connection, sql: str, *args: object) -> Any:
            if "DELETE" in sql:
                await claimed.wait()
            rows = await connection.fetch(sql, *args)
            if "DELETE" in sql:
                deleted.set()
            else:
                claimed.set()
                await deleted.wait()  # it is answered last
            return rows

        self.patch(cluster_module, "fetch", lambda sql, *args: lambda connection: work(connection, sql, *args))
        self.one.release(AL)
        await self.one.claim(AL, False, None, "")
        self.patch(cluster_module, "fetch", fetch)
        self.assertIsNone(await self.other.find("al"))
        await self.check(self.one)
        self.assertEqual(await self.other.find("al"), Elsewhere(AL, "", False))

    async def test_a_release_that_fails_is_announced(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        self.break_down("DELETE FROM nick")
        self.one.release(AL)
        await self.until_true(lambda: self.one._has_to_announce)
        await self.check(self.one)
        self.assertIsNone(await self.other.find("al"))

    async def test_what_is_claimed_and_published_during_an_announcement_is_part_of_it(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        self.one.publish(DEN, joined(AL), 1)
        await self.hears(self.there)
        await self.sql("DELETE FROM nick")
        await self.sql("DELETE FROM member")
        connection = await self.on_loop(self.connect())
        transaction = connection.transaction()
        await self.on_loop(transaction.start())
        nick = "INSERT INTO nick VALUES ('al', $1, 'al', 'al', false, NULL, '', 2)"
        await self.on_loop(connection.execute(nick, self.one.server))
        member = "INSERT INTO member VALUES ('den', 'al', $1, 'Den', 'AL')"
        await self.on_loop(connection.execute(member, self.one.server))
        self.one._has_to_announce = True
        checked = Deferred.fromCoroutine(self.check(self.one))
        await self.until_sql("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        await self.on_loop(transaction.commit())
        await checked
        self.assertEqual((await self.sql("SELECT name, sessions FROM nick"))[0], ("al", 1))
        self.assertEqual((await self.sql("SELECT name FROM member"))[0], ("al",))
        await self.on_loop(connection.close())

    async def test_an_announcement_that_fails_is_made_again(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        await self.sql("TRUNCATE lease, nick")
        kind: Any = asyncpg.Connection
        work = kind.fetch

        async def broken(connection: Any, sql: str, *args: object) -> Any:
            if "announce(" in sql:
                raise ZeroDivisionError
            return await work(connection, sql, *args)

        self.patch(kind, "fetch", broken)
        await self.assertFailure(Deferred.fromCoroutine(self.check(self.one)), ZeroDivisionError)
        self.patch(kind, "fetch", work)
        await self.check(self.one)
        self.assertEqual(await self.other.find("al"), Elsewhere(AL, "", False))

    async def test_a_guest_with_the_same_token_takes_its_nick_along(self) -> None:
        await self.begin()
        _, third = await self.open()
        await self.one.claim(AL, False, "secret", "")
        await self.other.claim(AL, False, "secret", "")
        self.assertEqual(await self.hears(self.here), [("taken", "al", digest_of("secret"))])
        self.other.kick("den", BO, "al", "")
        self.assertEqual(len(await self.hears(third)), 1, "it is not told to others")
        self.assertEqual((await self.sql("SELECT count(*) FROM nick"))[0][0], 1)
        rows = await self.sql("SELECT token FROM nick")
        self.assertNotIn(b"secret", rows[0][0])

    async def test_only_the_server_that_has_lost_a_nick_is_told(self) -> None:
        await self.begin()
        third, elsewhere = await self.open()
        for server in self.one, self.other, third:
            await server.claim(AL, False, "secret", "")
        await self.until_told({self.one: self.here, self.other: self.there, third: elsewhere})
        taken = ("taken", "al", digest_of("secret"))
        heard = [[one for one in chat.heard if one[0] == "taken"] for chat in (self.here, self.there, elsewhere)]
        self.assertEqual(heard, [[taken], [taken], []])

    async def until_told(self, servers: dict[PostgreSQLCluster, Chat]) -> None:
        """Wait until each server has heard what the others have told so far."""
        for server in servers:
            server.kick("den", BO, "al", "")
        chats = servers.values()
        await self.until_true(
            lambda: all(sum(one[0] == "kick" for one in chat.heard) == len(servers) - 1 for chat in chats)
        )

    async def test_of_servers_that_claim_a_nick_with_one_token_at_the_same_moment_one_keeps_it(self) -> None:
        await self.begin()
        third, elsewhere = await self.open()
        servers = {self.one: self.here, self.other: self.there, third: elsewhere}
        claimed = await DeferredList([server.claim(AL, False, "secret", "") for server in servers], consumeErrors=True)
        await self.until_told(servers)
        alive = [
            server.server
            for (server, chat), (is_claimed, _) in zip(servers.items(), claimed, strict=True)
            if is_claimed and all(one[0] != "taken" for one in chat.heard)
        ]
        self.assertEqual(len(alive), 1)
        self.assertEqual([server for (server,) in await self.sql("SELECT server::text FROM nick")], alive)

    async def test_a_nick_that_is_lost_before_its_claim_is_answered_is_refused(self) -> None:
        await self.begin()
        stored, go_on = asyncio.Event(), asyncio.Event()
        attempt = self.one._database.attempt

        async def slow(work: Any) -> Any:
            answer = await attempt(work)
            stored.set()
            await go_on.wait()
            return answer

        self.patch(self.one._database, "attempt", slow)
        claiming = self.one.claim(AL, False, "secret", "")
        await self.until_true(stored.is_set)
        await self.other.claim(AL, False, "secret", "")
        await self.hears(self.here)
        go_on.set()
        self.assertIn("a new connection of yours", await self.refused(claiming))
        self.assertEqual(self.one._claims, {})
        self.assertEqual((await self.sql("SELECT server::text FROM nick"))[0][0], self.other.server)

    async def test_a_guest_that_has_come_back_is_not_ended_for_what_it_lost_before(self) -> None:
        await self.begin()
        held: list[News] = []
        self.one._database._heard[:] = [held.append]
        await self.one.claim(AL, False, "secret", "")
        await self.other.claim(AL, False, "secret", "")
        await self.until_true(lambda: any(news.events for news in held))
        await self.one.claim(AL, False, "secret", "")
        for news in held:
            self.one._told(news)
        self.assertEqual(self.here.heard, [])
        self.assertEqual(await self.hears(self.there), [("taken", "al", digest_of("secret"))])
        for _ in range(2):
            self.one.release(AL)
        for news in held:
            self.one._told(news)
        self.assertEqual(self.here.heard, [], "nobody has the nick any more")

    async def test_an_account_may_be_at_several_servers(self) -> None:
        await self.begin()
        await self.one.claim(AL, True, None, "")
        await self.other.claim(AL, True, None, "")
        self.assertEqual((await self.sql("SELECT count(*) FROM nick"))[0][0], 2)
        self.assertIn("somebody else has", await self.refused((await self.open())[0].claim(AL, False, None, "")))

    async def test_a_nick_is_found_with_its_network_and_its_account(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "198.51.100.7")
        await self.one.claim(BO, True, None, "")
        found = [await self.other.find(nick) for nick in ("al", "bo", "cy")]
        self.assertEqual(found, [Elsewhere(AL, "198.51.100.7", False), Elsewhere(BO, "", True), None])
        await self.sql("TRUNCATE lease")
        await self.check(self.one)
        await self.check(self.other)
        self.assertEqual(await self.other.find("al"), Elsewhere(AL, "198.51.100.7", False))

    async def test_the_sessions_of_an_account_at_other_servers_are_counted(self) -> None:
        await self.begin()
        third, _ = await self.open()
        order = self.one, self.one, self.other, third, self.one
        self.assertEqual([await server.claim(AL, True, None, "") for server in order], [0, 0, 2, 3, 2])
        self.one.release(AL)
        await self.until_sql("SELECT sessions = 2 FROM nick WHERE server = $1", self.one.server)
        self.assertEqual(await third.claim(AL, True, None, ""), 3)
        await self.sql("TRUNCATE lease, nick")
        for server in self.one, self.other:
            await self.check(server)
        self.assertEqual(await third.claim(AL, True, None, ""), 3)

    async def test_sessions_that_begin_at_the_same_moment_all_count(self) -> None:
        await self.begin()
        await gatherResults([self.one.claim(AL, True, None, "") for _ in range(3)])
        await self.until_sql("SELECT sessions = 3 FROM nick")
        self.assertEqual(await self.other.claim(AL, True, None, ""), 3)

    async def test_sessions_that_end_at_the_same_moment_count_no_more(self) -> None:
        await self.begin()
        for _ in range(3):
            await self.one.claim(AL, True, None, "")
        begun: list[object] = []
        stored: list[object] = []
        is_overtaken = asyncio.Event()

        async def work(connection: Connection, sql: str, *args: object) -> Any:
            begun.append(args[-1])
            if len(begun) == 1:
                await is_overtaken.wait()
            rows = await connection.fetch(sql, *args)
            stored.append(args[-1])
            is_overtaken.set()
            return rows

        self.patch(cluster_module, "fetch", lambda sql, *args: lambda connection: work(connection, sql, *args))
        self.one.release(AL)
        await self.until_true(lambda: begun)
        self.one.release(AL)
        await self.until_true(lambda: len(stored) == 3)
        self.assertEqual((begun, stored), ([2, 1, 1], [1, 2, 1]))

    async def test_a_nick_whose_guest_gives_way_to_an_account_is_the_accounts(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        await self.one.claim(AL, True, None, "")
        self.one.release(AL)
        await self.until_sql("SELECT account AND sessions = 1 FROM nick")
        self.one._has_to_announce = True
        await self.check(self.one)
        self.assertEqual(await self.other.claim(AL, True, None, ""), 1)
        self.other.kick("den", BO, "al", "")
        self.assertEqual(await self.hears(self.here), [("kick", "den", "bo", "al", "")], "its nick is not lost")

    async def until_sql(self, sql: str, *args: object) -> None:
        while not (await self.sql(sql, *args))[0][0]:
            pass

    async def test_a_session_of_an_account_is_ended_by_its_token_and_no_other_one(self) -> None:
        await self.begin()
        await self.one.claim(AL, True, "phone", "")
        await self.one.claim(AL, True, "laptop", "")
        await self.other.claim(AL, True, "laptop", "")
        self.assertEqual(await self.hears(self.here), [("taken", "al", digest_of("laptop"))])
        self.assertEqual((await self.sql("SELECT count(*) FROM nick"))[0][0], 2)

    async def test_a_guest_loses_a_nick_that_has_become_an_accounts(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        third, elsewhere = await self.open()
        await self.other.claim(AL, True, None, "")
        self.assertEqual(await self.hears(self.here), [("lost", "al")])
        self.assertTrue(self.one._has_to_announce)
        self.other.kick("den", BO, "al", "")
        self.assertEqual(len(await self.hears(elsewhere)), 1, "it is not told to others")
        self.assertFalse(third._has_to_announce)

    async def test_a_nick_that_is_registered_is_an_accounts(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        self.one.registered(AL)
        self.one.registered(BO)
        await self.until_sql("SELECT account FROM nick")
        await self.other.claim(AL, True, None, "")
        await self.sql("UPDATE lease SET until = now() WHERE server = $1", self.one.server)
        await self.check(self.one)
        self.other.kick("den", BO, "al", "")
        self.assertEqual(await self.hears(self.here), [("kick", "den", "bo", "al", "")], "its nick is not lost")

    def break_down(self, what: str) -> None:
        """Let statements fail that have these words."""

        def broken(sql: str, *args: object) -> Any:
            async def work(connection: Any) -> Any:
                raise Unavailable("no")

            return work if what in sql else fetch(sql, *args)

        self.patch(cluster_module, "fetch", broken)

    async def test_what_cannot_be_stored_of_a_nick_is_announced(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        self.break_down("UPDATE nick")
        self.one.registered(AL)
        await self.until_true(lambda: self.one._has_to_announce)
        await self.check(self.one)
        self.assertEqual(await self.other.find("al"), Elsewhere(AL, "", True))

    async def test_a_claim_that_fails_leaves_nothing_behind(self) -> None:
        await self.begin()
        await self.one.claim(AL, True, None, "")
        self.one.publish(DEN, joined(AL), 1)
        await self.hears(self.there)
        self.break_down("ANY ($2)")
        await self.assertFailure(self.other.claim(AL, True, None, ""), Unavailable)
        self.patch(cluster_module, "fetch", fetch)
        self.assertEqual(await self.other.claim(AL, True, None, ""), 1)
        self.assertTrue(self.other.is_member("den", "al"), "it is read again")
        self.break_down("claim(")
        await self.assertFailure(self.other.claim(AL, True, None, ""), Unavailable)
        self.assertTrue(self.other.is_member("den", "al"), "another session goes on")

    # Members and notices

    async def test_notices_are_heard_at_the_other_servers_in_order_with_the_number_of_members(self) -> None:
        await self.begin()
        self.one.publish(DEN, joined(AL), 1)
        self.one.publish(DEN, joined(BO), 2)
        topic = TopicChanged(author="Al", room="Den", msg="\0 " + "x" * 256)
        self.one.publish(DEN, topic, 2)
        self.assertEqual(await self.hears(self.there, 3), [("den", joined(AL)), ("den", joined(BO)), ("den", topic)])
        self.assertEqual((self.other.count("den"), list(self.other.occupied())), (2, [(DEN, 2)]))
        self.assertEqual(await self.other.members("den"), [AL, BO])
        self.assertEqual((await self.one.members("den"), self.one.count("den")), ([], 0))
        changed = NickChanged(author="Bo", nick="Ed", room="Den")
        kicked = Kicked(author="Al", room="Den", nick="Al")
        self.one.publish(DEN, changed, 2)
        self.one.publish(DEN, kicked, 1)
        await self.hears(self.there, 2)
        self.assertEqual(await self.other.members("den"), [names.nick("Ed")])
        self.one.publish(DEN, left(names.nick("Ed")), 0)
        await self.hears(self.there)
        self.assertEqual((self.other.count("den"), list(self.other.occupied())), (0, []))
        self.assertEqual(await self.other.members("den"), [])
        self.assertEqual(self.here.heard, [])

    async def test_an_account_in_a_room_at_several_servers_counts_once(self) -> None:
        await self.begin()
        third, _ = await self.open()
        servers = [self.one, self.other, third]
        for server in servers:
            await server.claim(AL, True, None, "")
            server.publish(DEN, joined(AL), 1, is_told=server is self.one)
        await self.until_true(lambda: all(server.is_member("den", "al") for server in servers))
        await self.until_true(lambda: [server.count("den") for server in servers] == [0, 0, 0])
        fourth, _ = await self.open()
        await self.until_true(lambda: fourth.count("den"))
        self.assertEqual((fourth.count("den"), await fourth.members("den")), (1, [AL]))
        self.assertEqual(self.there.heard, [("den", joined(AL))], "the others enter silently")
        self.one.publish(DEN, left(AL), 0, is_told=False)
        await self.until_true(lambda: [server.count("den") for server in servers] == [1, 0, 0])
        await self.until_true(lambda: fourth.count("den") == 1)
        await self.sql("UPDATE lease SET until = now() WHERE server = $1", self.other.server)
        await self.check(third)
        self.assertEqual((third.count("den"), third.is_member("den", "al")), (0, False))
        await self.check(self.one)
        self.assertEqual(self.here.heard, [], "it is still there at the third one")

    async def test_an_account_that_comes_later_knows_where_it_is(self) -> None:
        await self.begin()
        await self.one.claim(AL, True, None, "")
        self.one.publish(DEN, joined(AL), 1)
        await self.hears(self.there)
        await self.other.claim(AL, True, None, "")
        self.assertTrue(self.other.is_member("den", "al"))
        self.assertFalse(self.other.is_member("attic", "al"))
        self.other._listens_on = None
        await self.check(self.other)
        self.assertTrue(self.other.is_member("den", "al"))
        self.other.release(AL)
        self.assertFalse(self.other.is_member("den", "al"))

    async def test_a_departure_from_two_servers_at_the_same_moment_is_told_once(self) -> None:
        await self.begin()
        _, third = await self.open()
        for server in self.one, self.other:
            await server.claim(AL, True, None, "")
            server.publish(DEN, joined(AL), 1, is_told=server is self.one)
        await self.until_true(lambda: self.one.is_member("den", "al") and self.other.is_member("den", "al"))
        for server in self.one, self.other:
            server.publish(DEN, left(AL), 0, is_told=False)
            server.release(AL)
        await self.until_true(lambda: len(third.heard) == 2)
        self.assertEqual(third.heard, [("den", joined(AL)), ("den", left(AL))])
        notices = [notice for _, notice in self.here.heard + self.there.heard]
        self.assertEqual([notice for notice in notices if isinstance(notice, MemberLeft)], [left(AL)] * 2)

    async def test_a_server_that_begins_counts_those_who_are_there(self) -> None:
        await self.begin()
        self.one.publish(DEN, joined(AL), 1)
        await self.hears(self.there)
        third, _ = await self.open()
        await self.until_true(lambda: third.count("den"))
        self.assertEqual((third.count("den"), list(third.occupied())), (1, [(DEN, 1)]))

    async def test_what_is_heard_while_members_are_counted_is_counted(self) -> None:
        await self.begin()
        kind: Any = type(self.other._listens_on)
        fetch = kind.fetch

        async def slow(connection: Any, sql: str, *args: object) -> Any:
            rows = await fetch(connection, sql, *args)
            if "min(shown)" in sql and not self.there.heard:
                self.one.publish(DEN, joined(AL), 1)
                while not self.there.heard:
                    await connection.fetchval("SELECT 1")
            return rows

        self.patch(kind, "fetch", slow)
        self.other._listens_on = None
        await self.check(self.other)
        self.assertEqual(self.other.count("den"), 1)

    async def test_the_people_of_a_dead_server_leave(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        self.one.publish(DEN, joined(AL), 1)
        await self.hears(self.there)
        await self.sql("UPDATE lease SET until = now() WHERE server = $1", self.one.server)
        await self.check(self.other)
        self.assertEqual(self.there.heard, [("den", left(AL))])
        self.assertEqual((self.other.count("den"), await self.other.members("den")), (0, []))
        await self.other.claim(AL, False, None, "")
        await self.check(self.one)
        self.assertEqual(self.here.heard, [("lost", "al")])
        await self.sql("UPDATE lease SET until = now() - interval '61 s' WHERE server = $1", self.one.server)
        await self.sql("SELECT clean_up(3600)")
        self.assertEqual((await self.sql("SELECT count(*) FROM member"))[0][0], 0)
        self.assertEqual(await self.sql("SELECT DISTINCT server::text FROM nick"), [(self.other.server,)])

    async def test_a_server_that_stops_is_gone_at_once(self) -> None:
        await self.begin()
        self.one.publish(DEN, joined(AL), 1)
        await self.hears(self.there)
        await self.one.close()
        await self.check(self.one)
        self.assertEqual(await self.hears(self.there), [("den", left(AL))])

    async def test_what_the_database_has_forgotten_is_announced_again(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, "t", "")
        self.one.publish(DEN, joined(AL), 1)
        await self.hears(self.there)
        await self.sql("TRUNCATE lease, nick, member, parcel")
        await self.check(self.one)
        await self.check(self.other)
        self.assertEqual(await self.other.members("den"), [AL])
        self.assertEqual(await self.other.find("al"), Elsewhere(AL, "", False))
        await self.until_true(lambda: self.other.count("den") == 1)
        self.assertEqual(self.here.heard, [])

    # Messages and kicks

    async def test_a_message_is_handed_over_however_long_it_is(self) -> None:
        await self.begin()
        for text in ("hi", "x" * 16_000):
            message = Message(text, "Al", None, "Bo", None, "2026-11-22T11:00:00.000Z")
            self.one.hand_over(BO, message)
            self.assertEqual(await self.hears(self.there), [("bo", message)])

    async def test_many_events_are_told_in_several_notifications(self) -> None:
        await self.begin()
        for number in range(40):
            self.one.hand_over(BO, Message(f"{number}" + "x" * 500, "Al", None, "Bo", None, "t"))
        heard = await self.hears(self.there, 40)
        self.assertEqual([message.msg.rstrip("x") for _, message in heard], [str(number) for number in range(40)])

    async def test_a_kick_reaches_the_server_of_its_target(self) -> None:
        await self.begin()
        self.one.kick("den", BO, "Al", "spam\0")
        self.assertEqual(await self.hears(self.there), [("kick", "den", "bo", "Al", "spam\0")])

    async def test_a_report_reaches_all_servers(self) -> None:
        await self.begin()
        notice = Reported(author="Al", room="den", of=4, time="t", msg="rude\0")
        self.one.report(notice, 7)
        self.assertEqual(await self.hears(self.there), [("report", notice, 7)])

    async def test_an_invitation_reaches_the_server_of_its_target(self) -> None:
        await self.begin()
        invited = Invited(author="Al", room="den", nick="Bo")
        self.one.hand_over(BO, invited)
        self.assertEqual(await self.hears(self.there), [("bo", invited)])

    async def test_direct_messages_in_a_log_that_is_not_open_are_heard_of(self) -> None:
        from .stores import entry, keep

        await self.begin()
        log = self.opened.log
        direct = await log.open(names.direct(AL, BO))
        for _ in range(2):
            await keep(log, [entry(direct, "a"), entry(direct, "b")], 5)
        self.assertEqual(await self.hears(self.here, 2), [("direct", "@al@bo", 1), ("direct", "@al@bo", 3)])

    async def test_direct_messages_that_were_told_while_a_server_was_away_are_found(self) -> None:
        from .stores import entry, keep

        await self.begin()
        here: Any = self.one._database
        log = self.opened.log
        (al_bo, al_cy, bo_cy) = [
            await log.open(names.direct(*map(names.nick, pair))) for pair in (("al", "bo"), ("al", "cy"), ("bo", "cy"))
        ]
        await keep(log, [entry(al_bo, "a"), entry(al_cy, "a"), entry(await log.open(DEN), "a")], 5)
        await self.hears(self.here, 2)
        await self.deafen(here)
        is_open = await self.log_of(self.one).open(al_cy.name)
        for text in "bc":
            said = [entry(one, text) for one in (al_bo, bo_cy, al_cy, await log.open(DEN))]
            await keep(log, said, 5)
        for _ in range(3):
            await here.run(here.attempt(self.log_of(self.one)._check))
        self.assertEqual(self.here.heard, [("direct", "@al@bo", 2), ("direct", "@bo@cy", 1)], "each once")
        await self.until_true(lambda: is_open.seq == 3)
        await self.sql("UPDATE direct_turn SET time = now() - interval '61 minutes' WHERE turn = 1")
        await self.sql("SELECT clean_up(3600)")
        self.assertEqual((await self.sql("SELECT count(*), min(turn) FROM direct_turn"))[0], (6, 2))

    def log_of(self, server: PostgreSQLCluster) -> Any:
        """Return the log of a server."""
        return next(opened.log for opened in self.all_opened if opened.cluster is server)

    async def test_a_server_that_begins_hears_of_no_direct_messages_from_before(self) -> None:
        from .stores import entry, keep

        await self.begin()
        log = self.opened.log
        await keep(log, [entry(await log.open(names.direct(AL, BO)), "a")], 5)
        third, elsewhere = await self.open()
        await self.until_true(lambda: self.log_of(third)._turns)
        listening: Any = third._database._listening
        await self.sql("SELECT pg_terminate_backend($1)", listening.get_server_pid())
        await self.until_true(lambda: third._database._listening not in (None, listening))
        self.one.hand_over(BO, Message("psst", "al", None, "Bo", None, "t"))
        await self.hears(elsewhere)

    async def test_direct_messages_in_any_number_of_logs_are_heard_of(self) -> None:
        from .stores import entry, keep

        await self.begin()
        log = self.opened.log
        for count in 50, 250:  # the second turn takes more than one notification holds
            pairs = [names.direct(names.nick(f"{n:x<29}"), names.nick(f"{n:y<29}")) for n in range(1000, 1000 + count)]
            await keep(log, [entry(await log.open(pair), "a") for pair in pairs], 5)
            heard = await self.hears(self.here, count)
            self.assertEqual({key for _, key, _ in heard}, {pair.key for pair in pairs})
            await self.sql("DELETE FROM room")
            log._open.clear()

    async def test_messages_are_heard_in_order_however_long_they_are(self) -> None:
        await self.begin()
        sent = [Message(text, "Al", None, "Bo", None, "t") for text in ("x" * 16_000, "a", "y" * 16_000, "b")]
        for message in sent:
            self.one.hand_over(BO, message)
            await self.until_true(lambda: not self.one._is_publishing)
        self.assertEqual(await self.hears(self.there, 4), [("bo", message) for message in sent])

    # Forged notifications

    async def test_a_forged_notification_takes_nothing_from_others(self) -> None:
        await self.begin()
        listening = self.other._database._listening
        events: list[dict[str, object]] = [
            {"kind": "count", "server": "x", "room": "lobby", "shown": "lobby", "count": 7},
            {"kind": "count", "room": "lobby", "shown": "lobby", "count": 7},
            {"kind": "notice", "server": str(uuid4()), "room": "lobby", "shown": "lobby", "count": 7, "reply": "{}"},
        ]
        for event in events:
            await self.sql("SELECT tell($1::json)", json.dumps({"events": [event]}))
        message = Message("psst", "al", None, "Bo", None, "t")
        self.one.hand_over(BO, message)
        self.assertEqual(await self.hears(self.there), [("bo", message)])
        for server in self.one, self.other:
            await self.check(server)
            self.assertEqual(server.count("lobby"), 0)
            self.flushLoggedErrors()
        self.assertIs(self.other._database._listening, listening)

    async def test_an_event_that_cannot_be_passed_on_takes_none_of_the_others_along(self) -> None:
        await self.begin()
        server = str(uuid4())
        bad = {"kind": "reply", "server": server, "nick": "bo", "reply": "{"}
        good = {"kind": "kick", "server": server, "room": "den", "nick": "bo", "author": "al", "msg": ""}
        await self.sql("SELECT tell($1::json)", json.dumps({"events": [bad, good]}))
        self.assertEqual(await self.hears(self.there), [("kick", "den", "bo", "al", "")])
        await self.hears(self.here)
        self.assertEqual(len(self.flushLoggedErrors(ValueError, WireError)), 2)

    # Trouble

    async def test_the_condition_is_that_of_the_last_check(self) -> None:
        await self.begin()
        await self.deafen(self.one._database)
        await self.check(self.one)
        self.clock.advance(3)
        condition = self.one.condition()
        self.assertEqual((condition.servers, round(condition.heartbeat_age, 3)), (2, 3))
        await self.other.close()
        await self.check(self.one)
        self.assertEqual((self.one.condition().servers, self.one.condition().heartbeat_age), (1, 0))

    async def test_a_clock_that_is_wrong_is_logged_once(self) -> None:
        await self.begin()
        await self.deafen(self.one._database)
        events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        ((now,),) = await self.sql("SELECT extract(epoch FROM clock_timestamp())::float8")
        warnings = []
        for time in now, now + 3600, now + 3600, now, now - 3600:
            self.clock.rightNow = time
            await self.check(self.one)
            warnings.append(sum("clock" in str(event["log_format"]) for event in events))
        self.assertEqual(warnings, [0, 1, 1, 1, 2])
        self.assertEqual(round(self.one.condition().clock_ahead / 60), -60)

    async def test_what_is_published_before_the_chat_listens_is_counted_and_not_heard(self) -> None:
        await self.begin()
        self.other.follow(ClusterListener())
        self.one.publish(DEN, joined(AL), 1)
        self.one.hand_over(BO, Message("psst", "al", None, "Bo", None, "t"))
        self.one.kick("den", BO, "al", "")
        await self.until_true(lambda: self.other.count("den"))
        await self.sql("UPDATE lease SET until = now() WHERE server = $1", self.one.server)
        await self.check(self.other)
        self.assertEqual((self.other.count("den"), self.there.heard), (0, []))

    async def test_what_cannot_be_told_is_announced(self) -> None:
        await self.begin()
        await self.one.claim(AL, False, None, "")
        for error in (Unavailable("no"), ZeroDivisionError()):

            def broken(sql: str, *args: object, error: Exception = error) -> Any:
                async def work(connection: Any) -> Any:
                    raise error

                return work

            self.patch(cluster_module, "fetch", broken)
            self.one.publish(DEN, joined(AL), 1)
            await self.until_true(lambda: self.one._has_to_announce)
            self.patch(cluster_module, "fetch", fetch)
            self.assertEqual(await self.other.members("den"), [])
            await self.check(self.one)
            self.assertEqual(await self.other.members("den"), [AL])
            await self.sql("DELETE FROM member")
            await deferLater(reactor, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_events_that_wait_are_bounded(self) -> None:
        await self.begin()
        self.patch(cluster_module, "MOST_QUEUED", 2)
        for _ in range(3):
            self.one.publish(DEN, Banned(author="Al", who="mo"), 1)
        self.assertTrue(self.one._has_to_announce)
        self.assertEqual(len(await self.hears(self.there, 2)), 2)

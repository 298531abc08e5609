"""A database that is away: what is asked for takes a while, or is refused, and everything goes on by itself."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from typing import Any, cast
from urllib.parse import quote

import asyncpg
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher

from twisted_chat import names
from twisted_chat.log import Condition, RoomLog, Unavailable, Unusable
from twisted_chat.stores.postgresql import database as database_module
from twisted_chat.stores.postgresql.database import (
    ATTEMPT_SECONDS,
    CHECK_SECONDS,
    Connection,
    Database,
    explain,
    fetch,
    is_passing,
    is_passing_at_start,
)
from twisted_chat.stores.postgresql.log import PostgreSQLLog
from twisted_chat.stores.postgresql.news import News
from twisted_chat.stores.postgresql.urls import check_url, hosts_of, is_url, without_password
from twisted_chat.stores.retention import Keep

from .postgresql import PostgreSQLTestCase
from .postgresql_programs import Cluster, find_programs
from .stores import entry, keep
from .test_postgresql_log import Follower


class DatabaseTestCase(PostgreSQLTestCase):
    """Tests with what the log of the server says."""

    def setUp(self) -> Any:
        self.events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        return super().setUp()

    def logged(self) -> list[str]:
        """List what the store has logged, but for the clock of the tests, which is wrong by decades."""
        events = [event for event in self.events if str(event.get("log_namespace", "")).startswith("twisted_chat")]
        lines = [str(event["log_format"]).format(**event) for event in events]
        return [line for line in lines if "the clock of this machine" not in line]

    async def open(self, url: str | None = None, **options: Any) -> PostgreSQLLog:
        log: Any = (await self.open_postgresql(url, **options)).log
        await self.until_true(lambda: log._listens_on is not None)
        return log  # type: ignore[no-any-return]  # the store that a test opens is this one

    def database(self, url: str | None = None, patience: float = 600) -> Database:
        database = Database(url or self.cluster.url, self.clock, self.loop, patience)
        self.addCleanup(lambda: database.run(database.close()))
        return database

    async def room(self, log: PostgreSQLLog, name: str = "lobby") -> RoomLog:
        return await log.open(names.room(name))


class OutageTests(DatabaseTestCase):
    """PostgreSQL ends, hangs, and comes back."""

    def make_cluster(self) -> Cluster:
        cluster = Cluster()
        self.addCleanup(cluster.remove)
        return cluster

    async def test_an_append_waits_for_a_database_that_comes_back(self) -> None:
        log = await self.open(patience=600)
        here = Follower(await self.room(log))
        self.cluster.kill()
        said = entry(here.log, "a", "1")
        kept = log.append([said], 5)
        await self.until_true(self.logged)
        self.assertEqual(log.condition(), Condition(patience=600))
        self.cluster.start()
        self.assertIsNone(await self.until(kept))
        self.assertEqual((said.fresh, here.texts, log.condition().trouble), (True, ["a"], ""))
        self.assertEqual(len(self.logged()), 2, self.logged())
        self.assertIn("does not work now", self.logged()[0])
        self.assertIn("works again", self.logged()[1])

    async def test_an_append_is_refused_after_a_while_and_what_was_missed_is_heard_later(self) -> None:
        log, other = await self.open(patience=1), await self.open(patience=600)
        here, there = Follower(await self.room(log)), Follower(await self.room(other))
        self.cluster.kill()
        said = entry(here.log, "a", "1")
        failure = await self.until(log.append([said], 5))
        self.assertEqual(failure.type, Unavailable)
        self.assertFalse(said.fresh)
        await self.until_true(lambda: log.condition().trouble)
        self.cluster.start()
        said = entry(there.log, "b", "2")
        await self.until(other.append([said], 6))
        await self.until_true(lambda: here.records)
        self.assertEqual((here.texts, there.texts), (["b"], ["b"]))

    async def test_a_database_that_hangs_is_not_waited_for(self) -> None:
        log = await self.open(patience=0)
        here = Follower(await self.room(log))
        await keep(log, [entry(here.log, "a")], 5)
        self.cluster.signal_all(signal.SIGSTOP)
        kept: list[Any] = []
        log.append([entry(here.log, "b", "1")], 6).addBoth(kept.append)
        await self.until_true(lambda: not log._database.appending._idle)
        self.clock.advance(ATTEMPT_SECONDS)
        await self.until_true(lambda: kept)
        self.assertEqual(kept[0].type, Unavailable)
        self.assertIn("it does not answer", str(kept[0].value))
        self.cluster.signal_all(signal.SIGCONT)
        await self.until_true(lambda: not log.condition().trouble)
        again = entry(here.log, "b", "1")
        await self.until(log.append([again], 7))
        await self.until_true(lambda: len(here.records) == 2)
        self.assertEqual(here.texts, ["a", "b"])


class StandbyTests(DatabaseTestCase):
    """A commit waits for a synchronous standby, and others need not wait for that."""

    def make_cluster(self) -> Cluster:
        cluster = Cluster()
        self.addCleanup(cluster.remove)
        return cluster

    async def require_standby(self, name: str) -> None:
        """Let commits wait for a standby of this name; there is none."""
        await self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        await self.sql("SELECT pg_reload_conf()")
        shown: list[str] = []
        while shown[-1:] != [name]:
            shown += [value for (value,) in await self.sql("SHOW synchronous_standby_names")]

    async def waiting(self) -> int:
        """Return the number of commits that wait for the standby."""
        ((count,),) = await self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        return int(count)

    async def test_notifications_do_not_wait_for_the_commits_of_others(self) -> None:
        log = await self.open(patience=600, keep=Keep(messages=1))
        here = Follower(await self.room(log))
        await keep(log, [entry(here.log, "a"), entry(here.log, "b")], 5)
        (room,) = await log.overdue(0)
        empty = await self.room(log, "empty")
        await empty.set_topic("cats")
        ((other,),) = await self.sql("SELECT id FROM room WHERE key = 'empty'")
        for work in (
            lambda: log.append([entry(here.log, "c")], 6),
            lambda: here.log.set_topic("dogs"),
            lambda: log.trim(room, 0),
            lambda: log.forget_rooms([other]),
        ):
            await self.require_standby("nobody")
            done = work()
            while not await self.waiting():
                pass
            await self.sql("SELECT pg_notify('elsewhere', 'something')")
            self.assertFalse(done.called)
            await self.require_standby("")
            await self.until(done)
        self.assertEqual((here.texts, here.log.topic, here.log.oldest), (["a", "b", "c"], "dogs", 3))

    async def test_a_primary_that_has_lost_its_standbys_is_left_for_the_new_one(self) -> None:
        new = Cluster()
        self.addCleanup(new.remove)
        self.promote(new)
        opened = Database(new.url, self.clock, self.loop)
        await opened.run(opened.open())
        await opened.run(opened.close())
        hosts = f"{quote(str(self.cluster.folder), safe='')},{quote(str(new.folder), safe='')}"
        log = await self.open(f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write", patience=600)
        here = Follower(await self.room(log))
        await keep(log, [entry(here.log, "a", "1")], 5)
        database = log._database
        self.assertEqual({timeline for _, timeline in database._connections.values()}, {1})
        await self.require_standby("nobody")
        said = entry(here.log, "b", "2")
        await self.until(log.append([said], 6))
        self.assertEqual(said.seq, 1, "the log of the new primary")
        self.assertEqual({timeline for _, timeline in database._connections.values()}, {2})
        new.kill()
        failed = database.run(database.attempt(fetch("SELECT 1"), patience=0))
        error: Any = await self.assertFailure(failed, Unavailable)
        self.assertIn("no longer the primary", str(error))

    @staticmethod
    def promote(cluster: Cluster) -> None:
        """Have a PostgreSQL begin its second timeline, as a standby that becomes the primary."""
        cluster.stop()
        (cluster.folder / "data" / "standby.signal").touch()
        cluster.start()
        subprocess.run([find_programs() / "psql", cluster.url, "-qc", "SELECT pg_promote()"], check=True)


class HostTests(DatabaseTestCase):
    """Which host of the URL is tried first, and what is known of each."""

    def hosts(self) -> Database:
        return Database("postgresql://chat@a,b/chat", self.clock, self.loop)

    def test_a_host_that_failed_is_tried_after_the_others(self) -> None:
        database = self.hosts()
        a, b = database._hosts
        database._avoid(a)
        database._avoid(a)  # by another attempt, which began when it still was the first one
        self.assertEqual(list(database._hosts), [b, a])

    def test_a_connection_that_was_cut_already_says_nothing_of_its_host(self) -> None:
        database, gone = self.hosts(), _Connection()
        before = list(database._hosts)
        database._give_up(cast(Any, gone))
        self.assertEqual((gone.calls, list(database._hosts)), (["terminate"], before))

    async def test_a_service_may_show_no_timeline(self) -> None:
        refusing = _Connection()
        self.assertEqual(await self.on_loop(database_module._read_timeline(cast(Any, refusing))), 0)
        self.assertEqual(refusing.calls, ["fetchval"])


class _Connection:
    """A connection to a service that lets nobody call `pg_walfile_name`."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def terminate(self) -> None:
        self.calls.append("terminate")

    async def fetchval(self, sql: str) -> str:
        self.calls.append("fetchval")
        raise asyncpg.InsufficientPrivilegeError


class AttemptTests(DatabaseTestCase):
    """What can be attempted again, and what cannot."""

    async def test_the_last_attempt_takes_no_more_time_than_is_left(self) -> None:
        database, connections = self.database(patience=5), []

        async def hang(connection: Connection) -> None:
            connections.append(connection)
            await connection.fetch("SELECT pg_sleep(600)")

        done: list[Any] = []
        database.run(database.attempt(hang)).addErrback(done.append)
        begin = self.clock.seconds()
        for number in (1, 2):
            await self.until_true(lambda number=number: len(connections) == number)  # type: ignore[misc]
            self.clock.advance(ATTEMPT_SECONDS if number == 1 else 2)
        await self.until_true(lambda: done)
        self.assertEqual(done[0].type, Unavailable)
        self.assertLess(self.clock.seconds() - begin, 2 * ATTEMPT_SECONDS)

    async def test_an_error_that_stays_is_not_attempted_again(self) -> None:
        database = self.database()
        done = database.run(database.attempt(fetch("SELEC 1")))
        await self.assertFailure(done, asyncpg.PostgresSyntaxError)
        self.assertEqual(await database.run(database.attempt(fetch("SELECT 1"))), [(1,)])
        self.assertEqual(len(database.pids), 1, "the connection is used again")

    async def test_a_host_that_does_not_answer_takes_no_more_time_than_is_left(self) -> None:
        silent = await self.on_loop(asyncio.start_server(lambda *_: None, "127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.sockets[0].getsockname()[1]
        database = self.database(f"postgresql://chat@127.0.0.1:{port}/chat", patience=10)
        begin = self.clock.seconds()
        done: list[Any] = []
        database.run(database.attempt(fetch("SELECT 1"))).addErrback(done.append)
        while not done:
            self.clock.advance(0.1)
            await deferLater(reactor, 0.001)
        self.assertEqual(done[0].type, Unavailable)
        self.assertLess(self.clock.seconds() - begin, 11.5, "and not after four attempts of three seconds")

    async def test_an_error_that_passes_is_attempted_again(self) -> None:
        database, attempts = self.database(), []

        async def work(connection: Connection) -> int:
            attempts.append(connection.get_server_pid())
            if len(attempts) < 8:
                raise asyncpg.DiskFullError
            return 3

        self.assertEqual(await self.until(database.run(database.attempt(work))), 3)
        self.assertEqual(len(set(attempts)), 8, "each time with a new connection")
        self.assertIn("its disk is full", self.logged()[0])
        self.assertEqual(len(self.logged()), 2)

    async def test_an_append_that_the_database_refuses_was_not_stored_and_is_unavailable(self) -> None:
        log = await self.open()
        room = await self.room(log)
        await self.sql("ALTER TABLE message ADD CONSTRAINT no_secrets CHECK (msg <> 'secret')")
        refused: Any = log.append([entry(room, "secret")], 5)
        error = await self.assertFailure(refused, Unavailable)
        self.assertIn("the database has refused it", str(error))
        (line,) = self.logged()
        self.assertIn("has refused messages: new row", line)
        self.assertNotIn("secret'", line)
        self.assertEqual(await self.sql("SELECT * FROM message"), [])
        await keep(log, [entry(room, "a")], 6)

    async def test_a_lock_that_others_hold_is_waited_for_and_then_unavailable(self) -> None:
        await self.open()
        await self.sql("ALTER ROLE postgres SET lock_timeout = '10ms'")
        self.addCleanup(self.sql, "ALTER ROLE postgres RESET lock_timeout")
        log, patient = await self.open(patience=1), await self.open(patience=600)
        here, there = await self.room(log), await self.room(patient)
        holder: Any = await self.on_loop(asyncpg.connect(self.cluster.url))
        self.addCleanup(lambda: self.on_loop(holder.close()))
        await self.on_loop(holder.execute("BEGIN; LOCK TABLE twisted_chat.message"))
        later = patient.append([entry(there, "b")], 5)
        failure = await self.until(log.append([entry(here, "a")], 5))
        self.assertEqual(failure.type, Unavailable)
        self.assertIn("lock timeout", str(failure.value))
        await self.on_loop(holder.execute("ROLLBACK"))
        self.assertIsNone(await self.until(later))

    async def test_the_isolation_of_the_database_changes_nothing(self) -> None:
        await self.sql("ALTER ROLE postgres SET default_transaction_isolation = 'serializable'")
        self.addCleanup(self.sql, "ALTER ROLE postgres RESET default_transaction_isolation")
        database = self.database()
        shown = await database.run(database.attempt(fetch("SHOW transaction_isolation")))
        self.assertEqual(shown, [("read committed",)])

    async def test_trouble_is_logged_once_it_lasts(self) -> None:
        database = self.database()

        async def fail(times: int, is_alone: bool = True) -> None:
            """Run work whose first attempts fail, alone or while other work goes on."""
            attempts: list[None] = []

            async def work(_: Connection) -> None:
                if not is_alone:
                    await database.attempt(fetch("SELECT 1"))
                attempts.append(None)
                if len(attempts) <= times:
                    raise ConnectionResetError("reset")

            await self.until(database.run(database.attempt(work)))
            self.assertEqual((len(attempts), database.trouble), (times + 1, ""))

        for _ in range(4):
            await fail(1)
        await fail(4, is_alone=False)
        self.assertEqual(self.logged(), [])
        await fail(3)
        lines = [f"{database.shown} does not work now: reset", f"{database.shown} works again"]
        self.assertEqual(self.logged(), lines)
        database.patience = 0
        given_up: Any = database.run(database.attempt(fetch("SELECT pg_terminate_backend(pg_backend_pid())")))
        await self.assertFailure(given_up, Unavailable)
        self.assertEqual(len(self.logged()), 3, "what was given up is always logged")

    async def test_a_connection_that_has_ended_meanwhile_is_not_used(self) -> None:
        database = self.database(patience=0)
        await database.run(database.attempt(fetch("SELECT 1")))
        (pid,) = database.pids
        await self.sql("SELECT pg_terminate_backend($1)", pid)
        await self.until_true(lambda: not database.pids)
        self.assertEqual(await database.run(database.attempt(fetch("SELECT 1"))), [(1,)])

    async def test_the_next_host_is_taken_where_one_does_not_serve(self) -> None:
        host = self.cluster.url.partition("@")[2].partition("/")[0]
        url = f"postgresql://postgres@127.0.0.1:1,127.0.0.1:2,{host}/postgres?target_session_attrs=read-write"
        database = self.database(url, patience=0)
        await database.run(database.attempt(fetch("SELECT 1")))
        self.assertIn(host, database._hosts[0])

    async def test_a_server_with_another_role_does_not_serve(self) -> None:
        database = self.database(f"{self.cluster.url}?target_session_attrs=standby", patience=0)
        error: Any = await self.assertFailure(database.run(database.attempt(fetch("SELECT 1"))), Unavailable)
        self.assertIn("target attribute", str(error))

    async def test_what_waits_for_another_attempt_ends_with_the_store(self) -> None:
        database = self.database("postgresql://nobody@127.0.0.1:1/chat")
        done: list[Any] = []
        for _ in range(2):
            database.run(database.attempt(fetch("SELECT 1"))).addErrback(done.append)
        await self.until_true(lambda: len(database._pauses) == 2)
        await database.run(database.close())
        self.assertEqual([str(failure.value) for failure in done], ["the store is closed"] * 2)

    async def test_what_still_works_while_a_store_is_closed_does_not_hide_that(self) -> None:
        log = await self.open()
        database = log._database
        finish = asyncio.Event()

        async def work(_: Connection) -> None:
            await finish.wait()

        working = database.run(database.attempt(work))
        closed = log.close()
        await self.until_true(lambda: log.condition().trouble)
        finish.set()
        await working
        await closed
        self.assertEqual(log.condition().trouble, "the store is closed")
        await database.run(database._pause(10))
        await database.run(database.listen())

    async def test_work_that_is_cut_off_by_the_end_of_the_store_is_unavailable(self) -> None:
        database = self.database()
        done: list[Any] = []
        database.run(database.attempt(fetch("SELECT pg_sleep(600)"))).addErrback(done.append)
        await self.until_true(lambda: database.pids)
        (pid,) = database.pids
        closed = database.run(database.close())
        await self.sql("SELECT pg_terminate_backend($1)", pid)
        await closed
        self.assertEqual([failure.type for failure in done], [Unavailable])


class OpeningTests(DatabaseTestCase):
    """A database that cannot be used is refused, with what to do."""

    async def refusal(self, **options: Any) -> str:
        error = await self.assertFailure(self.open_postgresql(**options), Unusable)
        return str(error)

    async def test_what_is_wrong_with_a_database_is_said_with_what_to_do(self) -> None:
        for command in (
            "DROP DATABASE IF EXISTS latin",
            "DROP DATABASE IF EXISTS strict",
            "DROP ROLE IF EXISTS guest",
            "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0",
            "CREATE DATABASE strict",
            "CREATE ROLE guest LOGIN PASSWORD 'x'",
        ):
            await self.sql(command)
        guest = self.cluster.url_of("strict").replace("postgres@", "guest@")
        for url, why in (
            (self.cluster.url_of("latin"), "has the encoding LATIN1: make a database with the encoding UTF8"),
            (self.cluster.url_of("nowhere"), 'database "nowhere" does not exist: make it with createdb'),
            (guest, "permission denied for database strict: the user of the URL needs a database of its own, or"),
        ):
            text = await self.refusal(url=url)
            self.assertIn(why, text)
            self.assertTrue(text.startswith(without_password(url)), text)
            self.assertEqual(text.count("cannot be used"), "encoding" not in why)
        await self.sql("REVOKE CONNECT ON DATABASE strict FROM public")
        self.assertIn('permission denied for database "strict"', await self.refusal(url=guest))

    async def test_a_database_to_which_all_may_connect_is_warned_about_once(self) -> None:
        await self.open()
        self.assertEqual(self.logged(), [])
        await self.sql("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
        self.addCleanup(self.sql, "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        database = (await self.open())._database
        (line,) = self.logged()
        self.assertIn(f"all users of PostgreSQL may connect to {database.shown},", line)
        await self.sql(line.partition("each other: ")[2])
        await self.open()
        self.assertEqual(self.logged(), [line])

    async def test_a_database_that_is_starting_is_waited_for(self) -> None:
        for is_patient in True, False:
            database = self.database(patience=600 if is_patient else 0)
            connect = database._make_connection
            errors = [asyncpg.CannotConnectNowError("the database system is starting up") for _ in range(3)]

            async def make(host: str, errors: Any = errors, connect: Any = connect) -> Any:
                if errors:
                    raise errors.pop()
                return await connect(host)

            self.patch(database, "_make_connection", make)
            opened: Any = database.run(database.open())
            if is_patient:
                self.assertIsNone(await self.until(opened))
            else:
                error = await self.assertFailure(opened, Unusable)
                self.assertIn("cannot be used: the database system is starting up", str(error))

    def test_a_setup_that_is_wrong_is_said_at_once(self) -> None:
        for kind in (
            asyncpg.InvalidPasswordError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.ClientConfigurationError,
            asyncpg.PostgresSyntaxError,
        ):
            self.assertFalse(is_passing_at_start(kind("no")), kind)
        self.assertTrue(is_passing_at_start(ConnectionRefusedError()))

    def test_a_wrong_password_is_explained(self) -> None:
        error = asyncpg.InvalidPasswordError('password authentication failed for user "chat"')
        self.assertEqual(
            explain(error),
            'password authentication failed for user "chat": put the right one into ~/.pgpass, or the file that '
            "PGPASSFILE names",
        )
        self.assertTrue(is_passing(error), "somebody may just be changing it")

    async def test_tables_are_upgraded_once(self) -> None:
        await self.open()
        self.patch(database_module, "VERSION", 3)
        files = {
            "upgrade_2.sql": "CREATE TABLE two (); UPDATE store SET version = 2",
            "upgrade_3.sql": "DROP TABLE two; CREATE TABLE three (); UPDATE store SET version = 3, oldest = 2",
        }
        self.patch(database_module, "sql_file", files.__getitem__)
        for _ in range(2):
            await self.open()
        self.assertEqual([tuple(row) for row in await self.sql("SELECT version, oldest FROM store")], [(3, 2)])
        await self.sql("SELECT * FROM three")

    async def test_a_command_upgrades_nothing(self) -> None:
        await self.open()
        self.patch(database_module, "VERSION", 2)
        database = self.database()
        refused: Any = database.run(database.open(may_make=False))
        error = await self.assertFailure(refused, Unusable)
        self.assertIn("was written by an older version: start a server, which upgrades it", str(error))

    async def test_a_server_goes_on_with_tables_of_a_newer_version_that_it_can_use(self) -> None:
        log = await self.open()
        await self.sql("UPDATE store SET version = 9")
        other = await self.open()
        for one in log, other:
            await keep(one, [entry(await self.room(one), "a")], 5)
            self.assertEqual(one.condition().trouble, "")

    async def test_a_server_takes_nothing_once_the_tables_need_a_newer_version(self) -> None:
        log = await self.open()
        room = await self.room(log)
        await self.sql("UPDATE store SET version = 2, oldest = 2")
        await self.until_true(lambda: log.condition().trouble)
        why = "a newer version of twisted_chat has upgraded it: restart this server with that version"
        self.assertEqual(log.condition().trouble, why)
        refused: Any = log.append([entry(room, "a")], 5)
        error = await self.assertFailure(refused, Unavailable)
        self.assertEqual(str(error), why)
        self.assertEqual((await self.sql("SELECT count(*) FROM message"))[0][0], 0)
        self.clock.advance(5)
        self.assertEqual(self.logged(), [f"{log._database.shown} does not work now: {why}"])
        self.assertIn("was upgraded by a newer version of twisted_chat: use that one", await self.refusal())


class ListeningTests(DatabaseTestCase):
    """One connection listens, and is made anew when it breaks."""

    async def test_it_listens_again_after_its_connection_has_ended(self) -> None:
        log, other = await self.open(), await self.open()
        here, there = Follower(await self.room(log)), Follower(await self.room(other))
        listening: Any = other._database._listening
        await self.sql("SELECT pg_terminate_backend($1)", listening.get_server_pid())
        await self.until_true(lambda: listening.is_closed())
        await keep(log, [entry(here.log, "a")], 5)
        await self.until_true(lambda: there.records)
        self.assertEqual(there.texts, ["a"])

    async def test_what_is_told_is_heard_whole_whatever_its_length(self) -> None:
        database = (await self.open())._database
        heard: list[News] = []
        database._heard[:] = [heard.append]
        for length in 7_999, 8_000, 20_000:
            told = {"states": ["x" * (length - len('{"states":[""]}'))]}
            await self.sql("SELECT tell($1::json)", json.dumps(told, separators=(",", ":")))
            await self.until_true(lambda: heard)
            self.assertEqual([news.states for news in heard], [told["states"]])
            heard.clear()

    async def test_what_is_told_after_a_parcel_that_cannot_be_taken_is_heard(self) -> None:
        database = (await self.open())._database
        texts: list[list[str]] = []

        def hear(news: News) -> None:
            if news.states[0].startswith("bad"):
                raise ZeroDivisionError
            texts.append(news.states)

        database._heard[:] = [hear]
        opened: list[object] = []
        attempt = database.attempt

        async def refuse(work: Any, **options: Any) -> Any:
            opened.append(work)
            self.patch(database, "attempt", attempt)
            raise Unavailable("no")

        for start, is_away in (("lost", True), ("bad", False), ("good", False)):
            long = {"states": [start, "x" * 9_000]}
            if is_away:
                self.patch(database, "attempt", refuse)
            await self.sql("SELECT tell($1::json), tell($2::json)", json.dumps(long), '{"states": ["after"]}')
            await self.until_true(lambda: texts and texts[-1] == ["after"])
            await self.until_true(lambda: not database._news_in_order)
        self.assertEqual([heard[0] for heard in texts], ["after", "after", "good", "after"])
        self.assertEqual((len(opened), len(self.flushLoggedErrors(ZeroDivisionError))), (1, 1))

    async def test_what_does_not_count_any_more_is_deleted_once_a_minute(self) -> None:
        database = (await self.open())._database
        statements: list[str] = []

        class Recorder:
            async def fetch(self, sql: str, *args: object) -> None:
                statements.append(sql)

        recorder: Any = Recorder()
        for _ in range(2 * round(60 / CHECK_SECONDS)):
            await self.on_loop(database._clean_up(recorder))
        self.assertEqual(statements, ["SELECT clean_up($1)"] * 2)
        self.patch(database_module, "CLEAN_UP_CHECKS", 1)
        await self.sql("INSERT INTO parcel (body, time) VALUES ('old', now() - interval '61 s'), ('new', now())")
        while (bodies := await self.sql("SELECT body FROM parcel ORDER BY body")) != [("new",)]:
            self.assertEqual(bodies, [("new",), ("old",)])
            self.clock.advance(CHECK_SECONDS / 10)

    async def test_a_check_that_fails_is_logged_and_attempted_again(self) -> None:
        log = await self.open()
        failures: list[Exception] = [ZeroDivisionError(), Unavailable("no")]
        checked: list[None] = []

        async def check(connection: Any) -> None:
            if failures:
                raise failures.pop()
            checked.append(None)

        log._database.follow(lambda news: None, check)
        await self.until_true(lambda: checked)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_check_that_fails_ends_neither_the_others_nor_the_listening(self) -> None:
        log = await self.open()
        listened: list[Any] = []

        async def broken(connection: Any) -> None:
            raise ZeroDivisionError

        async def check(connection: Any) -> None:
            listened.append(connection)

        for one in broken, check:
            log._database.follow(lambda news: None, one)
        await self.until_true(lambda: len(listened) >= 3)
        self.assertEqual(len(set(listened)), 1)
        self.assertGreaterEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    async def test_a_check_that_fails_on_a_broken_connection_gets_another_one(self) -> None:
        log = await self.open()
        listened: list[Any] = []

        async def check(connection: Any) -> None:
            listened.append(connection)
            if len(listened) == 1:
                connection.terminate()
                raise ZeroDivisionError

        log._database.follow(lambda news: None, check)
        await self.until_true(lambda: len(listened) >= 2)
        self.assertIsNot(*listened[:2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_notifications_that_are_not_a_servers_are_ignored(self) -> None:
        log = await self.open()
        database, server = log._database, "00000000-0000-0000-0000-000000000001"
        heard: list[News] = []
        await self.until_true(lambda: database._listening)
        database._heard[:] = [heard.append]
        listening = database._listening
        forged = [
            "no JSON",
            '{"server": "x", "turn": 1}',
            f'{{"server": "{server}\\n", "turn": 1}}',
            f'{{"server": "{server}", "turn": {2**63}}}',
            '{"rooms": [["x", 1]]}',
            f'{{"rooms": [[1, {2**63}]]}}',
            '{"events": [{"kind": "count", "room": "den", "shown": "Den", "count": 7}]}',
            '{"events": [{"kind": "count", "server": "x", "room": "den", "shown": "Den", "count": 7}]}',
        ]
        for payload in forged:
            await self.sql("SELECT pg_notify('twisted_chat', $1)", payload)
        await self.sql("SELECT pg_notify('twisted_chat', $1)", f'{{"server": "{server}", "turn": 1}}')
        await self.until_true(lambda: heard)
        self.assertEqual(heard, [News(server, 1)])
        self.assertIs(database._listening, listening)
        self.assertEqual(len(self.logged()), 1)
        self.assertIn("sent a notification on twisted_chat", self.logged()[0])

    async def test_a_value_that_fits_no_parameter_is_refused_at_once(self) -> None:
        database = (await self.open())._database
        doing = database.run(database.attempt(fetch("SELECT $1::uuid", "x")))
        await self.assertFailure(doing, asyncpg.DataError, asyncpg.exceptions._base.DataError)
        self.assertEqual(self.logged(), [])

    async def test_the_check_of_a_database_that_hangs_is_cut_off(self) -> None:
        log = await self.open()
        hung: list[Deferred[None]] = []

        async def check(connection: Any) -> None:
            if len(hung) < 2:
                hung.append(Deferred())
                await connection.fetch("SELECT pg_sleep(600)")

        log._database.follow(lambda news: None, check)
        for number in (1, 2):
            await self.until_true(lambda number=number: len(hung) == number)  # type: ignore[misc]
            listening = log._database._listening
            self.clock.advance(ATTEMPT_SECONDS)
            await self.until_true(lambda old=listening: log._database._listening not in (None, old))  # type: ignore[misc]
            self.assertEqual(len(self.logged()), number - 1, "one that fails alone is made anew")
        self.assertIn("it does not answer", self.logged()[0])


class UrlTests(DatabaseTestCase):
    """URLs of databases."""

    def test_hosts_are_split(self) -> None:
        url = "postgresql://al:se@cret@one:5433,two,[::1]:6/chat?target_session_attrs=read-write"
        self.assertEqual(
            hosts_of(url),
            [
                f"postgresql://al:se@cret@{host}/chat?target_session_attrs=read-write"
                for host in ("one:5433", "two", "[::1]:6")
            ],
        )
        self.assertEqual(hosts_of("postgresql:///chat?host=/run"), ["postgresql:///chat?host=/run"])
        self.assertEqual(without_password(url), "postgresql://al@one:5433,two,[::1]:6/chat")

    def test_a_url_is_told_from_a_file(self) -> None:
        self.assertEqual([is_url(text) for text in ("postgresql://", "postgres://a", "postgresql.sqlite")], [1, 1, 0])
        check_url("postgresql://one:1,two/chat")
        self.assertRaises(ValueError, check_url, "postgresql://one:1,two:x/chat")

    def test_errors_are_explained_in_one_line(self) -> None:
        self.assertEqual(explain(OSError("no\nway")), "no")
        self.assertEqual(explain(OSError()), "OSError")
        self.assertEqual(explain(TimeoutError()), "it does not answer")
        state = "cannot switch to state 12; another operation (2) is in progress"
        for kind in asyncpg.InternalClientError, asyncpg.InterfaceError:
            self.assertEqual(explain(kind(state)), "the connection broke")
        self.assertEqual(explain(asyncpg.TargetServerAttributeNotMatched("no host has it")), "no host has it")
        self.assertEqual(explain(asyncpg.ClientConfigurationError("port")), "port")
        self.assertIsInstance(Unusable("x"), Exception)

"""The log of several servers: each of them hears what the others append, in one order, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import asyncpg
from twisted.internet.defer import Deferred, maybeDeferred

from twisted_chat import names
from twisted_chat.log import DELETE, Entry, Record, RoomLog, RoomSummary, Unavailable
from twisted_chat.stores.opened import Opened
from twisted_chat.stores.postgresql import log as log_module
from twisted_chat.stores.postgresql.database import Connection, fetch
from twisted_chat.stores.postgresql.log import PostgreSQLLog, PostgreSQLRoomLog
from twisted_chat.stores.postgresql.news import News, RoomNews
from twisted_chat.stores.postgresql.text import from_sql, to_sql
from twisted_chat.stores.retention import Keep, Trusted

from .postgresql import PostgreSQLTestCase
from .stores import MOST, PLENTY, entry, keep, numbers, texts

WHOLE = 2**40


def _quoted(text: str) -> str:
    """Return a text as it stands between the quotes of a string in SQL."""
    return text.replace("'", "''")


class Follower:
    """What a room hears of its log."""

    def __init__(self, log: RoomLog) -> None:
        self.log = log
        self.records: list[Record] = []
        self.calls = 0
        log.follow(self._hear)

    def _hear(self, records: Sequence[Record]) -> None:
        self.calls += 1
        self.records += records

    @property
    def texts(self) -> list[str]:
        return texts(self.records)


class ServersTestCase(PostgreSQLTestCase):
    """Two servers on one database."""

    one: PostgreSQLLog
    other: PostgreSQLLog

    async def begin(self, **options: Any) -> None:
        self.one, self.other = [await self.open(**options) for _ in range(2)]

    async def open(self, **options: Any) -> PostgreSQLLog:
        log: Any = (await self.open_postgresql(**options)).log
        await self.until_true(lambda: log._listens_on is not None)
        return log  # type: ignore[no-any-return]  # the store that a test opens is this one

    async def room(self, log: PostgreSQLLog, name: str = "lobby") -> RoomLog:
        return await log.open(names.room(name))

    async def follow(self, log: PostgreSQLLog, name: str = "lobby") -> Follower:
        return Follower(await self.room(log, name))

    async def lock(self, sql: str) -> Connection:
        """Hold a lock until the connection ends."""
        connection = await asyncpg.connect(self.cluster.url)
        self.addCleanup(connection.terminate)
        await connection.execute(f"BEGIN; {sql}")
        return connection

    async def check(self) -> None:
        """Let each server look for what it has missed, twice."""
        for log in (self.one, self.other):
            for _ in range(2):
                await log.run(self.check_one(log))

    async def check_one(self, log: PostgreSQLLog) -> None:
        async def work(connection: Any) -> None:
            if log._listens_on is not None:
                log._listens_on = connection
            await log._check(connection)

        await log._database.attempt(work)


class FollowingTests(ServersTestCase):
    """Each server hears what the others append."""

    async def test_both_hear_the_same_records_in_the_same_order_each_once(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        said = [entry(here.log, "1"), entry(here.log, "2", "x")]
        await keep(self.one, said, 5)
        self.assertEqual(here.texts, ["1", "2"])
        await self.until_true(lambda: len(there.records) == 2)
        await keep(self.other, [entry(there.log, "2", "x"), entry(there.log, "3", "y")], 6)
        self.assertEqual(there.texts, ["1", "2", "3"])
        await self.until_true(lambda: len(here.records) == 3)
        self.assertEqual(here.records, there.records)
        self.assertEqual((here.calls, there.calls), (2, 2))
        self.assertEqual((here.log.seq, here.log.oldest, here.log.epoch), (3, 1, 0))
        self.assertEqual((there.log.seq, there.log.oldest, there.log.epoch), (3, 1, 0))

    async def test_an_author_hears_what_others_said_before_its_own_message(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await self.deafen(self.other._database)
        await keep(self.one, [entry(here.log, "first")], 5)
        heard: list[tuple[list[str], list[bool]]] = []
        said = [entry(there.log, "second"), entry(there.log, "third")]
        there.log.follow(lambda records: heard.append((texts(list(records)), [one.fresh for one in said])))
        await keep(self.other, said, 6)
        self.assertEqual(heard, [(["first", "second", "third"], [True, True])])
        self.assertEqual([one.seq for one in said], [2, 3])

    async def test_a_record_is_not_heard_before_its_own_turn_has_an_answer(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        answered = asyncio.Event()
        told: list[News] = []
        database = self.one._database
        attempt: Any = database.attempt

        async def attempt_late(work: Any, pool: Any = None, **options: Any) -> Any:
            result = await attempt(work, pool, **options)
            if pool is database.appending:
                await answered.wait()
            return result

        self.patch(database, "attempt", attempt_late)
        database._heard.append(told.append)
        heard: list[tuple[list[str], bool]] = []
        said = entry(here.log, "first")
        here.log.follow(lambda records: heard.append((texts(list(records)), said.fresh)))
        keeping = Deferred.fromCoroutine(keep(self.one, [said], 5))
        await self.until_true(lambda: there.records)
        await keep(self.other, [entry(there.log, "second")], 6)
        await self.until_true(lambda: told and not self.one._is_reading)
        answered.set()
        await keeping
        await self.until_true(lambda: here.log.seq == 2)
        self.assertEqual(heard, [(["first"], True), (["second"], True)])

    async def test_a_log_catches_up_to_what_a_client_has_heard_elsewhere(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await self.deafen(self.one._database)
        await keep(self.other, [entry(there.log, "1")], 5)
        reads = self.count_reads(self.one)
        await here.log.catch_up_to(1)
        self.assertEqual(here.texts, ["1"])
        await here.log.catch_up_to(1)
        self.assertEqual(len(reads), 1, "it is known")
        await here.log.catch_up_to(9)
        self.assertEqual((len(reads), here.log.seq), (2, 1))

    async def test_a_log_to_which_a_turn_is_being_appended_catches_up_after_it(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await self.deafen(self.one._database)
        await keep(self.other, [entry(there.log, "1")], 5)
        blocker = await self.on_loop(self.lock("SELECT FROM twisted_chat.room FOR UPDATE"))
        keeping = self.one.append([entry(here.log, "2")], 6)
        await self.until_true(lambda: self.one._under_way)
        over = self.one._turn_over
        waits: list[None] = []
        wait = over.wait

        def note() -> Any:
            waits.append(None)
            return wait()

        self.patch(over, "wait", note)
        catching_up = here.log.catch_up_to(2)
        await self.until_true(lambda: waits)
        blocker.terminate()
        await keeping
        await catching_up
        self.assertEqual(here.texts, ["1", "2"])

    async def test_news_of_a_room_whose_id_is_being_learned_are_remembered(self) -> None:
        await self.begin()
        room: Any = await self.room(self.one)
        with self.one._learning(), self.one._learning():
            for seq in 3, 2:
                self.one._told(News(rooms=[RoomNews(7, seq)]))
            room.id, room.seq = 7, 2
            self.one._know(room)
            self.assertEqual(list(self.one._news), [room], "an older number does not take the place of a newer one")
            self.one._news.clear()
            room.seq = 3
            self.one._know(room)
            self.assertEqual(list(self.one._news), [])
        with self.one._learning():
            room.seq = 0
            self.one._know(room)
        self.assertEqual(list(self.one._news), [], "it is forgotten with the statement")

    async def test_what_is_read_of_a_room_of_a_turn_is_left_to_the_turn(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await self.deafen(self.one._database)
        await keep(self.other, [entry(there.log, "a")], 5)
        self.one._under_way.add(here.log)
        await self.one.run(self.one._read_on([cast(Any, here.log)]))
        self.assertEqual((here.texts, list(self.one._news)), ([], [here.log]))
        self.one._under_way.clear()
        self.one._read_news()
        await self.until_true(lambda: here.records)
        self.assertEqual((here.texts, self.one._news), (["a"], {}))

    async def test_what_two_have_read_at_the_same_time_is_heard_once(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await self.deafen(self.one._database)
        await keep(self.other, [entry(there.log, "a")], 5)
        states, read, both = self.one._states, [None] * 2, asyncio.Event()

        async def wait(keys: Any) -> Any:
            found = await states(keys)
            read.pop()
            if not read:
                both.set()
            await both.wait()
            return found

        self.patch(self.one, "_states", wait)
        for reading in [self.one.run(self.one._read_on([cast(Any, here.log)])) for _ in range(2)]:
            await reading
        self.assertEqual((here.texts, here.calls), (["a"], 1))

    async def test_servers_that_append_at_the_same_time_agree(self) -> None:
        await self.begin()
        names = ("den", "attic", "Zoo", "ёж")
        here = [await self.follow(self.one, name) for name in names]
        there = [await self.follow(self.other, name) for name in reversed(names)]

        async def talk(log: PostgreSQLLog, followers: list[Follower], mark: str) -> None:
            for number in range(10):
                await keep(log, [entry(one.log, f"{mark}{number}", f"{mark}{number}") for one in followers], number)

        talking = Deferred.fromCoroutine(talk(self.one, here, "a"))
        await talk(self.other, there, "b")
        await talking
        await self.until_true(lambda: all(len(one.records) == 20 for one in (*here, *there)))
        for one, same in zip(here, reversed(there), strict=True):
            self.assertEqual(one.records, same.records)
            self.assertEqual(numbers(one.records), list(range(1, 21)))
            self.assertEqual(len(set(one.texts)), 20)
            self.assertEqual([text for text in one.texts if text[0] == "a"], [f"a{number}" for number in range(10)])

    async def test_a_lost_notification_is_found_by_the_number_of_the_turn(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await self.deafen(self.other._database)
        await keep(self.one, [entry(here.log, "a")], 5)
        await self.check()
        await self.until_true(lambda: there.records)
        self.assertEqual(there.records, here.records)
        reads = self.count_reads(self.other)
        await self.check()
        self.assertEqual(reads, [], "once is enough")

    async def test_an_import_whose_notification_is_lost_is_found_by_its_number(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await keep(self.one, [entry(here.log, "a"), entry(here.log, "b")], 5)
        await self.until_true(lambda: there.records)
        for is_cut in False, True:
            epochs = here.log.epoch, there.log.epoch
            await self.deafen(self.other._database)
            await self.sql("SELECT import_done(ARRAY['lobby'])")
            await self.until_true(partial(lambda before: here.log.epoch > before, epochs[0]))
            if is_cut:
                self.other._listens_on = None
            for _ in range(2):
                await self.check()
            await self.until_true(lambda: not self.other._is_reading)
            after = here.log.epoch, there.log.epoch
            self.assertEqual(after, (epochs[0] + 1, epochs[1] + 1), "each of them looks at it once")

    async def test_servers_that_have_ended_are_forgotten_after_a_day(self) -> None:
        self.one = await self.open()
        await keep(self.one, [entry(await self.room(self.one), "a")], 5)
        for is_old in False, True:
            await self.sql("UPDATE server SET seen = now() - interval '25 hours' WHERE $1", is_old)
            await self.open()
            ((count,),) = await self.sql("SELECT count(*) FROM server")
            self.assertEqual(count, 0 if is_old else 1)

    def count_reads(self, log: PostgreSQLLog) -> list[int]:
        reads: list[int] = []
        read_on = log._read_on

        async def count(rooms: Any, **options: Any) -> None:
            reads.append(len(rooms))
            await read_on(rooms, **options)

        self.patch(log, "_read_on", count)
        return reads

    async def test_what_happens_in_several_rooms_is_read_once(self) -> None:
        await self.begin()
        here = [await self.follow(self.one, name) for name in "abc"]
        there = [await self.follow(self.other, name) for name in "abc"]
        reads = self.count_reads(self.other)
        await keep(self.one, [entry(one.log, "hi") for one in here], 5)
        await self.until_true(lambda: all(one.records for one in there))
        self.assertEqual(reads, [3])

    async def test_a_room_that_nobody_follows_here_is_not_read(self) -> None:
        await self.begin()
        here = await self.follow(self.one)
        there = await self.follow(self.other, "elsewhere")
        reads = self.count_reads(self.other)
        await keep(self.one, [entry(here.log, "hi")], 5)
        last = await self.follow(self.one, "elsewhere")
        await keep(self.one, [entry(last.log, "ho")], 5)
        await self.until_true(lambda: there.records)
        self.assertEqual(reads, [1])

    async def test_what_is_known_already_is_not_read(self) -> None:
        await self.begin()
        here = await self.follow(self.one)
        await keep(self.one, [entry(here.log, "hi")], 5)
        reads = self.count_reads(self.one)
        self.one._told(News(rooms=[RoomNews(cast(Any, here.log).id, 1)]))
        self.assertEqual((reads, self.one._is_reading), ([], False))

    async def test_more_than_a_page_is_read_from_the_log(self) -> None:
        self.patch(log_module, "NEW_AT_ONCE", 3)
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await keep(self.one, [entry(here.log, str(number)) for number in range(4)], 5)
        await self.until_true(lambda: there.calls)
        self.assertEqual((there.records, there.log.seq, there.log.epoch), ([], 4, 1))
        self.assertEqual(texts(await there.log.after(0, MOST, PLENTY)), ["0", "1", "2", "3"])
        await keep(self.one, [entry(here.log, str(number)) for number in range(3)], 5)
        await self.until_true(lambda: there.records)
        self.assertEqual((there.texts, there.log.epoch), (["0", "1", "2"], 1))

    async def test_what_is_appended_while_a_room_is_opened_is_heard(self) -> None:
        await self.begin()
        here = await self.follow(self.one)
        await keep(self.one, [entry(here.log, "a")], 5)
        states = self.other._states
        said: list[Any] = []

        async def slow(keys: Any) -> Any:
            found = await states(keys)
            if not said:
                said.append(keep(self.one, [entry(here.log, "b")], 6))
                self.other._told(News(self.one.server, 2, all=True))
            return found

        self.patch(self.other, "_states", slow)
        there = await self.follow(self.other)
        await said[0]
        await self.until_true(lambda: there.log.seq == 2)
        self.assertEqual(texts(await there.log.after(0, MOST, PLENTY)), ["a", "b"])
        self.assertIsNone(self.other._opening)

    async def test_what_is_heard_of_others_while_a_room_is_opened_is_taken_once(self) -> None:
        await self.begin()
        lobby = await self.room(self.other)
        reads, directs = self.count_reads(self.other), []
        self.other.direct_heard = lambda log, first: directs.append((log.key, first))
        states = self.other._states

        async def slow(keys: Any) -> Any:
            found = await states(keys)
            if keys == ["den"]:
                self.other._told(News(rooms=[RoomNews(99, 1, "@al@bo", 1)], states=["lobby"]))
                was_read = Deferred.fromCoroutine(self.until_true(lambda: not self.other._is_reading))
                await was_read.asFuture(self.loop)
            return found

        self.patch(self.other, "_states", slow)
        await self.room(self.other, "den")
        await self.until_true(lambda: not self.other._is_reading)
        self.assertEqual((reads, directs), ([1], [("@al@bo", 1)]), lobby.name)

    async def test_a_room_that_is_opened_twice_at_once_is_one(self) -> None:
        self.one = await self.open()
        first, other, second = (self.one.open(names.room(name)) for name in ("lobby", "den", "LOBBY"))
        self.assertIs(await first, await second)
        self.assertIsNot(await other, await first)
        self.assertIsNone(self.one._opening)

    async def test_a_topic_is_known_everywhere(self) -> None:
        await self.begin()
        here, there = await self.room(self.one), await self.room(self.other)
        await here.set_topic("cats \0 and dogs")
        await self.until_true(lambda: there.topic)
        self.assertEqual((there.topic, there.is_kept), ("cats \0 and dogs", True))
        await there.set_topic(there.topic)
        await self.check()
        self.assertEqual((self.one.room_count, self.other.room_count), (1, 1))
        self.assertEqual(await self.other.rooms(9), [RoomSummary(there.name, there.topic)])

    async def test_a_text_that_another_server_deletes_is_not_read_any_more(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await keep(self.one, [entry(here.log, "secret"), entry(here.log, "b")], 5)
        await self.until_true(lambda: there.records)
        await keep(self.other, [Entry(there.log, names.nick("mo"), "", kind=DELETE, of=1)], 6)
        await self.until_true(lambda: len(here.records) == 3)
        for log in (here.log, there.log):
            self.assertEqual(texts(await log.after(0, MOST, PLENTY)), ["", "b", ""])
        rows = await self.sql("SELECT count(*) FROM message WHERE msg LIKE '%secret%'")
        self.assertEqual(rows[0][0], 0)

    async def test_a_page_that_was_read_before_a_deletion_is_read_again(self) -> None:
        await self.begin()
        there = await self.follow(self.other)
        await keep(self.other, [entry(there.log, "secret")], 5)
        page, pages = self.other.page, 0

        async def slow(*args: Any) -> Any:
            nonlocal pages
            result = await page(*args)
            pages += 1
            if pages == 1:
                delete = Entry(there.log, names.nick("mo"), "", kind=DELETE, of=1)
                await self.other._append([delete], 6)
            return result

        self.patch(self.other, "page", slow)
        self.assertEqual(texts(await there.log.after(0, 1, PLENTY)), [""])
        self.assertEqual(pages, 2)

    async def test_a_follower_that_fails_does_not_stop_the_others(self) -> None:
        await self.begin()
        here, attic = await self.room(self.one), await self.follow(self.one, "attic")
        here.follow(self.fail_to_hear)
        await keep(self.one, [entry(here, "a"), entry(attic.log, "b")], 5)
        self.assertEqual(attic.texts, ["b"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def fail_to_hear(self, records: Sequence[Record]) -> None:
        raise ZeroDivisionError

    async def test_a_room_without_a_follower_begins_a_new_epoch(self) -> None:
        await self.begin()
        here, there = await self.room(self.one), await self.room(self.other)
        there.follow(lambda records: None)
        there.unfollow()
        await keep(self.one, [entry(here, "a")], 5)
        await self.until_true(lambda: there.seq)
        self.assertEqual((there.seq, there.epoch), (1, 1))

    async def test_what_cannot_be_read_now_is_read_with_the_next_check(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        states = self.other._states
        for error in (Unavailable("no"), ZeroDivisionError()):
            failed: list[Any] = []

            async def fail(keys: Any, error: Exception = error, failed: list[Any] = failed) -> Any:
                failed.append(keys)
                raise error

            self.patch(self.other, "_states", fail)
            count = len(here.records)
            await keep(self.one, [entry(here.log, "a")], 5)
            await self.until_true(partial(self.has_failed, failed))
            self.patch(self.other, "_states", states)
            self.assertEqual(len(there.records), count)
            await self.check()
            await self.until_true(lambda: len(there.records) == len(here.records))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def has_failed(self, failed: list[Any]) -> bool:
        return bool(failed) and not self.other._is_reading

    async def test_a_turn_is_acked_even_if_what_came_before_it_cannot_be_read(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        await self.deafen(self.other._database)
        await keep(self.one, [entry(here.log, "first")], 5)

        async def fail(keys: Any) -> Any:
            raise Unavailable("no")

        states = self.other._states
        self.patch(self.other, "_states", fail)
        said = entry(there.log, "second")
        await keep(self.other, [said], 6)
        self.assertEqual((said.seq, said.fresh), (2, True))
        self.assertEqual((there.records, there.log.seq, there.log.epoch), ([], 2, 1))
        self.patch(self.other, "_states", states)
        self.assertEqual(texts(await there.log.after(0, MOST, PLENTY)), ["first", "second"])


class TurnTests(ServersTestCase):
    """A turn of which nobody knows whether it was committed is sent again, and stored once."""

    async def test_a_turn_whose_answer_is_lost_is_stored_once(self) -> None:
        await self.begin()
        here = await self.follow(self.one)
        await keep(self.one, [entry(here.log, "0")], 4)
        self.lose_answers(1)
        said = [entry(here.log, "a"), entry(here.log, "b", "1"), entry(here.log, "b", "1")]
        kept = self.one.append(said, 5)
        await self.until(kept)
        self.assertEqual([(one.seq, one.time, one.fresh) for one in said], [(2, 5, True), (3, 5, True), (3, 5, False)])
        self.assertEqual(here.texts, ["0", "a", "b"])
        self.assertEqual(texts(await here.log.after(0, MOST, PLENTY)), ["0", "a", "b"])

    def lose_answers(self, count: int) -> None:
        """Let the answers of the next appends be lost, after they were committed."""
        left = [None] * count

        def lossy(sql: str, *args: object) -> Any:
            async def work(connection: Any) -> Any:
                rows = await connection.fetch(sql, *args)
                if "append" in sql and left:
                    left.pop()
                    raise ConnectionResetError
                return rows

            return work

        self.patch(log_module, "fetch", lossy)

    async def test_a_turn_that_was_refused_is_heard_if_it_is_in_the_log_nevertheless(self) -> None:
        await self.begin(patience=0)
        here, there = await self.follow(self.one), await self.follow(self.other)
        self.lose_answers(1)
        said = entry(here.log, "a", "1")
        await self.assertFailure(self.one.append([said], 5), Unavailable)
        self.assertFalse(said.fresh)
        await self.check()
        await self.until_true(lambda: here.records and there.records)
        again = entry(here.log, "a", "1")
        await keep(self.one, [again], 6)
        self.assertEqual((again.seq, again.time, again.fresh), (1, 5, False))
        self.assertEqual((here.texts, there.texts), (["a"], ["a"]))

    async def test_a_turn_that_was_given_up_does_not_come_after_a_later_one(self) -> None:
        await self.begin()
        here = await self.follow(self.one)
        await keep(self.one, [entry(here.log, "a")], 5)
        await keep(self.one, [entry(here.log, "b")], 5)
        arrays: list[list[Any]] = [["lobby"], ["lobby"], [1], ["al"], ["al"], [None], ["late"], [""], [None]]
        late = self.sql(log_module._APPEND, self.one._lanes[-1].id, 1, 5, *arrays)
        error = await self.assertFailure(late, asyncpg.RaiseError)
        self.assertIn("given up", str(error))
        self.assertEqual(here.texts, ["a", "b"])

    async def test_a_turn_of_which_nobody_can_be_told_is_stored_and_found(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        ((tell,),) = await self.sql("SELECT pg_get_functiondef('tell'::regproc)")
        full = "BEGIN RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END"
        await self.sql(f"CREATE OR REPLACE FUNCTION tell(what json) RETURNS void LANGUAGE plpgsql AS '{_quoted(full)}'")
        said = entry(here.log, "a")
        self.assertIsNone(await self.until(self.one.append([said], 5)))
        self.assertEqual((said.seq, said.fresh, here.texts), (1, True, ["a"]))
        await self.sql(tell)
        await self.check()
        await self.until_true(lambda: there.records)
        self.assertEqual(there.records, here.records)

    async def test_turns_of_several_rooms_are_under_way_at_the_same_time(self) -> None:
        await self.begin()
        count = self.one.most_appends
        here = [await self.follow(self.one, f"room{number}") for number in range(count)]
        there = [await self.follow(self.other, f"room{number}") for number in range(count)]
        await keep(self.one, [entry(one.log, "0") for one in here], 4)
        await self.until_true(lambda: all(one.records for one in there))
        blocker = await self.on_loop(self.lock("SELECT FROM twisted_chat.room WHERE key = 'room0' FOR UPDATE"))
        slow = self.one.append([entry(here[0].log, "slow", "1")], 5)
        for number in range(3):
            turns = [self.one.append([entry(one.log, f"{number}")], 6) for one in here[1:]]
            for turn in turns:
                await turn
        self.assertFalse(slow.called)
        blocker.terminate()
        await slow
        self.assertEqual([one.texts for one in here], [["0", "slow"], *[["0", "0", "1", "2"]] * (count - 1)])
        await self.until_true(lambda: [len(one.records) for one in there] == [len(one.records) for one in here])
        self.assertEqual([one.records for one in there], [one.records for one in here])

    async def test_turns_under_way_whose_answers_are_lost_are_stored_once_each(self) -> None:
        await self.begin()
        here = [await self.follow(self.one, name) for name in "abc"]
        self.lose_answers(3)
        said = [entry(one.log, str(number), str(number)) for number, one in enumerate(here)]
        turns = [self.one.append([one], 5) for one in said]
        for turn in turns:
            await self.until(turn)
        self.assertEqual([one.texts for one in here], [["0"], ["1"], ["2"]])
        self.assertEqual([(one.seq, one.fresh) for one in said], [(1, True)] * 3)
        self.assertEqual((await self.sql("SELECT count(*) FROM message"))[0][0], 3)

    async def test_a_turn_that_was_given_up_does_not_come_after_one_of_another_lane(self) -> None:
        await self.begin(patience=0)
        here = await self.follow(self.one)
        await keep(self.one, [entry(here.log, "a")], 5)
        arrays: list[list[Any]] = [["lobby"], ["lobby"], [1], ["al"], ["al"], [None], ["late"], [""], [None]]
        for is_new in False, True:
            lane = self.one._lanes[0 if is_new else -1]
            self.one._lanes.remove(lane)
            self.one._lanes.append(lane)
            begun = self.lose_requests()
            await self.assertFailure(self.one.append([entry(here.log, "late")], 5), Unavailable)
            begun.clear()
            self.one._lanes.reverse()
            await keep(self.one, [entry(here.log, "b")], 6)
            self.assertIsNot(self.one._lanes[-1], lane)
            late = self.sql(log_module._APPEND, lane.id, lane.turn - 1, 5, *arrays)
            error = await self.assertFailure(late, asyncpg.RaiseError)
            self.assertIn("given up", str(error))
            self.assertEqual(self.one._given_up, {})
            self.one._lanes.reverse()
            await keep(self.one, [entry(here.log, "c")], 7)
            self.assertIs(self.one._lanes[-1], lane)
        self.assertEqual(here.texts, ["a", "b", "c", "b", "c"])

    def lose_requests(self) -> list[None]:
        """Let appends fail before they reach the database, until the list is cleared."""
        losing = [None]

        def lossy(sql: str, *args: object) -> Any:
            async def work(connection: Any) -> Any:
                if "append" in sql and losing:
                    raise ConnectionResetError
                return await connection.fetch(sql, *args)

            return work

        self.patch(log_module, "fetch", lossy)
        return losing

    async def test_the_same_message_through_two_servers_is_one(self) -> None:
        await self.begin()
        here, there = await self.follow(self.one), await self.follow(self.other)
        first, again = entry(here.log, "a", "1\0"), entry(there.log, "a", "1\0", "ALICE")
        await keep(self.one, [first], 5)
        await keep(self.other, [again], 6)
        self.assertEqual((again.seq, again.time, again.fresh), (first.seq, 5, False))
        self.assertEqual((here.texts, there.texts), (["a"], ["a"]))


class RetentionTests(ServersTestCase):
    """What is not to be kept is deleted, for all servers."""

    async def test_only_so_many_messages_stay(self) -> None:
        self.patch(log_module, "TRIM_ROWS", 2)
        await self.begin(keep=Keep(messages=2))
        here, there = await self.follow(self.one), await self.follow(self.other)
        await keep(self.one, [entry(here.log, str(number)) for number in range(5)], 5)
        await self.until_true(lambda: there.records)
        (id,) = await self.one.overdue(0)
        self.assertEqual([await self.one.trim(id, 0) for _ in range(2)], [True, False])
        self.assertEqual(await self.one.overdue(0), [])
        self.assertEqual((here.log.oldest, texts(await here.log.after(0, MOST, PLENTY))), (4, ["3", "4"]))
        await self.until_true(lambda: there.log.oldest == 4)

    async def test_messages_are_deleted_in_rooms_that_nobody_has_open(self) -> None:
        await self.begin(keep=Keep(messages=1))
        await keep(self.one, [entry(await self.room(self.one), str(number)) for number in range(3)], 5)
        (id,) = await self.other.overdue(0)
        self.assertFalse(await self.other.trim(id, 0))
        self.assertEqual(texts(await (await self.room(self.other)).after(0, MOST, PLENTY)), ["2"])

    async def test_old_messages_and_then_the_room_are_forgotten(self) -> None:
        await self.begin(keep=Keep(seconds=10))
        here, there = await self.follow(self.one), await self.follow(self.other)
        await keep(self.one, [entry(here.log, "old")], 5_000)
        await here.log.set_topic("t")
        await self.until_true(lambda: there.records)
        (id,) = await self.one.overdue(20_000)
        self.assertFalse(await self.one.trim(id, 20_000))
        await self.until_true(lambda: there.log.oldest == 2)
        self.assertEqual((here.log.oldest, here.log.seq), (2, 1))
        self.assertEqual(await self.one.empty_rooms(20_000), [], "somebody is in it")
        here.log.unfollow()
        self.assertEqual(await self.one.empty_rooms(20_000), [id])
        await self.one.forget_rooms([id])
        self.assertEqual((here.log.is_kept, here.log.topic, self.one.room_count), (False, "", 0))
        await self.until_true(lambda: not there.log.is_kept)
        await self.one.forget_rooms([id])
        await keep(self.one, [entry(here.log, "new")], 20_000)
        self.assertEqual((here.log.seq, here.log.oldest, self.one.room_count), (2, 2, 1))
        self.assertEqual(await self.one.rooms(9), [RoomSummary(here.log.name, "")])

    async def test_where_nothing_is_too_old_no_room_is_empty(self) -> None:
        await self.begin(keep=Keep(messages=2))
        self.assertEqual(await self.one.empty_rooms(9), [])

    async def test_the_trusted_time_is_that_of_the_newest_message_until_it_is_kept(self) -> None:
        await self.begin(keep=Keep(seconds=10))
        self.assertEqual(await self.one.trusted(), Trusted(0))
        here = await self.follow(self.one)
        await keep(self.one, [entry(here.log, "a")], 7)
        self.assertEqual(await self.other.trusted(), Trusted(7))
        await self.one.keep_trusted(Trusted(9, 1.5))
        self.assertEqual(await self.other.trusted(), Trusted(9, 1.5))


class PageTests(ServersTestCase):
    """Pages are cut by the bytes of their texts."""

    async def test_long_and_short_texts_fill_pages(self) -> None:
        self.one = await self.open()
        here = await self.room(self.one)
        await keep(self.one, [entry(here, "x" * 100) for _ in range(40)], 5)
        self.assertEqual(numbers(await here.after(0, MOST, 1_000)), list(range(1, 11)))
        self.assertEqual(numbers(await here.before(WHOLE, MOST, 1_000)), list(range(31, 41)))
        self.assertEqual(numbers(await here.after(0, MOST, 550)), list(range(1, 7)))
        self.assertEqual(numbers(await here.after(0, 3, 1_000)), [1, 2, 3])

    def test_texts_have_no_character_that_postgresql_does_not_take(self) -> None:
        for text in ("", "plain", "\0", "\x1a", "\x1a0", "a\0\x1a1\0\0\x1a", "\x1a\0"):
            self.assertNotIn("\0", to_sql(text))
            self.assertEqual(from_sql(to_sql(text)), text)
        self.assertEqual(to_sql("plain"), "plain")


class PlanTests(ServersTestCase):
    """What statements cost."""

    async def test_no_statement_is_compiled(self) -> None:
        log = await self.open()
        for pool in (log._database.appending, log._database.reading):
            self.assertEqual(await log.run(log._database.attempt(fetch("SHOW jit"), pool)), [("off",)])

    async def test_a_page_touches_no_more_blocks_in_a_large_room_than_it_has_messages(self) -> None:
        log = await self.open()
        room = cast(PostgreSQLRoomLog, await self.room(log))
        await keep(log, [entry(room, "a")], 5)
        await self.sql(_FILL, room.id, 20_000)
        reads: list[tuple[str, str]] = [
            (log_module._AFTER, f"{room.id}, 5000, 20000, 50, 65536"),
            (log_module._BEFORE, f"{room.id}, 15000, 20000, 50, 65536"),
            (log_module._NEW, f"'{{{room.id}}}', '{{19950}}', '{{20000}}', 51"),
        ]
        for statement in ("SELECT", "ANALYZE twisted_chat.message"):  # a new table has no statistics
            await self.sql(statement)
            for sql, values in reads:
                self.assertLess(await self.on_loop(self.count_blocks(sql, values)), 60)

    async def test_a_turn_looks_for_what_is_there_in_an_index(self) -> None:
        log = await self.open()
        room = cast(PostgreSQLRoomLog, await self.room(log))
        await keep(log, [entry(room, "a")], 5)
        before = await self.on_loop(self.blocks_of_a_turn(room))
        await self.sql(_FILL, room.id, 20_000)
        await self.sql("UPDATE room SET head = 20000")
        self.assertLess(await self.on_loop(self.blocks_of_a_turn(room)), before + 30)

    async def blocks_of_a_turn(self, room: PostgreSQLRoomLog) -> int:
        """Append a message in place of a server, and return the number of blocks that were touched."""
        server, key = uuid.uuid4(), room.name.key
        turn = f"'{server}', 1, 1, '{{{key}}}', '{{{key}}}', '{{1}}', '{{al}}', '{{al}}', '{{{server}}}', '{{a}}'"
        return await self.count_blocks(f"SELECT store_turn({turn}, '{{\"\"}}', '{{NULL}}')", "")

    async def count_blocks(self, sql: str, values: str) -> int:
        """Return the number of blocks that a statement touches, with the plan for unknown values."""
        settings = {"search_path": "twisted_chat", "plan_cache_mode": "force_generic_plan"}
        connection = await asyncpg.connect(self.cluster.url, server_settings=settings, statement_cache_size=0)
        try:
            await connection.execute(f"PREPARE read AS {sql}")
            execute = f"EXECUTE read ({values})" if values else "EXECUTE read"
            plan = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {execute}"))
            blocks: int = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
            return blocks
        finally:
            await connection.close()


_FILL = """
INSERT INTO message (room, seq, time, author, author_key, id, msg)
SELECT $1, n, n, 'al', 'al', md5(n::text), 'This is what people say.' FROM generate_series(10, $2::integer) AS n"""


class OpeningTests(ServersTestCase):
    """A store is opened once it is one."""

    def refused(self, url: str | None = None) -> Deferred[str]:
        from twisted_chat.log import Unusable

        opened = maybeDeferred(self.open_postgresql, url=url, patience=0)
        return self.assertFailure(opened, Unusable).addCallback(str)

    async def test_a_second_server_finds_what_the_first_has_made(self) -> None:
        opened: list[Opened] = []
        opening = [self.open_postgresql().addCallback(opened.append) for _ in range(2)]
        for one in opening:
            await one
        self.assertEqual((await self.sql("SELECT count(*) FROM store"))[0][0], 1)

    async def test_a_newer_version_is_refused(self) -> None:
        await self.open()
        await self.sql("UPDATE store SET oldest = version + 1")
        self.assertIn("newer version of twisted_chat", await self.refused())

    async def test_a_database_with_another_encoding_is_refused(self) -> None:
        await self.sql("DROP DATABASE IF EXISTS latin")
        await self.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        self.assertIn("make a database with the encoding UTF8", await self.refused(self.cluster.url_of("latin")))
        await self.sql("DROP DATABASE latin WITH (FORCE)")

    async def test_a_database_that_does_not_exist_is_refused(self) -> None:
        self.assertIn('"nowhere" does not exist', await self.refused(self.cluster.url_of("nowhere")))

    async def test_a_place_where_nobody_listens_is_refused(self) -> None:
        reason = await self.refused("postgresql://chat:secret@127.0.0.1:1/chat")
        self.assertIn("postgresql://chat@127.0.0.1:1/chat cannot be used", reason)
        self.assertNotIn("secret", reason)

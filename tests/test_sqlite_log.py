"""The embedded store: what is kept, in what order, and what happens when the file does not do as it should."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.task import deferLater

from twisted_chat import names
from twisted_chat.__main__ import main
from twisted_chat.log import DELETE, Entry, Record, RoomLog, RoomSummary, Unavailable
from twisted_chat.stores import retention
from twisted_chat.stores.retention import Keep
from twisted_chat.stores.sqlite import database, watch
from twisted_chat.stores.sqlite import file as database_file
from twisted_chat.stores.sqlite import log as sqlite
from twisted_chat.stores.sqlite.file import CHECK_SECONDS
from twisted_chat.stores.sqlite.log import WIPE_AGAIN_SECONDS, WIPE_SECONDS, SQLiteLog

from .stores import (
    MOST,
    PLENTY,
    FileTestCase,
    StoreTestCase,
    entry,
    keep,
    numbers,
    read_bytes,
    room,
    row_of,
    size_of,
    texts,
    write_bytes,
)

WHOLE = 2**40
"""A number behind all others."""


class MemoryTestCase(StoreTestCase):
    """The promises for every file, with a store in which nothing waits."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.open_store(":memory:")
        self.room = self.successResultOf(room(self.log))

    def say(self, *entries: Entry, time: int = 5) -> None:
        self.assertTrue(self.log.append_now(entries, time))

    def move(self) -> None:
        self.successResultOf(self.log.flush())

    def after(self, seq: int = 0, most: int = MOST, most_bytes: int = PLENTY) -> list[Record]:
        return self.successResultOf(self.room.after(seq, most, most_bytes))

    def before(self, seq: int = WHOLE, most: int = MOST, most_bytes: int = PLENTY) -> list[Record]:
        return self.successResultOf(self.room.before(seq, most, most_bytes))


class Appending(MemoryTestCase):
    def test_messages_get_numbers_in_their_order_and_the_turn_s_time(self) -> None:
        first, second = entry(self.room, "a"), entry(self.room, "b")
        self.say(first, second, time=7)
        self.assertEqual([(e.seq, e.time, e.fresh) for e in (first, second)], [(1, 7, True), (2, 7, True)])
        self.assertEqual((self.room.seq, self.room.oldest), (2, 1))
        self.assertEqual(self.after(), [Record(1, 7, "alice", "a"), Record(2, 7, "alice", "b")])

    def test_each_room_counts_by_itself(self) -> None:
        other = self.successResultOf(room(self.log, "other"))
        self.say(entry(self.room, "a"), entry(other, "b"), entry(self.room, "c"))
        self.assertEqual((self.room.seq, other.seq), (2, 1))

    def test_numbers_rise_when_the_clock_is_set_back(self) -> None:
        self.say(entry(self.room, "a"), time=9)
        self.say(entry(self.room, "b"), time=3)
        self.assertEqual(self.after(), [Record(1, 9, "alice", "a"), Record(2, 3, "alice", "b")])

    def test_a_turn_of_one_is_one_statement_and_one_of_many_is_one_transaction(self) -> None:
        self.say(entry(self.room, "the first one makes the room", "1"))
        statements: list[str] = []
        self.file.writer.set_trace_callback(statements.append)
        self.addCleanup(self.file.writer.set_trace_callback, None)
        self.say(entry(self.room, "a", "2"))
        self.assertEqual([statement.split()[0] for statement in statements], ["INSERT"])
        del statements[:]
        self.say(*(entry(self.room, "a", f"{number}") for number in range(3, 103)))
        kinds = Counter(statement.split()[0] for statement in statements)
        self.assertEqual(kinds, {"BEGIN": 1, "INSERT": 100, "SELECT": 2, "COMMIT": 1})

    def test_a_name_is_kept_as_it_is_written(self) -> None:
        self.say(entry(self.room, "a", author="ALICE"))
        self.assertEqual(self.after()[0].author, "ALICE")

    def test_every_character_comes_back(self) -> None:
        said = [
            "",
            "\n\r\t",
            '"quoted" \\ back',
            "привет 💬",
            "\x01\x1f\x7f\x80",
            "\ufffe\uffff",
            "nul \x00 nul",
            "\x00",
        ]
        said += [r"\u0000", "a" * 16_000]
        self.say(*(entry(self.room, text) for text in said))
        self.assertEqual(texts(self.after()), said)
        self.move()
        self.assertEqual(texts(self.after()), said)

    def test_a_nul_neither_changes_the_order_nor_the_numbers(self) -> None:
        for text in ("a", "\x00", "b"):
            self.say(entry(self.room, text))
        self.assertEqual(numbers(self.after()), [1, 2, 3])
        self.move()
        self.assertEqual(texts(self.after()), ["a", "\x00", "b"])

    def test_nothing_to_keep_is_kept_at_once(self) -> None:
        self.say()
        self.assertEqual(self.after(), [])

    def test_what_is_no_text_fails_and_nothing_is_kept(self) -> None:
        self.failureResultOf(self.log.append([entry(self.room, "a"), entry(self.room, "\ud800")], 1))
        self.assertEqual((self.room.seq, self.after()), (0, []))
        self.say(entry(self.room, "b"))
        self.assertEqual(numbers(self.after()), [1])


class Twice(MemoryTestCase):
    """Saying twice is saying once."""

    def assert_once(self, move: bool) -> None:
        self.say(entry(self.room, "a", "1"), time=7)
        if move:
            self.move()
        again = entry(self.room, "a", "1")
        self.say(again, entry(self.room, "b", "2"), time=9)
        self.assertEqual((again.seq, again.time, again.fresh), (1, 7, False))
        self.assertEqual(numbers(self.after()), [1, 2])

    def test_the_same_message_is_found_in_the_journal(self) -> None:
        self.assert_once(move=False)

    def test_the_same_message_is_found_in_the_file(self) -> None:
        self.assert_once(move=True)

    def test_the_same_message_is_found_in_its_own_turn(self) -> None:
        first, again = entry(self.room, "a", "1"), entry(self.room, "a", "1")
        self.say(first, again)
        self.assertEqual((first.fresh, again.fresh, again.seq), (True, False, 1))
        self.assertEqual(numbers(self.after()), [1])

    def test_a_message_with_a_nul_is_stored_once(self) -> None:
        for _ in range(2):
            self.say(entry(self.room, "\x00", "1"))
        self.move()
        self.say(entry(self.room, "\x00", "1"))
        self.assertEqual(numbers(self.after()), [1])

    def test_an_author_is_the_same_in_upper_and_lower_case(self) -> None:
        self.say(entry(self.room, "a", "1", "Alice"))
        self.say(entry(self.room, "a", "1", "ALICE"))
        self.assertEqual(numbers(self.after()), [1])

    def test_another_author_another_room_and_another_id_are_another_message(self) -> None:
        other = self.successResultOf(room(self.log, "other"))
        self.say(entry(self.room, "a", "1"))
        self.move()
        self.say(entry(self.room, "a", "1", "bob"), entry(other, "a", "1"), entry(self.room, "a", "2"))
        self.say(entry(self.room, "a"), entry(self.room, "a"))
        self.assertEqual((self.room.seq, other.seq), (5, 1))

    def test_an_author_may_send_ids_after_messages_without(self) -> None:
        self.say(entry(self.room, "a"))
        self.move()
        for _ in range(2):
            self.say(entry(self.room, "b", "1"))
            self.move()
        self.assertEqual(numbers(self.after()), [1, 2])


class Reading(MemoryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.say(*(entry(self.room, f"{number}" * 10) for number in range(1, 7)))
        self.move()
        self.say(*(entry(self.room, f"{number}" * 10) for number in range(7, 10)))  # these are in the journal

    def test_pages_after_a_number(self) -> None:
        for seq, most, expected in (
            (0, 3, [1, 2, 3]),
            (4, 4, [5, 6, 7, 8]),
            (4, 2, [5, 6]),
            (6, 2, [7, 8]),
            (8, 9, [9]),
            (9, 9, []),
            (WHOLE, 9, []),
        ):
            self.assertEqual(numbers(self.after(seq, most)), expected)

    def test_pages_before_a_number(self) -> None:
        for seq, most, expected in (
            (WHOLE, 3, [7, 8, 9]),
            (WHOLE, 5, [5, 6, 7, 8, 9]),
            (8, 3, [5, 6, 7]),
            (7, 2, [5, 6]),
            (3, 9, [1, 2]),
            (1, 9, []),
            (0, 9, []),
        ):
            self.assertEqual(numbers(self.before(seq, most)), expected)

    def test_a_page_ends_where_its_bytes_pass_the_bound(self) -> None:
        for seq, most_bytes, expected in (
            (0, 1, [1]),
            (0, 10, [1]),
            (0, 11, [1, 2]),
            (4, 35, [5, 6, 7, 8]),
            (6, 5, [7]),
        ):
            self.assertEqual(numbers(self.after(seq, MOST, most_bytes)), expected)
        for seq, most_bytes, expected in ((7, 1, [6]), (7, 11, [5, 6]), (9, 25, [6, 7, 8]), (WHOLE, 5, [9])):
            self.assertEqual(numbers(self.before(seq, MOST, most_bytes)), expected)

    def test_bytes_are_those_of_the_text_and_not_its_characters(self) -> None:
        other = self.room = self.successResultOf(room(self.log, "other"))
        self.say(*(entry(other, text) for text in ("яяяя", "\x00яяяя", "яяяя")))
        for _ in range(2):
            self.assertEqual(numbers(self.after(0, MOST, 9)), [1, 2])
            self.assertEqual(numbers(self.after(0, MOST, 17)), [1, 2])
            self.assertEqual(numbers(self.after(0, MOST, 18)), [1, 2, 3])
            self.assertEqual(numbers(self.before(WHOLE, MOST, 8)), [3])
            self.move()

    def test_a_room_of_which_nothing_is_kept(self) -> None:
        other = self.successResultOf(room(self.log, "other"))
        self.assertEqual(self.successResultOf(other.after(0, 5, PLENTY)), [])
        self.assertEqual(self.successResultOf(other.before(5, 5, PLENTY)), [])

    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.lists(
            st.tuples(st.text(max_size=6), st.sampled_from([None, "1", "2", "3"]), st.sampled_from(["al", "Al", "bo"]))
            | st.none(),
            max_size=30,
        ),
        st.integers(0, 32),
        st.integers(1, 8),
        st.integers(1, 40),
    )
    def test_a_log_behaves_like_a_list(
        self, said: list[tuple[str, str | None, str] | None], place: int, most: int, most_bytes: int
    ) -> None:
        log = self.open_store(":memory:")
        self.log, self.room = log, self.successResultOf(room(log))
        model: list[Record] = []
        ids: dict[tuple[str, str], int] = {}
        for time, what in enumerate(said):
            if what is None:
                self.move()
                continue
            msg, id, author = what
            e = entry(self.room, msg, id, author)
            self.say(e, time=time)
            if id is None or (author.lower(), id) not in ids:
                model.append(Record(len(model) + 1, time, author, msg))
                ids[author.lower(), id or ""] = len(model)
                self.assertEqual((e.seq, e.fresh), (len(model), True))
            else:
                self.assertEqual((e.seq, e.fresh), (ids[author.lower(), id], False))
        self.assertEqual(self.after(place, most, most_bytes), fitting(model[place:][:most], most_bytes))
        newest = [record for record in reversed(model) if record.seq < place]
        self.assertEqual(self.before(place, most, most_bytes), fitting(newest[:most], most_bytes)[::-1])
        self.successResultOf(log.close())


def fitting(records: list[Record], most_bytes: int) -> list[Record]:
    """Take records as long as those in front of them have less text than the bound."""
    return [record for at, record in enumerate(records) if sum(len(r.msg.encode()) for r in records[:at]) < most_bytes]


class RoomsKept(MemoryTestCase):
    def rooms(self, most: int = 99) -> list[RoomSummary]:
        return self.successResultOf(self.log.rooms(most))

    def test_two_logs_of_one_room_are_one_object(self) -> None:
        self.assertIs(self.successResultOf(room(self.log, "LOBBY")), self.room)

    def test_a_room_in_which_nothing_was_said_leaves_no_trace(self) -> None:
        self.successResultOf(self.room.set_topic(""))
        self.assertEqual(self.rooms(), [])
        self.assertIs(row_of(self.room), None)

    def test_a_room_with_a_message_or_a_topic_is_known(self) -> None:
        self.say(entry(self.room, "a"))
        other = self.successResultOf(room(self.log, "Another"))
        self.successResultOf(other.set_topic("t"))
        self.assertEqual(self.rooms(), [RoomSummary(names.room("Another"), "t"), RoomSummary(names.room("lobby"), "")])
        self.assertEqual(self.rooms(1), [RoomSummary(names.room("Another"), "t")])

    def test_a_topic_can_be_changed_and_taken_away(self) -> None:
        for topic in ("one", "two", ""):
            self.successResultOf(self.room.set_topic(topic))
            self.assertEqual(self.room.topic, topic)
            self.assertEqual(self.rooms()[0].topic, topic)

    def test_a_room_that_nobody_holds_is_found_again(self) -> None:
        name = names.room("Other")
        self.say(entry(self.successResultOf(self.log.open(name)), "a"))
        self.successResultOf(self.successResultOf(self.log.open(name)).set_topic("t"))
        self.move()
        again = self.successResultOf(room(self.log, "OTHER"))
        self.assertEqual((again.name.shown, again.topic, again.seq, again.oldest), ("Other", "t", 1, 1))

    def test_a_room_is_opened_while_others_get_new_topics(self) -> None:
        read_state = database.room_state
        reads: list[str] = []

        def room_state(connection: sqlite3.Connection, key: str) -> database.RoomState:
            state = read_state(connection, key)
            reads.append(key)
            if len(reads) < 9:
                self.successResultOf(self.room.set_topic(f"topic {len(reads)}"))
            return state

        self.patch(database, "room_state", room_state)
        self.successResultOf(room(self.log, "other"))
        self.assertEqual(reads, ["other"])

    def test_a_topic_that_a_room_gets_while_it_is_opened_is_not_lost_sight_of(self) -> None:
        read_state = database.room_state
        reads: list[str] = []

        def room_state(connection: sqlite3.Connection, key: str) -> database.RoomState:
            state = read_state(connection, key)
            reads.append(key)
            if len(reads) == 1:  # somebody else opens it, and gives it up again
                self.successResultOf(self.successResultOf(room(self.log, "other")).set_topic("t"))
            return state

        self.patch(database, "room_state", room_state)
        other = self.successResultOf(room(self.log, "other"))
        self.assertEqual((other.topic, reads), ("t", ["other"] * 3))

    def test_what_is_in_the_journal_is_not_lost_sight_of(self) -> None:
        self.say(entry(self.successResultOf(room(self.log, "other")), "a"))
        again = self.successResultOf(room(self.log, "other"))
        self.assertEqual(again.seq, 1)
        self.assertEqual(texts(self.successResultOf(again.after(0, 5, PLENTY))), ["a"])


class Restart(FileTestCase):
    async def test_a_restart_keeps_messages_topic_and_row(self) -> None:
        log = self.open_store()
        lobby = await room(log, "Lobby")
        await keep(log, [entry(lobby, "a", "1"), entry(lobby, "b")], 7)
        await lobby.set_topic("t")
        await log.close()
        again = await room(self.open_store(), "lobby")
        self.assertEqual(
            (again.name.shown, again.topic, again.seq, again.oldest, row_of(again)), ("Lobby", "t", 2, 1, row_of(lobby))
        )
        self.assertEqual(await again.after(0, 5, PLENTY), [Record(1, 7, "alice", "a"), Record(2, 7, "alice", "b")])

    async def test_rooms_do_not_take_each_other_s_numbers(self) -> None:
        log = self.open_store()
        first, second = await room(log, "first"), await room(log, "second")
        await keep(log, [entry(first, "a", "1"), entry(second, "b", "2"), entry(second, "c", "3")], 7)
        await log.close()
        log = self.open_store()
        self.assertEqual([((await room(log, name)).seq) for name in ("first", "second")], [1, 2])

    async def test_saying_twice_is_still_saying_once(self) -> None:
        for _ in range(2):
            log = self.open_store()
            lobby = await room(log)
            said = entry(lobby, "a", "1")
            await keep(log, [said], 7)
            await log.close()
        self.assertEqual((said.seq, said.fresh), (1, False))

    async def test_a_closed_file_is_one_file(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a")], 7)
        await log.close()
        self.assertEqual(sorted(os.listdir(self.folder)), ["chat.sqlite"])

    async def test_what_was_in_the_journal_of_a_server_that_was_killed_is_moved_on(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a", "1")], 7)
        copy = str(self.folder / "copy.sqlite")
        for suffix in ("", "-wal"):
            write_bytes(copy + suffix, read_bytes(self.path + suffix))
        again = self.open_store(copy)
        lobby = await room(again)
        self.assertEqual((lobby.seq, texts(await lobby.after(0, 5, PLENTY))), (1, ["a"]))
        self.assertEqual(self.file.writer.execute("SELECT count(*) FROM journal").fetchone(), (0,))

    async def test_nothing_that_was_acked_is_lost_when_the_process_is_killed(self) -> None:
        for durability in ("process", "power"):
            path = f"{self.path}-{durability}"
            acked = killed_while_appending(path, durability)
            log = self.open_store(path)
            lobby = await room(log)
            self.assertGreaterEqual(lobby.seq, acked)
            self.assertGreaterEqual(acked, 3_000)
            records = await lobby.after(0, 10 * acked, 2**30)
            self.assertEqual(texts(records), [str(number) for number in range(lobby.seq)])


def killed_while_appending(path: str, durability: str) -> int:
    """Kill a process that appends, and return the last number that it acked."""
    acked = 0
    command = [sys.executable, "-c", APPENDS_FOR_EVER, path, durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent) as process:
        assert process.stdout
        for line in process.stdout:
            acked = int(line)
            if acked == 3_000:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return acked


APPENDS_FOR_EVER = """
import sys
from itertools import count
from tests.stores import FakeTime, entry, room
from twisted_chat.stores.sqlite.store import open_store

clock = FakeTime()
clock.running = False
log = open_store(sys.argv[1], clock, sys.argv[2]).log
lobby = room(log).result
for number in count():
    log.append([entry(lobby, str(number), str(number))], 1)
    assert lobby.seq == number + 1
    print(lobby.seq, flush=True)
"""


class Following(FileTestCase):
    """The records of other programs are heard, too."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[list[int]] = []

    async def followed(self, *said: str) -> tuple[SQLiteLog, RoomLog]:
        """Open a room in which some things were said, and follow it."""
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, text) for text in said], 1)
        lobby.follow(lambda records: self.heard.append(numbers(list(records))))
        return log, lobby

    def imports(self, *seqs: int, name: str = "lobby", size: int = 1) -> None:
        lines = [
            {"room": name, "seq": seq, "time": "2026-01-01T00:00Z", "author": "bob", "msg": "x" * size} for seq in seqs
        ]
        path = self.folder / "import.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.assertEqual(main(["import", "--database", self.path, str(path)]), 0)

    async def look(self, log: SQLiteLog) -> None:
        """Advance the clock to the next check."""
        self.clock.advance(CHECK_SECONDS)
        await log.flush()

    async def test_an_import_is_heard_without_a_message(self) -> None:
        log, lobby = await self.followed("a", "b")
        epoch = lobby.epoch
        self.imports(3, 4, 9)
        await self.look(log)
        self.assertEqual((self.heard, lobby.seq, lobby.epoch), ([[3, 4, 9]], 9, epoch))
        self.imports(10)
        await self.look(log)
        await keep(log, [entry(lobby, "c")], 1)
        await self.look(log)
        self.assertEqual((self.heard, lobby.epoch), ([[3, 4, 9], [10], [11]], epoch))

    async def test_an_import_into_an_empty_room_is_heard(self) -> None:
        log, lobby = await self.followed()
        epoch = lobby.epoch
        self.imports(5, 7)
        await self.look(log)
        self.assertEqual((self.heard, lobby.oldest, lobby.epoch), ([[5, 7]], 5, epoch))

    async def test_a_message_is_heard_behind_an_import_that_came_before_it(self) -> None:
        log, lobby = await self.followed("a")
        self.imports(2)
        await keep(log, [entry(lobby, "b")], 1)
        self.assertEqual(self.heard, [[2], [3]])

    async def test_a_room_opened_after_an_import_has_its_numbers(self) -> None:
        log, _ = await self.followed("a")
        self.imports(7, name="other")
        said = entry(await room(log, "other"), "b")
        await keep(log, [said], 1)
        self.assertEqual((said.seq, self.heard), (8, []))

    async def test_an_import_into_another_room_is_not_heard(self) -> None:
        log, lobby = await self.followed("a")
        epoch = lobby.epoch
        self.imports(1, 2, name="other")
        await self.look(log)
        self.assertEqual((self.heard, lobby.epoch), ([], epoch))

    async def test_an_import_in_front_of_other_messages_changes_the_epoch(self) -> None:
        log, lobby = await self.followed()
        self.imports(5, 9)
        await self.look(log)
        for seqs in ([7], [2], [3, 4, 10]):
            epoch, self.heard[:] = lobby.epoch, []
            self.imports(*seqs)
            await self.look(log)
            self.assertEqual(self.heard, [[]])
            self.assertNotEqual(lobby.epoch, epoch)

    async def test_an_import_of_more_than_a_page_changes_the_epoch(self) -> None:
        log, lobby = await self.followed("a")
        for last, size in ((database.NEW_AT_ONCE + 2, 1), (database.NEW_AT_ONCE + 11, 16_000)):
            epoch, self.heard[:] = lobby.epoch, []
            self.imports(*range(lobby.seq + 1, last + 1), size=size)
            await self.look(log)
            self.assertEqual((self.heard, lobby.seq), ([[]], last))
            self.assertNotEqual(lobby.epoch, epoch)

    async def test_an_import_changes_the_epoch_of_a_room_without_a_follower(self) -> None:
        log, lobby = await self.followed("a")
        lobby.unfollow()
        epoch = lobby.epoch
        self.imports(2)
        await self.look(log)
        self.assertEqual((self.heard, lobby.seq), ([], 2))
        self.assertNotEqual(lobby.epoch, epoch)

    async def test_a_follower_with_a_fault_does_not_stop_the_store(self) -> None:
        def failing(records: Sequence[Record]) -> None:
            raise ZeroDivisionError

        log, lobby = await self.followed()
        lobby.follow(failing)
        await keep(log, [entry(lobby, "a")], 1)
        self.assertEqual(lobby.seq, 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_file_that_cannot_be_read_now_is_looked_at_again(self) -> None:
        log, _ = await self.followed("a")
        self.imports(2)
        with self.written_to() as other:
            other.execute("ALTER TABLE store RENAME TO store_away")
        self.clock.advance(CHECK_SECONDS)
        with self.written_to() as other:
            other.execute("ALTER TABLE store_away RENAME TO store")
        await self.look(log)
        self.assertEqual(self.heard, [[2]])

    async def test_the_file_is_looked_at_only_while_somebody_follows(self) -> None:
        log = self.open_store()
        await room(log)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        (await room(log)).follow(lambda records: None)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        await log.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        (await room(self.open_store(":memory:"))).follow(lambda records: None)
        self.assertEqual(self.clock.getDelayedCalls(), [], "no other program writes to memory")


class GivenTwice(FileTestCase):
    """A file in which two servers gave the same numbers."""

    def said(self, *rows: tuple[int, str, str | None]) -> None:
        """Write to the journal as servers do: a number, a text and an `id` each."""
        sql = """
            INSERT INTO journal (room, seq, time, author, author_key, msg, id)
            VALUES (1, ?, 7, 'alice', 'alice', ?, ?)"""
        self.beside().executemany(sql, rows)

    async def assert_kept(self, log: SQLiteLog, *expected: str) -> None:
        lobby = await room(log)
        self.assertEqual(texts(await lobby.after(0, MOST, PLENTY)), list(expected))
        self.assertEqual(lobby.seq, len(expected))
        said = entry(lobby, "next")
        await keep(log, [said], 1)
        self.assertEqual(said.seq, len(expected) + 1)

    async def test_a_file_with_numbers_given_twice_opens_with_every_message_once(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a", "1"), entry(await room(log), "b")], 1)
        await log.close()
        self.said((2, "other b", "2"), (3, "c", None), (3, "other c", None), (3, "c", None), (2, "other b", "2"))
        await self.assert_kept(self.open_store(), "a", "b", "c", "other b", "other c", "c")
        self.assertEqual(len([line for line in self.logged() if line.startswith("3 messages in")]), 1)

    async def test_a_running_server_goes_on_with_the_new_numbers(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a", "1")], 1)
        await log.flush()
        lobby.follow(lambda records: None)
        epoch = lobby.epoch
        await keep(log, [entry(lobby, "b"), entry(lobby, "c")], 1)
        self.said((2, "other b", None))
        await log.flush()
        again = entry(lobby, "d")
        await keep(log, [again], 1)
        self.assertEqual((again.seq, lobby.seq), (5, 5))
        self.assertNotEqual(lobby.epoch, epoch)
        self.assertEqual(texts(await lobby.after(0, MOST, PLENTY)), ["a", "b", "c", "other b", "d"])
        epoch = lobby.epoch
        with self.written_to() as beside:
            database.insert(beside, 1, Record(6, 3, "bob", "e"), "bob", None)
            beside.execute("UPDATE store SET epoch = epoch + 1")
        await keep(log, [entry(lobby, "f")], 1)
        self.assertEqual((lobby.seq, lobby.epoch), (7, epoch), "the numbers are certain again")

    async def test_how_many_are_skipped_is_counted_anew(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a", "1")], 1)
        await log.close()
        self.said((1, "a", "1"), (2, "a", "1"), (9, "b", None), (1, "c", None))
        log = self.open_store()
        self.assertEqual(numbers(await (await room(log)).after(0, MOST, PLENTY)), [1, 9, 10])
        self.assertEqual(self.beside().execute("SELECT skipped FROM room").fetchone(), (7,))

    async def test_how_many_are_skipped_is_counted_in_the_rooms_of_the_journal(self) -> None:
        log = self.open_store()
        await keep(log, [entry(await room(log), "a"), entry(await room(log), "b")], 1)
        await log.close()
        self.said((2, "other b", None), (9, "c", None))
        log = self.open_store()
        self.assertEqual(numbers(await (await room(log)).after(0, MOST, PLENTY)), [1, 2, 9, 10])
        self.assertEqual(self.beside().execute("SELECT skipped FROM room").fetchone(), (6,))


class Conditions(FileTestCase):
    """The condition of the store, for the one who runs the server."""

    async def test_the_journal_and_the_files(self) -> None:
        log = self.open_store()
        before = log.condition()
        self.assertEqual(before.patience, database.PATIENCE)
        self.assertEqual((before.trouble, before.journal_entries, before.journal_bytes), ("", 0, 0))
        for name in ("lobby", "other"):
            await keep(log, [entry(await room(log, name), "x" * 1000), entry(await room(log, name), "y")], 1)
        after = log.condition()
        self.assertEqual((after.journal_entries, after.journal_bytes), (4, 2 * (1001 + 2 * sqlite.ROW_BYTES)))
        self.assertEqual(after.files, {"database": size_of(self.path), "wal": size_of(f"{self.path}-wal")})
        self.assertGreater(after.files["wal"], before.files["wal"])
        await log.flush()
        self.assertEqual(log.condition().journal_entries, 0)

    async def test_a_file_that_is_gone(self) -> None:
        log = self.open_store()
        os.rename(self.path, f"{self.path}-away")
        self.assertEqual(log.condition().trouble, watch.GONE)
        self.assertEqual(self.logged(), [])
        os.rename(f"{self.path}-away", self.path)
        self.assertEqual(log.condition().trouble, "")


class Moving(FileTestCase):
    async def test_the_journal_is_moved_on_when_enough_has_gathered(self) -> None:
        log = self.open_store(journal_bytes=2**14)
        lobby = await room(log)
        for number in range(200):
            await keep(log, [entry(lobby, str(number), str(number))], 1)
        await log.append([], 1)
        self.assertLess(self.in_journal(), 40)
        self.assertEqual(texts(await lobby.after(0, MOST, PLENTY)), [str(number) for number in range(200)])
        again = entry(lobby, "0", "0")
        await keep(log, [again], 1)
        self.assertEqual((again.seq, again.fresh), (1, False))

    async def test_large_texts_count_as_what_they_are(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "x" * 16_000) for _ in range(64)], 1)
        await log.append([], 1)
        self.assertEqual(self.in_journal(), 0)

    async def test_an_append_waits_for_a_move_and_goes_on_behind_it(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        moved = log.flush()
        said = entry(lobby, "b")
        kept = log.append([said], 1)
        self.assertNoResult(kept)
        await kept
        await moved
        self.assertEqual((said.seq, texts(await lobby.after(0, 5, PLENTY))), (2, ["a", "b"]))

    async def test_a_page_read_while_the_journal_is_moved_has_everything(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        for number in range(60):
            await keep(log, [entry(lobby, str(number))], 1)
            moved = log.flush() if number % 3 == 0 else log.append([], 1)
            after, before = lobby.after(0, MOST, PLENTY), lobby.before(WHOLE, MOST, PLENTY)
            everything = [str(said) for said in range(number + 1)]
            self.assertEqual((texts(await after), texts(await before)), (everything, everything))
            await moved

    async def test_a_page_whose_reading_ends_after_the_move_has_everything(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        read = self.file.results_after = Deferred[None]()
        pages = [lobby.after(0, 5, PLENTY), lobby.before(WHOLE, 5, PLENTY)]
        await self.have_read()
        await log.flush()
        read.callback(None)
        self.assertEqual([texts(await page) for page in pages], [["a"], ["a"]])

    async def test_what_is_said_while_a_page_is_read_makes_no_gap_in_it(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        for first in ("a", None):
            if first:
                await keep(log, [entry(lobby, first)], 1)
            begin = self.file.reads_after = Deferred[None]()
            pages = [lobby.after(0, 9, PLENTY), lobby.before(WHOLE, 9, PLENTY)]
            self.file.reads_after = succeed(None)
            said = list(range(1, lobby.seq + 1))
            await keep(log, [entry(lobby, "in the journal")], 1)
            await keep(log, [entry(lobby, "\x00, which does not go by it")], 1)
            if first is None:
                await log.flush()
            begin.callback(None)
            self.assertEqual([numbers(await page) for page in pages], [said, said])
            await log.flush()

    async def test_a_room_opened_while_it_is_written_and_let_go_has_its_number(self) -> None:
        log = self.open_store()
        read = self.file.results_after = Deferred[None]()
        late = room(log)
        await self.have_read()
        await keep(log, [entry(await room(log), "a")], 1)
        await log.flush()
        read.callback(None)
        self.assertEqual((await late).seq, 1)

    async def test_two_who_open_a_room_at_once_get_the_same_one(self) -> None:
        log = self.open_store()
        first, second = await gatherResults([room(log), room(log)])
        self.assertIs(first, second)

    async def test_who_reads_does_not_stand_in_the_way_of_who_writes(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        go_on = threading.Event()
        readers = [self.file.read(lambda connection: go_on.wait(20)) for _ in range(4)]
        await log.flush()
        go_on.set()
        self.assertEqual(await gatherResults(readers), [True] * 4)

    async def test_the_write_ahead_log_begins_anew_when_it_has_grown(self) -> None:
        self.patch(database_file, "WAL_BYTES", 2**17)
        log = self.open_store()
        lobby = await room(log)
        for _ in range(30):
            await keep(log, [entry(lobby, "x" * 10_000) for _ in range(10)], 1)
            await log.flush()
            await log.append([], 1)
            await log.flush()
        self.assertLess(size_of(self.path + "-wal"), 2**20)
        self.assertGreater(size_of(self.path), 3_000_000 - 2**20)

    async def test_the_write_ahead_log_is_copied_after_retention(self) -> None:
        log = self.open_store(keep=Keep(messages=1))
        lobby = await room(log)
        await keep(log, [entry(lobby, "a"), entry(lobby, "b")], 1)
        await log.flush()
        self.patch(database_file, "WAL_BYTES", 1)
        copied: list[sqlite3.Connection] = []
        self.patch(database, "copy_wal", copied.append)
        self.assertFalse(await log.trim(row_of(lobby) or 0, 1))
        await self.file.wal_copied()
        self.assertEqual(lobby.oldest, 2)
        self.assertEqual(len(copied), 2, "most of it beside the appends, and the rest")

    async def test_the_write_ahead_log_does_not_grow_by_topics(self) -> None:
        self.patch(database_file, "WAL_BYTES", 2**16)
        log = self.open_store()
        lobby = await room(log)
        for number in range(100):
            await lobby.set_topic(str(number))
            await log.flush()
        self.assertLess(size_of(self.path + "-wal"), 2**17)


class Together(FileTestCase):
    """Readers, writers, moves and retention against each other."""

    KEEP = 150

    async def reads_on(self, lobby: RoomLog, chance: Random) -> None:
        """Read everything as it is said, and see that no number is missing but for those that were taken away."""
        place = 0
        while not self.all_said or place < lobby.seq:
            page = await lobby.after(place, chance.choice([3, 100]), chance.choice([50, 2**16]))
            for number in numbers(page):
                if number > place + 1:
                    self.assertLessEqual(place, lobby.seq - self.KEEP)
                place = number
            back = numbers(await lobby.before(place + 1, 20, 2**16))
            self.assertEqual(back, list(range(place + 1 - len(back), place + 1)))

    async def says(self, log: SQLiteLog, rooms: list[RoomLog], chance: Random) -> None:
        kept: dict[tuple[RoomLog, str], int] = {}
        for turn in range(120):
            said = []
            for number in range(chance.choice([1, 5, 20])):
                id = f"{turn} {number}" if chance.random() < 0.9 else f"{turn - 1} 0"
                said.append(entry(chance.choice(rooms), chance.choice(["a", "\x00", "x" * 90]), id))
            await keep(log, said, turn)
            for e in said:
                self.assertEqual(e.seq, kept.setdefault((e.room, e.id or ""), e.seq))
                self.assertEqual(self.seen_once.setdefault((e.room, e.seq), e.id), e.id)
            self.clock.advance(1)
        self.all_said = True

    async def assert_together(self, durability: database.Durability) -> None:
        self.patch(database_file, "WAL_BYTES", 2**17)
        self.patch(retention, "CHECK_SECONDS", 3.0)
        self.all_said = False
        self.seen_once: dict[tuple[RoomLog, int], str | None] = {}
        chance = Random(7)
        log = self.open_store(
            f"{self.path}-{durability}", durability, keep=Keep(messages=self.KEEP), journal_bytes=2**14
        )
        rooms = await gatherResults([room(log, name) for name in ("one", "two", "three")])
        reading = [Deferred.fromCoroutine(self.reads_on(opened, chance)) for opened in rooms * 2]
        await self.says(log, rooms, chance)
        await gatherResults(reading)
        self.assertGreater(min(opened.oldest for opened in rooms), 1)

    async def test_readers_miss_nothing_beside_writers_moves_and_retention(self) -> None:
        await self.assert_together("process")

    async def test_readers_miss_nothing_where_each_turn_waits_for_the_disk(self) -> None:
        await self.assert_together("power")


class Full(FileTestCase):
    """A disk that is full, and then is not."""

    def fill(self, log: SQLiteLog) -> None:
        (pages,) = self.file.writer.execute("PRAGMA page_count").fetchone()
        self.file.writer.execute(f"PRAGMA max_page_count = {pages}")

    def free(self, log: SQLiteLog) -> None:
        self.file.writer.execute("PRAGMA max_page_count = 1000000")

    async def test_a_full_disk_keeps_nothing_of_a_turn_and_works_again_later(self) -> None:
        log = self.open_store()
        lobby, other = await room(log), await room(log, "other")
        await keep(log, [entry(lobby, "a", "1")], 1)
        self.fill(log)
        refused = [entry(lobby, "b", "2"), entry(other, "x" * 50_000, "3"), entry(other, "\x00")]
        for _ in range(3):
            self.assertEqual(await self.unavailable(keep(log, refused, 2)), "the disk is full")
        self.assertEqual((lobby.seq, other.seq, row_of(other), other.oldest), (1, 0, None, 0))
        self.assertEqual([e.fresh for e in refused], [False] * 3)
        self.assertEqual(texts(await lobby.after(0, 5, PLENTY)), ["a"])
        self.free(log)
        await keep(log, refused, 3)
        self.assertEqual([e.seq for e in refused], [2, 1, 2])
        self.assertEqual(texts(await lobby.after(0, 5, PLENTY)), ["a", "b"])

    async def test_a_full_disk_leaves_no_row_for_a_room_without_messages(self) -> None:
        log = self.open_store()
        self.fill(log)
        await self.unavailable(keep(log, [entry(await room(log, "other"), "x" * 50_000)], 2))
        self.assertEqual(await log.rooms(5), [])

    async def test_a_full_disk_is_logged_once_and_so_is_its_end(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        self.fill(log)
        for _ in range(3):
            await self.unavailable(keep(log, [entry(lobby, "x" * 50_000)], 2))
        self.free(log)
        for _ in range(3):
            await keep(log, [entry(lobby, "x")], 2)
            self.clock.advance(10)
        self.assertEqual(
            self.logged(), [f"{self.path} does not work now: the disk is full", f"{self.path} works again"]
        )

    async def test_a_disk_that_takes_only_short_messages_is_logged_once(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        for _ in range(5):
            self.fill(log)
            await self.unavailable(keep(log, [entry(lobby, "x" * 50_000)], 2))
            self.free(log)
            await keep(log, [entry(lobby, "x")], 2)
            self.clock.advance(3)
        self.assertEqual(self.logged(), [f"{self.path} does not work now: the disk is full"])

    async def test_a_full_disk_changes_no_topic(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        self.fill(log)
        self.assertEqual(await self.unavailable(lobby.set_topic("t" * 50_000)), "the disk is full")
        self.assertEqual((lobby.topic, row_of(lobby)), ("", None))

    async def test_a_journal_that_cannot_be_moved_is_read_where_it_is(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a", "1"), entry(lobby, "b")], 1)
        self.file.broken[database.move] = _failing("disk I/O error", sqlite3.SQLITE_IOERR)
        self.assertEqual(await self.unavailable(log.flush()), "disk I/O error")
        self.assertEqual(texts(await lobby.before(WHOLE, 5, PLENTY)), ["a", "b"])
        again = entry(lobby, "a", "1")
        await keep(log, [again], 1)
        self.assertEqual((again.seq, again.fresh), (1, False))

    async def test_appends_are_refused_once_a_journal_that_cannot_be_moved_is_full(self) -> None:
        self.patch(sqlite, "MAX_JOURNAL_BYTES", 2**14)
        log = self.open_store(journal_bytes=2**12)
        lobby = await room(log)
        kept = 0
        self.file.broken[database.move] = _failing("disk I/O error", sqlite3.SQLITE_IOERR)
        while True:
            said = entry(lobby, str(kept))
            try:
                await keep(log, [said], 1)
            except Unavailable:
                break
            kept += 1
        self.assertEqual(kept, 32)
        self.assertFalse(said.fresh)
        self.assertLess(self.file.failures, 8)
        self.file.broken.clear()
        await keep(log, [said], 1)
        self.assertEqual((said.seq, self.in_journal()), (33, 1))
        self.assertEqual(numbers(await lobby.after(0, MOST, PLENTY)), list(range(1, 34)))


def _failing(text: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def imports(beside: sqlite3.Connection, room: int | None, id: str | None = None) -> None:
    """Write a message with the number 7, as another program does."""
    database.insert(beside, room or 0, Record(7, 3, "bob", "imported"), "bob", id)


class Busy(FileTestCase):
    """A file that another program writes to."""

    async def test_an_append_waits_for_another_program_that_writes(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        with self.written_to():
            said = [entry(lobby, "a"), entry(lobby, "b")]
            kept = log.append(said[:1], 1)
            self.clock.advance(1)
            self.assertNoResult(kept)
        self.clock.advance(1)
        self.successResultOf(kept)
        await keep(log, said[1:], 1)
        self.assertEqual([e.seq for e in said], [1, 2])

    async def test_the_reactor_waits_for_no_disk(self) -> None:
        for durability in ("process", "power"):
            log = self.open_store(f"{self.path}-{durability}", durability)
            lobby = await room(log)
            await keep(log, [entry(lobby, "a")], 1)
            self.assertIs(log.append_now([entry(lobby, "b")], 1), durability == "process")

    async def test_another_program_is_waited_for_some_seconds_only(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        with self.written_to():
            kept = log.append([entry(lobby, "a")], 1)
            topic = lobby.set_topic("t")
            self.clock.pump([0.1] * 45)
            self.assertNoResult(kept)
            self.clock.pump([0.1] * 100)
            why = "another program has been writing to it for too long"
            self.assertEqual([await self.unavailable(done) for done in (kept, topic)], [why] * 2)
        self.assertEqual((lobby.seq, lobby.topic), (0, ""))
        await keep(log, [entry(lobby, "a")], 1)
        self.assertEqual(lobby.seq, 1)

    async def test_topics_that_waited_are_set_in_their_order(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        busy: Deferred[None] = Deferred()
        holding = self.file.in_turn(lambda until: busy)
        waiting = [lobby.set_topic(topic) for topic in ("one", "two", "three", "")]
        busy.callback(None)
        await gatherResults([holding, *waiting])
        self.assertEqual((lobby.topic, (await log.rooms(9))[0].topic), ("", ""))

    async def test_all_that_wait_at_once_wait_for_the_same_time(self) -> None:
        for durability in ("process", "power"):
            log = self.open_store(f"{self.path}-{durability}", durability)
            rooms = [await room(log, f"room{number}") for number in range(30)]
            await keep(log, [entry(rooms[0], "a")], 1)
            other = sqlite3.connect(f"{self.path}-{durability}", isolation_level=None)
            self.addCleanup(other.close)
            other.execute("BEGIN IMMEDIATE")
            waiting = [opened.set_topic("t") for opened in rooms]
            waiting += [log.append([entry(rooms[0], "b")], 1), log.flush()]
            refused = [Deferred.fromCoroutine(self.unavailable(done)) for done in waiting]
            for _ in range(int(database.PATIENCE * 10) + 10):
                self.clock.advance(0.1)
                await deferLater(reactor, 0)
            # Their time is over, and it does not go on: whoever began to wait only now would wait for ever.
            why = await gatherResults(refused)
            self.assertEqual(set(why), {"another program has been writing to it for too long"})
            other.execute("ROLLBACK")
            await keep(log, [entry(rooms[0], "b")], 1)
            self.assertEqual([opened.topic for opened in rooms], [""] * 30)

    async def test_a_move_waits_for_another_program_and_the_reactor_does_not(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        with self.written_to():
            moved = log.flush()
            self.assertEqual(texts(await lobby.after(0, 5, PLENTY)), ["a"])
            self.assertNoResult(moved)
        await self.until(moved)
        self.assertEqual(self.beside().execute("SELECT count(*) FROM journal").fetchone(), (0,))

    async def test_numbers_go_on_behind_what_another_program_wrote(self) -> None:
        log = self.open_store()
        lobby, other = await room(log), await room(log, "other")
        await keep(log, [entry(lobby, "a", "1"), entry(other, "a")], 1)
        epoch = lobby.epoch
        with self.written_to() as beside:
            database.move_now(beside)
            sql = "INSERT INTO message VALUES (?, ?, 3, 'bob', 'bob', ?, 'imported', '', NULL, NULL)"
            beside.executemany(sql, [(row_of(lobby), 7, "2"), (row_of(other), 9, None)])
            beside.execute("UPDATE room SET topic = 'theirs'")
            beside.execute("UPDATE store SET epoch = epoch + 1")
        first, again = entry(lobby, "b"), entry(lobby, "imported", "2", "bob")
        await keep(log, [first, again], 4)
        self.assertEqual((first.seq, again.seq, again.fresh, again.time), (8, 7, False, 3))
        self.assertEqual(numbers(await lobby.after(0, 9, PLENTY)), [1, 7, 8])
        self.assertEqual(lobby.topic, "theirs")
        self.assertGreater(lobby.epoch, epoch)
        late = entry(other, "b")
        await keep(log, [late], 5)  # in a room that was not looked at with the first one
        self.assertEqual(late.seq, 10)
        await log.flush()
        self.assertEqual(numbers(await other.after(0, 9, PLENTY)), [1, 9, 10])

    async def test_ids_that_another_program_wrote_are_known(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        pages = self.file.writer.execute("PRAGMA page_count").fetchone()[0]
        self.file.writer.execute(f"PRAGMA max_page_count = {pages}")
        await self.unavailable(keep(log, [entry(lobby, "b" * 50_000, "1", "bob")], 1))
        self.file.writer.execute("PRAGMA max_page_count = 1000000")
        with self.written_to() as beside:
            database.move_now(beside)
            beside.execute(
                "INSERT INTO message VALUES (?, 7, 3, 'bob', 'bob', '1', 'imported', '', NULL, NULL)", (row_of(lobby),)
            )
            beside.execute("UPDATE store SET epoch = epoch + 1")
        again = entry(lobby, "b", "1", "bob")
        await keep(log, [again], 4)
        self.assertEqual((again.seq, again.fresh), (7, False))

    async def test_numbers_go_on_in_a_room_that_another_program_made(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        with self.written_to() as beside:
            id = database.make_room(beside, names.room("LOBBY"))
            imports(beside, id)
            beside.execute("UPDATE store SET epoch = epoch + 1")
        said = [entry(lobby, "a"), entry(lobby, "\x00")]
        await keep(log, said, 4)
        self.assertEqual([e.seq for e in said], [8, 9])
        self.assertEqual((lobby.name.shown, lobby.oldest), ("LOBBY", 7))

    async def test_a_room_opened_while_it_was_written_is_looked_at_again(self) -> None:
        log = self.open_store()
        lobby = await room(log)
        read = self.file.results_after = Deferred[None]()
        late = room(log, "other")
        await self.have_read()
        with self.written_to() as beside:
            id = database.make_room(beside, names.room("other"))
            imports(beside, id)
            beside.execute("UPDATE store SET epoch = epoch + 1")
        await keep(log, [entry(lobby, "a")], 1)
        read.callback(None)
        self.assertEqual((await late).seq, 7)

    async def test_numbers_go_on_behind_another_program_where_each_turn_waits_for_the_disk(self) -> None:
        log = self.open_store(durability="power")
        lobby = await room(log)
        await keep(log, [entry(lobby, "a")], 1)
        with self.written_to() as beside:
            database.move_now(beside)
            beside.execute(
                "INSERT INTO message VALUES (?, 7, 3, 'bob', 'bob', NULL, 'imported', '', NULL, NULL)", (row_of(lobby),)
            )
            beside.execute("UPDATE store SET epoch = epoch + 1")
            said = entry(lobby, "b")
            kept = log.append([said], 4)
            self.assertEqual(texts(await lobby.after(0, 5, PLENTY)), ["a"])
            self.assertNoResult(kept)
        await self.until(kept)
        self.assertEqual(said.seq, 8)


class WipeTests(StoreTestCase):
    """A text that was deleted is in no file, once there was time to overwrite what is left of it."""

    async def begin(self, **options: Any) -> None:
        self.log = self.open_store(**options)
        self.room = await room(self.log)

    async def say(self, *entries: Entry) -> None:
        await keep(self.log, list(entries), 1)

    def delete(self, of: int) -> Entry:
        return Entry(self.room, names.nick("mo"), "", kind=DELETE, of=of)

    def files_with(self, text: str) -> list[str]:
        """The endings of the names of those files that have a text."""
        return [
            name.removeprefix("chat.sqlite")
            for name in sorted(os.listdir(self.folder))
            if text.encode() in (self.folder / name).read_bytes()
        ]

    async def test_a_text_that_is_moved_and_deleted(self) -> None:
        for length in 1, 500:  # of which the long one takes pages of its own
            await self.begin()
            secret = "kept secret " * length
            for number in range(3):
                await self.say(*(entry(self.room, f"{number} {n} {secret}") for n in range(20)))
                await self.log.flush()
            self.assertNotEqual(self.files_with("kept secret"), [])
            await self.say(*map(self.delete, range(1, self.room.seq + 1)))
            await self.log.flush()
            self.assertEqual(self.files_with("kept secret"), [])
            await self.log.close()
            self.assertEqual(self.files_with("kept secret"), [])

    async def test_it_is_done_by_itself_a_second_later(self) -> None:
        await self.begin()
        await self.say(entry(self.room, "kept secret"))
        await self.say(self.delete(1))
        self.assertNotEqual(self.files_with("kept secret"), [])
        self.clock.advance(WIPE_SECONDS)
        await self.until(self.log._emptied)
        self.assertEqual(self.files_with("kept secret"), [])

    async def test_a_store_that_closes_does_it_at_once(self) -> None:
        await self.begin()
        await self.say(entry(self.room, "kept secret"))
        await self.say(self.delete(1))
        await self.log.close()
        self.assertEqual(self.files_with("kept secret"), [])

    async def test_one_whose_pages_others_have_taken_since(self) -> None:
        await self.begin()
        await self.say(*(entry(self.room, "kept secret " * 500) for _ in range(20)))
        await self.log.flush()
        await self.say(*(entry(self.room, "x" * 5000) for _ in range(20)))
        await self.log.flush()
        await self.say(*map(self.delete, range(1, 21)))
        await self.log.flush()
        self.assertEqual(self.files_with("kept secret"), [])

    async def test_a_server_that_was_killed_does_it_at_its_next_start(self) -> None:
        await self.begin()
        await self.say(entry(self.room, "kept secret"))
        await self.say(self.delete(1))
        copies = self.folder / "killed"
        copies.mkdir()
        for ending in "", "-wal":
            shutil.copy(self.path + ending, copies)
        await self.log.close()
        self.folder = copies
        self.assertEqual(self.files_with("kept secret"), ["-wal"])
        self.open_store(str(copies / "chat.sqlite"))
        self.assertEqual(self.files_with("kept secret"), [])

    async def test_deletions_share_it(self) -> None:
        await self.begin()
        await self.say(entry(self.room, "one"), entry(self.room, "two"))
        await self.say(self.delete(1))
        await self.say(self.delete(2))
        self.assertEqual(sum(call.func == self.log._empty_wal for call in self.clock.calls), 1)

    async def test_while_somebody_reads_the_rest_is_done_later(self) -> None:
        await self.begin()
        await self.say(entry(self.room, "kept secret"))
        reader = sqlite3.connect(self.path)
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM said").fetchone()
        await self.say(self.delete(1))
        self.clock.advance(WIPE_SECONDS)
        await self.until(self.log._emptied)
        self.assertEqual(self.files_with("kept secret"), ["-wal"])
        await self.say(entry(self.room, "another"))
        await self.say(self.delete(3))  # which brings the next attempt forward
        reader.execute("COMMIT")
        self.clock.advance(WIPE_SECONDS)
        await self.until(self.log._emptied)
        self.assertEqual(self.files_with("kept secret"), [])

    async def test_where_it_fails_it_is_tried_again(self) -> None:
        await self.begin()
        await self.say(entry(self.room, "kept secret"))
        await self.say(self.delete(1))
        empty_wal = database.empty_wal
        self.patch(database, "empty_wal", self.broken)
        self.clock.advance(WIPE_SECONDS)
        await self.until(self.log._emptied)
        self.assertNotEqual(self.files_with("kept secret"), [])
        self.patch(database, "empty_wal", empty_wal)
        self.clock.advance(WIPE_AGAIN_SECONDS)
        await self.until(self.log._emptied)
        self.assertEqual(self.files_with("kept secret"), [])

    def broken(self, connection: sqlite3.Connection) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    async def test_in_memory_there_is_no_file(self) -> None:
        await self.begin(path=":memory:")
        await self.say(entry(self.room, "kept secret"))
        await self.say(self.delete(1))
        self.assertEqual([call for call in self.clock.calls if call.func == self.log._empty_wal], [])
        await self.log.flush()

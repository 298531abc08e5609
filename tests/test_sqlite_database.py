"""The file of the store: opened, checked, upgraded, locked."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest import mock

from twisted_chat import names
from twisted_chat.log import Record, Unusable
from twisted_chat.stores.retention import Keep, Trusted
from twisted_chat.stores.sqlite import database
from twisted_chat.stores.sqlite.database import connect, prepare, transaction

from .stores import StoreTestCase, entry, room

SCHEMAS = Path(__file__).parent / "schemas"
"""The schema of each version that was ever released, as it was."""

OLD = """
PRAGMA application_id = 0x54774368;
PRAGMA user_version = 1;
CREATE TABLE store (epoch INTEGER NOT NULL) STRICT;
INSERT INTO store VALUES (1);
CREATE TABLE journal (row INTEGER PRIMARY KEY, room, seq, time, author, author_key, id, msg, kind, of, deleted);
CREATE TABLE message (room, seq, time, author, author_key, id, msg, kind, of, deleted);
"""


class DatabaseTestCase(StoreTestCase):
    def connected(self) -> sqlite3.Connection:
        connection = connect(self.path)
        self.addCleanup(connection.close)
        return connection

    def refusal(self, connection: sqlite3.Connection | None = None) -> str:
        return str(self.assertRaises(Unusable, prepare, connection or self.connected(), self.path))


def shape(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Describe all tables, indexes and views, whatever text made them."""
    rows = connection.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY name").fetchall()
    columns = connection.execute(
        """SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden
           FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c ORDER BY m.name, c.cid"""
    ).fetchall()
    return [*rows, *columns]


class NewFile(DatabaseTestCase):
    def test_a_new_file_is_ours_and_of_the_newest_version(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        self.assertEqual(connection.execute("PRAGMA application_id").fetchone()[0], database.APPLICATION_ID)
        self.assertEqual(database.check(connection, self.path), database.version_of(database._SCRIPTS))
        self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone()[0], "wal")

    def test_preparing_a_file_again_changes_nothing(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        database.set_topic(connection, names.room("lobby"), "t", 1)
        prepare(connection, self.path)
        self.assertEqual(database.room_state(connection, "lobby").topic, "t")

    def test_durability_decides_what_waits_for_the_disk(self) -> None:
        levels: dict[database.Durability, int] = {"process": 1, "power": 2}
        for durability, level in levels.items():
            connection = connect(self.path, durability)
            self.addCleanup(connection.close)
            self.assertEqual(connection.execute("PRAGMA synchronous").fetchone()[0], level)

    def test_no_connection_takes_much_memory_or_copies_the_log_by_itself(self) -> None:
        connection = self.connected()
        self.assertEqual(connection.execute("PRAGMA cache_size").fetchone()[0], -1024)
        self.assertEqual(connection.execute("PRAGMA mmap_size").fetchone()[0], 0)
        self.assertEqual(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0], 0)
        self.assertEqual(connection.execute("PRAGMA journal_size_limit").fetchone()[0], database.WAL_BYTES // 2)


class OtherFiles(DatabaseTestCase):
    def test_the_database_of_another_program_is_left_alone(self) -> None:
        connection = self.connected()
        connection.execute("CREATE TABLE theirs (x)")
        self.assertIn("another program", self.refusal(connection))
        self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone()[0], "delete")

    def test_an_empty_database_of_another_program_is_left_alone(self) -> None:
        for mark in ("application_id", "user_version"):
            connection = self.connected()
            connection.execute(f"PRAGMA {mark} = 7")
            self.assertIn("another program", self.refusal(connection))
            connection.execute(f"PRAGMA {mark} = 0")

    def test_the_file_of_a_newer_version_is_left_alone(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        connection.execute("PRAGMA user_version = 1000")
        self.assertIn("newer version", self.refusal(connection))


class Upgrades(DatabaseTestCase):
    def scripts(self, **files: str) -> Path:
        """Make a folder of scripts as a later version might have it."""
        folder = self.folder / "scripts"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name.replace('_', '-')}.sql").write_text(text)
        return folder

    def test_every_version_that_was_released_becomes_the_newest(self) -> None:
        fresh = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(fresh.close)
        prepare(fresh, ":memory:")
        versions = sorted(SCHEMAS.glob("version-*.sql"))
        self.assertEqual(len(versions), database.version_of(database._SCRIPTS))
        for version in versions:
            old = sqlite3.connect(":memory:", isolation_level=None)
            self.addCleanup(old.close)
            old.executescript(version.read_text())
            prepare(old, ":memory:")
            self.assertEqual(shape(old), shape(fresh), version.name)
            self.assertEqual(database.check(old, ":memory:"), database.version_of(database._SCRIPTS))

    def test_what_the_first_version_had_in_its_journal_is_kept(self) -> None:
        connection = self.connected()
        connection.executescript((SCHEMAS / "version-1.sql").read_text())
        connection.execute("INSERT INTO room (id, key, name) VALUES (1, 'lobby', 'lobby')")
        rows = [[1, 1, 1_000, "Alice", "alice", "a1", 'say "hi" \u2028 🙂'], [1, 2, 2_000, "bob", "bob", None, "hi"]]
        for row in rows:
            connection.execute("INSERT INTO journal (entries) VALUES (?)", (json.dumps([row]),))
        prepare(connection, self.path)
        self.assertEqual(
            [list(row) for row in connection.execute("SELECT * FROM said ORDER BY seq")],
            [[*row, "", None, None] for row in rows],
        )

    def test_what_the_second_version_had_is_kept(self) -> None:
        connection = self.connected()
        connection.executescript((SCHEMAS / "version-2.sql").read_text())
        connection.execute("INSERT INTO room (id, key, name) VALUES (1, 'lobby', 'lobby')")
        connection.execute("INSERT INTO message VALUES (1, 1, 1000, 'Alice', 'alice', 'a1', 'hi')")
        connection.execute("INSERT INTO journal VALUES (1, 1, 2, 2000, 'bob', 'bob', NULL, 'hey')")
        prepare(connection, self.path)
        messages = [
            (1, 1, 1000, "Alice", "alice", "a1", "hi", "", None, None),
            (1, 2, 2000, "bob", "bob", None, "hey", "", None, None),
        ]
        self.assertEqual(connection.execute("SELECT * FROM message ORDER BY seq").fetchall(), messages)
        self.assertEqual(connection.execute("SELECT count(*) FROM journal").fetchone(), (0,))

    def test_upgrades_are_run_in_order_and_once(self) -> None:
        scripts = self.scripts(
            schema="PRAGMA user_version = 3;\n",
            upgrade_2="PRAGMA user_version = 2; CREATE TABLE two (x); INSERT INTO two VALUES ('kept');",
            upgrade_3="PRAGMA user_version = 3; ALTER TABLE two RENAME TO three;",
        )
        connection = self.connected()
        connection.executescript(OLD)
        prepare(connection, self.path, scripts)
        prepare(connection, self.path, scripts)
        self.assertEqual(connection.execute("SELECT x FROM three").fetchall(), [("kept",)])
        self.assertEqual(connection.execute("PRAGMA user_version").fetchone()[0], 3)

    def test_an_upgrade_that_fails_leaves_the_file_as_it_was(self) -> None:
        scripts = self.scripts(
            schema="PRAGMA user_version = 3;\n",
            upgrade_2="PRAGMA user_version = 2; CREATE TABLE two (x);",
            upgrade_3="PRAGMA user_version = 3; ALTER TABLE two RENAME TO three; SELECT * FROM nowhere;",
        )
        connection = self.connected()
        connection.executescript(OLD)
        self.assertRaises(sqlite3.Error, prepare, connection, self.path, scripts)
        self.assertEqual(connection.execute("SELECT * FROM two").fetchall(), [])
        self.assertEqual(connection.execute("PRAGMA user_version").fetchone()[0], 2)

    def test_an_upgrade_that_cannot_begin_says_so(self) -> None:
        connection = self.connected()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD)
        with self.written_to():
            error = self.assertRaises(sqlite3.Error, database._run, connection, "SELECT 1")
        self.assertTrue(database.is_busy(error))

    def test_a_newer_version_knows_what_it_can_upgrade(self) -> None:
        scripts = self.scripts(schema="-- text\nPRAGMA user_version = 12;\n")
        self.assertEqual(database.version_of(scripts), 12)


class Transactions(DatabaseTestCase):
    def test_an_error_rolls_a_transaction_back(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        with self.assertRaises(ZeroDivisionError), transaction(connection):
            database.make_room(connection, names.room("lobby"))
            raise ZeroDivisionError
        self.assertFalse(connection.in_transaction)
        self.assertIs(database.room_state(connection, "lobby").id, None)

    def test_a_full_disk_rolls_a_transaction_back(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
        with self.assertRaises(sqlite3.Error) as caught, transaction(connection):
            database.make_room(connection, names.room("lobby"))
            connection.execute(
                "INSERT INTO message VALUES (1, 1, 0, '', '', NULL, hex(zeroblob(100000)), '', NULL, NULL)"
            )
        self.assertEqual(database.explain(caught.exception), "the disk is full")
        self.assertFalse(connection.in_transaction)
        self.assertIs(database.room_state(connection, "lobby").id, None)

    def test_a_room_is_one_row_whatever_its_name_is_written_like(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        first = database.make_room(connection, names.room("Lobby"))
        self.assertEqual(database.make_room(connection, names.room("LOBBY")), first)
        self.assertEqual(database.summaries(connection, 5)[0].name.shown, "Lobby")


class Ages(DatabaseTestCase):
    def test_a_message_is_deleted_in_the_millisecond_after_its_age(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        room = database.make_room(connection, names.room("a"))
        for seq, time in ((1, 19_999), (2, 20_000)):
            database.insert(connection, room, Record(seq, time, "al", "x"), "al", None)
        limit = Keep(seconds=100)
        self.assertEqual(database.overdue(connection, limit, 119_999), [])
        self.assertEqual(database.overdue(connection, limit, 120_000), [room])
        self.assertEqual(database.trim(connection, room, limit, 119_999).oldest, 1)
        self.assertEqual(database.trim(connection, room, limit, 120_000).oldest, 2)
        self.assertEqual(database.overdue(connection, limit, 120_000), [])

    def test_numbers_that_no_message_has_are_counted_as_long_as_others_are_in_front_of_them(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        room = database.make_room(connection, names.room("a"))
        for seq in 1, 4, 6:
            database.insert(connection, room, Record(seq, seq, "al", "x"), "al", None)
        connection.execute("UPDATE room SET skipped = 3")
        for now, oldest, skipped in ((1_002, 4, 1), (2_000, None, 0)):
            self.assertEqual(database.trim(connection, room, Keep(seconds=1), now).oldest, oldest)
            self.assertEqual(database.room_state(connection, "a").skipped, skipped)
        self.assertEqual(database.room_state(connection, "a").seq, 6)


class Discarding(DatabaseTestCase):
    def test_only_a_database_without_messages_and_accounts_is_removed(self) -> None:
        database.discard(self.path)
        self.assertFalse(os.path.exists(self.path))
        with closing(connect(self.path)) as connection:
            prepare(connection, self.path)
            database.make_room(connection, names.room("a"))
        database.discard(self.path)
        self.assertTrue(os.path.exists(self.path))
        with closing(connect(self.path)) as connection:
            connection.execute("DELETE FROM room")
            connection.execute("INSERT INTO account VALUES ('al', 'al', 'al', '', 0, 'active', 0)")
        database.discard(self.path)
        self.assertTrue(os.path.exists(self.path))
        with closing(connect(self.path)) as connection:
            connection.execute("DELETE FROM account")
        database.discard(self.path)
        self.assertEqual(os.listdir(self.folder), [])

    def test_one_that_a_server_uses_is_left_alone(self) -> None:
        self.open_store()
        database.discard(self.path)
        self.assertTrue(os.path.exists(self.path))


class Costs(StoreTestCase):
    def test_what_is_kept_in_a_turn_costs_no_more_where_the_journal_is_long(self) -> None:
        log = self.open_store(":memory:")
        lobby = self.successResultOf(room(log))
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        self.file.writer.set_progress_handler(count, 1)
        costs: list[int] = []
        for turn in range(3):
            for first in range(0, 500 if turn == 1 else 2, 2):
                said = [entry(lobby, "x", f"{turn} {first + number}") for number in range(2)]
                before = steps
                self.successResultOf(log.append(said, 1))
            costs.append(steps - before)
        self.assertEqual(self.file.writer.execute("SELECT count(*) FROM journal").fetchone(), (504,))
        self.assertLess(costs[2], 1.5 * costs[0])

    def test_a_page_takes_one_look_where_texts_are_long_or_few_and_else_two(self) -> None:
        connection = connect(self.path)
        self.addCleanup(connection.close)
        prepare(connection, self.path)
        for name, size, count, most, length, looks in (
            ("long", 1_000, 200, 512, 66, 1),
            ("short", 1, 600, 512, 512, 2),
            ("few", 1, 100, 512, 100, 1),
            ("few asked for", 1, 600, 50, 50, 1),
            ("just enough", 512, 200, 512, 128, 1),
            ("as many as a first look has", 1, 600, 128, 128, 1),
        ):
            id = database.make_room(connection, names.Name(name, name))
            for seq in range(1, count + 1):
                database.insert(connection, id, Record(seq, 0, "al", "x" * size), "al", None)
            statements: list[str] = []
            connection.set_trace_callback(statements.append)
            records = database.page(connection, database.AFTER, id, 0, most, 2**16)
            connection.set_trace_callback(None)
            self.assertEqual((len(records), len(statements)), (length, looks), name)

    def test_a_log_is_copied_whole_only_where_it_says_so(self) -> None:
        for busy, last, copied, whole in ((0, 5, 5, True), (0, 5, 3, False), (1, -1, -1, False)):
            connection = mock.Mock()
            connection.execute.return_value.fetchone.return_value = (busy, last, copied)
            self.assertEqual(database.copy_wal(connection), whole)


class Newest(DatabaseTestCase):
    def test_the_newest_message_is_found_in_all_rooms_and_in_the_journal(self) -> None:
        connection = self.connected()
        prepare(connection, self.path)
        self.assertEqual(database.trusted(connection).time, 0)
        for name, times in (("a", (7, 9)), ("b", (8, 5)), ("c", ())):
            room = database.make_room(connection, names.room(name))
            for seq, time in enumerate(times, 1):
                database.insert(connection, room, Record(seq, time, "al", "x"), "al", None)
        self.assertEqual(database.trusted(connection).time, 9)
        sql = "INSERT INTO journal (room, seq, time, author, author_key, msg) VALUES (1, 3, 11, 'al', 'al', 'x')"
        connection.execute(sql)
        self.assertEqual(database.trusted(connection), Trusted(11))
        for kept in Trusted(5, 2.5), Trusted(6):
            database.keep_trusted(connection, kept)
            self.assertEqual(database.trusted(connection), kept, "it counts more than a message")


class Explanations(DatabaseTestCase):
    def test_an_error_without_a_code_is_its_own_explanation(self) -> None:
        error = sqlite3.ProgrammingError("Cannot operate on a closed database.")
        self.assertEqual(database.explain(error), "Cannot operate on a closed database.")
        self.assertFalse(database.is_busy(error))

    def test_an_extended_code_counts_as_its_primary_one(self) -> None:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
        self.assertTrue(database.is_busy(error))

    def test_a_file_that_cannot_be_opened_or_made_is_told_from_other_faults(self) -> None:
        error = sqlite3.OperationalError("")
        for code, expected in (
            (sqlite3.SQLITE_CANTOPEN, True),
            (sqlite3.SQLITE_READONLY_CANTINIT, True),
            (sqlite3.SQLITE_BUSY, False),
        ):
            error.sqlite_errorcode = code
            self.assertEqual(database.cannot_open(error), expected)

    def test_a_text_that_cannot_be_decoded_is_damage_and_is_not_shown(self) -> None:
        connection = self.connected()
        with self.assertRaises(sqlite3.Error) as caught:
            connection.execute("SELECT CAST(x'736563726574ff' AS TEXT)").fetchone()
        self.assertIn("it is damaged", database.explain(caught.exception))

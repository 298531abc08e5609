"""The checks of `twisted-chat check` for a database in PostgreSQL.

PostgreSQL checks its own pages (`data_checksums`, `pg_amcheck`), and that texts are valid UTF-8. This is about what the
servers rely on: the numbers of each room, deletions, names, accounts, rules and counters. All is read as of one moment.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from .. import names
from .findings import Findings, check_accounts, check_rules, key_of, key_of_author, many
from .postgresql import PostgreSQLConnection
from .progress import Progress

_DAY: Final = 24 * 60 * 60 * 1000

RESTORE: Final = "Stop all servers, restore a backup into a new database, and start them with that one"

_MOVE: Final = "Export the room, and import it into a new database"


class _Room(NamedTuple):
    """A room, as its row has it."""

    id: int
    key: str
    name: str
    head: int
    oldest: int
    oldest_time: int | None
    skipped: int

    @property
    def shown(self) -> str:
        """Its name for people. As elsewhere, nothing says who talks to whom."""
        return "direct messages" if names.is_direct(self.key) else self.name or self.key


def check_database(connection: PostgreSQLConnection, findings: Findings, progress: Progress) -> str:
    """Check everything in a database. Returns what it has, for the last line."""
    sql = "SELECT id, key, name, head, oldest, oldest_time, skipped FROM room ORDER BY key"
    rooms = [_Room(*row) for row in connection.execute(sql)]
    messages = 0
    for room in rooms:
        count = _check_room(connection, room, findings)
        messages += count
        progress.add(count)
    kept = sum(room.name != "" for room in rooms)
    _check_counters(connection, kept, findings)
    _check_references(connection, findings)
    accounts = check_accounts(connection, findings)
    check_rules(connection, findings)
    return f"{many(kept, 'room')}, {many(messages, 'message')}, {many(accounts, 'account')}: "


def _check_room(connection: PostgreSQLConnection, room: _Room, findings: Findings) -> int:
    """Check a room and its messages. Returns the number of these."""
    if room.name and key_of(room.name) != room.key:
        findings.problem("the key of a room is not that of its name", findings.restore, room.shown)
    first, last, count, first_time, newest = connection.execute(_SUMS, (room.id, room.id)).fetchone()
    _check_numbers(room, first, last, count, first_time, findings)
    for author, key in connection.execute(_AUTHORS, (room.id,)):
        if key_of_author(author) != key:
            findings.problem(
                "the key of an author is not that of the name, so that a message could be stored twice",
                _MOVE,
                f"{author} in {room.shown}",
            )
    undeleted = [f"{seq} in {room.shown}" for (seq,) in connection.execute(_UNDELETED, (room.id, room.id))]
    if undeleted:
        findings.problem("messages were deleted, and still have their text", "Delete them again", *undeleted)
    if newest is not None and newest > time.time() * 1000 + _DAY:
        findings.note(
            "messages are from the future, since the clock of a server was set ahead when they were sent",
            "With --keep, they stay until that time",
            room.shown,
        )
    return int(count)


def _check_numbers(room: _Room, first: Any, last: Any, count: int, first_time: Any, findings: Findings) -> None:
    """Check the numbers that a room has about itself."""
    if last is not None and last > room.head:
        findings.problem(
            "a room has messages behind its newest number, and the next ones would get the same numbers",
            "Stop all servers, and set head of these rooms in twisted_chat.room to their largest seq",
            room.shown,
        )
    elif first is None:
        if room.oldest_time is not None:
            findings.problem("a room says that it has messages, and has none", _MOVE, room.shown)
    elif (room.oldest, room.oldest_time, room.skipped) != (first, first_time, room.head - first + 1 - count):
        findings.problem(
            "a room has another number of messages, or another oldest one, than it says, so that --keep would delete "
            "too many or too few",
            _MOVE,
            room.shown,
        )


def _check_counters(connection: PostgreSQLConnection, kept: int, findings: Findings) -> None:
    """Check the numbers that count or come next."""
    counted, epoch = connection.execute("SELECT rooms, epoch FROM store").fetchone()
    if counted != kept:
        findings.problem(
            f"the table store counts {counted:,} rooms, and there are {kept:,}, so that --rooms limits another number",
            f"Correct it with: UPDATE twisted_chat.store SET rooms = rooms + {kept - counted}",
        )
    ((late,),) = connection.execute(_LATE, (epoch, epoch))
    if late:
        findings.problem(
            "rules or accounts were changed in an epoch that has not begun, so that servers miss their next changes",
            "Correct it with: UPDATE twisted_chat.store SET epoch = greatest((SELECT max(changed) FROM "
            "twisted_chat.rule), (SELECT max(ended) FROM twisted_chat.account)), and restart all servers",
        )
    for table in "audit", "report":
        ((is_behind,),) = connection.execute(_IS_BEHIND.format(table=table))
        if is_behind:
            findings.problem(
                f"the next number of the table {table} is one that it has already",
                f"Correct it with: SELECT setval(pg_get_serial_sequence('twisted_chat.{table}', 'seq'), max(seq)) "
                f"FROM twisted_chat.{table}",
            )


def _check_references(connection: PostgreSQLConnection, findings: Findings) -> None:
    """Check that what belongs to something else belongs to something that is there."""
    orphans = [f"the room with the id {room}" for (room,) in connection.execute(_ORPHANS)]
    if orphans:
        findings.problem(
            "messages belong to a room that is not there, so nobody can read them", findings.restore, *orphans
        )
    tokens = [account for (account,) in connection.execute(_TOKENS)]
    if tokens:
        findings.problem("tokens belong to an account that is not there", findings.restore, *tokens)


_SUMS: Final = """
SELECT min(seq), max(seq), count(*), (SELECT time FROM message WHERE room = ? ORDER BY seq LIMIT 1), max(time)
FROM message WHERE room = ?"""

_AUTHORS: Final = "SELECT DISTINCT author, author_key FROM message WHERE room = ?"

_UNDELETED: Final = """
SELECT seq FROM message WHERE room = ? AND deleted IS NOT NULL AND msg <> ''
UNION
SELECT m.seq FROM message AS d JOIN message AS m ON m.room = d.room AND m.seq = d.of
WHERE d.room = ? AND d.kind = 'delete' AND m.kind = '' AND m.deleted IS NULL
ORDER BY 1"""

# The index has the rooms in order: each step jumps to the next one, so that messages need not be read.
_ORPHANS: Final = """
WITH RECURSIVE written (room) AS (
    SELECT min(room) FROM message
    UNION ALL SELECT (SELECT min(m.room) FROM message AS m WHERE m.room > w.room) FROM written AS w
    WHERE w.room IS NOT NULL
)
SELECT room FROM written WHERE room IS NOT NULL AND room NOT IN (SELECT id FROM room) ORDER BY room"""

_TOKENS: Final = """
SELECT DISTINCT account FROM token WHERE account NOT IN (SELECT key FROM account) ORDER BY account"""

# The rules that were ended count too: the view `rule` of the commands has none of them.
_LATE: Final = """
SELECT (SELECT count(*) FROM twisted_chat.rule WHERE changed > ?) + (SELECT count(*) FROM account WHERE ended > ?)"""

_IS_BEHIND: Final = """
SELECT coalesce((SELECT max(seq) FROM {table}) > (
    SELECT last_value FROM pg_sequences WHERE schemaname = 'twisted_chat' AND sequencename = '{table}_seq_seq'
), false)"""

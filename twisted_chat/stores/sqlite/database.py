"""The SQL of the embedded store: opening, checking and upgrading its file, reading and writing.

Each function takes a connection, and can be called in any thread, and by another program beside the server
(`commands`). `log.py` decides when it is called, and `file.py` in which thread.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ...log import DELETE, Entry, Record, RoomSummary, Unusable
from ...names import Name
from ..retention import Keep, Trusted
from .lock import FileLock

APPLICATION_ID: Final = 0x54774368

OLDEST_SQLITE: Final = (3, 37, 0)
"""The first version of SQLite with STRICT tables."""

PATIENCE: Final = 5.0
"""Seconds that a request waits for another program that writes to the file: longer than a step of an import takes."""

WAL_BYTES: Final = 16 * 2**20
"""Bytes of the write-ahead log above which it is copied into the file. This bounds what a start has to read."""

PAGE_CACHE: Final = 2**20
"""Bytes of the file that each connection caches; the operating system caches the rest."""

TRIM_ROWS: Final = 500
"""Messages that one step of retention deletes: a step holds the file's lock for some 5 ms."""

NEW_AT_ONCE: Final = 512
NEW_BYTES_AT_ONCE: Final = 2**16
"""The number of messages of another program, and of bytes of their text, that a room is handed at once: a page. If
there are more, the members read them from the log."""

Durability = Literal["process", "power"]
"""The event that an acked message survives: the end of the process (`kill -9`), or also a power cut."""

_SCRIPTS: Final = resources.files(__package__)
_records = msgspec.json.Decoder(list[Record]).decode
_room_of, _kind_of = attrgetter("room"), attrgetter("kind")


# Opening


def connect(path: str, durability: Durability = "process", timeout: float = 0) -> sqlite3.Connection:
    """Open a file, or a URI of SQLite's, as a store's connection has it, in any thread.

    `timeout` is how long it waits for other programs, in seconds.
    """
    is_uri = path.startswith("file:")
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False, uri=is_uri)
    synchronous = "FULL" if durability == "power" else "NORMAL"
    try:
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES // 2}")  # so that its size says when to copy it
        connection.execute(f"PRAGMA cache_size = {-PAGE_CACHE // 1024}")
        # What was deleted is overwritten, in free pages as well. A move of the journal takes 4 to 9 % longer.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA mmap_size = 0")  # a disk that fails gives an error, not the end of the process
    except BaseException:
        connection.close()
        raise
    return connection


def version_of(scripts: Traversable = _SCRIPTS) -> int:
    """Return the version of the schema that a folder's `schema.sql` makes."""
    match = re.search(r"^PRAGMA user_version = (\d+);", _script(scripts, "schema.sql"), re.MULTILINE)
    assert match
    return int(match[1])


def prepare(connection: sqlite3.Connection, path: str, scripts: Traversable = _SCRIPTS) -> int:
    """Make the tables of a new file, or bring those of an old one up to date. Raises `Unusable`.

    Returns how many messages were given new numbers, as `move` does.
    """
    newest = version_of(scripts)
    version = check(connection, path, newest)
    connection.execute("PRAGMA journal_mode = WAL")
    if not version:
        _run(connection, _script(scripts, "schema.sql"))
    for step in range(version + 1, newest + 1) if version else ():
        _run(connection, _script(scripts, f"upgrade-{step}.sql"))
    epoch(connection)  # a file without this table is refused here
    return move(connection)  # a server that was killed has left rows


def check(connection: sqlite3.Connection, path: str, newest: int | None = None) -> int:
    """Check that a file is a store. Returns the version of its schema, 0 if it is empty. Raises `Unusable`."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise Unusable(f"{path} is the database of another program: name another file with --database")
    if version > (version_of() if newest is None else newest):
        raise Unusable(f"{path} was written by a newer version of twisted_chat: use that one, or another file")
    return version


def _script(scripts: Traversable, name: str) -> str:
    return scripts.joinpath(name).read_text("utf-8")


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run a script in one transaction."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def discard(path: str) -> None:
    """Remove a database that a failed start has made, unless it is in use or something is in it by now."""
    try:
        lock = FileLock.acquire(os.path.realpath(path))
    except Unusable:
        return
    is_unused = lock.made
    try:
        if not lock.made:
            with closing(sqlite3.connect(path)) as connection:
                sql = "SELECT 1 FROM room UNION ALL SELECT 1 FROM account"
                is_unused = connection.execute(sql).fetchone() is None
    except sqlite3.Error:  # it belongs to another server
        pass
    finally:
        lock.release(remove=is_unused)


# Errors

_EXPLANATIONS: Final = {
    sqlite3.SQLITE_BUSY: "another program has been writing to it for too long",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it may not be written to",
    sqlite3.SQLITE_PERM: "its permissions do not allow it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_CORRUPT: "it is damaged; stop the server and put a backup in its place",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database; name another file, or put a backup in its place",
}


_NO_TEXT: Final = "Could not decode to UTF-8"
"""The beginning of Python's error for bytes that are not valid text. The rest is the text, which must not be logged."""


def _code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code; some of Python's own errors have none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """True if another program is writing to the file."""
    return _code(error) == sqlite3.SQLITE_BUSY


def cannot_open(error: sqlite3.Error) -> bool:
    """True if a file, or one of those beside it, cannot be opened, or cannot be made."""
    return _code(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def explain(error: sqlite3.Error) -> str:
    """Explain an error of the file, for the person who runs the server."""
    code = _code(error)
    if code is None and str(error).startswith(_NO_TEXT):
        code = sqlite3.SQLITE_CORRUPT
    return _EXPLANATIONS.get(code or 0, str(error))


# Writing


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction: everything in it is written or nothing, and nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it by itself if the disk is full
            connection.execute("ROLLBACK")
        raise


def epoch(connection: sqlite3.Connection) -> int:
    """Return the epoch: how often programs other than the server have written to the file."""
    epoch: int = connection.execute("SELECT epoch FROM store").fetchone()[0]
    return epoch


def make_room(connection: sqlite3.Connection, name: Name) -> int:
    """Find the row of a room, or make one. Returns its id."""
    sql = """
        INSERT INTO room (key, name) VALUES (?, ?)
        ON CONFLICT DO UPDATE SET name = iif(name = '', excluded.name, name) RETURNING id"""
    (id,) = connection.execute(sql, (name.key, name.shown)).fetchone()
    assert isinstance(id, int)
    return id


class Repeated(Exception):
    """Some entries are in the file already, by author and `id`, and nothing was written."""

    def __init__(self, first: dict[int, tuple[int, int]]) -> None:
        super().__init__(first)
        self.first = first
        """The numbers and times of the messages in the file, by the indexes of the same ones among the entries."""


def append(
    connection: sqlite3.Connection, seen: int, entries: Sequence[Entry], has_kinds: bool = True
) -> dict[str, int] | None:
    """Write numbered entries to the journal, all or none. None are written if the epoch is not `seen` any more.

    Without `has_kinds`, all of them are messages. Returns the new rows in `room`, by the keys of the rooms; None if the
    epoch has changed. Raises `Repeated`.
    """
    if len(entries) == 1 and not has_kinds:
        (row,) = _rows(entries, {})
        if row[0] is not None and connection.execute(_KEEP_ONE, (*row, seen, row[0], row[4], row[5])).rowcount:
            return {}
    with transaction(connection):
        now, last = connection.execute("SELECT epoch, (SELECT max(row) FROM journal) FROM store").fetchone()
        if now != seen:
            return None
        rooms = set(map(_room_of, entries))
        made = {room.name.key: make_room(connection, room.name) for room in rooms if room.id is None}
        if has_kinds:
            connection.executemany(_KEEP, _rows_with_kinds(entries, made))
        else:
            connection.executemany(_KEEP_MESSAGE, _rows(entries, made))
        first = {row - (last or 0) - 1: (seq, time) for row, seq, time in connection.execute(_REPEATED, (last or 0,))}
        if first:
            raise Repeated(first)
        if has_kinds and DELETE in map(_kind_of, entries):
            for sql in _TAKE_TEXTS:
                connection.execute(sql, (last or 0, DELETE))
    return made


# The messages about which the new rows of the journal are: those that are still in the journal, and the others.
_TAKE_TEXTS: Final = [
    f"""
    UPDATE {table} SET msg = '', deleted = entry.seq
    FROM (SELECT room, seq, of FROM journal WHERE row > ? AND kind = ?) AS entry
    WHERE {table}.room = entry.room AND {table}.seq = entry.of AND {table}.kind = '' AND {table}.deleted IS NULL"""
    for table in ("journal", "message")
]


_Row = tuple[int | None, int, int, str, str, str | None, str]


def _rows(entries: Sequence[Entry], made: Mapping[str, int]) -> list[_Row]:
    """Return the rows of messages. `made` has the ids of new rooms, by their keys."""
    rows = []
    for entry in entries:
        room: Any = entry.room
        author = entry.author
        id = room.id or made.get(room.name.key)
        rows.append((id, entry.seq, entry.time, author.shown, author.key, entry.id, entry.msg))
    return rows


def _rows_with_kinds(entries: Sequence[Entry], made: Mapping[str, int]) -> list[tuple[Any, ...]]:
    """Return the rows of entries of all kinds, as `_rows` does."""
    return [(*row, entry.kind, entry.of) for row, entry in zip(_rows(entries, made), entries, strict=True)]


_MESSAGE: Final = "room, seq, time, author, author_key, id, msg"
_COLUMNS: Final = f"{_MESSAGE}, kind, of"

_KEEP: Final = f"INSERT INTO journal ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

# Nearly all entries are messages, and each value that is bound takes 0.1 µs, or 0.4 if it is None.
_KEEP_MESSAGE: Final = f"INSERT INTO journal ({_MESSAGE}) VALUES (?, ?, ?, ?, ?, ?, ?)"

# One statement with all its conditions: it takes half the time of a transaction of four statements.
_KEEP_ONE: Final = f"""
INSERT INTO journal ({_MESSAGE}) SELECT ?, ?, ?, ?, ?, ?, ?
WHERE (SELECT epoch FROM store) = ?
      AND NOT EXISTS (SELECT 1 FROM message WHERE room = ? AND author_key = ? AND id = ?)"""

_REPEATED: Final = """
SELECT journal.row, message.seq, message.time
FROM journal CROSS JOIN message INDEXED BY said_once
    ON message.room = journal.room AND message.author_key = journal.author_key AND message.id = journal.id
WHERE journal.row > ? AND message.id IS NOT NULL"""


def move(connection: sqlite3.Connection) -> int:
    """Move the journal's rows to `message`.

    Returns how many of them got new numbers because theirs were taken. That happens only if two servers have written to
    the file.
    """
    with transaction(connection):
        return move_now(connection)


def move_now(connection: sqlite3.Connection) -> int:
    """Move the journal's rows as part of a transaction; returns what `move` does."""
    renumbered = 0
    try:
        connection.execute(_MOVE)
    except sqlite3.IntegrityError:
        renumbered = _move_apart(connection)
    connection.execute("DELETE FROM journal")
    return renumbered


_MOVED: Final = f"{_COLUMNS}, deleted"

_MOVE: Final = f"INSERT INTO message ({_MOVED}) SELECT {_MOVED} FROM journal ORDER BY room, seq"


_INSERT: Final = f"INSERT INTO message ({_MOVED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0))"


def insert(connection: sqlite3.Connection, room: int, record: Record, author_key: str, id: str | None) -> None:
    """Write a record to `message`, without the journal."""
    seq, time, author, msg, kind, of, deleted = msgspec.structs.astuple(record)
    connection.execute(_INSERT, (room, seq, time, author, author_key, id, msg, kind, of, deleted))


def _move_apart(connection: sqlite3.Connection) -> int:
    """Move rows one by one. Those whose number is taken get the next numbers of their room.

    A row whose author and `id` are in `message` already is dropped: it is the same message once more. Returns how many
    rows got new numbers.
    """
    rows = connection.execute(f"SELECT {_MOVED} FROM journal ORDER BY row").fetchall()
    apart = []
    for row in rows:
        try:
            connection.execute(_INSERT, row)
        except sqlite3.IntegrityError:
            apart.append(row)
    sql = f"""
        INSERT OR IGNORE INTO message ({_MOVED})
        SELECT ?, max(seq) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM message WHERE room = ?"""
    renumbered = sum(connection.execute(sql, (row[0], *row[2:], row[0])).rowcount for row in apart)
    for room in {row[0] for row in rows}:
        connection.execute(
            """UPDATE room SET skipped = ifnull(
                   (SELECT max(seq) - min(seq) + 1 - count(*) FROM message WHERE message.room = room.id), 0)
               WHERE id = ?""",
            (room,),
        )
    connection.execute("UPDATE store SET epoch = epoch + 1")  # the numbers that a server remembers are not right
    return renumbered


def set_topic(connection: sqlite3.Connection, name: Name, topic: str, time: int) -> int:
    """Store a room's topic, set at a time (milliseconds since 1970). Returns the id of the room's row."""
    with transaction(connection):
        id = make_room(connection, name)
        connection.execute("UPDATE room SET topic = ?, topic_time = ? WHERE id = ?", (topic, time, id))
    return id


class Trimmed(NamedTuple):
    """The state of a room after one step of retention."""

    key: str
    oldest: int | None
    """The oldest number in `message`; None if there is none."""
    more: bool
    """True if the step deleted as many as it may, so that there may be more."""


def trim(connection: sqlite3.Connection, room: int, keep: Keep, now: int, most: int = TRIM_ROWS) -> Trimmed:
    """Delete up to `most` of the oldest messages of a room that `keep` does not cover at `now` (ms since 1970)."""
    with transaction(connection):
        key, oldest, newest, skipped = connection.execute(_ENDS, {"room": room}).fetchone()
        excess = 0 if oldest is None or keep.messages is None else newest - oldest + 1 - skipped - keep.messages
        bounds = {"room": room, "excess": excess, "since": _since(keep, now), "most": most}
        last, count = connection.execute(_TRIMMED, bounds).fetchone()
        if count:
            connection.execute("DELETE FROM message WHERE room = ? AND seq <= ?", (room, last))
            _, rest, _, _ = connection.execute(_ENDS, {"room": room}).fetchone()
            passed = (newest + 1 if rest is None else rest) - oldest - count
            sql = "UPDATE room SET trimmed = max(trimmed, ?), skipped = skipped - ? WHERE id = ?"
            connection.execute(sql, (last, passed, room))
            oldest = rest
    return Trimmed(key, oldest, count == most)


_ENDS = """
SELECT key, (SELECT min(seq) FROM message WHERE message.room = room.id),
       (SELECT max(seq) FROM message WHERE message.room = room.id), skipped
FROM room WHERE id = :room"""

# The oldest messages, as far as there are too many, or as far as all of them are too old. Where the clock was set back,
# an old message may stand behind a young one, and stays as long as that.
_TRIMMED = """
WITH first AS (
    SELECT seq, time, row_number() OVER (ORDER BY seq) AS number FROM message
    WHERE room = :room ORDER BY seq LIMIT :most
)
SELECT max(seq), count(*) FROM first
WHERE number <= :excess OR seq < ifnull((SELECT min(seq) FROM first WHERE time >= :since), seq + 1)"""


def look_up_oldest(connection: sqlite3.Connection, room: int, most: int = TRIM_ROWS) -> None:
    """Read the pages that `trim` will change, so that it does not wait for the disk while it holds the file's lock.

    The ids of messages are scattered over their index: with ten million messages, each may be on a page of its own.
    """
    sql = """
        SELECT count(m.seq)
        FROM (SELECT author_key, id FROM message WHERE room = :room ORDER BY seq LIMIT :most) AS oldest
        CROSS JOIN message AS m INDEXED BY said_once
            ON m.room = :room AND m.author_key = oldest.author_key AND m.id = oldest.id AND m.id IS NOT NULL"""
    connection.execute(sql, {"room": room, "most": most}).fetchone()


def overdue(connection: sqlite3.Connection, keep: Keep, now: int) -> list[int]:
    """List the rooms with messages that `keep` does not cover at `now` (milliseconds since 1970)."""
    sql = """
        SELECT id FROM room WHERE
            (SELECT time FROM message WHERE message.room = room.id ORDER BY seq LIMIT 1) < :since
            OR (SELECT max(seq) FROM message WHERE message.room = room.id)
               - (SELECT min(seq) FROM message WHERE message.room = room.id) + 1 - skipped > :messages"""
    rows = connection.execute(sql, {"since": _since(keep, now), "messages": keep.messages})  # beyond NULL is nothing
    return [id for (id,) in rows]


_IS_EMPTY: Final = """
NOT EXISTS (SELECT 1 FROM message WHERE message.room = room.id)
AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.room = room.id)"""


def empty_rooms(connection: sqlite3.Connection, keep: Keep, now: int) -> list[tuple[int, str]]:
    """List the ids and keys of rooms without messages, whose topic is older than `keep` allows."""
    sql = f"SELECT id, key FROM room WHERE name <> '' AND topic_time < ? AND {_IS_EMPTY}"
    return connection.execute(sql, (_since(keep, now),)).fetchall()


def forget_rooms(connection: sqlite3.Connection, rooms: Sequence[int]) -> list[str]:
    """Forget the topics and names of rooms without messages; returns the keys of those that were forgotten.

    The row stays, with the number at which the room goes on: no number is given twice.
    """
    sql = f"""
        UPDATE room SET name = '', topic = '', topic_time = 0
        WHERE id IN (SELECT value FROM json_each(?)) AND name <> '' AND {_IS_EMPTY} RETURNING key"""
    with transaction(connection):
        return [key for (key,) in connection.execute(sql, (msgspec.json.encode(rooms).decode(),))]


def count_rooms(connection: sqlite3.Connection) -> int:
    """The number of rooms, without those that were forgotten."""
    count: int = connection.execute("SELECT count(*) FROM room WHERE name <> ''").fetchone()[0]
    return count


def trusted(connection: sqlite3.Connection) -> Trusted:
    """Return the time that retention has kept, or else that of the newest message."""
    time, ahead = connection.execute("SELECT time, ahead FROM store").fetchone()
    return Trusted(time or _newest(connection), ahead)


def keep_trusted(connection: sqlite3.Connection, trusted: Trusted) -> None:
    """Keep the time of retention for the next run."""
    connection.execute("UPDATE store SET time = ?, ahead = ?", trusted)


def _newest(connection: sqlite3.Connection) -> int:
    """Return the time of the newest message of all rooms (milliseconds since 1970), 0 if there is none."""
    sql = """
        SELECT max((SELECT time FROM message WHERE message.room = room.id ORDER BY seq DESC LIMIT 1)) FROM room
        UNION ALL SELECT max(time) FROM journal"""
    return max(time or 0 for (time,) in connection.execute(sql))


def _since(keep: Keep, now: int) -> int:
    return 0 if keep.seconds is None else now - keep.seconds * 1000


def empty_wal(connection: sqlite3.Connection) -> bool:
    """Copy the write-ahead log into the file and make it empty; False if a reader still needs it."""
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def copy_wal(connection: sqlite3.Connection) -> bool:
    """Copy the write-ahead log into the file, up to the oldest transaction of a reader.

    Returns True if all of it was copied; the next write begins it anew then.
    """
    busy, last, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return not busy and last == copied


# Reading


class RoomState(NamedTuple):
    """The state of a room in the file, without the journal."""

    epoch: int
    id: int | None
    shown: str | None
    topic: str
    seq: int
    oldest: int
    skipped: int
    """Numbers between `oldest` and `seq` that no message has."""


def room_state(connection: sqlite3.Connection, key: str) -> RoomState:
    """The state of a room, by its key."""
    sql = """
        SELECT epoch, iif(name = '', NULL, id), nullif(name, ''), ifnull(topic, ''),
               ifnull(max(trimmed, ifnull((SELECT max(seq) FROM message WHERE message.room = room.id), 0)), 0),
               ifnull(ifnull((SELECT min(seq) FROM message WHERE message.room = room.id), nullif(trimmed, 0) + 1), 0),
               ifnull(skipped, 0)
        FROM store LEFT JOIN room ON key = ?"""
    return RoomState(*connection.execute(sql, (key,)).fetchone())


class Changes(NamedTuple):
    """The changes of another program in the file."""

    renumbered: int
    """The number of messages that were given new numbers; see `move`."""
    epoch: int
    room_count: int
    """The number of rooms, as `count_rooms` says."""
    rooms: list[tuple[RoomState, list[Record]]]
    """The state of each given room, and a page of its new records."""


def read_changes(connection: sqlite3.Connection, known: Sequence[tuple[str, int]]) -> Changes:
    """Move the journal, and read the changes of another program in rooms, given by key and newest known number."""
    with transaction(connection):
        renumbered = move_now(connection)
        rooms = [_changed(connection, key, seq) for key, seq in known]
        return Changes(renumbered, epoch(connection), count_rooms(connection), rooms)


def _changed(connection: sqlite3.Connection, key: str, seq: int) -> tuple[RoomState, list[Record]]:
    state = room_state(connection, key)
    if state.seq <= seq:
        return state, []
    return state, page(connection, AFTER, state.id, seq, NEW_AT_ONCE, NEW_BYTES_AT_ONCE)


def summaries(connection: sqlite3.Connection, most: int) -> list[RoomSummary]:
    """List up to `most` rooms, by name, without the logs of direct messages."""
    sql = "SELECT name, key, topic FROM room WHERE name <> '' AND key NOT GLOB '@*' ORDER BY key LIMIT ?"
    rows = connection.execute(sql, (most,))
    return [RoomSummary(Name(name, key), topic) for name, key, topic in rows]


def directs(connection: sqlite3.Connection, account: str, most: int) -> list[tuple[Name, int]]:
    """List up to `most` logs of the direct messages of an account, with the newest number in `message`.

    All such logs are looked through: some 0.1 µs each, in a thread.
    """
    sql = """
        SELECT name, key, max(trimmed, coalesce((SELECT max(seq) FROM message WHERE message.room = room.id), 0))
        FROM room WHERE name <> '' AND key >= '@' AND key < 'A' AND (key GLOB ? OR key GLOB ?) ORDER BY key LIMIT ?"""
    rows = connection.execute(sql, (f"@{account}@*", f"@*@{account}", most))
    return [(Name(name, key), seq) for name, key, seq in rows]


def seqs_by(connection: sqlite3.Connection, room: int | None, author: str, seq: int, most: int) -> list[int]:
    """Find the numbers of messages of an author in a room in `message`, given by its key, that have their text."""
    sql = """
        SELECT seq FROM message WHERE room = ? AND seq > ? AND author_key = ? AND kind = '' AND deleted IS NULL
        ORDER BY seq LIMIT ?"""
    return [seq for (seq,) in connection.execute(sql, (room, seq, author, most))]


def rooms_of(connection: sqlite3.Connection, author: str) -> list[Name]:
    """List the rooms with messages of an author, given by its key. It looks at all messages."""
    sql = """
        SELECT name, key FROM room WHERE name <> '' AND EXISTS
            (SELECT 1 FROM message WHERE message.room = room.id AND author_key = ? AND kind = '' AND deleted IS NULL)
        ORDER BY key"""
    return [Name(name, key) for name, key in connection.execute(sql, (author,))]


def was_said(connection: sqlite3.Connection, room: int, author: str, id: str) -> tuple[int, int] | None:
    """Return the number and time of a message in `message`, by the key of its author and its `id`."""
    sql = "SELECT seq, time FROM message WHERE room = ? AND author_key = ? AND id = ?"
    found: tuple[int, int] | None = connection.execute(sql, (room, author, id)).fetchone()
    return found


# A page ends where the sum of its texts passes the bound; its first record is there whatever its size. The page is one
# row, since a thread that steps through rows takes the interpreter's lock for each of them.
_PAGE = """
SELECT json_group_array(json_array(seq, time, author, msg, kind, of, ifnull(deleted, 0))) FROM (
    SELECT seq, time, author, msg, kind, of, deleted FROM (
        SELECT *, sum(size) OVER (ORDER BY seq {order}) - size AS in_front FROM (
            SELECT seq, time, author, msg, kind, of, deleted, length(CAST(msg AS BLOB)) AS size FROM message
            WHERE room = ? AND seq {side} ? ORDER BY seq {order} LIMIT ?
        )
    ) WHERE in_front < ? ORDER BY seq
)"""
LONG: Final = 512
"""Bytes of a long text. A page is first looked for among as few messages as would fill it if they were long: SQLite
measures all candidates, which for long ones is five times the work of reading the page itself."""

AFTER: Final = _PAGE.format(side=">", order="ASC")
BEFORE: Final = _PAGE.format(side="<", order="DESC")


def page(
    connection: sqlite3.Connection, sql: str, room: int | None, seq: int, most: int, most_bytes: int
) -> list[Record]:
    """Read a page of a room from `message`, `AFTER` or `BEFORE` a number."""
    few = min(most, max(1, most_bytes // LONG))
    records = _query(connection, sql, room, seq, few, most_bytes)
    if len(records) < few or few == most or sum(len(record.msg.encode()) for record in records) >= most_bytes:
        return records
    return _query(connection, sql, room, seq, most, most_bytes)


def _query(
    connection: sqlite3.Connection, sql: str, room: int | None, seq: int, most: int, most_bytes: int
) -> list[Record]:
    (text,) = connection.execute(sql, (room, seq, most, most_bytes)).fetchone()
    return _records(text)

"""The embedded store: one SQLite file.

An append is one row in `journal`, one a turn, whatever the number of rooms in it: that is all that an ack waits for.
Rows go on to `message`, where they can be found by room and number, in bulk and in a thread. Where that thread writes,
an append waits for it; the reactor never does. Reads are pages, each one statement that gives one row, since a
thread that steps through rows asks for the interpreter's lock at each of them.

`journal_mode=WAL` with `synchronous=NORMAL` survives `kill -9`: what was written is in the operating system's hands.
Checkpoints, which wait for the disk, happen in the thread.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import msgspec
from twisted.internet.defer import Deferred, DeferredLock, execute, fail, inlineCallbacks, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from .log import Entry, Record, RoomLog, RoomSummary, Unavailable, Unusable
from .names import Name

APPLICATION_ID: Final = 0x54774368
VERSION: Final = 1

OLDEST_SQLITE: Final = (3, 37, 0)
"""The first one with STRICT tables."""

JOURNAL_ROWS: Final = 2_000
"""Messages that gather in the journal before they are moved on: one move then takes the disk's lock some 10 ms."""

CHECKPOINT_BYTES: Final = 8 * 2**20
"""Bytes of text said between two checkpoints. It bounds the WAL, which is some four times as large."""

BUSY_PAUSE: Final = 0.02
BUSY_ATTEMPTS: Final = 250
"""Seconds between two attempts to write to a file that another program writes to, and how many: five seconds, in
which an import ends its step; then people are told."""

MAX_AUTHORS: Final = 65_536
"""Pairs of room and author of which it is remembered whether the store may hold an `id` of theirs; some 10 MB."""

_log = Logger("twisted_chat.sqlite")
_T = TypeVar("_T")
_records = msgspec.json.Decoder(list[Record]).decode
_encode = msgspec.json.Encoder().encode

# A page ends where the sum of its texts passes the bound; its first record is there whatever its size.
_PAGE = """
SELECT json_group_array(json_array(seq, time, author, msg)) FROM (
    SELECT seq, time, author, msg FROM (
        SELECT *, sum(length(msg)) OVER (ORDER BY seq {order}) - length(msg) AS in_front FROM (
            SELECT seq, time, author, msg FROM message
            WHERE room = ? AND seq {side} ? ORDER BY seq {order} LIMIT ?
        )
    ) WHERE in_front < ? ORDER BY seq
)"""
_AFTER = _PAGE.format(side=">", order="ASC")
_BEFORE = _PAGE.format(side="<", order="DESC")


class SQLiteRoomLog:
    """The log of one room; see `log.RoomLog`."""

    def __init__(self, store: SQLiteLog, name: Name) -> None:
        self._store = store
        self.name = name
        self.id: int | None = None
        """The row in `room`; none while nothing is kept of this room."""
        self.topic = ""
        self.seq = 0
        self.oldest = 0

    def after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store._after(self, seq, most, most_bytes)

    def before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store._before(self, seq, most, most_bytes)

    def set_topic(self, topic: str) -> Deferred[None]:
        return self._store._set_topic(self, topic)


class SQLiteLog:
    """A store in one file; see `log.Log`. `open_file` opens it."""

    def __init__(self, path: str, writer: sqlite3.Connection, lock_file: int | None, reactor: Any) -> None:
        self.path = path
        self._writer = writer
        self._lock_file = lock_file
        self._reactor = reactor
        self._lock = DeferredLock()
        """Held by whoever writes to the file."""
        self._pool: ThreadPool | None = None
        if path != ":memory:":
            self._pool = ThreadPool(0, 3, "twisted_chat.sqlite")  # two that read, one that writes
            self._pool.start()
        self._of_thread = threading.local()
        self._connections = [writer]
        self._epoch = _epoch(writer)
        self._open: WeakValueDictionary[str, SQLiteRoomLog] = WeakValueDictionary()
        self._journaled: dict[tuple[str, str, str], tuple[int, int]] = {}
        """Of what is in the journal: room, author and `id`, to seq and time."""
        self._journal_rows = 0
        self._journal_from: dict[RoomLog, int] = {}
        """The rooms in the journal, and each one's first number there."""
        self._authors: dict[tuple[str, str], bool] = {}
        """Room and author, to whether `message` may hold an `id` of theirs."""
        self._bytes_since_checkpoint = 0

    @classmethod
    def open_file(cls, path: str, reactor: Any = None) -> SQLiteLog:
        """Open a file, or begin one; `:memory:` is nothing on disk. Raises `Unusable`."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise Unusable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        lock_file = None if path == ":memory:" else _lock_alone(path)
        try:
            writer = _connect(path)
            try:
                _prepare(writer, path)
                return cls(path, writer, lock_file, reactor)
            except BaseException:
                writer.close()
                raise
        except sqlite3.Error as error:
            _unlock(lock_file)
            raise Unusable(f"{path} cannot be used: {error}") from None
        except BaseException:
            _unlock(lock_file)
            raise

    # Rooms

    def open(self, name: Name) -> Deferred[RoomLog]:
        room: RoomLog | None = self._open.get(name.key)
        if room is not None:
            return succeed(room)
        return self._in_thread(_room_row, name.key).addCallback(self._opened, name)

    def _opened(self, row: tuple[Any, ...] | None, name: Name) -> RoomLog:
        room = self._open.get(name.key)
        if room is None:  # unless another `open` was faster
            room = self._open[name.key] = SQLiteRoomLog(self, name)
            if row is not None:
                room.id, shown, room.topic, room.seq, room.oldest = row
                room.name = Name(shown, name.key)
        return room

    def rooms(self, most: int) -> Deferred[list[RoomSummary]]:
        return self._in_thread(_summaries, most)

    def _set_topic(self, room: SQLiteRoomLog, topic: str) -> Deferred[None]:
        return self._lock.run(self._patiently, self._write_topic, room, topic)

    def _write_topic(self, room: SQLiteRoomLog, topic: str) -> None:
        self._make_row(room)
        self._writer.execute("UPDATE room SET topic = ? WHERE id = ?", (topic, room.id))
        room.topic = topic

    def _make_row(self, room: RoomLog) -> None:
        sql = "INSERT INTO room (key, name) VALUES (?, ?) ON CONFLICT DO UPDATE SET key = key RETURNING id"
        room.id = self._writer.execute(sql, (room.name.key, room.name.shown)).fetchone()[0]

    # Appending

    def append(self, entries: Sequence[Entry], time: int) -> Deferred[None]:
        if self._lock.locked:
            done = self._lock.run(self._patiently, self._append, entries, time)
            return done.addCallback(lambda _: self._tidy())
        try:
            self._append(entries, time)
        except sqlite3.Error as error:
            if not _is_busy(error):
                return fail(_unavailable(error))
            done = self._lock.run(self._patiently, self._append, entries, time)
            return done.addCallback(lambda _: self._tidy())
        self._tidy()
        return succeed(None)

    @inlineCallbacks
    def _patiently(self, write: Callable[..., None], *args: object) -> Generator[Deferred[None], None, None]:
        """Write in the reactor's thread; where another program writes to the file just now, try again for a while."""
        for attempt in range(BUSY_ATTEMPTS):
            try:
                return write(*args)
            except sqlite3.Error as error:
                if not _is_busy(error) or attempt + 1 == BUSY_ATTEMPTS:
                    raise _unavailable(error) from None
            yield deferLater(self._reactor, BUSY_PAUSE)

    def _append(self, entries: Sequence[Entry], time: int) -> None:
        for entry in entries:
            if entry.room.id is None:
                self._make_row(entry.room)
        while not self._keep(fresh := self._number(entries, time)):
            self._look_again()
        for entry in fresh:
            room = entry.room
            entry.fresh = True
            room.seq = entry.seq
            room.oldest = room.oldest or entry.seq

    def _number(self, entries: Sequence[Entry], time: int) -> list[Entry]:
        """Give each entry its number, or the first one's; return those that are new."""
        fresh = []
        heads: dict[RoomLog, int] = {}
        here: dict[tuple[str, str, str], tuple[int, int]] = {}
        for entry in entries:
            room = entry.room
            if entry.id is not None:
                said = room.name.key, entry.author.key, entry.id
                first = here.get(said) or self._journaled.get(said) or self._moved(said, room)
                if first:
                    entry.seq, entry.time = first
                    continue
            entry.seq = heads[room] = heads.get(room, room.seq) + 1
            entry.time = time
            fresh.append(entry)
            if entry.id is not None:
                here[said] = entry.seq, time
        return fresh

    def _moved(self, said: tuple[str, str, str], room: RoomLog) -> tuple[int, int] | None:
        """Look for an entry, by room, author and `id`, among those that were moved on already."""
        _, author, id = said
        known = self._authors.get(said[:2])
        if known is None:
            if len(self._authors) >= MAX_AUTHORS:
                self._authors.clear()
            sql = "SELECT 1 FROM message WHERE room = ? AND author_key = ? AND id IS NOT NULL LIMIT 1"
            known = self._authors[said[:2]] = self._writer.execute(sql, (room.id, author)).fetchone() is not None
        if not known:
            return None
        sql = "SELECT seq, time FROM message WHERE room = ? AND author_key = ? AND id = ?"
        first: tuple[int, int] | None = self._writer.execute(sql, (room.id, author, id)).fetchone()
        return first

    def _keep(self, fresh: list[Entry]) -> bool:
        """Write new entries, all or none; false if another program wrote to the file since we looked."""
        rows = [(e.room.id, e.seq, e.time, e.author.shown, e.author.key, e.id, e.msg) for e in fresh]
        encoded = _encode(rows)
        if b"\\u0000" in encoded:  # where SQLite's JSON functions take a text to end
            return self._keep_moved(rows)
        sql = "INSERT INTO journal (entries) SELECT ? WHERE (SELECT epoch FROM store) = ?"
        if fresh and self._writer.execute(sql, (encoded.decode(), self._epoch)).rowcount == 0:
            return False
        for entry in fresh:
            self._journal_from.setdefault(entry.room, entry.seq)
            if entry.id is not None:
                self._journaled[entry.room.name.key, entry.author.key, entry.id] = entry.seq, entry.time
        self._journal_rows += len(fresh)
        self._bytes_since_checkpoint += len(encoded)
        return True

    def _keep_moved(self, rows: Sequence[Sequence[object]]) -> bool:
        """Write new rows where the journal's rows go later, behind those."""
        with _transaction(self._writer):
            if _epoch(self._writer) != self._epoch:
                return False
            _move(self._writer)
            self._writer.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._forget_journal()
        self._authors.clear()
        return True

    def _look_again(self) -> None:
        """Another program wrote to the file: learn what it left."""
        with _transaction(self._writer):
            _move(self._writer)
            self._epoch = _epoch(self._writer)
        self._forget_journal()
        self._authors.clear()
        for room in self._open.values():
            row = _room_row(self._writer, room.name.key)
            if row is not None:
                room.id, _, room.topic, room.seq, room.oldest = row

    # Moving on from the journal

    def _tidy(self) -> None:
        if self._journal_rows >= JOURNAL_ROWS:
            self._move_on().addErrback(lambda failure: _log.failure("The journal could not be moved", failure))

    def _move_on(self) -> Deferred[None]:
        """Move the journal's rows to where they can be found. Fails with `Unavailable`; nothing is lost then."""
        return self._lock.run(self._move_alone)

    def _move_alone(self) -> Deferred[None]:
        self._journal_rows = 0  # where it fails, it is tried again after as many
        if not self._journal_from:
            return succeed(None)
        return self._in_thread(_move).addCallback(lambda _: self._forget_journal())

    def _forget_journal(self) -> None:
        for room, author, _ in self._journaled:
            self._authors[room, author] = True
        self._journaled.clear()
        self._journal_from.clear()
        self._journal_rows = 0
        if self._bytes_since_checkpoint >= CHECKPOINT_BYTES and self._pool is not None:
            self._bytes_since_checkpoint = 0
            self._checkpoint()

    def _checkpoint(self) -> Deferred[None]:
        """Copy the WAL into the file: most of it while appends go on, and the rest alone, so that it begins anew."""
        done = self._in_thread(_copy_wal)
        done.addCallback(lambda _: self._lock.run(self._in_thread, _copy_wal))
        done.addErrback(lambda failure: _log.failure("The write-ahead log could not be copied", failure))
        return done

    # Reading

    @inlineCallbacks
    def _after(
        self, room: SQLiteRoomLog, seq: int, most: int, most_bytes: int
    ) -> Generator[Deferred[Any], Any, list[Record]]:
        records: list[Record] = yield self._in_thread(_page, _AFTER, room.id, seq, most, most_bytes)
        whole = len(records) == most or sum(len(record.msg) for record in records) >= most_bytes
        if not whole and room in self._journal_from:
            yield self._move_on()
            records = yield self._in_thread(_page, _AFTER, room.id, seq, most, most_bytes)
        return records

    @inlineCallbacks
    def _before(
        self, room: SQLiteRoomLog, seq: int, most: int, most_bytes: int
    ) -> Generator[Deferred[Any], Any, list[Record]]:
        if self._journal_from.get(room, seq) < seq:
            yield self._move_on()
        records: list[Record] = yield self._in_thread(_page, _BEFORE, room.id, seq, most, most_bytes)
        return records

    def _in_thread(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Call `function(connection, *args)` in a thread with a connection of its own.

        What is in memory is read here, and so is everything before the reactor runs: nobody waits yet.
        """
        if self._pool is None or not self._reactor.running:
            done = execute(function, self._writer, *args)
        else:
            done = deferToThreadPool(self._reactor, self._pool, self._with_connection, function, *args)
        return done.addErrback(_to_unavailable)

    def _with_connection(self, function: Callable[..., _T], *args: object) -> _T:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = _connect(self.path, timeout=BUSY_ATTEMPTS * BUSY_PAUSE)
            self._connections.append(connection)
        return function(connection, *args)

    # The end

    def close(self) -> Deferred[None]:
        done = self._move_on()
        done.addErrback(lambda failure: _log.failure("The journal could not be moved; the next start does it", failure))
        return done.addCallback(lambda _: self._lock.run(self._close))

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.stop()
        for connection in self._connections:
            connection.close()  # the last one copies the WAL and removes it
        _unlock(self._lock_file)


# What is done with a connection, in whatever thread


def _connect(path: str, timeout: float = 0) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables of a new file, or see that an old one is ours; raises `Unusable`."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    is_new = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_new and application != APPLICATION_ID:
        raise Unusable(f"{path} is the database of another program: name another file with --database")
    if version > VERSION:
        raise Unusable(f"{path} was written by a newer version of twisted_chat: use that one, or another file")
    connection.execute("PRAGMA journal_mode = WAL")
    if is_new:
        connection.executescript(f"BEGIN IMMEDIATE; {_schema()} COMMIT;")
    with _transaction(connection):
        _move(connection)  # what a server that was killed left


def _schema() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text("utf-8")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it by itself where the disk is full
            connection.execute("ROLLBACK")
        raise


def _epoch(connection: sqlite3.Connection) -> int:
    epoch: int = connection.execute("SELECT epoch FROM store").fetchone()[0]
    return epoch


def _move(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("INSERT INTO message SELECT * FROM journaled ORDER BY room, seq")
        connection.execute("DELETE FROM journal")
        return
    with _transaction(connection):
        _move(connection)


def _copy_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _room_row(connection: sqlite3.Connection, key: str) -> tuple[Any, ...] | None:
    """Find a room that has nothing in the journal: row, name, topic, newest and oldest number."""
    sql = """
        SELECT id, name, topic,
               max(trimmed, ifnull((SELECT max(seq) FROM message WHERE room = room.id), 0)),
               ifnull((SELECT min(seq) FROM message WHERE room = room.id), 0)
        FROM room WHERE key = ?"""
    row: tuple[Any, ...] | None = connection.execute(sql, (key,)).fetchone()
    return row


def _summaries(connection: sqlite3.Connection, most: int) -> list[RoomSummary]:
    rows = connection.execute("SELECT name, key, topic FROM room ORDER BY key LIMIT ?", (most,))
    return [RoomSummary(Name(name, key), topic) for name, key, topic in rows]


def _page(
    connection: sqlite3.Connection, sql: str, room: int | None, seq: int, most: int, most_bytes: int
) -> list[Record]:
    (text,) = connection.execute(sql, (room, seq, most, most_bytes)).fetchone()
    return _records(text)


# What can go wrong


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _unavailable(error: sqlite3.Error) -> Unavailable:
    _log.error("The database does not work now: {error}", error=str(error))
    return Unavailable(str(error))


def _to_unavailable(failure: Failure) -> Failure:
    if isinstance(failure.value, sqlite3.Error):
        raise _unavailable(failure.value)
    return failure


def _lock_alone(path: str) -> int:
    """Keep other servers away from a file until `_unlock`; raises `Unusable`.

    The lock is on a file beside it: to open and close the database itself would give up SQLite's own locks.
    """
    try:
        lock_file = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unusable(f"{path} cannot be used: {error.strerror} ({path}-lock)") from None
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock_file)
        raise Unusable(f"{path} is in use by another server: stop that one, or name another file") from None
    return lock_file


def _unlock(lock_file: int | None) -> None:
    if lock_file is not None:
        os.close(lock_file)

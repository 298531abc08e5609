"""The databases to which an import writes: SQLite's file, and PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from ..log import Record
from ..names import Name
from ..stores.postgresql.text import to_sql
from ..stores.postgresql.urls import is_url
from ..stores.sqlite import database
from .files import Readable, writing
from .postgresql import PostgreSQLConnection, connecting


class Message(NamedTuple):
    where: str
    """The file and the line."""
    room: Name
    author: Name
    id: str | None
    record: Record


class Counted(Protocol):
    """The counts of what was written."""

    @property
    def written(self) -> int: ...


class Target(Protocol):
    """A database that is written to, one step after the other."""

    @property
    def connection(self) -> Readable: ...

    @contextmanager
    def step(self, rooms: list[Name], messages: list[Message], counts: Counted) -> Iterator[None]:
        """Write a step in one transaction, with what is about these rooms and messages."""

    def topic(self, room: Name) -> str:
        """Return the topic of a room, which is made if it is not there."""

    def set_topic(self, room: Name, topic: str) -> None:
        """Set the topic of a room."""

    def find(self, line: Message) -> tuple[Record, str | None] | None:
        """Find the message with the number of another one, with its id."""

    def was_said(self, line: Message) -> bool:
        """True if there is a message of the same author and id."""

    def insert(self, line: Message) -> None:
        """Write a message."""


@contextmanager
def writing_target(path: str) -> Iterator[Target]:
    """Open a database to write to it. Raises `Problem` and `Unusable`."""
    if is_url(path):
        with connecting(path) as connection:
            yield DatabaseTarget(connection)
    else:
        with writing(path) as file:
            yield FileTarget(file, path)


_Ends = tuple[int | None, int | None]


class FileTarget:
    """SQLite's file."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self.connection: Any = connection
        self._path = path
        self._added: dict[int, tuple[_Ends, int]] = {}
        """For each room, its oldest and newest number before the step, and the number of new messages."""

    @contextmanager
    def step(self, rooms: list[Name], messages: list[Message], counts: Counted) -> Iterator[None]:
        with database.transaction(self.connection):
            database.move_now(self.connection)
            before = counts.written
            self._added = {}
            self._rooms = {room.key: database.make_room(self.connection, room) for room in rooms}
            yield
            for room, (ends, inserted) in self._added.items():
                _count_skipped(self.connection, room, ends, inserted)
            if counts.written != before:
                self.connection.execute("UPDATE store SET epoch = epoch + 1")
        if os.path.exists(f"{self._path}-wal") and os.path.getsize(f"{self._path}-wal") > database.WAL_BYTES:
            database.copy_wal(self.connection)

    def topic(self, room: Name) -> str:
        row = self.connection.execute("SELECT topic FROM room WHERE id = ?", (self._rooms[room.key],)).fetchone()
        return str(row[0])

    def set_topic(self, room: Name, topic: str) -> None:
        sql = "UPDATE room SET topic = ?, topic_time = 1000 * CAST(strftime('%s') AS INTEGER) WHERE id = ?"
        self.connection.execute(sql, (topic, self._rooms[room.key]))

    def find(self, line: Message) -> tuple[Record, str | None] | None:
        sql = "SELECT seq, time, author, msg, kind, of, ifnull(deleted, 0), id FROM message WHERE room = ? AND seq = ?"
        row = self.connection.execute(sql, (self._rooms[line.room.key], line.record.seq)).fetchone()
        return None if row is None else (Record(*row[:-1]), row[-1])

    def was_said(self, line: Message) -> bool:
        assert line.id is not None
        return database.was_said(self.connection, self._rooms[line.room.key], line.author.key, line.id) is not None

    def insert(self, line: Message) -> None:
        room = self._rooms[line.room.key]
        if room not in self._added:
            self._added[room] = _ends(self.connection, room), 0
        database.insert(self.connection, room, line.record, line.author.key, line.id)
        self._added[room] = self._added[room][0], self._added[room][1] + 1


def _ends(connection: sqlite3.Connection, room: int) -> _Ends:
    oldest, newest = connection.execute(
        """SELECT (SELECT min(seq) FROM message WHERE room = :room),
                  (SELECT max(seq) FROM message WHERE room = :room)""",
        {"room": room},
    ).fetchone()
    return oldest, newest


def _count_skipped(connection: sqlite3.Connection, room: int, before: _Ends, inserted: int) -> None:
    """Update the count of numbers that a room skips: retention computes the number of messages from it."""
    more = _reach(_ends(connection, room)) - _reach(before) - inserted
    connection.execute("UPDATE room SET skipped = skipped + ? WHERE id = ?", (more, room))


def _reach(ends: _Ends) -> int:
    oldest, newest = ends
    return 0 if oldest is None or newest is None else newest - oldest + 1


class DatabaseTarget:
    """A database in PostgreSQL. What a step has to know is read at once, and its messages are written at once."""

    def __init__(self, connection: PostgreSQLConnection) -> None:
        self.connection = connection

    @contextmanager
    def step(self, rooms: list[Name], messages: list[Message], counts: Counted) -> Iterator[None]:
        with self.connection.transaction():
            before = counts.written
            self.connection.execute("SELECT FROM store FOR UPDATE")
            self.connection.execute("DELETE FROM rule WHERE ended IS NOT NULL")
            self._look_up([room.key for room in rooms], [room.shown for room in rooms], messages)
            self._new: list[Message] = []
            yield
            keys = {line.room.key for line in self._new}
            if self._new:
                self._insert()
            if counts.written != before:
                self.connection.execute("SELECT import_done(?::text[])", [sorted(keys)])

    def _look_up(self, keys: list[str], shown: list[str], messages: list[Message]) -> None:
        rows = self.connection.execute("SELECT * FROM import_rooms(?, ?)", (keys, shown))
        self._ids = {key: id for id, key, _ in rows}
        self._topics = {key: topic for _, key, topic in rows}
        ids = [self._ids[line.room.key] for line in messages]
        sql = """SELECT room, seq, time, author, msg, kind, of, coalesce(deleted, 0), id FROM message
            JOIN unnest(?::bigint[], ?::bigint[]) AS line (room, seq) USING (room, seq)"""
        found = self.connection.execute(sql, (ids, [line.record.seq for line in messages]))
        self._found = {(room, record[0]): (Record(*record), id) for room, *record, id in found}
        sql = """
            SELECT room, author_key, id FROM message
            JOIN unnest(?::bigint[], ?::text[], ?::text[]) AS u (room, author_key, id) USING (room, author_key, id)"""
        authors, said = [line.author.key for line in messages], [to_sql(line.id or "") for line in messages]
        self._said = set(self.connection.execute(sql, (ids, authors, said)))

    def topic(self, room: Name) -> str:
        return str(self._topics[room.key])

    def set_topic(self, room: Name, topic: str) -> None:
        self._topics[room.key] = topic
        sql = "UPDATE room SET topic = ?, topic_time = 1000 * extract(epoch FROM now())::bigint WHERE key = ?"
        self.connection.execute(sql, (topic, room.key))

    def find(self, line: Message) -> tuple[Record, str | None] | None:
        return self._found.get((self._ids[line.room.key], line.record.seq))

    def was_said(self, line: Message) -> bool:
        return (self._ids[line.room.key], line.author.key, line.id) in self._said

    def insert(self, line: Message) -> None:
        room = self._ids[line.room.key]
        self._found[room, line.record.seq] = line.record, line.id
        if line.id is not None:
            self._said.add((room, line.author.key, line.id))
        self._new.append(line)

    def _insert(self) -> None:
        columns = [
            [self._ids[line.room.key] for line in self._new],
            [line.record.seq for line in self._new],
            [line.record.time for line in self._new],
            [line.record.author for line in self._new],
            [line.author.key for line in self._new],
            [line.id and to_sql(line.id) for line in self._new],
            [to_sql(line.record.msg) for line in self._new],
            [line.record.kind for line in self._new],
            [line.record.of for line in self._new],
            [line.record.deleted or None for line in self._new],
        ]
        self.connection.execute(f"SELECT import_messages({', '.join('?' * len(columns))})", columns)

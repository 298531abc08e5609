"""The file of the embedded store, as a command has it."""

from __future__ import annotations

import os
import sqlite3
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final, NamedTuple

import msgspec

from ..log import Unusable
from ..stores.sqlite import database
from . import Problem

PAGE: Final = 5_000
"""Messages that are read at once: a reading that takes longer than some 20 ms keeps the write-ahead log from beginning
anew."""

WRITE_PATIENCE: Final = 60.0
"""Seconds that a command waits for the server to let it write."""


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A line of an export: a message, or a room's topic."""

    room: str
    topic: str | None = None
    seq: int | None = None
    time: str | None = None
    """UTC, as on the wire."""
    author: str | None = None
    id: str | None = None
    msg: str | None = None


class RoomRow(NamedTuple):
    """A room, and about how many messages it has."""

    id: int
    key: str
    name: str
    topic: str
    messages: int


def takes_database(parser: ArgumentParser) -> None:
    """Let a command take `--database`, as the server does."""
    parser.add_argument(
        "-d", "--database", metavar="FILE", default="chat.sqlite", help="the server's file [default: chat.sqlite]"
    )


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """Open a file that is there, to read from it; raises `Problem` and `Unusable`."""
    if not os.path.exists(path):
        raise Problem(f"there is no {path}: name the server's file with --database")
    with closing(database.connect(path, timeout=database.PATIENCE)) as connection:
        version = database.check(connection, path)
        if not version:
            raise Problem(f"{path} is empty: name the server's file with --database")
        if version < database.version_of():
            raise Problem(f"{path} was written by an older version: start the server once, which brings it up to date")
        connection.execute("PRAGMA query_only = ON")
        yield connection


@contextmanager
def writing(path: str) -> Iterator[sqlite3.Connection]:
    """Open a file, or begin one, to write to it; raises `Problem` and `Unusable`."""
    _see_server(path)
    with closing(database.connect(path, timeout=WRITE_PATIENCE)) as connection:
        if database.check(connection, path) < database.version_of():
            lock_file = database.lock_alone(os.path.realpath(path))  # no server may run while that changes
            try:
                database.prepare(connection, path)
            finally:
                database.unlock(lock_file)
        yield connection


def _see_server(path: str) -> None:
    """See that a server that runs on a file shares its locks and its write-ahead log with us; raises `Problem`.

    SQLite makes both anew for us where somebody took them away. Then the server and we would write over each other.
    """
    path = os.path.realpath(path)
    try:
        database.unlock(database.lock_alone(path))
    except Unusable:
        for end in ("-wal", "-shm"):
            if os.path.exists(path) and not os.path.exists(path + end):
                raise Problem(f"{path}{end} was taken away while a server runs: stop the server first") from None


def rooms(connection: sqlite3.Connection) -> list[RoomRow]:
    """List all rooms, by name."""
    sql = """
        SELECT id, key, name, topic, ifnull(
            (SELECT max(seq) FROM message WHERE message.room = room.id)
            - (SELECT min(seq) FROM message WHERE message.room = room.id) + 1 - skipped, 0)
        FROM room ORDER BY key"""
    return [RoomRow(*row) for row in connection.execute(sql)]

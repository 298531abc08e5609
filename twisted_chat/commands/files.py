"""The file of the embedded store, as commands open it."""

from __future__ import annotations

import os
import sqlite3
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from ..log import Unusable
from ..stores.sqlite import database
from ..stores.sqlite.lock import FileLock
from . import Problem

PAGE: Final = 5_000
"""Messages that are read in one statement, which takes some 20 ms: a longer one would keep the write-ahead log from
beginning anew."""

WRITE_PATIENCE: Final = 60.0
"""Seconds that a command waits for the server to let it write."""


class Readable(Protocol):
    """A connection to a database of any kind, as far as an export needs it."""

    def execute(self, sql: str, args: Any = (), /) -> Any:
        """Execute a statement, with a `?` for each argument."""


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A line of an export: a message or the topic of a room, or something about accounts."""

    room: str = ""
    topic: str | None = None
    seq: int | None = None
    time: str | None = None
    """UTC, as on the wire."""
    author: str | None = None
    id: str | None = None
    msg: str | None = None
    kind: str = ""
    """Empty for a message."""
    of: int | None = None
    """The number of the message that an entry of another kind is about."""
    deleted: int | None = None
    """The number of the entry that took the text away."""
    account: dict[str, Any] | None = None
    token: dict[str, Any] | None = None
    rule: dict[str, Any] | None = None
    action: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    """Only with `--accounts`; see `account_lines`."""


class RoomRow(NamedTuple):
    """A room, with about the number of its messages."""

    id: int
    key: str
    name: str
    topic: str
    messages: int


def takes_database(parser: ArgumentParser, of_any_kind: bool = False) -> None:
    """Add the option `--database`, as the server has it; it may be a URL if it may be `of_any_kind`."""
    what = "the file in which the server keeps its messages"
    if of_any_kind:
        what += ", or the URL of a database in PostgreSQL"
    parser.add_argument(
        "-d",
        "--database",
        metavar="FILE",
        type=str if of_any_kind else _file,
        default="chat.sqlite",
        help=f"{what} [default: chat.sqlite]",
    )


def _file(text: str) -> str:
    """Check that a database is no URL, which the server takes, too. Raises `ArgumentTypeError`."""
    if "://" in text:
        raise ArgumentTypeError(
            "takes a file of SQLite; for PostgreSQL, use its own programs, such as pg_dump: see docs/operations.md"
        )
    return text


def own_files(path: str) -> set[str]:
    """Return the paths of a database and of the files beside it, without links."""
    return {os.path.realpath(f"{path}{end}") for end in ("", "-wal", "-shm", "-lock")}


@contextmanager
def reading(path: str, of_any_version: bool = False) -> Iterator[sqlite3.Connection]:
    """Open an existing file to read from it. Raises `Problem` and `Unusable`.

    Unless it may be `of_any_version`, a file of an earlier version is refused.
    """
    if not os.path.exists(path):
        raise Problem(f"there is no file {path}: give the server's file with --database")
    with closing(_reader(path)) as connection:
        version = database.check(connection, path)
        if not version:
            raise Problem(f"{path} is empty: give the server's file with --database")
        if version < database.version_of() and not of_any_version:
            raise Problem(f"{path} was written by an older version: start the server once, which brings it up to date")
        connection.execute("PRAGMA query_only = ON")
        yield connection


def _reader(path: str) -> sqlite3.Connection:
    """Connect to a file, with the rights that this user has.

    In WAL mode, a reader, too, needs the file's index (`-shm`). A server keeps one, and a user who may write makes one
    and removes it again. A user who may only read, and finds none, reads the file alone. That is everything, unless
    there is a write-ahead log, too.
    """
    if os.access(path, os.W_OK, effective_ids=True) or os.path.exists(f"{path}-shm"):
        try:
            return database.connect(path, timeout=database.PATIENCE)
        except sqlite3.OperationalError as error:
            if not database.cannot_open(error):
                raise
    if os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal"):
        raise Problem(
            f"the newest messages of {path} are still in {path}-wal, which only a user who may write to its folder can "
            "read: run this as the server's user, or copy both files to a folder of your own"
        )
    return database.connect(f"file:{quote(os.path.abspath(path))}?immutable=1")


@contextmanager
def writing(path: str) -> Iterator[sqlite3.Connection]:
    """Open a file, or make one, to write to it. Raises `Problem` and `Unusable`."""
    if os.path.exists(path):
        _see_server(path)
    if _version(path) < database.version_of():
        _bring_up_to_date(path)
    with closing(database.connect(path, timeout=WRITE_PATIENCE)) as connection:
        yield connection


def _see_server(path: str) -> None:
    """Check that a running server shares its locks and its write-ahead log with this command; raises `Problem`.

    If somebody has removed these files, SQLite makes new ones for the command, and the two would write over each other.
    """
    path = os.path.realpath(path)
    try:
        FileLock.acquire(path).release()
    except Unusable:
        for end in ("-wal", "-shm"):
            if os.path.exists(path) and not os.path.exists(path + end):
                raise Problem(f"{path}{end} was taken away while a server runs: stop the server first") from None


def _version(path: str) -> int:
    if not os.path.exists(path):
        return 0
    with closing(database.connect(path, timeout=WRITE_PATIENCE)) as connection:
        return database.check(connection, path)


def _bring_up_to_date(path: str) -> None:
    """Make the tables of a new file, or upgrade those of an old one; no server may run on it meanwhile."""
    lock = FileLock.acquire(os.path.realpath(path))
    try:
        with closing(database.connect(path, timeout=WRITE_PATIENCE)) as connection:
            database.prepare(connection, path)
    except BaseException:
        lock.release(remove=lock.made)
        raise
    lock.release()


_ROOMS: Final = """
SELECT id, key, name, topic, ifnull(
    (SELECT max(seq) FROM message WHERE message.room = room.id)
    - (SELECT min(seq) FROM message WHERE message.room = room.id) + 1 - skipped, 0)
FROM room WHERE name <> '' ORDER BY key"""


def rooms(connection: Readable) -> list[RoomRow]:
    """List all rooms, by name."""
    return [RoomRow(*row) for row in connection.execute(getattr(connection, "rooms_sql", _ROOMS))]

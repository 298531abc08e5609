"""`twisted-chat export`: writes the messages of rooms as JSON lines."""

from __future__ import annotations

import os
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from .. import names
from ..atomic_write import atomic_write
from ..messages import WireError, encode_line, time_milliseconds, time_text
from ..stores.postgresql.urls import is_url
from . import Command, Problem
from .account_lines import entries
from .files import PAGE, Line, Readable, RoomRow, own_files, reading, rooms, takes_database
from .postgresql import reading_postgresql
from .progress import Progress

_SQLITE: Final = b"SQLite format 3\x00"
"""The first bytes of a database (SQLite's file format, section 1.3)."""

_UNITS: Final = {"h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


def _arguments(parser: ArgumentParser) -> None:
    takes_database(parser, of_any_kind=True)
    parser.add_argument("--room", help="only the messages of this room")
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="only messages since this time: 2026-11-22, 2026-11-22T11:00+01:00, or 12h, 7d or 4w ago",
    )
    parser.add_argument(
        "--accounts",
        action="store_true",
        help="also all accounts (hashes of passwords), tokens, rules, reports and the audit log; only you may read the "
        "file then",
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="the file to write [default: the standard output]"
    )


Row = tuple[int, int, str, str | None, str, str, int | None, int | None]
"""A message as the database has it: number, time, author, id, text, kind, the number that it is about, and the number
of the entry that took its text away."""


def line_of(room: str, row: Row) -> bytes:
    """Write a message of a room as a line."""
    seq, time, author, id, msg, kind, of, deleted = row
    line = Line(room=room, seq=seq, time=time_text(time), author=author, id=id, msg=msg, kind=kind, of=of)
    line.deleted = deleted
    return encode_line(line)


def run(options: Namespace, line: Callable[[str, Row], bytes] = line_of) -> int:
    """Run the command. `line` writes a message of a room."""
    since = _since(options.since) if options.since else 0
    if os.path.isfile(options.file):  # opening a pipe would wait for its other end
        _spare_databases(options.file, options.database)
    opened = reading_postgresql if is_url(options.database) else reading
    with opened(options.database) as connection:
        chosen = _chosen(rooms(connection), options.room)
        total = sum(room.messages for room in chosen)
        with _output(options.file, options.accounts) as output, Progress("messages", total) as progress:
            for room in chosen:
                if room.topic:
                    output.write(encode_line(Line(room=room.name, topic=room.topic)))
                for page in _pages(connection, room.id):
                    output.writelines(line(room.name, row) for row in page if row[1] >= since)
                    progress.add(len(page))
            if options.accounts:
                output.writelines(encode_line(Line(**about)) for about in entries(connection))
    return 0


def _spare_databases(path: str, database: str) -> None:
    """Check that an export does not replace the server's file, or another database; raises `Problem`."""
    if os.path.realpath(path) in own_files(database) or _is_database(path):
        raise Problem(f"{path} is a database, which the export would replace: name another file to write to")


def _is_database(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False  # `_output` reports what is wrong with it


def _since(text: str) -> int:
    """Read a time or an age, and return it in milliseconds since 1970. Raises `Problem`."""
    ago = re.fullmatch(r"([0-9]{1,6})([hdw])", text, re.ASCII)
    if ago:
        return int(time.time() * 1000) - int(ago[1]) * _UNITS[ago[2]]
    try:
        return time_milliseconds(text)
    except ValueError:
        raise Problem(f"--since takes a time such as 2026-11-22T11:00Z, or 12h, 7d or 4w ago, not '{text}'") from None


def _chosen(kept: list[RoomRow], name: str | None) -> list[RoomRow]:
    if name is None:
        return kept
    try:
        key = names.log(name).key
    except WireError as error:
        raise Problem(f"--room takes the name of a room: {error.text}") from None
    chosen = [room for room in kept if room.key == key]
    if not chosen:
        raise Problem(f"there is no room '{name}'")
    return chosen


def _pages(connection: Readable, room: int) -> Iterator[list[Row]]:
    """Read a room in pages. Each page is one statement, so no move of the journal comes in between."""
    sql = (
        "SELECT seq, time, author, id, msg, kind, of, deleted FROM said WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?"
    )
    last = 0
    while page := connection.execute(sql, (room, last, PAGE)).fetchall():
        yield page
        last = page[-1][0]


@contextmanager
def _output(path: str, is_private: bool) -> Iterator[BinaryIO]:
    """Open the file to write to, or the standard output. A new file is private, since direct messages are in it."""
    if path == "-":
        yield sys.stdout.buffer
        return
    try:
        with atomic_write(path, 0o600, is_private) as file:
            yield file
    except OSError as error:
        raise Problem(f"cannot write {path}: {error.strerror}") from None


EXPORT: Final = Command(
    "export", "Write the messages of all rooms as JSON lines, one message on each line.", _arguments, run
)

"""`twisted-chat check`: looks for damage and contradictions in the file of a server, also while the server runs.

All is read in one transaction, as of one moment. A reader does not hold up the server, but the write-ahead log grows
meanwhile.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from .. import names
from ..log import DELETE
from ..status import units
from ..stores.postgresql.urls import is_url, without_password
from ..stores.sqlite import database
from ..stores.sqlite.file import PINNED_BYTES
from ..stores.sqlite.lock import is_in_use
from ..stores.sqlite.store import is_open_to_all
from . import Command, check_postgresql
from .files import PAGE, own_files, reading, takes_database
from .findings import Findings, check_accounts, check_rules, key_of, key_of_author, many
from .postgresql import reading_postgresql
from .progress import Progress

STEPS: Final = 200_000
"""Instructions of SQLite's virtual machine between two pauses for the server, which take some 5 ms."""

LITTLE_SPACE: Final = 2**30
"""Bytes of free disk space of which the command warns: a day of a room with 60 messages per second."""

MAX_DAMAGE: Final = 100
"""The number of errors after which SQLite stops to look for more."""

_RESTORE: Final = "Stop the server and put a backup in its place"

_DAY: Final = 24 * 60 * 60 * 1000


def _arguments(parser: ArgumentParser) -> None:
    takes_database(parser, of_any_kind=True)


def run(options: Namespace, sleep: Callable[[float], object] = time.sleep) -> int:
    """Run the command. It `sleep`s now and then, for as long as it has worked: half of the time is the server's."""
    path: str = options.database
    if is_url(path):
        findings = Findings(check_postgresql.RESTORE)
        with reading_postgresql(path) as database_connection, Progress("messages", 0) as progress:
            counts = check_postgresql.check_database(database_connection, findings, progress)
        return _report(findings, without_password(path), counts)
    findings = Findings(_RESTORE)
    is_served = os.path.exists(path) and is_in_use(path)  # before SQLite opens it
    with reading(path, of_any_version=True) as connection:
        _check_files(path, is_served, findings)
        connection.execute("BEGIN")
        with Progress("steps", 0) as progress, _pauses(connection, progress, sleep):
            counts = _check_contents(connection, path, findings)
    return _report(findings, path, counts)


def _report(findings: Findings, path: str, counts: str) -> int:
    """Print what was found. Returns the exit status."""
    for line in findings.lines():
        print(line)
    print(f"{path}: {counts}{many(findings.problems, 'problem') if findings.problems else 'no problem'} found")
    return 1 if findings.problems else 0


@contextmanager
def _pauses(connection: sqlite3.Connection, progress: Progress, sleep: Callable[[float], object]) -> Iterator[None]:
    """A context in which long statements show progress, leave time to the server, and can be interrupted."""
    start = time.monotonic()
    interruptions: list[BaseException] = []

    def pause() -> int:
        nonlocal start
        try:
            progress.add(STEPS)
            sleep(time.monotonic() - start)
        except BaseException as interruption:  # sqlite3 would only print it
            interruptions.append(interruption)
        start = time.monotonic()
        return len(interruptions)

    connection.set_progress_handler(pause, STEPS)
    try:
        yield
    except sqlite3.OperationalError:
        if interruptions:
            raise interruptions[0] from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


# The files


def _check_files(path: str, is_served: bool, findings: Findings) -> None:
    path = os.path.realpath(path)
    if is_open_to_all(path):
        findings.note(
            f"every user of this machine can read {path}, which has all messages and the hashes of passwords",
            f"chmod o= {path} while the server is stopped",
        )
    owner = os.stat(path).st_uid
    foreign = [file for file in sorted(own_files(path)) if os.path.exists(file) and os.stat(file).st_uid != owner]
    if foreign:
        name = _user(owner)
        findings.problem(
            f"{path} belongs to {name}, and files beside it belong to somebody else, so that the server may not be "
            "able to write",
            f"Give them to {name} with chown",
            *foreign,
        )
    wal = os.path.getsize(f"{path}-wal") if os.path.exists(f"{path}-wal") else 0
    if wal >= PINNED_BYTES:
        findings.note(
            f"{path}-wal has {units.size(wal)}, since another program has been reading the database in one transaction",
            "End that program",
        )
    if wal and not is_served:
        findings.note(
            "no server runs, and the newest messages are in -wal, as after a server was killed",
            "Copy both files together; the next start moves them on",
        )
    free = shutil.disk_usage(os.path.dirname(path)).free
    if free < LITTLE_SPACE:
        findings.note(
            f"the disk has {units.size(free)} left", "Make space, or the server has to refuse messages; see --keep"
        )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in many containers
        return f"the user with the number {uid}"


# The contents


def _check_contents(connection: sqlite3.Connection, path: str, findings: Findings) -> str:
    """Check everything in a database. Returns what it has, for the last line."""
    damage = [text for (text,) in connection.execute(f"PRAGMA integrity_check({MAX_DAMAGE})") if text != "ok"]
    if damage:
        findings.problem(f"{path} is damaged", findings.restore, *damage)
        return ""  # what is read from a damaged file says nothing
    version = database.check(connection, path)
    if version < database.version_of():
        findings.note(
            f"it was written by an older version (its tables are of version {version}), and only SQLite's own check "
            "was made",
            "Start the server once, which brings it up to date",
        )
        return ""
    _check_references(connection, findings)
    messages = _Messages(connection, findings)
    rooms = messages.check()
    accounts = check_accounts(connection, findings)
    check_rules(connection, findings)
    return f"{many(rooms, 'room')}, {many(messages.count, 'message')}, {many(accounts, 'account')}: "


def _check_references(connection: sqlite3.Connection, findings: Findings) -> None:
    lost = [f"{table} {row}" for table, row, _, _ in connection.execute("PRAGMA foreign_key_check")]
    if lost:
        findings.problem(
            "rows belong to a room or an account that is not there, so nobody can read them", findings.restore, *lost
        )
    (rows,) = connection.execute("SELECT count(*) FROM store").fetchone()
    if rows != 1:
        findings.problem(f"the table store has {rows} rows instead of one", findings.restore)


class _Row(NamedTuple):
    """An entry of a log, with its texts as bytes."""

    seq: int
    time: int
    author: bytes
    author_key: bytes
    id: bytes | None
    msg: bytes
    kind: bytes
    of: int | None
    deleted: int | None

    @property
    def texts(self) -> bytes:
        return b"\n".join((self.author, self.author_key, self.id or b"", self.msg, self.kind))


_COLUMNS: Final = "seq, time, author, author_key, id, msg, kind, of, deleted"


class _Messages:
    """The check of all logs."""

    def __init__(self, connection: sqlite3.Connection, findings: Findings) -> None:
        self.count = 0
        self._connection = connection
        self._findings = findings
        self._authors: set[tuple[bytes, bytes]] = set()
        """The authors with their keys that are right."""
        self._latest = int(time.time() * 1000) + _DAY

    def check(self) -> int:
        """Check each room; returns their number."""
        rooms = self._connection.execute("SELECT id, key, name, skipped FROM room ORDER BY key").fetchall()
        self._connection.text_factory = bytes  # so that texts that are not valid can be named
        journal: dict[int, list[_Row]] = {}
        for id, *row in self._connection.execute(f"SELECT room, {_COLUMNS} FROM journal ORDER BY row"):
            journal.setdefault(id, []).append(_Row(*row))
        for id, key, name, skipped in rooms:
            if name and key_of(name) != key:
                self._findings.problem("the key of a room is not that of its name", self._findings.restore, name)
            # As elsewhere, nothing says who talks to whom.
            shown = "direct messages" if names.is_direct(key) else name or key
            self._check_room(id, shown, skipped, journal.get(id, []))
        self._connection.text_factory = str
        return sum(name != "" for _, _, name, _ in rooms)

    def _check_room(self, id: int, name: str, skipped: int, journal: list[_Row]) -> None:
        first, last, count = 0, 0, 0
        deletions: list[int] = []
        for page in self._pages(id):
            self._check_page(name, page, deletions)
            first = first or page[0].seq
            last = page[-1].seq
            count += len(page)
        if skipped != (last - first + 1 - count if count else 0):
            self._findings.problem(
                "a room has another number of messages than it says, so that --keep would delete too many or too few",
                "Export the room, and import it into a new database",
                name,
            )
        self._check_page(name, journal, deletions)
        for row in journal:
            if row.seq <= last:
                self._findings.problem(
                    "numbers in the journal are not larger than those before them",
                    "The next start gives these messages new numbers, and logs how many",
                    f"{row.seq} in {name}",
                )
            last = max(last, row.seq)
        self.count += count + len(journal)
        texts = {row.seq for row in journal if not row.kind and row.deleted is None}
        for of in deletions:
            sql = "SELECT 1 FROM message WHERE room = ? AND seq = ? AND kind = '' AND deleted IS NULL"
            if of in texts or self._connection.execute(sql, (id, of)).fetchone():
                self._undeleted(of, name)

    def _pages(self, room: int) -> Iterator[list[_Row]]:
        sql = f"SELECT {_COLUMNS} FROM message WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?"
        last = -1
        while page := [_Row(*row) for row in self._connection.execute(sql, (room, last, PAGE))]:
            yield page
            last = page[-1].seq

    def _check_page(self, name: str, page: list[_Row], deletions: list[int]) -> None:
        """Check entries of a log one by one, and add to `deletions` the numbers that are deleted by them."""
        if not _is_utf8(b"\n".join([row.texts for row in page])):
            places = [f"{row.seq} in {name}" for row in page if not _is_utf8(row.texts)]
            self._findings.problem("texts are damaged", self._findings.restore, *places)
            return
        for author, key in {(row.author, row.author_key) for row in page} - self._authors:
            if key_of_author(author.decode()) != key.decode():
                self._findings.problem(
                    "the key of an author is not that of the name, so that a message could be stored twice",
                    "Export the room, and import it into a new database",
                    f"{author.decode()} in {name}",
                )
            self._authors.add((author, key))
        for row in page:
            if row.deleted is not None and row.msg:
                self._undeleted(row.seq, name)
            if row.kind == _DELETION and row.of is not None:
                deletions.append(row.of)
            if row.time > self._latest:
                self._findings.note(
                    "messages are from the future, since the clock was set ahead when they were sent",
                    "With --keep, they stay until that time",
                    f"{row.seq} in {name}",
                )

    def _undeleted(self, seq: int, name: str) -> None:
        self._findings.problem(
            "messages were deleted, and still have their text", "Delete them again", f"{seq} in {name}"
        )


_DELETION: Final = DELETE.encode()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


CHECK: Final = Command("check", "Look for damage and contradictions in the database.", _arguments, run)

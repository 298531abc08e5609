"""`twisted-chat import`: adds the messages of a file that `export` has written.

Messages keep their numbers and times. A message that is in the log already is skipped. Where another message has the
number, the log stays as it is, and the conflict is reported.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, NamedTuple

import msgspec

from .. import names
from ..limits import MAX_TOPIC
from ..log import Record
from ..messages import MAX_ID, MAX_OBJECT, WireError, time_milliseconds
from ..names import Name
from . import Command, Problem
from .account_lines import KINDS, Conflict, Entry, read, write
from .files import Line, Readable, takes_database
from .progress import Progress
from .targets import Message, Target, writing_target

STEP: Final = 500
"""Messages in one transaction, which takes some 10 ms: a server waits for no longer than that, and at most 5 s."""

MAX_LINE: Final = 8 * MAX_OBJECT
"""Bytes of a line: more than an object takes in which each character is escaped."""

MAX_NUMBER: Final = 2**53
"""The largest number of a message: readers of JSON can hold it, and a room has enough numbers behind it."""

MAX_REPORTS: Final = 10
"""Conflicts that are reported one by one; the others are only counted."""

_KIND: Final = "[a-z]{0,16}"

_decode = msgspec.json.Decoder(Line).decode


class _Topic(NamedTuple):
    where: str
    room: Name
    topic: str


class _AboutAccounts(NamedTuple):
    where: str
    entry: Entry


_Read = Message | _Topic | _AboutAccounts
"""A line that was read."""


class _Counts:
    """The results of the lines so far."""

    def __init__(self, with_accounts: bool) -> None:
        self.messages = 0
        self.topics = 0
        self.about_accounts: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.with_accounts = with_accounts
        """True if lines about accounts are imported, too."""
        self.passed_over = 0
        """The lines about accounts that are not imported."""
        self.doubles = 0
        self.conflicts = 0

    def conflict(self, where: str, what: str) -> None:
        self.conflicts += 1
        if self.conflicts <= MAX_REPORTS:
            print(f"{where}: {what}", file=sys.stderr)

    @property
    def written(self) -> int:
        return self.messages + self.topics + sum(self.about_accounts.values())

    def text(self) -> str:
        kinds = {"message": self.messages, "topic": self.topics, **(self.about_accounts if self.with_accounts else {})}
        *first, last = [_many(count, what) for what, count in kinds.items()]
        text = (
            f"imported {', '.join(first)} and {last}; "
            f"already there: {self.doubles:,}; in conflict with what is there: {self.conflicts:,}"
        )
        if self.passed_over:
            text += f"\npassed over {_many(self.passed_over, 'line')} about accounts: --accounts imports them"
        return text


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _arguments(parser: ArgumentParser) -> None:
    takes_database(parser, of_any_kind=True)
    parser.add_argument(
        "--accounts",
        action="store_true",
        help="also accounts, tokens, rules, reports and the audit log: trust the one who gave you the file",
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="the file to read [default: the standard input]"
    )


def run(options: Namespace, sleep: Callable[[float], object] = time.sleep) -> int:
    """Run the command. It `sleep`s after each step, for as long as that took: half of the time is the server's."""
    counts = _Counts(options.accounts)
    with (
        _input(options.file) as (file, name, size),
        writing_target(options.database) as target,
        Progress("bytes", size) as progress,
    ):
        try:
            for step in _steps(_lines(file, name, progress)):
                start = time.monotonic()
                _write(target, step, counts)
                sleep(time.monotonic() - start)
        finally:
            print(counts.text(), file=sys.stderr)
    return 1 if counts.conflicts else 0


def _steps(lines: Iterator[_Read]) -> Iterator[list[_Read]]:
    """Gather lines into steps. Those before a bad line are yielded before it is reported."""
    step: list[_Read] = []
    try:
        for line in lines:
            step.append(line)
            if len(step) == STEP:
                yield step
                step = []
    except Problem:
        yield step
        raise
    yield step


@contextmanager
def _input(path: str) -> Iterator[tuple[BinaryIO, str, int]]:
    """Open the input: a file, its name, and its size in bytes, 0 if that is not known."""
    if path == "-":
        yield sys.stdin.buffer, "input", 0
        return
    with open(path, "rb") as file:
        yield file, path, os.fstat(file.fileno()).st_size


def _lines(file: BinaryIO, name: str, progress: Progress) -> Iterator[_Read]:
    """Read lines. Raises `Problem` at the first one that no export has written."""
    number = 0
    while text := file.readline(MAX_LINE + 1):
        number += 1
        where = f"{name}, line {number}"
        if number == 1:
            text = _without_mark(text, where)
        try:
            _see(len(text) <= MAX_LINE, f"a line has at most {MAX_LINE} bytes")
            if not text.isspace():
                yield _read(where, _decode(text))
        except (ValueError, OverflowError) as error:
            raise Problem(f"{where}: {_plain(error)}; all lines before it were imported") from None
        progress.add(len(text))


def _without_mark(text: bytes, where: str) -> bytes:
    """Remove the byte order mark that some editors put before a text. Raises `Problem`."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Problem(f"{where}: the file is in UTF-16: save it as UTF-8")
    return text.removeprefix(codecs.BOM_UTF8)


def _plain(error: Exception) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _read(where: str, line: Line) -> _Read:
    """Check a line. Raises `ValueError`."""
    try:
        for kind in KINDS:
            fields = getattr(line, kind)
            if fields is not None:
                return _AboutAccounts(where, read(kind, fields))
        _see(line.room != "", "a line has a room, or is about accounts")
        room = names.log(line.room)
        if line.topic is not None:
            _see(len(line.topic) <= MAX_TOPIC, f"a topic has at most {MAX_TOPIC} characters")
            return _Topic(where, room, line.topic)
        if line.seq is None or line.time is None or line.author is None or line.msg is None:
            raise ValueError("a message has a room, a seq, a time, an author and a msg")
        _see(1 <= line.seq <= MAX_NUMBER, f"a seq is a number from 1 to {MAX_NUMBER}")
        _see(line.id is None or len(line.id) <= MAX_ID, f"an id has at most {MAX_ID} characters")
        _see(len(line.msg.encode()) <= MAX_OBJECT, f"a msg has at most {MAX_OBJECT} bytes")
        at = time_milliseconds(line.time)
        _see(at >= 0, "a time is not before 1970")
        _see(re.fullmatch(_KIND, line.kind) is not None, "a kind consists of at most 16 letters from a to z")
        _see(line.of is None or 1 <= line.of <= MAX_NUMBER, f"an of is a number from 1 to {MAX_NUMBER}")
        _see(line.deleted is None or 1 <= line.deleted <= MAX_NUMBER, f"a deleted is a number from 1 to {MAX_NUMBER}")
        author = names.author(line.author)
        record = Record(line.seq, at, author.shown, line.msg, line.kind, line.of, line.deleted or 0)
        return Message(where, room, author, line.id, record)
    except WireError as error:
        raise ValueError(error.text) from None


def _see(fits: bool, otherwise: str) -> None:
    if not fits:
        raise ValueError(otherwise)


def _write(target: Target, lines: list[_Read], counts: _Counts) -> None:
    """Write the new lines of a step in one transaction."""
    rooms = {line.room.key: line.room for line in lines if not isinstance(line, _AboutAccounts)}
    messages = [line for line in lines if isinstance(line, Message)]
    with target.step([rooms[key] for key in sorted(rooms)], messages, counts):
        for line in lines:
            if isinstance(line, _AboutAccounts):
                _write_about_accounts(target.connection, line, counts)
            elif isinstance(line, _Topic):
                _write_topic(target, line, counts)
            elif _is_new(target, line, counts):
                target.insert(line)
                counts.messages += 1


def _write_about_accounts(connection: Readable, line: _AboutAccounts, counts: _Counts) -> None:
    if not counts.with_accounts:
        counts.passed_over += 1
        return
    try:
        if write(connection, line.entry):
            counts.about_accounts[line.entry.kind] += 1
        else:
            counts.doubles += 1
    except Conflict as conflict:
        counts.conflict(line.where, str(conflict))


def _write_topic(target: Target, line: _Topic, counts: _Counts) -> None:
    topic = target.topic(line.room)
    if topic == line.topic:
        counts.doubles += 1
    elif topic:
        counts.conflict(line.where, f"{line.room.shown} has another topic")
    else:
        target.set_topic(line.room, line.topic)
        counts.topics += 1


def _is_new(target: Target, line: Message, counts: _Counts) -> bool:
    there = target.find(line)
    if there is not None:
        record, id = there
        if id == line.id and record in (line.record, line.record.without_text(record.deleted)):
            counts.doubles += 1
        else:
            what = f"{line.room.shown} has another message with the number {line.record.seq}"
            counts.conflict(line.where, what)
        return False
    if line.id is not None and target.was_said(line):
        counts.conflict(line.where, f"{line.room.shown} has a message of that author and id with another number")
        return False
    return True


IMPORT: Final = Command("import", "Add the messages of a file that export has written.", _arguments, run)

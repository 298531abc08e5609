"""The embedded store: one SQLite file.

An append is a row in `journal` for each message, in one transaction a turn, whatever the number of rooms in it: that is
all that an ack waits for. Rows go on to `message`, where they can be found by room and number, in bulk and in a thread.
Where that thread writes, an append waits for it; the reactor never does. Until then what is in the journal is in memory
too, and a page is what the file has and what memory has, merged, so that reading waits for no writer.

`journal_mode=WAL` with `synchronous=NORMAL` survives `kill -9`: what was written is in the operating system's hands.
With `durability="power"` (`synchronous=FULL`) each append waits for the disk, in a thread, and survives a power cut.
Checkpoints, which wait for the disk, happen in a thread.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredLock, fail, inlineCallbacks, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from . import database
from .database import AFTER, BEFORE, PATIENCE, WAL_BYTES, Durability, RoomState, Trimmed
from .log import Entry, Record, RoomLog, RoomSummary, Unavailable, Unusable
from .names import Name
from .retention import EVERYTHING, Keep, Store, Trimmer

JOURNAL_BYTES: Final = 2**20
"""Bytes in memory of what gathers in the journal before it is moved on: one move then takes the file's lock for some
10 ms."""

ROW_BYTES: Final = 512
"""Of these, what a message takes beside its text."""

MAX_JOURNAL_BYTES: Final = 10 * JOURNAL_BYTES
"""Bytes above which nothing more is kept until the journal can be moved on."""

READERS: Final = 2
"""Threads that read."""

THREAD_PATIENCE: Final = 1.0
"""Seconds that a thread waits for another program that writes to the file. What it wanted to move is moved later; and
who stops the server waits for the thread."""

BUSY_PAUSE: Final = 0.02
"""Seconds between two attempts to write to a file that another program writes to."""

_log = Logger("twisted_chat.sqlite")
_T = TypeVar("_T")
_number_of = attrgetter("seq")

_SaidKey = tuple[str, str, str]
"""What a message is known by: the keys of its room and of its author, and its `id`."""

_Said = dict[_SaidKey, tuple[int, int]]
"""Number and time of messages that were said."""


class _Turn(NamedTuple):
    """What one turn of the server brings into the file."""

    fresh: list[Entry]
    """Those that are new, with their numbers."""
    said: _Said
    """Those of them that have an `id`."""
    made: dict[str, int]
    """The row of each room that had none, by its key."""


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
        self.epoch = 0

    def take(self, state: RoomState) -> None:
        """Take over what the file says."""
        self.epoch, self.id, shown, self.topic, self.seq, self.oldest = state
        self.name = Name(shown or self.name.shown, self.name.key)

    def after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store._after(self, seq, most, most_bytes)

    def before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store._before(self, seq, most, most_bytes)

    def set_topic(self, topic: str) -> Deferred[None]:
        return self._store._set_topic(self, topic)


class SQLiteLog:
    """A store in one file; see `log.Log`. `open_file` opens it."""

    def __init__(
        self,
        path: str,
        reactor: Any,
        writer: sqlite3.Connection,
        lock_file: int | None = None,
        durability: Durability = "process",
        keep: Keep = EVERYTHING,
    ) -> None:
        self.path = path
        self._reactor = reactor
        self._writer = writer
        self._lock_file = lock_file
        self._durability: Durability = durability
        self._lock = DeferredLock()
        """Held by whoever writes to the file, for as long as that takes."""
        self._writing: ThreadPool | None = None
        self._reading: ThreadPool | None = None
        """The threads: none for what is in memory only. Who reads does not stand in the way of who writes."""
        self._file = self._wal = (0, 0)
        self._spare: list[sqlite3.Connection] = []
        """Connections that no thread has taken yet."""
        if path != ":memory:":
            self._writing = _threads(1, "writing")
            self._reading = _threads(READERS, "reading")
            self._file = _identity(path)
            self._wal = _identity(f"{path}-wal")
            # Now, and not when a thread first needs one: a crowd of connections may have taken all descriptors by then.
            self._spare = [database.connect(path, durability, THREAD_PATIENCE) for _ in range(1 + READERS)]
        self._of_thread = threading.local()
        self._connections = [writer, *self._spare]
        self._closing = False
        self._closed = False
        self._trouble = ""
        """What is wrong with the file, while something is."""
        self._epoch = database.epoch(writer)
        self._changes = 0
        """How often something was written elsewhere than in the journal, which a room just being opened may miss."""
        self._open: WeakValueDictionary[str, SQLiteRoomLog] = WeakValueDictionary()
        self._journal: dict[RoomLog, list[Entry]] = {}
        """What is in the journal, in the order of numbers."""
        self._journaled: _Said = {}
        """Those messages in the journal that have an `id`."""
        self._journal_bytes = 0
        self._move_at = JOURNAL_BYTES
        self._moving = False
        self._copying = False
        self._keep = keep
        self._trimmer = None if keep == EVERYTHING else Trimmer(reactor, Store(self._overdue, self._trim))

    @classmethod
    def open_file(
        cls, path: str, reactor: Any = None, durability: Durability = "process", keep: Keep = EVERYTHING
    ) -> SQLiteLog:
        """Open a file, or begin one; `:memory:` is nothing on disk. Raises `Unusable`."""
        if sqlite3.sqlite_version_info < database.OLDEST_SQLITE:
            raise Unusable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        lock_file = None
        if path != ":memory:":
            path = os.path.realpath(path)  # by whatever link it is named, its lock is the same
            lock_file = database.lock_alone(path)
        try:
            return cls(path, reactor, _open_writer(path, durability), lock_file, durability, keep)
        except BaseException as error:
            database.unlock(lock_file)
            if isinstance(error, sqlite3.Error):
                raise Unusable(f"{path} cannot be used: {database.explain(error)}") from None
            raise

    # Rooms

    @inlineCallbacks
    def open(self, name: Name) -> Generator[Deferred[Any], Any, RoomLog]:
        while (room := self._open.get(name.key)) is None:
            changes = self._changes
            state: RoomState = yield self._read(database.room_state, name.key)
            if name.key not in self._open and changes == self._changes:  # otherwise it may be out of date
                room = self._open[name.key] = SQLiteRoomLog(self, name)
                room.take(state)
                break
        return cast(RoomLog, room)

    def rooms(self, most: int) -> Deferred[list[RoomSummary]]:
        return self._read(database.summaries, most)

    def _set_topic(self, room: SQLiteRoomLog, topic: str) -> Deferred[None]:
        if room.topic == topic:
            return succeed(None)
        try:
            self._see_file()
        except Unavailable:
            return fail()
        return self._lock.run(self._write, database.set_topic, room.name, topic).addCallback(
            self._topic_kept, room, topic
        )

    def _topic_kept(self, id: int, room: SQLiteRoomLog, topic: str) -> None:
        self._changes += 1
        room.id = id
        room.topic = topic
        self._copy_wal()

    # Appending

    def append_now(self, entries: Sequence[Entry], time: int) -> bool:
        if self._durability == "power" or self._lock.locked or self._journal_bytes >= MAX_JOURNAL_BYTES:
            return False
        try:
            self._see_file()
            turn = self._write_turn(self._writer, entries, time)
        except (Unavailable, sqlite3.Error):
            return False  # `append` meets it again, unless it has passed, and says what it is
        if turn is None:
            return False
        self._kept(turn)
        return True

    def append(self, entries: Sequence[Entry], time: int) -> Deferred[None]:
        return self._lock.run(self._append, entries, time)

    @inlineCallbacks
    def _append(self, entries: Sequence[Entry], time: int) -> Generator[Deferred[Any], Any, None]:
        if self._journal_bytes >= MAX_JOURNAL_BYTES:
            yield self._move()
        while True:
            self._see_file()
            turn: _Turn | None = yield self._write(self._write_turn, entries, time)
            if turn is not None:
                self._kept(turn)
                return
            yield self._look_again(entries)

    @inlineCallbacks
    def _look_again(self, entries: Sequence[Entry]) -> Generator[Deferred[Any], Any, None]:
        """Learn what another program wrote to the rooms of these entries."""
        rooms = list({entry.room: None for entry in entries})
        states: list[RoomState] = yield self._write(database.look_again, [room.name.key for room in rooms])
        self._journal_moved()
        self._epoch = states[0].epoch
        for room, state in zip(rooms, states, strict=True):
            cast(SQLiteRoomLog, room).take(state)

    def _write_turn(self, connection: sqlite3.Connection, entries: Sequence[Entry], time: int) -> _Turn | None:
        """Give entries their numbers and keep those that are new; only the entries change here.

        None is returned where another program wrote to the file.
        """
        known: _Said = {}
        while (turn := self._number(entries, time, known)) is not None:
            try:
                made = database.keep(connection, self._epoch, turn.fresh) if turn.fresh else {}
            except database.Repeated as repeated:
                known |= {_key_of(turn.fresh[place]): first for place, first in repeated.first.items()}
                continue
            return None if made is None else turn._replace(made=made)
        return None

    def _number(self, entries: Sequence[Entry], time: int, known: _Said) -> _Turn | None:
        """Give each entry its number, or the first one's: of those `known` in the file, in the journal, in this turn.

        None is returned where something is known of a room that may not be so any more.
        """
        fresh: list[Entry] = []
        said: _Said = {}
        heads: dict[RoomLog, int] = {}
        for entry in entries:
            room = entry.room
            if room.epoch != self._epoch:
                return None
            if entry.id is not None:
                key = _key_of(entry)
                first = said.get(key) or self._journaled.get(key) or known.get(key)
                if first:
                    entry.seq, entry.time = first
                    continue
            entry.seq = heads[room] = heads.get(room, room.seq) + 1
            entry.time = time
            fresh.append(entry)
            if entry.id is not None:
                said[key] = entry.seq, time
        return _Turn(fresh, said, {})

    def _kept(self, turn: _Turn) -> None:
        """Note what was written."""
        if self._trouble:
            self._trouble = ""
            _log.info("{path} works again", path=self.path)
        journal = self._journal
        for entry in turn.fresh:
            room = entry.room
            room.seq = entry.seq
            entry.fresh = True
            if room in journal:
                journal[room].append(entry)
            else:
                journal[room] = [entry]
                room.id = turn.made.get(room.name.key, room.id)
                room.oldest = room.oldest or entry.seq
            self._journal_bytes += len(entry.msg) + ROW_BYTES
        self._journaled.update(turn.said)
        self._tidy()

    # Moving on from the journal

    def _tidy(self) -> None:
        """Move the journal on where enough has gathered."""
        if self._journal_bytes >= self._move_at and not self._moving:
            self._moving = True
            self._move_at = self._journal_bytes + JOURNAL_BYTES  # where it fails, it is tried again after as many
            self._lock.run(self._move_once).addErrback(_report, "The journal could not be moved")

    def _move_once(self) -> Deferred[None]:
        return self._move().addBoth(self._moved)

    def _moved(self, result: _T) -> _T:
        self._moving = False
        return result

    def _move(self) -> Deferred[None]:
        """Move the journal's rows to where they can be found. Fails with `Unavailable`; nothing is lost then."""
        return self._in_thread(self._writing, database.move).addCallback(self._journal_moved)

    def _journal_moved(self, _: object = None) -> None:
        """Forget the journal: it is empty."""
        self._journal = {}
        self._journaled = {}
        self._journal_bytes = 0
        self._move_at = JOURNAL_BYTES
        self._changes += 1
        self._copy_wal()

    def _copy_wal(self) -> None:
        """Copy the write-ahead log into the file, where it has grown: most of it while appends go on, then the rest."""
        if self._copying or self._closed or _size(f"{self.path}-wal") < WAL_BYTES:
            return
        self._copying = True
        done = self._read(database.copy_wal)
        done.addCallback(lambda _: self._lock.run(self._in_thread, self._writing, database.copy_wal))
        done.addErrback(_report, "The write-ahead log could not be copied").addBoth(self._copied)

    def _copied(self, _: object) -> None:
        self._copying = False

    # Retention

    @inlineCallbacks
    def _overdue(self, now: int) -> Generator[Deferred[Any], Any, list[int]]:
        yield self._lock.run(self._move)  # what is in the journal counts, and may itself be too much
        rooms: list[int] = yield self._read(database.overdue, self._keep, now)
        return rooms

    @inlineCallbacks
    def _trim(self, room: int, now: int) -> Generator[Deferred[Any], Any, bool]:
        yield self._read(database.look_up_oldest, room)
        trimmed: Trimmed = yield self._lock.run(self._in_thread, self._writing, database.trim, room, self._keep, now)
        return self._trimmed(trimmed)

    def _trimmed(self, trimmed: Trimmed) -> bool:
        self._changes += 1
        room = self._open.get(trimmed.key)
        if room is not None:
            in_journal = self._journal.get(room)
            room.oldest = trimmed.oldest or (in_journal[0].seq if in_journal else room.seq + 1)
        self._copy_wal()
        return trimmed.more

    # Reading: what is kept at the time of the call. Every message of it is in the journal's list then, or in the file,
    # and the file is read later. Of those that came between, the file may have some and not those in front of them.

    @inlineCallbacks
    def _after(
        self, room: SQLiteRoomLog, seq: int, most: int, most_bytes: int
    ) -> Generator[Deferred[Any], Any, list[Record]]:
        journal = self._journal.get(room, [])  # it is this list that grows, and is let go when it was moved on
        head = room.seq
        records: list[Record] = yield self._read(database.page, AFTER, room.id, seq, most, most_bytes)
        while records and records[-1].seq > head:
            records.pop()
        start, end = (bisect_right(journal, number, key=_number_of) for number in (seq, head))
        if start >= end:
            return records
        merged = sorted({*records, *map(_record, journal[start : min(end, start + most)])})[:most]
        return merged[: _fitting(merged, most_bytes)]

    @inlineCallbacks
    def _before(
        self, room: SQLiteRoomLog, seq: int, most: int, most_bytes: int
    ) -> Generator[Deferred[Any], Any, list[Record]]:
        journal = self._journal.get(room, [])
        seq = min(seq, room.seq + 1)
        records: list[Record] = yield self._read(database.page, BEFORE, room.id, seq, most, most_bytes)
        end = bisect_left(journal, seq, key=_number_of)
        if end == 0:
            return records
        merged = sorted({*records, *map(_record, journal[max(0, end - most) : end])})[-most:]
        return merged[-_fitting(reversed(merged), most_bytes) :]

    # Connections and threads

    def _write(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        """Call `function(connection, *args)` where it may write: in a thread if it has to wait for the disk."""
        if self._durability == "power":
            return self._in_thread(self._writing, function, *args)
        return self._patiently(function, *args)

    @inlineCallbacks
    def _patiently(self, function: Callable[..., _T], *args: object) -> Generator[Deferred[None], None, _T]:
        """Write in the reactor's thread; where another program writes to the file just now, try again for a while."""
        until = self._reactor.seconds() + PATIENCE
        while True:
            try:
                return function(self._writer, *args)
            except sqlite3.Error as error:
                if not database.is_busy(error) or self._closing or self._reactor.seconds() >= until:
                    raise self._unavailable(error) from None
            yield deferLater(self._reactor, BUSY_PAUSE)

    def _read(self, function: Callable[..., _T], *args: object) -> Deferred[_T]:
        return self._in_thread(self._reading, function, *args)

    @inlineCallbacks
    def _in_thread(
        self, threads: ThreadPool | None, function: Callable[..., _T], *args: object
    ) -> Generator[Deferred[_T], _T, _T]:
        """Call `function(connection, *args)` in a thread with a connection of its own. Fails with `Unavailable`.

        What is in memory is read here, and so is everything before the reactor runs: nobody waits yet.
        """
        if self._closed:
            raise Unavailable("the store is closed")
        try:
            if threads is None or not self._reactor.running:
                return function(self._writer, *args)
            result = yield deferToThreadPool(self._reactor, threads, self._with_connection, function, *args)
        except sqlite3.Error as error:
            raise self._unavailable(error) from None
        return result

    def _with_connection(self, function: Callable[..., _T], *args: object) -> _T:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._spare.pop()
        return function(connection, *args)

    # What can go wrong

    def _see_file(self) -> None:
        """See that the file is where it was, so that nothing goes into one that nobody will find; or `Unavailable`."""
        if self._closed:
            raise Unavailable("the store is closed")
        if self._writing is not None and _identity(self.path) != self._file:
            raise self._trouble_with("it is gone, or another file is in its place: put it back, or restart the server")
        if self._writing is not None and _identity(f"{self.path}-wal") != self._wal:
            raise self._save_wal()

    def _save_wal(self) -> Unavailable:
        """Somebody took the write-ahead log away. Copy what we still hold of it; no other connection can find it."""
        try:
            self._writer.execute("PRAGMA wal_checkpoint(FULL)")
        except sqlite3.Error as error:
            return self._unavailable(error)
        return self._trouble_with("its write-ahead log (-wal) was taken away; what is kept is safe: restart the server")

    def _unavailable(self, error: sqlite3.Error) -> Unavailable:
        return self._trouble_with(database.explain(error))

    def _trouble_with(self, trouble: str) -> Unavailable:
        if trouble != self._trouble:  # once, not for each message
            self._trouble = trouble
            _log.error("{path} does not work now: {trouble}", path=self.path, trouble=trouble)
        return Unavailable(trouble)

    # The end

    def close(self) -> Deferred[None]:
        self._closing = True
        return self._lock.run(self._close)

    @inlineCallbacks
    def _close(self) -> Generator[Deferred[Any], Any, None]:
        if self._closed:
            return
        try:
            yield self._in_thread(self._writing, database.move_if_free)
        except Unavailable:
            _log.warn("The journal of {path} was not moved on; the next start does it", path=self.path)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._closed = True
        if self._trimmer is not None:
            self._trimmer.stop()
        for threads in (self._writing, self._reading):
            if threads is not None:
                threads.stop()
        for connection in self._connections:
            connection.close()  # the last one copies the write-ahead log, and removes it
        database.unlock(self._lock_file)


def _open_writer(path: str, durability: Durability) -> sqlite3.Connection:
    writer = database.connect(path, durability, PATIENCE)
    try:
        database.prepare(writer, path)
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")  # so that the file alone is a database from the start
        writer.execute("PRAGMA busy_timeout = 0")  # from now on it is the reactor that waits
    except BaseException:
        writer.close()
        raise
    return writer


def _threads(most: int, name: str) -> ThreadPool:
    threads = ThreadPool(0, most, f"twisted_chat.sqlite, {name}")
    threads.start()
    return threads


def _identity(path: str) -> tuple[int, int]:
    """Tell a file from one that was put in its place."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _key_of(entry: Entry) -> _SaidKey:
    assert entry.id is not None
    return entry.room.name.key, entry.author.key, entry.id


def _record(entry: Entry) -> Record:
    return Record(entry.seq, entry.time, entry.author.shown, entry.msg)


def _fitting(records: Iterable[Record], most_bytes: int) -> int:
    """Count the records, from the first one on, that a page of so many bytes of text has."""
    count = 0
    for record in records:
        most_bytes -= len(record.msg.encode())
        count += 1
        if most_bytes <= 0:
            break
    return count


def _report(failure: Failure, what: str) -> None:
    """Log what went wrong where nobody waits; what an `Unavailable` says was logged already."""
    if not failure.check(Unavailable):
        _log.failure(what, failure)

"""The embedded store: one SQLite file.

An append writes a row to the table `journal` for each message, in one transaction per turn, however many rooms are in
it; an ack waits for nothing else. A thread moves the rows in bulk to the table `message`, where they can be found by
room and number. While that thread writes, an append waits for it, and the reactor goes on. Rows that are still in the
journal are in memory too: a page merges what the file has with what memory has, so a reader waits for no writer.

`file.py` has the threads, and explains what survives a crash or a power cut.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ... import clock
from ...log import DELETE, Condition, DirectSummary, Entry, Heard, Record, RoomLog, RoomSummary, Unavailable, kind_of
from ...names import Name
from ..retention import EVERYTHING, Keep, Trimmer, Trusted
from . import database
from .database import AFTER, BEFORE, Changes, RoomState, Trimmed
from .file import ChangeCheck, DatabaseFile, report, tell_renumbered

JOURNAL_BYTES: Final = 2**20
"""Bytes of memory that the journal takes when it is moved to `message`: one move then holds the file's lock for some
10 ms."""

ROW_BYTES: Final = 512
"""Bytes of memory that a message takes beside its text."""

WIPE_SECONDS: Final = 1.0
"""The time after a deletion before the write-ahead log, which still has the text, is emptied: deletions share it."""

WIPE_AGAIN_SECONDS: Final = 30.0
"""The time before the next attempt if that fails, or another program still reads the write-ahead log."""

MAX_JOURNAL_BYTES: Final = 32 * JOURNAL_BYTES
"""Bytes of memory above which appends are refused until the journal can be moved. It matters only where the disk takes
messages and yet fails to take the move; 32 MiB hold some 50,000 short messages, and keep the server below 150 MB."""

_log = Logger("twisted_chat.stores.sqlite")
_T = TypeVar("_T")
_number_of, _text_of = attrgetter("seq"), attrgetter("msg")

_SaidKey = tuple[str, str, str]
"""The identity of a message: the keys of its room and of its author, and its `id`."""

_Said = dict[_SaidKey, tuple[int, int]]
"""The numbers and times of messages, to recognise those that are sent again."""


class _Turn(msgspec.Struct):
    """The entries of one turn, with their numbers."""

    fresh: list[Entry]
    """The entries that are new."""
    said: _Said
    """The fresh entries that have an `id`."""
    records: dict[Any, list[Record]]
    """The records of the fresh entries, by their rooms."""
    size: int
    """The characters of their texts."""
    has_kinds: bool
    """True if some of them are no messages."""
    made: dict[str, int] = {}
    """The new rows in `room`, by the keys of the rooms, once the turn is written to the file."""


class SQLiteRoomLog:
    """The log of one room; see `log.RoomLog`."""

    def __init__(self, store: SQLiteLog, name: Name, state: RoomState) -> None:
        self._store = store
        self._heard: Heard | None = None
        self.name = Name(state.shown or name.shown, name.key)
        self.id = state.id
        """The id of the row in `room`; None while the file has nothing of this room."""
        self.known = state.epoch
        """The epoch of the file as of which this state is known."""
        self.topic = state.topic
        self.seq = state.seq
        self.oldest = state.oldest
        self.skipped = state.skipped
        """The count of numbers between `oldest` and `seq` that no message had when the file was last read."""
        self.deletions = 0
        """The number of turns that took texts away: a page that was being read meanwhile may still have them."""
        self.is_certain = True
        """False if numbers that are remembered may by now be those of other messages."""
        self.epoch = 0

    def take(self, state: RoomState, new: Sequence[Record]) -> None:
        """Take over the state and the new records from the file, and hand the records to the follower."""
        ends_at, oldest, skipped = self.seq, self.oldest, self.skipped
        self.known, self.id, shown, self.topic, self.seq, self.oldest, self.skipped = state
        self.name = Name(shown or self.name.shown, self.name.key)
        if new and not oldest:
            ends_at, oldest = new[0].seq - 1, new[0].seq
        nothing_else = (self.oldest, self.skipped, self.seq) == (
            oldest,
            skipped + self.seq - ends_at - len(new),
            new[-1].seq if new else ends_at,
        )
        if self.is_certain and nothing_else and (self._heard is not None or not new):
            self.hear(new)
        else:
            self.is_certain = True
            self.epoch += 1
            self.hear((), even_none=True)

    def follow(self, heard: Heard) -> None:
        self._heard = heard
        self._store._change_check.start()

    def unfollow(self) -> None:
        self._heard = None

    @property
    def is_followed(self) -> bool:
        return self._heard is not None

    @property
    def is_kept(self) -> bool:
        return self.id is not None

    def hear(self, records: Sequence[Record], even_none: bool = False) -> None:
        """Hand records to the follower, if there is one."""
        if self._heard is not None and (records or even_none):
            try:
                self._heard(records)
            except Exception:
                _log.failure("A room could not take the new records of its log")

    def after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store._after(self, seq, most, most_bytes)

    def before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store._before(self, seq, most, most_bytes)

    def catch_up_to(self, seq: int) -> Deferred[None]:
        return succeed(None)  # nobody else appends

    def seqs_by(self, author: str, seq: int, most: int) -> Deferred[list[int]]:
        return self._store._seqs_by(self, author, seq, most)

    def set_topic(self, topic: str) -> Deferred[None]:
        return self._store._set_topic(self, topic)


class SQLiteLog:
    """The logs in one file; see `log.Log`."""

    most_appends = 1

    def __init__(
        self, file: DatabaseFile, reactor: Any, keep: Keep = EVERYTHING, journal_bytes: int = JOURNAL_BYTES
    ) -> None:
        """Prepare the logs in an open file. The journal is moved when it takes `journal_bytes` of memory."""
        self._file = file
        self._epoch = database.epoch(file.writer)
        self.room_count = database.count_rooms(file.writer)
        self._changes = 0
        """The number of changes outside the journal. A room that is being opened meanwhile may have missed one."""
        self._opening = 0
        """The number of rooms that are being opened."""
        self._topics: Counter[str] = Counter()
        """While there are any, the number of changes of the topic of each room, by its key."""
        self._open: WeakValueDictionary[str, SQLiteRoomLog] = WeakValueDictionary()
        self._journal: dict[RoomLog, list[Record]] = {}
        """The records in the journal, in the order of their numbers."""
        self._journaled: _Said = {}
        """The entries in the journal that have an `id`."""
        self._journal_bytes = 0
        self._journal_limit = self._move_at = journal_bytes
        self._moving = False
        self._checked_at = 0
        """The time of the last turn before which the files were checked, which takes 3 µs. Once in each millisecond is
        enough: what is acked in between is saved, or lost, with what was acked right before the files were harmed."""
        self._reactor = reactor
        self._change_check = ChangeCheck(file, reactor, lambda: self._epoch, self._read_changes)
        """Started with the first room that is followed."""
        self._keep = keep
        self._trimmer = None if keep == EVERYTHING else Trimmer(reactor, self)
        self._next_emptying: IDelayedCall | None = None
        self._emptied: Deferred[None] = succeed(None)
        """Fires when the write-ahead log is not being emptied any more."""

    def condition(self) -> Condition:
        journal = sum(map(len, self._journal.values()))
        return Condition(self._file.trouble(), journal, self._journal_bytes, self._file.sizes(), database.PATIENCE)

    # Rooms

    @inlineCallbacks
    def open(self, name: Name) -> Generator[Deferred[Any], Any, RoomLog]:
        self._opening += 1
        try:
            while (room := self._open.get(name.key)) is None:
                changes = self._changes, self._topics[name.key]
                state: RoomState = yield self._file.read(database.room_state, name.key)
                is_outdated = changes != (self._changes, self._topics[name.key])
                if name.key not in self._open and not is_outdated:
                    room = self._open[name.key] = SQLiteRoomLog(self, name, state)
                    break
        finally:
            self._opening -= 1
            if not self._opening:
                self._topics.clear()
        return cast(RoomLog, room)

    def rooms(self, most: int) -> Deferred[list[RoomSummary]]:
        return self._file.read(database.summaries, most)

    def directs(self, account: Name, most: int) -> Deferred[list[DirectSummary]]:
        return self._file.read(database.directs, account.key, most).addCallback(self._with_newest, account)

    def _with_newest(self, logs: list[tuple[Name, int]], account: Name) -> list[DirectSummary]:
        """Take the newest numbers of what is in the journal from the logs that are open."""
        directs = []
        for name, seq in logs:
            log = self._open.get(name.key)
            _, first, second = name.shown.split("@")
            partner = second if name.key.startswith(f"@{account.key}@") else first
            directs.append(DirectSummary(partner, seq if log is None else log.seq))
        return directs

    def _set_topic(self, room: SQLiteRoomLog, topic: str) -> Deferred[None]:
        return self._file.in_turn(self._write_topic, room, topic)

    def _write_topic(self, until: float, room: SQLiteRoomLog, topic: str) -> Deferred[None]:
        if room.topic == topic:
            return succeed(None)
        now = clock.milliseconds(self._reactor)
        written = self._file.attempt(until, database.set_topic, room.name, topic, now)
        return written.addCallback(self._topic_stored, room, topic)  # before the next topic is written

    def _topic_stored(self, id: int, room: SQLiteRoomLog, topic: str) -> None:
        if self._opening:
            self._topics[room.name.key] += 1
        self.room_count += room.id is None
        room.id = id
        room.topic = topic
        self._file.copy_wal()

    # Appending

    def append_now(self, entries: Sequence[Entry], time: int) -> bool:
        if self._file.must_wait or self._journal_bytes >= MAX_JOURNAL_BYTES:
            return False
        try:
            if time != self._checked_at:
                self._file.check_in_place()
                self._checked_at = time
            turn = self._write_turn(self._file.writer, entries, time)
        except (Unavailable, sqlite3.Error):
            return False  # `append` reports the error, unless it has passed by then
        if turn is None:
            return False
        self._appended(turn)
        return True

    def append(self, entries: Sequence[Entry], time: int) -> Deferred[None]:
        return self._file.in_turn(self._append, entries, time)

    @inlineCallbacks
    def _append(self, until: float, entries: Sequence[Entry], time: int) -> Generator[Deferred[Any], Any, None]:
        if self._journal_bytes >= MAX_JOURNAL_BYTES:
            yield self._move(until)
        while True:
            turn: _Turn | None = yield self._file.attempt(until, self._write_turn, entries, time)
            if turn is not None:
                self._appended(turn)
                return
            yield self._read_changes(until)

    @inlineCallbacks
    def _read_changes(self, until: float) -> Generator[Deferred[Any], Any, None]:
        """Read what another program wrote to the open rooms, and hand it to the followers."""
        rooms = list(self._open.values())
        known = [(room.name.key, room.seq) for room in rooms]
        changes: Changes = yield self._file.attempt_in_thread(until, database.read_changes, known)
        self._journal_moved(changes.renumbered)
        self._epoch = changes.epoch
        self.room_count = changes.room_count
        for room, (state, new) in zip(rooms, changes.rooms, strict=True):
            room.take(state, () if changes.renumbered else new)

    def _write_turn(self, connection: sqlite3.Connection, entries: Sequence[Entry], time: int) -> _Turn | None:
        """Number entries, and write the new ones to the journal. Nothing but the entries changes here.

        Returns None if another program has written to the file.
        """
        known: _Said = {}
        while (turn := self._number(entries, time, known)) is not None:
            try:
                made = database.append(connection, self._epoch, turn.fresh, turn.has_kinds) if turn.fresh else {}
            except database.Repeated as repeated:
                known |= {_key_of(turn.fresh[place]): first for place, first in repeated.first.items()}
                continue
            if made is None:
                return None
            turn.made = made
            return turn
        return None

    def _number(self, entries: Sequence[Entry], time: int, known: _Said) -> _Turn | None:
        """Give each entry its number: the next one of its room, or that of the same message if there is one.

        The same message may be `known` from the file, or be in the journal, or in this turn. Returns None if the state
        of a room may be outdated.
        """
        fresh: list[Entry] = []
        said: _Said = {}
        by_room: dict[Any, list[Record]] = {}
        size = 0
        has_kinds = False
        epoch, journaled = self._epoch, self._journaled
        room: Any = None
        for entry in entries:
            if entry.room is not room:
                room = entry.room
                if room.known != epoch:
                    return None
                room_key = room.name.key
                records = by_room.setdefault(room, [])
                seq = records[-1].seq if records else room.seq
            author, msg = entry.author, entry.msg
            if entry.id is not None:
                key, place = (room_key, author.key, entry.id), (seq + 1, time)
                # a key has to be hashed for each look, and `said` is looked into as the place is noted there
                first = journaled.get(key) or (known.get(key) if known else None) or said.setdefault(key, place)
                if first is not place:
                    entry.seq, entry.time = first
                    continue
            seq += 1
            entry.seq = seq
            entry.time = time
            size += len(msg)
            fresh.append(entry)
            if entry.kind:
                has_kinds = True
                records.append(Record(seq, time, author.shown, msg, entry.kind, entry.of))
            else:
                records.append(Record(seq, time, author.shown, msg))
        return _Turn(fresh, said, by_room, size, has_kinds)

    def _appended(self, turn: _Turn) -> None:
        """Take over a turn that was written, and hand its records to the followers."""
        self._file.has_worked()
        self.room_count += len(turn.made)
        for entry in turn.fresh:
            entry.fresh = True
        self._journal_bytes += ROW_BYTES * len(turn.fresh) + turn.size
        self._journaled.update(turn.said)
        for room, records in turn.records.items():
            if not records:
                continue  # all its entries were in the log already
            room.seq = records[-1].seq
            if room in self._journal:
                self._journal[room] += records
            else:
                self._journal[room] = [*records]  # a list of its own, since it grows
                room.id = turn.made.get(room.name.key, room.id)
                room.oldest = room.oldest or records[0].seq
            if turn.has_kinds and DELETE in map(kind_of, records):
                self._take_texts(room, records)
            room.hear(records)
        self._tidy()

    # Deleting

    def _take_texts(self, room: SQLiteRoomLog, records: list[Record]) -> None:
        """Take the texts out of memory that a turn has taken out of the file's tables."""
        room.deletions += 1
        journal = self._journal[room]
        for record in records:
            if record.kind == DELETE and record.of is not None:
                at = bisect_left(journal, record.of, key=_number_of)
                if at < len(journal) and journal[at].seq == record.of and not (journal[at].kind or journal[at].deleted):
                    journal[at] = journal[at].without_text(record.seq)
        if not self._file.is_in_memory:
            self._plan_emptying(WIPE_SECONDS)

    def _plan_emptying(self, seconds: float) -> None:
        """Empty the write-ahead log, which has texts that were deleted, after a while or earlier."""
        if self._next_emptying is None:
            self._next_emptying = self._reactor.callLater(seconds, self._empty_wal)
        elif self._next_emptying.getTime() > self._reactor.seconds() + seconds:
            self._next_emptying.reset(seconds)

    def _empty_wal(self) -> None:
        self._next_emptying = None
        emptied = self._file.write_in_thread(database.empty_wal)
        self._emptied = emptied.addCallbacks(self._wal_emptied, self._not_emptied)

    def _wal_emptied(self, is_empty: bool) -> None:
        if not is_empty:
            self._plan_emptying(WIPE_AGAIN_SECONDS)

    def _not_emptied(self, failure: Failure) -> None:
        report(failure, "Deleted texts could not be overwritten in the write-ahead log")
        self._plan_emptying(WIPE_AGAIN_SECONDS)

    # Moving the journal

    def _tidy(self) -> None:
        """Move the journal in the background if it is large enough."""
        if self._journal_bytes >= self._move_at and not self._moving:
            self._moving = True
            self._move_at = self._journal_bytes + self._journal_limit  # for the next attempt, if this fails
            self._file.in_turn(self._move_once).addErrback(report, "The journal could not be moved")

    def _move_once(self, until: float) -> Deferred[None]:
        return self._move(until).addBoth(self._moved)

    def _moved(self, result: _T) -> _T:
        self._moving = False
        return result

    def _move(self, until: float) -> Deferred[None]:
        """Move the journal's rows to `message`. Fails with `Unavailable`, and nothing is lost then."""
        return self._file.attempt_in_thread(until, database.move).addCallback(self._journal_moved)

    def _journal_moved(self, renumbered: int) -> None:
        """Forget the entries of the journal, which is empty now."""
        if renumbered:
            tell_renumbered(self._file.path, renumbered)
            for room in self._open.values():
                room.is_certain = False
        self._journal = {}
        self._journaled = {}
        self._journal_bytes = 0
        self._move_at = self._journal_limit
        self._changes += 1
        self._file.copy_wal()

    @inlineCallbacks
    def flush(self) -> Generator[Deferred[Any], Any, None]:
        yield self._file.in_turn(self._move)
        yield self._file.wal_copied()
        if self._next_emptying is not None:
            self._next_emptying.cancel()
            self._empty_wal()
        yield self._emptied

    # Retention

    @inlineCallbacks
    def overdue(self, now: int) -> Generator[Deferred[Any], Any, list[int]]:
        yield self._file.in_turn(self._move)  # messages in the journal count, too, and may be too many by themselves
        rooms: list[int] = yield self._file.read(database.overdue, self._keep, now)
        return rooms

    def empty_rooms(self, now: int) -> Deferred[list[int]]:
        if self._keep.seconds is None:
            return succeed([])
        return self._file.read(database.empty_rooms, self._keep, now).addCallback(self._without_occupied)

    def _without_occupied(self, rooms: list[tuple[int, str]]) -> list[int]:
        occupied = {key for key, room in self._open.items() if room.is_followed}
        return [id for id, key in rooms if key not in occupied]

    def forget_rooms(self, rooms: Sequence[int]) -> Deferred[None]:
        return self._file.in_turn(self._forget_rooms, rooms)

    @inlineCallbacks
    def _forget_rooms(self, until: float, rooms: Sequence[int]) -> Generator[Deferred[Any], Any, None]:
        """Forget rooms, while nothing is appended."""
        keys: list[str] = yield self._file.attempt_in_thread(until, database.forget_rooms, rooms)
        self._changes += 1
        self.room_count -= len(keys)
        for key in keys:
            room = self._open.get(key)
            if room is not None:
                room.id, room.topic = None, ""

    def trusted(self) -> Deferred[Trusted]:
        return self._file.read(database.trusted)

    def keep_trusted(self, trusted: Trusted) -> Deferred[None]:
        return self._file.write(database.keep_trusted, trusted)

    @inlineCallbacks
    def trim(self, room: int, now: int) -> Generator[Deferred[Any], Any, bool]:
        yield self._file.read(database.look_up_oldest, room)
        trimmed: Trimmed = yield self._file.write_in_thread(database.trim, room, self._keep, now)
        return self._trimmed(trimmed)

    def _trimmed(self, trimmed: Trimmed) -> bool:
        self._changes += 1
        room = self._open.get(trimmed.key)
        if room is not None:
            in_journal = self._journal.get(room)
            room.oldest = trimmed.oldest or (in_journal[0].seq if in_journal else room.seq + 1)
        self._file.copy_wal()
        return trimmed.more

    # Reading. A page has the messages that were kept at the time of the call: each is then in the journal's list or in
    # the file. The file is read a little later, and may have some newer messages without those before them.

    @inlineCallbacks
    def _after(
        self, room: SQLiteRoomLog, seq: int, most: int, most_bytes: int
    ) -> Generator[Deferred[Any], Any, list[Record]]:
        journal = self._journal.get(room, [])  # appends make this list longer; a move leaves it, and makes another
        head, deletions = room.seq, room.deletions
        records: list[Record] = yield self._file.read(database.page, AFTER, room.id, seq, most, most_bytes)
        if room.deletions != deletions:
            again: list[Record] = yield self._after(room, seq, most, most_bytes)
            return again
        while records and records[-1].seq > head:
            records.pop()
        start, end = (bisect_right(journal, number, key=_number_of) for number in (seq, head))
        if start >= end:
            return records
        merged = sorted({*records, *journal[start : min(end, start + most)]})[:most]
        return merged[: _fitting(merged, most_bytes)]

    @inlineCallbacks
    def _before(
        self, room: SQLiteRoomLog, seq: int, most: int, most_bytes: int
    ) -> Generator[Deferred[Any], Any, list[Record]]:
        journal = self._journal.get(room, [])
        seq, deletions = min(seq, room.seq + 1), room.deletions
        records: list[Record] = yield self._file.read(database.page, BEFORE, room.id, seq, most, most_bytes)
        if room.deletions != deletions:
            again: list[Record] = yield self._before(room, seq, most, most_bytes)
            return again
        end = bisect_left(journal, seq, key=_number_of)
        if end == 0:
            return records
        merged = sorted({*records, *journal[max(0, end - most) : end]})[-most:]
        return merged[-_fitting(reversed(merged), most_bytes) :]

    @inlineCallbacks
    def _seqs_by(
        self, room: SQLiteRoomLog, author: str, seq: int, most: int
    ) -> Generator[Deferred[Any], Any, list[int]]:
        yield self._file.in_turn(self._move)  # the records in memory do not have the key of their author
        seqs: list[int] = yield self._file.read(database.seqs_by, room.id, author, seq, most)
        return seqs

    @inlineCallbacks
    def rooms_of(self, author: str) -> Generator[Deferred[Any], Any, list[Name]]:
        yield self._file.in_turn(self._move)
        rooms: list[Name] = yield self._file.read(database.rooms_of, author)
        return rooms

    # The end

    def close(self) -> Deferred[None]:
        self._change_check.stop()
        if self._trimmer is not None:
            self._trimmer.stop()
        if self._next_emptying is not None:
            self._next_emptying.cancel()
            self._next_emptying = None
        return self._file.close(database.move).addErrback(self._not_moved)

    def _not_moved(self, failure: Failure) -> None:
        failure.trap(Unavailable)
        _log.warn("The journal of {path} could not be moved; the next start does it", path=self._file.path)


def _key_of(entry: Entry) -> _SaidKey:
    assert entry.id is not None
    return entry.room.name.key, entry.author.key, entry.id


def _fitting(records: Iterable[Record], most_bytes: int) -> int:
    """Return the number of records, from the first one on, that fit into `most_bytes` of text. At least one does."""
    count = 0
    for record in records:
        most_bytes -= len(record.msg.encode())
        count += 1
        if most_bytes <= 0:
            break
    return count

"""The log of several servers, in PostgreSQL.

A turn is one call of `append` in `schema.sql`. A first transaction locks the rooms, numbers the entries, finds those
that are in the log already, and stores the others; a second one notifies all servers. The answer says which number each
room had before. If the server knows everything up to there, its followers hear the new records at once; otherwise
another server has appended meanwhile, and the records are read from the log, in order, for all rooms and all members
together.

What other servers append is heard of by notifications, each with the newest numbers of the rooms. A notification that
was lost is found by the number of the last turn of each server.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ... import clock
from ...log import DELETE, Condition, DirectSummary, Entry, Heard, Record, RoomLog, RoomSummary, Unavailable
from ...names import Name, is_direct
from ..retention import EVERYTHING, Keep, Trimmer, Trusted
from .database import APPENDERS, LONG_SECONDS, Connection, Database, fetch
from .news import News
from .text import from_sql, to_sql

NEW_AT_ONCE: Final = 512
NEW_BYTES_AT_ONCE: Final = 2**16
"""The number of messages of other servers, and of bytes of their text, that a room is handed at once: a page. If there
are more, the members read them from the log."""

LONG: Final = 512
"""Bytes of a long text. A page is first looked for among as few messages as would fill it if they were long, since all
candidates are measured."""

TRIM_ROWS: Final = 500
"""Messages that one step of retention deletes: a step holds the lock of the room for some 5 ms."""

_log = Logger("twisted_chat.stores.postgresql")


class RoomState(NamedTuple):
    """The state of a room in the database."""

    id: int | None = None
    shown: str = ""
    """Empty if nothing of the room is kept but its numbers."""
    topic: str = ""
    seq: int = 0
    oldest: int = 0


class Lane:
    """One of several rows of turns, which are under way side by side: its own turns are one after the other."""

    def __init__(self) -> None:
        self.id = str(uuid.uuid4())
        """How the database knows it: as a server."""
        self.turn = 0
        """The number of its last turn."""


class PostgreSQLRoomLog:
    """The log of one room; see `log.RoomLog`."""

    def __init__(self, store: PostgreSQLLog, name: Name, state: RoomState) -> None:
        self._store = store
        self._heard: Heard | None = None
        self.name = name
        self.seq = 0
        self.epoch = 0
        self.deletions = 0
        """The number of times that texts were taken away: a page that was being read meanwhile may still have them."""
        self.take_state(state)
        self.seq = state.seq

    def take_state(self, state: RoomState) -> None:
        """Take over the state from the database, except for the number."""
        self.id, shown, self.topic, _, self.oldest = state
        self.is_kept = bool(shown)
        self.name = Name(shown or self.name.shown, self.name.key)

    def hand_on(self, records: Sequence[Record], seq: int, is_complete: bool = True) -> None:
        """Hand new records up to the number `seq` on to the follower, which reads the log if they are not complete."""
        self.is_kept = True
        self.seq = seq
        if any(record.kind == DELETE for record in records) or not is_complete:
            self.deletions += 1
        if is_complete and self._heard is not None:
            self._hear(records)
        else:
            self.epoch += 1
            self._hear(())

    def _hear(self, records: Sequence[Record]) -> None:
        if self._heard is not None:
            try:
                self._heard(records)
            except Exception:
                _log.failure("A room could not take the new records of its log")

    def follow(self, heard: Heard) -> None:
        self._heard = heard

    def unfollow(self) -> None:
        self._heard = None

    @property
    def is_followed(self) -> bool:
        return self._heard is not None

    def catch_up_to(self, seq: int) -> Deferred[None]:
        return self._store.run(self._store.catch_up_to(self, seq))

    def after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._page(_AFTER, seq, most, most_bytes)

    def before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._page(_BEFORE, seq, most, most_bytes)

    def _page(self, sql: str, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read a page, and read it again if a text was taken away before the reader has it."""
        deletions = self.deletions

        def read(records: list[Record]) -> list[Record] | Deferred[list[Record]]:
            return records if self.deletions == deletions else self._page(sql, seq, most, most_bytes)

        return self._store.run(self._store.page(self, sql, seq, most, most_bytes)).addCallback(read)

    def seqs_by(self, author: str, seq: int, most: int) -> Deferred[list[int]]:
        return self._store.run(self._store.seqs_by(self, author, seq, most))

    def set_topic(self, topic: str) -> Deferred[None]:
        return self._store.run(self._store.set_topic(self, topic))


class PostgreSQLLog:
    """The logs in a database; see `log.Log`."""

    most_appends = APPENDERS

    def __init__(self, database: Database, reactor: Any, keep: Keep = EVERYTHING) -> None:
        """Prepare the logs in an open database."""
        self._database = database
        self._reactor = reactor
        self.run = database.run
        self.server = str(uuid.uuid4())
        """The identity of this server, as long as it runs."""
        self.room_count = 0
        self.direct_heard: Callable[[Name, int], object] = lambda log, first: None
        """Called with a log of direct messages that is not open, and has new ones from a number on."""
        self._lanes = [Lane() for _ in range(APPENDERS)]
        """The idle lanes."""
        self._given_up: dict[str, int] = {}
        """The turns that were given up, and may still come into the log, by their lanes: the number after each."""
        self._open: WeakValueDictionary[str, PostgreSQLRoomLog] = WeakValueDictionary()
        self._by_id: WeakValueDictionary[int, PostgreSQLRoomLog] = WeakValueDictionary()
        self._opening: list[News] | None = None
        """What was heard while rooms are being opened; None if none is."""
        self._openings = 0
        self._news: dict[PostgreSQLRoomLog, None] = {}
        """The rooms to which others have appended, and which are to be read."""
        self._is_reading = False
        self._under_way: set[RoomLog] = set()
        """The rooms of the turns that are being appended. Their records are heard once the turn has its answer: some of
        them may be its own, and its entries have no numbers before that."""
        self._turn_over = asyncio.Event()
        """Set when one of the turns that are being appended is over."""
        self._unknown: list[dict[int, int]] = []
        """For each statement under way whose answer may have the ids of open rooms, the newest numbers that were told
        meanwhile of rooms with other ids than the known ones."""
        self._turns: dict[str, int] = {}
        """The newest turn of each server of which this one has heard."""
        self._turns_checked: dict[str, int] = {}
        """The turns at the last check, of which this server should have heard by now."""
        self._imports = 0
        """The number of imports of which this server has heard."""
        self._imports_checked = 0
        """The number of imports at the last check."""
        self._listens_on: Connection | None = None
        self._keep = keep
        self._trimmer = None if keep == EVERYTHING else Trimmer(reactor, self)

    async def start(self) -> None:
        """Count the rooms, and begin to listen."""
        await self._database.attempt(fetch(_FORGET_SERVERS))
        ((self.room_count, self._imports),) = await self._database.attempt(fetch(_COUNTS))
        self._database.follow(self._told, self._check)

    def condition(self) -> Condition:
        return Condition(self._database.lasting_trouble(), patience=self._database.patience)

    # Rooms

    def open(self, name: Name) -> Deferred[RoomLog]:
        room = self._open.get(name.key)
        return self.run(self._open_room(name)) if room is None else succeed(room)

    async def _open_room(self, name: Name) -> RoomLog:
        self._openings += 1
        if self._opening is None:
            self._opening = []
        heard_from = len(self._opening)
        try:
            state = (await self._states([name.key])).get(name.key, RoomState())
            room = self._open.get(name.key)
            if room is None:
                room = self._open[name.key] = PostgreSQLRoomLog(self, name, state)
                self._know(room)
                self._take_news(_missed(room, self._opening[heard_from:]))
            return room
        finally:
            self._openings -= 1
            if not self._openings:
                self._opening = None

    def _know(self, room: PostgreSQLRoomLog) -> None:
        """Note the id of a room, by which others name it, and have it read if they have done so already."""
        if room.id is not None:
            self._by_id[room.id] = room
            if any(told.get(room.id, 0) > room.seq for told in self._unknown):
                self._news[room] = None

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """Remember what is told of unknown ids: the answer to a statement says whether they are those of open rooms."""
        told: dict[int, int] = {}
        self._unknown.append(told)
        try:
            yield
        finally:
            self._unknown = [other for other in self._unknown if other is not told]
            self._read_news()

    async def _states(self, keys: Sequence[str]) -> dict[str, RoomState]:
        """Read the states of rooms."""
        sql = "SELECT key, id, name, topic, head, oldest FROM room WHERE key = ANY ($1)"
        rows = await self._database.attempt(lambda connection: connection.fetch(sql, keys))
        return {key: RoomState(id, name, from_sql(topic), *rest) for key, id, name, topic, *rest in rows}

    def rooms(self, most: int) -> Deferred[list[RoomSummary]]:
        return self.run(self._rooms(most))

    async def _rooms(self, most: int) -> list[RoomSummary]:
        sql = "SELECT name, key, topic FROM room WHERE name <> '' AND key NOT LIKE '@%' ORDER BY key LIMIT $1"
        rows = await self._database.attempt(lambda connection: connection.fetch(sql, most))
        return [RoomSummary(Name(name, key), from_sql(topic)) for name, key, topic in rows]

    def directs(self, account: Name, most: int) -> Deferred[list[DirectSummary]]:
        return self.run(self._directs(account.key, most))

    async def _directs(self, account: str, most: int) -> list[DirectSummary]:
        rows = await self._database.attempt(lambda connection: connection.fetch(_DIRECTS, account, most))
        directs = []
        for name, key, seq in rows:
            _, first, second = name.split("@")
            directs.append(DirectSummary(second if key.startswith(f"@{account}@") else first, seq))
        return directs

    async def set_topic(self, room: PostgreSQLRoomLog, topic: str) -> None:
        """Store the topic of a room."""
        if room.topic == topic:
            return
        name, now = room.name, clock.milliseconds(self._reactor)
        work = fetch("CALL set_topic($1, $2, $3, $4, NULL, NULL)", name.key, name.shown, to_sql(topic), now)
        with self._learning():
            ((id, made),) = await self._database.attempt(work)
            self.room_count += made
            room.id, room.topic, room.is_kept = id, topic, True
            self._know(room)

    # Appending

    def append_now(self, entries: Sequence[Entry], time: int) -> bool:
        return False  # a commit needs an answer

    def append(self, entries: Sequence[Entry], time: int) -> Deferred[None]:
        return self.run(self._append(entries, time))

    async def _append(self, entries: Sequence[Entry], time: int) -> None:
        firsts, duplicates = _split_duplicates(entries)
        rooms = sorted({entry.room for entry in firsts}, key=_key_of)
        self._under_way.update(rooms)
        with self._learning():
            try:
                await self._append_to(cast(Any, rooms), firsts, duplicates, time)
            finally:
                self._under_way.difference_update(rooms)
                self._turn_over.set()
                self._turn_over = asyncio.Event()

    async def _append_to(
        self,
        rooms: Sequence[PostgreSQLRoomLog],
        firsts: Sequence[Entry],
        duplicates: Iterable[tuple[Entry, Entry]],
        time: int,
    ) -> None:
        places: dict[RoomLog, int] = {room: place for place, room in enumerate(rooms, 1)}
        args = (
            time,
            [room.name.key for room in rooms],
            [room.name.shown for room in rooms],
            [places[entry.room] for entry in firsts],
            [entry.author.shown for entry in firsts],
            [entry.author.key for entry in firsts],
            [entry.id and to_sql(entry.id) for entry in firsts],
            [to_sql(entry.msg) for entry in firsts],
            [entry.kind for entry in firsts],
            [entry.of for entry in firsts],
        )
        row = await self._append_in_lane(args)
        for entry, seq, old in zip(firsts, row["seqs"], row["times"], strict=True):
            entry.seq, entry.time, entry.fresh = seq, time if old is None else old, old is None
        for entry, first in duplicates:
            entry.seq, entry.time = first.seq, first.time
        await self._appended(rooms, row["rooms"], row["befores"], firsts)

    async def _append_in_lane(self, args: Sequence[object]) -> Any:
        """Append a turn, but not before a turn that was given up earlier. Returns the row of its answer."""
        lane = self._lanes.pop()
        lane.turn += 1
        given_up = self._given_up.copy()
        append = fetch(_APPEND, lane.id, lane.turn, *args)

        async def work(connection: Connection) -> Any:
            if given_up:
                await connection.fetch(_GIVE_UP, list(given_up), list(given_up.values()))
            return await append(connection)

        try:
            (row,) = await self._database.append(work)
        except BaseException:
            lane.turn += 1
            self._given_up[lane.id] = lane.turn
            raise
        finally:
            self._lanes.append(lane)
        self._given_up = {id: turn for id, turn in self._given_up.items() if given_up.get(id) != turn}
        self._turns[lane.id] = lane.turn
        return row

    async def _appended(
        self, rooms: Sequence[PostgreSQLRoomLog], ids: Sequence[int], befores: Sequence[int], entries: Sequence[Entry]
    ) -> None:
        """Hand the records of a turn to the followers of its rooms."""
        fresh: dict[RoomLog, list[Record]] = {}
        for entry in entries:
            if entry.fresh:
                record = Record(entry.seq, entry.time, entry.author.shown, entry.msg, entry.kind, entry.of)
                fresh.setdefault(entry.room, []).append(record)
        behind = []
        for room, id, before in zip(rooms, ids, befores, strict=True):
            records = fresh.get(room)
            if room.id is None:
                room.id = id
                self._know(room)
            if records and room.seq == before:
                self.room_count += not room.is_kept
                room.oldest = room.oldest or records[0].seq
                room.hand_on(records, records[-1].seq)
            elif (records and room.seq < records[-1].seq) or room.seq < before:
                behind.append(room)
        if behind:
            try:
                await self._read_on(behind, is_turn=True)
            except Unavailable:  # the turn is in the log nevertheless, and the members read it when that is possible
                late = [room for room in behind if room in fresh and room.seq < fresh[room][-1].seq]
                for room in late:
                    room.hand_on((), fresh[room][-1].seq, is_complete=False)

    # Following

    def _told(self, news: News) -> None:
        """Called with what another server tells."""
        if news.server:
            self._turns[news.server] = news.turn
        self._imports = max(self._imports, news.imports)
        if self._opening is not None:
            self._opening.append(news)
        self._take_news(news)

    def _take_news(self, news: News) -> None:
        for one in news.rooms:
            room = self._by_id.get(one.id) or self._open.get(one.key)
            if room is None:
                if is_direct(one.key):
                    self.direct_heard(Name(one.key, one.key), one.first)
                else:
                    for told in self._unknown:
                        told[one.id] = max(one.seq, told.get(one.id, 0))
            elif room.seq < one.seq:
                self._news[room] = None
        self._news.update((room, None) for key in news.states if (room := self._open.get(key)) is not None)
        for key in news.anew:
            if (room := self._open.get(key)) is not None:
                room.hand_on((), room.seq, is_complete=False)
                self._news[room] = None
        if news.all:
            self._news.update(dict.fromkeys(self._open.values()))
        self._read_news()

    def _read_news(self) -> None:
        """Read what is new, unless that is being done."""
        if not self._is_reading and self._news.keys() - self._under_way:
            self._is_reading = True
            self.run(self._read_all_news()).addErrback(self._not_read)

    async def _read_all_news(self) -> None:
        """Read what is new, for all rooms at once, until nothing is."""
        try:
            while rooms := [room for room in self._news if room not in self._under_way]:
                for room in rooms:
                    del self._news[room]
                with self._learning():
                    await self._read_on(rooms)
        finally:
            self._is_reading = False

    def _not_read(self, failure: Any) -> None:
        if not failure.check(Unavailable):
            _log.failure("What other servers have appended could not be read; it is read within seconds", failure)
        self._listens_on = None  # the next check looks at everything

    async def _read_on(self, rooms: Sequence[PostgreSQLRoomLog], is_turn: bool = False) -> None:
        """Read the states and the new records of rooms, and hand the records to the followers.

        What is read of a room to which a turn is being appended is left to this turn, which reads it again.
        """
        states = await self._states([room.name.key for room in rooms])
        known = []
        for room in rooms:
            state = states.get(room.name.key)
            if state is not None:
                room.take_state(state)
                self._know(room)
                if state.seq > room.seq:
                    known.append((room, room.seq, state.seq))
        if not known:
            return
        ids, seqs, heads = [room.id for room, *_ in known], [seq for _, seq, _ in known], [head for *_, head in known]
        work = fetch(_NEW, ids, seqs, heads, NEW_AT_ONCE + 1)
        new: dict[int, list[Record]] = {}
        for id, *row in await self._database.attempt(work):
            new.setdefault(id, []).append(_record(row))
        for room, _, head in known:
            records = [record for record in new.get(cast(int, room.id), ()) if record.seq > room.seq]
            if room in self._under_way and not is_turn:
                self._news[room] = None
            elif room.seq < head:  # otherwise another read was faster
                size = sum(len(record.msg) for record in records)
                is_complete = 0 < len(records) <= NEW_AT_ONCE and (len(records) == 1 or size <= NEW_BYTES_AT_ONCE)
                room.hand_on(records, head, is_complete)

    async def catch_up_to(self, room: PostgreSQLRoomLog, seq: int) -> None:
        """Read a room up to a number, if it has as many."""
        is_known = False
        while room.seq < seq and not is_known:
            if room in self._under_way:
                await self._turn_over.wait()
                continue
            before = room.seq
            await self._read_on([room])
            is_known = room.seq == before and room not in self._under_way

    async def _check(self, connection: Connection) -> None:
        """Look for what was missed, at what other servers have done."""
        turns = dict(await connection.fetch("SELECT id::text, turn FROM server"))
        ((self.room_count, imports),) = await connection.fetch(_COUNTS)
        was_away = self._listens_on is not connection
        expected = turns if was_away else self._turns_checked
        missed = {server: turn for server, turn in expected.items() if turn > self._turns.get(server, 0)}
        directs = await connection.fetch(_DIRECTS_MISSED, *self._known_turns(missed)) if missed else ()
        self._turns.update(missed)
        was_import_missed = (imports if was_away else self._imports_checked) > self._imports
        self._turns_checked, self._imports_checked = turns, imports
        self._listens_on = connection
        if was_import_missed:
            self._told(News(anew=list(self._open), imports=imports, all=True))
        elif missed or was_away:
            self._told(News(all=True))
        for key, first in directs:
            if key not in self._open:  # otherwise it is read as all others are
                self.direct_heard(Name(key, key), first)

    def _known_turns(self, missed: dict[str, int]) -> tuple[list[str], list[int]]:
        """Return the servers of which turns were missed, and the newest turn of each that was not."""
        return list(missed), [self._turns.get(server, 0) for server in missed]

    def flush(self) -> Deferred[None]:
        return succeed(None)  # nothing is done later

    # Retention

    def overdue(self, now: int) -> Deferred[list[int]]:
        return self.run(self._ids(_OVERDUE, self._since(now), self._keep.messages))

    async def _ids(self, sql: str, *args: object) -> list[int]:
        rows = await self._database.attempt(fetch(sql, *args), seconds=LONG_SECONDS)
        return [id for (id,) in rows]

    def trim(self, room: int, now: int) -> Deferred[bool]:
        return self.run(self._trim(room, now))

    async def _trim(self, room: int, now: int) -> bool:
        sql = "CALL trim_room($1, $2, $3, $4, NULL)"
        work = fetch(sql, room, self._since(now), self._keep.messages, TRIM_ROWS)
        ((deleted,),) = await self._database.attempt(work)
        log = self._by_id.get(room)
        if log is not None:
            await self._read_on([log])
        return bool(deleted == TRIM_ROWS)

    def empty_rooms(self, now: int) -> Deferred[list[int]]:
        if self._keep.seconds is None:
            return succeed([])
        return self.run(self._empty_rooms(now))

    async def _empty_rooms(self, now: int) -> list[int]:
        sql = "SELECT id FROM room WHERE name <> '' AND oldest_time IS NULL AND topic_time < $1"
        ids = await self._ids(sql, self._since(now))
        return [id for id in ids if (log := self._by_id.get(id)) is None or not log.is_followed]

    def forget_rooms(self, rooms: Sequence[int]) -> Deferred[None]:
        return self.run(self._forget_rooms(rooms))

    async def _forget_rooms(self, rooms: Sequence[int]) -> None:
        ((keys,),) = await self._database.attempt(fetch("CALL forget_rooms($1, NULL)", rooms))
        keys = keys or []
        self.room_count -= len(keys)
        await self._read_on([room for key in keys if (room := self._open.get(key)) is not None])

    def trusted(self) -> Deferred[Trusted]:
        return self.run(self._trusted())

    async def _trusted(self) -> Trusted:
        ((time, ahead),) = await self._database.attempt(fetch("SELECT time, ahead FROM store"))
        if not time:
            ((time,),) = await self._database.attempt(fetch(_NEWEST), seconds=LONG_SECONDS)
        return Trusted(time or 0, ahead)

    def keep_trusted(self, trusted: Trusted) -> Deferred[None]:
        return self.run(self._keep_trusted(trusted))

    async def _keep_trusted(self, trusted: Trusted) -> None:
        await self._database.attempt(fetch("UPDATE store SET time = $1, ahead = $2", *trusted))

    def _since(self, now: int) -> int:
        return 0 if self._keep.seconds is None else now - self._keep.seconds * 1000

    # Reading

    async def page(self, room: PostgreSQLRoomLog, sql: str, seq: int, most: int, most_bytes: int) -> list[Record]:
        """Read a page of a room, `_AFTER` or `_BEFORE` a number, with what its follower has heard of by now."""
        few, head = min(most, max(1, most_bytes // LONG)), room.seq
        for count in dict.fromkeys((few, most)):
            work = fetch(sql, room.id, seq, head, count, most_bytes)
            records = [_record(row) for row in await self._database.attempt(work)]
            size = sum(len(record.msg.encode()) for record in records)
            if len(records) < count or size >= most_bytes:
                break
        return records

    async def seqs_by(self, room: PostgreSQLRoomLog, author: str, seq: int, most: int) -> list[int]:
        """Find messages of an author in a room."""
        rows = await self._database.attempt(fetch(_SEQS_BY, room.id, seq, author, most), seconds=LONG_SECONDS)
        return [number for (number,) in rows]

    def rooms_of(self, author: str) -> Deferred[list[Name]]:
        return self.run(self._rooms_of(author))

    async def _rooms_of(self, author: str) -> list[Name]:
        rows = await self._database.attempt(fetch(_ROOMS_OF, author), seconds=LONG_SECONDS)
        return [Name(name, key) for name, key in rows]

    # The end

    def close(self) -> Deferred[None]:
        if self._trimmer is not None:
            self._trimmer.stop()
        return self.run(self._close())

    async def _close(self) -> None:
        await self._database.close()


def _key_of(room: RoomLog) -> str:
    return room.name.key


def _missed(room: PostgreSQLRoomLog, heard: Sequence[News]) -> News:
    """Return what was heard of a room while its state was being read: the other rooms have heard the rest."""
    key = room.name.key
    rooms = [one for news in heard for one in news.rooms if key == one.key or room.id == one.id]
    is_outdated = any(news.all or key in news.states or key in news.anew for news in heard)
    return News(rooms=rooms, states=[key] if is_outdated else [])


def _record(row: Iterable[Any]) -> Record:
    seq, time, author, msg, kind, of, deleted = row
    return Record(seq, time, author, from_sql(msg), kind, of, deleted or 0)


def _split_duplicates(entries: Sequence[Entry]) -> tuple[list[Entry], list[tuple[Entry, Entry]]]:
    """Split a turn into the first entry with each id, and its duplicates, each with that first one."""
    firsts: list[Entry] = []
    duplicates: list[tuple[Entry, Entry]] = []
    said: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        if entry.id is not None:
            first = said.setdefault((entry.room.name.key, entry.author.key, entry.id), entry)
            if first is not entry:
                duplicates.append((entry, first))
                continue
        firsts.append(entry)
    return firsts, duplicates


_APPEND: Final = "CALL append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, NULL, NULL, NULL, NULL)"

# The turns before these ones do not come into the log any more.
_GIVE_UP: Final = """
INSERT INTO server AS s SELECT u.id, u.turn, now(), '{}', '{}', '{}', '{}'
FROM unnest($1::uuid[], $2::bigint[]) AS u (id, turn) ORDER BY u.id
ON CONFLICT (id) DO UPDATE SET turn = greatest(s.turn, excluded.turn), seen = excluded.seen"""

_COUNTS: Final = "SELECT rooms, imports FROM store"

# A server has another identity each time that it starts.
_FORGET_SERVERS: Final = "DELETE FROM server WHERE seen < now() - interval '1 day'"

_COLUMNS: Final = "seq, time, author, msg, kind, of, deleted"

_NEW: Final = f"""
SELECT m.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS known (id, seq, head) CROSS JOIN LATERAL (
    SELECT room, {_COLUMNS} FROM message WHERE room = known.id AND seq > known.seq AND seq <= known.head
    ORDER BY seq LIMIT $4
) AS m"""

# A page ends where the sum of its texts passes the bound; its first record is there whatever its size.
_PAGE = f"""
SELECT {_COLUMNS} FROM (
    SELECT *, sum(octet_length(msg)) OVER (ORDER BY seq {{order}}) - octet_length(msg) AS in_front FROM (
        SELECT {_COLUMNS} FROM message WHERE room = $1 AND seq {{side}} $2 AND seq <= $3 ORDER BY seq {{order}} LIMIT $4
    ) AS near
) AS sized WHERE in_front < $5 ORDER BY seq"""
_AFTER: Final = _PAGE.format(side=">", order="ASC")
_BEFORE: Final = _PAGE.format(side="<", order="DESC")

_SEQS_BY: Final = """
SELECT seq FROM message WHERE room = $1 AND seq > $2 AND author_key = $3 AND kind = '' AND deleted IS NULL
ORDER BY seq LIMIT $4"""

_ROOMS_OF: Final = """
SELECT name, key FROM room WHERE name <> '' AND EXISTS (
    SELECT FROM message WHERE message.room = room.id AND author_key = $1 AND kind = '' AND deleted IS NULL
) ORDER BY key"""

_DIRECTS: Final = """
SELECT name, key, head FROM room WHERE name <> '' AND key LIKE '@%'
AND (split_part(key, '@', 2) = $1 OR split_part(key, '@', 3) = $1) ORDER BY key LIMIT $2"""

_DIRECTS_MISSED: Final = """
SELECT d.key, min(d.first) FROM direct_turn AS d
JOIN unnest($1::uuid[], $2::bigint[]) AS known (server, turn) ON known.server = d.server AND d.turn > known.turn
GROUP BY d.key ORDER BY d.key"""

_OVERDUE: Final = """
SELECT id FROM room WHERE oldest_time < $1 UNION
SELECT id FROM room WHERE oldest_time IS NOT NULL AND head - oldest + 1 - skipped > $2::bigint"""

_NEWEST: Final = "SELECT max(m.time) FROM room AS r JOIN message AS m ON m.room = r.id AND m.seq = r.head"

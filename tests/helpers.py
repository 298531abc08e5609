"""The base of the tests of several modules: a chat with a clock and a store that the test controls, and its clients."""

from __future__ import annotations

import json
import sys
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.task import Clock

from twisted_chat import names
from twisted_chat.accounts import Accounts
from twisted_chat.chat import Chat
from twisted_chat.cluster import STANDALONE, Cluster
from twisted_chat.counters import Traffic
from twisted_chat.encoding import LINES, Encoding
from twisted_chat.framing import Frame, Framer
from twisted_chat.limits import MAX_WAITING, Limits, flow_of, is_loopback
from twisted_chat.log import (
    DELETE,
    Condition,
    DirectSummary,
    Entry,
    Heard,
    Log,
    Record,
    RoomLog,
    RoomSummary,
    Unavailable,
)
from twisted_chat.messages import MAX_OBJECT, Reply, WireError, read_request
from twisted_chat.names import Name
from twisted_chat.participant import Receiver
from twisted_chat.room import TAIL_BYTES, Room, Rooms
from twisted_chat.session import SILENCE_SECONDS

from .logins import make_login

NOW = 1_795_345_596.125
"""When the tests begin: 2026-11-22T11:06:36.125Z, a time that a float holds exactly."""

UNLIMITED = Limits(rate=0.0, address_rate=0.0, new_connections=0.0, new_rooms=0.0)


class TurnClock(Clock):
    """A clock by which one turn of the reactor can be had at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = NOW

    def turn(self) -> None:
        """Call what is due now, and not what that asks for in its turn."""
        for call in [call for call in self.calls if call.getTime() <= self.seconds()]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class FakeRoomLog:
    """One room of a `FakeLog`."""

    def __init__(self, store: FakeLog, name: Name) -> None:
        self.name = name
        self.topic = ""
        self.seq = 0
        self.oldest = 0
        self.epoch = 0
        self.records: list[Record] = []
        self.ids: dict[tuple[str, str], Record] = {}
        self.heard: Heard | None = None
        self.unheard: list[tuple[str, str]] = []
        """What another server has, and this one has not heard of: authors and texts."""
        self._store = store

    @property
    def is_kept(self) -> bool:
        return bool(self.seq or self.topic)

    def follow(self, heard: Heard) -> None:
        self.heard = heard

    def unfollow(self) -> None:
        self.heard = None

    def append_elsewhere(self, *said: tuple[str, str]) -> None:
        """Append what another server has: authors and texts."""
        records = [Record(self.seq + number, 0, author, msg) for number, (author, msg) in enumerate(said, 1)]
        self.records += records
        self.seq = records[-1].seq
        self.oldest = self.oldest or records[0].seq
        self.tell(records)

    def append_kind(self, kind: str, count: int = 1) -> None:
        """Append entries of a kind that is no message."""
        records = [Record(self.seq + number, 0, "eve", "this is no message", kind, 1) for number in range(1, count + 1)]
        self.records += records
        self.seq = records[-1].seq
        self.tell(records)

    def tell(self, records: list[Record]) -> None:
        """Hand records to the follower, if there is one."""
        if self.heard is not None:
            self.heard(records)

    def catch_up_to(self, seq: int) -> Deferred[None]:
        return self._store.do("catch_up_to", self._catch_up)

    def _catch_up(self) -> None:
        unheard, self.unheard = self.unheard, []
        if unheard:
            self.append_elsewhere(*unheard)

    def after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store.do("after", self._after, seq, most, most_bytes)

    def before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        return self._store.do("before", self._before, seq, most, most_bytes)

    def seqs_by(self, author: str, seq: int, most: int) -> Deferred[list[int]]:
        return self._store.do("seqs_by", self._seqs_by, author, seq, most)

    def _seqs_by(self, author: str, seq: int, most: int) -> list[int]:
        found = (one for one in self.records if one.seq > seq and one.author.lower() == author)
        return [one.seq for one in found if not (one.kind or one.deleted)][:most]

    def take_text(self, of: int, seq: int) -> None:
        """Take away the text of a message."""
        at = bisect_left(self.records, of, key=_seq)
        if at < len(self.records) and (found := self.records[at]).seq == of and not (found.kind or found.deleted):
            self.records[at] = found.without_text(seq)

    def set_topic(self, topic: str) -> Deferred[None]:
        return self._store.do("set_topic", setattr, self, "topic", topic)

    def trim(self, seq: int) -> None:
        """Take away all up to a number."""
        del self.records[: bisect_right(self.records, seq, key=_seq)]
        self.oldest = self.records[0].seq if self.records else 0

    def _after(self, seq: int, most: int, most_bytes: int) -> list[Record]:
        first = bisect_right(self.records, seq, key=_seq)
        return self.records[first : first + most]

    def _before(self, seq: int, most: int, most_bytes: int) -> list[Record]:
        last = bisect_left(self.records, seq, key=_seq)
        return self.records[max(0, last - most) : last]


class FakeLog:
    """A store in memory. What is `held` waits for `release` or `refuse`; what is in `failing` fails at once."""

    def __init__(self) -> None:
        self.trouble = ""
        self.patience = 5.0
        self.most_appends = 1
        self.logs: dict[str, FakeRoomLog] = {}
        self.held: set[str] = set()
        self.failing: dict[str, Exception] = {}
        self.calls: Counter[str] = Counter()
        self.waiting: deque[tuple[Deferred[Any], Callable[[], Any]]] = deque()

    def condition(self) -> Condition:
        return Condition(self.trouble, patience=self.patience)

    @property
    def room_count(self) -> int:
        return sum(log.is_kept for log in self.logs.values())

    def do(self, what: str, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        self.calls[what] += 1
        if what in self.failing:
            return fail(self.failing[what])
        if what not in self.held:
            return execute(function, *args)
        done: Deferred[Any] = Deferred()
        self.waiting.append((done, lambda: function(*args)))
        return done

    def begin(self) -> None:
        """Do what has waited longest, and do not tell yet."""
        done, function = self.waiting.popleft()
        result = function()
        self.waiting.appendleft((done, lambda: result))

    def release(self) -> None:
        """Do what has waited longest."""
        done, function = self.waiting.popleft()
        done.callback(function())

    def refuse(self, error: Exception | None = None) -> None:
        """Fail the oldest waiting call."""
        self.waiting.popleft()[0].errback(error or Unavailable("the disk is full"))

    def open(self, name: Name) -> Deferred[RoomLog]:
        return self.do("open", self.room, name)

    def room(self, name: Name) -> FakeRoomLog:
        return self.logs.setdefault(name.key, FakeRoomLog(self, name))

    def append_now(self, entries: Sequence[Entry], time: int) -> bool:
        return False

    def append(self, entries: Sequence[Entry], time: int) -> Deferred[None]:
        return self.do("append", self.store_entries, entries, time)

    def store_entries(self, entries: Sequence[Entry], time: int) -> None:
        fresh: dict[FakeRoomLog, list[Record]] = {}
        for entry in entries:
            room = entry.room
            assert isinstance(room, FakeRoomLog)
            said = entry.author.key, entry.id or ""
            first = room.ids.get(said)
            entry.fresh = first is None
            if first is None:
                room.seq += 1
                first = Record(room.seq, time, entry.author.shown, entry.msg, entry.kind, entry.of)
                room.records.append(first)
                if entry.kind == DELETE and entry.of is not None:
                    room.take_text(entry.of, room.seq)
                fresh.setdefault(room, []).append(first)
                room.oldest = room.oldest or room.seq
                if entry.id is not None:
                    room.ids[said] = first
            entry.seq, entry.time = first.seq, first.time
        for room, records in fresh.items():
            room.tell(records)

    def flush(self) -> Deferred[None]:
        return self.do("flush", lambda: None)

    def rooms(self, most: int) -> Deferred[list[RoomSummary]]:
        return self.do("rooms", self._rooms, most)

    def _rooms(self, most: int) -> list[RoomSummary]:
        kept = (log for log in self.logs.values() if (log.records or log.topic) and not names.is_direct(log.name.key))
        known = sorted(kept, key=lambda log: log.name.key)
        return [RoomSummary(log.name, log.topic) for log in known[:most]]

    def rooms_of(self, author: str) -> Deferred[list[Name]]:
        return self.do("rooms_of", self._rooms_of, author)

    def _rooms_of(self, author: str) -> list[Name]:
        return [log.name for log in self.logs.values() if log._seqs_by(author, 0, 1)]

    def directs(self, account: Name, most: int) -> Deferred[list[DirectSummary]]:
        return self.do("directs", self._directs, account.key, most)

    def _directs(self, account: str, most: int) -> list[DirectSummary]:
        found = []
        for key, log in sorted(self.logs.items()):
            if names.is_direct(key) and log.records and account in (keys := key[1:].split("@")):
                partner = log.name.shown[1:].split("@")[keys.index(account) == 0]
                found.append(DirectSummary(partner, log.seq))
        return found[:most]

    def close(self) -> Deferred[None]:
        return self.do("close", setattr, self, "trouble", "the store is closed")


def _seq(record: Record) -> int:
    return record.seq


class Counted(Encoding[Any]):
    """An encoding that counts what it is asked to write."""

    def __init__(self, encoding: Encoding[Any] = LINES) -> None:
        self._encoding = encoding
        self.counts: Counter[str] = Counter()

    def message(self, room: str, record: Record) -> Any:
        self.counts["message"] += 1
        return self._encoding.message(room, record)

    def messages(self, room: str, records: Sequence[Record]) -> tuple[Any, Callable[[], Sequence[Any]]]:
        self.counts["message"] += len(records)
        return self._encoding.messages(room, records)

    def reply(self, reply: Reply) -> Any:
        self.counts[type(reply).__name__] += 1
        return self._encoding.reply(reply)

    def join(self, parts: Sequence[Any]) -> Any:
        return self._encoding.join(parts)

    def size(self, part: Any) -> int:
        return self._encoding.size(part)


class FakeWire:
    """A `session.Wire` that remembers what is done with it."""

    participant: Receiver
    encoding: Encoding[Any] = LINES
    kind = "fake"
    cause = ""
    may_be_bare = True
    longest_object = MAX_OBJECT
    longest_answer = 2**18
    silence_seconds = SILENCE_SECONDS
    is_unfinished = False
    most_waiting = MAX_WAITING

    def __init__(self, address: str = "192.0.2.1", label: str = "49474") -> None:
        self.address = address
        self.label = label
        self.is_local = is_loopback(address)
        self.flow = flow_of(address, label)
        self.traffic = Traffic()
        self.written: list[bytes] = []
        self.reading = True
        self.kept: deque[Frame] = deque()
        """The requests that have arrived and were not passed on yet."""
        self.handing_on = False
        self.closed = False
        self.aborted = False
        self.full = False
        """Each write is told that nothing more is taken."""

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to after its end"
        self.written.append(data)
        if self.full:
            self.participant.pauseProducing()

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def stop_reading(self) -> None:
        assert self.reading
        self.reading = False

    def go_on_reading(self) -> None:
        assert not self.reading
        self.reading = True
        self.hand_on()

    def hear(self, *frames: Frame) -> None:
        """Receive objects."""
        self.kept.extend(frames)
        self.hand_on()

    def hand_on(self) -> None:
        """Pass on the received objects, as long as they are taken."""
        if self.handing_on:
            return
        self.handing_on = True
        while self.reading and self.kept:
            frame = self.kept.popleft()
            self.participant.received(read_request(frame), 0 if isinstance(frame, WireError) else len(frame))
        self.handing_on = False


class Peer:
    """The other end of a wire."""

    def __init__(self, server: Server, wire: FakeWire) -> None:
        self.server = server
        self.wire = wire
        self._framer = Framer()

    def send(self, *objects: dict[str, Any]) -> None:
        """Receive objects, all in one read."""
        self.send_bytes(b"".join(json.dumps(obj).encode() + b"\n" for obj in objects))

    def send_bytes(self, data: bytes) -> None:
        self.wire.hear(*self._framer.feed(data))

    def ask(self, **fields: Any) -> list[dict[str, Any]]:
        """Send an object, and return what comes of it."""
        self.send(fields)
        self.server.settle()
        return self.got()

    def say(self, msg: str, id: str | None = None, room: str = "lobby") -> None:
        self.send({"type": "", "room": room, "msg": msg, **({} if id is None else {"id": id})})

    def got(self) -> list[dict[str, Any]]:
        """Read what was written since the last time."""
        written, self.wire.written = self.wire.written, []
        return [json.loads(line) for data in written for line in data.splitlines()]

    def got_segments(self) -> list[dict[str, Any]]:
        """Read what was written since the last time, each write as one object."""
        written, self.wire.written = self.wire.written, []
        return [json.loads(data) for data in written]

    def texts(self) -> list[str]:
        """Read the messages that were written since the last time."""
        return [obj["msg"] for obj in self.got() if obj["type"] == ""]

    def pause(self) -> None:
        self.wire.participant.pauseProducing()

    def resume(self) -> None:
        self.wire.participant.resumeProducing()

    def cut(self) -> None:
        self.server.chat.disconnected(self.wire)


class Server:
    """A chat with a clock, on a store that answers at once until it is told not to."""

    def __init__(
        self,
        log: Log | None = None,
        limits: Limits = UNLIMITED,
        tail_bytes: int = TAIL_BYTES,
        accounts: Accounts | None = None,
        cluster: Cluster = STANDALONE,
    ) -> None:
        self.clock = TurnClock()
        self.encoding: Encoding[Any] = LINES
        """How those that connect from now on are written to."""
        self.fake = FakeLog()
        self.log: Log = self.fake if log is None else log
        self.chat = Chat(self.clock, self.log, accounts or make_login(), limits, cluster=cluster)
        self.chat.rooms = Rooms(self.clock, self.log, tail_bytes=tail_bytes, cluster=cluster)
        started: list[None] = []
        self.chat.start().addCallback(started.append)
        assert started == [None]

    def connect(self, address: str = "192.0.2.1", label: str = "49474") -> Peer:
        wire = FakeWire(address, label)
        wire.encoding = self.encoding
        self.chat.connected(wire)
        return Peer(self, wire)

    def welcome(self, nick: str, *rooms: str) -> Peer:
        """Connect somebody who has said hello and is in rooms."""
        peer = self.connect()
        peer.send({"type": "hello", "nick": nick}, *({"type": "join", "room": room} for room in rooms))
        self.settle()
        assert [obj["type"] for obj in peer.got()].count("joined") == len(rooms)
        return peer

    def crowd(self, count: int, *rooms: str) -> list[Peer]:
        """Connect many, who have heard of each other."""
        peers = [self.welcome(f"n{i}", *rooms) for i in range(count)]
        self.clock.advance(2)
        self.hush(*peers)
        return peers

    def hush(self, *peers: Peer) -> None:
        """Forget what was written so far."""
        self.settle()
        for peer in peers:
            peer.wire.written.clear()

    def settle(self) -> None:
        """Run turns until nothing more is due."""
        self.clock.advance(0)

    def room(self, name: str) -> Room:
        room = self.chat.rooms.get(names.room(name).key)
        assert room
        return room


class Calls:
    """Counts the functions that are called, of Python and of C."""

    def __enter__(self) -> Calls:
        self.count = 0
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: object, event: str, arg: object) -> None:
        self.count += event in ("call", "c_call")


def message(msg: str, author: str, seq: int, room: str = "lobby") -> dict[str, Any]:
    """Make a message as others get it, said when the tests begin."""
    time = "2026-11-22T11:06:36.125Z"
    return {"type": "", "msg": msg, "author": author, "room": room, "seq": seq, "time": time}

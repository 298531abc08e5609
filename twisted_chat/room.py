"""Members and their places; fan-out.

A member is a place in a room's log. Who is live stands at its end and is handed each turn's messages as they are
kept; who is behind (it asked for what it missed, or its connection does not take more) reads on from its place, in
pages, out of the newest part of the log that is kept in memory or out of the store, until it is live again.

All that happens in one turn of the reactor is kept at once, encoded once, joined once for each room, and written once
to each member. Only who said something in that turn gets bytes of its own: an ack in the place of its message.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from . import clock
from .limits import WORK_A_TURN
from .log import Entry, Log, Record, RoomLog, Unavailable
from .messages import (
    SERVER,
    Ack,
    Code,
    Error,
    MemberJoined,
    MemberLeft,
    Message,
    NickChanged,
    Presence,
    encode_line,
    time_text,
)
from .names import Name
from .tail import Page, Tail

GATHER_FROM: Final = 100
"""Members above which comings and goings are gathered: a room of N costs N to fill then, not N²."""

GATHER_SECONDS: Final = 1.0
"""The least time between two counts of a large room."""

PAGE: Final = 512
PAGE_BYTES: Final = 2**16
"""Messages, and bytes of text, that one reading of the log hands on: what a transport takes before it says stop."""

PAGES_A_TURN: Final = 8
"""Members that read on in one turn, so that live work waits a millisecond or two for a crowd that catches up."""

MESSAGES_A_TURN: Final = 256
"""Messages that one turn keeps and hands on, some 5 ms of work; more than that wait for the next turn, and what else is
to be done goes on in between."""

SHARED_PAGES: Final = 32
"""Pages of all rooms that were read for one member and are kept for the next: 2 MB."""

READ_AGAIN_SECONDS: Final = 1.0
"""The pause after a page could not be read."""

TAIL_BYTES: Final = 2**20
"""The newest messages of all rooms that stay in memory, in bytes of the wire; older ones are read from the store."""

_log = Logger("twisted_chat.room")


class Listener(Protocol):
    """What a room needs of a participant."""

    nick: Name | None
    out: list[bytes] | None
    """What is to be written to it at the end of this turn; an empty list where it may hear from several rooms, so that
    they are gathered; otherwise none."""
    closed: bool

    @property
    def paused(self) -> bool:
        """Whether its connection takes no more for now."""

    def write(self, data: bytes) -> None:
        """Hand whole lines to its connection."""

    def idle_out(self) -> list[bytes] | None:
        """Say what `out` is while there is nothing in it."""

    def owes(self, size: int) -> None:
        """Hear that so many bytes are on their way to it which it asked for."""

    def settled(self, count: int, size: int) -> None:
        """Called when so many of its messages, with so many characters, were kept, or refused."""

    def wake(self, member: Member) -> None:
        """Hear, where it reads at its own pace, that there is something to read."""


class Busy(Protocol):
    """Somebody who has more to do than fits into one turn."""

    def take_turn(self) -> int:
        """Do some of it; returns how much work that was, in requests, and at least one."""


Soon = Callable[[Callable[[], None]], object]
"""Calls a function once what is under way in this turn of the reactor is done."""

_Said = tuple[int, int, int, bytes]
"""A message of an author's own: where it begins and ends among the turn's lines, its number, and the author's ack."""


class _SharedPage(NamedTuple):
    """A page that was read for one member, for others who are about there."""

    room: Room
    epoch: int
    """The room's, when it was read."""
    start: int
    """The number behind which it begins."""
    page: Page


class Member:
    """A participant's place in a room."""

    __slots__ = ("behind", "gone", "listener", "own", "place", "reading", "room", "topic")

    def __init__(self, listener: Listener, room: Room, place: int) -> None:
        self.listener = listener
        self.room = room
        self.place = place
        """The number up to which it has been handed everything; it counts only while the member is not live."""
        self.behind = False
        """It waits for its next page."""
        self.reading = False
        """Its next page is on its way from the store."""
        self.gone = False
        self.topic = room.topic
        """What it was last told of the topic, while it is not live."""
        self.own: array[int] = array("q")
        """Numbers behind its place that are its own messages: acked already, so they are not handed to it."""


class Room:
    """A room that somebody is in, or that has lines in memory."""

    __slots__ = ("epoch", "head", "live", "log", "members", "paced", "pinned", "presence", "tail", "topic", "waiting")

    def __init__(self, log: RoomLog) -> None:
        self.log = log
        self.topic = b""
        """The line that told of the latest change of its topic."""
        self.pinned = False
        """It stays open, whoever leaves."""
        self.waiting: list[Member] | None = None
        """While a page is read from the store for a member: those whose turn it was meanwhile."""
        self.epoch = log.epoch
        """The log's, as of what the tail has."""
        self.head = log.seq
        """The number up to which everything has been handed to all who are live."""
        self.members: dict[Listener, Member] = {}
        self.live: dict[Listener, None] = {}
        self.paced: dict[Listener, Member] = {}
        """Those that read at their own pace and are never live."""
        self.tail = Tail(log.seq)
        self.presence: IDelayedCall | None = None

    @property
    def name(self) -> Name:
        return self.log.name

    def read_after(self, seq: int, most: int, most_bytes: int) -> Deferred[Page]:
        """Read on behind `seq`: at least one message if there is any. Fails with `Unavailable`."""
        seq = max(seq, self.log.oldest - 1)  # the tail may still have what retention has taken away
        if seq >= self.tail.floor:
            return succeed(self.tail.after(seq, most, most_bytes))
        return self.log.after(seq, most, most_bytes).addCallback(self._page)

    def read_before(self, seq: int, most: int, most_bytes: int) -> Deferred[Page]:
        """Read the newest in front of `seq`. Fails with `Unavailable`."""
        page = self.tail.before(seq, most, most_bytes)
        kept = bisect_left(page.seqs, self.log.oldest)
        page = Page(page.seqs[kept:], page.lines[kept:])
        if page.seqs and (len(page.seqs) == most or page.seqs[0] == self.log.oldest):
            return succeed(page)
        return self.log.before(min(seq, self.head + 1), most, most_bytes).addCallback(self._page)

    def _page(self, records: list[Record]) -> Page:
        room = self.name.shown
        while records and records[-1].seq > self.head:
            records.pop()  # kept already, but it is still to be handed to those who are live
        lines = [
            encode_line(Message(msg, author, room, None, seq, time_text(time)))
            for seq, time, author, msg, *_ in records
        ]
        return Page([record.seq for record in records], lines)


class Rooms:
    """The rooms that are open, and the turn of the reactor that is under way."""

    def __init__(self, reactor: Any, log: Log, tail_bytes: int = TAIL_BYTES, soon: Soon | None = None) -> None:
        self._reactor = reactor
        self.soon: Soon = soon or partial(reactor.callLater, 0)
        self._log = log
        self._open: dict[str, Room] = {}
        self._opening: dict[str, list[Deferred[Room]]] = {}
        self.turn = 0
        """Counts the turns of the reactor in which something happened here."""
        self._busy: deque[Busy] = deque()
        """Those who have more to do, in the order in which they are served."""
        self._busy_next: list[Busy] = []
        """Those among them who have made enough in this turn."""
        self._entries: list[Entry] = []
        self._dirty: list[Listener] = []
        self._behind: dict[Listener, deque[Member]] = {}
        """Each listener's members that wait for their next page; it has an entry while one is on its way, too."""
        self._readers: deque[Listener] = deque()
        """Those among them for whom no page is on its way, in the order in which they get one."""
        self._pages: deque[_SharedPage] = deque(maxlen=SHARED_PAGES)
        """What was read from the store last."""
        self._keeping = 0
        """Entries that the log is busy with."""
        self._handled = 0
        """Entries so far that were kept, or refused."""
        self._scheduled = False
        self._waiting: deque[tuple[int, Deferred[None]]] = deque()
        """Those who asked when what was said so far is settled, each with what `_handled` will be then."""
        self._emptied: list[Room] = []
        """Rooms that may be let go when nothing is on its way into them."""
        self._tail_left = tail_bytes
        self._tail: deque[tuple[Room, Tail, int, int]] = deque()
        """Of the lines in memory, oldest first: room, count and bytes of each turn's."""

    # Rooms

    def get(self, key: str) -> Room | None:
        """Find a room that is open."""
        return self._open.get(key)

    def occupied(self) -> list[Room]:
        """List the rooms that somebody is in."""
        return [room for room in self._open.values() if room.members]

    def open(self, name: Name) -> Deferred[Room]:
        """Find a room, or begin one. Fails with `Unavailable`."""
        room = self._open.get(name.key)
        if room is not None:
            return succeed(room)
        opened: Deferred[Room] = Deferred()
        waiting = self._opening.setdefault(name.key, [])
        waiting.append(opened)
        if len(waiting) == 1:
            self._log.open(name).addCallbacks(self._opened, lambda failure: failure).addBoth(self._tell, name.key)
        return opened

    def _opened(self, log: RoomLog) -> Room:
        room = self._open[log.name.key] = Room(log)
        return room

    def _tell(self, result: Room | Failure, key: str) -> None:
        for opened in self._opening.pop(key):
            opened.callback(result)

    def peek(self, name: Name) -> Deferred[Room]:
        """Find a room for reading alone: it is not kept open. Fails with `Unavailable`."""
        room = self._open.get(name.key)
        return self._log.open(name).addCallback(Room) if room is None else succeed(room)

    def forget_if_empty(self, room: Room) -> None:
        """Let go of a room that nobody is in and that has nothing in memory, unless that changes in this turn.

        Not at once: what is on its way into the log comes out in this very room, for whoever enters it until then.
        """
        if not (room.members or len(room.tail) or room.pinned):
            self._emptied.append(room)
            self._schedule()

    def _forget_emptied(self) -> None:
        rooms, self._emptied = self._emptied, []
        for room in rooms:
            if not (room.members or len(room.tail) or room.pinned):
                self._open.pop(room.name.key, None)

    # Members

    def enter(self, room: Room, listener: Listener, since: int | None) -> Member:
        """Put a participant into a room, behind the number `since`, or at the end; one that is in it starts again."""
        place = room.head if since is None else min(since, room.head)
        old = room.members.get(listener)
        if old is not None:
            self._remove(old)
        member = room.members[listener] = Member(listener, room, place)
        if place == room.head and not listener.paused:
            room.live[listener] = None
        else:
            self.read_on(member)
        return member

    def follow(self, room: Room, listener: Listener, since: int) -> Member:
        """Let somebody read a room, at their own pace, behind the number `since`, of whom the others know nothing."""
        member = room.paced[listener] = Member(listener, room, since)
        return member

    def admit(self, member: Member) -> None:
        """Make a member of somebody who reads the room already."""
        member.room.members[member.listener] = member

    def leave(self, member: Member) -> None:
        """Take a participant out of a room."""
        self._remove(member)
        self.forget_if_empty(member.room)

    def _remove(self, member: Member) -> None:
        room, listener = member.room, member.listener
        member.gone = True
        room.members.pop(listener, None)
        room.live.pop(listener, None)
        room.paced.pop(listener, None)

    def pause(self, member: Member) -> None:
        """Stop handing messages to a member, and remember its place."""
        if member.listener in member.room.live:
            del member.room.live[member.listener]
            member.place = member.room.head
            member.topic = member.room.topic

    def read_on(self, member: Member) -> None:
        """Let a member that is not live have the next page, when it is its turn."""
        listener = member.listener
        if member.behind or member.reading or listener in member.room.live:
            return
        member.behind = True
        if listener in self._behind:
            self._behind[listener].append(member)
        else:
            self._behind[listener] = deque((member,))
            self._line_up_reader(listener)

    # What happens in a turn

    def say(self, entry: Entry) -> None:
        """Keep a message, of a `Member` as its origin, and hand it to the others."""
        self._entries.append(entry)
        if not self._scheduled:
            self._schedule()

    def line_up(self, busy: Busy, next_turn: bool = False) -> None:
        """Let somebody who has more to do go on when those who lined up before have been served, or in the next turn.

        That is fair queueing: a round gives each one its quantum, and there are as many as fit into the turn.
        """
        (self._busy_next if next_turn else self._busy).append(busy)
        self._schedule()

    def send(self, listener: Listener, data: bytes) -> None:
        """Write lines to one participant at the end of this turn, behind what it is to get already."""
        if listener.out:
            listener.out.append(data)
        else:
            listener.out = [data]
            self._dirty.append(listener)
            self._schedule()

    def announce(self, room: Room, notice: MemberJoined | MemberLeft | NickChanged, about: Listener) -> int:
        """Tell the others in a room of a coming or going; in a large room, only how many they are, and later.

        Returns how many were told.
        """
        with_it = len(room.members) + isinstance(notice, MemberLeft)  # as when its coming was told
        if with_it <= GATHER_FROM:
            return self.tell_others(room, encode_line(notice), about)
        if room.presence is None:
            room.presence = self._reactor.callLater(GATHER_SECONDS, self._tell_count, room)
        return 0

    def tell_others(self, room: Room, line: bytes, about: Listener) -> int:
        """Write a line that is not kept to all who are live in a room, but for the one it is about; say how many."""
        others = [listener for listener in room.live if listener is not about]
        for listener in others:
            self.send(listener, line)
        return len(others)

    def tell_topic(self, room: Room, line: bytes, about: Listener) -> int:
        """Write the line of a new topic to the others, at once to who is live, and to all others once they are."""
        room.topic = line
        return self.tell_others(room, line, about)

    def settled(self) -> Deferred[None]:
        """Fire when everything said so far is kept and acked, or refused."""
        done: Deferred[None] = Deferred()
        self._waiting.append((self._handled + self._keeping + len(self._entries), done))
        self._schedule()
        return done

    def _tell_count(self, room: Room) -> None:
        room.presence = None
        line = encode_line(Presence(room=room.name.shown, count=len(room.members)))
        for listener in room.live:
            self.send(listener, line)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.soon(self._end_turn)

    def _end_turn(self) -> None:
        try:
            if self._busy:
                self._serve_busy()
            if self._readers:
                self._hand_pages()
            if self._entries and not self._keeping:
                self._keep()
            self._write_out()
        finally:
            self._scheduled = False  # not before: what is sent in here is written in here
        self.turn += 1
        self._busy.extend(self._busy_next)
        self._busy_next.clear()
        if self._busy or self._readers or self._dirty or (self._entries and not self._keeping):
            self._schedule()
        elif self._emptied and not self._keeping:
            self._forget_emptied()
        while self._waiting and self._waiting[0][0] <= self._handled:
            self._waiting.popleft()[1].callback(None)

    def _serve_busy(self) -> None:
        """Serve those who have more to do, a quantum each, as far as the work of one turn goes."""
        left = WORK_A_TURN
        while self._busy and left > 0:
            left -= self._busy.popleft().take_turn()

    def _keep(self) -> None:
        entries, self._entries = self._entries[:MESSAGES_A_TURN], self._entries[MESSAGES_A_TURN:]
        self._keeping = len(entries)
        time = clock.milliseconds(self._reactor)
        try:
            now = self._log.append_now(entries, time)
        except Exception:
            self._kept(Failure(), entries)
            return
        if now:
            self._kept(None, entries)
        else:
            maybeDeferred(self._log.append, entries, time).addBoth(self._kept, entries)

    def _kept(self, result: Failure | None, entries: list[Entry]) -> None:
        self._keeping = 0
        self._handled += len(entries)
        try:
            if result is None:
                self._fan_out_all(entries)
            else:
                self._refuse(entries, result)
        except Exception:
            _log.failure("A turn's messages are kept, and not everybody was handed them")
        self._settle(entries)
        if not self._scheduled:  # the log took longer than the turn
            self._schedule()

    def _write_out(self) -> None:
        dirty, self._dirty = self._dirty, []
        for listener in dirty:
            data = b"".join(listener.out or ())
            listener.out = listener.idle_out()
            if data and not listener.closed:
                try:
                    listener.write(data)
                except Exception:
                    _log.failure("A connection could not be written to")

    # Fan-out

    def _fan_out_all(self, entries: list[Entry]) -> None:
        by_room: dict[Room, list[Entry]] = {}
        for entry in entries:
            by_room.setdefault(entry.origin.room, []).append(entry)
        for room, said in by_room.items():
            if room.epoch != room.log.epoch:
                self._begin_anew(room, min((e.seq for e in said if e.fresh), default=room.log.seq + 1) - 1)
            head = room.head
            try:
                self._fan_out(room, said)
            except Exception:
                _log.failure("A room could not be told what was said in it: its members read it from the log")
                room.head = head
                self._begin_anew(room, room.log.seq)

    def _begin_anew(self, room: Room, floor: int) -> None:
        """Let all who are live read on from the log, since memory does not have all that is in it up to `floor`."""
        room.epoch = room.log.epoch
        room.tail = Tail(floor)
        for listener in tuple(room.live):
            member = room.members[listener]
            self.pause(member)
            self.read_on(member)
        room.head = floor

    def _refuse(self, entries: list[Entry], failure: Failure) -> None:
        code: Code
        if isinstance(failure.value, Unavailable):
            code, text = "unavailable", "the message cannot be kept now: send it again later"
        else:
            _log.failure("Messages could not be kept", failure)
            code, text = "internal", "the server has a fault, which its log names"
        for entry in entries:
            line = encode_line(
                Error(code=code, msg=text, author=SERVER, id=entry.id, room=entry.origin.room.name.shown)
            )
            entry.origin.listener.owes(len(line))
            self.send(entry.origin.listener, line)

    def _settle(self, entries: list[Entry]) -> None:
        counts: dict[Member, int] = {}
        sizes: dict[Member, int] = {}
        for entry in entries:
            member = entry.origin
            counts[member] = counts.get(member, 0) + 1
            sizes[member] = sizes.get(member, 0) + len(entry.msg)
        for member, count in counts.items():
            member.listener.settled(count, sizes[member])

    def _fan_out(self, room: Room, entries: list[Entry]) -> None:
        """Hand one turn's messages of a room to its members, and their acks to those who said them."""
        name = room.name.shown
        seqs: list[int] = []
        lines: list[bytes] = []
        answers: dict[Member, list[_Said]] = {}
        end = 0
        for entry in entries:
            start = end
            seq, time = entry.seq, time_text(entry.time)
            if entry.fresh:
                line = encode_line(Message(entry.msg, entry.author.shown, name, None, seq, time))
                lines.append(line)
                seqs.append(seq)
                end += len(line)
            ack = b"" if entry.id is None else encode_line(Ack(entry.id, name, None, seq, time))
            said = start, end, seq, ack
            if entry.origin in answers:
                answers[entry.origin].append(said)
            else:
                answers[entry.origin] = [said]
        payload = b"".join(lines)
        if lines:
            self._remember(room, seqs, lines, len(payload))
        for member, own in answers.items():
            self._answer(member, payload, own)
        if lines:
            self._hand_all(room, payload, {member.listener for member in answers})

    def _answer(self, member: Member, payload: bytes, own: list[_Said]) -> None:
        """Write to an author what the others get, with acks in the place of its own messages."""
        if member.listener in member.room.live:
            pieces: list[bytes] = []
            at = 0
            for start, end, _, ack in own:
                if at < start:
                    pieces.append(payload[at:start])
                pieces.append(ack)
                at = end
            pieces.append(payload[at:])
            self.send(member.listener, b"".join(pieces))
        elif not member.gone:
            member.own.extend(seq for start, end, seq, _ in own if start < end)
            acks = b"".join(ack for _, _, _, ack in own)
            member.listener.owes(len(acks))
            self.send(member.listener, acks)

    def _hand_all(self, room: Room, payload: bytes, authors: set[Listener]) -> None:
        """Hand one turn's messages to all who did not say any of them."""
        for listener in tuple(room.live):  # who is written to may stop being live
            if listener.out is None:
                try:
                    listener.write(payload)
                except Exception:
                    _log.failure("A connection could not be written to")
            elif listener not in authors:
                self.send(listener, payload)
        for listener, member in room.paced.items():
            listener.wake(member)

    def _remember(self, room: Room, seqs: list[int], lines: list[bytes], size: int) -> None:
        """Keep lines in memory, and forget the oldest of all rooms where there are too many."""
        room.head = seqs[-1]
        room.tail.append(seqs, lines)
        self._tail.append((room, room.tail, len(seqs), size))
        self._tail_left -= size
        while self._tail_left < 0:
            oldest, tail, count, size = self._tail.popleft()
            self._tail_left += size
            tail.drop(count)
            self.forget_if_empty(oldest)

    # Reading on

    def _hand_pages(self) -> None:
        for _ in range(min(PAGES_A_TURN, len(self._readers))):
            self._read_next(self._readers.popleft())

    def _read_next(self, listener: Listener) -> None:
        """Read the next page for a listener, in the room whose turn it is; make it live where there is nothing to read.

        One page at a time is on its way to a listener, whatever the number of its rooms: what it does not take is not
        read, and does not fill the memory.
        """
        members = self._behind[listener]
        while members and not listener.paused:
            member = members.popleft()
            member.behind = False
            if member.gone:
                continue
            if member.place < member.room.head:
                self._hand_page(member)
                return
            self._go_live(member)
        for member in members:
            member.behind = False  # its reading begins again when its connection takes more
        del self._behind[listener]

    def _line_up_reader(self, listener: Listener) -> None:
        """Let a listener wait for its next page, once the last one is done with."""
        self._readers.append(listener)
        self._schedule()

    def _hand_page(self, member: Member) -> None:
        room = member.room
        read = self._read_page(room, member.place)
        if read is None and room.waiting is not None:
            member.behind = True
            room.waiting.append(member)
            return
        member.reading = True
        if read is None:
            room.waiting = []
            read = room.read_after(member.place, PAGE, PAGE_BYTES).addBoth(self._page_read, room, member.place)
        read.addCallback(self._hand_on, member, room.head).addErrback(self._read_later, member)

    def _read_page(self, room: Room, seq: int) -> Deferred[Page] | None:
        """Read behind `seq` what is in memory: the tail, or what is left of a page that was read for somebody else.

        Where a whole room has fallen behind, a page of its own for each would take longer to read than it takes to say
        as much again, and nobody would ever be live. So one reads, and the others wait for it: from then on their
        pages end at the same places.
        """
        seq = max(seq, room.log.oldest - 1)
        if seq >= room.tail.floor:
            return room.read_after(seq, PAGE, PAGE_BYTES)
        for of, epoch, start, page in self._pages:
            if of is room and epoch == room.epoch and start <= seq < page.seqs[-1]:
                first = bisect_right(page.seqs, seq)
                return succeed(Page(page.seqs[first:], page.lines[first:]))
        return None

    def _page_read(self, result: Page | Failure, room: Room, start: int) -> Page | Failure:
        if isinstance(result, Page) and result.seqs:
            self._pages.append(_SharedPage(room, room.epoch, start, result))
        waiting, room.waiting = room.waiting, None
        for member in waiting or ():
            self._behind[member.listener].appendleft(member)
            self._line_up_reader(member.listener)
        return result

    def _go_live(self, member: Member) -> None:
        room = member.room
        room.live[member.listener] = None
        del member.own[:]  # what it said itself and the log has no more
        member.listener.settled(0, 0)
        if member.topic is not room.topic:
            self.send(member.listener, room.topic)

    def _hand_on(self, page: Page, member: Member, head: int) -> None:
        member.reading = False
        listener = member.listener
        if not (member.gone or listener.paused):  # what a listener that is paused by now has not got is read again
            lines = without_own(member, page)
            if lines:
                self.send(listener, b"".join(lines))
            if len(lines) < len(page.lines):
                listener.settled(0, 0)  # there is less of its own to remember
            member.place = page.seqs[-1] if page.seqs else head
            self.read_on(member)
        self._line_up_reader(listener)

    def _read_later(self, failure: Failure, member: Member) -> None:
        if not isinstance(failure.value, Unavailable):
            _log.failure("A member could not read on", failure)
        self._reactor.callLater(READ_AGAIN_SECONDS, self._read_again, member)

    def _read_again(self, member: Member) -> None:
        member.reading = False
        if not (member.gone or member.listener.paused):
            self.read_on(member)
        self._line_up_reader(member.listener)


def without_own(member: Member, page: Page) -> list[bytes]:
    """Pick the lines of a page that a member did not say itself, and forget those numbers of its own."""
    if not member.own:
        return page.lines
    own = set(member.own)
    lines = [line for seq, line in zip(page.seqs, page.lines, strict=True) if seq not in own]
    del member.own[: bisect_right(member.own, page.seqs[-1] if page.seqs else 0)]
    return lines

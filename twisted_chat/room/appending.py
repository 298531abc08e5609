"""Appending and fan-out: a turn's messages go into the log together, and from the log to the members.

A room sends its members what it hears from its log (`RoomLog.follow`), no matter who appended it, and an author is
acked when its own record comes by. So nothing is delivered that is not in the log.

Fan-out makes the server fast: the messages of a turn are one append, are written once for each encoding that a live
member reads, and are sent once to each member. An author gets an ack in place of its own message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import clock
from ..log import DELETE, Entry, Log, Record, Unavailable, kind_of
from ..messages import SERVER, SERVER_FAULT, Ack, Code, Error, time_text
from ..names import DIRECT, address_of
from .backlog import Backlog, size_to_send
from .catching_up import CatchingUp
from .members import Listener, Member, Room
from .page import Page
from .tail import Tail, size_of
from .turn import Turn

MESSAGES_A_TURN: Final = 256
"""The maximum number of messages that one turn appends and fans out, some 5 ms of work. The others wait for the next
turn, and other work goes on in between."""

BYTES_A_TURN: Final = 2**24
"""The maximum number of bytes that one turn sends to all members together, unless one message has more: some 20 ms of
work, and the most memory that a turn takes if no member reads. Without it, a thousand members that sent each other
messages of 16 kB had 256 of these in one turn, which took seconds, and 2.7 GB."""

_log = Logger("twisted_chat.room")

_Said = dict[Room, dict[Member, list[Entry]]]
"""Messages by their rooms and authors."""

_Parts = list[tuple[dict[Listener, None], Any]]
"""Parts, each with the listeners that get it."""


class _Append:
    """The messages of one turn, on their way into the log."""

    def __init__(self, entries: list[Entry], began: float) -> None:
        self.entries = entries
        self.said = _by_author(entries)
        """Those that are neither acked nor refused yet."""
        self.began = began


class Appending:
    """Appends messages and fans them out, and bounds the number that stays in memory."""

    def __init__(self, reactor: Any, log: Log, turn: Turn, catching_up: CatchingUp, tail_bytes: int) -> None:
        self._reactor = reactor
        self._log = log
        self._turn = turn
        self._counters = turn.counters
        self._catching_up = catching_up
        self._entries: list[Entry] = []
        """The messages of this turn."""
        self._to_send = 0
        """Their `size_to_send`, in all."""
        self._backlog = Backlog()
        """The messages of earlier turns that are not being appended yet."""
        self._is_blocked = False
        """True once all authors of the backlog were found to wait for rooms that are in an append under way."""
        self._appends: list[_Append] = []
        """The appends that are under way, the oldest first. A room is in one of them at most, so that the messages of a
        room keep their order; acks from different rooms have none."""
        self._rooms: set[Room] = set()
        """The rooms in these appends."""
        self._heard: dict[Room, Sequence[Record]] = {}
        """The records that the rooms have heard from their logs, and that no member was sent yet."""
        self._handled = 0
        """The number of messages so far that were appended or refused."""
        self._waiting: deque[tuple[int, Deferred[None]]] = deque()
        """The Deferreds of `settled` that have not fired, each with the value of `_handled` at which it fires."""
        self._tail_left = tail_bytes
        self._tails: deque[tuple[Room, Tail, int, int]] = deque()
        """The messages in memory, turn by turn from the oldest on: room, tail, count and bytes."""
        self.emptied: list[Room] = []
        """Rooms without any message left in memory."""

    def say(self, entry: Entry, to_send: int = 0) -> None:
        """Append an entry at the end of this turn. Its origin is a `Member`, and `to_send` its `size_to_send`."""
        if not self._entries:
            self._turn.schedule()
        self._entries.append(entry)
        self._to_send += to_send

    def settled(self) -> Deferred[None]:
        """Return a Deferred that fires when every message so far is appended and acked, or refused."""
        done: Deferred[None] = Deferred()
        self._backlog.add(self._entries, self._to_send)
        self._entries, self._to_send = [], 0
        self._backlog.let_others_wait()
        started = sum(len(append.entries) for append in self._appends)
        self._waiting.append((self._handled + started + self._backlog.count, done))
        self._turn.schedule()
        return done

    def tell_settled(self) -> None:
        """Fire the Deferreds of `settled` that are due."""
        while self._waiting and self._waiting[0][0] <= self._handled:
            self._waiting.popleft()[1].callback(None)

    @property
    def is_busy(self) -> bool:
        """True while messages wait to be appended, or are being appended."""
        return self._has_entries or bool(self._appends)

    @property
    def _has_entries(self) -> bool:
        return bool(self._entries or self._backlog.count)

    # Into the log

    def do(self) -> None:
        """Fan out what was heard, and append new messages if the log takes one more append."""
        if self._heard:
            self._hand_out({})
        if self._may_start:
            self._start()

    def has_more(self) -> bool:
        return bool(self._heard) or self._may_start

    @property
    def _may_start(self) -> bool:
        """True if there may be messages that can be appended now."""
        if not self._appends:
            return self._has_entries
        if len(self._appends) >= self._log.most_appends or self._waiting:  # what is waited for goes before the others
            return False
        return bool(self._entries or (self._backlog.count and not self._is_blocked))

    def heard(self, room: Room, records: Sequence[Record]) -> None:
        """Called when a room's log has new records; without records, when it has changed in another way."""
        if room in self._heard:
            self._heard[room] = [*self._heard[room], *records]
        else:
            self._heard[room] = records
        self._turn.schedule()

    def _start(self) -> None:
        entries = self._next_entries()
        if not entries:
            return
        append = _Append(entries, self._counters.commit_started())
        time = clock.milliseconds(self._reactor)
        try:
            now = self._log.append_now(entries, time)
        except Exception:
            self._finish(Failure(), append)
            return
        if now:
            self._finish(None, append)
            return
        self._appends.append(append)
        self._rooms.update(append.said)
        done = maybeDeferred(self._log.append, entries, time).addBoth(self._done, append)
        done.addCallback(lambda _: self._turn.schedule())  # it may take longer than this turn

    def _next_entries(self) -> list[Entry]:
        """Take as many messages as a turn appends out of those that wait, but none that an append has to end for."""
        entries, self._entries = self._entries, []
        to_send, self._to_send = self._to_send, 0
        many = len(entries) > MESSAGES_A_TURN or (len(entries) > 1 and to_send > BYTES_A_TURN)
        if not (many or self._backlog.count or self._appends):
            return entries
        if self._is_blocked and not many:
            return [entry for entry in entries if self._is_free_or_waits(entry)]
        self._backlog.add(entries, to_send)
        taken = self._backlog.take(MESSAGES_A_TURN, BYTES_A_TURN, self._is_free if self._appends else None)
        self._is_blocked = not taken
        return taken

    def _is_free(self, entry: Entry) -> bool:
        """True if the room of a message is in no append that is under way."""
        return entry.origin.room not in self._rooms

    def _is_free_or_waits(self, entry: Entry) -> bool:
        """True for a message that can be appended now. Another one waits, and with it what its author says later."""
        if self._is_free(entry) and not self._backlog.has_from(entry.origin.listener):
            return True
        self._backlog.add([entry], size_to_send(entry))
        return False

    def _done(self, result: Failure | None, append: _Append) -> None:
        self._appends.remove(append)
        self._rooms.difference_update([entry.origin.room for entry in append.entries])
        self._is_blocked = False
        self._finish(result, append)

    def _finish(self, result: Failure | None, append: _Append) -> None:
        self._handled += len(append.entries)
        if result is None:
            self._counters.commit_ended(append.began)
            self._hand_out(append.said)
        else:
            self._counters.commit_failed(append.began)
            self._refuse(append.said, result)
            _settle(append.said)

    def _refuse(self, said: _Said, failure: Failure) -> None:
        entries = [entry for authors in said.values() for own in authors.values() for entry in own]
        code: Code
        if isinstance(failure.value, Unavailable):
            code, text = "unavailable", "the message cannot be stored now: send it again later"
        else:
            _log.failure("Messages could not be stored", failure)
            code, text = "internal", SERVER_FAULT
        self._counters.refused[code] += len(entries)
        for entry in entries:
            member: Member = entry.origin
            room, to = address_of(member.room.name.shown, entry.author.shown)
            error = Error(code=code, msg=text, author=SERVER, id=entry.id, room=room, to=to)
            self._answer(member.listener, member.listener.encoding.reply(error))

    # Out of the log

    def _hand_out(self, said: _Said) -> None:
        """Fan out what was heard, and ack these messages, and those of appends under way that were heard by now."""
        if self._heard and self._appends:
            said = said | self._take_early()
        heard, self._heard = self._heard, {}
        try:
            self._fan_out_all(heard, said)
        except Exception:
            _log.failure("Messages were stored, but could not be sent to all members of their rooms")
        _settle(said)

    def _take_early(self) -> _Said:
        """Take those messages out of the appends under way whose records the rooms have heard by now.

        The log may hand over the records of one room before those of another one, but those of a room together.
        """
        early: _Said = {}
        for append in self._appends:
            for room in append.said.keys() & self._heard.keys():
                entries = chain.from_iterable(append.said[room].values())
                if any(entry.fresh and entry.seq <= entry.room.seq for entry in entries):
                    early[room] = append.said.pop(room)
        return early

    def _fan_out_all(self, heard: dict[Room, Sequence[Record]], said: _Said) -> None:
        for room in heard:
            if room not in said:
                said[room] = {}
        parts: _Parts = []
        try:
            for room, authors in said.items():
                parts += self._fan_out_room(room, heard.get(room, ()), authors, len(said) > 1)
        finally:  # what was written for the rooms before is sent even if one of them fails
            for listeners, part in parts:  # all together: with other work in between, 100 rooms took 5 % longer
                self._turn.hand(listeners, part)

    def _fan_out_room(
        self, room: Room, records: Sequence[Record], authors: dict[Member, list[Entry]], several: bool
    ) -> _Parts:
        """Fan out what one room has heard, as `_fan_out` does. If that fails, its members read it from the log."""
        if room.epoch != room.log.epoch:
            self._begin_anew(room, (records[0].seq if records else room.log.seq + 1) - 1)
        head = room.head
        try:
            return self._fan_out(room, records, authors, several)
        except Exception:
            _log.failure("Messages could not be sent to the members of a room, who read them from the log instead")
            room.head = head
            self._begin_anew(room, room.log.seq)
            return []

    def _begin_anew(self, room: Room, floor: int) -> None:
        """Make all live members read on from the log, since memory may not have all of it up to `floor`."""
        for listener in [listener for listeners in room.live.values() for listener in listeners]:
            member = room.members[listener]
            room.fall_behind(member)
            self._catching_up.read_on(member)
        room.forget(floor)
        room.head = floor
        for reader in room.paced:
            reader.wake()

    def _fan_out(
        self, room: Room, records: Sequence[Record], authors: dict[Member, list[Entry]], several: bool
    ) -> _Parts:
        """Send what a room has heard to its authors, with acks, and return what is handed to the other members."""
        page = Page(room.name.shown, records, room.head)
        gather = several or bool(self._turn.out)
        if records:
            self._counters.messages += len(records)
            self._remember(room, page)
        for member, own in authors.items():
            self._answer_author(member, page, own, gather)
        return self._parts_for_others(room, page, authors, gather) if records else []

    def _answer_author(self, member: Member, page: Page, own: list[Entry], gather: bool) -> None:
        """Send an author what the others get, with acks in place of its own messages.

        Without `gather`, it is written at once. The answers of 200 authors that hear each other are 4 MB, which fit
        into no cache, and which the allocator would take from the system and give back in each turn.
        """
        listener = member.listener
        encoding = listener.encoding
        acks, fresh = _acks(page.room, own)
        if not member.live:
            if not member.gone:
                member.own.extend([entry.seq for entry in own if entry.fresh])
                self._answer(listener, encoding.replies(acks))
            return
        if fresh == len(page.records):  # nobody else has said anything
            answer = encoding.replies(acks)
        else:
            self._counters.deliveries += len(page.records) - fresh
            answer = page.written(encoding).with_answers(own, map(encoding.reply, acks))
        if gather:
            self._turn.send(listener, answer)
        elif answer:
            self._turn.hand((listener,), answer)

    def _answer(self, listener: Listener, part: Any) -> None:
        listener.owes(listener.encoding.size(part))
        self._turn.send(listener, part)

    def _parts_for_others(self, room: Room, page: Page, authors: dict[Member, list[Entry]], gather: bool) -> _Parts:
        """Return the messages of a turn for all members that are not among their authors.

        With `gather`, one of them may get something else in this turn, and is sent both together.
        """
        turn = self._turn
        parts: _Parts = []
        for encoding, listeners in room.live.items():
            others = dict(listeners)
            for member in authors:
                others.pop(member.listener, None)
            whole = page.written(encoding).whole
            self._counters.deliveries += len(others) * len(page.records)
            if gather and (turn.out or turn.in_several):
                for listener in others.keys() & turn.out.keys() | others.keys() & turn.in_several:
                    del others[listener]
                    turn.send(listener, whole)
            parts.append((others, whole))
        for listener in room.paced:
            listener.wake()
        return parts

    # Memory

    def _remember(self, room: Room, page: Page) -> None:
        """Keep messages in memory, and forget the oldest ones of all rooms if there are too many."""
        room.remember(page)
        if any(map(kind_of, page.records)):
            for record in page.records:
                if record.kind == DELETE and record.of is not None:
                    room.take_text(record.of, record.seq)
                    self._catching_up.forget(room)
        size = size_of(page.records)
        self._tails.append((room, room.tail, len(page.records), size))
        self._tail_left -= size
        while self._tail_left < 0:
            oldest, tail, count, size = self._tails.popleft()
            self._tail_left += size
            oldest.drop(tail, count)
            if not (len(tail) or oldest.members):
                self.emptied.append(oldest)


def _acks(room: str, own: list[Entry]) -> tuple[list[Ack], int]:
    """Return the acks of those of an author's entries that have an `id`, and the number of fresh entries."""
    acks: list[Ack] = []
    fresh = 0
    named: str | None = room
    to: str | None = None
    if room[0] == DIRECT:
        named, to = address_of(room, own[0].author.shown)
    for entry in own:
        if entry.fresh:
            fresh += 1
        if entry.id is not None:
            acks.append(Ack(entry.id, named, to, entry.seq, time_text(entry.time)))
    return acks, fresh


def _settle(said: _Said) -> None:
    """Tell the authors of messages that these are acked or refused."""
    for authors in said.values():
        for member, own in authors.items():
            size = 0
            for entry in own:
                size += len(entry.msg)
            member.listener.appends_settled(len(own), size)


def _by_author(entries: list[Entry]) -> _Said:
    said: _Said = {}
    member: Member | None = None
    for entry in entries:
        if entry.origin is not member:
            member = entry.origin
            own = said.setdefault(member.room, {}).setdefault(member, [])
        own.append(entry)
    return said

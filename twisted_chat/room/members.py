"""Rooms, and the members that are in them.

A member is a cursor in a room's log. One that is live stands at its end and is handed each turn's messages as they are
kept; one that is behind reads on from its cursor until it is live (`catching_up`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from ..encoding import Encoding
from ..log import Record, RoomLog
from ..messages import TopicChanged
from ..names import Name
from .page import Page, seq_of
from .tail import Tail


class Listener(Protocol):
    """What a room needs of a participant."""

    nick: Name
    members: dict[str, Member]
    """Its memberships, by the room's key."""
    encoding: Encoding[Any]
    """How it is written to."""
    closed: bool

    @property
    def paused(self) -> bool:
        """True while its connection takes no more."""

    def write(self, part: Any) -> None:
        """Hand what was written in its encoding to its connection."""

    def owes(self, size: int) -> None:
        """Called when so many bytes are on their way to it which it asked for."""

    def appends_settled(self, count: int, size: int) -> None:
        """Called when so many of its messages, with so many characters, were kept, or refused."""

    def caught_up(self) -> None:
        """Called when it has become live in a room, or has less of its own to remember there."""

    def wake(self) -> None:
        """Called, where it reads at its own pace, when there is something to read."""


class Member:
    """A participant's cursor in a room."""

    __slots__ = ("gone", "listener", "live", "own", "place", "room", "topic")

    def __init__(self, listener: Listener, room: Room, place: int) -> None:
        self.listener = listener
        self.room = room
        self.place = place
        """The number up to which it has been handed everything; it counts only while the member is not live."""
        self.live = False
        self.gone = False
        self.topic = room.topic
        """What it was last told of the topic, while it is not live."""
        self.own: array[int] = array("q")
        """Numbers behind its cursor that are its own messages: acked already, so they are not handed to it."""

    def forget_own(self, seq: int) -> bool:
        """Forget which messages were its own, up to a number; true where there were any."""
        count = bisect_right(self.own, seq)
        del self.own[:count]
        return count > 0


class Room:
    """A room that somebody is in, or that has messages in memory."""

    __slots__ = (
        "_page",
        "epoch",
        "head",
        "live",
        "log",
        "members",
        "paced",
        "page_waiters",
        "pinned",
        "presence",
        "tail",
        "topic",
    )

    def __init__(self, log: RoomLog) -> None:
        self.log = log
        self.topic: TopicChanged | None = None
        """The latest change of its topic."""
        self.pinned = False
        """True where it stays open, whoever leaves."""
        self.page_waiters: list[Callable[[], None]] | None = None
        """While a page is being read from the store: the calls of all others that want one, for when it is there."""
        self.epoch = log.epoch
        """The log's, as of what the tail has."""
        self.head = log.seq
        """The number up to which everything has been handed to all members that are live."""
        self.members: dict[Listener, Member] = {}
        self.live: dict[Encoding[Any], dict[Listener, None]] = {}
        """The members that are live, by the encoding that they read."""
        self.paced: dict[Listener, Member] = {}
        """Those that read at their own pace and are never live."""
        self.tail = Tail(log.seq)
        self._page: Page | None = None
        """The last page that was made of the tail."""
        self.presence: IDelayedCall | None = None

    @property
    def name(self) -> Name:
        return self.log.name

    # Who is live

    def go_live(self, member: Member) -> None:
        """Let a member be handed all that is said from now on."""
        member.live = True
        self.live.setdefault(member.listener.encoding, {})[member.listener] = None

    def fall_behind(self, member: Member) -> None:
        """Let a member be handed nothing more, and remember its cursor."""
        if member.live:
            member.live = False
            member.place = self.head
            member.topic = self.topic
            encoding = member.listener.encoding
            listeners = self.live[encoding]
            del listeners[member.listener]
            if not listeners:
                del self.live[encoding]

    def remove(self, member: Member) -> None:
        """Take a member out."""
        self.fall_behind(member)
        member.gone = True
        self.members.pop(member.listener, None)
        self.paced.pop(member.listener, None)

    # What was said

    def remember(self, page: Page) -> None:
        """Take what was said in a turn for the newest part of the log."""
        self.head = page.records[-1].seq
        self.tail.append(page.records)
        self._page = page

    def drop(self, tail: Tail, count: int) -> None:
        """Forget the oldest messages of its tail, or of the one that it had when they were said."""
        tail.drop(count)
        if self._page is not None and self._page.start < tail.floor:
            self._page = None

    def forget(self, floor: int) -> None:
        """Let memory begin anew behind `floor`."""
        self.epoch = self.log.epoch
        self.tail = Tail(floor)
        self._page = None

    def page_after(self, seq: int, most: int, most_bytes: int) -> Page | None:
        """Find what comes behind a number, if memory has it. All who ask for the same are given one page."""
        if self._page is not None and self._page.has_after(seq):
            return self._page
        if seq < self.tail.floor:
            return None
        self._page = Page(self.name.shown, self.tail.after(seq, most, most_bytes), seq)
        return self._page

    def read_after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read on behind `seq`: at least one message if there is any. Fails with `Unavailable`."""
        seq = max(seq, self.log.oldest - 1)  # the tail may still have what retention has taken away
        if seq >= self.tail.floor:
            return succeed(self.tail.after(seq, most, most_bytes))
        return self.log.after(seq, most, most_bytes).addCallback(self._handed_out)

    def read_before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read the newest in front of `seq`. Fails with `Unavailable`."""
        records = self.tail.before(seq, most, most_bytes)
        del records[: bisect_left(records, self.log.oldest, key=seq_of)]
        if records and (len(records) == most or records[0].seq == self.log.oldest):
            return succeed(records)
        return self.log.before(min(seq, self.head + 1), most, most_bytes).addCallback(self._handed_out)

    def _handed_out(self, records: list[Record]) -> list[Record]:
        """Leave out what is in the log already, but has not been handed to the live members yet."""
        while records and records[-1].seq > self.head:
            records.pop()
        return records

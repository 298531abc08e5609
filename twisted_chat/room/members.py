"""Rooms, and the members that are in them.

A member is a cursor in a room's log. A live member stands at the end and is sent the messages of each turn when they
are appended. One that is behind reads on from its cursor until it is live (`catching_up`).
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
from ..messages import TopicChanged, WireError
from ..names import Name
from .page import Page, seq_of
from .tail import Tail


class Listener(Protocol):
    """A participant, as rooms know it."""

    nick: Name
    members: dict[str, Member]
    """Its memberships, by the keys of the rooms."""
    encoding: Encoding[Any]
    """The encoding that it reads."""
    flow: str
    """The flow in which its messages and pages are queued."""
    closed: bool

    @property
    def paused(self) -> bool:
        """True while its connection takes no more."""

    def write(self, part: Any) -> None:
        """Write to its connection, in its encoding."""

    def owes(self, size: int) -> None:
        """Called when an answer of so many bytes was written for it."""

    def appends_settled(self, count: int, size: int) -> None:
        """Called when so many of its messages, with so many characters in all, were appended or refused."""

    def caught_up(self) -> None:
        """Called when it has become live in a room, or has fewer of its own messages to pass over there."""

    def wake(self) -> None:
        """Called when there is something to read, if it reads at its own pace."""


class Member:
    """A participant's cursor in a room."""

    __slots__ = ("gone", "listener", "live", "own", "place", "room", "topic")

    def __init__(self, listener: Listener, room: Room, place: int) -> None:
        self.listener = listener
        self.room = room
        self.place = place
        """The cursor: all messages up to this number were sent to it. It counts only while the member is not live."""
        self.live = False
        self.gone = False
        self.topic = room.topic
        """The last change of the topic that it was sent, while it is not live."""
        self.own: array[int] = array("q")
        """The numbers of its own messages after its cursor. They are acked already, so they are not sent to it."""

    def forget_own(self, seq: int) -> bool:
        """Forget its own messages up to a number. True if there were any."""
        count = bisect_right(self.own, seq)
        del self.own[:count]
        return count > 0


class Room:
    """A room that somebody is in, or that has messages in memory."""

    __slots__ = (
        "_page",
        "doubles",
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
        """The last change of its topic."""
        self.pinned = False
        """True if it stays open when nobody is in it."""
        self.page_waiters: list[Callable[[], None]] | None = None
        """While a page is read from the store, the functions to call then, for all others that want one; else None."""
        self.epoch = log.epoch
        """The epoch of the log as of which the tail is complete."""
        self.head = log.seq
        """All messages up to this number were sent to all live members."""
        self.members: dict[Listener, Member] = {}
        self.doubles = 0
        """The number of members that have the nick of another one: further sessions of an account."""
        self.live: dict[Encoding[Any], dict[Listener, None]] = {}
        """The live members, by the encoding that they read."""
        self.paced: dict[Listener, Member] = {}
        """The readers at their own pace, which are never live."""
        self.tail = Tail(log.seq)
        self._page: Page | None = None
        """The last page that was made from the tail."""
        self.presence: IDelayedCall | None = None

    @property
    def name(self) -> Name:
        return self.log.name

    def check_space(self, most: int) -> None:
        """Raise `WireError` if the room has `most` members."""
        if len(self.members) >= most:
            raise WireError("full", f"{self.name.shown} has {most} members and takes no more: try again later")

    @property
    def count(self) -> int:
        """The number of nicks that are in it."""
        return len(self.members) - self.doubles

    # Who is live

    def go_live(self, member: Member) -> None:
        """Make a member live: it is sent all messages from now on."""
        member.live = True
        self.live.setdefault(member.listener.encoding, {})[member.listener] = None

    def fall_behind(self, member: Member) -> None:
        """Send nothing more to a member, and remember its cursor."""
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
        """Remove a member."""
        self.fall_behind(member)
        member.gone = True
        self.members.pop(member.listener, None)
        self.paced.pop(member.listener, None)

    # What was said

    def remember(self, page: Page) -> None:
        """Add the messages of a turn to the tail."""
        self.head = page.records[-1].seq
        self.tail.append(page.records)
        self._page = page

    def take_text(self, seq: int, deleted: int) -> None:
        """Forget the text of a message, which an entry with the number `deleted` has taken away."""
        self.tail.take_text(seq, deleted)
        self._page = None

    def drop(self, tail: Tail, count: int) -> None:
        """Forget the oldest messages of the tail, or of the one that it had when they were sent."""
        tail.drop(count)
        if self._page is not None and self._page.start < tail.floor:
            self._page = None

    def forget(self, floor: int) -> None:
        """Begin a new tail after the number `floor`."""
        self.epoch = self.log.epoch
        self.tail = Tail(floor)
        self._page = None

    def page_after(self, seq: int, most: int, most_bytes: int) -> Page | None:
        """Return a page with the messages after a number, if memory has them. One page serves all who ask for it."""
        if self._page is not None and self._page.has_after(seq):
            return self._page
        if seq < self.tail.floor:
            return None
        self._page = Page(self.name.shown, self.tail.after(seq, most, most_bytes), seq)
        return self._page

    def read_after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read the messages after `seq`: at least one if there is any. Fails with `Unavailable`."""
        seq = max(seq, self.log.oldest - 1)  # the tail may still have messages that retention has deleted
        if seq >= self.tail.floor:
            return succeed(self.tail.after(seq, most, most_bytes))
        return self.log.after(seq, most, most_bytes).addCallback(self._handed_out)

    def read_before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read the newest messages before `seq`. Fails with `Unavailable`."""
        records = self.tail.before(seq, most, most_bytes)
        del records[: bisect_left(records, self.log.oldest, key=seq_of)]
        if records and (len(records) == most or records[0].seq == self.log.oldest):
            return succeed(records)
        return self.log.before(min(seq, self.head + 1), most, most_bytes).addCallback(self._handed_out)

    def _handed_out(self, records: list[Record]) -> list[Record]:
        """Leave out messages that are in the log and were not sent to the live members yet."""
        while records and records[-1].seq > self.head:
            records.pop()
        return records

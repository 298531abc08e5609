"""The open rooms, and how members join, leave and get notices."""

from __future__ import annotations

from functools import partial
from math import inf
from operator import attrgetter
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from .. import clock
from ..cluster import STANDALONE, Cluster
from ..counters import Counters
from ..log import Log, RoomLog
from ..messages import MemberJoined, MemberLeft, NickChanged, Presence, Reply, TopicChanged
from ..names import Name, is_direct
from .appending import Appending
from .catching_up import CatchingUp
from .departures import Departures
from .members import Listener, Member, Room
from .page import Page
from .turn import Soon, Turn

GATHER_FROM: Final = 100
"""The number of members above which a room has counts in place of notices of each join and leave. To fill a room of N
members then takes N notices, not N²."""

GATHER_SECONDS: Final = 1.0
"""Seconds between two counts of a large room, at least."""

COUNT_SECONDS: Final = 1.0
"""The least time between two looks at all rooms that were begun, once the server has as many rooms as it may have."""

TAIL_BYTES: Final = 2**20
"""The bytes that the newest messages of all rooms take in memory. Older ones are read from the store."""


_members_of = attrgetter("members")


class Rooms:
    """The open rooms. All that happens to them happens in a `turn` of the reactor."""

    def __init__(
        self,
        reactor: Any,
        log: Log,
        tail_bytes: int = TAIL_BYTES,
        soon: Soon | None = None,
        cluster: Cluster = STANDALONE,
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._cluster = cluster
        self._open: dict[str, Room] = {}
        self._opening: dict[str, list[Deferred[Room]]] = {}
        self._begun: dict[Room, None] = {}
        """The open rooms in which nothing was kept when they were last counted."""
        self._counted_at = -inf
        self.counters = Counters(clock.steady(reactor))
        self.turn = Turn(soon or partial(reactor.callLater, 0), self.counters)
        self._departures = Departures(self.turn, self._announce)
        self._catching_up = CatchingUp(reactor, self.turn)
        self._appending = Appending(reactor, log, self.turn, self._catching_up, tail_bytes)
        self.say = self._appending.say
        self.turn.steps += (self._catching_up, self._appending)
        self.turn.last_steps += (self._forget_emptied, self._appending.tell_settled)

    # Rooms

    def get(self, key: str) -> Room | None:
        """Return a room if it is open."""
        return self._open.get(key)

    @property
    def open_count(self) -> int:
        """The number of open rooms."""
        return len(self._open)

    def count_members(self) -> tuple[int, int]:
        """Return the number of members of all open rooms, and of those that are not behind."""
        rooms = self._open.values()
        members = sum(map(len, map(_members_of, rooms)))
        live = sum(len(listeners) for room in rooms for listeners in room.live.values())
        paced = sum(reader in room.members for room in rooms if room.paced for reader in room.paced)
        return members, live + paced

    def count_of(self, room: Room) -> int:
        """Return the number of members of a room, at all servers."""
        return room.count + self._cluster.count(room.name.key)

    def occupied(self) -> list[Room]:
        """List the rooms that somebody is in, without the logs of direct messages."""
        return [room for room in self._open.values() if room.members and not is_direct(room.name.key)]

    def count(self, most: int) -> int:
        """Count the rooms that are kept or open. A number above `most` may be that of a second ago."""
        now = self._reactor.seconds()
        if self._log.room_count + len(self._begun) > most and now >= self._counted_at + COUNT_SECONDS:
            self._counted_at = now
            self._begun = {room: None for room in self._begun if not room.log.is_kept}
        return self._log.room_count + len(self._begun)

    def open(self, name: Name, since: int = 0) -> Deferred[Room]:
        """Return a room, which is opened if it is not. Fails with `Unavailable`.

        A client may have heard of the number `since` at another server. Then the log is looked at first, if it is not
        known to be as long here.
        """
        room = self._open.get(name.key)
        if room is not None and since > room.log.seq:
            return room.log.catch_up_to(since).addCallback(lambda _: self.open(name))
        if room is not None:
            return succeed(room)
        opened: Deferred[Room] = Deferred()
        waiting = self._opening.setdefault(name.key, [])
        waiting.append(opened)
        if len(waiting) == 1:
            self._log.open(name).addCallbacks(self._opened, lambda failure: failure).addBoth(self._fire, name.key)
        return opened

    def _opened(self, log: RoomLog) -> Room:
        room = self._open[log.name.key] = Room(log)
        if not room.log.is_kept:
            self._begun[room] = None
        log.follow(partial(self._appending.heard, room))
        return room

    def _fire(self, result: Room | Failure, key: str) -> None:
        for opened in self._opening.pop(key):
            opened.callback(result)

    def peek(self, name: Name) -> Deferred[Room]:
        """Return a room for one look at its log. It is not kept open. Fails with `Unavailable`."""
        room = self._open.get(name.key)
        return self._log.open(name).addCallback(Room) if room is None else succeed(room)

    def forget_if_empty(self, room: Room) -> None:
        """Close a room without members and messages in memory at the end of this turn, unless that has changed then.

        It is not closed at once: messages that are being appended still come out in this room, for its next members.
        """
        if not (room.members or len(room.tail) or room.pinned):
            self._appending.emptied.append(room)
            self.turn.schedule()

    def _forget_emptied(self) -> None:
        if self._appending.emptied and not self._appending.is_busy:
            rooms, self._appending.emptied = self._appending.emptied, []
            for room in rooms:
                empty = not (room.members or len(room.tail) or room.pinned)
                if empty and self._open.get(room.name.key) is room:  # and not one that was opened after it was closed
                    del self._open[room.name.key]
                    self._begun.pop(room, None)
                    room.log.unfollow()

    # Members

    def enter(self, room: Room, listener: Listener, since: int | None) -> Member:
        """Make a participant a member, after the number `since` or at the end. One that is a member starts again."""
        self._departures.tell_all(room)
        place = room.head if since is None else min(since, max(room.head, room.log.seq))
        old = room.members.get(listener)
        if old is not None:
            room.remove(old)
        elif listener.members:
            self.turn.in_several.add(listener)
        member = room.members[listener] = Member(listener, room, place)
        if place == room.head and not listener.paused:
            room.go_live(member)
        else:
            self._catching_up.read_on(member)
        return member

    def follow(self, room: Room, listener: Listener, since: int) -> Member:
        """Add a reader at its own pace, after the number `since`, which is not a member."""
        member = room.paced[listener] = Member(listener, room, since)
        return member

    def admit(self, member: Member) -> None:
        """Make a reader at its own pace a member, too."""
        member.room.members[member.listener] = member

    def leave(self, member: Member) -> None:
        """Remove a member from its room."""
        member.room.remove(member)
        self._catching_up.forget_member(member)
        if len(member.listener.members) < 2:
            self.turn.in_several.discard(member.listener)
        self.forget_if_empty(member.room)

    def pause(self, member: Member) -> None:
        """Send nothing more to a member, and remember its cursor."""
        self._catching_up.pause(member)

    def read_on(self, member: Member) -> None:
        """Line up a member that is not live for its next page."""
        self._catching_up.read_on(member)

    def read(self, room: Room, seq: int) -> Deferred[Page]:
        """Return a page with the messages after a number. Fails with `Unavailable`."""
        return self._catching_up.read(room, seq)

    # Messages and notices

    def settled(self) -> Deferred[None]:
        """Return a Deferred that fires when every message so far is appended and acked, or refused."""
        return self._appending.settled()

    def send(self, listener: Listener, reply: Reply) -> None:
        """Send a reply to one participant at the end of this turn, after all that it is sent before."""
        self.turn.send(listener, listener.encoding.reply(reply))

    def announce(self, room: Room, notice: MemberJoined | MemberLeft | NickChanged, about: Listener) -> int:
        """Send a notice to the other members of a room; in a large room, only the number of members, a little later.

        Returns how many got it.
        """
        self._departures.tell_all(room)
        self._publish(room, notice)
        return self._announce(room, notice, about)

    def note_silently(self, room: Room, notice: MemberJoined | MemberLeft) -> None:
        """Have other servers note that an account has entered or left here; it is in the room at one of them, too."""
        self._cluster.publish(room.name, notice, room.count, is_told=False)

    def announce_departure(self, room: Room, notice: MemberLeft, gone: Listener) -> None:
        """Send the notice of a member whose connection has ended, as `announce` does, in this turn or a later one."""
        self._publish(room, notice)
        self._departures.add(room, notice, gone)

    def _announce(self, room: Room, notice: MemberJoined | MemberLeft | NickChanged, about: Listener | None) -> int:
        elsewhere = self._cluster.count(room.name.key)
        with_it = len(room.members) + elsewhere + isinstance(notice, MemberLeft)  # the same number as when it joined
        if with_it <= GATHER_FROM:
            return self._tell(room, notice, about)
        if room.presence is None:
            room.presence = self._reactor.callLater(GATHER_SECONDS, self._tell_count, room)
        return 0

    def tell_topic(self, room: Room, topic: TopicChanged, about: Listener) -> int:
        """Send a new topic to the others: now to those who are live, and to the rest once they are."""
        room.topic = topic
        return self.tell_others(room, topic, about)

    def tell_others(self, room: Room, notice: Reply, about: Listener | None) -> int:
        """Send a notice, which is not in the log, to all live members except `about`, at all servers.

        Returns how many got it at this one.
        """
        self._publish(room, notice)
        return self._tell(room, notice, about)

    def hear_notice(self, key: str, notice: Reply) -> None:
        """Send a notice of another server to the members of a room that are here."""
        room = self._open.get(key)
        if room is None:
            return
        if isinstance(notice, MemberJoined | MemberLeft | NickChanged):
            self._departures.tell_all(room)
            self._announce(room, notice, None)
            return
        if isinstance(notice, TopicChanged):
            room.topic = notice
        self._tell(room, notice, None)

    def _publish(self, room: Room, notice: Reply) -> None:
        self._cluster.publish(room.name, notice, room.count)

    def _tell(self, room: Room, notice: Reply, about: Listener | None) -> int:
        count = 0
        for encoding, listeners in room.live.items():
            part = encoding.reply(notice)
            for listener in listeners:
                if listener is not about:
                    self.turn.send(listener, part)
                    count += 1
        return count

    def _tell_count(self, room: Room) -> None:
        room.presence = None
        self._tell(room, Presence(room=room.name.shown, count=self.count_of(room)), None)

"""Catching up: members that are behind read on from their cursors, in pages, until they are live.

Pages come from the newest part of the log, which is in memory, or from the store. If a whole room has fallen behind and
each member read pages of its own, new messages would arrive faster than these were read, and nobody would ever be live.
So one member reads and the others wait for its page; from then on, their pages end at the same places.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..log import Record, Unavailable
from .fair_queue import FairQueue
from .members import Listener, Member, Room
from .page import Page
from .turn import Turn

PAGE: Final = 512
PAGE_BYTES: Final = 2**16
"""The maximum number of messages, and of bytes of text, in a page: about as much as a transport takes at once."""

PAUSED_BYTES: Final = 2**24
LEAST_PAGE_BYTES: Final = 2**12
"""The maximum number of bytes of all pages together that connections have not taken yet. Where many connections take
little, pages are smaller, but not below the second number: a thousand pages of 64 kB took 60 MB."""

PAGES_A_TURN: Final = 8
"""The number of listeners that get a page in one turn: live messages wait for a millisecond or two, even if a crowd
catches up."""

SHARED_PAGES: Final = 32
"""The number of pages of all rooms that stay in memory after they were read, for other readers: 2 MB."""

READ_AGAIN_SECONDS: Final = 1.0
"""Seconds before another attempt to read a page that could not be read."""

_log = Logger("twisted_chat.room")


class _Shared(NamedTuple):
    """A page that was read for one member, and serves others with nearby cursors."""

    room: Room
    epoch: int
    """The epoch of the room when the page was read."""
    page: Page


class CatchingUp:
    """The members that are behind, and the reading of pages for them.

    One page at a time is read for a listener, in however many rooms it is. So pages that it does not take do not fill
    the memory.
    """

    def __init__(self, reactor: Any, turn: Turn) -> None:
        self._reactor = reactor
        self._turn = turn
        self._behind: dict[Listener, dict[Member, None]] = {}
        """The members of each listener that are behind, in the order of their turns. The first may get a page now."""
        self._readers: FairQueue[Listener] = FairQueue()
        """The listeners for which no page is read yet. Those of one address take turns with those of others."""
        self._pages: deque[_Shared] = deque(maxlen=SHARED_PAGES)
        """The pages that were read from the store last."""
        self._paused: set[Listener] = set()
        """The listeners whose connections take no more, and may have a page that is not sent."""

    def pause(self, member: Member) -> None:
        """Send nothing more to a member, and remember its cursor."""
        member.room.fall_behind(member)
        self._paused.add(member.listener)

    def forget_member(self, member: Member) -> None:
        """Called when a member has left its room."""
        self._paused.discard(member.listener)

    @property
    def _page_bytes(self) -> int:
        return max(LEAST_PAGE_BYTES, min(PAGE_BYTES, PAUSED_BYTES // (len(self._paused) or 1)))

    def read_on(self, member: Member) -> None:
        """Line up a member that is not live for its next page."""
        if self._paused:
            self._paused.discard(member.listener)
        if member.live:
            return
        listener = member.listener
        if listener in self._behind:
            self._behind[listener][member] = None
        else:
            self._behind[listener] = {member: None}
            self._line_up(listener)

    def _line_up(self, listener: Listener) -> None:
        self._readers.add(listener.flow, listener)
        self._turn.schedule()

    # Pages

    def read(self, room: Room, seq: int) -> Deferred[Page]:
        """Return a page with the messages after a number. Fails with `Unavailable`."""
        page = self._in_memory(room, seq)
        if page is not None:
            return succeed(page)
        if room.page_waiters is None:
            return self._read(room, seq)
        waited: Deferred[Page] = Deferred()
        room.page_waiters.append(lambda: self._read_again_for(waited, room, seq))
        return waited

    def _read_again_for(self, waited: Deferred[Page], room: Room, seq: int) -> None:
        self.read(room, seq).chainDeferred(waited)

    def _in_memory(self, room: Room, seq: int) -> Page | None:
        page = room.page_after(seq, PAGE, self._page_bytes)
        if page is None:
            for of, epoch, shared in self._pages:
                if of is room and epoch == room.epoch and shared.has_after(seq):
                    return shared
        return page

    def _read(self, room: Room, seq: int) -> Deferred[Page]:
        room.page_waiters = []
        records = room.read_after(seq, PAGE, self._page_bytes)
        return records.addCallback(self._share, room, seq).addBoth(self._call, room)

    def _share(self, records: list[Record], room: Room, seq: int) -> Page:
        page = Page(room.name.shown, records, seq)
        if records:
            self._pages.append(_Shared(room, room.epoch, page))
        return page

    def _call(self, result: Page | Failure, room: Room) -> Page | Failure:
        """Call all that have waited for the page."""
        waiters, room.page_waiters = room.page_waiters, None
        assert waiters is not None
        for call in waiters:
            call()
        return result

    def forget(self, room: Room) -> None:
        """Forget the shared pages of a room, since a text in them may have been deleted."""
        for shared in [shared for shared in self._pages if shared.room is room]:
            self._pages.remove(shared)

    # Members

    def do(self) -> None:
        """Send some listeners their next page."""
        if self._readers.length:
            for _ in range(min(PAGES_A_TURN, self._readers.length)):
                self._readers.serve(self._read_next)

    def has_more(self) -> bool:
        return self._readers.length > 0

    def _read_next(self, listener: Listener) -> int:
        """Read the next page for a listener, in the room whose turn it is. Members without one become live.

        Returns the work, which is the same for each page.
        """
        members = self._behind[listener]
        while members and not listener.paused:
            member = next(iter(members))
            if member.place < member.room.head and not member.gone:
                self._hand_page(member)
                return 1
            if member.place > member.room.head and not member.gone:
                self._next_member(member)  # the room has heard up to there, and sends it in this turn
                return 1
            del members[member]
            if not member.gone:
                self._go_live(member)
        del self._behind[listener]  # those that are left read on when their connection takes more
        return 1

    def _hand_page(self, member: Member) -> None:
        room = member.room
        place = member.place = max(member.place, room.log.oldest - 1)
        page = self._in_memory(room, place)
        if page is None and room.page_waiters is not None:
            room.page_waiters.append(partial(self._line_up, member.listener))
            return
        read = self._read(room, place) if page is None else succeed(page)
        read.addCallback(self._hand_on, member, room.head).addErrback(self._read_later, member)

    def _hand_on(self, page: Page, member: Member, head: int) -> None:
        listener = member.listener
        if not (member.gone or listener.paused):  # what a paused listener was not sent is read again later
            self._turn.send(listener, page.written(listener.encoding).after(member.place, member.own))
            self._turn.counters.paged += page.count_after(member.place)
            member.place = page.end if page.has_after(member.place) else head
            if member.forget_own(member.place):
                listener.caught_up()
        self._next_member(member)

    def _next_member(self, member: Member) -> None:
        """Line up the listener of a member again, with another one of its members in front if it has more."""
        members = self._behind[member.listener]
        members[member] = members.pop(member)
        self._line_up(member.listener)

    def _go_live(self, member: Member) -> None:
        room, listener = member.room, member.listener
        room.go_live(member)
        listener.caught_up()
        if room.topic is not None and member.topic is not room.topic:
            self._turn.send(listener, listener.encoding.reply(room.topic))

    def _read_later(self, failure: Failure, member: Member) -> None:
        if not isinstance(failure.value, Unavailable):
            _log.failure("A member could not read on", failure)
        self._reactor.callLater(READ_AGAIN_SECONDS, self._next_member, member)

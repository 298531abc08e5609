"""Catching up: members that are behind read on from their cursors, in pages, until they are live.

Pages come out of the newest part of the log that is in memory, or out of the store. Where a whole room has fallen
behind, a page of its own for each member would take longer to read than it takes to say as much again, and nobody would
ever be live. So one reads, and the others wait for it: from then on their pages end at the same places.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..log import Record, Unavailable
from .members import Listener, Member, Room
from .page import Page
from .turn import Turn

PAGE: Final = 512
PAGE_BYTES: Final = 2**16
"""Messages, and bytes of text, that one reading of the log hands on: what a transport takes before it says stop."""

PAGES_A_TURN: Final = 8
"""Listeners that read on in one turn, so that live work waits a millisecond or two for a crowd that catches up."""

SHARED_PAGES: Final = 32
"""Pages of all rooms that were read for one reader and are kept for the next: 2 MB."""

READ_AGAIN_SECONDS: Final = 1.0
"""The pause after a page could not be read."""

_log = Logger("twisted_chat.room")


class _Shared(NamedTuple):
    """A page that was read for one reader, for others whose cursors are about there."""

    room: Room
    epoch: int
    """The room's, when it was read."""
    page: Page


class CatchingUp:
    """The members that are behind, and the pages that are on their way to them.

    One page at a time is on its way to a listener, whatever the number of its rooms: what it does not take is not read,
    and does not fill the memory.
    """

    def __init__(self, reactor: Any, turn: Turn) -> None:
        self._reactor = reactor
        self._turn = turn
        self._behind: dict[Listener, dict[Member, None]] = {}
        """Each listener's members that are behind, in the order of their pages; the first may be on its way."""
        self._readers: deque[Listener] = deque()
        """Those among them for whom no page is on its way, in the order in which they get one."""
        self._pages: deque[_Shared] = deque(maxlen=SHARED_PAGES)
        """What was read from the store last."""

    def read_on(self, member: Member) -> None:
        """Let a member that is not live have the next page, when its turn comes."""
        if member.live:
            return
        listener = member.listener
        if listener in self._behind:
            self._behind[listener][member] = None
        else:
            self._behind[listener] = {member: None}
            self._line_up(listener)

    def _line_up(self, listener: Listener) -> None:
        self._readers.append(listener)
        self._turn.schedule()

    # Pages

    def read(self, room: Room, seq: int) -> Deferred[Page]:
        """Read a page that has what comes behind a number. Fails with `Unavailable`."""
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
        page = room.page_after(seq, PAGE, PAGE_BYTES)
        if page is None:
            for of, epoch, shared in self._pages:
                if of is room and epoch == room.epoch and shared.has_after(seq):
                    return shared
        return page

    def _read(self, room: Room, seq: int) -> Deferred[Page]:
        room.page_waiters = []
        return room.read_after(seq, PAGE, PAGE_BYTES).addCallback(self._share, room, seq).addBoth(self._call, room)

    def _share(self, records: list[Record], room: Room, seq: int) -> Page:
        page = Page(room.name.shown, records, seq)
        if records:
            self._pages.append(_Shared(room, room.epoch, page))
        return page

    def _call(self, result: Page | Failure, room: Room) -> Page | Failure:
        """Let those who waited look again."""
        waiters, room.page_waiters = room.page_waiters, None
        assert waiters is not None
        for call in waiters:
            call()
        return result

    # Members

    def do(self) -> None:
        """Hand some listeners their next page."""
        if self._readers:
            for _ in range(min(PAGES_A_TURN, len(self._readers))):
                self._read_next(self._readers.popleft())

    def has_more(self) -> bool:
        return bool(self._readers)

    def _read_next(self, listener: Listener) -> None:
        """Read the next page for a listener, in the room whose turn it is; make it live where there is none to read."""
        members = self._behind[listener]
        while members and not listener.paused:
            member = next(iter(members))
            if member.place < member.room.head and not member.gone:
                self._hand_page(member)
                return
            del members[member]
            if not member.gone:
                self._go_live(member)
        del self._behind[listener]  # those that are left read on when their connection takes more

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
        if not (member.gone or listener.paused):  # what a listener that is paused by now has not got is read again
            self._turn.send(listener, page.written(listener.encoding).after(member.place, member.own))
            member.place = page.end if page.has_after(member.place) else head
            if member.forget_own(member.place):
                listener.caught_up()
        self._next_member(member)

    def _next_member(self, member: Member) -> None:
        """Let the listener of a member have its next page, of another member if it has more of them."""
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

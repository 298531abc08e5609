"""Bare clients, the oldest ones: they know three fields, say no hello, and take the result of one read for one message.

A bare client reads the lobby's log from the moment of its connection on, at its own pace, and gets one object per
segment. Before its first message it is not a member of the room and has no nick.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from . import participant
from .encoding import THREE_FIELDS
from .limits import Limits, SessionBucket
from .log import Unavailable
from .messages import SERVER, Asked, Error, Kicked, MemberJoined, Quit, Say, Stop, WireError
from .names import NOBODY, Name
from .participant import Participant, Wire
from .room import READ_AGAIN_SECONDS, Member, Page, Room

PACE_SECONDS: Final = 0.015
"""Seconds between two segments to a bare client. 10 ms are promised, and the client's machine may wake it up late."""

DRAIN_SECONDS: Final = 1.5
"""Seconds in which a bare client that leaves, or is sent away, still gets what waits to be written."""

MAX_SEGMENTS: Final = 64
"""The maximum number of errors and direct messages that wait to be written, a second's worth. Beyond that, nothing more
is read from the client, and direct messages to it are refused."""

UNFINISHED_TICKS: Final = 4
"""Ticks after which a connection is ended from which an object came in part: two minutes, as for a silent session."""

_log = Logger("twisted_chat.bare")


class BareHost(participant.ParticipantHost, Protocol):
    """The chat, as a bare client knows it."""

    limits: Limits

    def name_bare(self, bare: Bare, label: str) -> Deferred[Name]:
        """Give a bare client a nick, made from the label of its wire. Fails with `Unavailable`."""

    def gone(self, participant: Bare, farewell: str = "") -> None:
        """Take a participant out of its rooms, and give up its nick."""

    def check_entry(self, participant: Participant, room: Name) -> None:
        """Raise `WireError` unless a participant may enter a room, and so read it."""

    def may_enter(self, participant: Participant, room: Name) -> bool:
        """True if a participant may enter a room, and so read it."""


@implementer(IPushProducer)
class Bare(Participant):
    """A bare client. It is a `room.Listener` that reads at its own pace."""

    __slots__ = (
        "_deadline",
        "_drained",
        "_farewell",
        "_member",
        "_page",
        "_reading",
        "_segments",
        "_timer",
        "_transport_paused",
        "ending",
    )

    host: BareHost

    def __init__(self, host: BareHost, wire: Wire, bucket: SessionBucket, lobby: Room, since: int) -> None:
        """Make a bare client that reads the lobby's messages after the number `since`."""
        super().__init__(host, wire, bucket)
        self._member = host.rooms.follow(lobby, self, since)
        self._transport_paused = False
        """True while the transport takes no more."""
        self._segments: list[bytes] = []
        """The errors and direct messages that wait to be written."""
        self._page: list[bytes] = []
        """The segments of the lobby's messages that were read ahead."""
        self._reading = False
        """True while a page is read from the store."""
        self.ending: str | None = None
        """The reason for its end, once it is ending."""
        self._farewell = ""
        self._drained = False
        """True once `DRAIN_SECONDS` are over: nothing more is written to it."""
        self._deadline: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._schedule_write()

    encoding = THREE_FIELDS

    # Requests

    def received(self, request: Asked, size: int = 0) -> None:
        """Handle messages to the lobby and `quit`. Everything else needs a hello."""
        if isinstance(request, Say) and request.room is None and request.to is None:
            request = Say(msg=request.msg, room=self._member.room.name.shown)
        elif not isinstance(request, Quit | WireError):
            request = WireError("not-welcome", "to ask for this, say hello first, with a new connection")
        super().received(request, size)

    def introduce(self) -> Deferred[Member]:
        """Become a member of the lobby, with a nick and a notice to the others. Called for its first message."""
        self._check_entry()
        return self.host.name_bare(self, self.wire.label).addCallback(self._enter)

    def _check_entry(self) -> None:
        """Raise `WireError` unless it may enter the lobby."""
        room = self._member.room
        self.host.check_entry(self, room.name)
        room.check_space(self.host.limits.members)

    def _enter(self, nick: Name) -> Member:
        self.nick = nick
        try:
            self._check_entry()  # again: to name it may have taken a while
        except WireError:
            self.host.gone(self)
            self.nick = NOBODY
            raise
        room = self._member.room
        if self._member.gone:
            self._member = self.host.rooms.follow(room, self, room.head)  # it could not enter, and now it can
        self.members[room.name.key] = self._member
        self.host.rooms.admit(self._member)
        notice = MemberJoined(author=self.nick.shown, room=room.name.shown)
        self.charge(self.host.rooms.announce(room, notice, self))
        return self._member

    def stop_following(self) -> None:
        """Read nothing of the lobby, since it may not be there."""
        self.host.rooms.leave(self._member)

    def put_out(self, notice: Kicked) -> None:
        self._page.clear()
        self.wire.cause = self.wire.cause or "put-out"
        self.turn_away(WireError("denied", notice.msg or f"{notice.author} put you out of the room {notice.room}"))

    def answer_error(self, error: WireError, request: Asked) -> None:
        self.write(self.encoding.reply(Error(code=error.code, msg=error.text, author=SERVER)))

    @property
    def is_welcome(self) -> bool:
        return True

    def is_loaded(self) -> bool:
        return len(self._segments) >= MAX_SEGMENTS

    def owes(self, size: int) -> None:
        """Do nothing. The segments that wait are counted instead."""

    def caught_up(self) -> None:
        super().caught_up()
        self._schedule_write()

    def finished(self) -> None:
        self.end("", cause="closed")

    def tick(self) -> None:
        """Called now and then: a bare client knows no ping, but it is ended if it leaves an object unfinished."""
        self._silent = self._silent + 1 if self.wire.is_unfinished else 0
        if self._silent >= UNFINISHED_TICKS:
            self.end("half an object came two minutes ago, and the rest did not", cause="silent")

    # To the wire

    def write(self, part: tuple[bytes, ...]) -> None:
        self._segments.extend(part)
        self.paused = self._transport_paused or self.is_loaded()
        self.adjust_reading()
        self._schedule_write()

    def end(self, why: str, id: str | None = None, farewell: str = "", cause: str = "server") -> None:
        """Send the reason and end the connection, once all that waits is written, or after `DRAIN_SECONDS`."""
        if self.ending is None:
            self.wire.cause = self.wire.cause or cause
            self.ending = why
            self._farewell = farewell
            self._leaving = True
            self._deadline = self.host.reactor.callLater(DRAIN_SECONDS, self._end_drain)
            self._schedule_write()

    def _end_drain(self) -> None:
        self._deadline = None
        self._drained = True
        self._schedule_write()

    def wake(self) -> None:
        self._schedule_write()

    def pauseProducing(self) -> None:
        self._transport_paused = self.paused = True

    def resumeProducing(self) -> None:
        self._transport_paused = False
        self.paused = self.is_loaded()
        self._schedule_write()

    def stopProducing(self) -> None:
        """Called by the transport at its end. `lost` follows."""

    # Its pace

    def _schedule_write(self) -> None:
        """Write the next segment: now, or when the last one was written long enough ago."""
        if self._timer is None and not self.closed:
            self._timer = self.host.reactor.callLater(0, self._write_next)

    def _write_next(self) -> None:
        self._timer = None
        if self._drained:
            self._stop()
        if self.closed or self._transport_paused:
            return
        segment = self._next_segment()
        if segment is not None:
            self.wire.write(segment)
            self._write_next_in(PACE_SECONDS)
        elif self.ending is not None and not (self._unsettled or self._reading):
            self._stop()

    def _write_next_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()  # a page that was in memory has scheduled the next segment already
        self._timer = self.host.reactor.callLater(seconds, self._write_next)

    def _next_segment(self) -> bytes | None:
        if self._segments:
            segment = self._segments.pop(0)
            self.paused = self.is_loaded()
            self.adjust_reading()
            return segment
        if not self._page and not self._reading:
            self._read()
        return self._page.pop(0) if self._page else None

    def _read(self) -> None:
        member = self._member
        if member.gone:
            return  # it was put out
        room = member.room
        if member.place < room.head:
            self._reading = True
            read = self.host.rooms.read(room, member.place)
            read.addCallback(self._has_read, member, room.head).addErrback(self._cannot_read)

    def _has_read(self, page: Page, member: Member, head: int) -> None:
        self._reading = False
        self._page.extend(page.written(self.encoding).after(member.place, member.own))
        self.turn.counters.paged += page.count_after(member.place)
        member.place = page.end if page.has_after(member.place) else head
        member.forget_own(member.place)
        self._schedule_write()

    def _cannot_read(self, failure: Failure) -> None:
        if not isinstance(failure.value, Unavailable):
            _log.failure("A bare client could not read on", failure)
        self._reading = False
        if self._timer is None and not self.closed:
            self._timer = self.host.reactor.callLater(READ_AGAIN_SECONDS, self._write_next)

    # The end

    def _stop(self) -> None:
        self.close()
        self.wire.write(b"".join(self.encoding.reply(Stop(msg="", author=SERVER))))
        self.wire.close()
        self.host.gone(self, self._farewell)

    def close(self) -> None:
        super().close()
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()
        self._timer = self._deadline = None
        if self.nick is NOBODY:
            self.host.rooms.leave(self._member)

    def make_way(self) -> None:
        """Make way for a session, without a word: the client was not bare. The errors that wait are written now."""
        self.close()
        for segment in self._segments:
            self.wire.write(segment)
        del self._member  # they refer to each other; without this cycle, both are freed at once

    def lost(self) -> None:
        super().lost()
        del self._member

"""The oldest client there is: three fields, no hello, and what one read returns is one message.

It says nothing first, so a new connection is a `Newcomer` until it has said something, or has said nothing for a
moment. A bare client is in the lobby from the start. It reads the room's log at its own pace, an object a segment.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .framing import Frame
from .limits import MAX_ERRORS, NOT_ITS_FAULT, Bucket
from .log import Entry, Unavailable
from .messages import (
    MAX_OBJECT,
    SERVER,
    AnyRequest,
    BareMessage,
    Error,
    MemberJoined,
    Message,
    Quit,
    Say,
    WireError,
    decode_message,
    decode_reply,
    decode_request,
    encode_line,
)
from .names import Name
from .room import READ_AGAIN_SECONDS, Member, Room, Rooms, without_own
from .session import Wire
from .tail import Page

GRACE_SECONDS: Final = 0.25
"""How long a connection may say nothing before it is taken for a bare client: a hello comes with the first segment."""

PACE_SECONDS: Final = 0.015
"""Between two segments to a bare client: 10 ms are promised, and its machine may be slow to wake it."""

DRAIN_SECONDS: Final = 1.5
"""How long a bare client that leaves, or is sent away, is handed what it still has to get."""

PAGE: Final = 64
PAGE_BYTES: Final = 2**14
"""Messages, and bytes, that are read ahead for a bare client: a second's worth."""

MAX_SEGMENTS: Final = 64
"""Errors and direct messages that wait for their turn, a second's worth; then nothing more is read from it, and
others are told that it takes nothing more."""

_log = Logger("twisted_chat.bare")


class Host(Protocol):
    """The chat, as a bare client sees it."""

    rooms: Rooms

    def says_hello(self, wire: Wire, bucket: Bucket) -> Any:
        """Make a session of a connection that knows more than three fields, and return it."""

    def name_bare(self, bare: Bare, label: str) -> Name:
        """Find a nick for a bare client."""

    def gone(self, bare: Bare, farewell: str = "") -> None:
        """Take it out of everything."""


@implementer(IPushProducer)
class Bare:
    """A connection that has not said hello: a bare client, or one that has yet to say what it is.

    It is a `room.Listener` that reads at its own pace, and what a `session.Wire` takes for a participant.
    """

    def __init__(self, host: Host, reactor: Any, wire: Wire, bucket: Bucket, lobby: Room, refusal: WireError | None):
        self.nick: Name | None = None
        self.members: dict[str, Member] = {}
        self.out: list[bytes] | None = None
        self.closed = False
        self.wire = wire
        self._host = host
        self._reactor = reactor
        self._bucket = bucket
        self._lobby = lobby
        self._refusal = refusal
        """Why it cannot stay, if it cannot."""
        self._place = lobby.head
        self._spoken = False
        self._errors = 0
        self._held = False
        """Its connection takes no more for now."""
        self._unread = False
        """Nothing is read from it for now."""
        self._unsettled = 0
        self._segments: list[bytes] = []
        """Errors and direct messages that wait for their turn. A list: an empty deque takes 760 bytes, and everybody is
        a bare client until the hello is read."""
        self._page: list[bytes] = []
        """Segments of the lobby's messages that were read ahead."""
        self._reading = False
        self._ending: str | None = None
        """Why it ends, once it does."""
        self._farewell = ""
        self._drained = False
        """It has had its time; nothing more is handed to it."""
        self._deadline: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None

    def begin(self) -> None:
        """Hear that objects can come from now on: from here the time counts in which it has to say what it is."""
        if self._ending is None:
            self._timer = self._reactor.callLater(GRACE_SECONDS, self._says_nothing)

    @property
    def paused(self) -> bool:
        """Whether it takes no more for now, or has as much before it as it can take for a while."""
        return self._held or len(self._segments) >= MAX_SEGMENTS

    # From the wire

    def received(self, frame: Frame) -> None:
        try:
            if isinstance(frame, WireError):
                raise frame
            request = decode_request(frame)
        except WireError as error:
            if self._is_bare(error.type):
                self._enter()
                self.fault(error)
            else:
                self._says_hello().asked(error)
            return
        if self._is_bare("" if _is_for_lobby(request) else "quit" if isinstance(request, Quit) else "other"):
            self._enter()
            self._asked(request)
        else:
            self._says_hello().asked(request)

    def _is_bare(self, type: str) -> bool:
        """Judge by what it says first: the oldest client has messages and `quit`, and no other type."""
        return self._spoken or type in ("", "quit")

    def _says_hello(self) -> Any:
        self.closed = True
        self._cancel()
        self._host.gone(self)
        session = self._host.says_hello(self.wire, self._bucket)
        session.paused = self._held
        for segment in self._segments:  # what was wrong in front of the hello
            self.wire.write(segment)
        if self._unread:
            self.wire.go_on_reading()
        if self._ending is not None:
            session.end(self._ending)
        if self._refusal is not None:
            session.fault(self._refusal)
            session.end(self._refusal.text)
        return session

    def _asked(self, request: AnyRequest) -> None:
        if self._ending is not None:
            return
        self._spoken = True
        try:
            if isinstance(request, Quit):
                self.end("", request.msg)
                return
            self._bucket.take(self._reactor.seconds)
            if isinstance(request, Say) and _is_for_lobby(request):
                self._say(request)
            else:
                raise WireError("not-welcome", "to ask for this, say hello first, with a new connection")
        except WireError as error:
            self.fault(error)
        else:
            self._errors = 0

    def _says_nothing(self) -> None:
        self._timer = None
        self._enter()

    def _enter(self) -> None:
        """Be in the lobby, from the place on at which the connection was made; at most once."""
        if self.members or self._ending is not None:
            return
        self._cancel()
        if self._refusal is not None:
            self.fault(self._refusal)
            self.end(self._refusal.text)
            return
        self.nick = self._host.name_bare(self, self.wire.label)
        room = self._lobby
        self.members[room.name.key] = self._host.rooms.enter(room, self, self._place, paced=True)
        self._host.rooms.announce(room, MemberJoined(author=self.nick.shown, room=room.name.shown), self)
        self._kick()

    def _say(self, request: Say) -> None:
        (member,) = self.members.values()
        assert self.nick
        self._unsettled += 1
        self._host.rooms.say(Entry(member.room.log, self.nick, request.msg, None, member))

    def owes(self, size: int) -> None:
        """Nothing to do: what waits for its turn is counted where it waits."""

    def settled(self, count: int) -> None:
        self._unsettled -= count
        self._kick()

    def finished(self) -> None:
        self.end("")

    def lost(self) -> None:
        self.closed = True
        self._cancel()
        self._host.gone(self)

    def tick(self) -> None:
        """Nothing to do: a bare client knows no ping; TCP's keepalive finds out that it is gone."""

    # To the wire

    def idle_out(self) -> list[bytes] | None:
        return None

    def write(self, data: bytes) -> None:
        """Take lines of the wire: what a bare client can understand goes on, in three fields."""
        for line in data.splitlines():
            reply = decode_reply(line)
            if isinstance(reply, Message):
                self._queue(*_three_fields(line))
            elif isinstance(reply, Error):
                self._queue(_of_server("error", reply.msg))

    def _queue(self, *segments: bytes) -> None:
        self._segments.extend(segments)
        self._mind_reading()
        self._kick()

    def _mind_reading(self) -> None:
        """Read from the connection, or not: it is told of an error as fast as it takes segments, and no faster."""
        too_much = len(self._segments) >= MAX_SEGMENTS
        if too_much != self._unread and not self.closed:
            self._unread = too_much
            (self.wire.stop_reading if too_much else self.wire.go_on_reading)()

    def fault(self, error: WireError) -> None:
        """Answer that something was wrong; end the connection where nothing else comes from it."""
        if self._ending is not None:
            return
        self._queue(_of_server("error", error.text))
        self._errors += error.code not in NOT_ITS_FAULT
        if self._errors > MAX_ERRORS:
            self.end(f"{self._errors} errors in a row: this is another protocol")

    def end(self, why: str, farewell: str = "") -> None:
        """Say why and end the connection, once it has been handed what it still has to get, or `DRAIN_SECONDS`."""
        if self._ending is None:
            if not self.members:
                self._cancel()  # it said nothing yet: there is no need to wait for it
            self._ending = why
            self._farewell = farewell
            self._deadline = self._reactor.callLater(DRAIN_SECONDS, self._is_late)
            self._kick()

    def _is_late(self) -> None:
        self._deadline = None
        self._drained = True
        self._kick()

    def wake(self, member: Member) -> None:
        self._kick()

    def pauseProducing(self) -> None:
        self._held = True

    def resumeProducing(self) -> None:
        self._held = False
        self._kick()

    def stopProducing(self) -> None:
        """Hear from the transport that it is gone; `lost` follows."""

    # Its pace

    def _kick(self) -> None:
        """Write the next segment, now or when the last one was written long enough ago."""
        if self._timer is None and self._entered() and not self.closed:
            self._timer = self._reactor.callLater(0, self._pump)

    def _entered(self) -> bool:
        return bool(self.members) or self._ending is not None

    def _pump(self) -> None:
        self._timer = None
        if self._drained:
            self._stop()
        if self.closed or self._held:
            return
        segment = self._next_segment()
        if segment is not None:
            self.wire.write(segment)
            self._pump_in(PACE_SECONDS)
        elif self._ending is not None and not (self._unsettled or self._reading):
            self._stop()

    def _pump_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()  # a page that was at hand at once asked for the next segment already
        self._timer = self._reactor.callLater(seconds, self._pump)

    def _next_segment(self) -> bytes | None:
        if self._segments:
            segment = self._segments.pop(0)
            self._mind_reading()
            return segment
        if not self._page and not self._reading:
            for member in self.members.values():
                self._read(member)
        return self._page.pop(0) if self._page else None

    def _read(self, member: Member) -> None:
        room = member.room
        if member.place < room.head:
            self._reading = True
            read = room.read_after(member.place, PAGE, PAGE_BYTES)
            read.addCallback(self._has_read, member, room.head).addErrback(self._cannot_read)

    def _has_read(self, page: Page, member: Member, head: int) -> None:
        self._reading = False
        self._page.extend(segment for line in without_own(member, page) for segment in _three_fields(line))
        member.place = page.seqs[-1] if page.seqs else head
        self._kick()

    def _cannot_read(self, failure: Failure) -> None:
        if not isinstance(failure.value, Unavailable):
            _log.failure("A bare client could not read on", failure)
        self._reading = False
        if self._timer is None and not self.closed:
            self._timer = self._reactor.callLater(READ_AGAIN_SECONDS, self._pump)

    def _stop(self) -> None:
        self.closed = True
        self._cancel()
        self.wire.write(_of_server("stop", ""))
        self.wire.close()
        self._host.gone(self, self._farewell)

    def _cancel(self) -> None:
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()
        self._timer = self._deadline = None


def _is_for_lobby(request: AnyRequest) -> bool:
    """Tell a message of three fields from one for a room or a nick, which is not for everybody to read."""
    return isinstance(request, Say) and request.room is None and request.to is None


def _of_server(type: str, text: str) -> bytes:
    return encode_line(BareMessage(type, text, SERVER))


@lru_cache(maxsize=256)  # one encoding for all bare members, who read the same lines at about the same time
def _three_fields(line: bytes) -> list[bytes]:
    message = decode_message(line)
    return _fitting(message.msg, message.author)


def _fitting(text: str, author: str) -> list[bytes]:
    """Write a message as one object or, where its reader's one read would not return all of that, as several."""
    whole = encode_line(BareMessage("", text, author))
    if len(whole) <= MAX_OBJECT:
        return [whole]
    half = len(text) // 2
    return _fitting(text[:half], author) + _fitting(text[half:], author)

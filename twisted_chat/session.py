"""One participant, whatever wire it came by.

A session's requests are handled in their order, each one when those before it have been answered; only messages may be
under way together, since the log keeps their order. Its connection's say on whether it takes more (`IPushProducer`)
decides whether its rooms hand it messages or wait for it.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .framing import Frame
from .limits import MAX_ERRORS, MAX_OWED, MAX_OWN, MAX_UNSETTLED, MAX_WAITING, NOT_ITS_FAULT, Bucket
from .log import Unavailable
from .messages import SERVER, AnyRequest, Error, PingSent, Quit, Say, Stop, WireError, decode_request, encode_line
from .names import Name
from .room import Member, Rooms

TICK_SECONDS: Final = 30.0
"""How often it is looked who is silent."""

PING_TICKS: Final = 2
"""Ticks of silence after which a ping is sent."""

SILENT_TICKS: Final = PING_TICKS + 4
"""Ticks of silence after which a connection is ended: two minutes after the ping."""

SILENCE_SECONDS: Final = SILENT_TICKS * TICK_SECONDS
"""The same in seconds, within the length of a tick."""

_log = Logger("twisted_chat.session")


Asked = AnyRequest | WireError


class Wire(Protocol):
    """A connection, as a participant sees it."""

    address: str
    """The other end's address, by which its connections are counted; empty where it has none of its own."""
    label: str
    """The other end's port, or what else tells it from others; a bare client's name is made of it."""
    silence_seconds: float
    """Seconds without a sign of life after which its session is ended."""
    participant: Participant
    """Who gets what arrives."""
    longest_object: int
    """Bytes of one object that may arrive."""
    longest_answer: int
    """Bytes of one answer that it hands on at once; what is a list ends there, and the rest is asked for again."""

    def write(self, data: bytes) -> None:
        """Hand whole lines on."""

    def close(self) -> None:
        """End the connection when what was written has gone."""

    def abort(self) -> None:
        """End the connection now."""

    def stop_reading(self) -> None:
        """Let no more arrive for now."""

    def go_on_reading(self) -> None:
        """Let more arrive."""


class Participant(Protocol):
    """Who is at a wire."""

    def received(self, frame: Frame) -> None:
        """Take an object, or what was wrong in the place of one."""

    def finished(self) -> None:
        """Hear that the other end says nothing more, and may still read what it asked for."""

    def lost(self) -> None:
        """Hear that the connection is gone."""

    def tick(self) -> None:
        """Look whether the other end is there; called every `TICK_SECONDS`."""

    def end(self, why: str) -> None:
        """Say why, and end the connection."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Host(Protocol):
    """The chat, as a session sees it."""

    rooms: Rooms

    def handle(self, session: Session, request: AnyRequest) -> Deferred[None] | None:
        """Do what a request asks for; raises `WireError`. A Deferred fires when it is answered, or fails alike."""

    def gone(self, session: Session, farewell: str = "") -> None:
        """Take a session out of everything."""


@implementer(IPushProducer)
class Session:
    """A participant that said hello, or tried to."""

    __slots__ = (
        "_busy",
        "_errors",
        "_going_on",
        "_owed",
        "_silent",
        "_unread",
        "_waiting",
        "bucket",
        "closed",
        "host",
        "members",
        "nick",
        "out",
        "paused",
        "token",
        "unsettled",
        "wire",
        "write",
    )

    def __init__(self, host: Host, wire: Wire, bucket: Bucket) -> None:
        self.host = host
        self.wire = wire
        self.write = wire.write
        self.bucket = bucket
        self.nick: Name | None = None
        """None until it is welcome."""
        self.token: str | None = None
        """The secret of its hello: whoever has it may take the place of this session."""
        self.members: dict[str, Member] = {}
        """Its places, by the room's key."""
        self.out: list[bytes] | None = None
        self.closed = False
        self.paused = False
        self.unsettled = 0
        """Messages of its own that are on their way into the log."""
        self._waiting: deque[Asked] | None = None
        self._busy = False
        """A request is being handled."""
        self._going_on = False
        """Those that waited are being handled."""
        self._errors = 0
        """Errors in a row."""
        self._owed = 0
        """Bytes of answers in this turn, and of all since its connection took no more."""
        self._unread = False
        """Nothing is read from it for now."""
        self._silent = 0
        """Ticks since it was last heard."""

    # From the wire

    def received(self, frame: Frame) -> None:
        self._silent = 0
        try:
            self.asked(frame if isinstance(frame, WireError) else decode_request(frame))
        except WireError as error:
            self.asked(error)

    def asked(self, request: Asked) -> None:
        """Handle a request, or what was wrong in the place of one, when it is its turn."""
        if self.closed:
            return
        if self._waiting or self._must_wait(request):
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(request)
            self._mind_reading()
        else:
            self._handle(request)

    def _must_wait(self, request: Asked) -> bool:
        return (
            self._busy
            or self._owed > MAX_OWED
            or (self.unsettled > 0 and type(request) is not Say)
            or (type(request) is Quit and self._is_behind())
        )

    def _is_behind(self) -> bool:
        return any(self not in member.room.live for member in self.members.values())

    def _handle(self, request: Asked) -> None:
        if isinstance(request, WireError):
            self.fault(request)
            return
        try:
            answered = self.host.handle(self, request)
        except WireError as error:
            self.fault(error, request.id)
            return
        except Exception:
            self._failed(Failure(), request.id)
            return
        if answered is None:
            self._errors = 0
            return
        self._busy = True
        answered.addCallbacks(self._answered, self._failed, errbackArgs=(request.id,))
        answered.addErrback(lambda failure: _log.failure("A request could not be answered", failure))

    def _answered(self, _: None) -> None:
        self._busy = False
        self._errors = 0
        self._go_on()

    def _failed(self, failure: Failure, id: str | None) -> None:
        self._busy = False
        error = failure.value
        if isinstance(error, WireError):
            self.fault(error, id)
        elif isinstance(error, Unavailable):
            self.fault(WireError("unavailable", "this cannot be read or kept now: ask again later"), id)
        else:
            _log.failure("A request failed", failure)
            self.fault(WireError("internal", "the server has a fault, which its log names"), id)
        self._go_on()

    def _go_on(self) -> None:
        """Handle what waited."""
        if self._going_on:
            return  # one of them was answered at once: the loop that handed it out goes on by itself
        self._going_on = True
        while self._waiting and not self.closed and not self._must_wait(self._waiting[0]):
            self._handle(self._waiting.popleft())
        self._going_on = False
        self._mind_reading()

    def says(self) -> None:
        """Hear that one more of its messages is on its way into the log."""
        self.unsettled += 1
        if self.unsettled >= MAX_UNSETTLED and not self._unread:
            self._mind_reading()

    def settled(self, count: int) -> None:
        self.unsettled -= count
        if self._waiting:
            self._go_on()
        elif self.paused or self._unread:
            self._mind_reading()

    # To the wire

    def idle_out(self) -> list[bytes] | None:
        if self._owed and not self.paused:
            if self._owed > MAX_OWED:
                self.host.rooms.soon(self._see_if_taken)
            else:
                self._owed = 0
        return [] if len(self.members) > 1 else None

    def _see_if_taken(self) -> None:
        """Go on after many answers, unless the connection takes no more."""
        if not self.paused:
            self._owed = 0
        self._go_on()

    def owes(self, size: int) -> None:
        self._owed += size
        if self.paused:
            self._mind_reading()

    def reply(self, answer: msgspec.Struct) -> None:
        """Answer at the end of this turn."""
        line = encode_line(answer)
        self.owes(len(line))
        self.host.rooms.send(self, line)

    def fault(self, error: WireError, id: str | None = None) -> None:
        """Answer that something was wrong; end the connection where nothing else comes from it."""
        self.reply(Error(code=error.code, msg=error.text, author=SERVER, id=error.id or id, retry=error.retry))
        self._errors += error.code not in NOT_ITS_FAULT
        if self._errors > MAX_ERRORS:
            self.end(f"{self._errors} errors in a row: this is another protocol")

    def end(self, why: str, id: str | None = None, farewell: str = "") -> None:
        if self.closed:
            return
        self.closed = True
        self.write(b"".join([*(self.out or ()), encode_line(Stop(msg=why, author=SERVER, id=id))]))
        self.wire.close()
        self.host.gone(self, farewell)

    def finished(self) -> None:
        if self.nick is None:
            self.end("")
        else:
            self.asked(Quit())

    def lost(self) -> None:
        self.closed = True
        self.host.gone(self)

    def tick(self) -> None:
        if self.paused or self._unread:
            return  # it is waited for, or not listened to
        self._silent += 1
        if self._silent == PING_TICKS:
            self.reply(PingSent())
        elif self._silent >= SILENT_TICKS:
            self.end("nothing was heard of you for two minutes")

    def free_in(self) -> float | None:
        """Seconds after which its nick is free if nothing is heard from it; None while its silence is not counted."""
        if self.paused or self._unread:
            return None
        return max(TICK_SECONDS, self.wire.silence_seconds - self._silent * TICK_SECONDS)

    # Backpressure

    def pauseProducing(self) -> None:
        self.paused = True
        for member in self.members.values():
            self.host.rooms.pause(member)

    def resumeProducing(self) -> None:
        self.paused = False
        self._owed = 0
        for member in self.members.values():
            self.host.rooms.read_on(member)
        self._go_on()

    def stopProducing(self) -> None:
        """Hear from the transport that it is gone; `lost` follows."""

    def wake(self, member: Member) -> None:
        """Nothing to do: a session's rooms hand it what there is."""

    def _mind_reading(self) -> None:
        """Read from the connection, or not: what it asks for has to be bounded by what it takes."""
        too_much = (
            len(self._waiting or ()) >= MAX_WAITING
            or self.unsettled >= MAX_UNSETTLED
            or (self.paused and self._owed > MAX_OWED)
            or any(len(member.own) > MAX_OWN for member in self.members.values())
        )
        if too_much != self._unread and not self.closed:
            self._unread = too_much
            (self.wire.stop_reading if too_much else self.wire.go_on_reading)()

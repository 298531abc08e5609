"""A session: a participant that has said hello, or has tried to.

Backpressure: a session is the producer of its transport, and is live in its rooms only while the transport takes more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from . import names
from .limits import ANSWER_BYTES, MAX_OWED, MAX_OWN, SessionBucket
from .messages import SERVER, Asked, Error, Kicked, PingSent, Quit, Reply, Say, Stop, WireError, time_text
from .names import NOBODY, Name
from .participant import Participant, ParticipantHost, Wire

TICK_SECONDS: Final = 30.0
"""Seconds between two checks for silent sessions."""

PING_TICKS: Final = 2
"""Ticks of silence after which a ping is sent."""

SILENT_TICKS: Final = PING_TICKS + 4
"""Ticks of silence after which a connection is ended: two minutes after the ping."""

SILENCE_SECONDS: Final = SILENT_TICKS * TICK_SECONDS
"""The same in seconds, to within a tick."""

LEAVING_TICKS: Final = 4
"""Ticks after which a session is ended that has sent `quit` and does not read its earlier answers: two minutes."""

FINAL_CAUSES: Final = frozenset({"replaced"})
"""The causes that a `stop` has as its code, since a client must not connect again by itself after them."""


@implementer(IPushProducer)
class Session(Participant):
    """A participant that has said hello, or has tried to. It is a `room.Listener`."""

    __slots__ = ("_has_half_closed", "encoding", "replays", "token", "write")

    def __init__(self, host: ParticipantHost, wire: Wire, bucket: SessionBucket) -> None:
        super().__init__(host, wire, bucket)
        self.encoding = wire.encoding
        self.write: Callable[[Any], None] = wire.write
        self.token: str | None = None
        """The secret of its hello. A new connection with the same secret may take the place of this session."""
        self.replays: dict[str, int] = {}
        """The logs of direct messages that its hello has named and that are not open yet, by their keys, each with the
        number after which it is replayed."""
        self._has_half_closed = False
        """True once the peer has closed its sending side."""

    # Requests

    def depends(self, request: Asked) -> bool:
        kind = type(request)
        if self.paused and self._owed > MAX_OWED:
            return True
        return kind is not Say and (self._unsettled > 0 or (kind is Quit and self._is_behind()))

    def _is_behind(self) -> bool:
        return any(not member.live for member in self.members.values())

    @property
    def is_welcome(self) -> bool:
        return self.nick is not NOBODY

    def is_loaded(self) -> bool:
        return (self.paused and self._owed > MAX_OWED) or any(
            len(member.own) > MAX_OWN for member in self.members.values()
        )

    # To the wire

    def owes(self, size: int) -> None:
        self.spend(size >> 11)
        if size >= ANSWER_BYTES:
            self.bucket.charge(size // ANSWER_BYTES)
        self._owed += size
        if self._owed > MAX_OWED:
            self._enough = True
        if self.paused:
            self.adjust_reading()

    def reply(self, answer: Reply) -> None:
        """Send an answer at the end of this turn."""
        self.send_part(self.encoding.reply(answer))

    def send_part(self, part: Any) -> None:
        """Send what is written already, at the end of this turn: a reply, or what the wire itself has to answer."""
        self.owes(self.encoding.size(part))
        self.turn.send(self, part)

    def note_life(self) -> None:
        """Called when the peer has shown that it is there, without a request."""
        self._silent = 0

    def put_out(self, notice: Kicked) -> None:
        self.reply(notice)

    def answer_error(self, error: WireError, request: Asked) -> None:
        answer = Error(code=error.code, msg=error.text, author=SERVER, id=request.id, retry=error.retry)
        answer.until = None if error.until is None else time_text(error.until)
        answer.room = _named(request, "room", names.room)
        answer.to = _named(request, "to", names.nick)
        answer.nick = _named(request, "nick", names.nick)
        self.reply(answer)

    def end(self, why: str, id: str | None = None, farewell: str = "", cause: str = "server") -> None:
        if self.closed:
            return
        self.wire.cause = self.wire.cause or cause
        code = cause if cause in FINAL_CAUSES else None
        stop = self.encoding.reply(Stop(msg=why, author=SERVER, id=id, code=code))
        last = self.encoding.join([*self.turn.take(self), stop])
        self.close()
        self.write(last)
        self.wire.close()
        self.host.gone(self, farewell)

    def finished(self) -> None:
        self._has_half_closed = True
        self.wire.cause = self.wire.cause or "closed"
        self._finish()

    def go_on(self) -> None:
        super().go_on()
        if self._has_half_closed:
            self._finish()

    def _finish(self) -> None:
        """End a half-closed session once it has what it asked for.

        One that is not welcome may still be, since its hello may wait for the registry of accounts. If the hello is
        refused, no other one can come.
        """
        if self.is_welcome:
            self.received(Quit())
        elif not (self._busy or self._waiting):
            self.end("")

    def tick(self) -> None:
        self._silent += 1
        if self._leaving:
            if self._silent >= LEAVING_TICKS:
                text = "two minutes after your quit, you have still not read the answers before it"
                self.end(text, cause="silent")
        elif self.paused or self._reading_stopped:
            self._silent -= 1  # the server waits for it, or does not read from it
        elif self._silent == PING_TICKS:
            self.reply(PingSent())
        elif self._silent >= SILENT_TICKS:
            self.end("nothing was heard of you for two minutes", cause="silent")

    def free_in(self) -> float | None:
        """Return the seconds after which its nick is free if it stays silent; None while silence is not counted."""
        if self._leaving:
            return (LEAVING_TICKS - self._silent) * TICK_SECONDS
        if self.paused or self._reading_stopped:
            return None
        return max(TICK_SECONDS, self.wire.silence_seconds - self._silent * TICK_SECONDS)

    # Backpressure

    def pauseProducing(self) -> None:
        if self._turn_number != self.turn.number:
            self.begin_turn()
        self.paused = True
        for member in self.members.values():
            self.host.rooms.pause(member)

    def resumeProducing(self) -> None:
        self.paused = False
        self._owed = 0
        for member in self.members.values():
            self.host.rooms.read_on(member)
        if self.turn.is_full:
            self.go_on_later()
        else:
            self.go_on()

    def stopProducing(self) -> None:
        """Called by the transport at its end. `lost` follows."""

    def wake(self) -> None:
        """Do nothing. Its rooms send it new messages by themselves."""


def _named(request: Asked, field: str, check: Callable[[str], Name]) -> str | None:
    """Return a valid name from a field of a request, for the error about the request; else None."""
    try:
        return check(getattr(request, field, None) or "").shown
    except WireError:
        return None

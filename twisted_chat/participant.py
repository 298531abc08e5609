"""A participant, on any wire: the order of its requests, and how many it may make.

Requests are handled in order, each one when those before it have been answered. The requests of a participant are
bounded in four ways, so that nobody else waits long for them and memory does not grow with them:

- Each request costs a token (`limits.SessionBucket`), a long one more. A participant without tokens is refused
  a few times. Then its requests wait: nothing is read from it until there are tokens again.
- Each request is work. A participant that has used up its quantum in a turn of the reactor goes on in a later turn,
  together with all others that have more work (`room.turn`: fair queueing).
- The requests that wait for their turn are bounded in number and in bytes. Beyond that, nothing more is read.
- Answers that the participant does not take (backpressure) stop the reading, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from .counters import Traffic
from .encoding import Encoding
from .limits import (
    ENTRY_CHARACTERS,
    LOOK_UP,
    MAX_ERRORS,
    MAX_REST_SECONDS,
    MAX_UNSETTLED,
    MAX_WAITING_BYTES,
    NOT_ITS_FAULT,
    QUANTUM,
    TOKEN_BYTES,
    RateLimited,
    SessionBucket,
    price_of_part,
    price_of_telling,
)
from .log import Unavailable
from .messages import SERVER_FAULT, Asked, Kicked, Quit, Say, WireError
from .names import NOBODY
from .room import Member, Rooms
from .rules import Account, Role

KILOBYTE: Final = 1024
"""Bytes of a request that are as much work to read as a short request to handle."""

HELLO_FIRST: Final = 'say hello first, such as {"type": "hello", "nick": "alice"}'

_log = Logger("twisted_chat.participant")


class Wire(Protocol):
    """A connection, as a participant knows it."""

    encoding: Encoding[Any]
    """The encoding of what a session is sent."""
    kind: str
    """The kind of connection for the one who runs the server, such as `tcp` or `udp`."""
    traffic: Traffic
    """The bytes that have come and gone."""
    cause: str
    """The cause of its end, once somebody has decided to end it; empty until then. See `Participant.end`."""
    may_be_bare: bool
    """True if its clients may be bare, and not say hello."""
    address: str
    """The peer's address, by which its connections are counted; empty if it has none of its own."""
    is_local: bool
    """True if its peer is a program of this machine. The client of a proxy is none, whatever address the proxy names;
    a proxy that says nothing of itself cannot be noticed."""
    label: str
    """The peer's port, or something else that distinguishes it. The nick of a bare client is made from it."""
    silence_seconds: float
    """Seconds of silence after which its session is ended."""
    participant: Receiver
    """The receiver of its requests."""
    most_waiting: int
    """The number of its requests that wait for their turn with the participant. At this number, reading stops."""
    longest_object: int
    """The maximum size of a received object, in bytes."""
    longest_answer: int
    """The maximum size of an answer in bytes. A list ends there, and the client asks for the rest."""

    @property
    def flow(self) -> str:
        """The flow in which its work is queued: that of its address, or one of its own if it has none."""

    @property
    def is_unfinished(self) -> bool:
        """True while a request has arrived in part."""

    def write(self, part: Any) -> None:
        """Write to the peer, in its encoding."""

    def close(self) -> None:
        """End the connection once everything written is sent."""

    def abort(self) -> None:
        """End the connection now."""

    def stop_reading(self) -> None:
        """Pass on no more requests for now. Those that have arrived are kept, or the client sends them again."""

    def go_on_reading(self) -> None:
        """Pass on requests again."""


class Receiver(Protocol):
    """A receiver of the requests of a wire."""

    def received(self, request: Asked, size: int) -> None:
        """Called with a request, or with the error in place of one, and its size in bytes."""

    def received_part(self, size: int) -> None:
        """Called when so many bytes have arrived that complete no request."""

    def finished(self) -> None:
        """Called when the peer has closed its sending side. It may still read its answers."""

    def lost(self) -> None:
        """Called when the connection is gone."""

    def tick(self) -> None:
        """Called every `session.TICK_SECONDS`. A silent participant is sent a ping, and is ended later."""

    @property
    def paused(self) -> bool:
        """True while its connection takes no more."""

    def end(self, why: str, *, cause: str = "server") -> None:
        """Say why, and end the connection. `cause` is the same for the log of connections."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class ParticipantHost(Protocol):
    """The chat, as a participant knows it."""

    reactor: Any
    rooms: Rooms

    stopping: bool
    """True once the server stops: requests are ignored."""

    def handle(self, participant: Any, request: Asked) -> Deferred[None] | None:
        """Answer a request. A Deferred fires when that is done. Raises `WireError`, or the Deferred fails with it."""

    def gone(self, participant: Any, farewell: str = "") -> None:
        """Remove a participant from its rooms, and free its nick."""


class Participant(ABC):
    """The part that a `Session` and a `Bare` have in common."""

    __slots__ = (
        "_busy",
        "_enough",
        "_errors",
        "_going_on",
        "_is_over_share",
        "_leaving",
        "_lined_up",
        "_owed",
        "_reading_stopped",
        "_resting",
        "_silent",
        "_turn_number",
        "_unsettled",
        "_waiting",
        "_waiting_bytes",
        "_work",
        "account",
        "bucket",
        "closed",
        "flow",
        "host",
        "members",
        "nick",
        "paused",
        "since",
        "standing",
        "turn",
        "wire",
    )

    def __init__(self, host: ParticipantHost, wire: Wire, bucket: SessionBucket) -> None:
        self.host = host
        self.wire = wire
        self.flow = wire.flow
        self.bucket = bucket
        self.nick = NOBODY
        """Its name, once the others may know of it."""
        self.since = 0
        """When it got its nick (milliseconds since 1970); a session that takes its place takes this over."""
        self.account: Account | None = None
        """Its account, if it has one."""
        self.standing = Role.STRANGER
        """The role that it has everywhere, as far as the gate has asked: a guest's at most, and it never gets less."""
        self.members: dict[str, Member] = {}
        """Its memberships, by the keys of the rooms."""
        self.closed = False
        self.paused = False
        """True while its connection takes no more, or too much waits to be written."""
        self._owed = 0
        """The bytes of the answers in this turn. While its connection takes no more, of all answers since then."""
        self._waiting: deque[tuple[Asked, int]] | None = None
        """The requests that wait for their turn, with their sizes. None until there is one: most never have any."""
        self._waiting_bytes = 0
        self._busy = False
        """True while a request is being handled."""
        self._going_on = False
        """True while the requests that have waited are being handled."""
        self._leaving = False
        """True once it has sent `quit`: later requests are ignored."""
        self._is_over_share = False
        """True once so much has come in this turn that completed no request that the rest waits for another turn."""
        self._lined_up = False
        """True while it waits for its turn, among all with more work."""
        self._resting: IDelayedCall | None = None
        """The call that ends its rest, while it has no tokens."""
        self.turn = host.rooms.turn
        self._turn_number = 0
        self._work = 0
        """The turn of the reactor in which it was last active, and its work in that turn since its quantum began."""
        self._enough = False
        """True if it is not served again in that turn, however little work there is for others."""
        self._reading_stopped = False
        """True while nothing is read from its connection."""
        self._unsettled = 0
        """The characters of its messages that are being appended, with `ENTRY_CHARACTERS` for each."""
        self._errors = 0
        """The number of errors in a row."""
        self._silent = 0
        """The number of ticks since its last request."""

    # What differs between a session and a bare client

    def depends(self, request: Asked) -> bool:
        """True if a request has to wait for earlier requests of this participant, or until it has read more.

        A message waits for nothing as long as the connection is not paused.
        """
        return False

    @property
    def address(self) -> str:
        """The address by which its connection is counted; empty if it has none."""
        return self.wire.address

    @property
    @abstractmethod
    def is_welcome(self) -> bool:
        """True once it may make requests."""

    def introduce(self) -> Deferred[Member] | None:
        """Called before the first message to a room that this participant is not in.

        Returns nothing if it has to join the room by itself; otherwise, fires with its membership.
        """
        return None

    @abstractmethod
    def is_loaded(self) -> bool:
        """True while too much of what it is sent waits to be read."""

    @abstractmethod
    def answer_error(self, error: WireError, request: Asked) -> None:
        """Answer a request with an error."""

    @abstractmethod
    def put_out(self, notice: Kicked) -> None:
        """Called when it was taken out of a room, with what the others there are told."""

    @abstractmethod
    def end(self, why: str, id: str | None = None, farewell: str = "", cause: str = "server") -> None:
        """Send the reason and end the connection. The others get the farewell.

        `cause` is the reason for the one who runs the server: a word or two, with nothing that users have written.
        """

    def free_in(self) -> float | None:
        """Return the seconds after which its nick is free if it stays silent; None if that is not known."""
        return None

    def turn_away(self, error: WireError, farewell: str = "") -> None:
        """Send the reason why this participant cannot stay, and end its connection. The others get the farewell."""
        self.answer_error(error, error)
        self.end(error.text, farewell=farewell, cause=error.code)

    # Requests

    def received(self, request: Asked, size: int = 0) -> None:
        """Handle a request, or the error in place of one, when its turn comes."""
        self._silent = 0
        if self.closed or self._leaving or self.host.stopping:
            return
        kind = type(request)
        if kind is Quit:
            self._leaving = True
        turn = self.turn
        if self._turn_number != turn.number:
            self.begin_turn()
        if self._waiting or (
            (
                kind is not Say
                or self.paused
                or self._busy
                or self._enough
                or self._resting
                or self._work >= turn.quantum
            )
            and self._must_wait(request)
        ):
            self._wait(request, size)
        else:
            self.handle(request, size)

    def _must_wait(self, request: Asked) -> bool:
        if self._busy or self.depends(request):
            return True
        enough = self._enough or self._work >= self.turn.quantum or self._resting is not None
        return enough and type(request) is not Quit  # a quit costs nothing

    def _wait(self, request: Asked, size: int) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append((request, size))
        self._waiting_bytes += size
        if size >= KILOBYTE:
            self.turn.spend(size // KILOBYTE)  # it was read, whenever it is handled
        self._line_up()
        self.adjust_reading()

    def handle(self, request: Asked, size: int) -> None:
        """Handle a request now."""
        work = 1 if size < KILOBYTE else 1 + size // KILOBYTE
        self._work += work
        turn = self.turn
        turn.work += work  # as `spend` does, without a call for each message
        if turn.work >= turn.tightens_at:
            turn.tighten()
        try:
            answered = self.host.handle(self, request)
        except RateLimited as limited:
            self._limit(limited, request, size)
            return
        except WireError as error:
            self.bucket.charge(size // TOKEN_BYTES)
            self._refuse(error, request)
            return
        except Exception:
            self._failed(Failure(), request)
            return
        if size >= TOKEN_BYTES:
            self.bucket.charge(size // TOKEN_BYTES)
        if answered is None:
            self._errors = 0
            return
        self._busy = True
        if answered.paused or not answered.called:
            self.charge_work(LOOK_UP)
        else:  # it was found in memory or by an index, which is nearly as much work
            self.spend(LOOK_UP)
            turn.spend(LOOK_UP)
        answered.addCallbacks(self._answered, self._failed, errbackArgs=(request,))
        answered.addErrback(lambda failure: _log.failure("A request could not be answered", failure))

    def _answered(self, _: None) -> None:
        self._busy = False
        self._errors = 0
        self.go_on()

    def _failed(self, failure: Failure, request: Asked) -> None:
        self._busy = False
        error = failure.value
        if isinstance(error, WireError):
            failure.tb = error.__traceback__ = None  # its frames refer to the failure and to this participant
        elif isinstance(error, Unavailable):
            error = WireError("unavailable", "this cannot be read or stored now: ask again later")
        else:
            _log.failure("A request failed", failure)
            error = WireError("internal", SERVER_FAULT)
        self._refuse(error, request)
        self.go_on()

    def _refuse(self, error: WireError, request: Asked) -> None:
        """Answer with an error. After too many in a row, end the connection."""
        self.turn.counters.refused[error.code] += 1
        self.answer_error(error, request)
        if type(request) is Quit:
            self._leaving = False
        self._errors += error.code not in NOT_ITS_FAULT
        if self._errors > MAX_ERRORS:
            text = f"{self._errors} errors in a row: this connection does not speak the protocol"
            self.end(text, cause="errors")

    def _limit(self, limited: RateLimited, request: Asked, size: int) -> None:
        """Rest until there are tokens; the request is refused, so that the client knows, or waits for that."""
        if limited.is_told:
            self._refuse(limited, request)
        else:
            self._waiting = self._waiting or deque()
            self._waiting.appendleft((request, size))
            self._waiting_bytes += size
        self._rest(min(limited.seconds, MAX_REST_SECONDS))

    def received_part(self, size: int) -> None:
        """Called when so many bytes have arrived that complete no request: they are work, too."""
        work = 1 + size // KILOBYTE
        self.spend(work)
        self.turn.spend(work)
        if self._resting is None and not self.closed:
            wait = self.bucket.take_for_part(price_of_part(size), self.host.reactor.seconds)
            if wait:
                self._rest(min(wait, MAX_REST_SECONDS))
            elif self._work >= self.turn.quantum:
                self._is_over_share = True
                self._line_up()
                self.adjust_reading()

    def go_on(self) -> None:
        """Handle the requests that have waited, as far as possible now, and read on."""
        if self._going_on:
            return  # a request was answered at once, and the loop below goes on by itself
        self._going_on = True
        while self._waiting and not self.host.stopping and not self._must_wait(self._waiting[0][0]):
            request, size = self._waiting.popleft()
            self._waiting_bytes -= size
            self.handle(request, size)
        self._going_on = False
        if self._waiting:
            self._line_up()
        self.adjust_reading()

    def go_on_later(self) -> None:
        """Line up, to go on when it is served: many participants may be able to go on at the same moment.

        Only to look at the next request of each of a thousand connections took half a second.
        """
        self.spend(QUANTUM)
        self._line_up()

    # Its share of a turn

    def spend(self, work: int) -> None:
        """Count work that this participant causes, in requests of some 10 microseconds."""
        if self._turn_number != self.turn.number:
            self.begin_turn()
        self._work += work

    def begin_turn(self) -> None:
        """Start counting anew, in another turn of the reactor."""
        self._turn_number = self.turn.number
        self._work = 0
        self._enough = False
        if not self.paused:
            self._owed = 0

    def charge(self, told: int) -> None:
        """Charge it for the notices that others got because of its request. That ends its turn."""
        if told:
            price = price_of_telling(told)
            self.spend(price)
            self.turn.spend(price)
            self.bucket.charge(price)
            self._enough = True

    def charge_work(self, price: int) -> None:
        """Charge it for a request that is more work than others, such as looking through many members."""
        if price:
            self.spend(price)
            self.turn.spend(price)
            self.bucket.charge(price)

    def _line_up(self) -> None:
        if not self._lined_up and (self._enough or self._work >= self.turn.quantum):
            self._lined_up = True
            self.turn.line_up(self, next_turn=self._enough)

    def take_turn(self) -> int:
        """Go on with the requests that have waited. Returns the work, in requests."""
        self._lined_up = self._is_over_share = False
        if self._turn_number == self.turn.number:
            self._work = 0
        else:
            self.begin_turn()
        self.go_on()
        return self._work

    def _rest(self, seconds: float) -> None:
        """Stop reading from it for so many seconds."""
        self._resting = self.host.reactor.callLater(seconds, self._rested)
        self.adjust_reading()

    def _rested(self) -> None:
        self._resting = None
        self.go_on_later()

    # Appends

    def append_started(self, size: int) -> None:
        """Called when the append of one of its messages, of so many characters, begins."""
        unsettled = self._unsettled = self._unsettled + size + ENTRY_CHARACTERS
        if unsettled >= MAX_UNSETTLED:
            self.adjust_reading()

    def appends_settled(self, count: int, size: int) -> None:
        """Called when so many of its messages, with so many characters in all, were appended or refused."""
        self._unsettled -= count * ENTRY_CHARACTERS + size
        self.caught_up()

    def caught_up(self) -> None:
        """Called when its requests may have to wait no longer, as when it is live in a room."""
        if self._waiting:
            self.go_on()
        elif self._reading_stopped or self.paused:
            self.adjust_reading()

    # Reading

    def adjust_reading(self) -> None:
        """Stop or start reading from the connection, so that its requests are bounded by the answers that it reads."""
        too_much = (
            self._leaving
            or self._resting is not None
            or self._is_over_share
            or len(self._waiting or ()) >= self.wire.most_waiting
            or self._waiting_bytes >= MAX_WAITING_BYTES
            or self._unsettled >= MAX_UNSETTLED
            or self.is_loaded()
        )
        if too_much != self._reading_stopped and not self.closed:
            self._reading_stopped = too_much
            (self.wire.stop_reading if too_much else self.wire.go_on_reading)()

    # The end

    def close(self) -> None:
        """Stop taking part: nothing is read from it or written to it."""
        self.closed = True
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._waiting = None

    def lost(self) -> None:
        """Called when the connection is gone."""
        self.close()
        self.host.gone(self)

"""A participant, whatever wire it came by: the order of its requests, and how much it may ask for.

Requests are handled in their order, each one when those before it have been answered. What one participant asks for is
bounded in four ways, so that nobody else waits long for it and memory does not grow with it:

- Each request costs a token (`limits.SessionBucket`), and a long one more. A participant that has none is told so a few
  times, and then its requests wait: nothing is read from it until there are tokens again.
- Each request is work. Whoever has had its quantum in a turn of the reactor goes on in a later turn, with all others
  that have more to do (`room.turn`: fair queueing).
- What waits for its turn is bounded in requests and in bytes; then nothing more is read.
- What it was sent and does not take (backpressure) stops the reading too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from .encoding import Encoding
from .limits import (
    MAX_ERRORS,
    MAX_REST_SECONDS,
    MAX_UNSETTLED,
    MAX_UNSETTLED_BYTES,
    MAX_WAITING,
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
from .messages import Asked, Quit, WireError
from .names import NOBODY
from .room import Member, Rooms
from .rules import Account

HELLO_FIRST: Final = 'say hello first, such as {"type": "hello", "nick": "alice"}'

_log = Logger("twisted_chat.participant")


class Wire(Protocol):
    """A connection, as a participant sees it."""

    encoding: Encoding[Any]
    """How what a session gets is written."""
    may_be_bare: bool
    """True where the oldest clients come in, which do not say hello."""
    address: str
    """The other end's address, by which its connections are counted; empty where it has none of its own."""
    label: str
    """The other end's port, or what else tells it from others; a bare client's name is made of it."""
    silence_seconds: float
    """Seconds without a sign of life after which its session is ended."""
    participant: Receiver
    """The receiver of what arrives."""
    longest_object: int
    """Bytes of one object that may arrive."""
    longest_answer: int
    """Bytes of one answer that it hands on at once; what is a list ends there, and the rest is asked for again."""

    @property
    def is_unfinished(self) -> bool:
        """True while a request has arrived in part."""

    def write(self, part: Any) -> None:
        """Hand on what was written in its encoding."""

    def close(self) -> None:
        """End the connection when what was written has gone."""

    def abort(self) -> None:
        """End the connection now."""

    def stop_reading(self) -> None:
        """Hand on no more requests for now. What has arrived is kept, or comes again."""

    def go_on_reading(self) -> None:
        """Hand on requests again."""


class Receiver(Protocol):
    """What a wire hands requests to."""

    def received(self, request: Asked, size: int) -> None:
        """Called with a request, or with what was wrong in the place of one, and its size in bytes."""

    def received_part(self, size: int) -> None:
        """Called when so many bytes have arrived that complete no request."""

    def finished(self) -> None:
        """Called when the peer has closed its sending side; it may still read what it asked for."""

    def lost(self) -> None:
        """Called when the connection is gone."""

    def tick(self) -> None:
        """Called every `session.TICK_SECONDS`; a participant that has been silent for long is asked, and then ended."""

    def end(self, why: str) -> None:
        """Say why, and end the connection."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Host(Protocol):
    """The chat, as a participant sees it."""

    reactor: Any
    rooms: Rooms

    stopping: bool
    """True once the server stops: nothing more is heard."""

    def handle(self, participant: Any, request: Asked) -> Deferred[None] | None:
        """Do what a request asks for; raises `WireError`. A Deferred fires when it is answered, or fails alike."""

    def gone(self, participant: Any, farewell: str = "") -> None:
        """Take a participant out of everything."""


class Participant(ABC):
    """The part that a `Session` and a `Bare` have in common."""

    __slots__ = (
        "_busy",
        "_enough",
        "_errors",
        "_going_on",
        "_leaving",
        "_lined_up",
        "_owed",
        "_reading_stopped",
        "_resting",
        "_silent",
        "_turn_number",
        "_unsettled",
        "_unsettled_bytes",
        "_waiting",
        "_waiting_bytes",
        "_work",
        "account",
        "bucket",
        "closed",
        "host",
        "members",
        "nick",
        "paused",
        "turn",
        "wire",
    )

    def __init__(self, host: Host, wire: Wire, bucket: SessionBucket) -> None:
        self.host = host
        self.wire = wire
        self.bucket = bucket
        self.nick = NOBODY
        """Its name among the others, once they may know of it."""
        self.account: Account | None = None
        """Its account, where it has one."""
        self.members: dict[str, Member] = {}
        """Its memberships, by the room's key."""
        self.closed = False
        self.paused = False
        """True while its connection takes no more, or has enough before it."""
        self._owed = 0
        """Bytes of answers in this turn, and of all since its connection took no more."""
        self._waiting: deque[tuple[Asked, int]] | None = None
        """Requests that wait for their turn, with their sizes. None until the first one: most never have any."""
        self._waiting_bytes = 0
        self._busy = False
        """True while a request is being handled."""
        self._going_on = False
        """True while those that waited are being handled."""
        self._leaving = False
        """True once it has said `quit`: nothing that follows is heard."""
        self._lined_up = False
        """True while it waits for its turn among all that have more to do."""
        self._resting: IDelayedCall | None = None
        """The end of its rest, while it has no tokens."""
        self.turn = host.rooms.turn
        self._turn_number = 0
        self._work = 0
        """The turn of the reactor in which it last did something, and the work of that since its quantum began."""
        self._enough = False
        """True where it is not served again in that turn, however little there is to do for others."""
        self._reading_stopped = False
        """True while nothing is read from it."""
        self._unsettled = 0
        self._unsettled_bytes = 0
        """Its messages that are on their way into the log, and the characters in them."""
        self._errors = 0
        """Errors in a row."""
        self._silent = 0
        """Ticks since it was last heard."""

    # What a kind of participant does in its own way

    def depends(self, request: Asked) -> bool:
        """True where a request has to wait for what this participant did before, or has still to get."""
        return False

    @property
    def address(self) -> str:
        """The address by which its connection is counted, empty where it has none."""
        return self.wire.address

    @property
    @abstractmethod
    def is_welcome(self) -> bool:
        """True once it may ask for something."""

    def introduce(self) -> Member | None:
        """Called before the first message to a room that this participant is not in; returns its membership, if any."""
        return None

    @abstractmethod
    def is_loaded(self) -> bool:
        """True while it takes too little of what it is sent."""

    @abstractmethod
    def answer_error(self, error: WireError, request: Asked) -> None:
        """Answer that something was wrong with a request."""

    @abstractmethod
    def end(self, why: str, id: str | None = None, farewell: str = "") -> None:
        """Say why, and end the connection; the others are told the farewell."""

    def free_in(self) -> float | None:
        """Seconds after which its nick is free if nothing is heard from it; None where that is not known."""
        return None

    def turn_away(self, error: WireError) -> None:
        """Tell a new connection why it cannot stay."""
        self.answer_error(error, error)
        self.end(error.text)

    # Requests

    def received(self, request: Asked, size: int = 0) -> None:
        """Handle a request, or what was wrong in the place of one, when its turn comes."""
        self._silent = 0
        if self.closed or self._leaving or self.host.stopping:
            return
        if type(request) is Quit:
            self._leaving = True
        if self._turn_number != self.turn.number:
            self.begin_turn()
        if (
            self._work < self.turn.quantum
            and not (self._waiting or self._busy or self._enough or self._resting)
            and not self.depends(request)
        ):
            self.handle(request, size)
        elif self._waiting or self._must_wait(request):
            self._wait(request, size)
        else:
            self.handle(request, size)

    def _must_wait(self, request: Asked) -> bool:
        if self._busy or self.depends(request):
            return True
        enough = self._enough or self._work >= self.turn.quantum or self._resting is not None
        return enough and type(request) is not Quit  # which costs nothing

    def _wait(self, request: Asked, size: int) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append((request, size))
        self._waiting_bytes += size
        self._line_up()
        self.adjust_reading()

    def handle(self, request: Asked, size: int) -> None:
        """Handle a request now."""
        work = 1 + size // TOKEN_BYTES
        self._work += work
        self.turn.spend(work)
        try:
            answered = self.host.handle(self, request)
        except RateLimited as limited:
            self._limit(limited, request, size)
            return
        except WireError as error:
            self.bucket.charge(work - 1)
            self._refuse(error, request)
            return
        except Exception:
            self._failed(Failure(), request)
            return
        if work > 1:
            self.bucket.charge(work - 1)
        if answered is None:
            self._errors = 0
            return
        self._busy = True
        answered.addCallbacks(self._answered, self._failed, errbackArgs=(request,))
        answered.addErrback(lambda failure: _log.failure("A request could not be answered", failure))

    def _answered(self, _: None) -> None:
        self._busy = False
        self._errors = 0
        self.go_on()

    def _failed(self, failure: Failure, request: Asked) -> None:
        self._busy = False
        error = failure.value
        if isinstance(error, Unavailable):
            error = WireError("unavailable", "this cannot be read or stored now: ask again later")
        elif not isinstance(error, WireError):
            _log.failure("A request failed", failure)
            error = WireError("internal", "the server has met a fault of its own, which its log describes")
        self._refuse(error, request)
        self.go_on()

    def _refuse(self, error: WireError, request: Asked) -> None:
        """Answer that something was wrong; end the connection where nothing else comes from it."""
        self.answer_error(error, request)
        if type(request) is Quit:
            self._leaving = False
        self._errors += error.code not in NOT_ITS_FAULT
        if self._errors > MAX_ERRORS:
            self.end(f"{self._errors} errors in a row: this is another protocol")

    def _limit(self, limited: RateLimited, request: Asked, size: int) -> None:
        """Rest until there are tokens; the request is refused, so that the client knows, or waits for that."""
        if limited.is_told:
            self._refuse(limited, request)
        else:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.appendleft((request, size))
            self._waiting_bytes += size
        self._rest(min(limited.seconds, MAX_REST_SECONDS))

    def received_part(self, size: int) -> None:
        """Called when so many bytes have arrived that complete no request: they are work, too."""
        work = 1 + size // TOKEN_BYTES
        self.spend(work)
        self.turn.spend(work)
        if self._resting is None and not self.closed:
            wait = self.bucket.take_for_part(price_of_part(size), self.host.reactor.seconds)
            if wait:
                self._rest(min(wait, MAX_REST_SECONDS))

    def go_on(self) -> None:
        """Handle what waited, as far as that goes now, and read on."""
        if self._going_on:
            return  # one of them was answered at once: the loop that handed it out goes on by itself
        self._going_on = True
        while self._waiting and not self.host.stopping and not self._must_wait(self._waiting[0][0]):
            request, size = self._waiting.popleft()
            self._waiting_bytes -= size
            self.handle(request, size)
        self._going_on = False
        if self._waiting:
            self._line_up()
        self.adjust_reading()

    # Its share of a turn

    def spend(self, work: int) -> None:
        """Count work that this participant makes, in requests: some 10 microseconds each."""
        if self._turn_number != self.turn.number:
            self.begin_turn()
        self._work += work

    def begin_turn(self) -> None:
        """Count anew: another turn of the reactor has begun."""
        self._turn_number = self.turn.number
        self._work = 0
        self._enough = False
        if not self.paused:
            self._owed = 0

    def charge(self, told: int) -> None:
        """Let it pay for what a request of its made the server tell others; that ends its turn."""
        if told:
            price = price_of_telling(told)
            self.spend(price)
            self.bucket.charge(price)
            self._enough = True

    def _line_up(self) -> None:
        if not self._lined_up and (self._enough or self._work >= self.turn.quantum):
            self._lined_up = True
            self.turn.line_up(self, next_turn=self._enough)

    def take_turn(self) -> int:
        """Go on with what waited; returns the work that it made."""
        self._lined_up = False
        if self._turn_number == self.turn.number:
            self._work = 0
        else:
            self.begin_turn()
        self.go_on()
        return self._work

    def _rest(self, seconds: float) -> None:
        """Ask for nothing, so many seconds long."""
        self._resting = self.host.reactor.callLater(seconds, self._rested)
        self.adjust_reading()

    def _rested(self) -> None:
        self._resting = None
        self.spend(QUANTUM)  # many may wake up together: it lines up with the others
        if self._waiting:
            self._line_up()
        self.adjust_reading()

    # Messages on their way into the log

    def append_started(self, size: int) -> None:
        """Called when one more of its messages, of so many characters, is on its way into the log."""
        self._unsettled += 1
        self._unsettled_bytes += size
        if self._unsettled >= MAX_UNSETTLED or self._unsettled_bytes >= MAX_UNSETTLED_BYTES:
            self.adjust_reading()

    def appends_settled(self, count: int, size: int) -> None:
        """Called when messages of its own were kept, or refused."""
        self._unsettled -= count
        self._unsettled_bytes -= size
        self.caught_up()

    def caught_up(self) -> None:
        """Called when something that its requests waited for has happened."""
        if self._waiting:
            self.go_on()
        elif self._reading_stopped or self.paused:
            self.adjust_reading()

    # Reading

    def adjust_reading(self) -> None:
        """Read from the connection, or stop that: what it asks for has to be bounded by what it takes."""
        too_much = (
            self._leaving
            or self._resting is not None
            or len(self._waiting or ()) >= MAX_WAITING
            or self._waiting_bytes >= MAX_WAITING_BYTES
            or self._unsettled >= MAX_UNSETTLED
            or self._unsettled_bytes >= MAX_UNSETTLED_BYTES
            or self.is_loaded()
        )
        if too_much != self._reading_stopped and not self.closed:
            self._reading_stopped = too_much
            (self.wire.stop_reading if too_much else self.wire.go_on_reading)()

    # The end

    def close(self) -> None:
        """Take part no more: nothing is heard, nothing is written."""
        self.closed = True
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._waiting = None

    def lost(self) -> None:
        """Called when the connection is gone."""
        self.close()
        self.host.gone(self)

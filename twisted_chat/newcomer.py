"""A new connection, until its first request shows whether it is a bare client or a session.

A bare client sends messages and `quit`, and nothing else. Every other request is one of a session. A connection that is
silent for a moment gets the lobby's messages, like a bare client, and may say hello all the same.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from .bare import Bare, BareHost
from .limits import SessionBucket, price_of_part
from .messages import Asked, Quit, Say, WireError
from .participant import HELLO_FIRST, Wire
from .room import Room
from .session import Session

GRACE_SECONDS: Final = 0.25
"""Seconds of silence after which a connection is treated as a bare client. A hello comes with the first segment."""

HELLO_SECONDS: Final = 10.0
"""Seconds within which a hello must come if bare clients are not served: as long as a TLS handshake may take."""


@implementer(IPushProducer)
class Newcomer:
    """A connection without a request so far. It is a `participant.Receiver`."""

    __slots__ = (
        "_bare",
        "_bucket",
        "_host",
        "_lobby",
        "_may_be_bare",
        "_since",
        "_timer",
        "_wire",
        "paused",
        "refusal",
    )

    def __init__(
        self,
        host: BareHost,
        wire: Wire,
        bucket: SessionBucket,
        lobby: Room,
        may_be_bare: bool,
        refusal: WireError | None,
    ) -> None:
        self._may_be_bare = may_be_bare
        self._host = host
        self._wire = wire
        self._bucket = bucket
        self._lobby = lobby
        self.refusal = refusal
        """The reason why it cannot stay, if there is one."""
        self._since = lobby.head
        self.paused = False
        """True while the transport takes no more."""
        self._timer: IDelayedCall | None = None
        self._bare: Bare | None = None
        """The bare client that it is treated as, once it was silent for a moment or sent something unreadable."""

    def begin(self) -> None:
        """Start the time for its first request, which can come from now on."""
        if self._bare is None:
            seconds = GRACE_SECONDS if self._may_be_bare or self.refusal else HELLO_SECONDS
            self._timer = self._host.reactor.callLater(seconds, self._stays_silent)

    def _stays_silent(self) -> None:
        self._timer = None
        if self._may_be_bare:
            self._be_bare()
        else:
            self._be_session().turn_away(WireError("not-welcome", f"nothing was said: {HELLO_FIRST}"))

    # From the wire

    def received(self, request: Asked, size: int = 0) -> None:
        """Become a session or a bare client by the first request that can be read, or by an error before it."""
        if not (self._may_be_bare and _is_of_the_oldest(request)):
            self._be_session().received(request, size)
            return
        bare = self._be_bare()
        if not isinstance(request, WireError):
            self._wire.participant = bare
            bare.received(request, size)
        elif bare.ending is None and not self._host.stopping:
            bare.handle(request, size)  # at once, so that nothing waits if a hello follows

    def received_part(self, size: int) -> None:
        if self._bare is not None:
            self._bare.received_part(size)
        elif self.charge(price_of_part(size)):
            (self._be_bare() if self._may_be_bare else self._be_session()).received_part(0)  # it rests

    def charge(self, price: float) -> float:
        """Charge for what comes before the first request. Returns the seconds for which nothing more should be read."""
        return self._bucket.take_for_part(price, self._host.reactor.seconds)

    def _be_bare(self) -> Bare:
        if self._bare is None:
            self._cancel()
            self._bare = Bare(self._host, self._wire, self._bucket, self._lobby, self._since)
            if self.paused:
                self._bare.pauseProducing()
            if self.refusal is not None:
                self._bare.turn_away(self.refusal)
            elif not self._host.may_enter(self._bare, self._lobby.name):
                self._bare.stop_following()
        return self._bare

    def _be_session(self) -> Session:
        self._cancel()
        session = self._wire.participant = Session(self._host, self._wire, self._bucket)
        session.paused = self.paused
        if self._bare is not None:
            self._bare.make_way()
        if self.refusal is not None:
            session.turn_away(self.refusal)
        elif self._bare is not None and self._bare.ending is not None:
            session.end(self._bare.ending)
        return session

    def finished(self) -> None:
        self.end("", cause="closed")

    def lost(self) -> None:
        self._cancel()
        if self._bare is not None:
            self._bare.lost()

    def tick(self) -> None:
        """Called now and then. It may be silent for as long as TCP's keepalive finds its peer."""
        if self._bare is not None:
            self._bare.tick()

    def end(self, why: str, *, cause: str = "server") -> None:
        """Send the reason and end the connection."""
        (self._be_bare() if self._may_be_bare else self._be_session()).end(why, cause=cause)

    def pauseProducing(self) -> None:
        self.paused = True
        if self._bare is not None:
            self._bare.pauseProducing()

    def resumeProducing(self) -> None:
        self.paused = False
        if self._bare is not None:
            self._bare.resumeProducing()

    def stopProducing(self) -> None:
        """Called by the transport at its end. `lost` follows."""

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_of_the_oldest(request: Asked) -> bool:
    """True for a request of a bare client: a message to the lobby or a `quit`, even if it cannot be read."""
    if isinstance(request, WireError):
        return request.type in ("", "quit")
    return isinstance(request, Quit) or (isinstance(request, Say) and request.room is None and request.to is None)

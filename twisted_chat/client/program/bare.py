"""A bare client (`--bare`): three fields, no hello, and no acks.

A server of the oldest kind takes the result of one read for one message, and ends the connection if it gets two. So
each object is sent in a segment of its own, some time after the last one. The server's objects may follow each other
without a line end, and the author of a message may be a number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint, ITCPTransport, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ...framing import Framer
from ...messages import MAX_OBJECT, SERVER, BareMessage, WireError, encode
from ..answers import Answer
from ..protocol.errors import ChatError, ClosedError, RequestError, UnreachableError
from ..reasons import reason_text

PACE: Final = 0.02
"""Seconds between two objects. The protocol asks for 0.01, and a server with threads may be late by as much again."""

MAX_FRAME: Final = 4 * MAX_OBJECT
"""The maximum size in bytes of an object from the server, which may write six bytes for a character of two."""

END_TIME: Final = 5.0
"""Seconds within which a server has to answer `quit`."""


class BareHeard(msgspec.Struct):
    """A message of such a server. Its author may be the number of a port."""

    type: str = ""
    msg: str = ""
    author: str | int = "self"


class BareClient(Protocol):
    """A connection with three fields. It does not reconnect: without acks, nobody knows what was lost."""

    def __init__(
        self, clock: IReactorTime, heard: Callable[[BareHeard], object], ended: Callable[[ChatError], object]
    ) -> None:
        """Make a client that is not connected yet.

        `heard` is called with each message. `ended` is called with the reason if the connection ends without a goodbye
        of the server. It is then unknown which of the last texts have arrived.
        """
        self._heard = heard
        self._ended = ended
        self._clock = clock
        self._framer = Framer(MAX_FRAME)
        self._queue: deque[tuple[bytes, Answer[None]]] = deque()
        self._pace = LoopingCall(self._send)
        self._pace.clock = clock
        self._closing = False
        self._closing_now = False
        self._stopped = False
        self._why = ""
        """The reason for which this client ends the connection."""
        self._silent = True
        """True while the server has sent nothing, so that it may speak another protocol."""
        self._over: Answer[None] = Answer()

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            # Otherwise the kernel joins small segments, and one read returns two objects.
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        for frame in self._framer.feed(data):
            if isinstance(frame, WireError):
                continue
            try:
                message = msgspec.json.decode(frame, type=BareHeard)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            self._silent = False
            self._stopped |= message.type == "stop" and message.author == SERVER
            self._heard(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._pace.running:
            self._pace.stop()
        why = "the server stopped" if self._stopped else self._why or reason_text(reason)
        error = ClosedError(why, wanted=self._closing)
        lost, self._queue = self._queue, deque()
        for _, answer in lost:
            answer.errback(error)
        if not (self._closing_now or (self._closing and self._stopped)):
            self._ended(UnreachableError(why, why, foreign=True) if self._silent else error)
        self._over.callback(None)

    def say(self, text: str) -> Answer[None]:
        """Send a message. The answer comes when it is sent; the server does not confirm that it has arrived."""
        try:
            frame = encode(BareMessage(msg=text))
        except UnicodeEncodeError:
            return Answer.failed(RequestError("bad-message", "this cannot be written in UTF-8"))
        if len(frame) > MAX_OBJECT:
            return Answer.failed(
                RequestError("too-long", f"this is too long: at most {MAX_OBJECT:,} bytes are allowed")
            )
        if self._over.called or self._closing:
            return Answer.failed(ClosedError("the connection is closed"))
        return self._enqueue(frame)

    async def close(self, flush: bool = True) -> None:
        """Send all messages and `quit`, and wait for the end of the connection. With `flush=False`, end it now."""
        self._closing = True
        self._closing_now = not flush
        if not self._over.called and flush:
            # If the connection ends before this is sent, nobody is left to read it.
            self._enqueue(encode(BareMessage(type="quit"))).addErrback(lambda _: None)
            timer = self._clock.callLater(END_TIME + PACE * len(self._queue), self._give_up)
            try:
                await self._over
            finally:
                if timer.active():
                    timer.cancel()
        self._abort()

    def _give_up(self) -> None:
        self._why = f"the server did not answer within {END_TIME:.0f} seconds"
        self._abort()

    def _abort(self) -> None:
        if not self._over.called:
            cast(Any, self.transport).abortConnection()

    def _enqueue(self, frame: bytes) -> Answer[None]:
        answer: Answer[None] = Answer()
        self._queue.append((frame, answer))
        if not self._pace.running:
            self._pace.start(PACE)
        return answer

    def _send(self) -> None:
        if not self._queue:
            self._pace.stop()  # the pause after the last object has passed
            return
        frame, answer = self._queue.popleft()
        cast(ITransport, self.transport).write(frame)
        answer.callback(None)


class _Bare(Factory):
    noisy = False

    def __init__(self, client: BareClient) -> None:
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> BareClient:
        return self._client


def connect_bare(
    endpoint: IStreamClientEndpoint,
    clock: IReactorTime,
    heard: Callable[[BareHeard], object],
    ended: Callable[[ChatError], object],
) -> Answer[BareClient]:
    """Connect to a server that knows three fields. Raises `UnreachableError`."""
    client = BareClient(clock, heard, ended)

    def unreachable(failure: Failure) -> BareClient:
        reason = reason_text(failure)
        raise UnreachableError(f"cannot reach the server: {reason}", reason) from failure.value

    return Answer.following(endpoint.connect(_Bare(client)).addCallbacks(lambda _: client, unreachable))

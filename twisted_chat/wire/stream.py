"""Whatever is spoken over a stream: how a connection begins and ends, TLS, and backpressure.

A wire over a stream is a subclass of `Stream` that says how requests are cut out of the bytes, how one is read, and how
answers are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeGuard
from typing import Protocol as TypingProtocol

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from ..chat import Chat
from ..encoding import Encoding
from ..framing import Frame
from ..messages import MAX_OBJECT, Asked
from ..participant import Receiver
from ..session import SILENCE_SECONDS

if TYPE_CHECKING:
    from twisted.protocols.tls import TLSMemoryBIOProtocol

HANDSHAKE_SECONDS: Final = 10.0
"""Seconds that a TLS handshake may take. Until it is done, the connection is nobody, but counts as one."""

CLOSE_SECONDS: Final = 30.0
"""Seconds that the peer of a connection that is being closed may take to read what was written; then it is cut."""

LINGER_SECONDS: Final = 1.0
"""Seconds that the peer may then take to close its side. If a socket is closed in which something unread has arrived,
the kernel resets the connection, and the peer may lose what it had not read yet: acks, and why the connection ends."""

PIECE: Final = 2**12
"""Bytes of a read that are cut into objects at a time, up to the next line end: a read has up to 64 kB, which may be
thousands of objects, and whoever has had its quantum of them keeps nobody waiting with the rest. A line that comes in
one piece is found out to be an object at a twentieth of what it costs in several."""


class _Transport(TypingProtocol):
    """The part of a transport that is used here: what every stream transport of Twisted's has."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def registerProducer(self, producer: Receiver, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...


def _is_plain(transport: object) -> TypeGuard[Connection]:
    """True if a transport's bytes are those of its socket."""
    return isinstance(transport, Connection) and not transport.TLS


def _is_tls(transport: object) -> TypeGuard[TLSMemoryBIOProtocol]:
    """True if a transport encrypts, and tells when its handshake is done."""
    if not (ISSLTransport.providedBy(transport) and isinstance(transport, ProtocolWrapper)):
        return False
    from twisted.protocols.tls import TLSMemoryBIOProtocol  # it needs OpenSSL, which is there now

    return isinstance(transport, TLSMemoryBIOProtocol)


def writer(transport: _Transport) -> Callable[[bytes], None]:
    """Make a function that writes to a transport, where possible without a detour through the reactor.

    A TLS transport gathers what is written until the next turn, for those who write little by little; here a turn's
    lines come as one piece, so that is left out. What TLS has encrypted it hands to the `write` of the plain transport
    beneath, which is the only way in.
    """
    if _is_plain(transport):
        return _straight(transport)
    if _is_tls(transport):
        from twisted.protocols.tls import TLSMemoryBIOProtocol

        beneath = transport.transport
        if _is_plain(beneath):
            beneath.write = _straight(beneath)  # type: ignore[method-assign]
            return partial(TLSMemoryBIOProtocol.write, transport)
    return transport.write


def _straight(transport: Connection) -> Callable[[bytes], None]:
    """Make a function that hands bytes to a socket, and to its transport's queue only what the socket does not take.

    `transport.write` waits for the next turn, and costs two changes of the poller and a wake-up. While a plain socket
    has nothing queued, its kernel takes the bytes at once; only what it does not take is left to the transport, which
    also finds out by itself that a connection is lost.
    """
    queue: Callable[[bytes], None] = transport.write
    send = transport.getHandle().send

    def write(data: bytes) -> None:
        if transport.dataBuffer or transport._tempDataBuffer:
            queue(data)
            return
        try:
            sent = send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            queue(data[sent:])

    return write


class Cutter(TypingProtocol):
    """Cuts what arrives into the bytes of one request each."""

    @property
    def is_unfinished(self) -> bool:
        """True while a request has arrived in part."""

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Take what has arrived next; returns the requests that are whole now, or what is wrong in place of one."""


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Stream(Protocol):
    """A connection. It is a `participant.Wire`: what arrives goes as requests to its participant."""

    encoding: Encoding[bytes]
    """How what a session gets is written."""
    make_cutter: Callable[[], Cutter]
    """Makes what cuts this connection's bytes."""
    read_request: Callable[[Frame], Asked]
    """Reads what the cutter returns. A static method."""
    may_be_bare = False
    longest_object = MAX_OBJECT
    longest_answer = 2**18
    """Bytes of an answer that a client holds at once."""
    silence_seconds = SILENCE_SECONDS
    transport: _Transport  # type: ignore[assignment]  # Twisted says ITransport, and gives more
    write: Callable[[bytes], None]
    """Hands what was written in the encoding to the transport."""

    def __init__(self, chat: Chat, address: str, label: str) -> None:
        self.address = address
        self.label = label
        self._chat = chat
        self._cutter = self.make_cutter()
        self._data = b""
        """The part of a read that is not cut into objects yet."""
        self._frames: list[Frame] = []
        """Objects that were not handed on yet, the next one last: an empty deque would take 760 bytes."""
        self._held = False
        """True while the participant takes no requests."""
        self._handing_on = False
        self._reading = True
        self._participant: Receiver | None = None
        self._closing = False
        self._deadline: IDelayedCall | None = None

    @property
    def participant(self) -> Receiver:
        assert self._participant
        return self._participant

    @participant.setter
    def participant(self, participant: Receiver) -> None:
        if self._participant is not None:
            self.transport.unregisterProducer()
        self._participant = participant
        self.transport.registerProducer(participant, True)

    @property
    def is_unfinished(self) -> bool:
        return self._cutter.is_unfinished

    # From the transport

    def connectionMade(self) -> None:
        if not self._chat.admits(self.address):
            self._closing = True
            self.abort()
            return
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self.write = writer(self.transport)
        handshakes = _is_tls(self.transport)
        self._chat.connected(self, ready=not handshakes)
        if handshakes:
            self._deadline = self._chat.reactor.callLater(HANDSHAKE_SECONDS, self._give_up)

    def handshakeCompleted(self) -> None:
        if not self._closing:
            self._cancel_deadline()
            self._chat.begin(self)

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        if self._held or self._data or self._frames or len(data) > PIECE:
            self._data += data
            self._hand_on()
            return
        frames = self._cutter.feed(data)
        if len(frames) == 1:  # as nearly always
            frame = frames[0]
            self._participant.received(self.read_request(frame), len(frame))  # type: ignore[union-attr]  # it is set by now
        elif frames:
            self._frames = [*reversed(frames)]
            self._hand_on()
        else:
            self.participant.received_part(len(data))

    def _hand_on(self) -> None:
        """Hand on what was read, as long as the participant takes it; what it does not take is not even cut."""
        if self._handing_on:
            return  # the participant takes more while it is handed something
        self._handing_on = True
        while not (self._held or self._closing):
            if self._frames:
                frame = self._frames.pop()
                self._participant.received(self.read_request(frame), len(frame))  # type: ignore[union-attr]  # as above
            elif self._data:
                end = self._data.find(b"\n", PIECE, PIECE + MAX_OBJECT) + 1 or PIECE + MAX_OBJECT
                piece, self._data = self._data[:end], self._data[end:]
                self._frames = [*reversed(self._cutter.feed(piece))]
                if not self._frames:
                    self.participant.received_part(len(piece))
            else:
                break
        self._handing_on = False
        self._adjust_reading()

    def _adjust_reading(self) -> None:
        """Read from the transport, unless there is something that has not been handed on yet."""
        if self._closing:
            self._data = b""
            self._frames.clear()
            return
        wanted = not (self._data or self._frames)
        if wanted != self._reading:
            self._reading = wanted
            (self.transport.resumeProducing if wanted else self.transport.pauseProducing)()

    def readConnectionLost(self) -> None:
        """Called when the peer has closed its sending side; it may still read."""
        if self._closing:
            self.transport.loseConnection()
        else:
            self.participant.finished()

    def writeConnectionLost(self) -> None:
        """Called when all that was written has gone, and with it that this is the end; the peer closes next."""
        assert self._deadline
        self._deadline.cancel()
        self._deadline = self._chat.reactor.callLater(LINGER_SECONDS, self._let_go)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_deadline()
        if self._participant is not None:
            self._chat.disconnected(self)

    # From the participant

    def close(self) -> None:
        self._closing = True
        self.transport.unregisterProducer()
        self._cancel_deadline()
        self._deadline = self._chat.reactor.callLater(CLOSE_SECONDS, self._give_up)
        if _is_plain(self.transport):
            self.transport.resumeProducing()  # what comes now is thrown away, but it has to be read
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.abort()

    def _let_go(self) -> None:
        self._deadline = None
        self.transport.loseConnection()

    def abort(self) -> None:
        self.transport.abortConnection()

    def stop_reading(self) -> None:
        self._held = True  # the transport is paused when something more arrives: mostly that is not so soon

    def go_on_reading(self) -> None:
        self._held = False
        self._hand_on()


class StreamFactory(Factory):
    """Makes a `Stream` of some kind for each connection, and the chat keeps track of them."""

    noisy = False
    protocol: type[Stream]

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._count = 0

    def buildProtocol(self, addr: IAddress | None) -> Stream:
        self._count += 1
        address = getattr(addr, "host", "")
        label = str(getattr(addr, "port", f"u{self._count}"))  # a Unix socket has no port
        protocol = self.protocol(self.chat, address, label)
        protocol.factory = self
        return protocol

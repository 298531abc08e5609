"""Connections over a stream, in any protocol: how they begin and end, TLS, and backpressure.

A wire over a stream is a subclass of `Stream` that defines how requests are cut from the bytes, how one is read, and
how answers are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeGuard
from typing import Protocol as TypingProtocol

from twisted.internet.address import UNIXAddress
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
from ..counters import Traffic
from ..encoding import Encoding
from ..framing import Frame
from ..limits import LEAST_QUANTUM, flow_of, is_loopback
from ..messages import MAX_OBJECT, Asked
from ..participant import Receiver
from ..session import SILENCE_SECONDS

if TYPE_CHECKING:
    from twisted.protocols.tls import TLSMemoryBIOProtocol

HANDSHAKE_SECONDS: Final = 10.0
"""Seconds that a TLS handshake may take. Before its end, the connection counts, but has no participant."""

CLOSE_SECONDS: Final = 30.0
"""Seconds that the peer of a closing connection may take to read everything written. After that, it is aborted."""

LINGER_SECONDS: Final = 1.0
"""Seconds that the peer may then take to close its side. If a socket is closed with received bytes that are not read,
the kernel resets the connection, and the peer may lose what it has not read yet: acks, and the reason for the end."""

READ_BYTES: Final = 2**13
"""Bytes of a read at most, which wait here while a connection has no tokens, and of what waits to be written when the
connection counts as one that takes no more. With Twisted's 64 kB for both, a thousand of them took 120 MB."""

SMALL: Final = 1024
"""Bytes of a read that are cut at once, as nearly all reads are."""

LINES: Final = 2 * LEAST_QUANTUM
"""The maximum number of lines of a piece: those that are handled in any turn, and those that may wait with the
participant. To cut 4 kB of `{]` lines took 2.5 ms, which a flood of a thousand connections made the server do in one
turn."""

LONG: Final = 2**12
BRACKET: Final = 24
"""The bytes that a bracket counts for in an object of 4 kB or more, and in a part of any. 16 kB of `{},` take 0.6 ms to
cut out of two reads and to decode, as much as 100 kB of text. While a part counted by its bytes alone, a turn in which
a thousand connections sent such parts took 280 ms."""

FRAMES: Final = 8
"""Frames that are as much work to cut out of the bytes as one request, where they are short or wrong."""

PIECE: Final = 2**12
"""Bytes of a read that are cut into objects at a time, up to the next line end. A read has up to 64 kB, which may be
thousands of objects, and the rest need not be cut before a participant gets its next quantum. To recognise a line that
comes in one piece as an object takes a twentieth of the time that it takes in several."""


class _Transport(TypingProtocol):
    """The part of a transport that is used here, which every stream transport of Twisted has."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def registerProducer(self, producer: Receiver, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def getPeer(self) -> IAddress: ...
    def getHost(self) -> IAddress: ...


def _is_plain(transport: object) -> TypeGuard[Connection]:
    """True if the bytes of a transport are those of its socket."""
    return isinstance(transport, Connection) and not transport.TLS


def _is_tls(transport: object) -> TypeGuard[TLSMemoryBIOProtocol]:
    """True if a transport encrypts, and reports the end of its handshake."""
    if not (ISSLTransport.providedBy(transport) and isinstance(transport, ProtocolWrapper)):
        return False
    from twisted.protocols.tls import TLSMemoryBIOProtocol  # imported here, since it needs OpenSSL, which is there now

    return isinstance(transport, TLSMemoryBIOProtocol)


def writer(transport: _Transport) -> tuple[Callable[[bytes], None], Traffic]:
    """Return a function that writes to a transport, if possible without a detour through the reactor.

    It counts what it writes in the traffic that is returned, too; with TLS, these are the encrypted bytes.

    A TLS transport gathers the writes of a turn, for programs that write little by little. Here the lines of a turn are
    one write, so the gathering is left out. TLS passes encrypted bytes to the `write` of the plain transport beneath,
    which is the only way to change that.
    """
    if _is_plain(transport):
        socket = _SocketWriter(transport)
        return socket.write, socket
    if _is_tls(transport):
        from twisted.protocols.tls import TLSMemoryBIOProtocol

        beneath = transport.transport
        if _is_plain(beneath):
            socket = _SocketWriter(beneath)
            beneath.write = socket.write  # type: ignore[method-assign]  # see above
            return partial(TLSMemoryBIOProtocol.write, transport), socket
    other = _CountingWriter(transport)
    return other.write, other


def release(transport: _Transport) -> None:
    """Undo what `writer` has done to the transport beneath TLS, which would refer to itself for ever."""
    beneath = getattr(transport, "transport", None)
    if beneath is not None:
        vars(beneath).pop("write", None)


class _SocketWriter(Traffic):
    """A writer to a socket, which queues only the rest in its transport.

    `transport.write` waits for the next turn, and costs two changes of the poller and a wake-up. While nothing is
    queued for a plain socket, the kernel takes the bytes at once. Only the rest goes to the transport, which also finds
    out by itself that a connection is lost.

    All that a write needs is in this object. Each other object that it looked at would be another miss of the
    processor's cache for each member of a room. As a closure, it had three times as many.
    """

    __slots__ = ("_may_have_queued", "_queue", "_send", "_transport")

    def __init__(self, transport: Connection) -> None:
        super().__init__()
        self._transport = transport
        self._queue: Callable[[bytes], None] = transport.write
        self._send: Callable[[bytes], int] = transport.getHandle().send
        self._may_have_queued = True
        """True until the queue of the transport is found empty, and again once there are bytes in it."""

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        if self._may_have_queued:
            transport = self._transport
            if transport.dataBuffer or transport._tempDataBuffer:
                self._queue(data)
                return
            self._may_have_queued = False
        send = self._send
        try:
            sent = send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            self._may_have_queued = True
            self._queue(data[sent:])


class _CountingWriter(Traffic):
    """A writer to any other transport."""

    __slots__ = ("_write",)

    def __init__(self, transport: _Transport) -> None:
        super().__init__()
        self._write = transport.write

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        self._write(data)


def _weight(data: bytes) -> int:
    """Return the size of a long frame or of a part of one in bytes, and more if it consists of brackets."""
    return len(data) + BRACKET * (data.count(b"{") + data.count(b"["))


class Cutter(TypingProtocol):
    """Cuts a stream into the bytes of requests."""

    @property
    def is_unfinished(self) -> bool:
        """True while a request has arrived in part."""

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Take received bytes. Returns the requests that are whole now, or an error in place of one."""


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Stream(Protocol):
    """A connection over a stream. It is a `participant.Wire`, and passes requests to its participant."""

    encoding: Encoding[bytes]
    """The encoding of what a session is sent."""
    make_cutter: Callable[[], Cutter]
    """Makes the cutter of this connection."""
    read_request: Callable[[Frame], Asked]
    """Reads a request from the bytes of the cutter. A static method."""
    kind = ""
    """The kind of connection, if it is always the same; empty for `tcp`, `tls` or `unix`."""
    cause = ""
    is_local = False
    may_be_bare = False
    begins_with_objects = True
    """False if something else comes before the first object, and the wire itself calls `Chat.begin`."""
    longest_object = MAX_OBJECT
    most_waiting = LEAST_QUANTUM
    """The others stay bytes here, which takes less: with 64 wrong lines waiting at each of a thousand connections, a
    look for cycles among the objects took 25 ms, and there was one in every third turn."""
    longest_answer = 2**18
    """The maximum size in bytes of an answer, as a client can hold it."""
    silence_seconds = SILENCE_SECONDS
    transport: _Transport  # type: ignore[assignment]  # Twisted says ITransport, and gives more
    write: Callable[[bytes], None]
    """Writes to the transport, in the encoding."""

    def __init__(self, chat: Chat, address: str, label: str) -> None:
        self.address = address
        self.label = label
        self.traffic = Traffic()
        """The traffic that its writer counts, once the connection is admitted."""
        self._chat = chat
        self._turn = chat.rooms.turn
        self._cutter = self.make_cutter()
        self._data = b""
        """The part of a read that is not cut into requests yet."""
        self._frames: list[Frame] = []
        """The requests that were not passed on yet, the next one last: an empty deque would take 760 bytes."""
        self._held = False
        """True while the participant takes no requests."""
        self._lined_up = False
        """True while what has come waits for a turn that is not full."""
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
    def flow(self) -> str:
        return flow_of(self.address, self.label)  # a proxy in front may say later which address that is

    @property
    def is_unfinished(self) -> bool:
        return self._cutter.is_unfinished

    @property
    def is_encrypted(self) -> bool:
        """True if the connection has TLS, as far as the server knows."""
        return _is_tls(self.transport)

    # From the transport

    def connectionMade(self) -> None:
        if not self._chat.admits(self.address):
            self._closing = True
            self.abort()
            return
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        for layer in self.transport, getattr(self.transport, "transport", None):
            if isinstance(layer, Connection):
                layer.bufferSize = READ_BYTES
        self.write, self.traffic = writer(self.transport)
        handshakes = _is_tls(self.transport)
        self.kind = self.kind or ("tls" if handshakes else "tcp" if self.address else "unix")
        self._chat.connected(self, ready=self.begins_with_objects and not handshakes)
        if handshakes:
            self._deadline = self._chat.reactor.callLater(HANDSHAKE_SECONDS, self._give_up)

    def handshakeCompleted(self) -> None:
        if not self._closing:
            self._cancel_deadline()
            self._chat.begin(self)

    def dataReceived(self, data: bytes) -> None:
        self.traffic.received += len(data)
        if self._closing:
            return
        if self._turn.is_full and not (self._lined_up or self._held):
            self._lined_up = True
            self._turn.line_up_new(self)
        if self._held or self._lined_up or self._data or self._frames or len(data) > SMALL:
            self._data += data
            self._hand_on()
            return
        frames = self._cutter.feed(data)
        if len(frames) == 1:  # as it is nearly always
            frame = frames[0]
            self._participant.received(self.read_request(frame), len(frame))  # type: ignore[union-attr]  # it is set by now
        elif frames:
            self._keep(frames)
            self._hand_on()
        else:
            self.participant.received_part(self._weigh_part(data))

    def _hand_on(self) -> None:
        """Pass on requests for as long as the participant takes them. The rest of the bytes is not even cut."""
        if self._handing_on:
            return  # the participant takes more during this loop
        self._handing_on = True
        read_request = self.read_request
        while not (self._held or self._closing or self._lined_up):
            if self._frames:
                frame = self._frames.pop()
                size = len(frame)
                if size >= LONG and isinstance(frame, bytes):
                    size = _weight(frame)
                self._participant.received(read_request(frame), size)  # type: ignore[union-attr]  # as above
            elif self._data:
                end = self._end_of_piece()
                piece, self._data = self._data[:end], self._data[end:]
                if frames := self._cutter.feed(piece):
                    self._keep(frames)
                else:
                    self.participant.received_part(self._weigh_part(piece))
            else:
                break
        self._handing_on = False
        self._adjust_reading()

    def take_turn(self) -> int:
        """Pass on what came when the turn was full. Returns no work, since each request counts its own."""
        self._lined_up = False
        self._hand_on()
        return 0

    def _weigh_part(self, data: bytes) -> int:
        """Return the bytes that a read counts for that completes no request."""
        return _weight(data)

    def _end_of_piece(self) -> int:
        """Return the end of the next piece of the data: `PIECE` and the rest of a line, or the end of so many lines."""
        data = self._data
        end = data.find(b"\n", PIECE, PIECE + MAX_OBJECT) + 1 or PIECE + MAX_OBJECT
        if data.count(b"\n", 0, end) <= LINES:
            return end
        return sum(map(len, data[:end].split(b"\n", LINES)[:LINES])) + LINES

    def _keep(self, frames: Sequence[Frame]) -> None:
        """Keep frames that are passed on next, and count the work of cutting them if they are many."""
        self._frames = [*reversed(frames)]
        if len(frames) >= FRAMES:
            self._turn.spend(len(frames) // FRAMES)

    def _adjust_reading(self) -> None:
        """Read from the transport, unless requests wait to be passed on."""
        if self._closing:
            self._data = b""
            self._frames.clear()
            return
        wanted = not (self._data or self._frames)
        if wanted != self._reading:
            self._reading = wanted
            (self.transport.resumeProducing if wanted else self.transport.pauseProducing)()

    def readConnectionLost(self) -> None:
        """Called when the peer has closed its sending side. It may still read."""
        if self._closing:
            self.transport.loseConnection()
        else:
            self.participant.finished()

    def writeConnectionLost(self) -> None:
        """Called when everything written was sent, with the end of this side. The peer closes its side next."""
        assert self._deadline
        self._deadline.cancel()
        self._deadline = self._chat.reactor.callLater(LINGER_SECONDS, self._let_go)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._closing:
            self.transport.unregisterProducer()
        self._closing = True  # what still waits is not passed on
        self._cancel_deadline()
        if self._participant is not None:
            self._chat.disconnected(self)
            self._participant = None  # they refer to each other; without this cycle, all is freed at once
        release(self.transport)

    # From the participant

    def close(self) -> None:
        self._closing = True
        self.transport.unregisterProducer()
        self._cancel_deadline()
        self._deadline = self._chat.reactor.callLater(CLOSE_SECONDS, self._give_up)
        if _is_plain(self.transport):
            self.transport.resumeProducing()  # the bytes that come now are ignored, but have to be read
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.cause = self.cause or "handshake"
        self.abort()

    def _let_go(self) -> None:
        self._deadline = None
        self.transport.loseConnection()

    def abort(self) -> None:
        self.transport.abortConnection()

    def stop_reading(self) -> None:
        self._held = True  # the transport is paused when more bytes arrive, which is mostly later

    def go_on_reading(self) -> None:
        self._held = False
        self._hand_on()


class StreamFactory(Factory):
    """Makes a `Stream` of one kind for each connection. The chat keeps track of them."""

    noisy = False
    protocol: type[Stream]
    is_proxied = False
    """True if a proxy with PROXY headers is in front, so that no connection counts as one of this machine."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._count = 0

    def buildProtocol(self, addr: IAddress | None) -> Stream:
        self._count += 1
        address = getattr(addr, "host", "")
        label = str(getattr(addr, "port", f"u{self._count}"))  # a Unix socket has no port
        protocol = self.protocol(self.chat, address, label)
        protocol.factory = self
        protocol.is_local = not self.is_proxied and (isinstance(addr, UNIXAddress) or is_loopback(address))
        return protocol

"""JSON objects over a WebSocket (RFC 6455): one object is one text message, in the frames of `frames.py`.

Frames that carry no request are charged for like requests. A connection begins with HTTP: until its upgrade, a
`Visitor` serves it (`web/visit.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Protocol

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..chat import Chat
from ..encoding import Encoding, object_of
from ..log import Record
from ..messages import Reply, encode, read_request
from ..participant import Receiver
from ..session import Session
from .frames import GOING_AWAY, NORMAL, PONG, TEXT, FrameCutter, close_frame, frame
from .stream import Stream, StreamFactory

PIECE: Final = 1024
"""Bytes that are cut into frames at a time, unless one frame is longer: at most 170 frames, which take 0.1 ms."""


class _TextMessages(Encoding[bytes]):
    """One object in each text message. Nothing is compressed, so that a frame is the same for everybody."""

    def message(self, room: str, record: Record) -> bytes:
        obj = object_of(room, record)
        return b"" if obj is None else frame(TEXT, encode(obj))

    def reply(self, reply: Reply) -> bytes:
        return frame(TEXT, encode(reply))

    join = staticmethod(b"".join)
    size = staticmethod(len)


TEXT_MESSAGES: Final[Encoding[bytes]] = _TextMessages()


class Visitor(Receiver, Protocol):
    """What serves a connection until its upgrade."""

    def begin(self) -> None:
        """Called when the peer can send its first request."""

    def data_received(self, data: bytes) -> None:
        """Called with received bytes."""


class WebSocket(Stream):
    """A connection to a place of the web: HTTP at first, and a WebSocket after its upgrade."""

    encoding = TEXT_MESSAGES
    make_cutter = FrameCutter
    read_request = staticmethod(read_request)
    kind = "http"
    """The kind until the upgrade, and `websocket` from then on."""
    begins_with_objects = False
    _cutter: FrameCutter

    def __init__(self, chat: Chat, address: str, label: str) -> None:
        super().__init__(chat, address, label)
        self._visitor: Visitor | None = None
        """What serves the connection before its upgrade; None after it."""
        self._newcomer: Receiver | None = None
        """The participant that begins with the upgrade."""
        self.proxy: str | None = None
        """The address of the proxy in front, if it is trusted to name its clients; empty for a Unix socket."""
        self._close_code = NORMAL
        self._close_reason = ""

    def connectionMade(self) -> None:
        super().connectionMade()
        if self._closing:
            return
        assert isinstance(self.factory, WebSocketFactory)
        self._newcomer = self.participant
        self.participant = self._visitor = self.factory.make_visitor(self)
        if self._deadline is None:  # without TLS
            self._visitor.begin()

    def handshakeCompleted(self) -> None:
        super().handshakeCompleted()
        if self._visitor is not None and not self._closing:
            self._visitor.begin()

    def upgrade(self, response: bytes, address: str) -> None:
        """Be a WebSocket from now on. The client has the address that a proxy has named, or that of the connection."""
        newcomer = self._newcomer
        assert newcomer is not None
        self._visitor = self._newcomer = None
        self.participant = newcomer
        self._chat.upgraded(self, "websocket", address)
        self.write(response)
        self._chat.begin(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._visitor = self._newcomer = None  # they refer to this wire

    def dataReceived(self, data: bytes) -> None:
        if self._visitor is not None:
            self.traffic.received += len(data)
            if not self._closing:
                self._visitor.data_received(data)
            return
        super().dataReceived(data)
        self._handle_control_frames()

    def _hand_on(self) -> None:
        super()._hand_on()
        self._handle_control_frames()

    def _end_of_piece(self) -> int:
        return max(PIECE, self._cutter.missing)

    def _weigh_part(self, data: bytes) -> int:
        cutter, size = self._cutter, len(data)  # a part of a message is not looked through, only the whole one
        if cutter.extra:
            size, cutter.extra = size + cutter.extra, 0
            if isinstance(self.participant, Session):
                self.participant.note_life()
        return size

    def _handle_control_frames(self) -> None:
        """Charge for frames that are no whole message, answer a ping, and end the connection after a close frame."""
        if self._closing:
            return
        cutter, participant = self._cutter, self.participant
        if cutter.extra:
            participant.received_part(self._weigh_part(b""))
        if cutter.ping is not None:
            pong, cutter.ping = frame(PONG, cutter.ping), None
            if isinstance(participant, Session):
                participant.send_part(pong)
            else:
                self.write(pong)
        if cutter.ending is None or self._frames:
            return
        self._close_code, self._close_reason = cutter.ending
        if cutter.ending.fault:
            participant.end(cutter.ending.fault, cause="errors")
        else:
            participant.finished()

    def close(self) -> None:
        if self._visitor is None:
            if self._chat.stopping:
                self._close_code = GOING_AWAY
            self.write(close_frame(self._close_code, self._close_reason))
        super().close()


class WebSocketFactory(StreamFactory, ABC):
    """Makes a `WebSocket` for each connection."""

    protocol = WebSocket

    @abstractmethod
    def make_visitor(self, wire: WebSocket) -> Visitor:
        """Make what serves a connection until its upgrade."""

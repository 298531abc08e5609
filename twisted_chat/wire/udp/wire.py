"""One session over UDP."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from ...chat import Chat
from ...counters import Traffic
from ...limits import MAX_WAITING, flow_of, is_loopback
from ...messages import Envelope, Welcome, WireError, is_same_token, read_request
from ...participant import Receiver
from .cookies import Address
from .datagram import LONGEST, MAX_DATAGRAM, Datagram
from .encoding import DATAGRAMS
from .requests import NumberedRequests
from .sending import Sender
from .silence import Silence

SILENCE_SECONDS: Final = 60.0
"""Seconds of silence after which a session is over."""

LINGER_SECONDS: Final = 10.0
"""Seconds for which the last reply of a session that is over is sent again on demand: it may have got lost."""

PACE_SECONDS: Final = 0.02
"""Seconds between two bursts while the pace holds datagrams back."""

HIGH: Final = 128
"""High-water mark: with more datagrams waiting to be sent than this, a session's rooms stop writing to it."""

LOW: Final = 16
"""Low-water mark: with so few waiting, the rooms go on."""


class Port(Protocol):
    """The UDP port, as one of its sessions knows it."""

    chat: Chat

    def send(self, datagram: bytes, address: Address) -> bool:
        """Send a datagram. False if the system does not take it now."""

    def forget(self, wire: UDPWire) -> None:
        """Called when a session is over for good, and its last reply is not sent again any more."""


class UDPWire:
    """One session: from a hello with a valid cookie until one side ends it or is silent. A `participant.Wire`."""

    encoding = DATAGRAMS
    kind = "udp"
    cause = ""
    may_be_bare = False
    longest_object = MAX_DATAGRAM
    longest_answer = LONGEST
    silence_seconds = SILENCE_SECONDS
    is_unfinished = False
    most_waiting = MAX_WAITING
    participant: Receiver

    def __init__(self, port: Port, address: Address, cookie: str, time: int) -> None:
        self.at = address
        self.address, label = address
        self.is_local = is_loopback(self.address)
        self.label = str(label)
        self.traffic = Traffic()
        self.flow = flow_of(self.address, self.label)
        self.cookie = cookie
        self.time = time
        """The time of its cookie. A hello with an older cookie is a late datagram of an earlier session."""
        self.token: str | None = None
        self._port = port
        self._reactor: Any = port.chat.reactor
        self._greeting: tuple[str, str | None] | None = None
        """The nick and id of its hello, to recognize one that is sent again."""
        self._welcome: Datagram | None = None
        self._requests = NumberedRequests()
        self._sender = Sender(self._send, self._reactor.seconds())
        self._silence = Silence(self._reactor, self._silent, self._probe)
        self._timer: IDelayedCall | None = None
        """The next burst; once the session is over, the end of `LINGER_SECONDS`."""
        self._paused = False
        """True while backpressure is applied to the participant."""
        self._deaf = False
        """True while the participant takes no requests: they are dropped, and the client sends them again."""
        self._closing = False
        self._over = False

    # From the port

    def is_greeted_by(self, hello: Envelope) -> bool:
        """True for the hello of this session, sent again because its answer got lost."""
        same_token = self.token is hello.token is None or is_same_token(hello.token, self.token)
        return not self._over and self._greeting == (hello.nick, hello.id) and same_token

    def hello(self, datagram: bytes, hello: Envelope) -> None:
        """Called with a hello from the session's address. One that is sent again gets the same answer."""
        if not self.is_greeted_by(hello):
            if self._welcome is None:
                self._greeting = hello.nick, hello.id
                self.token = hello.token
            self.received(datagram, hello)
        elif self._welcome is not None:
            self._heard()
            self._answer_again(self._welcome)

    def received(self, datagram: bytes, envelope: Envelope | None) -> None:
        """Called with a datagram from the session's address. One without the session's token is ignored."""
        if self.token is not None and not (envelope and is_same_token(envelope.token, self.token)):
            return
        self.traffic.received += len(datagram)
        self._heard()
        if self._closing and not self._sender.waiting:
            self._sender.send_again(self._reactor.seconds())
        elif self._deaf or not datagram:
            pass
        elif len(datagram) > MAX_DATAGRAM:
            error = WireError("too-long", f"a datagram has at most {MAX_DATAGRAM} bytes")
            self.participant.received(error, len(datagram))
        elif envelope is None or not envelope.n:
            self.participant.received(read_request(datagram), len(datagram))
        elif answer := self._requests.received(envelope.n, envelope.id, datagram):
            self._answer_again(answer)
        else:
            self._take()

    def _heard(self) -> None:
        """Take any datagram of the session as a sign of life."""
        self._silence.heard()
        self._sender.heard()
        self._pump()

    def _answer_again(self, answer: Datagram) -> None:
        if len(self._sender.waiting) < HIGH:  # otherwise there is enough to read, and the client asks again
            self._sender.waiting.append(answer)
            self._pump()

    def _take(self) -> None:
        """Pass on the numbered requests that are next in order."""
        while not self._deaf and (datagram := self._requests.take()) is not None:
            self.participant.received(read_request(datagram), len(datagram))

    # From `Silence`

    def _silent(self, seconds: float) -> None:
        if self._closing:
            self.abort()
        elif seconds >= SILENCE_SECONDS:
            self.participant.end("nothing was heard of you for a minute", cause="silent")
        elif self._welcome is not None:
            self._sender.ask()

    def _probe(self) -> bool:
        if self._sender.waiting and not self._sender.blocked:
            return False
        self._sender.ask()
        return True

    # From the participant

    def write(self, part: tuple[Datagram, ...]) -> None:
        for datagram in part:
            if self._welcome is None:
                self._answer_hello(datagram)
            else:
                self._requests.answered(datagram)
        self._sender.waiting.extend(part)
        self._pump()
        if len(self._sender.waiting) > HIGH and not self._paused:
            self._paused = True
            self.participant.pauseProducing()

    def _answer_hello(self, answer: Datagram) -> None:
        if isinstance(answer.reply, Welcome):
            self._welcome = answer
        else:
            self._greeting = None  # the hello was refused, and another one may follow

    def close(self) -> None:
        self._closing = True
        if self._timer is None:
            self._timer = self._reactor.callLater(0, self._pump_later)

    def abort(self) -> None:
        """End the session. Its last reply is sent again on demand, for `LINGER_SECONDS`."""
        if self._over:
            return
        self._over = self._closing = True
        self._silence.end()
        self._cancel_timer()
        self._sender.waiting.clear()
        self._requests.clear()
        self._timer = self._reactor.callLater(LINGER_SECONDS, self.forget)
        self._port.chat.disconnected(self)

    def stop_reading(self) -> None:
        self._deaf = True

    def go_on_reading(self) -> None:
        self._deaf = False
        self._take()

    # To the port

    def _send(self, datagram: bytes) -> bool:
        self.traffic.sent += len(datagram)
        return self._port.send(datagram, self.at)

    def _pump_later(self) -> None:
        self._timer = None
        self._pump()
        if self._closing and not self._sender.waiting:
            self.abort()

    def _pump(self) -> None:
        """Send as many datagrams as pace and window allow now, and the rest later."""
        if self._timer is not None:
            return
        if self._sender.send(self._reactor.seconds()):
            self._silence.said()
        if self._closing or (self._sender.waiting and not self._sender.blocked):
            self._timer = self._reactor.callLater(PACE_SECONDS, self._pump_later)
        if self._paused and len(self._sender.waiting) <= LOW:
            self._paused = False
            self.participant.resumeProducing()

    def forget(self) -> None:
        """End the session for good."""
        self._cancel_timer()
        self._port.forget(self)
        del (
            self.participant,
            self._sender,
            self._silence,
        )  # they refer to it, too: without cycles, all is freed now

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

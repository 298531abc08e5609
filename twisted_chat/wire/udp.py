"""UDP: an object a datagram, some of which get lost, come twice, or come in another order.

What a client says is kept in order and taken once where it asks for that (`n`); what it misses it reads from the room's
log. An address has to prove itself before anything is remembered of it: its first hello is answered by a cookie.

A client's datagram may have these fields beside those of its request:

    cookie  in a hello: what the server gave to this address, at most two minutes ago
    pad     in a hello: anything. A hello is not answered by more bytes than it has itself
    token   in a hello: a secret (16 to 64 characters) that each other datagram of this session then has to carry
    n       a request's number, from 1 on: the server takes those that have one in their order, each of them once

The server's datagrams have `n` as well, counting all of a session.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from ..chat import Chat
from ..messages import (
    SERVER,
    Cookie,
    Envelope,
    Error,
    HistoryPage,
    Joined,
    MemberLeft,
    Message,
    PingSent,
    RoomList,
    TopicChanged,
    WireError,
    decode_message,
    decode_reply,
    encode,
)
from ..session import Participant

MAX_DATAGRAM: Final = 1200
"""Bytes of an object: what every path carries in one piece (RFC 8085, section 3.2, and RFC 9000, section 14)."""

_NUMBER: Final = len(',"n":') + 10
"""Bytes that the number of a datagram takes at most."""

KEY_SECONDS: Final = 60.0
"""How long cookies are made with one key. They are good until the next but one is used: one to two minutes."""

SILENCE_SECONDS: Final = 60.0
"""A session that says nothing for so long is over."""

PING_SECONDS: Final = 20.0
"""After so much silence the server asks, twice, since a datagram may get lost."""

PROBES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds after the last message of a room after which the client is asked whether it is there, until it is heard: it
learns from the number of the question whether a message has got lost. Otherwise only the next one would tell."""

LINGER_SECONDS: Final = 10.0
"""How long the last word of a session that is over is said again to who asks: it may have got lost."""

RATE: Final = 1000.0
"""Datagrams/s to one session: 10 Mbit/s at most. What is said faster than this is read from the log later."""

BURST: Final = 64
"""Datagrams at once: a quarter of what the receive buffer of a socket takes if nobody sets it."""

PACE_SECONDS: Final = 0.02
"""Between two bursts that are due to the rate."""

HIGH: Final = 128
"""Datagrams that wait to be sent, above which a session's rooms wait for it; they go on at the low mark."""

LOW: Final = 16

WINDOW: Final = 64
"""Numbered requests of a client that may be under way: those that came early are held, and so many answers are
remembered, to be given again where they got lost."""

Address = tuple[str, int]

_log = Logger("twisted_chat.wire.udp")


class Cookies:
    """Proofs that whoever sends from an address also gets what is sent to it. Nothing is remembered of them.

    A cookie is the time and an HMAC-SHA256 of it and the address. The key changes every `KEY_SECONDS`.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._keys: dict[int, bytes] = {}
        """The newest keys, by the number of the time for which each was made."""

    def make(self, address: Address) -> str:
        """Make a cookie for an address."""
        now = self._now()
        period = int(now / KEY_SECONDS)
        if period not in self._keys:
            last = {number: key for number, key in self._keys.items() if number == period - 1}
            self._keys = last | {period: secrets.token_bytes(32)}
        return self._cookie(int(now * 100), address)

    def time(self, cookie: str, address: Address) -> int:
        """Say when an address was given this cookie, in hundredths of a second; 0 if never, or too long ago."""
        try:
            time = int.from_bytes(urlsafe_b64decode(cookie)[:5])
        except ValueError:
            return 0
        if not 0 <= int(self._now() / KEY_SECONDS) - _period(time) <= 1 or _period(time) not in self._keys:
            return 0
        return time if hmac.compare_digest(cookie.encode(), self._cookie(time, address).encode()) else 0

    def _cookie(self, time: int, address: Address) -> str:
        stamp = time.to_bytes(5)
        host, port = address
        digest = hmac.digest(self._keys[_period(time)], stamp + f"{host} {port}".encode(), "sha256")
        return urlsafe_b64encode(stamp + digest[:16]).decode()


def _period(time: int) -> int:
    return int(time / (100 * KEY_SECONDS))


class UDPPort(DatagramProtocol):
    """A port: hands what arrives to the session of its address, and opens sessions."""

    noisy = False

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._cookies = Cookies(chat.reactor.seconds)
        self._wires: dict[Address, UDPWire] = {}
        self._tokens: dict[str, UDPWire] = {}

    def datagramReceived(self, datagram: bytes, addr: tuple[Any, ...]) -> None:
        address = addr[0], addr[1]
        try:
            envelope = _read_envelope(datagram)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            envelope = None
        wire = self._wires.get(address)
        if envelope is not None and envelope.type == "hello":
            self._hello(datagram, address, envelope, wire)
        elif wire is not None:
            wire.received(datagram, envelope)

    def _hello(self, datagram: bytes, address: Address, hello: Envelope, wire: UDPWire | None) -> None:
        cookie = hello.cookie or ""
        time = self._cookies.time(cookie, address)
        if wire is not None and cookie == wire.cookie:
            wire.hello(datagram, hello)
        elif not time:
            self._challenge(len(datagram), address)
        elif wire is not None and (wire.is_greeted_by(hello) or time <= wire.time):
            wire.hello(datagram, hello)
        elif not self.chat.stopping:
            self._open(datagram, address, hello, time)

    def _challenge(self, most: int, address: Address) -> None:
        """Give an address its cookie, in no more bytes than it has sent: its datagram may be a forgery."""
        answer = encode(Cookie(cookie=self._cookies.make(address)))
        if len(answer) <= most:
            self.send(answer, address)

    def _open(self, datagram: bytes, address: Address, hello: Envelope, time: int) -> None:
        """Begin a session. One that the client has still here, or at an address that it had before, is over."""
        for old in (self._wires.get(address), self._tokens.get(hello.token or "")):
            if old is not None:
                old.abort()
                old.forget()
        wire = self._wires[address] = UDPWire(self, address, hello.cookie or "", time)
        if hello.token is not None:
            self._tokens[hello.token] = wire
        self.chat.connected(wire)
        wire.hello(datagram, hello)

    def send(self, datagram: bytes, address: Address) -> bool:
        """Send, and say whether that could be done now."""
        assert self.transport
        try:
            self.transport.write(datagram, address)
        except OSError as error:  # no space in the socket's buffer, or no way there just now
            _log.debug("cannot send to {address}: {error}", address=address, error=error)
            return False
        return True

    def forget(self, wire: UDPWire) -> None:
        """Hear that nothing more comes of a session, not even its last word."""
        if self._wires.get(wire.at) is wire:
            del self._wires[wire.at]
        if self._tokens.get(wire.token or "") is wire:
            del self._tokens[wire.token or ""]

    def stopProtocol(self) -> None:
        for wire in tuple(self._wires.values()):
            wire.abort()
            wire.forget()


class UDPWire:
    """One session, a `session.Wire`: from a hello with a good cookie until one side ends it or is silent."""

    longest_object = MAX_DATAGRAM
    longest_answer = MAX_DATAGRAM - _NUMBER
    participant: Participant

    def __init__(self, port: UDPPort, address: Address, cookie: str, time: int) -> None:
        self.at = address
        self.address, label = address
        self.label = str(label)
        self.cookie = cookie
        self.time = time
        """When its cookie was made: what has an older one is a late datagram of a client that was here before."""
        self.token: str | None = None
        self._port = port
        self._reactor: Any = port.chat.reactor
        self._greeting: tuple[str, str | None, str | None] | None = None
        """What is looked at to tell a hello that is said again."""
        self._welcome: bytes | None = None
        self._heard: float = self._reactor.seconds()
        self._watch: IDelayedCall | None = self._reactor.callLater(PING_SECONDS, self._look)
        self._probe: IDelayedCall | None = None
        self._probed = 0
        """How often the client was asked since the last message."""
        self._deaf = False
        """What arrives is let go, since the participant takes nothing; the client says it again."""
        self._next = 1
        """The number of the request that comes next."""
        self._early: dict[int, tuple[str | None, bytes]] = {}
        """Requests that came before the one in front of them."""
        self._answers: dict[str, bytes] = {}
        """The answers to the last numbered requests by their ids; empty where there is none yet."""
        self._queue: deque[bytes] = deque()
        self._count = 0
        """How many datagrams were sent."""
        self._allowed = float(BURST)
        """How many may be sent now."""
        self._pumped = self._heard
        self._pump_call: IDelayedCall | None = None
        self._paused = False
        self._closing = False
        self._over = False
        self._last_word = b""

    # From the port

    def is_greeted_by(self, hello: Envelope) -> bool:
        """Tell a hello that is said again, since its answer was lost, from a new one."""
        return not self._over and self._greeting == (hello.nick, hello.id, hello.token)

    def hello(self, datagram: bytes, hello: Envelope) -> None:
        """Take a hello from the session's own address; one that is said again gets the same answer."""
        if self._over or not self.is_greeted_by(hello):
            if self._welcome is None:
                self._greeting = hello.nick, hello.id, hello.token
                self.token = hello.token
            self.received(datagram, hello)
        elif self._welcome is not None:
            self._heard = self._reactor.seconds()
            self._answer_again(self._welcome)

    def received(self, datagram: bytes, envelope: Envelope | None) -> None:
        """Take what came from the session's address, if it proves to be the session's."""
        if self.token is not None and (envelope is None or not _is_same(envelope.token or "", self.token)):
            return
        self._heard = self._reactor.seconds()
        if self._probed:
            self._probed = len(PROBES)
        if self._over or (self._closing and not self._queue):
            self._send(self._last_word)
        elif self._deaf or not datagram:
            pass
        elif len(datagram) > MAX_DATAGRAM:
            self.participant.received(WireError("too-long", f"a datagram has at most {MAX_DATAGRAM} bytes"))
        elif envelope is None or not envelope.n:
            self.participant.received(datagram)
        elif envelope.n >= self._next:
            if envelope.n < self._next + WINDOW:
                self._early[envelope.n] = envelope.id, datagram
                self._take()
        elif answer := self._answers.get(envelope.id or ""):
            self._answer_again(answer)

    def _answer_again(self, answer: bytes) -> None:
        if len(self._queue) < HIGH:  # otherwise there is enough to be read, and the client asks once more
            self._queue.append(answer)
            self._pump()

    def _take(self) -> None:
        """Hand on the numbered requests whose turn it is."""
        while self._next in self._early and not (self._deaf or self._closing):
            id, datagram = self._early.pop(self._next)
            self._next += 1
            if id is not None:
                self._answers.pop(id, None)
                self._answers[id] = b""
                if len(self._answers) > WINDOW:
                    del self._answers[next(iter(self._answers))]
            self.participant.received(datagram)

    def _look(self) -> None:
        """See whether anything was heard, and ask for a sign of life."""
        silence = self._reactor.seconds() - self._heard
        self._watch = self._reactor.callLater(PING_SECONDS, self._look)
        if silence < PING_SECONDS:
            pass
        elif self._closing:
            self.abort()
        elif silence >= SILENCE_SECONDS:
            self.participant.end("nothing was heard of you for a minute")
        elif self._welcome is not None:
            self.write(_PING)

    def _probe_later(self) -> None:
        """Ask for a sign of life when nothing has been said for a while."""
        if self._probed < len(PROBES):
            seconds = PROBES[self._probed]
            if self._probe is not None and self._probe.active():
                self._probe.reset(seconds)
            else:
                self._probe = self._reactor.callLater(seconds, self._ask)

    def _ask(self) -> None:
        if self._probed < len(PROBES) and not (self._queue or self._closing):
            self._probed += 1
            self.write(_PING)
        self._probe_later()

    # From the participant

    def write(self, data: bytes) -> None:
        for obj in _objects(data):
            self._note(obj)
            self._queue.append(obj)
        self._pump()
        if len(self._queue) > HIGH and not self._paused:
            self._paused = True
            self.participant.pauseProducing()

    def _note(self, obj: bytes) -> None:
        """Remember what may have to be said again."""
        if self._welcome is None:
            if obj.startswith(b'{"type":"welcome"'):
                self._welcome = obj
            else:
                self._greeting = None  # it was refused, and may be tried again
        elif self._answers and b'"id":"' in obj:
            id = _read_envelope(obj).id or ""
            if id in self._answers:
                self._answers[id] = obj

    def close(self) -> None:
        self._closing = True
        if self._pump_call is None:
            self._pump_call = self._reactor.callLater(0, self._pump_later)

    def abort(self) -> None:
        if not self._over:
            self._end()

    def stop_reading(self) -> None:
        self._deaf = True

    def go_on_reading(self) -> None:
        self._deaf = False
        self._take()

    # To the port

    def _pump_later(self) -> None:
        self._pump_call = None
        self._pump()
        if self._closing and not self._queue:
            self._end()

    def _pump(self) -> None:
        """Send as much as is allowed now."""
        if self._pump_call is not None or self._over:
            return
        now = self._reactor.seconds()
        self._allowed = min(float(BURST), self._allowed + (now - self._pumped) * RATE)
        self._pumped = now
        while self._queue and self._allowed >= 1 and self._send(self._queue[0]):
            self._last_word = self._queue.popleft()
            self._allowed -= 1
            if self._last_word.startswith(b'{"type":"",'):
                self._probed = 0
                self._probe_later()
        if self._queue or self._closing:
            self._pump_call = self._reactor.callLater(PACE_SECONDS, self._pump_later)
        if self._paused and len(self._queue) <= LOW:
            self._paused = False
            self.participant.resumeProducing()

    def _send(self, obj: bytes) -> bool:
        sent = self._port.send(b'%s,"n":%d}' % (obj[:-1], self._count + 1), self.at)
        self._count += sent
        return sent

    def _end(self) -> None:
        """Be over, but for the last word, which may have to be said again."""
        self._over = self._closing = True
        for call in (self._watch, self._probe, self._pump_call):
            if call is not None and call.active():
                call.cancel()
        self._queue.clear()
        self._early.clear()
        self._answers.clear()
        self._watch = self._reactor.callLater(LINGER_SECONDS, self.forget)
        self._port.chat.disconnected(self)

    def forget(self) -> None:
        """Be gone for good."""
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        self._port.forget(self)


def _is_same(token: str, other: str) -> bool:
    return hmac.compare_digest(token.encode(), other.encode())


_PING: Final = encode(PingSent())

_read_envelope: Callable[[bytes], Envelope] = msgspec.json.Decoder(Envelope).decode


@lru_cache(maxsize=64)  # one cutting for all sessions, which get the same lines at about the same time
def _objects(data: bytes) -> tuple[bytes, ...]:
    """Cut lines into objects that fit into a datagram."""
    objects: list[bytes] = []
    for line in data.splitlines():
        if len(line) <= UDPWire.longest_answer:
            objects.append(line)
        else:
            objects += _fitting(line)
    return tuple(objects)


def _fitting(line: bytes) -> list[bytes]:
    """Make of an object that does not fit one that does.

    A message out of a log says how much of its text is missing, and `history` gives the rest. A message for one nick
    is in no log: it is handed on in several. All other texts are titles and farewells, which lose their end.
    """
    match decode_reply(line):
        case Message(seq=None) as message:
            return _split(message)
        case Message() as message:
            return [encode(_cut_message(message, UDPWire.longest_answer))]
        case HistoryPage(messages=[raw]) as page:
            page.messages = []
            room = UDPWire.longest_answer - len(encode(page))
            page.messages = [msgspec.Raw(encode(_cut_message(decode_message(raw), room)))]
            answer = encode(page)
            if len(answer) > UDPWire.longest_answer:  # the longest of names, all of it escaped
                text = "this page does not fit into a datagram: ask for it with a shorter id"
                answer = encode(Error(code="too-long", msg=text, author=SERVER, id=page.id))
            return [answer]
        case RoomList(rooms=[info]) as rooms:
            _cut(rooms, info, "topic")
            return [encode(rooms)]
        case Joined() as joined:
            _cut(joined, joined, "topic")
            return [encode(joined)]
        case TopicChanged() | MemberLeft() as notice:
            _cut(notice, notice, "msg")
            return [encode(notice)]
        case other:
            raise AssertionError(f"an object of {len(line)} bytes: {type(other)}")


def _cut_message(message: Message, most: int) -> Message:
    text = message.msg
    message.rest = len(text)  # which has as many digits as what it will be, or more
    _cut(message, message, "msg", most)
    message.rest -= len(message.msg)
    return message


def _split(message: Message) -> list[bytes]:
    pieces: list[bytes] = []
    text = message.msg
    while text:
        message.msg = text
        _cut(message, message, "msg")
        pieces.append(encode(message))
        text = text[len(message.msg) :]
    return pieces


def _cut(whole: msgspec.Struct, part: msgspec.Struct, field: str, most: int = UDPWire.longest_answer) -> None:
    """Shorten a text within an object until the object fits."""
    text: str = getattr(part, field)

    def size(count: int) -> int:
        setattr(part, field, text[:count])
        return len(encode(whole))

    setattr(part, field, text[: max(0, bisect_right(range(len(text) + 1), most, key=size) - 1)])

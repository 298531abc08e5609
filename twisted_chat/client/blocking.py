"""A client for scripts and classrooms: standard sockets, one thread, one queue. It needs Python and nothing else.

    with Client("127.0.0.1", 14900, nick="cron") as chat:
        chat.say("done")

    with Client("chat.example", 14943, nick="bot", tls=True) as chat:
        for message in chat:
            if message.msg == "ping":
                chat.say(f"pong, {message.author}")

It has the names of `twisted_chat.client` and keeps the same promises, over TCP, TLS and UDP: what is said is said again
with the same id until the server has it, over any number of lost connections, and each message comes once, in order.
A call returns when the server has answered. Calls may come from any thread.

How it is made, from the bottom up: `_Stream` and `_Datagrams` carry objects to and from a server. `_Place` knows what
of a room's log was seen and what is missing. `_Talk` speaks the protocol. They all live in one thread, `_Loop`;
`Client` and `Room` hand it what is to be done, and take messages from the queue.
"""

from __future__ import annotations

import enum
import heapq
import itertools
import json
import random
import selectors
import socket
import ssl
import threading
import time
import unicodedata
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

QUIET_TIME: Final = 15.0
"""Seconds of silence after which the server is asked whether it is there."""

DEAD_TIME: Final = 40.0
"""Seconds of silence after which a connection is given up."""

OPEN_TIME: Final = 10.0
"""Seconds in which a server must let us in."""

QUIT_TIME: Final = 5.0
"""Seconds in which a server must end the connection of a client that quits."""

LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries to connect again: 0.5, 1, 2, ... 30, each made a little longer by chance."""

WINDOW: Final = 256
"""Messages under way at once."""

HIGH: Final = 1000
"""Messages of a room that wait in the queue, and as many behind them. What comes then is read from the log later."""

LOW: Final = 250
"""Messages of a room left in the queue when it is filled again."""

MAX_OWN: Final = 500
"""One's own messages, behind which the place in a room's log is moved: they would be read again otherwise."""

GAPS: Final = 8
"""Gaps in a room's log that are filled at once."""

PAGE: Final = 500
"""Messages of the log that are asked for at once; the server hands out as many as fit."""

SHARE: Final = 0.9
"""Of what the server takes of one client, how much is used: clocks differ, and a network may hold back and hurry."""

DATAGRAM: Final = 1200
"""Bytes of a datagram at most."""

UDP_WINDOW: Final = 64
"""Requests under way at once over UDP: so many the server puts in order."""

UDP_DEAD_TIME: Final = 5.0
"""Seconds for which a server may leave everything unanswered: then it is gone, or knows us by another address."""

FIRST_PATIENCE: Final = 0.25
LEAST_PATIENCE: Final = 0.03
LONGEST_PATIENCE: Final = 1.0
"""Seconds to wait for an answer over UDP before the request is said again: as long as it is not known how long an
answer takes, at least, and at most."""

PATIENT_TRIES: Final = 4
"""After so many the pauses grow: single losses have nothing to do with how busy the network is."""

FOR_GOOD: Final = frozenset({"bad-message", "unknown-type", "bad-nick", "auth-failed", "denied", "banned"})
"""Refusals of a hello that the next one would get too."""

FOR_NOW: Final = frozenset({"rate-limited", "unavailable"})
"""Refusals after which the same is asked again."""


class ChatError(Exception):
    """Anything that can go wrong in a conversation. Its text is for a person."""


class RequestError(ChatError):
    """A request was refused: by the server, or by the client where the server would."""

    def __init__(self, code: str, text: str, retry: float | None = None) -> None:
        super().__init__(text)
        self.code = code
        """For a program, such as `nick-taken`."""
        self.text = text
        """What is wrong and what to do, for a person."""
        self.retry = retry
        """Seconds after which the request would be served, where the server knows that."""


class UnreachableError(ChatError):
    """There is no server, or it ends the connection before it says welcome."""


class ClosedError(ChatError):
    """The client is closed, or the room was left: nothing comes any more, and nothing can be asked."""

    def __init__(self, text: str, wanted: bool = False) -> None:
        super().__init__(text)
        self.wanted = wanted
        """The program itself closed or left. An iteration that is going on then ends, without an error."""


class State(enum.Enum):
    """Where a client stands with its server."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said."""

    msg: str
    author: str
    room: str | None = None
    to: str | None = None
    seq: int | None = None
    time: str | None = None
    rest: int | None = None
    """Characters that are missing at the end: over UDP, in a page of history."""


@dataclass(frozen=True, slots=True)
class DirectMessage(Message):
    """A message for this client's nick alone (`to`)."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a room's history."""

    messages: list[Message]
    more: bool
    """There is more beyond them, on the side that was asked for."""


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a room: `count` in all, and some of them, sorted."""

    room: str
    members: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A room that there is."""

    room: str
    count: int
    topic: str


_Object = dict[str, Any]


def _message(obj: _Object, kind: type[Message] = Message) -> Message:
    fields = ("room", "to", "seq", "time", "rest")
    return kind(str(obj["msg"]), str(obj["author"]), **{field: obj[field] for field in fields if field in obj})


def _key(name: str) -> str:
    """Give the same for two names that the server takes for one; its own rules are finer."""
    return unicodedata.normalize("NFKC", name).casefold()


class _Lost(Exception):
    """The connection is lost, and why, for a person."""


HOLE: Final[_Object] = {"type": "hole"}
"""In the place of objects that got lost on the way."""


# Objects to and from a server


class _Stream:
    """Objects over TCP or TLS, one a line."""

    window = WINDOW

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        opened = socket.create_connection((host, port), timeout=OPEN_TIME)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = tls.wrap_socket(opened, server_hostname=host) if tls else opened
        except BaseException:
            opened.close()
            raise
        self.socket.setblocking(False)
        self._in = b""
        self._out = b""

    @property
    def unsent(self) -> bool:
        """Whether something waits for the socket to take it."""
        return bool(self._out)

    def send(self, obj: _Object) -> None:
        self._out += _encode(obj) + b"\n"

    def size(self, obj: _Object) -> int:
        """Say how many of the bytes that the server allows an object has."""
        return len(_encode(obj))

    def flush(self) -> None:
        """Hand on what the socket takes."""
        try:
            while self._out:
                self._out = self._out[self.socket.send(self._out) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass

    def receive(self) -> list[_Object]:
        """Read what has come."""
        try:
            data = self.socket.recv(65536)  # more than a record of TLS, so that nothing is left where no one looks
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return []
        if not data:
            raise _Lost("the server ended it")
        *lines, self._in = (self._in + data).split(b"\n")
        return list(filter(None, map(_decode, lines)))

    def due(self) -> float | None:
        """Say when `tick` has something to do."""
        return None

    def tick(self) -> list[_Object]:
        return []

    def close(self) -> None:
        self.socket.close()


class _Datagrams:
    """Objects over UDP, one a datagram: the same as over a stream, but that there may be a `HOLE`.

    A request with an id is said again until it is answered; the server takes it once. What the server sends is put in
    order again by its number `n`; what is missing for longer than others need to come is given up.
    """

    window = UDP_WINDOW // 2  # and as many for all other requests
    _plain = frozenset({"history", "who", "rooms", "ping"})
    """Requests that do no harm where they are taken twice, or later: they need no number."""

    def __init__(self, host: str, port: int, token: str) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind, protocol)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self._token = token
        self._cookie = ""
        self._count = 0
        self._asked: dict[str, _Asked] = {}
        self._waiting: deque[_Object] = deque()
        """Requests that have to wait, since too many are under way."""
        self._next: int | None = None
        """The number of the datagram that comes next; unknown before the first."""
        self._early: dict[int, _Object] = {}
        self._give_up = 0.0
        """When what is missing in front of `_early` is given up."""
        self._heard = time.monotonic()
        self._trip = FIRST_PATIENCE / 2
        """About how long an answer takes, in seconds."""

    unsent = False

    def size(self, obj: _Object) -> int:
        return len(_encode(self._addressed(obj | {"n": 10**9})))

    def _addressed(self, obj: _Object) -> _Object:
        return obj | {"token": self._token}

    def send(self, obj: _Object) -> None:
        id = obj.get("id")
        if id is None:
            self._transmit(_encode(self._addressed(obj)))
        elif obj["type"] == "hello":
            pad = "." * (256 - len(_encode(obj)))
            self._asked[id] = _Asked(self._addressed(obj | {"cookie": self._cookie, "pad": pad}))
        else:
            self._waiting.append(obj)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and len(self._asked) < UDP_WINDOW and self._count < self._oldest() + UDP_WINDOW - 1:
            obj = self._addressed(self._waiting.popleft())
            if obj["type"] not in self._plain:
                self._count += 1
                obj["n"] = self._count
            self._asked[obj["id"]] = _Asked(obj)
        self._say_due(time.monotonic())

    def _oldest(self) -> int:
        """Say which numbered request waits longest; the server forgets its answer when so many others came behind."""
        numbers = (asked.obj["n"] for asked in self._asked.values() if "n" in asked.obj)
        return next(numbers, self._count + 1)

    def flush(self) -> None:
        """Do nothing: a datagram is sent at once or lost."""

    def _transmit(self, datagram: bytes) -> None:
        with suppress(BlockingIOError):  # it is lost then, as others are
            self.socket.send(datagram)

    def receive(self) -> list[_Object]:
        objects: list[_Object] = []
        now = time.monotonic()
        try:
            for _ in range(100):
                obj = _decode(self.socket.recv(65536))
                if obj is not None:
                    objects += self._received(obj, now)
        except BlockingIOError:
            pass
        self._send_waiting()
        return objects

    def _received(self, obj: _Object, now: float) -> list[_Object]:
        if obj.get("type") == "cookie":
            self._take_cookie(str(obj.get("cookie")))
            return []
        self._heard = now
        number = obj.pop("n", None)
        asked = self._asked.pop(obj.get("id") or "", None)
        if asked is not None and asked.tries == 1:
            self._trip += (now - asked.said - self._trip) / 8
        if not isinstance(number, int) or number in self._early:
            return []
        if self._next is None:
            self._next = number
        if number < self._next:  # it was given up; what it says of the room's log is no longer all there is
            return [] if asked is None else [obj, HOLE]
        if not self._early:
            self._give_up = now + min(max(self._trip, LEAST_PATIENCE), LONGEST_PATIENCE)
        self._early[number] = obj
        return self._in_order(now)

    def _take_cookie(self, cookie: str) -> None:
        for asked in self._asked.values():
            if asked.obj["type"] == "hello" and not self._cookie:
                self._cookie = asked.obj["cookie"] = cookie
                asked.obj["pad"] = ""
                asked.due = 0.0

    def _in_order(self, now: float) -> list[_Object]:
        """Hand on what is there, up to what is missing; and beyond it where it is given up."""
        objects: list[_Object] = []
        while self._early:
            assert self._next is not None
            if self._next in self._early:
                objects.append(self._early.pop(self._next))
                self._next += 1
            elif now >= self._give_up or len(self._early) > 4 * UDP_WINDOW:
                objects.append(HOLE)
                self._next = min(self._early)
            else:
                break
        return objects

    def due(self) -> float | None:
        times = [asked.due for asked in self._asked.values()]
        return min([*times, self._give_up] if self._early else times, default=None)

    def tick(self) -> list[_Object]:
        now = time.monotonic()
        self._say_due(now)
        return self._in_order(now)

    def _say_due(self, now: float) -> None:
        """Say, or say again, what is due."""
        for asked in self._asked.values():
            if asked.due <= now:
                grown = 1.5 ** min(max(0, asked.tries - PATIENT_TRIES), 20) if asked.obj["type"] != "hello" else 1
                patience = max(2 * self._trip, LEAST_PATIENCE) * grown
                if asked.tries == 0:
                    asked.first = now
                elif now - max(asked.first, self._heard) > UDP_DEAD_TIME and asked.obj["type"] != "hello":
                    raise _Lost("nothing was heard of the server")
                asked.tries += 1
                asked.said = now
                asked.due = now + min(patience, LONGEST_PATIENCE)
                self._transmit(_encode(asked.obj))

    def close(self) -> None:
        self.socket.close()


@dataclass(slots=True)
class _Asked:
    """A request over UDP that has no answer yet."""

    obj: _Object
    due: float = 0.0
    """When it is said, or said again."""
    first: float = 0.0
    said: float = 0.0
    """When it was said first, and when last."""
    tries: int = 0


_Link = _Stream | _Datagrams


def _encode(obj: _Object) -> bytes:
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode()


def _decode(data: bytes) -> _Object | None:
    try:
        obj = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return obj if isinstance(obj, dict) else None


# What of a room's log was seen


class _Place:
    """A place in a room's log, and what is known beyond it.

    Of a message one knows which one comes next if nothing got lost between the two, or if a page of the log says so.
    From the place on, messages are handed out along these links. Where there is none, a page is asked for.

    The author of a message gets its ack and not the message: what is one's own is passed over.
    """

    def __init__(self, seq: int) -> None:
        self.seq = seq
        """All up to here was handed out."""
        self.own: set[int] = set()
        self.start(seq)

    def start(self, edge: int) -> None:
        """Begin to hear what is said from `edge` on."""
        self._edge = edge
        """The newest message that was heard, or up to which pages were read."""
        self._broken = False
        """Something may be missing behind the edge."""
        self._ends: set[int] = {self.seq} if edge > self.seq else set()
        """All other messages behind which something is missing."""
        self._next: dict[int, int] = {}
        self._known: dict[int, Message] = {}

    def broken(self) -> None:
        """Hear that something got lost."""
        self._broken = True

    def heard(self, message: Message) -> None:
        """Take a message that was just said, or that is replayed in order."""
        seq = message.seq or 0
        if seq <= self._edge:
            return
        if len(self._known) >= HIGH:
            self._broken = True
            return
        if self._broken:
            self._ends.add(self._edge)
            self._broken = False
        else:
            self._next[self._edge] = seq
        self._known[seq] = message
        self._edge = seq

    def read(self, after: int, messages: list[Message], more: bool) -> None:
        """Take a page of the log: all there is behind `after`, up to its last message."""
        at = after
        for message in messages:
            seq = message.seq or 0
            if seq > self.seq:
                self._next[max(at, self.seq)] = seq
                self._known.setdefault(seq, message)
            at = seq
        at = max(at, self.seq)
        if at >= self._edge:
            self._edge = at
            self._broken = more
        elif more:
            self._ends.add(at)
        else:  # what was heard beyond is in the log no more
            self._next.setdefault(at, min(seq for seq in self._known if seq > at))
        self._ends = {end for end in self._ends if end not in self._next and self.seq <= end < self._edge}

    def peek(self) -> Message | None:
        """Say what comes next, if that is known."""
        while True:
            seq = self._next.get(self.seq)
            if seq is None:
                return None
            if seq not in self.own:
                return self._known[seq]
            self.advance()

    def advance(self) -> None:
        """Go on behind the next message."""
        self.seq = self._next.pop(self.seq)
        self._known.pop(self.seq, None)
        self.own.discard(self.seq)

    def complete(self, message: Message) -> None:
        """Take the same message with more of its text."""
        self._known[message.seq or 0] = message

    def missing(self) -> list[int]:
        """List the messages behind which the log has to be read, oldest first."""
        missing = sorted(self._ends)
        if self._broken:
            missing.append(self._edge)
        elif len(self.own) > MAX_OWN and not self._next and not missing:
            missing.append(self.seq)
        return missing if len(self._known) < HIGH else missing[:1]


# The protocol


class _Call:
    """Something that was asked for, and its answer."""

    def __init__(
        self,
        request: _Object,
        read: Callable[[_Object], Any] | None = None,
        refused: Callable[[RequestError], None] | None = None,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.request = request | {"id": self.id}
        self.room: _RoomState | None = None
        """The room in which it is said, if it is a message."""
        self.sent = False
        """It was said at least once: the server may have it."""
        self.tries = 0
        self.belongs = refused is not None
        """It belongs to one connection, and is not asked again on the next one."""
        self._read = read
        self._refused = refused
        self._answer: Any = None
        self._error: ChatError | None = None
        self._done = threading.Event()

    def succeed(self, answer: Any) -> None:
        self._answer = self._read(answer) if self._read is not None else answer
        self._done.set()

    def fail(self, error: ChatError) -> None:
        self._error = error
        self._done.set()
        if self._refused is not None and isinstance(error, RequestError):
            self._refused(error)

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None) -> Any:
        if not self._done.wait(timeout):
            raise TimeoutError("no answer yet: it is asked again until there is one, or the client is closed")
        if self._error is not None:
            raise self._error
        return self._answer


class _RoomState:
    """A room that one wants to be in."""

    def __init__(self, name: str, since: int | None) -> None:
        self.name = name
        self.place: _Place | None = None if since is None else _Place(since)
        self.topic = ""
        self.count = 0
        self.oldest = 0
        self.joined = False
        self.asked: set[int] = set()
        """Where the log is being read."""
        self.queued = 0
        """Messages that wait in the queue."""
        self.held: tuple[int, set[str]] = 0, set()
        """Of the next message, if it has our nick: its number, and the messages under way that it may be one of."""
        self.entered = _Call({})
        self.left: _Call | None = None
        """Somebody waits to have left it."""
        self.leaving = False
        """The server was asked."""
        self.error: ChatError | None = None


class _Queue:
    """Messages that wait to be taken, of all rooms."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.messages: deque[tuple[_RoomState | None, Message]] = deque()
        self.error: ChatError | None = None

    def put(self, room: _RoomState | None, message: Message) -> None:
        with self.changed:
            self.messages.append((room, message))
            if room is not None:
                room.queued += 1
            self.changed.notify_all()

    def end(self, room: _RoomState | None, error: ChatError) -> None:
        with self.changed:
            if room is None:
                self.error = error
            else:
                room.error = error
            self.changed.notify_all()

    def take(self, wanted: _RoomState | None, timeout: float | None) -> tuple[_RoomState | None, Message]:
        """Take the next message, of one room if one is wanted. Raises `ChatError` at the end, and `TimeoutError`."""
        with self.changed:
            if not self.changed.wait_for(lambda: self._ready(wanted), timeout):
                raise TimeoutError("no message came")
            for at, (room, message) in enumerate(self.messages):
                if wanted in (None, room):
                    del self.messages[at]
                    if room is not None:
                        room.queued -= 1
                    return room, message
            error = (wanted and wanted.error) or self.error
            assert error
            raise error

    def _ready(self, wanted: _RoomState | None) -> bool:
        if self.error is not None or (wanted is not None and wanted.error is not None):
            return True
        return bool(self.messages) if wanted is None else wanted.queued > 0


class _Talk:
    """The protocol, on whatever link there is. All of it happens in one thread."""

    def __init__(self, nick: str, queue: _Queue) -> None:
        self.nick = nick
        self.server = ""
        self.limits: dict[str, int] = {}
        self.state = State.CONNECTING
        self.rooms: dict[str, _RoomState] = {}
        self.started = _Call({})
        self.error: ChatError | None = None
        """Why nothing comes any more."""
        self.refused: RequestError | None = None
        """Why the server does not let us in, this time."""
        self._queue = queue
        self._link: _Link | None = None
        self._calls: dict[str, _Call] = {}
        """What has no answer yet, but for messages."""
        self._waiting: list[tuple[int, _Call]] = []
        """Messages to be said, in the order in which they were made."""
        self._flight: dict[str, tuple[int, _Call]] = {}
        """Messages that were said on this connection and are not acked."""
        self._numbers = itertools.count()
        self._window = WINDOW
        self._resting = False
        self._renames: deque[_Call] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._tokens = 0.0
        """Requests that may be sent now."""
        self._counted = 0.0
        self._heard = 0.0
        self._settled: list[_Call] = []
        self._closing = False
        self._tries = 0
        """How often in a row there was no connection."""

    # The connection

    def connected(self, link: _Link) -> None:
        """Say hello."""
        self._link = link
        self._heard = self._counted = time.monotonic()
        self._tokens = 10.0
        self._window = link.window
        self._resting = False
        self._later(OPEN_TIME, self._check_open)
        self._later(QUIET_TIME / 3, self._look)
        hello = _Call({"type": "hello", "nick": self.nick}, self._welcomed, self._shut)
        self._calls[hello.id] = hello
        self._send(hello)

    def lost(self) -> None:
        """Forget what belonged to a connection. What it left open is asked again on the next one."""
        self._link = None
        self._timers.clear()
        self._calls = {id: call for id, call in self._calls.items() if not call.belongs}
        self._waiting += self._flight.values()
        heapq.heapify(self._waiting)
        self._flight.clear()
        self.state = State.WAITING
        for room in self.rooms.values():
            room.joined = room.leaving = False
            room.asked.clear()

    def end(self, error: ChatError) -> None:
        """Take nothing more, and tell everybody why."""
        self.error = error
        self.state = State.CLOSED
        calls = [*self._calls.values(), *(call for _, call in (*self._waiting, *self._flight.values()))]
        self._calls.clear()
        self._waiting.clear()
        self._flight.clear()
        for room in self.rooms.values():
            calls += [room.entered, *([room.left] if room.left else [])]
        self.rooms.clear()
        for call in (self.started, *calls, *self._renames, *self._settled):
            call.fail(error)
        self._queue.end(None, error)

    def _welcomed(self, welcome: _Object) -> None:
        self.nick = str(welcome["nick"])
        self.server = str(welcome["server"])
        self.limits = dict(welcome["limits"])
        self._tokens = self.limits.get("burst", 0) * SHARE
        self.state = State.CONNECTED
        self._tries = 0
        for call in tuple(self._calls.values()):
            self._send(call)
        for room in tuple(self.rooms.values()):
            self._join(room)
        self._pump()
        self._rename()
        self.started.succeed(None)

    def _shut(self, error: RequestError) -> None:
        self.refused = error
        raise _Lost(str(error))

    def _check_open(self) -> None:
        if self.state is not State.CONNECTED:
            raise _Lost(f"the server did not answer within {OPEN_TIME:.0f} seconds")

    def _look(self) -> None:
        """Look whether the server is there."""
        silence = time.monotonic() - self._heard
        if silence >= DEAD_TIME:
            raise _Lost("nothing was heard of the server")
        if silence >= QUIET_TIME and self.state is State.CONNECTED:
            self._ask({"type": "ping"}, refused=_ignore)
        self._later(QUIET_TIME / 3, self._look)

    # Time

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        """Do something after a pause, unless the connection is lost before."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), function))

    def due(self) -> float | None:
        return self._timers[0][0] if self._timers else None

    def tick(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    # Requests

    def ask(self, call: _Call) -> None:
        """Ask, on this connection or the next one."""
        if self._may(call):
            self._calls[call.id] = call
            if self.state is State.CONNECTED:
                self._send(call)

    def _ask(
        self,
        request: _Object,
        read: Callable[[_Object], Any] | None = None,
        refused: Callable[[RequestError], None] | None = None,
    ) -> None:
        self.ask(_Call(request, read, refused))

    def say(self, call: _Call) -> None:
        """Say something to a room or to a nick."""
        if call.room is not None and self.rooms.get(_key(call.room.name)) is not call.room:
            call.fail(ClosedError(f"the room {call.room.name} was left"))
        elif self._may(call):
            heapq.heappush(self._waiting, (next(self._numbers), call))
            self._pump()

    def rename(self, call: _Call) -> None:
        """Take another nick, when all that was said under the old one is acked."""
        if self._may(call):
            self._renames.append(call)
            self._rename()

    def renamed(self, change: _Object) -> str:
        """Take the answer to `rename`."""
        self._renames.popleft()
        self.nick = str(change["nick"])
        return self.nick

    def settle(self, call: _Call) -> None:
        """Answer when everything asked so far is answered."""
        self._settled.append(call)
        self._check_settled()

    def quit(self) -> None:
        """End it; the server says stop."""
        self._closing = True
        if self.error is not None:
            return
        if self.state is not State.CONNECTED:
            raise _Lost("the client is closed")
        self._ask({"type": "quit"}, self._quitted, _ignore)
        self._later(QUIT_TIME, lambda: self._quitted({}))

    def _quitted(self, _: _Object) -> None:
        raise _Lost("the client is closed")

    def ended(self, reason: str) -> float | None:
        """Hear how a connection ended, or could not be made; say after which pause to try the next one, if at all."""
        self.lost()
        refused, self.refused = self.refused, None
        if self._closing:
            self.end(ClosedError("the client is closed", wanted=True))
        elif not self.started.done:
            self.end(refused or UnreachableError(reason))
        elif refused is not None and refused.code in FOR_GOOD:
            self.end(ClosedError(f"the server does not let this client in again: {reason}"))
        else:
            self._tries += 1
            return _pause(self._tries)
        return None

    def _may(self, call: _Call) -> bool:
        most = self.limits.get("object")
        if self.error is not None:
            call.fail(self.error)
        elif self._link is not None and most is not None and self._link.size(call.request) > most:
            call.fail(RequestError("too-long", f"this is too long: {most:,} bytes are allowed"))
        else:
            return True
        return False

    def _send(self, call: _Call) -> None:
        assert self._link
        call.sent = True
        self._tokens -= 1
        self._link.send(call.request)

    def _pump(self) -> None:
        """Send of what was said as much as may be sent now."""
        if self.state is not State.CONNECTED or self._resting or not all(room.joined for room in self.rooms.values()):
            return
        while self._waiting and len(self._flight) < self._window:
            if self._renames and not any(call.sent for _, call in self._waiting):
                return
            if seconds := self._pause():
                self._rest(seconds)
                return
            entry = heapq.heappop(self._waiting)
            self._flight[entry[1].id] = entry
            self._send(entry[1])

    def _pause(self) -> float:
        """Say for how many seconds the server would refuse what comes."""
        rate = self.limits.get("rate", 0) * SHARE
        if self._tokens >= 1 or not rate:
            return 0.0
        now = time.monotonic()
        self._tokens = min(self.limits.get("burst", 0) * SHARE, self._tokens + (now - self._counted) * rate)
        self._counted = now
        return 0.0 if self._tokens >= 1 else max(0.05, (1 - self._tokens) / rate)

    def _rest(self, seconds: float) -> None:
        self._resting = True
        self._later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        self._pump()

    def _rename(self) -> None:
        unsettled = self._flight or any(call.sent for _, call in self._waiting)
        if self._renames and self.state is State.CONNECTED and not unsettled and self._renames[0].id not in self._calls:
            self.ask(self._renames[0])

    # What comes

    def received(self, obj: _Object) -> None:
        """Take an object. One that makes no sense is passed over: a newer server may say more."""
        self._heard = time.monotonic()
        with suppress(KeyError, TypeError, ValueError):
            self._take(obj)

    def _take(self, obj: _Object) -> None:
        type, id = obj.get("type"), obj.get("id") or ""
        if type == "error":
            self._error(id, RequestError(str(obj["code"]), str(obj["msg"]), obj.get("retry")))
        elif type == "ack" and id in self._flight:
            self._acked(self._flight.pop(id)[1], obj)
        elif id in self._calls:
            self._calls.pop(id).succeed(obj)
        elif type == "":
            self._message(_message(obj, DirectMessage if "to" in obj else Message))
        elif type == "ping":
            self._answer_ping()
        elif type == "hole":
            for room in self.rooms.values():
                if room.place is not None:
                    room.place.broken()
        else:
            self._notice(obj)
        for room in tuple(self.rooms.values()):
            self.step(room)
        self._pump()
        self._rename()
        self._check_settled()

    def _answer_ping(self) -> None:
        assert self._link
        self._link.send({"type": "pong"})

    def _notice(self, obj: _Object) -> None:
        room = self.rooms.get(_key(str(obj.get("room"))))
        change = {"join": 1, "leave": -1}.get(str(obj.get("type")), 0)
        if obj.get("type") == "stop":
            raise _Lost(str(obj.get("msg")) or "the server ended it")
        if room is not None:
            room.count = int(obj.get("count", room.count + change))
            room.topic = str(obj["msg"]) if obj.get("type") == "topic" else room.topic

    def _acked(self, call: _Call, ack: _Object) -> None:
        seq = ack.get("seq")
        room = call.room
        if room is not None and room.place is not None and seq is not None and seq > room.place.seq:
            room.place.own.add(seq)
        self._release(call)
        call.succeed(seq)

    def _release(self, call: _Call) -> None:
        """Note that it is known of a message what became of it."""
        if call.room is not None:
            call.room.held[1].discard(call.id)

    def _error(self, id: str, error: RequestError) -> None:
        if self.state is not State.CONNECTED and id not in self._calls:
            self._shut(error)
        if id in self._flight:
            number, call = self._flight.pop(id)
            if error.code in FOR_NOW:
                # From now on one at a time: of several under way, those behind this one could be taken before it.
                heapq.heappush(self._waiting, (number, call))
                self._window = 1
                self._rest(self._put_off(call, error))
            else:
                self._release(call)
                call.fail(error)
        elif id in self._calls:
            call = self._calls[id]
            if error.code in FOR_NOW and self.state is State.CONNECTED:
                self._later(self._put_off(call, error), lambda: self._send(call))
            else:
                del self._calls[id]
                call.fail(error)
                if call in self._renames:
                    self._renames.remove(call)

    def _put_off(self, call: _Call, error: RequestError) -> float:
        call.tries += 1
        return error.retry if error.retry is not None else _pause(call.tries)

    def _check_settled(self) -> None:
        asked = [call for call in self._calls.values() if not call.belongs]
        if not (asked or self._waiting or self._flight or self._renames):
            settled, self._settled = self._settled, []
            for call in settled:
                call.succeed(None)

    # Rooms

    def enter(self, room: _RoomState) -> None:
        """Enter a room."""
        if self.error is not None:
            room.entered.fail(self.error)
            return
        self.rooms[_key(room.name)] = room
        if self.state is State.CONNECTED:
            self._join(room)

    def _join(self, room: _RoomState) -> None:
        since = {} if room.place is None else {"since": room.place.seq}
        self._ask(
            {"type": "join", "room": room.name, **since},
            lambda joined: self._joined(room, joined),
            lambda error: self._not_joined(room, error),
        )

    def _joined(self, room: _RoomState, joined: _Object) -> None:
        room.name, room.topic = str(joined["room"]), str(joined["topic"])
        room.count, room.oldest = int(joined["count"]), int(joined["oldest"])
        seq = int(joined["seq"])
        if room.place is None:
            room.place = _Place(seq)
        elif seq < room.place.seq:  # the log is a new one, and nothing of it was heard
            room.place = _Place(0)
            room.place.start(seq)
        else:
            room.place.start(room.place.seq)
        room.joined = True
        room.entered.succeed(None)

    def _not_joined(self, room: _RoomState, error: RequestError) -> None:
        if room.entered.done and error.code in ("full", "internal"):
            self._later(_pause(5), lambda: self._join(room))
        else:
            self._end_room(room, error)

    def leave(self, room: _RoomState, call: _Call) -> None:
        """Leave a room, when all that was said there is acked."""
        room.left = call
        if self.rooms.get(_key(room.name)) is room:
            self.step(room)
        else:
            call.succeed(None)

    def _leave(self, room: _RoomState) -> None:
        if room.leaving or any(call.room is room for _, call in (*self._waiting, *self._flight.values())):
            return
        room.leaving = True
        left = ClosedError(f"the room {room.name} was left", wanted=True)
        request = {"type": "leave", "room": room.name}
        self._ask(request, lambda _: self._end_room(room, left), lambda _: self._end_room(room, left))

    def _end_room(self, room: _RoomState, error: ChatError) -> None:
        del self.rooms[_key(room.name)]
        room.entered.fail(error)
        for entry in [entry for entry in self._waiting if entry[1].room is room]:
            self._waiting.remove(entry)
            entry[1].fail(error)
        heapq.heapify(self._waiting)
        self._queue.end(room, error)
        if room.left is not None:
            room.left.succeed(None)

    def _message(self, message: Message) -> None:
        room = self.rooms.get(_key(message.room or ""))
        if isinstance(message, DirectMessage):
            self._queue.put(None, message)
        elif room is not None and room.place is not None:
            room.place.heard(message)

    def step(self, room: _RoomState) -> None:
        """Do what comes next for a room: hand out what is known, read what is missing, leave."""
        place = room.place
        if place is None or not room.joined:
            return
        while (message := place.peek()) is not None and self._hand_out(room, place, message):
            place.advance()
        if room.queued < HIGH:
            for after in place.missing()[: GAPS - len(room.asked)]:
                if after not in room.asked:
                    self._read(room, after, {"limit": PAGE}, partial(_take_page, place, after))
        if room.left is not None:
            self._leave(room)

    def _hand_out(self, room: _RoomState, place: _Place, message: Message) -> bool:
        """Put a message into the queue; say whether that could be done now."""
        if room.queued >= HIGH:
            return False
        if message.author == self.nick:
            seq = message.seq or 0
            if room.held[0] != seq:
                said = (call for _, call in (*self._waiting, *self._flight.values()) if call.room is room and call.sent)
                room.held = seq, {call.id for call in said}
            if room.held[1]:
                return False
        if message.rest:
            after = (message.seq or 0) - 1
            if after not in room.asked:
                known = {"limit": 1, "skip": len(message.msg)}
                self._read(room, after, known, lambda page: _take_rest(place, message, page))
            return False
        self._queue.put(room, message)
        return True

    def _read(self, room: _RoomState, after: int, more: _Object, take: Callable[[_Object], None]) -> None:
        """Read on in a room's log."""
        room.asked.add(after)

        def read(page: _Object) -> None:
            room.asked.discard(after)
            take(page)

        def refused(_: RequestError) -> None:
            self._later(_pause(3), lambda: room.asked.discard(after))

        self._ask({"type": "history", "room": room.name, "after": after, **more}, read, refused)


def _take_page(place: _Place, after: int, page: _Object) -> None:
    place.read(after, [_message(obj) for obj in page["messages"]], bool(page["more"]))


def _take_rest(place: _Place, message: Message, page: _Object) -> None:
    """Put the next part of a long text behind what is known of it; where there is none any more, that was all."""
    parts = [part for part in map(_message, page["messages"]) if part.seq == message.seq]
    text, rest = (parts[0].msg, parts[0].rest) if parts else ("", None)
    place.complete(replace(message, msg=message.msg + text, rest=rest))


def _ignore(_: RequestError) -> None:
    """Do nothing: what was asked for is not needed."""


def _pause(tries: int) -> float:
    """Seconds before the next try: twice as long each time, and not the same for all clients of a server."""
    return min(0.25 * 2.0 ** min(tries, 20), LONGEST_PAUSE) * (1 + random.random() / 2)


class _Loop(threading.Thread):
    """The thread that has the sockets: connects, and hands to and fro between a link and the conversation."""

    def __init__(self, connect: Callable[[], _Link], talk: _Talk) -> None:
        super().__init__(name="chat", daemon=True)
        self._connect = connect
        self._talk = talk
        self._tasks: deque[Callable[[], None]] = deque()
        self._ending = threading.Lock()
        self._ended = False
        self._selector = selectors.DefaultSelector()
        self._asleep, self._waker = socket.socketpair()
        for end in (self._asleep, self._waker):
            end.setblocking(False)
        self._selector.register(self._asleep, selectors.EVENT_READ)

    def do(self, task: Callable[[], None]) -> None:
        """Have something done in this thread or, when it has ended, now: then there is nobody to disturb."""
        with self._ending:
            if not self._ended:
                self._tasks.append(task)
                with suppress(BlockingIOError):  # it is awake already
                    self._waker.send(b"!")
                return
        task()

    def run(self) -> None:
        try:
            while self._talk.error is None:
                pause = self._talk.ended(self._converse())
                if pause is not None:
                    self._wait(time.monotonic() + pause)
        except BaseException as error:
            self._talk.end(ClosedError(f"this client has a fault: {error!r}"))
            raise
        finally:
            with self._ending:
                self._ended = True
                for end in (self._asleep, self._waker, self._selector):
                    end.close()
            self._do_tasks()

    def _wait(self, until: float) -> None:
        """Have no connection for a while."""
        try:
            while time.monotonic() < until:
                self._turn(None, until)
        except _Lost as error:  # the program closes the client
            self._talk.ended(str(error))

    def _converse(self) -> str:
        """Talk over one connection; return why it ended."""
        try:
            link = self._connect()
        except OSError as error:
            return str(error)
        try:
            self._selector.register(link.socket, selectors.EVENT_READ)
            self._talk.connected(link)
            while True:
                self._turn(link, link.due())
        except (_Lost, OSError) as error:
            return str(error)
        finally:
            self._selector.unregister(link.socket)
            link.close()

    def _turn(self, link: _Link | None, until: float | None) -> None:
        """Wait until there is something to do, and do it."""
        if link is not None:
            link.flush()
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.unsent else 0)
            self._selector.modify(link.socket, events)
        times = [when for when in (until, self._talk.due()) if when is not None]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        ready = {key.fileobj for key, _ in self._selector.select(timeout)}
        if self._asleep in ready:
            self._asleep.recv(4096)
        self._do_tasks()
        if link is not None:
            for obj in (*(link.receive() if link.socket in ready else ()), *link.tick()):
                self._talk.received(obj)
        self._talk.tick()

    def _do_tasks(self) -> None:
        while self._tasks:
            self._tasks.popleft()()


# What people use


class Room:
    """A room that the client is in. Iterating gives each message that others say there, once and in order."""

    def __init__(self, client: Client, state: _RoomState) -> None:
        self._client = client
        self._state = state

    def __repr__(self) -> str:
        return f"<Room {self.name}>"

    @property
    def name(self) -> str:
        """The room's name, as it was first written."""
        return self._state.name

    @property
    def topic(self) -> str:
        """The topic as far as the client knows."""
        return self._state.topic

    @property
    def count(self) -> int:
        """How many members the room has, as far as the client knows."""
        return self._state.count

    @property
    def oldest(self) -> int:
        """The number of the oldest message that was kept when the client joined, last time."""
        return self._state.oldest

    def say(self, text: str, wait: bool = True) -> int | None:
        """Say something; return its number, when it is in the room's log.

        Without `wait` return at once: it is said all the same, in its order, and `close` waits for it.
        """
        call = _Call({"type": "", "room": self.name, "msg": text})
        call.room = self._state
        seq: int | None = self._client._do(self._client._talk.say, call, wait)
        return seq

    def leave(self) -> None:
        """Leave, when all that was said here is acked. Who iterates over the room is at its end then."""
        self._client._do(lambda call: self._client._talk.leave(self._state, call), _Call({}))

    def history(self, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
        """Read the room's log: up to `limit` messages before a number, after one, or the newest.

        There are 500 at most; over UDP so many as fit into a datagram.
        """
        given = {key: value for key, value in (("before", before), ("after", after)) if value is not None}
        page: Page = self._client._ask({"type": "history", "room": self.name, "limit": limit, **given}, _page)
        return page

    def who(self, after: str = "") -> Members:
        """Ask for the members: their `count`, and some of them from the nick `after` on, sorted."""
        return self._client.who(self.name, after)

    def set_topic(self, text: str) -> None:
        """Set the topic; an empty one takes it away."""
        self._client._ask({"type": "topic", "room": self.name, "msg": text}, lambda _: None)

    def receive(self, timeout: float | None = None) -> Message:
        """Take the next message. Raises `ClosedError` when there are no more, and `TimeoutError`."""
        return self._client._take(self._state, timeout)

    def __iter__(self) -> Iterator[Message]:
        return _each(self.receive)


class Client:
    """A client: what is said through it arrives once, and what it hears it hears once, whatever the network does."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 14900,
        nick: str = "",
        *,
        room: str | None = "lobby",
        since: int | None = None,
        tls: bool | ssl.SSLContext = False,
        udp: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Prepare a client; `start` or `with` connects it.

        `room` is entered at once (None: none), with `since` from the message after that number on. `tls` may be a
        context that says whom to trust. `timeout` is for how many seconds a call waits for its answer before it raises
        `TimeoutError`; by default it waits for as long as it takes.
        """
        if tls and udp:
            raise ValueError("there is no TLS over UDP: take one of the two")
        context = ssl.create_default_context() if tls is True else tls or None
        token = uuid.uuid4().hex
        self.timeout = timeout
        self._queue = _Queue()
        self._talk = _Talk(nick, self._queue)
        self._loop = _Loop(lambda: _Datagrams(host, port, token) if udp else _Stream(host, port, context), self._talk)
        self._room = room
        self._since = since
        self._first: Room | None = None

    def start(self) -> Self:
        """Connect; from then on the client connects again by itself whenever it has to.

        Raises `UnreachableError` when there is no server, and `RequestError` when it does not let us in (`nick-taken`).
        """
        self._loop.start()
        try:
            self._talk.started.wait(self.timeout)
            if self._room is not None:
                self._first = self.join(self._room, self._since)
        except BaseException:
            self.close(flush=False)
            raise
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(flush=error is None)

    @property
    def nick(self) -> str:
        """The client's nick, as the server has it."""
        return self._talk.nick

    @property
    def server(self) -> str:
        """The server's name and version."""
        return self._talk.server

    @property
    def limits(self) -> dict[str, int]:
        """The server's limits by their names."""
        return self._talk.limits

    @property
    def state(self) -> State:
        """Where the client stands with its server."""
        return self._talk.state

    def join(self, room: str, since: int | None = None) -> Room:
        """Enter a room. With `since`, what was said after that number is read first; 0 is all that is kept.

        A room that the client is in already is given as it is. Raises `RequestError`.
        """
        state = self._talk.rooms.get(_key(room))
        if state is None:
            state = _RoomState(room, since)
            self._loop.do(lambda: self._talk.enter(state))
        elif since is not None:
            raise RequestError("bad-message", f"{room} is joined already: leave it to read it from another place")
        state.entered.wait(self.timeout)
        return Room(self, state)

    def say(self, text: str, wait: bool = True) -> int | None:
        """Say something in the room that was entered first, as `Room.say` does."""
        if self._first is None:
            raise ClosedError("no room was entered: `join` one, and say it there")
        return self._first.say(text, wait)

    def tell(self, nick: str, text: str) -> int | None:
        """Say something to one nick; return its number where it is kept, and None where the other has got it."""
        seq: int | None = self._do(self._talk.say, _Call({"type": "", "to": nick, "msg": text}))
        return seq

    def rooms(self) -> list[RoomInfo]:
        """Ask for the rooms there are."""
        rooms: list[RoomInfo] = self._ask(
            {"type": "rooms"},
            lambda reply: [RoomInfo(one["room"], one["count"], one["topic"]) for one in reply["rooms"]],
        )
        return rooms

    def who(self, room: str, after: str = "") -> Members:
        """Ask for a room's members, as `Room.who` does, without being in it."""
        members: Members = self._ask(
            {"type": "who", "room": room, "after": after},
            lambda reply: Members(reply["room"], reply["members"], reply["count"]),
        )
        return members

    def set_nick(self, nick: str) -> str:
        """Take another nick, when all that was said so far is acked; return it as the server has it."""
        call = _Call({"type": "nick", "nick": nick}, self._talk.renamed)
        new: str = self._do(self._talk.rename, call)
        return new

    def receive(self, timeout: float | None = None) -> Message:
        """Take the next message of any room, or one for this client alone (`DirectMessage`)."""
        return self._take(None, timeout)

    def __iter__(self) -> Iterator[Message]:
        return _each(self.receive)

    def close(self, flush: bool = True) -> None:
        """Close the client, when everything asked so far is answered; with `flush=False`, now."""
        if not self._loop.is_alive():
            return
        if flush:
            with suppress(ChatError):
                self._do(self._talk.settle, _Call({}))
        self._loop.do(self._talk.quit)
        self._loop.join()

    def _do(self, task: Callable[[_Call], None], call: _Call, wait: bool = True) -> Any:
        self._loop.do(lambda: task(call))
        return call.wait(self.timeout) if wait else None

    def _ask(self, request: _Object, read: Callable[[_Object], Any]) -> Any:
        return self._do(self._talk.ask, _Call(request, read))

    def _take(self, wanted: _RoomState | None, timeout: float | None) -> Message:
        room, message = self._queue.take(wanted, timeout)
        if room is not None and room.queued == LOW:
            self._loop.do(lambda: self._talk.step(room))
        return message


def connect(host: str = "127.0.0.1", port: int = 14900, nick: str = "", **options: Any) -> Client:
    """Make a client, as `Client` does, and start it."""
    return Client(host, port, nick, **options).start()


def _page(page: _Object) -> Page:
    return Page([_message(obj) for obj in page["messages"]], bool(page["more"]))


def _each(receive: Callable[[], Message]) -> Iterator[Message]:
    while True:
        try:
            message = receive()
        except ClosedError as error:
            if error.wanted:
                return
            raise
        yield message

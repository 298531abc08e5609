"""The protocol, on whatever link there is. All of it happens in one thread."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

from ..datagrams import encode
from ..errors import UNREADABLE, ChatError, ClosedError, RequestError, UnreachableError
from ..keys import key
from ..partial_log import MOST, PartialLog
from ..room_reader import PAGE, RoomReader
from ..states import NewLog, RoomLost, State, StateChanged
from .calls import Call
from .inbox import Inbox, Slot
from .links import OPEN_TIME, Link, LostError
from .objects import NOTICES, DirectMessage, Error, Message, Object, read, read_message

QUIET_TIME: Final = 15.0
"""Seconds of silence after which the server is asked whether it is there."""

DEAD_TIME: Final = 40.0
"""Seconds of silence after which a connection is given up."""

QUIT_TIME: Final = 5.0
"""Seconds in which a server must end the connection of a client that quits."""

LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries to connect again: 0.5, 1, 2, ... 30, each made a little longer by chance."""

LEAST_PAUSE: Final = 0.01
"""Seconds before the same is asked again, whatever the server says: a `retry` of 0 must not keep both of them busy."""

STEADY_TIME: Final = 10.0
"""Seconds that a connection must last after its welcome before the pauses begin anew: a server that lets everybody in
and then ends each connection is not asked twice a second for ever."""

WINDOW: Final = 256
"""Messages under way at once."""

HIGH: Final = MOST
"""Messages of a room that wait in the queue, and as many behind them. What comes then is read from the log later."""

LOW: Final = 250
"""Messages of a room left in the queue when it is filled again."""

SHARE: Final = 0.9
"""Of what the server takes of one client, how much is used: clocks differ, and a network may hold back and hurry."""

FOR_GOOD: Final = frozenset({"bad-message", "unknown-type", "bad-nick", "auth-failed", "denied", "banned"})
"""Refusals of a hello that the next one would get too."""

FOR_NOW: Final = frozenset({"rate-limited", "unavailable"})
"""Refusals after which the same is asked again."""


class RoomState(Slot):
    """A room that one wants to be in."""

    def __init__(self, name: str, since: int | None) -> None:
        super().__init__()
        self.name = name
        self.place: PartialLog[Message] | None = None if since is None else PartialLog[Message](since)
        self.topic = ""
        self.count = 0
        self.oldest = 0
        self.reader: RoomReader[Message] | None = None
        """Reads on from the place, while one is in the room."""
        self.unacked: set[str] = set()
        """The ids of messages that were sent at least once, and of which it is not known what became of them."""
        self.entered = Call({})
        self.left: Call | None = None
        """Somebody waits to have left it."""
        self.leaving = False
        """The server was asked."""


class Talk:
    """The protocol, on whatever link there is. All of it happens in one thread."""

    def __init__(self, nick: str, inbox: Inbox) -> None:
        self.nick = nick
        self.server = ""
        self.limits: dict[str, int] = {}
        self.state = State.CONNECTING
        self.rooms: dict[str, RoomState] = {}
        self.started = Call({})
        self.error: ChatError | None = None
        """Why nothing comes any more."""
        self.refused: RequestError | None = None
        """Why the server does not let us in, this time."""
        self._inbox = inbox
        self._link: Link | None = None
        self._calls: dict[str, Call] = {}
        """What has no answer yet, but for messages."""
        self._waiting: list[tuple[int, Call]] = []
        """Messages to be said, in the order in which they were made."""
        self._flight: dict[str, tuple[int, Call]] = {}
        """Messages that were said on this connection and are not acked."""
        self._numbers = itertools.count()
        self._window = WINDOW
        self._resting = False
        self._renames: deque[Call] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._tokens = 0.0
        """Requests that may be sent now."""
        self._counted = 0.0
        self._heard = 0.0
        self._settled: list[Call] = []
        self._closing = False
        self._tries = 0
        """How often there was a pause since the last connection that lasted."""

    # The connection

    def connected(self, link: Link) -> None:
        """Say hello."""
        self._link = link
        self._heard = self._counted = time.monotonic()
        self._tokens = 10.0
        self._window = WINDOW
        self._resting = False
        self._later(OPEN_TIME, self._check_open)
        self._later(QUIET_TIME / 3, self._look)
        hello = Call({"type": "hello", "nick": self.nick}, self._welcomed, self._shut)
        self._calls[hello.id] = hello
        self._send(hello)

    def _change(self, state: State, reason: str = "") -> None:
        self.state = state
        self._inbox.tell(None, StateChanged(state, reason))

    def lost(self, reason: str) -> None:
        """Forget what belonged to a connection. What it left open is asked again on the next one."""
        self._link = None
        self._timers.clear()
        self._calls = {id: call for id, call in self._calls.items() if not call.belongs}
        self._waiting += self._flight.values()
        heapq.heapify(self._waiting)
        self._flight.clear()
        if self.state is State.CONNECTED and not self._closing:
            self._change(State.WAITING, reason)
        for room in self.rooms.values():
            room.reader = None
            room.leaving = False

    def end(self, error: ChatError) -> None:
        """Take nothing more, and tell everybody why."""
        self.error = error
        self._change(State.CLOSED, str(error))
        calls = [*self._calls.values(), *(call for _, call in (*self._waiting, *self._flight.values()))]
        self._calls.clear()
        self._waiting.clear()
        self._flight.clear()
        for room in self.rooms.values():
            calls += [room.entered, *([room.left] if room.left else [])]
        self.rooms.clear()
        for call in (self.started, *calls, *self._renames, *self._settled):
            call.fail(error)
        self._inbox.end(None, error)

    def _welcomed(self, welcome: Object) -> None:
        self.nick = str(welcome["nick"])
        self.server = str(welcome["server"])
        self.limits = dict(welcome["limits"])
        self._tokens = self.limits.get("burst", 0) * SHARE
        self._change(State.CONNECTED)
        self._later(STEADY_TIME, self._has_lasted)
        for call in tuple(self._calls.values()):
            self._send(call)
        for room in tuple(self.rooms.values()):
            self._join(room)
        self._pump()
        self._rename()
        self.started.succeed(None)

    def _has_lasted(self) -> None:
        self._tries = 0

    def _shut(self, error: RequestError) -> None:
        self.refused = error
        raise LostError(str(error))

    def _check_open(self) -> None:
        if self.state is not State.CONNECTED:
            raise LostError(f"the server did not answer within {OPEN_TIME:.0f} seconds")

    def _look(self) -> None:
        """Look whether the server is there."""
        silence = time.monotonic() - self._heard
        if silence >= DEAD_TIME:
            raise LostError("nothing was heard of the server")
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

    def ask(self, call: Call) -> None:
        """Ask, on this connection or the next one."""
        if self._may(call):
            self._calls[call.id] = call
            if self.state is State.CONNECTED:
                self._send(call)

    def _ask(
        self,
        request: Object,
        read: Callable[[Object], Any] | None = None,
        refused: Callable[[RequestError], None] | None = None,
    ) -> None:
        self.ask(Call(request, read, refused))

    def say(self, call: Call) -> None:
        """Say something to a room or to a nick."""
        if call.room is not None and self.rooms.get(key(call.room.name)) is not call.room:
            call.fail(ClosedError(f"the room {call.room.name} was left"))
        elif self._may(call):
            heapq.heappush(self._waiting, (next(self._numbers), call))
            self._pump()

    def rename(self, call: Call) -> None:
        """Take another nick, when all that was said under the old one is acked."""
        if self._may(call):
            self._renames.append(call)
            self._rename()

    def renamed(self, change: Object) -> str:
        """Take the answer to `rename`."""
        self._renames.popleft()
        self.nick = str(change["nick"])
        return self.nick

    def settle(self, call: Call) -> None:
        """Answer when everything asked so far is answered."""
        self._settled.append(call)
        self._check_settled()

    def quit(self) -> None:
        """End it; the server says stop."""
        self._closing = True
        if self.error is not None:
            return
        if self.state is not State.CONNECTED:
            raise LostError("the client is closed")
        self._ask({"type": "quit"}, self._quitted, _ignore)
        self._later(QUIT_TIME, lambda: self._quitted({}))

    def _quitted(self, _: Object) -> None:
        raise LostError("the client is closed")

    def ended(self, reason: str) -> float | None:
        """Hear how a connection ended, or could not be made; say after which pause to try the next one, if at all."""
        self.lost(reason)
        refused, self.refused = self.refused, None
        if self._closing:
            self.end(ClosedError("the client is closed", wanted=True))
        elif not self.started.done:
            self.end(refused or UnreachableError(reason, reason))
        elif refused is not None and refused.code in FOR_GOOD:
            self.end(ClosedError(f"the server does not let this client in again: {reason}"))
        else:
            self._tries += 1
            return _pause(self._tries)
        return None

    def _may(self, call: Call) -> bool:
        problem = self.error or self._refusal(call.request)
        if problem is not None:
            call.fail(problem)
        return problem is None

    def _refusal(self, request: Object) -> RequestError | None:
        """Say what is wrong with a request that the server would not even read."""
        most = self.limits.get("object")
        try:
            size = len(encode(request))
        except UnicodeEncodeError:
            return RequestError("bad-message", "this cannot be written in UTF-8")
        if most is not None and size > most:
            return RequestError("too-long", f"this has {size:,} bytes on the wire; at most {most:,} are allowed")
        return None

    def _send(self, call: Call) -> None:
        assert self._link
        call.sent = True
        if call.room is not None:
            call.room.unacked.add(call.id)
        self._tokens -= 1
        self._link.send(call.request)

    def _pump(self) -> None:
        """Send of what was said as much as may be sent now."""
        if self.state is not State.CONNECTED or self._resting or not all(room.reader for room in self.rooms.values()):
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
        self._tokens = min(max(1.0, self.limits.get("burst", 0) * SHARE), self._tokens + (now - self._counted) * rate)
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

    def received(self, obj: Object) -> None:
        """Take an object. One that makes no sense is passed over: a newer server may say more."""
        self._heard = time.monotonic()
        with suppress(KeyError, TypeError, ValueError):
            self._take(obj)

    def _take(self, obj: Object) -> None:
        type, id = obj.get("type"), obj.get("id") or ""
        self._notice(obj)
        if type == "error":
            self._error(obj)
        elif type == "ack" and id in self._flight:
            call = self._flight.pop(id)[1]
            self._answer(call, lambda: self._acked(call, obj))
        elif id in self._calls:
            call = self._calls.pop(id)
            self._answer(call, lambda: call.succeed(obj))
        elif type == "":
            self._message(read_message(obj))
        elif type == "ping":
            self._answer_ping()
        elif type in NOTICES:
            self._inbox.tell(self._room(obj), read(NOTICES[type], obj))
        if type == "stop":
            raise LostError(str(obj.get("msg")) or "the server ended it")
        for room in tuple(self.rooms.values()):
            self.step(room)
        self._pump()
        self._rename()
        self._check_settled()

    def _answer(self, call: Call, take: Callable[[], None]) -> None:
        """Take an answer. Whoever waits for one that makes no sense hears that."""
        try:
            take()
        except (KeyError, TypeError, ValueError):
            self._fail(call, RequestError("internal", UNREADABLE))

    def _fail(self, call: Call, error: RequestError) -> None:
        self._release(call)
        call.fail(error)
        if call in self._renames:
            self._renames.remove(call)

    def _answer_ping(self) -> None:
        assert self._link
        self._link.send({"type": "pong"})

    def _room(self, obj: Object) -> RoomState | None:
        return self.rooms.get(key(str(obj.get("room"))))

    def _notice(self, obj: Object) -> None:
        """Note what is said of a room."""
        room = self._room(obj)
        if room is None:
            return
        match obj.get("type"):
            case "join":
                room.count += 1
            case "leave":
                room.count -= 1
            case "presence":
                room.count = int(obj["count"])
            case "topic":
                room.topic = str(obj["msg"])

    def _acked(self, call: Call, ack: Object) -> None:
        seq = ack.get("seq")
        room = call.room
        if room is not None and room.place is not None and seq is not None:
            room.place.acked(seq)
        self._release(call)
        call.succeed(seq)

    def _release(self, call: Call) -> None:
        """Note that it is known of a message what became of it."""
        if call.room is not None:
            call.room.unacked.discard(call.id)

    def _error(self, obj: Object) -> None:
        id = obj.get("id") or ""
        error = RequestError(str(obj["code"]), str(obj["msg"]), obj.get("retry"))
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
                self._fail(call, error)
        elif id in self._calls:
            call = self._calls[id]
            if error.code in FOR_NOW and self.state is State.CONNECTED:
                self._later(self._put_off(call, error), lambda: self._send(call))
            else:
                del self._calls[id]
                self._fail(call, error)
        else:
            self._inbox.tell(None, read(Error, obj))

    def _put_off(self, call: Call, error: RequestError) -> float:
        call.tries += 1
        return _pause(call.tries) if error.retry is None else max(LEAST_PAUSE, error.retry)

    def _check_settled(self) -> None:
        asked = [call for call in self._calls.values() if not call.belongs]
        if not (asked or self._waiting or self._flight or self._renames):
            settled, self._settled = self._settled, []
            for call in settled:
                call.succeed(None)

    # Rooms

    def enter(self, room: RoomState) -> None:
        """Enter a room."""
        if self.error is not None:
            room.entered.fail(self.error)
            return
        self.rooms[key(room.name)] = room
        if self.state is State.CONNECTED:
            self._join(room)

    def _join(self, room: RoomState) -> None:
        since = {} if room.place is None else {"since": room.place.seq}
        self._ask(
            {"type": "join", "room": room.name, **since},
            lambda joined: self._joined(room, joined),
            lambda error: self._not_joined(room, error),
        )

    def _joined(self, room: RoomState, joined: Object) -> None:
        room.name, room.topic = str(joined["room"]), str(joined["topic"])
        room.count, room.oldest = int(joined["count"]), int(joined["oldest"])
        seq = int(joined["seq"])
        if room.place is None:
            room.place = PartialLog[Message](seq)
        elif seq < room.place.seq:  # the log is another one, and nothing of it was heard
            room.place = PartialLog[Message](0)
            room.place.start(seq)
            self._inbox.tell(room, NewLog(room.name))
        else:
            room.place.start(room.place.seq)
        room.reader = RoomReader(room.place, attrgetter("author"))
        room.entered.succeed(None)

    def _not_joined(self, room: RoomState, error: RequestError) -> None:
        if room.entered.done and error.code in ("full", "internal"):
            self._later(_pause(5), lambda: self._join(room))
        else:
            self._end_room(room, error)

    def leave(self, room: RoomState, call: Call) -> None:
        """Leave a room, when all that was said there is acked."""
        room.left = call
        if self.rooms.get(key(room.name)) is room:
            self.step(room)
        else:
            call.succeed(None)

    def _leave(self, room: RoomState) -> None:
        if room.leaving or any(call.room is room for _, call in (*self._waiting, *self._flight.values())):
            return
        room.leaving = True
        left = ClosedError(f"the room {room.name} was left", wanted=True)
        request = {"type": "leave", "room": room.name}
        self._ask(request, lambda _: self._end_room(room, left), lambda _: self._end_room(room, left))

    def _end_room(self, room: RoomState, error: ChatError) -> None:
        del self.rooms[key(room.name)]
        room.reader = None
        if room.entered.done and isinstance(error, RequestError):
            self._inbox.tell(room, RoomLost(room.name, error))
        room.entered.fail(error)
        for entry in [entry for entry in self._waiting if entry[1].room is room]:
            self._waiting.remove(entry)
            entry[1].fail(error)
        heapq.heapify(self._waiting)
        self._inbox.end(room, error)
        if room.left is not None:
            room.left.succeed(None)

    def _message(self, message: Message) -> None:
        room = self.rooms.get(key(message.room or ""))
        if isinstance(message, DirectMessage):
            self._inbox.put(None, message)
        elif room is not None and room.place is not None:
            room.place.heard(message.seq or 0, message)

    def step(self, room: RoomState) -> None:
        """Do what comes next for a room: hand out what is known, read what is missing, leave."""
        reader = room.reader
        if reader is None:
            return
        while room.queued < HIGH and (message := reader.ready(self.nick, room.unacked)) is not None:
            self._inbox.put(room, message)
            reader.log.advance()
        if room.queued < HIGH:
            for after in reader.gaps():
                self._fill(room, reader, after)
        if room.left is not None:
            self._leave(room)

    def _fill(self, room: RoomState, reader: RoomReader[Message], after: int) -> None:
        """Read what is missing behind a message."""

        def ask() -> None:
            if room.reader is reader:
                self._ask({"type": "history", "room": room.name, "after": after, "limit": PAGE}, take, refused)

        def take(page: Object) -> None:
            messages, more = list(map(read_message, page["messages"])), bool(page["more"])
            reader.release(after)
            reader.read(after, {message.seq or 0: message for message in messages}, more)

        def refused(_: RequestError) -> None:
            self._later(_pause(3), again)

        def again() -> None:
            reader.release(after)
            self.step(room)

        if reader.pause:
            self._later(reader.pause, ask)
        else:
            ask()


def _ignore(_: RequestError) -> None:
    """Do nothing: what was asked for is not needed."""


def _pause(tries: int) -> float:
    """Seconds before the next try: twice as long each time, and not the same for all clients of a server."""
    return min(0.25 * 2.0 ** min(tries, 20), LONGEST_PAUSE) * (1 + random.random() / 2)

"""The rules between one client and its server, over any number of connections.

What makes the promises true:

- A room is a log and a reader is a cursor in it. On each new connection the client joins with the newest message that
  it has heard, and reads from the log what is missing (`room_reader`), so that nothing is missed or doubled.
- A message is sent again with the same id until it is acked (`outbox`); the server deduplicates.
- **What may be one's own waits.** After a lost connection, a message that was under way may be in the log, under the
  client's nick. Such a message is not handed out before it is known of each unacked one whether it is that one.
- **A slow consumer is a cursor, too.** What it has no space for is let go, and read from the log in pages when it takes
  more. Memory is bounded, and the connection goes on: acks, pings and other rooms do not wait. (A paused transport
  would hold back the ack that a consumer waits for before it takes the next message, for ever.)
- **What is asked goes out after what it depends on.** On a new connection the rooms are joined first; then all that
  waits is sent in the order in which it was asked. A room that is refused for now holds up what is about it, and
  nothing else.
- A nick is changed when all that was said under the old one is acked, since the server knows a message by author and
  id. What is asked after it waits for it.
"""

from __future__ import annotations

import heapq
import math
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ..errors import UNREADABLE, ChatError, ClosedError, RequestError, UnreachableError
from ..keys import key
from ..states import NewLog, RoomLost, State, StateChanged
from .events import Answered, Closed, Ended, Entered, Failed, Heard, Welcomed
from .membership import Membership
from .objects import (
    GAP,
    UNSOUND,
    Message,
    Object,
    encode,
    field,
    optional,
    read_message,
    read_notice,
    read_page,
)
from .outbox import Outbox
from .pace import Pace, backoff, pause_before_retry
from .requests import ANSWERS, Kind, Request
from .room_reader import PAGE

WELCOME_TIME: Final = 30.0
"""Seconds in which a server must answer a hello: a busy one needs some, and one that is none never does."""

QUIET_TIME: Final = 20.0
"""Seconds of silence after which the server is asked whether it is there."""

DEAD_TIME: Final = 60.0
"""Seconds of silence after which a connection is given up: it was asked three times by then."""

QUIT_TIME: Final = 5.0
"""Seconds in which a server must end the connection of a client that quits."""

STEADY_TIME: Final = 10.0
"""Seconds that a connection must last after its welcome before the pauses begin anew: a server that lets everybody in
and then ends each connection is not asked every second for ever."""

MAX_OBJECT: Final = 16_384
"""Bytes of an object at most, as long as the server has not said otherwise."""

MAX_TEXT: Final = 2**16
"""Characters of a text whose parts are read over UDP; a server takes a quarter of that in one message."""

FOR_GOOD: Final = frozenset({"bad-message", "unknown-type", "bad-nick", "auth-failed", "denied", "banned"})
"""Refusals of a hello that the next one would get too. (`nick-taken` is not among them: it may be the client's own last
connection, which the server has not noticed to be dead.)"""

PUT_OFF: Final = frozenset({"rate-limited", "unavailable"})
"""Refusals of a message, and of what the engine asks for itself, after which the same is sent again. What a program
asks is sent again when it is rate-limited; that something is unavailable, it is told."""

FOR_NOW: Final = PUT_OFF | {"full", "internal"}
"""Refusals of a room that the client was in after which it is tried again. With any other it is lost."""

CLOSED: Final = "the client is closed"

Timer = tuple[float, int, Callable[[], None]]


class Engine:
    """Everything between one client and its server but the connection."""

    def __init__(
        self,
        nick: str,
        where: str,
        new_id: Callable[[], str],
        retry: Callable[[int], float] = backoff,
        hint: str = "",
    ) -> None:
        """Prepare a client.

        `where` names the server in errors. `new_id` makes the ids of requests, which no other client, before or after,
        uses. `retry` gives the seconds before the n-th try to connect again. `hint` says what to try where something
        answers that does not speak this protocol.
        """
        self.nick = nick
        """The client's nick, as the server has it."""
        self.server = ""
        """The server's name and version."""
        self.limits: dict[str, int] = {}
        """The server's limits by their names."""
        self.state = State.CONNECTING
        self.memberships: dict[str, Membership] = {}
        """The rooms that the client is in, or wants to be in, by the keys of their names."""
        self.error: ChatError | None = None
        """Why nothing comes any more."""
        self.hang_up: str | None = None
        """Why the shell is to end the connection now."""
        self.pause = 0.0
        """Seconds after which the shell is to connect again, once a connection is lost."""
        self.has_work = False
        """`take_objects` or `take_events` may have something."""
        self._where = where
        self._retry = retry
        self._hint = hint
        self._new_id = new_id
        self._token = secrets.token_hex(16)
        """The secret by which the server knows the client's next connection: it takes the place of a silent one."""
        self._number = 0
        self._now = 0.0
        self._asked: dict[str, Request] = {}
        """What the program has asked and is not answered, by ids, in the order of asking."""
        self._own: dict[str, Request] = {}
        """What the engine has asked for itself on this connection."""
        self._queue: deque[Request] = deque()
        """What of `_asked` waits to be sent, beside messages."""
        self._direct: dict[str, Outbox] = {}
        """Messages to nicks, by the nicks' keys."""
        self._renaming: Request | None = None
        """The change of nick that is under way."""
        self._returning: set[Membership] = set()
        """The rooms that have to be answered for, on a new connection, before anything else is sent."""
        self._touched: dict[Membership, None] = {}
        """The rooms for which there may be something to do."""
        self._objects: list[Object] = []
        self._events: list[Any] = []
        self._timers: list[Timer] = []
        self._pace = Pace({}, 0.0)
        self._paused = False
        """Messages wait until they do not come too fast."""
        self._is_connected = False
        self._heard = 0.0
        self._hello: Request | None = None
        self._shut_out: RequestError | None = None
        """Why the server does not let the client in, this time."""
        self._reason = ""
        """Why there is no connection, as the program was told last."""
        self._is_foreign = False
        """Nothing has come on this connection that is known here."""
        self._was_welcome = False
        self._quitting = False
        self._tries = 0
        """How often there was a pause since the last connection that lasted."""

    # What the shell takes

    def take_objects(self, now: float) -> list[Object]:
        """Take what is to be sent now."""
        self._now = now
        self.has_work = False
        self._pump()
        objects, self._objects = self._objects, []
        return objects

    def take_events(self) -> list[Any]:
        """Take what is to be told: the events of `events` and of `states`, and the notices of `objects`."""
        events, self._events = self._events, []
        return events

    def take(self, membership: Membership) -> Message | None:
        """Take a room's next message; None where none is known now. `Membership.error` says that none comes."""
        reader = membership.reader
        if reader is None:
            return None
        obj = reader.ready(self.nick, membership.outbox.unacked)
        if obj is None or self._is_cut(membership, obj):
            return None
        reader.log.advance()
        if not reader.log.is_complete and reader.is_hungry:
            self._touch(membership)
        return Message(obj["msg"], obj["author"], membership.name, None, obj["seq"], obj.get("time"))

    def due(self) -> float | None:
        """Give the time of the next `tick`, if there is to be one."""
        return self._timers[0][0] if self._timers else None

    @property
    def waiting(self) -> list[Request]:
        """What was asked or said and has no answer yet, in the order of asking."""
        return list(self._asked.values())

    @property
    def owed(self) -> int:
        """The number of requests and messages that have no answer yet."""
        return len(self._asked)

    # What the shell hands in

    def connected(self, now: float) -> None:
        """Say hello: there is a connection."""
        self._now = self._heard = now
        self._is_connected = self._is_foreign = True
        if self.error is not None:
            self._hang_up(CLOSED)
            return
        self._pace = Pace({}, now)
        self._later(WELCOME_TIME, self._check_welcome)
        self._later(QUIET_TIME / 2, self._look)
        hello = {"type": "hello", "nick": self.nick, "token": self._token}
        self._hello = self._ask_own("hello", hello, self._welcomed, self._shut)

    def received(self, obj: Object, now: float) -> None:
        """Take an object of the server, or a `GAP`. What makes no sense is passed over: a newer server may say more."""
        self._now = self._heard = now
        if self.error is not None or self.hang_up is not None:
            return
        if obj is GAP:
            for membership in self.memberships.values():
                if membership.reader is not None:
                    membership.reader.log.broken()
                    self._touch(membership)
            return
        with suppress(*UNSOUND):
            self._take(obj)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._now = now
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
            self.has_work = True

    def lost(self, reason: str, now: float, foreign: bool = True) -> None:
        """Called when a connection has ended, for this reason.

        `foreign`: nothing that the shell knows says that the server speaks this protocol.
        """
        is_foreign = foreign and self._is_foreign
        reason = self._disconnect(now) or reason
        hint = f"; {self._hint}" if is_foreign and self._hint else ""
        text = f"{self._where} did not let this client in: {reason}{hint}"
        self._try_again(reason, UnreachableError(text, reason, is_foreign))

    def failed(self, reason: str, now: float, cause: BaseException | None = None) -> None:
        """Called when a connection could not be made, for this reason."""
        self._now = now
        error = UnreachableError(f"cannot reach {self._where}: {reason}", reason)
        error.__cause__ = cause
        self._try_again(reason, error)

    def quit(self) -> None:
        """End it: say goodbye, and `hang_up` when the server has answered. Without a connection, end it now."""
        self._quitting = True
        if self.error is not None:
            return
        if self.state is State.CONNECTED:
            self._ask_own("quit", {"type": "quit"}, _ignore, _ignore)
            self._later(QUIT_TIME, lambda: self._hang_up(CLOSED))
        elif self._is_connected:
            self._hang_up(CLOSED)
        else:
            self.end(ClosedError(CLOSED, wanted=True))

    def end(self, error: ChatError) -> None:
        """End it now: whoever waits for anything gets the error."""
        if self.error is not None:
            return
        self.error = error
        self.state = State.CLOSED
        self._timers.clear()
        if self._is_connected:
            self._hang_up(str(error))
        for request in self.waiting:
            self._tell(Failed(request, error))
        self._asked.clear()
        self._queue.clear()
        self._direct.clear()
        for membership in tuple(self.memberships.values()):
            self._end_membership(membership, error)
        self._tell(StateChanged(State.CLOSED, str(error)))
        self._tell(Closed(error))

    # What the program asks

    def join(self, name: str, since: int | None = None) -> Membership:
        """Enter a room that the client is not in yet. `Entered` or `Ended` tells what became of it."""
        membership = Membership(name, since)
        if self.error is not None:
            self._end_membership(membership, self.error)
        else:
            self.memberships[membership.key] = membership
            self._touch(membership)
        return membership

    def leave(self, membership: Membership) -> None:
        """Leave a room, when all that was said there is acked. `Ended` tells when that is."""
        membership.leaving = True
        self._touch(membership)

    def say(self, membership: Membership, text: str) -> Request:
        """Say something in a room; the answer is its number."""
        request = self._new("message", {"type": "", "room": membership.name, "msg": text}, membership.name, text=text)
        request.membership = membership
        if self.error is None and (membership.leaving or membership.error is not None):
            return self._failed(request, ClosedError(f"the room {membership.name} was left"))
        return self._post(request)

    def tell(self, nick: str, text: str) -> Request:
        """Say something to one nick; the answer is its number where it is kept, or else None."""
        return self._post(self._new("message", {"type": "", "to": nick, "msg": text}, nick=nick, text=text))

    def set_topic(self, room: str, text: str) -> Request:
        """Set a room's topic; an empty one takes it away."""
        return self._ask(self._new("topic", {"type": "topic", "room": room, "msg": text}, room, text=text))

    def who(self, room: str, after: str = "") -> Request:
        """Ask for a room's members, from the nick `after` on; the answer is `Members`."""
        return self._ask(self._new("members", {"type": "who", "room": room, "after": after}, room))

    def rooms(self) -> Request:
        """Ask for the rooms there are; the answer is a list of `RoomInfo`."""
        return self._ask(self._new("rooms", {"type": "rooms"}))

    def history(self, room: str, before: int | None, after: int | None, limit: int) -> Request:
        """Ask for a part of a room's log; the answer is a `Page`."""
        given = {name: seq for name, seq in (("before", before), ("after", after)) if seq is not None}
        return self._ask(self._new("history", {"type": "history", "room": room, "limit": limit, **given}, room))

    def rename(self, nick: str) -> Request:
        """Take another nick; the answer is the nick as the server has it."""
        return self._ask(self._new("nick", {"type": "nick", "nick": nick}, nick=nick))

    def withdraw(self, request: Request) -> None:
        """Take back a message for whose answer nobody waits. One that was sent may arrive all the same."""
        if request.kind == "message" and request.id in self._asked and self._outbox(request).withdraw(request):
            self._forget(request)
            self._touch_of(request)

    # Making requests

    def _new(
        self, kind: Kind, obj: Object, room: str | None = None, nick: str | None = None, text: str | None = None
    ) -> Request:
        self._number += 1
        membership = self.memberships.get(key(room)) if room is not None else None
        obj["id"] = self._new_id()
        return Request(kind, room, nick, text, obj=obj, number=self._number, membership=membership)

    def _is_refused(self, request: Request) -> bool:
        """Refuse here what the server would not even read."""
        problem: ChatError | None = self.error
        most = self.limits.get("object", MAX_OBJECT)
        try:
            size = len(encode(request.obj))
        except UnicodeEncodeError:
            problem = problem or RequestError("bad-message", "this cannot be written in UTF-8", None, request)
        else:
            if size > most:
                text = f"this has {size:,} bytes on the wire; at most {most:,} are allowed"
                problem = problem or RequestError("too-long", text, None, request)
        if problem is not None:
            self._failed(request, problem)
        return problem is not None

    def _failed(self, request: Request, error: ChatError) -> Request:
        self._tell(Failed(request, error))
        return request

    def _ask(self, request: Request) -> Request:
        if not self._is_refused(request):
            self._asked[request.id] = request
            self._queue.append(request)
            self.has_work = True
        return request

    def _post(self, request: Request) -> Request:
        if not self._is_refused(request):
            self._asked[request.id] = request
            self._outbox(request).add(request)
            self.has_work = True
        return request

    def _ask_own(
        self,
        kind: Kind,
        obj: Object,
        answered: Callable[[Any], None],
        refused: Callable[[RequestError], None],
        membership: Membership | None = None,
    ) -> Request:
        """Ask something for the engine itself, now; it is forgotten when the connection is lost."""
        room = membership.name if membership is not None else None
        request = Request(kind, room, obj=obj | {"id": self._new_id()}, membership=membership)
        request.answered, request.refused = answered, refused
        self._own[request.id] = request
        self._send(request)
        return request

    def _send(self, request: Request) -> None:
        request.is_sent = True
        self._pace.spend()
        self._objects.append(request.obj)
        self.has_work = True

    def _tell(self, event: object) -> None:
        self._events.append(event)
        self.has_work = True

    def _touch(self, membership: Membership) -> None:
        self._touched[membership] = None
        self.has_work = True

    def _touch_of(self, request: Request) -> None:
        """Note that something has changed for the room that a request is about."""
        if request.membership is not None:
            self._touch(request.membership)
            self._tell_heard(request.membership)  # what was held since it might have been this message

    def _tell_heard(self, membership: Membership) -> None:
        if membership.error is not None:
            return
        if not (self._events and isinstance(self._events[-1], Heard) and self._events[-1].membership is membership):
            self._tell(Heard(membership))

    def _outbox(self, request: Request) -> Outbox:
        """Give the outbox of a message."""
        if request.membership is not None:
            return request.membership.outbox
        return self._direct.setdefault(key(request.nick or ""), Outbox())

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        """Do something after a pause, unless the connection is lost before."""
        self._number += 1
        heapq.heappush(self._timers, (self._now + seconds, self._number, function))

    # The connection

    def _welcomed(self, welcome: Object) -> None:
        nick, server, limits = (
            field(welcome, "nick", str),
            field(welcome, "server", str),
            field(welcome, "limits", dict),
        )
        if not all(type(limit) is int for limit in limits.values()):
            raise TypeError("a limit is not a number")
        self.nick, self.server, self.limits = nick, server, limits
        self._pace = Pace(limits, self._now)
        self.state = State.CONNECTED
        self._was_welcome = True
        self._reason = ""
        self._later(STEADY_TIME, self._has_lasted)
        self._returning = set(self.memberships.values())
        self._touched.update(dict.fromkeys(self.memberships.values()))
        self._tell(StateChanged(State.CONNECTED))
        self._tell(Welcomed())

    def _shut(self, error: RequestError) -> None:
        """Called when the server does not let the client in."""
        self._shut_out = error
        text = str(error)
        if error.code == "nick-taken" and self._was_welcome:
            text = f"the nick {self.nick} is still taken by your last connection, or by somebody else by now: {text}"
        self._hang_up(text)

    def _hang_up(self, reason: str) -> None:
        self.hang_up = self.hang_up or reason
        self.has_work = True

    def _has_lasted(self) -> None:
        self._tries = 0

    def _check_welcome(self) -> None:
        if self.state is not State.CONNECTED:
            self._hang_up(f"the server did not answer within {WELCOME_TIME:.0f} seconds")

    def _look(self) -> None:
        """Look whether the server is there."""
        silence = self._now - self._heard
        if silence >= DEAD_TIME:
            self._hang_up(f"nothing was heard of the server for {DEAD_TIME:.0f} seconds")
        elif silence >= QUIET_TIME and self.state is State.CONNECTED:
            self._ask_own("ping", {"type": "ping"}, _ignore, _ignore)
        self._later(QUIET_TIME / 2, self._look)

    def _disconnect(self, now: float) -> str:
        """Forget what belonged to a connection; what it left open is sent again. Give the reason known here."""
        self._now = now
        reason, self.hang_up = self.hang_up, None
        self._is_connected = self._paused = False
        self._timers.clear()
        self._objects.clear()
        self._own.clear()
        self._hello = self._renaming = None
        self._returning.clear()
        for request in self._asked.values():
            request.is_sent = False
        self._queue = deque(request for request in self._asked.values() if request.kind != "message")
        for outbox in self._outboxes():
            outbox.lost()
        for membership in self.memberships.values():
            membership.away()
            self._touch(membership)
        return reason or ""

    def _try_again(self, reason: str, unreachable: UnreachableError) -> None:
        """Say after which pause the next connection is to be made, or end it."""
        shut_out, self._shut_out = self._shut_out, None
        if self.error is not None:
            return
        if self._quitting:
            self.end(ClosedError(CLOSED, wanted=True))
        elif not self._was_welcome:
            self.end(shut_out or unreachable)
        elif shut_out is not None and shut_out.code in FOR_GOOD:
            closed = ClosedError(f"the server does not let this client in again: {shut_out}")
            closed.__cause__ = shut_out
            self.end(closed)
        else:
            self._tries += 1
            self.pause = self._retry(self._tries)
            if self.state is not State.WAITING or reason != self._reason:
                self.state, self._reason = State.WAITING, reason
                self._tell(StateChanged(State.WAITING, reason))

    def _outboxes(self) -> list[Outbox]:
        return [*self._direct.values(), *(membership.outbox for membership in self.memberships.values())]

    # Sending what waits

    def _pump(self) -> None:
        """Send all that may be sent now."""
        while self._touched:
            membership = next(iter(self._touched))
            del self._touched[membership]
            self._step(membership)
        if self.state is not State.CONNECTED or self._returning:
            return
        last = math.inf if self._renaming is None else self._renaming.number
        for request in tuple(self._queue):
            if request.number > last:
                break
            if request.kind == "nick":
                last = request.number
                if not self._holds_up_rename(last):
                    self._renaming = request
                    self._queue.remove(request)
                    self._send(request)
                break
            if request.membership is None or request.membership.joined or request.membership.error is not None:
                self._say(request.number)
                self._queue.remove(request)
                self._send(request)
        self._say(last)

    def _holds_up_rename(self, number: int) -> bool:
        self._say(number)
        return any(outbox.holds_up(number, is_open=True) for outbox in self._direct.values()) or any(
            membership.outbox.holds_up(number, membership.joined) for membership in self.memberships.values()
        )

    def _say(self, last: float) -> None:
        """Send of the messages that were said before `last` as many as may be sent now."""
        open_ones = [outbox for outbox in self._direct.values() if outbox.first < last]
        open_ones += [
            membership.outbox
            for membership in self.memberships.values()
            if membership.joined and membership.outbox.first < last
        ]
        for outbox in sorted(open_ones, key=lambda outbox: outbox.first):
            while outbox.first < last and not self._must_pause():
                self._send(outbox.take())

    def _must_pause(self) -> bool:
        """True while the next message would come too fast; then sending goes on after a pause."""
        if not self._paused and (seconds := self._pace.pause(self._now)):
            self._paused = True
            self._later(seconds, self._end_pause)
        return self._paused

    def _end_pause(self) -> None:
        self._paused = False

    # What comes

    def _take(self, obj: Object) -> None:
        type = field(obj, "type", str)
        id = obj.get("id")
        request = (self._own.get(id) or self._asked.get(id)) if isinstance(id, str) else None
        if request is not None and not request.is_sent:
            request = None
        if type == "" and request is None:
            self._message(obj)
            return
        self._note(obj)
        if type == "error":
            self._refused(obj, request)
        elif type == "stop":
            self._stopped(obj)
        elif request is not None:
            self._answered(request, obj)
        elif type == "ping":
            self._objects.append({"type": "pong"})
            self.has_work = True
        else:
            notice = read_notice(obj)
            if notice is not None:
                self._tell(notice)

    def _note(self, obj: Object) -> None:
        """Note what is said of a room."""
        room = obj.get("room")
        membership = self.memberships.get(key(room)) if isinstance(room, str) else None
        if membership is None:
            return
        match obj:
            case {"type": "join"}:
                membership.count += 1
            case {"type": "leave"}:
                membership.count -= 1
            case {"type": "presence", "count": int(count)}:
                membership.count = count
            case {"type": "topic", "msg": str(topic)}:
                membership.topic = topic

    def _stopped(self, obj: Object) -> None:
        stop = read_notice(obj)
        self._is_foreign = False
        self._tell(stop)
        self._hang_up(optional(obj, "msg", str) or "the server ended the connection")

    def _message(self, obj: Object) -> None:
        if obj.get("to") is not None:
            self._tell(read_message(obj))
            return
        membership = self.memberships.get(key(field(obj, "room", str)))
        if membership is not None and membership.joined and membership.reader is not None:
            membership.reader.log.heard(_seq(obj), obj)
            if not membership.reader.log.is_complete:
                self._touch(membership)
            self._tell_heard(membership)

    def _answered(self, request: Request, obj: Object) -> None:
        self._is_foreign = False
        type, read = ANSWERS[request.kind]
        if obj["type"] != type:
            text = "the server answered something else than was asked for"
            self._give_up(request, RequestError("internal", text, None, request))
            return
        try:
            result = read(obj)
            if request.answered is not None:
                self._own.pop(request.id)
                request.answered(result)
            else:
                self._succeed(request, result)
        except UNSOUND:
            self._give_up(request, RequestError("internal", UNREADABLE, None, request))

    def _succeed(self, request: Request, result: Any) -> None:
        """Take the answer to what the program has asked. It is not forgotten where it cannot be read."""
        match request.kind:
            case "message":
                request.seq, request.time = optional(result, "seq", int), optional(result, "time", str)
                reader = request.membership.reader if request.membership is not None else None
                if reader is not None and request.seq is not None:
                    reader.log.acked(request.seq)
                result = request.seq
            case "nick":
                self.nick = result
            case "history":
                page = read_page(result)  # what makes no sense is found before anything is done with it
                cut = next((message for message in result["messages"] if message.get("rest")), None)
                if cut is not None:  # over UDP; a page in which a text is cut ends with it
                    result["more"] |= "after" in request.obj
                    self._complete(cut, lambda: self._answered(request, result))
                    return
                result = page
        self._forget(request)
        self._tell(Answered(request, result))
        self._touch_of(request)

    def _forget(self, request: Request) -> None:
        """Forget a request that is answered, or will not be."""
        del self._asked[request.id]
        if request.kind == "message":
            outbox = self._outbox(request)
            if request.is_sent:
                outbox.answered(request)
            if outbox.is_empty and request.membership is None:
                del self._direct[key(request.nick or "")]
        elif request is self._renaming:
            self._renaming = None
        request.is_sent = False

    def _give_up(self, request: Request, error: RequestError) -> None:
        """Let a request fail for good."""
        if request.refused is not None:
            self._own.pop(request.id, None)
            request.refused(error)
        else:
            self._forget(request)
            self._tell(Failed(request, error))
            self._touch_of(request)

    def _refused(self, obj: Object, request: Request | None) -> None:
        self._is_foreign = False
        code, text, retry = obj.get("code"), obj.get("msg"), obj.get("retry")
        error = RequestError(
            code if isinstance(code, str) else "internal",
            text if isinstance(text, str) and text else UNREADABLE,
            float(retry) if isinstance(retry, int | float) and 0 <= retry < math.inf else None,
            request,
        )
        if self.state is not State.CONNECTED and (request is None or request is self._hello):
            self._shut(error)
        elif request is None:
            self._tell(read_notice(obj))
        elif error.code == "rate-limited" or (
            error.code == "unavailable" and (request.is_own or request.kind == "message")
        ):
            self._put_off(request, error.retry)
        else:
            self._give_up(request, error)

    def _put_off(self, request: Request, retry: float | None) -> None:
        """Send a request again after a pause."""
        request.tries += 1
        if request.kind == "message":
            outbox = self._outbox(request)
            outbox.put_off(request)
            request.is_sent = False
            again: Callable[[], None] = outbox.rested
        else:
            membership = request.membership if request.kind == "join" else None
            if membership is not None:
                self._rest(membership)

            def again() -> None:
                if request.id in self._own or request.id in self._asked:
                    if membership is not None:
                        membership.resting = False
                    self._send(request)

        self._later(pause_before_retry(request.tries, retry), again)

    # Being in rooms

    def _step(self, membership: Membership) -> None:
        """Do what comes next for a room: leave it, enter it, read on."""
        if membership.error is not None:
            return
        if membership.leaving and membership.outbox.is_empty and not self._asks_about(membership):
            self._leave(membership)
        elif self.state is State.CONNECTED and not (membership.joined or membership.busy or membership.resting):
            self._join(membership)
        if membership.joined and membership.reader is not None:
            for after in membership.reader.gaps():
                self._fill(membership, after)

    def _asks_about(self, membership: Membership) -> bool:
        return any(request.membership is membership for request in self._queue)

    def _rest(self, membership: Membership) -> None:
        """Note that a room refuses for now: what is about it waits, and nothing else."""
        membership.resting = True
        self._returning.discard(membership)

    def _join(self, membership: Membership) -> None:
        reader = membership.reader
        replays = reader is not None and reader.is_hungry
        since = {"since": reader.log.edge} if reader is not None and replays else {}
        membership.busy = self._ask_own(
            "join",
            {"type": "join", "room": membership.name, **since},
            lambda joined: self._joined(membership, joined, replays),
            lambda error: self._not_joined(membership, error),
            membership,
        )

    def _joined(self, membership: Membership, joined: Object, replays: bool) -> None:
        room, topic = field(joined, "room", str), field(joined, "topic", str)
        seq, oldest, count = field(joined, "seq", int), field(joined, "oldest", int), field(joined, "count", int)
        membership.name, membership.topic, membership.oldest, membership.count = room, topic, oldest, count
        reader = membership.reader
        if reader is None:
            membership.read_from(seq)
        elif seq < reader.log.seq:
            # The log is a new one (a server that keeps nothing on disk was started again): nothing of it was heard.
            membership.read_from(0).log.skip(seq)
            self._tell(NewLog(room))
        elif replays:
            reader.log.resume()
        else:
            reader.log.skip(seq)
        membership.busy = None
        membership.joined = True
        membership.tries = 0
        self._returning.discard(membership)
        self._touch(membership)
        if not membership.entered:
            membership.entered = True
            self._tell(Entered(membership))
        self._tell_heard(membership)

    def _not_joined(self, membership: Membership, error: RequestError) -> None:
        if not (membership.entered and error.code in FOR_NOW):
            self._lose_membership(membership, error)
            return
        membership.tries += 1
        membership.busy = None
        self._rest(membership)

        def again() -> None:
            membership.resting = False
            self._touch(membership)

        self._later(pause_before_retry(membership.tries, error.retry), again)

    def _leave(self, membership: Membership) -> None:
        left = ClosedError(f"the room {membership.name} was left", wanted=True)
        if membership.joined and membership.busy is None:
            over: Callable[[object], None] = lambda _: self._end_membership(membership, left)  # noqa: E731 - for both
            leave = {"type": "leave", "room": membership.name}
            membership.busy = self._ask_own("leave", leave, over, over, membership)
        elif not membership.joined and (membership.busy is None or membership.resting):
            self._end_membership(membership, left)

    def _lose_membership(self, membership: Membership, error: RequestError) -> None:
        """Called when the server does not let the client into a room, or not read on."""
        if membership.entered:
            self._tell(RoomLost(membership.name, error))
        self._end_membership(membership, error)

    def _end_membership(self, membership: Membership, error: ChatError) -> None:
        """Have done with a room: it was left, or the server does not let the client in, or the client is closed."""
        membership.error = error
        membership.joined = False
        if self.memberships.get(membership.key) is membership:
            del self.memberships[membership.key]
        self._own = {id: request for id, request in self._own.items() if request.membership is not membership}
        self._returning.discard(membership)
        for request in membership.outbox.empty():
            if self._asked.pop(request.id, None) is not None:
                self._tell(Failed(request, error))
        self._tell(Ended(membership, error))

    # Reading the log

    def _fill(self, membership: Membership, after: int) -> None:
        """Read what is missing behind a message."""
        reader = membership.reader
        assert reader is not None

        def ask() -> None:
            if membership.reader is reader and membership.joined:
                history = {"type": "history", "room": membership.name, "after": after, "limit": PAGE}
                self._ask_own("history", history, take, refused, membership)

        def take(page: Object) -> None:
            messages = {_seq(message): message for message in field(page, "messages", list)}
            more = field(page, "more", bool)
            reader.release(after)
            reader.read(after, messages, more)
            self._touch(membership)
            self._tell_heard(membership)

        def refused(error: RequestError) -> None:
            if error.code in FOR_NOW:
                self._later(backoff(3), again)
            else:
                self._lose_membership(membership, error)

        def again() -> None:
            reader.release(after)
            self._touch(membership)

        if reader.pause:
            self._later(reader.pause, ask)
        else:
            ask()

    def _is_cut(self, membership: Membership, message: Object) -> bool:
        """True where a text did not fit into a datagram: then its rest is read from the log."""
        if not message.get("rest"):
            return False
        if membership.joined and membership.completing != message["seq"]:
            membership.completing = message["seq"]
            self._complete(message, lambda: self._tell_heard(membership), membership)
        return True

    def _complete(self, message: Object, done: Callable[[], None], membership: Membership | None = None) -> None:
        """Read what follows of a text that did not fit into a datagram; where there is no more, that was all."""
        room, seq = message["room"], message["seq"]

        def ask() -> None:
            history = {"type": "history", "room": room, "after": seq - 1, "limit": 1, "skip": len(message["msg"])}
            self._ask_own("history", history, take, refused, membership)

        def take(page: Object) -> None:
            parts = [part for part in field(page, "messages", list) if _seq(part) == seq]
            text: str = parts[0]["msg"] if parts else ""
            message["msg"] += text
            if text and parts[0].get("rest") and len(message["msg"]) < MAX_TEXT:
                ask()
            else:
                over()

        def refused(error: RequestError) -> None:
            if error.code in FOR_NOW:
                self._later(backoff(3), ask)
            else:
                over()

        def over() -> None:
            del message["rest"]
            done()

        ask()


def _seq(obj: Object) -> int:
    """Give the number of a message of a room, in which all that is used here is as it should be."""
    field(obj, "msg", str)
    field(obj, "author", str)
    optional(obj, "time", str)
    return field(obj, "seq", int)


def _ignore(_: object) -> None:
    """Do nothing: neither the answer nor a refusal is needed."""

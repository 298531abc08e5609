"""Requests and messages over any number of connections: those that are sent now, and those that wait.

- A message is sent again with the same id until it is acked (`outbox`); the server deduplicates.
- What waits is sent in the order of asking. A room or a nick that refuses for now holds up what is about it, and
  nothing else. Of several topics of a room one is in flight at a time, since the last one has to win.
- A change of nick is sent when all messages under the old nick are acked, since the server deduplicates by author and
  id. Later requests wait for it. A login to another account is one, too: the client quits, and says hello anew.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Final

from ..keys import key
from .errors import ChatError, RequestError
from .events import Failed
from .membership import Membership
from .objects import Object, encode
from .outbox import Outbox
from .pace import Pace, pause_before_retry
from .requests import Kind, Request

MAX_OBJECT: Final = 16_384
"""The maximum size of an object in bytes, until the server's `limits` are known."""

RENAMING: Final = frozenset({"nick", "login"})
"""The kinds of requests that change the nick: they are sent when all messages under the old one are acked."""

Timer = tuple[float, int, Callable[[], None]]
"""The time at which something is done, its place among those of the same time, and the function that does it."""


@dataclass(eq=False, slots=True)
class Pending(Request):
    """A request with the engine's own fields."""

    obj: Object = field(default_factory=dict, repr=False)
    """The request on the wire."""
    size: int = 0
    """Bytes of the request on the wire, of those that a program has made."""
    number: int = 0
    """Its place in the order in which requests were made."""
    membership: Membership | None = None
    """The room that it is about, if the client is in it, or wants to be."""
    is_sent: bool = False
    """True if it was sent on this connection and has no answer yet."""
    is_resting: bool = False
    """True while it is put off, unless it is a message: for those, the outbox rests."""
    unsettled: bool = False
    """True if it was in flight when a connection was lost, so that it may have been served."""
    tries: int = 0
    """The number of times that the server has refused it for now."""
    password: str | None = field(default=None, repr=False)
    """The password with which the client says hello once this is answered."""
    answered: Callable[[Any], None] | None = None
    """Called with the answer, for a request of the engine's own. Such a request belongs to one connection."""
    refused: Callable[[RequestError], None] | None = None
    """Called with the error, for a request of the engine's own that was refused."""

    @property
    def is_own(self) -> bool:
        """True for a request of the engine's own."""
        return self.answered is not None

    @property
    def about(self) -> str:
        """The key of the room that it is about; empty if there is none."""
        return key(self.room) if self.room is not None else ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The identity with which a client says hello."""

    nick: str
    password: str | None = field(default=None, repr=False)
    """The password of the account, or a token."""
    request: Pending | None = None
    """The unsettled request that these credentials come from. If the server takes them, it has been served."""


class Exchange:
    """The unanswered requests of one client, and the timers of its connection."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.now = 0.0
        """The time in seconds, as the shell passed it in last."""
        self.has_work = False
        """True while there may be something to send, or an event."""
        self.error: ChatError | None = None
        """Why nothing can be asked any more."""
        self.limit = MAX_OBJECT
        """The maximum size of a request in bytes, on the wire."""
        self.pace = Pace({}, 0.0)
        self.memberships: dict[str, Membership] = {}
        """The rooms that the client is in, or wants to be in, by the keys of their names."""
        self.asked: dict[str, Pending] = {}
        """The program's unanswered requests by id, in the order of asking."""
        self.own: dict[str, Pending] = {}
        """The engine's own unanswered requests on this connection, by id."""
        self.queue: deque[Pending] = deque()
        """The requests of `asked` that wait to be sent, in the order of asking, without the messages."""
        self._new_id = new_id
        self._number = 0
        self._direct: dict[str, Outbox[Pending]] = {}
        """The outboxes of direct messages, by the key of the nick."""
        self._posting: dict[Outbox[Pending], Membership | None] = {}
        """The outboxes with messages that wait to be sent, each with its room, if it has one."""
        self._renaming: Pending | None = None
        """The change of nick, or the login to another account, that is in flight."""
        self._changing: dict[str, Pending] = {}
        """The changes of rooms that are in flight, without the messages, by the keys of the rooms."""
        self._held: dict[str, int] = {}
        """While all that waits is sent, the numbers of the first requests that have to wait, by what they are about."""
        self._paused = False
        """True while messages wait because of the rate limit."""
        self._objects: list[Object] = []
        self._events: list[Any] = []
        self._timers: list[Timer] = []

    # Output

    def take_objects(self) -> list[Object]:
        """Return the objects to be sent."""
        objects, self._objects = self._objects, []
        return objects

    def take_events(self) -> list[Any]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def emit(self, event: object) -> None:
        """Add an event for the shell."""
        self._events.append(event)
        self.has_work = True

    def emit_once(self, event: object) -> None:
        """Add an event for the shell, unless it was also the last one."""
        if self._events[-1:] != [event]:
            self.emit(event)

    # Time

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function after a pause, unless the connection is lost before."""
        self._number += 1
        heapq.heappush(self._timers, (self.now + seconds, self._number, function))

    def due(self) -> float | None:
        """Return the time of the next `tick`; None if there is nothing to wait for."""
        return self._timers[0][0] if self._timers else None

    def tick(self) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= self.now:
            heapq.heappop(self._timers)[2]()
            self.has_work = True

    def lost(self) -> None:
        """Called when the connection is lost. The program's requests are sent again on the next one."""
        self._paused = False
        self._timers.clear()
        self._objects.clear()
        self.own.clear()
        self._renaming = None
        self._changing.clear()
        self._posting.clear()
        for outbox in (*self._direct.values(), *(membership.outbox for membership in self.memberships.values())):
            outbox.lost()
        self.queue.clear()
        for request in self.asked.values():
            request.unsettled |= request.is_sent
            request.is_sent = request.is_resting = False
            if request.kind == "message":
                self._posting[self._outbox(request)] = request.membership
            elif request.kind != "login" or not request.unsettled:  # the next hello logs in
                self.queue.append(request)

    def end(self, error: ChatError) -> None:
        """Fail all requests, now and later."""
        self.error = error
        self._timers.clear()
        for request in tuple(self.asked.values()):
            self.emit(Failed(request, error))
        self.asked.clear()

    def drop(self, membership: Membership, error: ChatError) -> None:
        """Fail the messages to a room that the client has left, and forget the engine's own requests about it."""
        self.own = {id: request for id, request in self.own.items() if request.membership is not membership}
        self._posting.pop(membership.outbox, None)
        for request in membership.outbox.empty():
            if self.asked.pop(request.id, None) is not None:
                self.emit(Failed(request, error))

    # Making requests

    def new(
        self, kind: Kind, obj: Object, room: str | None = None, nick: str | None = None, text: str | None = None
    ) -> Pending:
        """Make a request of the program."""
        self._number += 1
        membership = self.memberships.get(key(room)) if room is not None else None
        id = self._new_id()
        return Pending(kind, room, nick, text, id=id, obj=obj | {"id": id}, number=self._number, membership=membership)

    def ask(self, request: Pending) -> Pending:
        """Queue a request of the program, or fail it at once."""
        problem = self._refusal(request)
        if problem is not None:
            return self.fail(request, problem)
        self.asked[request.id] = request
        self.has_work = True
        if request.kind == "message":
            self._post(request)
        else:
            self.queue.append(request)
        return request

    def _post(self, request: Pending) -> None:
        outbox = self._outbox(request)
        outbox.add(request)
        self._posting[outbox] = request.membership

    def _refusal(self, request: Pending) -> ChatError | None:
        """Return the error of a request that the server would refuse to read."""
        if self.error is not None:
            return self.error
        try:
            size = request.size = len(encode(request.obj))
        except UnicodeEncodeError:
            return RequestError("bad-message", "this cannot be written in UTF-8", None, request)
        if size > self.limit:
            text = f"this has {size:,} bytes on the wire; at most {self.limit:,} are allowed"
            return RequestError("too-long", text, None, request)
        return None

    def fail(self, request: Pending, error: ChatError) -> Pending:
        """Emit that a request has failed."""
        self.emit(Failed(request, error))
        return request

    def withdraw(self, id: str) -> Pending | None:
        """Take back a message that was not sent yet. Returns None if there is no such message."""
        request = self.asked.get(id)
        if request is None or request.kind != "message" or not self._outbox(request).withdraw(request):
            return None
        self.forget(request)
        return request

    def ask_own(
        self,
        kind: Kind,
        obj: Object,
        answered: Callable[[Any], None],
        refused: Callable[[RequestError], None],
        membership: Membership | None = None,
    ) -> Pending:
        """Send a request of the engine's own, now. It is forgotten when the connection is lost."""
        room = membership.name if membership is not None else None
        id = self._new_id()
        request = Pending(kind, room, id=id, obj=obj | {"id": id}, membership=membership)
        request.answered, request.refused = answered, refused
        self.own[request.id] = request
        self.send(request)
        return request

    # Sending

    def send(self, request: Pending) -> None:
        """Send a request now."""
        request.is_sent = True
        self.pace.spend(request.size)
        self._objects.append(request.obj)
        self.has_work = True

    def answer_ping(self) -> None:
        """Answer a ping of the server."""
        self._objects.append({"type": "pong"})
        self.has_work = True

    def send_waiting(self) -> None:
        """Send all that may be sent now."""
        self._held.clear()
        last = math.inf if self._renaming is None else self._renaming.number
        for request in tuple(self.queue):
            if request.number > last:
                break
            self._send_messages(request.number)
            if request.kind in RENAMING:
                if not (request.is_resting or self._holds_up_rename(request.number)):
                    self._renaming = request
                    self._send_queued(request)
                elif self._is_stuck():
                    continue
                last = request.number
                break
            if self._has_to_wait(request):
                self._held.setdefault(request.about, request.number)
            else:
                self._send_queued(request)
        self._send_messages(last)

    def _send_queued(self, request: Pending) -> None:
        if request.changes and request.kind not in RENAMING:
            self._changing[request.about] = request
        self.queue.remove(request)
        self.send(request)

    def _has_to_wait(self, request: Pending) -> bool:
        """True while a request is put off, or something has to go first that was asked for earlier."""
        membership = request.membership
        if request.is_resting or request.about in self._held:
            return True
        if membership is not None and not membership.joined and membership.error is None:
            return True
        return request.changes and (
            request.about in self._changing or (membership is not None and membership.outbox.has_before(request.number))
        )

    def _holds_up_rename(self, number: int) -> bool:
        return any(outbox.holds_up(number, is_open=True) for outbox in self._direct.values()) or any(
            membership.outbox.holds_up(number, membership.joined) for membership in self.memberships.values()
        )

    def _is_stuck(self) -> bool:
        """True while a room that refuses for now has unacked messages. Then only the change of nick waits."""
        return any(membership.outbox.unacked and not membership.joined for membership in self.memberships.values())

    def _send_messages(self, last: float) -> None:
        """Send the messages numbered below `last`, as far as they may be sent now."""
        posting = [
            outbox
            for outbox, membership in self._posting.items()
            if outbox.first < self._last(membership, last) and (membership is None or membership.joined)
        ]
        for outbox in sorted(posting, key=lambda outbox: outbox.first):
            until = self._last(self._posting[outbox], last)
            while outbox.first < until and not self._must_pause():
                self.send(outbox.take())
            if not outbox.has_waiting:
                del self._posting[outbox]

    def _last(self, membership: Membership | None, last: float) -> float:
        """Return the number up to which messages may be sent, of `last` and that of a request that holds them up."""
        return last if membership is None else min(last, self._held.get(membership.key, last))

    def _must_pause(self) -> bool:
        """True while the next message would exceed the rate limit. A timer ends the pause."""
        if not self._paused and (seconds := self.pace.pause(self.now)):
            self._paused = True
            self.later(seconds, self._end_pause)
        return self._paused

    def _end_pause(self) -> None:
        self._paused = False

    # Answers

    def unacked_to(self, nick: str) -> Set[str]:
        """Return the ids of the messages to one nick that may be in the log."""
        outbox = self._direct.get(key(nick))
        return outbox.unacked if outbox is not None else frozenset()

    def find(self, id: object) -> Pending | None:
        """Return the request that an answer is for, if it was sent on this connection."""
        request = (self.own.get(id) or self.asked.get(id)) if isinstance(id, str) else None
        return request if request is not None and request.is_sent else None

    def _outbox(self, request: Pending) -> Outbox[Pending]:
        """Return the outbox of a message."""
        if request.membership is not None:
            return request.membership.outbox
        return self._direct.setdefault(key(request.nick or ""), Outbox[Pending]())

    def forget(self, request: Pending) -> None:
        """Forget a request of the program that was answered or refused."""
        del self.asked[request.id]
        if request.kind == "message":
            outbox = self._outbox(request)
            if request.is_sent:
                outbox.answered(request)
            if outbox.is_empty and request.membership is None:
                del self._direct[key(request.nick or "")]
        else:
            self._settle(request)

    def _settle(self, request: Pending) -> None:
        """Continue with the requests that waited for the answer to a request."""
        if request is self._renaming:
            self._renaming = None
        elif self._changing.get(request.about) is request:
            del self._changing[request.about]

    def put_off(self, request: Pending, retry: float | None) -> None:
        """Send a request again after a pause, in its place in the order of asking."""
        request.tries += 1
        again: Callable[[], None]
        if request.is_own:
            again = partial(self._send_own_again, request)
        elif request.kind == "message":
            outbox = self._outbox(request)
            outbox.put_off(request)
            self._posting[outbox] = request.membership
            request.is_sent = False
            again = outbox.rested
        else:
            self._settle(request)
            request.is_sent = False
            request.is_resting = True
            insort(self.queue, request, key=attrgetter("number"))
            again = partial(setattr, request, "is_resting", False)
        self.later(pause_before_retry(request.tries, retry), again)

    def _send_own_again(self, request: Pending) -> None:
        if request.id in self.own:
            if request.membership is not None:
                request.membership.resting = False  # a room that rests has refused this: it is a join
            self.send(request)

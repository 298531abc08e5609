"""A conversation with a server, over any number of connections: what is asked, what is known, what comes next.

No sockets here, and no clock: `Outside` sends, waits and is told. What makes the promises of the library true:

- A room is a log and a reader is a place in it (`place.py`). On each new connection the client joins with its place, so
  that nothing is missed or doubled.
- A message is said again with the same id until it is acked (`outbox.py`); the server stores it once.
- **Settle, then read.** After a lost connection, a message that was under way may be in the log. If the client read on
  from its place at once, it could not tell such a message from another's. So it joins without a place, says again what
  is unsettled, learns its numbers from the acks, and only then joins with its place. What is said in the room between
  the two joins is in the log behind that place.
- **A slow consumer is a place, too.** When a room's consumer has enough, what comes live is let go; when it wants more,
  it gets the log in pages from its place, and at the log's end joins again. Memory is bounded, and the connection goes
  on: acks, pings and other rooms do not wait. (A paused transport would hold back the ack that a consumer waits for
  before it takes the next message, for ever.)
- A nick is changed when all that was said under the old one is acked, since the server knows a message by author and
  id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import random
from typing import Any, ClassVar, Final, Protocol, cast

from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import names
from ..messages import (
    MAX_PAGE,
    Ack,
    AnyRequest,
    Error,
    Hello,
    History,
    HistoryPage,
    Join,
    Joined,
    Leave,
    Left,
    MemberJoined,
    MemberLeft,
    Members,
    Message,
    Nick,
    NickChanged,
    Ping,
    PingSent,
    Pong,
    PongSent,
    Presence,
    Reply,
    RoomList,
    Rooms,
    Say,
    Stop,
    Topic,
    TopicChanged,
    Welcome,
    Who,
    WireError,
    decode_message,
)
from .answers import Answer, Waiters
from .errors import ChatError, ClosedError, RequestError
from .events import DirectMessage, NewLog, RoomLost
from .outbox import Outbox, Pending
from .pace import Pace
from .place import Place
from .requests import Requests

MAX_OWN: Final = 2 * MAX_PAGE
"""One's own messages, in a room where nobody else speaks, after which the place is moved over them. What has to be
remembered, and read again after a lost connection, stays below this."""

FOR_GOOD: Final = frozenset({"bad-message", "unknown-type", "bad-nick", "auth-failed", "denied", "banned"})
"""Refusals of a hello that the next one would get too. (`nick-taken` is not among them: it is one's own last connection
that the server has not noticed to be dead.)"""

ANSWERS: Final[dict[type[AnyRequest], type[Reply]]] = {
    Say: Ack,
    Join: Joined,
    Leave: Left,
    History: HistoryPage,
    Who: Members,
    Rooms: RoomList,
    Nick: NickChanged,
    Topic: TopicChanged,
    Ping: PongSent,
}
"""What is asked, and what it is answered by."""

FOR_NOW: Final = frozenset({"full", "internal"})
"""Refusals of a room one was in that are tried again, beside those that every request tries again."""


LEAST_PAUSE: Final = 0.01
"""Seconds before the same is asked again, whatever the server says: a `retry` of 0 must not keep both of them busy."""

LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries, without the jitter."""


def pause(tries: int) -> float:
    """Seconds before the next try: twice as long each time, and not the same for all clients of a server."""
    return min(0.25 * 2.0 ** min(tries, 20), LONGEST_PAUSE) * (0.75 + random() / 2)


class Outside(Protocol):
    """What a conversation needs of the world."""

    def send(self, request: AnyRequest) -> None:
        """Send one object; what is sent on a connection that is lost is lost."""

    def tell(self, event: object) -> None:
        """Tell of something that somebody may listen for."""

    def now(self) -> float:
        """Say what time it is, in seconds; only differences count."""

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call back, unless the connection is lost before."""

    def welcome(self, welcome: Welcome) -> None:
        """Hear that the server has let the client in."""

    def refuse(self, error: RequestError, for_good: bool) -> None:
        """Hear that the server has not let the client in, and whether it ever would."""


class Consumer(Protocol):
    """Who takes a room's messages."""

    def ready(self) -> bool:
        """Say whether there is space for one more message."""

    def hungry(self) -> bool:
        """Say whether there is space for many."""

    def put(self, message: Message) -> None:
        """Take the next message."""

    def end(self, error: ChatError) -> None:
        """Hear that nothing comes any more."""


class RoomState:
    """A room that one wants to be in."""

    def __init__(self, name: names.Name, since: int | None, consumer: Consumer) -> None:
        self.name = name.shown
        self.key = name.key
        self.consumer = consumer
        self.place = None if since is None else Place(since)
        """What has been seen; unknown until the first `joined` of a room that is joined where it is now."""
        self.outbox = Outbox()
        self.entered = False
        """The first join was answered."""
        self.entering = Waiters()
        self.leaving = Waiters()
        self.topic = ""
        self.oldest = 0
        self.count = 0
        self.tries = 0
        """How often the server has not let us in again."""
        self.behind = False
        """The consumer had enough: what it has not got is read from the log."""
        self.away()

    def away(self) -> None:
        """Know nothing of what a connection had brought."""
        self.joined = False
        """The server has us in the room, on this connection."""
        self.reading = False
        """What comes is what follows the place."""
        self.busy = False
        """A request about being in the room is under way, or a pause before one."""


class Conversation:
    """Everything between one client and its server but the connection."""

    _log = Logger()

    def __init__(self, outside: Outside, nick: str, new_id: Callable[[], str]) -> None:
        self.nick = nick
        self.welcomed = False
        self.limits: dict[str, int] = {}
        self.rooms: dict[str, RoomState] = {}
        self.requests = Requests(new_id)
        self._outside = outside
        self._new_id = new_id
        self._hello = ""
        self._direct = Outbox()
        self._pace = Pace({}, outside.now)
        self._paused = False
        """Messages wait until they do not come too fast."""
        self._renames: deque[Pending] = deque()
        self._renaming = False
        """The first of `_renames` is under way."""

    # The connection

    def connected(self) -> None:
        """Say hello: there is a connection."""
        self._hello = self._new_id()
        self._pace = Pace({}, self._outside.now)
        self._paused = False
        self._send(Hello(nick=self.nick, id=self._hello))

    def lost(self) -> None:
        """Hear that the connection is lost. What it left open is asked again on the next one."""
        self.welcomed = False
        self._renaming = False
        self.requests.lost()
        self._direct.lost()
        for room in tuple(self.rooms.values()):
            room.away()
            room.outbox.lost()
            self._step(room)

    def received(self, reply: Reply) -> None:
        """Take what the server sends."""
        if self.requests.closed is None:
            self._handlers[type(reply)](self, reply)

    def unreadable(self, id: str | None, code: str, text: str) -> None:
        """Fail a request whose answer cannot be read, so that nobody waits for ever."""
        pending = self.requests.get(id)
        if not self.welcomed and id == self._hello:
            self._outside.refuse(RequestError(code, text), for_good=False)
        elif pending is not None:
            self._fail(pending, RequestError(code, text))

    def finish(self, error: ChatError) -> None:
        """End it: whoever waits for anything gets the error."""
        self.welcomed = False
        self.requests.close(error)
        for room in tuple(self.rooms.values()):
            self._end_room(room, error)

    # What a client asks for

    def ask(self, request: AnyRequest) -> Answer[Any]:
        """Ask, on this connection or the next one; the answer is the server's reply."""
        return self._ask(request).answer

    def say(self, room: RoomState, text: str) -> Answer[int]:
        """Say something in a room; the answer is its number."""
        if self.requests.closed is None and (room.leaving or self.rooms.get(room.key) is not room):
            return Answer.failed(ClosedError(f"the room {room.name} was left"))
        return self._say(Say(msg=text, room=room.name), room.outbox, room)

    def tell(self, nick: str, text: str) -> Answer[int | None]:
        """Say something to one nick; the answer is its number, where it is kept."""
        return self._say(Say(msg=text, to=nick), self._direct, None)

    def rename(self, nick: str) -> Answer[str]:
        """Take another nick; the answer is the nick as the server has it."""
        pending = self.requests.new(Nick(nick=nick))
        if pending in self.requests:
            self._renames.append(pending)
            self._rename()
        return pending.answer

    def join(self, name: names.Name, since: int | None, consumer: Consumer) -> RoomState:
        """Enter a room that one is not in yet. `RoomState.entering` is for whoever waits for it."""
        room = self.rooms[name.key] = RoomState(name, since, consumer)
        self._step(room)
        return room

    def leave(self, room: RoomState) -> Answer[None]:
        """Leave a room, when all that was said there is acked."""
        if self.rooms.get(room.key) is not room:
            return Answer.given(None)
        answer = room.leaving.add()
        self._step(room)
        return answer

    def more(self, room: RoomState) -> None:
        """Hear that a room's consumer wants more than it has."""
        self._step(room)

    # Requests and their answers

    def _ask(self, request: AnyRequest, kept: bool = True, patient: bool = False) -> Pending:
        pending = self.requests.new(request, kept, patient)
        if self.welcomed and pending in self.requests:
            self._send(request)
        return pending

    def _say(self, request: Say, outbox: Outbox, room: RoomState | None) -> Answer[Any]:
        pending = self.requests.new(request, patient=True)
        if pending in self.requests:
            pending.outbox = outbox
            outbox.add(pending)
            self._pump(outbox, room)
        return pending.answer

    def _welcomed(self, welcome: Welcome) -> None:
        if self.welcomed:
            return
        self.welcomed = True
        self.nick = welcome.nick
        self.limits = welcome.limits
        self._pace = Pace(welcome.limits, self._outside.now)
        self.requests.limit = welcome.limits.get("object", self.requests.limit)
        for pending in self.requests.all():
            if pending.outbox is None and pending not in self._renames:
                self._send(pending.request)
        self._pump_all()
        self._rename()
        self._outside.welcome(welcome)

    def _request(self, reply: Any) -> Pending | None:
        """Find what a reply answers. A request that is answered by something else fails, so that nobody waits."""
        pending = self.requests.get(reply.id)
        if pending is None or isinstance(reply, ANSWERS[type(pending.request)]):
            return pending
        self._fail(pending, RequestError("internal", "the server answered something else than was asked for"))
        return None

    def _answered(self, reply: Any) -> None:
        """Give a reply to whoever asked for it."""
        pending = self._request(reply)
        if pending is not None:
            self.requests.take(pending)
            pending.succeed(reply)
            self.requests.check_settled()

    def _acked(self, ack: Ack) -> None:
        pending = self._request(ack)
        if pending is None:
            return
        self.requests.take(pending)
        room = self.room(ack.room)
        if room is not None and room.place is not None and ack.seq is not None:
            room.place.acked(ack.seq)
        pending.succeed(ack.seq)
        self._moved(pending, room)

    def _moved(self, pending: Pending, room: RoomState | None) -> None:
        """Go on with what had to wait for a request's answer."""
        if room is not None:
            self._step(room)
        elif pending.outbox is not None:
            self._pump(pending.outbox, None)
        self._rename()
        self.requests.check_settled()

    def _refused(self, error: Error) -> None:
        pending = self.requests.get(error.id)
        if not self.welcomed and error.id in (None, self._hello):
            self._outside.refuse(RequestError(error.code, error.msg, error.retry), error.code in FOR_GOOD)
        elif pending is None:
            self._outside.tell(error)
        elif error.code == "rate-limited" or (error.code == "unavailable" and pending.patient):
            self._put_off(pending, error.retry)
        else:
            self._fail(pending, RequestError(error.code, error.msg, error.retry))

    def _fail(self, pending: Pending, error: RequestError) -> None:
        self.requests.take(pending)
        pending.fail(error)
        if pending in self._renames:
            self._next_rename()
        self._moved(pending, self.room(getattr(pending.request, "room", None)))

    def _put_off(self, pending: Pending, retry: float | None) -> None:
        """Ask again after a pause."""
        pending.tries += 1
        outbox = pending.outbox
        if outbox is not None:
            outbox.put_off(pending)

        def again() -> None:
            if outbox is not None:
                outbox.resting = False
                self._pump_all()
            elif pending in self.requests:
                self._send(pending.request)

        self._outside.later(pause(pending.tries) if retry is None else max(LEAST_PAUSE, retry), again)

    # Sending what was said

    def _pump(self, outbox: Outbox, room: RoomState | None) -> None:
        """Send what may be sent now of one room's messages, or of the direct ones."""
        if not self.welcomed or (room is not None and not room.joined):
            return
        settling = bool(self._renames) or (room is not None and not (room.reading or room.behind))
        while not self._must_pause() and (pending := outbox.take(settling)) is not None:
            self._send(pending.request)

    def _must_pause(self) -> bool:
        """Say whether the next message would come too fast; if so, go on when it does not."""
        if not self._paused and (seconds := self._pace.pause()):
            self._paused = True
            self._outside.later(seconds, self._go_on)
        return self._paused

    def _go_on(self) -> None:
        self._paused = False
        self._pump_all()

    def _send(self, request: AnyRequest) -> None:
        self._pace.spend()
        self._outside.send(request)

    def _pump_all(self) -> None:
        self._pump(self._direct, None)
        for room in tuple(self.rooms.values()):
            self._step(room)

    def _rename(self) -> None:
        """Ask for the next nick, when it is known of all that was said under the old one what became of it."""
        if not self._renames or self._renaming or not self.welcomed:
            return
        if self._direct.quiet and all(room.outbox.quiet for room in self.rooms.values()):
            self._renaming = True
            self._send(self._renames[0].request)

    def _next_rename(self) -> None:
        self._renames.popleft()
        self._renaming = False
        self._pump_all()
        self._rename()

    def _nick_changed(self, change: NickChanged) -> None:
        pending = self._request(change)
        if pending is None:
            self._outside.tell(change)
            return
        self.requests.take(pending)
        self.nick = change.nick
        pending.succeed(change.nick)
        self._next_rename()
        self.requests.check_settled()

    # Being in rooms

    def room(self, name: str | None) -> RoomState | None:
        """Find a room that one is in, or wants to be in."""
        try:
            return self.rooms.get(names.room(name or "").key)
        except WireError:
            return None

    def _step(self, room: RoomState) -> None:
        """Do what comes next for a room: leave it, enter it, read on; and send what may be sent."""
        if self.rooms.get(room.key) is not room:
            return
        if room.busy:
            pass
        elif room.leaving and room.outbox.empty:
            self._leave(room)
        elif self.welcomed and not room.joined:
            self._join(room, reading=not (room.outbox.unsettled or room.behind))
        elif self.welcomed and not room.reading and not room.outbox.unsettled:
            self._read_on(room)
        elif room.reading and room.place is not None and room.place.own > MAX_OWN:
            self._ask_for_page(room, self._confirm)
        self._pump(room.outbox, room)

    def _ask_for_room(self, room: RoomState, request: AnyRequest, answered: Callable[[Any], None]) -> None:
        """Ask something about being in a room: one thing at a time, and anew on the next connection."""
        room.busy = True
        answer = self._ask(request, kept=False, patient=True).answer

        def done(reply: Any) -> None:
            room.busy = False
            room.tries = 0
            answered(reply)
            self._step(room)

        answer.addCallbacks(done, lambda failure: self._not_in_room(room, failure))
        answer.addErrback(lambda failure: self._log.failure("the room {room} cannot go on", failure, room=room.name))

    def _join(self, room: RoomState, reading: bool) -> None:
        since = room.place.seq if reading and room.place is not None else None
        self._ask_for_room(room, Join(room=room.name, since=since), lambda joined: self._joined(room, joined, reading))

    def _joined(self, room: RoomState, joined: Joined, reading: bool) -> None:
        room.name, room.topic = joined.room, joined.topic
        room.count, room.oldest = joined.count, joined.oldest
        room.joined = True
        room.reading = reading
        if room.place is None:
            room.place = Place(joined.seq)
        elif joined.seq < room.place.seq:
            # The log is a new one (a server that keeps nothing on disk was started again): nothing of it was heard.
            room.place = Place(0)
            room.reading = False
            self._outside.tell(NewLog(room.name))
        room.entered = True
        room.entering.fire()

    def _read_on(self, room: RoomState) -> None:
        if not room.behind:
            self._join(room, reading=True)
        elif room.consumer.hungry():
            self._ask_for_page(room, self._page)

    def _ask_for_page(self, room: RoomState, answered: Callable[[RoomState, HistoryPage], None]) -> None:
        assert room.place is not None
        request = History(room=room.name, after=room.place.seq, limit=MAX_PAGE)
        self._ask_for_room(room, request, lambda page: answered(room, page))

    def _page(self, room: RoomState, page: HistoryPage) -> None:
        """Give the consumer what it had no space for."""
        if all(self._put(room, message) for message in self._messages(page)):
            room.behind = page.more and bool(page.messages)  # a page of nothing is the end, whatever it says

    def _confirm(self, room: RoomState, page: HistoryPage) -> None:
        """Move the place over one's own messages."""
        assert room.place is not None
        room.place.confirm(message.seq or 0 for message in self._messages(page))

    @staticmethod
    def _messages(page: HistoryPage) -> list[Message]:
        return [decode_message(message) for message in page.messages]

    def _not_in_room(self, room: RoomState, failure: Failure) -> None:
        """Hear that the server does not let us in, or not read on."""
        failure.trap(RequestError)
        error = cast(RequestError, failure.value)
        if room.entered and error.code in FOR_NOW:
            room.tries += 1
            self._outside.later(pause(room.tries), lambda: self._rested(room))
        else:
            if room.entered:
                self._outside.tell(RoomLost(room.name, error))
            self._end_room(room, error)

    def _rested(self, room: RoomState) -> None:
        room.busy = False
        self._step(room)

    def _leave(self, room: RoomState) -> None:
        left = ClosedError(f"the room {room.name} was left", wanted=True)
        if room.joined:
            self._ask_for_room(room, Leave(room=room.name), lambda _: self._end_room(room, left))
        else:
            self._end_room(room, left)

    def _end_room(self, room: RoomState, error: ChatError) -> None:
        """Have done with a room: it was left, or the server does not let us in, or the client is closed."""
        self.rooms.pop(room.key, None)
        for pending in room.outbox.give_up():
            self.requests.drop(pending, error)
        room.consumer.end(error)
        room.entering.fire(error)
        room.leaving.fire()
        self._rename()
        self.requests.check_settled()

    # What others do

    def _message(self, message: Message) -> None:
        room = self.room(message.room)
        if message.to is not None:
            self._outside.tell(DirectMessage.of(message))
        elif room is not None and room.reading and not self._put(room, message):
            room.behind = True
            room.reading = False

    def _put(self, room: RoomState, message: Message) -> bool:
        """Give a message to a room's consumer, if it is news; say whether there was space for it."""
        assert room.place is not None
        seq = message.seq or 0
        news = room.place.is_news(seq)
        if news and not room.consumer.ready():
            return False
        room.place.advance(seq)
        if news:
            room.consumer.put(message)
        return True

    def _topic_changed(self, change: TopicChanged) -> None:
        room = self.room(change.room)
        if room is not None:
            room.topic = change.msg
        if self.requests.get(change.id) is None:
            self._outside.tell(change)
        else:
            self._answered(change)

    def _counted(self, presence: MemberJoined | MemberLeft | Presence) -> None:
        room = self.room(presence.room)
        if room is not None:
            if isinstance(presence, Presence):
                room.count = presence.count
            else:
                room.count += 1 if isinstance(presence, MemberJoined) else -1
        self._outside.tell(presence)

    def _pinged(self, _: PingSent) -> None:
        self._send(Pong())

    def _stopped(self, stop: Stop) -> None:
        self._outside.tell(stop)

    _handlers: ClassVar[dict[type, Callable[[Conversation, Any], None]]] = {
        Welcome: _welcomed,
        Ack: _acked,
        Joined: _answered,
        Left: _answered,
        HistoryPage: _answered,
        Members: _answered,
        RoomList: _answered,
        PongSent: _answered,
        Message: _message,
        MemberJoined: _counted,
        MemberLeft: _counted,
        Presence: _counted,
        NickChanged: _nick_changed,
        TopicChanged: _topic_changed,
        PingSent: _pinged,
        Stop: _stopped,
        Error: _refused,
    }

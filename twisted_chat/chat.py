"""What each request means. It knows nothing of bytes.

A request is one function here and one struct in `messages`: `@_answers` puts the function into the table by which
`Chat.handle` finds it.
"""

from __future__ import annotations

import heapq
import hmac
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from . import __version__, clock, messages, names
from .bare import Bare
from .encoding import message_of
from .limits import MAX_REFUSED, MAX_TOPIC, Bucket, Limits
from .log import Entry, Log, Record, RoomSummary
from .messages import SERVER, AnyRequest, Asked, Message, WireError
from .names import Name
from .newcomer import HELLO_FIRST, Newcomer
from .participant import Wire
from .room import TAIL_BYTES, Member, Room, Rooms, Soon
from .session import TICK_SECONDS, Session

LOBBY: Final = names.room("lobby")
"""The room that bare clients are in."""

LIST_MANY: Final = 1_000
LIST_SECONDS: Final = 1.0
"""Rooms above which a list of them, which looks at all, is made at most once in so many seconds."""

RESERVED: Final = frozenset((SERVER, "self"))
"""Nicks that nobody has: what the server says bears the one, and the oldest clients write the other in their own."""

STOP_SECONDS: Final = 2.5
"""How long connections may take, when the server stops, to take what was written; then they are cut."""

_log = Logger("twisted_chat.chat")


class Chat:
    """Everybody who is connected, and what they may ask for."""

    def __init__(
        self,
        reactor: Any,
        log: Log,
        limits: Limits | None = None,
        soon: Soon | None = None,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        self.limits = limits or Limits()
        self.rooms = Rooms(reactor, log, tail_bytes, soon)
        self.log = log
        self.nicks: dict[str, Session | Bare] = {}
        """Who is welcome, by the nick's key."""
        self.reactor = reactor
        self._lobby: Room | None = None
        self._wires: set[Wire] = set()
        self._addresses: Counter[str] = Counter()
        self._tick: IDelayedCall | None = None
        self.stopping = False
        """True once the server stops: nothing more is heard, and no new connections are taken."""
        self._stopped: Deferred[None] | None = None
        self._listed: list[messages.RoomInfo] = []
        self._listed_until = 0.0
        """The last list of rooms, and the time up to which it is good enough."""

    # Connections

    def start(self) -> Deferred[None]:
        """Get ready for connections. Fails with `Unavailable`."""
        return self.rooms.open(LOBBY).addCallback(self._started)

    def _started(self, lobby: Room) -> None:
        lobby.pinned = True
        self._lobby = lobby

    def connected(self, wire: Wire, ready: bool = True) -> None:
        """Take a new connection; `wire.participant` is set.

        One that is not `ready` counts among the connections, and is nobody until `begin` is called.
        """
        assert self._lobby
        self._wires.add(wire)
        self._addresses[wire.address] += 1
        bucket = Bucket(self.limits, self.reactor.seconds())
        refusal = self._refusal(wire)
        may_be_bare = self.limits.bare and wire.may_be_bare
        wire.participant = Newcomer(self, wire, bucket, self._lobby, may_be_bare, refusal)
        if ready:
            self.begin(wire)
        if self._tick is None:
            self._tick = self.reactor.callLater(TICK_SECONDS, self._look_around)

    def begin(self, wire: Wire) -> None:
        """Called when objects can come from a new connection."""
        if isinstance(wire.participant, Newcomer):
            wire.participant.begin()

    @property
    def crowded(self) -> bool:
        """True while so many connections were refused, and have not ended yet, that others are not even told so."""
        return len(self._wires) >= self.limits.connections + MAX_REFUSED

    def _refusal(self, wire: Wire) -> WireError | None:
        if len(self._wires) > self.limits.connections:
            return WireError("full", "the server has all the connections it can take: try again later")
        if wire.address and self._addresses[wire.address] > self.limits.connections_per_address:
            return WireError("full", "there are too many connections from your address: end one first")
        return None

    def disconnected(self, wire: Wire) -> None:
        """Hear that a connection is gone."""
        wire.participant.lost()
        self._wires.discard(wire)
        self._addresses[wire.address] -= 1
        if not self._addresses[wire.address]:
            del self._addresses[wire.address]
        self._see_if_stopped()

    def _look_around(self) -> None:
        self._tick = None
        for wire in tuple(self._wires):
            wire.participant.tick()
        if self._wires:
            self._tick = self.reactor.callLater(TICK_SECONDS, self._look_around)

    def stop(self, why: str) -> Deferred[None]:
        """Keep and ack what is under way, tell everyone why, and fire when all connections are gone."""
        self._stopped = Deferred()
        self.stopping = True
        deadline = self.reactor.callLater(STOP_SECONDS, self._cut_all)
        self.rooms.settled().addCallback(lambda _: self._send_away(why))
        return self._stopped.addCallback(lambda _: _cancel(deadline, self._tick))

    def _send_away(self, why: str) -> None:
        for wire in tuple(self._wires):
            wire.participant.end(why)
        self._see_if_stopped()

    def _cut_all(self) -> None:
        for wire in tuple(self._wires):
            wire.abort()

    def _see_if_stopped(self) -> None:
        if self._stopped is not None and not self._wires and not self._stopped.called:
            self._stopped.callback(None)

    def list_rooms(self, kept: list[RoomSummary]) -> list[messages.RoomInfo]:
        """List the rooms with the most members and, where there is room for them, those that are only kept."""
        now = self.reactor.seconds()
        if now < self._listed_until:
            return self._listed
        occupied = self.rooms.occupied()
        largest = heapq.nsmallest(messages.MAX_PAGE, occupied, key=lambda room: (-len(room.members), room.name.shown))
        infos = {known.name.key: messages.RoomInfo(known.name.shown, 0, known.topic) for known in kept}
        for room in largest:
            infos[room.name.key] = messages.RoomInfo(room.name.shown, len(room.members), room.log.topic)
        rooms = sorted(infos.values(), key=lambda info: (-info.count, info.room))[: messages.MAX_PAGE]
        if len(occupied) > LIST_MANY:
            self._listed, self._listed_until = rooms, now + LIST_SECONDS
        return rooms

    # Participants

    def name_bare(self, bare: Bare, label: str) -> Name:
        shown, number = label, 1
        while shown in self.nicks:  # a guest may have taken it, or a client of another address have the same port
            number += 1
            shown = f"{label}-{number}"
        self.nicks[shown] = bare
        return Name(shown, shown)

    def gone(self, participant: Session | Bare, farewell: str = "") -> None:
        """Take a participant out of its rooms, and give up its nick."""
        nick = participant.nick
        if nick is None or self.nicks.get(nick.key) is not participant:
            return
        del self.nicks[nick.key]
        members, participant.members = participant.members, {}
        for member in members.values():
            self.rooms.leave(member)
            if self._stopped is not None:
                continue  # all go, and each one hears that from the server
            notice = messages.MemberLeft(author=nick.shown, room=member.room.name.shown, msg=farewell[:MAX_TOPIC])
            self.rooms.announce(member.room, notice, participant)

    # Requests

    def handle(self, participant: Any, request: Asked) -> Deferred[None] | None:
        if type(request) is not messages.Quit:
            participant.bucket.take(self.reactor.seconds)
        if isinstance(request, WireError):
            raise request
        if participant.nick is None and type(request) not in (messages.Hello, messages.Quit):
            raise WireError("not-welcome", HELLO_FIRST)
        return _handlers[type(request)](self, participant, request)


def _cancel(*calls: IDelayedCall | None) -> None:
    for call in calls:
        if call is not None and call.active():
            call.cancel()


_Handler = Callable[[Chat, Session, Any], "Deferred[None] | None"]
_F = TypeVar("_F", bound=_Handler)
_handlers: dict[type[msgspec.Struct], _Handler] = {}


def _answers(request: type[AnyRequest]) -> Callable[[_F], _F]:
    """Let a function answer a kind of request. It raises `WireError`, or returns a Deferred where it has to wait."""

    def register(handler: _F) -> _F:
        _handlers[request] = handler
        return handler

    return register


def _member(session: Session, room: str) -> Member:
    """Find a session's place in a room; raises `WireError`."""
    member = session.members.get(names.room(room).key)
    if member is None:
        raise WireError("not-joined", f"you are not in the room {room}: join it first")
    return member


@_answers(messages.Say)
def _say(chat: Chat, session: Session, request: messages.Say) -> None:
    if request.room is None:
        _tell(chat, session, request)
        return
    if request.to is not None:
        raise WireError("bad-message", "a message has a 'room' or a 'to', not both")
    member = _member(session, request.room)
    assert session.nick
    session.says(len(request.msg))
    chat.rooms.say(Entry(member.room.log, session.nick, request.msg, request.id, member))


def _tell(chat: Chat, session: Session, request: messages.Say) -> None:
    """Hand a message to one nick. It is not kept: the next one to bear that nick would read it."""
    if request.to is None:
        raise WireError("bad-message", "a message needs a 'room', or a 'to' with somebody's nick")
    other = chat.nicks.get(names.nick(request.to).key)
    if other is None or other.nick is None:
        raise WireError("no-such-nick", f"nobody has the nick {request.to} now")
    if other.paused:
        raise WireError(
            "unavailable", f"{other.nick.shown}'s connection takes nothing more just now: say it again later"
        )
    assert session.nick
    to = other.nick.shown
    time = messages.time_text(clock.milliseconds(chat.reactor))
    chat.rooms.send(other, Message(request.msg, session.nick.shown, None, to, None, time))
    if request.id is not None:
        session.reply(messages.Ack(request.id, None, to, None, time))


@_answers(messages.Hello)
def _hello(chat: Chat, session: Session, request: messages.Hello) -> None:
    if session.nick is not None:
        raise WireError("bad-message", "you are welcome already; to change your nick, send a request of type nick")
    if request.password is not None:
        raise WireError("auth-failed", "there are no accounts here: say hello without a password")
    session.nick = _take_nick(chat, session, request.nick, request.token)
    session.token = request.token
    server = f"twisted_chat {__version__}"
    limits = chat.limits.for_clients() | {"object": session.wire.longest_object}
    session.reply(
        messages.Welcome(
            nick=session.nick.shown, server=server, protocol=messages.PROTOCOL, limits=limits, id=request.id
        )
    )


def _take_nick(chat: Chat, session: Session, nick: str, token: str | None = None) -> Name:
    """Give a session a nick that nobody has, or whose bearer has the same token and is ended; raises `WireError`."""
    name = names.nick(nick)
    if name.key in RESERVED:
        raise WireError("nick-taken", "this nick is reserved for the server: take another one")
    bearer = chat.nicks.get(name.key)
    if bearer is not None and bearer is not session:
        if not isinstance(bearer, Session) or not is_same_secret(bearer.token, token):
            raise WireError("nick-taken", f"somebody else has this nick: take another one{_until_free(bearer)}")
        bearer.end("a new connection of yours has taken the place of this one", farewell="connecting again")
    chat.nicks[name.key] = session
    return name


def is_same_secret(token: str | None, other: str | None) -> bool:
    """Compare two tokens in a time that does not depend on where they differ; no token equals none."""
    return token is not None and other is not None and hmac.compare_digest(token.encode(), other.encode())


def _until_free(bearer: Session | Bare) -> str:
    """Say when a nick is free whose bearer may be a connection that nobody is behind any more."""
    seconds = bearer.free_in() if isinstance(bearer, Session) else None
    if seconds is None:
        return ""
    return f". If that is your own connection, which has gone silent, the nick will be free in about {round(seconds)} s"


@_answers(messages.Nick)
def _nick(chat: Chat, session: Session, request: messages.Nick) -> None:
    old = session.nick
    assert old
    new = _take_nick(chat, session, request.nick)
    if new.key != old.key:
        del chat.nicks[old.key]
    session.nick = new
    session.reply(messages.NickChanged(author=old.shown, nick=new.shown, id=request.id))
    told = 0
    for member in session.members.values():
        notice = messages.NickChanged(author=old.shown, nick=new.shown, room=member.room.name.shown)
        told += chat.rooms.announce(member.room, notice, session)
    session.charge(told)


@_answers(messages.Join)
def _join(chat: Chat, session: Session, request: messages.Join) -> Deferred[None] | None:
    name = names.room(request.room)
    if name.key not in session.members and len(session.members) >= chat.limits.rooms_per_session:
        raise WireError("full", f"you are in {chat.limits.rooms_per_session} rooms: leave one first")
    room = chat.rooms.get(name.key)
    if room is None:
        return chat.rooms.open(name).addCallback(_enter, chat, session, request)
    _enter(room, chat, session, request)
    return None


def _enter(room: Room, chat: Chat, session: Session, request: messages.Join) -> None:
    if session.closed:
        chat.rooms.forget_if_empty(room)
        return
    is_new = session not in room.members
    session.members[room.name.key] = chat.rooms.enter(room, session, request.since)
    name = room.name.shown
    log = room.log
    count = len(room.members)
    session.reply(
        messages.Joined(room=name, topic=log.topic, seq=room.head, oldest=log.oldest, count=count, id=request.id)
    )
    if is_new:
        assert session.nick
        notice = messages.MemberJoined(author=session.nick.shown, room=name)
        session.charge(chat.rooms.announce(room, notice, session))


@_answers(messages.Leave)
def _leave(chat: Chat, session: Session, request: messages.Leave) -> None:
    member = _member(session, request.room)
    room = member.room
    del session.members[room.name.key]
    chat.rooms.leave(member)
    session.reply(messages.Left(room=room.name.shown, id=request.id))
    assert session.nick
    notice = messages.MemberLeft(author=session.nick.shown, room=room.name.shown)
    session.charge(chat.rooms.announce(room, notice, session))


@_answers(messages.History)
def _history(chat: Chat, session: Session, request: messages.History) -> Deferred[None]:
    if request.before is not None and request.after is not None:
        raise WireError("bad-message", "history goes 'before' a number or 'after' one, not both")
    return chat.rooms.peek(names.room(request.room)).addCallback(_read_history, session, request)


def _read_history(room: Room, session: Session, request: messages.History) -> Deferred[None]:
    most = min(request.limit, messages.MAX_PAGE)
    most_bytes = session.wire.longest_answer
    if request.after is not None:
        read = room.read_after(request.after, most, most_bytes)
    else:
        before = messages.MAX_SEQ if request.before is None else request.before
        read = room.read_before(before, most, most_bytes)
    return read.addCallback(_show_history, room, session, request)


def _show_history(records: list[Record], room: Room, session: Session, request: messages.History) -> None:
    answer = messages.HistoryPage(room=room.name.shown, messages=[], more=False, id=request.id)
    shown = [message_of(room.name.shown, record) for record in records]
    if shown and request.skip:
        shown[0].msg = shown[0].msg[request.skip :]
    if request.after is not None:
        answer.messages = _fitting(shown, answer, session.wire)
        count = len(answer.messages)
        answer.more = count > 0 and records[count - 1].seq < room.head
    else:
        answer.messages = _fitting(shown[::-1], answer, session.wire)[::-1]
        count = len(answer.messages)
        answer.more = count > 0 and records[-count].seq > room.log.oldest
    session.reply(answer)


_T = TypeVar("_T")


def _fitting(items: list[_T], answer: msgspec.Struct, wire: Wire) -> list[_T]:
    """Take so many of an answer's items that they go over the wire at once: one at least, if there is any."""
    left = wire.longest_answer - len(messages.encode(answer))
    for count, item in enumerate(items):
        left -= len(messages.encode(item)) + 1
        if left < 0:
            return items[: max(count, 1)]
    return items


@_answers(messages.Who)
def _who(chat: Chat, session: Session, request: messages.Who) -> None:
    name = names.room(request.room)
    after = names.nick(request.after).key if request.after else ""
    room = chat.rooms.get(name.key)
    nicks = [listener.nick for listener in room.members if listener.nick] if room else []
    page = heapq.nsmallest(messages.MAX_PAGE, (nick for nick in nicks if nick.key > after), key=lambda nick: nick.key)
    shown = room.name.shown if room else name.shown
    answer = messages.Members(room=shown, members=[], count=len(nicks), id=request.id)
    answer.members = _fitting([nick.shown for nick in page], answer, session.wire)
    session.reply(answer)


@_answers(messages.Rooms)
def _rooms(chat: Chat, session: Session, request: messages.Rooms) -> Deferred[None]:
    return chat.log.rooms(messages.MAX_PAGE).addCallback(_show_rooms, chat, session, request)


def _show_rooms(kept: list[RoomSummary], chat: Chat, session: Session, request: messages.Rooms) -> None:
    answer = messages.RoomList(rooms=[], id=request.id)
    answer.rooms = _fitting(chat.list_rooms(kept), answer, session.wire)
    session.reply(answer)


@_answers(messages.Topic)
def _topic(chat: Chat, session: Session, request: messages.Topic) -> Deferred[None]:
    if len(request.msg) > MAX_TOPIC:
        raise WireError("bad-message", f"a topic has at most {MAX_TOPIC} characters")
    room = _member(session, request.room).room
    return room.log.set_topic(request.msg).addCallback(_topic_set, chat, session, room, request)


def _topic_set(_: None, chat: Chat, session: Session, room: Room, request: messages.Topic) -> None:
    assert session.nick
    author, name = session.nick.shown, room.name.shown
    session.reply(messages.TopicChanged(author=author, room=name, msg=request.msg, id=request.id))
    room = chat.rooms.get(room.name.key) or room  # it may have been let go, and opened again, meanwhile
    notice = messages.TopicChanged(author=author, room=name, msg=request.msg)
    session.charge(chat.rooms.tell_topic(room, notice, session))


@_answers(messages.Ping)
def _ping(chat: Chat, session: Session, request: messages.Ping) -> None:
    session.reply(messages.PongSent(id=request.id))


@_answers(messages.Pong)
def _pong(chat: Chat, session: Session, request: messages.Pong) -> None:
    """Do nothing: the session was heard, and that is all that was asked for."""


@_answers(messages.Quit)
def _quit(chat: Chat, session: Session, request: messages.Quit) -> None:
    if session.nick is None and isinstance(session, Session):
        raise WireError("not-welcome", HELLO_FIRST)
    session.end("", id=request.id, farewell=request.msg)

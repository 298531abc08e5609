"""What each request means, and the gate in front of it. It knows nothing of bytes.

A request is one function here and one struct in `messages`: `@_answers` puts the function into the table by which the
gate finds it, with what it needs beside it. Every request of every participant on every wire goes through the gate, so
a function gets somebody who may ask for what it does.
"""

from __future__ import annotations

import heapq
import hmac
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from . import __version__, clock, messages, names
from .accounts import Account, Accounts, Role
from .encoding import message_of
from .limits import MAX_TOPIC, Limits
from .log import Entry, Log, Record, RoomSummary
from .messages import SERVER, AnyRequest, Asked, Message, WireError
from .names import Name
from .participant import HELLO_FIRST, Participant, Wire
from .room import Member, Room, Rooms
from .session import Session

RESERVED: Final = frozenset((SERVER, "self"))
"""Nicks that nobody may have: the server is the author `server`, and the oldest clients write `self` for themselves."""


class Host(Protocol):
    """The chat, as requests see it."""

    reactor: Any
    limits: Limits
    log: Log
    rooms: Rooms
    accounts: Accounts
    nicks: dict[str, Any]
    """The participants that are welcome, by the nick's key."""

    def list_rooms(self, kept: list[RoomSummary]) -> list[messages.RoomInfo]:
        """List the rooms with the most members, and those that are kept."""


_Handler = Callable[[Any, Any, Any], "Deferred[None] | None"]
_F = TypeVar("_F", bound=_Handler)


class _Row(NamedTuple):
    """A request in the table."""

    handler: _Handler
    needs: Role
    """The role that the asker needs, in the room that the request names if it names one."""


_table: dict[type[msgspec.Struct], _Row] = {}


def handle(host: Host, participant: Participant, request: Asked) -> Deferred[None] | None:
    """Let a request through the gate, and answer it; raises `WireError`. What cannot be read costs a token too."""
    if type(request) is not messages.Quit:
        participant.bucket.take(host.reactor.seconds)
    if isinstance(request, WireError):
        raise request
    handler, needs = _table[type(request)]
    if needs is not Role.STRANGER:
        if not participant.is_welcome:
            raise WireError("not-welcome", HELLO_FIRST)
        if needs is not Role.GUEST:
            _check_role(host, participant, request, needs)
    return handler(host, participant, request)


def _check_role(host: Host, participant: Participant, request: AnyRequest, needs: Role) -> None:
    room = getattr(request, "room", None)
    if host.accounts.role(participant.account, names.room(room) if room else None) < needs:
        where = f"in the room {room}" if room else "here"
        raise WireError("denied", f"only {needs.name.lower()}s may do this {where}")


def _answers(request: type[AnyRequest], needs: Role = Role.GUEST) -> Callable[[_F], _F]:
    """Let a function answer a kind of request. It raises `WireError`, or returns a Deferred where it has to wait."""

    def register(handler: _F) -> _F:
        _table[request] = _Row(handler, needs)
        return handler

    return register


def _member(session: Participant, room: str) -> Member:
    """Find the membership of a session in a room; raises `WireError`."""
    member = session.members.get(names.room(room).key)
    if member is None:
        raise WireError("not-joined", f"you are not in the room {room}: join it first")
    return member


@_answers(messages.Say)
def _say(host: Host, session: Session, request: messages.Say) -> None:
    if request.room is None:
        _tell(host, session, request)
        return
    if request.to is not None:
        raise WireError("bad-message", "a message has a 'room' or a 'to', not both")
    member = _member(session, request.room)
    session.says(len(request.msg))
    host.rooms.say(Entry(member.room.log, session.nick, request.msg, request.id, member))


def _tell(host: Host, session: Session, request: messages.Say) -> None:
    """Hand a direct message to a nick. It is not logged, since the next bearer of the nick would read it."""
    if request.to is None:
        raise WireError("bad-message", "a message needs a 'room', or a 'to' with somebody's nick")
    other = host.nicks.get(names.nick(request.to).key)
    if other is None:
        raise WireError("no-such-nick", f"nobody has the nick {request.to} now")
    if other.paused:
        raise WireError("unavailable", f"{other.nick.shown} is not reading just now: send the message again later")
    to = other.nick.shown
    time = messages.time_text(clock.milliseconds(host.reactor))
    host.rooms.send(other, Message(request.msg, session.nick.shown, None, to, None, time))
    if request.id is not None:
        session.reply(messages.Ack(request.id, None, to, None, time))


@_answers(messages.Hello, needs=Role.STRANGER)
def _hello(host: Host, session: Session, request: messages.Hello) -> Deferred[None]:
    if session.is_welcome:
        raise WireError("bad-message", "you are welcome already; to change your nick, send a request of type nick")
    nick = names.nick(request.nick)
    return host.accounts.log_in(nick, request.password).addCallback(_welcome, host, session, request)


def _welcome(account: Account | None, host: Host, session: Session, request: messages.Hello) -> None:
    if session.closed:
        return
    session.nick = _take_nick(host, session, request.nick, request.token)
    session.token = request.token
    session.account = account
    limits = host.accounts.limits(account, host.limits)
    session.bucket.change(limits)
    session.reply(
        messages.Welcome(
            nick=session.nick.shown,
            server=f"twisted_chat {__version__}",
            protocol=messages.PROTOCOL,
            limits=limits.for_clients() | {"object": session.wire.longest_object},
            id=request.id,
        )
    )


def _take_nick(host: Host, session: Session, nick: str, token: str | None = None) -> Name:
    """Give a session a nick that nobody has, or whose bearer has the same token and is ended; raises `WireError`."""
    name = names.nick(nick)
    if name.key in RESERVED:
        raise WireError("nick-taken", "this nick is reserved for the server: take another one")
    bearer = host.nicks.get(name.key)
    if bearer is not None and bearer is not session:
        if not isinstance(bearer, Session) or not is_same_secret(bearer.token, token):
            raise WireError("nick-taken", f"somebody else has this nick: take another one{_until_free(bearer)}")
        bearer.end("a new connection of yours has taken the place of this one", farewell="connecting again")
    host.nicks[name.key] = session
    return name


def is_same_secret(token: str | None, other: str | None) -> bool:
    """Compare two tokens in a time that does not depend on where they differ; no token equals none."""
    return token is not None and other is not None and hmac.compare_digest(token.encode(), other.encode())


def _until_free(bearer: Participant) -> str:
    """Write when a nick will be free, if its bearer is a connection that has gone silent."""
    seconds = bearer.free_in()
    if seconds is None:
        return ""
    return f". If that is your own connection, which has gone silent, the nick will be free in about {round(seconds)} s"


@_answers(messages.Nick)
def _nick(host: Host, session: Session, request: messages.Nick) -> None:
    old = session.nick
    new = _take_nick(host, session, request.nick)
    if new.key != old.key:
        del host.nicks[old.key]
    session.nick = new
    session.reply(messages.NickChanged(author=old.shown, nick=new.shown, id=request.id))
    told = 0
    for member in session.members.values():
        notice = messages.NickChanged(author=old.shown, nick=new.shown, room=member.room.name.shown)
        told += host.rooms.announce(member.room, notice, session)
    session.charge(told)


@_answers(messages.Join)
def _join(host: Host, session: Session, request: messages.Join) -> Deferred[None] | None:
    name = names.room(request.room)
    most = host.accounts.limits(session.account, host.limits).rooms_per_session
    if name.key not in session.members and len(session.members) >= most:
        raise WireError("full", f"you are in {most} rooms: leave one first")
    room = host.rooms.get(name.key)
    if room is None:
        return host.rooms.open(name).addCallback(_enter, host, session, request)
    _enter(room, host, session, request)
    return None


def _enter(room: Room, host: Host, session: Session, request: messages.Join) -> None:
    if session.closed:
        host.rooms.forget_if_empty(room)
        return
    is_new = session not in room.members
    session.members[room.name.key] = host.rooms.enter(room, session, request.since)
    name = room.name.shown
    log = room.log
    count = len(room.members)
    session.reply(
        messages.Joined(room=name, topic=log.topic, seq=room.head, oldest=log.oldest, count=count, id=request.id)
    )
    if is_new:
        notice = messages.MemberJoined(author=session.nick.shown, room=name)
        session.charge(host.rooms.announce(room, notice, session))


@_answers(messages.Leave)
def _leave(host: Host, session: Session, request: messages.Leave) -> None:
    member = _member(session, request.room)
    room = member.room
    del session.members[room.name.key]
    host.rooms.leave(member)
    session.reply(messages.Left(room=room.name.shown, id=request.id))
    notice = messages.MemberLeft(author=session.nick.shown, room=room.name.shown)
    session.charge(host.rooms.announce(room, notice, session))


@_answers(messages.History)
def _history(host: Host, session: Session, request: messages.History) -> Deferred[None]:
    if request.before is not None and request.after is not None:
        raise WireError("bad-message", "history goes 'before' a number or 'after' one, not both")
    return host.rooms.peek(names.room(request.room)).addCallback(_read_history, session, request)


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
    """Take as many items of an answer as the wire carries at once: at least one, if there is any."""
    left = wire.longest_answer - len(messages.encode(answer))
    for count, item in enumerate(items):
        left -= len(messages.encode(item)) + 1
        if left < 0:
            return items[: max(count, 1)]
    return items


@_answers(messages.Who)
def _who(host: Host, session: Session, request: messages.Who) -> None:
    name = names.room(request.room)
    after = names.nick(request.after).key if request.after else ""
    room = host.rooms.get(name.key)
    nicks = [listener.nick for listener in room.members] if room else []
    page = heapq.nsmallest(messages.MAX_PAGE, (nick for nick in nicks if nick.key > after), key=lambda nick: nick.key)
    shown = room.name.shown if room else name.shown
    answer = messages.Members(room=shown, members=[], count=len(nicks), id=request.id)
    answer.members = _fitting([nick.shown for nick in page], answer, session.wire)
    session.reply(answer)


@_answers(messages.Rooms)
def _rooms(host: Host, session: Session, request: messages.Rooms) -> Deferred[None]:
    return host.log.rooms(messages.MAX_PAGE).addCallback(_show_rooms, host, session, request)


def _show_rooms(kept: list[RoomSummary], host: Host, session: Session, request: messages.Rooms) -> None:
    answer = messages.RoomList(rooms=[], id=request.id)
    answer.rooms = _fitting(host.list_rooms(kept), answer, session.wire)
    session.reply(answer)


@_answers(messages.Topic)
def _topic(host: Host, session: Session, request: messages.Topic) -> Deferred[None]:
    if len(request.msg) > MAX_TOPIC:
        raise WireError("bad-message", f"a topic has at most {MAX_TOPIC} characters")
    room = _member(session, request.room).room
    return room.log.set_topic(request.msg).addCallback(_topic_set, host, session, room, request)


def _topic_set(_: None, host: Host, session: Session, room: Room, request: messages.Topic) -> None:
    author, name = session.nick.shown, room.name.shown
    session.reply(messages.TopicChanged(author=author, room=name, msg=request.msg, id=request.id))
    room = host.rooms.get(room.name.key) or room  # it may have been let go, and opened again, meanwhile
    notice = messages.TopicChanged(author=author, room=name, msg=request.msg)
    session.charge(host.rooms.tell_topic(room, notice, session))


@_answers(messages.Ping)
def _ping(host: Host, session: Session, request: messages.Ping) -> None:
    session.reply(messages.PongSent(id=request.id))


@_answers(messages.Pong)
def _pong(host: Host, session: Session, request: messages.Pong) -> None:
    """Do nothing: any request shows that the client is there."""


@_answers(messages.Quit)
def _quit(host: Host, session: Participant, request: messages.Quit) -> None:
    session.end("", id=request.id, farewell=request.msg)

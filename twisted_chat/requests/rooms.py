"""Requests about rooms: to join one, to leave it, and to set its topic."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from .. import messages, names
from ..founding import forget_first_owner, has_no_owner_yet, make_first_owner
from ..gate import Host, answers
from ..limits import MAX_TOPIC
from ..messages import WireError
from ..room import Room
from ..rules import Role
from ..session import Session
from .common import membership

_log = Logger("twisted_chat.requests")


@answers(messages.Join)
def _join(host: Host, session: Session, request: messages.Join) -> Deferred[None] | None:
    name = names.room(request.room)
    most = host.accounts.limits(session.account, host.limits).rooms_per_session
    if name.key not in session.members and sum(not names.is_direct(key) for key in session.members) >= most:
        raise WireError("full", f"you are in {most} rooms: leave one first")
    room = host.rooms.get(name.key)
    since = request.since or 0
    if room is None or since > room.log.seq:
        return host.rooms.open(name, since).addCallback(_found, host, session, request)
    return _found(room, host, session, request)


def _found(room: Room, host: Host, session: Session, request: messages.Join) -> Deferred[None] | None:
    """Enter a room, as its owner if it is new. An account that is not the first one enters as everybody else."""
    if session.account is None or session.closed or not has_no_owner_yet(host, room):
        _enter(room, host, session, request)
        return None
    _charge_for_new_room(host, session, room)
    made = make_first_owner(host, room, session.account)
    opened = made.addCallback(lambda _: host.rooms.open(room.name))  # others may have entered and left it meanwhile
    return opened.addCallback(_enter, host, session, request, is_charged=True)


def _enter(room: Room, host: Host, session: Session, request: messages.Join, is_charged: bool = False) -> None:
    if session.closed:
        forget_first_owner(host, room)
        host.rooms.forget_if_empty(room)
        return
    is_new = session not in room.members
    if is_new:
        _check_admission(host, session, room)
        if not is_charged:
            _charge_for_new_room(host, session, room)
    is_double = is_new and host.is_double(session, room)
    room.doubles += is_double
    member = session.members[room.name.key] = host.rooms.enter(room, session, request.since)
    name = room.name.shown
    log = room.log
    role = host.accounts.rules.role(session.account, room.name.key)
    session.reply(
        messages.Joined(
            room=name,
            topic=log.topic,
            seq=max(room.head, member.place),
            oldest=log.oldest,
            count=host.rooms.count_of(room),
            role=role.name.lower() if role > Role.GUEST else "",
            id=request.id,
        )
    )
    if is_new and not is_double:
        notice = messages.MemberJoined(author=session.nick.shown, room=name)
        if host.cluster.is_member(room.name.key, session.nick.key):
            host.rooms.note_silently(room, notice)
        else:
            session.charge(host.rooms.announce(room, notice, session))


def _check_admission(host: Host, session: Session, room: Room) -> None:
    """Raise `WireError` if somebody may not enter a room, or the room is full."""
    try:
        host.check_entry(session, room.name)  # again: the room may have been opened for this, which takes a while
        room.check_space(host.accounts.limits(session.account, host.limits).members)
    except WireError:
        host.rooms.forget_if_empty(room)
        raise


def _charge_for_new_room(host: Host, session: Session, room: Room) -> None:
    """Charge a session for a room that nobody uses so far. Raises `WireError` if it cannot be made."""
    if room.members or room.log.is_kept or room.pinned:
        return
    limits = host.accounts.limits(session.account, host.limits)
    try:
        if host.rooms.count(limits.rooms) > limits.rooms:
            raise WireError("full", f"the server has {limits.rooms} rooms and takes no more: use one that it has")
        session.bucket.take_for_room(limits, host.reactor.seconds())
        host.new_rooms.take(session.address)
    except WireError:
        host.rooms.forget_if_empty(room)
        raise


@answers(messages.Leave)
def _leave(host: Host, session: Session, request: messages.Leave) -> None:
    member = membership(session, request.room)
    room = member.room
    del session.members[room.name.key]
    is_elsewhere = host.leave(session, member)
    session.reply(messages.Left(room=room.name.shown, id=request.id))
    if not is_elsewhere:
        notice = messages.MemberLeft(author=session.nick.shown, room=room.name.shown)
        session.charge(host.rooms.announce(room, notice, session))


@answers(messages.Topic)
def _topic(host: Host, session: Session, request: messages.Topic) -> Deferred[None]:
    if len(request.msg) > MAX_TOPIC:
        raise WireError("bad-message", f"a topic has at most {MAX_TOPIC} characters")
    room = membership(session, request.room).room
    host.accounts.rules.check_topic(session, room.name)
    host.accounts.rules.check_speech(session, room.name.key, host.now)
    return room.log.set_topic(request.msg).addCallback(_topic_set, host, session, room, request)


def _topic_set(_: None, host: Host, session: Session, room: Room, request: messages.Topic) -> None:
    author, name = session.nick.shown, room.name.shown
    session.reply(messages.TopicChanged(author=author, room=name, msg=request.msg, id=request.id))
    room = host.rooms.get(room.name.key) or room  # the room may have been closed and opened again meanwhile
    notice = messages.TopicChanged(author=author, room=name, msg=request.msg)
    session.charge(host.rooms.tell_topic(room, notice, session))

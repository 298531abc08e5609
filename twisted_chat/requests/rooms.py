"""Requests about rooms: to join one, to leave it, and to set its topic."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from .. import messages, names
from ..founding import make_first_owner
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
    if room is None:
        return host.rooms.open(name).addCallback(_enter, host, session, request)
    _enter(room, host, session, request)
    return None


def _enter(room: Room, host: Host, session: Session, request: messages.Join) -> None:
    if session.closed:
        host.rooms.forget_if_empty(room)
        return
    is_new = session not in room.members
    if is_new:
        _check_admission(host, session, room)
    is_double = is_new and host.is_elsewhere(session, room)
    room.doubles += is_double
    session.members[room.name.key] = host.rooms.enter(room, session, request.since)
    name = room.name.shown
    log = room.log
    role = host.accounts.rules.role(session.account, room.name.key)
    if is_new and not is_double and host.rooms.count_of(room) == 1 and session.account is not None:
        role = max(role, make_first_owner(host, room, session.account))
    session.reply(
        messages.Joined(
            room=name,
            topic=log.topic,
            seq=room.head,
            oldest=log.oldest,
            count=host.rooms.count_of(room),
            role=role.name.lower() if role > Role.GUEST else "",
            id=request.id,
        )
    )
    if is_new and not is_double:
        notice = messages.MemberJoined(author=session.nick.shown, room=name)
        session.charge(host.rooms.announce(room, notice, session))


def _check_admission(host: Host, session: Session, room: Room) -> None:
    """Raise `WireError` if somebody may not enter a room, or the room is full or cannot be made."""
    limits = host.accounts.limits(session.account, host.limits)
    try:
        host.check_entry(session, room)  # again: the room may have been opened for this, and that takes a while
        room.check_space(limits.members)
        if not (room.members or room.log.is_kept or room.pinned):
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

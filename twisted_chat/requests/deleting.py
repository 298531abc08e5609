"""Deleting: an entry of the log that takes away the text of an earlier message.

Participants may delete their own messages, and moderators those of others. An account's own messages are those since
its creation, and a guest's those since it took its nick: the next bearer of a nick must not delete what the last one
said.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from twisted.internet.defer import Deferred, inlineCallbacks

from .. import messages, names
from ..gate import Host, answers
from ..log import DELETE, Entry, Record
from ..messages import WireError, time_text
from ..names import Name
from ..room import Member, Room
from ..rules import SERVER_WIDE, Role
from ..session import Session
from . import direct_logs
from .common import check_reason, make_action, membership, own_account

DELETIONS_A_TURN: Final = 64
"""Messages that are deleted at once if there are many: a page of SQLite each, some 3 ms in all."""


@answers(messages.Delete)
def _delete(host: Host, session: Session, request: messages.Delete) -> Deferred[None] | None:
    if (request.of is None) is (request.by is None):
        raise WireError(
            "bad-message", "delete needs an 'of' with the number of a message, or a 'by' with a nick, not both"
        )
    check_reason(request.msg)
    if request.of is None:
        return _delete_all(host, session, names.author(request.by or ""), request)
    if (request.room is None) is (request.to is None):
        raise WireError("bad-message", "delete needs a 'room', or a 'to' with an account, not both")
    if request.to is None:
        return _delete_at(membership(session, request.room or ""), host, session, request.of, request)
    account, partner = own_account(session), names.nick(request.to)
    member = session.members.get(names.direct(account.name, partner).key)
    if member is not None:
        return _delete_at(member, host, session, request.of, request)
    follow = direct_logs.follow(host, session, account, partner)
    return follow.addCallback(_delete_at, host, session, request.of, request)


def _delete_at(
    member: Member | None, host: Host, session: Session, of: int, request: messages.Delete
) -> Deferred[None] | None:
    """Delete the message with a number in the log of a member, who may have left meanwhile."""
    if member is None:
        return None
    read = member.room.read_after(of - 1 if of else 0, 1, 1)
    return read.addCallback(_delete_one, host, session, member, of, request)


@inlineCallbacks
def _delete_one(
    records: list[Record], host: Host, session: Session, member: Member, of: int, request: messages.Delete
) -> Generator[Deferred[Any], Any, None]:
    record = records[0] if records and records[0].seq == of else None
    if record is None or record.kind:
        raise WireError("bad-message", f"there is no message {of}")
    room = member.room.name
    if not _is_own(session, record):
        if names.is_direct(room.key):
            raise WireError("denied", "only the author of a direct message may delete it")
        if host.accounts.rules.role(session.account, room.key) < Role.MODERATOR:
            raise WireError("denied", "only moderators may delete what others have said")
        if not record.deleted:
            action = make_action(host, session, "delete", room, record.author, value=of, msg=request.msg)
            yield host.accounts.registry.act(action)
    if session.closed or member.gone:
        return
    if record.deleted:
        if request.id is not None:
            where, to = names.address_of(room.shown, session.nick.shown)
            session.reply(messages.Ack(request.id, where, to, record.deleted, time_text(host.now())))
        return
    session.append_started(0)
    host.rooms.say(Entry(member.room.log, session.nick, "", request.id, member, kind=DELETE, of=of))


def _is_own(session: Session, record: Record) -> bool:
    since = session.since if session.account is None else session.account.created
    return names.author(record.author).key == session.nick.key and record.time >= since


@inlineCallbacks
def _delete_all(
    host: Host, session: Session, author: Name, request: messages.Delete
) -> Generator[Deferred[Any], Any, None]:
    """Delete all that somebody said in a room, or everywhere."""
    room = Name("", SERVER_WIDE) if request.room is None else names.room(request.room)
    needed = Role.OPERATOR if request.room is None else Role.MODERATOR
    if host.accounts.rules.role(session.account, room.key) < needed:
        raise WireError("denied", f"only {needed.name.lower()}s may delete all that somebody said")
    action = make_action(host, session, "delete", room, author.shown, value="all", msg=request.msg)
    yield host.accounts.registry.act(action)
    logs = [room]
    if request.room is None:
        logs = yield host.log.rooms_of(author.key)
    count = 0
    for log in logs:
        opened: Room = yield host.rooms.open(log)
        count += yield _delete_in(opened, host, session, author)
        host.rooms.forget_if_empty(opened)
    if not session.closed:
        answer = messages.Deleted(author=session.nick.shown, by=author.shown, count=count, id=request.id)
        answer.room = None if request.room is None else room.shown
        session.reply(answer)


@inlineCallbacks
def _delete_in(room: Room, host: Host, session: Session, author: Name) -> Generator[Deferred[Any], Any, int]:
    """Delete all that somebody said in a log, in turns; returns how many messages those were."""
    origin = Member(session, room, room.head)  # nobody's cursor: the entries need somebody who is told of their end
    origin.gone = True
    count = seq = 0
    while found := (yield room.log.seqs_by(author.key, seq, DELETIONS_A_TURN)):
        for of in found:
            session.append_started(0)
            host.rooms.say(Entry(room.log, session.nick, "", None, origin, kind=DELETE, of=of))
        yield host.rooms.settled()
        count += len(found)
        seq = found[-1]
    return count

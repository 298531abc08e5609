"""The logs of the direct messages between two accounts.

Such a log is like a room's: messages are appended to it, kept, and read from a cursor. All sessions of the two accounts
are its members as soon as one of them says or deletes something, and nobody else can name it.
"""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import messages, names
from ..gate import Host
from ..log import Entry, Unavailable
from ..messages import WireError
from ..names import Name
from ..room import Member, Room
from ..rules import Account
from ..session import Session

_log = Logger("twisted_chat.requests")


def append(
    host: Host, session: Session, account: Account, partner: Account, request: messages.Say
) -> Deferred[None] | None:
    """Append a message of an account to another one."""
    name = names.direct(account.name, partner.name)
    room = host.rooms.get(name.key)
    if room is None:
        return host.rooms.open(name).addCallback(_append, host, session, account, request)
    _append(room, host, session, account, request)
    return None


def _append(room: Room, host: Host, session: Session, account: Account, request: messages.Say) -> None:
    name = room.name.key
    try:
        if session.closed:
            return
        if not (room.log.is_kept or room.members):
            host.new_rooms.take(session.address)
        _enter_all(host, room)
    finally:
        host.rooms.forget_if_empty(room)
    size = len(request.msg)
    session.append_started(size)
    member = session.members[name]
    host.rooms.say(Entry(room.log, account.name, request.msg, request.id, member), size * len(room.members))


@inlineCallbacks
def follow(
    host: Host, session: Session, account: Account, partner: Name
) -> Generator[Deferred[Room], Room, Member | None]:
    """Make the sessions of two accounts members of their log from now on. Returns that of this session.

    It returns nothing if the session has ended meanwhile, and raises `WireError` if the two have said nothing.
    """
    session.charge_work(1)
    room = yield host.rooms.open(names.direct(account.name, partner))
    try:
        if session.closed:
            return None
        if not (room.log.is_kept or room.members):
            raise WireError("not-joined", f"there are no direct messages with {partner.shown}")
        _enter_all(host, room)
        return session.members[room.name.key]
    finally:
        host.rooms.forget_if_empty(room)


def hear(host: Host, name: Name, first: int) -> None:
    """Called when another server has appended to a log that is not open here, from the number `first` on."""
    if any(_sessions(host, name)):
        host.rooms.open(name).addCallback(_hear, host, first).addErrback(_not_opened)


def _sessions(host: Host, name: Name) -> list[Session]:
    """Return the sessions of the two accounts of a log."""
    _, *keys = name.key.split("@")
    return [session for key in dict.fromkeys(keys) for session in host.sessions_of(Account(Name(key, key)))]


def _hear(room: Room, host: Host, first: int) -> None:
    _enter_all(host, room, first - 1)
    host.rooms.forget_if_empty(room)


def _not_opened(failure: Failure) -> None:
    if not failure.check(Unavailable):
        _log.failure("Direct messages from another server could not be delivered; they are in the log", failure)


def _enter_all(host: Host, room: Room, since: int | None = None) -> None:
    """Make the sessions of both accounts members from a number on, or from now on."""
    for session in _sessions(host, room.name):
        if session not in room.members:
            _enter(host, room, session, session.replays.pop(room.name.key, since))


def _enter(host: Host, room: Room, session: Session, since: int | None) -> None:
    session.members[room.name.key] = host.rooms.enter(room, session, since)


@inlineCallbacks
def replay(host: Host, session: Session, logs: list[Name]) -> Generator[Deferred[Room], Room, None]:
    """Send a session the direct messages of these logs after the numbers in `replays`, and the new ones from then on.

    The logs are opened one after the other, so that hellos with many partners do not keep others from the store. If
    somebody says something in one of them meanwhile, the session becomes a member of it at its number, not at its end.
    """
    session.charge_work(len(logs))
    for name in logs:
        room = yield host.rooms.open(name, session.replays.get(name.key) or 0)
        since = session.replays.pop(name.key, None)
        if since is not None and not session.closed and room.log.is_kept:
            _enter(host, room, session, since)
        host.rooms.forget_if_empty(room)
        if session.closed:
            return

"""The logs of the direct messages between two accounts.

Such a log is one like a room's: appended to, read from a cursor, kept. All sessions of the two accounts are its members
as soon as one of them says something, and nobody else can name it.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from .. import messages, names
from ..gate import Host
from ..log import Entry
from ..messages import WireError
from ..names import Name
from ..room import Member, Room
from ..rules import Account
from ..session import Session


def account_of(session: Session) -> Account:
    """Return the account of a session that has logged in; raises `WireError` (`denied`)."""
    if session.account is None:
        raise WireError("denied", "you have no account here: register your nick, or say hello with its password")
    return session.account


def append(
    host: Host, session: Session, account: Account, partner: Account, request: messages.Say
) -> Deferred[None] | None:
    """Append a message of an account to another one."""
    name = names.direct(account.name, partner.name)
    room = host.rooms.get(name.key)
    if room is None:
        return host.rooms.open(name).addCallback(_append, host, session, account, partner, request)
    _append(room, host, session, account, partner, request)
    return None


def _append(
    room: Room, host: Host, session: Session, account: Account, partner: Account, request: messages.Say
) -> None:
    try:
        if session.closed:
            return
        if not (room.log.is_kept or room.members):
            host.new_rooms.take(session.address)
        for other in (*host.sessions_of(account), *host.sessions_of(partner)):
            if other not in room.members:
                _enter(host, room, other, None)
    finally:
        host.rooms.forget_if_empty(room)
    size = len(request.msg)
    session.append_started(size)
    member = session.members[room.name.key]
    host.rooms.say(Entry(room.log, account.name, request.msg, request.id, member), size * len(room.members))


def _enter(host: Host, room: Room, session: Session, since: int | None) -> Member:
    member = session.members[room.name.key] = host.rooms.enter(room, session, since)
    return member


def replay(host: Host, session: Session, account: Account, since: dict[Name, int]) -> Deferred[None]:
    """Send an account the direct messages that came after these numbers, by its partners, and then the live ones."""
    opened = [
        host.rooms.open(names.direct(account.name, partner)).addCallback(_replay, host, session, seq)
        for partner, seq in since.items()
    ]
    return gatherResults(opened, consumeErrors=True).addCallbacks(_done, _first_failure)


def _replay(room: Room, host: Host, session: Session, since: int) -> None:
    if not session.closed and room.log.is_kept:
        _enter(host, room, session, since)
    host.rooms.forget_if_empty(room)


def _done(_: list[None]) -> None:
    """Do nothing: all logs are open."""


def _first_failure(failure: Failure) -> Failure:
    """Return the failure of the first log that could not be opened, out of what `gatherResults` wraps it in."""
    assert isinstance(failure.value, FirstError)
    return failure.value.subFailure

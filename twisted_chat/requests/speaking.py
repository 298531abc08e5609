"""Messages to a room or to one nick."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from .. import clock, messages, names
from ..cluster import Elsewhere
from ..gate import Host, answers
from ..limits import BESIDE_TEXT, FAN_OUT
from ..log import Entry
from ..messages import Message, WireError
from ..names import Name
from ..registry import StoredAccount
from ..rules import Account
from ..session import Session
from . import direct_logs
from .common import membership


@answers(messages.Say)
def _say(host: Host, session: Session, request: messages.Say) -> Deferred[None] | None:
    if request.room is None:
        return _say_to_nick(host, session, request)
    if request.to is not None:
        raise WireError("bad-message", "a message has a 'room' or a 'to', not both")
    key = request.room
    member = session.members.get(key)
    if member is None:
        introduced = session.introduce()
        if introduced is not None:
            return introduced.addCallback(lambda _: _say(host, session, request))
        member = membership(session, key)
        key = member.room.log.name.key
    room, msg, rules = member.room, request.msg, host.accounts.rules
    if key in rules.rooms:  # `rules.has_rules(key)` without a call for each message
        rules.check_speech(session, key, host.now)
    size = len(msg)
    session.append_started(size)
    to_send = (size + BESIDE_TEXT) * len(room.members)
    if to_send >= FAN_OUT:
        session.charge_work(to_send // FAN_OUT)
    say = host.rooms.say  # `host.rooms.say(...)` would look for a method in the class first
    say(Entry(room.log, session.nick, msg, request.id, member), to_send)
    return None


def _say_to_nick(host: Host, session: Session, request: messages.Say) -> Deferred[None] | None:
    """Send a direct message to a nick: between two accounts it is kept, in a log of the two."""
    if request.to is None:
        raise WireError("bad-message", "a message needs a 'room', or a 'to' with somebody's nick")
    name = names.nick(request.to)
    account = session.account
    if account is None:
        return _hand_over(host, session, name, request)
    for bearer in host.nicks.bearers(name.key):
        if bearer.account is not None:
            return direct_logs.append(host, session, account, bearer.account, request)
    return host.accounts.registry.find(name.key).addCallback(_say_to_absent, host, session, account, name, request)


def _say_to_absent(
    stored: StoredAccount | None,
    host: Host,
    session: Session,
    account: Account,
    name: Name,
    request: messages.Say,
) -> Deferred[None] | None:
    if stored is not None and stored.state == "active":
        return direct_logs.append(host, session, account, Account(stored.name, stored.created), request)
    return _hand_over(host, session, name, request)


def _hand_over(host: Host, session: Session, name: Name, request: messages.Say) -> Deferred[None] | None:
    """Hand a message from or to a guest to those who bear the nick now. The next bearer must not read it."""
    if session.closed:
        return None
    bearers = host.nicks.bearers(name.key)
    if not bearers:
        return host.cluster.find(name.key).addCallback(_hand_over_elsewhere, host, session, request)
    account = bearers[0].account
    to = bearers[0].nick.shown
    reading = [bearer for bearer in bearers if not bearer.paused]
    if not reading:
        raise WireError("unavailable", f"{to} is not reading just now: send the message again later")
    message = _message(host, session, to, request)
    for bearer in reading:
        host.rooms.send(bearer, message)
    if account is not None:  # which may be at other servers, too
        host.cluster.hand_over(account.name, message)
    _ack(session, message, request)
    return None


def _hand_over_elsewhere(to: Elsewhere | None, host: Host, session: Session, request: messages.Say) -> None:
    if to is None:
        raise WireError("no-such-nick", f"nobody has the nick {request.to} now")
    if not session.closed:
        message = _message(host, session, to.name.shown, request)
        host.cluster.hand_over(to.name, message)
        _ack(session, message, request)


def _message(host: Host, session: Session, to: str, request: messages.Say) -> Message:
    """Return a message to a nick, which is in no log."""
    time = messages.time_text(clock.milliseconds(host.reactor))
    return Message(request.msg, session.nick.shown, None, to, None, time)


def _ack(session: Session, message: Message, request: messages.Say) -> None:
    if request.id is not None:
        session.reply(messages.Ack(request.id, None, message.to, None, message.time))

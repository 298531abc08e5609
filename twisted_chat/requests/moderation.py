"""Requests of moderators about others in a room, or on the server: kick, ban, mute, and slow mode."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, inlineCallbacks, succeed

from .. import messages, names
from ..cluster import Elsewhere
from ..gate import Host, answers
from ..messages import WireError, time_text
from ..names import Name
from ..nicks import Bearer
from ..registry import Action, StoredAccount
from ..room import Room
from ..rules import SERVER_WIDE, Account, Change, Role, RuleKey, as_network, network_text
from ..session import Session
from .acting import act, check_above, check_number, end_of, room_or_server, rule_of, text_of
from .common import fitting, make_action, network_of_guest

# Out of a room


@answers(messages.Kick, needs=Role.MODERATOR)
def _kick(host: Host, session: Session, request: messages.Kick) -> Deferred[None]:
    room = room_or_server(host, request.room)
    nick = names.nick(request.nick)
    present = [one for one in host.nicks.bearers(nick.key) if room.key in one.members]
    if not present:
        return host.cluster.members(room.key).addCallback(_kick_elsewhere, host, session, room, nick, request)
    check_above(host, session, room, present[0].account)
    action = make_action(host, session, "kick", room, present[0].nick.shown, msg=request.msg)
    there = present[0].members[room.key].room
    return host.accounts.registry.act(action).addCallback(_kicked, host, session, there, present, request)


@inlineCallbacks
def _kick_elsewhere(
    members: list[Name], host: Host, session: Session, room: Name, nick: Name, request: messages.Kick
) -> Generator[Deferred[Any], Any, None]:
    """Kick somebody who is at another server."""
    there = [member for member in members if member.key == nick.key]
    if not there:
        raise WireError("no-such-nick", f"{nick.shown} is not in the room {room.shown}")
    stored: StoredAccount | None = yield host.accounts.registry.find(nick.key)
    check_above(host, session, room, None if stored is None else Account(stored.name, stored.created))
    action = make_action(host, session, "kick", room, there[0].shown, msg=request.msg)
    done: Action = yield host.accounts.registry.act(action)
    host.cluster.kick(room.key, nick, done.author, done.msg)
    if not session.closed:
        answer = messages.Kicked(author=done.author, room=room.shown, nick=done.target, msg=done.msg, id=request.id)
        session.reply(answer)


def _kicked(
    stored: Action, host: Host, session: Session, room: Room, present: list[Bearer], request: messages.Kick
) -> None:
    if not session.closed:
        answer = messages.Kicked(author=stored.author, room=room.name.shown, nick=stored.target, id=request.id)
        answer.msg = stored.msg
        session.reply(answer)
    session.charge(sum(host.put_out(one, room, stored.author, stored.msg, session) for one in present))
    if present[0].account is not None:  # which may be at other servers, too
        host.cluster.kick(room.name.key, present[0].account.name, stored.author, stored.msg)


@answers(messages.Ban, needs=Role.MODERATOR)
def _ban(host: Host, session: Session, request: messages.Ban) -> Deferred[None]:
    return _find_target(host, request.who).addCallback(_ban_target, host, session, request)


def _ban_target(target: _Target, host: Host, session: Session, request: messages.Ban) -> Deferred[None]:
    room = room_or_server(host, request.room)
    if target.account is not None:
        check_above(host, session, room, target.account)
    if as_network(target.subject) is not None and host.accounts.rules.role(session.account) < Role.OPERATOR:
        raise WireError("denied", "only operators ban addresses: name a nick")
    until = end_of(host, request.seconds)
    action = make_action(host, session, "ban", room, target.shown, msg=request.msg, until=until)
    rule = rule_of("ban", action, target.subject, address=target.network)
    check_number(host, rule)
    notice = messages.Banned(
        author=action.author,
        who=target.shown,
        room=request.room and room.shown,
        until=text_of(action.until),
        msg=action.msg,
    )
    ended = (RuleKey(room.key, "role", target.subject),) if room.key != SERVER_WIDE else ()
    return act(host, session, action, Change((rule,), ended), notice, request.id)


class _Target(NamedTuple):
    """The target of a ban or a mute."""

    subject: str
    """The subject of the rule."""
    shown: str
    """Its name for people."""
    network: str
    """The network of guests who are concerned as well: an account would else come back as a guest."""
    account: Account | None


def _find_target(host: Host, who: str) -> Deferred[_Target]:
    """Find the target of a ban or a mute, at whatever server it is. Raises `WireError`, or fails with `Unavailable`."""
    name = _subject(who)
    for bearer in host.nicks.bearers(name.key):
        return succeed(_Target(name.key, bearer.nick.shown, network_of_guest(bearer), bearer.account))
    if as_network(who) is not None:
        return succeed(_Target(name.key, name.shown, "", None))
    return host.cluster.find(name.key).addCallback(_target_elsewhere, name)


def _target_elsewhere(there: Elsewhere | None, name: Name) -> _Target:
    if there is None:
        return _Target(name.key, name.shown, "", Account(name))
    return _Target(name.key, there.name.shown, there.network, Account(name) if there.has_account else None)


def _subject(who: str) -> Name:
    """Return the subject of a rule about a nick, an address or a network, as its key. Raises `WireError`."""
    network = as_network(who)
    if network is None:
        return names.nick(who)
    text = network_text(network)
    return Name(text, text)


@answers(messages.Unban, needs=Role.MODERATOR)
def _unban(host: Host, session: Session, request: messages.Unban) -> Deferred[None]:
    room = room_or_server(host, request.room)
    who = _subject(request.who)
    key = RuleKey(room.key, "ban", who.key)
    ban = host.accounts.rules.get(key)
    if ban is None:
        raise WireError("bad-message", f"{who.shown} is not banned there")
    shown = ban.shown or who.shown
    action = make_action(host, session, "unban", room, shown, msg=request.msg)
    where = request.room and room.shown
    notice = messages.Unbanned(author=action.author, who=shown, room=where, msg=action.msg)
    return act(host, session, action, Change(ended=(key,)), notice, request.id)


@answers(messages.ListBans, needs=Role.MODERATOR)
def _bans(host: Host, session: Session, request: messages.ListBans) -> None:
    room = room_or_server(host, request.room)
    bans = host.accounts.rules.in_force(room.key, "ban", host.now())
    after = _subject(request.after).key if request.after else ""
    infos = [
        messages.BanInfo(ban.shown, ban.author, time_text(ban.time), text_of(ban.until), ban.msg)
        for ban in bans
        if ban.subject > after
    ]
    answer = messages.BanList(bans=[], count=len(bans), room=request.room and room.shown, id=request.id)
    answer.bans = fitting(infos[: messages.MAX_PAGE], answer, session.wire)
    session.reply(answer)


# Speaking


@answers(messages.Mute, needs=Role.MODERATOR)
def _mute(host: Host, session: Session, request: messages.Mute) -> Deferred[None]:
    names.nick(request.nick)  # an address is no nick
    return _find_target(host, request.nick).addCallback(_mute_target, host, session, request)


def _mute_target(target: _Target, host: Host, session: Session, request: messages.Mute) -> Deferred[None]:
    room = room_or_server(host, request.room)
    if target.account is not None:
        check_above(host, session, room, target.account)
    until = end_of(host, request.seconds)
    action = make_action(host, session, "mute", room, target.shown, msg=request.msg, until=until)
    rule = rule_of("mute", action, target.subject, address=target.network)
    check_number(host, rule)
    notice = messages.Muted(
        author=action.author, room=room.shown, nick=target.shown, until=text_of(action.until), msg=action.msg
    )
    return act(host, session, action, Change((rule,)), notice, request.id)


@answers(messages.Unmute, needs=Role.MODERATOR)
def _unmute(host: Host, session: Session, request: messages.Unmute) -> Deferred[None]:
    room = room_or_server(host, request.room)
    name = names.nick(request.nick)
    key = RuleKey(room.key, "mute", name.key)
    mute = host.accounts.rules.get(key)
    if mute is None:
        raise WireError("bad-message", f"{name.shown} is not muted in the room {room.shown}")
    action = make_action(host, session, "unmute", room, mute.shown, msg=request.msg)
    notice = messages.Unmuted(author=action.author, room=room.shown, nick=mute.shown, msg=action.msg)
    return act(host, session, action, Change(ended=(key,)), notice, request.id)


@answers(messages.Slow, needs=Role.MODERATOR)
def _slow(host: Host, session: Session, request: messages.Slow) -> Deferred[None]:
    room = room_or_server(host, request.room)
    action = make_action(host, session, "slow", room, value=str(request.seconds), msg=request.msg)
    rule = rule_of("slow", action, value=request.seconds)
    notice = messages.Slowed(author=action.author, room=room.shown, seconds=request.seconds, msg=action.msg)
    change = Change((rule,)) if request.seconds else Change(ended=(rule.key,))
    return act(host, session, action, change, notice, request.id)

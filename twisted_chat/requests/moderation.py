"""Requests of moderators about others in a room, or on the server: kick, ban, mute, and slow mode."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from .. import messages, names
from ..gate import Host, answers
from ..limits import network_of
from ..messages import WireError, time_text
from ..names import Name
from ..nicks import Bearer
from ..participant import Participant
from ..registry import Action, StoredAccount
from ..room import Room
from ..rules import SERVER_WIDE, Account, Change, Role, RuleKey, as_network, network_text
from ..session import Session
from .acting import act, check_above, check_number, check_server_role, end_of, room_or_server, rule_of, text_of
from .common import fitting, make_action

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
    room = room_or_server(host, request.room)
    check_server_role(host, session, room)
    subject, shown, address, account = _find_subject(host, request.who)
    if account is not None:
        check_above(host, session, room, account)
    if as_network(subject) is not None and host.accounts.rules.role(session.account) < Role.OPERATOR:
        raise WireError("denied", "only operators ban addresses: name a nick")
    action = make_action(host, session, "ban", room, shown, msg=request.msg, until=end_of(host, request.seconds))
    rule = rule_of("ban", action, subject, address=address)
    check_number(host, rule)
    notice = messages.Banned(
        author=action.author, who=shown, room=request.room and room.shown, until=text_of(action.until), msg=action.msg
    )
    ended = (RuleKey(room.key, "role", subject),) if room.key != SERVER_WIDE else ()
    return act(host, session, action, Change((rule,), ended), notice, request.id)


def _find_subject(host: Host, who: str) -> tuple[str, str, str, Account | None]:
    """Return the target of a ban: the subject of the rule, its name for people, its network, and its account.

    The network is that of guests who are banned as well: an account would else come back as a guest.
    """
    network = as_network(who)
    if network is not None:
        text = network_text(network)
        return text, text, "", None
    name = names.nick(who)
    for bearer in host.nicks.bearers(name.key):
        return name.key, bearer.nick.shown, _network(bearer), bearer.account
    return name.key, name.shown, "", Account(name)


def _network(guest: Participant) -> str:
    """Return the network of a guest; empty if many people share the address, as behind a proxy.

    A loopback address is shared by all whom a proxy without headers passes on. Of a client for whom a proxy has named
    one, it is not taken either: a ban would reach all who really connect from this machine.
    """
    network = as_network(guest.address)
    return "" if network is None or network.is_loopback else network_of(guest.address)


@answers(messages.Unban, needs=Role.MODERATOR)
def _unban(host: Host, session: Session, request: messages.Unban) -> Deferred[None]:
    room = room_or_server(host, request.room)
    check_server_role(host, session, room)
    subject, shown, _, _ = _find_subject(host, request.who)
    key = RuleKey(room.key, "ban", subject)
    if host.accounts.rules.get(key) is None:
        raise WireError("bad-message", f"{shown} is not banned there")
    action = make_action(host, session, "unban", room, shown, msg=request.msg)
    where = request.room and room.shown
    notice = messages.Unbanned(author=action.author, who=shown, room=where, msg=action.msg)
    return act(host, session, action, Change(ended=(key,)), notice, request.id)


@answers(messages.ListBans, needs=Role.MODERATOR)
def _bans(host: Host, session: Session, request: messages.ListBans) -> None:
    room = room_or_server(host, request.room)
    check_server_role(host, session, room)
    bans = host.accounts.rules.in_force(room.key, "ban", host.now())
    after = _find_subject(host, request.after)[0] if request.after else ""
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
    room = room_or_server(host, request.room)
    name = names.nick(request.nick)
    subject, shown, address, account = _find_subject(host, name.shown)
    if account is not None:
        check_above(host, session, room, account)
    action = make_action(host, session, "mute", room, shown, msg=request.msg, until=end_of(host, request.seconds))
    rule = rule_of("mute", action, subject, address=address)
    check_number(host, rule)
    notice = messages.Muted(
        author=action.author, room=room.shown, nick=shown, until=text_of(action.until), msg=action.msg
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

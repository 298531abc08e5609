"""Requests of moderators about who may enter a room: locks and invitations."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from .. import messages, names
from ..cluster import Elsewhere
from ..gate import Host, answers
from ..messages import WireError
from ..names import Name
from ..registry import Action, StoredAccount
from ..rules import Change, Role
from ..session import Session
from .acting import act, check_number, end_of, room_or_server, rule_of
from .common import make_action

INVITATION_SECONDS: Final = 7 * 24 * 60 * 60
"""The lifetime of an invitation: a week, so that their list does not grow for ever."""


@answers(messages.Lock, needs=Role.MODERATOR)
def _lock(host: Host, session: Session, request: messages.Lock) -> Deferred[None]:
    room = room_or_server(host, request.room)
    action = make_action(host, session, "lock", room, value="on" if request.on else "off", msg=request.msg)
    rule = rule_of("lock", action)
    notice = messages.Locked(author=action.author, room=room.shown, on=request.on, msg=action.msg)
    return act(host, session, action, Change((rule,)) if request.on else Change(ended=(rule.key,)), notice, request.id)


@answers(messages.Invite, needs=Role.MODERATOR)
def _invite(host: Host, session: Session, request: messages.Invite) -> Deferred[None]:
    room = room_or_server(host, request.room)
    nick = names.nick(request.nick)
    if host.nicks.bearers(nick.key):
        return _let_in(host, session, room, nick, request)
    return host.cluster.find(nick.key).addCallback(_let_in_elsewhere, host, session, room, nick, request)


def _let_in_elsewhere(
    there: Elsewhere | None, host: Host, session: Session, room: Name, nick: Name, request: messages.Invite
) -> Deferred[None]:
    if there is not None:
        return _let_in(host, session, room, there.name, request)
    return host.accounts.registry.find(nick.key).addCallback(_let_in_account, host, session, room, nick, request)


def _let_in_account(
    stored: StoredAccount | None, host: Host, session: Session, room: Name, nick: Name, request: messages.Invite
) -> Deferred[None]:
    if stored is None or stored.state == "removed":
        text = f"nobody has the nick {nick.shown} now, and it is no account: invite {nick.shown} again once it is used"
        raise WireError("no-such-nick", text)
    return _let_in(host, session, room, nick, request)


def _let_in(host: Host, session: Session, room: Name, nick: Name, request: messages.Invite) -> Deferred[None]:
    until = end_of(host, INVITATION_SECONDS)
    action = make_action(host, session, "invite", room, nick.shown, msg=request.msg, until=until)
    rule = rule_of("invite", action, nick.key)
    check_number(host, rule)
    acted = host.accounts.registry.act(action, Change((rule,)))
    return acted.addCallback(_invited, host, session, room, nick, request)


def _invited(stored: Action, host: Host, session: Session, room: Name, nick: Name, request: messages.Invite) -> None:
    notice = messages.Invited(author=stored.author, room=room.shown, nick=nick.shown, msg=stored.msg)
    if not session.closed:
        session.reply(replace(notice, id=request.id))
    for bearer in host.nicks.bearers(nick.key):
        host.rooms.send(bearer, notice)
    host.cluster.hand_over(nick, notice)

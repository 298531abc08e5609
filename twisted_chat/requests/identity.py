"""Requests about identity: the hello, and a change of nick."""

from __future__ import annotations

from typing import Final, NamedTuple

from twisted.internet.defer import Deferred

from .. import __version__, messages, names
from ..gate import Host, answers
from ..messages import WireError, is_same_token
from ..names import Name
from ..participant import Participant
from ..rules import Account, Role
from ..session import Session
from . import direct_logs, reports
from .common import network_of_guest

MAX_SESSIONS: Final = 20
"""Connections of one account at once, at all servers: more devices and programs than somebody has."""


class _Newcomer(NamedTuple):
    """Somebody who says hello; see `rules.Person`."""

    nick: Name
    account: Account | None
    address: str
    since: int


@answers(messages.Hello, needs=Role.STRANGER)
def _hello(host: Host, session: Session, request: messages.Hello) -> Deferred[None]:
    if session.is_welcome:
        raise WireError("bad-message", "you are welcome already; to change your nick, send a request of type nick")
    nick = names.nick(request.nick)
    since = {names.author(partner): seq for partner, seq in (request.direct or {}).items()}
    logged_in = host.accounts.log_in(nick, request.password, session.address)
    return logged_in.addCallback(_claim, host, session, since, request)


def _claim(
    account: Account | None, host: Host, session: Session, since: dict[Name, int], request: messages.Hello
) -> Deferred[None]:
    """Claim the nick before it is taken, since somebody at another server may have it."""
    nick = names.nick(request.nick) if account is None else account.name
    claimed = host.cluster.claim(nick, account is not None, request.token, network_of_guest(session))
    return claimed.addCallback(_welcome, account, host, session, since, request)


def _welcome(
    elsewhere: int,
    account: Account | None,
    host: Host,
    session: Session,
    since: dict[Name, int],
    request: messages.Hello,
) -> Deferred[None] | None:
    nick = names.nick(request.nick) if account is None else account.name
    try:
        if session.closed:
            return None
        now = host.now()
        host.accounts.rules.check_server(_Newcomer(names.nick(request.nick), account, session.address, now), now)
        session.nick = _take_nick(host, session, nick.shown, account, request.token, elsewhere)
    finally:
        if session.nick != nick:
            host.cluster.release(nick)
    session.token = request.token
    session.account = account
    logs = {names.direct(account.name, partner): seq for partner, seq in since.items()} if account is not None else {}
    session.replays = {log.key: seq for log, seq in logs.items()}
    limits = host.accounts.limits(account, host.limits)
    session.bucket.change(limits)
    session.reply(
        messages.Welcome(
            nick=session.nick.shown,
            server=f"twisted_chat {__version__}",
            protocol=messages.PROTOCOL,
            limits=limits.for_clients() | {"object": session.wire.longest_object},
            account=account is not None,
            guests=host.accounts.guests or account is not None,
            id=request.id,
        )
    )
    if account is None:
        return None
    waiting = reports.send_waiting(host, session)
    return waiting.addCallback(lambda _: direct_logs.replay(host, session, list(logs))) if logs else waiting


def _take_nick(
    host: Host,
    session: Session,
    nick: str,
    account: Account | None,
    token: str | None = None,
    elsewhere: int = 0,
) -> Name:
    """Give a session a nick in place of its present one, if it has one. Raises `WireError`.

    Nobody has the nick or one that looks like it, or its bearer has the same token, and is ended. An account may always
    have its own name, even if that was forbidden later; it has so many sessions `elsewhere`.
    """
    name = names.nick(nick)
    if names.is_reserved(name):
        raise WireError("nick-taken", "this nick is reserved for the server: take another one")
    if name in host.forbidden_nicks and (account is None or account.name.key != name.key):
        raise WireError("bad-nick", "this nick is not allowed on this server: take another one")
    if host.nicks.is_like_another(name, session.nick):
        raise WireError("nick-taken", "this nick looks like that of somebody else: take one that differs more")
    session.since = host.now()
    for bearer in host.nicks.bearers(name.key):
        if bearer is not session:
            _take_place(bearer, session, account, token)
    if account is not None and len(host.nicks.bearers(name.key)) + elsewhere >= MAX_SESSIONS:
        raise WireError("full", f"your account has {MAX_SESSIONS} connections: end one first")
    if session.is_welcome:
        host.nicks.remove(session)
    host.nicks.add(name, session)
    return name


def _take_place(bearer: Participant, session: Session, account: Account | None, token: str | None) -> None:
    """Let a session have the nick of `bearer`, which is ended if need be; raises `WireError`."""
    if isinstance(bearer, Session) and is_same_token(bearer.token, token):
        session.since = bearer.since
        text = "a new connection of yours has taken the place of this one"
        bearer.end(text, farewell="connecting again", cause="replaced")
    elif account is None:
        raise WireError("nick-taken", f"somebody else has this nick: take another one{_until_free(bearer)}")
    elif bearer.account is None:
        bearer.turn_away(WireError("auth-failed", "this nick is somebody's account: log in, or take another nick"))


def _until_free(bearer: Participant) -> str:
    """Return a hint on when a nick will be free if its bearer is a connection that has gone silent."""
    seconds = bearer.free_in()
    if seconds is None:
        return ""
    return f". If that is your own connection, which has gone silent, the nick will be free in about {round(seconds)} s"


@answers(messages.Nick, needs=Role.VISITOR)
def _nick(host: Host, session: Session, request: messages.Nick) -> Deferred[None] | None:
    name = names.nick(request.nick)
    if session.account is None:
        claimed = host.accounts.check_guest(name).addCallback(
            lambda _: host.cluster.claim(name, False, session.token, network_of_guest(session))
        )
        return claimed.addCallback(_change_nick, host, session, request)
    if name != session.account.name:
        text = (
            f"your nick is your account's, {session.account.name.shown}: say hello without a password for another one"
        )
        raise WireError("denied", text)
    session.reply(messages.NickChanged(author=name.shown, nick=name.shown, id=request.id))
    return None


def _change_nick(_: int, host: Host, session: Session, request: messages.Nick) -> None:
    name, old = names.nick(request.nick), session.nick
    rules = host.accounts.rules
    given_up = name
    try:
        if session.closed:
            return
        for key, member in session.members.items():
            if not rules.may_change_nick(session, key, host.now):
                text = f"you are muted in the room {member.room.name.shown}: keep your nick, or leave"
                raise WireError("denied", text)
        new = session.nick = _take_nick(host, session, request.nick, None)
        given_up = old
    finally:
        host.cluster.release(given_up)
    session.reply(messages.NickChanged(author=old.shown, nick=new.shown, id=request.id))
    told = 0
    for key, member in session.members.items():
        rules.rename(old.key, new.key, key)
        notice = messages.NickChanged(author=old.shown, nick=new.shown, room=member.room.name.shown)
        told += host.rooms.announce(member.room, notice, session)
    session.charge(told)

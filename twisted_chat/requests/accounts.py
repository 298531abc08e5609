"""Requests about one's own account: its registration, its password and its tokens."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred

from .. import messages
from ..gate import Host, answers
from ..messages import WireError, time_text
from ..registry import StoredToken
from ..rules import Account, Role
from ..session import Session
from .common import own_account

PASSWORD_CHANGED: Final = "the password of your account was changed: log in again"
"""Why the other sessions of an account are ended with `revoke`."""


@answers(messages.Register, needs=Role.VISITOR)
def _register(host: Host, session: Session, request: messages.Register) -> Deferred[None]:
    if session.account is not None:
        raise WireError("bad-message", f"{session.account.name.shown} is your account already")
    registered = host.accounts.register(session.nick, request.password, session.address, session.wire.is_local)
    return registered.addCallback(_registered, host, session, request)


def _registered(account: Account | None, host: Host, session: Session, request: messages.Register) -> None:
    if not session.closed:
        session.account = account
        if account is not None:
            host.cluster.registered(account.name)
        session.reply(messages.Registered(nick=session.nick.shown, pending=account is None, id=request.id))


@answers(messages.ChangePassword)
def _password(host: Host, session: Session, request: messages.ChangePassword) -> Deferred[None]:
    account = own_account(session)
    changed = host.accounts.change_password(account, request.old, request.new, request.revoke)
    return changed.addCallback(_password_changed, host, session, account, request)


def _password_changed(
    _: None, host: Host, session: Session, account: Account, request: messages.ChangePassword
) -> None:
    if request.revoke:
        for other in host.sessions_of(account):
            if other is not session:
                other.turn_away(WireError("auth-failed", PASSWORD_CHANGED), farewell="logging in again")
    if not session.closed:
        session.reply(messages.PasswordChanged(id=request.id))


@answers(messages.MakeToken)
def _token(host: Host, session: Session, request: messages.MakeToken) -> Deferred[None]:
    made = host.accounts.make_token(own_account(session), request.label)
    return made.addCallback(_token_made, session, request)


def _token_made(secret: str, session: Session, request: messages.MakeToken) -> None:
    if not session.closed:
        session.reply(messages.TokenMade(token=secret, label=request.label, id=request.id))


@answers(messages.ListTokens)
def _tokens(host: Host, session: Session, request: messages.ListTokens) -> Deferred[None]:
    return host.accounts.tokens(own_account(session)).addCallback(_show_tokens, session, request)


def _show_tokens(tokens: list[StoredToken], session: Session, request: messages.ListTokens) -> None:
    if not session.closed:
        session.reply(messages.TokenList(tokens=[_info(token) for token in tokens], id=request.id))


def _info(token: StoredToken) -> messages.TokenInfo:
    used = None if token.used is None else time_text(token.used)
    return messages.TokenInfo(token.label, time_text(token.created), used)


@answers(messages.RevokeToken)
def _revoke_token(host: Host, session: Session, request: messages.RevokeToken) -> Deferred[None]:
    revoked = host.accounts.revoke_token(own_account(session), request.label)
    return revoked.addCallback(_token_revoked, session, request)


def _token_revoked(count: int, session: Session, request: messages.RevokeToken) -> None:
    if not count:
        raise WireError("bad-message", f"your account has no token with the label {request.label}")
    if not session.closed:
        session.reply(messages.TokenRevoked(label=request.label, id=request.id))

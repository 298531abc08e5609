"""The request that gives an account a role in a room, or lets it in on the server."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from .. import messages, names
from ..gate import Host, answers
from ..messages import WireError
from ..names import Name
from ..registry import AccountState, Action, StoredAccount
from ..rules import SERVER_WIDE, Account, Change, Role
from ..session import Session
from .acting import act, room_or_server, rule_of
from .common import make_action


@answers(messages.Grant)
def _grant(host: Host, session: Session, request: messages.Grant) -> Deferred[None]:
    room = room_or_server(host, request.room)
    nick = names.nick(request.nick)
    if room.key == SERVER_WIDE:
        if host.accounts.rules.role(session.account) < Role.OPERATOR:  # the gate asks no role for this request
            raise WireError("denied", "only operators may do this to the whole server: name a 'room'")
        return _let_in(host, session, request, nick)
    role = Role.GUEST if request.role == "none" else Role[request.role.upper()]
    _check_grant(host, session, room, nick, role)
    return host.accounts.registry.find(nick.key).addCallback(_grant_to, host, session, room, role, request)


def _check_grant(host: Host, session: Session, room: Name, nick: Name, role: Role) -> None:
    """Raise `WireError` (`denied`) unless a session may give an account a role in a room.

    It is checked again when the role is stored: of two owners who step down at the same moment, one has to stay.
    """
    rules = host.accounts.rules
    own = rules.role(session.account, room.key)
    theirs = rules.role(Account(nick), room.key)
    needed = Role.OWNER if max(role, theirs) >= Role.MODERATOR else Role.MODERATOR
    is_stepping_down = session.account is not None and session.account.name.key == nick.key and role < own
    if own < needed and not is_stepping_down:
        raise WireError("denied", f"only {needed.name.lower()}s of the room {room.shown} may do this")
    if theirs is Role.OWNER and role < Role.OWNER and not _has_other_owner(host, room, nick):
        raise WireError(
            "denied", f"{nick.shown} is the only owner of the room {room.shown}: make somebody else one first"
        )


def _has_other_owner(host: Host, room: Name, nick: Name) -> bool:
    roles = host.accounts.rules.in_force(room.key, "role", host.now())
    return any(rule.value == Role.OWNER and rule.subject != nick.key for rule in roles)


def _grant_to(
    stored: StoredAccount | None, host: Host, session: Session, room: Name, role: Role, request: messages.Grant
) -> Deferred[None]:
    if stored is None:
        raise WireError("no-such-nick", f"{request.nick} is no account, and only accounts have roles")
    name = stored.name
    action = make_action(host, session, "grant", room, name.shown, value=request.role, msg=request.msg)
    rule = rule_of("role", action, name.key, role)
    notice = messages.Granted(author=action.author, nick=name.shown, role=request.role, room=room.shown, msg=action.msg)
    change = Change(ended=(rule.key,)) if request.role == "none" else Change((rule,))
    return act(host, session, action, change, notice, request.id, lambda: _check_grant(host, session, room, name, role))


def _let_in(host: Host, session: Session, request: messages.Grant, nick: Name) -> Deferred[None]:
    """Let a waiting account in, or shut one out."""
    if request.role not in ("member", "none"):
        raise WireError("bad-message", "on the server an account is a member, or none: name a 'room' for other roles")
    if nick.key in host.accounts.rules.operators:
        raise WireError("denied", f"{nick.shown} is an operator by the server's options")
    state: AccountState = "active" if request.role == "member" else "suspended"
    action = make_action(host, session, "grant", Name("", SERVER_WIDE), nick.shown, value=request.role, msg=request.msg)
    found = host.accounts.registry.find(nick.key)
    return found.addCallback(_let_in_recorded, host, session, action, state, request)


def _let_in_recorded(
    stored: StoredAccount | None,
    host: Host,
    session: Session,
    action: Action,
    state: AccountState,
    request: messages.Grant,
) -> Deferred[None]:
    """Write to the audit log what is to be done, and then do it."""
    if stored is None or stored.state == "removed":
        raise WireError("no-such-nick", f"there is no account {action.target}")
    registry = host.accounts.registry
    done = registry.act(action).addCallback(lambda _: registry.set_state(stored.name.key, state))
    return done.addCallback(_let_in_done, session, action, request)


def _let_in_done(_: bool, session: Session, action: Action, request: messages.Grant) -> None:
    if not session.closed:
        answer = messages.Granted(author=action.author, nick=action.target, role=request.role, id=request.id)
        answer.msg = action.msg
        session.reply(answer)

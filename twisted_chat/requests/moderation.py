"""Requests of moderators: kick, ban, mute, roles, locks, invitations, slow mode; reports, and the audit log.

Each action is an entry of the audit log, which is stored together with the rules that it makes or ends. The rules are
in force once that is stored. `enforcement` then puts out participants that may no longer be in a room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred

from .. import messages, names
from ..gate import Host, answers
from ..limits import MESSAGES, network_of
from ..messages import Reply, WireError, time_text
from ..names import Name
from ..nicks import Bearer
from ..participant import Participant
from ..registry import AccountState, Action, Report, StoredAccount
from ..room import Room
from ..rules import SERVER_WIDE, Account, Change, Role, Rule, RuleKey, RuleKind, as_network, network_text
from ..session import Session
from . import reports
from .common import check_reason, fitting, make_action, membership

MAX_BANS: Final = 1_000
"""The maximum number of bans, mutes and invitations of a room, and of bans of the server: a list that can be read."""

INVITATION_SECONDS: Final = 7 * 24 * 60 * 60
"""The lifetime of an invitation: a week, so that their list does not grow for ever."""


def _room(host: Host, name: str | None) -> Name:
    """Return the name of a room as it was first written, or that of the whole server."""
    if name is None:
        return Name("", SERVER_WIDE)
    checked = names.room(name)
    room = host.rooms.get(checked.key)
    return checked if room is None else room.name


def _check_server_role(host: Host, session: Session, room: Name) -> None:
    """Raise `WireError` (`denied`) for a request about the whole server by anybody but an operator."""
    if room.key == SERVER_WIDE and host.accounts.rules.role(session.account) < Role.OPERATOR:
        raise WireError("denied", "only operators may do this to the whole server: name a 'room'")


def _check_above(host: Host, session: Session, room: Name, account: Account | None) -> None:
    """Raise `WireError` (`denied`) unless the asker has a higher role than the target."""
    rules = host.accounts.rules
    theirs = rules.role(account, room.key)
    if theirs >= Role.MODERATOR and theirs >= rules.role(session.account, room.key):
        raise WireError("denied", f"you may not do this to somebody who is {_a(theirs)} too")


def _a(role: Role) -> str:
    name = role.name.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _rule(kind: RuleKind, action: Action, subject: str = "", value: int = 1, address: str = "") -> Rule:
    """Make the rule that an action puts into force."""
    return Rule(
        room=action.room,
        kind=kind,
        subject=subject,
        shown=action.target,
        address=address,
        value=value,
        until=action.until,
        msg=action.msg,
        author=action.author,
        time=action.time,
    )


def _check_number(host: Host, rule: Rule) -> None:
    """Raise `WireError` (`full`) if a room has the maximum number of rules of a kind."""
    rules = host.accounts.rules
    if rules.get(rule.key) is None and len(rules.in_force(rule.room, rule.kind, rule.time)) >= MAX_BANS:
        raise WireError("full", f"there are {MAX_BANS} of these already: end some of them first")


def _act(
    host: Host, session: Session, action: Action, change: Change, tell: Callable[[str | None], Reply], id: str | None
) -> Deferred[None]:
    """Store an action with its change, and notify everybody concerned. `tell` makes the notice, with an id or not."""
    return host.accounts.registry.act(action, change).addCallback(_acted, host, session, tell, id)


def _acted(stored: Action, host: Host, session: Session, tell: Callable[[str | None], Reply], id: str | None) -> None:
    if not session.closed:
        session.reply(tell(id))
    room = host.rooms.get(stored.room)
    if room is not None:
        session.charge(host.rooms.tell_others(room, tell(None), session))


def _until(host: Host, seconds: int | None) -> int | None:
    return None if seconds is None else host.now() + seconds * 1000


def _text(until: int | None) -> str | None:
    return None if until is None else time_text(until)


# Out of a room


@answers(messages.Kick, needs=Role.MODERATOR)
def _kick(host: Host, session: Session, request: messages.Kick) -> Deferred[None]:
    room = _room(host, request.room)
    nick = names.nick(request.nick)
    present = [one for one in host.nicks.bearers(nick.key) if room.key in one.members]
    if not present:
        raise WireError("no-such-nick", f"{nick.shown} is not in the room {room.shown}")
    _check_above(host, session, room, present[0].account)
    action = make_action(host, session, "kick", room, present[0].nick.shown, msg=request.msg)
    there = present[0].members[room.key].room
    return host.accounts.registry.act(action).addCallback(_kicked, host, session, there, present, request)


def _kicked(
    stored: Action, host: Host, session: Session, room: Room, present: list[Bearer], request: messages.Kick
) -> None:
    if not session.closed:
        answer = messages.Kicked(author=stored.author, room=room.name.shown, nick=stored.target, id=request.id)
        answer.msg = stored.msg
        session.reply(answer)
    session.charge(sum(host.put_out(one, room, stored.author, stored.msg, session) for one in present))


@answers(messages.Ban, needs=Role.MODERATOR)
def _ban(host: Host, session: Session, request: messages.Ban) -> Deferred[None]:
    room = _room(host, request.room)
    _check_server_role(host, session, room)
    subject, shown, address, account = _find_subject(host, request.who)
    if account is not None:
        _check_above(host, session, room, account)
    if as_network(subject) is not None and host.accounts.rules.role(session.account) < Role.OPERATOR:
        raise WireError("denied", "only operators ban addresses: name a nick")
    action = make_action(host, session, "ban", room, shown, msg=request.msg, until=_until(host, request.seconds))
    rule = _rule("ban", action, subject, address=address)
    _check_number(host, rule)

    def tell(id: str | None) -> Reply:
        return messages.Banned(
            author=action.author,
            who=shown,
            room=request.room and room.shown,
            until=_text(action.until),
            msg=action.msg,
            id=id,
        )

    ended = (RuleKey(room.key, "role", subject),) if room.key != SERVER_WIDE else ()
    return _act(host, session, action, Change((rule,), ended), tell, request.id)


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
    """Return the network of a guest; empty if many people share the address, as behind a proxy."""
    network = as_network(guest.address)
    return "" if network is None or network.is_loopback else network_of(guest.address)


@answers(messages.Unban, needs=Role.MODERATOR)
def _unban(host: Host, session: Session, request: messages.Unban) -> Deferred[None]:
    room = _room(host, request.room)
    _check_server_role(host, session, room)
    subject, shown, _, _ = _find_subject(host, request.who)
    key = RuleKey(room.key, "ban", subject)
    if host.accounts.rules.get(key) is None:
        raise WireError("bad-message", f"{shown} is not banned there")
    action = make_action(host, session, "unban", room, shown, msg=request.msg)

    def tell(id: str | None) -> Reply:
        where = request.room and room.shown
        return messages.Unbanned(author=action.author, who=shown, room=where, msg=action.msg, id=id)

    return _act(host, session, action, Change(ended=(key,)), tell, request.id)


@answers(messages.ListBans, needs=Role.MODERATOR)
def _bans(host: Host, session: Session, request: messages.ListBans) -> None:
    room = _room(host, request.room)
    _check_server_role(host, session, room)
    bans = host.accounts.rules.in_force(room.key, "ban", host.now())
    after = _find_subject(host, request.after)[0] if request.after else ""
    infos = [
        messages.BanInfo(ban.shown, ban.author, time_text(ban.time), _text(ban.until), ban.msg)
        for ban in bans
        if ban.subject > after
    ]
    answer = messages.BanList(bans=[], count=len(bans), room=request.room and room.shown, id=request.id)
    answer.bans = fitting(infos[: messages.MAX_PAGE], answer, session.wire)
    session.reply(answer)


# Speaking


@answers(messages.Mute, needs=Role.MODERATOR)
def _mute(host: Host, session: Session, request: messages.Mute) -> Deferred[None]:
    room = _room(host, request.room)
    name = names.nick(request.nick)
    subject, shown, address, account = _find_subject(host, name.shown)
    if account is not None:
        _check_above(host, session, room, account)
    action = make_action(host, session, "mute", room, shown, msg=request.msg, until=_until(host, request.seconds))
    rule = _rule("mute", action, subject, address=address)
    _check_number(host, rule)

    def tell(id: str | None) -> Reply:
        return messages.Muted(
            author=action.author, room=room.shown, nick=shown, until=_text(action.until), msg=action.msg, id=id
        )

    return _act(host, session, action, Change((rule,)), tell, request.id)


@answers(messages.Unmute, needs=Role.MODERATOR)
def _unmute(host: Host, session: Session, request: messages.Unmute) -> Deferred[None]:
    room = _room(host, request.room)
    name = names.nick(request.nick)
    key = RuleKey(room.key, "mute", name.key)
    mute = host.accounts.rules.get(key)
    if mute is None:
        raise WireError("bad-message", f"{name.shown} is not muted in the room {room.shown}")
    action = make_action(host, session, "unmute", room, mute.shown, msg=request.msg)

    def tell(id: str | None) -> Reply:
        return messages.Unmuted(author=action.author, room=room.shown, nick=mute.shown, msg=action.msg, id=id)

    return _act(host, session, action, Change(ended=(key,)), tell, request.id)


@answers(messages.Slow, needs=Role.MODERATOR)
def _slow(host: Host, session: Session, request: messages.Slow) -> Deferred[None]:
    room = _room(host, request.room)
    action = make_action(host, session, "slow", room, value=str(request.seconds), msg=request.msg)
    rule = _rule("slow", action, value=request.seconds)

    def tell(id: str | None) -> Reply:
        return messages.Slowed(author=action.author, room=room.shown, seconds=request.seconds, msg=action.msg, id=id)

    change = Change((rule,)) if request.seconds else Change(ended=(rule.key,))
    return _act(host, session, action, change, tell, request.id)


# Entry


@answers(messages.Lock, needs=Role.MODERATOR)
def _lock(host: Host, session: Session, request: messages.Lock) -> Deferred[None]:
    room = _room(host, request.room)
    action = make_action(host, session, "lock", room, value="on" if request.on else "off", msg=request.msg)
    rule = _rule("lock", action)

    def tell(id: str | None) -> Reply:
        return messages.Locked(author=action.author, room=room.shown, on=request.on, msg=action.msg, id=id)

    return _act(host, session, action, Change((rule,)) if request.on else Change(ended=(rule.key,)), tell, request.id)


@answers(messages.Invite, needs=Role.MODERATOR)
def _invite(host: Host, session: Session, request: messages.Invite) -> Deferred[None]:
    room = _room(host, request.room)
    nick = names.nick(request.nick)
    until = _until(host, INVITATION_SECONDS)
    action = make_action(host, session, "invite", room, nick.shown, msg=request.msg, until=until)
    rule = _rule("invite", action, nick.key)
    _check_number(host, rule)
    acted = host.accounts.registry.act(action, Change((rule,)))
    return acted.addCallback(_invited, host, session, room, nick, request)


def _invited(stored: Action, host: Host, session: Session, room: Name, nick: Name, request: messages.Invite) -> None:
    def tell(id: str | None = None) -> Reply:
        return messages.Invited(author=stored.author, room=room.shown, nick=nick.shown, msg=stored.msg, id=id)

    if not session.closed:
        session.reply(tell(request.id))
    for bearer in host.nicks.bearers(nick.key):
        host.rooms.send(bearer, tell())


@answers(messages.Grant)
def _grant(host: Host, session: Session, request: messages.Grant) -> Deferred[None]:
    return host.granting.run(_grant_in_turn, host, session, request)


def _grant_in_turn(host: Host, session: Session, request: messages.Grant) -> Deferred[None]:
    room = _room(host, request.room)
    nick = names.nick(request.nick)
    role = Role.GUEST if request.role == "none" else Role[request.role.upper()]
    rules = host.accounts.rules
    own = rules.role(session.account, room.key)
    if room.key == SERVER_WIDE:
        _check_server_role(host, session, room)
        return _let_in(host, session, request, nick)
    theirs = rules.role(Account(nick), room.key)
    needed = Role.OWNER if max(role, theirs) >= Role.MODERATOR else Role.MODERATOR
    is_stepping_down = session.account is not None and session.account.name.key == nick.key and role < own
    if own < needed and not is_stepping_down:
        raise WireError("denied", f"only {needed.name.lower()}s of the room {room.shown} may do this")
    if theirs is Role.OWNER and role < Role.OWNER and not _has_other_owner(host, room, nick):
        raise WireError(
            "denied", f"{nick.shown} is the only owner of the room {room.shown}: make somebody else one first"
        )
    return host.accounts.registry.find(nick.key).addCallback(_grant_to, host, session, room, role, request)


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
    rule = _rule("role", action, name.key, role)

    def tell(id: str | None) -> Reply:
        return messages.Granted(
            author=action.author, nick=name.shown, role=request.role, room=room.shown, msg=action.msg, id=id
        )

    change = Change(ended=(rule.key,)) if request.role == "none" else Change((rule,))
    return _act(host, session, action, change, tell, request.id)


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


# Reports


@answers(messages.SendReport)
def _report(host: Host, session: Session, request: messages.SendReport) -> Deferred[None]:
    member = membership(session, request.room)
    room = member.room
    if not room.log.oldest <= request.of <= room.head or request.of == 0:
        raise WireError("bad-message", f"there is no message {request.of} in the room {room.name.shown}")
    check_reason(request.msg)
    host.reports.take(session.address)
    report = Report(room=room.name.key, of=request.of, author=session.nick.shown, msg=request.msg, time=host.now())
    return host.accounts.registry.report(report).addCallback(_reported, host, session, request)


def _reported(report: Report, host: Host, session: Session, request: messages.SendReport) -> Deferred[None]:
    if not session.closed:
        session.reply(reports.notice_of(host, report, request.id))
    return reports.send_to_operators(host, report)


@answers(messages.ReadAudit, needs=Role.MODERATOR)
def _audit(host: Host, session: Session, request: messages.ReadAudit) -> Deferred[None]:
    room = _room(host, request.room)
    _check_server_role(host, session, room)
    before = messages.MAX_SEQ if request.before is None else request.before
    most = min(request.limit, messages.MAX_PAGE)
    of = None if request.room is None else room.key
    read = host.accounts.registry.actions(of, before, most + 1)
    return read.addCallback(_show_actions, session, room, most, request)


def _show_actions(actions: list[Action], session: Session, room: Name, most: int, request: messages.ReadAudit) -> None:
    if session.closed:
        return
    session.charge_work(len(actions) // MESSAGES)
    answer = messages.AuditPage(actions=[], more=False, room=request.room and room.shown, id=request.id)
    answer.actions = fitting([_info(action) for action in actions[:most]], answer, session.wire)
    answer.more = len(actions) > len(answer.actions)
    session.reply(answer)


def _info(action: Action) -> messages.ActionInfo:
    return messages.ActionInfo(
        seq=action.seq,
        time=time_text(action.time),
        type=action.kind,
        author=action.author,
        account=action.account or None,
        room=action.room or None,
        target=action.target or None,
        value=action.value or None,
        until=_text(action.until),
        msg=action.msg,
    )

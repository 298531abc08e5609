"""Actions of moderators: what all of them check, and how they are carried out.

Each action is an entry of the audit log, which is stored together with the rules that it makes or ends. The rules are
in force once that is stored. `enforcement` then puts out participants that may no longer be in a room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from .. import names
from ..gate import Host
from ..messages import Reply, WireError, time_text
from ..names import Name
from ..registry import Action
from ..rules import SERVER_WIDE, Account, Change, Role, Rule, RuleKind
from ..session import Session

MAX_BANS: Final = 1_000
"""The maximum number of bans, mutes and invitations of a room, and of bans of the server: a list that can be read."""


def room_or_server(host: Host, name: str | None) -> Name:
    """Return the name of a room as it was first written, or that of the whole server."""
    if name is None:
        return Name("", SERVER_WIDE)
    checked = names.room(name)
    room = host.rooms.get(checked.key)
    return checked if room is None else room.name


def check_above(host: Host, session: Session, room: Name, account: Account | None) -> None:
    """Raise `WireError` (`denied`) unless the asker has a higher role than the target."""
    rules = host.accounts.rules
    theirs = rules.role(account, room.key)
    if theirs >= Role.MODERATOR and theirs >= rules.role(session.account, room.key):
        raise WireError("denied", f"you may not do this to somebody who is {_a(theirs)} too")


def _a(role: Role) -> str:
    name = role.name.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def rule_of(kind: RuleKind, action: Action, subject: str = "", value: int = 1, address: str = "") -> Rule:
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


def check_number(host: Host, rule: Rule) -> None:
    """Raise `WireError` (`full`) if a room has the maximum number of rules of a kind."""
    rules = host.accounts.rules
    if rules.get(rule.key) is None and len(rules.in_force(rule.room, rule.kind, rule.time)) >= MAX_BANS:
        raise WireError("full", f"there are {MAX_BANS} of these already: end some of them first")


def act(
    host: Host,
    session: Session,
    action: Action,
    change: Change,
    notice: Reply,
    id: str | None,
    check: Callable[[], object] | None = None,
) -> Deferred[None]:
    """Store an action with its change, and notify everybody in the room. With the id, the notice is the answer.

    `check` is as in `Registry.act`.
    """
    return host.accounts.registry.act(action, change, check).addCallback(_acted, host, session, notice, id)


def _acted(stored: Action, host: Host, session: Session, notice: Reply, id: str | None) -> None:
    if not session.closed:
        session.reply(replace(notice, id=id))
    room = host.rooms.get(stored.room)
    if room is not None:
        session.charge(host.rooms.tell_others(room, notice, session))


def end_of(host: Host, seconds: int | None) -> int | None:
    """Return the end of a rule that begins now, in milliseconds since 1970; None if it has none."""
    return None if seconds is None else host.now() + seconds * 1000


def text_of(until: int | None) -> str | None:
    """Return the end of a rule as a text; None if it has none."""
    return None if until is None else time_text(until)

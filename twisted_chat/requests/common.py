"""Functions for several requests: the account and memberships of a session, a reason, and what fits in an answer."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from .. import messages, names
from ..gate import Host
from ..limits import MAX_TOPIC
from ..messages import WireError
from ..names import Name
from ..participant import Participant, Wire
from ..registry import Action
from ..room import Member
from ..rules import Account
from ..session import Session

_T = TypeVar("_T")


def own_account(session: Session) -> Account:
    """Return the account of a session that has logged in. Raises `WireError` (`denied`)."""
    if session.account is None:
        raise WireError("denied", "you have no account here: register your nick, or say hello with its password")
    return session.account


def membership(session: Participant, room: str) -> Member:
    """Return the membership of a session in a room. Raises `WireError`."""
    member = session.members.get(room)  # by its key, as most clients write it
    if member is None:
        member = session.members.get(names.room(room).key) or session.introduce()
    if member is None:
        raise WireError("not-joined", f"you are not in the room {room}: join it first")
    return member


def check_reason(reason: str) -> None:
    """Raise `WireError` (`bad-message`) if the reason for an action is too long."""
    if len(reason) > MAX_TOPIC:
        raise WireError("bad-message", f"a reason has at most {MAX_TOPIC} characters")


def make_action(
    host: Host, session: Session, kind: str, room: Name, target: str = "", **more: str | int | None
) -> Action:
    """Make an entry of the audit log, and charge the address of the session. Raises `WireError`.

    `more` has the reason and the other fields of its kind.
    """
    reason = str(more.pop("msg", ""))
    check_reason(reason)
    host.actions.take(session.address)
    account = session.account.name.key if session.account is not None else ""
    until = more.get("until")
    return Action(
        kind=kind,
        author=session.nick.shown,
        account=account,
        room=room.key,
        target=target,
        value=str(more.get("value", "")),
        msg=reason,
        until=until if isinstance(until, int) else None,
        time=host.now(),
    )


def fitting(items: list[_T], answer: msgspec.Struct, wire: Wire) -> list[_T]:
    """Return as many items of an answer as the wire carries at once: at least one, if there is any."""
    left = wire.longest_answer - len(messages.encode(answer))
    for count, item in enumerate(items):
        left -= len(messages.encode(item)) + 1
        if left < 0:
            return items[: max(count, 1)]
    return items

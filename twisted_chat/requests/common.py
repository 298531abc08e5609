"""Functions for several requests: the account, memberships and network of a session, a reason, what fits an answer."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from .. import messages, names
from ..gate import Host
from ..limits import MAX_TOPIC, network_of
from ..messages import WireError
from ..names import Name
from ..participant import Participant, Wire
from ..registry import Action
from ..room import Member
from ..rules import Account, as_network
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
        member = session.members.get(names.room(room).key)
    if member is None:
        raise WireError("not-joined", f"you are not in the room {room}: join it first")
    return member


def network_of_guest(guest: Participant) -> str:
    """Return the network by which a guest is banned together with its nick; empty if many people share the address.

    A loopback address is shared by all whom a proxy without headers passes on. Of a client for whom a proxy has named
    one, it is not taken either: a ban would reach all who really connect from this machine.
    """
    network = as_network(guest.address)
    return "" if network is None or network.is_loopback else network_of(guest.address)


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

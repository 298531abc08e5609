"""The first owner of a room: the account that was the first to join it, for as long as the room is in use.

A room that everybody has left before anything was said in it is as if it had never been: its owner is forgotten, so
that an account that makes rooms and leaves them does not fill the registry.

Of several people who join a new room at the same moment, at several servers, the registry lets one become its owner:
each change is stored only if the room's rules are still those that it depends on.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from .accounts import Accounts
from .log import Unavailable
from .messages import SERVER
from .registry import Action
from .room import Room, Rooms
from .rules import Account, Change, Role, Rule

_log = Logger("twisted_chat.founding")


class Host(Protocol):
    """The chat, as this module knows it."""

    accounts: Accounts
    rooms: Rooms

    def now(self) -> int:
        """Return the time of day, in milliseconds since 1970."""


class _Changed(Exception):
    """The rules of a room, or its members, are not those that a change depends on any more."""


def has_no_owner_yet(host: Host, room: Room) -> bool:
    """True for a room whose next member becomes its owner: nobody is in it, nothing was said, and it has no rules."""
    return _is_unused(host, room) and not (room.pinned or host.accounts.rules.has_rules(room.name.key))


def _is_unused(host: Host, room: Room) -> bool:
    return not (room.members or host.rooms.count_of(room) or room.log.seq or room.log.topic)


def make_first_owner(host: Host, room: Room, account: Account) -> Deferred[None]:
    """Make an account the owner of a room that is new. Fires once that is in force, or somebody else was faster.

    If the registry cannot store it, the room has no owner.
    """
    action = _action(host, room, account.name.shown, "owner", "a new room")
    rule = Rule(
        room=room.name.key,
        kind="role",
        subject=account.name.key,
        shown=account.name.shown,
        value=Role.OWNER,
        author=SERVER,
        time=action.time,
    )

    def check() -> None:
        if host.accounts.rules.has_rules(rule.room):
            raise _Changed

    acted = host.accounts.registry.act(action, Change((rule,)), check)
    return acted.addCallbacks(_done, _failed)


def forget_first_owner(host: Host, room: Room) -> None:
    """Forget the first owner of a room that nobody is in and in which nothing was said, if it has no other rule."""
    if not _is_unused(host, room):
        return
    rules = host.accounts.rules.of(room.name.key)
    if len(rules) == 1 and rules[0].kind == "role" and rules[0].author == SERVER:
        action = _action(host, room, rules[0].shown, "none", "an empty room")

        def check() -> None:
            open_now = host.rooms.get(room.name.key) or room  # somebody may have opened it again
            if host.accounts.rules.of(room.name.key) != rules or not _is_unused(host, open_now):
                raise _Changed

        acted = host.accounts.registry.act(action, Change(ended=(rules[0].key,)), check)
        acted.addErrback(_failed)


def _action(host: Host, room: Room, target: str, role: str, reason: str) -> Action:
    return Action(
        kind="grant", author=SERVER, room=room.name.key, target=target, value=role, msg=reason, time=host.now()
    )


def _done(_: Action) -> None:
    """Have no result."""


def _failed(failure: Failure) -> None:
    if not failure.check(Unavailable, _Changed):
        _log.failure("The owner of a room could not be stored", failure)

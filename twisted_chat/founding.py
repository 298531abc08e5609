"""The first owner of a room: the account that was the first to join it, for as long as the room is in use.

A room that everybody has left before anything was said in it is as if it had never been: its owner is forgotten, so
that an account that makes rooms and leaves them does not fill the registry.
"""

from __future__ import annotations

from typing import Protocol

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


def make_first_owner(host: Host, room: Room, account: Account) -> Role:
    """Make an account the owner of a room that is new, and return its role: guest where the room is not new.

    The caller does not wait until the role is stored.
    """
    if room.log.seq or room.log.topic or room.pinned or host.accounts.rules.has_rules(room.name.key):
        return Role.GUEST
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
    acted = host.accounts.registry.act(action, Change((rule,)))
    acted.addCallback(lambda _: forget_first_owner(host, room)).addErrback(_failed)
    return Role.OWNER


def forget_first_owner(host: Host, room: Room) -> None:
    """Forget the first owner of a room that nobody is in and in which nothing was said, if it has no other rule."""
    if room.members or host.rooms.count_of(room) or room.log.seq or room.log.topic:
        return
    rules = host.accounts.rules.of(room.name.key)
    if len(rules) == 1 and rules[0].kind == "role" and rules[0].author == SERVER:
        action = _action(host, room, rules[0].shown, "none", "an empty room")
        host.accounts.registry.act(action, Change(ended=(rules[0].key,))).addErrback(_failed)


def _action(host: Host, room: Room, target: str, role: str, reason: str) -> Action:
    return Action(
        kind="grant", author=SERVER, room=room.name.key, target=target, value=role, msg=reason, time=host.now()
    )


def _failed(failure: Failure) -> None:
    if not isinstance(failure.value, Unavailable):
        _log.failure("The owner of a room could not be stored", failure)

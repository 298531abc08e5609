"""Enforcement of the rules: participants that may no longer be in a room, or on the server, are put out.

Every change of the rules is followed, no matter who made it. The participants are examined in a bounded number of steps
per turn: a room may have thousands of members, and nobody else has to wait for the moderator of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from .accounts import Accounts
from .messages import SERVER, Kicked, WireError
from .nicks import Nicks
from .participant import Participant
from .room import Member, Room, Rooms
from .rules import SERVER_WIDE, Change

CHECKS_A_TURN: Final = 64
"""The number of participants that are examined in a share of a turn, as work of one request each."""


class Host(Protocol):
    """The chat, as the enforcement knows it."""

    accounts: Accounts
    nicks: Nicks
    rooms: Rooms

    def now(self) -> int:
        """Return the time of day, in milliseconds since 1970."""

    def leave(self, participant: Participant, member: Member) -> bool:
        """Take a participant out of a room; True if another session of its account is still there."""


def put_out(host: Host, participant: Any, room: Room, author: str, reason: str, asker: Any = None) -> int:
    """Put a participant out of a room, and notify all members except the one who asked for it.

    Returns how many were notified. A bare client that is not a member yet just reads nothing more.
    """
    member = participant.members.pop(room.name.key, None) or room.paced.get(participant)
    if member is None:
        return 0
    is_elsewhere = host.leave(participant, member)
    if not participant.nick.key:
        return 0
    notice = Kicked(author=author, room=room.name.shown, nick=participant.nick.shown, msg=reason)
    participant.put_out(notice)
    return 1 if is_elsewhere else 1 + host.rooms.tell_others(room, notice, asker)


class Enforcement:
    """Puts out participants that may not stay after a change of the rules."""

    flow = ""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: deque[Callable[[], None]] = deque()
        """The participants that have to be examined."""
        self._lined_up = False

    def heard(self, change: Change) -> None:
        """Called with a change of the rules that is in force."""
        host = self._host
        rooms = {rule.room for rule in change.made if rule.kind in ("ban", "lock")}
        rooms |= {key.room for key in change.ended if key.kind in ("role", "invite")}
        for key in rooms:
            if key == SERVER_WIDE:
                self._waiting.extend(partial(self._check_server, one) for one in host.nicks.everybody())
            elif (room := host.rooms.get(key)) is not None:
                self._waiting.extend(partial(self._check_member, one, room) for one in (*room.members, *room.paced))
        if not self._lined_up:
            self.take_turn()

    def take_turn(self) -> int:
        """Examine some participants. Returns the work, in requests."""
        self._lined_up = False
        work = 0
        while self._waiting and work < CHECKS_A_TURN:
            self._waiting.popleft()()
            work += 1
        if self._waiting and not self._lined_up:
            self._lined_up = True
            self._host.rooms.turn.line_up(self, next_turn=True)
        return work

    def _check_server(self, participant: Participant) -> None:
        if not participant.closed:
            try:
                self._host.accounts.rules.check_server(participant, self._host.now())
            except WireError as error:
                participant.turn_away(error)

    def _check_member(self, participant: Any, room: Room) -> None:
        if participant.closed:
            return
        try:
            self._host.accounts.rules.check_entry(participant, room.name, self._host.now())
        except WireError as error:
            put_out(self._host, participant, room, SERVER, error.text)

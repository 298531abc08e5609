"""The gate: every request of every participant on every wire goes through it.

It takes the token that the request costs, and checks that the participant is welcome and has the role that stands
beside the handler in the table. So a handler is called only for a participant that may make the request. `requests/`
has the handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Final, Protocol, TypeVar

import msgspec
from twisted.internet.defer import Deferred

from . import messages, names
from .accounts import Accounts
from .cluster import Cluster
from .limits import AddressBuckets, Limits
from .log import Log, RoomSummary
from .messages import AnyRequest, Asked, Quit, WireError
from .nicks import Nicks
from .participant import HELLO_FIRST, Participant
from .room import Member, Room, Rooms
from .rules import SERVER_WIDE, Account, Role
from .session import Session


class Host(Protocol):
    """The chat, as requests know it."""

    reactor: Any
    limits: Limits
    log: Log
    rooms: Rooms
    new_rooms: AddressBuckets
    """The rooms that may be begun from an address."""
    accounts: Accounts
    nicks: Nicks
    """The nicks of the participants that are welcome."""
    cluster: Cluster
    """The other servers of the same chat."""
    forbidden_nicks: Container[names.Name]
    """The nicks that the one who runs the server forbids."""
    actions: AddressBuckets
    """The actions that the moderators from an address may still take."""
    reports: AddressBuckets
    """The reports that an address may still make."""

    def now(self) -> int:
        """Return the time of day, in milliseconds since 1970."""

    def leave(self, participant: Participant, member: Member) -> bool:
        """Take a participant out of a room; True if another session of its account is still there."""

    def is_double(self, participant: Participant, room: Room) -> bool:
        """True if another session of the same account is in a room, at this server."""

    def operators(self) -> list[Session]:
        """List the sessions of those who run the server."""

    def sessions_of(self, account: Account) -> list[Session]:
        """List the sessions of an account."""

    def check_entry(self, participant: Participant, room: names.Name) -> None:
        """Raise `WireError` unless a participant may enter a room, and so read it."""

    def put_out(self, participant: Any, room: Room, author: str, reason: str, asker: Any = None) -> int:
        """Take a participant out of a room, and tell all who are there; returns how many those are."""

    def list_rooms(self, participant: Participant, kept: list[RoomSummary]) -> list[messages.RoomInfo]:
        """List the rooms with the most members, and those that are kept, of those that a participant may read."""


_Handler = Callable[[Any, Any, Any], "Deferred[None] | None"]
_F = TypeVar("_F", bound=_Handler)


class Row(msgspec.Struct, frozen=True):
    """A request in the table."""

    handler: _Handler
    needs: Role
    """The role that the participant needs; if the request names a room, in that room."""
    checks: bool = False
    """True if it depends on the room, or on more than being a guest, whether the participant may make the request."""


table: dict[type[Asked], Row] = {}

_STRANGER: Final = Role.STRANGER
_VISITOR: Final = Role.VISITOR
_GUEST: Final = Role.GUEST
"""The roles that matter for each request. A name of this module is found in 5 ns, and one of an enum in 60 (Python
3.11)."""


def handle(host: Host, participant: Participant, request: Asked) -> Deferred[None] | None:
    """Check a request and answer it. Raises `WireError`. An unreadable request costs a token, too."""
    kind = type(request)
    if kind is not Quit:
        bucket = participant.bucket
        shared = bucket.shared
        # Nearly always so, and without a call for each message. With the integer 1, it takes twice as long.
        if bucket.tokens >= 1.0 and shared.tokens >= 1.0:
            bucket.tokens -= 1.0
            shared.tokens -= 1.0
        else:
            bucket.take_for_request(host.reactor.seconds())
    row = table[kind]
    if row.needs > participant.standing:
        _rise(host, participant, row.needs)
    if row.checks:
        if row.needs > _GUEST:
            _check_role(host, participant, request, row.needs)
        room = getattr(request, "room", None)
        if room is not None:
            host.check_entry(participant, names.room(room))
    handler = row.handler  # `row.handler(...)` would look for a method in the class first
    return handler(host, participant, request)


def _rise(host: Host, participant: Participant, needs: Role) -> None:
    """Give a participant the standing that it has by now. Raises `WireError` if that is not enough."""
    if not participant.is_welcome:
        raise WireError("not-welcome", HELLO_FIRST)
    has_account = participant.account is not None
    participant.standing = _GUEST if has_account or host.accounts.guests else _VISITOR
    if min(needs, _GUEST) > participant.standing:
        raise WireError("denied", "there are no guests on this server: register your nick, or log in")


def _refuse(host: Host, participant: Participant, error: WireError) -> None:
    raise error.copy()  # the wire may use it for other objects


table[WireError] = Row(_refuse, _STRANGER)


def _check_role(host: Host, participant: Participant, request: Asked, needs: Role) -> None:
    room = getattr(request, "room", None)
    if host.accounts.rules.role(participant.account, names.room(room).key if room else SERVER_WIDE) >= needs:
        return
    if room:
        raise WireError("denied", f"only {needs.name.lower()}s may do this in the room {room}")
    if hasattr(request, "room"):
        raise WireError("denied", "only operators may do this to the whole server: name a 'room'")
    raise WireError("denied", f"only {needs.name.lower()}s may do this here")


def answers(request: type[AnyRequest], needs: Role = Role.GUEST) -> Callable[[_F], _F]:
    """Make a function the handler of a kind of request. It may raise `WireError`, or return a Deferred to wait.

    If a request names a room, the gate checks that the participant may enter it. A message is the exception, for speed:
    its author has to be in the room, and a member that may not be there any more is put out at once.
    """
    has_room = "room" in request.__struct_fields__ and request is not messages.Say

    def register(handler: _F) -> _F:
        table[request] = Row(handler, needs, has_room or needs > _GUEST)
        return handler

    return register

"""The chat: all connections, how they begin and end, and how the server stops."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Container, Generator
from typing import Any, Final

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from . import clock, messages, names, requests
from .accounts import Accounts
from .bare import Bare
from .cluster import STANDALONE, Cluster
from .cluster_listener import ChatListener
from .counters import Counters
from .enforcement import Enforcement, put_out
from .founding import forget_first_owner
from .limits import (
    ACTIONS,
    LEAST_ARRIVALS,
    MAX_REFUSED,
    MAX_REFUSED_OF_ADDRESS,
    MAX_TOPIC,
    REPORTS_PER_HOUR,
    ROOMS_OF_ADDRESS,
    AddressBuckets,
    Limits,
    SessionBucket,
    network_of,
)
from .log import Log, RoomSummary
from .messages import WireError
from .names import NOBODY, Name
from .newcomer import Newcomer
from .nicks import Bearer, Nicks
from .participant import Participant, Wire
from .requests.common import network_of_guest
from .room import TAIL_BYTES, Member, Room, Rooms, Soon
from .rules import Account
from .session import TICK_SECONDS, Session

LOBBY: Final = names.room("lobby")
"""The room that bare clients are in."""

LIST_MANY: Final = 1_000
LIST_SECONDS: Final = 1.0
"""The number of rooms above which their list is made at most once in so many seconds, since all are compared."""

STOP_SECONDS: Final = 2.5
"""Seconds that connections have to take everything written when the server stops. After that, they are aborted."""

ACCOUNT_ENDED: Final = (
    "your account was suspended or removed, or its password was reset: log in again, or ask an operator"
)
"""Why the sessions of an account are ended."""

_log = Logger("twisted_chat.chat")


class Chat:
    """All connections, and the participants at them."""

    def __init__(
        self,
        reactor: Any,
        log: Log,
        accounts: Accounts,
        limits: Limits | None = None,
        soon: Soon | None = None,
        tail_bytes: int = TAIL_BYTES,
        forbidden_nicks: Container[Name] = (),
        cluster: Cluster = STANDALONE,
    ) -> None:
        self.accounts = accounts
        self.accounts.follow(self._end_sessions)
        self.accounts.rules.follow(Enforcement(self).heard)
        self.limits = limits or Limits()
        self.rooms = Rooms(reactor, log, tail_bytes, soon, cluster)
        self.cluster = cluster
        self.log = log
        self.nicks = Nicks()
        self.forbidden_nicks = forbidden_nicks
        self.reactor = reactor
        self._lobby: Room | None = None
        self.wires: set[Wire] = set()
        """All connections."""
        self._networks: Counter[str] = Counter()
        """The number of connections of each network, without those that were refused."""
        self._refused: dict[Wire, str] = {}
        """The refused connections that are told why, with their networks."""
        limits = self.limits
        seconds = reactor.seconds
        at_once = max(LEAST_ARRIVALS, limits.connections_per_address)
        self._arrivals = AddressBuckets(seconds, limits.new_connections, at_once, "new connections")
        self.new_rooms = AddressBuckets(
            seconds,
            limits.new_rooms / 3600 * ROOMS_OF_ADDRESS,
            limits.rooms_per_session * ROOMS_OF_ADDRESS,
            "new rooms",
        )
        self.actions = AddressBuckets(seconds, *ACTIONS, "actions of moderators")
        self.reports = AddressBuckets(seconds, REPORTS_PER_HOUR / 3600, REPORTS_PER_HOUR, "reports")
        self._address_requests = AddressBuckets(seconds, limits.address_rate, limits.address_burst)
        self._next_tick: IDelayedCall | None = None
        self.access_log: Callable[[Wire], object] | None = None
        """Called with each connection that has ended."""
        self.is_open = False
        """True once connections can come from everywhere where the server listens."""
        self.stopping = False
        """True once the server stops: requests are ignored, and new connections are refused."""
        self._stopped: Deferred[None] | None = None
        self._largest: list[Room] = []
        self._largest_until = 0.0
        """The rooms with the most members that were found last, and the time until which they are used again."""

    @property
    def counters(self) -> Counters:
        return self.rooms.counters

    # Connections

    def start(self) -> Deferred[None]:
        """Get ready for connections. Fails with `Unavailable`."""
        self.cluster.follow(ChatListener(self))
        return self.rooms.open(LOBBY).addCallback(self._started)

    def _started(self, lobby: Room) -> None:
        lobby.pinned = True
        self._lobby = lobby

    def connected(self, wire: Wire, ready: bool = True) -> None:
        """Called with a new connection. Sets `wire.participant`.

        A connection that is not `ready` counts as one, and its time runs only from `begin` on.
        """
        wire.traffic.began = self.reactor.seconds()
        self.counters.connected[wire.kind] += 1
        self._add(wire)
        if ready:
            self.begin(wire)
        if self._next_tick is None:
            self._next_tick = self.reactor.callLater(TICK_SECONDS, self._tick_all)

    def _add(self, wire: Wire) -> None:
        assert self._lobby
        network = network_of(wire.address)
        refusal = self._refusal(network, wire.address)
        if refusal is None:
            self._networks[network] += 1
            self._arrivals.take(wire.address)
        else:
            self.counters.turned_away[refusal.code] += 1
            self._refused[wire] = network
        self.wires.add(wire)
        bucket = SessionBucket(self.limits, self.reactor.seconds(), self._address_requests.find(wire.address))
        may_be_bare = self.limits.bare and wire.may_be_bare
        wire.participant = Newcomer(self, wire, bucket, self._lobby, may_be_bare, refusal)

    def upgraded(self, wire: Wire, kind: str, address: str) -> None:
        """Called when a connection goes on as one of another kind. A proxy may have named the client's address.

        For another address, it gets another participant, which has not begun yet.
        """
        self.counters.connection_ended(wire.kind, wire.traffic)
        self.counters.connected[kind] += 1
        wire.kind = kind
        if address != wire.address:
            wire.participant.lost()
            self._remove(wire)
            wire.address = address
            self._add(wire)

    def begin(self, wire: Wire) -> None:
        """Called when a new connection can send objects."""
        if isinstance(wire.participant, Newcomer):
            wire.participant.begin()

    def admits(self, address: str) -> bool:
        """False for a new connection that is closed without a word: enough others are being told why they are refused.

        Asked before anything else is done for a connection, such as a TLS handshake.
        """
        network = network_of(address)
        of_network = sum(network == other for other in self._refused.values())
        told = len(self._refused) < MAX_REFUSED and (of_network < MAX_REFUSED_OF_ADDRESS or not network)
        if told or self._refusal(network, address) is None:
            return True
        self.counters.turned_away["silently"] += 1
        return False

    def _refusal(self, network: str, address: str) -> WireError | None:
        """The reason why one more connection of a network cannot stay."""
        limits = self.limits
        if len(self.wires) - len(self._refused) >= limits.connections:
            return WireError("full", "the server has all the connections it can take: try again later")
        if network and self._networks[network] >= limits.connections_per_address:
            return WireError("full", "there are too many connections from your address: end one first")
        try:
            self.accounts.rules.check_address(address, self.now())
        except WireError as ban:
            return ban.with_traceback(None)  # whose frames refer to the connection
        return self._arrivals.refusal(network)

    def disconnected(self, wire: Wire) -> None:
        """Called when a connection has ended."""
        wire.participant.lost()
        if self.access_log is not None:
            self.access_log(wire)
        self.counters.connection_ended(wire.kind, wire.traffic)
        self._remove(wire)
        self._check_stopped()

    def _remove(self, wire: Wire) -> None:
        self.wires.discard(wire)
        if self._refused.pop(wire, None) is None:
            network = network_of(wire.address)
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]

    def _tick_all(self) -> None:
        self._next_tick = None
        for wire in tuple(self.wires):
            wire.participant.tick()
        if self.wires:
            self._next_tick = self.reactor.callLater(TICK_SECONDS, self._tick_all)

    def stop(self, why: str) -> Deferred[None]:
        """Append and ack all messages so far, and send everybody the reason. Fires when all connections have ended."""
        self._stopped = Deferred()
        self.stopping = True
        deadline = self.reactor.callLater(STOP_SECONDS, self._cut_all)
        self.rooms.settled().addCallback(lambda _: self._send_away(why))
        return self._stopped.addCallback(lambda _: _cancel(deadline, self._next_tick))

    def _send_away(self, why: str) -> None:
        for wire in tuple(self.wires):
            wire.participant.end(why, cause="stopping")
        self._check_stopped()

    def _cut_all(self) -> None:
        for wire in tuple(self.wires):
            wire.abort()

    def _check_stopped(self) -> None:
        if self._stopped is not None and not self.wires and not self._stopped.called:
            self._stopped.callback(None)

    def list_rooms(self, participant: Participant, kept: list[RoomSummary]) -> list[messages.RoomInfo]:
        """Return the rooms with the most members and then, up to a page, those that only the log has.

        Only rooms that the participant may read are there, and the others take no place from them.
        """
        locked = [room for key in self.accounts.rules.locked if (room := self.rooms.get(key)) is not None]
        topics = {known.name.key: known.topic for known in kept}
        rooms = [(known.name, 0, known.topic) for known in kept]
        rooms += [(name, count, topics.get(name.key, "")) for name, count in self.cluster.occupied()]
        here = [room for room in (*self._largest_open(), *locked) if room.count]
        rooms += [(room.name, self.rooms.count_of(room), room.log.topic) for room in here]
        infos = {
            name.key: messages.RoomInfo(name.shown, count, topic)
            for name, count, topic in rooms
            if self.may_enter(participant, name)
        }
        return sorted(infos.values(), key=lambda info: (-info.count, info.room))[: messages.MAX_PAGE]

    def _largest_open(self) -> list[Room]:
        """Return the rooms with the most members of those that are not locked, up to a page."""
        now = self.reactor.seconds()
        if now >= self._largest_until:
            occupied = [room for room in self.rooms.occupied() if room.name.key not in self.accounts.rules.locked]
            self._largest = heapq.nsmallest(messages.MAX_PAGE, occupied, lambda room: (-room.count, room.name.shown))
            if len(occupied) > LIST_MANY:
                self._largest_until = now + LIST_SECONDS
        return self._largest

    # Participants

    @inlineCallbacks
    def name_bare(self, bare: Bare, label: str) -> Generator[Deferred[int], int, Name]:
        """Give a bare client a nick, made of the label of its wire. Fails with `Unavailable`."""
        number = 0
        while True:
            number += 1
            text = f"{label}-{number}" if number > 1 else label
            name = Name(text, text)
            # A guest may have taken it, or one that looks like it, or a client of another address has the same port.
            if self._is_borne(name):
                continue
            try:
                yield self.cluster.claim(name, False, None, network_of_guest(bare))
            except WireError:  # somebody at another server bears it
                continue
            if bare.closed or self._is_borne(name):  # meanwhile
                self.cluster.release(name)
                if bare.closed:
                    raise WireError("not-welcome", "the connection has ended")
                continue
            self.nicks.add(name, bare)
            bare.since = self.now()
            return name

    def _is_borne(self, name: Name) -> bool:
        return name.key in self.nicks or self.nicks.is_like_another(name, NOBODY)

    def gone(self, participant: Bearer, farewell: str = "") -> None:
        """Take a participant out of its rooms, and give up its nick."""
        nick = participant.nick
        if not self.nicks.remove(participant):
            return
        members, participant.members = participant.members, {}
        for member in members.values():
            is_elsewhere = self.leave(participant, member)
            if self._stopped is not None or is_elsewhere:
                continue  # where the server stops, all go, and each one hears that from the server
            notice = messages.MemberLeft(author=nick.shown, room=member.room.name.shown)
            if farewell and self._may_speak(participant, member.room):
                notice.msg = farewell[:MAX_TOPIC]
            self.rooms.announce_departure(member.room, notice, participant)
        self.cluster.release(nick)

    def _may_speak(self, participant: Bearer, room: Room) -> bool:
        try:
            self.accounts.rules.check_speech(participant, room.name.key, self.now)
        except WireError:
            return False
        return True

    def leave(self, participant: Participant, member: Member) -> bool:
        """Take a participant out of a room; True if nobody is told, since another session of its account is there.

        That session may be at another server.
        """
        room = member.room
        self.rooms.leave(member)
        forget_first_owner(self, room)
        if names.is_direct(room.name.key):
            return True  # nobody is told
        is_double = self.is_double(participant, room)
        room.doubles -= is_double
        if not is_double and self.cluster.is_member(room.name.key, participant.nick.key):
            left = messages.MemberLeft(author=participant.nick.shown, room=room.name.shown)
            self.rooms.note_silently(room, left)
            return True
        return is_double

    def is_double(self, participant: Participant, room: Room) -> bool:
        """True if another session of the same account is in a room, at this server."""
        if participant.account is None:
            return False
        bearers = self.nicks.bearers(participant.nick.key)
        return any(bearer is not participant and room.name.key in bearer.members for bearer in bearers)

    def operators(self) -> list[Session]:
        """Return the sessions of operators."""
        return [session for key in self.accounts.rules.operators for session in self._sessions(key)]

    def sessions_of(self, account: Account) -> list[Session]:
        """Return the sessions of an account."""
        return self._sessions(account.name.key)

    def _sessions(self, key: str) -> list[Session]:
        bearers = self.nicks.bearers(key)
        return [bearer for bearer in bearers if isinstance(bearer, Session) and bearer.account is not None]

    def _end_sessions(self, key: str) -> None:
        """Called when the sessions of an account have to end. The account is given by its key."""
        for session in self._sessions(key):
            session.turn_away(WireError("auth-failed", ACCOUNT_ENDED))

    # Rules

    def now(self) -> int:
        """Return the time of day, in milliseconds since 1970."""
        return clock.milliseconds(self.reactor)

    def check_entry(self, participant: Participant, room: Name) -> None:
        """Raise `WireError` unless a participant may enter a room, and so read it."""
        rules = self.accounts.rules
        if rules.has_rules(room.key):
            rules.check_entry(participant, room, self.now())

    def may_enter(self, participant: Participant, room: Name) -> bool:
        """True if a participant may enter a room, and so read it and know of it."""
        rules = self.accounts.rules
        return not rules.has_rules(room.key) or rules.may_enter(participant, room.key, self.now())

    put_out = put_out

    # Requests

    handle = requests.handle


def _cancel(*calls: IDelayedCall | None) -> None:
    for call in calls:
        if call is not None and call.active():
            call.cancel()

"""The rules of rooms and of the server: who may enter, speak, and moderate.

All rules in force are in memory, so that the gate decides at once. The registry stores them, loads them at the start,
and passes on every change, no matter which server made it (`Rules.apply`). The *subject* of a rule is the key of a
nick, which is also that of an account, or an address or a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

import msgspec
from twisted.logger import Logger

from .limits import network_of
from .messages import WireError, time_text
from .names import NOBODY, Name, skeleton

SERVER_WIDE: Final = ""
"""The room of a rule that is about the whole server: no room has this key."""

_log = Logger("twisted_chat.rules")
_K = TypeVar("_K")
_V = TypeVar("_V")
_W = TypeVar("_W")

LONG_SECONDS: Final = 24 * 60 * 60
"""The longest `retry` for somebody who is muted, since the mute may be lifted at any time."""

_ABOUT_GUESTS: Final = frozenset(("ban", "mute"))
"""The kinds of rules that also apply to guests who look like the subject, or have its address."""

FEW_RULES: Final = 64
"""The number of rules of a room below which those that are over are not looked for: most rooms never have so many."""

MAX_SPOKEN: Final = 4_096
"""The number of entries of slow mode above which expired ones are forgotten: few rooms have so many speakers."""


class Role(IntEnum):
    """What somebody may do. Each role may do what those before it may, and more.

    The numbers are stored, and never change: there are gaps for roles that come later.
    """

    STRANGER = 0
    """Has not said hello, and may do nothing else."""
    VISITOR = 5
    """Has a nick, on a server without guests: may register."""
    GUEST = 10
    """Has a nick."""
    MEMBER = 20
    """Is known in a room: may enter it when it is locked."""
    MODERATOR = 30
    """Keeps the peace in a room."""
    OWNER = 40
    """Names the moderators of a room."""
    OPERATOR = 50
    """Runs the server: an owner everywhere, who is refused nothing."""


class Account(msgspec.Struct, frozen=True):
    """A nick that belongs to one person, who has a password for it."""

    name: Name
    created: int = 0
    """The time of its creation, in milliseconds since 1970. Earlier messages under this nick are somebody else's."""


class Person(Protocol):
    """Somebody about whom a decision is made."""

    @property
    def nick(self) -> Name: ...

    @property
    def account(self) -> Account | None: ...

    @property
    def address(self) -> str:
        """The address by which this connection is counted; empty if it has none."""

    @property
    def since(self) -> int:
        """When this connection got its nick (milliseconds since 1970)."""


RuleKind = Literal["role", "ban", "mute", "lock", "slow", "invite"]


class RuleKey(NamedTuple):
    """The identity of a rule: a new rule with the same key takes the place of the old one."""

    room: str
    """The key of the room, or `SERVER_WIDE`."""
    kind: RuleKind
    subject: str
    """The key of a nick, an address or a network; empty if the rule is about everybody in the room."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule that is in force. Many of them stay in memory, and the garbage collector does not examine them."""

    room: str
    kind: RuleKind
    subject: str = ""
    shown: str = ""
    """The subject as it was written."""
    address: str = ""
    """The network (`limits.network_of`) of a guest at the time of its ban or mute: guests from there are concerned as
    well, and somebody with an account is not."""
    value: int = 1
    """The role, or the seconds of slow mode."""
    until: int | None = None
    """The end of the rule, in milliseconds since 1970; None if it has none."""
    msg: str = ""
    """The reason."""
    author: str = ""
    time: int = 0
    """Milliseconds since 1970."""

    @property
    def key(self) -> RuleKey:
        return RuleKey(self.room, self.kind, self.subject)

    def is_over(self, now: int) -> bool:
        """True once the rule has ended; `now` is in milliseconds since 1970."""
        return self.until is not None and self.until <= now


class Change(msgspec.Struct, frozen=True):
    """A change of the rules."""

    made: tuple[Rule, ...] = ()
    ended: tuple[RuleKey, ...] = ()


_Prefix = tuple[int, int]
"""The version of IP, and the number of bits that the addresses of a network have in common."""


_NOTHING: Final[Any] = MappingProxyType({})
"""An index without entries, which all rooms share until they need one of their own."""


class _RoomRules:
    """The rules of one room, or of the server.

    Most rooms have one rule, their owner. With a million of these, each index that is empty would take 80 MB.
    """

    __slots__ = ("_guests", "_looks", "_networks", "by_key", "roles", "slow", "spoken", "sweep_at")

    def __init__(self) -> None:
        self.by_key: dict[RuleKey, Rule] = {}
        self.sweep_at = FEW_RULES
        """The number of rules at which those that are over are looked for next."""
        self.roles: dict[str, Role] = {}
        """The roles of accounts, by their keys."""
        self.slow = 0
        """Seconds between two messages of one member."""
        self.spoken: dict[str, int] = _NOTHING
        """While slow mode is on, the time of everybody's last message, in milliseconds since 1970. The keys are those
        of accounts and nicks, and the networks of guests with an `@` in front."""
        self._guests: dict[tuple[RuleKind, str], dict[RuleKey, None]] = _NOTHING
        """The rules about guests of an address."""
        self._looks: dict[tuple[RuleKind, str], dict[RuleKey, None]] = _NOTHING
        """The rules about a nick, by its skeleton: a guest can take another nick within a second."""
        self._networks: dict[_Prefix, dict[int, RuleKey]] = _NOTHING
        """The bans of addresses and networks, by prefix and first address: a search examines each prefix once."""

    def set(self, rule: Rule) -> None:
        key = rule.key
        self.unset(key)
        self.by_key[key] = rule
        if rule.kind == "role":
            self.roles[rule.subject] = Role(rule.value)
        elif rule.kind == "slow":
            self.slow = rule.value
            self.spoken = {}
        if rule.address:
            self._guests = _added(self._guests, (rule.kind, rule.address), key, None)
        if rule.kind in _ABOUT_GUESTS:
            self._looks = _added(self._looks, (rule.kind, _look(rule)), key, None)
        if rule.kind == "ban" and (network := as_network(rule.subject)) is not None:
            prefix = network.version, network.prefixlen
            self._networks = _added(self._networks, prefix, int(network.network_address), key)

    def unset(self, key: RuleKey) -> None:
        rule = self.by_key.pop(key, None)
        if rule is None:
            return
        if key.kind == "role":
            del self.roles[key.subject]
        elif key.kind == "slow":
            self.slow = 0
            self.spoken = _NOTHING
        if rule.address:
            _discard(self._guests, (key.kind, rule.address), key)
        if key.kind in _ABOUT_GUESTS:
            _discard(self._looks, (key.kind, _look(rule)), key)
        if key.kind == "ban" and (network := as_network(key.subject)) is not None:
            _discard(self._networks, (network.version, network.prefixlen), int(network.network_address))

    def find(self, room: str, kind: RuleKind, person: Person, now: int) -> Rule | None:
        """Find the rule of a kind that concerns a person, by its nick, its account or its address."""
        for key in self._keys(room, kind, person):
            rule = self.by_key.get(key)
            if rule is not None and not rule.is_over(now) and (kind != "invite" or _is_invited(person, rule.time)):
                return rule
        if kind in _ABOUT_GUESTS and person.address:
            for key in self._guests.get((kind, network_of(person.address)), ()):
                rule = self.by_key[key]
                is_new = person.account is None or person.account.created > rule.time  # whoever is banned may register
                if is_new and not rule.is_over(now):
                    return rule
        return None

    def _keys(self, room: str, kind: RuleKind, person: Person) -> Iterator[RuleKey]:
        yield RuleKey(room, kind, person.nick.key)
        if person.account is not None:
            yield RuleKey(room, kind, person.account.name.key)
        elif kind in _ABOUT_GUESTS and person.nick is not NOBODY:
            yield from self._looks.get((kind, skeleton(person.nick.shown)), ())
        if kind == "ban":
            yield from self.networks_of(person.address)

    def networks_of(self, text: str) -> Iterator[RuleKey]:
        """Find the bans of an address, or of a network that it is in."""
        if self._networks and (address := as_network(text)) is not None:
            bits = int(address.network_address)
            for (version, length), networks in self._networks.items():
                if version == address.version:
                    host_bits = address.max_prefixlen - length
                    key = networks.get(bits >> host_bits << host_bits)
                    if key is not None:
                        yield key


def _is_invited(person: Person, time: int) -> bool:
    """True if somebody with an invited nick had it at the time of the invitation, or an account with it."""
    return person.since <= time or (person.account is not None and person.account.created <= time)


def _look(rule: Rule) -> str:
    return skeleton(rule.shown or rule.subject)


def _added(index: dict[_K, dict[_V, _W]], key: _K, inner: _V, value: _W) -> dict[_K, dict[_V, _W]]:
    """Add to an index of indexes, and return it, or a new one in place of the one that all rooms share."""
    if index is _NOTHING:
        index = {}
    index.setdefault(key, {})[inner] = value
    return index


def _discard(index: dict[_K, dict[_V, Any]], key: _K, value: _V) -> None:
    """Remove a value from an index, and its key with the last one."""
    del index[key][value]
    if not index[key]:
        del index[key]


_NO_RULES: Final = _RoomRules()


class Rules:
    """All rules that are in force. `operators` are the keys of the accounts of those who run the server."""

    def __init__(self, operators: Iterable[str] = ()) -> None:
        self.operators = frozenset(operators)
        self.rooms: dict[str, _RoomRules] = {}
        """The rules of each room that has any, by its key. Most rooms have none."""
        self.locked: set[str] = set()
        """The keys of the rooms that are locked."""
        self._followers: list[Callable[[Change], object]] = []

    def follow(self, heard: Callable[[Change], object]) -> None:
        """Call `heard` with each change once it is in force."""
        self._followers.append(heard)

    def apply(self, change: Change) -> None:
        """Put a change that is stored into force."""
        for key in change.ended:
            rules = self.rooms.get(key.room)
            if rules is not None:
                rules.unset(key)
                if not rules.by_key:
                    del self.rooms[key.room]
            if key.kind == "lock":
                self.locked.discard(key.room)
        for rule in change.made:
            self.rooms.setdefault(rule.room, _RoomRules()).set(rule)
            if rule.kind == "lock":
                self.locked.add(rule.room)
        for heard in self._followers:
            try:
                heard(change)
            except Exception:  # the change is stored and in force
                _log.failure("A change of the rules could not be followed")

    def forget_over(self, room: str, now: int) -> tuple[RuleKey, ...]:
        """Forget the rules of a room that are over, and return their keys; do nothing as long as there are few rules.

        They have no effect any more, so nobody is called. Otherwise bans of one second each would fill the memory. They
        are looked for each time that the number of rules has doubled, so that each rule costs the same on average.
        """
        rules = self.rooms.get(room)
        if rules is None or len(rules.by_key) < rules.sweep_at:
            return ()
        over = tuple(key for key, rule in rules.by_key.items() if rule.is_over(now))
        for key in over:
            rules.unset(key)
        rules.sweep_at = max(FEW_RULES, 2 * len(rules.by_key))
        if not rules.by_key:
            del self.rooms[room]
        return over

    # Rights

    def role(self, account: Account | None, room: str = SERVER_WIDE) -> Role:
        """Return the role of somebody in a room, given by its key."""
        if account is None:
            return Role.GUEST
        key = account.name.key
        if key in self.operators:
            return Role.OPERATOR
        rules = self.rooms.get(room)
        return Role.GUEST if rules is None else rules.roles.get(key, Role.GUEST)

    def check_entry(self, person: Person, room: Name, now: int) -> None:
        """Raise `WireError` (`banned`, `denied`) unless somebody may enter a room, and so read it.

        `now` is in milliseconds since 1970.
        """
        bar = self._bar(person, room.key, now)
        if bar is None:
            return
        if bar.kind == "ban":
            raise _banned(bar, f"from the room {room.shown}")
        raise WireError("denied", f"the room {room.shown} is locked: ask one of its moderators for an invitation")

    def may_enter(self, person: Person, room: str, now: int) -> bool:
        """True if somebody may enter a room, given by its key, and so read it."""
        return self._bar(person, room, now) is None

    def _bar(self, person: Person, room: str, now: int) -> Rule | None:
        """Return the rule that keeps somebody out of a room: a ban, or its lock."""
        rules = self.rooms.get(room)
        if rules is None:
            return None
        role = self.role(person.account, room)
        if role is Role.OPERATOR:
            return None
        ban = rules.find(room, "ban", person, now)
        if ban is not None:
            return ban
        lock = rules.by_key.get(RuleKey(room, "lock", "")) if role < Role.MEMBER else None
        return None if lock is None or rules.find(room, "invite", person, now) is not None else lock

    def check_server(self, person: Person, now: int) -> None:
        """Raise `WireError` (`banned`) if somebody may not be on this server at all."""
        rules = self.rooms.get(SERVER_WIDE, _NO_RULES)
        if self.role(person.account) is not Role.OPERATOR:
            ban = rules.find(SERVER_WIDE, "ban", person, now)
            if ban is not None:
                raise _banned(ban, "from this server")

    def check_address(self, address: str, now: int) -> None:
        """Raise `WireError` (`banned`) if nobody from an address may be on this server."""
        rules = self.rooms.get(SERVER_WIDE, _NO_RULES)
        for key in rules.networks_of(address):
            if not (ban := rules.by_key[key]).is_over(now):
                raise _banned(ban, "from this server")

    def check_speech(self, person: Person, room: str, now: Callable[[], int]) -> None:
        """Raise `WireError` (`rate-limited`) if a member may not speak in a room now. Otherwise count it as a message.

        `now` returns milliseconds since 1970. It is not called for a room without rules.
        """
        rules = self.rooms.get(room)
        if rules is None or self.role(person.account, room) >= Role.MODERATOR:
            return
        time = now()
        mute = rules.find(room, "mute", person, time)
        if mute is not None:
            left = LONG_SECONDS if mute.until is None else min(LONG_SECONDS, (mute.until - time) / 1000)
            until = "" if mute.until is None else f" until {time_text(mute.until)}"
            raise WireError("rate-limited", f"you are muted in this room{until}{_reason(mute)}", retry=left)
        if rules.slow:
            who = person.nick.key if person.account is None else person.account.name.key
            network = f"@{network_of(person.address)}"
            spoken = rules.spoken.get(who, 0)
            if person.account is None and time - person.since < rules.slow * 1000:
                spoken = max(spoken, rules.spoken.get(network, 0))  # it may have said something under another nick
            left = (spoken - time) / 1000 + rules.slow
            if left > 0:
                text = f"this room is slow: one message in {rules.slow} s; try again in {left:.0f} s"
                raise WireError("rate-limited", text, retry=left)
            if len(rules.spoken) >= MAX_SPOKEN:
                rules.spoken = {one: at for one, at in rules.spoken.items() if time - at < rules.slow * 1000}
            rules.spoken[who] = time
            if person.account is None:
                rules.spoken[network] = time

    def check_topic(self, person: Person, room: Name) -> None:
        """Raise `WireError` (`denied`) unless somebody may set the topic of a room.

        In a room that somebody keeps order in, its topic is its sign: a stranger must not write on it what all who come
        read first. In a room without an owner or a moderator, nobody is there to set it for others.
        """
        rules = self.rooms.get(room.key)
        if rules is None or self.role(person.account, room.key) >= Role.MEMBER:
            return
        if any(role >= Role.MODERATOR for role in rules.roles.values()):
            raise WireError("denied", f"only members of the room {room.shown} may set its topic: ask a moderator")

    def may_change_nick(self, person: Person, room: str, now: Callable[[], int]) -> bool:
        """False for a guest who is muted in a room that it is in: under another nick it would not be."""
        rules = self.rooms.get(room)
        return rules is None or rules.find(room, "mute", person, now()) is None

    def rename(self, old: str, new: str, room: str) -> None:
        """Note that a guest who is in a room has another nick now, for slow mode."""
        rules = self.rooms.get(room)
        if rules is not None and old in rules.spoken:
            rules.spoken[new] = rules.spoken[old]

    # Rules in force

    def in_force(self, room: str, kind: RuleKind, now: int) -> list[Rule]:
        """List the rules of a kind in a room, by their subjects."""
        rules = self.rooms.get(room, _NO_RULES)
        return sorted(
            (rule for rule in rules.by_key.values() if rule.kind == kind and not rule.is_over(now)),
            key=lambda rule: rule.subject,
        )

    def of(self, room: str) -> list[Rule]:
        """List all rules of a room, expired ones included."""
        return list(self.rooms.get(room, _NO_RULES).by_key.values())

    def __iter__(self) -> Iterator[Rule]:
        """Iterate over all known rules, expired ones included."""
        for rules in self.rooms.values():
            yield from rules.by_key.values()

    def get(self, key: RuleKey) -> Rule | None:
        """Return a rule by its key, even if it has expired."""
        return self.rooms.get(key.room, _NO_RULES).by_key.get(key)

    def has_rules(self, room: str) -> bool:
        """True if there is a rule about a room, which means that it has an owner."""
        return room in self.rooms


def as_network(subject: str) -> IPv4Network | IPv6Network | None:
    """Read an address or a network; None if it is neither. IPv4 within IPv6 is IPv4 (RFC 4291, section 2.5.5.2)."""
    try:
        network = ip_network(subject, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return IPv4Network((int(network.network_address.ipv4_mapped), network.prefixlen - 96))
    return network


def network_text(network: IPv4Network | IPv6Network) -> str:
    """Return the subject of a ban of a network, or of an address: there is one text for each."""
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)


def _banned(ban: Rule, where: str) -> WireError:
    until = "" if ban.until is None else f" until {time_text(ban.until)}"
    return WireError("banned", f"you are banned {where}{until}{_reason(ban)}", until=ban.until)


def _reason(rule: Rule) -> str:
    return f": {rule.msg}" if rule.msg else ""

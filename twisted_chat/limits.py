"""Rates and counts, of a session and of an address.

Each limit is a number with a name and its reason. `for_clients` returns those that clients learn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil, inf
from typing import Final, NoReturn
from weakref import WeakValueDictionary

import msgspec

from . import messages, names
from .messages import WireError

MAX_ERRORS: Final = 100
"""The number of errors in a row after which a connection is ended: it does not speak this protocol."""

NOT_ITS_FAULT: Final = frozenset(("rate-limited", "unavailable", "full"))
"""The codes of errors that do not count: the same request may succeed later."""

MAX_WAITING: Final = 64
"""The number of requests of one participant that wait for their turn. At this number, reading from it stops. A client
over UDP may have as many in flight."""

MAX_WAITING_BYTES: Final = 2**16
"""The number of bytes of requests that wait for their turn, as received: as many as one read of a socket returns."""

MAX_UNSETTLED: Final = 2**18
"""The characters of the messages of one participant that are being appended. At this number, reading from it stops. A
log that is slow for once must not fill the memory: this is 1 MB at most."""

ENTRY_CHARACTERS: Final = 512
"""The characters that a message counts for in addition, for the objects that it consists of."""

QUANTUM: Final = 64
"""The work of one participant in one turn of the reactor, in requests of some 10 microseconds. Then others have their
turn. A client over UDP may have as many requests in flight. A kilobyte of a request counts as one more, and so do two
kilobytes of an answer, and notices to 20 others."""

WORK_A_TURN: Final = 256
"""The work of one turn, in requests, before participants with more have to line up: 3 ms, for which everybody waits."""

FULL_TURN: Final = 1024
"""Work of one turn after which what comes is not even looked at, but lines up: 12 ms. A thousand connections that send
at the same moment would otherwise make a turn of a second, with only their least quantum each."""

LEAST_QUANTUM: Final = 8
"""The work that everybody may cause in any turn: a person, or a hello with a join, never waits behind a flood."""

MAX_OWED: Final = 2**16
"""The number of bytes of answers that a session has not read, or that are written in this turn. At this number, its
next request waits."""

MAX_OWN: Final = 2**14
"""The number of messages that a session may send to a room without reading from it. Each takes 8 bytes of memory."""

MAX_TOPIC: Final = 256
"""The maximum number of characters of a topic or farewell: a long line, so that a list of rooms stays readable."""

TOLD: Final = 20
"""The number of notices to others that cost one more token, since they are as much work as one more request. They are
counted over all rooms, and the price is rounded up."""

TOKEN_BYTES: Final = 4096
"""Bytes of a request that cost one more token, so that a message of 16 kB costs as much as five short ones. At the
usual rate, an address writes 4 MB/s to the disk at most, and not 16."""

ROOMS_OF_ADDRESS: Final = 4
"""The rooms that one address may begin, as a multiple of those of one session: 100,000 rooms take it ten days."""

ANSWER_BYTES: Final = 2**14
"""Bytes of an answer that cost one more token: a page of history of 256 kB takes 17, as it takes 1 to 3 ms. At the
usual rate a session is answered with 3 MB/s."""

PART: Final = 0.25
"""The price of a read that completes no object, beside that of its bytes: a line that never ends, blank lines and
single bytes are not free. An object of 16 kB that comes in twelve segments costs twice as much as in one."""

REFUSALS: Final = 3
"""Requests that are refused when the tokens are used up, so that the client knows why it is slow, and how long. After
these, requests wait and nothing is read: a refusal costs as much as what it refuses."""

CALM_SECONDS: Final = 10.0
"""Seconds below the limit after which the next requests beyond it are refused again."""

REST_SECONDS: Final = 0.1
"""The least time for which nothing is read from a session that has used up its tokens: at the usual rate it then has 20
of them, so that few of a flood's requests are refused, and reading is seldom stopped for one token."""

MAX_REST_SECONDS: Final = 1.0
"""The longest time for which nothing is read from it, even if it owes more tokens: the end of a connection has to be
noticed."""

FAN_OUT: Final = 2**17
"""Characters of a message and `BESIDE_TEXT`, times the members that it is for, that cost one more token: 0.1 ms of
work. A message of 100 characters costs no more up to 650 members, and one of 16 kB to 1,000 members 125 tokens, since
it is 16 MB."""

BESIDE_TEXT: Final = 100
"""The bytes of a message beside its text, as members get it: its room, author, number and time."""

MEMBERS: Final = 50
"""The number of members of a room that a `who` examines for one more token: 15 microseconds of work."""

MESSAGES: Final = 10
"""The number of messages of a page of history that cost one more token: to read and write them is as much work as one
request."""

LOOK_UP: Final = 4
"""The price of a wait for the store or the registry, beside that of the request: 0.1 ms, some of it in a thread.
Requests wait for a room that is not open, older messages, and the list of rooms. What they would wait for may be there
at once, as a nick that an index finds; then it costs no tokens, and is as much work of the turn."""

OWN_RATE: Final = 2.0
OWN_BURST: Final = 12
"""Requests/s, and at once, that a session may always send, whatever others of its address have used up: a person in an
office in which some program floods talks on, and a new one gets in."""

TAKEN_AHEAD: Final = 8
"""Tokens that a session takes in advance of an address that has none. Sessions get theirs in the order in which they
asked; fewer at a time would mean more timers than requests."""

LEAST_ARRIVALS: Final = 100
"""New connections that may come at once from an address, however few it may have at a time: one that comes and goes."""

MAX_ADDRESSES: Final = 2**14
"""The number of addresses that are remembered for each kind of bucket: 4 MB. Somebody with more addresses has so many
buckets that it makes no difference if some are forgotten."""

MAX_REFUSED: Final = 32
MAX_REFUSED_OF_ADDRESS: Final = 4
"""The number of refused connections, in all and of one address, that are told why. More are closed without a word,
before a TLS handshake: each takes one of the files that the process may open, and the store and the log need some,
too."""

ACTIONS: Final = (1.0, 200)
"""Actions of moderators from one address, per second in the long run, and at once: an operator who clears up after a
raid has 200 at once. Everybody who makes a room is its moderator, and each action stays in the audit log, with at most
1.3 kB: one address adds at most 110 MB a day."""

REPORTS_PER_HOUR: Final = 10
"""Reports of one address, and as many at once: operators read each one."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that options set."""

    rate: float = 200.0
    """Requests/s of one session, in the long run: a hundred times what a person does, and a busy bridge's. 0 is no
    limit."""
    burst: int = 2_000
    """Requests that one session may send at once: a paste, or what gathered while its connection was away."""
    address_rate: float = 1_000.0
    """Requests/s of all sessions of one address: five busy bridges, or an office of a thousand in which everybody says
    something each second. It is a twentieth of what the server can do, so that it takes twenty addresses, and not one
    with many connections, to keep it busy. 0 is no limit."""
    address_burst: int = 10_000
    """Requests that they may send at once: after a restart all of an office come back, each with its hello, and a join
    for each of its rooms. It is 0.2 s of work."""
    connections: int = 100_000
    """Connections in all; the process's limit of open files may be lower."""
    connections_per_address: int = 1_000
    """Connections of one address: a school or an office behind one. So many may also come at once."""
    new_connections: float = 20.0
    """New connections/s of one address, in the long run. A TLS handshake takes 1 to 2 ms, so that this is 4 % of a
    processor at most. 0 is no limit."""
    bare: bool = True
    """True if bare clients are served."""
    rooms_per_session: int = 500
    """Rooms that one session may be in: each costs memory while it is."""
    members: int = 10_000
    """Members of one room: a message to so many takes 60 ms, for which everybody else waits."""
    rooms: int = 100_000
    """Rooms in all that have messages or a topic, or somebody in them: 2 kB of memory each while it is open."""
    new_rooms: float = 100.0
    """Rooms that one session may begin in an hour, in the long run; at once, as many as it may be in, since rooms in
    which nothing was said have to be begun again after a restart. 0 is no limit."""

    def for_clients(self) -> dict[str, int]:
        """Return the limits for the `welcome`."""
        return {
            "object": messages.MAX_OBJECT,
            "id": messages.MAX_ID,
            "topic": MAX_TOPIC,
            "page": messages.MAX_PAGE,
            "nick": names.MAX_NICK,
            "room": names.MAX_ROOM,
            "rooms": self.rooms_per_session,
            "burst": self.burst,
            "rate": int(self.rate),
        }


_TRANSLATED: Final = ip_network("64:ff9b::/96")
"""The IPv6 addresses that stand for IPv4 addresses behind a translator (RFC 6052)."""


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """The network by which an address is counted: an IPv4 address alone, an IPv6 address with its /64.

    A customer with IPv6 has a /64 at least, and may use a new address for each connection (RFC 8981). IPv6 addresses
    that stand for IPv4 addresses count as these. A text that is not an address is returned as it is; the empty text
    means no address.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip in _TRANSLATED:
        return str(ip_address(int(ip) & 0xFFFFFFFF))
    return f"{IPv6Address(int(ip) >> 64 << 64)}/64"


def is_loopback(address: str) -> bool:
    """True for an address that only programs of this machine have: 127.0.0.0/8 and ::1, also written as IPv6."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped.is_loopback
    return ip.is_loopback


def flow_of(address: str, label: str) -> str:
    """Return the flow of a connection for fair queues: its network, or its label if it has no address."""
    return network_of(address) or label


class Bucket:
    """A token bucket: `burst` tokens at once, and `rate` tokens/s in the long run. A rate of 0 is no limit."""

    __slots__ = ("__weakref__", "_at", "burst", "rate", "tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = self.tokens = float(burst) if rate else inf
        self._at = now

    def refill(self, now: float) -> None:
        """Add the tokens that have come since the last call."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self._at) * self.rate)
        self._at = now

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; 0 if there is one."""
        if self.tokens < 1:
            self.refill(now)
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) / self.rate

    def take(self, now: float) -> float:
        """Take a token if there is one. Returns the same as `wait`."""
        wait = self.wait(now)
        if not wait:
            self.tokens -= 1
        return wait


class Buckets:
    """A table of token buckets, one for each key, for one kind of request.

    A request that costs more than others takes a token here, after the checks that cost nothing and before the work:

        self.new_tokens = Buckets(reactor.seconds, rate=10 / 3600, burst=10, what="new tokens", whose="your account")
        …
        self.new_tokens.take(account.name.key)  # raises `WireError`, which the gate answers

    An empty key has no limit. The number of entries is bounded: a bucket that is full again is forgotten, and if there
    are `most` of them, the one that was used least recently.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        rate: float,
        burst: float,
        what: str = "",
        most: int = MAX_ADDRESSES,
        whose: str = "your address",
    ) -> None:
        """`rate` is in tokens/s, and 0 no limit. The error says `what` there were too many of, and of whom."""
        self._clock = clock
        self.rate = rate
        self.burst = burst
        self.what = what
        self._whose = whose
        self._most = most
        self._buckets: WeakValueDictionary[str, Bucket] = WeakValueDictionary()
        """All buckets that sessions hold, by their keys."""
        self._recent: dict[str, Bucket] = {}
        """The remembered buckets, which may not be full again. The one used least recently comes first."""

    def __len__(self) -> int:
        return len(self._recent)

    def counted(self, key: str) -> str:
        """Return the key by which a key is counted."""
        return key

    def find(self, key: str) -> Bucket:
        """Return the bucket of a key: the same one while a session holds it, or it is not full again."""
        now = self._clock()
        key = self.counted(key)
        if not (key and self.rate):
            return Bucket(0, 0, now)
        bucket = self._buckets.get(key) or Bucket(self.rate, self.burst, now)
        self._buckets[key] = bucket
        self._recent.pop(key, None)
        self._recent[key] = bucket
        self._forget_some(now)
        return bucket

    def take(self, key: str) -> None:
        """Take a token of a key. Raises `WireError` (`rate-limited`, with `retry`) if there is none."""
        if wait := self.find(key).take(self._clock()):
            raise self.error(wait)

    def give_back(self, key: str) -> None:
        """Give a token back, which turned out not to be needed."""
        bucket = self.find(key)
        bucket.tokens = min(bucket.burst, bucket.tokens + 1)

    def refusal(self, key: str) -> WireError | None:
        """Return the error that `take` would raise now, without taking a token."""
        bucket = self._buckets.get(self.counted(key))
        wait = 0.0 if bucket is None else bucket.wait(self._clock())
        return self.error(wait) if wait else None

    def error(self, wait: float) -> WireError:
        """Return the error for a request without a token, given the seconds until there is one."""
        text = f"there were too many {self.what} from {self._whose}: try again in {duration(wait)}"
        return WireError("rate-limited", text, retry=_retry(wait))

    def _forget_some(self, now: float) -> None:
        """Examine the two that were used least recently: each call adds one at most, so that they become fewer."""
        for _ in range(2):
            key, bucket = next(iter(self._recent.items()))
            bucket.refill(now)
            is_needed = bucket.tokens < bucket.burst and len(self._recent) <= self._most
            if is_needed or len(self._recent) == 1:
                break
            del self._recent[key]


class AddressBuckets(Buckets):
    """A table of token buckets, one for each address, which is counted by its `network_of`.

    An empty address, as of a Unix socket, has no limit.
    """

    def counted(self, key: str) -> str:
        return network_of(key)


class SessionBucket(Bucket):
    """The tokens of a session: its own, and those that it shares with all sessions of its address.

    A session whose address has no tokens has a few requests of its own (`OWN_RATE`), and then waits for its turn among
    the others of the address: it takes tokens that are still to come, and the time of the last one is its turn.
    """

    __slots__ = ("_ahead", "_ahead_from", "_limited_at", "_own", "_refusals", "_rooms", "shared")

    def __init__(self, limits: Limits, now: float, shared: Bucket | None = None) -> None:
        super().__init__(limits.rate, limits.burst, now)
        self.shared = shared or Bucket(0, 0, now)
        self._own: Bucket | None = None
        """The tokens that nobody else of its address can use up; made once the address has none."""
        self._ahead = 0
        """The tokens that it has taken of its address in advance, and the time from which it may use them."""
        self._ahead_from = 0.0
        self._rooms: Bucket | None = None
        """The bucket of the rooms that it may make; made with the first one."""
        self._refusals = 0
        self._limited_at = -inf

    def change(self, limits: Limits) -> None:
        """Use other limits from now on, since the account is known."""
        spent = self.burst - self.tokens if self.rate else 0.0
        self.rate = limits.rate
        self.burst = float(limits.burst) if limits.rate else inf
        self.tokens = self.burst - spent

    def take_for_request(self, now: float) -> None:
        """Take one token, of those that have come up to now. Raises `RateLimited` if there is none."""
        shared = self.shared
        self.refill(now)
        shared.refill(now)
        if self.tokens < 1:
            self._limit((1 - self.tokens) / self.rate, now, f"{self.rate:g} requests a second are served")
        if shared.tokens >= 1:
            shared.tokens -= 1
        elif self._ahead and now >= self._ahead_from:
            self._ahead -= 1
        elif not self._take_own(now):
            if not self._ahead:
                shared.tokens -= TAKEN_AHEAD
                self._ahead, self._ahead_from = TAKEN_AHEAD, now - shared.tokens / shared.rate
            text = f"{shared.rate:g} requests a second are served from your address"
            self._limit(self._ahead_from - now, now, text)
        self.tokens -= 1

    def _take_own(self, now: float) -> bool:
        """Take one of its own tokens. False if there is none."""
        if self._own is None:
            self._own = Bucket(OWN_RATE, OWN_BURST, now)
        return not self._own.take(now)

    def _limit(self, seconds: float, now: float, served: str) -> NoReturn:
        if now - self._limited_at > CALM_SECONDS:
            self._refusals = 0
        self._limited_at = now
        self._refusals += 1
        raise RateLimited(seconds, served, is_told=self._refusals <= REFUSALS)

    def take_for_room(self, limits: Limits, now: float) -> None:
        """Take a token for a new room. Raises `WireError`."""
        if self._rooms is None:
            self._rooms = Bucket(limits.new_rooms / 3600, limits.rooms_per_session, now)
        if wait := self._rooms.take(now):
            text = f"you have begun too many rooms: try again in {duration(wait)}"
            raise WireError("rate-limited", text, retry=_retry(wait))

    def take_for_part(self, price: float, clock: Callable[[], float]) -> float:
        """Charge for a read without a request. Returns the seconds for which nothing more should be read."""
        self.charge(price)
        shared = self.shared
        if self.tokens >= 0 and shared.tokens >= 0:
            return 0.0
        now = clock()
        self.refill(now)
        shared.refill(now)
        if self.tokens < 0:
            return -self.tokens / self.rate
        return 0.0 if shared.tokens >= 0 or self._take_own(now) else -shared.tokens / shared.rate

    def charge(self, price: float) -> None:
        """Charge the session for the work of a request, even beyond its tokens. Its address is charged, too.

        An address owes its burst at most, so that it is served again soon after a flood.
        """
        self.tokens -= price
        if self._own is not None:
            self._own.tokens -= price
        shared = self.shared
        shared.tokens = max(shared.tokens - price, -shared.burst)


def price_of_part(size: int) -> float:
    """Return the price of so many bytes that complete no request."""
    return PART + size / TOKEN_BYTES


def price_of_telling(told: int) -> int:
    """Return the price of notices to so many others, in tokens and in work."""
    return -(-told // TOLD)


class RateLimited(WireError):
    """A request found no token. After `seconds`, it is served."""

    def __init__(self, seconds: float, served: str, is_told: bool) -> None:
        self.seconds = _retry(max(REST_SECONDS, seconds))
        self.is_told = is_told
        """False if the request waits until then instead of being refused."""
        super().__init__(
            "rate-limited", f"that is too fast: {served}; try again in {self.seconds:g} s", retry=self.seconds
        )


def _retry(seconds: float) -> float:
    """Round the time before a client may ask again, at least half a millisecond up."""
    return round(seconds + 0.001, 3)


def duration(seconds: float) -> str:
    """Return a time to wait for people, rounded up: `12 s`, `5 min`, `2 h`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds > 2 * size:
            return f"{ceil(seconds / size)} {unit}"
    return f"{max(1, ceil(seconds))} s"

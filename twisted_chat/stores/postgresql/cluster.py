"""The servers that share a database; see `cluster.Cluster`.

Each server has a lease, which it renews with each check. Nicks and members of a server without a lease do
not count. A nick is claimed in the database before it is taken. Everything else is queued, and stored and told to the
others with the next statement; they hear of it by a notification. `presence.py` is the memory for what they hear.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ... import clock, names
from ...cluster import ClusterCondition, ClusterListener, Elsewhere, digest_of
from ...log import Unavailable
from ...messages import Kicked, MemberJoined, MemberLeft, NickChanged, Reply, WireError, decode_reply, encode
from ...names import Name
from .database import Connection, Database, fetch
from .news import Event, News
from .presence import Presence, Whereabouts
from .text import from_sql, to_sql

BODY_BYTES: Final = 6_000
"""Bytes of the events that one notification carries; it takes 8,000."""

MOST_QUEUED: Final = 10_000
"""Events that wait while the database is away, some 5 MB. The later ones are lost, and who is where is announced."""

CLOCK_SECONDS: Final = 5.0
"""Seconds by which the clock of this machine may differ from that of the database without a warning. Machines whose
clocks are set by NTP differ by milliseconds; five seconds make a difference for the times of messages and of bans."""

LEASE_SECONDS: Final = 10.0
"""Seconds for which the others count the people of a server that does not renew its lease. It is renewed every second,
and this leaves time for three attempts on hosts that do not answer."""

_log = Logger("twisted_chat.stores.postgresql")
_encode = msgspec.json.encode


class _Claim(msgspec.Struct):
    """A nick that is borne at this server, or is being claimed for it."""

    name: Name
    account: bool
    token: bytes | None
    network: str
    count: int = 0
    """The number of its bearers, and of the claims under way."""
    number: int = 0
    """The number of the last claim that was answered: later claims, at whatever server, have larger ones."""
    taken: tuple[int, bytes] = 0, b""
    """The number of the last claim here that was lost to another server, and the hash of the token."""


class PostgreSQLCluster:
    """The other servers of the cluster, as the database knows them."""

    def __init__(self, database: Database, server: str, reactor: Any) -> None:
        self._database = database
        self._reactor = reactor
        self.server = server
        self._listener: ClusterListener = ClusterListener()
        self._claims: dict[str, _Claim] = {}
        self._presence = Presence(server)
        self.count = self._presence.count
        self.is_member = self._presence.is_member
        self.occupied = self._presence.occupied
        self._queue: deque[Event] = deque()
        """The events that were not told yet."""
        self._moved: dict[tuple[str, str], tuple[str, str | None]] = {}
        """The members that were not stored yet, as in `Presence.here`, without a name if they have left."""
        self._is_publishing = False
        self._is_closed = False
        self._has_to_announce = False
        """True if the database may not know who is here."""
        self._listens_on: Connection | None = None
        self._servers = 1
        """The number of servers that were alive at the last check."""
        self._beat_at = reactor.seconds()
        """When the lease was renewed last, by the reactor's clock."""
        self._clock_ahead = 0.0
        self._has_warned = False
        """True once the log has a warning about the clock, until the clock is right again."""

    def start(self) -> None:
        """Begin to hear of others."""
        self._database.follow(self._told, self._check)

    def follow(self, listener: ClusterListener) -> None:
        self._listener = listener

    def condition(self) -> ClusterCondition:
        return ClusterCondition(self._servers, self._reactor.seconds() - self._beat_at, self._clock_ahead)

    # Nicks

    def claim(self, nick: Name, is_account: bool, token: str | None, network: str) -> Deferred[int]:
        digest = None if token is None else digest_of(token)
        claiming = self._database.run(self._claim(nick, is_account, digest, network))
        return claiming.addCallback(self._check_claim, nick, digest)

    def _check_claim(self, answer: tuple[int, int], nick: Name, digest: bytes | None) -> int:
        """Check that a claim, given by its answer, was not lost before the session that claims was there to be ended.

        This is called in the same step as what follows a claim: what is heard later finds the session.
        """
        elsewhere, number = answer
        last_taken, token = self._claims[nick.key].taken
        if token == digest and number <= last_taken:
            self.release(nick)
            raise WireError("nick-taken", "a new connection of yours has taken this nick at another server")
        return elsewhere

    async def _claim(self, nick: Name, is_account: bool, digest: bytes | None, network: str) -> tuple[int, int]:
        """Claim a nick. Returns the number of its sessions at other servers, and the number of the claim."""
        look = names.skeleton(nick.shown)
        # It counts before it is stored: a release or an announcement that is under way must not forget it.
        claim = self._claims.setdefault(nick.key, _Claim(nick, is_account, digest, network))
        claim.count += 1
        stored = is_account, claim.count
        row = self.server, nick.key, nick.shown, look, is_account, digest, network, claim.count
        work = fetch("SELECT * FROM claim($1, $2, $3, $4, $5, $6, $7, $8)", *row)
        is_new = is_account and self._presence.follow(nick.key)
        try:
            ((reason, elsewhere, number),) = await self._database.attempt(work)
            if reason == "alike":
                raise WireError("nick-taken", "this nick looks like that of somebody else: take one that differs more")
            if reason:
                raise WireError("nick-taken", "somebody else has this nick: take another one")
            if is_new and elsewhere:
                await self._read_places(nick.key)
        except BaseException:
            self.release(nick)
            raise
        claim.account = claim.account or is_account
        claim.number = max(claim.number, number)
        if stored != (claim.account, claim.count):
            self._store(nick.key)
        return elsewhere, number

    async def _read_places(self, nick: str) -> None:
        """Read in which rooms an account is at other servers."""
        with self._presence.reading():
            for place in await self._database.attempt(fetch(_PLACES, self.server, [nick])):
                self._presence.found(Whereabouts(*place))
        self._tell_counts()

    def registered(self, nick: Name) -> None:
        claim = self._claims.get(nick.key)
        if claim is not None:
            claim.account = True
            self._presence.follow(nick.key)
            self._store(nick.key)

    def release(self, nick: Name) -> None:
        claim = self._claims.get(nick.key)
        if claim is None:
            return
        claim.count -= 1
        if claim.count:
            self._store(nick.key)
            return
        del self._claims[nick.key]
        self._presence.unfollow(nick.key)
        self._database.run(self._release(nick.key)).addErrback(self._failed)

    async def _release(self, key: str) -> None:
        work = fetch("DELETE FROM nick WHERE key = $1 AND server = $2", key, self.server)
        await self._database.attempt(work)
        if key in self._claims:  # it is claimed again, and its row may have gone
            self._has_to_announce = True

    def _store(self, key: str) -> None:
        self._database.run(self._store_claim(key)).addErrback(self._failed)

    async def _store_claim(self, key: str) -> None:
        """Store what has changed of a claim.

        Statements take effect in any order. So each that has stored what is no longer true stores again what is.
        """
        sql = "UPDATE nick SET account = $3, sessions = $4 WHERE key = $1 AND server = $2"
        stored = None
        while (claim := self._claims.get(key)) is not None and stored != (claim.account, claim.count):
            stored = claim.account, claim.count
            await self._database.attempt(fetch(sql, key, self.server, *stored))

    def find(self, nick: str) -> Deferred[Elsewhere | None]:
        return self._database.run(self._find(nick))

    async def _find(self, nick: str) -> Elsewhere | None:
        sql = "SELECT name, key, network, account FROM nicks_elsewhere($1) WHERE key = $2 LIMIT 1"
        for name, key, network, account in await self._database.attempt(fetch(sql, self.server, nick)):
            return Elsewhere(Name(name, key), network, account)
        return None

    # Members

    def members(self, room: str) -> Deferred[list[Name]]:
        return self._database.run(self._members_of(room))

    async def _members_of(self, room: str) -> list[Name]:
        work = fetch("SELECT DISTINCT ON (key) name, key FROM members_elsewhere($1) WHERE room = $2", self.server, room)
        return [Name(name, key) for name, key in await self._database.attempt(work)]

    # Telling others

    def publish(self, room: Name, notice: Reply, count: int, is_told: bool = True) -> None:
        for nick, name in _moves(notice):
            self._move(room, names.author(nick).key, name)
        if isinstance(notice, MemberLeft) and not is_told:
            self._presence.left_untold(room.key, names.author(notice.author).key, notice)
        count = self._presence.own_count(room, count)
        reply = encode(notice).decode()
        self._send(
            Event("notice", self.server, room=room.key, shown=room.shown, count=count, reply=reply, is_told=is_told)
        )

    def _move(self, room: Name, key: str, name: str | None) -> None:
        self._presence.moved_here(room, key, name)
        self._moved.pop((room.key, key), None)
        self._moved[room.key, key] = room.shown, name

    def _tell_counts(self) -> None:
        """Tell others which rooms have another count now: accounts here have come to another server, or left it."""
        for room, count in self._presence.take_recounted():
            self._send(Event("count", self.server, room=room.key, shown=room.shown, count=count))

    def hand_over(self, nick: Name, reply: Reply) -> None:
        self._send(Event("reply", self.server, nick=nick.key, reply=encode(reply).decode()))

    def report(self, notice: Reply, seq: int) -> None:
        self._send(Event("report", self.server, count=seq, reply=encode(notice).decode()))

    def kick(self, room: str, nick: Name, author: str, reason: str) -> None:
        self._send(Event("kick", self.server, room=room, nick=nick.key, author=author, msg=to_sql(reason)))

    def _send(self, event: Event) -> None:
        if len(self._queue) >= MOST_QUEUED:
            self._has_to_announce = True
            return
        self._queue.append(event)
        if not self._is_publishing:
            self._is_publishing = True
            self._database.run(self._publish()).addErrback(self._failed)

    async def _publish(self) -> None:
        """Tell what is queued, in order, until nothing is."""
        try:
            while self._queue:
                bodies = self._take_bodies()
                moved, self._moved = self._moved, {}
                rooms, keys = [room for room, _ in moved], [key for _, key in moved]
                shown, members = [room for room, _ in moved.values()], [name for _, name in moved.values()]
                sql = "SELECT publish($1, $2, $3, $4, $5, $6)"
                await self._database.attempt(fetch(sql, self.server, bodies, rooms, shown, keys, members))
        finally:
            self._is_publishing = False

    def _take_bodies(self) -> list[str]:
        """Take the events from the queue, as the bodies of notifications."""
        bodies: list[str] = []
        events: list[Event] = []
        size = 0
        while self._queue:
            event = self._queue.popleft()
            length = len(_encode(event))
            if events and size + length > BODY_BYTES:
                bodies.append(_encode(News(events=events)).decode())
                events, size = [], 0
            events.append(event)
            size += length
        bodies.append(_encode(News(events=events)).decode())
        return bodies

    def _failed(self, failure: Any) -> None:
        self._has_to_announce = True
        if not failure.check(Unavailable):
            _log.failure("Other servers could not be told; who is here is announced to them again", failure)

    # Hearing of others

    def _told(self, news: News) -> None:
        for event in news.events:
            try:
                self._hear(event)
            except Exception:
                _log.failure("What another server has told could not be passed on")
        if news.look:
            self._listens_on = None  # the next check looks at everybody

    def _hear(self, event: Event) -> None:
        listener = self._listener
        if event.kind == "notice":
            self._hear_notice(event, decode_reply(event.reply.encode()))
        elif event.kind == "count":
            self._presence.heard_count(Name(event.shown, event.room), event.server, event.count)
        elif event.kind == "reply":
            listener.reply_heard(event.nick, decode_reply(event.reply.encode()))
        elif event.kind == "report":
            listener.report_heard(decode_reply(event.reply.encode()), event.count)
        elif event.kind == "kick":
            listener.kick_heard(event.room, event.nick, event.author, from_sql(event.msg))
        elif event.kind == "taken":
            if event.server == self.server:
                self._hear_taken(event.nick, event.count, bytes.fromhex(event.msg))
        elif event.server == self.server:
            self._has_to_announce = True  # it may have become an account's here meanwhile
            listener.nick_lost(event.nick)

    def _hear_taken(self, nick: str, number: int, digest: bytes) -> None:
        """Note that the claims of a nick up to a number are lost, to a session with the same token elsewhere."""
        claim = self._claims.get(nick)
        if claim is None:
            return
        claim.taken = number, digest
        # A guest may have come back meanwhile. An account has sessions with other tokens, too, that have claimed later.
        if claim.account or claim.number <= number:
            self._listener.nick_taken(nick, digest)

    def _hear_notice(self, event: Event, notice: Reply) -> None:
        presence, room = self._presence, Name(event.shown, event.room)
        presence.heard_count(room, event.server, event.count)
        for nick, name in _moves(notice):
            where = Whereabouts(names.author(nick).key, room.key, event.server)
            presence.heard_move(where, name is not None)
            if name is None and (untold := presence.heard_departure(where, event.is_told)) is not None:
                self._listener.notice_heard(room.key, untold)
                self._send(
                    Event(
                        "notice",
                        self.server,
                        room=room.key,
                        shown=room.shown,
                        count=event.count,
                        reply=encode(untold).decode(),
                    )
                )
        self._tell_counts()
        if event.is_told:
            self._listener.notice_heard(room.key, notice)

    def direct_heard(self, log: Name, first: int) -> None:
        """Pass on that a log of direct messages that is not open here has new ones."""
        self._listener.direct_heard(log, first)

    async def _check(self, connection: Connection) -> None:
        """Renew the lease, and look for servers that have begun or ended, and for what was missed."""
        if self._is_closed:
            return
        sql = "SELECT beat($1, $2), extract(epoch FROM clock_timestamp())::float8, oldest FROM store"
        ((is_known, time, oldest),) = await connection.fetch(sql, self.server, LEASE_SECONDS)
        self._database.check_version(oldest)
        self._beat_at = self._reactor.seconds()
        self._check_clock(time)
        if self._has_to_announce or not is_known:
            await self._announce(connection)
        rows = await connection.fetch("SELECT server::text FROM lease WHERE until > now()")
        alive = {server for (server,) in rows}
        self._servers = len(alive)
        for server in self._presence.servers() - alive:
            await self._server_gone(connection, server)
        if self._listens_on is not connection:
            self._listens_on = connection
            await self._look(connection)

    def _check_clock(self, time: float) -> None:
        """Compare the clock of this machine with that of the database, in seconds since 1970."""
        self._clock_ahead = clock.milliseconds(self._reactor) / 1000 - time
        is_wrong = abs(self._clock_ahead) > CLOCK_SECONDS
        if is_wrong and not self._has_warned:
            _log.warn(
                "the clock of this machine differs from that of the database by {seconds:+.0f} s: set both by NTP, or "
                "the times of messages and the ends of bans are wrong",
                seconds=self._clock_ahead,
            )
        self._has_warned = is_wrong

    async def _announce(self, connection: Connection) -> None:
        """Announce all who are here."""
        self._has_to_announce = False
        self._moved.clear()
        claims = list(self._claims.values())
        here = self._presence.here
        row = (
            self.server,
            [claim.name.key for claim in claims],
            [claim.name.shown for claim in claims],
            [names.skeleton(claim.name.shown) for claim in claims],
            [claim.account for claim in claims],
            [claim.token for claim in claims],
            [claim.network for claim in claims],
            [claim.count for claim in claims],
            [room for room, _ in here],
            [shown for shown, _ in here.values()],
            [key for _, key in here],
            [name for _, name in here.values()],
        )
        try:
            lost = await connection.fetch("SELECT announce($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", *row)
        except BaseException:
            self._has_to_announce = True
            raise
        for (key,) in lost:
            self._listener.nick_lost(key)

    async def _look(self, connection: Connection) -> None:
        """Read who is at other servers."""
        accounts = [key for key, claim in self._claims.items() if claim.account]
        with self._presence.reading():
            counts = await connection.fetch(_COUNTS, self.server)
            places = await connection.fetch(_PLACES, self.server, accounts)
            self._presence.found_all(
                ((Name(shown, room), server, count) for room, shown, server, count in counts),
                (Whereabouts(*place) for place in places),
            )
        self._tell_counts()

    async def _server_gone(self, connection: Connection, server: str) -> None:
        """Tell the members here that those at a server that is dead, and at no other one, have left."""
        rows = await connection.fetch(_ONLY_THERE, server)
        self._presence.forget_server(server)
        self._tell_counts()
        for key, shown, name in rows:
            self._listener.notice_heard(key, MemberLeft(author=name, room=shown))

    # The end

    def close(self) -> Deferred[None]:
        return self._database.run(self._close())

    async def _close(self) -> None:
        self._is_closed = True
        sql = "WITH ended AS (UPDATE lease SET until = now() WHERE server = $1) SELECT tell('{\"look\": true}')"
        await self._database.attempt(fetch(sql, self.server), patience=0)


def _moves(notice: Reply) -> Iterator[tuple[str, str | None]]:
    """Yield the nicks that enter or leave a room by a notice: a nick, and its name in the room, None if it leaves."""
    if isinstance(notice, MemberJoined):
        yield notice.author, notice.author
    elif isinstance(notice, MemberLeft):
        yield notice.author, None
    elif isinstance(notice, Kicked):
        yield notice.nick, None
    elif isinstance(notice, NickChanged):
        yield notice.author, None
        yield notice.nick, notice.nick


# A member counts at one server: at the one with the smallest identity, as in `Presence`.
_COUNTS: Final = """
SELECT room, min(shown), server::text, count(*) FILTER (WHERE NOT EXISTS (
    SELECT FROM member AS o JOIN lease AS l ON l.server = o.server AND l.until > now()
    WHERE o.room = m.room AND o.key = m.key AND o.server < m.server
))
FROM members_elsewhere($1) AS m GROUP BY room, server"""

_PLACES: Final = "SELECT key, room, server::text FROM members_elsewhere($1) WHERE key = ANY ($2)"

_ONLY_THERE: Final = """
SELECT room, shown, name FROM member AS m WHERE server = $1 AND NOT EXISTS (
    SELECT FROM member AS o JOIN lease AS l ON l.server = o.server AND l.until > now()
    WHERE o.room = m.room AND o.key = m.key AND o.server <> m.server
) ORDER BY room, key"""

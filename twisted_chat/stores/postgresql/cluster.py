"""The servers that share a database; see `cluster.Cluster`.

Each server has a lease of ten seconds, which it renews every second. Nicks and members of a server without a lease do
not count. A nick is claimed in the database before it is taken. Everything else is queued, and stored and told to the
others with the next statement; they hear of it by a notification.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ... import names
from ...cluster import ClusterListener, NoListener
from ...log import Unavailable
from ...messages import Kicked, MemberJoined, MemberLeft, Message, NickChanged, Reply, WireError, decode_reply, encode
from ...names import Name
from .database import Connection, Database, fetch
from .news import Event, News
from .text import from_sql, to_sql

BODY_BYTES: Final = 6_000
"""Bytes of the events that one notification carries; it takes 8,000."""

MOST_QUEUED: Final = 10_000
"""Events that wait while the database is away, some 5 MB. The later ones are lost, and who is where is announced."""

_log = Logger("twisted_chat.stores.postgresql")
_encode = msgspec.json.encode


class _Claim(msgspec.Struct):
    """A nick that is borne at this server."""

    name: Name
    account: bool
    token: bytes | None
    count: int = 0
    """The number of its bearers."""


class PostgreSQLCluster:
    """The other servers of the cluster, as the database knows them."""

    def __init__(self, database: Database, server: str) -> None:
        self._database = database
        self.server = server
        self._listener: ClusterListener = NoListener()
        self._claims: dict[str, _Claim] = {}
        self._members: dict[tuple[str, str], tuple[str, str]] = {}
        """The members of rooms at this server, by the keys of room and nick, with the names of both."""
        self._queue: deque[Event] = deque()
        """The events that were not told yet."""
        self._moved: dict[tuple[str, str], tuple[str, str | None]] = {}
        """The members that were not stored yet, as in `_members`, without a name if they have left."""
        self._is_publishing = False
        self._is_closed = False
        self._has_to_announce = False
        """True if the database may not know who is here."""
        self._elsewhere: dict[str, dict[str, int]] = {}
        """The number of members of each room at each other server."""
        self._heard_last: dict[tuple[str, str], tuple[Name, int]] = {}
        """The numbers that were heard of since the last look at the database began, by room and server."""
        self._rooms: dict[str, Name] = {}
        """The names of these rooms, by their keys."""
        self._listens_on: Connection | None = None

    def start(self) -> None:
        """Begin to hear of others."""
        self._database.follow(self._told, self._check)

    def follow(self, listener: ClusterListener) -> None:
        self._listener = listener

    # Nicks

    def claim(self, nick: Name, is_account: bool, token: str | None) -> Deferred[None]:
        return self._database.run(self._claim(nick, is_account, token))

    async def _claim(self, nick: Name, is_account: bool, token: str | None) -> None:
        digest = None if token is None else sha256(token.encode()).digest()
        look = names.skeleton(nick.shown)
        row = self.server, nick.key, nick.shown, look, is_account, digest
        work = fetch("SELECT claim($1, $2, $3, $4, $5, $6)", *row)
        ((reason,),) = await self._database.attempt(work)
        if reason == "alike":
            raise WireError("nick-taken", "this nick looks like that of somebody else: take one that differs more")
        if reason:
            raise WireError("nick-taken", "somebody else has this nick: take another one")
        self._claims.setdefault(nick.key, _Claim(nick, is_account, digest)).count += 1

    def release(self, nick: Name) -> None:
        claim = self._claims.get(nick.key)
        if claim is None:
            return
        claim.count -= 1
        if not claim.count:
            del self._claims[nick.key]
            self._database.run(self._release(nick.key)).addErrback(self._failed)

    async def _release(self, key: str) -> None:
        work = fetch("DELETE FROM nick WHERE key = $1 AND server = $2", key, self.server)
        await self._database.attempt(work)
        if key in self._claims:  # somebody has taken it meanwhile
            self._has_to_announce = True

    def find(self, nick: str) -> Deferred[Name | None]:
        return self._database.run(self._find(nick))

    async def _find(self, nick: str) -> Name | None:
        work = fetch("SELECT name, key FROM nicks_elsewhere($1) WHERE key = $2 LIMIT 1", self.server, nick)
        rows = await self._database.attempt(work)
        return Name(*rows[0]) if rows else None

    # Members

    def count(self, room: str) -> int:
        return sum(self._elsewhere.get(room, {}).values())

    def occupied(self) -> Iterable[tuple[Name, int]]:
        return [(self._rooms[room], count) for room in self._elsewhere if (count := self.count(room))]

    def members(self, room: str) -> Deferred[list[Name]]:
        return self._database.run(self._members_of(room))

    async def _members_of(self, room: str) -> list[Name]:
        work = fetch("SELECT DISTINCT ON (key) name, key FROM members_elsewhere($1) WHERE room = $2", self.server, room)
        return [Name(name, key) for name, key in await self._database.attempt(work)]

    # Telling others

    def publish(self, room: Name, notice: Reply, count: int) -> None:
        if isinstance(notice, MemberJoined):
            self._move(room, notice.author, notice.author)
        elif isinstance(notice, MemberLeft):
            self._move(room, notice.author, None)
        elif isinstance(notice, Kicked):
            self._move(room, notice.nick, None)
        elif isinstance(notice, NickChanged):
            self._move(room, notice.author, None)
            self._move(room, notice.nick, notice.nick)
        self._send(Event("notice", room=room.key, shown=room.shown, count=count, reply=encode(notice).decode()))

    def _move(self, room: Name, nick: str, name: str | None) -> None:
        where = room.key, names.author(nick).key
        if name is None:
            self._members.pop(where, None)
        else:
            self._members[where] = room.shown, name
        self._moved.pop(where, None)
        self._moved[where] = room.shown, name

    def hand_over(self, nick: Name, message: Message) -> None:
        self._send(Event("message", nick=nick.key, reply=encode(message).decode()))

    def kick(self, room: str, nick: Name, author: str, reason: str) -> None:
        self._send(Event("kick", room=room, nick=nick.key, author=author, msg=to_sql(reason)))

    def _send(self, event: Event) -> None:
        if len(self._queue) >= MOST_QUEUED:
            self._has_to_announce = True
            return
        event.server = self.server
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
        except BaseException:
            self._has_to_announce = True
            raise
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
        if not failure.check(Unavailable):
            _log.failure("Other servers could not be told; who is here is announced to them again", failure)

    # Hearing of others

    def _told(self, news: News) -> None:
        for event in news.events:
            self._hear(event)
        if news.look:
            self._listens_on = None  # the next check looks at everybody

    def _hear(self, event: Event) -> None:
        listener = self._listener
        if event.kind == "notice":
            room = Name(event.shown, event.room)
            self._heard_last[event.room, event.server] = room, event.count
            self._set_count(room, event.server, event.count)
            listener.notice_heard(event.room, decode_reply(event.reply.encode()))
        elif event.kind == "message":
            message = decode_reply(event.reply.encode())
            assert isinstance(message, Message)
            listener.message_heard(event.nick, message)
        elif event.kind == "kick":
            listener.kick_heard(event.room, event.nick, event.author, from_sql(event.msg))
        elif event.server == self.server:
            listener.nick_taken(event.nick)

    def direct_heard(self, log: Name, first: int) -> None:
        """Pass on that a log of direct messages that is not open here has new ones."""
        self._listener.direct_heard(log, first)

    def _set_count(self, room: Name, server: str, count: int) -> None:
        self._rooms[room.key] = room
        servers = self._elsewhere.setdefault(room.key, {})
        if count:
            servers[server] = count
        else:
            servers.pop(server, None)
        if not servers:
            del self._elsewhere[room.key], self._rooms[room.key]

    async def _check(self, connection: Connection) -> None:
        """Renew the lease, and look for servers that have begun or ended, and for what was missed."""
        if self._is_closed:
            return
        is_known = await connection.fetchval("SELECT beat($1)", self.server)
        if self._has_to_announce or not is_known:
            await self._announce(connection)
        rows = await connection.fetch("SELECT server::text FROM lease WHERE until > now()")
        alive = {server for (server,) in rows}
        dead = {server for servers in self._elsewhere.values() for server in servers} - alive
        for server in dead:
            await self._server_gone(connection, server)
        if self._listens_on is not connection:
            self._listens_on = connection
            await self._look(connection)

    async def _announce(self, connection: Connection) -> None:
        """Announce all who are here."""
        self._has_to_announce = False
        self._moved.clear()
        claims = list(self._claims.values())
        lost = await connection.fetch(
            "SELECT announce($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            self.server,
            [claim.name.key for claim in claims],
            [claim.name.shown for claim in claims],
            [names.skeleton(claim.name.shown) for claim in claims],
            [claim.account for claim in claims],
            [claim.token for claim in claims],
            [room for room, _ in self._members],
            [shown for shown, _ in self._members.values()],
            [key for _, key in self._members],
            [name for _, name in self._members.values()],
        )
        for (key,) in lost:
            self._listener.nick_lost(key)

    async def _look(self, connection: Connection) -> None:
        """Count the members at other servers."""
        sql = "SELECT room, min(shown), server::text, count(*) FROM members_elsewhere($1) GROUP BY room, server"
        self._heard_last = {}
        rows = await connection.fetch(sql, self.server)
        self._elsewhere.clear()
        self._rooms.clear()
        for room, shown, server, count in rows:
            self._set_count(Name(shown, room), server, count)
        for (_, server), (name, count) in self._heard_last.items():
            self._set_count(name, server, count)

    async def _server_gone(self, connection: Connection, server: str) -> None:
        """Tell the members here that those at a server that is dead have left."""
        sql = "SELECT room, shown, name FROM member WHERE server = $1 ORDER BY room, key"
        rows = await connection.fetch(sql, server)
        for room in [self._rooms[key] for key, servers in self._elsewhere.items() if server in servers]:
            self._set_count(room, server, 0)
        for key, shown, name in rows:
            self._listener.notice_heard(key, MemberLeft(author=name, room=shown))

    # The end

    def close(self) -> Deferred[None]:
        return self._database.run(self._close())

    async def _close(self) -> None:
        self._is_closed = True
        sql = "WITH ended AS (UPDATE lease SET until = now() WHERE server = $1) SELECT tell('{\"look\": true}')"
        await self._database.attempt(fetch(sql, self.server), patience=0)

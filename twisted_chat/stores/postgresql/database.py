"""The connections to PostgreSQL, and what happens while it is away.

An operation is attempted until it works, for some seconds: a failover to another machine looks like a slow answer. So
each operation has to be safe to repeat where nobody knows whether it was committed the first time. One connection
listens for what other servers write; it is made anew when it breaks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import resources
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ...log import Unavailable, Unusable
from ...shared_limits import FORGET_SECONDS
from .news import News, read_news
from .urls import hosts_of, without_password

PATIENCE: Final = 10.0
"""Seconds for which an operation is attempted: a failover takes less, and users would send a message again later."""

ATTEMPT_SECONDS: Final = 3.0
"""Seconds that one attempt and one connection may take. A machine that was cut off does not answer at all, and there
has to be time for another one. No operation takes as long, but for those that look at everything."""

LONG_SECONDS: Final = 600.0
"""Seconds of an attempt that looks at all rooms or at all messages."""

PAUSES: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between two attempts; the last one repeats."""

CHECK_SECONDS: Final = 1.0
"""Seconds between two checks that the connection that listens is alive, and that nothing was missed."""

CLEAN_UP_CHECKS: Final = 60
"""The number of checks from one clean-up to the next: a minute. What is deleted does not count any more, and only takes
space."""

APPENDERS: Final = 4
"""Connections for appends, each of which has a turn under way: while one waits for the disk and the standbys, others go
on. Behind a standby at 20 ms, four had twice the messages/s of one; each also takes one of PostgreSQL's connections."""

READERS: Final = 4
"""Connections for everything but appends and listening: more than a machine with few cores has use for."""

CHANNEL: Final = "twisted_chat"
SCHEMA: Final = "twisted_chat"
VERSION: Final = 1
"""The version of the schema, which `schema.sql` makes. `upgrade_N.sql` makes it from the version before: it sets
`store.version`, and `store.oldest` if servers of earlier versions cannot go on with the new tables and functions."""

_LOCK: Final = 0x54774368
"""The number of the advisory lock under which the tables are made, `TwCh`. A nick is claimed under a lock with this
number and one of its own (`claim` in `schema.sql`)."""

_SETUP: Final = ("28", "3D")
"""The beginnings of PostgreSQL's error codes about passwords and databases, which an operator may just be changing."""

_BEGINNINGS: Final = ("08", "25", *_SETUP, "40", "53", "54000", "55", "57", "58", "XX")
"""The beginnings of PostgreSQL's error codes (its manual, appendix A) that say that the same may work later: the
connection, a server that is a standby by now or a transaction that took too long, the setup, deadlocks, a full disk, a
full queue of notifications, a lock that somebody else holds (`lock_timeout`), a shutdown, the system."""

_log = Logger("twisted_chat.stores.postgresql")
_T = TypeVar("_T")

Connection: TypeAlias = "asyncpg.Connection[Any]"  # only its stubs have a parameter
Work: TypeAlias = Callable[[Connection], Awaitable[_T]]


def fetch(sql: str, *args: object) -> Work[list[Any]]:
    """Return the work of a statement, for `Database.attempt`."""
    return lambda connection: connection.fetch(sql, *args)


def is_passing(error: BaseException) -> bool:
    """True for an error after which the same may work later."""
    if isinstance(error, asyncpg.PostgresError):
        return str(getattr(error, "sqlstate", "")).startswith(_BEGINNINGS)
    # Closed connections are errors of the interface, and a host with the wrong role is an error of the client. A value
    # that does not fit a parameter is an error of the interface, too, but no later attempt can work.
    kinds = OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncio.TimeoutError
    return isinstance(error, kinds) and not isinstance(error, ValueError)


def is_passing_at_start(error: BaseException) -> bool:
    """True for an error of a database that is about to work, and not one of a setup that somebody has to change."""
    is_of_setup = isinstance(error, ValueError) or str(getattr(error, "sqlstate", "")).startswith(_SETUP)
    return is_passing(error) and not is_of_setup


def is_error(error: BaseException) -> bool:
    """True for an error of the database, or of the connection to it."""
    return isinstance(error, asyncpg.PostgresError) or is_passing(error)


def explain(error: BaseException) -> str:
    """Explain an error of the database, for the person who runs the server. It has no text of a message."""
    if isinstance(error, asyncpg.DiskFullError):
        return "its disk is full"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "it does not answer"
    if isinstance(error, _BROKEN) and not isinstance(error, _CLEAR):
        return "the connection broke"
    text = (str(error) or type(error).__name__).splitlines()[0]
    return ": ".join((text, *(remedy for kind, remedy in _REMEDIES if isinstance(error, kind))))


_BROKEN: Final = (asyncpg.InternalClientError, asyncpg.InterfaceError)
"""Errors that asyncpg raises when a connection ends under it. They name states of its own ("cannot switch to state
12")."""

_CLEAR: Final = (asyncpg.TargetServerAttributeNotMatched, asyncpg.ClientConfigurationError)
"""Errors of these kinds that say what is wrong: a host with another role, and a URL."""

_REMEDIES: Final = (
    (asyncpg.InvalidPasswordError, "put the right one into ~/.pgpass, or the file that PGPASSFILE names"),
    (asyncpg.InvalidCatalogNameError, "make it with createdb --encoding UTF8 --template template0"),
    (
        asyncpg.InsufficientPrivilegeError,
        "the user of the URL needs a database of its own, or the right to make a schema (GRANT CREATE ON DATABASE)",
    ),
)
"""What to do about errors that come when somebody sets up a database."""


def sql_file(name: str) -> str:
    """Read a file with statements that is beside this module."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


async def _read_timeline(connection: Connection) -> int:
    """Read the timeline of a host; 0 if it has none to show, as a standby and some services have not."""
    try:
        name: str = await connection.fetchval("SELECT pg_walfile_name(pg_current_wal_lsn())")
    except asyncpg.PostgresError:
        return 0
    return int(name[:8], 16)


class Pool:
    """Some connections, which are made when they are needed and kept."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(size)

    async def take(self) -> Connection:
        """Take a connection, once one is free."""
        await self._free.acquire()
        try:
            while self._idle and self._idle[-1].is_closed():
                self._idle.pop()
            return self._idle.pop() if self._idle else await self._connect()
        except BaseException:
            self._free.release()
            raise

    @asynccontextmanager
    async def lend(self, connection: Connection) -> AsyncIterator[None]:
        """Put a connection that was taken back afterwards. One with which something went wrong is not used again."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, asyncpg.PostgresError) or is_passing(error):
                connection.terminate()
            else:
                self._idle.append(connection)
            raise
        else:
            self._idle.append(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()


class Database:
    """A database, as the log and the registry use it."""

    def __init__(self, url: str, reactor: Any, loop: asyncio.AbstractEventLoop, patience: float = PATIENCE) -> None:
        self.shown = without_password(url)
        self._hosts = hosts_of(url)
        self._reactor = reactor
        self._loop = loop
        self.patience = patience
        """Seconds for which an operation is attempted."""
        self.trouble = ""
        """Why nothing works now; empty if it does."""
        self._is_trouble_logged = False
        self._outdated = ""
        """Why nothing works any more until the server is restarted; empty if that is not so."""
        self._trouble_began = 0.0
        """When the trouble began, by the reactor's clock."""
        self.appending = Pool(self._connect, APPENDERS)
        """The connections of appends, which do not wait behind those who read."""
        self.reading = Pool(self._connect, READERS)
        self._is_closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listening: Connection | None = None
        self._heard: list[Callable[[News], object]] = []
        self._checks: list[Callable[[Connection], Awaitable[None]]] = [self._clean_up]
        self._checks_since_clean_up = 0
        self._has_warned = False
        """True once the log has a warning about notifications that are not a server's."""
        self._news_in_order: deque[News] = deque()
        """A parcel that is being opened, and the news that came after it."""
        self._pauses: set[asyncio.Event] = set()
        """What waits for the next attempt or the next check."""
        self.pids: set[int] = set()
        """The processes of PostgreSQL that serve this server: what they tell is known here."""
        self._connections: dict[Connection, tuple[str, int]] = {}
        """The hosts of all connections, and their timelines."""
        self._timeline = 0
        """The newest timeline of any host: PostgreSQL begins another one when a standby becomes the primary."""

    # From Twisted to asyncio

    def run(self, work: Coroutine[Any, Any, _T]) -> Deferred[_T]:
        """Run a coroutine of asyncio."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Deferred.fromFuture(task)

    async def _pause(self, seconds: float) -> None:
        """Wait on the reactor's clock, or until the database is closed."""
        if self._is_closed:
            return
        done = asyncio.Event()
        call = self._reactor.callLater(seconds, done.set)
        try:
            self._pauses.add(done)
            await done.wait()
        finally:
            self._pauses.discard(done)
            if call.active():
                call.cancel()

    @asynccontextmanager
    async def _at_most(self, seconds: float, terminate: Callable[[], object]) -> AsyncIterator[None]:
        """Bound the time of an attempt.

        The connection is cut, and the statement not cancelled: PostgreSQL would end the wait of a commit for its
        standby then, and report the commit as done.
        """
        is_late: list[None] = []

        def cut() -> None:
            is_late.append(None)
            terminate()

        call: IDelayedCall = self._reactor.callLater(max(seconds, 0), cut)
        try:
            yield
        except (Exception, asyncio.CancelledError):
            if is_late:
                raise TimeoutError from None
            raise
        finally:
            if call.active():
                call.cancel()

    # Connections

    async def _connect(self) -> Connection:
        """Connect to the first host that serves. Raises the error of the last one."""
        last: Exception | None = None
        for host in tuple(self._hosts):
            try:
                return await self._connect_to(host)
            except Exception as error:
                if not is_passing(error):
                    raise
                last = error
                self._avoid(host)
        assert last
        raise last

    def _avoid(self, host: str) -> None:
        """Begin the next attempt with another host, which may serve."""
        if self._hosts[0] == host:
            self._hosts.append(self._hosts.pop(0))

    def _give_up(self, connection: Connection) -> None:
        """Cut a connection that does not answer. Its host may be a primary that has lost its standbys."""
        if connection in self._connections:
            self._avoid(self._connections[connection][0])
        connection.terminate()

    def _track(self, connection: Connection, host: str, timeline: int) -> None:
        """Track a connection until it ends. Raises `OSError` if its host was the primary once, and is no longer.

        Such a host may still take writes, which its standbys do not get, and would show an old log.
        """
        if 0 < timeline < self._timeline:
            raise OSError("it is no longer the primary, but does not know")
        if timeline > self._timeline:
            self._timeline = timeline
            for other in [other for other, (_, old) in self._connections.items() if 0 < old < timeline]:
                other.terminate()
        pid = connection.get_server_pid()
        self.pids.add(pid)
        self._connections[connection] = host, timeline

        def forget(_: object) -> None:
            self.pids.discard(pid)
            self._connections.pop(connection, None)

        connection.add_termination_listener(forget)

    async def _connect_to(self, host: str) -> Connection:
        making = self._loop.create_task(self._make_connection(host))
        async with self._at_most(ATTEMPT_SECONDS, making.cancel):
            return await making

    async def _make_connection(self, host: str) -> Connection:
        settings = {
            "search_path": SCHEMA,
            "application_name": "twisted_chat",
            # Compiling a statement takes 50 ms, and the ones here are short. A turn with a new room was compiled each
            # time, since the cost of a table that has to be read as a whole is set very high there (`append`).
            "jit": "off",
            # Statements wait for locks and read what the one before them has committed. With a stricter default of the
            # database or of its user, they would read an older state, or fail.
            "default_transaction_isolation": "read committed",
            # A server that was cut off does not hold its locks for longer than this.
            "client_connection_check_interval": "1s",
            "idle_in_transaction_session_timeout": "10s",
        }
        connection = await asyncpg.connect(host, server_settings=settings)
        try:
            self._track(connection, host, await _read_timeline(connection))
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def attempt(
        self,
        work: Work[_T],
        pool: Pool | None = None,
        seconds: float = ATTEMPT_SECONDS,
        patience: float | None = None,
        passes: Callable[[BaseException], bool] = is_passing,
    ) -> _T:
        """Do something until it works. Raises `Unavailable` when it has not for too long."""
        until = self._reactor.seconds() + (self.patience if patience is None else patience)
        number = 0
        while True:
            self._check_open()
            left = max(until - self._reactor.seconds(), PAUSES[-1])
            most_for_connection = left if number else max(left, seconds * len(self._hosts))
            most = min(seconds, left) if number else seconds
            try:
                result = await self._attempt_once(work, pool or self.reading, most_for_connection, most)
                self._clear_trouble()
                return result
            except Exception as error:
                self._check_open()
                if not passes(error):
                    raise
                pause = PAUSES[min(number, len(PAUSES) - 1)]
                is_last = self._reactor.seconds() + pause >= until
                self._note_trouble(explain(error), does_last=number > 0, is_over=is_last)
                if is_last:
                    raise Unavailable(f"the database cannot be used: {explain(error)}") from None
            await self._pause(pause)
            number += 1

    async def append(self, work: Work[_T]) -> _T:
        """Append until it works. Raises `Unavailable`: whatever error PostgreSQL reports, it has stored nothing."""
        try:
            return await self.attempt(work, self.appending)
        except asyncpg.PostgresError as error:
            # A traceback would show the details of the error, among which PostgreSQL quotes texts.
            trouble = explain(error)
            _log.error("{database} has refused messages: {trouble}", database=self.shown, trouble=trouble)
            raise Unavailable(f"the database has refused it: {trouble}") from None

    async def _attempt_once(self, work: Work[_T], pool: Pool, most_for_connection: float, most: float) -> _T:
        taking = self._loop.create_task(pool.take())
        async with self._at_most(most_for_connection, taking.cancel):
            connection = await taking
        async with pool.lend(connection), self._at_most(most, partial(self._give_up, connection)):
            return await work(connection)

    def _check_open(self) -> None:
        if self._is_closed or self._outdated:
            raise Unavailable(self._outdated or "the store is closed")

    def _note_trouble(self, trouble: str, does_last: bool, is_over: bool = False) -> None:
        """Note why an attempt failed.

        It is logged if it was not the first one and nothing else has worked meanwhile, or if there is no other one.
        Otherwise, each connection that breaks beside others that work would be trouble of its own.
        """
        if not self.trouble:
            self._trouble_began = self._reactor.seconds()
        elif does_last:
            is_over = True
        self.trouble = trouble
        if is_over and not self._is_trouble_logged:
            self._is_trouble_logged = True
            _log.error("{database} does not work now: {trouble}", database=self.shown, trouble=trouble)

    def lasting_trouble(self) -> str:
        """Return why operations are refused now; empty while they are only slow, as during a failover."""
        if self._outdated:
            return self._outdated
        is_short = self._reactor.seconds() - self._trouble_began <= self.patience
        return "" if is_short and not self._is_closed else self.trouble

    def _clear_trouble(self) -> None:
        if self.trouble and not self._is_closed:
            self.trouble = ""
            if self._is_trouble_logged:
                self._is_trouble_logged = False
                _log.info("{database} works again", database=self.shown)

    # Listening

    def follow(self, heard: Callable[[News], object], check: Callable[[Connection], Awaitable[None]]) -> None:
        """Call `heard` with what other servers tell, and `check` now and then to look for what was missed.

        `check` is also called first of all, and after each time that nobody has listened.
        """
        self._heard.append(heard)
        self._checks.append(check)

    async def _clean_up(self, connection: Connection) -> None:
        """Delete what does not count any more, now and then."""
        self._checks_since_clean_up += 1
        if self._checks_since_clean_up >= CLEAN_UP_CHECKS:
            self._checks_since_clean_up = 0
            await connection.fetch("SELECT clean_up($1)", FORGET_SECONDS)

    async def listen(self) -> None:
        """Listen until the database is closed."""
        number = 0
        while not self._is_closed:
            try:
                async with self._listener() as connection:
                    while not self._is_closed:
                        async with self._at_most(ATTEMPT_SECONDS, partial(self._give_up, connection)):
                            for check in self._checks:
                                await self._make(check, connection)
                        number = 0
                        self._clear_trouble()
                        await self._pause(CHECK_SECONDS)
            except Exception as error:
                if self._is_closed:
                    return
                if is_passing(error):
                    self._note_trouble(explain(error), does_last=number > 0)
                else:
                    _log.failure("What other servers write could not be followed; the next attempt is in a second")
                await self._pause(PAUSES[min(number, len(PAUSES) - 1)])
                number += 1

    async def _make(self, check: Callable[[Connection], Awaitable[None]], connection: Connection) -> None:
        """Make a check. If it fails, but the connection works, the other checks and the listening go on."""
        try:
            await check(connection)
        except Unavailable:
            pass  # the next one may work
        except Exception as error:
            if is_passing(error) or connection.is_closed():
                raise
            _log.failure("What other servers write could not be checked; the next attempt is in a second")

    @asynccontextmanager
    async def _listener(self) -> AsyncIterator[Connection]:
        connection = await self._connect()
        try:
            async with self._at_most(ATTEMPT_SECONDS, partial(self._give_up, connection)):
                await connection.add_listener(CHANNEL, self._notified)
            self._listening = connection
            yield connection
        finally:
            self._listening = None
            connection.terminate()

    def _notified(self, _: Any, pid: int, __: str, payload: Any) -> None:
        if pid in self.pids:
            return
        try:
            news = read_news(payload)
        except ValueError:  # of msgspec and of UTF-8; its text may be that of a message
            if not self._has_warned:
                _log.warn(
                    "somebody who is not a server has sent a notification on {channel}, which is ignored: let nobody "
                    "else connect to the database (REVOKE CONNECT)",
                    channel=CHANNEL,
                )
            self._has_warned = True
            return
        if not (news.parcel or self._news_in_order):
            self._hear(news)
            return
        self._news_in_order.append(news)
        if len(self._news_in_order) == 1:
            self.run(self._hear_in_order())

    async def _hear_in_order(self) -> None:
        """Hear the news in a parcel, and then what came while it was being opened."""
        while self._news_in_order:
            news = self._news_in_order[0]
            try:
                if news.parcel:
                    rows = await self.attempt(fetch("SELECT body FROM parcel WHERE id = $1", news.parcel))
                    for (body,) in rows:
                        self._hear(read_news(body))
                else:
                    self._hear(news)
            except Unavailable:
                pass  # the checks find what is in the database
            except Exception:
                _log.failure("What other servers have told could not be taken")
            self._news_in_order.popleft()

    def _hear(self, news: News) -> None:
        for heard in self._heard:
            heard(news)

    # Opening and closing

    async def open(self, may_make: bool = True) -> None:
        """Make the tables if they `may_make` be made, or check that they are there. Raises `Unusable`.

        A database that is starting, or that another host takes over, is waited for, as it is later.
        """
        try:
            await self.attempt(lambda connection: self._prepare(connection, may_make), passes=is_passing_at_start)
        except Unavailable:
            raise Unusable(f"{self.shown} cannot be used: {self.trouble}") from None
        except (asyncpg.PostgresError, ValueError) as error:
            raise Unusable(f"{self.shown} cannot be used: {explain(error)}") from None

    async def _prepare(self, connection: Connection, may_make: bool) -> None:
        encoding = await connection.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise Unusable(f"{self.shown} has the encoding {encoding}: make a database with the encoding UTF8")
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await connection.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.store") is None:
                if not may_make:
                    raise Unusable(f"{self.shown} has no chat: give the URL that the server has")
                await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                await connection.execute(sql_file("schema.sql"))
            ((version, oldest),) = await connection.fetch("SELECT version, oldest FROM store")
            if oldest > VERSION:
                raise Unusable(f"{self.shown} was upgraded by a newer version of twisted_chat: use that one")
            if version < VERSION and not may_make:
                raise Unusable(f"{self.shown} was written by an older version: start a server, which upgrades it")
            for number in range(version + 1, VERSION + 1):
                await connection.execute(sql_file(f"upgrade_{number}.sql"))

    async def warn_about_access(self) -> None:
        """Write a line to the log if all users of PostgreSQL may connect, as to every database that was just made."""
        sql = "SELECT has_database_privilege('public', current_database(), 'CONNECT'), quote_ident(current_database())"
        ((is_for_all, name),) = await self.attempt(fetch(sql))
        if is_for_all:
            _log.warn(
                "all users of PostgreSQL may connect to {database}, and so hear and forge what servers tell each "
                "other: REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
                database=self.shown,
                name=name,
            )

    def check_version(self, oldest: int) -> None:
        """Refuse everything from now on if the tables need a version that is newer than this server's."""
        if oldest > VERSION and not self._outdated:
            self._outdated = "a newer version of twisted_chat has upgraded it: restart this server with that version"
            _log.error("{database} does not work now: {trouble}", database=self.shown, trouble=self._outdated)

    async def close(self) -> None:
        """Close all connections. What is under way fails."""
        self._is_closed = True
        self.trouble = "the store is closed"
        for done in self._pauses:
            done.set()
        self.appending.close()
        self.reading.close()
        if self._listening is not None:
            self._listening.terminate()
        others = self._tasks - {asyncio.current_task()}
        with suppress(Exception):
            await asyncio.gather(*others, return_exceptions=True)

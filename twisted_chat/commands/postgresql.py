"""A database in PostgreSQL, as commands open it: with as much of the interface of `sqlite3` as they use."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from typing import Any

from ..needs_asyncpg import NEEDS_ASYNCPG
from ..stores.postgresql.text import from_sql, to_sql
from ..stores.postgresql.urls import without_password
from . import Problem


class Rows(list[tuple[Any, ...]]):
    """The rows of a statement."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self

    def fetchone(self) -> Any:
        return self[0] if self else None


class PostgreSQLConnection:
    """A connection, which waits for each statement."""

    rooms_sql = """
        SELECT id, key, name, topic, CASE WHEN oldest_time IS NULL THEN 0 ELSE head - oldest + 1 - skipped END
        FROM room WHERE name <> '' ORDER BY key"""
    """What `files.rooms` asks for."""

    bytes_of = "octet_length({})"
    """The bytes of a text, in a statement."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Any) -> None:
        self._loop = loop
        self._connection = connection

    def execute(self, sql: str, args: Sequence[object] = ()) -> Rows:
        """Execute a statement, with a `?` for each argument."""
        numbers = count(1)
        sql = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
        texts = [to_sql(arg) if isinstance(arg, str) else arg for arg in args]
        rows = self._loop.run_until_complete(self._connection.fetch(sql, *texts))
        return Rows(tuple(from_sql(value) if isinstance(value, str) else value for value in row) for row in rows)

    @contextmanager
    def transaction(self, kind: str = "") -> Iterator[None]:
        """A transaction: everything in it is written, or nothing."""
        self.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")


class _Clock:
    """The clock of an event loop, as `Database` wants that of a reactor."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.seconds = loop.time

    def callLater(self, seconds: float, function: Callable[..., object], *args: Any) -> _Call:
        return _Call(self._loop.call_later(seconds, function, *args))


class _Call:
    def __init__(self, handle: asyncio.TimerHandle) -> None:
        self._handle = handle
        self.cancel = handle.cancel

    def active(self) -> bool:
        return not self._handle.cancelled()


@contextmanager
def connecting(url: str, may_make: bool = True) -> Iterator[PostgreSQLConnection]:
    """Open a database, whose tables are made if it has none and it `may_make` them. Raises `Problem` and `Unusable`."""
    if find_spec("asyncpg") is None:
        raise Problem(NEEDS_ASYNCPG)
    from ..stores.postgresql.database import Database, explain, is_error

    loop = asyncio.new_event_loop()
    database = Database(url, _Clock(loop), loop, patience=0)  # somebody waits for an answer
    try:
        loop.run_until_complete(database.open(may_make))
        connection = loop.run_until_complete(database.reading.take())
        yield PostgreSQLConnection(loop, connection)
    except Exception as error:
        if not is_error(error):
            raise
        raise Problem(f"{without_password(url)}: {explain(error)}") from None
    finally:
        loop.run_until_complete(database.close())
        loop.close()


@contextmanager
def reading_postgresql(url: str) -> Iterator[PostgreSQLConnection]:
    """Open a database to read from it, as it is at one moment. Raises `Problem` and `Unusable`."""
    with connecting(url, may_make=False) as connection:
        # The names by which commands know what SQLite's file has, without rules that were ended.
        connection.execute("CREATE TEMPORARY VIEW said AS SELECT * FROM message")
        connection.execute("CREATE TEMPORARY VIEW rule AS SELECT * FROM rule WHERE ended IS NULL")
        with connection.transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield connection

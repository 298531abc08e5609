"""Databases with long logs, written in bulk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from twisted_chat import names
from twisted_chat.stores.sqlite import database

STEP = 200_000
TEXT = 80
"""Characters of a message, all of them ASCII."""

AUTHORS = 50


def make(path: str, size: int, room: str = "lobby", done: Callable[[int], object] = lambda count: None) -> None:
    """Write a database with one room of `size` messages, with `id`s like those of clients.

    `done` is called with the number of messages after each step.
    """
    with closing(database.connect(path)) as connection:
        database.prepare(connection, path)
        database.make_room(connection, names.room(room))
        (index,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'said_once'").fetchone()
        connection.execute("DROP INDEX said_once")
        connection.execute("PRAGMA cache_size = -200000")
        for start in range(0, size, STEP):
            count = min(STEP, size - start)
            connection.execute(
                """
                WITH RECURSIVE number (n) AS (SELECT ?1 + 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1 + ?2)
                INSERT INTO message SELECT 1, n, 1700000000000 + n * 1000, 'author' || n % ?3, 'author' || n % ?3,
                    lower(hex(randomblob(16))), substr(hex(zeroblob(?4)), 1, ?4), '', NULL, NULL FROM number""",
                (start, count, AUTHORS, TEXT),
            )
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            done(count)
        connection.execute(index)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

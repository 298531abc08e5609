"""The accounts of a server's database, as `twisted-chat account` lists and changes them: in a file, or in PostgreSQL.

A running server ends the sessions of accounts that are suspended, removed, or get a new password here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from msgspec.structs import astuple

from ..names import Name
from ..registry import AccountState, Action, StoredAccount
from ..stores.postgresql.urls import is_url
from ..stores.sqlite import database, registry_sql
from . import Problem
from .files import reading, writing
from .postgresql import PostgreSQLConnection, connecting


class AccountStore(Protocol):
    """The accounts of a database. Keys are those of `names.Name`. What is changed is part of a transaction."""

    def accounts(self, after: str, most: int, state: AccountState | None) -> list[StoredAccount]:
        """List at most `most` accounts after a key, in the order of their keys."""

    def token_counts(self) -> dict[str, int]:
        """Return the number of tokens of each account that has any, by its key."""

    def find(self, key: str) -> StoredAccount | None:
        """Find an account."""

    def add(self, account: StoredAccount) -> bool:
        """Store a new account. False if there is one with its key or its skeleton."""

    def approve(self, key: str) -> None:
        """Let an account in."""

    def suspend(self, key: str) -> None:
        """Shut an account out."""

    def remove(self, key: str) -> None:
        """Remove an account with its password, tokens, roles and invitations. Its name stays reserved."""

    def reset_password(self, account: StoredAccount, password: str) -> None:
        """Store the hash of a new password, and end all tokens of an account."""

    def write_action(self, action: Action) -> None:
        """Write an entry of the audit log."""


class SQLiteAccounts:
    """The accounts in a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def accounts(self, after: str, most: int, state: AccountState | None) -> list[StoredAccount]:
        return registry_sql.accounts(self._connection, after, most, state)

    def token_counts(self) -> dict[str, int]:
        return dict(self._connection.execute(_TOKEN_COUNTS).fetchall())

    def find(self, key: str) -> StoredAccount | None:
        return registry_sql.find(self._connection, key)

    def add(self, account: StoredAccount) -> bool:
        return registry_sql.add(self._connection, account)

    def approve(self, key: str) -> None:
        registry_sql.set_state(self._connection, key, "active")

    def suspend(self, key: str) -> None:
        registry_sql.set_state(self._connection, key, "suspended")
        registry_sql.end_sessions(self._connection, key)

    def remove(self, key: str) -> None:
        registry_sql.remove(self._connection, key)

    def reset_password(self, account: StoredAccount, password: str) -> None:
        key = account.name.key
        registry_sql.set_password(self._connection, key, account.password, password)
        registry_sql.revoke_tokens(self._connection, key, None)
        registry_sql.end_sessions(self._connection, key)

    def write_action(self, action: Action) -> None:
        registry_sql.write_action(self._connection, action)


class PostgreSQLAccounts:
    """The accounts in PostgreSQL."""

    def __init__(self, connection: PostgreSQLConnection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def accounts(self, after: str, most: int, state: AccountState | None) -> list[StoredAccount]:
        which = "key > ? AND (?::text IS NULL OR state = ?)"
        rows = self._execute(
            f"SELECT {_ACCOUNT} FROM account WHERE {which} ORDER BY key LIMIT ?", (after, state, state, most)
        )
        return [_account(*row) for row in rows]

    def token_counts(self) -> dict[str, int]:
        return dict(self._execute(_TOKEN_COUNTS))

    def find(self, key: str) -> StoredAccount | None:
        row = self._execute(f"SELECT {_ACCOUNT} FROM account WHERE key = ?", (key,)).fetchone()
        return None if row is None else _account(*row)

    def add(self, account: StoredAccount) -> bool:
        sql = f"INSERT INTO account ({_ACCOUNT}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1"
        name = account.name
        row = name.shown, name.key, account.skeleton, account.password, account.created, account.state
        return self._execute(sql, row).fetchone() is not None

    def approve(self, key: str) -> None:
        self._set_state(key, "active")

    def suspend(self, key: str) -> None:
        self._set_state(key, "suspended")

    def _set_state(self, key: str, state: AccountState) -> Any:
        (epoch,) = self._execute("SELECT set_state(?, ?)", (key, state)).fetchone()
        return epoch

    def remove(self, key: str) -> None:
        epoch = self._set_state(key, "removed")
        self._execute("UPDATE account SET password = '' WHERE key = ?", (key,))
        self._execute("DELETE FROM token WHERE account = ?", (key,))
        which = "subject = ? AND kind IN ('role', 'invite') AND ended IS NULL"
        self._execute(f"UPDATE rule SET ended = now(), changed = ? WHERE {which}", (epoch, key))

    def reset_password(self, account: StoredAccount, password: str) -> None:
        (epoch,) = self._execute("SELECT begin_epoch()").fetchone()
        key = account.name.key
        self._execute("UPDATE account SET password = ?, ended = ? WHERE key = ?", (password, epoch, key))
        self._execute("DELETE FROM token WHERE account = ?", (key,))

    def write_action(self, action: Action) -> None:
        *fields, _ = astuple(action)
        columns = "kind, author, account, room, target, value, msg, until, time"
        self._execute(f"INSERT INTO audit ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", fields)


_TOKEN_COUNTS: Final = "SELECT account, count(*) FROM token GROUP BY account"
_ACCOUNT: Final = "name, key, skeleton, password, created, state"


def _account(name: str, key: str, skeleton: str, password: str, created: int, state: AccountState) -> StoredAccount:
    return StoredAccount(name=Name(name, key), skeleton=skeleton, password=password, created=created, state=state)


@contextmanager
def accounts_of(path: str) -> Iterator[AccountStore]:
    """Open a database to read accounts from it. Raises `Problem` and `Unusable`."""
    if is_url(path):
        with connecting(path, may_make=False) as connection:
            yield PostgreSQLAccounts(connection)
    else:
        _check_there(path)
        with reading(path) as file:
            yield SQLiteAccounts(file)


@contextmanager
def changing_accounts(path: str) -> Iterator[AccountStore]:
    """Open a database to change accounts in it, all of them or none. Raises `Problem` and `Unusable`."""
    if is_url(path):
        with connecting(path, may_make=False) as connection, connection.transaction():
            connection.execute("SELECT FROM store FOR UPDATE")  # as everybody does who writes to the audit log
            yield PostgreSQLAccounts(connection)
    else:
        _check_there(path)
        with writing(path) as file, database.transaction(file):
            yield SQLiteAccounts(file)


def _check_there(path: str) -> None:
    if not os.path.exists(path):
        raise Problem(f"there is no file {path}: give the server's file with --database")

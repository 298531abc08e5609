"""The SQL of the embedded store for accounts, tokens, rules and the audit log.

As in `database.py`, each function takes a connection, and can be called in any thread, and by another program.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from ...names import Name
from ...registry import AccountState, Action, Report, StoredAccount, StoredToken
from ...rules import Change, Rule
from .database import epoch, transaction

# Accounts

_ACCOUNT: Final = "name, key, skeleton, password, created, state"


def _account(row: Sequence[Any]) -> StoredAccount:
    name, key, skeleton, password, created, state = row
    return StoredAccount(name=Name(name, key), skeleton=skeleton, password=password, created=created, state=state)


def find(connection: sqlite3.Connection, key: str) -> StoredAccount | None:
    """Find an account by its key."""
    row = connection.execute(f"SELECT {_ACCOUNT} FROM account WHERE key = ?", (key,)).fetchone()
    return None if row is None else _account(row)


def find_alike(connection: sqlite3.Connection, skeleton: str) -> Name | None:
    """Find the name of the account with a skeleton."""
    row = connection.execute("SELECT name, key FROM account WHERE skeleton = ?", (skeleton,)).fetchone()
    return None if row is None else Name(*row)


def add(connection: sqlite3.Connection, account: StoredAccount) -> bool:
    """Store a new account; False if its key or its skeleton is another one's."""
    sql = f"INSERT INTO account ({_ACCOUNT}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    row = (account.name.shown, account.name.key, account.skeleton, account.password, account.created, account.state)
    return connection.execute(sql, row).rowcount == 1


def set_password(connection: sqlite3.Connection, key: str, old: str, new: str) -> bool:
    """Replace the hash of a password; False if it is not `old` any more."""
    sql = "UPDATE account SET password = ? WHERE key = ? AND password = ?"
    return connection.execute(sql, (new, key, old)).rowcount == 1


def set_state(connection: sqlite3.Connection, key: str, state: AccountState) -> bool:
    """Change the state of an account; False if there is none, or if it was removed."""
    sql = "UPDATE account SET state = ? WHERE key = ? AND state <> 'removed'"
    return connection.execute(sql, (state, key)).rowcount == 1


def accounts(connection: sqlite3.Connection, after: str, most: int, state: AccountState | None) -> list[StoredAccount]:
    """List accounts after a key, in the order of their keys, of one state or of all (None)."""
    sql = f"SELECT {_ACCOUNT} FROM account WHERE key > ? AND ifnull(state = ?, TRUE) ORDER BY key LIMIT ?"
    return [_account(row) for row in connection.execute(sql, (after, state, most))]


# Tokens

_TOKEN: Final = "account, label, digest, created, used"


def _token(row: Sequence[Any]) -> StoredToken:
    account, label, digest, created, used = row
    return StoredToken(account=account, label=label, digest=digest, created=created, used=used)


def add_token(connection: sqlite3.Connection, token: StoredToken, most: int) -> bool:
    """Store a token in place of that of the same account and label. False if the account has `most` others."""
    same = (token.account, token.label)
    with transaction(connection):
        sql = "SELECT count(*) FROM token WHERE account = ? AND label <> ?"
        (others,) = connection.execute(sql, same).fetchone()
        if others >= most:
            return False
        connection.execute("DELETE FROM token WHERE account = ? AND label = ?", same)
        sql = f"INSERT INTO token ({_TOKEN}) VALUES (?, ?, ?, ?, ?)"
        connection.execute(sql, (*same, token.digest, token.created, token.used))
    return True


def find_token(connection: sqlite3.Connection, digest: bytes) -> StoredToken | None:
    """Find a token by its hash."""
    row = connection.execute(f"SELECT {_TOKEN} FROM token WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else _token(row)


def use_token(connection: sqlite3.Connection, digest: bytes, time: int) -> None:
    """Store when a token was used."""
    connection.execute("UPDATE token SET used = ? WHERE digest = ?", (time, digest))


def tokens(connection: sqlite3.Connection, key: str) -> list[StoredToken]:
    """List the tokens of an account, by label."""
    return [
        _token(row)
        for row in connection.execute(f"SELECT {_TOKEN} FROM token WHERE account = ? ORDER BY label", (key,))
    ]


def revoke_tokens(connection: sqlite3.Connection, key: str, label: str | None) -> int:
    """End a token of an account, or all of them (None); returns how many there were."""
    return connection.execute("DELETE FROM token WHERE account = ? AND ifnull(label = ?, TRUE)", (key, label)).rowcount


# Rules, the audit log, and reports

_RULE: Final = "room, kind, subject, shown, address, value, until, msg, author, time"
_ACTION: Final = "kind, author, account, room, target, value, msg, until, time"
_REPORT: Final = "room, of, author, msg, time"


_T = TypeVar("_T", Rule, Action, Report)


def _read(type: type[_T], rows: Iterable[Sequence[Any]]) -> list[_T]:
    """Make structs of rows that have their fields in order."""
    names = type.__struct_fields__
    return [type(**dict(zip(names, row, strict=True))) for row in rows]


def rules(connection: sqlite3.Connection, now: int) -> list[Rule]:
    """List the rules that are in force at a time (milliseconds since 1970)."""
    sql = f"SELECT {_RULE} FROM rule WHERE until IS NULL OR until > ?"
    return _read(Rule, connection.execute(sql, (now,)))


def forget_rules(connection: sqlite3.Connection, now: int) -> None:
    """Delete the rules that are over."""
    connection.execute("DELETE FROM rule WHERE until <= ?", (now,))


def act(connection: sqlite3.Connection, action: Action, change: Change | None) -> int:
    """Store an entry of the audit log, and a change of the rules with it; returns the number of the entry."""
    with transaction(connection):
        if change is not None:
            write_change(connection, change)
        return write_action(connection, action)


def write_action(connection: sqlite3.Connection, action: Action) -> int:
    """Write an entry of the audit log as part of a transaction; returns its number."""
    sql = f"INSERT INTO audit ({_ACTION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq"
    (seq,) = connection.execute(sql, _fields(action)).fetchone()
    assert isinstance(seq, int)
    return seq


def write_change(connection: sqlite3.Connection, change: Change) -> None:
    """Write a change of the rules as part of a transaction."""
    connection.executemany("DELETE FROM rule WHERE room = ? AND kind = ? AND subject = ?", change.ended)
    sql = f"INSERT OR REPLACE INTO rule ({_RULE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    connection.executemany(sql, [msgspec.structs.astuple(rule) for rule in change.made])


def _fields(numbered: Action | Report) -> tuple[Any, ...]:
    """The fields of an entry but for its number, which is the last one."""
    return msgspec.structs.astuple(numbered)[:-1]


def actions(connection: sqlite3.Connection, room: str | None, before: int, most: int) -> list[Action]:
    """Read the newest entries of the audit log before a number, newest first, of a room or of all (None)."""
    which, of = ("", ()) if room is None else ("room = ? AND", (room,))
    sql = f"SELECT {_ACTION}, seq FROM audit WHERE {which} seq < ? ORDER BY seq DESC LIMIT ?"
    return _read(Action, connection.execute(sql, (*of, before, most)))


def report(connection: sqlite3.Connection, report: Report, most: int) -> int:
    """Store a report, and forget all but the newest `most`; returns its number."""
    with transaction(connection):
        sql = f"INSERT INTO report ({_REPORT}) VALUES (?, ?, ?, ?, ?) RETURNING seq"
        (seq,) = connection.execute(sql, _fields(report)).fetchone()
        finish_reports(connection, seq - most)
    assert isinstance(seq, int)
    return seq


def reports(connection: sqlite3.Connection, after: int, most: int) -> list[Report]:
    """Read the oldest reports after a number."""
    sql = f"SELECT {_REPORT}, seq FROM report WHERE seq > ? ORDER BY seq LIMIT ?"
    return _read(Report, connection.execute(sql, (after, most)))


def finish_reports(connection: sqlite3.Connection, seq: int) -> None:
    """Delete the reports up to a number."""
    connection.execute("DELETE FROM report WHERE seq <= ?", (seq,))


# Changes of other programs


def end_sessions(connection: sqlite3.Connection, key: str) -> None:
    """Make a running server end the sessions of an account, as part of a transaction."""
    connection.execute("UPDATE store SET epoch = epoch + 1")
    connection.execute("UPDATE account SET ended = (SELECT epoch FROM store) WHERE key = ?", (key,))


def remove(connection: sqlite3.Connection, key: str) -> None:
    """Remove an account with its password, tokens, roles and invitations, as part of a transaction.

    Its row stays, so that its name is nobody else's; so do the bans and mutes of it.
    """
    connection.execute("UPDATE account SET state = 'removed', password = '' WHERE key = ?", (key,))
    revoke_tokens(connection, key, None)
    connection.execute("DELETE FROM rule WHERE subject = ? AND kind IN ('role', 'invite')", (key,))
    end_sessions(connection, key)


class Changes(NamedTuple):
    """The changes of another program."""

    epoch: int
    change: Change
    """The rules that differ from those that were known."""
    ended: list[str]
    """The keys of the accounts whose sessions have to end."""


def read_changes(connection: sqlite3.Connection, known: Collection[Rule], seen: int, now: int) -> Changes:
    """Look for what has changed since an epoch was seen, given the rules that are known. `now` is as in `rules`."""
    current = {rule.key: rule for rule in rules(connection, now)}
    before = {rule.key: rule for rule in known}
    made = tuple(rule for key, rule in current.items() if before.get(key) != rule)
    ended = tuple(key for key, rule in before.items() if key not in current and not rule.is_over(now))
    accounts = connection.execute("SELECT key FROM account WHERE ended > ? ORDER BY key", (seen,))
    return Changes(epoch(connection), Change(made, ended), [key for (key,) in accounts])

"""The lines of an export about accounts: accounts, tokens, rules, the audit log and reports.

A line is an object with one field, which names the table: `{"rule": {"room": "den", "kind": "lock", …}}`. Fields are
those of the registry's structs; times are texts, as on the wire. A password is its hash, and so is a token.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec
from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError

from .. import names
from ..messages import MAX_LABEL, MAX_OBJECT, time_milliseconds, time_text
from ..registry import AccountState, Action, Report, StoredToken
from ..rules import Role, Rule, as_network, network_text
from .files import Readable

PAGE: Final = 5_000
"""Rows that are read in one statement."""

MAX_NUMBER: Final = 2**53
"""The largest number of an entry: readers of JSON can hold it."""

DIGEST_BYTES: Final = 32
"""Bytes of a token's hash (SHA-256)."""

Kind = Literal["account", "token", "rule", "action", "report"]

_TIMES: Final = ("created", "used", "until", "time")

_Row = tuple[Any, ...]


class Conflict(Exception):
    """Something else is in the file in the place of an entry. The text says what."""


class _Account(msgspec.Struct, kw_only=True):
    """An account in an export. Its key and its skeleton are computed from the name."""

    name: str
    password: str = ""
    created: int
    state: AccountState = "active"


class _Table(NamedTuple):
    """A table of the file, and the way in which its rows are read from lines."""

    name: str
    columns: tuple[str, ...]
    """The columns; those that make a row the same come first."""
    start: tuple[str | bytes | int, ...]
    """Less than the first columns of each row."""
    type: type[msgspec.Struct]
    row: Callable[[Any], _Row]
    """Checks an entry and returns its row; raises `ValueError`."""
    what: str
    """The words for such an entry, in a sentence about a conflict."""


def _account_row(account: _Account) -> _Row:
    name = names.author(account.name)
    _check(not account.password or _is_hash(account.password), "a password is a hash of argon2")
    skeleton = names.skeleton(name.shown)
    return name.key, name.shown, skeleton, account.password, account.created, account.state


def _token_row(token: StoredToken) -> _Row:
    _check(_is_nick(token.account), "the account of a token is the key of a nick")
    _check(1 <= len(token.label) <= MAX_LABEL, f"a label has 1 to {MAX_LABEL} characters")
    _check(len(token.digest) == DIGEST_BYTES, f"a digest has {DIGEST_BYTES} bytes, in base64")
    return token.digest, token.account, token.label, token.created, token.used


def _rule_row(rule: Rule) -> _Row:
    _check(_is_room(rule.room), "the room of a rule is the key of a room, or empty")
    _check(_is_subject(rule), f"the subject of a {rule.kind} is not '{rule.subject}'")
    if rule.kind == "role":
        roles = [int(role) for role in (Role.MEMBER, Role.MODERATOR, Role.OWNER)]
        _check(rule.value in roles, f"a role is one of the numbers {roles}")
    _check(0 <= rule.value <= MAX_NUMBER, "a value is not negative")
    return msgspec.structs.astuple(rule)


def _is_subject(rule: Rule) -> bool:
    if rule.kind in ("lock", "slow"):
        return not rule.subject
    network = as_network(rule.subject) if rule.kind == "ban" else None
    return _is_nick(rule.subject) if network is None else rule.subject == network_text(network)


def _action_row(action: Action) -> _Row:
    _check(re.fullmatch("[a-z-]{1,32}", action.kind) is not None, "a kind consists of letters from a to z, and dashes")
    return _numbered_row(action)


def _numbered_row(entry: Action | Report) -> _Row:
    _check(1 <= entry.seq <= MAX_NUMBER, f"a seq is a number from 1 to {MAX_NUMBER}")
    _check(_is_room(entry.room), "a room is the key of a room, or empty")
    _check(len(entry.msg.encode()) <= MAX_OBJECT, f"a msg has at most {MAX_OBJECT} bytes")
    *fields, seq = msgspec.structs.astuple(entry)
    return seq, *fields


def _is_hash(password: str) -> bool:
    try:
        extract_parameters(password)
    except InvalidHashError:
        return False
    return True


def _is_nick(key: str) -> bool:
    return names.author(key).key == key


def _is_room(key: str) -> bool:
    return not key or names.room(key).key == key


def _check(fits: bool, otherwise: str) -> None:
    if not fits:
        raise ValueError(otherwise)


_RULE_KEY: Final = 3
"""The first fields of a rule that make it the same: room, kind and subject."""

_TABLES: Final[dict[Kind, _Table]] = {
    "account": _Table(
        "account",
        ("key", "name", "skeleton", "password", "created", "state"),
        ("",),
        _Account,
        _account_row,
        "another account of that nick, or one that looks like it",
    ),
    "token": _Table(
        "token",
        ("digest", "account", "label", "created", "used"),
        (b"",),
        StoredToken,
        _token_row,
        "another token of that secret or label",
    ),
    "rule": _Table(
        "rule", Rule.__struct_fields__, ("",) * _RULE_KEY, Rule, _rule_row, "another rule of that kind about the same"
    ),
    "action": _Table(
        "audit",
        ("seq", *Action.__struct_fields__[:-1]),
        (0,),
        Action,
        _action_row,
        "another action of that number",
    ),
    "report": _Table(
        "report",
        ("seq", *Report.__struct_fields__[:-1]),
        (0,),
        Report,
        _numbered_row,
        "another report of that number",
    ),
}

KINDS: Final = tuple(_TABLES)


def entries(connection: Readable) -> Iterator[dict[str, Any]]:
    """Read everything about accounts, as the fields of `files.Line`."""
    for kind, table in _TABLES.items():
        for row in _rows(connection, table):
            yield {kind: _fields(table, row)}


def _rows(connection: Readable, table: _Table) -> Iterator[_Row]:
    """Read a table in pages, in the order of its first columns."""
    last: _Row = table.start
    first = ", ".join(table.columns[: len(last)])
    marks = ", ".join("?" * len(last))
    sql = f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE ({first}) > ({marks}) ORDER BY {first} LIMIT ?"
    while page := connection.execute(sql, (*last, PAGE)).fetchall():
        yield from page
        last = page[-1][: len(last)]


def _fields(table: _Table, row: _Row) -> dict[str, Any]:
    """Return the fields of a row as JSON has them, in the order of the struct, without those that have the default."""
    values = dict(zip(table.columns, row, strict=True))
    known = [(field.name, field.default) for field in msgspec.structs.fields(table.type)]
    return {name: _plain(name, values[name]) for name, default in known if values[name] != default}


def _plain(name: str, value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return time_text(value) if name in _TIMES else value


class Entry(NamedTuple):
    """An entry that was read from a line."""

    kind: Kind
    row: _Row


def read(kind: Kind, fields: dict[str, Any]) -> Entry:
    """Check the fields of a line. Raises `ValueError` and `WireError`."""
    table = _TABLES[kind]
    for name in _TIMES:
        if isinstance(fields.get(name), str):
            fields[name] = time_milliseconds(fields[name])
            _check(fields[name] >= 0, "a time is not before 1970")
    return Entry(kind, table.row(msgspec.convert(fields, table.type)))


def write(connection: Readable, entry: Entry) -> bool:
    """Write an entry as part of a transaction; False if it is there already. Raises `Conflict`."""
    table, row = _TABLES[entry.kind], entry.row
    size = len(table.start)
    same = " AND ".join(f"{column} = ?" for column in table.columns[:size])
    columns = ", ".join(table.columns)
    there = connection.execute(f"SELECT {columns} FROM {table.name} WHERE {same}", row[:size]).fetchone()
    if there is not None:
        if there == row:
            return False
        raise Conflict(f"there is {table.what}")
    if entry.kind == "token" and connection.execute("SELECT 1 FROM account WHERE key = ?", row[1:2]).fetchone() is None:
        raise Conflict(f"there is no account {row[1]}")
    marks = ", ".join("?" * len(row))
    sql = f"INSERT INTO {table.name} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING RETURNING 1"
    if connection.execute(sql, row).fetchone() is None:
        raise Conflict(f"there is {table.what}")
    return True

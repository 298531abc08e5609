"""The registry of several servers: accounts, tokens, rules and the audit log, in PostgreSQL.

Each change of the rules, and of accounts whose sessions have to end, begins an epoch. The servers are told, read what
has changed since the last epoch that they know, and put it into force.
"""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import astuple, replace
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ... import clock
from ...log import Unavailable
from ...names import Name
from ...registry import MAX_REPORTS, AccountState, Action, Report, StoredAccount, StoredToken
from ...rules import Change, Rule, RuleKey, Rules
from .database import LONG_SECONDS, Connection, Database, fetch
from .news import News
from .text import from_sql, to_sql

_log = Logger("twisted_chat.stores.postgresql")
_T = TypeVar("_T", Rule, Action, Report)


class PostgreSQLRegistry:
    """The registry in a database; see `registry.Registry`."""

    def __init__(self, database: Database, reactor: Any) -> None:
        self._database = database
        self._reactor = reactor
        self._followers: list[Callable[[str], object]] = []
        self.rules = Rules()
        self._epoch = 0
        """The epoch whose changes are in force here."""
        self._is_reading = False

    async def start(self) -> None:
        """Load the rules. A million of them take some 10 s, longer than other operations may."""
        now = clock.milliseconds(self._reactor)
        await self._database.attempt(fetch(_FORGET_RULES, now), seconds=LONG_SECONDS)
        ((self._epoch,),) = await self._database.attempt(fetch("SELECT epoch FROM store"))
        rows = await self._database.attempt(fetch(_RULES, now), seconds=LONG_SECONDS)
        self._apply_all(rows)
        self._database.follow(self._told, self._check)

    def _apply_all(self, rows: list[Any]) -> None:
        """Put the rules into force at the start.

        Nothing of them is garbage, and a collector that examined them again and again would take half of the time.
        """
        gc.disable()
        try:
            self.rules.apply(Change(made=tuple(_structs(Rule, rows))))
        finally:
            gc.enable()

    def follow(self, heard: Callable[[str], object]) -> None:
        self._followers.append(heard)

    def _end_sessions(self, key: str) -> None:
        for heard in self._followers:
            heard(key)

    # Changes

    async def _begun(self, epoch: int, apply: Callable[[], object]) -> None:
        """Put a change of this server into force, after those of the epochs before it."""
        if epoch == self._epoch + 1:
            self._epoch = epoch
            apply()
        elif epoch > self._epoch:
            with suppress(Unavailable):  # the change is stored, and read with the next check
                await self._read_changes()

    def _told(self, news: News) -> None:
        if news.epoch > self._epoch and not self._is_reading:
            self._database.run(self._read_changes()).addErrback(self._not_read)

    def _not_read(self, failure: Any) -> None:
        if not failure.check(Unavailable):
            _log.failure("The rules of other servers could not be read; they are read within seconds", failure)

    async def _check(self, connection: Connection) -> None:
        """Look for changes that were missed."""
        if await connection.fetchval("SELECT epoch FROM store") > self._epoch and not self._is_reading:
            await self._read_changes()

    async def _read_changes(self) -> None:
        """Read what has changed since the last known epoch, and put it into force."""
        self._is_reading = True
        try:
            while True:
                known = self._epoch
                ((epoch,),) = await self._database.attempt(fetch("SELECT epoch FROM store"))
                if epoch == known:
                    return
                rows = await self._database.attempt(fetch(_CHANGED, known))
                keys = await self._database.attempt(fetch(_ENDED, known))
                if self._epoch != known:
                    continue  # a change of this server has come first
                self._epoch = epoch
                made = _structs(Rule, [row[1:] for row in rows if not row[0]])
                ended = [RuleKey(*row[1:4]) for row in rows if row[0]]
                self.rules.apply(Change(tuple(made), tuple(ended)))
                for (key,) in keys:
                    self._end_sessions(key)
        finally:
            self._is_reading = False

    # Accounts

    def find(self, key: str) -> Deferred[StoredAccount | None]:
        return self._one(f"SELECT {_ACCOUNT} FROM account WHERE key = $1", key).addCallback(_maybe, _account)

    def find_alike(self, skeleton: str) -> Deferred[Name | None]:
        row = self._one("SELECT name, key FROM account WHERE skeleton = $1", skeleton)
        return row.addCallback(_maybe, lambda row: Name(*row))

    def add(self, account: StoredAccount) -> Deferred[bool]:
        row = (account.name.shown, account.name.key, account.skeleton, account.password, account.created, account.state)
        return self._fetch(_ADD, *row).addCallback(bool)

    def set_password(self, key: str, old: str, new: str) -> Deferred[bool]:
        # A hash has random salt: if it is there already, this was stored before, and nobody knew.
        sql = "UPDATE account SET password = $3 WHERE key = $1 AND password IN ($2, $3) RETURNING 1"
        return self._fetch(sql, key, old, new).addCallback(bool)

    def set_state(self, key: str, state: AccountState) -> Deferred[bool]:
        return self._database.run(self._set_state(key, state))

    async def _set_state(self, key: str, state: AccountState) -> bool:
        ((epoch,),) = await self._database.attempt(fetch("SELECT set_state($1, $2)", key, state))
        if epoch is None:
            return False
        if state != "active":
            await self._begun(epoch, lambda: self._end_sessions(key))
        return True

    def accounts(self, after: str, most: int, state: AccountState | None = None) -> Deferred[list[StoredAccount]]:
        which = "key > $1 AND ($3::text IS NULL OR state = $3)"
        sql = f"SELECT {_ACCOUNT} FROM account WHERE {which} ORDER BY key LIMIT $2"
        return self._fetch(sql, after, most, state).addCallback(lambda rows: [_account(row) for row in rows])

    # Tokens

    def add_token(self, token: StoredToken, most: int) -> Deferred[bool]:
        sql = "SELECT add_token($1, $2, $3, $4, $5, $6)"
        row = token.account, to_sql(token.label), token.digest, token.created, token.used
        return self._one(sql, *row, most).addCallback(lambda row: bool(row[0]))

    def find_token(self, digest: bytes) -> Deferred[StoredToken | None]:
        return self._one(f"SELECT {_TOKEN} FROM token WHERE digest = $1", digest).addCallback(_maybe, _token)

    def use_token(self, digest: bytes, time: int) -> Deferred[None]:
        return self._fetch("UPDATE token SET used = $2 WHERE digest = $1", digest, time).addCallback(_nothing)

    def tokens(self, key: str) -> Deferred[list[StoredToken]]:
        sql = f"SELECT {_TOKEN} FROM token WHERE account = $1 ORDER BY label"
        return self._fetch(sql, key).addCallback(lambda rows: [_token(row) for row in rows])

    def revoke_tokens(self, key: str, label: str | None = None) -> Deferred[int]:
        sql = "DELETE FROM token WHERE account = $1 AND ($2::text IS NULL OR label = $2) RETURNING 1"
        return self._fetch(sql, key, label and to_sql(label)).addCallback(len)

    # Rules, the audit log, and reports

    def act(
        self, action: Action, change: Change | None = None, check: Callable[[], object] | None = None
    ) -> Deferred[Action]:
        return self._database.run(self._act(action, change, check))

    async def _act(self, action: Action, change: Change | None, check: Callable[[], object] | None = None) -> Action:
        made = ended = None
        if change is not None:
            stored = self._with_over(change)
            made = msgspec.json.encode([replace(rule, msg=to_sql(rule.msg)) for rule in stored.made]).decode()
            ended = msgspec.json.encode([key._asdict() for key in stored.ended]).decode()
        mark = str(uuid.uuid4())
        while True:
            known = None
            if check is not None:
                check()
                known = self._epoch
            ((seq, epoch),) = await self._database.attempt(fetch(_ACT, mark, *_row(action), made, ended, known))
            if seq is not None:
                break
            await self._read_changes()  # another server has changed the room's rules, which have to be checked again
        if change is not None:
            await self._begun(epoch, lambda: self.rules.apply(change))
        return replace(action, seq=seq)

    def _with_over(self, change: Change) -> Change:
        """Let a change end the rules that are over, too, in the rooms in which it makes others."""
        now = clock.milliseconds(self._reactor)
        over = [self.rules.forget_over(room, now) for room in {rule.room for rule in change.made}]
        return Change(change.made, (*change.ended, *chain(*over)))

    def actions(self, room: str | None, before: int, most: int) -> Deferred[list[Action]]:
        which, of = ("", ()) if room is None else ("room = $3 AND", (room,))
        sql = f"SELECT {_ACTION}, seq FROM audit WHERE {which} seq < $1 ORDER BY seq DESC LIMIT $2"
        return self._fetch(sql, before, most, *of).addCallback(lambda rows: _structs(Action, rows))

    def report(self, report: Report, most: int = MAX_REPORTS) -> Deferred[Report]:
        stored = self._one("SELECT report($1, $2, $3, $4, $5, $6, $7)", str(uuid.uuid4()), *_row(report), most)
        return stored.addCallback(lambda row: replace(report, seq=row[0]))

    def reports(self, after: int, most: int) -> Deferred[list[Report]]:
        sql = f"SELECT {_REPORT}, seq FROM report WHERE seq > $1 ORDER BY seq LIMIT $2"
        return self._fetch(sql, after, most).addCallback(lambda rows: _structs(Report, rows))

    def finish_reports(self, seq: int) -> Deferred[None]:
        return self._fetch("DELETE FROM report WHERE seq <= $1", seq).addCallback(_nothing)

    # The database

    def _fetch(self, sql: str, *args: object) -> Deferred[list[Any]]:
        return self._database.run(self._database.attempt(fetch(sql, *args)))

    def _one(self, sql: str, *args: object) -> Deferred[Any]:
        return self._fetch(sql, *args).addCallback(lambda rows: rows[0] if rows else None)

    def close(self) -> Deferred[None]:
        return succeed(None)  # the log closes the database


def _maybe(row: Any, make: Callable[[Any], Any]) -> Any:
    return None if row is None else make(row)


def _nothing(_: object) -> None:
    """Have no result."""


def _account(row: Sequence[Any]) -> StoredAccount:
    name, key, skeleton, password, created, state = row
    return StoredAccount(name=Name(name, key), skeleton=skeleton, password=password, created=created, state=state)


def _token(row: Sequence[Any]) -> StoredToken:
    account, label, digest, created, used = row
    return StoredToken(account=account, label=from_sql(label), digest=digest, created=created, used=used)


def _row(numbered: Action | Report) -> list[Any]:
    """Return the fields of an entry but for its number, which is the last one."""
    return [to_sql(field) if isinstance(field, str) else field for field in astuple(numbered)[:-1]]


def _structs(type: type[_T], rows: Iterable[Iterable[Any]]) -> list[_T]:
    """Make structs of rows that have their fields in order."""
    names = type.__struct_fields__
    structs = []
    texts: dict[str, str] = {}  # most texts of a million rules are the same ones
    for row in rows:
        fields: list[Any] = [
            texts.setdefault(field, from_sql(field)) if isinstance(field, str) else field for field in row
        ]
        structs.append(type(**dict(zip(names, fields, strict=True))))
    return structs


_ACCOUNT: Final = "name, key, skeleton, password, created, state"
_TOKEN: Final = "account, label, digest, created, used"
_RULE: Final = "room, kind, subject, shown, address, value, until, msg, author, time"
_ACTION: Final = "kind, author, account, room, target, value, msg, until, time"
_REPORT: Final = "room, of, author, msg, time"

# The hash of a password has random salt. If the same one is there, this was stored before, and nobody knew.
_ADD: Final = f"""
WITH added AS (INSERT INTO account ({_ACCOUNT}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING 1)
SELECT FROM added UNION ALL SELECT FROM account WHERE key = $2 AND password = $4 AND password <> ''"""

_ACT: Final = "SELECT * FROM act($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"

_RULES: Final = f"SELECT {_RULE} FROM rule WHERE ended IS NULL AND (until IS NULL OR until > $1)"

_CHANGED: Final = f"SELECT ended IS NOT NULL, {_RULE} FROM rule WHERE changed > $1 ORDER BY changed"

_ENDED: Final = "SELECT key FROM account WHERE ended > $1 ORDER BY key"

_FORGET_RULES: Final = """
DELETE FROM rule WHERE ended < now() - interval '7 days' OR until < $1::bigint - 7 * 86400000::bigint"""

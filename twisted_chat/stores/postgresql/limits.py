"""The limits that the servers of a cluster share, in unlogged tables; see `shared_limits.SharedLimits`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ...shared_limits import ACCOUNT, ADDRESS, FORGET_SECONDS, Growth, Permission
from .database import Database, fetch


class PostgreSQLLimits:
    """The limits of all servers on a database. The time is that of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_login(self, account: str, network: str) -> Deferred[Permission]:
        sql = "SELECT * FROM begin_login($1, $2, $3, $4, $5)"
        row = account, network, ACCOUNT.free, ADDRESS.free, FORGET_SECONDS
        return self._fetch(sql, *row).addCallback(lambda rows: Permission(*rows[0]))

    def login_failed(self, account: str, network: str) -> Deferred[None]:
        return self._database.run(self._login_failed(account, network))

    async def _login_failed(self, account: str, network: str) -> None:
        await self._count(f"account {account}", ACCOUNT)
        if network:
            await self._count(f"network {network}", ADDRESS)

    async def _count(self, key: str, growth: Growth) -> None:
        work = fetch("SELECT login_failed($1, $2, $3, $4, $5)", key, *growth, FORGET_SECONDS)
        await self._database.attempt(work)

    def login_succeeded(self, account: str, network: str) -> Deferred[None]:
        sql = "SELECT login_succeeded($1, $2)"
        return self._fetch(sql, account, network).addCallback(_nothing)

    def note_owner(self, account: str, network: str) -> Deferred[None]:
        return self._fetch("SELECT note_owner($1, $2)", account, network).addCallback(_nothing)

    def take(self, key: str, rate: float, burst: float) -> Deferred[float]:
        return self._fetch("SELECT take($1, $2, $3)", key, rate, burst).addCallback(lambda rows: float(rows[0][0]))

    def _fetch(self, sql: str, *args: object) -> Deferred[list[Any]]:
        return self._database.run(self._database.attempt(fetch(sql, *args)))


def _nothing(_: object) -> None:
    """Have no result."""

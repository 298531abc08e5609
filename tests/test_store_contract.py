"""The contract of a store, for each store; a new one is one more class."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from twisted_chat.log import Log

from . import store_contract
from .helpers import FakeLog
from .postgresql import PostgreSQLTestCase


class SQLiteInMemoryTests(store_contract.StoreContract):
    """SQLite's store, with nothing on disk."""

    def open_log(self) -> Log:
        return self.open_store(":memory:")


class SQLiteOnDiskTests(store_contract.StoreContract):
    """SQLite's store, in a file."""

    def open_log(self) -> Log:
        return self.open_store()


class SQLiteThatSurvivesPowerCutsTests(store_contract.StoreContract):
    """SQLite's store, where each turn waits for the disk."""

    def open_log(self) -> Log:
        return self.open_store(durability="power")


class FakeTests(store_contract.StoreContract):
    """The fake store of the other tests does what the real ones do."""

    def open_log(self) -> Log:
        return FakeLog()


class PostgreSQLTests(PostgreSQLTestCase, store_contract.StoreContract):
    """The store of several servers."""

    def open_log(self) -> Deferred[Log]:
        return self.open_postgresql().addCallback(lambda opened: opened.log)

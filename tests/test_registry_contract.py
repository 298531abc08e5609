"""The contract of a registry, for each registry; a new one is one more class."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from twisted_chat.registry import Registry

from . import memory_registry, registry_contract
from .postgresql import PostgreSQLTestCase


class MemoryTests(registry_contract.RegistryContract):
    """The registry of the other tests does what the real ones do."""

    def open_registry(self) -> Registry:
        return memory_registry.MemoryRegistry()


class SQLiteInMemoryTests(registry_contract.RegistryContract):
    """SQLite's registry, with nothing on disk."""

    def open_registry(self) -> Registry:
        return self.open_sqlite_registry(":memory:")


class SQLiteOnDiskTests(registry_contract.RegistryContract):
    """SQLite's registry, in a file."""

    def open_registry(self) -> Registry:
        return self.open_sqlite_registry()


class SQLiteThatSurvivesPowerCutsTests(registry_contract.RegistryContract):
    """SQLite's registry, where each change waits for the disk."""

    def open_registry(self) -> Registry:
        return self.open_sqlite_registry(durability="power")


class PostgreSQLTests(PostgreSQLTestCase, registry_contract.RegistryContract):
    """The registry of several servers."""

    def open_registry(self) -> Deferred[Registry]:
        return self.open_postgresql().addCallback(lambda opened: opened.registry)

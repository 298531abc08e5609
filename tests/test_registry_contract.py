"""The contract of a registry, for each registry; a new one is one more class."""

from __future__ import annotations

from twisted_chat.registry import Registry

from . import memory_registry, registry_contract


class MemoryTests(registry_contract.RegistryContract):
    """The registry of the other tests does what the real ones do."""

    def open_registry(self) -> Registry:
        return memory_registry.MemoryRegistry()

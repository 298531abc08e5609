"""The client that needs no Twisted has the library's names; where it has not, there is a reason."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import client as library
from twisted_chat.client import blocking

ONLY_LIBRARY = {
    "Answer": "a call of the other returns when there is an answer",
}

ONLY_BLOCKING = {
    "Client.say": "who enters one room at the start talks there, without a name for it",
    "Client.receive": "one thread can wait for all rooms in one place; a coroutine waits for each",
    "Client.timeout": "a thread that waits cannot be cancelled",
}

OTHER_PARAMETERS = {
    "connect": "an address in place of an endpoint, and what else belongs to it; no reactor",
    "Client": "as `connect`",
    "Room.say": "`wait=False` in place of an answer that nobody awaits",
    "Room.receive": "`timeout`: a thread that waits cannot be cancelled",
}


def names(module: Any) -> set[str]:
    """List the public names of a client: those of its module, and what its two classes have."""
    members = {f"{kind}.{name}" for kind in ("Client", "Room") for name in dir(getattr(module, kind))}
    return {name for name in {*module.__all__, *members} if "._" not in name}


def fields(kind: type) -> set[str]:
    if dataclasses.is_dataclass(kind):
        return {field.name for field in dataclasses.fields(kind)}
    return set(kind.__struct_fields__) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else set()


class NamesTests(SynchronousTestCase):
    def test_both_have_the_same(self) -> None:
        self.assertEqual(names(library) - names(blocking), set(ONLY_LIBRARY))
        attributes = {"Client.timeout"}  # set when a client is made
        self.assertEqual(names(blocking) - names(library), set(ONLY_BLOCKING) - attributes)

    def test_what_is_said_of_events_is_the_same(self) -> None:
        for name in blocking.__all__:
            self.assertEqual(fields(getattr(library, name)), fields(getattr(blocking, name)), name)

    def test_errors_and_states_are_the_same(self) -> None:
        for name in (
            "ChatError",
            "RequestError",
            "UnreachableError",
            "ClosedError",
            "State",
            "StateChanged",
            "RoomLost",
            "NewLog",
        ):
            self.assertIs(getattr(library, name), getattr(blocking, name))

    def test_calls_have_the_same_parameters(self) -> None:
        for name in names(library) & names(blocking):
            one, other = (self.parameters(module, name) for module in (library, blocking))
            if name in OTHER_PARAMETERS:
                self.assertNotEqual(one, other, f"{name} is listed and need not be")
            else:
                self.assertEqual(one, other, name)

    def parameters(self, module: Any, name: str) -> list[tuple[str, Any]]:
        thing = module
        for part in name.split("."):
            thing = getattr(thing, part)
        if isinstance(thing, type) and (issubclass(thing, Exception) or fields(thing) or hasattr(thing, "__members__")):
            return []
        if not callable(thing):
            return []
        return [(one.name, one.default) for one in inspect.signature(thing).parameters.values()]

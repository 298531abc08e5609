"""The part that the clients for Twisted and for threads have in common: what a program can read of them at any time."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any, Final

from .engine import Engine
from .errors import ChatError
from .membership import Membership
from .requests import Request
from .states import State

SELF: Final = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)


def describe(method: Callable[..., Any], action: Callable[..., Any], given: int = 0) -> None:
    """Give a method the name, the description and the parameters of the action that it asks for.

    The first `given` parameters are not among them, since the method passes them itself.
    """
    method.__name__ = action.__name__
    method.__qualname__ = action.__qualname__
    method.__doc__ = action.__doc__
    parameters = list(signature(action).parameters.values())[given:]
    vars(method)["__signature__"] = Signature([SELF, *parameters])


class RoomShell:
    """A room that the client is in, as far as it is the same for all clients."""

    _membership: Membership

    def __repr__(self) -> str:
        return f"<Room {self.name}>"

    @property
    def name(self) -> str:
        """The name of the room, in the spelling in which it was first written."""
        return self._membership.name

    @property
    def topic(self) -> str:
        """The topic, as far as the client knows it."""
        return self._membership.topic

    @property
    def count(self) -> int:
        """The number of members, as far as the client knows it."""
        return self._membership.count

    @property
    def oldest(self) -> int:
        """The number of the oldest message that was kept when the client last joined."""
        return self._membership.oldest


class ClientShell:
    """A client, as far as it is the same for all of them."""

    _engine: Engine

    @property
    def nick(self) -> str:
        """The client's nick, in the server's spelling."""
        return self._engine.nick

    @property
    def account(self) -> bool:
        """True while the client is logged in to the account of its nick."""
        return self._engine.account

    @property
    def guests(self) -> bool:
        """False if a guest can do nothing on this server but register or log in."""
        return self._engine.guests

    @property
    def direct(self) -> dict[str, int] | None:
        """The newest number of the direct messages with each account, by nick, for the next run's `direct`.

        None for a guest, and until the server has listed these accounts.
        """
        return self._engine.direct

    @property
    def server(self) -> str:
        """The name and version of the server."""
        return self._engine.server

    @property
    def limits(self) -> dict[str, int]:
        """The limits of the server, by name."""
        return self._engine.limits

    @property
    def state(self) -> State:
        """The state of the client's connection."""
        return self._engine.state

    @property
    def error(self) -> ChatError | None:
        """Why the client is closed; None while it is not. If the server refuses it, `__cause__` has the code."""
        return self._engine.error

    @property
    def unanswered(self) -> int:
        """The number of unanswered requests and messages."""
        return self._engine.owed

    @property
    def waiting(self) -> list[Request]:
        """The unanswered requests and messages, in the order of asking.

        Without a connection they wait for the next one. Closing the client without `flush` drops them; those with
        `changes` (messages, topics, what is done about accounts) are lost then.
        """
        return self._engine.waiting

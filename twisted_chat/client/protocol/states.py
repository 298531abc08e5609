"""The state of a client's connection, and the events about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .errors import RequestError


class State(enum.Enum):
    """The state of a client's connection."""

    CONNECTING = "connecting"
    """The first connection is being made."""
    CONNECTED = "connected"
    """The server has said welcome."""
    WAITING = "waiting"
    """The connection was lost. The next try comes after a pause."""
    CLOSED = "closed"
    """The client is closed for good."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state of the client's connection changed, or the reason why it waits."""

    state: State
    reason: str = ""
    """Why there is no connection, for a person."""


@dataclass(frozen=True, slots=True)
class RoomLost:
    """The client was put out of a room, or the server refuses to let it back in. It does not try again by itself.

    An iteration over the room raises the error, too.
    """

    room: str
    error: RequestError
    """Its `code` is `kicked` for a client that was put out, or that of the refused join."""


@dataclass(frozen=True, slots=True)
class NewLog:
    """The log of a room is a new one, and its numbers start again: the server lost the old one, or has a backup."""

    room: str

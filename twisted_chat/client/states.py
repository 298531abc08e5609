"""Where a client stands with its server, and what it tells of that."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .errors import ChatError


class State(enum.Enum):
    """Where a client stands with its server."""

    CONNECTING = "connecting"
    """The first connection is being made."""
    CONNECTED = "connected"
    """The server has said welcome."""
    WAITING = "waiting"
    """The connection was lost; the next try comes after a pause."""
    CLOSED = "closed"
    """For good."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The client's connection came or went."""

    state: State
    reason: str = ""
    """For a person: what the server said when it stopped, or how the connection broke."""


@dataclass(frozen=True, slots=True)
class RoomLost:
    """The server does not let the client into a room again; whoever iterates over it gets the error too."""

    room: str
    error: ChatError


@dataclass(frozen=True, slots=True)
class NewLog:
    """A room's log is a new one, as where a server that keeps nothing on disk was started again: numbers begin anew."""

    room: str

"""The events that the engine emits for its shell, beside the notices of `objects` and the events of `states`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import ChatError
from .membership import Membership
from .requests import Request


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server has let the client in."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request has its answer."""

    request: Request
    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """A request was refused, or will never be answered."""

    request: Request
    error: ChatError


@dataclass(frozen=True, slots=True)
class Entered:
    """A room was joined for the first time."""

    membership: Membership


@dataclass(frozen=True, slots=True)
class Heard:
    """A room may have messages to be taken (`Engine.take`)."""

    membership: Membership


@dataclass(frozen=True, slots=True)
class Ended:
    """The client is no longer in a room, or was not let in."""

    membership: Membership
    error: ChatError


@dataclass(frozen=True, slots=True)
class Closed:
    """The client is closed: nothing comes any more."""

    error: ChatError

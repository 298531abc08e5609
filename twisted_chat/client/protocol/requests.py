"""The requests of a client, and the functions that read their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from . import objects
from .objects import Object

Kind = Literal["message", "topic", "nick", "members", "rooms", "history", "join", "leave", "hello", "ping", "quit"]
"""The kinds of requests. Those from `join` on are the engine's own."""


@dataclass(eq=False, slots=True)
class Request:
    """A request or message: what it is and about whom, and the server's number and time of an acked message."""

    kind: Kind
    room: str | None = None
    """The room that it is about, if any."""
    nick: str | None = None
    """The recipient of a direct message, or the new nick."""
    text: str | None = field(default=None, repr=False)
    """The text of the message, or the new topic. It is not in the `repr`, which may be logged."""
    seq: int | None = None
    """The number of a message in its log, once it is acked. A message that is not kept has none."""
    time: str | None = None
    """The server's time of a message, as on the wire, once it is acked."""
    id: str = ""
    """The id that its answer carries on the wire."""

    @property
    def changes(self) -> bool:
        """True if something is lost without an answer: for a message, a topic, a nick. The others are questions."""
        return self.kind in ("message", "topic", "nick")

    @property
    def refusal(self) -> str:
        """The words for a person when it is refused, before the server's reason. They never contain the text."""
        match self.kind:
            case "message":
                return f"a message to {self.nick or self.room} was refused"
            case "topic":
                return f"the topic of {self.room} was not changed"
            case "nick":
                return f"the nick was not changed to {self.nick}"
            case "members":
                return f"the members of {self.room} cannot be listed"
            case "rooms":
                return "the rooms cannot be listed"
            case "history":
                return f"the history of {self.room} cannot be read"
            case "join":
                return f"{self.room} cannot be joined"
            case "leave":
                return f"{self.room} cannot be left"
        return ""  # with a hello the client itself is refused, and nobody waits for a ping or a quit


def _whole(obj: Object) -> Object:
    return obj


def _nothing(_: Object) -> None:
    return None


ANSWERS: Final[dict[Kind, tuple[str, Callable[[Object], Any]]]] = {
    "message": ("ack", _whole),
    "topic": ("topic", _nothing),
    "nick": ("nick", lambda obj: objects.field(obj, "nick", str)),
    "members": ("members", objects.read_members),
    "rooms": ("rooms", objects.read_rooms),
    "history": ("history", _whole),
    "join": ("joined", _whole),
    "leave": ("left", _nothing),
    "hello": ("welcome", _whole),
    "ping": ("pong", _nothing),
    "quit": ("stop", _nothing),
}
"""The type of each answer, and the function that reads it. The engine reads the whole ones itself."""

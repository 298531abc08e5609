"""What a client asks of its server, and how each answer is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from . import objects
from .objects import Object

Kind = Literal["message", "topic", "nick", "members", "rooms", "history", "join", "leave", "hello", "ping", "quit"]
"""What can be asked. The last three, and `join` and `leave`, are the engine's own."""


@dataclass(eq=False, slots=True)
class Request:
    """Something that was asked of the server: what, of whom, and the server's number and time where it was acked."""

    kind: Kind
    room: str | None = None
    """The room that it is about."""
    nick: str | None = None
    """The nick that a message is for, or the new nick."""
    text: str | None = None
    """The message, or the new topic."""
    seq: int | None = None
    """A message's number in its log, once it is acked; None for one that is not kept."""
    time: str | None = None
    """The server's time of a message, as the wire has it, once it is acked."""
    id: str = ""
    """The name by which its answer is known on the wire."""

    @property
    def changes(self) -> bool:
        """True where something is lost without an answer: a message, a topic, a nick. The others are questions."""
        return self.kind in ("message", "topic", "nick")

    @property
    def refusal(self) -> str:
        """What is wrong when it is refused, for a person; the server's reason follows. It has no text of a message."""
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
        return ""  # of a hello it is the client that is refused, and nobody waits for a ping or a quit


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
"""The type of each answer, and how it is read. Those that are read whole change what the engine knows."""

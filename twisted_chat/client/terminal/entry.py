"""An entry of a conversation: a message, or a line of the program's own."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ... import names
from ...messages import WireError


class Kind(enum.Enum):
    """The kind of an entry."""

    MESSAGE = "message"
    NOTE = "note"
    """The answer to a command."""
    NOTICE = "notice"
    """Somebody joined, left, or took another nick."""
    ERROR = "error"


class Fate(enum.Enum):
    """The state of a message."""

    PENDING = "pending"
    """A message of one's own without an ack so far."""
    KEPT = "kept"
    REFUSED = "refused"
    DELETED = "deleted"
    """It was deleted, and its text is gone."""


@dataclass(slots=True, eq=False)
class Entry:
    """An entry. Its texts are clean, and the text of a message may have several lines."""

    kind: Kind
    text: str
    time: datetime
    """The time of the message, which is shown as local time."""
    author: str = ""
    seq: int | None = None
    log: int = 0
    """The log that the number belongs to. A server that keeps nothing on disk starts a new one."""
    own: bool = False
    mention: bool = False
    fate: Fate = Fate.KEPT
    laid: tuple[object, Sequence[object]] | None = None
    """Its rows as they were last laid out, and the size for which; `layout.py` keeps them here."""


def key_of(nick: str) -> str:
    """Return the key of a nick, the same for nicks that the server takes for one. Invalid nicks have one, too."""
    try:
        return names.nick(nick).key
    except WireError:
        return nick.casefold()


def now() -> datetime:
    """Return the time of this machine, for entries without a time of the server."""
    return datetime.now(UTC)


def time_of(text: str | None) -> datetime:
    """Return the time of a message, or the present time if it is missing or cannot be read."""
    try:
        time = datetime.fromisoformat(text or "")
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError:
        return now()

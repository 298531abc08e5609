"""An entry of a conversation: a message, or a line of the program's own."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ... import names
from ...messages import WireError


class Kind(enum.Enum):
    """What an entry is."""

    MESSAGE = "message"
    NOTE = "note"
    """The answer to a command."""
    NOTICE = "notice"
    """Somebody joined, left, or took another nick."""
    ERROR = "error"


class Fate(enum.Enum):
    """What became of a message."""

    PENDING = "pending"
    """It is one's own, and has no ack yet."""
    KEPT = "kept"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Entry:
    """One thing that is shown. Its texts are clean; the text of a message may have several lines."""

    kind: Kind
    text: str
    time: datetime
    """When it was said; local time when shown."""
    author: str = ""
    seq: int | None = None
    log: int = 0
    """Which log the number belongs to: a server that keeps nothing on disk starts a new one."""
    own: bool = False
    mention: bool = False
    fate: Fate = Fate.KEPT
    laid: tuple[object, Sequence[object]] | None = None
    """Its rows as they were last laid out, and for what: `layout.py` keeps them here."""


def key_of(nick: str) -> str:
    """The key of a nick: the same for nicks that count as one. Also for what cannot be a nick on this server."""
    try:
        return names.nick(nick).key
    except WireError:
        return nick.casefold()


def now() -> datetime:
    """The time of this machine, for what has no time from the server yet."""
    return datetime.now(UTC)


def time_of(text: str | None) -> datetime:
    """The time of a message; one that is missing or cannot be read is now."""
    try:
        time = datetime.fromisoformat(text or "")
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError:
        return now()

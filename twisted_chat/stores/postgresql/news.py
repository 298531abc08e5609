"""What servers tell each other by notifications, as JSON (`tell` in `schema.sql`)."""

from __future__ import annotations

from typing import Literal

import msgspec


class RoomNews(msgspec.Struct, array_like=True):
    """What a server tells of a room to which it has appended."""

    id: int
    seq: int
    """The newest number."""
    key: str = ""
    """The key of the room, where these are its first messages, so that others do not know its id, or direct ones."""
    first: int = 0
    """The number of the first one of these messages, where there is a key."""


class Event(msgspec.Struct, omit_defaults=True):
    """Something that happens beside the logs; `stores/postgresql/cluster.py` has the kinds."""

    kind: Literal["notice", "count", "reply", "report", "kick", "taken", "lost"]
    server: str = ""
    """The server that tells it; the one that loses a nick which is lost."""
    room: str = ""
    """The key of the room."""
    shown: str = ""
    """The name of the room."""
    nick: str = ""
    """The key of the nick."""
    count: int = 0
    """The number of members of the room that count at that server; the number of a report."""
    reply: str = ""
    """A notice or message, as JSON."""
    author: str = ""
    msg: str = ""
    """The reason; the hash of a token which is taken."""
    is_told: bool = True
    """False if no member is told of a notice, since its author is in the room at another server, too."""


class News(msgspec.Struct, omit_defaults=True):
    """What a server tells the others."""

    server: str = ""
    turn: int = 0
    rooms: list[RoomNews] = []
    states: list[str] = []
    """The keys of rooms of which something else has changed."""
    anew: list[str] = []
    """The keys of rooms that have got records in front of others, or in between: by an import."""
    imports: int = 0
    """The number of imports so far, with this one."""
    epoch: int = 0
    """The epoch of the rules and accounts that has begun."""
    events: list[Event] = []
    parcel: int = 0
    """The number of the parcel that has what was too long to tell."""
    look: bool = False
    """True if a server has begun, ended, or announced anew who is there."""
    all: bool = False
    """Set by the check only: something may have been missed."""


read_news = msgspec.json.Decoder(News).decode

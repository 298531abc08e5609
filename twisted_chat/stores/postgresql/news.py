"""What servers tell each other by notifications, as JSON (`tell` in `schema.sql`).

Whoever may connect to the database may notify, too. So all that goes into a statement later is checked here.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

ServerId: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\Z")]
"""The identity of a server, as PostgreSQL writes a uuid."""

Number: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that PostgreSQL can hold (`bigint`)."""


class RoomNews(msgspec.Struct, array_like=True):
    """What a server tells of a room to which it has appended."""

    id: Number
    seq: Number
    """The newest number."""
    key: str = ""
    """The key of the room, where these are its first messages, so that others do not know its id, or direct ones."""
    first: Number = 0
    """The number of the first one of these messages, where there is a key."""


class Event(msgspec.Struct, omit_defaults=True):
    """Something that happens beside the logs; `stores/postgresql/cluster.py` has the kinds."""

    kind: Literal["notice", "count", "reply", "report", "kick", "taken", "lost"]
    server: ServerId
    """The server that tells it; the one that loses a nick which is lost or taken."""
    room: str = ""
    """The key of the room."""
    shown: str = ""
    """The name of the room."""
    nick: str = ""
    """The key of the nick."""
    count: Number = 0
    """The number of members of the room that count at that server; the number of a report, or of a claim."""
    reply: str = ""
    """A notice or message, as JSON."""
    author: str = ""
    msg: str = ""
    """The reason; the hash of a token which is taken."""
    is_told: bool = True
    """False if no member is told of a notice, since its author is in the room at another server, too."""


class News(msgspec.Struct, omit_defaults=True):
    """What a server tells the others."""

    server: ServerId = ""
    turn: Number = 0
    rooms: list[RoomNews] = []
    states: list[str] = []
    """The keys of rooms of which something else has changed."""
    anew: list[str] = []
    """The keys of rooms that have got records in front of others, or in between: by an import."""
    imports: Number = 0
    """The number of imports so far, with this one."""
    epoch: Number = 0
    """The epoch of the rules and accounts that has begun."""
    events: list[Event] = []
    parcel: Number = 0
    """The number of the parcel that has what was too long to tell."""
    look: bool = False
    """True if a server has begun, ended, or announced anew who is there."""
    all: bool = False
    """Set by the check only: something may have been missed."""


read_news = msgspec.json.Decoder(News).decode

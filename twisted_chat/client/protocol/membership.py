"""A room that the client is in, or wants to be in, over any number of connections."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from ..errors import ChatError
from ..keys import key
from .objects import Object
from .outbox import Outbox
from .partial_log import PartialLog
from .room_reader import RoomReader


class Membership:
    """A room that the client is in, or wants to be in: what is known of it, its cursor and what was said there."""

    def __init__(self, name: str, since: int | None) -> None:
        self.name = name
        self.key = key(name)
        self.topic = ""
        self.count = 0
        """How many members there are."""
        self.oldest = 0
        """The oldest message that was kept when the client joined, last time."""
        self.outbox = Outbox[Any]()
        self.reader: RoomReader[Object] | None = None if since is None else self.read_from(since)
        """Reads on from the cursor; unknown until the first `joined` of a room that is joined where it is now."""
        self.error: ChatError | None = None
        """Why the client is in the room no more; what was heard before can still be taken."""
        self.entered = False
        """The first join was answered."""
        self.leaving = False
        """The program wants to leave."""
        self.tries = 0
        """How often in a row the server did not let the client in again."""
        self.completing = 0
        """The number of the message the rest of whose text is being read, over UDP."""
        self.away()

    def read_from(self, seq: int) -> RoomReader[Object]:
        """Read on behind this number of the log."""
        self.reader = RoomReader(PartialLog[Object](seq), itemgetter("author"))
        return self.reader

    def away(self) -> None:
        """Forget what belongs to a connection."""
        self.joined = False
        """The server has the client in the room, on this connection."""
        self.busy = False
        """A join or leave is under way, or waits to be sent again."""
        self.resting = False
        """The server does not let the client in for now; it is asked again after a pause."""
        self.completing = 0
        if self.reader is not None:
            self.reader.lost()

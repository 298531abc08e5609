"""A room that the client is in, or wants to be in, over any number of connections."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from ..keys import key
from .errors import ChatError
from .objects import Object
from .outbox import Outbox
from .partial_log import PartialLog
from .room_reader import RoomReader


class Membership:
    """A room that the client is in, or wants to be in: what is known of it, the cursor in its log, and its outbox."""

    def __init__(self, name: str, since: int | None) -> None:
        self.name = name
        self.key = key(name)
        self.topic = ""
        self.count = 0
        """The number of members."""
        self.oldest = 0
        """The number of the oldest message that was kept when the client last joined."""
        self.outbox = Outbox[Any]()
        self.reader: RoomReader[Object] | None = None if since is None else self.read_from(since)
        """Reads on from the cursor. A room that is joined without `since` has none until the first `joined`."""
        self.error: ChatError | None = None
        """Why the client is no longer in the room. The messages heard before can still be taken."""
        self.entered = False
        """True once the first join was answered."""
        self.leaving = False
        """True once the program has asked to leave."""
        self.tries = 0
        """The number of refused joins in a row, since the client was last in the room."""
        self.completing = 0
        """Over UDP, the number of the message whose text is being completed."""
        self.away()

    def read_from(self, seq: int) -> RoomReader[Object]:
        """Begin to read the log after this number."""
        self.reader = RoomReader(PartialLog[Object](seq), itemgetter("author"))
        return self.reader

    def away(self) -> None:
        """Forget what belongs to a connection."""
        self.joined = False
        """True while the server has the client in the room, on this connection."""
        self.busy = False
        """True while a join or leave is in flight, or waits to be sent again."""
        self.resting = False
        """True while the server refuses the room for now. The client tries again after a pause."""
        self.completing = 0
        if self.reader is not None:
            self.reader.lost()

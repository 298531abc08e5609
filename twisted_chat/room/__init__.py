"""Rooms: their members, and how messages reach all of them.

A room is a log, and a member is a cursor in it (`members`). The messages of one turn of the reactor (`turn`) are
appended together, written once for each encoding (`page`), and sent once to each member (`appending`). Notices about
members that have left take their turn (`departures`). A member that is behind reads on from its cursor
(`catching_up`), from the newest part of the log, which is in memory (`tail`), or from the store. The chat calls
`rooms`.
"""

from .catching_up import PAGE, PAGES_A_TURN, READ_AGAIN_SECONDS
from .members import Listener, Member, Room
from .page import Page
from .rooms import GATHER_FROM, GATHER_SECONDS, TAIL_BYTES, Rooms
from .turn import Busy, Soon

__all__ = [
    "GATHER_FROM",
    "GATHER_SECONDS",
    "PAGE",
    "PAGES_A_TURN",
    "READ_AGAIN_SECONDS",
    "TAIL_BYTES",
    "Busy",
    "Listener",
    "Member",
    "Page",
    "Room",
    "Rooms",
    "Soon",
]

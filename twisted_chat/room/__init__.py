"""Rooms: their members, and how what is said reaches all of them.

A room is a log, and a member is a cursor in it (`members`). All that happens in one turn of the reactor (`turn`) is
appended at once, written once for each encoding (`page`), and handed once to each member (`appending`); what is told of
those that are gone takes its turn (`departures`). A member that is behind reads on from its cursor (`catching_up`), out
of the newest part of the log that is in memory (`tail`) or out of the store. `rooms` is what the chat calls.
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

"""What a store has to do: keep each room's log, read pages of it, and keep the topics of rooms.

A room is a log: a message is appended, gets a number that rises strictly in its room, and can be read from any place.
`stores/sqlite` is one such store; another store is another package that offers `Log` and `RoomLog`. This module has no
code of its own to run; it holds the words that the stores and the rooms share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from twisted.internet.defer import Deferred

from .names import Name


class Unusable(Exception):
    """The store cannot be opened. Its text is a sentence for the person who starts the server."""


class Unavailable(Exception):
    """Nothing was stored this time, for example because the disk is full. The same may work later."""


class Record(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A message out of the log, or an entry of another kind.

    Many of them stay in memory, so the garbage collector is not to look at each.
    """

    seq: int
    time: int
    """Milliseconds since 1970."""
    author: str
    msg: str
    kind: str = ""
    """Empty for a message. A reader passes over kinds that it does not know."""
    of: int | None = None
    """The number of the message that an entry of another kind is about."""


class Entry(msgspec.Struct, eq=False, gc=False):
    """A message, or an entry of another kind, on its way into the log.

    `Log.append` sets `seq` and `time`, and `fresh`: whether it was stored now. One that the log had already, by its
    author and `id`, gets the first one's `seq` and `time` and is not fresh.
    """

    room: RoomLog
    author: Name
    msg: str
    id: str | None = None
    origin: Any = None
    """Whoever has to be told; the log does not look at it."""
    seq: int = 0
    time: int = 0
    fresh: bool = False
    kind: str = ""
    of: int | None = None
    """As in `Record`."""


Heard = Callable[[Sequence[Record]], None]
"""Called with the records that a room's log has got, in the order of their numbers; see `RoomLog.follow`."""


class RoomLog(Protocol):
    """The log of one room. Two `RoomLog` of one room are one object."""

    name: Name
    topic: str
    seq: int
    """The newest number, 0 in an empty log; everything up to it is stored for good."""
    oldest: int
    """The oldest number that is still stored, 0 in a log in which nothing was ever said. Where everything was deleted,
    it is the number after `seq`: a reader that has everything in front of `oldest` has missed nothing."""
    epoch: int
    """Changes when the log has got records that no follower was handed: in front of others (an import), or too many at
    once. What is remembered of the log may have gaps then; `after` has everything."""

    def follow(self, heard: Heard) -> None:
        """Hand all that is appended from now on to `heard`, in order, each record once, whoever appended it.

        `heard` is called once `seq` covers the records, and for those of `Log.append` before that fires (`append_now`:
        before it returns), with all of a turn at once. An entry of this process that is among the records has its `seq`
        and `fresh` set by then, and so an author can be acked when its own record comes by; an entry that is not fresh
        is in no record. Where `epoch` has changed since the last call, there is more in front of these records than was
        handed on, up to `seq` if there are none: that has to be read with `after`.

        A log has one follower; another one takes its place.
        """

    def unfollow(self) -> None:
        """Hand nothing more to the follower."""

    def after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read at most `most` records behind `seq`, in order, with about `most_bytes` of text.

        There is at least one record if there is any behind `seq`. Fails with `Unavailable`.
        """

    def before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read the newest records in front of `seq`, in order, otherwise as `after`."""

    def set_topic(self, topic: str) -> Deferred[None]:
        """Store a topic. Fails with `Unavailable`."""


class RoomSummary(NamedTuple):
    """A room that the store has, whether anybody is in it or not."""

    name: Name
    topic: str


class Log(Protocol):
    """A store of logs."""

    def open(self, name: Name) -> Deferred[RoomLog]:
        """Open a room's log. A log in which nothing was said leaves no trace. Fails with `Unavailable`."""

    def append_now(self, entries: Sequence[Entry], time: int) -> bool:
        """Append at once if nothing has to be waited for; False if nothing was done, for whatever reason."""

    def append(self, entries: Sequence[Entry], time: int) -> Deferred[None]:
        """Append the entries of one turn, all or none, with `time` (milliseconds since 1970).

        Fires when they are stored. Fails with `Unavailable`. There is one append at a time: the next call comes after
        the last one has fired.
        """

    def rooms(self, most: int) -> Deferred[list[RoomSummary]]:
        """List at most `most` rooms that have messages or a topic, by name. Fails with `Unavailable`."""

    def flush(self) -> Deferred[None]:
        """Do now what the store otherwise does in the background; fires when nothing is left to do.

        Nothing that `append` has stored depends on it. Fails with `Unavailable`.
        """

    def close(self) -> Deferred[None]:
        """Finish what is under way, and close all files and threads."""

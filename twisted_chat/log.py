"""The interface of stores: a log for each room, pages of it, and the topics of the rooms.

A room is a log: a message is appended, gets a number that rises strictly in its room, and can be read from any place.
`stores/sqlite` is one store. Another one is another package with a `Log` and a `RoomLog`. This module has the types
that stores and rooms share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from twisted.internet.defer import Deferred

from .names import Name


class Unusable(Exception):
    """The store cannot be opened. Its text is a sentence for the person who starts the server."""


class Unavailable(Exception):
    """Nothing was stored this time, for example because the disk is full. The same may work later."""


DELETE: Final = "delete"
"""The kind of an entry that takes away the text of an earlier message, in the turn in which it is appended."""


class Record(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A message in a log, or an entry of another kind that is in it.

    Many records stay in memory, and the garbage collector does not examine them.
    """

    seq: int
    time: int
    """Milliseconds since 1970."""
    author: str
    msg: str
    kind: str = ""
    """Empty for a message. Readers pass over kinds that they do not know."""
    of: int | None = None
    """The number of the message that an entry of another kind is about."""
    deleted: int = 0
    """The number of the entry that took its text away; 0 for one that has its text."""

    def without_text(self, deleted: int) -> Record:
        """Return the record as it is once an entry with this number has taken its text away."""
        return Record(self.seq, self.time, self.author, "", self.kind, self.of, deleted)


kind_of = attrgetter("kind")
"""Returns the kind of a record. With `map`, it finds out about many without a step in Python for each."""


class Entry(msgspec.Struct, eq=False, gc=False):
    """A message, or an entry of another kind, on its way into the log.

    `Log.append` sets `seq`, `time` and `fresh`, which is true if the entry was stored now. If the log already has a
    message with the same author and `id`, the entry gets the `seq` and `time` of that one, and is not fresh.
    """

    room: RoomLog
    author: Name
    msg: str
    id: str | None = None
    origin: Any = None
    """The one who made the entry, for the caller. The log ignores it."""
    seq: int = 0
    time: int = 0
    fresh: bool = False
    kind: str = ""
    of: int | None = None
    """As in `Record`."""


Heard = Callable[[Sequence[Record]], None]
"""A function that is called with the new records of a room's log, in order; see `RoomLog.follow`."""


class RoomLog(Protocol):
    """The log of one room. A room has one `RoomLog` at a time."""

    name: Name
    topic: str
    seq: int
    """The newest number, 0 in an empty log. All messages up to it are stored for good."""
    oldest: int
    """The oldest number that is still stored, 0 in a log without any message so far. If all messages were deleted, it
    is the number after `seq`. So a reader that has all messages before `oldest` has missed nothing."""

    @property
    def is_kept(self) -> bool:
        """True if the store has something of this room: messages, a topic, or a name until retention forgets it."""

    epoch: int
    """A counter that changes when the log has got records that no follower was handed: older ones, by an import, or too
    many at once. What was remembered of the log may then have gaps; `after` has everything."""

    def follow(self, heard: Heard) -> None:
        """Call `heard` with every record that is appended from now on, in order, each once, no matter who appends it.

        The call comes when `seq` covers the records, with all records of a turn together. For those of `Log.append` it
        comes before the Deferred fires, and with `append_now` before that returns. By then, the entries of this process
        have their `seq` and `fresh`, so an author can be acked when its own record comes by. An entry that is not fresh
        has no record. If `epoch` has changed since the last call, there are records that were not handed over: before
        these ones, or up to `seq` if there are none. They have to be read with `after`.

        A log has one follower. A new one takes the place of the last one.
        """

    def unfollow(self) -> None:
        """Stop calling the follower."""

    def catch_up_to(self, seq: int) -> Deferred[None]:
        """Look for what other servers have appended, up to a number that a client has heard of at one of them.

        The follower is called with it first. If the log has no such number, this does nothing. Fails with
        `Unavailable`.
        """

    def after(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read at most `most` records after `seq`, in order, with about `most_bytes` of text.

        There is at least one record if there is any after `seq`. Fails with `Unavailable`.
        """

    def before(self, seq: int, most: int, most_bytes: int) -> Deferred[list[Record]]:
        """Read the newest records before `seq`, in order, otherwise as `after` does."""

    def seqs_by(self, author: str, seq: int, most: int) -> Deferred[list[int]]:
        """Find the numbers of at most `most` messages of an author, given by its key, after `seq`, in order.

        Messages without their text are left out. Fails with `Unavailable`.
        """

    def set_topic(self, topic: str) -> Deferred[None]:
        """Store a topic. Fails with `Unavailable`."""


class RoomSummary(NamedTuple):
    """A room that the store has, with or without members."""

    name: Name
    topic: str


class DirectSummary(NamedTuple):
    """The log of direct messages with one partner."""

    partner: str
    """The partner's account, as it is shown."""
    seq: int
    """The newest number."""


class Condition(NamedTuple):
    """The condition of a store, for the one who runs the server."""

    trouble: str = ""
    """Why it takes no entries now; empty if it does, as far as can be seen without writing."""
    journal_entries: int = 0
    journal_bytes: int = 0
    """The entries that are stored, and not in their final place yet, and the memory that they take in bytes."""
    files: Mapping[str, int] = MappingProxyType({})
    """The sizes of its files in bytes: `database`, and `wal` for the write-ahead log."""
    patience: float = 5.0
    """Seconds after which the store refuses an entry that it could not store. Until then, an append is only slow."""


class Log(Protocol):
    """A store of logs."""

    def condition(self) -> Condition:
        """Look at the condition of the store, without waiting for anything."""

    @property
    def room_count(self) -> int:
        """The number of rooms of which something is kept; see `RoomLog.is_kept`."""

    most_appends: int
    """The number of appends that may be under way at the same time."""

    def open(self, name: Name) -> Deferred[RoomLog]:
        """Open a room's log. A log without messages leaves no trace. Fails with `Unavailable`."""

    def append_now(self, entries: Sequence[Entry], time: int) -> bool:
        """Append at once if that needs no waiting. False if nothing was done, for any reason."""

    def append(self, entries: Sequence[Entry], time: int) -> Deferred[None]:
        """Append the entries of one turn, all or none, with `time` (milliseconds since 1970).

        An entry of the kind `DELETE` takes the text of the message that it is about out of the log in the same turn:
        whatever is read from then on has `deleted` in its place, and soon no file has the text any more.

        The Deferred fires when they are stored. Fails with `Unavailable`. An append is under way until then. No room is
        in two of them at the same time, and there are at most `most_appends`.
        """

    def rooms_of(self, author: str) -> Deferred[list[Name]]:
        """List the rooms, and logs of direct messages, that have messages of an author, given by its key."""

    def rooms(self, most: int) -> Deferred[list[RoomSummary]]:
        """List at most `most` rooms that have messages or a topic, by name. Fails with `Unavailable`."""

    def directs(self, account: Name, most: int) -> Deferred[list[DirectSummary]]:
        """List up to `most` logs of the direct messages of an account (`names.direct`). Fails with `Unavailable`."""

    def flush(self) -> Deferred[None]:
        """Do all work of the background now. The Deferred fires when nothing is left to do.

        Entries that `append` has stored do not depend on it. Fails with `Unavailable`.
        """

    def close(self) -> Deferred[None]:
        """Finish the work under way, and close all files and threads."""

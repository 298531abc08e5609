"""One conversation as it is shown: its entries in order, the unread ones, and those that are new since the last look.

A room's messages stand in the order of their numbers, no matter how they come: live, from the history, or as one's own.
The latter are shown when they are typed, and move to their place when the ack has their number. A message is shown
once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ..events import Message
from ..library import Room
from ..program.clean import clean, clean_lines
from ..program.notices import DELETED
from ..program.person import NO_ROOM, Direct
from .entry import Entry, Fate, Kind, key_of, now, time_of
from .mentions import mentions

KEPT: Final = 20_000
"""The number of entries of a conversation that stay in memory, some 10 MB. Older ones are in the history, if any is."""

SPARE: Final = 1_000
"""The number of entries beyond that at which the oldest are dropped, so that this does not happen one by one."""

NICKS: Final = 2_000
"""The number of nicks of a conversation that are remembered for completion."""

NOT_SHOWN: Final = "no conversation is shown; Ctrl-N turns to the next one"
"""The words above an empty screen, for a person who was put out of one room and is in others."""


@dataclass(eq=False)
class Pane:
    """One conversation: a room, direct messages with one nick, or neither, which is shown while there is no room."""

    where: Room | Direct | None
    nick: str
    """The nick of this person, for mentions."""
    read_seq: int | None = None
    """The number of the last message that was seen; None in a room in which this person has never been."""
    entries: list[Entry] = field(default_factory=list)
    unread: int = 0
    more_unread: bool = False
    """True if there are more unread messages than those that were read from the log."""
    mentioned: bool = False
    """True if an unread message mentions this person, or is a direct one."""
    marker: Entry | None = None
    """The first new entry, above which a line stands."""
    away: bool = False
    """True after a lost connection: the next entry is new, even in the pane that is shown."""
    draft: str = ""
    """The text that was typed here and not sent."""
    whole: bool = True
    """True if there are no older messages than those here."""
    loading: bool = False
    """True while older messages are requested."""
    pending: int = 0
    """The number of one's own messages without an ack so far."""
    nicks: dict[str, str] = field(default_factory=dict)
    """The nicks of members and speakers, by their keys. The last speaker is the last one."""
    bottom: tuple[Entry, int] | None = None
    """The lowest row that is shown, as an entry and the row in it; None for the newest one at any time."""
    log: int = 0
    newest: int = 0
    """The highest number of this log that is shown."""
    beginning: str = field(init=False)
    """The words above the first entry."""

    def __post_init__(self) -> None:
        self._new_after = self.read_seq
        """The number after which messages are new, for the line above them; None if no line is needed."""
        self._loaded = False
        """True once the newest messages of the history are here."""
        self.beginning = f"this is the beginning of {self.name}" if self.where is not None else NO_ROOM

    @property
    def name(self) -> str:
        """The name, clean. The nick of a direct conversation has an @ in front."""
        if self.where is None:
            return ""
        return clean(self.where.name) if isinstance(self.where, Room) else f"@{clean(self.where.name)}"

    @property
    def oldest(self) -> int | None:
        """The lowest number that is here, if there is one."""
        return next((entry.seq for entry in self.entries if entry.seq is not None and entry.log == self.log), None)

    @property
    def last(self) -> datetime:
        """The time of the last entry."""
        return self.entries[-1].time if self.entries else datetime.min.replace(tzinfo=UTC)

    # New entries

    def begin_log(self) -> None:
        """Called when the room has a new log. Its messages are shown after those of the old one."""
        self.log += 1
        self.newest = 0
        self.read_seq = 0
        self._new_after = None
        self.whole = True

    def hear(self, message: Message) -> Entry | None:
        """Add a live message. Returns its entry, or None if it was here already."""
        return self._add(self._entry(message))

    def load(self, messages: Iterable[Message], more: bool, log: int) -> None:
        """Add a page of history that ends where the oldest entry is."""
        self.loading = False
        if log != self.log:
            return  # the page is of a log that is gone
        oldest = self.oldest
        older: list[Entry] = []
        for message in messages:
            entry = self._entry(message)
            if oldest is None or (entry.seq or 0) < oldest:
                older.append(entry)
            else:
                self._add(entry)
        self.entries[:0] = older
        self.newest = max(self.newest, *(entry.seq or 0 for entry in older), 0)
        self.whole = not (more and older)
        self._mark_unread()

    def fail_to_load(self) -> None:
        """Called when older messages were refused. They are not requested again."""
        self.loading = False
        self.whole = True

    def show(self, kind: Kind, text: str) -> Entry:
        """Add a line of the program itself."""
        entry = Entry(kind, text, now(), log=self.log)
        self._append(entry)
        return entry

    def absorb(self, other: Pane) -> None:
        """Add the entries of another direct conversation, in the order of time."""
        self.entries = sorted([*self.entries, *other.entries], key=lambda entry: entry.time)
        self.unread += other.unread
        self.mentioned |= other.mentioned

    def say(self, text: str) -> Entry:
        """Add a message of this person. `acked` or `refused` is called when its result is known."""
        shown = "\n".join(clean_lines(text))
        entry = Entry(Kind.MESSAGE, shown, now(), clean(self.nick), log=self.log, own=True, fate=Fate.PENDING)
        self.bottom = None
        self.pending += 1
        self.forget_marker()
        self.read()
        self._append(entry)
        return entry

    def acked(self, entry: Entry, seq: int | None, time: str | None = None) -> None:
        """Called when a message of one's own is acked. It gets its number and its time, and moves to its place."""
        self.pending -= 1
        entry.fate = Fate.KEPT
        entry.laid = None
        entry.seq, entry.log = seq, self.log
        if time is not None:
            entry.time = time_of(time)
        if seq is not None and entry in self.entries:
            self.entries.remove(entry)
            self._add(entry)
        if not self.unread:
            self.read()

    def refused(self, entry: Entry) -> None:
        """Called when a message of one's own is refused."""
        self.pending -= 1
        entry.fate = Fate.REFUSED
        entry.laid = None

    def delete(self, seq: int) -> None:
        """Called when a message was deleted: its text is forgotten, and its place stays."""
        for entry in reversed(self.entries):
            if (entry.log, entry.seq) == (self.log, seq):
                entry.text, entry.fate, entry.mention, entry.laid = DELETED, Fate.DELETED, False, None
                break

    def newest_of(self, nick: str) -> int | None:
        """Return the number of the newest message of a nick, if it is here and was not deleted."""
        author = key_of(nick)
        for entry in reversed(self.entries):
            is_here = entry.seq is not None and entry.log == self.log and entry.fate is Fate.KEPT
            if is_here and key_of(entry.author) == author:
                return entry.seq
        return None

    # Unread messages

    def count(self, entry: Entry, direct: bool) -> None:
        """Count a message as unread."""
        if not self.unread:
            self.marker = entry
        self.unread += 1
        self.mentioned |= entry.mention or direct

    def read(self) -> None:
        """Note that everything has been seen."""
        self.unread = 0
        self.more_unread = self.mentioned = False
        if self.newest:
            self.read_seq = max(self.read_seq or 0, self.newest)

    def seen(self) -> int | None:
        """Return the number of the last message that was seen; None if all were, or none has a number."""
        if not self.unread:
            return None
        if self.read_seq is not None:
            return self.read_seq
        return next((entry.seq - 1 for entry in self.entries if entry.seq is not None), None)

    def forget_marker(self) -> None:
        """Remove the line above the new entries: this person has turned away, or has answered."""
        self.marker = self._new_after = None

    def marked(self) -> int | None:
        """Return the index of the first new entry, or of the oldest one while older new ones are not here."""
        if self.marker not in self.entries:
            return None
        older = not self.whole and self._new_after is not None and (self.oldest or 0) > self._new_after
        return 0 if older else self.entries.index(self.marker)

    def _mark_unread(self) -> None:
        """Mark the unread and new messages of a history, by what was read in an earlier run."""
        if self.read_seq is None:
            # In a room in which this person has never been, only messages since the join are unread.
            self.read_seq = self.newest if self.marker is None else (self.marker.seq or 1) - 1
        elif not self._loaded and self.newest < self.read_seq:
            self.read_seq = self._new_after = 0  # the room has a new log
        self._loaded = True
        seen, new_after = self.read_seq, self._new_after
        if new_after is None:
            return
        new = [entry for entry in self.entries if self._is_after(entry, new_after)]
        unread = [entry for entry in new if self._is_after(entry, seen)]
        self.marker = new[0] if new else None
        self.unread = len(unread)
        self.mentioned = any(entry.mention for entry in unread)
        self.more_unread = bool(unread) and not self.whole and (self.oldest or 0) > seen

    def _is_after(self, entry: Entry, seq: int) -> bool:
        """True for a message of somebody else with a higher number."""
        return entry.seq is not None and entry.log == self.log and entry.seq > seq and not entry.own

    # Nicks

    def speaks(self, nick: str) -> None:
        """Remember the nick of somebody who speaks, for completion."""
        key = key_of(nick)
        self.nicks.pop(key, None)
        self.nicks[key] = clean(nick)
        if len(self.nicks) > NICKS:
            del self.nicks[next(iter(self.nicks))]

    def comes(self, nick: str) -> None:
        """Remember the nick of somebody who has not spoken."""
        self.nicks = {key_of(nick): clean(nick), **self.nicks}

    def goes(self, nick: str) -> None:
        """Forget a nick."""
        self.nicks.pop(key_of(nick), None)

    def present(self, nicks: Iterable[str]) -> None:
        """Remember the nicks of the members."""
        self.nicks = {**{key_of(nick): clean(nick) for nick in nicks}, **self.nicks}

    # How

    def _entry(self, message: Message) -> Entry:
        is_deleted = message.deleted is not None
        author, text = clean(message.author), DELETED if is_deleted else "\n".join(clean_lines(message.msg))
        own = key_of(message.author) == key_of(self.nick)
        if not own:
            self.speaks(message.author)
        return Entry(
            Kind.MESSAGE,
            text,
            time_of(message.time),
            author,
            seq=message.seq,
            log=self.log,
            own=own,
            mention=not (own or is_deleted) and mentions(text, clean(self.nick)),
            fate=Fate.DELETED if is_deleted else Fate.KEPT,
        )

    def _add(self, entry: Entry) -> Entry | None:
        """Put a message in the place of its number, unless it is here already."""
        place = self._place(entry)
        if place is None:
            return None
        self.newest = max(self.newest, entry.seq or 0)
        self.entries.insert(place, entry)
        self._drop()
        return entry

    def _append(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._drop()

    def _place(self, entry: Entry) -> int | None:
        """Return the place of a message: after all with lower numbers, before one's own without a number."""
        place = len(self.entries)
        while place and self.entries[place - 1].fate is Fate.PENDING:
            place -= 1
        if entry.seq is None or entry.seq > self.newest:
            return place
        for i in range(place - 1, -1, -1):
            other = self.entries[i]
            if other.seq is None:
                continue
            if (other.log, other.seq) == (entry.log, entry.seq):
                return None
            if (other.log, other.seq) < (entry.log, entry.seq):
                break
            place = i
        return place

    def _drop(self) -> None:
        """Drop the oldest entries if there are too many."""
        if len(self.entries) < KEPT + SPARE:
            return
        dropped = self.entries[:SPARE]
        del self.entries[:SPARE]
        self.whole = self.where is None or (isinstance(self.where, Direct) and not self.where.is_kept)
        if self.bottom is not None and self.bottom[0] in dropped:
            self.bottom = (self.entries[0], 0)

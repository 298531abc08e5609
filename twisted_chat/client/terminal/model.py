"""What there is to show, decided without a terminal: conversations, what was said in them, and what is unread.

A room's messages stand in the order of their numbers, however they came: live, from the history, or as one's own, which
are shown when they are typed and take their place when the server has said which it is. A message is shown once.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ... import names
from ...messages import WireError
from ..events import Message
from ..library import Room
from ..program.clean import clean
from ..program.commands import Direct
from .mentions import mentions

KEPT: Final = 20_000
"""Entries of a conversation that stay in memory, some 10 MB. Older ones of a room are in its history."""

NICKS: Final = 2_000
"""Nicks of a conversation that are remembered for completion."""

DIRECTS: Final = 50
"""Talks with one nick alone that stay open: anybody may begin one, and as many as there are nicks."""

SPARE: Final = 1_000
"""Entries beyond those that are kept before the oldest are dropped: not one at a time."""


class Kind(enum.Enum):
    """What an entry is."""

    MESSAGE = "message"
    NOTE = "note"
    """The answer to a command."""
    NOTICE = "notice"
    """Who comes and goes."""
    ERROR = "error"


class Fate(enum.Enum):
    """What became of a message."""

    PENDING = "pending"
    """It is one's own, and not known to be kept."""
    KEPT = "kept"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Entry:
    """One thing that is shown: a message, or a line of the program's own. Its texts are clean."""

    kind: Kind
    text: str
    time: datetime
    """When it was said; in local time when shown."""
    author: str = ""
    seq: int | None = None
    log: int = 0
    """Which log the number is of: a server that keeps nothing on disk starts a new one."""
    own: bool = False
    mention: bool = False
    fate: Fate = Fate.KEPT
    laid: tuple[object, Sequence[object]] | None = None
    """Its rows as they were last laid out, and for what: `layout.py` keeps them here."""


def key_of(nick: str) -> str:
    """Give what a nick is known by; also for those that cannot be one here, such as what an old server makes up."""
    try:
        return names.nick(nick).key
    except WireError:
        return nick.casefold()


@dataclass(eq=False)
class Pane:
    """One conversation: a room, the talk with one nick, or none (what is shown while there is no room)."""

    where: Room | Direct | None
    nick: str
    """What this person is called, for mentions."""
    entries: list[Entry] = field(default_factory=list)
    unread: int = 0
    mentioned: bool = False
    """Something unread has this person's nick in it, or is for them alone."""
    draft: str = ""
    """What was typed here and not sent."""
    whole: bool = True
    """There is nothing older than what is here."""
    loading: bool = False
    """Older messages are asked for."""
    pending: int = 0
    """How many of one's own messages are not known to be kept."""
    nicks: dict[str, str] = field(default_factory=dict)
    """Who is here or has spoken, by their keys; who spoke last is last."""
    bottom: tuple[Entry, int] | None = None
    """The lowest row that is shown, as an entry and the row in it; None: the newest, whatever comes."""
    log: int = 0
    newest: int = 0
    """The highest number that is shown of this log."""

    @property
    def name(self) -> str:
        """The name, clean; a nick that is talked with alone has an @ in front."""
        if self.where is None:
            return ""
        return clean(self.where.name) if isinstance(self.where, Room) else f"@{clean(self.where.name)}"

    @property
    def oldest(self) -> int | None:
        """The lowest number that is here, if there is any."""
        return next((entry.seq for entry in self.entries if entry.seq is not None and entry.log == self.log), None)

    @property
    def last(self) -> datetime:
        """When something was said or shown here last."""
        return self.entries[-1].time if self.entries else datetime.min.replace(tzinfo=UTC)

    # What comes

    def begin_log(self) -> None:
        """Hear that the room has a new log: what comes is shown after what came from the old one."""
        self.log += 1
        self.newest = 0
        self.whole = True

    def hear(self, message: Message) -> Entry | None:
        """Take a message that comes live; gives its entry, if it was not here yet."""
        return self._add(self._entry(message))

    def load(self, messages: Iterable[Message], more: bool, log: int) -> None:
        """Take a page of history that ends where the oldest entry is."""
        self.loading = False
        if log != self.log:
            return  # it is of a log that is gone
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

    def show(self, kind: Kind, text: str) -> Entry:
        """Take a line of the program's own."""
        entry = Entry(kind, text, now())
        self._append(entry)
        return entry

    def say(self, text: str) -> Entry:
        """Take what this person says; `kept` or `refused` says what becomes of it."""
        entry = Entry(
            Kind.MESSAGE,
            clean(text),
            now(),
            clean(self.nick),
            log=self.log,
            own=True,
            fate=Fate.PENDING,
        )
        self.bottom = None
        self.pending += 1
        self._append(entry)
        return entry

    def kept(self, entry: Entry, seq: int | None) -> None:
        """Hear that a message is kept, and put it where it belongs."""
        self.pending -= 1
        entry.fate = Fate.KEPT
        entry.laid = None
        entry.seq, entry.log = seq, self.log
        if seq is not None and entry in self.entries:
            self.entries.remove(entry)
            self._add(entry)

    def refused(self, entry: Entry) -> None:
        """Hear that a message is not kept."""
        self.pending -= 1
        entry.fate = Fate.REFUSED
        entry.laid = None

    def read(self) -> None:
        """Note that everything has been seen."""
        self.unread = 0
        self.mentioned = False

    def speaks(self, nick: str) -> None:
        """Remember a nick, for completion."""
        key = key_of(nick)
        self.nicks.pop(key, None)
        self.nicks[key] = clean(nick)
        if len(self.nicks) > NICKS:
            del self.nicks[next(iter(self.nicks))]

    def comes(self, nick: str) -> None:
        """Remember a nick that has not spoken."""
        self.nicks = {key_of(nick): clean(nick), **self.nicks}

    def goes(self, nick: str) -> None:
        """Forget a nick."""
        self.nicks.pop(key_of(nick), None)

    def present(self, nicks: Iterable[str]) -> None:
        """Hear who is here."""
        self.nicks = {**{key_of(nick): clean(nick) for nick in nicks}, **self.nicks}

    # How

    def _entry(self, message: Message) -> Entry:
        author, text = clean(message.author), clean(message.msg)
        own = key_of(message.author) == key_of(self.nick)
        if not own:
            self.speaks(message.author)
        return Entry(
            Kind.MESSAGE,
            text,
            _time(message.time),
            author,
            seq=message.seq,
            log=self.log,
            own=own,
            mention=not own and mentions(text, clean(self.nick)),
        )

    def _add(self, entry: Entry) -> Entry | None:
        """Put a message where its number belongs; one that is here already is not shown again."""
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
        """Find the place of a message: behind all with lower numbers, before one's own that have none yet."""
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
        """Let go of the oldest entries, when there are too many."""
        if len(self.entries) < KEPT + SPARE:
            return
        dropped = self.entries[:SPARE]
        del self.entries[:SPARE]
        self.whole = isinstance(self.where, Direct)
        if self.bottom is not None and self.bottom[0] in dropped:
            self.bottom = (self.entries[0], 0)


def now() -> datetime:
    """Say what time it is, for what the server has not given one yet."""
    return datetime.now(UTC)


def _time(text: str | None) -> datetime:
    """Read a message's time; one that cannot be read, or that is missing, is now."""
    try:
        time = datetime.fromisoformat(text or "")
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError:
        return now()


class Panes:
    """All conversations of one person, and the one that is shown."""

    def __init__(self, nick: str) -> None:
        self._nick = nick
        self.all: list[Pane] = []
        self.nowhere = Pane(None, nick)
        """What is shown where there is no room."""
        self.current = self.nowhere

    def __iter__(self) -> Iterator[Pane]:
        return iter(self.all)

    @property
    def nick(self) -> str:
        """What this person is called."""
        return self._nick

    @nick.setter
    def nick(self, nick: str) -> None:
        self._nick = nick
        for pane in (*self.all, self.nowhere):
            pane.nick = nick

    @property
    def pending(self) -> int:
        """How many of one's own messages are not known to be kept."""
        return sum(pane.pending for pane in self.all)

    def of(self, where: Room | Direct) -> Pane:
        """Find the pane of a conversation, or make one.

        Of too many with one nick alone, the one in which nothing was said for longest goes, of those that are read if
        there are any; never the one that is shown, nor one where something waits to be kept or sent.
        """
        found = self.find(where)
        if found is None:
            if isinstance(where, Direct):
                self._make_space()
            found = Pane(where, self._nick, whole=isinstance(where, Direct))
            self.all.append(found)
        return found

    def _make_space(self) -> None:
        """Let go of one talk with one nick alone, if there are too many."""
        talks = [pane for pane in self.all if isinstance(pane.where, Direct)]
        spare = [pane for pane in talks if pane is not self.current and not (pane.pending or pane.draft)]
        if len(talks) >= DIRECTS and spare:
            self.all.remove(min(spare, key=lambda pane: (pane.unread > 0, pane.last)))

    def find(self, where: Room | Direct) -> Pane | None:
        """Find the pane of a conversation."""
        return next((pane for pane in self.all if _same(pane.where, where)), None)

    def named(self, room: str) -> Pane | None:
        """Find the pane of a room by its name, as a server's notice has it."""
        return next((pane for pane in self.all if isinstance(pane.where, Room) and pane.where.name == room), None)

    def turn(self, pane: Pane) -> None:
        """Show a pane."""
        self.current = pane
        self.seen()

    def seen(self) -> None:
        """Note that the newest of the pane that is shown has been seen, if it is on the screen."""
        if self.current.bottom is None:
            self.current.read()

    def close(self, where: Room | Direct) -> None:
        """Forget a conversation. If it was shown, nothing is: it is the person who says where to go."""
        pane = self.find(where)
        if pane is not None:
            self.all.remove(pane)
            if pane is self.current:
                self.turn(self.nowhere)

    def heard(self, pane: Pane, entry: Entry | None) -> None:
        """Count a message that came, unless it is being seen."""
        if entry is None or entry.own:
            return
        pane.unread += 1
        pane.mentioned |= entry.mention or isinstance(pane.where, Direct)
        self.seen()

    def step(self, by: int) -> Pane:
        """Give the pane so many places to the right of the current one, around the end."""
        if self.current not in self.all:
            return self.all[0 if by > 0 else -1] if self.all else self.nowhere
        return self.all[(self.all.index(self.current) + by) % len(self.all)]

    def waiting(self) -> Pane:
        """Give the next pane with something unread, those with a mention first; without any, the current one."""
        start = self.all.index(self.current) + 1 if self.current in self.all else 0
        around = self.all[start:] + self.all[:start]
        unread = [pane for pane in around if pane.unread]
        return next((pane for pane in unread if pane.mentioned), unread[0] if unread else self.current)


def _same(one: Room | Direct | None, other: Room | Direct) -> bool:
    if isinstance(one, Direct) and isinstance(other, Direct):
        return key_of(one.name) == key_of(other.name)
    return one is other

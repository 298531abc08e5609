"""The memory of a server for who is at other servers of the cluster, and in which rooms.

For each room it knows how many members are at each other server. An account may be in a room at several servers; each
member counts at one of them, the one whose identity is the smallest. So a server has to know where else its own
accounts are, and nothing about anybody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from ...messages import MemberLeft
from ...names import Name

MOST_UNTOLD: Final = 10_000
"""Departures that were told to nobody and are remembered, 5 MB at most. If there are more, the oldest are forgotten."""


class Whereabouts(NamedTuple):
    """A room that an account is in at another server, by keys."""

    nick: str
    room: str
    server: str


class Presence:
    """Who is at other servers."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.here: dict[tuple[str, str], tuple[str, str]] = {}
        """The members of rooms at this server, by the keys of room and nick, with the names of both."""
        self._counts: dict[str, dict[str, int]] = {}
        """The number of members of each room that count at each other server."""
        self._rooms: dict[str, Name] = {}
        """The names of these rooms, by their keys."""
        self._own: dict[str, tuple[Name, int]] = {}
        """The number of members of each room at this server, as it was told last."""
        self._servers: set[str] = set()
        """The servers of which something is known."""
        self._elsewhere: dict[str, dict[str, set[str]]] = {}
        """The servers at which each account that is here is in each room, too."""
        self._uncounted: dict[str, set[str]] = {}
        """The accounts in each room that count at another server."""
        self._recounted: set[str] = set()
        """The rooms whose count of this server has changed, and was not told."""
        self._untold: dict[tuple[str, str], tuple[MemberLeft, set[str]]] = {}
        """The last departures from here that nobody was told of, as the account was at other servers: these servers."""
        self._recordings: list[list[Callable[[], object]]] = []

    # Counts

    def count(self, room: str) -> int:
        """Return the number of members of a room that are only at other servers."""
        return sum(self._counts.get(room, {}).values()) - len(self._uncounted.get(room, ()))

    def own_count(self, room: Name, count: int) -> int:
        """Return how many of the members of a room at this server count here."""
        self._own[room.key] = room, count
        if not count:
            del self._own[room.key]
        self._recounted.discard(room.key)
        return count - len(self._uncounted.get(room.key, ()))

    def occupied(self) -> Iterable[tuple[Name, int]]:
        """List the rooms with members at other servers, with their number."""
        return [(self._rooms[room], count) for room in self._counts if (count := self.count(room))]

    def heard_count(self, room: Name, server: str, count: int) -> None:
        """Note how many members of a room count at another server."""
        self._hear(lambda: self._set_count(room, server, count))

    def _set_count(self, room: Name, server: str, count: int) -> None:
        self._servers.add(server)
        self._rooms[room.key] = room
        servers = self._counts.setdefault(room.key, {})
        if count:
            servers[server] = count
        else:
            servers.pop(server, None)
        if not servers:
            del self._counts[room.key], self._rooms[room.key]

    def servers(self) -> set[str]:
        """Return the servers of which something is known."""
        return set(self._servers)

    def take_recounted(self) -> list[tuple[Name, int]]:
        """Return the rooms of this server that count otherwise now, with the number of the members that count here."""
        rooms = [self._own[key] for key in sorted(self._recounted) if key in self._own]
        self._recounted.clear()
        return [(room, self.own_count(room, count)) for room, count in rooms]

    # Accounts

    def follow(self, nick: str) -> bool:
        """Note where an account is from now on; False if that is so already."""
        if nick in self._elsewhere:
            return False
        self._elsewhere[nick] = {}
        return True

    def unfollow(self, nick: str) -> None:
        """Forget where an account is, which is not here any more."""
        for room in self._elsewhere.pop(nick, {}):
            self._recount(room, nick)

    def is_member(self, room: str, nick: str) -> bool:
        """True if an account that is here is in a room at another server, too."""
        return bool(self._elsewhere.get(nick, {}).get(room))

    def moved_here(self, room: Name, nick: str, name: str | None) -> None:
        """Note that somebody, whose name is None afterwards, has left a room here, or else has entered it."""
        if name is None:
            self.here.pop((room.key, nick), None)
        else:
            self.here[room.key, nick] = room.shown, name
        self._recount(room.key, nick)

    def heard_move(self, where: Whereabouts, is_there: bool) -> None:
        """Note that somebody has entered a room at another server, or left it."""
        if where.nick in self._elsewhere:
            self._hear(lambda: self._set_place(where, is_there))

    def _set_place(self, where: Whereabouts, is_there: bool) -> None:
        rooms = self._elsewhere.get(where.nick)
        if rooms is None:
            return  # it has gone meanwhile
        if is_there:
            self._servers.add(where.server)
            rooms.setdefault(where.room, set()).add(where.server)
        elif where.room in rooms:
            rooms[where.room].discard(where.server)
            if not rooms[where.room]:
                del rooms[where.room]
        self._recount(where.room, where.nick)

    def _recount(self, room: str, nick: str) -> None:
        """Decide whether a member counts here."""
        servers = self._elsewhere.get(nick, {}).get(room, ())
        others = self._uncounted.setdefault(room, set())
        counts_elsewhere = (room, nick) in self.here and any(server < self.server for server in servers)
        if counts_elsewhere is not (nick in others):
            (others.add if counts_elsewhere else others.remove)(nick)
            self._recounted.add(room)
        if not others:
            del self._uncounted[room]

    # Departures that nobody was told of

    def left_untold(self, room: str, nick: str, notice: MemberLeft) -> None:
        """Note that an account has left a room here, and that nobody was told since it is there at other servers."""
        self._untold[room, nick] = notice, set(self._elsewhere.get(nick, {}).get(room, ()))
        if len(self._untold) > MOST_UNTOLD:
            del self._untold[next(iter(self._untold))]

    def heard_departure(self, where: Whereabouts, is_told: bool) -> MemberLeft | None:
        """Note that an account has left a room at another server. Returns the notice that is to be told after all.

        Two servers may each take the other one for the last at which an account is, if it leaves both at the same
        moment. Then the one with the smallest identity tells everybody.
        """
        notice, servers = self._untold.get((where.room, where.nick), (None, set[str]()))
        servers.discard(where.server)
        if notice is None or (servers and not is_told):
            return None
        del self._untold[where.room, where.nick]
        return None if is_told or self.server > where.server else notice

    # Reading what the database knows

    def _hear(self, note: Callable[[], None]) -> None:
        note()
        for recording in self._recordings:
            recording.append(note)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A context in which the database is read. What is heard meanwhile is noted once more at its end."""
        recording: list[Callable[[], object]] = []
        self._recordings.append(recording)
        try:
            yield
        finally:
            self._recordings = [one for one in self._recordings if one is not recording]
            for note in recording:
                note()

    def found(self, place: Whereabouts) -> None:
        """Note where an account is, as the database has it."""
        self._set_place(place, is_there=True)

    def found_all(self, counts: Iterable[tuple[Name, str, int]], places: Iterable[Whereabouts]) -> None:
        """Note who is at other servers, as the database has it, in place of what was known."""
        self._forget_all()
        for room, server, count in counts:
            self._set_count(room, server, count)
        for place in places:
            self.found(place)

    def _forget_all(self) -> None:
        self._counts.clear()
        self._rooms.clear()
        self._servers.clear()
        for nick, rooms in self._elsewhere.items():
            self._elsewhere[nick] = {}
            for room in rooms:
                self._recount(room, nick)

    def forget_server(self, server: str) -> None:
        """Forget who was at a server, which is dead."""
        for room in [self._rooms[key] for key, servers in self._counts.items() if server in servers]:
            self._set_count(room, server, 0)
        for nick, rooms in self._elsewhere.items():
            for key in [key for key, servers in rooms.items() if server in servers]:
                self._set_place(Whereabouts(nick, key, server), is_there=False)
        self._servers.discard(server)

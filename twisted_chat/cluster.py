"""The interface to the cluster, the servers that share a store: who is at the others, and what members there are told.

A nick is claimed before it is taken, and what members of a room are told beside its log is told to those at other
servers, too. What is published is lost if the database is away just then: it is about the present, and presence is
announced again. A server whose store is its own has `STANDALONE` in place of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from twisted.internet.defer import Deferred, succeed

from .messages import Message, Reply
from .names import Name


class ClusterListener(Protocol):
    """The chat of this server, as it is called with what happens at other servers."""

    def notice_heard(self, room: str, notice: Reply) -> None:
        """Called with a notice for the members of a room, given by its key."""

    def message_heard(self, nick: str, message: Message) -> None:
        """Called with a message for the bearers of a nick, given by its key."""

    def direct_heard(self, log: Name, first: int) -> None:
        """Called with a log of direct messages that is not open here, and has new ones from the number `first` on."""

    def kick_heard(self, room: str, nick: str, author: str, reason: str) -> None:
        """Called when a moderator at another server puts the bearers of a nick out of a room. Both are keys."""

    def nick_taken(self, nick: str) -> None:
        """Called when a guest has connected again, to another server, with the token of its nick, given by its key."""

    def nick_lost(self, nick: str) -> None:
        """Called when a nick, given by its key, has become somebody else's while this server was cut off."""


class NoListener:
    """A listener that does nothing, until the chat follows the cluster."""

    def notice_heard(self, room: str, notice: Reply) -> None:
        """Nobody is in the room."""

    def message_heard(self, nick: str, message: Message) -> None:
        """Nobody has the nick."""

    def direct_heard(self, log: Name, first: int) -> None:
        """Nobody is there to read it."""

    def kick_heard(self, room: str, nick: str, author: str, reason: str) -> None:
        """Nobody has the nick."""

    def nick_taken(self, nick: str) -> None:
        """Nobody has the nick."""

    def nick_lost(self, nick: str) -> None:
        """Nobody has the nick."""


class Cluster(Protocol):
    """The other servers of the cluster."""

    def follow(self, listener: ClusterListener) -> None:
        """Call a listener with what other servers tell."""

    def claim(self, nick: Name, is_account: bool, token: str | None) -> Deferred[None]:
        """Claim a nick for this server, until it is released.

        Fails with `WireError` (`nick-taken`) if somebody at another server has it, or one that looks like it; those who
        have the same token give it up. An account may be at several servers. Fails with `Unavailable`.
        """

    def release(self, nick: Name) -> None:
        """Release a nick that nobody at this server bears any more."""

    def publish(self, room: Name, notice: Reply, count: int) -> None:
        """Tell the members of a room at other servers; `count` is the number of its members here, after this."""

    def count(self, room: str) -> int:
        """Return the number of members that a room, given by its key, has at other servers."""

    def occupied(self) -> Iterable[tuple[Name, int]]:
        """List the rooms with members at other servers, with their number."""

    def members(self, room: str) -> Deferred[list[Name]]:
        """List the members of a room, given by its key, at other servers. Fails with `Unavailable`."""

    def find(self, nick: str) -> Deferred[Name | None]:
        """Find a nick, given by its key, at other servers. Fails with `Unavailable`."""

    def hand_over(self, nick: Name, message: Message) -> None:
        """Hand a message to those who bear a nick at other servers."""

    def kick(self, room: str, nick: Name, author: str, reason: str) -> None:
        """Put the bearers of a nick at other servers out of a room, given by its key."""

    def close(self) -> Deferred[None]:
        """End the lease of this server, so that others count nobody here any more."""


class Standalone:
    """The cluster of a server whose store is its own."""

    def follow(self, listener: ClusterListener) -> None:
        """Nothing happens elsewhere."""

    def claim(self, nick: Name, is_account: bool, token: str | None) -> Deferred[None]:
        return succeed(None)

    def release(self, nick: Name) -> None:
        """Nobody has to know."""

    def publish(self, room: Name, notice: Reply, count: int) -> None:
        """Nobody is to be told."""

    def count(self, room: str) -> int:
        return 0

    def occupied(self) -> Iterable[tuple[Name, int]]:
        return ()

    def members(self, room: str) -> Deferred[list[Name]]:
        return succeed([])

    def find(self, nick: str) -> Deferred[Name | None]:
        return succeed(None)

    def hand_over(self, nick: Name, message: Message) -> None:
        """Nobody has the nick."""

    def kick(self, room: str, nick: Name, author: str, reason: str) -> None:
        """Nobody has the nick."""

    def close(self) -> Deferred[None]:
        return succeed(None)


STANDALONE: Final = Standalone()

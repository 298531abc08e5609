"""The interface to the cluster, the servers that share a store: who is at the others, and what members there are told.

A nick is claimed before it is taken, and what members of a room are told beside its log is told to those at other
servers, too. What is published is lost if the database is away just then: it is about the present, and presence is
announced again. A server whose store is its own has `STANDALONE` in place of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed

from .messages import Reply
from .names import Name


class ClusterListener:
    """The chat of this server, as it is called with what happens at other servers. This one, its base, does nothing."""

    def notice_heard(self, room: str, notice: Reply) -> None:
        """Called with a notice for the members of a room, given by its key."""

    def reply_heard(self, nick: str, reply: Reply) -> None:
        """Called with a direct message, or an invitation, for the bearers of a nick, given by its key."""

    def report_heard(self, notice: Reply, seq: int) -> None:
        """Called with a report for operators, and its number in the registry."""

    def direct_heard(self, log: Name, first: int) -> None:
        """Called with a log of direct messages that is not open here, and has new ones from the number `first` on."""

    def kick_heard(self, room: str, nick: str, author: str, reason: str) -> None:
        """Called when a moderator at another server puts the bearers of a nick out of a room. Both are keys."""

    def nick_taken(self, nick: str, digest: bytes) -> None:
        """Called when somebody has connected again, to another server, with the token of an earlier hello.

        The nick is given by its key, and the token by its hash (`digest_of`).
        """

    def nick_lost(self, nick: str) -> None:
        """Called when a guest's nick, given by its key, has become somebody else's.

        It has become an account's, or somebody has taken it while this server was cut off.
        """


def digest_of(token: str) -> bytes:
    """Return the hash by which servers compare the tokens of hellos. These are random and long, and need no salt."""
    return sha256(token.encode()).digest()


class Elsewhere(NamedTuple):
    """Somebody at another server."""

    name: Name
    network: str
    """The network from which it has connected (`limits.network_of`); empty if there is none, or many share it."""
    has_account: bool


class ClusterCondition(NamedTuple):
    """The condition of the cluster, as this server knows it."""

    servers: int
    """The number of servers whose lease has not ended, this one included."""
    heartbeat_age: float
    """Seconds since this server has renewed its lease."""
    clock_ahead: float
    """Seconds by which the clock of this machine is ahead of that of the database."""


class Cluster(Protocol):
    """The other servers of the cluster."""

    def follow(self, listener: ClusterListener) -> None:
        """Call a listener with what other servers tell."""

    def claim(self, nick: Name, is_account: bool, token: str | None, network: str) -> Deferred[int]:
        """Claim a nick for this server, until it is released. Fires with the number of its sessions at other servers.

        Fails with `WireError` (`nick-taken`) if somebody at another server has it, or one that looks like it; those who
        have the same token give it up. An account may be at several servers. Fails with `Unavailable`.
        """

    def registered(self, nick: Name) -> None:
        """Note that a nick that was claimed for a guest is an account's now."""

    def release(self, nick: Name) -> None:
        """Release a nick that a session or client at this server does not bear any more."""

    def publish(self, room: Name, notice: Reply, count: int, is_told: bool = True) -> None:
        """Tell the members of a room at other servers; `count` is the number of its members here, after this.

        If it `is_told` to nobody, other servers only note who has entered or left.
        """

    def count(self, room: str) -> int:
        """Return the number of members that a room, given by its key, has only at other servers."""

    def is_member(self, room: str, nick: str) -> bool:
        """True if an account that is here is in a room at another server, too. Both are keys."""

    def occupied(self) -> Iterable[tuple[Name, int]]:
        """List the rooms with members at other servers, with their number."""

    def members(self, room: str) -> Deferred[list[Name]]:
        """List the members of a room, given by its key, at other servers. Fails with `Unavailable`."""

    def find(self, nick: str) -> Deferred[Elsewhere | None]:
        """Find the bearer of a nick, given by its key, at other servers. Fails with `Unavailable`."""

    def hand_over(self, nick: Name, reply: Reply) -> None:
        """Hand a direct message or an invitation to those who bear a nick at other servers."""

    def report(self, notice: Reply, seq: int) -> None:
        """Show a report, which has a number in the registry, to the operators at other servers."""

    def kick(self, room: str, nick: Name, author: str, reason: str) -> None:
        """Put the bearers of a nick at other servers out of a room, given by its key."""

    def condition(self) -> ClusterCondition | None:
        """Return the condition of the cluster; None for a server by itself."""

    def close(self) -> Deferred[None]:
        """End the lease of this server, so that others count nobody here any more."""


class Standalone:
    """The cluster of a server whose store is its own."""

    def follow(self, listener: ClusterListener) -> None:
        """Nothing happens elsewhere."""

    def claim(self, nick: Name, is_account: bool, token: str | None, network: str) -> Deferred[int]:
        return succeed(0)

    def registered(self, nick: Name) -> None:
        """Nobody has to know."""

    def release(self, nick: Name) -> None:
        """Nobody has to know."""

    def publish(self, room: Name, notice: Reply, count: int, is_told: bool = True) -> None:
        """Nobody is to be told."""

    def count(self, room: str) -> int:
        return 0

    def is_member(self, room: str, nick: str) -> bool:
        return False

    def occupied(self) -> Iterable[tuple[Name, int]]:
        return ()

    def members(self, room: str) -> Deferred[list[Name]]:
        return succeed([])

    def find(self, nick: str) -> Deferred[Elsewhere | None]:
        return succeed(None)

    def hand_over(self, nick: Name, reply: Reply) -> None:
        """Nobody has the nick."""

    def report(self, notice: Reply, seq: int) -> None:
        """No operator is there."""

    def kick(self, room: str, nick: Name, author: str, reason: str) -> None:
        """Nobody has the nick."""

    def condition(self) -> ClusterCondition | None:
        return None

    def close(self) -> Deferred[None]:
        return succeed(None)


STANDALONE: Final = Standalone()

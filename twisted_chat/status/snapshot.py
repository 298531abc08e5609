"""A snapshot of a chat: everything that is shown of it, at one moment.

The connections and the open rooms are looked through; the rest is read. With 2,000 connections and 10,000 rooms it
takes 3 ms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..chat import Chat
from ..cluster import ClusterCondition
from ..log import Condition

KINDS: Final = ("tcp", "tls", "udp", "unix", "http", "websocket")
"""The kinds of connections that are shown even if there was none so far, so that a rate begins at 0."""

FAILED_SECONDS: Final = 10.0
"""Seconds for which a failed append means that the store takes none. If nobody says anything, it may work again by
then, and only another message can tell."""


class Snapshot(NamedTuple):
    """What is shown of a chat, beside its counters, which go on."""

    connections: Mapping[str, int]
    """The connections by their kind."""
    received: Mapping[str, int]
    sent: Mapping[str, int]
    """The bytes of all connections so far, by their kind."""
    paused: int
    """The connections that take no more for now, as their peers do not read."""
    nicks: int
    kept_rooms: int
    """The rooms of which something is kept."""
    open_rooms: int
    members: int
    """The members of the open rooms."""
    behind: int
    """Those of them that are not live."""
    store: Condition
    cluster: ClusterCondition | None
    """The condition of the cluster; None for a server by itself."""
    trouble: str
    """Why the server is not ready; empty if it is."""


def take(chat: Chat) -> Snapshot:
    """Take a snapshot."""
    counters = chat.counters
    connections = Counter(dict.fromkeys((*KINDS, *counters.connected), 0))
    received = Counter({kind: traffic.received for kind, traffic in counters.traffic.items()})
    sent = Counter({kind: traffic.sent for kind, traffic in counters.traffic.items()})
    paused = 0
    for wire in chat.wires:
        kind = wire.kind
        connections[kind] += 1
        received[kind] += wire.traffic.received
        sent[kind] += wire.traffic.sent
        paused += wire.participant.paused
    members, live = chat.rooms.count_members()
    store = chat.log.condition()
    return Snapshot(
        connections=connections,
        received={kind: received[kind] for kind in connections},
        sent={kind: sent[kind] for kind in connections},
        paused=paused,
        nicks=len(chat.nicks),
        kept_rooms=chat.log.room_count,
        open_rooms=chat.rooms.open_count,
        members=members,
        behind=members - live,
        store=store,
        cluster=chat.cluster.condition(),
        trouble=trouble(chat, store),
    )


def trouble(chat: Chat, store: Condition) -> str:
    """Return why the server is not ready for connections and messages, for its operator; empty if it is."""
    if chat.stopping:
        return "the server is stopping"
    if not chat.is_open:
        return "the server is starting"
    if store.trouble:
        return f"the database takes no messages: {store.trouble}"
    counters = chat.counters
    now = counters.seconds()
    began = counters.commit_began
    if began is not None and now - began > store.patience:
        return f"the database has not stored a message for {now - began:.0f} s"
    if counters.failed_at is not None and now - counters.failed_at <= FAILED_SECONDS:
        return "the database could not store the last messages: the log of the server says why"
    return ""

"""The metrics of a server, as Prometheus reads them.

Names and units follow https://prometheus.io/docs/practices/naming/. They are made when they are asked for, in a
registry of their own: `prometheus_client`'s own counters take locks, which the chat would pay for with each message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final, get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .. import __version__
from ..chat import Chat
from ..cluster import ClusterCondition
from ..counters import Histogram
from ..messages import Code
from .snapshot import take

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The type of the text format, which every version of Prometheus reads."""

_CODES: Final = get_args(Code)
_RESULTS: Final = ("succeeded", "failed", "limited")


class Metrics:
    """The metrics of a chat, and those of its process."""

    def __init__(self, chat: Chat) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(ChatCollector(chat))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self._registry)


class ChatCollector(Collector):
    """The metrics of a chat."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def describe(self) -> list[Metric]:
        """Return nothing: the names are known once they are collected."""
        return []

    def collect(self) -> Iterator[Metric]:
        snapshot, counters = take(self._chat), self._chat.counters
        yield _gauge("build_info", "The version of the server; the value is always 1.", {"version": {__version__: 1}})
        yield _gauge("ready", "1 if connections and messages are taken, else 0.", int(not snapshot.trouble))
        yield _gauge("connections", "Connections.", {"wire": snapshot.connections})
        wires = dict.fromkeys(snapshot.connections, 0)
        yield _counter("connections_opened", "Connections so far.", {"wire": wires | counters.connected})
        turned_away = dict.fromkeys(("full", "rate-limited", "banned", "silently"), 0) | counters.turned_away
        yield _counter(
            "connections_refused",
            "Connections that could not stay, by the code of the error, or silently.",
            {"code": turned_away},
        )
        yield _counter("received_bytes", "Bytes received; with TLS, the decrypted ones.", {"wire": snapshot.received})
        yield _counter(
            "sent_bytes", "Bytes sent or waiting to be sent; with TLS, the encrypted ones.", {"wire": snapshot.sent}
        )
        yield _gauge(
            "paused_readers", "Connections that take no more for now: their peers do not read.", snapshot.paused
        )
        yield _gauge("nicks", "Nicks in use.", snapshot.nicks)
        yield _gauge("rooms", "Rooms of which something is kept.", snapshot.kept_rooms)
        yield _gauge("open_rooms", "Rooms with members, or with messages in memory.", snapshot.open_rooms)
        yield _gauge("members", "Members of all rooms: a connection is one in each of its rooms.", snapshot.members)
        yield _gauge("members_behind", "Members that are reading earlier messages.", snapshot.behind)
        yield _counter("messages", "Messages and other entries of the rooms' logs.", counters.messages)
        yield _counter(
            "deliveries",
            "Messages handed to members: live in the turn of their append, or in a page of the log.",
            {"mode": {"live": counters.deliveries, "page": counters.paged}},
        )
        yield _counter(
            "refused_requests",
            "Requests and messages that were refused, by the code of the error.",
            {"code": dict.fromkeys(_CODES, 0) | counters.refused},
        )
        yield _counter(
            "logins",
            "Attempts to log in, by their result; limited are those whose secret was not compared.",
            {"result": dict.fromkeys(_RESULTS, 0) | self._chat.accounts.logins},
        )
        yield _histogram("turn_duration_seconds", "Lengths of the turns in which something happened.", counters.turns)
        yield _histogram("commit_duration_seconds", "Times to store the messages of a turn.", counters.commits)
        store = snapshot.store
        yield _gauge("journal_entries", "Stored entries that are not in their final table yet.", store.journal_entries)
        yield _gauge("journal_bytes", "The memory that these entries take.", store.journal_bytes)
        yield _gauge("database_file_bytes", "Sizes of the database's files.", {"file": store.files})
        cluster = snapshot.cluster or ClusterCondition(servers=1, heartbeat_age=0, clock_ahead=0)
        yield _gauge("cluster_servers", "Servers of the cluster whose lease has not ended.", cluster.servers)
        yield _gauge(
            "cluster_heartbeat_age_seconds",
            "Seconds since this server has renewed its lease; after 10, its people are gone for others.",
            cluster.heartbeat_age,
        )
        yield _gauge(
            "cluster_clock_ahead_seconds",
            "Seconds by which the clock of this machine is ahead of that of the database.",
            cluster.clock_ahead,
        )


_Values = float | Mapping[str, Mapping[str, float]]
"""The value of a metric; or the name of a label, with the value for each value of the label."""


def _gauge(name: str, explained: str, values: _Values) -> Metric:
    return _fill(GaugeMetricFamily, name, explained, values)


def _counter(name: str, explained: str, values: _Values) -> Metric:
    return _fill(CounterMetricFamily, name, explained, values)


def _fill(
    family: type[GaugeMetricFamily] | type[CounterMetricFamily], name: str, explained: str, values: _Values
) -> Metric:
    name = f"twisted_chat_{name}"
    if not isinstance(values, Mapping):
        return family(name, explained, value=values)
    ((label, by_label),) = values.items()
    metric = family(name, explained, labels=[label])
    for of, value in by_label.items():
        metric.add_metric([of], value)
    return metric


def _histogram(name: str, explained: str, histogram: Histogram) -> Metric:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
    return HistogramMetricFamily(f"twisted_chat_{name}", explained, buckets=buckets, sum_value=histogram.sum)

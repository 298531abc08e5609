"""The page with the last hour: plots as SVG and a few tables, without a script and without other software."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

from .. import __version__
from ..chat import Chat
from ..cluster import ClusterCondition
from . import units
from .history import POINT_SECONDS, POINTS, History, Point
from .snapshot import Snapshot, take

HEIGHT: Final = 100
"""The height of a plot in its own units; its width is a unit for each point."""


class Plot(NamedTuple):
    """One figure over the last hour."""

    title: str
    value: Callable[[Point], float]
    text: Callable[[float], str]
    """Formats a value."""
    explained: str


PLOTS: Final = (
    Plot("Messages", lambda point: point.messages, units.rate, "appended to the logs of the rooms"),
    Plot("Deliveries", lambda point: point.deliveries, units.rate, "a message to 200 members is 200"),
    Plot("Connections", lambda point: point.connections, units.count, "on all wires"),
    Plot("Members", lambda point: point.members, units.count, "of all rooms together"),
    Plot("Traffic", lambda point: point.traffic, units.traffic, "in both directions"),
    Plot("Processor", lambda point: point.processor, units.share, "of one core"),
    Plot("Memory", lambda point: point.memory, units.size, "of the process"),
    Plot("Turn", lambda point: point.turn, units.seconds, "99 % took no longer"),
    Plot("Commit", lambda point: point.commit, units.seconds, "99 % took no longer"),
    Plot("Refused", lambda point: point.refused, units.rate, "requests and messages"),
    Plot("Paused readers", lambda point: point.paused, units.count, "connections that do not read"),
    Plot("Journal", lambda point: point.journal, units.count, "entries to be moved to their table"),
)


def draw(chat: Chat, history: History) -> str:
    """Return the page as HTML."""
    snapshot = take(chat)
    state = f"not ready: {snapshot.trouble}" if snapshot.trouble else "ready"
    up = units.age(chat.counters.seconds() - chat.counters.started)
    points = tuple(history.points)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{POINT_SECONDS:.0f}">
<title>{"not ready" if snapshot.trouble else "ready"} - twisted_chat</title>
<link rel="stylesheet" href="status.css">
</head>
<body>
<header>
<h1>twisted_chat {escape(__version__)}</h1>
<p><strong class="{"bad" if snapshot.trouble else "good"}">{escape(state)}</strong>, started {up} ago</p>
</header>
<main>
<section class="plots" aria-label="The last hour">
{"".join(_plot(plot, points) for plot in PLOTS)}</section>
<section class="tables">
{_tables(chat, snapshot)}</section>
</main>
</body>
</html>
"""


# Plots


def _plot(plot: Plot, points: Sequence[Point]) -> str:
    values = [plot.value(point) for point in points]
    now, most = (values[-1], max(values)) if values else (0.0, 0.0)
    top = ceiling(most)
    spoken = f"{plot.title} in the last hour: {plot.text(now)} now, {plot.text(most)} at most"
    return f"""<figure>
<figcaption><h2>{plot.title}</h2><b>{plot.text(now)}</b><small>{plot.explained}</small></figcaption>
<svg viewBox="0 0 {POINTS} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(spoken)}">
{_curve(values, top)}</svg>
<p class="scale"><span>an hour ago</span><span>up to {plot.text(top)}</span><span>now</span></p>
</figure>
"""


def _curve(values: Sequence[float], top: float) -> str:
    """Return a line and the area below it; the newest value is on the right."""
    if not values:
        return ""
    left = POINTS - len(values)
    line = " ".join(f"{left + at},{HEIGHT - HEIGHT * value / top:.1f}" for at, value in enumerate(values))
    area = f"{left},{HEIGHT} {line} {POINTS - 1},{HEIGHT}"
    return f'<polygon points="{area}"/>\n<polyline points="{line}"/>\n'


def ceiling(value: float) -> float:
    """Return the end of a scale for values up to this one: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5) if value <= step * power), 10 * power)


# Tables


def _tables(chat: Chat, snapshot: Snapshot) -> str:
    counters = chat.counters
    wires = [
        (
            kind,
            units.count(now),
            units.count(so_far),
            units.size(snapshot.received[kind]),
            units.size(snapshot.sent[kind]),
        )
        for kind, now in snapshot.connections.items()
        if (so_far := counters.connected[kind])
    ]
    refused = [
        *((code, units.count(number)) for code, number in sorted(counters.refused.items())),
        *((f"connection: {code}", units.count(number)) for code, number in sorted(counters.turned_away.items())),
    ]
    totals = [
        ("messages", units.count(counters.messages)),
        ("deliveries", units.count(counters.deliveries + counters.paged)),
        ("nicks in use", units.count(snapshot.nicks)),
        ("rooms", units.count(snapshot.kept_rooms)),
        ("rooms in memory", units.count(snapshot.open_rooms)),
        ("members that are behind", units.count(snapshot.behind)),
        *((f"log-ins: {result}", units.count(number)) for result, number in sorted(chat.accounts.logins.items())),
        *((f"file: {file}", units.size(number)) for file, number in snapshot.store.files.items()),
        *_cluster(snapshot.cluster),
    ]
    return (
        _table("Wires", ("wire", "now", "so far", "received", "sent"), wires)
        + _table("Refused so far", ("code", "count"), refused)
        + _table("Since the start", ("", "count"), totals)
    )


def _cluster(condition: ClusterCondition | None) -> list[tuple[str, str]]:
    """Return the rows about the cluster, for a server that is in one."""
    if condition is None:
        return []
    return [
        ("servers of the cluster", units.count(condition.servers)),
        ("last heartbeat", f"{condition.heartbeat_age:.0f} s ago"),
        ("clock ahead of the database's", f"{condition.clock_ahead:+.1f} s"),
    ]


def _table(title: str, heads: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    body = "".join(f"<tr>{_row(row)}</tr>\n" for row in rows) or '<tr><td colspan="9">none</td></tr>\n'
    return f"<table>\n<caption>{title}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def _row(row: Sequence[str]) -> str:
    first, *rest = row
    return f'<th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest)

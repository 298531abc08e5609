"""The results as tables for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap
from typing import Final

from twisted_chat.commands.table import table

from .cases import CASES, Row
from .model import BUSY, EXAMPLES, Model, model
from .results import Results

WIDTH: Final = 80

_Column = tuple[str, Callable[[Row], str]]


def number_text(value: float) -> str:
    """Format a number with about three significant digits."""
    digits = 0 if value >= 100 or not value else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _field(key: str, scale: float = 1.0) -> Callable[[Row], str]:
    return lambda row: row[key] if isinstance(row[key], str) else number_text(row[key] * scale)


def _count(key: str) -> Callable[[Row], str]:
    return lambda row: f"{row[key]:,}"


def _busy(row: Row) -> str:
    """Return the share of a processor that server and load used. With a load at 100 %, the server could do more."""
    seconds = row["seconds"] or 1.0
    return f"{row['cpu_s'] / seconds:.0%} {row['load_cpu_s'] / seconds:.0%}"


def _whole(row: Row) -> str:
    return "all" if row["whole"] else f"{row['complete'] - row['messages']:+,} {row['surplus']:+,}"


_MEMBERS: Final = ("members", _count("members"))
_TALK: Final = (
    ("messages/s", _field("messages_per_s")),
    ("deliveries/s", _field("deliveries_per_s")),
    ("p50 ms", _field("p50_ms")),
    ("p99 ms", _field("p99_ms")),
    ("µs each", _field("cpu_us_per_delivery")),
    ("busy", _busy),
    ("got", _whole),
)

COLUMNS: Final[dict[str, tuple[_Column, ...]]] = {
    "single": (_MEMBERS, *_TALK),
    "burst": (_MEMBERS, *_TALK),
    "everyone": (_MEMBERS, *_TALK),
    "rooms": (("rooms", _count("rooms")), *_TALK),
    "crowd": (
        _MEMBERS,
        ("all joined, s", _field("all_in_s")),
        ("bytes each", _field("memory_per_member")),
        ("to all, ms", _field("p50_ms")),
        ("slowest, ms", _field("max_ms")),
        ("got", _whole),
    ),
    "log": (("log", _count("log")), *_TALK),
    "idle": (
        ("connections", _count("members")),
        ("seconds", _field("seconds")),
        ("processor, ms", _field("cpu_s", 1e3)),
        ("memory, MB", _field("memory", 1e-6)),
    ),
    "turns": (
        ("load", _field("load")),
        ("phase", _field("phase")),
        ("turns", _count("turns")),
        ("99.9 % under, ms", _field("p999_ms")),
        ("longest, ms", _field("max_ms")),
        ("processor, ms", _field("max_cpu_ms")),
    ),
    "tls": (("load", lambda row: f"{row['load']}, {row['wire']}"), *_TALK),
    "web": (("load", lambda row: f"{row['load']}, {row['wire']}"), *_TALK),
    "memory": (("rooms of one", _count("rooms")), ("bytes each", _field("memory_per_room"))),
}

LEGEND: Final = (
    "members: of one room. messages/s: sent. deliveries/s: received by other members. p50, p99 ms: from sending a "
    "message until the last member has received it. µs each: processor time of the server per delivery. busy: the "
    "share of a processor that the server and the load used; if the load is at 100 %, the server is faster than the "
    "figures show. got: all, if each message reached each member exactly once; otherwise the number of missing "
    "messages and of surplus lines. longest, ms: the longest turn of the reactor, during which everybody waits. "
    "processor, ms: the most processor time of one turn; if the turn took much longer, the machine was busy with "
    "something else."
)


def _shown(results: Results) -> Iterator[tuple[str, list[str], list[list[str]], list[str]]]:
    """Yield the name, the column heads, the rows and the notes of each case."""
    for name in CASES:
        if rows := results.of(name):
            columns = COLUMNS[name]
            cells = [[show(row) for _, show in columns] for row in rows]
            yield name, [head for head, _ in columns], cells, list(_ratios(rows)) if name in ("tls", "web") else []


def _ratios(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence for each load that compares a wire with TCP."""
    by = {(row["load"], row["wire"]): row["messages_per_s"] for row in rows}
    for (load, wire), rate in by.items():
        if wire != "TCP":
            yield f"{load}, {wire}: {rate / by[load, 'TCP']:.2f} times the messages/s of TCP."


def text(results: Results) -> str:
    """Return the results as plain text, 80 columns wide."""
    lines = wrap(_setting(results), WIDTH)
    for name, heads, rows, notes in _shown(results):
        lines += ["", *wrap(f"{name}: {CASES[name][0]}", WIDTH), *table(heads, rows, WIDTH), *notes]
    if costs := model(results):
        lines += ["", "what one machine carries", *(part for line in _constants(costs) for part in wrap(line, WIDTH))]
    return "\n".join([*lines, "", *wrap(LEGEND, WIDTH)])


def markdown(results: Results) -> str:
    """Return the results as Markdown."""
    parts = [f"Measured on {results.date}. {_setting(results)}.", f"```sh\n{results.command}\n```", LEGEND]
    for name, heads, rows, notes in _shown(results):
        what = CASES[name][0]
        parts += [f"### {name}\n\n{what[0].upper()}{what[1:]}.", _markdown_table(heads, rows), *notes]
    if costs := model(results):
        parts += ["### What one machine carries", *_capacity(costs)]
    return "\n\n".join(parts)


def _setting(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['kernel']}"
    return f"{where}; {versions}"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows))


def _constants(costs: Model) -> list[str]:
    return [
        f"A = {number_text(costs.message * 1e6)} µs of processor time per message that arrives alone",
        f"B = {number_text(costs.delivery * 1e6)} µs of processor time per delivery",
        f"G = {number_text(costs.gathered * 1e6)} µs of processor time per delivery if all members send, and a turn's "
        "messages go out together",
        f"M = {number_text(costs.base / 1e6)} MB of memory without any connection",
        f"C = {number_text(costs.member)} bytes of memory per connection in a room",
        f"R = {number_text(costs.room)} bytes of memory per open room with one member",
    ]


def _capacity(costs: Model) -> Iterator[str]:
    yield "The server uses one processor. Its costs, derived from the figures above:"
    yield "\n".join(f"- {constant}" for constant in _constants(costs))
    yield (
        "For m messages/s in rooms of n members, c connections and r rooms:\n\n"
        "    processor = m * (A + B * (n - 1))       1 means one processor, fully busy\n"
        "    memory    = M + C * c + R * r           plus --memory, 1 MiB by default\n"
    )
    yield (
        "These are upper bounds: messages that arrive in one turn are sent together, at a cost down to G per delivery. "
        f"With {BUSY:.0%} of a processor, which leaves a reserve for moments in which many people talk, it carries:"
    )
    sizes = (2, 10, 100, 1_000, 10_000)
    yield _markdown_table(
        ["members of a room", "messages/s in all such rooms", "deliveries/s"],
        [[f"{n:,}", number_text(costs.messages(n)), number_text(costs.messages(n) * (n - 1))] for n in sizes],
    )
    yield "Examples:"
    yield _markdown_table(
        ["", "processor", "memory, MB"],
        [[e.what, f"{costs.processor(e):.2%}", number_text(costs.memory(e) / 1e6)] for e in EXAMPLES],
    )

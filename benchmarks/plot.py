"""A plot of the results."""

from __future__ import annotations

from typing import Final

from matplotlib.figure import Figure

from .results import Results

_LINES: Final = {
    "single": "one talker, one message at a time",
    "burst": "one talker, eight under way",
    "everyone": "all talking",
}


def plot(results: Results, path: str) -> None:
    """Plot throughput and latency by the number of members, as a PNG."""
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    throughput, latency = figure.subplots(1, 2)
    for number, (case, label) in enumerate(_LINES.items()):
        if rows := results.of(case):
            members = [row["members"] for row in rows]
            color = f"C{number}"
            throughput.plot(members, [row["deliveries_per_s"] for row in rows], "o-", color=color, label=label)
            latency.plot(members, [row["p50_ms"] for row in rows], "o-", color=color, label=f"{label}, p50")
            latency.plot(members, [row["p99_ms"] for row in rows], "s:", color=color, label=f"{label}, p99")
    throughput.set(title="Throughput", ylabel="deliveries/s")
    latency.set(title="From sending to the last receipt", ylabel="ms")
    for axes in (throughput, latency):
        axes.set(xlabel="members of the room", xscale="log", yscale="log")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    versions = results.versions
    figure.suptitle(
        f"twisted_chat {versions['twisted_chat']}, Python {versions['Python']}, {results.date}", fontsize=10
    )
    figure.savefig(path, format="png", dpi=120)

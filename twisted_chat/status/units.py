"""Figures as people read them: three digits and a unit."""

from __future__ import annotations

from typing import Final

_LARGE: Final = ("", "k", "M", "G", "T")


def number(value: float, unit: str = "") -> str:
    """Format a number: `0.25`, `12.3`, `1.23 k`; with a unit, `12.3/s` and `12.3 kB/s`."""
    size, prefix = value, 0
    while size >= 999.5 and prefix < len(_LARGE) - 1:
        size /= 1000
        prefix += 1
    text = f"{size:.0f}" if size >= 99.95 else f"{size:.3g}"
    prefixed = _LARGE[prefix] + unit
    return f"{text} {prefixed}" if prefixed[:1].isalpha() else text + prefixed


def size(value: float) -> str:
    """Format a number of bytes: `12 B`, `1.23 kB`."""
    return number(value, "B")


def rate(value: float) -> str:
    """Format a number of things per second: `12.3/s`."""
    return number(value, "/s")


def traffic(value: float) -> str:
    """Format a number of bytes per second: `12.3 kB/s`."""
    return number(value, "B/s")


def count(value: float) -> str:
    """Format a number of things: `1,234`."""
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    """Format a short time: `250 µs`, `12.5 ms`, `1.2 s`."""
    if value >= 0.9995:
        return f"{value:.3g} s"
    if value >= 0.0009995:
        return f"{value * 1000:.3g} ms"
    return f"{value * 1_000_000:.3g} µs" if value else "0 s"


def share(value: float) -> str:
    """Format a share: `12 %`."""
    return f"{value * 100:.0f} %"


def age(value: float) -> str:
    """Format a long time: `45 s`, `12 min`, `3 h 5 min`, `12 d 3 h`."""
    minutes, hours = int(value / 60), int(value / 3600)
    if minutes < 1:
        return f"{int(value)} s"
    if hours < 1:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"

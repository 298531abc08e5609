"""Reads the status of a running server over HTTP, and makes figures of two readings.

It reads `/metrics`, as Prometheus does, and so works with a server of another version, on another machine too.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from ..counters import quantile
from ..status import units
from . import Problem

TIMEOUT: Final = 5.0
"""Seconds to wait for an answer, which takes milliseconds."""

MOST_BYTES: Final = 2**20
"""The bytes that are read of an answer. It has 10 kB."""

_UNPRINTABLE: Final = re.compile(r"[^\n\x20-\x7e\xa0-\U0010ffff]")
"""Characters that a terminal would obey."""

PREFIX: Final = "twisted_chat_"


class Unanswered(Problem):
    """The status cannot be read now, and may be read later."""


class Status:
    """The status of a server, at a place where it is served."""

    def __init__(self, place: str, token: str = "", ca: str | None = None) -> None:
        """`place` is a port, a host and a port, a URL, or the path of a Unix socket.

        Raises `Problem` if it is none of these.
        """
        self.place = place
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connect = _connector(place, ca)

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the text of an answer. Raises `Unanswered`."""
        connection = self._connect()
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            text = answer.read(MOST_BYTES).decode(errors="replace")
            return answer.status, _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unanswered(f"no answer from {self.place}: {why}") from None
        finally:
            connection.close()

    def read(self) -> Reading:
        """Read the metrics now. Raises `Unanswered`, or `Problem` if this is another server or needs a token."""
        status, text = self.get("/metrics")
        if status == HTTPStatus.UNAUTHORIZED:
            raise Problem(f"{self.place} wants a token: give the server's file with --status-token FILE")
        values: dict[str, dict[str, float]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    name = sample.name.removeprefix(PREFIX).removesuffix("_total")
                    values.setdefault(name, {})["".join(sample.labels.values())] = sample.value
        except ValueError:
            values = {}
        if status != HTTPStatus.OK or "build_info" not in values:
            raise Problem(f"{self.place} is not the status of a chat server: give the place of its option --status")
        why = ""
        if not values["ready"][""]:
            why = self.get("/readyz")[1].strip().removeprefix("the server is not ready: ")
        return Reading(time.monotonic(), values, why)


class _Unix(http.client.HTTPConnection):
    """A connection through a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def _connector(place: str, ca: str | None) -> Callable[[], http.client.HTTPConnection]:
    if place.startswith("/"):
        return lambda: _Unix(place)
    if place.isascii() and place.isdecimal():
        place = f"127.0.0.1:{place}"
    try:
        url = urlsplit(place if "://" in place else f"http://{place}")
        scheme, host, port = url.scheme, url.hostname, url.port
    except ValueError:  # a port that is no number, or an address without its bracket
        scheme, host, port = "", None, None
    is_known = scheme == "https" or (scheme == "http" and port)
    if not (host and is_known) or url.path not in ("", "/"):
        raise Problem(
            "--status takes a port, or a place such as 127.0.0.1:14990, https://chat.example.org:14990 or "
            f"/run/chat/status.sock, not '{place}'"
        )
    if scheme == "http":
        return lambda: http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise Problem(f"--ca: {ca} cannot be used: {error.strerror or error}") from None
    return lambda: http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)


def read_token(path: str | None) -> str:
    """Read a token, which is the first line of a file. Raises `OSError`."""
    return "" if path is None else Path(path).read_text("latin-1").partition("\n")[0].strip()


class Reading(NamedTuple):
    """The metrics at a time."""

    time: float
    """When they were read, by a steady clock."""
    values: Mapping[str, Mapping[str, float]]
    """The values by name, without `PREFIX` and `_total`, and by the value of the label, if there is one."""
    trouble: str = ""
    """Why the server is not ready."""

    def of(self, name: str) -> Mapping[str, float]:
        return self.values.get(name, {})

    def total(self, *names: str) -> float:
        return sum(sum(self.of(name).values()) for name in names)

    @property
    def version(self) -> str:
        return next(iter(self.values["build_info"]))

    @property
    def started(self) -> float:
        """When the server was started, in seconds since 1970; 0 if the system does not tell."""
        return self.total("process_start_time_seconds")


class Row(NamedTuple):
    """A figure: what it is called, its value, and what else is known of it."""

    label: str
    text: str
    detail: str = ""
    value: float | None = None
    """The value as a number, for a plot."""


UNKNOWN: Final = "-"


class Figures:
    """The figures of two readings. Without an earlier one, or if the server was started anew, there are no rates."""

    def __init__(self, before: Reading | None, now: Reading) -> None:
        is_same = before is not None and before.started == now.started and before.time < now.time
        self._before = before if is_same else None
        self._now = now

    def rows(self) -> list[Row]:
        """Return all figures, the most important ones first."""
        now = self._now
        return [
            self._rate("messages", "messages"),
            self._rate("deliveries", "deliveries"),
            Row("connections", *self._count("connections")),
            self._slow("turn", "turn_duration_seconds"),
            self._slow("commit", "commit_duration_seconds"),
            self._rate("refused", "refused_requests"),
            self._rate("turned away", "connections_refused"),
            self._rate("processor", "process_cpu_seconds", units.share),
            self._gauge("memory", "process_resident_memory_bytes", units.size),
            self._gauge("paused", "paused_readers", units.count, "connections do not read"),
            self._gauge("members", "members", units.count, f"{units.count(now.total('members_behind'))} behind"),
            self._gauge("rooms", "rooms", units.count, f"{units.count(now.total('open_rooms'))} in memory"),
            self._gauge("nicks", "nicks", units.count),
            self._rate("received", "received_bytes", units.traffic),
            self._rate("sent", "sent_bytes", units.traffic),
            self._rate("log-ins", "logins"),
            *(self._store(files) if (files := now.of("database_file_bytes")) else ()),
        ]

    def _store(self, files: Mapping[str, float]) -> list[Row]:
        """Return the figures of a store that is a file."""
        size = files["database"]
        return [
            self._gauge("journal", "journal_entries", units.count, "entries are not in their table yet"),
            Row("database", units.size(size), f"{units.size(files['wal'])} in its write-ahead log", size),
        ]

    def _gauge(self, label: str, name: str, write: Callable[[float], str], detail: str = "") -> Row:
        value = self._now.total(name)
        return Row(label, write(value), detail, value)

    def _count(self, name: str) -> tuple[str, str, float]:
        total = self._now.total(name)
        return units.count(total), _details(self._now.of(name), units.count), total

    def _rate(self, label: str, name: str, write: Callable[[float], str] = units.rate) -> Row:
        if self._before is None:
            return Row(label, UNKNOWN)
        seconds = self._now.time - self._before.time
        before = self._before.of(name)
        rates = {key: (value - before.get(key, 0.0)) / seconds for key, value in self._now.of(name).items()}
        total = sum(rates.values())
        return Row(label, write(total), _details(rates, write) if len(rates) > 1 else "", total)

    def _slow(self, label: str, name: str) -> Row:
        """Return the time that 99 % took no longer than, and half of them."""
        if self._before is None:
            return Row(label, UNKNOWN)
        bounds, counts = self._differences(f"{name}_bucket")
        if not sum(counts):
            return Row(label, UNKNOWN, "none", 0.0)
        slow, middle = quantile(bounds, counts, 0.99), quantile(bounds, counts, 0.5)
        return Row(label, units.seconds(slow), f"for 99 %, {units.seconds(middle)} for half", slow)

    def _differences(self, name: str) -> tuple[list[float], list[float]]:
        """Return the bounds of a histogram, and the observations in each range since the earlier reading."""
        assert self._before is not None
        now, before = self._now.of(name), self._before.of(name)
        below = 0.0
        counts = []
        for bound, count in now.items():
            up_to_here = count - before.get(bound, 0.0)
            counts.append(up_to_here - below)
            below = up_to_here
        return [float(bound) for bound in now if bound != "+Inf"], counts


def _details(values: Mapping[str, float], write: Callable[[float], str]) -> str:
    """Return the parts of a sum that are not 0, the largest first."""
    parts: Iterable[tuple[str, float]] = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {write(value)}" for name, value in parts if value)

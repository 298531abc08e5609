"""The access log: a line for each connection that has ended, in a file of its own.

A line is either fields that people read and `grep` finds, or an object of JSON:

    2026-11-26T16:40:12.125Z wire=tcp address=192.0.2.7 port=49474 nick=alice account=true seconds=35.214 received=1234
    sent=5678 cause=quit

It has no texts of messages, no rooms and no secrets. Addresses and nicks are personal data, so the file can only be
read by its owner, and logrotate decides how long it is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.logger import Logger

from .. import clock
from ..limits import Bucket
from ..messages import time_text
from ..participant import Participant, Wire

LINES_PER_SECOND: Final = 100.0
"""Lines that are written per second in the long run: 1.4 GB a day at most. Whoever has many addresses could otherwise
fill the disk with connections that do nothing."""

LINES_AT_ONCE: Final = 100_000
"""Lines that are written at once: when the server stops, all connections end."""

LOST: Final = "lost"
"""The cause of the end of a connection that nobody has ended: it was cut, or the client is gone."""

Fields = Mapping[str, Any]

_log = Logger("twisted_chat.access_log")


def as_text(fields: Fields) -> str:
    """Format a line for people: the time, and then names and values. No value has a space or a control character."""
    time, *rest = fields.values()
    names = list(fields)[1:]
    return " ".join([time, *(f"{name}={_word(value)}" for name, value in zip(names, rest, strict=True))])


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "".join(one if one.isprintable() and one != " " else f"\\u{ord(one):04x}" for one in str(value)) or "-"


class AccessLog:
    """A file with a line for each connection that has ended."""

    def __init__(self, path: str, reactor: Any, write: Callable[[Fields], str] = as_text) -> None:
        """`write` formats a line, such as `as_text` or `json.dumps`."""
        self.path = path
        self._reactor = reactor
        self._write = write
        self._descriptor: int | None = None
        """The open file. There is no buffer, so that what cannot be written is lost and not tried again."""
        self._bucket = Bucket(LINES_PER_SECOND, LINES_AT_ONCE, reactor.seconds())
        self._left_out = 0
        """The lines that were left out since the last one."""

    def open(self) -> None:
        """Open the file, at the start or after somebody has renamed it. Raises `OSError`, and then nothing changes."""
        # Where there is no such file it is made for its owner alone, and where there is one, it keeps its permissions.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.close()
        self._descriptor = descriptor

    def reopen(self) -> None:
        """Open the file anew, so that a program such as logrotate can rename it."""
        try:
            self.open()
        except OSError as error:
            _log.error(
                "{path} cannot be opened anew, and the old access log stays in use: {why}",
                path=self.path,
                why=error.strerror,
            )

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def ended(self, wire: Wire) -> None:
        """Write the line of a connection that has ended."""
        now = self._reactor.seconds()
        if self._bucket.take(now):
            self._left_out += 1
            return
        time = time_text(clock.milliseconds(self._reactor))
        if self._left_out:
            self._add({"time": time, "left_out": self._left_out})
            self._left_out = 0
        participant, traffic = wire.participant, wire.traffic
        known = participant if isinstance(participant, Participant) else None
        self._add(
            {
                "time": time,
                "wire": wire.kind,
                "address": wire.address,
                "port": wire.label,
                "nick": known.nick.shown if known else "",
                "account": known is not None and known.account is not None,
                "seconds": round(now - traffic.began, 3),
                "received": traffic.received,
                "sent": traffic.sent,
                "cause": wire.cause or LOST,
            }
        )

    def _add(self, fields: Fields) -> None:
        assert self._descriptor is not None
        try:
            os.write(self._descriptor, f"{self._write(fields)}\n".encode())
        except OSError as error:
            _log.error("{path} cannot be written, and lines are lost: {why}", path=self.path, why=error.strerror)


FORMATS: Final[Mapping[str, Callable[[Fields], str]]] = {"text": as_text, "json": json.dumps}
"""The formats by the values of `--log-format`."""

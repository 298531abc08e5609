"""The server's log as JSON, one object a line, in place of the text that `twistd` writes.

    {"time": "2026-11-26T16:40:12.125Z", "level": "info", "logger": "twisted_chat.service",
     "message": "listening on 127.0.0.1:14900", "format": "listening on {address}"}

`format` is the same for all entries of a kind, so that programs can count them and alert on them. An entry about an
exception has its `traceback`. Twisted's own JSON (`jsonFileLogObserver`) is for reading entries back into Python: it
has every object that was handed to the logger, whatever is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twisted.logger import FileLogObserver, LogEvent, eventAsText, formatEvent
from twisted.scripts._twistd_unix import UnixAppLogger

from ..messages import time_text


def json_observer(options: Mapping[str, Any]) -> FileLogObserver:
    """Make the observer that writes JSON where `twistd` would write text. `options` are those of `twistd`.

    It is `twistd` that chooses and opens the file, and rotates it for SIGUSR1: there is no public way to ask for that.
    """
    text_observer = UnixAppLogger({**options, "logger": None})._getLogObserver()
    return FileLogObserver(text_observer._outFile, as_json)


def as_json(event: LogEvent) -> str | None:
    """Format an entry as a line; None for one that says nothing."""
    failure = event.get("log_failure")
    message = formatEvent(event)
    if not message and failure is None:
        return None
    level = event.get("log_level")
    fields = {
        "time": time_text(int(event["log_time"] * 1000)),
        "level": "info" if level is None else level.name,
        "logger": event.get("log_namespace", "-"),
        "message": message,
        "format": event.get("log_format") or "",
    }
    if failure is not None:
        only_failure = {"log_format": "", "log_failure": failure}
        fields["traceback"] = eventAsText(only_failure, includeTimestamp=False, includeSystem=False).strip()
    # In ASCII, so that a line can be written and read in any encoding, and has no line ends of Unicode in it.
    return f"{json.dumps(fields)}\n"

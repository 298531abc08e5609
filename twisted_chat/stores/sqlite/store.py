"""The embedded store as a whole: its file is opened once, for logs and accounts."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import suppress
from typing import Any

from twisted.logger import Logger

from ...log import Unusable
from ..opened import Opened
from ..retention import EVERYTHING, Keep
from .database import Durability, explain
from .file import DatabaseFile
from .log import SQLiteLog
from .registry import SQLiteRegistry

_log = Logger("twisted_chat.stores.sqlite")


def open_store(path: str, reactor: Any, durability: Durability = "process", keep: Keep = EVERYTHING) -> Opened:
    """Open a file, or make one. `:memory:` keeps everything in memory. Raises `Unusable`."""
    file = DatabaseFile.open(path, reactor, durability)
    try:
        opened = Opened(SQLiteLog(file, reactor, keep), SQLiteRegistry(file, reactor))
    except sqlite3.Error as error:
        file.let_go()
        raise Unusable(f"{path} cannot be used: {explain(error)}") from None
    if not file.is_in_memory and is_open_to_all(file.path):
        _log.warn(
            "every user of this machine can read {path}, which has all messages and the hashes of passwords: "
            "chmod o= {path}",
            path=file.path,
        )
    return opened


def is_open_to_all(path: str) -> bool:
    """True if every user of this machine may read a file, since neither it nor its folder keeps them away."""
    with suppress(OSError):  # it has gone, which the next write notices
        folder = os.path.dirname(path)
        return bool(os.stat(path).st_mode & stat.S_IROTH and os.stat(folder).st_mode & stat.S_IXOTH)
    return False

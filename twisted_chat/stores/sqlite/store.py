"""The embedded store as a whole: its file is opened once, for logs and accounts."""

from __future__ import annotations

import sqlite3
from typing import Any

from ...log import Unusable
from ..opened import Opened
from ..retention import EVERYTHING, Keep
from .database import Durability, explain
from .file import DatabaseFile
from .log import SQLiteLog
from .registry import SQLiteRegistry


def open_store(path: str, reactor: Any, durability: Durability = "process", keep: Keep = EVERYTHING) -> Opened:
    """Open a file, or make one. `:memory:` keeps everything in memory. Raises `Unusable`."""
    file = DatabaseFile.open(path, reactor, durability)
    try:
        registry = SQLiteRegistry(file, reactor)
    except sqlite3.Error as error:
        file.let_go()
        raise Unusable(f"{path} cannot be used: {explain(error)}") from None
    return Opened(SQLiteLog(file, reactor, keep), registry)

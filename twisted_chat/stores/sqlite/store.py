"""The embedded store as a whole: its file is opened once, for logs and accounts."""

from __future__ import annotations

from typing import Any

from ...accounts import Anybody
from ..opened import Opened
from ..retention import EVERYTHING, Keep
from .database import Durability
from .file import DatabaseFile
from .log import SQLiteLog


def open_store(path: str, reactor: Any, durability: Durability = "process", keep: Keep = EVERYTHING) -> Opened:
    """Open a file, or make one. `:memory:` keeps everything in memory. Raises `Unusable`."""
    file = DatabaseFile.open(path, reactor, durability)
    return Opened(SQLiteLog(file, reactor, keep), Anybody())

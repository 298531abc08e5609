"""The store of several servers as a whole: its database is opened once, for logs and accounts."""

from __future__ import annotations

import asyncio
from typing import Any

from ..opened import Opened
from ..retention import EVERYTHING, Keep
from .cluster import PostgreSQLCluster
from .database import PATIENCE, Database
from .limits import PostgreSQLLimits
from .log import PostgreSQLLog
from .registry import PostgreSQLRegistry


async def open_store(
    url: str,
    reactor: Any,
    loop: asyncio.AbstractEventLoop,
    keep: Keep = EVERYTHING,
    patience: float = PATIENCE,
) -> Opened:
    """Open a database, and make its tables if it has none. Raises `Unusable`."""
    database = Database(url, reactor, loop, patience)
    try:
        await database.open()
        await database.warn_about_access()
        log, registry = PostgreSQLLog(database, reactor, keep), PostgreSQLRegistry(database, reactor)
        cluster = PostgreSQLCluster(database, log.server, reactor)
        log.direct_heard = cluster.direct_heard
        await log.start()
        await registry.start()
        cluster.start()
        limits = PostgreSQLLimits(database)
    except BaseException:
        await database.close()
        raise
    database.run(database.listen())
    return Opened(log, registry, cluster, limits)

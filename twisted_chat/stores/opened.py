"""The parts of a store that is open."""

from __future__ import annotations

from typing import NamedTuple

from ..cluster import STANDALONE, Cluster
from ..log import Log
from ..registry import Registry
from ..shared_limits import SharedLimits


class Opened(NamedTuple):
    """An open store: the logs of all rooms and the registry of accounts, in one place."""

    log: Log
    """The logs of all rooms. Closing them closes the store; the registry is closed before."""
    registry: Registry
    cluster: Cluster = STANDALONE
    """The servers that share the store."""
    limits: SharedLimits | None = None
    """The limits that these servers share."""

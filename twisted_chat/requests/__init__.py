"""The handlers of requests. They know nothing of bytes.

A request is one function in a module of this package and one struct in `messages`: `@answers` puts the function into
the table of the gate, with the role that it needs. Importing this package fills the table.
"""

from ..gate import handle
from . import (
    accounts,
    audit,
    connection,
    deleting,
    entry,
    identity,
    moderation,
    reading,
    reports,
    roles,
    rooms,
    speaking,
)

__all__ = [
    "accounts",
    "audit",
    "connection",
    "deleting",
    "entry",
    "handle",
    "identity",
    "moderation",
    "reading",
    "reports",
    "roles",
    "rooms",
    "speaking",
]

"""A watch on the files of a database: the next program that opens them has to find all messages.

SQLite does not notice when somebody removes, replaces or truncates a file that it has open. It goes on writing, and
what it writes is lost.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from typing import Final

GONE: Final = "it is gone, or another file is in its place: put it back, or restart the server"
OVERWRITTEN: Final = (
    "another program has truncated it or written over it: stop the server and put a backup in its place, "
    "or restart the server if that was meant"
)
WAL_GONE: Final = "its write-ahead log (-wal) was taken away; what is kept is safe: restart the server"
WAL_TRUNCATED: Final = (
    "another program has truncated its write-ahead log (-wal), and what was said last is lost: restart the server"
)

_HEADER: Final = 100
"""Bytes of the database's header (SQLite's file format, section 1.3)."""

_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
"""Bytes before the frames of the write-ahead log, and before the page in each frame (section 4.1)."""

_LAST_FRAME_AT: Final = 16
_COPIED_AT: Final = 96
"""Where the index of the write-ahead log (`-shm`) has the number of its last frame, and how many of its frames are
copied into the database (SQLite's WAL-mode file format, sections 2.1 and 2.2)."""


class FileWatch:
    """Watches the database and the write-ahead log that a server has open."""

    def __init__(self, path: str, descriptor: int, connection: sqlite3.Connection) -> None:
        """Watch the database at a path, which `descriptor` and `connection` have open."""
        self._path = path
        self._wal = f"{path}-wal"
        self._descriptor = descriptor
        self._index = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
        page_size, cookie, version, application = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "schema_version", "user_version", "application_id")
        )
        self._page_size = page_size
        # The header says what it will say once all that was written at the start is copied into the file.
        size_field = page_size % 2**16 or 1  # 2**16 does not fit, and is written as 1
        expected = struct.pack(">16sHIII", b"SQLite format 3", size_field, cookie, version, application)
        self._known = {expected, self._fixed()}
        status = os.stat(path)
        self._identity = status.st_dev, status.st_ino
        self._seen = status.st_size, status.st_mtime_ns
        status = os.stat(self._wal)
        self._wal_identity = status.st_dev, status.st_ino
        self._wal_size = status.st_size

    def trouble(self) -> str:
        """Return what is wrong with the files, in one of the sentences above; empty if nothing is."""
        try:
            status = os.stat(self._path)
        except OSError:
            return GONE
        if (status.st_dev, status.st_ino) != self._identity:
            return GONE
        if (status.st_size, status.st_mtime_ns) != self._seen:  # by a checkpoint, or by another program
            if status.st_size < self._seen[0] or self._fixed() not in self._known:
                return OVERWRITTEN
            self._seen = status.st_size, status.st_mtime_ns
        return self._wal_trouble()

    def _fixed(self) -> bytes:
        """Read the part of the database's header that does not change while a server runs on it."""
        header = os.pread(self._descriptor, _HEADER, 0)
        return header[:18] + header[40:44] + header[60:64] + header[68:72]

    def _wal_trouble(self) -> str:
        try:
            status = os.stat(self._wal)
        except OSError:
            return WAL_GONE
        if (status.st_dev, status.st_ino) != self._wal_identity:
            return WAL_GONE
        if status.st_size < self._wal_size and self._needs_more_than(status.st_size):
            return WAL_TRUNCATED
        self._wal_size = status.st_size
        return ""

    def _needs_more_than(self, size: int) -> bool:
        """True if a write-ahead log of this size lacks frames that are in no other place.

        SQLite truncates it, too, once all of it is copied.
        """
        index = os.pread(self._index, _COPIED_AT + 4, 0)
        (last,) = struct.unpack_from("=I", index, _LAST_FRAME_AT)
        (copied,) = struct.unpack_from("=I", index, _COPIED_AT)
        return bool(copied < last and size < _WAL_HEADER + last * (_FRAME_HEADER + self._page_size))

    def close(self) -> None:
        """Stop watching. All connections have to be closed before, since this releases SQLite's locks on `-shm`."""
        os.close(self._index)

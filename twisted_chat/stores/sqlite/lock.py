"""The lock that keeps a second server away from a database."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import Final

from ...log import Unusable

LOCKED_BYTE: Final = 2**40
"""The byte of the database that is locked: far behind those that SQLite locks, which are at 2**30."""

_SET_LOCK: Final[int | None] = getattr(fcntl, "F_OFD_SETLK", None)  # Linux has it; elsewhere `-lock` has to do

_GET_LOCK: Final[int | None] = getattr(fcntl, "F_OFD_GETLK", None)

_IN_USE: Final = "{path} is in use by another server: stop that server, or name another file with --database"


_LOCK: Final = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0)
"""The lock on that byte, as `struct flock`."""


class FileLock:
    """The lock of one server on its database, held from `acquire` until `release`.

    It is a lock on the database itself: a file beside it can be removed, and a second server would then make and lock
    another one. An open file description lock (fcntl(2)) is independent of SQLite's own locks, but to close any
    descriptor of the database gives those up, so `release` comes after the last connection is closed.

    The file `-lock` beside the database is locked as well: earlier versions know only that one, and systems without
    open file description locks have no other.
    """

    def __init__(self, path: str, descriptor: int, made: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        """An open descriptor of the database."""
        self.made = made
        """True if this lock made the database."""
        self.held = False
        """True once the database itself is locked."""
        self._beside: int | None = None
        """A descriptor of `-lock`."""

    @classmethod
    def acquire(cls, path: str) -> FileLock:
        """Lock a database, which is made if there is none. Raises `Unusable`."""
        while True:
            lock = cls(path, *_open(path))
            try:
                lock._lock()
            except BaseException:
                lock.release(remove=lock.made and lock.held)  # without the lock, it may be another server's by now
                raise
            if _is_at(lock.descriptor, path):
                return lock
            lock.release()  # the file was removed before it was locked

    def _lock(self) -> None:
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            raise Unusable(f"{self.path} cannot be used: it is not a regular file")
        is_enough = self._lock_database()
        while self._beside is None or not _is_at(self._beside, f"{self.path}-lock"):
            _close(self._beside)
            self._beside = _open_beside(self.path, os.fstat(self.descriptor), is_enough)
            if self._beside is None:
                return
            try:
                fcntl.flock(self._beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._beside)
                self._beside = None  # the file is another server's, and stays
                raise Unusable(_IN_USE.format(path=self.path)) from None

    def _lock_database(self) -> bool:
        """Lock the database itself. False if the system, or the file system, has no such locks."""
        if _SET_LOCK is None:
            return False
        try:
            fcntl.fcntl(self.descriptor, _SET_LOCK, _LOCK)
        except (BlockingIOError, PermissionError):
            raise Unusable(_IN_USE.format(path=self.path)) from None
        except OSError:
            return False
        self.held = True
        return True

    def release(self, remove: bool = False) -> None:
        """Release the lock, and with `remove` the database, too."""
        if remove and _is_at(self.descriptor, self.path):
            os.unlink(self.path)
        if self._beside is not None and _is_at(self._beside, f"{self.path}-lock"):
            os.unlink(f"{self.path}-lock")
        _close(self._beside)
        os.close(self.descriptor)


def is_in_use(path: str) -> bool:
    """True if a server has locked a database. Nothing is changed, and read access is enough.

    Call this before SQLite opens the file in this process: to close a descriptor of it gives up SQLite's locks. Where
    the system has no open file description locks, the file `-lock` has to do. Raises `OSError`.
    """
    if _GET_LOCK is None:
        return os.path.exists(f"{path}-lock") and _is_flocked(f"{path}-lock")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        (kind,) = struct.unpack_from("h", fcntl.fcntl(descriptor, _GET_LOCK, _LOCK))
    finally:
        os.close(descriptor)
    return bool(kind != fcntl.F_UNLCK)


def _is_flocked(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(path: str) -> tuple[int, bool]:
    """Open a database, or make an empty one. Returns its descriptor, and True if it was made."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600), True  # it has hashes of passwords
        except FileExistsError:
            return os.open(path, flags), False
    except OSError as error:
        raise Unusable(_refusal(path, error)) from None


def _refusal(path: str, error: OSError) -> str:
    """Return the reason why a database cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return f"{path} cannot be made: there is no folder {os.path.dirname(path)}"
    if isinstance(error, IsADirectoryError):
        return f"{path} cannot be used: it is a folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and os.path.exists(path):
        return f"{path} cannot be used: it may not be written to"
    return f"{path} cannot be used: {error.strerror}"


def _open_beside(path: str, database: os.stat_result, is_dispensable: bool) -> int | None:
    """Open the file `-lock`, with the owner that the database has, as SQLite does for the files that it makes.

    Returns None if that is not possible and the lock on the database is enough.
    """
    try:
        descriptor = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if is_dispensable:
            return None
        raise Unusable(f"{path} cannot be used: {error.strerror} ({path}-lock)") from None
    with suppress(OSError):  # only the superuser can, and only then the owner is another one
        os.fchown(descriptor, database.st_uid, database.st_gid)
    return descriptor


def _is_at(descriptor: int, path: str) -> bool:
    """True if the file that a descriptor has open is the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)

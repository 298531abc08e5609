"""Writing a file as a whole: a reader finds the old contents or the new ones, and never half of them.

The server's commands and the clients use this for all files that they write. It needs nothing but Python.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

_DESCRIPTORS: Final = "/proc/"
"""The folder in which Linux has the open files of processes. `/dev/stdout` and `/dev/fd/1` lead there."""


@contextmanager
def atomic_write(path: str, mode: int = 0o666, is_private: bool = False) -> Iterator[BinaryIO]:
    """Open a file to write to. A regular file takes its place when the block ends without an error.

    The place is the one to which links lead. An existing file passes on its permissions and, if this user may give
    files away, its owner. A new one has `mode`, less the umask. If the block fails, everything is as before. Two
    programs that write to one path at once do not disturb each other; the file of the one that ends last stays. Only
    the owner may read or write a file that `is_private`, whatever the one was that it replaces.

    Anything but a regular file (a device, a pipe, an output of this process) is written to directly. Raises `OSError`.
    """
    target = _target(path)
    if target is None:
        with open(path, "wb") as file:
            yield file
        return
    with _unfinished(target, mode, is_private) as (descriptor, _), open(descriptor, "wb", closefd=False) as file:
        yield file


@contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Make an empty file that only the owner may read or write, for somebody who needs a path to write to.

    It takes its place as in `atomic_write`. Raises `OSError`, also where there is anything but a regular file.
    """
    target = _target(path)
    if target is None:
        raise OSError(errno.EINVAL, "not a regular file", path)
    with _unfinished(target, 0o600, is_private=True) as (_, unfinished):
        yield unfinished


@contextmanager
def _unfinished(target: str, mode: int, is_private: bool) -> Iterator[tuple[int, str]]:
    """Make a file in the folder of `target`, and move it there when the block ends without an error.

    The block has its descriptor and its path.
    """
    before = os.stat(target) if os.path.exists(target) else None
    folder, name = os.path.split(target)
    unfinished = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, mode if before is None and not is_private else 0o600)
    try:
        yield descriptor, unfinished
        if before is not None:
            _pass_on(before, descriptor, is_private)
        os.fsync(descriptor)  # otherwise a power cut may leave an empty file of this name
        os.replace(unfinished, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    finally:
        os.close(descriptor)


def _target(path: str) -> str | None:
    """Follow links to the place of a regular file; None if there is something else, or an open descriptor."""
    path = os.path.abspath(path)
    for _ in range(40):  # as many as Linux follows
        folder, name = os.path.split(path)
        path = os.path.join(os.path.realpath(folder), name)
        if path.startswith(_DESCRIPTORS):
            return None
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    try:
        return path if stat.S_ISREG(os.stat(path).st_mode) else None
    except FileNotFoundError:
        return path


def _pass_on(before: os.stat_result, descriptor: int, is_private: bool) -> None:
    """Give a new file the owner and the permissions of the one that it replaces."""
    with suppress(OSError):  # only the superuser can give files away
        os.fchown(descriptor, before.st_uid, before.st_gid)
    mode = stat.S_IMODE(before.st_mode)
    os.fchmod(descriptor, mode & ~0o077 if is_private else mode)

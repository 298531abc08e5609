"""The files that a killed server leaves behind: its pid file, and the lock of its Unix socket.

Both hold the number of a process. In a container, the next process of that number may be the next server itself.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

SLACK: Final = 2.0
"""Seconds by which the start of a process and the time of a file are compared: both are rounded."""


def remove_pid_file(path: str) -> bool:
    """Remove a pid file if its process has ended, or if it is empty after a power cut. True if it was removed."""
    try:
        text = Path(path).read_text()
        written = os.stat(path).st_mtime
        if text.strip() and _wrote(int(text), written):
            return False
        os.remove(path)
    except (OSError, ValueError):  # there is no file, or it is not a pid file, which twistd reports
        return False
    return True


def remove_socket(path: str) -> None:
    """Remove a Unix socket that nobody listens at, and its lock, so that it can be opened again.

    Twisted's lock is a symbolic link to the number of the process.
    """
    lock = f"{path}.lock"
    try:
        if _wrote(int(os.readlink(lock)), os.lstat(lock).st_mtime):
            return
        os.remove(lock)
    except (OSError, ValueError):  # there is no lock, or it is not Twisted's
        pass
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode) and not _is_served(path):
            os.remove(path)
    except OSError:  # there is no socket, or this user may not remove it, which opening it will report
        pass


def remove_lock(path: str) -> None:
    """Remove the lock of a Unix socket that this process has made."""
    lock = f"{path}.lock"
    with suppress(OSError):
        if os.readlink(lock) == str(os.getpid()):
            os.remove(lock)


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:  # it is busy, or this user may not connect
            return True
    return True


def _wrote(process: int, written: float) -> bool:
    """True if another process with this number runs, and has run since the given time."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        pass
    started = _started(process)
    return started is None or started <= written + SLACK


def _started(process: int) -> float | None:
    """Return the start of a process, in seconds since 1970, or None if the system is not Linux."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except (OSError, StopIteration):
        return None
    ticks = int(fields[19])  # field 22 of the line is starttime, see proc_pid_stat(5)
    return float(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")

"""The files to which `twistd` writes the server's log, which is not the log of a room.

A program such as logrotate renames the file, and then asks the server to open the path anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import LogPublisher
from twisted.python.logfile import BaseLogFile


def log_files(publisher: LogPublisher) -> list[BaseLogFile]:
    """Return the files that the present observers of a publisher write to, without standard output."""
    # There is no public way to find the observers that `twistd` has added, nor what they write to.
    files = (getattr(observer, "_outFile", None) for observer in publisher._observers)
    return [file for file in files if isinstance(file, BaseLogFile)]


def reopen(files: Iterable[BaseLogFile]) -> None:
    """Open the paths of log files again. Raises `OSError`, and the file that could not be opened stays in use."""
    for file in files:
        with open(file.path, "ab"):  # `reopen` closes the old file first, and would be left with none
            file.reopen()

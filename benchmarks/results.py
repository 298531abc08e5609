"""The results of a run, with its machine and versions, as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .cases import Row
from .server import ROOT


@dataclass(frozen=True)
class Results:
    """The results of a run."""

    date: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    rows: list[Row]

    def of(self, case: str) -> list[Row]:
        """Return the rows of a case."""
        return [row for row in self.rows if row["case"] == case]

    def save(self, path: str) -> None:
        Path(path).write_text(json.dumps(asdict(self), indent=1) + "\n")


def results(rows: list[Row], command: str) -> Results:
    """Add to these rows where and with which versions they were measured."""
    return Results(datetime.now(UTC).date().isoformat(), command, _machine(), _versions(), rows)


def load_results(path: str) -> Results:
    """Read saved results; raise `ValueError` if the file has something else."""
    try:
        return Results(**json.loads(Path(path).read_text()))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} was not written by --save: {error}") from None


def _machine() -> dict[str, str]:
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }


def _versions() -> dict[str, str]:
    return {
        "twisted_chat": f"{version('twisted_chat')} ({_commit()})",
        "Python": platform.python_version(),
        "Twisted": version("twisted"),
        "msgspec": version("msgspec"),
        "SQLite": sqlite3.sqlite_version,
    }


def _commit() -> str:
    """Return the commit of the project, with a + if files have changed since."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "no commit"

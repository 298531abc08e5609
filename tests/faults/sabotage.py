"""Does the runner find anything? Deliberate bugs in a copy of the server, and the round in which each is found.

python -m tests.faults.sabotage [--rounds N] [--only NAME] [--seed S]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from .server import ROOT


class Bug(NamedTuple):
    """A change of a line or two of the server."""

    what: str
    module: str
    old: str
    new: str
    faults: tuple[str, ...]
    """Where it is looked for."""


BUGS: Final = (
    Bug(
        "one delivery in 10,000 is left out",
        "room/turn.py",
        "                listener.write(part)\n",
        "                listener.write(part if __import__('random').random() > 1e-4 else b'')\n",
        ("crash", "cut"),
    ),
    Bug(
        "acked before it is kept",
        "room/appending.py",
        "        time = clock.milliseconds(self._reactor)\n",
        "        for entry in entries:\n"
        "            if entry.id is not None and entry.room.seq:\n"
        "                guess = entry.room.seq + 1 + [e for e in entries if e.room is entry.room].index(entry)\n"
        "                ack = Ack(entry.id, entry.room.name.shown, None, guess, '')\n"
        "                entry.origin.listener.write(entry.origin.listener.encoding.reply(ack))\n"
        "        time = clock.milliseconds(self._reactor)\n",
        ("crash", "disk-full"),
    ),
    Bug(
        "a return begins one message too late",
        "room/rooms.py",
        "place = room.head if since is None else min(since, room.head)",
        "place = room.head if since is None else min(since + 1, room.head)",
        ("crash", "cut"),
    ),
    Bug(
        "a return begins one message too early",
        "room/rooms.py",
        "place = room.head if since is None else min(since, room.head)",
        "place = room.head if since is None else max(0, min(since, room.head) - 1)",
        ("crash", "cut"),
    ),
    Bug(
        "one message is shown twice where a page is read that was made for somebody else",
        "room/page.py",
        "        first = bisect_right(records, seq, key=seq_of)\n",
        "        first = max(0, bisect_right(records, seq, key=seq_of) - 1)\n",
        ("crash", "cut", "slow-all", "replay"),
    ),
    Bug(
        "one message is shown twice at the border between the file and the journal",
        "stores/sqlite/log.py",
        "merged = sorted({*records, *map(_record, journal[start : min(end, start + most)])})[:most]",
        "merged = sorted([*records, *map(_record, journal[max(0, start - 1) : min(end, start + most)])])[:most]",
        ("crash", "cut", "slow-all", "replay"),
    ),
    Bug(
        "a member that is done with reading on misses what was said meanwhile",
        "room/catching_up.py",
        "            if member.place < member.room.head:\n",
        "            if member.place < member.room.head - 1:\n",
        ("crash", "cut"),
    ),
    Bug(
        "an id that was said is forgotten",
        "stores/sqlite/log.py",
        "first = said.get(key) or self._journaled.get(key) or known.get(key)",
        "first = None",
        ("crash", "cut"),
    ),
    Bug(
        "an id that was said is forgotten once it is out of memory",
        "stores/sqlite/database.py",
        "        if first:\n",
        "        if False:\n",
        ("crash", "cut"),
    ),
    Bug(
        "timers go by the clock that is set",
        "tap.py",
        "    keep_steady(reactor)\n",
        "",
        ("clock",),
    ),
    Bug(
        "what a slow member does not read is kept for it in memory",
        "session.py",
        "        self.paused = True\n",
        "        return\n",
        ("slow",),
    ),
)


def main() -> int:
    """Try all bugs; returns 1 where one was not found."""
    options = _options().parse_args()
    missed = 0
    for bug in BUGS:
        with tempfile.TemporaryDirectory(prefix="faults-sabotage-") as folder:
            copy = _sabotaged(Path(folder), bug)
            found = [_look(copy, fault, options) for fault in options.only or bug.faults]
        missed += not any(found)
        print(f"{bug.what}: {'; '.join(filter(None, found)) or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.sabotage", description="Are deliberate bugs found?")
    parser.add_argument(
        "--rounds", type=int, default=10, metavar="N", help="rounds in which a bug has to be found [10]"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="look with these faults alone")
    parser.add_argument("--seed", default="1", help="that of the rounds [1]")
    return parser


def _sabotaged(folder: Path, bug: Bug) -> Path:
    """Copy the project and put a bug into it."""
    for part in ("twisted_chat", "twisted", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "twisted_chat" / bug.module
    text = path.read_text()
    if bug.old not in text:
        raise SystemExit(f"{bug.what}: {bug.module} has changed; this bug has to be written anew")
    path.write_text(text.replace(bug.old, bug.new))
    return folder


def _look(copy: Path, fault: str, options: argparse.Namespace) -> str:
    """Run a fault in a copy until it finds something; returns what, or an empty text."""
    command = [sys.executable, "-m", "tests.faults", "--only", fault]
    command += ["--rounds", str(options.rounds), "--seed", options.seed]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout
        lines = iter(runner.stdout)
        for line in lines:
            if " BROKEN " in line:
                evidence = next(lines).strip()
                runner.terminate()
                return f"{fault}, round {line.split()[0]}: {evidence}"
    return ""


if __name__ == "__main__":
    sys.exit(main())

"""The command: rounds of faults, with a line of output for each."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Final

from . import disk, slow
from .clock import clock
from .crash import crash
from .cut import cut
from .scene import Scene

MOST_EVIDENCE: Final = 20
"""Broken promises that are printed for a round; the rest is only counted."""

Fault = Callable[[Scene], Awaitable[str]]

FAULTS: Final[dict[str, Fault]] = {
    "crash": crash,
    "cut": cut,
    "disk-full": disk.disk_full,
    "file-locked": disk.file_locked,
    "file-replaced": disk.file_replaced,
    "file-damaged": disk.file_damaged,
    "file-read-only": disk.file_read_only,
    "second-server": disk.second_server,
    "clock": clock,
    "slow": slow.slow,
    "slow-all": slow.slow_all,
    "replay": slow.replay,
}
"""The faults of every run, in this order."""

LONG: Final[dict[str, Fault]] = {
    "slow-200k": slow.slow_200k,
    "slow-1kb": slow.slow_1kb,
    "hiccup": slow.hiccup,
    "slow-500": slow.slow_500,
    "replay-1m": slow.replay_1m,
}
"""Faults that take minutes and run only by name."""


def main() -> int:
    """Run the faults that the command line asks for; return 1 if a promise was broken.

    SIGTERM and an interrupt end the round that is running, with its server and its folder.
    """
    try:
        return _run_all()
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run_all() -> int:
    options = _options().parse_args()
    print(f"seed {options.seed}", flush=True)
    names = options.only or list(FAULTS)
    broken = 0
    for number in range(1, options.rounds + 1):
        for name in names:
            broken += not asyncio.run(_run(name, number, options))
    print(f"{options.rounds * len(names)} rounds, {broken} with a broken promise")
    return 1 if broken else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Test the server under faults.")
    known = [*FAULTS, *LONG]
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="rounds of each fault [1]")
    parser.add_argument(
        "--only",
        action="append",
        choices=known,
        metavar="NAME",
        help=f"run only this fault; can be repeated: {', '.join(known)}",
    )
    parser.add_argument(
        "--seed",
        default=str(SystemRandom().randrange(10**6)),
        help="the seed of an earlier run, to repeat its random choices",
    )
    return parser


async def _run(name: str, number: int, options: argparse.Namespace) -> bool:
    """Run one round and print a line for it; return True if all promises were kept."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    folder = Path(tempfile.mkdtemp(prefix=f"faults-{name}-"))
    scene = Scene(folder, Random(f"{options.seed}/{name}/{number}"))
    begin = time.monotonic()
    progress = asyncio.create_task(_show_progress(f"{number:4} {name}", scene)) if sys.stdout.isatty() else None
    asyncio.get_running_loop().set_exception_handler(lambda _, context: scene.broken.append(_complaint(context)))
    summary = "not completed"
    try:
        summary = await {**FAULTS, **LONG}[name](scene)
    except Exception as error:
        scene.broken.append(f"{type(error).__name__}: {error}")
    except asyncio.CancelledError:
        await scene.close()
        shutil.rmtree(folder)
        raise
    finally:
        if progress is not None:
            progress.cancel()
        await scene.close()
    evidence = scene.evidence()
    took = time.monotonic() - begin
    verdict = f"{len(evidence)} BROKEN" if evidence else "ok"
    print(f"{number:4} {name:12} {verdict:10} {took:5.1f} s  {scene.acked():,} acked, {summary}", flush=True)
    if evidence:
        _show(evidence, scene)
    else:
        shutil.rmtree(folder)
    return not evidence


def _complaint(context: dict[str, Any]) -> str:
    return f"the test itself failed: {context['message']}: {context.get('exception')!r}"


def _show(evidence: list[str], scene: Scene) -> None:
    """Print the broken promises, the path of the database, and the last lines of the server's output."""
    for line in evidence[:MOST_EVIDENCE]:
        print(f"     {line}")
    if len(evidence) > MOST_EVIDENCE:
        print(f"     and {len(evidence) - MOST_EVIDENCE} more")
    print(f"     database: {scene.server.database}; the last lines of the server:")
    for line in scene.server.output[-MOST_EVIDENCE:]:
        print(f"     | {line}")


async def _show_progress(title: str, scene: Scene) -> None:
    while True:
        print(f"\r{title}: {scene.acked():,} of {scene.said():,} acked ", end="\r", flush=True)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())

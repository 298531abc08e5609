"""The command: rounds of faults, with a line of output for each, and the times without an ack at the end."""

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
from statistics import median
from typing import Any, Final

from . import failover, one
from .machines import enter_sandbox
from .patroni import Patroni
from .scene import ClusterScene

MOST_EVIDENCE: Final = 20
"""Broken promises that are printed for a round; the rest is only counted."""

Fault = Callable[[ClusterScene, Any], Awaitable[str]]


class Results:
    """The outcome of the rounds of each fault."""

    def __init__(self) -> None:
        self.rounds = 0
        self.broken = 0
        self._acked: dict[str, list[int]] = {}
        self._seconds: dict[str, list[float]] = {}

    def add(self, name: str, scene: ClusterScene, is_broken: bool) -> None:
        self.rounds += 1
        self.broken += is_broken
        self._acked.setdefault(name, []).append(scene.acked())
        self._seconds.setdefault(name, []).extend(scene.seconds())

    def print(self) -> None:
        """Print a table: the longest times without an ack, of each person in each round."""
        print(f"\n{'fault':18} {'rounds':>6} {'acked':>10}   without an ack: median, slowest")
        for name, acked in self._acked.items():
            seconds = self._seconds[name] or [0.0]
            print(f"{name:18} {len(acked):6} {sum(acked):10,}   {median(seconds):.2f} s, {max(seconds):.2f} s")
        acked_in_all = sum(sum(acked) for acked in self._acked.values())
        print(f"{self.rounds} rounds, {acked_in_all:,} acked, {self.broken} rounds with a broken promise", flush=True)


def main() -> int:
    """Run the faults that the command line asks for; return 1 if a promise was broken.

    SIGTERM and an interrupt end the round that is running, with everything that was started.
    """
    options = _options().parse_args()
    known = failover.FAULTS if options.patroni else one.FAULTS
    if wrong := [name for name in options.only or () if name not in known]:
        sys.exit(f"--only takes {', '.join(known)}, not {wrong[0]}")
    if options.patroni:
        enter_sandbox(sys.argv[1:])
    print(f"seed {options.seed}", flush=True)
    try:
        return asyncio.run(_run_all(options))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.cluster", description="Test servers under faults.")
    parser.add_argument("--patroni", action="store_true", help="three databases under Patroni, instead of one")
    parser.add_argument(
        "--quorum", action="store_true", help="with --patroni: wait for one of two standbys, not for both"
    )
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="rounds of each fault [1]")
    parser.add_argument("--only", action="append", metavar="NAME", help="run only this fault; can be repeated")
    parser.add_argument(
        "--long", action="store_true", help="let faults last for longer than the servers' patience, as with --patroni"
    )
    parser.add_argument(
        "--seed",
        default=str(SystemRandom().randrange(10**6)),
        help="the seed of an earlier run, to repeat its random choices",
    )
    return parser


async def _run_all(options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    system: Any = Patroni(options.quorum) if options.patroni else one.One()
    faults: dict[str, Any] = {**(failover.FAULTS if options.patroni else one.FAULTS)}
    results = Results()
    try:
        await system.open()
        for number in range(1, options.rounds + 1):
            for name in options.only or faults:
                await _run(name, number, options, system, faults[name], results)
    finally:
        await system.close()
    results.print()
    return 1 if results.broken else 0


async def _run(
    name: str, number: int, options: argparse.Namespace, system: Any, fault: Fault, results: Results
) -> None:
    """Run one round, and print a line for it."""
    folder = Path(tempfile.mkdtemp(prefix=f"faults-{name}-"))
    database = f"{name.replace('-', '_')}_{number}"
    scene = ClusterScene(
        folder, Random(f"{options.seed}/{name}/{number}"), system, database, options.long or options.patroni
    )
    asyncio.get_running_loop().set_exception_handler(lambda _, context: scene.broken.append(_complaint(context)))
    begin = time.monotonic()
    summary = "not completed"
    try:
        await scene.open()
        summary = await fault(scene, system)
    except Exception as error:
        scene.broken.append(f"{type(error).__name__}: {error}")
    except asyncio.CancelledError:
        shutil.rmtree(folder)
        raise
    finally:
        await scene.close()
    evidence = scene.evidence()
    took = time.monotonic() - begin
    results.add(name, scene, bool(evidence))
    verdict = f"{len(evidence)} BROKEN" if evidence else "ok"
    slowest = max(scene.seconds(), default=0)
    print(
        f"{number:4} {name:18} {verdict:10} {took:5.1f} s  {scene.acked():,} acked, {scene.refusals()} refused, "
        f"{slowest:.2f} s without an ack, {summary}",
        flush=True,
    )
    if evidence:
        _show(evidence, scene, system)
    else:
        shutil.rmtree(folder)


def _complaint(context: dict[str, Any]) -> str:
    return f"the test itself failed: {context['message']}: {context.get('exception')!r}"


def _show(evidence: list[str], scene: ClusterScene, system: Any) -> None:
    """Print the broken promises, and the last lines of the servers' output and of the database."""
    for line in evidence[:MOST_EVIDENCE]:
        print(f"     {line}")
    if len(evidence) > MOST_EVIDENCE:
        print(f"     and {len(evidence) - MOST_EVIDENCE} more")
    for at, server in enumerate(scene.servers):
        for line in server.output[-MOST_EVIDENCE:]:
            print(f"     {at}| {line}")
    for line in system.last_lines():
        print(f"     {line}")


if __name__ == "__main__":
    sys.exit(main())

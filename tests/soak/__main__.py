"""The command: one run, and what came out of it."""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random, SystemRandom

from .course import Course

MOST_EVIDENCE = 20
"""Broken promises that are printed; the rest is only counted."""


def main() -> int:
    """Run for some minutes; return 1 if a promise was broken or a bound exceeded."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Watch the server over a long time.")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N", help="length of the run [60]")
    parser.add_argument("--seed", default=str(SystemRandom().randrange(10**6)), help="the seed of the random choices")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"seed {options.seed}", flush=True)
    return asyncio.run(_run(options.minutes, options.seed))


async def _run(minutes: float, seed: str) -> int:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    course = Course(folder, minutes, Random(seed))
    try:
        broken = await course.run()
    except Exception as error:
        broken = [f"the run failed: {type(error).__name__}: {error}", *course.scene.evidence()]
    finally:
        await course.close()
    print(course.report())
    for line in broken[:MOST_EVIDENCE]:
        print(f"BROKEN: {line}")
    if broken:
        print(f"{len(broken)} in all; the database is in {folder}; the last lines of the server:")
        for line in course.scene.server.output[-MOST_EVIDENCE:]:
            print(f"| {line}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

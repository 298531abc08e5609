"""The command: runs one driver on many inputs, or on one again."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Final

DRIVERS: Final = ("decoder", "framing", "frames", "chat", "client")

MOST_BYTES: Final = 4096
"""Bytes of an input."""

MOST_INPUTS: Final = 500
"""Inputs of the corpus that random changes begin with."""

Run = Callable[[bytes], None]


def main() -> int:
    """Run a driver; return 1 if an input breaks a promise."""
    options = _options().parse_args()
    if options.seconds > 0 and not options.file and find_spec("atheris") and not options.random:
        _run_atheris(options)  # it ends the process
    driver = import_module(f"{__package__}.{options.driver}")
    if options.file:
        driver.run(options.file.read_bytes())
        print("no promise is broken")
        return 0
    return _run_random(options.driver, driver.run, driver.SEEDS, options)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Feed a part of the program with bytes.")
    parser.add_argument("driver", choices=DRIVERS)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="an input to run once")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="the length of the run [60]")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1, 10**6), help="the seed of the choices")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="inputs to begin with; atheris adds more")
    parser.add_argument("--random", action="store_true", help="do not use atheris, even if it is installed")
    return parser


def _run_atheris(options: argparse.Namespace) -> None:
    """Search with the coverage of the project's code as a guide. Does not return."""
    atheris: Any = import_module("atheris")  # it has no types
    with atheris.instrument_imports(include=["twisted_chat", "tests.fuzz"]):
        driver = import_module(f"{__package__}.{options.driver}")
    arguments = [sys.argv[0], f"-max_total_time={options.seconds}", f"-seed={options.seed}", f"-max_len={MOST_BYTES}"]
    arguments += ["-len_control=0", "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1"]
    if options.corpus:
        options.corpus.mkdir(parents=True, exist_ok=True)
        for seed in driver.SEEDS:
            (options.corpus / sha256(seed).hexdigest()[:20]).write_bytes(seed)
        arguments.append(str(options.corpus))
    atheris.Setup(arguments, driver.run)
    atheris.Fuzz()


def _run_random(name: str, run: Run, seeds: Sequence[bytes], options: argparse.Namespace) -> int:
    """Run the seeds and the corpus, and then inputs that are made of them at random."""
    print(f"seed {options.seed}", flush=True)
    random = Random(options.seed)
    known = [*seeds]
    if options.corpus and options.corpus.is_dir():
        known += [path.read_bytes() for path in sorted(options.corpus.iterdir())[:MOST_INPUTS]]
    end = time.monotonic() + options.seconds
    count = 0
    while count < len(known) or time.monotonic() < end:
        data = known[count] if count < len(known) else mutate(random, known)
        count += 1
        try:
            run(data)
        except Exception:
            path = Path(f"{name}-{sha256(data).hexdigest()[:12]}.input")
            path.write_bytes(data)
            print(f"after {count:,} inputs, a promise is broken: python -m tests.fuzz {name} {path}", flush=True)
            raise
    print(f"{name}: {count:,} inputs in {options.seconds} seconds, no promise is broken")
    return 0


def mutate(random: Random, known: Sequence[bytes]) -> bytes:
    """Make an input: a new one, or one of two known ones with a few changes."""
    if random.random() < 0.3:
        return random.randbytes(random.randrange(1, 1500))
    one, other = random.choice(known), random.choice(known)
    data = bytearray(one[: random.randrange(len(one) + 1)] + other[random.randrange(len(other) + 1) :])
    for _ in range(random.randrange(8)):
        at = random.randrange(len(data) + 1)
        data[at : at + random.randrange(3)] = random.randbytes(random.randrange(4))
    return bytes(data[:MOST_BYTES])


if __name__ == "__main__":
    sys.exit(main())

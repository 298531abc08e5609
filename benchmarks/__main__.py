"""Measure the server on this machine.

    python -m benchmarks --save results.json --plot results.png
    python -m benchmarks --quick --only single,everyone
    python -m benchmarks --from results.json --markdown

The first takes a quarter of an hour and 3 GB of disk for the largest log. The limit on open files (`ulimit -Hn`) has to
be above the number of connections; with a lower limit, fewer connections are measured.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace

from .cases import CASES, FULL, QUICK, Bench, Row, Sizes
from .load import Failed
from .report import markdown, text
from .results import Results, load_results, results


def main(arguments: Sequence[str], sizes: Sizes | None = None) -> int:
    """Run what the arguments request, with other sizes than a full run's if given; return the exit status."""
    parser = _options()
    options = parser.parse_args(arguments)
    if options.plot:
        need("matplotlib", "--plot")
    failures: list[str] = []
    if options.read:
        try:
            measured = load_results(options.read)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    else:
        sizes = sizes or (QUICK if options.quick else FULL)
        if options.connections:
            sizes = replace(sizes, connections=options.connections)
        bench = Bench(sizes, options.folder)
        if options.processes:
            bench = replace(bench, processes=options.processes)
        rows, failures = _measure(bench, options.only)
        measured = results(rows, " ".join(["python -m benchmarks", *arguments]))
    if options.save:
        measured.save(options.save)
    if options.plot:
        from .plot import plot

        plot(measured, options.plot)
    print(markdown(measured) if options.markdown else text(measured))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures or not _is_whole(measured) else 0


def _options() -> argparse.ArgumentParser:
    cases = "\n".join(f"  {name:10} {what}" for name, (what, _) in CASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"cases:\n{cases}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", metavar="CASE", type=_cases, default=list(CASES), help="measure only these cases, separated by commas"
    )
    parser.add_argument("--quick", action="store_true", help="measure less of everything, in a minute or two")
    parser.add_argument(
        "--connections", metavar="N", type=int, help=f"connections of the case crowd [{FULL.connections}]"
    )
    parser.add_argument(
        "--processes", metavar="N", type=int, help="processes of the load [one per processor except one, at most four]"
    )
    parser.add_argument("--folder", help="folder for the logs during the run [a temporary folder]")
    parser.add_argument("--save", metavar="FILE", help="write the results, as JSON")
    parser.add_argument("--plot", metavar="FILE", help="plot throughput and latency, as PNG")
    parser.add_argument("--markdown", action="store_true", help="print Markdown instead of tables for a terminal")
    parser.add_argument("--from", metavar="FILE", dest="read", help="show results written by --save, without measuring")
    return parser


def _cases(names: str) -> list[str]:
    for name in (chosen := names.split(",")):
        if name not in CASES:
            raise argparse.ArgumentTypeError(f"there is no case '{name}'; there are {', '.join(CASES)}")
    return chosen


def need(module: str, what: str) -> None:
    """Exit with an error, before minutes of measuring, if a module is not installed."""
    try:
        __import__(module)
    except ImportError:
        raise SystemExit(f"{what} needs {module}: pip install 'twisted_chat[bench]'") from None


def _measure(bench: Bench, names: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Run all steps, with a progress bar on a terminal; return the rows and the failures."""
    need("tqdm", "the progress bar")
    from tqdm import tqdm

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows: list[Row] = []
    failures: list[str] = []
    steps = [step for name in names for step in CASES[name][1](bench)]
    with tqdm(total=len(steps), unit="step", disable=None, leave=False, dynamic_ncols=True) as bar:
        for step in steps:
            bar.set_description(step.label)
            try:
                rows += step.run()
            except (Failed, OSError) as error:
                failures.append(f"{step.label}: {error}")
            bar.update()
    return rows, failures


def _is_whole(measured: Results) -> bool:
    return all(row.get("whole", True) for row in measured.rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

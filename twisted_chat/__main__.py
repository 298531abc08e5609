"""`twisted-chat COMMAND`, or `python -m twisted_chat COMMAND`."""

from __future__ import annotations

import os
import sqlite3
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final

from . import __version__
from .commands import Command, Problem
from .commands.exporting import EXPORT
from .commands.importing import IMPORT
from .commands.stats import STATS
from .log import Unusable
from .stores.sqlite.database import explain

COMMANDS: Final[tuple[Command, ...]] = (EXPORT, IMPORT, STATS)

INTERRUPTED: Final = 128 + 2
PIPE_CLOSED: Final = 128 + 13
"""Exit statuses as a shell gives them for what SIGINT or SIGPIPE has ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments, those of the process by default, ask for; returns the exit status."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        status = command.run(options)
        sys.stdout.flush()
    except (Problem, Unusable) as problem:
        return _fail(str(problem))
    except sqlite3.Error as error:
        return _fail(f"{options.database}: {explain(error)}")
    except OSError as error:
        if error.filename is not None:
            return _fail(f"{error.filename}: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the end does not fail as well
        return PIPE_CLOSED if isinstance(error, BrokenPipeError) else _fail(f"the output: {error.strerror}")
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="twisted-chat", description="What is to be done with a chat server's database.")
    parser.add_argument("--version", action="version", version=f"twisted_chat {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.arguments(subparser)
        subparser.set_defaults(command=command)
    return parser


def _fail(why: str) -> int:
    print(f"twisted-chat: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

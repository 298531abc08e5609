"""The command line of `twisted-chat`: reads the arguments, runs a command for the database of a server, and reports."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from typing import Final

from .. import __version__
from ..command_line import (
    FAILED,
    MISUSED,
    PIPE_CLOSED,
    Parser,
    Terminated,
    ended_by,
    interrupts,
    prepare_streams,
    terminations,
)
from ..log import Unusable
from ..stores.sqlite.database import explain
from . import TALK, TOOL, Command, Problem
from .accounts import ACCOUNT
from .backup import BACKUP
from .certificate import CERTIFICATE
from .check import CHECK
from .exporting import EXPORT
from .importing import IMPORT
from .stats import STATS
from .top import TOP

COMMANDS: Final[tuple[Command, ...]] = (EXPORT, IMPORT, STATS, TOP, BACKUP, CHECK, ACCOUNT, CERTIFICATE)


def main(arguments: Sequence[str], commands: Sequence[Command] = COMMANDS) -> int:
    """Run the command that the arguments name. Returns the exit status."""
    prepare_streams()
    parser = _parser(commands)
    if not arguments:
        parser.print_help(sys.stderr)
        return MISUSED
    options = parser.parse_args(arguments)
    command: Command = options.command
    try:
        with interrupts(), terminations():
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
        return ended_by(signal.SIGINT)
    except Terminated as terminated:
        return ended_by(terminated.number)
    return status


def _parser(commands: Sequence[Command]) -> Parser:
    parser = Parser(prog=TOOL, description="Talk to a chat server, or look after one.")
    parser.add_argument("--version", action="version", version=f"twisted_chat {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    subparsers.add_parser(TALK, help="Talk: the client for a terminal or a pipe.")  # `twisted_chat.__main__` runs it
    for command in commands:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.arguments(subparser)
        subparser.set_defaults(command=command)
    return parser


def _fail(why: str) -> int:
    print(f"{TOOL}: {why}", file=sys.stderr)
    return FAILED

"""The commands of `twisted-chat COMMAND`: each is a value in a module of its own, and `main.py` has the list.

The commands for a server's file work while a server runs on it: they read in pages, and write in steps.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Final, NamedTuple

TOOL: Final = "twisted-chat"

TALK: Final = "talk"
"""The command that is the client, and needs no database."""


class Problem(Exception):
    """A command cannot go on. Its text says why, and what to do."""


class Command(NamedTuple):
    """A command."""

    name: str
    help: str
    """One line that says what the command does."""
    arguments: Callable[[ArgumentParser], None]
    """Adds the arguments of the command to a parser."""
    run: Callable[[Namespace], int]
    """Runs the command; returns the exit status. Raises `Problem`."""

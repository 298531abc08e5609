"""What `twisted-chat COMMAND` does: a command is a value, one module each, and `main.py` has the list.

The commands of the store work on its file while a server runs on it: they read in pages, and write in steps.
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
    """One thing that can be asked for."""

    name: str
    help: str
    """A line that says what it is for."""
    arguments: Callable[[ArgumentParser], None]
    """Tells a parser what the command takes."""
    run: Callable[[Namespace], int]
    """Does it; returns the exit status. Raises `Problem`."""

"""Completion of typed words: commands, nicks and rooms. The table of commands has the arguments of each command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..program.command import Command
from ..program.commands import COMMANDS
from ..program.order_commands import ROLES


@dataclass(frozen=True, slots=True)
class Known:
    """The names that can be completed."""

    commands: Sequence[Command]
    nicks: Sequence[str]
    """The nicks; the last speaker comes first."""
    rooms: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ending:
    """A completion of the word that is being typed."""

    text: str
    """The text that replaces the word."""
    shown: str
    help: str = ""


def word_before(text: str) -> str:
    """Return the word that is being typed, at the end of a text."""
    return re.split(r"\s", text)[-1]


def endings(text: str, known: Known) -> list[Ending]:
    """Return the completions of the last word of a text."""
    word = word_before(text)
    start = text[: len(text) - len(word)]
    if not text.startswith("/") or text.startswith("//"):
        return _nicks(word, known.nicks, after=" " if start.strip() else ": ")
    if not start:
        commands = {f"/{command.name}": command for command in known.commands}
        found = _names(word, commands, after="")
        return [_command(ending, commands[ending.text]) for ending in found]
    match _argument(start):
        case "NICK" | "TEXT":
            return _nicks(word, known.nicks)
        case "ROLE":
            return _names(word, ROLES)
        case "ROOM":
            return _names(word, known.rooms)
        case "COMMAND":
            return _names(word, [command.name for command in known.commands], after="")
    return []


def _command(ending: Ending, command: Command) -> Ending:
    space = " " if command.argument else ""
    return Ending(ending.text + space, command.usage, command.help)


def _argument(start: str) -> str:
    """Return the kind of the next word of a command, by its name in the table. A `TEXT` has any number of words."""
    name, *words = start[1:].split()
    command = COMMANDS.named(name)
    takes = [word.strip("[]") for word in command.takes] if command is not None else []
    while words and words[0].startswith("-"):  # an option, of which `-t` has a word of its own
        if words == ["-t"]:
            return ""
        del words[: 2 if words[0] == "-t" else 1]
    if len(words) < len(takes):
        return takes[len(words)]
    return "TEXT" if takes[-1:] == ["TEXT"] else ""


def _nicks(word: str, nicks: Sequence[str], after: str = " ") -> list[Ending]:
    """Complete a nick, also with an @ in front, as the list of rooms shows it."""
    return _names(word, [f"@{nick}" for nick in nicks] if word.startswith("@") else nicks, after)


def _names(word: str, names: Iterable[str], after: str = " ") -> list[Ending]:
    start = word.casefold()
    return [Ending(name + after, name) for name in names if name.casefold().startswith(start)]

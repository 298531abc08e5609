"""What can follow what is typed: commands, nicks and rooms. What a command takes is said by the table of commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..program.command import Command
from ..program.commands import COMMANDS


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to choose from."""

    commands: Sequence[Command]
    nicks: Sequence[str]
    """Who spoke last comes first."""
    rooms: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ending:
    """A way to go on."""

    text: str
    """What stands there in place of the word that is being typed."""
    shown: str
    help: str = ""


def word_before(text: str) -> str:
    """Give the word that is being typed."""
    return text.rpartition(" ")[2]


def endings(text: str, known: Known) -> list[Ending]:
    """Give the ways to go on after this text."""
    word = word_before(text)
    start = text[: len(text) - len(word)]
    if not text.startswith("/") or text.startswith("//"):
        return _names(word, known.nicks, after=" " if start.strip() else ": ")
    if not start:
        commands = {f"/{command.name}": command for command in known.commands}
        found = _names(word, commands, after="")
        return [_command(ending, commands[ending.text]) for ending in found]
    match _argument(start):
        case "NICK" | "TEXT":
            return _names(word, known.nicks)
        case "ROOM":
            return _names(word, known.rooms)
        case "COMMAND":
            return _names(word, [command.name for command in known.commands], after="")
    return []


def _command(ending: Ending, command: Command) -> Ending:
    space = " " if command.argument else ""
    return Ending(ending.text + space, command.usage, command.help)


def _argument(start: str) -> str:
    """Say what comes next in a command, by its name in the table; the last of them goes on."""
    name, *words = start[1:].split()
    command = COMMANDS.named(name)
    takes = command.argument.replace("[", "").replace("]", "").split() if command is not None else []
    if len(words) < len(takes):
        return takes[len(words)]
    return "TEXT" if takes[-1:] == ["TEXT"] else ""


def _names(word: str, names: Iterable[str], after: str = " ") -> list[Ending]:
    start = word.casefold()
    return [Ending(name + after, name) for name in names if name.casefold().startswith(start)]

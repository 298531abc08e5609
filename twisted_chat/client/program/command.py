"""A command as a value, and the table in which typed commands are looked up."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .clean import clean


class Quit(Exception):
    """The person wants to leave the program."""


class Mistake(Exception):
    """A typed line is not a command, or only a part of one. The text says what would be right."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a person can type."""

    name: str
    """The word after the slash."""
    argument: str
    """The arguments, for `/help`: `NICK` is required, `[ROOM]` is optional. An argument of two parts is two words."""
    help: str
    run: Callable[[Any, str], Awaitable[None]]
    """The function that carries it out, for a `Person` and an argument. Raises `Mistake`, `ChatError` or `Quit`."""
    aliases: Sequence[str] = ()
    """Its names in other programs, which work here, too."""
    bare: bool = False
    """True if it also works with a server that knows no commands."""
    lasting: bool = False
    """True if it changes something for good. Leaving waits for it, as for messages."""
    secret: bool = False
    """True if people type a password behind it in other programs. Such a line is not remembered."""

    @property
    def usage(self) -> str:
        """The way in which it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    @property
    def takes(self) -> list[str]:
        """Its words, in brackets if they may be left out. Options, which come before them, are not among them."""
        return re.sub(r"\[-[^]]*\]", "", self.argument).split()

    @property
    def needs(self) -> int:
        """The number of words that must follow it."""
        return sum(not word.startswith("[") for word in self.takes)


class Commands(Mapping[str, Command]):
    """A table of commands, by their names, in the order of `/help`."""

    def __init__(self, commands: Iterable[Command], elsewhere: Mapping[str, str]) -> None:
        """`elsewhere` has the commands of other programs that do not exist here, and what to do instead."""
        self._commands = {command.name: command for command in commands}
        self._named = {name: command for command in self.values() for name in (command.name, *command.aliases)}
        self._elsewhere = elsewhere

    def __getitem__(self, name: str) -> Command:
        return self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)

    def named(self, name: str) -> Command | None:
        """Return the command with this name or alias."""
        return self._named.get(name.lower())

    def find(self, name: str) -> Command:
        """Find a command by its name or an alias. Raises `Mistake`."""
        command = self.named(name)
        if command is not None:
            return command
        shown = clean(name)
        if name.lower() in self._elsewhere:
            raise Mistake(f"there is no command /{shown} here: {self._elsewhere[name.lower()]}")
        near = difflib.get_close_matches(name.lower(), self._named, n=1)
        hint = f"did you mean /{self._named[near[0]].name}?" if near else "/help lists the commands"
        raise Mistake(f"there is no command /{shown}; {hint}")

    def has_secret(self, line: str) -> bool:
        """True for a line that may have a password in it, and must be forgotten."""
        name, *rest = line.split() or [""]
        command = self.named(name[1:]) if name.startswith("/") else None
        return command is not None and command.secret and bool(rest)

    def takes_secret(self, line: str) -> bool:
        """True for a command, even one that is mistyped, that takes a password from the next line."""
        name = line.split()[0][1:].lower() if line.startswith("/") and line[1:].strip() else ""
        near = [name, *difflib.get_close_matches(name, self._named, n=1)]
        return any(known in self._named and self._named[known].secret for known in near)

    def parse(self, line: str) -> str | tuple[Command, str]:
        """Read a line: a text to send, or a command and its argument. Raises `Mistake`."""
        if not line.startswith("/"):
            return line
        if line.startswith("//"):
            return line[1:]
        name, argument = [*re.split(r"\s+", line[1:], maxsplit=1), ""][:2]
        argument = argument.strip()
        command = self.find(name)
        if len(argument.split()) < command.needs:
            raise Mistake(f"type {command.usage}: {command.help}")
        return command, argument


def help_lines(commands: list[Command]) -> Iterator[str]:
    """Return the help: a line for each command. The help on a single command also has its other names."""
    width = max(len(command.usage) for command in commands)
    for command in commands:
        yield f"{command.usage:<{width}}  {command.help}"
    if len(commands) > 1:
        yield f"{'//TEXT':<{width}}  say a text that begins with a slash"
    else:
        if commands[0].aliases:
            yield f"the same: {', '.join(f'/{alias}' for alias in commands[0].aliases)}"

"""The base of the tests of commands: it runs one, and has a database to run it on."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

from twisted_chat.commands import Command
from twisted_chat.commands.main import COMMANDS, main
from twisted_chat.log import RoomLog
from twisted_chat.stores.sqlite.log import SQLiteLog

from .stores import StoreTestCase, entry, room


class Outcome(NamedTuple):
    """How a command ended."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.output.splitlines()]


def text_stream(data: bytes = b"") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), "utf-8", write_through=True)


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


class CommandTestCase(StoreTestCase):
    log: SQLiteLog
    """The store that `filled` has opened."""

    commands: Sequence[Command] = COMMANDS
    """The commands that can be run. A test may hand in one with a broken part."""

    def run_command(self, *arguments: str, given: bytes = b"") -> Outcome:
        """Run a command line with a standard input."""
        output, errors = text_stream(), text_stream()
        with mock.patch.multiple(sys, stdin=text_stream(given), stdout=output, stderr=errors):
            try:
                status = main(arguments, self.commands)
            except SystemExit as end:
                status = int(str(end.code or 0))
        return Outcome(status, written(output), written(errors))

    def handle_as_a_new_process(self, *numbers: int) -> None:
        """Handle signals as a new process does: the reactor of a test runner handles some, and nohup ignores one."""
        for number in numbers:
            self.addCleanup(signal.signal, number, signal.signal(number, signal.SIG_DFL))

    def here(self, command: str, *arguments: str, given: bytes = b"") -> Outcome:
        """Run a command on the test's database."""
        return self.run_command(command, "--database", self.path, *arguments, given=given)

    def filled(self, names: tuple[str, ...] = ("lobby", "Кухня"), close: bool = True) -> list[RoomLog]:
        """Fill the test's database: in each room three messages, half of all in the journal if it is not closed."""
        self.clock.running = False
        log = self.log = self.open_store()
        rooms = [self.successResultOf(room(log, name)) for name in names]
        for number in (1, 2, 3):
            turn = [entry(opened, f"{number} \x00", f"id{number}", "Алиса") for opened in rooms]
            turn += [entry(opened, f"и {number}") for opened in rooms]
            self.successResultOf(log.append(turn, number * 1_000))
            if number == 2:
                self.successResultOf(log.flush())
        self.successResultOf(rooms[0].set_topic("über\nalles"))
        if close:
            self.successResultOf(log.close())
        return rooms

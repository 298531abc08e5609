"""The interface of lines: typed lines are sent, and messages are printed. It works in a pipe, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from ...command_line import FAILED, PIPE_CLOSED
from ..events import Message, State, StateChanged
from ..keys import key
from ..library import Client, Room
from ..protocol.errors import ChatError, ClosedError, RequestError, UnreachableError
from .account_commands import offer_to_remember
from .bare import BareClient, BareHeard, connect_bare
from .clean import clean, clean_lines
from .columns import steady, wrap
from .command import Quit
from .commands import COMMANDS
from .endpoint import endpoint
from .lines import END, Lines
from .login import Login, unsafe
from .notices import DELETED
from .options import Options
from .person import Direct, Person
from .stdio import terminal_columns, without_echo
from .tokens import Tokens, default_path
from .trouble import exit_status, lost, why_not

INDENT: Final = 2
"""Blanks in front of all rows of an entry but the first. No other row begins with a blank."""


SPEAKERS: Final = 2_000
"""The number of authors in all rooms whose newest message is known to `/delete` and `/report`."""


class End(NamedTuple):
    """The reason why a conversation was ended from outside."""

    why: str
    """The reason for a person; empty if nobody needs to know."""
    status: int = FAILED


class PlainScreen:
    """Prints a conversation line by line, and errors to standard error.

    On a terminal, long lines are broken here. The terminal would break them anywhere, and a text could be laid out so
    that its next row looks like the message of somebody else.
    """

    def __init__(self, lines: Lines, notices: bool, columns: Callable[[int], int] = terminal_columns) -> None:
        """With `notices`, joins and leaves are printed, too. A program that reads the messages has no use for them.

        `columns` returns the width of standard output (1) or error (2), 0 if it is not a terminal.
        """
        self.person: Person | None = None
        self.is_personal = False
        """True if a person types on a terminal, and can be asked."""
        self._lines = lines
        self._notices = notices
        self._columns = columns
        self._newest: dict[tuple[str, str], int] = {}
        """The numbers of the newest messages, by the keys of room and author; the last one that spoke is last."""

    async def message(self, message: Message, room: Room | None) -> None:
        author = clean(message.author)
        if room is None:
            author += " (to you)"
        elif self.person is None or room is not self.person.here:
            author = f"[{clean(room.name)}] {author}"
        if message.deleted is None:
            self.show(author, message.msg)
            self._note_newest(room, message.author, message.seq)
        else:
            self.show(author, DELETED)
        await self._lines.writable()

    def show(self, author: str, text: str) -> None:
        """Print a message."""
        first, *others = clean_lines(text)
        self._print(f"{author}: {first}", *(" " * INDENT + line for line in others))

    async def past(self, messages: Sequence[Message], where: Room | Direct, attention: int) -> None:
        for message in messages:
            await self.message(message, where if isinstance(where, Room) else None)

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        """Show nothing. The text was visible when it was typed. Its number is noted, for `/delete`."""
        if isinstance(where, Room) and self.person is not None:
            answer.addCallback(self._kept, where, self.person.client.nick)

    def _kept(self, seq: int | None, room: Room, nick: str) -> int | None:
        self._note_newest(room, nick, seq)
        return seq

    def _note_newest(self, room: Room | None, author: str, seq: int | None) -> None:
        if room is not None and seq is not None:
            place = key(room.name), key(author)
            seq = max(seq, self._newest.pop(place, 0))  # `/history` shows older ones
            self._newest[place] = seq
            if len(self._newest) > SPEAKERS:
                del self._newest[next(iter(self._newest))]

    def newest(self, where: Room | Direct, nick: str) -> int | None:
        return self._newest.get((key(where.name), key(nick)))

    def deleted(self, where: Room | Direct, of: int) -> None:
        """Say that a message is gone. What was printed before cannot be taken back."""
        if isinstance(where, Direct):
            self.notice(f"direct message {of} with {clean(where.name)} was deleted", "")
            return
        self._newest = {place: seq for place, seq in self._newest.items() if seq != of or place[0] != key(where.name)}
        self.notice(f"message {of} of {clean(where.name)} was deleted", where.name)

    async def secret(self, prompt: str) -> str | None:
        """Take the next line of input, which a terminal does not show."""
        if not self.is_personal:
            return await self._lines.read()
        with without_echo(0):
            self.note(f"{prompt}, which is not shown:")
            return await self._lines.read()

    async def confirm(self, question: str) -> bool:
        self.note(f"{question}; anything else does not")
        return (await self._lines.read() or "").strip().lower() in ("y", "yes")

    def turned(self, where: Room | Direct | None) -> None:
        """Show nothing. All rooms are shown, and the others with their names."""

    def left(self, where: Room | Direct) -> None:
        """Show nothing. The command has an answer of its own."""

    def renamed(self, nick: str, direct: Direct) -> None:
        """Show nothing. A direct message names its recipient each time."""

    def attention(self) -> int:
        return 0  # there is no view that could move

    def note(self, text: str) -> None:
        self._print(f"* {text}")

    def notice(self, text: str, room: str, nick: str = "") -> None:
        if self._notices:
            self.note(text)

    def error(self, text: str) -> None:
        self._lines.complain(_broken([f"* {text}"], self._columns(2)))

    def _print(self, *lines: str) -> None:
        self._lines.write(_broken(lines, self._columns(1)))


def _broken(lines: Sequence[str], columns: int) -> str:
    """Break the lines of an entry into rows of a terminal. 0 columns mean that there is none."""
    if not columns:
        return "\n".join(lines)
    rows = (row for line in lines for row in wrap([("", steady(line))], columns, min(INDENT, columns - 1)))
    return "\n".join("".join(text for _, text in row) for row in rows)


class PlainInterface:
    """One run of the program: from the first connection to the exit status."""

    def __init__(
        self,
        reactor: Any,
        options: Options,
        lines: Lines,
        endpoint: IStreamClientEndpoint,
        tokens: Tokens | None = None,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._options = options
        self._lines = lines
        self._tokens = tokens or Tokens(None, options)
        self._screen = PlainScreen(lines, notices=os.isatty(1))
        self._screen.is_personal = os.isatty(0) and os.isatty(1)
        self._client: Client | None = None
        self._bare: BareClient | None = None
        self._person: Person | None = None
        self._conversation: Deferred[int] = Deferred()
        self._doing = ""
        """The command that is being carried out."""
        self._end: End | None = None
        """The event that has ended the conversation from outside."""

    async def run(self) -> int:
        """Talk, and return the exit status. Cancelling ends the conversation now."""
        self._lines.output_ended.addCallback(self._output_ended)
        self._conversation = Deferred.fromCoroutine(self._converse())
        try:
            status = await self._outcome()
            await self._lines.close_output()
            if self._end is not None and not status:  # the last lines could not be printed
                status = self._complain_of(self._end)
            await self._lines.close()
        finally:
            self._lines.abandon()
        return status

    async def _outcome(self) -> int:
        try:
            return await self._conversation
        except (CancelledError, ChatError) as problem:
            await self._close(flush=False)
            if self._end is not None:
                return self._complain_of(self._end)
            if isinstance(problem, CancelledError) or (isinstance(problem, ClosedError) and problem.wanted):
                raise CancelledError from None  # a signal
            self._lines.complain(why_not(self._options, problem))
            return exit_status(problem)

    async def _converse(self) -> int:
        self._person = await self._connect()
        await self._type(self._person)
        return FAILED if self._person.refused or self._lines.input_error else 0

    async def _connect(self) -> Person:
        endpoint = self._endpoint
        if self._options.bare:
            self._bare = await connect_bare(endpoint, self._reactor, self._heard, self._bare_ended)
            return Person(self._screen, COMMANDS, talker=self._bare, literal=self._options.literal)
        login = Login(self._options, self._tokens)
        while True:
            self._client = Client(endpoint, self._options.nick, password=login.password, reactor=self._reactor)
            self._screen.person = person = Person(self._screen, COMMANDS, self._client, literal=self._options.literal)
            person.tokens = self._tokens
            person.warning = unsafe(self._options)
            try:
                await self._client.start()
                break
            except RequestError as error:
                await login.refused(error, self._screen.secret if self._screen.is_personal else None)
        self._client.on(StateChanged, self._state_changed)
        rooms = [room for name in self._options.rooms if (room := await self._join(person, name)) is not None]
        room = rooms[0] if rooms else None
        person.turn(room)
        where = "no room" if room is None else clean(room.name)
        self._screen.notice(f"you are {clean(self._client.nick)} in {where}; /help shows what you can do", where)
        if self._tokens.problem:
            self._screen.error(clean(self._tokens.problem))
        if login.was_typed:
            await person.carry_out(offer_to_remember(person))
        return person

    async def _join(self, person: Person, name: str) -> Room | None:
        """Join a room. A guest may be refused until it has registered or logged in, which it does in no room."""
        try:
            return await person.join(name)
        except RequestError as error:
            if error.code != "denied" or person.client.account or person.client.guests:
                raise
            person.refused += 1
            self._screen.error(clean(str(error)))
            return None

    async def _type(self, person: Person) -> None:
        """Carry out the typed lines, up to the end of input. Then leave, once all messages are acked."""
        try:
            while (line := await self._lines.read()) is not END:
                if line == "exit" and not self._options.literal:
                    break
                if line:
                    self._doing = line if line.startswith("/") else ""
                    refused = person.refused
                    await person.typed(line)
                    self._doing = ""
                    if person.refused > refused and self._hides_secret(line):
                        self._lines.complain("the lines that follow may be a password, and are not sent")
                        break
                    await self._lines.writable()
        except Quit:
            self._doing = ""
        if self._lines.input_error is not None:
            self._lines.complain(f"standard input: {self._lines.input_error.strerror}")
        await self._close(flush=True)

    def _hides_secret(self, line: str) -> bool:
        """True for a refused command of a pipe behind which a password may come, which is not to be said aloud."""
        return not (self._screen.is_personal or self._options.literal) and COMMANDS.takes_secret(line)

    async def _close(self, flush: bool) -> None:
        for client in (self._client, self._bare):
            if client is not None:
                await client.close(flush)

    # The other side ends the conversation

    def _state_changed(self, change: StateChanged) -> None:
        # No second try: a pipe has to learn that its lines do not arrive, and a person sees it.
        problem = self._client.error if self._client is not None else None
        if change.state is State.WAITING:
            self._connection_ended(change.reason or "the server stopped")
        elif problem is not None and not (isinstance(problem, ClosedError) and problem.wanted):
            self._connection_ended(change.reason, exit_status(problem))

    def _bare_ended(self, problem: ChatError) -> None:
        if isinstance(problem, UnreachableError):
            self._end_with(End(why_not(self._options, problem)))
        else:
            self._connection_ended(str(problem))

    def _connection_ended(self, why: str, status: int = FAILED) -> None:
        server = self._options.server
        self._end_with(End(lost(f"the connection to {server}", server, clean(why)), status))

    def _output_ended(self, error: OSError | None) -> None:
        if isinstance(error, BrokenPipeError):
            self._end_with(End("", PIPE_CLOSED))
        elif error is not None:
            self._end_with(End(f"standard output: {error.strerror}"))

    def _end_with(self, end: End) -> None:
        if self._end is None:
            self._end = end
            self._conversation.cancel()

    def _complain_of(self, end: End) -> int:
        """Print why the conversation has ended, and which input may be lost. Returns the exit status."""
        parts = [end.why] if end.why else []
        if self._person is not None and self._person.lost:
            parts.append(f"{self._person.lost:,} of what you said may be lost")
        if self._doing:
            parts.append(f"{clean(self._doing)} may not have been done")
        if self._lines.unread:
            parts.append(f"{self._lines.unread:,} lines that you typed were not sent")
        if parts:
            self._lines.complain("; ".join(parts))
        return end.status

    def _heard(self, message: BareHeard) -> None:
        if message.type == "error":
            self._screen.error(clean(message.msg))
        elif not message.type:
            self._screen.show(clean(str(message.author)), message.msg)


def start(reactor: Any, options: Options) -> Deferred[int]:
    """Talk on standard input and output. The answer is the exit status."""
    tokens = Tokens(default_path() if options.remember else None, options)
    interface = PlainInterface(reactor, options, Lines.standard(reactor), endpoint(reactor, options), tokens)
    return Deferred.fromCoroutine(interface.run())

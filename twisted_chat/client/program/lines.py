"""The interface of lines: what is typed is said, what is said is printed. It works in a pipe, too."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from ...messages import MAX_OBJECT
from ..answers import Answer
from ..errors import ChatError
from ..events import Message, State, StateChanged
from ..library import Client, Room
from .bare import BareClient, BareHeard, connect_bare
from .clean import clean
from .commands import Direct, Person, Quit
from .endpoint import endpoint
from .options import Options
from .trouble import complain, lost, why_not

MAX_LINE: Final = 4 * MAX_OBJECT
"""Bytes of a typed line that are kept. It is more than can be said, so that a longer one is refused as too long."""

MAX_LINES: Final = 1000
"""Lines read and not yet taken, after which standard input is not read on."""

END: Final = None
"""The end of input, among lines."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Lines(Protocol):
    """Standard input as lines, standard output as a place for text; each waits for the other side."""

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: deque[str | None] = deque()
        self._reader: Answer[str | None] | None = None
        self._paused = False
        self._blocked = False
        self._writers: list[Answer[None]] = []
        self.closed: Answer[None] = Answer()
        """Fires when standard output is closed."""

    # Input

    def connectionMade(self) -> None:
        cast(Any, self.transport).registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._put((self._buffer + line)[:MAX_LINE].decode("utf-8", "replace").removesuffix("\r"))
            self._buffer = b""
        self._buffer = (self._buffer + rest)[:MAX_LINE]
        if len(self._lines) >= MAX_LINES and not self._paused:
            self._paused = True
            cast(Any, self.transport).pauseProducing()

    def readConnectionLost(self) -> None:
        if self._buffer:
            self._put(self._buffer.decode("utf-8", "replace"))
        self._put(END)

    def _put(self, line: str | None) -> None:
        if self._reader is None:
            self._lines.append(line)
        else:
            reader, self._reader = self._reader, None
            reader.callback(line)

    def read(self) -> Answer[str | None]:
        """Read a line, without its end; `END` is the end of input."""
        if not self._lines:
            self._reader = Answer()
            return self._reader
        line = self._lines.popleft()
        if self._paused and not self._lines:
            self._paused = False
            cast(Any, self.transport).resumeProducing()
        return Answer.given(line)

    # Output

    def write(self, text: str) -> None:
        """Print a line."""
        cast(Any, self.transport).write(text.encode("utf-8", "backslashreplace") + b"\n")

    def writable(self) -> Answer[None]:
        """Wait until what was printed has been taken."""
        answer: Answer[None] = Answer()
        if self._blocked:
            self._writers.append(answer)
        else:
            answer.callback(None)
        return answer

    def pauseProducing(self) -> None:
        self._blocked = True

    def resumeProducing(self) -> None:
        self._blocked = False
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

    def writeConnectionLost(self) -> None:
        self.connectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.resumeProducing()
        if not self.closed.called:
            self.closed.callback(None)

    def close(self) -> Answer[None]:
        """Let what was printed be taken, and close."""
        cast(Any, self.transport).unregisterProducer()
        cast(Any, self.transport).loseConnection()
        return self.closed


class LineScreen:
    """Prints a conversation, a line a message; what goes wrong goes to standard error."""

    def __init__(self, lines: Lines, notices: bool) -> None:
        """`notices`: tell who comes and goes, which a program that reads the messages has no use for."""
        self.person: Person | None = None
        self._lines = lines
        self._notices = notices

    async def message(self, message: Message, room: Room | None) -> None:
        author = clean(message.author)
        if room is None:
            author += " (to you)"
        elif self.person is None or room is not self.person.here:
            author = f"[{clean(room.name)}] {author}"
        self._lines.write(f"{author}: {clean(message.msg)}")
        await self._lines.writable()

    async def past(self, messages: Sequence[Message], room: Room, attention: int) -> None:
        for message in messages:
            await self.message(message, room)

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        """Show nothing: what is typed is seen as it is typed."""

    def turned(self, where: Room | Direct | None) -> None:
        """Show nothing: all rooms are shown, and the others with their names."""

    def left(self, where: Room | Direct) -> None:
        """Show nothing: the command that asked for it has an answer."""

    def attention(self) -> int:
        return 0  # there is no view that could move

    def note(self, text: str) -> None:
        self._lines.write(f"* {text}")

    def notice(self, text: str, room: str) -> None:
        if self._notices:
            self.note(text)

    def error(self, text: str) -> None:
        complain(f"* {text}")


class Talk:
    """One run of the program: from the first connection to the exit status."""

    def __init__(self, reactor: Any, options: Options, lines: Lines, endpoint: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._options = options
        self._lines = lines
        self._screen = LineScreen(lines, notices=os.isatty(1))
        self._client: Client | None = None
        self._bare: BareClient | None = None
        self._conversation: Deferred[int] = Deferred()
        self._why = ""
        """Why the conversation was ended from outside; empty when standard output was closed."""

    async def run(self) -> int:
        """Talk, and give the exit status."""
        self._lines.closed.addCallback(lambda _: self._end(""))
        self._conversation = Deferred.fromCoroutine(self._converse())
        status = 1
        try:
            status = await self._conversation
        except CancelledError:
            self._complain_of_end()
        except ChatError as problem:
            complain(why_not(self._options, problem))
        await self._close(flush=False)
        await self._lines.close()
        return status

    async def _converse(self) -> int:
        person = await self._connect()
        await self._type(person)
        return 1 if person.refused else 0

    async def _connect(self) -> Person:
        endpoint = self._endpoint
        if self._options.bare:
            self._bare = await connect_bare(endpoint, self._reactor, self._heard, lambda error: self._end(str(error)))
            return Person(self._screen, talker=self._bare, literal=self._options.literal)
        self._client = Client(endpoint, self._options.nick, reactor=self._reactor)
        self._screen.person = person = Person(self._screen, self._client, literal=self._options.literal)
        await self._client.start()
        self._client.on(StateChanged, self._state_changed)
        room, *_ = [await person.join(name) for name in self._options.rooms]
        person.turn(room)
        self._screen.notice(
            f"you are {clean(self._client.nick)} in {clean(room.name)}; /help shows what you can do", room.name
        )
        return person

    async def _type(self, person: Person) -> None:
        """Take what is typed, to its end; then leave, when all of it is kept."""
        try:
            while (line := await self._lines.read()) is not END:
                if line == "exit" and not self._options.literal:
                    break
                if line:
                    await person.typed(line)
        except Quit:
            pass
        await self._close(flush=True)

    async def _close(self, flush: bool) -> None:
        for client in (self._client, self._bare):
            if client is not None:
                await client.close(flush)

    def _complain_of_end(self) -> None:
        unkept = self._client.unanswered if self._client is not None else 0
        if self._why:
            unsaid = f"; {unkept:,} of what you said may be lost" if unkept else ""
            server = self._options.server
            complain(lost(f"the connection to {server}", server, self._why) + unsaid)

    def _end(self, why: str) -> None:
        """End the conversation: the server is gone, or nobody reads standard output any more."""
        self._why = self._why or clean(why)
        self._conversation.cancel()

    def _state_changed(self, change: StateChanged) -> None:
        # No second try: who pipes into this program wants to know that it does not arrive, and who sits before it sees.
        if change.state is State.WAITING:
            self._end(change.reason or "the server stopped")

    def _heard(self, message: BareHeard) -> None:
        author, text = clean(str(message.author)), clean(message.msg)
        if message.type == "error":
            self._screen.error(text)
        elif not message.type:
            self._lines.write(f"{author}: {text}")


def start(reactor: Any, options: Options) -> Deferred[int]:
    """Talk on standard input and output; the answer is the exit status."""
    lines = Lines()
    StandardIO(lines, reactor=reactor)
    return Deferred.fromCoroutine(Talk(reactor, options, lines, endpoint(reactor, options)).run())

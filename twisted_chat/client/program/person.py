"""A person in a conversation, in any interface: the rooms, the typed lines, and the calls that show something.

Nothing here prints or reads. An interface is a `Screen`, and passes typed lines to `Person.typed`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..answers import Answer, Waiters
from ..events import (
    Deleted,
    DirectMessage,
    Invited,
    Kicked,
    MemberJoined,
    MemberLeft,
    Message,
    NickChanged,
    Reported,
    RoomLost,
    State,
)
from ..keys import key
from ..library import Client, Room
from ..protocol.errors import ChatError, ClosedError, RequestError
from ..protocol.objects import Page
from .clean import clean
from .command import Command, Commands, Mistake
from .notices import KINDS, Noticed, notice_text, with_more
from .tokens import Tokens

NO_ROOM: Final = "you are in no room; /join ROOM enters one"

UNDER_WAY: Final = 1000
"""The maximum number of messages without an ack before the next line is taken. More would only wait here."""

SHORT: Final = 40
"""The number of characters that are shown of a refused text, so that a person recognises it."""


class Screen(Protocol):
    """An interface, as commands know it."""

    def message(self, message: Message, room: Room | None) -> Awaitable[None]:
        """Show a message. `room` is None for a direct one. The next one comes when this is done."""

    def past(self, messages: Sequence[Message], where: Room | Direct, attention: int) -> Awaitable[None]:
        """Show the last messages of a place, which were requested when `attention` had this value."""

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        """Show a message of this person. The answer comes when it is acked."""

    def note(self, text: str) -> None:
        """Show the answer to a command."""

    def notice(self, text: str, room: str, nick: str = "") -> None:
        """Show a notice about a room, and about the one with this `nick` if it is not empty."""

    def error(self, text: str) -> None:
        """Show an error, and what to do."""

    def turned(self, where: Room | Direct | None) -> None:
        """Called when the person talks in another place from now on."""

    def left(self, where: Room | Direct) -> None:
        """Called when a room has been left, or a direct conversation closed."""

    def renamed(self, nick: str, direct: Direct) -> None:
        """Called when somebody has changed their nick. The direct conversation with them goes on under the new one."""

    def deleted(self, where: Room | Direct, of: int) -> None:
        """Called when the message with this number was deleted."""

    def newest(self, where: Room | Direct, nick: str) -> int | None:
        """Return the number of the newest message of a nick that is shown, and was not deleted."""

    @property
    def is_personal(self) -> bool:
        """True if a person is there who can be asked, and does not see the password that is typed."""

    def secret(self, prompt: str) -> Awaitable[str | None]:
        """Ask for a password, which is not shown. The answer is None if there is none."""

    def confirm(self, question: str) -> Awaitable[bool]:
        """Ask a question that `y` answers with yes."""

    def attention(self) -> int:
        """A number that changes whenever the person does something, so that late answers do not move the view."""


class Talker(Protocol):
    """A place where a person can talk."""

    def say(self, text: str) -> Deferred[Any]:
        """Send a message. The answer comes when it is acked. Fails with `ChatError`."""


class Direct:
    """A direct conversation with one nick, in which a person can stay as in a room."""

    def __init__(self, client: Client, nick: str) -> None:
        self.name = nick
        """The nick of the other person."""
        self._client = client

    def say(self, text: str) -> Answer[int | None]:
        """Send a message to the other person."""
        return self._client.tell(self.name, text)

    @property
    def is_kept(self) -> bool:
        """True if the messages may be kept in a log. Those with guests are not, and their history is empty."""
        return self._client.account

    def history(self, *, before: int | None = None, limit: int = 50) -> Answer[Page]:
        """Read the log of the messages with the other person. Fails with `RequestError` if this person is a guest."""
        return self._client.direct_history(self.name, before=before, limit=limit)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A command that waits for the server's answer."""

    line: str
    """The command as it was typed."""
    lasting: bool


class Person:
    """One person in a conversation, in any interface: the rooms, the current one, and the typed lines."""

    _log = Logger()

    def __init__(
        self,
        screen: Screen,
        table: Commands,
        client: Client | None = None,
        talker: Talker | None = None,
        literal: bool = False,
    ) -> None:
        """Begin a conversation.

        `table` has the commands. `talker` is for a server without rooms and commands; with a `client`, the person talks
        in the current room. With `literal`, every typed line is sent as it is, and none is a command.
        """
        self.screen = screen
        self.table = table
        self.here: Room | Direct | None = None
        """The place where typed texts go. Only an interface that shows it uses a `Direct`."""
        self.refused = 0
        """The number of typed messages and commands that were refused."""
        self.lost = 0
        """The number of messages without an ack when the client was closed."""
        self.call_key = ""
        """The words on the key of `/accept`, if the interface has one."""
        self.keys = ""
        """The part of `/help` on the keys of the interface."""
        self.shows_directs = False
        """True if the interface can show a direct conversation."""
        self.tokens: Tokens | None = None
        """The remembered tokens."""
        self.warning = ""
        """The words behind a question for a password, if the connection is not a safe one."""
        self.call = ""
        """The room of the newest invitation or report."""
        self.asked: list[Asked] = []
        """The commands that wait for an answer."""
        self.undone: list[Asked] = []
        """The commands that waited when the client was closed."""
        self._client = client
        self._talker = talker
        self._literal = literal
        self._under_way = 0
        self._space = Waiters()
        if client is not None:
            self._listen(client)

    @property
    def client(self) -> Client:
        """The client. Raises `Mistake` if there is none."""
        if self._client is None:
            raise Mistake("an original server (--bare) knows no such command; /help lists the commands")
        return self._client

    def commands(self) -> list[Command]:
        """The commands that work in this conversation."""
        return [command for command in self.table.values() if command.bare or self._client is not None]

    async def typed(self, line: str) -> None:
        """Carry out a typed line, and show errors. Raises `Quit`."""
        await self.carry_out(self._typed(line), f"{_short(line)}: ")

    async def carry_out(self, doing: Awaitable[None], what: str = "") -> None:
        """Wait until something is done, and show errors, a refusal with `what` in front. Raises `Quit`."""
        try:
            await doing
        except Mistake as error:
            self.refused += 1
            self.screen.error(clean(str(error)))
        except ChatError as error:
            self.refused += 1
            self.screen.error(clean(f"{what}{why(error)}"))

    async def _typed(self, line: str) -> None:
        what = line if self._literal else self.table.parse(line)
        if isinstance(what, str):
            await self._say(what, self._place())
        else:
            command, argument = what
            await self._run(command, argument, line)

    async def _run(self, command: Command, argument: str, line: str) -> None:
        asked = Asked(line, command.lasting)
        if not command.bare and self.client.state is State.WAITING:  # raises a mistake if there is no client
            self.screen.note(clean(f"{_short(line)}: this waits for the connection"))
        self.asked.append(asked)
        try:
            await command.run(self, argument)
        except ClosedError:
            self.undone.append(asked)
            raise
        finally:
            self.asked.remove(asked)

    async def say_all(self, texts: Iterable[str]) -> None:
        """Send these texts as they are, all of them here, even if the person turns to another place meanwhile."""
        try:
            here = self._place()
            for text in texts:
                await self._say(text, here)
        except Mistake as error:
            self.screen.error(str(error))

    async def tell(self, nick: str, text: str) -> None:
        """Send a message to one nick, without turning to that conversation."""
        await self._say(text, Direct(self.client, nick))

    async def join(self, name: str, turn: bool = True) -> Room:
        """Join a room, and turn to it unless the person has done something else meanwhile. Raises `RequestError`."""
        attention = self.screen.attention()
        known = self.client.joined.values()
        room = await self.client.join(name)
        if turn and (self.here is None or attention == self.screen.attention()):
            self.turn(room)
        if room not in known:
            Deferred.fromCoroutine(self._read(room)).addErrback(
                lambda failure: self._log.failure("reading a room failed", failure)
            )
        return room

    def turn(self, where: Room | Direct | None) -> None:
        """Turn to a place: typed texts go there from now on."""
        self.here = where
        self.screen.turned(where)

    def room(self) -> Room:
        """The current room. Raises `Mistake`."""
        if isinstance(self.here, Direct):
            raise Mistake(f"these are direct messages with {clean(self.here.name)}; /join ROOM turns to a room")
        if self.here is None:
            raise Mistake(self.nowhere())
        return self.here

    def nowhere(self, lost: str = "") -> str:
        """Return what a person can do who is at no place. `lost` is the name of a room that is about to be lost.

        A person who is put out of a room is moved to no other one: what was being typed for the one would be sent to
        the other.
        """
        rooms = self._client.joined.values() if self._client is not None else ()
        other = next((room.name for room in rooms if room.name != lost), None)
        return NO_ROOM if other is None else f"choose a room first; /join {clean(other)} turns to one of yours"

    def _place(self) -> Room | Direct | None:
        """Return the place of a typed text; None if the server knows no rooms. Raises `Mistake`."""
        return self.here if self._talker is not None or self.here is not None else self.room()

    async def _read(self, room: Room) -> None:
        try:
            async for message in room:
                await self.screen.message(message, room)
        except ChatError:
            pass  # RoomLost and StateChanged report it
        self.screen.left(room)

    async def _say(self, text: str, where: Room | Direct | None) -> None:
        """Send a message, and wait until there is space for more."""
        talker = where or self._talker
        assert talker is not None
        answer = talker.say(text)
        self.screen.said(text, where, answer)
        self._under_way += 1
        answer.addErrback(self._not_said, text, where).addBoth(self._done)
        if self._under_way >= UNDER_WAY:
            await self._space.add()

    def _not_said(self, failure: Any, text: str, where: Room | Direct | None) -> None:
        failure.trap(ChatError)
        self.refused += 1
        if isinstance(failure.value, ClosedError):
            self.lost += 1  # that is shown once, and not for each text
        else:
            place = "" if where is None else f" {'in' if isinstance(where, Room) else 'to'} {where.name}"
            self.screen.error(clean(f'not said{place}, "{_short(text)}": {why(failure.value)}'))

    def _done(self, _: object) -> None:
        self._under_way -= 1
        self._space.fire()

    def _listen(self, client: Client) -> None:
        client.on(DirectMessage, lambda message: Deferred.fromCoroutine(self._show(message)))
        client.on(NickChanged, self._renamed)
        client.on(RoomLost, self._room_lost)
        client.on(Deleted, self._deleted)
        client.on(Invited, self._invited)
        client.on(Reported, lambda event: Deferred.fromCoroutine(self._reported(event)))
        for kind in KINDS:
            client.on(kind, self._noticed)

    def _noticed(self, event: Noticed) -> None:
        if isinstance(event, Kicked) and key(event.nick) == key(self.client.nick):
            return  # `RoomLost` follows
        comes_or_goes = isinstance(event, MemberJoined | MemberLeft)
        self.screen.notice(notice_text(event), event.room or "", event.author if comes_or_goes else "")

    def _deleted(self, event: Deleted) -> None:
        if event.to is not None:
            own = key(event.author) == key(self.client.nick)
            self.screen.deleted(Direct(self.client, event.to if own else event.author), event.of)
            return
        room = self.client.room(event.room or "")
        if room is not None:
            self.screen.deleted(room, event.of)

    def _invited(self, event: Invited) -> None:
        self.call = event.room
        line = with_more(f"{clean(event.author)} invites you to {clean(event.room)}", event.msg)
        self.screen.note(f"{line}; /accept enters it{self.call_key}")

    async def _reported(self, event: Reported) -> None:
        """Show a report, with the message. An operator may read every room."""
        self.call = event.room
        try:
            page = await self.client.history(event.room, before=event.of + 1, limit=1)
            message = next((message for message in page.messages if message.seq == event.of), None)
        except ChatError:
            message = None
        line = with_more(f"{clean(event.author)} reports message #{event.of} of {clean(event.room)}", event.msg)
        said = "it is gone" if message is None else f'{clean(message.author)} said "{_short(clean(message.msg))}"'
        self.screen.note(f"{line}; {said}; /accept goes there{self.call_key}")

    async def _show(self, message: DirectMessage) -> None:
        await self.screen.message(message, None)

    def _renamed(self, event: NickChanged) -> None:
        """Called in each room that both are in. Texts to somebody must not reach the next person with their nick."""
        direct = Direct(self.client, event.nick)
        if isinstance(self.here, Direct) and key(self.here.name) == key(event.author):
            self.here = direct
        self.screen.renamed(event.author, direct)
        self.screen.notice(f"{clean(event.author)} is {clean(event.nick)} now", event.room or "")

    def _room_lost(self, event: RoomLost) -> None:
        was_here = isinstance(self.here, Room) and self.here.name == event.room
        if was_here:
            self.turn(None)
        self.screen.error(clean(f"you are no longer in {event.room}: {why(event.error)}"))
        if was_here:
            self.screen.error(self.nowhere(event.room))


def why(error: ChatError) -> str:
    """Return the reason of an error alone, since the typed words say what it is about."""
    return error.text if isinstance(error, RequestError) else str(error)


def _short(text: str) -> str:
    """Return the beginning of a text, by which a person recognises it."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 3]}..."

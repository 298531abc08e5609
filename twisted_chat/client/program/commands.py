"""What a person can do beside talking: the commands, as values in one table, and what they act on.

Nothing here prints or reads: an interface is a `Screen`, and gives what was typed to `Person.typed`. `/help` and the
completion of an interface are made from the table.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ...messages import MAX_PAGE
from ..answers import Answer, Waiters
from ..errors import ChatError, ClosedError, RequestError
from ..events import DirectMessage, MemberJoined, MemberLeft, Message, NickChanged, RoomLost, TopicChanged
from ..library import Client, Room
from .clean import clean

HISTORY: Final = 20
"""Messages that `/history` shows when it is not told how many: what fits on a small screen."""

UNDER_WAY: Final = 1000
"""Messages that may wait for their ack before the next line is taken. More would only wait here and not there."""


class Screen(Protocol):
    """An interface, as far as commands know it."""

    def message(self, message: Message, room: Room | None) -> Awaitable[None]:
        """Show a message; `room` is None for a direct one. The next one comes when this is done."""

    def past(self, messages: Sequence[Message], room: Room) -> Awaitable[None]:
        """Show the last messages of a room, which were asked for."""

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        """Show what this person says; the answer comes when it is kept."""

    def note(self, text: str) -> None:
        """Show the answer to a command."""

    def notice(self, text: str, room: str) -> None:
        """Show what happens beside the conversation: who comes to a room, and who goes."""

    def error(self, text: str) -> None:
        """Show what went wrong, and what to do."""

    def turned(self, where: Room | Direct | None) -> None:
        """Hear where the person talks now."""

    def left(self, where: Room | Direct) -> None:
        """Hear that this is over: a room that was left, a talk that was closed."""


class Quit(Exception):
    """The person wants to leave."""


class Talker(Protocol):
    """Where what a person says goes to."""

    def say(self, text: str) -> Deferred[Any]:
        """Say something; the answer comes when it is said for good. Fails with `ChatError`."""


class Direct:
    """The talk with one nick alone, for a person who stays in it as in a room."""

    def __init__(self, client: Client, nick: str) -> None:
        self.name = nick
        """The other's nick."""
        self._client = client

    def say(self, text: str) -> Answer[int | None]:
        """Say something to the other."""
        return self._client.tell(self.name, text)


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a person can do."""

    name: str
    """What is typed after the slash."""
    argument: str
    """What may follow, for `/help`: `NICK` must be there, `[ROOM]` need not. An argument of two parts is two words."""
    help: str
    run: Callable[[Person, str], Awaitable[None]]
    """What it does, given the argument. Raises `Mistake`, `ChatError` or `Quit`."""
    bare: bool = False
    """It works also with a server that knows no commands."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    @property
    def needs(self) -> int:
        """How many words must follow it."""
        return sum(not word.startswith("[") for word in self.argument.split())


class Mistake(Exception):
    """What was typed is no command, or not all of one. The text says what would be right."""


def parse(line: str) -> str | tuple[Command, str]:
    """Read a line: a text to say, or a command and its argument. Raises `Mistake`."""
    if not line.startswith("/"):
        return line
    if line.startswith("//"):
        return line[1:]
    name, _, argument = line[1:].partition(" ")
    argument = argument.strip()
    command = find(name)
    if len(argument.split()) < command.needs:
        raise Mistake(f"type {command.usage}: {command.help}")
    return command, argument


def find(name: str) -> Command:
    """Find a command by its name; raises `Mistake`."""
    command = COMMANDS.get(name.lower())
    if command is None:
        near = difflib.get_close_matches(name.lower(), COMMANDS, n=1)
        hint = f"did you mean /{near[0]}?" if near else "/help shows those there are"
        raise Mistake(f"there is no command /{clean(name)}; {hint}")
    return command


class Person:
    """One person in a conversation, whatever the interface: the rooms, the one that is talked in, and what is typed."""

    _log = Logger()

    def __init__(
        self, screen: Screen, client: Client | None = None, talker: Talker | None = None, literal: bool = False
    ) -> None:
        """Let somebody talk.

        `talker` is for a server without rooms and commands; with a `client`, the room one is in is talked to.
        `literal`: what is typed is said as it is, and no command.
        """
        self.screen = screen
        self.here: Room | Direct | None = None
        """Where what is typed goes to. Only an interface that shows it takes a `Direct`."""
        self.refused = 0
        """How much of what was typed was refused: what was to be said and was not, and commands."""
        self.keys = ""
        """What `/help` says of the interface's keys."""
        self._client = client
        self._talker = talker
        self._literal = literal
        self._under_way = 0
        self._space = Waiters()
        if client is not None:
            self._listen(client)

    @property
    def client(self) -> Client:
        """The client; raises `Mistake` where there is none."""
        if self._client is None:
            raise Mistake("an original server (--bare) knows no such command; /help shows those there are")
        return self._client

    def commands(self) -> list[Command]:
        """List what can be done here."""
        return [command for command in COMMANDS.values() if command.bare or self._client is not None]

    async def typed(self, line: str) -> None:
        """Do what a line says; what goes wrong is shown. Raises `Quit`."""
        try:
            what = line if self._literal else parse(line)
            if isinstance(what, str):
                await self._say(what, self._place())
            else:
                command, argument = what
                if not command.bare:
                    self.client  # noqa: B018 - a mistake where there is none
                await command.run(self, argument)
        except (Mistake, ChatError) as error:
            self.refused += 1
            self.screen.error(clean(str(error)))

    async def say_all(self, lines: Iterable[str]) -> None:
        """Say these lines as they are, and all of them here, also when the person turns to another place meanwhile."""
        try:
            here = self._place()
            for line in lines:
                await self._say(line, here)
        except Mistake as error:
            self.screen.error(str(error))

    async def join(self, name: str) -> Room:
        """Enter a room, or turn to it if one is in it already. Raises `RequestError`."""
        known = self.client.joined.values()
        room = await self.client.join(name)
        self.turn(room)
        if room not in known:
            Deferred.fromCoroutine(self._read(room)).addErrback(
                lambda failure: self._log.failure("reading a room failed", failure)
            )
        return room

    def turn(self, where: Room | Direct | None) -> None:
        """Talk there from now on."""
        self.here = where
        self.screen.turned(where)

    def room(self) -> Room:
        """Give the room that is talked in; raises `Mistake`."""
        if isinstance(self.here, Direct):
            raise Mistake(f"this is a talk with {clean(self.here.name)} alone; /join ROOM turns to a room")
        if self.here is None:
            raise Mistake("you are in no room; /join ROOM enters one")
        return self.here

    def _place(self) -> Room | Direct | None:
        """Say where what is typed goes to; None where the server knows no rooms. Raises `Mistake`."""
        return self.here if self._talker is not None or self.here is not None else self.room()

    async def _read(self, room: Room) -> None:
        try:
            async for message in room:
                await self.screen.message(message, room)
        except ChatError:
            pass  # RoomLost and StateChanged tell of it
        self.screen.left(room)

    async def _say(self, text: str, where: Room | Direct | None) -> None:
        """Say something, and wait until there is space for more."""
        talker = where or self._talker
        assert talker is not None
        answer = talker.say(text)
        self.screen.said(text, where, answer)
        self._under_way += 1
        answer.addErrback(self._not_said).addBoth(self._done)
        if self._under_way >= UNDER_WAY:
            await self._space.add()

    def _not_said(self, failure: Any) -> None:
        failure.trap(ChatError)
        self.refused += 1
        if not isinstance(failure.value, ClosedError):  # that one is told once, and not for each text
            named = getattr(failure.value, "request", None) is not None
            self.screen.error(f"{'' if named else 'not said: '}{clean(str(failure.value))}")

    def _done(self, _: object) -> None:
        self._under_way -= 1
        self._space.fire()

    def _listen(self, client: Client) -> None:
        notice = self.screen.notice
        client.on(DirectMessage, lambda message: Deferred.fromCoroutine(self._show(message)))
        client.on(MemberJoined, lambda event: notice(f"{clean(event.author)} joined {clean(event.room)}", event.room))
        client.on(MemberLeft, lambda event: notice(_left(event), event.room))
        client.on(
            NickChanged, lambda event: notice(f"{clean(event.author)} is {clean(event.nick)} now", event.room or "")
        )
        client.on(TopicChanged, lambda event: notice(_topic(event.author, event.room, event.msg), event.room))
        client.on(RoomLost, self._room_lost)

    async def _show(self, message: DirectMessage) -> None:
        await self.screen.message(message, None)

    def _room_lost(self, event: RoomLost) -> None:
        if isinstance(self.here, Room) and self.here.name == event.room:
            self.turn(None)
        why = event.error.text if isinstance(event.error, RequestError) else str(event.error)
        self.screen.error(f"you are no longer in {clean(event.room)}: {clean(why)}")


def _with(text: str, more: str) -> str:
    return f"{text}: {clean(more)}" if more else text


def _left(event: MemberLeft) -> str:
    return _with(f"{clean(event.author)} left {clean(event.room)}", event.msg)


def _topic(author: str, room: str, topic: str) -> str:
    who = clean(author)
    return (
        f"{who} set the topic of {clean(room)}: {clean(topic)}"
        if topic
        else f"{who} took away the topic of {clean(room)}"
    )


async def _join(person: Person, argument: str) -> None:
    room = await person.join(argument)
    members = "1 member" if room.count == 1 else f"{room.count:,} members"
    person.screen.note(_with(f"you are in {clean(room.name)} ({members})", room.topic))


async def _leave(person: Person, argument: str) -> None:
    if isinstance(person.here, Direct) and not argument:
        person.screen.left(person.here)
        person.turn(next(iter(person.client.joined.values()), None))
        return
    room = person.room() if not argument else _joined(person, argument)
    await room.leave()
    if person.here is room:
        person.turn(next(iter(person.client.joined.values()), None))
    now = f"; you are in {clean(person.here.name)}" if isinstance(person.here, Room) else ""
    person.screen.note(f"you left {clean(room.name)}{now}")


def _joined(person: Person, name: str) -> Room:
    """Find a room one is in; raises `Mistake`."""
    room = person.client.room(name)
    if room is None:
        raise Mistake(f"you are not in {clean(name)}")
    return room


async def _nick(person: Person, argument: str) -> None:
    person.screen.note(f"you are {clean(await person.client.set_nick(argument))} now")


async def _who(person: Person, argument: str) -> None:
    room = argument or person.room().name
    members = await person.client.who(room)
    if not members.members:
        person.screen.note(f"nobody is in {clean(members.room)}")
        return
    more = f" and {members.count - len(members.members):,} more" if members.count > len(members.members) else ""
    person.screen.note(f"in {clean(members.room)}: {', '.join(map(clean, members.members))}{more}")


async def _rooms(person: Person, argument: str) -> None:
    rooms = await person.client.rooms()
    for room in rooms:
        person.screen.note(_with(f"{clean(room.room)} ({room.count:,})", room.topic))
    if not rooms:
        person.screen.note("there are no rooms; /join ROOM makes one")


async def _topic_of(person: Person, argument: str) -> None:
    room = person.room()
    if argument:
        await room.set_topic(argument)
    topic = argument or room.topic
    person.screen.note(f"the topic of {clean(room.name)}: {clean(topic)}" if topic else "there is no topic")


async def _msg(person: Person, argument: str) -> None:
    nick, _, text = argument.partition(" ")
    talk = Direct(person.client, nick)
    answer = talk.say(text.strip())
    person.screen.said(text.strip(), talk, answer)
    await answer


async def _history(person: Person, argument: str) -> None:
    if argument and not (argument.isdecimal() and 1 <= int(argument) <= MAX_PAGE):
        raise Mistake(f"/history takes a number from 1 to {MAX_PAGE}, not {clean(argument)!r}")
    room = person.room()
    page = await room.history(limit=int(argument or HISTORY))
    if page.messages:
        await person.screen.past(page.messages, room)
    else:
        person.screen.note(f"nothing has been said in {clean(room.name)} yet")


async def _help(person: Person, argument: str) -> None:
    for line in help_lines([find(argument.removeprefix("/"))] if argument else person.commands()):
        person.screen.note(line)
    if person.keys and not argument:
        person.screen.note(f"keys: {person.keys}")


async def _quit(person: Person, argument: str) -> None:
    raise Quit


def help_lines(commands: list[Command]) -> Iterator[str]:
    """Say what commands do, a line each."""
    width = max(len(command.usage) for command in commands)
    for command in commands:
        yield f"{command.usage:<{width}}  {command.help}"
    if len(commands) > 1:
        yield f"{'//TEXT':<{width}}  say a text that begins with a slash"


COMMANDS: Final = {
    command.name: command
    for command in (
        Command("join", "ROOM", "enter a room, or turn to one you are in", _join),
        Command("leave", "[ROOM]", "leave a room, or end the talk with one nick", _leave),
        Command("nick", "NICK", "take another nick", _nick),
        Command("who", "[ROOM]", "who is in a room", _who),
        Command("rooms", "", "which rooms there are", _rooms),
        Command("topic", "[TEXT]", "show the room's topic, or set it", _topic_of),
        Command("msg", "NICK TEXT", "say something to one nick alone", _msg),
        Command("history", "[COUNT]", f"the room's last messages, {HISTORY} or COUNT of them", _history),
        Command("help", "[COMMAND]", "what can be typed", _help, bare=True),
        Command("quit", "", "leave, after everything said is kept", _quit, bare=True),
    )
}
"""The commands by their names, in the order of `/help`."""

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
from ..events import DirectMessage, MemberJoined, MemberLeft, Message, NickChanged, RoomLost, State, TopicChanged
from ..library import Client, Room
from .clean import clean

HISTORY: Final = 20
"""Messages that `/history` shows when it is not told how many: what fits on a small screen."""

UNDER_WAY: Final = 1000
"""Messages that may wait for their ack before the next line is taken. More would only wait here and not there."""


SHORT: Final = 40
"""Characters that are shown of a text that was refused, so that it is known which one it was."""


class Screen(Protocol):
    """An interface, as far as commands know it."""

    def message(self, message: Message, room: Room | None) -> Awaitable[None]:
        """Show a message; `room` is None for a direct one. The next one comes when this is done."""

    def past(self, messages: Sequence[Message], room: Room, attention: int) -> Awaitable[None]:
        """Show the last messages of a room, which were asked for when `attention` was what it was."""

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        """Show what this person says; the answer comes when it is kept."""

    def note(self, text: str) -> None:
        """Show the answer to a command."""

    def notice(self, text: str, room: str) -> None:
        """Show what happens beside the conversation: somebody joins a room, or leaves it."""

    def error(self, text: str) -> None:
        """Show what went wrong, and what to do."""

    def turned(self, where: Room | Direct | None) -> None:
        """Called when the person talks in another place from now on."""

    def left(self, where: Room | Direct) -> None:
        """Called when a room has been left, or a direct conversation closed."""

    def attention(self) -> int:
        """A number that changes whenever the person does something: what comes late must not move the view then."""


class Quit(Exception):
    """The person wants to leave."""


class Talker(Protocol):
    """Where what a person says goes to."""

    def say(self, text: str) -> Deferred[Any]:
        """Say something; the answer comes when it is said for good. Fails with `ChatError`."""


class Direct:
    """The direct conversation with one nick, for a person who stays in it as in a room."""

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
    aliases: Sequence[str] = ()
    """What it is called elsewhere, and can be called here."""
    bare: bool = False
    """It works also with a server that knows no commands."""
    lasting: bool = False
    """It changes something at the server: who leaves waits for it, as for what was said."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    @property
    def needs(self) -> int:
        """How many words must follow it."""
        return sum(not word.startswith("[") for word in self.argument.split())


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A command that waits for the server's answer."""

    line: str
    """As it was typed."""
    lasting: bool


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


def named(name: str) -> Command | None:
    """The command of this name, or with this alias."""
    return _BY_NAME.get(name.lower())


def find(name: str) -> Command:
    """Find a command by its name or an alias; raises `Mistake`."""
    command = named(name)
    if command is not None:
        return command
    shown = clean(name)
    if name.lower() in ELSEWHERE:
        raise Mistake(f"there is no command /{shown} here: {ELSEWHERE[name.lower()]}")
    near = difflib.get_close_matches(name.lower(), _BY_NAME, n=1)
    hint = f"did you mean /{_BY_NAME[near[0]].name}?" if near else "/help shows those there are"
    raise Mistake(f"there is no command /{shown}; {hint}")


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
        self.lost = 0
        """How much of what was said is not known to be kept, since the client was closed first."""
        self.keys = ""
        """What `/help` says of the interface's keys."""
        self.shows_directs = False
        """The interface can turn to a direct conversation."""
        self.asked: list[Asked] = []
        """Commands that wait for an answer."""
        self.undone: list[Asked] = []
        """Commands that waited when the client was closed."""
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
                await self._run(command, argument, line)
        except Mistake as error:
            self.refused += 1
            self.screen.error(clean(str(error)))
        except ChatError as error:
            self.refused += 1
            self.screen.error(clean(f"{_short(line)}: {why(error)}"))

    async def _run(self, command: Command, argument: str, line: str) -> None:
        asked = Asked(line, command.lasting)
        if not command.bare and self.client.state is State.WAITING:  # a mistake, where there is no client
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
        """Say these texts as they are, and all of them here, also when the person turns to another place meanwhile."""
        try:
            here = self._place()
            for text in texts:
                await self._say(text, here)
        except Mistake as error:
            self.screen.error(str(error))

    async def tell(self, nick: str, text: str) -> None:
        """Say something to one nick, without turning to that conversation."""
        await self._say(text, Direct(self.client, nick))

    async def join(self, name: str, turn: bool = True) -> Room:
        """Enter a room, and turn to it unless the person has done something else meanwhile. Raises `RequestError`."""
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
        """Talk there from now on."""
        self.here = where
        self.screen.turned(where)

    def room(self) -> Room:
        """Give the room that is talked in; raises `Mistake`."""
        if isinstance(self.here, Direct):
            raise Mistake(f"these are direct messages with {clean(self.here.name)}; /join ROOM turns to a room")
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
        answer.addErrback(self._not_said, text, where).addBoth(self._done)
        if self._under_way >= UNDER_WAY:
            await self._space.add()

    def _not_said(self, failure: Any, text: str, where: Room | Direct | None) -> None:
        failure.trap(ChatError)
        self.refused += 1
        if isinstance(failure.value, ClosedError):
            self.lost += 1  # that is told once, and not for each text
        else:
            place = "" if where is None else f" {'in' if isinstance(where, Room) else 'to'} {where.name}"
            self.screen.error(clean(f'not said{place}, "{_short(text)}": {why(failure.value)}'))

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
        self.screen.error(clean(f"you are no longer in {event.room}: {why(event.error)}"))


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


def why(error: ChatError) -> str:
    """The reason of an error, without what it was about: that is said in the words that were typed."""
    return error.text if isinstance(error, RequestError) else str(error)


def _short(text: str) -> str:
    """The beginning of a text, to know it by."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 3]}..."


def _room_name(command: str, text: str) -> str:
    """A room as it was typed. Elsewhere a room has a `#` in front; raises `Mistake` for one."""
    if text.startswith("#"):
        raise Mistake(f"leave out the #: the names of rooms have none here. /{command} {clean(text.lstrip('#'))}")
    return text


async def _join(person: Person, argument: str) -> None:
    room = await person.join(_room_name("join", argument))
    members = "1 member" if room.count == 1 else f"{room.count:,} members"
    there = "" if person.here is room else f"; /join {clean(room.name)} turns to it"
    person.screen.note(_with(f"you are in {clean(room.name)} ({members})", room.topic) + there)


async def _leave(person: Person, argument: str) -> None:
    if isinstance(person.here, Direct) and not argument:
        person.screen.left(person.here)
        person.turn(next(iter(person.client.joined.values()), None))
        return
    room = person.room() if not argument else _joined(person, _room_name("leave", argument))
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
    room = _room_name("who", argument) or person.room().name
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
    nick = nick.removeprefix("@")  # as the list of rooms shows it
    if text.strip():
        await person.tell(nick, text.strip())
    elif person.shows_directs:
        person.turn(Direct(person.client, nick))
    else:
        raise Mistake("type /msg NICK TEXT: this interface has no place of its own for direct messages")


async def _history(person: Person, argument: str) -> None:
    if argument and not (argument.isdecimal() and 1 <= int(argument) <= MAX_PAGE):
        raise Mistake(f"/history takes a number from 1 to {MAX_PAGE}, not {clean(argument)!r}")
    room, attention = person.room(), person.screen.attention()
    page = await room.history(limit=int(argument or HISTORY))
    if page.messages:
        await person.screen.past(page.messages, room, attention)
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
    """What commands do, a line each; of one alone, also its other names."""
    width = max(len(command.usage) for command in commands)
    for command in commands:
        yield f"{command.usage:<{width}}  {command.help}"
    if len(commands) > 1:
        yield f"{'//TEXT':<{width}}  say a text that begins with a slash"
    else:
        yield f"the same: {', '.join(f'/{alias}' for alias in commands[0].aliases)}"


COMMANDS: Final = {
    command.name: command
    for command in (
        Command("join", "ROOM", "enter a room, or turn to one you are in", _join, aliases=("j", "enter"), lasting=True),
        Command(
            "leave",
            "[ROOM]",
            "leave a room, or close a direct conversation",
            _leave,
            aliases=("part", "close"),
            lasting=True,
        ),
        Command("nick", "NICK", "take another nick", _nick, aliases=("name",), lasting=True),
        Command("who", "[ROOM]", "who is in a room", _who, aliases=("names", "users", "members")),
        Command("rooms", "", "which rooms there are", _rooms, aliases=("list", "channels")),
        Command(
            "topic", "[TEXT]", "show the room's topic, or set it", _topic_of, aliases=("t", "subject"), lasting=True
        ),
        Command(
            "msg",
            "NICK [TEXT]",
            "say something to one nick alone; without TEXT, turn to that conversation",
            _msg,
            aliases=("m", "w", "dm", "tell", "query", "whisper", "privmsg"),
        ),
        Command(
            "history",
            "[COUNT]",
            f"the room's last messages, {HISTORY} or COUNT of them",
            _history,
            aliases=("log", "lastlog", "scrollback"),
        ),
        Command("help", "[COMMAND]", "what can be typed", _help, aliases=("h", "?", "commands"), bare=True),
        Command(
            "quit",
            "",
            "leave, after everything said is kept",
            _quit,
            aliases=("q", "exit", "bye", "logout", "disconnect"),
            bare=True,
        ),
    )
}
"""The commands by their names, in the order of `/help`."""

_BY_NAME: Final = {name: command for command in COMMANDS.values() for name in (command.name, *command.aliases)}

ELSEWHERE: Final = {
    **dict.fromkeys(("me", "action"), "say what you do as a message"),
    **dict.fromkeys(("say", "shout"), "what has no slash in front is said"),
    **dict.fromkeys(("win", "window", "buffer", "switch", "go"), "/join ROOM turns to a room you are in"),
    **dict.fromkeys(("connect", "server", "reconnect"), "the client connects again by itself; start it with --host"),
    **dict.fromkeys(("register", "identify", "login", "auth"), "the server has no accounts yet"),
    **dict.fromkeys(("kick", "ban", "op", "mode", "mute"), "the server has no moderators yet"),
    **dict.fromkeys(("away", "back", "ignore", "invite", "notify", "whois"), "/help shows those there are"),
    **dict.fromkeys(("clear", "cls"), "nothing is ever cleared; PageUp looks back"),
}
"""Commands of other programs that have nothing to match them here, with what to do instead."""

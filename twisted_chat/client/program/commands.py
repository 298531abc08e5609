"""The commands that a person can type.

Each is a value in one table, with its name, its argument, its help and its function. `/help` and the completion of an
interface are made from the table.
"""

from __future__ import annotations

from typing import Final

from ...messages import MAX_PAGE
from ..library import Room
from . import account_commands, order_commands
from .clean import clean
from .command import Command, Commands, Mistake, Quit, help_lines
from .notices import with_more
from .person import Direct, Person

HISTORY: Final = 20
"""The number of messages that `/history` shows by default: as many as fit on a small screen."""


def _room_name(command: str, text: str) -> str:
    """Return a room as it was typed. Raises `Mistake` for a `#` in front, as other programs have it."""
    if text.startswith("#"):
        raise Mistake(f"leave out the #: the names of rooms have none here. /{command} {clean(text.lstrip('#'))}")
    return text


def _members(count: int) -> str:
    return "1 member" if count == 1 else f"{count:,} members"


async def _join(person: Person, argument: str) -> None:
    room = await person.join(_room_name("join", argument))
    there = "" if person.here is room else f"; /join {clean(room.name)} turns to it"
    person.screen.note(with_more(f"you are in {clean(room.name)} ({_members(room.count)})", room.topic) + there)


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
    """Find a room that the person is in. Raises `Mistake`."""
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
        person.screen.note(with_more(f"{clean(room.room)} ({_members(room.count)})", room.topic))
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
    where, attention = person.here if isinstance(person.here, Direct) else person.room(), person.screen.attention()
    page = await where.history(limit=int(argument or HISTORY))
    if page.messages:
        await person.screen.past(page.messages, where, attention)
    elif isinstance(where, Room):
        person.screen.note(f"nothing has been said in {clean(where.name)} yet")
    else:
        person.screen.note(f"no messages with {clean(where.name)} are kept; those with a guest never are")


async def _help(person: Person, argument: str) -> None:
    for line in help_lines([person.table.find(argument.removeprefix("/"))] if argument else person.commands()):
        person.screen.note(line)
    if person.keys and not argument:
        person.screen.note(f"keys: {person.keys}")


async def _quit(person: Person, argument: str) -> None:
    raise Quit


ELSEWHERE: Final = {
    **dict.fromkeys(("me", "action"), "say what you do as a message"),
    **dict.fromkeys(("say", "shout"), "what has no slash in front is said"),
    **dict.fromkeys(("win", "window", "buffer", "switch", "go"), "/join ROOM turns to a room you are in"),
    **dict.fromkeys(("connect", "server", "reconnect"), "the client connects again by itself; start it with --host"),
    **dict.fromkeys(("deop", "unop", "demote", "voice", "devoice"), "/grant NICK none takes a role away"),
    **dict.fromkeys(("mode", "chmod"), "/lock, /slow and /grant change a room"),
    **dict.fromkeys(("away", "back", "ignore", "notify", "whois"), "/help lists the commands"),
    **dict.fromkeys(("clear", "cls"), "nothing is ever cleared; PageUp looks back"),
}
"""The commands of other programs that do not exist here, and what to do instead."""

COMMANDS: Final = Commands(
    (
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
        Command("who", "[ROOM]", "list the members of a room", _who, aliases=("names", "users", "members")),
        Command("rooms", "", "list the rooms", _rooms, aliases=("list", "channels")),
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
            f"show the last messages, {HISTORY} or COUNT of them",
            _history,
            aliases=("log", "lastlog", "scrollback"),
        ),
        *account_commands.COMMANDS,
        *order_commands.COMMANDS,
        Command("help", "[COMMAND]", "show the commands", _help, aliases=("h", "?", "commands"), bare=True),
        Command(
            "quit",
            "",
            "leave, when the server has everything you said",
            _quit,
            aliases=("q", "exit", "bye", "logout", "disconnect"),
            bare=True,
        ),
    ),
    ELSEWHERE,
)
"""All commands, in the order of `/help`."""

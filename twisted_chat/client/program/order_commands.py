"""The commands of those who keep the peace in a room, and of everybody who reports or deletes a message."""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple, cast

from ..library import Client, Room
from ..protocol.actions import Role
from .clean import clean
from .command import Command, Mistake
from .durations import duration_text, read_duration
from .notices import role_text, slow_text, until, with_more
from .person import Direct, Person
from .times import local_time

ROLES: Final = ("owner", "moderator", "member", "none")

ON_SERVER: Final = {"member": "is let in", "none": "is suspended"}
"""The roles that an account can have on the whole server, with what becomes of it."""

ACTIONS: Final = 20
"""The number of actions that `/audit` shows by default: as many as fit on a small screen."""

LISTED: Final = 50
"""The number of bans that `/bans` lists: some screens. A list of a thousand would bury everything else."""


class Order(NamedTuple):
    """The arguments of a command, and the options before them."""

    place: Room | Client
    """The room, or the client for an order about the whole server (`-s`)."""
    where: str
    """The name of the place, clean."""
    nick: str
    text: str
    """All that follows the nick: the reason."""
    seconds: int | None
    """The time of `-t`."""

    @property
    def shown(self) -> str:
        """The nick, clean."""
        return clean(self.nick)

    @property
    def during(self) -> str:
        """The time in words, to be added to a line; empty if there is none."""
        return "" if self.seconds is None else f" for {duration_text(self.seconds)}"


def _read(person: Person, command: str, argument: str, options: str = "") -> Order:
    """Read the arguments, and of the options those that the command has, as letters. Raises `Mistake`."""
    seconds: int | None = None
    place: Room | Client | None = None
    while argument.startswith("-"):
        option, _, argument = argument.partition(" ")
        if len(option) != 2 or option[1] not in options:
            raise Mistake(f"/{command} has no option {clean(option)}; /help {command} shows how it is typed")
        if option == "-s":
            place = person.client
        elif option == "-t":
            time, _, argument = argument.strip().partition(" ")
            seconds = _seconds(time)
        argument = argument.strip()
    nick, _, text = argument.partition(" ")
    if place is None:
        place = person.room()
    where = clean(place.name) if isinstance(place, Room) else "the server"
    return Order(place, where, nick.removeprefix("@"), text.strip(), seconds)


def _read_nick(person: Person, command: str, argument: str, options: str = "") -> Order:
    """Read the arguments, of which a nick is the first. Raises `Mistake`."""
    order = _read(person, command, argument, options)
    if not order.nick:
        raise Mistake(f"/{command} needs a nick; /help {command} shows how it is typed")
    return order


def _seconds(text: str) -> int:
    try:
        return read_duration(text)
    except ValueError as error:
        raise Mistake(clean(str(error))) from None


async def _kick(person: Person, argument: str) -> None:
    order = _read_nick(person, "kick", argument)
    await person.room().kick(order.nick, order.text)
    person.screen.note(with_more(f"{order.shown} is put out of {order.where}", order.text))


async def _ban(person: Person, argument: str) -> None:
    order = _read_nick(person, "ban", argument, "st")
    await order.place.ban(order.nick, order.seconds, order.text)
    person.screen.note(with_more(f"{order.shown} is banned from {order.where}{order.during}", order.text))


async def _unban(person: Person, argument: str) -> None:
    order = _read_nick(person, "unban", argument, "s")
    await order.place.unban(order.nick, order.text)
    person.screen.note(with_more(f"{order.shown} may come to {order.where} again", order.text))


async def _bans(person: Person, argument: str) -> None:
    order = _read(person, "bans", argument, "s")
    bans = await order.place.bans()
    for ban in bans.bans[:LISTED]:
        line = f"{clean(ban.who)} is banned{until(ban.until)}, by {clean(ban.author)} on {local_time(ban.time)}"
        person.screen.note(with_more(line, ban.msg))
    if not bans.count:
        person.screen.note(f"nobody is banned from {order.where}")
    elif bans.count > LISTED:
        person.screen.note(f"and {bans.count - LISTED:,} more")


async def _mute(person: Person, argument: str) -> None:
    order = _read_nick(person, "mute", argument, "t")
    await person.room().mute(order.nick, order.seconds, order.text)
    person.screen.note(with_more(f"{order.shown} is muted in {order.where}{order.during}", order.text))


async def _unmute(person: Person, argument: str) -> None:
    order = _read_nick(person, "unmute", argument)
    await person.room().unmute(order.nick, order.text)
    person.screen.note(with_more(f"{order.shown} may speak in {order.where} again", order.text))


async def _grant(person: Person, argument: str) -> None:
    order = _read_nick(person, "grant", argument, "s")
    role, _, reason = order.text.partition(" ")
    role, reason = role.lower(), reason.strip()
    if isinstance(order.place, Client):
        if role not in ON_SERVER:
            raise Mistake("/grant -s takes member, which lets an account in, or none, which suspends it")
        done = ON_SERVER[role]
    else:
        role = role or ROLES[1]
        if role not in ROLES:
            raise Mistake(f"a role is one of {', '.join(ROLES)}, not {clean(role)}")
        done = f"is {role_text(role)} of {order.where}" if role != "none" else f"has no role in {order.where}"
    await order.place.grant(order.nick, cast(Role, role), reason)
    person.screen.note(with_more(f"{order.shown} {done}", reason))


async def _lock(person: Person, argument: str, on: bool) -> None:
    room = person.room()
    await room.lock(on, argument)
    who = "only members and those who are invited" if on else "everybody"
    person.screen.note(f"{who} may enter {clean(room.name)}")


async def _invite(person: Person, argument: str) -> None:
    order = _read_nick(person, "invite", argument)
    await person.room().invite(order.nick, order.text)
    person.screen.note(f"{order.shown} is invited to {order.where}")


async def _accept(person: Person, argument: str) -> None:
    if not person.call:
        raise Mistake("nobody has invited you so far")
    await person.join(person.call)


async def _slow(person: Person, argument: str) -> None:
    room = person.room()
    seconds = 0 if argument.lower() == "off" else _seconds(argument)
    await room.slow(seconds)
    person.screen.note(f"you {slow_text(clean(room.name), seconds)}")


def _message(person: Person, where: Room | Direct, who: str) -> int:
    """Find a message by its number (`#41`) or its author; one's own newest if neither is given. Raises `Mistake`."""
    if who.startswith("#"):
        if who[1:].isdecimal() and len(who) < 20:
            return int(who[1:])
        raise Mistake(f"{clean(who)} is no number of a message, such as #41")
    seq = person.screen.newest(where, who.removeprefix("@") or person.client.nick)
    if seq is None:
        whose = f"of {clean(who)}" if who else "of yours"
        raise Mistake(f"there is no message {whose} here; /history brings older ones")
    return seq


async def _delete(person: Person, argument: str) -> None:
    everything = argument == "-a" or argument.startswith(("-a ", "-s "))
    if everything:
        await _delete_all(person, argument)
        return
    if isinstance(person.here, Direct):
        of = _message(person, person.here, "")
        await person.client.delete_direct(person.here.name, of)
        person.screen.deleted(person.here, of)
        return
    room = person.room()
    who, _, reason = argument.partition(" ")
    of = _message(person, room, who)
    await room.delete(of, reason.strip())
    person.screen.deleted(room, of)
    person.screen.note(f"message {of} of {clean(room.name)} is deleted")


async def _delete_all(person: Person, argument: str) -> None:
    order = _read_nick(person, "delete", argument, "as")
    count = await order.place.delete_all(order.nick, order.text)
    messages = "1 message is" if count == 1 else f"{count:,} messages are"
    person.screen.note(f"{messages} deleted: all that {order.shown} sent to {order.where}")


async def _report(person: Person, argument: str) -> None:
    room = person.room()
    who, _, reason = argument.partition(" ")
    of = _message(person, room, who)
    await room.report(of, reason.strip())
    person.screen.note(f"the operators are told of message {of} of {clean(room.name)}")


async def _audit(person: Person, argument: str) -> None:
    order = _read(person, "audit", argument, "s")
    if order.nick and not (order.nick.isdecimal() and 1 <= int(order.nick) <= LISTED):
        raise Mistake(f"/audit takes a number from 1 to {LISTED}, not {order.shown}")
    audit = await order.place.audit(limit=int(order.nick or ACTIONS))
    for action in reversed(audit.actions):
        about = " ".join(clean(part) for part in (action.type, action.target, action.value) if part)
        where = f" in {clean(action.room)}" if action.room and order.place is person.client else ""
        line = f"{local_time(action.time)} {clean(action.author)}: {about}{where}{until(action.until)}"
        person.screen.note(with_more(line, action.msg))
    if not audit.actions:
        person.screen.note(f"nothing was done in {order.where}")


COMMANDS: Final = (
    Command(
        "delete",
        "[-a] [-s] [NICK] [TEXT]",
        "delete your last message, that of NICK, or one by its #NUMBER; all of NICK with -a",
        _delete,
        aliases=("del", "rm"),
        lasting=True,
    ),
    Command(
        "report",
        "NICK [TEXT]",
        "tell the operators of the last message of NICK",
        _report,
        aliases=("spam",),
        lasting=True,
    ),
    Command("accept", "", "go where you were invited, or where something was reported", _accept),
    Command("kick", "NICK [TEXT]", "put somebody out of the room", _kick, aliases=("k", "remove"), lasting=True),
    Command(
        "ban",
        "[-s] [-t TIME] NICK [TEXT]",
        "keep somebody out of the room, or of the server (-s)",
        _ban,
        aliases=("kb", "kickban"),
        lasting=True,
    ),
    Command("unban", "[-s] NICK [TEXT]", "end a ban", _unban, aliases=("pardon",), lasting=True),
    Command("bans", "[-s]", "list the bans", _bans, aliases=("banlist",)),
    Command(
        "mute",
        "[-t TIME] NICK [TEXT]",
        "let somebody read, but not speak",
        _mute,
        aliases=("gag", "silence", "quiet"),
        lasting=True,
    ),
    Command(
        "unmute",
        "NICK [TEXT]",
        "let somebody speak again",
        _unmute,
        aliases=("ungag", "unsilence", "unquiet"),
        lasting=True,
    ),
    Command(
        "grant",
        "[-s] NICK [ROLE] [TEXT]",
        "make an account moderator, or owner, member, none; with -s, let it in (member) or suspend it (none)",
        _grant,
        aliases=("op", "role", "promote"),
        lasting=True,
    ),
    Command("lock", "[TEXT]", "let only members enter the room", partial(_lock, on=True), lasting=True),
    Command("unlock", "[TEXT]", "let everybody enter the room", partial(_lock, on=False), lasting=True),
    Command("invite", "NICK [TEXT]", "let somebody enter a locked room", _invite, aliases=("inv",), lasting=True),
    Command(
        "slow",
        "TIME",
        "let each member send one message in this time; off ends that",
        _slow,
        aliases=("slowmode",),
        lasting=True,
    ),
    Command("audit", "[-s] [COUNT]", "show what moderators did", _audit, aliases=("modlog",)),
)

"""A bridge between two rooms on two servers: it repeats in each room what others say in the other one.

Start two servers, and then the bridge:

    .venv/bin/twistd -n chat
    .venv/bin/twistd -n --pidfile= chat --port 14901 --database other.sqlite
    .venv/bin/python examples/bridge.py tcp:127.0.0.1:14900 lobby tcp:127.0.0.1:14901 lobby bridge.json

On its first run, the bridge starts with new messages. From then on, each message crosses it once and in order, even if
the bridge or a server is killed and started again. The file holds the cursors of the bridge. Nobody else may use its
nick.
"""

import json
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypedDict

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from twisted_chat.client import ChatError, Message, Room, connect

NICK = "bridge"

LONGEST = 2000
"""Characters of a message. A longer one crosses in parts, since the author's name has to fit, too."""


class Place(TypedDict):
    """The cursor of the bridge in one direction."""

    read: int
    """The number of the last message that has crossed."""
    said: int
    """The number of its last part in the other room."""


async def main(reactor: object, server: str, name: str, other_server: str, other_name: str, file: str) -> None:
    try:
        await bridge(reactor, server, name, other_server, other_name, file)
    except ChatError as error:  # such as a server that is not there
        sys.exit(f"bridge: {error}")


async def bridge(reactor: object, server: str, name: str, other_server: str, other_name: str, file: str) -> None:
    """Enter both rooms, and repeat in each what others say in the other one."""
    path = Path(file)
    places = noted(path)
    since = [place["read"] for place in places] if places else [None, None]
    one = await (await connect(server, NICK, reactor=reactor)).join(name, since[0])
    other = await (await connect(other_server, NICK, reactor=reactor)).join(other_name, since[1])
    if not places:
        newest, other_newest = await newest_of(one), await newest_of(other)
        places = [Place(read=newest, said=other_newest), Place(read=other_newest, said=newest)]
        note(path, places)
    save = partial(note, path, places)
    ways = carry(one, other, places[0], save), carry(other, one, places[1], save)
    await gatherResults([Deferred.fromCoroutine(way) for way in ways], consumeErrors=True)


async def carry(here: Room, there: Room, place: Place, save: Callable[[], None]) -> None:
    """Repeat there what others say here, one message after the other."""
    unnoted = await said_after(there, place["said"])
    async for message in here:
        if message.author == NICK:  # the bridge itself, before it was started again
            continue
        for part in parts(message):
            # The bridge may have been killed after it said this in the other room, and before it noted that.
            known = bool(unnoted) and unnoted[0].msg == part
            seq = unnoted.popleft().seq if known else await there.say(part)
        place["read"], place["said"] = message.seq or 0, seq or 0
        save()


def parts(message: Message) -> list[str]:
    """The texts that repeat a message in the other room."""
    starts = range(0, len(message.msg) or 1, LONGEST)
    return [f"<{message.author}> {message.msg[start : start + LONGEST]}" for start in starts]


async def newest_of(room: Room) -> int:
    """The number of a room's newest message."""
    page = await room.history(limit=1)
    return page.messages[0].seq or 0 if page.messages else 0


async def said_after(room: Room, seq: int) -> deque[Message]:
    """The messages of the bridge itself in a room, after a given one."""
    said: deque[Message] = deque()
    more = True
    while more:
        page = await room.history(after=seq, limit=500)
        said += [message for message in page.messages if message.author == NICK]
        seq, more = page.messages[-1].seq or 0 if page.messages else seq, page.more
    return said


def noted(path: Path) -> list[Place]:
    """Read the file, which does not exist before the first run."""
    places: list[Place] = json.loads(path.read_text()) if path.exists() else []
    return places


def note(path: Path, places: list[Place]) -> None:
    """Replace the file: a bridge that is killed meanwhile finds either the old cursors or the new ones."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(places))
    new.replace(path)


if __name__ == "__main__":
    react(main, sys.argv[1:])

"""A bridge between two rooms on two servers: what is said in the one is said in the other, in both directions.

Start two servers, and then the bridge:

    .venv/bin/twistd -n chat
    .venv/bin/twistd -n --pidfile= chat --port 14901 --database other.sqlite
    .venv/bin/python examples/bridge.py tcp:127.0.0.1:14900 lobby tcp:127.0.0.1:14901 lobby bridge.json

The first time it begins with what is said from then on. From then on each message crosses it once, whichever of the
three is stopped or killed and started again, and in its room's order. The file has the places where the bridge is.
Nobody else should have its nick.
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

from twisted_chat.client import Message, Room, connect

NICK = "bridge"

LONGEST = 2000
"""Characters of a message; a longer one crosses in parts, since there is not always space for the author's name."""


class Place(TypedDict):
    """Where the bridge is, in one direction."""

    read: int
    """The number of the last message that was dealt with."""
    said: int
    """The number that its last part has in the other room."""


async def main(reactor: object, server: str, name: str, other_server: str, other_name: str, file: str) -> None:
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
    """Say there what others say here, one message after the other."""
    unnoted = await said_after(there, place["said"])
    async for message in here:
        if message.author == NICK:  # from there, carried by the bridge before it was started again
            continue
        for part in parts(message):
            # The bridge may have been killed when this was in the log of the other room, and not noted yet.
            known = bool(unnoted) and unnoted[0].msg == part
            seq = unnoted.popleft().seq if known else await there.say(part)
        place["read"], place["said"] = message.seq or 0, seq or 0
        save()


def parts(message: Message) -> list[str]:
    """Make of a message what is said in the other room."""
    starts = range(0, len(message.msg) or 1, LONGEST)
    return [f"<{message.author}> {message.msg[start : start + LONGEST]}" for start in starts]


async def newest_of(room: Room) -> int:
    """Find the number of a room's newest message."""
    page = await room.history(limit=1)
    return page.messages[0].seq or 0 if page.messages else 0


async def said_after(room: Room, seq: int) -> deque[Message]:
    """Find what the bridge itself has said in a room after a number."""
    said: deque[Message] = deque()
    more = True
    while more:
        page = await room.history(after=seq, limit=500)
        said += [message for message in page.messages if message.author == NICK]
        seq, more = page.messages[-1].seq or 0 if page.messages else seq, page.more
    return said


def noted(path: Path) -> list[Place]:
    """Read the file; there is none before the bridge has run for the first time."""
    places: list[Place] = json.loads(path.read_text()) if path.exists() else []
    return places


def note(path: Path, places: list[Place]) -> None:
    """Write the file anew, so that a bridge that is killed meanwhile finds the old places or the new ones."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(places))
    new.replace(path)


if __name__ == "__main__":
    react(main, sys.argv[1:])

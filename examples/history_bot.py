"""A bot that greets new members, and answers questions from the history of its room.

Start a server, and then the bot:

    .venv/bin/twistd -n chat
    .venv/bin/python examples/history_bot.py tcp:127.0.0.1:14900 lobby history_bot.place

`!seen NICK` shows what NICK said last, `!search WORD` the newest message with this word, and `!last 5` the newest five
messages. The file holds the number of the last message that the bot has read: it answers what was asked while it was
away when it is back, and answers nothing twice. (In a room of more than 100 members, nobody is told who joins.)
"""

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from twisted.internet.task import react

from twisted_chat.client import ChatError, Client, MemberJoined, Message, RequestError, Room, connect

NICK = "historian"

PAGES = 20
"""Pages of 500 messages that it reads for one question. A log may have millions of messages."""


async def main(
    reactor: object,
    server: str = "tcp:127.0.0.1:14900",
    name: str = "lobby",
    file: str = "history_bot.place",
) -> None:
    place = Path(file)
    try:
        async with await connect(server, nick=NICK, reactor=reactor) as client:
            room = await client.join(name, since=noted(place))
            room.on(MemberJoined, lambda event: greet(client, event.author))
            async for message in room:
                note(place, message.seq)  # before the answer: if the bot is killed now, no answer is better than two
                for line in await answers(room, message):
                    await room.say(f"{message.author}: {line}")
    except ChatError as error:  # such as a server that is not there
        sys.exit(f"history_bot: {error}")


async def greet(client: Client, nick: str) -> None:
    """Greet somebody who may have left already."""
    with suppress(RequestError):
        await client.tell(nick, f"Hello, {nick}. Ask me with !seen NICK, !search WORD or !last 5.")


async def answers(room: Room, question: Message) -> list[str]:
    """The lines that answer a question; none for any other message."""
    match question.msg.split():
        case ["!seen", nick]:
            found = await find(room, question, lambda message: message.author.casefold() == nick.casefold())
        case ["!search", word]:
            found = await find(room, question, lambda message: is_about(message, word))
        case ["!last", count] if re.fullmatch("[1-9]", count):
            found = list((await room.history(before=question.seq, limit=int(count))).messages)
        case _:
            return []
    return [shown(message) for message in found] or ["I found nothing."]


async def find(room: Room, question: Message, is_wanted: Callable[[Message], bool]) -> list[Message]:
    """The newest message before the question that is wanted, if there is one."""
    before = question.seq
    for _ in range(PAGES):
        page = await room.history(before=before, limit=500)
        for message in reversed(page.messages):
            if is_wanted(message):
                return [message]
        if not page.more:
            break
        before = page.messages[0].seq
    return []


def is_about(message: Message, word: str) -> bool:
    """True if a message contains a word, and is neither such a question nor an answer to one."""
    asked = message.msg.startswith("!") or message.author == NICK
    return not asked and word.casefold() in message.msg.casefold()


def shown(message: Message) -> str:
    return f"{str(message.time)[:16].replace('T', ' ')} {message.author}: {message.msg[:500]}"


def noted(place: Path) -> int | None:
    """Read the number in the file, which does not exist before the bot has read its first message."""
    return int(place.read_text()) if place.exists() else None


def note(place: Path, seq: int | None) -> None:
    """Replace the file: a bot that is killed meanwhile finds either the old number or the new one."""
    new = place.with_name(f"{place.name}.new")
    new.write_text(str(seq))
    new.replace(place)


if __name__ == "__main__":
    react(main, sys.argv[1:])

"""An echo bot: it answers `!echo hello` in its room with `hello`.

Start a server, and then the bot:

    .venv/bin/twistd -n chat
    .venv/bin/python examples/echo_bot.py tcp:127.0.0.1:14900 lobby
"""

import sys

from twisted.internet.task import react

from twisted_chat.client import ChatError, connect

LONGEST = 2000
"""Characters of an answer. An object of the protocol has 16 KiB, and a character takes six bytes at most."""


async def main(reactor: object, server: str = "tcp:127.0.0.1:14900", name: str = "lobby") -> None:
    try:
        async with await connect(server, nick="echo", reactor=reactor) as client:
            room = await client.join(name)
            async for message in room:
                # It does not answer everything: two such bots would never stop talking to each other.
                if message.msg.startswith("!echo "):
                    await room.say(message.msg.removeprefix("!echo ")[:LONGEST])
    except ChatError as error:  # such as a server that is not there
        sys.exit(f"echo_bot: {error}")


if __name__ == "__main__":
    react(main, sys.argv[1:])

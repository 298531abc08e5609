"""A feed: it says in a room what a command prints, line by line, until the command ends.

Start a server, and then the feed:

    .venv/bin/twistd -n chat
    .venv/bin/python examples/feed.py --port 14900 --room logs tail -n 5 -f README.md

The exit status is that of the command, and 130 after Ctrl-C. A command that prints faster than the room takes messages
has to wait.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

from twisted_chat.client.blocking import ChatError, Client

LONGEST = 1000
"""Characters of a line. A longer line is cut off, and ends with an ellipsis."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Say in a room what a command prints.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=14900)
    parser.add_argument("--nick", default="feed")
    parser.add_argument("--room", default="lobby")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("a command is needed, such as: tail -f FILE")
    with (
        Client(options.host, options.port, options.nick, room=options.room) as chat,
        subprocess.Popen(options.command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as command,
    ):
        assert command.stdout is not None
        try:
            for line in lines(command.stdout):
                chat.say(line)
        except BaseException:
            command.terminate()  # after an interrupt, or without a server, nothing may stay behind
            raise
    return command.returncode


def lines(stream: IO[str]) -> Iterator[str]:
    """The lines that are not empty, without their line ends. Never more than the shown part of one is kept."""
    while line := stream.readline(LONGEST + 1):
        rest = line
        while rest and not rest.endswith("\n"):
            rest = stream.readline(LONGEST)
        text = line.removesuffix("\n")
        if text:
            yield text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # as shells do
    except (ChatError, OSError) as error:
        sys.exit(f"feed: {error}")

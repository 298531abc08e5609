"""A quiz for a class: the first right answer to a question gets a point. Put in your own questions.

Start a server, and then the quiz with the number of seconds for each question:

    .venv/bin/twistd -n chat
    .venv/bin/python examples/quiz.py 127.0.0.1 14900 60
"""

import sys
import time
from collections import Counter

from twisted_chat.client.blocking import ChatError, Client, Room

QUESTIONS = {"What is 7 times 8?": "56", "Which planet is the largest?": "Jupiter"}


def ask(room: Room, question: str, answer: str, seconds: float) -> str | None:
    """Ask a question; returns the nick of the first member with the right answer."""
    asked = room.say(question) or 0
    end = time.monotonic() + seconds
    try:
        while True:
            message = room.receive(timeout=max(0, end - time.monotonic()))
            if (message.seq or 0) > asked and message.msg.strip().casefold() == answer.casefold():
                return message.author
    except TimeoutError:
        return None


def main(host: str = "127.0.0.1", port: str = "14900", seconds: str = "20") -> None:
    points: Counter[str] = Counter()
    with Client(host, int(port), nick="quiz", room=None) as chat:
        room = chat.join("quiz")
        for question, answer in QUESTIONS.items():
            winner = ask(room, question, answer, float(seconds))
            room.say(f"Yes, {winner}: {answer}." if winner else f"Nobody knew: {answer}.")
            points.update([winner] if winner else [])
        room.say(", ".join(f"{nick}: {count}" for nick, count in points.most_common()) or "No points.")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ChatError as error:  # such as a server that is not there
        sys.exit(f"quiz: {error}")

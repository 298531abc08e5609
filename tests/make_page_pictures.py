"""Take the pictures of the page that the documents show: `python -m tests.make_page_pictures`.

The real page of a real server, and people who talk in it through the client for scripts.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path

from twisted_chat.client.blocking import Client, Room

from .browser import PHONE, Browser, ChatServer

FOLDER = Path(__file__).parents[1] / "docs" / "images"

CONVERSATION = (
    ("Мия", "Доброе утро! Who has the keys of the greenhouse?"),
    ("bob", "They are in the kitchen, on the hook next to the door."),
    ("bob", "Take the *small* one. The big one is for the **shed**."),
    ("小林", "我十分钟后到 🌱"),
    ("أمل", "صباح الخير! سأحضر البذور معي، والقهوة أيضًا."),
    ("bob", "The watering runs at six now:\n```sh\n$ crontab -l\n0 6 * * * water --minutes 20 --beds 1-4\n```"),
    ("Мия", "> They are in the kitchen\nGot them, thank you! The plan is at https://garden.example.org/plan?week=48"),
)
LATER = (
    ("bob", "alice: shall we move the tomatoes to bed 3?"),
    ("小林", "👍"),
)


def main(folder: Path = FOLDER) -> None:
    """Take the pictures."""
    server, browser = ChatServer(), Browser()
    with closing(server), closing(browser), ExitStack() as people:
        clients = {
            nick: people.enter_context(Client("127.0.0.1", server.port, nick=nick, room="garden"))
            for nick in ("bob", "Мия", "小林", "أمل")
        }
        clients["bob"].join("garden").set_topic("Beds, seeds and who waters them")
        talk(clients["bob"].join("kitchen"), "The kettle is on.", "There is soup, too.")
        for nick, text in CONVERSATION:
            clients[nick].say(text)
        tab = browser.open(f"{server.url}?room=kitchen")
        tab.log_in("alice")
        for room in ("lobby", "garden"):
            tab.say(f"/join {room}")
            tab.wait_for_text("#room-name", room)
        tab.wait_for_text(".message .text", "plan")
        tab.say("On my way :bike:")
        tab.wait_for_message("On my way 🚲", ".kept")
        clients["Мия"].tell("alice", "Do you have the second key?")
        talk(clients["bob"].join("kitchen"), "Who takes the last cake?", "It is mine in ten minutes.")
        for nick, text in LATER:
            clients[nick].say(text)
        tab.wait_for_message("👍")
        tab.write("I will ")
        tab.wait_for_text(".conversation", "Мия")
        tab.command("Input.dispatchMouseEvent", type="mouseMoved", x=130, y=600)  # away from the messages
        tab.wait_for("return document.querySelector('.message.active') === null")
        tab.picture(folder / "page-light.png")
        tab.prefer("dark")
        tab.picture(folder / "page-dark.png")
        tab.prefer("light")
        tab.size(*PHONE, is_phone=True)
        tab.use().refresh()
        tab.wait_for_message("👍")
        tab.picture(folder / "page-phone.png")


def talk(room: Room, *texts: str) -> None:
    """Say something in a room."""
    for text in texts:
        room.say(text)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

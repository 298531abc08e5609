"""Draw the pictures of the documents: the real client, on a real server, in terminals that pyte emulates.

    .venv/bin/python docs/images/draw.py

It needs the extra `test`, whose import-linter brings rich. Run it after a change of what the client shows.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from twisted_chat.client.blocking import Client

ROOT = Path(__file__).parents[2]
COLUMNS = 78
COMMAND = "twisted-chat talk --nick alice --room lobby --room garden"
FOREGROUND, BACKGROUND = (214, 218, 224), (24, 26, 32)
THEME = TerminalTheme(BACKGROUND, FOREGROUND, [(0, 0, 0)] * 8)
PATIENCE = 20.0
"""Seconds after which something that is not on the screen is an error."""


class Terminal:
    """A program in a terminal of `COLUMNS`."""

    def __init__(self, arguments: list[str], environment: dict[str, str], rows: int = 20) -> None:
        self.rows = rows
        self.screen = pyte.Screen(COLUMNS, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._pid, self._master = pty.fork()
        if not self._pid:
            os.execve(arguments[0], arguments, environment)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))

    def until(self, pattern: str) -> None:
        """Read until a line of the screen matches."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, "\n".join(self.screen.display)):
            if not select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]:
                raise SystemExit(f"there is no {pattern} on the screen:\n" + "\n".join(self.screen.display))
            self._stream.feed(os.read(self._master, 2**16))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._master)

    def text(self) -> Text:
        """The screen with its colours, and with the cursor."""
        text = Text(no_wrap=True)
        for row in range(self.rows):
            cells = [(self.style(row, column), self.screen.buffer[row][column].data) for column in range(COLUMNS)]
            for style, same in groupby(cells, lambda cell: cell[0]):
                text.append("".join(data for _, data in same), style)
            text.append("\n" if row < self.rows - 1 else "")
        return text

    def style(self, row: int, column: int) -> Style:
        """The look of one cell."""
        cell = self.screen.buffer[row][column]
        cursor = (row, column) == (self.screen.cursor.y, self.screen.cursor.x)
        front, back = (None if name == "default" else f"#{name}" for name in (cell.fg, cell.bg))
        return Style(color=front, bgcolor=back, bold=cell.bold, reverse=cell.reverse or cursor)


def start_server(folder: str) -> tuple[subprocess.Popen[str], int]:
    """Start a server; returns it and its port."""
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
    server = subprocess.Popen(
        [*command, "chat", "--port", "0"], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert server.stdout
    for line in server.stdout:
        if found := re.search(r"listening on \S+:(\d+)", line):
            return server, int(found[1])
    raise SystemExit("the server did not start")


def environment(home: str) -> dict[str, str]:
    """The environment of a person whose files are in a folder of their own."""
    return {
        **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "COLORTERM": "",
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": home,
        "XDG_STATE_HOME": home,
    }


def converse(port: int, home: str) -> Text:
    """Let five people talk; returns what one of them sees."""
    arguments = [sys.executable, "-m", "twisted_chat.client", "--port", str(port), "--nick", "alice"]
    bob, yura, xiaoming = (Client("127.0.0.1", port, nick=nick).start() for nick in ("bob", "Юра", "小明"))
    carol = Client("127.0.0.1", port, nick="carol", room="garden").start()
    bob.join("lobby").set_topic("release on Friday")
    bob.say("the tests are green on all three Pythons")
    yura.say("отлично, тогда собираю пакет")
    xiaoming.say("我來寫發行說明")
    terminal = Terminal([*arguments, "--room", "lobby", "--room", "garden"], environment(home))
    try:
        terminal.until("online")
        terminal.type("what is left to do?\r")
        terminal.until("alice: what")
        bob.say(
            "alice: the crash test. I killed the server twenty times in the middle of a burst from four clients, and "
            "nothing was lost and nothing came twice"
        )
        yura.say("👍")
        terminal.type("then let us tag it\r")
        terminal.until("alice: then")
        carol.join("lobby").say("I read the whole discussion, scrolling back to Monday")
        xiaoming.say("發行說明好了")
        carol.say("tomatoes are ripe")
        carol.say("help yourselves")
        bob.tell("alice", "lunch?")
        terminal.until(r"@bob\(1!?\)")
        terminal.until(r"garden\(2\)")
        terminal.type("carol: that is what it is for")
        terminal.until("what it is for")
        return terminal.text()
    finally:
        terminal.close()
        for person in (bob, yura, xiaoming, carol):
            person.close()


def moderate(port: int, home: str) -> dict[str, Text]:
    """Let a troll disturb a room; returns what its owner, a moderator, a guest and the troll see at the end."""
    people: dict[str, Terminal] = {}

    def come(nick: str, *, account: bool = False) -> Terminal:
        arguments = [sys.executable, "-m", "twisted_chat.client", "--port", str(port), "--nick", nick]
        folder = Path(home) / nick
        folder.mkdir()
        person = people[nick] = Terminal([*arguments, "--room", "lobby"], environment(str(folder)), rows=16)
        person.until("you are ")
        if account:
            person.type("/register\r")
            person.until("a password for")
            person.type("correct horse battery staple\r")
            person.until("once more")
            person.type("correct horse battery staple\r")
            person.until("stay logged in")
            person.type("n")
            person.until("is your account")
        person.type("/join garden\r")
        person.until("^garden")
        return person

    try:
        olga, mia = come("olga", account=True), come("Мия", account=True)
        olga.type("/op Мия\r")
        mia.until("a moderator of garden")
        gina, troll = come("gina"), come("troll")
        gina.type("who wants tomatoes?\r")
        troll.until("who wants tomatoes")
        troll.type("CHEAP WATCHES at watches.example\r")
        gina.until("CHEAP WATCHES")
        gina.type("/report troll an advertisement\r")
        gina.until("the operators are told")
        mia.until("CHEAP WATCHES")
        mia.type("/mute -t 10m troll no advertisements here\r")
        troll.until("Мия muted troll")
        troll.type("CHEAP WATCHES!!!\r")
        troll.until("not said in garden")
        mia.type("/delete troll\r")
        gina.until("troll: .deleted")
        mia.type("/ban -t 1d troll spam\r")
        troll.until("no longer in garden")
        troll.type("/join garden\r")
        troll.until("/join garden: you are banned")
        gina.until("troll is put out")
        gina.type("thank you, Мия\r")
        olga.until("thank you")
        olga.type("/lock only friends for now\r")
        gina.until("no longer in garden")
        olga.type("/invite gina come in\r")
        gina.until("invites you to garden")
        gina.type("\x1bj")
        gina.until("^garden")
        gina.type("that was quick\r")
        olga.until("that was quick")
        olga.type("/audit 6\r")
        olga.until("invite gina")
        for person in (gina, mia):
            person.until("that was quick")
        return {nick: person.text() for nick, person in people.items()}
    finally:
        for person in people.values():
            person.close()


def save(text: Text, name: str, title: str) -> None:
    """Write a picture of a terminal."""
    console = Console(width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text)
    picture = console.export_svg(title=title, theme=THEME, unique_id="terminal")
    # A font of the reader's machine: rich's own is fetched from the network.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = picture.replace("Fira Code, monospace", "ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace")
    picture = re.sub(r"^ *<!--.*?-->\n", "", picture, flags=re.MULTILINE)
    Path(__file__).with_name(name).write_text(picture, "utf-8")


PICTURES = {"olga": "owner", "Мия": "moderator", "gina": "guest", "troll": "troll"}
"""The names of the pictures of `moderate`, by nick."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server, port = start_server(folder)
        try:
            save(converse(port, folder), "terminal.svg", COMMAND)
        finally:
            server.terminate()
            server.wait()
    with tempfile.TemporaryDirectory() as folder:
        server, port = start_server(folder)
        try:
            for nick, text in moderate(port, folder).items():
                save(text, f"moderation-{PICTURES[nick]}.svg", f"twisted-chat talk --nick {nick}")
                print(f"-- {PICTURES[nick]}", text.plain, sep="\n")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()

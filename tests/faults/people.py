"""The clients, who talk and listen whatever happens to their connections.

A person reconnects with its cursor, and sends again, with the same id, what was not acked. The histories of its rooms
record everything that it sends and receives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from .history import History, Reading, Said
from .wire import Address, Connection, Line, connect

AGAIN_SECONDS: Final = 0.1
"""Seconds before a request is repeated that the server could not serve."""

FILLINGS: Final = ("a", "ß", "ж", "日本", "🙂", '"', "\\", "{", "}", "\t", "},{", "\N{RIGHT-TO-LEFT OVERRIDE}")
"""The contents of texts: letters of all lengths in UTF-8, and characters with a meaning in JSON."""


def text(random: Random, id: str) -> str:
    """Make a text that begins with an id: mostly short, sometimes long, and rarely with a NUL."""
    size = random.choice((0, 5, 40, 40, 40, 200, 200, 1000))
    return f"{id} {random.choice(FILLINGS) * size}{chr(0) if random.random() < 0.002 else ''}"


class Person:
    """A client with one nick, over all its connections."""

    def __init__(
        self,
        nick: str,
        rooms: Sequence[History],
        where: Callable[[], Address],
        random: Random,
        *,
        window: int = 0,
        since: int | None = None,
        patience: float = 10,
        receive_buffer: int | None = None,
        browser: bool = False,
        token: str | None = None,
        pause: float = 0,
        make_text: Callable[[Random, str], str] = text,
    ) -> None:
        """Make a person, which connects when it `live`s.

        It keeps `window` messages in flight while it talks, and waits for up to `pause` seconds between two; with 0 it
        only listens. It first joins with `since`, and gives up a connection on which nothing has arrived for `patience`
        seconds. A `browser` speaks over a WebSocket. With a `token` it takes its nick along to another server.
        """
        self.nick = nick
        self.random = random
        self.window = window
        self.is_talking = False
        self.is_reading = True
        self.unacked: dict[str, tuple[History, str]] = {}
        """Room and text of its unacked messages, by id."""
        self.readings = {room.room: Reading(room, nick, window > 0, since) for room in rooms}
        self.on_message: Callable[[Line], None] | None = None
        """Called with each message that it receives."""
        self.on_ack: Callable[[int], None] | None = None
        """Called with each ack that it receives: with the number of the message among those of this person."""
        self.refusals = 0
        """The number of `unavailable` errors that it received."""
        self.connections = 0
        self.connection: Connection | None = None
        self._in: list[History] = []
        """The rooms that it has joined with this connection."""
        self._where = where
        self.patience = patience
        """Seconds of silence after which it gives a connection up."""
        self._receive_buffer = receive_buffer
        self._browser = browser
        self._token = token
        self._pause = pause
        self._pausing: asyncio.TimerHandle | None = None
        self._make_text = make_text
        self.count = 0
        """The number of messages that it has said."""

    async def live(self) -> None:
        """Connect, and reconnect whenever the connection is lost."""
        while True:
            try:
                self.connection = await connect(self._where(), self._heard, self._receive_buffer, self._browser)
                self.connections += 1
                await self._stay(self.connection)
            except OSError:
                pass  # the server is not running
            finally:
                self._in.clear()
                if self.connection is not None:
                    self.connection.reset()
                    self.connection = None
            await asyncio.sleep(self.random.random() * AGAIN_SECONDS)

    async def _stay(self, connection: Connection) -> None:
        """Say hello, and stay until the connection is lost or silent."""
        connection.send(type="hello", nick=self.nick, token=self._token)
        heard, asked = -1, False
        while not (asked and heard == connection.bytes):
            asked = heard == connection.bytes
            if asked:
                connection.send(type="ping")
            heard = connection.bytes
            try:
                async with asyncio.timeout(self.patience / 2):  # `wait_for` of Python 3.11 can lose a cancellation
                    await connection.lost.wait()
                return
            except TimeoutError:
                asked = asked and self.is_reading

    # Receiving

    def _heard(self, line: Line) -> None:
        assert self.connection
        match line.type:
            case "" if not line.room and not self._in:
                pass  # said in the lobby: the hello took so long that the server holds this for a bare client
            case "" if line.room not in self.readings:
                for reading in self.readings.values():
                    reading.history.breaks(f"{self.nick} received what was not for it: {line}")
            case "":
                self.readings[line.room].got(line)
                if self.on_message is not None:
                    self.on_message(line)
            case "ack":
                self._acked(line)
            case "welcome":
                for reading in self.readings.values():
                    self._join(self.connection, reading)
            case "joined":
                self._joined(self.connection, line)
            case "error":
                self._refused(self.connection, line)
            case "ping":
                self.connection.send(type="pong")

    def _join(self, connection: Connection, reading: Reading) -> None:
        room = reading.history.room
        connection.send(type="join", room=room, since=reading.place, id=f"join {room}")

    def _joined(self, connection: Connection, line: Line) -> None:
        reading = self.readings[line.room]
        reading.joined(line)
        self._in.append(reading.history)
        for id, (room, text) in self.unacked.items():
            if room is reading.history:
                self._send(connection, id, room, text)
        self.talk()

    def _acked(self, line: Line) -> None:
        assert line.id is not None
        self.readings[line.room].history.acks(Said(self.nick, line.id), line.seq)
        self.unacked.pop(line.id, None)
        if self.on_ack is not None:
            self.on_ack(int(line.id.rpartition("-")[2]))
        self.talk()

    def _refused(self, connection: Connection, line: Line) -> None:
        room, _ = self.unacked.get(line.id or "", (None, ""))
        if line.code == "nick-taken":  # the server has not noticed yet that the last connection is gone
            self.hang_up()
        elif line.code != "unavailable" or line.id is None:
            for reading in self.readings.values():
                reading.history.breaks(f"{self.nick} was told {line.code}: {line.msg}")
        else:
            self.refusals += 1
            if room is not None:
                room.refused.add(Said(self.nick, line.id))
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._try_again, connection, line.id)

    def _try_again(self, connection: Connection, id: str) -> None:
        if connection is not self.connection or connection.lost.is_set():
            return  # the next connection sends everything again anyway
        if id in self.unacked:
            self._send(connection, id, *self.unacked[id])
        elif id.startswith("join "):
            self._join(connection, self.readings[id.removeprefix("join ")])

    # Sending

    def talk(self) -> None:
        """Send messages until the window is full, or send one and make a pause."""
        while self._pausing is None and self.is_talking and self._in and len(self.unacked) < self.window:
            self.say()
            if self._pause:
                seconds = self.random.random() * self._pause
                self._pausing = asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._pausing = None
        self.talk()

    def say(self) -> None:
        """Send a message to one of its rooms."""
        assert self.connection
        room = self.random.choice(self._in)
        self.count += 1
        id = f"{self.nick}-{self.count}"
        self.unacked[id] = room, self._make_text(self.random, id)
        self._send(self.connection, id, *self.unacked[id])

    def _send(self, connection: Connection, id: str, room: History, text: str) -> None:
        room.says(Said(self.nick, id), text)
        connection.send(type="", room=room.room, msg=text, id=id)

    # State and control

    def is_in(self) -> bool:
        """True if it has joined all its rooms."""
        return len(self._in) == len(self.readings)

    def has_all(self) -> bool:
        """True if all its messages are acked and no client knows of a newer message than it does."""
        return not self.unacked and all(self._is_at_the_end(reading) for reading in self.readings.values())

    def _is_at_the_end(self, reading: Reading) -> bool:
        place, newest, log = reading.place, reading.history.head, reading.history.log
        while reading.is_author and newest in log and log[newest].said.author == reading.who:
            newest -= 1  # its own message, for which it got an ack
        return place is not None and place >= newest

    def stop_reading(self) -> None:
        """Stop reading from this connection."""
        self.is_reading = False
        assert self.connection
        self.connection.transport.pause_reading()

    def sip(self, size: int) -> None:
        """Read at most this number of bytes, and stop again."""
        if self.connection is not None and not self.connection.lost.is_set():
            self.connection.sip = size
            self.connection.transport.resume_reading()

    def go_on_reading(self) -> None:
        self.is_reading = True
        if self.connection is not None:
            self.connection.sip = None
        if self.connection is not None and not self.connection.lost.is_set():
            self.connection.transport.resume_reading()

    def hang_up(self) -> None:
        """Break the connection. The person reconnects, and reads again."""
        self._in.clear()
        self.is_reading = True
        if self.connection is not None:
            self.connection.reset()

    def quit(self) -> None:
        """Send `quit`."""
        if self.connection is not None:
            self.connection.send(type="quit")

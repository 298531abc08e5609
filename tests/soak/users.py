"""Honest users that run the project's own client libraries, over TCP, TLS and UDP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

from twisted_chat.client import blocking

from ..faults.history import History, Reading, Said
from ..faults.wire import Line

PAUSE_SECONDS: Final = 2.0
"""The mean of the seconds between two messages of a user."""

PASSWORD: Final = "correct horse battery staple"


class LibraryUser:
    """A user of one room, who says something now and then, and whose library has to deliver everything once."""

    def __init__(self, nick: str, history: History, random: Random) -> None:
        self.nick = nick
        self.history = history
        self.random = random
        self.reading = Reading(history, nick, is_author=True, begin=0)
        self.is_talking = True
        self.waiting = 0
        """Messages without an ack."""
        self._count = 0

    async def live(self) -> None:
        """Connect and talk, until the task is cancelled."""
        raise NotImplementedError

    async def talk(self, say: Callable[[str], Any]) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / PAUSE_SECONDS))
            if self.is_talking:
                self._count += 1
                id = f"{self.nick}-{self._count}"
                text = f"{id} {'ж{' * self.random.choice((1, 10, 300))}"
                self.history.says(Said(self.nick, id), text)
                self.waiting += 1
                seq = await say(text)
                self.waiting -= 1
                self.history.acks(Said(self.nick, id), seq)

    def heard(self, msg: str, author: str, seq: int | None) -> None:
        """Called with a message of the room."""
        assert seq is not None
        self.reading.got(Line(msg=msg, author=author, room=self.history.room, seq=seq))

    def has_all(self) -> bool:
        newest, log = self.history.head, self.history.log
        while newest in log and log[newest].said.author == self.nick:
            newest -= 1
        return not self.waiting and (self.reading.place or 0) >= newest


class TwistedUser(LibraryUser):
    """A user of the library for Twisted and asyncio, who makes its nick an account."""

    def __init__(self, nick: str, history: History, random: Random, endpoint: str) -> None:
        super().__init__(nick, history, random)
        self._endpoint = endpoint

    async def live(self) -> None:
        from twisted_chat.client import Message, connect  # not before there is a loop, for which it installs a reactor

        client = await connect(self._endpoint, nick=self.nick)
        try:
            await client.register(PASSWORD)
            client.on(Message, lambda message: self.heard(message.msg, message.author, message.seq))
            room = await client.join(self.history.room, since=0)
            await self.talk(room.say)
        finally:
            await client.close(flush=False)


class BlockingUser(LibraryUser):
    """A user of the library for threads."""

    def __init__(self, nick: str, history: History, random: Random, port: int, **options: Any) -> None:
        super().__init__(nick, history, random)
        self._port = port
        self._options = options

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        client = blocking.Client("127.0.0.1", self._port, self.nick, room=self.history.room, since=0, **self._options)
        client.on(
            blocking.Message,
            lambda message: loop.call_soon_threadsafe(self.heard, message.msg, message.author, message.seq),
        )
        await asyncio.to_thread(client.start)
        try:
            await self.talk(lambda text: asyncio.to_thread(client.say, text))
        finally:
            await asyncio.to_thread(client.close, flush=False)

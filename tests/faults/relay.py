"""A network that breaks where it is told to: it stands between the people and the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from .wire import Address, reset

SILENT_SECONDS: Final = 1.0
"""How long the server's side of a silent connection stays open: until then the nick is taken."""


class Cut(NamedTuple):
    """Where a connection breaks, and how."""

    name: str
    """What the connection is doing then, for people."""
    to_server: bool
    """It breaks in what goes to the server, or in what comes from it."""
    sign: bytes
    """The bytes at which it breaks; those in front of them still arrive."""
    times: int
    """The how manieth time they come."""
    by_reset: bool
    """Both ends are told, or nobody is: nothing arrives any more."""


class Relay:
    """Hands bytes on, and cuts whom it is told to cut."""

    def __init__(self, where: Callable[[], Address]) -> None:
        self._where = where
        self.cuts: dict[str, Cut] = {}
        """For the next connection of each, by nick."""
        self.done: list[Cut] = []
        """What was cut already."""
        self.links: set[Link] = set()

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = Address(host, port)

    async def close(self) -> None:
        self._server.close()
        for link in tuple(self.links):
            link.end()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(self, writer)
        self.links.add(link)
        nick, cut = "", None
        try:
            hello = await reader.readuntil(b"\n")
            nick = json.loads(hello)["nick"]
            cut = self.cuts.pop(nick, None)
            await link.run(hello, reader, cut, self._where())
        except (OSError, EOFError):
            pass  # an end is gone, and so is the other one then
        finally:
            link.end()
            self.links.discard(link)
            if cut is not None and cut not in self.done:
                self.cuts[nick] = cut  # it ended before that, as one does whose nick is still taken


class Link:
    """One connection through the relay."""

    def __init__(self, relay: Relay, writer: asyncio.StreamWriter) -> None:
        self._relay = relay
        self._writers = [writer]
        self._cut: Cut | None = None
        self._left = 0
        self._broken = asyncio.Event()

    async def run(self, hello: bytes, reader: asyncio.StreamReader, cut: Cut | None, server: Address) -> None:
        """Hand bytes on both ways until an end goes or it is time to break."""
        self._cut = cut
        self._left = cut.times if cut is not None else 0
        server_reader, server_writer = await asyncio.open_connection(*server)
        self._writers.append(server_writer)
        ways = [
            asyncio.create_task(self._hand_on(hello, reader, server_writer, True)),
            asyncio.create_task(self._hand_on(b"", server_reader, self._writers[0], False)),
            asyncio.create_task(self._broken.wait()),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        if self._broken.is_set() and cut is not None and not cut.by_reset:
            await asyncio.sleep(SILENT_SECONDS)

    def end(self) -> None:
        for writer in self._writers:
            reset(cast(asyncio.Transport, writer.transport))

    async def _hand_on(
        self, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_server: bool
    ) -> None:
        cut, tail = self._cut, b""
        while data or (data := await reader.read(2**16)):
            if cut is not None and cut.to_server == to_server:
                end = self._look(cut, tail, data)
                if end is not None:
                    writer.write(data[:end])
                    self._relay.done.append(cut)
                    self._broken.set()
                    return
                tail = (tail + data)[1 - len(cut.sign) :] if len(cut.sign) > 1 else b""
            writer.write(data)
            await writer.drain()
            data = b""

    def _look(self, cut: Cut, tail: bytes, data: bytes) -> int | None:
        """Look for the place to break, in what came and the end of what came before; tell how much of it goes on."""
        whole, at = tail + data, 0
        while (found := whole.find(cut.sign, at)) >= 0:
            self._left -= 1
            if not self._left:
                return max(0, found - len(tail))
            at = found + len(cut.sign)
        return None

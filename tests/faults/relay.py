"""A relay between the clients and the server that breaks connections at given points."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from .wire import Address, reset

SILENT_SECONDS: Final = 1.0
"""Seconds for which the server's side of a silent connection stays open. The nick is taken until then."""


class Cut(NamedTuple):
    """The point at which a connection breaks, and how."""

    name: str
    """A description of this point of the connection, for people."""
    to_server: bool
    """True if the mark is in the data to the server, False if it is in the data from it."""
    sign: bytes
    """The bytes at which the connection breaks. The bytes before them still arrive."""
    times: int
    """The occurrence of these bytes that counts, from 1."""
    by_reset: bool
    """True if both ends get a reset; otherwise the connection falls silent."""


class Relay:
    """Forwards bytes, and cuts connections. Browsers connect to the same address as all others."""

    def __init__(self, where: Callable[[], Address], where_web: Callable[[], Address]) -> None:
        self._where = where
        self._where_web = where_web
        self.cuts: dict[str, Cut] = {}
        """The cut for the next connection of each nick."""
        self.done: list[Cut] = []
        """The cuts that have happened."""
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
            begin = hello = await reader.readuntil(b"\n")
            where = self._where
            if hello.startswith(b"GET"):
                begin += await reader.readuntil(b"\r\n\r\n")
                hello, where = await reader.readuntil(b"\n"), self._where_web
                begin += hello
            nick = json.loads(hello[hello.index(b"{") :])["nick"]
            cut = self.cuts.pop(nick, None)
            await link.run(begin, reader, cut, where())
        except (OSError, EOFError):
            pass  # one end has closed, so the other one is closed too
        finally:
            link.end()
            self.links.discard(link)
            if cut is not None and cut not in self.done:
                self.cuts[nick] = (
                    cut  # the connection ended before this point, for example because the nick is still taken
                )


class Link:
    """One connection through the relay."""

    def __init__(self, relay: Relay, writer: asyncio.StreamWriter) -> None:
        self._relay = relay
        self._writers = [writer]
        self._cut: Cut | None = None
        self._left = 0
        self._broken = asyncio.Event()

    async def run(self, begin: bytes, reader: asyncio.StreamReader, cut: Cut | None, server: Address) -> None:
        """Forward bytes both ways until one end closes or the cut is due."""
        self._cut = cut
        self._left = cut.times if cut is not None else 0
        server_reader, server_writer = await asyncio.open_connection(*server)
        self._writers.append(server_writer)
        ways = [
            asyncio.create_task(self._hand_on(begin, reader, server_writer, True)),
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
        """Look for the mark, also across two reads; return how many of the new bytes to forward, or None."""
        whole, at = tail + data, 0
        while (found := whole.find(cut.sign, at)) >= 0:
            self._left -= 1
            if not self._left:
                return max(0, found - len(tail))
            at = found + len(cut.sign)
        return None

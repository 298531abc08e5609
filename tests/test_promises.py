"""The promises at the end of the protocol, in whatever order things happen: each message once, in order, none missing.

The model is a list: what was kept, in its order, which has what each client said once and in the order in which it said
it. Whatever a client does, what it was handed since it joined is that list from its place on, with acks in the place
of what it said itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.log import Entry
from twisted_chat.room import catching_up
from twisted_chat.web import WebFactory
from twisted_chat.wire.websocket import WebSocket

from .helpers import FakeLog, FakeWire, Peer, Server
from .websockets import frames, objects, request, text

NICKS: Final = ("alice", "bob", "carol")

BROWSER: Final = "carol"
"""The nick of the one who speaks over a WebSocket."""

PIECE: Final = 50
"""Bytes in which the frames of a browser arrive."""


class Client:
    """One who talks and listens in the lobby, and notes what it was told since it joined."""

    def __init__(self, nick: str) -> None:
        self.nick = nick
        self.peer: Peer | None = None
        self.place = 0
        """The number of the last message it has seen, by which it returns."""
        self.ever_said: list[str] = []
        self.unacked: list[str] = []
        self.asked: list[int | None] = []
        """The `since` of each join that is not answered yet."""
        self.inside = False
        self.since = 0
        self.head = 0
        """The newest number when it joined: everything up to it comes as a message, also what it said itself."""
        self.messages: list[int] = []
        self.acks: set[int] = set()
        self.late_acks: set[int] = set()
        """Acks above `head` of what it had said before it joined, which may come as messages too."""
        self.said: set[str] = set()
        """The ids of what it said since it joined."""

    def take(self, model: list[str]) -> None:
        """Note what was written to it; a message and an ack are of what the model has at that number."""
        for obj in self.peer.got() if self.peer else ():
            if obj["type"] == "joined":
                since = self.asked.pop(0)
                self.head = obj["seq"]
                self.since = self.head if since is None else min(since, self.head)
                self.inside, self.messages, self.said = True, [], set()
                self.acks, self.late_acks = set(), set()
            elif obj["type"] == "left":
                self.inside = False
            elif obj["type"] == "":
                assert model[obj["seq"] - 1] == obj["msg"]
                assert obj["seq"] > max([self.since, *self.messages])
                self.messages.append(obj["seq"])
                self.place = obj["seq"]
            elif obj["type"] == "ack":
                assert model[obj["seq"] - 1] == obj["id"]
                if obj["id"] not in self.said:
                    if obj["seq"] > self.head:
                        self.late_acks.add(obj["seq"])
                else:
                    assert obj["seq"] > max([self.since, *self.acks])
                    self.acks.add(obj["seq"])
                if obj["id"] in self.unacked:
                    self.unacked.remove(obj["id"])
            else:
                assert obj["type"] in ("join", "leave", "welcome"), obj


class BrowserTransport(StringTransport):
    """A connection of a browser, as its own wire: what it sends while it is not read from comes later."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.full = False
        """Each write is told that nothing more is taken."""
        self._sent = b""
        wire = WebFactory(server.chat).buildProtocol(IPv4Address("TCP", "192.0.2.1", 49474))
        assert isinstance(wire, WebSocket)
        self.end = wire
        wire.makeConnection(self)
        wire.dataReceived(request())
        assert self.value().startswith(b"HTTP/1.1 101 ")
        self.clear()

    @property
    def reading(self) -> bool:
        return self.producerState == "producing"

    @property
    def closed(self) -> bool:
        return self.disconnecting

    def send(self, data: bytes) -> None:
        self._sent += data
        self._flush()

    def _flush(self) -> None:
        while self._sent and self.reading:
            piece, self._sent = self._sent[:PIECE], self._sent[PIECE:]
            self.end.dataReceived(piece)

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.full:
            self.end.participant.pauseProducing()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._flush()


class Browser(Peer):
    """A client over a WebSocket."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.transport = BrowserTransport(server)
        self.wire = cast(FakeWire, self.transport)

    def send(self, *objects: dict[str, Any]) -> None:
        self.transport.send(b"".join(map(text, objects)))

    def got(self) -> list[dict[str, Any]]:
        data = self.transport.value()
        self.transport.clear()
        return [obj for obj in objects(frames(data)) if obj["type"] != "stop"]

    def pause(self) -> None:
        self.transport.end.participant.pauseProducing()

    def resume(self) -> None:
        self.transport.end.participant.resumeProducing()

    def cut(self) -> None:
        self.transport.end.connectionLost()


class RememberingLog(FakeLog):
    """A log that knows what was ever kept in the lobby, also what is trimmed by now."""

    def __init__(self) -> None:
        super().__init__()
        self.ever_kept: list[str] = []

    def store_entries(self, entries: Sequence[Entry], time: int) -> None:
        super().store_entries(entries, time)
        self.ever_kept += [record.msg for record in self.logs["lobby"].records if record.seq > len(self.ever_kept)]


class World:
    """Three clients, a server and its store, and the model of what they do."""

    def __init__(self, tail_bytes: int) -> None:
        self.trimmed = 0
        self.store = RememberingLog()
        self.model = self.store.ever_kept
        self.clients = {nick: Client(nick) for nick in NICKS}

        self.tail_bytes = tail_bytes
        self.server = Server(self.store, tail_bytes=tail_bytes)
        for nick in NICKS:
            self.arrive(nick)
            self.join(nick)
        self.server.settle()

    # What clients do

    def arrive(self, nick: str) -> None:
        """Connect, or come back: join with the place, and say again what was not acked."""
        client = self.clients[nick]
        if client.peer is None:
            client.peer = Browser(self.server) if nick == BROWSER else self.server.connect()
            client.peer.send({"type": "hello", "nick": nick, "token": f"the secret of {nick}"})
            client.inside, client.asked = False, []
            if client.unacked:
                self.join(nick)
            for text in client.unacked:
                client.peer.say(text, id=text)

    def join(self, nick: str) -> None:
        self.enter(nick, with_place=True)

    def join_at_the_end(self, nick: str) -> None:
        self.enter(nick, with_place=False)

    def enter(self, nick: str, with_place: bool) -> None:
        client = self.clients[nick]
        if client.peer:
            client.take(self.model)
            since = {"since": client.place} if with_place else {}
            client.asked.append(client.place if with_place else None)
            client.peer.send({"type": "join", "room": "lobby", **since})

    def leave(self, nick: str) -> None:
        client = self.clients[nick]
        if client.peer and self.is_in(client) and not client.asked:
            client.inside = False
            client.peer.send({"type": "leave", "room": "lobby"})

    def say(self, nick: str) -> None:
        client = self.clients[nick]
        for _ in range(2):
            client.take(self.model)
            if client.peer and self.is_in(client) and not client.asked:
                text = f"{nick}-{len(client.ever_said)}"
                client.ever_said.append(text)
                client.unacked.append(text)
                client.said.add(text)
                client.peer.say(text, id=text)

    def is_in(self, client: Client) -> bool:
        assert client.peer
        return client.inside and client.peer.wire.reading

    def pause(self, nick: str) -> None:
        if peer := self.clients[nick].peer:
            peer.pause()

    def pause_in_each_write(self, nick: str) -> None:
        if peer := self.clients[nick].peer:
            peer.wire.full = True

    def resume(self, nick: str) -> None:
        if peer := self.clients[nick].peer:
            peer.wire.full = False
            peer.resume()

    def cut(self, nick: str) -> None:
        client = self.clients[nick]
        client.take(self.model)
        if client.peer:
            client.peer.cut()
            client.peer = None
            client.inside = False

    def take_over(self, nick: str) -> None:
        """Come back while the old connection is still there: it is ended, and nothing more comes from it."""
        client = self.clients[nick]
        client.take(self.model)
        old, client.peer, client.inside = client.peer, None, False
        self.arrive(nick)
        if old:
            assert old.wire.closed
            old.cut()

    # What happens to the server

    def turn(self, nick: str = "") -> None:
        self.server.clock.turn()

    def slow_down(self, nick: str = "") -> None:
        self.store.held |= {"append", "after", "open"}

    def release(self, nick: str = "") -> None:
        if self.store.waiting:
            self.store.release()

    def keep_and_tell_later(self, nick: str = "") -> None:
        if self.store.waiting:
            self.store.begin()

    def trim(self, nick: str) -> None:
        """Take away the older half of what is kept."""
        log = self.store.logs.get("lobby")
        if log is not None and log.records:
            self.trimmed = max(self.trimmed, log.seq // 2)
            log.trim(self.trimmed)

    def restart(self, nick: str = "") -> None:
        self.quiet()
        for nick in NICKS:
            self.cut(nick)
        self.quiet()
        self.server = Server(self.store, tail_bytes=self.tail_bytes)

    # What is promised

    def order(self) -> None:
        for client in self.clients.values():
            client.take(self.model)

    def quiet(self, nick: str = "") -> None:
        """Everybody reads, and the store is quick again: then nothing is missing, and nothing was told twice."""
        self.store.held.clear()
        for nick in NICKS:
            self.resume(nick)
        self.server.settle()
        while self.store.waiting:
            self.store.release()
            self.server.settle()
        assert [record.msg for record in self.store.logs["lobby"].records] == self.model[self.trimmed :]
        for client in self.clients.values():
            client.take(self.model)
            kept = [text for text in self.model if text.startswith(f"{client.nick}-")]
            assert kept == [text for text in client.ever_said if text in kept]
            assert {*client.ever_said} - {*kept} <= {*client.unacked}
            if client.inside:
                expected = set(range(max(client.since, self.trimmed) + 1, len(self.model) + 1))
                assert not client.acks & set(client.messages)
                assert expected <= client.acks | client.late_acks | set(client.messages)
                assert not client.unacked


ACTIONS: Final = [
    *[World.say, World.turn, World.pause, World.resume, World.release] * 2,
    *(World.arrive, World.join, World.join_at_the_end, World.leave, World.cut, World.take_over),
    World.pause_in_each_write,
    *(World.slow_down, World.keep_and_tell_later, World.trim, World.restart, World.quiet),
]


class PromisesTests(SynchronousTestCase):
    @settings(max_examples=100, database=None)
    @given(
        st.sampled_from([0, 300, 100_000]),
        st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(NICKS)), min_size=60, max_size=120),
    )
    def test_nothing_is_missed_and_nothing_doubled(self, tail_bytes: int, steps: list[tuple[Any, str]]) -> None:
        self.patch(catching_up, "PAGE", 3)
        world = World(tail_bytes)
        for action, nick in steps:
            action(world, nick)
            world.order()
        world.quiet()

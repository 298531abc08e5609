"""The promises at the end of the protocol, in whatever order things happen: each message once, in order, none missing.

The model is a list: what was said, in its order. Whatever a client does, what it was handed since it joined is that
list from its place on, with acks in the place of what it said itself.
"""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from .helpers import FakeLog, Peer, Server

NICKS: Final = ("alice", "bob", "carol")
clients = st.sampled_from(NICKS)


class Client:
    """One who talks and listens in the lobby, and notes what it was told since it joined."""

    def __init__(self, nick: str) -> None:
        self.nick = nick
        self.peer: Peer | None = None
        self.place = 0
        """The number of the last message it has seen, by which it returns."""
        self.unacked: list[str] = []
        self.asked: list[int | None] = []
        """The `since` of each join that is not answered yet."""
        self.inside = False
        self.since = 0
        self.messages: list[int] = []
        self.acks: set[int] = set()
        self.said: set[str] = set()
        """The ids of what it said since it joined."""

    def take(self, model: list[str]) -> None:
        """Note what was written to it; a message and an ack are of what the model has at that number."""
        for obj in self.peer.got() if self.peer else ():
            if obj["type"] == "joined":
                since = self.asked.pop(0)
                self.since = obj["seq"] if since is None else min(since, obj["seq"])
                self.inside, self.messages, self.acks, self.said = True, [], set(), set()
            elif obj["type"] == "left":
                self.inside = False
            elif obj["type"] == "":
                assert model[obj["seq"] - 1] == obj["msg"]
                assert obj["seq"] > max([self.since, *self.messages])
                self.messages.append(obj["seq"])
                self.place = obj["seq"]
            elif obj["type"] == "ack":
                assert model[obj["seq"] - 1] == obj["id"]
                if obj["id"] in self.said:
                    assert obj["seq"] > max([self.since, *self.acks])
                    self.acks.add(obj["seq"])
                if obj["id"] in self.unacked:
                    self.unacked.remove(obj["id"])
            else:
                assert obj["type"] in ("join", "leave", "welcome"), obj


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model: list[str] = []
        self.trimmed = 0
        self.store = FakeLog()
        self.clients = {nick: Client(nick) for nick in NICKS}

    @initialize(tail_bytes=st.sampled_from([0, 300, 100_000]))
    def start(self, tail_bytes: int) -> None:
        self.tail_bytes = tail_bytes
        self.server = Server(self.store, tail_bytes=tail_bytes)
        for nick in NICKS:
            self.arrive(nick)
            self.join(nick, True)
        self.server.settle()

    # What clients do

    @rule(nick=clients)
    def arrive(self, nick: str) -> None:
        """Connect, or come back: join with the place, and say again what was not acked."""
        client = self.clients[nick]
        if client.peer is None:
            client.peer = self.server.connect()
            client.peer.send({"type": "hello", "nick": nick})
            client.inside, client.asked = False, []
            if client.unacked:
                self.join(nick, True)
            for text in client.unacked:
                client.peer.say(text, id=text)
                if text not in self.model:
                    self.model.append(text)

    @rule(nick=clients, with_place=st.booleans())
    def join(self, nick: str, with_place: bool) -> None:
        client = self.clients[nick]
        if client.peer:
            client.take(self.model)
            since = {"since": client.place} if with_place else {}
            client.asked.append(client.place if with_place else None)
            client.peer.send({"type": "join", "room": "lobby", **since})

    @rule(nick=clients)
    def leave(self, nick: str) -> None:
        client = self.clients[nick]
        if client.peer and self.is_in(client) and not client.asked:
            client.inside = False
            client.peer.send({"type": "leave", "room": "lobby"})

    @rule(nick=clients, count=st.integers(1, 4))
    def say(self, nick: str, count: int) -> None:
        client = self.clients[nick]
        for _ in range(count):
            client.take(self.model)
            if client.peer and self.is_in(client) and not client.asked:
                text = f"{nick}-{len(self.model)}"
                self.model.append(text)
                client.unacked.append(text)
                client.said.add(text)
                client.peer.say(text, id=text)

    def is_in(self, client: Client) -> bool:
        assert client.peer
        return client.inside and client.peer.wire.reading

    @rule(nick=clients)
    def pause(self, nick: str) -> None:
        if peer := self.clients[nick].peer:
            peer.pause()

    @rule(nick=clients)
    def pause_in_each_write(self, nick: str) -> None:
        if peer := self.clients[nick].peer:
            peer.wire.full = True

    @rule(nick=clients)
    def resume(self, nick: str) -> None:
        if peer := self.clients[nick].peer:
            peer.wire.full = False
            peer.resume()

    @rule(nick=clients)
    def cut(self, nick: str) -> None:
        client = self.clients[nick]
        client.take(self.model)
        if client.peer:
            client.peer.cut()
            client.peer = None
            client.inside = False

    # What happens to the server

    @rule()
    def turn(self) -> None:
        self.server.clock.turn()

    @rule(what=st.sampled_from(["append", "after", "open"]))
    def slow_down(self, what: str) -> None:
        self.store.held.add(what)

    @precondition(lambda self: self.store.waiting)
    @rule()
    def release(self) -> None:
        self.store.release()

    @precondition(lambda self: self.store.waiting)
    @rule()
    def keep_and_tell_later(self) -> None:
        self.store.begin()

    @rule(part=st.floats(0, 1))
    def trim(self, part: float) -> None:
        """Take away the older part of what is kept."""
        log = self.store.logs.get("lobby")
        if log is not None and log.records:
            self.trimmed = max(self.trimmed, round(log.seq * part))
            log.trim(self.trimmed)

    @rule()
    def restart(self) -> None:
        self.quiet()
        for nick in NICKS:
            self.cut(nick)
        self.quiet()
        self.server = Server(self.store, tail_bytes=self.tail_bytes)

    # What is promised

    @invariant()
    def order(self) -> None:
        for client in self.clients.values():
            client.take(self.model)

    @rule()
    def quiet(self) -> None:
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
            if client.inside:
                expected = set(range(max(client.since, self.trimmed) + 1, len(self.model) + 1))
                assert not client.acks & set(client.messages)
                assert expected <= client.acks | set(client.messages)
                assert not client.unacked

    def teardown(self) -> None:
        self.quiet()


class PromisesTests(SynchronousTestCase):
    def test_nothing_is_missed_and_nothing_doubled(self) -> None:
        run_state_machine_as_test(
            Promises, settings=settings(max_examples=100, stateful_step_count=40, deadline=None, database=None)
        )

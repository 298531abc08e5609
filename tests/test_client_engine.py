"""What the client's engine promises, over any number of connections; no sockets, no time but a test's own."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import messages as wire
from twisted_chat.client.protocol.engine import (
    Engine,
)
from twisted_chat.client.protocol.events import Answered
from twisted_chat.client.protocol.objects import GAP, Message
from twisted_chat.client.protocol.pace import LONGEST_PAUSE
from twisted_chat.messages import WireError

from .client_fakes import FakeServer, FakeSession, ids

Obj = dict[str, Any]


class AnyNetworkTests(SynchronousTestCase):
    """Whatever the network does, each message comes once and in order."""

    @settings(max_examples=100)
    @given(st.integers(), st.integers(2, 40), st.booleans())
    def test_each_message_comes_once_and_in_order(self, seed: int, space: int, lossy: bool) -> None:
        trial = self.run_trial(seed, space, refusing=0, lossy=lossy)
        own = [message.msg for message in trial.log if message.author == "alice"]
        self.assertEqual(own, [str(i) for i in range(trial.said)])

    @settings(max_examples=100)
    @given(st.integers(), st.integers(2, 40), st.booleans())
    def test_each_message_comes_once_where_the_server_refuses_some_for_now(
        self, seed: int, space: int, lossy: bool
    ) -> None:
        """Their order is kept when the server refuses all that follow, too; this one does not."""
        trial = self.run_trial(seed, space, refusing=0.1, lossy=lossy)
        own = [message.msg for message in trial.log if message.author == "alice"]
        self.assertEqual(sorted(own, key=int), [str(i) for i in range(trial.said)])

    def run_trial(self, seed: int, space: int, refusing: float, lossy: bool) -> Trial:
        trial = Trial(Random(seed), space, refusing, lossy)
        for _ in range(400):
            trial.step()
        trial.finish()
        heard = [message.seq for message in trial.heard]
        self.assertEqual(heard, [message.seq for message in trial.log if message.author == "bob"])
        self.assertEqual(trial.acked, {message.msg: message.seq for message in trial.log if message.author == "alice"})
        self.assertEqual(trial.engine.owed, 0)
        return trial


class Trial:
    """A client that talks in the lobby, a server that speaks there too, and a network that breaks at any place."""

    def __init__(self, random: Random, space: int, refusing: float, lossy: bool) -> None:
        self.random = random
        self.space = space
        self.refusing = refusing
        self.lossy = lossy
        self.now = 0.0
        self.server = FakeServer()
        self.server.refuse = self.refuse
        self.engine = Engine("alice", "the server", ids())
        self.outgoing: list[Obj] = []
        self.incoming: list[Any] = []
        self.session: FakeSession | None = None
        self.heard: list[Message] = []
        self.calm = False
        self.acked: dict[str, int] = {}
        self.connect()
        self.turn()
        self.serve()
        self.hear()  # the first connection has to be made
        self.room = self.engine.join("lobby", 0)
        self.said = 0

    @property
    def log(self) -> list[wire.Message]:
        return self.server.room("lobby").log

    def refuse(self, request: wire.AnyRequest) -> WireError | None:
        if self.calm or isinstance(request, wire.Hello | wire.Pong) or self.random.random() >= self.refusing:
            return None
        return WireError(self.random.choice(["rate-limited", "unavailable"]), "not now")

    def connect(self) -> None:
        self.session = FakeSession(self.server, self.incoming.append)
        self.engine.connected(self.now)

    def turn(self) -> None:
        while self.engine.has_work:
            self.outgoing += self.engine.take_objects(self.now)
            for event in self.engine.take_events():
                if isinstance(event, Answered) and event.request.kind == "message":
                    self.acked[event.request.text or ""] = event.result

    def step(self) -> None:
        act = self.random.choice(
            [self.hear, self.hear, self.serve, self.serve, self.speak, self.say, self.read, self.cut]
        )
        if act != self.cut or self.random.random() < 0.2:
            act()
        self.pass_time(self.random.random() * 0.2)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.engine.tick(self.now)
        self.turn()

    def hear(self) -> None:
        for reply in self.incoming[: self.random.randrange(1, 6)]:
            self.incoming.remove(reply)
            # Over UDP it is notices and messages that get lost for good; what answers a request is asked for again.
            is_lost = self.lossy and not self.calm and isinstance(reply, wire.Message) and self.random.random() < 0.2
            self.engine.received(GAP if is_lost else json.loads(wire.encode(reply)), self.now)
            self.turn()

    def serve(self) -> None:
        for request in self.outgoing[: self.random.randrange(1, 6)]:
            self.outgoing.remove(request)
            if self.session is not None:
                self.session.asked(wire.decode_request(json.dumps(request).encode()))

    def speak(self) -> None:
        self.server.say("hello")

    def say(self) -> None:
        self.engine.say(self.room, str(self.said))
        self.said += 1
        self.turn()

    def read(self) -> None:
        for _ in range(self.random.randrange(1, self.space + 1)):
            message = self.engine.take(self.room)
            if message is not None:
                self.heard.append(message)
        self.turn()

    def cut(self) -> None:
        if self.session is not None:
            self.session.gone()
        self.outgoing.clear()
        self.incoming.clear()
        self.engine.lost("cut", self.now)
        self.connect()
        self.turn()

    def finish(self) -> None:
        """Let everything arrive: for longer than any pause, from the last thing on that has come."""
        self.calm = True
        quiet = 0.0
        while quiet < 2 * LONGEST_PAUSE:
            before = len(self.heard) + len(self.acked)
            self.serve()
            self.hear()
            self.read()
            self.pass_time(0.2)
            quiet = quiet + 0.2 if len(self.heard) + len(self.acked) == before else 0.0

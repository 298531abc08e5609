"""The server of the client's tests: the real chat on a store in memory, and a network to it that breaks on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat import messages as wire
from twisted_chat import names
from twisted_chat.client.library import Client, Room
from twisted_chat.client.program.person import Direct
from twisted_chat.client.protocol.membership import Membership
from twisted_chat.log import Entry, Record
from twisted_chat.messages import AnyRequest, Message, WireError, decode_request, encode_line

from .helpers import NOW, FakeLog, FakeRoomLog, Server


def result(deferred: Deferred[Any]) -> Any:
    """Give what a Deferred has answered; fails a test where it has not, and raises what it failed with."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "there is no answer yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def fake_room(name: str) -> Room:
    """Make a room that belongs to no client."""
    return Room(cast(Client, None), Membership(name, None))


def fake_direct(nick: str = "bob", is_kept: bool = False) -> Direct:
    """Make a direct conversation that belongs to no client."""
    return Direct(cast(Client, SimpleNamespace(account=is_kept)), nick)


def ids() -> Callable[[], str]:
    """Make ids that a test can write down: "1", "2", ..."""
    numbers = count(1)
    return lambda: str(next(numbers))


class SkippingRoomLog(FakeRoomLog):
    """The log of a room whose numbers skip, since they may."""

    def append_elsewhere(self, *said: tuple[str, str]) -> None:
        for author, msg in said:
            self.seq += 3
            self.oldest = self.oldest or self.seq
            record = Record(self.seq, int(NOW * 1000), author, msg)
            self.records.append(record)
            self.tell([record])


class SkippingLog(FakeLog):
    """A store in memory whose numbers skip."""

    def room(self, name: names.Name) -> FakeRoomLog:
        return self.logs.setdefault(name.key, SkippingRoomLog(self, name))

    def store_entries(self, entries: Sequence[Entry], time: int) -> None:
        for entry in entries:
            assert isinstance(entry.room, FakeRoomLog)
            known = (entry.author.key, entry.id or "") in entry.room.ids
            entry.room.seq += 0 if known else 2
            super().store_entries([entry], time)


class FakeRoom:
    """A room of the server, as tests look at it."""

    def __init__(self, server: FakeServer, name: str) -> None:
        self._server = server
        self.name = names.room(name)

    @property
    def _log(self) -> FakeRoomLog:
        return self._server.store.room(self.name)

    @property
    def log(self) -> list[Message]:
        """The messages in the room."""
        return [Message(one.msg, one.author, self.name.shown, None, one.seq) for one in self._log.records]

    @property
    def topic(self) -> str:
        return self._log.topic

    @topic.setter
    def topic(self, topic: str) -> None:
        self._log.topic = topic


class FakeServer:
    """The real chat, on a store in memory; tests say what it refuses, and what it never answers."""

    def __init__(self) -> None:
        self.refuse: Callable[[AnyRequest], WireError | None] = lambda request: None
        """Returns the error with which a request is refused, if it is."""
        self.ignores: Callable[[AnyRequest], bool] = lambda request: False
        """Which requests are never answered."""
        self.restart()

    def restart(self) -> None:
        """Begin with an empty log."""
        self.store = SkippingLog()
        self.chat = Server(self.store)

    @property
    def rooms(self) -> dict[str, FakeRoom]:
        """The rooms in which something was said, or that have a topic or members, by the keys of their names."""
        return {key: FakeRoom(self, log.name.shown) for key, log in self.store.logs.items()}

    def room(self, name: str) -> FakeRoom:
        return FakeRoom(self, name)

    def say(self, text: str, room: str = "lobby", author: str = "bob") -> int:
        """Say something that comes from somebody else, who need not be there; gives its number."""
        log = self.store.room(names.room(room))
        log.append_elsewhere((author, text))
        self.chat.settle()
        return log.seq


class FakeSession:
    """One connection to the server."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self._peer = server.chat.connect()
        self._written: list[bytes] = []

    @property
    def is_over(self) -> bool:
        """True once the server has ended it."""
        return self._peer.wire.closed or self._peer.wire.aborted

    def asked(self, frame: bytes) -> None:
        """Receive a request."""
        request = decode_request(frame)
        error = self.server.refuse(request)
        if error is not None:
            refusal = wire.Error(code=error.code, msg=error.text, author="server", id=request.id, retry=error.retry)
            self._written += [*self._taken(), encode_line(refusal)]
        elif not self.server.ignores(request):
            self._peer.wire.hear(frame)

    def got(self) -> list[bytes]:
        """Take the lines that the server has written."""
        self.server.chat.settle()
        written, self._written = self._written + self._taken(), []
        return [line for data in written for line in data.splitlines(keepends=True)]

    def _taken(self) -> list[bytes]:
        written, self._peer.wire.written = self._peer.wire.written, []
        return written

    def gone(self) -> None:
        """End it from the client's side."""
        self._peer.cut()


class FakeTransport(StringTransport):
    """A connection whose bytes stay where they are until `Network.flush`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.protocol: Any = None
        self.replies: list[bytes] = []
        self.ending: Exception | None = None
        """How the connection ends, when what is under way has arrived."""
        self.dead = False
        self.session = FakeSession(network.server)

    def write(self, data: bytes) -> None:
        super().write(data)
        self.network.wrote()

    def reply(self, reply: Any) -> None:
        """Send something that the real server would not send now."""
        self.replies.append(encode_line(reply))
        if isinstance(reply, wire.Stop):
            self.ending = ConnectionDone()

    def loseConnection(self) -> None:
        self.ending = ConnectionDone()

    def abortConnection(self) -> None:
        self.clear()
        self.replies.clear()
        self.ending = ConnectionLost("aborted")
        self.network.wrote()

    def flush(self) -> bool:
        """Deliver the bytes under way. True if there were any."""
        data = self.value()
        self.clear()
        for line in data.splitlines():
            if self.ending is None:
                self.session.asked(line)
        replies, self.replies = self.session.got() + self.replies, []
        if self.session.is_over and self.ending is None:
            self.ending = ConnectionDone()
        if replies:
            self.protocol.dataReceived(b"".join(replies))
        if self.ending is not None and not self.dead and not self.replies:
            self.cut(self.ending)
            return True
        return bool(data or replies)

    def cut(self, how: Exception | None = None) -> None:
        """End the connection; what is under way is lost."""
        self.dead = True
        self.network.connections.remove(self)
        self.session.gone()
        self.protocol.connectionLost(Failure(how or ConnectionLost()))


@implementer(IStreamClientEndpoint)
class Network:
    """An endpoint whose connections go to a `FakeServer`; nothing moves but in `flush`."""

    def __init__(self, server: FakeServer, clock: Clock) -> None:
        self.server = server
        self.clock = clock
        self.connections: list[FakeTransport] = []
        self.made = 0
        """Connections so far."""
        self.error: Exception | None = None
        """Why there are no connections."""
        self.wrote: Callable[[], None] = lambda: None
        """Called when there is something to flush."""

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        transport = FakeTransport(self)
        transport.protocol = protocolFactory.buildProtocol(transport.getPeer())
        self.connections.append(transport)
        self.made += 1
        transport.protocol.makeConnection(transport)
        return succeed(transport.protocol)

    def flush(self) -> None:
        """Deliver everything, in both directions."""
        while sum(connection.flush() for connection in tuple(self.connections)):
            pass

    def cut(self) -> None:
        """Lose all connections, and what is under way on them."""
        for connection in tuple(self.connections):
            connection.cut()

    def pass_time(self, seconds: float, step: float = 0.25) -> None:
        """Advance the clock, and deliver everything meanwhile."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.flush()

"""What the client's tests talk to: a server of their own, in memory, and a network to it.

`FakeServer` keeps the promises of the wire, and is told when to break a connection or to refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat import messages as wire
from twisted_chat.client.library import Client, Room
from twisted_chat.client.protocol.membership import Membership
from twisted_chat.messages import AnyRequest, Message


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


def ids() -> Callable[[], str]:
    """Make ids that a test can write down: "1", "2", ..."""
    numbers = count(1)
    return lambda: str(next(numbers))


class FakeRoom:
    """A room's log. Its numbers skip, since they may."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.topic = ""
        self.log: list[Message] = []
        self.said: dict[tuple[str, str], int] = {}
        self.members: list[FakeSession] = []

    @property
    def seq(self) -> int:
        return self.log[-1].seq or 0 if self.log else 0

    def append(self, author: str, text: str, id: str | None) -> tuple[int, Message | None]:
        """Keep a message, once for an author and id; gives its number, and the message if it is new."""
        known = self.said.get((author, id)) if id is not None else None
        if known is not None:
            return known, None
        message = Message(msg=text, author=author, room=self.name, seq=self.seq + 3, time="2026-11-22T11:06:36.123Z")
        self.log.append(message)
        if id is not None:
            self.said[author, id] = self.seq
        return self.seq, message


class FakeServer:
    """A server of the wire, which answers as soon as it is asked."""

    def __init__(self) -> None:
        self.rooms: dict[str, FakeRoom] = {}
        self.sessions: list[FakeSession] = []
        self.limits: dict[str, int] = {"object": wire.MAX_OBJECT}
        self.refuse: Callable[[AnyRequest], wire.WireError | None] = lambda request: None
        """What a request is refused with, if it is."""

    def room(self, name: str) -> FakeRoom:
        return self.rooms.setdefault(name.lower(), FakeRoom(name))

    def say(self, text: str, room: str = "lobby", author: str = "bob") -> int:
        """Say something that comes from somebody else."""
        return self.deliver(self.room(room), author, text, None, None)

    def deliver(self, room: FakeRoom, author: str, text: str, id: str | None, by: FakeSession | None) -> int:
        seq, message = room.append(author, text, id)
        for member in room.members:
            if message is not None and member is not by:
                member.send(message)
        return seq


class FakeSession:
    """One connection to the server; `deliver` gets what it says."""

    def __init__(self, server: FakeServer, deliver: Callable[[Any], None]) -> None:
        self.server = server
        self.send = deliver
        self.nick = ""
        server.sessions.append(self)

    def gone(self) -> None:
        if self in self.server.sessions:
            self.server.sessions.remove(self)
        for room in self.server.rooms.values():
            if self in room.members:
                room.members.remove(self)

    def asked(self, request: AnyRequest) -> None:
        error = self.server.refuse(request)
        if error is not None:
            self.send(wire.Error(code=error.code, msg=error.text, author="server", id=request.id, retry=error.retry))
        else:
            getattr(self, f"do_{type(request).__name__.lower()}")(request)

    def do_hello(self, request: wire.Hello) -> None:
        if any(other.nick == request.nick for other in self.server.sessions if other is not self):
            self.send(wire.Error(code="nick-taken", msg="somebody has this nick", author="server", id=request.id))
            return
        self.nick = request.nick
        limits = self.server.limits
        self.send(wire.Welcome(nick=self.nick, server="fake", protocol=1, limits=limits, id=request.id))

    def do_join(self, request: wire.Join) -> None:
        room = self.server.room(request.room)
        if self not in room.members:
            room.members.append(self)
        oldest = room.log[0].seq or 0 if room.log else 0
        self.send(
            wire.Joined(
                room=room.name,
                topic=room.topic,
                seq=room.seq,
                oldest=oldest,
                count=len(room.members),
                id=request.id,
            )
        )
        if request.since is not None:
            for message in tuple(room.log):
                if (message.seq or 0) > request.since:
                    self.send(message)

    def do_leave(self, request: wire.Leave) -> None:
        self.server.room(request.room).members.remove(self)
        self.send(wire.Left(room=request.room, id=request.id))

    def do_say(self, request: wire.Say) -> None:
        if request.room is None:
            self.send(wire.Ack(id=request.id or "", to=request.to))
            return
        room = self.server.room(request.room)
        assert self in room.members, "said to a room without being in it"
        seq = self.server.deliver(room, self.nick, request.msg, request.id, self)
        self.send(wire.Ack(id=request.id or "", room=room.name, seq=seq, time="2026-11-22T11:06:36.123Z"))

    def do_history(self, request: wire.History) -> None:
        log = self.server.room(request.room).log
        if request.after is not None:
            found = [message for message in log if (message.seq or 0) > request.after]
            page = found[: request.limit]
        else:
            found = [message for message in log if request.before is None or (message.seq or 0) < request.before]
            page = found[-request.limit :]
        self.send(wire.HistoryPage(room=request.room, messages=page, more=len(page) < len(found), id=request.id))

    def do_nick(self, request: wire.Nick) -> None:
        old, self.nick = self.nick, request.nick
        self.send(wire.NickChanged(author=old, nick=self.nick, id=request.id))

    def do_who(self, request: wire.Who) -> None:
        nicks = sorted(member.nick for member in self.server.room(request.room).members)
        self.send(wire.Members(room=request.room, members=nicks, count=len(nicks), id=request.id))

    def do_rooms(self, request: wire.Rooms) -> None:
        infos = [wire.RoomInfo(room.name, len(room.members), room.topic) for room in self.server.rooms.values()]
        self.send(wire.RoomList(rooms=infos, id=request.id))

    def do_topic(self, request: wire.Topic) -> None:
        self.server.room(request.room).topic = request.msg
        self.send(wire.TopicChanged(author=self.nick, room=request.room, msg=request.msg, id=request.id))

    def do_ping(self, request: wire.Ping) -> None:
        self.send(wire.PongSent(id=request.id))

    def do_pong(self, request: wire.Pong) -> None:
        """Nothing is asked."""

    def do_quit(self, request: wire.Quit) -> None:
        self.send(wire.Stop(msg="", author="server", id=request.id))


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
        self.session = FakeSession(network.server, self.reply)

    def write(self, data: bytes) -> None:
        super().write(data)
        self.network.wrote()

    def reply(self, reply: Any) -> None:
        self.replies.append(wire.encode_line(reply))
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
        """Let what is under way arrive; say whether there was any."""
        data = self.value()
        self.clear()
        for line in data.splitlines():
            if self.ending is None:
                self.session.asked(wire.decode_request(line))
        replies, self.replies = self.replies, []
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
        """Let everything arrive, in both directions."""
        while sum(connection.flush() for connection in tuple(self.connections)):
            pass

    def cut(self) -> None:
        """Lose all connections, and what is under way on them."""
        for connection in tuple(self.connections):
            connection.cut()

    def pass_time(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, and everything arrive meanwhile."""
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.flush()

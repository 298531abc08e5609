"""The whole server on a store and accounts in memory: several connections and datagrams, and what comes of their bytes.

After each step all that was sent is checked: known answers, numbers that rise, acks of what is in the log, and nothing
from rooms that the reader may not enter. Nothing is logged as an error, no secret is logged at all, and once everybody
has left, nothing is remembered of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, cast, get_args

import msgspec
from twisted.internet.address import IPv4Address
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher

from tests.helpers import UNLIMITED, Server
from tests.logins import make_login
from tests.memory_registry import MemoryRegistry
from tests.websockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, frames, request
from twisted_chat import names
from twisted_chat.limits import Limits
from twisted_chat.log import Unavailable
from twisted_chat.login import Policy
from twisted_chat.messages import MAX_OBJECT, decode_bare, decode_reply
from twisted_chat.messages.errors import Code
from twisted_chat.web import WebFactory
from twisted_chat.wire.jsonlines import JSONLinesFactory
from twisted_chat.wire.stream import StreamFactory
from twisted_chat.wire.udp import UDPPort
from twisted_chat.wire.udp.datagram import MAX_DATAGRAM

from .objects import Bytes, Words, make_hello, make_request, pick, spoil
from .objects import encode as write

SECRETS: Final = ("correct horse 1", "correct horse 2", "0123456789abcdef", "fedcba9876543210", "a text of somebody")

WORDS: Final = Words(
    nicks=("boss", "ann", "bob", "eve", "Ann", "аnn", "tom", "server"),
    rooms=("lobby", "den", "Den", "attic", "lobby", "den", "@ann@bob", "x" * 65),
    passwords=(*SECRETS[:2], "", "short"),
    tokens=SECRETS[2:4],
    texts=("", SECRETS[4], SECRETS[4] + "ж" * 700, "🏳️‍🌈\u202e\x1b[2J"),
    who=("ann", "bob", "eve", "tom", "192.0.2.0/24", "192.0.2.2", "2001:db8::/32"),
)

ROOMS: Final = ("lobby", "den", "attic")

ACCOUNTS: Final = ("boss", "ann", "bob")

CODES: Final = frozenset(get_args(Code)) - {"internal"}

PLACES: Final = tuple((f"192.0.2.{number}", 50000 + number) for number in (1, 2, 3))
"""The addresses of the peers."""

PATHS: Final = ("/", "/client.js", "/nothing", "/chat")

MOST_STEPS: Final = 400

TIGHT: Final = Limits(
    rate=5.0,
    burst=20,
    address_rate=10.0,
    address_burst=30,
    connections=6,
    connections_per_address=3,
    rooms_per_session=2,
    members=3,
    rooms=4,
)

SEEDS: Final = tuple(
    bytes([seed % 4, *((seed * 7919 + at * 104729) // 7 % 256 for at in range(300))]) for seed in range(8)
)


class Pipe:
    """A transport, which keeps what is written to it."""

    disconnecting = False

    def __init__(self) -> None:
        self.written = b""
        self.producer: Any = None
        self.is_reading = True
        self.is_over = False

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if not self.is_over:
            self.written += data

    def loseConnection(self) -> None:
        self.is_over = True

    abortConnection = loseConnection

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None, "a second producer"
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.is_reading = False

    def resumeProducing(self) -> None:
        self.is_reading = True

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", *PLACES[0])

    getHost = getPeer


class Reader:
    """What somebody has read, and what it may be."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        """The newest number of each room, since it was joined."""

    def read(self, world: World, obj: dict[str, Any], raw: bytes, wire: Any) -> None:
        kind = obj["type"]
        if kind == "error":
            assert obj.get("code", "denied") in CODES, obj
        elif kind == "joined":
            self.places.pop(names.room(obj["room"]).key, None)
        elif kind in ("", "delete") and "seq" in obj:
            key = world.key_of(obj, wire)
            assert obj["seq"] > self.places.get(key, 0), f"{obj} after {self.places[key]}"
            self.places[key] = obj["seq"]
            world.check_text(key, obj)
        elif kind == "history" and "room" in obj:
            for entry in obj["messages"]:
                world.check_text(names.room(obj["room"]).key, entry)
        elif kind == "ack" and "seq" in obj and "room" in obj:
            log = world.server.fake.logs[names.room(obj["room"]).key]
            assert any(record.seq == obj["seq"] for record in log.records) or obj["seq"] < log.oldest, (
                f"{obj} is not kept"
            )
        world.check_right(obj, wire)


class Peer:
    """A connection over a stream."""

    def __init__(self, world: World, address: tuple[str, int]) -> None:
        self.pipe = Pipe()
        self.address = address
        self.wire = self.factory(world).buildProtocol(IPv4Address("TCP", *address))
        self.reader = Reader()
        self.wire.makeConnection(cast(Any, self.pipe))

    @staticmethod
    def factory(world: World) -> StreamFactory:
        return world.factory

    def send(self, data: bytes) -> None:
        """Send lines."""
        self.send_bytes(data)

    def send_bytes(self, data: bytes) -> None:
        if self.pipe.is_reading and not self.pipe.is_over:
            self.wire.dataReceived(data)

    def send_garbage(self, source: Bytes, line: bytes) -> None:
        """Send a line that is spoiled."""
        self.send_bytes(spoil(source, line)[: MAX_OBJECT * 2])

    def check(self, world: World) -> None:
        written, self.pipe.written = self.pipe.written, b""
        for line in self.lines(written):
            obj = json.loads(line)
            try:
                decode_reply(line)
            except msgspec.ValidationError:
                decode_bare(line)
                assert obj.keys() == {"type", "msg", "author"}, obj
            self.reader.read(world, obj, line, self.wire)

    def lines(self, written: bytes) -> list[bytes]:
        """Return the objects that were written."""
        assert written.endswith(b"\n") or not written, "half a line"
        return written.splitlines()


class Browser(Peer):
    """A connection that begins with HTTP, and mostly becomes a WebSocket."""

    def __init__(self, world: World, address: tuple[str, int]) -> None:
        super().__init__(world, address)
        self.is_upgraded = False
        self.is_closed = False
        if world.source.below(4) == 0:
            self.send_bytes(request(pick(world.source, PATHS), Upgrade=None))
        head = request()
        self.send_bytes(head if world.source.below(8) else spoil(world.source, head))

    @staticmethod
    def factory(world: World) -> StreamFactory:
        return world.web

    def send(self, data: bytes) -> None:
        self.send_bytes(b"".join(frame(TEXT, line) for line in data.splitlines()))

    def send_garbage(self, source: Bytes, line: bytes) -> None:
        """Send a line that is spoiled, in fragments with other frames between them, or frames that are spoiled."""
        match source.below(3):
            case 0:
                self.send_bytes(frame(TEXT, spoil(source, line)[:MAX_OBJECT]))
            case 1:
                opcode = (PING, PONG, CLOSE, BINARY, TEXT)[source.below(5)]
                at = source.below(len(line))
                other = frame(opcode, source.take(20))
                self.send_bytes(frame(TEXT, line[:at], fin=False) + other + frame(CONTINUATION, line[at:]))
            case _:
                self.send_bytes(spoil(source, frame(TEXT, line) + frame(PING, b"abc"))[: MAX_OBJECT * 2])

    def lines(self, written: bytes) -> list[bytes]:
        while written and not self.is_upgraded:
            head, end, written = written.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 ") and end, head
            self.is_upgraded = head.startswith(b"HTTP/1.1 101 ")
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            written = written[int(length[1]) if length else 0 :]
        found = frames(written)
        assert not (found and self.is_closed), "more comes after a close frame"
        self.is_closed = any(opcode == CLOSE for opcode, _ in found)
        assert CLOSE not in [opcode for opcode, _ in found[:-1]], "more comes after a close frame"
        return [payload for opcode, payload in found if opcode == TEXT]


class World:
    """The server, its peers, and what may be logged."""

    def __init__(self, source: Bytes) -> None:
        self.source = source
        shape = source.below(4)
        registry = MemoryRegistry()
        policy = Policy(operators=frozenset({"boss"}), guests=shape != 3)
        self.registry = registry
        self.login = make_login(registry, policy)
        self.server = Server(limits=TIGHT if shape == 2 else UNLIMITED, tail_bytes=300, accounts=self.login)
        self.factory = JSONLinesFactory(self.server.chat)
        self.web = WebFactory(self.server.chat)
        self.port = UDPPort(self.server.chat)
        cast(Any, self.port).transport = self
        self.sent: list[tuple[tuple[str, int], bytes]] = []
        self.peers: list[Peer] = []
        self.readers: dict[int, Reader] = {}
        self.numbers: dict[int, int] = {}
        self.cookies: dict[tuple[str, int], str] = {}
        self.events: list[LogEvent] = []
        self.trimmed: dict[str, int] = {}
        """Up to which number the logs were trimmed."""
        self.said = 0
        self.deleted: set[tuple[str, int]] = set()
        """The logs and numbers of the messages that were deleted before this step."""
        self.deleting: set[tuple[str, int]] = set()
        self.has_changed = False
        """True if rules were changed in this turn of the server."""
        self.allowed: dict[tuple[int, str], bool] = {}
        """Who might enter which room before this turn, at whose end everything is written."""
        registry.rules.follow(self._changed)
        for nick in ACCOUNTS:
            self._register(nick)

    def _changed(self, change: object) -> None:
        self.has_changed = True

    def _register(self, nick: str) -> None:
        peer = self.server.connect("127.0.0.1")
        peer.send({"type": "hello", "nick": nick}, {"type": "register", "password": SECRETS[0]})
        self.server.settle()
        assert [obj["type"] for obj in peer.got()] == ["welcome", "registered"]
        peer.cut()

    # A transport for datagrams

    def write_datagram(self, datagram: bytes, address: tuple[str, int]) -> None:
        assert len(datagram) <= MAX_DATAGRAM, len(datagram)
        self.sent.append((address, datagram))

    write = write_datagram

    # What is checked

    def key_of(self, obj: dict[str, Any], wire: Any) -> str:
        """Name the log that a record is of."""
        if "room" in obj:
            return names.room(obj["room"]).key
        return "@".join(sorted((names.nick(obj["author"]).key, names.nick(obj["to"]).key)))

    def may(self, wire: Any, room: str) -> bool:
        participant = wire.participant
        if getattr(participant, "nick", None) in (None, names.NOBODY):
            return True  # a bare client that has said nothing yet, or nobody
        return self.server.chat.may_enter(participant, names.room(room))

    def check_text(self, log: str, entry: dict[str, Any]) -> None:
        """No text comes after its deletion was told, or acked, in an earlier step."""
        if entry.get("type") == "delete":
            self.deleting.add((log, entry["of"]))
        elif entry.get("msg"):
            assert (log, entry["seq"]) not in self.deleted, f"{entry} was deleted"

    def check_right(self, obj: dict[str, Any], wire: Any) -> None:
        """No message of a room reaches one who might not enter it before the turn and may not now."""
        room = obj.get("room")
        if obj["type"] in ("", "delete", "history", "joined", "members", "topic", "join", "leave", "nick") and room:
            key = names.room(room).key
            if not self.has_changed and not self.may(wire, room) and not self.allowed.get((id(wire), key), True):
                raise AssertionError(f"{wire.participant.nick.shown} may not read {room}: {obj}")

    def check(self) -> None:
        for peer in self.peers:
            peer.check(self)
        sent, self.sent = self.sent, []
        for address, datagram in sent:
            obj = json.loads(datagram)
            if obj["type"] == "cookie":
                self.cookies[address] = obj["cookie"]
                continue
            decode_reply(datagram)
            wire = self.port.wires.get(address)
            if wire is None:
                continue  # the session has ended in this step
            assert obj["n"] > 0
            self.readers.setdefault(id(wire), Reader())
            if obj["type"] in ("", "error"):
                self.check_right(obj, wire)
        for event in self.events:
            text = formatEvent(event)
            assert event["log_level"] < LogLevel.error and "log_failure" not in event, text + str(
                event.get("log_failure")
            )
            assert text.isprintable(), f"what a terminal obeys is logged: {text!a}"
            for secret in SECRETS:
                assert secret not in text, f"a secret is logged: {text}"
        self.events.clear()
        self.deleted |= self.deleting
        if self.server.chat.rooms.turn._scheduled:
            return  # what is decided in a turn is written at its end, which may be some steps later
        self.has_changed = False
        wires = [*(peer.wire for peer in self.peers), *self.port.wires.values()]
        self.allowed = {(id(wire), room): self.may(wire, room) for wire in wires for room in ROOMS if _is_there(wire)}

    # What happens

    def step(self) -> None:
        actions = (
            (self.ask, 8),
            (self.greet, 1),
            (self.talk, 4),
            (self.connect, 2),
            (self.send_garbage, 2),
            (self.send_datagram, 4),
            (self.pause, 1),
            (self.end, 1),
            (self.wait, 2),
            (self.break_store, 1),
            (self.mend_store, 2),
            (self.trim, 1),
        )
        table: list[Callable[[], None]] = [action for action, weight in actions for _ in range(weight)]
        pick(self.source, table)()
        if self.source.below(4):
            self.server.settle()
        self._hang_up()
        self.check()

    def _hang_up(self) -> None:
        """Tell the server that the connections that it has closed are closed."""
        for peer in tuple(self.peers):
            if peer.pipe.is_over:
                peer.check(self)
                self.peers.remove(peer)
                peer.wire.connectionLost()

    def peer(self) -> Peer:
        if not self.peers:
            self.connect()
        if not self.peers:
            raise Done
        return pick(self.source, self.peers)

    def connect(self) -> None:
        if len(self.peers) < 8:
            peer = (Browser if self.source.below(3) == 0 else Peer)(self, pick(self.source, PLACES))
            if peer.pipe.is_over:
                peer.wire.connectionLost()
                return
            self.peers.append(peer)
            if self.source.below(4):
                self.send_hello(peer)

    def send_hello(self, peer: Peer) -> None:
        """Say hello, mostly with the right password, and join a room or two."""
        nick = pick(self.source, WORDS.nicks[:-1])
        obj = {"type": "hello", "nick": nick, **({"password": SECRETS[0]} if nick in ACCOUNTS else {})}
        if self.source.below(2):
            obj["token"] = SECRETS[2 + self.source.below(2)]
        for sent in (obj, *({"type": "join", "room": room} for room in ROOMS[: self.source.below(3)])):
            peer.send(json.dumps(sent).encode() + b"\n")

    def greet(self) -> None:
        self.peer().send(write(self.source, make_hello(self.source, WORDS)) + b"\n")

    def talk(self) -> None:
        """Say something in a room, with an id by which an ack can be checked, or read the room."""
        room = pick(self.source, ROOMS)
        kind = self.source.below(5)
        if kind == 0:
            obj: dict[str, Any] = {"type": "history", "room": room}
        elif kind == 4:
            self.said += 1
            obj = {"type": "delete", "room": room, "of": self.source.below(8), "id": f"said{self.said}"}
        elif kind == 1:
            obj = {"type": "join", "room": room, "since": self.source.below(8)}
        else:
            self.said += 1
            obj = {"type": "", "room": room, "msg": pick(self.source, WORDS.texts), "id": f"said{self.said}"}
        self.peer().send(json.dumps(obj).encode() + b"\n")

    def ask(self) -> None:
        peer = self.peer()
        requests = [write(self.source, make_request(self.source, WORDS)) for _ in range(1 + self.source.below(3))]
        peer.send(b"\n".join(requests) + b"\n")

    def send_garbage(self) -> None:
        line = write(self.source, make_request(self.source, WORDS)) + b"\n"
        self.peer().send_garbage(self.source, line)

    def send_datagram(self) -> None:
        address = pick(self.source, PLACES)
        if address not in self.cookies or self.source.below(8) == 0:
            nick = pick(self.source, WORDS.nicks[:-1])
            hello = {"type": "hello", "nick": nick, "pad": "x" * 256, "password": SECRETS[0], "token": SECRETS[2]}
            self.port.datagramReceived(json.dumps(hello).encode(), address)
            self.check()
            hello["cookie"] = self.cookies.get(address, "")
            self.port.datagramReceived(json.dumps(hello).encode(), address)
            return
        obj = make_hello(self.source, WORDS) if self.source.below(8) == 0 else make_request(self.source, WORDS)
        match self.source.below(4):
            case 0:
                obj["token"] = SECRETS[2]
            case 1:
                obj["n"] = self.source.below(8)
                obj["token"] = SECRETS[2]
            case 2:
                obj.pop("token", None)
        if obj["type"] == "hello":
            obj["cookie"] = self.cookies.get(address, "x")
            obj["pad"] = "x" * 256
        data = write(self.source, obj)
        if self.source.below(6) == 0:
            data = spoil(self.source, data)
        self.port.datagramReceived(data[:60_000], address)

    def pause(self) -> None:
        producer = self.peer().pipe.producer
        if producer is not None:
            (producer.pauseProducing if self.source.below(3) == 0 else producer.resumeProducing)()

    def end(self) -> None:
        peer = self.peer()
        if self.source.below(2):
            self.peers.remove(peer)
            peer.check(self)
            peer.wire.connectionLost()
        else:
            peer.wire.readConnectionLost()

    def wait(self) -> None:
        self.server.clock.advance((0, 0.3, 1, 10, 70, 3700)[self.source.below(6)])

    def break_store(self) -> None:
        match self.source.below(3):
            case 0:
                self.server.fake.held |= {"append", "after", "before", "open", "set_topic"}
            case 1:
                name = ("append", "after", "before", "open", "set_topic", "rooms", "directs")[self.source.below(7)]
                self.server.fake.failing[name] = Unavailable("the disk is full")
            case _:
                self.registry.is_unavailable = True

    def mend_store(self) -> None:
        fake = self.server.fake
        if self.source.below(2) and fake.waiting:
            if self.source.below(3) == 0:
                fake.refuse()
            else:
                fake.release()
        else:
            self._mend_all()

    def _mend_all(self) -> None:
        fake = self.server.fake
        fake.held.clear()
        fake.failing.clear()
        self.registry.is_unavailable = False
        while fake.waiting:
            fake.release()
            self.server.settle()

    def trim(self) -> None:
        for log in self.server.fake.logs.values():
            if log.records and self.source.below(2):
                self.trimmed[log.name.key] = max(self.trimmed.get(log.name.key, 0), log.seq // 2)
                log.trim(log.seq // 2)

    def finish(self) -> None:
        """Everybody leaves; then nothing is left but the logs and the accounts."""
        self._mend_all()
        for peer in self.peers:
            if peer.pipe.producer is not None:
                peer.pipe.producer.resumeProducing()
        self.server.settle()
        self._hang_up()
        self.check()
        while self.peers:
            self.peers.pop().wire.connectionLost()
        self.server.settle()
        for _ in range(8):
            self.server.clock.advance(60)
        self.sent.clear()
        self.check()
        chat = self.server.chat
        assert not self.port.wires, f"sessions of UDP are left: {self.port.wires}"
        assert not chat.wires, f"connections are left: {chat.wires}"
        assert not chat._networks and not chat._refused, "addresses are left"
        assert not chat.rooms.occupied(), f"members are left: {chat.rooms.occupied()}"
        for nick in WORDS.nicks:
            assert not chat.nicks.bearers(nick.casefold()), f"{nick} is left"
        stopped: list[None] = []
        chat.stop("the end").addCallback(stopped.append)
        self.server.clock.advance(3)
        assert stopped == [None], "it does not stop"


class Done(Exception):
    """Nothing more can happen."""


def _is_there(wire: Any) -> bool:
    return getattr(wire, "_participant", True) is not None


def run(data: bytes) -> None:
    """Let things happen in the order that the bytes say."""
    source = Bytes(data)
    world = World(source)
    observe = cast(ILogObserver, world.events.append)
    globalLogPublisher.addObserver(observe)
    try:
        for _ in range(MOST_STEPS):
            if source.is_used_up:
                break
            try:
                world.step()
            except Done:
                break
        world.finish()
    finally:
        globalLogPublisher.removeObserver(observe)

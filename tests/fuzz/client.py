"""The client of a hostile server: its engine survives whatever is sent, and nothing reaches the terminal raw."""

from __future__ import annotations

import json
import unicodedata
from contextlib import suppress
from dataclasses import fields, is_dataclass
from itertools import count
from typing import Any, Final, get_args

from twisted_chat.client.program.clean import clean, clean_lines
from twisted_chat.client.protocol.datagrams import Datagrams
from twisted_chat.client.protocol.engine import Engine
from twisted_chat.client.protocol.errors import ChatError
from twisted_chat.client.protocol.lines import EndlessLineError, LineReader
from twisted_chat.messages import Reply

from .objects import ODD, Bytes, Words, make_request, pick, spoil
from .objects import encode as write

TYPES: Final = sorted(get_args(Reply), key=lambda cls: cls.__name__)
"""The structs of all that a server sends."""

WORDS: Final = Words(
    nicks=("ann", "bob", "ANN", "\x1b[31mann", "", "x" * 5000),
    rooms=("lobby", "den", "Lobby", "", "@ann@bob"),
    passwords=("correct horse",),
    tokens=("0123456789abcdef",),
    texts=(
        "",
        "hi",
        "\x1b]0;x\x07\u202e\u2028\u200b",
        " " * 200 + "ann: false",
        "a" + "\u0301" * 99,
        "\U000e0067\r\n\t\x9b",
    ),
    who=("ann",),
)

FORBIDDEN: Final = frozenset(
    "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff"
)
"""What hides text, turns it round, or ends a line."""

MOST_STEPS: Final = 300

MOST_TEXT: Final = 200
"""Characters of a text that are looked at: cleaning one costs a microsecond each."""

SEEDS: Final = tuple(bytes([number % 2, *range(number, 256, 3), *range(number, 256, 5)]) for number in range(6))


class Server:
    """The hostile server, and the client's user."""

    def __init__(self, source: Bytes) -> None:
        self.source = source
        self.now = 1000.0
        numbers = count(1)
        self.engine = Engine("ann", "the server", lambda: str(next(numbers)), password="correct horse")
        self.datagrams: Datagrams | None = None
        self.is_udp = bool(source.below(2))
        self.lines = LineReader()
        self.asked: list[dict[str, Any]] = []
        """The requests that the client has sent, which answers may refer to."""
        self.is_connected = False

    def step(self) -> None:
        if not self.is_connected:
            self.connect()
        match self.source.below(8):
            case 0:
                self.act()
            case 1:
                self.now += (0, 0.2, 5, 61)[self.source.below(4)]
                with suppress(TimeoutError):
                    if self.datagrams is not None:
                        self.datagrams.tick(self.now)
                self.engine.tick(self.now)
            case 2:
                self.lose("the cable")
            case 3:
                self.greet()
            case _:
                self.send(self.make_object())
        self.turn()

    def connect(self) -> None:
        self.is_connected = True
        self.lines = LineReader()
        self.datagrams = Datagrams(self.now) if self.is_udp else None
        self.engine.connected(self.now)
        self.turn()

    def lose(self, why: str) -> None:
        if self.is_connected:
            self.is_connected = False
            self.engine.lost(why, self.now)

    def greet(self) -> None:
        """Welcome the client, as an honest server does, so that more is possible."""
        hello: dict[str, Any] = next((obj for obj in reversed(self.asked) if obj.get("type") == "hello"), {})
        limits = {"object": 1200, "rate": self.source.below(300), "burst": self.source.below(300)}
        self.send({"type": "welcome", "id": hello.get("id"), "nick": "ann", "server": "s", "limits": limits})

    def make_object(self) -> dict[str, Any]:
        obj = make_request(self.source, WORDS, TYPES)
        for name, value in obj.items():
            if name in ("messages", "members", "rooms", "bans", "actions", "tokens", "directs") and self.source.below(
                4
            ):
                obj[name] = [self.item() for _ in range(self.source.below(4))]
            elif name == "limits":
                obj[name] = {"object": self.source.below(2000), "rate": 5, "burst": pick(self.source, ODD)}
            elif name == "time":
                obj[name] = pick(self.source, ("2026-11-22T11:06:36.125Z", "", value))
        if self.asked and self.source.below(3):
            obj["id"] = pick(self.source, self.asked[-8:]).get("id")
        if self.source.below(4) == 0:
            obj[pick(self.source, ("seq", "room", "msg", "messages", "more", "nick", "n", "id"))] = pick(
                self.source, ODD
            )
        return obj

    def item(self) -> Any:
        """Make a part of a page."""
        if self.source.below(6) == 0:
            return pick(self.source, ODD)
        if self.source.below(6) == 0:
            return pick(self.source, WORDS.nicks)
        obj = make_request(self.source, WORDS, TYPES)
        obj["seq"] = self.source.below(30)
        return obj

    def send(self, obj: dict[str, Any]) -> None:
        if self.datagrams is not None:
            obj.setdefault("n", self.source.below(20))
        data = write(self.source, obj)
        if self.source.below(5) == 0:
            data = spoil(self.source, data)
        if self.datagrams is not None:
            self.datagrams.received(data, self.now)
            self.hear(self.datagrams.take_objects())
            return
        with suppress(EndlessLineError):
            self.hear(self.lines.received(data + b"\n"))

    def hear(self, objects: list[dict[str, Any]]) -> None:
        for obj in objects:
            self.engine.received(obj, self.now)

    def act(self) -> None:
        """Do what a program does with a client."""
        engine = self.engine
        with suppress(ChatError, ValueError):
            match self.source.below(6):
                case 0 | 1:
                    engine.join(pick(self.source, ("lobby", "den")), pick(self.source, (None, 0, 7)))
                case 2:
                    for membership in tuple(engine.memberships.values())[:1]:
                        engine.say(membership, pick(self.source, ("hi", "x" * 3000)))
                case 3:
                    engine.history("lobby", None, None, 50)
                case 4:
                    for membership in tuple(engine.memberships.values()):
                        for _ in range(3):
                            message = engine.take(membership)
                            if message is not None:
                                show(message)
                case _:
                    engine.who("lobby")
                    engine.rooms()

    def turn(self) -> None:
        """Do what a shell does."""
        rounds = 0
        while self.engine.has_work:
            rounds += 1
            assert rounds < 1000, "the engine is never done"
            for obj in self.engine.take_objects(self.now):
                data = json.dumps(obj).encode()
                assert len(data) < 2**17, "a request has no bound"
                self.asked.append(obj)
                if self.datagrams is not None:
                    with suppress(ValueError):
                        self.datagrams.send(obj, self.now)
            for event in self.engine.take_events():
                show(event)
        if self.datagrams is not None:
            for datagram in self.datagrams.take_datagrams():
                assert len(datagram) <= 1200, f"a datagram of {len(datagram)} bytes"
        if self.engine.hang_up is not None:
            self.lose(self.engine.hang_up)
        del self.asked[:-64]


def show(thing: Any) -> None:
    """Clean all texts of an event as the program does, and check what is left of them."""
    for value in texts_of(thing):
        line = clean(value[:MOST_TEXT])
        check_line(line)
        assert clean(line) == line, "cleaning twice changes more"
        for line in clean_lines(value[:MOST_TEXT]):
            check_line(line)


def texts_of(thing: Any, depth: int = 4) -> list[str]:
    if isinstance(thing, str):
        return [thing]
    if isinstance(thing, ChatError):
        return [str(thing)]
    if not depth:
        return []
    if is_dataclass(thing) and not isinstance(thing, type):
        parts = [getattr(thing, field.name, None) for field in fields(thing)]
    elif isinstance(thing, list | tuple):
        parts = list(thing)
    else:
        parts = []
    return [text for part in parts for text in texts_of(part, depth - 1)]


def check_line(line: str) -> None:
    assert len(line.splitlines()) <= 1, repr(line)
    for character in line:
        assert unicodedata.category(character) not in ("Cc", "Cs"), repr(line)
        assert character not in FORBIDDEN, repr(line)


def run(data: bytes) -> None:
    """Let a hostile server and a user do what the bytes say; the rest of the bytes is a text that is shown."""
    source = Bytes(data)
    server = Server(source)
    for _ in range(MOST_STEPS):
        if source.is_used_up:
            break
        server.step()
    show(data.decode("utf-8", "surrogateescape"))
    show(data.decode("utf-16", "replace"))

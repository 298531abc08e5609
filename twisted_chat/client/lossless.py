"""What TCP would give, made of datagrams: every message of a room once, in order and whole.

`datagrams.py` puts what comes in order and says where something is missing. Here that is read from the rooms' logs,
and so are the ends of texts that did not fit into a datagram. Who talks to a server through this need not know that it
is UDP. No socket, no thread and no clock here either.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from .datagrams import GAP, Datagrams, Object
from .keys import key
from .partial_log import PartialLog
from .room_reader import PAGE, RoomReader

REST_SECONDS: Final = 2.0
"""After so long a part of the log that was refused is asked for again, where the server does not say when."""

LEAST_REST: Final = 0.05
"""Seconds that it waits at least, whatever the server says: a `retry` of 0 must not keep both of them busy."""

MAX_TEXT: Final = 2**16
"""Characters of a text whose parts are read; a server takes a quarter of that in one message."""


class _Room(RoomReader[Object]):
    """A room that the server has us in."""

    def __init__(self, name: str, log: PartialLog[Object]) -> None:
        super().__init__(log, itemgetter("author"))
        self.name = name
        self.key = key(name)
        self.completing = 0
        """Of which message the rest of its text is being read."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A part of a log that was asked for here."""

    where: Object
    take: Callable[[Object, float], None]
    room: _Room | None = None
    """The room for which it is read on, and only while one is in it."""


class Lossless:
    """One session over UDP, with the interface of `Datagrams`, and without its gaps."""

    def __init__(self, token: str, now: float) -> None:
        self._datagrams = Datagrams(token, now)
        self._nick = ""
        self._rooms: dict[str, _Room] = {}
        self._said: defaultdict[str, set[str]] = defaultdict(set)
        """The ids of messages under way, by the keys of their rooms."""
        self._joining: dict[str, tuple[str, set[int]]] = {}
        """Joins under way by their ids: the key of the room, and what was acked there since the join was asked for."""
        self._reads: dict[str, _Read] = {}
        self._put_off: list[tuple[float, _Read]] = []
        """What was refused, with the time when it is asked for again."""
        self._objects: list[Object] = []

    @property
    def proven(self) -> bool:
        """The server has answered."""
        return self._datagrams.proven

    def due(self) -> float:
        """Say when `tick` has something to do."""
        return min([self._datagrams.due(), *(due for due, _ in self._put_off)])

    def take_datagrams(self) -> list[bytes]:
        """Take what is to be sent."""
        return self._datagrams.take_datagrams()

    def take_objects(self) -> list[Object]:
        """Take what the server said."""
        objects, self._objects = self._objects, []
        return objects

    def send(self, obj: Object, now: float) -> None:
        """Ask something."""
        match obj:
            case {"type": "", "room": name, "id": id}:
                self._said[key(name)].add(id)
            case {"type": "join", "room": name, "id": id}:
                self._joining[id] = key(name), set()
        self._datagrams.send(obj, now)

    def received(self, datagram: bytes, now: float) -> None:
        """Take what came."""
        self._datagrams.received(datagram, now)
        self._go_on(now)

    def tick(self, now: float) -> None:
        """Do what is due. Raises `TimeoutError` when the server is gone, or knows nothing of this session."""
        due = [read for when, read in self._put_off if when <= now]
        self._put_off = [(when, read) for when, read in self._put_off if when > now]
        for read in due:
            if read.room is None or self._rooms.get(read.room.name) is read.room:
                self._ask(read, now)
        self._datagrams.tick(now)
        self._go_on(now)

    # How

    def _go_on(self, now: float) -> None:
        for obj, request in self._datagrams.take_objects():
            try:
                self._take(obj, request, now)
            except (KeyError, TypeError, ValueError):  # it makes no sense here: a newer server may say more
                self._objects.append(obj)
        for room in tuple(self._rooms.values()):
            self._hand_out(room, now)

    def _take(self, obj: Object, request: Object | None, now: float) -> None:
        if obj is GAP:
            for room in self._rooms.values():
                room.log.broken()
        elif obj["type"] == "" and "to" not in obj:
            if obj["room"] in self._rooms:
                self._rooms[obj["room"]].log.heard(obj["seq"], obj)
        elif request is None:
            self._objects.append(obj)
        elif (read := self._reads.pop(request["id"], None)) is None:
            self._answered(obj, request)
            if not self._needs_more(obj, request, now):
                self._objects.append(obj)
        elif obj["type"] == "history":
            read.take(obj, now)
        else:
            self._put_off.append((now + max(LEAST_REST, obj.get("retry", REST_SECONDS)), read))

    def _answered(self, answer: Object, request: Object) -> None:
        """Note what an answer says of the session."""
        if request["type"] == "" and "room" in request:
            self._said[key(request["room"])].discard(request["id"])
        _, own = self._joining.pop(request["id"], ("", set()))
        match answer["type"], request["type"]:
            case "welcome", _:
                self._nick = answer["nick"]
                answer["limits"]["object"] -= self._datagrams.overhead
            case "nick", "nick":
                self._nick = answer["nick"]
            case "joined", "join":
                since = request.get("since")
                log = PartialLog[Object](answer["seq"] if since is None else min(since, answer["seq"]))
                log.own = {seq for seq in own if seq > log.seq}
                self._rooms[answer["room"]] = _Room(answer["room"], log)
            case "left", "leave":
                self._rooms.pop(answer["room"], None)
            case "ack", _ if "seq" in answer and "room" in answer:
                self._acked(answer["room"], answer["seq"])

    def _acked(self, name: str, seq: int) -> None:
        if name in self._rooms:
            self._rooms[name].log.acked(seq)
        for joining, own in self._joining.values():
            if joining == key(name):
                own.add(seq)

    def _hand_out(self, room: _Room, now: float) -> None:
        """Hand out what is known, and ask for what is not."""
        while (message := room.ready(self._nick, self._said[room.key])) is not None:
            if message.get("rest"):
                if room.completing != message["seq"]:
                    room.completing = message["seq"]
                    self._complete(message, now, lambda: None)
                break
            self._objects.append(message)
            room.log.advance()
        for after in room.gaps():
            self._fill(room, after, now)

    def _fill(self, room: _Room, after: int, now: float) -> None:
        """Read what is missing behind a message."""

        def take(page: Object, _: float) -> None:
            room.release(after)
            room.read(after, {message["seq"]: message for message in page["messages"]}, page["more"])

        read = _Read({"room": room.name, "after": after, "limit": PAGE}, take, room)
        if room.pause:
            self._put_off.append((now + room.pause, read))
        else:
            self._ask(read, now)

    def _complete(self, message: Object, now: float, done: Callable[[], None]) -> None:
        """Read what follows of a text that did not fit into a datagram; where there is no more, that was all."""

        def take(page: Object, now: float) -> None:
            parts = [part for part in page["messages"] if part["seq"] == message["seq"]]
            part = parts[0]["msg"] if parts else ""
            message["msg"] += part
            if part and parts[0].get("rest") and len(message["msg"]) < MAX_TEXT:
                self._complete(message, now, done)
            else:
                del message["rest"]
                done()

        where = {"room": message["room"], "after": message["seq"] - 1, "limit": 1, "skip": len(message["msg"])}
        self._ask(_Read(where, take), now)

    def _needs_more(self, answer: Object, request: Object, now: float) -> bool:
        """See whether there is a message in a page whose text is not whole; if so, the page is handed on later."""
        for message in answer["messages"] if answer["type"] == "history" else ():
            if message.get("rest"):
                answer["more"] |= "after" in request  # there may be, when it is handed on
                self._complete(message, now, lambda: self._objects.append(answer))
                return True
        return False

    def _ask(self, read: _Read, now: float) -> None:
        id = str(uuid.uuid4())
        self._reads[id] = read
        self._datagrams.send({"type": "history", "id": id, **read.where}, now)

"""A session over UDP: requests are sent again until they are answered, and received objects are put in order.

A shell passes in the datagrams that it receives and the time, sends what `take_datagrams` returns, and passes what
`take_objects` returns to the engine. A `GAP` stands where something got lost; the engine reads that from the logs of
the rooms. `docs/udp.md` describes the wire.
"""

from __future__ import annotations

import math
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Final

from .objects import GAP, Object, decode, encode

MAX_DATAGRAM: Final = 1200
"""The maximum size of a datagram in bytes: it fits into the packets of nearly every network, unfragmented."""

MAX_NUMBER: Final = 10**9
"""A request number that no session reaches: each request leaves space for its digits."""

WINDOW: Final = 64
"""The maximum number of numbered requests in flight: as many as the server reorders. The same holds for the others."""

ASK_SECONDS: Final = 15.0
"""Seconds without an answer after which the client sends a ping. The server ends a session after a silent minute."""

DEAD_SECONDS: Final = 5.0
"""Seconds for which a server may answer nothing. After that it is gone, or knows the client by another address."""

FIRST_PATIENCE: Final = 0.25
LEAST_PATIENCE: Final = 0.03
LONGEST_PATIENCE: Final = 1.0
"""Seconds before an unanswered request is sent again: before the round trip is known, at least, and at most."""

PATIENT_TRIES: Final = 4
"""The number of tries after which the pauses grow: single losses say nothing about how busy the network is."""

UNNUMBERED: Final = frozenset({"hello", "history", "who", "rooms", "ping"})
"""Requests that are idempotent and may overtake others. They need no number."""

FIELDS: Final[dict[str, type]] = {
    **dict.fromkeys(("type", "id", "cookie", "room", "author", "msg", "nick"), str),
    **dict.fromkeys(("n", "seq", "of", "rest"), int),
    "limits": dict,
    "messages": list,
    "more": bool,
}
"""The types of the fields that are used here and to read the logs of rooms. The engine checks the others."""

NEEDED: Final = {"cookie": ("cookie",), "history": ("messages", "more")}
"""The fields that an object of a type must have. For messages see `_is_direct` and `_is_message`."""


@dataclass(slots=True)
class Unanswered:
    """A request that has no answer yet."""

    obj: Object
    due: float = 0.0
    """When it is sent, or sent again."""
    first: float = 0.0
    said: float = 0.0
    """When it was sent first, and when last."""
    tries: int = 0
    gaps: int = 0
    """The number of gaps so far when it was sent first."""
    given_id: bool = True
    """Its id was set by the engine, and not here."""


class Datagrams:
    """One session, from its first hello: requests go in, and what the server sends comes out in order, with its gaps.

    The server sends nothing to an address that has not proved itself. So the session begins with an empty hello, which
    is repeated until the server has sent a cookie; the real hello waits for that.
    """

    def __init__(self, now: float) -> None:
        self.proven = False
        """True once the server has answered with a cookie."""
        self._token = ""
        """The secret of the session, from its hello."""
        self._cookie = ""
        self._first_hello = Unanswered({"type": "hello", "pad": "." * 224}, due=now)
        self._asked: dict[str, Unanswered] = {}
        self._arrived: dict[str, Unanswered] = {}
        """Requests whose answers have arrived, and wait for the datagrams before them."""
        self._waiting: tuple[deque[Unanswered], deque[Unanswered]] = deque(), deque()
        """Requests that wait because too many are in flight: those without a number, and those with one."""
        self._count = 0
        """The number of requests that have got a number."""
        self._next: int | None = None
        """The number of the next datagram; unknown before the first."""
        self._early: dict[int, Object] = {}
        self._give_up = 0.0
        """When the datagrams missing in front of `_early` are given up."""
        self._gaps = 0
        self._heard = now
        self._answered = now
        self._round_trip = FIRST_PATIENCE / 2
        """The smoothed round trip, in seconds."""
        self._backoff = 1.0
        """A factor on the round trip. The answer to a request that was sent twice does not tell which of the two it
        answers. On a long way all are sent twice, and nothing could be measured (Karn and Partridge, 1987)."""
        self._objects: list[Object] = []
        self._datagrams: list[bytes] = []

    # Output to the shell

    def take_datagrams(self) -> list[bytes]:
        """Return the datagrams to be sent."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def take_objects(self) -> list[Object]:
        """Return what the server has sent, with a `GAP` where something is missing."""
        objects, self._objects = self._objects, []
        return objects

    def due(self) -> float:
        """Return the time of the next `tick`."""
        if self._objects:
            return 0.0
        if not self.proven:
            return self._first_hello.due
        times = [asked.due for asked in self._asked.values()] or [self._answered + ASK_SECONDS]
        return min(*times, self._give_up) if self._early else min(times)

    # Input from the shell

    def send(self, obj: Object, now: float) -> None:
        """Send a request until it is answered. A `pong`, which asks for nothing, is sent once."""
        if obj["type"] == "pong":
            self._datagrams.append(encode({**obj, "token": self._token}))
            return
        self._token = obj.get("token", self._token)
        asked = Unanswered({"id": str(uuid.uuid4()), **obj, "token": self._token}, given_id="id" in obj)
        if len(encode(asked.obj | {"n": MAX_NUMBER})) > MAX_DATAGRAM:
            error = {"type": "error", "code": "too-long", "msg": f"a datagram has at most {MAX_DATAGRAM:,} bytes"}
            self._objects.append({**error, "author": "server", "id": asked.obj["id"]})
            return
        self._waiting[obj["type"] not in UNNUMBERED].append(asked)
        self._send_waiting()
        self._say_due(now)

    def received(self, datagram: bytes, now: float) -> None:
        """Take a datagram that was received."""
        obj = decode(datagram)
        if obj is None:
            return
        sound = is_sound(obj)
        if sound and obj["type"] == "cookie":
            self._take_cookie(obj["cookie"])
        elif type(obj.get("n")) is int:
            self._heard = now
            self._take(obj.pop("n"), obj if sound else GAP, now)
        self._send_waiting()

    def tick(self, now: float) -> None:
        """Do what is due. Raises `TimeoutError` if the server is gone, or does not know this session."""
        if not self.proven:
            if self._first_hello.due <= now:
                self._first_hello.due = now + FIRST_PATIENCE
                self._datagrams.append(encode(self._first_hello.obj))
            return
        if not self._asked and now - self._answered >= ASK_SECONDS:
            self.send({"type": "ping"}, now)
        self._say_due(now)
        self._put_in_order(now)

    # How

    def _take_cookie(self, cookie: str) -> None:
        """Take a cookie. It replaces an earlier one if a hello with that was not answered: the server was restarted."""
        self.proven = True
        hellos = [asked for asked in self._asked.values() if asked.obj["type"] == "hello"]
        if not self._cookie or any(hello.tries > 1 for hello in hellos):
            self._cookie = cookie
        for hello in hellos:
            hello.obj["cookie"] = self._cookie

    def _send_waiting(self) -> None:
        """Move waiting requests into the window, as far as there is space."""
        if not self.proven:
            return
        free, numbered = self._waiting
        while free and sum("n" not in asked.obj for asked in self._asked.values()) < WINDOW:
            asked = free.popleft()
            if asked.obj["type"] == "hello":
                asked.obj["cookie"] = self._cookie
            self._asked[asked.obj["id"]] = asked
        while numbered and self._count < self._oldest() + WINDOW - 1:
            asked = numbered.popleft()
            self._count += 1
            asked.obj["n"] = self._count
            self._asked[asked.obj["id"]] = asked

    def _oldest(self) -> int:
        """Return the oldest unanswered number. The server forgets its answer after a window of others."""
        numbers = (asked.obj["n"] for asked in self._asked.values() if "n" in asked.obj)
        return next(numbers, self._count + 1)

    def _say_due(self, now: float) -> None:
        """Send, or send again, the requests that are due."""
        for asked in self._asked.values():
            if asked.due <= now:
                is_hello = asked.obj["type"] == "hello"
                grown = 1.0 if is_hello else 1.5 ** min(max(0, asked.tries - PATIENT_TRIES), 20)
                patience = max(2 * self._round_trip * self._backoff, LEAST_PATIENCE) * grown
                if asked.tries == 0:
                    asked.first = now
                    asked.gaps = self._gaps
                elif (
                    now - max(asked.first, self._heard) > DEAD_SECONDS and asked.tries > PATIENT_TRIES and not is_hello
                ):
                    raise TimeoutError("nothing was heard of the server")
                asked.tries += 1
                asked.said = now
                asked.due = now + min(patience, LONGEST_PATIENCE)
                self._datagrams.append(encode(asked.obj))

    def _take(self, number: int, obj: Object, now: float) -> None:
        id = _id(obj)
        late = self._next is not None and number < self._next
        if late and obj.get("type") == "history":
            return  # it says where the log ended before later objects that were passed on, so it is requested again
        if id is not None and id in self._asked:
            asked = self._arrived[id] = self._asked.pop(id)
            self._answered = now
            if asked.tries == 1:
                self._round_trip += (now - asked.said - self._round_trip) / 8
                self._backoff = 1.0
            else:
                self._backoff = min(self._backoff * 1.25, LONGEST_PATIENCE / max(self._round_trip, 0.001))
        if self._next is None:
            self._next = number
        if late:  # it was given up, together with those around it
            if id in self._arrived:
                self._hand_on(obj)
                self._objects.append(GAP)
        elif number not in self._early:
            if not self._early:
                self._give_up = now + min(max(self._round_trip, LEAST_PATIENCE), LONGEST_PATIENCE)
            self._early[number] = obj
            self._put_in_order(now)

    def _put_in_order(self, now: float) -> None:
        """Pass on the objects in order, up to the first missing datagram, and beyond it once that is given up."""
        while self._early:
            assert self._next is not None
            if self._next in self._early:
                self._hand_on(self._early.pop(self._next))
                self._next += 1
            elif now >= self._give_up or len(self._early) > 4 * WINDOW:
                self._gaps += 1
                self._objects.append(GAP)
                self._next = min(self._early)
            else:
                break

    def _overhead(self) -> int:
        """Return the bytes that the session adds to a request."""
        return len(encode({"token": self._token, "n": MAX_NUMBER})) - len("{}") + len(",")

    def _hand_on(self, obj: Object) -> None:
        id = _id(obj)
        if id is None:
            self._objects.append(obj)
            return
        asked = self._arrived.pop(id, None)
        if asked is None:  # a second answer to the same request
            return
        if not asked.given_id:
            del obj["id"]
        if "object" in obj.get("limits", ()):
            obj["limits"]["object"] -= self._overhead()
        self._objects.append(obj)
        if obj.get("type") == "joined" and asked.gaps != self._gaps:
            # The server may have given this answer before, and it was lost: then what followed it came before this.
            self._objects.append(GAP)


def _id(obj: Object) -> str | None:
    """Return the id of the request that an object answers, if it answers one."""
    id = obj.get("id")
    return id if isinstance(id, str) else None


def is_sound(obj: Object) -> bool:
    """True if an object has the fields that its type needs, and all fields that are used have their types."""
    if "type" not in obj or not _has_types(obj) or any(field not in obj for field in NEEDED.get(obj["type"], ())):
        return False
    if not all(type(limit) is int for limit in obj.get("limits", {}).values()):
        return False
    if obj["type"] == "" and not (_is_direct(obj) or _is_message(obj)):
        return False
    if obj["type"] == "delete" and not _is_message(obj):
        return False
    return all(map(_is_message, obj.get("messages", ())))


def _is_direct(obj: Object) -> bool:
    return "to" in obj and "author" in obj and "msg" in obj


def _is_message(obj: object) -> bool:
    """True if something is an entry of a log: a message, or the deletion of one."""
    if not isinstance(obj, dict) or not _has_types(obj):
        return False
    content = "of" if obj.get("type") == "delete" else "msg"
    return {"author", content, "seq"} <= obj.keys() and ("room" in obj or "to" in obj)


def _has_types(obj: Object) -> bool:
    retry = obj.get("retry", 0)  # seconds
    if type(retry) not in (int, float) or not 0 <= retry < math.inf:
        return False
    return all(type(obj[field]) is kind for field, kind in FIELDS.items() if field in obj)

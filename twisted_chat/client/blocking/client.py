"""What people use: a client and its rooms."""

from __future__ import annotations

import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from ..errors import ChatError, ClosedError, RequestError
from ..keys import key
from ..states import State
from .calls import Call
from .inbox import Inbox, Slot
from .links import DatagramLink, StreamLink
from .loop import Loop
from .objects import Members, Message, Object, Page, RoomInfo, read, read_page
from .talk import LOW, QUIT_TIME, RoomState, Talk

E = TypeVar("E")


class Room:
    """A room that the client is in. Iterating gives each message that others say there, once and in order."""

    def __init__(self, client: Client, state: RoomState) -> None:
        self._client = client
        self._state = state

    def __repr__(self) -> str:
        return f"<Room {self.name}>"

    @property
    def name(self) -> str:
        """The room's name, as it was first written."""
        return self._state.name

    @property
    def topic(self) -> str:
        """The topic as far as the client knows."""
        return self._state.topic

    @property
    def count(self) -> int:
        """How many members the room has, as far as the client knows."""
        return self._state.count

    @property
    def oldest(self) -> int:
        """The number of the oldest message that was kept when the client joined, last time."""
        return self._state.oldest

    def on(self, kind: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Call back for what happens in this room; what this returns ends it.

        `kind` is `Message`, `MemberJoined`, `MemberLeft`, `NickChanged`, `TopicChanged`, `Presence`, `NewLog` or
        `RoomLost`.
        With a callback for `Message`, here or at the client, messages of this room cannot be taken otherwise.
        """
        return self._client._inbox.on(self._state, kind, callback)

    def say(self, text: str, wait: bool = True) -> int | None:
        """Say something; return its number, when it is in the room's log.

        Without `wait` return at once: it is said all the same, in its order, and `close` waits for it.
        """
        call = Call({"type": "", "room": self.name, "msg": text})
        call.room = self._state
        seq: int | None = self._client._do(self._client._talk.say, call, wait)
        return seq

    def leave(self) -> None:
        """Leave, when all that was said here is acked. Who iterates over the room is at its end then."""
        self._client._do(lambda call: self._client._talk.leave(self._state, call), Call({}))

    def history(self, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
        """Read the room's log: up to `limit` messages before a number, after one, or the newest.

        There are 500 at most; over UDP so many as fit into a datagram, of a text that does not fit all the same whole.
        """
        given = {key: value for key, value in (("before", before), ("after", after)) if value is not None}
        page: Page = self._client._ask({"type": "history", "room": self.name, "limit": limit, **given}, read_page)
        return page

    def who(self, after: str = "") -> Members:
        """Ask for the members: their `count`, and some of them from the nick `after` on, sorted."""
        return self._client.who(self.name, after)

    def set_topic(self, text: str) -> None:
        """Set the topic; an empty one takes it away."""
        self._client._ask({"type": "topic", "room": self.name, "msg": text}, lambda _: None)

    def receive(self, timeout: float | None = None) -> Message:
        """Take the next message. Raises `ClosedError` when there are no more, and `TimeoutError`."""
        return self._client._inbox.take(self._state, timeout)

    def __iter__(self) -> Iterator[Message]:
        return _each(self.receive)


class Client:
    """A client: what is said through it arrives once, and what it hears it hears once, whatever the network does."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 14900,
        nick: str = "",
        *,
        room: str | None = "lobby",
        since: int | None = None,
        tls: bool | ssl.SSLContext = False,
        udp: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Prepare a client; `start` or `with` connects it.

        `room` is entered at once (None: none), with `since` from the message after that number on. `tls` may be a
        context that says whom to trust. `timeout` is for how many seconds a call waits for its answer before it raises
        `TimeoutError`; by default it waits for as long as it takes.
        """
        if tls and udp:
            raise ValueError("there is no TLS over UDP: take one of the two")
        context = ssl.create_default_context() if tls is True else tls or None
        token = uuid.uuid4().hex
        self.timeout = timeout
        self._inbox = Inbox(self._taken)
        self._talk = Talk(nick, self._inbox)
        self._loop = Loop(
            lambda: DatagramLink(host, port, token) if udp else StreamLink(host, port, context), self._talk
        )
        self._room = room
        self._since = since
        self._first: Room | None = None
        self._joining = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._unanswered: set[Call] = set()

    def start(self) -> Self:
        """Connect; from then on the client connects again by itself whenever it has to.

        Raises `UnreachableError` when there is no server, and `RequestError` when it does not let us in (`nick-taken`).
        """
        self._loop.start()
        try:
            self._talk.started.wait(self.timeout)
            if self._room is not None:
                self._first = self.join(self._room, self._since)
        except BaseException:
            self.close(flush=False)
            raise
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(flush=error is None)

    @property
    def nick(self) -> str:
        """The client's nick, as the server has it."""
        return self._talk.nick

    @property
    def server(self) -> str:
        """The server's name and version."""
        return self._talk.server

    @property
    def limits(self) -> dict[str, int]:
        """The server's limits by their names."""
        return self._talk.limits

    @property
    def state(self) -> State:
        """Where the client stands with its server."""
        return self._talk.state

    @property
    def joined(self) -> dict[str, Room]:
        """The rooms one is in, by their names in small letters."""
        return {name: room for name, room in tuple(self._rooms.items()) if self._is_in(room)}

    def room(self, name: str) -> Room | None:
        """Find a room that one is in."""
        return self.joined.get(key(name))

    @property
    def unanswered(self) -> int:
        """How much was asked or said that has no answer yet."""
        return len(self._unanswered)

    def on(self, kind: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Call back when something happens; what this returns ends it.

        `kind` is `StateChanged`, `DirectMessage`, `Stop` (the server says why it stops) or `Error` (one that answers
        no request), or what `Room.on` takes, then for all rooms. To hear everything, do this before `start`. Callbacks
        are called one after another in a thread of their own, and may ask the server something and wait for it.
        """
        return self._inbox.on(None, kind, callback)

    def join(self, room: str, since: int | None = None) -> Room:
        """Enter a room. With `since`, what was said after that number is read first; 0 is all that is kept.

        A room that the client is in already is given as it is. Raises `RequestError`.
        """
        with self._joining:
            known = self._rooms.get(key(room))
            if known is not None and known._state.left is not None:
                with suppress(ChatError):
                    known._state.left.wait(self.timeout)
            elif known is not None and self._is_in(known):
                if since is not None:
                    text = f"{room} is joined already: leave it to read it from another place"
                    raise RequestError("bad-message", text)
                return known
            state = RoomState(room, since)
            self._loop.do(lambda: self._talk.enter(state))
            state.entered.wait(self.timeout)
            self._rooms[key(room)] = joined = Room(self, state)
        return joined

    def say(self, text: str, wait: bool = True) -> int | None:
        """Say something in the room that was entered first, as `Room.say` does."""
        if self._first is None:
            raise ClosedError("no room was entered: `join` one, and say it there")
        return self._first.say(text, wait)

    def tell(self, nick: str, text: str) -> int | None:
        """Say something to one nick; return its number where it is kept, and None where the other has got it."""
        seq: int | None = self._do(self._talk.say, Call({"type": "", "to": nick, "msg": text}))
        return seq

    def rooms(self) -> list[RoomInfo]:
        """Ask for the rooms there are."""
        rooms: list[RoomInfo] = self._ask(
            {"type": "rooms"},
            lambda reply: [read(RoomInfo, room) for room in reply["rooms"]],
        )
        return rooms

    def who(self, room: str, after: str = "") -> Members:
        """Ask for a room's members, as `Room.who` does, without being in it."""
        members: Members = self._ask(
            {"type": "who", "room": room, "after": after},
            lambda reply: Members(reply["room"], reply["members"], reply["count"]),
        )
        return members

    def set_nick(self, nick: str) -> str:
        """Take another nick, when all that was said so far is acked; return it as the server has it."""
        call = Call({"type": "nick", "nick": nick}, self._talk.renamed)
        new: str = self._do(self._talk.rename, call)
        return new

    def receive(self, timeout: float | None = None) -> Message:
        """Take the next message of any room, or one for this client alone (`DirectMessage`)."""
        return self._inbox.take(None, timeout)

    def __iter__(self) -> Iterator[Message]:
        return _each(self.receive)

    def close(self, flush: bool = True) -> None:
        """Close the client, when everything asked so far is answered; with `flush=False`, now.

        Raises `TimeoutError` where the answers do not come within the client's `timeout`; it is closed all the same.
        """
        try:
            if flush and self._loop.is_alive():
                with suppress(ChatError):
                    self._do(self._talk.settle, Call({}))
        finally:
            if self._loop.is_alive():
                self._loop.close()
            self._inbox.wait_for_callbacks(QUIT_TIME)

    def _do(self, task: Callable[[Call], None], call: Call, wait: bool = True) -> Any:
        if "type" in call.request:
            self._unanswered.add(call)
            call.forget = self._unanswered.discard
        self._loop.do(lambda: task(call))
        return call.wait(self.timeout) if wait else None

    def _ask(self, request: Object, read: Callable[[Object], Any]) -> Any:
        return self._do(self._talk.ask, Call(request, read))

    def _is_in(self, room: Room) -> bool:
        return self._talk.rooms.get(key(room.name)) is room._state

    def _taken(self, room: Slot) -> None:
        """Hear that a message of a room was taken: when there are few left, more are read."""
        if room.queued == LOW and isinstance(room, RoomState):
            self._loop.do(lambda: self._talk.step(room))


def connect(host: str = "127.0.0.1", port: int = 14900, nick: str = "", **options: Any) -> Client:
    """Make a client, as `Client` does, and start it."""
    return Client(host, port, nick, **options).start()


def _each(receive: Callable[[], Message]) -> Iterator[Message]:
    while True:
        try:
            message = receive()
        except ClosedError as error:
            if error.wanted:
                return
            raise
        yield message

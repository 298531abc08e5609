"""The public classes: a client and its rooms."""

from __future__ import annotations

import atexit
import logging
import os
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from .. import trust
from ..ids import Ids
from ..keys import key
from ..protocol import actions
from ..protocol.actions import Action
from ..protocol.engine import QUIT_TIME, Engine
from ..protocol.errors import ChatError, ClosedError, RequestError
from ..protocol.events import Answered, Closed, Ended, Entered, Failed, Heard, Welcomed
from ..protocol.membership import Membership
from ..protocol.objects import DirectMessage, Members, Message, Page, RoomInfo
from ..protocol.requests import Request
from ..protocol.shell import ClientShell, RoomShell, describe
from .calls import Call
from .inbox import HIGH, LOW, Inbox, Slot
from .links import NO_TLS_HINT, DatagramLink, StreamLink
from .loop import Loop

EXIT_TIME: Final = 10.0
"""Seconds that the end of a program waits for the answers of a client that it has not closed."""

_log = logging.getLogger("twisted_chat.client.blocking")

E = TypeVar("E")
T = TypeVar("T")
P = ParamSpec("P")


def _in_room(action: Callable[Concatenate[str, P], Action[T]]) -> Callable[Concatenate[Room, P], T]:
    """Return the method of a room that asks for an action there."""

    def ask(self: Room, /, *args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = self._client._ask(lambda engine: engine.do(action(self.name, *args, **kwargs)))
        return answer

    describe(ask, action, given=1)
    return ask


def _everywhere(action: Callable[Concatenate[None, P], Action[T]]) -> Callable[Concatenate[Client, P], T]:
    """Return the method of a client that asks for an action on the whole server."""

    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = self._ask(lambda engine: engine.do(action(None, *args, **kwargs)))
        return answer

    describe(ask, action, given=1)
    return ask


def _asking(action: Callable[P, Action[T]]) -> Callable[Concatenate[Client, P], T]:
    """Return the method of a client that asks for an action."""

    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = self._ask(lambda engine: engine.do(action(*args, **kwargs)))
        return answer

    describe(ask, action)
    return ask


class Room(RoomShell):
    """A room that the client is in. Iterating yields each message of others, once and in order."""

    def __init__(self, client: Client, membership: Membership) -> None:
        self._client = client
        self._membership = membership
        self._slot = Slot()
        self._entered = Call()
        self._left = Call()

    def on(self, kind: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Register a callback for what happens in this room. Returns a function that removes it.

        `kind` is `Message`, `MemberJoined`, `MemberLeft`, `NickChanged`, `TopicChanged`, `Presence`, `Deleted`,
        `Kicked`, `Banned`, `Unbanned`, `Muted`, `Unmuted`, `Granted`, `Locked`, `Slowed`, `NewLog` or `RoomLost`.
        With a callback for `Message`, here or at the client, messages of this room cannot be taken otherwise.
        """
        return self._client._on(self._slot, kind, callback)

    def say(self, text: str, wait: bool = True) -> int | None:
        """Send a message. Returns its number, once it is in the log of the room.

        With `wait=False` this returns at once, and the message is sent in its order. `close` waits until it is acked,
        and so does the end of the program, for a few seconds.
        """
        seq: int | None = self._client._ask(lambda engine: engine.say(self._membership, text), wait)
        return seq

    def leave(self) -> None:
        """Leave the room once all messages to it are acked. An iteration over the room ends then."""
        self._client._do(lambda engine: engine.leave(self._membership))
        self._left.wait(self._client.timeout)

    def history(self, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
        """Read the log: up to `limit` messages before a number, after one, or the newest.

        A page has at most 500 messages, over UDP as many as fit into a datagram. Long texts are whole over UDP, too.
        """
        return self._client.history(self.name, before=before, after=after, limit=limit)

    def who(self, after: str = "") -> Members:
        """Ask for the members: their `count`, and up to 500 of them after the nick `after`, sorted."""
        return self._client.who(self.name, after)

    def set_topic(self, text: str) -> None:
        """Set the topic. An empty one removes it."""
        self._client._ask(lambda engine: engine.set_topic(self.name, text))

    # Order: for moderators and owners of the room, and `report` and `delete` for everybody.

    kick = _in_room(actions.kick)
    ban = _in_room(actions.ban)
    unban = _in_room(actions.unban)
    bans = _in_room(actions.bans)
    mute = _in_room(actions.mute)
    unmute = _in_room(actions.unmute)
    grant = _in_room(actions.grant)
    lock = _in_room(actions.lock)
    invite = _in_room(actions.invite)
    slow = _in_room(actions.slow)
    delete = _in_room(actions.delete)
    delete_all = _in_room(actions.delete_all)
    report = _in_room(actions.report)
    audit = _in_room(actions.audit)

    # Messages of others

    def receive(self, timeout: float | None = None) -> Message:
        """Take the next message. Raises `ClosedError` if there are no more, and `TimeoutError`."""
        return self._client._take(self._slot, timeout)

    def __iter__(self) -> Iterator[Message]:
        return _each(self.receive)


class Client(ClientShell):
    """A client: each message that it sends or receives arrives once, whatever the network does."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 14900,
        nick: str = "",
        *,
        password: str | None = None,
        direct: Mapping[str, int] | None = None,
        room: str | None = "lobby",
        since: int | None = None,
        tls: bool | ssl.SSLContext = False,
        ca: str | None = None,
        udp: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Prepare a client; `start` or `with` connects it.

        `password` is that of the nick's account, or one of its tokens. `room` is joined at once, unless it is None,
        with the messages after the number `since`. With `tls`, the server has to show a certificate for `host` that is
        trusted: by the machine, by the file `ca`, or by the context that `tls` is. `timeout` is the time in seconds
        after which a call without an answer raises `TimeoutError`; by default a call waits for as long as it takes.
        """
        if tls and udp:
            raise ValueError("there is no TLS over UDP: take one of the two")
        if ca is not None and tls is not True:
            raise ValueError("ca is the file of the certificates to trust, and needs tls=True")
        context = trust.context(ca and trust.read_trusted(ca)) if tls is True else tls or None
        hint = "" if context or udp else NO_TLS_HINT
        self.timeout = timeout
        self._inbox = Inbox(self._taken)
        self._engine = Engine(nick, f"{host}, port {port}", Ids(), hint=hint, password=password, direct=direct)
        self._loop = Loop(
            lambda: DatagramLink(host, port) if udp else StreamLink(host, port, context),
            self._engine,
            self._handle_events,
        )
        self._process = os.getpid()
        self._room = room
        self._since = since
        self._first: Room | None = None
        self._joining = threading.Lock()
        self._rooms: dict[Membership, Room] = {}
        self._started = Call()
        self._calls: dict[Request, Call] = {}
        self._settling: list[Call] = []

    def start(self) -> Self:
        """Connect. After that the client reconnects by itself whenever it has to.

        Raises `UnreachableError` if the first connection is not made, or ends before the welcome, and `RequestError` if
        the server refuses the client (`nick-taken`, `auth-failed`).
        """
        self._loop.start()
        _started.add(self)
        try:
            self._started.wait(self.timeout)
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
    def joined(self) -> dict[str, Room]:
        """The rooms that the client is in, by their names in lower case."""
        return {membership.key: room for membership, room in tuple(self._rooms.items()) if membership.entered}

    def room(self, name: str) -> Room | None:
        """Return a room that the client is in, by its name."""
        return self.joined.get(key(name))

    def on(self, kind: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Register a callback for what happens. Returns a function that removes it.

        `kind` is `StateChanged`, `DirectMessage`, `Invited`, `Reported` (for operators), `Stop` (the server says why
        it stops) or `Error` (one that answers no request), or what `Room.on` takes, then for all rooms. To hear
        everything, do this before `start`. Callbacks are called one after another in a thread of their own, and may
        ask the server something and wait for it.
        """
        return self._on(None, kind, callback)

    def join(self, room: str, since: int | None = None) -> Room:
        """Join a room. With `since`, the messages after that number are read first; 0 reads all that are kept.

        If the client is in the room already, that room is returned. Raises `RequestError`.
        """
        with self._joining:
            known = self._find(room)
            if known is not None and known._membership.leaving:
                known._left.wait(self.timeout)
                known = None
            elif known is not None and known._membership.entered and since is not None:
                text = f"{room} is joined already: leave it to read it from another place"
                raise RequestError("bad-message", text)
            joined = known or self._enter(room, since)
            joined._entered.wait(self.timeout)
        return joined

    def _find(self, name: str) -> Room | None:
        """Return a room that the client is in, or is about to enter."""
        return next((room for membership, room in tuple(self._rooms.items()) if membership.key == key(name)), None)

    def _enter(self, name: str, since: int | None) -> Room:
        def enter(engine: Engine) -> Room:
            membership = engine.join(name, since)
            room = self._rooms[membership] = Room(self, membership)
            return room

        entering: Room = self._do(enter)
        return entering

    def say(self, text: str, wait: bool = True) -> int | None:
        """Send a message to the room that was joined first, as `Room.say` does."""
        if self._first is None:
            raise ClosedError("no room was entered: `join` one, and say it there")
        return self._first.say(text, wait)

    def tell(self, nick: str, text: str) -> int | None:
        """Send a message to one nick. Returns its number, or None if it was delivered without being kept."""
        seq: int | None = self._ask(lambda engine: engine.tell(nick, text))
        return seq

    def rooms(self) -> list[RoomInfo]:
        """Ask for all rooms."""
        rooms: list[RoomInfo] = self._ask(lambda engine: engine.rooms())
        return rooms

    def who(self, room: str, after: str = "") -> Members:
        """Ask for the members of a room, as `Room.who` does, without being in it."""
        members: Members = self._ask(lambda engine: engine.who(room, after))
        return members

    def history(self, room: str, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
        """Read the log of a room, as `Room.history` does, without being in it."""
        page: Page = self._ask(lambda engine: engine.history(room, before, after, limit))
        return page

    def direct_history(
        self, nick: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> Page:
        """Read the log of the direct messages with an account. Those with guests are not kept."""
        page: Page = self._ask(lambda engine: engine.history(None, before, after, limit, nick))
        return page

    def set_nick(self, nick: str) -> str:
        """Take another nick, once all messages so far are acked. Returns it in the server's spelling."""
        new: str = self._ask(lambda engine: engine.rename(nick))
        return new

    # The account

    register = _asking(actions.register)
    log_in = _asking(actions.log_in)
    change_password = _asking(actions.change_password)
    make_token = _asking(actions.make_token)
    tokens = _asking(actions.tokens)
    revoke_token = _asking(actions.revoke_token)

    delete_direct = _asking(actions.delete_direct)

    # Order on the whole server: for operators

    ban = _everywhere(actions.ban)
    unban = _everywhere(actions.unban)
    bans = _everywhere(actions.bans)
    grant = _everywhere(actions.grant)
    delete_all = _everywhere(actions.delete_all)
    audit = _everywhere(actions.audit)

    # Messages of others

    def receive(self, timeout: float | None = None) -> Message:
        """Take the next message of any room, or the next `DirectMessage`."""
        return self._take(None, timeout)

    def __iter__(self) -> Iterator[Message]:
        return _each(self.receive)

    def close(self, flush: bool = True) -> None:
        """Close the client once everything asked so far is answered; with `flush=False`, now.

        Raises `TimeoutError` if the answers do not arrive within the client's `timeout`. It is closed all the same.
        In a process that was forked from the one that made the client, this does nothing.
        """
        if self._process != os.getpid():
            return
        try:
            if flush and self._loop.is_alive():
                self._flush()
        finally:
            self._do(lambda engine: engine.quit())
            if self._loop.is_alive() and not self._loop.is_connecting:
                self._loop.join()
            _started.discard(self)
            self._inbox.wait_for_callbacks(QUIT_TIME)

    def _flush(self) -> None:
        """Wait until everything is answered."""
        settled = Call()
        self._do(lambda _: self._settling.append(settled))
        try:
            with suppress(ChatError):
                settled.wait(self.timeout)
        except TimeoutError:
            lost = f"{self.unanswered:,} of what was said or asked may be lost"
            raise TimeoutError(f"the server has not answered in time: {lost}") from None

    # How

    def _check_process(self) -> None:
        """Raise `ClosedError` in a forked process: it has the client's memory, but not the thread with its sockets."""
        if self._process != os.getpid():
            raise ClosedError(f"this client belongs to process {self._process}: after a fork, make a client of its own")

    def _do(self, do: Callable[[Engine], Any]) -> Any:
        self._check_process()
        with self._loop.lock:
            result = do(self._engine)
            self._handle_events()
        self._loop.wake()
        return result

    def _ask(self, ask: Callable[[Engine], Request], wait: bool = True) -> Any:
        call = Call()

        def do(engine: Engine) -> None:
            self._calls[ask(engine)] = call

        self._do(do)
        return call.wait(self.timeout) if wait else None

    def _on(self, slot: Slot | None, kind: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        self._check_process()
        return self._inbox.on(slot, kind, callback)

    def _take(self, slot: Slot | None, timeout: float | None) -> Message:
        self._check_process()
        return self._inbox.take(slot, timeout)

    def _taken(self, slot: Slot) -> None:
        """Called when a message of a room was taken. When few are left, more are read."""
        if slot.queued == LOW:
            self._do(lambda _: self._fill_all())

    # Events of the engine; the lock is held.

    def _handle_events(self) -> None:
        while events := self._engine.take_events():
            for event in events:
                self._happened(event)
        if not self._engine.owed:
            while self._settling:
                self._settling.pop().succeed()

    def _happened(self, event: object) -> None:
        match event:
            case Answered(request, result):
                self._calls.pop(request).succeed(result)
            case Failed(request, error):
                self._calls.pop(request).fail(error)
            case Heard(membership):
                self._fill(self._rooms[membership])
            case Entered(membership):
                self._rooms[membership]._entered.succeed()
            case Ended(membership, error):
                room = self._rooms.pop(membership)
                self._inbox.end(room._slot, error)
                room._entered.fail(error)
                room._left.succeed()
            case Welcomed():
                self._started.succeed()
            case Closed(error):
                self._started.fail(error)
                while self._settling:
                    self._settling.pop().fail(error)
                self._inbox.end(None, error)
            case DirectMessage():
                self._inbox.put(None, event)
            case _:
                where = self._engine.memberships.get(key(getattr(event, "room", None) or ""))
                self._inbox.put_event(None if where is None else self._rooms[where]._slot, event)

    def _fill_all(self) -> None:
        for room in self._rooms.values():
            self._fill(room)

    def _fill(self, room: Room) -> None:
        """Move messages of a room into the inbox, as long as there is space."""
        while room._slot.queued < HIGH and (message := self._engine.take(room._membership)) is not None:
            self._inbox.put(room._slot, message)


_started: weakref.WeakSet[Client] = weakref.WeakSet()
"""The clients that were started and not closed."""


@atexit.register
def _close_all() -> None:
    """Close the clients that are still open at the end of the program, so that its messages arrive."""
    for client in tuple(_started):
        client.timeout = EXIT_TIME if client.timeout is None else min(client.timeout, EXIT_TIME)
        try:
            client.close()
        except TimeoutError as error:
            _log.warning("the program has ended, and %s", error)


def connect(host: str = "127.0.0.1", port: int = 14900, nick: str = "", **options: Any) -> Client:
    """Make a client, with the parameters of `Client`, and start it."""
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

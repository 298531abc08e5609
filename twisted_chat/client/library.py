"""The library: a client and its rooms on Twisted or asyncio.

`protocol.engine` decides everything. This module has the reactor, the connection and the public names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from twisted.application.internet import ClientService
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import names
from ..messages import WireError
from .answers import Answer, Waiters
from .endpoints import read_endpoint
from .events import Callback, Error, Listeners, Members, Message, Page, RoomInfo, State
from .ids import Ids
from .keys import key
from .links import Link, LinkEvents, Links, WatchedEndpoint
from .protocol import actions
from .protocol.actions import Action
from .protocol.engine import CLOSED, Engine
from .protocol.errors import ChatError, ClosedError, RequestError
from .protocol.events import Answered, Closed, Ended, Entered, Failed, Heard, Welcomed
from .protocol.membership import Membership
from .protocol.objects import Object
from .protocol.pace import backoff
from .protocol.requests import Request
from .protocol.shell import ClientShell, RoomShell, describe
from .reactors import find_reactor
from .reasons import reason_text, tls_problem

E = TypeVar("E")
T = TypeVar("T")
P = ParamSpec("P")


def _in_room(action: Callable[Concatenate[str, P], Action[T]]) -> Callable[Concatenate[Room, P], Answer[T]]:
    """Return the method of a room that asks for an action there."""

    def ask(self: Room, /, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        return self._client._ask(lambda engine: engine.do(action(self.name, *args, **kwargs)))

    describe(ask, action, given=1)
    return ask


def _everywhere(action: Callable[Concatenate[None, P], Action[T]]) -> Callable[Concatenate[Client, P], Answer[T]]:
    """Return the method of a client that asks for an action on the whole server."""

    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        return self._ask(lambda engine: engine.do(action(None, *args, **kwargs)))

    describe(ask, action, given=1)
    return ask


def _asking(action: Callable[P, Action[T]]) -> Callable[Concatenate[Client, P], Answer[T]]:
    """Return the method of a client that asks for an action."""

    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        return self._ask(lambda engine: engine.do(action(*args, **kwargs)))

    describe(ask, action)
    return ask


class Room(RoomShell):
    """A room that the client is in.

    Iterating yields each message of others, once and in order, over any number of lost connections. The client's own
    messages are not among them: the answer of `say` is their number. (Messages of another client with the same nick
    are, and so are those of an earlier session that are read because of `since`.)

    The number of messages that wait to be taken is bounded. A slow consumer misses nothing: it gets the rest from the
    log.
    """

    def __init__(self, client: Client, membership: Membership) -> None:
        self._client = client
        self._membership = membership
        self._listeners = Listeners()
        self._takers: deque[Answer[Message]] = deque()
        self._entering = Waiters()
        self._leaving = Waiters()

    def on(self, kind: type[E], callback: Callback[E]) -> Callable[[], None]:
        """Register a callback for what happens in this room. Returns a function that removes it.

        `kind` is `Message`, `MemberJoined`, `MemberLeft`, `NickChanged`, `TopicChanged`, `Presence`, `Deleted`,
        `Kicked`, `Banned`, `Unbanned`, `Muted`, `Unmuted`, `Granted`, `Locked`, `Slowed`, `NewLog` or `RoomLost`.
        With a callback for `Message`, here or at the client, the room cannot be iterated over.
        """
        forget = self._listeners.on(kind, callback)
        self._hand_out()
        return forget

    def say(self, text: str) -> Answer[int]:
        """Send a message. The answer is its number, once it is in the log of the room.

        Until then it is sent again on each new connection. `request.time` of the answer is then the server's time.
        Raises `RequestError` (such as `too-long`) or `ClosedError`.
        """
        return self._client._ask(lambda engine: engine.say(self._membership, text))

    def leave(self) -> Answer[None]:
        """Leave the room once all messages to it are acked. An iteration over the room ends then."""
        if self._client._closing:
            return Answer.failed(ClosedError(CLOSED, wanted=True))
        if self._membership.error is not None:
            return Answer.given(None)
        answer = self._leaving.add()
        self._client._do(lambda engine: engine.leave(self._membership))
        return answer

    def history(self, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Answer[Page]:
        """Read the log: up to `limit` messages (at most 500) before a number, after one, or the newest."""
        return self._client.history(self.name, before=before, after=after, limit=limit)

    def who(self, after: str = "") -> Answer[Members]:
        """Ask for the members: their `count`, and up to 500 of them after the nick `after`, sorted."""
        return self._client.who(self.name, after)

    def set_topic(self, text: str) -> Answer[None]:
        """Set the topic. An empty one removes it."""
        return self._client._ask(lambda engine: engine.set_topic(self.name, text))

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

    def receive(self) -> Answer[Message]:
        """Take the next message. Raises `ClosedError` if there are no more. A cancelled call takes none."""
        if self._is_called_back:
            return Answer.failed(RuntimeError(f"the messages of {self.name} go to a callback"))
        message = None if self._takers else self._client._engine.take(self._membership)
        if message is not None:
            self._client._turn()
            return Answer.given(message)
        if self._membership.error is not None:
            return Answer.failed(self._membership.error)
        taker: Answer[Message] = Answer(lambda _: self._takers.remove(taker))
        self._takers.append(taker)
        self._client._turn()  # there may have been a deletion
        return taker

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except ClosedError as error:
            if error.wanted:
                raise StopAsyncIteration from None
            raise

    @property
    def _is_called_back(self) -> bool:
        return self._listeners.has(Message) or self._client._listeners.has(Message)

    def _hand_out(self) -> None:
        """Give the known messages to those who wait for them."""
        while self._takers or self._is_called_back:
            message = self._client._engine.take(self._membership)
            if message is None:
                break
            if self._takers:
                self._takers.popleft().callback(message)
            else:
                self._client._call_listeners(message, self)

    def _end(self, error: ChatError) -> None:
        """Called when the client is no longer in the room."""
        self._hand_out()
        takers, self._takers = self._takers, deque()
        for taker in takers:
            taker.errback(error)
        self._entering.fire(error)
        self._leaving.fire()


class Client(ClientShell):
    """A client: each message that it sends or receives arrives once, whatever the network does.

    `connect` makes one and starts it. To register callbacks before anything arrives, make one, call `on`, then `start`.

    Every method that asks the server something returns an `Answer`, a Deferred that coroutines of Twisted and of
    asyncio can await. It fails with `RequestError` if the server refuses, and with `ClosedError` if the client is
    closed. Without a connection, a request waits for the next one.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: str | IStreamClientEndpoint,
        nick: str,
        *,
        password: str | None = None,
        direct: Mapping[str, int] | None = None,
        reactor: Any = None,
        retry: Callable[[int], float] = backoff,
    ) -> None:
        """Prepare a client.

        `endpoint` is a description such as `"tcp:chat.example:14900"`, `"tls:chat.example:14943"`,
        `"udp:chat.example:14900"` or `"unix:/run/chat.sock"`, or an endpoint. `password` is that of the nick's account,
        or one of its tokens. `direct` has the numbers of the last direct messages that the program has, by nick.
        `retry` returns the seconds before the n-th try to reconnect, counted from the last connection that lasted for a
        while; it should grow, and be a little random. The default `reactor` is Twisted's or, under `asyncio.run`, one
        on the running loop.

        Raises `ValueError` for a bad description, `RequestError` for a bad nick, and `RuntimeError` in an asyncio loop
        that is not the reactor's.
        """
        if reactor is None:
            reactor = find_reactor()
        self._clock: IReactorTime = reactor
        where = endpoint if isinstance(endpoint, str) else repr(endpoint)
        if isinstance(endpoint, str):
            endpoint = read_endpoint(reactor, endpoint)
        self._engine = Engine(_check(names.nick, nick).shown, where, Ids(), retry, password=password, direct=direct)
        events = LinkEvents(self._connected, self._received, self._give_up, self._lost, self._not_connected)
        self._service = ClientService(
            WatchedEndpoint(endpoint, events), Links(events), lambda _: self._engine.pause, self._clock
        )
        self._listeners = Listeners()
        self._rooms: dict[Membership, Room] = {}
        self._answers: dict[Request, Answer[Any]] = {}
        self._link: Link | None = None
        self._timer: IDelayedCall | None = None
        self._started: Answer[Client] = Answer(
            lambda _: self._do(lambda engine: engine.end(ClosedError("the client was closed", wanted=True)))
        )
        self._is_turning = False
        self._in_service = False
        """True while the service is in the middle of a step, and cannot be stopped."""
        self._closing = False
        self._stopped = False
        self._stopping = Waiters()
        self._settling = Waiters()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(flush=error is None)

    # Facts

    @property
    def joined(self) -> dict[str, Room]:
        """The rooms that the client is in, by the keys of their names (`twisted_chat.names`)."""
        return {membership.key: room for membership, room in self._rooms.items()}

    def room(self, name: str) -> Room | None:
        """Return a room that the client is in, by its name."""
        return self.joined.get(key(name))

    # Requests

    def start(self) -> Answer[Client]:
        """Connect. After the answer, the client reconnects by itself whenever it has to.

        Raises `UnreachableError` if the first connection is not made, or ends before the welcome, and `RequestError` if
        the server refuses the client (`nick-taken`, `auth-failed`).
        """
        self._service.startService()
        return self._started

    def on(self, kind: type[E], callback: Callback[E]) -> Callable[[], None]:
        """Register a callback for what happens. Returns a function that removes it.

        `kind` is `StateChanged`, `DirectMessage`, `Invited`, `Reported` (for operators), `Stop` (the server says why
        it stops) or `Error` (one that answers no request), or what `Room.on` takes, then for all rooms.
        """
        forget = self._listeners.on(kind, callback)
        for room in tuple(self._rooms.values()):
            room._hand_out()
        return forget

    def join(self, room: str, since: int | None = None) -> Answer[Room]:
        """Join a room. With `since`, the messages after that number are read first; 0 reads all that are kept.

        If the client is in the room already, the answer is that room. Raises `RequestError`.
        """
        return Answer.of(self._join(room, since))

    def tell(self, nick: str, text: str) -> Answer[int | None]:
        """Send a message to one nick.

        The answer comes once the recipient's connection has taken it (`None`) or, from a server that keeps direct
        messages, once it is kept (its number). A message that is not kept may arrive twice, if the connection breaks
        before the answer.
        """
        return self._ask(lambda engine: engine.tell(nick, text))

    def rooms(self) -> Answer[list[RoomInfo]]:
        """Ask for all rooms, each with its `room`, `count` of members and `topic`."""
        return self._ask(lambda engine: engine.rooms())

    def who(self, room: str, after: str = "") -> Answer[Members]:
        """Ask for the members of a room, as `Room.who` does, without being in it."""
        return self._ask(lambda engine: engine.who(room, after))

    def history(
        self, room: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> Answer[Page]:
        """Read the log of a room, as `Room.history` does, without being in it."""
        return self._ask(lambda engine: engine.history(room, before, after, limit))

    def direct_history(
        self, nick: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> Answer[Page]:
        """Read the log of the direct messages with an account. Those with guests are not kept."""
        return self._ask(lambda engine: engine.history(None, before, after, limit, nick))

    def set_nick(self, nick: str) -> Answer[str]:
        """Take another nick, once all messages so far are acked. The answer is the nick in the server's spelling."""
        return self._ask(lambda engine: engine.rename(nick))

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

    # The end

    def close(self, flush: bool = True) -> Answer[None]:
        """Close the client once everything asked so far is answered; with `flush=False`, now.

        Later requests fail with `ClosedError`. Without a connection, closing with `flush` waits for the next one.
        """
        return Answer.of(self._close(flush))

    # How

    def _do(self, do: Callable[[Engine], object]) -> None:
        do(self._engine)
        self._turn()

    def _ask(self, ask: Callable[[Engine], Request]) -> Answer[Any]:
        if self._closing:
            return Answer.failed(ClosedError(CLOSED, wanted=True))
        request = ask(self._engine)
        answer: Answer[Any] = Answer(lambda _: self._withdraw(request))
        answer.request = request
        self._answers[request] = answer
        self._turn()
        return answer

    def _withdraw(self, request: Request) -> None:
        """Called when an answer is cancelled."""
        if self._engine.withdraw(request):
            del self._answers[request]
        self._turn()

    async def _join(self, name: str, since: int | None) -> Room:
        shown = _check(names.room, name).shown
        # When a room was left, somebody else who waited for that may have joined it again.
        while (known := self.room(name)) is not None and known._membership.leaving:
            await known._leaving.add()
        if self._closing or self._engine.error is not None:
            raise ClosedError(CLOSED, wanted=True)
        if known is None:
            membership = self._engine.join(shown, since)
            known = self._rooms[membership] = Room(self, membership)
            self._turn()
        elif since is not None:
            raise RequestError("bad-message", f"{shown} is joined already: leave it to read it from another place")
        if not known._membership.entered:
            await known._entering.add()
        return known

    async def _close(self, flush: bool) -> None:
        self._closing = True
        if flush and self.state in (State.CONNECTED, State.WAITING) and self._engine.owed:
            # If the client ends meanwhile, those who asked get the error.
            with suppress(ChatError):
                await self._settling.add()
        self._do(lambda engine: engine.quit())
        if not self._stopped:
            await self._stopping.add()

    def _stop(self) -> None:
        self._service.stopService().addCallback(self._has_stopped)

    def _has_stopped(self, _: object) -> None:
        self._stopped = True
        self._stopping.fire()

    # Events of the connection

    def _connected(self, link: Link) -> None:
        self._link = link
        self._do(lambda engine: engine.connected(self._clock.seconds()))

    def _received(self, objects: Iterable[Object]) -> None:
        now = self._clock.seconds()
        for obj in objects:
            self._engine.received(obj, now)
        self._turn()

    def _give_up(self, reason: str) -> None:
        self._engine.hang_up = self._engine.hang_up or reason
        self._hang_up()

    def _hang_up(self) -> None:
        if self._engine.hang_up is not None and self._link is not None:
            self._link.hang_up()

    def _lost(self, reason: Failure) -> None:
        self._link = None
        text, foreign = reason_text(reason), not tls_problem(reason)
        self._do(lambda engine: engine.lost(text, self._clock.seconds(), foreign))

    def _not_connected(self, failure: Failure) -> Failure:
        self._in_service = True
        text = reason_text(failure)
        self._do(lambda engine: engine.failed(text, self._clock.seconds(), failure.value))
        self._in_service = False
        return failure

    # Events of the engine

    def _turn(self) -> None:
        """Send the objects and handle the events that there are. A callback may ask for more meanwhile."""
        if self._is_turning:
            return
        self._is_turning = True
        try:
            while self._engine.has_work:
                objects = self._engine.take_objects(self._clock.seconds())
                if self._link is not None:
                    self._link.send(objects)
                for event in self._engine.take_events():
                    self._happened(event)
                self._hang_up()
        finally:
            self._is_turning = False
        if not self._engine.owed:
            self._settling.fire()
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._engine.due()
        if self._timer is not None and self._timer.active():
            if due is not None and self._timer.getTime() == due:
                return
            self._timer.cancel()
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._tick)

    def _tick(self) -> None:
        self._do(lambda engine: engine.tick(self._clock.seconds()))

    def _happened(self, event: object) -> None:
        match event:
            case Answered(request, result):
                self._answer(request, lambda answer: answer.callback(result))
            case Failed(request, error):
                self._answer(request, lambda answer: answer.errback(error))
            case Heard(membership):
                self._rooms[membership]._hand_out()
            case Entered(membership):
                self._rooms[membership]._entering.fire()
            case Ended(membership, error):
                self._rooms.pop(membership)._end(error)
            case Welcomed():
                self._start_with(lambda: self._started.callback(self))
            case Closed(error):
                self._closing = True
                self._start_with(lambda: self._started.errback(error))
                self._settling.fire(error)
                if self._in_service:
                    self._clock.callLater(0, self._stop)
                else:
                    self._stop()
            case _:
                room = getattr(event, "room", None)
                self._call_listeners(event, self.room(room) if room is not None else None)

    def _start_with(self, answer: Callable[[], None]) -> None:
        if not self._started.called:
            answer()

    def _answer(self, request: Request, give: Callable[[Answer[Any]], None]) -> None:
        """Answer a request, unless its answer was cancelled."""
        answer = self._answers.pop(request)
        if not answer.called:
            give(answer)

    def _call_listeners(self, event: object, room: Room | None) -> None:
        if isinstance(event, Error) and not self._listeners.has(Error):
            self._log.warn("the server says {code}: {text}", code=event.code, text=event.msg)
        if room is not None:
            room._listeners.call(event)
        self._listeners.call(event)


def _check(check: Callable[[str], names.Name], name: str) -> names.Name:
    """Check a name as the server would."""
    try:
        return check(name)
    except WireError as error:
        raise RequestError(error.code, error.text) from None


def connect(
    endpoint: str | IStreamClientEndpoint,
    nick: str,
    *,
    password: str | None = None,
    direct: Mapping[str, int] | None = None,
    reactor: Any = None,
    retry: Callable[[int], float] = backoff,
) -> Answer[Client]:
    """Connect to a server.

    `endpoint` is a description such as `"tcp:chat.example:14900"`, `"tls:chat.example:14943"`,
    `"udp:chat.example:14900"` or `"unix:/run/chat.sock"`, or any endpoint. `password` is that of the nick's account, or
    one of its tokens. Raises `UnreachableError` if the first connection is not made, or ends before the welcome,
    `RequestError` if the server refuses the client (`nick-taken`, `bad-nick`, `auth-failed`) and `ValueError` for a bad
    description. Later the client reconnects by itself, with growing pauses.
    """
    return Answer.of(
        _start(lambda: Client(endpoint, nick, password=password, direct=direct, reactor=reactor, retry=retry))
    )


async def _start(make: Callable[[], Client]) -> Client:
    return await make().start()

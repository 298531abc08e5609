"""The library: a client and its rooms, on a connection that comes back by itself.

What is decided is decided in `conversation.py`; here are the reactor, the connection and the names that people use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import msgspec
from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import names
from ..framing import Framer
from ..messages import (
    AnyRequest,
    Error,
    History,
    HistoryPage,
    Members,
    Message,
    Ping,
    Quit,
    RoomInfo,
    Rooms,
    Stop,
    Topic,
    Welcome,
    Who,
    WireError,
    decode_message,
    decode_reply,
    encode_line,
)
from .answers import Answer, Waiters
from .conversation import Conversation, RoomState
from .errors import UNREADABLE, ChatError, ClosedError, RequestError, UnreachableError
from .events import Callback, Listeners, State, StateChanged
from .feed import Feed
from .ids import Ids
from .reasons import reason_text, tls_problem

E = TypeVar("E")

MAX_FRAME: Final = 2**20
"""Bytes of one object of a server. Ours writes a quarter of that at most: a page of history."""

WELCOME_TIME: Final = 30.0
"""Seconds in which a server must answer a hello."""

QUIET_TIME: Final = 45.0
"""Seconds of silence after which the server is asked whether it is there. Half of what a server waits for a client."""

DEAD_TIME: Final = 120.0
"""Seconds of silence after which a connection is given up: what the server does, too."""

QUIT_TIME: Final = 5.0
"""Seconds in which a server must end the connection of a client that quits."""

PAUSES: Final = backoffPolicy(initialDelay=0.5, maxDelay=30.0, factor=2.0)
"""Seconds before the n-th try to connect again: 1, 2, 4, ... 30, each with up to one more, so that a server that was
started again does not get all of its clients at once."""

STEADY_TIME: Final = 10.0
"""Seconds that a connection must last after its welcome before the pauses begin anew: a server that lets everybody in
and then ends each connection is not asked every second for ever."""


class Link(Protocol):
    """One connection: bytes in, objects out, and a look at whether the other side lives."""

    _log = Logger()

    def __init__(self, client: Client, clock: IReactorTime) -> None:
        self._client = client
        self._clock = clock
        self._framer = Framer(MAX_FRAME)
        self._heard = clock.seconds()
        self._watch = LoopingCall(self._look)
        self._watch.clock = clock

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._heard = self._clock.seconds()
        self._watch.start(QUIET_TIME / 3, now=False)
        self._client._connected(self)

    def dataReceived(self, data: bytes) -> None:
        self._heard = self._clock.seconds()
        for frame in self._framer.feed(data):
            if isinstance(frame, WireError):
                self._log.warn("the server sent what is no object: {error}", error=frame)
                if frame.code == "too-long":
                    self._client._give_up(self, f"the server sent an object of more than {MAX_FRAME:,} bytes")
                    return
            else:
                self._client._received(frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._watch.stop()
        self._client._lost(reason)

    def send(self, request: AnyRequest) -> None:
        """Send one object."""
        cast(ITransport, self.transport).write(encode_line(request))

    def hang_up(self) -> None:
        """End the connection now, without waiting for the other side."""
        cast(Any, self.transport).abortConnection()

    def _look(self) -> None:
        silence = self._clock.seconds() - self._heard
        if silence >= DEAD_TIME:
            self.hang_up()
        elif silence >= QUIET_TIME:
            self.send(Ping())


class _Links(Factory):
    """Makes the connections of one client."""

    noisy = False

    def __init__(self, client: Client, clock: IReactorTime) -> None:
        self._client = client
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Link:
        return Link(self._client, self._clock)


class _Envelope(msgspec.Struct):
    """What is looked at in an answer that cannot be read."""

    type: Any = ""
    id: Any = None
    code: Any = "internal"
    msg: Any = ""


class _Outside:
    """What the conversation sees of the client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def send(self, request: AnyRequest) -> None:
        self._client._send(request)

    def tell(self, event: object) -> None:
        self._client._tell(event)

    def now(self) -> float:
        return self._client._clock.seconds()

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        self._client._later(seconds, function)

    def welcome(self, welcome: Welcome) -> None:
        self._client._welcomed(welcome)

    def refuse(self, error: RequestError, for_good: bool) -> None:
        self._client._refused(error, for_good)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a room's history."""

    messages: Sequence[Message]
    """In the order of their numbers."""
    more: bool
    """There is more beyond them, on the side that was asked for: older ones or, with `after`, newer ones."""


class Room:
    """A room that the client is in.

    Iterating gives each message that others say there, once and in order, over any number of lost connections. What
    this client says itself is not among them: `say` answers with its number. (What another client says under the same
    nick is, and so is what was said in an earlier session and is read again because of `since`.)

    Messages that wait to be taken are bounded: a slow consumer misses nothing, it gets the rest from the log.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._listeners = Listeners()
        self._feed = Feed(self._more)
        self._state: RoomState

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

    def on(self, kind: type[E], callback: Callback[E]) -> Callable[[], None]:
        """Call back for what happens in this room; what this returns ends it.

        `kind` is `Message`, `MemberJoined`, `MemberLeft`, `NickChanged`, `TopicChanged`, `Presence`, `NewLog` or
        `RoomLost`.
        With a callback for `Message`, here or at the client, the room cannot be iterated over.
        """
        forget = self._listeners.on(kind, callback)
        self._drain()
        return forget

    def say(self, text: str) -> Answer[int]:
        """Say something; the answer is its number, when it is in the room's log.

        Until then it is said again on each new connection. Raises `RequestError` (such as `too-long`) or
        `ClosedError`.
        """
        return self._client._ask(lambda talk: talk.say(self._state, text))

    def leave(self) -> Answer[None]:
        """Leave, when all that was said here is acked. Who iterates over the room is at its end then."""
        return self._client._ask(lambda talk: talk.leave(self._state))

    def history(self, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Answer[Page]:
        """Read the room's log: up to `limit` messages (at most 500) before a number, after one, or the newest."""
        request = History(room=self.name, before=before, after=after, limit=limit)
        return self._client._ask(lambda talk: talk.ask(request), _page)

    def who(self, after: str = "") -> Answer[Members]:
        """Ask for the members: their `count`, and 500 of them from the nick `after` on, sorted."""
        return self._client.who(self.name, after)

    def set_topic(self, text: str) -> Answer[None]:
        """Set the topic; an empty one takes it away."""
        return self._client._ask(lambda talk: talk.ask(Topic(room=self.name, msg=text)), lambda _: None)

    def receive(self) -> Answer[Message]:
        """Take the next message. Raises `ClosedError` when there are no more; a cancelled call takes none."""
        if self._called_back:
            return Answer.failed(RuntimeError(f"the messages of {self.name} go to a callback"))
        return self._feed.take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except ClosedError as error:
            if error.wanted:
                raise StopAsyncIteration from None
            raise

    # What the conversation asks of a consumer

    def _ready(self) -> bool:
        return self._called_back or self._feed.ready()

    def _hungry(self) -> bool:
        return self._called_back or self._feed.hungry()

    def _put(self, message: Message) -> None:
        if self._called_back:
            self._client._tell(message)
        else:
            self._feed.put(message)

    @property
    def _called_back(self) -> bool:
        return self._listeners.has(Message) or self._client._listeners.has(Message)

    def _drain(self) -> None:
        """Give to the callbacks what came before there were any."""
        if self._called_back:
            for message in self._feed.empty():
                self._client._tell(message)
            self._more()

    def _more(self) -> None:
        self._client._talk.more(self._state)


class _Consumer:
    """What the conversation sees of a room."""

    def __init__(self, room: Room, forget: Callable[[], None]) -> None:
        self.ready = room._ready
        self.hungry = room._hungry
        self.put = room._put
        self._feed = room._feed
        self._forget = forget

    def end(self, error: ChatError) -> None:
        self._forget()
        self._feed.end(error)


def _page(page: HistoryPage) -> Page:
    return Page([decode_message(message) for message in page.messages], page.more)


class Client:
    """A client: what is said through it arrives once, and what it hears it hears once, whatever the network does.

    `connect` makes one and starts it. To listen before the first word comes, make one, use `on`, and `start` it.

    All that asks the server for something returns an `Answer`: a Deferred, to be awaited by coroutines of Twisted and
    of asyncio. It fails with `RequestError` when the server refuses, and with `ClosedError` when the client is closed.
    While there is no connection, what is asked waits for the next one.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: str | IStreamClientEndpoint,
        nick: str,
        *,
        reactor: Any = None,
        retry: Callable[[int], float] = PAUSES,
    ) -> None:
        """Prepare a client.

        `endpoint` is a description such as `"tcp:chat.example:14900"`, `"tls:chat.example:14943"`,
        `"udp:chat.example:14900"` or `"unix:/run/chat.sock"`, or an endpoint. `retry` gives the seconds before the
        n-th try to connect again, counted from the last connection that lasted for a while; it should grow, and be a
        little random. Raises `ValueError` for a bad description and `RequestError` for a bad nick.
        """
        if reactor is None:
            from twisted.internet import reactor  # here, so that importing the library installs no reactor
        self._clock: IReactorTime = reactor
        self._where = endpoint if isinstance(endpoint, str) else repr(endpoint)
        if isinstance(endpoint, str):
            endpoint = cast(IStreamClientEndpoint, clientFromString(reactor, endpoint))
        self._retry = retry
        self._talk = Conversation(_Outside(self), _check(names.nick, nick).shown, Ids())
        self._service = ClientService(endpoint, _Links(self, self._clock), self._pause, self._clock)
        self._listeners = Listeners()
        self._rooms: dict[str, Room] = {}
        self._link: Link | None = None
        self._timers: list[IDelayedCall] = []
        """What is to be done on this connection, later."""
        self._state = State.CONNECTING
        self._server = ""
        self._started: Answer[Client] = Answer(lambda _: self._end(ClosedError("the client was closed", wanted=True)))
        self._closing = False
        self._stopped = False
        self._stopping = Waiters()
        self._reason = ""
        """Why the connection ends, where that is known before it does."""
        self._told = False
        """It is known from the server itself."""
        self._tries = 0
        """How often there was a pause since the last connection that lasted."""
        self._gone: Answer[None] | None = None
        """For who waits for the end of the connection."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(flush=error is None)

    # What is known

    @property
    def nick(self) -> str:
        """The client's nick, as the server has it."""
        return self._talk.nick

    @property
    def server(self) -> str:
        """The server's name and version."""
        return self._server

    @property
    def limits(self) -> dict[str, int]:
        """The server's limits by their names."""
        return self._talk.limits

    @property
    def state(self) -> State:
        """Where the client stands with its server."""
        return self._state

    @property
    def joined(self) -> dict[str, Room]:
        """The rooms one is in, by the names' keys (`twisted_chat.names`)."""
        return dict(self._rooms)

    def room(self, name: str) -> Room | None:
        """Find a room that one is in."""
        state = self._talk.room(name)
        return None if state is None else self._rooms.get(state.key)

    @property
    def unanswered(self) -> int:
        """How much was asked or said that has no answer yet."""
        return self._talk.requests.owed

    # What can be done

    def start(self) -> Answer[Client]:
        """Connect; after the answer, the client connects again by itself whenever it has to.

        Raises `UnreachableError` when there is no server, and `RequestError` when it does not let us in
        (`nick-taken`).
        """
        self._service.whenConnected(failAfterFailures=1).addErrback(self._unreachable)
        self._service.startService()
        return self._started

    def on(self, kind: type[E], callback: Callback[E]) -> Callable[[], None]:
        """Call back when something happens; what this returns ends it.

        `kind` is `StateChanged`, `DirectMessage`, `Stop` (the server says why it stops) or `Error` (one that answers
        no request), or what `Room.on` takes, then for all rooms.
        """
        forget = self._listeners.on(kind, callback)
        for room in tuple(self._rooms.values()):
            room._drain()
        return forget

    def join(self, room: str, since: int | None = None) -> Answer[Room]:
        """Enter a room. With `since`, what was said after that number is read first; 0 is all that is kept.

        A room that the client is in already is given as it is. Raises `RequestError`.
        """
        return Answer.of(self._join(room, since))

    def tell(self, nick: str, text: str) -> Answer[int | None]:
        """Say something to one nick.

        The answer comes when the other has got it (`None`) or, from a server that keeps such messages, when it is kept
        (then it is its number). Where it is not kept, and only if the connection breaks before the answer, the other
        may get it twice, since there is no log that would tell.
        """
        return self._ask(lambda talk: talk.tell(nick, text))

    def rooms(self) -> Answer[list[RoomInfo]]:
        """Ask for the rooms there are, each with its `room`, `count` of members and `topic`."""
        return self._ask(lambda talk: talk.ask(Rooms()), lambda rooms: rooms.rooms)

    def who(self, room: str, after: str = "") -> Answer[Members]:
        """Ask for a room's members, as `Room.who` does, without being in it."""
        return self._ask(lambda talk: talk.ask(Who(room=room, after=after)))

    def set_nick(self, nick: str) -> Answer[str]:
        """Take another nick, when all that was said so far is acked. The answer is the nick as the server has it."""
        return self._ask(lambda talk: talk.rename(nick))

    def close(self, flush: bool = True) -> Answer[None]:
        """Close the client, when everything asked so far is answered; with `flush=False`, now.

        What is asked from now on fails with `ClosedError`. While there is no connection, closing waits for one.
        """
        return Answer.of(self._close(flush))

    # How

    def _ask(self, ask: Callable[[Conversation], Answer[Any]], read: Callable[[Any], Any] | None = None) -> Answer[Any]:
        if self._closing:
            return Answer.failed(ClosedError("the client is closed", wanted=True))
        answer = ask(self._talk)
        return answer if read is None else Answer.following(answer.addCallback(read))

    async def _join(self, room: str, since: int | None) -> Room:
        name = _check(names.room, room)
        # When a room has been left, another who waited for that may have entered it again.
        while (known := self._rooms.get(name.key)) is not None and known._state.leaving:
            await known._state.leaving.add()
        if self._closing or self._state is State.CLOSED:
            raise ClosedError("the client is closed", wanted=True)
        if known is None:
            known = self._rooms[name.key] = Room(self)
            consumer = _Consumer(known, lambda: self._forget(name))
            known._state = self._talk.join(name, since, consumer)
        elif since is not None:
            raise RequestError("bad-message", f"{name.shown} is joined already: leave it to read it from another place")
        if not known._state.entered:
            await known._state.entering.add()
        return known

    def _forget(self, name: names.Name) -> None:
        self._rooms.pop(name.key, None)

    async def _close(self, flush: bool) -> None:
        self._closing = True
        if flush and self._state in (State.CONNECTED, State.WAITING):
            # When the client ends meanwhile, those who asked are told.
            with suppress(ChatError):
                await self._talk.requests.settled()
        if self._link is not None and self._talk.welcomed:
            self._link.send(Quit())
            await self._wait_for_end()
        self._end(ClosedError("the client is closed", wanted=True))
        if not self._stopped:
            await self._stopping.add()

    async def _wait_for_end(self) -> None:
        """Give the server the time to end the connection, so that nothing that was written is lost."""
        gone = self._gone = Answer()
        self._later(QUIT_TIME, lambda: gone.callback(None))
        await gone

    def _end(self, error: ChatError) -> None:
        """Nothing comes any more."""
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        self._closing = True
        self._talk.finish(error)
        if self._link is not None:
            self._link.hang_up()
        self._service.stopService().addCallback(self._has_stopped)
        if not self._started.called:
            self._started.errback(error)
        self._tell(StateChanged(State.CLOSED, str(error)))

    def _has_stopped(self, _: object) -> None:
        self._stopped = True
        self._stopping.fire()

    def _pause(self, _: int) -> float:
        # The service counts from the last connection that was made, however short it was.
        self._tries += 1
        return self._retry(self._tries)

    def _has_lasted(self) -> None:
        self._tries = 0

    def _unreachable(self, failure: Failure) -> None:
        """Give up: the first connection was not made."""
        reason = reason_text(failure)
        error = UnreachableError(f"cannot reach {self._where}: {reason}", reason)
        error.__cause__ = failure.value
        # Not here: this is called by the service, which cannot be stopped from within its own step.
        self._clock.callLater(0, self._end, error)

    # What the connection says

    def _connected(self, link: Link) -> None:
        self._link = link
        self._reason = ""
        self._told = False
        self._talk.connected()
        self._later(WELCOME_TIME, lambda: self._miss_welcome(link))

    def _miss_welcome(self, link: Link) -> None:
        """Hang up if the server has not said welcome: it has had the time."""
        if self._link is link and not self._talk.welcomed:
            self._give_up(link, f"the server did not answer within {WELCOME_TIME:.0f} seconds")

    def _give_up(self, link: Link, reason: str) -> None:
        self._reason = reason
        link.hang_up()

    def _received(self, frame: bytes) -> None:
        try:
            reply = decode_reply(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._unreadable(frame, error)
        else:
            self._talk.received(reply)

    def _unreadable(self, frame: bytes, error: Exception) -> None:
        """Take what this version does not know: an answer fails its request, anything else is passed over."""
        self._log.debug("the server sent what cannot be read: {error}", error=error)
        try:
            envelope = msgspec.json.decode(frame, type=_Envelope)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if isinstance(envelope.id, str):
            text = envelope.msg or UNREADABLE
            self._talk.unreadable(envelope.id, str(envelope.code), str(text))

    def _lost(self, reason: Failure) -> None:
        self._link = None
        timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
        self._talk.lost()
        text, self._reason = self._reason or reason_text(reason), ""
        if self._gone is not None and not self._gone.called:
            self._gone.callback(None)
        elif self._state is State.CONNECTING:
            foreign = not (self._told or tls_problem(reason))
            self._end(UnreachableError(f"{self._where} did not let us in: {text}", text, foreign))
        elif self._state is not State.CLOSED:
            self._state = State.WAITING
            self._tell(StateChanged(State.WAITING, text))

    # What the conversation says

    def _send(self, request: AnyRequest) -> None:
        assert self._link is not None
        self._link.send(request)

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        """Do something after a pause, unless the connection is lost before."""

        def now() -> None:
            self._timers.remove(timer)
            function()

        timer: IDelayedCall = self._clock.callLater(seconds, now)
        self._timers.append(timer)

    def _tell(self, event: object) -> None:
        if isinstance(event, Stop):
            self._reason = event.msg
            self._told = bool(event.msg)
        elif isinstance(event, Error) and not self._listeners.has(Error):
            self._log.warn("the server says {code}: {text}", code=event.code, text=event.msg)
        room = self._talk.room(getattr(event, "room", None))
        if room is not None:
            self._rooms[room.key]._listeners.tell(event)
        self._listeners.tell(event)

    def _welcomed(self, welcome: Welcome) -> None:
        self._server = welcome.server
        self._later(STEADY_TIME, self._has_lasted)
        self._state = State.CONNECTED
        self._tell(StateChanged(State.CONNECTED))
        if not self._started.called:
            self._started.callback(self)

    def _refused(self, error: RequestError, for_good: bool) -> None:
        if self._state is State.CONNECTING:
            self._end(error)
        elif for_good:
            closed = ClosedError(f"the server does not let this client in again: {error}")
            closed.__cause__ = error
            self._end(closed)
        else:
            assert self._link is not None
            self._reason = str(error)
            self._link.hang_up()


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
    reactor: Any = None,
    retry: Callable[[int], float] = PAUSES,
) -> Answer[Client]:
    """Connect to a server.

    `endpoint` is a description such as `"tcp:chat.example:14900"`, `"tls:chat.example:14943"`,
    `"udp:chat.example:14900"` or `"unix:/run/chat.sock"`, or any endpoint. Raises `UnreachableError` when there is no
    server, `RequestError` when it does not let us in (`nick-taken`, `bad-nick`) and `ValueError` for a bad description.
    From then on the client connects again by itself, with growing pauses.
    """
    return Answer.of(_connect(endpoint, nick, reactor, retry))


async def _connect(
    endpoint: str | IStreamClientEndpoint, nick: str, reactor: Any, retry: Callable[[int], float]
) -> Client:
    return await Client(endpoint, nick, reactor=reactor, retry=retry).start()

"""The engine of a client: its connection, what arrives over it, and what a shell calls.

The rules that keep the promises are in `exchange` (requests, messages and their order) and `rooms` (memberships, and
how their logs are read).

**A request is sent after all that it depends on.** On a new connection the rooms are joined first. Then the waiting
requests are sent, in the order of asking.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from ..keys import key
from .actions import Action
from .directs import Directs
from .errors import ENDED, UNREADABLE, ChatError, ClosedError, RequestError, UnreachableError
from .events import Answered, Closed, Failed, Welcomed
from .exchange import MAX_OBJECT, Credentials, Exchange, Pending
from .membership import Membership
from .objects import GAP, UNSOUND, Kicked, Message, Object, field, optional, read_message, read_notice, read_page
from .pace import Pace, backoff
from .requests import ROWS, Kind, Request
from .rooms import Rooms
from .states import State, StateChanged

OPEN_TIME: Final = 10.0
"""Seconds within which a connection must be made; over UDP, within which the server must answer."""

WELCOME_TIME: Final = 30.0
"""Seconds within which a server must answer a hello. A busy one needs some; something else never answers."""

QUIET_TIME: Final = 20.0
"""Seconds of silence after which the client sends a ping."""

DEAD_TIME: Final = 60.0
"""Seconds of silence after which the client gives a connection up. It has sent several pings by then."""

QUIT_TIME: Final = 5.0
"""Seconds within which a server must end the connection of a client that quits."""

STEADY_TIME: Final = 10.0
"""Seconds that a connection must last after its welcome before the backoff starts anew: a server that lets everybody
in and then ends each connection does not get a new one every second."""

FOR_GOOD: Final = frozenset({"bad-message", "unknown-type", "bad-nick", "auth-failed", "denied", "banned", "replaced"})
"""The codes with which the next hello would be refused too, and `replaced`: the nick is another connection's by now,
and two programs with one token would throw each other out for ever. (`nick-taken` is not one of them: the nick may be
held by the client's own last connection, whose death the server has not noticed.)"""

ENTRIES: Final = frozenset({"", "delete"})
"""The types of objects that are entries of a log."""

LONG_RETRY: Final = 10.0
"""Seconds of `retry` above which a refusal is passed on to the program. A short pause for a rate limit concerns nobody,
but a person who is muted for an hour has to know."""

LARGEST: Final = 2**53
"""The largest limit and `retry` of a server that are believed: JSON has numbers that do not fit into a float."""

CREDENTIALS: Final[frozenset[Kind]] = frozenset({"register", "login", "password"})
"""The kinds of requests that change with what the client says hello."""

CLOSED: Final = "the client is closed"


class Engine:
    """One client, without its sockets."""

    def __init__(
        self,
        nick: str,
        where: str,
        new_id: Callable[[], str],
        retry: Callable[[int], float] = backoff,
        hint: str = "",
        password: str | None = None,
        direct: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare a client.

        `where` names the server in errors. `new_id` returns a new id for a request, which no other client ever uses.
        `retry` returns the seconds before the n-th try to reconnect. `hint` says what to try if something else than a
        chat server answers. `password` is that of the nick's account, or a token. `direct`
        has the newest number that the program has of the direct messages with each partner.
        """
        self.nick = nick
        """The client's nick, as the server has it."""
        self.server = ""
        """The server's name and version."""
        self.limits: dict[str, int] = {}
        """The server's limits by their names."""
        self.guests = True
        """False if a guest can do nothing here but register or log in."""
        self.account = False
        """True while the nick is an account of this client's owner."""
        self.state = State.CONNECTING
        self.hang_up: str | None = None
        """Why the shell has to end the connection now; None while it has not."""
        self.pause = 0.0
        """After a lost connection, the seconds after which the shell has to reconnect."""
        self._where = where
        self._retry = retry
        self._hint = hint
        self._password = password
        self._credentials: deque[Credentials] = deque()
        """The credentials for this connection's hello, until the server takes one of them."""
        self._token = secrets.token_hex(16)
        """The secret with which a reconnecting client takes over its nick from a silent connection."""
        self._exchange = Exchange(new_id)
        self._rooms = Rooms(self._exchange)
        self._directs = Directs(self._exchange, self._rooms.complete, nick, direct)
        self._is_connected = False
        self._heard = 0.0
        self._hello: Pending | None = None
        self._shut_out: RequestError | None = None
        """Why the server refused the last hello, or ended the connection."""
        self._complaint: RequestError | None = None
        """The last error on this connection that answers no request."""
        self._reason: str | None = None
        """Why there is no connection, as the program was told; None while there is one."""
        self._is_foreign = False
        """True while nothing has arrived on this connection that belongs to the protocol."""
        self._was_welcome = False
        self._quitting = False
        self._is_logging_in = False
        """True while the connection is made anew for a login."""
        self._tries = 0
        """The number of pauses since the last steady connection."""

    @property
    def memberships(self) -> dict[str, Membership]:
        """The rooms that the client is in, or wants to be in, by the keys of their names."""
        return self._exchange.memberships

    @property
    def direct(self) -> dict[str, int] | None:
        """The newest number of the direct messages with each partner that was passed on, by nick; None if not known."""
        return self._directs.cursors

    @property
    def error(self) -> ChatError | None:
        """Why the client is closed; None while it is not."""
        return self._exchange.error

    @property
    def has_work(self) -> bool:
        """True while `take_objects` or `take_events` may have something."""
        return self._exchange.has_work

    # Output to the shell

    def take_objects(self, now: float) -> list[Object]:
        """Return the objects to be sent now."""
        self._exchange.now = now
        self._exchange.has_work = False
        self._rooms.work()
        if self.state is State.CONNECTED and not self._rooms.returning:
            self._exchange.send_waiting()
        return self._exchange.take_objects()

    def take_events(self) -> list[Any]:
        """Return the events since the last call: those of `events` and of `states`, and the notices of `objects`."""
        return self._exchange.take_events()

    def take(self, membership: Membership) -> Message | None:
        """Take the next message of a room; None if none is known now. With a `Membership.error`, none will come."""
        return self._rooms.take(membership, self.nick)

    def due(self) -> float | None:
        """Return the time of the next `tick`; None if there is nothing to wait for."""
        return self._exchange.due()

    @property
    def waiting(self) -> list[Request]:
        """The unanswered requests and messages, in the order of asking."""
        return list(self._exchange.asked.values())

    @property
    def owed(self) -> int:
        """The number of unanswered requests and messages."""
        return len(self._exchange.asked)

    # Input from the shell

    def connected(self, now: float) -> None:
        """Called when a connection was made: the client says hello."""
        self._exchange.now = self._heard = now
        self._is_connected = self._is_foreign = True
        if self.error is not None:
            self._hang_up(CLOSED)
            return
        self._exchange.pace = Pace({}, now)
        self._exchange.later(WELCOME_TIME, self._check_welcome)
        self._exchange.later(QUIET_TIME / 2, self._check_silence)
        unsettled = [
            Credentials(request.nick or self.nick, request.password, request)
            for request in self._exchange.asked.values()
            if request.unsettled and request.kind in CREDENTIALS
        ]
        self._credentials = deque([*unsettled, Credentials(self.nick, self._password)])
        self._say_hello()

    def received(self, obj: Object, now: float) -> None:
        """Take an object of the server, or a `GAP`. Unreadable objects are ignored: a newer server may send them."""
        self._exchange.now = self._heard = now
        if self.error is not None or self.hang_up is not None:
            return
        if obj is GAP:
            self._rooms.gap()
            self._directs.gap()
        else:
            with suppress(*UNSOUND):
                self._take(obj)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._exchange.now = now
        self._exchange.tick()

    def lost(self, reason: str, now: float, foreign: bool = True) -> None:
        """Called when a connection has ended, with the reason.

        `foreign` is False if the shell knows what ended it, and that no other protocol did.
        """
        is_foreign = foreign and self._is_foreign
        reason = self._disconnect(now) or reason
        hint = f"; {self._hint}" if is_foreign and self._hint else ""
        text = f"{self._where} did not let this client in: {reason}{hint}"
        self._try_again(reason, UnreachableError(text, reason, is_foreign))

    def failed(self, reason: str, now: float, cause: BaseException | None = None) -> None:
        """Called when a connection could not be made, with the reason."""
        self._exchange.now = now
        error = UnreachableError(f"cannot reach {self._where}: {reason}", reason)
        error.__cause__ = cause
        self._try_again(reason, error)

    def quit(self) -> None:
        """Close the client: say goodbye, and hang up when the server has answered. Without a connection, close now."""
        self._quitting = True
        if self.error is not None:
            return
        if self.state is State.CONNECTED:
            self._exchange.ask_own("quit", {"type": "quit"}, _ignore, _ignore)
            self._exchange.later(QUIT_TIME, lambda: self._hang_up(CLOSED))
        elif self._is_connected:
            self._hang_up(CLOSED)
        else:
            self.end(ClosedError(CLOSED, wanted=True))

    def end(self, error: ChatError) -> None:
        """Close the client now. Every request and room gets the error."""
        if self.error is not None:
            return
        self.state = State.CLOSED
        if self._is_connected:
            self._hang_up(str(error))
        self._exchange.end(error)
        for membership in tuple(self.memberships.values()):
            self._rooms.end(membership, error)
        self._exchange.emit(StateChanged(State.CLOSED, str(error)))
        self._exchange.emit(Closed(error))

    # Requests of the program

    def join(self, name: str, since: int | None = None) -> Membership:
        """Join a room that the client is not in yet. `Entered` or `Ended` is the result."""
        return self._rooms.join(name, since)

    def leave(self, membership: Membership) -> None:
        """Leave a room once all messages to it are acked. `Ended` follows."""
        self._rooms.leave(membership)

    def say(self, membership: Membership, text: str) -> Request:
        """Send a message to a room. The answer is its number."""
        request = self._exchange.new(
            "message", {"type": "", "room": membership.name, "msg": text}, membership.name, text=text
        )
        request.membership = membership
        if self.error is None and (membership.leaving or membership.error is not None):
            return self._exchange.fail(request, ClosedError(f"the room {membership.name} was left"))
        return self._exchange.ask(request)

    def tell(self, nick: str, text: str) -> Request:
        """Send a message to one nick. The answer is its number, or None if it is not kept."""
        return self._exchange.ask(
            self._exchange.new("message", {"type": "", "to": nick, "msg": text}, nick=nick, text=text)
        )

    def do(self, action: Action[Any]) -> Request:
        """Ask for what an action stands for."""
        request = self._exchange.new(action.kind, action.obj, action.room, action.nick, action.text)
        request.password = action.password
        return self._exchange.ask(request)

    def set_topic(self, room: str, text: str) -> Request:
        """Set the topic of a room. An empty one removes it."""
        return self._exchange.ask(
            self._exchange.new("topic", {"type": "topic", "room": room, "msg": text}, room, text=text)
        )

    def who(self, room: str, after: str = "") -> Request:
        """Ask for the members of a room after the nick `after`. The answer is `Members`."""
        return self._exchange.ask(self._exchange.new("members", {"type": "who", "room": room, "after": after}, room))

    def rooms(self) -> Request:
        """Ask for all rooms. The answer is a list of `RoomInfo`."""
        return self._exchange.ask(self._exchange.new("rooms", {"type": "rooms"}))

    def history(
        self, room: str | None, before: int | None, after: int | None, limit: int, nick: str | None = None
    ) -> Request:
        """Ask for a part of the log of a room, or of the direct messages with a nick. The answer is a `Page`."""
        where = {"room": room} if nick is None else {"to": nick}
        given = {name: seq for name, seq in (("before", before), ("after", after)) if seq is not None}
        return self._exchange.ask(
            self._exchange.new("history", {"type": "history", **where, "limit": limit, **given}, room, nick)
        )

    def rename(self, nick: str) -> Request:
        """Take another nick. The answer is the nick in the server's spelling."""
        return self._exchange.ask(self._exchange.new("nick", {"type": "nick", "nick": nick}, nick=nick))

    def withdraw(self, request: Request) -> bool:
        """Take back a message whose answer nobody awaits. False if it was sent already: then it may still arrive."""
        withdrawn = self._exchange.withdraw(request.id)
        if withdrawn is not None:
            self._touch(withdrawn)
        return withdrawn is not None

    # The connection

    def _say_hello(self) -> None:
        credentials = self._credentials[0]
        hello: Object = {"type": "hello", "nick": credentials.nick, "token": self._token}
        if credentials.password is not None:
            hello["password"] = credentials.password
            if numbers := self._directs.numbers_for(hello):
                hello["direct"] = numbers
        self._hello = self._exchange.ask_own("hello", hello, self._welcomed, self._not_welcome)

    def _welcomed(self, welcome: Object) -> None:
        nick, server = field(welcome, "nick", str), field(welcome, "server", str)
        limits: dict[str, int] = field(welcome, "limits", dict)
        if not all(type(limit) is int and 0 <= limit <= LARGEST for limit in limits.values()):
            raise ValueError("a limit is not a number, or too large")
        account = optional(welcome, "account", bool) or False
        self.guests = optional(welcome, "guests", bool) is not False
        credentials = self._credentials[0]
        self.nick, self.server, self.limits, self.account = nick, server, limits, account
        self._password = credentials.password
        self._exchange.limit = limits.get("object", MAX_OBJECT)
        self._exchange.pace = Pace(limits, self._exchange.now)
        self.state = State.CONNECTED
        self._exchange.later(STEADY_TIME, self._has_lasted)
        self._rooms.welcomed()
        self._directs.welcomed(nick, account)
        if not self._was_welcome or self._reason is not None:  # a login is no change of the state
            self._exchange.emit(StateChanged(State.CONNECTED))
        self._was_welcome = True
        self._reason = None
        self._exchange.emit(Welcomed())
        if credentials.request is not None:
            self._settle(credentials.request)

    def _settle(self, request: Pending) -> None:
        """Answer a request whose credentials the server has taken: it was served."""
        results = {"login": self.nick, "register": self.account}
        if request in self._exchange.queue:
            self._exchange.queue.remove(request)
        self._exchange.forget(request)
        self._exchange.emit(Answered(request, results.get(request.kind)))

    def _not_welcome(self, error: RequestError) -> None:
        """Called when the server refuses the hello. The other credentials are tried, if there are any."""
        request = self._credentials[0].request
        is_login = request is not None and request.kind == "login"
        if request is None or not (is_login or error.code == "auth-failed"):
            self._shut(error)
            return
        self._credentials.popleft()
        if is_login:
            self._give_up(request, RequestError(error.code, error.text, error.retry, request))
        self._say_hello()

    def _shut(self, error: RequestError) -> None:
        """Called when the server refuses the client."""
        self._shut_out = error
        text = str(error)
        if error.code == "nick-taken" and self._was_welcome:
            text = f"the nick {self.nick} is still taken by your last connection, or by somebody else by now: {text}"
        self._hang_up(text)

    def _hang_up(self, reason: str) -> None:
        self.hang_up = self.hang_up or reason
        self._exchange.has_work = True

    def _has_lasted(self) -> None:
        self._tries = 0

    def _check_welcome(self) -> None:
        if self.state is not State.CONNECTED:
            self._hang_up(f"the server did not answer within {WELCOME_TIME:.0f} seconds")

    def _check_silence(self) -> None:
        """Send a ping to a silent server. Hang up if it has been silent for too long."""
        silence = self._exchange.now - self._heard
        if silence >= DEAD_TIME:
            self._hang_up(f"nothing was heard of the server for {DEAD_TIME:.0f} seconds")
        elif silence >= QUIET_TIME and self.state is State.CONNECTED:
            self._exchange.ask_own("ping", {"type": "ping"}, _ignore, _ignore)
        self._exchange.later(QUIET_TIME / 2, self._check_silence)

    def _disconnect(self, now: float) -> str:
        """Forget what belonged to a connection. Returns the reason for its end, if the engine knows one."""
        self._exchange.now = now
        reason, self.hang_up = self.hang_up, None
        self._is_connected = False
        self._hello = self._complaint = None
        self._exchange.lost()
        self._rooms.lost()
        self._directs.lost()
        return reason or ""

    def _try_again(self, reason: str, unreachable: UnreachableError) -> None:
        """Decide when to reconnect, or close the client."""
        shut_out, self._shut_out = self._shut_out, None
        if self.error is not None:
            return
        if self._quitting:
            self.end(ClosedError(CLOSED, wanted=True))
        elif not self._was_welcome:
            self.end(shut_out or unreachable)
        elif shut_out is not None and shut_out.code in FOR_GOOD:
            closed = ClosedError(f"the server does not let this client in again: {shut_out}")
            closed.__cause__ = shut_out
            self.end(closed)
        else:
            self.state = State.WAITING
            if self._is_logging_in:
                self._is_logging_in = False
                self.pause = 0.0
                return
            self._tries += 1
            retry = shut_out.retry if shut_out is not None else None
            self.pause = max(self._retry(self._tries), retry or 0.0)
            if reason != self._reason:
                self._reason = reason
                self._exchange.emit(StateChanged(State.WAITING, reason))

    # Received objects

    def _take(self, obj: Object) -> None:
        type = field(obj, "type", str)
        request = self._exchange.find(obj.get("id"))
        if type in ENTRIES and request is None:
            self._said(obj)
            return
        self._rooms.note(obj)
        if type == "error":
            self._refused(obj, request)
        elif type == "stop" and request is not None and request.kind == "login":
            self._is_logging_in = True
            self._hang_up("logging in")
        elif type == "stop":
            self._stopped(obj)
        elif request is not None:
            self._answered(request, obj)
        elif type == "ping":
            self._exchange.answer_ping()
        else:
            notice = read_notice(obj)
            if notice is not None:
                self._exchange.emit(notice)
            if isinstance(notice, Kicked) and key(notice.nick) == key(self.nick):
                self._rooms.put_out(notice)

    def _said(self, obj: Object) -> None:
        if obj.get("to") is not None and obj.get("seq") is not None:
            self._directs.heard(obj)
        elif obj.get("to") is not None:
            self._exchange.emit(read_message(obj))
        else:
            self._rooms.heard(obj)

    def _stopped(self, obj: Object) -> None:
        stop = read_notice(obj)
        reason = optional(obj, "msg", str) or ENDED
        self._is_foreign = False
        self._exchange.emit(stop)
        if obj.get("code") == "replaced":
            self._shut_out = RequestError("replaced", reason)
        elif self._complaint is not None and self._complaint.text == reason:  # it says why, with a code
            self._shut_out = self._complaint
        self._hang_up(reason)

    def _answered(self, request: Pending, obj: Object) -> None:
        self._is_foreign = False
        row = ROWS[request.kind]
        if obj["type"] != row.answer:
            text = "the server answered something else than was asked for"
            self._give_up(request, RequestError("internal", text, None, request))
            return
        try:
            result = row.read(obj)
            if request.answered is not None:
                self._exchange.own.pop(request.id)
                request.answered(result)
            else:
                self._succeed(request, result)
        except UNSOUND:
            self._give_up(request, RequestError("internal", UNREADABLE, None, request))

    def _succeed(self, request: Pending, result: Any) -> None:
        """Take the answer to a request of the program. Raises one of `UNSOUND` if it cannot be read."""
        match request.kind:
            case "message" | "delete":
                request.seq, request.time = optional(result, "seq", int), optional(result, "time", str)
                reader = request.membership.reader if request.membership is not None else None
                if reader is not None and request.seq is not None:
                    reader.log.acked(request.seq)
                result = request.seq
            case "nick":
                self.nick = result
            case "register":
                self._password, self.account = request.password, result
                self._directs.welcomed(self.nick, self.account)
            case "password":
                self._password = request.password
            case "history":
                page = read_page(result)  # an unreadable page raises an error before anything is done with it
                cut = next((message for message in result["messages"] if message.get("rest")), None)
                if cut is not None:  # over UDP; a page in which a text is cut ends with it
                    result["more"] |= "after" in request.obj
                    where: Object = {name: request.obj[name] for name in ("room", "to") if name in request.obj}
                    self._rooms.complete(cut, where, lambda: self._answered(request, result))
                    return
                result = page
        self._exchange.forget(request)
        self._exchange.emit(Answered(request, result))
        self._touch(request)

    def _touch(self, request: Pending) -> None:
        """Note that a request was answered, for which a message may have waited, since it could have been this one."""
        self._rooms.touch_of(request)
        if request.kind in ("message", "delete") and request.nick is not None:
            self._directs.acked(request.nick, request.seq)

    def _give_up(self, request: Pending, error: RequestError) -> None:
        """Fail a request for good."""
        if request.refused is not None:
            self._exchange.own.pop(request.id, None)
            request.refused(error)
        else:
            self._exchange.forget(request)
            self._exchange.emit(Failed(request, error))
            self._touch(request)

    def _refused(self, obj: Object, request: Pending | None) -> None:
        self._is_foreign = False
        code, text, retry = obj.get("code"), obj.get("msg"), obj.get("retry")
        error = RequestError(
            code if isinstance(code, str) else "internal",
            text if isinstance(text, str) and text else UNREADABLE,
            float(retry) if isinstance(retry, int | float) and 0 <= retry <= LARGEST else None,
            None if request is self._hello else request,
        )
        if request is not None and request is self._hello:
            self._give_up(request, error)
        elif self.state is not State.CONNECTED and request is None:
            self._shut(error)
        elif self._hello is not None and obj.get("id") == self._hello.id:  # not all direct messages can be replayed
            self._directs.gap()
        elif request is None:
            self._complaint = error
            self._exchange.emit(read_notice(obj))
        elif self._passes_over(error, request):
            self._exchange.put_off(request, error.retry)
            self._rooms.put_off(request)
        else:
            self._give_up(request, error)

    @staticmethod
    def _passes_over(error: RequestError, request: Pending) -> bool:
        """True for a refusal for now, after which the request is sent again without a word to the program."""
        if error.code == "rate-limited":
            is_new = request.kind == "join" and request.membership is not None and not request.membership.entered
            return (error.retry or 0.0) <= LONG_RETRY or (request.is_own and not is_new)
        return error.code == "unavailable" and (request.is_own or request.kind == "message")


def _ignore(_: object) -> None:
    """Ignore an answer or a refusal."""

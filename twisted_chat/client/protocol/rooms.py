"""The rooms that a client is in, over any number of connections, and how it reads their logs.

- A room is a log and a reader is a cursor in it. On each new connection the client joins with the newest message that
  it has heard, and reads from the log what is missing (`room_reader`), so that nothing is missed or doubled.
- **A message that may be one's own waits.** After a reconnect, an unacked message may be in the log, under the client's
  nick. A message under that nick is not handed out before all unacked messages are acked, or refused.
- **A slow consumer is a cursor, too.** Messages for which it has no space are dropped, and read from the log in pages
  when it takes more. Memory is bounded, and the connection goes on: acks, pings and other rooms do not wait. (A paused
  transport would hold back for ever the ack that a consumer awaits before it takes the next message.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..keys import key
from .errors import FOR_NOW, ChatError, ClosedError, RequestError
from .events import Ended, Entered, Heard
from .exchange import Exchange, Pending
from .membership import Membership
from .objects import Kicked, Message, Object, blank, entry_seq, field, listed, read_deleted
from .pace import backoff, pause_before_retry
from .room_reader import PAGE
from .states import NewLog, RoomLost

MAX_TEXT: Final = 2**16
"""The maximum length in characters of a text that is completed over UDP; a server takes a quarter of that."""


class Rooms:
    """The rooms of one client."""

    def __init__(self, exchange: Exchange) -> None:
        self.returning: set[Membership] = set()
        """The rooms whose joins have to be answered, on a new connection, before anything else is sent."""
        self._exchange = exchange
        self._is_welcome = False
        """True once the server has said welcome, on this connection."""
        self._touched: dict[Membership, None] = {}
        """The rooms for which there may be something to do, in order."""

    # The connection

    def welcomed(self) -> None:
        """Called when the server has said welcome: all rooms are joined again."""
        self._is_welcome = True
        for membership in self._exchange.memberships.values():
            self.returning.add(membership)
            self.touch(membership)

    def lost(self) -> None:
        """Called when the connection is lost."""
        self._is_welcome = False
        self.returning.clear()
        for membership in self._exchange.memberships.values():
            membership.away()
            self.touch(membership)

    def work(self) -> None:
        """Take the next step for each room that needs one."""
        while self._touched:
            membership = next(iter(self._touched))
            del self._touched[membership]
            self._step(membership)

    def touch(self, membership: Membership) -> None:
        """Note that there may be something to do for a room."""
        self._touched[membership] = None
        self._exchange.has_work = True

    def touch_of(self, request: Pending) -> None:
        """Note that something has changed for the room that a request is about."""
        if request.membership is not None:
            self.touch(request.membership)
            self.emit_heard(request.membership)  # a message may have waited, since it could have been this one

    def emit_heard(self, membership: Membership) -> None:
        """Emit that a room may have messages to be taken."""
        if membership.error is None:
            self._exchange.emit_once(Heard(membership))

    # Coming and going

    def join(self, name: str, since: int | None = None) -> Membership:
        """Join a room that the client is not in yet. `Entered` or `Ended` is the result."""
        membership = Membership(name, since)
        if self._exchange.error is not None:
            self.end(membership, self._exchange.error)
        else:
            self._exchange.memberships[membership.key] = membership
            self.touch(membership)
        return membership

    def leave(self, membership: Membership) -> None:
        """Leave a room once all messages to it are acked. `Ended` follows."""
        membership.leaving = True
        self.touch(membership)

    def _step(self, membership: Membership) -> None:
        """Take the next step for a room: leave it, join it, or read its log."""
        if membership.error is not None:
            return
        if membership.leaving and membership.outbox.is_empty and not self._asks_about(membership):
            self._leave(membership)
        elif self._is_welcome and not (membership.joined or membership.busy or membership.resting):
            self._join(membership)
        if membership.joined and membership.reader is not None:
            for after in membership.reader.gaps():
                self._fill(membership, after)

    def _asks_about(self, membership: Membership) -> bool:
        """True while a request about a room waits to be sent, or one that changes it may have to be sent again."""
        return any(
            request.membership is membership and (request.changes or not request.is_sent)
            for request in self._exchange.asked.values()
        )

    def put_off(self, request: Pending) -> None:
        """Called when a request was refused for now, and is sent again later."""
        if request.kind == "join":
            assert request.membership is not None
            self.rest(request.membership)

    def rest(self, membership: Membership) -> None:
        """Note that a room refuses for now. Only requests about it wait."""
        membership.resting = True
        self.returning.discard(membership)
        self._exchange.has_work = True

    def _join(self, membership: Membership) -> None:
        reader = membership.reader
        replays = reader is not None and reader.is_hungry
        since = {"since": reader.log.edge} if reader is not None and replays else {}
        membership.busy = True
        self._exchange.ask_own(
            "join",
            {"type": "join", "room": membership.name, **since},
            lambda joined: self._joined(membership, joined, replays),
            lambda error: self._not_joined(membership, error),
            membership,
        )

    def _joined(self, membership: Membership, joined: Object, replays: bool) -> None:
        room, topic = field(joined, "room", str), field(joined, "topic", str)
        seq, oldest, count = field(joined, "seq", int), field(joined, "oldest", int), field(joined, "count", int)
        membership.name, membership.topic, membership.oldest, membership.count = room, topic, oldest, count
        reader = membership.reader
        if reader is None:
            membership.read_from(seq)
        elif seq < reader.log.newest:
            # The log is a new one (a server that keeps nothing on disk was started again): nothing of it was heard.
            membership.read_from(0).log.skip(seq)
            self._exchange.emit(NewLog(room))
        elif replays:
            reader.log.resume()
        else:
            reader.log.skip(seq)
        membership.busy = False
        membership.joined = True
        membership.tries = 0
        self.returning.discard(membership)
        self.touch(membership)
        if not membership.entered:
            membership.entered = True
            self._exchange.emit(Entered(membership))
        self.emit_heard(membership)

    def _not_joined(self, membership: Membership, error: RequestError) -> None:
        if not (membership.entered and error.code in FOR_NOW):
            self._lose_membership(membership, error)
            return
        membership.tries += 1
        membership.busy = False
        self.rest(membership)

        def again() -> None:
            membership.resting = False
            self.touch(membership)

        self._exchange.later(pause_before_retry(membership.tries, error.retry), again)

    def _leave(self, membership: Membership) -> None:
        def over(_: object = None) -> None:
            self.end(membership, ClosedError(f"the room {membership.name} was left", wanted=True))

        if membership.joined and not membership.busy:
            leave = {"type": "leave", "room": membership.name}
            membership.busy = True
            self._exchange.ask_own("leave", leave, over, over, membership)
        elif not membership.joined and (not membership.busy or membership.resting):
            over()

    def _lose_membership(self, membership: Membership, error: RequestError) -> None:
        """Called when the server refuses a room, or its log, for good."""
        if membership.entered:
            self._exchange.emit(RoomLost(membership.name, error))
        self.end(membership, error)

    def end(self, membership: Membership, error: ChatError) -> None:
        """End a membership: the room was left or refused, or the client is closed."""
        membership.error = error
        membership.joined = False
        if self._exchange.memberships.get(membership.key) is membership:
            del self._exchange.memberships[membership.key]
        self.returning.discard(membership)
        self._exchange.drop(membership, error)
        self._exchange.emit(Ended(membership, error))

    # Messages and notices

    def find(self, name: object) -> Membership | None:
        """Return the room of this name that the client is in, or wants to be in."""
        return self._exchange.memberships.get(key(name)) if isinstance(name, str) else None

    def note(self, obj: Object) -> None:
        """Note what an object says about a room."""
        membership = self.find(obj.get("room"))
        if membership is None:
            return
        match obj:
            case {"type": "join"}:
                membership.count += 1
            case {"type": "leave" | "kick"}:
                membership.count -= 1
            case {"type": "presence", "count": int(count)}:
                membership.count = count
            case {"type": "topic", "msg": str(topic)}:
                membership.topic = topic

    def put_out(self, notice: Kicked) -> None:
        """Called when the client was put out of a room, which it does not join again by itself."""
        membership = self.find(notice.room)
        if membership is not None:
            text = f"you were put out of the room by {notice.author}"
            if notice.msg:  # that of the server says all
                text = notice.msg if notice.author == "server" else f"{text}: {notice.msg}"
            self._lose_membership(membership, RequestError("kicked", text))

    def gap(self) -> None:
        """Called when something got lost."""
        for membership in self._exchange.memberships.values():
            if membership.reader is not None:
                membership.reader.log.broken()
                self.touch(membership)

    def heard(self, obj: Object) -> None:
        """Take an entry of a room's log, a message or a deletion, live or replayed."""
        membership = self.find(field(obj, "room", str))
        if membership is not None and membership.joined and membership.reader is not None:
            membership.reader.log.heard(entry_seq(obj), obj)
            if obj.get("type") == "delete":
                blank(membership.reader.log.find(obj["of"]), obj)
            if not membership.reader.log.is_complete:
                self.touch(membership)
            self.emit_heard(membership)

    def take(self, membership: Membership, nick: str) -> Message | None:
        """Take the next message of a room that is not the client's own; None if none is known now.

        Deletions are not taken: they become events in their places.
        """
        reader = membership.reader
        while reader is not None:
            obj = reader.ready(nick, membership.outbox.unacked)
            if obj is None or self._is_cut(membership, obj):
                return None
            reader.log.advance()
            if not reader.log.is_complete and reader.is_hungry:
                self.touch(membership)
            if obj.get("type") != "delete":
                seq, time, deleted = obj["seq"], obj.get("time"), obj.get("deleted")
                return Message(obj["msg"], obj["author"], membership.name, None, seq, time, deleted)
            self._exchange.emit(read_deleted(obj | {"room": membership.name}))
        return None

    def _fill(self, membership: Membership, after: int) -> None:
        """Read what is missing after a message."""
        reader = membership.reader
        assert reader is not None

        def ask() -> None:
            if membership.reader is reader and membership.joined:
                history = {"type": "history", "room": membership.name, "after": after, "limit": PAGE}
                self._exchange.ask_own("history", history, take, refused, membership)

        def take(page: Object) -> None:
            messages = {entry_seq(message): message for message in listed(page, "messages")}
            more = field(page, "more", bool)
            reader.release(after)
            reader.read(after, messages, more)
            self.touch(membership)
            self.emit_heard(membership)

        def refused(error: RequestError) -> None:
            if error.code in FOR_NOW:
                self._exchange.later(backoff(3), again)
            else:
                self._lose_membership(membership, error)

        def again() -> None:
            reader.release(after)
            self.touch(membership)

        if reader.pause:
            self._exchange.later(reader.pause, ask)
        else:
            ask()

    def _is_cut(self, membership: Membership, message: Object) -> bool:
        """True if a text did not fit into a datagram. Then the rest is read from the log."""
        if not message.get("rest"):
            return False
        if membership.joined and membership.completing != message["seq"]:
            membership.completing = message["seq"]
            self.complete(message, {"room": membership.name}, lambda: self.emit_heard(membership), membership)
        return True

    def complete(
        self, message: Object, where: Object, done: Callable[[], None], membership: Membership | None = None
    ) -> None:
        """Read the rest of a text that did not fit into a datagram, part by part.

        `where` names the log, by its `room` or by the partner of direct messages (`to`).
        """
        seq = message["seq"]

        def ask() -> None:
            history = {"type": "history", **where, "after": seq - 1, "limit": 1, "skip": len(message["msg"])}
            self._exchange.ask_own("history", history, take, refused, membership)

        def take(page: Object) -> None:
            if "rest" not in message:  # the message was deleted meanwhile
                done()
                return
            parts = [part for part in listed(page, "messages") if entry_seq(part) == seq]
            text: str = parts[0]["msg"] if parts else ""
            message["msg"] += text
            if text and parts[0].get("rest") and len(message["msg"]) < MAX_TEXT:
                ask()
            else:
                over()

        def refused(error: RequestError) -> None:
            if error.code in FOR_NOW:
                self._exchange.later(backoff(3), ask)
            else:
                over()

        def over() -> None:
            message.pop("rest", None)
            done()

        ask()

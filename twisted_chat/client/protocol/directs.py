"""The direct messages between this client's account and others: each such conversation is a log, like that of a room.

- The hello names the newest message that the client has heard of each partner, and the server replays what came after
  it. So nothing is missed or doubled.
- Then the client asks for its partners and their newest numbers. It reads the logs that the hello had no space for, and
  those of new partners from their beginning.
- On the first connection nothing is read that came before, unless the program says what it has (`cursors`).
- A message under one's own nick comes from another connection of the account. It waits while it may be one that this
  client has sent, and that is not acked yet.

A direct message from or to a guest is not kept and has no number. The engine passes it on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Final

from ..keys import key
from .errors import FOR_NOW, RequestError
from .exchange import Exchange
from .objects import Object, blank, encode, entry_seq, field, listed, read_deleted, read_directs, read_message
from .pace import backoff
from .partial_log import PartialLog
from .room_reader import PAGE, RoomReader

Complete = Callable[[Object, Object, Callable[[], None]], None]
"""Reads the rest of a text that did not fit into a datagram: of a message, in a log (`to`), and calls what follows."""

MAX_PARTNERS: Final = 500
"""The number of conversations whose cursors are kept, as many as a server lists. The ones used last stay."""

MAX_HELLO: Final = 900
"""Bytes of a hello with the numbers of some 40 partners: with its cookie, it has to fit into a datagram of 1,200. The
server opens the log of each, so it is well that they are not more."""


class DirectLog:
    """The log of the direct messages with one partner."""

    def __init__(self, partner: str) -> None:
        self.partner = partner
        self.reader: RoomReader[Object] | None = None
        """None until it is known from where on the log is read. Then at least one own message was acked."""
        self._acked: set[int] = set()
        """The numbers of the client's own messages that were acked before that."""

    def read_from(self, seq: int) -> RoomReader[Object]:
        """Begin to read the log after this number."""
        self.reader = RoomReader(PartialLog[Object](seq), itemgetter("author"))
        for own in self._acked:
            self.reader.log.acked(own)
        return self.reader

    def acked(self, seq: int) -> None:
        """Note the number of one of the client's own messages."""
        if self.reader is None:
            self._acked.add(seq)
        else:
            self.reader.log.acked(seq)

    def broken(self) -> None:
        """Called when something may have got lost.

        If nothing was heard of this log, nobody else has said anything in it between the first of the client's own
        messages and now: it is read from there.
        """
        reader = self.reader or self.read_from(min(self._acked))
        reader.log.broken()


class Directs:
    """The direct conversations of one client."""

    def __init__(self, exchange: Exchange, complete: Complete, nick: str, cursors: Mapping[str, int] | None) -> None:
        """`cursors` has the newest number that the program has of each partner of `nick`, by nick."""
        self._exchange = exchange
        self._complete = complete
        self._nick = nick
        self._logs: dict[str, DirectLog] = {}
        """By the keys of the partners, the one that was used last at the end."""
        self._knows_partners = cursors is not None and len(cursors) < MAX_PARTNERS
        """True once all partners are known: a further one begins with an empty log."""
        self._is_current = False
        """True once the server has listed the partners, and nothing got lost since: what is missing is read then."""
        self._is_asked = False
        """True while the server is asked to list them."""
        self._is_whole = True
        """False if something got lost after it was asked."""
        self._replayed: list[PartialLog[Object]] = []
        """The logs that the hello of this connection has named."""
        self._edges: dict[PartialLog[Object], int] = {}
        """The number of the newest message that was heard in each log, or acked, before this connection."""
        for partner, seq in (cursors or {}).items():
            self._log(partner).read_from(seq).log.broken()

    @property
    def cursors(self) -> dict[str, int] | None:
        """The newest number of each partner that was passed on, by nick; None until the partners are known."""
        if not self._knows_partners:
            return None
        return {log.partner: log.reader.log.seq for log in self._logs.values() if log.reader is not None}

    # The connection

    def numbers_for(self, hello: Object) -> dict[str, int]:
        """Return the newest number that was heard of each partner, as far as a hello has space, those used last first.

        The server is to replay what came after these numbers.
        """
        self._replayed.clear()
        if key(hello["nick"]) != key(self._nick):  # a login to another account
            return {}
        space = MAX_HELLO - len(encode(hello | {"direct": {}}))
        numbers: dict[str, int] = {}
        for log in reversed(self._logs.values()):
            if log.reader is not None and log.reader.is_hungry:
                edge = log.reader.log.edge
                space -= len(encode({log.partner: edge}))
                if space < 0:
                    break
                numbers[log.partner] = edge
                self._replayed.append(log.reader.log)
        return numbers

    def welcomed(self, nick: str, account: bool) -> None:
        """Called when the server has said welcome, or the nick has become an account."""
        if key(nick) != key(self._nick):  # another account
            self._logs.clear()
            self._replayed.clear()
            self._knows_partners = False
        self._nick = nick
        if account:
            readers = [log.reader for log in self._logs.values() if log.reader is not None]
            self._edges = {reader.log: reader.log.newest for reader in readers}
            for log in self._replayed:
                log.resume()
            self._ask_for_partners()

    def _ask_for_partners(self) -> None:
        self._is_current = False
        self._is_asked = self._is_whole = True
        self._exchange.ask_own("directs", {"type": "directs"}, self._listed, self._not_listed)

    def _not_listed(self, error: RequestError) -> None:
        if error.code in FOR_NOW:
            self._exchange.later(backoff(3), self._ask_for_partners)

    def _listed(self, directs: Object) -> None:
        """Take the partners and their newest numbers.

        If something got lost meanwhile, it may be newer than the list, so the client asks again.
        """
        for direct in read_directs(directs):
            log = self._logs.get(key(direct.nick)) or self._log(direct.nick)
            if log.reader is None and not self._knows_partners:
                log.read_from(direct.seq)
            elif log.reader is None:
                self._begin(log)
            elif self._edges.get(log.reader.log, 0) > direct.seq:  # a new log
                log.read_from(direct.seq)
            elif log.reader.log.edge == direct.seq:
                log.reader.log.resume()
            elif log.reader.log.edge < direct.seq and log.reader.log.is_broken:
                log.reader.log.skip(direct.seq)
        self._knows_partners = True
        self._is_asked = False
        self._is_current = self._is_whole
        for log in tuple(self._logs.values()):
            if log.reader is None:
                self._begin(log)
            self._read_on(log)
        if not self._is_current:
            self._break()
            self._ask_for_partners()

    def _begin(self, log: DirectLog) -> RoomReader[Object]:
        """Begin to read the log of a new partner. Until it is listed, there may be more than is heard."""
        reader = log.read_from(0)
        if not self._is_current:
            reader.log.broken()
        return reader

    def lost(self) -> None:
        """Called when the connection is lost."""
        self._is_current = self._is_asked = False
        for log in self._logs.values():
            if log.reader is not None:
                log.reader.lost()
        self._break()

    def gap(self) -> None:
        """Called when something got lost. The list of partners shows of which logs it was, also of new ones."""
        self._is_whole = False
        self._break()
        if self._is_current:
            self._ask_for_partners()

    def _break(self) -> None:
        for log in self._logs.values():
            log.broken()

    # Messages

    def heard(self, obj: Object) -> None:
        """Take an entry of a log, a message or a deletion, live or replayed."""
        author, to, seq = field(obj, "author", str), field(obj, "to", str), entry_seq(obj)
        log = self._log(to if key(author) == key(self._nick) else author)
        reader = log.reader or (self._begin(log) if self._knows_partners else log.read_from(seq - 1))
        reader.log.heard(seq, obj)
        if obj.get("type") == "delete":
            blank(reader.log.find(obj["of"]), obj)
        self._read_on(log)

    def acked(self, partner: str, seq: int | None) -> None:
        """Called when a message to a partner was acked, or refused for good; `seq` is None if it has no number."""
        if seq is not None:
            log = self._log(partner)
            if log.reader is None and self._knows_partners:
                self._begin(log)
            log.acked(seq)
        if key(partner) in self._logs:
            self._read_on(self._log(partner))

    def _log(self, partner: str) -> DirectLog:
        """Return the log of a partner, and keep it as the one used last."""
        log = self._logs.pop(key(partner), None) or DirectLog(partner)
        self._logs[key(partner)] = log
        if len(self._logs) > MAX_PARTNERS:
            del self._logs[next(iter(self._logs))]
        return log

    def _read_on(self, log: DirectLog) -> None:
        """Pass on the messages that are known, and request those that are missing."""
        reader = log.reader
        if reader is None:
            return
        while (obj := reader.ready(self._nick, self._exchange.unacked_to(log.partner))) is not None:
            if obj.get("rest"):
                self._complete(obj, {"to": log.partner}, lambda: self._read_on(log))
                break
            reader.log.advance()
            self._exchange.emit(read_deleted(obj) if obj.get("type") == "delete" else read_message(obj))
        if self._is_current or reader.log.has_gap:
            for after in reader.gaps():
                self._fill(log, reader, after)

    def _fill(self, log: DirectLog, reader: RoomReader[Object], after: int) -> None:
        """Read what is missing after a message."""

        def ask() -> None:
            history = {"type": "history", "to": log.partner, "after": after, "limit": PAGE}
            self._exchange.ask_own("history", history, take, refused)

        def take(page: Object) -> None:
            messages = {entry_seq(message): message for message in listed(page, "messages")}
            more = field(page, "more", bool)
            reader.release(after)
            reader.read(after, messages, more)
            self._read_on(log)

        def refused(error: RequestError) -> None:
            if error.code in FOR_NOW:
                self._exchange.later(backoff(3), ask)
            else:  # such as an account that is gone
                self._logs.pop(key(log.partner), None)

        if reader.pause:
            self._exchange.later(reader.pause, ask)
        else:
            ask()

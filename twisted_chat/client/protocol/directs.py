"""The direct messages between this client's account and others: each such conversation is a log, like that of a room.

- On each connection the client asks for its partners and their newest numbers. Where there are newer messages than
  those that it has, it reads them from the log, so that nothing is missed or doubled.
- A partner with whom nothing was exchanged before has an empty log, which is read from its beginning. Of the others,
  nothing is read that came before the first connection, unless the program says from where on (`cursors`).
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
from .objects import Object, blank, entry_seq, field, listed, read_deleted, read_directs, read_message
from .pace import backoff
from .partial_log import PartialLog
from .room_reader import PAGE, RoomReader

Complete = Callable[[Object, Object, Callable[[], None]], None]
"""Reads the rest of a text that did not fit into a datagram: of a message, in a log (`to`), and calls what follows."""

MAX_PARTNERS: Final = 500
"""The number of conversations whose cursors are kept, as many as a server lists. The ones used last stay."""


class DirectLog:
    """The log of the direct messages with one partner."""

    def __init__(self, partner: str) -> None:
        self.partner = partner
        self.reader: RoomReader[Object] | None = None
        """None until it is known from where on the log is read."""
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


class Directs:
    """The direct conversations of one client."""

    def __init__(self, exchange: Exchange, complete: Complete, cursors: Mapping[str, int]) -> None:
        """`cursors` has the newest number that the program has of each partner, by nick."""
        self._exchange = exchange
        self._complete = complete
        self._nick = ""
        self._logs: dict[str, DirectLog] = {}
        """By the keys of the partners, the one that was used last at the end."""
        self._knows_partners = False
        """True once the server has listed the partners: one that is not among them begins with an empty log."""
        self._is_current = False
        """True once it has done so on this connection: gaps are read from then on."""
        for partner, seq in cursors.items():
            self._log(partner).read_from(seq).log.broken()

    @property
    def cursors(self) -> dict[str, int]:
        """The newest number of each partner that was passed on, by nick."""
        return {log.partner: log.reader.log.seq for log in self._logs.values() if log.reader is not None}

    # The connection

    def welcomed(self, nick: str, account: bool) -> None:
        """Called when the server has said welcome."""
        if self._nick and key(nick) != key(self._nick):  # another account
            self._logs.clear()
            self._knows_partners = False
        self._nick = nick
        if account:
            self._exchange.ask_own("directs", {"type": "directs"}, self._listed, lambda _: None)

    def _listed(self, directs: Object) -> None:
        """Take the partners and their newest numbers."""
        for direct in read_directs(directs):
            log = self._log(direct.nick)
            if log.reader is None or log.reader.log.edge > direct.seq:  # the latter is a new log
                log.read_from(direct.seq)
            elif log.reader.log.edge == direct.seq:
                log.reader.log.resume()
        self._knows_partners = self._is_current = True
        for log in self._logs.values():
            if log.reader is None:
                log.read_from(0)
            self._read_on(log)

    def lost(self) -> None:
        """Called when the connection is lost."""
        self._is_current = False
        for log in self._logs.values():
            if log.reader is not None:
                log.reader.lost()
        self._break()

    def gap(self) -> None:
        """Called when something got lost."""
        self._break()
        for log in tuple(self._logs.values()):
            self._read_on(log)

    def _break(self) -> None:
        for log in self._logs.values():
            if log.reader is not None:
                log.reader.log.broken()

    # Messages

    def heard(self, obj: Object) -> None:
        """Take an entry of a log, a message or a deletion, live or replayed."""
        author, to = field(obj, "author", str), field(obj, "to", str)
        log = self._log(to if key(author) == key(self._nick) else author)
        seq = entry_seq(obj)
        reader = log.reader or log.read_from(0 if self._knows_partners else seq - 1)
        reader.log.heard(seq, obj)
        if obj.get("type") == "delete":
            blank(reader.log.find(obj["of"]), obj)
        self._read_on(log)

    def acked(self, partner: str, seq: int | None) -> None:
        """Called when a message to a partner was acked, or refused for good; `seq` is None if it has no number."""
        if seq is not None:
            log = self._log(partner)
            if log.reader is None and self._knows_partners:
                log.read_from(0)
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
        if self._is_current:
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

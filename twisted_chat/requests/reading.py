"""Requests for reading: the history and the members of a room, and the list of rooms."""

from __future__ import annotations

import heapq
from collections.abc import Generator
from typing import Final

from twisted.internet.defer import Deferred, inlineCallbacks

from .. import messages, names
from ..encoding import message_of
from ..gate import Host, answers
from ..limits import MEMBERS, MESSAGES
from ..log import DirectSummary, Record, RoomSummary
from ..messages import Message, WireError
from ..names import Name
from ..room import Room
from ..session import Session
from .common import fitting, own_account

LOCKED: Final = 10
"""The number of locked rooms that a list of rooms examines for one more token: 20 microseconds of work."""

MAX_LOCKED: Final = 10_000
"""The number of locked rooms in which nobody is that cannot displace others from the list of rooms: to read so many
takes some 10 ms, in a thread."""


@answers(messages.History)
def _history(host: Host, session: Session, request: messages.History) -> Deferred[None]:
    if request.before is not None and request.after is not None:
        raise WireError("bad-message", "history goes 'before' a number or 'after' one, not both")
    name = _log(session, request)
    return host.rooms.peek(name).addCallback(_read_history, session, request)


def _log(session: Session, request: messages.History) -> Name:
    """Return the name of the log that is to be read; raises `WireError`."""
    if (request.room is None) is (request.to is None):
        raise WireError("bad-message", "history is of a 'room', or 'to' an account, not both")
    if request.to is None:
        return names.room(request.room or "")
    return names.direct(own_account(session).name, names.nick(request.to))


@inlineCallbacks
def _read_history(
    room: Room, session: Session, request: messages.History
) -> Generator[Deferred[list[Record]], list[Record], None]:
    """Answer with a page. If the log has only kinds that clients do not know, read on until there is a message."""
    most = min(request.limit, messages.MAX_PAGE)
    most_bytes = session.wire.longest_answer
    name = room.name.shown
    shown: list[Message] = []
    if request.after is not None:
        after = request.after
        while not shown and (records := (yield room.read_after(after, most, most_bytes))):
            after = records[-1].seq
            shown = _known(name, records)
    else:
        before = messages.MAX_SEQ if request.before is None else request.before
        while not shown and (records := (yield room.read_before(before, most, most_bytes))):
            before = records[0].seq
            shown = _known(name, records)
    _show_history(shown, room, session, request)


def _known(room: str, records: list[Record]) -> list[Message]:
    return [message for record in records if (message := message_of(room, record)) is not None]


def _show_history(shown: list[Message], room: Room, session: Session, request: messages.History) -> None:
    answer = messages.HistoryPage(messages=[], more=False, id=request.id)
    if request.to is None:
        answer.room = room.name.shown
    else:
        answer.to = request.to
    session.charge_work(len(shown) // MESSAGES)
    if shown and request.skip:
        shown[0].msg = shown[0].msg[request.skip :]
    if request.after is not None:
        answer.messages = fitting(shown, answer, session.wire)
        answer.more = bool(shown) and (answer.messages[-1].seq or 0) < room.head
    else:
        answer.messages = fitting(shown[::-1], answer, session.wire)[::-1]
        answer.more = bool(shown) and (answer.messages[0].seq or 0) > room.log.oldest
    session.reply(answer)


@answers(messages.ListDirects)
def _directs(host: Host, session: Session, request: messages.ListDirects) -> Deferred[None]:
    found = host.log.directs(own_account(session).name, messages.MAX_PAGE)
    return found.addCallback(_show_directs, session, request)


def _show_directs(found: list[DirectSummary], session: Session, request: messages.ListDirects) -> None:
    answer = messages.DirectList(directs=[], id=request.id)
    answer.directs = fitting([messages.DirectInfo(*direct) for direct in found], answer, session.wire)
    session.reply(answer)


@answers(messages.Who)
def _who(host: Host, session: Session, request: messages.Who) -> Deferred[None]:
    name = names.room(request.room)
    return host.cluster.members(name.key).addCallback(_show_members, host, session, request, name)


def _show_members(elsewhere: list[Name], host: Host, session: Session, request: messages.Who, name: Name) -> None:
    after = names.nick(request.after).key if request.after else ""
    room = host.rooms.get(name.key)
    here = [listener.nick for listener in room.members] if room else []
    nicks = {nick.key: nick for nick in (*elsewhere, *here)}.values()
    page = heapq.nsmallest(messages.MAX_PAGE, (nick for nick in nicks if nick.key > after), key=lambda nick: nick.key)
    shown = room.name.shown if room else name.shown
    answer = messages.Members(room=shown, members=[], count=len(nicks), id=request.id)
    session.charge_work(len(nicks) // MEMBERS)
    answer.members = fitting([nick.shown for nick in page], answer, session.wire)
    session.reply(answer)


@answers(messages.ListRooms)
def _rooms(host: Host, session: Session, request: messages.ListRooms) -> Deferred[None]:
    locked = min(len(host.accounts.rules.locked), MAX_LOCKED)
    session.charge_work(locked // LOCKED)
    return host.log.rooms(messages.MAX_PAGE + locked).addCallback(_show_rooms, host, session, request)


def _show_rooms(kept: list[RoomSummary], host: Host, session: Session, request: messages.ListRooms) -> None:
    answer = messages.RoomList(rooms=[], id=request.id)
    answer.rooms = fitting(host.list_rooms(session, kept), answer, session.wire)
    session.reply(answer)

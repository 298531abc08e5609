"""One run of the interface of the whole screen, from the first connection to the exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python.failure import Failure

from ..errors import ChatError, ClosedError, RequestError
from ..events import (
    MemberJoined,
    MemberLeft,
    Members,
    Message,
    NewLog,
    NickChanged,
    Page,
    RoomInfo,
    State,
    StateChanged,
)
from ..library import Client, Room
from ..program.clean import clean
from ..program.commands import Direct, Person, Quit
from ..program.options import Options
from ..program.trouble import complain, lost, why_not
from .columns import cut
from .completing import Known
from .keys import HELP, bindings
from .model import Entry, Fate, Kind, Pane, Panes, key_of
from .statusline import Link
from .view import View

PAGE: Final = 100
"""Messages of the history that are asked for at once: two screens of a tall terminal."""

REFUSED: Final = 500
"""Columns that are shown of a message that was refused: one that is too long would fill the screen."""


class Talk:
    """One person before one screen: shows what comes, and does what the keys ask for (`view.Doer`)."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        options: Options,
        endpoint: IStreamClientEndpoint,
        source: Input | None = None,
        screen: Output | None = None,
    ) -> None:
        """`source` and `screen` are for tests; else it is the terminal."""
        self._options = options
        self._client = Client(endpoint, options.nick, reactor=reactor)
        self.panes = Panes(options.nick)
        self.view = View(self.panes, self, bindings, options.color, source, screen)
        self._person = Person(self, self._client, literal=options.literal)
        self._person.keys = HELP
        self._rooms: list[str] = []
        """The server's rooms, as last heard of."""
        self._asking_for_rooms = False
        self._up = True
        self._leaving = False
        self._over = False
        self._before: Room | Direct | None = None
        """Where the person was before they turned to another place with /msg."""
        self._why = ""
        """Why the conversation was ended by the other side."""
        self._waiting = 0
        """How much of what was said waits to be kept."""
        self._unsent = 0
        """How much of what was said is not known to be kept, and will not be."""
        self._faults: list[str] = []

    async def run(self) -> int:
        """Talk, and give the exit status."""
        try:
            await self._enter()
            await Deferred.fromFuture(asyncio.ensure_future(self._show()))
        except (CancelledError, asyncio.CancelledError):
            pass
        except ChatError as problem:
            if not (isinstance(problem, ClosedError) and problem.wanted):
                self._why = why_not(self._options, problem)
        self._leaving = True
        await self._client.close(flush=False)
        return self._end()

    async def _enter(self) -> None:
        """Connect and enter the rooms. Raises `ChatError`."""
        await self._client.start()
        self._listen()
        room, *_ = [await self._person.join(name) for name in self._options.rooms]
        self._person.turn(room)
        self._ask_for_rooms()
        self.notice(f"you are {clean(self._client.nick)}; Tab completes, /help shows what you can do", room.name)

    async def _show(self) -> None:
        """Let the person talk, until they leave or the other side ends it."""
        if not self._over:
            asyncio.get_running_loop().set_exception_handler(self._broken)
            with suppress(EOFError):  # the terminal is gone
                await self.view.app.run_async(handle_sigint=False, set_exception_handler=False)

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what went wrong while something was drawn; asyncio would write it over the screen."""
        error = context.get("exception") or RuntimeError(context["message"])
        self._log.failure("drawing failed", Failure(error))

    def _end(self) -> int:
        """Say what there is to say when the screen is gone; gives the exit status."""
        for fault in self._faults:
            complain(clean(fault, "\n"))
        if self._why:
            complain(self._why)
        if self._unsent:
            complain(f"{self._unsent:,} of what you said may be lost")
        return 1 if self._why or self._unsent or self._faults else 0

    def fault(self, event: LogEvent) -> None:
        """Note an error of the program's own, a log event, which must not be written over the screen."""
        failure = event.get("log_failure")
        if event.get("log_level") is LogLevel.critical and failure is not None:
            self._faults.append(failure.getTraceback().rstrip())
            self.error(f"a fault of this program: {clean(repr(failure.value))}")

    def _refresh(self) -> None:
        if self.panes.nick != self._client.nick:
            self.panes.nick = self._client.nick
        self.view.refresh()

    # What the person is shown

    async def message(self, message: Message, room: Room | None) -> None:
        pane = self.panes.of(room if room is not None else self._direct(message))
        self.panes.heard(pane, pane.hear(message))
        self._refresh()

    async def past(self, messages: Sequence[Message], room: Room) -> None:
        pane = self.panes.of(room)
        for message in messages:
            pane.hear(message)
        asked = {message.seq for message in messages}
        first = next((i for i, entry in enumerate(pane.entries) if entry.log == pane.log and entry.seq in asked), 0)
        count = "message" if len(messages) == 1 else f"{len(messages):,} messages"
        pane.show(Kind.NOTE, f"above: the last {count} of {pane.name}")
        if pane is self.view.look.pane:
            self.view.look.show(first)
        self._refresh()

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        assert where is not None  # nobody can say anything in no room
        known = self.panes.find(where)
        pane = self.panes.of(where)
        entry = pane.say(text)
        if known is None or known.where is not where:
            if pane is not self.panes.current:
                self._before = self._person.here
            self._person.turn(pane.where)  # it was said with /msg, from another place
        self._waiting += 1
        answer.addCallbacks(self._kept, self._refused, callbackArgs=(pane, entry), errbackArgs=(pane, entry))
        self._refresh()

    def note(self, text: str) -> None:
        self._show_line(self.panes.current, Kind.NOTE, text)

    def notice(self, text: str, room: str) -> None:
        self._show_line(self.panes.named(room) or self.panes.current, Kind.NOTICE, text)

    def error(self, text: str) -> None:
        self._show_line(self.panes.current, Kind.ERROR, text)

    def turned(self, where: Room | Direct | None) -> None:
        if where is None:
            pane = self.panes.nowhere
        else:
            known = self.panes.find(where)
            pane = self.panes.of(where)
            if known is None:
                self._ask_who(pane)
        self.view.turn(pane)

    def left(self, where: Room | Direct) -> None:
        self.panes.close(where)
        self._refresh()

    def _direct(self, message: Message) -> Direct:
        """Give the talk that a direct message belongs to; one's own come from another client of the same nick."""
        own = key_of(message.author) == key_of(self._client.nick)
        return Direct(self._client, (message.to or "") if own else message.author)

    def _kept(self, seq: int | None, pane: Pane, entry: Entry) -> int | None:
        self._waiting -= 1
        pane.kept(entry, seq)
        self._refresh()
        return seq

    def _refused(self, failure: Failure, pane: Pane, entry: Entry) -> Failure:
        self._waiting -= 1
        pane.refused(entry)
        entry.text = cut(entry.text, REFUSED)
        self._unsent += failure.check(ClosedError) is not None
        if failure.check(RequestError):
            self._go_back(pane)
        self._refresh()
        return failure

    def _go_back(self, pane: Pane) -> None:
        """Close a talk in which all was refused, as with a nick that nobody has, unless more is being typed there."""
        said = any(entry.kind is Kind.MESSAGE and entry.fate is not Fate.REFUSED for entry in pane.entries)
        shown = pane is self.panes.current
        if not isinstance(pane.where, Direct) or said or (self.view.buffer.text if shown else pane.draft):
            return
        self.panes.close(pane.where)
        if shown:
            back = self._before if self._before and self.panes.find(self._before) else None
            self._person.turn(back or next(iter(self._client.joined.values()), None))

    def _show_line(self, pane: Pane, kind: Kind, text: str) -> None:
        pane.show(kind, text)
        self._refresh()

    # What the person does

    def entered(self, line: str) -> None:
        if line == "exit" and not self._options.literal:
            self.leave()
        else:
            self._do(self._type(line))

    def pasted(self, lines: Sequence[str]) -> None:
        self._do(self._person.say_all(lines))

    def turned_to(self, pane: Pane) -> None:
        if pane.where is not None:
            self._person.turn(pane.where)

    def scrolled_to(self, pane: Pane) -> None:
        assert isinstance(pane.where, Room)  # nothing else has a history
        pane.loading = True
        log = pane.log

        def loaded(page: Page) -> None:
            pane.load(page.messages, page.more, log)
            self._refresh()

        def failed(failure: Failure) -> None:
            failure.trap(ChatError)
            pane.load([], False, pane.log)
            if not self._leaving:
                why = failure.value.text if isinstance(failure.value, RequestError) else str(failure.value)
                self.error(f"there is no history to be had: {clean(why)}")

        pane.where.history(before=pane.oldest, limit=PAGE).addCallback(loaded).addErrback(failed).addErrback(
            lambda failure: self._log.failure("the history cannot be shown", failure)
        )
        self._refresh()

    def leave(self) -> None:
        again, self._leaving = self._leaving, True
        if again or self._has_nothing_to_wait_for():
            self._client.close(flush=False)
        else:
            self._client.close().addCallback(lambda _: self._finish())
            self._refresh()

    def _has_nothing_to_wait_for(self) -> bool:
        """Say whether there is no connection, and nothing was said that is to be kept on the next one.

        What was only asked for (`/who`, `/history`, names to complete) is of no use to who leaves.
        """
        return not (self._up or self._waiting)

    def members(self, pane: Pane) -> int | None:
        return pane.where.count if isinstance(pane.where, Room) else None

    def topic(self, pane: Pane) -> str:
        return clean(pane.where.topic) if isinstance(pane.where, Room) else ""

    def link(self) -> Link:
        if self._leaving:
            return Link.LEAVING
        return Link.UP if self._up else Link.DOWN

    def known(self) -> Known:
        self._ask_for_rooms()
        rooms = dict.fromkeys([*(pane.name for pane in self.panes if isinstance(pane.where, Room)), *self._rooms])
        return Known(self._person.commands(), list(reversed(self.panes.current.nicks.values())), list(rooms))

    def _do(self, doing: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(doing).addErrback(
            lambda failure: self._log.failure("what was typed cannot be done", failure)
        )

    async def _type(self, line: str) -> None:
        try:
            await self._person.typed(line)
        except Quit:
            self.leave()

    # What the server says

    def _listen(self) -> None:
        self._client.on(StateChanged, self._state_changed)
        self._client.on(NewLog, lambda event: self._in(event.room, lambda pane: pane.begin_log()))
        self._client.on(MemberJoined, lambda event: self._in(event.room, lambda pane: pane.comes(event.author)))
        self._client.on(MemberLeft, lambda event: self._in(event.room, lambda pane: pane.goes(event.author)))
        self._client.on(NickChanged, self._renamed)

    def _in(self, room: str, do: Callable[[Pane], None]) -> None:
        pane = self.panes.named(room)
        if pane is not None:
            do(pane)

    def _renamed(self, event: NickChanged) -> None:
        def rename(pane: Pane) -> None:
            pane.goes(event.author)
            pane.comes(event.nick)

        self._in(event.room or "", rename)

    def _state_changed(self, change: StateChanged) -> None:
        up = change.state is State.CONNECTED
        if change.state is State.CLOSED:
            if not self._leaving:
                self._why = lost(f"the connection to {self._options.server}", self._options.server, change.reason)
            self._finish()
        elif up and not self._up:
            self.note("the connection is back")
            for pane in self.panes:
                self._ask_who(pane)
        elif self._up and not up:
            self.error(
                f"{lost('the connection', self._options.server, change.reason)}; what you say is sent when it is back"
            )
        self._up = up
        if self._leaving and change.state is State.WAITING and self._has_nothing_to_wait_for():
            self._client.close(flush=False)
        self._refresh()

    def _ask_who(self, pane: Pane) -> None:
        """Get the nicks of a room's members, for completion."""
        if isinstance(pane.where, Room):

            def told(members: Members) -> None:
                pane.present(members.members)

            pane.where.who().addCallback(told).addErrback(lambda failure: failure.trap(ChatError))

    def _ask_for_rooms(self) -> None:
        """Get the names of the rooms, for the next completion."""
        if self._asking_for_rooms:
            return
        self._asking_for_rooms = True

        def told(rooms: list[RoomInfo]) -> None:
            self._rooms = [clean(room.room) for room in rooms]

        def done(_: object) -> None:
            self._asking_for_rooms = False

        self._client.rooms().addCallback(told).addErrback(lambda failure: failure.trap(ChatError)).addCallback(done)

    def _finish(self) -> None:
        """Take the screen away."""
        self._over = True
        if self.view.app.is_running and not self.view.app.is_done:
            self.view.app.exit()

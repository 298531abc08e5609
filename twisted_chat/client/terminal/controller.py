"""One run of the whole screen, from the first connection to the exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python.failure import Failure

from ... import names
from ...messages import MAX_OBJECT
from ..answers import Answer
from ..errors import ChatError, ClosedError, RequestError
from ..events import (
    MemberJoined,
    MemberLeft,
    Members,
    Message,
    NewLog,
    NickChanged,
    Page,
    Request,
    RoomInfo,
    State,
    StateChanged,
)
from ..library import Client, Room
from ..program.clean import clean
from ..program.commands import Direct, Person, Quit, why
from ..program.options import Options
from ..program.trouble import complain, lost, why_not
from .columns import cut
from .completing import Known
from .entry import Entry, Fate, Kind, key_of
from .keys import HELP, bindings
from .memory import Memory
from .pane import NO_ROOM, Pane
from .panes import Panes
from .paste import messages
from .statusline import Connection, Standing
from .view import View

PAGE: Final = 100
"""Messages of the history that are asked for at once: two screens of a tall terminal."""

REFUSED: Final = 500
"""Columns that are shown of a message that was refused: one that is too long would fill the screen."""

SAVE: Final = 30.0
"""Seconds between two looks at whether there is something new to remember: what a power cut may cost."""

SHOWN_LOST: Final = 20
"""Texts that are shown at the end of those that may be lost: a screenful."""


class Controller:
    """One person before one screen: shows what comes, and does what the keys ask for (`view.Actions`)."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        options: Options,
        endpoint: IStreamClientEndpoint,
        memory: Memory | None = None,
        source: Input | None = None,
        screen: Output | None = None,
    ) -> None:
        """Without a `memory`, nothing is remembered. `source` and `screen` are for tests; else it is the terminal."""
        self._options = options
        self.client = Client(endpoint, options.nick, reactor=reactor)
        self._memory = memory or Memory(None, options.server, options.nick)
        self.panes = Panes(options.nick, self._memory.read_seq)
        self.panes.nowhere.beginning = f"connecting to {options.server} ... What you type is sent then"
        self.view = View(self.panes, self, bindings, options.color, options.mouse, source, screen)
        self.person = Person(self, self.client, literal=options.literal)
        self.person.keys = HELP
        self.person.shows_directs = True
        self._saving = LoopingCall(self._memory.save)
        self._saving.clock = reactor
        self._early: list[str] = []
        """What was entered before there was a connection."""
        self._refusals: list[str] = []
        """Which remembered rooms were refused, and why."""
        self._entered = False
        """The rooms have been entered."""
        self._room_names: list[str] = []
        """The server's rooms, as last heard of."""
        self._asking_for_rooms = False
        self._up = True
        self._reason = ""
        """Why there is no connection."""
        self._changes = 0
        """How often the connection was lost or came back."""
        self._leaving = False
        self._over = False
        self._why = ""
        """Why the conversation was ended by the other side."""
        self._waiting = 0
        """How much of what was said has no ack yet."""
        self._lost: list[str] = []
        """What was said and is not known to be kept, and will not be."""
        self._faults: list[str] = []

    async def run(self) -> int:
        """Talk, and give the exit status."""
        entering = Deferred.fromCoroutine(self._enter())
        entering.addErrback(self._not_entered)
        self._saving.start(SAVE, now=False)
        with suppress(CancelledError, asyncio.CancelledError):
            await Deferred.fromFuture(asyncio.ensure_future(self._show()))
        self._leaving = True
        self._note_all()
        entering.cancel()
        await self.client.close(flush=False)
        self._saving.stop()
        self._memory.save()
        return self._end()

    async def _enter(self) -> None:
        """Connect and enter the rooms. Raises `ChatError`."""
        await self.client.start()
        self._listen()
        rooms = [Deferred.fromCoroutine(self._join(name)) for name in self._rooms_to_enter()]
        shown = None
        for joined in rooms:
            room = await joined
            if room is not None and (shown is None or room.name == self._memory.place.shown):
                shown = room
        self.panes.nowhere.beginning = NO_ROOM
        if shown is not None and self._options.rooms_from != "default":
            shown = self.client.room(self._options.rooms[0])
        if shown is not None:
            self.person.turn(shown)
        self._ask_for_rooms()
        self.notice(f"you are {clean(self.client.nick)}; Tab completes, /help shows what you can do", "")
        for problem in (*self._refusals, clean(self._memory.problem)):
            if problem:
                self.error(problem)
        self._entered = True
        self._do_early()

    def _rooms_to_enter(self) -> Sequence[str]:
        """The rooms that were typed; or else those of the configuration file and those that are remembered."""
        match self._options.rooms_from:
            case "command line":
                chosen = self._options.rooms
            case "file":
                chosen = (*self._options.rooms, *self._memory.rooms)
            case _:
                chosen = tuple(self._memory.rooms) or self._options.rooms
        return list({names.room(room).key: room for room in reversed(chosen)}.values())[::-1]

    async def _join(self, name: str) -> Room | None:
        """Enter a room. One that is only remembered may be refused: then it is forgotten, with a line that says so."""
        try:
            room = await self.person.join(name, turn=False)
        except RequestError as error:
            if name in self._options.rooms:
                raise
            self._memory.forget(name)
            self._refusals.append(clean(f"you are not in {name} any more: {why(error)}"))
            return None
        pane = self.panes.of(room)
        self._ask_who(pane)
        self.scrolled_to(pane)
        return room

    def _not_entered(self, failure: Failure) -> None:
        """Called when there will be no conversation."""
        problem = failure.value
        if isinstance(problem, ChatError):
            if not (isinstance(problem, ClosedError) and problem.wanted):
                self._why = why_not(self._options, problem)
        elif not failure.check(CancelledError):
            self._log.failure("the rooms cannot be entered", failure)
        self._finish()

    def _do_early(self) -> None:
        """Do what was entered before there was a connection."""
        nowhere = self.panes.nowhere
        nowhere.entries.clear()
        nowhere.pending = 0
        early, self._early = self._early, []
        for line in early:
            self.view.remember(line)
            self.entered(line)

    async def _show(self) -> None:
        """Let the person talk, until they leave or the other side ends it."""
        if not self._over:
            asyncio.get_running_loop().set_exception_handler(self._broken)
            with suppress(EOFError, OSError):  # the terminal is gone: nothing can be read from it, or written to it
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
        unsaid = [*self._lost, *self._early]
        if not self._entered and self.view.buffer.text.strip():
            unsaid.append(self.view.buffer.text)
        if unsaid:
            complain(f"{len(unsaid):,} of what you said may be lost:")
            for text in unsaid[:SHOWN_LOST]:
                complain("  " + clean(text, "\n  "))
            if len(unsaid) > SHOWN_LOST:
                complain(f"  and {len(unsaid) - SHOWN_LOST:,} more")
        undone = self.person.undone
        if undone:
            complain(clean(f"not done, since there was no connection: {', '.join(asked.line for asked in undone)}"))
        if self._memory.problem:
            complain(clean(self._memory.problem))
        lasting = any(asked.lasting for asked in undone)
        return 1 if self._why or unsaid or self._faults or lasting else 0

    def fault(self, event: LogEvent) -> None:
        """Note an error of the program's own, a log event, which must not be written over the screen."""
        failure = event.get("log_failure")
        if event.get("log_level") is LogLevel.critical and failure is not None:
            self._faults.append(failure.getTraceback().rstrip())
            self.error(f"a fault of this program: {clean(repr(failure.value))}")

    def _refresh(self) -> None:
        if self.panes.nick != self.client.nick:
            self.panes.nick = self.client.nick
        self.view.refresh()

    # What the person is shown

    async def message(self, message: Message, room: Room | None) -> None:
        pane = self.panes.of(room if room is not None else self._direct(message))
        self.panes.heard(pane, pane.hear(message))
        self._note(pane)
        self._refresh()

    async def past(self, messages: Sequence[Message], room: Room, attention: int) -> None:
        pane = self.panes.of(room)
        for message in messages:
            pane.hear(message)
        asked = {message.seq for message in messages}
        first = next((i for i, entry in enumerate(pane.entries) if entry.log == pane.log and entry.seq in asked), 0)
        count = "message" if len(messages) == 1 else f"{len(messages):,} messages"
        pane.show(Kind.NOTE, f"above: the last {count} of {pane.name}")
        if pane is self.view.viewport.pane and attention == self.attention():
            self.view.viewport.show(first)
        self._refresh()

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        assert where is not None  # nobody can say anything in no room
        pane = self.panes.of(where)
        entry = pane.say(text)
        if pane is not self.panes.current and isinstance(where, Direct):
            self.note(f"said to {pane.name} alone; /msg {clean(where.name)} turns to what you say to each other")
        self._waiting += 1
        request = answer.request if isinstance(answer, Answer) else None
        answer.addCallbacks(
            self._kept, self._refused, callbackArgs=(pane, entry, request), errbackArgs=(pane, entry, text)
        )
        self._refresh()

    def note(self, text: str) -> None:
        self._show_line(self.panes.current, Kind.NOTE, text)

    def notice(self, text: str, room: str) -> None:
        self._show_line(self.panes.named(room) or self.panes.current, Kind.NOTICE, text)

    def error(self, text: str) -> None:
        self._show_line(self.panes.current, Kind.ERROR, text)

    def turned(self, where: Room | Direct | None) -> None:
        pane = self.panes.nowhere
        if where is not None:
            known = self.panes.find(where)
            pane = self.panes.of(where)
            if known is None:
                self._ask_who(pane)
        self.view.turn(pane)
        self._note(pane)

    def left(self, where: Room | Direct) -> None:
        self.panes.close(where)
        if isinstance(where, Room) and self.client.state is not State.CLOSED:
            self._memory.forget(where.name)
        self._refresh()

    def attention(self) -> int:
        return self.view.strokes + self._changes

    def _direct(self, message: Message) -> Direct:
        """The direct conversation that a message belongs to; one's own come from another client of the same nick."""
        own = key_of(message.author) == key_of(self.client.nick)
        return Direct(self.client, (message.to or "") if own else message.author)

    def _kept(self, seq: int | None, pane: Pane, entry: Entry, request: Request | None) -> int | None:
        self._waiting -= 1
        pane.kept(entry, seq, request.time if request is not None else None)
        self._note(pane)
        self._refresh()
        return seq

    def _refused(self, failure: Failure, pane: Pane, entry: Entry, text: str) -> Failure:
        self._waiting -= 1
        pane.refused(entry)
        entry.text = cut(entry.text, REFUSED)
        if failure.check(ClosedError):
            self._lost.append(f"{pane.name}: {text}")
        elif pane is not self.panes.current:
            self._close_refused(pane)
        self._refresh()
        return failure

    def _close_refused(self, pane: Pane) -> None:
        """Close a direct conversation in which all was refused, as with a nick that nobody has."""
        said = any(entry.kind is Kind.MESSAGE and entry.fate is not Fate.REFUSED for entry in pane.entries)
        if isinstance(pane.where, Direct) and not said and not pane.draft:
            self.panes.close(pane.where)

    def _show_line(self, pane: Pane, kind: Kind, text: str) -> None:
        pane.show(kind, text)
        self._refresh()

    # What is remembered

    def _note(self, pane: Pane) -> None:
        """Remember how far a room has been read."""
        if isinstance(pane.where, Room):
            self._memory.note(pane.where.name, pane.read_seq)

    def _note_all(self) -> None:
        for pane in self.panes:
            self._note(pane)
        if isinstance(self.panes.current.where, Room):
            self._memory.place.shown = self.panes.current.where.name

    # What the person does

    def entered(self, text: str) -> None:
        if text == "exit" and not self._options.literal:
            self.leave()
        elif self._entered or (text.strip() in ("/quit", "/help") and not self._options.literal):
            self._do(self._type(text))
        else:
            self._early.append(text)
            self.panes.nowhere.say(text)
            self._refresh()

    def pasted(self, text: str) -> None:
        if self._entered:
            self._do(self.person.say_all(messages(text, self.limit())))
        else:
            self.entered(text)

    def turned_to(self, pane: Pane) -> None:
        if pane.where is not None:
            self.person.turn(pane.where)

    def scrolled_to(self, pane: Pane) -> None:
        assert isinstance(pane.where, Room)  # nothing else has a history
        pane.loading = True
        log = pane.log

        def loaded(page: Page) -> None:
            pane.load(page.messages, page.more, log)
            self.panes.seen()
            self._note(pane)
            self._refresh()

        def failed(failure: Failure) -> None:
            failure.trap(ChatError)
            pane.fail_to_load()
            if not self._leaving:
                self.error(
                    f"there is no history of {pane.name} to be had: {clean(why(cast(ChatError, failure.value)))}"
                )

        pane.where.history(before=pane.oldest, limit=PAGE).addCallback(loaded).addErrback(failed).addErrback(
            lambda failure: self._log.failure("the history cannot be shown", failure)
        )
        self._refresh()

    def leave(self) -> None:
        again, self._leaving = self._leaving, True
        self._note_all()
        if again or not self._entered or self._has_nothing_to_wait_for():
            self.client.close(flush=False)
        else:
            self.client.close().addCallback(lambda _: self._finish())
            self._refresh()

    def _has_nothing_to_wait_for(self) -> bool:
        """True if there is no connection, and nothing was said or done that is to last.

        What was only asked for (`/who`, `/history`, names to complete) is of no use to somebody who leaves.
        """
        return not (self._up or self._waiting or any(asked.lasting for asked in self.person.asked))

    def standing(self, pane: Pane) -> Standing:
        if self._leaving:
            connection, reason = Connection.LEAVING, ""
        elif not self._entered:
            connection, reason = Connection.CONNECTING, self._options.server
        else:
            connection, reason = (Connection.UP if self._up else Connection.DOWN), self._reason
        members = pane.where.count if isinstance(pane.where, Room) else None
        return Standing(connection, reason, members, len(self.person.asked), self.view.asks_to_leave)

    def topic(self, pane: Pane) -> str:
        return clean(pane.where.topic) if isinstance(pane.where, Room) else ""

    def limit(self) -> int:
        return self.client.limits.get("object", MAX_OBJECT)

    def known(self) -> Known:
        self._ask_for_rooms()
        rooms = dict.fromkeys([*(pane.name for pane in self.panes if isinstance(pane.where, Room)), *self._room_names])
        return Known(self.person.commands(), list(reversed(self.panes.current.nicks.values())), list(rooms))

    def _do(self, doing: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(doing).addErrback(
            lambda failure: self._log.failure("what was typed cannot be done", failure)
        )

    async def _type(self, line: str) -> None:
        try:
            await self.person.typed(line)
        except Quit:
            self.leave()

    # What the server says

    def _listen(self) -> None:
        self.client.on(StateChanged, self._state_changed)
        self.client.on(NewLog, lambda event: self._in(event.room, lambda pane: pane.begin_log()))
        self.client.on(MemberJoined, lambda event: self._in(event.room, lambda pane: pane.comes(event.author)))
        self.client.on(MemberLeft, lambda event: self._in(event.room, lambda pane: pane.goes(event.author)))
        self.client.on(NickChanged, self._renamed)

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
        self._changes += up != self._up
        if change.state is State.CLOSED:
            if not self._leaving:
                self._why = lost(f"the connection to {self._options.server}", self._options.server, change.reason)
            self._finish()
        elif up:
            self.note("the connection is back")
            for pane in self.panes:
                self._ask_who(pane)
        elif self._up:
            how = lost("the connection", self._options.server, change.reason)
            self.error(f"{how}; what you say is sent when it is back")
        else:  # the reason is another one now, such as one's own nick that the server has not let go of
            self.error(clean(f"not connected yet: {change.reason}; trying again"))
        self._up = up
        self._reason = "" if up else change.reason
        if self._leaving and change.state is State.WAITING and self._has_nothing_to_wait_for():
            self.client.close(flush=False)
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
            self._room_names = [clean(room.room) for room in rooms]

        def done(_: object) -> None:
            self._asking_for_rooms = False

        self.client.rooms().addCallback(told).addErrback(lambda failure: failure.trap(ChatError)).addCallback(done)

    def _finish(self) -> None:
        """Take the screen away."""
        self._over = True
        if self.view.app.is_running and not self.view.app.is_done:
            self.view.app.exit()

"""One run of the whole screen, from the first connection to the exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
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
from ...command_line import FAILED
from ...messages import MAX_OBJECT
from ..events import (
    NewLog,
    Page,
    State,
    StateChanged,
)
from ..library import Client, Room
from ..program.account_commands import offer_to_remember
from ..program.clean import clean
from ..program.command import Quit
from ..program.commands import COMMANDS
from ..program.login import Login, unsafe
from ..program.options import Options
from ..program.person import NO_ROOM, Person, why
from ..program.tokens import Tokens
from ..program.trouble import complain, exit_status, lost, why_not
from ..protocol.errors import FOR_NOW, ChatError, ClosedError, RequestError
from .completing import Known
from .directory import Directory
from .keys import HELP, bindings
from .memory import Memory
from .pane import Pane
from .panes import Panes
from .paste import messages
from .screen import PaneScreen
from .statusline import Connection, Standing
from .view import View

PAGE: Final = 100
"""The number of messages of the history that are requested at once: two screens of a tall terminal."""

SAVE: Final = 30.0
"""Seconds between two writes of what is remembered. A power cut may cost so much."""

SHOWN_LOST: Final = 20
"""The number of possibly lost texts that are shown at the end: a screenful."""


class Controller:
    """One person with one screen and one client. It carries out what the keys ask for (`view.Actions`)."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        options: Options,
        endpoint: IStreamClientEndpoint,
        memory: Memory | None = None,
        source: Input | None = None,
        screen: Output | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """Without a `memory` and `tokens`, nothing is remembered.

        `source` and `screen` are for tests, in place of the terminal.
        """
        self._reactor = reactor
        self._options = options
        self._endpoint = endpoint
        self._tokens = tokens or Tokens(None, options)
        self._login = Login(options, self._tokens)
        self._memory = memory or Memory(None, options.server, options.nick)
        self.panes = Panes(options.nick, self._memory.read_seq)
        self.panes.nowhere.beginning = f"connecting to {options.server} ... What you type is sent then"
        self.view = View(self.panes, self, bindings, options.color, options.mouse, source, screen)
        self._make_client()
        self._saving = LoopingCall(self._memory.save)
        self._saving.clock = reactor
        self._early: list[str] = []
        """The lines that were entered before there was a connection."""
        self._refusals: list[str] = []
        """The remembered rooms that were refused, with the reasons."""
        self._entered = False
        """True once the rooms are joined."""
        self._up = True
        self._reason = ""
        """The reason why there is no connection."""
        self._leaving = False
        self._over = False
        self._status = FAILED
        """The exit status if the conversation has failed."""
        self._why = ""
        """The reason why the other side has ended the conversation."""
        self._faults: list[str] = []

    def _make_client(self) -> None:
        """Make a client that says hello with the password of the login, and a person who uses it."""
        self.client = Client(
            self._endpoint,
            self._options.nick,
            password=self._login.password,
            direct=self._memory.place.direct,
            reactor=self._reactor,
        )
        self._directory = Directory(self.client, self.panes)
        self.screen = PaneScreen(self.client, self.panes, self.view, self._directory, self._memory)
        self.person = Person(self.screen, COMMANDS, self.client, literal=self._options.literal)
        self.person.keys = HELP
        self.person.call_key = ", and so does Alt-J"
        self.person.shows_directs = True
        self.person.tokens = self._tokens
        self.person.warning = unsafe(self._options)
        self.client.on(NewLog, lambda event: self.panes.begin_log(event.room))

    async def _log_in(self) -> None:
        """Connect. If the nick is an account, ask for its password as often as it is wrong. Raises `ChatError`."""
        while True:
            try:
                await self.client.start()
                return
            except RequestError as error:
                await self._login.refused(error, self.screen.secret)
                self._make_client()

    async def run(self) -> int:
        """Run the screen to its end. Returns the exit status."""
        entering = Deferred.fromCoroutine(self._enter())
        entering.addErrback(self._not_entered)
        self._saving.start(SAVE, now=False)
        with suppress(CancelledError, asyncio.CancelledError):
            await Deferred.fromFuture(asyncio.ensure_future(self._show()))
        self._leaving = True
        self.screen.note_places()
        entering.cancel()
        await self.client.close(flush=False)
        self._saving.stop()
        self._memory.save()
        return self._end()

    async def _enter(self) -> None:
        """Connect and join the rooms. Raises `ChatError`."""
        await self._log_in()
        self.client.on(StateChanged, self._state_changed)
        rooms = [Deferred.fromCoroutine(self._join(name)) for name in self._rooms_to_enter()]
        shown = None
        for joined in rooms:
            room = await joined
            if room is not None and (shown is None or room.name == self._memory.place.shown):
                shown = room
        self.panes.put_rooms_first()
        self.panes.nowhere.beginning = NO_ROOM
        if shown is not None and self._options.rooms_from != "default":
            shown = self.client.room(self._options.rooms[0])
        if shown is not None:
            self.person.turn(shown)
        self.panes.nowhere.entries.clear()  # of what was typed early, which is carried out below
        self.panes.nowhere.pending = 0
        self._directory.ask_for_rooms()
        self.screen.notice(f"you are {clean(self.client.nick)}; Tab completes, /help shows what you can do", "")
        for problem in (*self._refusals, clean(self._memory.problem), clean(self._tokens.problem)):
            if problem:
                self.screen.error(problem)
        self._entered = True
        self._do_early()
        if self._login.was_typed:
            await self.person.carry_out(offer_to_remember(self.person))

    def _rooms_to_enter(self) -> Sequence[str]:
        """Return the rooms that were typed, or else those of the configuration file and the remembered ones."""
        match self._options.rooms_from:
            case "command line":
                chosen = self._options.rooms
            case "file":
                chosen = (*self._options.rooms, *self._memory.rooms)
            case _:
                chosen = tuple(self._memory.rooms) or self._options.rooms
        entered: dict[str, str] = {}
        for room in chosen:
            entered.setdefault(names.room(room).key, room)
        return list(entered.values())

    async def _join(self, name: str) -> Room | None:
        """Join a room. A remembered one may be refused; then there is a line about it."""
        try:
            room = await self.person.join(name, turn=False)
        except RequestError as error:
            if error.code == "denied" and not (self.client.account or self.client.guests):  # until it has registered
                self._refusals.append(clean(f"{name} cannot be joined: {why(error)}"))
                return None
            if name in self._options.rooms:
                raise
            if error.code not in FOR_NOW:  # after a refusal for now, such as `full`, the next run tries again
                self._memory.forget(name)
            self._refusals.append(clean(f"you are not in {name} any more: {why(error)}; /join {name} tries again"))
            return None
        pane = self.panes.of(room)
        self._directory.ask_for_members(pane)
        self.scrolled_to(pane)
        return room

    def _not_entered(self, failure: Failure) -> None:
        """Called if there will be no conversation."""
        problem = failure.value
        if isinstance(problem, ChatError):
            if not (isinstance(problem, ClosedError) and problem.wanted):
                self._why = why_not(self._options, problem)
                self._status = exit_status(problem)
        elif not failure.check(CancelledError):
            self._log.failure("the rooms cannot be entered", failure)
        self._finish()

    def _do_early(self) -> None:
        """Carry out the lines that were entered before there was a connection."""
        early, self._early = self._early, []
        for line in early:
            self.view.remember(line)
            self.entered(line)

    async def _show(self) -> None:
        """Show the screen, until the person leaves or the server ends the conversation."""
        if not self._over:
            asyncio.get_running_loop().set_exception_handler(self._broken)
            with suppress(EOFError, OSError):  # the terminal is gone: nothing can be read from it, or written to it
                await self.view.app.run_async(handle_sigint=False, set_exception_handler=False)

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an error of drawing. asyncio would write it over the screen."""
        error = context.get("exception") or RuntimeError(context["message"])
        self._log.failure("drawing failed", Failure(error))

    def _end(self) -> int:
        """Print the errors that a person has to see after the screen is gone. Returns the exit status."""
        for fault in self._faults:
            complain(clean(fault, "\n"))
        if self._why:
            complain(self._why)
        unsaid = [*self.screen.lost, *self._early]
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
        return self._status if self._why or unsaid or self._faults or lasting else 0

    def fault(self, event: LogEvent) -> None:
        """Keep an error of the program itself, a log event, which must not be written over the screen."""
        failure = event.get("log_failure")
        if event.get("log_level") is LogLevel.critical and failure is not None:
            self._faults.append(failure.getTraceback().rstrip())
            self.screen.error(f"a fault of this program: {clean(repr(failure.value))}")

    # Actions of the person

    def entered(self, text: str) -> None:
        if text == "exit" and not self._options.literal:
            self.leave()
        elif self._entered or (text.strip() in ("/quit", "/help") and not self._options.literal):
            self._do(self._type(text))
        elif self.has_secret(text):
            self.screen.error(f"type {text.split()[0]} when there is a connection, and no password behind it")
        else:
            self._early.append(text)
            self.panes.nowhere.say(text)
            self.screen.refresh()

    def pasted(self, text: str) -> None:
        if self._entered:
            self._do(self.person.say_all(messages(text, self.limit())))
        else:
            self.entered(text)

    def turned_to(self, pane: Pane) -> None:
        if pane.where is not None:
            self.person.turn(pane.where)

    def scrolled_to(self, pane: Pane) -> None:
        assert pane.where is not None  # the pane without a conversation has no history
        pane.loading = True
        log = pane.log

        def loaded(page: Page) -> None:
            pane.load(page.messages, page.more, log)
            self.panes.seen()
            self.screen.note_place(pane)
            self.screen.refresh()

        def failed(failure: Failure) -> None:
            failure.trap(ChatError)
            pane.fail_to_load()
            if not self._leaving:
                self.screen.error(
                    f"there is no history of {pane.name} to be had: {clean(why(cast(ChatError, failure.value)))}"
                )

        pane.where.history(before=pane.oldest, limit=PAGE).addCallback(loaded).addErrback(failed).addErrback(
            lambda failure: self._log.failure("the history cannot be shown", failure)
        )
        self.screen.refresh()

    def note(self, text: str) -> None:
        self.screen.note(text)

    def has_secret(self, text: str) -> bool:
        return not self._options.literal and COMMANDS.has_secret(text)

    def accept(self) -> None:
        if self._entered:
            self._do(self._type("/accept"))

    def leave(self) -> None:
        again, self._leaving = self._leaving, True
        self.screen.note_places()
        if again or not self._entered or self._has_nothing_to_wait_for():
            self.client.close(flush=False)
        else:
            self.client.close().addCallback(lambda _: self._finish())
            self.screen.refresh()

    def _has_nothing_to_wait_for(self) -> bool:
        """True if there is no connection, and nothing waits that changes something for good.

        Answers to questions (`/who`, `/history`, names to complete) are of no use to somebody who leaves.
        """
        return not (self._up or self.screen.waiting or any(asked.lasting for asked in self.person.asked))

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
        return self._directory.known(self.person.commands())

    def _do(self, doing: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(doing).addErrback(
            lambda failure: self._log.failure("what was typed cannot be done", failure)
        )

    async def _type(self, line: str) -> None:
        try:
            await self.person.typed(line)
        except Quit:
            self.leave()

    # Events of the client

    def _state_changed(self, change: StateChanged) -> None:
        up = change.state is State.CONNECTED
        self.screen.changes += up != self._up
        if change.state is State.CLOSED:
            if not self._leaving and self.client.error is not None:
                self._status = exit_status(self.client.error)
                self._why = lost(f"the connection to {self._options.server}", self._options.server, change.reason)
            self._finish()
        elif up:
            self.screen.note("the connection is back")
            for pane in self.panes:
                self._directory.ask_for_members(pane)
        elif self._up:
            self.panes.lose_connection()
            how = lost("the connection", self._options.server, change.reason)
            self.screen.error(f"{how}; what you say is sent when it is back")
        else:  # the reason has changed, such as to a nick that the server still reserves for the last connection
            self.screen.error(clean(f"not connected yet: {change.reason}; trying again"))
        self._up = up
        self._reason = "" if up else change.reason
        if self._leaving and change.state is State.WAITING and self._has_nothing_to_wait_for():
            self.client.close(flush=False)
        self.screen.refresh()

    def _finish(self) -> None:
        """Close the screen."""
        self._over = True
        if self.view.app.is_running and not self.view.app.is_done:
            self.view.app.exit()

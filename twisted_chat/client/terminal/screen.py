"""The conversation in panes: the `person.Screen` of the whole screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..answers import Answer
from ..events import Message, Request, State
from ..library import Client, Room
from ..program.clean import clean
from ..program.columns import cut
from ..program.person import Direct
from ..protocol.errors import ClosedError
from .asking import Choice, Secret
from .directory import Directory
from .entry import Entry, Fate, Kind, key_of
from .memory import Memory
from .pane import Pane
from .panes import Panes
from .view import View

REFUSED: Final = 500
"""The number of columns that are shown of a refused message: one that is too long would fill the screen."""


class PaneScreen:
    """Shows a conversation in panes, and remembers how far each is read."""

    def __init__(self, client: Client, panes: Panes, view: View, directory: Directory, memory: Memory) -> None:
        self.panes = panes
        self.waiting = 0
        """The number of messages without an ack so far."""
        self.lost: list[str] = []
        """The messages that were never acked."""
        self.changes = 0
        """The number of times that the connection was lost or came back."""
        self._client = client
        self._view = view
        self._directory = directory
        self._memory = memory

    def refresh(self) -> None:
        """Draw the changes soon."""
        if self.panes.nick != self._client.nick:
            self.panes.nick = self._client.nick
        self._view.refresh()

    async def message(self, message: Message, room: Room | None) -> None:
        pane = self.panes.of(room if room is not None else self._direct(message))
        self.panes.heard(pane, pane.hear(message))
        self.note_place(pane)
        self.refresh()

    async def past(self, messages: Sequence[Message], where: Room | Direct, attention: int) -> None:
        pane = self.panes.of(where)
        for message in messages:
            pane.hear(message)
        asked = {message.seq for message in messages}
        first = next((i for i, entry in enumerate(pane.entries) if entry.log == pane.log and entry.seq in asked), 0)
        count = "message" if len(messages) == 1 else f"{len(messages):,} messages"
        pane.show(Kind.NOTE, f"above: the last {count} of {pane.name}")
        if pane is self._view.viewport.pane and attention == self.attention():
            self._view.viewport.show(first)
        self.refresh()

    def said(self, text: str, where: Room | Direct | None, answer: Deferred[Any]) -> None:
        assert where is not None  # without a room, there is nobody to talk to
        pane = self.panes.of(where)
        entry = pane.say(text)
        if pane is not self.panes.current and isinstance(where, Direct):
            self.note(f"said to {pane.name} alone; /msg {clean(where.name)} turns to what you say to each other")
        self.waiting += 1
        request = answer.request if isinstance(answer, Answer) else None
        answer.addCallbacks(
            self._acked, self._refused, callbackArgs=(pane, entry, request), errbackArgs=(pane, entry, text)
        )
        self.refresh()

    def note(self, text: str) -> None:
        self._show_line(self.panes.current, Kind.NOTE, text)

    def notice(self, text: str, room: str, nick: str = "") -> None:
        shown = self.panes.named(room) or self.panes.current
        direct = self.panes.direct_with(nick)
        # If somebody goes and comes back, it may be somebody else.
        for pane in dict.fromkeys((shown, direct or shown)):
            self._show_line(pane, Kind.NOTICE, text)

    def error(self, text: str) -> None:
        self._show_line(self.panes.current, Kind.ERROR, text)

    def turned(self, where: Room | Direct | None) -> None:
        pane = self.panes.nowhere
        if where is not None:
            known = self.panes.find(where)
            pane = self.panes.of(where)
            if known is None:
                self._directory.ask_for_members(pane)
        self._view.turn(pane)
        self.note_place(pane)

    def left(self, where: Room | Direct) -> None:
        self.panes.close(where)
        if isinstance(where, Room) and self._client.state is not State.CLOSED:
            self._memory.forget(where.name)
        self.refresh()

    def renamed(self, nick: str, direct: Direct) -> None:
        pane = self.panes.rename(nick, direct)
        text = f"{clean(nick)} is {clean(direct.name)} now"
        if pane is not None and [entry.text for entry in pane.entries[-1:]] != [text]:  # not once for each room
            self._show_line(pane, Kind.NOTICE, text)

    @property
    def is_personal(self) -> bool:
        return True

    def deleted(self, where: Room | Direct, of: int) -> None:
        pane = self.panes.find(where)
        if pane is not None:
            pane.delete(of)
            self.refresh()

    def newest(self, where: Room | Direct, nick: str) -> int | None:
        return self.panes.of(where).newest_of(nick)

    async def secret(self, prompt: str) -> str | None:
        secret = Secret(prompt)
        self._view.ask(secret)
        return await secret.answer

    async def confirm(self, question: str) -> bool:
        choice = Choice(question)
        self._view.ask(choice)
        return await choice.answer

    def attention(self) -> int:
        return self._view.strokes + self.changes

    def _direct(self, message: Message) -> Direct:
        """Return the conversation of a direct message. One's own come from another client with the same nick."""
        own = key_of(message.author) == key_of(self._client.nick)
        return Direct(self._client, (message.to or "") if own else message.author)

    def _acked(self, seq: int | None, pane: Pane, entry: Entry, request: Request | None) -> int | None:
        self.waiting -= 1
        pane.acked(entry, seq, request.time if request is not None else None)
        self.note_place(pane)
        self.refresh()
        return seq

    def _refused(self, failure: Failure, pane: Pane, entry: Entry, text: str) -> Failure:
        self.waiting -= 1
        pane.refused(entry)
        entry.text = cut(entry.text, REFUSED)
        if failure.check(ClosedError):
            self.lost.append(f"{pane.name}: {text}")
        elif pane is not self.panes.current:
            self._close_refused(pane)
        self.refresh()
        return failure

    def _close_refused(self, pane: Pane) -> None:
        """Close a direct conversation in which every message was refused, as with a nick that nobody has."""
        said = any(entry.kind is Kind.MESSAGE and entry.fate is not Fate.REFUSED for entry in pane.entries)
        if isinstance(pane.where, Direct) and not said and not pane.draft:
            self.panes.close(pane.where)

    def _show_line(self, pane: Pane, kind: Kind, text: str) -> None:
        pane.show(kind, text)
        self.refresh()

    # Memory

    def note_place(self, pane: Pane) -> None:
        """Remember how far a room is read."""
        if isinstance(pane.where, Room):
            self._memory.note(pane.where.name, pane.read_seq)

    def _seen(self, nick: str, newest: int) -> int:
        """Return the number of the last direct message of a nick that was seen. The next run shows the later ones."""
        pane = self.panes.direct_with(nick)
        seen = pane.seen() if pane is not None else None
        return newest if seen is None else seen

    def note_places(self) -> None:
        for pane in self.panes:
            self.note_place(pane)
        if self._client.direct is not None:
            self._memory.place.direct = {nick: self._seen(nick, seq) for nick, seq in self._client.direct.items()}
        if isinstance(self.panes.current.where, Room):
            self._memory.place.shown = self.panes.current.where.name

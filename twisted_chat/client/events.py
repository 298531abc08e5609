"""The events of a client (`Client.on`): messages, the server's notices, and changes of its state."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from .protocol.objects import ActionInfo as ActionInfo
from .protocol.objects import Audit as Audit
from .protocol.objects import BanInfo as BanInfo
from .protocol.objects import Banned as Banned
from .protocol.objects import Bans as Bans
from .protocol.objects import Deleted as Deleted
from .protocol.objects import DirectMessage as DirectMessage
from .protocol.objects import Error as Error
from .protocol.objects import Granted as Granted
from .protocol.objects import Invited as Invited
from .protocol.objects import Kicked as Kicked
from .protocol.objects import Locked as Locked
from .protocol.objects import MemberJoined as MemberJoined
from .protocol.objects import MemberLeft as MemberLeft
from .protocol.objects import Members as Members
from .protocol.objects import Message as Message
from .protocol.objects import Muted as Muted
from .protocol.objects import NickChanged as NickChanged
from .protocol.objects import Page as Page
from .protocol.objects import Presence as Presence
from .protocol.objects import Reported as Reported
from .protocol.objects import RoomInfo as RoomInfo
from .protocol.objects import Slowed as Slowed
from .protocol.objects import Stop as Stop
from .protocol.objects import TopicChanged as TopicChanged
from .protocol.objects import Unbanned as Unbanned
from .protocol.objects import Unmuted as Unmuted
from .protocol.requests import Request as Request
from .protocol.states import NewLog as NewLog
from .protocol.states import RoomLost as RoomLost
from .protocol.states import State as State
from .protocol.states import StateChanged as StateChanged

E = TypeVar("E")

Callback = Callable[[E], Deferred[Any] | Coroutine[Deferred[Any], Any, Any] | None]
"""A callback for an event. It may be an `async` function, which then runs like Twisted's coroutines."""


class Listeners:
    """Callbacks by the kind of event."""

    _log = Logger()

    def __init__(self) -> None:
        self._callbacks: dict[type, list[Callback[Any]]] = {}

    def on(self, kind: type[E], callback: Callback[E]) -> Callable[[], None]:
        """Register a callback for events of exactly this kind. Returns a function that removes it."""
        self._callbacks.setdefault(kind, []).append(callback)
        return lambda: self._callbacks[kind].remove(callback)

    def has(self, kind: type) -> bool:
        """True if there is a callback for this kind of event."""
        return bool(self._callbacks.get(kind))

    def call(self, event: object) -> None:
        """Call the callbacks for an event. The error of one that fails is logged, and the client goes on."""
        for callback in tuple(self._callbacks.get(type(event), ())):
            self._call(callback, event)

    def _call(self, callback: Callback[Any], event: object) -> None:
        kind = type(event).__name__
        with self._log.failuresHandled("a callback for {kind} failed", kind=kind):
            result = callback(event)
            if isinstance(result, Coroutine):
                result = Deferred.fromCoroutine(result)
            if isinstance(result, Deferred):
                result.addErrback(lambda failure: self._log.failure("a callback for {kind} failed", failure, kind=kind))

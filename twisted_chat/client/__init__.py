"""A chat client in a few lines, for bots, bridges and interfaces.

    client = await connect("tcp:chat.example:14900", nick="bot")
    room = await client.join("lobby")
    await room.say("hello")
    async for message in room:
        if message.msg == "ping":
            await room.say(f"pong, {message.author}")

The client reconnects by itself, sends unacked messages again, and reads on from its cursor. So an iteration gets each
message once and in order, over any number of lost connections. Every call that asks the server returns a Deferred,
which coroutines of Twisted and, under the asyncio reactor, of asyncio can await.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import Answer
    from .library import Client, Room, connect
    from .protocol.errors import ChatError, ClosedError, RequestError, UnreachableError
    from .protocol.objects import (
        ActionInfo,
        Audit,
        BanInfo,
        Banned,
        Bans,
        Deleted,
        DirectMessage,
        Error,
        Granted,
        Invited,
        Kicked,
        Locked,
        MemberJoined,
        MemberLeft,
        Members,
        Message,
        Muted,
        NickChanged,
        Page,
        Presence,
        Reported,
        RoomInfo,
        Slowed,
        Stop,
        TokenInfo,
        TopicChanged,
        Unbanned,
        Unmuted,
    )
    from .protocol.requests import Request
    from .protocol.states import NewLog, RoomLost, State, StateChanged

__all__ = [
    "ActionInfo",
    "Answer",
    "Audit",
    "BanInfo",
    "Banned",
    "Bans",
    "ChatError",
    "Client",
    "ClosedError",
    "Deleted",
    "DirectMessage",
    "Error",
    "Granted",
    "Invited",
    "Kicked",
    "Locked",
    "MemberJoined",
    "MemberLeft",
    "Members",
    "Message",
    "Muted",
    "NewLog",
    "NickChanged",
    "Page",
    "Presence",
    "Reported",
    "Request",
    "RequestError",
    "Room",
    "RoomInfo",
    "RoomLost",
    "Slowed",
    "State",
    "StateChanged",
    "Stop",
    "TokenInfo",
    "TopicChanged",
    "Unbanned",
    "Unmuted",
    "UnreachableError",
    "connect",
]

_MODULES = (".protocol.errors", ".protocol.states", ".protocol.objects", ".protocol.requests", ".answers", ".library")


def __getattr__(name: str) -> Any:
    """Import a name when it is used, since `twisted_chat.client.blocking` is for machines without Twisted."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = (import_module(module, __name__) for module in _MODULES)
    globals()[name] = next(getattr(module, name) for module in modules if hasattr(module, name))
    return globals()[name]

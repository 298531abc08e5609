"""A client for scripts and classrooms: standard sockets, one thread, one queue. It needs Python and nothing else.

    with Client("127.0.0.1", 14900, nick="cron") as chat:
        chat.say("done")

    with Client("chat.example", 14943, nick="bot", tls=True) as chat:
        for message in chat:
            if message.msg == "ping":
                chat.say(f"pong, {message.author}")

It has the names of `twisted_chat.client` and keeps the same promises, over TCP, TLS and UDP: a message is sent again
with the same id until it is acked, over any number of lost connections, and each message arrives once and in order. A
call returns when the server has answered. Calls may come from any thread.

From the bottom up: `links` carries objects to and from a server. The `loop` is the thread that runs the links and the
engine (`twisted_chat.client.protocol`), which is the same for all clients. `client` uses the engine, and takes messages
from the `inbox`. None of these modules imports anything beyond the standard library.
"""

from ..protocol.errors import ChatError, ClosedError, RequestError, UnreachableError
from ..protocol.objects import (
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
from ..protocol.requests import Request
from ..protocol.states import NewLog, RoomLost, State, StateChanged
from .client import Client, Room, connect

__all__ = [
    "ActionInfo",
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

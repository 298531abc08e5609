"""A client for scripts and classrooms: standard sockets, one thread, one queue. It needs Python and nothing else.

    with Client("127.0.0.1", 14900, nick="cron") as chat:
        chat.say("done")

    with Client("chat.example", 14943, nick="bot", tls=True) as chat:
        for message in chat:
            if message.msg == "ping":
                chat.say(f"pong, {message.author}")

It has the names of `twisted_chat.client` and keeps the same promises, over TCP, TLS and UDP: what is said is said again
with the same id until the server has it, over any number of lost connections, and each message comes once, in order.
A call returns when the server has answered. Calls may come from any thread.

How it is made, from the bottom up: `links` carries objects to and from a server. The `loop` is the thread that has the
links and the engine (`twisted_chat.client.protocol`), which all clients share. `client` uses the engine, and takes
messages from the `inbox`. Nothing of this imports anything but Python's own.
"""

from ..errors import ChatError, ClosedError, RequestError, UnreachableError
from ..protocol.objects import (
    DirectMessage,
    Error,
    MemberJoined,
    MemberLeft,
    Members,
    Message,
    NickChanged,
    Page,
    Presence,
    RoomInfo,
    Stop,
    TopicChanged,
)
from ..protocol.requests import Request
from ..states import NewLog, RoomLost, State, StateChanged
from .client import Client, Room, connect

__all__ = [
    "ChatError",
    "Client",
    "ClosedError",
    "DirectMessage",
    "Error",
    "MemberJoined",
    "MemberLeft",
    "Members",
    "Message",
    "NewLog",
    "NickChanged",
    "Page",
    "Presence",
    "Request",
    "RequestError",
    "Room",
    "RoomInfo",
    "RoomLost",
    "State",
    "StateChanged",
    "Stop",
    "TopicChanged",
    "UnreachableError",
    "connect",
]

"""The listener of this server for its cluster: it tells members, kicks them, and hands them their messages."""

from __future__ import annotations

from .gate import Host
from .messages import Message, Reply, WireError
from .names import Name
from .requests import direct_logs

TAKEN_ELSEWHERE = "a new connection of yours has taken the place of this one"
LOST = "this nick became somebody else's while the server was cut off: connect again, with another one"


class ChatListener:
    """The chat, as it is called with what happens at other servers; see `cluster.ClusterListener`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def notice_heard(self, room: str, notice: Reply) -> None:
        self._host.rooms.hear_notice(room, notice)

    def message_heard(self, nick: str, message: Message) -> None:
        for bearer in self._host.nicks.bearers(nick):
            if not bearer.paused:
                self._host.rooms.send(bearer, message)

    def direct_heard(self, log: Name, first: int) -> None:
        direct_logs.hear(self._host, log, first)

    def kick_heard(self, room: str, nick: str, author: str, reason: str) -> None:
        for bearer in self._host.nicks.bearers(nick):
            member = bearer.members.get(room)
            if member is not None:
                self._host.put_out(bearer, member.room, author, reason)

    def nick_taken(self, nick: str) -> None:
        for bearer in self._host.nicks.bearers(nick):
            bearer.end(TAKEN_ELSEWHERE, farewell="connecting again", cause="replaced")

    def nick_lost(self, nick: str) -> None:
        for bearer in self._host.nicks.bearers(nick):
            bearer.turn_away(WireError("nick-taken", LOST))

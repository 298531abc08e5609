"""The listener of this server for its cluster: it tells members, kicks them, and hands them their messages."""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from .cluster import ClusterListener, digest_of
from .gate import Host
from .log import Unavailable
from .messages import Reply, WireError
from .names import Name
from .requests import direct_logs, reports
from .session import Session

TAKEN_ELSEWHERE = "a new connection of yours has taken the place of this one"
_log = Logger("twisted_chat.cluster_listener")

LOST = "this nick has become somebody else's: connect again, with another one"


class ChatListener(ClusterListener):
    """The chat, as it is called with what happens at other servers; see `cluster.ClusterListener`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def notice_heard(self, room: str, notice: Reply) -> None:
        self._host.rooms.hear_notice(room, notice)

    def reply_heard(self, nick: str, reply: Reply) -> None:
        for bearer in self._host.nicks.bearers(nick):
            if not bearer.paused:
                self._host.rooms.send(bearer, reply)

    def report_heard(self, notice: Reply, seq: int) -> None:
        reports.show(self._host, notice, seq).addErrback(_not_finished)

    def direct_heard(self, log: Name, first: int) -> None:
        direct_logs.hear(self._host, log, first)

    def kick_heard(self, room: str, nick: str, author: str, reason: str) -> None:
        for bearer in self._host.nicks.bearers(nick):
            member = bearer.members.get(room)
            if member is not None:
                self._host.put_out(bearer, member.room, author, reason)

    def nick_taken(self, nick: str, digest: bytes) -> None:
        for bearer in self._host.nicks.bearers(nick):
            if isinstance(bearer, Session) and bearer.token is not None and digest_of(bearer.token) == digest:
                bearer.end(TAKEN_ELSEWHERE, farewell="connecting again", cause="replaced")

    def nick_lost(self, nick: str) -> None:
        for bearer in self._host.nicks.bearers(nick):
            if bearer.account is None:  # it may have registered the nick just now
                bearer.turn_away(WireError("nick-taken", LOST))


def _not_finished(failure: Failure) -> None:
    if not failure.check(Unavailable):  # it is shown again to the next operator who logs in
        _log.failure("A report that was shown to operators could not be deleted", failure)

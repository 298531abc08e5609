"""Requests about the connection: pings, and its end."""

from __future__ import annotations

from .. import messages
from ..gate import Host, answers
from ..participant import Participant
from ..rules import Role
from ..session import Session


@answers(messages.Ping, needs=Role.VISITOR)
def _ping(host: Host, session: Session, request: messages.Ping) -> None:
    session.reply(messages.PongSent(id=request.id))


@answers(messages.Pong, needs=Role.VISITOR)
def _pong(host: Host, session: Session, request: messages.Pong) -> None:
    """Do nothing. Any request shows that the client is there."""


@answers(messages.Quit, needs=Role.VISITOR)
def _quit(host: Host, session: Participant, request: messages.Quit) -> None:
    session.end("", id=request.id, farewell=request.msg, cause="quit")

"""The request for a page of the audit log."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from .. import messages
from ..gate import Host, answers
from ..limits import MESSAGES
from ..messages import time_text
from ..names import Name
from ..registry import Action
from ..rules import Role
from ..session import Session
from .acting import room_or_server, text_of
from .common import fitting


@answers(messages.ReadAudit, needs=Role.MODERATOR)
def _audit(host: Host, session: Session, request: messages.ReadAudit) -> Deferred[None]:
    room = room_or_server(host, request.room)
    before = messages.MAX_SEQ if request.before is None else request.before
    most = min(request.limit, messages.MAX_PAGE)
    of = None if request.room is None else room.key
    read = host.accounts.registry.actions(of, before, most + 1)
    return read.addCallback(_show_actions, session, room, most, request)


def _show_actions(actions: list[Action], session: Session, room: Name, most: int, request: messages.ReadAudit) -> None:
    if session.closed:
        return
    session.charge_work(len(actions) // MESSAGES)
    answer = messages.AuditPage(actions=[], more=False, room=request.room and room.shown, id=request.id)
    answer.actions = fitting([_info(action) for action in actions[:most]], answer, session.wire)
    answer.more = len(actions) > len(answer.actions)
    session.reply(answer)


def _info(action: Action) -> messages.ActionInfo:
    return messages.ActionInfo(
        seq=action.seq,
        time=time_text(action.time),
        type=action.kind,
        author=action.author,
        account=action.account or None,
        room=action.room or None,
        target=action.target or None,
        value=action.value or None,
        until=text_of(action.until),
        msg=action.msg,
    )

"""Reports and their way to the operators: at once to those who are there, and otherwise to the next one who logs in."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed

from ..gate import Host, answers
from ..messages import Reply, Reported, SendReport, WireError, time_text
from ..registry import Report
from ..rules import Role
from ..session import Session
from .common import check_reason, membership

WAITING: Final = 100
"""Reports that an operator who logs in is sent at once; what is left waits for the next log-in."""


@answers(SendReport)
def _report(host: Host, session: Session, request: SendReport) -> Deferred[None]:
    member = membership(session, request.room)
    room = member.room
    if not room.log.oldest <= request.of <= room.head or request.of == 0:
        raise WireError("bad-message", f"there is no message {request.of} in the room {room.name.shown}")
    check_reason(request.msg)
    host.reports.take(session.address)
    report = Report(room=room.name.key, of=request.of, author=session.nick.shown, msg=request.msg, time=host.now())
    return host.accounts.registry.report(report).addCallback(_reported, host, session, request)


def _reported(report: Report, host: Host, session: Session, request: SendReport) -> Deferred[None]:
    if not session.closed:
        session.reply(notice_of(host, report, request.id))
    return send_to_operators(host, report)


def notice_of(host: Host, report: Report, id: str | None = None) -> Reported:
    """Return the notice of a report, or the answer to it."""
    room = host.rooms.get(report.room)
    shown = report.room if room is None else room.name.shown
    time = time_text(report.time)
    return Reported(author=report.author, room=shown, of=report.of, time=time, msg=report.msg, id=id)


def send_to_operators(host: Host, report: Report) -> Deferred[None]:
    """Send a report to the operators who are at any server; then it need not be kept any more."""
    notice = notice_of(host, report)
    host.cluster.report(notice, report.seq)
    return show(host, notice, report.seq)


def show(host: Host, notice: Reply, seq: int) -> Deferred[None]:
    """Send a report to the operators who are at this server. If there are any, it is not kept any more."""
    operators = host.operators()
    for operator in operators:
        host.rooms.send(operator, notice)
    return host.accounts.registry.finish_reports(seq) if operators else succeed(None)


def send_waiting(host: Host, session: Session) -> Deferred[None]:
    """Send an operator who has logged in the reports that came while no operator was there."""
    if host.accounts.rules.role(session.account) < Role.OPERATOR:
        return succeed(None)
    return host.accounts.registry.reports(0, WAITING).addCallback(_send_all, host, session)


def _send_all(reports: list[Report], host: Host, session: Session) -> Deferred[None]:
    if session.closed or not reports:
        return succeed(None)
    for report in reports:
        session.reply(notice_of(host, report))
    return host.accounts.registry.finish_reports(reports[-1].seq)

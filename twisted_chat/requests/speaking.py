"""Messages to a room or to one nick."""

from __future__ import annotations

from .. import clock, messages, names
from ..gate import Host, answers
from ..log import Entry
from ..messages import Message, WireError
from ..session import Session
from .common import membership


@answers(messages.Say)
def _say(host: Host, session: Session, request: messages.Say) -> None:
    if request.room is None:
        _say_to_nick(host, session, request)
        return
    if request.to is not None:
        raise WireError("bad-message", "a message has a 'room' or a 'to', not both")
    member = membership(session, request.room)
    host.accounts.rules.check_speech(session, member.room.name.key, host.now)
    session.append_started(len(request.msg))
    host.rooms.say(Entry(member.room.log, session.nick, request.msg, request.id, member))


def _say_to_nick(host: Host, session: Session, request: messages.Say) -> None:
    """Send a direct message to a nick. It is not kept, since the next bearer of the nick would read it."""
    if request.to is None:
        raise WireError("bad-message", "a message needs a 'room', or a 'to' with somebody's nick")
    bearers = host.nicks.bearers(names.nick(request.to).key)
    if not bearers:
        raise WireError("no-such-nick", f"nobody has the nick {request.to} now")
    to = bearers[0].nick.shown
    reading = [bearer for bearer in bearers if not bearer.paused]
    if not reading:
        raise WireError("unavailable", f"{to} is not reading just now: send the message again later")
    time = messages.time_text(clock.milliseconds(host.reactor))
    message = Message(request.msg, session.nick.shown, None, to, None, time)
    for bearer in reading:
        host.rooms.send(bearer, message)
    if request.id is not None:
        session.reply(messages.Ack(request.id, None, to, None, time))

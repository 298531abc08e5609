"""The server's notices as lines for a person: who came and went, and what moderators did. All of them are clean."""

from __future__ import annotations

from typing import Final

from ..events import (
    Banned,
    Granted,
    Kicked,
    Locked,
    MemberJoined,
    MemberLeft,
    Muted,
    Slowed,
    TopicChanged,
    Unbanned,
    Unmuted,
)
from .clean import clean
from .durations import duration_text
from .times import local_time

Noticed = (
    MemberJoined | MemberLeft | TopicChanged | Kicked | Banned | Unbanned | Muted | Unmuted | Granted | Locked | Slowed
)

KINDS: Final[tuple[type[Noticed], ...]] = (
    MemberJoined,
    MemberLeft,
    TopicChanged,
    Kicked,
    Banned,
    Unbanned,
    Muted,
    Unmuted,
    Granted,
    Locked,
    Slowed,
)
"""The kinds of notices that become a line in their room."""


DELETED: Final = "(deleted)"
"""The text that is shown of a message that was deleted."""


def with_more(text: str, more: str) -> str:
    """Return a text, with more details if there are any."""
    return f"{text}: {clean(more)}" if more else text


def notice_text(event: Noticed) -> str:
    """Return the line for a notice."""
    who, room = clean(event.author), clean(event.room or "the server")
    match event:
        case MemberJoined():
            return f"{who} joined {room}"
        case MemberLeft():
            return with_more(f"{who} left {room}", event.msg)
        case TopicChanged():
            return with_more(f"{who} {'set' if event.msg else 'took away'} the topic of {room}", event.msg)
        case Kicked(author="server"):  # the ban or the lock has a notice of its own
            return f"{clean(event.nick)} is put out of {room}"
        case Kicked():
            return with_more(f"{who} put {clean(event.nick)} out of {room}", event.msg)
        case Banned():
            return with_more(f"{who} banned {clean(event.who)} from {room}{until(event.until)}", event.msg)
        case Unbanned():
            return with_more(f"{who} lets {clean(event.who)} into {room} again", event.msg)
        case Muted():
            return with_more(f"{who} muted {clean(event.nick)} in {room}{until(event.until)}", event.msg)
        case Unmuted():
            return with_more(f"{who} lets {clean(event.nick)} speak in {room} again", event.msg)
        case Granted(role="none"):
            return with_more(f"{who} took away the role of {clean(event.nick)} in {room}", event.msg)
        case Granted():
            return with_more(f"{who} made {clean(event.nick)} {role_text(event.role)} of {room}", event.msg)
        case Locked():
            return with_more(f"{who} {'locked' if event.on else 'unlocked'} {room}", event.msg)
    return with_more(f"{who} {slow_text(room, event.seconds)}", event.msg)


def role_text(role: str) -> str:
    """Return a role with its article."""
    return f"{'an' if role[:1] in 'aeiou' else 'a'} {clean(role)}"


def slow_text(room: str, seconds: int) -> str:
    """Return what somebody did about the slow mode of a room."""
    if not seconds:
        return f"ended the slow mode of {room}"
    return f"made {room} slow: one message of each member in {duration_text(seconds)}"


def until(time: str | None) -> str:
    """Return when a ban or a mute ends, to be added to its line; empty if it has no end."""
    return "" if time is None else f" until {local_time(time)}"

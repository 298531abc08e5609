"""The errors of the client.

ChatError               the base class
├── RequestError        a request was refused, with a `code`; the client goes on
├── UnreachableError    the first connection was not made
└── ClosedError         the client is closed, or the room was left
"""

from __future__ import annotations

from typing import Final

from .requests import Request

UNREADABLE: Final = "the server's answer cannot be read; it may be newer than this client"

FOR_NOW: Final = frozenset({"rate-limited", "unavailable", "full", "internal"})
"""The codes with which a request may succeed later, such as the join of a room that the client was in."""

ENDED: Final = "the server ended the connection"
REFUSED: Final = "nobody listens there"
NO_ANSWER: Final = "there was no answer in time"
"""Reasons why a connection has ended or was not made, for a person, in all clients."""


class ChatError(Exception):
    """The base class of all errors of the client. The text is for a person."""


class RequestError(ChatError):
    """A request was refused by the server, or by the client because the server would refuse it.

    The text says what was refused and why. It never contains the text of a message, so it can be logged. `code` is one
    of the protocol's, or a newer server's.
    """

    def __init__(self, code: str, text: str, retry: float | None = None, request: Request | None = None) -> None:
        refusal = request.refusal if request is not None else ""
        super().__init__(f"{refusal}: {text}" if refusal else text)
        self.code = code
        self.text = text
        """The reason, and what to do, in the server's words."""
        self.retry = retry
        """The seconds after which the request would be served, if the server has told them."""
        self.request = request
        """The refused request: its `kind`, `room`, `nick` and `text`. None if the server refused the client itself."""


class UnreachableError(ChatError):
    """The first connection was not made, or the server ended it before the welcome.

    `__cause__` is the exception behind it, if there is one.
    """

    def __init__(self, text: str, reason: str, foreign: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        """The reason alone, for a person who knows which server it is about."""
        self.foreign = foreign
        """True if something accepted the connection and sent nothing known. It may speak another protocol."""


class ClosedError(ChatError):
    """The client is closed, or the room was left."""

    def __init__(self, text: str, wanted: bool = False) -> None:
        super().__init__(text)
        self.wanted = wanted
        """True if the program itself closed the client or left the room. An iteration then ends without an error."""

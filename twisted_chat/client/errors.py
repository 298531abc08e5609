"""What can go wrong in a conversation.

ChatError               anything of the below
├── RequestError        a request was refused, with a `code`; the conversation goes on
├── UnreachableError    the first connection was not made
└── ClosedError         the client is closed, and says why
"""

from __future__ import annotations

from typing import Final

from .protocol.requests import Request

UNREADABLE: Final = "the server's answer cannot be read; it may be newer than this client"


class ChatError(Exception):
    """Anything that can go wrong in a conversation. Its text is for a person."""


class RequestError(ChatError):
    """A request was refused: by the server, or by the client where the server would.

    Its text says what was refused and why, and never what was said: it may be logged. `code` is one of the protocol's,
    or another one from a newer server.
    """

    def __init__(self, code: str, text: str, retry: float | None = None, request: Request | None = None) -> None:
        refusal = request.refusal if request is not None else ""
        super().__init__(f"{refusal}: {text}" if refusal else text)
        self.code = code
        self.text = text
        """What is wrong and what to do, for a person, in the server's words."""
        self.retry = retry
        """Seconds after which the request would be served, where the server knows that."""
        self.request = request
        """What was refused: its `kind`, `room`, `nick` and `text`. None where the server refuses the client itself."""


class UnreachableError(ChatError):
    """The first connection was not made, or the server ended it before it said welcome.

    `__cause__` has more where it is known.
    """

    def __init__(self, text: str, reason: str, foreign: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        """Why, for a person who knows which server it is about."""
        self.foreign = foreign
        """Something took the connection and has said nothing that is known here: it may speak another protocol."""


class ClosedError(ChatError):
    """The client is closed, or the room was left: nothing comes any more, and nothing can be asked."""

    def __init__(self, text: str, wanted: bool = False) -> None:
        super().__init__(text)
        self.wanted = wanted
        """The program itself closed or left. An iteration that is going on then ends, without an error."""

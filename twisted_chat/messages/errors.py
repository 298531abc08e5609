"""Errors of the peer: their codes, and the exception that becomes an answer."""

from __future__ import annotations

from typing import Final, Literal

Code = Literal[
    "bad-json",
    "bad-message",
    "too-long",
    "unknown-type",
    "not-welcome",
    "bad-nick",
    "nick-taken",
    "auth-failed",
    "bad-room",
    "not-joined",
    "no-such-nick",
    "denied",
    "banned",
    "rate-limited",
    "full",
    "unavailable",
    "internal",
]
"""The codes of errors, for programs."""

SERVER_FAULT: Final = "the server has a fault, which is described in its log: tell the people who run it"
"""The text of every error with the code `internal`."""


class WireError(Exception):
    """An error of the peer, which gets `code` and `text` as an answer. The connection stays open."""

    def __init__(
        self,
        code: Code,
        text: str,
        id: str | None = None,
        retry: float | None = None,
        type: str = "",
        until: int | None = None,
    ) -> None:
        super().__init__(text)
        self.code: Code = code
        self.text = text
        """The reason, and what to do, for a person."""
        self.id = id
        """The `id` of the request that failed, if it had one."""
        self.retry = retry
        """Seconds after which the same request would be served, if that is known."""
        self.until = until
        """When a ban ends, in milliseconds since 1970, if it does."""
        self.type = type
        """The `type` of the object, if it had one."""

    def copy(self) -> WireError:
        """Return an equal error: one that was raised holds on to all that had a part in it."""
        return WireError(self.code, self.text, self.id, self.retry, self.type, self.until)

    def __len__(self) -> int:
        """Its size in bytes in place of an object: none."""
        return 0

    def __bool__(self) -> bool:
        return True

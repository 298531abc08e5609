"""A client's numbered requests: taken in their order, each of them once, and answered again where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from ...messages import Envelope
from .datagram import Datagram

WINDOW: Final = 64
"""Numbered requests of a client that may be under way: those that came early are held, and so many answers are
remembered, to be given again where they got lost."""

read_envelope: Callable[[bytes], Envelope] = msgspec.json.Decoder(Envelope).decode
"""Read of an object what is the wire's own affair."""


class NumberedRequests:
    """Puts requests in order, and remembers the answers to the last of them."""

    def __init__(self) -> None:
        self._next = 1
        """The number of the request that comes next."""
        self._early: dict[int, tuple[str | None, bytes]] = {}
        """Requests that wait for the one in front of them, or to be taken, with their ids."""
        self._answers: dict[str | None, Datagram | None] = {}
        """The answers to the last requests by their ids; None where there is none yet."""

    def received(self, number: int, id: str | None, datagram: bytes) -> Datagram | None:
        """Take a request that came. Returns the answer of one that was taken before, where it is known."""
        if number < self._next:
            return self._answers.get(id)
        if number < self._next + WINDOW:
            self._early[number] = id, datagram
        return None

    def take(self) -> bytes | None:
        """Give the request whose turn it is, if it is here: what comes with its id from now on is its answer."""
        if self._next not in self._early:
            return None
        id, datagram = self._early.pop(self._next)
        self._next += 1
        if id is not None:
            self._answers.pop(id, None)
            self._answers[id] = None
            if len(self._answers) > WINDOW:
                del self._answers[next(iter(self._answers))]
        return datagram

    def answered(self, datagram: Datagram) -> None:
        """Remember a datagram that is sent, if it is an answer."""
        id = getattr(datagram.reply, "id", None)
        if id in self._answers:
            self._answers[id] = datagram

    def clear(self) -> None:
        """Forget what came and what was answered."""
        self._early.clear()
        self._answers.clear()

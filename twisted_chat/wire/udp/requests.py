"""The numbered requests of a client, each handled in order and exactly once. One that comes again is answered again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from ...messages import Envelope
from .datagram import Datagram

WINDOW: Final = 64
"""The maximum number of numbered requests in flight. So many early ones are held, and so many answers are remembered in
case they get lost."""

read_envelope: Callable[[bytes], Envelope] = msgspec.json.Decoder(Envelope).decode
"""The decoder of the fields of a datagram that concern the wire and not the chat."""


class NumberedRequests:
    """Puts requests in order, and remembers the answers to the latest ones."""

    def __init__(self) -> None:
        self._next = 1
        """The number of the next request."""
        self._early: dict[int, tuple[str | None, bytes]] = {}
        """The requests, with their ids, that wait for an earlier one or were not taken yet."""
        self._answers: dict[str | None, Datagram | None] = {}
        """The answers to the latest requests, by id; None if there is no answer yet."""

    def received(self, number: int, id: str | None, datagram: bytes) -> Datagram | None:
        """Take a received request. If it was handled before, return its answer, if there is one."""
        if number < self._next:
            return self._answers.get(id)
        if number < self._next + WINDOW:
            self._early[number] = id, datagram
        return None

    def take(self) -> bytes | None:
        """Return the next request in order, if it has arrived. Replies with its id are its answer from now on."""
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
        """Remember a datagram if it answers one of the latest requests."""
        id = getattr(datagram.reply, "id", None)
        if id in self._answers:
            self._answers[id] = datagram

    def clear(self) -> None:
        """Forget all requests and answers."""
        self._early.clear()
        self._answers.clear()

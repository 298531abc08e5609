"""The nicks in use, and who bears each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from .bare import Bare
from .names import Lookalikes, Name
from .session import Session

Bearer = Session | Bare
"""Somebody who has a nick."""


class Nicks:
    """The nicks in use: a nick has one bearer, or several that are sessions of one account."""

    def __init__(self) -> None:
        self._bearers: dict[str, tuple[Bearer, ...]] = {}
        """The bearers of a nick, by its key. A tuple, since nearly all have one bearer, and there are many."""
        self._lookalikes = Lookalikes()

    def __len__(self) -> int:
        return len(self._bearers)

    def __iter__(self) -> Iterator[str]:
        """Go through the keys of the nicks."""
        return iter(self._bearers)

    def __contains__(self, key: str) -> bool:
        return key in self._bearers

    def bearers(self, key: str) -> tuple[Bearer, ...]:
        """Return those who bear a nick, given by its key."""
        return self._bearers.get(key, ())

    def everybody(self) -> tuple[Bearer, ...]:
        """Return all who have a nick."""
        return tuple(chain.from_iterable(self._bearers.values()))

    def is_like_another(self, name: Name, own: Name) -> bool:
        """True if a name looks like a nick in use that is another one, `own` aside."""
        return self._lookalikes.clash(name, own)

    def add(self, name: Name, participant: Bearer) -> None:
        """Let a participant bear a nick."""
        self._bearers[name.key] = (*self._bearers.get(name.key, ()), participant)
        self._lookalikes.add(name)

    def remove(self, participant: Bearer) -> bool:
        """Take the nick of a participant away; False if it bears none."""
        key = participant.nick.key
        bearers = self._bearers.get(key, ())
        others = tuple(bearer for bearer in bearers if bearer is not participant)
        if len(others) == len(bearers):
            return False
        self._lookalikes.discard(participant.nick)
        if others:
            self._bearers[key] = others
        else:
            del self._bearers[key]
        return True

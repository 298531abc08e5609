"""The encoding of UDP: replies that fit into datagrams. They become bytes when they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from ...encoding import Encoding, object_of
from ...log import Record
from .datagram import Datagram
from .fitting import fit


class _Datagrams(Encoding[tuple[Datagram, ...]]):
    """JSON objects, one in each datagram. Every session sends them with its own numbers."""

    def message(self, room: str, record: Record) -> tuple[Datagram, ...]:
        obj = object_of(room, record)
        return () if obj is None else fit(obj)

    reply = staticmethod(fit)

    def join(self, parts: Sequence[tuple[Datagram, ...]]) -> tuple[Datagram, ...]:
        return tuple(chain.from_iterable(parts))

    def size(self, part: tuple[Datagram, ...]) -> int:
        return sum(datagram.size for datagram in part)


DATAGRAMS: Final[Encoding[tuple[Datagram, ...]]] = _Datagrams()

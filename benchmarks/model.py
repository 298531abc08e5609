"""An estimate of what one machine carries, from the figures measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .cases import Row
from .results import Results

BUSY: Final = 0.7
"""The load of a processor up to which messages of the same moment wait for milliseconds only."""


@dataclass(frozen=True)
class Example:
    """A use of the server."""

    what: str
    members: int
    rooms: int
    per_room: int
    """Members of each room; a person in three rooms counts in each of them."""
    messages: float
    """Messages/s in all rooms together, at the busiest time."""


EXAMPLES: Final = (
    Example(
        "a team of 50, each in 10 rooms of 20 members, half of them sending a message per minute", 50, 25, 20, 25 / 60
    ),
    Example("a class of 300 in one room, all answering within 10 s", 300, 1, 300, 30.0),
    Example("an event of 10,000 in one room, 5 messages/s", 10_000, 1, 10_000, 5.0),
)


@dataclass(frozen=True)
class Model:
    """The costs of the server on one machine."""

    message: float
    """Processor time of a message that arrives alone (seconds): to read, store and ack it."""
    delivery: float
    """Processor time of a delivery to one member (seconds)."""
    gathered: float
    """Processor time of a delivery if all members send and a turn's messages are sent together (seconds)."""
    base: float
    """Memory of a server without connections (bytes)."""
    member: float
    """Memory of a connection in a room (bytes)."""
    room: float
    """Memory of an open room with one member (bytes)."""

    def processor(self, example: Example) -> float:
        """Return the load of the server's processor if no two messages are sent together; 1 is fully busy."""
        return example.messages * (self.message + self.delivery * (example.per_room - 1))

    def messages(self, members: int) -> float:
        """Return the messages/s to rooms of this size that keep a processor `BUSY`."""
        return BUSY / (self.message + self.delivery * (members - 1))

    def memory(self, example: Example) -> float:
        """Return the memory that a use takes (bytes)."""
        return self.base + self.member * example.members + self.room * example.rooms


def model(results: Results) -> Model | None:
    """Derive the costs from the results; None if a case that they need was not measured."""
    spoken, gathered = results.of("single"), results.of("everyone")
    crowds, rooms, idle = results.of("crowd"), results.of("memory"), results.of("idle")
    if len(spoken) < 2 or not (gathered and crowds and rooms and idle):
        return None
    message, delivery = fit(spoken)
    together = min(row["cpu_us_per_delivery"] for row in gathered) / 1e6
    base = min(row["memory"] for row in idle if not row["members"])
    return Model(message, delivery, together, base, crowds[0]["memory_per_member"], rooms[0]["memory_per_room"])


def fit(rows: Sequence[Row]) -> tuple[float, float]:
    """Fit the cost of a message and of a delivery to the rows, with the least relative error.

    Least squares of (messages * a + deliveries * b) / seconds = 1.
    """
    x = [row["messages"] / row["cpu_s"] for row in rows]
    y = [row["deliveries"] / row["cpu_s"] for row in rows]
    xx, yy = sum(v * v for v in x), sum(v * v for v in y)
    xy = sum(v * w for v, w in zip(x, y, strict=True))
    determinant = xx * yy - xy * xy
    a = (sum(x) * yy - sum(y) * xy) / determinant
    b = (sum(y) * xx - sum(x) * xy) / determinant
    return max(a, 0.0), max(b, 0.0)

"""What one machine carries, from what was measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .cases import Row
from .results import Results

BUSY: Final = 0.7
"""How busy a processor may be, so that those who talk in the same moment wait for milliseconds only."""


@dataclass(frozen=True)
class Example:
    """A use of the server."""

    what: str
    members: int
    rooms: int
    per_room: int
    """Members of each room; somebody who is in three counts in each of them."""
    messages: float
    """Messages/s in all, when most is said."""


EXAMPLES: Final = (
    Example("a team of 50, each in 10 rooms of 20, half of them typing a message a minute", 50, 25, 20, 25 / 60),
    Example("a class of 300 in one room, all answer within 10 s", 300, 1, 300, 30.0),
    Example("an event of 10,000 in one room, 5 messages/s", 10_000, 1, 10_000, 5.0),
)


@dataclass(frozen=True)
class Model:
    """What things cost the server on one machine."""

    message: float
    """Processor time of a message that comes alone (seconds): read, kept, acked."""
    delivery: float
    """Processor time of a message on its way to one member (seconds)."""
    gathered: float
    """Processor time of a delivery where all talk and a turn's messages go together (seconds)."""
    base: float
    """Memory of a server to which nobody is connected (bytes)."""
    member: float
    """Memory of a connection in a room (bytes)."""
    room: float
    """Memory of an open room with one member (bytes)."""

    def processor(self, example: Example) -> float:
        """Say how busy a use keeps the server's processor, where no two messages go together; 1 is wholly."""
        return example.messages * (self.message + self.delivery * (example.per_room - 1))

    def messages(self, members: int) -> float:
        """Say how many messages/s to rooms of so many members keep a processor `BUSY`."""
        return BUSY / (self.message + self.delivery * (members - 1))

    def memory(self, example: Example) -> float:
        """Say how much memory a use takes (bytes)."""
        return self.base + self.member * example.members + self.room * example.rooms


def model(results: Results) -> Model | None:
    """Find the costs in what was measured; None where a case that they come from was not."""
    spoken, gathered = results.of("single"), results.of("everyone")
    crowds, rooms, idle = results.of("crowd"), results.of("memory"), results.of("idle")
    if len(spoken) < 2 or not (gathered and crowds and rooms and idle):
        return None
    message, delivery = fit(spoken)
    together = min(row["cpu_us_per_delivery"] for row in gathered) / 1e6
    base = min(row["memory"] for row in idle if not row["members"])
    return Model(message, delivery, together, base, crowds[0]["memory_per_member"], rooms[0]["memory_per_room"])


def fit(rows: Sequence[Row]) -> tuple[float, float]:
    """Find the cost of a message and of a delivery by which all rows come out with the least relative error.

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

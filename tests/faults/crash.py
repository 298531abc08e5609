"""The server is killed."""

from __future__ import annotations

import asyncio
from typing import Final

from .round import Round

LOAD_SECONDS: Final = 0.8
"""The server is killed within this time after everybody is back."""


async def crash(round: Round) -> str:
    """`kill -9` at random moments, while 8 talk and 20 listen in three rooms."""
    await round.server.start()
    round.crowd(8, 20, 3)
    kills = round.random.randint(1, 3)
    for _ in range(kills):
        await round.until_all_are_in()
        round.talk()
        await asyncio.sleep(round.random.random() * LOAD_SECONDS)
        await round.server.kill()
        await round.server.start()
    await round.until_all_are_in()
    await round.judge()
    return f"killed {kills} times"

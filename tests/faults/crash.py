"""The server is killed."""

from __future__ import annotations

import asyncio
from typing import Final

from .scene import Scene

LOAD_SECONDS: Final = 0.8
"""Seconds after the return of all clients within which the server is killed."""


async def crash(scene: Scene) -> str:
    """Kill the server with `kill -9` at random moments, while 8 clients talk and 20 listen in three rooms."""
    await scene.server.start("--memory", scene.random.choice("01"))
    scene.crowd(8, 20, 3)
    kills = scene.random.randint(1, 3)
    for _ in range(kills):
        await scene.until_all_are_in()
        scene.talk()
        await asyncio.sleep(scene.random.random() * LOAD_SECONDS)
        await scene.server.kill()
        await scene.server.start("--memory", scene.random.choice("01"))
    await scene.until_all_are_in()
    await scene.judge()
    return f"killed {kills} times"

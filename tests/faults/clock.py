"""The clock is set back and forward.

Setting the machine's clock needs root and affects everything else. Instead, the server gets another `time.time` before
it imports Twisted, which takes all its times from there. This does not cover clocks that C code reads, such as those of
SQLite, whose times the server does not use, nor the kernel's timers, which do not follow the clock that is set.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Final

from ..deadlines import WAIT_SECONDS
from .scene import Scene, Stuck
from .server import TWISTD

SHIFTED: Final = f"""
import mmap, struct, time
with open("clock", "r+b") as file:
    shift = mmap.mmap(file.fileno(), 8)
real = time.time
time.time = lambda: real() + struct.unpack("d", shift)[0]
{TWISTD}
"""
"""Starts the server with a clock that is wrong by the number of seconds in a file."""

HOUR: Final = 3600.0

SAID: Final = 300
"""Messages that are acked between two settings of the clock."""


async def clock(scene: Scene) -> str:
    """Set the clock back by an hour and forward again under load, then back, and kill the server."""
    _set(scene, 0)
    scene.server.program = SHIFTED
    options = scene.random.choice(((), ("--reactor", "epoll"), ("--reactor", "poll")))
    await scene.server.start(before=options)
    scene.crowd(8, 20, 3)
    await scene.until_all_are_in()
    listener = await asyncio.open_connection(*scene.where())
    speaker = await asyncio.open_connection(*scene.where())
    scene.talk()
    shifts = [-HOUR, 0, HOUR, -HOUR]
    for shift in shifts:
        await scene.until_said(scene.random.randint(1, SAID))
        _set(scene, shift)
        await scene.until_said(SAID)
        await _hear(speaker[1], listener[0], f"the clock is at {shift:+g} seconds")
    await scene.server.kill()
    _set(scene, 2 * -HOUR)
    await scene.server.start(before=options)
    await scene.until_all_are_in()
    scene.talk()
    await scene.until_said(SAID)
    await scene.judge()
    return f"set {len(shifts) + 1} times, {' '.join(options) or 'the default reactor'}"


async def _hear(speaker: asyncio.StreamWriter, listener: asyncio.StreamReader, text: str) -> None:
    """Send a message from one bare client to another one, whose messages depend on timers."""
    speaker.write(json.dumps({"msg": text}).encode())
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await listener.readuntil(text.encode())
    except TimeoutError:
        raise Stuck(f"a bare client did not receive within {WAIT_SECONDS:g} seconds: {text}") from None


def _set(scene: Scene, seconds: float) -> None:
    """Set the server's clock forward by this number of seconds, or back if it is negative."""
    path = scene.folder / "clock"
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(struct.pack("d", seconds))

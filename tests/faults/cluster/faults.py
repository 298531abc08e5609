"""A server is killed, stopped or cut off from the database, while the others go on."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

from .scene import SERVERS, ClusterScene, Outage

UNAVAILABLE_SECONDS: Final = 14.0
"""Seconds after which the people of a server that is cut off have been told so: its patience, and the time of the last
attempt."""


async def server_killed(scene: ClusterScene) -> str:
    """Kill a server with `kill -9`; its people come back through another one."""
    at = scene.random.randrange(SERVERS)
    await scene.load()
    outage = scene.begin_outage(scene.talkers(at))
    await scene.servers[at].kill()
    await scene.until_over(outage)
    await scene.until_all_are_in()
    await scene.servers[at].start()
    await scene.finish()
    return "came back elsewhere"


async def server_stopped(scene: ClusterScene) -> str:
    """Stop a server with SIGSTOP, for less or for more than the time of its lease, and let it go on."""
    at = scene.random.randrange(SERVERS)
    seconds = scene.random.uniform(1, 16 if scene.is_long else 3)
    await scene.load()
    outage = scene.begin_outage(scene.talkers(at))
    scene.servers[at].send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    scene.servers[at].send_signal(signal.SIGCONT)
    await scene.until_over(outage)
    await scene.finish()
    return f"for {seconds:.1f} s"


async def server_cut(scene: ClusterScene) -> str:
    """Cut a server off from the database: it acks nothing, and people who stay hear that after ten seconds."""
    at = scene.random.randrange(SERVERS)
    is_long = scene.is_long and scene.random.random() < 0.5
    await scene.load()
    people = scene.talkers(at)
    patience = [person.patience for person in people]
    for person in people if is_long else ():
        person.patience = UNAVAILABLE_SECONDS * 3
    await scene.system.cut(at)
    try:
        outage = scene.begin_outage(people)
        await scene.until_over(Outage(person for person in scene.talkers() if person not in people))
        refusals = sum(person.refusals for person in people)
        await asyncio.sleep(UNAVAILABLE_SECONDS if is_long else scene.random.uniform(1, 3))
        if is_long and sum(person.refusals for person in people) == refusals:
            scene.broken.append(f"nobody was refused within {UNAVAILABLE_SECONDS:g} s of the cut")
        if any(scene.is_at(person, at) and outage.is_over_for(person) for person in people):
            scene.broken.append("a server that is cut off has acked a message")
    finally:
        await scene.system.mend(at)
    for person, seconds in zip(people, patience, strict=True):
        person.patience = seconds
    await scene.until_over(outage)
    await scene.finish()
    return f"for {'longer' if is_long else 'less'} than ten seconds"

"""Something of the three databases under Patroni breaks, while people talk."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Final

from . import faults
from .patroni import TTL, Patroni, send
from .scene import ClusterScene

FULL_SECONDS: Final = 15.0
"""Seconds for which a disk is full, at most."""

STANDBY_SECONDS: Final = 15.0
"""Seconds for which a standby is stopped or cut off, at most."""


async def primary_killed(scene: ClusterScene, system: Patroni) -> str:
    """Kill the PostgreSQL of the primary; its Patroni gives its place up."""
    primary = await system.primary()
    await scene.load()
    outage = scene.begin_outage()
    send(signal.SIGKILL, primary.postgres())
    await scene.until_over(outage)
    await scene.finish()
    return f"{primary.name}, then {(await system.primary()).name}"


async def primary_lost(scene: ClusterScene, system: Patroni) -> str:
    """Kill everything on the machine of the primary; its place is free when its lease ends."""
    primary = await system.primary()
    await scene.load()
    outage = scene.begin_outage()
    send(signal.SIGKILL, [*primary.patroni(), *primary.postgres(), *primary.etcd()])
    await scene.until_over(outage)
    await scene.finish()
    return f"{primary.name}, then {(await system.primary()).name}"


async def primary_stopped(scene: ClusterScene, system: Patroni) -> str:
    """Stop the PostgreSQL of the primary, or everything on its machine, with SIGSTOP, and let it go on."""
    primary = await system.primary()
    is_whole = scene.random.random() < 0.5
    seconds = scene.random.uniform(1, TTL + 10)
    stopped: list[int] = []

    def stop() -> None:
        stopped.extend([*primary.postgres(), *(primary.patroni() + primary.etcd() if is_whole else [])])
        send(signal.SIGSTOP, stopped)

    await scene.break_for(seconds, stop, lambda: send(signal.SIGCONT, stopped))
    return f"{'the machine' if is_whole else 'PostgreSQL'} for {seconds:.1f} s"


async def primary_cut(scene: ClusterScene, system: Patroni) -> str:
    """Cut the machine of the primary off from all others, for less or for more than the time of its lease."""
    primary = await system.primary()
    seconds = scene.random.uniform(1, TTL + 10)
    await scene.break_for(seconds, primary.machine.cut, primary.machine.mend)
    return f"for {seconds:.1f} s"


async def primary_stale(scene: ClusterScene, system: Patroni) -> str:
    """Stop the Patroni of the primary: another node becomes the primary, and this one does not know."""
    primary = await system.primary()
    await scene.load()
    send(signal.SIGSTOP, primary.patroni())
    await system.until_another_is_primary(primary)
    outage = scene.begin_outage()
    await scene.until_over(outage)
    await scene.until_said(1)
    send(signal.SIGCONT, primary.patroni())
    await scene.finish()
    return f"{primary.name} beside {(await system.primary()).name}"


async def standby_killed(scene: ClusterScene, system: Patroni) -> str:
    """Kill a standby: its PostgreSQL, or everything on its machine."""
    standby = scene.random.choice(await system.standbys())
    is_whole = scene.random.random() < 0.5
    await scene.load()
    outage = scene.begin_outage()
    send(signal.SIGKILL, [*standby.postgres(), *(standby.patroni() + standby.etcd() if is_whole else [])])
    await scene.until_over(outage)
    await scene.finish()
    return "the machine" if is_whole else "PostgreSQL"


async def standby_stopped(scene: ClusterScene, system: Patroni) -> str:
    """Stop a standby with SIGSTOP, and let it go on."""
    standby = scene.random.choice(await system.standbys())
    seconds = scene.random.uniform(1, STANDBY_SECONDS)
    await scene.break_for(
        seconds, lambda: send(signal.SIGSTOP, standby.postgres()), lambda: send(signal.SIGCONT, standby.postgres())
    )
    return f"for {seconds:.1f} s"


async def standby_cut(scene: ClusterScene, system: Patroni) -> str:
    """Cut the machine of a standby off from all others."""
    standby = scene.random.choice(await system.standbys())
    seconds = scene.random.uniform(1, STANDBY_SECONDS)
    await scene.break_for(seconds, standby.machine.cut, standby.machine.mend)
    return f"for {seconds:.1f} s"


async def etcd_killed(scene: ClusterScene, system: Patroni) -> str:
    """Kill a member of etcd, which may be that of the primary's machine, or etcd's leader."""
    node = scene.random.choice(system.nodes)
    await scene.load()
    outage = scene.begin_outage()
    send(signal.SIGKILL, node.etcd())
    await scene.until_over(outage)
    await scene.finish()
    return node.name


async def disk_full(scene: ClusterScene, system: Patroni) -> str:
    """Fill the disk of the primary for a while."""
    primary = await system.primary()
    seconds = scene.random.uniform(1, FULL_SECONDS)
    await scene.break_for(seconds, primary.fill_disk, primary.empty_disk)
    now = await system.primary()
    return f"for {seconds:.1f} s, then {'the same' if now is primary else 'another'} primary"


FAULTS: Final[dict[str, Callable[[ClusterScene, Patroni], Awaitable[str]]]] = {
    "server-killed": lambda scene, _: faults.server_killed(scene),
    "server-stopped": lambda scene, _: faults.server_stopped(scene),
    "server-cut": lambda scene, _: faults.server_cut(scene),
    "primary-killed": primary_killed,
    "primary-lost": primary_lost,
    "primary-stopped": primary_stopped,
    "primary-cut": primary_cut,
    "primary-stale": primary_stale,
    "standby-killed": standby_killed,
    "standby-stopped": standby_stopped,
    "standby-cut": standby_cut,
    "etcd-killed": etcd_killed,
    "primary-disk-full": disk_full,
}

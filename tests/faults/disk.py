"""The disk is full, or the file is locked, gone, damaged, read-only or in use."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .scene import Scene
from .server import Refused, Server

BEFORE: Final = 300
"""Messages that are acked before a fault, and after it."""

HOLD_SECONDS: Final = 1.0
"""Seconds that a fault lasts at most."""

PATIENCE: Final = 5.0
"""Seconds for which the server waits for another program that has locked its file."""

TINY: Final = 6 * 2**20
"""Bytes of the disk that is filled."""

PAGE: Final = 4096
"""Bytes of a page of the database."""


async def disk_full(scene: Scene) -> str:
    """Fill the disk: by a limit on the size of files or, as root, on a small disk of its own."""
    if scene.random.random() < 0.5 or os.geteuid() != 0:
        await _begin(scene)
        limits = resource.prlimit(scene.server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(scene.server.pid, resource.RLIMIT_FSIZE, (_largest(scene.server), limits[1]))
        await _while_nothing_is_kept(scene)
        resource.prlimit(scene.server.pid, resource.RLIMIT_FSIZE, limits)
        await _afterwards(scene)
        return "by a limit on the size of files"
    with _small_disk(scene) as disk:
        await _begin(scene)
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while _write(file.fileno(), bytes(PAGE)):
                pass
        await _while_nothing_is_kept(scene)
        ballast.unlink()
        await _afterwards(scene)
        await scene.close()
    return "a real disk"


def _largest(server: Server) -> int:
    """Return the size of the server's largest file, as a limit with which no file can grow."""
    return max(path.stat().st_size for path in server.database.parent.glob("chat.sqlite*"))


def _write(file: int, data: bytes) -> bool:
    try:
        return os.write(file, data) > 0
    except OSError:
        return False


@contextmanager
def _small_disk(scene: Scene) -> Iterator[Path]:
    """Mount a small disk in memory for the database of the round. This needs root."""
    disk = scene.folder / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={TINY}", "tmpfs", str(disk))
    try:
        scene.server = Server(disk)
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


async def _begin(scene: Scene, rooms: int = 2) -> None:
    """Start the server, and let people talk."""
    await scene.server.start()
    scene.crowd(4, 8, rooms)
    await scene.until_all_are_in()
    scene.talk()
    await scene.until_said(BEFORE)


async def _while_nothing_is_kept(scene: Scene) -> None:
    """Wait until messages are refused; then let somebody join and read, and wait a little longer."""
    before = scene.refusals()
    await scene.until(lambda: scene.refusals() > before, "messages were refused as unavailable")
    newcomer = scene.come("newcomer", scene.rooms(1), since=0)
    await scene.until(newcomer.is_in, "somebody joined while nothing could be kept")
    await asyncio.sleep(scene.random.random() * HOLD_SECONDS)


async def _afterwards(scene: Scene) -> None:
    """Check that everything works without a restart, and that everything is there after one."""
    await scene.until_said(BEFORE)
    if not scene.server.said("does not work now"):
        scene.broken.append("the server's log does not say what was wrong")
    await scene.settle()
    await scene.server.kill()
    await scene.server.start()
    await scene.until_all_are_in()
    await scene.judge()


async def file_locked(scene: Scene) -> str:
    """Another program locks the file, for a moment or for longer than the server waits."""
    await _begin(scene)
    seconds = scene.random.choice((*(3 * [HOLD_SECONDS]), PATIENCE + 2)) * scene.random.uniform(0.8, 1.0)
    other = sqlite3.connect(scene.server.database, isolation_level=None)
    other.execute("PRAGMA busy_timeout = 5000")
    other.execute("BEGIN EXCLUSIVE")
    if seconds > PATIENCE:
        await _while_nothing_is_kept(scene)
    else:
        await asyncio.sleep(seconds)
    other.execute("ROLLBACK")
    other.close()
    if seconds < PATIENCE and scene.refusals():
        scene.broken.append(f"the file was locked for only {seconds:.1f} s, and messages were refused")
    await scene.until_said(BEFORE)
    await scene.judge()
    return f"for {seconds:.1f} s"


async def file_replaced(scene: Scene) -> str:
    """Move the file away, with or without another one in its place, and put it back."""
    await _begin(scene)
    path = scene.server.database
    aside = path.with_name("aside")
    path.rename(aside)
    other = scene.random.choice((None, b"", b"something else"))
    if other is not None:
        path.write_bytes(other)
    await _while_nothing_is_kept(scene)
    aside.rename(path)
    await _afterwards(scene)
    return "by nothing" if other is None else f"by {len(other)} bytes"


async def file_damaged(scene: Scene) -> str:
    """Overwrite parts of the file while the server is down, and restore it from a copy."""
    await _begin(scene, 1)
    await scene.until_said(5 * BEFORE)  # several pages of the server's
    await scene.settle()
    await scene.server.end()
    path = scene.server.database
    copy = shutil.copy(path, path.with_name("copy"))

    _damage(scene, path, 0)
    await _must_be_refused(scene.server, "not an SQLite database|damaged")

    shutil.copy(copy, path)
    pages = path.stat().st_size // PAGE
    for _ in range(scene.random.randint(1, 5)):
        _damage(scene, path, scene.random.randrange(1, pages))
    shown = await _read_what_is_left(scene)

    shutil.copy(copy, path)
    for name in ("chat.sqlite-wal", "chat.sqlite-shm"):
        path.with_name(name).unlink(missing_ok=True)
    await scene.server.start()
    await scene.until_all_are_in()
    await scene.judge()
    return f"of {pages} pages; {shown} messages could be read meanwhile"


def _damage(scene: Scene, path: Path, page: int) -> None:
    """Write random bytes over a page: no valid text, which SQLite could not detect, since it has no checksums."""
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(scene.random.randbytes(PAGE))


async def _read_what_is_left(scene: Scene) -> int:
    """Read a damaged log: it has to be the log as far as it goes, with nothing left out."""
    (history,) = scene.rooms(1)
    whole = sorted(history.log)
    try:
        await scene.server.start()
    except Refused as refused:
        _must_be_clear(scene.server, str(refused), "damaged")
        return 0
    newcomer = scene.come("reader-of-the-rest", [history], since=0)
    seqs = newcomer.readings[history.room].seqs
    await asyncio.sleep(HOLD_SECONDS)
    if list(seqs) != whole[: len(seqs)]:
        scene.broken.append(f"a damaged log was read with other messages, or with some left out: {list(seqs)}")
    if len(seqs) < len(whole) and not scene.server.said("does not work now.*damaged"):
        scene.broken.append("a damaged log could not be read to its end, and the server's log does not say why")
    await scene.server.kill()
    return len(seqs)


async def file_read_only(scene: Scene) -> str:
    """Start the server on a file that it may not write to."""
    path = scene.server.database
    if os.geteuid() != 0:
        await _begin(scene)
        await scene.settle()
        await scene.server.end()
        path.chmod(0o444)
        await _must_be_refused(scene.server, f"may not write to '{path}'")
        path.chmod(0o644)
        await scene.server.start()
        await scene.until_all_are_in()
        await scene.judge()
        return "by its permissions"
    with _small_disk(scene) as disk:
        await _begin(scene)
        await scene.settle()
        await scene.server.end()
        _mount("-o", "remount,ro", str(disk))
        await _must_be_refused(scene.server, f"may not write to '{disk}'")
        _mount("-o", "remount,rw", str(disk))
        await scene.server.start()
        await scene.until_all_are_in()
        await scene.judge()
        await scene.close()
    return "since its disk is"


async def second_server(scene: Scene) -> str:
    """Start another server on the same file."""
    await _begin(scene)
    await _must_be_refused(Server(scene.folder), "is in use by another server")
    await scene.until_said(BEFORE)
    await scene.judge()
    return "refused"


async def _must_be_refused(server: Server, why: str) -> None:
    """Start a server that has to refuse, and to say why."""
    try:
        await server.start()
    except Refused as refused:
        _must_be_clear(server, str(refused), why)
    else:
        await server.kill()
        raise AssertionError(f"the server started, and should have said '{why}'")


def _must_be_clear(server: Server, said: str, why: str) -> None:
    if "Traceback" in said or not server.said(why):
        raise AssertionError(f"the server did not say '{why}', but: {said}")

"""The disk is full, and the file is locked, gone, damaged, read-only or in use."""

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

from .round import Round
from .server import Refused, Server

BEFORE: Final = 300
"""Messages that are acked before something breaks, and after it is mended."""

HOLD_SECONDS: Final = 1.0
"""How long a fault lasts at most."""

PATIENCE: Final = 5.0
"""Seconds for which the server waits for another program that writes to its file."""

TINY: Final = 6 * 2**20
"""Bytes of a disk that is filled."""

PAGE: Final = 4096
"""Bytes of a page of the database."""


async def disk_full(round: Round) -> str:
    """The disk takes no more for a while: by a limit on the size of files and, for root, on a small disk of its own."""
    if round.random.random() < 0.5 or os.geteuid() != 0:
        await _begin(round)
        limits = resource.prlimit(round.server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(round.server.pid, resource.RLIMIT_FSIZE, (_largest(round.server), limits[1]))
        await _while_nothing_is_kept(round)
        resource.prlimit(round.server.pid, resource.RLIMIT_FSIZE, limits)
        await _afterwards(round)
        return "by a limit on the size of files"
    with _small_disk(round) as disk:
        await _begin(round)
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while _write(file.fileno(), bytes(PAGE)):
                pass
        await _while_nothing_is_kept(round)
        ballast.unlink()
        await _afterwards(round)
        await round.close()
    return "a real disk"


def _largest(server: Server) -> int:
    """Tell how large the largest file of a server is: its limit, so that none can grow."""
    return max(path.stat().st_size for path in server.database.parent.glob("chat.sqlite*"))


def _write(file: int, data: bytes) -> bool:
    try:
        return os.write(file, data) > 0
    except OSError:
        return False


@contextmanager
def _small_disk(round: Round) -> Iterator[Path]:
    """Mount a small disk of memory, with the round's database on it. For root."""
    disk = round.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TINY}", "tmpfs", disk], check=True)
    try:
        round.server = Server(disk)
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


async def _begin(round: Round, rooms: int = 2) -> None:
    """Start, and let people talk."""
    await round.server.start()
    round.crowd(4, 8, rooms)
    await round.until_all_are_in()
    round.talk()
    await round.until_said(BEFORE)


async def _while_nothing_is_kept(round: Round) -> None:
    """Wait until people are told; then, some time later, somebody comes and reads what there is."""
    before = round.refusals()
    await round.until(lambda: round.refusals() > before, "people were told that it is unavailable")
    newcomer = round.come("newcomer", round.rooms(1), since=0)
    await round.until(newcomer.is_in, "one can join while nothing can be kept")
    await asyncio.sleep(round.random.random() * HOLD_SECONDS)


async def _afterwards(round: Round) -> None:
    """See that all is well without a restart, and that all is there after one."""
    await round.until_said(BEFORE)
    if not round.server.said("does not work now"):
        round.broken.append("the server's log does not say what was wrong")
    await round.settle()
    await round.server.kill()
    await round.server.start()
    await round.until_all_are_in()
    await round.judge()


async def file_locked(round: Round) -> str:
    """Another program holds the file, for a moment or longer than the server waits."""
    await _begin(round)
    seconds = round.random.choice((*(3 * [HOLD_SECONDS]), PATIENCE + 2)) * round.random.uniform(0.8, 1.0)
    other = sqlite3.connect(round.server.database, isolation_level=None)
    other.execute("PRAGMA busy_timeout = 5000")
    other.execute("BEGIN EXCLUSIVE")
    if seconds > PATIENCE:
        await _while_nothing_is_kept(round)
    else:
        await asyncio.sleep(seconds)
    other.execute("ROLLBACK")
    other.close()
    if seconds < PATIENCE and round.refusals():
        round.broken.append(f"the file was held for {seconds:.1f} s, and people were told that it is unavailable")
    await round.until_said(BEFORE)
    await round.judge()
    return f"for {seconds:.1f} s"


async def file_replaced(round: Round) -> str:
    """The file is moved away, with and without another one in its place, and put back."""
    await _begin(round)
    path = round.server.database
    aside = path.with_name("aside")
    path.rename(aside)
    other = round.random.choice((None, b"", b"something else"))
    if other is not None:
        path.write_bytes(other)
    await _while_nothing_is_kept(round)
    aside.rename(path)
    await _afterwards(round)
    return "by nothing" if other is None else f"by {len(other)} bytes"


async def file_damaged(round: Round) -> str:
    """Bytes of the file turn into others while the server is down, and it is mended from a copy."""
    await _begin(round, 1)
    await round.settle()
    await round.server.end()
    path = round.server.database
    copy = shutil.copy(path, path.with_name("copy"))

    _damage(round, path, 0)
    await _must_be_refused(round.server, "no SQLite database|damaged")

    shutil.copy(copy, path)
    pages = path.stat().st_size // PAGE
    for _ in range(round.random.randint(1, 5)):
        _damage(round, path, round.random.randrange(1, pages))
    shown = await _read_what_is_left(round)

    shutil.copy(copy, path)
    for name in ("chat.sqlite-wal", "chat.sqlite-shm"):
        path.with_name(name).unlink(missing_ok=True)
    await round.server.start()
    await round.until_all_are_in()
    await round.judge()
    return f"of {pages} pages; {shown} messages could be read meanwhile"


def _damage(round: Round, path: Path, page: int) -> None:
    """Write rubbish over a page."""
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(round.random.choice((bytes(PAGE), round.random.randbytes(PAGE))))


async def _read_what_is_left(round: Round) -> int:
    """Read a damaged log: as far as it goes it must be the log, and nothing may be left out of it."""
    (history,) = round.rooms(1)
    whole = sorted(history.log)
    try:
        await round.server.start()
    except Refused as refused:
        _must_be_clear(round.server, str(refused), "damaged")
        return 0
    newcomer = round.come("reader-of-the-rest", [history], since=0)
    seqs = newcomer.readings[history.room].seqs
    await asyncio.sleep(HOLD_SECONDS)
    if list(seqs) != whole[: len(seqs)]:
        round.broken.append(f"of a damaged log, others were shown than are in it, or some were left out: {list(seqs)}")
    if len(seqs) < len(whole) and not round.server.said("does not work now.*damaged"):
        round.broken.append("a damaged log could not be read to its end, and the server's log does not say why")
    await round.server.kill()
    return len(seqs)


async def file_read_only(round: Round) -> str:
    """The file may not be written to when the server starts."""
    path = round.server.database
    if os.geteuid() != 0:
        await _begin(round)
        await round.settle()
        await round.server.end()
        path.chmod(0o444)
        await _must_be_refused(round.server, f"may not write to '{path}'")
        path.chmod(0o644)
        await round.server.start()
        await round.until_all_are_in()
        await round.judge()
        return "by its permissions"
    with _small_disk(round) as disk:
        await _begin(round)
        await round.settle()
        await round.server.end()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        await _must_be_refused(round.server, f"may not write to '{disk}'")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        await round.server.start()
        await round.until_all_are_in()
        await round.judge()
        await round.close()
    return "since its disk is"


async def second_server(round: Round) -> str:
    """Another server is started on the same file."""
    await _begin(round)
    await _must_be_refused(Server(round.folder), "is in use by another server")
    await round.until_said(BEFORE)
    await round.judge()
    return "refused"


async def _must_be_refused(server: Server, why: str) -> None:
    """Start a server that must not start, and must say why."""
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

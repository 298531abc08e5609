"""The memory allocator of glibc, which keeps freed memory unless it is told otherwise.

glibc takes large blocks from the system one by one, and gives each back when it is freed. But whenever one of up to
32 MiB is freed, it raises the size from which it does so to that of the block (`M_MMAP_THRESHOLD` in mallopt(3)). The
first hash of a password, for which argon2 takes 19 MiB, raised it for good: from then on hashes, pages of history and
buffers came from the heaps. Each of the two threads for passwords kept 19 MiB, and up to 38 MiB of what connections had
needed stayed in the heap of the reactor. A server with 346 users took 96 MB instead of 58 MB, and 125 MB instead of
82 MB after four minutes of attacks.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

MMAP_BYTES: Final = 2**17
"""The size of a block from which it is taken from the system, and given back, alone: glibc's own size at its start."""

TRIM_BYTES: Final = 2**20
"""The free bytes at the end of the heap from which they are given back. With glibc's 128 KiB the answers of one turn
would be taken and given back in each turn."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def give_back_freed_memory() -> bool:
    """Let glibc give freed memory back for as long as the process lives. False where it has another C library."""
    if not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, TRIM_BYTES))


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except ValueError:  # this system knows no such name
        return False

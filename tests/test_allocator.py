"""Freed memory goes back to the system, where the C library is glibc."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat import allocator
from twisted_chat.allocator import MMAP_BYTES, TRIM_BYTES, give_back_freed_memory

from .faults.server import ROOT

PROGRAM = f"""
import ctypes, sys
from twisted_chat.allocator import give_back_freed_memory

libc = ctypes.CDLL(None)

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
    )]

libc.mallinfo.restype = Info
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def is_alone(size):
    before = libc.mallinfo().hblks
    block = libc.malloc(size)
    number = libc.mallinfo().hblks - before
    libc.free(block)
    return number

blocks = (ctypes.c_void_p * 128)()

def kept(size):
    before = libc.mallinfo().arena
    for number in range(len(blocks)):
        blocks[number] = libc.malloc(size)
    for block in blocks:
        libc.free(block)
    return libc.mallinfo().arena - before

if sys.argv[1] == "yes":
    assert give_back_freed_memory()
libc.free(libc.malloc(2**24))  # as large as what a hash of a password takes
print(is_alone({MMAP_BYTES}), int(kept(2**16) > {2 * TRIM_BYTES}))
"""
"""Allocates and frees, and prints whether a block is taken from the system alone, and whether others are kept."""


class GlibcTests(SynchronousTestCase):
    if not allocator._is_glibc():
        skip = "this system has another C library"

    def allocate(self, is_told: str) -> str:
        # what measures the coverage of a process allocates memory at any time, also above the blocks
        others = "MALLOC_", "GLIBC_", "COVERAGE_"
        environ = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        command = [sys.executable, "-c", PROGRAM, is_told]
        return subprocess.run(
            command, env={**environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True
        ).stdout.strip()

    def test_large_blocks_and_the_end_of_the_heap_are_given_back_after_a_larger_block(self) -> None:
        self.assertEqual(self.allocate("yes"), "1 0")

    def test_by_itself_glibc_keeps_both(self) -> None:
        self.assertEqual(self.allocate("no"), "0 1", "the module is not needed any more")


class OtherLibraryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(ctypes, "CDLL", lambda name: self.fail("nothing may be called"))

    def test_another_library_is_left_alone(self) -> None:
        self.patch(os, "confstr", lambda name: None)
        self.assertFalse(give_back_freed_memory())

    def test_a_system_that_does_not_know_the_name_of_the_library_is_left_alone(self) -> None:
        def confstr(name: str) -> str:
            raise ValueError("unrecognized configuration name")

        self.patch(os, "confstr", confstr)
        self.assertFalse(give_back_freed_memory())

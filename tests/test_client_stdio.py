"""Reading and writing descriptors that are shared with other programs."""

from __future__ import annotations

import contextlib
import errno
import os
import termios
from queue import Queue
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_chat.client.program.stdio import HIGH, WRITE, Input, Output, without_echo

from .programs import TIMEOUT, folder, reactor_turn


def soon(deferred: Deferred[Any]) -> Deferred[Any]:
    return deferred.addTimeout(TIMEOUT, reactor)


class Pipe:
    """A pipe whose ends are closed after the test."""

    def __init__(self, test: TestCase) -> None:
        self.reader, self.writer = os.pipe()
        self._open = [self.reader, self.writer]
        test.addCleanup(self.close, *self._open)

    def close(self, *ends: int) -> None:
        for end in ends:
            if end in self._open:
                self._open.remove(end)
                os.close(end)


class InputTests(TestCase):
    def setUp(self) -> None:
        self.pipe = Pipe(self)
        self.chunks: DeferredQueue[bytes] = DeferredQueue()
        self.ended: Deferred[OSError | None] = Deferred()

    def open(self, descriptor: int) -> Input:
        source = Input(reactor, descriptor, self.chunks.put, self.ended.callback)
        self.addCleanup(source.close)
        return source

    async def test_chunks_come_in_order_and_then_the_end(self) -> None:
        self.open(self.pipe.reader)
        for data in (b"a\n", b"b"):
            os.write(self.pipe.writer, data)
            self.assertEqual(await soon(self.chunks.get()), data)
        self.pipe.close(self.pipe.writer)
        self.assertIsNone(await soon(self.ended))

    async def test_nothing_is_made_non_blocking(self) -> None:
        self.open(self.pipe.reader)
        os.write(self.pipe.writer, b"a")
        await soon(self.chunks.get())
        self.assertTrue(os.get_blocking(self.pipe.reader))

    async def test_what_another_program_took_first_is_waited_for(self) -> None:
        taken: list[bytes] = []

        def read(descriptor: int, size: int) -> bytes:
            if not taken:
                taken.append(os.read(descriptor, 1))  # by another program, to which the pipe is non-blocking
                raise BlockingIOError
            return os.read(descriptor, size)

        source = Input(reactor, self.pipe.reader, self.chunks.put, self.ended.callback, read)
        self.addCleanup(source.close)
        os.write(self.pipe.writer, b"ab")
        self.assertEqual((await soon(self.chunks.get()), taken), (b"b", [b"a"]))

    async def test_while_it_is_paused_at_most_one_chunk_is_read_ahead(self) -> None:
        source = self.open(self.pipe.reader)
        source.pause()
        source.resume()
        source.pause()
        os.write(self.pipe.writer, b"a")
        self.assertEqual(await soon(self.chunks.get()), b"a")
        await reactor_turn()  # until it has asked for more
        os.write(self.pipe.writer, b"b")
        self.assertEqual(os.read(self.pipe.reader, 1), b"b", "another program can have it")
        os.write(self.pipe.writer, b"c")
        source.resume()
        self.assertEqual(await soon(self.chunks.get()), b"c")

    async def test_after_closing_what_comes_is_left_to_others(self) -> None:
        source = self.open(self.pipe.reader)
        source.close()
        os.write(self.pipe.writer, b"a")
        self.assertEqual(os.read(self.pipe.reader, 1), b"a")
        self.assertFalse(self.ended.called)

    def test_a_chunk_that_is_under_way_when_it_is_closed_is_dropped(self) -> None:
        calls: Queue[tuple[Any, ...]] = Queue()

        class Later:
            def callFromThread(self, *call: Any) -> None:
                calls.put(call)

        source = Input(Later(), self.pipe.reader, self.chunks.put, self.ended.callback)
        os.write(self.pipe.writer, b"a")
        function, *arguments = calls.get(timeout=TIMEOUT)
        source.close()
        function(*arguments)
        function, *arguments = calls.get(timeout=TIMEOUT)
        function(*arguments)
        self.assertEqual((self.chunks.pending, self.ended.called), ([], False))

    async def test_a_folder_ends_it_with_the_reason(self) -> None:
        folder = os.open(".", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        self.open(folder)
        error = await soon(self.ended)
        assert error is not None
        self.assertEqual(error.errno, errno.EISDIR)

    async def test_a_terminal_that_is_gone_is_the_end(self) -> None:
        window, terminal = os.openpty()
        self.addCleanup(os.close, terminal)
        os.close(window)
        self.open(terminal)
        self.assertIsNone(await soon(self.ended))


class OutputTests(TestCase):
    def setUp(self) -> None:
        self.pipe = Pipe(self)
        self.space: DeferredQueue[None] = DeferredQueue()
        self.ended: Deferred[OSError | None] = Deferred()

    def open(self, descriptor: int) -> Output:
        output = Output(reactor, descriptor, lambda: self.space.put(None), self.ended.callback)
        self.addCleanup(output.abandon)
        return output

    async def test_lines_are_written_in_order_and_then_it_ends(self) -> None:
        output = self.open(self.pipe.writer)
        for number in range(1000):
            output.write(b"%d\n" % number)
        output.close()
        output.write(b"too late\n")
        self.assertIsNone(await soon(self.ended))
        self.assertEqual(os.read(self.pipe.reader, HIGH), b"".join(b"%d\n" % number for number in range(1000)))
        self.assertTrue(os.get_blocking(self.pipe.writer))

    async def test_whole_lines_are_written_at_once(self) -> None:
        """A pipe in packet mode keeps the writes apart."""
        reader, writer = os.pipe2(os.O_DIRECT)
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        output = self.open(writer)
        lines = [b"x" * (WRITE // 3) + b"\n" for _ in range(6)]
        for line in lines:
            output.write(line)
        output.close()
        self.assertIsNone(await soon(self.ended))
        while lines:
            packet = os.read(reader, HIGH)
            self.assertLessEqual(len(packet), WRITE)
            self.assertEqual(packet, b"".join(lines[: packet.count(b"\n")]))
            del lines[: packet.count(b"\n")]

    async def test_it_is_full_until_its_reader_has_read(self) -> None:
        os.set_blocking(self.pipe.writer, False)
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += os.write(self.pipe.writer, b"x" * HIGH)
        os.set_blocking(self.pipe.writer, True)
        output = self.open(self.pipe.writer)
        for _ in range(3 * HIGH // WRITE):
            output.write(b"x" * (WRITE - 1) + b"\n")
        self.assertTrue(output.full)
        self.assertEqual(self.space.pending, [])
        for most in (filled + 2 * HIGH, HIGH):
            while most > 0:
                most -= len(os.read(self.pipe.reader, most))
            if output.full:
                await soon(self.space.get())
            self.assertFalse(output.full)
        output.close()
        self.assertIsNone(await soon(self.ended))

    async def test_a_pipe_that_somebody_made_non_blocking_is_waited_for(self) -> None:
        os.set_blocking(self.pipe.writer, False)
        output = self.open(self.pipe.writer)
        data = b"x" * (3 * HIGH) + b"\n"
        output.write(data)
        output.close()
        read = b""
        while len(read) < len(data):
            read += os.read(self.pipe.reader, HIGH)
        self.assertIsNone(await soon(self.ended))
        self.assertEqual(read, data)

    async def test_it_ends_when_its_reader_is_gone_though_nothing_is_written(self) -> None:
        self.open(self.pipe.writer)
        self.pipe.close(self.pipe.reader)
        self.assertIsInstance(await soon(self.ended), BrokenPipeError)

    async def test_it_ends_when_its_reader_is_gone_while_it_writes(self) -> None:
        output = self.open(self.pipe.writer)
        for _ in range(3):
            output.write(b"x" * HIGH)
        self.assertEqual(len(os.read(self.pipe.reader, 1)), 1)
        self.pipe.close(self.pipe.reader)
        self.assertIsInstance(await soon(self.ended), BrokenPipeError)
        self.assertFalse(output.full)

    async def test_a_device_that_is_full_ends_it_with_the_reason(self) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        self.open(full).write(b"x\n")
        error = await soon(self.ended)
        assert error is not None
        self.assertEqual(error.errno, errno.ENOSPC)

    async def test_a_file_is_written_too(self) -> None:
        path = folder(self) / "output"
        file = os.open(path, os.O_CREAT | os.O_WRONLY)
        self.addCleanup(os.close, file)
        output = self.open(file)
        output.write(b"x\n")
        output.close()
        self.assertIsNone(await soon(self.ended))
        self.assertEqual(path.read_bytes(), b"x\n")

    async def test_a_descriptor_that_cannot_be_watched_is_written_to(self) -> None:
        closed = 900  # no descriptor has so high a number here
        output = self.open(closed)
        output.write(b"x\n")
        error = await soon(self.ended)
        assert error is not None
        self.assertEqual(error.errno, errno.EBADF)

    async def test_a_crowd_of_wake_ups_does_not_block(self) -> None:
        output = self.open(self.pipe.writer)
        for _ in range(3):
            output.write(b"x" * HIGH)  # the thread is stuck with it
        for _ in range(2 * HIGH):
            output.write(b"")
        output.abandon()
        self.assertIsNone(await soon(self.ended))

    async def test_what_is_stuck_can_be_abandoned(self) -> None:
        output = self.open(self.pipe.writer)
        for _ in range(3):
            output.write(b"x" * HIGH)
        output.abandon()
        self.assertIsNone(await soon(self.ended))
        self.assertFalse(output.full)


class EchoTests(SynchronousTestCase):
    def echoes(self, descriptor: int) -> bool:
        return bool(termios.tcgetattr(descriptor)[3] & termios.ECHO)

    def test_a_terminal_does_not_show_what_is_typed_as_a_password(self) -> None:
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        before = termios.tcgetattr(slave)
        with self.assertRaises(KeyboardInterrupt), without_echo(slave):
            self.assertFalse(self.echoes(slave))
            raise KeyboardInterrupt
        self.assertEqual(termios.tcgetattr(slave), before)

    def test_a_pipe_shows_nothing_anyway(self) -> None:
        with open(os.devnull) as file, without_echo(file.fileno()):
            pass

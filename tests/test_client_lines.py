"""Standard streams as lines."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.program.lines import MAX_LINE, MAX_LINES, Lines

from .client_fakes import result
from .client_streams import FakeStreams


class LinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines = Lines()
        self.streams = FakeStreams(self.lines)

    def read(self, count: int) -> list[str | None]:
        return [result(self.lines.read()) for _ in range(count)]

    def waits(self, doing: Any) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred.fromCoroutine(doing)
        self.assertNoResult(waiting)
        return waiting

    def test_lines_come_whole_in_order_and_then_the_end(self) -> None:
        self.lines.received("а\r\n\nb".encode())
        self.lines.received(b"c\nd")
        self.lines.input_has_ended(None)
        self.assertEqual(self.read(5), ["а", "", "bc", "d", None])

    def test_the_end_may_come_with_the_last_line_end(self) -> None:
        waiting = self.lines.read()
        self.lines.received(b"a\n")
        self.lines.input_has_ended(None)
        self.assertEqual([result(waiting), *self.read(1)], ["a", None])

    def test_bytes_that_are_not_utf_8_are_replaced(self) -> None:
        self.lines.received(b"a\xffb\n")
        self.assertEqual(self.read(1), ["a\ufffdb"])

    def test_another_encoding_is_read_and_written_too(self) -> None:
        self.lines = Lines("latin-1")
        self.streams = FakeStreams(self.lines)
        self.lines.received("Grüße\nü".encode("latin-1"))
        self.lines.input_has_ended(None)
        self.assertEqual(self.read(3), ["Grüße", "ü", None])
        self.lines.write("Grüße €")
        self.lines.complain("ü")
        written = [stream.data for stream in (self.streams.output, self.streams.errors)]
        self.assertEqual(written, [b"Gr\xfc\xdfe \\u20ac\n", b"\xfc\n"])

    def test_a_line_without_an_end_takes_a_bounded_memory(self) -> None:
        for _ in range(100):
            self.lines.received(b"x" * 10_000)
        self.lines.received(b"x\ny\n")
        self.assertEqual([len(line or "") for line in self.read(2)], [MAX_LINE, 1])

    def test_input_waits_until_its_lines_are_taken(self) -> None:
        self.lines.received(b"x\n" * MAX_LINES)
        self.assertTrue(self.streams.paused)
        self.lines.received(b"y\n")
        self.assertEqual(self.lines.unread, MAX_LINES + 1)
        self.read(MAX_LINES)
        self.assertTrue(self.streams.paused)
        self.read(1)
        self.assertFalse(self.streams.paused)

    def test_the_reason_is_kept_where_input_cannot_be_read(self) -> None:
        error = IsADirectoryError(21, "Is a directory")
        self.lines.input_has_ended(error)
        self.assertEqual((self.read(1), self.lines.input_error), ([None], error))

    def test_a_writer_waits_while_an_output_is_full(self) -> None:
        self.assertIsNone(result(Deferred.fromCoroutine(self.lines.writable())))
        for output in (self.streams.output, self.streams.errors):
            output.full = True
            waiting = self.waits(self.lines.writable())
            output.full = False
            self.lines.has_space()
            self.assertIsNone(result(waiting))

    def test_nobody_waits_for_an_output_that_has_ended(self) -> None:
        for number, ended in enumerate((self.lines.output_has_ended, self.lines.errors_have_ended)):
            self.streams.output.full = True
            waiting = self.waits(self.lines.writable())
            ended(BrokenPipeError())
            self.assertIsNone(result(waiting), number)

    def test_what_cannot_be_encoded_is_escaped(self) -> None:
        self.lines.write("a\ud800b")
        self.lines.complain("c")
        self.assertEqual((self.streams.output.data, self.streams.errors.data), (b"a\\ud800b\n", b"c\n"))

    def test_closing_waits_for_output_and_then_for_errors(self) -> None:
        for output in (self.streams.output, self.streams.errors):
            output.stuck = True
        closing = self.waits(self.lines.close())
        self.assertTrue(self.streams.closed)
        self.assertFalse(self.streams.errors.closed)
        self.lines.complain("the last words")
        self.streams.output.flush()
        self.assertNoResult(closing)
        self.streams.errors.flush()
        self.assertIsNone(result(closing))
        self.assertEqual(self.streams.errors.data, b"the last words\n")

    def test_abandoning_waits_for_nothing(self) -> None:
        self.streams.output.stuck = True
        closing = self.waits(self.lines.close())
        self.lines.abandon()
        self.assertIsNone(result(closing))
        self.assertIsNone(cast(object, result(self.lines.output_ended)))

"""The lines of a stream, and the objects in them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.protocol.lines import MAX_LINE, EndlessLineError, LineReader


class LineReaderTests(SynchronousTestCase):
    """Both libraries read their streams with it."""

    def setUp(self) -> None:
        self.reader = LineReader()

    def test_an_object_is_read_when_its_line_ends(self) -> None:
        self.assertEqual(self.reader.received(b'{"a":1}'), [])
        self.assertEqual(self.reader.received(b"\n"), [{"a": 1}])

    def test_a_line_may_come_in_any_pieces(self) -> None:
        lines = b'{"a":1}\r\n{"b":"\xc3\xa4"}\n'
        read = [self.reader.received(lines[at : at + 1]) for at in range(len(lines))]
        self.assertEqual([obj for objects in read for obj in objects], [{"a": 1}, {"b": "ä"}])

    def test_several_lines_may_come_at_once(self) -> None:
        self.assertEqual(self.reader.received(b'{"a":1}\n{"b":2}\n{"c"'), [{"a": 1}, {"b": 2}])
        self.assertEqual(self.reader.received(b":3}\n"), [{"c": 3}])

    def test_lines_that_are_not_objects_are_ignored(self) -> None:
        self.assertEqual(self.reader.received(b'\n[1]\n{]}\n\xff\n{"a":1}\n'), [{"a": 1}])

    def test_a_line_of_the_maximum_length_is_read(self) -> None:
        line = b'{"a":"' + b"x" * (MAX_LINE - 8) + b'"}'
        self.assertEqual(self.reader.received(line), [])
        self.assertEqual(len(self.reader.received(b"\n")), 1)

    def test_a_longer_line_is_an_error(self) -> None:
        self.reader.received(b"x" * MAX_LINE)
        with self.assertRaisesRegex(EndlessLineError, "a line of more than 1,048,576 bytes"):
            self.reader.received(b"x")

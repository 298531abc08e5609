"""How each kind of wire writes what the rooms hold."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.encoding import LINES, THREE_FIELDS, object_of
from twisted_chat.log import DELETE, Record
from twisted_chat.messages import MAX_OBJECT, Error, Message, PingSent, Stop, encode_line
from twisted_chat.wire.udp.encoding import DATAGRAMS

RECORD = Record(7, 1_795_345_596_125, "alice", "hi")
ERROR = Error(code="full", msg="no room", author="server")


def fields(parts: tuple[bytes, ...]) -> list[list[Any]]:
    return [list(json.loads(part).values()) for part in parts]


class LinesTests(SynchronousTestCase):
    def test_a_message_is_a_line_with_its_number_and_its_time(self) -> None:
        obj = json.loads(LINES.message("lobby", RECORD))
        expected = {"msg": "hi", "author": "alice", "room": "lobby", "seq": 7, "time": "2026-11-22T11:06:36.125Z"}
        self.assertEqual(obj, {"type": "", **expected})

    def test_each_record_is_the_object_of_other_wires(self) -> None:
        """Most messages are made a line without `object_of`, for speed."""
        deleted = Record(7, RECORD.time, "alice", "", deleted=8)
        deletion = Record(8, RECORD.time, "alice", "", DELETE, 7)
        for room in "lobby", "@alice@bob":
            for record in RECORD, deleted, deletion:
                obj = object_of(room, record)
                assert obj
                self.assertEqual(LINES.message(room, record), encode_line(obj))
                whole, parts = LINES.messages(room, [RECORD, record])
                line = encode_line(obj)
                self.assertEqual(
                    (whole, list(parts())), (LINES.message(room, RECORD) + line, [whole[: -len(line)], line])
                )

    def test_records_without_an_object_have_empty_parts(self) -> None:
        whole, parts = LINES.messages("lobby", [RECORD, Record(8, 0, "alice", "", "edit", 7), RECORD])
        line = LINES.message("lobby", RECORD)
        self.assertEqual((whole, list(parts())), (2 * line, [line, b"", line]))

    def test_a_reply_is_a_line(self) -> None:
        self.assertEqual(LINES.reply(PingSent()), b'{"type":"ping"}\n')

    def test_lines_are_joined_and_counted_in_bytes(self) -> None:
        self.assertEqual((LINES.join([b"a\n", b"b\n"]), LINES.size(b"a\nb\n")), (b"a\nb\n", 4))


class ThreeFieldsTests(SynchronousTestCase):
    def test_messages_errors_and_the_end_have_three_fields(self) -> None:
        self.assertEqual(fields(THREE_FIELDS.message("lobby", RECORD)), [["", "hi", "alice"]])
        self.assertEqual(fields(THREE_FIELDS.reply(Message("psst", "bob", to="al"))), [["", "psst", "bob"]])
        self.assertEqual(fields(THREE_FIELDS.reply(ERROR)), [["error", "no room", "server"]])
        self.assertEqual(fields(THREE_FIELDS.reply(Stop(msg="why", author="server"))), [["stop", "", "server"]])

    def test_there_is_no_word_for_anything_else(self) -> None:
        self.assertEqual(THREE_FIELDS.reply(PingSent()), ())

    def test_a_long_message_takes_several_segments(self) -> None:
        part = THREE_FIELDS.message("lobby", Record(7, 0, "a" * 32, "x" * MAX_OBJECT))
        self.assertEqual("".join(text for _, text, _ in fields(part)), "x" * MAX_OBJECT)
        self.assertLessEqual(max(map(len, part)), MAX_OBJECT)
        self.assertEqual(THREE_FIELDS.size(part), sum(map(len, part)))

    def test_it_takes_no_more_segments_than_it_has_to(self) -> None:
        names = len(THREE_FIELDS.message("lobby", Record(7, 0, "al", ""))[0])
        for size, count in ((MAX_OBJECT - names, 1), (MAX_OBJECT - names + 1, 2), (2 * (MAX_OBJECT - names), 2)):
            self.assertEqual(len(THREE_FIELDS.message("lobby", Record(7, 0, "al", "x" * size))), count)

    def test_segments_are_joined_in_order(self) -> None:
        self.assertEqual(THREE_FIELDS.join([(b"a", b"b"), (), (b"c",)]), (b"a", b"b", b"c"))


class KindTests(SynchronousTestCase):
    def test_an_entry_of_a_kind_that_is_not_known_is_passed_over(self) -> None:
        record = Record(8, 0, "alice", "hi", "edit", 7)
        self.assertEqual((LINES.message("lobby", record), THREE_FIELDS.message("lobby", record)), (b"", ()))
        self.assertEqual(DATAGRAMS.message("lobby", record), ())

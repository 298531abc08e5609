"""Imports of exported messages."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twisted_chat.commands import importing
from twisted_chat.commands.exporting import EXPORT
from twisted_chat.commands.importing import IMPORT, run
from twisted_chat.stores.sqlite import database
from twisted_chat.stores.sqlite.database import connect

from .commands import CommandTestCase, Outcome
from .stores import MOST, PLENTY, entry, numbers


def line(number: int = 1, room: str = "lobby", **fields: object) -> bytes:
    said = {"author": "bob", "msg": f"message {number}"}
    usual = {"room": room, "seq": number, "time": "2026-01-01T00:00:00.000Z", **said}
    return json.dumps(usual | fields).encode() + b"\n"


def told(messages: int = 0, topics: int = 0, doubles: int = 0, conflicts: int = 0) -> str:
    said, set_ = "message" if messages == 1 else "messages", "topic" if topics == 1 else "topics"
    return (
        f"imported {messages:,} {said} and {topics:,} {set_}; "
        f"already there: {doubles:,}; in conflict with what is there: {conflicts:,}\n"
    )


class Import(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.slept: list[float] = []
        self.sleep_with(self.slept.append)

    def sleep_with(self, sleep: Callable[[float], object]) -> None:
        """Make the command sleep with another function after each step."""
        self.commands = [EXPORT, IMPORT._replace(run=partial(run, sleep=sleep))]

    def give(self, *lines: bytes) -> Outcome:
        return self.here("import", given=b"".join(lines))

    def exported(self) -> str:
        return self.here("export").output

    def skipped(self) -> int:
        (skipped,) = self.beside().execute("SELECT skipped FROM room").fetchone()
        assert isinstance(skipped, int)
        return skipped

    def test_an_export_comes_back_as_it_was(self) -> None:
        self.filled()
        exported = self.exported()
        os.rename(self.path, f"{self.path}.old")
        outcome = self.give(exported.encode())
        self.assertEqual((outcome.status, outcome.errors), (0, told(12, 1)))
        self.assertEqual(self.exported(), exported)

    def test_entries_of_another_kind_come_back_too(self) -> None:
        said = [line(1), line(2, kind="edit", of=1, id="x"), line(3, kind="react", of=1, msg="+")]
        self.give(*said)
        exported = [json.loads(text) for text in self.exported().splitlines()]
        self.assertEqual([(o.get("kind"), o.get("of")) for o in exported], [(None, None), ("edit", 1), ("react", 1)])
        self.assertEqual(self.give(self.exported().encode()).errors, told(doubles=3))
        self.assertEqual(
            self.give(line(3, kind="react", of=2, msg="+")).errors.splitlines()[-1], told(conflicts=1)[:-1]
        )

    def test_a_second_import_changes_nothing(self) -> None:
        self.filled()
        exported = self.exported()
        outcome = self.give(exported.encode())
        self.assertEqual((outcome.status, outcome.errors), (0, told(doubles=13)))
        self.assertEqual(self.exported(), exported)

    def test_an_author_of_before_there_were_rules_for_how_nicks_look(self) -> None:
        """Neither could be taken today: the one has no letter, the other a letter with three marks."""
        given = [line(1, author="-_-"), line(2, author="a\u0301\u0302\u0303")]
        self.assertEqual(self.give(*given).errors, told(messages=2))
        self.assertEqual(
            [json.loads(row)["author"] for row in self.exported().splitlines()], ["-_-", "a\u0301\u0302\u0303"]
        )

    def test_a_text_that_was_deleted_does_not_come_back(self) -> None:
        deleted = line(1, msg="", deleted=2), line(2, msg="", kind="delete", of=1)
        self.assertEqual(self.give(*deleted).errors, told(2))
        self.assertEqual(self.give(line(1, msg="a secret")).errors, told(0, doubles=1))
        self.assertEqual([json.loads(row).get("deleted") for row in self.exported().splitlines()], [2, None])
        self.assertEqual(self.give(line(3, deleted=0)).status, 1)

    def test_from_a_file_with_blank_lines_and_no_last_line_end(self) -> None:
        path = self.folder / "in.jsonl"
        path.write_bytes(b"\n" + line(1) + b"\r\n  \n" + line(2).rstrip())
        self.assertEqual(self.here("import", str(path)).errors, told(2))

    def test_from_a_file_that_an_editor_wrote(self) -> None:
        self.assertEqual(self.give(codecs.BOM_UTF8 + line(1), line(2)).errors, told(2))

    def test_a_server_that_runs_goes_on_behind_it(self) -> None:
        lobby = self.filled(close=False)[0]
        outcome = self.give(line(100), line(101), line(50, "other"))
        self.assertEqual(outcome.errors, told(3))
        said = entry(lobby, "here")
        self.successResultOf(self.log.append([said], 9_000))
        self.assertEqual(said.seq, 102)
        self.assertEqual(numbers(self.successResultOf(lobby.after(0, MOST, PLENTY))), [1, 2, 3, 4, 5, 6, 100, 101, 102])

    def test_an_import_of_nothing_new_does_not_trouble_the_server(self) -> None:
        self.filled(close=False)
        exported = self.exported()
        epoch = database.epoch(self.beside())
        self.give(exported.encode())
        self.assertEqual(database.epoch(self.beside()), epoch)

    def test_what_is_in_conflict_changes_nothing_and_is_told(self) -> None:
        self.give(line(1), line(2, id="x"), line(3), b'{"room":"lobby","topic":"one"}\n')
        before = self.exported()
        outcome = self.give(
            line(1, msg="else"),
            line(2),
            line(4, id="x"),
            line(3, author="eve"),
            b'{"room":"lobby","topic":"two"}\n',
            line(5),
        )
        self.assertEqual(outcome.status, 1)
        self.assertEqual(
            outcome.errors.splitlines(),
            [
                "input, line 1: lobby has another message with the number 1",
                "input, line 2: lobby has another message with the number 2",
                "input, line 3: lobby has a message of that author and id with another number",
                "input, line 4: lobby has another message with the number 3",
                "input, line 5: lobby has another topic",
                told(1, conflicts=5).rstrip(),
            ],
        )
        self.assertEqual(self.exported(), before + line(5).decode().replace('": ', '":').replace(', "', ',"'))

    def test_of_many_conflicts_the_first_are_named(self) -> None:
        self.give(*(line(number) for number in range(1, 31)))
        outcome = self.give(*(line(number, msg="else") for number in range(1, 31)))
        self.assertEqual(len(outcome.errors.splitlines()), 11)
        self.assertIn("in conflict with what is there: 30", outcome.errors)

    def test_a_long_file_is_imported_in_steps(self) -> None:
        self.patch(importing, "STEP", 7)
        outcome = self.give(*(line(number, ("a", "b")[number % 2]) for number in range(1, 101)))
        self.assertEqual(outcome.errors, told(100))
        self.assertEqual(len(self.slept), 15)

    def test_numbers_that_are_skipped_are_counted(self) -> None:
        self.give(line(10), line(12))
        self.assertEqual(self.skipped(), 1)
        self.give(line(11))
        self.assertEqual(self.skipped(), 0)
        self.give(line(5), line(20), line(20), line(20, msg="else"))
        self.assertEqual(self.skipped(), 11)

    @settings(max_examples=30, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])
    @given(st.lists(st.lists(st.integers(1, 30), max_size=6), max_size=5))
    def test_whatever_is_imported_in_whatever_order(self, steps: list[list[int]]) -> None:
        for path in self.folder.glob("chat.sqlite*"):
            path.unlink()
        for step in steps:
            self.give(*(line(number) for number in step))
        there = sorted({number for step in steps for number in step})
        if there:
            self.assertEqual(self.skipped(), there[-1] - there[0] + 1 - len(there))
            self.assertEqual([json.loads(text)["seq"] for text in self.exported().splitlines()], there)

    def test_the_write_ahead_log_does_not_grow_with_it(self) -> None:
        self.patch(importing, "STEP", 10)
        self.patch(database, "WAL_BYTES", 2**16)
        self.give(*(line(number, msg="x" * 1_000) for number in range(1, 501)))
        with connect(self.path) as beside:
            beside.execute("SELECT 1 FROM store").fetchone()
            sizes: list[int] = []
            self.sleep_with(lambda _: sizes.append(os.path.getsize(f"{self.path}-wal")))
            self.give(*(line(number, msg="x" * 1_000) for number in range(501, 1_501)))
        beside.close()
        self.assertEqual(len(sizes), 101)
        self.assertLess(max(sizes), 2**19)

    def test_the_server_gets_its_turn_for_as_long_as_a_step_took(self) -> None:
        with mock.patch("time.monotonic", side_effect=[5.0, 5.25]):
            self.give()
        self.assertEqual(self.slept, [0.25])

    def refused_without(self, end: str) -> None:
        self.filled(close=False)
        os.unlink(self.path + end)
        outcome = self.give(line(100))
        self.assertEqual(outcome.status, 1)
        self.assertIn(f"{self.path}{end} was taken away while a server runs: stop the server first", outcome.errors)

    def test_a_server_s_write_ahead_log_that_was_taken_away_is_not_made_anew(self) -> None:
        self.refused_without("-wal")

    def test_a_server_s_index_that_was_taken_away_is_not_made_anew(self) -> None:
        self.refused_without("-shm")

    def test_an_older_file_is_not_changed_under_a_server(self) -> None:
        self.filled(close=False)
        with mock.patch.object(database, "version_of", return_value=database.version_of() + 1):
            outcome = self.give(line(100))
        self.assertEqual(outcome.status, 1)
        self.assertIn("in use by another server", outcome.errors)


class BadLines(CommandTestCase):
    def refusal(self, *lines: bytes) -> str:
        outcome = self.here("import", given=b"".join(lines))
        self.assertEqual(outcome.status, 1)
        return outcome.errors.splitlines()[-1]

    def test_a_bad_line_is_reported_with_its_number_and_the_reason(self) -> None:
        for bad, why in (
            (b"no json\n", "JSON is malformed"),
            (b'{"room":"lobby"\n', "truncated"),
            (codecs.BOM_UTF8 + line(1), "JSON is malformed"),
            (b"[]\n", "Expected `object`, got `array`"),
            (b"{}\n", "a line has a room, or is about accounts"),
            (b'{"room":"\xff"}\n', "it is not UTF-8"),
            (b'{"room":"lobby"}\n', "a message has a room, a seq, a time, an author and a msg"),
            (b'{"room":"a b","topic":"t"}\n', "a room consists of letters"),
            (b'{"room":"a","topic":"' + b"x" * 257 + b'"}\n', "a topic has at most 256 characters"),
            (line(1, author=""), "a nick has 1 to 32 characters"),
            (line(0), "a seq is a number from 1 to 9007199254740992"),
            (line(2**53 + 1), "a seq is a number from 1"),
            (line(10**30), "a seq is a number from 1"),
            (line(1, seq="1"), "Expected `int | null`, got `str`"),
            (line(1, id="x" * 65), "an id has at most 64 characters"),
            (line(1, msg="я" * 8_193), "a msg has at most 16384 bytes"),
            (line(1, kind="no kind"), "a kind consists of at most 16 letters from a to z"),
            (line(1, of=0), "an of is a number from 1 to 9007199254740992"),
            (line(1, time="yesterday"), "Invalid isoformat string: 'yesterday'"),
            (line(1, time="1969-12-31T23:59:59Z"), "a time is not before 1970"),
            (line(1, time="0001-01-01T00:00:00+23:59"), ""),
            (b"x" * 140_000, "a line has at most 131072 bytes"),
        ):
            refusal = self.refusal(line(1, "other"), b"\n", bad)
            self.assertIn("twisted-chat: input, line 3: ", refusal)
            self.assertIn(why, refusal)
            self.assertTrue(refusal.endswith("; all lines before it were imported"), refusal)

    def test_utf_16_is_refused_by_name(self) -> None:
        for encoding in ("utf-16", "utf-16-be"):
            text = "\ufeff" * (encoding != "utf-16") + line(1).decode()
            self.assertIn("input, line 1: the file is in UTF-16: save it as UTF-8", self.refusal(text.encode(encoding)))

    def test_lines_before_a_bad_one_are_imported_and_can_be_again(self) -> None:
        good = [line(number) for number in range(1, 4)]
        self.refusal(*good, b"bad\n", line(4))
        self.assertEqual(len(self.here("export").lines), 3)
        outcome = self.here("import", given=b"".join([*good, line(4)]))
        self.assertEqual((outcome.status, outcome.errors), (0, told(1, doubles=3)))

    def test_a_file_that_is_not_there(self) -> None:
        outcome = self.here("import", str(Path(self.folder) / "no"))
        self.assertEqual(outcome.status, 1)
        self.assertIn("No such file or directory", outcome.errors)

    def test_a_newer_version_s_database(self) -> None:
        self.filled()
        self.beside().execute("PRAGMA user_version = 1000")
        self.assertIn("newer version", self.refusal(line(1)))

"""The memory of the whole screen from one run to the next."""

from __future__ import annotations

import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from twisted_chat.client.terminal.memory import MAX_PLACES, MAX_ROOMS, Memory, default_path

from .programs import folder


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = folder(self) / "state" / "screen.json"

    def memory(self, nick: str = "alice", server: str = "chat.example:14900") -> Memory:
        return Memory(self.path, server, nick)

    def test_rooms_and_numbers_come_back(self) -> None:
        memory = self.memory()
        memory.note("Lobby", 7)
        memory.note("garden", None)
        memory.note("lobby", 9)
        memory.place.shown = "garden"
        memory.save()
        memory = self.memory()
        self.assertEqual((memory.rooms, memory.place.shown), (("Lobby", "garden"), "garden"))
        self.assertEqual([memory.read_seq(room) for room in ("LOBBY", "garden", "attic")], [9, None, None])
        memory.forget("lobby")
        memory.forget("attic")
        memory.save()
        self.assertEqual(self.memory().rooms, ("garden",))

    def test_each_nick_on_each_server_has_its_own(self) -> None:
        for nick, server, seq in (("alice", "a:1", 1), ("bob", "a:1", 2), ("alice", "b:1", 3)):
            memory = self.memory(nick, server)
            memory.note("lobby", seq)
            memory.save()
        self.assertEqual(self.memory("alice", "a:1").read_seq("lobby"), 1)
        self.assertEqual(self.memory("alice", "b:1").read_seq("lobby"), 3)

    def test_two_runs_at_once_keep_each_others(self) -> None:
        alice, bob = self.memory("alice"), self.memory("bob")
        for memory in (alice, bob):
            memory.note("lobby", 5)
            memory.save()
        self.assertEqual([self.memory(nick).read_seq("lobby") for nick in ("alice", "bob")], [5, 5])

    def test_the_file_is_its_users_alone_and_nothing_else_is_left(self) -> None:
        memory = self.memory()
        memory.note("lobby", 1)
        memory.save()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)
        self.assertEqual(os.listdir(self.path.parent), ["screen.json"])

    def test_nothing_is_written_where_nothing_changed(self) -> None:
        self.memory().save()
        self.assertFalse(self.path.exists())
        memory = self.memory()
        memory.note("lobby", 1)
        memory.save()
        before = self.path.stat().st_ino
        memory.save()
        self.assertEqual(self.path.stat().st_ino, before)

    def test_memory_is_turned_off_without_a_path_and_by_a_link_to_a_device(self) -> None:
        memory = Memory(None, "a:1", "alice")
        memory.note("lobby", 1)
        memory.save()
        self.path.parent.mkdir()
        self.path.symlink_to(os.devnull)
        memory = self.memory()
        memory.note("lobby", 1)
        memory.save()
        self.assertEqual((memory.problem, os.readlink(self.path)), ("", os.devnull))

    def test_a_link_stays_a_link(self) -> None:
        target = folder(self) / "elsewhere.json"
        self.path.parent.mkdir()
        self.path.symlink_to(target)
        memory = self.memory()
        memory.note("lobby", 1)
        memory.save()
        self.assertTrue(self.path.is_symlink())
        self.assertIn(b"lobby", target.read_bytes())

    def test_a_file_that_is_damaged_begins_anew_with_a_line_that_says_so(self) -> None:
        self.path.parent.mkdir()
        for content in (
            b"",
            b"{",
            b"[]",
            b"\xff",
            b'{"places": {"chat.example:14900 alice": {"rooms": {"lobby": "x"}}}}',
        ):
            self.path.write_bytes(content)
            memory = self.memory()
            self.assertIn("is damaged and begins anew", memory.problem)
            self.assertEqual(memory.rooms, ())
        memory.note("lobby", 1)
        memory.save()
        self.assertEqual(self.memory().read_seq("lobby"), 1)

    def test_names_that_somebody_wrote_into_the_file_do_no_harm(self) -> None:
        self.path.parent.mkdir()
        self.path.write_text('{"places": {"chat.example:14900 alice": {"rooms": {"a b": 1}}}}')
        self.assertEqual((self.memory().rooms, self.memory().problem), ((), ""))

    def test_what_cannot_be_read_or_written_is_told(self) -> None:
        self.path.parent.write_text("")  # a file, where the folder should be
        memory = self.memory()
        self.assertIn("cannot be read: Not a directory", memory.problem)
        memory.note("lobby", 1)
        memory.save()
        self.assertIn("cannot be written", memory.problem)

    def test_what_fails_half_way_leaves_the_old_file(self) -> None:
        memory = self.memory()
        memory.note("lobby", 1)
        memory.save()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "replace", full)
        memory.note("lobby", 2)
        memory.save()
        self.assertIn("No space left on device", memory.problem)
        self.assertEqual(os.listdir(self.path.parent), ["screen.json"])
        self.assertEqual(self.memory().read_seq("lobby"), 1)

    def test_the_file_is_bounded(self) -> None:
        for i in range(MAX_PLACES + 5):
            memory = self.memory(f"nick{i}")
            memory.note("lobby", i)
            memory.save()
        self.assertEqual([self.memory(f"nick{i}").read_seq("lobby") for i in (4, 5)], [None, 5])
        memory = self.memory()
        for i in range(MAX_ROOMS + 1):
            memory.note(f"room{i}", i)
        memory.save()
        self.assertEqual(len(self.memory().rooms), MAX_ROOMS)

    def test_the_file_is_where_programs_keep_their_state(self) -> None:
        self.patch(os, "environ", {**os.environ, "XDG_STATE_HOME": "/state"})
        self.assertEqual(str(default_path()), "/state/twisted_chat/screen.json")

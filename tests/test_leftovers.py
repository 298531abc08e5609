"""The files of a killed server do not keep the next one from starting."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from unittest import skipUnless

from twisted.python.runtime import platform
from twisted.trial.unittest import TestCase

from twisted_chat.leftovers import remove_lock, remove_pid_file, remove_socket

from .programs import folder


def a_dead_process() -> int:
    """Start a process and see it end; returns its number, which is nobody's."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def age(path: Path) -> None:
    """Make a file older than all processes that run."""
    os.utime(path, (0, 0), follow_symlinks=False)


class PidFileTests(TestCase):
    """A pid file is removed where its process is not the one that wrote it."""

    def setUp(self) -> None:
        self.path = folder(self) / "twistd.pid"

    def removes(self, text: str, old: bool = False) -> bool:
        """Write a pid file, new or old; tell whether it is removed."""
        self.path.write_text(text)
        if old:
            age(self.path)
        removed = remove_pid_file(str(self.path))
        self.assertEqual(self.path.exists(), not removed)
        return removed

    def test_a_process_that_runs_keeps_its_file(self) -> None:
        self.assertFalse(self.removes(str(os.getppid())))

    def test_a_process_of_somebody_else_keeps_its_file(self) -> None:
        def refuse(process: int, number: int) -> None:
            raise PermissionError

        self.patch(os, "kill", refuse)
        self.assertFalse(self.removes(str(os.getppid())))

    def test_a_process_that_is_gone_does_not(self) -> None:
        self.assertTrue(self.removes(str(a_dead_process())))

    def test_this_process_does_not_since_it_writes_its_file_later(self) -> None:
        self.assertTrue(self.removes(str(os.getpid())))

    @skipUnless(platform.isLinux(), "this is how Linux tells when a process started")
    def test_a_process_that_started_after_the_file_was_written_does_not(self) -> None:
        self.assertTrue(self.removes(str(os.getppid()), old=True))

    def test_where_the_system_does_not_tell_when_a_process_started_it_keeps_its_file(self) -> None:
        def nothing(path: Path) -> str:
            raise FileNotFoundError

        self.path.write_text(str(os.getppid()))
        age(self.path)
        text = self.path.read_text()
        self.patch(Path, "read_text", lambda path: text if path == self.path else nothing(path))
        self.assertFalse(remove_pid_file(str(self.path)))

    def test_an_empty_file_is_removed(self) -> None:
        self.assertTrue(self.removes("\n"))

    def test_what_is_no_pid_file_stays(self) -> None:
        self.assertFalse(self.removes("my notes"))
        self.assertFalse(remove_pid_file(str(self.path.parent / "none")))


class SocketTests(TestCase):
    """A Unix socket is removed where nobody listens at it."""

    def setUp(self) -> None:
        self.path = folder(self) / "chat.sock"
        self.lock = self.path.parent / "chat.sock.lock"

    def listen(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(str(self.path))
        listening.listen()
        return listening

    def left(self) -> list[str]:
        """Remove what may be removed; returns the names of what is left."""
        remove_socket(str(self.path))
        return sorted(os.listdir(self.path.parent))

    def test_a_socket_that_a_killed_server_has_left_is_removed_with_its_lock(self) -> None:
        self.listen().close()
        self.lock.symlink_to(str(a_dead_process()))
        self.assertEqual(self.left(), [])

    def test_a_lock_with_the_number_of_this_process_is_removed(self) -> None:
        self.listen().close()
        self.lock.symlink_to(str(os.getpid()))
        self.assertEqual(self.left(), [])

    def test_the_lock_of_a_server_that_runs_stays(self) -> None:
        self.listen().close()
        self.lock.symlink_to(str(os.getppid()))
        self.assertEqual(self.left(), ["chat.sock", "chat.sock.lock"])

    def test_a_socket_without_a_lock_is_removed_where_nobody_listens(self) -> None:
        listening = self.listen()
        self.assertEqual(self.left(), ["chat.sock"])
        listening.close()
        self.assertEqual(self.left(), [])

    def test_a_socket_that_is_busy_stays(self) -> None:
        self.listen().listen(0)
        for _ in range(3):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.setblocking(False)
            client.connect_ex(str(self.path))
        self.assertEqual(self.left(), ["chat.sock"])

    def test_a_file_that_is_no_socket_stays(self) -> None:
        self.path.touch()
        self.lock.write_text("no lock of Twisted's")
        self.assertEqual(self.left(), ["chat.sock", "chat.sock.lock"])

    def test_this_process_lets_go_of_its_own_lock_only(self) -> None:
        for process, left in ((os.getppid(), ["chat.sock.lock"]), (os.getpid(), [])):
            self.lock.unlink(missing_ok=True)
            self.lock.symlink_to(str(process))
            remove_lock(str(self.path))
            self.assertEqual(os.listdir(self.path.parent), left)
        remove_lock(str(self.path))

    def test_where_nothing_is_nothing_is_done(self) -> None:
        self.assertEqual(self.left(), [])

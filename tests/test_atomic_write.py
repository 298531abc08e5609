"""A file is written as a whole, or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from twisted_chat.atomic_write import atomic_write


class AtomicWriteTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(os.path.realpath(tempfile.mkdtemp()))
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "file"

    def write(self, path: Path, text: str = "new", mode: int = 0o666) -> None:
        with atomic_write(str(path), mode) as file:
            file.write(text.encode())

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    def test_a_new_file_has_the_mode_that_the_umask_leaves(self) -> None:
        self.addCleanup(os.umask, os.umask(0o027))
        self.write(self.path)
        self.assertEqual((self.path.read_text(), self.mode(self.path)), ("new", 0o640))
        self.write(self.folder / "private", mode=0o600)
        self.assertEqual(self.mode(self.folder / "private"), 0o600)

    def test_a_file_that_is_replaced_passes_on_its_mode(self) -> None:
        self.path.write_text("old")
        for mode in (0o600, 0o664, 0o755):
            self.path.chmod(mode)
            self.write(self.path, "new", 0o666)
            self.assertEqual((self.path.read_text(), self.mode(self.path)), ("new", mode))

    def test_a_file_that_is_replaced_passes_on_its_owner(self) -> None:
        self.path.write_text("old")
        before = (1234, 5678) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        os.chown(self.path, *before)
        self.write(self.path)
        self.assertEqual((self.path.stat().st_uid, self.path.stat().st_gid), before)

    def test_whoever_reads_meanwhile_finds_the_old_file(self) -> None:
        self.path.write_text("old")
        with atomic_write(str(self.path)) as file:
            file.write(b"half")
            file.flush()
            self.assertEqual(self.path.read_text(), "old")
            (unfinished,) = self.folder.glob(".file.*.part")
            self.assertEqual(self.mode(unfinished), 0o600, "its content may be private")

    def test_everything_is_on_the_disk_before_it_has_its_name(self) -> None:
        sizes: list[int] = []
        self.patch(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
        self.write(self.path, "new")
        self.assertEqual(sizes, [3])

    def test_nothing_is_left_of_a_write_that_fails(self) -> None:
        self.path.write_text("old")
        for path in (self.path, self.folder / "other"):
            for error in (OSError, KeyboardInterrupt):
                with self.assertRaises(error), atomic_write(str(path)) as file:
                    file.write(b"half")
                    raise error
        self.assertEqual((os.listdir(self.folder), self.path.read_text()), (["file"], "old"))

    def test_two_writers_at_once_do_not_disturb_each_other(self) -> None:
        with atomic_write(str(self.path)) as first:
            first.write(b"fir")
            self.write(self.path, "second")
            self.assertEqual(self.path.read_text(), "second")
            first.write(b"st")
        self.assertEqual((os.listdir(self.folder), self.path.read_text()), (["file"], "first"))

    def test_links_are_followed_and_stay(self) -> None:
        (self.folder / "elsewhere").mkdir()
        target = self.folder / "elsewhere" / "real"
        target.write_text("old")
        for link, to in (("relative", "elsewhere/real"), ("absolute", str(target)), ("twice", "relative")):
            (self.folder / link).symlink_to(to)
            self.write(self.folder / link, link)
            self.assertEqual(((self.folder / link).is_symlink(), target.read_text()), (True, link))
        (self.folder / "dangling").symlink_to("elsewhere/made")
        self.write(self.folder / "dangling")
        self.assertEqual((self.folder / "elsewhere" / "made").read_text(), "new")

    def test_links_in_a_circle_are_an_error(self) -> None:
        (self.folder / "a").symlink_to("b")
        (self.folder / "b").symlink_to("a")
        self.assertRaises(OSError, self.write, self.folder / "a")

    def test_a_pipe_is_written_to_directly(self) -> None:
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.write(self.path)
        self.assertEqual(os.read(reader, 10), b"new")
        self.assertTrue(stat.S_ISFIFO(self.path.stat().st_mode))

    def test_a_device_stays_one(self) -> None:
        # A terminal of its own: nothing can take the place of a device there, whatever is broken.
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        path = Path(os.ttyname(slave))
        self.write(path)
        self.assertEqual(os.read(master, 10), b"new")
        self.assertTrue(stat.S_ISCHR(path.stat().st_mode))

    def test_an_output_of_this_process_is_written_to_directly(self) -> None:
        with open(self.folder / "output", "w+b") as output:
            self.write(Path(f"/proc/self/fd/{output.fileno()}"))
            self.assertEqual(output.read(), b"new")
            self.assertTrue(os.path.samestat(os.fstat(output.fileno()), (self.folder / "output").stat()))

    def test_a_folder_that_is_not_there(self) -> None:
        self.assertRaises(FileNotFoundError, self.write, self.folder / "no" / "file")

"""The tests in JavaScript, which Node.js runs: one test here for each file of `tests/js`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from .programs import ROOT, node

FILES = sorted((ROOT / "tests" / "js").glob("*.test.js"))

DEADLINE = 120
"""Seconds for one file, on a machine that is busy with other things."""

OLDEST = 22
"""The oldest version of Node.js that has a WebSocket."""


def _run(file: Path) -> Callable[[SynchronousTestCase], None]:
    """Return the test that runs one file."""

    def test(self: SynchronousTestCase) -> None:
        program = node()
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.removeprefix("v").split(".")[0]) < OLDEST:
            raise SkipTest(f"Node.js is {version.strip()} here; the client needs {OLDEST} or newer")
        done = subprocess.run(
            [program, "--test", "--test-reporter=tap", str(file)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            cwd=ROOT,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
        self.assertTrue(passed and int(passed[1]) > 0, done.stdout)

    return test


class JavaScriptTests(SynchronousTestCase):
    """A file that fails shows what Node.js says of it."""


for _file in FILES:
    setattr(JavaScriptTests, f"test_{_file.name.removesuffix('.test.js').replace('-', '_')}", _run(_file))

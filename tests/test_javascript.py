"""The tests in JavaScript, which Node.js runs: one test here for each file of `tests/js`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from .deadlines import TEST_SECONDS, WAIT_SECONDS
from .programs import ROOT, WEBSOCKETS, node

FILES = sorted((ROOT / "tests" / "js").glob("*.test.js"))

TSC = ROOT / "build" / "typescript" / "bin" / "tsc"
"""The compiler of TypeScript, which checks the types that the comments declare."""


def _node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Node.js. A test that starts a server takes the interpreter of these tests."""
    program = node(WEBSOCKETS)
    return subprocess.run(
        [program, *arguments],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=TEST_SECONDS,
        cwd=ROOT,
    )


def _run(file: Path) -> Callable[[SynchronousTestCase], None]:
    """Return the test that runs one file."""

    def test(self: SynchronousTestCase) -> None:
        deadline = f"--test-timeout={1000 * WAIT_SECONDS:.0f}"
        done = _node("--test", "--test-force-exit", deadline, "--test-reporter=tap", file)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
        self.assertTrue(passed and int(passed[1]) > 0, done.stdout)

    return test


class JavaScriptTests(SynchronousTestCase):
    """A file that fails shows what Node.js says of it."""

    def test_the_tests_of_the_client_reach_all_of_it(self) -> None:
        """Without those of the real server, since one run differs from the next there."""
        files = [file for file in FILES if file.name.startswith(("client.", "engine", "parts."))]
        self.assertGreater(len(files), 4)
        done = _node(
            "--test",
            "--experimental-test-coverage",
            "--test-coverage-include=twisted_chat/web/page/client.js",
            "--test-coverage-include=twisted_chat/web/page/client/*.js",
            "--test-coverage-lines=100",
            "--test-coverage-branches=99",
            "--test-coverage-functions=99",
            "--test-reporter=tap",
            *files,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-5000:] + done.stderr)
        self.assertRegex(done.stdout, r"client\.js +\| 100\.00")

    def test_the_types_of_the_page_and_of_its_client_are_right(self) -> None:
        if not TSC.exists():
            missing = f"there is no TypeScript at {TSC.relative_to(ROOT)}: .ci/run gets it"
            if os.environ.get("CI"):
                self.fail(missing)
            raise SkipTest(missing)
        done = _node(TSC, "--project", ROOT / "tests" / "js")
        self.assertEqual((done.returncode, done.stdout), (0, ""))


for _file in FILES:
    setattr(JavaScriptTests, f"test_{_file.name.removesuffix('.test.js').replace('-', '_')}", _run(_file))

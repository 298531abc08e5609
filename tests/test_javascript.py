"""The tests in JavaScript, which Node.js runs: one test here for each file of `tests/js`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from .deadlines import TEST_SECONDS, WAIT_SECONDS
from .programs import ROOT, WEBSOCKETS, node

FILES = sorted((ROOT / "tests" / "js").glob("*.test.js"))

OF_CLIENT = "client.", "engine", "parts.", "server."
"""How the names of the tests begin that are about the client, and not about the page."""

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


CLIENT = "client.js", "client/*.js"
"""The client, among the files of the page."""

WITHOUT_BROWSER = (
    *("actions/commands.js", "banner.js", "chat.js", "colours.js", "conversation.js", "emoji.js", "item-range.js"),
    *("markup.js", "memory.js", "moderation.js", "outgoing.js", "places.js", "suggestions.js", "texts.js", "times.js"),
)
"""The files of the page that need no browser. `tests/test_page_in_browser*.py` test the others."""


class JavaScriptTests(SynchronousTestCase):
    """A file that fails shows what Node.js says of it."""

    def test_the_tests_of_the_client_reach_all_of_it(self) -> None:
        """Without those of the real server, since one run differs from the next there."""
        files = [file for file in FILES if file.name.startswith(OF_CLIENT) and not file.name.startswith("server.")]
        self.assertGreater(len(files), 4)
        report = self.cover(CLIENT, files, branches=99, functions=99)
        self.assertRegex(report, r"client\.js +\| 100\.00")

    def test_the_tests_of_the_page_reach_all_that_needs_no_browser(self) -> None:
        files = [file for file in FILES if not file.name.startswith(OF_CLIENT)]
        report = self.cover(WITHOUT_BROWSER, files, branches=94, functions=98)
        for name in WITHOUT_BROWSER:
            self.assertRegex(report, rf"{Path(name).stem}\.js +\| 100\.00")

    def cover(self, included: Sequence[str], files: Sequence[Path], branches: int, functions: int) -> str:
        """Run tests, and return the report of what they reach: all lines, and so many percent of the rest."""
        done = _node(
            "--test",
            "--test-force-exit",
            "--experimental-test-coverage",
            *(f"--test-coverage-include=twisted_chat/web/page/{name}" for name in included),
            "--test-coverage-lines=100",
            f"--test-coverage-branches={branches}",
            f"--test-coverage-functions={functions}",
            "--test-reporter=tap",
            *files,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-5000:] + done.stderr)
        return done.stdout

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

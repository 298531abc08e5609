"""What is said about known vulnerabilities of packages, and when it fails."""

from __future__ import annotations

import json
import subprocess
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from . import audit


def report(*vulnerabilities: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"dependencies": [{"name": "twisted", "version": "26.10.0", "vulns": list(vulnerabilities), **more}]}


class JudgeTests(SynchronousTestCase):
    def test_what_has_no_vulnerability_passes(self) -> None:
        lines, is_bad = audit.judge(report())
        self.assertEqual((lines, is_bad), (["packages that were looked up for vulnerabilities: 1"], False))

    def test_a_vulnerability_that_is_fixed_elsewhere_fails(self) -> None:
        lines, is_bad = audit.judge(report({"id": "PYSEC-1", "fix_versions": ["26.10.1"]}))
        self.assertEqual((lines[0], is_bad), ("twisted 26.10.0 has PYSEC-1: fixed in 26.10.1", True))

    def test_a_vulnerability_without_a_fix_is_only_named(self) -> None:
        lines, is_bad = audit.judge(report({"id": "PYSEC-1", "fix_versions": []}))
        self.assertEqual((lines[0], is_bad), ("twisted 26.10.0 has PYSEC-1: no version without it yet", False))

    def test_packages_that_the_index_does_not_know_are_named(self) -> None:
        skipped = [{"name": f"p{i}", "skip_reason": "Dependency not found on PyPI"} for i in range(7)]
        lines, is_bad = audit.judge({"dependencies": skipped[:2]})
        self.assertEqual((lines[0], is_bad), ("packages that were looked up for vulnerabilities: 0", False))
        self.assertTrue(lines[1].endswith(": p0, p1"))
        self.assertTrue(audit.judge({"dependencies": skipped})[0][1].endswith(": p0, p1, p2, p3, p4 and 2 more"))


class CommandTests(SynchronousTestCase):
    def run_with(self, **outcome: Any) -> int:
        self.patch(subprocess, "run", mock.Mock(**outcome))
        with mock.patch("builtins.print") as printed:
            status = audit.main()
        self.printed = printed.call_args[0][0]
        return status

    def test_without_a_network_nothing_fails(self) -> None:
        for outcome in (
            {"return_value": mock.Mock(stdout="")},
            {"side_effect": subprocess.TimeoutExpired("pip-audit", 1)},
        ):
            self.assertEqual(self.run_with(**outcome), 0)
            self.assertIn("cannot be reached", self.printed)

    def test_a_vulnerability_is_the_exit_status(self) -> None:
        found = report({"id": "PYSEC-1", "fix_versions": ["26.10.1"]})
        self.assertEqual(self.run_with(return_value=mock.Mock(stdout=json.dumps(found))), 1)

"""`python -m tests.audit`: looks for known vulnerabilities of the packages that are installed.

pip-audit asks PyPI about each package. A mirror of PyPI may have no such data, and a machine no network: then this says
which packages nobody has looked at, and does not fail. It fails if a version without the vulnerability can be had.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

COMMAND: Final = ("-m", "pip_audit", "--skip-editable", "--progress-spinner=off", "--timeout=10", "--format=json")

NAMED: Final = 5
"""The number of packages that are named: an index without such data knows none."""

SECONDS: Final = 300.0
"""The time that all questions may take."""


def judge(report: dict[str, Any]) -> tuple[list[str], bool]:
    """Read a report of pip-audit. Returns lines for people, and whether something has to be done."""
    lines, is_bad = [], False
    skipped = [package["name"] for package in report["dependencies"] if "skip_reason" in package]
    audited = [package for package in report["dependencies"] if "skip_reason" not in package]
    for package in audited:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"])
            is_bad = is_bad or bool(fixed)
            remedy = f"fixed in {fixed}" if fixed else "no version without it yet"
            lines.append(f"{package['name']} {package['version']} has {found['id']}: {remedy}")
    lines.append(f"packages that were looked up for vulnerabilities: {len(audited)}")
    if skipped:
        more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
        lines.append(f"packages of which the index says nothing: {', '.join(skipped[:NAMED])}{more}")
    return lines, is_bad


def main() -> int:
    """Run the command; returns its exit status."""
    try:
        result = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True, timeout=SECONDS)
        lines, is_bad = judge(json.loads(result.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        print("no packages were looked up for vulnerabilities: the index cannot be reached")
        return 0
    print("\n".join(lines))
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())

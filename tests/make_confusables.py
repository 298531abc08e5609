"""The maker of the package's table of characters that look alike: `python -m tests.make_confusables FILE`.

FILE is Unicode's own table, `https://www.unicode.org/Public/VERSION/security/confusables.txt`. It has a line of some
hundred bytes for each character, most of them a comment. What the package needs fits in a tenth: a line for each
prototype, with all characters that look like it. To move to another version of Unicode, run this with its file, then
`trial tests.test_confusables`, and say in CHANGELOG.md which version it is now.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from twisted_chat import confusables

HEADER: Final = """\
# The characters that look alike, made of Unicode's confusables.txt by tests/make_confusables.py. The data is Unicode's,
# under the licence in the file LICENSE beside this one; only its form was changed. The original begins with:
#
"""

FORM: Final = """\
#
# In each line stand the code points of a prototype and, behind the colon, of the characters that look like it.
"""

_mapping = re.compile(r"([0-9A-F]+) ;\s*([0-9A-F ]+?)\s*;\s*MA\b")
_total = re.compile(r"# total: (\d+)")


def make(original: Iterable[str]) -> str:
    """Return the table for the package; raises `ValueError` if the original is not whole."""
    notice: list[str] = []
    looks: dict[str, list[str]] = {}
    mappings, total = 0, None
    for line in original:
        line = line.removeprefix("\ufeff").rstrip()
        if mapping := _mapping.match(line):
            looks.setdefault(mapping[2], []).append(mapping[1])
            mappings += 1
        elif found := _total.match(line):
            total = int(found[1])
        elif line.startswith("#") and not mappings and line != "#":
            notice.append(f"#   {line[1:].strip()}\n")
    if mappings != total:
        raise ValueError(f"the original says that it has {total} mappings, and {mappings} were found")
    lines = (f"{prototype}: {' '.join(characters)}\n" for prototype, characters in sorted(looks.items()))
    return HEADER + "".join(notice) + FORM + "".join(lines)


def main(arguments: list[str]) -> None:
    """Write the table into the package."""
    (original,) = arguments
    with open(original, encoding="utf-8") as lines:
        Path(confusables.__file__).with_name("confusables.txt").write_text(make(lines), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

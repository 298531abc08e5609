"""The patterns of nicks that the one who runs the server forbids: `--forbid-nicks FILE`.

The file has a pattern a line, in which `*` stands for any characters and `?` for one. Blank lines and lines that begin
with `#` are passed over. A nick is compared as it is written and by what it looks like, so `*admin*` is also for a
Cyrillic `аdmin`, and neither case nor width counts.

Patterns are not regular expressions: with `(a+)+b`, one nick of 32 characters would keep the server busy for minutes,
since Python's `re` tries all ways to divide it. A `*` takes what it finds first, which `fnmatch` writes as an atomic
group, so a pattern takes a quarter of a microsecond, and less than one at worst: with a thousand patterns, 0.25 ms for
each nick that is asked for.
"""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from typing import Final

from twisted.logger import Logger

from .names import Name, skeleton

FORM: Final = "a pattern consists of letters, digits, '-', '_', '.', and '*' for any characters or '?' for one"

_log = Logger("twisted_chat.forbidden_nicks")

_nothing = re.compile(r"(?!)")


class ForbiddenNicks:
    """The patterns of a file, which can be read again; without a file, nothing is forbidden."""

    def __init__(self, path: str | None = None) -> None:
        """Read a file; raises `OSError`, or `ValueError` with the line that is wrong."""
        self._path = path
        self._keys = self._skeletons = _nothing
        if path is not None:
            self._read(path)

    def __contains__(self, name: Name) -> bool:
        return bool(self._keys.match(name.key) or self._skeletons.match(skeleton(name.shown)))

    def reload(self) -> None:
        """Read the file again. If that fails, the log says why, and the patterns from before stay in use."""
        if self._path is None:
            return
        try:
            self._read(self._path)
        except (OSError, ValueError) as error:
            _log.error("{why}; the forbidden nicks stay as they were", why=explain(self._path, error))
        else:
            _log.info("the forbidden nicks were read again from {path}", path=self._path)

    def _read(self, path: str) -> None:
        with open(path, encoding="utf-8-sig") as file:
            lines = enumerate(map(str.strip, file), 1)
            patterns = [_check(number, line) for number, line in lines if line and not line.startswith("#")]
        self._keys = _any_of([unicodedata.normalize("NFKC", pattern).lower() for pattern in patterns])
        self._skeletons = _any_of([skeleton(pattern) for pattern in patterns])


def explain(path: str, error: OSError | ValueError) -> str:
    """Write why a file of patterns cannot be used."""
    if isinstance(error, OSError):
        return f"{path} cannot be read: {os.strerror(error.errno or 0)}"
    return f"{path}: it is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"{path}, {error}"


def _check(number: int, pattern: str) -> str:
    for character in pattern:
        if character not in "-_.*?" and unicodedata.category(character)[0] not in "LMN":
            raise ValueError(f"line {number}: {pattern!r} matches no nick: {FORM}")
    return pattern


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns))) if patterns else _nothing

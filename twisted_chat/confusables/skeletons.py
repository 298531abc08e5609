"""The skeletons of names, and the table that they are made with."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files

_soft_dotted = re.compile("(?<=[ij])([\u0323-\u0333]*)\u0307")
"""A dot above an `i` or a `j`, which have one already, behind marks that are below the letter."""


def skeleton(name: str) -> str:
    """Return the skeleton of a valid name as it is written: names with the same skeleton look alike.

    Case is handled as in Ergo (`irc/i18n/strings.go`): the characters are mapped first, and the result is casefolded.
    The other way round, the capitals of `РОТАТО` (Cyrillic) would become letters that look like no small `potato`. So
    the skeleton depends on the spelling, and the one that others see is the one that counts.

    The exceptions are Ergo's too, and those that its table of exceptions has as comments: `m` does not look like `rn`,
    `0` not like `O`, and `1` and `I` not like `l`. So `bob1` and `bobl` may both be there, and the
    skeleton of a name in ASCII is its key. A capital of another script that looks like `I` looks like `i` then.

    Width is removed with NFKD in place of NFD: a valid name has no other compatibility characters. It has no default
    ignorable ones either, which UTS #39 removes.
    """
    return name.lower() if name.isascii() else _skeleton(name)


@lru_cache(maxsize=8192)  # some 3 MB; a name takes 3 µs, and one that is remembered 0.1
def _skeleton(name: str) -> str:
    text = _displayed(unicodedata.normalize("NFKD", name)).translate(_prototypes())
    return _soft_dotted.sub(r"\1", unicodedata.normalize("NFD", text.casefold()))


def _displayed(name: str) -> str:
    """Return the characters of a name from left to right, as bidiSkeleton has it (UTS #39, section 4).

    The bidi rule for names (RFC 5893, section 2) leaves little of the bidirectional algorithm: a name is from left to
    right, or from right to left but for its digits.
    """
    if not any(unicodedata.bidirectional(character) in ("R", "AL") for character in name):
        return name
    pieces: list[str] = []
    before = ""
    for character in name:
        kind = unicodedata.bidirectional(character)
        if kind == "NSM" or kind == before in ("EN", "AN"):
            pieces[-1] += character  # marks stay behind their letter, and digits in their order
        else:
            pieces.append(character)
        before = kind
    return "".join(reversed(pieces))


@cache
def _prototypes() -> dict[int, str]:
    """Read the table, for `str.translate`: 6,557 characters; it costs 5 ms and 0.7 MB when the first name needs it."""
    table: dict[int, str] = {}
    for line in files(__package__).joinpath("confusables.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        prototype, characters = line.split(": ")
        text = "".join([chr(int(code, 16)) for code in prototype.split()]).replace("rn", "m")
        codes = [int(code, 16) for code in characters.split()]
        table.update(dict.fromkeys(codes, text))
        if "l" in text:
            capitals = [code for code in codes if unicodedata.category(chr(code)) == "Lu"]
            table.update(dict.fromkeys(capitals, text.replace("l", "I")))
    for code in range(0x80):
        table.pop(code, None)
    table[ord("ɱ")] = "m"  # as in Ergo; Unicode has it as `m` with a comma below
    return table

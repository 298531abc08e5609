"""The rules for the names of nicks and rooms: which are valid, and which are the same.

A name consists of letters and digits of any script, `-`, `_` and `.`, as far as the PRECIS identifier class allows them
(RFC 8264, section 4.2). Names that differ only in case or width are the same. They have the same key, which is the name
under the profile UsernameCaseMapped (RFC 8265, section 3.3), and are shown as they were first written.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

import precis_i18n

from .messages import WireError

MAX_NICK: Final = 32
"""Characters of a nick, which has to fit into a column of a terminal."""

MAX_ROOM: Final = 64
"""Characters of a room's name, which has to fit beside a topic on one line."""


class Name(NamedTuple):
    """A name and its key."""

    shown: str
    """The name as it was written."""
    key: str
    """The key, which all spellings of the name have in common."""


NOBODY = Name("", "")
"""The name of somebody who has none yet."""

_case_mapped = precis_i18n.get_profile("UsernameCaseMapped")
_ascii = re.compile(r"[A-Za-z0-9._-]+")
_punctuation = "-_."


def _key(name: str) -> str:
    """Return the key of a name; raise `ValueError` (or its subclass `UnicodeEncodeError`, as the profile does)."""
    if _ascii.fullmatch(name):
        return name.lower()  # the same as the profile's result, fifty times as fast
    key: str = _case_mapped.enforce(name)
    if unicodedata.category(key[0])[0] == "M":
        raise ValueError(key[0])  # a combining mark would join the character before the name
    for character in key:
        # Letters, the marks that belong to them (a vowel sign of Devanagari, an accent) and digits.
        if character not in _punctuation and unicodedata.category(character)[0] not in "LMN":
            raise ValueError(character)
    return key


def _check(name: str, what: str, longest: int) -> Name:
    if not 1 <= len(name) <= longest:
        raise ValueError(f"a {what} has 1 to {longest} characters")
    try:
        key = _key(name)
    except ValueError:
        raise ValueError(f"a {what} consists of letters, digits, '-', '_' and '.'") from None
    return Name(name, key)


@lru_cache(maxsize=8192)  # some 2 MB, for the names of a busy server; others are checked again
def _nick(name: str) -> Name:
    return _check(name, "nick", MAX_NICK)


@lru_cache(maxsize=8192)
def _room(name: str) -> Name:
    return _check(name, "room", MAX_ROOM)


def nick(name: str) -> Name:
    """Check a nick and return its `Name`; raise `WireError` (`bad-nick`)."""
    try:
        return _nick(name)
    except ValueError as error:
        raise WireError("bad-nick", str(error)) from None


def room(name: str) -> Name:
    """Check a room's name and return its `Name`; raise `WireError` (`bad-room`)."""
    try:
        return _room(name)
    except ValueError as error:
        raise WireError("bad-room", str(error)) from None

"""The rules for the names of nicks and rooms: which are valid, and which are the same.

A name consists of letters and digits of any script, `-`, `_` and `.`, as far as the PRECIS identifier class allows them
(RFC 8264, section 4.2). Names that differ only in case or width are the same. They have the same key, which is the name
under the profile UsernameCaseMapped (RFC 8265, section 3.3), and are shown as they were first written.

A nick has to be told from others at a glance too. It has a letter or digit, no small capitals, no heaps of combining
marks, and does not look like a nick that somebody else has (`Lookalikes`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import msgspec
import precis_i18n

from .confusables import skeleton
from .messages import SERVER, WireError

__all__ = [
    "DIRECT",
    "MAX_NICK",
    "MAX_ROOM",
    "NOBODY",
    "Lookalikes",
    "Name",
    "address_of",
    "author",
    "direct",
    "is_direct",
    "is_label",
    "is_reserved",
    "log",
    "nick",
    "room",
    "skeleton",
]

DIRECT: Final = "@"
"""The first character of the name of a log of direct messages. No room's name has it."""

MAX_NICK: Final = 32
"""Characters of a nick, which has to fit into a column of a terminal."""

MAX_ROOM: Final = 64
"""Characters of a room's name, which has to fit beside a topic on one line."""


MAX_MARKS: Final = 2
"""Combining marks on a letter or digit: Vietnamese writes two (`ệ`), and heaps of them reach into the lines above and
below."""

MAX_MARKS_UNCASED: Final = 4
"""Combining marks on a letter without capitals, as UTS #39 has it (section 5.4), where marks are part of the script:
Tibetan names such as སྒྲོལ་མ have three on a letter, as has pointed Hebrew."""


class Name(msgspec.Struct, frozen=True, order=True, gc=False):
    """A name and its key.

    They are read several times for each message, and take five times as long to read from a `NamedTuple`.
    """

    shown: str
    """The name as it was written."""
    key: str
    """The key, which all spellings of the name have in common."""


NOBODY = Name("", "")
"""The name of somebody who has none yet."""

_case_mapped = precis_i18n.get_profile("UsernameCaseMapped")
_ascii = re.compile(r"[A-Za-z0-9._-]+")
_ipv4 = re.compile(r"\d+(\.\d+){3}")
_label = re.compile(r"u?\d+(-\d+)?")
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


def _check_appearance(key: str) -> None:
    """Check that a nick with this key can be told from others at a glance; raises `ValueError`."""
    if not any(unicodedata.category(character) in ("Ll", "Lo", "Nd") for character in key):
        raise ValueError("a nick has at least one letter or digit")
    if _ipv4.fullmatch(key):
        raise ValueError("a nick is not an address: add a letter")  # a ban could not tell which of them it is about
    if key.isascii():
        return
    for character in key:
        # UTS #39 has those for signs of phonetics (it calls them technical), and not for what looks like a capital.
        if "SMALL CAPITAL" in unicodedata.name(character, "") and not skeleton(character).isascii():
            raise ValueError(f"a nick has no small capitals such as '{character}': write another letter")
    for letter in _letters(key):
        marks = [mark for mark in unicodedata.normalize("NFD", letter) if unicodedata.category(mark) == "Mn"]
        most = MAX_MARKS_UNCASED if unicodedata.category(letter[0]) in ("Lo", "Mc") else MAX_MARKS
        if len(letter) > 1 and (len(marks) > most or len(set(marks)) < len(marks)):
            raise ValueError(f"a letter of a nick bears at most {most} combining marks, none twice: leave some out")


def _letters(key: str) -> list[str]:
    """Divide a key into characters, each with the combining marks that are drawn above, below or across it."""
    letters: list[str] = []
    for character in key:
        if unicodedata.category(character) == "Mn":
            letters[-1] += character
        else:
            letters.append(character)
    return letters


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
    checked = _check(name, "nick", MAX_NICK)
    _check_appearance(checked.key)
    return checked


@lru_cache(maxsize=8192)
def _author(name: str) -> Name:
    return _check(name, "nick", MAX_NICK)


@lru_cache(maxsize=8192)
def _room(name: str) -> Name:
    return _check(name, "room", MAX_ROOM)


def nick(name: str) -> Name:
    """Check a nick that somebody wants to have and return its `Name`; raise `WireError` (`bad-nick`)."""
    try:
        return _nick(name)
    except ValueError as error:
        raise WireError("bad-nick", str(error)) from None


def author(name: str) -> Name:
    """Check the author of a message in a log and return its `Name`; raise `WireError` (`bad-nick`).

    The rules for how a nick looks do not apply: they are younger than some logs.
    """
    try:
        return _author(name)
    except ValueError as error:
        raise WireError("bad-nick", str(error)) from None


def room(name: str) -> Name:
    """Check a room's name and return its `Name`; raise `WireError` (`bad-room`)."""
    try:
        return _room(name)
    except ValueError as error:
        raise WireError("bad-room", str(error)) from None


def direct(one: Name, other: Name) -> Name:
    """Return the name of the log of the direct messages between two accounts, which no room can have."""
    first, second = sorted((one, other), key=lambda name: name.key)
    return Name(f"@{first.shown}@{second.shown}", f"@{first.key}@{second.key}")


def is_direct(key: str) -> bool:
    """True for the key of a log of direct messages."""
    return key.startswith(DIRECT)


def address_of(log: str, author: str) -> tuple[str | None, str | None]:
    """Return the room of a message in a log, or its recipient if they are direct messages, as both are shown."""
    if not is_direct(log):
        return log, None
    _, first, second = log.split("@")
    return None, second if author == first else first


def log(name: str) -> Name:
    """Check the name of a log, be it a room's or of direct messages; raise `WireError` (`bad-room`)."""
    if not is_direct(name):
        return room(name)
    try:
        one, other = map(_author, name[1:].split("@"))
    except ValueError:
        raise WireError("bad-room", "direct messages are in a log with two nicks, such as @alice@bob") from None
    return direct(one, other)


_reserved = frozenset(map(skeleton, (SERVER, "self")))
"""The server is the author `server`, and bare clients call themselves `self`."""


def is_reserved(name: Name) -> bool:
    """True for a nick that nobody may have, since it looks like the server's name or like `self`."""
    return skeleton(name.shown) in _reserved


def is_label(name: Name) -> bool:
    """True for a name such as `49474`, `49474-2` or `u7`, which the server gives to a client that says no hello."""
    return _label.fullmatch(name.key) is not None


class Lookalikes:
    """The names that are in use, by their skeletons: a new name must not look like one of them.

    A name costs some 190 bytes, and half a microsecond each time that it is looked for.
    """

    def __init__(self) -> None:
        self._keys: dict[str, list[str]] = {}
        """The keys of the names with a skeleton: one key, as often as the name was added."""

    def add(self, name: Name) -> None:
        """Add a name, which may be there already, in this spelling or another one."""
        self._keys.setdefault(skeleton(name.shown), []).append(name.key)

    def discard(self, name: Name) -> None:
        """Take back one `add` of a name."""
        look = skeleton(name.shown)
        keys = self._keys[look]
        keys.remove(name.key)
        if not keys:
            del self._keys[look]

    def clash(self, name: Name, own: Name = NOBODY) -> bool:
        """True if a name looks like another one that is in use, `own` aside: the name that is given up for it."""
        return any(key not in (name.key, own.key) for key in self._keys.get(skeleton(name.shown), ()))

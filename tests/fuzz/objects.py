"""Requests of all kinds, valid ones and odd ones, made of a source of choices.

The structs of the requests say which fields there are, so that a new request is tried without a line here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple, Protocol, TypeVar, get_args

import msgspec

from twisted_chat.messages import MAX_OBJECT, AnyRequest, Hello, Say

T = TypeVar("T")

TYPES: Final = sorted(get_args(AnyRequest), key=lambda cls: cls.__name__)
"""The structs of all requests."""


class Source(Protocol):
    """Where choices come from: a random generator, or the bytes of a fuzzer."""

    def below(self, end: int) -> int:
        """Choose a number from 0 to `end` - 1."""


class Chances:
    """Choices of a random generator."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def below(self, end: int) -> int:
        return self._random.randrange(end)


class Bytes:
    """Choices made of bytes, in their order; when they are used up, each choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, end: int) -> int:
        size = 1 if end <= 256 else 2 if end <= 65_536 else 4
        part = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(part, "little") % end

    def take(self, most: int) -> bytes:
        """Take bytes as they are."""
        part = self._data[self._at : self._at + most]
        self._at += most
        return part

    @property
    def is_used_up(self) -> bool:
        return self._at >= len(self._data)


def pick(source: Source, of: Sequence[T]) -> T:
    """Choose one of several things."""
    return of[source.below(len(of))]


class Words(NamedTuple):
    """The names and texts that requests are made of."""

    nicks: Sequence[str]
    rooms: Sequence[str]
    passwords: Sequence[str]
    tokens: Sequence[str]
    texts: Sequence[str]
    who: Sequence[str]
    """What can be banned: nicks, addresses and networks."""


ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**63,
    10**400,
    1.5,
    1e999,
    "",
    "\0",
    "x" * 70,
    "🏳️‍🌈" * 300,
    "\ud800",
    "\u202e\u2028\x1b[2J",
    "..",
    "@alice@bob",
    [],
    [[[]]],
    {},
    {"a": {"a": {}}},
    {"bob": 7},
)
"""Values that fit few fields."""

_SPICE: Final = 24
"""One field in so many has an odd value."""


def make_request(source: Source, words: Words, kinds: Sequence[Any] = TYPES) -> dict[str, Any]:
    """Make a request of some kind, mostly a valid one."""
    cls = pick(source, kinds)
    obj: dict[str, Any] = {"type": cls.__struct_config__.tag}
    for field in msgspec.structs.fields(cls):
        if field.name == "cookie" or (not field.required and source.below(3) == 0):
            continue
        obj[field.name] = pick(source, ODD) if source.below(_SPICE) == 0 else _value(source, words, field)
    if cls is Say and obj.get("to") is not None:
        obj.pop("room", None)
    return obj


def make_hello(source: Source, words: Words) -> dict[str, Any]:
    return make_request(source, words, [Hello])


def _value(source: Source, words: Words, field: msgspec.structs.FieldInfo) -> Any:
    """Make a value that a field may have."""
    match field.name:
        case "nick" | "to" | "after" if "int" not in str(field.type):
            return pick(source, words.nicks)
        case "who":
            return pick(source, words.who)
        case "room":
            return pick(source, words.rooms)
        case "password" | "old" | "new":
            return pick(source, words.passwords)
        case "token":
            return pick(source, words.tokens)
        case "role":
            return pick(source, ("owner", "moderator", "member", "none"))
        case "direct":
            return {pick(source, words.nicks): source.below(8)}
        case "id":
            return f"id{source.below(64)}"
        case "label":
            return pick(source, ("phone", "desk", "bot"))
        case "seconds":
            return pick(source, (0, 1, 60, 3600))
        case "limit":
            return pick(source, (1, 2, 50, 500, 10**9))
    kind = str(field.type)
    if "bool" in kind:
        return source.below(2) == 0
    if "int" in kind:
        return source.below(40)
    return pick(source, words.texts)


def encode(source: Source, obj: dict[str, Any]) -> bytes:
    """Write an object as one of several clients would."""
    ascii_only = source.below(2) == 0
    data = json.dumps(obj, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    return data


_PARTS: Final = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\n", b"\r", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80"),
    *(b"\xef\xbb\xbf", b"\\u0000", b"\\ud83d", b"1e9999", b"-0", b"null", b'{"a":', b"[" * 70, b"{}" * 20),
    *(b'"type"', b'{"type":""}', b"9" * 5000, b" " * 300, b"\n" * 100, b"x" * MAX_OBJECT, b'"msg":"' + b"\\\\" * 50),
)
"""Pieces that matter to the framer and the decoder."""


def spoil(source: Source, data: bytes) -> bytes:
    """Change bytes: parts are inserted, replaced, cut or doubled."""
    for _ in range(1 + source.below(3)):
        start = source.below(len(data) + 1)
        end = min(len(data), start + source.below(9))
        match source.below(5):
            case 0:
                data = data[:start] + pick(source, _PARTS) + data[start:]
            case 1:
                data = data[:start] + pick(source, _PARTS) + data[end:]
            case 2:
                data = data[:start] + data[end:]
            case 3:
                data = data[:start] + data[start:end] * 2 + data[end:]
            case _:
                data = data[:start] + bytes([source.below(256)]) + data[start + 1 :]
    return data

"""What is pasted: when a person is asked about it first, and the messages that it makes."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .columns import cut, steady
from .pane import Pane

MANY_LINES: Final = 5
"""Lines that are pasted without a question. They can be seen as they are typed, and Enter says them."""

LONG: Final = 2_000
"""Characters that are pasted without a question: a whole screen of 80 columns and 24 rows."""

_TAB: Final = 4
"""Columns between two tab stops, in which code that is pasted keeps its shape."""

_ENVELOPE: Final = 400
"""Bytes of an object around a message's text: a room of 64 characters of 4 bytes, an id, names of fields."""

_line_end = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")


def typable(text: str) -> str:
    """A text as it can stand in the line that is typed: without control characters, and without empty lines around."""
    lines = [_typable(line.expandtabs(_TAB)) for line in _line_end.split(text)]
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        del lines[0]
    return "\n".join(lines)


def _typable(line: str) -> str:
    return "".join(character for character in line if unicodedata.category(character) not in ("Cc", "Cs"))


def messages(text: str, limit: int) -> Iterator[str]:
    """Divide a text into messages, as few as fit into objects of so many bytes; between lines, where that is possible.

    A line that is longer than a message alone is not divided: the server says that it is too long.
    """
    part: list[str] = []
    used = 0
    most = max(1, limit - _ENVELOPE)
    for line in text.split("\n"):
        size = len(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace"))
        if part and used + size > most:
            yield from _message(part)
            part, used = [], 0
        part.append(line)
        used += size
    yield from _message(part)


def _message(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines)
    if text.strip():
        yield text


@dataclass(frozen=True, slots=True)
class Question:
    """A text that was pasted, and that waits for the person to say what to do with it."""

    text: str

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self.text.count("\n") + 1

    @staticmethod
    def is_needed(text: str) -> bool:
        """True if a person should be asked before this is put into the line that is typed."""
        return text.count("\n") >= MANY_LINES or len(text) > LONG

    def wordings(self, pane: Pane, limit: int) -> tuple[str, str]:
        """The question, at length and briefly."""
        where = steady(pane.name)
        count = sum(1 for _ in messages(self.text, limit))
        parts = "as one message" if count == 1 else f"in {count:,} messages"
        lines = "1 line" if self.lines == 1 else f"{self.lines:,} lines"
        return (
            f"{lines} with {len(self.text):,} characters were pasted. y: say them in {where} {parts}; e: edit them "
            "first; n: drop them (Up brings them back)",
            f"y: say {lines} in {cut(where, 10)}; e: edit; n: drop",
        )

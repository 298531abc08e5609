"""Pasted text: when a person is asked about it first, and the messages that it becomes."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..program.columns import cut, steady
from .pane import Pane

MANY_LINES: Final = 5
"""The maximum number of lines that are pasted without a question. They are visible in the typed text, and Enter sends
them."""

LONG: Final = 2_000
"""The maximum number of characters that are pasted without a question: a screen of 80 columns and 24 rows."""

_TAB: Final = 4
"""Columns between two tab stops, with which pasted code keeps its shape."""

_ENVELOPE: Final = 400
"""The bytes of an object beside a message's text: a room of 64 characters of 4 bytes, an id, names of fields."""

_line_end = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")


def typable(text: str) -> str:
    """Return a text as it can stand in the typed line: without control characters or empty lines around it."""
    lines = [_typable(line.expandtabs(_TAB)) for line in _line_end.split(text)]
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        del lines[0]
    return "\n".join(lines)


def _typable(line: str) -> str:
    return "".join(character for character in line if unicodedata.category(character) not in ("Cc", "Cs"))


def messages(text: str, limit: int) -> Iterator[str]:
    """Divide a text into messages, as few as fit into objects of so many bytes, between lines if possible.

    A line that is longer than a message is not divided, and the server refuses it.
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
    """A pasted text that waits for the person's decision."""

    text: str

    @property
    def lines(self) -> int:
        """The number of its lines."""
        return self.text.count("\n") + 1

    @staticmethod
    def is_needed(text: str) -> bool:
        """True if the person should be asked before this is put into the typed line."""
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

"""Questions to the person: for a password, which is not shown, and for a yes or no.

A question takes the place of the text being typed, which comes back after it. What is typed as a password is kept here
alone, and never in a text that is drawn, in the history of typed lines, or in what can be undone.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import Deferred

CANCEL: Final = ("\x03", "\x04", "\x1b")
"""Ctrl-C, Ctrl-D and Escape."""

ENTER: Final = ("\r", "\n")

MAX_SECRET: Final = 1024
"""The maximum number of characters of a password that are kept: the protocol has no longer ones."""


class Asking(Protocol):
    """A question that waits for the person's answer."""

    @property
    def wordings(self) -> tuple[str, str]:
        """The question, at length and briefly."""

    def typed(self, key: str) -> bool:
        """Take a key, or a pasted text. True if the question is answered then."""


class Secret:
    """A question for a password."""

    def __init__(self, prompt: str) -> None:
        self.answer: Deferred[str | None] = Deferred()
        """Fires with the password, or with None if there is none."""
        self._prompt = prompt
        self._typed = ""

    @property
    def wordings(self) -> tuple[str, str]:
        return f"{self._prompt}: type it (it is not shown), then Enter; Escape cancels", f"{self._prompt} (not shown):"

    def typed(self, key: str) -> bool:
        if key in CANCEL:
            self._finish(None)
        elif key in ENTER:
            self._finish(self._typed or None)
        elif key in ("\x7f", "\x08"):
            self._typed = self._typed[:-1]
        elif key == "\x15":  # Ctrl-U
            self._typed = ""
        elif not key.startswith("\x1b"):  # an arrow or another key of several bytes
            self._typed += "".join(character for character in key.partition("\n")[0] if character.isprintable())
            self._typed = self._typed[:MAX_SECRET]
        return self.answer.called

    def _finish(self, secret: str | None) -> None:
        self._typed = ""
        self.answer.callback(secret)


class Choice:
    """A question that `y` answers with yes, and `n` or Escape with no."""

    def __init__(self, question: str) -> None:
        self.answer: Deferred[bool] = Deferred()
        self._question = question

    @property
    def wordings(self) -> tuple[str, str]:
        return f"{self._question}; y: yes, n: no", "stay logged in here? y, n"

    def typed(self, key: str) -> bool:
        if key.lower() in ("y", "n", *CANCEL):
            self.answer.callback(key.lower() == "y")
        return self.answer.called

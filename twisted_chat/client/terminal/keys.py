"""What the keys do, beside what they do in every line that is edited (Emacs' keys)."""

from __future__ import annotations

from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from .columns import graphemes
from .view import View

HELP: Final = "PageUp looks back, Ctrl-End returns, Tab completes, Ctrl-N is the next room, Alt-A the next unread one"
"""The keys that nobody guesses, for `/help`."""


def bindings(view: View) -> KeyBindings:
    """Give the keys of the screen."""
    keys = KeyBindings()
    asking = Condition(lambda: view.question is not None)
    _add_rooms(keys, view, asking)
    _add_scrolling(keys, view)
    _add_editing(keys, view, asking)
    _add_leaving(keys, view, asking)
    _add_question(keys, view, asking)
    return keys


def _add_rooms(keys: KeyBindings, view: View, asking: Condition) -> None:
    @keys.add("c-n", filter=~asking & ~has_completions)
    def _(event: KeyPressEvent) -> None:
        view.doer.turned_to(view.panes.step(1))

    @keys.add("c-p", filter=~asking & ~has_completions)
    def _(event: KeyPressEvent) -> None:
        view.doer.turned_to(view.panes.step(-1))

    @keys.add("escape", "a", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.doer.turned_to(view.panes.waiting())

    for digit in range(1, 10):

        @keys.add("escape", str(digit), filter=~asking)
        def _(event: KeyPressEvent, digit: int = digit) -> None:
            if digit <= len(view.panes.all):
                view.doer.turned_to(view.panes.all[digit - 1])


def _add_scrolling(keys: KeyBindings, view: View) -> None:
    def scroll(rows: int) -> None:
        view.look.scroll(rows)
        view.panes.seen()

    @keys.add("pageup")
    def _(event: KeyPressEvent) -> None:
        scroll(-max(1, view.look.rows - 2))

    @keys.add("pagedown")
    def _(event: KeyPressEvent) -> None:
        scroll(max(1, view.look.rows - 2))

    @keys.add("c-end")
    def _(event: KeyPressEvent) -> None:
        view.panes.current.bottom = None
        view.panes.seen()


def _add_editing(keys: KeyBindings, view: View, asking: Condition) -> None:
    @keys.add("enter", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        line = view.buffer.text
        if line.strip():
            view.buffer.append_to_history()
            view.buffer.reset()
            view.doer.entered(line)

    @keys.add("tab", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        if view.buffer.complete_state:
            view.buffer.complete_next()
        else:
            view.complete()

    @keys.add(Keys.BracketedPaste, filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.paste(event.data)

    _add_characters(keys, view, asking)


def _add_characters(keys: KeyBindings, view: View, asking: Condition) -> None:
    """Move and delete by what a person takes for one character: a flag, a family, a letter with its accents."""

    def before() -> int:
        return len(["", *graphemes(view.buffer.document.text_before_cursor)][-1])

    def after() -> int:
        return len(next(iter(graphemes(view.buffer.document.text_after_cursor)), ""))

    for key in ("left", "c-b"):

        @keys.add(key, filter=~asking)
        def _(event: KeyPressEvent) -> None:
            view.buffer.cursor_left(before())

    for key in ("right", "c-f"):

        @keys.add(key, filter=~asking)
        def _(event: KeyPressEvent) -> None:
            view.buffer.cursor_right(after())

    @keys.add("backspace", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.buffer.delete_before_cursor(before())

    @keys.add("delete", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.buffer.delete(after())


def _add_leaving(keys: KeyBindings, view: View, asking: Condition) -> None:
    @keys.add("c-d", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        if view.buffer.text:
            view.buffer.delete()
        else:
            view.doer.leave()

    @keys.add("c-c", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        if view.buffer.text:
            view.buffer.reset()
        else:
            view.doer.leave()

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        get_app().suspend_to_background()


def _add_question(keys: KeyBindings, view: View, asking: Condition) -> None:
    """Everything but an answer is passed over while a question is open."""

    @keys.add(Keys.Any, filter=asking, eager=True)
    def _(event: KeyPressEvent) -> None:
        question, answer = view.question, event.data.lower()
        if question is None or answer not in ("y", "j", "n", "\x03", "\x1b"):
            return
        view.question = None
        if answer == "y":
            view.doer.pasted(question.lines)
        elif answer == "j":
            view.buffer.insert_text(" ".join(question.lines))

"""The keys, beside those of every line that is edited (Emacs' keys)."""

from __future__ import annotations

from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from ..program.columns import graphemes
from .view import View

HELP: Final = (
    "PageUp and the mouse wheel look back, Ctrl-End returns, Alt-U goes to what is new; Tab completes, Alt-Enter "
    "begins another line; Ctrl-N is the next room, Alt-A the next unread one; Alt-J goes where you were invited. To "
    "select text with the mouse, hold Shift (on a Mac, Option), or turn the mouse off with Alt-M"
)
"""The keys that a person cannot guess, for `/help`."""


def bindings(view: View) -> KeyBindings:
    """The keys of the screen."""
    keys = KeyBindings()
    asking = Condition(lambda: view.is_asking)
    _add_rooms(keys, view, asking)
    _add_scrolling(keys, view, asking)
    _add_editing(keys, view, asking)
    _add_leaving(keys, view, asking)
    _add_question(keys, view, asking)
    return keys


def _add_rooms(keys: KeyBindings, view: View, asking: Condition) -> None:
    @keys.add("c-n", filter=~asking & ~has_completions)
    def _(event: KeyPressEvent) -> None:
        view.actions.turned_to(view.panes.step(1))

    @keys.add("c-p", filter=~asking & ~has_completions)
    def _(event: KeyPressEvent) -> None:
        view.actions.turned_to(view.panes.step(-1))

    @keys.add("escape", "a", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.actions.turned_to(view.panes.waiting())

    @keys.add("escape", "j", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.actions.accept()

    for digit in range(1, 10):

        @keys.add("escape", str(digit), filter=~asking)
        def _(event: KeyPressEvent, digit: int = digit) -> None:
            if digit <= len(view.panes.all):
                view.actions.turned_to(view.panes.all[digit - 1])


def _add_scrolling(keys: KeyBindings, view: View, asking: Condition) -> None:
    @keys.add("pageup")
    def _(event: KeyPressEvent) -> None:
        view.scroll(-max(1, view.viewport.rows - 2))

    @keys.add("pagedown")
    def _(event: KeyPressEvent) -> None:
        view.scroll(max(1, view.viewport.rows - 2))

    @keys.add("c-end")
    def _(event: KeyPressEvent) -> None:
        view.show_newest()

    @keys.add("escape", "u", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.show_new()

    @keys.add("escape", "m", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.toggle_mouse()


def _add_editing(keys: KeyBindings, view: View, asking: Condition) -> None:
    @keys.add("enter", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        text = view.buffer.text.strip("\n")
        if text.strip():
            if not view.actions.has_secret(text):
                view.buffer.append_to_history()
            view.buffer.reset()
            view.actions.entered(text)

    @keys.add("escape", "enter", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.buffer.insert_text("\n")

    @keys.add("tab", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        if view.buffer.complete_state:
            view.buffer.complete_next()
        else:
            view.complete()

    @keys.add("escape", filter=has_completions)
    def _(event: KeyPressEvent) -> None:
        view.buffer.cancel_completion()

    @keys.add(Keys.BracketedPaste, filter=~asking)
    def _(event: KeyPressEvent) -> None:
        view.paste(event.data)

    _add_characters(keys, view, asking)


def _add_characters(keys: KeyBindings, view: View, asking: Condition) -> None:
    """Move and delete by characters as a person sees them: a flag, a family, a letter with its accents."""

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
            view.actions.leave()

    @keys.add("c-c", filter=~asking)
    def _(event: KeyPressEvent) -> None:
        if view.buffer.text:
            view.buffer.reset()
        else:
            view.ask_to_leave()

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        get_app().suspend_to_background()


def _add_question(keys: KeyBindings, view: View, asking: Condition) -> None:
    """Ignore everything but an answer while a question is open."""

    @keys.add(Keys.Any, filter=asking, eager=True)
    def _(event: KeyPressEvent) -> None:
        view.key_typed(event.data)
